/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an NBD server sends, from its first byte to the end of the connection: any bytes. */
#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "disk/disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct script {
    int fd;
    const uint8_t *data;
    size_t size;
};

/* Says its lines, then listens until the client is gone. */
static void *play(void *arg)
{
    struct script *s = arg;
    uint8_t junk[4096];
    size_t done = 0;
    ssize_t n;

    while (done < s->size && (n = send(s->fd, s->data + done, s->size - done, MSG_NOSIGNAL)) > 0)
        done += (size_t)n;
    (void)shutdown(s->fd, SHUT_WR);
    while (recv(s->fd, junk, sizeof(junk), 0) > 0)
        continue;
    return NULL;
}

static void use(struct disk *d)
{
    uint64_t size = disk_size(d);
    size_t len = MIN(size, UINT64_C(3000));
    struct disk_extent e;
    uint8_t buf[3000] = { 0 };

    if (!len)
        return;
    (void)!disk_read(d, 0, buf, len);
    if (!disk_map(d, 0, size, &e))
        assert(e.len > 0 && e.len <= size);
    (void)!disk_write(d, 0, buf, len, 0);
    (void)!disk_read(d, size - len, buf, len);
    (void)!disk_zero(d, 0, len, DISK_MAY_UNMAP);
    (void)!disk_discard(d, 0, size);
    (void)!disk_flush(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct disk_graph *g = disk_graph_new(NULL);
    struct optlist o = { 0 };
    struct error err = { 0 };
    struct script s = { .data = data, .size = size };
    struct disk *d;
    pthread_t thread;
    char number[12];
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        abort();
    s.fd = fds[1];
    if (pthread_create(&thread, NULL, play, &s))
        abort();
    snprintf(number, sizeof(number), "%d", fds[0]);
    optlist_add(&o, "driver", "nbd");
    optlist_add(&o, "server.type", "fd");
    optlist_add(&o, "server.str", number);
    optlist_add(&o, "auto-read-only", "on");
    d = disk_open(g, NULL, &o, DISK_RDWR, &err);
    optlist_finish(&o);
    assert(d || err.msg[0]);
    if (d)
        use(d);
    disk_unref(d);
    pthread_join(thread, NULL);
    close(fds[1]);
    disk_graph_free(g);
    return 0;
}
