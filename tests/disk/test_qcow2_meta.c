/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Metadata operations of qcow2: snapshots, check and repair, bitmaps, amend, the overlap check. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/qcow2/meta.h"
#include "disk/image.h"
#include "test.h"

/* both builds may run at once */
#ifdef __SANITIZE_ADDRESS__
#define DIR "/dev/shm/rhea-test-qcow2-meta-asan"
#else
#define DIR "/dev/shm/rhea-test-qcow2-meta"
#endif
#define PATH DIR "/a.qcow2"
#define MIB  (UINT64_C(1) << 20)

static struct disk_graph *graph(void)
{
    (void)!system("rm -rf " DIR "; mkdir -p " DIR);
    return disk_graph_new(NULL);
}

static bool create(struct disk_graph *g, const char *path, const char *opts)
{
    struct error err = { 0 };
    struct optlist o = { 0 };
    bool ok = optlist_parse(&o, opts, NULL, &err) && disk_create(g, "qcow2", path, &o, &err);

    if (!ok)
        printf("create %s: %s\n", opts, err.msg);
    optlist_finish(&o);
    return ok;
}

static struct disk *open_with(struct disk_graph *g, const char *opts, unsigned flags)
{
    struct error err = { 0 };
    struct optlist o = { 0 };
    struct disk *d = NULL;

    if (optlist_parse(&o, opts, NULL, &err))
        d = disk_open(g, PATH, &o, flags, &err);
    if (!d)
        printf("open: %s; %s\n", err.msg, err.hint);
    optlist_finish(&o);
    return d;
}

static struct disk *open_image(struct disk_graph *g, unsigned flags)
{
    return open_with(g, "driver=qcow2", flags);
}

static void fill(struct disk *d, uint64_t at, uint64_t len, int byte)
{
    uint8_t *buf = xnew_array(uint8_t, len);

    memset(buf, byte, len);
    CHECK_EQ(disk_write(d, at, buf, len, 0), 0);
    free(buf);
}

/* The byte that all of [at, at + len) has; -1: they differ, or an error. */
static int holds(struct disk *d, uint64_t at, uint64_t len)
{
    uint8_t *buf = xnew_array(uint8_t, len);
    int r = disk_read(d, at, buf, len) < 0 ? -1 : buf[0];

    for (uint64_t i = 0; r >= 0 && i < len; i++)
        if (buf[i] != buf[0])
            r = -1;
    free(buf);
    return r;
}

static char said[4096]; /* lines of the last check */

static void say(struct disk_check *c, const char *line)
{
    snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", line);
}

static struct disk_check check(struct disk *d, unsigned fix, int *ret)
{
    struct disk_check c = { .say = say };

    said[0] = 0;
    *ret = d->driver->check(d, &c, fix);
    return c;
}

static bool sound(struct disk *d)
{
    int r;
    struct disk_check c = check(d, 0, &r);

    if (r == 0 && !c.corruptions && !c.leaks && !c.check_errors)
        return true;
    printf("check: %d, %" PRId64 " corruptions, %" PRId64 " leaks\n%s", r, c.corruptions, c.leaks,
           said);
    return false;
}

static char *snapshot(struct disk *d, const char *name)
{
    struct disk_snapshot s = { .name = (char *)name, .date_s = 1700000000, .icount = -1 };
    struct error err = { 0 };

    if (!disk_snapshot_create(d, &s, &err)) {
        printf("snapshot: %s\n", err.msg);
        return NULL;
    }
    return s.id;
}

static bool amend(struct disk *d, const char *opts, struct error *ret_err)
{
    struct optlist o = { 0 };
    struct error err = { 0 };
    bool ok = optlist_parse(&o, opts, NULL, &err) && disk_amend(d, &o, false, NULL, &err);

    optlist_finish(&o);
    if (!ok && !ret_err)
        printf("amend %s: %s\n", opts, err.msg);
    if (ret_err)
        *ret_err = err;
    return ok;
}

/* The file's bytes behind the back of everybody. */
static uint64_t peek(uint64_t at)
{
    AUTO_CLOSE int fd = open(PATH, O_RDONLY);
    uint8_t b[8] = { 0 };

    (void)!pread(fd, b, 8, (off_t)at);
    return ld_be64(b);
}

static void poke(uint64_t at, uint64_t value, unsigned bytes)
{
    AUTO_CLOSE int fd = open(PATH, O_WRONLY);
    uint8_t b[8];

    st_be64(b, value);
    (void)!pwrite(fd, b + 8 - bytes, bytes, (off_t)at);
}

static uint64_t l2_at(void)
{
    return peek(peek(40)) & ENTRY_OFFSET_MASK;
}

static uint64_t refblock_at(void)
{
    return peek(peek(48));
}

TEST(snapshots)
{
    static const char *const kinds[] = { "size=8M", "size=8M,compat=0.10",
                                         "size=8M,cluster_size=512", "size=8M,extended_l2=on",
                                         "size=8M,lazy_refcounts=on" };

    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        struct disk_graph *g = graph();
        struct disk_snapshot *list;
        struct error err = { 0 };
        struct disk *d;
        unsigned count;
        char *id;

        CHECK(create(g, PATH, kinds[k]));
        d = open_image(g, DISK_RDWR);
        fill(d, 0, 3 * MIB, 1);
        CHECK((id = snapshot(d, "one")) != NULL);
        CHECK_STR(id, "1");
        free(id);
        fill(d, MIB, MIB, 2);
        CHECK((id = snapshot(d, "two")) != NULL);
        free(id);
        fill(d, 2 * MIB, 4 * MIB, 3);
        CHECK(sound(d));
        CHECK_EQ(disk_snapshot_list(d, &list, &count), 0);
        CHECK_EQ(count, 2);
        CHECK_STR(list[1].name, "two");
        CHECK_EQ(list[1].date_s, 1700000000);
        CHECK_EQ(list[1].disk_size, 8 * MIB);
        disk_snapshots_free(list, count);

        CHECK(disk_snapshot_apply(d, "one", &err));
        CHECK_EQ(holds(d, 0, 3 * MIB), 1);
        CHECK_EQ(holds(d, 3 * MIB, 5 * MIB), 0);
        CHECK(sound(d));
        fill(d, 0, 100, 9);
        CHECK(disk_snapshot_apply(d, "2", &err));
        CHECK_EQ(holds(d, 0, MIB), 1);
        CHECK_EQ(holds(d, MIB, MIB), 2);
        CHECK_EQ(holds(d, 2 * MIB, MIB), 1);
        CHECK(sound(d));
        CHECK(disk_snapshot_remove(d, "one", &err));
        CHECK(!disk_snapshot_remove(d, "one", &err));
        CHECK_EQ(err.code, ENOENT);
        CHECK(sound(d));
        CHECK_EQ(disk_close(d), 0);

        d = open_image(g, 0);
        CHECK(disk_snapshot_load(d, "two", &err));
        CHECK_EQ(holds(d, MIB, MIB), 2);
        CHECK_EQ(disk_close(d), 0);
        d = open_image(g, DISK_RDWR);
        CHECK_EQ(holds(d, MIB, MIB), 2);
        CHECK(disk_snapshot_remove(d, "two", &err));
        CHECK(sound(d));
        CHECK_EQ(peek(60) >> 32, 0);
        CHECK_EQ(disk_close(d), 0);
        disk_graph_free(g);
    }
}

TEST(snapshot_of_another_size)
{
    struct disk_graph *g = graph();
    struct error err = { 0 };
    struct disk *d;

    CHECK(create(g, PATH, "size=4M"));
    d = open_image(g, DISK_RDWR | DISK_RESIZE);
    fill(d, 0, 4 * MIB, 1);
    free(snapshot(d, "small"));
    CHECK(disk_resize(d, 2048 * MIB, DISK_PREALLOC_OFF, true, &err));
    fill(d, 1500 * MIB, MIB, 2);
    free(snapshot(d, "large"));
    CHECK(disk_snapshot_apply(d, "small", &err));
    CHECK_EQ(disk_size(d), 4 * MIB);
    CHECK_EQ(holds(d, 0, 4 * MIB), 1);
    CHECK(sound(d));
    CHECK(disk_snapshot_apply(d, "large", &err));
    CHECK_EQ(disk_size(d), 2048 * MIB);
    CHECK_EQ(holds(d, 1500 * MIB, MIB), 2);
    CHECK(sound(d));
    CHECK_EQ(disk_close(d), 0);
    disk_graph_free(g);
}

TEST(vm_state)
{
    struct disk_graph *g = graph();
    struct disk_snapshot s = { .name = (char *)"vm", .icount = 77, .vm_clock_ns = 5 };
    struct error err = { 0 };
    uint8_t out[70000], in[70000];
    struct disk *d;
    const struct disk_snapshot_ops *ops;

    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7);
    CHECK(create(g, PATH, "size=1M"));
    d = open_image(g, DISK_RDWR);
    ops = d->driver->snapshots;
    fill(d, 0, MIB, 1);
    CHECK_EQ(ops->write_vm_state(d, 0, vec_of(out, 100)), 0);
    CHECK_EQ(ops->write_vm_state(d, 100, vec_of(out + 100, sizeof(out) - 100)), 0);
    CHECK_EQ(ops->read_vm_state(d, 0, vec_of(in, sizeof(in))), 0);
    CHECK_MEM(in, out, sizeof(in));
    s.vm_state_size = sizeof(out);
    CHECK(disk_snapshot_create(d, &s, &err));
    free(s.id);
    CHECK(sound(d));
    CHECK_EQ(disk_close(d), 0);

    d = open_image(g, DISK_RDWR);
    struct disk_snapshot *list;
    unsigned count;
    CHECK_EQ(disk_snapshot_list(d, &list, &count), 0);
    CHECK_EQ(list[0].vm_state_size, sizeof(out));
    CHECK_EQ(list[0].icount, 77);
    CHECK_EQ(list[0].vm_clock_ns, 5);
    disk_snapshots_free(list, count);
    CHECK(disk_snapshot_apply(d, "vm", &err));
    memset(in, 0, sizeof(in));
    CHECK_EQ(ops->read_vm_state(d, 0, vec_of(in, sizeof(in))), 0);
    CHECK_MEM(in, out, sizeof(in));
    CHECK_EQ(holds(d, 0, MIB), 1);
    CHECK(sound(d));
    CHECK_EQ(disk_close(d), 0);
    disk_graph_free(g);
}

/* Damage by hand, what a check must find, and that a repair mends all of it. */
struct damage {
    const char *name;
    void (*make)(void);
    int corruptions, leaks;
    const char *line;
    bool whole; /* the repair brings back all data */
};

#define DAMAGE(name) static void name(void)

DAMAGE(leak)
{
    poke(refblock_at() + 2 * 30, 1, 2);
}
DAMAGE(lost_refcount)
{
    poke(refblock_at() + 2 * 6, 0, 2);
}
DAMAGE(not_copied)
{
    poke(l2_at(), peek(l2_at()) & ~ENTRY_COPIED, 8);
}
DAMAGE(l1_not_copied)
{
    poke(peek(40), peek(peek(40)) & ~ENTRY_COPIED, 8);
}
DAMAGE(twice)
{
    poke(l2_at(), peek(l2_at() + 8), 8);
}
DAMAGE(no_refblock)
{
    poke(peek(48), 0, 8);
}
DAMAGE(refblock_outside)
{
    poke(peek(48), UINT64_C(1) << 40, 8);
}
DAMAGE(refblock_misaligned)
{
    poke(peek(48), refblock_at() | 512, 8);
}
DAMAGE(refblock_twice)
{
    poke(peek(48) + 8, refblock_at(), 8);
}
DAMAGE(dirty_bit)
{
    poke(79, 1, 1);
    poke(refblock_at() + 2 * 30, 1, 2);
}
DAMAGE(corrupt_bit)
{
    poke(79, 2, 1);
}

TEST(check_and_repair)
{
    static const struct damage table[] = {
        { "leak", leak, 0, 1, "Leaked cluster 30 refcount=1 reference=0", true },
        { "lost_refcount", lost_refcount, 2, 0, "ERROR cluster 6 refcount=0 reference=1", true },
        { "not_copied", not_copied, 1, 0, "ERROR OFLAG_COPIED data cluster: l2_entry=40000", true },
        { "l1_not_copied", l1_not_copied, 1, 0,
          "ERROR OFLAG_COPIED L2 cluster: l1_index=0 l1_entry=140000", true },
        { "twice", twice, 1, 1, "ERROR cluster 5 refcount=1 reference=2", false },
        { "no_refblock", no_refblock, 38, 0, "ERROR cluster 0 refcount=0 reference=1", true },
        { "refblock_outside", refblock_outside, 39, 0, "ERROR refcount block 0 is outside image",
          true },
        { "refblock_misaligned", refblock_misaligned, 39, 0,
          "ERROR refcount block 0 is not cluster aligned", true },
        { "refblock_twice", refblock_twice, 2, 0, "ERROR refcount block 1 refcount=2", true },
        { "dirty_bit", dirty_bit, 0, 1, "Leaked cluster 30 refcount=1 reference=0", true },
        { "corrupt_bit", corrupt_bit, 0, 0, "", true },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        struct disk_graph *g = graph();
        struct disk_check c;
        struct disk *d;
        int r;

        CHECK(create(g, PATH, "size=4M"));
        d = open_image(g, DISK_RDWR);
        fill(d, 0, MIB, 7);
        CHECK_EQ(disk_close(d), 0);
        (void)!truncate(PATH, 31 * 65536);
        table[i].make();

        d = open_image(g, DISK_CHECK);
        c = check(d, 0, &r);
        CHECK_EQ(r, 0);
        if (c.corruptions != table[i].corruptions && table[i].corruptions < 38)
            TEST_FAIL("%s: %" PRId64 " corruptions\n%s", table[i].name, c.corruptions, said);
        CHECK(!!c.corruptions == !!table[i].corruptions);
        if (c.leaks != table[i].leaks || !strstr(said, table[i].line))
            TEST_FAIL("%s: %" PRId64 " leaks, it said:\n%s", table[i].name, c.leaks, said);
        CHECK_EQ(disk_close(d), 0);

        d = open_image(g, DISK_RDWR | DISK_CHECK);
        c = check(d, DISK_FIX_LEAKS | DISK_FIX_ERRORS, &r);
        if (r || c.corruptions || c.leaks)
            TEST_FAIL("%s: repair %d, left %" PRId64 " %" PRId64 "\n%s", table[i].name, r,
                      c.corruptions, c.leaks, said);
        CHECK_EQ(c.leaks_fixed + c.corruptions_fixed > 0,
                 table[i].leaks + table[i].corruptions > 0);
        CHECK_EQ(disk_close(d), 0);
        CHECK_EQ(peek(72), 0); /* neither dirty nor corrupt */

        d = open_image(g, DISK_RDWR);
        CHECK(sound(d));
        if (table[i].whole)
            CHECK_EQ(holds(d, 0, MIB), 7);
        fill(d, 0, 4 * MIB, 8);
        CHECK_EQ(holds(d, 0, 4 * MIB), 8);
        CHECK(sound(d));
        CHECK_EQ(disk_close(d), 0);
        disk_graph_free(g);
    }
}

TEST(dirty_image_heals_at_open)
{
    struct disk_graph *g = graph();
    struct disk *d;

    CHECK(create(g, PATH, "size=4M"));
    d = open_image(g, DISK_RDWR);
    fill(d, 0, MIB, 7);
    CHECK_EQ(disk_close(d), 0);
    (void)!truncate(PATH, 31 * 65536);
    dirty_bit();
    d = open_image(g, DISK_RDWR);
    CHECK(sound(d));
    CHECK_EQ(holds(d, 0, MIB), 7);
    CHECK_EQ(disk_close(d), 0);
    CHECK_EQ(peek(72), 0);
    disk_graph_free(g);
}

TEST(reopened_for_writing)
{
    struct disk_graph *g = graph();
    struct error err = { 0 };
    struct disk_bitmap *b;
    struct disk *d;

    CHECK(create(g, PATH, "size=4M"));
    d = open_image(g, DISK_RDWR);
    fill(d, 0, MIB, 7);
    b = disk_bitmap_add(d, "b", 65536, &err);
    disk_bitmap_set_flags(b, BITMAP_PERSISTENT, 0);
    CHECK_EQ(disk_close(d), 0);
    (void)!truncate(PATH, 31 * 65536);
    dirty_bit();
    d = open_image(g, 0);
    CHECK(disk_reopen(d, NULL, DISK_RDWR, &err));
    CHECK(sound(d));
    fill(d, 2 * MIB, 65536, 9);
    CHECK_EQ(disk_bitmap_dirty_bytes(disk_bitmap_find(d, "b")), 65536);
    CHECK(disk_reopen(d, NULL, 0, &err));
    CHECK_EQ(peek(72), 0);
    CHECK(disk_write(d, 0, "x", 1, 0) < 0);
    CHECK(disk_reopen(d, NULL, DISK_RDWR, &err));
    fill(d, 3 * MIB, 65536, 9);
    CHECK_EQ(disk_close(d), 0);
    d = open_image(g, 0);
    CHECK(sound(d));
    CHECK_EQ(disk_bitmap_dirty_bytes(disk_bitmap_find(d, "b")), 2 * 65536);
    CHECK_EQ(holds(d, 0, MIB), 7);
    CHECK_EQ(disk_close(d), 0);
    disk_graph_free(g);
}

TEST(refcount_widths)
{
    static const unsigned widths[] = { 1, 2, 4, 8, 16, 32, 64 };
    struct disk_graph *g = graph();
    struct error err = { 0 };
    struct disk *d;

    CHECK(create(g, PATH, "size=64M,cluster_size=4k"));
    d = open_image(g, DISK_RDWR);
    fill(d, 0, 8 * MIB, 5);
    for (unsigned i = 0; i < 7 * 7; i++) {
        char opts[64];

        snprintf(opts, sizeof(opts), "refcount_bits=%u", widths[i * 3 % 7]);
        CHECK(amend(d, opts, NULL));
        CHECK(sound(d));
        fill(d, (8 + i % 8) * MIB, MIB, (int)i);
        CHECK_EQ(holds(d, (8 + i % 8) * MIB, MIB), (int)i);
        CHECK(sound(d));
    }
    CHECK_EQ(holds(d, 0, 8 * MIB), 5);
    CHECK(amend(d, "refcount_bits=16", NULL));
    free(snapshot(d, "s"));
    CHECK(!amend(d, "refcount_bits=1", &err));
    CHECK(strstr(err.msg, "Cannot decrease refcount entry width to 1 bits") != NULL);
    CHECK(!amend(d, "refcount_bits=3", &err));
    CHECK(amend(d, "refcount_bits=2", NULL));
    CHECK(sound(d));
    CHECK_EQ(disk_close(d), 0);
    d = open_image(g, 0);
    CHECK(sound(d));
    CHECK_EQ(holds(d, 0, 8 * MIB), 5);
    CHECK_EQ(disk_close(d), 0);
    disk_graph_free(g);
}

TEST(versions)
{
    struct disk_graph *g = graph();
    struct error err = { 0 };
    struct disk *d;

    CHECK(create(g, PATH, "size=8M"));
    d = open_image(g, DISK_RDWR);
    fill(d, 0, 4 * MIB, 6);
    CHECK_EQ(disk_zero(d, 0, MIB, 0), 0); /* zero clusters with and without space */
    CHECK_EQ(disk_zero(d, MIB, MIB, DISK_MAY_UNMAP), 0);
    CHECK_EQ(disk_zero(d, 5 * MIB, MIB, 0), 0);
    free(snapshot(d, "s"));
    fill(d, 0, 65536, 4);
    CHECK(!amend(d, "lazy_refcounts=on,compat=0.10", &err));
    CHECK(amend(d, "compat=0.10", NULL));
    CHECK_EQ(peek(0) & UINT32_MAX, 2);
    CHECK(sound(d));
    CHECK(!amend(d, "lazy_refcounts=on", &err));
    CHECK_EQ(disk_close(d), 0);
    d = open_image(g, DISK_RDWR);
    CHECK_EQ(holds(d, 0, 65536), 4);
    CHECK_EQ(holds(d, 65536, 2 * MIB - 65536), 0);
    CHECK_EQ(holds(d, 2 * MIB, 2 * MIB), 6);
    CHECK_EQ(holds(d, 4 * MIB, 4 * MIB), 0);
    CHECK(amend(d, "compat=1.1,lazy_refcounts=on", NULL));
    CHECK(sound(d));
    CHECK(disk_snapshot_apply(d, "s", &err));
    CHECK_EQ(holds(d, 0, 2 * MIB), 0);
    CHECK(sound(d));
    CHECK_EQ(disk_close(d), 0);
    CHECK_EQ(peek(0) & UINT32_MAX, 3);
    CHECK_EQ(peek(80), 1);
    disk_graph_free(g);
}

TEST(backing_is_for_rebase)
{
    struct disk_graph *g = graph();
    struct error err = { 0 };
    struct disk *d;

    CHECK(create(g, PATH, "size=1M"));
    d = open_image(g, DISK_RDWR);
    CHECK(!amend(d, "backing_file=b.qcow2", &err));
    CHECK(strstr(err.msg, "Cannot amend the backing file") && strstr(err.hint, "rebase"));
    CHECK(!amend(d, "cluster_size=4k", &err));
    CHECK(!amend(d, "encrypt.state=active", &err));
    CHECK_EQ(disk_close(d), 0);
    disk_graph_free(g);
}

static struct disk_bitmap *add_bitmap(struct disk *d, const char *name, uint32_t granularity)
{
    struct error err = { 0 };
    struct disk_bitmap *b = disk_bitmap_add(d, name, granularity, &err);

    if (!b)
        printf("bitmap: %s\n", err.msg);
    else
        disk_bitmap_set_flags(b, BITMAP_PERSISTENT, 0);
    return b;
}

TEST(bitmaps)
{
    struct disk_graph *g = graph();
    struct error err = { 0 };
    struct disk_bitmap *b;
    struct disk *d;
    json_t *info;

    CHECK(create(g, PATH, "size=512M"));
    d = open_image(g, DISK_RDWR);
    CHECK(d->driver->bitmaps->can_store(d, "b", 512, &err));
    b = add_bitmap(d, "fine", 512);
    disk_bitmap_mark(b, 3 * MIB, MIB);
    disk_bitmap_mark(b, 511 * MIB, MIB);
    b = add_bitmap(d, "full", 65536);
    disk_bitmap_mark(b, 0, 512 * MIB);
    b = add_bitmap(d, "off", 1 << 20);
    disk_bitmap_set_flags(b, 0, BITMAP_ENABLED);
    CHECK_EQ(disk_close(d), 0);

    d = open_image(g, DISK_RDWR);
    b = disk_bitmap_find(d, "fine");
    CHECK(b != NULL);
    CHECK_EQ(disk_bitmap_dirty_bytes(b), 2 * MIB);
    CHECK_EQ(disk_bitmap_granularity(b), 512);
    CHECK_EQ(disk_bitmap_flags(b), BITMAP_ENABLED | BITMAP_PERSISTENT);
    CHECK_EQ(disk_bitmap_dirty_bytes(disk_bitmap_find(d, "full")), 512 * MIB);
    CHECK_EQ(disk_bitmap_flags(disk_bitmap_find(d, "off")), BITMAP_PERSISTENT);
    fill(d, 10 * MIB, MIB, 1);
    CHECK_EQ(disk_bitmap_dirty_bytes(b), 3 * MIB);
    CHECK(sound(d));
    /* killed now: all are inconsistent */
    (void)!system("cp " PATH " " DIR "/killed.qcow2");
    CHECK(disk_bitmap_remove(disk_bitmap_find(d, "full"), &err));
    CHECK(sound(d));
    CHECK_EQ(disk_close(d), 0);

    d = open_image(g, 0);
    info = d->driver->info(d);
    CHECK_EQ(json_array_size(json_object_get(info, "bitmaps")), 2);
    json_decref(info);
    CHECK_EQ(disk_bitmap_dirty_bytes(disk_bitmap_find(d, "fine")), 3 * MIB);
    CHECK(sound(d));
    CHECK_EQ(disk_close(d), 0);

    (void)!system("cp " DIR "/killed.qcow2 " PATH);
    d = open_image(g, DISK_RDWR);
    CHECK(sound(d));
    for (b = disk_bitmap_next(d, NULL); b; b = disk_bitmap_next(d, b))
        CHECK(disk_bitmap_flags(b) & BITMAP_INCONSISTENT);
    CHECK(disk_bitmap_remove(disk_bitmap_find(d, "fine"), &err));
    CHECK_EQ(disk_close(d), 0);
    d = open_image(g, DISK_RDWR);
    CHECK(!disk_bitmap_find(d, "fine"));
    CHECK(disk_bitmap_flags(disk_bitmap_find(d, "off")) & BITMAP_INCONSISTENT);
    CHECK(sound(d));
    CHECK_EQ(disk_close(d), 0);
    disk_graph_free(g);
}

TEST(overlap_check)
{
    struct disk_graph *g = graph();
    uint8_t buf[65536] = { 1 };
    struct disk *d;

    CHECK(create(g, PATH, "size=4M"));
    d = open_image(g, DISK_RDWR);
    fill(d, 0, MIB, 7);
    CHECK_EQ(disk_close(d), 0);
    /* the L2 table lies where the refcount block is, as far as the L1 table says */
    poke(peek(40), refblock_at() | ENTRY_COPIED, 8);
    d = open_image(g, DISK_RDWR);
    if (disk_write(d, 3 * MIB, buf, sizeof(buf), 0) == 0)
        CHECK(disk_flush(d) < 0);
    CHECK(disk_write(d, 2 * MIB, buf, sizeof(buf), 0) < 0);
    disk_unref(d);
    CHECK_EQ(peek(72), INCOMPAT_CORRUPT | (peek(72) & INCOMPAT_DIRTY));
    CHECK(!open_image(g, DISK_RDWR)); /* refuses to write to it */
    disk_graph_free(g);
}

TEST(overlap_options)
{
    struct disk_graph *g = graph();
    struct disk *d;

    CHECK(create(g, PATH, "size=4M"));
    CHECK(!open_with(g, "driver=qcow2,overlap-check=some", DISK_RDWR));
    d = open_with(g, "driver=qcow2,overlap-check=all,overlap-check.main-header=off", DISK_RDWR);
    CHECK(d != NULL);
    if (d) {
        struct qcow2 *q = d->priv;

        CHECK_EQ(q->overlap_kinds, (BIT(Q2_KIND_COUNT) - 1) & ~BIT(Q2_HEADER));
        fill(d, 0, 4 * MIB, 1);
        free(snapshot(d, "s"));
        fill(d, 0, 4 * MIB, 2);
        CHECK(sound(d));
        CHECK_EQ(disk_close(d), 0);
    }
    disk_graph_free(g);
}
