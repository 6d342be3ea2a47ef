/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VirtualBox disk images, version 1.1: a header of 512 bytes, a table of 32-bit block numbers, then
 * blocks of 1 MiB in the order they were first written (or all of them: static). All little endian.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/reader.h"
#include "base/scope.h"
#include "disk/format/blocks.h"

enum {
    HEADER_BYTES = 512,
    AT_VERSION = 0x44,
    AT_BLOCKS_ALLOCATED = 0x184,
    VDI_BLOCK = 1 << 20,
    SCAN_ENTRIES_MAX = 1 << 24, /* 64 MiB of table, 16 TiB of disk */
};
#define VDI_SIGNATURE   UINT32_C(0xbeda107f)
#define VDI_UNALLOCATED UINT32_C(0xffffffff)
#define VDI_DISCARDED   UINT32_C(0xfffffffe)
#define VDI_BLOCKS_MAX  UINT32_C(0x20000000)

struct vdi {
    struct blocks b; /* first: the slots of blocks.c */
    uint64_t table, data;
    uint32_t image_type, block_count, block_size;
    uint32_t allocated; /* guarded by b.lock */
};

struct vdi_create {
    bool static_image;
};

static int vdi_probe(const uint8_t *head, size_t len, const char *filename)
{
    (void)filename;
    return len >= HEADER_BYTES && ld_le32(head + 0x40) == VDI_SIGNATURE ? 100 : 0;
}

static int vdi_lookup(struct blocks *b, uint64_t index, bool cached_only, enum block_state *ret,
                      uint64_t *ret_offset)
{
    struct vdi *v = b->opaque;
    const uint8_t *p;
    int r;

    if (index >= v->block_count)
        return -EIO;
    r = pages_get(&b->pages, v->table + index * 4, cached_only, &p);
    if (r < 0)
        return r;
    uint32_t entry = ld_le32(p);
    *ret = entry < VDI_DISCARDED ? BLOCK_DATA : BLOCK_HOLE;
    if (*ret == BLOCK_DATA && entry >= VDI_BLOCKS_MAX)
        return -EIO;
    *ret_offset = *ret == BLOCK_DATA ? v->data + (uint64_t)entry * v->block_size : 0;
    return 0;
}

static int set_allocated(struct vdi *v, uint32_t n)
{
    uint8_t *p;
    int r = pages_put(&v->b.pages, AT_BLOCKS_ALLOCATED, 0, &p);

    if (r < 0)
        return r;
    st_le32(p, n);
    v->allocated = n;
    return 0;
}

static int vdi_publish(struct blocks *b, uint64_t index, enum block_state state, uint64_t offset)
{
    struct vdi *v = b->opaque;
    uint64_t n = (offset - v->data) / v->block_size;
    uint8_t *p;
    int r;

    (void)state;
    if (n >= VDI_BLOCKS_MAX)
        return -EFBIG;
    r = pages_put(&b->pages, v->table + index * 4, 0, &p);
    if (r < 0)
        return r;
    st_le32(p, n);
    return n >= v->allocated ? set_allocated(v, n + 1) : 0;
}

/* Calls fn for each entry in use, until it says false; the lock is held. */
static int each_entry(struct vdi *v, bool (*fn)(void *arg, uint32_t index, uint32_t entry),
                      void *arg)
{
    for (uint32_t i = 0; i < v->block_count; i++) {
        const uint8_t *p;
        int r = pages_get(&v->b.pages, v->table + (uint64_t)i * 4, false, &p);

        if (r < 0)
            return r;
        if (ld_le32(p) < VDI_DISCARDED && !fn(arg, i, ld_le32(p)))
            break;
    }
    return 0;
}

struct usage {
    struct disk_check *c; /* NULL: nobody listens */
    struct vdi *v;
    uint32_t used, next; /* entries; the largest plus one */
    uint32_t limit;
    uint32_t *owner; /* of each block, plus 1; may be NULL */
};

static bool count_entry(void *arg, uint32_t index, uint32_t entry)
{
    struct usage *u = arg;

    (void)index;
    u->used++;
    u->next = MAX(u->next, entry + 1);
    return true;
}

/* New blocks follow the last one in use, whatever the header says: a writer that was killed may
 * have left it behind. */
static int vdi_find_end(struct blocks *b, uint64_t *ret)
{
    struct vdi *v = b->opaque;
    struct usage u = { .v = v };
    int r = 0;

    if (v->block_count <= SCAN_ENTRIES_MAX) {
        r = each_entry(v, count_entry, &u);
        if (r == 0 && u.next > VDI_BLOCKS_MAX)
            r = -EIO;
        if (r == 0 && u.next != v->allocated)
            r = set_allocated(v, u.next);
    }
    *ret = v->data + (uint64_t)v->allocated * v->block_size;
    return r;
}

static const struct block_ops vdi_ops = {
    .lookup = vdi_lookup,
    .publish = vdi_publish,
    .find_end = vdi_find_end,
};

static bool read_header(struct disk *d, struct vdi *v, uint64_t *ret_size, struct error *err)
{
    uint8_t buf[HEADER_BYTES], uuid[2][16];
    static const uint8_t no_uuid[16];
    int r = disk_size(d->file) < sizeof(buf) ? -EINVAL : disk_read(d->file, 0, buf, sizeof(buf));

    if (r < 0)
        return fail(err, -r, "VDI header: %s", strerror(-r));
    struct reader rd = reader(buf, sizeof(buf));
    rd_seek(&rd, 0x40);
    if (rd_le32(&rd) != VDI_SIGNATURE)
        return fail(err, EINVAL, "Image not in VDI format");
    uint32_t version = rd_le32(&rd);
    rd_seek(&rd, 0x4c);
    v->image_type = rd_le32(&rd);
    rd_seek(&rd, 0x154);
    v->table = rd_le32(&rd);
    v->data = rd_le32(&rd);
    rd_seek(&rd, 0x168);
    uint32_t sector = rd_le32(&rd);
    rd_seek(&rd, 0x170);
    *ret_size = rd_le64(&rd);
    v->block_size = rd_le32(&rd);
    uint32_t extra = rd_le32(&rd);
    v->block_count = rd_le32(&rd);
    v->allocated = rd_le32(&rd);
    rd_seek(&rd, 0x1a8);
    rd_bytes(&rd, uuid[0], 16);
    rd_bytes(&rd, uuid[1], 16);
    assert(rd_ok(&rd));
    if (version != 0x00010001)
        return fail(err, ENOTSUP, "unsupported VDI image (version %u.%u)", version >> 16,
                    version & 0xffff);
    if (sector != 512)
        return fail(err, ENOTSUP, "unsupported VDI image (sector size %u is not 512)", sector);
    if (extra)
        return fail(err, ENOTSUP, "unsupported VDI image (%u extra bytes in each block)", extra);
    if (memcmp(uuid[0], no_uuid, 16) != 0 || memcmp(uuid[1], no_uuid, 16) != 0)
        return fail(err, ENOTSUP, "unsupported VDI image (it is a difference to another image)") ||
               fail_hint(err, "merge it into one with VBoxManage clonemedium");
    return true;
}

static bool check_header(const struct vdi *v, uint64_t size, struct error *err)
{
    uint64_t table_bytes = (uint64_t)v->block_count * 4;

    if (!is_pow2(v->block_size) || v->block_size < 4096 || v->block_size > 64 << 20)
        return fail(err, ENOTSUP, "unsupported VDI image (block size %u)", v->block_size);
    if (v->table % 512 || v->table < HEADER_BYTES)
        return fail(err, ENOTSUP, "unsupported VDI image (unaligned block map offset %#lx)",
                    (unsigned long)v->table);
    if (v->data % 512 || v->data < v->table + table_bytes)
        return fail(err, ENOTSUP, "unsupported VDI image (data offset %#lx lies in the block map)",
                    (unsigned long)v->data);
    if (v->block_count > VDI_BLOCKS_MAX || size > (uint64_t)v->block_count * v->block_size)
        return fail(err, ENOTSUP, "unsupported VDI image (disk size %lu, image bitmap has %u)",
                    (unsigned long)size, v->block_count);
    if (v->allocated > v->block_count)
        return fail(err, EINVAL, "unsupported VDI image (%u of %u blocks are in use)", v->allocated,
                    v->block_count);
    return true;
}

/* Puts the count of blocks right that a killed writer left wrong. */
static int heal(struct vdi *v)
{
    uint64_t end;
    int r;

    WITH_LOCK (&v->b.lock) {
        r = vdi_find_end(&v->b, &end);
    }
    return r == 0 && v->b.pages.dirty ? blocks_flush(&v->b) : r;
}

static bool vdi_open(struct disk *d, struct error *err)
{
    struct vdi *v = d->priv;
    uint64_t size;

    if (!read_header(d, v, &size, err) || !check_header(v, size, err))
        return false;
    blocks_init(&v->b, d, d->file, &vdi_ops, v);
    if (v->image_type == 2) /* static: blocks were given out before data came */
        v->b.data_flags &= ~(unsigned)DISK_MAP_SOLID;
    d->size = ALIGN_UP(size, (uint64_t)512);
    v->b.size = d->size;
    v->b.block_size = d->cluster_size = v->block_size;
    v->b.hole_flags = DISK_MAP_ZERO | DISK_MAP_ALLOCATED;
    if (d->open_flags & DISK_RDWR && !d->read_only && !(d->open_flags & DISK_CHECK)) {
        int r = heal(v);
        if (r < 0)
            return fail(err, -r, "VDI block map: %s", strerror(-r)) ||
                   fail_hint(err, "run rhea-img check on it");
    }
    return true;
}

static void vdi_close(struct disk *d)
{
    blocks_finish(&((struct vdi *)d->priv)->b);
}

static int vdi_inactivate(struct disk *d)
{
    return blocks_settle(&((struct vdi *)d->priv)->b);
}

static bool check_entry(void *arg, uint32_t index, uint32_t entry)
{
    struct usage *u = arg;
    char line[80];

    if (entry >= u->limit) {
        snprintf(line, sizeof(line), "ERROR: block index %u too large, is %u", index, entry);
        u->c->corruptions++;
    } else if (u->owner && u->owner[entry]) {
        snprintf(line, sizeof(line), "ERROR: block index %u also used by %u", entry,
                 u->owner[entry] - 1);
        u->c->corruptions++;
    } else {
        if (u->owner)
            u->owner[entry] = index + 1;
        u->used++;
        return true;
    }
    u->used += entry < u->limit;
    if (u->c->say && u->c->corruptions < 1000)
        u->c->say(u->c, line);
    return u->c->corruptions < 1 << 20; /* beyond that it is no image */
}

static int vdi_check(struct disk *d, struct disk_check *c, unsigned fix)
{
    struct vdi *v = d->priv;
    struct usage u = { .v = v, .c = c, .limit = v->block_count };
    int r;

    if (fix)
        return -ENOTSUP;
    if (v->block_count <= SCAN_ENTRIES_MAX)
        u.owner = calloc(v->block_count, sizeof(*u.owner));
    WITH_LOCK (&v->b.lock) {
        r = each_entry(v, check_entry, &u);
    }
    free(u.owner);
    if (r == 0 && u.used != v->allocated) {
        char line[80];
        snprintf(line, sizeof(line), "ERROR: allocated blocks mismatch, is %u, should be %u",
                 u.used, v->allocated);
        c->corruptions++;
        if (c->say)
            c->say(c, line);
    }
    return r;
}

static bool random_uuid(uint8_t *uuid, struct error *err)
{
    if (getrandom(uuid, 16, 0) != 16)
        return fail(err, errno, "random numbers: %s", strerror(errno));
    uuid[7] = (uuid[7] & 0x0f) | 0x40; /* version 4, as Windows lays a GUID out */
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    return true;
}

static bool write_header(const struct disk_create *c, uint32_t blocks, uint32_t data,
                         struct error *err)
{
    const struct vdi_create *o = c->opts;
    uint8_t h[HEADER_BYTES] = "<<< QEMU VM Virtual Disk Image >>>\n";
    int r;

    st_le32(h + 0x40, VDI_SIGNATURE);
    st_le32(h + AT_VERSION, 0x00010001);
    st_le32(h + 0x48, 0x180);
    st_le32(h + 0x4c, o->static_image ? 2 : 1);
    st_le32(h + 0x154, HEADER_BYTES);
    st_le32(h + 0x158, data);
    st_le32(h + 0x168, 512);
    st_le64(h + 0x170, c->size);
    st_le32(h + 0x178, VDI_BLOCK);
    st_le32(h + 0x180, blocks);
    st_le32(h + AT_BLOCKS_ALLOCATED, o->static_image ? blocks : 0);
    if (!random_uuid(h + 0x188, err) || !random_uuid(h + 0x198, err))
        return false;
    r = disk_write(c->file, 0, h, sizeof(h), 0);
    return r == 0 || fail(err, -r, "VDI header: %s", strerror(-r));
}

static bool write_table(const struct disk_create *c, uint32_t blocks, uint32_t data,
                        struct error *err)
{
    const struct vdi_create *o = c->opts;
    uint32_t n = 0;
    uint8_t buf[65536];
    int r = 0;

    for (uint64_t at = HEADER_BYTES; at < data && r == 0;) {
        size_t len = MIN(sizeof(buf), data - at);

        for (size_t i = 0; i < len; i += 4, n++)
            st_le32(buf + i, n >= blocks ? 0 : o->static_image ? n : VDI_UNALLOCATED);
        r = disk_write(c->file, at, buf, len, 0);
        at += len;
    }
    return r == 0 || fail(err, -r, "VDI block map: %s", strerror(-r));
}

static bool vdi_create(const struct disk_create *c, struct error *err)
{
    const struct vdi_create *o = c->opts;
    uint64_t blocks = (c->size + VDI_BLOCK - 1) / VDI_BLOCK;

    if (blocks > VDI_BLOCKS_MAX - 1)
        return fail(err, ENOTSUP,
                    "Unsupported VDI image size (size is %#lx, max supported is %#lx)",
                    (unsigned long)c->size, (unsigned long)VDI_BLOCKS_MAX * VDI_BLOCK);
    uint32_t data = ALIGN_UP(HEADER_BYTES + blocks * 4, (uint64_t)512);
    uint64_t end = data + (o->static_image ? blocks * VDI_BLOCK : 0);
    return disk_resize(c->file, end, DISK_PREALLOC_OFF, true, err) &&
           write_table(c, blocks, data, err) && write_header(c, blocks, data, err);
}

const struct disk_driver vdi_driver = {
    .name = "vdi",
    .doc = "VirtualBox disk image",
    .size = sizeof(struct vdi),
    .create_size = sizeof(struct vdi_create),
    .create_options = FIELDS(FIELD(struct vdi_create, static_image, .wire = "static",
                                   .doc = "VDI static (pre-allocated) image")),
    .probe = vdi_probe,
    .open = vdi_open,
    .close = vdi_close,
    .inactivate = vdi_inactivate,
    .create = vdi_create,
    .read = blocks_read_slot,
    .write = blocks_write_slot,
    .zero = blocks_zero_slot,
    .discard = blocks_discard_slot,
    .flush = blocks_flush_slot,
    .map = blocks_map_slot,
    .locate = blocks_locate_slot,
    .check = vdi_check,
};
