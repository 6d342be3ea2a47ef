/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pointer authentication codes: QARMA5-64 (R. Avanzi, "The QARMA Block Cipher Family"; DDI 0487
 * ComputePAC) or, as the architecture allows, a function of our own that is faster; addresses of 48
 * bits with the top byte ignored, as Linux sets up user space.
 */
#include <string.h>

#include "base/bits.h"
#include "guest/arm/tr_pac.h"

/* ---- QARMA. A state is 16 cells of 4 bits, cell 0 in the low bits. ---- */

static const uint8_t sub_box[16] = { 11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10 };
static const uint8_t inv_box[16] = { 5, 14, 13, 8, 10, 11, 1, 9, 2, 6, 15, 0, 4, 12, 7, 3 };
static const uint8_t shuffle[16] = { 13, 6, 11, 0, 7, 12, 1, 10, 8, 3, 14, 5, 2, 9, 4, 15 };
static const uint8_t inv_shuffle[16] = { 3, 6, 12, 9, 14, 11, 1, 4, 8, 13, 7, 2, 5, 0, 10, 15 };

static uint64_t substitute(uint64_t v, const uint8_t box[16])
{
    uint64_t r = 0;

    for (unsigned n = 0; n < 64; n += 4)
        r |= (uint64_t)box[v >> n & 15] << n;
    return r;
}

static uint64_t permute(uint64_t v, const uint8_t from[16])
{
    uint64_t r = 0;

    for (unsigned n = 0; n < 16; n++)
        r |= (v >> (from[n] * 4) & 15) << (n * 4);
    return r;
}

/* Each cell rotated left by 1 or 2. */
static uint64_t rot1(uint64_t v)
{
    return (v << 1 & UINT64_C(0xeeeeeeeeeeeeeeee)) | (v >> 3 & UINT64_C(0x1111111111111111));
}

static uint64_t rot2(uint64_t v)
{
    return (v << 2 & UINT64_C(0xcccccccccccccccc)) | (v >> 2 & UINT64_C(0x3333333333333333));
}

static uint64_t rows(uint64_t v, unsigned n)
{
    return n ? v >> (n * 16) | v << (64 - n * 16) : v;
}

/* Columns by the circulant (0, rot1, rot2, rot1). */
static uint64_t mix(uint64_t v)
{
    return rot1(rows(v, 1)) ^ rot2(rows(v, 2)) ^ rot1(rows(v, 3));
}

static const uint8_t tweak_from[16] = { 4, 5, 6, 7, 11, 2, 3, 8, 12, 13, 14, 15, 0, 1, 10, 9 };
static const uint16_t tweak_rotated =
    1 << 2 | 1 << 4 | 1 << 7 | 1 << 11 | 1 << 12 | 1 << 14 | 1 << 15;

static uint64_t tweak_next(uint64_t v)
{
    uint64_t r = 0;

    for (unsigned n = 0; n < 16; n++) {
        uint64_t c = v >> (tweak_from[n] * 4) & 15;

        if (tweak_rotated >> n & 1)
            c = c >> 1 | ((c ^ c >> 1) & 1) << 3;
        r |= c << (n * 4);
    }
    return r;
}

static uint64_t tweak_back(uint64_t v)
{
    uint64_t r = 0;

    for (unsigned n = 0; n < 16; n++) {
        uint64_t c = v >> (n * 4) & 15;

        if (tweak_rotated >> n & 1)
            c = (c << 1 & 15) | ((c >> 3 ^ c) & 1);
        r |= c << (tweak_from[n] * 4);
    }
    return r;
}

enum { QARMA_ROUNDS = 5 };

uint64_t a64_qarma5(uint64_t data, uint64_t modifier, const uint64_t key[2])
{
    static const uint64_t rc[QARMA_ROUNDS] = { 0, UINT64_C(0x13198a2e03707344),
                                               UINT64_C(0xa4093822299f31d0),
                                               UINT64_C(0x082efa98ec4e6c89),
                                               UINT64_C(0x452821e638d01377) };
    const uint64_t alpha = UINT64_C(0xc0ac29b7c97c50dd);
    uint64_t k0 = key[1], k1 = key[0], tweak = modifier, v = data ^ k0;
    uint64_t w1 = (k0 >> 1 | k0 << 63) ^ k0 >> 63;

    for (unsigned n = 0; n < QARMA_ROUNDS; n++) {
        v ^= k1 ^ tweak ^ rc[n];
        if (n)
            v = mix(permute(v, shuffle));
        v = substitute(v, sub_box);
        tweak = tweak_next(tweak);
    }
    v ^= w1 ^ tweak;
    v = substitute(mix(permute(v, shuffle)), sub_box);
    v = mix(permute(v, shuffle)) ^ k1;
    v = permute(v, inv_shuffle);
    v = substitute(v, inv_box);
    v = permute(mix(v), inv_shuffle);
    v ^= k0 ^ tweak;
    for (unsigned n = 0; n < QARMA_ROUNDS; n++) {
        v = substitute(v, inv_box);
        if (n < QARMA_ROUNDS - 1)
            v = permute(mix(v), inv_shuffle);
        tweak = tweak_back(tweak);
        v ^= rc[QARMA_ROUNDS - 1 - n] ^ k1 ^ tweak ^ alpha;
    }
    return v ^ w1;
}

/* ---- our own: two multiplications of 128 bits ---- */

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t impdef(uint64_t data, uint64_t modifier, const uint64_t key[2])
{
    uint64_t v = fold(data ^ key[0], UINT64_C(0x9e3779b97f4a7c15) ^ key[1]);

    return fold(v ^ modifier, UINT64_C(0xd6e8feb86659fd93) ^ key[0]) ^ v;
}

static uint64_t code_of(struct a64_cpu *x, uint64_t data, uint64_t modifier, const uint64_t key[2])
{
    uint64_t hash;
    struct a64_pac_entry *e;

    if (a64_has(x, A64_FEAT_PAUTH_IMPDEF))
        return impdef(data, modifier, key);
    /* What was signed is authenticated soon, with the same operands. */
    hash = (data >> 2 ^ modifier >> 4 ^ modifier << 3) * UINT64_C(0x9e3779b97f4a7c15);
    e = &x->pac_cache[hash >> 56];
    if (e->data == data && e->modifier == modifier && e->key_lo == key[0] && e->key_hi == key[1])
        return e->pac;
    *e = (struct a64_pac_entry){ data, modifier, key[0], key[1], a64_qarma5(data, modifier, key) };
    return e->pac;
}
_Static_assert(A64_PAC_CACHE == 256, "indexed by 8 bits");

/* ---- pointers: the code is in bits 54..48 ---- */

enum { PAC_BOTTOM = 48, PAC_TOP = 55 };
#define PAC_MASK (BIT(PAC_TOP) - BIT(PAC_BOTTOM))

/* The pointer as it was before it was signed. */
uint64_t a64_pac_strip(struct a64_cpu *x, uint64_t ptr)
{
    return ptr >> PAC_TOP & 1 ? ptr | PAC_MASK : ptr & ~PAC_MASK;
}

uint64_t a64_pac_add(struct a64_cpu *x, uint64_t ptr, uint64_t modifier, uint64_t key)
{
    uint64_t original = a64_pac_strip(x, ptr),
             code = code_of(x, original, modifier, x->pac_key[key]);

    if ((ptr & PAC_MASK) != 0 && (ptr & PAC_MASK) != PAC_MASK) /* no canonical address: spoil it */
        code ^= BIT(PAC_TOP - 1);
    return (ptr & ~PAC_MASK) | (code & PAC_MASK);
}

uint64_t a64_pac_auth(struct a64_cpu *x, uint64_t ptr, uint64_t modifier, uint64_t key)
{
    uint64_t original = a64_pac_strip(x, ptr),
             code = code_of(x, original, modifier, x->pac_key[key]);

    if (!((code ^ ptr) & PAC_MASK))
        return original;
    return (original & ~(UINT64_C(3) << 53)) | (key & 1 ? UINT64_C(2) : UINT64_C(1)) << 53;
}

uint64_t a64_pacga(struct a64_cpu *x, uint64_t data, uint64_t modifier)
{
    return code_of(x, data, modifier, x->pac_key[A64_KEY_GA]) & ~(uint64_t)UINT32_MAX;
}
