/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/random.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

#include "calls.h"

static volatile int value;

static void on_timer(int sig, siginfo_t *si, void *uc)
{
    value = si->si_code == SI_TIMER ? si->si_value.sival_int : -1;
}

void clocks(void)
{
    struct timespec a, b, res, ms = { 0, 2000000 };
    struct timeval tv;
    struct itimerval it = { { 0, 0 }, { 100, 0 } }, old;
    struct itimerspec its = { { 0, 0 }, { 0, 3000000 } };
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
                           .sigev_signo = SIGRTMIN + 3,
                           .sigev_value.sival_int = 77 };
    struct sigaction sa = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO };
    struct timex tx = { 0 };
    timer_t t;
    char buf[16];

    SHOW(clock_gettime(CLOCK_MONOTONIC, &a));
    SHOW(clock_getres(CLOCK_MONOTONIC, &res));
    SHOW(nanosleep(&ms, NULL));
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, 0, &ms, NULL));
    SHOW(clock_gettime(CLOCK_MONOTONIC, &b));
    TRUTH((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec >= 4000000);
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &a, NULL));
    SHOW(clock_gettime(99, &a));
    SHOW(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a));
    SHOW(gettimeofday(&tv, NULL));
    TRUTH(tv.tv_sec > 1000000000 && labs(tv.tv_sec - time(NULL)) < 3);
    OK(adjtimex(&tx));
    TRUTH(tx.tick > 0);
    SHOW(setitimer(ITIMER_VIRTUAL, &it, NULL));
    SHOW(getitimer(ITIMER_VIRTUAL, &old));
    TRUTH(old.it_value.tv_sec >= 99);
    it.it_value.tv_sec = 0;
    SHOW(setitimer(ITIMER_VIRTUAL, &it, &old));
    sigaction(SIGRTMIN + 3, &sa, NULL);
    SHOW(timer_create(CLOCK_MONOTONIC, &ev, &t));
    SHOW(timer_settime(t, 0, &its, NULL));
    while (!value)
        usleep(1000);
    printf("value %d\n", value);
    SHOW(timer_gettime(t, &its));
    SHOW(timer_getoverrun(t));
    SHOW(timer_delete(t));
    SHOW(getrandom(buf, 16, 0));
    SHOW(alarm(100));
    SHOW(alarm(0));
}
