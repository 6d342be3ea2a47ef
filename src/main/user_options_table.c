/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All options of rhea-user, in the order of -help, and their handlers. */
#include "main/user_options.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { GUEST_PAGE = 4096 };

static bool opt_help(struct user_cli *c, const char *arg, struct error *err)
{
    c->print = user_print_help;
    return true;
}

static bool opt_version(struct user_cli *c, const char *arg, struct error *err)
{
    c->print = user_print_version;
    return true;
}

static bool opt_sysroot(struct user_cli *c, const char *arg, struct error *err)
{
    c->o.sysroot = NULL;
    if (arg[0]) { /* absolute: the program may change its directory. Lives as long as the process */
        char *real = arg[0] == '/' ? NULL : realpath(arg, NULL);
        c->o.sysroot = real ? real : arg;
    }
    return true;
}

static bool opt_stack(struct user_cli *c, const char *arg, struct error *err)
{
    if (!parse_size(arg, 1, &c->o.stack_size, err)) {
        err_prefix(err, "-s: ");
        return false;
    }
    if (c->o.stack_size < 16 * GUEST_PAGE || c->o.stack_size > 64 * GIB) {
        (void)fail(err, EINVAL, "-s %s: a stack has between 64k and 64G bytes", arg);
        return fail_hint(err, "for example -s 16M");
    }
    c->o.stack_size = (c->o.stack_size + GUEST_PAGE - 1) & -(uint64_t)GUEST_PAGE;
    return true;
}

static bool print_models(const struct user_cli *c, FILE *f, struct error *err)
{
    if (!c->o.abi) {
        (void)fail(err, EINVAL, "-cpu help: of which processor?");
        return fail_hint(err, "call it by a guest's name, as rhea-aarch64 -cpu help");
    }
    if (!c->o.abi->guest->models_help)
        return fail(err, ENOTSUP, "%s has no list of models", c->o.abi->name);
    c->o.abi->guest->models_help(f);
    return true;
}

static bool opt_cpu(struct user_cli *c, const char *arg, struct error *err)
{
    if (!strcmp(arg, "help") || !strcmp(arg, "?"))
        c->print = print_models;
    c->o.cpu_model = arg;
    return true;
}

static bool print_accels(const struct user_cli *c, FILE *f, struct error *err)
{
    fputs("tcg     translation to host code (the default)\n"
          "interp  interpreter of the same intermediate code, slow\n",
          f);
    return true;
}

static bool opt_accel(struct user_cli *c, const char *arg, struct error *err)
{
    static const char *const names[] = { "tcg", "interp", "help", NULL };
    if (!strcmp(arg, "help")) {
        c->print = print_accels;
        return true;
    }
    if (strcmp(arg, "tcg") && strcmp(arg, "interp")) {
        const char *near = nearest_name(arg, names);
        (void)fail(err, EINVAL, "-accel: no accelerator for programs is called '%s'", arg);
        return near ? fail_hint(err, "did you mean '%s'?", near)
                    : fail_hint(err, "there are tcg and interp");
    }
    c->o.accel = arg;
    return true;
}

/* "A=1,B=2" or "A,B". */
static void each_word(struct user_cli *c, const char *list,
                      void (*run)(struct user_cli *, const char *))
{
    AUTO_FREE char *copy = xstrdup(list);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, ","));)
        run(c, word);
}

static bool opt_setenv(struct user_cli *c, const char *arg, struct error *err)
{
    AUTO_FREE char *copy = xstrdup(arg);
    char *rest = copy;
    for (char *word; (word = strsep(&rest, ","));)
        if (!strchr(word, '=') || *word == '=') {
            (void)fail(err, EINVAL, "-E %s: '%s' is not NAME=VALUE", arg, word);
            return fail_hint(err, "for example -E LANG=C,TZ=UTC; -U removes a variable");
        }
    each_word(c, arg, user_cli_setenv);
    return true;
}

static bool opt_unsetenv(struct user_cli *c, const char *arg, struct error *err)
{
    if (strchr(arg, '=')) {
        (void)fail(err, EINVAL, "-U %s: only the name of a variable is needed", arg);
        return fail_hint(err, "for example -U LD_PRELOAD");
    }
    each_word(c, arg, user_cli_unsetenv);
    return true;
}

static bool opt_argv0(struct user_cli *c, const char *arg, struct error *err)
{
    c->o.argv0 = arg;
    return true;
}

static bool opt_uname(struct user_cli *c, const char *arg, struct error *err)
{
    if (!arg[0] || strlen(arg) > 64)
        return fail(err, EINVAL, "-r: a release has 1 to 64 characters, as 6.1.0");
    c->o.uname = arg;
    return true;
}

static bool opt_base(struct user_cli *c, const char *arg, struct error *err)
{
    if (!parse_u64(arg, &c->o.guest_base, err)) {
        err_prefix(err, "-B: ");
        return false;
    }
    if (c->o.guest_base % GUEST_PAGE) {
        (void)fail(err, EINVAL, "-B %s: not a multiple of the page size", arg);
        return fail_hint(err, "for example -B 0x100000000000");
    }
    c->o.has_base = true;
    return true;
}

static bool opt_reserved(struct user_cli *c, const char *arg, struct error *err)
{
    if (!parse_size(arg, 1, &c->o.reserved_va, err)) {
        err_prefix(err, "-R: ");
        return false;
    }
    if (c->o.reserved_va % GUEST_PAGE || c->o.reserved_va > UINT64_C(1) << 47)
        return fail(err, EINVAL, "-R %s: not a multiple of the page size up to 128T", arg);
    return true;
}

static bool print_log_items(const struct user_cli *c, FILE *f, struct error *err)
{
    log_help(f);
    return true;
}

static bool opt_log(struct user_cli *c, const char *arg, struct error *err)
{
    if (!strcmp(arg, "help")) {
        c->print = print_log_items;
        return true;
    }
    c->o.log_items = arg;
    AUTO_FREE char *items = xstrdup(arg);
    /* "strace" is an item of qemu-user's -d, and a switch of its own here */
    for (char *at = items; (at = strstr(at, "strace"));) {
        bool word = (at == items || at[-1] == ',') && (!at[6] || at[6] == ',');
        if (!word) {
            at += 6;
            continue;
        }
        c->o.strace = true;
        memmove(at, at + 6 + (at[6] == ','), strlen(at + 6 + (at[6] == ',')) + 1);
    }
    return log_set_items(items, err);
}

static bool parse_fd(const char *arg, bool *ret_has, int *ret_fd, struct error *err)
{
    uint64_t fd;
    if (!parse_u64(arg, &fd, err) || fd > INT32_MAX)
        return fail(err, EINVAL, "%s: not a descriptor", arg);
    *ret_has = true;
    *ret_fd = (int)fd;
    return true;
}

/* Hidden: the program is open there already (from the execveat of another guest program). */
static bool opt_exec_fd(struct user_cli *c, const char *arg, struct error *err)
{
    return parse_fd(arg, &c->o.has_exec_fd, &c->o.exec_fd, err);
}

/* Hidden: our own executable is open there. */
static bool opt_self_fd(struct user_cli *c, const char *arg, struct error *err)
{
    return parse_fd(arg, &c->o.has_self_fd, &c->o.self_fd, err);
}

static bool opt_log_file(struct user_cli *c, const char *arg, struct error *err)
{
    c->o.log_file = arg;
    return log_set_file(arg, err);
}

static bool opt_page_size(struct user_cli *c, const char *arg, struct error *err)
{
    uint64_t size;
    if (!parse_size(arg, 1, &size, err)) {
        err_prefix(err, "-p: ");
        return false;
    }
    if (size == GUEST_PAGE)
        return true;
    (void)fail(err, ENOTSUP, "-p %s: pages have %d bytes, as the host's", arg, GUEST_PAGE);
    return fail_hint(err, "leave -p and QEMU_PAGESIZE out");
}

static bool opt_one_insn(struct user_cli *c, const char *arg, struct error *err)
{
    c->o.one_insn_per_block = true;
    return true;
}

static bool opt_strace(struct user_cli *c, const char *arg, struct error *err)
{
    c->o.strace = true;
    return true;
}

static bool opt_seed(struct user_cli *c, const char *arg, struct error *err)
{
    if (!parse_u64(arg, &c->o.random_seed, err)) {
        err_prefix(err, "-seed: ");
        return false;
    }
    c->o.has_seed = true;
    return true;
}

static bool opt_tb_size(struct user_cli *c, const char *arg, struct error *err)
{
    if (!parse_size(arg, MIB, &c->o.tb_size, err)) {
        err_prefix(err, "-tb-size: ");
        return false;
    }
    if (c->o.tb_size < MIB || c->o.tb_size > 2 * GIB)
        return fail(err, EINVAL, "-tb-size %s: between 1 and 2048 MiB", arg);
    return true;
}

static bool print_traces(const struct user_cli *c, FILE *f, struct error *err)
{
    trace_help(f);
    return true;
}

static bool opt_trace(struct user_cli *c, const char *arg, struct error *err)
{
    if (!strcmp(arg, "help")) {
        c->print = print_traces;
        return true;
    }
    return trace_option(arg, err);
}

#define LATER(what) NULL, what " with a later release"

const struct user_option user_option_table[] = {
    { "h", NULL, NULL, "print this help", opt_help },
    { "help", NULL, NULL, NULL, opt_help },
    { "g", "QEMU_GDB", "port", NULL, LATER("the gdb server comes") },
    { "L", "QEMU_LD_PREFIX", "path", "look there first for the ELF interpreter and libraries",
      opt_sysroot },
    { "s", "QEMU_STACK_SIZE", "size", "size of the stack in bytes, or with suffix k, M, G",
      opt_stack },
    { "cpu", "QEMU_CPU", "model", "choose the CPU (-cpu help lists models)", opt_cpu },
    { "accel", NULL, "name", "tcg (translator) or interp (interpreter)", opt_accel },
    { "E", "QEMU_SET_ENV", "var=value[,...]", "set variables in the program's environment",
      opt_setenv },
    { "U", "QEMU_UNSET_ENV", "var[,...]", "remove variables from the program's environment",
      opt_unsetenv },
    { "0", "QEMU_ARGV0", "argv0", "the program's argv[0]", opt_argv0 },
    { "r", "QEMU_UNAME", "uname", "kernel release that uname tells", opt_uname },
    { "B", "QEMU_GUEST_BASE", "address", "host address of the program's address 0", opt_base },
    { "R", "QEMU_RESERVED_VA", "size", "reserve this much address space for the program",
      opt_reserved },
    { "t", "QEMU_RTSIG_MAP", "tsig hsig n[,...]", NULL, NULL,
      "real-time signals need no map here" },
    { "d", "QEMU_LOG", "item[,...]", "log these (-d help lists them)", opt_log },
    { "dfilter", "QEMU_DFILTER", "range[,...]", NULL, LATER("log filters come") },
    { "D", "QEMU_LOG_FILENAME", "logfile", "write the log to a file", opt_log_file },
    { "p", "QEMU_PAGESIZE", "pagesize", "size of a page: 4096 is the only one", opt_page_size },
    { "one-insn-per-tb", "QEMU_ONE_INSN_PER_TB", NULL, "translate one instruction at a time",
      opt_one_insn },
    { "singlestep", "QEMU_SINGLESTEP", NULL, "the same under its old name", opt_one_insn },
    { "tb-size", "QEMU_TB_SIZE", "MiB", "translated code to keep", opt_tb_size },
    { "strace", "QEMU_STRACE", NULL, "print system calls", opt_strace },
    { "seed", "QEMU_RAND_SEED", "number", "make random numbers given to the program the same",
      opt_seed },
    { "trace", "QEMU_TRACE", "[enable=]pattern", "enable trace points (-trace help lists them)",
      opt_trace },
    { "plugin", "QEMU_PLUGIN", "file", NULL, LATER("plugins come") },
    { "jitdump", "QEMU_JITDUMP", NULL, NULL, LATER("profiles come") },
    { "perfmap", "QEMU_PERFMAP", NULL, NULL, LATER("profiles come") },
    { "exec-fd", NULL, "fd", NULL, opt_exec_fd },
    { "self-fd", NULL, "fd", NULL, opt_self_fd },
    { "version", "QEMU_VERSION", NULL, "print version and leave", opt_version },
    { 0 },
};
