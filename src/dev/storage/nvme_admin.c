/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Admin commands (NVMe 1.4 chapter 5) but IDENTIFY. */
#include "base/endian.h"
#include "dev/storage/nvme_priv.h"

#include <string.h>

enum {
    OP_DELETE_SQ = 0x00,
    OP_CREATE_SQ = 0x01,
    OP_GET_LOG = 0x02,
    OP_DELETE_CQ = 0x04,
    OP_CREATE_CQ = 0x05,
    OP_IDENTIFY = 0x06,
    OP_ABORT = 0x08,
    OP_SET_FEATURES = 0x09,
    OP_GET_FEATURES = 0x0a,
    OP_ASYNC_EVENT = 0x0c,
    OP_FORMAT = 0x80,
    OP_DOORBELL_BUFFERS = 0x7c,
    CDW_NSID = 4,
    CDW_PRP1 = 24,
    CDW_PRP2 = 32,
    CDW10 = 40,
    CDW11 = 44,
    CDW12 = 48,
    CDW13 = 52,
    PHYSICALLY_CONTIGUOUS = 1,
    TEMPERATURE_KELVIN = 0x143,
    TEMPERATURE_WARNING = 0x157,
};

static uint32_t dword(const struct nvme_req *r, unsigned off)
{
    return ld_le32(r->cmd + off);
}

/* --- queues --- */

static bool bad_size(unsigned entries)
{
    return entries < 2 || entries > NVME_QUEUE_ENTRIES;
}

static uint16_t create_cq(struct nvme_req *r)
{
    struct nvme *n = r->n;
    unsigned id = dword(r, CDW10) & 0xffff, entries = (dword(r, CDW10) >> 16) + 1;
    unsigned flags = dword(r, CDW11) & 0xffff, vector = dword(r, CDW11) >> 16;
    gpa_t base = ld_le64(r->cmd + CDW_PRP1);
    if (!id || id > nvme_pairs(n) || n->cq_size[id])
        return NVME_INVALID_QID | NVME_DNR;
    if (bad_size(entries))
        return NVME_INVALID_QUEUE_SIZE | NVME_DNR;
    if (!base || base & (nvme_page_size(n) - 1))
        return NVME_INVALID_PRP_OFFSET | NVME_DNR;
    if (vector >= n->msix_qsize || (!pci_msix_enabled(&n->pci) && vector))
        return NVME_INVALID_VECTOR | NVME_DNR;
    if (!(flags & PHYSICALLY_CONTIGUOUS) || (n->cc >> 20 & 15) != 4)
        return NVME_INVALID_FIELD | NVME_DNR;
    n->cq_base[id] = base;
    n->cq_size[id] = (uint16_t)entries;
    n->cq_head[id] = n->cq_tail[id] = 0;
    n->cq_vector[id] = (uint16_t)vector;
    n->cq_phase[id] = true;
    n->cq_interrupts[id] = flags & 2;
    return NVME_OK;
}

static uint16_t delete_cq(struct nvme_req *r)
{
    struct nvme *n = r->n;
    unsigned id = dword(r, CDW10) & 0xffff;
    if (!id || id > nvme_pairs(n) || !n->cq_size[id])
        return NVME_INVALID_QID | NVME_DNR;
    if (!nvme_cq_idle(n, id))
        return NVME_INVALID_QUEUE_DELETION | NVME_DNR;
    n->cq_size[id] = 0;
    n->cq_interrupts[id] = false;
    n->notify[id] = true; /* its interrupt may go away */
    return NVME_OK;
}

static uint16_t create_sq(struct nvme_req *r)
{
    struct nvme *n = r->n;
    unsigned id = dword(r, CDW10) & 0xffff, entries = (dword(r, CDW10) >> 16) + 1;
    unsigned flags = dword(r, CDW11) & 0xffff, cq = dword(r, CDW11) >> 16;
    gpa_t base = ld_le64(r->cmd + CDW_PRP1);
    if (!cq || cq > nvme_pairs(n) || !n->cq_size[cq])
        return NVME_INVALID_CQ | NVME_DNR;
    if (!id || id > nvme_pairs(n) || n->sq_size[id])
        return NVME_INVALID_QID | NVME_DNR;
    if (bad_size(entries))
        return NVME_INVALID_QUEUE_SIZE | NVME_DNR;
    if (!base || base & (nvme_page_size(n) - 1))
        return NVME_INVALID_PRP_OFFSET | NVME_DNR;
    if (!(flags & PHYSICALLY_CONTIGUOUS) || (n->cc >> 16 & 15) != 6)
        return NVME_INVALID_FIELD | NVME_DNR;
    n->sq_base[id] = base;
    n->sq_size[id] = (uint16_t)entries;
    n->sq_head[id] = n->sq_tail[id] = 0;
    n->sq_cq[id] = (uint16_t)cq;
    return NVME_OK;
}

/* Completes when nothing of the queue is in flight any more. */
static uint16_t delete_sq(struct nvme_req *r)
{
    struct nvme *n = r->n;
    unsigned id = dword(r, CDW10) & 0xffff;
    if (!id || id > nvme_pairs(n) || !n->sq_size[id] || n->deleting[id])
        return NVME_INVALID_QID | NVME_DNR;
    if (n->in_flight[id]) {
        n->deleting[id] = r;
        return NVME_NO_COMPLETION;
    }
    nvme_drop_queue(n, id);
    return NVME_OK;
}

static uint16_t doorbell_buffers(struct nvme_req *r)
{
    gpa_t shadow = ld_le64(r->cmd + CDW_PRP1), event_index = ld_le64(r->cmd + CDW_PRP2);
    if (!shadow || !event_index || (shadow | event_index) & (nvme_page_size(r->n) - 1))
        return NVME_INVALID_FIELD | NVME_DNR;
    r->n->shadow = shadow;
    r->n->event_index = event_index;
    return NVME_OK;
}

/* --- events --- */

static uint16_t async_event(struct nvme_req *r)
{
    struct nvme *n = r->n;
    if (n->aers > n->aerl || n->aers == NVME_AERS)
        return NVME_TOO_MANY_AERS | NVME_DNR;
    n->aer_cid[n->aers++] = r->cid;
    r->used = false; /* only its identifier is kept: see nvme.c */
    return NVME_NO_COMPLETION;
}

/* --- log pages (5.14) --- */

static void add_counter(uint8_t *p, uint64_t v)
{
    st_le64(p, v);
}

static void health_log(struct nvme *n, uint8_t *log)
{
    struct blk_stats s;
    blk_stats_get(n->blk, &s);
    st_le16(log + 1, TEMPERATURE_KELVIN);
    log[3] = 100; /* available spare, % */
    log[4] = 10;
    /* thousands of 512 bytes */
    add_counter(log + 32, (s.bytes[DISK_OP_READ] / 512 + 999) / 1000);
    add_counter(log + 48, (s.bytes[DISK_OP_WRITE] / 512 + 999) / 1000);
    add_counter(log + 64, s.count[DISK_OP_READ]);
    add_counter(log + 80, s.count[DISK_OP_WRITE]);
    add_counter(log + 112, n->power_cycles);
    add_counter(log + 128, (uint64_t)device_now_ns(&n->pci.dev) / UINT64_C(3600000000000));
    add_counter(log + 176, n->errors);
    n->events_masked &= ~BIT(1);
}

static void firmware_log(uint8_t *log)
{
    log[0] = 1; /* slot 1 is active */
    memcpy(log + 8, "1.0     ", 8);
}

/* Which commands there are, and that some change blocks (5.14.1.5). */
static void effects_log(uint8_t *log)
{
    static const uint8_t admin[] = { 0x00, 0x01, 0x02, 0x04, 0x05, 0x06,
                                     0x08, 0x09, 0x0a, 0x0c, 0x7c };
    static const uint8_t io[] = { 0x00, 0x02, 0x05, 0x0c };
    static const uint8_t changes[] = { 0x01, 0x08, 0x09 };
    for (unsigned i = 0; i < ARRAY_SIZE(admin); i++)
        st_le32(log + admin[i] * 4u, 1);
    st_le32(log + OP_FORMAT * 4u, 0x20003); /* changes content; no other command meanwhile */
    for (unsigned i = 0; i < ARRAY_SIZE(io); i++)
        st_le32(log + 1024 + io[i] * 4u, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(changes); i++)
        st_le32(log + 1024 + changes[i] * 4u, 3);
}

static uint16_t get_log(struct nvme_req *r)
{
    enum { ERRORS = 1, HEALTH = 2, FIRMWARE = 3, EFFECTS = 5 };
    struct nvme *n = r->n;
    uint32_t cdw10 = dword(r, CDW10), nsid = dword(r, CDW_NSID);
    uint64_t dwords = (cdw10 >> 16 | (uint64_t)(dword(r, CDW11) & 0xffff) << 16) + 1;
    uint64_t at = dword(r, CDW12) | (uint64_t)dword(r, CDW13) << 32;
    uint8_t log[4096] = { 0 };
    uint32_t size = 512;
    if (dwords * 4 > MIN(nvme_max_transfer(n), NVME_BUFFER_MAX) || at & 3)
        return NVME_INVALID_FIELD | NVME_DNR;
    switch (cdw10 & 0xff) {
    case ERRORS:
        size = 64 * 4;
        memcpy(log, n->error_log, sizeof n->error_log);
        if (!(cdw10 & BIT(15))) /* retain */
            n->events_masked &= ~BIT(0);
        break;
    case HEALTH:
        if (nsid && nsid != UINT32_MAX && nsid != NVME_NSID)
            return NVME_INVALID_FIELD | NVME_DNR;
        health_log(n, log);
        break;
    case FIRMWARE: firmware_log(log); break;
    case EFFECTS:
        size = 4096;
        effects_log(log);
        break;
    default: return NVME_INVALID_LOG_PAGE | NVME_DNR;
    }
    if (at >= size)
        return NVME_INVALID_FIELD | NVME_DNR;
    return nvme_give(r, log + at, size - (uint32_t)at, (uint32_t)dwords * 4);
}

/* --- features (5.21) --- */

void nvme_features_reset(struct nvme *n)
{
    n->f_arbitration = 7; /* burst: no limit */
    n->f_power = n->f_error_recovery = n->f_coalescing = n->f_write_atomicity = n->f_events = 0;
    n->f_temperature[0] = TEMPERATURE_WARNING;
    n->f_temperature[1] = 0;
    for (unsigned i = 0; i < NVME_QUEUES; i++)
        n->f_vector[i] = i;
    n->queues_asked = false;
    n->timestamp_set = false;
    n->timestamp_ms = 0;
    n->timestamp_at_ns = device_now_ns(&n->pci.dev);
}

/* Where a plain feature lives; NULL: it is not one of these. */
static uint32_t *feature_word(struct nvme *n, unsigned id)
{
    switch (id) {
    case NVME_F_ARBITRATION: return &n->f_arbitration;
    case NVME_F_POWER: return &n->f_power;
    case NVME_F_ERROR_RECOVERY: return &n->f_error_recovery;
    case NVME_F_COALESCING: return &n->f_coalescing;
    case NVME_F_WRITE_ATOMICITY: return &n->f_write_atomicity;
    case NVME_F_EVENTS: return &n->f_events;
    default: return NULL;
    }
}

/* The threshold that CDW11 names: over or under, of the composite temperature. */
static uint32_t *threshold(struct nvme *n, uint32_t cdw11)
{
    unsigned sensor = cdw11 >> 16 & 15, type = cdw11 >> 20 & 3;
    return sensor || type > 1 ? NULL : &n->f_temperature[type];
}

static uint16_t get_timestamp(struct nvme_req *r)
{
    struct nvme *n = r->n;
    int64_t ms = n->timestamp_ms + (device_now_ns(&n->pci.dev) - n->timestamp_at_ns) / 1000000;
    uint8_t buf[8];
    st_le64(buf, ((uint64_t)ms & BITS(47, 0)) | (n->timestamp_set ? UINT64_C(1) << 49 : 0));
    return nvme_give(r, buf, sizeof buf, sizeof buf);
}

static uint16_t supported_capabilities(struct nvme_req *r, unsigned id)
{
    enum { CHANGEABLE = 4, NAMESPACE = 2 };
    r->result = CHANGEABLE | (id == NVME_F_ERROR_RECOVERY ? NAMESPACE : 0);
    return NVME_OK;
}

static uint32_t default_value(unsigned id, uint32_t cdw11)
{
    switch (id) {
    case NVME_F_ARBITRATION: return 7;
    case NVME_F_TEMPERATURE: return cdw11 >> 20 & 3 ? 0 : TEMPERATURE_WARNING;
    default: return 0;
    }
}

static uint16_t get_features(struct nvme_req *r)
{
    enum { CURRENT, DEFAULT, SAVED, CAPABILITIES };
    struct nvme *n = r->n;
    uint32_t cdw10 = dword(r, CDW10), cdw11 = dword(r, CDW11);
    unsigned id = cdw10 & 0xff, select = cdw10 >> 8 & 7;
    uint32_t *word = feature_word(n, id);
    bool special = id == NVME_F_TEMPERATURE || id == NVME_F_WRITE_CACHE || id == NVME_F_QUEUES ||
                   id == NVME_F_VECTOR || id == NVME_F_TIMESTAMP;
    if ((!word && !special) || select > CAPABILITIES)
        return NVME_INVALID_FIELD | NVME_DNR;
    if (select == CAPABILITIES)
        return supported_capabilities(r, id);
    if (word || id == NVME_F_TEMPERATURE) {
        if (id == NVME_F_TEMPERATURE)
            word = threshold(n, cdw11);
        if (!word)
            return NVME_INVALID_FIELD | NVME_DNR;
        r->result = select == CURRENT ? *word : default_value(id, cdw11);
        return NVME_OK;
    }
    switch (id) {
    case NVME_F_WRITE_CACHE:
        r->result = select == CURRENT ? n->write_cache : blk_conf_write_cache(&n->conf);
        return NVME_OK;
    case NVME_F_QUEUES: r->result = (nvme_pairs(n) - 1) | (nvme_pairs(n) - 1) << 16; return NVME_OK;
    case NVME_F_VECTOR: {
        unsigned vector = cdw11 & 0xffff;
        if (vector >= n->msix_qsize)
            return NVME_INVALID_FIELD | NVME_DNR;
        r->result = vector < NVME_QUEUES ? n->f_vector[vector] : vector;
        return NVME_OK;
    }
    default: return get_timestamp(r);
    }
}

static uint16_t set_timestamp(struct nvme_req *r)
{
    uint8_t buf[8];
    uint16_t status = nvme_take(r, buf, sizeof buf, true);
    if (status)
        return status;
    r->n->timestamp_ms = (int64_t)(ld_le64(buf) & BITS(47, 0));
    r->n->timestamp_at_ns = device_now_ns(&r->n->pci.dev);
    r->n->timestamp_set = true;
    return NVME_OK;
}

static uint16_t set_queues(struct nvme_req *r, uint32_t cdw11)
{
    struct nvme *n = r->n;
    if ((cdw11 & 0xffff) == 0xffff || cdw11 >> 16 == 0xffff)
        return NVME_INVALID_FIELD | NVME_DNR;
    for (unsigned i = 1; i < NVME_QUEUES; i++)
        if (n->cq_size[i] || n->sq_size[i])
            return NVME_SEQUENCE_ERROR | NVME_DNR; /* only before queues are made */
    n->queues_asked = true;
    r->result = (nvme_pairs(n) - 1) | (nvme_pairs(n) - 1) << 16;
    return NVME_OK;
}

static uint16_t set_features(struct nvme_req *r)
{
    struct nvme *n = r->n;
    uint32_t cdw10 = dword(r, CDW10), cdw11 = dword(r, CDW11);
    unsigned id = cdw10 & 0xff, vector = cdw11 & 0xffff;
    uint32_t *word = feature_word(n, id);
    if (cdw10 & BIT(31))
        return NVME_NOT_SAVEABLE | NVME_DNR;
    if (id == NVME_F_POWER && cdw11 & 0x1f) /* there is one power state */
        return NVME_INVALID_FIELD | NVME_DNR;
    if (id == NVME_F_TEMPERATURE) {
        word = threshold(n, cdw11);
        cdw11 &= 0xffff;
    }
    if (word) {
        *word = cdw11;
        return NVME_OK;
    }
    switch (id) {
    case NVME_F_WRITE_CACHE: return nvme_set_write_cache(r, cdw11 & 1);
    case NVME_F_QUEUES: return set_queues(r, cdw11);
    case NVME_F_VECTOR:
        if (vector >= n->msix_qsize)
            return NVME_INVALID_FIELD | NVME_DNR;
        if (vector < NVME_QUEUES)
            n->f_vector[vector] = cdw11 & 0x1ffff;
        return NVME_OK;
    case NVME_F_TIMESTAMP: return set_timestamp(r);
    default: return NVME_INVALID_FIELD | NVME_DNR;
    }
}

uint16_t nvme_admin(struct nvme_req *r)
{
    if (r->cmd[1] & 3) /* fused */
        return NVME_INVALID_FIELD | NVME_DNR;
    switch (r->cmd[0]) {
    case OP_DELETE_SQ: return delete_sq(r);
    case OP_CREATE_SQ: return create_sq(r);
    case OP_GET_LOG: return get_log(r);
    case OP_DELETE_CQ: return delete_cq(r);
    case OP_CREATE_CQ: return create_cq(r);
    case OP_IDENTIFY: return nvme_identify(r);
    case OP_ABORT: r->result = 1; return NVME_OK; /* the command is under way: not aborted */
    case OP_SET_FEATURES: return set_features(r);
    case OP_GET_FEATURES: return get_features(r);
    case OP_ASYNC_EVENT: return async_event(r);
    case OP_FORMAT: return nvme_format(r);
    case OP_DOORBELL_BUFFERS: return doorbell_buffers(r);
    default: return NVME_INVALID_OPCODE | NVME_DNR;
    }
}
