/* SPDX-License-Identifier: GPL-2.0-or-later */
/* AHCI with a disk and a CD drive, driven by registers and command lists. */
#include "dev/storage/ahci.h"
#include "dev/storage/ide_drive.h"
#include "storage_rig.h"

enum {
    LIST = 0x1000,
    FIS = 0x2000,
    TABLES = 0x4000, /* 0x400 a slot */
    DATA = 0x20000,
    DISK_SECTORS = 8192,
    CD_BLOCKS = 100
};
enum { CLB = 0, FB = 8, IS = 0x10, IE = 0x14, CMD = 0x18, TFD = 0x20, SIG = 0x24, SSTS = 0x28 };
enum { SCTL = 0x2c, SERR = 0x30, SACT = 0x34, CI = 0x38 };

struct ah {
    struct storage_rig s;
    gpa_t bar;
};

static uint32_t reg(struct ah *a, unsigned off)
{
    gpa_t at = a->bar + off;
    return (uint32_t)mem_io_read(a->s.r.mem, mem_find(a->s.r.mem, at), at, 4);
}

static void set(struct ah *a, unsigned off, uint32_t val)
{
    gpa_t at = a->bar + off;
    mem_io_write(a->s.r.mem, mem_find(a->s.r.mem, at), at, val, 4);
}

static unsigned port(unsigned n, unsigned off)
{
    return 0x100 + 0x80 * n + off;
}

static void start_port(struct ah *a, unsigned n)
{
    set(a, port(n, CLB), LIST + 0x400 * n);
    set(a, port(n, FB), FIS + 0x100 * n);
    set(a, port(n, IE), 0xffffffff);
    set(a, port(n, CMD), 0x10);
    set(a, port(n, CMD), 0x11);
    set(a, port(n, SERR), 0xffffffff);
    set(a, port(n, IS), 0xffffffff);
}

static void ah_open(struct ah *a)
{
    memset(a, 0, sizeof *a);
    sr_open(&a->s);
    rig_start(&a->s.r, device_new(&ich9_ahci_type, "ahci0", &a->s.r.ctx));
    struct pci_dev *p = (struct pci_dev *)a->s.r.dev;
    p->config[PCI_COMMAND] |= PCI_COMMAND_MASTER;
    a->bar = 0x10000000;
    mem_map(a->s.r.mem, a->bar, p->bars[5].region, 0);
    sr_plug(&a->s, &ide_hd_type, sr_bus(a->s.r.dev, 0), sr_drive(&a->s, 0, DISK_SECTORS * 512),
            NULL, NULL);
    sr_fill_disk(&a->s, 0, DISK_SECTORS, 512);
    sr_plug(&a->s, &ide_cd_type, sr_bus(a->s.r.dev, 1), sr_drive(&a->s, 1, CD_BLOCKS * 2048), NULL,
            NULL);
    sr_fill_disk(&a->s, 1, CD_BLOCKS, 2048);
    set(a, 4, 2);
    for (unsigned i = 0; i < 2; i++)
        start_port(a, i);
}

static uint8_t *table(struct ah *a, unsigned slot)
{
    return a->s.ram + TABLES + 0x400 * slot;
}

/* A command in a slot with one PRD of len bytes. */
static uint8_t *prepare(struct ah *a, unsigned n, unsigned slot, uint8_t op, uint64_t lba,
                        unsigned count, gpa_t data, uint32_t len)
{
    uint8_t *h = a->s.ram + LIST + 0x400 * n + 32 * slot, *t = table(a, slot);
    memset(h, 0, 32);
    memset(t, 0, 0x400);
    st_le32(h, 5 | (uint32_t)(len != 0) << 16);
    st_le32(h + 8, TABLES + 0x400 * slot);
    t[0] = 0x27;
    t[1] = 0x80;
    t[2] = op;
    for (unsigned i = 0; i < 3; i++) {
        t[4 + i] = (uint8_t)(lba >> 8 * i);
        t[8 + i] = (uint8_t)(lba >> (24 + 8 * i));
    }
    t[7] = 0x40;
    t[12] = (uint8_t)count;
    t[13] = (uint8_t)(count >> 8);
    st_le64(t + 0x80, data);
    st_le32(t + 0x8c, len ? len - 1 : 0);
    return t;
}

struct wait {
    struct ah *a;
    unsigned n;
    uint32_t bits;
};

static bool interrupted(void *opaque)
{
    struct wait *w = opaque;
    return reg(w->a, port(w->n, IS)) & w->bits;
}

/* Waits for one of these bits; returns and clears the port's interrupts. */
static uint32_t interrupt(struct ah *a, unsigned n, uint32_t bits)
{
    struct wait w = { a, n, bits };
    CHECK(sr_wait(&a->s, interrupted, &w));
    uint32_t is = reg(a, port(n, IS));
    CHECK_EQ(reg(a, 8) & BIT(n), BIT(n));
    CHECK(((struct pci_dev *)a->s.r.dev)->intx);
    set(a, port(n, IS), is);
    set(a, 8, BIT(n));
    return is;
}

static bool is_sector(struct ah *a, gpa_t at, uint32_t b, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        if (a->s.ram[at + i] != sr_pattern(b, i))
            return false;
    return true;
}

TEST(links)
{
    struct ah a;
    ah_open(&a);
    CHECK_EQ(reg(&a, 0) & 0x1f, 5);
    CHECK_EQ(reg(&a, 0x0c), 0x3f);
    CHECK_EQ(reg(&a, port(0, SSTS)), 0x113);
    CHECK_EQ(reg(&a, port(0, SIG)), 0x101);
    CHECK_EQ(reg(&a, port(1, SIG)), 0xeb140101);
    CHECK_EQ(reg(&a, port(0, TFD)), 0x150);
    CHECK_EQ(reg(&a, port(2, SSTS)), 0);
    CHECK_EQ(reg(&a, port(2, TFD)), 0x7f);
    CHECK_EQ(a.s.ram[FIS + 0x40], 0x34); /* the signature came as a FIS */
    set(&a, port(0, SCTL), 0x301);       /* COMRESET */
    CHECK_EQ(reg(&a, port(0, SSTS)), 0);
    set(&a, port(0, SCTL), 0x300);
    CHECK_EQ(reg(&a, port(0, SSTS)), 0x113);
    CHECK_EQ(reg(&a, port(0, IS)) & 0x40, 0x40);
    set(&a, port(0, SERR), 0xffffffff);
    CHECK_EQ(reg(&a, port(0, IS)) & 0x40, 0);
    set(&a, 4, 1); /* adapter reset */
    CHECK_EQ(reg(&a, 4), 0x80000000);
    CHECK_EQ(reg(&a, port(0, CMD)) & 0xc011, 0);
    CHECK_EQ(reg(&a, port(0, SSTS)), 0x113);
    sr_close(&a.s);
}

TEST(commands)
{
    struct ah a;
    ah_open(&a);
    /* IDENTIFY: PIO */
    prepare(&a, 0, 3, 0xec, 0, 0, DATA, 512);
    set(&a, port(0, CI), BIT(3));
    CHECK_EQ(interrupt(&a, 0, 2), 2); /* PIO setup */
    CHECK_EQ(reg(&a, port(0, CI)), 0);
    CHECK_EQ(a.s.ram[FIS + 0x20], 0x5f);
    CHECK_EQ(a.s.ram[FIS + 0x20 + 15], 0x50);
    CHECK_EQ(ld_le32(a.s.ram + LIST + 32 * 3 + 4), 512);
    CHECK_EQ(ld_le64(a.s.ram + DATA + 200), DISK_SECTORS);
    CHECK_EQ(ld_le16(a.s.ram + DATA + 152) & 0x100, 0x100); /* NCQ */
    /* READ DMA EXT over two PRDs */
    uint8_t *t = prepare(&a, 0, 0, 0x25, 77, 8, DATA, 1000);
    st_le32(a.s.ram + LIST, 5 | 2 << 16);
    st_le64(t + 0x90, DATA + 0x8000);
    st_le32(t + 0x9c, 4096 - 1000 - 1);
    set(&a, port(0, CI), 1);
    CHECK_EQ(interrupt(&a, 0, 1), 1);
    CHECK(is_sector(&a, DATA, 77, 512));
    CHECK(is_sector(&a, DATA + 0x8000 + 536 + 512 * 4, 84, 512));
    CHECK_EQ(ld_le32(a.s.ram + LIST + 4), 4096);
    CHECK_EQ(a.s.ram[FIS + 0x40], 0x34);
    /* PIO write, several blocks in one go */
    for (unsigned i = 0; i < 2048; i++)
        a.s.ram[DATA + i] = sr_pattern(500 + i / 512, i % 512);
    prepare(&a, 0, 0, 0x34, 1000, 4, DATA, 2048);
    set(&a, port(0, CI), 1);
    (void)interrupt(&a, 0, 1);
    uint8_t buf[512];
    CHECK(pread(a.s.fd[0], buf, 512, 1003 * 512) == 512);
    CHECK(!memcmp(buf, a.s.ram + DATA + 1536, 512));
    /* FUA write, flush */
    prepare(&a, 0, 5, 0x3d, 1010, 1, DATA, 512);
    prepare(&a, 0, 6, 0xea, 0, 0, 0, 0);
    set(&a, port(0, CI), BIT(5) | BIT(6));
    struct wait w = { &a, 0, 1 };
    for (unsigned i = 0; i < 100 && reg(&a, port(0, CI)); i++)
        sr_settle(&a.s);
    CHECK(interrupted(&w));
    CHECK_EQ(reg(&a, port(0, CI)), 0);
    CHECK_EQ(reg(&a, port(0, TFD)), 0x50);
    sr_close(&a.s);
}

TEST(queued)
{
    struct ah a;
    ah_open(&a);
    for (unsigned i = 0; i < 32; i++) {
        uint8_t *t = prepare(&a, 0, i, 0x60, 100 + 8 * i, i << 3, DATA + 0x1000 * i, 4096);
        t[3] = 8;
    }
    set(&a, port(0, SACT), 0xffffffff);
    set(&a, port(0, CI), 0xffffffff);
    for (unsigned i = 0; i < 100 && reg(&a, port(0, SACT)); i++)
        sr_settle(&a.s);
    CHECK_EQ(reg(&a, port(0, SACT)), 0);
    CHECK_EQ(reg(&a, port(0, CI)), 0);
    CHECK_EQ(interrupt(&a, 0, 8) & 8, 8); /* set device bits */
    CHECK_EQ(a.s.ram[FIS + 0x58], 0xa1);
    for (unsigned i = 0; i < 256; i++)
        CHECK(is_sector(&a, DATA + 512 * i, 100 + i, 512));
    /* one beyond the end: the queue stops, the log names its tag */
    uint8_t *t = prepare(&a, 0, 4, 0x61, DISK_SECTORS, 4 << 3, DATA, 512);
    t[3] = 1;
    set(&a, port(0, SACT), BIT(4));
    set(&a, port(0, CI), BIT(4));
    CHECK_EQ(interrupt(&a, 0, BIT(30)) & BIT(30), BIT(30));
    CHECK_EQ(reg(&a, port(0, TFD)) & 0xff01, 0x1001);
    prepare(&a, 0, 7, 0xec, 0, 0, DATA, 512);
    set(&a, port(0, CI), BIT(7));
    sr_settle(&a.s);
    CHECK_EQ(reg(&a, port(0, CI)) & BIT(7), BIT(7)); /* stands until the engine is restarted */
    set(&a, port(0, CMD), 0x10);
    CHECK_EQ(reg(&a, port(0, CI)) | reg(&a, port(0, SACT)), 0);
    set(&a, port(0, CMD), 0x11);
    /* a queued command whose memory is not there: found in the log */
    t = prepare(&a, 0, 9, 0x60, 5, 9 << 3, 0xfee00000, 512);
    t[3] = 1;
    set(&a, port(0, SACT), BIT(9));
    set(&a, port(0, CI), BIT(9));
    CHECK_EQ(interrupt(&a, 0, BIT(29)) & BIT(29), BIT(29));
    set(&a, port(0, CMD), 0x10);
    set(&a, port(0, CMD), 0x11);
    prepare(&a, 0, 0, 0x2f, 0x10, 1, DATA, 512);
    set(&a, port(0, CI), 1);
    (void)interrupt(&a, 0, 2);
    CHECK_EQ(a.s.ram[DATA], 9);
    CHECK_EQ(a.s.ram[DATA + 4], 5);
    sr_close(&a.s);
}

TEST(packets)
{
    struct ah a;
    ah_open(&a);
    for (unsigned dma = 0; dma < 2; dma++) {
        uint8_t *t = prepare(&a, 1, 0, 0xa0, 0, 0, DATA, 4096);
        st_le32(a.s.ram + LIST + 0x400, 5 | BIT(5) | 1 << 16);
        set(&a, port(1, CI), 1); /* TEST UNIT READY: the reset is told */
        if (!dma) {
            CHECK_EQ(interrupt(&a, 1, BIT(30)) & BIT(30), BIT(30));
            CHECK_EQ(reg(&a, port(1, TFD)), 0x6051);
            set(&a, port(1, CMD), 0x10);
            set(&a, port(1, CMD), 0x11);
        } else {
            (void)interrupt(&a, 1, 1);
        }
        t = prepare(&a, 1, 0, 0xa0, 0, 0, DATA, 4096);
        st_le32(a.s.ram + LIST + 0x400, 5 | BIT(5) | 1 << 16);
        t[3] = (uint8_t)dma;
        t[6] = 8; /* byte count limit 2048 */
        memcpy(t + 0x40, (const uint8_t[]){ 0x28, 0, 0, 0, 0, 12, 0, 0, 2 }, 9);
        memset(a.s.ram + DATA, 0, 4096);
        set(&a, port(1, CI), 1);
        (void)interrupt(&a, 1, 1);
        CHECK(is_sector(&a, DATA, 12, 2048) && is_sector(&a, DATA + 2048, 13, 2048));
        CHECK_EQ(ld_le32(a.s.ram + LIST + 0x404), 4096);
    }
    sr_close(&a.s);
}

static void restart(struct ah *a)
{
    set(a, port(0, CMD), 0x10);
    set(a, port(0, SCTL), 0x301);
    set(a, port(0, SCTL), 0x300);
    set(a, port(0, SERR), 0xffffffff);
    set(a, port(0, IS), 0xffffffff);
    set(a, port(0, CMD), 0x11);
}

TEST(malformed)
{
    struct ah a;
    ah_open(&a);
    prepare(&a, 0, 0, 0x25, 0, 8, DATA, 512); /* memory for one sector of eight */
    set(&a, port(0, CI), 1);
    CHECK_EQ(interrupt(&a, 0, BIT(30)) & (BIT(30) | BIT(24)), BIT(30) | BIT(24));
    restart(&a);
    prepare(&a, 0, 0, 0x35, 0, 1, 0xfee00000, 512); /* not RAM */
    set(&a, port(0, CI), 1);
    CHECK_EQ(interrupt(&a, 0, BIT(29)) & BIT(29), BIT(29));
    restart(&a);
    st_le32(a.s.ram + LIST + 8, 0xfee00000); /* no command table */
    set(&a, port(0, CI), 1);
    CHECK_EQ(interrupt(&a, 0, BIT(29)) & BIT(29), BIT(29));
    restart(&a);
    uint8_t *t = prepare(&a, 0, 0, 0x25, 0, 1, DATA, 512);
    t[0] = 0x99; /* no such FIS */
    set(&a, port(0, CI), 1);
    CHECK_EQ(interrupt(&a, 0, BIT(27)) & BIT(27), BIT(27));
    restart(&a);
    t = prepare(&a, 0, 0, 0x25, 0, 1, DATA, 512);
    st_le32(a.s.ram + LIST, 0xffff0000 | 5); /* a table of 65535 PRDs of which one is used */
    set(&a, port(0, CI), 1);
    CHECK_EQ(interrupt(&a, 0, 1) & (BIT(29) | BIT(30)), 0);
    t = prepare(&a, 0, 1, 0x60, 0, 5 << 3, DATA, 512); /* tag and slot differ */
    t[3] = 1;
    set(&a, port(0, CI), BIT(1));
    CHECK_EQ(interrupt(&a, 0, BIT(30)) & BIT(30), BIT(30));
    restart(&a);
    set(&a, port(0, CLB), 0xfee00000);
    set(&a, port(0, FB), 0xfee00000);
    set(&a, port(0, CI), 1);
    CHECK_EQ(interrupt(&a, 0, BIT(29)) & BIT(29), BIT(29));
    CHECK(sr_disk_is(&a.s, 0, 0, 512));
    /* software reset by two control FISes */
    set(&a, port(0, CLB), LIST);
    set(&a, port(0, FB), FIS);
    restart(&a);
    t = prepare(&a, 0, 0, 0, 0, 0, 0, 0);
    t[1] = 0;
    t[15] = 4;
    set(&a, port(0, CI), 1);
    CHECK_EQ(reg(&a, port(0, CI)), 0);
    t[15] = 0;
    set(&a, port(0, CI), 1);
    CHECK_EQ(reg(&a, port(0, CI)), 0);
    CHECK_EQ(reg(&a, port(0, SIG)), 0x101);
    sr_close(&a.s);
}

TEST(random_registers)
{
    uint64_t x = 88172645463325252;
    for (unsigned round = 0; round < 20; round++) {
        struct ah a;
        ah_open(&a);
        for (unsigned i = 0; i < 2000; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            unsigned slot = x & 31, n = x >> 5 & 1;
            static const uint8_t ops[] = { 0x60, 0x61, 0x25, 0x35, 0x20, 0x30, 0xec, 0xa0,
                                           0xa1, 0x06, 0x2f, 0x47, 0xea, 0xb0, 0xc4, 0x90 };
            uint8_t *t = prepare(&a, n, slot, ops[x >> 6 & 15], x >> 10 & 0x3fff,
                                 x >> 24 & 1 ? slot << 3 : (unsigned)(x >> 25 & 31),
                                 DATA + (x >> 30 & 0x1ffff), (uint32_t)(x >> 47 & 0x3fff) + 1);
            t[3] = (uint8_t)(x >> 33 & 9);
            memcpy(t + 0x40, &x, 8);
            t[0x40] = (uint8_t)(x >> 40 & 0x7f);
            if (x >> 61 & 1)
                st_le32(a.s.ram + LIST + 0x400 * n + 32 * slot, 5 | BIT(5) | 1 << 16);
            set(&a, port(n, SACT), (uint32_t)BIT(slot));
            set(&a, port(n, CI), (uint32_t)BIT(slot));
            if ((x >> 50 & 7) == 0)
                set(&a, (unsigned)(x >> 52 & 0xff) * 4, (uint32_t)(x >> 3));
            if ((x >> 53 & 15) == 0) {
                set(&a, port(n, CMD), 0);
                start_port(&a, n);
            }
            if (i % 100 == 0)
                sr_settle(&a.s);
        }
        set(&a, 4, 1);
        CHECK_EQ(reg(&a, 4), 0x80000000);
        CHECK_EQ(reg(&a, port(0, TFD)), 0x150);
        sr_close(&a.s);
    }
}
