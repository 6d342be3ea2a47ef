/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages on sockets: structures with pointers in them. Everything else of sockets, control
 * messages included, has the host's layout on 64-bit guests and needs no code. i386's socketcall is
 * taken apart here, since receiving writes to guest memory.
 */
#include "user/syscall.h"

#include <errno.h>
#include <limits.h>
#include <linux/net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"

enum { CONTROL_MAX = 1 << 20 };

/* The kernel will write to the parts of a message: 64-bit layout. */
static void prepare_msg(struct user_thread *t, const struct msghdr *m)
{
    AUTO_FREE struct iovec *v = NULL;

    if (m->msg_iovlen && call_iovec(t, (uintptr_t)m->msg_iov, m->msg_iovlen, true, &v) < 0)
        return; /* the kernel says what is wrong */
    if (m->msg_name)
        mm_prepare_write(t->proc, (uintptr_t)m->msg_name, sizeof(struct sockaddr_storage));
    if (m->msg_control)
        mm_prepare_write(t->proc, (uintptr_t)m->msg_control,
                         MIN(m->msg_controllen, (size_t)CONTROL_MAX));
}

static void prepare_msg32(struct user_thread *t, gva_t a)
{
    uint32_t m[7], v[2]; /* name namelen iov iovlen control controllen flags */

    if (user_read(t->proc, m, a, sizeof(m)) < 0)
        return;
    mm_prepare_write(t->proc, a, sizeof(m));
    for (uint32_t i = 0; i < MIN(m[3], (uint32_t)IOV_MAX); i++)
        if (user_read(t->proc, v, m[2] + 8 * i, sizeof(v)) == 0)
            mm_prepare_write(t->proc, v[0], v[1]);
    mm_prepare_write(t->proc, m[0], m[0] ? MIN(m[1], (uint32_t)128) : 0);
    mm_prepare_write(t->proc, m[4], m[4] ? MIN(m[5], (uint32_t)CONTROL_MAX) : 0);
}

/* A guest's message in host form, for a guest base. Free *ret_iov. */
static int msg_to_host(struct user_thread *t, gva_t a, bool out, struct msghdr *ret,
                       struct iovec **ret_iov)
{
    int r;

    if (user_read(t->proc, ret, a, sizeof(*ret)) < 0)
        return -EFAULT;
    if (out)
        prepare_msg(t, ret);
    if (ret->msg_iovlen > IOV_MAX)
        return -EMSGSIZE;
    r = call_iovec(t, (uintptr_t)ret->msg_iov, ret->msg_iovlen, false, ret_iov);
    if (r < 0)
        return r;
    ret->msg_iov = *ret_iov;
    ret->msg_name = (void *)(uintptr_t)call_ptr(t, (uintptr_t)ret->msg_name);
    ret->msg_control = (void *)(uintptr_t)call_ptr(t, (uintptr_t)ret->msg_control);
    return 0;
}

/* What the kernel changed in a message it filled. */
static int msg_results(struct user_thread *t, gva_t a, const struct msghdr *m)
{
    if (user_write(t->proc, a + offsetof(struct msghdr, msg_namelen), &m->msg_namelen, 4) < 0 ||
        user_write(t->proc, a + offsetof(struct msghdr, msg_controllen), &m->msg_controllen, 8) <
            0 ||
        user_write(t->proc, a + offsetof(struct msghdr, msg_flags), &m->msg_flags, 4) < 0)
        return -EFAULT;
    return 0;
}

int64_t sys_sendmsg(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    AUTO_FREE struct iovec *iov = NULL;
    struct msghdr m;
    int r;

    if (call_direct(t) || call_is_32(t))
        return call_host(t, row, a);
    r = msg_to_host(t, a[1], false, &m, &iov);
    if (r < 0)
        return r;
    return call_host(t, row, (uint64_t[6]){ a[0], (uintptr_t)&m, a[2] });
}

int64_t sys_recvmsg(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    AUTO_FREE struct iovec *iov = NULL;
    struct msghdr m;
    int64_t r;

    if (call_is_32(t)) {
        prepare_msg32(t, a[1]);
        return call_host(t, row, a);
    }
    if (call_direct(t)) {
        if (user_read(t->proc, &m, a[1], sizeof(m)) == 0)
            prepare_msg(t, &m);
        mm_prepare_write(t->proc, a[1], sizeof(m));
        return call_host(t, row, a);
    }
    r = msg_to_host(t, a[1], true, &m, &iov);
    if (r < 0)
        return r;
    r = call_host(t, row, (uint64_t[6]){ a[0], (uintptr_t)&m, a[2] });
    return r >= 0 && msg_results(t, a[1], &m) < 0 ? -EFAULT : r;
}

/* sendmmsg and recvmmsg with a guest base: the array in host form. */
static int64_t many_messages(struct user_thread *t, const struct call_row *row, const uint64_t a[6],
                             bool out)
{
    unsigned n = MIN((uint32_t)a[2], (uint32_t)IOV_MAX), done;
    AUTO_FREE struct mmsghdr *m = xnew_array(struct mmsghdr, n + 1);
    AUTO_FREE struct iovec **iov = xnew_array(struct iovec *, n + 1);
    int64_t r = 0;

    for (done = 0; done < n && r >= 0; done++)
        r = msg_to_host(t, a[1] + done * sizeof(*m), out, &m[done].msg_hdr, &iov[done]);
    if (r >= 0)
        r = call_host(t, row, (uint64_t[6]){ a[0], (uintptr_t)m, n, a[3], call_ptr(t, a[4]) });
    for (int64_t i = 0; i < r; i++) {
        gva_t at = a[1] + i * sizeof(*m);

        if ((out && msg_results(t, at, &m[i].msg_hdr) < 0) ||
            user_write(t->proc, at + offsetof(struct mmsghdr, msg_len), &m[i].msg_len, 4) < 0)
            r = -EFAULT;
    }
    while (done--)
        free(iov[done]);
    return r;
}

int64_t sys_sendmmsg(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    if (!call_direct(t) && !call_is_32(t))
        return many_messages(t, row, a, false);
    if (a[1])
        mm_prepare_write(t->proc, a[1],
                         MIN((uint32_t)a[2], (uint32_t)IOV_MAX) * sizeof(struct mmsghdr));
    return call_host(t, row, a);
}

int64_t sys_recvmmsg(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    unsigned n = MIN((uint32_t)a[2], (uint32_t)IOV_MAX);
    struct mmsghdr m;

    if (!call_direct(t) && !call_is_32(t))
        return many_messages(t, row, a, true);
    for (unsigned i = 0; i < n; i++) {
        if (call_is_32(t)) {
            prepare_msg32(t, a[1] + 32 * i);
        } else if (user_read(t->proc, &m, a[1] + i * sizeof(m), sizeof(m)) == 0) {
            prepare_msg(t, &m.msg_hdr);
            mm_prepare_write(t->proc, a[1] + i * sizeof(m), sizeof(m));
        }
    }
    if (a[4])
        mm_prepare_write(t->proc, a[4], 16);
    return call_host(t, row, a);
}

/* ---- i386's socketcall ---- */
int64_t sys_socketcall(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    /* number of the separate call, and of arguments in memory */
    static const struct {
        uint16_t nr;
        uint8_t args;
    } calls[] = {
        [SYS_SOCKET] = { 359, 3 },      [SYS_BIND] = { 361, 3 },
        [SYS_CONNECT] = { 362, 3 },     [SYS_LISTEN] = { 363, 2 },
        [SYS_ACCEPT] = { 364, 3 },      [SYS_GETSOCKNAME] = { 367, 3 },
        [SYS_GETPEERNAME] = { 368, 3 }, [SYS_SOCKETPAIR] = { 360, 4 },
        [SYS_SEND] = { 369, 4 },        [SYS_RECV] = { 371, 4 },
        [SYS_SENDTO] = { 369, 6 },      [SYS_RECVFROM] = { 371, 6 },
        [SYS_SHUTDOWN] = { 373, 2 },    [SYS_SETSOCKOPT] = { 366, 5 },
        [SYS_GETSOCKOPT] = { 365, 5 },  [SYS_SENDMSG] = { 370, 3 },
        [SYS_RECVMSG] = { 372, 3 },     [SYS_ACCEPT4] = { 364, 4 },
        [SYS_RECVMMSG] = { 337, 5 },    [SYS_SENDMMSG] = { 345, 4 },
    };
    uint32_t m[6] = { 0 };
    uint64_t v[6];

    if (a[0] < 1 || a[0] >= ARRAY_SIZE(calls))
        return -EINVAL;
    if (user_read(t->proc, m, a[1], calls[a[0]].args * 4) < 0)
        return -EFAULT;
    for (unsigned i = 0; i < 6; i++)
        v[i] = m[i];
    return call_row_run(t, call_row(USER_CALLS_I386, calls[a[0]].nr), v);
}
