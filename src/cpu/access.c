/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guest memory outside the inline path: what emitted code calls on a TLB miss, device page, page
 * crossing or code page, what the interpreter calls always, and what guest helpers use.
 */
#include <string.h>

#include "base/log.h"
#include "cpu/engine.h"
#include "mem/dirty.h"

static uint64_t sign_extend(uint64_t v, unsigned size)
{
    unsigned shift = 64 - size * 8;

    return (uint64_t)((int64_t)(v << shift) >> shift);
}

static bool crosses(gva_t va, unsigned len)
{
    return (va & 0xfff) + len > 0x1000;
}

static bool is_user(const struct cpu *cpu)
{
    return unlikely(!cpu->mem);
}

/* The permitted entry for va, or leaves with the guest's fault. */
static struct host_tlb_entry *need(struct cpu *cpu, gva_t va, enum cpu_access access, unsigned mmu)
{
    struct host_tlb_entry *en = engine_tlb_lookup(cpu->engine, va, access, mmu, false);

    if (unlikely(!en))
        cpu_raise(cpu);
    return en;
}

static void copy_small(void *to, const void *from, unsigned size)
{
    switch (size) {
    case 1: *(uint8_t *)to = *(const uint8_t *)from; break;
    case 2: memcpy(to, from, 2); break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    default: memcpy(to, from, size);
    }
}

/* A watched page: an access that hits is done by an instruction running alone. */
static void watched(struct cpu *cpu, gva_t va, unsigned size, enum cpu_access access)
{
    struct block *now = engine_current_block(cpu->engine);
    bool alone = now && now->variant != BLOCK_NORMAL;

    if (cpu->guest->watch && cpu->guest->watch(cpu, va, size, access, alone) && now && !alone)
        cpu_restart_slow(cpu);
}

/* Within one page. */
static uint64_t load_one(struct cpu *cpu, const struct host_tlb_entry *en, gva_t va, unsigned size,
                         unsigned mmu)
{
    uint64_t v = 0;
    gpa_t gpa;

    if (unlikely(en->exec_tag & TLB_SLOW))
        watched(cpu, va, size, CPU_READ);
    if (likely(!(en->exec_tag & TLB_IO))) {
        copy_small(&v, (void *)(uintptr_t)(va + en->addend), size);
        return v;
    }
    gpa = engine_tlb_gpa(cpu->engine, va, mmu);
    return mem_io_read(cpu->mem, mem_find(cpu->mem, gpa), gpa, size);
}

/* A store to a page with translations: only blocks that overlap die; the running one makes the
 * instruction run again alone. */
static void written(struct cpu *cpu, const void *host, unsigned size)
{
    struct engine *e = cpu->engine;
    gra_t gra = (gra_t)((const uint8_t *)host - mem_ram_base(cpu->mem));
    struct block *now = engine_current_block(e);

    if (engine_code_written(e, gra, size, now) && now->variant != BLOCK_SLOW)
        cpu_restart_slow(cpu);
}

static void store_one(struct cpu *cpu, struct host_tlb_entry *en, gva_t va, uint64_t v,
                      unsigned size, unsigned mmu)
{
    void *host = (void *)(uintptr_t)(va + en->addend);
    gpa_t gpa;

    if (unlikely(en->write_tag & TLB_SLOW))
        watched(cpu, va, size, CPU_WRITE);
    if (likely(!(en->write_tag & (TLB_IO | TLB_CODE)))) {
        copy_small(host, &v, size);
        return;
    }
    if (!(en->write_tag & TLB_IO)) {
        gra_t gra = (gra_t)((uint8_t *)host - mem_ram_base(cpu->mem));

        written(cpu, host, size);
        copy_small(host, &v, size);
        cpu_host_wrote(cpu, host, size);
        engine_tlb_relax(cpu->engine, en, gra & ~UINT64_C(0xfff));
        return;
    }
    gpa = engine_tlb_gpa(cpu->engine, va, mmu);
    mem_io_write(cpu->mem, mem_find(cpu->mem, gpa), gpa, v, size);
}

uint64_t cpu_load(struct cpu *cpu, gva_t va, unsigned size, unsigned mmu)
{
    struct host_tlb_entry *en;
    uint64_t v = 0;

    if (is_user(cpu))
        return direct_load(cpu, va, size);
    if (unlikely(crosses(va, size))) {
        cpu_load_bytes(cpu, va, &v, size, mmu);
        return v;
    }
    en = need(cpu, va, CPU_READ, mmu);
    return load_one(cpu, en, va, size, mmu);
}

void cpu_store(struct cpu *cpu, gva_t va, uint64_t value, unsigned size, unsigned mmu)
{
    if (is_user(cpu)) {
        direct_store(cpu, va, value, size);
        return;
    }
    if (unlikely(crosses(va, size))) {
        cpu_store_bytes(cpu, va, &value, size, mmu);
        return;
    }
    store_one(cpu, need(cpu, va, CPU_WRITE, mmu), va, value, size, mmu);
}

void cpu_probe(struct cpu *cpu, gva_t va, unsigned len, enum cpu_access access, unsigned mmu)
{
    gva_t last = va + len - 1;

    if (is_user(cpu)) {
        direct_probe(cpu, va, len, access);
        return;
    }
    for (gva_t page = va;; page = (page & ~UINT64_C(0xfff)) + 0x1000) {
        need(cpu, page, access, mmu);
        if ((page ^ last) < 0x1000)
            return;
    }
}

void cpu_load_bytes(struct cpu *cpu, gva_t va, void *buf, unsigned len, unsigned mmu)
{
    uint8_t *to = buf;

    if (is_user(cpu)) {
        direct_load_bytes(cpu, va, buf, len);
        return;
    }
    cpu_probe(cpu, va, len, CPU_READ, mmu);
    while (len) {
        unsigned n = MIN(len, 0x1000u - (unsigned)(va & 0xfff));
        struct host_tlb_entry *en = need(cpu, va, CPU_READ, mmu);

        if (!(en->exec_tag & (TLB_IO | TLB_SLOW)))
            memcpy(to, (void *)(uintptr_t)(va + en->addend), n);
        else
            for (unsigned i = 0; i < n; i++)
                to[i] = (uint8_t)load_one(cpu, en, va + i, 1, mmu);
        to += n, va += n, len -= n;
    }
}

void cpu_store_bytes(struct cpu *cpu, gva_t va, const void *buf, unsigned len, unsigned mmu)
{
    const uint8_t *from = buf;

    if (is_user(cpu)) {
        direct_store_bytes(cpu, va, buf, len);
        return;
    }
    cpu_probe(cpu, va, len, CPU_WRITE, mmu);
    while (len) {
        unsigned n = MIN(len, 0x1000u - (unsigned)(va & 0xfff));
        struct host_tlb_entry *en = need(cpu, va, CPU_WRITE, mmu);

        if (!(en->write_tag & (TLB_IO | TLB_CODE | TLB_SLOW)))
            memcpy((void *)(uintptr_t)(va + en->addend), from, n);
        else
            for (unsigned i = 0; i < n; i++)
                store_one(cpu, en, va + i, from[i], 1, mmu);
        from += n, va += n, len -= n;
    }
}

void *cpu_host_ptr(struct cpu *cpu, gva_t va, enum cpu_access access, unsigned mmu,
                   unsigned *ret_len)
{
    struct host_tlb_entry *en;
    uint64_t tag;

    if (is_user(cpu)) {
        direct_probe(cpu, va, 1, access);
        *ret_len = 0x1000 - (unsigned)(va & 0xfff);
        return direct_ptr(cpu, va);
    }
    en = need(cpu, va, access, mmu);
    tag = access == CPU_WRITE ? en->write_tag : en->read_tag;
    if (tag & (TLB_IO | TLB_CODE | TLB_SLOW))
        return NULL;
    *ret_len = 0x1000 - (unsigned)(va & 0xfff);
    return (void *)(uintptr_t)(va + en->addend);
}

/* Dirty bits, first; and pairs with cpu_fetch(), which marks the page and then reads: another vCPU
 * may have translated it in the meantime. */
void cpu_host_wrote(struct cpu *cpu, const void *host, uint64_t len)
{
    gra_t gra;

    if (!cpu->mem)
        return;
    gra = (gra_t)((const uint8_t *)host - mem_ram_base(cpu->mem));
    if (cpu->engine->cache->parallel || mem_dirty_armed(cpu->mem, gra))
        mem_written(cpu->mem, gra, len);
}

/* For what cannot be atomic here: the instruction runs again in slow mode, and if the translator
 * found that it locks, while no other vCPU runs. */
static void restart_alone(struct cpu *cpu)
{
    const struct block *now = engine_current_block(cpu->engine);

    if (cpu->engine->cache->parallel && now && now->variant != BLOCK_SLOW)
        cpu_restart_slow(cpu);
}

static unsigned __int128 swap16(unsigned __int128 *p, unsigned __int128 want,
                                unsigned __int128 fresh)
{
#if defined(__x86_64__) /* clang makes a call of the built-in unless all is built with -mcx16 */
    uint64_t lo = (uint64_t)want, hi = (uint64_t)(want >> 64);

    __asm__ volatile("lock cmpxchg16b %0"
                     : "+m"(*p), "+a"(lo), "+d"(hi)
                     : "b"((uint64_t)fresh), "c"((uint64_t)(fresh >> 64))
                     : "cc", "memory");
    return (unsigned __int128)hi << 64 | lo;
#else
    return __sync_val_compare_and_swap(p, want, fresh);
#endif
}

/* Not plain RAM (a device, a page with translated code): no other vCPU runs meanwhile. */
bool cpu_cas16(struct cpu *cpu, gva_t va, uint64_t expect[2], const uint64_t want[2])
{
    unsigned __int128 old, cmp = (unsigned __int128)expect[1] << 64 | expect[0];
    uint64_t mem[2];
    unsigned len;
    void *p = cpu_host_ptr(cpu, va, CPU_WRITE, cpu->mmu_index, &len);

    if (p) {
        old = swap16(p, cmp, (unsigned __int128)want[1] << 64 | want[0]);
    } else {
        restart_alone(cpu);
        cpu_load_bytes(cpu, va, mem, 16, cpu->mmu_index);
        old = (unsigned __int128)mem[1] << 64 | mem[0];
        if (old == cmp)
            cpu_store_bytes(cpu, va, want, 16, cpu->mmu_index);
    }
    expect[0] = (uint64_t)old;
    expect[1] = (uint64_t)(old >> 64);
    return old == cmp;
}

uint64_t cpu_port_read(struct cpu *cpu, uint16_t port, unsigned size)
{
    return mem_io_read(cpu->ports, mem_find(cpu->ports, port), port, size);
}

void cpu_port_write(struct cpu *cpu, uint16_t port, uint64_t value, unsigned size)
{
    mem_io_write(cpu->ports, mem_find(cpu->ports, port), port, value, size);
}

unsigned cpu_fetch(struct cpu *cpu, gva_t linear, uint8_t *buf, unsigned want)
{
    struct host_tlb_entry *en;
    unsigned n = MIN(want, 0x1000u - (unsigned)(linear & 0xfff));
    gra_t page;

    if (is_user(cpu))
        return engine_user_fetch(cpu->engine, linear, buf, want);
    en = engine_tlb_lookup(cpu->engine, linear, CPU_EXEC, cpu->mmu_index, false);
    if (!en)
        return 0;
    if (en->exec_tag &
        TLB_IO) { /* running from registers, or from a page that is RAM only in part */
        for (unsigned i = 0; i < n; i++)
            buf[i] = (uint8_t)load_one(cpu, en, linear + i, 1, cpu->mmu_index);
        return n;
    }
    page = (gra_t)((linear & ~UINT64_C(0xfff)) + en->addend - (uint64_t)mem_ram_base(cpu->mem));
    if (!mem_code_test(cpu->mem, page)) {
        mem_code_set(cpu->mem, page);
        engine_tlb_protect(cpu->engine->cache, page, 0x1000);
    }
    memcpy(buf, (void *)(uintptr_t)(linear + en->addend), n);
    return n;
}

/* ---- called by emitted code ---- */

static void check_aligned(struct cpu *cpu, gva_t va, unsigned size, unsigned flags,
                          enum cpu_access access)
{
    if (flags & IR_MEM_ALIGN && va & (size - 1)) {
        cpu->guest->misaligned(cpu, va, access);
        cpu_raise(cpu);
    }
}

static uint64_t slow_load(struct cpu *cpu, gva_t va, uint64_t flags)
{
    unsigned size = 1u << (flags & IR_MEM_SIZE);
    uint64_t v;

    check_aligned(cpu, va, size, (unsigned)flags, CPU_READ);
    v = cpu_load(cpu, va, size, cpu->mmu_index);
    return flags & IR_MEM_SIGN ? sign_extend(v, size) : v;
}

static void slow_store(struct cpu *cpu, gva_t va, uint64_t value, uint64_t flags)
{
    unsigned size = 1u << (flags & IR_MEM_SIZE);

    check_aligned(cpu, va, size, (unsigned)flags, CPU_WRITE);
    cpu_store(cpu, va, value, size, cpu->mmu_index);
}

static void slow_loadv(struct cpu *cpu, gva_t va, void *out, uint64_t flags)
{
    unsigned size = 1u << (flags & IR_MEM_SIZE);

    check_aligned(cpu, va, size, (unsigned)flags, CPU_READ);
    cpu_load_bytes(cpu, va, out, size, cpu->mmu_index);
}

static void slow_storev(struct cpu *cpu, gva_t va, const void *in, uint64_t flags)
{
    unsigned size = 1u << (flags & IR_MEM_SIZE);

    check_aligned(cpu, va, size, (unsigned)flags, CPU_WRITE);
    cpu_store_bytes(cpu, va, in, size, cpu->mmu_index);
}

/* Pages that are no plain RAM, and accesses across two pages, have no pointer: the instruction runs
 * in slow mode. */
static void *slow_xlate(struct cpu *cpu, gva_t va, uint64_t size, uint64_t write)
{
    struct host_tlb_entry *en;

    if (is_user(cpu))
        return direct_ptr(cpu, va);
    if (crosses(va, (unsigned)size)) {
        cpu_probe(cpu, va, (unsigned)size, write ? CPU_WRITE : CPU_READ, cpu->mmu_index);
        cpu_restart_slow(cpu);
    }
    en = need(cpu, va, write ? CPU_WRITE : CPU_READ, cpu->mmu_index);
    if ((write ? en->write_tag : en->read_tag) & (TLB_IO | TLB_CODE | TLB_SLOW))
        cpu_restart_slow(cpu);
    return (void *)(uintptr_t)(va + en->addend);
}

helper_fn *const engine_fixed_fns[HOST_FN_COUNT] = {
    [HOST_FN_LOAD] = (helper_fn *)slow_load,   [HOST_FN_STORE] = (helper_fn *)slow_store,
    [HOST_FN_LOADV] = (helper_fn *)slow_loadv, [HOST_FN_STOREV] = (helper_fn *)slow_storev,
    [HOST_FN_XLATE] = (helper_fn *)slow_xlate,
};

/* ---- called by the interpreter ---- */

static void interp_load(void *opaque, gva_t va, void *buf, unsigned size, unsigned flags)
{
    check_aligned(opaque, va, size, flags, CPU_READ);
    cpu_load_bytes(opaque, va, buf, size, ((struct cpu *)opaque)->mmu_index);
}

static void interp_store(void *opaque, gva_t va, const void *buf, unsigned size, unsigned flags)
{
    struct cpu *cpu = opaque;
    uint64_t v = 0;

    check_aligned(cpu, va, size, flags, CPU_WRITE);
    if (size <= 8) {
        memcpy(&v, buf, size);
        cpu_store(cpu, va, v, size, cpu->mmu_index);
    } else {
        cpu_store_bytes(cpu, va, buf, size, cpu->mmu_index);
    }
}

static void *interp_xlate(void *opaque, gva_t va, unsigned size, bool write)
{
    return slow_xlate(opaque, va, size, write);
}

#define ATOMICS(type)                                                                              \
    switch (op) {                                                                                  \
    case IR_AT_XCHG: return __atomic_exchange_n((type *)p, (type)b, __ATOMIC_SEQ_CST);             \
    case IR_AT_ADD: return __atomic_fetch_add((type *)p, (type)b, __ATOMIC_SEQ_CST);               \
    case IR_AT_AND: return __atomic_fetch_and((type *)p, (type)b, __ATOMIC_SEQ_CST);               \
    case IR_AT_OR: return __atomic_fetch_or((type *)p, (type)b, __ATOMIC_SEQ_CST);                 \
    case IR_AT_XOR: return __atomic_fetch_xor((type *)p, (type)b, __ATOMIC_SEQ_CST);               \
    default: {                                                                                     \
        type old = (type)b;                                                                        \
        __atomic_compare_exchange_n((type *)p, &old, (type)c, false, __ATOMIC_SEQ_CST,             \
                                    __ATOMIC_SEQ_CST);                                             \
        return old;                                                                                \
    }                                                                                              \
    }

static uint64_t interp_atomic(void *opaque, enum ir_op op, gva_t va, unsigned size, uint64_t b,
                              uint64_t c)
{
    void *p = slow_xlate(opaque, va, size, true);

    switch (size) {
    case 1: ATOMICS(uint8_t)
    case 2: ATOMICS(uint16_t)
    case 4: ATOMICS(uint32_t)
    default: ATOMICS(uint64_t)
    }
}

static bool interp_poll(void *opaque)
{
    return cpu_exit_pending(opaque);
}

const struct ir_interp_ops engine_interp_ops = {
    .load = interp_load,
    .store = interp_store,
    .atomic = interp_atomic,
    .xlate = interp_xlate,
    .poll = interp_poll,
};
