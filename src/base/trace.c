/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/trace.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/optlist.h"
#include "base/scope.h"

/* Made by the linker around the section; weak, because a program may have no point. */
extern struct trace_point *const __start_rhea_trace[] __attribute__((weak));
extern struct trace_point *const __stop_rhea_trace[] __attribute__((weak));

static size_t point_count(void)
{
    return ((uintptr_t)__stop_rhea_trace - (uintptr_t)__start_rhea_trace) / sizeof(void *);
}

void trace_write(const struct trace_point *p, const char *fmt, ...)
{
    struct timespec now;
    va_list ap;
    FILE *f;

    clock_gettime(CLOCK_MONOTONIC, &now);
    f = log_lock();
    fprintf(f, "%ld.%06ld %s.%s ", (long)now.tv_sec, now.tv_nsec / 1000, p->area, p->func);
    va_start(ap, fmt);
    vfprintf(f, fmt, ap);
    va_end(ap);
    fputc('\n', f);
    log_unlock(f);
}

static bool matches(const char *pattern, const struct trace_point *p)
{
    char name[128];

    snprintf(name, sizeof(name), "%s.%s", p->area, p->func);
    return !fnmatch(pattern, p->area, 0) || !fnmatch(pattern, name, 0);
}

bool trace_enable(const char *pattern, struct error *err)
{
    bool on = pattern[0] != '-';
    bool any = false;

    if (!on)
        pattern++;
    for (size_t i = 0; i < point_count(); i++) {
        struct trace_point *p = __start_rhea_trace[i];

        if (matches(pattern, p)) {
            __atomic_store_n(&p->on, on, __ATOMIC_RELAXED);
            any = true;
        }
    }
    if (any)
        return true;
    fail(err, ENOENT, "-trace: no trace point matches '%s'", pattern);
    return fail_hint(err, "'-trace help' lists them; 'AREA' or 'AREA.*' takes a whole area");
}

/* One pattern a line; empty lines and those starting with # do not count. */
static bool enable_from_file(const char *path, struct error *err)
{
    AUTO_FREE char *line = NULL;
    size_t size = 0;
    bool ok = true;
    FILE *f = fopen(path, "re");

    if (!f)
        return fail(err, errno, "-trace: events file '%s': %s", path, strerror(errno));
    while (ok && getline(&line, &size, f) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] && line[0] != '#')
            ok = trace_enable(line, err);
    }
    fclose(f);
    return ok;
}

bool trace_option(const char *text, struct error *err)
{
    struct optlist o = { 0 };
    const char *value;
    bool ok = optlist_parse(&o, text, "enable", err);

    if (ok && (value = optlist_take(&o, "file")))
        ok = log_set_file(value, err);
    if (ok && (value = optlist_take(&o, "events")))
        ok = enable_from_file(value, err);
    while (ok && (value = optlist_take_next(&o, "enable")))
        ok = trace_enable(value, err);
    ok = ok && optlist_done(&o, "-trace", err);
    optlist_finish(&o);
    return ok;
}

void trace_help(FILE *f)
{
    fputs("Trace points (AREA.FUNCTION and what it prints):\n", f);
    for (size_t i = 0; i < point_count(); i++) {
        const struct trace_point *p = __start_rhea_trace[i];

        fprintf(f, "%s.%s  %s\n", p->area, p->func, p->fmt);
    }
}
