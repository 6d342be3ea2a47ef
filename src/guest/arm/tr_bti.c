/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Branch targets (FEAT_BTI). Branches to a register note their kind in PSTATE.BTYPE; where a region
 * of a guarded page begins, the first instruction must be one that takes the kind. All this is only
 * translated once a guarded page has been entered (A64_MODE_BTI): few programs have any.
 */
#include "guest/arm/insn.h"
#include "guest/arm/tr.h"

static void do_guard_on(struct a64_cpu *x)
{
    x->guard = 1;
    cpu_mode_changed(&x->c);
}

static const struct helper h_guard_on = { "a64_guard_on", (helper_fn *)do_guard_on, "-",
                                          HELPER_NO_RAISE };

bool tr_bti_begin(struct tr *t)
{
    struct cpu *cpu = (struct cpu *)&t->a->c;

    if (!tr_has(t, A64_FEAT_BTI) || !t->req->user)
        return true;
    t->guarded = cpu_page_guarded(cpu, t->pc);
    if (!t->guarded || t->mode & A64_MODE_BTI)
        return true;
    ir_insn_start(t->b, t->pc);
    tr_call(t, &h_guard_on, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    ir_put(t->b, A64_SLOT_PC, tr_c64(t, (int64_t)t->pc));
    ir_exit_loop(t->b, IR_REASON_NEXT);
    return false;
}

/* Bit n: BTYPE n may not come to this instruction. */
static unsigned refused(uint32_t w)
{
    enum { HINT = 0xd503201f, BRK = 0xd4200000, HLT = 0xd4400000, EXCEPTION = 0xffe0001f };

    switch (w) {
    case HINT | 34 << 5: /* BTI c */
    case HINT | 25 << 5: /* PACIASP, PACIBSP: the same, as SCTLR_EL1.BT0 is 1 */
    case HINT | 27 << 5: return 1 << 3;
    case HINT | 36 << 5: return 1 << 2; /* BTI j */
    case HINT | 38 << 5: return 0;      /* BTI jc */
    default: break;
    }
    if ((w & EXCEPTION) == BRK || (w & EXCEPTION) == HLT)
        return 0;
    return 1 << 1 | 1 << 2 | 1 << 3;
}

void tr_bti_check(struct tr *t, uint32_t word)
{
    if (!(t->mode & A64_MODE_BTI))
        return;
    if (t->guarded && refused(word)) {
        ir_val kind = ir_shl(t->b, tr_c32(t, 1), ir_get(t->b, A64_SLOT_BTYPE));

        tr_raise_if(t, IR_TST, kind, tr_c32(t, (int32_t)refused(word)), A64_EXC_BTI);
    }
    ir_put(t->b, A64_SLOT_BTYPE, tr_c32(t, 0));
}

void tr_bti_branch(struct tr *t, bool call, unsigned rn)
{
    unsigned kind = call ? 2 : rn == 16 || rn == 17 || !t->guarded ? 1 : 3;

    if (t->mode & A64_MODE_BTI)
        ir_put(t->b, A64_SLOT_BTYPE, tr_c32(t, (int32_t)kind));
}
