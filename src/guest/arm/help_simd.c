/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Helpers of Advanced SIMD: what has no short form in host operations. Each works on 128 bits; the
 * translator gives clean operands where saturation counts.
 */
#include "guest/arm/tr_simd.h"

static uint64_t get(const union ir_v128 *v, unsigned size, unsigned i)
{
    switch (size) {
    case 0: return v->u8[i];
    case 1: return v->u16[i];
    case 2: return v->u32[i];
    default: return v->u64[i];
    }
}

static int64_t get_s(const union ir_v128 *v, unsigned size, unsigned i)
{
    return sext(get(v, size, i), 8u << size);
}

static void set(union ir_v128 *v, unsigned size, unsigned i, uint64_t x)
{
    switch (size) {
    case 0: v->u8[i] = (uint8_t)x; break;
    case 1: v->u16[i] = (uint16_t)x; break;
    case 2: v->u32[i] = (uint32_t)x; break;
    default: v->u64[i] = x; break;
    }
}

/* ---- saturation ---- */

static uint64_t sat_s(struct a64_cpu *x, __int128 v, unsigned bits)
{
    __int128 max = ((__int128)1 << (bits - 1)) - 1, min = -max - 1;

    if (v > max || v < min)
        x->fpsr_soft |= FP_QC;
    return (uint64_t)(v > max ? max : v < min ? min : v);
}

static uint64_t sat_u(struct a64_cpu *x, __int128 v, unsigned bits)
{
    __int128 max = ((__int128)1 << bits) - 1;

    if (v > max || v < 0)
        x->fpsr_soft |= FP_QC;
    return (uint64_t)(v > max ? max : v < 0 ? 0 : v);
}

/* v << k, or >> -k with rounding; far enough for any saturation. k is -128 .. 127. */
static __int128 shift(__int128 v, int k, bool rounds)
{
    if (k >= 0) {
        if (k > 63) /* |v| is below 2^64 */
            return !v ? 0 : v < 0 ? -((__int128)1 << 126) : (__int128)1 << 126;
        return v << k;
    }
    k = -k;
    if (k > 65)
        return v < 0 && !rounds ? -1 : 0;
    if (rounds)
        v += (__int128)1 << (k - 1);
    return v >> k;
}

static uint64_t shift_lane(struct a64_cpu *x, enum simd_op op, unsigned size,
                           const union ir_v128 *n, const union ir_v128 *m, unsigned i)
{
    unsigned bits = 8u << size;
    int k = (int8_t)get(m, size, i);
    __int128 s = get_s(n, size, i), u = get(n, size, i);

    switch (op) {
    case SO_SRSHL: return (uint64_t)(k >= (int)bits ? 0 : shift(s, k, true));
    case SO_URSHL: return (uint64_t)(k >= (int)bits ? 0 : shift(u, k, true));
    case SO_SQSHL: return sat_s(x, shift(s, k, false), bits);
    case SO_UQSHL: return sat_u(x, shift(u, k, false), bits);
    case SO_SQRSHL: return sat_s(x, shift(s, k, true), bits);
    case SO_UQRSHL: return sat_u(x, shift(u, k, true), bits);
    default: return sat_u(x, shift(s, k, false), bits); /* SQSHLU */
    }
}

/* ---- others ---- */

static uint64_t poly_mul(uint64_t a, uint64_t b) /* eight bits each */
{
    uint64_t r = 0;

    for (unsigned i = 0; i < 8; i++)
        r ^= b >> i & 1 ? a << i : 0;
    return r;
}

static uint64_t count_lane(enum simd_op op, unsigned size, uint64_t v)
{
    unsigned bits = 8u << size;
    uint64_t r = 0;

    switch (op) {
    case SO_CLS:
        v = (v ^ v << 1) & (BIT(bits) - 1); /* equal neighbours */
        v &= ~1ull;
        return v ? (uint64_t)__builtin_clzll(v) - (64 - bits) : bits - 1;
    case SO_CLZ: return v ? (uint64_t)__builtin_clzll(v) - (64 - bits) : bits;
    default:
        for (unsigned i = 0; i < 8; i++)
            r |= (v >> i & 1) << (7 - i);
        return r;
    }
}

/* SQRDMLAH, SQRDMLSH: the sum is rounded and saturated once. */
static uint64_t double_sum(struct a64_cpu *x, unsigned size, int64_t n, int64_t m, int64_t d,
                           bool sub)
{
    unsigned bits = 8u << size;
    __int128 p = (__int128)n * m * 2, sum = (__int128)d << bits;

    sum += sub ? -p : p;
    sum += (__int128)1 << (bits - 1);
    return sat_s(x, sum >> bits, bits);
}

static uint64_t lane_op(struct a64_cpu *x, enum simd_op op, unsigned size, unsigned i,
                        const union ir_v128 *n, const union ir_v128 *m, const union ir_v128 *d)
{
    unsigned bits = 8u << size;

    switch (op) {
    case SO_SUQADD: return sat_s(x, (__int128)get_s(d, size, i) + get(n, size, i), bits);
    case SO_USQADD: return sat_u(x, (__int128)get(d, size, i) + get_s(n, size, i), bits);
    case SO_PMUL: return poly_mul(get(n, 0, i), get(m, 0, i));
    case SO_CLS:
    case SO_CLZ:
    case SO_RBIT: return count_lane(op, size, get(n, size, i));
    case SO_URECPE: return fp_urecpe(n->u32[i]);
    case SO_URSQRTE: return fp_ursqrte(n->u32[i]);
    case SO_SQRDMLAH:
    case SO_SQRDMLSH:
        return double_sum(x, size, get_s(n, size, i), get_s(m, size, i), get_s(d, size, i),
                          op == SO_SQRDMLSH);
    case SO_PMULL8: return poly_mul(n->u8[i], m->u8[i]);
    case SO_SQXTN: return sat_s(x, get_s(n, size + 1, i), bits);
    case SO_SQXTUN: return sat_u(x, get_s(n, size + 1, i), bits);
    case SO_UQXTN: return sat_u(x, get(n, size + 1, i), bits);
    default: return shift_lane(x, op, size, n, m, i);
    }
}

static void do_simd(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *n,
                    const union ir_v128 *m, const union ir_v128 *d, uint64_t desc)
{
    enum simd_op op = (enum simd_op)(desc & 0xff);
    unsigned size = desc >> 8 & 3, out = op == SO_PMULL8 ? 1 : op == SO_RBIT ? 0 : size, lanes;
    union ir_v128 r = { .u64 = { 0, 0 } };

    lanes = 16u >> out;
    if (op >= SO_SQXTN && op <= SO_UQXTN)
        lanes /= 2;
    for (unsigned i = 0; i < lanes; i++)
        set(&r, out, i, lane_op(a64_of(cpu), op, op == SO_RBIT ? 0 : size, i, n, m, d));
    *ret = r;
}
const struct helper simd_h = { "a64_simd", (helper_fn *)do_simd, "v128 v128 v128 v128 i32",
                               HELPER_PURE };
const struct helper simd_h_qc = { "a64_simd_qc", (helper_fn *)do_simd, "v128 v128 v128 v128 i32",
                                  HELPER_NO_RAISE };

/* ---- floating point in odd shapes ---- */

static void do_fhm(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *n,
                   const union ir_v128 *m, const union ir_v128 *d, uint64_t flags)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };
    unsigned lanes = flags & FHM_64 ? 2 : 4, first = flags & FHM_HIGH ? lanes : 0;
    union ir_v128 r = { .u64 = { 0, 0 } };

    for (unsigned i = 0; i < lanes; i++)
        r.u32[i] = (uint32_t)fp_muladdh(
            &e, d->u32[i], n->u16[first + i] ^ (flags & FHM_NEG ? 0x8000u : 0), m->u16[first + i]);
    *ret = r;
    x->fpsr_soft |= e.flags;
}
const struct helper fp_h_fhm = { "a64_fhm", (helper_fn *)do_fhm, "v128 v128 v128 v128 i32",
                                 HELPER_NO_RAISE };

static uint64_t fget(const union ir_v128 *v, enum fp_size s, unsigned i)
{
    return get(v, s, i);
}

static void do_fcmla(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *n,
                     const union ir_v128 *m, const union ir_v128 *d, uint64_t desc)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };
    enum fp_size s = (enum fp_size)(desc & 3);
    unsigned rot = desc >> 4 & 3, lanes = desc >> 8 & 15;
    uint64_t sign = fp_sign_bit(s);
    union ir_v128 r = { .u64 = { 0, 0 } };

    for (unsigned i = 0; i < lanes; i += 2) {
        uint64_t re = fget(m, s, i), im = fget(m, s, i + 1);
        uint64_t k = fget(n, s, i + (rot & 1)), a,
                 b; /* times a to the real, b to the imaginary part */

        a = rot & 1 ? im : re;
        b = rot & 1 ? re : im;
        a ^= rot == 1 || rot == 2 ? sign : 0;
        b ^= rot >= 2 ? sign : 0;
        set(&r, s, i, fp_muladd(&e, s, fget(d, s, i), k, a));
        set(&r, s, i + 1, fp_muladd(&e, s, fget(d, s, i + 1), k, b));
    }
    *ret = r;
    x->fpsr_soft |= e.flags;
}
const struct helper fp_h_fcmla = { "a64_fcmla", (helper_fn *)do_fcmla, "v128 v128 v128 v128 i32",
                                   HELPER_NO_RAISE };

static void do_fcadd(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *n,
                     const union ir_v128 *m, const union ir_v128 *d, uint64_t desc)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };
    enum fp_size s = (enum fp_size)(desc & 3);
    unsigned rot = desc >> 4 & 1, lanes = desc >> 8 & 15; /* 0: 90 degrees, 1: 270 */
    uint64_t sign = fp_sign_bit(s);
    union ir_v128 r = { .u64 = { 0, 0 } };

    for (unsigned i = 0; i < lanes; i += 2) {
        set(&r, s, i, fp_add(&e, s, fget(n, s, i), fget(m, s, i + 1) ^ (rot ? 0 : sign)));
        set(&r, s, i + 1, fp_add(&e, s, fget(n, s, i + 1), fget(m, s, i) ^ (rot ? sign : 0)));
    }
    *ret = r;
    x->fpsr_soft |= e.flags;
}
const struct helper fp_h_fcadd = { "a64_fcadd", (helper_fn *)do_fcadd, "v128 v128 v128 v128 i32",
                                   HELPER_NO_RAISE };
