/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any device type against a hostile guest. An input is the type's name, a zero, and operations:
 * each a byte that says which, and what it takes. The device is plugged into a bus of its kind
 * (made by whatever adapter offers it), with RAM, disks and a host without real descriptors behind
 * it.
 * --device=NAME takes another type than the input names.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/object.h"
#include "chardev/chardev.h"
#include "dev/isa/isa.h"
#include "dev/pci/msi.h"
#include "dev/storage/drive.h"
#include "dev/virtio/virtio_mmio.h"
#include "dev/virtio/virtio_priv.h"
#include "net/net_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum {
    RAM = 4 << 20,
    NAME_MAX_LEN = 48,
    OPERATIONS = 400, /* of one input */
    CHAIN = 2,        /* adapters at most between the root and the device */
    WINDOWS = 48,
    DRIVES = 2,
    QUEUES = 4, /* virtio queues that the structured operations use */
    RINGS = 0x10000,
    RING_ROOM = 0x10000,
    ECHO_ROOM = 256 << 10,
};
#define MMIO_AT UINT64_C(0x100000000)
#define BAR_AT  UINT32_C(0x80000000)

static const char *forced;

struct input {
    const uint8_t *p, *end;
};

struct window {
    struct mem *mem;
    gpa_t at;
    uint64_t size;
};

struct vring {
    uint16_t avail;
    bool wrap;
    uint16_t next; /* descriptor */
};

struct machine {
    struct loop *loop;
    struct mem *mem, *ports;
    struct mem_region ram;
    struct device_ctx ctx;
    struct device_links links;
    struct pci_bus pci;
    struct msi_sink msi;
    struct isa_bus isa;
    struct irq_or lines[ISA_IRQS];
    struct device *adapters[CHAIN];
    unsigned adapter_count;
    struct device *dev;
    struct virtio_dev *v; /* in it, or NULL */
    struct vring ring[QUEUES];
    struct window windows[WINDOWS];
    unsigned window_count;
    struct disk_graph *graph;
    struct drive drives[DRIVES];
    unsigned drive_count;
    struct object_set *objects;
    struct chardev *chr[4];
    unsigned chr_count;
    uint64_t messages;
    struct net_set *networks;
    struct net_port echo; /* at the other end of a NIC's cable: everything comes back */
    struct net_queue *echoed;
};

/* --- input --- */

static uint64_t take(struct input *in, unsigned bytes)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < bytes && in->p < in->end; i++)
        val |= (uint64_t)*in->p++ << (8 * i);
    return val;
}

/* --- what devices find around them --- */

static void *new_drive(struct machine *m, struct device *user)
{
    struct drive *d = &m->drives[m->drive_count];
    struct error err;

    if (m->drive_count == DRIVES)
        return NULL;
    d->disk = disk_open(m->graph, "json:{\"driver\":\"null-co\",\"size\":1048576}", NULL, DISK_RDWR,
                        &err);
    if (!d->disk)
        return NULL;
    m->drive_count++;
    d->id = xstrdup("drive");
    d->graph = m->graph;
    d->bootindex = -1;
    d->media = strstr(user->type->name, "cd") ? DRIVE_CDROM : DRIVE_DISK;
    d->read_only = d->media == DRIVE_CDROM;
    d->device = user;
    return d;
}

static void *new_object(struct machine *m, const char *kind)
{
    const struct object_type *types[16], *found;
    struct error err;
    unsigned n = 0;

    for (unsigned i = 0; object_types[i] && n < ARRAY_SIZE(types); i++) {
        if (!strncmp(object_types[i]->name, kind, strlen(kind)))
            types[n++] = object_types[i];
    }
    /* threads would make runs differ: no iothread */
    if (!strcmp(kind, "rng") && object_add(m->objects, "rng-builtin,id=rng0", &err))
        return object_find_any(m->objects, "rng0", types, n, &found, &err);
    return NULL;
}

static bool echo_receive(struct net_port *port, const struct net_packet *p)
{
    struct machine *m = port->opaque;

    return net_queue_put(m->echoed, p);
}

static const struct net_ops echo_ops = { .receive = echo_receive };

static struct netdev *new_netdev(struct machine *m)
{
    struct error err;

    if (m->networks)
        return NULL;
    m->networks = net_set_new(&(struct net_env){ m->loop, NULL });
    m->echoed = net_queue_new(ECHO_ROOM);
    struct netdev *far = net_set_hub_port(m->networks, 0, "far", &err);
    struct netdev *near = net_set_hub_port(m->networks, 0, "near", &err);
    if (!far || !near)
        abort();
    net_port_init(&m->echo, &echo_ops, m);
    m->echo.offloads = NET_CAN_ALL;
    net_connect(&m->echo, &far->ports[0]);
    return near;
}

/* Frames that went out come back. */
static void echo_all(struct machine *m)
{
    if (!m->networks)
        return;
    (void)net_queue_send(m->echoed, &m->echo, NULL);
    net_flush(&m->echo);
    net_ready(&m->echo);
}

static bool links_take(void *opaque, struct device *user, const char *kind, const char *name,
                       void **ret, struct error *err)
{
    struct machine *m = opaque;
    void *object = NULL;

    if (!strcmp(kind, "drive")) {
        object = new_drive(m, user);
    } else if (!strcmp(kind, "chardev") && m->chr_count < ARRAY_SIZE(m->chr)) {
        object = chardev_new_from_spec(m->loop, "chr", "null", err);
        if (object)
            m->chr[m->chr_count++] = object;
    } else if (!strcmp(kind, "netdev")) {
        object = new_netdev(m);
    } else {
        object = new_object(m, kind);
    }
    if (!object)
        return fail(err, ENOENT, "no %s here", kind);
    *ret = object;
    return true;
}

static void links_give_back(void *opaque, struct device *user, const char *kind, void *object)
{
}

static void send_message(void *opaque, uint64_t addr, uint32_t data)
{
    ((struct machine *)opaque)->messages++;
}

static unsigned route(const struct pci_bus *bus, unsigned slot, unsigned pin)
{
    return (slot + pin) % 4;
}

static void line_changed(void *opaque, unsigned n, bool level)
{
}

static bool machine_open(struct machine *m)
{
    struct error err;
    gra_t gra;

    memset(m, 0, sizeof *m);
    m->loop = loop_new(&err);
    loop_lock(m->loop);
    clock_set_manual(loop_clock(m->loop, CLOCK_VIRTUAL), 0);
    m->mem = mem_new(m->loop, "memory", 0, 3 * (uint64_t)RAM, &err);
    m->ports = mem_new(m->loop, "ports", 0x10000, 0, &err);
    if (!m->mem || !m->ports || !mem_ram_alloc(m->mem, RAM, &gra, &err))
        return false;
    mem_region_init_ram(&m->ram, "ram", gra, RAM);
    mem_map(m->mem, 0, &m->ram, 0);
    m->links =
        (struct device_links){ .take = links_take, .give_back = links_give_back, .opaque = m };
    m->ctx = (struct device_ctx){ .loop = m->loop, .dma = m->mem, .links = &m->links };
    m->graph = disk_graph_new(NULL);
    m->objects = object_set_new();
    pci_bus_init(&m->pci, NULL, "pci.0", true);
    m->msi = (struct msi_sink){ .send = send_message, .opaque = m };
    m->pci.mem = m->mem;
    m->pci.io = m->ports;
    m->pci.route = route;
    m->pci.msi = &m->msi;
    for (unsigned i = 0; i < ISA_IRQS; i++)
        irq_connect(&m->lines[i].out, line_changed, m, i);
    isa_bus_init(&m->isa, NULL, "isa.0", m->mem, m->ports, m->lines);
    return true;
}

static void machine_close(struct machine *m)
{
    device_free(m->dev);
    while (m->adapter_count)
        device_free(m->adapters[--m->adapter_count]);
    bus_finish(&m->isa.bus);
    pci_bus_finish(&m->pci);
    if (m->networks)
        net_port_finish(&m->echo);
    net_set_free(m->networks);
    net_queue_free(m->echoed);
    for (unsigned i = 0; i < m->drive_count; i++) {
        disk_unref(m->drives[i].disk);
        free(m->drives[i].id);
        free(m->drives[i].serial);
    }
    while (m->chr_count)
        chardev_free(m->chr[--m->chr_count]);
    disk_graph_free(m->graph);
    object_set_free(m->objects);
    mem_free(m->mem);
    mem_free(m->ports);
    loop_unlock(m->loop);
    loop_free(m->loop);
}

/* --- the device in its place --- */

/* What is refused is refused. */
static void try_set(struct device *dev, const char *name, const char *value)
{
    struct error err;
    bool ok = device_set(dev, name, value, &err);

    (void)ok;
}

static void set_links(struct device *owner, const struct field *f, void *opaque)
{
    if (f->link && strcmp(f->link, "iothread") != 0)
        try_set(opaque, f->wire ? f->wire : f->name, "x");
}

/* Some properties from the input. */
static void set_props(struct device *dev, struct input *in)
{
    unsigned n = take(in, 1) % 4;

    while (n--) {
        const struct field *props = dev->type->props;
        unsigned count = 0, at = (unsigned)take(in, 1);
        uint32_t val = (uint32_t)take(in, 2);
        char text[24];

        if (at & 1 && dev->type->inner)
            props = dev->type->inner->props;
        while (props && props[count].name)
            count++;
        if (!count)
            return;
        props += at / 2 % count;
        if (props->link || props->kind == FIELD_STRING)
            continue;
        (void)snprintf(text, sizeof text, "%u", props->kind == FIELD_BOOL ? val & 1 : val);
        if (props->kind == FIELD_BOOL)
            (void)snprintf(text, sizeof text, "%s", val & 1 ? "on" : "off");
        try_set(dev, props->wire ? props->wire : props->name, text);
    }
}

static struct device_bus *bus_of_kind(struct machine *m, const char *kind, struct input *in);

static struct device *make(struct machine *m, const struct device_type *t, struct input *in)
{
    struct device_bus *bus = t->bus ? bus_of_kind(m, t->bus, in) : NULL;
    struct error err;
    struct device *dev;

    if (t->bus && !bus)
        return NULL;
    dev = device_new(t, t->name, &m->ctx);
    set_props(dev, in);
    device_props_each(dev, set_links, dev);
    if ((bus && !bus_plug(bus, dev, &err)) || !device_init(dev, &err)) {
        device_free(dev);
        return NULL;
    }
    return dev;
}

static struct device_bus *bus_of_kind(struct machine *m, const char *kind, struct input *in)
{
    const struct device_type *offers[16];
    unsigned n = 0;
    struct device *a;

    if (!strcmp(kind, "PCI"))
        return &m->pci.bus;
    if (!strcmp(kind, "ISA"))
        return &m->isa.bus;
    for (const struct device_type *const *t = device_types; *t; t++) {
        if ((*t)->offers && !strcmp((*t)->offers, kind) && n < ARRAY_SIZE(offers))
            offers[n++] = *t;
    }
    if (!n || m->adapter_count == CHAIN)
        return NULL;
    a = make(m, offers[take(in, 1) % n], in);
    if (!a)
        return NULL;
    m->adapters[m->adapter_count++] = a;
    for (struct device *d = a; d; d = d->type->inner_of ? d->type->inner_of(d) : NULL) {
        for (struct device_bus *b = d->buses; b; b = b->next) {
            if (!strcmp(b->type->name, kind) && (!b->room || b->count < b->room))
                return b;
        }
    }
    return NULL;
}

static void add_window(struct machine *m, struct mem *mem, gpa_t at, uint64_t size)
{
    if (m->window_count < WINDOWS)
        m->windows[m->window_count++] = (struct window){ mem, at, size };
}

/* Addresses for BARs as firmware would choose them, and the command register. */
static void enable_pci(struct machine *m)
{
    uint32_t at = BAR_AT, port = 0x4000;

    for (unsigned fn = 0; fn < PCI_FUNCTIONS; fn++) {
        struct pci_dev *p = m->pci.fn[fn];

        for (unsigned n = 0; p && n < PCI_BARS; n++) {
            const struct pci_bar *bar = &p->bars[n];
            uint64_t size;

            if (bar->kind == PCI_BAR_NONE)
                continue;
            size = bar->region->size;
            if (bar->kind == PCI_BAR_IO) {
                port = (uint32_t)ALIGN_UP(port, size);
                pci_config_write(&m->pci, 0, (uint8_t)fn, PCI_BAR0 + 4 * n, port, 4);
                add_window(m, m->ports, port, size);
                port += (uint32_t)size;
            } else if (size < 256 << 20) {
                at = (uint32_t)ALIGN_UP((uint64_t)at, MAX(size, 4096));
                pci_config_write(&m->pci, 0, (uint8_t)fn, PCI_BAR0 + 4 * n, at, 4);
                add_window(m, m->mem, at, size);
                at += (uint32_t)size;
            }
        }
        if (p)
            pci_config_write(&m->pci, 0, (uint8_t)fn, PCI_COMMAND, 7, 2);
    }
}

static void map_windows(struct machine *m, struct device *dev)
{
    for (unsigned i = 0; dev && i < dev->type->window_count; i++) {
        bool io = dev->type->windows[i].space == WINDOW_PIO;
        gpa_t at = (io ? 0x1000 : MMIO_AT) + m->window_count * (io ? 0x100 : 0x100000);

        if (!dev->windows[i].mem)
            mem_map(io ? m->ports : m->mem, at, &dev->windows[i], 0);
        add_window(m, dev->windows[i].mem, dev->windows[i].base, dev->windows[i].size);
    }
}

static void find_virtio(struct machine *m)
{
    struct device *d = m->dev;

    if (d->type->inner_of)
        d = d->type->inner_of(d);
    if (d->type->bus && !strcmp(d->type->bus, "virtio-bus"))
        m->v = (struct virtio_dev *)d;
    /* what hangs below a virtio device is reached through its rings */
    for (unsigned i = 0; !m->v && i < m->adapter_count; i++) {
        struct device *a = m->adapters[i];

        if (a->type->inner_of && !strcmp(a->type->inner->bus, "virtio-bus"))
            m->v = (struct virtio_dev *)a->type->inner_of(a);
        else if (a->type->bus && !strcmp(a->type->bus, "virtio-bus"))
            m->v = (struct virtio_dev *)a;
    }
}

/* --- operations --- */

static void access(struct machine *m, struct input *in, bool write)
{
    uint8_t which = (uint8_t)take(in, 1);
    unsigned size = 1u << (which >> 6), off_bytes = which & 0x20 ? 3 : 1;
    const struct window *w = m->window_count ? &m->windows[(which & 31) % m->window_count] : NULL;
    uint64_t off = take(in, off_bytes), val = write ? take(in, size) : 0;
    gpa_t a;

    if (!w || !w->mem)
        return;
    a = w->at + off % w->size;
    if (write)
        mem_io_write(w->mem, mem_find(w->mem, a), a, val, size);
    else
        (void)mem_io_read(w->mem, mem_find(w->mem, a), a, size);
}

static void config(struct machine *m, struct input *in, bool write)
{
    uint8_t which = (uint8_t)take(in, 1);
    unsigned off = (unsigned)take(in, 2) & (PCIE_CONFIG_SIZE - 1), size = 1u << (which & 3) % 3;

    off &= ~(size - 1);
    if (write)
        pci_config_write(&m->pci, 0, which >> 2 & 0x3f, off, (uint32_t)take(in, size), size);
    else
        (void)pci_config_read(&m->pci, 0, which >> 2 & 0x3f, off, size);
}

static void write_ram(struct machine *m, struct input *in)
{
    gpa_t at = take(in, 3);
    size_t n = take(in, 1);

    n = MIN(n, (size_t)(in->end - in->p));
    if (at < RAM && n <= RAM - at)
        memcpy(mem_ram_base(m->mem) + at, in->p, n);
    in->p += n;
}

static void poll_loop(struct machine *m)
{
    loop_unlock(m->loop);
    loop_poll_once(m->loop, 0);
    loop_lock(m->loop);
}

/* --- virtio, as a driver that is nearly right --- */

static void virtio_start(struct machine *m, struct input *in)
{
    uint64_t mask = ~take(in, 5), features;
    bool legacy = take(in, 1) & 1;

    virtio_set_status(m->v, 0, legacy);
    virtio_set_status(m->v, 3, legacy);
    features = virtio_offered(m->v, legacy) & (mask | BIT(VIRTIO_F_VERSION_1));
    virtio_set_driver_features(m->v, features, legacy);
    virtio_set_status(m->v, 11, legacy);
    for (unsigned i = 0; i < QUEUES; i++) {
        struct virtqueue *q = virtio_queue_at(m->v, i);
        gpa_t base = RINGS + i * RING_ROOM;

        m->ring[i] = (struct vring){ 0, true, 0 };
        if (!q)
            continue;
        memset(mem_ram_base(m->mem) + base, 0, RING_ROOM);
        if (legacy) {
            virtio_queue_set_legacy(q, base, VIRTIO_LEGACY_ALIGN);
        } else {
            q->desc = base;
            q->driver = base + 0x8000;
            q->device = base + 0xa000;
            virtio_queue_enable(q);
        }
        q->vector = (uint16_t)i;
    }
    virtio_set_status(m->v, 15, legacy);
}

static void put_desc(uint8_t *p, gpa_t addr, uint32_t len, uint16_t a, uint16_t b)
{
    st_le64(p, addr);
    st_le32(p + 8, len);
    st_le16(p + 12, a);
    st_le16(p + 14, b);
}

/* A chain of up to eight pieces; what the device reads comes from the input. */
static void virtio_chain(struct machine *m, struct input *in)
{
    uint8_t head = (uint8_t)take(in, 1);
    unsigned n = (head >> 2 & 7) + 1, qn = head & (QUEUES - 1);
    struct virtqueue *q = virtio_queue_at(m->v, qn);
    struct vring *r = &m->ring[qn];
    uint8_t *ram = mem_ram_base(m->mem), *table;
    bool packed = virtio_has(m->v, VIRTIO_F_RING_PACKED);
    uint16_t first = r->next, first_at = r->avail;

    if (!q || !q->size || q->desc >= RAM - 16 * (gpa_t)q->size ||
        q->driver >= RAM - 4 - 2 * (gpa_t)q->size || r->next >= q->size || r->avail >= q->size)
        return;
    table = ram + q->desc;
    for (unsigned i = 0; i < n; i++) {
        uint8_t how = (uint8_t)take(in, 1);
        bool is_in = how & 1;
        uint32_t len = (uint32_t)take(in, how & 2 ? 2 : 1);
        gpa_t addr = RINGS + QUEUES * RING_ROOM + (gpa_t)qn * 0x80000 + i * 0x10000;
        size_t bytes = is_in ? 0 : MIN(MIN(len, 0x10000u), (size_t)(in->end - in->p));
        uint16_t next = (uint16_t)((r->next + 1) % q->size);
        uint16_t flags =
            (uint16_t)((i + 1 < n ? VIRTIO_DESC_NEXT : 0) | (is_in ? VIRTIO_DESC_WRITE : 0));

        if (bytes > 64 && (how & 4))
            bytes = 64; /* the rest is what was there */
        memcpy(ram + addr, in->p, bytes);
        in->p += bytes;
        if (packed) {
            put_desc(table + 16 * (size_t)r->avail, addr, len, first_at,
                     flags | (r->wrap ? 1 << 7 : 1 << 15));
            if (++r->avail == q->size) {
                r->avail = 0;
                r->wrap = !r->wrap;
            }
        } else {
            put_desc(table + 16 * (size_t)r->next, addr, len, flags, next);
            r->next = next;
        }
    }
    if (!packed) {
        uint8_t *avail = ram + q->driver;
        uint16_t idx = ld_le16(avail + 2);

        st_le16(avail + 4 + 2 * (idx % q->size), first);
        st_le16(avail + 2, (uint16_t)(idx + 1));
    }
    if (!(head & 0x80))
        virtio_queue_kick(q);
}

static bool operate(struct machine *m, struct input *in)
{
    uint8_t op = (uint8_t)take(in, 1);

    switch (op % 16) {
    case 0:
    case 1:
    case 2: access(m, in, true); break;
    case 3: access(m, in, false); break;
    case 4: config(m, in, true); break;
    case 5: config(m, in, false); break;
    case 6:
    case 7: write_ram(m, in); break;
    case 8: {
        uint64_t val = take(in, 1);

        loop_step_virtual_ns(m->loop, (int64_t)(val << (op >> 4) * 2));
        break;
    }
    case 9:
        device_reset(m->dev);
        if (op & 0x10)
            enable_pci(m);
        break;
    case 10: return op != 0xfa; /* unplugged */
    case 11:
        if (m->v)
            virtio_start(m, in);
        break;
    case 12:
    case 13:
    case 14:
        if (m->v)
            virtio_chain(m, in);
        break;
    default:
        echo_all(m);
        poll_loop(m);
        break;
    }
    return true;
}

static const struct device_type *choose(struct input *in)
{
    char name[NAME_MAX_LEN];
    size_t n = strnlen((const char *)in->p, MIN((size_t)(in->end - in->p), sizeof name - 1));
    uint32_t hash = 0, count = 0;
    const struct device_type *t;

    memcpy(name, in->p, n);
    name[n] = 0;
    in->p += MIN(n + 1, (size_t)(in->end - in->p));
    t = device_type_find(forced ? forced : name);
    if (t)
        return t;
    for (size_t i = 0; i < n; i++)
        hash = hash * 31 + (uint8_t)name[i];
    while (device_types[count])
        count++;
    return device_types[hash % count];
}

/* Made by boards alone, with parts that only those have. */
static bool left_out(const struct device_type *t)
{
    static const char *const names[] = { "lapic", "loader" };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(t->name, names[i]))
            return true;
    return false;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    for (int i = 1; i < *argc; i++)
        if (!strncmp((*argv)[i], "--device=", 9))
            forced = (*argv)[i] + 9;
    if (forced && !device_type_find(forced)) {
        (void)fprintf(stderr, "fuzz_device: there is no device '%s'\n", forced);
        exit(1);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, data + size };
    const struct device_type *t;
    struct machine *m;

    if (!size)
        return 0;
    t = choose(&in);
    if (left_out(t))
        return 0;
    m = xnew(struct machine);
    if (!machine_open(m))
        abort(); /* of the host, not of the device */
    m->dev = make(m, t, &in);
    if (m->dev) {
        enable_pci(m);
        map_windows(m, m->dev);
        for (unsigned i = 0; i < m->adapter_count; i++)
            map_windows(m, m->adapters[i]);
        find_virtio(m);
        for (unsigned n = 0; n < OPERATIONS && in.p < in.end; n++)
            if (!operate(m, &in))
                break;
    }
    machine_close(m);
    free(m);
    return 0;
}
