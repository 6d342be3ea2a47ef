/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The NBD server against any client: the input is what the client sends. A first byte of 1 puts a
 * good handshake in front, 2 the same with structured replies and contexts, so that requests are
 * reached at once. When the client has sent all, the server has to answer and to leave.
 */
#include "base/endian.h"
#include "base/scope.h"
#include "disk/bitmap.h"
#include "nbd/server.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { IMAGE_BYTES = 1 << 20, INPUT_MAX = 64 << 10, STUCK_MS = 20000 };

static const uint8_t go[] = "\0\0\0\3IHAVEOPT\0\0\0\7\0\0\0\6\0\0\0\0\0\0";
static const uint8_t go_structured[] =
    "\0\0\0\3IHAVEOPT\0\0\0\10\0\0\0\0"
    "IHAVEOPT\0\0\0\12\0\0\0\73\0\0\0\0\0\0\0\3\0\0\0\17base:allocation"
    "\0\0\0\25qemu:allocation-depth\0\0\0\3abcIHAVEOPT\0\0\0\7\0\0\0\6\0\0\0\0\0\0";

static struct disk_graph *graph;
static struct disk *image;

static void make_image(void)
{
    struct error err = { 0 };
    struct optlist opts = { 0 };
    char path[64];
    int fd = memfd_create("image", 0);
    assert(fd >= 0 && !ftruncate(fd, IMAGE_BYTES) && pwrite(fd, "data", 4, 65536) == 4);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    graph = disk_graph_new(NULL);
    optlist_add(&opts, "driver", "raw");
    image = disk_open(graph, path, &opts, DISK_RDWR | DISK_UNMAP, &err);
    optlist_finish(&opts);
    if (!image)
        err_print(stderr, "fuzz_nbd_server", &err);
    assert(image);
}

/* Sends without waiting and reads whatever comes, until the server closes. */
static void play(int fd, const struct iovec *out, unsigned count)
{
    uint8_t sink[65536];
    size_t at = 0;
    for (unsigned i = 0;;) {
        struct pollfd p = { .fd = fd, .events = (short)(POLLIN | (i < count ? POLLOUT : 0)) };
        int ready = poll(&p, 1, STUCK_MS);
        assert(ready); /* else the server is stuck */
        if (ready < 0) /* the fuzzer's alarm */
            continue;
        if (p.revents & POLLOUT) {
            ssize_t n = send(fd, (uint8_t *)out[i].iov_base + at, out[i].iov_len - at,
                             MSG_DONTWAIT | MSG_NOSIGNAL);
            at += n > 0 ? (size_t)n : 0;
            if (at == out[i].iov_len) {
                at = 0;
                i++;
            } else if (n < 0) {
                i = count; /* it listens no more */
            }
            if (i == count)
                shutdown(fd, SHUT_WR);
        }
        if ((p.revents & (POLLIN | POLLHUP | POLLERR)) && recv(fd, sink, sizeof(sink), 0) <= 0)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nbd_server_options options = { .handshake_timeout_s = 5 };
    struct nbd_export_options export_options = {
        .name = "", .description = "text", .writable = true, .allocation_depth = true
    };
    struct error err = { 0 };
    struct iovec out[2];
    unsigned count = 0;
    int fds[2];

    if (!image)
        make_image();
    if (!size || size > INPUT_MAX)
        return 0;
    if (data[0] == 1)
        out[count++] = (struct iovec){ (void *)(uintptr_t)go, sizeof(go) - 1 };
    if (data[0] == 2)
        out[count++] =
            (struct iovec){ (void *)(uintptr_t)go_structured, sizeof(go_structured) - 1 };
    if (size > 1)
        out[count++] = (struct iovec){ (void *)(uintptr_t)(data + 1), size - 1 };

    struct nbd_server *s = nbd_server_new(&options);
    bool ok = nbd_server_export(s, image, &export_options, &err);
    assert(ok && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    ok = nbd_server_add_client(s, fds[0], &err);
    assert(ok);
    if (!count)
        shutdown(fds[1], SHUT_WR);
    play(fds[1], out, count);
    close(fds[1]);
    nbd_server_free(s);
    return 0;
}
