/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Exact floating point, first part: formats, rounding, NaN rules and arithmetic.
 */
#include "guest/arm/help_fp.h"

typedef unsigned __int128 u128;

static unsigned top_bit(u128 m)
{
    uint64_t hi = (uint64_t)(m >> 64);

    return hi ? 127 - (unsigned)__builtin_clzll(hi) : 63 - (unsigned)__builtin_clzll((uint64_t)m);
}

static u128 shift_right_sticky(u128 m, unsigned n)
{
    if (n == 0)
        return m;
    if (n > 127)
        return m != 0;
    return m >> n | ((m & (((u128)1 << n) - 1)) != 0);
}

static int min_exp(enum fp_size s) /* of normal numbers */
{
    return s == FP_H ? -14 : s == FP_S ? -126 : -1022;
}

/* ---- formats ---- */

static struct fp_num unpack(struct fp_env *e, enum fp_size s, uint64_t v, bool flush, bool ahp)
{
    unsigned f = fp_frac_bits(s);
    uint64_t frac = v & (BIT(f) - 1), exp = (v & fp_inf(s)) >> f;
    struct fp_num n = { .sign = (v & fp_sign_bit(s)) != 0 };

    if (exp == fp_inf(s) >> f && !ahp) {
        n.cls = !frac ? FP_INFINITE : frac & fp_quiet_bit(s) ? FP_QNAN : FP_SNAN;
        return n;
    }
    if (!exp && flush && frac) {
        if (s != FP_H)
            e->flags |= FP_IDC;
        return n;
    }
    if (!exp && !frac)
        return n;
    n.cls = FP_FINITE;
    n.m = exp ? frac | BIT(f) : frac;
    n.exp = min_exp(s) - (int)f + (exp ? (int)exp - 1 : 0);
    return n;
}

struct fp_num fp_unpack(struct fp_env *e, enum fp_size s, uint64_t v)
{
    return unpack(e, s, v, e->fpcr & (s == FP_H ? FPCR_FZ16 : FPCR_FZ), false);
}

struct fp_num fp_unpack_cv(struct fp_env *e, enum fp_size s, uint64_t v)
{
    return unpack(e, s, v, s != FP_H && e->fpcr & FPCR_FZ, s == FP_H && e->fpcr & FPCR_AHP);
}

static bool rounds_up(bool sign, bool odd, u128 rest, u128 half, enum fp_rmode mode)
{
    switch (mode) {
    case FP_RN: return rest > half || (rest == half && odd);
    case FP_RP: return rest && !sign;
    case FP_RM: return rest && sign;
    case FP_TIEAWAY: return rest >= half;
    default: return false;
    }
}

static uint64_t overflow(struct fp_env *e, enum fp_size s, bool sign, enum fp_rmode mode)
{
    bool to_inf =
        mode == FP_RN || mode == FP_TIEAWAY || (mode == FP_RP && !sign) || (mode == FP_RM && sign);

    e->flags |= FP_OFC | FP_IXC;
    return (sign ? fp_sign_bit(s) : 0) | (to_inf ? fp_inf(s) : fp_inf(s) - 1);
}

/* FPRoundBase. Tininess is detected before rounding. */
static uint64_t round_base(struct fp_env *e, enum fp_size s, const struct fp_num *v,
                           enum fp_rmode mode, bool flush, bool ahp)
{
    unsigned f = fp_frac_bits(s), top = top_bit(v->m), bias_exp;
    uint64_t sign = v->sign ? fp_sign_bit(s) : 0, limit = (fp_inf(s) >> f) + (ahp ? 1 : 0), mant;
    int exp = v->exp + (int)top, drop;
    u128 rest, half, m = v->m;

    if (flush && exp < min_exp(s)) {
        e->flags |= FP_UFC;
        return sign;
    }
    bias_exp = exp < min_exp(s) ? 0 : (unsigned)(exp - min_exp(s) + 1);
    drop = (exp < min_exp(s) ? min_exp(s) : exp) - (int)f - v->exp; /* bits below the last place */
    if (drop <= 0) {
        mant = (uint64_t)(m << -drop);
        rest = 0;
        half = 1; /* nothing to round */
    } else {
        if (drop > 126) {
            m = shift_right_sticky(m, (unsigned)drop - 126);
            drop = 126;
        }
        mant = (uint64_t)(m >> drop);
        rest = m & (((u128)1 << drop) - 1);
        half = (u128)1 << (drop - 1);
    }
    if (!bias_exp && rest)
        e->flags |= FP_UFC;
    if (mode == FP_ODD)
        mant |= rest != 0;
    else if (rounds_up(v->sign, mant & 1, rest, half, mode))
        mant++;
    if (bias_exp == 0 && mant == BIT(f)) {
        bias_exp = 1;
    } else if (mant == BIT(f + 1)) {
        mant >>= 1;
        bias_exp++;
    }
    if (bias_exp >= limit) {
        if (!ahp)
            return overflow(e, s, v->sign, mode);
        e->flags |= FP_IOC;
        return sign | 0x7fff;
    }
    if (rest)
        e->flags |= FP_IXC;
    return sign | (uint64_t)bias_exp << f | (mant & (BIT(f) - 1));
}

uint64_t fp_round(struct fp_env *e, enum fp_size s, const struct fp_num *v, enum fp_rmode mode)
{
    return round_base(e, s, v, mode, e->fpcr & (s == FP_H ? FPCR_FZ16 : FPCR_FZ), false);
}

uint64_t fp_round_cv(struct fp_env *e, enum fp_size s, const struct fp_num *v, enum fp_rmode mode)
{
    return round_base(e, s, v, mode, s != FP_H && e->fpcr & FPCR_FZ,
                      s == FP_H && e->fpcr & FPCR_AHP);
}

/* ---- NaNs ---- */

uint64_t fp_nan1(struct fp_env *e, enum fp_size s, uint64_t v)
{
    if (fp_is_snan(s, v))
        e->flags |= FP_IOC;
    return e->fpcr & FPCR_DN ? fp_default_nan(s) : v | fp_quiet_bit(s);
}

bool fp_nan2(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b, uint64_t *ret)
{
    return fp_nan3(e, s, a, b, 0, ret);
}

bool fp_nan3(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b, uint64_t c, uint64_t *ret)
{
    const uint64_t v[3] = { a, b, c };

    for (unsigned i = 0; i < 3; i++)
        if (fp_is_snan(s, v[i])) {
            *ret = fp_nan1(e, s, v[i]);
            return true;
        }
    for (unsigned i = 0; i < 3; i++)
        if (fp_is_nan(s, v[i])) {
            *ret = fp_nan1(e, s, v[i]);
            return true;
        }
    return false;
}

uint64_t fp_invalid(struct fp_env *e, enum fp_size s)
{
    e->flags |= FP_IOC;
    return fp_default_nan(s);
}

/* ---- arithmetic ---- */

static struct fp_num normal(struct fp_num v) /* highest bit at 125 */
{
    unsigned top = top_bit(v.m);

    if (top > 125) {
        v.m = shift_right_sticky(v.m, top - 125);
        v.exp += (int)top - 125;
    } else {
        v.m <<= 125 - top;
        v.exp -= (int)(125 - top);
    }
    return v;
}

/* A zero sum has class FP_ZERO and sign 0; the caller gives it the sign. */
struct fp_num fp_num_add(struct fp_num a, struct fp_num b)
{
    struct fp_num t;

    if (a.cls == FP_ZERO)
        return b;
    if (b.cls == FP_ZERO)
        return a;
    a = normal(a);
    b = normal(b);
    if (a.exp < b.exp || (a.exp == b.exp && a.m < b.m)) {
        t = a;
        a = b;
        b = t;
    }
    b.m = shift_right_sticky(b.m, (unsigned)(a.exp - b.exp));
    a.m = a.sign == b.sign ? a.m + b.m : a.m - b.m;
    if (!a.m)
        return (struct fp_num){ .cls = FP_ZERO };
    return a;
}

struct fp_num fp_num_mul(struct fp_num a, struct fp_num b)
{
    if (a.cls == FP_ZERO || b.cls == FP_ZERO)
        return (struct fp_num){ .cls = FP_ZERO, .sign = a.sign ^ b.sign };
    return (struct fp_num){ FP_FINITE, a.sign ^ b.sign, a.exp + b.exp,
                            (u128)(uint64_t)a.m * (uint64_t)b.m };
}

static uint64_t signed_of(enum fp_size s, bool sign, uint64_t v)
{
    return v | (sign ? fp_sign_bit(s) : 0);
}

static uint64_t add_any(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b, bool sub)
{
    struct fp_num x = fp_unpack(e, s, a), y = fp_unpack(e, s, b), sum;
    uint64_t nan;

    if (fp_nan2(e, s, a, b, &nan))
        return nan;
    y.sign ^= sub;
    if (x.cls == FP_INFINITE && y.cls == FP_INFINITE && x.sign != y.sign)
        return fp_invalid(e, s);
    if (x.cls == FP_INFINITE || y.cls == FP_INFINITE)
        return signed_of(s, x.cls == FP_INFINITE ? x.sign : y.sign, fp_inf(s));
    if (x.cls == FP_ZERO && y.cls == FP_ZERO && x.sign == y.sign)
        return signed_of(s, x.sign, 0);
    sum = fp_num_add(x, y);
    if (sum.cls == FP_ZERO)
        return signed_of(s, fp_rmode(e) == FP_RM, 0);
    return fp_round(e, s, &sum, fp_rmode(e));
}

uint64_t fp_add(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b)
{
    return add_any(e, s, a, b, false);
}

uint64_t fp_sub(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b)
{
    return add_any(e, s, a, b, true);
}

static uint64_t mul_any(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b, bool x2)
{
    struct fp_num x = fp_unpack(e, s, a), y = fp_unpack(e, s, b), p;
    bool sign = x.sign ^ y.sign;
    uint64_t nan;

    if (fp_nan2(e, s, a, b, &nan))
        return nan;
    if ((x.cls == FP_INFINITE && y.cls == FP_ZERO) || (x.cls == FP_ZERO && y.cls == FP_INFINITE))
        return x2 ? signed_of(s, sign, (fp_inf(s) >> 1 & fp_inf(s)) + BIT(fp_frac_bits(s)))
                  : fp_invalid(e, s);
    if (x.cls == FP_INFINITE || y.cls == FP_INFINITE)
        return signed_of(s, sign, fp_inf(s));
    p = fp_num_mul(x, y);
    return p.cls == FP_ZERO ? signed_of(s, sign, 0) : fp_round(e, s, &p, fp_rmode(e));
}

uint64_t fp_mul(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b)
{
    return mul_any(e, s, a, b, false);
}

uint64_t fp_mulx(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b)
{
    return mul_any(e, s, a, b, true);
}

uint64_t fp_div(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b)
{
    struct fp_num x = fp_unpack(e, s, a), y = fp_unpack(e, s, b), q;
    bool sign = x.sign ^ y.sign;
    u128 num, den;
    uint64_t nan;

    if (fp_nan2(e, s, a, b, &nan))
        return nan;
    if ((x.cls == FP_INFINITE && y.cls == FP_INFINITE) || (x.cls == FP_ZERO && y.cls == FP_ZERO))
        return fp_invalid(e, s);
    if (x.cls == FP_INFINITE || y.cls == FP_ZERO) {
        if (x.cls != FP_INFINITE)
            e->flags |= FP_DZC;
        return signed_of(s, sign, fp_inf(s));
    }
    if (x.cls == FP_ZERO || y.cls == FP_INFINITE)
        return signed_of(s, sign, 0);
    x = normal(x);
    den = y.m << (63 - top_bit(y.m)); /* bit 63 */
    num = x.m;                        /* bit 125: the quotient has 62 or 63 bits */
    q = (struct fp_num){ FP_FINITE, sign, x.exp - (y.exp - (int)(63 - top_bit(y.m))), num / den };
    q.m = q.m << 1 | (num % den != 0);
    q.exp--;
    return fp_round(e, s, &q, fp_rmode(e));
}

uint64_t fp_sqrt(struct fp_env *e, enum fp_size s, uint64_t a)
{
    struct fp_num x = fp_unpack(e, s, a), r;
    u128 root = 0, rest;

    if (fp_is_nan(s, a))
        return fp_nan1(e, s, a);
    if (x.cls == FP_ZERO)
        return signed_of(s, x.sign, 0);
    if (x.sign)
        return fp_invalid(e, s);
    if (x.cls == FP_INFINITE)
        return fp_inf(s);
    x = normal(x);
    if (x.exp & 1) {
        x.m >>= 1; /* 53 significant bits: nothing is lost */
        x.exp++;
    }
    for (int bit = 62; bit >= 0; bit--) {
        u128 t = root | (u128)1 << bit;

        if (t * t <= x.m)
            root = t;
    }
    rest = x.m - root * root;
    r = (struct fp_num){ FP_FINITE, false, x.exp / 2 - 1, root << 1 | (rest != 0) };
    return fp_round(e, s, &r, fp_rmode(e));
}

/* FPMulAdd behind the NaNs; p: size of a and b. */
static uint64_t muladd_tail(struct fp_env *e, enum fp_size s, struct fp_num c, struct fp_num x,
                            struct fp_num y)
{
    bool inf_x = x.cls == FP_INFINITE, inf_y = y.cls == FP_INFINITE, inf_c = c.cls == FP_INFINITE;
    bool sign = x.sign ^ y.sign;
    struct fp_num p;

    if ((inf_x && y.cls == FP_ZERO) || (inf_y && x.cls == FP_ZERO) ||
        (inf_c && (inf_x || inf_y) && c.sign != sign))
        return fp_invalid(e, s);
    if (inf_c || inf_x || inf_y)
        return signed_of(s, inf_c ? c.sign : sign, fp_inf(s));
    p = fp_num_mul(x, y);
    if (c.cls == FP_ZERO && p.cls == FP_ZERO && c.sign == sign)
        return signed_of(s, sign, 0);
    p = fp_num_add(c, p);
    if (p.cls == FP_ZERO)
        return signed_of(s, fp_rmode(e) == FP_RM, 0);
    return fp_round(e, s, &p, fp_rmode(e));
}

static bool inf_by_zero(const struct fp_num *x, const struct fp_num *y)
{
    return (x->cls == FP_INFINITE && y->cls == FP_ZERO) ||
           (x->cls == FP_ZERO && y->cls == FP_INFINITE);
}

uint64_t fp_muladd(struct fp_env *e, enum fp_size s, uint64_t addend, uint64_t a, uint64_t b)
{
    struct fp_num c = fp_unpack(e, s, addend), x = fp_unpack(e, s, a), y = fp_unpack(e, s, b);
    uint64_t nan;

    if (fp_nan3(e, s, addend, a, b, &nan))
        return c.cls == FP_QNAN && inf_by_zero(&x, &y) ? fp_invalid(e, s) : nan;
    return muladd_tail(e, s, c, x, y);
}

/* The two halves' NaN made wide (FPConvertNaN without its rounding). */
static uint64_t widen_nan(uint64_t v)
{
    return (v & 0x8000) << 16 | 0x7f800000 | (v & 0x3ff) << 13;
}

uint64_t fp_muladdh(struct fp_env *e, uint64_t addend, uint64_t a, uint64_t b)
{
    struct fp_num c = fp_unpack(e, FP_S, addend), x = fp_unpack(e, FP_H, a);
    struct fp_num y = fp_unpack(e, FP_H, b);
    uint64_t nan, wa = fp_is_nan(FP_H, a) ? widen_nan(a) : 0,
                  wb = fp_is_nan(FP_H, b) ? widen_nan(b) : 0;

    if (fp_nan3(e, FP_S, addend, wa, wb, &nan))
        return c.cls == FP_QNAN && inf_by_zero(&x, &y) ? fp_invalid(e, FP_S) : nan;
    return muladd_tail(e, FP_S, c, x, y);
}

/* -1, 0, 1; infinities and zeros included, no NaNs. */
static int order(const struct fp_num *x, const struct fp_num *y)
{
    struct fp_num d, neg = *y;
    int sx = x->cls == FP_ZERO ? 0
             : x->sign         ? -1
                               : 1,
        sy = y->cls == FP_ZERO ? 0
             : y->sign         ? -1
                               : 1;

    if (sx != sy || !sx)
        return sx < sy ? -1 : sx > sy;
    if (x->cls == FP_INFINITE || y->cls == FP_INFINITE)
        return x->cls == y->cls ? 0 : x->cls == FP_INFINITE ? sx : -sx;
    neg.sign = !neg.sign;
    d = fp_num_add(*x, neg);
    return d.cls == FP_ZERO ? 0 : d.sign ? -1 : 1;
}

uint64_t fp_minmax(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b, bool max, bool nm)
{
    struct fp_num x, y;
    uint64_t nan;
    bool first;

    if (nm) { /* a quiet NaN counts as missing */
        bool qa = fp_is_nan(s, a) && !fp_is_snan(s, a), qb = fp_is_nan(s, b) && !fp_is_snan(s, b);
        uint64_t missing = fp_inf(s) | (max ? fp_sign_bit(s) : 0);

        if (qa && !qb)
            a = missing;
        else if (qb && !qa)
            b = missing;
    }
    x = fp_unpack(e, s, a);
    y = fp_unpack(e, s, b);
    if (fp_nan2(e, s, a, b, &nan))
        return nan;
    if (x.cls == FP_ZERO && y.cls == FP_ZERO)
        return signed_of(s, max ? x.sign && y.sign : x.sign || y.sign, 0);
    first = max ? order(&x, &y) > 0 : order(&x, &y) < 0;
    if ((first ? x : y).cls == FP_ZERO) /* may have been flushed */
        return signed_of(s, (first ? x : y).sign, 0);
    return first ? a : b;
}

unsigned fp_compare(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b, bool signals)
{
    struct fp_num x = fp_unpack(e, s, a), y = fp_unpack(e, s, b);
    int o;

    if (fp_is_nan(s, a) || fp_is_nan(s, b)) {
        if (signals || fp_is_snan(s, a) || fp_is_snan(s, b))
            e->flags |= FP_IOC;
        return 3;
    }
    o = order(&x, &y);
    return o < 0 ? 8 : o ? 2 : 6;
}
