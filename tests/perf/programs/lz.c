/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compression: greedy LZ77 with a hash table, and the way back. */
#include "bench.h"

enum { SIZE = 1 << 20, HASH_BITS = 14 };

static uint8_t text[SIZE + 16], packed[SIZE * 2], back[SIZE + 16];
static uint32_t table[1 << HASH_BITS];

static uint32_t load32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return v;
}

static void make_text(uint32_t *seed)
{
    static const char *const words[] = { "the ",   "guest ",   "host ",       "block ",
                                         "of ",    "a ",       "machine ",    "page ",
                                         "table ", "is ",      "and ",        "register ",
                                         "in ",    "memory, ", "translated ", "code.\n" };
    size_t at = 0;

    while (at < SIZE) {
        const char *w = words[rnd(seed) >> 7 & 15];

        for (; *w && at < SIZE; w++)
            text[at++] = (uint8_t)*w;
        if (at < SIZE && !(rnd(seed) & 7))
            text[at++] = (uint8_t)('0' + rnd(seed) % 10);
    }
}

/* Pieces: count of literals, literals, match length - 4 (0xff goes on), distance in 2 bytes. */
static uint8_t *put_count(uint8_t *o, size_t n)
{
    for (; n >= 255; n -= 255)
        *o++ = 255;
    *o++ = (uint8_t)n;
    return o;
}

static size_t pack(void)
{
    uint8_t *o = packed;
    size_t at = 0, from = 0;

    memset(table, 0, sizeof(table));
    while (at + 8 < SIZE) {
        uint32_t v = load32(text + at), slot = (v * 2654435761u) >> (32 - HASH_BITS);
        size_t old = table[slot], len = 4;

        table[slot] = (uint32_t)at;
        if (old >= at || at - old > 65535 || load32(text + old) != v) {
            at++;
            continue;
        }
        while (at + len + 4 < SIZE && text[old + len] == text[at + len])
            len++;
        o = put_count(o, at - from);
        memcpy(o, text + from, at - from);
        o += at - from;
        o = put_count(o, len - 4);
        *o++ = (uint8_t)(at - old);
        *o++ = (uint8_t)((at - old) >> 8);
        at += len;
        from = at;
    }
    o = put_count(o, SIZE - from);
    memcpy(o, text + from, SIZE - from);
    return (size_t)(o + SIZE - from - packed);
}

static size_t get_count(const uint8_t **p)
{
    size_t n = 0;

    for (; **p == 255; ++*p)
        n += 255;
    return n + *(*p)++;
}

static void unpack(void)
{
    const uint8_t *p = packed;
    size_t at = 0;

    for (;;) {
        size_t n = get_count(&p), distance;

        memcpy(back + at, p, n);
        at += n;
        p += n;
        if (at >= SIZE)
            return;
        n = get_count(&p) + 4;
        distance = p[0] | (size_t)p[1] << 8;
        p += 2;
        for (; n; n--, at++)
            back[at] = back[at - distance];
    }
}

static uint64_t work(unsigned n)
{
    uint32_t seed = 4711;
    uint64_t h = 0;

    make_text(&seed);
    while (n--) {
        text[rnd(&seed) % SIZE] = (uint8_t)rnd(&seed);
        h = mix(h, pack());
        unpack();
        h = mix(h, (uint64_t)memcmp(text, back, SIZE));
    }
    return h;
}
