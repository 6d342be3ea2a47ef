/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The contents that crashwriter's operations make: generated, and checked after a crash. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/optlist.h"
#include "crashlog.h"
#include "disk/disk.h"

#define STAMP_MAGIC UINT64_C(0x72686561637261ff)
enum { SECTOR = 512, MAX_OP_BLOCKS = 40 };

struct stamp {
    uint64_t magic, offset, thread, op;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x7fb5d329728ea185);
    x ^= x >> 27;
    x *= UINT64_C(0x81dadef4bc2dd44d);
    return x ^ (x >> 33);
}

static uint64_t draw(const struct crash_plan *p, unsigned thread, uint64_t op, unsigned which)
{
    return mix(p->seed * 0x9e3779b97f4a7c15 + thread * 0xbf58476d1ce4e5b9 + op * 16 + which);
}

static enum crash_op_kind kind_of(const struct crash_plan *p, unsigned thread, uint64_t op)
{
    unsigned dice = draw(p, thread, op, 0) % 100;

    if (dice < 8)
        return CRASH_OP_FLUSH;
    if (dice < 16 && p->zeroes)
        return dice & 1 ? CRASH_OP_ZERO : CRASH_OP_DISCARD;
    if (dice < 40 && p->compressed)
        return CRASH_OP_COMPRESSED;
    if (dice < 46 && p->snapshots && thread == 0)
        return dice < 43 ? CRASH_OP_SNAPSHOT : CRASH_OP_DROP_SNAPSHOT;
    return CRASH_OP_WRITE;
}

struct crash_op crash_op_of(const struct crash_plan *p, unsigned thread, uint64_t op)
{
    uint64_t share = ALIGN_DOWN(p->size / p->threads, (uint64_t)p->cluster);
    struct crash_op o = { .kind = kind_of(p, thread, op) };
    uint64_t unit = CRASH_BLOCK, units, n;

    if (o.kind == CRASH_OP_COMPRESSED)
        unit = p->cluster;
    units = share / unit;
    n = draw(p, thread, op, 1) % 8 ? 1 + draw(p, thread, op, 2) % 4
                                   : 1 + draw(p, thread, op, 2) % MAX_OP_BLOCKS;
    if (o.kind == CRASH_OP_COMPRESSED)
        n = 1;
    n = MIN(n, units);
    o.offset = thread * share + draw(p, thread, op, 3) % (units - n + 1) * unit;
    o.len = n * unit;
    return o;
}

void crash_fill(const struct crash_plan *p, unsigned thread, uint64_t op, uint64_t offset,
                uint8_t *buf, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += SECTOR) {
        struct stamp s = { STAMP_MAGIC, offset + at, thread, op };

        memset(buf + at, (int)(op & 0xff), SECTOR);
        memcpy(buf + at, &s, sizeof(s));
    }
}

/* Which operation wrote the sector; 0: zeroes; UINT64_MAX: neither. */
static uint64_t who_wrote(const uint8_t *buf, uint64_t offset, unsigned thread)
{
    static const uint8_t zeroes[SECTOR];
    struct stamp s;

    if (!memcmp(buf, zeroes, SECTOR))
        return 0;
    memcpy(&s, buf, sizeof(s));
    if (s.magic != STAMP_MAGIC || s.offset != offset || s.thread != thread)
        return UINT64_MAX;
    for (unsigned i = sizeof(s); i < SECTOR; i++)
        if (buf[i] != (uint8_t)s.op)
            return UINT64_MAX;
    return s.op;
}

static bool changes(const struct crash_op *o)
{
    return o->kind <= CRASH_OP_DISCARD;
}

/* What a block may hold: values[0] was flushed, the others came later. */
struct allowed {
    uint64_t *ops;
    unsigned count, room;
};

static void allow(struct allowed *a, uint64_t value)
{
    for (unsigned i = 0; i < a->count; i++)
        if (a->ops[i] == value)
            return;
    if (a->count == a->room) {
        a->room = MAX(4u, a->room * 2);
        a->ops = xrealloc_array(a->ops, a->room, sizeof(a->ops[0]));
    }
    a->ops[a->count++] = value;
}

static void replay(const struct crash_plan *p, unsigned thread, const struct crash_state *s,
                   uint64_t first, struct allowed *blocks)
{
    for (uint64_t op = 1; op <= s->begun; op++) {
        struct crash_op o = crash_op_of(p, thread, op);
        bool zero = o.kind == CRASH_OP_ZERO || o.kind == CRASH_OP_DISCARD;

        for (uint64_t at = o.offset; changes(&o) && at < o.offset + o.len; at += CRASH_BLOCK) {
            struct allowed *a = &blocks[(at - first) / CRASH_BLOCK];

            /* a discard is a hint: the old data may stay */
            if (op <= s->flushed && o.kind != CRASH_OP_DISCARD)
                a->count = 0;
            allow(a, zero ? 0 : op);
        }
    }
}

static uint64_t verify_thread(const struct crash_plan *p, unsigned thread,
                              const struct crash_state *s, struct disk *d)
{
    uint64_t share = ALIGN_DOWN(p->size / p->threads, (uint64_t)p->cluster), first = thread * share;
    struct allowed *blocks = xnew_array(struct allowed, share / CRASH_BLOCK);
    uint8_t *buf = xnew_array(uint8_t, CRASH_BLOCK);
    uint64_t bad = 0;

    for (uint64_t i = 0; i < share / CRASH_BLOCK; i++)
        allow(&blocks[i], 0);
    replay(p, thread, s, first, blocks);
    for (uint64_t at = first; at < first + share; at += CRASH_BLOCK) {
        const struct allowed *a = &blocks[(at - first) / CRASH_BLOCK];
        int r = disk_read(d, at, buf, CRASH_BLOCK);

        for (unsigned k = 0; k < CRASH_BLOCK; k += SECTOR) {
            uint64_t who = r < 0 ? UINT64_MAX : who_wrote(buf + k, at + k, thread);
            bool ok = false;

            for (unsigned i = 0; i < a->count; i++)
                ok |= who == a->ops[i];
            if (!ok && bad++ < 4)
                printf("offset %#" PRIx64 ": thread %u, %s %" PRId64 ", expected op %" PRIu64
                       " (flushed) or one of %u later; flushed %" PRIu64 " begun %" PRIu64 "\n",
                       at + k, thread, r < 0 ? "error" : "found op", r < 0 ? r : (int64_t)who,
                       a->ops[0], a->count - 1, s->flushed, s->begun);
        }
    }
    for (uint64_t i = 0; i < share / CRASH_BLOCK; i++)
        free(blocks[i].ops);
    free(blocks);
    free(buf);
    return bad;
}

uint64_t crash_verify(const struct crash_plan *p, const struct crash_state *s, struct disk *d)
{
    uint64_t bad = 0;

    for (unsigned t = 0; t < p->threads; t++)
        bad += verify_thread(p, t, &s[t], d);
    return bad;
}

bool crash_parse_plan(const char *text, struct crash_plan *ret)
{
    struct optlist l = { 0 };
    struct error err = { 0 };
    uint64_t threads = 1, cluster = 65536;
    bool ok;

    *ret = (struct crash_plan){ .seed = 1, .size = 16 << 20 };
    ok = optlist_parse(&l, text, NULL, &err) && optlist_take_u64(&l, "seed", &ret->seed, &err) &&
         optlist_take_u64(&l, "size", &ret->size, &err) &&
         optlist_take_u64(&l, "threads", &threads, &err) &&
         optlist_take_u64(&l, "cluster", &cluster, &err) &&
         optlist_take_bool(&l, "compressed", &ret->compressed, &err) &&
         optlist_take_bool(&l, "zeroes", &ret->zeroes, &err) &&
         optlist_take_bool(&l, "snapshots", &ret->snapshots, &err) &&
         optlist_done(&l, "plan", &err);
    optlist_finish(&l);
    if (!ok || threads < 1 || threads > CRASH_THREADS_MAX || !is_pow2(cluster)) {
        printf("plan: %s\n", err.msg);
        return false;
    }
    ret->threads = (unsigned)threads;
    ret->cluster = (unsigned)cluster;
    return true;
}
