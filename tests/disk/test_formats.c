/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vdi, vhdx, vpc, qed, parallels, vmdk against a model in memory: random writes, zeroes and
 * discards, several threads, what is left when the writer dies, broken headers.
 * formats.py compares with Debian's qemu-img.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/node.h"
#include "test.h"

#define DIR "/dev/shm/rhea-test-formats"

enum { SIZE = 13 << 20 };

static const struct kind {
    const char *format, *options;
} kinds[] = {
    { "vdi", "" },
    { "vdi", "static=on" },
    { "vpc", "force_size=on" },
    { "vpc", "subformat=fixed,force_size=on" },
    { "vhdx", "block_size=1M" },
    { "vhdx", "subformat=fixed,block_state_zero=off" },
    { "vhdx", "block_state_zero=off,block_size=2M,log_size=3M" },
    { "qed", "" },
    { "qed", "cluster_size=4k,table_size=1" },
    { "parallels", "" },
    { "parallels", "cluster_size=192k" },
    { "vmdk", "" },
    { "vmdk", "zeroed_grain=on" },
    { "vmdk", "subformat=monolithicFlat" },
    { "vmdk", "subformat=twoGbMaxExtentSparse" },
    { "vmdk", "subformat=twoGbMaxExtentFlat" },
    { "vmdk", "subformat=streamOptimized" },
};

static bool known(const struct kind *k)
{
    return disk_driver_find(k->format) != NULL;
}

static struct disk_graph *graph(void)
{
    (void)!system("rm -rf " DIR "; mkdir -p " DIR);
    return disk_graph_new(NULL);
}

static bool create(struct disk_graph *g, const struct kind *k, const char *path, const char *more)
{
    AUTO_FREE char *text =
        xasprintf("size=%d%s%s%s", SIZE, *k->options ? "," : "", k->options, more ? more : "");
    struct error err = { 0 };
    struct optlist o;
    bool ok = optlist_parse(&o, text, NULL, &err) && disk_create(g, k->format, path, &o, &err);

    if (!ok)
        printf("%s %s: %s\n", k->format, text, err.msg);
    optlist_finish(&o);
    return ok;
}

static struct disk *open_as(struct disk_graph *g, const char *format, const char *path,
                            unsigned flags, struct error *err)
{
    struct optlist o = { 0 };
    struct disk *d;

    optlist_add(&o, "driver", format);
    d = disk_open(g, path, &o, flags, err);
    optlist_finish(&o);
    return d;
}

static struct disk *must_open(struct disk_graph *g, const struct kind *k, const char *path,
                              unsigned flags)
{
    struct error err = { 0 };
    struct disk *d = open_as(g, k->format, path, flags, &err);

    if (!d)
        printf("%s %s: %s; %s\n", k->format, k->options, err.msg, err.hint);
    return d;
}

static uint32_t next_random(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

static void fill(uint8_t *p, size_t len, uint32_t *seed)
{
    uint32_t v = next_random(seed) | 1;

    for (size_t i = 0; i < len; i++)
        p[i] = (v += 0x9e3779b9) >> 24;
}

/* One random request, on the disk and on the model. */
static int do_one(struct disk *d, uint8_t *model, uint64_t from, uint64_t to, uint32_t *seed)
{
    uint64_t offset = from + next_random(seed) % (to - from);
    uint64_t len = 1 + next_random(seed) % (next_random(seed) % 4 ? 20000 : 3 << 20);
    unsigned what = next_random(seed) % 8;

    if (what & 1) { /* half of them whole sectors */
        offset &= ~UINT64_C(511);
        len = ALIGN_UP(len, UINT64_C(512));
    }
    len = MIN(len, to - offset);
    if (what < 2) {
        memset(model + offset, 0, len);
        return disk_zero(d, offset, len, what ? DISK_MAY_UNMAP : 0);
    }
    fill(model + offset, len, seed);
    return disk_write(d, offset, model + offset, len, 0);
}

static bool same(struct disk *d, const uint8_t *model, const char *when, const struct kind *k)
{
    AUTO_FREE uint8_t *buf = xnew_array(uint8_t, SIZE);
    int r = disk_read(d, 0, buf, SIZE);

    for (size_t i = 0; r == 0 && i < SIZE; i++) {
        if (buf[i] != model[i]) {
            printf("%s %s %s: byte %#zx is %02x, not %02x\n", k->format, k->options, when, i,
                   buf[i], model[i]);
            return false;
        }
    }
    if (r < 0)
        printf("%s %s %s: %s\n", k->format, k->options, when, strerror(-r));
    return r == 0;
}

static bool checks_clean(struct disk_graph *g, const struct kind *k, const char *path)
{
    struct disk_check c = { 0 };
    struct error err = { 0 };
    AUTO_UNREF(disk) d = open_as(g, k->format, path, DISK_CHECK, &err);
    int r;

    if (!d || !d->driver->check)
        return d != NULL;
    r = d->driver->check(d, &c, 0);
    if (r || c.corruptions || c.leaks || c.check_errors)
        printf("%s %s: check %d, %d corruptions, %d leaks\n", k->format, k->options, r,
               (int)c.corruptions, (int)c.leaks);
    return r == 0 && !c.corruptions && !c.leaks && !c.check_errors;
}

TEST(random_requests)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        AUTO_FREE uint8_t *model = xnew_array(uint8_t, SIZE);
        struct disk_graph *g = graph();
        uint32_t seed = 7 + i;

        if (!known(&kinds[i]) || !create(g, &kinds[i], DIR "/a", NULL)) {
            CHECK(!known(&kinds[i]));
            disk_graph_free(g);
            continue;
        }
        for (int round = 0; round < 2; round++) {
            struct disk *d = must_open(g, &kinds[i], DIR "/a", DISK_RDWR | DISK_UNMAP);
            int r = 0;

            CHECK(d != NULL);
            CHECK_EQ(disk_size(d), SIZE);
            for (int n = 0; n < 30 && r == 0; n++)
                r = do_one(d, model, 0, SIZE, &seed);
            CHECK_EQ(r, 0);
            CHECK(same(d, model, "after writing", &kinds[i]));
            CHECK_EQ(disk_close(d), 0);
            CHECK(checks_clean(g, &kinds[i], DIR "/a"));
            d = must_open(g, &kinds[i], DIR "/a", 0);
            CHECK(d != NULL && same(d, model, "reopened", &kinds[i]));
            disk_unref(d);
        }
        disk_graph_free(g);
    }
}

struct writer {
    struct disk *d;
    uint8_t *model;
    unsigned number, count;
    int result;
};

/* Each thread has every fourth piece of 48 KiB: they meet inside blocks, never in a byte. */
static void *write_stripes(void *arg)
{
    struct writer *w = arg;
    uint32_t seed = 99 + w->number;
    const uint64_t piece = 48 << 10;

    for (uint64_t at = w->number * piece; at + piece <= SIZE && w->result == 0;
         at += w->count * piece) {
        fill(w->model + at, piece, &seed);
        w->result = disk_write(w->d, at, w->model + at, piece, 0);
        if (w->result == 0 && at % 7 == 0)
            w->result = disk_flush(w->d);
    }
    return NULL;
}

TEST(four_writers)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        AUTO_FREE uint8_t *model = xnew_array(uint8_t, SIZE);
        struct disk_graph *g = graph();
        struct writer w[4];
        pthread_t t[4];
        struct disk *d;

        if (!known(&kinds[i]) || !create(g, &kinds[i], DIR "/a", NULL)) {
            disk_graph_free(g);
            continue;
        }
        d = must_open(g, &kinds[i], DIR "/a", DISK_RDWR);
        CHECK(d != NULL);
        for (unsigned n = 0; n < 4; n++) {
            w[n] = (struct writer){ d, model, n, 4, 0 };
            pthread_create(&t[n], NULL, write_stripes, &w[n]);
        }
        for (unsigned n = 0; n < 4; n++) {
            pthread_join(t[n], NULL);
            CHECK_EQ(w[n].result, 0);
        }
        CHECK(same(d, model, "after four writers", &kinds[i]));
        CHECK_EQ(disk_close(d), 0);
        CHECK(checks_clean(g, &kinds[i], DIR "/a"));
        d = must_open(g, &kinds[i], DIR "/a", 0);
        CHECK(d != NULL && same(d, model, "reopened", &kinds[i]));
        disk_unref(d);
        disk_graph_free(g);
    }
}

/* The writer ends without closing anything, some requests after a flush. */
static void write_and_die(const struct kind *k, uint32_t seed, int flushed)
{
    struct disk_graph *g = disk_graph_new(NULL);
    struct disk *d = must_open(g, k, DIR "/a", DISK_RDWR);
    AUTO_FREE uint8_t *model = xnew_array(uint8_t, SIZE);
    int r = d ? 0 : -1;

    for (int n = 0; n < flushed && r == 0; n++)
        r = do_one(d, model, 0, SIZE / 2, &seed);
    if (r == 0)
        r = disk_flush(d);
    for (int n = 0; n < 20 && r == 0; n++)
        r = do_one(d, model, SIZE / 2, SIZE, &seed);
    _exit(r != 0);
}

TEST(killed_writer)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        AUTO_FREE uint8_t *model = xnew_array(uint8_t, SIZE), *got = xnew_array(uint8_t, SIZE);
        struct disk_graph *g = graph();
        struct disk *d;
        uint32_t seed = 5;
        int status;

        if (!known(&kinds[i]) || !create(g, &kinds[i], DIR "/a", NULL)) {
            disk_graph_free(g);
            continue;
        }
        pid_t child = fork();
        if (child == 0)
            write_and_die(&kinds[i], seed, 25);
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        d = must_open(g, &kinds[i], DIR "/a", DISK_RDWR);
        CHECK(d != NULL);
        CHECK_EQ(disk_read(d, 0, got, SIZE / 2), 0);
        /* the same requests, on the model alone: a null disk takes the writes */
        struct error err = { 0 };
        struct disk *nowhere;
        CHECK(create(g, &(struct kind){ "raw", "" }, DIR "/model", NULL));
        nowhere = open_as(g, "raw", DIR "/model", DISK_RDWR, &err);
        CHECK(nowhere != NULL);
        for (int n = 0; n < 25; n++)
            CHECK_EQ(do_one(nowhere, model, 0, SIZE / 2, &seed), 0);
        disk_unref(nowhere);
        CHECK(memcmp(got, model, SIZE / 2) == 0);
        /* one write heals what is left */
        CHECK_EQ(disk_write(d, SIZE - 4096, model, 4096, 0), 0);
        CHECK_EQ(disk_close(d), 0);
        CHECK(checks_clean(g, &kinds[i], DIR "/a"));
        disk_graph_free(g);
    }
}

static bool map_agrees(struct disk *d, const uint8_t *model)
{
    struct disk_extent x;

    for (uint64_t at = 0; at < SIZE; at += x.len) {
        if (disk_map(d, at, SIZE - at, &x) != 0 || x.len == 0)
            return false;
        if (x.flags & DISK_MAP_DATA && !(x.flags & DISK_MAP_ZERO))
            continue;
        if (!buf_is_zero(model + at, x.len)) {
            printf("map says %#lx+%#lx reads as zeroes\n", (long)at, (long)x.len);
            return false;
        }
    }
    return true;
}

TEST(map_tells_the_truth)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        AUTO_FREE uint8_t *model = xnew_array(uint8_t, SIZE);
        struct disk_graph *g = graph();
        struct disk_extent x;
        struct disk *d;
        uint32_t seed = 3;

        if (!known(&kinds[i]) || !create(g, &kinds[i], DIR "/a", NULL)) {
            disk_graph_free(g);
            continue;
        }
        d = must_open(g, &kinds[i], DIR "/a", DISK_RDWR);
        CHECK(d != NULL);
        for (int n = 0; n < 6; n++)
            CHECK_EQ(do_one(d, model, 0, SIZE, &seed), 0);
        CHECK(map_agrees(d, model));
        fill(model, 1 << 20, &seed);
        CHECK_EQ(disk_write(d, 0, model, 1 << 20, 0), 0);
        CHECK_EQ(disk_map(d, 4096, SIZE, &x), 0);
        CHECK(x.flags & DISK_MAP_DATA);
        CHECK(map_agrees(d, model));
        disk_unref(d);
        disk_graph_free(g);
    }
}

/* Overlays: what was not written comes from below, zeroes hide it, a new size shows zeroes. */
TEST(backing_files)
{
    static const struct kind overlays[] = {
        { "qed", "" },
        { "qed", "cluster_size=4k" },
        { "vmdk", "" },
        { "vmdk", "zeroed_grain=on" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(overlays); i++) {
        AUTO_FREE uint8_t *model = xnew_array(uint8_t, SIZE);
        const struct kind *k = &overlays[i];
        struct disk_graph *g = graph();
        struct disk *d;
        uint32_t seed = 11;

        if (!known(k)) {
            disk_graph_free(g);
            continue;
        }
        CHECK(create(g, k, DIR "/base", NULL));
        d = must_open(g, k, DIR "/base", DISK_RDWR);
        CHECK(d != NULL);
        fill(model, SIZE, &seed);
        CHECK_EQ(disk_write(d, 0, model, SIZE, 0), 0);
        CHECK_EQ(disk_close(d), 0);
        AUTO_FREE char *more = xasprintf(",backing_file=base,backing_fmt=%s", k->format);
        CHECK(create(g, k, DIR "/a", more));
        d = must_open(g, k, DIR "/a", DISK_RDWR);
        CHECK(d != NULL && d->backing != NULL);
        CHECK(same(d, model, "through the overlay", k));
        for (int n = 0; n < 30; n++)
            CHECK_EQ(do_one(d, model, 0, SIZE, &seed), 0);
        CHECK(same(d, model, "overlay written", k));
        CHECK_EQ(disk_close(d), 0);
        CHECK(checks_clean(g, k, DIR "/a"));
        d = must_open(g, k, DIR "/a", 0);
        CHECK(d != NULL && same(d, model, "overlay reopened", k));
        disk_unref(d);
        disk_graph_free(g);
    }
}

/* Headers with bytes turned over: an error or an image, never more than a moment. */
TEST(broken_headers)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct disk_graph *g = graph();
        uint32_t seed = 1;
        struct disk *d;

        if (!known(&kinds[i]) || !create(g, &kinds[i], DIR "/a", NULL)) {
            disk_graph_free(g);
            continue;
        }
        d = must_open(g, &kinds[i], DIR "/a", DISK_RDWR);
        CHECK(d != NULL && disk_write(d, 5000, "x", 1, 0) == 0);
        CHECK_EQ(disk_close(d), 0);
        (void)!system("cp " DIR "/a " DIR "/good");
        for (int n = 0; n < 60; n++) {
            AUTO_CLOSE int fd = -1;
            struct error err = { 0 };
            uint8_t byte = next_random(&seed);
            uint8_t buf[4096];

            (void)!system("cp " DIR "/good " DIR "/a");
            fd = open(DIR "/a", O_RDWR);
            CHECK(fd >= 0);
            for (int k = 0; k < 1 + n % 3; k++) {
                off_t at = next_random(&seed) % (n % 2 ? 512 : 8192);
                CHECK_EQ(pwrite(fd, &byte, 1, at), 1);
            }
            d = open_as(g, kinds[i].format, DIR "/a", DISK_RDWR, &err);
            if (!d) {
                CHECK(err.msg[0] != 0);
                continue;
            }
            (void)!disk_read(d, 0, buf, sizeof(buf));
            (void)!disk_write(d, 3 << 20, buf, sizeof(buf), 0);
            (void)!disk_close(d);
        }
        disk_graph_free(g);
    }
}
