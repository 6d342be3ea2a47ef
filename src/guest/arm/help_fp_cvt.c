/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Exact floating point, second part: estimates and steps, rounding to integers, conversions.
 */
#include "guest/arm/help_fp.h"

typedef unsigned __int128 u128;

static uint64_t with_sign(enum fp_size s, bool sign, uint64_t v)
{
    return v | (sign ? fp_sign_bit(s) : 0);
}

/* ---- estimates ---- */

static unsigned recip_table(unsigned a) /* RecipEstimate: 256..511 */
{
    return ((1u << 19) / (a * 2 + 1) + 1) / 2;
}

static unsigned rsqrt_table(unsigned a) /* RecipSqrtEstimate: 128..511 */
{
    unsigned b = 511;

    a = a < 256 ? a * 2 + 1 : ((a >> 1 << 1) + 1) * 2;
    for (unsigned step = 256; step; step /= 2) /* the greatest b with a * b * b below 2^28 */
        if ((uint64_t)a * (b + step) * (b + step) < 1u << 28)
            b += step;
    b += (uint64_t)a * (b + 1) * (b + 1) < 1u << 28;
    return (b + 1) / 2;
}

/* Fraction in 52 bits and the exponent field. */
static uint64_t fraction52(enum fp_size s, uint64_t a, int *ret_exp)
{
    unsigned f = fp_frac_bits(s);

    *ret_exp = (int)((a & fp_inf(s)) >> f);
    return (a & (BIT(f) - 1)) << (52 - f);
}

static uint64_t pack52(enum fp_size s, bool sign, int exp, uint64_t frac)
{
    unsigned f = fp_frac_bits(s);

    return with_sign(s, sign, (uint64_t)exp << f | frac >> (52 - f));
}

static bool flushes(const struct fp_env *e, enum fp_size s)
{
    return e->fpcr & (s == FP_H ? FPCR_FZ16 : FPCR_FZ);
}

uint64_t fp_recip_estimate(struct fp_env *e, enum fp_size s, uint64_t a)
{
    struct fp_num x = fp_unpack(e, s, a);
    int exp, result_exp, top = s == FP_H ? 29 : s == FP_S ? 253 : 2045;
    enum fp_rmode mode = fp_rmode(e);
    uint64_t frac;
    bool to_inf;

    if (fp_is_nan(s, a))
        return fp_nan1(e, s, a);
    if (x.cls == FP_INFINITE)
        return with_sign(s, x.sign, 0);
    if (x.cls == FP_ZERO) {
        e->flags |= FP_DZC;
        return with_sign(s, x.sign, fp_inf(s));
    }
    frac = fraction52(s, a, &exp);
    if (!exp && !(frac >> 50)) { /* below 2^-16, 2^-128, 2^-1024: the reciprocal overflows */
        to_inf = mode == FP_RN || (mode == FP_RP && !x.sign) || (mode == FP_RM && x.sign);
        e->flags |= FP_OFC | FP_IXC;
        return with_sign(s, x.sign, to_inf ? fp_inf(s) : fp_inf(s) - 1);
    }
    if (flushes(e, s) && exp >= top) { /* 2^14, 2^126, 2^1022 and above */
        e->flags |= FP_UFC;
        return with_sign(s, x.sign, 0);
    }
    if (!exp) {
        if (!(frac >> 51)) {
            exp = -1;
            frac <<= 2;
        } else {
            frac <<= 1;
        }
        frac &= BIT(52) - 1;
    }
    result_exp = top - exp;
    frac = (uint64_t)(recip_table(256 | (unsigned)(frac >> 44)) & 255) << 44;
    if (result_exp == 0) {
        frac = BIT(51) | frac >> 1;
    } else if (result_exp == -1) {
        frac = BIT(50) | frac >> 2;
        result_exp = 0;
    }
    return pack52(s, x.sign, result_exp, frac);
}

uint64_t fp_rsqrt_estimate(struct fp_env *e, enum fp_size s, uint64_t a)
{
    struct fp_num x = fp_unpack(e, s, a);
    int exp, base = s == FP_H ? 44 : s == FP_S ? 380 : 3068;
    unsigned scaled;
    uint64_t frac;

    if (fp_is_nan(s, a))
        return fp_nan1(e, s, a);
    if (x.cls == FP_ZERO) {
        e->flags |= FP_DZC;
        return with_sign(s, x.sign, fp_inf(s));
    }
    if (x.sign)
        return fp_invalid(e, s);
    if (x.cls == FP_INFINITE)
        return 0;
    frac = fraction52(s, a, &exp);
    if (!exp) {
        while (!(frac & BIT(51))) {
            frac <<= 1;
            exp--;
        }
        frac = frac << 1 & (BIT(52) - 1);
    }
    scaled = exp & 1 ? 128 | (unsigned)(frac >> 45) : 256 | (unsigned)(frac >> 44);
    return pack52(s, false, (base - exp) / 2, (uint64_t)(rsqrt_table(scaled) & 255) << 44);
}

uint32_t fp_urecpe(uint32_t a)
{
    return a >> 31 ? (uint32_t)recip_table(a >> 23) << 23 : 0xffffffff;
}

uint32_t fp_ursqrte(uint32_t a)
{
    return a >> 30 ? (uint32_t)rsqrt_table(a >> 23) << 23 : 0xffffffff;
}

uint64_t fp_recpx(struct fp_env *e, enum fp_size s, uint64_t a)
{
    uint64_t sign = a & fp_sign_bit(s), exp = a & fp_inf(s);

    if (fp_is_nan(s, a))
        return fp_nan1(e, s, a);
    (void)fp_unpack(e, s, a); /* input denormal */
    return sign | (exp ? ~exp & fp_inf(s) : fp_inf(s) - BIT(fp_frac_bits(s)));
}

/* FPRecipStepFused (k = 2) and FPRSqrtStepFused (k = 3, the sum halved). */
static uint64_t step(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b, unsigned k)
{
    struct fp_num x, y, sum;
    uint64_t nan, one = fp_inf(s) >> 1 & fp_inf(s);
    bool sign;

    a ^= fp_sign_bit(s);
    x = fp_unpack(e, s, a);
    y = fp_unpack(e, s, b);
    sign = x.sign ^ y.sign;
    if (fp_nan2(e, s, a, b, &nan))
        return nan;
    if ((x.cls == FP_INFINITE && y.cls == FP_ZERO) || (x.cls == FP_ZERO && y.cls == FP_INFINITE))
        return k == 2 ? one + BIT(fp_frac_bits(s)) : one | fp_quiet_bit(s);
    if (x.cls == FP_INFINITE || y.cls == FP_INFINITE)
        return with_sign(s, sign, fp_inf(s));
    sum = fp_num_add((struct fp_num){ FP_FINITE, false, 0, k }, fp_num_mul(x, y));
    if (sum.cls == FP_ZERO)
        return with_sign(s, fp_rmode(e) == FP_RM, 0);
    sum.exp -= k == 3;
    return fp_round(e, s, &sum, fp_rmode(e));
}

uint64_t fp_recip_step(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b)
{
    return step(e, s, a, b, 2);
}

uint64_t fp_rsqrt_step(struct fp_env *e, enum fp_size s, uint64_t a, uint64_t b)
{
    return step(e, s, a, b, 3);
}

/* ---- to integers ---- */

/* |x| rounded to an integer, at most `most` + 1; *ret_inexact. */
static u128 round_to_int(const struct fp_num *x, enum fp_rmode mode, bool *ret_inexact)
{
    u128 i, rest, half;
    unsigned drop;

    *ret_inexact = false;
    if (x->cls == FP_ZERO)
        return 0;
    if (x->exp >= 0)
        return x->exp > 64 ? (u128)1 << 120 : x->m << x->exp;
    drop = (unsigned)-x->exp;
    if (drop > 120) { /* m has 106 bits at most */
        i = 0;
        rest = 1;
        half = 2;
    } else {
        i = x->m >> drop;
        rest = x->m & (((u128)1 << drop) - 1);
        half = (u128)1 << (drop - 1);
    }
    *ret_inexact = rest != 0;
    switch (mode) {
    case FP_RN: return i + (rest > half || (rest == half && (i & 1)));
    case FP_RP: return i + (rest && !x->sign);
    case FP_RM: return i + (rest && x->sign);
    case FP_TIEAWAY: return i + (rest >= half);
    default: return i;
    }
}

uint64_t fp_round_int(struct fp_env *e, enum fp_size s, uint64_t a, enum fp_rmode mode, bool exact)
{
    struct fp_num x = fp_unpack(e, s, a), r;
    bool inexact;

    if (fp_is_nan(s, a))
        return fp_nan1(e, s, a);
    if (x.cls == FP_INFINITE || (x.cls == FP_FINITE && x.exp >= 0))
        return a;
    r = (struct fp_num){ FP_FINITE, x.sign, 0, round_to_int(&x, mode, &inexact) };
    if (inexact && exact)
        e->flags |= FP_IXC;
    return r.m ? fp_round(e, s, &r, FP_RZ) : with_sign(s, x.sign, 0);
}

uint64_t fp_round_int_n(struct fp_env *e, enum fp_size s, uint64_t a, enum fp_rmode mode,
                        unsigned bits)
{
    struct fp_num x = fp_unpack(e, s, a), r = { FP_FINITE, true, 0, (u128)1 << (bits - 1) };
    bool inexact;
    u128 i;

    if (x.cls > FP_FINITE) {
        e->flags |= FP_IOC;
        return fp_round(e, s, &r, FP_RZ);
    }
    i = round_to_int(&x, mode, &inexact);
    if (i > r.m - !x.sign) {
        e->flags |= FP_IOC;
        return fp_round(e, s, &r, FP_RZ);
    }
    if (inexact)
        e->flags |= FP_IXC;
    r.m = i;
    r.sign = x.sign;
    return i ? fp_round(e, s, &r, FP_RZ) : with_sign(s, x.sign, 0);
}

uint64_t fp_to_fixed(struct fp_env *e, enum fp_size s, uint64_t a, unsigned fbits, bool is_unsigned,
                     enum fp_rmode mode, unsigned bits)
{
    struct fp_num x = fp_unpack(e, s, a);
    uint64_t ones = bits == 64 ? ~0ull : BIT(bits) - 1, min, max;
    bool inexact;
    u128 i;

    if (x.cls >= FP_QNAN) {
        e->flags |= FP_IOC;
        return 0;
    }
    max = is_unsigned ? ones : ones >> 1;
    min = is_unsigned ? 0 : BIT(bits - 1); /* magnitude */
    x.exp += (int)fbits;
    i = x.cls == FP_INFINITE ? (u128)1 << 120 : round_to_int(&x, mode, &inexact);
    if (i > (x.sign ? min : max)) {
        e->flags |= FP_IOC;
        return x.sign ? min : max;
    }
    if (inexact)
        e->flags |= FP_IXC;
    return (x.sign ? -(uint64_t)i : (uint64_t)i) & ones;
}

uint64_t fp_from_fixed(struct fp_env *e, enum fp_size s, uint64_t a, unsigned fbits,
                       bool is_unsigned, unsigned bits)
{
    struct fp_num x = { .cls = FP_FINITE, .exp = -(int)fbits };

    x.sign = !is_unsigned && a >> (bits - 1) & 1;
    if (!is_unsigned)
        a = (uint64_t)sext(a, bits);
    else if (bits < 64)
        a &= BIT(bits) - 1;
    x.m = x.sign ? -a : a;
    return a ? fp_round(e, s, &x, fp_rmode(e)) : 0;
}

uint32_t fp_to_js(struct fp_env *e, uint64_t a, bool *ret_exact)
{
    struct fp_num x = fp_unpack(e, FP_D, a);
    bool inexact = false;
    uint64_t i;
    u128 m;

    *ret_exact = false;
    if (x.cls > FP_FINITE) {
        if (x.cls >= FP_INFINITE)
            e->flags |= FP_IOC;
        return 0;
    }
    if (x.cls == FP_FINITE && x.exp > 31) { /* a multiple of 2^32 */
        e->flags |= FP_IOC;
        return 0;
    }
    m = round_to_int(&x, FP_RZ, &inexact);
    i = x.sign ? -(uint64_t)m : (uint64_t)m;
    if (m > (x.sign ? 1u << 31 : 0x7fffffffu))
        e->flags |= FP_IOC;
    else if (inexact)
        e->flags |= FP_IXC;
    else
        *ret_exact = !(x.cls == FP_ZERO && a); /* not for -0 (and no flushed denormal) */
    return (uint32_t)i;
}

/* ---- between formats ---- */

/* FPConvertNaN: the payload's high bits. */
static uint64_t convert_nan(enum fp_size to, enum fp_size from, uint64_t a)
{
    uint64_t frac = (a & (BIT(fp_frac_bits(from)) - 1)) << (52 - fp_frac_bits(from));

    return with_sign(to, (a & fp_sign_bit(from)) != 0,
                     fp_default_nan(to) | frac >> (52 - fp_frac_bits(to)));
}

uint64_t fp_convert(struct fp_env *e, enum fp_size to, enum fp_size from, uint64_t a,
                    enum fp_rmode mode)
{
    struct fp_num x = fp_unpack_cv(e, from, a);
    bool alt = to == FP_H && e->fpcr & FPCR_AHP;

    switch (x.cls) {
    case FP_QNAN:
    case FP_SNAN:
        if (x.cls == FP_SNAN || alt)
            e->flags |= FP_IOC;
        if (alt)
            return with_sign(to, x.sign, 0);
        return e->fpcr & FPCR_DN ? fp_default_nan(to) : convert_nan(to, from, a);
    case FP_INFINITE:
        if (alt)
            e->flags |= FP_IOC;
        return with_sign(to, x.sign, alt ? 0x7fff : fp_inf(to));
    case FP_ZERO: return with_sign(to, x.sign, 0);
    default: return fp_round_cv(e, to, &x, mode);
    }
}
