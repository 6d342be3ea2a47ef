/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bit fields, rounding, checked arithmetic and the few macros every C file wants.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define BIT(n) (UINT64_C(1) << (n))
/* Mask of bits hi..lo, both included: BITS(7, 4) is 0xf0. */
#define BITS(hi, lo) ((~UINT64_C(0) >> (63 - (hi))) & (~UINT64_C(0) << (lo)))

/* a must be a power of two; the result has the type of x + a. */
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__((x) + (a)))(a)-1))
#define ALIGN_UP(x, a)   ALIGN_DOWN((x) + (a)-1, a)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#undef MIN
#undef MAX
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define container_of(p, T, m) ((T *)((char *)(p)-offsetof(T, m)))

/* True when the exact result fits *r; otherwise *r holds the wrapped value. */
#define checked_add(a, b, r) (!__builtin_add_overflow(a, b, r))
#define checked_sub(a, b, r) (!__builtin_sub_overflow(a, b, r))
#define checked_mul(a, b, r) (!__builtin_mul_overflow(a, b, r))

/* n bits of v from bit lo, n in 1..64. */
static inline uint64_t bits(uint64_t v, unsigned lo, unsigned n)
{
    return (v >> lo) & (~UINT64_C(0) >> (64 - n));
}

/* v with the n bits from bit lo replaced by those of x. */
static inline uint64_t bits_set(uint64_t v, unsigned lo, unsigned n, uint64_t x)
{
    uint64_t mask = (~UINT64_C(0) >> (64 - n)) << lo;

    return (v & ~mask) | ((x << lo) & mask);
}

/* Sign-extends the low nbits (1..64) of v. */
static inline int64_t sext(uint64_t v, unsigned nbits)
{
    return (int64_t)(v << (64 - nbits)) >> (64 - nbits);
}

static inline bool is_pow2(uint64_t v)
{
    return v && !(v & (v - 1));
}

#endif
