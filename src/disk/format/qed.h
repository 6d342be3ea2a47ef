/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside qed*.c: QEMU's docs/interop/qed_spec.txt. Little endian. */
#ifndef FORMAT_QED_H
#define FORMAT_QED_H

#include "disk/format/blocks.h"

enum {
    QED_HEADER = 64,
    QED_AT_FEATURES = 16,
    QED_AT_IMAGE_SIZE = 48,
    QED_CLUSTER_MIN = 4096,
    QED_CLUSTER_MAX = 64 << 20,
    QED_TABLE_MAX = 16, /* clusters */
    QED_BACKING_NAME_MAX = 1023,
    QED_ZERO = 1, /* L2 entry: a cluster of zeroes */
};
#define QED_MAGIC UINT32_C(0x00444551)
enum {
    QED_F_BACKING = 1,
    QED_F_NEED_CHECK = 2,
    QED_F_BACKING_RAW = 4, /* the backing file is not probed */
    QED_F_KNOWN = 7,
};

struct qed_header {
    uint32_t cluster_size, table_size, header_size; /* bytes, clusters, clusters */
    uint64_t features, compat, autoclear, l1, image_size;
    uint32_t backing_offset, backing_len;
};

struct qed {
    struct blocks b; /* first: the slots of blocks.c */
    struct qed_header h;
    uint64_t table_bytes, table_entries;
};

/* Largest disk of these tables. */
uint64_t qed_max_size(uint64_t cluster_size, uint64_t table_size);
int qed_write_header(struct qed *q);
/* Whether an offset may be that of a cluster or of n clusters of table. */
bool qed_offset_ok(const struct qed *q, uint64_t offset);
int qed_check(struct disk *d, struct disk_check *c, unsigned fix);
int qed_find_end(struct blocks *b, uint64_t *ret);

#endif
