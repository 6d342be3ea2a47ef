/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One -drive: its keys, apart from those of the image's driver, which stay in the list. */
#ifndef VM_DRIVE_OPTIONS_H
#define VM_DRIVE_OPTIONS_H

#include "base/throttle.h"
#include "dev/storage/drive.h"

struct drive_options {
    struct optlist rest; /* for disk_open() */
    const char *file, *id, *group;
    const char *iface; /* "ide" ... */
    bool has_bus, has_unit, has_index;
    uint64_t bus, unit, index;
    enum drive_media media;
    bool snapshot, copy_on_read, read_only, has_read_only;
    bool share_rw;
    unsigned flags; /* enum disk_open_flags of cache=, aio= */
    enum drive_on_error on_write_error, on_read_error;
    bool has_limits;
    struct throttle_limits limits;
};

/* The names of if=, NULL-terminated. */
extern const char *const drive_interfaces[];

/* default_if where if= is not given. drive_options_finish() is needed either way; strings live
 * until then. */
bool drive_options_parse(struct drive_options *o, const char *text, const char *default_if,
                         struct error *err) MUST_CHECK;
void drive_options_finish(struct drive_options *o);

#endif
