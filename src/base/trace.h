/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trace points: TRACE(disk, "write off=%#" PRIx64 " len=%zu", off, len). Each is a static record; a
 * disabled one costs a load and a predicted branch. Its name is AREA.FUNCTION, and -trace PATTERN
 * enables by glob. A linker section lists the points (the sole use of one in the tree).
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bits.h"
#include "base/error.h"

struct trace_point {
    const char *area, *func, *fmt;
    bool on;
};

#define TRACE(area_, fmt_, ...)                                                                    \
    do {                                                                                           \
        static struct trace_point trace_point_ = { #area_, __func__, fmt_, false };                \
        static struct trace_point *const trace_ref_ __attribute__((section("rhea_trace"), used)) = \
            &trace_point_;                                                                         \
        if (unlikely(__atomic_load_n(&trace_point_.on, __ATOMIC_RELAXED)))                         \
            trace_write(&trace_point_, fmt_, ##__VA_ARGS__);                                       \
    } while (0)

void trace_write(const struct trace_point *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Enables the points whose AREA or AREA.FUNCTION matches; "-PATTERN" disables. None is an error. */
bool trace_enable(const char *pattern, struct error *err) MUST_CHECK;

/* "-trace [enable=]PATTERN,events=FILE,file=FILE"; "help" is the caller's, by trace_help(). */
bool trace_option(const char *text, struct error *err) MUST_CHECK;

void trace_help(FILE *f);

#endif
