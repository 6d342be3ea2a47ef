/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sorting with callbacks: qsort() of integers and of strings by pointer. */
#include "bench.h"

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static uint64_t work(unsigned n)
{
    enum { COUNT = 50000, TEXTS = 10000 };
    uint32_t *v = malloc(COUNT * sizeof(*v)), seed = 99;
    char(*text)[12] = malloc(TEXTS * sizeof(*text));
    char **p = malloc(TEXTS * sizeof(*p));
    uint64_t h = 0;

    while (n--) {
        for (int i = 0; i < COUNT; i++)
            v[i] = rnd(&seed);
        qsort(v, COUNT, sizeof(*v), by_value);
        for (int i = 0; i < TEXTS; i++) {
            snprintf(text[i], sizeof(text[i]), "k%u", rnd(&seed) % 1000000);
            p[i] = text[i];
        }
        qsort(p, TEXTS, sizeof(*p), by_text);
        for (int i = 0; i < COUNT; i += 97)
            h = mix(h, v[i]);
        for (int i = 0; i < TEXTS; i += 97)
            h = mix(h, (uint64_t)p[i][3] << 8 | (uint8_t)p[i][2]);
    }
    return h;
}
