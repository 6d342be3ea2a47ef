/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A measured program: work(n) does n rounds and returns a checksum that must not depend on where it
 * runs. main() is here; it marks start and stop on standard output, so that whoever watches the
 * serial line can read the emulator's CPU time at these moments.
 */
#ifndef TESTS_PERF_BENCH_H
#define TESTS_PERF_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t work(unsigned n);

static inline uint32_t rnd(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

static inline uint64_t mix(uint64_t h, uint64_t v)
{
    return (h ^ v) * UINT64_C(0x9e3779b97f4a7c15) + (h >> 29);
}

static double seconds(const struct timeval *t)
{
    return t->tv_sec + t->tv_usec * 1e-6;
}

int main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
    struct rusage self, children;
    uint64_t sum;

    name = name ? name + 1 : argv[0];
    if (argc > 2)
        return 0; /* started by itself, only to end: the exec program */
    printf("@start %s\n", name);
    fflush(stdout);
    sum = work(n);
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    printf("@stop %s %016llx %.6f %.6f\n", name, (unsigned long long)sum,
           seconds(&self.ru_utime) + seconds(&children.ru_utime),
           seconds(&self.ru_stime) + seconds(&children.ru_stime));
    return 0;
}

#endif
