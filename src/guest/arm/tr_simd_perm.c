/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Advanced SIMD: copies of elements, permutations, extraction, table lookups.
 */
#include "guest/arm/tr_simd.h"

/* ---- copy ---- */

/* imm5: the lowest one is the size, above it the index. False: reserved. */
static bool element(int imm5, unsigned *ret_size, unsigned *ret_index)
{
    if (!(imm5 & 15))
        return false;
    *ret_size = (unsigned)__builtin_ctz((unsigned)imm5);
    *ret_index = (unsigned)imm5 >> (*ret_size + 1);
    return true;
}

bool tr_dup_elem(struct tr *t, const struct arg_vcpy *a)
{
    unsigned size, index;

    if (!element(a->imm5, &size, &index) || (size == 3 && !a->q))
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_set(t, a->rd, vec_1(t, IR_VDUP, vec_int(size), tr_v(t, (unsigned)a->rn), index),
            a->q ? 128 : 64);
    return true;
}

bool tr_dup_scalar(struct tr *t, const struct arg_vcpy *a)
{
    unsigned size, index;
    ir_val v;

    if (!element(a->imm5, &size, &index))
        return false;
    if (!tr_fp_check(t))
        return true;
    v = vec_1(t, IR_VBSHR, IR_I8, tr_v(t, (unsigned)a->rn), index << size);
    vec_set(t, a->rd, v, 8u << size);
    return true;
}

bool tr_dup_gen(struct tr *t, const struct arg_vcpy *a)
{
    unsigned size, index;

    if (!element(a->imm5, &size, &index) || (size == 3 && !a->q))
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_set(t, a->rd, vec_1(t, IR_VDUPI, vec_int(size), tr_reg(t, size == 3, (unsigned)a->rn), 0),
            a->q ? 128 : 64);
    return true;
}

bool tr_ins_gen(struct tr *t, const struct arg_vcpy *a)
{
    unsigned size, index;

    if (!element(a->imm5, &size, &index))
        return false;
    if (!tr_fp_check(t))
        return true;
    tr_set_v(t, (unsigned)a->rd,
             ir_vop2(t->b, IR_VINSERT, vec_int(size), tr_v(t, (unsigned)a->rd),
                     tr_reg(t, size == 3, (unsigned)a->rn), index));
    return true;
}

bool tr_ins_elem(struct tr *t, const struct arg_vcpy *a)
{
    unsigned size, index;
    ir_val v, d;

    if (!element(a->imm5, &size, &index))
        return false;
    if (!tr_fp_check(t))
        return true;
    v = tr_v(t, (unsigned)a->rn);
    d = tr_v(t, (unsigned)a->rd);
    if (size == 3) { /* halves: no way through an integer */
        if (a->imm4 & 8)
            v = vec_2(t, IR_VUNPCKH, IR_I64, v, v);
        v = index ? vec_low_pair(t, d, v) : vec_2(t, IR_VMERGELO, IR_F64, d, v);
        tr_set_v(t, (unsigned)a->rd, v);
        return true;
    }
    v = vec_1(t, IR_VEXTRACT, vec_int(size), v, a->imm4 >> size);
    tr_set_v(t, (unsigned)a->rd, ir_vop2(t->b, IR_VINSERT, vec_int(size), d, v, index));
    return true;
}

bool tr_umov(struct tr *t, const struct arg_vcpy *a)
{
    unsigned size, index;

    if (!element(a->imm5, &size, &index) || (size == 3) != (a->q != 0))
        return false;
    if (!tr_fp_check(t))
        return true;
    tr_set_reg(t, size == 3, (unsigned)a->rd,
               vec_1(t, IR_VEXTRACT, vec_int(size), tr_v(t, (unsigned)a->rn), index));
    return true;
}

bool tr_smov(struct tr *t, const struct arg_vcpy *a)
{
    unsigned size, index;
    ir_val v;

    if (!element(a->imm5, &size, &index) || size == 3 || (size == 2 && !a->q))
        return false;
    if (!tr_fp_check(t))
        return true;
    v = vec_1(t, IR_VEXTRACT, vec_int(size), tr_v(t, (unsigned)a->rn), index);
    v = ir_trunc(t->b, vec_int(size), v);
    tr_set_reg(t, a->q, (unsigned)a->rd, ir_sext(t->b, tr_type(a->q), v));
    return true;
}

/* ---- permute ---- */

enum permute { P_UZP1, P_UZP2, P_TRN1, P_TRN2, P_ZIP1, P_ZIP2 };

static ir_val permute_lanes(struct tr *t, enum permute op, enum ir_type lane, bool q, ir_val n,
                            ir_val m)
{
    switch (op) {
    case P_UZP1:
    case P_UZP2:
        if (!q)
            n = m = vec_low_pair(t, n, m);
        return vec_2(t, op == P_UZP1 ? IR_VUZP1 : IR_VUZP2, lane, n, m);
    case P_TRN1: return vec_2(t, IR_VTRN1, lane, n, m);
    case P_TRN2: return vec_2(t, IR_VTRN2, lane, n, m);
    case P_ZIP1: return vec_2(t, IR_VUNPCKL, lane, n, m);
    default:
        if (q)
            return vec_2(t, IR_VUNPCKH, lane, n, m);
        return vec_1(t, IR_VBSHR, IR_I8, vec_2(t, IR_VUNPCKL, lane, n, m), 8);
    }
}

static bool permute(struct tr *t, const struct arg_v *a, enum permute op)
{
    if (a->size == 3 && !a->q)
        return false;
    if (!tr_fp_check(t))
        return true;
    vec_set(t, a->rd,
            permute_lanes(t, op, vec_int((unsigned)a->size), a->q, tr_v(t, (unsigned)a->rn),
                          tr_v(t, (unsigned)a->rm)),
            a->q ? 128 : 64);
    return true;
}

#define PERMUTE(name, op)                                                                          \
    bool tr_##name(struct tr *t, const struct arg_v *a)                                            \
    {                                                                                              \
        return permute(t, a, op);                                                                  \
    }
PERMUTE(uzp1, P_UZP1)
PERMUTE(uzp2, P_UZP2)
PERMUTE(trn1, P_TRN1)
PERMUTE(trn2, P_TRN2)
PERMUTE(zip1, P_ZIP1)
PERMUTE(zip2, P_ZIP2)

bool tr_ext(struct tr *t, const struct arg_vext *a)
{
    ir_val n, m, v;

    if (!a->q && a->imm & 8)
        return false;
    if (!tr_fp_check(t))
        return true;
    n = tr_v(t, (unsigned)a->rn);
    m = tr_v(t, (unsigned)a->rm);
    if (a->q)
        v = ir_vop2(t->b, IR_VALIGNR, IR_I8, m, n, a->imm);
    else
        v = vec_1(t, IR_VBSHR, IR_I8, vec_low_pair(t, n, m), a->imm);
    vec_set(t, a->rd, v, a->q ? 128 : 64);
    return true;
}

/* ---- table ---- */

static bool table(struct tr *t, const struct arg_vtbl *a, bool keep)
{
    ir_val index, k, v = IR_NO_VAL, part, in;
    unsigned bytes = 16 * ((unsigned)a->len + 1);

    if (!tr_fp_check(t))
        return true;
    index = tr_v(t, (unsigned)a->rm);
    for (unsigned i = 0; i <= (unsigned)a->len; i++) {
        k = i ? vec_2(t, IR_VSUB, IR_I8, index, vec_const(t, IR_I8, 16 * i)) : index;
        part = vec_2(t, IR_VTBL, IR_I8, tr_v(t, ((unsigned)a->rn + i) % 32), k);
        v = i ? vec_or(t, v, part) : part;
    }
    if (keep) {
        in = vec_2(t, IR_VCMPGTU, IR_I8, vec_const(t, IR_I8, bytes), index);
        v = ir_vop3(t->b, IR_VBLENDV, IR_I8, tr_v(t, (unsigned)a->rd), v, in);
    }
    vec_set(t, a->rd, v, a->q ? 128 : 64);
    return true;
}

bool tr_tbl(struct tr *t, const struct arg_vtbl *a)
{
    return table(t, a, false);
}

bool tr_tbx(struct tr *t, const struct arg_vtbl *a)
{
    return table(t, a, true);
}
