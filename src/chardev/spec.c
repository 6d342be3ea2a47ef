/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From QEMU's spelling of a serial backend to a chardev. */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "chardev/chardev_priv.h"

static const struct chardev_backend null_backend = { .name = "null" };

/* arg is what stands between "NAME:" and the first comma; opts the rest. */
struct spec_kind {
    const char *name;
    const char *takes; /* what follows the colon, or NULL */
    bool (*open)(struct chardev *c, const char *arg, struct optlist *opts, struct error *err);
};

static bool open_null(struct chardev *c, const char *arg, struct optlist *opts, struct error *err)
{
    c->backend = &null_backend;
    c->connected = true; /* modem lines up, everything vanishes */
    return true;
}

static bool open_stdio(struct chardev *c, const char *arg, struct optlist *opts, struct error *err)
{
    bool signals = !c->mux;

    return optlist_take_bool(opts, "signal", &signals, err) && chardev_open_stdio(c, signals, err);
}

static bool open_pty(struct chardev *c, const char *arg, struct optlist *opts, struct error *err)
{
    return chardev_open_pty(c, err);
}

static bool open_file(struct chardev *c, const char *arg, struct optlist *opts, struct error *err)
{
    bool append = false;

    return optlist_take_bool(opts, "append", &append, err) &&
           chardev_open_file(c, arg, append, err);
}

static bool open_pipe(struct chardev *c, const char *arg, struct optlist *opts, struct error *err)
{
    return chardev_open_pipe(c, arg, err);
}

static bool take_socket_options(struct optlist *opts, struct chardev_socket_options *o,
                                struct error *err)
{
    bool nowait = false, nodelay = false, delay = true;

    o->server = false;
    o->wait = true;
    if (!optlist_take_bool(opts, "server", &o->server, err) ||
        !optlist_take_bool(opts, "wait", &o->wait, err) ||
        !optlist_take_bool(opts, "nowait", &nowait, err) ||
        !optlist_take_bool(opts, "telnet", &o->telnet, err) ||
        !optlist_take_bool(opts, "delay", &delay, err) ||
        !optlist_take_bool(opts, "nodelay", &nodelay, err))
        return false;
    o->wait = o->server && o->wait && !nowait;
    o->nodelay = nodelay || !delay;
    return true;
}

static bool open_tcp(struct chardev *c, const char *arg, struct optlist *opts, struct error *err)
{
    struct chardev_socket_options o = { .telnet = false };

    return take_socket_options(opts, &o, err) && chardev_open_tcp(c, arg, &o, err);
}

static bool open_telnet(struct chardev *c, const char *arg, struct optlist *opts, struct error *err)
{
    struct chardev_socket_options o = { .telnet = true };

    return take_socket_options(opts, &o, err) && chardev_open_tcp(c, arg, &o, err);
}

static bool open_unix(struct chardev *c, const char *arg, struct optlist *opts, struct error *err)
{
    struct chardev_socket_options o = { .telnet = false };

    return take_socket_options(opts, &o, err) && chardev_open_unix(c, arg, &o, err);
}

static bool open_missing(struct chardev *c, const char *arg, struct optlist *opts,
                         struct error *err)
{
    fail(err, ENOTSUP, "this kind is not offered yet");
    return fail_hint(err, "take stdio, pty, file:PATH, tcp:HOST:PORT, unix:PATH or null");
}

static const struct spec_kind kinds[] = {
    { "null", NULL, open_null },
    { "none", NULL, open_null },
    { "stdio", NULL, open_stdio },
    { "pty", NULL, open_pty },
    { "file", "PATH", open_file },
    { "pipe", "PATH", open_pipe },
    { "tcp", "HOST:PORT", open_tcp },
    { "telnet", "HOST:PORT", open_telnet },
    { "unix", "PATH", open_unix },
    { "vc", NULL, open_missing },
    { "udp", "HOST:PORT", open_missing },
    { "chardev", "ID", open_missing },
    { "websocket", "HOST:PORT", open_missing },
    { "msmouse", NULL, open_missing },
    { "braille", NULL, open_missing },
};

static bool unknown_kind(const char *name, struct error *err)
{
    const char *names[ARRAY_SIZE(kinds) + 1];
    const char *near;
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        names[n++] = kinds[i].name;
    names[n] = NULL;
    near = nearest_name(name, names);
    fail(err, EINVAL, "no serial backend is called '%s'", name);
    if (near)
        return fail_hint(err, "did you mean '%s'?", near);
    return fail_hint(err, "take stdio, mon:stdio, pty, file:PATH, pipe:PATH, tcp:, unix: or null");
}

static bool open_kind(struct chardev *c, const char *name, const char *arg, struct optlist *opts,
                      struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct spec_kind *k = &kinds[i];

        if (strcmp(k->name, name))
            continue;
        if (k->takes && !*arg)
            return fail(err, EINVAL, "%s needs %s:%s", name, name, k->takes);
        if (!k->takes && *arg && k->open != open_missing)
            return fail(err, EINVAL, "%s takes nothing after the colon, not '%s'", name, arg);
        return k->open(c, arg, opts, err) && optlist_done(opts, name, err);
    }
    return unknown_kind(name, err);
}

static bool open_spec(struct chardev *c, const char *spec, struct error *err)
{
    size_t head = strcspn(spec, ","), name_len;
    AUTO_FREE char *name = xstrndup(spec, head);
    struct optlist opts = { 0 };
    char *arg;
    bool ok;

    if (str_after(name, "/dev/"))
        return chardev_open_device(c, name, err);
    name_len = strcspn(name, ":");
    arg = name[name_len] ? name + name_len + 1 : name + name_len;
    name[name_len] = 0;
    /* A bare "server" or "nowait" is a flag. */
    ok = optlist_parse(&opts, spec[head] ? spec + head + 1 : "", NULL, err) &&
         open_kind(c, name, arg, &opts, err);
    optlist_finish(&opts);
    return ok;
}

struct chardev *chardev_new_from_spec(struct loop *loop, const char *id, const char *spec,
                                      struct error *err)
{
    struct chardev *c = chardev_alloc(loop, id);
    const char *rest = str_after(spec, "mon:");

    c->mux = rest != NULL;
    if (open_spec(c, rest ? rest : spec, err))
        return c;
    err_prefix(err, "'%s' for %s: ", spec, id);
    chardev_free(c);
    return NULL;
}
