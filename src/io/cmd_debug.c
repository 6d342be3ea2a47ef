/* SPDX-License-Identifier: GPL-2.0-or-later */
/* break, resume, wait_break, remove_break: requests stopped on their way by a blkdebug node. */
#include "io/io.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "disk/filter/blkdebug.h"

struct io_tag {
    struct io_tag *next;
    char name[];
};

/* Says once per stop that a request stopped. */
static void announce(struct io *io, const char *tag)
{
    for (const struct io_tag *t = io->stopped; t; t = t->next) {
        if (!strcmp(t->name, tag))
            return;
    }
    struct io_tag *t = xcalloc(1, sizeof(*t) + strlen(tag) + 1);
    strcpy(t->name, tag);
    t->next = io->stopped;
    io->stopped = t;
    printf("blkdebug: Suspended request '%s'\n", tag);
}

static void forget(struct io *io, const char *tag)
{
    struct io_tag **at = &io->stopped;
    while (*at) {
        struct io_tag *t = *at;
        if (!tag || !strcmp(t->name, tag)) {
            *at = t->next;
            free(t);
        } else {
            at = &t->next;
        }
    }
}

void io_let_all_go(struct io *io)
{
    int none = io->disk ? disk_debug_remove_break(io->disk, NULL) : 0;
    (void)none; /* there was none, or no blkdebug node at all */
    forget(io, NULL);
}

static int run_break(struct io *io, int argc, char **argv)
{
    int r = disk_debug_break(io->disk, argv[1], argv[2]);
    if (r == -EINVAL) /* no such event */
        r = -ENOENT;
    if (r)
        printf("Could not set breakpoint: %s\n", strerror(-r));
    return r;
}

static int run_resume(struct io *io, int argc, char **argv)
{
    if (disk_debug_is_suspended(io->disk, argv[1])) {
        announce(io, argv[1]);
        printf("blkdebug: Resuming request '%s'\n", argv[1]);
    }
    int r = disk_debug_resume(io->disk, argv[1]);
    forget(io, argv[1]);
    if (r)
        printf("Could not resume request: %s\n", strerror(-r));
    return r;
}

static int run_wait_break(struct io *io, int argc, char **argv)
{
    io_reap(io);
    int r = disk_debug_wait_break(io->disk, argv[1]);
    if (r)
        printf("Could not wait for request: %s\n", strerror(-r));
    else
        announce(io, argv[1]);
    return r;
}

static int run_remove_break(struct io *io, int argc, char **argv)
{
    int r = disk_debug_remove_break(io->disk, argv[1]);
    if (r)
        printf("Could not remove breakpoint %s: %s\n", argv[1], strerror(-r));
    return r;
}

const struct io_command break_command = {
    .name = "break",
    .args = "event tag",
    .doc = "sets a breakpoint on event and tags the stopped request as tag",
    .run = run_break,
    .min_args = 2,
    .max_args = 2,
};

const struct io_command remove_break_command = {
    .name = "remove_break",
    .args = "tag",
    .doc = "remove a breakpoint by tag",
    .run = run_remove_break,
    .min_args = 1,
    .max_args = 1,
};

const struct io_command resume_command = {
    .name = "resume",
    .args = "tag",
    .doc = "resumes the request tagged as tag",
    .run = run_resume,
    .min_args = 1,
    .max_args = 1,
};

const struct io_command wait_break_command = {
    .name = "wait_break",
    .args = "tag",
    .doc = "waits for the suspension of a request",
    .run = run_wait_break,
    .min_args = 1,
    .max_args = 1,
};
