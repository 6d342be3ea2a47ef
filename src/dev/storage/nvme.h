/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NVM Express 1.4 controller with one namespace (1b36:0010): -device nvme,serial=S,drive=ID. */
#ifndef DEV_STORAGE_NVME_H
#define DEV_STORAGE_NVME_H

#include "dev/device.h"

extern const struct device_type nvme_type;

#endif
