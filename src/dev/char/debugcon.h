/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Firmware's debug port (0x402 for SeaBIOS and OVMF, 0xe9 of Bochs). Window "port" (1 port).
 * Property: readback, what reads give (0xe9: the port is there). */
#ifndef DEV_CHAR_DEBUGCON_H
#define DEV_CHAR_DEBUGCON_H

struct chardev;
struct device;
struct device_type;
extern const struct device_type debugcon_type;

/* Before device_init(): the host side, borrowed; none drops the output. */
void debugcon_set_chardev(struct device *dev, struct chardev *chr);

#endif
