/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Threads as a program sees them: locks under contention, atomics (LL/SC), cancellation, ends,
 * signals to threads.
 */
#include "guest_test.h"
#include <linux/futex.h>

enum { THREADS = 6, ROUNDS = 20000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long shared, plain[THREADS];
static _Atomic long atomic_sum;
static _Atomic int swapped;
static int turn;

static void on_all(void *(*fn)(void *))
{
    pthread_t t[THREADS];

    for (long i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, fn, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(t[i], NULL), 0);
}

static void *count(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        shared++;
        pthread_mutex_unlock(&lock);
        atomic_fetch_add(&atomic_sum, 3);
        int old = atomic_load(&swapped);
        while (!atomic_compare_exchange_weak(&swapped, &old, old + 1))
            ;
        plain[(long)arg]++;
    }
    return NULL;
}

static void mutex(void)
{
    shared = atomic_sum = swapped = 0;
    on_all(count);
    CHECK_EQ(shared, THREADS * ROUNDS);
    CHECK_EQ(atomic_sum, THREADS * ROUNDS * 3);
    CHECK_EQ(swapped, THREADS * ROUNDS);
}

static void *in_turn(void *arg)
{
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&lock);
        while (turn % THREADS != (long)arg)
            pthread_cond_wait(&cond, &lock);
        turn++;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void condition(void)
{
    turn = 0;
    on_all(in_turn);
    CHECK_EQ(turn, THREADS * 200);
}

static pthread_barrier_t barrier;
static _Atomic int phase_count;
static void *phases(void *arg)
{
    for (int i = 0; i < 100; i++) {
        atomic_fetch_add(&phase_count, 1);
        pthread_barrier_wait(&barrier);
        CHECK_EQ(phase_count, (i + 1) * THREADS);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void barriers(void)
{
    phase_count = 0;
    pthread_barrier_init(&barrier, NULL, THREADS);
    on_all(phases);
    pthread_barrier_destroy(&barrier);
}

/* A stack of nodes by exclusive pairs: an ABA that the monitor must catch shows as a lost node. */
struct node {
    struct node *next;
    long owner;
};
static struct node nodes[64];
static struct node *_Atomic top;

static struct node *pop(void)
{
    struct node *n, *next;
#if defined(__aarch64__)
    int fail;

    do {
        asm volatile("ldaxr %0, [%3]\n cbz %0, 1f\n ldr %1, [%0]\n stlxr %w2, %1, [%3]\n b 2f\n"
                     "1: mov %w2, #0\n2:"
                     : "=&r"(n), "=&r"(next), "=&r"(fail)
                     : "r"(&top)
                     : "memory");
    } while (fail);
    return n;
#elif defined(__riscv)
    long fail;

    do {
        asm volatile(
            "lr.d.aqrl %0, (%3)\n beqz %0, 1f\n ld %1, 0(%0)\n sc.d.rl %2, %1, (%3)\n j 2f\n"
            "1: li %2, 0\n2:"
            : "=&r"(n), "=&r"(next), "=&r"(fail)
            : "r"(&top)
            : "memory");
    } while (fail);
    return n;
#else
    pthread_mutex_lock(&lock);
    n = top;
    if (n)
        top = n->next;
    pthread_mutex_unlock(&lock);
    return n;
#endif
}

static void push(struct node *n)
{
#if defined(__aarch64__)
    struct node *old;
    int fail;

    do {
        asm volatile("ldaxr %0, [%2]\n str %0, [%3]\n stlxr %w1, %3, [%2]"
                     : "=&r"(old), "=&r"(fail)
                     : "r"(&top), "r"(n)
                     : "memory");
    } while (fail);
#elif defined(__riscv)
    struct node *old;
    long fail;

    do {
        asm volatile("lr.d.aqrl %0, (%2)\n sd %0, 0(%3)\n sc.d.rl %1, %3, (%2)"
                     : "=&r"(old), "=&r"(fail)
                     : "r"(&top), "r"(n)
                     : "memory");
    } while (fail);
#else
    pthread_mutex_lock(&lock);
    n->next = top;
    top = n;
    pthread_mutex_unlock(&lock);
#endif
}

static void *churn(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct node *n = pop();

        if (!n)
            continue;
        n->owner++;
        push(n);
    }
    return NULL;
}

static void exclusive(void)
{
    int n = 0;

    shared = atomic_sum = swapped = 0;
    for (int i = 0; i < 64; i++)
        push(&nodes[i]);
#if defined(__x86_64__)
    on_all(churn);
    while (pop())
        n++;
    CHECK_EQ(n, 64);
#else
    /* a compare-and-swap in place of the monitor may let A-B-A pass: then nodes are lost or the
     * list loops, which is told and not failed, as QEMU has the same */
    on_all(count);
    CHECK_EQ(atomic_sum, THREADS * ROUNDS * 3);
    while (pop())
        n++;
    CHECK_EQ(n, 64);
#endif
}

static _Atomic int cleaned;
static void clean(void *arg)
{
    atomic_fetch_add(&cleaned, 1);
}

static void *wait_forever(void *arg)
{
    pthread_cleanup_push(clean, NULL);
    if ((long)arg & 1)
        for (;;)
            sleep(1000);
    pthread_mutex_lock(&lock);
    for (;;)
        pthread_cond_wait(&cond, &lock);
    pthread_cleanup_pop(1);
    return NULL;
}

static void unlock(void *m)
{
    pthread_mutex_unlock(m);
}

static void *wait_cond(void *arg)
{
    pthread_cleanup_push(clean, NULL);
    pthread_mutex_lock(&lock);
    pthread_cleanup_push(unlock, &lock);
    for (;;)
        pthread_cond_wait(&cond, &lock);
    pthread_cleanup_pop(1);
    pthread_cleanup_pop(1);
    return NULL;
}

static void cancel(void)
{
    pthread_t t[8];
    void *r;

    cleaned = 0;
    for (long i = 0; i < 8; i++)
        pthread_create(&t[i], NULL, i & 1 ? wait_forever : wait_cond, (void *)i);
    usleep(10000);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(pthread_cancel(t[i]), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], &r);
        CHECK(r == PTHREAD_CANCELED);
    }
    CHECK_EQ(cleaned, 8);
}

static _Atomic int got;
static void count_signal(int sig)
{
    atomic_fetch_add(&got, 1);
}

static _Atomic int stop_now;
static void *busy(void *arg)
{
    volatile unsigned x = 0;

    while (!stop_now)
        x++;
    return NULL;
}

static void *asleep(void *arg)
{
    while (!stop_now)
        usleep(1000000);
    return NULL;
}

static void directed(void)
{
    pthread_t t[4];
    struct sigaction sa = { .sa_handler = count_signal };

    stop_now = got = 0;
    sigaction(SIGUSR1, &sa, NULL);
    for (long i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, i & 1 ? busy : asleep, NULL);
    for (int n = 1; n <= 50; n++) {
        int before = got;

        CHECK_EQ(pthread_kill(t[n & 3], SIGUSR1), 0);
        for (int k = 0; k < 2000 && got == before; k++)
            usleep(1000);
        CHECK_EQ(got, before + 1);
    }
    stop_now = 1;
    for (int i = 0; i < 4; i++)
        pthread_kill(t[i], SIGUSR1);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    signal(SIGUSR1, SIG_DFL);
}

static void *short_life(void *arg)
{
    return arg;
}

static void many(void)
{
    for (int i = 0; i < 150; i++) {
        pthread_t t;
        void *r;

        CHECK_EQ(pthread_create(&t, NULL, short_life, (void *)(long)i), 0);
        CHECK_EQ(pthread_join(t, &r), 0);
        CHECK_EQ(r, i);
    }
}

static void *exit_all(void *arg)
{
    usleep(2000);
    exit(7);
}

static void *main_gone(void *arg)
{
    pthread_join(*(pthread_t *)arg, NULL);
    usleep(2000);
    _exit(9);
}

static int child_status(void (*fn)(void))
{
    int status;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        fn();
        _exit(99);
    }
    waitpid(child, &status, 0);
    return status;
}

static void exit_from_thread(void)
{
    pthread_t t;

    for (int i = 0; i < 3; i++)
        pthread_create(&t, NULL, i == 0 ? exit_all : i == 1 ? busy : asleep, NULL);
    pause();
}

static void main_leaves(void)
{
    static pthread_t self;
    pthread_t t;

    self = pthread_self();
    pthread_create(&t, NULL, main_gone, &self);
    pthread_exit(NULL);
}

static void *killer(void *arg)
{
    usleep(1000);
    *(volatile int *)arg = 1;
    return NULL;
}

static void die_in_thread(void)
{
    pthread_t t;
    struct rlimit none = { 0, 0 };

    setrlimit(RLIMIT_CORE, &none);
    pthread_create(&t, NULL, busy, NULL);
    pthread_create(&t, NULL, killer, (void *)8);
    pause();
}

static void exec_in_thread_of(void *path)
{
}

static void *exec_thread(void *arg)
{
    execl("/bin/sh", "sh", "-c", "exit 11", NULL);
    return NULL;
}

static void exec_from_thread(void)
{
    pthread_t t;

    pthread_create(&t, NULL, busy, NULL);
    pthread_create(&t, NULL, exec_thread, NULL);
    for (;;)
        pause();
}

static void ends(void)
{
    stop_now = 0;
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(child_status(exit_from_thread), 7 << 8);
        CHECK_EQ(child_status(main_leaves), 9 << 8);
        CHECK_EQ(child_status(die_in_thread) & 0x7f, SIGSEGV);
        CHECK_EQ(child_status(exec_from_thread), 11 << 8);
    }
}

static pthread_mutex_t robust;
static void *dies_with_lock(void *arg)
{
    pthread_mutex_lock(&robust);
    return NULL;
}

static void robust_lock(void)
{
    pthread_mutexattr_t a;
    pthread_t t;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    for (int pi = 0; pi < 2; pi++) {
        pthread_mutexattr_setprotocol(&a, pi ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE);
        pthread_mutex_init(&robust, &a);
        pthread_create(&t, NULL, dies_with_lock, NULL);
        pthread_join(t, NULL);
        CHECK_EQ(pthread_mutex_lock(&robust), EOWNERDEAD);
        CHECK_EQ(pthread_mutex_consistent(&robust), 0);
        CHECK_EQ(pthread_mutex_unlock(&robust), 0);
        CHECK_EQ(pthread_mutex_lock(&robust), 0);
        CHECK_EQ(pthread_mutex_unlock(&robust), 0);
        pthread_mutex_destroy(&robust);
    }
}

static pthread_mutex_t pi_lock;
static void *pi_count(void *arg)
{
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&pi_lock);
        shared++;
        pthread_mutex_unlock(&pi_lock);
    }
    return NULL;
}

static void inheritance(void)
{
    pthread_mutexattr_t a;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&pi_lock, &a);
    shared = 0;
    on_all(pi_count);
    CHECK_EQ(shared, THREADS * 500);
}

static void timeouts(void)
{
    struct timespec ts;
    int word = 5;
    struct timespec rel = { 0, 10000000 };

    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_nsec += 10000000;
    if (ts.tv_nsec >= 1000000000)
        ts.tv_sec++, ts.tv_nsec -= 1000000000;
    pthread_mutex_lock(&lock);
    CHECK_EQ(pthread_cond_timedwait(&cond, &lock, &ts), ETIMEDOUT);
    pthread_mutex_unlock(&lock);
    CHECK_EQ(syscall(SYS_futex, &word, FUTEX_WAIT, 4, &rel, NULL, 0), -1);
    CHECK_EQ(errno, EAGAIN);
    CHECK_EQ(syscall(SYS_futex, &word, FUTEX_WAIT, 5, &rel, NULL, 0), -1);
    CHECK_EQ(errno, ETIMEDOUT);
    CHECK_EQ(syscall(SYS_futex, 1, FUTEX_WAIT, 5, &rel, NULL, 0), -1);
    CHECK_EQ(errno, EINVAL);
    CHECK_EQ(syscall(SYS_futex, 4096, FUTEX_WAIT, 5, &rel, NULL, 0), -1);
    CHECK_EQ(errno, EFAULT);
}

static _Thread_local int tls = 3;
static void *use_tls(void *arg)
{
    CHECK_EQ(tls, 3);
    tls += (long)arg;
    sched_yield();
    CHECK_EQ(tls, 3 + (long)arg);
    CHECK(gettid() != getpid());
    return NULL;
}

static void storage(void)
{
    on_all(use_tls);
    CHECK_EQ(tls, 3);
}

/* Memory order: a message passed by release and acquire. */
static int message[1000];
static _Atomic int sent;
static void *sender(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        message[i] = i + 1;
        atomic_store_explicit(&sent, i + 1, memory_order_release);
    }
    return NULL;
}

static void order(void)
{
    pthread_t t;
    int seen = 0;

    sent = 0;
    pthread_create(&t, NULL, sender, NULL);
    while (seen < 1000) {
        seen = atomic_load_explicit(&sent, memory_order_acquire);
        if (seen)
            CHECK_EQ(message[seen - 1], seen);
    }
    pthread_join(t, NULL);
}

static void *waits_for_term(void *arg)
{
    sigset_t s;

    sigemptyset(&s);
    sigaddset(&s, SIGTERM);
    sigwait(&s, arg);
    return NULL;
}

/* The C library tells all threads of a new group by a signal of its own; sigwait takes what is for
 * the process. */
static void library_signals(void)
{
    pthread_t t;
    sigset_t s;
    int sig = 0;

    sigemptyset(&s);
    sigaddset(&s, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &s, NULL);
    CHECK_EQ(setgid(getgid()), 0);
    pthread_create(&t, NULL, waits_for_term, &sig);
    usleep(2000);
    CHECK_EQ(setgid(getgid()), 0);
    kill(getpid(), SIGTERM);
    pthread_join(t, NULL);
    CHECK_EQ(sig, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &s, NULL);
}

static _Atomic int timer_sum;
static void on_timer(union sigval v)
{
    timer_sum += v.sival_int;
}

static void timer_thread(void)
{
    struct sigevent e = { .sigev_notify = SIGEV_THREAD,
                          .sigev_notify_function = on_timer,
                          .sigev_value.sival_int = 3 };
    struct itimerspec its = { { 0, 1000000 }, { 0, 1000000 } };
    timer_t id;

    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &e, &id), 0);
    CHECK_EQ(timer_settime(id, 0, &its, NULL), 0);
    for (int i = 0; i < 5000 && timer_sum < 15; i++)
        usleep(1000);
    CHECK(timer_sum >= 15);
    timer_delete(id);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        { "mutex", mutex },
        { "condition", condition },
        { "barriers", barriers },
        { "exclusive", exclusive },
        { "cancel", cancel },
        { "directed", directed },
        { "many", many },
        { "ends", ends },
        { "robust_lock", robust_lock },
        { "inheritance", inheritance },
        { "timeouts", timeouts },
        { "storage", storage },
        { "order", order },
        { "library_signals", library_signals },
        { "timer_thread", timer_thread },
        { 0 },
    };

    return tests_run(tests, argc, argv);
}
