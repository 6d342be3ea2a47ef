/* SPDX-License-Identifier: GPL-2.0-or-later */
/* PIIX3 IDE with a hard disk and a CD drive, driven by its registers. */
#include "dev/pci/piix3_ide.h"
#include "dev/storage/ide_drive.h"
#include "storage_rig.h"

enum { CMD0, CTL0, CMD1, CTL1, BM };
enum { ERR = 1, DRQ = 8, DF = 0x20, RDY = 0x40, BSY = 0x80 };
enum { DISK_SECTORS = 4096, CD_BLOCKS = 300, PRDS = 0x8000, DATA = 0x10000 };

static void plug_all(struct storage_rig *s, bool disk, bool cd)
{
    sr_open(s);
    rig_start(&s->r, device_new(&piix3_ide_type, NULL, &s->r.ctx));
    ((struct pci_dev *)s->r.dev)->config[PCI_COMMAND] |= PCI_COMMAND_MASTER;
    if (disk) {
        sr_plug(s, &ide_hd_type, sr_bus(s->r.dev, 0), sr_drive(s, 0, DISK_SECTORS * 512), NULL,
                NULL);
        sr_fill_disk(s, 0, DISK_SECTORS, 512);
    }
    if (cd) {
        sr_plug(s, &ide_cd_type, sr_bus(s->r.dev, 1), sr_drive(s, 1, CD_BLOCKS * 2048), NULL, NULL);
        s->drive[1].media = DRIVE_CDROM;
        sr_fill_disk(s, 1, CD_BLOCKS, 2048);
    }
}

struct channel {
    struct storage_rig *s;
    unsigned n;
};

static bool not_busy(void *opaque)
{
    struct channel *c = opaque;
    return !(in8(&c->s->r, CTL0 + 2 * c->n, 0) & BSY);
}

static uint8_t ready(struct storage_rig *s, unsigned n)
{
    struct channel c = { s, n };
    CHECK(sr_wait(s, not_busy, &c));
    return in8(&s->r, CMD0 + 2 * n, 7);
}

/* A command with 28-bit registers. */
static uint8_t command(struct storage_rig *s, unsigned n, uint8_t op, uint32_t lba, uint8_t count,
                       uint8_t feature)
{
    unsigned w = CMD0 + 2 * n;
    out8(&s->r, w, 6, 0xe0 | (lba >> 24 & 15));
    out8(&s->r, w, 1, feature);
    out8(&s->r, w, 2, count);
    for (unsigned i = 0; i < 3; i++)
        out8(&s->r, w, 3 + i, (uint8_t)(lba >> 8 * i));
    out8(&s->r, w, 7, op);
    return ready(s, n);
}

static void issue48(struct storage_rig *s, uint8_t op, uint64_t lba, uint16_t count,
                    uint16_t feature)
{
    out8(&s->r, CMD0, 6, 0x40);
    out8(&s->r, CMD0, 1, feature >> 8);
    out8(&s->r, CMD0, 1, (uint8_t)feature);
    out8(&s->r, CMD0, 2, count >> 8);
    out8(&s->r, CMD0, 2, (uint8_t)count);
    for (unsigned i = 0; i < 3; i++) {
        out8(&s->r, CMD0, 3 + i, (uint8_t)(lba >> (24 + 8 * i)));
        out8(&s->r, CMD0, 3 + i, (uint8_t)(lba >> 8 * i));
    }
    out8(&s->r, CMD0, 7, op);
}

static uint8_t command48(struct storage_rig *s, uint8_t op, uint64_t lba, uint16_t count,
                         uint16_t feature)
{
    issue48(s, op, lba, count, feature);
    return ready(s, 0);
}

static void pio_in(struct storage_rig *s, unsigned n, uint8_t *buf, unsigned len)
{
    for (unsigned i = 0; i < len; i += 2)
        st_le16(buf + i, (uint16_t)rd(&s->r, CMD0 + 2 * n, 0, 2));
}

static void pio_out(struct storage_rig *s, unsigned n, const uint8_t *buf, unsigned len)
{
    for (unsigned i = 0; i < len; i += 2)
        wr(&s->r, CMD0 + 2 * n, 0, ld_le16(buf + i), 2);
}

static bool is_pattern(const uint8_t *buf, uint32_t b, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        if (buf[i] != sr_pattern(b, i))
            return false;
    return true;
}

static void fill(uint8_t *buf, uint32_t b)
{
    for (unsigned i = 0; i < 512; i++)
        buf[i] = sr_pattern(b, i);
}

TEST(presence)
{
    struct storage_rig s;
    plug_all(&s, true, true);
    CHECK_EQ(in8(&s.r, CMD0, 7), RDY | 0x10);
    CHECK_EQ(in8(&s.r, CMD0, 2), 1);
    CHECK_EQ(in8(&s.r, CMD0, 3), 1);
    CHECK_EQ(in8(&s.r, CMD0, 4) | in8(&s.r, CMD0, 5), 0);
    out8(&s.r, CMD0, 6, 0xb0); /* no slave: the master answers with zero */
    CHECK_EQ(in8(&s.r, CMD0, 7), 0);
    CHECK_EQ(in8(&s.r, CTL0, 0), 0);
    CHECK_EQ(in8(&s.r, CMD1, 7), 0);
    CHECK_EQ(in8(&s.r, CMD1, 4), 0x14);
    CHECK_EQ(in8(&s.r, CMD1, 5), 0xeb);
    sr_close(&s);
    plug_all(&s, false, false);
    CHECK_EQ(in8(&s.r, CMD0, 7), 0x7f); /* an empty channel floats, and is not busy */
    out8(&s.r, CMD0, 2, 0x55);
    out8(&s.r, CMD0, 7, 0xec);
    CHECK(in8(&s.r, CMD0, 2) != 0x55);
    CHECK(!s.r.level[0]);
    sr_close(&s);
}

TEST(identify)
{
    struct storage_rig s;
    uint8_t id[512], sum = 0;
    plug_all(&s, true, true);
    CHECK_EQ(command(&s, 0, 0xec, 0, 0, 0), RDY | 0x10 | DRQ);
    CHECK_EQ(s.r.rises[0], 1);
    CHECK(!s.r.level[0]); /* reading the status took it back */
    pio_in(&s, 0, id, 512);
    CHECK_EQ(in8(&s.r, CMD0, 7), RDY | 0x10);
    CHECK_EQ(s.r.rises[0], 1); /* no interrupt at the end of PIO in */
    for (unsigned i = 0; i < 512; i++)
        sum += id[i];
    CHECK_EQ(sum, 0);
    CHECK_EQ(ld_le32(id + 120), DISK_SECTORS);
    CHECK_EQ(ld_le64(id + 200), DISK_SECTORS);
    CHECK(!memcmp(id + 54, "EQUMH RADDSI K", 14)); /* bytes of a word are swapped */
    CHECK(!memcmp(id + 20, "MQ0000 1", 8));
    CHECK(!memcmp(id + 46, ".2+5", 4));
    /* a packet device refuses IDENTIFY DEVICE and shows its signature */
    CHECK_EQ(command(&s, 1, 0xec, 0, 0, 0) & ERR, ERR);
    CHECK_EQ(in8(&s.r, CMD1, 1), 4);
    CHECK_EQ(in8(&s.r, CMD1, 4) | in8(&s.r, CMD1, 5) << 8, 0xeb14);
    CHECK_EQ(command(&s, 1, 0xa1, 0, 0, 0) & DRQ, DRQ);
    pio_in(&s, 1, id, 512);
    CHECK_EQ(ld_le16(id), 0x85c0);
    CHECK(!memcmp(id + 54, "EQUMD DVR-MO", 12));
    sr_close(&s);
}

TEST(pio)
{
    struct storage_rig s;
    uint8_t buf[512 * 16];
    plug_all(&s, true, false);
    CHECK_EQ(command(&s, 0, 0x20, 5, 3, 0) & DRQ, DRQ);
    for (unsigned b = 5; b < 8; b++) {
        CHECK_EQ(ready(&s, 0) & DRQ, DRQ);
        pio_in(&s, 0, buf, 512);
        CHECK(is_pattern(buf, b, 512));
    }
    CHECK_EQ(ready(&s, 0), RDY | 0x10);
    CHECK_EQ(s.r.rises[0], 3);
    /* WRITE SECTORS: no interrupt before the first block, one after each */
    CHECK_EQ(command(&s, 0, 0x30, 100, 2, 0), RDY | 0x10 | DRQ);
    CHECK_EQ(s.r.rises[0], 3);
    for (unsigned b = 0; b < 2; b++) {
        fill(buf, 700 + b);
        pio_out(&s, 0, buf, 512);
        (void)ready(&s, 0);
    }
    CHECK_EQ(s.r.rises[0], 5);
    CHECK_EQ(in8(&s.r, CTL0, 0), RDY | 0x10);
    CHECK(pread(s.fd[0], buf, 1024, 100 * 512) == 1024);
    CHECK(is_pattern(buf, 700, 512) && is_pattern(buf + 512, 701, 512));
    /* READ MULTIPLE EXT in blocks of 16 */
    CHECK_EQ(command48(&s, 0x29, 200, 20, 0) & DRQ, DRQ);
    pio_in(&s, 0, buf, 16 * 512);
    for (unsigned b = 0; b < 16; b++)
        CHECK(is_pattern(buf + 512 * b, 200 + b, 512));
    CHECK_EQ(ready(&s, 0) & DRQ, DRQ);
    pio_in(&s, 0, buf, 4 * 512);
    CHECK(is_pattern(buf + 512 * 3, 219, 512));
    CHECK_EQ(ready(&s, 0), RDY | 0x10);
    /* CHS: cylinder 1, head 2, sector 3 of what IDENTIFY says */
    CHECK(!(command(&s, 0, 0x91, 0, 63, 0) & ERR)); /* head field 0: 1 head, 63 sectors */
    out8(&s.r, CMD0, 6, 0xa0);
    out8(&s.r, CMD0, 2, 1);
    out8(&s.r, CMD0, 3, 3);
    out8(&s.r, CMD0, 4, 2);
    out8(&s.r, CMD0, 5, 0);
    out8(&s.r, CMD0, 7, 0x20);
    CHECK_EQ(ready(&s, 0) & DRQ, DRQ);
    pio_in(&s, 0, buf, 512);
    CHECK(is_pattern(buf, 2 * 63 + 2, 512));
    sr_close(&s);
}

TEST(limits_and_errors)
{
    struct storage_rig s;
    plug_all(&s, true, false);
    CHECK_EQ(command(&s, 0, 0x20, DISK_SECTORS - 1, 2, 0) & (ERR | DRQ), ERR);
    CHECK_EQ(in8(&s.r, CMD0, 1), 0x10); /* IDNF */
    CHECK_EQ(command48(&s, 0x24, UINT64_C(0xffffffffffff), 1, 0) & ERR, ERR);
    CHECK_EQ(command48(&s, 0x25, DISK_SECTORS, 0, 0) & ERR, ERR);
    CHECK_EQ(command(&s, 0, 0x00, 0, 0, 0) & ERR, ERR); /* NOP */
    CHECK_EQ(in8(&s.r, CMD0, 1), 4);
    CHECK_EQ(command(&s, 0, 0xf1, 0, 0, 0) & ERR, ERR); /* SECURITY SET PASSWORD */
    CHECK_EQ(command(&s, 0, 0x45, 0, 1, 0) & ERR, ERR); /* WRITE UNCORRECTABLE */
    CHECK_EQ(command48(&s, 0x60, 0, 0, 8) & ERR, ERR);  /* no queuing on this cable */
    CHECK(!(command(&s, 0, 0x40, 0, 0, 0) & ERR));      /* READ VERIFY, 256 sectors */
    CHECK(!(command(&s, 0, 0x70, 10, 0, 0) & ERR));     /* SEEK */
    CHECK(!(command(&s, 0, 0x10, 10, 0, 0) & ERR));     /* RECALIBRATE */
    CHECK(!(command(&s, 0, 0xe7, 0, 0, 0) & ERR));
    CHECK(!(command48(&s, 0xea, 0, 0, 0) & ERR));
    CHECK(!(command(&s, 0, 0xe0, 0, 0, 0) & ERR)); /* STANDBY IMMEDIATE */
    CHECK(!(command(&s, 0, 0xe5, 0, 0, 0) & ERR));
    CHECK_EQ(in8(&s.r, CMD0, 2), 0x00);
    CHECK(!(command(&s, 0, 0xef, 0, 0x45, 3) & ERR)); /* UDMA 5 */
    CHECK(command(&s, 0, 0xef, 0, 0x47, 3) & ERR);
    CHECK(command(&s, 0, 0xef, 0, 0, 0x77) & ERR);
    /* READ NATIVE MAX, then SET MAX */
    CHECK(command(&s, 0, 0xf9, 99, 0, 0) & ERR); /* not straight after the other */
    CHECK(!(command(&s, 0, 0xf8, 0, 0, 0) & ERR));
    CHECK_EQ(in8(&s.r, CMD0, 3) | in8(&s.r, CMD0, 4) << 8, DISK_SECTORS - 1);
    CHECK(!(command(&s, 0, 0xf9, 99, 0, 0) & ERR));
    CHECK(command(&s, 0, 0x40, 100, 1, 0) & ERR);
    CHECK(!(command(&s, 0, 0x40, 99, 1, 0) & ERR));
    sr_close(&s);
}

TEST(smart)
{
    struct storage_rig s;
    uint8_t buf[512], sum = 0;
    plug_all(&s, true, false);
    CHECK_EQ(command(&s, 0, 0xb0, 0xc24f00, 1, 0xd0) & DRQ, DRQ);
    pio_in(&s, 0, buf, 512);
    for (unsigned i = 0; i < 512; i++)
        sum += buf[i];
    CHECK_EQ(sum, 0);
    CHECK_EQ(buf[2], 1); /* the first attribute */
    CHECK(!(command(&s, 0, 0xb0, 0xc24f00, 0, 0xda) & ERR));
    CHECK_EQ(in8(&s.r, CMD0, 4) | in8(&s.r, CMD0, 5) << 8, 0xc24f);
    CHECK(command(&s, 0, 0xb0, 0x123400, 0, 0xda) & ERR);
    CHECK(!(command(&s, 0, 0xb0, 0xc24f01, 0, 0xd4) & ERR));
    CHECK_EQ(command(&s, 0, 0xb0, 0xc24f06, 1, 0xd5) & DRQ, DRQ);
    pio_in(&s, 0, buf, 512);
    CHECK_EQ(buf[2], 1); /* a short self-test, completed */
    CHECK(!(command(&s, 0, 0xb0, 0xc24f00, 0, 0xd9) & ERR));
    CHECK(command(&s, 0, 0xb0, 0xc24f00, 1, 0xd0) & ERR); /* off */
    sr_close(&s);
}

static void prd(struct storage_rig *s, unsigned n, uint32_t addr, uint16_t len, bool last)
{
    st_le32(s->ram + PRDS + 8 * n, addr);
    st_le16(s->ram + PRDS + 8 * n + 4, len);
    st_le16(s->ram + PRDS + 8 * n + 6, last ? 0x8000 : 0);
}

static void bm_start(struct storage_rig *s, unsigned n, bool to_memory)
{
    for (unsigned i = 0; i < 4; i++)
        out8(&s->r, BM, 8 * n + 4 + i, (uint8_t)(PRDS >> 8 * i));
    out8(&s->r, BM, 8 * n + 2, 6);
    out8(&s->r, BM, 8 * n, (to_memory ? 8 : 0));
    out8(&s->r, BM, 8 * n, (to_memory ? 8 : 0) | 1);
}

TEST(dma)
{
    struct storage_rig s;
    plug_all(&s, true, false);
    prd(&s, 0, DATA, 512 + 100, false);
    prd(&s, 1, DATA + 0x1000, 2 * 512 - 100, true);
    issue48(&s, 0x25, 50, 3, 0);
    CHECK(!s.r.level[0]);
    bm_start(&s, 0, true);
    (void)ready(&s, 0);
    CHECK_EQ(in8(&s.r, BM, 2), 4); /* interrupt, no longer active */
    CHECK_EQ(s.r.rises[0], 1);
    CHECK(is_pattern(s.ram + DATA, 50, 512));
    CHECK(!memcmp(s.ram + DATA + 0x1000 + 412, s.ram + DATA + 0x1000 + 412, 512));
    CHECK(is_pattern(s.ram + DATA + 0x1000 + 412, 52, 512));
    out8(&s.r, BM, 0, 0);
    /* write, bus master started first; the table is longer than the transfer: it stays active */
    fill(s.ram + DATA, 900);
    prd(&s, 0, DATA, 512, false);
    prd(&s, 1, DATA + 512, 512, true);
    bm_start(&s, 0, false);
    command48(&s, 0x35, 60, 1, 0);
    CHECK_EQ(in8(&s.r, BM, 2), 5);
    uint8_t buf[512];
    CHECK(pread(s.fd[0], buf, 512, 60 * 512) == 512);
    CHECK(is_pattern(buf, 900, 512));
    out8(&s.r, BM, 0, 0);
    CHECK_EQ(in8(&s.r, BM, 2), 4);
    sr_close(&s);
}

/* The longest commands and tables that drivers make: 64 KiB a descriptor, a table full of them. */
TEST(long_dma)
{
    struct storage_rig s;
    plug_all(&s, true, false);
    for (unsigned i = 0; i < 8; i++)
        prd(&s, i, DATA + i * 0x10000, 0, i == 7);
    issue48(&s, 0x25, 1000, 1024, 0);
    bm_start(&s, 0, true);
    CHECK_EQ(ready(&s, 0) & (ERR | DRQ), 0);
    CHECK_EQ(in8(&s.r, BM, 2), 4);
    for (unsigned b = 0; b < 1024; b++)
        CHECK(is_pattern(s.ram + DATA + b * 512, 1000 + b, 512));
    sr_close(&s);
}

static void srst(struct storage_rig *s)
{
    out8(&s->r, BM, 0, 0);
    out8(&s->r, CTL0, 0, 4);
    CHECK_EQ(in8(&s->r, CTL0, 0), BSY);
    out8(&s->r, CTL0, 0, 0);
    CHECK_EQ(in8(&s->r, CMD0, 7), RDY | 0x10);
    CHECK_EQ(in8(&s->r, CMD0, 1), 1);
}

TEST(malformed_prds)
{
    struct storage_rig s;
    plug_all(&s, true, false);
    /* the table ends first */
    prd(&s, 0, DATA, 512, true);
    issue48(&s, 0x25, 0, 8, 0);
    bm_start(&s, 0, true);
    sr_settle(&s);
    CHECK(!(in8(&s.r, BM, 2) & 4));
    CHECK_EQ(in8(&s.r, CTL0, 0) & DRQ, DRQ);
    srst(&s);
    /* data not in RAM */
    prd(&s, 0, 0xfee00000, 4096, true);
    issue48(&s, 0x25, 0, 8, 0);
    bm_start(&s, 0, true);
    sr_settle(&s);
    CHECK_EQ(in8(&s.r, BM, 2) & 7, 2);
    srst(&s);
    /* the table not in RAM */
    issue48(&s, 0x35, 0, 8, 0);
    for (unsigned i = 0; i < 4; i++)
        out8(&s.r, BM, 4 + i, 0xf0);
    out8(&s.r, BM, 0, 1);
    sr_settle(&s);
    CHECK_EQ(in8(&s.r, BM, 2) & 2, 2);
    srst(&s);
    /* the wrong direction; then no bus master right */
    prd(&s, 0, DATA, 4096, true);
    issue48(&s, 0x35, 0, 8, 0);
    bm_start(&s, 0, true);
    sr_settle(&s);
    srst(&s);
    CHECK(sr_disk_is(&s, 0, 0, 512));
    ((struct pci_dev *)s.r.dev)->config[PCI_COMMAND] &= ~PCI_COMMAND_MASTER;
    issue48(&s, 0x25, 0, 8, 0);
    bm_start(&s, 0, true);
    sr_settle(&s);
    CHECK_EQ(in8(&s.r, BM, 2) & 2, 2);
    srst(&s);
    /* and it works afterwards */
    ((struct pci_dev *)s.r.dev)->config[PCI_COMMAND] |= PCI_COMMAND_MASTER;
    issue48(&s, 0x25, 7, 8, 0);
    bm_start(&s, 0, true);
    (void)ready(&s, 0);
    CHECK(is_pattern(s.ram + DATA, 7, 512));
    sr_close(&s);
}

TEST(interrupt_gate)
{
    struct storage_rig s;
    plug_all(&s, true, false);
    out8(&s.r, CTL0, 0, 2); /* nIEN */
    out8(&s.r, CMD0, 6, 0xe0);
    out8(&s.r, CMD0, 7, 0xe7);
    struct channel c = { &s, 0 };
    CHECK(sr_wait(&s, not_busy, &c)); /* looks at the alternate status */
    CHECK(!s.r.level[0]);
    out8(&s.r, CTL0, 0, 0);
    CHECK(s.r.level[0]);
    (void)in8(&s.r, CMD0, 7);
    CHECK(!s.r.level[0]);
    sr_close(&s);
}

TEST(trim)
{
    struct storage_rig s;
    uint8_t buf[512];
    plug_all(&s, true, false);
    memset(s.ram + DATA, 0, 512);
    st_le64(s.ram + DATA, UINT64_C(64) << 48 | 128);
    prd(&s, 0, DATA, 512, true);
    bm_start(&s, 0, false);
    CHECK(!(command48(&s, 0x06, 0, 1, 1) & ERR));
    CHECK(sr_disk_is(&s, 0, 127, 512) && sr_disk_is(&s, 0, 192, 512));
    CHECK(pread(s.fd[0], buf, 512, 128 * 512) == 512);
    out8(&s.r, BM, 0, 0);
    st_le64(s.ram + DATA, UINT64_C(64) << 48 | DISK_SECTORS);
    bm_start(&s, 0, false);
    CHECK(command48(&s, 0x06, 0, 1, 1) & ERR);
    sr_close(&s);
}

/* --- the CD drive --- */

/* Sends a command block; PIO data in blocks of at most limit bytes. Returns the bytes that came. */
static unsigned packet(struct storage_rig *s, const uint8_t *cdb, uint8_t *buf, unsigned limit)
{
    unsigned got = 0;
    out8(&s->r, CMD1, 6, 0xa0);
    out8(&s->r, CMD1, 1, 0);
    out8(&s->r, CMD1, 4, (uint8_t)limit);
    out8(&s->r, CMD1, 5, (uint8_t)(limit >> 8));
    out8(&s->r, CMD1, 7, 0xa0);
    CHECK_EQ(ready(s, 1) & DRQ, DRQ);
    CHECK_EQ(in8(&s->r, CMD1, 2) & 3, 1);
    pio_out(s, 1, cdb, 12);
    while (ready(s, 1) & DRQ) {
        unsigned n = in8(&s->r, CMD1, 4) | in8(&s->r, CMD1, 5) << 8;
        CHECK_EQ(in8(&s->r, CMD1, 2) & 3, 2);
        CHECK(n && n <= limit);
        pio_in(s, 1, buf + got, n);
        got += n;
    }
    CHECK_EQ(in8(&s->r, CMD1, 2) & 3, 3);
    return got;
}

static unsigned sense_of(struct storage_rig *s)
{
    uint8_t buf[64];
    CHECK_EQ(packet(s, (const uint8_t[12]){ 3, 0, 0, 0, 18 }, buf, 64), 18);
    return buf[2] << 16 | buf[12] << 8 | buf[13];
}

static const uint8_t test_ready[12] = { 0 };

static unsigned try_ready(struct storage_rig *s)
{
    uint8_t buf[4];
    (void)packet(s, test_ready, buf, 4);
    return in8(&s->r, CMD1, 7) & ERR ? sense_of(s) : 0;
}

TEST(cd_read)
{
    struct storage_rig s;
    static uint8_t buf[8 * 2352];
    plug_all(&s, false, true);
    CHECK_EQ(try_ready(&s), 0x062900); /* reset is reported once */
    CHECK_EQ(try_ready(&s), 0);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x25 }, buf, 8), 8);
    CHECK_EQ(ld_be32(buf), CD_BLOCKS - 1);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x28, 0, 0, 0, 0, 9, 0, 0, 3 }, buf, 2048), 3 * 2048);
    CHECK(is_pattern(buf, 9, 2048) && is_pattern(buf + 4096, 11, 2048));
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0xa8, 0, 0, 0, 0, 9, 0, 0, 0, 2 }, buf, 1000), 4096);
    CHECK(is_pattern(buf + 2048, 10, 2048));
    /* raw */
    const uint8_t raw[12] = { 0xbe, 0, 0, 0, 0, 20, 0, 0, 2, 0xf8 };
    CHECK_EQ(packet(&s, raw, buf, 65534), 2 * 2352);
    CHECK_EQ(buf[12], 0x00);
    CHECK_EQ(buf[13], 0x02);
    CHECK_EQ(buf[14], 0x20); /* 170 frames: 2 s, 20 frames */
    CHECK(is_pattern(buf + 16, 20, 2048) && is_pattern(buf + 2352 + 16, 21, 2048));
    /* beyond the end; an unknown command */
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x28, 0, 0, 0, 1, 0x2c, 0, 0, 1 }, buf, 2048), 0);
    CHECK_EQ(sense_of(&s), 0x052100);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0xf7 }, buf, 2048), 0);
    CHECK_EQ(sense_of(&s), 0x052000);
    /* table of contents */
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x43, 0, 0, 0, 0, 0, 0, 0, 20 }, buf, 2048), 20);
    CHECK_EQ(ld_be16(buf), 18);
    CHECK_EQ(buf[14], 0xaa);
    CHECK_EQ(ld_be32(buf + 16), CD_BLOCKS);
    sr_close(&s);
}

TEST(cd_dma)
{
    struct storage_rig s;
    plug_all(&s, false, true);
    CHECK_EQ(try_ready(&s), 0x062900);
    prd(&s, 0, DATA, 3000, false);
    prd(&s, 1, DATA + 3000, 2 * 2048 - 3000, true);
    out8(&s.r, CMD1, 1, 1);
    out8(&s.r, CMD1, 7, 0xa0);
    pio_out(&s, 1, (const uint8_t[12]){ 0x28, 0, 0, 0, 0, 30, 0, 0, 2 }, 12);
    bm_start(&s, 1, true);
    CHECK_EQ(ready(&s, 1) & (ERR | DRQ), 0);
    CHECK_EQ(in8(&s.r, BM, 8 + 2), 4);
    CHECK_EQ(in8(&s.r, CMD1, 2) & 3, 3);
    CHECK(is_pattern(s.ram + DATA, 30, 2048) && is_pattern(s.ram + DATA + 2048, 31, 2048));
    sr_close(&s);
}

TEST(cd_medium_change)
{
    struct storage_rig s;
    uint8_t buf[64];
    plug_all(&s, false, true);
    CHECK_EQ(try_ready(&s), 0x062900);
    CHECK_EQ(try_ready(&s), 0);
    struct disk *medium = s.drive[1].disk;
    s.drive[1].disk = NULL;
    s.drive[1].user->medium_changed(s.drive[1].user->opaque, &s.drive[1]);
    CHECK_EQ(try_ready(&s), 0x023a02);
    CHECK_EQ(try_ready(&s), 0x023a02);
    s.drive[1].disk = medium;
    s.drive[1].user->medium_changed(s.drive[1].user->opaque, &s.drive[1]);
    CHECK_EQ(try_ready(&s), 0x023a00); /* not ready first, */
    CHECK_EQ(try_ready(&s), 0x062800); /* then the attention, */
    CHECK_EQ(try_ready(&s), 0);        /* then the new medium */
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8 }, buf, 64), 8);
    CHECK_EQ(buf[4], 2); /* new medium, told once */
    CHECK_EQ(buf[5], 2);
    /* locked: neither the host nor the guest opens the tray */
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x1e, 0, 0, 0, 1 }, buf, 64), 0);
    CHECK(!s.drive[1].user->may_eject(s.drive[1].user->opaque));
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8 }, buf, 64), 8);
    CHECK_EQ(buf[4], 1); /* the guest is asked */
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x1b, 0, 0, 0, 2 }, buf, 64), 0);
    CHECK_EQ(sense_of(&s), 0x055302);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x1e }, buf, 64), 0);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x1b, 0, 0, 0, 2 }, buf, 64), 0);
    CHECK_EQ(try_ready(&s), 0x023a02);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x1b, 0, 0, 0, 3 }, buf, 64), 0);
    CHECK_EQ(try_ready(&s), 0x062800);
    CHECK_EQ(try_ready(&s), 0);
    sr_close(&s);
}

TEST(cd_answers)
{
    struct storage_rig s;
    uint8_t buf[4096];
    plug_all(&s, false, true);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x12, 0, 0, 0, 36 }, buf, 64), 36);
    CHECK_EQ(buf[0], 5);
    CHECK(!memcmp(buf + 8, "QEMU    QEMU DVD-ROM    2.5+", 28));
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x46, 0, 0, 0, 0, 0, 0, 0, 200 }, buf, 512),
             ld_be32(buf) + 4);
    CHECK_EQ(ld_be16(buf + 6), 8);     /* CD-ROM */
    CHECK_EQ(try_ready(&s), 0x062900); /* those two left the attention waiting */
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128 }, buf, 512), 30);
    CHECK_EQ(buf[8], 0x2a);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 255 }, buf, 512),
             8u + 8 + 8 + 16 + 22);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x5a, 0, 0x05, 0, 0, 0, 0, 0, 128 }, buf, 512), 0);
    CHECK_EQ(sense_of(&s), 0x052400);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x51, 0, 0, 0, 0, 0, 0, 0, 34 }, buf, 512), 34);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0x43, 2, 2, 0, 0, 0, 0, 1, 0 }, buf, 512), 48);
    CHECK_EQ(packet(&s, (const uint8_t[12]){ 0xad, 0, 0, 0, 0, 0, 0, 0, 8 }, buf, 512), 0);
    CHECK_EQ(sense_of(&s), 0x053002); /* no DVD */
    /* DEVICE RESET ends a packet command in the middle */
    out8(&s.r, CMD1, 7, 0xa0);
    CHECK_EQ(ready(&s, 1) & DRQ, DRQ);
    out8(&s.r, CMD1, 7, 0x08);
    CHECK_EQ(in8(&s.r, CTL1, 0), 0);
    CHECK_EQ(in8(&s.r, CMD1, 5), 0xeb);
    CHECK_EQ(try_ready(&s), 0);
    sr_close(&s);
}

TEST(random_registers)
{
    uint64_t x = 88172645463325252;
    for (unsigned round = 0; round < 20; round++) {
        struct storage_rig s;
        plug_all(&s, true, true);
        for (unsigned i = 0; i < SR_RAM / 8; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            if (i < 1024 || !(x & 7))
                st_le64(s.ram + 8 * (i % 0x4000), x);
        }
        for (unsigned i = 0; i < 3000; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            unsigned w = x % 5, off = (x >> 8) % s.r.dev->type->windows[w].size;
            unsigned size = w == CMD0 || w == CMD1 ? 1u << (x >> 16) % 3 : 1;
            if (off && size > 1)
                size = 1;
            uint64_t val = (x >> 24) & (x >> 32 & 1 ? 0xffff : 0x0f);
            if (x >> 40 & 3)
                wr(&s.r, w, off, val, size);
            else
                (void)rd(&s.r, w, off, size);
            if (i % 64 == 0)
                sr_settle(&s);
        }
        device_reset(s.r.dev);
        CHECK_EQ(in8(&s.r, CTL0, 0), RDY | 0x10);
        sr_close(&s);
    }
}
