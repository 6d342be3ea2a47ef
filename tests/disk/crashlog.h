/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What iotrap writes and crashreplay reads: events in the order they happened. A write has begun
 * when its event is there; the event DONE with its id says that the call returned. And the model of
 * a disk's contents that crashwriter follows and checks (crashmodel.c).
 */
#ifndef TESTS_DISK_CRASHLOG_H
#define TESTS_DISK_CRASHLOG_H

#include <stdbool.h>
#include <stdint.h>

enum crash_kind {
    CRASH_WRITE = 1, /* offset, len bytes of data follow */
    CRASH_ZERO,      /* offset, len: reads as zeroes, size stays */
    CRASH_GROW,      /* offset, len: the file is at least that long */
    CRASH_SIZE,      /* offset is the new size */
    CRASH_FLUSH,
    CRASH_DONE,
    CRASH_BEGUN,   /* mark: thread (offset) begins op number len */
    CRASH_FLUSHED, /* mark: a flush by the thread after op number len returned */
};

struct crash_event {
    uint64_t kind, id, offset, len;
};

/*
 * A disk divided among threads; each has a sequence of operations that follows from a seed, on
 * blocks of its own. Every 512-byte sector written says which operation wrote it.
 */
enum { CRASH_THREADS_MAX = 8, CRASH_BLOCK = 4096 };

struct crash_plan {
    uint64_t seed, size;
    unsigned threads;
    unsigned cluster; /* bytes: compressed writes are whole clusters */
    bool compressed;  /* some writes are compressed */
    bool zeroes;      /* some operations zero or discard */
    bool snapshots;   /* thread 0 makes and deletes snapshots */
};

enum crash_op_kind {
    CRASH_OP_WRITE,
    CRASH_OP_COMPRESSED,
    CRASH_OP_ZERO,
    CRASH_OP_DISCARD,
    CRASH_OP_FLUSH,
    CRASH_OP_SNAPSHOT,
    CRASH_OP_DROP_SNAPSHOT,
};

struct crash_op {
    enum crash_op_kind kind;
    uint64_t offset, len;
};

/* Operation number op (from 1) of a thread. */
struct crash_op crash_op_of(const struct crash_plan *p, unsigned thread, uint64_t op);
/* Data of a write: each sector stamped. */
void crash_fill(const struct crash_plan *p, unsigned thread, uint64_t op, uint64_t offset,
                uint8_t *buf, uint64_t len);

struct crash_state { /* of one thread */
    uint64_t begun, flushed;
};

struct disk;
/* Whether the disk holds what it must: all up to the flushed operations, and of later ones that
 * were begun any part. Says what is wrong; returns the number of bad sectors. */
uint64_t crash_verify(const struct crash_plan *p, const struct crash_state *s, struct disk *d);

/* "seed=1,size=16777216,..." into a plan; false: what is not known. */
bool crash_parse_plan(const char *text, struct crash_plan *ret);

#endif
