/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line of rhea-user, qemu-user's spelling: one table row per option gives its name, the
 * QEMU_* variable that says the same, argument, help text and handler. Variables count first, the
 * command line after them.
 */
#ifndef MAIN_USER_OPTIONS_H
#define MAIN_USER_OPTIONS_H

#include "base/error.h"
#include "user/user.h"

#include <stdio.h>

struct user_cli {
    struct user_options o;
    char *program;  /* base name of our argv[0] */
    bool qemu_name; /* called by a qemu-* name */
    /* An option asked for a text instead of a program: print it and leave. */
    bool (*print)(const struct user_cli *c, FILE *f, struct error *err);
    char **env; /* the guest's, while options change it */
    unsigned env_count;
};

struct user_option {
    const char *name;
    const char *env; /* NULL: no variable */
    const char *arg; /* its syntax; NULL: takes none */
    const char *doc; /* NULL: not listed (aliases) */
    bool (*run)(struct user_cli *c, const char *arg, struct error *err);
    const char *later; /* run is NULL: why it is refused */
};
extern const struct user_option user_option_table[]; /* ends with a row without name */

/* Fills *c; false with err when the command line is wrong. c->print is set when only a text is
 * asked for. user_cli_finish() is needed either way. */
bool user_cli_parse(struct user_cli *c, int argc, char **argv, char **envp,
                    struct error *err) MUST_CHECK;
void user_cli_finish(struct user_cli *c);

/* Sets NAME=VALUE in the guest's environment, or removes NAME. Part of the handlers. */
void user_cli_setenv(struct user_cli *c, const char *pair);
void user_cli_unsetenv(struct user_cli *c, const char *name);

bool user_print_help(const struct user_cli *c, FILE *f, struct error *err);
bool user_print_version(const struct user_cli *c, FILE *f, struct error *err);

#endif
