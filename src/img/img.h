/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rhea-img: one record per command, in its own file. Options of commands are a table that drives
 * parsing, help and errors. Exit status: 0, 1 error; check and compare have their own.
 */
#ifndef IMG_IMG_H
#define IMG_IMG_H

#include "base/object.h"
#include "disk/disk.h"

struct img {
    const char *program; /* for messages */
    struct object_set *objects;
    struct disk_graph *graph;
    bool quiet, progress;
};

struct img_command {
    const char *name, *doc;
    const char *synopsis;                               /* what follows the name in the help */
    int (*run)(struct img *img, int argc, char **argv); /* argv[0] is the command; exit status */
};
extern const struct img_command *const img_commands[]; /* NULL-terminated, made by listgen.py */

/* main/img.c */
int img_main(int argc, char **argv);

#endif
