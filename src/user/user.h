/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linux user mode: what the parts of user/ share. One guest process is this process; guest threads
 * are host threads; guest memory is host memory (host address = guest address + base). Guests are
 * 64-bit or 32-bit little-endian Linux ABIs, described by one struct user_abi each.
 */
#pragma once

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/types.h"
#include "cpu/cpu.h"
#include "cpu/guest.h"

struct user_proc;
struct user_thread;
struct mm; /* user/mm.c */

/* ---- the command line and QEMU_* variables (main/user.c fills it) ---- */
struct user_abi;
struct user_options {
    const char *program;        /* our own name, for messages */
    const struct user_abi *abi; /* by the name we were called; NULL: what the file says */
    const char *sysroot;        /* -L: tried first in front of absolute paths; or NULL */
    const char *argv0;          /* -0; NULL: the path */
    const char *cpu_model;      /* -cpu; NULL: the guest's default */
    const char *accel;          /* NULL or "tcg": translator; "interp" */
    const char *uname;          /* -r: release to report; NULL: the host's */
    uint64_t stack_size;        /* -s; 0: RLIMIT_STACK, 8 MiB at least */
    uint64_t guest_base;        /* -B */
    uint64_t reserved_va;       /* -R; 0: none */
    uint64_t random_seed;       /* -seed */
    bool has_base, has_seed, strace, one_insn_per_block;
    bool binfmt_preserve; /* started by binfmt_misc with the P flag: argv[0] is the guest's own */
    char **argv, **envp;  /* of the guest: argv[0] is the name it will see */
    const char *path;     /* the program's file */
    bool has_exec_fd;     /* exec_fd is open on it (AT_EXECFD of binfmt_misc) */
    int exec_fd;
    bool has_self_fd; /* self_fd is open on our own executable */
    int self_fd;
    const char *log_items, *log_file; /* -d, -D: for programs that the program starts */
    uint64_t tb_size;                 /* -tb-size in bytes; 0: the engine's default */
};

/* ---- an ABI: guest processor and Linux on it ---- */
struct user_call {
    uint64_t nr, arg[6];
};
struct user_sigframe_info {                  /* what a frame is made from */
    int sig;                                 /* the guest's number */
    siginfo_t info;                          /* host form */
    uint64_t handler, flags, restorer, mask; /* of the guest's sigaction */
    uint64_t old_mask;                       /* to be restored by sigreturn */
};
struct user_flag_map { /* guest bits <-> host bits, where they differ */
    uint64_t guest, host;
};
struct user_abi {
    const char *name; /* "aarch64": rhea-NAME, -L default, AT_PLATFORM */
    const char *uname_machine;
    const struct guest *guest;
    uint16_t elf_machine;
    uint8_t elf_class;   /* 1: 32 bits, 2: 64 bits */
    uint8_t call_column; /* of the system call table: enum user_call_column */
    unsigned long_size;  /* 4 or 8 */
    gva_t va_limit;      /* first address beyond user space */
    const char *const
        *interp_packages; /* hint when the ELF interpreter is missing: Debian package names */
    const struct user_flag_map *open_flags; /* ends with guest 0; bits not named are equal */
    uint64_t minsigstksz;                   /* AT_MINSIGSTKSZ: bytes a frame takes */
    uint64_t sigaltstack_min;               /* sigaltstack() with less is ENOMEM */
    bool kernel_code; /* a non-canonical address is SI_KERNEL without the address (x86) */
    bool sa_restorer; /* struct sigaction has the member sa_restorer */
    const uint32_t
        *trampoline; /* sigreturn code put in a page of the guest, ends with 0; NULL: none */
    /* registers */
    void (*get_call)(const struct cpu *cpu, struct user_call *ret);
    void (*set_result)(struct cpu *cpu, int64_t value); /* -errno on failure; the ABI's own form */
    /* Makes the guest execute the call instruction again with its first argument (or number)
     * restored. */
    void (*restart_call)(struct cpu *cpu, const struct user_call *call);
    void (*start)(struct cpu *cpu, gva_t entry, gva_t sp);
    gva_t (*sp)(const struct cpu *cpu);
    gva_t (*pc)(const struct cpu *cpu);
    void (*set_tls)(struct cpu *cpu, uint64_t tls);
    /* the child's registers after clone: result 0, stack when not 0 */
    void (*clone_regs)(struct cpu *child, gva_t sp);
    uint64_t (*hwcap)(const struct cpu *cpu);
    uint64_t (*hwcap2)(const struct cpu *cpu);
    /* A pending exception (CPU_LEFT_EXCEPTION) as the signal Linux sends. */
    void (*exception)(const struct cpu *cpu, siginfo_t *ret);
    /* Writes the signal frame to the guest's stack at or below sp and sets the registers for the
     * handler. False when the stack cannot be written: SIGSEGV follows. */
    bool (*build_frame)(struct user_thread *t, const struct user_sigframe_info *f, gva_t sp);
    /* sigreturn: registers from the frame; *ret_mask is the mask to restore. False: SIGSEGV. */
    bool (*sigreturn)(struct user_thread *t, bool rt, uint64_t *ret_mask);
};
extern const struct user_abi *const user_abis[]; /* ends with NULL */

/* ---- the process ---- */
struct user_limit { /* a resource limit that the guest set and that the host does not enforce */
    uint64_t cur, max;
    bool set;
};
struct user_proc {
    /* constant after start */
    const struct user_options *opt;
    const struct user_abi *abi;
    struct cpu_user cpu_user;
    struct mm *mm;            /* has its own locks */
    struct user_start *start; /* the opened program, for load_program(); NULL afterwards */
    char *exe_path;           /* what /proc/self/exe says to the guest */
    int self_fd;              /* our own executable, for execve of guest programs */
    uint64_t page_size;       /* the guest's: 4096 */
    /* guarded by lock */
    pthread_mutex_t lock;
    struct user_thread *threads;
    unsigned thread_count;
    struct user_limit limits[3]; /* of sys_process.c: address space, data, stack */
    bool parallel;               /* has had a second thread: never again false but after fork */
    /* what loader.c found; constant after load */
    gva_t entry, load_bias, phdr, start_code, end_code, start_data, end_data, start_stack,
        arg_start, arg_end, env_start, env_end, auxv_start, auxv_end;
};

/* ---- a thread ---- */
struct signal_state; /* user/signal.c */
struct user_thread {
    /* this thread only */
    struct user_proc *proc;
    struct cpu *cpu;
    int tid;
    gva_t clear_child_tid, robust_list;
    uint64_t robust_list_size;
    bool vfork_child; /* shares memory with a parent process that waits: nothing is freed at its end
                       */
    struct signal_state *signals;
    struct user_exec *exec; /* user/exec.c: of the call that runs */
    bool exiting;
    /* guarded by proc->lock */
    struct user_thread *next;
};
extern _Thread_local struct user_thread
    *user_self; /* for signal handlers; NULL outside of guest threads */

/* Results of a system call besides 0.. and -errno. */
enum {
    USER_RESTART = -512, /* ERESTARTSYS: again if the handler has SA_RESTART, else EINTR */
    USER_RESTART_NOINTR = -513,
    USER_RESTART_NOHAND = -514, /* again only if no handler ran */
    USER_NO_RESULT = -4096,     /* registers are as they must be (sigreturn) */
};

/* ---- memory (user/mm.c, copy.c) ---- */
static inline void *user_host(const struct user_proc *p, gva_t a)
{
    return (void *)(uintptr_t)(a + p->cpu_user.base);
}
static inline gva_t user_guest(const struct user_proc *p, const void *h)
{
    return (uintptr_t)h - p->cpu_user.base;
}
struct mm *mm_new(struct user_proc *p, struct error *err);
/* As the system calls: guest address or 0, or -errno. Any guest thread. They keep the map of guest
 * memory, never touch memory of ours, and tell the translation cache. */
int64_t mm_mmap(struct user_proc *p, gva_t addr, uint64_t len, int prot, int flags, int fd,
                uint64_t offset);
int64_t mm_munmap(struct user_proc *p, gva_t addr, uint64_t len);
int64_t mm_mprotect(struct user_proc *p, gva_t addr, uint64_t len, int prot);
int64_t mm_mremap(struct user_proc *p, gva_t addr, uint64_t old_len, uint64_t new_len, int flags,
                  gva_t new_addr);
int64_t mm_brk(struct user_proc *p, gva_t addr);
int64_t mm_madvise(struct user_proc *p, gva_t addr, uint64_t len, int advice);
int64_t mm_shmat(struct user_proc *p, int id, gva_t addr, int flags);
int64_t mm_shmdt(struct user_proc *p, gva_t addr);
bool mm_may_exec(void *proc, gva_t va); /* struct cpu_user */
bool mm_guarded(void *proc, gva_t va);
void mm_watch_code(void *proc, gva_t page);
/* A write to a page that we write-protected for its translations: lifts that and drops them. False:
 * a real fault. *ret_current: the running block was among them (restart the instruction). From the
 * SIGSEGV handler. */
bool mm_write_fault(struct user_thread *t, gva_t addr, bool *ret_current);
/* Is it mapped with this protection? For SEGV_MAPERR or SEGV_ACCERR. */
bool mm_mapped(struct user_proc *p, gva_t addr, int *ret_prot);
/* Before the kernel writes there for us: pages that only we write-protected become writable. */
void mm_prepare_write(struct user_proc *p, gva_t addr, uint64_t len);
void mm_print_maps(struct user_proc *p, FILE *f,
                   bool smaps); /* /proc/self/maps as the guest should see it */
void mm_fork_prepare(struct user_proc *p);
void mm_fork_done(struct user_proc *p, bool child);
/* Guarded copies: 0 or -EFAULT. Any thread. */
int user_read(struct user_proc *p, void *to, gva_t from, size_t len) MUST_CHECK;
int user_write(struct user_proc *p, gva_t to, const void *from, size_t len) MUST_CHECK;
/* A string copied from guest memory (free it), or NULL with *ret_err = -EFAULT or -ENAMETOOLONG
 * (max bytes). */
char *user_string(struct user_proc *p, gva_t from, size_t max, int *ret_err);
/* For the SIGSEGV handler: true when the fault is in a guarded copy, which then returns -EFAULT. */
bool user_copy_fault(void *ucontext);

/* ---- loader, exec (user/loader.c, exec.c) ---- */
/* Maps program and interpreter, builds the stack; sets the thread's registers. */
bool load_program(struct user_thread *t, struct error *err);
/* Frees what an execve that succeeded in a vfork child left in the parent's memory. */
void user_exec_release(struct user_thread *t);
int64_t user_execve(struct user_thread *t, int dirfd, gva_t path, gva_t argv, gva_t envp,
                    int flags);
/* Special files of /proc that must tell the guest's truth (user/procfs.c): a descriptor with the
 * content, or -1 when path is none of them or -errno. flags are the host's of openat. */
int procfs_open(struct user_thread *t, const char *path, int flags);
/* /proc/self/exe and the like: what readlink gives, in buf with a NUL. */
bool procfs_readlink(struct user_thread *t, const char *path, char *buf, size_t size);
/* The path to use for a guest's absolute path: below -L when it exists there. Returns path or a new
 * string in *ret_own (free it). */
const char *user_path(const struct user_proc *p, const char *path, char **ret_own);

/* ---- threads and processes (user/thread.c, fork.c, futex.c) ---- */
struct user_clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
        set_tid_size, cgroup;
};
/* stack: its top, also from clone3. */
int64_t user_clone(struct user_thread *t, const struct user_clone_args *a);
_Noreturn void user_exit_thread(struct user_thread *t, int status);
_Noreturn void user_exit_group(struct user_thread *t, int status);
/* A thread of p around cpu, which it owns; first one: the main thread (call signals_init next).
 * Sets user_self. */
struct user_thread *user_thread_new(struct user_proc *p, struct cpu *cpu);
/* futex, futex_waitv, futex_wake, futex_wait, futex_requeue by their 64-bit numbers; the timeout of
 * user_futex() is a host timespec of the guest's layout (user_futex32: two 32-bit words). */
int64_t user_futex(struct user_thread *t, const uint64_t arg[6]);
int64_t user_futex32(struct user_thread *t, const uint64_t arg[6]);
int64_t user_futex_waitv(struct user_thread *t, const uint64_t arg[6]);
int64_t user_futex2(struct user_thread *t, long nr,
                    const uint64_t arg[6]); /* nr: the host's 454..456 */
int64_t user_set_robust_list(struct user_thread *t, gva_t head, uint64_t size);
int64_t user_get_robust_list(struct user_thread *t, int tid, gva_t head, gva_t size);
int64_t user_set_tid_address(struct user_thread *t, gva_t tid);
/* Runs the guest until it ends. */
_Noreturn void user_loop(struct user_thread *t);

/* ---- signals (user/signal.c, syscall_safe.S or asm in it) ---- */
bool signals_init(struct user_thread *t, struct error *err); /* main thread, before load */
/* Delivers what is pending and not blocked: builds frames. Called by user_loop before the guest
 * runs. call is the system call just made, or NULL; result decides about restarting. */
void signals_deliver(struct user_thread *t, const struct user_call *call, int64_t result);
void signals_force(struct user_thread *t, const siginfo_t *info); /* a synchronous one */
int64_t user_rt_sigaction(struct user_thread *t, int sig, gva_t act, gva_t old, uint64_t size);
int64_t user_rt_sigprocmask(struct user_thread *t, int how, gva_t set, gva_t old, uint64_t size);
int64_t user_rt_sigpending(struct user_thread *t, gva_t set, uint64_t size);
int64_t user_rt_sigsuspend(struct user_thread *t, gva_t set, uint64_t size);
int64_t user_rt_sigtimedwait(struct user_thread *t, gva_t set, gva_t info, gva_t timeout,
                             uint64_t size);
int64_t user_rt_sigtimedwait32(struct user_thread *t, gva_t set, gva_t info, gva_t timeout,
                               uint64_t size);
int64_t user_rt_sigreturn(struct user_thread *t);
int64_t user_sigreturn(struct user_thread *t); /* i386: the old one */
int64_t user_sigaltstack(struct user_thread *t, gva_t ss, gva_t old);
int64_t user_rt_sigqueueinfo(struct user_thread *t, int tgid, int tid, int sig, gva_t info,
                             bool thread);
/* For ppoll, pselect6, epoll_pwait: a guest's mask in force during the call. Say it here, then give
 * signals_host_mask(mask) to the kernel with user_syscall_safe(); signals_deliver() restores the
 * old one. */
void signals_temp_mask(struct user_thread *t, uint64_t mask);
/* The host mask for a guest's: all but the synchronous ones, which are never blocked. Also for
 * signalfd. */
uint64_t signals_host_mask(uint64_t mask);
/* Around execve(2), which must be user_syscall_safe(): ignored synchronous signals and the whole
 * mask become the host's, for the new program. abort: it failed. */
void signals_exec_begin(struct user_thread *t);
void signals_exec_abort(struct user_thread *t);
/* Ends this process by sig as if nothing handled it. */
_Noreturn void signals_die(int sig);
uint64_t signals_mask(const struct user_thread *t);
/* A host system call that a signal for the guest interrupts even when it comes just before: returns
 * the kernel's value, or -EINTR / USER_RESTART when a guest signal waits. For every call that can
 * block. */
int64_t user_syscall_safe(long nr, ...);
/* The same, which tells a call that a signal kept from beginning: USER_RESTART_NOINTR. For calls
 * without a mask of their own. */
int64_t user_syscall_begun(long nr, const uint64_t a[6]);
/* The same through the host's 32-bit entry (not wait: signals stay pending until it is done). regs:
 * eax ebx ecx edx esi edi ebp; addresses below 4 GiB. */
int64_t user_syscall32(const uint32_t regs[7], bool wait);
void siginfo_to_guest(const struct user_abi *abi, const siginfo_t *info, void *ret_128);
void siginfo_from_guest(const struct user_abi *abi, const void *info_128, siginfo_t *ret);

/* ---- system calls (user/syscalls.def, syscall.c and its families) ---- */
enum user_call_column { USER_CALLS_GENERIC, USER_CALLS_X86_64, USER_CALLS_I386, USER_CALLS_COUNT };
/* Carries one out; -strace prints it. Result, -errno, or USER_*. */
int64_t user_syscall(struct user_thread *t, const struct user_call *call);
/* Can this host carry out the ABI's calls? Main thread, before the program is loaded. */
bool user_calls_init(struct user_proc *p, struct error *err) MUST_CHECK;

/* ---- start (main/user.c calls it) ---- */
/* Runs the program; returns only when it could not be started: the exit status for that, err set.
 */
int user_main(const struct user_options *opt, struct error *err);
