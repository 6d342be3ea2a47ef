/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SSE floating point: a line per instruction names its IR operation and lane. Rounding, DAZ, FTZ
 * and sticky flags are the host's MXCSR; with an exception unmasked (X86_MODE_XM) each operation is
 * checked by vec_fp_begin and vec_fp_end.
 */
#include "guest/x86/tr_vec.h"

#define TR(name, call)                                                                             \
    bool tr_##name(struct tr *t, const struct x86_insn *i)                                         \
    {                                                                                              \
        return call;                                                                               \
    }

/* ---- operand 0 = op(operand 0, operand 1) ---- */

enum { UNARY = 1, IMM = 2 }; /* UNARY: a packed form does not read operand 0 */

/* Which of h_xm_end_arith's operations it is, if any. */
static enum fp_arith arith_of(enum ir_op op)
{
    switch (op) {
    case IR_VFADD: return FP_ADD;
    case IR_VFSUB: return FP_SUB;
    case IR_VFMUL: return FP_MUL;
    case IR_VFDIV: return FP_DIV;
    case IR_VFADDSUB: return FP_ADDSUB;
    case IR_VFHADD: return FP_HADD;
    case IR_VFHSUB: return FP_HSUB;
    case IR_VFDP: return FP_DP;
    default: return FP_NONE;
    }
}

static bool fp2(struct tr *t, const struct x86_insn *i, enum ir_op op, unsigned lane, unsigned how)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = how & UNARY && !(lane & IR_SCALAR) ? b : vec_get(t, i, 0);
    ir_val old = vec_fp_begin(t, i);
    unsigned imm = how & IMM ? vec_imm(i) : 0;
    ir_val v = ir_vop2(t->b, op, lane, a, b, imm);
    if (arith_of(op) == FP_NONE)
        vec_fp_end(t, old);
    else
        vec_fp_end_arith(t, old, arith_of(op), lane, a, b, imm);
    vec_set(t, i, 0, v);
    return true;
}

#define FP_PS(name, op, how) TR(name, fp2(t, i, IR_##op, IR_F32, how))
#define FP_PD(name, op, how) TR(name, fp2(t, i, IR_##op, IR_F64, how))
#define FP_SS(name, op, how) TR(name, fp2(t, i, IR_##op, IR_F32 | IR_SCALAR, how))
#define FP_SD(name, op, how) TR(name, fp2(t, i, IR_##op, IR_F64 | IR_SCALAR, how))

FP_PS(addps, VFADD, 0)
FP_PD(addpd, VFADD, 0)
FP_SS(addss, VFADD, 0)
FP_SD(addsd, VFADD, 0)
FP_PS(subps, VFSUB, 0)
FP_PD(subpd, VFSUB, 0)
FP_SS(subss, VFSUB, 0)
FP_SD(subsd, VFSUB, 0)
FP_PS(mulps, VFMUL, 0)
FP_PD(mulpd, VFMUL, 0)
FP_SS(mulss, VFMUL, 0)
FP_SD(mulsd, VFMUL, 0)
FP_PS(divps, VFDIV, 0)
FP_PD(divpd, VFDIV, 0)
FP_SS(divss, VFDIV, 0)
FP_SD(divsd, VFDIV, 0)
FP_PS(minps, VFMIN, 0)
FP_PD(minpd, VFMIN, 0)
FP_SS(minss, VFMIN, 0)
FP_SD(minsd, VFMIN, 0)
FP_PS(maxps, VFMAX, 0)
FP_PD(maxpd, VFMAX, 0)
FP_SS(maxss, VFMAX, 0)
FP_SD(maxsd, VFMAX, 0)
FP_PS(sqrtps, VFSQRT, UNARY)
FP_PD(sqrtpd, VFSQRT, UNARY)
FP_SS(sqrtss, VFSQRT, UNARY)
FP_SD(sqrtsd, VFSQRT, UNARY)
FP_PS(addsubps, VFADDSUB, 0)
FP_PD(addsubpd, VFADDSUB, 0)
FP_PS(haddps, VFHADD, 0)
FP_PD(haddpd, VFHADD, 0)
FP_PS(hsubps, VFHSUB, 0)
FP_PD(hsubpd, VFHSUB, 0)
FP_PS(dpps, VFDP, IMM)
FP_PD(dppd, VFDP, IMM)
FP_PS(roundps, VFROUND, UNARY | IMM)
FP_PD(roundpd, VFROUND, UNARY | IMM)
FP_SS(roundss, VFROUND, UNARY | IMM)
FP_SD(roundsd, VFROUND, UNARY | IMM)

/* ---- approximations: raise nothing ---- */

static bool approximate(struct tr *t, const struct x86_insn *i, enum ir_op op, unsigned lane)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1);
    vec_set(t, i, 0, ir_vop2(t->b, op, lane, lane & IR_SCALAR ? vec_get(t, i, 0) : b, b, 0));
    return true;
}

TR(rcpps, approximate(t, i, IR_VFRCP, IR_F32))
TR(rcpss, approximate(t, i, IR_VFRCP, IR_F32 | IR_SCALAR))
TR(rsqrtps, approximate(t, i, IR_VFRSQRT, IR_F32))
TR(rsqrtss, approximate(t, i, IR_VFRSQRT, IR_F32 | IR_SCALAR))

/* ---- comparisons ---- */

static bool compare(struct tr *t, const struct x86_insn *i, unsigned lane)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = vec_get(t, i, 0);
    ir_val old = vec_fp_begin(t, i);
    ir_val v = ir_vop2(t->b, IR_VFCMP, lane, a, b, vec_imm(i) & 7);
    vec_fp_end(t, old);
    vec_set(t, i, 0, v);
    return true;
}

TR(cmpps, compare(t, i, IR_F32))
TR(cmppd, compare(t, i, IR_F64))
TR(cmpss, compare(t, i, IR_F32 | IR_SCALAR))
TR(cmpsd, compare(t, i, IR_F64 | IR_SCALAR))

static bool compare_flags(struct tr *t, const struct x86_insn *i, unsigned lane, bool signals)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = vec_get(t, i, 0);
    ir_val old = vec_fp_begin(t, i);
    ir_val flags = ir_vop2(t->b, IR_VFCOM, lane | IR_SCALAR, a, b, signals);
    vec_fp_end(t, old);
    tr_cc_flags(t, flags);
    return true;
}

TR(ucomiss, compare_flags(t, i, IR_F32, false))
TR(ucomisd, compare_flags(t, i, IR_F64, false))
TR(comiss, compare_flags(t, i, IR_F32, true))
TR(comisd, compare_flags(t, i, IR_F64, true))

/* ---- conversions ---- */

/* Between float formats: lane is the source's. */
static bool convert_ff(struct tr *t, const struct x86_insn *i, unsigned lane)
{
    bool narrows = (lane & ~IR_SCALAR) == IR_F64;

    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = lane & IR_SCALAR ? vec_get(t, i, 0) : b;
    ir_val old = vec_fp_begin(t, i);
    ir_val v = ir_vop2(t->b, IR_VFCVTFF, lane, a, b, 0);
    if (narrows)
        vec_fp_end_arith(t, old, FP_NARROW, IR_F32 | (lane & IR_SCALAR), a, b, 0);
    else
        vec_fp_end(t, old);
    vec_set(t, i, 0, v);
    return true;
}

TR(cvtps2pd, convert_ff(t, i, IR_F32))
TR(cvtpd2ps, convert_ff(t, i, IR_F64))
TR(cvtss2sd, convert_ff(t, i, IR_F32 | IR_SCALAR))
TR(cvtsd2ss, convert_ff(t, i, IR_F64 | IR_SCALAR))

static bool convert_if(struct tr *t, const struct x86_insn *i, unsigned lane)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = tr_get(t, i, 1), a = vec_get(t, i, 0);
    ir_val old = vec_fp_begin(t, i);
    ir_val v = ir_vop2(t->b, IR_VFCVTIF, lane | IR_SCALAR, a, b, 0);
    vec_fp_end(t, old);
    vec_set(t, i, 0, v);
    return true;
}

TR(cvtsi2ss, convert_if(t, i, IR_F32))
TR(cvtsi2sd, convert_if(t, i, IR_F64))

static bool convert_fi(struct tr *t, const struct x86_insn *i, unsigned lane, bool truncate)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1);
    ir_val old = vec_fp_begin(t, i);
    ir_val v = ir_vfcvtfi(t->b, tr_type(i->opnd[0].size), lane, b, truncate);
    vec_fp_end(t, old);
    tr_set(t, i, 0, v);
    return true;
}

TR(cvtss2si, convert_fi(t, i, IR_F32, false))
TR(cvtsd2si, convert_fi(t, i, IR_F64, false))
TR(cvttss2si, convert_fi(t, i, IR_F32, true))
TR(cvttsd2si, convert_fi(t, i, IR_F64, true))

/* Packed integers to and from XMM or MMX. */
static bool convert_packed(struct tr *t, const struct x86_insn *i, enum ir_op op, unsigned lane,
                           bool truncate)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1);
    if (i->opnd[0].kind == X86_K_MMX && lane == IR_F32)
        b = ir_vop1(t->b, IR_VZEXTLO, IR_F64, b,
                    0); /* two lanes only: the others would raise flags */
    ir_val old = vec_fp_begin(t, i);
    ir_val v = ir_vop1(t->b, op, lane, b, truncate);
    vec_fp_end(t, old);
    vec_set(t, i, 0, v);
    return true;
}

TR(cvtdq2ps, convert_packed(t, i, IR_VFCVTPIF, IR_F32, false))
TR(cvtdq2pd, convert_packed(t, i, IR_VFCVTPIF, IR_F64, false))
TR(cvtps2dq, convert_packed(t, i, IR_VFCVTPFI, IR_F32, false))
TR(cvttps2dq, convert_packed(t, i, IR_VFCVTPFI, IR_F32, true))
TR(cvtpd2dq, convert_packed(t, i, IR_VFCVTPFI, IR_F64, false))
TR(cvttpd2dq, convert_packed(t, i, IR_VFCVTPFI, IR_F64, true))
TR(cvtps2pi, convert_packed(t, i, IR_VFCVTPFI, IR_F32, false))
TR(cvttps2pi, convert_packed(t, i, IR_VFCVTPFI, IR_F32, true))
TR(cvtpd2pi, convert_packed(t, i, IR_VFCVTPFI, IR_F64, false))
TR(cvttpd2pi, convert_packed(t, i, IR_VFCVTPFI, IR_F64, true))
TR(cvtpi2pd, convert_packed(t, i, IR_VFCVTPIF, IR_F64, false))

/* CVTPI2PS: into the low half, the high one stays. */
bool tr_cvtpi2ps(struct tr *t, const struct x86_insn *i)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = vec_get(t, i, 0);
    ir_val old = vec_fp_begin(t, i);
    ir_val v = ir_vop1(t->b, IR_VFCVTPIF, IR_F32, b, 0);
    vec_fp_end(t, old);
    vec_set(t, i, 0, ir_vop2(t->b, IR_VMERGELO, IR_F64, a, v, 0));
    return true;
}
