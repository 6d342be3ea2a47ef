/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VHDX's log ([MS-VHDX] 2.3): changed 4 KiB sectors of the block table are written to the log
 * first, in entries with a checksum, so that a cut in the middle of the update is made good when
 * the image is next opened. Each entry stands alone: the one before it was applied and flushed.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "base/scope.h"
#include "disk/format/vhdx.h"

enum {
    LOG_HEADER = 64,
    LOG_DESCRIPTOR = 32,
    LOG_ENTRY_SECTORS = 128, /* of an entry that we write: half the smallest log */
};

struct log_entry {
    uint32_t len, tail, descriptors;
    uint64_t sequence, flushed, last;
};

/* Reads from the ring; at is an offset in it. */
static int log_read(struct vhdx *v, uint64_t at, uint8_t *buf, size_t len)
{
    size_t first = MIN(len, v->h.log_bytes - at);
    int r = disk_read(v->b.file, v->h.log_offset + at, buf, first);

    if (r == 0 && first < len)
        r = disk_read(v->b.file, v->h.log_offset, buf + first, len - first);
    return r;
}

static size_t descriptor_sectors(uint32_t count)
{
    return (LOG_HEADER + (uint64_t)count * LOG_DESCRIPTOR + VHDX_SECTOR - 1) / VHDX_SECTOR;
}

static bool parse_entry(struct vhdx *v, const uint8_t *buf, struct log_entry *e)
{
    struct reader r = reader(buf, LOG_HEADER);
    struct guid guid;

    if (memcmp(buf, "loge", 4) != 0)
        return false;
    rd_skip(&r, 8);
    e->len = rd_le32(&r);
    e->tail = rd_le32(&r);
    e->sequence = rd_le64(&r);
    e->descriptors = rd_le32(&r);
    rd_skip(&r, 4);
    rd_bytes(&r, guid.b, 16);
    e->flushed = rd_le64(&r);
    e->last = rd_le64(&r);
    return e->len >= VHDX_SECTOR && e->len % VHDX_SECTOR == 0 && e->len <= v->h.log_bytes &&
           e->tail % VHDX_SECTOR == 0 && e->tail < v->h.log_bytes && e->sequence &&
           vhdx_guid_equal(&guid, &v->h.log) && e->descriptors <= e->len / LOG_DESCRIPTOR &&
           descriptor_sectors(e->descriptors) <= e->len / VHDX_SECTOR;
}

/* Whether the descriptors and data sectors of a whole entry fit together. */
static bool entry_whole(const uint8_t *buf, const struct log_entry *e)
{
    static const uint8_t none[4];
    uint32_t crc = vhdx_crc32c(0, buf, 4);
    size_t data = descriptor_sectors(e->descriptors);

    crc = vhdx_crc32c(crc, none, 4);
    if (vhdx_crc32c(crc, buf + 8, e->len - 8) != ld_le32(buf + 4))
        return false;
    for (uint32_t i = 0; i < e->descriptors; i++) {
        const uint8_t *d = buf + LOG_HEADER + (size_t)i * LOG_DESCRIPTOR;
        const uint8_t *s = buf + data * VHDX_SECTOR;

        if (ld_le64(d + 24) != e->sequence || ld_le64(d + 16) % VHDX_SECTOR)
            return false;
        if (memcmp(d, "zero", 4) == 0 && ld_le64(d + 8) % VHDX_SECTOR == 0)
            continue;
        if (memcmp(d, "desc", 4) != 0 || data++ >= e->len / VHDX_SECTOR)
            return false;
        if (memcmp(s, "data", 4) != 0 || ld_le32(s + 4) != e->sequence >> 32 ||
            ld_le32(s + VHDX_SECTOR - 4) != (uint32_t)e->sequence)
            return false;
    }
    return true;
}

/* The entry at a place of the ring; *ret_buf is the caller's. False: none, or not whole. */
static bool load_entry(struct vhdx *v, uint64_t at, struct log_entry *e, uint8_t **ret_buf)
{
    uint8_t head[LOG_HEADER];
    uint8_t *buf;

    *ret_buf = NULL;
    if (log_read(v, at, head, sizeof(head)) < 0 || !parse_entry(v, head, e))
        return false;
    buf = malloc(e->len);
    if (!buf || log_read(v, at, buf, e->len) < 0 || !entry_whole(buf, e)) {
        free(buf);
        return false;
    }
    *ret_buf = buf;
    return true;
}

/* A run of entries whose last one says the first is its tail. */
struct sequence {
    uint64_t tail, sequence, end; /* where it begins; of its last entry; behind that */
    uint32_t count;
};

/* Follows the entries from at; the active sequence is the valid one of the highest number. */
static void follow(struct vhdx *v, uint64_t at, struct sequence *best, uint64_t *budget)
{
    struct sequence s = { .tail = at };
    uint64_t expected = 0, total = 0;

    for (;;) {
        AUTO_FREE uint8_t *buf = NULL;
        struct log_entry e;

        if (*budget == 0 || !load_entry(v, at, &e, &buf) || (s.count && e.sequence != expected))
            break;
        *budget -= MIN(*budget, e.len);
        total += e.len;
        if (total > v->h.log_bytes)
            break;
        s.count++;
        at = (at + e.len) % v->h.log_bytes;
        expected = e.sequence + 1;
        if (e.tail == s.tail) {
            s.sequence = e.sequence;
            s.end = at;
            if (s.sequence > best->sequence)
                *best = (struct sequence){ s.tail, s.sequence, s.end, s.count };
        }
    }
}

static int apply_data(struct vhdx *v, const uint8_t *d, const uint8_t *s)
{
    uint8_t sector[VHDX_SECTOR];

    memcpy(sector, d + 8, 8); /* leading bytes */
    memcpy(sector + 8, s + 8, VHDX_SECTOR - 12);
    memcpy(sector + VHDX_SECTOR - 4, d + 4, 4); /* trailing bytes */
    return disk_write(v->b.file, ld_le64(d + 16), sector, sizeof(sector), 0);
}

static int apply_entry(struct vhdx *v, const uint8_t *buf, const struct log_entry *e)
{
    uint64_t file_size = disk_size(v->b.file);
    const uint8_t *s = buf + descriptor_sectors(e->descriptors) * VHDX_SECTOR;
    int r = 0;

    for (uint32_t i = 0; i < e->descriptors && r == 0; i++) {
        const uint8_t *d = buf + LOG_HEADER + (size_t)i * LOG_DESCRIPTOR;
        uint64_t offset = ld_le64(d + 16), len = VHDX_SECTOR;
        bool zero = d[0] == 'z';

        if (zero)
            len = ld_le64(d + 8);
        if (offset < VHDX_MIB || offset > file_size || len > file_size - offset)
            return -EINVAL;
        r = zero ? disk_zero(v->b.file, offset, len, 0) : apply_data(v, d, s);
        s += zero ? 0 : VHDX_SECTOR;
    }
    return r;
}

static bool apply_all(struct vhdx *v, const struct sequence *s, struct error *err)
{
    uint64_t at = s->tail;
    int r = 0;

    for (uint32_t i = 0; i < s->count && r == 0; i++) {
        AUTO_FREE uint8_t *buf = NULL;
        struct log_entry e;
        uint64_t file_size = disk_size(v->b.file);

        if (!load_entry(v, at, &e, &buf))
            return fail(err, EIO, "the VHDX log changed while it was replayed");
        if (e.flushed > file_size)
            return fail(err, EINVAL,
                        "the VHDX file is shorter than its log says: it was truncated");
        if (e.last > file_size && e.last - file_size <= UINT64_C(1) << 40 &&
            !disk_resize(v->b.file, e.last, DISK_PREALLOC_OFF, true, err))
            return false;
        r = apply_entry(v, buf, &e);
        at = (at + e.len) % v->h.log_bytes;
    }
    if (r == 0)
        r = disk_flush(v->b.file);
    return r == 0 || fail(err, -r, "replaying the VHDX log: %s", strerror(-r));
}

bool vhdx_log_replay(struct vhdx *v, struct error *err)
{
    struct sequence best = { 0 };
    uint64_t budget = 64 * VHDX_MIB; /* bytes that hostile logs may make us sum up */
    int r;

    if (vhdx_guid_is_zero(&v->h.log))
        return true;
    for (uint64_t at = 0; at < v->h.log_bytes && budget; at += VHDX_SECTOR)
        follow(v, at, &best, &budget);
    if (best.count && v->b.d->read_only) {
        v->log_pending = true;
        return fail(err, EPERM,
                    "VHDX image opened read-only, but contains a log that needs to be "
                    "replayed") ||
               fail_hint(err, "replay it: rhea-img check -r all");
    }
    if (best.count && !apply_all(v, &best, err))
        return false;
    if (v->b.d->read_only)
        return true;
    v->log_sequence = best.sequence;
    memset(&v->h.log, 0, sizeof(v->h.log));
    r = vhdx_write_header(v);
    return r == 0 || fail(err, -r, "VHDX header: %s", strerror(-r));
}

static void fill_data(uint8_t *d, uint8_t *s, uint64_t offset, const uint8_t *data, uint64_t seq)
{
    memcpy(d, "desc", 4);
    memcpy(d + 4, data + VHDX_SECTOR - 4, 4);
    memcpy(d + 8, data, 8);
    st_le64(d + 16, offset);
    st_le64(d + 24, seq);
    memcpy(s, "data", 4);
    st_le32(s + 4, seq >> 32);
    memcpy(s + 8, data + 8, VHDX_SECTOR - 12);
    st_le32(s + VHDX_SECTOR - 4, seq);
}

static int log_append(struct vhdx *v, const uint8_t *buf, uint32_t len)
{
    size_t first = MIN(len, v->h.log_bytes - v->log_at);
    int r = disk_write(v->b.file, v->h.log_offset + v->log_at, buf, first, 0);

    if (r == 0 && first < len)
        r = disk_write(v->b.file, v->h.log_offset, buf + first, len - first, 0);
    if (r == 0)
        r = disk_flush(v->b.file);
    v->log_at = (v->log_at + len) % v->h.log_bytes;
    return r;
}

struct sector {
    uint64_t offset;
    const uint8_t *data;
};

/* One entry for count sectors, then the sectors at their places, each made stable. */
static int write_entry(struct vhdx *v, const struct sector *sectors, uint32_t count)
{
    size_t head = descriptor_sectors(count);
    uint32_t len = (head + count) * VHDX_SECTOR;
    uint64_t file_size = disk_size(v->b.file);
    AUTO_FREE uint8_t *buf = calloc(1, len);
    int r;

    if (!buf)
        return -ENOMEM;
    v->log_sequence++;
    memcpy(buf, "loge", 4);
    st_le32(buf + 8, len);
    st_le32(buf + 12, v->log_at); /* it is its own tail */
    st_le64(buf + 16, v->log_sequence);
    st_le32(buf + 24, count);
    memcpy(buf + 32, &v->h.log, 16);
    st_le64(buf + 48, ALIGN_DOWN(file_size, VHDX_MIB));
    st_le64(buf + 56, ALIGN_DOWN(file_size, VHDX_MIB));
    for (uint32_t i = 0; i < count; i++)
        fill_data(buf + LOG_HEADER + (size_t)i * LOG_DESCRIPTOR, buf + (head + i) * VHDX_SECTOR,
                  sectors[i].offset, sectors[i].data, v->log_sequence);
    st_le32(buf + 4, vhdx_crc32c(0, buf, len));
    r = log_append(v, buf, len);
    for (uint32_t i = 0; i < count && r == 0; i++)
        r = disk_write(v->b.file, sectors[i].offset, sectors[i].data, VHDX_SECTOR, 0);
    return r == 0 ? disk_flush(v->b.file) : r;
}

static int begin_log(struct vhdx *v)
{
    struct error err;

    if (!vhdx_guid_is_zero(&v->h.log))
        return 0;
    if (!vhdx_new_guid(&v->h.log, &err))
        return -(err.code ? err.code : EIO);
    int r = vhdx_write_header(v);
    if (r < 0)
        memset(&v->h.log, 0, sizeof(v->h.log));
    return r;
}

int vhdx_log_write(void *vhdx, const struct page_piece *pieces, size_t count)
{
    struct vhdx *v = vhdx;
    struct sector batch[LOG_ENTRY_SECTORS];
    uint32_t n = 0;
    int r = begin_log(v);

    for (size_t i = 0; i < count && r == 0; i++) {
        for (uint32_t done = 0; done < pieces[i].len && r == 0; done += VHDX_SECTOR) {
            batch[n++] = (struct sector){ pieces[i].offset + done, pieces[i].data + done };
            if (n == LOG_ENTRY_SECTORS) {
                r = write_entry(v, batch, n);
                n = 0;
            }
        }
    }
    return r == 0 && n ? write_entry(v, batch, n) : r;
}
