/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guessing a format by the first bytes of a file. */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "disk/node_priv.h"

#define PROBE_BYTES 2048

static const struct disk_driver *best_match(const uint8_t *head, size_t len, const char *name)
{
    const struct disk_driver *best = NULL;
    int best_score = 0;

    for (const struct disk_driver *const *p = disk_drivers; *p; p++) {
        int score = (*p)->probe ? (*p)->probe(head, len, name) : 0;

        if (score > best_score) {
            best_score = score;
            best = *p;
        }
    }
    return best;
}

const struct disk_driver *probe_format(struct disk *file, const char *name, struct error *err)
{
    uint8_t head[PROBE_BYTES];
    size_t len = MIN(disk_size(file), sizeof(head));
    const struct disk_driver *drv;
    int r = disk_read(file, 0, head, len);

    if (r) {
        fail(err, -r, "Could not read image for determining its format: %s", strerror(-r));
        return NULL;
    }
    drv = best_match(head, len, name);
    if (!drv)
        fail(err, EINVAL, "Could not determine image format: No compatible driver found");
    return drv;
}

bool probe_would_match(const uint8_t *head, size_t len)
{
    const struct disk_driver *drv = best_match(head, len, NULL);

    return drv && strcmp(drv->name, "raw") != 0;
}
