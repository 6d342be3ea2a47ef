/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/job/chain.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "disk/node_priv.h"

struct disk *chain_skip_filters(struct disk *d)
{
    while (d && d->driver->is_filter && d->file)
        d = d->file;
    return d;
}

bool chain_has(struct disk *top, struct disk *base)
{
    base = chain_skip_filters(base);
    for (top = chain_skip_filters(top); top; top = chain_skip_filters(top->backing))
        if (top->backing && chain_skip_filters(top->backing) == base)
            return true;
    return false;
}

struct disk *chain_overlay_of(struct disk *active, struct disk *d)
{
    d = chain_skip_filters(d);
    for (active = chain_skip_filters(active); active; active = chain_skip_filters(active->backing))
        if (active->backing && chain_skip_filters(active->backing) == d)
            return active;
    return NULL;
}

bool chain_make_writable(struct disk *d, struct chain_access *ret, struct error *err)
{
    *ret = (struct chain_access){ 0 };
    if (!disk_read_only(d))
        return true;
    if (!disk_reopen(d, NULL, (d->open_flags & ~(unsigned)DISK_AUTO_RDONLY) | DISK_RDWR, err))
        return false;
    *ret = (struct chain_access){ d, d->open_flags & ~(unsigned)DISK_RDWR };
    return true;
}

void chain_restore(struct chain_access *a)
{
    struct error err = { 0 };

    bool restored = !a->node || disk_reopen(a->node, NULL, a->flags, &err);

    (void)restored; /* a node that stays writable has done its work as well */
    a->node = NULL;
}

/* Bytes of a file name up to its last slash. */
static size_t folder_len(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash ? (size_t)(slash + 1 - name) : 0;
}

/* How overlay's header is to call base: as the layer above base calls it, when that lies in the
 * same folder, for names in headers are relative to it; else in full. On the heap. */
static char *name_for(struct disk *overlay, struct disk *base)
{
    struct disk *above = chain_overlay_of(overlay, base);
    const char *name = disk_filename(base);
    char *full = NULL;

    if (above && above->backing_name && above->filename && overlay->filename) {
        size_t n = folder_len(above->filename);

        if (n == folder_len(overlay->filename) && !memcmp(above->filename, overlay->filename, n))
            return xstrdup(above->backing_name);
    }
    if (*name != '/' && !name_has_protocol(name))
        full = realpath(name, NULL);
    return full ? full : xstrdup(name);
}

bool chain_set_backing(struct disk *overlay, struct disk *base, const char *name, struct error *err)
{
    AUTO_FREE char *made = base && !name ? name_for(overlay, base) : NULL;
    struct chain_access access;
    bool ok;

    if (!chain_make_writable(overlay, &access, err))
        return false;
    name = made ? made : name;
    ok = disk_change_backing_file(overlay, base ? name : NULL,
                                  base ? chain_skip_filters(base)->driver->name : NULL, err) &&
         disk_set_backing(overlay, base, err);
    chain_restore(&access);
    return ok;
}
