/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What one vCPU has: run loop, soft TLB and thread. The translated code, which vCPUs can share, is
 * in cpu/cache.h. Private to cpu/.
 */
#pragma once

#include <pthread.h>
#include <setjmp.h>

#include "base/arena.h"
#include "cpu/cache.h"
#include "cpu/cpu.h"
#include "cpu/guest.h"
#include "host/host.h"
#include "mem/mem.h"

/* ---- soft TLB ---- */
enum {
    TLB_BITS = 12, /* entries per table: 4096 */
    TLB_SIZE = 1 << TLB_BITS,
    JUMP_SIZE = 1 << JUMP_BITS,
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
    atomic_flag tlb_busy;  /* engine_tlb_lock() */
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
    struct mem_reader reader, port_reader, overlay_reader;
    bool alone;     /* in an exclusive section of its own */
    unsigned spins; /* cpu_spin_hint() calls */

    _Atomic bool in_code; /* may run guest code: not waiting for an event or an exclusive section */
    /* user mode */
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

/* A table's entries are written by their vCPU, and by other threads that mark pages: both hold
 * this. Short, and innermost. */
void engine_tlb_lock_slow(struct engine *e);
static inline void engine_tlb_lock(struct engine *e)
{
    if (unlikely(atomic_flag_test_and_set_explicit(&e->tlb_busy, memory_order_acquire)))
        engine_tlb_lock_slow(e);
}
static inline void engine_tlb_unlock(struct engine *e)
{
    atomic_flag_clear_explicit(&e->tlb_busy, memory_order_release);
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
/* Pages got code, or are to be watched: writes to them by any vCPU go slow from now on. */
void engine_tlb_protect(struct cache *c, gra_t page, uint64_t len);
/* The same for pages that the dirty bitmap waits for. Any thread. */
void engine_tlb_arm(struct cache *c);
/* The page of this entry of the calling vCPU may need no watching any more. */
void engine_tlb_relax(struct engine *e, struct host_tlb_entry *en, gra_t page);
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

/* compile.c */
struct block *engine_block_for(struct engine *e, gva_t pc,
                               enum block_variant v); /* raises on a fetch fault */
unsigned engine_helper_index(void *opaque, const struct helper *h);

/* cpu.c */
void engine_reader_quiet(struct engine *e); /* holds none now */
void engine_reader_idle(
    struct engine *e); /* holds no entry of a memory view until told otherwise */
void engine_reader_busy(struct engine *e);
void engine_set_current(struct cpu *cpu); /* what cpu_current() says on this thread */

/* accel.c */
void *engine_accel_thread(void *cpu);

/* run.c */
void *engine_thread(void *cpu);
void engine_stand_still(struct engine *e); /* CPU_EVENT_STOP */
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
