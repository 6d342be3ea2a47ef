/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pair of 8259A interrupt controllers of a PC with the ELCR. Inputs 0..15 are IRQ 0..15 (2 is
 * the cascade and unused); output 0 is INT. Windows: "master" and "slave" (2 ports each),
 * "elcr" (2 ports).
 */
#ifndef DEV_INTC_PIC_H
#define DEV_INTC_PIC_H

struct device;
struct device_type;

extern const struct device_type i8259_type;

/* The processor's INTA cycles: the vector of the highest request, or the spurious vector 7. */
int pic_acknowledge(void *pic_dev);

#endif
