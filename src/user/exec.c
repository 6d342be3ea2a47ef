/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * execve for the guest. A program of the guest's own ABI is run by ourselves, started anew with the
 * same options; scripts lead to their interpreter; everything else is the host's: native programs,
 * and what binfmt_misc knows. Errors are Linux's.
 */
#include "user/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"

enum {
    SCRIPT_DEPTH_MAX = 5,       /* Linux: interpreters of interpreters */
    ARG_STRING_MAX = 32 * 4096, /* MAX_ARG_STRLEN */
    ARG_BYTES_MAX = 6 << 20,    /* of all strings and pointers */
    HANDED_FD_LOW = 1001,
    OPTIONS_MAX = 48,
};

const char *user_path(const struct user_proc *p, const char *path, char **ret_own)
{
    static const char *const never[] = { "/proc", "/dev", "/sys" };
    const char *root = p->opt->sysroot;
    *ret_own = NULL;
    if (!root || path[0] != '/')
        return path;
    for (unsigned i = 0; i < ARRAY_SIZE(never); i++) {
        size_t n = strlen(never[i]);
        if (!strncmp(path, never[i], n) && (!path[n] || path[n] == '/'))
            return path;
    }
    char *below = xasprintf("%s%s", root, path);
    if (access(below, F_OK) == 0)
        return *ret_own = below;
    free(below);
    return path;
}

/* ---- what is to be executed ---- */

struct words { /* a command line being made */
    char *own[OPTIONS_MAX];
    char **list;
    size_t count, own_count;
};

/* Hangs on the thread: of a vfork child that executed a program, the parent frees it. */
struct user_exec {
    struct user_thread *t;
    int dirfd;  /* with a relative path */
    char *path; /* as the guest said it; "" with AT_EMPTY_PATH */
    int flags;
    char **argv, **envp;        /* strings and lists are ours */
    const struct user_abi *abi; /* who runs it; NULL: the host */
    bool set_id;
    unsigned depth;
    char *host_path; /* if it is a new string */
    struct words words;
};

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

/* A guest's NULL-terminated list of strings; *bytes counts what all lists take. */
static char **read_list(struct user_proc *p, gva_t at, uint64_t *bytes, int *ret_err)
{
    unsigned word = p->abi->long_size;
    size_t n = 0, room = 16;
    char **list = xnew_array(char *, room + 1);
    for (; at; at += word) {
        uint64_t ptr = 0;
        *ret_err = user_read(p, &ptr, at, word);
        if (*ret_err)
            goto fail;
        if (!ptr)
            break;
        if (n == room) {
            room *= 2;
            list = xrealloc_array(list, room + 1, sizeof *list);
        }
        list[n] = user_string(p, ptr, ARG_STRING_MAX, ret_err);
        if (!list[n]) {
            *ret_err = *ret_err == -ENAMETOOLONG ? -E2BIG : *ret_err;
            goto fail;
        }
        *bytes += strlen(list[n]) + 1 + word;
        list[++n] = NULL;
        *ret_err = -E2BIG;
        if (*bytes > ARG_BYTES_MAX)
            goto fail;
    }
    list[n] = NULL;
    *ret_err = 0;
    return list;
fail:
    list[n] = NULL;
    free_list(list);
    return NULL;
}

static bool by_descriptor(const struct user_exec *x)
{
    return !x->path[0];
}

/* The path for the host: below -L when the guest's program is there; in *own if it is new. */
static const char *host_path(const struct user_exec *x, char **own)
{
    char link[PATH_MAX];
    if (procfs_readlink(x->t, x->path, link, sizeof link)) {
        *own = xstrdup(link);
        return *own;
    }
    return user_path(x->t->proc, x->path, own);
}

/* Opens for reading; *ret_st is filled even when only execution is allowed (then -1, no error). */
static int open_program(const struct user_exec *x, const char *path, struct stat *ret_st,
                        int *ret_err)
{
    int nofollow = x->flags & AT_SYMLINK_NOFOLLOW;
    *ret_err = 0;
    if (by_descriptor(x) ? fstat(x->dirfd, ret_st) : fstatat(x->dirfd, path, ret_st, nofollow)) {
        *ret_err = -errno;
        return -1;
    }
    if (S_ISLNK(ret_st->st_mode)) {
        *ret_err = -ELOOP;
        return -1;
    }
    if (!S_ISREG(ret_st->st_mode)) {
        *ret_err = -EACCES;
        return -1;
    }
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", x->dirfd);
    if (by_descriptor(x) ? faccessat(AT_FDCWD, link, X_OK, AT_EACCESS)
                         : faccessat(x->dirfd, path, X_OK, AT_EACCESS)) {
        *ret_err = errno == ENOENT && by_descriptor(x) ? 0 : -errno;
        if (*ret_err)
            return -1;
    }
    return by_descriptor(x) ? open(link, O_RDONLY | O_CLOEXEC)
                            : openat(x->dirfd, path, O_RDONLY | O_CLOEXEC);
}

/* The script's name as its interpreter gets it. */
static char *script_name(const struct user_exec *x)
{
    if (by_descriptor(x))
        return xasprintf("/dev/fd/%d", x->dirfd);
    if (x->dirfd == AT_FDCWD || x->path[0] == '/')
        return xstrdup(x->path);
    return xasprintf("/dev/fd/%d/%s", x->dirfd, x->path);
}

/* "#!": the interpreter becomes the program. */
static int follow_script(struct user_exec *x, char *interp, char *arg)
{
    size_t argc = 0, n = 0;
    if (++x->depth > SCRIPT_DEPTH_MAX)
        return -ELOOP;
    /* a descriptor that the exec closes cannot name the script */
    if (x->dirfd != AT_FDCWD && (by_descriptor(x) || x->path[0] != '/') &&
        fcntl(x->dirfd, F_GETFD) & FD_CLOEXEC)
        return -ENOENT;
    while (x->argv[argc])
        argc++;
    char **argv = xnew_array(char *, argc + 4);
    argv[n++] = xstrdup(interp);
    if (arg)
        argv[n++] = xstrdup(arg);
    argv[n++] = script_name(x);
    for (size_t i = 1; i < argc; i++)
        argv[n++] = x->argv[i];
    if (argc)
        free(x->argv[0]);
    free(x->argv);
    x->argv = argv;
    free(x->path);
    x->path = xstrdup(interp);
    x->dirfd = AT_FDCWD;
    x->flags = 0;
    return 1; /* look at that one */
}

/* Who runs a program of these first bytes: 0, 1 for "look again", -errno. */
static int classify(struct user_exec *x, char *head, size_t len, uint64_t file_size)
{
    struct elf_user elf;
    struct error err;
    char *interp, *arg;
    x->abi = NULL;
    if (len >= 2 && head[0] == '#' && head[1] == '!')
        return user_shebang(head, len, &interp, &arg) ? follow_script(x, interp, arg) : -ENOEXEC;
    if (elf_user_probe(head, len) && elf_user_header(head, len, file_size, &elf, &err))
        x->abi = user_abi_for(&elf);
    return 0;
}

/* Follows scripts to the program that is to run. Its host path is *ret_path (in *ret_own if new).
 */
static int resolve(struct user_exec *x, const char **ret_path, char **ret_own)
{
    for (;;) {
        struct stat st;
        char head[USER_SHEBANG_MAX + 1] = { 0 };
        int err;
        free(*ret_own);
        *ret_own = NULL;
        *ret_path = by_descriptor(x) ? "" : host_path(x, ret_own);
        AUTO_CLOSE int fd = open_program(x, *ret_path, &st, &err);
        if (err)
            return err;
        x->set_id =
            (st.st_mode & S_ISUID && st.st_uid != geteuid()) ||
            ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getegid());
        x->abi = NULL;
        ssize_t n = fd < 0 ? 0 : pread(fd, head, USER_SHEBANG_MAX, 0);
        if (n < 0)
            return -errno;
        err = classify(x, head, (size_t)n, (uint64_t)st.st_size);
        if (err <= 0)
            return err;
    }
}

/* ---- starting it ---- */

static void word(struct words *w, const char *text)
{
    w->list[w->count++] = (char *)(uintptr_t)text;
}

static void option(struct words *w, const char *name, const char *value)
{
    if (!value)
        return;
    word(w, name);
    word(w, value);
}

static PRINTF_LIKE(3, 4) void option_number(struct words *w, const char *name, const char *fmt, ...)
{
    char *text;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    w->own[w->own_count++] = text;
    option(w, name, text);
}

/* Our own command line again. */
static void own_options(struct words *w, const struct user_options *o, const struct user_abi *abi,
                        const struct user_abi *now)
{
    w->own[w->own_count] = xasprintf("rhea-%s", abi->name);
    word(w, w->own[w->own_count++]);
    option(w, "-L", o->sysroot ? o->sysroot : NULL);
    option(w, "-cpu", abi == now ? o->cpu_model : NULL);
    option(w, "-accel", o->accel);
    option(w, "-r", o->uname);
    option(w, "-d", o->log_items);
    option(w, "-D", o->log_file);
    if (o->stack_size)
        option_number(w, "-s", "%" PRIu64, o->stack_size);
    if (o->has_base)
        option_number(w, "-B", "%#" PRIx64, o->guest_base);
    if (o->reserved_va)
        option_number(w, "-R", "%#" PRIx64, o->reserved_va);
    if (o->has_seed)
        option_number(w, "-seed", "%" PRIu64, o->random_seed);
    if (o->tb_size)
        option_number(w, "-tb-size", "%" PRIu64 "B", o->tb_size);
    if (o->strace)
        word(w, "-strace");
    if (o->one_insn_per_block)
        word(w, "-one-insn-per-tb");
}

/* The host's execve, in the state that a new program must find. Comes back with an error. */
static int64_t host_exec(struct user_thread *t, int dirfd, const char *path, char **argv,
                         char **envp, int flags)
{
    signals_exec_begin(t);
    int64_t r = user_syscall_safe(SYS_execveat, dirfd, path, argv, envp, flags);
    signals_exec_abort(t);
    return r;
}

static bool is_relative_to_fd(const struct user_exec *x)
{
    return by_descriptor(x) || (x->dirfd != AT_FDCWD && x->path[0] != '/');
}

/* A descriptor of the program that survives the exec, when no path will lead there. */
static int hand_over(const struct user_exec *x)
{
    if (by_descriptor(x))
        return fcntl(x->dirfd, F_DUPFD, HANDED_FD_LOW);
    AUTO_CLOSE int fd = openat(x->dirfd, x->path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD, HANDED_FD_LOW);
}

static int64_t run_ourselves(struct user_exec *x, const char *path)
{
    struct user_proc *p = x->t->proc;
    struct words *w = &x->words;
    size_t argc = 0;
    int fd = -1;
    while (x->argv[argc])
        argc++;
    w->list = xnew_array(char *, argc + OPTIONS_MAX);
    own_options(w, p->opt, x->abi, p->abi);
    if (is_relative_to_fd(x)) {
        fd = hand_over(x);
        if (fd < 0)
            return -errno;
        option_number(w, "-exec-fd", "%d", fd);
        path = w->own[w->own_count++] = script_name(x);
    }
    /* the next of us may find no name that leads to itself; a copy of the descriptor could fail
     * under a low limit of open files */
    option_number(w, "-self-fd", "%d", p->self_fd);
    option(w, "-0", argc ? x->argv[0] : "");
    word(w, "--");
    word(w, path);
    for (size_t i = 1; i < argc; i++)
        word(w, x->argv[i]);
    (void)fcntl(p->self_fd, F_SETFD, 0);
    int64_t r = host_exec(x->t, p->self_fd, "", w->list, x->envp, AT_EMPTY_PATH);
    (void)fcntl(p->self_fd, F_SETFD, FD_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return r;
}

static int64_t start(struct user_exec *x, const char *path)
{
    struct user_proc *p = x->t->proc;
    int64_t r = -ENOEXEC;
    /* other guests' programs, those that change the user, and all where we do not find ourselves
     * are binfmt_misc's first */
    if (!x->abi || x->abi != p->abi || x->set_id || p->self_fd < 0)
        r = host_exec(x->t, x->dirfd, path, x->argv, x->envp, x->flags);
    if (r == -ENOEXEC && x->abi && p->self_fd >= 0)
        r = run_ourselves(x, path);
    return r;
}

static int64_t exec_copied(struct user_exec *x)
{
    const char *path;
    if (!x->argv[0]) /* Linux makes it one empty string */
        x->argv[0] = xstrdup("");
    if (by_descriptor(x) && !(x->flags & AT_EMPTY_PATH))
        return -ENOENT;
    int r = resolve(x, &path, &x->host_path);
    return r ? r : start(x, path);
}

void user_exec_release(struct user_thread *t)
{
    struct user_exec *x = t->exec;
    if (!x)
        return;
    t->exec = NULL;
    free_list(x->argv);
    free_list(x->envp);
    free(x->path);
    free(x->host_path);
    for (size_t i = 0; i < x->words.own_count; i++)
        free(x->words.own[i]);
    free(x->words.list);
    free(x);
}

int64_t user_execve(struct user_thread *t, int dirfd, gva_t path, gva_t argv, gva_t envp, int flags)
{
    struct user_exec *x;
    uint64_t bytes = 0;
    int err = 0;
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    t->exec = x = xnew(struct user_exec);
    *x = (struct user_exec){ .t = t, .dirfd = dirfd, .flags = flags };
    x->path = user_string(t->proc, path, PATH_MAX, &err);
    if (x->path)
        x->argv = read_list(t->proc, argv, &bytes, &err);
    if (x->argv)
        x->envp = read_list(t->proc, envp, &bytes, &err);
    int64_t r = x->envp ? exec_copied(x) : err;
    user_exec_release(t);
    return r;
}
