/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Advanced SIMD: shifts by immediate, modified immediates, operations by element. The manual's
 * tables of these classes are tables here, too.
 */
#include "guest/arm/tr_simd.h"

/* ---- shift by immediate ---- */

struct shift {
    struct tr *t;
    const struct arg_vsh *a;
    unsigned size; /* log2 of the narrower element's bytes */
    enum ir_type lane;
    unsigned bits;        /* of the element */
    unsigned right, left; /* counts */
    unsigned width;       /* bits of the result */
};

typedef bool shift_fn(struct shift *s); /* false: reserved */

static ir_val shift_right(struct tr *t, enum ir_type lane, ir_val n, unsigned k, bool is_unsigned,
                          bool rounds)
{
    unsigned bits = ir_type_bits[lane];
    enum ir_op op = is_unsigned ? IR_VSHRI : IR_VSARI;
    ir_val v, half;

    if (is_unsigned)
        v = k < bits ? vec_1(t, op, lane, n, k) : vec_zero(t);
    else
        v = vec_1(t, op, lane, n, k < bits ? k : bits - 1);
    if (!rounds)
        return v;
    half = vec_and(t, vec_1(t, op, lane, n, k - 1), vec_const(t, lane, 1));
    return vec_2(t, IR_VADD, lane, v, half);
}

static ir_val source(struct shift *s)
{
    return vec_get(s->t, s->a->rn, s->width);
}

static bool finish(struct shift *s, ir_val v)
{
    vec_set(s->t, s->a->rd, v, s->width);
    return true;
}

static bool only_d(const struct shift *s) /* scalar forms that exist for 64 bits alone */
{
    return !s->a->sc || s->size == 3;
}

static bool sshr_any(struct shift *s, bool rounds, bool accumulate)
{
    ir_val v;

    if (!only_d(s))
        return false;
    v = shift_right(s->t, s->lane, source(s), s->right, s->a->u, rounds);
    if (accumulate)
        v = vec_2(s->t, IR_VADD, s->lane, tr_v(s->t, (unsigned)s->a->rd), v);
    return finish(s, v);
}

static bool sshr(struct shift *s)
{
    return sshr_any(s, false, false);
}

static bool ssra(struct shift *s)
{
    return sshr_any(s, false, true);
}

static bool srshr(struct shift *s)
{
    return sshr_any(s, true, false);
}

static bool srsra(struct shift *s)
{
    return sshr_any(s, true, true);
}

/* v's bits of mask into the destination */
static bool insert(struct shift *s, ir_val v, uint64_t mask)
{
    ir_val d = tr_v(s->t, (unsigned)s->a->rd), m = vec_const(s->t, s->lane, mask);

    return finish(s, vec_or(s->t, vec_andn(s->t, m, d), v));
}

static bool sri(struct shift *s)
{
    uint64_t ones = s->bits == 64 ? ~0ull : BIT(s->bits) - 1;

    if (!only_d(s) || !s->a->u)
        return false;
    return insert(s, shift_right(s->t, s->lane, source(s), s->right, true, false),
                  s->right < s->bits ? ones >> s->right : 0);
}

static bool shl(struct shift *s) /* SHL, SLI */
{
    uint64_t ones = s->bits == 64 ? ~0ull : BIT(s->bits) - 1;
    ir_val v;

    if (!only_d(s))
        return false;
    v = vec_1(s->t, IR_VSHLI, s->lane, source(s), s->left);
    return s->a->u ? insert(s, v, ones << s->left & ones) : finish(s, v);
}

static bool saturating(struct shift *s, enum simd_op op)
{
    ir_val n = source(s);

    return finish(s, vec_help(s->t, op, s->size, n, vec_const(s->t, s->lane, s->left), n));
}

static bool sqshlu(struct shift *s)
{
    return s->a->u && saturating(s, SO_SQSHLU);
}

static bool sqshl(struct shift *s)
{
    return saturating(s, s->a->u ? SO_UQSHL : SO_SQSHL);
}

/* Narrowing: from lanes of double width, shifted right. */
enum narrow { N_PLAIN, N_SIGNED, N_S_TO_U, N_UNSIGNED };

static bool narrow_any(struct shift *s, enum narrow how, bool rounds)
{
    enum ir_type wide = s->lane + 1;
    struct tr *t = s->t;
    ir_val v;

    if (s->size == 3 || (s->a->sc && how == N_PLAIN))
        return false;
    v = vec_get(t, s->a->rn, s->a->sc ? s->bits * 2 : 128);
    v = shift_right(t, wide, v, s->right, how == N_PLAIN || how == N_UNSIGNED, rounds);
    switch (how) {
    case N_PLAIN: v = vec_1(t, IR_VNARROW, wide, v, 0); break;
    case N_SIGNED: v = vec_sqxtn(t, wide, v); break;
    case N_S_TO_U: v = vec_sqxtun(t, wide, v); break;
    default: v = vec_uqxtn(t, wide, v); break;
    }
    vec_set_narrow(t, s->a->rd, v, s->a->q && !s->a->sc);
    return true;
}

static bool shrn(struct shift *s)
{
    return narrow_any(s, s->a->u ? N_S_TO_U : N_PLAIN, false);
}

static bool rshrn(struct shift *s)
{
    return narrow_any(s, s->a->u ? N_S_TO_U : N_PLAIN, true);
}

static bool sqshrn(struct shift *s)
{
    return narrow_any(s, s->a->u ? N_UNSIGNED : N_SIGNED, false);
}

static bool sqrshrn(struct shift *s)
{
    return narrow_any(s, s->a->u ? N_UNSIGNED : N_SIGNED, true);
}

static bool sshll(struct shift *s)
{
    ir_val v;

    if (s->size == 3 || s->a->sc)
        return false;
    v = vec_widen(s->t, s->lane, tr_v(s->t, (unsigned)s->a->rn), s->a->q, s->a->u);
    tr_set_v(s->t, (unsigned)s->a->rd, vec_1(s->t, IR_VSHLI, s->lane + 1, v, s->left));
    return true;
}

static bool scvtf(struct shift *s)
{
    enum fp_size f = (enum fp_size)s->size;

    if (!s->size || !fp_has(s->t, f))
        return false;
    return finish(
        s, fp_from_lanes(s->t, f, vec_lanes(s->a->sc, s->a->q, f), source(s), s->a->u, s->right));
}

static bool fcvtz(struct shift *s)
{
    enum fp_size f = (enum fp_size)s->size;

    if (!s->size || !fp_has(s->t, f))
        return false;
    return finish(s, fp_to_lanes(s->t, f, vec_lanes(s->a->sc, s->a->q, f), source(s), FP_RZ,
                                 s->a->u, s->right));
}

static bool shift_imm(struct tr *t, const struct arg_vsh *a)
{
    static shift_fn *const fns[32] = {
        [0x00] = sshr,   [0x02] = ssra,    [0x04] = srshr, [0x06] = srsra, [0x08] = sri,
        [0x0a] = shl,    [0x0c] = sqshlu,  [0x0e] = sqshl, [0x10] = shrn,  [0x11] = rshrn,
        [0x12] = sqshrn, [0x13] = sqrshrn, [0x14] = sshll, [0x1c] = scvtf, [0x1f] = fcvtz,
    };
    struct shift s = { .t = t, .a = a };
    unsigned imm = (unsigned)a->imm;

    if (!fns[a->op] || imm < 8)
        return false;
    s.size = 28 - (unsigned)__builtin_clz(imm);
    s.lane = vec_int(s.size);
    s.bits = 8u << s.size;
    s.right = 2 * s.bits - imm;
    s.left = imm - s.bits;
    s.width = a->sc ? s.bits : a->q ? 128 : 64;
    if (s.size == 3 && !a->q && !a->sc)
        return false;
    return fns[a->op](&s);
}

bool tr_shift_imm(struct tr *t, const struct arg_vsh *a)
{
    return !tr_fp_check(t) || shift_imm(t, a);
}

bool tr_shift_imm_s(struct tr *t, const struct arg_vsh *a)
{
    return !tr_fp_check(t) || shift_imm(t, a);
}

/* ---- modified immediate ---- */

static uint64_t spread(unsigned imm8) /* a byte for each bit */
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v |= imm8 >> i & 1 ? 0xffull << 8 * i : 0;
    return v;
}

/* AdvSIMDExpandImm */
static uint64_t expand(unsigned op, unsigned cmode, uint64_t imm)
{
    switch (cmode >> 1) {
    case 0:
    case 1:
    case 2:
    case 3: return (imm << 8 * (cmode >> 1)) * 0x100000001;
    case 4:
    case 5: return (imm << 8 * (cmode >> 1 & 1)) * 0x0001000100010001;
    case 6: return (cmode & 1 ? imm << 16 | 0xffff : imm << 8 | 0xff) * 0x100000001;
    default: break;
    }
    if (!(cmode & 1))
        return op ? spread((unsigned)imm) : imm * 0x0101010101010101;
    return op ? fp_bits_of_imm8(FP_D, (unsigned)imm)
              : fp_bits_of_imm8(FP_S, (unsigned)imm) * 0x100000001;
}

bool tr_mod_imm(struct tr *t, const struct arg_vmod *a)
{
    unsigned cmode = (unsigned)a->cmode;
    uint64_t imm = expand((unsigned)a->op, cmode, (uint64_t)a->imm);
    ir_val v, d;

    if (a->o2) { /* FMOV of halves */
        if (cmode != 15 || a->op || !tr_has(t, A64_FEAT_FP16))
            return false;
        imm = fp_bits_of_imm8(FP_H, (unsigned)a->imm) * 0x0001000100010001;
    } else if (cmode == 15 && a->op && !a->q) {
        return false;
    }
    if (!tr_fp_check(t))
        return true;
    d = tr_v(t, (unsigned)a->rd);
    if (cmode < 12 && cmode & 1) /* ORR, BIC */
        v = a->op ? vec_andn(t, ir_vconst(t->b, imm), d) : vec_or(t, d, ir_vconst(t->b, imm));
    else
        v = ir_vconst(t->b, a->op && cmode < 14 ? ~imm : imm);
    vec_set(t, a->rd, v, a->q ? 128 : 64);
    return true;
}

/* ---- by element ---- */

struct elem_row {
    vec_fn *fn; /* on lanes of the size field; or */
    enum fp_op fp;
    uint8_t kind;       /* enum elem_kind */
    uint8_t sizes;      /* SZ_* */
    bool scalar;        /* exists as scalar */
    enum a64_feat feat; /* 0: base */
};
enum elem_kind { E_NONE, E_SAME, E_LONG, E_FP, E_DOT };

static const struct elem_row elem_rows[2][16] = {
    {
        [1] = { .fp = FPO_FMA, .kind = E_FP, .scalar = true },
        [2] = { vec_smlal, .kind = E_LONG, .sizes = SZ_HS },
        [3] = { vec_sqdmlal, .kind = E_LONG, .sizes = SZ_HS, .scalar = true },
        [5] = { .fp = FPO_FMS, .kind = E_FP, .scalar = true },
        [6] = { vec_smlsl, .kind = E_LONG, .sizes = SZ_HS },
        [7] = { vec_sqdmlsl, .kind = E_LONG, .sizes = SZ_HS, .scalar = true },
        [8] = { vec_mul, .kind = E_SAME, .sizes = SZ_HS },
        [9] = { .fp = FPO_MUL, .kind = E_FP, .scalar = true },
        [10] = { vec_smull, .kind = E_LONG, .sizes = SZ_HS },
        [11] = { vec_sqdmull, .kind = E_LONG, .sizes = SZ_HS, .scalar = true },
        [12] = { vec_sqdmulh, .kind = E_SAME, .sizes = SZ_HS, .scalar = true },
        [13] = { vec_sqrdmulh, .kind = E_SAME, .sizes = SZ_HS, .scalar = true },
        [14] = { vec_sdot, .kind = E_DOT, .sizes = SZ_S, .feat = A64_FEAT_DOTPROD },
    },
    {
        [0] = { vec_mla, .kind = E_SAME, .sizes = SZ_HS },
        [2] = { vec_umlal, .kind = E_LONG, .sizes = SZ_HS },
        [4] = { vec_mls, .kind = E_SAME, .sizes = SZ_HS },
        [6] = { vec_umlsl, .kind = E_LONG, .sizes = SZ_HS },
        [9] = { .fp = FPO_MULX, .kind = E_FP, .scalar = true },
        [10] = { vec_umull, .kind = E_LONG, .sizes = SZ_HS },
        [13] = { vec_sqrdmlah, .kind = E_SAME, .sizes = SZ_HS, .scalar = true,
                 .feat = A64_FEAT_RDM },
        [14] = { vec_udot, .kind = E_DOT, .sizes = SZ_S, .feat = A64_FEAT_DOTPROD },
        [15] = { vec_sqrdmlsh, .kind = E_SAME, .sizes = SZ_HS, .scalar = true,
                 .feat = A64_FEAT_RDM },
    },
};

/* Register and index of the element: size 1, 2, 3. */
static void element(const struct arg_vel *a, unsigned size, unsigned *ret_reg, unsigned *ret_index)
{
    unsigned l = (unsigned)a->lm >> 1, m = (unsigned)a->lm & 1, h = (unsigned)a->h;

    *ret_reg = (unsigned)a->rm | (size == 1 ? 0 : m << 4);
    *ret_index = size == 1 ? h << 2 | l << 1 | m : size == 2 ? h << 1 | l : h;
}

static bool fp_by_element(struct tr *t, const struct arg_vel *a, const struct elem_row *row)
{
    static const uint8_t sizes[4] = { FP_H, 0, FP_S, FP_D };
    enum fp_size s = (enum fp_size)sizes[a->size];
    unsigned reg, index, bits = a->sc ? fp_bits(s) : a->q ? 128 : 64;
    ir_val m, d = IR_NO_VAL;

    if (!s || !fp_has(t, s) || (s == FP_D && (a->lm & 2 || (!a->q && !a->sc))))
        return false;
    element(a, s, &reg, &index);
    m = vec_zext(t, vec_1(t, IR_VDUP, vec_int(s), tr_v(t, reg), index), bits);
    if (row->fp == FPO_FMA || row->fp == FPO_FMS)
        d = vec_get(t, a->rd, bits);
    vec_set(t, a->rd,
            fp_lanes(t, row->fp, s, vec_lanes(a->sc, a->q, s), vec_get(t, a->rn, bits), m, d),
            bits);
    return true;
}

/* FCMLA by element: pairs. */
static bool fcmla_element(struct tr *t, const struct arg_vel *a)
{
    enum fp_size s = (enum fp_size)a->size;
    unsigned reg, index, bits = a->q ? 128 : 64;
    ir_val m;

    if (a->sc || !tr_has(t, A64_FEAT_FCMA) || !fp_has(t, s) || (s != FP_H && s != FP_S))
        return false;
    element(a, 2, &reg, &index);
    if (s == FP_S && (a->lm & 2 || !a->q))
        return false;
    if (s == FP_H && !a->q && a->h)
        return false;
    if (s == FP_S)
        index = (unsigned)a->h;
    m = vec_1(t, IR_VDUP, s == FP_H ? IR_I32 : IR_I64, tr_v(t, reg), index);
    vec_set(t, a->rd,
            tr_call(t, &fp_h_fcmla, tr_v(t, (unsigned)a->rn), m, tr_v(t, (unsigned)a->rd),
                    tr_c32(t, (int32_t)(s | ((unsigned)a->op >> 1 & 3) << 4 |
                                        vec_lanes(false, a->q, s) << 8))),
            bits);
    return true;
}

/* FMLAL, FMLSL by element: halves, in the singles' encoding. */
static bool fhm_element(struct tr *t, const struct arg_vel *a)
{
    unsigned reg, index, flags = (a->op & 4 ? FHM_NEG : 0) | (a->u ? FHM_HIGH : 0);
    ir_val m;

    if (a->sc || !tr_has(t, A64_FEAT_FHM))
        return false;
    element(a, 1, &reg, &index);
    m = vec_1(t, IR_VDUP, IR_I16, tr_v(t, reg), index);
    vec_set(t, a->rd,
            tr_call(t, &fp_h_fhm, tr_v(t, (unsigned)a->rn), m, tr_v(t, (unsigned)a->rd),
                    tr_c32(t, (int32_t)(flags | (a->q ? 0 : FHM_64)))),
            a->q ? 128 : 64);
    return true;
}

static bool int_by_element(struct tr *t, const struct arg_vel *a, const struct elem_row *row)
{
    unsigned reg, index, bits = 8u << a->size, in = a->sc ? bits : a->q ? 128 : 64, out = in;
    ir_val n, m, d;

    if (!(row->sizes >> a->size & 1))
        return false;
    element(a, (unsigned)a->size, &reg, &index);
    m = vec_1(t, IR_VDUP, vec_int((unsigned)a->size), tr_v(t, reg), index);
    if (row->kind == E_LONG) {
        out = a->sc ? bits * 2 : 128;
        n = vec_get(t, a->rn, a->sc ? bits : 128);
        if (a->q && !a->sc)
            n = vec_1(t, IR_VBSHR, IR_I8, n, 8);
        d = vec_get(t, a->rd, out);
        m = a->sc ? vec_zext(t, m, bits) : m;
    } else {
        n = vec_get(t, a->rn, in);
        m = vec_zext(t, m, in);
        d = vec_get(t, a->rd, in);
    }
    vec_set(t, a->rd, row->fn(t, vec_int((unsigned)a->size), n, m, d), out);
    return true;
}

static bool by_element(struct tr *t, const struct arg_vel *a)
{
    const struct elem_row *row = &elem_rows[a->u][a->op];

    if (!tr_fp_check(t))
        return true;
    if (a->size == 2 && (a->u ? a->op == 8 || a->op == 12 : a->op == 0 || a->op == 4))
        return fhm_element(t, a);
    if (a->u && (a->op & 9) == 1)
        return fcmla_element(t, a);
    if (row->kind == E_NONE || (a->sc && !row->scalar) || (row->feat && !tr_has(t, row->feat)))
        return false;
    return row->kind == E_FP ? fp_by_element(t, a, row) : int_by_element(t, a, row);
}

bool tr_by_element(struct tr *t, const struct arg_vel *a)
{
    return by_element(t, a);
}

bool tr_by_element_s(struct tr *t, const struct arg_vel *a)
{
    return by_element(t, a);
}
