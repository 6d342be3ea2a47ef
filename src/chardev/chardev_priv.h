/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside chardev/ only: the struct behind struct chardev and the way its backends are made. */
#ifndef CHARDEV_CHARDEV_PRIV_H
#define CHARDEV_CHARDEV_PRIV_H

#include "base/optlist.h"
#include "base/socket.h"
#include "chardev/chardev.h"
#include "loop/loop.h"

#define CHARDEV_OUT_SOFT  65536   /* more than this queued: chardev_can_write() says no */
#define CHARDEV_OUT_HARD  1048576 /* more is refused */
#define CHARDEV_IN_MAX    65536   /* read ahead of the device */
#define CHARDEV_LISTENERS 4       /* addresses that the name of a listening host may have */

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
    size_t (*write)(struct chardev *c, const void *buf, size_t len); /* without a descriptor */
    bool datagrams; /* errors and empty messages do not end it */
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

    bool mux;    /* Ctrl-A escapes; takes several frontends */
    bool escape; /* Ctrl-A was typed */
    struct chardev_escapes escapes;
    /* mux.c: a frontend is a chardev of its own, which the device sees */
    struct chardev *base;       /* of a frontend; else NULL */
    struct chardev *fronts;     /* of a base, in the order made */
    struct chardev *next_front; /* of a frontend */
    struct chardev *focus;      /* of a base: the frontend that gets input */

    int log_fd; /* logfile=: a copy of the output; -1: none */
    bool log_lost_told;

    bool is_terminal; /* fd.c: has the raw terminal */
    char *where;      /* for chardev_where() */
    char *unlink_path;
    struct timer pty_timer;        /* fd.c: looks for someone at the other end */
    int pty_fd;                    /* fd.c: the master */
    struct chardev_socket *socket; /* socket.c's */
    struct chardev_ring *ring;     /* ringbuf.c's */

    /* chardevs.c */
    struct chardev *next;
    bool taken;
};

struct chardev *chardev_alloc(struct loop *loop, const char *id);

/* For backends: the descriptors are there (or -1); starts watching, tells the client. */
void chardev_connect_fds(struct chardev *c, int in_fd, int out_fd);
/* Stop watching, forget the descriptors (not closed), drop queued output, tell the client. */
void chardev_disconnect_fds(struct chardev *c);
void chardev_tell(struct chardev *c, enum chardev_event ev);

/* kinds.c: opens the backend called kind with the options that it takes out of opts, and the common
 * ones (mux, logfile, logappend); what is left in opts is an error. */
bool chardev_open(struct chardev *c, const char *kind, struct optlist *opts,
                  struct error *err) MUST_CHECK;
void chardev_print_kinds(FILE *f);

/* mux.c */
struct chardev *chardev_front_new(struct chardev *base);
void chardev_front_free(struct chardev *front);
void chardev_next_focus(struct chardev *base);
void chardev_take_in(struct chardev *c, const uint8_t *buf, size_t len);
void chardev_deliver(struct chardev *c); /* chardev.c: gives the client what it can take */

/* fd.c */
bool chardev_open_stdio(struct chardev *c, struct optlist *opts, struct error *err) MUST_CHECK;
bool chardev_open_file(struct chardev *c, struct optlist *opts, struct error *err) MUST_CHECK;
bool chardev_open_pipe(struct chardev *c, struct optlist *opts, struct error *err) MUST_CHECK;
bool chardev_open_device(struct chardev *c, struct optlist *opts, struct error *err) MUST_CHECK;
bool chardev_open_pty(struct chardev *c, struct optlist *opts, struct error *err) MUST_CHECK;
bool chardev_open_log(struct chardev *c, const char *path, bool append,
                      struct error *err) MUST_CHECK;
void chardev_log(struct chardev *c, const uint8_t *p, size_t n);

/* socket.c, telnet.c, udp.c, ringbuf.c */
bool chardev_open_socket(struct chardev *c, struct optlist *opts, struct error *err) MUST_CHECK;
void chardev_socket_free(struct chardev *c);
bool chardev_open_udp(struct chardev *c, struct optlist *opts, struct error *err) MUST_CHECK;
bool chardev_open_ringbuf(struct chardev *c, struct optlist *opts, struct error *err) MUST_CHECK;
void chardev_ringbuf_free(struct chardev *c);

struct chardev_telnet {
    bool on;
    uint8_t state;
};
size_t chardev_telnet_in(struct chardev *c, struct chardev_telnet *t, uint8_t *buf, size_t len);
unsigned chardev_telnet_out(const struct chardev_telnet *t, uint8_t byte, uint8_t *ret);
void chardev_telnet_greet(struct chardev_telnet *t, int fd);

#endif
