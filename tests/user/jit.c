/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest program that makes and changes code in all the ways that JITs do. Prints what failed. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, RW = PROT_READ | PROT_WRITE, RX = PROT_READ | PROT_EXEC, RWX = RW | PROT_EXEC };
enum { ANON = MAP_PRIVATE | MAP_ANONYMOUS };

static int failed;

/* A function that returns n (0 to 2047), as bytes. */
static size_t code_for(unsigned char *to, unsigned n)
{
#if defined(__aarch64__)
    uint32_t c[2] = { 0x52800000 | n << 5, 0xd65f03c0 };
#elif defined(__riscv)
    uint32_t c[2] = { 0x00000513 | n << 20, 0x00008067 };
#else
    unsigned char c[6] = { 0xb8, n & 255, n >> 8, 0, 0, 0xc3 };
#endif
    memcpy(to, c, sizeof c);
    return sizeof c;
}

static void put(void *at, unsigned n)
{
    unsigned char code[8];
    size_t len = code_for(code, n);
    memcpy(at, code, len);
    __builtin___clear_cache((char *)at, (char *)at + len);
}

static int call(void *at)
{
    return ((int (*)(void))at)();
}

static void expect(const char *what, int got, int want)
{
    if (got == want)
        return;
    printf("%s: %d, not %d\n", what, got, want);
    failed = 1;
}

static char *map(size_t len, int prot)
{
    char *p = mmap(NULL, len, prot, ANON, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

static void rewrite(void)
{
    char *p = map(2 * PAGE, RWX);
    for (int i = 1; i < 200; i++) {
        put(p, i);
        expect("rewritten", call(p), i);
    }
    for (int i = 1; i < 50; i++) { /* neighbours in one page stay right */
        put(p + 64 * i % PAGE, i);
        expect("neighbour", call(p + 64 * i % PAGE), i);
    }
    put(p + PAGE - 4, 77); /* over the border of pages */
    expect("over the border", call(p + PAGE - 4), 77);
    put(p + PAGE - 4, 78);
    expect("over the border again", call(p + PAGE - 4), 78);
}

static void flips(void)
{
    char *p = map(4 * PAGE, RW);
    for (int i = 1; i < 60; i++) {
        put(p + i % 4 * PAGE, i);
        mprotect(p, 4 * PAGE, RX);
        expect("RW to RX", call(p + i % 4 * PAGE), i);
        mprotect(p, 4 * PAGE, RW);
    }
    mprotect(p, 4 * PAGE, RX);
    for (int i = 1; i < 60; i++) {
        mprotect(p, 4 * PAGE, RWX);
        put(p + i % 4 * PAGE, 100 + i);
        mprotect(p, 4 * PAGE, RX);
        expect("RX to RWX", call(p + i % 4 * PAGE), 100 + i);
        if (i > 4)
            expect("the others", call(p + (i + 1) % 4 * PAGE), 100 + i - 3);
    }
}

static void new_mappings(void)
{
    char *p = map(PAGE, RWX), *q;
    for (int i = 1; i < 30; i++) {
        put(p, i);
        expect("new mapping", call(p), i);
        munmap(p, PAGE);
        q = mmap(p, PAGE, RWX, ANON | MAP_FIXED, -1, 0);
        expect("fixed", q == p, 1);
        put(p, 500 + i);
        expect("new mapping at the old place", call(p), 500 + i);
        mmap(p, PAGE, RWX, ANON | MAP_FIXED, -1, 0);
    }
    put(p, 9);
    expect("before the move", call(p), 9);
    q = mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, map(PAGE, RW));
    expect("moved", call(q), 9);
    put(q, 10);
    expect("moved and changed", call(q), 10);
    p = mmap(p, PAGE, RWX, ANON | MAP_FIXED, -1, 0);
    put(p, 11);
    expect("at the place it left", call(p), 11);
}

/* The kernel writes for us: read(2), and a file mapped over it. */
static void by_the_kernel(void)
{
    char *p = map(PAGE, RWX), code[PAGE] = { 0 };
    char name[] = "/tmp/rhea-jit-XXXXXX";
    int fd = mkstemp(name), pipes[2];
    unlink(name);
    if (pipe(pipes))
        abort();
    for (int i = 1; i < 30; i++) {
        size_t len = code_for((unsigned char *)code, i);
        if (write(pipes[1], code, len) != (ssize_t)len || read(pipes[0], p, len) != (ssize_t)len)
            abort();
        __builtin___clear_cache(p, p + len);
        expect("read", call(p), i);
    }
    code_for((unsigned char *)code, 33);
    if (write(fd, code, PAGE) != PAGE)
        abort();
    mmap(p, PAGE, RX, MAP_PRIVATE | MAP_FIXED, fd, 0);
    expect("file", call(p), 33);
    /* written through another mapping of the same file */
    char *w = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), *x = mmap(NULL, PAGE, RX, MAP_SHARED, fd, 0);
    for (int i = 1; i < 30; i++) {
        code_for((unsigned char *)w, i);
        __builtin___clear_cache(w, w + 8);
        __builtin___clear_cache(x, x + 8);
#if !defined(__x86_64__) && !defined(__i386__) /* these say nothing about it */
        expect("double mapping", call(x), i);
#endif
    }
}

/* Code that writes beside itself: data and code share a page. */
static void shared_page(void)
{
    char *p = map(PAGE, RWX);
    volatile int *data = (volatile int *)(p + 2048);
    put(p, 5);
    for (int i = 0; i < 2000; i++) {
        *data = i;
        expect("code beside data", call(p), 5);
        expect("data beside code", *data, i);
    }
}

static sigjmp_buf back;
static void *fault_at;

static void caught(int sig, siginfo_t *info, void *context)
{
    fault_at = info->si_addr;
    siglongjmp(back, sig);
}

static int signal_of_call(void *at)
{
    int sig = sigsetjmp(back, 1);
    if (!sig)
        call(at);
    return sig;
}

static void not_executable(void)
{
    struct sigaction sa = { .sa_sigaction = caught, .sa_flags = SA_SIGINFO };
    char *p = map(PAGE, RW);
    sigaction(SIGSEGV, &sa, NULL);
    put(p, 1);
    expect("RW is not executable", signal_of_call(p), SIGSEGV);
    expect("address", fault_at == p, 1);
    mprotect(p, PAGE, RX);
    expect("now it is", call(p), 1);
    mprotect(p, PAGE, RW);
    expect("and no longer", signal_of_call(p), SIGSEGV);
    mprotect(p, PAGE, RX);
    if (!sigsetjmp(back, 1)) {
        *(volatile char *)p = 1;
        expect("RX is not writable", 0, 1);
    }
    expect("address of the write", fault_at == p, 1);
    munmap(p, PAGE);
    expect("unmapped", signal_of_call(p), SIGSEGV);
    signal(SIGSEGV, SIG_DFL);
}

static char *shared;
static atomic_int stop, calls;

static void *caller(void *unused)
{
    while (!stop) {
        int n = call(shared + 64 * (1 + calls % 8));
        expect("in another thread", n, 7);
        calls++;
    }
    return NULL;
}

static void threads(void)
{
    pthread_t t[3];
    shared = map(PAGE, RWX);
    for (int i = 0; i < 10; i++)
        put(shared + 64 * i, 7);
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, caller, NULL);
    for (int i = 0; i < 300; i++) {
        put(shared, i);
        expect("rewritten beside others", call(shared), i);
    }
    while (calls < 100)
        usleep(1000);
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
}

int main(void)
{
    rewrite();
    flips();
    new_mappings();
    by_the_kernel();
    shared_page();
    not_executable();
    threads();
    puts(failed ? "failed" : "passed");
    return failed;
}
