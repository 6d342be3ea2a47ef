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
enum imm { NONE, LANE, BYTE, SHIFT, WIDTH, PRED, BIT0, ROUND };

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
    { IR_VMUL, NONE, H | W },
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
    { IR_VSHLI, SHIFT, H | W | D },
    { IR_VSHRI, SHIFT, H | W | D },
    { IR_VSARI, SHIFT, H | W },
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
