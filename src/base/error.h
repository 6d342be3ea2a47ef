/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors a person caused (a setting, a file): one struct on the caller's stack, no allocation.
 * fail() says what failed and why, fail_hint() says what to do. Both return false, so that a
 * function ends with "return fail(err, ENOENT, ...)". main() and the monitor print them.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <stdio.h>

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

struct error {
    int code;      /* an errno value, 0 while nothing failed */
    char msg[156]; /* what failed and why, no final dot, no newline */
    char hint[96]; /* what to do about it, or empty */
};
_Static_assert(sizeof(struct error) == 256, "lives on stacks");

/* Records an error, replacing an earlier one and its hint. Text that does not fit ends in "...". */
bool fail(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Adds advice to the error just recorded. */
bool fail_hint(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Puts context in front of the message: err_prefix(err, "disk '%s': ", id). */
void err_prefix(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Prints "PROGRAM: msg; hint" and a newline. */
void err_print(FILE *f, const char *program, const struct error *err);

#endif
