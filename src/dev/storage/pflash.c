/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flash memory. Programming clears bits, erasing a sector sets them; both are over at once. The
 * guest may take its time between the cycles of a command: what it wrote is put into the image when
 * it goes back to reading, or a moment later.
 *
 * Clear Status Register clears the ready bit, too, until the next command: firmware tells this
 * flash from RAM and ROM by that.
 */
#include "dev/storage/pflash.h"

#include "base/bits.h"
#include "base/endian.h"
#include "dev/storage/drive.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum mode {
    MODE_ARRAY,
    MODE_STATUS,
    MODE_ID,
    MODE_QUERY,
    MODE_PROGRAM,        /* data follows */
    MODE_ERASE,          /* confirmation follows */
    MODE_LOCK,           /* the same, or lock */
    MODE_BUFFER_COUNT,   /* number of writes - 1 follows */
    MODE_BUFFER_DATA,    /* so many writes follow */
    MODE_BUFFER_CONFIRM, /* confirmation follows */
    MODE_COUNT,
};

enum {
    CMD_PROGRAM_ALT = 0x10,
    CMD_ERASE = 0x20,
    CMD_PROGRAM = 0x40,
    CMD_CLEAR_STATUS = 0x50,
    CMD_LOCK_SETUP = 0x60,
    CMD_READ_STATUS = 0x70,
    CMD_READ_ID = 0x90,
    CMD_QUERY = 0x98,
    CMD_SUSPEND = 0xb0,
    CMD_CONFIRM = 0xd0,
    CMD_BUFFER = 0xe8,
    CMD_ARRAY_ALT = 0xf0,
    CMD_ARRAY = 0xff,
    CMD_LOCK = 0x01,
    STATUS_LOCKED = 0x02,
    STATUS_PROGRAM_ERROR = 0x10,
    STATUS_ERASE_ERROR = 0x20,
    STATUS_READY = 0x80,
    BUFFER_SIZE = 2048,
    SECTORS_MAX = 16384,
    SIZE_MAX_MIB = 64,
    QUERY_SIZE = 0x40,
    ID_MAKER = 0x89, /* Intel 28F640J3 */
    ID_DEVICE = 0x18,
    WRITE_BACK_MS = 10,
};

struct pflash {
    struct device dev;
    /* properties */
    struct drive *drive;
    uint64_t sector_length;
    uint8_t width;
    bool secure;
    char *name;
    /* constant after init */
    gra_t gra;
    uint64_t size;
    bool (*may_write)(void *opaque);
    void *gate_opaque;
    struct mem_region array, registers;
    int priority;
    bool mapped;
    gpa_t base;
    uint8_t query[QUERY_SIZE];
    struct timer write_back;
    uint64_t dirty_first, dirty_end; /* not in the image yet */
    /* state */
    uint8_t mode, status;
    uint16_t count; /* writes that the buffer still waits for */
    uint64_t buffer_base;
    uint8_t buffer[BUFFER_SIZE];
    uint8_t locked[SECTORS_MAX / 8];
};

static uint8_t *bytes(const struct pflash *f)
{
    return mem_ram_base(f->dev.ctx.dma) + f->gra;
}

/* --- the image --- */

static void flush(struct pflash *f)
{
    uint64_t first = ALIGN_DOWN(f->dirty_first, (uint64_t)512);
    uint64_t end = MIN(ALIGN_UP(f->dirty_end, (uint64_t)512), f->size);
    timer_cancel(&f->write_back);
    if (f->dirty_end <= f->dirty_first)
        return;
    f->dirty_first = f->size;
    f->dirty_end = 0;
    if (disk_write(f->drive->disk, first, bytes(f) + first, end - first, 0) < 0) {
        guest_error(&f->dev, "%" PRIu64 " bytes cannot be written to the image", end - first);
        f->status |= STATUS_PROGRAM_ERROR;
    }
}

static void write_back_due(void *opaque)
{
    flush(opaque);
}

static void changed(struct pflash *f, uint64_t off, uint64_t len)
{
    mem_written(f->dev.ctx.dma, f->gra + off, len);
    if (!f->drive)
        return;
    f->dirty_first = MIN(f->dirty_first, off);
    f->dirty_end = MAX(f->dirty_end, off + len);
    timer_set_ns(&f->write_back, clock_now_ns(loop_clock(f->dev.ctx.loop, CLOCK_RT)) +
                                     WRITE_BACK_MS * INT64_C(1000000));
}

/* --- commands --- */

static bool is_locked(const struct pflash *f, uint64_t off)
{
    uint64_t n = off / f->sector_length;
    return n < SECTORS_MAX && f->locked[n / 8] >> n % 8 & 1;
}

/* Whether the sector may be changed; otherwise the status says why not. */
static bool writable(struct pflash *f, uint64_t off, uint8_t error)
{
    bool refused = f->drive && disk_read_only(f->drive->disk);
    refused |= f->secure && !(f->may_write && f->may_write(f->gate_opaque));
    if (!refused && !is_locked(f, off))
        return true;
    f->status |= error | STATUS_LOCKED;
    return false;
}

static void program(struct pflash *f, uint64_t off, const uint8_t *data, uint64_t len)
{
    f->status |= STATUS_READY;
    if (off + len > f->size || !writable(f, off, STATUS_PROGRAM_ERROR))
        return;
    uint8_t *p = bytes(f) + off;
    for (uint64_t i = 0; i < len; i++)
        p[i] &= data[i];
    changed(f, off, len);
}

static void erase(struct pflash *f, uint64_t off)
{
    uint64_t first = off - off % f->sector_length;
    f->status |= STATUS_READY;
    if (!writable(f, off, STATUS_ERASE_ERROR))
        return;
    memset(bytes(f) + first, 0xff, f->sector_length);
    changed(f, first, f->sector_length);
    flush(f);
}

static void set_lock(struct pflash *f, uint64_t off, bool on)
{
    uint64_t n = off / f->sector_length;
    f->status |= STATUS_READY;
    if (n >= SECTORS_MAX)
        return;
    if (on)
        f->locked[n / 8] |= 1 << n % 8;
    else
        f->locked[n / 8] &= ~(1 << n % 8);
}

static void show(struct pflash *f)
{
    struct mem *m = f->dev.ctx.dma;
    bool array = f->mode == MODE_ARRAY;
    if (!f->mapped || (array ? f->array.mem : f->registers.mem))
        return;
    mem_begin(m);
    mem_unmap(array ? &f->registers : &f->array);
    mem_map(m, f->base, array ? &f->array : &f->registers, f->priority);
    mem_end(m);
}

static void set_mode(struct pflash *f, enum mode mode)
{
    f->mode = mode;
    if (mode == MODE_ARRAY)
        flush(f);
    show(f);
}

static void command(struct pflash *f, uint64_t off, uint8_t val)
{
    switch (val) {
    case CMD_PROGRAM:
    case CMD_PROGRAM_ALT: set_mode(f, MODE_PROGRAM); break;
    case CMD_ERASE: set_mode(f, MODE_ERASE); break;
    case CMD_CLEAR_STATUS:
        f->status = 0;
        set_mode(f, MODE_ARRAY);
        break;
    case CMD_LOCK_SETUP: set_mode(f, MODE_LOCK); break;
    case CMD_READ_STATUS: set_mode(f, MODE_STATUS); break;
    case CMD_READ_ID: set_mode(f, MODE_ID); break;
    case CMD_QUERY: set_mode(f, MODE_QUERY); break;
    case CMD_BUFFER:
        f->status |= STATUS_READY; /* a buffer is free */
        set_mode(f, MODE_BUFFER_COUNT);
        break;
    case 0x00:
    case CMD_ARRAY_ALT:
    case CMD_ARRAY: set_mode(f, MODE_ARRAY); break;
    case CMD_CONFIRM:
    case CMD_SUSPEND: /* nothing is ever under way */
        f->status |= STATUS_READY;
        set_mode(f, MODE_STATUS);
        break;
    default:
        guest_error(&f->dev, "command %#x at %#" PRIx64 " is unknown", val, off);
        set_mode(f, MODE_ARRAY);
    }
}

static void wrong_sequence(struct pflash *f)
{
    f->status |= STATUS_READY | STATUS_PROGRAM_ERROR | STATUS_ERASE_ERROR;
    set_mode(f, MODE_STATUS);
}

static void buffer_data(struct pflash *f, uint64_t off, const uint8_t *data, unsigned size)
{
    uint64_t base = ALIGN_DOWN(off, (uint64_t)BUFFER_SIZE);
    if (f->buffer_base == UINT64_MAX)
        f->buffer_base = base;
    if (base != f->buffer_base) {
        wrong_sequence(f);
        return;
    }
    memcpy(f->buffer + (off - base), data, size);
    if (--f->count == 0)
        set_mode(f, MODE_BUFFER_CONFIRM);
}

static void flash_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct pflash *f = opaque;
    uint8_t data[8];
    st_le64(data, val);
    switch (f->mode) {
    case MODE_PROGRAM:
        program(f, off, data, size);
        set_mode(f, MODE_STATUS);
        break;
    case MODE_ERASE:
        if (data[0] == CMD_CONFIRM)
            erase(f, off);
        else if (data[0] != CMD_ARRAY)
            f->status |= STATUS_READY | STATUS_PROGRAM_ERROR | STATUS_ERASE_ERROR;
        set_mode(f, data[0] == CMD_ARRAY ? MODE_ARRAY : MODE_STATUS);
        break;
    case MODE_LOCK:
        if (data[0] == CMD_CONFIRM || data[0] == CMD_LOCK) {
            set_lock(f, off, data[0] == CMD_LOCK);
            set_mode(f, MODE_STATUS);
        } else {
            wrong_sequence(f);
        }
        break;
    case MODE_BUFFER_COUNT:
        f->count = MIN((val & 0xffff) + 1, (uint64_t)BUFFER_SIZE);
        f->buffer_base = UINT64_MAX;
        memset(f->buffer, 0xff, sizeof f->buffer);
        set_mode(f, MODE_BUFFER_DATA);
        break;
    case MODE_BUFFER_DATA: buffer_data(f, off, data, size); break;
    case MODE_BUFFER_CONFIRM:
        if (data[0] != CMD_CONFIRM) {
            wrong_sequence(f);
            break;
        }
        program(f, f->buffer_base, f->buffer, MIN((uint64_t)BUFFER_SIZE, f->size - f->buffer_base));
        flush(f);
        set_mode(f, MODE_STATUS);
        break;
    default: command(f, off, data[0]);
    }
}

static uint64_t flash_read(void *opaque, uint64_t off, unsigned size)
{
    const struct pflash *f = opaque;
    uint64_t v = 0;
    switch (f->mode) {
    case MODE_ARRAY:
        for (unsigned i = 0; i < size; i++)
            v |= (uint64_t)bytes(f)[off + i] << 8 * i;
        return v;
    case MODE_ID:
        switch (off & 0xff) {
        case 0: return ID_MAKER;
        case 1: return ID_DEVICE;
        case 2: return is_locked(f, off);
        default: return 0;
        }
    case MODE_QUERY: return off < QUERY_SIZE ? f->query[off] : 0;
    default: return f->status;
    }
}

static const struct mem_io_ops flash_ops = {
    .read = flash_read, .write = flash_write, .min_size = 1, .max_size = 4
};

/* --- life --- */

/* JESD68 §2; times are powers of two, of microseconds and milliseconds. */
static void make_query(struct pflash *f)
{
    uint8_t *q = f->query;
    unsigned log2_size = 0;
    while (UINT64_C(1) << log2_size < f->size)
        log2_size++;
    memcpy(q + 0x10, "QRY\x01\x00\x31\x00", 7); /* Intel commands; extended table at 0x31 */
    memcpy(q + 0x1b, "\x45\x55\x00\x00\x07\x07\x0a\x00\x04\x04\x04\x00", 12);
    q[0x27] = log2_size;
    st_le16(q + 0x2a, 11); /* buffer of 2 KiB */
    q[0x2c] = 1;           /* erase regions */
    st_le16(q + 0x2d, f->size / f->sector_length - 1);
    st_le16(q + 0x2f, f->sector_length / 256);
    memcpy(q + 0x31, "PRI10", 5);
}

static bool read_image(struct pflash *f, struct error *err)
{
    if (!f->drive) {
        (void)fail(err, EINVAL, "it has no drive");
        return fail_hint(err, "-drive if=pflash,format=raw,file=F");
    }
    f->size = disk_size(f->drive->disk);
    if (!f->size || f->size % f->sector_length || f->size > SIZE_MAX_MIB << 20) {
        (void)fail(err, EINVAL,
                   "an image of %" PRIu64 " bytes is no flash memory of %" PRIu64 "-byte sectors",
                   f->size, f->sector_length);
        return fail_hint(err, "its size is a multiple of %" PRIu64 ", at most %d MiB",
                         f->sector_length, SIZE_MAX_MIB);
    }
    if (!mem_ram_alloc(f->dev.ctx.dma, ALIGN_UP(f->size, MEM_PAGE_SIZE), &f->gra, err))
        return false;
    int r = disk_read(f->drive->disk, 0, bytes(f), f->size);
    return r >= 0 || fail(err, -r, "image of '%s': %s", f->drive->id, strerror(-r));
}

static bool pflash_init(struct device *dev, struct error *err)
{
    struct pflash *f = (struct pflash *)dev;
    timer_init(&f->write_back, dev->ctx.loop, CLOCK_RT, write_back_due, f);
    if (!f->sector_length || f->sector_length % 256 || f->sector_length > 1 << 20)
        return fail(err, EINVAL, "sector-length=%" PRIu64 " is not a multiple of 256 up to 1 MiB",
                    f->sector_length);
    if (f->width != 1)
        return fail(err, ENOTSUP, "width=%u: flash of 8 bits is what there is", f->width);
    if (f->secure && !f->may_write) {
        (void)fail(err, ENOTSUP, "secure=on needs System Management Mode, which is off here");
        return fail_hint(err, "use -machine q35,smm=on");
    }
    if (!dev->ctx.dma)
        return fail(err, EINVAL, "it needs memory to lie in");
    if (!read_image(f, err))
        return false;
    f->dirty_first = f->size;
    make_query(f);
    mem_region_init_rom_device(&f->array, "flash", f->gra, f->size, &flash_ops, f);
    mem_region_init_io(&f->registers, "flash-registers", &flash_ops, f, f->size);
    return true;
}

static void pflash_reset(struct device *dev)
{
    struct pflash *f = (struct pflash *)dev;
    f->status = STATUS_READY;
    f->count = 0;
    set_mode(f, MODE_ARRAY);
}

static bool pflash_loaded(struct device *dev, struct error *err)
{
    struct pflash *f = (struct pflash *)dev;
    if (f->mode == MODE_BUFFER_DATA && !f->count)
        return fail(err, EINVAL, "flash buffer waits for nothing");
    if (f->mode == MODE_BUFFER_CONFIRM && f->buffer_base >= f->size)
        return fail(err, EINVAL, "flash buffer beyond the end");
    show(f);
    return true;
}

static void pflash_finish(struct device *dev)
{
    struct pflash *f = (struct pflash *)dev;
    if (f->dirty_end)
        flush(f);
    if (f->write_back.fn)
        timer_cancel(&f->write_back);
    mem_unmap(&f->array);
    mem_unmap(&f->registers);
}

static void pflash_defaults(struct device *dev)
{
    struct pflash *f = (struct pflash *)dev;
    f->sector_length = 4096;
    f->width = 1;
}

uint64_t pflash_size(const struct device *dev)
{
    return ((const struct pflash *)dev)->size;
}

gra_t pflash_gra(const struct device *dev)
{
    return ((const struct pflash *)dev)->gra;
}

void pflash_map(struct device *dev, gpa_t base, int priority)
{
    struct pflash *f = (struct pflash *)dev;
    f->mapped = true;
    f->base = base;
    f->priority = priority;
    show(f);
}

void pflash_set_gate(struct device *dev, bool (*may_write)(void *opaque), void *opaque)
{
    struct pflash *f = (struct pflash *)dev;
    f->may_write = may_write;
    f->gate_opaque = opaque;
}

const struct device_type cfi_pflash01_type = {
    .name = "cfi.pflash01",
    .doc = "NOR flash memory with Intel commands",
    .size = sizeof(struct pflash),
    .props = FIELDS(FIELD_LINK(struct pflash, drive, "drive", .doc = "image of the flash"),
                    FIELD(struct pflash, sector_length, .wire = "sector-length", .is_size = true,
                          .doc = "bytes that are erased together [4096]"),
                    FIELD(struct pflash, width, .doc = "bytes of a bank [1]"),
                    FIELD(struct pflash, secure, .doc = "writable in SMM only [off]"),
                    FIELD(struct pflash, name, .doc = "name for messages")),
    .state =
        FIELDS(FIELD(struct pflash, mode, .max = MODE_COUNT - 1), FIELD(struct pflash, status),
               FIELD(struct pflash, count, .max = BUFFER_SIZE), FIELD(struct pflash, buffer_base),
               FIELD_ARRAY(struct pflash, buffer), FIELD_ARRAY(struct pflash, locked)),
    .defaults = pflash_defaults,
    .init = pflash_init,
    .finish = pflash_finish,
    .reset = pflash_reset,
    .loaded = pflash_loaded,
};
