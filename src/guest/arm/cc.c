/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/arm/cc.h"

#include "guest/arm/a64.h"

/* Values at 64 bits: 32-bit ones are moved to the top, where sign and carry come out the same. */
static uint32_t nz(uint64_t r)
{
    return (r >> 63 ? A64_N : 0) | (r ? 0 : A64_Z);
}

static uint32_t flags_add(uint64_t r, uint64_t b, uint64_t carry_in, uint64_t one)
{
    uint64_t a = r - b - (carry_in ? one : 0);
    bool carry = carry_in ? r <= b : r < b;
    bool overflow = ((r ^ a) & (r ^ b)) >> 63;

    return nz(r) | (carry ? A64_C : 0) | (overflow ? A64_V : 0);
}

static uint32_t flags_sub(uint64_t a, uint64_t b)
{
    uint64_t r = a - b;
    bool overflow = ((a ^ b) & (a ^ r)) >> 63;

    return nz(r) | (a >= b ? A64_C : 0) | (overflow ? A64_V : 0);
}

/* IR_VFCOM's answer: bit 6 equal or unordered, bit 2 unordered, bit 0 less or unordered. */
static uint32_t flags_fcom(uint64_t v)
{
    if (v & 4)
        return A64_C | A64_V;
    if (v & 0x40)
        return A64_Z | A64_C;
    return v & 1 ? A64_N : A64_C;
}

uint32_t a64_cc_nzcv(uint32_t op, uint64_t a, uint64_t b, uint64_t c)
{
    bool wide = op & 1;
    unsigned kind = op & A64_CC_KIND;

    if (op & A64_CC_COND && !c)
        return (op >> A64_CC_ELSE & 15) << 28;
    if (kind == A64_CC_NZCV)
        return (uint32_t)a;
    if (kind == A64_CC_FCOM)
        return flags_fcom(a);
    if (op & A64_CC_IMM)
        b = (uint64_t)(int64_t)((int32_t)op >> 12);
    if (!wide) {
        a <<= 32;
        b <<= 32;
    }
    switch (kind) {
    case A64_CC_ADD: return flags_add(a, b, 0, 0);
    case A64_CC_SUB: return flags_sub(a, b);
    case A64_CC_LOGIC: return nz(a);
    default: return flags_add(a, b, c, wide ? 1 : UINT64_C(1) << 32);
    }
}

bool a64_cond_holds(unsigned cond, uint32_t f)
{
    bool n = f & A64_N, z = f & A64_Z, c = f & A64_C, v = f & A64_V, yes;

    switch (cond >> 1) {
    case 0: yes = z; break;
    case 1: yes = c; break;
    case 2: yes = n; break;
    case 3: yes = v; break;
    case 4: yes = c && !z; break;
    case 5: yes = n == v; break;
    case 6: yes = n == v && !z; break;
    default: return true;
    }
    return yes != (cond & 1);
}

uint32_t a64_nzcv(const struct cpu *cpu)
{
    const struct a64_cpu *x = (const struct a64_cpu *)cpu;

    return a64_cc_nzcv(x->cc_op, x->cc_a, x->cc_b, x->cc_c);
}

void a64_set_nzcv(struct cpu *cpu, uint32_t nzcv)
{
    struct a64_cpu *x = a64_of(cpu);

    x->cc_op = A64_CC_NZCV;
    x->cc_a = nzcv & 0xf0000000;
}
