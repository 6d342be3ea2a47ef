/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kinds of backends, as -chardev names them, and the options that all of them have. */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/str.h"
#include "chardev/chardev_priv.h"

static const struct chardev_backend null_backend = { .name = "null" };

struct kind {
    const char *name, *alias;
    bool (*open)(struct chardev *c, struct optlist *opts, struct error *err);
    const char *missing; /* open is NULL: what to do instead */
};

static bool open_null(struct chardev *c, struct optlist *opts, struct error *err)
{
    c->backend = &null_backend;
    c->connected = true; /* modem lines up, everything vanishes */
    return true;
}

static const struct kind kinds[] = {
    { "file", NULL, chardev_open_file },
    { "null", NULL, open_null },
    { "pipe", NULL, chardev_open_pipe },
    { "pty", NULL, chardev_open_pty },
    { "ringbuf", "memory", chardev_open_ringbuf },
    { "serial", "tty", chardev_open_device },
    { "socket", NULL, chardev_open_socket },
    { "stdio", NULL, chardev_open_stdio },
    { "udp", NULL, chardev_open_udp },
    { "vc", NULL, NULL, "a window's text consoles come with displays; use stdio, pty or socket" },
    { "spicevmc", NULL, NULL, "there is no SPICE; use a socket" },
    { "spiceport", NULL, NULL, "there is no SPICE; use a socket" },
    { "qemu-vdagent", NULL, NULL, "clipboards come with displays" },
    { "parallel", "parport", NULL, "there is no parallel port; use serial" },
    { "mux", NULL, NULL, "give another backend mux=on" },
    { "msmouse", NULL, NULL, "use stdio, pty, file, socket or null" },
    { "wctablet", NULL, NULL, "use stdio, pty, file, socket or null" },
    { "braille", NULL, NULL, "use stdio, pty, file, socket or null" },
    { "testdev", NULL, NULL, "use isa-debug-exit" },
    { "dbus", NULL, NULL, "use a socket" },
    { "console", NULL, NULL, "use stdio" },
};

static bool unknown_kind(const char *name, struct error *err)
{
    const char *names[ARRAY_SIZE(kinds) + 1];
    const char *near;
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (kinds[i].open)
            names[n++] = kinds[i].name;
    names[n] = NULL;
    near = nearest_name(name, names);
    fail(err, EINVAL, "no backend of character devices is called '%s'", name);
    return fail_hint(err, near ? "did you mean '%s'?" : "-chardev help lists them%s",
                     near ? near : "");
}

static bool open_kind(struct chardev *c, const struct kind *k, struct optlist *opts,
                      struct error *err)
{
    bool append = false;
    const char *log;

    if (!k->open) {
        fail(err, ENOTSUP, "backend '%s' is not offered", k->name);
        return fail_hint(err, "%s", k->missing);
    }
    c->backend = &null_backend; /* until it has its own */
    log = optlist_take(opts, "logfile");
    return optlist_take_bool(opts, "mux", &c->mux, err) &&
           optlist_take_bool(opts, "logappend", &append, err) &&
           (!log || chardev_open_log(c, log, append, err)) && k->open(c, opts, err) &&
           optlist_done(opts, k->name, err);
}

bool chardev_open(struct chardev *c, const char *kind, struct optlist *opts, struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (!strcmp(kinds[i].name, kind) || (kinds[i].alias && !strcmp(kinds[i].alias, kind)))
            return open_kind(c, &kinds[i], opts, err);
    return unknown_kind(kind, err);
}

void chardev_print_kinds(FILE *f)
{
    fprintf(f, "Available chardev backend types:\n");
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (kinds[i].open)
            fprintf(f, "  %s\n", kinds[i].name);
}
