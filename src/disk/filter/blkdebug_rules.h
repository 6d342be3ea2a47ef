/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of a blkdebug node: which event changes its state, makes requests fail, or stops one.
 * A rule of event "none" always counts; any other inject-error rule counts from its event until
 * inject-error rules of another event take over.
 */
#ifndef DISK_FILTER_BLKDEBUG_RULES_H
#define DISK_FILTER_BLKDEBUG_RULES_H

#include <pthread.h>

#include "base/field.h"
#include "disk/event.h"

enum blkdebug_io {
    BLKDEBUG_READ,
    BLKDEBUG_WRITE,
    BLKDEBUG_WRITE_ZEROES,
    BLKDEBUG_DISCARD,
    BLKDEBUG_FLUSH,
    BLKDEBUG_BLOCK_STATUS,
    BLKDEBUG_IO_COUNT,
};

/* One [inject-error] or [set-state] section, or inject-error.N of the options. */
struct blkdebug_section {
    char *event, *iotype;
    uint64_t state; /* 0: any */
    uint64_t new_state;
    uint64_t error; /* an errno value */
    int64_t sector; /* -1: any */
    bool once, immediately;
};
extern const struct field blkdebug_inject_fields[], blkdebug_set_state_fields[];

struct blkdebug_rule;
struct blkdebug_stop;

struct blkdebug_rules {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct blkdebug_rule *first; /* guarded by lock, as the rest */
    struct blkdebug_stop *stopped;
    uint64_t state;
};

void blkdebug_rules_init(struct blkdebug_rules *r);
void blkdebug_rules_finish(struct blkdebug_rules *r); /* nobody may be stopped */

/* Reads a configuration file of QEMU's syntax: [inject-error], [set-state], key = "value". */
bool blkdebug_rules_load(struct blkdebug_rules *r, const char *path, struct error *err) MUST_CHECK;
bool blkdebug_rules_parse(struct blkdebug_rules *r, char *text, struct error *err) MUST_CHECK;
/* Takes over the strings of s when it succeeds. */
bool blkdebug_rules_add(struct blkdebug_rules *r, bool inject, struct blkdebug_section *s,
                        struct error *err) MUST_CHECK;
struct blkdebug_section blkdebug_section_default(void);

/* May block, until the request is resumed. */
void blkdebug_rules_event(struct blkdebug_rules *r, enum disk_event e);
/* The negative errno that a request gets, or 0. len is 0 for a flush. */
int blkdebug_rules_check(struct blkdebug_rules *r, enum blkdebug_io io, uint64_t offset,
                         uint64_t len);

/* As in blkdebug.h. */
int blkdebug_rules_break(struct blkdebug_rules *r, const char *event, const char *tag);
int blkdebug_rules_resume(struct blkdebug_rules *r, const char *tag, bool all);
bool blkdebug_rules_stopped(struct blkdebug_rules *r, const char *tag, bool wait);

#endif
