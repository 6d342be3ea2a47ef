/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/filter_dump.h"

#include <errno.h>
#include <string.h>

enum { MAXLEN_DEFAULT = 65536 };

static void dump_init(void *obj)
{
    ((struct filter_dump *)obj)->maxlen = MAXLEN_DEFAULT;
}

static bool dump_complete(void *obj, struct object_set *set, struct error *err)
{
    struct filter_dump *d = obj;

    if (!d->netdev || !d->file) {
        (void)fail(err, EINVAL, "property '%s' is missing", d->netdev ? "file" : "netdev");
        return fail_hint(err, "write filter-dump,id=ID,netdev=NETDEV,file=PATH");
    }
    if (d->queue && strcmp(d->queue, "all")) {
        (void)fail(err, ENOTSUP, "queue=%s: dumps are of both directions in this release",
                   d->queue);
        return fail_hint(err, "use queue=all");
    }
    if (d->status && strcmp(d->status, "on")) {
        (void)fail(err, ENOTSUP, "status=%s: only a monitor could switch it on", d->status);
        return fail_hint(err, "leave the object out");
    }
    return true;
}

const struct object_type filter_dump_object = {
    .name = "filter-dump",
    .doc = "packets of a netdev into a pcap file",
    .size = sizeof(struct filter_dump),
    .props = FIELDS(FIELD(struct filter_dump, netdev, .doc = "id of the netdev"),
                    FIELD(struct filter_dump, file, .doc = "to be written"),
                    FIELD(struct filter_dump, maxlen, .doc = "bytes kept of a packet [65536]"),
                    FIELD(struct filter_dump, queue, .doc = "all: both directions [all]"),
                    FIELD(struct filter_dump, status, .doc = "on [on]"),
                    FIELD(struct filter_dump, position, .doc = "no effect: a dump changes nothing"),
                    FIELD(struct filter_dump, insert, .doc = "no effect")),
    .init = dump_init,
    .complete = dump_complete,
};
