/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to dev/: what device_free() does with the properties. */
#ifndef DEV_DEVICE_PROPS_H
#define DEV_DEVICE_PROPS_H

struct device;

/* Gives links back and frees strings. */
void device_props_finish(struct device *dev);

#endif
