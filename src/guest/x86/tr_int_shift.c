/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shifts and rotates. A count is masked to 5 bits (6 with 64-bit operands); with a masked count of
 * 0 no flag changes, which for a count in CL is a choice made at run time: the lazy flags are
 * selected between old and new.
 */
#include "guest/x86/tr_core.h"
#include "guest/x86/x86_tr.h"

/* The count operand: a constant, or CL's masked value. */
struct count {
    bool is_const;
    unsigned n; /* constant */
    ir_val v;   /* i8, masked; also set for a constant */
};

static struct count get_count(struct tr *t, const struct x86_insn *i, unsigned opnd)
{
    unsigned mask = i->opsize == 8 ? 63 : 31;
    struct count c = { .is_const = i->opnd[opnd].kind == X86_K_IMM };

    c.n = (unsigned)i->imm & mask;
    c.v = c.is_const ? ir_const(t->b, IR_I8, c.n) : ir_andi(t->b, tr_reg(t, 1, X86_RCX), mask);
    return c;
}

/* count - 1, masked so that it stays a legal shift when the count is 0. */
static ir_val count_less_one(struct tr *t, const struct count *c, unsigned mask)
{
    if (c->is_const)
        return ir_const(t->b, IR_I8, (c->n - 1) & mask);
    return ir_andi(t->b, ir_addi(t->b, c->v, -1), mask);
}

static ir_val widen(struct tr *t, ir_val v)
{
    return ir_zext(t->b, IR_I64, v);
}

/* Note flags, or keep all of them when the count is 0. a, b: as for tr_cc, c unused. */
static void cc_if_count(struct tr *t, const struct count *count, enum x86_cc op, unsigned size,
                        ir_val a, ir_val b)
{
    if (count->is_const) {
        if (count->n)
            tr_cc(t, op, size, a, b, IR_NO_VAL);
        return;
    }
    ir_val zero = ir_const(t->b, IR_I8, 0);
    ir_val n = tr_c32(t, op == X86_CC_EFLAGS ? op : op + tr_log2(size));
    ir_put(t->b, X86_SLOT_CC_A,
           ir_select(t->b, IR_EQ, count->v, zero, ir_get(t->b, X86_SLOT_CC_A), widen(t, a)));
    if (b)
        ir_put(t->b, X86_SLOT_CC_B,
               ir_select(t->b, IR_EQ, count->v, zero, ir_get(t->b, X86_SLOT_CC_B), widen(t, b)));
    ir_put(t->b, X86_SLOT_CC_OP,
           ir_select(t->b, IR_EQ, count->v, zero, ir_get(t->b, X86_SLOT_CC_OP), n));
    t->cc = X86_CC_DYNAMIC;
    t->cf_val = IR_NO_VAL;
}

/* v of the operand's size in the type that shifts work in: counts up to 31 are legal for bytes and
 * words, too. */
static ir_val to_shift_type(struct tr *t, ir_val v, bool is_signed)
{
    if (ir_type_of(t->b, v) >= IR_I32)
        return v;
    return is_signed ? ir_sext(t->b, IR_I32, v) : ir_zext(t->b, IR_I32, v);
}

static bool shift(struct tr *t, const struct x86_insn *i, enum ir_op op)
{
    enum ir_type type = tr_type(i->opsize);
    struct count c = get_count(t, i, 1);
    unsigned mask = i->opsize == 8 ? 63 : 31;
    struct tr_rmw m;
    ir_val v = to_shift_type(t, tr_rmw_begin(t, i, 0, &m), op == IR_SAR);
    ir_val r = ir_op2(t->b, op, v, c.v);
    ir_val last = ir_op2(t->b, op, v, count_less_one(t, &c, mask));

    r = ir_trunc(t->b, type, r);
    tr_rmw_end(t, i, &m, r);
    cc_if_count(t, &c, op == IR_SHL ? X86_CC_SHL : X86_CC_SHR, i->opsize, r,
                ir_trunc(t->b, type, last));
    return true;
}

bool tr_shl(struct tr *t, const struct x86_insn *i)
{
    return shift(t, i, IR_SHL);
}
bool tr_shr(struct tr *t, const struct x86_insn *i)
{
    return shift(t, i, IR_SHR);
}
bool tr_sar(struct tr *t, const struct x86_insn *i)
{
    return shift(t, i, IR_SAR);
}

/* ---- double shifts ---- */

/* 16-bit SHLD, SHRD: counts above 16 go on with the second operand, as AMD's processors do. */
static void double_shift16(struct tr *t, const struct x86_insn *i, bool left, const struct count *c)
{
    struct tr_rmw m;
    ir_val b = widen(t, tr_get(t, i, 1));
    ir_val a = widen(t, tr_rmw_begin(t, i, 0, &m));
    ir_val x = ir_deposit(t->b, b, b, 16, 16);
    ir_val last_count = count_less_one(t, c, 31), r, last;

    if (left) {
        x = ir_deposit(t->b, x, a, 32, 16);
        r = ir_shri(t->b, ir_shl(t->b, x, c->v), 32);
        last = ir_shri(t->b, ir_shl(t->b, x, last_count), 32);
    } else {
        x = ir_or(t->b, ir_shli(t->b, x, 16), a);
        r = ir_shr(t->b, x, c->v);
        last = ir_shr(t->b, x, last_count);
    }
    r = ir_trunc(t->b, IR_I16, r);
    tr_rmw_end(t, i, &m, r);
    cc_if_count(t, c, left ? X86_CC_SHL : X86_CC_SHR, 2, r, ir_trunc(t->b, IR_I16, last));
}

/* a shifted by n with the bits of b following, n in 0 .. width-1. The other shift is by width - n,
 * done in two steps: 1, then width - 1 - n, which is ~n within the width. */
static ir_val funnel(struct tr *t, ir_val a, ir_val b, ir_val n, bool left, unsigned width)
{
    ir_val rest = ir_xori(t->b, n, width - 1);

    if (left)
        return ir_or(t->b, ir_shl(t->b, a, n), ir_shr(t->b, ir_shri(t->b, b, 1), rest));
    return ir_or(t->b, ir_shr(t->b, a, n), ir_shl(t->b, ir_shli(t->b, b, 1), rest));
}

static bool double_shift(struct tr *t, const struct x86_insn *i, bool left)
{
    struct count c = get_count(t, i, 2);
    unsigned width = i->opsize * 8;
    struct tr_rmw m;

    if (i->opsize == 2) {
        double_shift16(t, i, left, &c);
        return true;
    }
    ir_val b = tr_get(t, i, 1);
    ir_val a = tr_rmw_begin(t, i, 0, &m);
    ir_val r = funnel(t, a, b, c.v, left, width);
    ir_val last = funnel(t, a, b, count_less_one(t, &c, width - 1), left, width);
    tr_rmw_end(t, i, &m, r);
    cc_if_count(t, &c, left ? X86_CC_SHL : X86_CC_SHR, i->opsize, r, last);
    return true;
}

bool tr_shld(struct tr *t, const struct x86_insn *i)
{
    return double_shift(t, i, true);
}
bool tr_shrd(struct tr *t, const struct x86_insn *i)
{
    return double_shift(t, i, false);
}

/* ---- rotates ---- */

/* After a rotate that gave r: CF is cf (i32 0 or 1), OF the top bit ^ CF (left) or the two top
 * bits' difference (right); the other flags keep their values. Only if the count was not 0. */
static void rotate_flags(struct tr *t, const struct count *c, unsigned size, ir_val r, ir_val cf,
                         bool left)
{
    unsigned top = size * 8 - 1;

    if (c->is_const && !c->n)
        return;
    ir_val wide = widen(t, r);
    ir_val msb = ir_trunc(t->b, IR_I32, ir_extract(t->b, wide, top, 1));
    ir_val other = left ? cf : ir_trunc(t->b, IR_I32, ir_extract(t->b, wide, top - 1, 1));
    ir_val of = ir_shli(t->b, ir_xor(t->b, msb, other), 11);
    ir_val old = tr_cc_compute(t);
    ir_val kept = ir_andi(t->b, old, ~(int64_t)(X86_CF | X86_OF));
    ir_val fresh = ir_or(t->b, kept, ir_or(t->b, of, cf));
    if (!c->is_const)
        fresh = ir_select(t->b, IR_EQ, c->v, ir_const(t->b, IR_I8, 0), old, fresh);
    tr_cc_flags(t, fresh);
}

/* The rotate itself with a count of any size. */
static ir_val rotate_value(struct tr *t, ir_val v, const struct count *c, unsigned size,
                           enum ir_op op)
{
    unsigned width = size * 8;

    if (c->is_const)
        return ir_op2i(t->b, op, v, c->n % width);
    return ir_op2(t->b, op, v, ir_andi(t->b, c->v, width - 1));
}

static bool rotate(struct tr *t, const struct x86_insn *i, bool left)
{
    struct count c = get_count(t, i, 1);
    struct tr_rmw m;
    ir_val v = tr_rmw_begin(t, i, 0, &m);
    ir_val r = rotate_value(t, v, &c, i->opsize, left ? IR_ROL : IR_ROR);
    ir_val cf =
        ir_trunc(t->b, IR_I32, ir_extract(t->b, widen(t, r), left ? 0 : i->opsize * 8 - 1, 1));

    tr_rmw_end(t, i, &m, r);
    rotate_flags(t, &c, i->opsize, r, cf, left);
    return true;
}

bool tr_rol(struct tr *t, const struct x86_insn *i)
{
    return rotate(t, i, true);
}
bool tr_ror(struct tr *t, const struct x86_insn *i)
{
    return rotate(t, i, false);
}

/* ---- rotates through carry ---- */

enum {
    RC_SIZE = 15,
    RC_LEFT = 16,
    RC_CARRY = 32
}; /* how the helpers' last argument is made; the count lies above */

/* The (width+1)-bit rotate of cf:v. Returns v, sets *cf. */
static uint64_t rotate_carry(uint64_t v, unsigned what, unsigned *cf)
{
    unsigned width = (what & RC_SIZE) * 8, n = (what >> 8) % (width + 1);
    unsigned __int128 x = (unsigned __int128)(*cf & 1) << width | (v & BITS(width - 1, 0));

    if (!(what & RC_LEFT))
        n = (width + 1 - n) % (width + 1);
    x = x << n | x >> (width + 1 - n);
    *cf = (unsigned)(x >> width) & 1;
    return (uint64_t)x & BITS(width - 1, 0);
}

static uint64_t do_rotate_carry(struct x86_cpu *x, uint64_t v, uint64_t cf, uint64_t what,
                                uint64_t count)
{
    unsigned carry = (unsigned)cf & 1;
    uint64_t r = rotate_carry(v, ((uint32_t)what & 63) | (unsigned)(count & 63) << 8, &carry);

    return what & RC_CARRY ? carry : r;
}

static const struct helper h_rotate_carry = { "x86_rotate_carry", (helper_fn *)do_rotate_carry,
                                              "i64 i64 i32 i32 i32", HELPER_PURE };

/* By 1, inline. */
static ir_val rotate_carry_1(struct tr *t, ir_val v, ir_val cf, unsigned size, bool left,
                             ir_val *ret_cf)
{
    unsigned top = size * 8 - 1;
    ir_val wide = widen(t, v), carry = widen(t, cf);

    *ret_cf = ir_trunc(t->b, IR_I32, ir_extract(t->b, wide, left ? top : 0, 1));
    if (left)
        return ir_or(t->b, ir_shli(t->b, wide, 1), carry);
    return ir_or(t->b, ir_shri(t->b, wide, 1), ir_shli(t->b, carry, top));
}

static bool rotate_through(struct tr *t, const struct x86_insn *i, bool left)
{
    struct count c = get_count(t, i, 1);
    ir_val cf = tr_cf(t, IR_I32), r, new_cf;
    struct tr_rmw m;
    ir_val v = tr_rmw_begin(t, i, 0, &m);

    if (c.is_const && c.n == 1) {
        r = rotate_carry_1(t, v, cf, i->opsize, left, &new_cf);
    } else {
        unsigned what = i->opsize | (left ? RC_LEFT : 0);
        ir_val wide = widen(t, v), n = ir_zext(t->b, IR_I32, c.v);
        r = tr_call(t, &h_rotate_carry, wide, cf, tr_c32(t, what), n);
        new_cf = ir_trunc(t->b, IR_I32,
                          tr_call(t, &h_rotate_carry, wide, cf, tr_c32(t, what | RC_CARRY), n));
    }
    r = ir_trunc(t->b, tr_type(i->opsize), r);
    tr_rmw_end(t, i, &m, r);
    rotate_flags(t, &c, i->opsize, r, new_cf, left);
    return true;
}

bool tr_rcl(struct tr *t, const struct x86_insn *i)
{
    return rotate_through(t, i, true);
}
bool tr_rcr(struct tr *t, const struct x86_insn *i)
{
    return rotate_through(t, i, false);
}
