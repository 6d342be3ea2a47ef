/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The engine: struct cache is the translated code and its compiler, which vCPUs can share; struct
 * engine is what one vCPU has: run loop, soft TLB and thread. Private to cpu/.
 */
#pragma once

#include <pthread.h>
#include <setjmp.h>

#include "base/arena.h"
#include "cpu/cpu.h"
#include "cpu/guest.h"
#include "host/host.h"
#include "mem/mem.h"

/* ---- soft TLB ---- */
enum {
    TLB_BITS = 12, /* entries per table: 4096 */
    TLB_SIZE = 1 << TLB_BITS,
    JUMP_BITS = 14,
    JUMP_SIZE = 1 << JUMP_BITS,
    HELPER_MAX = 1024,
    EXEC_PAGE_BITS = 16, /* bits of the filter of pages that the jump cache may know */
};
enum {                  /* low bits of a tag; any of them sends an access to the slow path */
       TLB_IO = 1,      /* read_tag, write_tag: not plain RAM: look the address up */
       TLB_CODE = 2,    /* write_tag: the page holds translated code */
       TLB_SLOW = 4,    /* the guest wants to see each access */
       TLB_GLOBAL = 8,  /* exec_tag: the mapping survives an address space switch */
       TLB_NOEXEC = 16, /* exec_tag: flags only, no permission */
       TLB_INVALID = 2048,
};
#define TLB_NONE UINT64_MAX

struct tlb_table {
    struct host_tlb_entry entry[TLB_SIZE];
    gpa_t gpa[TLB_SIZE];       /* page, for entries that are not RAM */
    uint16_t filled[TLB_SIZE]; /* indices in use since the last flush */
    unsigned filled_count;
};
struct tlb_space {
    uint64_t id;
    uint32_t gen; /* jump-cache generation */
    uint64_t last_used;
    bool used;
    uint64_t large_filter[64];              /* hashed 2 MiB pieces of large mappings seen */
    bool has_huge;                          /* a mapping beyond 4 MiB was seen */
    struct tlb_table *table[CPU_MMU_COUNT]; /* made when first needed */
};

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
enum { PAGE_HASH = 4096, FLIPS_MAX = 8 };

/* Readers need no lock: a lookup while it is replaced or a block moves may miss, never err. */
struct block_table {
    unsigned bits;
    struct block_table *older; /* replaced, kept for readers until the cache is emptied */
    struct block *_Atomic bucket[];
};

/* Translated code and the compiler, for one vCPU or for all threads of a user mode process. What is
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
    bool parallel;
    int fork_fd; /* between fork's prepare and its end: the child's code memory, or -1 */

    pthread_mutex_t exclusive_lock; /* taken before lock */
    pthread_cond_t exclusive_idle, exclusive_done;
    _Atomic bool exclusive; /* a section is wanted or going on: nobody enters. Written under
                               exclusive_lock */
    struct engine *vcpus;   /* by next_vcpu; changed under both locks */
};

struct engine_mode {
    uint32_t mode;
    uint64_t aux;
};

struct cpu_tail { /* lies behind the guest's structure, reached by emitted code */
    uint64_t saved[16];
    uint8_t scratch[HOST_SCRATCH_SIZE] __attribute__((aligned(16)));
    struct host_ret_entry rstack[HOST_RSTACK_SIZE];
    uint32_t rstack_top;
    helper_fn *helpers[HELPER_MAX]; /* filled by any vCPU's thread under the cache's lock */
};

/* One vCPU. All fields belong to its thread but where a comment says otherwise. */
struct engine {
    struct cpu *cpu;
    struct cache *cache;
    struct engine *next_vcpu;
    const struct host *host; /* the cache's */
    struct cpu_tail *tail;

    struct tlb_space space[CPU_SPACE_COUNT];
    struct tlb_space *cur;
    uint64_t use_clock;
    uint32_t gen_next, kernel_gen;
    bool kernel_nonglobal; /* a jump-cache entry of the shared generation lies on a non-global page
                            */
    uint64_t exec_pages[1 << (EXEC_PAGE_BITS - 6)];
    struct engine_mode modes[256];
    unsigned mode_count;

    jmp_buf leave;
    bool restart_slow;     /* run the next instruction in slow mode */
    bool deliver;          /* an exception waits for guest->deliver, or for user/ */
    struct block *running; /* interpreter: the block in progress */
    uint32_t host_csr;     /* FP environment of C code */
    bool fp_entered;
    bool shadow;         /* the running block is the instruction of an interrupt shadow */
    unsigned lock_depth; /* of the cache's lock */
    struct mem_listener listener;

    /* user mode */
    _Atomic bool in_code;       /* within cpu_run(), and not waiting for an exclusive section */
    _Atomic bool kicked;        /* cpu_kick(): any thread sets */
    bool fault;                 /* cpu_signal_leave() was called */
    bool watch;                 /* the translation in work watches its pages */
    bool unwatched;             /* but one of them flips too often */
    struct block *signal_block; /* the block that the latest guest signal hit */
    gva_t fetch_ok;             /* the page that may be fetched from, in the translation in work */

    struct cpu_config config;
    /* thread control: guarded by lock */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool started, stopped, stop_wanted, quit;
    uint32_t sipi_vector;
    struct {
        gra_t gra;
        uint64_t len;
    } code_writes[64];
    unsigned code_write_count; /* > 64: flush everything */
};

/* The cache's lock, as often as the vCPU's thread likes: page walks write guest memory while a
 * translation is made. */
static inline void engine_lock(struct engine *e)
{
    if (e->lock_depth++ == 0)
        pthread_mutex_lock(&e->cache->lock);
}
static inline void engine_unlock(struct engine *e)
{
    if (--e->lock_depth == 0)
        pthread_mutex_unlock(&e->cache->lock);
}

static inline uint32_t engine_jump_index(const struct cache *c, gva_t pc)
{
    return host_jump_hash(pc, JUMP_BITS, c->guest->pc_shift);
}

/* tlb.c */
void engine_tlb_init(struct engine *e);
void engine_tlb_finish(struct engine *e);
void engine_tag_update(struct engine *e); /* cpu->tlb and cpu->jump_tag from mode and space */
/* The entry for va with `access` permitted; fills it by the guest's walk. NULL: fault, recorded
 * unless probe. */
struct host_tlb_entry *engine_tlb_lookup(struct engine *e, gva_t va, enum cpu_access access,
                                         unsigned mmu, bool probe);
gpa_t engine_tlb_gpa(struct engine *e, gva_t va, unsigned mmu); /* of an entry just looked up */
void engine_tlb_protect(struct engine *e, gra_t page); /* a page got code: writes to it go slow */
void engine_jump_insert(struct engine *e, const struct block *b);
void engine_jump_clear(struct engine *e);
void engine_tlb_drop_all(struct engine *e);

/* access_direct.c: user mode */
uint64_t direct_load(struct cpu *cpu, gva_t va, unsigned size);
void direct_store(struct cpu *cpu, gva_t va, uint64_t value, unsigned size);
void direct_load_bytes(struct cpu *cpu, gva_t va, void *buf, unsigned len);
void direct_store_bytes(struct cpu *cpu, gva_t va, const void *buf, unsigned len);
void direct_probe(struct cpu *cpu, gva_t va, unsigned len, enum cpu_access access);
static inline void *direct_ptr(struct cpu *cpu, gva_t va)
{
    return (void *)(uintptr_t)(va + cpu->engine->cache->user->base);
}

/* access.c: the slow paths of emitted code */
extern helper_fn *const engine_fixed_fns[HOST_FN_COUNT];
extern const struct ir_interp_ops engine_interp_ops;

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
void engine_flush_blocks(struct engine *e);       /* user mode: within an exclusive section */
void engine_cache_fork_prepare(struct engine *e); /* under its lock */
bool engine_cache_fork_child(struct engine *e);

/* blocks.c: the cache's lock is held, but for find, by_code and code_written */
struct block *engine_block_find(struct cache *c, gra_t gra, gva_t pc, uint32_t mode, uint64_t aux,
                                enum block_variant v);
struct block *engine_block_add(struct engine *e, const struct block *proto);
struct block *engine_block_by_code(struct cache *c, uint32_t off);
/* Of a block that ran once and that nothing knows: gives back its memory if it is the latest. */
void engine_block_discard(struct engine *e, struct block *b);
void engine_block_kill(struct engine *e, struct block *b);
void engine_link(struct engine *e, uint32_t exit, struct block *to);
void engine_unlink_spanning(struct engine *e);
struct code_page *engine_page_find(struct cache *c, gra_t page);
struct code_page *engine_page_get(struct cache *c, gra_t page);
/* Kills the blocks made from [gra, gra+len); user mode: from pages that it touches. True when
 * `current` is one of them. */
bool engine_code_written(struct engine *e, gra_t gra, uint64_t len, const struct block *current);

/* compile.c */
struct block *engine_block_for(struct engine *e, gva_t pc,
                               enum block_variant v); /* raises on a fetch fault */
unsigned engine_helper_index(void *opaque, const struct helper *h);

/* run.c */
void *engine_thread(void *cpu);
void engine_fp_enter(struct engine *e);
void engine_fp_leave(struct engine *e);
struct block *engine_current_block(struct engine *e);
void engine_restore(struct engine *e); /* after a call out of emitted code: exact state */
void engine_log_exec(struct engine *e, const struct block *b);
enum ir_exit_kind engine_run_interp(struct engine *e, struct block *b);
static inline gva_t *engine_pc(struct cpu *cpu)
{
    return (gva_t *)((char *)cpu + cpu->guest->slots[cpu->guest->slot_pc].offset);
}

/* user.c */
unsigned engine_user_fetch(struct engine *e, gva_t linear, uint8_t *buf, unsigned want);
