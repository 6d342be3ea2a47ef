/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of the data path while meta is not held. An op keeps host clusters that it reads or
 * writes from being given to others: freed clusters wait until the L2 entries that named them are
 * durably gone and all ops that began before are over. A flight is a guest range whose new clusters
 * are being filled: other requests that change the mapping there wait for it.
 */
#ifndef QCOW2_FLIGHT_H
#define QCOW2_FLIGHT_H

#include "disk/format/qcow2/qcow2.h"
#include "disk/luks.h"

struct qcow2_flight {
    uint64_t start, end; /* guest bytes, whole clusters */
    struct qcow2_flight *next;
};

struct qcow2_freed {
    uint64_t offset, len, seq;
    enum qcow2_discard why;
};

/* Decompressed clusters, kept for the next request: compress.c. */
struct qcow2_unpacked;

struct qcow2_data {
    pthread_cond_t cond; /* with meta: a flight landed, ops ended */
    _Atomic(uint32_t) ops[2], fast, waiters;
    _Atomic(bool) pause_fast; /* locate() says no */

    /* guarded by meta */
    struct qcow2_flight *flights;
    unsigned side; /* of ops[] for new ones */
    bool grace;    /* ops[!side] and fast ops are being waited for */
    uint64_t next_seq, grace_seq, quiet_seq, durable_seq;
    struct qcow2_freed *freed;
    size_t freed_head, freed_count, freed_max;
    uint64_t freed_bytes;
    uint64_t file_end;       /* the file was never written from here on: it reads as zeroes */
    bool holes_known, holes; /* the file is sparse where clusters are in use: data.c */
    struct qcow2_unpacked *unpacked;
    int64_t cleaned_s; /* cache-clean-interval: when, on the monotonic clock */
};

void qcow2_data_init(struct disk *d);
void qcow2_data_finish(struct disk *d);

/* An op; begin with meta held, end without. */
unsigned qcow2_op_begin(struct qcow2 *q);
void qcow2_op_end(struct qcow2 *q, unsigned side);
void qcow2_wake_waiters(struct qcow2 *q); /* after an op, meta not held */

/* With meta held; wait lets go of it until nothing in [start, end) is in flight: look up again. */
bool qcow2_flight_wait(struct qcow2 *q, uint64_t start, uint64_t end);
void qcow2_flight_add(struct qcow2 *q, struct qcow2_flight *f);
void qcow2_flight_remove(struct qcow2 *q, struct qcow2_flight *f);

/* With meta held: carries out the frees that are safe now, without waiting. */
int qcow2_reclaim(struct disk *d) MUST_CHECK;
/* Before allocations: a flush and a reclaim when much has been freed. */
void qcow2_reclaim_if_many(struct disk *d);
/* All metadata to the file, in order; durable only after a flush of the file. Meta held. */
int qcow2_write_metadata(struct disk *d) MUST_CHECK;

/* Where guest bytes stop coming from the backing file; 0 without one. */
uint64_t qcow2_backing_end(struct disk *d);

/* Data of guest clusters without regard to flights: what they held before (COW). */
int qcow2_read_run(struct disk *d, const struct qcow2_run *run, uint64_t offset,
                   struct disk_vec v) MUST_CHECK;
/* Guest bytes to allocated host clusters; encrypts. */
int qcow2_write_host(struct disk *d, uint64_t host_offset, struct disk_vec v) MUST_CHECK;

/* compress.c: the whole cluster of a COMPRESSED run, then bytes [skip, skip + v.len) of it. */
int qcow2_read_compressed(struct disk *d, uint64_t descriptor, uint32_t skip,
                          struct disk_vec v) MUST_CHECK;
void qcow2_unpacked_init(struct qcow2 *q);
void qcow2_unpacked_free(struct qcow2 *q);
void qcow2_unpacked_forget(struct qcow2 *q); /* clusters of the file were freed */

/* Entries of whole clusters in [offset, end) become 0: nothing in this layer. */
int qcow2_discard_all(struct disk *d, uint64_t offset, uint64_t end) MUST_CHECK;
/* Entries for all of [offset, end) that have none get clusters, as if zeroes were written. */
int qcow2_preallocate(struct disk *d, uint64_t offset, uint64_t end) MUST_CHECK;

/* create.c, measure.c. Fills in defaults; refuses what does not go together. */
bool qcow2_create_check(struct qcow2_create *o, struct error *err) MUST_CHECK;
int qcow2_create_version(const struct qcow2_create *o);
bool qcow2_create_luks_size(const struct qcow2_create *o, uint64_t *ret,
                            struct error *err) MUST_CHECK;             /* 0 without encryption */
uint64_t qcow2_full_size(const struct qcow2_create *o, uint64_t size); /* file, all allocated */
struct luks_store qcow2_luks_store(struct disk *d);
int qcow2_cut_file(struct disk *d) MUST_CHECK; /* behind its last used cluster; meta held */

/* Slots of the record. */
bool qcow2_change_backing(struct disk *d, const char *filename, const char *format,
                          struct error *err);
int qcow2_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret);
int qcow2_flush(struct disk *d);
bool qcow2_locate(struct disk *d, enum disk_op op, uint64_t offset, size_t len,
                  struct disk_span *ret);
void qcow2_release(struct disk *d, enum disk_op op, uint64_t offset, size_t len);

#endif
