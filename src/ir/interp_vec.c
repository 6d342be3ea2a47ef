/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The interpreter's vector moves and vector integer ops. Ops that treat each lane alike are rows of
 * lane_ops; the others have a function each. Each function gets d zeroed, and not one of its
 * operands.
 */
#include "ir/interp.h"

#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "ir/eval.h"

static unsigned lane_type(const struct ir_insn *in)
{
    return in->sub & ~IR_SCALAR & 0xff;
}

/* Bits of a lane: of the op's lane type. */
static unsigned lane_bits(const struct ir_insn *in)
{
    return ir_type_bits[lane_type(in)];
}

/* Lane k of n bits, zero-extended. */
static uint64_t lane_u(const union ir_v128 *v, unsigned n, unsigned k)
{
    uint64_t x = 0;

    memcpy(&x, v->u8 + k * n / 8, n / 8);
    return x;
}

static int64_t lane_s(const union ir_v128 *v, unsigned n, unsigned k)
{
    return sext(lane_u(v, n, k), n);
}

static void lane_set(union ir_v128 *v, unsigned n, unsigned k, uint64_t x)
{
    memcpy(v->u8 + k * n / 8, &x, n / 8);
}

static int64_t saturate_s(int64_t x, unsigned n)
{
    int64_t max = (int64_t)(BIT(n - 1) - 1);

    return x > max ? max : x < -max - 1 ? -max - 1 : x;
}

static int64_t saturate_u(int64_t x, unsigned n)
{
    int64_t max = (int64_t)(BIT(n) - 1);

    return x > max ? max : x < 0 ? 0 : x;
}

/* ---- one lane at a time; a and b are extended as the row says, the result is cut to n bits ----
 */

static int64_t l_add(int64_t a, int64_t b, unsigned n)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
static int64_t l_sub(int64_t a, int64_t b, unsigned n)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}
static int64_t l_addss(int64_t a, int64_t b, unsigned n)
{
    return saturate_s(a + b, n);
}
static int64_t l_addus(int64_t a, int64_t b, unsigned n)
{
    return saturate_u(a + b, n);
}
static int64_t l_subss(int64_t a, int64_t b, unsigned n)
{
    return saturate_s(a - b, n);
}
static int64_t l_subus(int64_t a, int64_t b, unsigned n)
{
    return saturate_u(a - b, n);
}
static int64_t l_mul(int64_t a, int64_t b, unsigned n)
{
    return (int64_t)((uint64_t)a * (uint64_t)b);
}
static int64_t l_mulh(int64_t a, int64_t b, unsigned n)
{
    return a * b >> n;
}
static int64_t l_mulhrs(int64_t a, int64_t b, unsigned n)
{
    return ((a * b >> 14) + 1) >> 1;
}
static int64_t l_avg(int64_t a, int64_t b, unsigned n)
{
    return (a + b + 1) >> 1;
}
static int64_t l_min(int64_t a, int64_t b, unsigned n)
{
    return a < b ? a : b;
}
static int64_t l_max(int64_t a, int64_t b, unsigned n)
{
    return a > b ? a : b;
}
static int64_t l_cmpeq(int64_t a, int64_t b, unsigned n)
{
    return -(a == b);
}
static int64_t l_cmpgt(int64_t a, int64_t b, unsigned n)
{
    return -(a > b);
}
static int64_t l_abs(int64_t a, int64_t b, unsigned n)
{
    return a < 0 ? -a : a;
}
static int64_t l_sign(int64_t a, int64_t b, unsigned n)
{
    return b < 0 ? -a : b ? a : 0;
}

static const struct lane_op {
    int64_t (*fn)(int64_t a, int64_t b, unsigned n);
    bool sign;
} lane_ops[IR_OP_COUNT] = {
    [IR_VADD] = { l_add, false },    [IR_VSUB] = { l_sub, false },
    [IR_VADDSS] = { l_addss, true }, [IR_VADDUS] = { l_addus, false },
    [IR_VSUBSS] = { l_subss, true }, [IR_VSUBUS] = { l_subus, false },
    [IR_VMUL] = { l_mul, false },    [IR_VMULHS] = { l_mulh, true },
    [IR_VMULHU] = { l_mulh, false }, [IR_VMULHRS] = { l_mulhrs, true },
    [IR_VAVGU] = { l_avg, false },   [IR_VMINS] = { l_min, true },
    [IR_VMAXS] = { l_max, true },    [IR_VMINU] = { l_min, false },
    [IR_VMAXU] = { l_max, false },   [IR_VCMPEQ] = { l_cmpeq, false },
    [IR_VCMPGT] = { l_cmpgt, true }, [IR_VABS] = { l_abs, true },
    [IR_VSIGN] = { l_sign, true },
};

static void run_lanes(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                      const union ir_v128 *b)
{
    const struct lane_op *op = &lane_ops[in->op];
    unsigned n = lane_bits(in), count = in->sub & IR_SCALAR ? 1 : 128 / n;

    *d = *a;
    for (unsigned k = 0; k < count; k++)
        lane_set(d, n, k,
                 (uint64_t)(op->sign
                                ? op->fn(lane_s(a, n, k), lane_s(b, n, k), n)
                                : op->fn((int64_t)lane_u(a, n, k), (int64_t)lane_u(b, n, k), n)));
}

/* ---- moves ---- */

static void v_const(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    d->u64[0] = d->u64[1] = (uint64_t)in->imm;
}

static void v_fromi(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    d->u64[0] = a->u64[0];
}

static void v_toi(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                  const union ir_v128 *b)
{
    d->u64[0] = a->u64[0] & ir_mask(in->type);
}

static void v_insert(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                     const union ir_v128 *b)
{
    *d = *a;
    lane_set(d, lane_bits(in), in->imm, b->u64[0]);
}

static void v_extract(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                      const union ir_v128 *b)
{
    d->u64[0] = lane_u(a, lane_bits(in), in->imm) & ir_mask(in->type);
}

static void v_mergelo(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                      const union ir_v128 *b)
{
    *d = *a;
    lane_set(d, lane_bits(in), 0, lane_u(b, lane_bits(in), 0));
}

static void v_zextlo(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                     const union ir_v128 *b)
{
    d->u64[0] = lane_u(a, lane_bits(in), 0);
}

static void v_movmsk(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                     const union ir_v128 *b)
{
    unsigned n = lane_bits(in);

    for (unsigned k = 0; k < 128 / n; k++)
        d->u64[0] |= (uint64_t)(lane_s(a, n, k) < 0) << k;
}

static void v_testz(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    d->u64[0] = !(a->u64[0] & b->u64[0]) && !(a->u64[1] & b->u64[1]);
}

static void v_testc(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    d->u64[0] = !(~a->u64[0] & b->u64[0]) && !(~a->u64[1] & b->u64[1]);
}

static void v_logic(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    for (unsigned k = 0; k < 2; k++) {
        uint64_t x = a->u64[k], y = b->u64[k];

        d->u64[k] = in->op == IR_VAND   ? x & y
                    : in->op == IR_VOR  ? x | y
                    : in->op == IR_VXOR ? x ^ y
                                        : ~x & y;
    }
}

/* ---- products and sums across lanes ---- */

static void v_mulw(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                   const union ir_v128 *b)
{
    for (unsigned k = 0; k < 2; k++)
        d->u64[k] = in->op == IR_VMULWU ? (uint64_t)a->u32[2 * k] * b->u32[2 * k]
                                        : (uint64_t)((int64_t)a->s32[2 * k] * b->s32[2 * k]);
}

static void v_madd(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                   const union ir_v128 *b)
{
    for (unsigned k = 0; k < 4; k++)
        d->u32[k] = (uint32_t)(a->s16[2 * k] * b->s16[2 * k]) +
                    (uint32_t)(a->s16[2 * k + 1] * b->s16[2 * k + 1]);
}

static void v_maddubs(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                      const union ir_v128 *b)
{
    for (unsigned k = 0; k < 8; k++)
        d->s16[k] = (int16_t)saturate_s(
            a->u8[2 * k] * b->s8[2 * k] + a->u8[2 * k + 1] * b->s8[2 * k + 1], 16);
}

static void v_sad(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                  const union ir_v128 *b)
{
    for (unsigned k = 0; k < 16; k++)
        d->u64[k / 8] +=
            (uint64_t)(a->u8[k] > b->u8[k] ? a->u8[k] - b->u8[k] : b->u8[k] - a->u8[k]);
}

/* Pairs of a, then pairs of b. */
static void v_horizontal(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                         const union ir_v128 *b)
{
    unsigned n = lane_bits(in), half = 64 / n;
    bool sub = in->op == IR_VHSUB || in->op == IR_VHSUBSS,
         sat = in->op == IR_VHADDSS || in->op == IR_VHSUBSS;

    for (unsigned k = 0; k < 2 * half; k++) {
        const union ir_v128 *from = k < half ? a : b;
        int64_t x = lane_s(from, n, 2 * (k % half)), y = lane_s(from, n, 2 * (k % half) + 1);
        int64_t sum = sub ? x - y : x + y;

        lane_set(d, n, k, (uint64_t)(sat ? saturate_s(sum, n) : sum));
    }
}

/* ---- shifts ---- */

static uint64_t shift_lane(unsigned op, const union ir_v128 *a, unsigned n, unsigned k,
                           uint64_t count)
{
    switch (op) {
    case IR_VSHLI:
    case IR_VSHLV: return count < n ? lane_u(a, n, k) << count : 0;
    case IR_VSHRI:
    case IR_VSHRV: return count < n ? lane_u(a, n, k) >> count : 0;
    default: return (uint64_t)(lane_s(a, n, k) >> (count < n ? count : n - 1));
    }
}

static void v_shift(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    unsigned n = lane_bits(in);
    uint64_t count = in->nargs == 2 ? b->u64[0] : (uint64_t)in->imm;

    for (unsigned k = 0; k < 128 / n; k++)
        lane_set(d, n, k, shift_lane(in->op, a, n, k, count));
}

/* Bytes of hi:lo from byte "by" on; zeros beyond. */
static void bytes_from(union ir_v128 *d, const union ir_v128 *hi, const union ir_v128 *lo,
                       unsigned by)
{
    for (unsigned k = 0; k < 16; k++) {
        unsigned from = k + by;

        d->u8[k] = from < 16 ? lo->u8[from] : from < 32 ? hi->u8[from - 16] : 0;
    }
}

static void v_bytes(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    static const union ir_v128 zero;
    unsigned by = in->imm & 0xff;

    if (in->op == IR_VALIGNR)
        bytes_from(d, a, b, by);
    else if (in->op == IR_VBSHR)
        bytes_from(d, &zero, a, by);
    else if (by < 16)
        bytes_from(d, a, &zero, 16 - by);
}

/* ---- packing and shuffling ---- */

static void v_pack(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                   const union ir_v128 *b)
{
    unsigned n = lane_bits(in), count = 128 / n;

    for (unsigned k = 0; k < 2 * count; k++) {
        int64_t x = lane_s(k < count ? a : b, n, k % count);

        lane_set(d, n / 2, k,
                 (uint64_t)(in->op == IR_VPACKSS ? saturate_s(x, n / 2) : saturate_u(x, n / 2)));
    }
}

static void v_unpack(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                     const union ir_v128 *b)
{
    unsigned n = lane_bits(in), count = 128 / n, from = in->op == IR_VUNPCKH ? count / 2 : 0;

    for (unsigned k = 0; k < count; k++)
        lane_set(d, n, k, lane_u(k & 1 ? b : a, n, from + k / 2));
}

static void v_shufb(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    for (unsigned k = 0; k < 16; k++)
        d->u8[k] = b->u8[k] & 0x80 ? 0 : a->u8[b->u8[k] & 15];
}

static void v_shuf32(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                     const union ir_v128 *b)
{
    for (unsigned k = 0; k < 4; k++)
        d->u32[k] = a->u32[in->imm >> 2 * k & 3];
}

static void v_shuf16(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                     const union ir_v128 *b)
{
    unsigned base = in->op == IR_VSHUFHI ? 4 : 0;

    *d = *a;
    for (unsigned k = 0; k < 4; k++)
        d->u16[base + k] = a->u16[base + (in->imm >> 2 * k & 3)];
}

static void v_shuf2(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                    const union ir_v128 *b)
{
    if (lane_type(in) == IR_F64) {
        d->u64[0] = a->u64[in->imm & 1];
        d->u64[1] = b->u64[in->imm >> 1 & 1];
        return;
    }
    for (unsigned k = 0; k < 4; k++)
        d->u32[k] = (k < 2 ? a : b)->u32[in->imm >> 2 * k & 3];
}

static void v_blendi(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                     const union ir_v128 *b)
{
    unsigned n = lane_bits(in);

    for (unsigned k = 0; k < 128 / n; k++)
        lane_set(d, n, k, lane_u(in->imm >> k & 1 ? b : a, n, k));
}

static void v_extend(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                     const union ir_v128 *b)
{
    unsigned from = lane_bits(in), to = ir_type_bits[in->imm];

    for (unsigned k = 0; k < 128 / to; k++)
        lane_set(d, to, k,
                 in->op == IR_VEXTENDS ? (uint64_t)lane_s(a, from, k) : lane_u(a, from, k));
}

static void v_dup(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                  const union ir_v128 *b)
{
    unsigned n = lane_bits(in), odd = in->op == IR_VDUPHI;

    for (unsigned k = 0; k < 128 / n; k++)
        lane_set(d, n, k, lane_u(a, n, (k & ~1u) | odd));
}

static void v_insertps(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                       const union ir_v128 *b)
{
    *d = *a;
    d->u32[in->imm >> 4 & 3] = b->u32[in->imm >> 6 & 3];
    for (unsigned k = 0; k < 4; k++)
        if (in->imm >> k & 1)
            d->u32[k] = 0;
}

static interp_vec_fn *const vec_ops[IR_OP_COUNT] = {
    [IR_VCONST] = v_const,
    [IR_VFROMI] = v_fromi,
    [IR_VTOI] = v_toi,
    [IR_VINSERT] = v_insert,
    [IR_VEXTRACT] = v_extract,
    [IR_VMERGELO] = v_mergelo,
    [IR_VZEXTLO] = v_zextlo,
    [IR_VMOVMSK] = v_movmsk,
    [IR_VTESTZ] = v_testz,
    [IR_VTESTC] = v_testc,
    [IR_VAND... IR_VANDN] = v_logic,
    [IR_VADD... IR_VMULHRS] = run_lanes,
    [IR_VMULWU] = v_mulw,
    [IR_VMULWS] = v_mulw,
    [IR_VMADD] = v_madd,
    [IR_VMADDUBS] = v_maddubs,
    [IR_VSAD] = v_sad,
    [IR_VAVGU... IR_VSIGN] = run_lanes,
    [IR_VSHLI... IR_VSARV] = v_shift,
    [IR_VBSHL... IR_VALIGNR] = v_bytes,
    [IR_VPACKSS] = v_pack,
    [IR_VPACKUS] = v_pack,
    [IR_VUNPCKL] = v_unpack,
    [IR_VUNPCKH] = v_unpack,
    [IR_VHADD... IR_VHSUBSS] = v_horizontal,
    [IR_VSHUFB] = v_shufb,
    [IR_VSHUF32] = v_shuf32,
    [IR_VSHUFLO] = v_shuf16,
    [IR_VSHUFHI] = v_shuf16,
    [IR_VSHUF2] = v_shuf2,
    [IR_VBLENDI] = v_blendi,
    [IR_VEXTENDS] = v_extend,
    [IR_VEXTENDU] = v_extend,
    [IR_VDUPLO] = v_dup,
    [IR_VDUPHI] = v_dup,
    [IR_VINSERTPS] = v_insertps,
};

/* The one op with three operands. */
static void v_blendv(const struct ir_insn *in, union ir_v128 *d, const union ir_v128 *a,
                     const union ir_v128 *b, const union ir_v128 *c)
{
    unsigned n = lane_bits(in);

    for (unsigned k = 0; k < 128 / n; k++)
        lane_set(d, n, k, lane_u(lane_s(c, n, k) < 0 ? b : a, n, k));
}

void ir_interp_vec(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    const union ir_v128 *a = interp_arg(r, in, 0), *b = interp_arg(r, in, 1);
    union ir_v128 result = { 0 };

    if (in->op == IR_VBLENDV)
        v_blendv(in, &result, a, b, interp_arg(r, in, 2));
    else
        (vec_ops[in->op] ? vec_ops : ir_interp_simd_ops)[in->op](in, &result, a, b);
    *d = result;
}
