/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sparse set of bits: a tree of 64-way nodes over leaves of 4096 bits, where a subtree that is
 * all clear or all set is not stored. Setting or clearing any range costs at most two paths,
 * finding the next set or clear bit one; memory is bounded by how mixed the bits are. No locks.
 */
#ifndef DISK_BITMAP_TREE_H
#define DISK_BITMAP_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bitmap_node;

struct bitmap_tree {
    struct bitmap_node *root;
    unsigned levels; /* of interior nodes above the leaves */
    uint64_t bits;   /* in the set; those beyond are clear */
    uint64_t set;    /* how many are set */
};

/* A zeroed tree is empty and has no bits. Growing adds clear bits. */
void bitmap_tree_resize(struct bitmap_tree *t, uint64_t bits);
void bitmap_tree_finish(struct bitmap_tree *t);

/* first + count is at most t->bits. */
void bitmap_tree_put(struct bitmap_tree *t, uint64_t first, uint64_t count, bool value);
bool bitmap_tree_get(const struct bitmap_tree *t, uint64_t i);

/* The first bit at or after from that has this value; t->bits when there is none. */
uint64_t bitmap_tree_find(const struct bitmap_tree *t, uint64_t from, bool value);

/* Eight bits per byte, least significant first; reading beyond the end gives zeroes, writing there
 * is ignored. */
void bitmap_tree_read(const struct bitmap_tree *t, uint64_t first_byte, uint8_t *buf, size_t len);
void bitmap_tree_write(struct bitmap_tree *t, uint64_t first_byte, const uint8_t *buf, size_t len);

#endif
