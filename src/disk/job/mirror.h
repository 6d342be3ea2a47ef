/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mirroring as commit uses it: the active layer is mirrored into its own backing file.
 */
#ifndef DISK_JOB_MIRROR_H
#define DISK_JOB_MIRROR_H

#include "disk/job/job_priv.h"

struct job *mirror_commit_active(const struct job_options *o, struct disk *active,
                                 struct disk *base, struct error *err);

#endif
