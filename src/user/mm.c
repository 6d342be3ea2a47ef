/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's memory: mmap, munmap, mprotect. Guest memory is host memory, but only what the map
 * says is the guest's: a fixed mapping over memory of ours fails with ENOMEM. Where we do not know
 * the host asks the kernel (MAP_FIXED_NOREPLACE), so nothing of ours is listed here.
 */
#include "user/mm_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"

/* Guests with more than this get their mappings below it: the host's own (programs at 0x55...,
 * libraries at 0x7f...) lie above, and so does the heap of the address sanitizer. */
#define GUEST_TOP (UINT64_C(64) << 40)

#ifndef PROT_SEM
#define PROT_SEM 0x8
#endif

enum {
    TOP_GAP = 0x2000,       /* Linux keeps the last pages of the address space free */
    MMAP_LOW = 0x10000,     /* as /proc/sys/vm/mmap_min_addr mostly is */
    GUEST_MAP_32BIT = 0x40, /* x86 only */
    PROT_KNOWN = PROT_READ | PROT_WRITE | PROT_EXEC,
};

bool mm_range_is_free(uint64_t base, gva_t first, gva_t end)
{
    void *want = (void *)(uintptr_t)(base + first);
    void *got = mmap(want, end - first, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED)
        return false;
    munmap(got, end - first);
    return got == want;
}

static bool reserve_all(struct mm *mm, struct error *err)
{
    struct user_proc *p = mm->proc;
    const struct user_options *o = p->opt;
    uint64_t size = o->reserved_va ? o->reserved_va : UINT64_C(4) << 30;
    uint64_t from = p->cpu_user.base ? 0 : MMAP_LOW; /* the host keeps its lowest pages free */
    size = MIN(size, p->abi->va_limit);
    void *want = (void *)(uintptr_t)(p->cpu_user.base + from);
    void *got = mmap(want, size - from, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != want) {
        int code = got == MAP_FAILED ? errno : EEXIST;
        if (got != MAP_FAILED)
            munmap(got, size - from);
        (void)fail(err, code, "-R: cannot reserve %" PRIu64 " MiB at %#" PRIx64 ": %s", size / MIB,
                   p->cpu_user.base, strerror(code));
        return fail_hint(err, "another place: -B 0x100000000000, or a smaller -R");
    }
    mm->reserved = true;
    mm->limit = size;
    return true;
}

struct mm *mm_new(struct user_proc *p, struct error *err)
{
    struct mm *mm = xnew(struct mm);
    mm->proc = p;
    mm->low = MMAP_LOW;
    mm->limit = p->abi->va_limit;
    pthread_mutex_init(&mm->change, NULL);
    pthread_mutex_init(&mm->inner, NULL);
    if (p->opt->reserved_va && !reserve_all(mm, err)) {
        mm_free(mm);
        return NULL;
    }
    mm->top = MIN(mm->limit, GUEST_TOP) - TOP_GAP;
    mm->dyn_base = ALIGN_DOWN(mm->top / 3 * 2, MIB);
    mm->map.gap_high = mm->top;
    return mm;
}

void mm_free(struct mm *mm)
{
    if (!mm)
        return;
    mm_map_finish(&mm->map);
    free(mm->watches.slot);
    while (mm->shm) {
        struct mm_shm *next = mm->shm->next;
        free(mm->shm);
        mm->shm = next;
    }
    free(mm);
}

gva_t mm_dyn_base(const struct mm *mm)
{
    return mm->dyn_base;
}

gva_t mm_top(const struct mm *mm)
{
    return mm->top;
}

void mm_set_top(struct mm *mm, gva_t top)
{
    mm->top = top;
    mm->map.gap_high = top;
    mm->map.gap_hint = 0;
}

void mm_set_stack(struct mm *mm, gva_t start, gva_t end)
{
    mm->stack_start = start;
    mm->stack_end = end;
}

gva_t mm_stack(const struct mm *mm, gva_t *ret_end)
{
    *ret_end = mm->stack_end;
    return mm->stack_start;
}

void mm_set_read_implies_exec(struct mm *mm)
{
    mm->read_implies_exec = true;
}

/* ---- what is ours and what the guest's ---- */

struct request { /* of mmap */
    uint64_t len;
    int prot, flags, fd;
    uint64_t off;
};

static int claim_hole(struct mm *mm, gva_t start, gva_t end)
{
    void *want = mm_host(mm, start);
    void *got = mmap(want, end - start, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == want)
        return 0;
    if (got == MAP_FAILED)
        return errno == EEXIST ? -ENOMEM : -errno;
    munmap(got, end - start); /* a kernel before 4.17 takes it for a hint */
    return -ENOMEM;
}

/* The next hole of the map in [at, end): start, or end when there is none. */
static gva_t next_hole(const struct mm *mm, gva_t at, gva_t end, gva_t *ret_end)
{
    size_t i = mm_map_find(&mm->map, at);
    while (i < mm->map.count && mm->map.r[i].start <= at && at < end)
        at = mm->map.r[i++].end;
    *ret_end = i < mm->map.count ? MIN(mm->map.r[i].start, end) : end;
    return MIN(at, end);
}

void mm_unclaim(struct mm *mm, gva_t start, uint64_t len)
{
    gva_t end = start + len, hole_end;
    if (mm->reserved)
        return;
    for (gva_t at = start; (at = next_hole(mm, at, end, &hole_end)) < end; at = hole_end)
        munmap(mm_host(mm, at), hole_end - at);
}

int mm_claim(struct mm *mm, gva_t start, uint64_t len)
{
    gva_t end = start + len, hole_end;
    if (mm->reserved)
        return 0;
    for (gva_t at = start; (at = next_hole(mm, at, end, &hole_end)) < end; at = hole_end) {
        int r = claim_hole(mm, at, hole_end);
        if (r) {
            mm_unclaim(mm, start, at - start);
            return r;
        }
    }
    return 0;
}

/* Calls take() on free ranges from the top down until it does not say -EEXIST (something of ours is
 * there). */
static int64_t try_gaps(struct mm *mm, uint64_t len, uint64_t align, gva_t high,
                        int64_t (*take)(struct mm *, gva_t, const struct request *),
                        const struct request *rq)
{
    uint64_t step = 2 * MIB;
    for (unsigned tries = 0; tries < 64; tries++) {
        gva_t at = mm_map_gap(&mm->map, len, align, mm->low, high);
        if (!at)
            return -ENOMEM;
        int64_t r = take(mm, at, rq);
        if (r != -EEXIST)
            return r;
        if (at < mm->low + step)
            break;
        high = at + len - MIN(step, len + at - mm->low); /* further down, in growing steps */
        step *= 2;
    }
    return -ENOMEM;
}

static int64_t take_claim(struct mm *mm, gva_t at, const struct request *rq)
{
    int r = mm_claim(mm, at, rq->len);
    return r == -ENOMEM ? -EEXIST : r < 0 ? r : (int64_t)at;
}

gva_t mm_claim_gap(struct mm *mm, uint64_t len, uint64_t align, gva_t high)
{
    struct request rq = { .len = len };
    int64_t r = try_gaps(mm, len, align, high, take_claim, &rq);
    return r < 0 ? 0 : (gva_t)r;
}

int mm_host_unmap(struct mm *mm, gva_t start, uint64_t len)
{
    if (!mm->reserved)
        return munmap(mm_host(mm, start), len) ? -errno : 0;
    void *got = mmap(mm_host(mm, start), len, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    return got == MAP_FAILED ? -errno : 0;
}

void mm_note_mapped(struct mm *mm, gva_t start, uint64_t len, uint8_t prot)
{
    bool code = false;
    WITH_LOCK (&mm->inner) {
        code = mm_map_has_code(&mm->map, start, start + len);
        mm_unwatch(mm, start, start + len);
        mm_map_add(&mm->map, start, start + len, prot);
    }
    if (code)
        mm_drop_code(mm, start, len);
}

/* How far below start the host has mapped pages, at most to floor. */
static gva_t grown_to(struct mm *mm, gva_t start, gva_t floor)
{
    unsigned char resident;
    while (start > floor && mincore(mm_host(mm, start - USER_PAGE), USER_PAGE, &resident) == 0)
        start -= USER_PAGE;
    return start;
}

static void sync_grown(struct mm *mm)
{
    for (size_t i = 0; i < mm->map.count; i++) {
        gva_t floor = i ? mm->map.r[i - 1].end : mm->low;
        if (!mm->map.r[i].grows)
            continue;
        gva_t start = grown_to(mm, mm->map.r[i].start, floor);
        WITH_LOCK (&mm->inner)
            mm_map_extend_down(&mm->map, i, start);
    }
}

void mm_sync_grown(struct mm *mm)
{
    if (unlikely(mm->has_grows) && !mm->reserved)
        sync_grown(mm);
}

/* After a successful mmap. */
static void note_grows(struct mm *mm, gva_t at, int flags)
{
    if (!(flags & MAP_GROWSDOWN) || !(flags & MAP_ANONYMOUS))
        return;
    WITH_LOCK (&mm->inner)
        mm_map_set_grows(&mm->map, at);
    mm->has_grows = true;
}

/* ---- mmap ---- */

static uint8_t guest_prot(const struct mm *mm, int prot)
{
    if (mm->read_implies_exec && prot & PROT_READ)
        prot |= PROT_EXEC;
    return (uint8_t)(prot & (PROT_KNOWN | USER_BTI));
}

static bool prot_is_known(const struct mm *mm, int prot)
{
    int known = PROT_KNOWN | PROT_SEM;
    if (!strcmp(mm->proc->abi->name, "aarch64"))
        known |= USER_BTI;
    return !(prot & ~known);
}

/* May the file be executed? The host is only asked for reading. */
static bool exec_denied(int fd)
{
    struct statvfs st;
    return fd >= 0 && fstatvfs(fd, &st) == 0 && st.f_flag & ST_NOEXEC;
}

/* Over what is there; holes are claimed. */
static int64_t map_over(struct mm *mm, gva_t at, const struct request *rq)
{
    void *got = mmap(mm_host(mm, at), rq->len, mm_host_prot(rq->prot), rq->flags | MAP_FIXED,
                     rq->fd, (off_t)rq->off);
    if (got == MAP_FAILED) {
        int code = errno;
        mm_unclaim(mm, at, rq->len);
        return -code;
    }
    mm_note_mapped(mm, at, rq->len, guest_prot(mm, rq->prot));
    return (int64_t)at;
}

/* The range is free in the map; -EEXIST when the host has something there. */
static int64_t map_new(struct mm *mm, gva_t at, const struct request *rq)
{
    if (mm->reserved)
        return map_over(mm, at, rq);
    void *want = mm_host(mm, at);
    void *got = mmap(want, rq->len, mm_host_prot(rq->prot), rq->flags | MAP_FIXED_NOREPLACE, rq->fd,
                     (off_t)rq->off);
    if (got == MAP_FAILED)
        return -errno;
    if (got != want) { /* a kernel before 4.17 */
        munmap(got, rq->len);
        return -EEXIST;
    }
    mm_note_mapped(mm, at, rq->len, guest_prot(mm, rq->prot));
    return (int64_t)at;
}

static uint64_t map_align(int flags)
{
    if (!(flags & MAP_HUGETLB))
        return USER_PAGE;
    unsigned shift = (unsigned)flags >> MAP_HUGE_SHIFT & MAP_HUGE_MASK;
    return BIT(shift >= 12 && shift < 40 ? shift : 21);
}

static int64_t map_anywhere(struct mm *mm, gva_t hint, struct request *rq)
{
    bool low = rq->flags & GUEST_MAP_32BIT;
    gva_t high = low ? MIN(mm->top, UINT64_C(0x80000000)) : mm->top;
    uint64_t align = map_align(rq->flags);
    rq->flags &= ~GUEST_MAP_32BIT;
    hint = ALIGN_DOWN(hint, align);
    if (hint >= mm->low && !low && mm_in_range(mm, hint, rq->len) &&
        mm_map_free(&mm->map, hint, hint + rq->len)) {
        int64_t r = map_new(mm, hint, rq);
        if (r != -EEXIST)
            return r;
    }
    return try_gaps(mm, rq->len, align, high, map_new, rq);
}

static int64_t map_fixed(struct mm *mm, gva_t at, struct request *rq)
{
    bool replace = !(rq->flags & MAP_FIXED_NOREPLACE);
    rq->flags &= ~(GUEST_MAP_32BIT | MAP_FIXED | MAP_FIXED_NOREPLACE);
    if (at % USER_PAGE)
        return -EINVAL;
    if (!mm_in_range(mm, at, rq->len))
        return -ENOMEM;
    if (mm_map_free(&mm->map, at, at + rq->len)) {
        int64_t r = map_new(mm, at, rq);
        return r == -EEXIST && replace ? -ENOMEM : r;
    }
    if (!replace)
        return -EEXIST;
    int r = mm_claim(mm, at, rq->len);
    return r ? r : map_over(mm, at, rq);
}

bool mm_over_limit(const struct mm *mm, uint64_t more)
{
    const struct user_limit *as = &mm->proc->limits[0];
    uint64_t all = more;
    if (likely(!as->set))
        return false;
    for (size_t i = 0; i < mm->map.count; i++)
        all += mm->map.r[i].end - mm->map.r[i].start;
    return all > as->cur;
}

int64_t mm_mmap(struct user_proc *p, gva_t addr, uint64_t len, int prot, int flags, int fd,
                uint64_t offset)
{
    struct mm *mm = p->mm;
    int64_t r = -ENOMEM;
    bool x86 = p->abi->elf_machine == 62 || p->abi->elf_machine == 3;
    if (!x86)
        flags &= ~GUEST_MAP_32BIT;
    if (!len || offset % USER_PAGE || !prot_is_known(mm, prot))
        return -EINVAL;
    if (len > mm->limit)
        return -ENOMEM;
    len = ALIGN_UP(len, USER_PAGE);
    if (prot & PROT_EXEC && !(flags & MAP_ANONYMOUS) && exec_denied(fd))
        return -EPERM;
    if (flags & MAP_ANONYMOUS)
        fd = -1;
    if ((flags & MAP_TYPE) != MAP_PRIVATE && prot & PROT_WRITE && user_self)
        cpu_set_parallel(user_self->cpu); /* other processes: atomics must be real */
    WITH_LOCK (&mm->change) {
        struct request rq = { len, prot, flags, fd, offset };
        mm_sync_grown(mm);
        if (!mm_over_limit(mm, len))
            r = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) ? map_fixed(mm, addr, &rq)
                                                          : map_anywhere(mm, addr, &rq);
        if (r >= 0)
            note_grows(mm, (gva_t)r, flags);
    }
    return r;
}

/* ---- munmap, mprotect ---- */

int64_t mm_unmap(struct mm *mm, gva_t start, uint64_t len)
{
    gva_t end = start + len;
    int64_t r = 0;
    bool code = false;
    for (size_t i = mm_map_find(&mm->map, start);
         i < mm->map.count && mm->map.r[i].start < end && !r; i++) {
        gva_t from = MAX(mm->map.r[i].start, start), to = MIN(mm->map.r[i].end, end);
        r = mm_host_unmap(mm, from, to - from);
        if (r)
            end = from;
    }
    WITH_LOCK (&mm->inner) {
        code = mm_map_has_code(&mm->map, start, end);
        mm_unwatch(mm, start, end);
        mm_map_remove(&mm->map, start, end);
    }
    if (code)
        mm_drop_code(mm, start, end - start);
    return r;
}

int64_t mm_munmap(struct user_proc *p, gva_t addr, uint64_t len)
{
    struct mm *mm = p->mm;
    int64_t r = 0;
    if (addr % USER_PAGE || !len || len > mm->limit)
        return -EINVAL;
    len = ALIGN_UP(len, USER_PAGE);
    if (!mm_in_range(mm, addr, len))
        return -EINVAL;
    WITH_LOCK (&mm->change) {
        mm_sync_grown(mm);
        r = mm_unmap(mm, addr, len);
    }
    return r;
}

/* A piece that is one region. The map changes first, so that no new translation escapes. */
static int64_t protect_piece(struct mm *mm, gva_t start, gva_t end, uint8_t prot)
{
    const struct mm_region *old = mm_map_at(&mm->map, start);
    uint8_t was = old->prot;
    bool code = old->code, no_code = code && was & ~prot & PROT_EXEC;
    int64_t r = 0;
    if (was == prot)
        return 0;
    WITH_LOCK (&mm->inner)
        mm_map_protect(&mm->map, start, end, prot);
    if (no_code)
        mm_drop_code(mm, start, end - start);
    WITH_LOCK (&mm->inner) {
        bool closed = no_code && mm_unwatch(mm, start, end);
        if (closed || mm_host_prot(was) != mm_host_prot(prot))
            r = mm_protect_host(mm, start, end, prot, code && !no_code);
        if (r)
            mm_map_protect(&mm->map, start, end, was);
    }
    return r;
}

/* PROT_GROWSDOWN: from the start of the mapping. */
static gva_t grow_start(const struct mm *mm, gva_t at, int prot)
{
    const struct mm_region *r = prot & PROT_GROWSDOWN ? mm_map_at(&mm->map, at) : NULL;
    return r ? r->start : at;
}

static int64_t protect(struct mm *mm, gva_t at, gva_t end, uint8_t prot)
{
    int64_t r = 0;
    while (at < end && !r) {
        const struct mm_region *g = mm_map_at(&mm->map, at);
        if (!g)
            return -ENOMEM; /* what lies before the hole has changed, as on Linux */
        gva_t stop = MIN(g->end, end);
        r = protect_piece(mm, at, stop, prot);
        at = stop;
    }
    return r;
}

int64_t mm_mprotect(struct user_proc *p, gva_t addr, uint64_t len, int prot)
{
    struct mm *mm = p->mm;
    int64_t r = 0;
    int grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
    if (addr % USER_PAGE || grows == (PROT_GROWSDOWN | PROT_GROWSUP) || grows == PROT_GROWSUP ||
        !prot_is_known(mm, prot & ~grows))
        return -EINVAL;
    if (!len)
        return 0;
    if (len > mm->limit)
        return -ENOMEM;
    len = ALIGN_UP(len, USER_PAGE);
    if (!mm_in_range(mm, addr, len))
        return -ENOMEM;
    WITH_LOCK (&mm->change) {
        mm_sync_grown(mm);
        r = protect(mm, grow_start(mm, addr, prot), addr + len, guest_prot(mm, prot & ~grows));
    }
    return r;
}

bool mm_mapped(struct user_proc *p, gva_t addr, int *ret_prot)
{
    bool mapped = false;
    WITH_LOCK (&p->mm->change) {
        mm_sync_grown(p->mm);
        const struct mm_region *r = mm_map_at(&p->mm->map, addr);
        mapped = r != NULL;
        if (r)
            *ret_prot = r->prot & PROT_KNOWN;
    }
    return mapped;
}

/* ---- fork: before cpu_fork_prepare(), after cpu_fork_parent() or cpu_fork_child() ---- */

void mm_fork_prepare(struct user_proc *p)
{
    pthread_mutex_lock(&p->mm->change);
}

void mm_fork_done(struct user_proc *p, bool child)
{
    pthread_mutex_unlock(&p->mm->change);
}
