/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parser of rhea-user's command line and variables, -help and -version, driven by the table. */
#include "main/user_options.h"

#include "base/alloc.h"
#include "base/bits.h"
#include "base/str.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#define QEMU_VERSION "10.0.0" /* whose command line this is */

enum {
    HELP_ENV = 24, /* columns of -help */
    HELP_DOC = 46,
    PRESERVE_ARGV0 = 1, /* AT_FLAGS_PRESERVE_ARGV0 of linux/binfmts.h */
};

bool user_print_version(const struct user_cli *c, FILE *f, struct error *err)
{
    const char *guest = c->o.abi ? c->o.abi->name : "user";
    if (c->qemu_name)
        fprintf(f, "qemu-%s version " QEMU_VERSION " (Rhea " RHEA_VERSION ")\n", guest);
    else
        fprintf(f, "%s version " RHEA_VERSION " (QEMU " QEMU_VERSION " command line)\n",
                c->program);
    fprintf(f, "Copyright (c) the Rhea authors; free software, GPL-2.0-or-later\n");
    return true;
}

bool user_print_help(const struct user_cli *c, FILE *f, struct error *err)
{
    fprintf(f,
            "usage: %s [options] program [arguments...]\n"
            "Runs a Linux program of another processor%s%s.\n\n"
            "%-*s%-*s%s\n",
            c->program, c->o.abi ? ": " : "", c->o.abi ? c->o.abi->name : "", HELP_ENV, "Option",
            HELP_DOC - HELP_ENV, "Variable", "Meaning");
    for (const struct user_option *r = user_option_table; r->name; r++) {
        if (!r->doc)
            continue;
        int n = fprintf(f, "-%s%s%s", r->name, r->arg ? " " : "", r->arg ? r->arg : "");
        n += fprintf(f, "%*s%s", MAX(HELP_ENV - n, 1), "", r->env ? r->env : "");
        fprintf(f, "%*s%s\n", MAX(HELP_DOC - n, 1), "", r->doc);
    }
    fprintf(f, "\nOptions come before the program's name; the command line counts more than "
               "variables.\n"
               "-E and -U, or QEMU_SET_ENV and QEMU_UNSET_ENV, set and remove variables for the "
               "program:\n"
               "    -E var1=val1,var2=val2 -U LD_PRELOAD,LD_DEBUG\n");
    if (!c->o.abi) {
        fprintf(f, "The program's processor is read from its file. Guests:");
        for (const struct user_abi *const *a = user_abis; *a; a++)
            fprintf(f, " %s", (*a)->name);
        fputc('\n', f);
    }
    return true;
}

static size_t name_length(const char *pair)
{
    return strcspn(pair, "=");
}

static char **find_env(const struct user_cli *c, const char *name, size_t len)
{
    for (unsigned i = 0; i < c->env_count; i++)
        if (name_length(c->env[i]) == len && !memcmp(c->env[i], name, len))
            return &c->env[i];
    return NULL;
}

void user_cli_setenv(struct user_cli *c, const char *pair)
{
    char **old = find_env(c, pair, name_length(pair));
    if (!old) {
        c->env = xrealloc_array(c->env, c->env_count + 2, sizeof *c->env);
        old = &c->env[c->env_count++];
        c->env[c->env_count] = NULL;
    }
    *old = xstrdup(pair); /* lives as long as the process */
}

void user_cli_unsetenv(struct user_cli *c, const char *name)
{
    char **old = find_env(c, name, strlen(name));
    if (!old)
        return;
    unsigned i = old - c->env;
    memmove(old, old + 1, (c->env_count - i) * sizeof *old); /* with the NULL behind the last */
    c->env_count--;
}

static const struct user_option *find(const char *name)
{
    for (const struct user_option *r = user_option_table; r->name; r++)
        if (!strcmp(r->name, name))
            return r;
    return NULL;
}

static bool unknown(const char *name, struct error *err)
{
    const char *names[64];
    size_t n = 0;
    for (const struct user_option *r = user_option_table; r->name && n < 63; r++)
        names[n++] = r->name;
    names[n] = NULL;
    const char *near = nearest_name(name, names);
    (void)fail(err, EINVAL, "no option is called '-%s'", name);
    return near ? fail_hint(err, "did you mean '-%s'? -help lists all", near)
                : fail_hint(err, "-help lists all; options of the program follow its name");
}

static bool run_row(struct user_cli *c, const struct user_option *r, const char *arg, bool from_env,
                    struct error *err)
{
    bool ok;
    if (r->run) {
        ok = r->run(c, arg, err);
    } else {
        (void)fail(err, ENOTSUP, "-%s%s%s: %s", r->name, r->arg ? " " : "", r->arg ? arg : "",
                   r->later);
        ok = fail_hint(err, "leave it out");
    }
    if (!ok && from_env)
        err_prefix(err, "%s: ", r->env);
    return ok;
}

static bool take_env(struct user_cli *c, char **envp, struct error *err)
{
    for (unsigned i = 0; envp[i]; i++) {
        if (strncmp(envp[i], "QEMU_", 5) != 0)
            continue;
        size_t len = name_length(envp[i]);
        for (const struct user_option *r = user_option_table; r->name; r++)
            if (r->env && strlen(r->env) == len && !memcmp(r->env, envp[i], len) && envp[i][len] &&
                !run_row(c, r, envp[i] + len + 1, true, err))
                return false;
    }
    return true;
}

/* The options before the program; *ret: index of the first argument that is none. */
static bool take_options(struct user_cli *c, int argc, char **argv, int *ret, struct error *err)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        const char *name = argv[i] + 1;
        if (!strcmp(name, "-")) {
            i++;
            break;
        }
        if (*name == '-')
            name++;
        const struct user_option *r = find(name);
        if (!r)
            return unknown(name, err);
        if (r->arg && i + 1 >= argc) {
            (void)fail(err, EINVAL, "-%s needs an argument", name);
            return fail_hint(err, "-%s %s", name, r->arg);
        }
        if (!run_row(c, r, r->arg ? argv[++i] : NULL, false, err))
            return false;
        if (c->print)
            break;
    }
    *ret = i;
    return true;
}

/* rhea-NAME, qemu-NAME, with or without "-static": the guest; plain rhea-user takes any. */
static bool identify(struct user_cli *c, const char *argv0, struct error *err)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
    const char *base = slash ? slash + 1 : argv0 && *argv0 ? argv0 : "rhea-user";
    c->program = xstrdup(base);
    c->o.program = c->program;
    const char *guest = str_after(base, "rhea-");
    if (!guest && (guest = str_after(base, "qemu-")))
        c->qemu_name = true;
    if (!guest || !strncmp(guest, "user", 4))
        return true;
    size_t len = strcspn(guest, "-");
    for (const struct user_abi *const *a = user_abis; *a; a++)
        if (strlen((*a)->name) == len && !memcmp((*a)->name, guest, len)) {
            c->o.abi = *a;
            return true;
        }
    (void)fail(err, ENOTSUP, "programs for '%.*s' come with a later release", (int)len, guest);
    return fail_hint(err, "rhea-user -help lists the guests there are");
}

static bool take_program(struct user_cli *c, int argc, char **argv, int first, bool preserve,
                         struct error *err)
{
    if (first >= argc) {
        (void)fail(err, EINVAL, "no program to run");
        return fail_hint(err, "%s [options] program [arguments...]; -help lists the options",
                         c->program);
    }
    c->o.path = argv[first];
    c->o.argv = argv + first;
    c->o.binfmt_preserve = preserve;
    if (preserve && first + 1 < argc)
        c->o.argv = argv + first + 1; /* interpreter, path, argv[0], ... */
    if (c->o.argv0)
        c->o.argv[0] = (char *)(uintptr_t)c->o.argv0;
    return true;
}

bool user_cli_parse(struct user_cli *c, int argc, char **argv, char **envp, struct error *err)
{
    *c = (struct user_cli){ 0 };
    bool preserve = getauxval(AT_FLAGS) & PRESERVE_ARGV0;
    int first = 1;
    while (envp[c->env_count])
        c->env_count++;
    c->env = xnew_array(char *, c->env_count + 1);
    memcpy(c->env, envp, c->env_count * sizeof *c->env);
    errno = 0;
    unsigned long fd = getauxval(AT_EXECFD);
    c->o.has_exec_fd = errno == 0;
    c->o.exec_fd = c->o.has_exec_fd ? (int)fd : -1;
    if (!identify(c, argc > 0 ? argv[0] : NULL, err) || !take_env(c, envp, err))
        return false;
    /* binfmt_misc gives no options, and a program's name may begin with '-' */
    if (!preserve && !c->print && !take_options(c, argc, argv, &first, err))
        return false;
    if (!c->print && !take_program(c, argc, argv, first, preserve, err))
        return false;
    c->o.envp = c->env;
    return true;
}

void user_cli_finish(struct user_cli *c)
{
    free(c->program);
    free(c->env);
    *c = (struct user_cli){ 0 };
}
