/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Integer SIMD, MMX and SSE at once: a line per instruction names its IR operation and lane; the
 * operands' class is the table's. An MMX operation is the 128-bit one on zero-extended operands, of
 * which the low half counts; the few that mix their halves are rearranged in mmx_op.
 */
#include "guest/x86/tr_vec.h"

/* op(a, b) of 64-bit operands; the low half of the result counts. */
static ir_val mmx_op(struct tr *t, enum ir_op op, enum ir_type lane, ir_val a, ir_val b)
{
    ir_val both;

    switch (op) {
    case IR_VPACKSS:
    case IR_VPACKUS:
    case IR_VHADD:
    case IR_VHADDSS:
    case IR_VHSUB:
    case IR_VHSUBSS:
        both = ir_vop2(t->b, IR_VUNPCKL, IR_I64, a, b,
                       0); /* a's results then come first, b's behind them */
        return ir_vop2(t->b, op, lane, both, both, 0);
    case IR_VUNPCKH:
        both = ir_vop2(t->b, IR_VUNPCKL, lane, a, b, 0);
        return ir_vop1(t->b, IR_VBSHR, 0, both, 8);
    case IR_VSHUFB:
        b = ir_vop2(t->b, IR_VAND, 0, b, ir_vconst(t->b, UINT64_C(0x8787878787878787)), 0);
        return ir_vop2(t->b, op, lane, a, b, 0);
    default: return ir_vop2(t->b, op, lane, a, b, 0);
    }
}

/* operand 0 = op(operand 0, operand 1) */
static bool vec2(struct tr *t, const struct x86_insn *i, enum ir_op op, enum ir_type lane)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = vec_get(t, i, 0);
    vec_set(t, i, 0, vec_is_mmx(i) ? mmx_op(t, op, lane, a, b) : ir_vop2(t->b, op, lane, a, b, 0));
    return true;
}

/* operand 0 = op(operand 1) with imm */
static bool vec1(struct tr *t, const struct x86_insn *i, enum ir_op op, enum ir_type lane,
                 int64_t imm)
{
    if (vec_begin(t, i))
        vec_set(t, i, 0, ir_vop1(t->b, op, lane, vec_get(t, i, 1), imm));
    return true;
}

/* operand 0 = op(operand 0, operand 1) with the immediate */
static bool vec2_imm(struct tr *t, const struct x86_insn *i, enum ir_op op, enum ir_type lane)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = vec_get(t, i, 0);
    vec_set(t, i, 0, ir_vop2(t->b, op, lane, a, b, vec_imm(i)));
    return true;
}

#define TR(name, call)                                                                             \
    bool tr_##name(struct tr *t, const struct x86_insn *i)                                         \
    {                                                                                              \
        return call;                                                                               \
    }
#define VEC2(name, op, lane)       TR(name, vec2(t, i, IR_##op, IR_##lane))
#define VEC1(name, op, lane)       TR(name, vec1(t, i, IR_##op, IR_##lane, 0))
#define VEC1_IMM(name, op, lane)   TR(name, vec1(t, i, IR_##op, IR_##lane, vec_imm(i)))
#define VEC2_IMM(name, op, lane)   TR(name, vec2_imm(t, i, IR_##op, IR_##lane))
#define EXTEND(name, op, from, to) TR(name, vec1(t, i, IR_##op, IR_##from, IR_##to))

/* ---- arithmetic ---- */
VEC2(paddb, VADD, I8)
VEC2(paddw, VADD, I16)
VEC2(paddd, VADD, I32)
VEC2(paddq, VADD, I64)
VEC2(psubb, VSUB, I8)
VEC2(psubw, VSUB, I16)
VEC2(psubd, VSUB, I32)
VEC2(psubq, VSUB, I64)
VEC2(paddsb, VADDSS, I8)
VEC2(paddsw, VADDSS, I16)
VEC2(paddusb, VADDUS, I8)
VEC2(paddusw, VADDUS, I16)
VEC2(psubsb, VSUBSS, I8)
VEC2(psubsw, VSUBSS, I16)
VEC2(psubusb, VSUBUS, I8)
VEC2(psubusw, VSUBUS, I16)
VEC2(pmullw, VMUL, I16)
VEC2(pmulld, VMUL, I32)
VEC2(pmulhw, VMULHS, I16)
VEC2(pmulhuw, VMULHU, I16)
VEC2(pmulhrsw, VMULHRS, I16)
VEC2(pmuludq, VMULWU, I32)
VEC2(pmuldq, VMULWS, I32)
VEC2(pmaddwd, VMADD, I16)
VEC2(pmaddubsw, VMADDUBS, I8)
VEC2(psadbw, VSAD, I8)
VEC2(pavgb, VAVGU, I8)
VEC2(pavgw, VAVGU, I16)
VEC2(pminsb, VMINS, I8)
VEC2(pminsw, VMINS, I16)
VEC2(pminsd, VMINS, I32)
VEC2(pmaxsb, VMAXS, I8)
VEC2(pmaxsw, VMAXS, I16)
VEC2(pmaxsd, VMAXS, I32)
VEC2(pminub, VMINU, I8)
VEC2(pminuw, VMINU, I16)
VEC2(pminud, VMINU, I32)
VEC2(pmaxub, VMAXU, I8)
VEC2(pmaxuw, VMAXU, I16)
VEC2(pmaxud, VMAXU, I32)
VEC2(psignb, VSIGN, I8)
VEC2(psignw, VSIGN, I16)
VEC2(psignd, VSIGN, I32)
VEC1(pabsb, VABS, I8)
VEC1(pabsw, VABS, I16)
VEC1(pabsd, VABS, I32)
VEC2(phaddw, VHADD, I16)
VEC2(phaddd, VHADD, I32)
VEC2(phaddsw, VHADDSS, I16)
VEC2(phsubw, VHSUB, I16)
VEC2(phsubd, VHSUB, I32)
VEC2(phsubsw, VHSUBSS, I16)

/* ---- comparison and logic ---- */
VEC2(pcmpeqb, VCMPEQ, I8)
VEC2(pcmpeqw, VCMPEQ, I16)
VEC2(pcmpeqd, VCMPEQ, I32)
VEC2(pcmpeqq, VCMPEQ, I64)
VEC2(pcmpgtb, VCMPGT, I8)
VEC2(pcmpgtw, VCMPGT, I16)
VEC2(pcmpgtd, VCMPGT, I32)
VEC2(pcmpgtq, VCMPGT, I64)
VEC2(pand, VAND, I64)
VEC2(pandn, VANDN, I64)
VEC2(por, VOR, I64)
VEC2(pxor, VXOR, I64)
VEC2(andps, VAND, F32)
VEC2(andpd, VAND, F64)
VEC2(andnps, VANDN, F32)
VEC2(andnpd, VANDN, F64)
VEC2(orps, VOR, F32)
VEC2(orpd, VOR, F64)
VEC2(xorps, VXOR, F32)
VEC2(xorpd, VXOR, F64)

/* ---- rearrangement ---- */
VEC2(packsswb, VPACKSS, I16)
VEC2(packssdw, VPACKSS, I32)
VEC2(packuswb, VPACKUS, I16)
VEC2(packusdw, VPACKUS, I32)
VEC2(punpcklbw, VUNPCKL, I8)
VEC2(punpcklwd, VUNPCKL, I16)
VEC2(punpckldq, VUNPCKL, I32)
VEC2(punpcklqdq, VUNPCKL, I64)
VEC2(punpckhbw, VUNPCKH, I8)
VEC2(punpckhwd, VUNPCKH, I16)
VEC2(punpckhdq, VUNPCKH, I32)
VEC2(punpckhqdq, VUNPCKH, I64)
VEC2(unpcklps, VUNPCKL, I32)
VEC2(unpcklpd, VUNPCKL, I64)
VEC2(unpckhps, VUNPCKH, I32)
VEC2(unpckhpd, VUNPCKH, I64)
VEC2(pshufb, VSHUFB, I8)
VEC1_IMM(pshufw, VSHUFLO, I16)
VEC1_IMM(pshufd, VSHUF32, I32)
VEC1_IMM(pshuflw, VSHUFLO, I16)
VEC1_IMM(pshufhw, VSHUFHI, I16)
VEC2_IMM(shufps, VSHUF2, F32)
VEC2_IMM(shufpd, VSHUF2, F64)
VEC2_IMM(blendps, VBLENDI, F32)
VEC2_IMM(blendpd, VBLENDI, F64)
VEC2_IMM(pblendw, VBLENDI, I16)
EXTEND(pmovsxbw, VEXTENDS, I8, I16)
EXTEND(pmovsxbd, VEXTENDS, I8, I32)
EXTEND(pmovsxbq, VEXTENDS, I8, I64)
EXTEND(pmovsxwd, VEXTENDS, I16, I32)
EXTEND(pmovsxwq, VEXTENDS, I16, I64)
EXTEND(pmovsxdq, VEXTENDS, I32, I64)
EXTEND(pmovzxbw, VEXTENDU, I8, I16)
EXTEND(pmovzxbd, VEXTENDU, I8, I32)
EXTEND(pmovzxbq, VEXTENDU, I8, I64)
EXTEND(pmovzxwd, VEXTENDU, I16, I32)
EXTEND(pmovzxwq, VEXTENDU, I16, I64)
EXTEND(pmovzxdq, VEXTENDU, I32, I64)

bool tr_palignr(struct tr *t, const struct x86_insn *i)
{
    bool mmx = vec_is_mmx(i);
    unsigned imm = vec_imm(i);
    ir_val v;

    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = vec_get(t, i, 0);
    if (imm >= (mmx ? 16 : 32))
        v = vec_zero(t);
    else if (mmx)
        v = ir_vop1(t->b, IR_VBSHR, 0, ir_vop2(t->b, IR_VUNPCKL, IR_I64, b, a, 0), imm);
    else
        v = ir_vop2(t->b, IR_VALIGNR, 0, a, b, imm);
    vec_set(t, i, 0, v);
    return true;
}

/* ---- shifts: by an immediate or by the low 64 bits of a vector ---- */

static bool shift(struct tr *t, const struct x86_insn *i, enum ir_op by_imm, enum ir_op by_vec,
                  enum ir_type lane)
{
    unsigned width = ir_type_bits[lane], imm = vec_imm(i);
    ir_val v;

    if (i->opnd[1].kind != X86_K_IMM)
        return vec2(t, i, by_vec, lane);
    if (!vec_begin(t, i))
        return true;
    if (imm >= width && by_imm != IR_VSARI)
        v = vec_zero(t);
    else
        v = ir_vop1(t->b, by_imm, lane, vec_get(t, i, 0), MIN(imm, width - 1));
    vec_set(t, i, 0, v);
    return true;
}

#define SHIFT(name, by_imm, by_vec, lane) TR(name, shift(t, i, IR_##by_imm, IR_##by_vec, IR_##lane))
SHIFT(psllw, VSHLI, VSHLV, I16)
SHIFT(pslld, VSHLI, VSHLV, I32)
SHIFT(psllq, VSHLI, VSHLV, I64)
SHIFT(psrlw, VSHRI, VSHRV, I16)
SHIFT(psrld, VSHRI, VSHRV, I32)
SHIFT(psrlq, VSHRI, VSHRV, I64)
SHIFT(psraw, VSARI, VSARV, I16)
SHIFT(psrad, VSARI, VSARV, I32)

static bool byte_shift(struct tr *t, const struct x86_insn *i, enum ir_op op)
{
    if (vec_begin(t, i))
        vec_set(t, i, 0,
                vec_imm(i) > 15 ? vec_zero(t) : ir_vop1(t->b, op, 0, vec_get(t, i, 0), vec_imm(i)));
    return true;
}

TR(pslldq, byte_shift(t, i, IR_VBSHL))
TR(psrldq, byte_shift(t, i, IR_VBSHR))

/* ---- blends by XMM0, PTEST ---- */

static bool blendv(struct tr *t, const struct x86_insn *i, enum ir_type lane)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1);
    vec_set(t, i, 0, ir_vop3(t->b, IR_VBLENDV, lane, vec_get(t, i, 0), b, tr_xmm(t, 0)));
    return true;
}

TR(pblendvb, blendv(t, i, IR_I8))
TR(blendvps, blendv(t, i, IR_F32))
TR(blendvpd, blendv(t, i, IR_F64))

bool tr_ptest(struct tr *t, const struct x86_insn *i)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = vec_get(t, i, 0);
    ir_val zf = ir_shli(t->b, ir_vop2(t->b, IR_VTESTZ, 0, a, b, 0), 6);
    tr_cc_flags(t, ir_or(t->b, zf, ir_vop2(t->b, IR_VTESTC, 0, a, b, 0)));
    return true;
}

/* ---- helpers on vectors ---- */

/* operand 0 = h(operand 0, operand 1 [, immediate]) */
static bool call2(struct tr *t, const struct x86_insn *i, const struct helper *h, bool imm)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = vec_get(t, i, 0);
    vec_set(t, i, 0, tr_call(t, h, a, b, imm ? tr_c64(t, vec_imm(i)) : IR_NO_VAL, IR_NO_VAL));
    return true;
}

/* ---- AES, carry-less product ---- */
VEC2(aesenc, VAESENC, I8)
VEC2(aesenclast, VAESENCL, I8)
VEC2(aesdec, VAESDEC, I8)
VEC2(aesdeclast, VAESDECL, I8)
VEC1(aesimc, VAESIMC, I8)

bool tr_pclmulqdq(struct tr *t, const struct x86_insn *i)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = vec_get(t, i, 0);
    vec_set(t, i, 0, ir_vop2(t->b, IR_VCLMUL, IR_I8, a, b, vec_imm(i) & 0x11));
    return true;
}

/* SubWord of a lane: the last round of AES on four copies, whose rows then shift onto themselves.
 */
static ir_val sub_word(struct tr *t, ir_val v, unsigned lane)
{
    return ir_vop2(t->b, IR_VAESENCL, IR_I8, ir_vop1(t->b, IR_VDUP, IR_I32, v, lane),
                   ir_vconst(t->b, 0), 0);
}

bool tr_aeskeygenassist(struct tr *t, const struct x86_insn *i)
{
    if (!vec_begin(t, i))
        return true;
    ir_val v = vec_get(t, i, 1);
    ir_val s = ir_vop2(t->b, IR_VUNPCKL, IR_I64, sub_word(t, v, 1), sub_word(t, v, 3), 0);
    ir_val rot = ir_vop2(t->b, IR_VOR, IR_I64, ir_vop1(t->b, IR_VSHRI, IR_I32, s, 8),
                         ir_vop1(t->b, IR_VSHLI, IR_I32, s, 24), 0);
    ir_val rcon = ir_vconst(t->b, (uint64_t)vec_imm(i) << 32);

    rot = ir_vop2(t->b, IR_VBLENDI, IR_I16, s, rot, 0xcc); /* lanes 1 and 3 */
    vec_set(t, i, 0, ir_vop2(t->b, IR_VXOR, IR_I64, rot, rcon, 0));
    return true;
}

/* operand 0 = h(operand 1 [, immediate]) */
static bool call1(struct tr *t, const struct x86_insn *i, const struct helper *h, bool imm)
{
    if (vec_begin(t, i))
        vec_set(t, i, 0,
                tr_call(t, h, vec_get(t, i, 1), imm ? tr_c64(t, vec_imm(i)) : IR_NO_VAL, IR_NO_VAL,
                        IR_NO_VAL));
    return true;
}

TR(mpsadbw, call2(t, i, &h_mpsadbw, true))
TR(phminposuw, call1(t, i, &h_phminposuw, false))
TR(sha1nexte, call2(t, i, &h_sha1nexte, false))
TR(sha1msg1, call2(t, i, &h_sha1msg1, false))
TR(sha1msg2, call2(t, i, &h_sha1msg2, false))
TR(sha1rnds4, call2(t, i, &h_sha1rnds4, true))
TR(sha256msg1, call2(t, i, &h_sha256msg1, false))
TR(sha256msg2, call2(t, i, &h_sha256msg2, false))

bool tr_sha256rnds2(struct tr *t, const struct x86_insn *i)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = vec_get(t, i, 0);
    vec_set(t, i, 0, tr_call(t, &h_sha256rnds2, a, b, tr_xmm(t, 0), IR_NO_VAL));
    return true;
}

/* ---- PCMPxSTRx ---- */

/* The helpers' third argument: lengths in bits 7-0 and 15-8 (bit 31: not given, up to the first
 * zero), the immediate in bits 23-16. */
static ir_val string_lengths(struct tr *t, const struct x86_insn *i, bool explicit)
{
    if (!explicit)
        return tr_c64(t, (int64_t)(BIT(31) | vec_imm(i) << 16));
    const struct helper *h = i->rex & 8 ? &h_pcmpstr_lengths64 : &h_pcmpstr_lengths;
    return tr_call(t, h, tr_reg(t, 8, X86_RAX), tr_reg(t, 8, X86_RDX), tr_c64(t, vec_imm(i)),
                   IR_NO_VAL);
}

static bool compare_strings(struct tr *t, const struct x86_insn *i, bool explicit, bool index)
{
    if (!vec_begin(t, i))
        return true;
    ir_val b = vec_get(t, i, 1), a = vec_get(t, i, 0);
    ir_val what = string_lengths(t, i, explicit);
    ir_val v = tr_call(t, &h_pcmpstri, a, b, what, IR_NO_VAL); /* index, and the flags above */
    if (index)
        tr_set_reg(t, 4, X86_RCX, ir_trunc(t->b, IR_I32, v));
    else
        tr_set_xmm(t, 0, tr_call(t, &h_pcmpstrm, a, b, what, IR_NO_VAL));
    tr_cc_flags(t, ir_shri(t->b, v, 32));
    return true;
}

TR(pcmpestri, compare_strings(t, i, true, true))
TR(pcmpestrm, compare_strings(t, i, true, false))
TR(pcmpistri, compare_strings(t, i, false, true))
TR(pcmpistrm, compare_strings(t, i, false, false))
