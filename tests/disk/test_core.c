/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The core of the block layer over raw files: opening, names, ranges, zeroing, resizing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "disk/node.h"
#include "test.h"

#define DIR "/tmp/rhea-test-core"

static struct disk_graph *graph(void)
{
    (void)!system("rm -rf " DIR "; mkdir -p " DIR);
    return disk_graph_new(NULL);
}

static bool create(struct disk_graph *g, const char *format, const char *path, const char *opts)
{
    struct error err = { 0 };
    struct optlist o;
    bool ok = optlist_parse(&o, opts, NULL, &err) && disk_create(g, format, path, &o, &err);

    if (!ok)
        printf("%s: %s\n", path, err.msg);
    optlist_finish(&o);
    return ok;
}

/* opts may be NULL. Says why when it fails, unless err is looked at. */
static struct disk *open_disk(struct disk_graph *g, const char *name, const char *opts,
                              unsigned flags, struct error *ret_err)
{
    struct error err = { 0 };
    struct optlist o = { 0 };
    struct disk *d = NULL;

    if (!opts || optlist_parse(&o, opts, NULL, &err))
        d = disk_open(g, name, &o, flags, &err);
    if (!d && !ret_err)
        printf("open: %s; %s\n", err.msg, err.hint);
    if (ret_err)
        *ret_err = err;
    optlist_finish(&o);
    return d;
}

TEST(raw_read_write)
{
    struct disk_graph *g = graph();
    struct disk *d;
    char out[5000], in[5000];

    CHECK(create(g, "raw", DIR "/a.raw", "size=1M"));
    d = open_disk(g, DIR "/a.raw", "driver=raw", DISK_RDWR, NULL);
    CHECK_EQ(disk_size(d), 1 << 20);
    memset(in, 7, sizeof(in));
    CHECK_EQ(disk_write(d, 1234, in, sizeof(in), DISK_FUA), 0);
    CHECK_EQ(disk_read(d, 1234, out, sizeof(out)), 0);
    CHECK_MEM(in, out, sizeof(in));
    CHECK_EQ(disk_read(d, (1 << 20) - 100, out, 100), 0);
    CHECK_EQ(disk_read(d, (1 << 20) - 100, out, 101), -EIO);
    CHECK_EQ(disk_write(d, 1 << 20, in, 1, 0), -EIO);
    CHECK_EQ(disk_write(d, UINT64_MAX, in, 2, 0), -EIO);
    CHECK_EQ(disk_zero(d, 2000, 3000, 0), 0);
    CHECK_EQ(disk_read(d, 1900, out, 3200), 0);
    CHECK(out[99] == 7 && buf_is_zero(out + 100, 3000) && out[3100] == 7);
    CHECK_EQ(disk_flush(d), 0);
    CHECK_EQ(disk_close(d), 0);
    d = open_disk(g, DIR "/a.raw", "driver=raw", 0, NULL);
    CHECK_EQ(disk_write(d, 0, in, 1, 0), -EPERM);
    disk_unref(d);
    disk_graph_free(g);
}

TEST(names)
{
    struct disk_graph *g = graph();
    struct disk *d;
    struct error err;

    CHECK(create(g, "raw", DIR "/a.raw", "size=64k"));
    d = open_disk(g, "file:" DIR "/a.raw", NULL, 0, NULL);
    CHECK_STR(disk_driver_name(d), "raw");
    CHECK_STR(disk_filename(d), DIR "/a.raw");
    CHECK(d->probed);
    disk_unref(d);
    d = open_disk(g,
                  "json:{\"driver\":\"raw\",\"offset\":512,\"file\":{\"driver\":\"file\","
                  "\"filename\":\"" DIR "/a.raw\"}}",
                  NULL, 0, NULL);
    CHECK_EQ(disk_size(d), 65536 - 512);
    CHECK(!strncmp(disk_filename(d), "json:{", 6));
    disk_unref(d);
    d = open_disk(g, NULL, "driver=file,filename=" DIR "/a.raw,node-name=one", 0, NULL);
    CHECK_STR(disk_node_name(d), "one");
    CHECK(disk_graph_find(g, "one") == d);
    CHECK(!open_disk(g, NULL, "driver=file,filename=" DIR "/a.raw,node-name=one", 0, &err));
    CHECK_STR(err.msg, "Duplicate nodes with node-name='one'");
    disk_unref(d);
    CHECK(!open_disk(g, "fat:/tmp", NULL, 0, &err));
    CHECK_STR(err.msg, "Could not open 'fat:/tmp': Unknown protocol 'fat'");
    CHECK(!open_disk(g, DIR "/none", NULL, 0, &err));
    CHECK_STR(err.msg, "Could not open '" DIR "/none': No such file or directory");
    CHECK(!open_disk(g, DIR "/a.raw", "driver=raw,ofset=3", 0, &err));
    CHECK_STR(err.hint, "did you mean 'offset'?");
    disk_graph_free(g);
}

/* A raw image that nobody called raw must not become another format by its first block. */
TEST(probed_raw)
{
    struct disk_graph *g = graph();
    struct disk *d;
    char in[512] = "no magic";

    CHECK(create(g, "raw", DIR "/a.raw", "size=64k"));
    d = open_disk(g, DIR "/a.raw", NULL, DISK_RDWR, NULL);
    CHECK_EQ(disk_write(d, 0, in, 512, 0), 0);
    disk_unref(d);
    disk_graph_free(g);
}

TEST(resize)
{
    struct disk_graph *g = graph();
    struct error err = { 0 };
    struct disk *d;

    CHECK(create(g, "raw", DIR "/a.raw", "size=64k,preallocation=full"));
    d = open_disk(g, DIR "/a.raw", "driver=raw", DISK_RDWR | DISK_RESIZE, NULL);
    CHECK(disk_allocated_bytes(d) >= 65536);
    CHECK(disk_resize(d, 128 * 1024, DISK_PREALLOC_OFF, true, &err));
    CHECK_EQ(disk_size(d), 128 * 1024);
    CHECK(disk_resize(d, 4096, DISK_PREALLOC_OFF, true, &err));
    CHECK_EQ(disk_size(d), 4096);
    disk_unref(d);
    disk_graph_free(g);
}

static int count(void *arg, unsigned i)
{
    atomic_fetch_add((_Atomic(unsigned) *)arg, 1);
    return i == 500 ? -EDOM : 0;
}

TEST(parallel)
{
    struct disk_graph *g = graph();
    _Atomic(unsigned) n = 0;

    CHECK_EQ(disk_parallel(g, 400, count, &n), 0);
    CHECK_EQ(n, 400);
    CHECK_EQ(disk_parallel(g, 1000, count, &n), -EDOM);
    disk_graph_free(g);
}
