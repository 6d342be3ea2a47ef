/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serving one image: the main thread listens, takes clients in while there is room for them, and
 * waits for a signal or for the last client to leave.
 */
#include "nbd/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/authz.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/socket.h"
#include "disk/modes.h"
#include "disk/nbd_proto.h"
#include "disk/node.h"
#include "nbd/server.h"

enum { MAX_LISTENERS = 16 };

struct serving {
    struct nbd_tool *t;
    struct disk_graph *graph;
    struct disk *disk;
    struct nbd_server *server;
    struct nbd_kernel *kernel;
    int listeners[MAX_LISTENERS];
    unsigned listener_count;
    bool own_socket, own_pid_file; /* files to remove at the end */
    int signals, wake;
    _Atomic(unsigned) clients;
    _Atomic(bool) served, device_gone;
};

static void wake(struct serving *s)
{
    uint64_t one = 1;
    if (write(s->wake, &one, sizeof(one)) < 0)
        return; /* the counter is full: it is awake */
}

static void on_clients(struct nbd_server *server, unsigned count, bool served, void *opaque)
{
    struct serving *s = opaque;
    s->clients = count;
    if (served)
        s->served = true;
    if (s->t->verbose)
        fprintf(stderr, "%s: %u clients\n", s->t->program, count);
    wake(s);
}

static void on_complaint(struct nbd_server *server, const struct error *err, void *opaque)
{
    const struct serving *s = opaque;
    if (s->t->verbose)
        err_print(stderr, s->t->program, err);
}

static void on_device_stopped(void *opaque)
{
    struct serving *s = opaque;
    s->device_gone = true;
    wake(s);
}

/* --- the image --- */

static struct disk *open_file(struct serving *s, struct error *err)
{
    const struct nbd_tool *t = s->t;
    struct optlist opts = { 0 };
    struct disk *d = NULL;
    unsigned flags = t->temporary ? t->flags & ~(unsigned)DISK_RDWR : t->flags;
    if (!t->image_opts || optlist_parse(&opts, t->file, NULL, err)) {
        if (t->format)
            optlist_add(&opts, "driver", t->format);
        if (t->detect_zeroes && !t->temporary)
            optlist_add(&opts, "detect-zeroes", t->detect_zeroes);
        d = disk_open(s->graph, t->image_opts ? NULL : t->file, &opts, flags, err);
    }
    optlist_finish(&opts);
    /* the rest of a long message is worth more than what was asked for */
    if (!d && strlen(err->msg) + strlen(t->file) + 20 < sizeof(err->msg))
        err_prefix(err, "Failed to open '%s': ", t->file);
    return d;
}

/* The id of the snapshot that -l names: "snapshot.id=1,snapshot.name=a", or either one alone. */
static char *snapshot_id(struct disk *d, const char *param, struct error *err)
{
    struct disk_snapshot *list = NULL;
    struct optlist opts = { 0 };
    unsigned count = 0;
    char *found = NULL;
    bool keyed = !strncmp(param, "snapshot.", 9);
    if (keyed && !optlist_parse(&opts, param, NULL, err))
        return NULL;
    const char *id = keyed ? optlist_take(&opts, "snapshot.id") : param;
    const char *name = keyed ? optlist_take(&opts, "snapshot.name") : param;
    if (!keyed || optlist_done(&opts, "-l", err)) {
        int r = d->driver->snapshots ? d->driver->snapshots->list(d, &list, &count) : -ENOTSUP;
        for (unsigned i = 0; i < count; i++) {
            bool by_id = id && !strcmp(list[i].id, id),
                 by_name = name && !strcmp(list[i].name, name);
            bool is = keyed ? (!id || by_id) && (!name || by_name) : by_id || by_name;
            if (is && !found)
                found = xstrdup(list[i].id);
            free(list[i].id);
            free(list[i].name);
        }
        free(list);
        if (r)
            fail(err, -r, "Failed to load snapshot: %s", strerror(-r));
        else if (!found)
            fail(err, ENOENT, "Failed to load snapshot: Can't find snapshot");
    }
    optlist_finish(&opts);
    return found;
}

static bool load_snapshot(struct disk *d, const char *param, struct error *err)
{
    if (!d->driver->snapshots || !d->driver->snapshots->load)
        return fail(err, ENOTSUP, "Failed to load snapshot: format '%s' has none",
                    disk_driver_name(d));
    AUTO_FREE char *id = snapshot_id(d, param, err);
    return id && d->driver->snapshots->load(d, id, err);
}

static bool open_image(struct serving *s, struct error *err)
{
    const struct nbd_tool *t = s->t;
    s->graph = disk_graph_new(t->objects);
    s->disk = open_file(s, err);
    if (!s->disk)
        return false;
    if (t->temporary) {
        s->disk = disk_open_temporary(s->graph, s->disk, t->flags, err);
        return s->disk;
    }
    disk_warn_probed(stderr, s->disk);
    return !t->snapshot || load_snapshot(s->disk, t->snapshot, err);
}

static bool make_export(struct serving *s, struct error *err)
{
    const struct nbd_tool *t = s->t;
    struct nbd_server_options o = {
        .handshake_timeout_s = t->handshake_limit_s,
        .clients_changed = on_clients,
        .complain = on_complaint,
        .opaque = s,
    };
    if (t->tls_creds && !(o.tls = tls_creds_find(t->objects, t->tls_creds, true, err))) {
        err_prefix(err, "Failed to get TLS creds: ");
        return false;
    }
    if (t->tls_authz && !(o.authz = authz_find(t->objects, t->tls_authz, err)))
        return false;
    if (t->offset >= disk_size(s->disk) && t->offset)
        return fail(err, EINVAL,
                    "Offset (%" PRIu64 ") has to be smaller than the image size (%" PRIu64 ")",
                    t->offset, disk_size(s->disk));
    struct nbd_export_options e = {
        .name = t->name,
        .description = t->description,
        .writable = t->flags & DISK_RDWR,
        .allocation_depth = t->allocation_depth,
        .multi_conn = t->shared != 1,
        .bitmaps = t->bitmaps,
        .offset = t->offset,
    };
    s->server = nbd_server_new(&o);
    return nbd_server_export(s->server, s->disk, &e, err);
}

/* --- sockets --- */

/* What setsockcreatecon(3) does: sockets made by this thread from now on have the label. */
static bool set_label(const char *label, struct error *err)
{
    AUTO_CLOSE int fd = open("/proc/thread-self/attr/sockcreate", O_WRONLY | O_CLOEXEC);
    size_t len = label ? strlen(label) : 0;
    if (fd >= 0 && write(fd, label ? label : "", len) == (ssize_t)len)
        return true;
    return !label || fail(err, errno, "Cannot set SELinux socket create context to %s: %s", label,
                          strerror(errno));
}

static bool listen_here(struct serving *s, struct error *err)
{
    const struct nbd_tool *t = s->t;
    struct socket_addr a = { .kind = t->socket ? SOCKET_UNIX : SOCKET_TCP };
    a.path = xstrdup(t->socket);
    a.host = xstrdup(t->bind ? t->bind : "0.0.0.0");
    a.port = xstrdup(t->port ? t->port : NBD_DEFAULT_PORT);
    if (!t->selinux_label || set_label(t->selinux_label, err)) {
        s->listener_count =
            socket_listen(&a, (int)MAX(t->shared, 128), s->listeners, MAX_LISTENERS, err);
        s->own_socket = s->listener_count && t->socket;
        if (t->selinux_label)
            (void)set_label(NULL, err);
    }
    socket_addr_finish(&a);
    return s->listener_count;
}

/* Sockets that systemd passes have their address from it. */
static bool check_activation(const struct nbd_tool *t, struct error *err)
{
    const char *what = t->port            ? "TCP port number"
                       : t->bind          ? "TCP bind address"
                       : t->socket        ? "Unix socket path"
                       : t->selinux_label ? "SELinux label"
                       : t->device        ? "NBD device"
                                          : NULL;
    return !what || fail(err, EINVAL, "%s can't be set when using socket activation", what);
}

static bool get_listeners(struct serving *s, struct error *err)
{
    struct error activation = { 0 };
    s->listener_count = socket_activation_fds(s->listeners, MAX_LISTENERS, &activation);
    if (activation.code) {
        *err = activation;
        return false;
    }
    if (s->listener_count)
        return check_activation(s->t, err);
    return s->t->device || listen_here(s, err);
}

static bool connect_device(struct serving *s, struct error *err)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        return fail(err, errno, "socketpair: %s", strerror(errno));
    if (!nbd_server_add_client(s->server, fds[0], err)) {
        close(fds[1]);
        return false;
    }
    s->kernel = nbd_kernel_connect(s->t->device, fds[1], s->t->name, on_device_stopped, s, err);
    if (s->kernel && s->t->verbose)
        fprintf(stderr, "NBD device %s is now connected to %s\n", s->t->device, s->t->file);
    return s->kernel;
}

/* --- running --- */

static bool write_pid_file(struct serving *s, struct error *err)
{
    const char *path = s->t->pid_file;
    if (!path)
        return true;
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    AUTO_FREE char *text = xasprintf("%ld\n", (long)getpid());
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return fail(err, errno, "Could not create '%s': %s", path, strerror(errno));
    s->own_pid_file = true;
    return true;
}

/* From now on signals come as bytes; threads made later have them blocked as well. */
static bool catch_signals(struct serving *s, struct error *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return (s->signals >= 0 && s->wake >= 0) || fail(err, errno, "%s", strerror(errno));
}

/* --fork: the parent is waiting for this byte. Nobody reads what we say later. */
static bool say_running(const struct nbd_tool *t, struct error *err)
{
    if (!t->fork)
        return true;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return fail(err, errno, "/dev/null: %s", strerror(errno));
    bool said = write(STDERR_FILENO, "", 1) == 1;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    close(null);
    return said || fail(err, errno, "the parent process has gone");
}

static void take_client(struct serving *s, int listener)
{
    struct error err = { 0 };
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            usleep(100000); /* it would come back at once */
        return;
    }
    if (!nbd_server_add_client(s->server, fd, &err))
        on_complaint(s->server, &err, s);
}

static bool has_room(const struct serving *s)
{
    return !s->t->shared || nbd_server_clients(s->server) < s->t->shared;
}

static bool is_over(const struct serving *s)
{
    return s->device_gone || (!s->t->persistent && !s->t->device && s->served && !s->clients);
}

static void serve(struct serving *s)
{
    while (!is_over(s)) {
        struct pollfd p[2 + MAX_LISTENERS] = {
            { .fd = s->signals, .events = POLLIN },
            { .fd = s->wake, .events = POLLIN },
        };
        unsigned n = 2;
        uint64_t unused;
        for (unsigned i = 0; i < s->listener_count && has_room(s); i++)
            p[n++] = (struct pollfd){ .fd = s->listeners[i], .events = POLLIN };
        if (poll(p, n, -1) < 0)
            continue;
        if (p[0].revents)
            return;
        if (p[1].revents && read(s->wake, &unused, sizeof(unused)) < 0)
            continue;
        for (unsigned i = 2; i < n && has_room(s); i++) {
            if (p[i].revents)
                take_client(s, s->listeners[i - 2]);
        }
    }
}

static bool start(struct serving *s, struct error *err)
{
    if (s->t->device && !nbd_kernel_check(s->t->device, err))
        return false;
    if (!catch_signals(s, err) || !get_listeners(s, err) || !open_image(s, err) ||
        !make_export(s, err) || (s->t->device && !connect_device(s, err)))
        return false;
    for (unsigned i = 0; i < s->listener_count; i++) /* a client may have gone before accept */
        (void)fcntl(s->listeners[i], F_SETFL, fcntl(s->listeners[i], F_GETFL) | O_NONBLOCK);
    return write_pid_file(s, err) && say_running(s->t, err);
}

static bool stop(struct serving *s, struct error *err)
{
    for (unsigned i = 0; i < s->listener_count; i++)
        close(s->listeners[i]);
    if (s->own_socket)
        unlink(s->t->socket);
    nbd_kernel_free(s->kernel);
    nbd_server_free(s->server);
    int r = s->disk ? disk_close(s->disk) : 0;
    if (s->graph)
        disk_graph_free(s->graph);
    if (s->own_pid_file)
        unlink(s->t->pid_file);
    if (s->signals >= 0)
        close(s->signals);
    if (s->wake >= 0)
        close(s->wake);
    return !r || err->code || fail(err, -r, "closing '%s': %s", s->t->file, strerror(-r));
}

bool nbd_tool_serve(struct nbd_tool *t, struct error *err)
{
    struct serving s = { .t = t, .signals = -1, .wake = -1 };
    bool ok = start(&s, err);
    if (ok)
        serve(&s);
    return stop(&s, err) && ok;
}
