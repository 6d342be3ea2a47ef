/* SPDX-License-Identifier: GPL-2.0-or-later */
/* info: what the open image is. */
#include "io/io.h"

#include <string.h>

#include "base/bits.h"
#include "disk/node.h"

/* qcow2 keeps the state of a VM behind the disk's end, from the next whole L2 table on. */
static uint64_t vm_state_offset(const struct disk *d, const json_t *info)
{
    if (strcmp(disk_driver_name(d), "qcow2") || !d->cluster_size)
        return 0;
    uint64_t entry = json_is_true(json_object_get(info, "extended-l2")) ? 16 : 8;
    uint64_t span = d->cluster_size / entry * d->cluster_size;
    return ALIGN_UP(disk_size(d), span);
}

static int run_info(struct io *io, int argc, char **argv)
{
    struct disk *d = io->disk;
    json_t *info = disk_format_info(d);
    char cluster[64], state[64];
    io_size_text(disk_cluster_size(d), cluster);
    io_size_text((double)vm_state_offset(d, info), state);
    printf("format name: %s\ncluster size: %s\nvm state offset: %s\n", disk_driver_name(d), cluster,
           state);
    if (info) {
        printf("Format specific information:\n");
        io_print_json(info, 1);
    }
    json_decref(info);
    return 0;
}

const struct io_command info_command = {
    .name = "info",
    .alias = "i",
    .doc = "prints information about the current file",
    .run = run_info,
};
