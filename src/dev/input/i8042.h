/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8042 keyboard controller with a PS/2 keyboard and a PS/2 (IntelliMouse) mouse behind it.
 * Windows "data" (1 port, 0x60), "command" (1 port, 0x64), "port92" (1 port, 0x92).
 * Outputs as below; A20 is high when address line 20 passes; RESET pulses.
 */
#ifndef DEV_INPUT_I8042_H
#define DEV_INPUT_I8042_H

#include <stdbool.h>
#include <stdint.h>

enum {
    I8042_OUT_KBD,   /* IRQ 1 */
    I8042_OUT_MOUSE, /* IRQ 12 */
    I8042_OUT_A20,
    I8042_OUT_RESET,
    I8042_OUT_COUNT,
};

struct device;
struct device_type;
extern const struct device_type i8042_type;

/* Host input. A key is a set 1 make code, with 0x80 or-ed in for keys of the E0 plane (QEMU's
 * "qnum"; 0xc6 is Pause). Machine lock held. */
void i8042_key(struct device *dev, uint8_t qnum, bool down);

/* Movement since the last call, in host directions: right, down, wheel towards the user are
 * positive. buttons: bit 0 left, 1 right, 2 middle, 3 and 4 the side ones. Machine lock held. */
void i8042_mouse(struct device *dev, int dx, int dy, int dz, uint8_t buttons);

#endif
