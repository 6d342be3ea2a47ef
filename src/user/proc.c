/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's process from the command line to its first instruction.
 */
#include "user/process.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/log.h"
#include "base/scope.h"

enum {
    SELF_FD_LOW = 1000, /* our own executable's descriptor lies from here on */
    STATUS_BROKEN = 255,
    STATUS_DENIED = 126,
    STATUS_MISSING = 127,
};

int user_exit_status(const struct error *err)
{
    switch (err->code) {
    case ENOENT:
    case ENOTDIR: return STATUS_MISSING;
    case EACCES:
    case EPERM:
    case ENOEXEC: return STATUS_DENIED;
    default: return STATUS_BROKEN;
    }
}

/* The first line of a script names the program and an argument to put in front. */
static bool follow_shebang(struct user_start *s, const struct user_options *opt, char *head,
                           size_t len, struct error *err)
{
    char *interp, *arg;
    size_t argc = 0, n = 0;
    if (!user_shebang(head, len, &interp, &arg))
        return fail(err, ENOEXEC, "neither an ELF program nor a script with '#!'");
    while (opt->argv[argc])
        argc++;
    s->argv = xnew_array(char *, argc + 4);
    s->argv[n++] = xstrdup(interp);
    if (arg)
        s->argv[n++] = xstrdup(arg);
    s->argv[n++] = xstrdup(opt->path);
    for (size_t i = 1; i < argc; i++)
        s->argv[n++] = opt->argv[i];
    AUTO_FREE char *own = opt->sysroot ? xasprintf("%s%s", opt->sysroot, interp) : NULL;
    const char *path = own && access(own, F_OK) == 0 ? own : s->argv[0];
    if (user_image_open(&s->image, path, -1, err))
        return true;
    err_prefix(err, "interpreter '%s' of the script: ", path);
    return false;
}

bool user_start_open(struct user_start *s, const struct user_options *opt, struct error *err)
{
    int fd = opt->has_exec_fd ? opt->exec_fd : -1;
    char head[USER_SHEBANG_MAX + 1];
    *s = (struct user_start){ .image.fd = -1 };
    if (user_image_open(&s->image, opt->path, fd, err))
        return true;
    if (err->code != ENOEXEC)
        return false;
    AUTO_CLOSE int script = open(opt->path, O_RDONLY | O_CLOEXEC);
    ssize_t n = script < 0 ? -1 : read(script, head, USER_SHEBANG_MAX);
    if (n < 2 || head[0] != '#' || head[1] != '!')
        return false;
    return follow_shebang(s, opt, head, n, err);
}

void user_start_finish(struct user_start *s)
{
    user_image_finish(&s->image);
}

static bool choose_abi(struct user_proc *p, const struct user_image *i, struct error *err)
{
    p->abi = user_abi_for(&i->elf);
    if (!p->opt->abi || p->opt->abi == p->abi)
        return true;
    (void)fail(err, ENOEXEC, "a program for %s, not for %s", p->abi->name, p->opt->abi->name);
    return fail_hint(err, "run it with rhea-%s, or with rhea-user, which takes all", p->abi->name);
}

/* Address 0 of the guest is ours, too, unless something of ours lies where the program must. */
static void choose_base(struct user_proc *p, const struct elf_user *e)
{
    static const uint64_t places[] = { UINT64_C(0x100000000000), UINT64_C(0x200000000000) };
    if (p->opt->has_base) {
        p->cpu_user.base = p->opt->guest_base;
        return;
    }
    if (e->type != ET_EXEC || mm_range_is_free(0, e->first, e->end))
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
        if (mm_range_is_free(places[i], e->first, e->end)) {
            p->cpu_user.base = places[i];
            return;
        }
}

/* A chroot may have no /proc: then by the name we were started with, if that is a program of the
 * host. */
static int open_by_name(void)
{
    const char *name = (const char *)getauxval(AT_EXECFN);
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
    char head[ELF_USER_HEADER_MAX];
    struct elf_user elf;
    struct error err;
    ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);
    if (n > 0 && elf_user_header(head, (size_t)n, UINT64_MAX, &elf, &err) &&
        elf.machine == EM_X86_64)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Ours, kept out of the guest's way, for programs that it starts; also after a chroot. Who was
 * started by one of us got the descriptor from it. */
static int open_self(const struct user_options *opt)
{
    int fd = opt->has_self_fd ? opt->self_fd : open("/proc/self/exe", O_RDONLY | O_CLOEXEC), high;
    if (opt->has_self_fd)
        return fcntl(fd, F_SETFD, FD_CLOEXEC) ? -1 : fd;
    if (fd < 0)
        fd = open_by_name();
    if (fd < 0)
        return -1;
    for (int low = SELF_FD_LOW; low > fd; low /= 4) { /* under the limit of open files */
        high = fcntl(fd, F_DUPFD_CLOEXEC, low);
        if (high < 0)
            continue;
        close(fd);
        return high;
    }
    return fd;
}

static char *real_path(int fd, const char *path)
{
    char link[32], name[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, sizeof name - 1);
    if (n > 0 && name[0] == '/') {
        name[n] = 0;
        return xstrdup(name);
    }
    while (!strncmp(path, "./", 2))
        path += 2;
    if (path[0] == '/' || !getcwd(name, sizeof name))
        return xstrdup(path);
    return xasprintf("%s/%s", name, path);
}

static void name_process(const struct user_start *s)
{
    const char *path = s->argv ? s->argv[0] : s->image.path;
    const char *slash = strrchr(path, '/');
    prctl(PR_SET_NAME, slash ? slash + 1 : path);
}

static struct cpu *make_cpu(struct user_proc *p, struct error *err)
{
    struct cpu_config config = {
        .model = p->opt->cpu_model,
        .accel = p->opt->accel ? p->opt->accel : "tcg",
        .user = &p->cpu_user,
        .tb_size = p->opt->tb_size,
        .max_insns = p->opt->one_insn_per_block ? 1 : 0,
    };
    return cpu_new(p->abi->guest, &config, err);
}

static bool init_proc(struct user_proc *p, struct user_start *s, struct error *err)
{
    if (!choose_abi(p, &s->image, err))
        return false;
    pthread_mutex_init(&p->lock, NULL);
    p->start = s;
    p->page_size = USER_PAGE;
    p->self_fd = open_self(p->opt);
    p->exe_path = real_path(s->image.fd, s->image.path);
    choose_base(p, &s->image.elf);
    p->cpu_user.may_exec = mm_may_exec;
    p->cpu_user.guarded = mm_guarded;
    p->cpu_user.watch_code = mm_watch_code;
    p->cpu_user.opaque = p;
    p->mm = mm_new(p, err);
    return p->mm != NULL;
}

/* -d page */
static void log_memory(struct user_proc *p)
{
    if (!log_enabled(LOG_PAGE))
        return;
    FILE *f = log_lock();
    fprintf(f, "guest_base %#" PRIx64 ", entry %#" PRIx64 ", brk %#" PRIx64 "\n", p->cpu_user.base,
            p->entry, (uint64_t)mm_brk(p, 0));
    mm_print_maps(p, f, false);
    log_unlock(f);
}

int user_main(const struct user_options *opt, struct error *err)
{
    struct user_start start;
    struct user_proc *p = xnew(struct user_proc);
    struct user_thread *t;
    struct cpu *cpu;
    p->opt = opt;
    p->self_fd = -1;
    if (!user_start_open(&start, opt, err) || !init_proc(p, &start, err) ||
        !user_calls_init(p, err)) {
        err_prefix(err, "%s: ", opt->path);
        return user_exit_status(err);
    }
    cpu = make_cpu(p, err);
    if (!cpu)
        return user_exit_status(err);
    t = user_thread_new(p, cpu);
    if (!signals_init(t, err) || !load_program(t, err))
        return user_exit_status(err);
    log_memory(p);
    name_process(&start);
    user_start_finish(&start); /* the guest must not find its descriptor */
    p->start = NULL;
    user_loop(t);
}
