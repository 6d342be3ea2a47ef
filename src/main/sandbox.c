/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -sandbox: system calls that an emulator has no use for end the process (seccomp(2)). A filter is
 * a list of refused numbers; everything else is allowed. Inherited by threads made later.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"
#include "main/process.h"

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

static const int always[] = {
    SYS_reboot,        SYS_swapon,       SYS_swapoff,         SYS_syslog,        SYS_mount,
    SYS_umount2,       SYS_kexec_load,   SYS_pivot_root,      SYS_init_module,   SYS_finit_module,
    SYS_delete_module, SYS_settimeofday, SYS_clock_settime,   SYS_acct,          SYS_quotactl,
    SYS_sethostname,   SYS_add_key,      SYS_request_key,     SYS_keyctl,        SYS_ptrace,
    SYS_bpf,           SYS_userfaultfd,  SYS_perf_event_open, SYS_setdomainname, SYS_nfsservctl,
};

static const int obsolete[] = {
#ifdef __x86_64__
    SYS__sysctl,        SYS_uselib,         SYS_create_module, SYS_get_kernel_syms,
    SYS_query_module,   SYS_afs_syscall,    SYS_getpmsg,       SYS_putpmsg,
    SYS_tuxcall,        SYS_security,       SYS_vserver,       SYS_ustat,
    SYS_sysfs,          SYS_modify_ldt,     SYS_iopl,          SYS_ioperm,
    SYS_epoll_ctl_old,  SYS_epoll_wait_old,
#endif
    SYS_lookup_dcookie,
};

static const int elevate[] = {
    SYS_setuid,    SYS_setgid,    SYS_setreuid, SYS_setregid, SYS_setresuid,
    SYS_setresgid, SYS_setgroups, SYS_setfsuid, SYS_setfsgid,
};

static const int spawn[] = {
    SYS_execve,
    SYS_execveat,
#ifdef __x86_64__
    SYS_fork,
    SYS_vfork,
#endif
};

static const int resource[] = {
    SYS_setpriority,       SYS_sched_setparam, SYS_sched_setscheduler, SYS_sched_setattr,
    SYS_sched_setaffinity, SYS_ioprio_set,     SYS_setrlimit,
};

enum { MAX_RULES = 120 };

struct filter {
    struct sock_filter code[2 * MAX_RULES + 8];
    unsigned short len;
};

static void emit(struct filter *f, struct sock_filter insn)
{
    f->code[f->len++] = insn;
}

static void refuse(struct filter *f, const int *numbers, size_t count, unsigned action)
{
    for (size_t i = 0; i < count; i++) {
        emit(f,
             (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)numbers[i], 0, 1));
        emit(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
    }
}

#ifdef ARCH
static void build(struct filter *f, const struct process_config *c)
{
    const unsigned kill = SECCOMP_RET_KILL_PROCESS;
    emit(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                         offsetof(struct seccomp_data, arch)));
    emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0));
    emit(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, kill));
    emit(f,
         (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    refuse(f, always, ARRAY_SIZE(always), kill);
    if (!c->allow_obsolete)
        refuse(f, obsolete, ARRAY_SIZE(obsolete), kill);
    if (c->no_elevate)
        refuse(f, elevate, ARRAY_SIZE(elevate), kill);
    if (c->no_spawn)
        refuse(f, spawn, ARRAY_SIZE(spawn), kill);
    if (c->no_resource_control) /* libraries try, and live with a refusal */
        refuse(f, resource, ARRAY_SIZE(resource), SECCOMP_RET_ERRNO | EPERM);
    emit(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
}

bool sandbox_enter(const struct process_config *c, struct error *err)
{
    struct filter f = { .len = 0 };
    build(&f, c);
    const struct sock_fprog prog = { f.len, f.code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog) != 0) {
        (void)fail(err, errno, "-sandbox: seccomp: %s", strerror(errno));
        return fail_hint(err, "the host's kernel needs CONFIG_SECCOMP_FILTER; or -sandbox off");
    }
    return true;
}
#else
bool sandbox_enter(const struct process_config *c, struct error *err)
{
    return fail(err, ENOTSUP, "-sandbox: not on this host");
}
#endif
