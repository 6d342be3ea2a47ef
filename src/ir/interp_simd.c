/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The interpreter's vector ops that came with the Arm and RISC-V guests: permutations of lanes,
 * tables, shifts by lanes, AES. Each function gets d zeroed, and not one of its operands.
 */
#include "ir/interp.h"

#include <string.h>

#include "base/bits.h"

static unsigned lane_bits(const struct ir_insn *in)
{
    return ir_type_bits[in->sub & ~IR_SCALAR & 0xff];
}

static uint64_t get(const union ir_v128 *v, unsigned n, unsigned k)
{
    uint64_t x = 0;

    memcpy(&x, v->u8 + k * n / 8, n / 8);
    return x;
}

static void set(union ir_v128 *v, unsigned n, unsigned k, uint64_t x)
{
    memcpy(v->u8 + k * n / 8, &x, n / 8);
}

static void s_dup(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                  const union ir_v128 *b)
{
    unsigned n = lane_bits(in);
    uint64_t x = get(a, n, in->op == IR_VDUP ? (unsigned)in->imm : 0);

    for (unsigned k = 0; k < 128 / n; k++)
        set(d, n, k, x);
}

static void s_narrow(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                     const union ir_v128 *b)
{
    unsigned n = lane_bits(in);

    for (unsigned k = 0; k < 128 / n; k++)
        set(d, n / 2, k, get(a, n, k));
}

static void s_unzip(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    unsigned n = lane_bits(in), half = 64 / n, odd = in->op == IR_VUZP2;

    for (unsigned k = 0; k < 2 * half; k++)
        set(d, n, k, get(k < half ? a : b, n, 2 * (k % half) + odd));
}

static void s_transpose(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                        const union ir_v128 *b)
{
    unsigned n = lane_bits(in), odd = in->op == IR_VTRN2;

    for (unsigned k = 0; k < 128 / n; k++)
        set(d, n, k, get(k & 1 ? b : a, n, (k & ~1u) + odd));
}

static void s_reverse(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                      const union ir_v128 *b)
{
    unsigned n = lane_bits(in), lanes = (8u << in->imm) / n;

    for (unsigned k = 0; k < 128 / n; k++)
        set(d, n, k, get(a, n, k / lanes * lanes + (lanes - 1 - k % lanes)));
}

static void s_table(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    for (unsigned k = 0; k < 16; k++)
        d->u8[k] = b->u8[k] < 16 ? a->u8[b->u8[k]] : 0;
}

static void s_greater(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                      const union ir_v128 *b)
{
    unsigned n = lane_bits(in);

    for (unsigned k = 0; k < 128 / n; k++)
        set(d, n, k, get(a, n, k) > get(b, n, k) ? ~UINT64_C(0) : 0);
}

static void s_shift(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    unsigned n = lane_bits(in);

    for (unsigned k = 0; k < 128 / n; k++) {
        uint64_t x = get(a, n, k), by = get(b, n, k);

        if (in->op == IR_VSARVV)
            x = (uint64_t)(sext(x, n) >> (by < n ? by : n - 1));
        else if (by >= n)
            x = 0;
        else
            x = in->op == IR_VSHLVV ? x << by : x >> by;
        set(d, n, k, x);
    }
}

static void s_count(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    for (unsigned k = 0; k < 16; k++)
        d->u8[k] = (uint8_t)__builtin_popcount(a->u8[k]);
}

static void s_clmul(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    ir_clmul(d, a->u64[in->imm & 1], b->u64[in->imm >> 4 & 1]);
}

static void s_aes(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                  const union ir_v128 *b)
{
    ir_aes(in->op, d, a, b);
}

interp_vec_fn *const ir_interp_simd_ops[IR_OP_COUNT] = {
    [IR_VDUP] = s_dup,
    [IR_VDUPI] = s_dup,
    [IR_VNARROW] = s_narrow,
    [IR_VUZP1] = s_unzip,
    [IR_VUZP2] = s_unzip,
    [IR_VTRN1] = s_transpose,
    [IR_VTRN2] = s_transpose,
    [IR_VREV] = s_reverse,
    [IR_VTBL] = s_table,
    [IR_VCMPGTU] = s_greater,
    [IR_VSHLVV... IR_VSARVV] = s_shift,
    [IR_VPOPCNT] = s_count,
    [IR_VCLMUL] = s_clmul,
    [IR_VAESENC... IR_VAESIMC] = s_aes,
};
