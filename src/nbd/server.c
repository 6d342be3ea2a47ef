/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lists of exports and of clients, and a client's thread from its start to its end. */
#include "nbd/server_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/trace.h"

enum { SOCKET_BUFFER = 2 << 20 };

struct nbd_server *nbd_server_new(const struct nbd_server_options *o)
{
    struct nbd_server *s = xnew(struct nbd_server);
    s->o = *o;
    if (!s->o.handshake_timeout_s)
        s->o.handshake_timeout_s = 10;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->gone, NULL);
    return s;
}

void nbd_server_free(struct nbd_server *s)
{
    if (!s)
        return;
    WITH_LOCK (&s->lock) {
        s->closing = true;
        for (struct nbd_client *c = s->clients; c; c = c->next)
            channel_shutdown(c->channel);
        while (s->client_count)
            pthread_cond_wait(&s->gone, &s->lock);
    }
    for (struct nbd_export *e = s->exports, *next; e; e = next) {
        next = e->next;
        nbd_export_free(e);
    }
    pthread_cond_destroy(&s->gone);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct nbd_export **find_locked(struct nbd_server *s, const char *name)
{
    struct nbd_export **e = &s->exports;
    while (*e && strcmp((*e)->name, name))
        e = &(*e)->next;
    return e;
}

bool nbd_server_export(struct nbd_server *s, struct disk *d, const struct nbd_export_options *o,
                       struct error *err)
{
    struct nbd_export *e = nbd_export_new(d, o, err);
    bool taken = false;
    if (!e)
        return false;
    WITH_LOCK (&s->lock) {
        struct nbd_export **at = find_locked(s, e->name);
        taken = *at;
        if (!taken)
            *at = e;
    }
    if (!taken)
        return true;
    fail(err, EEXIST, "there is an export '%s' already", e->name);
    nbd_export_free(e);
    return false;
}

bool nbd_server_remove(struct nbd_server *s, const char *name, bool hard, struct error *err)
{
    struct nbd_export *e = NULL;
    WITH_LOCK (&s->lock) {
        struct nbd_export **at = find_locked(s, name);
        e = *at;
        if (e)
            *at = e->next;
        for (struct nbd_client *c = s->clients; c && hard && e; c = c->next) {
            if (c->export_ == e)
                channel_shutdown(c->channel);
        }
    }
    if (!e)
        return fail(err, ENOENT, "there is no export '%s'", name);
    nbd_export_unref(s, e);
    return true;
}

struct nbd_export *nbd_export_find(struct nbd_server *s, const char *name)
{
    struct nbd_export *e = NULL;
    WITH_LOCK (&s->lock) {
        e = *find_locked(s, name);
        if (e)
            e->refs++;
    }
    return e;
}

void nbd_export_unref(struct nbd_server *s, struct nbd_export *e)
{
    bool last = false;
    if (!e)
        return;
    WITH_LOCK (&s->lock)
        last = --e->refs == 0;
    if (last)
        nbd_export_free(e);
}

/* --- clients --- */

static void client_free(struct nbd_client *c)
{
    channel_free(c->channel);
    disk_queue_free(c->queue);
    nbd_pool_finish(c);
    free(c->slots);
    free(c->meta_export);
    free(c);
}

static void say_count_locked(struct nbd_server *s, bool served)
{
    if (s->o.clients_changed)
        s->o.clients_changed(s, s->client_count, served, s->o.opaque);
}

static void leave(struct nbd_client *c)
{
    struct nbd_server *s = c->server;
    struct nbd_export *e = NULL;
    WITH_LOCK (&s->lock) {
        struct nbd_client **at = &s->clients;
        while (*at != c)
            at = &(*at)->next;
        *at = c->next;
        e = c->export_;
    }
    client_free(c);
    nbd_export_unref(s, e);
    WITH_LOCK (&s->lock) {
        s->client_count--;
        say_count_locked(s, e);
        pthread_cond_broadcast(&s->gone);
    }
}

static void *client_thread(void *arg)
{
    struct nbd_client *c = arg;
    struct error err = { 0 };
    channel_set_nonblocking(c->channel, true);
    if (nbd_server_handshake(c, &err))
        nbd_serve(c);
    else if (err.code && c->server->o.complain)
        c->server->o.complain(c->server, &err, c->server->o.opaque);
    TRACE(nbd, "client leaves: %s", err.code ? err.msg : "done");
    leave(c);
    return NULL;
}

static void set_socket_options(int fd)
{
    int one = 1, size = SOCKET_BUFFER;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* fails on Unix sockets */
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static bool enter(struct nbd_server *s, struct nbd_client *c, struct error *err)
{
    bool ok = false;
    WITH_LOCK (&s->lock) {
        if (s->closing) {
            fail(err, ESHUTDOWN, "the server is closing");
        } else if (s->o.max_clients && s->client_count >= s->o.max_clients) {
            fail(err, EBUSY, "there are %u clients already", s->client_count);
        } else {
            ok = true;
            c->next = s->clients;
            s->clients = c;
            s->client_count++;
            say_count_locked(s, false);
        }
    }
    return ok;
}

bool nbd_server_add_client(struct nbd_server *s, int own_fd, struct error *err)
{
    struct nbd_client *c = xnew(struct nbd_client);
    pthread_attr_t attr;
    pthread_t thread;
    c->server = s;
    c->out_last = &c->out_first;
    c->channel = channel_new(own_fd);
    set_socket_options(own_fd);
    if (!enter(s, c, err)) {
        client_free(c);
        return false;
    }
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int r = pthread_create(&thread, &attr, client_thread, c);
    pthread_attr_destroy(&attr);
    if (!r)
        return true;
    leave(c);
    return fail(err, r, "no thread for the client: %s", strerror(r));
}

unsigned nbd_server_clients(struct nbd_server *s)
{
    unsigned n = 0;
    WITH_LOCK (&s->lock)
        n = s->client_count;
    return n;
}
