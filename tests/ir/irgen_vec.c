/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random vector ops: which lanes and immediates each takes.
 */
#include "base/bits.h"
#include "irgen_ops.h"

enum {
    B = 1 << IR_I8,
    H = 1 << IR_I16,
    W = 1 << IR_I32,
    D = 1 << IR_I64,
    S = 1 << IR_F32,
    F = 1 << IR_F64,
    ANY = 1 << IR_V128, /* lane type is not looked at */
    SCALAR = 1 << 15,   /* may be scalar */
};
enum imm { NONE, GROUP, HALVES, LANE, BYTE, SHIFT, WIDTH, PRED, BIT0, ROUND };

static const struct vec_gen {
    uint8_t op;
    uint8_t imm;
    uint16_t lanes;
} integer_ops[] = {
    { IR_VCONST, NONE, ANY },
    { IR_VFROMI, NONE, ANY },
    { IR_VTOI, NONE, W | D },
    { IR_VINSERT, LANE, B | H | W | D },
    { IR_VEXTRACT, LANE, B | H | W | D },
    { IR_VMERGELO, NONE, S | F },
    { IR_VZEXTLO, NONE, S | F },
    { IR_VMOVMSK, NONE, B | S | F },
    { IR_VTESTZ, NONE, ANY },
    { IR_VTESTC, NONE, ANY },
    { IR_VAND, NONE, ANY },
    { IR_VOR, NONE, ANY },
    { IR_VXOR, NONE, ANY },
    { IR_VANDN, NONE, ANY },
    { IR_VADD, NONE, B | H | W | D },
    { IR_VSUB, NONE, B | H | W | D },
    { IR_VADDSS, NONE, B | H },
    { IR_VADDUS, NONE, B | H },
    { IR_VSUBSS, NONE, B | H },
    { IR_VSUBUS, NONE, B | H },
    { IR_VMUL, NONE, B | H | W | D },
    { IR_VMULHS, NONE, H },
    { IR_VMULHU, NONE, H },
    { IR_VMULHRS, NONE, H },
    { IR_VMULWU, NONE, W },
    { IR_VMULWS, NONE, W },
    { IR_VMADD, NONE, H },
    { IR_VMADDUBS, NONE, B },
    { IR_VSAD, NONE, B },
    { IR_VAVGU, NONE, B | H },
    { IR_VMINS, NONE, B | H | W },
    { IR_VMAXS, NONE, B | H | W },
    { IR_VMINU, NONE, B | H | W },
    { IR_VMAXU, NONE, B | H | W },
    { IR_VCMPEQ, NONE, B | H | W | D },
    { IR_VCMPGT, NONE, B | H | W | D },
    { IR_VABS, NONE, B | H | W },
    { IR_VSIGN, NONE, B | H | W },
    { IR_VSHLI, SHIFT, B | H | W | D },
    { IR_VSHRI, SHIFT, B | H | W | D },
    { IR_VSARI, SHIFT, B | H | W | D },
    { IR_VSHLV, NONE, H | W | D },
    { IR_VSHRV, NONE, H | W | D },
    { IR_VSARV, NONE, H | W },
    { IR_VBSHL, SHIFT, ANY },
    { IR_VBSHR, SHIFT, ANY },
    { IR_VALIGNR, SHIFT, ANY },
    { IR_VPACKSS, NONE, H | W },
    { IR_VPACKUS, NONE, H | W },
    { IR_VUNPCKL, NONE, B | H | W | D },
    { IR_VUNPCKH, NONE, B | H | W | D },
    { IR_VHADD, NONE, H | W },
    { IR_VHADDSS, NONE, H },
    { IR_VHSUB, NONE, H | W },
    { IR_VHSUBSS, NONE, H },
    { IR_VSHUFB, NONE, ANY },
    { IR_VSHUF32, BYTE, ANY },
    { IR_VSHUFLO, BYTE, ANY },
    { IR_VSHUFHI, BYTE, ANY },
    { IR_VSHUF2, BYTE, S | F },
    { IR_VBLENDI, BYTE, H | S | F },
    { IR_VBLENDV, NONE, B | S | F },
    { IR_VEXTENDS, WIDTH, B | H | W },
    { IR_VEXTENDU, WIDTH, B | H | W },
    { IR_VDUPLO, NONE, S | F },
    { IR_VDUPHI, NONE, S },
    { IR_VINSERTPS, BYTE, ANY },
    { IR_VDUP, LANE, B | H | W | D },
    { IR_VDUPI, NONE, B | H | W | D },
    { IR_VNARROW, NONE, H | W | D },
    { IR_VUZP1, NONE, B | H | W | D },
    { IR_VUZP2, NONE, B | H | W | D },
    { IR_VTRN1, NONE, B | H | W | D },
    { IR_VTRN2, NONE, B | H | W | D },
    { IR_VREV, GROUP, B | H | W | D },
    { IR_VTBL, NONE, ANY },
    { IR_VCMPGTU, NONE, B | H | W | D },
    { IR_VSHLVV, NONE, B | H | W | D },
    { IR_VSHRVV, NONE, B | H | W | D },
    { IR_VSARVV, NONE, B | H | W | D },
    { IR_VPOPCNT, NONE, B },
    { IR_VCLMUL, HALVES, ANY },
    { IR_VAESENC, NONE, ANY },
    { IR_VAESENCL, NONE, ANY },
    { IR_VAESDEC, NONE, ANY },
    { IR_VAESDECL, NONE, ANY },
    { IR_VAESIMC, NONE, ANY },
    { IR_FIX, NONE, ANY },
    { IR_VFIX, NONE, W | D | SCALAR },
}, fp_ops[] = {
    { IR_VFADD, NONE, S | F | SCALAR },
    { IR_VFSUB, NONE, S | F | SCALAR },
    { IR_VFMUL, NONE, S | F | SCALAR },
    { IR_VFDIV, NONE, S | F | SCALAR },
    { IR_VFMIN, NONE, S | F | SCALAR },
    { IR_VFMAX, NONE, S | F | SCALAR },
    { IR_VFSQRT, NONE, S | F | SCALAR },
    { IR_VFRCP, NONE, S | SCALAR },
    { IR_VFRSQRT, NONE, S | SCALAR },
    { IR_VFCMP, PRED, S | F | SCALAR },
    { IR_VFADDSUB, NONE, S | F },
    { IR_VFHADD, NONE, S | F },
    { IR_VFHSUB, NONE, S | F },
    { IR_VFDP, BYTE, S | F },
    { IR_VFROUND, ROUND, S | F | SCALAR },
    { IR_VFCOM, BIT0, S | F },
    { IR_VFCVTFF, NONE, S | F | SCALAR },
    { IR_VFCVTIF, NONE, S | F },
    { IR_VFCVTFI, BIT0, S | F },
    { IR_VFCVTPIF, NONE, S | F },
    { IR_VFCVTPFI, BIT0, S | F },
    { IR_VFMADD, NONE, S | F | SCALAR },
    { IR_VFMADD, NONE, S | F | SCALAR },
    { IR_VFCANON, NONE, S | F | SCALAR },
    { IR_VFIX, NONE, S | F | SCALAR },
    { IR_VFIX, NONE, S | F | SCALAR },
    { IR_VFCVTUF, NONE, S | F },
    { IR_VFCVTHF, BIT0, S },
    { IR_VFCVTFH, BIT0, S },
};

static unsigned pick_lane(struct irgen *g, unsigned lanes)
{
    unsigned lane;

    if (lanes & ANY)
        return 0;
    do
        lane = irgen_below(g, IR_F64 + 1);
    while (!(lanes >> lane & 1));
    if (lanes & SCALAR && irgen_below(g, 2))
        lane |= IR_SCALAR;
    return lane;
}

static int64_t pick_imm(struct irgen *g, enum imm kind, unsigned lane)
{
    switch (kind) {
    case LANE: return irgen_below(g, 128 / ir_type_bits[lane]);
    case GROUP: return MAX(lane, 1u) + irgen_below(g, 5 - MAX(lane, 1u));
    case HALVES: return irgen_below(g, 2) * 16 + irgen_below(g, 2);
    case BYTE: return irgen_below(g, 256);
    case SHIFT: return irgen_below(g, 10) ? irgen_below(g, 34) : irgen_below(g, 256);
    case WIDTH: return lane + 1 + irgen_below(g, IR_I64 - lane);
    case PRED: return irgen_below(g, 8);
    case ROUND: return irgen_below(g, 16);
    case BIT0: return irgen_below(g, 2);
    default: return 0;
    }
}

static ir_val int_operand(struct irgen *g)
{
    return irgen_operand(g, irgen_below(g, 2) ? IR_I32 : IR_I64);
}

/* ---- results that are looked at ---- */

static void help_fix_vector(void *cpu, union ir_v128 *d, const union ir_v128 *a,
                            const union ir_v128 *b, const union ir_v128 *c, const union ir_v128 *e)
{
    union ir_v128 r;

    for (unsigned k = 0; k < 2; k++)
        r.u64[k] = a->u64[k] + 3 * b->u64[k] + 5 * c->u64[k] + 7 * e->u64[k];
    *d = r;
}

static void help_fix_vector2(void *cpu, union ir_v128 *d, const union ir_v128 *a,
                             const union ir_v128 *b)
{
    help_fix_vector(cpu, d, a, b, a, b);
}

static uint64_t help_fix(void *cpu, const union ir_v128 *c, const union ir_v128 *d)
{
    return c->u64[0] * 3 + d->u64[1];
}

static uint64_t help_fix0(void *cpu)
{
    return UINT64_C(0x123456789abcdef0);
}

static const struct helper h_fix4 = { "fix4", (helper_fn *)help_fix_vector,
                                      "v128 v128 v128 v128 v128", HELPER_PURE };
static const struct helper h_fix2 = { "fix2", (helper_fn *)help_fix_vector2, "v128 v128 v128",
                                      HELPER_PURE };
static const struct helper h_fix_i32 = { "fix_i32", (helper_fn *)help_fix, "i32 v128 v128",
                                         HELPER_PURE };
static const struct helper h_fix_i64 = { "fix_i64", (helper_fn *)help_fix, "i64 v128 v128",
                                         HELPER_PURE };
static const struct helper h_fix0 = { "fix0", (helper_fn *)help_fix0, "i64", HELPER_PURE };

static ir_val gen_fix(struct irgen *g)
{
    enum ir_type type = irgen_below(g, 2) ? IR_I32 : IR_I64;
    ir_val a, c, d;

    if (!irgen_below(g, 6))
        return ir_fix(g->ir, IR_LTU, irgen_operand(g, IR_I64), (int64_t)irgen_random(g), &h_fix0, 0,
                      0);
    c = irgen_operand(g, IR_V128);
    d = irgen_operand(g, IR_V128);
    if (g->flags & IRGEN_FP && irgen_below(g, 2))
        a = ir_vfcvtfi(g->ir, type, irgen_below(g, 2) ? IR_F32 : IR_F64, c, irgen_below(g, 2));
    else
        a = irgen_operand(g, type);
    if (irgen_below(g, 2))
        return ir_fix(g->ir, IR_EQ, a, type == IR_I64 ? INT64_MIN : INT32_MIN,
                      type == IR_I64 ? &h_fix_i64 : &h_fix_i32, c, d);
    return ir_fix(g->ir, irgen_below(g, IR_COND_COUNT), a, (int64_t)irgen_random(g) >> 32,
                  type == IR_I64 ? &h_fix_i64 : &h_fix_i32, c, d);
}

static ir_val fp_result(struct irgen *g, unsigned lane)
{
    static const uint8_t ops[] = { IR_VFADD, IR_VFMUL, IR_VFDIV, IR_VFSQRT };
    ir_val a = irgen_operand(g, IR_V128);

    return ir_vop2(g->ir, ops[irgen_below(g, 4)], lane, a, irgen_operand(g, IR_V128), 0);
}

static ir_val gen_vfix(struct irgen *g, unsigned lane)
{
    bool fp = (lane & ~IR_SCALAR) >= IR_F32;
    ir_val a = fp ? fp_result(g, lane) : irgen_operand(g, IR_V128);
    ir_val b = irgen_operand(g, IR_V128), c;

    g->fixes = true;
    if (irgen_below(g, 2))
        return ir_vfix(g->ir, lane, &h_fix2, a, b, 0, 0);
    c = irgen_operand(g, IR_V128);
    return ir_vfix(g->ir, lane, &h_fix4, a, b, c, irgen_operand(g, IR_V128));
}

ir_val irgen_vector(struct irgen *g)
{
    bool fp = g->flags & IRGEN_FP && irgen_below(g, 100) < 35;
    const struct vec_gen *row = fp ? &fp_ops[irgen_below(g, ARRAY_SIZE(fp_ops))]
                                   : &integer_ops[irgen_below(g, ARRAY_SIZE(integer_ops))];
    unsigned lane = pick_lane(g, row->lanes);
    int64_t imm = pick_imm(g, row->imm, lane);
    ir_val a, b, c;

    switch (row->op) {
    case IR_VCONST: return ir_vconst(g->ir, irgen_random(g));
    case IR_VFROMI: return ir_vop1(g->ir, row->op, lane, int_operand(g), 0);
    case IR_VFCVTFI:
        a = irgen_operand(g, IR_V128);
        return ir_vfcvtfi(g->ir, irgen_below(g, 2) ? IR_I32 : IR_I64, lane, a, imm);
    case IR_FIX: return gen_fix(g);
    case IR_VFIX: return gen_vfix(g, lane);
    case IR_VDUPI:
        return ir_vop1(g->ir, row->op, lane,
                       lane == IR_I64 ? irgen_operand(g, IR_I64) : int_operand(g), 0);
    case IR_VFCANON:
        g->fixes = true;
        return ir_vop1(g->ir, row->op, lane, fp_result(g, lane),
                       (int64_t)(lane & 1 ? UINT64_C(0x7ff8000000000000) : 0x7fc00000));
    case IR_VFMADD:
        a = irgen_operand(g, IR_V128);
        b = irgen_operand(g, IR_V128);
        c = irgen_below(g, 6) ? irgen_operand(g, IR_V128) : a;
        return ir_vfmadd(g->ir, lane, a, b, c, irgen_below(g, 4));
    case IR_VFCVTUF:
    case IR_VFCVTIF:
        a = irgen_operand(g, IR_V128);
        return ir_vop2(g->ir, row->op, lane | IR_SCALAR, a, int_operand(g), 0);
    case IR_VINSERT:
        a = irgen_operand(g, IR_V128);
        return ir_vop2(g->ir, row->op, lane, a, irgen_operand(g, lane == IR_I64 ? IR_I64 : IR_I32),
                       imm);
    default: break;
    }
    a = irgen_operand(g, IR_V128);
    if (!ir_op_info[row->op].operands[1])
        return ir_vop1(g->ir, row->op, lane, a, imm);
    b = irgen_operand(g, IR_V128);
    if (!ir_op_info[row->op].operands[2])
        return ir_vop2(g->ir, row->op, lane, a, b, imm);
    c = irgen_operand(g, IR_V128);
    return ir_vop3(g->ir, row->op, lane, a, b, c);
}
