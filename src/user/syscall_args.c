/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one mechanism behind most system calls: arguments are converted by their kinds, the host's
 * call is made, what came back is converted. 64-bit guests share almost all layouts with the host,
 * so their pointers go to the kernel as they are, and EFAULT comes from the kernel; with a guest
 * base of 0 not even iovec arrays need a look. i386 guests use the host's compat entry (int 0x80),
 * whose layouts are theirs.
 */
#include "user/syscall.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/log.h"

enum { RW_MAX = 0x7ffff000, OWN_MAX = 4 };

struct call_work { /* of one call */
    uint64_t v[6]; /* arguments in host form */
    unsigned owned;
    void *own[OWN_MAX]; /* freed at the end; low: pages below 4 GiB */
    bool low[OWN_MAX];
    const struct layout *convert; /* what the kernel wrote to buf goes to convert_to */
    gva_t convert_to;
    uint8_t buf[LAYOUT_MAX];
};

int64_t call_raw(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    int64_t ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

/* i386 guests: the host's 32-bit entry, which takes guest addresses as they are. */
static int64_t host_32(struct user_thread *t, const struct call_row *row, const uint64_t v[6])
{
    uint32_t regs[7] = { row->nr[USER_CALLS_I386], v[0], v[1], v[2], v[3], v[4], v[5] };
    bool wait = row->flags & CALL_BLOCK;
    int64_t r;

    if (t->proc->cpu_user.base)
        return -ENOSYS;
    do {
        r = user_syscall32(regs, wait);
    } while (r == USER_RESTART && !wait);
    return call_restart(row, r);
}

/* In a child, as a host without the entry answers with a signal. */
static bool host_has_32(void)
{
    enum { I386_GETPID = 20 };
    uint32_t regs[7] = { I386_GETPID };
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(user_syscall32(regs, false) == getpid() ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

bool user_calls_init(struct user_proc *p, struct error *err)
{
    if (p->abi->long_size != 4)
        return true;
    if (p->cpu_user.base) {
        fail(err, EINVAL, "32-bit programs run with a guest base of 0 only");
        return fail_hint(err, "leave out -B");
    }
    if (!host_has_32()) {
        fail(err, ENOSYS, "the host's kernel has no 32-bit system calls, which %s programs need",
             p->abi->name);
        return fail_hint(err, "boot it with ia32_emulation=on (CONFIG_IA32_EMULATION)");
    }
    return true;
}

int64_t call_restart(const struct call_row *row, int64_t r)
{
    if (r != USER_RESTART)
        return r; /* an EINTR is the kernel's own verdict */
    if (row->flags & CALL_INTR)
        return -EINTR;
    return row->flags & CALL_NOHAND ? USER_RESTART_NOHAND : USER_RESTART;
}

int64_t call_host(struct user_thread *t, const struct call_row *row, const uint64_t v[6])
{
    int64_t r;

    if (unlikely(call_is_32(t)))
        return host_32(t, row, v);
    if (!(row->flags & CALL_BLOCK))
        return call_raw(row->nr[USER_CALLS_X86_64], v[0], v[1], v[2], v[3], v[4], v[5]);
    r = user_syscall_begun(row->nr[USER_CALLS_X86_64], v);
    return unlikely(r == USER_RESTART) ? call_restart(row, r) : r;
}

uint32_t call_open_flags_to_host(const struct user_abi *abi, uint32_t flags)
{
    uint32_t ret = flags, from = 0, to = 0;

    for (const struct user_flag_map *m = abi->open_flags; m && m->guest; m++) {
        from |= m->guest;
        to |= flags & m->guest ? m->host : 0;
    }
    return (ret & ~from) | to;
}

uint32_t call_open_flags_to_guest(const struct user_abi *abi, uint32_t flags)
{
    uint32_t ret = flags, from = 0, to = 0;

    for (const struct user_flag_map *m = abi->open_flags; m && m->guest; m++) {
        from |= m->host;
        to |= flags & m->host ? m->guest : 0;
    }
    return (ret & ~from) | to;
}

int call_iovec(struct user_thread *t, gva_t iov, uint64_t count, bool out, struct iovec **ret)
{
    struct user_proc *p = t->proc;
    struct iovec *v;

    if (count > IOV_MAX)
        return -EINVAL;
    v = xnew_array(struct iovec, count + 1);
    if (user_read(p, v, iov, count * sizeof(*v)) < 0) {
        free(v);
        return -EFAULT;
    }
    for (uint64_t i = 0; i < count; i++) {
        gva_t a = (uintptr_t)v[i].iov_base;

        if (out && v[i].iov_len)
            mm_prepare_write(p, a, MIN(v[i].iov_len, (size_t)RW_MAX));
        v[i].iov_base = (void *)(uintptr_t)call_ptr(t, a);
    }
    *ret = v;
    return 0;
}

static void prepare_iovec32(struct user_thread *t, gva_t iov, uint64_t count)
{
    uint32_t v[2];

    for (uint64_t i = 0; i < count && i < IOV_MAX; i++)
        if (user_read(t->proc, v, iov + i * sizeof(v), sizeof(v)) == 0)
            mm_prepare_write(t->proc, v[0], v[1]);
}

/* The kernel will write to an iovec array's buffers; with a base, the array is converted. */
static int convert_iovec(struct user_thread *t, struct call_work *w, unsigned i, uint64_t count,
                         bool out)
{
    struct iovec *v;
    int r;

    if (!out && (call_direct(t) || call_is_32(t)))
        return 0;
    if (call_is_32(t)) {
        prepare_iovec32(t, w->v[i], count);
        return 0;
    }
    r = call_iovec(t, w->v[i], count, out, &v);
    if (r < 0)
        return call_direct(t) ? 0 : r; /* the kernel says what is wrong */
    w->own[w->owned++] = v;
    w->v[i] = (uintptr_t)v;
    return 0;
}

/* A string of ours where the kernel can read it for this guest. */
static int own_string(struct user_thread *t, struct call_work *w, unsigned i, char *s)
{
    void *low;
    size_t len = strlen(s) + 1;

    w->own[w->owned] = s;
    w->low[w->owned++] = false;
    w->v[i] = (uintptr_t)s;
    if (!call_is_32(t))
        return 0;
    if (len > PATH_MAX)
        return -ENAMETOOLONG;
    low = mmap(NULL, PATH_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1,
               0);
    if (low == MAP_FAILED)
        return -ENOMEM;
    memcpy(low, s, len);
    w->own[w->owned] = low;
    w->low[w->owned++] = true;
    w->v[i] = (uintptr_t)low;
    return 0;
}

/* Absolute paths are looked up below -L. The first bytes are looked at before anything is copied.
 */
static int convert_path(struct user_thread *t, struct call_work *w, unsigned i)
{
    gva_t a = w->v[i];
    char head[8] = "", *own = NULL, *s;
    const char *path;
    int err = 0;

    w->v[i] = call_ptr(t, a);
    if (user_read(t->proc, head, a, MIN((size_t)8, 4096 - (a & 4095))) < 0 || head[0] != '/')
        return 0; /* EFAULT comes from the kernel */
    if (!t->proc->opt->sysroot && memcmp(head, "/proc/", 6) != 0)
        return 0;
    s = user_string(t->proc, a, PATH_MAX, &err);
    if (!s)
        return err;
    path = user_path(t->proc, s, &own);
    if (path == s) {
        free(s);
        return 0;
    }
    if (!own)
        own = xstrdup(path);
    free(s);
    return own_string(t, w, i, own);
}

static int convert_layout(struct user_thread *t, const struct call_arg *arg, struct call_work *w,
                          unsigned i)
{
    const struct layout *l = layout_get(arg->size, t->proc->abi->call_column);
    uint8_t guest[LAYOUT_MAX];
    gva_t a = w->v[i];

    if (!l) {
        w->v[i] = call_ptr(t, a);
        if (arg->kind == KIND_LAYOUT)
            mm_prepare_write(t->proc, a, LAYOUT_MAX);
        return 0;
    }
    w->v[i] = (uintptr_t)w->buf;
    if (arg->kind == KIND_LAYOUT_IN) {
        if (user_read(t->proc, guest, a, l->guest_size) < 0)
            return -EFAULT;
        layout_to_host(l, w->buf, guest);
        return 0;
    }
    w->convert = l;
    w->convert_to = a;
    return 0;
}

/* How many bytes the kernel may write for an output argument. */
static uint64_t out_size(struct user_thread *t, const struct call_arg *arg, const uint64_t a[6])
{
    uint64_t n = a[arg->len];
    uint32_t len = 0;

    switch (arg->kind) {
    case KIND_OUT: return MIN(n, (uint64_t)RW_MAX) * arg->size;
    case KIND_OUTL:
    case KIND_OADDR:
        if (!n || user_read(t->proc, &len, n, sizeof(len)) < 0)
            return 0;
        return MIN(len, (uint32_t)RW_MAX);
    case KIND_POLLFD: return MIN(n, (uint64_t)1 << 20) * 8;
    case KIND_FDSET: return (MIN(n, (uint64_t)1 << 20) + 63) / 64 * 8;
    case KIND_PAGES: return MIN(n, (uint64_t)1 << 47) / 4096 + 1;
    default: return arg->size;
    }
}

static int convert_pointer(struct user_thread *t, const struct call_arg *arg, struct call_work *w,
                           unsigned i, const uint64_t a[6])
{
    uint64_t n;

    switch (arg->kind) {
    case KIND_PATH: return convert_path(t, w, i);
    case KIND_IOV: return convert_iovec(t, w, i, a[arg->len], false);
    case KIND_OIOV: return convert_iovec(t, w, i, a[arg->len], true);
    case KIND_LAYOUT:
    case KIND_LAYOUT_IN: return convert_layout(t, arg, w, i);
    default: break;
    }
    w->v[i] = call_ptr(t, w->v[i]);
    if (arg->kind >= KIND_OUTPUTS && (n = out_size(t, arg, a)) != 0)
        mm_prepare_write(t->proc, a[i], n);
    return 0;
}

static void finish_work(struct call_work *w)
{
    while (w->owned--) {
        if (w->low[w->owned])
            (void)munmap(w->own[w->owned], PATH_MAX);
        else
            free(w->own[w->owned]);
    }
}

static int64_t convert_back(struct user_thread *t, struct call_work *w, int64_t r)
{
    uint8_t guest[LAYOUT_MAX];

    if (r < 0)
        return r;
    layout_to_guest(w->convert, guest, w->buf);
    return user_write(t->proc, w->convert_to, guest, w->convert->guest_size) < 0 ? -EFAULT : r;
}

int64_t call_pass(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct call_work w;
    int64_t r = 0;

    memcpy(w.v, a, sizeof(w.v));
    w.owned = 0;
    w.convert = NULL;
    if (unlikely(row->flags & CALL_BASE0) && t->proc->cpu_user.base) {
        log_write(LOG_UNIMP, "system call %s: ENOSYS with a guest base (-B)\n", row->name);
        return -ENOSYS;
    }
    if (unlikely(!call_is_32(t) && row->nr[USER_CALLS_X86_64] < 0))
        return -ENOSYS;
    for (unsigned i = 0; i < row->nargs; i++) {
        const struct call_arg *arg = &row->arg[i];

        if (arg->kind == KIND_FLAGS && arg->size <= SET_FDFL) {
            w.v[i] = call_open_flags_to_host(t->proc->abi, a[i]);
        } else if ((arg->kind == KIND_FD || arg->kind == KIND_AT) &&
                   call_fd_is_ours(t->proc, a[i])) {
            r = -EBADF;
            goto out;
        } else if (arg->kind >= KIND_POINTERS && a[i]) {
            r = convert_pointer(t, arg, &w, i, a);
            if (r < 0)
                goto out;
        }
    }
    r = call_host(t, row, w.v);
    if (w.convert)
        r = convert_back(t, &w, r);
out:
    if (w.owned)
        finish_work(&w);
    return r;
}

int call_read_timespec(struct user_thread *t, gva_t a, bool time64, struct timespec *ret)
{
    int32_t old[2];

    if (!call_is_32(t) || time64)
        return user_read(t->proc, ret, a, sizeof(*ret));
    if (user_read(t->proc, old, a, sizeof(old)) < 0)
        return -EFAULT;
    *ret = (struct timespec){ old[0], old[1] };
    return 0;
}

int call_write_timespec(struct user_thread *t, gva_t a, bool time64, const struct timespec *ts)
{
    int32_t old[2] = { ts->tv_sec, ts->tv_nsec };

    if (!call_is_32(t) || time64)
        return user_write(t->proc, a, ts, sizeof(*ts));
    return user_write(t->proc, a, old, sizeof(old));
}
