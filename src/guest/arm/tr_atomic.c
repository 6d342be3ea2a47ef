/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A64 exclusive, ordered and atomic accesses, and barriers. The host's order (x86-64) forbids all
 * that Arm's release and acquire forbid but a load moving before an earlier store: stores that
 * release are exchanges. Exclusives compare by value: a store-exclusive is a compare-and-swap with
 * what the load-exclusive read.
 */
#include "guest/arm/insn.h"
#include "guest/arm/tr_int.h"

static const uint8_t int_type[4] = { IR_I8, IR_I16, IR_I32, IR_I64 };

static ir_val addr_of(struct tr *t, int32_t rn)
{
    return tr_addr(t, tr_base(t, (unsigned)rn), 0);
}

/* Rt's low part, of the access's type. */
static ir_val operand(struct tr *t, unsigned size, int32_t reg)
{
    return ir_trunc(t->b, (enum ir_type)int_type[size], tr_reg(t, true, (unsigned)reg));
}

static void set_result(struct tr *t, int32_t reg, ir_val v)
{
    tr_set_reg(t, true, (unsigned)reg, ir_zext(t->b, IR_I64, v));
}

/* ir_atomic; in slow mode (device memory) a load and a store: such a vCPU runs alone. */
static ir_val atomic(struct tr *t, enum ir_op op, ir_val addr, ir_val b, ir_val c)
{
    enum ir_type type = ir_type_of(t->b, b);
    unsigned log2 = (unsigned)type - IR_I8;
    ir_val old, v;

    if (!t->req->slow || t->req->user)
        return ir_atomic(t->b, op, addr, b, c);
    old = ir_ld(t->b, type, addr, 0, log2);
    switch (op) {
    case IR_AT_XCHG: v = b; break;
    case IR_AT_ADD: v = ir_add(t->b, old, b); break;
    case IR_AT_AND: v = ir_and(t->b, old, b); break;
    case IR_AT_OR: v = ir_or(t->b, old, b); break;
    case IR_AT_XOR: v = ir_xor(t->b, old, b); break;
    default: v = ir_select(t->b, IR_EQ, old, b, c, old); break;
    }
    ir_st(t->b, addr, 0, v, log2);
    return old;
}

/* Atomics must be aligned; with FEAT_LSE2 they must not cross 16 bytes. Ends the IR block. */
static void check_aligned(struct tr *t, int32_t rn, unsigned size)
{
    ir_val addr;

    if (!size)
        return;
    addr = tr_base(t, (unsigned)rn);
    if (tr_has(t, A64_FEAT_LSE2) && size < 4)
        tr_raise_align(t, IR_GTU, ir_andi(t->b, addr, 15), tr_c64(t, 16 - (1 << size)),
                       (unsigned)rn);
    else
        tr_raise_align(t, IR_TST, addr, tr_c64(t, (1 << size) - 1), (unsigned)rn);
}

/* ---- exclusives ---- */

static void watch(struct tr *t, ir_val addr, ir_val lo, ir_val hi)
{
    ir_put(t->b, A64_SLOT_EXCL_ADDR, addr);
    ir_put(t->b, A64_SLOT_EXCL_LO, ir_zext(t->b, IR_I64, lo));
    if (hi)
        ir_put(t->b, A64_SLOT_EXCL_HI, hi);
}

bool tr_ldxr(struct tr *t, const struct arg_ex *a)
{
    ir_val addr = addr_of(t, a->rn);
    ir_val v = ir_ld(t->b, tr_type(a->size == 3), addr, 0, (unsigned)a->size | IR_MEM_ALIGN);

    watch(t, addr, v, IR_NO_VAL);
    tr_set_reg(t, a->size == 3, (unsigned)a->rt, v);
    return true;
}

bool tr_ldxp(struct tr *t, const struct arg_ex *a)
{
    ir_val addr = addr_of(t, a->rn), v, lo, hi;

    if (a->size == 2) {
        v = ir_ld(t->b, IR_I64, addr, 0, 3 | IR_MEM_ALIGN);
        watch(t, addr, v, IR_NO_VAL);
        tr_set_reg(t, false, (unsigned)a->rt, ir_trunc(t->b, IR_I32, v));
        tr_set_reg(t, true, (unsigned)a->rt2, ir_shri(t->b, v, 32));
        return true;
    }
    v = ir_ld(t->b, IR_V128, addr, 0, 4 | IR_MEM_ALIGN);
    lo = ir_vtoi(t->b, IR_I64, v);
    hi = ir_vop1(t->b, IR_VEXTRACT, IR_I64, v, 1);
    watch(t, addr, lo, hi);
    tr_set_reg(t, true, (unsigned)a->rt, lo);
    tr_set_reg(t, true, (unsigned)a->rt2, hi);
    return true;
}

static void forget(struct tr *t)
{
    ir_put(t->b, A64_SLOT_EXCL_ADDR, tr_c64(t, -1));
}

/* The store's common part: 1 to Rs when the monitor is elsewhere. `store` gives the status, i32. */
static void store_exclusive(struct tr *t, const struct arg_ex *a,
                            ir_val (*store)(struct tr *t, const struct arg_ex *a))
{
    unsigned fail = ir_new_label(t->b), end = ir_new_label(t->b);

    ir_brcond(t->b, IR_NE, ir_get(t->b, A64_SLOT_EXCL_ADDR), addr_of(t, a->rn), fail);
    tr_set_reg(t, false, (unsigned)a->rs, store(t, a));
    forget(t);
    ir_br(t->b, end);
    ir_label(t->b, fail);
    tr_set_reg(t, false, (unsigned)a->rs, tr_c32(t, 1));
    forget(t);
    ir_label(t->b, end);
    t->block_start = (ir_val)t->b->count;
}

static ir_val store_one(struct tr *t, const struct arg_ex *a)
{
    ir_val seen = ir_get_low(t->b, A64_SLOT_EXCL_LO, (enum ir_type)int_type[a->size]);
    ir_val old =
        atomic(t, IR_AT_CAS, addr_of(t, a->rn), seen, operand(t, (unsigned)a->size, a->rt));

    return ir_setcond(t->b, IR_I32, IR_NE, old, seen);
}

bool tr_stxr(struct tr *t, const struct arg_ex *a)
{
    store_exclusive(t, a, store_one);
    return true;
}

/* Wt in the low half, Wt2 in the high half. */
static ir_val joined(struct tr *t, int32_t lo, int32_t hi)
{
    ir_val high = ir_shli(t->b, tr_reg(t, true, (unsigned)hi), 32);

    return ir_or(t->b, ir_zext(t->b, IR_I64, tr_reg(t, false, (unsigned)lo)), high);
}

static uint64_t do_stxp(struct a64_cpu *x, uint64_t addr, uint64_t lo, uint64_t hi)
{
    uint64_t expect[2] = { x->excl_lo, x->excl_hi }, want[2] = { lo, hi };

    return !cpu_cas16(&x->c, addr, expect, want);
}

static const struct helper h_stxp = { "a64_stxp", (helper_fn *)do_stxp, "i32 i64 i64 i64", 0 };

static ir_val store_two(struct tr *t, const struct arg_ex *a)
{
    ir_val seen, old;

    if (a->size == 3)
        return tr_call(t, &h_stxp, addr_of(t, a->rn), tr_reg(t, true, (unsigned)a->rt),
                       tr_reg(t, true, (unsigned)a->rt2), IR_NO_VAL);
    seen = ir_get(t->b, A64_SLOT_EXCL_LO);
    old = atomic(t, IR_AT_CAS, addr_of(t, a->rn), seen, joined(t, a->rt, a->rt2));
    return ir_setcond(t->b, IR_I32, IR_NE, old, seen);
}

bool tr_stxp(struct tr *t, const struct arg_ex *a)
{
    store_exclusive(t, a, store_two);
    return true;
}

bool tr_clrex(struct tr *t, const struct arg_crm *a)
{
    forget(t);
    return true;
}

/* ---- ordered ---- */

/* Loads that acquire must be aligned; FEAT_LSE2 relaxes that. */
static unsigned acquire(const struct tr *t, int32_t size)
{
    return (unsigned)size | (tr_has(t, A64_FEAT_LSE2) ? 0u : IR_MEM_ALIGN);
}

bool tr_ldar(struct tr *t, const struct arg_ex *a)
{
    ir_val v =
        tr_load(t, tr_type(a->size == 3), tr_base(t, (unsigned)a->rn), 0, acquire(t, a->size));

    tr_set_reg(t, a->size == 3, (unsigned)a->rt, v);
    return true;
}

bool tr_stlr(struct tr *t, const struct arg_ex *a)
{
    if (!tr_has(t, A64_FEAT_LSE2))
        check_aligned(t, a->rn, (unsigned)a->size);
    atomic(t, IR_AT_XCHG, addr_of(t, a->rn), operand(t, (unsigned)a->size, a->rt), IR_NO_VAL);
    return true;
}

bool tr_ldapr(struct tr *t, const struct arg_atom *a)
{
    ir_val v =
        tr_load(t, tr_type(a->size == 3), tr_base(t, (unsigned)a->rn), 0, acquire(t, a->size));

    tr_set_reg(t, a->size == 3, (unsigned)a->rt, v);
    return true;
}

bool tr_stlur(struct tr *t, const struct arg_ls9 *a)
{
    atomic(t, IR_AT_XCHG, tr_addr(t, tr_base(t, (unsigned)a->rn), a->imm),
           operand(t, (unsigned)a->size, a->rt), IR_NO_VAL);
    return true;
}

bool tr_ldapur(struct tr *t, const struct arg_ls9 *a)
{
    ir_val v =
        tr_load(t, tr_type(a->size == 3), tr_base(t, (unsigned)a->rn), a->imm, (unsigned)a->size);

    tr_set_reg(t, a->size == 3, (unsigned)a->rt, v);
    return true;
}

bool tr_ldapurs(struct tr *t, const struct arg_ls9 *a)
{
    bool sf = a->opc == 2;

    if (a->size == 3 || (a->size == 2 && !sf))
        return false;
    tr_set_reg(t, sf, (unsigned)a->rt,
               tr_load(t, tr_type(sf), tr_base(t, (unsigned)a->rn), a->imm,
                       (unsigned)a->size | IR_MEM_SIGN));
    return true;
}

/* ---- FEAT_LSE ---- */

static bool fetch_op(struct tr *t, const struct arg_atom *a, enum ir_op op, bool invert)
{
    ir_val b;

    check_aligned(t, a->rn, (unsigned)a->size);
    b = operand(t, (unsigned)a->size, a->rs);
    if (invert)
        b = ir_not(t->b, b);
    set_result(t, a->rt, atomic(t, op, addr_of(t, a->rn), b, IR_NO_VAL));
    return true;
}

bool tr_ldadd(struct tr *t, const struct arg_atom *a)
{
    return fetch_op(t, a, IR_AT_ADD, false);
}

bool tr_ldclr(struct tr *t, const struct arg_atom *a)
{
    return fetch_op(t, a, IR_AT_AND, true);
}

bool tr_ldeor(struct tr *t, const struct arg_atom *a)
{
    return fetch_op(t, a, IR_AT_XOR, false);
}

bool tr_ldset(struct tr *t, const struct arg_atom *a)
{
    return fetch_op(t, a, IR_AT_OR, false);
}

bool tr_swp(struct tr *t, const struct arg_atom *a)
{
    return fetch_op(t, a, IR_AT_XCHG, false);
}

/* The greater or lesser of both: a compare-and-swap until nobody came between. */
static bool fetch_pick(struct tr *t, const struct arg_atom *a, enum ir_cond keep_old)
{
    unsigned again = ir_new_label(t->b), size = (unsigned)a->size;
    ir_val addr, old, b, seen;

    check_aligned(t, a->rn, size);
    ir_label(t->b, again);
    addr = addr_of(t, a->rn);
    b = operand(t, size, a->rs);
    old = ir_ld(t->b, (enum ir_type)int_type[size], addr, 0, size);
    seen = atomic(t, IR_AT_CAS, addr, old, ir_select(t->b, keep_old, old, b, old, b));
    ir_put(t->b, A64_SLOT_TMP, ir_zext(t->b, IR_I64, seen));
    ir_brcond(t->b, IR_NE, seen, old, again);
    t->block_start = (ir_val)t->b->count;
    tr_set_reg(t, true, (unsigned)a->rt, ir_get(t->b, A64_SLOT_TMP));
    return true;
}

bool tr_ldsmax(struct tr *t, const struct arg_atom *a)
{
    return fetch_pick(t, a, IR_GTS);
}

bool tr_ldsmin(struct tr *t, const struct arg_atom *a)
{
    return fetch_pick(t, a, IR_LTS);
}

bool tr_ldumax(struct tr *t, const struct arg_atom *a)
{
    return fetch_pick(t, a, IR_GTU);
}

bool tr_ldumin(struct tr *t, const struct arg_atom *a)
{
    return fetch_pick(t, a, IR_LTU);
}

bool tr_cas(struct tr *t, const struct arg_cas *a)
{
    unsigned size = (unsigned)a->size;

    check_aligned(t, a->rn, size);
    set_result(
        t, a->rs,
        atomic(t, IR_AT_CAS, addr_of(t, a->rn), operand(t, size, a->rs), operand(t, size, a->rt)));
    return true;
}

static void do_casp(struct a64_cpu *x, uint64_t addr, uint64_t rs, uint64_t rt)
{
    uint64_t zero = 0, *hi = rs == 30 ? &zero : &x->x[rs + 1];
    uint64_t expect[2] = { x->x[rs], *hi }, want[2] = { x->x[rt], rt == 30 ? 0 : x->x[rt + 1] };

    cpu_cas16(&x->c, addr, expect, want);
    x->x[rs] = expect[0];
    *hi = expect[1];
}

static const struct helper h_casp = { "a64_casp", (helper_fn *)do_casp, "- i64 i64 i64", 0 };

bool tr_casp(struct tr *t, const struct arg_cas *a)
{
    ir_val old;

    if ((a->rs | a->rt) & 1)
        return false;
    check_aligned(t, a->rn, a->size ? 4 : 3);
    if (a->size) {
        tr_call(t, &h_casp, addr_of(t, a->rn), tr_c64(t, a->rs), tr_c64(t, a->rt), IR_NO_VAL);
        return true;
    }
    old = atomic(t, IR_AT_CAS, addr_of(t, a->rn), joined(t, a->rs, a->rs + 1),
                 joined(t, a->rt, a->rt + 1));
    tr_set_reg(t, false, (unsigned)a->rs, ir_trunc(t->b, IR_I32, old));
    tr_set_reg(t, true, (unsigned)a->rs + 1, ir_shri(t->b, old, 32));
    return true;
}

/* ---- barriers ---- */

/* Types LD (1) and ST (2) in CRm's low bits order what the host orders anyway. */
static void barrier(struct tr *t, int32_t crm)
{
    if ((crm & 3) != 1 && (crm & 3) != 2)
        ir_emit(t->b, IR_FENCE, IR_NONE, 0, 0, 0, 0, 0, 0, 0);
}

bool tr_dmb(struct tr *t, const struct arg_crm *a)
{
    barrier(t, a->crm);
    return true;
}

bool tr_dsb(struct tr *t, const struct arg_crm *a)
{
    barrier(t, a->crm);
    return true;
}

bool tr_sb(struct tr *t, const struct arg_none *a)
{
    return true;
}
