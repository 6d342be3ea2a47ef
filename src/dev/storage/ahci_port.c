/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An AHCI port: the command list, FISes to and from the drive, memory of commands (AHCI 1.3.1
 * chapters 4 to 6). Structures in guest memory are copied once, then checked.
 */
#include "base/endian.h"
#include "dev/storage/ahci_priv.h"

#include <string.h>

enum {
    HEADER_BYTES = 32,
    HEADER_FIS_LENGTH = 0x1f,
    HEADER_ATAPI = BIT(5),
    HEADER_CLEAR_BUSY = BIT(10),
    TABLE_PACKET = 0x40,
    TABLE_PRDS = 0x80,
    PRD_BYTES = 16,
    PRD_LENGTH = 0x3fffff,
    PRD_BATCH = 64,
    FIS_BYTES = 64,
    TRANSFER_MAX = 65536 * ATA_SECTOR,
};
enum {
    FIS_COMMAND = 0x27,
    FIS_REGISTER = 0x34,
    FIS_DMA_SETUP = 0x41,
    FIS_PIO_SETUP = 0x5f,
    FIS_DEVICE_BITS = 0xa1,
    FIS_IS_COMMAND = 0x80,
    FIS_INTERRUPT = 0x40,
    FIS_TO_HOST = 0x20,
    FIS_AT_DMA_SETUP = 0x00,
    FIS_AT_PIO_SETUP = 0x20,
    FIS_AT_REGISTER = 0x40,
    FIS_AT_DEVICE_BITS = 0x58,
};

static gpa_t list_base(struct ahci_port *p)
{
    return (gpa_t)*port_reg(p, PORT_CLBU) << 32 | *port_reg(p, PORT_CLB);
}

static struct mem *dma(struct ahci_port *p)
{
    return pci_dma(&p->ahci->pci);
}

static void set_tfd(struct ahci_port *p, const struct ata_drive *d)
{
    *port_reg(p, PORT_TFD) = d->regs.status | (uint32_t)d->regs.error << 8;
}

static void fail_fatal(struct ahci_port *p)
{
    p->halted = true;
    ahci_interrupt(p, IS_HBFS);
}

/* --- FISes to the host --- */

static void post(struct ahci_port *p, unsigned at, const uint8_t *fis, size_t len)
{
    gpa_t base = (gpa_t)*port_reg(p, PORT_FBU) << 32 | *port_reg(p, PORT_FB);
    struct mem *mem = dma(p);
    if (!(*port_reg(p, PORT_CMD) & CMD_FRE))
        return;
    if (!mem || dma_write(mem, base + at, fis, len))
        guest_error(&p->ahci->pci.dev, "port %u: FIS area is not in RAM", p->n);
}

static void fill_registers(uint8_t *fis, const struct ata_regs *r)
{
    fis[2] = r->status;
    fis[3] = r->error;
    memcpy(fis + 4, r->lba, 3);
    fis[7] = r->device;
    memcpy(fis + 8, r->hob_lba, 3);
    fis[12] = r->count;
    fis[13] = r->hob_count;
}

static void post_registers(struct ahci_port *p, const struct ata_drive *d, bool interrupt)
{
    uint8_t fis[20] = { FIS_REGISTER, interrupt ? FIS_INTERRUPT : 0 };
    fill_registers(fis, &d->regs);
    post(p, FIS_AT_REGISTER, fis, sizeof fis);
    set_tfd(p, d);
}

static void post_pio_setup(struct ahci_port *p, const struct ata_drive *d, bool to_host,
                           bool interrupt, uint8_t status_after)
{
    uint8_t fis[20] = { FIS_PIO_SETUP,
                        (to_host ? FIS_TO_HOST : 0) | (interrupt ? FIS_INTERRUPT : 0) };
    fill_registers(fis, &d->regs);
    fis[15] = status_after;
    st_le16(fis + 16, (uint16_t)d->data_len);
    post(p, FIS_AT_PIO_SETUP, fis, sizeof fis);
}

static void post_dma_setup(struct ahci_port *p, const struct ata_task *t)
{
    uint8_t fis[28] = { FIS_DMA_SETUP, t->to_host ? FIS_TO_HOST : 0 };
    fis[4] = t->tag;
    st_le32(fis + 20, t->len);
    post(p, FIS_AT_DMA_SETUP, fis, sizeof fis);
}

void ahci_port_send_signature(struct ahci_port *p)
{
    struct ata_drive *d = port_drive(p);
    const struct ata_regs *r = &d->regs;
    *port_reg(p, PORT_SIG) =
        r->count | r->lba[0] << 8 | r->lba[1] << 16 | (uint32_t)r->lba[2] << 24;
    post_registers(p, d, false);
}

/* --- command list --- */

static bool read_header(struct ahci_port *p, unsigned slot, uint8_t header[HEADER_BYTES])
{
    struct mem *mem = dma(p);
    return mem && !dma_read(mem, list_base(p) + slot * HEADER_BYTES, header, HEADER_BYTES);
}

static void write_byte_count(struct ahci_port *p, unsigned slot, size_t moved)
{
    uint8_t count[4];
    struct mem *mem = dma(p);
    st_le32(count, (uint32_t)moved);
    if (!mem || dma_write(mem, list_base(p) + slot * HEADER_BYTES + 4, count, sizeof count))
        guest_error(&p->ahci->pci.dev, "port %u: command list is not in RAM", p->n);
}

/* Memory of a slot's PRD table, at most len bytes. False: not RAM. */
static bool read_prds(struct ahci_port *p, unsigned slot, struct sg *sg, bool to_host, size_t len)
{
    uint8_t header[HEADER_BYTES], prds[PRD_BATCH * PRD_BYTES];
    struct mem *mem = dma(p);
    sg_begin(sg, mem, to_host);
    if (!read_header(p, slot, header))
        return false;
    gpa_t at = (ld_le64(header + 8) & ~UINT64_C(127)) + TABLE_PRDS;
    for (unsigned left = ld_le16(header + 2); left && sg->len < len;) {
        unsigned n = MIN(left, PRD_BATCH);
        if (dma_read(mem, at, prds, (size_t)n * PRD_BYTES))
            return false;
        for (unsigned i = 0; i < n && sg->len < len; i++) {
            const uint8_t *prd = prds + (size_t)i * PRD_BYTES;
            uint64_t bytes = ((ld_le32(prd + 12) & PRD_LENGTH) | 1) + 1;
            if (!sg_add(sg, ld_le64(prd) & ~UINT64_C(1), MIN(bytes, len - sg->len)))
                return false;
        }
        at += (gpa_t)n * PRD_BYTES;
        left -= n;
    }
    return true;
}

/* --- what the drive says --- */

static void host_dma(void *opaque, struct ata_task *t)
{
    struct ahci_port *p = opaque;
    unsigned slot = t->queued ? t->tag : (unsigned)MAX(p->slot, 0);
    if (!read_prds(p, slot, &t->sg, t->to_host, t->len)) {
        fail_fatal(p);
        ata_dma_fail(t);
        return;
    }
    if (t->sg.len < t->len) {
        ahci_interrupt(p, IS_OFS);
        ata_dma_fail(t);
        return;
    }
    if (t->queued)
        post_dma_setup(p, t);
    ata_dma_go(t);
}

static void host_dma_moved(void *opaque, struct ata_task *t, size_t moved)
{
    struct ahci_port *p = opaque;
    if (!t->queued && p->slot >= 0)
        write_byte_count(p, (unsigned)p->slot, moved);
}

/* One block of PIO. False: the command was aborted. */
static bool move_block(struct ahci_port *p, struct ata_drive *d, bool interrupt)
{
    bool in = d->phase == ATA_PIO_IN;
    bool last = !d->buffered && !d->left && !d->packet_left;
    uint8_t header[HEADER_BYTES];
    if (!p->packet_sent && !in && d->regs.command == 0xa0) {
        struct mem *mem = dma(p);
        p->packet_sent = true;
        if (!read_header(p, (unsigned)p->slot, header) || !(ld_le32(header) & HEADER_ATAPI) ||
            dma_read(mem, (ld_le64(header + 8) & ~UINT64_C(127)) + TABLE_PACKET, d->data,
                     d->data_len))
            return false;
        post_pio_setup(p, d, false, false, ATA_DRDY | ATA_BSY);
        return true;
    }
    if (!p->pio.len && !read_prds(p, (unsigned)p->slot, &p->pio, in, TRANSFER_MAX)) {
        sg_end(&p->pio, 0);
        fail_fatal(p);
        return false;
    }
    size_t n = in ? sg_put(&p->pio, p->pio_at, d->data + d->data_at, d->data_len)
                  : sg_get(&p->pio, p->pio_at, d->data, d->data_len);
    p->pio_at += n;
    if (n < d->data_len) {
        ahci_interrupt(p, IS_OFS);
        if (!in)
            return false;
    }
    post_pio_setup(p, d, in, interrupt,
                   in && last && !d->packet ? ATA_DRDY | ATA_DSC : ATA_DRDY | ATA_BSY);
    if (interrupt)
        ahci_interrupt(p, IS_PSS);
    return true;
}

/* Blocks come one after another from the drive's buffer: a loop here, not a recursion. */
static void host_pio(void *opaque, struct ata_drive *d, bool interrupt)
{
    struct ahci_port *p = opaque;
    p->move_again = true;
    if (p->moving || p->slot < 0)
        return;
    p->moving = true;
    for (bool irq = interrupt; p->move_again; irq = true) {
        p->move_again = false;
        if (move_block(p, d, irq))
            ata_pio_moved(d);
        else
            ata_fail(d, ATA_ABRT);
    }
    p->moving = false;
}

static void host_ended(void *opaque, struct ata_drive *d, bool interrupt)
{
    struct ahci_port *p = opaque;
    bool bad = d->regs.status & (ATA_ERR | ATA_DF);
    int slot = p->slot;
    if (p->pio.len) {
        write_byte_count(p, (unsigned)MAX(slot, 0), p->pio_at);
        sg_end(&p->pio, p->pio.to_guest ? p->pio_at : 0);
    }
    p->slot = -1;
    if (slot < 0) {
        set_tfd(p, d);
        return;
    }
    if (interrupt)
        post_registers(p, d, true);
    else
        set_tfd(p, d);
    if (bad) {
        p->halted = true;
        ahci_interrupt(p, IS_TFES | (interrupt ? IS_DHRS : 0));
        return;
    }
    *port_reg(p, PORT_CI) &= ~BIT(slot);
    if (interrupt)
        ahci_interrupt(p, IS_DHRS);
    ahci_port_process(p);
}

static void host_queued(void *opaque, struct ata_drive *d)
{
    struct ahci_port *p = opaque;
    if (!p->burst && d->blk) {
        blk_set_burst_end(d->blk, ahci_port_burst_end, p);
        p->burst = true;
    }
    if (p->slot >= 0)
        *port_reg(p, PORT_CI) &= ~BIT(p->slot);
    p->slot = -1;
    post_registers(p, d, false);
}

static void tell_done(struct ahci_port *p, const struct ata_drive *d, uint32_t tags)
{
    uint8_t fis[8] = { FIS_DEVICE_BITS, FIS_INTERRUPT, d->regs.status & 0x77, d->regs.error };
    uint32_t *tfd = port_reg(p, PORT_TFD);
    st_le32(fis + 4, tags);
    post(p, FIS_AT_DEVICE_BITS, fis, sizeof fis);
    *tfd = (*tfd & 0x88) | (d->regs.status & 0x77) | (uint32_t)d->regs.error << 8;
    *port_reg(p, PORT_SACT) &= ~tags;
}

void ahci_port_burst_end(void *port)
{
    struct ahci_port *p = port;
    struct ata_drive *d = port_drive(p);
    uint32_t tags = p->done_tags;
    p->done_tags = 0;
    if (!tags || !d || p->halted)
        return;
    tell_done(p, d, tags);
    ahci_interrupt(p, IS_SDBS);
    ahci_port_process(p);
}

static void host_queued_ended(void *opaque, struct ata_drive *d, uint8_t tag, bool ok)
{
    struct ahci_port *p = opaque;
    if (ok) {
        p->done_tags |= BIT(tag); /* told at the end of the burst */
        return;
    }
    uint32_t tags = p->done_tags;
    p->done_tags = 0;
    tell_done(p, d, tags);
    p->halted = true;
    ahci_interrupt(p, IS_SDBS | IS_TFES);
}

/* --- commands --- */

/* A FIS that writes the control register: software reset (AHCI 10.4.1). */
static void control_fis(struct ahci_port *p, struct ata_drive *d, const uint8_t *fis)
{
    bool reset = fis[15] & ATA_CONTROL_SRST;
    int slot = p->slot;
    p->slot = -1;
    if (p->software_reset && !reset) {
        ata_reset(d, false);
        ahci_port_send_signature(p);
    }
    p->software_reset = reset;
    *port_reg(p, PORT_CI) &= ~BIT(slot);
}

static void load_registers(struct ata_drive *d, const uint8_t *fis)
{
    struct ata_regs *r = &d->regs;
    r->command = fis[2];
    r->feature = fis[3];
    memcpy(r->lba, fis + 4, 3);
    r->device = fis[7];
    memcpy(r->hob_lba, fis + 8, 3);
    r->hob_feature = fis[11];
    r->count = fis[12];
    r->hob_count = fis[13];
}

static void start_slot(struct ahci_port *p, struct ata_drive *d, unsigned slot)
{
    uint8_t header[HEADER_BYTES], fis[FIS_BYTES] = { 0 };
    uint32_t *cmd = port_reg(p, PORT_CMD);
    *cmd = (*cmd & ~(uint32_t)CMD_CCS) | slot << 8;
    if (!read_header(p, slot, header) ||
        dma_read(dma(p), ld_le64(header + 8) & ~UINT64_C(127), fis, FIS_BYTES)) {
        fail_fatal(p);
        return;
    }
    unsigned length = (ld_le32(header) & HEADER_FIS_LENGTH) * 4;
    if (length < 8 || fis[0] != FIS_COMMAND) {
        guest_error(&p->ahci->pci.dev, "port %u slot %u: FIS of type %#x, %u bytes", p->n, slot,
                    fis[0], length);
        p->halted = true;
        ahci_interrupt(p, IS_IFS);
        return;
    }
    p->slot = (int)slot;
    p->packet_sent = false;
    p->pio_at = 0;
    if (!(fis[1] & FIS_IS_COMMAND)) {
        control_fis(p, d, fis);
        return;
    }
    load_registers(d, fis);
    d->regs.status = ATA_BSY | ATA_DRDY;
    set_tfd(p, d);
    unsigned tag = d->regs.count >> 3;
    if ((d->regs.command & 0xfe) == 0x60 && tag != slot) {
        guest_error(&p->ahci->pci.dev, "port %u slot %u: tag %u", p->n, slot, tag);
        d->info = NULL;
        ata_fail(d, ATA_ABRT);
        return;
    }
    ata_command(d);
}

void ahci_port_process(struct ahci_port *p)
{
    struct ata_drive *d = port_drive(p);
    p->again = true;
    if (p->processing)
        return;
    p->processing = true;
    while (p->again) {
        uint32_t ci = *port_reg(p, PORT_CI), cmd = *port_reg(p, PORT_CMD);
        p->again = false;
        if (!d || !ci || !(cmd & CMD_ST) || p->halted || p->slot >= 0 ||
            *port_reg(p, PORT_TFD) & (ATA_BSY | ATA_DRQ))
            break;
        /* round robin: the next one behind the last */
        unsigned last = (cmd & CMD_CCS) >> 8;
        uint32_t behind = last == 31 ? 0 : ci & ~(BIT(last + 1) - 1);
        start_slot(p, d, (unsigned)__builtin_ctz(behind ? behind : ci));
        p->again = true;
    }
    p->processing = false;
}

void ahci_port_stop(struct ahci_port *p)
{
    struct ata_drive *d = port_drive(p);
    if (d)
        ata_cancel(d);
    if (p->pio.len)
        sg_end(&p->pio, p->pio.to_guest ? p->pio_at : 0);
    p->slot = -1;
    p->halted = false;
    p->moving = p->move_again = false;
    p->done_tags = 0;
    *port_reg(p, PORT_CI) = 0;
    *port_reg(p, PORT_SACT) = 0;
    *port_reg(p, PORT_CMD) &= ~(uint32_t)CMD_CCS;
    if (d)
        set_tfd(p, d);
}

static void link_up(struct ahci_port *p)
{
    *port_reg(p, PORT_SSTS) = SSTS_UP;
    ahci_port_send_signature(p);
}

void ahci_port_reset(struct ahci_port *p)
{
    struct ata_drive *d = port_drive(p);
    ahci_port_stop(p);
    p->software_reset = false;
    *port_reg(p, PORT_TFD) = 0x7f;
    *port_reg(p, PORT_SIG) = UINT32_MAX;
    *port_reg(p, PORT_SSTS) = 0;
    if (!d || !d->dev.ready)
        return;
    ata_reset(d, true);
    link_up(p);
    *port_reg(p, PORT_SERR) |= SERR_EXCHANGED;
    ahci_interrupt(p, IS_PCS);
}

static void host_arrived(void *opaque, struct ata_drive *d)
{
    link_up(opaque);
}

const struct ata_host ahci_host = { host_pio,    host_dma,          host_dma_moved, host_ended,
                                    host_queued, host_queued_ended, host_arrived };
