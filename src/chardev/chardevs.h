/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The named character devices of one VM (-chardev, and those that -serial makes under its own
 * names), and who has them: one frontend each, or several with mux=on. Machine lock held.
 */
#ifndef CHARDEV_CHARDEVS_H
#define CHARDEV_CHARDEVS_H

#include "chardev/chardev.h"

#include <stdio.h>

struct chardevs;

/* escapes: for those with Ctrl-A keys; copied, may be NULL. */
struct chardevs *chardevs_new(struct loop *loop, const struct chardev_escapes *escapes);
void chardevs_free(struct chardevs *s); /* writes out what is queued; NULL is fine */

/* "socket,id=s0,path=/run/s,server=on,wait=off" or JSON, flat with "backend", or as chardev-add. */
bool chardevs_add(struct chardevs *s, const char *text, struct error *err) MUST_CHECK;
/* The short spelling of -serial (chardev_new_from_spec()), under this id. */
bool chardevs_add_spec(struct chardevs *s, const char *id, const char *spec,
                       struct error *err) MUST_CHECK;
bool chardevs_remove(struct chardevs *s, const char *id, struct error *err) MUST_CHECK;

/* The chardev for one frontend, which gives it back. NULL with err: none is called id (names the
 * nearest), or somebody has it already. */
struct chardev *chardevs_take(struct chardevs *s, const char *id, struct error *err);
/* What -serial, -debugcon and the like say: "chardev:ID" takes that one, any other spec is made
 * under id and taken. NULL with err. */
struct chardev *chardevs_take_spec(struct chardevs *s, const char *id, const char *spec,
                                   struct error *err);
void chardevs_give_back(struct chardevs *s, struct chardev *c); /* detaches it; NULL is fine */

/* In the order made, NULL after the last; prev NULL: the first. For query-chardev. */
const struct chardev *chardevs_next(const struct chardevs *s, const struct chardev *prev);

/* -chardev help */
void chardevs_print_help(FILE *f);

#endif
