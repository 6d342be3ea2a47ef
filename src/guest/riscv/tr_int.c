/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer arithmetic of RV64I and M, branches and jumps. */
#include "guest/riscv/rv_insn.h"
#include "guest/riscv/tr.h"

/* ---- upper immediates, jumps, branches ---- */

bool tr_lui(struct tr *t, const struct arg_lui *a)
{
    rv_set_x(t, a->rd, rv_c64(t, a->imm));
    return true;
}

bool tr_c_lui(struct tr *t, const struct arg_lui *a)
{
    return a->imm && tr_lui(t, a);
}

bool tr_auipc(struct tr *t, const struct arg_lui *a)
{
    rv_set_x(t, a->rd, rv_c64(t, (int64_t)t->pc + a->imm));
    return true;
}

static bool is_link(unsigned n) /* by the hints of the manual (I, 2.5.1) */
{
    return n == 1 || n == 5;
}

bool tr_jal(struct tr *t, const struct arg_j *a)
{
    gva_t target = t->pc + (uint64_t)(int64_t)a->imm, next = t->pc + t->len;

    if (target & 2 && !tr_has(t, RV_EXT_C)) {
        rv_tr_raise(t, RV_FETCH_MISALIGNED, target);
        return true;
    }
    rv_set_x(t, a->rd, rv_c64(t, (int64_t)next));
    if (is_link(a->rd))
        ir_retaddr(t->b, next);
    rv_jump(t, target);
    return true;
}

bool tr_jalr(struct tr *t, const struct arg_i *a)
{
    ir_val target = ir_andi(t->b, ir_addi(t->b, rv_x(t, a->rs1), a->imm), -2);
    gva_t next = t->pc + t->len;
    unsigned kind = IR_IND_JUMP;

    rv_set_x(t, a->rd, rv_c64(t, (int64_t)next));
    if (is_link(a->rd)) {
        ir_retaddr(t->b, next);
        kind = IR_IND_CALL;
    } else if (is_link(a->rs1) && !a->rd) {
        kind = IR_IND_RET;
    }
    rv_jump_ind(t, target, kind);
    return true;
}

bool tr_branch(struct tr *t, const struct arg_b *a)
{
    gva_t target = t->pc + (uint64_t)(int64_t)a->imm;

    /* Without C a target may be misaligned: its region raises the exception when it is taken. */
    rv_branch(t, (enum ir_cond)a->cond, rv_x(t, a->rs1), rv_x(t, a->rs2), target);
    return true;
}

/* ---- immediate ---- */

bool tr_addi(struct tr *t, const struct arg_i *a)
{
    rv_set_x(t, a->rd, ir_addi(t->b, rv_x(t, a->rs1), a->imm));
    return true;
}

bool tr_addiw(struct tr *t, const struct arg_i *a)
{
    rv_set_w(t, a->rd, ir_addi(t->b, rv_w(t, a->rs1), a->imm));
    return true;
}

bool tr_slti(struct tr *t, const struct arg_i *a)
{
    rv_set_x(t, a->rd, ir_setcondi(t->b, IR_I64, IR_LTS, rv_x(t, a->rs1), a->imm));
    return true;
}

bool tr_sltiu(struct tr *t, const struct arg_i *a)
{
    rv_set_x(t, a->rd, ir_setcondi(t->b, IR_I64, IR_LTU, rv_x(t, a->rs1), a->imm));
    return true;
}

/* clang-format off */
#define IMM(name, op)                                                                              \
    bool tr_##name(struct tr *t, const struct arg_i *a)                                            \
    {                                                                                              \
        rv_set_x(t, a->rd, ir_op2i(t->b, op, rv_x(t, a->rs1), a->imm));                            \
        return true;                                                                               \
    }
IMM(xori, IR_XOR)
IMM(ori, IR_OR)
IMM(andi, IR_AND)
#undef IMM

#define SHIFT(name, op)                                                                            \
    bool tr_##name##i(struct tr *t, const struct arg_sh *a)                                        \
    {                                                                                              \
        rv_set_x(t, a->rd, ir_op2i(t->b, op, rv_x(t, a->rs1), a->imm));                            \
        return true;                                                                               \
    }                                                                                              \
    bool tr_##name##iw(struct tr *t, const struct arg_sh *a)                                       \
    {                                                                                              \
        rv_set_w(t, a->rd, ir_op2i(t->b, op, rv_w(t, a->rs1), a->imm));                            \
        return true;                                                                               \
    }                                                                                              \
    bool tr_##name(struct tr *t, const struct arg_r *a)                                            \
    {                                                                                              \
        rv_set_x(t, a->rd,                                                                         \
                 ir_op2(t->b, op, rv_x(t, a->rs1), ir_andi(t->b, rv_x(t, a->rs2), 63)));           \
        return true;                                                                               \
    }                                                                                              \
    bool tr_##name##w(struct tr *t, const struct arg_r *a)                                         \
    {                                                                                              \
        rv_set_w(t, a->rd,                                                                         \
                 ir_op2(t->b, op, rv_w(t, a->rs1), ir_andi(t->b, rv_w(t, a->rs2), 31)));           \
        return true;                                                                               \
    }
SHIFT(sll, IR_SHL)
SHIFT(srl, IR_SHR)
SHIFT(sra, IR_SAR)
SHIFT(ror, IR_ROR)
#undef SHIFT

/* ---- register ---- */

#define REG(name, op)                                                                              \
    bool tr_##name(struct tr *t, const struct arg_r *a)                                            \
    {                                                                                              \
        rv_set_x(t, a->rd, ir_op2(t->b, op, rv_x(t, a->rs1), rv_x(t, a->rs2)));                    \
        return true;                                                                               \
    }
#define REGW(name, op)                                                                             \
    bool tr_##name(struct tr *t, const struct arg_r *a)                                            \
    {                                                                                              \
        rv_set_w(t, a->rd, ir_op2(t->b, op, rv_w(t, a->rs1), rv_w(t, a->rs2)));                    \
        return true;                                                                               \
    }
REG(add, IR_ADD)
REG(sub, IR_SUB)
REG(and, IR_AND)
REG(or, IR_OR)
REG(xor, IR_XOR)
REG(andn, IR_ANDC)
REG(mul, IR_MUL)
REG(mulh, IR_MULSH)
REG(mulhu, IR_MULUH)
REGW(addw, IR_ADD)
REGW(subw, IR_SUB)
REGW(mulw, IR_MUL)
#undef REG
#undef REGW

#define COND(name, cond)                                                                           \
    bool tr_##name(struct tr *t, const struct arg_r *a)                                            \
    {                                                                                              \
        rv_set_x(t, a->rd, ir_setcond(t->b, IR_I64, cond, rv_x(t, a->rs1), rv_x(t, a->rs2)));      \
        return true;                                                                               \
    }
COND(slt, IR_LTS)
COND(sltu, IR_LTU)
#undef COND
/* clang-format on */

bool tr_mulhsu(struct tr *t, const struct arg_r *a)
{
    ir_val x = rv_x(t, a->rs1), y = rv_x(t, a->rs2);
    ir_val minus = ir_and(t->b, ir_sari(t->b, x, 63), y);

    rv_set_x(t, a->rd, ir_sub(t->b, ir_muluh(t->b, x, y), minus));
    return true;
}

/* ---- division: by 0 and overflow have results (I, table 11) ---- */

/* The divisor made harmless: 1 instead of 0, and for a signed overflow (MIN / -1), where the
 * quotient MIN and the remainder 0 come out right by themselves with a divisor of 1. */
static ir_val safe_divisor(struct tr *t, ir_val x, ir_val y, bool is_signed)
{
    enum ir_type type = ir_type_of(t->b, x);
    ir_val one = ir_const(t->b, type, 1);
    int64_t min = type == IR_I64 ? INT64_MIN : INT32_MIN;
    ir_val d = ir_select(t->b, IR_EQ, y, ir_const(t->b, type, 0), one, y);

    if (!is_signed)
        return d;
    /* both x == MIN and y == -1 */
    ir_val over = ir_or(t->b, ir_xor(t->b, x, ir_const(t->b, type, min)),
                        ir_xor(t->b, y, ir_const(t->b, type, -1)));
    return ir_select(t->b, IR_EQ, over, ir_const(t->b, type, 0), one, d);
}

static ir_val quotient(struct tr *t, ir_val x, ir_val y, bool is_signed)
{
    enum ir_type type = ir_type_of(t->b, x);
    ir_val q = ir_op2(t->b, is_signed ? IR_SDIV : IR_UDIV, x, safe_divisor(t, x, y, is_signed));

    return ir_select(t->b, IR_EQ, y, ir_const(t->b, type, 0), ir_const(t->b, type, -1), q);
}

static ir_val remainder_of(struct tr *t, ir_val x, ir_val y, bool is_signed)
{
    enum ir_type type = ir_type_of(t->b, x);
    ir_val q = ir_op2(t->b, is_signed ? IR_SREM : IR_UREM, x, safe_divisor(t, x, y, is_signed));

    return ir_select(t->b, IR_EQ, y, ir_const(t->b, type, 0), x, q);
}

/* clang-format off */
#define DIV(name, fn, is_signed)                                                                   \
    bool tr_##name(struct tr *t, const struct arg_r *a)                                            \
    {                                                                                              \
        rv_set_x(t, a->rd, fn(t, rv_x(t, a->rs1), rv_x(t, a->rs2), is_signed));                    \
        return true;                                                                               \
    }                                                                                              \
    bool tr_##name##w(struct tr *t, const struct arg_r *a)                                         \
    {                                                                                              \
        rv_set_w(t, a->rd, fn(t, rv_w(t, a->rs1), rv_w(t, a->rs2), is_signed));                    \
        return true;                                                                               \
    }
DIV(div, quotient, true)
DIV(divu, quotient, false)
DIV(rem, remainder_of, true)
DIV(remu, remainder_of, false)
#undef DIV
/* clang-format on */
