/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chooses cases for x86_random: random bytes that decode to an instruction we can run in user mode
 * without leaving the stub, with registers such that its memory operands lie in the case's scratch
 * page.
 */
#include <string.h>

#include "base/bits.h"
#include "guest/x86/x86.h"
#include "x86_random.h"

static uint64_t state = 88172645463325252;

void case_seed(uint64_t seed)
{
    state = 88172645463325252 ^ seed * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t guest_features;

void case_features(uint64_t features)
{
    guest_features = features;
}

static uint64_t rnd(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* ---- values ---- */

static uint64_t value(void)
{
    static const uint64_t special[] = { 0,
                                        1,
                                        2,
                                        0x7f,
                                        0x80,
                                        0xff,
                                        0x100,
                                        0x7fff,
                                        0x8000,
                                        0xffff,
                                        0x7fffffff,
                                        0x80000000,
                                        0xffffffff,
                                        0x7fffffffffffffff,
                                        0x8000000000000000,
                                        ~UINT64_C(0),
                                        ~UINT64_C(1),
                                        31,
                                        32,
                                        63,
                                        64,
                                        8,
                                        16 };
    uint64_t r = rnd();

    switch (r & 7) {
    case 0:
    case 1: return special[(r >> 8) % ARRAY_SIZE(special)];
    case 2: return rnd() & 0xff;
    case 3: return rnd() >> (r >> 8 & 63);
    case 4: return (uint64_t)((int64_t)rnd() >> (r >> 8 & 63));
    default: return rnd();
    }
}

static uint32_t float32(void)
{
    static const uint32_t special[] = { 0,          0x80000000, 0x3f800000, 0xbf800000,
                                        0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
                                        1,          0x007fffff, 0x00800000, 0x7f7fffff,
                                        0x4f000000, 0xcf000000, 0x5f000000, 0x40490fdb };
    uint64_t r = rnd();

    return r & 1   ? special[(r >> 8) % ARRAY_SIZE(special)]
           : r & 2 ? (uint32_t)(r >> 32)
                   : (uint32_t)(0x3f000000 + (r >> 40));
}

static uint64_t float64(void)
{
    static const uint64_t special[] = { 0,
                                        0x8000000000000000,
                                        0x3ff0000000000000,
                                        0xbff0000000000000,
                                        0x7ff0000000000000,
                                        0xfff0000000000000,
                                        0x7ff8000000000000,
                                        0x7ff0000000000001,
                                        1,
                                        0x000fffffffffffff,
                                        0x0010000000000000,
                                        0x7fefffffffffffff,
                                        0x41e0000000000000,
                                        0xc1e0000000000000,
                                        0x43e0000000000000,
                                        0x400921fb54442d18 };
    uint64_t r = rnd();

    return r & 1   ? special[(r >> 8) % ARRAY_SIZE(special)]
           : r & 2 ? rnd()
                   : 0x3fe0000000000000 + (rnd() >> 10);
}

static void random_vector(uint8_t *p, unsigned size)
{
    uint64_t kind = rnd() & 3;

    for (unsigned n = 0; n < size; n += 8) {
        uint64_t v = kind == 0   ? float64()
                     : kind == 1 ? (uint64_t)float32() << 32 | float32()
                     : kind == 2 ? value()
                                 : rnd();
        memcpy(p + n, &v, 8);
    }
}

/* ---- which instructions ---- */

static bool in_list(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(name, *list))
            return true;
    return false;
}

/* Leaves the stub, is privileged, differs by design, or needs set-up of its own. */
static bool excluded(const struct x86_insn *i)
{
    static const char *const names[] = {
        "jcc",       "jmp",        "jmp_ind",  "jmp_far",      "jmp_far_ind",
        "call_rel",  "call_ind",   "call_far", "call_far_ind", "ret",
        "ret_far",   "loop",       "loope",    "loopne",       "jcxz",
        "int",       "int1",       "int3",     "into",         "iret",
        "syscall",   "sysret",     "sysenter", "sysexit",      "in",
        "out",       "ins",        "outs",     "cli",          "sti",
        "hlt",       "popf",       "pushf",    "lds",          "les",
        "lss",       "lfs",        "lgs",      "mov_sreg_r",   "mov_r_sreg",
        "push_sreg", "pop_sreg",   "sldt",     "str",          "sgdt",
        "sidt",      "smsw",       "lar",      "lsl",          "verr",
        "verw",      "monitor",    "mwait",    "clac",         "stac",
        "xgetbv",    "rdtsc",      "rdtscp",   "rdpmc",        "rdpid",
        "cpuid",     "rdrand",     "rdseed",   "rsm",          "ud0",
        "ud1",       "ud2",        "rdfsbase", "rdgsbase",     "wrfsbase",
        "wrgsbase",  "swapgs",     "xsave",    "xrstor",       "xsaveopt",
        "xsavec",    "xsaves",     "xrstors",  "fxsave",       "fxrstor",
        "fldenv",    "fnstenv",    "fnsave",   "frstor", /* instruction pointers */
        "clflush",   "clflushopt", "clwb",     "maskmovq",     "maskmovdqu",
        NULL
    };

    return in_list(x86_op_names[i->op], names) || i->attr & X86_A_CPL0;
}

static void random_bytes(uint8_t *b, unsigned bits)
{
    static const uint8_t prefixes[2][10] = {
        { 0x66, 0xf2, 0xf3, 0x48, 0x41, 0x4f, 0x44, 0xf0, 0x49, 0x67 },
        { 0x66, 0xf2, 0xf3, 0x66, 0xf0, 0x66, 0x66, 0x66, 0xf2, 0x66 }
    };
    uint64_t r = rnd();
    unsigned n = 0;

    for (unsigned k = 0; k < 15; k++)
        b[k] = (uint8_t)rnd();
    if (r & 1)
        b[n++] = prefixes[bits == 32][(r >> 8) % 10];
    if ((r & 6) == 6 && bits == 64)
        b[n++] = 0x48 | (r >> 16 & 7);
    if ((r & 0x30) == 0x30) {
        b[n++] = 0xd8 | (r >> 24 & 7);
    } else if (r & 8) {
        bool far_map = (r & 0x300000) == 0;
        if (far_map && r & 0x3000000) { /* most of those want 66 */
            n = 0;
            b[n++] = 0x66;
            if (bits == 64 && r & 0x4000000)
                b[n++] = 0x48 | (r >> 16 & 7);
        }
        b[n++] = 0x0f;
        if (far_map)
            b[n] = r & 0x400000 ? 0x38 : 0x3a;
    }
}

/* ---- memory operands ---- */

static bool has_operand(const struct x86_insn *i, enum x86_kind kind)
{
    for (unsigned n = 0; n < i->nops; n++)
        if (i->opnd[n].kind == kind)
            return true;
    return false;
}

static uint64_t mid(const struct case_data *d)
{
    return (uintptr_t)d->scratch + SCRATCH_MID;
}

/* Bit offsets in a register reach up to 256 bytes from the operand. */
static bool place_bit_index(const struct x86_insn *i, uint64_t *g)
{
    unsigned reg = i->opnd[1].reg;

    if (i->opnd[1].kind != X86_K_GPR)
        return true;
    if (reg == i->mem.base || reg == i->mem.index)
        return false;
    int64_t index = (int64_t)(rnd() & 4095) - 2048;
    g[reg] = i->opsize == 8   ? (uint64_t)index
             : i->opsize == 4 ? (uint32_t)index
                              : (value() & ~UINT64_C(0xffff)) | (uint16_t)index;
    return true;
}

static bool place_mem(const struct case_data *d, const struct x86_insn *i, uint64_t *g)
{
    const struct x86_mem *m = &i->mem;
    uint64_t at = mid(d) + (rnd() & 1 ? 0 : rnd() & 63);

    if (i->op == X86_OP_LEA)
        return !m->rip_relative;
    if (m->rip_relative || i->seg != X86_NO_REG || m->base == X86_NO_REG || i->addrsize == 2)
        return false;
    if (i->attr & X86_A_ALIGN || i->op == X86_OP_CMPXCHG16B)
        at &= ~UINT64_C(15); /* #GP otherwise: not every form has an error we compare */
    if (m->index != X86_NO_REG) {
        if (m->index == m->base)
            return false;
        g[m->index] = rnd() & 15;
    }
    uint64_t index = m->index == X86_NO_REG ? 0 : g[m->index] << m->scale;
    g[m->base] = at - (uint64_t)m->disp - index;
    if (i->addrsize == 4)
        g[m->base] = d->bits == 64 && m->base != X86_RSP ? (uint32_t)g[m->base] | rnd() << 32
                                                         : (uint32_t)g[m->base];
    if (i->op == X86_OP_BT || i->op == X86_OP_BTS || i->op == X86_OP_BTR || i->op == X86_OP_BTC)
        return place_bit_index(i, g);
    return true;
}

static bool place_strings(const struct case_data *d, const struct x86_insn *i, uint64_t *g)
{
    uint64_t at = mid(d) - 512;

    if (i->seg != X86_NO_REG || i->addrsize == 2)
        return false;
    g[X86_RSI] = at + rnd() % 1024;
    g[X86_RDI] = rnd() & 3 ? at + rnd() % 1024 : g[X86_RSI] + rnd() % 40 - 20;
    g[X86_RCX] = rnd() % (rnd() & 1 ? 8 : 100);
    return true;
}

static bool place_operands(struct case_data *d, const struct x86_insn *i)
{
    uint64_t *g = d->in;

    g[X86_RSP] = mid(d) + 256;
    if (i->op == X86_OP_ENTER) {
        g[X86_RBP] = mid(d);
        return i->imm <= 512;
    }
    if (i->op == X86_OP_LEAVE)
        g[X86_RBP] = mid(d);
    if (i->op == X86_OP_XLAT) {
        g[X86_RBX] = mid(d);
        return i->seg == X86_NO_REG && i->addrsize != 2;
    }
    if (has_operand(i, X86_K_SRC) || has_operand(i, X86_K_DST))
        return place_strings(d, i, g);
    if (!has_operand(i, X86_K_MEM))
        return true;
    if (!place_mem(d, i, g))
        return false;
    /* a stack pointer that had to serve as base must still be one */
    return i->mem.base != X86_RSP || (g[X86_RSP] > mid(d) - 1024 && g[X86_RSP] < mid(d) + 1024);
}

/* Let comparisons succeed now and then. */
static void place_equal(struct case_data *d, const struct x86_insn *i)
{
    bool uses_acc = i->mem.base == X86_RAX || i->mem.index == X86_RAX || i->mem.base == X86_RDX ||
                    i->mem.index == X86_RDX;

    if (rnd() & 1)
        return;
    if (i->op == X86_OP_CMPXCHG && i->opnd[0].kind != X86_K_MEM)
        d->in[X86_RAX] = d->in[i->opnd[0].reg & 7];
    if ((i->op == X86_OP_CMPXCHG || i->op == X86_OP_CMPXCHG8B || i->op == X86_OP_CMPXCHG16B) &&
        !uses_acc && has_operand(i, X86_K_MEM)) {
        uint64_t index = i->mem.index == X86_NO_REG ? 0 : d->in[i->mem.index] << i->mem.scale;
        uint64_t at = d->in[i->mem.base] + index + (uint64_t)i->mem.disp;
        uint8_t *p = d->scratch + ((at - (uintptr_t)d->scratch) & (SCRATCH - 32));
        memcpy(p, &d->in[X86_RAX], 8);
        memcpy(p + (i->op == X86_OP_CMPXCHG8B ? 4 : 8), &d->in[X86_RDX], 8);
    }
}

/* ---- FPU and SSE state ---- */

static bool is_fp(const struct x86_insn *i)
{
    return i->opcode >= 0xd8 || i->feature == X86_IFEAT_FPU ? true : i->feature != X86_IFEAT_BASE;
}

static void put16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void random_fpu(struct case_data *d)
{
    static const uint16_t precisions[] = { 0x000, 0x200, 0x300, 0x300 };
    uint64_t r = rnd();
    unsigned top = r & 7, used = r & 8 ? 0xff : (unsigned)(r >> 8) & 0xff;

    put16(d->fx_in + 0, 0x3f | precisions[r >> 16 & 3] |
                            (unsigned)(r >> 18 & 3) << 10); /* control word: all masked */
    put16(d->fx_in + 2, top << 11 | (unsigned)(r >> 20 & 0x4700));
    d->fx_in[4] = (uint8_t)used;
    put16(d->fx_in + 24,
          0x1f80 | (unsigned)(r >> 32 & 3) << 13 | (r & 1 << 6 ? (unsigned)(r >> 34 & 0x3f) : 0));
    for (unsigned n = 0; n < 8; n++) {
        uint8_t *st = d->fx_in + 32 + n * 16;
        uint64_t m = rnd() & 3 ? rnd() | BIT(63) : value() | BIT(63);
        memcpy(st, &m, 8);
        put16(st + 8, rnd() & 1 ? 0x3fff + (unsigned)(rnd() & 63) - 32
                                : 0xbfff + (unsigned)(rnd() & 31) - 16);
        if ((rnd() & 7) == 0)
            put16(st + 8, 0x7fff);
        if ((rnd() & 7) == 0)
            memset(st, 0, 8), put16(st + 8, rnd() & 0x8000);
    }
    for (unsigned n = 0; n < (d->bits == 64 ? 16 : 8); n++)
        random_vector(d->fx_in + 160 + n * 16, 16);
}

static void initial_fpu(struct case_data *d)
{
    put16(d->fx_in, 0x37f);
    put16(d->fx_in + 24, 0x1f80);
}

bool case_fx_ignored(const struct case_data *d, unsigned n)
{
    (void)d;
    return (n >= 5 && n < 24) || (n >= 28 && n < 32) || (n >= 32 && n < 160 && (n & 15) >= 10);
}

/* ---- the case ---- */

static uint32_t eflags_of(uint8_t insn_flags)
{
    static const uint16_t bit[6] = { X86_CF, X86_PF, X86_AF, X86_ZF, X86_SF, X86_OF };
    uint32_t mask = 0;

    for (unsigned n = 0; n < 6; n++)
        if (insn_flags >> n & 1)
            mask |= bit[n];
    return mask;
}

static uint32_t undefined_flags(const struct case_data *d, const struct x86_insn *i)
{
    uint32_t mask = eflags_of(i->flags_undefined);

    if (i->op == X86_OP_SHLD || i->op == X86_OP_SHRD) {
        unsigned count =
            (unsigned)(i->opnd[2].kind == X86_K_IMM ? (uint64_t)i->imm : d->in[X86_RCX]) &
            (i->opsize == 8 ? 63 : 31);
        if (count >= i->opsize * 8u)
            mask |= X86_CF | X86_OF; /* CF only above the size; nobody needs it at the size */
    }
    return mask;
}

/* A second instruction, on registers, that reads flags: what the translator knows about the first
 * one's shows in it. None when it would read an undefined flag. */
static void append_reader(struct case_data *d)
{
    uint8_t *p = d->insn + d->len, cc = rnd() & 15, reg = (uint8_t)(rnd() % 3),
            rm = (uint8_t)(rnd() % 3);
    uint8_t modrm = (uint8_t)(0xc0 | reg << 3 | rm);
    struct x86_insn i;
    unsigned n = 0;

    if (d->len > 9)
        return;
    switch (rnd() % 9) {
    case 0: p[n++] = 0x0f, p[n++] = 0x90 | cc, p[n++] = 0xc0 | rm; break;         /* setcc */
    case 1: p[n++] = 0x0f, p[n++] = 0x40 | cc, p[n++] = modrm; break;             /* cmovcc */
    case 2: p[n++] = 0x70 | cc, p[n++] = 2, p[n++] = 0x89, p[n++] = modrm; break; /* jcc over mov */
    case 3: p[n++] = 0x10 | (cc & 1), p[n++] = modrm; break;                      /* adc */
    case 4: p[n++] = 0x18 | (cc & 1), p[n++] = modrm; break;                      /* sbb */
    case 5: p[n++] = 0xd0 | (cc & 1), p[n++] = 0xd0 | (cc & 8) | rm; break;       /* rcl, rcr */
    case 6: p[n++] = 0xfe | (cc & 1), p[n++] = 0xc0 | (cc & 8) | rm; break;       /* inc, dec */
    case 7: p[n++] = 0xd3, p[n++] = 0xc0 | (cc & 7) << 3 | rm; break;             /* shift by cl */
    default: p[n++] = 0x0f, p[n++] = 0xa3, p[n++] = modrm; break;                 /* bt */
    }
    if (x86_decode(&i, p, n, d->bits, guest_features) != X86_DECODE_OK ||
        eflags_of(i.flags_read) & d->undefined)
        return;
    d->undefined = (d->undefined & ~eflags_of(i.flags_written)) | eflags_of(i.flags_undefined);
    d->len += (uint8_t)n;
}

/* Decodes on the guest, and to the same on a processor that has everything. */
static bool choose(struct case_data *d, unsigned bits, struct x86_insn *ret)
{
    struct x86_insn full;

    random_bytes(d->insn, bits);
    return x86_decode(ret, d->insn, 15, bits, guest_features) == X86_DECODE_OK &&
           x86_decode(&full, d->insn, 15, bits, ~UINT64_C(0)) == X86_DECODE_OK &&
           ret->op == full.op && !excluded(ret);
}

void case_make(struct case_data *d, unsigned bits)
{
    struct x86_insn i;

    for (;;) {
        memset(d, 0, sizeof(*d));
        d->bits = bits;
        if (!choose(d, bits, &i))
            continue;
        for (unsigned n = 0; n < 16; n++)
            d->in[n] = bits == 64 ? value() : (uint32_t)value();
        if (!place_operands(d, &i))
            continue;
        break;
    }
    d->len = i.len;
    strncpy(d->name, x86_op_names[i.op], sizeof(d->name) - 1);
    for (unsigned n = 0; n < 16 && bits == 32; n++)
        d->in[n] = (uint32_t)d->in[n];
    random_vector(d->scratch, SCRATCH);
    if ((rnd() & 3) == 0)
        memset(d->scratch + SCRATCH_MID - 512, 'a', 1024 + (rnd() & 255));
    place_equal(d, &i);
    d->flags_in = 2 | (rnd() & X86_ARITH) | (rnd() & 3 ? 0 : X86_DF);
    d->undefined = undefined_flags(d, &i);
    if (i.flags_written && rnd() & 1)
        append_reader(d);
    d->fp = is_fp(&i);
    if (d->fp)
        random_fpu(d);
    else
        initial_fpu(d);
}
