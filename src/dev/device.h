/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device: one const struct device_type in one file, its instance a struct that begins with
 * struct device. A device knows registers, time, lines and DMA; it never knows an address, an
 * interrupt number, a bus or a CPU: the board maps its windows and connects its lines. All
 * callbacks run under the machine lock. docs/devel/howto/device.md walks through one.
 */
#ifndef DEV_DEVICE_H
#define DEV_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/field.h"
#include "dev/irq.h"
#include "loop/loop.h"
#include "mem/mem.h"

struct device;
struct device_bus;
struct display_set;

/* What devices get from their machine by name: FIELD_LINK(struct vblk, drive, "drive"); and ask of
 * it. vm/ has the lists. Machine lock held. */
struct device_links {
    /* The object of this kind ("drive", "netdev", "chardev", "iothread", "rng", ...) called name.
     * False with err, which names the nearest one, when there is none or somebody has it already.
     */
    bool (*take)(void *opaque, struct device *user, const char *kind, const char *name,
                 void **ret_object, struct error *err);
    void (*give_back)(void *opaque, struct device *user, const char *kind, void *object);
    /* From device_new(), after defaults: sets what -global says. May be NULL. */
    void (*prepare)(void *opaque, struct device *dev);
    /* Number of the next bus of this kind whose owner has no id of the user's: "scsi.0". Or NULL */
    unsigned (*bus_number)(void *opaque, const char *kind);
    /* After a reset this CPU starts there; false: there is none of that number. Or NULL */
    bool (*set_entry)(void *opaque, unsigned cpu, uint64_t pc);
    void (*quit)(void *opaque, int status); /* end the emulator with this exit status; or NULL */
    void *opaque;
};

/* What a device may use of its surroundings; given by its creator, outlives it. */
struct device_ctx {
    struct loop *loop; /* timers, clocks, descriptors */
    struct mem *dma;   /* the memory that dma_read()/dma_write() reach; NULL: no DMA */
    const struct device_links *links; /* NULL: properties that are links cannot be set by name */
    struct display_set *displays;     /* where graphics adapters show up; NULL: nowhere */
    unsigned cpus;                    /* of the machine; 0: not known */
};

/* Headings of -device help. */
enum device_category {
    DEVICE_CATEGORY_NONE, /* not shown: parts of a board */
    DEVICE_BRIDGE,
    DEVICE_STORAGE,
    DEVICE_NETWORK,
    DEVICE_INPUT,
    DEVICE_DISPLAY,
    DEVICE_MISC,
    DEVICE_CATEGORIES,
};

enum window_space { WINDOW_MMIO, WINDOW_PIO };

/* A block of registers that the board maps somewhere. Sizes as in struct mem_io_ops. */
struct device_window {
    const char *name;
    enum window_space space;
    uint64_t size;
    uint64_t (*read)(struct device *dev, uint64_t off, unsigned size);
    void (*write)(struct device *dev, uint64_t off, uint64_t val, unsigned size);
    uint8_t min_size, max_size;
};

struct device_type {
    const char *name;  /* as in -device NAME */
    const char *doc;   /* one line for -device help */
    const char *alias; /* a second name; NULL: none */
    size_t size;       /* of the instance struct */
    /* The kind of bus it plugs into ("PCI", "ISA", "IDE", "SCSI", "virtio-serial-bus",
     * "virtio-bus", "System"; dev/bus.h): -device can make it. NULL: only a board can. */
    const char *bus;
    const char *offers; /* the kind of bus that it makes for others, for hints; or NULL */
    enum device_category category;
    const struct field *props;
    const struct field *state;            /* all that a snapshot holds, guest-visible or not */
    void (*defaults)(struct device *dev); /* property values before the user's */
    bool (*init)(struct device *dev, struct error *err);   /* properties are set; check them */
    void (*finish)(struct device *dev);                    /* copes with a half-built device */
    void (*reset)(struct device *dev);                     /* to the state after power-on */
    bool (*loaded)(struct device *dev, struct error *err); /* after state was loaded: validate,
                                                            * re-arm timers, recompute lines */
    void (*save)(struct device *dev); /* before state is saved: fold running time into state */
    const struct device_window *windows;
    uint8_t window_count;
    uint8_t irqs;   /* output lines */
    uint8_t inputs; /* input lines */
    void (*input)(struct device *dev, unsigned n, bool level);
    /* A proxy (virtio-blk-pci) with a device inside: that one's properties are its own, too. The
     * device inside exists since defaults(). */
    const struct device_type *inner;
    struct device *(*inner_of)(struct device *dev);
    /* May it leave a running machine: asks the guest (hot-unplug) or NULL: it stays. Room for the
     * monitor. */
    bool (*unplug_request)(struct device *dev, struct error *err);
};

struct device {
    const struct device_type *type;
    char *id;
    struct device_ctx ctx;
    struct irq *irqs;            /* type->irqs of them */
    struct mem_region *windows;  /* type->window_count of them, ready for mem_map() */
    bool ready;                  /* init succeeded */
    bool anonymous;              /* -device without id=: id is the type's name */
    struct device_bus *parent;   /* where it is plugged in; NULL: nowhere, or wired by the board */
    struct device *next_sibling; /* on that bus, in order of plugging */
    struct device_bus *buses;    /* that it offers to others (a list through device_bus.next) */
    int64_t complain_from_ns;    /* guest_error()'s rate limit */
    uint32_t complaints;
};

/* NULL-terminated; all device types that are linked in, in the order of the build. */
extern const struct device_type *const device_types[];
const struct device_type *device_type_find(const char *name);

/* Allocate with defaults; then set properties (device_set or plain fields), then device_init().
 * Never fails. Machine lock held or single-threaded for all of these. */
struct device *device_new(const struct device_type *type, const char *id,
                          const struct device_ctx *ctx);
bool device_set(struct device *dev, const char *prop, const char *value,
                struct error *err) MUST_CHECK;
/* The property called prop, of the device, its bus or the device inside, and the struct that has
 * it; NULL: none. */
const struct field *device_prop(struct device *dev, const char *prop, struct device **ret_owner);
/* Every property in that order; the first of two with one name counts. */
void device_props_each(struct device *dev,
                       void (*fn)(struct device *owner, const struct field *f, void *opaque),
                       void *opaque);
bool device_init(struct device *dev, struct error *err) MUST_CHECK; /* init, then reset */
void device_reset(struct device *dev);
void device_free(struct device *dev); /* unmaps its windows, leaves its bus; NULL is fine */

/* For -device: "help" lists all types, "NAME,help" one type's properties; false: text asks for no
 * help. err when there is no such type. */
bool device_help(FILE *f, const char *text, struct error *err);
/* The type that -device can make, or NULL with err that names the nearest one. */
const struct device_type *device_type_need(const char *name, struct error *err);

/* device_new + device_init; NULL with err set on failure. */
struct device *device_create(const struct device_type *type, const char *id,
                             const struct device_ctx *ctx, struct error *err);

/* The window called name, for mem_map(); asserts that the type has it. */
struct mem_region *device_window(struct device *dev, const char *name);

/* Wire output `out` of dev to input `in` of sink. */
void device_connect(struct device *dev, unsigned out, struct device *sink, unsigned in);

/* irq_fn for inputs of a device: irq_connect(&line, device_input, sink, n). */
void device_input(void *dev, unsigned n, bool level);

/* Copy all of .state out to / in from another instance of the same type (tests, snapshots of one
 * process). device_state_load validates through type->loaded. */
struct device_state {
    const struct device_type *type;
    void *bytes; /* a shadow instance of which only the state fields are used */
    bool *lines;
};
void device_state_save(struct device *dev, struct device_state *ret_state);
bool device_state_load(struct device *dev, const struct device_state *s,
                       struct error *err) MUST_CHECK;
void device_state_finish(struct device_state *s);

/* The guest did something wrong: logged under guest_errors, at most 10 lines a second per device.
 */
__attribute__((format(printf, 2, 3))) void guest_error(struct device *dev, const char *fmt, ...);

/* Time of the guest. */
static inline int64_t device_now_ns(const struct device *dev)
{
    return loop_virtual_ns(dev->ctx.loop);
}

#endif
