/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program rhea-io: its command line, and the loop that runs commands. */
#include "io/io.h"

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/trace.h"

enum { OPT_OBJECT = 256, OPT_IMAGE_OPTS };

static const char short_options[] = "hVc:d:f:rsnCmki:t:T:U";
static const struct option long_options[] = {
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { "cmd", required_argument, NULL, 'c' },
    { "format", required_argument, NULL, 'f' },
    { "read-only", no_argument, NULL, 'r' },
    { "snapshot", no_argument, NULL, 's' },
    { "nocache", no_argument, NULL, 'n' },
    { "copy-on-read", no_argument, NULL, 'C' },
    { "misalign", no_argument, NULL, 'm' },
    { "native-aio", no_argument, NULL, 'k' },
    { "aio", required_argument, NULL, 'i' },
    { "cache", required_argument, NULL, 't' },
    { "discard", required_argument, NULL, 'd' },
    { "trace", required_argument, NULL, 'T' },
    { "force-share", no_argument, NULL, 'U' },
    { "object", required_argument, NULL, OPT_OBJECT },
    { "image-opts", no_argument, NULL, OPT_IMAGE_OPTS },
    { 0 },
};

static const char usage_text[] =
    "Usage: %s [OPTIONS]... [-c STRING]... [file]\n"
    "Rhea's disk exerciser\n"
    "\n"
    "  --object OBJECTDEF   define an object such as 'secret' for\n"
    "                       passwords and/or encryption keys\n"
    "  --image-opts         treat file as option string\n"
    "  -c, --cmd STRING     execute command with its arguments\n"
    "                       from the given string\n"
    "  -f, --format FMT     specifies the block driver to use\n"
    "  -r, --read-only      open the file read-only\n"
    "  -s, --snapshot       write to a temporary overlay, gone at the end\n"
    "  -n, --nocache        disable host cache, short for -t none\n"
    "  -C, --copy-on-read   enable copy-on-read\n"
    "  -m, --misalign       misalign allocations for O_DIRECT\n"
    "  -k, --native-aio     short for -i native, which needs -n\n"
    "  -i, --aio=MODE       use AIO mode (threads, native or io_uring)\n"
    "  -t, --cache=MODE     use the given cache mode for the image\n"
    "  -d, --discard=MODE   use the given discard mode for the image\n"
    "  -T, --trace [[enable=]<pattern>][,events=<file>][,file=<file>]\n"
    "                       specify tracing options\n"
    "  -U, --force-share    force shared permissions\n"
    "  -h, --help           display this help and exit\n"
    "  -V, --version        output version information and exit\n"
    "\n"
    "See '%s -c help' for information on available commands.\n";

/* The command line, read. */
struct command_line {
    struct io_open open;
    const char *commands[1024]; /* -c */
    unsigned command_count;
    bool image_opts;
    const char *file;
    int status; /* -1: go on; else exit with it */
};

static void print_usage(const struct io *io)
{
    printf(usage_text, io->program, io->program);
}

void io_complain(const struct io *io, const struct error *err)
{
    fflush(stdout);
    err_print(stderr, io->program, err);
}

static bool take_trace(const char *arg, struct command_line *c, struct error *err)
{
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        trace_help(stdout);
        c->status = 0;
        return true;
    }
    return trace_option(arg, err);
}

static bool take_object(struct io *io, const char *arg, struct command_line *c, struct error *err)
{
    if (!object_help(stdout, arg))
        return object_add(io->objects, arg, err);
    c->status = 0;
    return true;
}

static bool take_option(struct io *io, int opt, const char *arg, struct command_line *c,
                        struct error *err)
{
    unsigned *flags = &c->open.flags;
    switch (opt) {
    case 'c':
        if (c->command_count == 1024)
            return fail(err, E2BIG, "-c: at most 1024 commands");
        c->commands[c->command_count++] = arg;
        return true;
    case 'f': c->open.format = arg; return true;
    case 'r': *flags &= ~DISK_RDWR; return true;
    case 's': c->open.snapshot = true; return true;
    case 'C': *flags |= DISK_COPY_ON_READ; return true;
    case 'U': *flags |= DISK_FORCE_SHARE; return true;
    case 'm': io->misaligned = true; return true;
    case 'n': return io_set_cache(flags, "none", err);
    case 't': return io_set_cache(flags, arg, err);
    case 'k': return io_set_aio(flags, "native", err);
    case 'i': return io_set_aio(flags, arg, err);
    case 'd': return io_set_discard(flags, arg, err);
    case 'T': return take_trace(arg, c, err);
    case OPT_OBJECT: return take_object(io, arg, c, err);
    case OPT_IMAGE_OPTS: c->image_opts = true; return true;
    case 'V':
        printf("%s version " RHEA_VERSION " (Rhea " RHEA_VERSION ")\n", io->program);
        c->status = 0;
        return true;
    case 'h':
        print_usage(io);
        c->status = 0;
        return true;
    default: return fail(err, EINVAL, "unknown option"); /* getopt has said it */
    }
}

static void parse(struct io *io, int argc, char **argv, struct command_line *c)
{
    struct error err = { 0 };
    int opt;
    while ((opt = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        bool known = opt != '?';
        if (known && !take_option(io, opt, optarg, c, &err))
            io_complain(io, &err);
        else if (known && c->status < 0)
            continue;
        else if (!known)
            print_usage(io);
        c->status = known && !err.code ? c->status : 1;
        return;
    }
    if (argc - optind > 1) {
        print_usage(io);
        c->status = 1;
    } else if (c->open.format && c->image_opts) {
        fail(&err, EINVAL, "--image-opts and -f are mutually exclusive");
        io_complain(io, &err);
        c->status = 1;
    } else {
        c->file = argv[optind];
    }
}

static bool open_file(struct io *io, const struct command_line *c)
{
    struct optlist opts = { 0 };
    struct error err = { 0 };
    if (!c->image_opts)
        return !io_open(io, c->file, &opts, &c->open);
    if (optlist_parse(&opts, c->file, NULL, &err))
        return !io_open(io, NULL, &opts, &c->open);
    optlist_finish(&opts);
    io_complain(io, &err);
    return false;
}

/* --- commands --- */

const struct io_command *io_command_find(const char *name)
{
    for (unsigned i = 0; io_commands[i]; i++) {
        const struct io_command *c = io_commands[i];
        if (!strcmp(c->name, name) || (c->alias && !strcmp(c->alias, name)))
            return c;
    }
    return NULL;
}

void io_print_doc(const struct io_command *c, const char *typed)
{
    printf("%s %s%s-- %s\n", typed, c->args ? c->args : "", c->args ? " " : "", c->doc);
}

int io_usage(const char *typed)
{
    io_print_doc(io_command_find(typed), typed);
    return -EINVAL;
}

static int bad_count(const struct io_command *c, const char *typed, int given)
{
    fprintf(stderr, "bad argument count %d to %s, expected ", given, typed);
    if (c->max_args < 0)
        fprintf(stderr, "at least %d arguments\n", c->min_args);
    else if (c->min_args == c->max_args)
        fprintf(stderr, "%d arguments\n", c->min_args);
    else
        fprintf(stderr, "between %d and %d arguments\n", c->min_args, c->max_args);
    return -EINVAL;
}

static int run_words(struct io *io, int argc, char **argv)
{
    const struct io_command *c = io_command_find(argv[0]);
    int given = argc - 1;
    if (!c) {
        fprintf(stderr, "command \"%s\" not found\n", argv[0]);
        return -EINVAL;
    }
    if (!c->without_disk && !io->disk) {
        fprintf(stderr, "no file open, try 'help open'\n");
        return -EINVAL;
    }
    if (given < c->min_args || (c->max_args >= 0 && given > c->max_args))
        return bad_count(c, argv[0], given);
    if (c->writes && disk_read_only(io->disk)) {
        fprintf(stderr, "%s: Block node is read-only\n", io->program);
        return -EACCES;
    }
    optind = 0; /* getopt starts anew */
    return c->run(io, argc, argv);
}

static int run_line(struct io *io, const char *line)
{
    AUTO_FREE char *copy = xstrdup(line);
    AUTO_FREE char **argv = xnew_array(char *, strlen(line) / 2 + 2);
    int argc = 0;
    char *rest = copy;
    for (char *word; (word = strsep(&rest, " "));) {
        if (*word)
            argv[argc++] = word;
    }
    int r = argc ? run_words(io, argc, argv) : 0;
    fflush(stdout);
    io_reap(io);
    return r;
}

static int run_interactive(struct io *io)
{
    AUTO_FREE char *prompt = xasprintf("%s> ", io->program);
    int status = 0;
    while (!io->quit) {
        AUTO_FREE char *line = io_line(prompt);
        if (!line)
            break;
        if (run_line(io, line))
            status = 1;
    }
    return status;
}

static int run_all(struct io *io, const struct command_line *c)
{
    int status = 0;
    if (c->file && !open_file(io, c))
        return 1;
    if (!c->command_count)
        return run_interactive(io);
    for (unsigned i = 0; i < c->command_count && !io->quit; i++) {
        if (run_line(io, c->commands[i]))
            status = 1;
    }
    return status;
}

int io_main(int argc, char **argv)
{
    struct io io = { .program = basename(argv[0]), .objects = object_set_new() };
    AUTO_FREE struct command_line *c = xnew(struct command_line);
    c->open.flags = IO_OPEN_FLAGS;
    c->status = -1;
    parse(&io, argc, argv, c);
    if (c->status < 0) {
        io.graph = disk_graph_new(io.objects);
        c->status = run_all(&io, c);
        io_close(&io);
        disk_queue_free(io.queue);
        disk_graph_free(io.graph);
    }
    object_set_free(io.objects);
    return fflush(stdout) ? 1 : c->status;
}
