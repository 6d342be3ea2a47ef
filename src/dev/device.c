/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a device, and what all devices share: windows, lines, state, complaints. */
#include "dev/device.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/trace.h"
#include "dev/bus.h"
#include "dev/device_props.h"

#define COMPLAINTS_PER_S 10

/* mem_io_ops's opaque has no room for the window: one of these per window stands between. */
struct window_port {
    struct device *dev;
    const struct device_window *win;
    struct mem_io_ops ops;
};

/* QEMU's "virtio-scsi" is virtio-scsi-pci on a machine with PCI. */
static bool is_without_pci(const struct device_type *t, const char *name)
{
    size_t n = strlen(name);

    return t->inner && !strncmp(t->name, name, n) && !strcmp(t->name + n, "-pci");
}

const struct device_type *device_type_find(const char *name)
{
    for (const struct device_type *const *t = device_types; *t; t++) {
        if (!strcmp((*t)->name, name) || ((*t)->alias && !strcmp((*t)->alias, name)) ||
            is_without_pci(*t, name))
            return *t;
    }
    return NULL;
}

static uint64_t window_read(void *opaque, uint64_t off, unsigned size)
{
    struct window_port *p = opaque;

    uint64_t val = p->win->read(p->dev, off, size);

    TRACE(device, "%s %s +%#" PRIx64 "/%u -> %#" PRIx64, p->dev->id, p->win->name, off, size, val);
    return val;
}

static void window_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct window_port *p = opaque;

    TRACE(device, "%s %s +%#" PRIx64 "/%u <- %#" PRIx64, p->dev->id, p->win->name, off, size, val);
    p->win->write(p->dev, off, val, size);
}

struct device *device_new(const struct device_type *type, const char *id,
                          const struct device_ctx *ctx)
{
    struct device *dev = xcalloc(1, type->size);

    assert(type->size >= sizeof *dev);
    dev->type = type;
    dev->id = xstrdup(id ? id : type->name);
    dev->ctx = *ctx;
    dev->irqs = xnew_array(struct irq, type->irqs + 1);
    dev->windows = xnew_array(struct mem_region, type->window_count + 1);
    for (unsigned i = 0; i < type->window_count; i++) {
        struct window_port *p = xnew(struct window_port);
        const struct device_window *w = &type->windows[i];

        *p = (struct window_port){ dev,
                                   w,
                                   { window_read, window_write, w->min_size, w->max_size, false } };
        mem_region_init_io(&dev->windows[i], w->name, &p->ops, p, w->size);
    }
    if (type->defaults)
        type->defaults(dev);
    if (ctx->links && ctx->links->prepare)
        ctx->links->prepare(ctx->links->opaque, dev);
    return dev;
}

bool device_init(struct device *dev, struct error *err)
{
    assert(!dev->ready);
    if (dev->type->init && !dev->type->init(dev, err)) {
        err_prefix(err, "device '%s' (%s): ", dev->id, dev->type->name);
        return false;
    }
    dev->ready = true;
    device_reset(dev);
    return true;
}

void device_reset(struct device *dev)
{
    if (dev->type->reset)
        dev->type->reset(dev);
}

void device_free(struct device *dev)
{
    if (!dev)
        return;
    if (dev->type->finish)
        dev->type->finish(dev);
    for (unsigned i = 0; i < dev->type->window_count; i++) {
        mem_unmap(&dev->windows[i]);
        free(dev->windows[i].opaque);
    }
    bus_unplug(dev);
    device_props_finish(dev);
    free(dev->windows);
    free(dev->irqs);
    free(dev->id);
    free(dev);
}

struct device *device_create(const struct device_type *type, const char *id,
                             const struct device_ctx *ctx, struct error *err)
{
    struct device *dev = device_new(type, id, ctx);

    if (device_init(dev, err))
        return dev;
    device_free(dev);
    return NULL;
}

struct mem_region *device_window(struct device *dev, const char *name)
{
    for (unsigned i = 0; i < dev->type->window_count; i++) {
        if (!strcmp(dev->type->windows[i].name, name))
            return &dev->windows[i];
    }
    assert(!"no such window");
    return NULL;
}

void device_input(void *opaque, unsigned n, bool level)
{
    struct device *dev = opaque;

    assert(n < dev->type->inputs);
    TRACE(irq, "%s input %u: %d", dev->id, n, level);
    dev->type->input(dev, n, level);
}

void device_connect(struct device *dev, unsigned out, struct device *sink, unsigned in)
{
    assert(out < dev->type->irqs && in < sink->type->inputs);
    irq_connect(&dev->irqs[out], device_input, sink, in);
}

/* --- state --- */

static void copy_field(void *to, const void *from, const struct field *f)
{
    memcpy((char *)to + f->offset, (const char *)from + f->offset, field_size(f) * f->count);
}

void device_state_save(struct device *dev, struct device_state *s)
{
    const struct device_type *t = dev->type;

    if (t->save)
        t->save(dev);
    *s = (struct device_state){ t, xcalloc(1, t->size), xnew_array(bool, t->irqs + 1) };
    for (const struct field *f = t->state; f && f->name; f++)
        copy_field(s->bytes, dev, f);
    for (unsigned i = 0; i < t->irqs; i++)
        s->lines[i] = dev->irqs[i].level;
}

bool device_state_load(struct device *dev, const struct device_state *s, struct error *err)
{
    const struct device_type *t = dev->type;

    assert(s->type == t);
    for (const struct field *f = t->state; f && f->name; f++) {
        for (unsigned i = 0; i < f->count; i++) {
            if (!field_check(f, field_get(s->bytes, f, i), err)) {
                err_prefix(err, "state of device '%s' (%s): ", dev->id, t->name);
                return false;
            }
        }
    }
    for (const struct field *f = t->state; f && f->name; f++)
        copy_field(dev, s->bytes, f);
    /* Each device's own state has its input lines: the levels are put back silently. */
    for (unsigned i = 0; i < t->irqs; i++)
        dev->irqs[i].level = s->lines[i];
    if (t->loaded && !t->loaded(dev, err)) {
        err_prefix(err, "state of device '%s' (%s): ", dev->id, t->name);
        return false;
    }
    return true;
}

void device_state_finish(struct device_state *s)
{
    free(s->bytes);
    free(s->lines);
    *s = (struct device_state){ 0 };
}

/* --- complaints --- */

void guest_error(struct device *dev, const char *fmt, ...)
{
    int64_t now;
    char text[160];
    va_list ap;

    if (!log_enabled(LOG_GUEST_ERRORS))
        return;
    now = clock_now_ns(loop_clock(dev->ctx.loop, CLOCK_RT));
    if (now - dev->complain_from_ns >= INT64_C(1000000000)) {
        dev->complain_from_ns = now;
        dev->complaints = 0;
    }
    if (dev->complaints++ > COMPLAINTS_PER_S)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log_write(LOG_GUEST_ERRORS, "%s: %s%s\n", dev->id, text,
              dev->complaints > COMPLAINTS_PER_S ? " (more is not shown for a second)" : "");
}
