/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program rhea-nbd: its options, and the four things it can do with them. */
#ifndef NBD_TOOL_H
#define NBD_TOOL_H

#include "base/object.h"
#include "disk/disk.h"

enum nbd_tool_mode { NBD_TOOL_SERVE, NBD_TOOL_LIST, NBD_TOOL_DISCONNECT, NBD_TOOL_PRINT };

struct nbd_tool {
    const char *program;
    enum nbd_tool_mode mode;
    struct object_set *objects;
    const char **object_texts; /* --object, made after the fork */
    unsigned object_count;

    const char *port, *bind, *socket; /* NULL: not given */
    const char *tls_creds, *tls_authz, *tls_hostname, *selinux_label;
    unsigned shared, handshake_limit_s;
    bool persistent, verbose, fork, has_per_device;

    const char *name, *description, *pid_file, *device;
    const char **bitmaps; /* NULL-terminated */
    unsigned bitmap_count;
    bool allocation_depth;

    const char *file, *format, *snapshot, *detect_zeroes;
    unsigned flags; /* enum disk_open_flags */
    uint64_t offset;
    bool image_opts, temporary, has_cache;
};

int nbd_tool_main(int argc, char **argv);

/* tool_options.c: fills t; what --help and --version want is printed, mode is then PRINT. */
bool nbd_tool_parse(struct nbd_tool *t, int argc, char **argv, struct error *err) MUST_CHECK;

/* tool_serve.c: until a signal, or the last client has left. */
bool nbd_tool_serve(struct nbd_tool *t, struct error *err) MUST_CHECK;

/* tool_list.c */
bool nbd_tool_list(struct nbd_tool *t, struct error *err) MUST_CHECK;

/* tool_kernel.c: the kernel's own client on /dev/nbdX. */
struct nbd_kernel;
/* The socket that the kernel is to speak over gets its other end from own_fd: its handshake is made
 * here. stopped(opaque) is called from a thread when the device is disconnected. */
struct nbd_kernel *nbd_kernel_connect(const char *device, int own_fd, const char *export_name,
                                      void (*stopped)(void *opaque), void *opaque,
                                      struct error *err);
void nbd_kernel_free(struct nbd_kernel *k); /* disconnects; NULL is fine */
/* Fails early when the device is not one. */
bool nbd_kernel_check(const char *device, struct error *err) MUST_CHECK;
bool nbd_kernel_disconnect(const char *device, struct error *err) MUST_CHECK;

/* tool_client.c: the client's side of a handshake over a blocking channel. */
struct channel;
struct nbd_hello {
    uint16_t flags; /* handshake flags */
    bool oldstyle;
    uint64_t size;         /* oldstyle */
    uint16_t export_flags; /* oldstyle */
};
bool nbd_client_hello(struct channel *c, struct nbd_hello *ret, struct error *err) MUST_CHECK;
bool nbd_client_option(struct channel *c, uint32_t option, const void *data, uint32_t len,
                       struct error *err) MUST_CHECK;
/* One reply to an option: its type; data on the heap with a zero byte behind. */
bool nbd_client_reply(struct channel *c, uint32_t option, uint32_t *ret_type, uint8_t **ret_data,
                      uint32_t *ret_len, struct error *err) MUST_CHECK;

/* Hello and GO without structured replies: what the kernel's client wants to find. */
bool nbd_client_go(struct channel *c, const char *name, uint64_t *ret_size, uint16_t *ret_flags,
                   struct error *err) MUST_CHECK;

#endif
