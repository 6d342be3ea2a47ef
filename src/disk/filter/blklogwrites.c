/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blklogwrites: passes on and logs what changes the disk, in the order it was done, in the format
 * of Linux' dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst), so that a test
 * can replay what a power cut at any moment would have left. A flush is logged where it began and a
 * write where it ended: what lies before a flush in the log was done when it was asked for.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/filter/filter.h"

#define LOG_MAGIC   UINT64_C(0x6a736677736872)
#define LOG_VERSION 1
enum { LOG_FLUSH = 1, LOG_FUA = 2, LOG_DISCARD = 4 };

struct blklogwrites {
    /* options */
    uint32_t log_sector_size;
    uint64_t log_super_update_interval;
    bool log_append;
    /* */
    struct disk *log;
    bool ready;
    pthread_mutex_t lock;
    uint64_t entries, end;  /* of the log: count and bytes; guarded by lock */
    uint64_t super_entries; /* what the superblock on disk says */
    uint8_t *sector;        /* of log_sector_size bytes; used with lock held */
};

static const struct field options[] = {
    FIELD(struct blklogwrites, log_sector_size, .is_size = true,
          .doc = "unit of the log and alignment of requests (default: 512)"),
    FIELD(struct blklogwrites, log_append, .doc = "go on with the log that is there"),
    FIELD(struct blklogwrites, log_super_update_interval,
          .doc = "entries after which their count is written (default: 4096; and at each flush)"),
    { 0 },
};

static int write_super_locked(struct blklogwrites *b)
{
    int r;

    memset(b->sector, 0, b->log_sector_size);
    st_le64(b->sector, LOG_MAGIC);
    st_le64(b->sector + 8, LOG_VERSION);
    st_le64(b->sector + 16, b->entries);
    st_le32(b->sector + 24, b->log_sector_size);
    r = disk_write(b->log, 0, b->sector, b->log_sector_size, 0);
    if (!r)
        b->super_entries = b->entries;
    return r;
}

/* The end of a log that is gone on with: each entry is a sector, and what was written. */
static bool find_end(struct blklogwrites *b, struct error *err)
{
    uint8_t head[32];
    int r = disk_read(b->log, 0, head, 28);

    if (r || ld_le64(head) != LOG_MAGIC || ld_le64(head + 8) != LOG_VERSION) {
        fail(err, r ? -r : EINVAL, "blklogwrites: log-append, but the log is none");
        return fail_hint(err, "leave log-append out to begin a new log");
    }
    b->entries = ld_le64(head + 16);
    b->log_sector_size = ld_le32(head + 24);
    b->end = b->log_sector_size;
    for (uint64_t i = 0; i < b->entries; i++) {
        uint64_t bytes = 0;

        r = disk_read(b->log, b->end, head, sizeof(head));
        if (!r && !(ld_le64(head + 16) & LOG_DISCARD) &&
            !checked_mul(ld_le64(head + 8), (uint64_t)b->log_sector_size, &bytes))
            r = -EINVAL;
        if (r || !checked_add(b->end, b->log_sector_size + bytes, &b->end))
            return fail(err, EINVAL, "blklogwrites: the log ends before its entry %" PRIu64, i);
    }
    return true;
}

static bool blklogwrites_open(struct disk *d, struct error *err)
{
    struct blklogwrites *b = d->priv;
    int r;

    pthread_mutex_init(&b->lock, NULL);
    b->ready = true;
    b->log_sector_size = b->log_sector_size ? b->log_sector_size : 512;
    b->log = disk_open_child(d, "log", NULL, ROLE_DATA, err);
    if (!b->log || (b->log_append && !find_end(b, err)))
        return false;
    if (!is_pow2(b->log_sector_size) || b->log_sector_size < 512 || b->log_sector_size > 1 << 20) {
        fail(err, EINVAL, "Invalid log sector size %" PRIu32, b->log_sector_size);
        return fail_hint(err, "a power of two from 512 to 1M");
    }
    b->sector = xcalloc(1, b->log_sector_size);
    if (!b->log_super_update_interval)
        b->log_super_update_interval = 4096;
    filter_inherit(d);
    d->align = MAX(d->align, b->log_sector_size);
    if (b->log_append || d->read_only)
        return true;
    b->end = b->log_sector_size;
    r = write_super_locked(b);
    return !r || fail(err, -r, "blklogwrites: cannot write the log: %s", strerror(-r));
}

static void blklogwrites_close(struct disk *d)
{
    struct blklogwrites *b = d->priv;

    if (b->sector && b->log && b->super_entries != b->entries && write_super_locked(b))
        b->super_entries = 0; /* nobody is left to be told */
    if (b->ready)
        pthread_mutex_destroy(&b->lock);
    free(b->sector);
}

/* v: what was written; NULL: len zero bytes when the flags are those of a write. */
static int log_entry(struct disk *d, uint64_t offset, uint64_t len, unsigned flags,
                     const struct disk_vec *v)
{
    struct blklogwrites *b = d->priv;
    uint64_t bytes = flags & (LOG_DISCARD | LOG_FLUSH) ? 0 : len;
    int r = 0;

    WITH_LOCK (&b->lock) {
        memset(b->sector, 0, b->log_sector_size);
        st_le64(b->sector, offset / b->log_sector_size);
        st_le64(b->sector + 8, len / b->log_sector_size);
        st_le64(b->sector + 16, flags);
        r = disk_write(b->log, b->end, b->sector, b->log_sector_size, 0);
        if (!r && bytes)
            r = v ? disk_writev(b->log, b->end + b->log_sector_size, *v, 0)
                  : disk_zero(b->log, b->end + b->log_sector_size, bytes, 0);
        if (r)
            break;
        b->entries++;
        b->end += b->log_sector_size + bytes;
        if (flags & LOG_FLUSH || b->entries - b->super_entries >= b->log_super_update_interval)
            r = write_super_locked(b);
    }
    return r;
}

static int blklogwrites_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    int r = disk_writev(d->file, offset, v, flags);

    return r ? r : log_entry(d, offset, v.len, flags & DISK_FUA ? LOG_FUA : 0, &v);
}

static int blklogwrites_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    int r = disk_zero(d->file, offset, len, flags);

    return r ? r : log_entry(d, offset, len, flags & DISK_FUA ? LOG_FUA : 0, NULL);
}

static int blklogwrites_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    int r = disk_discard(d->file, offset, len);

    return r ? r : log_entry(d, offset, len, LOG_DISCARD, NULL);
}

static int blklogwrites_flush(struct disk *d)
{
    int r = log_entry(d, 0, 0, LOG_FLUSH, NULL), r2 = disk_flush(d->file);

    return r ? r : r2;
}

const struct disk_driver blklogwrites_driver = {
    .name = "blklogwrites",
    .doc = "Logs what changes the disk in the format of dm-log-writes, for tests of power cuts.",
    .is_filter = true,
    .size = sizeof(struct blklogwrites),
    .options = options,
    .open = blklogwrites_open,
    .close = blklogwrites_close,
    .write = blklogwrites_write,
    .zero = blklogwrites_zero,
    .discard = blklogwrites_discard,
    .flush = blklogwrites_flush,
    .map = filter_map,
};
