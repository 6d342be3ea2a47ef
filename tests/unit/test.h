/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The unit test harness. A test program is this header, some TEST(name) { ... } bodies with CHECKs,
 * and nothing else: main() is here. A failed CHECK is reported and the test goes on. Arguments
 * choose tests by part of their name.
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
};

static struct test_case *test_first, **test_last = &test_first;
static unsigned test_bad; /* failed checks of the test that runs */

/* Constructors are fine here: a test program is one file. */
#define TEST(name_)                                                                                \
    static void test_##name_(void);                                                                \
    static struct test_case test_case_##name_ = { #name_, test_##name_, NULL };                    \
    __attribute__((constructor)) static void test_add_##name_(void)                                \
    {                                                                                              \
        *test_last = &test_case_##name_;                                                           \
        test_last = &test_case_##name_.next;                                                       \
    }                                                                                              \
    static void test_##name_(void)

#define TEST_FAIL(...)                                                                             \
    do {                                                                                           \
        test_bad++;                                                                                \
        printf("%s:%d: ", __FILE__, __LINE__);                                                     \
        printf(__VA_ARGS__);                                                                       \
        printf("\n");                                                                              \
    } while (0)

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            TEST_FAIL("not true: %s", #cond);                                                      \
    } while (0)

/* Two integers of any kind. */
#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        uint64_t a_ = (uint64_t)(a), b_ = (uint64_t)(b);                                           \
        if (a_ != b_)                                                                              \
            TEST_FAIL("%s is %#" PRIx64 ", not %s (%#" PRIx64 ")", #a, a_, #b, b_);                \
    } while (0)

#define CHECK_STR(a, b)                                                                            \
    do {                                                                                           \
        const char *a_ = (a), *b_ = (b);                                                           \
        if (!a_ || !b_ || strcmp(a_, b_))                                                          \
            TEST_FAIL("%s is \"%s\", not \"%s\"", #a, a_ ? a_ : "(null)", b_ ? b_ : "(null)");     \
    } while (0)

#define CHECK_MEM(a, b, n)                                                                         \
    do {                                                                                           \
        if (memcmp(a, b, n))                                                                       \
            TEST_FAIL("%s and %s differ", #a, #b);                                                 \
    } while (0)

int main(int argc, char **argv)
{
    unsigned passed = 0, failed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (struct test_case *t = test_first; t; t = t->next) {
        bool chosen = argc < 2;

        for (int i = 1; i < argc; i++)
            chosen |= strstr(t->name, argv[i]) != NULL;
        if (!chosen)
            continue;
        test_bad = 0;
        t->run();
        if (test_bad)
            printf("FAIL %s\n", t->name);
        *(test_bad ? &failed : &passed) += 1;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}

#endif
