/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/error.h"

#include <stdarg.h>
#include <string.h>

/* vsnprintf that marks a cut with dots instead of losing the end silently. */
static void format_cut(char *buf, size_t size, const char *fmt, va_list ap)
{
    int n = vsnprintf(buf, size, fmt, ap);

    if (n >= 0 && (size_t)n >= size)
        memcpy(buf + size - 4, "...", 4);
}

bool fail(struct error *err, int code, const char *fmt, ...)
{
    char msg[sizeof(err->msg)]; /* the arguments may point into err->msg */
    va_list ap;

    va_start(ap, fmt);
    format_cut(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    err->code = code;
    memcpy(err->msg, msg, sizeof(msg));
    err->hint[0] = '\0';
    return false;
}

bool fail_hint(struct error *err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    format_cut(err->hint, sizeof(err->hint), fmt, ap);
    va_end(ap);
    return false;
}

void err_prefix(struct error *err, const char *fmt, ...)
{
    char old[sizeof(err->msg)];
    size_t used, rest;
    va_list ap;

    memcpy(old, err->msg, sizeof(old));
    va_start(ap, fmt);
    format_cut(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    used = strlen(err->msg);
    rest = strlen(old);
    if (used + rest < sizeof(err->msg)) {
        memcpy(err->msg + used, old, rest + 1);
    } else {
        memcpy(err->msg + used, old, sizeof(err->msg) - used);
        memcpy(err->msg + sizeof(err->msg) - 4, "...", 4);
    }
}

void err_print(FILE *f, const char *program, const struct error *err)
{
    fprintf(f, "%s: %s%s%s\n", program, err->msg, err->hint[0] ? "; " : "", err->hint);
}
