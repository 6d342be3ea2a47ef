/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SCSI (SAM-5, SPC-4): a bus of logical units, requests with a command block, data in and out by
 * scattered pieces, sense data, unit attentions, task management. An adapter (virtio-scsi) makes
 * requests of what its guest sends; logical units (scsi-hd, scsi-cd) carry them out.
 *
 * A bus has a home context, in which the adapter submits and gets requests back: the main loop's,
 * or an I/O thread. Units whose commands need the machine lock run in the main loop's anyway; the
 * bus hands their requests over and back.
 */
#ifndef DEV_STORAGE_SCSI_H
#define DEV_STORAGE_SCSI_H

#include <stdatomic.h>

#include "dev/bus.h"
#include "dev/storage/blk.h"

enum {
    SCSI_CDB_MAX = 32,
    SCSI_SENSE_SIZE = 18,  /* fixed format */
    SCSI_PARAM_MAX = 4120, /* bytes of a parameter list: UNMAP with 256 ranges and its header */
    SCSI_LUN_MAX = 16383,  /* by single level addressing */
};

enum scsi_status {
    SCSI_GOOD = 0x00,
    SCSI_CHECK_CONDITION = 0x02,
    SCSI_BUSY = 0x08,
    SCSI_RESERVATION_CONFLICT = 0x18,
    SCSI_TASK_SET_FULL = 0x28,
};

/* How a request ended beside its SCSI status. */
enum scsi_outcome {
    SCSI_DONE,
    SCSI_OVERRUN, /* the command wants to move more than there is room for; nothing was done */
    SCSI_ABORTED, /* by task management */
    SCSI_RESET,   /* by a reset of the unit, target or bus */
};

struct scsi_sense {
    uint8_t key, asc, ascq;
};
/* Sense codes (SPC-4 annex D); the ones of the media are in scsi_hd_io.c. */
#define SCSI_NO_SENSE          ((struct scsi_sense){ 0, 0, 0 })
#define SCSI_NOT_READY_STOPPED ((struct scsi_sense){ 2, 0x04, 0x02 })
#define SCSI_NO_MEDIUM         ((struct scsi_sense){ 2, 0x3a, 0x00 })
#define SCSI_PARAM_LENGTH      ((struct scsi_sense){ 5, 0x1a, 0x00 })
#define SCSI_INVALID_OPCODE    ((struct scsi_sense){ 5, 0x20, 0x00 })
#define SCSI_LBA_RANGE         ((struct scsi_sense){ 5, 0x21, 0x00 })
#define SCSI_INVALID_FIELD     ((struct scsi_sense){ 5, 0x24, 0x00 })
#define SCSI_NO_SUCH_LUN       ((struct scsi_sense){ 5, 0x25, 0x00 })
#define SCSI_PARAM_FIELD       ((struct scsi_sense){ 5, 0x26, 0x00 })
#define SCSI_NO_SAVING         ((struct scsi_sense){ 5, 0x39, 0x00 })
#define SCSI_REMOVAL_PREVENTED ((struct scsi_sense){ 5, 0x53, 0x02 })
#define SCSI_WRITE_PROTECTED   ((struct scsi_sense){ 7, 0x27, 0x00 })

/* Unit attentions that wait to be reported, lowest bit first. */
enum scsi_attention {
    SCSI_UA_RESET = 1 << 0,    /* 29/00 power on, reset */
    SCSI_UA_MEDIUM = 1 << 1,   /* 28/00 */
    SCSI_UA_CAPACITY = 1 << 2, /* 2a/09 */
    SCSI_UA_LUNS = 1 << 3,     /* 3f/0e reported LUNs data has changed */
    SCSI_UA_ALL = 15,
};

struct scsi_bus;
struct scsi_lun;

/* Memory belongs to the adapter, from scsi_submit() to done(). */
struct scsi_request {
    /* filled by the adapter */
    uint32_t channel, id, lun;
    uint64_t tag;
    uint8_t cdb[SCSI_CDB_MAX];            /* zeroes behind its end */
    struct disk_vec out, in;              /* from, to the initiator */
    void (*done)(struct scsi_request *q); /* in the home context; also from inside scsi_submit() */
    /* answers */
    enum scsi_outcome outcome;
    uint8_t status;
    uint8_t sense_len; /* 0: none */
    uint8_t sense[SCSI_SENSE_SIZE];
    uint64_t moved; /* bytes that went in or out */
    /* private */
    struct scsi_bus *bus;
    struct scsi_lun *unit;
    struct scsi_request *prev, *next;   /* of the bus, under way */
    struct scsi_request *wait_next;     /* in a mailbox, or held by a unit */
    uint64_t number;                    /* in order of arrival */
    _Atomic(enum scsi_outcome) aborted; /* SCSI_DONE: no. Either context */
    /* the unit's, while it works on it */
    struct blk_request io;
    uint64_t lba, blocks;
    uint64_t pos; /* progress of what takes several steps */
    void *buffer; /* freed with the request */
    void (*step)(struct scsi_request *q, int result);
};

struct scsi_tmf {
    enum scsi_tmf_kind {
        SCSI_ABORT_TASK,
        SCSI_ABORT_TASK_SET, /* of the unit */
        SCSI_LUN_RESET,
        SCSI_TARGET_RESET,
        SCSI_BUS_RESET,
        SCSI_QUERY_TASK,
        SCSI_QUERY_TASK_SET,
    } kind;
    uint32_t channel, id, lun;
    uint64_t tag;
    void (*done)(struct scsi_tmf *t); /* home context; the requests are done before */
    bool no_target, no_lun;           /* answers */
    bool found;                       /* a query's: there is such a task */
    /* private */
    uint64_t number;
    struct scsi_tmf *next;
};

/* What an adapter can do beyond requests; slots may be NULL. Machine lock held, except: */
struct scsi_adapter {
    /* several requests may have come back: time for one interrupt. Home context */
    void (*burst_end)(struct scsi_bus *b);
    /* Something of the unit changed that the guest should look at: reason is ASC | ASCQ << 8. */
    void (*changed)(struct scsi_bus *b, struct scsi_lun *u, uint16_t reason);
    /* the unit came, is about to go */
    void (*plugged)(struct scsi_bus *b, struct scsi_lun *u, bool here);
};

struct scsi_bus {
    struct device_bus bus;
    /* constant after init */
    const struct scsi_adapter *adapter;
    struct ioctx *ctx, *main_ctx; /* home; the main loop's */
    uint32_t max_channel, max_id, max_lun;
    /* home context */
    struct scsi_lun *units; /* in order of plugging; changes while the context stands still */
    struct scsi_request *first, *last; /* under way */
    struct scsi_tmf *tmfs;             /* wait for requests */
    uint64_t numbers;
    struct scsi_post *post; /* requests between contexts */
};

extern const struct bus_type scsi_bus_type;

/* --- adapters --- */

/* From the adapter's init. ctx NULL: the main loop's. */
void scsi_bus_init(struct scsi_bus *b, struct device *owner, const struct scsi_adapter *adapter,
                   struct ioctx *ctx, uint32_t max_channel, uint32_t max_id, uint32_t max_lun);
void scsi_bus_finish(struct scsi_bus *b); /* nothing is under way */

/* Home context. */
void scsi_submit(struct scsi_bus *b, struct scsi_request *q);
void scsi_kick(struct scsi_bus *b); /* after a burst of submits */
void scsi_manage(struct scsi_bus *b, struct scsi_tmf *t);
struct scsi_lun *scsi_find(struct scsi_bus *b, uint32_t channel, uint32_t id, uint32_t lun);
bool scsi_has_target(struct scsi_bus *b, uint32_t channel, uint32_t id);

/* Machine lock held, nothing of the home context runs (a virtio reset): all requests end, as
 * SCSI_RESET, before it returns. */
void scsi_bus_stop(struct scsi_bus *b);

/* --- logical units --- */

struct scsi_lun_type {
    /* Carries out q->cdb; ends in scsi_good() and the like, at once or later. Unit attentions,
     * REPORT LUNS and REQUEST SENSE were seen to before. In the unit's context. */
    void (*execute)(struct scsi_request *q);
    /* the sense data that a REQUEST SENSE gives, cleared with it; NULL: the attentions alone */
    struct scsi_sense (*take_sense)(struct scsi_lun *u);
    /* a unit attention kept by the unit itself; false: none. NULL: it has none */
    bool (*take_attention)(struct scsi_lun *u, uint8_t opcode, struct scsi_sense *ret);
    /* as after power-on, for task management; before the next command */
    void (*reset)(struct scsi_lun *u);
    bool needs_machine_lock; /* its context is the main loop's */
};

/* A unit's struct begins with this. */
struct scsi_lun {
    struct device dev;
    const struct scsi_lun_type *type;
    struct scsi_bus *bus;
    struct scsi_lun *next_unit;
    struct blk *blk; /* NULL: a CD-ROM that never has a medium */
    /* properties; UINT32_MAX: the first free one */
    uint32_t channel, id, lun;
    struct blk_conf conf;
    char *vendor, *product, *ver, *device_id;
    uint64_t wwn, port_wwn;
    uint16_t port_index;
    int32_t scsi_version;
    uint64_t max_io_size;
    /* state */
    _Atomic(uint32_t) attention; /* enum scsi_attention; any thread */
    atomic_bool reset_wanted;
    uint32_t attention_saved; /* for the state table */
};

#define SCSI_LUN_PROPS(T, m)                                                                       \
    BLK_PROPS(T, m.conf), FIELD(T, m.channel, .wire = "channel", .doc = "channel of the bus [0]"), \
        FIELD(T, m.id, .wire = "scsi-id", .doc = "target number [first free]"),                    \
        FIELD(T, m.lun, .wire = "lun", .doc = "logical unit number [first free]"),                 \
        FIELD(T, m.vendor, .wire = "vendor", .doc = "up to 8 characters [QEMU]"),                  \
        FIELD(T, m.product, .wire = "product", .doc = "up to 16 characters"),                      \
        FIELD(T, m.ver, .wire = "ver", .doc = "revision, up to 4 characters [2.5+]"),              \
        FIELD(T, m.device_id, .wire = "device_id",                                                 \
              .doc = "identification in VPD page 83 [serial, or the drive's id]"),                 \
        FIELD(T, m.wwn, .wire = "wwn", .doc = "world wide name of the unit"),                      \
        FIELD(T, m.port_wwn, .wire = "port_wwn", .doc = "world wide name of the target port"),     \
        FIELD(T, m.port_index, .wire = "port_index", .doc = "relative number of the port"),        \
        FIELD(T, m.scsi_version, .wire = "scsi_version", .min = 3, .max = 7,                       \
              .doc = "version in INQUIRY: 5 is SPC-3, 6 SPC-4 [5]"),                               \
        FIELD(T, m.max_io_size, .wire = "max_io_size", .doc = "largest transfer in VPD page b0")
#define SCSI_LUN_STATE(T, m) FIELD(T, m.attention_saved, .max = SCSI_UA_ALL)

void scsi_lun_defaults(struct scsi_lun *u);
/* From the unit's init: names it, checks properties. */
bool scsi_lun_init(struct scsi_lun *u, const struct scsi_lun_type *type, struct error *err);
void scsi_lun_plugged(struct scsi_lun *u); /* the last thing in init: the guest may look for it */
/* From finish, first: its requests end, and no more come. */
void scsi_lun_leave(struct scsi_lun *u);
void scsi_lun_save(struct scsi_lun *u);
void scsi_lun_loaded(struct scsi_lun *u);
void scsi_lun_reset(struct scsi_lun *u); /* power on: a unit attention */
struct ioctx *scsi_lun_ctx(const struct scsi_lun *u);
/* Sets the attention and tells the adapter. Machine lock held. */
void scsi_lun_changed(struct scsi_lun *u, enum scsi_attention ua);

/* For blk_set_burst_end() with the unit. */
void scsi_lun_burst_end(void *unit);

/* Ends a request. In the unit's context. */
void scsi_good(struct scsi_request *q);
void scsi_check(struct scsi_request *q, struct scsi_sense s);
void scsi_check_info(struct scsi_request *q, struct scsi_sense s, uint32_t info);
void scsi_overrun(struct scsi_request *q);
/* GOOD with len bytes of data, cut to the CDB's allocation length; an overrun when there is not
 * that much room. */
void scsi_reply(struct scsi_request *q, const void *data, size_t len, uint64_t alloc);
/* The parameter list into buf; false (the request has ended): there are not that many bytes. */
bool scsi_take_params(struct scsi_request *q, void *buf, size_t len);

/* INQUIRY, all pages that have no knowledge of the medium: writes at most 255 bytes, returns how
 * many; 0: no such page. */
size_t scsi_inquiry_standard(const struct scsi_lun *u, uint8_t type, bool removable, uint8_t *buf);
size_t scsi_inquiry_id(const struct scsi_lun *u, uint8_t page, uint8_t *buf);

#endif
