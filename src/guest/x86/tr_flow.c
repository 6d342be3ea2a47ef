/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Near jumps, calls, returns and loops. Far transfers and interrupts are in tr_sys*.c. */
#include "guest/x86/tr_core.h"
#include "guest/x86/x86_tr.h"

/* Target of a relative branch: cut to the operand size. */
static gva_t rel_target(const struct tr *t, const struct x86_insn *i)
{
    gva_t target = t->next_pc + (uint64_t)i->imm;

    return i->opsize == 2 ? (uint16_t)target : i->opsize == 4 ? (uint32_t)target : target;
}

/* To `target` if a <cond> b, else on: both leave the region. */
static void branch(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, gva_t target)
{
    unsigned taken = ir_new_label(t->b);

    ir_brcond(t->b, cond, a, b, taken);
    if (tr_branch_later(t, taken, target))
        return;
    tr_jump(t, t->next_pc);
    ir_label(t->b, taken);
    tr_jump(t, target);
}

bool tr_jcc(struct tr *t, const struct x86_insn *i)
{
    enum ir_cond cond;
    ir_val a, b;

    tr_condition(t, i->opcode & 15, &cond, &a, &b);
    branch(t, cond, a, b, rel_target(t, i));
    return true;
}

bool tr_jmp(struct tr *t, const struct x86_insn *i)
{
    tr_jump(t, rel_target(t, i));
    return true;
}

bool tr_jmp_ind(struct tr *t, const struct x86_insn *i)
{
    tr_jump_ind(t, ir_zext(t->b, IR_I64, tr_get(t, i, 0)), IR_IND_JUMP);
    return true;
}

static void push_return(struct tr *t, const struct x86_insn *i)
{
    tr_push(t, ir_const(t->b, tr_type(i->opsize), (int64_t)t->next_pc), i->opsize);
    if (!(t->mode & X86_MODE_TF))
        ir_retaddr(t->b, t->next_pc);
}

bool tr_call_rel(struct tr *t, const struct x86_insn *i)
{
    push_return(t, i);
    tr_jump(t, rel_target(t, i));
    return true;
}

bool tr_call_ind(struct tr *t, const struct x86_insn *i)
{
    ir_val target = ir_zext(t->b, IR_I64, tr_get(t, i, 0));

    push_return(t, i);
    tr_jump_ind(t, target, IR_IND_CALL);
    return true;
}

bool tr_ret(struct tr *t, const struct x86_insn *i)
{
    ir_val target = ir_zext(t->b, IR_I64, tr_pop_value(t, i->opsize));

    tr_add_sp(t, i->opsize + (i->nops ? (int32_t)i->imm : 0));
    tr_jump_ind(t, target, IR_IND_RET);
    return true;
}

/* JCXZ, JECXZ, JRCXZ: by address size */
bool tr_jcxz(struct tr *t, const struct x86_insn *i)
{
    ir_val count = tr_reg(t, i->addrsize, X86_RCX);

    branch(t, IR_EQ, count, ir_const(t->b, tr_type(i->addrsize), 0), rel_target(t, i));
    return true;
}

static ir_val count_down(struct tr *t, const struct x86_insn *i)
{
    ir_val count = ir_addi(t->b, tr_reg(t, i->addrsize, X86_RCX), -1);

    tr_set_reg(t, i->addrsize, X86_RCX, count);
    return count;
}

bool tr_loop(struct tr *t, const struct x86_insn *i)
{
    ir_val count = count_down(t, i);

    branch(t, IR_NE, count, ir_const(t->b, tr_type(i->addrsize), 0), rel_target(t, i));
    return true;
}

/* LOOPE, LOOPNE: while the count is not 0 and ZF is as wanted. */
static bool loop_zf(struct tr *t, const struct x86_insn *i, unsigned cc)
{
    enum ir_cond cond;
    ir_val a, b;

    tr_condition(t, cc, &cond, &a, &b);
    ir_val zf_good = ir_setcond(t->b, IR_I32, cond, a, b);
    ir_val more = ir_setcondi(t->b, IR_I32, IR_NE, count_down(t, i), 0);
    branch(t, IR_TST, zf_good, more, rel_target(t, i));
    return true;
}

bool tr_loope(struct tr *t, const struct x86_insn *i)
{
    return loop_zf(t, i, 4);
}

bool tr_loopne(struct tr *t, const struct x86_insn *i)
{
    return loop_zf(t, i, 5);
}
