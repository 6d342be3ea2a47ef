/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The core of the block layer over raw files: opening, names, ranges, zeroing, resizing. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
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

TEST(magic_refused)
{
    struct disk_graph *g = graph();
    struct disk *d, *q;
    char head[512], old[512];

    CHECK(create(g, "qcow2", DIR "/q", "size=1M"));
    q = open_disk(g, DIR "/q", "driver=raw", 0, NULL);
    CHECK_EQ(disk_read(q, 0, head, 512), 0);
    disk_unref(q);
    CHECK(create(g, "raw", DIR "/a.raw", "size=64k"));
    d = open_disk(g, DIR "/a.raw", NULL, DISK_RDWR, NULL);
    memset(old, 'x', 512);
    CHECK_EQ(disk_write(d, 0, old, 512, 0), 0);
    CHECK_EQ(disk_write(d, 0, head, 512, 0), -EPERM);
    CHECK_EQ(disk_write(d, 0, head, 4, 0), -EPERM); /* the magic alone */
    CHECK_EQ(disk_write(d, 1, head + 1, 3, 0), 0);  /* Q is missing */
    CHECK_EQ(disk_write(d, 512, head, 512, 0), 0);
    disk_unref(d);
    d = open_disk(g, DIR "/a.raw", "driver=raw", DISK_RDWR, NULL); /* said to be raw */
    CHECK_EQ(disk_write(d, 0, head, 512, 0), 0);
    disk_unref(d);
    disk_graph_free(g);
}

TEST(backing)
{
    struct disk_graph *g = graph();
    struct error err = { 0 };
    struct disk_extent x;
    struct disk *d, *b;
    char buf[4096];

    CHECK(create(g, "qcow2", DIR "/base", "size=1M"));
    b = open_disk(g, DIR "/base", NULL, DISK_RDWR, NULL);
    memset(buf, 1, sizeof(buf));
    for (uint64_t at = 0; at < 1 << 20; at += 65536)
        CHECK_EQ(disk_write(b, at, buf, sizeof(buf), 0), 0);
    disk_unref(b);
    /* the size is the backing file's, whose name counts from the image's folder */
    CHECK(create(g, "qcow2", DIR "/top", "backing_file=base,backing_fmt=qcow2"));
    d = open_disk(g, DIR "/top", NULL, DISK_RDWR | DISK_RESIZE, NULL);
    CHECK_EQ(disk_size(d), 1 << 20);
    CHECK(disk_backing(d) && !strcmp(disk_filename(disk_backing(d)), DIR "/base"));
    CHECK(disk_read_only(disk_backing(d)));
    CHECK_EQ(disk_read(d, 65536, buf, sizeof(buf)), 0);
    CHECK_EQ(buf[5], 1);
    CHECK_EQ(disk_map_above(d, NULL, 65536, 4096, &x), 0);
    CHECK_EQ(x.depth, 1);
    /* what is cut off and grown again does not show the backing file */
    CHECK(disk_resize(d, 65536, DISK_PREALLOC_OFF, true, &err));
    CHECK(disk_resize(d, 1 << 20, DISK_PREALLOC_OFF, true, &err));
    CHECK_EQ(disk_read(d, 65536, buf, sizeof(buf)), 0);
    CHECK(buf_is_zero(buf, sizeof(buf)));
    CHECK_EQ(disk_read(d, 0, buf, sizeof(buf)), 0);
    CHECK_EQ(buf[5], 1);
    CHECK(disk_set_backing(d, NULL, &err));
    CHECK(!disk_backing(d));
    CHECK_EQ(disk_read(d, 0, buf, sizeof(buf)), 0);
    CHECK(buf_is_zero(buf, sizeof(buf)));
    b = open_disk(g, DIR "/base", NULL, 0, NULL);
    CHECK(disk_set_backing(d, b, &err));
    CHECK(!disk_set_backing(b, d, &err));
    CHECK(strstr(err.msg, "cycle"));
    disk_unref(b);
    CHECK_EQ(disk_read(d, 0, buf, sizeof(buf)), 0);
    CHECK_EQ(buf[5], 1);
    disk_unref(d);
    d = open_disk(g, DIR "/top", "backing=", 0, NULL);
    CHECK(d && !disk_backing(d));
    disk_unref(d);
    disk_graph_free(g);
}

TEST(loops)
{
    struct disk_graph *g = graph();
    struct error err = { 0 };
    struct disk *d;

    CHECK(create(g, "qcow2", DIR "/a", "size=1M"));
    CHECK(create(g, "qcow2", DIR "/b", "size=1M,backing_file=a,backing_fmt=qcow2"));
    d = open_disk(g, DIR "/a", NULL, DISK_RDWR, NULL);
    CHECK(disk_change_backing_file(d, "b", "qcow2", &err));
    disk_unref(d);
    CHECK(!open_disk(g, DIR "/a", NULL, 0, &err));
    CHECK(strstr(err.msg, "infinite loop"));
    d = open_disk(g, DIR "/a", NULL, DISK_NO_BACKING, NULL);
    CHECK_STR(d->backing_name, "b");
    disk_unref(d);
    disk_graph_free(g);
}

TEST(shared_node)
{
    struct disk_graph *g = graph();
    struct disk *file, *d;
    struct error err;

    CHECK(create(g, "raw", DIR "/a.raw", "size=64k"));
    file = open_disk(g, NULL, "driver=file,node-name=f,filename=" DIR "/a.raw", 0, NULL);
    d = open_disk(g, NULL, "driver=raw,file=f,offset=4k", 0, NULL);
    CHECK_EQ(disk_size(d), 65536 - 4096);
    CHECK(disk_child(d, "file") == file);
    disk_unref(file);
    CHECK(disk_graph_find(g, "f") == file); /* d keeps it */
    disk_unref(d);
    CHECK(!disk_graph_find(g, "f"));
    CHECK(!open_disk(g, NULL, "driver=raw,file=f", 0, &err));
    CHECK(strstr(err.msg, "Cannot find device='f' nor node-name='f'"));
    disk_graph_free(g);
}

TEST(create_fails)
{
    struct disk_graph *g = graph();
    struct error err = { 0 };
    struct optlist o;

    CHECK(optlist_parse(&o, "size=1M,cluster_size=12345", NULL, &err));
    CHECK(!disk_create(g, "qcow2", DIR "/x", &o, &err));
    optlist_finish(&o);
    CHECK(access(DIR "/x", F_OK)); /* nothing is left behind */
    CHECK(optlist_parse(&o, "size=1M,clustersize=64k", NULL, &err));
    CHECK(!disk_create(g, "qcow2", DIR "/x", &o, &err));
    optlist_finish(&o);
    disk_graph_free(g);
}

TEST(detect_zeroes)
{
    struct disk_graph *g = graph();
    struct disk *d;
    struct disk_extent x;
    static char zeroes[65536];

    CHECK(create(g, "qcow2", DIR "/q", "size=1M"));
    d = open_disk(g, DIR "/q", "detect-zeroes=unmap,discard=unmap", DISK_RDWR, NULL);
    CHECK_EQ(disk_write(d, 65536, zeroes, sizeof(zeroes), 0), 0);
    CHECK_EQ(disk_map(d, 65536, 65536, &x), 0);
    CHECK(!(x.flags & DISK_MAP_DATA));
    disk_unref(d);
    disk_graph_free(g);
}

/* Many threads write pieces of the same blocks through O_DIRECT: none is lost. */
struct writer {
    struct disk *d;
    unsigned n;
};

enum { WRITERS = 8, PIECE = 100, ROUNDS = 40 };

static void *write_pieces(void *arg)
{
    struct writer *w = arg;
    char buf[PIECE];

    for (unsigned i = 0; i < ROUNDS; i++) {
        memset(buf, (int)(w->n + i), PIECE);
        CHECK_EQ(disk_write(w->d, (i * WRITERS + w->n) * PIECE, buf, PIECE, 0), 0);
    }
    return NULL;
}

TEST(parts_of_blocks)
{
    struct disk_graph *g = graph();
    struct error err;
    struct writer w[WRITERS];
    pthread_t t[WRITERS];
    struct disk *d;
    char buf[PIECE];

    CHECK(create(g, "raw", DIR "/a.raw", "size=64k"));
    d = open_disk(g, DIR "/a.raw", "driver=raw,cache.direct=on", DISK_RDWR, &err);
    if (!d) {
        printf("parts_of_blocks: %s\n", err.msg);
        CHECK(strstr(err.msg, "O_DIRECT"));
        disk_graph_free(g);
        return;
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){ d, i };
        pthread_create(&t[i], NULL, write_pieces, &w[i]);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(t[i], NULL);
    for (unsigned i = 0; i < ROUNDS * WRITERS; i++) {
        CHECK_EQ(disk_read(d, i * PIECE, buf, PIECE), 0);
        for (unsigned j = 0; j < PIECE; j++)
            CHECK_EQ(buf[j], (char)(i % WRITERS + i / WRITERS));
    }
    disk_unref(d);
    disk_graph_free(g);
}

/* Whoever uses a node that is replaced under him goes on with the other one. */
struct user {
    struct disk *d;
    _Atomic(bool) stop;
    _Atomic(unsigned) done;
};

static void *keep_writing(void *arg)
{
    struct user *u = arg;
    char buf[512] = "y";

    while (!u->stop) {
        CHECK_EQ(disk_write(u->d, (u->done % 64) * 512, buf, 512, 0), 0);
        u->done++;
    }
    return NULL;
}

TEST(replace)
{
    struct disk_graph *g = graph();
    struct error err = { 0 };
    struct disk *a, *b;
    struct user u = { 0 };
    pthread_t t;
    char buf[512];
    unsigned before;

    CHECK(create(g, "raw", DIR "/a.raw", "size=64k"));
    CHECK(create(g, "raw", DIR "/b.raw", "size=64k"));
    a = open_disk(g, DIR "/a.raw", "driver=raw", DISK_RDWR, NULL);
    b = open_disk(g, DIR "/b.raw", "driver=raw", DISK_RDWR, NULL);
    u.d = a;
    pthread_create(&t, NULL, keep_writing, &u);
    while (u.done < 100)
        sched_yield();
    disk_drain_begin(a);
    before = u.done;
    usleep(20000);
    CHECK(u.done <= before + 1); /* one may have ended but not been counted */
    disk_drain_end(a);
    CHECK(disk_replace(a, b, &err));
    before = u.done;
    while (u.done < before + 100)
        sched_yield();
    u.stop = true;
    pthread_join(t, NULL);
    CHECK_EQ(disk_read(b, 0, buf, 512), 0);
    CHECK_EQ(buf[0], 'y');
    disk_unref(a);
    disk_unref(b);
    disk_graph_free(g);
}
