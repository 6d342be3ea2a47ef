/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Helpers of the hash instructions: FIPS 180-4's functions as the manual's pseudocode divides them.
 */
#include "guest/arm/help_crypto.h"

static uint32_t rol(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static uint32_t ror(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}

static uint64_t ror64(uint64_t v, unsigned n)
{
    return v >> n | v << (64 - n);
}

static uint64_t choose(uint64_t x, uint64_t y, uint64_t z)
{
    return ((y ^ z) & x) ^ z;
}

static uint64_t majority(uint64_t x, uint64_t y, uint64_t z)
{
    return (x & y) | ((x | y) & z);
}

#define ARGS                                                                                       \
    struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *n, const union ir_v128 *m,           \
        const union ir_v128 *d
#define HELPER(name)                                                                               \
    const struct helper h_##name = { "a64_" #name, (helper_fn *)do_##name, "v128 v128 v128 v128",  \
                                     HELPER_PURE };

/* ---- SHA-1 ---- */

enum sha1 { SHA1_C, SHA1_P, SHA1_M };

static void sha1(union ir_v128 *ret, enum sha1 op, const union ir_v128 *n, const union ir_v128 *m,
                 const union ir_v128 *d)
{
    uint32_t x[4] = { d->u32[0], d->u32[1], d->u32[2], d->u32[3] }, y = n->u32[0], f;

    for (unsigned e = 0; e < 4; e++) {
        f = (uint32_t)(op == SHA1_C   ? choose(x[1], x[2], x[3])
                       : op == SHA1_P ? x[1] ^ x[2] ^ x[3]
                                      : majority(x[1], x[2], x[3]));
        f += y + rol(x[0], 5) + m->u32[e];
        y = x[3];
        x[3] = x[2];
        x[2] = rol(x[1], 30);
        x[1] = x[0];
        x[0] = f;
    }
    *ret = (union ir_v128){ .u32 = { x[0], x[1], x[2], x[3] } };
}

static void do_sha1c(ARGS)
{
    sha1(ret, SHA1_C, n, m, d);
}

static void do_sha1p(ARGS)
{
    sha1(ret, SHA1_P, n, m, d);
}

static void do_sha1m(ARGS)
{
    sha1(ret, SHA1_M, n, m, d);
}

static void do_sha1su1(ARGS)
{
    uint32_t t[4];

    for (unsigned i = 0; i < 4; i++)
        t[i] = d->u32[i] ^ (i < 3 ? n->u32[i + 1] : 0);
    *ret = (union ir_v128){ .u32 = { rol(t[0], 1), rol(t[1], 1), rol(t[2], 1),
                                     rol(t[3], 1) ^ rol(t[0], 2) } };
}
HELPER(sha1c)
HELPER(sha1p)
HELPER(sha1m)
HELPER(sha1su1)

/* ---- SHA-256 ---- */

/* One round on (a .. d, e .. h): the new e goes to d, the new a to h; the caller rotates the names.
 */
#define ROUND(a, b, c, d, e, f, g, h, w)                                                           \
    do {                                                                                           \
        h += (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + (((f ^ g) & e) ^ g) + (w);                    \
        d += h;                                                                                    \
        h += (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) | ((a | b) & c));                    \
    } while (0)

static void sha256(union ir_v128 *ret, const union ir_v128 *x, const union ir_v128 *y,
                   const union ir_v128 *w, bool part1)
{
    uint32_t a = x->u32[0], b = x->u32[1], c = x->u32[2], d = x->u32[3];
    uint32_t e = y->u32[0], f = y->u32[1], g = y->u32[2], h = y->u32[3];

    ROUND(a, b, c, d, e, f, g, h, w->u32[0]);
    ROUND(h, a, b, c, d, e, f, g, w->u32[1]);
    ROUND(g, h, a, b, c, d, e, f, w->u32[2]);
    ROUND(f, g, h, a, b, c, d, e, w->u32[3]);
    if (part1)
        *ret = (union ir_v128){ .u32 = { e, f, g, h } };
    else
        *ret = (union ir_v128){ .u32 = { a, b, c, d } };
}
#undef ROUND

static void do_sha256h(ARGS)
{
    sha256(ret, d, n, m, true);
}

static void do_sha256h2(ARGS)
{
    sha256(ret, n, d, m, false);
}

static void do_sha256su0(ARGS)
{
    union ir_v128 r;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t v = i < 3 ? d->u32[i + 1] : n->u32[0];

        r.u32[i] = d->u32[i] + (ror(v, 7) ^ ror(v, 18) ^ v >> 3);
    }
    *ret = r;
}

static void do_sha256su1(ARGS)
{
    union ir_v128 r;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t v = i < 2 ? m->u32[i + 2] : r.u32[i - 2], w = i < 3 ? n->u32[i + 1] : m->u32[0];

        r.u32[i] = d->u32[i] + w + (ror(v, 17) ^ ror(v, 19) ^ v >> 10);
    }
    *ret = r;
}
HELPER(sha256h)
HELPER(sha256h2)
HELPER(sha256su0)
HELPER(sha256su1)

/* ---- SHA-512 ---- */

static uint64_t big_sigma1(uint64_t v)
{
    return ror64(v, 14) ^ ror64(v, 18) ^ ror64(v, 41);
}

static uint64_t big_sigma0(uint64_t v)
{
    return ror64(v, 28) ^ ror64(v, 34) ^ ror64(v, 39);
}

static void do_sha512h(ARGS)
{
    uint64_t hi, lo, t;

    hi = choose(m->u64[1], n->u64[0], n->u64[1]) + big_sigma1(m->u64[1]) + d->u64[1];
    t = hi + m->u64[0];
    lo = choose(t, m->u64[1], n->u64[0]) + big_sigma1(t) + d->u64[0];
    *ret = (union ir_v128){ .u64 = { lo, hi } };
}

static void do_sha512h2(ARGS)
{
    uint64_t hi, lo;

    hi = majority(n->u64[0], m->u64[1], m->u64[0]) + big_sigma0(m->u64[0]) + d->u64[1];
    lo = majority(hi, m->u64[0], m->u64[1]) + big_sigma0(hi) + d->u64[0];
    *ret = (union ir_v128){ .u64 = { lo, hi } };
}

static uint64_t sigma0(uint64_t v)
{
    return ror64(v, 1) ^ ror64(v, 8) ^ v >> 7;
}

static uint64_t sigma1(uint64_t v)
{
    return ror64(v, 19) ^ ror64(v, 61) ^ v >> 6;
}

static void do_sha512su0(ARGS)
{
    *ret =
        (union ir_v128){ .u64 = { d->u64[0] + sigma0(d->u64[1]), d->u64[1] + sigma0(n->u64[0]) } };
}

static void do_sha512su1(ARGS)
{
    *ret = (union ir_v128){ .u64 = { d->u64[0] + sigma1(n->u64[0]) + m->u64[0],
                                     d->u64[1] + sigma1(n->u64[1]) + m->u64[1] } };
}
HELPER(sha512h)
HELPER(sha512h2)
HELPER(sha512su0)
HELPER(sha512su1)
