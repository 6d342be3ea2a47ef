/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bad addresses in each position of each common call: the same errno as natively, and no crash.
 */
#include <sys/mman.h>
#include <sys/socket.h>

#include "calls.h"

#ifndef SYS_newfstatat /* 32 bits */
#define SYS_newfstatat SYS_fstatat64
#endif

static void *const bad[] = {
    NULL, (void *)8, (void *)(long)0x7000000000, (void *)-4096L, (void *)-1L, NULL, NULL
};
enum { BADS = sizeof(bad) / sizeof(*bad) };
static void *guard; /* read-only page, then none */

static void *pointer(unsigned i)
{
    return i == BADS - 2 ? guard : i == BADS - 1 ? (char *)guard + 4095 : bad[i];
}

/* P stands for the address. */
#define FAULT(name, ...)                                                                           \
    for (unsigned i = 0; i < BADS; i++) {                                                          \
        void *P = pointer(i);                                                                      \
        long r = syscall(SYS_##name, __VA_ARGS__);                                                 \
        printf("%s(%s) %u: %s\n", #name, #__VA_ARGS__, i,                                          \
               r == -1 ? strerrorname_np(errno) : "ok");                                           \
        (void)P;                                                                                   \
    }

static void paths_and_times(int fd, const int p[2])
{
    char buf[64];

    FAULT(read, fd, P, 64);
    FAULT(write, p[1], P, 64);
    FAULT(readv, fd, P, 1);
    FAULT(writev, p[1], P, 1);
    FAULT(openat, AT_FDCWD, P, 0);
    FAULT(newfstatat, AT_FDCWD, P, buf, 0);
    FAULT(newfstatat, AT_FDCWD, "/", P, 0);
    FAULT(fstat, 1, P);
    FAULT(statx, AT_FDCWD, "/", 0, 0xfff, P);
    FAULT(readlinkat, AT_FDCWD, P, buf, 64);
    FAULT(readlinkat, AT_FDCWD, "/proc/self/exe", P, 64);
    FAULT(getcwd, P, 64);
    FAULT(getdents64, open("/", O_RDONLY), P, 4096);
    FAULT(pipe2, P, 0);
    FAULT(uname, P);
    FAULT(sysinfo, P);
    FAULT(getrusage, 0, P);
    FAULT(prlimit64, 0, 4, P, NULL);
    FAULT(prlimit64, 0, 4, NULL, P);
    FAULT(clock_gettime, 0, P);
    FAULT(clock_getres, 0, P);
    FAULT(nanosleep, P, NULL);
    FAULT(gettimeofday, P, NULL);
}

static void waits_and_sockets(int fd, const int sv[2])
{
    FAULT(ppoll, P, 1, (&(struct timespec){ 0, 0 }), NULL, 8);
    FAULT(ppoll, NULL, 0, P, (&(uint64_t){ 0 }), 7);
    FAULT(pselect6, 64, P, NULL, NULL, (&(struct timespec){ 0, 0 }), NULL);
    FAULT(pselect6, 0, NULL, NULL, NULL, (&(struct timespec){ 0, 0 }), P);
    FAULT(epoll_ctl, fd, 1, 1, P);
    FAULT(epoll_pwait, 1, P, 1, 0, NULL, 8);
    FAULT(rt_sigaction, SIGUSR2, P, NULL, 8);
    FAULT(rt_sigaction, SIGUSR2, NULL, P, 8);
    FAULT(rt_sigprocmask, 0, P, NULL, 8);
    FAULT(rt_sigprocmask, 0, NULL, P, 8);
    FAULT(rt_sigpending, P, 8);
    FAULT(rt_sigtimedwait, P, NULL, (&(struct timespec){ 0, 0 }), 8);
    FAULT(sigaltstack, P, NULL);
    FAULT(sigaltstack, NULL, P);
    FAULT(sendmsg, sv[0], P, 0);
    FAULT(recvmsg, sv[0], P, MSG_DONTWAIT);
    FAULT(sendto, sv[0], P, 64, 0, NULL, 0);
    FAULT(recvfrom, sv[0], P, 64, MSG_DONTWAIT, NULL, NULL);
    FAULT(getsockname, sv[0], P, P);
    FAULT(getsockopt, sv[0], SOL_SOCKET, SO_TYPE, P, P);
    FAULT(setsockopt, sv[0], SOL_SOCKET, SO_PASSCRED, P, 4);
    FAULT(socketpair, AF_UNIX, SOCK_STREAM, 0, P);
    FAULT(wait4, -1, P, 1, NULL);
    FAULT(futex, P, 0, 1, NULL, NULL, 0);
    FAULT(futex, P, 1, 1, NULL, NULL, 0);
    FAULT(getrandom, P, 64, 0);
    FAULT(execve, P, NULL, NULL);
    FAULT(ioctl, 0, 0x5413, P);
    FAULT(fcntl, fd, F_GETLK, P);
    FAULT(sched_getaffinity, 0, 128, P);
    FAULT(getresuid, P, P, P);
    FAULT(capget, P, NULL);
    FAULT(prctl, 16, P);
    FAULT(mincore, guard, 4096, P);
}

void faults(void)
{
    int fd = open("/dev/zero", O_RDWR), p[2], sv[2];

    guard = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(guard, 0x7f, 4096);
    mprotect(guard, 4096, PROT_READ);
    munmap((char *)guard + 4096, 4096);
    if (pipe(p) < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sv) < 0)
        return;
    paths_and_times(fd, p);
    waits_and_sockets(fd, sv);
}
