/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The qcow2 data path against a plain model in memory: random writes, zeroes, discards, resizes and
 * reopens on every kind of image, by one thread and by several; Debian's qemu-img checks the result
 * where it is installed. Environment: QCOW2_TEST_STEPS for longer runs, QCOW2_TEST_SEED.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/disk.h"
#include "disk/queue.h"
#include "test.h"

static char dir[] = "/dev/shm/rhea-qcow2-XXXXXX"; /* flushes cost nothing there */
static bool have_dir;

static char *path_of(const char *name)
{
    if (!have_dir)
        have_dir = mkdtemp(dir) != NULL;
    return xasprintf("%s/%s", dir, name);
}

__attribute__((destructor)) static void remove_dir(void)
{
    if (have_dir) {
        AUTO_FREE char *cmd = xasprintf("rm -rf %s", dir);

        if (system(cmd))
            printf("cannot remove %s\n", dir);
    }
}

static int run(const char *fmt, const char *a, const char *b)
{
    AUTO_FREE char *cmd = NULL;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    cmd = xasprintf(fmt, a, b);
#pragma GCC diagnostic pop
    return system(cmd);
}

static bool have_qemu(void)
{
    static int known = -1;

    if (known < 0) {
        known = system("command -v qemu-img >/dev/null 2>&1") == 0;
        if (!known)
            printf("qemu-img is not installed: no cross-checks\n");
    }
    return known;
}

static void check_by_qemu(const char *path)
{
    if (have_qemu() && run("qemu-img check -q -f qcow2 %s >%s.check 2>&1", path, path)) {
        TEST_FAIL("qemu-img check %s", path);
        (void)!run("qemu-img check -f qcow2 %s 2>&1 | head -n 12", path, "");
    }
}

static uint64_t rng_state = 1;

static uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}

static unsigned steps(unsigned standard)
{
    const char *s = getenv("QCOW2_TEST_STEPS");

    return s ? (unsigned)strtoul(s, NULL, 0) : standard;
}

/* "a=b,c=d" to an option list. */
static bool parse(struct optlist *l, const char *text, struct error *err)
{
    memset(l, 0, sizeof(*l));
    return optlist_parse(l, text ? text : "", NULL, err);
}

static bool create(struct disk_graph *g, const char *path, const char *options)
{
    struct error err = { 0 };
    struct optlist l;
    bool ok = parse(&l, options, &err) && disk_create(g, "qcow2", path, &l, &err);

    optlist_finish(&l);
    if (!ok)
        TEST_FAIL("create %s: %s", options, err.msg);
    return ok;
}

static struct disk *open_it(struct disk_graph *g, const char *path, const char *options,
                            unsigned flags)
{
    struct error err = { 0 };
    struct optlist l;
    struct disk *d;

    if (!parse(&l, options, &err))
        TEST_FAIL("options %s: %s", options, err.msg);
    if (!options || !strstr(options, "driver="))
        optlist_add(&l, "driver", "qcow2");
    d = disk_open(g, path, &l, flags, &err);
    optlist_finish(&l);
    if (!d)
        TEST_FAIL("open %s: %s", path, err.msg);
    return d;
}

/* One random test: the image and what it should hold. */
struct model {
    const char *path;
    const char *open_options;
    struct disk_graph *g;
    struct disk *d;
    uint8_t *want;
    uint64_t size, max;
    bool compress, resize;
};

static void compare(struct model *m, const char *when)
{
    AUTO_FREE uint8_t *got = xnew_array(uint8_t, m->size + 1);
    int r = disk_read(m->d, 0, got, m->size);

    if (r < 0) {
        TEST_FAIL("%s: read: %s", when, strerror(-r));
        return;
    }
    for (uint64_t i = 0; i < m->size; i++)
        if (got[i] != m->want[i]) {
            TEST_FAIL("%s: byte %#" PRIx64 " is %#x, not %#x", when, i, got[i], m->want[i]);
            return;
        }
}

static void reopen(struct model *m)
{
    int r = disk_close(m->d);

    if (r < 0)
        TEST_FAIL("close: %s", strerror(-r));
    m->d = open_it(m->g, m->path, m->open_options, DISK_RDWR | DISK_UNMAP);
}

static void some_range(struct model *m, uint64_t *offset, uint64_t *len)
{
    unsigned kind = rng() % 8;
    uint64_t max = kind < 4 ? 6000 : kind < 7 ? 70000 : m->size / 3 + 1;

    *len = 1 + rng() % max;
    *len = MIN(*len, m->size);
    *offset = rng() % (m->size - *len + 1);
    if (rng() % 2) {
        *offset = ALIGN_DOWN(*offset, UINT64_C(512));
        *len = MIN(ALIGN_UP(*len, UINT64_C(512)), m->size - *offset);
    }
}

static int step_write(struct model *m, uint64_t offset, uint64_t len)
{
    uint8_t fill = (uint8_t)rng();

    for (uint64_t i = 0; i < len; i++)
        m->want[offset + i] = (uint8_t)(fill + (i >> 9));
    return disk_write(m->d, offset, m->want + offset, len, 0);
}

static int step_compressed(struct model *m, uint64_t offset)
{
    uint64_t cs = disk_cluster_size(m->d), len = cs * (1 + rng() % 3);

    offset = ALIGN_DOWN(offset, cs);
    len = MIN(len, m->size - offset);
    for (uint64_t i = 0; i < len; i++)
        m->want[offset + i] = (uint8_t)(rng() % 4 ? offset >> 9 : rng());
    return disk_write(m->d, offset, m->want + offset, len, DISK_COMPRESSED);
}

static int step_discard(struct model *m, uint64_t offset, uint64_t len)
{
    int r = disk_discard(m->d, offset, len);

    /* What was discarded holds zeroes or what it held: take it as it is now. */
    if (r == 0)
        r = disk_read(m->d, offset, m->want + offset, len);
    return r;
}

static int step_resize(struct model *m)
{
    struct error err = { 0 };
    uint64_t size = rng() % m->max;

    size = MIN(ALIGN_UP(size, UINT64_C(512)) + 512, m->max);
    if (!disk_resize(m->d, size, rng() % 8 && size > m->size ? rng() % 2 : 0, true, &err)) {
        TEST_FAIL("resize: %s", err.msg);
        return -err.code;
    }
    if (size > m->size)
        memset(m->want + m->size, 0, size - m->size);
    m->size = size;
    return 0;
}

static void step(struct model *m, unsigned i)
{
    unsigned kind = rng() % 32;
    uint64_t offset, len;
    const char *what = "write";
    int r = 0;

    some_range(m, &offset, &len);
    if (kind < 14) {
        r = step_write(m, offset, len);
    } else if (kind < 19) {
        what = "zero";
        memset(m->want + offset, 0, len);
        r = disk_zero(m->d, offset, len, rng() % 2 ? DISK_MAY_UNMAP : 0);
    } else if (kind < 23) {
        what = "discard";
        r = step_discard(m, offset, len);
    } else if (kind < 25 && m->compress) {
        what = "compressed";
        r = step_compressed(m, offset);
    } else if (kind == 25) {
        what = "flush";
        r = disk_flush(m->d);
    } else if (kind == 26 && m->resize) {
        what = "resize";
        r = step_resize(m);
    } else if (kind == 27 && i % 4 == 0) {
        reopen(m);
    } else {
        AUTO_FREE uint8_t *buf = xnew_array(uint8_t, len);

        what = "read";
        r = disk_read(m->d, offset, buf, len);
        if (r == 0 && memcmp(buf, m->want + offset, len))
            TEST_FAIL("step %u: read %#" PRIx64 "+%#" PRIx64 " differs", i, offset, len);
    }
    if (r < 0)
        TEST_FAIL("step %u: %s %#" PRIx64 "+%#" PRIx64 ": %s", i, what, offset, len, strerror(-r));
}

static void run_model(const char *create_options, const char *open_options, const char *backing,
                      unsigned n)
{
    AUTO_FREE char *path = path_of("model.qcow2");
    AUTO_FREE char *all = NULL;
    struct model m = { .path = path, .open_options = open_options, .size = 3 << 20 };

    all = xasprintf("size=3M,%s%s%s", create_options,
                    backing ? ",backing_fmt=raw,backing_file=" : "", backing ? backing : "");
    m.compress = !strstr(create_options, "data_file");
    m.resize = true;
    m.max = 8 << 20;
    m.want = xnew_array(uint8_t, m.max);
    m.g = disk_graph_new(NULL);
    if (create(m.g, path, all) &&
        (m.d = open_it(m.g, path, open_options, DISK_RDWR | DISK_UNMAP))) {
        if (backing)
            CHECK_EQ(disk_read(m.d, 0, m.want, m.size), 0);
        for (unsigned i = 0; i < n && m.d && !test_bad; i++)
            step(&m, i);
        if (m.d) {
            compare(&m, "at the end");
            reopen(&m);
        }
        if (m.d)
            compare(&m, "reopened");
        CHECK_EQ(disk_close(m.d), 0);
        check_by_qemu(path);
        if (have_qemu()) {
            AUTO_FREE char *raw = path_of("model.raw");
            int fd = open(raw, O_CREAT | O_TRUNC | O_WRONLY, 0600);

            CHECK(fd >= 0 && write(fd, m.want, m.size) == (ssize_t)m.size);
            (void)close(fd);
            if (run("qemu-img compare -q -f qcow2 -F raw %s %s", path, raw))
                TEST_FAIL("qemu-img reads other data");
        }
        if (test_bad)
            printf("with %s, %s\n", all, open_options ? open_options : "");
    }
    disk_graph_free(m.g);
    free(m.want);
}

static const char *const kinds[] = {
    "compat=0.10",
    "compat=1.1",
    "cluster_size=512",
    "cluster_size=512,refcount_bits=64",
    "cluster_size=512,compat=0.10",
    "cluster_size=4k,refcount_bits=1",
    "cluster_size=4k,refcount_bits=2,lazy_refcounts=on",
    "cluster_size=1k,refcount_bits=4",
    "cluster_size=2M,refcount_bits=8",
    "cluster_size=16k,extended_l2=on,refcount_bits=32",
    "cluster_size=64k,extended_l2=on",
    "cluster_size=2M,extended_l2=on",
    "compression_type=zstd,cluster_size=8k",
    "cluster_size=64k,lazy_refcounts=on",
};

TEST(model)
{
    const char *seed = getenv("QCOW2_TEST_SEED");

    rng_state = seed ? strtoull(seed, NULL, 0) | 1 : 88172645463325252ull;
    for (unsigned i = 0; i < ARRAY_SIZE(kinds) && !test_bad; i++)
        run_model(kinds[i], NULL, NULL, steps(100));
}

TEST(model_small_caches)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds) && !test_bad; i++)
        run_model(kinds[i], "l2-cache-size=4096,l2-cache-entry-size=512,refcount-cache-size=4096",
                  NULL, steps(60));
}

TEST(model_over_backing)
{
    static const uint64_t sizes[] = { 1 << 20, (3 << 20) + 512 * 3, 6 << 20 };

    for (unsigned i = 0; i < ARRAY_SIZE(kinds) && !test_bad; i++) {
        AUTO_FREE char *backing = path_of("base.raw");
        int fd = open(backing, O_CREAT | O_TRUNC | O_RDWR, 0600);
        uint64_t size = sizes[i % 3];
        AUTO_FREE uint8_t *data = xnew_array(uint8_t, size);

        for (uint64_t at = 0; at < size; at++)
            data[at] = (uint8_t)(at >> 9 | 1);
        CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
        (void)close(fd);
        run_model(kinds[i], NULL, backing, steps(80));
    }
}

TEST(model_data_file)
{
    AUTO_FREE char *data = path_of("data.raw");
    AUTO_FREE char *plain = xasprintf("data_file=%s", data);
    AUTO_FREE char *raw = xasprintf("data_file=%s,data_file_raw=on,cluster_size=4k", data);
    AUTO_FREE char *ext = xasprintf("data_file=%s,extended_l2=on,cluster_size=16k", data);

    run_model(plain, NULL, NULL, steps(100));
    (void)unlink(data);
    run_model(raw, NULL, NULL, steps(100));
    (void)unlink(data);
    run_model(ext, NULL, NULL, steps(100));
}

/* Several threads on one image: each has every 8th cluster-sized stripe and a model of it, so that
 * their clusters, tables and compressed bytes lie side by side. */
enum { STRIPES = 8, STRIPE = 48 << 10 };

struct worker {
    struct model *m;
    unsigned index, steps, bad;
    uint64_t rng;
};

static uint64_t next(struct worker *w)
{
    w->rng ^= w->rng << 13;
    w->rng ^= w->rng >> 7;
    w->rng ^= w->rng << 17;
    return w->rng;
}

static int worker_step(struct worker *w, uint8_t *buf)
{
    struct model *m = w->m;
    uint64_t stripe = next(w) % (m->size / STRIPE / STRIPES) * STRIPES + w->index;
    uint64_t len = 1 + next(w) % (next(w) % 4 ? 5000 : STRIPE);
    uint64_t at = stripe * STRIPE + next(w) % (STRIPE - len + 1);
    unsigned kind = next(w) % 16;
    int r;

    if (kind < 8) {
        memset(m->want + at, (int)next(w), len);
        return disk_write(m->d, at, m->want + at, len, 0);
    }
    if (kind < 10) {
        memset(m->want + at, 0, len);
        return disk_zero(m->d, at, len, kind & 1 ? DISK_MAY_UNMAP : 0);
    }
    if (kind < 12) {
        r = disk_discard(m->d, at, len);
        return r ? r : disk_read(m->d, at, m->want + at, len);
    }
    if (kind == 12)
        return disk_flush(m->d);
    r = disk_read(m->d, at, buf, len);
    if (r == 0 && memcmp(buf, m->want + at, len)) {
        for (uint64_t i = 0; i < len; i++)
            if (buf[i] != m->want[at + i]) {
                printf("thread %u: byte %#" PRIx64 " is %#x, not %#x\n", w->index, at + i, buf[i],
                       m->want[at + i]);
                break;
            }
        return -EIO;
    }
    return r;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    AUTO_FREE uint8_t *buf = xnew_array(uint8_t, STRIPE);

    for (unsigned i = 0; i < w->steps && !w->bad; i++)
        if (worker_step(w, buf) < 0)
            w->bad++;
    return NULL;
}

static void run_threads(const char *create_options, unsigned n)
{
    AUTO_FREE char *path = path_of("threads.qcow2");
    AUTO_FREE char *all = xasprintf("size=6M,%s", create_options);
    struct model m = { .path = path, .size = 6 << 20 };
    struct worker workers[STRIPES];
    pthread_t threads[STRIPES];

    m.want = xnew_array(uint8_t, m.size);
    m.g = disk_graph_new(NULL);
    if (create(m.g, path, all) && (m.d = open_it(m.g, path, NULL, DISK_RDWR | DISK_UNMAP))) {
        for (unsigned i = 0; i < STRIPES; i++) {
            workers[i] = (struct worker){ &m, i, n, 0, rng() | 1 };
            CHECK_EQ(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
        }
        for (unsigned i = 0; i < STRIPES; i++) {
            CHECK_EQ(pthread_join(threads[i], NULL), 0);
            CHECK_EQ(workers[i].bad, 0);
        }
        compare(&m, "after the threads");
        CHECK_EQ(disk_close(m.d), 0);
        check_by_qemu(path);
    }
    if (test_bad)
        printf("with %s\n", all);
    disk_graph_free(m.g);
    free(m.want);
}

TEST(threads)
{
    for (unsigned i = 0; i < ARRAY_SIZE(kinds) && !test_bad; i++)
        run_threads(kinds[i], steps(100));
}

/* The same by a queue of requests, most of which go past the worker threads. */
struct slot {
    struct disk_request r;
    struct model *m;
    struct disk_queue *queue;
    uint8_t *buf;
    struct worker rng;
    unsigned left, stage;
    uint64_t at, len;
    bool bad;
};

static void slot_next(struct slot *s)
{
    static const enum disk_op ops[] = { DISK_OP_WRITE, DISK_OP_WRITE, DISK_OP_READ,
                                        DISK_OP_READ,  DISK_OP_ZERO,  DISK_OP_DISCARD };
    uint64_t cs = disk_cluster_size(s->m->d), n = s->m->size / cs;
    uint64_t cluster = next(&s->rng) % (n / 32) * 32 + s->rng.index;

    s->at = cluster * cs;
    s->len = cs;
    s->r.op = ops[next(&s->rng) % ARRAY_SIZE(ops)];
    if (s->r.op == DISK_OP_WRITE || s->r.op == DISK_OP_READ) {
        s->len = 512 + next(&s->rng) % (cs / 512) * 512;
        s->at += next(&s->rng) % ((cs - s->len) / 512 + 1) * 512;
    }
    if (s->stage) { /* a discard's outcome is looked at */
        s->r.op = DISK_OP_READ;
        s->at = s->r.offset;
        s->len = cs;
    }
    if (s->r.op == DISK_OP_WRITE) {
        memset(s->buf, (int)next(&s->rng), s->len);
        memcpy(s->m->want + s->at, s->buf, s->len);
    } else if (s->r.op == DISK_OP_ZERO) {
        memset(s->m->want + s->at, 0, s->len);
    }
    s->r.flags = s->r.op == DISK_OP_ZERO && next(&s->rng) % 2 ? DISK_MAY_UNMAP : 0;
    s->r.offset = s->at;
    s->r.len = s->len;
    s->r.vec = vec_of(s->buf, s->len);
    disk_submit(s->queue, &s->r);
}

static void slot_done(struct disk_request *r, int result)
{
    struct slot *s = r->opaque;

    if (result < 0 || s->bad) {
        s->bad = true;
        return;
    }
    if (r->op == DISK_OP_READ && s->stage)
        memcpy(s->m->want + s->at, s->buf, s->len);
    else if (r->op == DISK_OP_READ && memcmp(s->buf, s->m->want + s->at, s->len))
        s->bad = true;
    s->stage = r->op == DISK_OP_DISCARD;
    if (s->left-- > 1 || s->stage)
        slot_next(s);
}

static void run_queue(const char *options, unsigned n)
{
    AUTO_FREE char *path = path_of("queue.qcow2");
    struct model m = { .path = path, .size = 8 << 20 };
    struct slot *slots = xnew_array(struct slot, 32);
    struct error err = { 0 };
    struct disk_queue *q;

    m.want = xnew_array(uint8_t, m.size);
    m.g = disk_graph_new(NULL);
    q = disk_queue_new(m.g, 16, &err);
    CHECK(q != NULL);
    if (create(m.g, path, options) && (m.d = open_it(m.g, path, NULL, DISK_RDWR | DISK_UNMAP))) {
        for (unsigned i = 0; i < 32; i++) {
            struct slot *s = &slots[i];

            s->r.disk = m.d;
            s->r.done = slot_done;
            s->r.opaque = s;
            s->m = &m;
            s->queue = q;
            s->buf = aligned_alloc(4096, disk_cluster_size(m.d));
            s->rng = (struct worker){ .index = i, .rng = rng() | 1 };
            s->left = n;
            slot_next(s);
        }
        while (disk_queue_in_flight(q)) {
            disk_queue_reap(q, true);
            if (rng() % 64 == 0)
                CHECK_EQ(disk_flush(m.d), 0);
        }
        for (unsigned i = 0; i < 32; i++) {
            CHECK(!slots[i].bad);
            free(slots[i].buf);
        }
        compare(&m, "after the queue");
        CHECK_EQ(disk_close(m.d), 0);
        check_by_qemu(path);
    }
    disk_queue_free(q);
    disk_graph_free(m.g);
    free(slots);
    free(m.want);
}

TEST(queue)
{
    run_queue("size=8M,cluster_size=4k", steps(150));
    run_queue("size=8M,cluster_size=64k", steps(200));
    run_queue("size=8M,cluster_size=16k,extended_l2=on", steps(200));
}

/* Bytes 72 to 79 of the header. */
static uint64_t incompatible_of(const char *path)
{
    uint8_t head[80] = { 0 };
    int fd = open(path, O_RDONLY);

    CHECK(fd >= 0 && read(fd, head, sizeof(head)) == sizeof(head));
    (void)close(fd);
    return ld_be64(head + 72);
}

static bool reopen_with(struct disk *d, const char *options, unsigned flags)
{
    struct error err = { 0 };
    struct optlist l;
    bool ok = parse(&l, options, &err) && disk_reopen(d, &l, flags, &err);

    optlist_finish(&l);
    return ok;
}

TEST(reopen)
{
    AUTO_FREE char *path = path_of("reopen.qcow2");
    struct disk_graph *g = disk_graph_new(NULL);
    uint8_t buf[512] = { 7 }, got[512];
    struct disk *d;

    CHECK(create(g, path, "size=1M"));
    d = open_it(g, path, NULL, 0);
    CHECK_EQ(disk_write(d, 0, buf, sizeof(buf), 0), -EPERM);
    CHECK(reopen_with(d, "l2-cache-size=65536,lazy-refcounts=on", DISK_RDWR));
    CHECK_EQ(incompatible_of(path) & 1, 0);
    CHECK_EQ(disk_write(d, 0, buf, sizeof(buf), 0), 0);
    CHECK_EQ(disk_flush(d), 0);
    CHECK_EQ(incompatible_of(path) & 1, 1); /* a crash now is healed by the next open */
    CHECK(!reopen_with(d, "l2-cache-entry-size=3", DISK_RDWR));
    CHECK(reopen_with(d, "cache-clean-interval=1", 0));
    CHECK_EQ(incompatible_of(path) & 1, 0);
    CHECK_EQ(disk_write(d, 0, buf, sizeof(buf), 0), -EPERM);
    CHECK_EQ(disk_read(d, 0, got, sizeof(got)), 0);
    CHECK_MEM(buf, got, sizeof(got));
    CHECK_EQ(disk_close(d), 0);
    disk_graph_free(g);
    check_by_qemu(path);
}

/* Damage anywhere in the metadata: an error, or other data, but no crash, hang or large memory. */
TEST(damaged)
{
    AUTO_FREE char *path = path_of("damaged.qcow2");
    struct disk_graph *g = disk_graph_new(NULL);
    static uint8_t image[256 << 10], data[1 << 20];
    unsigned opened = 0;
    ssize_t len;
    int fd, saved = dup(2), null = open("/dev/null", O_WRONLY);
    struct disk *d;

    CHECK(create(g, path, "size=1M,cluster_size=4k"));
    d = open_it(g, path, NULL, DISK_RDWR);
    memset(data, 5, sizeof(data));
    CHECK_EQ(disk_write(d, 0, data, 100000, 0), 0);
    CHECK_EQ(disk_write(d, 200704, data, 40960, DISK_COMPRESSED), 0);
    CHECK_EQ(disk_close(d), 0);
    fd = open(path, O_RDWR);
    len = read(fd, image, sizeof(image));
    CHECK(len > 0);
    (void)dup2(null, 2); /* each says once that it is corrupt */
    for (unsigned i = 0; i < steps(150); i++) {
        struct error err = { 0 };
        struct optlist l;
        uint64_t at = rng() % (i % 3 ? 160 : 32768);
        uint8_t bytes[8];

        st_be64(bytes, rng() >> rng() % 64);
        CHECK(pwrite(fd, image, (size_t)len, 0) == len && ftruncate(fd, len) == 0);
        CHECK(pwrite(fd, bytes, 1 + rng() % 8, (off_t)at) > 0);
        CHECK(parse(&l, "driver=qcow2", &err));
        d = disk_open(g, path, &l, DISK_RDWR, &err);
        optlist_finish(&l);
        if (!d)
            continue;
        opened++;
        for (uint64_t o = 0; o < MIN(disk_size(d), sizeof(data)); o += 65536)
            if (disk_read(d, o, data, MIN(disk_size(d) - o, 65536u)) < 0 ||
                disk_write(d, o, data, MIN(disk_size(d) - o, 5000u), 0) < 0)
                break;
        if (disk_close(d) < 0)
            continue;
    }
    (void)dup2(saved, 2);
    (void)close(saved);
    (void)close(null);
    (void)close(fd);
    CHECK(opened > 10);
    disk_graph_free(g);
}
