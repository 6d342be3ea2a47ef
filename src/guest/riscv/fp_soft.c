/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exact floating point in integer arithmetic: see fp_soft.h. */
#include "guest/riscv/fp_soft.h"

#include "guest/riscv/riscv.h"

typedef unsigned __int128 u128;

struct fmt {
    unsigned frac, exp; /* bits */
};
static const struct fmt fmts[4] = { [1] = { 10, 5 }, [2] = { 23, 8 }, [3] = { 52, 11 } };

enum cls { ZERO, FINITE, INFINITE, QNAN, SNAN };
struct num { /* m * 2^exp; m is not 0 when FINITE, and its bit 0 may be sticky */
    enum cls cls;
    bool sign;
    int exp;
    u128 m;
};
struct env {
    unsigned rm;
    uint32_t *fflags;
};

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

/* ---- formats ---- */

static uint64_t inf_of(const struct fmt *f)
{
    return (BIT(f->exp) - 1) << f->frac;
}

static uint64_t boxed(int sz, uint64_t v)
{
    return sz == 3 ? v : v | ~UINT64_C(0) << (8 << sz);
}

static uint64_t nan_of(int sz)
{
    return boxed(sz, inf_of(&fmts[sz]) | BIT(fmts[sz].frac - 1));
}

static struct num unpack(int sz, uint64_t v)
{
    const struct fmt *f = &fmts[sz];
    uint64_t frac = v & (BIT(f->frac) - 1), exp = v >> f->frac & (BIT(f->exp) - 1);
    struct num n = { .sign = v >> (f->frac + f->exp) & 1 };
    int bias = (1 << (f->exp - 1)) - 1;

    if (boxed(sz, v) != v) {
        n.cls = QNAN;
        return n;
    }
    if (exp == BIT(f->exp) - 1) {
        n.cls = !frac ? INFINITE : frac >> (f->frac - 1) ? QNAN : SNAN;
        return n;
    }
    if (!exp && !frac)
        return n;
    n.cls = FINITE;
    n.m = exp ? frac | BIT(f->frac) : frac;
    n.exp = (exp ? (int)exp : 1) - bias - (int)f->frac;
    return n;
}

/* m >> shift by the mode; *rest: it was not exact. */
static u128 round_off(u128 m, int shift, bool sign, unsigned rm, bool *rest)
{
    u128 q, low, half;
    bool up;

    if (shift <= 0) {
        *rest = false;
        return m << -shift;
    }
    if (shift > 126) {
        m = shift_right_sticky(m, (unsigned)shift - 126);
        shift = 126;
    }
    q = m >> shift;
    low = m & (((u128)1 << shift) - 1);
    half = (u128)1 << (shift - 1);
    switch (rm) {
    case RV_RNE: up = low > half || (low == half && q & 1); break;
    case RV_RDN: up = low && sign; break;
    case RV_RUP: up = low && !sign; break;
    case RV_RMM: up = low >= half; break;
    default: up = false;
    }
    *rest = low != 0;
    return q + up;
}

static uint64_t overflow(const struct env *e, const struct fmt *f, bool sign)
{
    bool to_inf = e->rm == RV_RNE || e->rm == RV_RMM || (e->rm == RV_RUP && !sign) ||
                  (e->rm == RV_RDN && sign);

    *e->fflags |= RV_OF | RV_NX;
    return inf_of(f) - !to_inf;
}

static uint64_t pack_finite(const struct env *e, const struct fmt *f, const struct num *n)
{
    int emin = 2 - (1 << (f->exp - 1)), top = n->exp + (int)top_bit(n->m);
    int lsb = (top < emin ? emin : top) - (int)f->frac; /* weight of the result's last bit */
    bool inexact, ignored, tiny = top < emin;
    uint64_t frac = (uint64_t)round_off(n->m, lsb - n->exp, n->sign, e->rm, &inexact);

    if (tiny && top == emin - 1) /* rounded to full precision it may reach the smallest normal */
        tiny = round_off(n->m, top - (int)f->frac - n->exp, n->sign, e->rm, &ignored) >>
                   (f->frac + 1) ==
               0;
    if (frac >> (f->frac + 1)) {
        frac >>= 1;
        lsb++;
    }
    if (inexact)
        *e->fflags |= RV_NX | (tiny ? RV_UF : 0);
    if (!(frac >> f->frac)) /* subnormal or zero */
        return frac;
    int exp = lsb + (int)f->frac + (1 << (f->exp - 1)) - 1;
    if (exp >= (1 << f->exp) - 1)
        return overflow(e, f, n->sign);
    return (uint64_t)exp << f->frac | (frac & (BIT(f->frac) - 1));
}

static uint64_t pack(const struct env *e, int sz, const struct num *n)
{
    const struct fmt *f = &fmts[sz];
    uint64_t v;

    switch (n->cls) {
    case SNAN:
    case QNAN: return nan_of(sz);
    case ZERO: v = 0; break;
    case INFINITE: v = inf_of(f); break;
    default: v = pack_finite(e, f, n);
    }
    return boxed(sz, v | (uint64_t)n->sign << (f->frac + f->exp));
}

static struct num invalid(const struct env *e)
{
    *e->fflags |= RV_NV;
    return (struct num){ .cls = QNAN };
}

/* ---- arithmetic ---- */

static bool is_nan(const struct num *n)
{
    return n->cls >= QNAN;
}

/* True when one is NaN; the result is then NaN, and a signalling one is noted. */
static bool any_nan(const struct env *e, const struct num *a, const struct num *b)
{
    if (a->cls == SNAN || b->cls == SNAN)
        *e->fflags |= RV_NV;
    return is_nan(a) || is_nan(b);
}

static void to_top(struct num *n) /* the highest bit to bit 125 */
{
    int up = 125 - (int)top_bit(n->m);

    n->m = up >= 0 ? n->m << up : shift_right_sticky(n->m, (unsigned)-up);
    n->exp -= up;
}

static struct num add_finite(const struct env *e, struct num a, struct num b)
{
    struct num r = { .cls = FINITE };

    to_top(&a);
    to_top(&b);
    if (a.exp < b.exp || (a.exp == b.exp && a.m < b.m)) {
        struct num s = a;
        a = b;
        b = s;
    }
    b.m = shift_right_sticky(b.m, (unsigned)(a.exp - b.exp));
    r.sign = a.sign;
    r.exp = a.exp;
    r.m = a.sign == b.sign ? a.m + b.m : a.m - b.m;
    if (!r.m) {
        r.cls = ZERO;
        r.sign = e->rm == RV_RDN;
    }
    return r;
}

static struct num add(const struct env *e, struct num a, struct num b)
{
    if (any_nan(e, &a, &b))
        return (struct num){ .cls = QNAN };
    if (a.cls == INFINITE)
        return b.cls == INFINITE && a.sign != b.sign ? invalid(e) : a;
    if (b.cls == INFINITE)
        return b;
    if (a.cls == ZERO && b.cls == ZERO) {
        a.sign = a.sign == b.sign ? a.sign : e->rm == RV_RDN;
        return a;
    }
    if (a.cls == ZERO)
        return b;
    return b.cls == ZERO ? a : add_finite(e, a, b);
}

static struct num mul(const struct env *e, const struct num *a, const struct num *b)
{
    struct num r = { .sign = a->sign != b->sign, .exp = a->exp + b->exp };

    if (any_nan(e, a, b))
        return (struct num){ .cls = QNAN };
    if (a->cls == INFINITE || b->cls == INFINITE) {
        if (a->cls == ZERO || b->cls == ZERO)
            return invalid(e);
        r.cls = INFINITE;
    } else if (a->cls == FINITE && b->cls == FINITE) {
        r.cls = FINITE;
        r.m = a->m * b->m;
    }
    return r;
}

static struct num divide(const struct env *e, struct num a, struct num b)
{
    struct num r = { .sign = a.sign != b.sign };

    if (any_nan(e, &a, &b))
        return (struct num){ .cls = QNAN };
    if ((a.cls == INFINITE && b.cls == INFINITE) || (a.cls == ZERO && b.cls == ZERO))
        return invalid(e);
    if (a.cls == INFINITE || b.cls == ZERO) {
        if (a.cls != INFINITE)
            *e->fflags |= RV_DZ;
        r.cls = INFINITE;
    } else if (a.cls == FINITE && b.cls == FINITE) {
        to_top(&a);
        r.cls = FINITE;
        r.exp = a.exp - b.exp;
        r.m = a.m / b.m << 1 | (a.m % b.m != 0); /* 72 bits at least before the sticky one */
        r.exp -= 1;
    }
    return r;
}

static struct num square_root(const struct env *e, struct num a)
{
    u128 root = 0, rest = 0;

    if (a.cls == SNAN || (a.sign && a.cls != ZERO && a.cls != QNAN))
        return invalid(e);
    if (a.cls != FINITE)
        return a;
    to_top(&a);
    if (a.exp & 1) {
        a.m <<= 1;
        a.exp--;
    }
    for (int at = 126; at >= 0; at -= 2) { /* two bits in, one bit out */
        u128 trial = root << 2 | 1;

        rest = rest << 2 | (a.m >> at & 3);
        root <<= 1;
        if (rest >= trial) {
            rest -= trial;
            root |= 1;
        }
    }
    a.m = root << 1 | (rest != 0);
    a.exp = a.exp / 2 - 1;
    return a;
}

static struct num fma3(const struct env *e, struct num a, const struct num *b, struct num c,
                       unsigned how)
{
    a.sign ^= how & RV_SOFT_NEG_PRODUCT;
    c.sign ^= (how & RV_SOFT_NEG_ADDEND) != 0;
    if (c.cls == SNAN)
        *e->fflags |= RV_NV;
    return add(e, mul(e, &a, b), c); /* an invalid product counts even when c is a quiet NaN */
}

/* ---- integers ---- */

enum { IS_UNSIGNED = 1, IS_64 = 2 };

/* As the register gets it: 32-bit results sign-extended, unsigned ones, too. */
static uint64_t to_int(const struct env *e, const struct num *n, unsigned how)
{
    unsigned bits = how & IS_64 ? 64 : 32;
    bool inexact = false, neg = n->sign && !is_nan(n), over = n->cls >= INFINITE;
    u128 m = 0, limit = how & IS_UNSIGNED ? (neg ? 0 : ((u128)1 << bits) - 1)
                                          : ((u128)1 << (bits - 1)) - !neg;

    if (n->cls == FINITE) {
        over = n->exp + (int)top_bit(n->m) > 64;
        if (!over)
            m = round_off(n->m, -n->exp, n->sign, e->rm, &inexact);
    }
    over |= m > limit;
    if (over)
        m = limit;
    *e->fflags |= over ? RV_NV : inexact ? RV_NX : 0;
    uint64_t v = neg ? -(uint64_t)m : (uint64_t)m;
    return bits == 64 ? v : (uint64_t)(int64_t)(int32_t)v;
}

static struct num from_int(uint64_t v, unsigned how)
{
    struct num n = { 0 };

    if (!(how & IS_64))
        v = how & IS_UNSIGNED ? (uint32_t)v : (uint64_t)(int64_t)(int32_t)v;
    n.sign = !(how & IS_UNSIGNED) && v >> 63;
    n.m = n.sign ? -v : v;
    n.cls = v ? FINITE : ZERO;
    return n;
}

/* ---- the helper ---- */

uint64_t rv_soft(uint32_t desc, uint64_t va, uint64_t vb, uint64_t vc, uint32_t *fflags)
{
    enum rv_soft op = (enum rv_soft)(desc & 15);
    int sz = desc >> 4 & 15;
    unsigned how = desc >> 12;
    struct env e = { desc >> 8 & 15, fflags };
    struct num a = unpack(op == RV_SOFT_CVT ? (int)how : sz, va), b = unpack(sz, vb);

    switch (op) {
    case RV_SOFT_SUB: b.sign = !b.sign; /* fall through */
    case RV_SOFT_ADD: a = add(&e, a, b); break;
    case RV_SOFT_MUL: a = mul(&e, &a, &b); break;
    case RV_SOFT_DIV: a = divide(&e, a, b); break;
    case RV_SOFT_SQRT: a = square_root(&e, a); break;
    case RV_SOFT_FMA: a = fma3(&e, a, &b, unpack(sz, vc), how); break;
    case RV_SOFT_CVT:
        if (a.cls == SNAN)
            *fflags |= RV_NV;
        break;
    case RV_SOFT_TO_INT: return to_int(&e, &a, how);
    default: a = from_int(va, how);
    }
    return pack(&e, sz, &a);
}

static uint64_t do_soft(struct cpu *cpu, uint64_t desc, uint64_t a, uint64_t b, uint64_t c)
{
    uint32_t fflags = 0;
    uint64_t v = rv_soft((uint32_t)desc, a, b, c, &fflags);

    rv_fflags_raise(cpu, fflags);
    return v;
}

const struct helper rv_h_soft = { "rv_soft", (helper_fn *)do_soft, "i64 i32 i64 i64 i64",
                                  HELPER_NO_RAISE };
