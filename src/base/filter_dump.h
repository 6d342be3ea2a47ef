/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -object filter-dump: what the user said; net/dump.c does it. */
#ifndef BASE_FILTER_DUMP_H
#define BASE_FILTER_DUMP_H

#include "base/object.h"

struct filter_dump {
    char *netdev, *file, *queue, *status, *insert, *position;
    uint32_t maxlen;
};
extern const struct object_type filter_dump_object;

#endif
