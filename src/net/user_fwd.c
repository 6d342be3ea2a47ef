/* SPDX-License-Identifier: GPL-2.0-or-later */
/* User networking: connections from outside (hostfwd) and to chardevs and commands (guestfwd). */
#include "net/user.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"
#include "chardev/chardevs.h"

bool user_parse_ip4(const char *option, const char *text, struct in_addr *ret, struct error *err)
{
    if (inet_pton(AF_INET, text, ret) == 1)
        return true;
    (void)fail(err, EINVAL, "%s=%s: not an IPv4 address", option, text);
    return fail_hint(err, "write four numbers, as 10.0.2.2");
}

/* The part up to sep, which *text moves behind. NULL: there is no sep. */
static char *cut(const char **text, char sep)
{
    const char *end = strchr(*text, sep);

    if (!end)
        return NULL;
    char *part = xstrndup(*text, (size_t)(end - *text));
    *text = end + 1;
    return part;
}

static bool bad_rule(const char *option, const char *rule, const char *why, const char *form,
                     struct error *err)
{
    (void)fail(err, EINVAL, "%s=%s: %s", option, rule, why);
    return fail_hint(err, "write %s", form);
}

static const char host_form[] = "[tcp|udp]:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT";
static const char guest_form[] = "[tcp]:SERVER:PORT-CHARDEV or [tcp]:SERVER:PORT-cmd:COMMAND";

static bool parse_port(const char *text, unsigned least, int *ret)
{
    struct error e;
    uint64_t v;

    if (!parse_u64(text, &v, &e) || v > 65535 || v < least)
        return false;
    *ret = (int)v;
    return true;
}

bool user_hostfwd(struct user *u, const char *rule, struct error *err)
{
    const char *rest = rule;
    AUTO_FREE char *proto = cut(&rest, ':');
    AUTO_FREE char *host = proto ? cut(&rest, ':') : NULL;
    AUTO_FREE char *host_port = host ? cut(&rest, '-') : NULL;
    AUTO_FREE char *guest = host_port ? cut(&rest, ':') : NULL;
    struct in_addr host_addr = { 0 }, guest_addr = u->guest;
    int hport, gport;

    if (!guest)
        return bad_rule("hostfwd", rule, "a part is missing", host_form, err);
    if (*proto && strcmp(proto, "tcp") && strcmp(proto, "udp"))
        return bad_rule("hostfwd", rule, "the protocol is neither tcp nor udp", host_form, err);
    if ((*host && inet_pton(AF_INET, host, &host_addr) != 1) || !parse_port(host_port, 0, &hport))
        return bad_rule("hostfwd", rule, "bad address or port on the host", host_form, err);
    if ((*guest && inet_pton(AF_INET, guest, &guest_addr) != 1) || !parse_port(rest, 1, &gport))
        return bad_rule("hostfwd", rule, "bad address or port of the guest", host_form, err);
    if (slirp_add_hostfwd(u->slirp, !strcmp(proto, "udp"), host_addr, hport, guest_addr, gport) ==
        0)
        return true;
    (void)fail(err, errno ? errno : EADDRINUSE, "hostfwd=%s: cannot listen at port %d: %s", rule,
               hport, strerror(errno ? errno : EADDRINUSE));
    return fail_hint(err, "is the port in use, or below 1024 and you are not root?");
}

/* --- guestfwd to a chardev --- */

static size_t fwd_can_read(void *opaque)
{
    struct user_fwd *f = opaque;

    return slirp_socket_can_recv(f->user->slirp, f->addr, f->port);
}

static void fwd_read(void *opaque, const uint8_t *buf, size_t len)
{
    struct user_fwd *f = opaque;

    slirp_socket_recv(f->user->slirp, f->addr, f->port, buf, (int)len);
    loop_poller_changed(&f->user->poller);
}

static const struct chardev_client fwd_client = {
    .can_read = fwd_can_read,
    .read = fwd_read,
};

static ssize_t fwd_write(const void *buf, size_t len, void *opaque)
{
    struct user_fwd *f = opaque;

    return (ssize_t)chardev_write(f->chr, buf, len);
}

void user_fwds_kick(struct user *u)
{
    for (struct user_fwd *f = u->fwds; f; f = f->next)
        chardev_accept_input(f->chr);
}

void user_fwds_free(struct user *u)
{
    while (u->fwds) {
        struct user_fwd *f = u->fwds;
        u->fwds = f->next;
        chardevs_give_back(u->nd.set->env.chardevs, f->chr);
        free(f);
    }
}

static bool add_chardev(struct user *u, const char *rule, const char *spec, struct in_addr server,
                        int port, struct error *err)
{
    AUTO_FREE char *id = xasprintf("guestfwd.tcp.%s.%d", u->nd.id, port);
    struct chardevs *all = u->nd.set->env.chardevs;

    if (!all)
        return fail(err, ENOTSUP, "guestfwd=%s: no character devices here", rule);
    struct chardev *chr = chardevs_take_spec(all, id, spec, err);
    if (!chr) {
        err_prefix(err, "guestfwd=%s: ", rule);
        return false;
    }
    struct user_fwd *f = xnew(struct user_fwd);
    *f = (struct user_fwd){ u, chr, server, port, u->fwds };
    u->fwds = f;
    if (slirp_add_guestfwd(u->slirp, fwd_write, f, &f->addr, port) < 0)
        return bad_rule("guestfwd", rule, "the address is not one of the guest's network",
                        guest_form, err);
    chardev_attach(chr, &fwd_client, f);
    return true;
}

bool user_guestfwd(struct user *u, const char *rule, struct error *err)
{
    const char *rest = rule;
    AUTO_FREE char *proto = cut(&rest, ':');
    AUTO_FREE char *server = proto ? cut(&rest, ':') : NULL;
    AUTO_FREE char *port_text = server ? cut(&rest, '-') : NULL;
    struct in_addr addr;
    int port;

    if (!port_text || !*rest)
        return bad_rule("guestfwd", rule, "a part is missing", guest_form, err);
    if (*proto && strcmp(proto, "tcp"))
        return bad_rule("guestfwd", rule, "the protocol is not tcp", guest_form, err);
    if (inet_pton(AF_INET, server, &addr) != 1 || !parse_port(port_text, 1, &port))
        return bad_rule("guestfwd", rule, "bad address or port", guest_form, err);
    const char *command = str_after(rest, "cmd:");
    if (!command)
        return add_chardev(u, rule, rest, addr, port, err);
    if (!*command)
        return bad_rule("guestfwd", rule, "the command is missing", guest_form, err);
    if (slirp_add_exec(u->slirp, command, &addr, port) < 0)
        return bad_rule("guestfwd", rule,
                        "the address is not one of the guest's network, or "
                        "is in use",
                        guest_form, err);
    return true;
}
