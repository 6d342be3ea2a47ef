/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Floating point ops that came with the Arm and RISC-V guests, in portable C: fused multiply-add,
 * NaN patterns, unsigned conversions, half precision. Sticky flags through <fenv.h>; the denormal
 * flag has no portable form.
 */
#include "ir/interp.h"

#include <fenv.h>
#include <math.h>

#include "base/bits.h"

static bool is_f64(const struct fp_op *f)
{
    return (f->sub & ~IR_SCALAR & 0xff) == IR_F64;
}

static bool is_nan(uint64_t x, bool f64)
{
    return f64 ? (x << 1) > UINT64_C(0xffe0000000000000) : (uint32_t)(x << 1) > 0xff000000u;
}

/* ---- fused multiply-add: the first NaN of a, b, c; flags as x86's ---- */

static uint64_t fused(uint64_t a, uint64_t b, uint64_t c, unsigned negate, bool f64)
{
    uint64_t quiet = f64 ? BIT(51) : BIT(22), sign = f64 ? BIT(63) : BIT(31);
    const uint64_t v[3] = { a, b, c };
    uint64_t nan = 0;
    bool signals = false;

    for (unsigned k = 3; k--;)
        if (is_nan(v[k], f64)) {
            nan = v[k] | quiet;
            signals |= !(v[k] & quiet);
        }
    if (signals)
        feraiseexcept(FE_INVALID);
    if (nan)
        return nan;
    if (negate & 1)
        a ^= sign;
    if (negate & 2)
        c ^= sign;
    if (f64) {
        union {
            uint64_t u;
            double f;
        } x = { a }, y = { b }, z = { c };

        z.f = fma(x.f, y.f, z.f);
        return is_nan(z.u, true) ? UINT64_C(0xfff8000000000000) : z.u;
    } else {
        union {
            uint32_t u;
            float f;
        } x = { (uint32_t)a }, y = { (uint32_t)b }, z = { (uint32_t)c };

        z.f = fmaf(x.f, y.f, z.f);
        return is_nan(z.u, false) ? 0xffc00000u : z.u;
    }
}

static void multiply_add(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    bool f64 = is_f64(f);
    unsigned count = f->sub & IR_SCALAR ? 1 : f64 ? 2 : 4;

    for (unsigned k = 0; k < count; k++)
        if (f64)
            d->u64[k] = fused(d->u64[k], b->u64[k], f->c->u64[k], f->imm, true);
        else
            d->u32[k] = (uint32_t)fused(d->u32[k], b->u32[k], f->c->u32[k], f->imm, false);
}

static void canon(const struct fp_op *f, union ir_v128 *d)
{
    bool f64 = is_f64(f);
    unsigned count = f->sub & IR_SCALAR ? 1 : f64 ? 2 : 4;

    for (unsigned k = 0; k < count; k++)
        if (f64 && is_nan(d->u64[k], true))
            d->u64[k] = f->pattern;
        else if (!f64 && is_nan(d->u32[k], false))
            d->u32[k] = (uint32_t)f->pattern;
}

static void from_unsigned(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    volatile uint64_t v = f->int_type == IR_I64 ? b->u64[0] : b->u32[0];
    volatile int64_t half = (int64_t)(v >> 1 | (v & 1));
    bool top = v >> 63;

    /* through a signed half with a sticky bit, which rounds once in every mode */
    if (is_f64(f)) {
        volatile double x = top ? (double)half : (double)(int64_t)v;

        d->f64[0] = top ? x + x : x;
    } else {
        volatile float x = top ? (float)half : (float)(int64_t)v;

        d->f32[0] = top ? x + x : x;
    }
}

/* ---- half precision ---- */

static uint32_t from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;

    if (e == 31) {
        if (m && !(m & 0x200))
            feraiseexcept(FE_INVALID);
        return sign | 0x7f800000u | m << 13 | (m ? 0x400000u : 0);
    }
    if (!e && !m)
        return sign;
    if (!e) { /* normal in f32 */
        unsigned up = (unsigned)__builtin_clz(m) - 21;

        m = m << up & 0x3ff;
        e = 1 - up;
    }
    return sign | (e + 112) << 23 | m << 13;
}

/* Is a value whose cut-off bits are rest, of half weight half, rounded away from zero? */
static bool rounds_up(bool negative, bool odd, uint64_t rest, uint64_t half)
{
    switch (fegetround()) {
    case FE_TONEAREST: return rest > half || (rest == half && odd);
    case FE_UPWARD: return rest && !negative;
    case FE_DOWNWARD: return rest && negative;
    default: return false;
    }
}

static uint16_t to_half(uint32_t s)
{
    uint32_t m = s & 0x7fffff;
    uint16_t sign = (uint16_t)(s >> 16 & 0x8000), r;
    int e = (int)(s >> 23 & 0xff) - 127, cut = 13;
    uint64_t rest, full, with_range;
    bool tiny;

    if (e == 128) {
        if (m && !(m & 0x400000))
            feraiseexcept(FE_INVALID);
        return (uint16_t)(sign | 0x7c00 | m >> 13 | (m ? 0x200 : 0));
    }
    if (e == -127 && !m)
        return sign;
    full = m | (e == -127 ? 0 : 0x800000);
    if (e == -127)
        e = -126;
    tiny = e < -14;
    if (tiny) { /* a tiny number has the exponent -14 and a smaller fraction */
        /* after rounding to 11 bits with any exponent it may not be tiny: x86 looks there */
        with_range = full >> 13;
        with_range += rounds_up(sign, with_range & 1, full & 0x1fff, 0x1000);
        if (e == -15 && with_range == 0x800)
            tiny = false;
        cut += -14 - e;
        if (cut > 40)
            cut = 40;
    }
    rest = full & (BIT(cut) - 1);
    r = (uint16_t)(full >> cut);
    if (e >= -14)
        r = (uint16_t)(r + ((e + 14) << 10)); /* the hidden bit is worth 1 << 10 */
    if (e > 15) {
        rest = 1;
        r = 0x7fff; /* decided below */
    }
    if (e <= 15)
        r = (uint16_t)(r + rounds_up(sign, r & 1, rest, BIT(cut - 1)));
    if (r >= 0x7c00) {
        bool to_max = fegetround() == FE_TOWARDZERO || (fegetround() == FE_UPWARD && sign) ||
                      (fegetround() == FE_DOWNWARD && !sign);

        feraiseexcept(FE_OVERFLOW | FE_INEXACT);
        return sign | (to_max ? 0x7bff : 0x7c00);
    }
    if (rest)
        feraiseexcept(FE_INEXACT | (tiny ? FE_UNDERFLOW : 0));
    return sign | r;
}

void ir_fp_convert(const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b)
{
    unsigned count = f->imm & 1 ? 1 : 4;
    union ir_v128 r = { 0 };

    switch (f->op) {
    case IR_VFMADD: multiply_add(f, d, b); return;
    case IR_VFCANON: canon(f, d); return;
    case IR_VFCVTUF: from_unsigned(f, d, b); return;
    case IR_VFCVTHF:
        for (unsigned k = 0; k < count; k++)
            r.u32[k] = from_half(b->u16[k]);
        break;
    default:
        for (unsigned k = 0; k < count; k++)
            r.u16[k] = to_half(b->u32[k]);
        break;
    }
    *d = r;
}
