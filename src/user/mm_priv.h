/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the guest's memory share: mm.c (map, unmap, protect), mm_move.c (mremap, brk,
 * madvise, System V shared memory), mm_code.c (pages with translations).
 *
 * Locks, in this order: mm->change (whole operations that change the map), then the lock of the
 * translation cache (cpu/), then mm->inner (the map and the set of watched pages). mm_may_exec and
 * mm_watch_code come with the cache's lock and take inner; everything that calls
 * cpu_code_written() holds change at most. Whoever takes inner holds change or the cache's lock, so
 * with both of them nobody holds inner: what fork needs. No access to guest memory under any.
 */
#ifndef USER_MM_PRIV_H
#define USER_MM_PRIV_H

#include <pthread.h>
#include <sys/mman.h>

#include "user/mm_map.h"
#include "user/process.h"

struct mm_watch { /* a page with translations; page 0: free slot */
    gva_t page;
    uint64_t turn; /* of its latest translation */
    bool closed;   /* the guest may write there, the host not */
};

struct mm_watches { /* open addressing, power-of-two size */
    struct mm_watch *slot;
    size_t size, count;
};

struct mm_shm {
    gva_t at;
    uint64_t len;
    struct mm_shm *next;
};

struct mm {
    /* constant after start */
    struct user_proc *proc;
    gva_t low, limit; /* what mmap hands out lies in [low, top); fixed mappings below limit */
    bool reserved;    /* all of [0, limit) is mapped on the host: unmapping maps PROT_NONE */
    bool read_implies_exec;
    /* guarded by change */
    pthread_mutex_t change;
    gva_t top, dyn_base;
    gva_t brk_start, brk;
    gva_t stack_start, stack_end;
    struct mm_shm *shm;
    bool has_grows; /* there is, or was, a MAP_GROWSDOWN mapping */
    /* guarded by inner; changed only with change held, too */
    pthread_mutex_t inner;
    struct mm_map map;
    /* guarded by inner */
    struct mm_watches watches;
    uint64_t turn; /* counts calls of mm_watch_code */
    /* any thread: how many pages are closed, and bounds of where they are */
    _Atomic size_t closed;
    _Atomic gva_t closed_low, closed_high;
};

static inline void *mm_host(const struct mm *mm, gva_t a)
{
    return user_host(mm->proc, a);
}

/* The host's protection for a guest's: code is read, never executed. */
static inline int mm_host_prot(int prot)
{
    return (prot & (PROT_READ | PROT_WRITE)) | (prot & PROT_EXEC ? PROT_READ : 0);
}

static inline bool mm_in_range(const struct mm *mm, gva_t at, uint64_t len)
{
    return len <= mm->limit && at <= mm->limit - len;
}

/* Under change. Makes sure that all of the range is the guest's or free for it: holes become
 * reservations of the host. -ENOMEM when something of ours is there. mm_unclaim gives the holes (by
 * the map as it stands) back. */
int mm_claim(struct mm *mm, gva_t start, uint64_t len);
void mm_unclaim(struct mm *mm, gva_t start, uint64_t len);
/* Under change. A free range, claimed; 0: none. */
gva_t mm_claim_gap(struct mm *mm, uint64_t len, uint64_t align, gva_t high);
/* Under change. The host's mapping of a range that is all the guest's goes (or becomes a
 * reservation). */
int mm_host_unmap(struct mm *mm, gva_t start, uint64_t len);
/* Under change. Would this many bytes more be beyond the RLIMIT_AS that the guest set? */
bool mm_over_limit(const struct mm *mm, uint64_t more);
/* Under change. Notes a new mapping, and drops translations of what was there. */
void mm_note_mapped(struct mm *mm, gva_t start, uint64_t len, uint8_t prot);
/* Under change. What the host's kernel added to mappings that grow downwards is the guest's, too:
 * first thing in everything that looks at the map. */
void mm_sync_grown(struct mm *mm);
/* Under change. munmap without the checks. */
int64_t mm_unmap(struct mm *mm, gva_t start, uint64_t len);

/* mm_code.c. Under change. Translations of the range are gone when this returns. */
void mm_drop_code(struct mm *mm, gva_t start, uint64_t len);
/* Under inner. Forgets watched pages in the range without touching the host's protection. True when
 * one was closed. */
bool mm_unwatch(struct mm *mm, gva_t start, gva_t end);
/* Under inner. The host's protection of a range of one guest protection; watched pages (code: there
 * may be some) stay closed, or are when the guest may write. */
int mm_protect_host(struct mm *mm, gva_t start, gva_t end, uint8_t prot, bool code);
/* Under change. No page in the range is watched afterwards, and its translations are gone. */
void mm_release(struct mm *mm, gva_t start, uint64_t len);

#endif
