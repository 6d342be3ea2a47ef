/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of a command: physical region pages (NVMe 1.4 4.3) and scatter gather lists (4.4). Lists
 * are read a page at a time; each step makes the rest shorter, so that no list goes on for ever.
 */
#include "base/endian.h"
#include "dev/storage/nvme_priv.h"

#include <string.h>

enum {
    CMD_FLAGS = 1,
    CMD_PSDT = 0xc0,
    CMD_PRP1 = 24,
    CMD_PRP2 = 32,
    CMD_SGL = 24,
    SGL_BYTES = 16,
    SGL_BATCH = 64,
    SGL_SEGMENTS_MAX = 256,
};
enum { SGL_DATA = 0x00, SGL_BIT_BUCKET = 0x10, SGL_SEGMENT = 0x20, SGL_LAST = 0x30 };

static uint16_t add(struct nvme_req *r, gpa_t a, uint64_t len)
{
    return sg_add(&r->sg, a, len) ? NVME_OK : NVME_DATA_TRANSFER_ERROR;
}

static uint16_t map_list(struct nvme_req *r, gpa_t list, uint32_t left)
{
    uint64_t page = nvme_page_size(r->n);
    uint8_t entries[512 * 8];
    if (list & 7)
        return NVME_INVALID_PRP_OFFSET | NVME_DNR;
    while (left) {
        /* the last entry of a page leads to the next list when more than it remains */
        uint64_t room = (page - (list & (page - 1))) / 8, need = (left + page - 1) / page;
        unsigned n = (unsigned)MIN(MIN(room, need), ARRAY_SIZE(entries) / 8);
        bool chain = n == room && need > room;
        struct mem *mem = nvme_dma(r->n);
        if (!mem || dma_read(mem, list, entries, (size_t)n * 8))
            return NVME_DATA_TRANSFER_ERROR;
        for (unsigned i = 0; i < n - chain; i++) {
            gpa_t a = ld_le64(entries + (size_t)i * 8);
            uint32_t len = (uint32_t)MIN(left, page);
            if (a & (page - 1))
                return NVME_INVALID_PRP_OFFSET | NVME_DNR;
            uint16_t status = add(r, a, len);
            if (status)
                return status;
            left -= len;
        }
        list = chain ? ld_le64(entries + (size_t)(n - 1) * 8) : list + (gpa_t)n * 8;
        if (chain && list & (page - 1))
            return NVME_INVALID_PRP_OFFSET | NVME_DNR;
    }
    return NVME_OK;
}

static uint16_t map_prps(struct nvme_req *r, uint32_t len)
{
    uint64_t page = nvme_page_size(r->n);
    gpa_t prp1 = ld_le64(r->cmd + CMD_PRP1), prp2 = ld_le64(r->cmd + CMD_PRP2);
    uint32_t first = (uint32_t)MIN(len, page - (prp1 & (page - 1)));
    uint16_t status = prp1 & 3 ? NVME_INVALID_PRP_OFFSET | NVME_DNR : add(r, prp1, first);
    if (status || first == len)
        return status;
    if (len - first > page)
        return map_list(r, prp2, len - first);
    return prp2 & (page - 1) ? NVME_INVALID_PRP_OFFSET | NVME_DNR : add(r, prp2, len - first);
}

/* One descriptor of data. */
static uint16_t map_block(struct nvme_req *r, const uint8_t *d, uint32_t *left)
{
    uint32_t len = MIN(ld_le32(d + 8), *left);
    if ((d[15] & 0xf0) == SGL_BIT_BUCKET)
        return NVME_INVALID_SGL_TYPE | NVME_DNR; /* SGLS does not offer it */
    if (d[15] != SGL_DATA)
        return NVME_INVALID_SGL_TYPE | NVME_DNR;
    *left -= len;
    return len ? add(r, ld_le64(d), len) : NVME_OK;
}

static bool leads_on(const uint8_t *d)
{
    return d[15] == SGL_SEGMENT || d[15] == SGL_LAST;
}

/* A segment: data descriptors, the last of which may lead to the next one. */
static uint16_t map_segment(struct nvme_req *r, uint8_t next[SGL_BYTES], uint32_t *left)
{
    uint8_t d[SGL_BATCH * SGL_BYTES];
    bool last = next[15] == SGL_LAST;
    gpa_t at = ld_le64(next);
    uint32_t bytes = ld_le32(next + 8);
    struct mem *mem = nvme_dma(r->n);
    if (!bytes || bytes % SGL_BYTES)
        return NVME_INVALID_SGL_SEGMENT | NVME_DNR;
    memset(next, 0, SGL_BYTES);
    while (bytes && *left) {
        uint32_t n = MIN(bytes, sizeof d);
        if (!mem || dma_read(mem, at, d, n))
            return NVME_DATA_TRANSFER_ERROR;
        at += n;
        bytes -= n;
        for (uint32_t i = 0; i < n && *left; i += SGL_BYTES) {
            if (leads_on(d + i)) {
                if (last || bytes || i + SGL_BYTES != n)
                    return NVME_INVALID_SGL_SEGMENT | NVME_DNR;
                memcpy(next, d + i, SGL_BYTES);
                return NVME_OK;
            }
            uint16_t status = map_block(r, d + i, left);
            if (status)
                return status;
        }
    }
    return NVME_OK;
}

static uint16_t map_sgl(struct nvme_req *r, uint32_t len)
{
    uint8_t d[SGL_BYTES];
    uint32_t left = len;
    uint16_t status = NVME_OK;
    memcpy(d, r->cmd + CMD_SGL, SGL_BYTES);
    if (!leads_on(d))
        status = map_block(r, d, &left);
    for (unsigned i = 0; !status && left && leads_on(d); i++) {
        if (i == SGL_SEGMENTS_MAX)
            return NVME_INVALID_SGL_SEGMENT | NVME_DNR;
        status = map_segment(r, d, &left);
    }
    return status ? status : left ? NVME_INVALID_SGL_LENGTH | NVME_DNR : NVME_OK;
}

uint16_t nvme_map(struct nvme_req *r, uint32_t len, bool to_guest, bool admin)
{
    unsigned psdt = r->cmd[CMD_FLAGS] & CMD_PSDT;
    sg_begin(&r->sg, nvme_dma(r->n), to_guest);
    if ((psdt && admin) || psdt == CMD_PSDT)
        return NVME_INVALID_FIELD | NVME_DNR;
    return psdt ? map_sgl(r, len) : map_prps(r, len);
}

uint16_t nvme_give(struct nvme_req *r, const void *data, uint32_t have, uint32_t len)
{
    static const uint8_t zeroes[NVME_PAGE];
    uint16_t status = nvme_map(r, len, true, true);
    size_t n = 0;
    if (!status) {
        n = sg_put(&r->sg, 0, data, MIN(have, len));
        while (n < len)
            n += sg_put(&r->sg, n, zeroes, MIN(sizeof zeroes, len - n));
    }
    sg_end(&r->sg, n);
    return status;
}

uint16_t nvme_take(struct nvme_req *r, void *data, uint32_t len, bool admin)
{
    uint16_t status = nvme_map(r, len, false, admin);
    if (!status)
        (void)sg_get(&r->sg, 0, data, len);
    sg_end(&r->sg, 0);
    return status;
}
