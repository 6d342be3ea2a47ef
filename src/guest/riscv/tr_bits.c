/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bit manipulation: Zba, Zbb, Zbc, Zbs, Zicond. */
#include "guest/riscv/rv_insn.h"
#include "guest/riscv/tr.h"

/* ---- Zba ---- */

static bool shift_add(struct tr *t, const struct arg_r *a, unsigned n, bool word)
{
    ir_val x = word ? ir_zext(t->b, IR_I64, rv_w(t, a->rs1)) : rv_x(t, a->rs1);

    rv_set_x(t, a->rd, ir_lea(t->b, rv_x(t, a->rs2), x, n, 0));
    return true;
}

bool tr_add_uw(struct tr *t, const struct arg_r *a)
{
    return shift_add(t, a, 0, true);
}
bool tr_sh1add(struct tr *t, const struct arg_r *a)
{
    return shift_add(t, a, 1, false);
}
bool tr_sh2add(struct tr *t, const struct arg_r *a)
{
    return shift_add(t, a, 2, false);
}
bool tr_sh3add(struct tr *t, const struct arg_r *a)
{
    return shift_add(t, a, 3, false);
}
bool tr_sh1add_uw(struct tr *t, const struct arg_r *a)
{
    return shift_add(t, a, 1, true);
}
bool tr_sh2add_uw(struct tr *t, const struct arg_r *a)
{
    return shift_add(t, a, 2, true);
}
bool tr_sh3add_uw(struct tr *t, const struct arg_r *a)
{
    return shift_add(t, a, 3, true);
}

bool tr_slli_uw(struct tr *t, const struct arg_sh *a)
{
    rv_set_x(t, a->rd, ir_shli(t->b, ir_zext(t->b, IR_I64, rv_w(t, a->rs1)), a->imm));
    return true;
}

/* ---- Zbb ---- */

bool tr_orn(struct tr *t, const struct arg_r *a)
{
    rv_set_x(t, a->rd, ir_or(t->b, rv_x(t, a->rs1), ir_not(t->b, rv_x(t, a->rs2))));
    return true;
}

bool tr_xnor(struct tr *t, const struct arg_r *a)
{
    rv_set_x(t, a->rd, ir_not(t->b, ir_xor(t->b, rv_x(t, a->rs1), rv_x(t, a->rs2))));
    return true;
}

/* clang-format off */
#define COUNT(name, op)                                                                            \
    bool tr_##name(struct tr *t, const struct arg_u *a)                                            \
    {                                                                                              \
        rv_set_x(t, a->rd, ir_op1(t->b, op, rv_x(t, a->rs1)));                                     \
        return true;                                                                               \
    }                                                                                              \
    bool tr_##name##w(struct tr *t, const struct arg_u *a)                                         \
    {                                                                                              \
        rv_set_x(t, a->rd, ir_zext(t->b, IR_I64, ir_op1(t->b, op, rv_w(t, a->rs1))));              \
        return true;                                                                               \
    }
COUNT(clz, IR_CLZ)
COUNT(ctz, IR_CTZ)
COUNT(cpop, IR_POPCNT)
#undef COUNT

#define PICK(name, cond)                                                                           \
    bool tr_##name(struct tr *t, const struct arg_r *a)                                            \
    {                                                                                              \
        ir_val x = rv_x(t, a->rs1), y = rv_x(t, a->rs2);                                           \
        rv_set_x(t, a->rd, ir_select(t->b, cond, x, y, x, y));                                     \
        return true;                                                                               \
    }
PICK(max, IR_GES)
PICK(maxu, IR_GEU)
PICK(min, IR_LTS)
PICK(minu, IR_LTU)
#undef PICK
/* clang-format on */

static bool extend(struct tr *t, const struct arg_u *a, enum ir_type from, bool is_signed)
{
    ir_val x = ir_trunc(t->b, from, rv_x(t, a->rs1));

    rv_set_x(t, a->rd, is_signed ? ir_sext(t->b, IR_I64, x) : ir_zext(t->b, IR_I64, x));
    return true;
}

bool tr_sext_b(struct tr *t, const struct arg_u *a)
{
    return extend(t, a, IR_I8, true);
}
bool tr_sext_h(struct tr *t, const struct arg_u *a)
{
    return extend(t, a, IR_I16, true);
}
bool tr_zext_h(struct tr *t, const struct arg_u *a)
{
    return extend(t, a, IR_I16, false);
}

bool tr_rol(struct tr *t, const struct arg_r *a)
{
    rv_set_x(t, a->rd, ir_rol(t->b, rv_x(t, a->rs1), ir_andi(t->b, rv_x(t, a->rs2), 63)));
    return true;
}

bool tr_rolw(struct tr *t, const struct arg_r *a)
{
    rv_set_w(t, a->rd, ir_rol(t->b, rv_w(t, a->rs1), ir_andi(t->b, rv_w(t, a->rs2), 31)));
    return true;
}

/* Each byte that is not 0 becomes 0xff: bit 7 of a byte of n is set when its low bits or its own
 * bit 7 are; then that bit is spread downwards by a subtraction that borrows nothing. */
bool tr_orc_b(struct tr *t, const struct arg_u *a)
{
    const int64_t low7 = 0x7f7f7f7f7f7f7f7f, top = (int64_t)0x8080808080808080;
    ir_val x = rv_x(t, a->rs1);
    ir_val carry = ir_addi(t->b, ir_andi(t->b, x, low7), low7);
    ir_val bit = ir_andi(t->b, ir_or(t->b, carry, x), top);
    ir_val one = ir_shri(t->b, bit, 7);

    rv_set_x(t, a->rd, ir_or(t->b, bit, ir_sub(t->b, bit, one)));
    return true;
}

bool tr_rev8(struct tr *t, const struct arg_u *a)
{
    rv_set_x(t, a->rd, ir_op1(t->b, IR_BSWAP, rv_x(t, a->rs1)));
    return true;
}

/* ---- Zbc ---- */

/* 64-bit half `half` of the product, shifted right by `down` bits. */
static bool carryless(struct tr *t, const struct arg_r *a, unsigned half, unsigned up)
{
    ir_val x = ir_vop1(t->b, IR_VFROMI, 0, rv_x(t, a->rs1), 0);
    ir_val y = ir_vop1(t->b, IR_VFROMI, 0, rv_x(t, a->rs2), 0);
    ir_val p = ir_vop2(t->b, IR_VCLMUL, 0, x, y, 0);
    ir_val r = ir_vop1(t->b, IR_VEXTRACT, IR_I64, p, half);

    if (up) /* clmulr: bits 126..63 */
        r = ir_or(t->b, ir_shli(t->b, r, 1),
                  ir_shri(t->b, ir_vop1(t->b, IR_VEXTRACT, IR_I64, p, 0), 63));
    rv_set_x(t, a->rd, r);
    return true;
}

bool tr_clmul(struct tr *t, const struct arg_r *a)
{
    return carryless(t, a, 0, 0);
}
bool tr_clmulh(struct tr *t, const struct arg_r *a)
{
    return carryless(t, a, 1, 0);
}
bool tr_clmulr(struct tr *t, const struct arg_r *a)
{
    return carryless(t, a, 1, 1);
}

/* ---- Zbs ---- */

static bool one_bit(struct tr *t, const struct arg_r *a, enum ir_op op)
{
    ir_val bit = ir_shl(t->b, rv_c64(t, 1), ir_andi(t->b, rv_x(t, a->rs2), 63));

    rv_set_x(t, a->rd, ir_op2(t->b, op, rv_x(t, a->rs1), bit));
    return true;
}

bool tr_bclr(struct tr *t, const struct arg_r *a)
{
    return one_bit(t, a, IR_ANDC);
}
bool tr_binv(struct tr *t, const struct arg_r *a)
{
    return one_bit(t, a, IR_XOR);
}
bool tr_bset(struct tr *t, const struct arg_r *a)
{
    return one_bit(t, a, IR_OR);
}

bool tr_bext(struct tr *t, const struct arg_r *a)
{
    ir_val x = ir_shr(t->b, rv_x(t, a->rs1), ir_andi(t->b, rv_x(t, a->rs2), 63));

    rv_set_x(t, a->rd, ir_andi(t->b, x, 1));
    return true;
}

bool tr_bclri(struct tr *t, const struct arg_sh *a)
{
    rv_set_x(t, a->rd, ir_andi(t->b, rv_x(t, a->rs1), (int64_t)~BIT(a->imm)));
    return true;
}
bool tr_binvi(struct tr *t, const struct arg_sh *a)
{
    rv_set_x(t, a->rd, ir_xori(t->b, rv_x(t, a->rs1), (int64_t)BIT(a->imm)));
    return true;
}
bool tr_bseti(struct tr *t, const struct arg_sh *a)
{
    rv_set_x(t, a->rd, ir_ori(t->b, rv_x(t, a->rs1), (int64_t)BIT(a->imm)));
    return true;
}
bool tr_bexti(struct tr *t, const struct arg_sh *a)
{
    rv_set_x(t, a->rd, ir_extract(t->b, rv_x(t, a->rs1), (unsigned)a->imm, 1));
    return true;
}

/* ---- Zicond ---- */

static bool czero(struct tr *t, const struct arg_r *a, enum ir_cond cond)
{
    ir_val zero = rv_c64(t, 0);

    rv_set_x(t, a->rd, ir_select(t->b, cond, rv_x(t, a->rs2), zero, zero, rv_x(t, a->rs1)));
    return true;
}

bool tr_czero_eqz(struct tr *t, const struct arg_r *a)
{
    return czero(t, a, IR_EQ);
}
bool tr_czero_nez(struct tr *t, const struct arg_r *a)
{
    return czero(t, a, IR_NE);
}
