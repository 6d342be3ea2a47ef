/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void *check(void *p)
{
    if (!p) {
        fputs("rhea: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    if (!n || !size)
        n = size = 1;
    return check(calloc(n, size));
}

void *xrealloc_array(void *p, size_t n, size_t size)
{
    if (!n || !size)
        n = size = 1;
    return check(reallocarray(p, n, size));
}

char *xstrdup(const char *s)
{
    return s ? check(strdup(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
    return check(strndup(s, n));
}

void *xmemdup(const void *p, size_t n)
{
    void *q = xcalloc(n, 1);

    if (n)
        memcpy(q, p, n);
    return q;
}

char *xasprintf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return check(n < 0 ? NULL : s);
}
