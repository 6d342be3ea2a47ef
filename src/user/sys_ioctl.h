/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is known about an ioctl number, for sys_ioctl.c and -strace.
 */
#ifndef USER_SYS_IOCTL_H
#define USER_SYS_IOCTL_H

#include <stdint.h>

struct ioctl_row {
    uint32_t nr;
    uint16_t size; /* bytes of the structure behind the argument; 0: the argument is a number */
    const char *name;
};
/* NULL: not in the table. */
const struct ioctl_row *ioctl_row(uint32_t nr);

#endif
