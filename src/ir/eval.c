/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The meaning of the integer ops, by their rows in ops.def.
 */
#include "ir/eval.h"

#include <assert.h>

bool ir_eval_cond(unsigned cond, enum ir_type type, uint64_t a, uint64_t b)
{
    unsigned n = ir_type_bits[type];
    int64_t sa = sext(a, n), sb = sext(b, n);

    a &= ir_mask(type);
    b &= ir_mask(type);
    switch (cond) {
    case IR_EQ: return a == b;
    case IR_NE: return a != b;
    case IR_LTU: return a < b;
    case IR_GEU: return a >= b;
    case IR_LTS: return sa < sb;
    case IR_GES: return sa >= sb;
    case IR_LEU: return a <= b;
    case IR_GTU: return a > b;
    case IR_LES: return sa <= sb;
    case IR_GTS: return sa > sb;
    case IR_TST: return (a & b) != 0;
    case IR_TSTN: return (a & b) == 0;
    default: break;
    }
    assert(!"condition");
    return false;
}

static uint64_t bswap(uint64_t a, unsigned n)
{
    return __builtin_bswap64(a) >> (64 - n);
}

/* The high half of a product of n bits (32 or 64). */
static uint64_t mul_high(uint64_t a, uint64_t b, unsigned n, bool sign)
{
    if (sign)
        return (uint64_t)((__int128)sext(a, n) * sext(b, n) >> n);
    return (uint64_t)((unsigned __int128)a * b >> n);
}

static uint64_t rotate_left(uint64_t a, unsigned count, unsigned n)
{
    return count ? a << count | a >> (n - count) : a;
}

static uint64_t deposit(uint64_t a, uint64_t b, int64_t field)
{
    return bits_set(a, IR_FIELD_POS(field), IR_FIELD_LEN(field), b);
}

/* ADD..ROR, the result not yet cut to n bits. */
static uint64_t arith(unsigned op, unsigned n, uint64_t a, uint64_t b)
{
    unsigned count = b & (n - 1);

    switch (op) {
    case IR_ADD: return a + b;
    case IR_SUB: return a - b;
    case IR_MUL: return a * b;
    case IR_MULUH: return mul_high(a, b, n, false);
    case IR_MULSH: return mul_high(a, b, n, true);
    case IR_UDIV: return a / b;
    case IR_SDIV: return (uint64_t)(sext(a, n) / sext(b, n));
    case IR_UREM: return a % b;
    case IR_SREM: return (uint64_t)(sext(a, n) % sext(b, n));
    case IR_AND: return a & b;
    case IR_OR: return a | b;
    case IR_XOR: return a ^ b;
    case IR_ANDC: return a & ~b;
    case IR_NOT: return ~a;
    case IR_NEG: return 0 - a;
    case IR_SHL: return a << count;
    case IR_SHR: return a >> count;
    case IR_SAR: return (uint64_t)(sext(a, n) >> count);
    case IR_ROL: return rotate_left(a, count, n);
    case IR_ROR: return rotate_left(a, (n - count) & (n - 1), n);
    default: break;
    }
    assert(!"integer op");
    return 0;
}

uint64_t ir_eval(const struct ir_insn *in, enum ir_type arg_type, const uint64_t arg[4])
{
    unsigned n = ir_type_bits[in->type];
    uint64_t a = arg[0], b = arg[1], mask = ir_mask(in->type);

    switch (in->op) {
    case IR_LEA: return (a + (b << in->sub) + (uint64_t)in->imm) & mask;
    case IR_ZEXT: return a;
    case IR_SEXT: return (uint64_t)sext(a, ir_type_bits[arg_type]) & mask;
    case IR_TRUNC: return a & mask;
    case IR_EXTRACT: return bits(a, IR_FIELD_POS(in->imm), IR_FIELD_LEN(in->imm));
    case IR_DEPOSIT: return deposit(a, b, in->imm) & mask;
    case IR_BSWAP: return bswap(a, n);
    case IR_CLZ: return a ? (unsigned)__builtin_clzll(a) - (64 - n) : n;
    case IR_CTZ: return a ? (unsigned)__builtin_ctzll(a) : n;
    case IR_POPCNT: return (unsigned)__builtin_popcountll(a);
    case IR_SETCOND: return ir_eval_cond(in->sub, arg_type, a, b);
    case IR_SELECT: return ir_eval_cond(in->sub, arg_type, a, b) ? arg[2] : arg[3];
    default: return arith(in->op, n, a, b) & mask;
    }
}
