/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The -d log: a fixed table of items, switched on by name, written to stderr or to the -D file.
 * Any thread may write; a call is one uninterrupted piece of the log. The only mutable file-scope
 * state in the tree besides tracing and main/.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bits.h"
#include "base/error.h"

enum log_item {
    LOG_IN_ASM,
    LOG_OP,
    LOG_OP_OPT,
    LOG_OUT_ASM,
    LOG_INT,
    LOG_EXEC,
    LOG_CPU,
    LOG_MMU,
    LOG_GUEST_ERRORS,
    LOG_UNIMP,
    LOG_CPU_RESET,
    LOG_PAGE,
    LOG_NOCHAIN,
    LOG_COUNT,
};

extern uint32_t log_items; /* bit per item; read through log_enabled() */

/* One load and one predicted branch. */
static inline bool log_enabled(enum log_item item)
{
    return unlikely(__atomic_load_n(&log_items, __ATOMIC_RELAXED) & (1u << item));
}

/* Writes when the item is on. The text brings its own newline. */
void log_write(enum log_item item, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Writes whatever the items say (traces). */
void log_text(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The log as a stream for output of several lines, locked until log_unlock(). */
FILE *log_lock(void);
void log_unlock(FILE *f);

/* "-d LIST": names separated by commas, "all", "none", "trace:PATTERN". Adds to what is on. */
bool log_set_items(const char *list, struct error *err) MUST_CHECK;

/* "-D FILE": the first "%d" in the name becomes the process id. */
bool log_set_file(const char *path, struct error *err) MUST_CHECK;

/* The descriptor of the -D file, -1 without one. */
int log_fd(void);

/* "-d help". */
void log_help(FILE *f);

#endif
