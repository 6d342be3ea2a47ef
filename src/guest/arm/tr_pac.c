/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A64 instructions of FEAT_PAuth. */
#include "guest/arm/tr_pac.h"
#include "guest/arm/insn.h"

static const struct helper h_add = { "a64_pac_add", (helper_fn *)a64_pac_add, "i64 i64 i64 i64",
                                     HELPER_PURE };
static const struct helper h_auth = { "a64_pac_auth", (helper_fn *)a64_pac_auth, "i64 i64 i64 i64",
                                      HELPER_PURE };
static const struct helper h_strip = { "a64_pac_strip", (helper_fn *)a64_pac_strip, "i64 i64",
                                       HELPER_PURE };
static const struct helper h_pacga = { "a64_pacga", (helper_fn *)a64_pacga, "i64 i64 i64",
                                       HELPER_PURE };

ir_val tr_pac_add(struct tr *t, enum a64_pac_key key, ir_val x, ir_val modifier)
{
    return tr_call(t, &h_add, x, modifier, tr_c64(t, key), IR_NO_VAL);
}

ir_val tr_pac_auth(struct tr *t, enum a64_pac_key key, ir_val x, ir_val modifier)
{
    return tr_call(t, &h_auth, x, modifier, tr_c64(t, key), IR_NO_VAL);
}

ir_val tr_pac_strip(struct tr *t, ir_val x)
{
    return tr_call(t, &h_strip, x, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
}

bool tr_pacga(struct tr *t, const struct arg_rrr *a)
{
    tr_set_reg(t, true, (unsigned)a->rd,
               tr_call(t, &h_pacga, tr_reg(t, true, (unsigned)a->rn),
                       tr_reg_sp(t, true, (unsigned)a->rm), IR_NO_VAL, IR_NO_VAL));
    return true;
}

/* PACIA to AUTDB, and with Z the forms with modifier 0. what: bit 2 AUT, bit 1 data, bit 0 key B.
 */
bool tr_pac(struct tr *t, const struct arg_pac *a)
{
    enum a64_pac_key key = (enum a64_pac_key)(a->pac & 3);
    ir_val v, modifier;

    if (a->z && a->rn != 31)
        return false;
    v = tr_reg(t, true, (unsigned)a->rd);
    modifier = a->z ? tr_c64(t, 0) : tr_reg_sp(t, true, (unsigned)a->rn);
    v = a->pac & 4 ? tr_pac_auth(t, key, v, modifier) : tr_pac_add(t, key, v, modifier);
    tr_set_reg(t, true, (unsigned)a->rd, v);
    return true;
}

bool tr_xpac(struct tr *t, const struct arg_rkeym *a)
{
    tr_set_reg(t, true, (unsigned)a->rm, tr_pac_strip(t, tr_reg(t, true, (unsigned)a->rm)));
    return true;
}
