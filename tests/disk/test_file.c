/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The file transport: locks (QEMU's too), holes, zeroing, direct I/O, reopening, the null drivers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/node.h"
#include "test.h"

#define DIR  "/tmp/rhea-test-file"
#define FILE DIR "/a.raw"

static struct disk_graph *graph(uint64_t size)
{
    struct disk_graph *g = disk_graph_new(NULL);

    (void)!system("rm -rf " DIR "; mkdir -p " DIR);
    (void)!close(open(FILE, O_CREAT | O_WRONLY, 0644));
    (void)!truncate(FILE, (off_t)size);
    return g;
}

/* opts of a raw node; says why when it fails, unless err is looked at. */
static struct disk *open_raw(struct disk_graph *g, const char *opts, unsigned flags,
                             struct error *ret_err)
{
    struct error err = { 0 };
    struct optlist o = { 0 };
    struct disk *d = NULL;

    if (optlist_parse(&o, opts, NULL, &err)) {
        optlist_add(&o, "driver", "raw");
        d = disk_open(g, FILE, &o, flags, &err);
    }
    if (!d && !ret_err)
        printf("open: %s; %s\n", err.msg, err.hint);
    if (ret_err)
        *ret_err = err;
    optlist_finish(&o);
    return d;
}

TEST(locks)
{
    struct disk_graph *g = graph(65536);
    struct disk *d = open_raw(g, "", DISK_RDWR | DISK_EXCLUSIVE, NULL), *e;
    struct error err = { 0 };

    CHECK(!open_raw(g, "", DISK_RDWR, &err));
    CHECK(strstr(err.msg, "Failed to get \"write\" lock"));
    CHECK(strstr(err.msg, "open already in this process"));
    CHECK(strstr(err.hint, "Is another process using the image [" FILE "]?"));
    e = open_raw(g, "", 0, NULL); /* who only reads does not mind */
    disk_unref(e);
    e = open_raw(g, "file.locking=off", DISK_RDWR, NULL);
    disk_unref(e);
    disk_unref(d);
    e = open_raw(g, "", DISK_RDWR, NULL);
    CHECK(!open_raw(g, "", DISK_EXCLUSIVE, &err));
    CHECK(strstr(err.msg, "Failed to get shared \"write\" lock"));
    disk_unref(e);
    disk_graph_free(g);
}

/* Each program refuses what the other holds. */
TEST(locks_of_qemu)
{
    struct disk_graph *g = graph(65536);
    struct disk *d;
    struct error err = { 0 };
    int r;

    if (system("which qemu-io qemu-img >/dev/null 2>&1")) {
        printf("locks_of_qemu: no qemu-utils here\n");
        disk_graph_free(g);
        return;
    }
    d = open_raw(g, "", DISK_RDWR | DISK_EXCLUSIVE, NULL);
    r = system("qemu-io -f raw " FILE " -c 'write 0 512' 2>&1 | grep -q 'Failed to get \"write\" "
               "lock'");
    CHECK_EQ(r, 0);
    disk_unref(d);
    r = system("qemu-nbd -f raw -t -k " DIR "/s --pid-file " DIR "/pid " FILE " >/dev/null 2>&1 & "
               "for i in 1 2 3 4 5 6 7 8 9; do test -S " DIR
               "/s && exit 0; sleep 0.2; done; exit 1");
    CHECK_EQ(r, 0);
    CHECK(!open_raw(g, "", DISK_EXCLUSIVE, &err));
    CHECK(strstr(err.msg, "Failed to get shared \"write\" lock: in use by process "));
    CHECK(strstr(err.msg, "(qemu-nbd)"));
    (void)!system("kill $(cat " DIR "/pid)");
    disk_graph_free(g);
}

TEST(holes)
{
    struct disk_graph *g = graph(1 << 20);
    struct disk *d = open_raw(g, "discard=unmap", DISK_RDWR, NULL);
    struct disk_extent x;
    char buf[65536];

    memset(buf, 1, sizeof(buf));
    CHECK_EQ(disk_write(d, 262144, buf, sizeof(buf), 0), 0);
    CHECK_EQ(disk_map(d, 0, 1 << 20, &x), 0);
    CHECK_EQ(x.len, 262144);
    CHECK_EQ(x.flags & (DISK_MAP_ZERO | DISK_MAP_DATA), DISK_MAP_ZERO);
    CHECK_EQ(disk_map(d, 262144 + 4096, 1 << 20, &x), 0);
    CHECK_EQ(x.len, 65536 - 4096);
    CHECK_EQ(x.flags & (DISK_MAP_ZERO | DISK_MAP_DATA), DISK_MAP_DATA);
    CHECK_EQ(x.host_offset, 262144 + 4096);
    CHECK_EQ(disk_zero(d, 262144, 32768, DISK_MAY_UNMAP | DISK_NO_FALLBACK), 0);
    CHECK_EQ(disk_map(d, 262144, 1 << 20, &x), 0);
    CHECK_EQ(x.flags & DISK_MAP_ZERO, DISK_MAP_ZERO);
    CHECK_EQ(disk_discard(d, 262144 + 32768, 32768), 0);
    CHECK_EQ(disk_map(d, 0, 1 << 20, &x), 0);
    CHECK_EQ(x.len, 1 << 20);
    CHECK(x.flags & DISK_MAP_EOF);
    CHECK(disk_allocated_bytes(d) < 65536);
    CHECK_EQ(disk_zero(d, 0, 131072, 0), 0); /* without MAY_UNMAP it has its blocks */
    CHECK(disk_allocated_bytes(d) >= 131072);
    disk_unref(d);
    disk_graph_free(g);
}

/* A size that is no multiple of 512 is rounded up, the rest reads as zeroes. */
TEST(odd_size)
{
    struct disk_graph *g = graph(1000);
    struct disk *d = open_raw(g, "", DISK_RDWR, NULL);
    char buf[1024];

    memset(buf, 9, sizeof(buf));
    CHECK_EQ(disk_size(d), 1024);
    CHECK_EQ(disk_read(d, 0, buf, 1024), 0);
    CHECK(buf_is_zero(buf, 1024));
    disk_unref(d);
    disk_graph_free(g);
}

TEST(direct)
{
    struct disk_graph *g = graph(1 << 20);
    struct error err;
    struct disk *d = open_raw(g, "cache.direct=on", DISK_RDWR, &err);
    static char in[300000], out[300000];

    if (!d) {
        printf("direct: %s\n", err.msg);
        CHECK(strstr(err.msg, "O_DIRECT"));
        disk_graph_free(g);
        return;
    }
    CHECK(disk_alignment(d) >= 512);
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (char)(i * 7 + i / 251);
    CHECK_EQ(disk_write(d, 0, in, sizeof(in), 0), 0);
    CHECK_EQ(disk_write(d, 333, in, 5, 0), 0);
    CHECK_EQ(disk_write(d, 5001, in + 1, 100001, 0), 0);
    CHECK_EQ(disk_zero(d, 200001, 10001, 0), 0);
    memcpy(out, in, sizeof(in));
    memmove(out + 333, in, 5);
    memmove(out + 5001, in + 1, 100001);
    memset(out + 200001, 0, 10001);
    memcpy(in, out, sizeof(in));
    memset(out, 0, sizeof(out));
    for (size_t at = 0; at < sizeof(out); at += 7777)
        CHECK_EQ(disk_read(d, at, out + at, sizeof(out) - at < 7777 ? sizeof(out) - at : 7777), 0);
    CHECK_MEM(in, out, sizeof(in));
    disk_unref(d);
    disk_graph_free(g);
}

TEST(reopen)
{
    struct disk_graph *g = graph(65536);
    struct error err = { 0 };
    struct disk *d = open_raw(g, "", 0, NULL), *e;
    char buf[512] = "x";

    CHECK_EQ(disk_write(d, 0, buf, 512, 0), -EPERM);
    CHECK(disk_reopen(d, NULL, DISK_RDWR | DISK_WRITETHROUGH, &err));
    CHECK_EQ(disk_write(d, 0, buf, 512, 0), 0);
    CHECK(!open_raw(g, "", DISK_EXCLUSIVE, &err)); /* it has the writer's lock now */
    CHECK(disk_reopen(d, NULL, 0, &err));
    CHECK_EQ(disk_write(d, 0, buf, 512, 0), -EPERM);
    e = open_raw(g, "", DISK_RDWR | DISK_EXCLUSIVE, NULL);
    CHECK(!disk_reopen(d, NULL, DISK_RDWR, &err)); /* refused, and as before */
    CHECK(strstr(err.msg, "Failed to get \"write\" lock"));
    CHECK_EQ(disk_write(d, 0, buf, 512, 0), -EPERM);
    CHECK_EQ(disk_read(d, 0, buf, 512), 0);
    disk_unref(e);
    CHECK(disk_reopen(d, NULL, DISK_RDWR, &err));
    CHECK_EQ(disk_write(d, 0, buf, 512, 0), 0);
    disk_unref(d);
    disk_graph_free(g);
}

TEST(null)
{
    struct disk_graph *g = graph(0);
    struct error err = { 0 };
    struct optlist o;
    struct disk *d;
    char buf[512] = "x";

    CHECK(optlist_parse(&o, "driver=null-co,size=1M,read-zeroes=on", NULL, &err));
    d = disk_open(g, NULL, &o, DISK_RDWR, &err);
    optlist_finish(&o);
    CHECK_EQ(disk_size(d), 1 << 20);
    CHECK_EQ(disk_write(d, 0, buf, 512, 0), 0);
    CHECK_EQ(disk_read(d, 0, buf, 512), 0);
    CHECK(buf_is_zero(buf, 512));
    disk_unref(d);
    d = disk_open(g, "null-co://", NULL, DISK_RDWR, &err);
    CHECK_EQ(disk_size(d), 1 << 30);
    disk_unref(d);
    disk_graph_free(g);
}
