/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory: copies and fills of several sizes, a walk in random order, word sums. */
#include "bench.h"

enum { SIZE = 8 << 20, NODES = 1 << 18 };

static uint8_t a[SIZE], b[SIZE];
static uint32_t next[NODES];

static uint64_t copies(void)
{
    for (size_t len = 16; len <= 65536; len *= 4) {
        for (size_t at = 0; at + len <= 1 << 20; at += len)
            memcpy(b + at, a + at + 1, len);
    }
    memcpy(b, a, SIZE);
    memset(a + 5, 7, SIZE / 2);
    memmove(a + 3, a, 1 << 20);
    return b[777] + a[778];
}

static uint64_t sums(void)
{
    uint64_t s = 0, w;

    for (size_t i = 0; i < SIZE; i += 8) {
        memcpy(&w, a + i, 8);
        s += w;
    }
    for (size_t i = 0; i < SIZE; i += 64)
        b[i] = (uint8_t)(b[i] + s);
    return s;
}

static uint64_t walk(void)
{
    uint32_t at = 0;

    for (int i = 0; i < NODES; i++)
        at = next[at];
    return at;
}

static uint64_t work(unsigned n)
{
    uint32_t seed = 5;
    uint64_t h = 0;

    for (size_t i = 0; i < SIZE; i++)
        a[i] = (uint8_t)(i * 7);
    for (uint32_t i = 0; i < NODES; i++)
        next[i] = i;
    for (uint32_t i = NODES - 1; i > 0; i--) { /* one cycle through all (Sattolo) */
        uint32_t j = rnd(&seed) % i, t = next[i];

        next[i] = next[j];
        next[j] = t;
    }
    while (n--) { /* in this order */
        h = mix(h, copies());
        h = mix(h, sums());
        h = mix(h, walk());
    }
    return h;
}
