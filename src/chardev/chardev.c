/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all backends share: the output queue, the read-ahead buffer, and the Ctrl-A keys. Output
 * is written in batches: a guest that prints does so a byte at a time, and a system call for each
 * would cost more than the byte.
 */
#include "chardev/chardev.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/log.h"
#include "chardev/chardev_priv.h"

#define BATCH_NS       1000000 /* output waits this long for more */
#define BATCH_BYTES    4096    /* unless there is this much of it */
#define CLOSE_WAIT_MS  500     /* chardev_free() waits this long for a slow peer */
#define BLOCKING_CHUNK 256     /* written at once where a write could block */
#define CTRL_A         0x01

void chardev_tell(struct chardev *c, enum chardev_event ev)
{
    if (c->client && c->client->event)
        c->client->event(c->opaque, ev);
}

/* --- output --- */

static void watch_out(struct chardev *c, bool on)
{
    if (c->out_watch)
        loop_fd_set_events(c->out_watch, on ? POLLOUT : 0);
}

static void drop_output(struct chardev *c)
{
    c->out_head = c->out_count = 0;
    watch_out(c, false);
    timer_cancel(&c->flush_timer);
}

static void tell_writable(struct chardev *c)
{
    if (!c->out_full || c->out_count > CHARDEV_OUT_SOFT / 2)
        return;
    c->out_full = false;
    if (c->client && c->client->writable)
        c->client->writable(c->opaque);
}

/* Bytes written, 0 when it would block, -errno. */
static ssize_t write_some(struct chardev *c, const uint8_t *p, size_t n)
{
    ssize_t done;

    if (c->out_may_block) {
        struct pollfd pfd = { .fd = c->out_fd, .events = POLLOUT };

        if (poll(&pfd, 1, 0) <= 0 || !(pfd.revents & POLLOUT))
            return pfd.revents & (POLLERR | POLLHUP | POLLNVAL) ? -EPIPE : 0;
        n = MIN(n, BLOCKING_CHUNK);
    }
    do {
        done = write(c->out_fd, p, n);
    } while (done < 0 && errno == EINTR);
    if (done < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
    return done;
}

static void output_failed(struct chardev *c, int error)
{
    if (!c->lost_told && !c->backend->datagrams && error != EPIPE && error != ECONNRESET &&
        error != EIO)
        log_text("chardev '%s': write failed: %s; output is lost\n", c->id, strerror(error));
    c->lost_told = true;
    if (c->backend->datagrams) {
        drop_output(c); /* nobody listens just now */
        tell_writable(c);
        return;
    }
    drop_output(c);
    if (c->backend->hangup && error != ENOSPC)
        c->backend->hangup(c);
    tell_writable(c);
}

static void flush(struct chardev *c)
{
    timer_cancel(&c->flush_timer);
    while (c->out_count && c->out_fd >= 0) {
        size_t n = MIN(c->out_count, c->out_size - c->out_head);
        ssize_t done = write_some(c, c->out + c->out_head, n);

        if (done < 0) {
            output_failed(c, (int)-done);
            return;
        }
        if (done == 0) {
            watch_out(c, true);
            tell_writable(c);
            return;
        }
        c->out_count -= (size_t)done;
        c->out_head = c->out_count ? (c->out_head + (size_t)done) % c->out_size : 0;
    }
    watch_out(c, false);
    tell_writable(c);
}

static void flush_due(void *opaque)
{
    flush(opaque);
}

static void out_ready(void *opaque, unsigned revents)
{
    flush(opaque);
}

static void queue_byte(struct chardev *c, uint8_t byte)
{
    if (c->out_count == c->out_size) {
        size_t size = MAX(1024, c->out_size * 2);
        uint8_t *out = xcalloc(1, size);

        for (size_t i = 0; i < c->out_count; i++)
            out[i] = c->out[(c->out_head + i) % c->out_size];
        free(c->out);
        c->out = out;
        c->out_size = size;
        c->out_head = 0;
    }
    c->out[(c->out_head + c->out_count++) % c->out_size] = byte;
}

static size_t queue_output(struct chardev *c, const uint8_t *p, size_t len)
{
    size_t taken = 0;

    if (c->backend->write)
        return c->backend->write(c, p, len);
    if (!c->connected || c->out_fd < 0)
        return len;
    for (; taken < len && c->out_count + 2 <= CHARDEV_OUT_HARD; taken++) {
        uint8_t raw[2] = { p[taken] };
        unsigned n = c->backend->filter_out ? c->backend->filter_out(c, p[taken], raw) : 1;

        for (unsigned i = 0; i < n; i++)
            queue_byte(c, raw[i]);
    }
    if (c->out_watch && c->out_count > BATCH_BYTES && !c->out_full)
        flush(c);
    else if (c->out_count && !timer_armed(&c->flush_timer))
        timer_set_ns(&c->flush_timer, clock_now_ns(loop_clock(c->loop, CLOCK_RT)) + BATCH_NS);
    if (taken < len || c->out_count > CHARDEV_OUT_SOFT)
        c->out_full = true;
    return taken;
}

size_t chardev_write(struct chardev *c, const void *buf, size_t len)
{
    size_t taken;

    if (c->base)
        return chardev_write(c->base, buf, len);
    taken = queue_output(c, buf, len);
    if (c->log_fd >= 0)
        chardev_log(c, buf, taken);
    return taken;
}

bool chardev_can_write(const struct chardev *c)
{
    if (c->base)
        return chardev_can_write(c->base);
    return !c->connected || !c->out_full;
}

/* --- input --- */

static void watch_in(struct chardev *c)
{
    bool more = c->client && c->in_count < CHARDEV_IN_MAX;

    /* Without Ctrl-A keys there is no reason to read ahead of the device. */
    if (!c->mux && c->in_count)
        more = false;
    if (c->in_watch)
        loop_fd_set_events(c->in_watch, more || c->mux ? POLLIN : 0);
}

static void print(struct chardev *c, const char *text)
{
    (void)chardev_write(c, text, strlen(text));
}

/* The key after Ctrl-A. true: it goes to the device as it is. */
static bool escape_key(struct chardev *c, uint8_t key)
{
    switch (key) {
    case CTRL_A: return true;
    case 'x':
        print(c, "\r\nrhea: terminated\r\n");
        flush(c);
        if (c->escapes.quit)
            c->escapes.quit(c->escapes.opaque);
        break;
    case 'c':
        chardev_deliver(c); /* what was typed before is for the one before */
        if (c->fronts && c->fronts->next_front)
            chardev_next_focus(c);
        else
            print(c, "\r\nrhea: there is no monitor on this terminal\r\n");
        break;
    case 'b': chardev_tell(c, CHARDEV_BREAK); break;
    case 'h':
    case '?':
        print(c, "\r\nC-a h    print this help\r\n"
                 "C-a x    exit emulator\r\n"
                 "C-a b    send break (magic sysrq)\r\n"
                 "C-a c    switch between console and monitor\r\n"
                 "C-a C-a  sends C-a\r\n");
        break;
    default: break;
    }
    return false;
}

/* Whether the byte goes to the device: Ctrl-A keys do not. */
static bool pass_escapes(struct chardev *c, uint8_t byte)
{
    if (c->escape) {
        c->escape = false;
        return escape_key(c, byte);
    }
    c->escape = byte == CTRL_A;
    return !c->escape;
}

/* Appends to what waits for the client; without room it is lost. */
void chardev_take_in(struct chardev *c, const uint8_t *buf, size_t len)
{
    if (!c->in)
        c->in = xcalloc(1, CHARDEV_IN_MAX);
    for (size_t i = 0; i < len; i++)
        if ((!c->mux || pass_escapes(c, buf[i])) && c->in_count < CHARDEV_IN_MAX)
            c->in[(c->in_head + c->in_count++) % CHARDEV_IN_MAX] = buf[i];
}

static void in_ready(void *opaque, unsigned revents)
{
    struct chardev *c = opaque;
    uint8_t buf[4096];
    size_t room = CHARDEV_IN_MAX - c->in_count, n;
    ssize_t got;

    if (!room) /* with Ctrl-A keys: the rest of a flood is dropped, the keys work */
        room = sizeof buf;
    do {
        got = read(c->in_fd, buf, MIN(room, sizeof buf));
    } while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    if (got <= 0) {
        if (c->backend->datagrams) {
            return;
        } else if (c->backend->hangup) {
            c->backend->hangup(c);
        } else {
            loop_fd_remove(c->in_watch);
            c->in_watch = NULL;
            chardev_tell(c, CHARDEV_CLOSED);
        }
        return;
    }
    n = (size_t)got;
    if (c->backend->filter_in)
        n = c->backend->filter_in(c, buf, n);
    chardev_take_in(c, buf, n);
    chardev_deliver(c);
}

/* Main thread. */
void chardev_deliver(struct chardev *c)
{
    while (c->in_count && c->client && c->client->read) {
        size_t n = c->client->can_read ? c->client->can_read(c->opaque) : c->in_count;
        size_t head = c->in_head;

        n = MIN(n, c->in_count);
        n = MIN(n, CHARDEV_IN_MAX - head);
        if (!n)
            break;
        c->in_count -= n;
        c->in_head = (head + n) % CHARDEV_IN_MAX;
        c->client->read(c->opaque, c->in + head, n);
    }
    watch_in(c);
    if (c->base)
        chardev_accept_input(c->base);
}

static void deliver_due(void *opaque)
{
    chardev_deliver(opaque);
}

void chardev_accept_input(struct chardev *c)
{
    /* not from here: we may be inside a register access */
    if (c->in_count && !timer_armed(&c->deliver_timer))
        timer_set_ns(&c->deliver_timer, 0);
}

/* --- life --- */

void chardev_connect_fds(struct chardev *c, int in_fd, int out_fd)
{
    c->in_fd = in_fd;
    c->out_fd = out_fd;
    c->connected = true;
    c->lost_told = false;
    if (out_fd >= 0)
        c->out_watch = loop_fd_add(c->loop, out_fd, 0, out_ready, c);
    if (in_fd >= 0)
        c->in_watch = loop_fd_add(c->loop, in_fd, 0, in_ready, c);
    watch_in(c);
    chardev_tell(c, CHARDEV_OPENED);
}

void chardev_disconnect_fds(struct chardev *c)
{
    bool was = c->connected;

    drop_output(c);
    loop_fd_remove(c->in_watch);
    loop_fd_remove(c->out_watch);
    c->in_watch = c->out_watch = NULL;
    c->in_fd = c->out_fd = -1;
    c->connected = false;
    if (was)
        chardev_tell(c, CHARDEV_CLOSED);
    tell_writable(c);
}

void chardev_attach(struct chardev *c, const struct chardev_client *client, void *opaque)
{
    c->client = client;
    c->opaque = opaque;
    if (client && c->in_count)
        timer_set_ns(&c->deliver_timer, 0);
    watch_in(c);
}

bool chardev_connected(const struct chardev *c)
{
    return c->base ? c->base->connected : c->connected;
}

void chardev_send_break(struct chardev *c)
{
    if (c->base)
        c = c->base;
    if (c->connected && c->backend->send_break)
        c->backend->send_break(c);
}

void chardev_set_escapes(struct chardev *c, const struct chardev_escapes *e)
{
    c->escapes = *e;
}

const char *chardev_where(const struct chardev *c)
{
    return c->base ? c->base->where : c->where;
}

const char *chardev_id(const struct chardev *c)
{
    return c->id;
}

const char *chardev_kind_name(const struct chardev *c)
{
    return c->base ? c->base->backend->name : c->backend->name;
}

/* Write out the queue, waiting a little for a peer that is slow. */
static void drain(struct chardev *c)
{
    int64_t end = clock_now_ns(loop_clock(c->loop, CLOCK_RT)) + CLOSE_WAIT_MS * INT64_C(1000000);

    while (c->connected && c->out_count && c->out_fd >= 0) {
        struct pollfd pfd = { .fd = c->out_fd, .events = POLLOUT };
        int64_t left = end - clock_now_ns(loop_clock(c->loop, CLOCK_RT));

        if (left <= 0 || poll(&pfd, 1, (int)(left / 1000000) + 1) <= 0)
            return;
        flush(c);
    }
}

struct chardev *chardev_alloc(struct loop *loop, const char *id)
{
    struct chardev *c = xnew(struct chardev);

    /* A peer that goes away is an error of write(2), not the end of the process. */
    signal(SIGPIPE, SIG_IGN);
    c->loop = loop;
    c->id = xstrdup(id);
    c->in_fd = c->out_fd = c->pty_fd = c->log_fd = -1;
    timer_init(&c->flush_timer, loop, CLOCK_RT, flush_due, c);
    timer_init(&c->deliver_timer, loop, CLOCK_RT, deliver_due, c);
    return c;
}

void chardev_free(struct chardev *c)
{
    if (!c)
        return;
    if (c->base) {
        chardev_front_free(c);
        return;
    }
    while (c->fronts)
        chardev_front_free(c->fronts);
    c->client = NULL;
    drain(c);
    if (c->backend && c->backend->close)
        c->backend->close(c);
    loop_fd_remove(c->in_watch);
    loop_fd_remove(c->out_watch);
    timer_cancel(&c->flush_timer);
    timer_cancel(&c->deliver_timer);
    timer_cancel(&c->pty_timer);
    if (c->out_fd >= 0 && c->out_fd != c->in_fd)
        close(c->out_fd);
    if (c->in_fd >= 0)
        close(c->in_fd);
    if (c->pty_fd >= 0)
        close(c->pty_fd);
    if (c->log_fd >= 0)
        close(c->log_fd);
    chardev_socket_free(c);
    chardev_ringbuf_free(c);
    if (c->unlink_path)
        unlink(c->unlink_path);
    free(c->unlink_path);
    free(c->where);
    free(c->out);
    free(c->in);
    free(c->id);
    free(c);
}
