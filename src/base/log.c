/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/trace.h"

static const struct {
    const char *name, *help;
} item_table[LOG_COUNT] = {
    [LOG_IN_ASM] = { "in_asm", "guest instructions of each block as it is translated" },
    [LOG_OP] = { "op", "intermediate code of each block as translated" },
    [LOG_OP_OPT] = { "op_opt", "intermediate code after the passes" },
    [LOG_OUT_ASM] = { "out_asm", "host instructions of each block" },
    [LOG_INT] = { "int", "interrupts and exceptions as they are taken" },
    [LOG_EXEC] = { "exec", "each entry into translated code (slow; with nochain every block)" },
    [LOG_CPU] = { "cpu", "guest registers at each entry into translated code (slow)" },
    [LOG_MMU] = { "mmu", "page walks, TLB flushes, page faults" },
    [LOG_GUEST_ERRORS] = { "guest_errors", "what the guest does wrong (bad registers, bad pages)" },
    [LOG_UNIMP] = { "unimp", "what the guest uses and this version does not have" },
    [LOG_CPU_RESET] = { "cpu_reset", "guest registers before each reset of the processor" },
    [LOG_PAGE] = { "page", "map of guest memory as it changes" },
    [LOG_NOCHAIN] = { "nochain", "do not chain blocks, so that exec and cpu show every one" },
};

uint32_t log_items;
static FILE *log_file; /* NULL is stderr */
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;

FILE *log_lock(void)
{
    FILE *f;

    pthread_mutex_lock(&log_mutex);
    f = log_file ? log_file : stderr;
    return f;
}

void log_unlock(FILE *f)
{
    fflush(f);
    pthread_mutex_unlock(&log_mutex);
}

static void write_args(const char *fmt, va_list ap)
{
    FILE *f = log_lock();

    vfprintf(f, fmt, ap);
    log_unlock(f);
}

void log_write(enum log_item item, const char *fmt, ...)
{
    va_list ap;

    if (!log_enabled(item))
        return;
    va_start(ap, fmt);
    write_args(fmt, ap);
    va_end(ap);
}

void log_text(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    write_args(fmt, ap);
    va_end(ap);
}

static bool set_item(const char *name, uint32_t *items, struct error *err)
{
    const char *names[LOG_COUNT + 3];
    const char *near;
    int n = 0;

    if (!strncmp(name, "trace:", 6))
        return trace_enable(name + 6, err);
    for (int i = 0; i < LOG_COUNT; i++) {
        if (!strcmp(name, item_table[i].name)) {
            *items |= 1u << i;
            return true;
        }
        names[n++] = item_table[i].name;
    }
    if (!strcmp(name, "all")) {
        /* nochain changes how blocks run, so it is only on when asked for by name */
        *items |= ((1u << LOG_COUNT) - 1) & ~(1u << LOG_NOCHAIN);
        return true;
    }
    if (!strcmp(name, "none")) {
        *items = 0;
        return true;
    }
    names[n++] = "all";
    names[n++] = "none";
    names[n] = NULL;
    fail(err, EINVAL, "-d: no log item is called '%s'", name);
    near = nearest_name(name, names);
    return near ? fail_hint(err, "did you mean '%s'? '-d help' lists them", near)
                : fail_hint(err, "'-d help' lists them");
}

bool log_set_items(const char *list, struct error *err)
{
    AUTO_FREE char *copy = xstrdup(list);
    uint32_t items = log_items;
    char *save = NULL;

    for (char *s = strtok_r(copy, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        if (!set_item(s, &items, err))
            return false;
    }
    __atomic_store_n(&log_items, items, __ATOMIC_RELAXED);
    return true;
}

/* Out of the way of a guest program, which shares our descriptors in user mode. */
static FILE *move_high(FILE *f)
{
    enum { HIGH = 1010 };
    int fd = fcntl(fileno(f), F_DUPFD_CLOEXEC, HIGH);
    FILE *high = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (!high) {
        if (fd >= 0)
            (void)close(fd);
        return f;
    }
    fclose(f);
    return high;
}

int log_fd(void)
{
    int fd = -1;

    WITH_LOCK (&log_mutex) {
        if (log_file)
            fd = fileno(log_file);
    }
    return fd;
}

bool log_set_file(const char *path, struct error *err)
{
    const char *mark = strstr(path, "%d");
    AUTO_FREE char *name =
        mark ? xasprintf("%.*s%d%s", (int)(mark - path), path, (int)getpid(), mark + 2)
             : xstrdup(path);
    FILE *f = fopen(name, "we");

    if (!f) {
        fail(err, errno, "-D: log file '%s': %s", name, strerror(errno));
        return fail_hint(err, "name a file in a directory you may write to");
    }
    f = move_high(f);
    WITH_LOCK (&log_mutex) {
        if (log_file)
            fclose(log_file);
        log_file = f;
    }
    return true;
}

void log_help(FILE *f)
{
    fputs("Log items (separate several by commas):\n", f);
    for (int i = 0; i < LOG_COUNT; i++)
        fprintf(f, "%-16s %s\n", item_table[i].name, item_table[i].help);
    fprintf(f, "%-16s %s\n", "all", "everything above but nochain");
    fprintf(f, "%-16s %s\n", "trace:PATTERN", "trace points ('-trace help' lists them)");
}
