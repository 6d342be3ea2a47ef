/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Cryptography: AES by the host's AES instructions, hashes by helpers, SHA-3's logic inline.
 */
#include "guest/arm/help_crypto.h"
#include "guest/arm/tr_simd.h"

/* ---- AES ---- */

/* AESE: AddRoundKey first, then the last round's other two steps. */
static bool round_key(struct tr *t, const struct arg_v *a, enum ir_op op)
{
    ir_val v;

    if (!tr_fp_check(t))
        return true;
    v = vec_xor(t, tr_v(t, (unsigned)a->rd), tr_v(t, (unsigned)a->rn));
    tr_set_v(t, (unsigned)a->rd, vec_2(t, op, 0, v, vec_zero(t)));
    return true;
}

bool tr_aese(struct tr *t, const struct arg_v *a)
{
    return round_key(t, a, IR_VAESENCL);
}

bool tr_aesd(struct tr *t, const struct arg_v *a)
{
    return round_key(t, a, IR_VAESDECL);
}

/* The state before the AESE (AESD) that the previous instruction was, if it made vn: its pair with
 * AESMC (AESIMC) is one host instruction. */
static ir_val paired(struct tr *t, int rn, enum ir_op op)
{
    const struct ir *ir = t->b;

    for (unsigned i = ir->count - 1; i && i + 4 > ir->count; i--) {
        const struct ir_insn *put = &ir->insn[i];

        if (ir_op_info[put->op].flags & IR_FLAG_BB)
            return IR_NO_VAL;
        if (put->op != IR_PUT)
            continue;
        if (put->imm != A64_SLOT_V + rn || ir->insn[put->arg[0]].op != op)
            return IR_NO_VAL;
        return ir->insn[put->arg[0]].arg[0];
    }
    return IR_NO_VAL;
}

bool tr_aesmc(struct tr *t, const struct arg_v *a)
{
    ir_val v;

    if (!tr_fp_check(t))
        return true;
    v = paired(t, a->rn, IR_VAESENCL);
    if (!v) /* undo the steps that aesenc does before MixColumns */
        v = vec_2(t, IR_VAESDECL, 0, tr_v(t, (unsigned)a->rn), vec_zero(t));
    tr_set_v(t, (unsigned)a->rd, vec_2(t, IR_VAESENC, 0, v, vec_zero(t)));
    return true;
}

bool tr_aesimc(struct tr *t, const struct arg_v *a)
{
    ir_val v;

    if (!tr_fp_check(t))
        return true;
    v = paired(t, a->rn, IR_VAESDECL);
    if (v)
        v = vec_2(t, IR_VAESDEC, 0, v, vec_zero(t));
    else
        v = vec_1(t, IR_VAESIMC, 0, tr_v(t, (unsigned)a->rn), 0);
    tr_set_v(t, (unsigned)a->rd, v);
    return true;
}

/* ---- hashes ---- */

static bool hash(struct tr *t, const struct arg_v *a, const struct helper *h)
{
    if (!tr_fp_check(t))
        return true;
    tr_set_v(t, (unsigned)a->rd,
             tr_call(t, h, tr_v(t, (unsigned)a->rn), tr_v(t, (unsigned)a->rm),
                     tr_v(t, (unsigned)a->rd), IR_NO_VAL));
    return true;
}

/* rm is part of the opcode. */
static bool hash2(struct tr *t, const struct arg_v *a, const struct helper *h)
{
    struct arg_v b = *a;

    b.rm = a->rn;
    return hash(t, &b, h);
}

#define HASH(name, how)                                                                            \
    bool tr_##name(struct tr *t, const struct arg_v *a)                                            \
    {                                                                                              \
        return how(t, a, &h_##name);                                                               \
    }
HASH(sha1c, hash)
HASH(sha1p, hash)
HASH(sha1m, hash)
HASH(sha1su1, hash2)
HASH(sha256h, hash)
HASH(sha256h2, hash)
HASH(sha256su0, hash2)
HASH(sha256su1, hash)
HASH(sha512h, hash)
HASH(sha512h2, hash)
HASH(sha512su0, hash2)
HASH(sha512su1, hash)

bool tr_sha1h(struct tr *t, const struct arg_v *a)
{
    ir_val v;

    if (!tr_fp_check(t))
        return true;
    v = ir_roli(t->b, ir_vtoi(t->b, IR_I32, tr_v(t, (unsigned)a->rn)), 30);
    tr_set_v(t, (unsigned)a->rd, vec_1(t, IR_VFROMI, 0, v, 0));
    return true;
}

bool tr_sha1su0(struct tr *t, const struct arg_v *a)
{
    ir_val d, v;

    if (!tr_fp_check(t))
        return true;
    d = tr_v(t, (unsigned)a->rd);
    v = ir_vop2(t->b, IR_VALIGNR, IR_I8, tr_v(t, (unsigned)a->rn), d, 8); /* n's low, d's high */
    tr_set_v(t, (unsigned)a->rd, vec_xor(t, vec_xor(t, v, d), tr_v(t, (unsigned)a->rm)));
    return true;
}

/* ---- SHA-3 ---- */

static ir_val rotate(struct tr *t, ir_val v, unsigned right)
{
    if (!right)
        return v;
    return vec_or(t, vec_1(t, IR_VSHRI, IR_I64, v, right),
                  vec_1(t, IR_VSHLI, IR_I64, v, 64 - right));
}

bool tr_rax1(struct tr *t, const struct arg_v *a)
{
    if (!tr_fp_check(t))
        return true;
    tr_set_v(t, (unsigned)a->rd,
             vec_xor(t, tr_v(t, (unsigned)a->rn), rotate(t, tr_v(t, (unsigned)a->rm), 63)));
    return true;
}

bool tr_xar(struct tr *t, const struct arg_vxar *a)
{
    if (!tr_fp_check(t))
        return true;
    tr_set_v(t, (unsigned)a->rd,
             rotate(t, vec_xor(t, tr_v(t, (unsigned)a->rn), tr_v(t, (unsigned)a->rm)),
                    (unsigned)a->imm));
    return true;
}

bool tr_eor3(struct tr *t, const struct arg_v4 *a)
{
    if (!tr_fp_check(t))
        return true;
    tr_set_v(t, (unsigned)a->rd,
             vec_xor(t, vec_xor(t, tr_v(t, (unsigned)a->rn), tr_v(t, (unsigned)a->rm)),
                     tr_v(t, (unsigned)a->ra)));
    return true;
}

bool tr_bcax(struct tr *t, const struct arg_v4 *a)
{
    if (!tr_fp_check(t))
        return true;
    tr_set_v(t, (unsigned)a->rd,
             vec_xor(t, tr_v(t, (unsigned)a->rn),
                     vec_andn(t, tr_v(t, (unsigned)a->ra), tr_v(t, (unsigned)a->rm))));
    return true;
}
