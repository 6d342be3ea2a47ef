/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer work of the CoreMark class: list, matrix, state machine, checksum. */
#include "bench.h"

struct node {
    struct node *next;
    int16_t key, data;
};

static struct node *merge(struct node *a, struct node *b)
{
    struct node head, *t = &head;

    while (a && b) {
        struct node **min = a->key <= b->key ? &a : &b;

        t->next = *min;
        t = *min;
        *min = t->next;
    }
    t->next = a ? a : b;
    return head.next;
}

static struct node *sort(struct node *l, int n)
{
    struct node *mid = l, *rest;

    if (n < 2)
        return l;
    for (int i = 1; i < n / 2; i++)
        mid = mid->next;
    rest = mid->next;
    mid->next = NULL;
    return merge(sort(l, n / 2), sort(rest, n - n / 2));
}

static uint16_t crc16(uint16_t crc, uint8_t byte)
{
    for (int i = 0; i < 8; i++, byte >>= 1)
        crc = (crc ^ byte) & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
    return crc;
}

static uint64_t list_part(uint32_t *seed)
{
    static struct node pool[400];
    struct node *l;
    uint64_t h = 0;

    for (int i = 0; i < 400; i++)
        pool[i] = (struct node){ i < 399 ? &pool[i + 1] : NULL, (int16_t)rnd(seed), (int16_t)i };
    l = sort(pool, 400);
    for (; l; l = l->next)
        h = h * 31 + (uint16_t)(l->key ^ l->data);
    return h;
}

static uint64_t matrix_part(uint32_t *seed)
{
    static int16_t a[40][40], b[40][40];
    static int32_t c[40][40];
    uint64_t h = 0;

    for (int i = 0; i < 1600; i++) {
        a[i / 40][i % 40] = (int16_t)(rnd(seed) & 0xff);
        b[i / 40][i % 40] = (int16_t)(rnd(seed) >> 20);
    }
    for (int i = 0; i < 40; i++) {
        for (int j = 0; j < 40; j++) {
            int32_t s = 0;

            for (int k = 0; k < 40; k++)
                s += a[i][k] * b[k][j];
            c[i][j] = s;
            h += (uint32_t)(s >> 3) & 0x7f;
        }
    }
    return h + (uint32_t)c[7][11];
}

/* Classifies numbers in a text: integer, fraction, exponent, hexadecimal or none. */
static unsigned classify(const char **text)
{
    enum { START, INTEGER, FRACTION, EXPONENT, HEX, BAD } s = START;
    const char *p = *text;

    for (; *p && *p != ','; p++) {
        char c = *p;

        switch (s) {
        case START: s = c >= '0' && c <= '9' ? INTEGER : c == '-' ? START : BAD; break;
        case INTEGER:
            s = c == '.' ? FRACTION : c == 'x' ? HEX : c >= '0' && c <= '9' ? INTEGER : BAD;
            break;
        case FRACTION: s = c == 'e' ? EXPONENT : c >= '0' && c <= '9' ? FRACTION : BAD; break;
        case EXPONENT: s = c == '-' || (c >= '0' && c <= '9') ? EXPONENT : BAD; break;
        case HEX: s = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ? HEX : BAD; break;
        case BAD: break;
        }
    }
    *text = *p ? p + 1 : p;
    return s;
}

static uint64_t state_part(uint32_t *seed)
{
    static const char *const words[] = { "5012,",     "1.25e-3,", "0xdead,",   "-874,",
                                         "T0.3e-1F,", "+,",       "35.54400,", "3.e5x," };
    char text[1024] = "";
    const char *p = text;
    uint64_t counts[6] = { 0 }, h = 0;
    size_t len = 0;

    for (; len < 1000; len += strlen(text + len))
        strcpy(text + len, words[rnd(seed) & 7]);
    while (*p)
        counts[classify(&p)]++;
    for (int i = 0; i < 6; i++)
        h = h * 257 + counts[i];
    return h;
}

static uint64_t work(unsigned n)
{
    uint32_t seed = 12345;
    uint16_t crc = 0;
    uint64_t h = 0;

    for (unsigned i = 0; i < n; i++) {
        uint64_t v = list_part(&seed) ^ matrix_part(&seed) ^ state_part(&seed);

        for (int k = 0; k < 64; k += 8)
            crc = crc16(crc, (uint8_t)(v >> k));
        h = mix(h, v + crc);
    }
    return h;
}
