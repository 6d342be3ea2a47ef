/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * System V IPC: what depends on a command, and i386's one call for all.
 */
#include "user/syscall.h"

#include <errno.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "base/bits.h"

int64_t sys_semctl(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    const struct layout *l = layout_get(LAYOUT_SEMID_DS, t->proc->abi->call_column);
    uint64_t v[6] = { a[0], a[1], a[2], a[3] };
    struct semid_ds ds;
    uint8_t guest[LAYOUT_MAX];
    int64_t r;

    switch ((int)a[2]) {
    case SETVAL: return call_host(t, row, a);
    case GETALL:
    case IPC_INFO:
    case SEM_INFO: mm_prepare_write(t->proc, a[3], 65536); break;
    case IPC_SET:
    case IPC_STAT:
    case SEM_STAT:
    case SEM_STAT_ANY:
        if (l)
            goto convert;
        mm_prepare_write(t->proc, a[3], sizeof(ds));
        break;
    default: break;
    }
    v[3] = call_ptr(t, a[3]);
    return call_host(t, row, v);
convert:
    v[3] = (uintptr_t)&ds;
    if ((int)a[2] == IPC_SET) {
        if (user_read(t->proc, guest, a[3], l->guest_size) < 0)
            return -EFAULT;
        layout_to_host(l, &ds, guest);
        return call_host(t, row, v);
    }
    r = call_host(t, row, v);
    if (r < 0)
        return r;
    layout_to_guest(l, guest, &ds);
    return user_write(t->proc, a[3], guest, l->guest_size) < 0 ? -EFAULT : r;
}

/* A message: its type, a long, and the text. */
int64_t sys_msgrcv(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    uint64_t v[6] = { a[0], call_ptr(t, a[1]), a[2], a[3], a[4] };

    if (a[1])
        mm_prepare_write(t->proc, a[1], MIN(a[2], (uint64_t)INT32_MAX) + t->proc->abi->long_size);
    return call_host(t, row, v);
}

/* i386: the host's compat entry knows ipc(); attaching memory is ours. */
int64_t sys_ipc(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    enum { MSGRCV = 12, SHMAT = 21, SHMDT = 22 };
    uint32_t at, kludge;
    int64_t r;

    switch (a[0] & 0xffff) {
    case SHMAT:
        r = mm_shmat(t->proc, a[1], a[4], a[2]);
        if (r < 0 && r > -4096)
            return r;
        at = r;
        return user_write(t->proc, a[3], &at, sizeof(at));
    case SHMDT: return mm_shmdt(t->proc, a[4]);
    case MSGRCV:
        if (!(a[0] >> 16) && user_read(t->proc, &kludge, a[4], sizeof(kludge)) == 0)
            mm_prepare_write(t->proc, kludge, MIN((uint32_t)a[2], (uint32_t)INT32_MAX) + 4);
        break;
    default: break;
    }
    return call_host(t, row, a);
}
