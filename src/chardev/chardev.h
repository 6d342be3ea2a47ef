/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host side of a serial line: terminal, file, pipe, pty, socket. Output is queued and written
 * by the main loop within about a millisecond; chardev_write() never blocks. Input arrives
 * through the client's callbacks in the main thread. Machine lock held for all functions here,
 * and around all callbacks.
 */
#ifndef CHARDEV_CHARDEV_H
#define CHARDEV_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct loop;
struct chardev;

enum chardev_event {
    CHARDEV_OPENED, /* a peer connected */
    CHARDEV_CLOSED, /* the peer went away, end of file */
    CHARDEV_BREAK,  /* a break condition was received */
    /* of one frontend among several (mux=on): its turn to get input came, is over */
    CHARDEV_FOCUSED,
    CHARDEV_UNFOCUSED,
};

/* The device side. can_read says how many bytes read may be given now; 0 stops input until
 * chardev_accept_input(). writable tells that a short chardev_write() may be continued.
 * Unused slots may be NULL. */
struct chardev_client {
    size_t (*can_read)(void *opaque);
    void (*read)(void *opaque, const uint8_t *buf, size_t len);
    void (*event)(void *opaque, enum chardev_event ev);
    void (*writable)(void *opaque);
};

/*
 * Make one from QEMU's short spelling: null, none, stdio, mon:SPEC, vc (refused, with a hint), pty,
 * file:PATH, pipe:PATH, /dev/PATH, tcp:HOST:PORT[,server][,wait=on|off|nowait][,telnet=on],
 * telnet:HOST:PORT[,...], unix:PATH[,server][,wait=on|off|nowait], udp:[HOST]:PORT[@[HOST]:PORT].
 * "none" gives a null backend. id names it in messages. NULL with err set on failure.
 * Named ones, and "chardev:ID", are chardev/chardevs.h's.
 */
struct chardev *chardev_new_from_spec(struct loop *loop, const char *id, const char *spec,
                                      struct error *err);

/* Writes out what is queued (waiting at most half a second), restores the terminal. NULL is fine.
 */
void chardev_free(struct chardev *c);

/* Attach the one device; replaces the previous one. client NULL detaches. Both borrowed. */
void chardev_attach(struct chardev *c, const struct chardev_client *client, void *opaque);

/* Queue bytes; returns how many were taken. Less than len means the backend is slow: wait for
 * .writable. Without a peer (socket, pty) output is dropped, as on a line with nothing plugged in,
 * and counts as taken. */
size_t chardev_write(struct chardev *c, const void *buf, size_t len);

/* Can chardev_write() take at least one byte now? */
bool chardev_can_write(const struct chardev *c);

/* The client can take input again. */
void chardev_accept_input(struct chardev *c);

/* Is a peer there? True for files and terminals. */
bool chardev_connected(const struct chardev *c);

/* The frontend sends a break condition to the peer (no effect on most backends). */
void chardev_send_break(struct chardev *c);

/* What the Ctrl-A keys of a mon: or mux=on backend do: quit leaves the VM (Ctrl-A x). Ctrl-A c goes
 * to the next frontend. */
struct chardev_escapes {
    void (*quit)(void *opaque);
    void *opaque;
};
void chardev_set_escapes(struct chardev *c, const struct chardev_escapes *e);

/* Where a pty or a listening socket is, for a message to the user ("/dev/pts/3"); NULL otherwise.
 */
const char *chardev_where(const struct chardev *c);
const char *chardev_id(const struct chardev *c);
const char *chardev_kind_name(const struct chardev *c); /* "socket", "pty", ... */

/* Takes out the oldest bytes of a ring buffer backend, at most len; 0 for any other kind. */
size_t chardev_ringbuf_read(struct chardev *c, void *buf, size_t len);

/* Put the terminal back as it was, now. Async-signal-safe; for fatal signal handlers. */
void chardev_restore_terminal(void);

#endif
