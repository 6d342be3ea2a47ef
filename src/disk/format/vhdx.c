/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VHDX images of Hyper-V, dynamic and fixed, without a parent. Changes of the block table go
 * through the log (vhdx_log.c); data is written in place.
 */
#include "disk/format/vhdx.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"

static int vhdx_probe(const uint8_t *head, size_t len, const char *filename)
{
    (void)filename;
    return len >= 8 && memcmp(head, "vhdxfile", 8) == 0 ? 100 : 0;
}

static int vhdx_lookup(struct blocks *b, uint64_t index, bool cached_only, enum block_state *ret,
                       uint64_t *ret_offset)
{
    struct vhdx *v = b->opaque;
    const uint8_t *p;
    int r;

    if (index >= v->blocks)
        return -EIO;
    r = pages_get(&b->pages, v->bat.offset + vhdx_entry(v, index) * 8, cached_only, &p);
    if (r < 0)
        return r;
    uint64_t entry = ld_le64(p);
    switch (entry & 7) {
    case VHDX_NOT_PRESENT:
    case VHDX_UNDEFINED:
    case VHDX_ZERO:
    case VHDX_UNMAPPED: *ret = BLOCK_HOLE; return 0;
    case VHDX_PRESENT:
        *ret = BLOCK_DATA;
        *ret_offset = entry & VHDX_OFFSET_MASK;
        return *ret_offset >= VHDX_MIB && *ret_offset <= DISK_MAX_SIZE ? 0 : -EIO;
    default: /* partial blocks are for differencing images */ return -EIO;
    }
}

static int vhdx_publish(struct blocks *b, uint64_t index, enum block_state state, uint64_t offset)
{
    struct vhdx *v = b->opaque;
    uint8_t *p;
    int r = pages_put(&b->pages, v->bat.offset + vhdx_entry(v, index) * 8, 0, &p);

    (void)state;
    if (r == 0)
        st_le64(p, offset | VHDX_PRESENT);
    return r;
}

static int vhdx_reserve(struct blocks *b, uint64_t index, uint64_t *ret)
{
    (void)index;
    return blocks_take_space(b, b->block_size, VHDX_MIB, ret);
}

static int vhdx_find_end(struct blocks *b, uint64_t *ret)
{
    struct vhdx *v = b->opaque;
    uint64_t end = MAX(v->bat.offset + v->bat.len, v->metadata.offset + v->metadata.len);

    end = MAX(end, v->h.log_offset + v->h.log_bytes);
    for (uint64_t i = 0; i < v->blocks && v->entries <= VHDX_SCAN_MAX; i++) {
        enum block_state state;
        uint64_t offset;
        int r = vhdx_lookup(b, i, false, &state, &offset);

        if (r < 0)
            return r;
        if (state == BLOCK_DATA)
            end = MAX(end, offset + b->block_size);
    }
    if (v->entries > VHDX_SCAN_MAX)
        end = MAX(end, disk_size(b->file));
    *ret = ALIGN_UP(end, VHDX_MIB);
    return 0;
}

static const struct block_ops vhdx_ops = {
    .lookup = vhdx_lookup,
    .publish = vhdx_publish,
    .reserve = vhdx_reserve,
    .find_end = vhdx_find_end,
};

static bool vhdx_open(struct disk *d, struct error *err)
{
    struct vhdx *v = d->priv;

    blocks_init(&v->b, d, d->file, &vhdx_ops, v);
    v->b.pages.granule = VHDX_SECTOR;
    v->b.joined = false;
    v->b.hole_flags = DISK_MAP_ZERO | DISK_MAP_ALLOCATED;
    if (!vhdx_read_header(v, err) || !vhdx_log_replay(v, err) || !vhdx_read_regions(v, err) ||
        !vhdx_read_metadata(v, err))
        return false;
    d->size = v->b.size = v->disk_size;
    d->cluster_size = v->b.block_size = v->block_size;
    return true;
}

static void vhdx_close(struct disk *d)
{
    blocks_finish(&((struct vhdx *)d->priv)->b);
}

static int vhdx_flush(struct disk *d)
{
    struct vhdx *v = d->priv;

    return pages_write(&v->b.pages, vhdx_log_write, v);
}

/* The log is applied and empty, the file ends with its last block. */
static int vhdx_inactivate(struct disk *d)
{
    struct vhdx *v = d->priv;
    int r = d->read_only ? 0 : vhdx_flush(d);

    if (r == 0)
        r = blocks_settle(&v->b);
    if (r == 0 && !d->read_only && !vhdx_guid_is_zero(&v->h.log)) {
        memset(&v->h.log, 0, sizeof(v->h.log));
        r = vhdx_write_header(v);
    }
    return r;
}

/* Before the first write: the header says by new GUIDs that the file and its data changed. */
static int announce(struct vhdx *v)
{
    struct error err;
    int r = 0;

    if (v->announced)
        return 0;
    WITH_LOCK (&v->b.pages.write_lock) {
        if (v->announced)
            break;
        if (!vhdx_new_guid(&v->h.file_write, &err) || !vhdx_new_guid(&v->h.data_write, &err))
            r = -(err.code ? err.code : EIO);
        else
            r = vhdx_write_header(v);
        v->announced = r == 0;
    }
    return r;
}

static int vhdx_write(struct disk *d, uint64_t offset, struct disk_vec vec, unsigned flags)
{
    struct vhdx *v = d->priv;
    int r = announce(v);

    (void)flags;
    if (r == 0)
        r = blocks_write(&v->b, offset, vec);
    return r == 0 && v->b.pages.dirty > PAGES_MAX_DIRTY ? vhdx_flush(d) : r;
}

static int vhdx_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    struct vhdx *v = d->priv;
    int r = announce(v);

    return r == 0 ? blocks_zero(&v->b, offset, len, flags) : r;
}

static int vhdx_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    struct vhdx *v = d->priv;
    int r = announce(v);

    return r == 0 ? blocks_discard(&v->b, offset, len) : r;
}

static bool vhdx_locate(struct disk *d, enum disk_op op, uint64_t offset, size_t len,
                        struct disk_span *ret)
{
    struct vhdx *v = d->priv;

    return (op == DISK_OP_READ || v->announced) && blocks_locate(&v->b, op, offset, len, ret);
}

static void say(struct disk_check *c, const char *fmt, uint64_t block, uint64_t offset)
{
    char line[120];

    snprintf(line, sizeof(line), fmt, block, offset);
    if (c->say && c->corruptions < 1000)
        c->say(c, line);
    c->corruptions++;
}

/* Blocks lie behind the regions, inside the file and apart. The open has replayed the log. */
static int check_blocks(struct vhdx *v, struct disk_check *c, uint8_t *seen, uint64_t places)
{
    uint64_t first = MAX(v->bat.offset + v->bat.len, v->metadata.offset + v->metadata.len);
    uint64_t n = v->block_size / VHDX_MIB;

    for (uint64_t i = 0; i < v->blocks && c->corruptions < 1 << 20; i++) {
        enum block_state state;
        uint64_t offset;
        int r = vhdx_lookup(&v->b, i, false, &state, &offset);

        if (r == -EIO)
            say(c, "ERROR: the table entry of block %" PRIu64 " is not valid", i, 0);
        if (r < 0 || state != BLOCK_DATA)
            continue;
        uint64_t at = offset / VHDX_MIB;
        if (offset < MIN(first, v->h.log_offset) || at >= places) {
            say(c, "ERROR: block %" PRIu64 " lies outside of the file, at %#" PRIx64, i, offset);
            continue;
        }
        for (uint64_t k = at; k < MIN(at + n, places); k++) {
            if (seen[k / 8] & (1 << k % 8)) {
                say(c, "ERROR: block %" PRIu64 " lies where another does, at %#" PRIx64, i, offset);
                break;
            }
            seen[k / 8] |= 1 << k % 8;
        }
    }
    return 0;
}

static int vhdx_check(struct disk *d, struct disk_check *c, unsigned fix)
{
    struct vhdx *v = d->priv;
    uint64_t places = (disk_size(d->file) + VHDX_MIB - 1) / VHDX_MIB;
    AUTO_FREE uint8_t *seen = places < UINT64_C(1) << 30 ? calloc(1, places / 8 + 1) : NULL;
    int r = 0;

    (void)fix; /* what can be repaired, the log did */
    if (!seen)
        return -ENOMEM;
    WITH_LOCK (&v->b.lock) {
        r = check_blocks(v, c, seen, places);
    }
    return r;
}

const struct disk_driver vhdx_driver = {
    .name = "vhdx",
    .doc = "VHDX image of Hyper-V",
    .size = sizeof(struct vhdx),
    .create_size = sizeof(struct vhdx_create),
    .create_options = FIELDS(
        FIELD(struct vhdx_create, block_size, .is_size = true,
              .doc = "Block Size; min 1MB, max 256MB. 0 means auto-calculate based on image size."),
        FIELD(struct vhdx_create, block_state_zero,
              .doc = "Force use of payload blocks of type 'ZERO'. Non-standard, but default.  Do "
                     "not set to 'off' when using 'qemu-img convert' with subformat=dynamic."),
        FIELD(struct vhdx_create, log_size, .is_size = true, .doc = "Log size; min 1MB."),
        FIELD(struct vhdx_create, subformat,
              .doc =
                  "VHDX format type, can be either 'dynamic' or 'fixed'. Default is 'dynamic'.")),
    .probe = vhdx_probe,
    .open = vhdx_open,
    .close = vhdx_close,
    .inactivate = vhdx_inactivate,
    .create = vhdx_create,
    .read = blocks_read_slot,
    .write = vhdx_write,
    .zero = vhdx_zero,
    .discard = vhdx_discard,
    .flush = vhdx_flush,
    .map = blocks_map_slot,
    .locate = vhdx_locate,
    .check = vhdx_check,
};
