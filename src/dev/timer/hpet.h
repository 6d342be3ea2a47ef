/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * High precision event timer (IA-PC HPET 1.0a): 3 comparators, 64-bit counter at 100 MHz, window
 * "regs" (1 KiB, at 0xfed00000 on a PC). Outputs 0..23 go to the I/O APIC's pins of that number
 * (wired OR with other sources); HPET_OUT_LEGACY is high in legacy replacement mode, in which
 * comparator 0 drives HPET_OUT_IRQ0 and comparator 1 HPET_OUT_IRQ8 in place of PIT and RTC.
 */
#ifndef DEV_TIMER_HPET_H
#define DEV_TIMER_HPET_H

#define HPET_TICK_NS 10
#define HPET_PINS    24

enum {
    HPET_OUT_LEGACY = HPET_PINS,
    HPET_OUT_IRQ0,
    HPET_OUT_IRQ8,
    HPET_OUT_COUNT,
};

struct device_type;
extern const struct device_type hpet_type;

#endif
