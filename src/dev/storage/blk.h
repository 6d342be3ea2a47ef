/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk controller's way to its medium: asynchronous requests on guest memory, with the error
 * policy of the drive, drain, statistics. One struct blk per device that has a drive. Requests are
 * submitted and completed in the blk's context (the main loop under the machine lock, or an I/O
 * thread), and belong to the device from before blk_submit() to done().
 */
#ifndef DEV_STORAGE_BLK_H
#define DEV_STORAGE_BLK_H

#include "dev/storage/drive.h"
#include "disk/queue.h"
#include "loop/ioctx.h"
#include "mem/mem.h"

struct blk;

enum { BLK_SECTOR = 512 };

/* Geometry and limits as properties: "logical_block_size", "physical_block_size", "min_io_size",
 * "opt_io_size", "discard_granularity", "bootindex", "write-cache", "share-rw", "rerror", "werror",
 * "serial": every disk device has them (BLK_PROPS). */
struct blk_conf {
    struct drive *drive;
    uint32_t logical_block_size, physical_block_size, min_io_size, opt_io_size;
    uint32_t discard_granularity;
    int32_t bootindex;
    uint32_t cyls, heads, secs;
    char *serial;
    char *write_cache, *rerror, *werror; /* on, off, auto; NULL: auto */
    bool share_rw;
};
/* Rows for a device's props: BLK_PROPS(struct ide_disk, conf). */
#define BLK_PROPS(T, m)                                                                            \
    FIELD_LINK(T, m.drive, "drive", .wire = "drive",                                               \
               .doc = "id of -drive, node name of -blockdev"),                                     \
        FIELD(T, m.logical_block_size, .wire = "logical_block_size", .is_size = true,              \
              .doc = "bytes of a block that the guest addresses [512]"),                           \
        FIELD(T, m.physical_block_size, .wire = "physical_block_size", .is_size = true,            \
              .doc = "bytes that the medium writes at once [512]"),                                \
        FIELD(T, m.min_io_size, .wire = "min_io_size", .is_size = true,                            \
              .doc = "smallest request that does well, bytes"),                                    \
        FIELD(T, m.opt_io_size, .wire = "opt_io_size", .is_size = true,                            \
              .doc = "size of request that does best, bytes"),                                     \
        FIELD(T, m.discard_granularity, .wire = "discard_granularity", .is_size = true,            \
              .doc = "unit of discards, bytes"),                                                   \
        FIELD(T, m.bootindex, .wire = "bootindex", .min = -1, .max = INT32_MAX,                    \
              .doc = "place in the boot order, from 0; -1: none"),                                 \
        FIELD(T, m.serial, .wire = "serial", .doc = "serial number shown to the guest"),           \
        FIELD(T, m.write_cache, .wire = "write-cache", .doc = "on, off, auto [auto]"),             \
        FIELD(T, m.rerror, .wire = "rerror", .doc = "read errors: report, ignore, stop, auto"),    \
        FIELD(T, m.werror, .wire = "werror",                                                       \
              .doc = "write errors: report, ignore, stop, enospc, auto"),                          \
        FIELD(T, m.share_rw, .wire = "share-rw", .doc = "others may write to the image too")
void blk_conf_defaults(struct blk_conf *c);
/* Checks and fills what was left open from the drive; from the device's init. */
bool blk_conf_settle(struct blk_conf *c, struct device *dev, struct error *err) MUST_CHECK;
/* Whether the guest finds a write cache that is on (write-cache=, else the drive's cache mode). */
bool blk_conf_write_cache(const struct blk_conf *c);

/* A request on pieces of host memory (guest RAM that the device mapped, or a buffer of its own). */
struct blk_request {
    struct disk_request r; /* op, offset, len, vec, flags as in disk/queue.h */
    struct blk *blk;
    /* result 0 or -errno, after the error policy; in the context */
    void (*done)(struct blk_request *q, int result);
    /* blk's */
    struct blk_request *next;
    int64_t start_ns;
    int result;
};

/* ctx NULL: the main loop's. write_through: each write is followed by a flush (write cache off; may
 * be changed by the guest). NULL with err. Machine lock held for new and free. */
struct blk *blk_new(struct loop *loop, struct ioctx *ctx, const struct blk_conf *conf,
                    struct error *err);
void blk_free(struct blk *b); /* drained first; NULL is fine */
/* fn is called, in the context, after each burst of done() calls: time for one interrupt. */
void blk_set_burst_end(struct blk *b, void (*fn)(void *opaque), void *opaque);

/* --- in the context --- */
void blk_submit(struct blk_request *q); /* done() comes later, never from inside */
/* Submits what was gathered, and calls done() of what is complete already; call after a burst. From
 * inside a done() it does nothing: the call around it goes on. */
void blk_kick(struct blk *b);
void blk_set_write_through(struct blk *b, bool on); /* in the context, or while it stands still */

/* --- machine lock held --- */
/* Every request is done when it returns (device reset). Not from inside a done(). */
void blk_drain(struct blk *b);
bool blk_has_medium(const struct blk *b);
bool blk_read_only(const struct blk *b);
uint64_t blk_sectors(const struct blk *b); /* of 512 bytes */

/* Cylinders, heads, sectors as a BIOS would guess them. */
void blk_geometry(const struct blk *b, uint32_t *ret_cyls, uint32_t *ret_heads, uint32_t *ret_secs);

/* Statistics for query-blockstats: counts, bytes and time by operation. Any thread. */
struct blk_stats {
    uint64_t count[DISK_OP_COUNT], bytes[DISK_OP_COUNT], ns[DISK_OP_COUNT], failed[DISK_OP_COUNT];
};
void blk_stats_get(const struct blk *b, struct blk_stats *ret);

#endif
