/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A64 data processing with immediates (C4.1.92). */
#include "guest/arm/insn.h"
#include "guest/arm/tr_int.h"

bool tr_adr(struct tr *t, const struct arg_adr *a)
{
    tr_set_reg(t, true, a->rd, tr_c64(t, (int64_t)(t->pc + (int64_t)a->imm)));
    return true;
}

bool tr_adrp(struct tr *t, const struct arg_adrp *a)
{
    int64_t base = (int64_t)(t->pc & ~UINT64_C(4095));

    tr_set_reg(t, true, a->rd, tr_c64(t, base + (int64_t)a->imm * 4096));
    return true;
}

/* ---- add and subtract ---- */

static int64_t add_imm(const struct arg_addi *a)
{
    return (int64_t)a->imm << (a->sh ? 12 : 0);
}

bool tr_add_imm(struct tr *t, const struct arg_addi *a)
{
    tr_set_reg_sp(t, a->sf, a->rd, ir_addi(t->b, tr_reg_sp(t, a->sf, a->rn), add_imm(a)));
    return true;
}

bool tr_sub_imm(struct tr *t, const struct arg_addi *a)
{
    tr_set_reg_sp(t, a->sf, a->rd, ir_addi(t->b, tr_reg_sp(t, a->sf, a->rn), -add_imm(a)));
    return true;
}

bool tr_adds_imm(struct tr *t, const struct arg_addi *a)
{
    ir_val rn = tr_reg_sp(t, a->sf, a->rn);

    tr_set_reg(t, a->sf, a->rd,
               tr_add_flags(t, a->sf, rn, ir_const(t->b, tr_type(a->sf), add_imm(a))));
    return true;
}

bool tr_subs_imm(struct tr *t, const struct arg_addi *a)
{
    ir_val rn = tr_reg_sp(t, a->sf, a->rn);

    tr_set_reg(t, a->sf, a->rd,
               tr_sub_flags(t, a->sf, rn, ir_const(t->b, tr_type(a->sf), add_imm(a))));
    return true;
}

/* ---- logical ---- */

bool a64_bitmask(bool sf, unsigned n, unsigned imms, unsigned immr, uint64_t *ret)
{
    unsigned key = n << 6 | (~imms & 63), len, esize, s, r;
    uint64_t v;

    if (key < 2 || (n && !sf))
        return false;
    len = 31 - (unsigned)__builtin_clz(key);
    esize = 1u << len;
    s = imms & (esize - 1);
    r = immr & (esize - 1);
    if (s == esize - 1)
        return false;
    v = (UINT64_C(1) << (s + 1)) - 1;
    if (r)
        v = (v >> r | v << (esize - r)) & (esize == 64 ? ~UINT64_C(0) : (UINT64_C(1) << esize) - 1);
    for (unsigned size = esize; size < 64; size *= 2)
        v |= v << size;
    *ret = sf ? v : (uint32_t)v;
    return true;
}

static bool logical_imm(struct tr *t, const struct arg_logi *a, enum ir_op op, bool flags)
{
    uint64_t mask;
    ir_val v;

    if (!a64_bitmask(a->sf, (unsigned)a->n, (unsigned)a->imms, (unsigned)a->immr, &mask))
        return false;
    v = ir_op2i(t->b, op, tr_reg(t, a->sf, a->rn), (int64_t)mask);
    if (!flags) {
        tr_set_reg_sp(t, a->sf, a->rd, v);
        return true;
    }
    tr_set_reg(t, a->sf, a->rd, v);
    tr_cc(t, A64_CC_LOGIC | a->sf, v, IR_NO_VAL, IR_NO_VAL);
    return true;
}

bool tr_and_imm(struct tr *t, const struct arg_logi *a)
{
    return logical_imm(t, a, IR_AND, false);
}

bool tr_orr_imm(struct tr *t, const struct arg_logi *a)
{
    return logical_imm(t, a, IR_OR, false);
}

bool tr_eor_imm(struct tr *t, const struct arg_logi *a)
{
    return logical_imm(t, a, IR_XOR, false);
}

bool tr_ands_imm(struct tr *t, const struct arg_logi *a)
{
    return logical_imm(t, a, IR_AND, true);
}

/* ---- wide moves ---- */

static bool bad_hw(const struct arg_movw *a)
{
    return !a->sf && a->hw > 1;
}

bool tr_movz(struct tr *t, const struct arg_movw *a)
{
    if (bad_hw(a))
        return false;
    tr_set_reg(t, true, a->rd, tr_c64(t, (int64_t)((uint64_t)a->imm << (a->hw * 16))));
    return true;
}

bool tr_movn(struct tr *t, const struct arg_movw *a)
{
    if (bad_hw(a))
        return false;
    tr_set_reg(t, a->sf, a->rd,
               ir_const(t->b, tr_type(a->sf), (int64_t) ~((uint64_t)a->imm << (a->hw * 16))));
    return true;
}

bool tr_movk(struct tr *t, const struct arg_movw *a)
{
    enum ir_type type = tr_type(a->sf);

    if (bad_hw(a))
        return false;
    tr_set_reg(t, a->sf, a->rd,
               ir_deposit(t->b, tr_reg(t, a->sf, a->rd), ir_const(t->b, type, a->imm),
                          (unsigned)a->hw * 16, 16));
    return true;
}

/* ---- bitfields ---- */

static bool bad_field(const struct arg_bitf *a)
{
    return a->n != a->sf || (!a->sf && (a->immr > 31 || a->imms > 31));
}

/* The low bits of v, len of them, sign-extended and then moved up by pos; v's type. */
static ir_val sext_field(struct tr *t, ir_val v, unsigned from, unsigned len, unsigned pos)
{
    enum ir_type type = ir_type_of(t->b, v);
    unsigned width = ir_type_bits[type];

    if (!from && !pos && len < width && (len == 8 || len == 16 || len == 32))
        return ir_sext(t->b, type,
                       ir_trunc(t->b,
                                len == 8    ? IR_I8
                                : len == 16 ? IR_I16
                                            : IR_I32,
                                v));
    v = ir_shli(t->b, v, width - len - from);
    return ir_sari(t->b, v, width - len - pos);
}

bool tr_sbfm(struct tr *t, const struct arg_bitf *a)
{
    unsigned width = a->sf ? 64 : 32, r = (unsigned)a->immr, s = (unsigned)a->imms;
    ir_val v;

    if (bad_field(a))
        return false;
    v = tr_reg(t, a->sf, a->rn);
    v = s >= r ? sext_field(t, v, r, s - r + 1, 0) : sext_field(t, v, 0, s + 1, width - r);
    tr_set_reg(t, a->sf, a->rd, v);
    return true;
}

bool tr_ubfm(struct tr *t, const struct arg_bitf *a)
{
    unsigned width = a->sf ? 64 : 32, r = (unsigned)a->immr, s = (unsigned)a->imms;
    ir_val v;

    if (bad_field(a))
        return false;
    v = tr_reg(t, a->sf, a->rn);
    if (s == width - 1)
        v = ir_shri(t->b, v, r);
    else if (s >= r)
        v = ir_extract(t->b, v, r, s - r + 1);
    else if (s + 1 == r)
        v = ir_shli(t->b, v, width - r);
    else
        v = ir_shli(t->b, ir_extract(t->b, v, 0, s + 1), width - r);
    tr_set_reg(t, a->sf, a->rd, v);
    return true;
}

bool tr_bfm(struct tr *t, const struct arg_bitf *a)
{
    unsigned width = a->sf ? 64 : 32, r = (unsigned)a->immr, s = (unsigned)a->imms;
    ir_val v, d;

    if (bad_field(a))
        return false;
    v = tr_reg(t, a->sf, a->rn);
    d = tr_reg(t, a->sf, a->rd);
    if (s >= r)
        v = ir_deposit(t->b, d, ir_shri(t->b, v, r), 0, s - r + 1);
    else
        v = ir_deposit(t->b, d, v, width - r, s + 1);
    tr_set_reg(t, a->sf, a->rd, v);
    return true;
}

bool tr_extr(struct tr *t, const struct arg_extr *a)
{
    unsigned width = a->sf ? 64 : 32, lsb = (unsigned)a->imms;
    ir_val low, high;

    if (a->n != a->sf || lsb >= width)
        return false;
    low = tr_reg(t, a->sf, a->rm);
    if (a->rn == a->rm) {
        low = ir_rori(t->b, low, lsb);
    } else if (lsb) {
        high = ir_shli(t->b, tr_reg(t, a->sf, a->rn), width - lsb);
        low = ir_or(t->b, high, ir_shri(t->b, low, lsb));
    }
    tr_set_reg(t, a->sf, a->rd, low);
    return true;
}
