/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Parser of the command line, -help and -version, driven by options_table.c. */
#include "main/options.h"

#include "base/alloc.h"
#include "base/bits.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>

#define QEMU_VERSION "10.0.0" /* whose command line this is */
#define HELP_COLUMN  20

const char *options_keep(struct options *o, char *own_text)
{
    g_ptr_array_add(o->owned, own_text);
    return own_text;
}

void options_print_version(const struct options *o, FILE *f)
{
    if (o->qemu_name)
        fprintf(f, "QEMU emulator version " QEMU_VERSION " (Rhea " RHEA_VERSION ")\n");
    else
        fprintf(f, "Rhea emulator version " RHEA_VERSION " (QEMU " QEMU_VERSION " command line)\n");
    fprintf(f, "Copyright (c) the Rhea authors; free software, GPL-2.0-or-later\n");
}

/* Name and argument in a column, the text beside it, or below when they are long. */
static void print_row(FILE *f, const struct option *r)
{
    int n = fprintf(f, "-%s%s%s", r->name, r->arg ? " " : "", r->arg ? r->arg : "");
    if (n >= HELP_COLUMN) {
        fputc('\n', f);
        n = 0;
    }
    for (const char *p = r->doc; p; n = 0) {
        const char *end = strchr(p, '\n');
        fprintf(f, "%*s%.*s\n", HELP_COLUMN - n, "", end ? (int)(end - p) : (int)strlen(p), p);
        p = end ? end + 1 : NULL;
    }
}

static bool has_help(const struct option_group *g)
{
    for (const struct option *r = g->rows; r->name; r++)
        if (r->doc)
            return true;
    return false;
}

void options_print_help(const struct options *o, FILE *f)
{
    options_print_version(o, f);
    fprintf(f,
            "usage: %s [options] [disk_image]\n\n"
            "'disk_image' is an image of the first IDE disk\n",
            o->program);
    for (const struct option_group *g = option_groups; g->title; g++) {
        if (!has_help(g))
            continue;
        fprintf(f, "\n%s\n", g->title);
        for (const struct option *r = g->rows; r->name; r++)
            if (r->doc)
                print_row(f, r);
    }
    fprintf(f, "\nDuring emulation with -nographic: Ctrl-A h shows the keys, Ctrl-A x leaves.\n");
}

static const struct option *find(const char *name)
{
    for (const struct option_group *g = option_groups; g->title; g++)
        for (const struct option *r = g->rows; r->name; r++)
            if (!strcmp(r->name, name))
                return r;
    return NULL;
}

static bool unknown(const char *name, struct error *err)
{
    const char *names[256];
    size_t n = 0;
    for (const struct option_group *g = option_groups; g->title; g++)
        for (const struct option *r = g->rows; r->name && n < ARRAY_SIZE(names) - 1; r++)
            names[n++] = r->name;
    names[n] = NULL;
    const char *near = nearest_name(name, names);
    (void)fail(err, EINVAL, "no option is called '-%s'", name);
    return near ? fail_hint(err, "did you mean '-%s'? -help lists all", near)
                : fail_hint(err, "-help lists all");
}

static bool run_row(struct options *o, const struct option *r, const char *arg, struct error *err)
{
    if (r->run)
        return r->run(o, arg, err);
    (void)fail(err, ENOTSUP, "-%s%s%s: %s with a later release", r->name, arg ? " " : "",
               arg ? arg : "", r->later);
    return fail_hint(err, "leave it out");
}

bool options_run(struct options *o, const char *name, const char *arg, struct error *err)
{
    const struct option *r = find(name);
    if (!r)
        return unknown(name, err);
    return run_row(o, r, r->arg ? arg : NULL, err);
}

/* One option and its argument; *i is the index in argv and moves over the argument. */
static bool take_option(struct options *o, int argc, char **argv, int *i, struct error *err)
{
    const char *name = argv[*i] + 1, *arg = NULL;
    if (*name == '-')
        name++;
    const struct option *r = find(name);
    if (!r)
        return unknown(name, err);
    if (r->arg && *i + 1 >= argc) {
        (void)fail(err, EINVAL, "-%s needs an argument", name);
        return fail_hint(err, "-%s %s", name, r->arg);
    }
    if (r->arg)
        arg = argv[++*i];
    return run_row(o, r, arg, err);
}

static void identify(struct options *o, const char *argv0)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
    o->program = xstrdup(slash ? slash + 1 : argv0 ? argv0 : "rhea-system");
    o->qemu_name = str_after(o->program, "qemu-") != NULL;
}

/* rhea-system-GUEST: the name chooses the guest. */
static bool check_guest(const struct options *o, struct error *err)
{
    const char *guest = str_after(o->program, "rhea-system-");
    if (!guest)
        guest = str_after(o->program, "qemu-system-");
    if (!guest || !strcmp(guest, "x86_64"))
        return true;
    (void)fail(err, ENOTSUP, "guests of kind '%s' come with a later release", guest);
    return fail_hint(err, "call it rhea-system-x86_64");
}

static void set_defaults(struct options *o)
{
    struct board_config *b = &o->vm.board;
    o->owned = g_ptr_array_new_with_free_func(free);
    o->vm.board_type = board_types[0];
    o->vm.dump_guest_core = true;
    b->board_name = board_types[0]->name;
    b->ram_size = board_types[0]->ram_default;
    b->cpus = 1;
    b->accel = "tcg";
    o->vm.accel.irqchip = IRQCHIP_KERNEL;
    b->boot_fail_wait_ms = -1;
    b->hpet = b->acpi = true;
}

bool options_parse(struct options *o, int argc, char **argv, struct error *err)
{
    *o = (struct options){ 0 };
    set_defaults(o);
    identify(o, argc > 0 ? argv[0] : NULL);
    if (!check_guest(o, err))
        return false;
    for (int i = 1; i < argc; i++) {
        bool ok = argv[i][0] == '-' && argv[i][1] ? take_option(o, argc, argv, &i, err)
                                                  : opt_image(o, argv[i], err);
        if (!ok)
            return false;
        if (o->print)
            return true;
    }
    return machine_settle(o, err) && host_settle(o, err) && device_settle(o, err) &&
           net_settle(o, err);
}

void options_finish(struct options *o)
{
    free(o->program);
    device_options_finish(o);
    net_options_finish(o);
    firmware_options_finish(o);
    if (o->owned)
        g_ptr_array_unref(o->owned);
    *o = (struct options){ 0 };
}
