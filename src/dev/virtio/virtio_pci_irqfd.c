/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts of queues that run on I/O threads, where the accelerator takes messages from eventfds:
 * a vector's eventfd is written instead of its message sent. One that was written when its vector
 * was masked keeps that, and the accelerator looks at it when it is given the eventfd again.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "dev/virtio/virtio_pci.h"
#include "dev/virtio/virtio_priv.h"

struct virtio_pci_vector {
    int fd; /* -1: none yet */
    atomic_bool on;
};

static void changed(void *opaque, unsigned n, const struct msi_message *msg)
{
    struct virtio_pci *p = opaque;
    struct virtio_pci_vector *v = &p->irqfds[n];
    const struct msi_sink *sink = pci_msi_sink(&p->pci);
    eventfd_t count;

    if (atomic_exchange(&v->on, false))
        sink->irqfd_remove(sink->opaque, v->fd);
    if (!msg)
        return;
    if (v->fd < 0)
        v->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (v->fd >= 0 && sink->irqfd_add(sink->opaque, v->fd, msg->addr, msg->data) >= 0)
        atomic_store(&v->on, true);
    else if (v->fd >= 0 && !eventfd_read(v->fd, &count))
        sink->send(sink->opaque, msg->addr, msg->data);
}

void virtio_pci_irqfd_init(struct virtio_pci *p)
{
    const struct msi_sink *sink = pci_msi_sink(&p->pci);
    bool any = false;

    for (unsigned i = 0; i < p->v->queue_count; i++)
        any |= !ioctx_is_main(p->v->queues[i]->ctx);
    if (!any || !p->ioeventfd || !p->vector_count || !sink || !sink->irqfd_add)
        return;
    p->irqfds = xnew_array(struct virtio_pci_vector, p->vector_count);
    for (unsigned i = 0; i < p->vector_count; i++)
        p->irqfds[i].fd = -1;
    pci_msix_watch(&p->pci, changed, p);
}

bool virtio_pci_irqfd_raise(struct virtio_pci *p, unsigned vector)
{
    if (!p->irqfds || !atomic_load(&p->irqfds[vector].on))
        return false;
    (void)eventfd_write(p->irqfds[vector].fd, 1);
    return true;
}

void virtio_pci_irqfd_finish(struct virtio_pci *p)
{
    if (!p->irqfds)
        return;
    pci_msix_watch(&p->pci, NULL, NULL);
    for (unsigned i = 0; i < p->vector_count; i++) {
        changed(p, i, NULL);
        if (p->irqfds[i].fd >= 0)
            (void)close(p->irqfds[i].fd);
    }
    free(p->irqfds);
    p->irqfds = NULL;
}
