/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves, conversions, conditional moves, the stack, single flags. */
#include "guest/x86/tr_core.h"
#include "guest/x86/x86_tr.h"

/* ---- moves ---- */

bool tr_mov(struct tr *t, const struct x86_insn *i)
{
    tr_set(t, i, 0, tr_get_sext(t, i, 1, i->opnd[0].size));
    return true;
}

bool tr_movnti(struct tr *t, const struct x86_insn *i)
{
    return tr_mov(t, i);
}

bool tr_movzx(struct tr *t, const struct x86_insn *i)
{
    tr_set(t, i, 0, ir_zext(t->b, tr_type(i->opnd[0].size), tr_get(t, i, 1)));
    return true;
}

bool tr_movsx(struct tr *t, const struct x86_insn *i)
{
    tr_set(t, i, 0, tr_get_sext(t, i, 1, i->opnd[0].size));
    return true;
}

bool tr_movsxd(struct tr *t, const struct x86_insn *i)
{
    return tr_movsx(t, i);
}

bool tr_lea(struct tr *t, const struct x86_insn *i)
{
    tr_set(t, i, 0, ir_trunc(t->b, tr_type(i->opsize), tr_ea(t, i)));
    return true;
}

/* AL = [seg:rBX + AL] */
bool tr_xlat(struct tr *t, const struct x86_insn *i)
{
    ir_val ea = ir_add(t->b, ir_get(t->b, X86_SLOT_GPR + X86_RBX),
                       ir_zext(t->b, IR_I64, tr_reg(t, 1, X86_RAX)));

    if (i->addrsize != 8)
        ea = ir_andi(t->b, ea, i->addrsize == 4 ? UINT32_MAX : UINT16_MAX);
    tr_set_reg(t, 1, X86_RAX, tr_load(t, IR_I8, tr_seg_addr(t, i->mem.seg, ea, 1, CPU_READ), 0));
    return true;
}

/* CBW, CWDE, CDQE */
bool tr_cbw(struct tr *t, const struct x86_insn *i)
{
    ir_val half = tr_reg(t, i->opsize / 2, X86_RAX);

    tr_set_reg(t, i->opsize, X86_RAX, ir_sext(t->b, tr_type(i->opsize), half));
    return true;
}

/* CWD, CDQ, CQO */
bool tr_cwd(struct tr *t, const struct x86_insn *i)
{
    tr_set_reg(t, i->opsize, X86_RDX,
               ir_sari(t->b, tr_reg(t, i->opsize, X86_RAX), i->opsize * 8 - 1));
    return true;
}

bool tr_setcc(struct tr *t, const struct x86_insn *i)
{
    enum ir_cond cond;
    ir_val a, b;

    tr_condition(t, i->opcode & 15, &cond, &a, &b);
    tr_set(t, i, 0, ir_setcond(t->b, IR_I8, cond, a, b));
    return true;
}

/* The source is read, and a 32-bit destination's upper half cleared, whatever the condition. */
bool tr_cmovcc(struct tr *t, const struct x86_insn *i)
{
    ir_val v = tr_get(t, i, 1), a, b;
    enum ir_cond cond;

    tr_condition(t, i->opcode & 15, &cond, &a, &b);
    tr_set(t, i, 0, ir_select(t->b, cond, a, b, v, tr_get(t, i, 0)));
    return true;
}

/* ---- the stack ---- */

bool tr_push_v(struct tr *t, const struct x86_insn *i)
{
    tr_push(t, tr_get_sext(t, i, 0, i->opsize), i->opsize);
    return true;
}

bool tr_pop(struct tr *t, const struct x86_insn *i)
{
    ir_val v = tr_pop_value(t, i->opsize);

    if (i->opnd[0].kind == X86_K_MEM) {
        struct x86_insn moved = *i;
        if (i->mem.base == X86_RSP) /* the address is computed after the pop */
            moved.mem.disp += i->opsize;
        tr_set(t, &moved, 0, v);
        tr_add_sp(t, i->opsize);
    } else {
        tr_add_sp(t, i->opsize);
        tr_set(t, i, 0, v);
    }
    return true;
}

bool tr_pusha(struct tr *t, const struct x86_insn *i)
{
    int32_t size = i->opsize;

    for (unsigned reg = 0; reg < 8; reg++) {
        ir_val at = tr_stack_addr(t, -size * (int32_t)(reg + 1), i->opsize, CPU_WRITE);
        tr_store(t, at, tr_reg(t, i->opsize, reg), tr_log2(i->opsize));
    }
    tr_add_sp(t, -size * 8);
    return true;
}

bool tr_popa(struct tr *t, const struct x86_insn *i)
{
    ir_val v[8];

    for (unsigned n = 0; n < 8; n++)
        v[n] = tr_load(t, tr_type(i->opsize),
                       tr_stack_addr(t, (int32_t)n * i->opsize, i->opsize, CPU_READ),
                       tr_log2(i->opsize));
    for (unsigned n = 0; n < 8; n++)
        if (7 - n != X86_RSP) /* the stored ESP is skipped */
            tr_set_reg(t, i->opsize, 7 - n, v[n]);
    tr_add_sp(t, 8 * i->opsize);
    return true;
}

/* ENTER size, level: the frames of the outer levels are copied from the old rBP down. (SDM volume
 * 2, ENTER.) */
bool tr_enter(struct tr *t, const struct x86_insn *i)
{
    int32_t size = i->opsize, level = i->imm2 & 31, pushed = size;
    unsigned log2_size = tr_log2(i->opsize), stack_size = t->stack_bits / 8;
    ir_val bp = ir_get(t->b, X86_SLOT_GPR + X86_RBP);
    ir_val sp = tr_reg(t, stack_size, X86_RSP);
    ir_val frame = ir_addi(t->b, sp, -size);

    tr_store(t, tr_stack_addr(t, -size, i->opsize, CPU_WRITE), tr_reg(t, i->opsize, X86_RBP),
             log2_size);
    for (int32_t n = 1; n < level; n++) {
        ir_val from = ir_addi(t->b, bp, -size * n);
        if (t->stack_bits != 64)
            from = ir_andi(t->b, from, t->stack_bits == 32 ? UINT32_MAX : UINT16_MAX);
        ir_val v = tr_load(t, tr_type(i->opsize), tr_seg_addr(t, X86_SS, from, i->opsize, CPU_READ),
                           log2_size);
        pushed += size;
        tr_store(t, tr_stack_addr(t, -pushed, i->opsize, CPU_WRITE), v, log2_size);
    }
    if (level > 0) {
        ir_val fp = ir_trunc(t->b, tr_type(i->opsize), ir_zext(t->b, IR_I64, frame));
        pushed += size;
        tr_store(t, tr_stack_addr(t, -pushed, i->opsize, CPU_WRITE), fp, log2_size);
    }
    /* the new top must be writable */
    ir_val top = tr_stack_addr(t, -pushed - (int32_t)i->imm, i->opsize, CPU_WRITE);
    if (!t->req->slow)
        ir_xlate(t->b, top, 0, 0 | IR_MEM_WRITE);
    tr_set_reg(t, i->opsize, X86_RBP,
               ir_trunc(t->b, tr_type(i->opsize), ir_zext(t->b, IR_I64, frame)));
    tr_add_sp(t, -pushed - (int32_t)i->imm);
    return true;
}

bool tr_leave(struct tr *t, const struct x86_insn *i)
{
    unsigned stack_size = t->stack_bits / 8;
    ir_val bp = tr_reg(t, stack_size, X86_RBP);
    ir_val at = tr_seg_addr(t, X86_SS, ir_zext(t->b, IR_I64, bp), i->opsize, CPU_READ);
    ir_val v = tr_load(t, tr_type(i->opsize), at, tr_log2(i->opsize));

    tr_set_reg(t, stack_size, X86_RSP, ir_addi(t->b, bp, i->opsize));
    tr_set_reg(t, i->opsize, X86_RBP, v);
    return true;
}

/* ---- single flags ---- */

bool tr_clc(struct tr *t, const struct x86_insn *i)
{
    tr_cc_carry(t, tr_c32(t, 0));
    return true;
}

bool tr_stc(struct tr *t, const struct x86_insn *i)
{
    tr_cc_carry(t, tr_c32(t, 1));
    return true;
}

bool tr_cmc(struct tr *t, const struct x86_insn *i)
{
    tr_cc_carry(t, ir_xori(t->b, tr_cf(t, IR_I32), 1));
    return true;
}

bool tr_cld(struct tr *t, const struct x86_insn *i)
{
    ir_put(t->b, X86_SLOT_DF, tr_c32(t, 0));
    return true;
}

bool tr_std(struct tr *t, const struct x86_insn *i)
{
    ir_put(t->b, X86_SLOT_DF, tr_c32(t, X86_DF));
    return true;
}

bool tr_lahf(struct tr *t, const struct x86_insn *i)
{
    ir_val flags = ir_ori(t->b, ir_andi(t->b, tr_cc_compute(t), 0xd5), 2);
    ir_val rax = ir_get(t->b, X86_SLOT_GPR + X86_RAX);

    ir_put(t->b, X86_SLOT_GPR + X86_RAX, ir_deposit(t->b, rax, ir_zext(t->b, IR_I64, flags), 8, 8));
    return true;
}

bool tr_sahf(struct tr *t, const struct x86_insn *i)
{
    ir_val of = ir_andi(t->b, tr_cc_compute(t), X86_OF);
    ir_val ah = ir_extract(t->b, tr_reg(t, 4, X86_RAX), 8, 8);

    tr_cc_flags(t, ir_or(t->b, of, ir_andi(t->b, ah, 0xd5)));
    return true;
}

bool tr_salc(struct tr *t, const struct x86_insn *i)
{
    tr_set_reg(t, 1, X86_RAX, ir_neg(t->b, tr_cf(t, IR_I8)));
    return true;
}
