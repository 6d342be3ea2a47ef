/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random sequences: bytes that decode to instructions we can compare, with memory operands that
 * mostly lie in the scratch area, branches over the next instruction, and counted loops. Flags that
 * the manuals leave undefined are followed, so that none is read or compared.
 */
#include "hostdiff.h"

#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "guest/x86/decode.h"
#include "guest/x86/x86.h"

static uint64_t seed = 1;

void sequence_seed(uint64_t s)
{
    seed = s * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

static uint64_t rnd64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}

static uint32_t rnd(uint32_t below)
{
    return (uint32_t)(rnd64() >> 32) % below;
}
static bool one_in(uint32_t n)
{
    return rnd(n) == 0;
}

/* ---- which instructions ---- */

enum group { G_INT, G_SSE, G_X87, G_ALL, GROUPS };
static const char *const group_names[GROUPS] = { "int", "sse", "x87", "all" };

void sequence_list_groups(void)
{
    for (unsigned i = 0; i < GROUPS; i++)
        printf("%s\n", group_names[i]);
}

static bool op_is(const struct x86_insn *i, const char *names)
{
    const char *name = x86_op_names[i->op];
    size_t len = strlen(name);

    for (const char *p = strstr(names, name); p; p = strstr(p + 1, name))
        if ((p == names || p[-1] == ' ') && (p[len] == ' ' || !p[len]))
            return true;
    return false;
}

/* Flow, system, time, randomness, state images with addresses in them, and approximations. */
static bool unsuitable(const struct x86_insn *i)
{
    static const char never[] =
        "jcc jmp jmp_ind jmp_far jmp_far_ind call call_rel call_ind call_far call_far_ind ret "
        "ret_far iret loop loope loopne jcxz int int1 int3 into ud0 ud1 ud2 "
        "syscall sysret sysenter sysexit hlt cli sti in out ins outs popf pushf mov_sreg_r "
        "mov_r_sreg push_sreg pop_sreg lds les lfs lgs lss lar lsl verr verw arpl "
        "sldt str lldt ltr sgdt sidt lgdt lidt smsw lmsw clts invlpg invpcid invd wbinvd rdmsr "
        "wrmsr rdtsc rdtscp rdpmc rdpid cpuid rsm monitor mwait clac stac swapgs "
        "mov_r_cr mov_cr_r mov_r_dr mov_dr_r xgetbv xsetbv xsave xrstor xsavec xsaveopt xsaves "
        "xrstors fxsave fxrstor rdrand rdseed rdfsbase rdgsbase wrfsbase "
        "wrgsbase fldenv fnstenv fnsave frstor feni fdisi fnsetpm bound enter salc fldcw ldmxcsr "
        "clflush clflushopt clwb xlat fstpnce fbld "
        "maskmovq maskmovdqu tzcnt"; /* where they fault differs; BMI1, which our models lack */

    if (op_is(i, never) || i->attr & (X86_A_CPL0 | X86_A_PROT | X86_A_VEX) || i->seg == X86_FS ||
        i->seg == X86_GS || i->seg == X86_CS)
        return true;
    if (i->feature == X86_IFEAT_SHA &&
        i->opnd[1].kind == X86_K_MEM) /* whether it must be aligned differs between makers */
        return true;
    return i->nops && i->opnd[0].kind == X86_K_SEG;
}

static bool in_group(const struct x86_insn *i, enum group g)
{
    bool x87 = i->feature == X86_IFEAT_FPU ||
               (i->opcode >= 0xd8 && i->opcode <= 0xdf && !i->opsize_prefix && i->nops &&
                i->opnd[0].kind == X86_K_ST);
    bool vec = false;

    for (unsigned n = 0; n < i->nops; n++)
        vec |= i->opnd[n].kind == X86_K_XMM || i->opnd[n].kind == X86_K_MMX;
    switch (g) {
    case G_INT: return !x87 && !vec;
    case G_SSE: return vec || (!x87 && one_in(4));
    case G_X87: return x87 || (!vec && one_in(6));
    default: return true;
    }
}

/* Arithmetic flags that i leaves undefined, as EFLAGS bits. */
static uint32_t eflags_of(unsigned f)
{
    return (f & X86_IF_C ? X86_CF : 0) | (f & X86_IF_P ? X86_PF : 0) | (f & X86_IF_A ? X86_AF : 0) |
           (f & X86_IF_Z ? X86_ZF : 0) | (f & X86_IF_S ? X86_SF : 0) | (f & X86_IF_O ? X86_OF : 0);
}

static uint32_t undefined_by(const struct x86_insn *i)
{
    uint32_t u = eflags_of(i->flags_undefined);

    if (op_is(i, "shl shr sar rol ror rcl rcr shld shrd"))
        u |= X86_OF | X86_AF; /* defined for counts of 1 only */
    if (op_is(i, "shld shrd") && i->opsize == 2)
        u |= X86_ARITH;
    return u;
}

/* ---- memory operands ---- */

enum { POINTERS = 4 };
static const uint8_t pointer_reg[POINTERS] = { X86_RBX, X86_RBP, X86_RSI, X86_RDI };

static bool is_pointer(unsigned reg)
{
    return reg == X86_RBX || reg == X86_RBP || reg == X86_RSI || reg == X86_RDI || reg == X86_RSP;
}

/* Registers i writes as far as the operand list says: pointers should survive mostly. */
static bool spoils_pointer(const struct x86_insn *i)
{
    const struct x86_operand *o = &i->opnd[0];

    if (!i->nops || o->kind != X86_K_GPR || !is_pointer(o->reg))
        return op_is(i, "xchg xadd cmpxchg popa leave") || (i->nops > 1 && op_is(i, "bswap"));
    return !op_is(i, "cmp test push bt");
}

static bool memory_fits(const struct x86_insn *i)
{
    const struct x86_mem *m = &i->mem;

    for (unsigned n = 0; n < i->nops; n++) {
        if (i->opnd[n].kind == X86_K_SRC || i->opnd[n].kind == X86_K_DST)
            return i->addrsize != 2 && (i->addrsize == i->mode_bits / 8);
        if (i->opnd[n].kind != X86_K_MEM)
            continue;
        if (m->rip_relative || m->base == X86_NO_REG || !is_pointer(m->base) || i->addrsize == 2)
            return false;
        if (m->index != X86_NO_REG && !one_in(20))
            return false;
        if (m->disp > 600 || m->disp < -600)
            return false;
    }
    return true;
}

/* ---- code ---- */

struct maker {
    struct sequence *s;
    uint8_t *p, *start;
    enum group group;
    uint32_t undefined;
};

static void random_bytes(struct maker *k, uint8_t *b)
{
    static const uint8_t prefixes[] = { 0x66, 0xf2, 0xf3, 0xf0, 0x67 };
    unsigned n = 0;

    for (unsigned i = 0; i < 15; i++)
        b[i] = (uint8_t)rnd(256);
    if (one_in(3))
        b[n++] = prefixes[rnd(one_in(3) ? 5 : 3)];
    if (k->s->bits == 64 && one_in(2))
        b[n++] = (uint8_t)(0x40 | rnd(16));
    if (k->group == G_X87 && !one_in(4))
        b[n] = (uint8_t)(0xd8 + rnd(8));
    else if (k->group == G_SSE ? !one_in(6) : one_in(3)) {
        b[n++] = 0x0f;
        if (one_in(6))
            b[n++] = one_in(3) ? 0x3a : 0x38;
    }
}

/* One instruction of the group; its length, 0 when the bytes were not good. */
static unsigned try_insn(struct maker *k, uint8_t *b, struct x86_insn *i, bool final)
{
    random_bytes(k, b);
    if (x86_decode(i, b, 15, k->s->bits, ~UINT64_C(0)) != X86_DECODE_OK || unsuitable(i) ||
        !in_group(i, k->group) || !memory_fits(i))
        return 0;
    if (eflags_of(i->flags_read) & k->undefined)
        return 0;
    if (spoils_pointer(i) && !final)
        return 0;
    if (i->rep && !op_is(i, "movs stos lods cmps scas") && i->attr & X86_A_REP)
        return 0;
    return i->len;
}

static void note_flags(struct maker *k, const struct x86_insn *i, bool certain)
{
    uint32_t u = undefined_by(i), written = eflags_of(i->flags_written);

    if (certain)
        k->undefined &= ~(written & ~eflags_of(i->flags_read));
    k->undefined |= u;
    k->s->undefined_ever |= u;
    if (op_is(i, "rcpps rcpss rsqrtps rsqrtss"))
        k->s->fp_approximate = true;
}

static void append(struct maker *k, const uint8_t *b, unsigned n)
{
    memcpy(k->p, b, n);
    k->p += n;
}

static void one_insn(struct maker *k)
{
    uint8_t b[16], jcc[2];
    struct x86_insn i;
    unsigned len, cc;

    while (!(len = try_insn(k, b, &i, one_in(60))))
        ;
    if (one_in(7)) { /* a branch over it, by a condition that is defined */
        static const uint32_t needs[8] = {
            X86_OF, X86_CF, X86_ZF,          X86_CF | X86_ZF,
            X86_SF, X86_PF, X86_SF | X86_OF, X86_SF | X86_OF | X86_ZF
        };

        cc = rnd(16);
        if (!(needs[cc >> 1] & k->undefined)) {
            jcc[0] = (uint8_t)(0x70 | cc);
            jcc[1] = (uint8_t)len;
            append(k, jcc, 2);
            append(k, b, len);
            note_flags(k, &i, false);
            return;
        }
    }
    append(k, b, len);
    note_flags(k, &i, true);
}

/* ---- state ---- */

static uint64_t value(void)
{
    static const uint64_t odd[] = {
        0,           1,      2,          0x7f,       0x80,       0xff,      0x7fff,
        0x8000,      0xffff, 0x7fffffff, 0x80000000, 0xffffffff, INT64_MAX, UINT64_C(1) << 63,
        ~UINT64_C(0)
    };

    switch (rnd(4)) {
    case 0: return odd[rnd(ARRAY_SIZE(odd))];
    case 1: return rnd(64);
    case 2: return rnd64() >> rnd(64);
    default: return rnd64();
    }
}

static void put_float(uint8_t *at)
{
    double d = (double)(int32_t)rnd64() / (1 << rnd(30));
    float f[2] = { (float)d, (float)rnd(1000) };

    if (one_in(3))
        st_le64(at, rnd64());
    else if (one_in(2))
        memcpy(at, &d, 8);
    else
        memcpy(at, f, 8);
}

static void put_fpu(struct sequence *s)
{
    uint8_t *fx = s->start.fx;

    st_le16(fx, 0x37f);
    st_le16(fx + 2, (uint16_t)(rnd(8) << 11));
    fx[4] = (uint8_t)(one_in(2) ? 0xff : rnd(256));
    st_le32(fx + 24, 0x1f80 | (one_in(3) ? rnd(4) << 13 : 0));
    st_le32(fx + 28, 0xffff);
    for (unsigned i = 0; i < 8; i++) {
        long double v = (long double)(int32_t)rnd64() / (1 << rnd(20));
        memcpy(fx + 32 + i * 16, &v, 10);
    }
    for (unsigned i = 0; i < (s->bits == 64 ? 32u : 16u); i++)
        put_float(fx + 160 + i * 8);
}

static void put_start(struct sequence *s)
{
    for (unsigned i = 0; i < 16; i++)
        s->start.gpr[i] = s->bits == 64 ? value() : i < 8 ? (uint32_t)value() : 0;
    s->start.gpr[X86_RCX] = rnd(40);
    for (unsigned i = 0; i < POINTERS; i++)
        s->start.gpr[pointer_reg[i]] = SCRATCH + 0x800 + (rnd(0x1000) & (one_in(2) ? ~15u : ~0u));
    s->start.gpr[X86_RSP] = SCRATCH + 0x2000 + rnd(64) * 8;
    if (one_in(12)) /* somewhere else: the sequence ends in a fault */
        s->start.gpr[pointer_reg[rnd(POINTERS)]] =
            one_in(2) ? SCRATCH + SCRATCH_SIZE - rnd(20) : value() & 0xfffff;
    s->start.rflags = 2 | (rnd64() & X86_ARITH) | (one_in(8) ? X86_DF : 0);
    for (unsigned i = 0; i < SCRATCH_SIZE; i += 8)
        put_float(s->scratch + i);
    put_fpu(s);
}

static void describe(struct sequence *s)
{
    size_t used = 0;

    for (uint64_t at = s->entry; at < s->end_at && used + 80 < sizeof(s->text);) {
        struct x86_insn i;

        if (x86_decode(&i, s->code + (at - AREA), 15, s->bits, ~UINT64_C(0)) != X86_DECODE_OK)
            break;
        used += (size_t)snprintf(s->text + used, sizeof(s->text) - used, "    %#llx %-10s",
                                 (unsigned long long)at, x86_op_names[i.op]);
        for (unsigned n = 0; n < i.len; n++)
            used += (size_t)snprintf(s->text + used, sizeof(s->text) - used, " %02x",
                                     s->code[at - AREA + n]);
        used += (size_t)snprintf(s->text + used, sizeof(s->text) - used, "\n");
        at += i.len;
    }
}

/* The sequence once more, counted by r15d or edi's neighbour that no instruction of it touches: an
 * absolute address. */
static void close_loop(struct maker *k)
{
    uint8_t dec64[] = { 0xff, 0x0c, 0x25, 0, 0, 0, 0 }, dec32[] = { 0xff, 0x0d, 0, 0, 0, 0 },
            jump[] = { 0x0f, 0x85, 0, 0, 0, 0 };
    uint32_t counter = SCRATCH + SCRATCH_SIZE - 8;

    st_le32(k->s->bits == 64 ? dec64 + 3 : dec32 + 2, counter);
    append(k, k->s->bits == 64 ? dec64 : dec32, k->s->bits == 64 ? sizeof(dec64) : sizeof(dec32));
    k->undefined &= ~(uint32_t)(X86_ARITH & ~X86_CF);
    st_le32(jump + 2, (uint32_t)(k->start - (k->p + sizeof(jump))));
    append(k, jump, sizeof(jump));
    st_le32(k->s->scratch + SCRATCH_SIZE - 8, 2 + rnd(6));
}

void sequence_make(struct sequence *s, unsigned bits, const char *group)
{
    static const uint8_t ud2[] = { 0x0f, 0x0b };
    struct maker k = { .s = s };
    bool loop = one_in(5);

    memset(s, 0, sizeof(*s));
    s->bits = bits;
    k.group = rnd(GROUPS);
    for (unsigned i = 0; group && i < GROUPS; i++)
        if (!strcmp(group, group_names[i]))
            k.group = i;
    s->entry = AREA + (one_in(10) ? 0x1000 - rnd(100) : rnd(64));
    k.p = k.start = s->code + (s->entry - AREA);
    put_start(s);
    s->insns = 1 + rnd(one_in(4) ? 60 : 12);
    s->loops = true; /* REP with a count that an instruction made may be long, too */
    if (loop)        /* flags undefined at the end are undefined at the beginning */
        k.undefined = X86_ARITH;
    for (unsigned n = 0; n < s->insns; n++)
        one_insn(&k);
    if (loop)
        close_loop(&k);
    s->end_at = s->entry + (uint64_t)(k.p - k.start);
    append(&k, ud2, sizeof(ud2));
    s->undefined = k.undefined;
    if (loop)
        s->undefined_ever = X86_ARITH;
    s->length = (unsigned)(k.p - k.start);
    describe(s);
}
