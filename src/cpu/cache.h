/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The translation cache: code, blocks, links between them, and the compiler. The vCPUs of a machine
 * share one, or all threads of a user mode process. Private to cpu/.
 */
#pragma once

#include <pthread.h>

#include "base/arena.h"
#include "cpu/cpu.h"
#include "cpu/guest.h"
#include "host/host.h"

struct engine; /* cpu/engine.h: a vCPU */

enum { HELPER_MAX = 1024, JUMP_BITS = 14 };

/* ---- blocks ---- */
enum block_variant { BLOCK_NORMAL, BLOCK_ONE, BLOCK_SLOW };
struct block {
    gra_t gra; /* user mode: the linear pc */
    gva_t pc;
    uint64_t aux;
    uint32_t mode;
    uint8_t variant;
    _Atomic bool dead; /* not to be linked to or remembered any more */
    bool spans;        /* reaches into a second page */
    bool exclusive;    /* to be run while no other vCPU does: LOCK in slow mode */
    uint32_t size;     /* guest bytes */
    gra_t page[2];     /* RAM pages it was made from; [1] only when it spans */
    struct block *_Atomic hash_next;
    struct block *page_next[2];
    struct host_region host;
    uint32_t exit_base;
    uint32_t incoming; /* first exit linked to this block, +1; 0: none */
    struct ir *ir;     /* interpreter only */
};
struct exit_rec {
    struct host_exit e;
    struct block *from, *to; /* to: valid while linked */
    uint32_t next_in;        /* next exit linked to the same block, +1 */
    bool linked;
};
struct code_page {
    gra_t page;
    struct code_page *next;
    struct block *blocks;
    uint64_t granules; /* bit per 64 bytes that hold code */
    bool watched;      /* user mode: writes to it come to cpu_code_written() */
    uint16_t flips;    /* times that blocks of it have died so; FLIPS_MAX: no longer watched, its
                          blocks look themselves whether their code is still the same */
};
enum { PAGE_HASH = 4096, FLIPS_MAX = 8, CODE_WRITES = 64 };

/* Readers need no lock: a lookup while it is replaced or a block moves may miss, never err. */
struct block_table {
    unsigned bits;
    struct block_table *older; /* replaced, kept for readers until the cache is emptied */
    struct block *_Atomic bucket[];
};

/* Translated code and the compiler, for the vCPUs of a machine or of a user mode process. What is
 * published (table, by_code, code memory) is read without the lock; blocks live until the cache is
 * emptied, which happens while no vCPU runs (engine_exclusive_begin). */
struct cache {
    /* constant after init */
    const struct guest *guest;
    const struct host *host; /* NULL: interpreter */
    struct mem *mem;         /* NULL: user mode */
    const struct cpu_user *user;
    unsigned max_insns;
    void *host_state;
    size_t code_start; /* used after host->init */
    bool verify;       /* check the IR of each region (debug builds, tests) */
    unsigned refs;     /* vCPUs; guarded by exclusive_lock */

    pthread_mutex_t lock; /* engine_lock() */
    /* guarded by lock */
    struct host_code_buf code; /* rw and rx are constant */
    struct host_env env;
    struct arena arena; /* blocks, exits' side data; emptied when the cache is */
    struct ir ir;
    struct block_table *_Atomic table;
    struct block **by_code;       /* in order of code offsets */
    _Atomic unsigned block_count; /* of by_code */
    unsigned block_cap;
    unsigned hashed;
    struct exit_rec *exits;
    uint32_t exit_count, exit_cap;
    struct code_page *pages[PAGE_HASH];
    uint32_t *spanning; /* exits linked to blocks that span two pages */
    unsigned spanning_count, spanning_cap;
    uint64_t flushes; /* times the cache was emptied */
    const struct helper *helper_of[HELPER_MAX];
    bool parallel; /* several vCPUs may run: changes within an exclusive section */
    int fork_fd;   /* between fork's prepare and its end: the child's code memory, or -1 */

    /* writes to code by threads that could not wait for `lock`: it is taken before this one */
    pthread_mutex_t writes_lock;
    struct {
        gra_t gra;
        uint64_t len;
    } writes[CODE_WRITES];
    unsigned write_count; /* > CODE_WRITES: kill everything */

    pthread_mutex_t exclusive_lock; /* taken before lock */
    pthread_cond_t exclusive_idle, exclusive_done;
    _Atomic bool exclusive; /* a section is wanted or going on: nobody enters. Written under
                               exclusive_lock */
    struct engine *vcpus;   /* by next_vcpu; changed under both locks */
};

static inline uint32_t engine_jump_index(const struct cache *c, gva_t pc)
{
    return host_jump_hash(pc, JUMP_BITS, c->guest->pc_shift);
}

/* cache.c */
struct cache *engine_cache_new(const struct guest *guest, const struct cpu_config *config,
                               const struct host *host, uint32_t tail, struct error *err);
void engine_cache_attach(struct cache *c, struct engine *e);
void engine_cache_detach(struct engine *e); /* frees it with the last one */
/* Between these no other vCPU is in cpu_run(). Not while in it, and without the cache's lock. */
void engine_exclusive_begin(struct engine *e);
void engine_exclusive_end(struct engine *e);
void engine_enter(struct engine *e); /* waits for exclusive sections of others */
void engine_exit(struct engine *e);
void engine_flush_blocks(struct engine *e);       /* within an exclusive section */
void engine_cache_fork_prepare(struct engine *e); /* under its lock */
bool engine_cache_fork_child(struct engine *e);

/* blocks.c: the cache's lock is held, but for find, by_code and code_written */
struct block *engine_block_find(struct cache *c, gra_t gra, gva_t pc, uint32_t mode, uint64_t aux,
                                enum block_variant v);
struct block *engine_block_add(struct engine *e, const struct block *proto);
struct block *engine_block_by_code(struct cache *c, uint32_t off);
/* Of a block that ran once and that nothing knows: gives back its memory if it is the latest. */
void engine_block_discard(struct engine *e, struct block *b);
void engine_block_kill(struct cache *c, struct block *b);
void engine_link(struct engine *e, uint32_t exit, struct block *to);
void engine_unlink_spanning(struct engine *e);
struct code_page *engine_page_find(struct cache *c, gra_t page);
struct code_page *engine_page_get(struct cache *c, gra_t page);
/* As engine_code_written() under the cache's lock, on any thread. */
void engine_code_killed(struct cache *c, gra_t gra, uint64_t len);
/* Takes the queue of writes by other threads. */
void engine_take_writes(struct engine *e);
/* Kills the blocks made from [gra, gra+len); user mode: from pages that it touches. True when
 * `current` is one of them. */
bool engine_code_written(struct engine *e, gra_t gra, uint64_t len, const struct block *current);
