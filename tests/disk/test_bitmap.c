/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dirty bitmaps against an array of bools, on small sizes and on the largest. */
#include "disk/bitmap.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/bits.h"
#include "disk/bitmap_tree.h"
#include "disk/node.h"
#include "test.h"

static const struct disk_driver bare = { .name = "bare" };

/* A node without a core: bitmaps need its size alone. */
static void make_node(struct disk *d, uint64_t size)
{
    *d = (struct disk){ .driver = &bare };
    atomic_init(&d->size, size);
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

static void compare(const struct bitmap_tree *t, const bool *model, uint64_t bits)
{
    uint64_t set = 0, next[2] = { bits, bits };

    for (uint64_t i = bits; i--;) {
        set += model[i];
        next[model[i]] = i;
        if (bitmap_tree_get(t, i) != model[i] || bitmap_tree_find(t, i, true) != next[1] ||
            bitmap_tree_find(t, i, false) != next[0]) {
            TEST_FAIL("bit %" PRIu64 " of %" PRIu64 " differs", i, bits);
            return;
        }
    }
    CHECK_EQ(t->set, set);
}

TEST(tree_against_a_model)
{
    uint64_t state = 1, bits = 20000;
    struct bitmap_tree t = { 0 };
    bool *model = calloc(300000, 1);

    bitmap_tree_resize(&t, bits);
    for (unsigned round = 0; round < 300; round++) {
        uint64_t first = next_random(&state) % bits;
        uint64_t count = next_random(&state) % (round % 3 ? 70 : bits - first) + 1;
        bool value = next_random(&state) & 1;

        count = MIN(count, bits - first);
        bitmap_tree_put(&t, first, count, value);
        memset(model + first, value, count);
        if (round % 50 == 49) {
            uint64_t size = next_random(&state) % 300000 + 1;

            if (size < bits)
                memset(model + size, 0, bits - size);
            bitmap_tree_resize(&t, bits = size);
        }
        if (round % 10 == 0 || round % 50 == 49)
            compare(&t, model, bits);
    }
    bitmap_tree_put(&t, 0, bits, true);
    CHECK_EQ(bitmap_tree_find(&t, 0, false), bits);
    bitmap_tree_finish(&t);
    free(model);
}

TEST(raw_bits)
{
    struct bitmap_tree t = { 0 }, u = { 0 };
    uint8_t in[3000], out[3000];
    uint64_t state = 7, bits = sizeof(in) * 8 - 3;

    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = i < 600 ? 0xff : i < 1200 ? 0 : (uint8_t)next_random(&state);
    bitmap_tree_resize(&t, bits);
    bitmap_tree_write(&t, 0, in, sizeof(in));
    in[sizeof(in) - 1] &= 0x1f;
    memset(out, 0x55, sizeof(out));
    bitmap_tree_read(&t, 0, out, sizeof(out));
    CHECK_MEM(in, out, sizeof(in));
    bitmap_tree_read(&t, 700, out, 1000);
    CHECK_MEM(in + 700, out, 1000);

    bitmap_tree_resize(&u, bits);
    bitmap_tree_put(&u, 0, bits, true);
    bitmap_tree_read(&u, sizeof(in) - 2, out, 4);
    CHECK_MEM(out, "\xff\x1f\0\0", 4);
    bitmap_tree_write(&u, sizeof(in) - 1, (const uint8_t *)"\0\xff", 2);
    CHECK_EQ(u.set, bits - 5);
    bitmap_tree_finish(&t);
    bitmap_tree_finish(&u);
}

TEST(list_and_names)
{
    struct error err = { 0 };
    struct disk_bitmap *a, *b;
    struct disk d;

    make_node(&d, 10 << 20);
    a = disk_bitmap_add(&d, "a", 65536, &err);
    b = disk_bitmap_add(&d, NULL, 512, &err);
    CHECK(a && b);
    CHECK(!disk_bitmap_add(&d, "a", 65536, &err));
    CHECK(strstr(err.msg, "already exists"));
    CHECK(!disk_bitmap_add(&d, "c", 256, &err));
    CHECK(!disk_bitmap_add(&d, "c", 513, &err));
    CHECK(disk_bitmap_find(&d, "a") == a);
    CHECK(disk_bitmap_next(&d, NULL) == a && disk_bitmap_next(&d, a) == b);
    CHECK(!disk_bitmap_next(&d, b));
    CHECK_EQ(disk_bitmap_granularity(a), 65536);
    disk_bitmap_set_flags(a, BITMAP_BUSY, 0);
    CHECK(!disk_bitmap_remove(a, &err));
    CHECK(strstr(err.msg, "currently in use"));
    disk_bitmap_set_flags(a, 0, BITMAP_BUSY);
    CHECK(disk_bitmap_remove(a, &err));
    CHECK(!disk_bitmap_find(&d, "a"));
    disk_bitmaps_free(&d);
}

TEST(recording)
{
    struct error err = { 0 };
    struct disk_bitmap *a, *off;
    uint64_t at = 0, len;
    struct disk d;

    make_node(&d, (1 << 20) + 512);
    a = disk_bitmap_add(&d, "a", 65536, &err);
    off = disk_bitmap_add(&d, "off", 65536, &err);
    disk_bitmap_set_flags(off, 0, BITMAP_ENABLED);
    disk_bitmaps_written(&d, 65535, 2);
    disk_bitmaps_written(&d, 1 << 20, 512);
    CHECK_EQ(disk_bitmap_dirty_bytes(off), 0);
    CHECK_EQ(disk_bitmap_dirty_bytes(a), 3 * 65536);
    CHECK(disk_bitmap_next_dirty(a, &at, &len));
    CHECK_EQ(at, 0);
    CHECK_EQ(len, 131072);
    at = 131072;
    CHECK(disk_bitmap_next_dirty(a, &at, &len));
    CHECK_EQ(at, 1 << 20);
    CHECK_EQ(len, 512);
    CHECK(disk_bitmap_run(a, 1000, &len));
    CHECK_EQ(len, 131072 - 1000);
    CHECK(!disk_bitmap_run(a, 131072, &len));
    CHECK_EQ(len, (1 << 20) - 131072);

    CHECK(disk_bitmap_merge(off, a, &err));
    CHECK_EQ(disk_bitmap_dirty_bytes(off), 3 * 65536);
    at = 512;
    CHECK(disk_bitmap_take_dirty(a, &at, 65536, &len));
    CHECK_EQ(at, 0);
    CHECK_EQ(len, 65536);
    at = 0;
    CHECK(disk_bitmap_take_dirty(a, &at, 1 << 30, &len));
    CHECK_EQ(at, 65536);
    CHECK_EQ(len, 65536);
    CHECK(disk_bitmap_take_dirty(a, &at, 1 << 30, &len));
    CHECK_EQ(at, 1 << 20);
    CHECK_EQ(len, 512);
    CHECK(!disk_bitmap_take_dirty(a, &at, 1 << 30, &len));

    /* the size follows the node */
    atomic_store(&d.size, 4 << 20);
    disk_bitmaps_resized(&d);
    CHECK_EQ(disk_bitmap_size(a), 4 << 20);
    CHECK_EQ(disk_bitmap_dirty_bytes(off), 3 * 65536);
    atomic_store(&d.size, 65536);
    disk_bitmaps_resized(&d);
    CHECK_EQ(disk_bitmap_dirty_bytes(off), 65536);
    disk_bitmap_set_flags(off, BITMAP_READ_ONLY, 0);
    CHECK(!disk_bitmap_clear(off, &err));
    CHECK(strstr(err.msg, "readonly"));
    disk_bitmaps_free(&d);
}

TEST(merge_of_another_granularity)
{
    struct disk_bitmap *fine, *coarse;
    struct error err = { 0 };
    uint64_t at = 0, len;
    struct disk d;

    make_node(&d, 1 << 30);
    fine = disk_bitmap_add(&d, "fine", 512, &err);
    coarse = disk_bitmap_add(&d, "coarse", 1 << 20, &err);
    disk_bitmap_mark(fine, 3 << 20, 1);
    disk_bitmap_mark(coarse, 9 << 20, 1);
    CHECK(disk_bitmap_merge(coarse, fine, &err));
    CHECK_EQ(disk_bitmap_dirty_bytes(coarse), 2 << 20);
    CHECK(disk_bitmap_merge(fine, coarse, &err));
    CHECK_EQ(disk_bitmap_dirty_bytes(fine), 2 << 20);
    CHECK(disk_bitmap_next_dirty(fine, &at, &len));
    CHECK_EQ(at, 3 << 20);
    CHECK_EQ(len, 1 << 20);
    disk_bitmaps_free(&d);
}

/* The largest disk with the smallest granules: no call may take memory or time by size. */
TEST(largest)
{
    struct error err = { 0 };
    struct disk_bitmap *b;
    uint64_t at = 0, len;
    struct disk d;

    make_node(&d, DISK_MAX_SIZE);
    b = disk_bitmap_add(&d, "b", 512, &err);
    disk_bitmap_mark(b, 0, DISK_MAX_SIZE);
    CHECK_EQ(disk_bitmap_dirty_bytes(b), DISK_MAX_SIZE);
    CHECK(disk_bitmap_next_dirty(b, &at, &len));
    CHECK_EQ(len, DISK_MAX_SIZE);
    CHECK(disk_bitmap_clear(b, &err));
    CHECK(!disk_bitmap_next_dirty(b, &at, &len));
    for (unsigned i = 0; i < 1000; i++)
        disk_bitmap_mark(b, DISK_MAX_SIZE / 1000 * i, 1);
    at = 512;
    CHECK(disk_bitmap_next_dirty(b, &at, &len));
    CHECK_EQ(at, ALIGN_DOWN(DISK_MAX_SIZE / 1000, 512));
    for (unsigned i = 0, found = 0; i < 100000; i++) {
        at = 512;
        found += disk_bitmap_next_dirty(b, &at, &len) && len == 512;
        if (i == 99999)
            CHECK_EQ(found, 100000);
    }
    disk_bitmaps_free(&d);
}

enum { THREADS = 4, GRANULES = 4096 };

struct shared {
    struct disk d;
    struct disk_bitmap *b;
    _Atomic(unsigned) running;
    uint64_t taken;
};

static void *writer(void *arg)
{
    struct shared *s = arg;
    uint64_t state = (uintptr_t)&state;

    for (unsigned i = 0; i < 20000; i++)
        disk_bitmaps_written(&s->d, next_random(&state) % GRANULES * 512, 512);
    atomic_fetch_sub(&s->running, 1);
    return NULL;
}

TEST(threads)
{
    struct shared s = { 0 };
    struct error err = { 0 };
    pthread_t t[THREADS];
    uint64_t at, len;

    make_node(&s.d, GRANULES * 512);
    s.b = disk_bitmap_add(&s.d, NULL, 512, &err);
    atomic_init(&s.running, THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, writer, &s);
    while (atomic_load(&s.running) || disk_bitmap_dirty_bytes(s.b))
        for (at = 0; disk_bitmap_take_dirty(s.b, &at, 4096, &len); at += len)
            s.taken += len;
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    CHECK(s.taken >= GRANULES * 512 / 2);
    CHECK_EQ(disk_bitmap_dirty_bytes(s.b), 0);
    disk_bitmaps_free(&s.d);
}
