/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's memory: mremap, brk, madvise, System V shared memory.
 */
#include "user/mm_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* ---- mremap ---- */

struct move {
    gva_t from;
    uint64_t old_len, new_len;
    int flags;
    gva_t to;
};

/* To a place that is claimed. */
static int64_t move_to(struct mm *mm, const struct move *m, gva_t to)
{
    const struct mm_region *r = mm_map_at(&mm->map, m->from);
    uint8_t prot = r->prot;
    int keep = m->flags & MREMAP_DONTUNMAP;
    mm_release(mm, to, m->new_len);
    void *got = mremap(mm_host(mm, m->from), m->old_len, m->new_len,
                       MREMAP_MAYMOVE | MREMAP_FIXED | keep, mm_host(mm, to));
    if (got == MAP_FAILED) {
        int code = errno;
        mm_unclaim(mm, to, m->new_len);
        return -code;
    }
    mm_note_mapped(mm, to, m->new_len, prot);
    if (!keep && m->old_len) {
        WITH_LOCK (&mm->inner)
            mm_map_remove(&mm->map, m->from, m->from + m->old_len);
        if (mm->reserved)
            (void)mm_host_unmap(mm, m->from, m->old_len);
    }
    return (int64_t)to;
}

static int64_t move_fixed(struct mm *mm, const struct move *m)
{
    if (m->to % USER_PAGE || !mm_in_range(mm, m->to, m->new_len))
        return -EINVAL;
    if (m->to < m->from + m->old_len && m->from < m->to + m->new_len)
        return -EINVAL;
    int r = mm_claim(mm, m->to, m->new_len);
    return r ? r : move_to(mm, m, m->to);
}

/* Only a change of size where it is; -ENOMEM when there is no room. */
static int64_t resize(struct mm *mm, const struct move *m)
{
    gva_t old_end = m->from + m->old_len, new_end = m->from + m->new_len;
    uint8_t prot = mm_map_at(&mm->map, m->from)->prot;
    if (m->new_len <= m->old_len) {
        int64_t r = m->new_len < m->old_len ? mm_unmap(mm, new_end, old_end - new_end) : 0;
        return r ? r : (int64_t)m->from;
    }
    if (!mm_in_range(mm, m->from, m->new_len) || !mm_map_free(&mm->map, old_end, new_end))
        return -ENOMEM;
    if (mm->reserved)
        munmap(mm_host(mm, old_end), new_end - old_end);
    void *got = mremap(mm_host(mm, m->from), m->old_len, m->new_len, 0);
    if (got == MAP_FAILED) {
        int code = errno;
        if (mm->reserved)
            (void)mm_host_unmap(mm, old_end, new_end - old_end);
        return -code;
    }
    WITH_LOCK (&mm->inner)
        mm_map_add(&mm->map, old_end, new_end, prot);
    return (int64_t)m->from;
}

static int64_t remap(struct mm *mm, const struct move *m)
{
    if (!mm_map_covered(&mm->map, m->from, m->from + MAX(m->old_len, (uint64_t)USER_PAGE)))
        return -EFAULT;
    if (m->new_len > m->old_len && mm_over_limit(mm, m->new_len - m->old_len))
        return -ENOMEM;
    if (m->old_len) /* watched pages would make several mappings of one */
        mm_release(mm, m->from, m->old_len);
    if (m->flags & MREMAP_FIXED)
        return move_fixed(mm, m);
    if (m->old_len && !(m->flags & MREMAP_DONTUNMAP)) {
        int64_t r = resize(mm, m);
        if (r != -ENOMEM || !(m->flags & MREMAP_MAYMOVE))
            return r;
    }
    gva_t to = mm_claim_gap(mm, m->new_len, USER_PAGE, mm->top);
    return to ? move_to(mm, m, to) : -ENOMEM;
}

int64_t mm_mremap(struct user_proc *p, gva_t addr, uint64_t old_len, uint64_t new_len, int flags,
                  gva_t new_addr)
{
    struct mm *mm = p->mm;
    int64_t r = 0;
    const int known = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
    if (flags & ~known || addr % USER_PAGE || !new_len || new_len > mm->limit ||
        old_len > mm->limit)
        return -EINVAL;
    if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(flags & MREMAP_MAYMOVE))
        return -EINVAL;
    old_len = ALIGN_UP(old_len, USER_PAGE);
    new_len = ALIGN_UP(new_len, USER_PAGE);
    if (flags & MREMAP_DONTUNMAP && old_len != new_len)
        return -EINVAL;
    if (!old_len && !(flags & MREMAP_MAYMOVE))
        return -EINVAL;
    if (!mm_in_range(mm, addr, MAX(old_len, (uint64_t)USER_PAGE)))
        return -EFAULT;
    struct move m = { addr, old_len, new_len, flags, new_addr };
    WITH_LOCK (&mm->change) {
        mm_sync_grown(mm);
        r = remap(mm, &m);
    }
    return r;
}

/* ---- brk ---- */

void mm_set_brk(struct mm *mm, gva_t start)
{
    mm->brk_start = mm->brk = start;
}

static bool grow_brk(struct mm *mm, gva_t from, gva_t to)
{
    const struct user_limit *data = &mm->proc->limits[1];
    if ((data->set && to - mm->brk_start > data->cur) || mm_over_limit(mm, to - from))
        return false;
    if (to > mm->limit || !mm_map_free(&mm->map, from, to) || mm_claim(mm, from, to - from))
        return false;
    if (mprotect(mm_host(mm, from), to - from, PROT_READ | PROT_WRITE)) {
        mm_unclaim(mm, from, to - from);
        return false;
    }
    mm_note_mapped(mm, from, to - from,
                   PROT_READ | PROT_WRITE | (mm->read_implies_exec ? PROT_EXEC : 0));
    return true;
}

int64_t mm_brk(struct user_proc *p, gva_t addr)
{
    struct mm *mm = p->mm;
    gva_t now = 0;
    WITH_LOCK (&mm->change) {
        gva_t from = ALIGN_UP(mm->brk, USER_PAGE), to = ALIGN_UP(addr, USER_PAGE);
        bool ok = addr >= mm->brk_start && addr < mm->limit;
        if (ok && to > from)
            ok = grow_brk(mm, from, to);
        else if (ok && to < from)
            ok = mm_unmap(mm, to, from - to) == 0;
        if (ok)
            mm->brk = addr;
        now = mm->brk;
    }
    return (int64_t)now;
}

/* ---- madvise ---- */

/* Does this advice change what is read there? */
static bool changes_bytes(int advice)
{
    return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
           advice == MADV_POPULATE_WRITE || advice == 24 /* MADV_DONTNEED_LOCKED */;
}

static int64_t advise(struct mm *mm, gva_t at, gva_t end, int advice)
{
    int64_t r = mm_map_covered(&mm->map, at, end) ? 0 : -ENOMEM;
    if (changes_bytes(advice))
        mm_release(mm, at, end - at);
    for (size_t i = mm_map_find(&mm->map, at); i < mm->map.count && mm->map.r[i].start < end; i++) {
        gva_t from = MAX(mm->map.r[i].start, at), to = MIN(mm->map.r[i].end, end);
        if (madvise(mm_host(mm, from), to - from, advice))
            return -errno;
    }
    return r;
}

int64_t mm_madvise(struct user_proc *p, gva_t addr, uint64_t len, int advice)
{
    struct mm *mm = p->mm;
    int64_t r = 0;
    if (advice == 100 || advice == 101) /* MADV_HWPOISON, MADV_SOFT_OFFLINE: of the host's memory */
        return -EPERM;
    if (addr % USER_PAGE || len > mm->limit)
        return -EINVAL;
    len = ALIGN_UP(len, USER_PAGE);
    if (!mm_in_range(mm, addr, len))
        return -ENOMEM;
    if (!len) /* the host says whether it knows the advice */
        return madvise(mm_host(mm, 0), 0, advice) ? -errno : 0;
    WITH_LOCK (&mm->change) {
        mm_sync_grown(mm);
        r = advise(mm, addr, addr + len, advice);
    }
    return r;
}

/* ---- System V shared memory ---- */

static int64_t attach(struct mm *mm, int id, gva_t at, uint64_t len, int flags)
{
    if (at && flags & SHM_RND)
        at = ALIGN_DOWN(at, USER_PAGE);
    if (at % USER_PAGE || (at && !mm_in_range(mm, at, len)))
        return -EINVAL;
    if (at && !(flags & SHM_REMAP) && !mm_map_free(&mm->map, at, at + len))
        return -EINVAL;
    if (at) {
        if (mm_claim(mm, at, len))
            return -EINVAL;
    } else if (!(at = mm_claim_gap(mm, len, USER_PAGE, mm->top))) {
        return -ENOMEM;
    }
    int host_flags = (flags & ~(SHM_EXEC | SHM_RND)) | SHM_REMAP;
    if (shmat(id, mm_host(mm, at), host_flags) == (void *)-1) {
        int code = errno;
        mm_unclaim(mm, at, len);
        return -code;
    }
    uint8_t prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) |
                   (flags & SHM_EXEC || mm->read_implies_exec ? PROT_EXEC : 0);
    mm_note_mapped(mm, at, len, prot);
    struct mm_shm *s = xnew(struct mm_shm);
    *s = (struct mm_shm){ at, len, mm->shm };
    mm->shm = s;
    return (int64_t)at;
}

int64_t mm_shmat(struct user_proc *p, int id, gva_t addr, int flags)
{
    struct mm *mm = p->mm;
    struct shmid_ds ds;
    int64_t r = 0;
    if (shmctl(id, IPC_STAT, &ds))
        return -errno;
    if (!(flags & SHM_RDONLY) && user_self)
        cpu_set_parallel(user_self->cpu); /* other processes: atomics must be real */
    WITH_LOCK (&mm->change)
        r = attach(mm, id, addr, ALIGN_UP((uint64_t)ds.shm_segsz, USER_PAGE), flags);
    return r;
}

static int64_t detach(struct mm *mm, gva_t addr)
{
    for (struct mm_shm **at = &mm->shm; *at; at = &(*at)->next) {
        struct mm_shm *s = *at;
        if (s->at != addr)
            continue;
        if (shmdt(mm_host(mm, addr)))
            return -errno;
        *at = s->next;
        bool code = false;
        WITH_LOCK (&mm->inner) {
            code = mm_map_has_code(&mm->map, addr, addr + s->len);
            mm_unwatch(mm, addr, addr + s->len);
            mm_map_remove(&mm->map, addr, addr + s->len);
        }
        if (code)
            mm_drop_code(mm, addr, s->len);
        if (mm->reserved)
            (void)mm_host_unmap(mm, addr, s->len);
        free(s);
        return 0;
    }
    return -EINVAL;
}

int64_t mm_shmdt(struct user_proc *p, gva_t addr)
{
    struct mm *mm = p->mm;
    int64_t r = 0;
    WITH_LOCK (&mm->change)
        r = detach(mm, addr);
    return r;
}
