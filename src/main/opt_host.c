/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options about the host side: help, serial ports, displays, monitor, logs. */
#include "main/options.h"

#include "base/log.h"
#include "base/str.h"
#include "base/trace.h"

#include <errno.h>
#include <string.h>

static bool is_none(const char *arg)
{
    return !strcmp(arg, "none") || !strcmp(arg, "null");
}

bool opt_help(struct options *o, const char *arg, struct error *err)
{
    o->print = options_print_help;
    return true;
}

bool opt_version(struct options *o, const char *arg, struct error *err)
{
    o->print = options_print_version;
    return true;
}

/* Options that have no effect because what they switch off is not there. */
bool opt_nothing(struct options *o, const char *arg, struct error *err)
{
    return true;
}

bool opt_serial(struct options *o, const char *arg, struct error *err)
{
    if (o->serial_count == BOARD_SERIALS) {
        (void)fail(err, E2BIG, "-serial %s: the machine has %d serial ports", arg, BOARD_SERIALS);
        return fail_hint(err, "give at most %d", BOARD_SERIALS);
    }
    o->serials[o->serial_count++] = arg;
    return true;
}

bool opt_debugcon(struct options *o, const char *arg, struct error *err)
{
    o->vm.debugcon = arg;
    return true;
}

bool opt_monitor(struct options *o, const char *arg, struct error *err)
{
    if (is_none(arg))
        return true;
    (void)fail(err, ENOTSUP, "-monitor %s: the monitor comes with a later release", arg);
    return fail_hint(err, "use -monitor none; Ctrl-A x leaves with -nographic");
}

bool opt_parallel(struct options *o, const char *arg, struct error *err)
{
    if (is_none(arg))
        return true;
    (void)fail(err, ENOTSUP, "-parallel %s: parallel ports come with a later release", arg);
    return fail_hint(err, "use -parallel none, or a serial port");
}

static void print_displays(const struct options *o, FILE *f)
{
    fprintf(f, "Available display backend types:\nnone\n");
}

bool opt_display(struct options *o, const char *arg, struct error *err)
{
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        o->print = print_displays;
        return true;
    }
    o->display = arg;
    if (!strcmp(arg, "none"))
        return true;
    (void)fail(err, ENOTSUP, "-display %s: displays come with a later release", arg);
    return fail_hint(err, "use -nographic for the serial port on the terminal, or -display none");
}

bool opt_vga(struct options *o, const char *arg, struct error *err)
{
    static const char *const later[] = {
        "cirrus", "vmware", "qxl", "xenfb", "tcx", "cg3", "virtio"
    };
    static const char *const names[] = { "std", "none", "virtio", "cirrus", "vmware", "qxl", NULL };
    if (!strcmp(arg, "std") || !strcmp(arg, "none")) {
        o->vga = arg;
        return true;
    }
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (!strcmp(arg, later[i])) {
            (void)fail(err, ENOTSUP, "-vga %s comes with a later release", arg);
            return fail_hint(err, "use -vga std, or none");
        }
    }
    const char *near = nearest_name(arg, names);
    (void)fail(err, EINVAL, "unknown vga type: %s", arg);
    return near ? fail_hint(err, "did you mean '%s'?", near) : fail_hint(err, "std or none");
}

bool opt_nographic(struct options *o, const char *arg, struct error *err)
{
    o->nographic = true;
    return true;
}

bool opt_nodefaults(struct options *o, const char *arg, struct error *err)
{
    o->nodefaults = true;
    return true;
}

bool opt_stopped(struct options *o, const char *arg, struct error *err)
{
    (void)fail(err, ENOTSUP,
               "-S: only a monitor could start the guest, and it comes with a later "
               "release");
    return fail_hint(err, "leave it out");
}

/* --- logs --- */

static void print_log_items(const struct options *o, FILE *f)
{
    log_help(f);
}

bool opt_log(struct options *o, const char *arg, struct error *err)
{
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        o->print = print_log_items;
        return true;
    }
    return log_set_items(arg, err);
}

bool opt_log_file(struct options *o, const char *arg, struct error *err)
{
    o->log_file = arg;
    return log_set_file(arg, err);
}

static void print_trace_points(const struct options *o, FILE *f)
{
    trace_help(f);
}

bool opt_trace(struct options *o, const char *arg, struct error *err)
{
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        o->print = print_trace_points;
        return true;
    }
    return trace_option(arg, err);
}

/* --- all together --- */

/* The default serial port: the terminal with -nographic, else a port that leads nowhere. */
bool host_settle(struct options *o, struct error *err)
{
    struct board_config *b = &o->vm.board;
    if (!o->serial_count && !o->nodefaults && !options_has_device(o, "isa-serial"))
        o->serials[o->serial_count++] = o->nographic ? "mon:stdio" : "null";
    memcpy(o->vm.serial, o->serials, sizeof o->vm.serial);
    if (o->no_isa_serial)
        memset(o->vm.serial, 0, sizeof o->vm.serial);
    b->serial_console = o->nographic || o->graphics_off;
    return true;
}
