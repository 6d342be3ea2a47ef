/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of system calls and the way from a guest's number to its row.
 */
#include "user/syscall.h"

#include <errno.h>

#include "base/bits.h"
#include "base/log.h"
#include "user/user.h"

#define BLOCK    CALL_BLOCK
#define NOHAND   CALL_NOHAND
#define INTR     CALL_INTR
#define NORETURN CALL_NORETURN
#define BASE0    CALL_BASE0
#define INT                                                                                        \
    {                                                                                              \
        KIND_INT                                                                                   \
    }
#define UINT                                                                                       \
    {                                                                                              \
        KIND_UINT                                                                                  \
    }
#define HEX                                                                                        \
    {                                                                                              \
        KIND_HEX                                                                                   \
    }
#define OCT                                                                                        \
    {                                                                                              \
        KIND_OCT                                                                                   \
    }
#define LONG                                                                                       \
    {                                                                                              \
        KIND_LONG                                                                                  \
    }
#define SIZE                                                                                       \
    {                                                                                              \
        KIND_SIZE                                                                                  \
    }
#define FD                                                                                         \
    {                                                                                              \
        KIND_FD                                                                                    \
    }
#define AT                                                                                         \
    {                                                                                              \
        KIND_AT                                                                                    \
    }
#define SIG                                                                                        \
    {                                                                                              \
        KIND_SIG                                                                                   \
    }
#define FL(set)                                                                                    \
    {                                                                                              \
        KIND_FLAGS, 0, SET_##set                                                                   \
    }
#define EN(set)                                                                                    \
    {                                                                                              \
        KIND_ENUM, 0, SET_##set                                                                    \
    }
#define FUTEX                                                                                      \
    {                                                                                              \
        KIND_FUTEX                                                                                 \
    }
#define IOCTL                                                                                      \
    {                                                                                              \
        KIND_IOCTL                                                                                 \
    }
#define PTR                                                                                        \
    {                                                                                              \
        KIND_PTR                                                                                   \
    }
#define STR                                                                                        \
    {                                                                                              \
        KIND_STR                                                                                   \
    }
#define NAME                                                                                       \
    {                                                                                              \
        KIND_NAME                                                                                  \
    }
#define PATH                                                                                       \
    {                                                                                              \
        KIND_PATH                                                                                  \
    }
#define STRV                                                                                       \
    {                                                                                              \
        KIND_STRV                                                                                  \
    }
#define IN(n)                                                                                      \
    {                                                                                              \
        KIND_IN, n, 1                                                                              \
    }
#define INN(n, s)                                                                                  \
    {                                                                                              \
        KIND_IN, n, s                                                                              \
    }
#define INS(s)                                                                                     \
    {                                                                                              \
        KIND_INS, 0, s                                                                             \
    }
#define SADDR(n)                                                                                   \
    {                                                                                              \
        KIND_SADDR, n                                                                              \
    }
#define SIGSET                                                                                     \
    {                                                                                              \
        KIND_SIGSET                                                                                \
    }
#define TS                                                                                         \
    {                                                                                              \
        KIND_TS, 0, 16                                                                             \
    }
#define TV                                                                                         \
    {                                                                                              \
        KIND_TV, 0, 16                                                                             \
    }
#define IOV(n)                                                                                     \
    {                                                                                              \
        KIND_IOV, n                                                                                \
    }
#define MSG                                                                                        \
    {                                                                                              \
        KIND_MSG                                                                                   \
    }
#define OUT(n)                                                                                     \
    {                                                                                              \
        KIND_OUT, n, 1                                                                             \
    }
#define OUTN(n, s)                                                                                 \
    {                                                                                              \
        KIND_OUT, n, s                                                                             \
    }
#define OUTL(n)                                                                                    \
    {                                                                                              \
        KIND_OUTL, n                                                                               \
    }
#define OUTS(s)                                                                                    \
    {                                                                                              \
        KIND_OUTS, 0, s                                                                            \
    }
#define IOS(s)                                                                                     \
    {                                                                                              \
        KIND_IOS, 0, s                                                                             \
    }
#define OADDR(n)                                                                                   \
    {                                                                                              \
        KIND_OADDR, n                                                                              \
    }
#define TSO                                                                                        \
    {                                                                                              \
        KIND_TSO, 0, 16                                                                            \
    }
#define TVO                                                                                        \
    {                                                                                              \
        KIND_TVO, 0, 16                                                                            \
    }
#define TSIO                                                                                       \
    {                                                                                              \
        KIND_TSIO, 0, 16                                                                           \
    }
#define TVIO                                                                                       \
    {                                                                                              \
        KIND_TVIO, 0, 16                                                                           \
    }
#define OIOV(n)                                                                                    \
    {                                                                                              \
        KIND_OIOV, n                                                                               \
    }
#define POLLFD(n)                                                                                  \
    {                                                                                              \
        KIND_POLLFD, n                                                                             \
    }
#define FDSET(n)                                                                                   \
    {                                                                                              \
        KIND_FDSET, n                                                                              \
    }
#define PAGES(n)                                                                                   \
    {                                                                                              \
        KIND_PAGES, n                                                                              \
    }
#define STAT                                                                                       \
    {                                                                                              \
        KIND_LAYOUT, 0, LAYOUT_STAT                                                                \
    }
#define EPEV                                                                                       \
    {                                                                                              \
        KIND_LAYOUT_IN, 0, LAYOUT_EPOLL_EVENT                                                      \
    }

static const struct call_row rows[] = {
#define CALL(name, g, x, i, flags, fn, n, ...)                                                     \
    { #name, { g, x, i }, flags, n, fn, NULL, { __VA_ARGS__ } },
#define DENY(name, g, x, i, why)                                                                   \
    { #name, { g, x, i }, 0, 6, NULL, why, { HEX, HEX, HEX, HEX, HEX, HEX } },
#include "user/syscalls.def"
#undef CALL
#undef DENY
};

enum row_index {
#define CALL(name, ...) ROW_##name,
#define DENY(name, ...) ROW_##name,
#include "user/syscalls.def"
#undef CALL
#undef DENY
    ROW_COUNT
};
_Static_assert(ARRAY_SIZE(rows) == ROW_COUNT, "one row each");

/* Number to row index + 1. Rows that an ABI has not go to the last, unused entry. */
enum { NUMBERS = 512, NOWHERE = NUMBERS };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const uint16_t index_of[USER_CALLS_COUNT][NUMBERS + 1] = {
    [USER_CALLS_GENERIC] = {
#define CALL(name, g, x, i, ...) [g < 0 ? NOWHERE : g] = ROW_##name + 1,
#define DENY                     CALL
#include "user/syscalls.def"
#undef CALL
    },
    [USER_CALLS_X86_64] = {
#define CALL(name, g, x, i, ...) [x < 0 ? NOWHERE : x] = ROW_##name + 1,
#include "user/syscalls.def"
#undef CALL
    },
    [USER_CALLS_I386] = {
#define CALL(name, g, x, i, ...) [i < 0 ? NOWHERE : i] = ROW_##name + 1,
#include "user/syscalls.def"
#undef CALL
#undef DENY
    },
};
#pragma GCC diagnostic pop

const struct call_row *call_row(enum user_call_column column, uint64_t nr)
{
    unsigned i = nr < NUMBERS ? index_of[column][nr] : 0;

    return i ? &rows[i - 1] : NULL;
}

static int64_t deny(const struct call_row *row)
{
    if (log_enabled(LOG_UNIMP))
        log_write(LOG_UNIMP, "system call %s: ENOSYS: %s\n", row->name, row->reason);
    return -ENOSYS;
}

int64_t call_row_run(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    if (row->fn)
        return row->fn(t, row, a);
    if (unlikely(row->reason != NULL))
        return deny(row);
    return call_pass(t, row, a);
}

int64_t user_syscall(struct user_thread *t, const struct user_call *call)
{
    const struct call_row *row = call_row(t->proc->abi->call_column, call->nr);

    if (unlikely(!row)) {
        if (log_enabled(LOG_UNIMP))
            log_write(LOG_UNIMP, "system call %lld of %s: ENOSYS: Linux has no such call\n",
                      (long long)call->nr, t->proc->abi->name);
        return -ENOSYS;
    }
    if (unlikely(t->proc->opt->strace))
        return strace_call(t, row, call);
    return call_row_run(t, row, call->arg);
}
