/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls and returns: recursive Fibonacci numbers. */
#include "bench.h"

__attribute__((noipa)) static uint64_t fib(unsigned n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t work(unsigned n)
{
    return fib(n);
}
