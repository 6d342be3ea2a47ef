/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Floating point ops in portable C, with x86's results: NaN payloads, min and max, the integer
 * indefinite. Sticky flags through <fenv.h>; the denormal flag, DAZ and FTZ have no portable form
 * and are missing. Operands go through volatile so that the compiler computes nothing before its
 * time.
 */
#include "ir/interp.h"

#include <assert.h>
#include <fenv.h>
#include <math.h>
#include <string.h>

/* Through a volatile pointer: what gcc puts in place of rint() rounds by magnitude, wrong where the
 * mode is directed. */
static double (*const volatile host_rint)(double) = rint;

static bool is_f64(const struct fp_op *f)
{
    return (f->sub & ~IR_SCALAR & 0xff) == IR_F64;
}

static uint64_t lane(const union ir_v128 *v, bool f64, unsigned k)
{
    return f64 ? v->u64[k] : v->u32[k];
}

static void lane_set(union ir_v128 *v, bool f64, unsigned k, uint64_t x)
{
    if (f64)
        v->u64[k] = x;
    else
        v->u32[k] = (uint32_t)x;
}

static double to_f64(uint64_t x, bool f64)
{
    union {
        uint64_t u;
        double d;
    } d = { x };
    union {
        uint32_t u;
        float f;
    } s = { (uint32_t)x };

    return f64 ? d.d : (double)s.f;
}

static bool is_nan(uint64_t x, bool f64)
{
    return f64 ? (x << 1) > UINT64_C(0xffe0000000000000) : (uint32_t)(x << 1) > 0xff000000u;
}

static uint64_t quiet_bit(bool f64)
{
    return f64 ? UINT64_C(1) << 51 : UINT64_C(1) << 22;
}

static bool is_snan(uint64_t x, bool f64)
{
    return is_nan(x, f64) && !(x & quiet_bit(f64));
}

static uint64_t default_nan(bool f64)
{
    return f64 ? UINT64_C(0xfff8000000000000) : 0xffc00000u;
}

/* x as the NaN that an operation on it gives. */
static uint64_t quieted(uint64_t x, bool f64)
{
    if (is_snan(x, f64))
        feraiseexcept(FE_INVALID);
    return x | quiet_bit(f64);
}

static uint64_t arith32(enum ir_op op, uint64_t a, uint64_t b)
{
    union {
        uint32_t u;
        float f;
    } x = { (uint32_t)a }, y = { (uint32_t)b }, z;
    volatile float p = x.f, q = y.f, r;

    switch (op) {
    case IR_VFADD: r = p + q; break;
    case IR_VFSUB: r = p - q; break;
    case IR_VFMUL: r = p * q; break;
    case IR_VFDIV: r = p / q; break;
    default: r = sqrtf(q); break;
    }
    z.f = r;
    return z.u;
}

static uint64_t arith64(enum ir_op op, uint64_t a, uint64_t b)
{
    union {
        uint64_t u;
        double f;
    } x = { a }, y = { b }, z;
    volatile double p = x.f, q = y.f, r;

    switch (op) {
    case IR_VFADD: r = p + q; break;
    case IR_VFSUB: r = p - q; break;
    case IR_VFMUL: r = p * q; break;
    case IR_VFDIV: r = p / q; break;
    default: r = sqrt(q); break;
    }
    z.f = r;
    return z.u;
}

static uint64_t arith(enum ir_op op, uint64_t a, uint64_t b, bool f64)
{
    uint64_t r;

    if (op == IR_VFSQRT)
        a = b;
    if (is_nan(a, f64) || is_nan(b, f64)) {
        if (is_snan(b, f64))
            feraiseexcept(FE_INVALID);
        return quieted(is_nan(a, f64) ? a : b, f64);
    }
    r = f64 ? arith64(op, a, b) : arith32(op, a, b);
    return is_nan(r, f64) ? default_nan(f64) : r;
}

static uint64_t min_max(enum ir_op op, uint64_t a, uint64_t b, bool f64)
{
    double x, y;

    if (is_nan(a, f64) || is_nan(b, f64)) {
        feraiseexcept(FE_INVALID);
        return b;
    }
    x = to_f64(a, f64);
    y = to_f64(b, f64);
    return (op == IR_VFMIN ? x < y : x > y) ? a : b;
}

/* Predicates 0..3; 4..7 are their negation. lt and le signal on every NaN. */
static uint64_t compare(unsigned pred, uint64_t a, uint64_t b, bool f64)
{
    bool nan = is_nan(a, f64) || is_nan(b, f64), yes;
    bool signals = (pred & 3) == 1 || (pred & 3) == 2;

    if (nan && (signals || is_snan(a, f64) || is_snan(b, f64)))
        feraiseexcept(FE_INVALID);
    switch (pred & 3) {
    case 0: yes = !nan && to_f64(a, f64) == to_f64(b, f64); break;
    case 1: yes = !nan && to_f64(a, f64) < to_f64(b, f64); break;
    case 2: yes = !nan && to_f64(a, f64) <= to_f64(b, f64); break;
    default: yes = nan; break;
    }
    return yes != (pred >> 2 & 1) ? ~UINT64_C(0) : 0;
}

/* 1 / x or 1 / sqrt(x), better than x86's 12 bits; no flags. */
static uint64_t estimate(enum ir_op op, uint64_t b)
{
    fenv_t env;
    uint64_t r, one = 0x3f800000;

    fegetenv(&env);
    r = arith(IR_VFDIV, one, op == IR_VFRCP ? b : arith(IR_VFSQRT, b, b, false), false);
    fesetenv(&env);
    return r;
}

/* imm: bits 1..0 the mode unless bit 2 says the environment's; bit 3: inexact is not reported. */
static uint64_t round_to_int(unsigned imm, uint64_t b, bool f64)
{
    static const int modes[] = { FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO };
    int was = fegetround(), had = fetestexcept(FE_INEXACT);
    union {
        uint64_t u;
        double d;
    } z;
    union {
        uint32_t u;
        float f;
    } s;
    volatile double x;

    if (is_nan(b, f64))
        return quieted(b, f64);
    if (!(imm & 4))
        fesetround(modes[imm & 3]);
    x = to_f64(b, f64);
    x = host_rint(x);
    fesetround(was);
    if (imm & 8 && !had)
        feclearexcept(FE_INEXACT);
    z.d = x;
    if (f64)
        return z.u;
    s.f = (float)z.d;
    return s.u;
}

static uint64_t float_to_float(uint64_t b, bool f64)
{
    union {
        uint64_t u;
        double d;
    } d = { b };
    union {
        uint32_t u;
        float f;
    } s = { (uint32_t)b };
    volatile double vd;
    volatile float vf;

    if (is_nan(b, f64)) {
        uint64_t q = quieted(b, f64);

        if (f64)
            return (q >> 32 & 0x80000000u) | 0x7fc00000u | (q >> 29 & 0x3fffff);
        return (q & 0x80000000u) << 32 | UINT64_C(0x7ff8000000000000) | (q & 0x3fffff) << 29;
    }
    if (f64) {
        vd = d.d;
        vf = (float)vd;
        s.f = vf;
        return s.u;
    }
    vf = s.f;
    vd = vf;
    d.d = vd;
    return d.u;
}

static uint64_t float_to_int(bool truncate, uint64_t b, bool f64, bool wide)
{
    double limit = wide ? 0x1p63 : 0x1p31;
    int had = fetestexcept(FE_INEXACT);
    volatile double x;

    if (!is_nan(b, f64)) {
        x = to_f64(b, f64);
        if (truncate && x != trunc(x))
            feraiseexcept(FE_INEXACT);
        x = truncate ? trunc(x) : host_rint(x);
        if (x >= -limit && x < limit)
            return wide ? (uint64_t)(int64_t)x : (uint32_t)(int32_t)x;
        if (!had)
            feclearexcept(FE_INEXACT); /* the invalid flag comes alone */
    }
    feraiseexcept(FE_INVALID);
    return wide ? UINT64_C(1) << 63 : 0x80000000u;
}

static uint64_t int_to_float(int64_t i, bool f64)
{
    volatile int64_t v = i;
    union {
        uint64_t u;
        double d;
    } d;
    union {
        uint32_t u;
        float f;
    } s;

    if (f64)
        d.d = (double)v;
    else
        s.f = (float)v;
    return f64 ? d.u : s.u;
}

/* Sums of pairs of products; the order of the additions is the instruction's. */
static void dot(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    bool f64 = is_f64(f);
    unsigned count = f64 ? 2 : 4;
    uint64_t p[4], sum;

    for (unsigned k = 0; k < count; k++)
        p[k] = f->imm >> (4 + k) & 1 ? arith(IR_VFMUL, lane(d, f64, k), lane(b, f64, k), f64) : 0;
    sum = arith(IR_VFADD, p[0], p[1], f64);
    if (!f64)
        sum = arith(IR_VFADD, sum, arith(IR_VFADD, p[2], p[3], f64), f64);
    for (unsigned k = 0; k < count; k++)
        lane_set(d, f64, k, f->imm >> k & 1 ? sum : 0);
}

static void horizontal(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    bool f64 = is_f64(f);
    unsigned count = f64 ? 2 : 4;
    enum ir_op op = f->op == IR_VFHADD ? IR_VFADD : IR_VFSUB;
    union ir_v128 a = *d, c = *b;

    for (unsigned k = 0; k < count; k++) {
        const union ir_v128 *from = k < count / 2 ? &a : &c;
        unsigned at = 2 * (k % (count / 2));

        lane_set(d, f64, k, arith(op, lane(from, f64, at), lane(from, f64, at + 1), f64));
    }
}

static void order(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    bool f64 = is_f64(f);
    uint64_t x = lane(d, f64, 0), y = lane(b, f64, 0);
    bool nan = is_nan(x, f64) || is_nan(y, f64);

    if (nan && (f->imm || is_snan(x, f64) || is_snan(y, f64)))
        feraiseexcept(FE_INVALID);
    d->u64[0] = nan                                ? 0x45
                : to_f64(x, f64) == to_f64(y, f64) ? 0x40
                                                   : to_f64(x, f64) < to_f64(y, f64);
    d->u64[1] = 0;
}

/* Conversions that change the width of lanes. */
static void convert(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    bool f64 = is_f64(f), scalar = f->sub & IR_SCALAR;
    union ir_v128 r = { 0 };
    unsigned count = f->op == IR_VFCVTPIF || f->op == IR_VFCVTPFI ? (f64 ? 2 : 4) : scalar ? 1 : 2;

    if (f->op == IR_VFCVTFF && scalar)
        r = *d;
    for (unsigned k = 0; k < count; k++) {
        if (f->op == IR_VFCVTFF)
            lane_set(&r, !f64, k, float_to_float(lane(b, f64, k), f64));
        else if (f->op == IR_VFCVTPIF)
            lane_set(&r, f64, k, int_to_float(b->s32[k], f64));
        else
            r.u32[k] = (uint32_t)float_to_int(f->imm & 1, lane(b, f64, k), f64, false);
    }
    *d = r;
}

static uint64_t one_lane(const struct fp_op *f, unsigned k, uint64_t a, uint64_t b, bool f64)
{
    switch (f->op) {
    case IR_VFMIN:
    case IR_VFMAX: return min_max(f->op, a, b, f64);
    case IR_VFRCP:
    case IR_VFRSQRT: return estimate(f->op, b);
    case IR_VFCMP: return compare(f->imm & 7, a, b, f64);
    case IR_VFADDSUB: return arith(k & 1 ? IR_VFADD : IR_VFSUB, a, b, f64);
    case IR_VFROUND: return round_to_int(f->imm, b, f64);
    default: return arith(f->op, a, b, f64);
    }
}

void ir_fp_portable(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    bool f64 = is_f64(f);
    unsigned count = f->sub & IR_SCALAR ? 1 : f64 ? 2 : 4;

    switch (f->op) {
    case IR_VFHADD:
    case IR_VFHSUB: horizontal(f, d, b); return;
    case IR_VFDP: dot(f, d, b); return;
    case IR_VFCOM: order(f, d, b); return;
    case IR_VFCVTFF:
    case IR_VFCVTPIF:
    case IR_VFCVTPFI: convert(f, d, b); return;
    case IR_VFCVTIF:
        lane_set(d, f64, 0, int_to_float(f->int_type == IR_I64 ? b->s64[0] : b->s32[0], f64));
        return;
    case IR_VFCVTFI:
        d->u64[0] = float_to_int(f->imm & 1, lane(d, f64, 0), f64, f->type == IR_I64);
        d->u64[1] = 0;
        return;
    case IR_VFMADD:
    case IR_VFCANON:
    case IR_VFCVTUF:
    case IR_VFCVTHF:
    case IR_VFCVTFH: ir_fp_convert(f, d, b); return;
    default:
        for (unsigned k = 0; k < count; k++)
            lane_set(d, f64, k, one_lane(f, k, lane(d, f64, k), lane(b, f64, k), f64));
    }
}
