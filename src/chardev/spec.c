/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU's short spelling of a serial backend, "tcp:HOST:PORT,server=on", in terms of the kinds of
 * -chardev and their options.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "chardev/chardev_priv.h"

struct spec_kind {
    const char *name;
    const char *takes; /* what follows the colon, or NULL */
    const char *kind;
    /* puts arg, what stands between "NAME:" and the first comma, into opts */
    bool (*add)(struct optlist *opts, const char *arg, struct error *err);
};

static bool add_path(struct optlist *opts, const char *arg, struct error *err)
{
    optlist_add(opts, "path", arg);
    return true;
}

/* "HOST:PORT", "[V6]:PORT", ":PORT" */
static bool add_address(struct optlist *opts, const char *arg, const char *host_key,
                        const char *port_key, struct error *err)
{
    const char *colon = strrchr(arg, ':');
    AUTO_FREE char *host = NULL;

    if (!colon || !colon[1]) {
        fail(err, EINVAL, "'%s' is no HOST:PORT", arg);
        return fail_hint(err, "for example tcp:127.0.0.1:4444,server=on,wait=off");
    }
    if (arg[0] == '[' && colon > arg + 1 && colon[-1] == ']')
        host = xstrndup(arg + 1, (size_t)(colon - arg - 2));
    else
        host = xstrndup(arg, (size_t)(colon - arg));
    optlist_add(opts, host_key, host);
    optlist_add(opts, port_key, colon + 1);
    return true;
}

static bool add_tcp(struct optlist *opts, const char *arg, struct error *err)
{
    return add_address(opts, arg, "host", "port", err);
}

static bool add_telnet(struct optlist *opts, const char *arg, struct error *err)
{
    optlist_add(opts, "telnet", "on");
    return add_address(opts, arg, "host", "port", err);
}

static bool add_websocket(struct optlist *opts, const char *arg, struct error *err)
{
    optlist_add(opts, "websocket", "on");
    return add_address(opts, arg, "host", "port", err);
}

/* "[HOST]:PORT[@[HOST]:PORT]" */
static bool add_udp(struct optlist *opts, const char *arg, struct error *err)
{
    size_t n = strcspn(arg, "@");
    AUTO_FREE char *remote = xstrndup(arg, n);

    return add_address(opts, remote, "host", "port", err) &&
           (!arg[n] || add_address(opts, arg + n + 1, "localaddr", "localport", err));
}

static const struct spec_kind kinds[] = {
    { "null", NULL, "null", NULL },
    { "none", NULL, "null", NULL },
    { "stdio", NULL, "stdio", NULL },
    { "pty", NULL, "pty", NULL },
    { "file", "PATH", "file", add_path },
    { "pipe", "PATH", "pipe", add_path },
    { "tcp", "HOST:PORT", "socket", add_tcp },
    { "telnet", "HOST:PORT", "socket", add_telnet },
    { "websocket", "HOST:PORT", "socket", add_websocket },
    { "unix", "PATH", "socket", add_path },
    { "udp", "HOST:PORT", "udp", add_udp },
    { "vc", "", "vc", NULL },
    { "msmouse", NULL, "msmouse", NULL },
    { "braille", NULL, "braille", NULL },
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
    return fail_hint(err, "take stdio, mon:stdio, pty, file:PATH, tcp:, unix:, chardev:ID or null");
}

static bool open_kind(struct chardev *c, const char *name, const char *arg, struct optlist *opts,
                      struct error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct spec_kind *k = &kinds[i];

        if (strcmp(k->name, name))
            continue;
        if (k->add && !*arg)
            return fail(err, EINVAL, "%s needs %s:%s", name, name, k->takes);
        if (!k->takes && *arg)
            return fail(err, EINVAL, "%s takes nothing after the colon, not '%s'", name, arg);
        return (!k->add || k->add(opts, arg, err)) && chardev_open(c, k->kind, opts, err);
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

    /* A bare "server" or "nowait" is a flag. */
    ok = optlist_parse(&opts, spec[head] ? spec + head + 1 : "", NULL, err);
    if (ok && str_after(name, "/dev/")) {
        optlist_add(&opts, "path", name);
        ok = chardev_open(c, "serial", &opts, err);
    } else if (ok) {
        name_len = strcspn(name, ":");
        arg = name[name_len] ? name + name_len + 1 : name + name_len;
        name[name_len] = 0;
        /* the keys Ctrl-C and the like go to the guest when there is another way out */
        if (c->mux && !strcmp(name, "stdio") && !optlist_has(&opts, "signal"))
            optlist_add(&opts, "signal", "off");
        ok = open_kind(c, name, arg, &opts, err);
    }
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
