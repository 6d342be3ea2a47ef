/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The filters over raw files (and qcow2 where a backing file is needed). */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/object.h"
#include "base/scope.h"
#include "base/throttle.h"
#include "disk/event.h"
#include "disk/filter/blkdebug.h"
#include "disk/filter/blkdebug_rules.h"
#include "disk/filter/blkfail.h"
#include "disk/node.h"
#include "disk/queue.h"
#include "test.h"

#define DIR "/tmp/rhea-test-filter"

static struct disk_graph *graph(struct object_set *objects)
{
    (void)!system("rm -rf " DIR "; mkdir -p " DIR);
    return disk_graph_new(objects);
}

static void create(struct disk_graph *g, const char *format, const char *path, const char *opts)
{
    struct error err = { 0 };
    struct optlist o;

    if (!optlist_parse(&o, opts, NULL, &err) || !disk_create(g, format, path, &o, &err))
        TEST_FAIL("%s: %s", path, err.msg);
    optlist_finish(&o);
}

static struct disk *open_disk(struct disk_graph *g, const char *name, const char *opts,
                              unsigned flags, struct error *ret_err)
{
    struct error err = { 0 };
    struct optlist o = { 0 };
    struct disk *d = NULL;

    if (!opts || optlist_parse(&o, opts, NULL, &err))
        d = disk_open(g, name, &o, flags, &err);
    if (!d && !ret_err)
        TEST_FAIL("open: %s; %s", err.msg, err.hint);
    if (ret_err)
        *ret_err = err;
    optlist_finish(&o);
    return d;
}

static bool all_is(const void *buf, int byte, size_t len)
{
    const uint8_t *p = buf;

    for (size_t i = 0; i < len; i++)
        if (p[i] != byte)
            return false;
    return true;
}

static bool range_is(struct disk *d, uint64_t offset, int byte, size_t len)
{
    char *buf = xcalloc(1, len);
    int r = disk_read(d, offset, buf, len);
    bool ok = !r && all_is(buf, byte, len);

    free(buf);
    return ok;
}

static int fill(struct disk *d, uint64_t offset, int byte, size_t len)
{
    char *buf = xcalloc(1, len);
    int r;

    memset(buf, byte, len);
    r = disk_write(d, offset, buf, len, 0);
    free(buf);
    return r;
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    fputs(text, f);
    fclose(f);
}

TEST(blkdebug_config)
{
    struct disk_graph *g = graph(NULL);
    struct disk *d;
    struct error err;

    create(g, "raw", DIR "/a.raw", "size=1M");
    write_text(DIR "/c", "# reads of sector 8 fail once\n[inject-error]\nevent = \"none\"\n"
                         "iotype = \"read\"\nsector = \"8\"\nerrno = \"28\"\nonce = \"on\"\n\n"
                         "[set-state \"x\"]\nevent = \"flush_to_disk\"\nstate = \"1\"\n"
                         "new_state = \"2\"\n[inject-error]\nevent = \"pwritev\"\nstate = \"2\"\n"
                         "iotype = \"write\"\n");
    d = open_disk(g, "blkdebug:" DIR "/c:" DIR "/a.raw", "driver=raw", DISK_RDWR, NULL);
    CHECK_STR(disk_driver_name(d), "raw");
    CHECK_STR(disk_driver_name(d->file), "blkdebug");
    CHECK(range_is(d, 0, 0, 4096));
    CHECK_EQ(disk_read(d, 4096 + 511, &err, 1), -ENOSPC);
    CHECK(range_is(d, 4096, 0, 512));
    CHECK_EQ(fill(d, 0, 1, 512), 0);
    CHECK_EQ(disk_flush(d), 0);
    CHECK_EQ(fill(d, 0, 2, 512), -EIO);
    CHECK(range_is(d, 0, 1, 512));
    CHECK_EQ(disk_zero(d, 0, 512, 0), 0);
    disk_unref(d);

    write_text(DIR "/c", "[inject-error]\nevent = \"write_aoi\"\n");
    CHECK(!open_disk(g, "blkdebug:" DIR "/c:" DIR "/a.raw", "driver=raw", DISK_RDWR, &err));
    CHECK(strstr(err.msg, "Invalid event name \"write_aoi\""));
    CHECK_STR(err.hint, "did you mean 'write_aio'?");
    write_text(DIR "/c", "[inject-eror]\n");
    CHECK(!open_disk(g, "blkdebug:" DIR "/c:" DIR "/a.raw", "driver=raw", DISK_RDWR, &err));
    CHECK(strstr(err.msg, "line 1: there is no section [inject-eror]"));
    CHECK(!open_disk(g, "blkdebug:" DIR "/none:" DIR "/a.raw", NULL, DISK_RDWR, &err));
    CHECK(strstr(err.msg, "Could not read blkdebug config file"));
    CHECK(!open_disk(g, "blkdebug:" DIR "/a.raw", NULL, DISK_RDWR, &err));
    CHECK(strstr(err.msg, "blkdebug requires both config file and image path"));
    disk_graph_free(g);
}

TEST(blkdebug_options)
{
    struct disk_graph *g = graph(NULL);
    struct disk *d;
    struct error err;

    create(g, "raw", DIR "/a.raw", "size=1M");
    d = open_disk(g, NULL,
                  "driver=blkdebug,image.driver=file,image.filename=" DIR "/a.raw,align=4096,"
                  "max-transfer=8192,inject-error.0.event=none,inject-error.0.iotype=flush,"
                  "inject-error.0.once=on,inject-error.1.event=none,inject-error.1.iotype=discard,"
                  "inject-error.1.errno=95,set-state.0.event=pwritev,set-state.0.new_state=3",
                  DISK_RDWR | DISK_UNMAP, NULL);
    CHECK_EQ(disk_alignment(d), 4096);
    CHECK_EQ(fill(d, 1000, 5, 20000), 0);
    CHECK(range_is(d, 1000, 5, 20000) && range_is(d, 0, 0, 1000) && range_is(d, 21000, 0, 1000));
    CHECK_EQ(disk_flush(d), -EIO);
    CHECK_EQ(disk_flush(d), 0);
    CHECK_EQ(disk_discard(d, 0, 65536), 0); /* ENOTSUP of a hint is none */
    CHECK(range_is(d, 1000, 5, 20000));
    disk_unref(d);
    CHECK(!open_disk(g, NULL,
                     "driver=blkdebug,image.driver=file,image.filename=" DIR "/a.raw,align=1000", 0,
                     &err));
    CHECK(strstr(err.msg, "Cannot meet constraints with align 1000"));
    CHECK(!open_disk(g, NULL,
                     "driver=blkdebug,image.driver=file,image.filename=" DIR
                     "/a.raw,inject-error.0.event=none,inject-error.0.iotype=raed",
                     0, &err));
    CHECK(strstr(err.msg, "there is no iotype \"raed\""));
    /* what it asks for is held against others */
    d = open_disk(g, NULL,
                  "driver=blkdebug,image.driver=file,image.filename=" DIR
                  "/a.raw,unshare-child-perms.0=write",
                  0, NULL);
    CHECK(!open_disk(g, DIR "/a.raw", "driver=raw", DISK_RDWR, &err));
    CHECK(strstr(err.msg, "lock"));
    disk_unref(d);
    CHECK(!open_disk(g, NULL,
                     "driver=blkdebug,image.driver=file,image.filename=" DIR
                     "/a.raw,take-child-perms.0=wirte",
                     0, &err));
    CHECK(strstr(err.msg, "no permission 'wirte'"));
    disk_graph_free(g);
}

struct stop_test {
    struct disk *d;
    int result;
};

static void *stopped_write(void *arg)
{
    struct stop_test *t = arg;

    t->result = fill(t->d, 0, 9, 512);
    return NULL;
}

TEST(blkdebug_break)
{
    struct disk_graph *g = graph(NULL);
    struct stop_test t = { .result = 1 };
    pthread_t thread;

    create(g, "raw", DIR "/a.raw", "size=1M");
    t.d = open_disk(g, "blkdebug::" DIR "/a.raw", "driver=raw", DISK_RDWR, NULL);
    CHECK_EQ(disk_debug_break(t.d, "no_such", "A"), -EINVAL);
    CHECK_EQ(disk_debug_break(t.d, "pwritev", "A"), 0);
    CHECK(!disk_debug_is_suspended(t.d, "A"));
    CHECK_EQ(disk_debug_resume(t.d, "A"), -ENOENT);
    pthread_create(&thread, NULL, stopped_write, &t);
    CHECK_EQ(disk_debug_wait_break(t.d, "A"), 0);
    CHECK(disk_debug_is_suspended(t.d, "A") && !disk_debug_is_suspended(t.d, "B"));
    CHECK(range_is(t.d, 0, 0, 512));
    CHECK_EQ(fill(t.d, 512, 8, 512), 0); /* the breakpoint is used up */
    CHECK_EQ(disk_debug_resume(t.d, "A"), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(t.result, 0);
    CHECK(range_is(t.d, 0, 9, 512));
    CHECK_EQ(disk_debug_break(t.d, "pwritev", "B"), 0);
    CHECK_EQ(disk_debug_remove_break(t.d, "B"), 0);
    CHECK_EQ(fill(t.d, 0, 7, 512), 0);
    disk_unref(t.d);
    t.d = open_disk(g, DIR "/a.raw", "driver=raw", DISK_RDWR, NULL);
    CHECK_EQ(disk_debug_break(t.d, "pwritev", "A"), -ENOTSUP);
    disk_unref(t.d);
    disk_graph_free(g);
}

TEST(blkfail)
{
    struct disk_graph *g = graph(NULL);
    struct error err = { 0 };
    struct disk *d;

    create(g, "raw", DIR "/a.raw", "size=1M");
    d = open_disk(g, NULL,
                  "driver=blkfail,file.driver=file,file.filename=" DIR "/a.raw,op=write,nth=2,"
                  "errno=28",
                  DISK_RDWR, NULL);
    CHECK_EQ(fill(d, 0, 1, 512), 0);
    CHECK(range_is(d, 0, 1, 512));
    CHECK_EQ(fill(d, 0, 2, 512), -ENOSPC);
    CHECK_EQ(fill(d, 0, 3, 512), 0);
    CHECK_EQ(disk_fail_count(d), 3);
    CHECK_EQ(disk_fail_arm(d, BLKFAIL_ANY, 2, EIO, true), 0);
    CHECK_EQ(disk_flush(d), 0);
    CHECK_EQ(disk_zero(d, 0, 512, 0), -EIO);
    CHECK(!disk_resize(d, 2 << 20, DISK_PREALLOC_OFF, false, &err));
    CHECK_EQ(disk_fail_count(d), 3);
    CHECK_EQ(disk_fail_arm(d, BLKFAIL_ANY, 0, EIO, false), 0);
    CHECK(disk_resize(d, 2 << 20, DISK_PREALLOC_OFF, false, &err));
    CHECK_EQ(disk_size(d), 2 << 20);
    disk_unref(d);
    CHECK(!open_disk(
        g, NULL, "driver=blkfail,op=wirte,file.driver=file,file.filename=" DIR "/a.raw", 0, &err));
    CHECK(strstr(err.msg, "no op 'wirte'"));
    disk_graph_free(g);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct throttled {
    struct disk *d;
    double until;
    uint64_t bytes;
};

static void *write_on(void *arg)
{
    struct throttled *t = arg;

    while (seconds() < t->until)
        if (!fill(t->d, 0, 1, 16384))
            t->bytes += 16384;
    return NULL;
}

TEST(throttle_is_shared_fairly)
{
    struct object_set *set = object_set_new();
    struct disk_graph *g = graph(set);
    struct throttled t[3];
    struct error err = { 0 };
    pthread_t thread[3];
    double start = seconds();
    uint64_t sum = 0;

    CHECK(object_add(set, "throttle-group,id=g,x-bps-write=4194304", &err));
    create(g, "raw", DIR "/a.raw", "size=1M");
    create(g, "raw", DIR "/b.raw", "size=1M");
    t[0].d = open_disk(
        g, NULL, "driver=throttle,throttle-group=g,file.driver=file,file.filename=" DIR "/a.raw",
        DISK_RDWR, NULL);
    t[1].d = open_disk(
        g, NULL, "driver=throttle,throttle-group=g,file.driver=file,file.filename=" DIR "/b.raw",
        DISK_RDWR, NULL);
    t[2].d = t[0].d; /* two writers of one disk get the share of one */
    for (unsigned i = 0; i < 3; i++) {
        t[i].until = start + 1;
        t[i].bytes = 0;
        pthread_create(&thread[i], NULL, write_on, &t[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
        sum += t[i].bytes;
    }
    CHECK(sum > 3 << 20 && sum < 6 << 20);
    CHECK(t[1].bytes > sum / 3 && t[1].bytes < sum * 2 / 3);
    /* reads are free, and a drain does not wait */
    start = seconds();
    for (unsigned i = 0; i < 100; i++)
        CHECK(range_is(t[0].d, 0, 1, 16384));
    CHECK(seconds() - start < 0.5);
    disk_unref(t[0].d);
    disk_unref(t[1].d);
    disk_graph_free(g);
    object_set_free(set);
}

static void count_done(struct disk_request *r, int result)
{
    CHECK_EQ(result, 0);
    ++*(unsigned *)r->opaque;
}

/* Eight requests of 50 ms each wait together, not one after the other. */
TEST(blkdelay)
{
    struct disk_graph *g = graph(NULL);
    struct disk_request req[8] = { 0 };
    struct error err = { 0 };
    struct disk_queue *q = disk_queue_new(g, 8, &err);
    double start = seconds();
    unsigned done = 0;
    char buf[8][512];
    struct disk *d;

    create(g, "raw", DIR "/a.raw", "size=1M");
    d = open_disk(g, NULL,
                  "driver=blkdelay,read-us=50000,file.driver=file,file.filename=" DIR "/a.raw",
                  DISK_RDWR, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(req); i++) {
        req[i] = (struct disk_request){ .disk = d,
                                        .op = DISK_OP_READ,
                                        .offset = i * 512,
                                        .len = 512,
                                        .vec = vec_of(buf[i], 512),
                                        .done = count_done,
                                        .opaque = &done };
        disk_submit(q, &req[i]);
    }
    while (done < ARRAY_SIZE(req))
        disk_queue_reap(q, true);
    CHECK(seconds() - start >= 0.05 && seconds() - start < 0.39);
    disk_queue_free(q);
    disk_unref(d);
    disk_graph_free(g);
}

static bool group_ok(const char *text, const char *why)
{
    struct object_set *set = object_set_new();
    struct error err = { 0 };
    bool ok = object_add(set, text, &err);

    if (why && (ok || !strstr(err.msg, why)))
        TEST_FAIL("%s: %s", text, ok ? "accepted" : err.msg);
    if (!why && !ok)
        TEST_FAIL("%s: %s", text, err.msg);
    object_set_free(set);
    return ok;
}

static void *slow_reads(void *arg)
{
    for (unsigned i = 0; i < 3; i++)
        CHECK(range_is(arg, 0, 0, 512));
    return NULL;
}

/* A drain does not wait for the limits: who is inside goes on at once. */
TEST(throttle_is_drained)
{
    struct object_set *set = object_set_new();
    struct disk_graph *g = graph(set);
    struct error err = { 0 };
    pthread_t thread;
    struct disk *d;
    double start;

    CHECK(object_add(set, "throttle-group,id=g,x-iops-total=1", &err));
    create(g, "raw", DIR "/a.raw", "size=1M");
    d = open_disk(g, NULL,
                  "driver=throttle,throttle-group=g,file.driver=file,file.filename=" DIR "/a.raw",
                  DISK_RDWR, NULL);
    start = seconds();
    pthread_create(&thread, NULL, slow_reads, d);
    usleep(100000); /* the second waits for most of a second */
    disk_drain_begin(d);
    CHECK(seconds() - start < 0.6);
    disk_drain_end(d);
    pthread_join(thread, NULL);
    CHECK(seconds() - start > 0.6); /* the third was throttled again */
    disk_unref(d);
    disk_graph_free(g);
    object_set_free(set);
}

TEST(throttle_options)
{
    group_ok("throttle-group,id=a,x-iops-total=100,x-iops-total-max=200,"
             "x-iops-total-max-length=3,x-iops-size=4096",
             NULL);
    group_ok("{\"qom-type\":\"throttle-group\",\"id\":\"a\",\"limits\":{\"bps-total\":1000,"
             "\"iops-read\":10}}",
             NULL);
    group_ok("throttle-group,id=a,x-bps-total=1,x-bps-read=1", "cannot be used at the same time");
    group_ok("throttle-group,id=a,x-bps-total-max=1", "require corresponding");
    group_ok("throttle-group,id=a,x-bps-total=2,x-bps-total-max=1", "cannot be lower");
    group_ok("throttle-group,id=a,x-iops-size=1", "requires an iops value");
    group_ok("throttle-group,id=a,x-bps-totl=1", "x-bps-totl");
}

/* A burst: 20 requests at once, then 10 a second. */
TEST(throttle_burst)
{
    struct object_set *set = object_set_new();
    struct disk_graph *g = graph(set);
    struct error err = { 0 };
    double start, first, second;
    struct disk *d;

    CHECK(object_add(set, "throttle-group,id=g,x-iops-total=10,x-iops-total-max=20", &err));
    create(g, "raw", DIR "/a.raw", "size=1M");
    d = open_disk(g, NULL,
                  "driver=throttle,throttle-group=g,file.driver=file,file.filename=" DIR "/a.raw",
                  DISK_RDWR, NULL);
    start = seconds();
    for (unsigned i = 0; i < 20; i++)
        CHECK(range_is(d, 0, 0, 512));
    first = seconds();
    for (unsigned i = 0; i < 5; i++)
        CHECK(range_is(d, 0, 0, 512));
    second = seconds();
    CHECK(first - start < 0.3);
    CHECK(second - first > 0.3 && second - first < 1.5);
    disk_unref(d);
    disk_graph_free(g);
    object_set_free(set);
}

TEST(blklogwrites)
{
    struct disk_graph *g = graph(NULL);
    struct disk *d;
    uint8_t log[4096 * 3];
    const char *opts = "driver=blklogwrites,file.driver=file,file.filename=" DIR
                       "/a.raw,log.driver=file,log.filename=" DIR "/log";
    /* closing flushes too */
    static const uint64_t want[][3] = {
        { 2, 2, 0 }, { 8, 8, 0 }, { 16, 8, 4 }, { 0, 0, 1 }, { 0, 0, 1 }
    };
    AUTO_FREE char *more = xasprintf("%s,log-append=on", opts);
    uint64_t at = 512;
    int fd;

    create(g, "raw", DIR "/a.raw", "size=1M");
    write_text(DIR "/log", "");
    d = open_disk(g, NULL, opts, DISK_RDWR | DISK_UNMAP, NULL);
    CHECK_EQ(fill(d, 1024, 7, 1024), 0);
    CHECK_EQ(disk_zero(d, 4096, 4096, 0), 0);
    CHECK_EQ(disk_discard(d, 8192, 4096), 0);
    CHECK_EQ(disk_flush(d), 0);
    disk_unref(d);
    d = open_disk(g, NULL, more, DISK_RDWR, NULL);
    CHECK_EQ(fill(d, 0, 8, 512), 0);
    disk_unref(d);
    fd = open(DIR "/log", O_RDONLY);
    memset(log, 0xee, sizeof(log));
    CHECK(read(fd, log, sizeof(log)) > 0);
    close(fd);
    CHECK_EQ(ld_le64(log), UINT64_C(0x6a736677736872));
    CHECK_EQ(ld_le64(log + 16), 7);
    for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
        for (unsigned k = 0; k < 3; k++)
            CHECK_EQ(ld_le64(log + at + k * 8), want[i][k]);
        if (i == 0)
            CHECK(all_is(log + at + 512, 7, 1024));
        at += 512 + (want[i][2] ? 0 : want[i][1] * 512);
    }
    CHECK_EQ(ld_le64(log + at + 8), 1);
    CHECK(all_is(log + at + 512, 8, 512));
    disk_graph_free(g);
}

TEST(blkverify)
{
    struct disk_graph *g = graph(NULL);
    struct disk *d, *other;

    create(g, "raw", DIR "/a.raw", "size=1M");
    create(g, "raw", DIR "/b.raw", "size=1M");
    d = open_disk(g, "blkverify:" DIR "/a.raw:" DIR "/b.raw", "driver=raw", DISK_RDWR, NULL);
    CHECK_EQ(fill(d, 4096, 3, 8192), 0);
    CHECK(range_is(d, 4096, 3, 8192));
    CHECK_EQ(disk_zero(d, 4096, 4096, 0), 0);
    CHECK(range_is(d, 4096, 0, 4096));
    disk_unref(d);
    other = open_disk(g, DIR "/b.raw", "driver=raw", DISK_RDWR, NULL);
    CHECK(range_is(other, 8192, 3, 4096));
    CHECK_EQ(fill(other, 9000, 4, 1), 0);
    disk_unref(other);
    d = open_disk(g, "blkverify:" DIR "/a.raw:" DIR "/b.raw", "driver=raw", 0, NULL);
    CHECK(range_is(d, 4096, 0, 4096));
    CHECK(!range_is(d, 8192, 3, 4096));
    disk_unref(d);
    disk_graph_free(g);
}

TEST(preallocate)
{
    struct disk_graph *g = graph(NULL);
    struct disk *d;
    struct stat st;

    create(g, "raw", DIR "/a.raw", "size=0");
    d = open_disk(g, NULL,
                  "driver=preallocate,prealloc-align=64k,prealloc-size=1M,file.driver=file,"
                  "file.filename=" DIR "/a.raw",
                  DISK_RDWR | DISK_NEW, NULL);
    CHECK_EQ(fill(d, 0, 1, 1000), 0);
    CHECK_EQ(disk_size(d), 1000);
    CHECK(!stat(DIR "/a.raw", &st));
    CHECK_EQ(st.st_size, (1 << 20) + 65536);
    CHECK_EQ(fill(d, 5000, 2, 1000), 0);
    CHECK(range_is(d, 1000, 0, 4000));
    disk_unref(d);
    CHECK(!stat(DIR "/a.raw", &st));
    CHECK_EQ(st.st_size, 6000);
    disk_graph_free(g);
}

#define QUORUM3                                                                                    \
    "driver=quorum,vote-threshold=2,children.0.driver=raw,children.0.file.filename=" DIR           \
    "/a.raw,children.1.driver=raw,children.1.file.filename=" DIR                                   \
    "/b.raw,children.2.driver=raw,children.2.file.filename=" DIR "/c.raw"

TEST(quorum)
{
    struct disk_graph *g = graph(NULL);
    struct disk *d, *c;
    struct error err;

    create(g, "raw", DIR "/a.raw", "size=1M");
    create(g, "raw", DIR "/b.raw", "size=1M");
    create(g, "raw", DIR "/c.raw", "size=1M");
    d = open_disk(g, NULL, QUORUM3, DISK_RDWR, NULL);
    CHECK_EQ(fill(d, 0, 5, 65536), 0);
    CHECK(range_is(d, 0, 5, 65536));
    disk_unref(d);
    c = open_disk(g, DIR "/b.raw", "driver=raw", DISK_RDWR, NULL);
    CHECK_EQ(fill(c, 100, 6, 10), 0);
    disk_unref(c);
    d = open_disk(g, NULL, QUORUM3 ",rewrite-corrupted=on", DISK_RDWR, NULL);
    CHECK(range_is(d, 0, 5, 65536));
    disk_unref(d);
    c = open_disk(g, DIR "/b.raw", "driver=raw", DISK_RDWR, NULL);
    CHECK(range_is(c, 0, 5, 65536));
    CHECK_EQ(fill(c, 100, 6, 10), 0);
    disk_unref(c);
    c = open_disk(g, DIR "/c.raw", "driver=raw", DISK_RDWR, NULL);
    CHECK_EQ(fill(c, 100, 7, 10), 0);
    disk_unref(c);
    d = open_disk(g, NULL, QUORUM3, DISK_RDWR, NULL);
    CHECK_EQ(disk_read(d, 100, &err, 10), -EIO);
    CHECK(range_is(d, 512, 5, 512));
    disk_unref(d);
    d = open_disk(g, NULL, QUORUM3 ",read-pattern=fifo", DISK_RDWR, NULL);
    CHECK(range_is(d, 0, 5, 65536));
    disk_unref(d);
    CHECK(!open_disk(g, NULL, QUORUM3 ",vote-threshold=4", DISK_RDWR, &err));
    CHECK(strstr(err.msg, "threshold may not exceed children count"));
    disk_graph_free(g);
}

/* A child that fails is outvoted too. */
TEST(quorum_errors)
{
    struct disk_graph *g = graph(NULL);
    struct disk *d;

    create(g, "raw", DIR "/a.raw", "size=1M");
    create(g, "raw", DIR "/b.raw", "size=1M");
    create(g, "raw", DIR "/c.raw", "size=1M");
    d = open_disk(g, NULL,
                  "driver=quorum,vote-threshold=2,children.0.driver=blkfail,children.0.nth=1,"
                  "children.0.forever=on,children.0.file.filename=" DIR
                  "/a.raw,children.1.driver=raw,children.1.file.filename=" DIR
                  "/b.raw,children.2.driver=blkfail,children.2.op=write,children.2.nth=2,"
                  "children.2.file.filename=" DIR "/c.raw",
                  DISK_RDWR, NULL);
    CHECK_EQ(fill(d, 0, 5, 512), 0);
    CHECK(range_is(d, 0, 5, 512));
    CHECK_EQ(fill(d, 0, 6, 512), -EIO);
    disk_unref(d);
    disk_graph_free(g);
}

/* What a filter does not name passes through: data, holes, sizes, flushes. */
TEST(pass_through)
{
    static const char *const filters[] = {
        "blkdebug,image.driver=file,image.filename=" DIR "/a.raw",
        "blkdelay,file.driver=file,file.filename=" DIR "/a.raw",
        "blkfail,file.driver=file,file.filename=" DIR "/a.raw",
        "preallocate,file.driver=file,file.filename=" DIR "/a.raw",
        "throttle,throttle-group=g,file.driver=file,file.filename=" DIR "/a.raw",
        "copy-on-read,file.driver=file,file.filename=" DIR "/a.raw",
        "blklogwrites,file.driver=file,file.filename=" DIR
        "/a.raw,log.driver=file,log.filename=" DIR "/log",
        "copy-before-write,file.driver=file,file.filename=" DIR "/a.raw,target.driver=raw,"
        "target.file.filename=" DIR "/b.raw",
    };
    struct object_set *set = object_set_new();
    struct error err = { 0 };

    CHECK(object_add(set, "throttle-group,id=g", &err));
    for (unsigned i = 0; i < ARRAY_SIZE(filters); i++) {
        struct disk_graph *g = graph(set);
        AUTO_FREE char *opts = xasprintf("driver=%s", filters[i]);
        struct disk_extent x;
        struct disk *d;

        create(g, "raw", DIR "/a.raw", "size=1M");
        create(g, "raw", DIR "/b.raw", "size=4M");
        write_text(DIR "/log", "");
        d = open_disk(g, NULL, opts, DISK_RDWR | DISK_UNMAP, NULL);
        if (!d)
            continue;
        CHECK_EQ(disk_size(d), 1 << 20);
        CHECK_EQ(fill(d, 131072, 3, 65536), 0);
        CHECK(range_is(d, 131072, 3, 65536) && range_is(d, 0, 0, 131072));
        CHECK_EQ(disk_map(d, 0, 1 << 20, &x), 0);
        CHECK_EQ(x.len, 131072);
        CHECK(x.flags & DISK_MAP_ZERO);
        CHECK_EQ(disk_map(d, 131072, 65536, &x), 0);
        CHECK(x.flags & DISK_MAP_DATA && x.flags & DISK_MAP_OFFSET && !(x.flags & DISK_MAP_ZERO));
        CHECK_EQ(x.host_offset, 131072);
        CHECK_EQ(disk_zero(d, 131072, 4096, DISK_MAY_UNMAP), 0);
        CHECK(range_is(d, 131072, 0, 4096));
        CHECK_EQ(disk_discard(d, 135168, 4096), 0);
        CHECK_EQ(disk_write(d, 0, "x", 1, DISK_FUA), 0);
        CHECK_EQ(disk_flush(d), 0);
        CHECK(disk_resize(d, 2 << 20, DISK_PREALLOC_OFF, true, &err));
        CHECK_EQ(disk_size(d), 2 << 20);
        CHECK_EQ(fill(d, (2 << 20) - 512, 1, 512), 0);
        CHECK_EQ(disk_read(d, 2 << 20, &x, 1), -EIO);
        disk_unref(d);
        disk_graph_free(g);
    }
    object_set_free(set);
}

TEST(snapshot_access)
{
    struct disk_graph *g = graph(NULL);
    struct disk *a, *b, *cbw, *snap;
    struct error err;

    create(g, "raw", DIR "/a.raw", "size=1M");
    create(g, "raw", DIR "/b.raw", "size=1M");
    a = open_disk(g, DIR "/a.raw", "driver=raw,node-name=a", DISK_RDWR, NULL);
    b = open_disk(g, DIR "/b.raw", "driver=raw,node-name=b", DISK_RDWR, NULL);
    CHECK_EQ(fill(a, 0, 1, 1 << 20), 0);
    cbw =
        open_disk(g, NULL, "driver=copy-before-write,file=a,target=b,node-name=c", DISK_RDWR, NULL);
    snap = open_disk(g, NULL, "driver=snapshot-access,file=c", 0, NULL);
    CHECK_EQ(fill(cbw, 70000, 2, 100000), 0);
    CHECK_EQ(disk_zero(cbw, 500000, 100000, 0), 0);
    CHECK(range_is(snap, 0, 1, 1 << 20));
    CHECK(range_is(cbw, 70000, 2, 100000) && range_is(cbw, 500000, 0, 100000));
    CHECK(range_is(b, 65536, 1, 131072) && range_is(b, 0, 0, 65536));
    CHECK_EQ(disk_write(snap, 0, "x", 1, 0), -EPERM);
    disk_unref(snap);
    CHECK(!open_disk(g, NULL, "driver=snapshot-access,file=a", 0, &err));
    CHECK(strstr(err.msg, "its file is a raw node"));
    disk_unref(cbw);
    disk_unref(a);
    disk_unref(b);
    disk_graph_free(g);
}

/* The two answers to a target that fails: the guest's write fails, or the snapshot does. */
TEST(copy_before_write_errors)
{
    for (unsigned broken = 0; broken < 2; broken++) {
        struct disk_graph *g = graph(NULL);
        struct disk *a, *cbw, *snap;

        create(g, "raw", DIR "/a.raw", "size=1M");
        create(g, "raw", DIR "/b.raw", "size=1M");
        a = open_disk(g, DIR "/a.raw", "driver=raw,node-name=a", DISK_RDWR, NULL);
        CHECK_EQ(fill(a, 0, 1, 1 << 20), 0);
        cbw = open_disk(g, NULL,
                        broken ? "driver=copy-before-write,file=a,node-name=c,on-cbw-error="
                                 "break-snapshot,target.driver=blkfail,target.nth=1,"
                                 "target.op=write,target.file.filename=" DIR "/b.raw"
                               : "driver=copy-before-write,file=a,node-name=c,"
                                 "target.driver=blkfail,target.nth=1,target.op=write,"
                                 "target.file.filename=" DIR "/b.raw",
                        DISK_RDWR, NULL);
        snap = open_disk(g, NULL, "driver=snapshot-access,file=c", 0, NULL);
        CHECK_EQ(fill(cbw, 0, 2, 512), broken ? 0 : -EIO);
        CHECK(range_is(snap, 0, 1, 512) == !broken);
        disk_unref(snap);
        disk_unref(cbw);
        disk_unref(a);
        disk_graph_free(g);
    }
}
