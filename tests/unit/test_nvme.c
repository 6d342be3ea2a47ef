/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NVMe: admin and I/O queues, data pointers, malformed commands, driven by registers. */
#include "dev/storage/nvme.h"
#include "storage_rig.h"

enum {
    ASQ = 0x1000,
    ACQ = 0x2000,
    SQ = 0x3000,
    CQ = 0x5000,
    LIST = 0x7000,
    BUF = 0x8000,
    DATA = 0x20000,
    DEPTH = 16,
    SECTORS = 8192
};

struct nv {
    struct storage_rig s;
    unsigned tail[3], head[3];
    bool phase[3];
    uint16_t cid;
    uint32_t result;
    gpa_t bar;
};

static uint32_t reg(struct nv *n, unsigned off)
{
    gpa_t a = n->bar + off;
    return (uint32_t)mem_io_read(n->s.r.mem, mem_find(n->s.r.mem, a), a, 4);
}

static void set(struct nv *n, unsigned off, uint32_t val)
{
    gpa_t a = n->bar + off;
    mem_io_write(n->s.r.mem, mem_find(n->s.r.mem, a), a, val, 4);
}

static void enable(struct nv *n)
{
    memset(n->s.ram, 0, BUF);
    set(n, 0x24, (DEPTH - 1) << 16 | (DEPTH - 1));
    set(n, 0x28, ASQ);
    set(n, 0x2c, 0);
    set(n, 0x30, ACQ);
    set(n, 0x34, 0);
    set(n, 0x14, 4 << 20 | 6 << 16 | 1);
    memset(n->tail, 0, sizeof n->tail);
    memset(n->head, 0, sizeof n->head);
    for (unsigned i = 0; i < 3; i++)
        n->phase[i] = true;
}

static void nv_open(struct nv *n)
{
    memset(n, 0, sizeof *n);
    sr_open(&n->s);
    struct device *dev =
        sr_plug(&n->s, &nvme_type, NULL, sr_drive(&n->s, 0, SECTORS * 512), "serial", "s1");
    struct pci_dev *p = (struct pci_dev *)dev;
    sr_fill_disk(&n->s, 0, SECTORS, 512);
    n->bar = 0x10000000;
    mem_map(n->s.r.mem, n->bar, p->bars[0].region, 0);
    p->config[PCI_COMMAND] |= PCI_COMMAND_MASTER;
    enable(n);
}

static uint8_t *sqe(struct nv *n, unsigned q)
{
    uint8_t *e = n->s.ram + (q ? SQ : ASQ) + 64 * n->tail[q];
    memset(e, 0, 64);
    st_le16(e + 2, ++n->cid);
    return e;
}

static uint8_t *cqe(struct nv *n, unsigned q)
{
    return n->s.ram + (q ? CQ : ACQ) + 16 * n->head[q];
}

struct wait {
    struct nv *n;
    unsigned q;
};

static bool completed(void *opaque)
{
    struct wait *w = opaque;
    return (ld_le16(cqe(w->n, w->q) + 14) & 1) == w->n->phase[w->q];
}

/* Takes the next completion; returns its status without the do-not-retry bit. */
static unsigned finish(struct nv *n, unsigned q)
{
    struct wait w = { n, q };
    CHECK(sr_wait(&n->s, completed, &w));
    uint8_t *e = cqe(n, q);
    n->result = ld_le32(e);
    if (++n->head[q] == DEPTH) {
        n->head[q] = 0;
        n->phase[q] = !n->phase[q];
    }
    unsigned status = ld_le16(e + 14) >> 1 & 0x7ff;
    set(n, 0x1000 + 8 * q + 4, n->head[q]);
    return status;
}

static void ring(struct nv *n, unsigned q)
{
    n->tail[q] = (n->tail[q] + 1) % DEPTH;
    set(n, 0x1000 + 8 * q, n->tail[q]);
}

/* An admin command with one page of data. */
static unsigned admin(struct nv *n, uint8_t op, uint32_t nsid, uint32_t cdw10, uint32_t cdw11,
                      uint64_t prp1)
{
    uint8_t *e = sqe(n, 0);
    e[0] = op;
    st_le32(e + 4, nsid);
    st_le64(e + 24, prp1);
    st_le32(e + 40, cdw10);
    st_le32(e + 44, cdw11);
    ring(n, 0);
    return finish(n, 0);
}

static void make_queues(struct nv *n)
{
    CHECK_EQ(admin(n, 5, 0, (DEPTH - 1) << 16 | 1, 3, CQ), 0);
    CHECK_EQ(admin(n, 1, 0, (DEPTH - 1) << 16 | 1, 1 << 16 | 1, SQ), 0);
}

static void start_io(struct nv *n, uint8_t op, uint64_t lba, uint32_t cdw12, uint64_t prp1,
                     uint64_t prp2)
{
    uint8_t *e = sqe(n, 1);
    e[0] = op;
    st_le32(e + 4, 1);
    st_le64(e + 24, prp1);
    st_le64(e + 32, prp2);
    st_le64(e + 40, lba);
    st_le32(e + 48, cdw12);
    ring(n, 1);
}

static unsigned io(struct nv *n, uint8_t op, uint64_t lba, uint32_t cdw12, uint64_t prp1,
                   uint64_t prp2)
{
    start_io(n, op, lba, cdw12, prp1, prp2);
    return finish(n, 1);
}

static bool is_sector(struct nv *n, gpa_t a, uint32_t b)
{
    for (unsigned i = 0; i < 512; i++)
        if (n->s.ram[a + i] != sr_pattern(b, i))
            return false;
    return true;
}

TEST(registers)
{
    struct nv n;
    nv_open(&n);
    CHECK_EQ(reg(&n, 0), 0x0f0107ff);
    CHECK_EQ(reg(&n, 4) & 0xff0fffff, 0x20);
    CHECK_EQ(reg(&n, 8), 0x00010400);
    CHECK_EQ(reg(&n, 0x1c), 1);
    set(&n, 0x14, 4 << 20 | 6 << 16 | 1 | 1 << 14); /* shut down */
    for (unsigned i = 0; i < 100 && reg(&n, 0x1c) & 4; i++)
        sr_settle(&n.s);
    CHECK_EQ(reg(&n, 0x1c), 1 | 8);
    set(&n, 0x14, 0);
    CHECK_EQ(reg(&n, 0x1c), 0);
    set(&n, 0x24, 0); /* queues of one entry */
    set(&n, 0x14, 1);
    CHECK_EQ(reg(&n, 0x1c), 2);
    set(&n, 0x14, 0);
    enable(&n);
    CHECK_EQ(reg(&n, 0x1c), 1);
    set(&n, 0x14, 0);
    set(&n, 0x24, (DEPTH - 1) << 16 | (DEPTH - 1));
    set(&n, 0x14, 9 << 7 | 1); /* pages too large */
    CHECK_EQ(reg(&n, 0x1c), 2);
    sr_close(&n.s);
}

TEST(identify)
{
    struct nv n;
    nv_open(&n);
    CHECK_EQ(admin(&n, 6, 0, 1, 0, BUF), 0);
    CHECK(!memcmp(n.s.ram + BUF + 4, "s1                  QEMU NVMe Ctrl", 34));
    CHECK_EQ(ld_le32(n.s.ram + BUF + 516), 1);
    CHECK_EQ(admin(&n, 6, 1, 0, 0, BUF), 0);
    CHECK_EQ(ld_le64(n.s.ram + BUF), SECTORS);
    CHECK_EQ(n.s.ram[BUF + 130], 9);
    CHECK_EQ(admin(&n, 6, 0, 2, 0, BUF), 0);
    CHECK_EQ(ld_le64(n.s.ram + BUF), 1);
    CHECK_EQ(admin(&n, 6, 2, 0, 0, BUF), 0x0b);
    CHECK_EQ(admin(&n, 6, 0, 0x77, 0, BUF), 0x02);
    CHECK_EQ(admin(&n, 6, 0, 1, 0, BUF + 2), 0x13);
    CHECK_EQ(admin(&n, 6, 0, 1, 0, 0x80000000), 0x04);
    CHECK_EQ(admin(&n, 0x99, 0, 0, 0, 0), 0x01);
    /* logs */
    CHECK_EQ(admin(&n, 2, UINT32_MAX, 127 << 16 | 2, 0, BUF), 0);
    CHECK_EQ(ld_le16(n.s.ram + BUF + 1), 0x143);
    CHECK_EQ(admin(&n, 2, 0, 127 << 16 | 0x55, 0, BUF), 0x109);
    CHECK_EQ(admin(&n, 2, 0, 0xffffu << 16 | 2, 0xffff, BUF), 0x02);
    /* features */
    CHECK_EQ(admin(&n, 10, 0, 7, 0, 0), 0);
    CHECK_EQ(n.result, 63 | 63 << 16);
    CHECK_EQ(admin(&n, 9, 0, 4, 0x160, 0), 0);
    CHECK_EQ(admin(&n, 10, 0, 4, 0, 0), 0);
    CHECK_EQ(n.result, 0x160);
    CHECK_EQ(admin(&n, 10, 0, 4 | 1 << 8, 0, 0), 0);
    CHECK_EQ(n.result, 0x157);
    CHECK_EQ(admin(&n, 9, 0, BIT(31) | 4, 0x160, 0), 0x10d);
    CHECK_EQ(admin(&n, 10, 0, 0x33, 0, 0), 0x02);
    CHECK_EQ(admin(&n, 10, 0, 6, 0, 0), 0);
    CHECK_EQ(n.result, 1); /* a write cache that is on */
    CHECK_EQ(admin(&n, 9, 0, 6, 0, 0), 0);
    CHECK_EQ(admin(&n, 10, 0, 6, 0, 0), 0);
    CHECK_EQ(n.result, 0);
    sr_close(&n.s);
}

TEST(queues)
{
    struct nv n;
    nv_open(&n);
    CHECK_EQ(admin(&n, 1, 0, (DEPTH - 1) << 16 | 1, 1 << 16 | 1, SQ), 0x100); /* no such CQ */
    CHECK_EQ(admin(&n, 5, 0, (DEPTH - 1) << 16 | 0, 1, CQ), 0x101);
    CHECK_EQ(admin(&n, 5, 0, (DEPTH - 1) << 16 | 65, 1, CQ), 0x101);
    CHECK_EQ(admin(&n, 5, 0, 0u << 16 | 1, 1, CQ), 0x102);
    CHECK_EQ(admin(&n, 5, 0, 2048u << 16 | 1, 1, CQ), 0x102);
    CHECK_EQ(admin(&n, 5, 0, (DEPTH - 1) << 16 | 1, 500 << 16 | 3, CQ), 0x108);
    CHECK_EQ(admin(&n, 5, 0, (DEPTH - 1) << 16 | 1, 0, CQ), 0x02);
    CHECK_EQ(admin(&n, 5, 0, (DEPTH - 1) << 16 | 1, 1, CQ + 8), 0x13);
    make_queues(&n);
    CHECK_EQ(admin(&n, 9, 0, 7, 0x00030003, 0), 0x0c); /* too late */
    CHECK_EQ(admin(&n, 4, 0, 1, 0, 0), 0x10c);         /* its submission queue is there */
    CHECK_EQ(io(&n, 2, 5, 0, DATA, 0), 0);
    CHECK_EQ(admin(&n, 0, 0, 1, 0, 0), 0);
    CHECK_EQ(admin(&n, 0, 0, 1, 0, 0), 0x101);
    CHECK_EQ(admin(&n, 4, 0, 1, 0, 0), 0);
    set(&n, 0x1008, 1); /* doorbells of what is gone, and beyond the end */
    set(&n, 0x100c, 1);
    set(&n, 0x1000, DEPTH);
    CHECK_EQ(admin(&n, 12, 0, 0, 0, 0), 0); /* the event that waited */
    CHECK_EQ(n.result, 0x010000);
    sr_close(&n.s);
}

TEST(read_write)
{
    struct nv n;
    uint8_t *list;
    nv_open(&n);
    make_queues(&n);
    CHECK_EQ(io(&n, 2, 9, 0, DATA + 0x200, 0), 0);
    CHECK(is_sector(&n, DATA + 0x200, 9));
    CHECK_EQ(io(&n, 2, 100, 15, DATA, DATA + 0x4000), 0); /* two pages */
    CHECK(is_sector(&n, DATA + 7 * 512, 107) && is_sector(&n, DATA + 0x4000 + 7 * 512, 115));
    list = n.s.ram + LIST; /* 40 KiB from the middle of a page: a list of 10 pages */
    for (unsigned i = 0; i < 10; i++)
        st_le64(list + 8 * i, DATA + 0x10000 + 0x2000 * i);
    CHECK_EQ(io(&n, 2, 200, 79, DATA + 0x800, LIST), 0);
    CHECK(is_sector(&n, DATA + 0x800, 200) && is_sector(&n, DATA + 0x10000, 204));
    CHECK(is_sector(&n, DATA + 0x10000 + 0x2000 * 9, 204 + 72));
    /* a list that goes on in a second page */
    st_le64(n.s.ram + LIST + 0xff0, DATA);
    st_le64(n.s.ram + LIST + 0xff8, BUF);
    st_le64(n.s.ram + BUF, DATA + 0x1000);
    st_le64(n.s.ram + BUF + 8, DATA + 0x2000);
    CHECK_EQ(io(&n, 2, 300, 31, DATA + 0x8000, LIST + 0xff0), 0);
    CHECK(is_sector(&n, DATA + 0x8000, 300) && is_sector(&n, DATA + 0x2000, 324));
    /* write with FUA; zeroes; compare; verify; flush */
    for (unsigned i = 0; i < 512; i++)
        n.s.ram[DATA + i] = sr_pattern(50, i);
    CHECK_EQ(io(&n, 1, 40, BIT(30), DATA, 0), 0);
    CHECK_EQ(io(&n, 5, 40, 0, DATA, 0), 0);
    CHECK_EQ(io(&n, 5, 41, 0, DATA, 0), 0x285);
    CHECK_EQ(io(&n, 12, 0, 100, 0, 0), 0);
    CHECK_EQ(io(&n, 8, 42, 3, 0, 0), 0);
    CHECK_EQ(io(&n, 0, 0, 0, 0, 0), 0);
    uint8_t buf[512], zero[512] = { 0 };
    CHECK(pread(n.s.fd[0], buf, 512, 40 * 512) == 512);
    CHECK(!memcmp(buf, n.s.ram + DATA, 512));
    CHECK(pread(n.s.fd[0], buf, 512, 45 * 512) == 512);
    CHECK(!memcmp(buf, zero, 512));
    CHECK(sr_disk_is(&n.s, 0, 46, 512));
    /* deallocate 64 sectors from 128 */
    memset(n.s.ram + DATA, 0, 32);
    st_le32(n.s.ram + DATA + 4, 64);
    st_le64(n.s.ram + DATA + 8, 128);
    uint8_t *e = sqe(&n, 1);
    e[0] = 9;
    st_le32(e + 4, 1);
    st_le64(e + 24, DATA);
    st_le32(e + 44, 4);
    ring(&n, 1);
    CHECK_EQ(finish(&n, 1), 0);
    CHECK(sr_disk_is(&n.s, 0, 127, 512) && sr_disk_is(&n.s, 0, 192, 512));
    sr_close(&n.s);
}

TEST(scatter_gather)
{
    struct nv n;
    nv_open(&n);
    make_queues(&n);
    uint8_t *d = n.s.ram + LIST, *e;
    memset(d, 0, 64);
    for (unsigned i = 0; i < 3; i++) { /* three odd pieces, two segments */
        st_le64(d + 16 * i, DATA + 0x1000 * i + 3);
        st_le32(d + 16 * i + 8, i == 2 ? 1024 - 700 : 350);
    }
    memcpy(d + 48, d + 32, 16);
    st_le64(d + 32, LIST + 48); /* the last one leads on */
    st_le32(d + 40, 16);
    d[47] = 0x30;
    for (unsigned bad = 0; bad < 4; bad++) {
        e = sqe(&n, 1);
        e[0] = 2;
        e[1] = 0x40;
        st_le32(e + 4, 1);
        st_le64(e + 24, LIST);
        st_le32(e + 32, bad == 1 ? 47 : 48);
        e[39] = bad == 2 ? 0x70 : 0x20;
        st_le64(e + 40, 60);
        st_le32(e + 48, bad == 3 ? 2 : 1);
        ring(&n, 1);
        static const unsigned want[] = { 0, 0x0d, 0x11, 0x0f };
        CHECK_EQ(finish(&n, 1), want[bad]);
        if (!bad)
            CHECK_EQ(n.s.ram[DATA + 0x2003 + 323], sr_pattern(61, 511));
    }
    sr_close(&n.s);
}

TEST(malformed)
{
    struct nv n;
    nv_open(&n);
    make_queues(&n);
    CHECK_EQ(io(&n, 2, SECTORS, 0, DATA, 0), 0x80);
    CHECK_EQ(io(&n, 2, UINT64_MAX, 0, DATA, 0), 0x80);
    CHECK_EQ(io(&n, 2, 0, 1024, DATA, LIST), 0x02); /* more than MDTS */
    CHECK_EQ(io(&n, 2, 0, 15, DATA, DATA + 8), 0x13);
    CHECK_EQ(io(&n, 2, 0, 7, 0xfee00000, 0), 0x04);
    CHECK_EQ(io(&n, 2, 0, 100, DATA, 0xfee00000), 0x04);
    CHECK_EQ(io(&n, 0x42, 0, 0, 0, 0), 0x01);
    st_le64(n.s.ram + LIST + 0xff8, LIST + 0xff8); /* a list that leads to itself */
    CHECK_EQ(io(&n, 2, 0, 100, DATA, LIST + 0xff8), 0x13);
    uint8_t *e = sqe(&n, 1);
    e[0] = 2;
    st_le32(e + 4, 7); /* no such namespace */
    ring(&n, 1);
    CHECK_EQ(finish(&n, 1), 0x0b);
    /* a full completion queue: the rest waits until there is room */
    for (unsigned i = 0; i < DEPTH - 1; i++)
        start_io(&n, 2, i, 0, DATA, 0);
    sr_settle(&n.s);
    uint8_t *first = cqe(&n, 1);
    CHECK_EQ(ld_le16(first + 14) >> 1, 0);
    for (unsigned i = 0; i < DEPTH - 1; i++)
        CHECK_EQ(finish(&n, 1), 0);
    for (unsigned i = 0; i < 3; i++)
        start_io(&n, 2, i, 0, DATA, 0);
    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(finish(&n, 1), 0);
    /* reset with commands in flight */
    start_io(&n, 2, 1, 0, DATA, 0);
    set(&n, 0x14, 0);
    enable(&n);
    CHECK_EQ(admin(&n, 6, 0, 1, 0, BUF), 0);
    sr_close(&n.s);
}

TEST(format)
{
    struct nv n;
    uint8_t buf[512], zero[512] = { 0 };
    nv_open(&n);
    CHECK_EQ(admin(&n, 0x80, 1, 5, 0, 0), 0x10a);
    CHECK_EQ(admin(&n, 0x80, 1, 1, 0, 0), 0);
    CHECK_EQ(admin(&n, 6, 1, 0, 0, BUF), 0);
    CHECK_EQ(ld_le64(n.s.ram + BUF), SECTORS / 8);
    CHECK_EQ(n.s.ram[BUF + 26], 1);
    CHECK(pread(n.s.fd[0], buf, 512, 77 * 512) == 512);
    CHECK(!memcmp(buf, zero, 512));
    sr_close(&n.s);
}

TEST(doorbell_buffers)
{
    struct nv n;
    nv_open(&n);
    uint8_t *e = sqe(&n, 0);
    e[0] = 0x7c;
    st_le64(e + 24, BUF);
    st_le64(e + 32, BUF + 0x1000);
    memset(n.s.ram + BUF, 0, 0x2000);
    ring(&n, 0);
    CHECK_EQ(finish(&n, 0), 0);
    make_queues(&n);
    /* two commands by the buffer and one ring of the doorbell */
    for (unsigned i = 0; i < 2; i++) {
        e = sqe(&n, 1);
        e[0] = 2;
        st_le32(e + 4, 1);
        st_le64(e + 24, DATA + 0x1000 * i);
        st_le64(e + 40, 70 + i);
        n.tail[1]++;
    }
    st_le32(n.s.ram + BUF + 8, n.tail[1]);
    set(&n, 0x1008, 1);
    CHECK_EQ(finish(&n, 1), 0);
    CHECK_EQ(finish(&n, 1), 0);
    CHECK(is_sector(&n, DATA + 0x1000, 71));
    CHECK_EQ(ld_le32(n.s.ram + BUF + 0x1008), n.tail[1]); /* wake me behind this one */
    st_le32(n.s.ram + BUF + 8, 0xffffffff);               /* nonsense is not followed */
    set(&n, 0x1008, n.tail[1]);
    CHECK_EQ(reg(&n, 0x1c), 1);
    sr_close(&n.s);
}

TEST(random_commands)
{
    uint64_t x = 88172645463325252;
    for (unsigned round = 0; round < 10; round++) {
        struct nv n;
        nv_open(&n);
        make_queues(&n);
        for (unsigned i = 0; i < 1500; i++) {
            unsigned q = i & 1;
            if (reg(&n, 0x1c) != 1) {
                set(&n, 0x14, 0);
                enable(&n);
            }
            uint8_t *e = n.s.ram + (q ? SQ : ASQ) + 64 * n.tail[q];
            for (unsigned k = 0; k < 64; k += 8) {
                x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                st_le64(e + k, x >> 60 ? x & (x >> 3 & 1 ? 0xff0ff : 0xfffff) : x);
            }
            e[0] = (uint8_t)(x >> 20 & 15);
            if (x >> 33 & 3)
                st_le32(e + 4, 1);
            if (x >> 35 & 3)
                e[1] = 0;
            ring(&n, q);
            set(&n, 0x1004 + 8 * q, x >> 40 & 15);
            if (x >> 50 & 1)
                set(&n, (unsigned)(x >> 3 & 0x103c), (uint32_t)x & 0x1f);
        }
        set(&n, 0x14, 0);
        CHECK_EQ(reg(&n, 0x1c), 0);
        sr_close(&n.s);
    }
}
