/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to the NVMe controller: nvme.c (registers, queues), nvme_admin.c, nvme_identify.c,
 * nvme_io.c (commands of the namespace). Section numbers are of NVMe 1.4. Machine lock held
 * everywhere.
 */
#ifndef DEV_STORAGE_NVME_PRIV_H
#define DEV_STORAGE_NVME_PRIV_H

#include "base/bits.h"
#include "dev/pci/msi.h"
#include "dev/storage/blk.h"
#include "dev/storage/nvme.h"
#include "dev/storage/sg.h"

enum {
    NVME_PAIRS_MAX = 256, /* I/O queue pairs */
    NVME_QUEUES = NVME_PAIRS_MAX + 1,
    NVME_QUEUE_ENTRIES = 2048,
    NVME_IN_FLIGHT = 1024, /* commands taken from all queues and not yet completed */
    NVME_AERS = 16,
    NVME_EVENTS = 8,
    NVME_SQE = 64,
    NVME_CQE = 16,
    NVME_PAGE = 4096,
    NVME_NSID = 1,
    NVME_LBA_FORMATS = 2,        /* blocks of 512 and of 4096 bytes */
    NVME_BUFFER_MAX = 512 << 10, /* of COMPARE and VERIFY */
};

/* Status: type << 8 | code (4.6.1); NVME_DNR: do not retry. */
enum nvme_status {
    NVME_OK = 0,
    NVME_INVALID_OPCODE = 0x001,
    NVME_INVALID_FIELD = 0x002,
    NVME_DATA_TRANSFER_ERROR = 0x004,
    NVME_INTERNAL_ERROR = 0x006,
    NVME_ABORTED_SQ_DELETED = 0x008,
    NVME_INVALID_NAMESPACE = 0x00b,
    NVME_SEQUENCE_ERROR = 0x00c,
    NVME_INVALID_SGL_SEGMENT = 0x00d,
    NVME_INVALID_SGL_LENGTH = 0x00f,
    NVME_INVALID_SGL_TYPE = 0x011,
    NVME_INVALID_PRP_OFFSET = 0x013,
    NVME_LBA_RANGE = 0x080,
    NVME_CAPACITY = 0x081,
    NVME_INVALID_CQ = 0x100,
    NVME_INVALID_QID = 0x101,
    NVME_INVALID_QUEUE_SIZE = 0x102,
    NVME_TOO_MANY_AERS = 0x105,
    NVME_INVALID_VECTOR = 0x108,
    NVME_INVALID_LOG_PAGE = 0x109,
    NVME_INVALID_FORMAT = 0x10a,
    NVME_INVALID_QUEUE_DELETION = 0x10c,
    NVME_NOT_SAVEABLE = 0x10d,
    NVME_NOT_CHANGEABLE = 0x10e,
    NVME_READ_ONLY = 0x182,
    NVME_WRITE_FAULT = 0x280,
    NVME_UNRECOVERED_READ = 0x281,
    NVME_COMPARE_FAILURE = 0x285,
    NVME_DNR = 0x4000,
    NVME_NO_COMPLETION = 0xffff, /* from a command's function: it is completed later */
};

/* Feature identifiers (5.21.1) */
enum nvme_feature {
    NVME_F_ARBITRATION = 0x01,
    NVME_F_POWER = 0x02,
    NVME_F_TEMPERATURE = 0x04,
    NVME_F_ERROR_RECOVERY = 0x05,
    NVME_F_WRITE_CACHE = 0x06,
    NVME_F_QUEUES = 0x07,
    NVME_F_COALESCING = 0x08,
    NVME_F_VECTOR = 0x09,
    NVME_F_WRITE_ATOMICITY = 0x0a,
    NVME_F_EVENTS = 0x0b,
    NVME_F_TIMESTAMP = 0x0e,
};

struct nvme;

/* A command, from its fetch to its completion entry. */
struct nvme_req {
    struct blk_request req;
    struct nvme *n;
    struct nvme_req *next; /* free, or waiting for room in its completion queue */
    uint8_t cmd[NVME_SQE]; /* copied once */
    uint16_t sqid, cid, status;
    uint32_t result;
    bool used;
    struct sg sg;
    uint8_t *buf; /* own data: ranges, compared blocks; freed at completion */
    uint32_t len, at, count;
    uint64_t lba;
};

struct nvme {
    struct pci_dev pci;
    /* properties */
    struct blk_conf conf;
    uint8_t mdts, aerl;
    uint32_t max_ioqpairs, num_queues;
    uint16_t msix_qsize;
    bool use_intel_id;
    /* constant after init */
    struct blk *blk;
    struct mem_region bar;
    /* state */
    uint64_t asq, acq;
    uint32_t cc, csts, aqa, intms;
    uint64_t sq_base[NVME_QUEUES], cq_base[NVME_QUEUES];
    uint16_t sq_size[NVME_QUEUES], cq_size[NVME_QUEUES]; /* entries; 0: no such queue */
    uint16_t sq_head[NVME_QUEUES], sq_tail[NVME_QUEUES], sq_cq[NVME_QUEUES];
    uint16_t cq_head[NVME_QUEUES], cq_tail[NVME_QUEUES], cq_vector[NVME_QUEUES];
    bool cq_phase[NVME_QUEUES], cq_interrupts[NVME_QUEUES];
    uint64_t shadow, event_index; /* doorbell buffers; 0: none */
    uint16_t aer_cid[NVME_AERS];
    uint8_t aers;
    uint32_t event[NVME_EVENTS]; /* that wait for an AER command */
    uint8_t events;
    uint8_t events_masked; /* by type: until the log page is read */
    uint32_t f_arbitration, f_power, f_temperature[2], f_error_recovery, f_coalescing;
    uint32_t f_write_atomicity, f_events;
    uint32_t f_vector[NVME_QUEUES];
    bool write_cache, queues_asked;
    int64_t timestamp_ms, timestamp_at_ns; /* value set, and when */
    bool timestamp_set;
    uint8_t lba_format;
    uint64_t power_cycles, errors;
    uint8_t error_log[64];
    /* in flight; none when a state is saved */
    struct nvme_req *pool, *free;
    struct nvme_req *waiting[NVME_QUEUES], **waiting_last[NVME_QUEUES]; /* by completion queue */
    uint16_t in_flight[NVME_QUEUES];                                    /* by submission queue */
    struct nvme_req *deleting[NVME_QUEUES]; /* DELETE I/O SQ that waits for the last one */
    bool notify[NVME_QUEUES];               /* entries were posted since the last interrupt */
    bool starved;                           /* some queue was left alone: no free request */
    bool resetting, processing, again;
    struct timer resume; /* for what was left so that others get their turn */
};

/* --- nvme.c --- */
void nvme_complete(struct nvme_req *r, uint16_t status);
void nvme_flush_interrupts(struct nvme *n); /* after a burst of completions */
void nvme_process(struct nvme *n, unsigned sqid);
void nvme_process_all(struct nvme *n);
void nvme_drop_queue(struct nvme *n, unsigned sqid); /* SQ: nothing of it is in flight */
bool nvme_cq_idle(const struct nvme *n, unsigned cqid);
void nvme_event(struct nvme *n, uint8_t type, uint8_t info, uint8_t log);
void nvme_events_deliver(struct nvme *n);
struct mem *nvme_dma(struct nvme *n);
static inline uint32_t nvme_page_size(const struct nvme *n)
{
    return NVME_PAGE << (n->cc >> 7 & 15);
}

/* --- nvme_data.c: memory of a command (4.3, 4.4) --- */
uint16_t nvme_map(struct nvme_req *r, uint32_t len, bool to_guest, bool admin);
uint16_t nvme_give(struct nvme_req *r, const void *data, uint32_t have, uint32_t len); /* admin */
uint16_t nvme_take(struct nvme_req *r, void *data, uint32_t len, bool admin);

/* --- commands: a status, or NVME_NO_COMPLETION --- */
uint16_t nvme_admin(struct nvme_req *r);
uint16_t nvme_identify(struct nvme_req *r);
uint16_t nvme_io(struct nvme_req *r);
uint16_t nvme_format(struct nvme_req *r);
uint16_t nvme_set_write_cache(struct nvme_req *r, bool on);
void nvme_features_reset(struct nvme *n);
void nvme_shut_down(struct nvme *n);

static inline unsigned nvme_block_shift(const struct nvme *n)
{
    return n->lba_format ? 12 : 9;
}
static inline uint64_t nvme_blocks(const struct nvme *n)
{
    return blk_sectors(n->blk) >> (nvme_block_shift(n) - 9);
}
static inline unsigned nvme_pairs(const struct nvme *n)
{
    return n->max_ioqpairs;
}
static inline uint64_t nvme_max_transfer(const struct nvme *n)
{
    return n->mdts ? (uint64_t)NVME_PAGE << n->mdts : UINT32_C(64) << 20;
}

#endif
