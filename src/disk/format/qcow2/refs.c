/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reference counts in memory. A flat array of 16 bits per cluster that the kernel gives page by
 * page as it is touched: an image whose file is huge on paper only costs what its tables reach, and
 * that has a cap, since each reference of 8 bytes on disk may touch a page of 4096.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "disk/format/qcow2/meta.h"

enum {
    PAGE_BYTES = 4096,
    PER_PAGE = PAGE_BYTES / 2,
    FREE_BYTES = 32 << 20, /* this much is never refused */
    MAX_CARRIES = 4096,
    MAX_CLUSTERS_BITS = 36, /* 128 GiB of addresses; 4 PiB of file at 64 KiB */
};

/* More than 65535 references: rare, kept in a list. */
struct carry {
    uint64_t cluster, high;
};

struct qcow2_refs {
    uint16_t *low;
    uint64_t clusters, max_pages;
    _Atomic(uint64_t) *touched; /* bit per page of low, where pages are counted; else NULL */
    _Atomic(uint64_t) pages;
    atomic_bool exhausted;
    pthread_mutex_t lock;
    struct carry *carries; /* guarded by lock */
    size_t carry_count;
};

static size_t low_bytes(uint64_t clusters)
{
    return ALIGN_UP(clusters * 2, PAGE_BYTES);
}

static size_t touched_bytes(uint64_t clusters)
{
    return ALIGN_UP(clusters / PER_PAGE / 8 + 16, PAGE_BYTES);
}

static void *map_zeroes(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

struct qcow2_refs *qcow2_refs_new(uint64_t clusters, uint64_t allocated, int *ret)
{
    struct qcow2_refs *r;

    *ret = -EFBIG;
    if (clusters >> MAX_CLUSTERS_BITS)
        return NULL;
    r = xnew(struct qcow2_refs);
    pthread_mutex_init(&r->lock, NULL);
    clusters = MAX(clusters, 1u);
    r->clusters = clusters;
    r->low = map_zeroes(low_bytes(clusters));
    /* each reference costs 8 bytes of the file, so a dense image stays far below this */
    r->max_pages = (FREE_BYTES + allocated / 4) / PAGE_BYTES;
    if (low_bytes(clusters) > FREE_BYTES)
        r->touched = map_zeroes(touched_bytes(clusters));
    if (!r->low || (low_bytes(clusters) > FREE_BYTES && !r->touched)) {
        qcow2_refs_free(r);
        *ret = -ENOMEM;
        return NULL;
    }
    *ret = 0;
    return r;
}

void qcow2_refs_free(struct qcow2_refs *r)
{
    if (!r)
        return;
    if (r->low)
        munmap(r->low, low_bytes(r->clusters));
    if (r->touched)
        munmap(r->touched, touched_bytes(r->clusters));
    pthread_mutex_destroy(&r->lock);
    free(r->carries);
    free(r);
}

int qcow2_refs_extend(struct qcow2_refs *r, uint64_t clusters)
{
    void *low, *touched = NULL;

    if (clusters <= r->clusters)
        return 0;
    if (clusters >> MAX_CLUSTERS_BITS)
        return -EFBIG;
    low = mremap(r->low, low_bytes(r->clusters), low_bytes(clusters), MREMAP_MAYMOVE);
    if (low == MAP_FAILED)
        return -ENOMEM;
    r->low = low;
    if (r->touched) {
        touched =
            mremap(r->touched, touched_bytes(r->clusters), touched_bytes(clusters), MREMAP_MAYMOVE);
        if (touched == MAP_FAILED) {
            r->low = mremap(low, low_bytes(clusters), low_bytes(r->clusters), MREMAP_MAYMOVE);
            return -ENOMEM;
        }
        r->touched = touched;
    }
    r->clusters = clusters;
    return 0;
}

uint64_t qcow2_refs_count(const struct qcow2_refs *r)
{
    return r->clusters;
}

bool qcow2_refs_exhausted(const struct qcow2_refs *r)
{
    return atomic_load(&r->exhausted);
}

/* Whether the page of this cluster may be touched. */
static bool may_touch(struct qcow2_refs *r, uint64_t cluster)
{
    uint64_t page = cluster / PER_PAGE, bit = BIT(page % 64);

    if (atomic_load_explicit(&r->touched[page / 64], memory_order_relaxed) & bit)
        return true;
    if (atomic_load(&r->pages) >= r->max_pages) {
        atomic_store(&r->exhausted, true);
        return false;
    }
    if (!(atomic_fetch_or(&r->touched[page / 64], bit) & bit))
        atomic_fetch_add(&r->pages, 1);
    return true;
}

static void carry(struct qcow2_refs *r, uint64_t cluster, uint64_t high)
{
    WITH_LOCK (&r->lock) {
        size_t i = 0;

        while (i < r->carry_count && r->carries[i].cluster != cluster)
            i++;
        if (i == MAX_CARRIES) {
            atomic_store(&r->exhausted, true);
            continue;
        }
        if (i == r->carry_count) {
            r->carries = xrealloc_array(r->carries, ++r->carry_count, sizeof(r->carries[0]));
            r->carries[i] = (struct carry){ cluster, 0 };
        }
        r->carries[i].high += high;
    }
}

uint16_t qcow2_refs_add(struct qcow2_refs *r, uint64_t cluster, uint32_t times)
{
    uint16_t before;

    if (cluster >= r->clusters || (r->touched && !may_touch(r, cluster)))
        return 0;
    before = __atomic_fetch_add(&r->low[cluster], (uint16_t)times, __ATOMIC_RELAXED);
    if (unlikely((uint64_t)before + times > UINT16_MAX))
        carry(r, cluster, ((uint64_t)before + times) >> 16);
    return before;
}

uint64_t qcow2_refs_get(const struct qcow2_refs *r, uint64_t cluster)
{
    uint64_t high = 0;

    if (cluster >= r->clusters)
        return 0;
    for (size_t i = 0; i < r->carry_count; i++)
        if (r->carries[i].cluster == cluster)
            high = r->carries[i].high;
    return high << 16 | r->low[cluster];
}

void qcow2_refs_clear(struct qcow2_refs *r, uint64_t cluster)
{
    if (cluster >= r->clusters)
        return;
    for (size_t i = 0; i < r->carry_count; i++)
        if (r->carries[i].cluster == cluster)
            r->carries[i].high = 0;
    if (r->low[cluster])
        r->low[cluster] = 0;
}

uint64_t qcow2_refs_next(const struct qcow2_refs *r, uint64_t cluster)
{
    while (cluster < r->clusters) {
        uint64_t page = cluster / PER_PAGE, end = MIN((page + 1) * PER_PAGE, r->clusters);

        /* pages never touched are not read: reading would be cheap in memory, not in time */
        if (r->touched && !(atomic_load(&r->touched[page / 64]) & BIT(page % 64))) {
            if (!atomic_load(&r->touched[page / 64]))
                end = MIN((page / 64 + 1) * 64 * PER_PAGE, r->clusters);
            cluster = end;
            continue;
        }
        for (; cluster < end; cluster++)
            if (r->low[cluster] || (r->carry_count && qcow2_refs_get(r, cluster)))
                return cluster;
    }
    return r->clusters;
}
