/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses and accesses in the A64 translator. */
#include "guest/arm/tr.h"

ir_val tr_base(struct tr *t, unsigned rn)
{
    return tr_reg_sp(t, true, rn);
}

/* Xm or Wm extended by option (UXTW, LSL, SXTW, SXTX) << shift. */
static ir_val index_value(struct tr *t, unsigned rm, unsigned option, unsigned shift)
{
    ir_val v;

    if (option & 1)
        v = tr_reg(t, true, rm);
    else if (option & 4)
        v = ir_sext(t->b, IR_I64, tr_reg(t, false, rm));
    else
        v = ir_zext(t->b, IR_I64, tr_reg(t, false, rm));
    return ir_shli(t->b, v, shift);
}

ir_val tr_base_index(struct tr *t, unsigned rn, unsigned rm, unsigned option, unsigned shift)
{
    ir_val base = tr_base(t, rn);

    if (shift > 3)
        return ir_add(t->b, base, index_value(t, rm, option, shift));
    return ir_lea(t->b, base, index_value(t, rm, option, 0), shift, 0);
}

/* As a memory operand: base and displacement. */
static ir_val operand(struct tr *t, ir_val addr, int64_t disp, int32_t *ret_disp)
{
    *ret_disp = 0;
    if (t->mode & A64_MODE_TAGS)
        return tr_addr(t, addr, disp);
    if (disp != (int32_t)disp)
        return ir_addi(t->b, addr, disp);
    *ret_disp = (int32_t)disp;
    return addr;
}

ir_val tr_addr(struct tr *t, ir_val addr, int64_t disp)
{
    addr = ir_addi(t->b, addr, disp);
    if (!(t->mode & A64_MODE_TAGS))
        return addr;
    return ir_sari(t->b, ir_shli(t->b, addr, 8), 8);
}

ir_val tr_load(struct tr *t, enum ir_type type, ir_val addr, int64_t disp, unsigned mem)
{
    int32_t d;
    ir_val a = operand(t, addr, disp, &d);

    return ir_ld(t->b, type, a, d, mem);
}

void tr_store(struct tr *t, ir_val addr, int64_t disp, ir_val v, unsigned mem)
{
    int32_t d;
    ir_val a = operand(t, addr, disp, &d);

    ir_st(t->b, a, d, v, mem);
}

void tr_writeback(struct tr *t, unsigned rn, ir_val base, int64_t disp)
{
    tr_set_reg_sp(t, true, rn, ir_addi(t->b, base, disp));
}
