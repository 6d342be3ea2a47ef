/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A64 loads and stores of general registers, but for exclusive and ordered ones (tr_atomic.c). */
#include "guest/arm/insn.h"
#include "guest/arm/tr_int.h"
#include "guest/arm/tr_pac.h"

/* ---- one register ---- */

static ir_val load_zero(struct tr *t, unsigned size, ir_val addr, int64_t disp)
{
    return tr_load(t, tr_type(size == 3), addr, disp, size);
}

/* What opc 2 and 3 of the signed loads mean. */
static bool signed_type(unsigned size, unsigned opc, bool *ret_sf)
{
    *ret_sf = opc == 2;
    return size < 2 || (size == 2 && opc == 2);
}

static ir_val load_signed(struct tr *t, unsigned size, bool sf, ir_val addr, int64_t disp)
{
    return tr_load(t, tr_type(sf), addr, disp, size | IR_MEM_SIGN);
}

static ir_val store_value(struct tr *t, unsigned size, unsigned rt)
{
    return tr_reg(t, size == 3, rt);
}

/* idx: 0 unscaled, 1 post-index, 2 unprivileged, 3 pre-index */
static int64_t disp_of(const struct arg_ls9 *a)
{
    return a->idx == 1 ? 0 : a->imm;
}

static void write_base(struct tr *t, const struct arg_ls9 *a, ir_val base)
{
    if (a->idx & 1)
        tr_writeback(t, (unsigned)a->rn, base, a->imm);
}

bool tr_str_9(struct tr *t, const struct arg_ls9 *a)
{
    ir_val base = tr_base(t, (unsigned)a->rn);

    tr_store(t, base, disp_of(a), store_value(t, (unsigned)a->size, (unsigned)a->rt),
             (unsigned)a->size);
    write_base(t, a, base);
    return true;
}

bool tr_ldr_9(struct tr *t, const struct arg_ls9 *a)
{
    ir_val base = tr_base(t, (unsigned)a->rn);
    ir_val v = load_zero(t, (unsigned)a->size, base, disp_of(a));

    write_base(t, a, base); /* Rt == Rn with writeback: the loaded value stays */
    tr_set_reg(t, a->size == 3, (unsigned)a->rt, v);
    return true;
}

bool tr_ldrs_9(struct tr *t, const struct arg_ls9 *a)
{
    ir_val base, v;
    bool sf;

    if (a->size == 3) /* PRFUM */
        return a->opc == 2 && a->idx == 0;
    if (!signed_type((unsigned)a->size, (unsigned)a->opc, &sf))
        return false;
    base = tr_base(t, (unsigned)a->rn);
    v = load_signed(t, (unsigned)a->size, sf, base, disp_of(a));
    write_base(t, a, base);
    tr_set_reg(t, sf, (unsigned)a->rt, v);
    return true;
}

static ir_val indexed(struct tr *t, const struct arg_lsr *a)
{
    return tr_base_index(t, (unsigned)a->rn, (unsigned)a->rm, (unsigned)a->opt,
                         a->s ? (unsigned)a->size : 0);
}

bool tr_str_r(struct tr *t, const struct arg_lsr *a)
{
    if (!(a->opt & 2))
        return false;
    tr_store(t, indexed(t, a), 0, store_value(t, (unsigned)a->size, (unsigned)a->rt),
             (unsigned)a->size);
    return true;
}

bool tr_ldr_r(struct tr *t, const struct arg_lsr *a)
{
    if (!(a->opt & 2))
        return false;
    tr_set_reg(t, a->size == 3, (unsigned)a->rt, load_zero(t, (unsigned)a->size, indexed(t, a), 0));
    return true;
}

bool tr_ldrs_r(struct tr *t, const struct arg_lsr *a)
{
    bool sf;

    if (!(a->opt & 2))
        return false;
    if (a->size == 3) /* PRFM */
        return a->opc == 2;
    if (!signed_type((unsigned)a->size, (unsigned)a->opc, &sf))
        return false;
    tr_set_reg(t, sf, (unsigned)a->rt, load_signed(t, (unsigned)a->size, sf, indexed(t, a), 0));
    return true;
}

bool tr_str_12(struct tr *t, const struct arg_ls12 *a)
{
    tr_store(t, tr_base(t, (unsigned)a->rn), (int64_t)a->imm << a->size,
             store_value(t, (unsigned)a->size, (unsigned)a->rt), (unsigned)a->size);
    return true;
}

bool tr_ldr_12(struct tr *t, const struct arg_ls12 *a)
{
    ir_val v =
        load_zero(t, (unsigned)a->size, tr_base(t, (unsigned)a->rn), (int64_t)a->imm << a->size);

    tr_set_reg(t, a->size == 3, (unsigned)a->rt, v);
    return true;
}

bool tr_ldrs_12(struct tr *t, const struct arg_ls12 *a)
{
    ir_val v;
    bool sf;

    if (a->size == 3) /* PRFM */
        return a->opc == 2;
    if (!signed_type((unsigned)a->size, (unsigned)a->opc, &sf))
        return false;
    v = load_signed(t, (unsigned)a->size, sf, tr_base(t, (unsigned)a->rn),
                    (int64_t)a->imm << a->size);
    tr_set_reg(t, sf, (unsigned)a->rt, v);
    return true;
}

/* ---- literals ---- */

static ir_val literal(struct tr *t, const struct arg_lit *a)
{
    return tr_c64(t, (int64_t)(t->pc + (uint64_t)(int64_t)a->imm));
}

bool tr_ldr_lit(struct tr *t, const struct arg_lit *a)
{
    bool sf = t->insn >> 30 & 1;

    tr_set_reg(t, sf, (unsigned)a->rt, tr_load(t, tr_type(sf), literal(t, a), 0, sf ? 3 : 2));
    return true;
}

bool tr_ldrsw_lit(struct tr *t, const struct arg_lit *a)
{
    tr_set_reg(t, true, (unsigned)a->rt, tr_load(t, IR_I64, literal(t, a), 0, 2 | IR_MEM_SIGN));
    return true;
}

bool tr_prfm_lit(struct tr *t, const struct arg_lit *a)
{
    return true;
}

/* ---- pairs: mode 0 no-allocate, 1 post-index, 2 offset, 3 pre-index ---- */

static bool store_pair(struct tr *t, const struct arg_pair *a, unsigned size)
{
    int64_t imm = (int64_t)a->imm * (1 << size), disp = a->mode == 1 ? 0 : imm;
    ir_val base = tr_base(t, (unsigned)a->rn);

    tr_store(t, base, disp, store_value(t, size, (unsigned)a->rt), size);
    tr_store(t, base, disp + (1 << size), store_value(t, size, (unsigned)a->rt2), size);
    if (a->mode & 1)
        tr_writeback(t, (unsigned)a->rn, base, imm);
    return true;
}

static bool load_pair(struct tr *t, const struct arg_pair *a, bool sf, unsigned mem)
{
    unsigned size = mem & IR_MEM_SIZE;
    int64_t imm = (int64_t)a->imm * (1 << size), disp = a->mode == 1 ? 0 : imm;
    ir_val base = tr_base(t, (unsigned)a->rn), v, v2;

    v = tr_load(t, tr_type(sf), base, disp, mem);
    v2 = tr_load(t, tr_type(sf), base, disp + (1 << size), mem);
    if (a->mode & 1)
        tr_writeback(t, (unsigned)a->rn, base, imm);
    tr_set_reg(t, sf, (unsigned)a->rt, v);
    tr_set_reg(t, sf, (unsigned)a->rt2, v2);
    return true;
}

bool tr_stp(struct tr *t, const struct arg_pair *a)
{
    return store_pair(t, a, a->sf ? 3 : 2);
}

bool tr_ldp(struct tr *t, const struct arg_pair *a)
{
    return load_pair(t, a, a->sf, a->sf ? 3 : 2);
}

bool tr_ldpsw(struct tr *t, const struct arg_pair *a)
{
    return a->mode != 0 && load_pair(t, a, true, 2 | IR_MEM_SIGN);
}

/* ---- with a signed base address ---- */

bool tr_ldra(struct tr *t, const struct arg_ldra *a)
{
    ir_val base = tr_base(t, (unsigned)a->rn), v;

    base = tr_pac_auth(t, a->m ? A64_KEY_DB : A64_KEY_DA, base, tr_c64(t, 0));
    v = tr_load(t, IR_I64, base, a->imm, 3);
    if (a->wb)
        tr_writeback(t, (unsigned)a->rn, base, a->imm);
    tr_set_reg(t, true, (unsigned)a->rt, v);
    return true;
}
