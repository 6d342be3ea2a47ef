/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8254 programmable interval timer and the PC's port 61h (speaker gate, refresh toggle).
 * Windows "pit" (4 ports), "speaker" (1 port). Output 0 is OUT of counter 0.
 */
#ifndef DEV_TIMER_PIT_H
#define DEV_TIMER_PIT_H

#define PIT_HZ 1193182

struct device_type;
extern const struct device_type i8254_type;

#endif
