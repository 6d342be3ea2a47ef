/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Waiting for asynchronous requests. Each reports itself when it is reaped. */
#include "io/io.h"

#include <poll.h>

#include "base/bits.h"

bool io_need_queue(struct io *io)
{
    struct error err = { 0 };
    if (!io->queue && !(io->queue = disk_queue_new(io->graph, 64, &err))) {
        io_complain(io, &err);
        return false;
    }
    return true;
}

void io_reap(struct io *io)
{
    if (io->queue)
        (void)disk_queue_reap(io->queue, false);
}

void io_reap_all(struct io *io)
{
    while (io->queue && disk_queue_in_flight(io->queue))
        (void)disk_queue_reap(io->queue, true);
}

void io_wait_ms(struct io *io, int ms)
{
    int64_t end = io_now_ns() + ms * INT64_C(1000000);
    for (;;) {
        io_reap(io);
        int64_t left = end - io_now_ns();
        if (left <= 0)
            return;
        struct pollfd p = { .fd = io->queue ? disk_queue_fd(io->queue) : -1, .events = POLLIN };
        (void)poll(&p, 1, (int)MIN(left / 1000000 + 1, ms));
    }
}
