/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside chardev/ only: the struct behind struct chardev and the way its backends are made. */
#ifndef CHARDEV_CHARDEV_PRIV_H
#define CHARDEV_CHARDEV_PRIV_H

#include "base/optlist.h"
#include "chardev/chardev.h"
#include "loop/loop.h"

#define CHARDEV_OUT_SOFT 65536   /* more than this queued: chardev_can_write() says no */
#define CHARDEV_OUT_HARD 1048576 /* more is refused */
#define CHARDEV_IN_MAX   65536   /* read ahead of the device */

/* What differs between backends; slots may be NULL. */
struct chardev_backend {
    const char *name;
    void (*hangup)(struct chardev *c); /* end of file or error on the descriptors */
    void (*close)(struct chardev *c);
    void (*send_break)(struct chardev *c);
    /* raw bytes from the peer to data; returns the new length (telnet) */
    size_t (*filter_in)(struct chardev *c, uint8_t *buf, size_t len);
    /* one byte of data to at most 2 raw bytes */
    unsigned (*filter_out)(struct chardev *c, uint8_t byte, uint8_t *ret);
};

/* Everything is guarded by the machine lock. */
struct chardev {
    struct loop *loop;
    const struct chardev_backend *backend;
    char *id;
    const struct chardev_client *client;
    void *opaque;

    int in_fd, out_fd; /* -1: none; may be the same */
    struct loop_fd *in_watch, *out_watch;
    bool connected;
    bool out_may_block; /* out_fd is shared with others and has no O_NONBLOCK */
    bool lost_told;

    uint8_t *out; /* queue from out_head on, out_count bytes */
    size_t out_size, out_head, out_count;
    struct timer flush_timer; /* output waits for company for a moment */
    bool out_full;            /* client was told no and waits for .writable */

    uint8_t *in; /* read, not yet delivered */
    size_t in_head, in_count;
    struct timer deliver_timer;

    bool mux;    /* Ctrl-A escapes */
    bool escape; /* Ctrl-A was typed */
    struct chardev_escapes escapes;

    bool is_terminal; /* fd.c: has the raw terminal */
    char *where;      /* for chardev_where() */
    int listen_fd;    /* socket.c */
    struct loop_fd *listen_watch;
    char *unlink_path;
    bool telnet;
    uint8_t telnet_state;
    struct timer pty_timer; /* fd.c: looks for someone at the other end */
};

struct chardev *chardev_alloc(struct loop *loop, const char *id);

/* For backends: the descriptors are there (or -1); starts watching, tells the client. */
void chardev_connect_fds(struct chardev *c, int in_fd, int out_fd);
/* Stop watching, forget the descriptors (not closed), drop queued output, tell the client. */
void chardev_disconnect_fds(struct chardev *c);
void chardev_tell(struct chardev *c, enum chardev_event ev);

/* fd.c; rest is what follows "NAME:" up to the options */
bool chardev_open_stdio(struct chardev *c, bool signals, struct error *err) MUST_CHECK;
bool chardev_open_file(struct chardev *c, const char *path, bool append,
                       struct error *err) MUST_CHECK;
bool chardev_open_pipe(struct chardev *c, const char *path, struct error *err) MUST_CHECK;
bool chardev_open_device(struct chardev *c, const char *path, struct error *err) MUST_CHECK;
bool chardev_open_pty(struct chardev *c, struct error *err) MUST_CHECK;

/* socket.c */
struct chardev_socket_options {
    bool server, wait, telnet, nodelay;
};
bool chardev_open_unix(struct chardev *c, const char *path, const struct chardev_socket_options *o,
                       struct error *err) MUST_CHECK;
bool chardev_open_tcp(struct chardev *c, const char *address,
                      const struct chardev_socket_options *o, struct error *err) MUST_CHECK;

#endif
