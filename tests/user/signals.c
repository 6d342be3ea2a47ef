/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Signals as a program sees them.
 */
#include "guest_test.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unwind.h>

static volatile int hits, last_sig, last_code;
static void *volatile last_addr;
static siginfo_t last_info;
static sigjmp_buf back;

static void handler(int sig, siginfo_t *info, void *uc)
{
    hits++;
    last_sig = sig;
    last_code = info->si_code;
    last_addr = info->si_addr;
    last_info = *info;
}

static void jumper(int sig, siginfo_t *info, void *uc)
{
    handler(sig, info, uc);
    siglongjmp(back, 1);
}

static void set(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
    struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

    CHECK_EQ(sigaction(sig, &sa, NULL), 0);
}

static sigset_t one(int sig)
{
    sigset_t s;

    sigemptyset(&s);
    sigaddset(&s, sig);
    return s;
}

static void usual(int sig)
{
    signal(sig, SIG_DFL);
}

static void basic(void)
{
    sigset_t old;

    hits = 0;
    set(SIGUSR1, handler, 0);
    raise(SIGUSR1);
    CHECK_EQ(hits, 1);
    CHECK_EQ(last_code, SI_TKILL);
    CHECK_EQ(last_info.si_pid, getpid());
    kill(getpid(), SIGUSR1);
    CHECK_EQ(hits, 2);
    CHECK_EQ(last_code, SI_USER);
    sigprocmask(SIG_BLOCK, NULL, &old);
    CHECK(!sigismember(&old, SIGUSR1));
    usual(SIGUSR1);
}

static void faults(void)
{
    char *p = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    set(SIGSEGV, jumper, SA_NODEFER);
    set(SIGBUS, jumper, SA_NODEFER);
    munmap(p + 4096, 4096);
    mprotect(p + 8192, 4096, PROT_READ);
    hits = 0;
    if (!sigsetjmp(back, 1)) {
        *(volatile char *)(p + 4096 + 123) = 1;
        CHECK(0);
    }
    CHECK_EQ(last_code, SEGV_MAPERR);
    CHECK_EQ(last_addr, p + 4096 + 123);
    if (!sigsetjmp(back, 1)) {
        *(volatile char *)(p + 8192 + 77) = 1;
        CHECK(0);
    }
    CHECK_EQ(last_code, SEGV_ACCERR);
    CHECK_EQ(last_addr, p + 8192 + 77);
    if (!sigsetjmp(back, 1)) {
        (void)*(volatile int *)16;
        CHECK(0);
    }
    CHECK_EQ(last_code, SEGV_MAPERR);
    CHECK_EQ(last_addr, 16);
    if (!sigsetjmp(back, 1)) {
        ((void (*)(void))(p + 8192))();
        CHECK(0);
    }
    CHECK_EQ(last_sig, SIGSEGV);
    CHECK_EQ(last_code, SEGV_ACCERR);
    CHECK_EQ(last_addr, p + 8192);
    if (!sigsetjmp(back, 1)) {
        ((void (*)(void))(p + 4096))();
        CHECK(0);
    }
    CHECK_EQ(last_code, SEGV_MAPERR);
    CHECK_EQ(last_addr, p + 4096);
    CHECK_EQ(hits, 5);
    munmap(p, 3 * 4096);
    usual(SIGSEGV);
    usual(SIGBUS);
}

static void bus(void)
{
    FILE *f = tmpfile();
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);

    set(SIGBUS, jumper, SA_NODEFER);
    hits = 0;
    if (!sigsetjmp(back, 1)) {
        (void)*(volatile char *)(p + 4096 + 5);
        CHECK(0);
    }
    CHECK_EQ(hits, 1);
    CHECK_EQ(last_sig, SIGBUS);
    CHECK_EQ(last_code, BUS_ADRERR);
    CHECK_EQ(last_addr, p + 4096 + 5);
    munmap(p, 8192);
    fclose(f);
    usual(SIGBUS);
}

static void illegal(void)
{
    static void *label;

    set(SIGILL, jumper, SA_NODEFER);
    hits = 0;
    if (!sigsetjmp(back, 1)) {
#if defined(__aarch64__)
        asm volatile("adr %0, 1f\n str %0, [%1]\n1: udf #0" : : "r"(0l), "r"(&label) : "memory");
#elif defined(__riscv)
        asm volatile("la t0, 1f\n sd t0, 0(%0)\n1: .2byte 0" : : "r"(&label) : "t0", "memory");
#elif defined(__i386__)
        asm volatile("movl $1f, (%0)\n1: ud2" : : "r"(&label) : "memory");
#else
        asm volatile("call 2f\n2: pop %%rax\n add $1f-2b, %%rax\n mov %%rax, (%0)\n1: ud2"
                     :
                     : "r"(&label)
                     : "rax", "memory");
#endif
        CHECK(0);
    }
    CHECK_EQ(hits, 1);
    CHECK_EQ(last_sig, SIGILL);
#if defined(__x86_64__) || defined(__i386__)
    CHECK_EQ(last_code, ILL_ILLOPN);
#else
    CHECK_EQ(last_code, ILL_ILLOPC);
#endif
    CHECK_EQ(last_addr, label);
    usual(SIGILL);
}

static void *trap_pc;
static void trap_handler(int sig, siginfo_t *info, void *uc)
{
    handler(sig, info, uc);
    trap_pc = page_pc(uc);
#if defined(__aarch64__)
    set_pc(uc, (char *)trap_pc + 4);
#elif defined(__riscv)
    set_pc(uc, (char *)trap_pc + 2);
#endif
}

static void breakpoint(void)
{
    set(SIGTRAP, trap_handler, 0);
    hits = 0;
#if defined(__aarch64__)
    asm volatile("brk #7");
    CHECK_EQ(last_code, TRAP_BRKPT);
    CHECK_EQ(last_addr, trap_pc);
#elif defined(__riscv)
    asm volatile(".option push\n .option rvc\n c.ebreak\n .option pop");
    CHECK_EQ(last_code, TRAP_BRKPT);
    CHECK_EQ(last_addr, trap_pc);
#else
    asm volatile("int3");
    CHECK_EQ(last_code, SI_KERNEL);
#endif
    CHECK_EQ(hits, 1);
    usual(SIGTRAP);
}

#if defined(__x86_64__) || defined(__i386__)
static void divide(void)
{
    set(SIGFPE, jumper, SA_NODEFER);
    hits = 0;
    if (!sigsetjmp(back, 1)) {
        asm volatile("xor %%ecx, %%ecx\n mov $1, %%eax\n cltd\n idiv %%ecx"
                     :
                     :
                     : "eax", "ecx", "edx");
        CHECK(0);
    }
    CHECK_EQ(hits, 1);
    CHECK_EQ(last_code, FPE_INTDIV);
    usual(SIGFPE);
}
#endif

static char *lazy;
static void mapper(int sig, siginfo_t *info, void *uc)
{
    hits++;
    CHECK_EQ(mprotect((void *)((uintptr_t)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE),
             0);
}

/* The page is made accessible and the instruction runs again, with the registers it had. */
static void retry(void)
{
    unsigned sum = 0;

    lazy = mmap(NULL, 64 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    set(SIGSEGV, mapper, 0);
    hits = 0;
    for (unsigned i = 0; i < 64; i++) {
        lazy[i * 4096 + i] = (char)i;
        sum += (unsigned char)lazy[i * 4096 + i];
    }
    CHECK_EQ(sum, 63 * 32);
    CHECK_EQ(hits, 64);
    munmap(lazy, 64 * 4096);
    usual(SIGSEGV);
}

static volatile int on_alt;
static char *alt_base;
static size_t alt_size;
static void alt_handler(int sig, siginfo_t *info, void *uc)
{
    char here;
    stack_t ss;

    hits++;
    on_alt = &here >= alt_base && &here < alt_base + alt_size;
    sigaltstack(NULL, &ss);
    CHECK_EQ(ss.ss_flags, SS_ONSTACK);
    CHECK_EQ(sigaltstack(&ss, NULL), -1);
    CHECK_EQ(errno, EPERM);
    if (sig == SIGSEGV)
        siglongjmp(back, 1);
}

static volatile int depth;
static __attribute__((noinline)) int overflow(int n)
{
    volatile char big[1024];

    big[n & 1023] = (char)n;
    return overflow(n + 1) + big[3];
}

static void altstack(void)
{
    stack_t ss, old, tiny = { .ss_size = 100 };
    struct rlimit rl = { 256 << 10, 256 << 10 };

    alt_size = 65536;
    alt_base = mmap(NULL, alt_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    tiny.ss_sp = alt_base;
    CHECK_EQ(sigaltstack(&tiny, NULL), -1);
    CHECK_EQ(errno, ENOMEM);
    tiny.ss_flags = 77;
    CHECK_EQ(sigaltstack(&tiny, NULL), -1);
    CHECK_EQ(errno, EINVAL);
    ss = (stack_t){ .ss_sp = alt_base, .ss_size = alt_size };
    CHECK_EQ(sigaltstack(&ss, &old), 0);
    CHECK_EQ(old.ss_flags, SS_DISABLE);
    hits = 0;
    set(SIGUSR1, alt_handler, SA_ONSTACK);
    raise(SIGUSR1);
    CHECK_EQ(hits, 1);
    CHECK_EQ(on_alt, 1);
    /* an overflow of the normal stack */
    on_alt = 0;
    set(SIGSEGV, alt_handler, SA_ONSTACK);
    if (!sigsetjmp(back, 1)) {
        depth = overflow(0);
        CHECK(0);
    }
    CHECK_EQ(hits, 2);
    CHECK_EQ(on_alt, 1);
    ss.ss_flags = SS_DISABLE;
    CHECK_EQ(sigaltstack(&ss, NULL), 0);
    CHECK_EQ(sigaltstack(NULL, &old), 0);
    CHECK_EQ(old.ss_flags, SS_DISABLE);
    usual(SIGUSR1);
    usual(SIGSEGV);
    munmap(alt_base, alt_size);
}

static int order[64], order_value[64], order_count;
static void recorder(int sig, siginfo_t *info, void *uc)
{
    order[order_count] = sig;
    order_value[order_count++] = info->si_value.sival_int;
}

static void queues(void)
{
    sigset_t all, pending;
    struct sigaction sa = { .sa_sigaction = recorder, .sa_flags = SA_SIGINFO };
    int rt = SIGRTMIN + 3;

    sigfillset(&all);
    sa.sa_mask = all;
    sigaction(rt, &sa, NULL);
    sigaction(rt + 1, &sa, NULL);
    sigaction(SIGUSR1, &sa, NULL);
    order_count = 0;
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (int i = 0; i < 5; i++) {
        sigqueue(getpid(), rt + 1, (union sigval){ .sival_int = 100 + i });
        sigqueue(getpid(), rt, (union sigval){ .sival_int = i });
        sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 50 + i });
    }
    sigpending(&pending);
    CHECK(sigismember(&pending, rt) && sigismember(&pending, rt + 1));
    CHECK(sigismember(&pending, SIGUSR1) && !sigismember(&pending, SIGUSR2));
    CHECK_EQ(order_count, 0);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
    CHECK_EQ(order_count, 11);
    /* the kernel puts a frame for each on the stack: what it takes first runs last, unless masked;
     * all is masked, so they come one by one, the lowest first */
    CHECK_EQ(order[0], SIGUSR1);
    CHECK_EQ(order_value[0], 50);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(order[1 + i], rt);
        CHECK_EQ(order_value[1 + i], i);
        CHECK_EQ(order[6 + i], rt + 1);
        CHECK_EQ(order_value[6 + i], 100 + i);
    }
    usual(SIGUSR1);
    usual(rt);
    usual(rt + 1);
}

static void on_timer(int ms)
{
    struct itimerval it = { .it_value = { 0, ms * 1000 } };

    setitimer(ITIMER_REAL, &it, NULL);
}

static void restart(void)
{
    int fd[2];
    char c;
    struct timespec ts = { 0, 200000000 }, rest = { 0 };
    pid_t child;

    CHECK_EQ(pipe(fd), 0);
    hits = 0;
    set(SIGALRM, handler, 0);
    on_timer(30);
    CHECK_EQ(read(fd[0], &c, 1), -1);
    CHECK_EQ(errno, EINTR);
    CHECK_EQ(hits, 1);
    set(SIGALRM, handler, SA_RESTART);
    on_timer(30);
    child = fork();
    if (child == 0) {
        usleep(100000);
        _exit(write(fd[1], "x", 1) != 1);
    }
    CHECK_EQ(read(fd[0], &c, 1), 1);
    CHECK_EQ(hits, 2);
    waitpid(child, NULL, 0);
    /* never restarted, whatever SA_RESTART says */
    on_timer(30);
    CHECK_EQ(nanosleep(&ts, &rest), -1);
    CHECK_EQ(errno, EINTR);
    CHECK(rest.tv_nsec > 50000000 && rest.tv_nsec < 199000000);
    on_timer(30);
    CHECK_EQ(pause(), -1);
    CHECK_EQ(errno, EINTR);
    CHECK_EQ(hits, 4);
    close(fd[0]);
    close(fd[1]);
    usual(SIGALRM);
}

static void flags(void)
{
    struct sigaction sa;

    hits = 0;
    set(SIGUSR2, handler, SA_RESETHAND);
    raise(SIGUSR2);
    sigaction(SIGUSR2, NULL, &sa);
    CHECK(sa.sa_handler == SIG_DFL);
    CHECK(sa.sa_flags & SA_SIGINFO && sa.sa_flags & SA_RESETHAND);
    CHECK_EQ(hits, 1);
    CHECK_EQ(sigaction(SIGKILL, &sa, NULL), -1);
    CHECK_EQ(errno, EINVAL);
    CHECK_EQ(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), -1);
    CHECK_EQ(syscall(SYS_rt_sigaction, 10, NULL, NULL, 4), -1);
    CHECK_EQ(errno, EINVAL);
}

static volatile int nested_max, nested_now;
static void nest(int sig)
{
    if (++nested_now > nested_max)
        nested_max = nested_now;
    if (nested_now < 5)
        raise(SIGUSR1);
    nested_now--;
}

static void nested(void)
{
    struct sigaction sa = { .sa_handler = nest, .sa_flags = SA_NODEFER };

    nested_max = 0;
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    CHECK_EQ(nested_max, 5);
    usual(SIGUSR1);
}

static volatile int limited;
static void limited_nest(int sig)
{
    if (++limited < 3)
        raise(sig);
}

static void deferred(void)
{
    limited = 0;
    signal(SIGUSR1, limited_nest);
    raise(SIGUSR1);
    CHECK_EQ(limited, 3);
    usual(SIGUSR1);
}

static void suspend(void)
{
    sigset_t usr1 = one(SIGUSR1), old, now, none;
    pid_t child;

    hits = 0;
    set(SIGUSR1, handler, 0);
    sigprocmask(SIG_BLOCK, &usr1, &old);
    child = fork();
    if (child == 0) {
        usleep(20000);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    sigemptyset(&none);
    CHECK_EQ(sigsuspend(&none), -1);
    CHECK_EQ(errno, EINTR);
    CHECK_EQ(hits, 1);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR1));
    waitpid(child, NULL, 0);
    /* one that waits already */
    raise(SIGUSR1);
    CHECK_EQ(hits, 1);
    CHECK_EQ(sigsuspend(&none), -1);
    CHECK_EQ(hits, 2);
    sigprocmask(SIG_SETMASK, &old, NULL);
    usual(SIGUSR1);
}

static void timed_wait(void)
{
    sigset_t s = one(SIGUSR1), old;
    struct timespec ts = { 0, 20000000 };
    siginfo_t info;

    sigprocmask(SIG_BLOCK, &s, &old);
    CHECK_EQ(sigtimedwait(&s, &info, &ts), -1);
    CHECK_EQ(errno, EAGAIN);
    sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 4711 });
    CHECK_EQ(sigtimedwait(&s, &info, &ts), SIGUSR1);
    CHECK_EQ(info.si_value.sival_int, 4711);
    CHECK_EQ(info.si_code, SI_QUEUE);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static int status_of(void (*fn)(void))
{
    int status;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        struct rlimit none = { 0, 0 };

        setrlimit(RLIMIT_CORE, &none);
        fn();
        _exit(99);
    }
    waitpid(child, &status, 0);
    return status;
}

static void do_abort(void)
{
    abort();
}
static void do_term(void)
{
    raise(SIGTERM);
}
static void do_segv(void)
{
    *(volatile int *)8 = 1;
}
static void do_segv_ignored(void)
{
    signal(SIGSEGV, SIG_IGN);
    do_segv();
}
static void do_segv_blocked(void)
{
    sigset_t s = one(SIGSEGV);

    set(SIGSEGV, handler, 0);
    sigprocmask(SIG_BLOCK, &s, NULL);
    do_segv();
}
static void do_segv_twice(void)
{
    set(SIGSEGV, (void (*)(int, siginfo_t *, void *))do_segv, 0);
    do_segv();
}
static void do_bad_stack(void)
{
    set(SIGUSR1, handler, 0);
#if defined(__aarch64__)
    asm volatile("mov x2, %0\n mov x0, %1\n mov x1, #10\n mov sp, x2\n mov x8, #129\n svc #0"
                 :
                 : "r"(64l), "r"((long)getpid())
                 : "x0", "x1", "x2", "x8");
#elif defined(__riscv)
    asm volatile("mv a0, %1\n li a1, 10\n mv sp, %0\n li a7, 129\n ecall"
                 :
                 : "r"(64l), "r"((long)getpid())
                 : "a0", "a1", "a7");
#elif defined(__i386__)
    asm volatile("mov $64, %%esp\n mov $10, %%ecx\n mov $37, %%eax\n int $0x80"
                 :
                 : "b"(getpid())
                 : "ecx", "eax");
#else
    asm volatile("mov %1, %%rdi\n mov %0, %%rsp\n mov $10, %%esi\n mov $62, %%eax\n syscall"
                 :
                 : "r"(64l), "r"((long)getpid())
                 : "rdi", "rsi", "rax");
#endif
}
static void do_stop(void)
{
    raise(SIGSTOP);
    _exit(5);
}
static void do_pipe(void)
{
    int fd[2];

    if (pipe(fd) == 0)
        close(fd[0]);
    if (write(fd[1], "x", 1) < 0)
        _exit(98);
}
static void do_kill_segv(void)
{
    kill(getpid(), SIGSEGV);
}

static void deaths(void)
{
    CHECK_EQ(status_of(do_abort) & 0x7f, SIGABRT);
    CHECK_EQ(status_of(do_term), SIGTERM);
    CHECK_EQ(status_of(do_segv) & 0x7f, SIGSEGV);
    CHECK_EQ(status_of(do_segv_ignored) & 0x7f, SIGSEGV);
    CHECK_EQ(status_of(do_segv_blocked) & 0x7f, SIGSEGV);
    CHECK_EQ(status_of(do_segv_twice) & 0x7f, SIGSEGV);
    CHECK_EQ(status_of(do_bad_stack) & 0x7f, SIGSEGV);
    CHECK_EQ(status_of(do_pipe), SIGPIPE);
    CHECK_EQ(status_of(do_kill_segv) & 0x7f, SIGSEGV);
}

static void stop(void)
{
    int status;
    pid_t child;

    set(SIGCHLD, handler, 0);
    hits = 0;
    fflush(stdout);
    child = fork();
    if (child == 0)
        do_stop();
    while (waitpid(child, &status, WUNTRACED) < 0 && errno == EINTR)
        ;
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    CHECK_EQ(hits, 1);
    CHECK_EQ(last_code, CLD_STOPPED);
    CHECK_EQ(last_info.si_pid, child);
    set(SIGCHLD, handler, SA_NOCLDSTOP);
    kill(child, SIGCONT);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    CHECK_EQ(status, 5 << 8);
    CHECK_EQ(hits, 2);
    CHECK_EQ(last_code, CLD_EXITED);
    CHECK_EQ(last_info.si_status, 5);
    set(SIGCHLD, handler, SA_NOCLDWAIT);
    child = fork();
    if (child == 0)
        _exit(0);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    CHECK_EQ(errno, ECHILD);
    usual(SIGCHLD);
}

static volatile unsigned long ticks;
static void tick(int sig)
{
    ticks++;
}

/* Signals all over loops with state in registers: nothing may be disturbed. */
static void timers(void)
{
    struct itimerval it = { { 0, 1000 }, { 0, 1000 } }, off = { 0 };
    uint64_t x = 88172645463325252ull, y = x;
    double d = 1.0, e = 1.0;
    unsigned n = 0;

    ticks = 0;
    struct sigaction sa = { .sa_handler = tick, .sa_flags = SA_RESTART };

    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
    while (ticks < 50) {
        for (int i = 0; i < 1000; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            d = d * 1.0000001 + 0.5;
        }
        n++;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    for (unsigned k = 0; k < n * 1000; k++) {
        y ^= y << 13, y ^= y >> 7, y ^= y << 17;
        e = e * 1.0000001 + 0.5;
    }
    CHECK(x == y);
    CHECK(d == e);
    usual(SIGALRM);
}

static void posix_timer(void)
{
    struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
                           .sigev_signo = SIGRTMIN + 5,
                           .sigev_value.sival_int = 99 };
    struct itimerspec its = { { 0, 2000000 }, { 0, 2000000 } };
    timer_t id;

    hits = 0;
    set(SIGRTMIN + 5, handler, 0);
    CHECK_EQ(timer_create(CLOCK_MONOTONIC, &ev, &id), 0);
    CHECK_EQ(timer_settime(id, 0, &its, NULL), 0);
    while (hits < 5)
        usleep(1000);
    CHECK_EQ(timer_delete(id), 0);
    CHECK_EQ(last_code, SI_TIMER);
    CHECK_EQ(last_info.si_value.sival_int, 99);
    usual(SIGRTMIN + 5);
}

static void change_context(int sig, siginfo_t *info, void *ucv)
{
    ucontext_t *uc = ucv;

    sigaddset(&uc->uc_sigmask, SIGUSR2);
#if defined(__aarch64__)
    uc->uc_mcontext.regs[20] = 0x1234;
#elif defined(__riscv)
    uc->uc_mcontext.__gregs[18] = 0x1234;
#elif defined(__x86_64__)
    uc->uc_mcontext.gregs[REG_R12] = 0x1234;
#else
    uc->uc_mcontext.gregs[REG_ESI] = 0x1234;
#endif
}

/* What a handler changes in the context is there after it: registers and mask. */
static void context(void)
{
    register long result = 0;
    sigset_t now, usr2 = one(SIGUSR2);
    long pid = getpid();

    set(SIGUSR1, change_context, 0);
#if defined(__aarch64__)
    asm volatile("mov x20, #0\n mov x0, %1\n mov x1, #10\n mov x8, #129\n svc #0\n mov %0, x20"
                 : "=r"(result)
                 : "r"(pid)
                 : "x0", "x1", "x8", "x20", "memory");
#elif defined(__riscv)
    asm volatile("li s2, 0\n mv a0, %1\n li a1, 10\n li a7, 129\n ecall\n mv %0, s2"
                 : "=r"(result)
                 : "r"(pid)
                 : "a0", "a1", "a7", "s2", "memory");
#elif defined(__i386__)
    asm volatile("xor %%esi, %%esi\n mov $10, %%ecx\n mov $37, %%eax\n int $0x80\n mov %%esi, %0"
                 : "=r"(result)
                 : "b"(pid)
                 : "eax", "ecx", "esi", "memory");
#else
    asm volatile("xor %%r12d, %%r12d\n mov %1, %%rdi\n mov $10, %%esi\n mov $62, %%eax\n syscall\n "
                 "mov %%r12, %0"
                 : "=r"(result)
                 : "r"(pid)
                 : "rax", "rcx", "rdi", "rsi", "r11", "r12", "memory");
#endif
    CHECK_EQ(result, 0x1234);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR2));
    CHECK(!sigismember(&now, SIGUSR1));
    sigprocmask(SIG_UNBLOCK, &usr2, NULL);
    usual(SIGUSR1);
}

/* A program sees which signals its parent ignores. */
static void inherit(void)
{
    char text[64] = "";
    FILE *f;

    signal(SIGUSR2, SIG_IGN);
    f = popen("trap '' USR1; grep SigIgn /proc/self/status", "r");
    CHECK(f && fgets(text, sizeof(text), f));
    pclose(f);
    CHECK_EQ(strtoull(text + 8, NULL, 16) & 0xa00, 0xa00);
    usual(SIGUSR2);
}

static void async_segv(void)
{
    sigset_t s = one(SIGSEGV), pending;

    set(SIGSEGV, handler, 0);
    hits = 0;
    kill(getpid(), SIGSEGV);
    CHECK_EQ(hits, 1);
    CHECK_EQ(last_code, SI_USER);
    sigprocmask(SIG_BLOCK, &s, NULL);
    kill(getpid(), SIGSEGV);
    CHECK_EQ(hits, 1);
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGSEGV));
    sigprocmask(SIG_UNBLOCK, &s, NULL);
    CHECK_EQ(hits, 2);
    usual(SIGSEGV);
}

static volatile int frames, found_outer;
static void outer(void);
static _Unwind_Reason_Code each_frame(struct _Unwind_Context *c, void *arg)
{
    frames++;
    if (_Unwind_FindEnclosingFunction((void *)_Unwind_GetIP(c)) == (void *)outer)
        found_outer = 1;
    return frames > 50 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static void unwinder(int sig, siginfo_t *info, void *uc)
{
    hits++;
    _Unwind_Backtrace(each_frame, NULL);
}

static __attribute__((noinline)) void outer(void)
{
    raise(SIGUSR1);
    hits += 100;
}

/* Unwinders know the code that a handler returns to. */
static void unwind(void)
{
    set(SIGUSR1, unwinder, 0);
    hits = frames = found_outer = 0;
    outer();
    CHECK_EQ(hits, 101);
    CHECK(found_outer);
    CHECK(frames < 50);
    usual(SIGUSR1);
}

/* Addresses that no program can have. */
static void far_address(void)
{
#if __SIZEOF_POINTER__ == 8
    static const uintptr_t far[] = { 0x1234000000000008, 0xffff800000000010, 0x0000900000000018 };

    set(SIGSEGV, jumper, SA_NODEFER);
    for (int i = 0; i < 3; i++) {
        hits = 0;
        last_addr = NULL;
        if (!sigsetjmp(back, 1)) {
            *(volatile int *)far[i] = 1;
            CHECK(0);
        }
        CHECK_EQ(hits, 1);
#if defined(__riscv)
        CHECK_EQ(last_code, SEGV_MAPERR);
        CHECK_EQ(last_addr, far[i]);
#elif defined(__aarch64__)
        CHECK_EQ(last_code, SEGV_MAPERR);
        CHECK_EQ((uintptr_t)last_addr << 8 >> 8, far[i] << 8 >> 8);
#else
        CHECK_EQ(last_code, i == 1 ? SEGV_MAPERR : SI_KERNEL);
        CHECK_EQ(last_addr, i == 1 ? far[i] : 0);
#endif
    }
    usual(SIGSEGV);
#endif
}

/* Masks that are in force during a call only. */
static void call_masks(void)
{
    sigset_t usr1 = one(SIGUSR1), old, none, now;
    struct timespec ts = { 5, 0 }, zero = { 0, 0 };
    int fd[2], ep = epoll_create1(0);
    struct epoll_event ev = { .events = EPOLLIN };
    struct pollfd pfd;

    CHECK_EQ(pipe(fd), 0);
    sigemptyset(&none);
    set(SIGUSR1, handler, SA_RESTART);
    sigprocmask(SIG_BLOCK, &usr1, &old);
    hits = 0;
    raise(SIGUSR1);
    CHECK_EQ(hits, 0);
    CHECK_EQ(ppoll(NULL, 0, &ts, &none), -1);
    CHECK_EQ(errno, EINTR);
    CHECK_EQ(hits, 1);
    raise(SIGUSR1);
    CHECK_EQ(pselect(0, NULL, NULL, NULL, &ts, &none), -1);
    CHECK_EQ(errno, EINTR);
    CHECK_EQ(hits, 2);
    raise(SIGUSR1);
    CHECK_EQ(epoll_pwait(ep, &ev, 1, 5000, &none), -1);
    CHECK_EQ(errno, EINTR);
    CHECK_EQ(hits, 3);
    sigprocmask(SIG_BLOCK, NULL, &now);
    CHECK(sigismember(&now, SIGUSR1));
    /* what is ready comes first, and the signal stays */
    CHECK_EQ(write(fd[1], "x", 1), 1);
    raise(SIGUSR1);
    pfd = (struct pollfd){ .fd = fd[0], .events = POLLIN };
    CHECK_EQ(ppoll(&pfd, 1, &zero, &usr1), 1);
    CHECK_EQ(hits, 3);
    sigprocmask(SIG_SETMASK, &old, NULL);
    CHECK_EQ(hits, 4);
    close(ep);
    close(fd[0]);
    close(fd[1]);
    usual(SIGUSR1);
}

static void disarm_handler(int sig, siginfo_t *info, void *uc)
{
    stack_t ss;

    hits++;
    sigaltstack(NULL, &ss);
    CHECK_EQ(ss.ss_flags, SS_DISABLE);
}

static void autodisarm(void)
{
    static char mem[65536];
    stack_t ss = { .ss_sp = mem, .ss_size = sizeof(mem), .ss_flags = 1u << 31 }, old;

    hits = 0;
    CHECK_EQ(sigaltstack(&ss, NULL), 0);
    set(SIGUSR1, disarm_handler, SA_ONSTACK);
    raise(SIGUSR1);
    CHECK_EQ(hits, 1);
    sigaltstack(NULL, &old);
    CHECK(old.ss_sp == mem && old.ss_size == sizeof(mem));
    ss.ss_flags = SS_DISABLE;
    sigaltstack(&ss, NULL);
    usual(SIGUSR1);
}

/* Each signal that is sent arrives, in whatever the program does. */
static volatile int arrived;
static void count_arrivals(int sig, siginfo_t *info, void *uc)
{
    arrived++;
}

static void none_lost(void)
{
    int rt = SIGRTMIN + 1;
    pid_t child;
    volatile double d = 1;

    arrived = 0;
    set(rt, count_arrivals, SA_RESTART);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        for (int i = 0; i < 300; i++) {
            while (sigqueue(getppid(), rt, (union sigval){ .sival_int = i }) < 0)
                usleep(100);
            if (i % 16 == 0)
                usleep(500);
        }
        _exit(0);
    }
    for (int i = 0; waitpid(child, NULL, WNOHANG) == 0; i++) {
        void *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        d = d * 1.5 + i;
        free(malloc(5000));
        munmap(p, 8192);
        getppid();
    }
    CHECK_EQ(arrived, 300);
    usual(rt);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
        { "basic", basic },
        { "faults", faults },
        { "bus", bus },
        { "illegal", illegal },
        { "breakpoint", breakpoint },
#if defined(__x86_64__) || defined(__i386__)
        { "divide", divide },
#endif
        { "retry", retry },
        { "altstack", altstack },
        { "queues", queues },
        { "restart", restart },
        { "flags", flags },
        { "nested", nested },
        { "deferred", deferred },
        { "suspend", suspend },
        { "timed_wait", timed_wait },
        { "deaths", deaths },
        { "stop", stop },
        { "timers", timers },
        { "posix_timer", posix_timer },
        { "context", context },
        { "inherit", inherit },
        { "async_segv", async_segv },
        { "unwind", unwind },
        { "far_address", far_address },
        { "call_masks", call_masks },
        { "autodisarm", autodisarm },
        { "none_lost", none_lost },
        { 0 },
    };

    return tests_run(tests, argc, argv);
}
