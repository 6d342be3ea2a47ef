/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random cases: tables with good, odd and broken descriptors and gates, a mode, a privilege, and
 * one instruction of a group. Whatever happens ends in HLT: all handlers are HLTs at different
 * addresses, and one follows the instruction.
 */
#include "kvm_diff.h"

#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/endian.h"

enum { /* memory map */
       IVT = 0,
       GDT = 0x1000,
       LDT = 0x1800,
       IDT = 0x2000,
       HANDLERS = 0x3000,
       TSS_A = 0x4000,
       TSS_B = 0x5000,
       TSS_C = 0x5800,
       PML4 = 0x6000,
       PDPT = 0x7000,
       PD = 0x8000,
       PT = 0x9000,
       CODE = 0xc000,
       STACK3 = 0x20000,
       STACK0 = 0x28000,
       STACKS = 0x30000,
       DATA = 0x40000,
       TARGET = 0xe000,
};
enum { GDT_ENTRIES = 64, LDT_ENTRIES = 16 };
enum { /* selectors / 8 */
       G_NULL,
       G_CODE0,
       G_DATA0,
       G_CODE3,
       G_DATA3,
       G_CODE64_0,
       G_CODE64_3,
       G_TSS,
       G_TSS_HIGH,
       G_LDT,
       G_LDT_HIGH,
       G_CODE16,
       G_DATA16,
       G_CODE1,
       G_DATA1,
       G_CODE2,
       G_DATA2,
       G_TSS_B,
       G_TSS_C,
       G_TASK_GATE,
       G_CONF0,
       G_CONF64,
       G_RANDOM,
};
enum mode { REAL, PROT32, PROT16, VM86, LONG64, COMPAT, MODES };
static const char *const mode_names[MODES] = { "real", "prot32", "prot16",
                                               "vm86", "long64", "compat" };

static uint64_t seed = 1;
bool case_wild;

void case_seed(uint64_t s)
{
    seed = s * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % below;
}

static bool one_in(uint32_t n)
{
    return rnd(n) == 0;
}
static uint64_t rnd64(void)
{
    return (uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX);
}

struct maker {
    struct test_case *c;
    enum mode mode;
    unsigned cpl;
    uint8_t *code; /* where the next instruction byte goes */
    bool lma;
    unsigned bits; /* of code */
};

/* ---- descriptors ---- */

static uint64_t descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    bool big = limit > 0xfffff;

    if (big)
        limit >>= 12, flags |= 8;
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 |
           (uint64_t)(base >> 24) << 56;
}

static uint64_t random_descriptor(void)
{
    static const uint32_t limits[] = { 0xffffffff, 0xffff, 0xffffffff, 0xfff, 0x7ffff, 0 };
    unsigned access = rnd(256), flags = rnd(8);
    uint32_t base = one_in(3) ? rnd(0x10) << rnd(16) : 0;

    if (!one_in(5))
        access |= 0x80;
    if (!one_in(4))
        access |= 0x10;
    if (one_in(2))
        access |= 1;
    return descriptor(base, limits[rnd(ARRAY_SIZE(limits))], access, flags);
}

static uint64_t gate(unsigned sel, uint32_t off, unsigned access, unsigned params)
{
    return (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)params << 32 | (uint64_t)access << 40 |
           (uint64_t)(off >> 16) << 48;
}

static unsigned random_selector(const struct maker *m)
{
    unsigned n = one_in(2) ? rnd(G_RANDOM) : rnd(GDT_ENTRIES);

    if (one_in(30))
        return rnd(0x10000);
    if (one_in(8))
        return (n % LDT_ENTRIES) << 3 | 4 | rnd(4);
    return n << 3 | (one_in(2) ? m->cpl : rnd(4));
}

/* A selector of a code segment, most of the time. */
static unsigned code_selector(const struct maker *m)
{
    static const uint8_t good[] = { G_CODE0, G_CODE3, G_CODE64_0, G_CODE64_3, G_CODE16,
                                    G_CODE1, G_CODE2, G_CONF0,    G_CONF64 };

    if (one_in(3))
        return random_selector(m);
    unsigned n = good[rnd(ARRAY_SIZE(good))];

    return n << 3 | (one_in(3) ? rnd(4) : n == G_CODE3 || n == G_CODE64_3 ? 3 : m->cpl);
}

static void put_descriptors(struct maker *m)
{
    uint8_t *ram = m->c->ram, *g = ram + GDT;

    for (unsigned i = G_RANDOM; i < GDT_ENTRIES; i++) {
        uint64_t d = random_descriptor();

        if (i % 4 == 0) { /* call gates, with their upper halves in the next entry */
            d = gate(code_selector(m), TARGET + rnd(64),
                     (one_in(8) ? 0 : 0x80) | rnd(4) << 5 | (m->lma || one_in(2) ? 12 : 4),
                     one_in(2) ? 0 : rnd(8));
            st_le64(g + i * 8 + 8, 0);
            st_le64(g + i++ * 8, d);
            continue;
        }
        st_le64(g + i * 8, d);
    }
    st_le64(g + G_CODE0 * 8, descriptor(0, UINT32_MAX, 0x9b, 4));
    st_le64(g + G_DATA0 * 8, descriptor(0, UINT32_MAX, 0x93, 4));
    st_le64(g + G_CODE3 * 8, descriptor(0, UINT32_MAX, 0xfb, 4));
    st_le64(g + G_DATA3 * 8, descriptor(0, UINT32_MAX, 0xf3, 4));
    st_le64(g + G_CODE64_0 * 8, descriptor(0, UINT32_MAX, 0x9b, 2));
    st_le64(g + G_CODE64_3 * 8, descriptor(0, UINT32_MAX, 0xfb, 2));
    st_le64(g + G_TSS * 8, descriptor(TSS_A, 0x3ff, 0x8b, 0));
    st_le64(g + G_TSS_HIGH * 8, 0);
    st_le64(g + G_LDT * 8, descriptor(LDT, LDT_ENTRIES * 8 - 1, 0x82, 0));
    st_le64(g + G_LDT_HIGH * 8, 0);
    st_le64(g + G_CODE16 * 8, descriptor(0, UINT32_MAX, 0x9b | m->cpl << 5, 0));
    st_le64(g + G_DATA16 * 8, descriptor(0, 0xffff, 0x93 | m->cpl << 5, 0));
    st_le64(g + G_CODE1 * 8, descriptor(0, UINT32_MAX, 0xbb, m->lma ? 2 : 4));
    st_le64(g + G_DATA1 * 8, descriptor(0, UINT32_MAX, 0xb3, 4));
    st_le64(g + G_CODE2 * 8, descriptor(0, UINT32_MAX, 0xdb, m->lma ? 2 : 4));
    st_le64(g + G_DATA2 * 8, descriptor(0, UINT32_MAX, 0xd3, 4));
    st_le64(g + G_TSS_B * 8, descriptor(TSS_B, one_in(10) ? 100 : 0x67, 0x89 | rnd(4) << 5, 0));
    st_le64(g + G_TSS_C * 8, descriptor(TSS_C, 0x2b + rnd(2), 0x81 | rnd(4) << 5, 0));
    st_le64(g + G_TASK_GATE * 8,
            gate(one_in(2) ? G_TSS_B << 3 : G_TSS_C << 3, 0, 0x85 | rnd(4) << 5, 0));
    st_le64(g + G_CONF0 * 8, descriptor(0, UINT32_MAX, 0x9f, 4));
    st_le64(g + G_CONF64 * 8, descriptor(0, UINT32_MAX, 0x9f, 2));
    for (unsigned i = 0; i < LDT_ENTRIES; i++)
        st_le64(ram + LDT + i * 8, one_in(3) ? ld_le64(g + rnd(G_TSS) * 8) : random_descriptor());
}

static void put_idt(struct maker *m)
{
    uint8_t *ram = m->c->ram;
    unsigned code = m->lma ? G_CODE64_0 << 3 : G_CODE0 << 3;
    bool odd = case_wild && one_in(4);

    for (unsigned v = 0; v < 256; v++) {
        unsigned access = 0x80 | (case_wild ? rnd(4) : 3) << 5 | (one_in(2) ? 14 : 15);
        unsigned sel = code, ist = 0;

        if (case_wild && !m->lma && one_in(4))
            access = (access & 0xf0) | 6 | (access & 1);
        if (odd && one_in(2)) {
            sel = code_selector(m);
            access ^= one_in(5) ? 0x80 : 0;
            access = one_in(8) ? rnd(256) : access;
            if (one_in(8) && !m->lma)
                sel = (one_in(2) ? G_TSS_B : G_TSS_C) << 3, access = (access & 0xe0) | 5;
        }
        if (case_wild && m->lma && one_in(3))
            ist = rnd(8);
        if (m->lma) {
            st_le64(ram + IDT + v * 16, gate(sel, HANDLERS + v, access, ist));
            st_le64(ram + IDT + v * 16 + 8, 0);
        } else {
            st_le64(ram + IDT + v * 8, gate(sel, HANDLERS + v, access, 0));
        }
        st_le16(ram + IVT + v * 4, (uint16_t)(v & 15));
        st_le16(ram + IVT + v * 4 + 2, (uint16_t)(HANDLERS / 16 + v / 16));
    }
}

static void put_task(struct maker *m, uint32_t at, bool is32)
{
    uint8_t *t = m->c->ram + at;

    if (is32) {
        st_le32(t + 0x1c, PML4);
        st_le32(t + 0x20, TARGET + 0x100);
        st_le32(t + 0x24, 2 | (one_in(8) ? rnd(0x40000) & 0x3f4fd5 : 0));
        for (unsigned i = 0; i < 8; i++)
            st_le32(t + 0x28 + i * 4, i == 4 ? STACK0 + 0x800 : rnd(UINT32_MAX));
        for (unsigned i = 0; i < 6; i++)
            st_le16(t + 0x48 + i * 4, (uint16_t)(i == 1 ? G_CODE0 << 3 : G_DATA0 << 3));
        st_le16(t + 0x60, one_in(2) ? G_LDT << 3 : 0);
    } else {
        st_le16(t + 0xe, 0x100);
        st_le16(t + 0x10, 2);
        for (unsigned i = 0; i < 8; i++)
            st_le16(t + 0x12 + i * 2, (uint16_t)rnd(65536));
        for (unsigned i = 0; i < 4; i++)
            st_le16(t + 0x22 + i * 2, (uint16_t)(i == 1 ? G_CODE0 << 3 : G_DATA0 << 3));
        st_le16(t + 0x2a, 0);
    }
    if (one_in(3)) /* one selector is odd */
        st_le16(t + (is32 ? 0x48 + rnd(6) * 4 : 0x22 + rnd(4) * 2), (uint16_t)random_selector(m));
    if (is32 && one_in(20))
        t[0x64] = 1;
}

static void put_tss(struct maker *m)
{
    uint8_t *t = m->c->ram + TSS_A;

    if (m->lma) {
        for (unsigned i = 0; i < 3; i++)
            st_le64(t + 4 + i * 8,
                    STACKS + i * 0x1000 + 0x800 + (case_wild && one_in(8) ? rnd(16) : 0));
        for (unsigned i = 0; i < 7; i++)
            st_le64(t + 0x24 + i * 8,
                    case_wild && one_in(30) ? rnd64() : STACKS + 0x4000 + i * 0x1000);
    } else {
        for (unsigned i = 0; i < 3; i++) {
            static const uint8_t data[3] = { G_DATA0, G_DATA1, G_DATA2 };

            st_le32(t + 4 + i * 8, STACKS + i * 0x1000 + 0x800);
            st_le16(t + 8 + i * 8,
                    (uint16_t)(case_wild && one_in(10) ? random_selector(m) : data[i] << 3 | i));
        }
    }
    st_le16(t, (uint16_t)(one_in(4)   ? random_selector(m)
                          : one_in(2) ? G_TSS_B << 3
                                      : G_TSS_C << 3)); /* back link */
    st_le16(t + 102, (uint16_t)(one_in(6) ? rnd(0x500) : 104));
    for (unsigned i = 0; i < 64; i++)
        t[104 + i] = (uint8_t)(one_in(2) ? 0 : rnd(256));
    put_task(m, TSS_B, true);
    put_task(m, TSS_C, false);
}

/* Identity mapping of the RAM by 4 KiB pages; pages of the data area have random rights. */
static void put_pages(struct maker *m)
{
    uint8_t *ram = m->c->ram;
    bool long_mode = m->lma;

    st_le64(ram + PML4, PDPT | 7);
    st_le64(ram + PDPT, PD | (long_mode ? 7 : 1));
    st_le64(ram + PD, PT | 7);
    if (!long_mode) /* PAE: CR3 names the PDPT */
        st_le64(ram + PML4, PD | 1);
    for (unsigned i = 0; i < RAM_SIZE >> 12; i++) {
        bool system = i < CODE >> 12 || (i >= STACK0 >> 12 && i < DATA >> 12) ||
                      (i < STACK3 >> 12 && m->cpl == 0);
        uint64_t e = (uint64_t)i << 12 | (system ? 3 : 7);

        if (i >= DATA >> 12 && one_in(2))
            e = (e & ~UINT64_C(0xfff)) | (rnd(256) & 0x67) | (one_in(2) ? 1 : 0) |
                (one_in(4) ? BIT(63) : 0) | (one_in(20) ? BIT(51) : 0);
        st_le64(ram + PT + i * 8, e);
    }
}

/* ---- CPU state ---- */

static struct seg_state seg_of(const struct maker *m, unsigned sel)
{
    uint64_t d = ld_le64(m->c->ram + (sel & 4 ? LDT : GDT) + (sel & ~7u));
    uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));

    if (d >> 55 & 1)
        limit = limit << 12 | 0xfff;
    return (struct seg_state){ .base = (d >> 16 & 0xffffff) | (d >> 56 << 24),
                               .limit = limit,
                               .flags = d >> 40 & 0xf0ff,
                               .sel = (uint16_t)sel };
}

static struct seg_state real_seg(unsigned sel, bool vm)
{
    return (struct seg_state){
        .base = sel << 4, .limit = 0xffff, .flags = vm ? 0xf3 : 0x93, .sel = (uint16_t)sel
    };
}

static void put_segments(struct maker *m)
{
    struct state *s = &m->c->start;
    static const uint8_t data[4] = { G_DATA0, G_DATA1, G_DATA2, G_DATA3 },
                         code[4] = { G_CODE0, G_CODE1, G_CODE2, G_CODE3 };
    unsigned cs = code[m->cpl];

    if (m->mode == REAL || m->mode == VM86) {
        for (unsigned i = 0; i < 6; i++)
            s->seg[i] = real_seg(i == 1   ? CODE >> 4
                                 : i == 2 ? STACK3 >> 4
                                          : DATA >> 4,
                                 m->mode == VM86);
        if (m->mode == REAL)
            s->seg[1].flags = 0x9b;
        return;
    }
    if (m->mode == LONG64)
        cs = m->cpl == 3 ? G_CODE64_3 : m->cpl == 0 ? G_CODE64_0 : code[m->cpl];
    if (m->mode == PROT16 || (m->mode == COMPAT && (one_in(4) || (m->cpl & 3) % 3)))
        cs = G_CODE16;
    s->seg[1] = seg_of(m, cs << 3 | m->cpl);
    for (unsigned i = 0; i < 6; i++)
        if (i != 1)
            s->seg[i] = seg_of(m, (unsigned)data[m->cpl] << 3 | m->cpl);
    if (case_wild && m->mode == PROT16 && one_in(2))
        s->seg[2] = seg_of(m, G_DATA16 << 3 | m->cpl);
    for (unsigned i = 3; i < 6 && m->mode != LONG64 && !(m->mode == COMPAT && kvm_is_software());
         i++) /* a limited or strange data segment now and then */
        if (one_in(4))
            s->seg[i] = (struct seg_state){ .base = one_in(2) ? 0 : DATA,
                                            .limit = one_in(2) ? rnd(0x200) : 0xffff,
                                            .flags = 0x91 | rnd(4) << 1 | 0x4000 | m->cpl << 5,
                                            .sel = (uint16_t)(G_DATA0 << 3 | m->cpl) };
}

static void put_cpu(struct maker *m)
{
    struct state *s = &m->c->start;

    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = one_in(2) ? rnd(0x10000) : m->bits == 64 ? rnd64() : rnd(UINT32_MAX);
    put_segments(m);
    s->seg[SEG_LDT] = seg_of(m, G_LDT << 3);
    s->seg[SEG_TR] = seg_of(m, G_TSS << 3);
    s->gdt_base = GDT;
    s->gdt_limit = GDT_ENTRIES * 8 - 1;
    s->idt_base = m->mode == REAL ? IVT : IDT;
    s->idt_limit = m->mode == REAL ? 0x3ff : case_wild && one_in(20) ? rnd(0x400) | 7 : 0xfff;
    s->cr0 = 0x30 | (m->mode != REAL) | (one_in(2) ? 0x10000 : 0);
    s->cr4 = 0;
    s->cr3 = PML4;
    if (m->lma) {
        s->cr0 |= UINT64_C(1) << 31;
        s->cr4 = 0x20 | 0x600 | (case_wild && one_in(3) ? 1 << 20 : 0) |
                 (case_wild && one_in(3) ? 1 << 21 : 0) | (one_in(3) ? 1 << 11 : 0) |
                 (one_in(2) ? 1 << 16 : 0);
        s->efer = 0xd01;
    }
    s->rflags = 2 | (rnd(0x10000) & (case_wild ? 0xcd5 : 0x8d5)) | (uint32_t)rnd(4) << 12 |
                (m->mode == VM86 ? 1 << 17 : 0);
    s->rflags |= (one_in(4) ? 0x200u : 0) | (case_wild && one_in(25) ? 0x100u : 0) |
                 (one_in(6) ? 1u << 18 : 0);
    s->dr6 = 0xffff0ff0;
    s->dr7 = 0x400;
    s->gpr[4] =
        (m->mode == REAL || m->mode == VM86 ? 0x800 : (m->cpl == 3 ? STACK3 : STACK0) + 0x800);
    s->msr[0] = (uint64_t)(one_in(3) ? random_selector(m) : (G_DATA3 - 2) << 3 | 3) << 48 |
                (uint64_t)(G_CODE64_0 << 3) << 32 | TARGET;
    s->msr[1] = TARGET + 0x20;
    s->msr[2] = TARGET + 0x30;
    s->msr[3] = rnd(0x80000);
    s->msr[4] = rnd(0x10000);
    s->msr[5] = one_in(8) ? 0 : G_CODE0 << 3;
    s->msr[6] = STACK0 + 0x400;
    s->msr[7] = TARGET + 0x40;
    s->msr[8] = rnd(100);
    s->msr[9] = UINT64_C(0x0007040600070406);
}

/* ---- instructions ---- */

static void emit(struct maker *m, unsigned n, const uint8_t *bytes)
{
    memcpy(m->code, bytes, n);
    m->code += n;
}
#define EMIT(m, ...) emit(m, sizeof((uint8_t[]){ __VA_ARGS__ }), (uint8_t[]){ __VA_ARGS__ })

static void emit_n(struct maker *m, uint64_t v, unsigned n)
{
    uint8_t b[8];

    st_le64(b, v);
    emit(m, n, b);
}

/* Operand size of the instruction to come: emits 66 or REX.W at random; returns 2, 4 or 8. */
static unsigned opsize(struct maker *m)
{
    if (m->bits == 64 && one_in(3)) {
        EMIT(m, 0x48);
        return 8;
    }
    if (one_in(4)) {
        EMIT(m, 0x66);
        return m->bits == 16 ? 4 : 2;
    }
    return m->bits == 16 ? 2 : 4;
}

static uint8_t *stack_at(struct maker *m, unsigned off)
{
    struct state *s = &m->c->start;
    uint32_t base = m->bits == 64 ? 0 : (uint32_t)s->seg[2].base;

    return m->c->ram + ((base + (uint32_t)s->gpr[4] + off) & (RAM_SIZE - 1));
}

static void put_n(uint8_t *at, uint64_t v, unsigned n)
{
    uint8_t b[8];

    st_le64(b, v);
    memcpy(at, b, n);
}

static uint64_t target(struct maker *m)
{
    if (m->mode == REAL || m->mode == VM86)
        return rnd(0x40) + 0x100;
    return one_in(20) ? rnd64() : TARGET + rnd(64);
}

static bool real_like(const struct maker *m)
{
    return m->mode == REAL || m->mode == VM86;
}

static unsigned far_selector(struct maker *m)
{
    return real_like(m) ? (TARGET - 0x100) >> 4
           : one_in(3)  ? (unsigned)(G_RANDOM + rnd(GDT_ENTRIES - G_RANDOM)) << 3 | rnd(4)
                        : code_selector(m);
}

static void gen_mov_sreg(struct maker *m)
{
    static const uint8_t regs[] = { 0, 2, 3, 4, 5 };
    unsigned n = regs[rnd(5)];

    m->c->start.gpr[0] = random_selector(m);
    switch (rnd(4)) {
    case 0: EMIT(m, 0x8e, (uint8_t)(0xc0 | n << 3)); break;
    case 1: /* push; pop through the stack */
        put_n(stack_at(m, 0), random_selector(m), 8);
        if (m->bits == 64 || n >= 4)
            EMIT(m, 0x0f, one_in(2) ? 0xa1 : 0xa9);
        else
            EMIT(m, (uint8_t)(n << 3 | 7));
        break;
    case 2:
        EMIT(m, 0x0f,
             one_in(2)   ? 0xb4
             : one_in(2) ? 0xb5
                         : 0xb2,
             0x00 | 6 << 3 | (m->bits == 16 ? 4 : 6)); /* lfs, lgs, lss si, [..] */
        m->c->start.gpr[6] = real_like(m) ? 0x40 : DATA + 0x40;
        put_n(m->c->ram + DATA + 0x40 + (m->bits == 16 ? 2 : 4), random_selector(m), 2);
        break;
    default: EMIT(m, 0x8c, (uint8_t)(0xc0 | rnd(6) << 3)); break;
    }
}

static void gen_far_direct(struct maker *m)
{
    unsigned size = m->bits == 16 ? 2 : 4;

    if (m->bits == 64) {
        m->c->start.gpr[6] = DATA + 0x40;
        put_n(m->c->ram + DATA + 0x40, target(m), 4);
        put_n(m->c->ram + DATA + 0x44, far_selector(m), 2);
        EMIT(m, 0xff, (uint8_t)((one_in(2) ? 3 : 5) << 3 | 6));
        return;
    }
    if (one_in(3)) {
        EMIT(m, 0x66);
        size ^= 6;
    }
    EMIT(m, one_in(2) ? 0xea : 0x9a);
    emit_n(m, target(m), size);
    emit_n(m, far_selector(m), 2);
}

static void gen_far_return(struct maker *m)
{
    unsigned size = opsize(m), extra = one_in(2) ? rnd(32) : 0;
    unsigned sel = far_selector(m);
    static const uint8_t data[4] = { G_DATA0, G_DATA1, G_DATA2, G_DATA3 };

    put_n(stack_at(m, 0), target(m), size);
    put_n(stack_at(m, size), sel, size);
    put_n(stack_at(m, 2 * size + extra), STACKS + 0x3000, size);
    put_n(stack_at(m, 3 * size + extra),
          one_in(4) ? random_selector(m) : (unsigned)data[sel & 3] << 3 | (sel & 3), size);
    if (extra) {
        EMIT(m, 0xca);
        emit_n(m, extra, 2);
    } else {
        EMIT(m, 0xcb);
    }
}

static void gen_iret(struct maker *m)
{
    unsigned size = opsize(m), sel = real_like(m) ? (TARGET - 0x100) >> 4 : code_selector(m);
    static const uint8_t data[4] = { G_DATA0, G_DATA1, G_DATA2, G_DATA3 };
    uint32_t flags =
        2 | (rnd(0x400000) & 0x3f7ed5 & ~0x100u) | (case_wild && one_in(15) ? 0x100 : 0);

    if (!one_in(4))
        flags &= ~(1u << 17);
    if (case_wild && one_in(8) && m->mode != REAL)
        m->c->start.rflags |= 1 << 14; /* nested task */
    put_n(stack_at(m, 0), target(m), size);
    put_n(stack_at(m, size), sel, size);
    put_n(stack_at(m, 2 * size), flags, size);
    put_n(stack_at(m, 3 * size), STACKS + 0x3000, size);
    put_n(stack_at(m, 4 * size),
          one_in(4) ? random_selector(m) : (unsigned)data[sel & 3] << 3 | (sel & 3), size);
    for (unsigned i = 0; i < 4; i++)
        if (flags & 1 << 17)
            put_n(stack_at(m, (5 + i) * size), DATA >> 4, size);
    if (flags & 1 << 17 && size == 4) {
        put_n(stack_at(m, 0), 0x100, 4);
        put_n(stack_at(m, 4), TARGET >> 4, 4);
    }
    EMIT(m, 0xcf);
}

static void gen_int(struct maker *m)
{
    switch (rnd(m->bits == 64 ? 4 : 5)) {
    case 0: EMIT(m, 0xcc); break;
    case 1: EMIT(m, 0xf1); break;
    case 2: EMIT(m, 0x0f, 0x0b); break;
    case 3: EMIT(m, 0xcd, (uint8_t)(one_in(2) ? rnd(256) : rnd(32))); break;
    default: EMIT(m, 0xce); break;
    }
}

static void gen_look(struct maker *m)
{
    static const uint8_t lar_lsl[] = { 0x02, 0x03 };

    m->c->start.gpr[0] = random_selector(m);
    if (one_in(6) && m->bits != 64) {
        EMIT(m, 0x63, 0xd8); /* arpl ax, bx */
        m->c->start.gpr[3] = rnd(8);
        return;
    }
    if (one_in(2)) {
        opsize(m);
        EMIT(m, 0x0f, lar_lsl[rnd(2)], 0xc8);
    } else {
        EMIT(m, 0x0f, 0x00, (uint8_t)(0xc0 | (4 + rnd(2)) << 3));
    }
}

static void gen_system(struct maker *m)
{
    static const uint8_t cr[] = { 0, 2, 3, 4 };
    struct state *s = &m->c->start;

    s->gpr[6] = real_like(m) ? 0x40 : DATA + 0x40;
    switch (rnd(12)) {
    case 0:
        s->gpr[0] = one_in(2) ? random_selector(m) : G_LDT << 3;
        EMIT(m, 0x0f, 0x00, 0xd0);
        break; /* lldt */
    case 1:    /* ltr; in long mode the upper half of these descriptors is another one */
        s->gpr[0] = m->lma && !case_wild ? (one_in(2) ? G_LDT << 3 : rnd(G_TSS) << 3)
                    : one_in(2)          ? random_selector(m)
                                         : G_TSS_B << 3;
        EMIT(m, 0x0f, 0x00, 0xd8);
        break; /* ltr */
    case 2:
        opsize(m);
        EMIT(m, 0x0f, 0x00, (uint8_t)(0xc0 | rnd(2) << 3));
        break; /* sldt, str */
    case 3:
        opsize(m);
        EMIT(m, 0x0f, 0x01, 0xe0);
        break; /* smsw */
    case 4:
        s->gpr[0] = rnd(16);
        EMIT(m, 0x0f, 0x01, 0xf0);
        break;                          /* lmsw */
    case 5: EMIT(m, 0x0f, 0x06); break; /* clts */
    case 6:                             /* sgdt, sidt, lgdt, lidt */
        if (one_in(3))
            EMIT(m, 0x66);
        EMIT(m, 0x0f, 0x01, (uint8_t)(rnd(4) << 3 | (m->bits == 16 ? 4 : 6)));
        break;
    case 7: EMIT(m, 0x0f, 0x20, (uint8_t)(0xc0 | cr[rnd(4)] << 3)); break; /* mov eax, cr */
    case 8: { /* mov cr, eax with one bit changed */
        unsigned n = cr[rnd(4)];
        uint64_t old = n == 0 ? s->cr0 : n == 2 ? s->cr2 : n == 3 ? s->cr3 : s->cr4;
        static const uint8_t cr0_bits[] = { 0, 1, 2, 3, 16, 18, 29, 30, 6, 31 };
        unsigned bit = n == 0   ? cr0_bits[rnd(ARRAY_SIZE(cr0_bits) - !case_wild)]
                       : n == 4 ? 2 + rnd(9)
                                : rnd(n == 3 ? 12 : 64);

        s->gpr[0] = old ^ BIT(bit);
        EMIT(m, 0x0f, 0x22, (uint8_t)(0xc0 | n << 3));
        break;
    }
    case 9: EMIT(m, 0x0f, 0x21, (uint8_t)(0xc0 | rnd(8) << 3)); break; /* mov eax, dr */
    case 10:
        s->gpr[0] = one_in(2) ? rnd64() : rnd(0x10000) & ~0x2003u & ~0xffu;
        EMIT(m, 0x0f, 0x23, (uint8_t)(0xc0 | (6 + rnd(2)) << 3));
        break;
    default:
        if (m->bits == 64 || case_wild)
            EMIT(m, 0x0f, 0x01, 0xf8);
        break; /* swapgs */
    }
}

static void gen_flags(struct maker *m)
{
    uint32_t f = rnd(0x400000) & ~0x100u;

    switch (rnd(5)) {
    case 0: EMIT(m, 0xfa); break;
    case 1: EMIT(m, 0xfb); break;
    case 2:
        if (one_in(3))
            EMIT(m, 0x66);
        EMIT(m, 0x9c);
        break;
    default:
        put_n(stack_at(m, 0), f | (case_wild && one_in(10) ? 0x100 : 0), 8);
        if (one_in(3))
            EMIT(m, 0x66);
        EMIT(m, 0x9d);
        break;
    }
}

static void gen_io(struct maker *m)
{
    struct state *s = &m->c->start;

    s->gpr[2] = 0x80 + rnd(0x180);
    if (one_in(3)) { /* ins, outs, with REP at times */
        s->gpr[1] = rnd(4);
        s->gpr[6] = s->gpr[7] = real_like(m) ? rnd(0xfff0) : DATA + rnd(0x8000);
        if (one_in(2))
            EMIT(m, 0xf3);
        EMIT(m, (uint8_t)(0x6c + rnd(4)));
        return;
    }
    if (one_in(3))
        EMIT(m, 0x66);
    if (one_in(2))
        EMIT(m, (uint8_t)(0xec + rnd(4)));
    else
        EMIT(m, (uint8_t)(0xe4 + rnd(4)), (uint8_t)(0x80 + rnd(16)));
}

static void gen_syscall(struct maker *m)
{
    m->c->start.gpr[1] = one_in(10) ? rnd64() : TARGET + rnd(32);
    m->c->start.gpr[2] = one_in(10) ? rnd64() : TARGET + rnd(32);
    m->c->start.gpr[11] = rnd(0x400000) & ~0x20100u;
    switch (rnd(4)) {
    case 0: EMIT(m, 0x0f, 0x05); break;
    case 1:
        opsize(m);
        EMIT(m, 0x0f, 0x07);
        break;
    case 2: EMIT(m, 0x0f, 0x34); break;
    default:
        opsize(m);
        EMIT(m, 0x0f, 0x35);
        break;
    }
}

/* Accesses through segments with limits, and pages with all kinds of rights. */
static void gen_memory(struct maker *m)
{
    static const uint8_t prefix[] = { 0x26, 0x36, 0x3e, 0x64, 0x65, 0x2e };
    static const uint8_t op[] = { 0x8a, 0x8b, 0x88, 0x89, 0x01, 0x87, 0x21, 0x3b };
    struct state *s = &m->c->start;

    s->gpr[6] = real_like(m) ? (one_in(4) ? 0xfff0 + rnd(15) : rnd(0x10000))
                : one_in(3)  ? rnd(0x400)
                             : DATA + rnd(RAM_SIZE - DATA);
    if (m->bits == 64 && one_in(20))
        s->gpr[6] = rnd64();
    if (one_in(8)) { /* a jump into the data area: execute rights */
        m->c->ram[(s->gpr[6] + s->seg[1].base) & (RAM_SIZE - 1)] = 0xf4;
        EMIT(m, 0xff, 0xe6);
        return;
    }
    if (one_in(2))
        EMIT(m, prefix[m->bits == 64 && !case_wild ? 3 + rnd(2) : rnd(6)]);
    if (one_in(4))
        EMIT(m, 0x66);
    EMIT(m, op[rnd(8)], m->bits == 16 ? 0x1c : 0x1e); /* bx, [si] or ebx, [esi] */
}

static void gen_push(struct maker *m)
{
    struct state *s = &m->c->start;

    if (one_in(3))
        s->gpr[4] = real_like(m)                 ? 2 * rnd(2) + case_wild * rnd(2)
                    : one_in(4) && m->bits == 64 ? rnd64()
                                                 : DATA + rnd(RAM_SIZE - DATA);
    switch (case_wild ? rnd(6) : rnd(2)) {
    case 0: EMIT(m, 0x50); break;
    case 1: EMIT(m, 0x58); break;
    case 2: EMIT(m, 0xc8, (uint8_t)rnd(16), 0, (uint8_t)rnd(4)); break; /* enter */
    case 3: EMIT(m, 0xc9); break;
    case 4: EMIT(m, m->bits == 64 ? 0x54 : 0x60 + rnd(2)); break;
    default: EMIT(m, 0xff, 0x36 & ~(m->bits == 16 ? 2 : 0)); break;
    }
}

static const struct group {
    const char *name;
    void (*gen)(struct maker *m);
    unsigned modes;
} groups[] = {
    { "sreg", gen_mov_sreg, 0x3f },   { "far", gen_far_direct, 0x3f },
    { "retf", gen_far_return, 0x3f }, { "iret", gen_iret, 0x3f },
    { "int", gen_int, 0x3f },         { "look", gen_look, 0x3f },
    { "system", gen_system, 0x3f },   { "flags", gen_flags, 0x3f },
    { "io", gen_io, 0x3f },           { "syscall", gen_syscall, 0x3f },
    { "memory", gen_memory, 0x3f },   { "push", gen_push, 0x3f },
};

void case_list_groups(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
        printf("%s\n", groups[i].name);
}

/* What a KVM without hardware gets wrong: it has no INT1, no IRET and no system calls outside of
 * its own 64-bit guests. */
static bool beyond_software(const struct maker *m, const struct group *g)
{
    return kvm_is_software() && !case_wild && m->mode != REAL &&
           (g->gen == gen_iret || g->gen == gen_syscall || g->gen == gen_int);
}

static const struct group *choose(const struct maker *m, const char *name)
{
    for (;;) {
        const struct group *g = &groups[rnd(ARRAY_SIZE(groups))];

        if ((!name || strstr(g->name, name)) && (!beyond_software(m, g) || name))
            return g;
    }
}

void case_make(struct test_case *c, const char *group)
{
    struct maker m = { .c = c };
    const struct group *g;
    int n;

    memset(&c->start, 0, sizeof(c->start));
    memset(c->ram, 0, sizeof(c->ram));
    do
        m.mode = rnd(MODES);
    while (m.mode == VM86 && !case_wild);
    g = choose(&m, group);
    m.lma = m.mode == LONG64 || m.mode == COMPAT;
    m.cpl = m.mode == REAL ? 0 : m.mode == VM86 ? 3 : one_in(2) ? 0 : rnd(4);
    if (m.mode == LONG64)
        m.cpl = m.cpl ? 3 : 0;
    if (!case_wild && (m.cpl == 3 || m.lma) &&
        kvm_is_software()) /* it runs ring 3 on the host's own tables, and with alignment checks */
        m.cpl = 0;
    memset(c->ram + HANDLERS, 0xf4, 0x1000);
    memset(c->ram + TARGET - 0x200, 0xf4, 0x1000);
    put_descriptors(&m);
    put_idt(&m);
    put_tss(&m);
    put_pages(&m);
    put_segments(&m);
    m.bits = m.mode == LONG64 && c->start.seg[1].flags & 0x2000 ? 64
             : c->start.seg[1].flags & 0x4000                   ? 32
                                                                : 16;
    put_cpu(&m);
    c->insn_at = CODE + rnd(64);
    c->start.rip = c->insn_at - (real_like(&m) ? CODE : 0);
    m.bits = m.lma && c->start.seg[1].flags & 0x2000 ? 64
             : c->start.seg[1].flags & 0x4000        ? 32
                                                     : 16;
    m.code = c->ram + c->insn_at;
    g->gen(&m);
    c->insn_len = (unsigned)(m.code - (c->ram + c->insn_at));
    EMIT(&m, 0xf4, 0xf4, 0xf4, 0xf4);
    n = snprintf(c->text, sizeof(c->text), "%s %s %u-bit cpl %u:", g->name, mode_names[m.mode],
                 m.bits, m.cpl);
    for (unsigned i = 0; i < c->insn_len; i++)
        n += snprintf(c->text + n, sizeof(c->text) - (size_t)n, " %02x", c->ram[c->insn_at + i]);
}
