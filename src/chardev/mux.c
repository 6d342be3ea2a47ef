/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several frontends on one backend (mux=on, mon:). Each is a chardev of its own that hands its
 * output to the base; input goes to the one that has the focus, and Ctrl-A c moves that on.
 */
#include "base/alloc.h"
#include "chardev/chardev_priv.h"

static const struct chardev_backend front_backend = { .name = "mux" };

/* Each frontend has its own queue of input, so that one which takes nothing stops nobody. */
static size_t mux_can_read(void *opaque)
{
    struct chardev *base = opaque;

    return base->focus ? CHARDEV_IN_MAX - base->focus->in_count : 0;
}

static void mux_read(void *opaque, const uint8_t *buf, size_t len)
{
    struct chardev *base = opaque;

    if (!base->focus)
        return;
    chardev_take_in(base->focus, buf, len);
    chardev_deliver(base->focus);
}

static void mux_event(void *opaque, enum chardev_event ev)
{
    struct chardev *base = opaque;

    if (ev == CHARDEV_BREAK) {
        if (base->focus)
            chardev_tell(base->focus, ev);
        return;
    }
    for (struct chardev *f = base->fronts, *next; f; f = next) {
        next = f->next_front;
        chardev_tell(f, ev);
    }
}

static void mux_writable(void *opaque)
{
    struct chardev *base = opaque;

    for (struct chardev *f = base->fronts, *next; f; f = next) {
        next = f->next_front;
        if (f->client && f->client->writable)
            f->client->writable(f->opaque);
    }
}

static const struct chardev_client mux_client = { mux_can_read, mux_read, mux_event, mux_writable };

static void set_focus(struct chardev *base, struct chardev *front)
{
    struct chardev *old = base->focus;

    if (old == front)
        return;
    base->focus = front;
    if (old)
        chardev_tell(old, CHARDEV_UNFOCUSED);
    if (front)
        chardev_tell(front, CHARDEV_FOCUSED);
    chardev_accept_input(base);
}

void chardev_next_focus(struct chardev *base)
{
    struct chardev *next = base->focus ? base->focus->next_front : NULL;

    set_focus(base, next ? next : base->fronts);
}

struct chardev *chardev_front_new(struct chardev *base)
{
    struct chardev *f = chardev_alloc(base->loop, base->id);
    struct chardev **p = &base->fronts;

    f->backend = &front_backend;
    f->base = base;
    while (*p)
        p = &(*p)->next_front;
    *p = f;
    if (!base->client)
        chardev_attach(base, &mux_client, base);
    if (!base->focus)
        set_focus(base, f);
    return f;
}

void chardev_front_free(struct chardev *f)
{
    struct chardev *base = f->base;

    f->client = NULL;
    for (struct chardev **p = &base->fronts; *p; p = &(*p)->next_front) {
        if (*p == f) {
            *p = f->next_front;
            break;
        }
    }
    if (base->focus == f) {
        base->focus = NULL;
        set_focus(base, base->fronts);
    }
    timer_cancel(&f->flush_timer);
    timer_cancel(&f->deliver_timer);
    free(f->in);
    free(f->id);
    free(f);
}
