/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "calls.h"

static volatile int caught;

static void on_signal(int sig)
{
    caught = sig;
}

static void polls(int r, int w)
{
    struct pollfd p[2] = { { r, POLLIN }, { w, POLLOUT } };
    struct timespec ts = { 0, 1000000 };
    struct timeval tv = { 0, 1000 };
    fd_set in, out;

    SHOW(poll(p, 2, 10));
    printf("revents %x %x\n", p[0].revents, p[1].revents);
    SHOW(ppoll(p, 1, &ts, NULL));
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(r, &in);
    FD_SET(w, &out);
    SHOW(select(w + 1, &in, &out, NULL, &tv));
    printf("set %d %d\n", FD_ISSET(r, &in) != 0, FD_ISSET(w, &out) != 0);
    FD_SET(r, &in);
    SHOW(pselect(r + 1, &in, NULL, NULL, &ts, NULL));
    SHOW(write(w, "x", 1));
    SHOW(poll(p, 1, -1));
    FD_SET(r, &in);
    SHOW(pselect(r + 1, &in, NULL, NULL, NULL, NULL));
    p[0].fd = 999;
    SHOW(poll(p, 1, 0));
    printf("revents %x\n", p[0].revents);
}

static void epolls(int r, int w)
{
    struct epoll_event e = { EPOLLIN | EPOLLET, { .u64 = 0x1122334455667788 } }, got[4];
    int ep = epoll_create1(EPOLL_CLOEXEC), n;

    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, r, &e));
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, r, &e));
    e = (struct epoll_event){ EPOLLOUT, { .fd = w } };
    SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, w, &e));
    n = SHOW(epoll_wait(ep, got, 4, 100));
    for (int i = 0; i < n; i++)
        printf("events %x data %llx\n", got[i].events,
               got[i].data.fd == w ? 1ull : (unsigned long long)got[i].data.u64);
    SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, w, NULL));
    SHOW(epoll_wait(ep, got, 4, 0));
    SHOW(epoll_wait(ep, got, 0, 0));
    SHOW(syscall(SYS_epoll_pwait2, ep, got, 4, (int64_t[2]){ 0 }, NULL, 0));
    SHOW(epoll_ctl(ep, 77, r, &e));
    close(ep);
}

static void with_signals(void)
{
    struct sigaction sa = { .sa_handler = on_signal };
    struct itimerval it = { { 0, 0 }, { 0, 20000 } };
    struct signalfd_siginfo si;
    sigset_t set, none;
    struct pollfd p = { .events = POLLIN };
    struct epoll_event got;
    int ep = epoll_create1(0);

    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGALRM);
    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGALRM, &sa, NULL);
    sigprocmask(SIG_BLOCK, &set, NULL);
    p.fd = signalfd(-1, &set, SFD_NONBLOCK);
    SHOW(poll(&p, 1, 0));
    SHOW(raise(SIGUSR1));
    SHOW(poll(&p, 1, 0));
    SHOW(read(p.fd, &si, sizeof(si)));
    printf("signal %d code %d pid %d\n", si.ssi_signo, si.ssi_code,
           si.ssi_pid == (uint32_t)getpid());
    raise(SIGUSR1);
    SHOW(ppoll(NULL, 0, NULL, &none));
    printf("caught %d\n", caught);
    caught = 0;
    raise(SIGUSR1);
    SHOW(epoll_pwait(ep, &got, 1, -1, &none));
    printf("caught %d\n", caught);
    caught = 0;
    setitimer(ITIMER_REAL, &it, NULL);
    SHOW(pselect(0, NULL, NULL, NULL, NULL, &none));
    printf("caught %d\n", caught);
    raise(SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
    SHOW(pause());
    setitimer(ITIMER_REAL, &it, NULL);
    SHOW(epoll_wait(ep, &got, 1, -1));
    close(ep);
    close(p.fd);
}

/* read() is restarted behind a handler with SA_RESTART, and not without. */
static void restarts(void)
{
    struct sigaction sa = { .sa_handler = on_signal };
    struct itimerval it = { { 0, 0 }, { 0, 20000 } };
    char c;
    int p[2];

    if (pipe(p) < 0)
        return;
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
    SHOW(read(p[0], &c, 1));
    sa.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
    if (fork() == 0) {
        usleep(60000);
        if (write(p[1], "y", 1) < 0)
            _exit(1);
        _exit(0);
    }
    SHOW(read(p[0], &c, 1));
    SHOW(waitpid(-1, NULL, 0) > 0);
    close(p[0]);
    close(p[1]);
}

void events(void)
{
    struct itimerspec ts = { { 0, 0 }, { 0, 1000000 } };
    uint64_t n;
    char buf[4096];
    int p[2], t = timerfd_create(CLOCK_MONOTONIC, 0), in = inotify_init1(IN_NONBLOCK), fd;
    struct inotify_event *ie = (void *)buf;

    if (pipe(p) < 0)
        return;
    polls(p[0], p[1]);
    epolls(p[0], p[1]);
    SHOW(timerfd_settime(t, 0, &ts, NULL));
    SHOW(read(t, &n, 8));
    SHOW(timerfd_gettime(t, &ts));
    printf("expired %ld\n", (long)n);
    SHOW(inotify_add_watch(in, ".", IN_CREATE));
    SHOW(read(in, buf, sizeof(buf)));
    fd = open("watched", O_CREAT | O_RDWR, 0600);
    OK(read(in, buf, sizeof(buf)));
    printf("mask %x name %s\n", ie->mask, ie->name);
    unlink("watched");
    close(fd);
    with_signals();
    restarts();
}
