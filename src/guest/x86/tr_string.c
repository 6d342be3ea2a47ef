/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MOVS, STOS, LODS, CMPS, SCAS. One element is translated inline; with REP a helper (help_string.c)
 * does as much as it can and says whether it finished; if not, the region leaves with the pc on the
 * instruction, so that interrupts are taken between elements. INS and OUTS are in tr_sys*.c.
 */
#include "guest/x86/help_string.h"
#include "guest/x86/tr_core.h"
#include "guest/x86/x86_tr.h"

/* Linear address of [seg:reg], reg cut to the address size. */
static ir_val string_addr(struct tr *t, const struct x86_insn *i, unsigned seg, unsigned reg,
                          enum cpu_access access)
{
    return tr_seg_addr(t, seg, ir_zext(t->b, IR_I64, tr_reg(t, i->addrsize, reg)), i->opsize,
                       access);
}

static ir_val source_addr(struct tr *t, const struct x86_insn *i)
{
    return string_addr(t, i, i->mem.seg, X86_RSI, CPU_READ);
}

static ir_val dest_addr(struct tr *t, const struct x86_insn *i, enum cpu_access access)
{
    return string_addr(t, i, X86_ES, X86_RDI, access);
}

/* reg += size or -= size by DF. The DF slot is 0 or 0x400. */
static void advance(struct tr *t, const struct x86_insn *i, unsigned reg)
{
    enum ir_type type = tr_type(i->addrsize);
    ir_val twice = ir_shri(t->b, ir_get(t->b, X86_SLOT_DF), 9 - tr_log2(i->opsize));
    ir_val step = ir_sub(t->b, tr_c32(t, i->opsize), twice);

    step = i->addrsize == 2 ? ir_trunc(t->b, type, step) : ir_sext(t->b, type, step);
    tr_set_reg(t, i->addrsize, reg, ir_add(t->b, tr_reg(t, i->addrsize, reg), step));
}

static bool repeat(struct tr *t, const struct x86_insn *i, const struct helper *h)
{
    unsigned done = ir_new_label(t->b);
    uint32_t what = tr_log2(i->opsize) | tr_log2(i->addrsize) << STRING_ADDR_SHIFT |
                    (uint32_t)i->mem.seg << STRING_SEG_SHIFT | (i->rep == 0xf2 ? STRING_REPNE : 0) |
                    (t->mode & X86_MODE_TF ? STRING_ONE : 0) | (t->code == 64 ? STRING_CODE64 : 0);

    ir_brcondi(t->b, IR_NE,
               tr_call(t, h, tr_c32(t, (int32_t)what), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL), 0, done);
    if (t->mode & X86_MODE_TF) {
        tr_jump(t, t->pc);
    } else {
        tr_sync_rip(t, t->pc);
        ir_exit_loop(t->b, IR_REASON_IRQ);
    }
    ir_label(t->b, done);
    tr_jump(t, t->next_pc);
    return true;
}

bool tr_movs(struct tr *t, const struct x86_insn *i)
{
    if (i->rep)
        return repeat(t, i, &x86_h_rep_movs);
    ir_val v = tr_load(t, tr_type(i->opsize), source_addr(t, i), tr_log2(i->opsize));
    tr_store(t, dest_addr(t, i, CPU_WRITE), v, tr_log2(i->opsize));
    advance(t, i, X86_RSI);
    advance(t, i, X86_RDI);
    return true;
}

bool tr_stos(struct tr *t, const struct x86_insn *i)
{
    if (i->rep)
        return repeat(t, i, &x86_h_rep_stos);
    tr_store(t, dest_addr(t, i, CPU_WRITE), tr_reg(t, i->opsize, X86_RAX), tr_log2(i->opsize));
    advance(t, i, X86_RDI);
    return true;
}

bool tr_lods(struct tr *t, const struct x86_insn *i)
{
    if (i->rep)
        return repeat(t, i, &x86_h_rep_lods);
    tr_set_reg(t, i->opsize, X86_RAX,
               tr_load(t, tr_type(i->opsize), source_addr(t, i), tr_log2(i->opsize)));
    advance(t, i, X86_RSI);
    return true;
}

bool tr_cmps(struct tr *t, const struct x86_insn *i)
{
    if (i->rep)
        return repeat(t, i, &x86_h_rep_cmps);
    ir_val a = tr_load(t, tr_type(i->opsize), source_addr(t, i), tr_log2(i->opsize));
    ir_val b = tr_load(t, tr_type(i->opsize), dest_addr(t, i, CPU_READ), tr_log2(i->opsize));
    advance(t, i, X86_RSI);
    advance(t, i, X86_RDI);
    tr_cc(t, X86_CC_SUB, i->opsize, a, b, IR_NO_VAL);
    return true;
}

bool tr_scas(struct tr *t, const struct x86_insn *i)
{
    if (i->rep)
        return repeat(t, i, &x86_h_rep_scas);
    ir_val b = tr_load(t, tr_type(i->opsize), dest_addr(t, i, CPU_READ), tr_log2(i->opsize));
    ir_val a = tr_reg(t, i->opsize, X86_RAX);
    advance(t, i, X86_RDI);
    tr_cc(t, X86_CC_SUB, i->opsize, a, b, IR_NO_VAL);
    return true;
}
