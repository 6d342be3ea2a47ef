/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads, stores and atomics. Misaligned loads and stores just work; atomics must be aligned. The
 * host's order of memory accesses is stronger than RVWMO but for a load that overtakes an older
 * store, so that only fences between those are real ones; locked host instructions are fences
 * themselves, which makes every AMO and SC aq and rl.
 *
 * A reservation is the address and the value that LR loaded; SC is a compare and swap with it.
 */
#include "guest/riscv/rv_insn.h"
#include "guest/riscv/tr.h"

bool tr_load(struct tr *t, const struct arg_ld *a)
{
    unsigned mem = (unsigned)a->sz | (a->s ? IR_MEM_SIGN : 0);

    rv_set_x(t, a->rd, ir_ld(t->b, IR_I64, rv_x(t, a->rs1), a->imm, mem));
    return true;
}

bool tr_store(struct tr *t, const struct arg_st *a)
{
    ir_st(t->b, rv_x(t, a->rs1), a->imm, rv_x(t, a->rs2), (unsigned)a->sz);
    return true;
}

/* ---- atomics ---- */

static void check_aligned(struct tr *t, const struct arg_amo *a, enum rv_cause cause)
{
    rv_raise_if(t, IR_TST, rv_x(t, a->rs1), rv_c64(t, (1 << a->sz) - 1), cause, (unsigned)a->rs1);
}

/* A register in the access's type, and a result back as the register gets it. */
static ir_val sized(struct tr *t, const struct arg_amo *a, unsigned reg)
{
    return a->sz == 2 ? rv_w(t, reg) : rv_x(t, reg);
}

static ir_val extended(struct tr *t, ir_val v)
{
    return ir_sext(t->b, IR_I64, v);
}

/* On devices (slow mode of a system) there is one processor and nobody comes between; in user mode
 * memory is memory. */
static bool plain(const struct tr *t)
{
    return t->req->slow && !t->req->user;
}

bool tr_lr(struct tr *t, const struct arg_amo *a)
{
    ir_val addr, v;

    check_aligned(t, a, RV_LOAD_MISALIGNED);
    addr = rv_x(t, a->rs1);
    v = ir_ld(t->b, IR_I64, addr, 0, (unsigned)a->sz | IR_MEM_SIGN);
    ir_put(t->b, RV_SLOT_LR_ADDR, addr);
    ir_put(t->b, RV_SLOT_LR_VALUE, v);
    rv_set_x(t, a->rd, v);
    return true;
}

static ir_val swap_if_equal(struct tr *t, ir_val addr, ir_val expect, ir_val v, unsigned sz)
{
    ir_val old, now;

    if (!plain(t))
        return ir_atomic(t->b, IR_AT_CAS, addr, expect, v);
    old = ir_ld(t->b, ir_type_of(t->b, v), addr, 0, sz);
    now = ir_select(t->b, IR_EQ, old, expect, v, old);
    ir_st(t->b, addr, 0, now, sz);
    return old;
}

bool tr_sc(struct tr *t, const struct arg_amo *a)
{
    unsigned fail = ir_new_label(t->b), end = ir_new_label(t->b);
    enum ir_type type = a->sz == 2 ? IR_I32 : IR_I64;
    ir_val expect, old;

    check_aligned(t, a, RV_STORE_MISALIGNED);
    ir_brcond(t->b, IR_NE, rv_x(t, a->rs1), ir_get(t->b, RV_SLOT_LR_ADDR), fail);
    expect = ir_get_low(t->b, RV_SLOT_LR_VALUE, type);
    old = swap_if_equal(t, rv_x(t, a->rs1), expect, sized(t, a, a->rs2), (unsigned)a->sz);
    ir_put(t->b, RV_SLOT_LR_ADDR, rv_c64(t, -1));
    rv_set_x(t, a->rd, ir_setcond(t->b, IR_I64, IR_NE, old, expect));
    ir_br(t->b, end);
    ir_label(t->b, fail);
    ir_put(t->b, RV_SLOT_LR_ADDR, rv_c64(t, -1));
    rv_set_x(t, a->rd, rv_c64(t, 1));
    ir_label(t->b, end);
    return true;
}

bool tr_amo(struct tr *t, const struct arg_amo *a)
{
    static const uint16_t atomic[] = { IR_AT_XCHG, IR_AT_ADD, IR_AT_XOR, IR_AT_AND, IR_AT_OR };
    static const uint16_t simple[] = { IR_COPY, IR_ADD, IR_XOR, IR_AND, IR_OR };
    ir_val addr, v, old;

    check_aligned(t, a, RV_STORE_MISALIGNED);
    addr = rv_x(t, a->rs1);
    v = sized(t, a, a->rs2);
    if (plain(t)) {
        old = ir_ld(t->b, ir_type_of(t->b, v), addr, 0, (unsigned)a->sz);
        ir_st(t->b, addr, 0, a->op ? ir_op2(t->b, (enum ir_op)simple[a->op], old, v) : v,
              (unsigned)a->sz);
    } else {
        old = ir_atomic(t->b, (enum ir_op)atomic[a->op], addr, v, IR_NO_VAL);
    }
    rv_set_x(t, a->rd, extended(t, old));
    return true;
}

/* The old value goes on in a slot of its own: rd may be one of the sources, which are read again
 * when another processor came between. */
bool tr_amo_minmax(struct tr *t, const struct arg_amo *a)
{
    static const uint8_t keep[] = { IR_LTS, IR_GES, IR_LTU, IR_GEU };
    unsigned again = ir_new_label(t->b);
    ir_val addr, v, old, now, seen;

    check_aligned(t, a, RV_STORE_MISALIGNED);
    ir_label(t->b, again);
    addr = rv_x(t, a->rs1);
    v = sized(t, a, a->rs2);
    old = ir_ld(t->b, ir_type_of(t->b, v), addr, 0, (unsigned)a->sz);
    now = ir_select(t->b, (enum ir_cond)keep[a->op], old, v, old, v);
    seen = swap_if_equal(t, addr, old, now, (unsigned)a->sz);
    ir_put(t->b, RV_SLOT_TMP, extended(t, old));
    ir_brcond(t->b, IR_NE, seen, old, again);
    rv_set_x(t, a->rd, ir_get(t->b, RV_SLOT_TMP));
    return true;
}

/* ---- fences, cache blocks ---- */

bool tr_fence(struct tr *t, const struct arg_fence *a)
{
    enum { W = 1, R = 2, O = 4, I = 8, TSO = 8 };

    if (a->fm != TSO && a->pred & (W | O) && a->succ & (R | I))
        ir_emit(t->b, IR_FENCE, IR_NONE, 0, 0, 0, 0, 0, 0, 0);
    return true;
}

/* Writes to code are always seen; only code of this region, already translated, must not run on. */
bool tr_fence_i(struct tr *t)
{
    if (!tr_has(t, RV_EXT_Zifencei))
        return false;
    rv_end_next(t);
    return true;
}

enum { CACHE_BLOCK = 64 };

bool tr_cbo_zero(struct tr *t, const struct arg_cbo *a)
{
    ir_val addr = ir_andi(t->b, rv_x(t, a->rs1), -CACHE_BLOCK);

    for (int32_t at = 0; at < CACHE_BLOCK; at += 8)
        ir_st(t->b, addr, at, rv_c64(t, 0), 3);
    return true;
}

/* Caches of this computer are coherent; what is left is that the block must be mapped. */
static bool touch(struct tr *t, const struct arg_cbo *a)
{
    (void)ir_ld(t->b, IR_I64, rv_x(t, a->rs1), 0, 0);
    return true;
}

bool tr_cbo_inval(struct tr *t, const struct arg_cbo *a)
{
    return touch(t, a);
}
bool tr_cbo_clean(struct tr *t, const struct arg_cbo *a)
{
    return touch(t, a);
}
bool tr_cbo_flush(struct tr *t, const struct arg_cbo *a)
{
    return touch(t, a);
}
