/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/bitmap_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"

#define LEAF_SHIFT  12 /* 64 words of 64 bits */
#define LEVEL_SHIFT 6

/* A leaf has words, an interior node has children; which it is follows from its level. */
struct bitmap_node {
    union {
        uint64_t word[64];
        struct bitmap_node *child[64];
    };
};

/* Stands for a subtree of set bits; NULL for one of clear bits. Never looked into. */
static const struct bitmap_node full_node;
#define FULL ((struct bitmap_node *)&full_node)

static bool stored(const struct bitmap_node *n)
{
    return n && n != FULL;
}

static unsigned level_shift(unsigned level)
{
    return LEAF_SHIFT + level * LEVEL_SHIFT;
}

/* Bits below a node of this level; the 64-bit index space is never exceeded (bits < 2^63). */
static uint64_t level_span(unsigned level)
{
    return BIT(MIN(level_shift(level), 63));
}

static struct bitmap_node *new_node(unsigned level, bool value)
{
    struct bitmap_node *n = xnew(struct bitmap_node);

    for (unsigned i = 0; value && i < 64; i++) {
        if (level)
            n->child[i] = FULL;
        else
            n->word[i] = ~UINT64_C(0);
    }
    return n;
}

static void free_node(struct bitmap_node *n, unsigned level)
{
    if (!stored(n))
        return;
    for (unsigned i = 0; level && i < 64; i++)
        free_node(n->child[i], level - 1);
    free(n);
}

static uint64_t count_node(const struct bitmap_node *n, unsigned level)
{
    uint64_t sum = 0;

    if (!n)
        return 0;
    if (n == FULL)
        return level_span(level);
    for (unsigned i = 0; i < 64; i++)
        sum +=
            level ? count_node(n->child[i], level - 1) : (unsigned)__builtin_popcountll(n->word[i]);
    return sum;
}

/* Drops a node all of whose bits are equal. */
static void collapse(struct bitmap_node **pn, unsigned level)
{
    struct bitmap_node *n = *pn;

    if (level) {
        for (unsigned i = 0; i < 64; i++)
            if (stored(n->child[i]) || n->child[i] != n->child[0])
                return;
        *pn = n->child[0];
    } else {
        if (n->word[0] && ~n->word[0])
            return;
        for (unsigned i = 1; i < 64; i++)
            if (n->word[i] != n->word[0])
                return;
        *pn = n->word[0] ? FULL : NULL;
    }
    free(n);
}

/* Sets or clears bits first..last of a leaf; returns how many changed. */
static uint64_t put_leaf(struct bitmap_node *n, unsigned first, unsigned last, bool value)
{
    uint64_t changed = 0;

    for (unsigned w = first / 64; w <= last / 64; w++) {
        uint64_t mask = ~UINT64_C(0);

        if (w == first / 64)
            mask &= ~UINT64_C(0) << (first % 64);
        if (w == last / 64)
            mask &= ~UINT64_C(0) >> (63 - last % 64);
        changed += (unsigned)__builtin_popcountll((value ? ~n->word[w] : n->word[w]) & mask);
        n->word[w] = value ? n->word[w] | mask : n->word[w] & ~mask;
    }
    return changed;
}

static uint64_t put_node(struct bitmap_node **pn, unsigned level, uint64_t first, uint64_t last,
                         bool value)
{
    struct bitmap_node *all = value ? FULL : NULL;
    uint64_t changed = 0;

    if (*pn == all)
        return 0;
    if (first == 0 && last == level_span(level) - 1) {
        uint64_t was = count_node(*pn, level);

        free_node(*pn, level);
        *pn = all;
        return value ? level_span(level) - was : was;
    }
    if (!stored(*pn))
        *pn = new_node(level, *pn == FULL);
    if (!level) {
        changed = put_leaf(*pn, (unsigned)first, (unsigned)last, value);
    } else {
        unsigned shift = level_shift(level - 1);
        uint64_t mask = BIT(shift) - 1;

        for (uint64_t i = first >> shift; i <= last >> shift; i++)
            changed += put_node(&(*pn)->child[i], level - 1, i == first >> shift ? first & mask : 0,
                                i == last >> shift ? last & mask : mask, value);
    }
    if (changed)
        collapse(pn, level);
    return changed;
}

void bitmap_tree_put(struct bitmap_tree *t, uint64_t first, uint64_t count, bool value)
{
    uint64_t changed;

    if (!count)
        return;
    assert(first < t->bits && count <= t->bits - first);
    changed = put_node(&t->root, t->levels, first, first + count - 1, value);
    t->set = value ? t->set + changed : t->set - changed;
}

bool bitmap_tree_get(const struct bitmap_tree *t, uint64_t i)
{
    const struct bitmap_node *n = t->root;

    if (i >= t->bits)
        return false;
    for (unsigned level = t->levels; level && stored(n); level--)
        n = n->child[(i >> level_shift(level - 1)) & 63];
    return stored(n) ? n->word[(i >> 6) & 63] >> (i & 63) & 1 : n == FULL;
}

/* The first bit at or after from within the node, or UINT64_MAX. */
static uint64_t find_node(const struct bitmap_node *n, unsigned level, uint64_t from, bool value)
{
    if (!stored(n))
        return (n == FULL) == value ? from : UINT64_MAX;
    if (!level) {
        for (uint64_t w = from / 64, mask = ~UINT64_C(0) << (from % 64); w < 64; w++) {
            uint64_t hits = (value ? n->word[w] : ~n->word[w]) & mask;

            if (hits)
                return w * 64 + (unsigned)__builtin_ctzll(hits);
            mask = ~UINT64_C(0);
        }
        return UINT64_MAX;
    }
    for (unsigned shift = level_shift(level - 1), i = (unsigned)(from >> shift); i < 64; i++) {
        uint64_t base = (uint64_t)i << shift;
        uint64_t at = find_node(n->child[i], level - 1, from > base ? from - base : 0, value);

        if (at != UINT64_MAX)
            return base + at;
    }
    return UINT64_MAX;
}

uint64_t bitmap_tree_find(const struct bitmap_tree *t, uint64_t from, bool value)
{
    if (from >= t->bits)
        return t->bits;
    return MIN(find_node(t->root, t->levels, from, value), t->bits);
}

void bitmap_tree_resize(struct bitmap_tree *t, uint64_t bits)
{
    if (bits < t->bits)
        bitmap_tree_put(t, bits, t->bits - bits, false);
    while (level_span(t->levels) < bits) {
        if (t->root) {
            struct bitmap_node *n = new_node(t->levels + 1, false);

            n->child[0] = t->root;
            t->root = n;
        }
        t->levels++;
    }
    t->bits = bits;
}

void bitmap_tree_finish(struct bitmap_tree *t)
{
    free_node(t->root, t->levels);
    *t = (struct bitmap_tree){ 0 };
}

/* The node of the leaf that has bit i: NULL, FULL or a leaf. */
static const struct bitmap_node *leaf_of(const struct bitmap_tree *t, uint64_t i)
{
    const struct bitmap_node *n = t->root;

    for (unsigned level = t->levels; level && stored(n); level--)
        n = n->child[(i >> level_shift(level - 1)) & 63];
    return n;
}

void bitmap_tree_read(const struct bitmap_tree *t, uint64_t first_byte, uint8_t *buf, size_t len)
{
    uint64_t end_byte = (t->bits + 7) / 8;

    for (size_t done = 0; done < len;) {
        uint64_t at = first_byte + done;
        size_t n = MIN(len - done, 512 - at % 512);
        const struct bitmap_node *leaf = at < end_byte ? leaf_of(t, at * 8) : NULL;

        for (size_t i = 0; i < n; i++) {
            size_t b = at % 512 + i;

            buf[done + i] = stored(leaf) ? (uint8_t)(leaf->word[b / 8] >> (b % 8 * 8))
                                         : (leaf == FULL ? 0xff : 0);
        }
        done += n;
    }
    /* a full subtree stands for bits beyond the end too */
    if (t->bits % 8 && first_byte < end_byte && end_byte - first_byte <= len)
        buf[end_byte - first_byte - 1] &= (uint8_t)((1u << (t->bits % 8)) - 1);
    if (first_byte < end_byte && end_byte - first_byte < len)
        memset(buf + (end_byte - first_byte), 0, len - (size_t)(end_byte - first_byte));
}

/* Runs of equal bytes 00 and ff as ranges, other bytes by runs of equal bits. */
void bitmap_tree_write(struct bitmap_tree *t, uint64_t first_byte, const uint8_t *buf, size_t len)
{
    uint64_t end_byte = (t->bits + 7) / 8;

    if (first_byte >= end_byte)
        return;
    len = (size_t)MIN((uint64_t)len, end_byte - first_byte);
    for (size_t i = 0, n; i < len; i += n) {
        uint64_t bit = (first_byte + i) * 8;

        n = 1;
        if (buf[i] == 0 || buf[i] == 0xff) {
            while (i + n < len && buf[i + n] == buf[i])
                n++;
            bitmap_tree_put(t, bit, MIN((uint64_t)n * 8, t->bits - bit), buf[i]);
            continue;
        }
        for (unsigned b = 0, run; b < 8 && bit + b < t->bits; b += run) {
            bool value = buf[i] >> b & 1;

            for (run = 1; b + run < 8 && (buf[i] >> (b + run) & 1) == value;)
                run++;
            bitmap_tree_put(t, bit + b, MIN((uint64_t)run, t->bits - bit - b), value);
        }
    }
}
