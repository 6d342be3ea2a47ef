/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A64 branches and instructions that make exceptions. */
#include "guest/arm/insn.h"
#include "guest/arm/tr_int.h"
#include "guest/arm/tr_pac.h"

static gva_t target_of(const struct tr *t, int64_t offset)
{
    return t->pc + (uint64_t)offset;
}

bool tr_b(struct tr *t, const struct arg_b26 *a)
{
    tr_jump(t, target_of(t, a->imm));
    return true;
}

static void link(struct tr *t)
{
    tr_set_reg(t, true, 30, tr_c64(t, (int64_t)(t->pc + 4)));
    ir_retaddr(t->b, t->pc + 4);
}

bool tr_bl(struct tr *t, const struct arg_b26 *a)
{
    link(t);
    tr_jump(t, target_of(t, a->imm));
    return true;
}

bool tr_b_cond(struct tr *t, const struct arg_bc *a)
{
    enum ir_cond c;
    ir_val x, y;

    if (a->cond >= 14) {
        tr_jump(t, target_of(t, a->imm));
        return true;
    }
    tr_condition(t, (unsigned)a->cond, &c, &x, &y);
    tr_branch(t, c, x, y, target_of(t, a->imm));
    return true;
}

bool tr_cbz(struct tr *t, const struct arg_cb *a)
{
    tr_branch(t, IR_EQ, tr_reg(t, a->sf, a->rt), ir_const(t->b, tr_type(a->sf), 0),
              target_of(t, a->imm));
    return true;
}

bool tr_cbnz(struct tr *t, const struct arg_cb *a)
{
    tr_branch(t, IR_NE, tr_reg(t, a->sf, a->rt), ir_const(t->b, tr_type(a->sf), 0),
              target_of(t, a->imm));
    return true;
}

static bool test_bit(struct tr *t, const struct arg_tb *a, enum ir_cond cond)
{
    bool sf = a->bit > 31;

    tr_branch(t, cond, tr_reg(t, sf, a->rt), ir_const(t->b, tr_type(sf), (int64_t)BIT(a->bit)),
              target_of(t, a->imm));
    return true;
}

bool tr_tbz(struct tr *t, const struct arg_tb *a)
{
    return test_bit(t, a, IR_TSTN);
}

bool tr_tbnz(struct tr *t, const struct arg_tb *a)
{
    return test_bit(t, a, IR_TST);
}

/* ---- to a register ---- */

static void jump_to(struct tr *t, unsigned rn, ir_val target)
{
    tr_bti_branch(t, false, rn);
    tr_jump_ind(t, target, IR_IND_JUMP);
}

static void call_to(struct tr *t, ir_val target)
{
    tr_bti_branch(t, true, 0);
    link(t);
    tr_jump_ind(t, target, IR_IND_CALL);
}

bool tr_br(struct tr *t, const struct arg_r1 *a)
{
    jump_to(t, a->rn, tr_reg(t, true, a->rn));
    return true;
}

bool tr_blr(struct tr *t, const struct arg_r1 *a)
{
    call_to(t, tr_reg(t, true, a->rn));
    return true;
}

bool tr_ret(struct tr *t, const struct arg_r1 *a)
{
    tr_jump_ind(t, tr_reg(t, true, a->rn), IR_IND_RET);
    return true;
}

/* With a signed address: instruction key A or B. */

static ir_val authentic(struct tr *t, int32_t rn, ir_val modifier, int32_t b)
{
    return tr_pac_auth(t, b ? A64_KEY_IB : A64_KEY_IA, tr_reg(t, true, rn), modifier);
}

bool tr_braaz(struct tr *t, const struct arg_rkey *a)
{
    jump_to(t, a->rn, authentic(t, a->rn, tr_c64(t, 0), a->key));
    return true;
}

bool tr_braa(struct tr *t, const struct arg_rkeym *a)
{
    jump_to(t, a->rn, authentic(t, a->rn, tr_reg_sp(t, true, a->rm), a->key));
    return true;
}

bool tr_blraaz(struct tr *t, const struct arg_rkey *a)
{
    call_to(t, authentic(t, a->rn, tr_c64(t, 0), a->key));
    return true;
}

bool tr_blraa(struct tr *t, const struct arg_rkeym *a)
{
    call_to(t, authentic(t, a->rn, tr_reg_sp(t, true, a->rm), a->key));
    return true;
}

bool tr_retaa(struct tr *t, const struct arg_key *a)
{
    tr_jump_ind(t, authentic(t, 30, tr_reg_sp(t, true, 31), a->key), IR_IND_RET);
    return true;
}

/* ---- exceptions ---- */

bool tr_udf(struct tr *t, const struct arg_imm16 *a)
{
    return false;
}

bool tr_svc(struct tr *t, const struct arg_imm16 *a)
{
    if (!t->req->user) {
        tr_raise(t, A64_EXC_SVC, (uint32_t)a->imm);
        return true;
    }
    ir_put(t->b, A64_SLOT_PC, tr_c64(t, (int64_t)(t->pc + 4)));
    ir_exit_loop(t->b, IR_REASON_SYSCALL);
    t->done = true;
    return true;
}

bool tr_brk(struct tr *t, const struct arg_imm16 *a)
{
    tr_raise(t, A64_EXC_BRK, (uint32_t)a->imm);
    return true;
}
