/* SPDX-License-Identifier: GPL-2.0-or-later */
/* abort, flush, help, quit, sigraise, sleep. */
#include "io/io.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

static int run_abort(struct io *io, int argc, char **argv)
{
    abort();
}

static int run_flush(struct io *io, int argc, char **argv)
{
    int r = disk_flush(io->disk);
    if (r)
        printf("flush failed: %s\n", strerror(-r));
    return r;
}

static int by_name(const void *a, const void *b)
{
    const struct io_command *const *ca = a, *const *cb = b;
    return strcmp((*ca)->name, (*cb)->name);
}

static void help_all(void)
{
    unsigned n = 0;
    while (io_commands[n])
        n++;
    const struct io_command **sorted = xnew_array(const struct io_command *, n);
    memcpy(sorted, io_commands, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_name);
    for (unsigned i = 0; i < n; i++)
        io_print_doc(sorted[i], sorted[i]->name);
    printf("\nUse 'help commandname' for extended help.\n");
    free(sorted);
}

static int run_help(struct io *io, int argc, char **argv)
{
    if (argc == 1) {
        help_all();
        return 0;
    }
    const struct io_command *c = io_command_find(argv[1]);
    if (!c) {
        printf("command %s not found\n", argv[1]);
        return -EINVAL;
    }
    io_print_doc(c, argv[1]);
    if (c->help)
        fputs(c->help, stdout);
    return 0;
}

static int run_quit(struct io *io, int argc, char **argv)
{
    io->quit = true;
    return 0;
}

static int run_sigraise(struct io *io, int argc, char **argv)
{
    uint64_t n;
    if (!io_size_arg(argv[1], &n))
        return -EINVAL;
    if (n > (uint64_t)SIGRTMAX) {
        printf("signal argument '%s' is too large to be a valid signal\n", argv[1]);
        return -EINVAL;
    }
    fflush(stdout); /* so that what came before is not lost */
    return raise((int)n) ? -errno : 0;
}

static int run_sleep(struct io *io, int argc, char **argv)
{
    struct error err = { 0 };
    uint64_t ms;
    if (!parse_u64(argv[1], &ms, &err) || ms > INT32_MAX) {
        printf("%s is not a valid number\n", argv[1]);
        return -EINVAL;
    }
    fflush(stdout);
    io_wait_ms(io, (int)ms);
    return 0;
}

const struct io_command abort_command = {
    .name = "abort",
    .doc = "simulate a program crash using abort(3)",
    .run = run_abort,
    .without_disk = true,
};

const struct io_command flush_command = {
    .name = "flush",
    .alias = "f",
    .doc = "flush all in-core file state to disk",
    .run = run_flush,
};

const struct io_command help_command = {
    .name = "help",
    .alias = "?",
    .args = "[command]",
    .doc = "help for one or all commands",
    .run = run_help,
    .max_args = 1,
    .without_disk = true,
};

const struct io_command quit_command = {
    .name = "quit",
    .alias = "q",
    .doc = "exit the program",
    .run = run_quit,
    .without_disk = true,
};

const struct io_command sigraise_command = {
    .name = "sigraise",
    .args = "signal",
    .doc = "raises a signal",
    .help = "\n"
            " raises the given signal\n"
            "\n"
            " Example:\n"
            " 'sigraise 15' - raises SIGTERM\n"
            "\n"
            " Invokes raise(signal), where \"signal\" is the mandatory integer argument\n"
            " given to sigraise.\n"
            "\n",
    .run = run_sigraise,
    .min_args = 1,
    .max_args = 1,
    .without_disk = true,
};

const struct io_command sleep_command = {
    .name = "sleep",
    .doc = "waits for the given value in milliseconds",
    .run = run_sleep,
    .min_args = 1,
    .max_args = 1,
    .without_disk = true,
};
