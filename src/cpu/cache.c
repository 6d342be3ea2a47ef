/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A translation cache's life: code memory, the vCPUs that use it, exclusive sections, emptying it,
 * and a copy of its own for a forked child.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/trace.h"
#include "cpu/engine.h"

enum {
    TABLE_BITS = 12,
    SYSTEM_CODE_MIB = 256,
    USER_CODE_MIB = 128,
    REGION_INSNS = 64,
    MIN_BLOCK_BYTES = 32,
    INTERP_BLOCKS = 1 << 20,
    COPY_MAX = 24 << 20, /* of a forked child: beyond it starts with nothing */
};

/* ---- code memory: one file, two mappings ---- */

static bool map_code(struct host_code_buf *code, size_t size, struct error *err)
{
    int fd = memfd_create("rhea-code", MFD_CLOEXEC);
    void *rw, *rx;

    if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
        if (fd >= 0)
            close(fd);
        return fail(err, errno, "memory for translated code (%zu MiB): %s", size >> 20,
                    strerror(errno));
    }
    rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    rx = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    close(fd);
    code->rw = rw == MAP_FAILED ? NULL : rw;
    code->rx = rx == MAP_FAILED ? NULL : rx;
    code->size = size;
    if (!code->rw || !code->rx)
        return fail(err, errno, "mapping memory for translated code: %s", strerror(errno));
    return true;
}

/* Large tables that are touched little by little. */
static void *reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static struct block_table *new_table(void)
{
    struct block_table *t = calloc(1, sizeof(*t) + (sizeof(t->bucket[0]) << TABLE_BITS));

    if (!t)
        abort();
    t->bits = TABLE_BITS;
    return t;
}

static void free_tables(struct cache *c)
{
    for (struct block_table *t = atomic_load(&c->table), *older; t; t = older) {
        older = t->older;
        free(t);
    }
}

static void set_env(struct cache *c, uint32_t tail)
{
    const struct guest *guest = c->guest;

    c->env = (struct host_env){
        .off_exit_request = offsetof(struct cpu, exit_request),
        .off_tlb = offsetof(struct cpu, tlb),
        .off_jump_cache = offsetof(struct cpu, jump_cache),
        .off_jump_tag = offsetof(struct cpu, jump_tag),
        .off_host_ra = offsetof(struct cpu, host_ra),
        .off_fpcsr = offsetof(struct cpu, fpcsr),
        .off_vec_live = offsetof(struct cpu, vec_live),
        .off_saved = tail + (uint32_t)offsetof(struct cpu_tail, saved),
        .off_helpers = tail + (uint32_t)offsetof(struct cpu_tail, helpers),
        .off_scratch = tail + (uint32_t)offsetof(struct cpu_tail, scratch),
        .off_rstack = tail + (uint32_t)offsetof(struct cpu_tail, rstack),
        .off_rstack_top = tail + (uint32_t)offsetof(struct cpu_tail, rstack_top),
        .tlb_bits = TLB_BITS,
        .jump_cache_bits = JUMP_BITS,
        .jump_shift = guest->pc_shift,
        .page_bits = 12,
        .direct = c->user != NULL,
        .with_base = c->user && c->user->base,
        .slots = guest->slots,
        .slot_count = guest->slot_count,
        .helper_index = engine_helper_index,
        .opaque = c,
    };
}

static bool init_code(struct cache *c, const struct cpu_config *config, struct error *err)
{
    size_t size = (size_t)(c->user ? USER_CODE_MIB : SYSTEM_CODE_MIB) << 20;

    if (config->tb_size)
        size = config->tb_size;
    c->block_cap = c->host ? (unsigned)(size / MIN_BLOCK_BYTES) : INTERP_BLOCKS;
    c->by_code = reserve(c->block_cap * sizeof(*c->by_code));
    if (!c->by_code)
        return fail(err, errno, "memory for the list of blocks: %s", strerror(errno));
    if (!c->host)
        return true;
    if (!map_code(&c->code, size, err))
        return false;
    c->host_state = c->host->init(&c->code, &c->env, err);
    c->code_start = c->code.used;
    return c->host_state != NULL;
}

static void cache_free(struct cache *c)
{
    for (unsigned i = 0; i < atomic_load(&c->block_count); i++)
        if (c->by_code[i]->ir) {
            ir_finish(c->by_code[i]->ir);
            free(c->by_code[i]->ir);
        }
    if (c->host_state)
        c->host->finish(c->host_state);
    if (c->code.rw)
        munmap(c->code.rw, c->code.size);
    if (c->code.rx)
        munmap(c->code.rx, c->code.size);
    if (c->by_code)
        munmap(c->by_code, c->block_cap * sizeof(*c->by_code));
    free_tables(c);
    free(c->exits);
    free(c->spanning);
    arena_finish(&c->arena);
    ir_finish(&c->ir);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->writes_lock);
    pthread_mutex_destroy(&c->exclusive_lock);
    pthread_cond_destroy(&c->exclusive_idle);
    pthread_cond_destroy(&c->exclusive_done);
    munmap(c, sizeof(*c));
}

static void init_locks(struct cache *c)
{
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->writes_lock, NULL);
    pthread_mutex_init(&c->exclusive_lock, NULL);
    pthread_cond_init(&c->exclusive_idle, NULL);
    pthread_cond_init(&c->exclusive_done, NULL);
}

struct cache *engine_cache_new(const struct guest *guest, const struct cpu_config *config,
                               const struct host *host, uint32_t tail, struct error *err)
{
    struct cache *c = reserve(sizeof(*c));

    if (!c)
        abort();
    c->guest = guest;
    c->host = host;
    c->mem = config->mem;
    c->user = config->user;
    c->max_insns = config->max_insns ? config->max_insns : REGION_INSNS;
    c->verify = getenv("RHEA_VERIFY_IR") != NULL;
    init_locks(c);
    ir_init(&c->ir, guest->slots, guest->slot_count, (uint16_t)guest->slot_pc);
    set_env(c, tail);
    atomic_store(&c->table, new_table());
    c->exit_cap = 1024;
    c->exits = xnew_array(struct exit_rec, c->exit_cap);
    if (init_code(c, config, err))
        return c;
    cache_free(c);
    return NULL;
}

/* ---- its vCPUs ---- */

void engine_cache_attach(struct cache *c, struct engine *e)
{
    e->cache = c;
    e->host = c->host;
    memcpy(e->tail->helpers, engine_fixed_fns, sizeof(engine_fixed_fns));
    pthread_mutex_lock(&c->exclusive_lock);
    engine_lock(e);
    for (unsigned i = HOST_FN_COUNT; i < HELPER_MAX; i++)
        if (c->helper_of[i])
            e->tail->helpers[i] = c->helper_of[i]->fn;
    e->next_vcpu = c->vcpus;
    c->vcpus = e;
    c->refs++;
    engine_unlock(e);
    pthread_mutex_unlock(&c->exclusive_lock);
}

void engine_cache_detach(struct engine *e)
{
    struct cache *c = e->cache;
    struct engine **link = &c->vcpus;
    bool last;

    pthread_mutex_lock(&c->exclusive_lock);
    engine_lock(e);
    while (*link != e)
        link = &(*link)->next_vcpu;
    *link = e->next_vcpu;
    last = --c->refs == 0;
    engine_unlock(e);
    pthread_mutex_unlock(&c->exclusive_lock);
    if (last)
        cache_free(c);
}

/* ---- exclusive sections ---- */

static bool others_in_code(const struct engine *e)
{
    for (const struct engine *v = e->cache->vcpus; v; v = v->next_vcpu)
        if (v != e && atomic_load(&v->in_code))
            return true;
    return false;
}

void engine_exclusive_begin(struct engine *e)
{
    struct cache *c = e->cache;

    pthread_mutex_lock(&c->exclusive_lock);
    while (atomic_load(&c->exclusive))
        pthread_cond_wait(&c->exclusive_done, &c->exclusive_lock);
    atomic_store(&c->exclusive, true);
    for (struct engine *v = c->vcpus; v; v = v->next_vcpu)
        if (v != e)
            atomic_store(&v->cpu->exit_request, 1);
    while (others_in_code(e))
        pthread_cond_wait(&c->exclusive_idle, &c->exclusive_lock);
    pthread_mutex_unlock(&c->exclusive_lock);
}

void engine_exclusive_end(struct engine *e)
{
    struct cache *c = e->cache;

    pthread_mutex_lock(&c->exclusive_lock);
    atomic_store(&c->exclusive, false);
    pthread_cond_broadcast(&c->exclusive_done);
    pthread_mutex_unlock(&c->exclusive_lock);
}

void engine_enter(struct engine *e)
{
    struct cache *c = e->cache;

    atomic_store(&e->in_code, true);
    if (likely(!atomic_load(&c->exclusive)))
        return;
    pthread_mutex_lock(&c->exclusive_lock);
    atomic_store(&e->in_code, false);
    pthread_cond_broadcast(&c->exclusive_idle);
    while (atomic_load(&c->exclusive))
        pthread_cond_wait(&c->exclusive_done, &c->exclusive_lock);
    atomic_store(&e->in_code, true);
    pthread_mutex_unlock(&c->exclusive_lock);
}

void engine_exit(struct engine *e)
{
    struct cache *c = e->cache;

    atomic_store(&e->in_code, false);
    if (likely(!atomic_load(&c->exclusive)))
        return;
    pthread_mutex_lock(&c->exclusive_lock);
    pthread_cond_broadcast(&c->exclusive_idle);
    pthread_mutex_unlock(&c->exclusive_lock);
}

/* ---- emptying ---- */

void engine_flush_blocks(struct engine *e)
{
    struct cache *c = e->cache;

    engine_lock(e);
    TRACE(cpu, "code cache emptied: %u blocks, %zu bytes", atomic_load(&c->block_count),
          c->code.used);
    for (unsigned i = 0; c->mem && i < PAGE_HASH; i++)
        for (struct code_page *p = c->pages[i]; p; p = p->next)
            mem_code_clear(c->mem, p->page);
    for (unsigned i = 0; i < atomic_load(&c->block_count); i++)
        if (c->by_code[i]->ir) {
            ir_finish(c->by_code[i]->ir);
            free(c->by_code[i]->ir);
        }
    memset(c->pages, 0, sizeof(c->pages)); /* the records themselves lie in the arena */
    free_tables(c);
    atomic_store(&c->table, new_table());
    c->hashed = 0;
    atomic_store(&c->block_count, 0);
    c->exit_count = 0;
    c->spanning_count = 0;
    c->code.used = c->code_start;
    c->flushes++;
    arena_reset(&c->arena);
    for (struct engine *v = c->vcpus; v; v = v->next_vcpu) {
        v->running = NULL;
        engine_jump_clear(v);
    }
    engine_unlock(e);
}

/* ---- fork ----
 * Code memory is shared with the child, and the parent goes on to change it: the child gets a copy
 * that is made before. */

static bool write_all(int fd, const uint8_t *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);

        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static size_t fork_keeps(const struct cache *c)
{
    return c->code.used - c->code_start <= COPY_MAX ? c->code.used : c->code_start;
}

/* Out of the way of the guest's numbers, which its other threads may make use of right now. */
static int high_fd(int fd)
{
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 1000);

    if (high < 0)
        return fd;
    close(fd);
    return high;
}

/* Errors show in the child: its parent is well. */
void engine_cache_fork_prepare(struct engine *e)
{
    struct cache *c = e->cache;
    int fd;

    c->fork_fd = -1;
    if (!c->host)
        return;
    fd = high_fd(memfd_create("rhea-code", MFD_CLOEXEC));
    if (fd >= 0 && write_all(fd, c->code.rw, fork_keeps(c)) &&
        ftruncate(fd, (off_t)c->code.size) == 0)
        c->fork_fd = fd;
    else if (fd >= 0)
        close(fd);
}

static bool remap(const struct cache *c, void *at, int prot)
{
    return mmap(at, c->code.size, prot, MAP_SHARED | MAP_FIXED, c->fork_fd, 0) != MAP_FAILED;
}

bool engine_cache_fork_child(struct engine *e)
{
    struct cache *c = e->cache;

    init_locks(c);
    e->lock_depth = 0;
    c->vcpus = e;
    e->next_vcpu = NULL;
    c->refs = 1;
    atomic_store(&c->exclusive, false);
    if (!c->host)
        return true;
    if (c->fork_fd < 0 || !remap(c, c->code.rw, PROT_READ | PROT_WRITE) ||
        !remap(c, c->code.rx, PROT_READ | PROT_EXEC))
        return false;
    close(c->fork_fd);
    if (fork_keeps(c) != c->code.used)
        engine_flush_blocks(e);
    return true;
}
