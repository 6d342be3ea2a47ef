/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For test programs that run as guests (and natively, as the check of the test): numbered checks,
 * one line per failure, "NAME: ok" per test; a test that hangs is ended by its alarm of the whole
 * program.
 */
#pragma once

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

struct test {
    const char *name;
    void (*run)(void);
};
static const char *test_now;
static int test_failures;

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            printf("FAIL %s line %d: %s (errno %d)\n", test_now, __LINE__, #cond, errno);          \
            fflush(stdout);                                                                        \
            test_failures++;                                                                       \
        }                                                                                          \
    } while (0)
#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        long long check_a = (long long)(a), check_b = (long long)(b);                              \
        if (check_a != check_b) {                                                                  \
            printf("FAIL %s line %d: %s is %lld (%#llx), not %lld (%#llx)\n", test_now, __LINE__,  \
                   #a, check_a, check_a, check_b, check_b);                                        \
            fflush(stdout);                                                                        \
            test_failures++;                                                                       \
        }                                                                                          \
    } while (0)

static int tests_run(const struct test *t, int argc, char **argv)
{
    for (; t->name; t++) {
        int before = test_failures, chosen = argc < 2;

        for (int i = 1; i < argc; i++)
            chosen |= !strcmp(argv[i], t->name);
        if (!chosen)
            continue;
        test_now = t->name;
        t->run();
        if (before == test_failures)
            printf("%s: ok\n", t->name);
        fflush(stdout);
    }
    return test_failures != 0;
}

static void *page_pc(void *uc)
{
#if defined(__aarch64__)
    return (void *)((ucontext_t *)uc)->uc_mcontext.pc;
#elif defined(__riscv)
    return (void *)((ucontext_t *)uc)->uc_mcontext.__gregs[0];
#elif defined(__x86_64__)
    return (void *)((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP];
#else
    return (void *)((ucontext_t *)uc)->uc_mcontext.gregs[REG_EIP];
#endif
}

static void set_pc(void *uc, void *pc)
{
#if defined(__aarch64__)
    ((ucontext_t *)uc)->uc_mcontext.pc = (uintptr_t)pc;
#elif defined(__riscv)
    ((ucontext_t *)uc)->uc_mcontext.__gregs[0] = (uintptr_t)pc;
#elif defined(__x86_64__)
    ((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP] = (uintptr_t)pc;
#else
    ((ucontext_t *)uc)->uc_mcontext.gregs[REG_EIP] = (uintptr_t)pc;
#endif
}
