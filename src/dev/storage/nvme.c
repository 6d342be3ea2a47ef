/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NVMe controller: registers (NVMe 1.4 chapter 3), queues and doorbells (4.1), interrupts (7.5),
 * reset and shutdown (7.3, 7.6). Guest-written heads, tails and sizes are checked where they come
 * in; commands in flight are bounded by a pool.
 */
#include "dev/storage/nvme.h"

#include "base/alloc.h"
#include "base/endian.h"
#include "dev/pci/pcie.h"
#include "dev/storage/nvme_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REG_CAP = 0x00,
    REG_VS = 0x08,
    REG_INTMS = 0x0c,
    REG_INTMC = 0x10,
    REG_CC = 0x14,
    REG_CSTS = 0x1c,
    REG_NSSR = 0x20,
    REG_AQA = 0x24,
    REG_ASQ = 0x28,
    REG_ACQ = 0x30,
    DOORBELLS = 0x1000,
    TABLE = 0x2000, /* MSI-X */
    PAGE_SHIFT_MAX = 4,
    FETCH_MAX = 4096, /* commands of one queue in a row */
    ROUNDS_MAX = 8,
};
enum {
    CC_EN = BIT(0),
    CC_CSS = 0x70,
    CC_AMS = 0x3800,
    CC_SHN = 0xc000,
    CC_WRITABLE = 0x00fffff1,
    CSTS_RDY = BIT(0),
    CSTS_CFS = BIT(1),
    CSTS_SHST = 0x0c,
    CSTS_SHUT_DOWN = 0x08,
    CSTS_SHUTTING = 0x04,
};
/* 2048 entries, contiguous queues, 7.5 s, NVM command set, pages of 4 KiB to 64 KiB */
static const uint64_t capabilities = (NVME_QUEUE_ENTRIES - 1) | 1 << 16 | 15 << 24 |
                                     UINT64_C(1) << 37 | (uint64_t)PAGE_SHIFT_MAX << 52;

struct mem *nvme_dma(struct nvme *n)
{
    return pci_dma(&n->pci);
}

static void fatal(struct nvme *n, const char *why)
{
    guest_error(&n->pci.dev, "controller fails: %s", why);
    n->csts |= CSTS_CFS;
}

/* --- doorbell buffers (7.13): queues other than the admin pair --- */

static bool has_shadow(const struct nvme *n, unsigned id)
{
    return n->shadow && id;
}

/* Takes the value that the guest left in its buffer; false: there is none that could be. */
static bool read_shadow(struct nvme *n, unsigned id, bool cq, uint16_t *value)
{
    uint8_t buf[4];
    struct mem *mem = nvme_dma(n);
    if (!has_shadow(n, id) || !mem || dma_read(mem, n->shadow + id * 8 + cq * 4, buf, sizeof buf))
        return false;
    uint32_t v = ld_le32(buf);
    if (v >= (cq ? n->cq_size[id] : n->sq_size[id]))
        return false;
    *value = (uint16_t)v;
    return true;
}

static void write_event_index(struct nvme *n, unsigned id, bool cq, uint16_t value)
{
    uint8_t buf[4];
    struct mem *mem = nvme_dma(n);
    st_le32(buf, value);
    if (has_shadow(n, id) && mem &&
        dma_write(mem, n->event_index + id * 8 + cq * 4, buf, sizeof buf))
        n->shadow = 0;
}

/* --- completion --- */

static void release(struct nvme_req *r)
{
    struct nvme *n = r->n;
    free(r->buf);
    r->buf = NULL;
    r->used = false;
    r->next = n->free;
    n->free = r;
}

static struct nvme_req *take(struct nvme *n)
{
    struct nvme_req *r = n->free;
    if (!r)
        return NULL;
    n->free = r->next;
    r->next = NULL;
    r->used = true;
    r->result = 0;
    r->status = 0;
    return r;
}

static bool cq_full(struct nvme *n, unsigned id)
{
    uint16_t next = (uint16_t)((n->cq_tail[id] + 1) % n->cq_size[id]);
    if (next != n->cq_head[id])
        return false;
    uint16_t head = n->cq_head[id];
    if (read_shadow(n, id, true, &head))
        n->cq_head[id] = head;
    write_event_index(n, id, true, n->cq_head[id]);
    if (read_shadow(n, id, true, &head)) /* it may have moved before the index was seen */
        n->cq_head[id] = head;
    return next == n->cq_head[id];
}

static void post(struct nvme *n, unsigned cq, const struct nvme_req *r)
{
    uint8_t entry[NVME_CQE] = { 0 };
    struct mem *mem = nvme_dma(n);
    st_le32(entry, r->result);
    st_le16(entry + 8, n->sq_head[r->sqid]);
    st_le16(entry + 10, r->sqid);
    st_le16(entry + 12, r->cid);
    st_le16(entry + 14, (uint16_t)(r->status << 1 | n->cq_phase[cq]));
    if (!mem ||
        dma_write(mem, n->cq_base[cq] + n->cq_tail[cq] * (gpa_t)NVME_CQE, entry, NVME_CQE)) {
        fatal(n, "a completion queue is not in RAM");
        return;
    }
    n->cq_tail[cq] = (uint16_t)((n->cq_tail[cq] + 1) % n->cq_size[cq]);
    if (!n->cq_tail[cq])
        n->cq_phase[cq] = !n->cq_phase[cq];
    n->notify[cq] = true;
}

/* Entries that waited for room. */
static void post_waiting(struct nvme *n, unsigned cq)
{
    while (n->waiting[cq] && !cq_full(n, cq)) {
        struct nvme_req *r = n->waiting[cq];
        n->waiting[cq] = r->next;
        if (!n->waiting[cq])
            n->waiting_last[cq] = &n->waiting[cq];
        post(n, cq, r);
        release(r);
    }
}

static void post_or_wait(struct nvme_req *r)
{
    struct nvme *n = r->n;
    unsigned cq = n->sq_cq[r->sqid];
    if (!n->cq_size[cq] || n->csts & CSTS_CFS) {
        release(r);
    } else if (n->waiting[cq] || cq_full(n, cq)) {
        r->next = NULL;
        *n->waiting_last[cq] = r;
        n->waiting_last[cq] = &r->next;
    } else {
        post(n, cq, r);
        release(r);
    }
}

static void log_error(struct nvme *n, const struct nvme_req *r)
{
    uint8_t *e = n->error_log;
    memset(e, 0, sizeof n->error_log);
    st_le64(e, ++n->errors);
    st_le16(e + 8, r->sqid);
    st_le16(e + 10, r->cid);
    st_le16(e + 12, (uint16_t)(r->status << 1));
    st_le64(e + 16, r->lba);
    st_le32(e + 24, NVME_NSID);
}

void nvme_complete(struct nvme_req *r, uint16_t status)
{
    struct nvme *n = r->n;
    unsigned sqid = r->sqid;
    r->status = status;
    n->in_flight[sqid]--;
    if (n->resetting) {
        release(r);
        return;
    }
    if (status && sqid)
        log_error(n, r);
    post_or_wait(r);
    struct nvme_req *d = n->deleting[sqid];
    if (d && !n->in_flight[sqid]) {
        n->deleting[sqid] = NULL;
        nvme_drop_queue(n, sqid);
        nvme_complete(d, NVME_OK);
    }
}

void nvme_drop_queue(struct nvme *n, unsigned sqid)
{
    struct nvme_req **p = &n->waiting[n->sq_cq[sqid]];
    while (*p) {
        struct nvme_req *r = *p;
        if (r->sqid != sqid) {
            p = &r->next;
            continue;
        }
        *p = r->next;
        release(r);
    }
    n->waiting_last[n->sq_cq[sqid]] = p;
    n->sq_size[sqid] = 0;
}

bool nvme_cq_idle(const struct nvme *n, unsigned cqid)
{
    for (unsigned i = 0; i < NVME_QUEUES; i++)
        if (n->sq_size[i] && n->sq_cq[i] == cqid)
            return false;
    return !n->waiting[cqid];
}

/* --- interrupts --- */

static void update_pin(struct nvme *n)
{
    bool level = false;
    for (unsigned i = 0; i < NVME_QUEUES && !level; i++)
        level = n->cq_size[i] && n->cq_interrupts[i] && n->cq_head[i] != n->cq_tail[i] &&
                !(n->intms & BIT(n->cq_vector[i] & 31));
    pci_intx(&n->pci, level && !pci_msix_enabled(&n->pci));
}

void nvme_flush_interrupts(struct nvme *n)
{
    bool msix = pci_msix_enabled(&n->pci), any = false;
    for (unsigned i = 0; i <= nvme_pairs(n); i++) {
        if (!n->notify[i])
            continue;
        n->notify[i] = false;
        any = true;
        if (msix && n->cq_interrupts[i] && n->cq_size[i])
            pci_msix_notify(&n->pci, n->cq_vector[i]);
    }
    if (any && !msix)
        update_pin(n);
}

/* --- asynchronous events (5.2) --- */

void nvme_event(struct nvme *n, uint8_t type, uint8_t info, uint8_t log)
{
    if (n->events_masked & BIT(type) || n->events == NVME_EVENTS)
        return;
    n->event[n->events++] = type | info << 8 | (uint32_t)log << 16;
    n->events_masked |= BIT(type);
    nvme_events_deliver(n);
}

void nvme_events_deliver(struct nvme *n)
{
    while (n->aers && n->events && n->csts & CSTS_RDY) {
        struct nvme_req *r = take(n);
        if (!r)
            return; /* later: a request will come free */
        r->sqid = 0;
        r->cid = n->aer_cid[--n->aers];
        r->result = n->event[0];
        n->in_flight[0]++;
        memmove(n->event, n->event + 1, --n->events * sizeof n->event[0]);
        nvme_complete(r, NVME_OK);
    }
}

/* --- submission --- */

static void execute(struct nvme_req *r)
{
    uint16_t status = r->sqid ? nvme_io(r) : nvme_admin(r);
    if (status != NVME_NO_COMPLETION) {
        nvme_complete(r, status);
    } else if (!r->used) { /* an AER: its identifier is kept, nothing is in flight */
        r->n->in_flight[0]--;
        release(r);
    }
}

static void fetch(struct nvme *n, unsigned id)
{
    for (unsigned i = 0;
         n->csts & CSTS_RDY && !(n->csts & CSTS_CFS) && n->sq_size[id] && !n->deleting[id]; i++) {
        if (i == FETCH_MAX) {
            n->starved = true;
            return;
        }
        if (n->sq_head[id] == n->sq_tail[id]) {
            (void)read_shadow(n, id, false, &n->sq_tail[id]);
            if (n->sq_head[id] == n->sq_tail[id]) {
                write_event_index(n, id, false, n->sq_tail[id]);
                __atomic_thread_fence(__ATOMIC_SEQ_CST);
                if (!read_shadow(n, id, false, &n->sq_tail[id]) || n->sq_head[id] == n->sq_tail[id])
                    return;
            }
        }
        struct nvme_req *r = take(n);
        struct mem *mem = nvme_dma(n);
        if (!r) {
            n->starved = true;
            return;
        }
        if (!mem ||
            dma_read(mem, n->sq_base[id] + n->sq_head[id] * (gpa_t)NVME_SQE, r->cmd, NVME_SQE)) {
            release(r);
            fatal(n, "a submission queue is not in RAM");
            return;
        }
        n->sq_head[id] = (uint16_t)((n->sq_head[id] + 1) % n->sq_size[id]);
        r->sqid = (uint16_t)id;
        r->cid = ld_le16(r->cmd + 2);
        r->lba = 0;
        n->in_flight[id]++;
        execute(r);
    }
}

static void run(struct nvme *n, unsigned first, unsigned last)
{
    if (n->processing) {
        n->again = true;
        return;
    }
    n->processing = n->again = true;
    for (unsigned round = 0; n->again && n->free; round++) {
        if (round == ROUNDS_MAX) {
            timer_set_ns(&n->resume, 0);
            break;
        }
        n->again = n->starved = false;
        for (unsigned i = first; i <= last; i++)
            fetch(n, i);
        blk_kick(n->blk);
        nvme_events_deliver(n);
        first = 0; /* again: completions made room */
        last = nvme_pairs(n);
    }
    n->processing = false;
    nvme_flush_interrupts(n);
}

void nvme_process(struct nvme *n, unsigned sqid)
{
    run(n, sqid, sqid);
}

void nvme_process_all(struct nvme *n)
{
    run(n, 0, nvme_pairs(n));
}

static void resume(void *opaque)
{
    nvme_process_all(opaque);
}

/* A burst of requests has ended: one interrupt for all, and room for more. */
static void burst_end(void *opaque)
{
    struct nvme *n = opaque;
    if (n->resetting)
        return;
    if (n->starved || n->shadow || n->events)
        nvme_process_all(n);
    else if (!n->processing)
        nvme_flush_interrupts(n);
}

static void sq_doorbell(struct nvme *n, unsigned id, uint32_t val)
{
    if (id > nvme_pairs(n) || !n->sq_size[id]) {
        guest_error(&n->pci.dev, "doorbell of submission queue %u, which is not there", id);
        nvme_event(n, 0, 0, 1);
    } else if (val >= n->sq_size[id]) {
        guest_error(&n->pci.dev, "doorbell of submission queue %u: %u", id, val);
        nvme_event(n, 0, 1, 1);
    } else {
        n->sq_tail[id] = (uint16_t)val;
        nvme_process(n, id);
        return;
    }
    nvme_flush_interrupts(n);
}

static void cq_doorbell(struct nvme *n, unsigned id, uint32_t val)
{
    if (id > nvme_pairs(n) || !n->cq_size[id]) {
        guest_error(&n->pci.dev, "doorbell of completion queue %u, which is not there", id);
        nvme_event(n, 0, 0, 1);
    } else if (val >= n->cq_size[id]) {
        guest_error(&n->pci.dev, "doorbell of completion queue %u: %u", id, val);
        nvme_event(n, 0, 1, 1);
    } else {
        n->cq_head[id] = (uint16_t)val;
        bool full = n->waiting[id] != NULL;
        post_waiting(n, id);
        if (full && n->starved)
            nvme_process_all(n);
        if (!pci_msix_enabled(&n->pci))
            update_pin(n);
    }
    nvme_flush_interrupts(n);
}

/* --- the controller's life --- */

/* Everything in flight is done, nothing is reported; queues are gone. */
static void stop(struct nvme *n)
{
    n->resetting = true;
    timer_cancel(&n->resume);
    blk_drain(n->blk);
    n->resetting = false;
    for (unsigned i = 0; i < NVME_QUEUES; i++) {
        while (n->waiting[i]) {
            struct nvme_req *r = n->waiting[i];
            n->waiting[i] = r->next;
            release(r);
        }
        n->waiting_last[i] = &n->waiting[i];
        if (n->deleting[i])
            release(n->deleting[i]);
        n->deleting[i] = NULL;
    }
    memset(n->sq_size, 0, sizeof n->sq_size);
    memset(n->cq_size, 0, sizeof n->cq_size);
    memset(n->cq_interrupts, 0, sizeof n->cq_interrupts);
    memset(n->in_flight, 0, sizeof n->in_flight);
    memset(n->notify, 0, sizeof n->notify);
    n->shadow = n->event_index = 0;
    n->aers = n->events = n->events_masked = 0;
    n->starved = n->processing = n->again = false;
    n->csts = 0;
    n->intms = 0;
    nvme_features_reset(n);
    pci_intx(&n->pci, false);
}

static void start(struct nvme *n)
{
    unsigned sqs = (n->aqa & 0xfff) + 1, cqs = (n->aqa >> 16 & 0xfff) + 1;
    uint64_t page = nvme_page_size(n);
    if ((n->cc >> 7 & 15) > PAGE_SHIFT_MAX || n->cc & CC_CSS || n->cc & CC_AMS) {
        fatal(n, "CC asks for a page size, command set or arbitration that is not offered");
        return;
    }
    if (sqs < 2 || cqs < 2 || sqs > NVME_QUEUE_ENTRIES || cqs > NVME_QUEUE_ENTRIES || !n->asq ||
        !n->acq || (n->asq | n->acq) & (page - 1)) {
        fatal(n, "the admin queues are ill-formed");
        return;
    }
    n->sq_base[0] = n->asq;
    n->cq_base[0] = n->acq;
    n->sq_size[0] = (uint16_t)sqs;
    n->cq_size[0] = (uint16_t)cqs;
    n->sq_head[0] = n->sq_tail[0] = n->cq_head[0] = n->cq_tail[0] = 0;
    n->sq_cq[0] = n->cq_vector[0] = 0;
    n->cq_phase[0] = n->cq_interrupts[0] = true;
    n->csts |= CSTS_RDY;
}

static void shut_down_flushed(struct blk_request *q, int result)
{
    struct nvme_req *r = container_of(q, struct nvme_req, req);
    struct nvme *n = r->n;
    n->in_flight[0]--;
    if (!n->resetting)
        n->csts = (n->csts & ~(uint32_t)CSTS_SHST) | CSTS_SHUT_DOWN;
    release(r);
}

/* All that was written is on the medium before the controller says that it is shut down. */
void nvme_shut_down(struct nvme *n)
{
    struct nvme_req *r = take(n);
    if (!r) { /* all of them are in flight: wait for them first */
        blk_drain(n->blk);
        r = take(n);
    }
    n->csts = (n->csts & ~(uint32_t)CSTS_SHST) | CSTS_SHUTTING;
    if (!r) {
        fatal(n, "shut down with full completion queues");
        return;
    }
    n->in_flight[0]++;
    r->sqid = 0;
    r->req = (struct blk_request){ .r = { .op = DISK_OP_FLUSH },
                                   .blk = n->blk,
                                   .done = shut_down_flushed };
    blk_submit(&r->req);
    blk_kick(n->blk);
}

static void write_cc(struct nvme *n, uint32_t val)
{
    uint32_t was = n->cc;
    n->cc = val & CC_WRITABLE;
    if (!(was & CC_EN) && n->cc & CC_EN)
        start(n);
    else if (was & CC_EN && !(n->cc & CC_EN))
        stop(n);
    if (!(was & CC_SHN) && n->cc & CC_SHN)
        nvme_shut_down(n);
    else if (was & CC_SHN && !(n->cc & CC_SHN))
        n->csts &= ~(uint32_t)CSTS_SHST;
}

/* --- registers --- */

static uint64_t bar_read(void *opaque, uint64_t off, unsigned size)
{
    const struct nvme *n = opaque;
    switch (off) {
    case REG_CAP: return (uint32_t)capabilities;
    case REG_CAP + 4: return capabilities >> 32;
    case REG_VS: return 0x00010400;
    case REG_INTMS:
    case REG_INTMC: return n->intms;
    case REG_CC: return n->cc;
    case REG_CSTS: return n->csts;
    case REG_AQA: return n->aqa;
    case REG_ASQ: return (uint32_t)n->asq;
    case REG_ASQ + 4: return n->asq >> 32;
    case REG_ACQ: return (uint32_t)n->acq;
    case REG_ACQ + 4: return n->acq >> 32;
    default: return 0;
    }
}

static void set_half(uint64_t *reg, bool high, uint32_t val)
{
    *reg = high ? (*reg & UINT32_MAX) | (uint64_t)val << 32
                : (*reg & ~(uint64_t)UINT32_MAX) | (val & ~UINT32_C(0xfff));
}

static void bar_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct nvme *n = opaque;
    uint32_t v = (uint32_t)val;
    if (off >= DOORBELLS && off < TABLE) {
        unsigned which = (unsigned)(off - DOORBELLS) / 4;
        if (!(n->csts & CSTS_RDY))
            guest_error(&n->pci.dev, "doorbell of a controller that is not ready");
        else if (which & 1)
            cq_doorbell(n, which / 2, v);
        else
            sq_doorbell(n, which / 2, v);
        return;
    }
    switch (off) {
    case REG_INTMS: n->intms |= v; break;
    case REG_INTMC: n->intms &= ~v; break;
    case REG_CC: write_cc(n, v); break;
    case REG_AQA: n->aqa = v & 0x0fff0fff; break;
    case REG_ASQ:
    case REG_ASQ + 4: set_half(&n->asq, off & 4, v); break;
    case REG_ACQ:
    case REG_ACQ + 4: set_half(&n->acq, off & 4, v); break;
    default: guest_error(&n->pci.dev, "write of %#x to register %#x", v, (unsigned)off);
    }
    if (off == REG_INTMS || off == REG_INTMC)
        update_pin(n);
}

static const struct mem_io_ops bar_ops = { bar_read, bar_write, 4, 4, false };

/* --- device --- */

static bool check_props(struct nvme *n, struct error *err)
{
    if (!n->conf.drive) {
        (void)fail(err, EINVAL, "no drive is given");
        return fail_hint(err, "add drive=ID of a -drive if=none,id=ID or a -blockdev");
    }
    if (!n->conf.drive->disk)
        return fail(err, ENOMEDIUM, "drive '%s' has no medium, which a disk needs",
                    n->conf.drive->id);
    if (n->num_queues)
        n->max_ioqpairs = n->num_queues - 1;
    if (n->max_ioqpairs < 1 || n->max_ioqpairs > NVME_PAIRS_MAX)
        return fail(err, EINVAL, "max_ioqpairs=%" PRIu32 ": it is 1 to %d", n->max_ioqpairs,
                    NVME_PAIRS_MAX);
    if (n->msix_qsize < 1 || n->msix_qsize > PCI_MSIX_VECTORS)
        return fail(err, EINVAL, "msix_qsize=%u: it is 1 to %d", n->msix_qsize, PCI_MSIX_VECTORS);
    if (n->mdts > 15)
        return fail(err, EINVAL, "mdts=%u: it is 0 (64 MiB) to 15", n->mdts);
    if (n->aerl >= NVME_AERS)
        return fail(err, EINVAL, "aerl=%u: it is 0 to %d", n->aerl, NVME_AERS - 1);
    if (!blk_conf_settle(&n->conf, &n->pci.dev, err))
        return false;
    if (!n->conf.serial || !*n->conf.serial) {
        (void)fail(err, EINVAL, "serial property not set");
        return fail_hint(err, "add serial=TEXT, 20 characters at most");
    }
    if (strlen(n->conf.serial) > 20)
        return fail(err, EINVAL, "serial '%s' is longer than 20 characters", n->conf.serial);
    if (n->conf.logical_block_size != 512 && n->conf.logical_block_size != 4096)
        return fail(err, EINVAL, "logical_block_size=%u: it is 512 or 4096 for NVMe",
                    n->conf.logical_block_size);
    return true;
}

static bool init_pci(struct nvme *n, struct error *err)
{
    uint32_t pba = ALIGN_UP(TABLE + n->msix_qsize * 16u, 4096u);
    uint64_t size = 16384;
    while (size < pba + ALIGN_UP(n->msix_qsize, 64u) / 8)
        size *= 2;
    pci_dev_init(&n->pci, &(const struct pci_id){ .vendor = n->use_intel_id ? 0x8086 : 0x1b36,
                                                  .device = n->use_intel_id ? 0x5845 : 0x0010,
                                                  .class_code = 0x0108,
                                                  .prog_if = 2,
                                                  .revision = 2,
                                                  .subsystem_vendor = 0x1af4,
                                                  .subsystem = 0x1100,
                                                  .pin = 1 });
    mem_region_init_io(&n->bar, "nvme", &bar_ops, n, size);
    pci_bar_add(&n->pci, 0, PCI_BAR_MEM64, &n->bar);
    pcie_endpoint_init(&n->pci);
    return pci_msix_init_in(&n->pci, n->msix_qsize, 0, &n->bar, TABLE, pba, err);
}

static bool nvme_init(struct device *dev, struct error *err)
{
    struct nvme *n = (struct nvme *)dev;
    if (!check_props(n, err) || !init_pci(n, err))
        return false;
    n->blk = blk_new(dev->ctx.loop, NULL, &n->conf, err);
    if (!n->blk)
        return false;
    blk_set_burst_end(n->blk, burst_end, n);
    timer_init(&n->resume, dev->ctx.loop, CLOCK_RT, resume, n);
    n->pool = xnew_array(struct nvme_req, NVME_IN_FLIGHT);
    for (unsigned i = 0; i < NVME_IN_FLIGHT; i++) {
        n->pool[i].n = n;
        release(&n->pool[i]);
    }
    for (unsigned i = 0; i < NVME_QUEUES; i++)
        n->waiting_last[i] = &n->waiting[i];
    return true;
}

static void nvme_finish(struct device *dev)
{
    struct nvme *n = (struct nvme *)dev;
    n->resetting = true;
    timer_cancel(&n->resume);
    blk_free(n->blk);
    for (unsigned i = 0; n->pool && i < NVME_IN_FLIGHT; i++) {
        sg_finish(&n->pool[i].sg);
        free(n->pool[i].buf);
    }
    free(n->pool);
    pci_dev_finish(&n->pci);
}

static void nvme_reset(struct device *dev)
{
    struct nvme *n = (struct nvme *)dev;
    stop(n);
    n->cc = n->aqa = 0;
    n->asq = n->acq = 0;
    n->lba_format = n->conf.logical_block_size == 4096;
    n->write_cache = blk_conf_write_cache(&n->conf);
    blk_set_write_through(n->blk, !n->write_cache);
    n->power_cycles++;
    pci_dev_reset(&n->pci);
}

static bool check_queues(const struct nvme *n)
{
    for (unsigned i = 0; i < NVME_QUEUES; i++) {
        bool there = i <= n->max_ioqpairs;
        if (n->cq_size[i] &&
            (!there || n->cq_head[i] >= n->cq_size[i] || n->cq_tail[i] >= n->cq_size[i]))
            return false;
        if (n->sq_size[i] && (!there || n->sq_head[i] >= n->sq_size[i] ||
                              n->sq_tail[i] >= n->sq_size[i] || n->sq_cq[i] >= NVME_QUEUES))
            return false;
        if (n->cq_size[i] == 1 || n->sq_size[i] == 1 || n->cq_vector[i] >= n->msix_qsize)
            return false;
    }
    return true;
}

static bool nvme_loaded(struct device *dev, struct error *err)
{
    struct nvme *n = (struct nvme *)dev;
    if (!check_queues(n) || n->aers > NVME_AERS || n->events > NVME_EVENTS ||
        (n->cc >> 7 & 15) > PAGE_SHIFT_MAX)
        return fail(err, EINVAL, "nvme '%s': the state's queues cannot be", dev->id);
    blk_set_write_through(n->blk, !n->write_cache);
    if (!pci_dev_loaded(&n->pci, err))
        return false;
    if (!pci_msix_enabled(&n->pci))
        update_pin(n);
    return true;
}

static void nvme_save(struct device *dev)
{
    struct nvme *n = (struct nvme *)dev;
    blk_drain(n->blk);
    nvme_flush_interrupts(n);
}

static void nvme_defaults(struct device *dev)
{
    struct nvme *n = (struct nvme *)dev;
    blk_conf_defaults(&n->conf);
    n->mdts = 7;
    n->aerl = 3;
    n->max_ioqpairs = 64;
    n->msix_qsize = 65;
}

#define S(...) FIELD(struct nvme, __VA_ARGS__)
#define A(...) FIELD_ARRAY(struct nvme, __VA_ARGS__)

const struct device_type nvme_type = {
    .name = "nvme",
    .doc = "Non-Volatile Memory Express controller",
    .bus = "PCI",
    .category = DEVICE_STORAGE,
    .size = sizeof(struct nvme),
    .props = FIELDS(BLK_PROPS(struct nvme, conf),
                    S(mdts, .max = 15, .doc = "largest transfer: 4096 << mdts bytes; 0: any"),
                    S(max_ioqpairs, .doc = "queue pairs for data"),
                    S(num_queues, .doc = "the same and one for the admin pair; deprecated"),
                    S(msix_qsize, .doc = "MSI-X vectors"),
                    S(aerl, .doc = "asynchronous event requests taken, less one"),
                    S(use_intel_id, .wire = "use-intel-id", .doc = "8086:5845 as PCI identity")),
    .state = FIELDS(
        PCI_DEV_STATE(struct nvme), PCI_MSIX_STATE(struct nvme), S(asq), S(acq), S(cc), S(csts),
        S(aqa), S(intms), A(sq_base), A(cq_base), A(sq_size, .max = NVME_QUEUE_ENTRIES),
        A(cq_size, .max = NVME_QUEUE_ENTRIES), A(sq_head), A(sq_tail), A(sq_cq), A(cq_head),
        A(cq_tail), A(cq_vector), A(cq_phase), A(cq_interrupts), S(shadow), S(event_index),
        A(aer_cid), S(aers, .max = NVME_AERS), A(event), S(events, .max = NVME_EVENTS),
        S(events_masked), S(f_arbitration), S(f_power), A(f_temperature), S(f_error_recovery),
        S(f_coalescing), S(f_write_atomicity), S(f_events), A(f_vector), S(write_cache),
        S(queues_asked), S(timestamp_ms), S(timestamp_at_ns), S(timestamp_set),
        S(lba_format, .max = NVME_LBA_FORMATS - 1), S(power_cycles), S(errors), A(error_log)),
    .defaults = nvme_defaults,
    .init = nvme_init,
    .finish = nvme_finish,
    .reset = nvme_reset,
    .loaded = nvme_loaded,
    .save = nvme_save,
};
