/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <grp.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "calls.h"

static void children(void)
{
    struct rusage ru;
    siginfo_t si = { 0 };
    int st;
    pid_t pid = fork();

    if (pid == 0)
        _exit(42);
    TRUTH(wait4(pid, &st, 0, &ru) == pid);
    printf("exited %d status %d\n", WIFEXITED(st), WEXITSTATUS(st));
    pid = fork();
    if (pid == 0) {
        raise(SIGKILL);
        _exit(1);
    }
    SHOW(waitid(P_PID, pid, &si, WEXITED));
    printf("signo %d code %d status %d pid %d\n", si.si_signo, si.si_code, si.si_status,
           si.si_pid == pid);
    pid = fork();
    if (pid == 0)
        abort();
    TRUTH(waitpid(pid, &st, 0) == pid);
    printf("signal %d\n", WTERMSIG(st));
    SHOW(waitpid(-1, &st, WNOHANG));
    pid = vfork();
    if (pid == 0)
        _exit(7);
    TRUTH(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 7);
}

static void control(void)
{
    char name[16];
    int v = 0;

    SHOW(prctl(PR_SET_NAME, "a new name"));
    SHOW(prctl(PR_GET_NAME, name));
    puts(name);
    SHOW(prctl(PR_SET_PDEATHSIG, SIGTERM));
    SHOW(prctl(PR_GET_PDEATHSIG, &v));
    printf("%d\n", v);
    SHOW(prctl(PR_SET_PDEATHSIG, 0));
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0) == -1);
    SHOW(prctl(12345));
    SHOW(personality(0xffffffff) & 0xff);
}

static void limits(void)
{
    struct rlimit l, l2;
    struct sched_param sp;
    cpu_set_t set;

    SHOW(getrlimit(RLIMIT_NOFILE, &l));
    l.rlim_cur = 123;
    SHOW(setrlimit(RLIMIT_NOFILE, &l));
    SHOW(prlimit(0, RLIMIT_NOFILE, NULL, &l2));
    printf("%ld\n", (long)l2.rlim_cur);
    SHOW(getrlimit(RLIMIT_AS, &l));
    l.rlim_cur = 64 << 20;
    SHOW(setrlimit(RLIMIT_AS, &l));
    SHOW(getrlimit(RLIMIT_AS, &l2));
    printf("%ld\n", (long)l2.rlim_cur);
    l2.rlim_cur = l.rlim_max;
    SHOW(setrlimit(RLIMIT_AS, &l2));
    SHOW(getrlimit(999, &l));
    SHOW(sched_getscheduler(0));
    SHOW(sched_getparam(0, &sp));
    SHOW(sched_get_priority_max(SCHED_FIFO));
    TRUTH(sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0);
    SHOW(sched_yield());
    SHOW(getpriority(PRIO_PROCESS, 0));
    TRUTH(sched_getcpu() >= 0);
}

void process(void)
{
    struct utsname u;
    struct sysinfo si;
    struct rusage ru;
    struct tms tms;
    char a[8] = "remote", b[8];
    struct iovec l = { b, 8 }, r = { a, 8 };
    uid_t x, y, z;
    gid_t groups[64];

    children();
    control();
    limits();
    TRUTH(getppid() > 0 && getpid() == getpgrp() + (getpid() - getpgrp()));
    TRUTH(syscall(SYS_gettid) == getpid());
    SHOW(uname(&u));
    printf("%s\n", u.sysname);
#ifdef __x86_64__
    TRUTH(strcmp(u.machine, "x86_64") == 0);
#elif defined(__aarch64__)
    printf("strcmp(u.machine, \"x86_64\") == 0: %s\n",
           strcmp(u.machine, "aarch64") == 0 ? "yes" : "NO");
#else
    printf("strcmp(u.machine, \"x86_64\") == 0: %s\n",
           strcmp(u.machine, "riscv64") == 0 ? "yes" : "NO");
#endif
    SHOW(sysinfo(&si));
    TRUTH(si.totalram * si.mem_unit > (1 << 20) && si.procs > 0);
    SHOW(getrusage(RUSAGE_SELF, &ru));
    TRUTH(ru.ru_maxrss > 0);
    TRUTH(times(&tms) != -1);
    TRUTH(getresuid(&x, &y, &z) == 0 && x == getuid() && y == geteuid());
    TRUTH(getgroups(64, groups) >= 0);
    SHOW(getgroups(-1, groups));
    SHOW(process_vm_readv(getpid(), &l, 1, &r, 1, 0));
    puts(b);
    TRUTH(getsid(0) > 0);
    SHOW(kill(getpid(), 0));
    SHOW(kill(getpid(), 99));
    SHOW(syscall(SYS_pidfd_open, -1, 0));
}
