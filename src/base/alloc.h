/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocation that does not fail: out of memory ends the process. Sizes that a guest, an image or a
 * peer chose need a cap before they come here. Everything is freed with free().
 */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>
#include <stdlib.h>

#include "base/error.h"

/* A zeroed T, or n of them. */
#define xnew(T)          ((T *)xcalloc(1, sizeof(T)))
#define xnew_array(T, n) ((T *)xcalloc(n, sizeof(T)))

void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));

/* Grows or shrinks to n elements; new ones are not zeroed. */
void *xrealloc_array(void *p, size_t n, size_t size) __attribute__((returns_nonnull));

/* NULL gives NULL. */
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n) __attribute__((returns_nonnull));
void *xmemdup(const void *p, size_t n) __attribute__((returns_nonnull));
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2) __attribute__((returns_nonnull));

#endif
