/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SIMD operands and the MMX state: MMn is the significand of physical x87 register n. Every MMX
 * instruction but EMMS marks all registers valid and sets TOP to 0; a write sets the register's
 * sign and exponent to ones. (SDM volume 3, 12.2.)
 */
#include "guest/x86/tr_vec.h"

bool vec_is_mmx(const struct x86_insn *i)
{
    for (unsigned n = 0; n < i->nops; n++)
        if (i->opnd[n].kind == X86_K_MMX)
            return true;
    return false;
}

void x87_wait_check(struct tr *t)
{
    unsigned fine = ir_new_label(t->b);

    ir_brcondi(t->b, IR_TSTN, ir_zext(t->b, IR_I32, ir_get(t->b, X86_SLOT_FSW)), X87_ES, fine);
    tr_call(t, &h_x87_wait, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    ir_label(t->b, fine);
}

/* MMX gates and the pending exception. */
static bool mmx_begin(struct tr *t)
{
    if (!tr_mmx_check(t))
        return false;
    x87_wait_check(t);
    return true;
}

bool vec_begin(struct tr *t, const struct x86_insn *i)
{
    bool mmx = vec_is_mmx(i), xmm = !mmx;

    for (unsigned n = 0; n < i->nops; n++)
        xmm |= i->opnd[n].kind == X86_K_XMM;
    return (!xmm || tr_sse_check(t)) && (!mmx || mmx_begin(t));
}

/* The x87 state as an MMX instruction leaves it. Behind whatever may fault. */
static void mmx_enter(struct tr *t)
{
    ir_put(t->b, X86_SLOT_FSW, ir_andi(t->b, ir_get(t->b, X86_SLOT_FSW), ~X87_TOP));
    ir_put(t->b, X86_SLOT_FTW, ir_const(t->b, IR_I8, 0xff));
}

ir_val vec_get(struct tr *t, const struct x86_insn *i, unsigned n)
{
    const struct x86_operand *o = &i->opnd[n];

    switch (o->kind) {
    case X86_K_MMX:
        return ir_vop1(t->b, IR_VFROMI, IR_I64, ir_get(t->b, X86_SLOT_ST + (o->reg & 7)), 0);
    case X86_K_XMM: return tr_xmm(t, o->reg);
    default:
        if (o->size == 2)
            return ir_vop1(t->b, IR_VFROMI, IR_I32,
                           tr_load(t, IR_I32, tr_addr(t, i, 2, CPU_READ), 1), 0);
        return tr_get_vec(t, i, n, o->size, i->attr & X86_A_ALIGN);
    }
}

void vec_set(struct tr *t, const struct x86_insn *i, unsigned n, ir_val v)
{
    const struct x86_operand *o = &i->opnd[n];

    if (o->kind == X86_K_MEM) {
        ir_val addr = tr_addr(t, i, o->size, CPU_WRITE);
        if (o->size == 16)
            ir_st(t->b, addr, 0, v, 4 | (i->attr & X86_A_ALIGN ? IR_MEM_ALIGN : 0));
        else
            tr_store(t, addr, v, o->size == 8 ? 3 : 2);
    }
    if (vec_is_mmx(i))
        mmx_enter(t);
    if (o->kind == X86_K_XMM) {
        tr_set_xmm(t, o->reg, v);
    } else if (o->kind == X86_K_MMX) {
        ir_put(t->b, X86_SLOT_ST + (o->reg & 7), ir_vtoi(t->b, IR_I64, v));
        ir_put(t->b, X86_SLOT_ST_SE + (o->reg & 7), ir_const(t->b, IR_I16, 0xffff));
    }
}

void vec_set_int(struct tr *t, const struct x86_insn *i, unsigned n, ir_val v)
{
    bool reg = i->opnd[n].kind == X86_K_GPR;

    if (reg && vec_is_mmx(i))
        mmx_enter(t);
    tr_set(t, i, n, ir_trunc(t->b, tr_type(i->opnd[n].size), v));
    if (!reg && vec_is_mmx(i))
        mmx_enter(t);
}

ir_val vec_fp_begin(struct tr *t, const struct x86_insn *i)
{
    if (!(t->mode & X86_MODE_XM))
        return IR_NO_VAL;
    if (vec_is_mmx(i))
        mmx_enter(t); /* done even if #XM follows */
    return tr_call(t, &h_xm_begin, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
}

void vec_fp_end(struct tr *t, ir_val old)
{
    if (old != IR_NO_VAL)
        tr_call(t, &h_xm_end, old, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
}

void vec_fp_end_arith(struct tr *t, ir_val old, enum fp_arith op, unsigned lane, ir_val a, ir_val b,
                      unsigned imm)
{
    if (old != IR_NO_VAL)
        tr_call(t, &h_xm_end_arith, old, a, b, tr_c64(t, op | lane << 8 | imm << 16));
}

void vec_end_if(struct tr *t, ir_val changed)
{
    unsigned same = ir_new_label(t->b);

    if (t->mode & X86_MODE_TF)
        return; /* one instruction; it ends there anyway */
    ir_brcondi(t->b, IR_EQ, changed, 0, same);
    tr_sync_rip(t, t->next_pc);
    ir_exit_loop(t->b, IR_REASON_NEXT);
    ir_label(t->b, same);
}

bool tr_emms(struct tr *t, const struct x86_insn *i)
{
    if (!mmx_begin(t))
        return true;
    mmx_enter(t);
    ir_put(t->b, X86_SLOT_FTW, ir_const(t->b, IR_I8, 0));
    return true;
}

/* ---- moves between MMX and others ---- */

bool tr_movd(struct tr *t, const struct x86_insn *i)
{
    bool to_int = i->opnd[0].kind == X86_K_GPR || i->opnd[0].kind == X86_K_MEM;

    if (!vec_begin(t, i))
        return true;
    if (to_int) {
        enum ir_type type = tr_type(i->opnd[0].size);
        vec_set_int(t, i, 0, ir_vtoi(t->b, type, vec_get(t, i, 1)));
    } else {
        ir_val v = tr_get(t, i, 1);
        vec_set(t, i, 0, ir_vop1(t->b, IR_VFROMI, ir_type_of(t->b, v), v, 0));
    }
    return true;
}

/* MOVQ: MMX to MMX, XMM to XMM (clears the upper half), and both to and from memory. */
bool tr_movq(struct tr *t, const struct x86_insn *i)
{
    if (!vec_begin(t, i))
        return true;
    ir_val v = vec_get(t, i, 1);
    if (i->opnd[0].kind == X86_K_XMM && i->opnd[1].kind == X86_K_XMM)
        v = ir_vop1(t->b, IR_VZEXTLO, IR_F64, v, 0);
    vec_set(t, i, 0, v);
    return true;
}

static bool move_low(struct tr *t, const struct x86_insn *i)
{
    if (vec_begin(t, i))
        vec_set(t, i, 0, vec_get(t, i, 1));
    return true;
}

bool tr_movq2dq(struct tr *t, const struct x86_insn *i)
{
    return move_low(t, i);
}

bool tr_movdq2q(struct tr *t, const struct x86_insn *i)
{
    return move_low(t, i);
}

bool tr_movntq(struct tr *t, const struct x86_insn *i)
{
    return move_low(t, i);
}

/* MASKMOVQ, MASKMOVDQU: to seg:[rDI]. */
static bool maskmov(struct tr *t, const struct x86_insn *i)
{
    struct x86_insn at = *i;

    if (!vec_begin(t, i))
        return true;
    at.mem.base = X86_RDI;
    at.mem.index = X86_NO_REG;
    at.mem.disp = 0;
    at.mem.rip_relative = false;
    at.mem.seg = i->seg == X86_NO_REG ? X86_DS : i->seg;
    ir_val addr = tr_addr(t, &at, vec_is_mmx(i) ? 8 : 16, CPU_WRITE);
    tr_call(t, &h_maskmov, addr, vec_get(t, i, 0), vec_get(t, i, 1), IR_NO_VAL);
    if (vec_is_mmx(i))
        mmx_enter(t);
    return true;
}

bool tr_maskmovq(struct tr *t, const struct x86_insn *i)
{
    return maskmov(t, i);
}

bool tr_maskmovdqu(struct tr *t, const struct x86_insn *i)
{
    return maskmov(t, i);
}
