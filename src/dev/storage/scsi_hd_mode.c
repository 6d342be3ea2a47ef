/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mode pages of a disk (SPC-4 §6.8 to §6.11 and §7.5, SBC-3 §6.5). */
#include "dev/storage/scsi_hd.h"

#include <string.h>

#include "base/endian.h"

enum { CURRENT, CHANGEABLE, DEFAULT, SAVED };
enum { WCE = 0x04 };

static void geometry(const struct scsi_hd *s, uint32_t *ret_cyls, uint32_t *ret_heads,
                     uint32_t *ret_secs)
{
    const struct blk_conf *c = &s->lun.conf;

    if (!c->cyls) {
        blk_geometry(s->lun.blk, ret_cyls, ret_heads, ret_secs);
        return;
    }
    *ret_cyls = c->cyls;
    *ret_heads = c->heads;
    *ret_secs = c->secs;
}

/* Each writes the bytes behind the page's two of header; those are zero before. */

static void error_recovery(struct scsi_hd *s, uint8_t *p, unsigned control)
{
    if (control != CHANGEABLE)
        p[0] = 0x80; /* AWRE */
}

static void rigid_geometry(struct scsi_hd *s, uint8_t *p, unsigned control)
{
    uint32_t cyls, heads, secs;

    if (control == CHANGEABLE)
        return;
    geometry(s, &cyls, &heads, &secs);
    for (size_t i = 0; i < 3; i++) {
        uint8_t b = (uint8_t)(cyls >> (16 - 8 * i));

        p[i] = b;
        p[4 + i] = p[7 + i] = p[12 + i] = b; /* precompensation, reduced current, landing zone */
    }
    p[3] = (uint8_t)heads;
    st_be16(p + 18, 5400); /* revolutions a minute */
}

static void flexible_geometry(struct scsi_hd *s, uint8_t *p, unsigned control)
{
    uint32_t cyls, heads, secs;

    if (control == CHANGEABLE)
        return;
    geometry(s, &cyls, &heads, &secs);
    st_be16(p, 5000); /* kilobits a second */
    p[2] = (uint8_t)heads;
    p[3] = (uint8_t)secs;
    st_be16(p + 4, (uint16_t)scsi_hd_block(s));
    st_be16(p + 6, (uint16_t)MIN(cyls, UINT16_MAX));
    st_be16(p + 26, 5400);
}

static void caching(struct scsi_hd *s, uint8_t *p, unsigned control)
{
    bool on = control == CURRENT ? s->write_cache : true;

    p[0] = on ? WCE : 0; /* changeable, and on by default */
}

static void control_page(struct scsi_hd *s, uint8_t *p, unsigned control)
{
    if (control == CHANGEABLE)
        return;
    p[0] = 0x02; /* GLTSD: nothing is saved of logs */
    p[1] = 0x10; /* commands may be reordered */
}

static const struct page {
    uint8_t code, len;
    void (*fill)(struct scsi_hd *s, uint8_t *p, unsigned control);
} pages[] = {
    { 0x01, 10, error_recovery }, { 0x04, 22, rigid_geometry }, { 0x05, 30, flexible_geometry },
    { 0x08, 18, caching },        { 0x0a, 10, control_page },
};

static const struct page *find_page(uint8_t code)
{
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
        if (pages[i].code == code)
            return &pages[i];
    return NULL;
}

static size_t add_page(struct scsi_hd *s, const struct page *page, unsigned control, uint8_t *p)
{
    p[0] = page->code;
    p[1] = page->len;
    page->fill(s, p + 2, control);
    return 2 + (size_t)page->len;
}

/* Number and size of blocks. */
static size_t block_descriptor(const struct scsi_hd *s, bool long_lba, uint8_t *p)
{
    uint64_t blocks = scsi_hd_blocks(s);

    if (long_lba) {
        st_be64(p, blocks);
        st_be32(p + 12, (uint32_t)scsi_hd_block(s));
        return 16;
    }
    st_be32(p, (uint32_t)MIN(blocks, UINT32_MAX));
    st_be32(p + 4, (uint32_t)scsi_hd_block(s)); /* 24 bits behind a reserved byte */
    return 8;
}

void scsi_hd_mode_sense(struct scsi_hd *s, struct scsi_request *q)
{
    bool is_10 = q->cdb[0] == 0x5a, no_blocks = q->cdb[1] & 8, long_lba = is_10 && q->cdb[1] & 16;
    uint8_t code = q->cdb[2] & 0x3f, subpage = q->cdb[3], buf[256] = { 0 };
    unsigned control = q->cdb[2] >> 6;
    size_t head = is_10 ? 8 : 4, blocks = 0, n;
    const struct page *page = find_page(code);

    if (control == SAVED) {
        scsi_check(q, SCSI_NO_SAVING);
        return;
    }
    if ((!page && code != 0x3f) || (subpage && !(code == 0x3f && subpage == 0xff))) {
        scsi_check(q, SCSI_INVALID_FIELD);
        return;
    }
    if (!no_blocks && blk_has_medium(s->lun.blk))
        blocks = block_descriptor(s, long_lba, buf + head);
    n = head + blocks;
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
        if (code == 0x3f || page == &pages[i])
            n += add_page(s, &pages[i], control, buf + n);
    buf[is_10 ? 3 : 2] = (uint8_t)((blk_read_only(s->lun.blk) ? 0x80 : 0) | (s->dpofua ? 0x10 : 0));
    if (is_10) {
        st_be16(buf, (uint16_t)(n - 2));
        buf[4] = long_lba;
        buf[7] = (uint8_t)blocks;
    } else {
        buf[0] = (uint8_t)(n - 1);
        buf[3] = (uint8_t)blocks;
    }
    scsi_reply(q, buf, n, is_10 ? ld_be16(q->cdb + 7) : q->cdb[4]);
}

/* --- MODE SELECT --- */

/* Checks what p says against what may change; applies it when told to. */
static const struct scsi_sense *select_page(struct scsi_hd *s, const uint8_t *p, size_t len,
                                            size_t *ret_used, bool apply)
{
    static const struct scsi_sense short_list = { 5, 0x1a, 0 }, bad_field = { 5, 0x26, 0 };
    uint8_t now[64] = { 0 }, may[64] = { 0 };
    const struct page *page;

    if (len < 2)
        return &short_list;
    page = find_page(p[0] & 0x3f);
    if (!page || p[0] & 0x40 || p[1] != page->len)
        return &bad_field;
    *ret_used = 2 + (size_t)page->len;
    if (len < *ret_used)
        return &short_list;
    page->fill(s, now + 2, CURRENT);
    page->fill(s, may + 2, CHANGEABLE);
    for (size_t i = 2; i < *ret_used; i++)
        if ((p[i] ^ now[i]) & ~may[i])
            return &bad_field;
    if (apply && page->code == 0x08) {
        s->write_cache = p[2] & WCE;
        blk_set_write_through(s->lun.blk, !s->write_cache);
    }
    return NULL;
}

static const struct scsi_sense *select_pages(struct scsi_hd *s, const uint8_t *p, size_t len,
                                             bool apply)
{
    while (len) {
        size_t used = 0;
        const struct scsi_sense *bad = select_page(s, p, len, &used, apply);

        if (bad)
            return bad;
        p += used;
        len -= used;
    }
    return NULL;
}

/* The block descriptor may say what is so anyway. */
static bool same_blocks(struct scsi_hd *s, const uint8_t *p, size_t len, bool long_lba)
{
    uint8_t now[16] = { 0 };

    if (!len)
        return true;
    return len == block_descriptor(s, long_lba, now) &&
           !memcmp(p + (long_lba ? 12 : 5), now + (long_lba ? 12 : 5), long_lba ? 4 : 3);
}

void scsi_hd_mode_select(struct scsi_hd *s, struct scsi_request *q)
{
    bool is_10 = q->cdb[0] == 0x55;
    size_t len = is_10 ? ld_be16(q->cdb + 7) : q->cdb[4], head = is_10 ? 8 : 4, blocks;
    const struct scsi_sense *bad;
    uint8_t buf[512];

    if (!(q->cdb[1] & 0x10) || q->cdb[1] & 1 || len > sizeof buf) { /* PF; nothing is saved */
        scsi_check(q, SCSI_INVALID_FIELD);
        return;
    }
    if (!len) {
        scsi_good(q);
        return;
    }
    if (!scsi_take_params(q, buf, len))
        return;
    blocks = len < head ? 0 : is_10 ? ld_be16(buf + 6) : buf[3];
    if (len < head + blocks) {
        scsi_check(q, SCSI_PARAM_LENGTH);
        return;
    }
    if (!same_blocks(s, buf + head, blocks, is_10 && buf[4] & 1)) {
        scsi_check(q, SCSI_PARAM_FIELD);
        return;
    }
    bad = select_pages(s, buf + head + blocks, len - head - blocks, false);
    if (!bad)
        bad = select_pages(s, buf + head + blocks, len - head - blocks, true);
    if (bad)
        scsi_check(q, *bad);
    else
        scsi_good(q);
}
