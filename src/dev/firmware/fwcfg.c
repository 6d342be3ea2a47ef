/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Firmware configuration device. The guest selects a key and reads its bytes one by one, or hands a
 * descriptor (control, length, address, big-endian) to the DMA register and has them copied.
 * Reading beyond an item gives zeroes, without end: a length is never trusted, it is only
 * counted down in pieces.
 */
#include "dev/firmware/fwcfg.h"

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/trace.h"
#include "base/types.h"
#include "dev/device.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum {
    DMA_ERROR = 0x01,
    DMA_READ = 0x02,
    DMA_SKIP = 0x04,
    DMA_SELECT = 0x08,
    DMA_WRITE = 0x10,
    ID_TRADITIONAL = 0x01,
    ID_DMA = 0x02,
    LOW_ITEMS = FWCFG_FILE_FIRST + FWCFG_FILE_SLOTS,
    ITEMS = 2 * LOW_ITEMS, /* the second half is FWCFG_ARCH_LOCAL */
    KEY_WRITE = 0x4000,    /* old write channel: ignored */
    DIR_ENTRY = 64,
    CHUNK = 4096,
    /* A guest asking for more in one request is refused rather than served zeroes for minutes. */
    DMA_MAX = 256 << 20,
};
static const uint64_t dma_signature = 0x51454d5520434647; /* "QEMU CFG" */

struct item {
    uint8_t *data; /* owned */
    uint32_t len;
    char *name;                          /* of files */
    fwcfg_refresh_fn *refresh, *written; /* written: only by DMA; NULL: read-only */
    void *refresh_opaque;
};

struct fwcfg {
    struct device dev;
    struct item items[ITEMS];
    /* state */
    uint16_t key;
    uint32_t offset;
    uint64_t dma_addr; /* as written so far */
};

static struct item *item_at(struct fwcfg *f, uint16_t key)
{
    unsigned n = (key & ~(KEY_WRITE | FWCFG_ARCH_LOCAL)) & 0xffff;
    if (n >= LOW_ITEMS)
        return NULL;
    return &f->items[n + (key & FWCFG_ARCH_LOCAL ? LOW_ITEMS : 0)];
}

static void set_item(struct item *it, const void *data, size_t len)
{
    assert(len <= UINT32_MAX);
    free(it->data);
    it->data = len ? xmemdup(data, len) : NULL;
    it->len = len;
}

void fwcfg_add(struct device *dev, uint16_t key, const void *data, size_t len)
{
    struct item *it = item_at((struct fwcfg *)dev, key);
    assert(it);
    set_item(it, data, len);
}

void fwcfg_add_le(struct device *dev, uint16_t key, uint64_t value, unsigned bytes)
{
    uint8_t le[8];
    st_le64(le, value);
    fwcfg_add(dev, key, le, bytes);
}

/* The directory: number of files, then size, key, 0, name of each, numbers big-endian. */
static void update_directory(struct fwcfg *f)
{
    uint8_t dir[4 + FWCFG_FILE_SLOTS * DIR_ENTRY] = { 0 };
    uint32_t count = 0;
    for (unsigned i = 0; i < FWCFG_FILE_SLOTS; i++) {
        const struct item *it = &f->items[FWCFG_FILE_FIRST + i];
        if (!it->name)
            continue;
        uint8_t *e = dir + 4 + count++ * DIR_ENTRY;
        st_be32(e, it->len);
        st_be16(e + 4, FWCFG_FILE_FIRST + i);
        memcpy(e + 8, it->name, strlen(it->name));
    }
    st_be32(dir, count);
    set_item(&f->items[FWCFG_FILE_DIR], dir, 4 + count * DIR_ENTRY);
}

static struct item *find_file(struct fwcfg *f, const char *name)
{
    for (unsigned i = 0; i < FWCFG_FILE_SLOTS; i++) {
        struct item *it = &f->items[FWCFG_FILE_FIRST + i];
        if (it->name && !strcmp(it->name, name))
            return it;
    }
    return NULL;
}

static struct item *free_slot(struct fwcfg *f)
{
    for (unsigned i = 0; i < FWCFG_FILE_SLOTS; i++)
        if (!f->items[FWCFG_FILE_FIRST + i].name)
            return &f->items[FWCFG_FILE_FIRST + i];
    return NULL;
}

bool fwcfg_add_file(struct device *dev, const char *name, const void *data, size_t len,
                    struct error *err)
{
    struct fwcfg *f = (struct fwcfg *)dev;
    struct item *it = find_file(f, name);
    if (strlen(name) > FWCFG_NAME_MAX)
        return fail(err, ENAMETOOLONG, "firmware file name '%s' is longer than %d characters", name,
                    FWCFG_NAME_MAX);
    if (!it && !(it = free_slot(f)))
        return fail(err, ENOSPC, "more than %d firmware files", FWCFG_FILE_SLOTS);
    if (!it->name)
        it->name = xstrdup(name);
    set_item(it, data, len);
    update_directory(f);
    return true;
}

void fwcfg_set_refresh(struct device *dev, const char *name, fwcfg_refresh_fn *fn, void *opaque)
{
    struct item *it = find_file((struct fwcfg *)dev, name);
    assert(it);
    it->refresh = fn;
    it->refresh_opaque = opaque;
}

void fwcfg_set_writable(struct device *dev, const char *name, fwcfg_refresh_fn *fn, void *opaque)
{
    struct item *it = find_file((struct fwcfg *)dev, name);
    assert(it);
    it->written = fn;
    it->refresh_opaque = opaque;
}

static void select_key(struct fwcfg *f, uint16_t key)
{
    struct item *it = item_at(f, key);
    f->key = key;
    f->offset = 0;
    TRACE(fwcfg, "key %#x %s, %u bytes", key, it && it->name ? it->name : "", it ? it->len : 0);
    if (it && it->refresh && it->data)
        it->refresh(it->refresh_opaque, it->data, it->len);
}

/* The next n bytes of the selected item into buf, zeroes beyond its end. */
static void take_bytes(struct fwcfg *f, uint8_t *buf, size_t n)
{
    const struct item *it = item_at(f, f->key);
    uint32_t left = it && f->offset < it->len ? it->len - f->offset : 0;
    size_t have = MIN(n, left);
    if (have)
        memcpy(buf, it->data + f->offset, have);
    memset(buf + have, 0, n - have);
    f->offset += have; /* never beyond the end: no wrap */
}

/* Into a writable item, not beyond its end. */
static bool write_item(struct fwcfg *f, uint32_t len, gpa_t addr)
{
    struct item *it = item_at(f, f->key);
    if (!it || !it->written || f->offset > it->len || len > it->len - f->offset) {
        guest_error(&f->dev, "DMA write of %u bytes to item %#x: not writable", len, f->key);
        return false;
    }
    if (dma_read(f->dev.ctx.dma, addr, it->data + f->offset, len)) {
        guest_error(&f->dev, "DMA from %#" PRIx64 ": no RAM there", addr);
        return false;
    }
    f->offset += len;
    it->written(it->refresh_opaque, it->data, it->len);
    return true;
}

static bool dma_transfer(struct fwcfg *f, uint32_t control, uint32_t len, gpa_t addr)
{
    uint8_t buf[CHUNK];
    if (control & DMA_WRITE)
        return write_item(f, len, addr);
    if (len > DMA_MAX) {
        guest_error(&f->dev, "DMA of %#x bytes is too much", len);
        return false;
    }
    while (len) {
        uint32_t n = MIN(len, CHUNK);
        take_bytes(f, buf, n);
        if (control & DMA_READ && dma_write(f->dev.ctx.dma, addr, buf, n)) {
            guest_error(&f->dev, "DMA to %#" PRIx64 ": no RAM there", addr);
            return false;
        }
        addr += n;
        len -= n;
    }
    return true;
}

/* The descriptor at dma_addr is read once; its control word then becomes 0 or ERROR. */
static void dma_run(struct fwcfg *f)
{
    uint8_t desc[16], result[4];
    gpa_t at = f->dma_addr;
    f->dma_addr = 0;
    if (!f->dev.ctx.dma || dma_read(f->dev.ctx.dma, at, desc, sizeof desc)) {
        guest_error(&f->dev, "DMA descriptor at %#" PRIx64 ": no RAM there", at);
        return;
    }
    uint32_t control = ld_be32(desc);
    if (control & DMA_SELECT)
        select_key(f, control >> 16);
    bool ok = dma_transfer(f, control,
                           control & (DMA_READ | DMA_SKIP | DMA_WRITE) ? ld_be32(desc + 4) : 0,
                           ld_be64(desc + 8));
    st_be32(result, ok ? 0 : DMA_ERROR);
    if (dma_write(f->dev.ctx.dma, at, result, sizeof result))
        guest_error(&f->dev, "DMA descriptor at %#" PRIx64 " is not writable", at);
}

static uint64_t ports_read(struct device *dev, uint64_t off, unsigned size)
{
    uint8_t b = 0;
    if (off == 1)
        take_bytes((struct fwcfg *)dev, &b, 1);
    return b;
}

static void ports_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    if (off == 0 && size == 2)
        select_key((struct fwcfg *)dev, val);
    /* the data port is read-only */
}

static uint64_t dma_reg_read(struct device *dev, uint64_t off, unsigned size)
{
    uint8_t be[8];
    uint64_t v = 0;
    st_be64(be, dma_signature);
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)be[off + i] << (8 * i);
    return v;
}

/* Big-endian: the high half at 0, the low half at 4, whose last byte starts the transfer. */
static void dma_reg_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct fwcfg *f = (struct fwcfg *)dev;
    for (unsigned i = 0; i < size; i++) {
        unsigned shift = 8 * (7 - (off + i));
        f->dma_addr = (f->dma_addr & ~(UINT64_C(0xff) << shift)) | (val >> (8 * i) & 0xff) << shift;
    }
    if (off + size == 8)
        dma_run(f);
}

static bool fwcfg_init(struct device *dev, struct error *err)
{
    struct fwcfg *f = (struct fwcfg *)dev;
    fwcfg_add(dev, FWCFG_SIGNATURE, "QEMU", 4);
    fwcfg_add_le(dev, FWCFG_ID, ID_TRADITIONAL | (dev->ctx.dma ? ID_DMA : 0), 4);
    update_directory(f);
    return true;
}

static void fwcfg_reset(struct device *dev)
{
    struct fwcfg *f = (struct fwcfg *)dev;
    f->key = FWCFG_SIGNATURE;
    f->offset = 0;
    f->dma_addr = 0;
}

static void fwcfg_finish(struct device *dev)
{
    struct fwcfg *f = (struct fwcfg *)dev;
    for (unsigned i = 0; i < ITEMS; i++) {
        free(f->items[i].data);
        free(f->items[i].name);
    }
}

static const struct device_window windows[] = {
    { .name = "ports",
      .space = WINDOW_PIO,
      .size = 2,
      .read = ports_read,
      .write = ports_write,
      .min_size = 1,
      .max_size = 2 },
    { .name = "dma",
      .space = WINDOW_PIO,
      .size = 8,
      .read = dma_reg_read,
      .write = dma_reg_write,
      .min_size = 1,
      .max_size = 8 },
};

const struct device_type fwcfg_type = {
    .name = "fw_cfg",
    .doc = "Firmware configuration interface with DMA",
    .size = sizeof(struct fwcfg),
    .state = FIELDS(FIELD(struct fwcfg, key), FIELD(struct fwcfg, offset),
                    FIELD(struct fwcfg, dma_addr)),
    .init = fwcfg_init,
    .finish = fwcfg_finish,
    .reset = fwcfg_reset,
    .windows = windows,
    .window_count = ARRAY_SIZE(windows),
};
