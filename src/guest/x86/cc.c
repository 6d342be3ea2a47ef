/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Lazy flags to EFLAGS and back. enum x86_cc says what cc_a, cc_b, cc_c mean.
 */
#include "guest/x86/x86.h"

static uint32_t parity(uint64_t v)
{
    return __builtin_parity(v & 0xff) ? 0 : X86_PF;
}

/* SF, ZF, PF of a result of `bits` bits; r is cut to them. */
static uint32_t szp(uint64_t r, unsigned bits_)
{
    return (r >> (bits_ - 1) & 1 ? X86_SF : 0) | (r ? 0 : X86_ZF) | parity(r);
}

static uint32_t add_flags(uint64_t a, uint64_t b, unsigned c, unsigned n)
{
    uint64_t mask = BITS(n - 1, 0), r = (a + b + c) & mask;
    uint32_t f = szp(r, n) | ((a ^ b ^ r) & X86_AF);

    if (c ? r <= a : r < a)
        f |= X86_CF;
    if ((a ^ r) & (b ^ r) & BIT(n - 1))
        f |= X86_OF;
    return f;
}

static uint32_t sub_flags(uint64_t a, uint64_t b, unsigned c, unsigned n)
{
    uint64_t mask = BITS(n - 1, 0), r = (a - b - c) & mask;
    uint32_t f = szp(r, n) | ((a ^ b ^ r) & X86_AF);

    if (c ? a <= b : a < b)
        f |= X86_CF;
    if ((a ^ b) & (a ^ r) & BIT(n - 1))
        f |= X86_OF;
    return f;
}

static uint32_t shl_flags(uint64_t r, uint64_t before, unsigned n)
{
    uint32_t cf = before >> (n - 1) & 1, top = r >> (n - 1) & 1;

    return szp(r, n) | cf | (cf ^ top ? X86_OF : 0);
}

static uint32_t shr_flags(uint64_t r, uint64_t before, unsigned n)
{
    uint32_t of = (before ^ r) >> (n - 1) & 1;

    return szp(r, n) | (before & 1) | (of ? X86_OF : 0);
}

uint32_t x86_cc_flags(uint32_t cc_op, uint64_t a, uint64_t b, uint64_t c)
{
    unsigned n = 8u << (cc_op & 3);
    uint64_t mask = BITS(n - 1, 0);

    if (cc_op == X86_CC_EFLAGS)
        return (uint32_t)a & X86_ARITH;
    a &= mask;
    switch (cc_op & ~3u) {
    case X86_CC_ADD: return add_flags((a - b) & mask, b & mask, 0, n);
    case X86_CC_ADC: return add_flags(a, b & mask, c & 1, n);
    case X86_CC_SUB: return sub_flags(a, b & mask, 0, n);
    case X86_CC_SBB: return sub_flags(a, b & mask, c & 1, n);
    case X86_CC_LOGIC: return szp(a, n);
    case X86_CC_INC:
        return szp(a, n) | (b & 1) | (a & 15 ? 0 : X86_AF) | (a == BIT(n - 1) ? X86_OF : 0);
    case X86_CC_DEC:
        return szp(a, n) | (b & 1) | ((a & 15) == 15 ? X86_AF : 0) |
               (a == BIT(n - 1) - 1 ? X86_OF : 0);
    case X86_CC_SHL: return shl_flags(a, b & mask, n);
    case X86_CC_SHR: return shr_flags(a, b & mask, n);
    case X86_CC_MUL: return szp(a, n) | (b ? X86_CF | X86_OF : 0);
    default: assert(!"a known cc_op"); return 0;
    }
}

uint32_t x86_eflags(const struct x86_cpu *x)
{
    return (x->eflags & ~(uint32_t)(X86_ARITH | X86_DF)) | 2 |
           x86_cc_flags(x->cc_op, x->cc_a, x->cc_b, x->cc_c) | x->df;
}

void x86_set_eflags(struct x86_cpu *x, uint32_t value, uint32_t mask)
{
    uint32_t sys = mask & ~(uint32_t)(X86_ARITH | X86_DF);

    if (mask & X86_ARITH) {
        uint32_t old = 0;

        if ((mask & X86_ARITH) != X86_ARITH)
            old = x86_cc_flags(x->cc_op, x->cc_a, x->cc_b, x->cc_c);
        x->cc_a = (value & mask & X86_ARITH) | (old & ~mask);
        x->cc_b = x->cc_c = 0;
        x->cc_op = X86_CC_EFLAGS;
    }
    if (mask & X86_DF)
        x->df = value & X86_DF;
    x->eflags = (x->eflags & ~sys) | (value & sys) | 2;
}
