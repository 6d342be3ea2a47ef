/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI function: identity, capabilities, interrupts, life. Its registers are in
 * virtio_pci_modern.c and virtio_pci_legacy.c.
 */
#include "dev/virtio/virtio_pci.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "dev/pci/pcie.h"
#include "dev/virtio/virtio_priv.h"

enum {
    VENDOR = 0x1af4,
    DEVICE_MODERN = 0x1040, /* + virtio device ID, §4.1.2.1 */
    SUBSYSTEM_MODERN = 0x1100,
    BAR_LEGACY = 0,
    BAR_MSIX = 1,
    BAR_MODERN = 4,
    VECTORS_AUTO = -1,
    VECTORS_MAX = 2048,
};

enum { /* capabilities, §4.1.4 */
       CAP_COMMON = 1,
       CAP_NOTIFY = 2,
       CAP_ISR = 3,
       CAP_DEVICE = 4,
       CAP_PCI = 5,
       CAP_LEN = 2, /* offsets in one */
       CAP_TYPE = 3,
       CAP_BAR = 4,
       CAP_OFFSET = 8,
       CAP_LENGTH = 12,
       CAP_MULTIPLIER = 16,
       CAP_DATA = 16,
       CAP_SIZE = 16,
       COMMON_SIZE = 60,
};

static struct virtio_pci *proxy_of(struct device *dev)
{
    return (struct virtio_pci *)dev;
}

struct device *virtio_pci_inner(struct device *dev)
{
    return &proxy_of(dev)->v->dev;
}

/* --- interrupts --- */

static void line(struct virtio_transport *t)
{
    struct virtio_pci *p = t->opaque;

    pci_intx(&p->pci, atomic_load(&p->isr) && !pci_msix_enabled(&p->pci));
}

static void raise_line(struct virtio_pci *p, uint8_t bit)
{
    atomic_fetch_or(&p->isr, bit);
    if (loop_locked_by_me(p->pci.dev.ctx.loop))
        line(&p->transport);
    else
        virtio_later(p->v, VIRTIO_LATE_LINE);
}

static void notify_queue(struct virtio_transport *t, struct virtqueue *q)
{
    struct virtio_pci *p = t->opaque;

    if (!pci_msix_enabled(&p->pci))
        raise_line(p, 1);
    else if (q->vector < p->vector_count && !virtio_pci_irqfd_raise(p, q->vector))
        pci_msix_notify(&p->pci, q->vector);
}

static void notify_config(struct virtio_transport *t)
{
    struct virtio_pci *p = t->opaque;

    if (!pci_msix_enabled(&p->pci))
        raise_line(p, 3);
    else if (p->config_vector < p->vector_count)
        pci_msix_notify(&p->pci, p->config_vector);
}

uint8_t virtio_pci_isr_take(struct virtio_pci *p)
{
    uint8_t isr = atomic_exchange(&p->isr, 0);

    pci_intx(&p->pci, false);
    return isr;
}

uint16_t virtio_pci_vector(const struct virtio_pci *p, uint64_t val)
{
    return val < p->vector_count ? (uint16_t)val : UINT16_MAX;
}

/* --- configuration space --- */

/* §4.1.4.9: the registers for those who reach configuration space alone (firmware). */
static struct mem_region *cfg_target(struct virtio_pci *p, uint64_t *ret_off, unsigned *ret_size)
{
    const uint8_t *c = p->pci.config + p->cfg_cap;
    struct mem_region *r = c[CAP_BAR] == BAR_MODERN   ? &p->modern_region
                           : c[CAP_BAR] == BAR_LEGACY ? &p->legacy_region
                                                      : NULL;
    uint32_t size = ld_le32(c + CAP_LENGTH);

    *ret_off = ld_le32(c + CAP_OFFSET);
    *ret_size = size;
    if (!r || !r->size || (size != 1 && size != 2 && size != 4) || (*ret_off & (size - 1)) ||
        *ret_off > r->size - size)
        return NULL;
    return r;
}

static bool touches(unsigned off, unsigned size, unsigned reg, unsigned len)
{
    return off < reg + len && off + size > reg;
}

static void config_written(struct pci_dev *pci, unsigned off, unsigned size)
{
    struct virtio_pci *p = (struct virtio_pci *)pci;
    unsigned reg_size;
    uint64_t reg;

    if (touches(off, size, PCI_COMMAND, 2))
        virtio_dma_allow(p->v, pci->config[PCI_COMMAND] & PCI_COMMAND_MASTER);
    if (p->cfg_cap && touches(off, size, p->cfg_cap + CAP_DATA, 4)) {
        struct mem_region *r = cfg_target(p, &reg, &reg_size);

        if (r)
            r->ops->write(r->opaque, reg, ld_le32(pci->config + p->cfg_cap + CAP_DATA), reg_size);
    }
}

static void config_read(struct pci_dev *pci, unsigned off, unsigned size)
{
    struct virtio_pci *p = (struct virtio_pci *)pci;
    unsigned reg_size;
    uint64_t reg;
    struct mem_region *r;

    if (!p->cfg_cap || !touches(off, size, p->cfg_cap + CAP_DATA, 4))
        return;
    r = cfg_target(p, &reg, &reg_size);
    if (r)
        st_le32(pci->config + p->cfg_cap + CAP_DATA,
                (uint32_t)(r->ops->read(r->opaque, reg, reg_size) & BITS(8 * reg_size - 1, 0)));
}

static unsigned add_cap(struct virtio_pci *p, uint8_t type, uint32_t off, uint32_t len,
                        unsigned size)
{
    unsigned c = pci_cap_add(&p->pci, PCI_CAP_VENDOR, size);

    pci_set_byte(&p->pci, c + CAP_LEN, (uint8_t)size);
    pci_set_byte(&p->pci, c + CAP_TYPE, type);
    pci_set_byte(&p->pci, c + CAP_BAR, type == CAP_PCI ? 0 : BAR_MODERN);
    pci_set_dword(&p->pci, c + CAP_OFFSET, off);
    pci_set_dword(&p->pci, c + CAP_LENGTH, len);
    return c;
}

static void add_caps(struct virtio_pci *p)
{
    uint32_t notify = p->notify_multiplier * VIRTIO_QUEUES_MAX;
    unsigned c;

    (void)add_cap(p, CAP_COMMON, VIRTIO_PCI_COMMON, COMMON_SIZE, CAP_SIZE);
    (void)add_cap(p, CAP_ISR, VIRTIO_PCI_ISR, 1, CAP_SIZE);
    if (p->v->config_size)
        (void)add_cap(p, CAP_DEVICE, VIRTIO_PCI_CONFIG, p->v->config_size, CAP_SIZE);
    c = add_cap(p, CAP_NOTIFY, VIRTIO_PCI_NOTIFY, notify, CAP_SIZE + 4);
    pci_set_dword(&p->pci, c + CAP_MULTIPLIER, p->notify_multiplier);
    c = add_cap(p, CAP_PCI, 0, 0, CAP_SIZE + 4);
    p->pci.writable[c + CAP_BAR] = 0xff;
    memset(p->pci.writable + c + CAP_OFFSET, 0xff, 12); /* offset, length, data */
    memset(p->pci.changes + c + CAP_DATA, 0xff, 4);
    p->cfg_cap = (uint8_t)c;
    p->pci.config_read = config_read;
}

/* --- doorbells --- */

static void bells_off(struct virtio_pci *p)
{
    for (unsigned i = 0; i < p->bells; i++) {
        mem_doorbell_remove(&p->queues[i].bell);
        mem_doorbell_remove(&p->queues[i].legacy_bell);
    }
    p->bells = 0;
}

/* A queue on an I/O thread has an eventfd already: the guest writes that without the lock. */
static void bells_on(struct virtio_pci *p)
{
    if (!p->ioeventfd || p->bells)
        return;
    for (unsigned i = 0; i < p->v->queue_count; i++) {
        struct virtqueue *q = p->v->queues[i];
        struct virtio_pci_queue *b = &p->queues[i];

        p->bells = i + 1;
        if (ioctx_is_main(q->ctx) || q->kick_fd < 0)
            continue;
        b->bell = (struct mem_doorbell){ .off = VIRTIO_PCI_NOTIFY + p->notify_multiplier * i,
                                         .fd = q->kick_fd };
        b->legacy_bell = (struct mem_doorbell){
            .off = VIRTIO_PCI_LEGACY_NOTIFY, .size = 2, .match = true, .value = i, .fd = q->kick_fd
        };
        if (p->modern)
            mem_doorbell_add(&p->modern_region, &b->bell);
        if (p->legacy)
            mem_doorbell_add(&p->legacy_region, &b->legacy_bell);
    }
}

void virtio_pci_write_status(struct virtio_pci *p, uint8_t status, bool legacy)
{
    if (!status) {
        bells_off(p);
        p->device_select = p->driver_select = 0;
        p->driver_features = 0;
        p->queue_select = 0;
        p->config_vector = UINT16_MAX;
        (void)virtio_pci_isr_take(p);
    }
    virtio_set_status(p->v, status, legacy);
    if (p->v->status & VIRTIO_STATUS_DRIVER_OK)
        bells_on(p);
}

/* --- life --- */

void virtio_pci_defaults(struct device *dev)
{
    struct virtio_pci *p = proxy_of(dev);

    p->vectors = (uint32_t)VECTORS_AUTO;
    p->ioeventfd = true;
    p->v = (struct virtio_dev *)device_new(dev->type->inner, dev->id, &dev->ctx);
    if (dev->type->category == DEVICE_NETWORK)
        p->pci.default_rom = "efi-virtio.rom"; /* boots from the network */
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && !strcmp(s + n - m, end);
}

static bool choose_interfaces(struct virtio_pci *p, struct error *err)
{
    const char *name = p->pci.dev.type->name, *dl = p->disable_legacy;
    bool can_legacy = p->v->vtype->legacy_pci_device;

    if (dl && strcmp(dl, "on") != 0 && strcmp(dl, "off") != 0 && strcmp(dl, "auto") != 0)
        return fail(err, EINVAL, "disable-legacy=%s: it is on, off or auto", dl);
    p->modern = !p->disable_modern;
    if (ends_with(name, "-non-transitional"))
        p->legacy = false;
    else if (ends_with(name, "-transitional"))
        p->legacy = true;
    else if (!dl || !strcmp(dl, "auto"))
        p->legacy = can_legacy && (!pci_on_link(&p->pci) || !p->modern);
    else
        p->legacy = !strcmp(dl, "off");
    if (p->legacy && !can_legacy)
        return fail(err, EINVAL, "%s has no interface for old drivers: disable-legacy=on",
                    p->v->vtype->name);
    if (!p->legacy && !p->modern) {
        fail(err, EINVAL, "it has neither the old nor the new interface");
        return fail_hint(err, "disable-legacy=on and disable-modern=on exclude each other");
    }
    if (p->legacy && !p->modern && p->v->iommu_platform)
        return fail(err, EINVAL, "iommu_platform=on needs the virtio 1.0 interface");
    return true;
}

static void identify(struct virtio_pci *p)
{
    const struct virtio_type *t = p->v->vtype;
    struct pci_id id = {
        .vendor = VENDOR,
        .device = p->legacy ? t->legacy_pci_device : DEVICE_MODERN + t->id,
        .class_code = p->class_code ? (uint16_t)p->class_code : t->pci_class,
        .subsystem_vendor = VENDOR,
        .subsystem = p->legacy ? t->id : SUBSYSTEM_MODERN,
        .revision = p->legacy ? 0 : 1,
        .pin = 1,
    };

    pci_dev_init(&p->pci, &id);
}

static bool init_inside(struct virtio_pci *p, struct error *err)
{
    struct device *inner = &p->v->dev;

    bus_init(&p->bus, &virtio_bus_type, &p->pci.dev, "virtio-bus", NULL);
    p->bus.room = 1;
    inner->anonymous = p->pci.dev.anonymous;
    if (!bus_plug(&p->bus, inner, err))
        return false;
    inner->ready = false;
    if (!device_init(inner, err))
        return false;
    p->transport = (struct virtio_transport){ .notify_queue = notify_queue,
                                              .notify_config = notify_config,
                                              .update_line = line,
                                              .opaque = p };
    virtio_attach(p->v, &p->transport);
    return true;
}

bool virtio_pci_init(struct device *dev, struct error *err)
{
    struct virtio_pci *p = proxy_of(dev);
    uint32_t vectors = p->vectors;

    if (!init_inside(p, err) || !choose_interfaces(p, err))
        return false;
    identify(p);
    if (p->modern)
        pcie_endpoint_init(&p->pci);
    if (vectors == (uint32_t)VECTORS_AUTO)
        vectors = MIN(p->v->queue_count + 1, VECTORS_MAX);
    if (vectors && !pci_msix_init(&p->pci, vectors, BAR_MSIX, err))
        return false;
    p->vector_count = vectors;
    p->queues = xnew_array(struct virtio_pci_queue, p->v->queue_count + 1);
    p->pci.config_written = config_written;
    p->notify_multiplier = p->page_per_vq ? 4096 : 4;
    if (p->legacy) {
        virtio_pci_legacy_init(p);
        pci_bar_add(&p->pci, BAR_LEGACY, PCI_BAR_IO, &p->legacy_region);
    }
    if (p->modern) {
        virtio_pci_modern_init(p);
        pci_bar_add(&p->pci, BAR_MODERN, PCI_BAR_MEM64_PREFETCH, &p->modern_region);
        add_caps(p);
    }
    virtio_pci_irqfd_init(p);
    return true;
}

void virtio_pci_reset(struct device *dev)
{
    struct virtio_pci *p = proxy_of(dev);

    virtio_pci_write_status(p, 0, false);
    device_reset(&p->v->dev); /* what of it is not virtio's */
    pci_dev_reset(&p->pci);
    virtio_dma_allow(p->v, false);
}

void virtio_pci_finish(struct device *dev)
{
    struct virtio_pci *p = proxy_of(dev);

    if (p->v)
        virtio_stop(p->v); /* nobody raises interrupts any more */
    bells_off(p);
    virtio_pci_irqfd_finish(p);
    if (p->v) {
        virtio_attach(p->v, NULL);
        device_free(&p->v->dev);
        p->v = NULL;
    }
    bus_finish(&p->bus);
    pci_dev_finish(&p->pci);
    free(p->queues);
    p->queues = NULL;
}
