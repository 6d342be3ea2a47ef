/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SSE moves, blends of whole lanes, state instructions (MXCSR, FXSAVE, XSAVE).
 */
#include "guest/x86/tr_vec.h"

/* One translator that is another function's. */
#define SAME(name, fn)                                                                             \
    bool tr_##name(struct tr *t, const struct x86_insn *i)                                         \
    {                                                                                              \
        return fn(t, i);                                                                           \
    }

/* ---- whole registers: alignment is the table's ---- */

static bool move(struct tr *t, const struct x86_insn *i)
{
    if (vec_begin(t, i))
        vec_set(t, i, 0, vec_get(t, i, 1));
    return true;
}

SAME(movups, move)
SAME(movupd, move)
SAME(movaps, move)
SAME(movapd, move)
SAME(movdqa, move)
SAME(movdqu, move)
SAME(lddqu, move)
SAME(movntps, move)
SAME(movntpd, move)
SAME(movntdq, move)
SAME(movntdqa, move)

/* ---- parts of registers ---- */

/* MOVSS, MOVSD: register to register keeps the rest, a load clears it. */
static bool move_scalar(struct tr *t, const struct x86_insn *i, enum ir_type lane)
{
    if (!vec_begin(t, i))
        return true;
    ir_val v = vec_get(t, i, 1);
    if (i->opnd[0].kind == X86_K_XMM && i->opnd[1].kind == X86_K_XMM)
        v = ir_vop2(t->b, IR_VMERGELO, lane, vec_get(t, i, 0), v, 0);
    vec_set(t, i, 0, v);
    return true;
}

bool tr_movss(struct tr *t, const struct x86_insn *i)
{
    return move_scalar(t, i, IR_F32);
}

bool tr_movsd(struct tr *t, const struct x86_insn *i)
{
    return move_scalar(t, i, IR_F64);
}

/* MOVLPS, MOVLPD: the low half from or to memory. */
static bool move_low(struct tr *t, const struct x86_insn *i)
{
    if (!vec_begin(t, i))
        return true;
    ir_val v = vec_get(t, i, 1);
    if (i->opnd[0].kind == X86_K_XMM)
        v = ir_vop2(t->b, IR_VMERGELO, IR_F64, vec_get(t, i, 0), v, 0);
    vec_set(t, i, 0, v);
    return true;
}

SAME(movlps, move_low)
SAME(movlpd, move_low)

/* MOVHPS, MOVHPD */
static bool move_high(struct tr *t, const struct x86_insn *i)
{
    if (!vec_begin(t, i))
        return true;
    ir_val v = vec_get(t, i, 1);
    if (i->opnd[0].kind == X86_K_XMM)
        v = ir_vop2(t->b, IR_VUNPCKL, IR_I64, vec_get(t, i, 0), v, 0);
    else
        v = ir_vop2(t->b, IR_VUNPCKH, IR_I64, v, v, 0);
    vec_set(t, i, 0, v);
    return true;
}

SAME(movhps, move_high)
SAME(movhpd, move_high)

bool tr_movhlps(struct tr *t, const struct x86_insn *i)
{
    if (vec_begin(t, i))
        vec_set(t, i, 0, ir_vop2(t->b, IR_VUNPCKH, IR_I64, vec_get(t, i, 1), vec_get(t, i, 0), 0));
    return true;
}

bool tr_movlhps(struct tr *t, const struct x86_insn *i)
{
    if (vec_begin(t, i))
        vec_set(t, i, 0, ir_vop2(t->b, IR_VUNPCKL, IR_I64, vec_get(t, i, 0), vec_get(t, i, 1), 0));
    return true;
}

static bool dup(struct tr *t, const struct x86_insn *i, enum ir_op op, enum ir_type lane)
{
    if (vec_begin(t, i))
        vec_set(t, i, 0, ir_vop1(t->b, op, lane, vec_get(t, i, 1), 0));
    return true;
}

bool tr_movsldup(struct tr *t, const struct x86_insn *i)
{
    return dup(t, i, IR_VDUPLO, IR_F32);
}

bool tr_movshdup(struct tr *t, const struct x86_insn *i)
{
    return dup(t, i, IR_VDUPHI, IR_F32);
}

bool tr_movddup(struct tr *t, const struct x86_insn *i)
{
    return dup(t, i, IR_VDUPLO, IR_F64);
}

static bool movmsk(struct tr *t, const struct x86_insn *i, enum ir_type lane)
{
    if (vec_begin(t, i))
        vec_set_int(t, i, 0, ir_vop1(t->b, IR_VMOVMSK, lane, vec_get(t, i, 1), 0));
    return true;
}

bool tr_movmskps(struct tr *t, const struct x86_insn *i)
{
    return movmsk(t, i, IR_F32);
}

bool tr_movmskpd(struct tr *t, const struct x86_insn *i)
{
    return movmsk(t, i, IR_F64);
}

bool tr_pmovmskb(struct tr *t, const struct x86_insn *i)
{
    return movmsk(t, i, IR_I8);
}

/* ---- lanes in and out ---- */

/* PINSRB/W/D/Q: lane imm of operand 0 from the integer operand 1. */
static bool insert(struct tr *t, const struct x86_insn *i, enum ir_type lane)
{
    unsigned lanes = (vec_is_mmx(i) ? 64 : 128) / ir_type_bits[lane];

    if (!vec_begin(t, i))
        return true;
    ir_val v = tr_get(t, i, 1);
    if (ir_type_of(t->b, v) < IR_I32)
        v = ir_zext(t->b, IR_I32, v);
    vec_set(t, i, 0,
            ir_vop2(t->b, IR_VINSERT, lane, vec_get(t, i, 0), v, vec_imm(i) & (lanes - 1)));
    return true;
}

bool tr_pinsrb(struct tr *t, const struct x86_insn *i)
{
    return insert(t, i, IR_I8);
}

bool tr_pinsrw(struct tr *t, const struct x86_insn *i)
{
    return insert(t, i, IR_I16);
}

bool tr_pinsrd(struct tr *t, const struct x86_insn *i)
{
    return insert(t, i, i->opnd[1].size == 8 ? IR_I64 : IR_I32);
}

static bool extract(struct tr *t, const struct x86_insn *i, enum ir_type lane)
{
    unsigned lanes = (vec_is_mmx(i) ? 64 : 128) / ir_type_bits[lane];

    if (vec_begin(t, i))
        vec_set_int(t, i, 0,
                    ir_vop1(t->b, IR_VEXTRACT, lane, vec_get(t, i, 1), vec_imm(i) & (lanes - 1)));
    return true;
}

bool tr_pextrb(struct tr *t, const struct x86_insn *i)
{
    return extract(t, i, IR_I8);
}

bool tr_pextrw(struct tr *t, const struct x86_insn *i)
{
    return extract(t, i, IR_I16);
}

bool tr_pextrd(struct tr *t, const struct x86_insn *i)
{
    return extract(t, i, i->opnd[0].size == 8 ? IR_I64 : IR_I32);
}

bool tr_extractps(struct tr *t, const struct x86_insn *i)
{
    return extract(t, i, IR_I32);
}

bool tr_insertps(struct tr *t, const struct x86_insn *i)
{
    unsigned imm = vec_imm(i);

    if (!vec_begin(t, i))
        return true;
    if (i->opnd[1].kind == X86_K_MEM)
        imm &= 0x3f; /* memory is one element: no source lane */
    ir_val v = vec_get(t, i, 1);
    vec_set(t, i, 0, ir_vop2(t->b, IR_VINSERTPS, IR_F32, vec_get(t, i, 0), v, imm));
    return true;
}

/* ---- state ---- */

bool tr_ldmxcsr(struct tr *t, const struct x86_insn *i)
{
    if (!tr_sse_check(t))
        return true;
    ir_val v = ir_zext(t->b, IR_I64, tr_get(t, i, 0));
    vec_end_if(t, tr_call(t, &h_ldmxcsr, v, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL));
    return true;
}

bool tr_stmxcsr(struct tr *t, const struct x86_insn *i)
{
    if (!tr_sse_check(t))
        return true;
    ir_val v = tr_call(t, &h_stmxcsr, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    tr_set(t, i, 0, ir_trunc(t->b, IR_I32, v));
    return true;
}

static unsigned save_form(const struct tr *t, const struct x86_insn *i)
{
    return (i->rex & 8 ? XSAVE_64 : 0) | (t->code == 64 ? XSAVE_LONG : 0);
}

bool tr_fxsave(struct tr *t, const struct x86_insn *i)
{
    if (!tr_x87_check(t))
        return true;
    ir_val addr = tr_addr(t, i, 512, CPU_WRITE);
    tr_call(t, &h_fxsave, addr, tr_c64(t, save_form(t, i)), IR_NO_VAL, IR_NO_VAL);
    return true;
}

bool tr_fxrstor(struct tr *t, const struct x86_insn *i)
{
    if (!tr_x87_check(t))
        return true;
    ir_val addr = tr_addr(t, i, 512, CPU_READ);
    vec_end_if(t, tr_call(t, &h_fxrstor, addr, tr_c64(t, save_form(t, i)), IR_NO_VAL, IR_NO_VAL));
    return true;
}

/* The gate of the XSAVE family. */
static bool xsave_check(struct tr *t)
{
    if (!(t->mode & X86_MODE_OSXSAVE))
        tr_raise(t, X86_UD);
    else if (t->mode & X86_MODE_TS)
        tr_raise(t, X86_NM);
    else
        return true;
    return false;
}

/* EDX:EAX */
static ir_val edx_eax(struct tr *t)
{
    ir_val hi = ir_zext(t->b, IR_I64, tr_reg(t, 4, X86_RDX)),
           lo = ir_zext(t->b, IR_I64, tr_reg(t, 4, X86_RAX));

    return ir_or(t->b, ir_shli(t->b, hi, 32), lo);
}

static bool save(struct tr *t, const struct x86_insn *i, unsigned form)
{
    if (!xsave_check(t))
        return true;
    ir_val addr = tr_addr(t, i, 576, CPU_WRITE);
    tr_call(t, &h_xsave, addr, edx_eax(t), tr_c64(t, form | save_form(t, i)), IR_NO_VAL);
    return true;
}

bool tr_xsave(struct tr *t, const struct x86_insn *i)
{
    return save(t, i, 0);
}

bool tr_xsaveopt(struct tr *t, const struct x86_insn *i)
{
    return save(t, i, XSAVE_INIT_OPT);
}

bool tr_xsavec(struct tr *t, const struct x86_insn *i)
{
    return save(t, i, XSAVE_COMPACT);
}

bool tr_xsaves(struct tr *t, const struct x86_insn *i)
{
    return save(t, i, XSAVE_COMPACT | XSAVE_SUPER);
}

static bool restore(struct tr *t, const struct x86_insn *i, unsigned form)
{
    if (!xsave_check(t))
        return true;
    ir_val addr = tr_addr(t, i, 576, CPU_READ);
    vec_end_if(
        t, tr_call(t, &h_xrstor, addr, edx_eax(t), tr_c64(t, form | save_form(t, i)), IR_NO_VAL));
    return true;
}

bool tr_xrstor(struct tr *t, const struct x86_insn *i)
{
    return restore(t, i, 0);
}

bool tr_xrstors(struct tr *t, const struct x86_insn *i)
{
    return restore(t, i, XSAVE_SUPER);
}

bool tr_xgetbv(struct tr *t, const struct x86_insn *i)
{
    if (!(t->mode & X86_MODE_OSXSAVE))
        return false;
    ir_val v = tr_call(t, &h_xgetbv, tr_reg(t, 8, X86_RCX), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    tr_set_reg(t, 4, X86_RAX, ir_trunc(t->b, IR_I32, v));
    tr_set_reg(t, 4, X86_RDX, ir_trunc(t->b, IR_I32, ir_shri(t->b, v, 32)));
    return true;
}

bool tr_xsetbv(struct tr *t, const struct x86_insn *i)
{
    if (!(t->mode & X86_MODE_OSXSAVE))
        return false;
    tr_call(t, &h_xsetbv, tr_reg(t, 8, X86_RCX), edx_eax(t), IR_NO_VAL, IR_NO_VAL);
    return true;
}
