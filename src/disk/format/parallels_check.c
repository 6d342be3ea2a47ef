/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checking and repairing Parallels images: the in-use mark, clusters outside of the image, clusters
 * used twice, space behind the last one.
 */
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/parallels.h"

struct walk {
    struct parallels *p;
    struct disk_check *c;
    unsigned fix;
    uint64_t file_size, end, last;
    uint8_t *seen; /* a bit for each place a cluster can lie; NULL: too many */
    uint64_t seen_bits;
};

static void say(struct walk *w, const char *line)
{
    if (w->c->say)
        w->c->say(w->c, line);
}

static void say_cluster(struct walk *w, bool fixed, uint32_t i, const char *what)
{
    char line[100];

    snprintf(line, sizeof(line), "%s cluster %u %s", fixed ? "Repairing" : "ERROR", i, what);
    if (w->c->corruptions < 1000)
        say(w, line);
}

/* An entry that leads outside is freed: reading it as zeroes is all that is left. */
static int free_entry(struct walk *w, uint32_t i)
{
    uint8_t *entry;
    int r = pages_put(&w->p->b.pages, PARALLELS_HEADER + (uint64_t)i * 4, 0, &entry);

    if (r < 0)
        return r;
    st_le32(entry, 0);
    w->c->corruptions_fixed++;
    return 0;
}

static bool used_twice(struct walk *w, uint64_t offset)
{
    uint64_t n = (offset - w->p->data) / w->p->b.block_size;

    if (!w->seen || n >= w->seen_bits)
        return false;
    if (w->seen[n / 8] & (1 << n % 8))
        return true;
    w->seen[n / 8] |= 1 << n % 8;
    return false;
}

static int walk_entry(struct walk *w, uint32_t i, uint32_t entry)
{
    uint64_t offset = parallels_offset(w->p, entry), size = w->p->b.block_size;

    if (!entry) {
        w->last = 0;
        return 0;
    }
    if (offset < w->p->data || offset + size > w->file_size) {
        say_cluster(w, w->fix & DISK_FIX_ERRORS, i, "is outside image");
        w->c->corruptions++;
        w->last = 0;
        return w->fix & DISK_FIX_ERRORS ? free_entry(w, i) : 0;
    }
    if (used_twice(w, offset)) {
        say_cluster(w, false, i, "lies where another does");
        w->c->corruptions++;
    }
    w->c->allocated_clusters++;
    if (w->last && offset != w->last + size)
        w->c->fragmented_clusters++;
    w->last = offset;
    w->end = MAX(w->end, offset + size);
    return 0;
}

static int walk_table(struct walk *w)
{
    int r = 0;

    w->end = w->p->data;
    if (w->p->ext_area && w->p->ext_area < w->file_size)
        w->end = MAX(w->end, w->p->ext_area + w->p->b.block_size);
    for (uint32_t i = 0; i < w->p->entries && r == 0; i++) {
        const uint8_t *entry;

        r = pages_get(&w->p->b.pages, PARALLELS_HEADER + (uint64_t)i * 4, false, &entry);
        if (r < 0)
            return r;
        if ((PARALLELS_HEADER / 4 + i) % 128 == 0 && buf_is_zero(entry, 512)) {
            i += 127; /* a sector of free entries */
            w->last = 0;
            continue;
        }
        r = walk_entry(w, i, ld_le32(entry));
        if (w->c->corruptions > 1 << 20)
            break; /* no image: enough was said */
    }
    return r;
}

int parallels_find_end(struct blocks *b, uint64_t *ret)
{
    struct disk_check c = { 0 };
    struct walk w = { .p = b->opaque, .c = &c, .file_size = disk_size(b->file) };
    int r = 0;

    if (w.p->entries <= PARALLELS_SCAN_MAX)
        r = walk_table(&w);
    else
        w.end = w.file_size;
    if (r == 0 && c.corruptions)
        w.end = MAX(w.end, w.file_size); /* nothing is cut off a damaged image */
    if (w.p->ext)                        /* entries count from the file's start */
        w.end = (w.end + b->block_size - 1) / b->block_size * b->block_size;
    *ret = w.end;
    return r;
}

static int fix_leak(struct walk *w, int64_t leaks)
{
    struct error err;
    char line[100];

    snprintf(line, sizeof(line), "%s space leaked at the end of the image %lu",
             w->fix & DISK_FIX_LEAKS ? "Repairing" : "ERROR",
             (unsigned long)(w->file_size - w->end));
    say(w, line);
    w->c->leaks += leaks;
    if (!(w->fix & DISK_FIX_LEAKS))
        return 0;
    if (!disk_resize(w->p->b.file, w->end, DISK_PREALLOC_OFF, true, &err))
        return -(err.code ? err.code : EIO);
    w->c->leaks_fixed += leaks;
    return 0;
}

static int fix_in_use(struct walk *w)
{
    int r;

    say(w, w->fix & DISK_FIX_ERRORS ? "Repairing image was not closed correctly"
                                    : "ERROR image was not closed correctly");
    w->c->corruptions++;
    if (!(w->fix & DISK_FIX_ERRORS))
        return 0;
    WITH_LOCK (&w->p->b.lock) {
        pages_drop(&w->p->b.pages);
    }
    r = parallels_set_in_use(w->p, false);
    if (r == 0)
        r = disk_flush(w->p->b.file);
    if (r == 0) {
        w->p->was_in_use = false;
        w->c->corruptions_fixed++;
    }
    return r;
}

int parallels_check(struct disk *d, struct disk_check *c, unsigned fix)
{
    struct parallels *p = d->priv;
    struct walk w = { .p = p, .c = c, .fix = fix, .file_size = disk_size(d->file) };
    int r;

    if (w.file_size > p->data && p->entries <= PARALLELS_SCAN_MAX) {
        w.seen_bits = MIN((w.file_size - p->data) / p->b.block_size + 1, UINT64_C(1) << 28);
        w.seen = calloc(1, w.seen_bits / 8 + 1);
    }
    c->total_clusters = p->entries;
    c->allocated_clusters = c->fragmented_clusters = 0;
    WITH_LOCK (&p->b.lock) {
        r = walk_table(&w);
    }
    free(w.seen);
    if (r < 0)
        return r;
    c->image_end_offset = w.end;
    if (w.file_size > w.end)
        r = fix_leak(&w, (w.file_size - w.end + p->b.block_size - 1) / p->b.block_size);
    if (r == 0 && p->b.pages.dirty)
        r = blocks_flush(&p->b);
    if (r == 0 && p->was_in_use)
        r = fix_in_use(&w);
    return r;
}
