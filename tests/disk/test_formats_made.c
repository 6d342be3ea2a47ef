/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images that no tool here makes, written byte by byte: VMDK with a footer, of ESX, seSparse, with
 * hostile descriptors; a VHDX file whose log was not applied, and one with 4 KiB sectors; the old
 * Parallels magic; dirty headers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/parallels.h"
#include "disk/format/qed.h"
#include "disk/format/vhdx.h"
#include "disk/node.h"
#include "test.h"

#define DIR "/dev/shm/rhea-test-made"

static struct disk_graph *graph(void)
{
    (void)!system("rm -rf " DIR "; mkdir -p " DIR);
    return disk_graph_new(NULL);
}

static struct disk *open_as(struct disk_graph *g, const char *format, const char *name,
                            const char *more, unsigned flags, struct error *err)
{
    AUTO_FREE char *path = xasprintf(DIR "/%s", name);
    AUTO_FREE char *text = xasprintf("driver=%s%s%s", format, more ? "," : "", more ? more : "");
    struct optlist o;
    struct disk *d = NULL;

    *err = (struct error){ 0 };
    if (optlist_parse(&o, text, NULL, err))
        d = disk_open(g, path, &o, flags, err);
    optlist_finish(&o);
    return d;
}

static bool create(struct disk_graph *g, const char *format, const char *name, const char *opts)
{
    AUTO_FREE char *path = xasprintf(DIR "/%s", name);
    struct error err = { 0 };
    struct optlist o;
    bool ok = optlist_parse(&o, opts, NULL, &err) && disk_create(g, format, path, &o, &err);

    if (!ok)
        printf("%s: %s\n", name, err.msg);
    optlist_finish(&o);
    return ok;
}

static void put(const char *name, uint64_t offset, const void *data, size_t len)
{
    AUTO_FREE char *path = xasprintf(DIR "/%s", name);
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT, 0600);

    if (fd < 0 || pwrite(fd, data, len, offset) != (ssize_t)len)
        abort();
}

static void get(const char *name, uint64_t offset, void *data, size_t len)
{
    AUTO_FREE char *path = xasprintf(DIR "/%s", name);
    AUTO_CLOSE int fd = open(path, O_RDONLY);

    if (fd < 0 || pread(fd, data, len, offset) != (ssize_t)len)
        abort();
}

static void put_text(const char *name, const char *text)
{
    put(name, 0, text, strlen(text));
}

static bool reads(struct disk *d, uint64_t offset, uint8_t byte, size_t len)
{
    AUTO_FREE uint8_t *buf = xnew_array(uint8_t, len);

    if (disk_read(d, offset, buf, len) != 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != byte) {
            printf("at %#lx: %02x, not %02x\n", (long)(offset + i), buf[i], byte);
            return false;
        }
    }
    return true;
}

/* A descriptor is refused with words that hold what is expected. */
static bool refused(struct disk_graph *g, const char *text, const char *expected)
{
    struct error err;
    struct disk *d;

    (void)unlink(DIR "/d.vmdk");
    put_text("d.vmdk", text);
    d = open_as(g, "vmdk", "d.vmdk", NULL, 0, &err);
    if (d || !strstr(err.msg, expected))
        printf("'%s' is not about '%s'\n", err.msg, expected);
    disk_unref(d);
    return !d && strstr(err.msg, expected);
}

#define HEAD                                                                                       \
    "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n"

TEST(hostile_descriptors)
{
    struct disk_graph *g = graph();
    struct error err;
    struct disk *d;

    CHECK(refused(g, HEAD "RW 8 FLAT \"/etc/passwd\" 0\n", "outside"));
    CHECK(refused(g, HEAD "RW 8 FLAT \"../d.vmdk\" 0\n", "outside"));
    CHECK(refused(g, HEAD "RW 8 FLAT \"x/../../d\" 0\n", "outside"));
    CHECK(refused(g, HEAD "RW 8 FLAT \"d.vmdk\" 0\n", "names itself"));
    CHECK(refused(g, HEAD "RW 8 SPARSE \"d.vmdk\"\n", "names itself"));
    CHECK(refused(g, HEAD "RW 8 FLAT \"missing\" 0\n", "missing"));
    CHECK(refused(g, HEAD "RW 8 FLAT \"nbd:localhost:1\" 0\n", "nbd:localhost:1"));
    CHECK(refused(g, HEAD "RW 8 FLAT \"x\"\n", "Invalid extent line"));
    CHECK(refused(g, HEAD "RW x FLAT \"x\" 0\n", "Invalid extent line"));
    CHECK(refused(g, HEAD "RW 99999999999999999 ZERO\n", "Invalid extent line"));
    CHECK(refused(g,
                  HEAD "RW 9007199254740991 ZERO\nRW 9007199254740991 ZERO\nRW 9007199254740991 "
                       "ZERO\n",
                  "larger"));
    CHECK(refused(g, HEAD "RW 8 PLAID \"x\"\n", "Unsupported extent type"));
    CHECK(refused(g, HEAD, "no extents"));
    CHECK(refused(g, "# Disk DescriptorFile\ncreateType=\"plaid\"\n", "Unsupported image type"));
    CHECK_EQ(mkfifo(DIR "/fifo", 0600), 0);
    CHECK_EQ(symlink("/dev/zero", DIR "/zero"), 0);
    CHECK(refused(g, HEAD "RW 8 FLAT \"zero\" 0\n", "a regular file"));
    /* what the user names is not the descriptor's doing */
    put_text("d.vmdk", HEAD "RW 8 FLAT \"/etc/passwd\" 0\n");
    put("else", 0, "abc", 3);
    d = open_as(g, "vmdk", "d.vmdk", "extents.0.driver=file,extents.0.filename=" DIR "/else", 0,
                &err);
    CHECK(d != NULL && reads(d, 0, 'a', 1));
    disk_unref(d);
    disk_graph_free(g);
}

TEST(mixed_extents)
{
    struct disk_graph *g = graph();
    struct disk_extent x;
    struct error err;
    struct disk *d;
    char buf[512];

    memset(buf, 'f', sizeof(buf));
    for (int i = 0; i < 16; i++)
        put("f1", i * 512, buf, 512);
    put_text("m.vmdk", HEAD "RW 8 FLAT \"f1\" 0\nRW 8 ZERO\nRW 4 FLAT \"f1\" 8\n"
                            "RDONLY 4 VMFS \"f1\"\n");
    d = open_as(g, "vmdk", "m.vmdk", NULL, DISK_RDWR, &err);
    if (!d)
        printf("%s\n", err.msg);
    CHECK(d != NULL);
    CHECK_EQ(disk_size(d), 24 * 512);
    CHECK(reads(d, 0, 'f', 4096) && reads(d, 4096, 0, 4096) && reads(d, 8192, 'f', 4096));
    CHECK_EQ(disk_map(d, 4096, 8192, &x), 0);
    CHECK_EQ(x.flags & (DISK_MAP_ZERO | DISK_MAP_DATA), DISK_MAP_ZERO);
    CHECK_EQ(x.len, 4096);
    memset(buf, 'w', sizeof(buf));
    CHECK_EQ(disk_write(d, 8192, buf, 512, 0), 0);
    CHECK(reads(d, 8192, 'w', 512));
    CHECK(disk_write(d, 4096, buf, 512, 0) < 0);
    CHECK(disk_write(d, 20 * 512, buf, 512, 0) < 0);
    CHECK_EQ(disk_close(d), 0);
    get("f1", 4096, buf, 1);
    CHECK_EQ(buf[0], 'w');
    disk_graph_free(g);
}

/* A stream: header without directory, one compressed grain from our own writer, directory, footer.
 */
TEST(stream_with_footer)
{
    struct disk_graph *g = graph();
    struct error err;
    uint8_t head[512], block[512], grain[65536];
    struct disk *d;
    struct stat st;

    CHECK(create(g, "vmdk", "s.vmdk", "size=1M,subformat=streamOptimized"));
    d = open_as(g, "vmdk", "s.vmdk", NULL, DISK_RDWR, &err);
    CHECK(d != NULL);
    memset(grain, 'g', sizeof(grain));
    CHECK_EQ(disk_write(d, 65536, grain, sizeof(grain), 0), 0);
    CHECK_EQ(disk_close(d), 0);
    CHECK_EQ(stat(DIR "/s.vmdk", &st), 0);
    get("s.vmdk", 0, head, sizeof(head));
    /* the footer is the header with the directory's place; the header has it no longer */
    memset(block, 0, sizeof(block));
    put("s.vmdk", st.st_size, block, 512); /* marker */
    put("s.vmdk", st.st_size + 512, head, 512);
    put("s.vmdk", st.st_size + 1024, block, 512); /* end of stream */
    st_le64(head + 56, UINT64_MAX);
    put("s.vmdk", 0, head, 512);
    d = open_as(g, "vmdk", "s.vmdk", NULL, 0, &err);
    CHECK(d != NULL);
    CHECK(reads(d, 0, 0, 65536) && reads(d, 65536, 'g', 65536) && reads(d, 131072, 0, 65536));
    disk_unref(d);
    CHECK_EQ(truncate(DIR "/s.vmdk", st.st_size + 512), 0);
    d = open_as(g, "vmdk", "s.vmdk", NULL, 0, &err);
    CHECK(!d && strstr(err.msg, "footer"));
    disk_graph_free(g);
}

TEST(esx_sparse)
{
    struct disk_graph *g = graph();
    uint8_t h[2048] = "COWD", word[4], grain[512];
    struct error err;
    struct disk *d;

    st_le32(h + 4, 1);
    st_le32(h + 8, 3);
    st_le32(h + 12, 8192); /* sectors */
    st_le32(h + 16, 1);    /* of a grain */
    st_le32(h + 20, 4);    /* directory */
    st_le32(h + 24, 2);
    put("c.vmdk", 0, h, sizeof(h));
    st_le32(word, 8); /* table of grains 0..4095 */
    put("c.vmdk", 4 * 512, word, 4);
    st_le32(word, 100);
    put("c.vmdk", 8 * 512 + 4, word, 4); /* grain 1 */
    memset(grain, 'e', sizeof(grain));
    put("c.vmdk", 100 * 512, grain, 512);
    d = open_as(g, "vmdk", "c.vmdk", NULL, 0, &err);
    if (!d)
        printf("%s\n", err.msg);
    CHECK(d != NULL);
    CHECK_EQ(disk_size(d), 4 << 20);
    CHECK(reads(d, 0, 0, 512) && reads(d, 512, 'e', 512) && reads(d, 1024, 0, 4000));
    disk_unref(d);
    disk_graph_free(g);
}

TEST(sesparse)
{
    struct disk_graph *g = graph();
    uint8_t h[512] = { 0 }, word[8], grain[4096];
    struct error err;
    struct disk *d;

    st_le64(h, 0xcafebabe);
    st_le64(h + 8, UINT64_C(0x200000001));
    st_le64(h + 16, 64);
    st_le64(h + 24, 8);
    st_le64(h + 32, 64);
    st_le64(h + 128, 8);   /* directory */
    st_le64(h + 144, 16);  /* tables */
    st_le64(h + 192, 256); /* grains */
    put("e-s.vmdk", 0, h, sizeof(h));
    st_le64(word, UINT64_C(0x1000000000000001)); /* table 1 */
    put("e-s.vmdk", 8 * 512, word, 8);
    uint64_t table = (16 + 64) * 512;
    st_le64(word, UINT64_C(0x3002000000000000)); /* grain 2 of the data */
    put("e-s.vmdk", table, word, 8);
    st_le64(word, UINT64_C(0x2000000000000000));
    put("e-s.vmdk", table + 8, word, 8);
    memset(grain, 's', sizeof(grain));
    put("e-s.vmdk", 256 * 512 + 2 * 4096, grain, 4096);
    put_text("e.vmdk", "# Disk DescriptorFile\nversion=4\nCID=1\nparentCID=ffffffff\n"
                       "createType=\"seSparse\"\nRW 64 SESPARSE \"e-s.vmdk\"\n");
    d = open_as(g, "vmdk", "e.vmdk", NULL, 0, &err);
    if (!d)
        printf("%s\n", err.msg);
    CHECK(d != NULL);
    CHECK(reads(d, 0, 's', 4096) && reads(d, 4096, 0, 28672));
    disk_unref(d);
    disk_graph_free(g);
}

/* The parent of a VMDK overlay changed: its bytes are not taken for what they were. */
TEST(vmdk_parent_changed)
{
    struct disk_graph *g = graph();
    struct error err;
    struct disk *d;
    char c;

    CHECK(create(g, "vmdk", "p.vmdk", "size=1M"));
    CHECK(create(g, "vmdk", "c.vmdk", "backing_file=p.vmdk,backing_fmt=vmdk"));
    d = open_as(g, "vmdk", "c.vmdk", NULL, 0, &err);
    CHECK(d != NULL && disk_read(d, 0, &c, 1) == 0);
    disk_unref(d);
    d = open_as(g, "vmdk", "p.vmdk", NULL, DISK_RDWR, &err);
    CHECK(d != NULL && disk_write(d, 0, "x", 1, 0) == 0);
    CHECK_EQ(disk_close(d), 0);
    d = open_as(g, "vmdk", "c.vmdk", NULL, 0, &err);
    CHECK(d != NULL && disk_read(d, 0, &c, 1) == -EINVAL);
    disk_unref(d);
    disk_graph_free(g);
}

enum { LOG_AT = 1 << 20, BAT_AT = 2 << 20 };

/* Puts an entry into the log of v.vhdx that sets block 0 to a place at the file's end. */
static void leave_log(uint64_t sequence, uint64_t place, bool torn)
{
    static uint8_t header[4096], entry[8192];
    struct vhdx_header h = { .sequence = 100 + sequence,
                             .log_offset = LOG_AT,
                             .log_bytes = 1 << 20 };
    uint8_t *d = entry + 64, *s = entry + 4096;

    memset(entry, 0, sizeof(entry));
    memset(&h.log, 0x33, sizeof(h.log));
    vhdx_fill_header(&h, header);
    put("v.vhdx", VHDX_HEADER_AT, header, sizeof(header));
    memcpy(entry, "loge", 4);
    st_le32(entry + 8, sizeof(entry));
    st_le64(entry + 16, sequence);
    st_le32(entry + 24, 1);
    memset(entry + 32, 0x33, 16);
    st_le64(entry + 48, place);
    st_le64(entry + 56, place + (1 << 20));
    memcpy(d, "desc", 4);
    st_le64(d + 8, place | VHDX_PRESENT); /* leading bytes: entry 0 */
    st_le64(d + 16, BAT_AT);
    st_le64(d + 24, sequence);
    memcpy(s, "data", 4);
    for (int i = 8; i < 64; i += 8)
        st_le64(s + i, VHDX_ZERO);
    st_le32(s + 4, sequence >> 32);
    st_le32(s + 4092, sequence);
    st_le32(entry + 4, vhdx_crc32c(0, entry, sizeof(entry)));
    if (torn)
        s[100] ^= 1;
    put("v.vhdx", LOG_AT, entry, sizeof(entry));
}

TEST(vhdx_log)
{
    struct disk_graph *g = graph();
    struct error err;
    struct disk *d;
    struct stat st;
    uint8_t block[4096];

    CHECK(create(g, "vhdx", "v.vhdx", "size=4M,block_size=1M"));
    CHECK_EQ(stat(DIR "/v.vhdx", &st), 0);
    memset(block, 'v', sizeof(block));
    leave_log(7, st.st_size, false);
    put("v.vhdx", st.st_size, block, 4096);
    CHECK_EQ(truncate(DIR "/v.vhdx", st.st_size + 4096), 0);
    d = open_as(g, "vhdx", "v.vhdx", NULL, 0, &err);
    CHECK(!d && strstr(err.msg, "log that needs to be replayed"));
    d = open_as(g, "vhdx", "v.vhdx", NULL, DISK_RDWR, &err);
    if (!d)
        printf("%s\n", err.msg);
    CHECK(d != NULL);
    CHECK(reads(d, 0, 'v', 4096) && reads(d, 4096, 0, (4 << 20) - 4096));
    CHECK_EQ(disk_close(d), 0);
    d = open_as(g, "vhdx", "v.vhdx", NULL, 0, &err);
    CHECK(d != NULL && reads(d, 0, 'v', 4096));
    disk_unref(d);
    /* an entry that was cut in the middle is none */
    leave_log(9, st.st_size + (8 << 20), true);
    d = open_as(g, "vhdx", "v.vhdx", NULL, DISK_RDWR, &err);
    CHECK(d != NULL && reads(d, 0, 'v', 4096));
    CHECK_EQ(disk_close(d), 0);
    /* a log that says the file was longer than it is */
    leave_log(11, st.st_size + (64 << 20), false);
    d = open_as(g, "vhdx", "v.vhdx", NULL, DISK_RDWR, &err);
    CHECK(!d && strstr(err.msg, "truncated"));
    disk_graph_free(g);
}

TEST(vhdx_large_sectors)
{
    struct disk_graph *g = graph();
    uint8_t word[4];
    struct error err;
    struct disk *d;

    CHECK(create(g, "vhdx", "k.vhdx", "size=4M,block_size=1M"));
    st_le32(word, 4096);
    put("k.vhdx", (3 << 20) + 65536 + 32, word, 4);
    d = open_as(g, "vhdx", "k.vhdx", NULL, DISK_RDWR, &err);
    CHECK(d != NULL);
    CHECK_EQ(disk_write(d, 8192, "kkkk", 4, 0), 0);
    CHECK_EQ(disk_close(d), 0);
    d = open_as(g, "vhdx", "k.vhdx", NULL, 0, &err);
    CHECK(d != NULL && reads(d, 8192, 'k', 4) && reads(d, 0, 0, 8192));
    disk_unref(d);
    disk_graph_free(g);
}

TEST(old_parallels)
{
    struct disk_graph *g = graph();
    uint8_t h[64], word[4];
    struct error err;
    struct disk *d;

    CHECK(create(g, "parallels", "p", "size=1M,cluster_size=64k"));
    d = open_as(g, "parallels", "p", NULL, DISK_RDWR, &err);
    CHECK(d != NULL && disk_write(d, 0, "pppp", 4, 0) == 0 && disk_close(d) == 0);
    get("p", 0, h, sizeof(h));
    memcpy(h, "WithoutFreeSpace", 16);
    put("p", 0, h, sizeof(h));
    st_le32(word, 128); /* sectors now */
    put("p", 64, word, 4);
    d = open_as(g, "parallels", "p", NULL, DISK_RDWR, &err);
    CHECK(d != NULL && reads(d, 0, 'p', 4));
    CHECK_EQ(disk_write(d, 500000, "qqqq", 4, 0), 0);
    CHECK_EQ(disk_close(d), 0);
    d = open_as(g, "parallels", "p", NULL, 0, &err);
    CHECK(d != NULL && reads(d, 0, 'p', 4) && reads(d, 500000, 'q', 4) && reads(d, 4, 0, 1000));
    disk_unref(d);
    /* left open by a writer: what is behind the last cluster goes, the mark too */
    st_le32(word, PARALLELS_IN_USE);
    put("p", PARALLELS_AT_IN_USE, word, 4);
    CHECK_EQ(truncate(DIR "/p", 1 << 20), 0);
    d = open_as(g, "parallels", "p", NULL, DISK_RDWR, &err);
    CHECK(d != NULL && reads(d, 500000, 'q', 4));
    CHECK_EQ(disk_close(d), 0);
    struct stat st;
    CHECK_EQ(stat(DIR "/p", &st), 0);
    CHECK_EQ(st.st_size, 3 * 65536);
    get("p", PARALLELS_AT_IN_USE, word, 4);
    CHECK_EQ(ld_le32(word), 0);
    /* with an entry that leads outside it is not written to before a repair */
    st_le32(word, PARALLELS_IN_USE);
    put("p", PARALLELS_AT_IN_USE, word, 4);
    st_le32(word, 1 << 30);
    put("p", 68, word, 4);
    d = open_as(g, "parallels", "p", NULL, DISK_RDWR, &err);
    CHECK(!d && strstr(err.msg, "not closed correctly"));
    d = open_as(g, "parallels", "p", NULL, DISK_RDWR | DISK_CHECK, &err);
    CHECK(d != NULL);
    struct disk_check c = { 0 };
    CHECK_EQ(d->driver->check(d, &c, DISK_FIX_LEAKS | DISK_FIX_ERRORS), 0);
    CHECK_EQ(c.corruptions_fixed, 2);
    CHECK_EQ(disk_close(d), 0);
    d = open_as(g, "parallels", "p", NULL, DISK_RDWR, &err);
    CHECK(d != NULL && reads(d, 0, 'p', 4));
    disk_unref(d);
    disk_graph_free(g);
}

TEST(qed_need_check)
{
    struct disk_graph *g = graph();
    uint8_t word[8];
    struct error err;
    struct disk *d;
    struct stat st;

    CHECK(create(g, "qed", "q", "size=1M,cluster_size=4k"));
    d = open_as(g, "qed", "q", NULL, DISK_RDWR, &err);
    CHECK(d != NULL && disk_write(d, 0, "qqqq", 4, 0) == 0 && disk_close(d) == 0);
    CHECK_EQ(stat(DIR "/q", &st), 0);
    st_le64(word, QED_F_NEED_CHECK);
    put("q", QED_AT_FEATURES, word, 8);
    CHECK_EQ(truncate(DIR "/q", st.st_size + 40960), 0);
    st_le64(word, 12345 * 4096); /* an entry of the level 2 table that leads nowhere */
    put("q", 4096 + 4 * 4096 + 80, word, 8);
    d = open_as(g, "qed", "q", NULL, DISK_RDWR, &err);
    CHECK(d != NULL && reads(d, 0, 'q', 4) && reads(d, 40960, 0, 4096));
    CHECK_EQ(disk_close(d), 0);
    CHECK_EQ(stat(DIR "/q", &st), 0);
    get("q", QED_AT_FEATURES, word, 8);
    CHECK_EQ(ld_le64(word), 0);
    struct disk_check c = { 0 };
    d = open_as(g, "qed", "q", NULL, DISK_CHECK, &err);
    CHECK(d != NULL && d->driver->check(d, &c, 0) == 0);
    CHECK_EQ(c.leaks + c.corruptions, 0);
    disk_unref(d);
    disk_graph_free(g);
}
