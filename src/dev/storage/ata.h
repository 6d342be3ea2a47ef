/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An ATA or ATAPI drive as ACS-3 and SFF-8020i describe it, without its cable. The host adapter
 * (ide_channel.c with registers and INTRQ, ahci.c with FISes) puts a command into the drive's
 * registers and calls ata_command(); the drive then asks for data phases through struct ata_host,
 * and says when the command has ended. Machine lock held for all functions.
 *
 * PIO: host->pio() says that data[0..data_len) is a block to move; the host moves it and calls
 * ata_pio_moved(). DMA: host->dma() hands out a task; the host fills task->sg with task->len bytes
 * of guest memory (or what it has) and calls ata_dma_go().
 */
#ifndef DEV_STORAGE_ATA_H
#define DEV_STORAGE_ATA_H

#include "dev/bus.h"
#include "dev/storage/blk.h"
#include "dev/storage/mmc.h"
#include "dev/storage/sg.h"

enum {
    ATA_SECTOR = 512,
    ATA_MULTIPLE_MAX = 16,    /* sectors of a block of READ MULTIPLE */
    ATA_BUFFER_SECTORS = 256, /* the drive's buffer for PIO */
    ATA_BUFFER = ATA_BUFFER_SECTORS * ATA_SECTOR,
    ATA_TAGS = 32,
    ATA_PACKET_BYTES = 12,
};

enum ata_status {
    ATA_ERR = 0x01,
    ATA_DRQ = 0x08,
    ATA_DSC = 0x10, /* seek complete */
    ATA_DF = 0x20,
    ATA_DRDY = 0x40,
    ATA_BSY = 0x80,
};
enum ata_error {
    ATA_ABRT = 0x04,
    ATA_IDNF = 0x10,
    ATA_UNC = 0x40,
    ATA_ICRC = 0x80,
};
enum { ATA_DEV_LBA = 0x40, ATA_DEV_UNIT = 0x10 };
enum { ATA_CONTROL_NIEN = 0x02, ATA_CONTROL_SRST = 0x04, ATA_CONTROL_HOB = 0x80 };
/* Interrupt reason, in the count register of a packet command */
enum { ATAPI_CD = 0x01, ATAPI_IO = 0x02 };

/* Registers; hob: what stood there before the last write (48-bit commands). */
struct ata_regs {
    uint8_t feature, count, lba[3], device;
    uint8_t hob_feature, hob_count, hob_lba[3];
    uint8_t command, status, error;
};

struct ata_drive;

/* A data transfer by DMA in flight; tag 0 serves commands without a tag too. */
struct ata_task {
    struct blk_request req;
    struct ata_drive *drive;
    struct sg sg; /* given by the host between dma() and ata_dma_go() */
    uint64_t lba;
    uint32_t len; /* bytes wanted */
    uint8_t tag;
    bool to_host, queued, fua;
    bool medium;  /* data come from or go to the medium, not the drive's buffer */
    bool active;  /* from host->dma() to its end */
    bool running; /* blk has the request */
};

struct ata_host {
    void (*pio)(void *opaque, struct ata_drive *d, bool interrupt);
    void (*dma)(void *opaque, struct ata_task *t);
    /* t->sg was filled with, or emptied of, moved bytes, and is given up */
    void (*dma_moved)(void *opaque, struct ata_task *t, size_t moved);
    /* the command (without a tag) ended; status and error registers say how */
    void (*ended)(void *opaque, struct ata_drive *d, bool interrupt);
    /* a queued command was accepted (busy goes away), or ended */
    void (*queued)(void *opaque, struct ata_drive *d);
    void (*queued_ended)(void *opaque, struct ata_drive *d, uint8_t tag, bool ok);
    void (*arrived)(void *opaque, struct ata_drive *d); /* the drive is there and reset; or NULL */
};

/* The bus "IDE": one or two drives. ide_bus_init() from the adapter's init. */
struct ide_bus {
    struct device_bus bus;
    struct ata_drive *drive[2];
    const struct ata_host *host;
    void *host_opaque;
    bool ncq;         /* the adapter offers native command queuing: a SATA port */
    unsigned channel; /* number among the adapter's: ide.N */
};
extern const struct bus_type ide_bus_type;
void ide_bus_init(struct ide_bus *b, struct device *owner, const char *name, unsigned units,
                  const struct ata_host *host, void *opaque);
void ide_bus_finish(struct ide_bus *b);

enum ata_data { ATA_NO_DATA, ATA_PIO_IN, ATA_PIO_OUT };

struct ata_command_info;

struct ata_drive {
    struct device dev;
    /* properties */
    struct blk_conf conf;
    uint32_t unit; /* UINT32_MAX: the first free one */
    char *model, *ver, *bios_chs_trans;
    uint64_t wwn;
    uint16_t rotation_rate;
    /* constant after init */
    bool atapi;
    struct ide_bus *bus; /* &nowhere: not plugged in */
    struct ide_bus nowhere;
    struct blk *blk; /* NULL: a CD drive without a drive */
    char serial[21];
    uint64_t sectors; /* of the whole disk */
    uint32_t cyls, heads, secs;
    struct mmc mmc;
    struct drive_user user;
    uint8_t *data; /* ATA_BUFFER bytes */
    struct ata_task task[ATA_TAGS];
    struct blk_request pio_req; /* PIO data, flush, trim */
    /* state */
    struct ata_regs regs;
    uint64_t max_sectors; /* as seen; SET MAX ADDRESS makes it less */
    uint8_t cur_heads, cur_secs;
    uint8_t multiple;   /* sectors of a READ MULTIPLE block; 0: off */
    uint8_t udma, mdma; /* modes that are on, as bits; 0: none */
    bool write_cache, look_ahead, smart, standby;
    uint8_t smart_selftest;
    bool native_max_read;
    /* the command being carried out; none when a state is saved */
    bool busy;
    const struct ata_command_info *info;
    enum ata_data phase;
    bool medium_in, fua;        /* PIO-in comes from the medium */
    uint32_t data_at, data_len; /* the block to move: data[data_at..) */
    uint32_t buffered;          /* bytes in data behind data_at, to come in later blocks */
    uint32_t left;              /* sectors of the command not yet read or written */
    uint64_t lba;
    uint32_t trim_at;
    void (*data_out)(struct ata_drive *d); /* the host's block is there */
    struct iovec iov;
    struct mmc_command *cmd;
    bool packet;          /* a packet command's data phase */
    uint32_t packet_left; /* blocks of the medium still to read by PIO */
    /* queued */
    uint32_t tags; /* active ones */
    bool ncq_error;
    uint8_t ncq_log[ATA_SECTOR];
    bool cancelling;
};

/* After power-on or a hardware reset (COMRESET), software reset, DEVICE RESET. In-flight requests
 * are done or dropped when it returns. */
void ata_reset(struct ata_drive *d, bool hard);
void ata_cancel(struct ata_drive *d); /* drops what is in flight: the host stopped its engine */

void ata_command(struct ata_drive *d); /* regs.command was written */
/* The block is moved. The next one may be announced from inside. */
void ata_pio_moved(struct ata_drive *d);
void ata_dma_go(struct ata_task *t);
void ata_dma_fail(struct ata_task *t); /* the host could not give memory: aborts the command */

/* --- among ata*.c --- */

struct ata_command_info {
    uint8_t opcode;
    uint8_t flags;
    void (*run)(struct ata_drive *d);
};
enum {
    ATA_FOR_DISK = 1,
    ATA_FOR_CD = 2,
    ATA_LBA48 = 4,  /* registers are taken two deep */
    ATA_WRITES = 8, /* refused when the medium is read only */
    ATA_QUEUED = 16,
    ATA_MULTIPLE = 32,
    ATA_WITH_FUA = 64,
};
const struct ata_command_info *ata_command_find(uint8_t opcode, bool atapi);

void ata_end(struct ata_drive *d);                 /* success, with an interrupt */
void ata_end_quiet(struct ata_drive *d);           /* after the last PIO-in block */
void ata_fail(struct ata_drive *d, uint8_t error); /* ends with ERR */
void ata_end_with(struct ata_drive *d, uint8_t status, uint8_t error, bool interrupt);
/* A request to the host side failed. Reads name the sector; a failed write is a device fault. */
void ata_fail_io(struct ata_drive *d, bool write);
void ata_ask_dma(struct ata_drive *d, struct ata_task *t, bool to_host, uint32_t len);
void ata_give(struct ata_drive *d, uint32_t len); /* PIO-in of data[0..len), then the end */
/* PIO-out of len bytes into data[0..len), then fn. */
void ata_want(struct ata_drive *d, uint32_t len, bool interrupt, void (*fn)(struct ata_drive *d));
void ata_dma_buffer(struct ata_drive *d, uint32_t len, bool to_host); /* DMA of data[0..len) */
void ata_submit(struct ata_drive *d, enum disk_op op, uint64_t sector, uint32_t sectors,
                void (*done)(struct blk_request *q, int result));
void ata_set_lba(struct ata_drive *d, uint64_t lba);
uint64_t ata_get_lba(const struct ata_drive *d, bool lba48, bool *ret_ok);
void ata_signature(struct ata_drive *d);

/* Data of the medium, by the registers */
void ata_read_pio(struct ata_drive *d);
void ata_write_pio(struct ata_drive *d);
void ata_verify(struct ata_drive *d);
void ata_dma(struct ata_drive *d);
void ata_queued(struct ata_drive *d);

void ata_identify(struct ata_drive *d); /* ata_identify.c: into data */
void ata_identify_packet(struct ata_drive *d);
bool ata_smart(struct ata_drive *d); /* false: abort */
bool ata_read_log(struct ata_drive *d, uint8_t page, uint16_t first, uint32_t count);

void atapi_packet(struct ata_drive *d); /* atapi.c */
void atapi_dma_ended(struct ata_drive *d, int result);
void atapi_pio_moved(struct ata_drive *d);

#endif
