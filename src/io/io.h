/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rhea-io: commands typed or given with -c that read, write and disturb an image; one record each.
 */
#ifndef IO_IO_H
#define IO_IO_H

#include "base/object.h"
#include "disk/disk.h"

struct io {
    const char *program;
    struct object_set *objects;
    struct disk_graph *graph;
    struct disk *disk; /* NULL: nothing is open */
    struct disk_queue *queue;
    unsigned open_flags;
    bool misaligned, quit;
};

struct io_command {
    const char *name, *alias, *args, *doc, *help;
    int (*run)(struct io *io, int argc,
               char **argv); /* 0, or negative errno: the exit status is 1 */
    int min_args, max_args;  /* -1: any number */
    bool without_disk;       /* runs with nothing open */
};
extern const struct io_command *const io_commands[]; /* NULL-terminated, made by listgen.py */

int io_main(int argc, char **argv);

#endif
