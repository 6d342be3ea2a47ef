/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 16550A UART. Window "regs" (8 ports). Output 0 is the interrupt. */
#ifndef DEV_CHAR_UART_H
#define DEV_CHAR_UART_H

struct chardev;
struct device;
struct device_type;
extern const struct device_type uart16550_type;

/* Before device_init(): the host side, borrowed; none means a line with nothing plugged in. */
void uart_set_chardev(struct device *dev, struct chardev *chr);

#endif
