/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * System calls: what the table (syscalls.def), the one mechanism that carries calls out
 * (syscall_args.c), the handlers (sys_*.c) and -strace share. A row says what each argument is;
 * rows without a handler need nothing else. user/ outside of this family sees user_syscall() alone.
 */
#ifndef USER_SYSCALL_H
#define USER_SYSCALL_H

#include "base/bits.h"
#include "user/user.h"

struct call_row;
struct iovec;
/* A handler: result, -errno or USER_*. a holds six arguments as the guest gave them. */
typedef int64_t call_fn(struct user_thread *t, const struct call_row *row, const uint64_t a[6]);

enum call_kind {
    KIND_NONE,
    KIND_INT,
    KIND_UINT,
    KIND_HEX,
    KIND_OCT,
    KIND_LONG,
    KIND_SIZE,
    KIND_FD,
    KIND_AT, /* directory descriptor or AT_FDCWD */
    KIND_SIG,
    KIND_FLAGS, /* size: enum call_set; SET_OPEN and SET_FDFL are converted between guest and host
                 */
    KIND_ENUM,  /* size: enum call_set */
    KIND_FUTEX, /* futex operation */
    KIND_IOCTL,
    KIND_POINTERS,            /* from here on guest addresses; 0 stays 0 */
    KIND_PTR = KIND_POINTERS, /* the kernel reads there, or takes the address as such */
    KIND_STR,
    KIND_NAME,  /* path, taken as it is */
    KIND_PATH,  /* path, looked up below -L first */
    KIND_STRV,  /* argv */
    KIND_IN,    /* buffer; length in argument len, in units of size */
    KIND_INS,   /* structure of size bytes (64-bit layout) */
    KIND_SADDR, /* socket address, length in argument len */
    KIND_SIGSET,
    KIND_TS, /* timespec; KIND_TV: timeval */
    KIND_TV,
    KIND_IOV,                /* iovec array the kernel reads from, count in argument len */
    KIND_MSG,                /* msghdr */
    KIND_OUTPUTS,            /* from here on the kernel writes there */
    KIND_OUT = KIND_OUTPUTS, /* buffer; length in argument len, in units of size */
    KIND_OUTL,               /* buffer; length is the 32-bit word that argument len points to */
    KIND_OUTS,               /* structure of size bytes */
    KIND_IOS,                /* read and written */
    KIND_OADDR,              /* socket address, length as KIND_OUTL */
    KIND_TSO,
    KIND_TVO,
    KIND_TSIO,
    KIND_TVIO,
    KIND_OIOV,
    KIND_POLLFD,
    KIND_FDSET,     /* bits in argument len */
    KIND_PAGES,     /* a byte per page of argument len */
    KIND_LAYOUT,    /* size: enum layout_id; written by the kernel, converted */
    KIND_LAYOUT_IN, /* read by the kernel, converted */
};

enum call_set { /* names of constants (strace_names.c) */
                SET_OPEN,
                SET_FDFL, /* as SET_OPEN, for calls that open no file */
                SET_AT,
                SET_ACCESS,
                SET_WHENCE,
                SET_FCNTL,
                SET_PROT,
                SET_MAP,
                SET_MADV,
                SET_CLONE,
                SET_WAIT,
                SET_RLIMIT,
                SET_SIGHOW,
                SET_CLOCK,
                SET_EPOLL_CTL,
                SET_AF,
                SET_SOCK,
                SET_MSG,
                SET_SOL,
                SET_PRCTL,
                SET_RWF,
                SET_SIGNAL,
                SET_FUTEX,
                SET_ERRNO,
                SET_POLL,
                SET_COUNT,
};

struct call_arg {
    uint8_t kind, len;
    uint16_t size;
};

enum call_flags {
    CALL_BLOCK = 1,    /* may wait: through user_syscall_safe(); restarted if SA_RESTART says so */
    CALL_NOHAND = 2,   /* restarted only when no handler ran */
    CALL_INTR = 4,     /* never restarted */
    CALL_NORETURN = 8, /* -strace prints it before it is made */
    CALL_BASE0 = 16,   /* takes pointers in memory: ENOSYS with a guest base other than 0 */
};

struct call_row {
    const char *name;
    int16_t nr[USER_CALLS_COUNT]; /* -1: this ABI has it not */
    uint8_t flags, nargs;
    call_fn *fn;        /* NULL: call_pass() */
    const char *reason; /* of a deliberate ENOSYS */
    struct call_arg arg[6];
};

/* The row of a call, or NULL for a number that this ABI has not (syscall.c). */
const struct call_row *call_row(enum user_call_column column, uint64_t nr);
/* A descriptor of our own, which the guest does not have: EBADF (sys_file.c). */
bool call_fd_is_ours(const struct user_proc *p, uint64_t fd);
/* Carries out a row without -strace. */
int64_t call_row_run(struct user_thread *t, const struct call_row *row, const uint64_t a[6]);

/* ---- syscall_args.c ---- */
/* Converts the arguments by their kinds, makes the call, converts what came back. */
int64_t call_pass(struct user_thread *t, const struct call_row *row, const uint64_t a[6]);
/* The row's call on the host with arguments in host form (i386 guests: through the host's own
 * compat entry, so they must be 32-bit), blocking and restart rules by the row's flags. */
int64_t call_host(struct user_thread *t, const struct call_row *row, const uint64_t v[6]);
/* Any x86-64 call that does not block. */
int64_t call_raw(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f);
/* "Interrupted, may be restarted" as the row's flags want it. */
int64_t call_restart(const struct call_row *row, int64_t result);
uint32_t call_open_flags_to_host(const struct user_abi *abi, uint32_t flags);
uint32_t call_open_flags_to_guest(const struct user_abi *abi, uint32_t flags);

/* Are guest structures with pointers in them the host's? */
static inline bool call_direct(const struct user_thread *t)
{
    return t->proc->cpu_user.base == 0 && t->proc->abi->long_size == 8;
}
static inline bool call_is_32(const struct user_thread *t)
{
    return t->proc->abi->long_size == 4;
}
/* Host form of an address in an argument. Beyond user space it stays what the kernel refuses. */
static inline uint64_t call_ptr(const struct user_thread *t, gva_t a)
{
    uint64_t base = t->proc->cpu_user.base;

    return unlikely(base) && a && a < t->proc->abi->va_limit ? a + base : a;
}
/* An iovec array of the guest in host form: 0 or -errno; free *ret. out: the kernel will write
 * there. */
int call_iovec(struct user_thread *t, gva_t iov, uint64_t count, bool out,
               struct iovec **ret) MUST_CHECK;
/* A guest's struct timespec; time64: i386 variant with 64-bit members. */
int call_read_timespec(struct user_thread *t, gva_t a, bool time64,
                       struct timespec *ret) MUST_CHECK;
int call_write_timespec(struct user_thread *t, gva_t a, bool time64,
                        const struct timespec *ts) MUST_CHECK;

/* ---- layout.c: structures whose layout differs between guest and host ---- */
enum layout_id { LAYOUT_STAT, LAYOUT_EPOLL_EVENT, LAYOUT_SEMID_DS, LAYOUT_COUNT };
enum { LAYOUT_MAX = 160 }; /* bytes of the largest */
struct layout_field {
    uint8_t guest_offset, guest_size, host_offset, host_size;
};
struct layout {
    uint16_t guest_size, host_size;
    const struct layout_field *fields;
};
/* NULL: the host's own. */
const struct layout *layout_get(enum layout_id id, enum user_call_column column);
void layout_to_guest(const struct layout *l, void *guest, const void *host);
void layout_to_host(const struct layout *l, void *host, const void *guest);

/* ---- strace.c, strace_names.c ---- */
int64_t strace_call(struct user_thread *t, const struct call_row *row,
                    const struct user_call *call);
/* "A|B|0x40", or the name of one value; unknown: NULL from the enum form. */
void strace_flags(FILE *f, enum call_set set, uint64_t value);
const char *strace_enum(enum call_set set, uint64_t value);

/* ---- the handlers, by file ---- */
call_fn sys_getdents64, sys_arch_prctl, sys_brk, sys_clock_gettime, sys_clone, sys_clone3,
    sys_close, sys_close_range, sys_dup2, sys_dup3, sys_epoll_wait, sys_execve, sys_exit,
    sys_exit_group, sys_fcntl, sys_fork, sys_futex, sys_futex2, sys_futex_waitv,
    sys_get_robust_list, sys_get_thread_area, sys_getrlimit, sys_ioctl, sys_ipc, sys_madvise,
    sys_mlockall, sys_mmap, sys_mmap2, sys_modify_ldt, sys_mprotect, sys_mremap, sys_msgrcv,
    sys_munmap, sys_old_mmap, sys_open, sys_openat, sys_openat2, sys_ppoll, sys_prctl,
    sys_prlimit64, sys_pselect6, sys_readlink, sys_recvmmsg, sys_recvmsg, sys_restart,
    sys_riscv_flush_icache, sys_riscv_hwprobe, sys_rt_sigaction, sys_rt_sigpending,
    sys_rt_sigprocmask, sys_rt_sigqueueinfo, sys_rt_sigreturn, sys_rt_sigsuspend,
    sys_rt_sigtimedwait, sys_rt_tgsigqueueinfo, sys_semctl, sys_sendmmsg, sys_sendmsg,
    sys_set_robust_list, sys_set_thread_area, sys_set_tid_address, sys_setrlimit, sys_sgetmask,
    sys_shmat, sys_shmdt, sys_sigaction, sys_sigaltstack, sys_signal, sys_signalfd, sys_sigpending,
    sys_sigprocmask, sys_sigsuspend, sys_socketcall, sys_ssetmask, sys_uname, sys_unshare;

#endif
