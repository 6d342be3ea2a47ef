/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program: global options, help, and the way to the command. */
#include "img/img.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "base/trace.h"
#include "disk/node.h"

static void vmessage(const struct img *img, const char *fmt, va_list ap)
{
    fflush(stdout);
    fprintf(stderr, "%s: ", img->program);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

void img_error(const struct img *img, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vmessage(img, fmt, ap);
    va_end(ap);
}

int img_usage_error(const struct img *img, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vmessage(img, fmt, ap);
    va_end(ap);
    fprintf(stderr, "Try '%s --help' for more information\n", img->program);
    return EXIT_FAILURE;
}

int img_fail(const struct img *img, const struct error *err)
{
    fflush(stdout);
    err_print(stderr, img->program, err);
    return EXIT_FAILURE;
}

void img_say(const struct img *img, const char *fmt, ...)
{
    if (img->quiet)
        return;
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
}

static void print_version(const struct img *img)
{
    /* Managers that call us qemu-img read the number that follows its name. */
    if (str_after(img->program, "qemu-"))
        printf("qemu-img version 10.0.0 (Rhea " RHEA_VERSION ")\n");
    else
        printf("rhea-img version " RHEA_VERSION " (compatible with qemu-img version 10.0.0)\n");
}

static void print_help(const struct img *img)
{
    print_version(img);
    printf("usage: %s [standard options] command [command options]\n"
           "Makes, converts, checks and compares disk images\n"
           "\n"
           "    -h, --help           show this, or what a command understands: COMMAND --help\n"
           "    -V, --version        show the version\n"
           "    -T, --trace PATTERN  print trace points to standard error, 'disk.*' or a file of\n"
           "                         patterns: events=FILE\n"
           "\n"
           "Command syntax:\n",
           img->program);
    for (unsigned i = 0; img_commands[i]; i++) {
        printf("  ");
        img_print_usage(stdout, img_commands[i]);
    }
    printf("\nCommands:\n");
    for (unsigned i = 0; img_commands[i]; i++)
        printf("  %-10s %s\n", img_commands[i]->name, img_commands[i]->doc);
    printf(
        "\n"
        "FILENAME is a file, nbd://HOST/EXPORT, https://..., json:{...}; SIZE may end in k, M, G, "
        "T, P or E\n"
        "(powers of 1024); CACHE is none, writeback, writethrough, directsync or unsafe.\n"
        "\n"
        "Supported formats:");
    for (unsigned i = 0; disk_drivers[i]; i++)
        printf(" %s", disk_drivers[i]->name);
    printf("\n");
}

static const struct img_command *find_command(const char *name)
{
    for (unsigned i = 0; img_commands[i]; i++)
        if (!strcmp(img_commands[i]->name, name))
            return img_commands[i];
    return NULL;
}

static int unknown_command(const struct img *img, const char *name)
{
    const char *names[64];
    unsigned n = 0;
    for (; img_commands[n] && n < ARRAY_SIZE(names) - 1; n++)
        names[n] = img_commands[n]->name;
    names[n] = NULL;
    const char *near = nearest_name(name, names);
    if (near)
        return img_usage_error(img, "Command not found: %s; did you mean '%s'?", name, near);
    return img_usage_error(img, "Command not found: %s", name);
}

static int run_command(struct img *img, const struct img_command *c, int argc, char **argv)
{
    struct error err = { 0 };
    int status = EXIT_FAILURE;
    void *args = xcalloc(1, c->size);

    img->objects = object_set_new();
    if (!img_parse(img, c, argc, argv, args, &status))
        goto out;
    if (!img_signals_start(img, &err)) {
        status = img_fail(img, &err);
        goto out;
    }
    img->quiet = ((struct img_args *)args)->quiet;
    img->progress = ((struct img_args *)args)->progress && !img->quiet;
    img->graph = disk_graph_new(img->objects);
    status = c->run(img, args);
    img_remove_unfinished(img);
    disk_graph_free(img->graph);
    img_signals_stop(img);
out:
    img_parse_finish(c, args);
    free(args);
    object_set_free(img->objects);
    if (fflush(stdout) || ferror(stdout)) {
        img_error(img, "could not write the output: %m");
        status = EXIT_FAILURE;
    }
    return status;
}

int img_main(int argc, char **argv)
{
    static const struct option global[] = {
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { "trace", required_argument, NULL, 'T' },
        { 0 },
    };
    struct img img = { .lock = PTHREAD_MUTEX_INITIALIZER };
    struct error err = { 0 };
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;

    img.program = slash ? slash + 1 : argc > 0 ? argv[0] : "rhea-img";
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "+:hVT:", global, NULL)) != -1;) {
        if (c == 'h') {
            print_help(&img);
            return EXIT_SUCCESS;
        }
        if (c == 'V') {
            print_version(&img);
            return EXIT_SUCCESS;
        }
        if (c == ':')
            return img_usage_error(&img, "missing argument for option '%s'", argv[optind - 1]);
        if (c == '?')
            return img_usage_error(&img, "unrecognized option '%s'", argv[optind - 1]);
        if (!strcmp(optarg, "help") || !strcmp(optarg, "?")) {
            trace_help(stdout);
            return EXIT_SUCCESS;
        }
        if (!trace_option(optarg, &err))
            return img_fail(&img, &err);
    }
    if (optind >= argc)
        return img_usage_error(&img, "Not enough arguments");
    const struct img_command *cmd = find_command(argv[optind]);
    if (!cmd)
        return unknown_command(&img, argv[optind]);
    return run_command(&img, cmd, argc - optind, argv + optind);
}
