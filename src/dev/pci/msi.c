/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI and MSI-X. Vectors are raised from any thread while the guest writes tables under the machine
 * lock: the function's msi.lock stands between; messages leave with no lock of ours held. A
 * message is a memory write of the function, so it needs the bus master bit.
 */
#include "dev/pci/msi.h"

#include "base/endian.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum { /* MSI, §6.8.1: always with 64-bit address and masks */
       MSI_CONTROL = 2,
       MSI_ADDRESS = 4,
       MSI_DATA = 12,
       MSI_MASK = 16,
       MSI_PENDING = 20,
       MSI_SIZE = 24,
       MSI_ENABLE = BIT(0),
       MSI_64BIT = BIT(7),
       MSI_MASKING = BIT(8),
       MSI_VECTORS_MAX = 32,
};

enum { /* MSI-X, §6.8.2 */
       MSIX_CONTROL = 2,
       MSIX_TABLE = 4,
       MSIX_PBA = 8,
       MSIX_SIZE = 12,
       MSIX_ENABLE = BIT(15),
       MSIX_FUNCTION_MASK = BIT(14),
       ENTRY_SIZE = 16,
       ENTRY_DATA = 2, /* in dwords */
       ENTRY_CONTROL = 3,
       ENTRY_MASKED = BIT(0),
};

const struct msi_sink *pci_msi_sink(const struct pci_dev *p)
{
    return p->bus ? pci_bus_root(p->bus)->msi : NULL;
}

static void send(const struct pci_dev *p, const struct msi_message *m)
{
    const struct msi_sink *sink = pci_msi_sink(p);
    if (sink && p->config[PCI_COMMAND] & PCI_COMMAND_MASTER)
        sink->send(sink->opaque, m->addr, m->data);
}

/* --- MSI --- */

bool pci_msi_init(struct pci_dev *p, unsigned vectors, struct error *err)
{
    if (!vectors || vectors > MSI_VECTORS_MAX || !is_pow2(vectors))
        return fail(err, EINVAL, "%u MSI vectors: it is 1, 2, 4, 8, 16 or 32", vectors);
    unsigned c = pci_cap_add(p, PCI_CAP_MSI, MSI_SIZE);
    unsigned order = __builtin_ctz(vectors);
    p->msi.msi_vectors = vectors;
    p->msi.msi_cap = c;
    pci_set_word(p, c + MSI_CONTROL, MSI_64BIT | MSI_MASKING | order << 1);
    p->writable[c + MSI_CONTROL] = MSI_ENABLE | 7 << 4;
    st_le32(p->writable + c + MSI_ADDRESS, 0xfffffffc);
    st_le32(p->writable + c + MSI_ADDRESS + 4, 0xffffffff);
    st_le16(p->writable + c + MSI_DATA, 0xffff);
    st_le32(p->writable + c + MSI_MASK, BITS(vectors - 1, 0));
    st_le32(p->changes + c + MSI_PENDING, BITS(vectors - 1, 0));
    return true;
}

/* Vectors that the driver allowed: fewer than asked for share, by the low bits of the data. */
static unsigned msi_allowed(const struct pci_dev *p)
{
    unsigned order = bits(p->config[p->msi.msi_cap + MSI_CONTROL], 4, 3);
    return MIN(1u << MIN(order, 5u), (unsigned)p->msi.msi_vectors);
}

static struct msi_message msi_message(const struct pci_dev *p, unsigned n)
{
    const uint8_t *c = p->config + p->msi.msi_cap;
    unsigned allowed = msi_allowed(p);
    uint32_t data = ld_le16(c + MSI_DATA);
    return (struct msi_message){ ld_le64(c + MSI_ADDRESS),
                                 (data & ~(allowed - 1)) | (n & (allowed - 1)) };
}

/* Vectors that became free while they were pending are sent. */
static void msi_flush(struct pci_dev *p)
{
    uint8_t *c = p->config + p->msi.msi_cap;
    pthread_mutex_lock(&p->msi.lock);
    p->msi.msi_on = c[MSI_CONTROL] & MSI_ENABLE;
    uint32_t go = p->msi.msi_on ? ld_le32(c + MSI_PENDING) & ~ld_le32(c + MSI_MASK) : 0;
    st_le32(c + MSI_PENDING, ld_le32(c + MSI_PENDING) & ~go);
    pthread_mutex_unlock(&p->msi.lock);
    for (; go; go &= go - 1) {
        struct msi_message m = msi_message(p, __builtin_ctz(go));
        send(p, &m);
    }
}

bool pci_msi_enabled(const struct pci_dev *p)
{
    return __atomic_load_n(&p->msi.msi_on, __ATOMIC_RELAXED);
}

void pci_msi_notify(struct pci_dev *p, unsigned n)
{
    uint8_t *c = p->config + p->msi.msi_cap;
    struct msi_message m;
    bool go;
    assert(n < p->msi.msi_vectors);
    pthread_mutex_lock(&p->msi.lock);
    go = p->msi.msi_on && !(ld_le32(c + MSI_MASK) >> n & 1);
    if (p->msi.msi_on && !go)
        st_le32(c + MSI_PENDING, ld_le32(c + MSI_PENDING) | UINT32_C(1) << n);
    m = msi_message(p, n);
    pthread_mutex_unlock(&p->msi.lock);
    if (go)
        send(p, &m);
}

/* --- MSI-X --- */

static bool is_pending(const struct pci_dev *p, unsigned n)
{
    return p->msix_pending[n / 32] >> n % 32 & 1;
}

static bool is_masked(const struct pci_dev *p, unsigned n)
{
    return p->msi.msix_masked || p->msix_table[4 * n + ENTRY_CONTROL] & ENTRY_MASKED;
}

static struct msi_message msix_message(const struct pci_dev *p, unsigned n)
{
    const uint32_t *e = p->msix_table + 4 * n;
    return (struct msi_message){ e[0] | (uint64_t)e[1] << 32, e[ENTRY_DATA] };
}

/* Vector n's entry or mask changed: send what waited, tell who watches. Machine lock held. */
static void msix_follow(struct pci_dev *p, unsigned n)
{
    struct msi_message m;
    pthread_mutex_lock(&p->msi.lock);
    bool open = p->msi.msix_on && !is_masked(p, n);
    bool go = open && is_pending(p, n);
    m = msix_message(p, n);
    if (go)
        p->msix_pending[n / 32] &= ~(UINT32_C(1) << n % 32);
    pthread_mutex_unlock(&p->msi.lock);
    if (p->msi.changed)
        p->msi.changed(p->msi.changed_opaque, n, open ? &m : NULL);
    if (go)
        send(p, &m);
}

static void msix_control(struct pci_dev *p)
{
    uint16_t control = ld_le16(p->config + p->msi.msix_cap + MSIX_CONTROL);
    bool on = control & MSIX_ENABLE, masked = control & MSIX_FUNCTION_MASK;
    if (on == p->msi.msix_on && masked == p->msi.msix_masked)
        return;
    pthread_mutex_lock(&p->msi.lock);
    p->msi.msix_on = on;
    p->msi.msix_masked = masked;
    pthread_mutex_unlock(&p->msi.lock);
    for (unsigned n = 0; n < p->msi.msix_vectors; n++)
        msix_follow(p, n);
}

static uint64_t table_read(void *opaque, uint64_t off, unsigned size)
{
    const struct pci_dev *p = opaque;
    return off / ENTRY_SIZE < p->msi.msix_vectors ? p->msix_table[off / 4] : 0;
}

static void table_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct pci_dev *p = opaque;
    if (off / ENTRY_SIZE >= p->msi.msix_vectors)
        return;
    pthread_mutex_lock(&p->msi.lock);
    p->msix_table[off / 4] = off / 4 % 4 == ENTRY_CONTROL ? val & ENTRY_MASKED : val;
    pthread_mutex_unlock(&p->msi.lock);
    msix_follow(p, off / ENTRY_SIZE);
}

static uint64_t pba_read(void *opaque, uint64_t off, unsigned size)
{
    struct pci_dev *p = opaque;
    if (off / 4 >= ARRAY_SIZE(p->msix_pending))
        return 0;
    pthread_mutex_lock(&p->msi.lock);
    uint32_t v = p->msix_pending[off / 4];
    pthread_mutex_unlock(&p->msi.lock);
    return v;
}

static uint64_t nothing_read(void *opaque, uint64_t off, unsigned size)
{
    return 0;
}

static void nothing_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
}

static const struct mem_io_ops table_ops = {
    .read = table_read, .write = table_write, .min_size = 4, .max_size = 4
};
static const struct mem_io_ops pba_ops = {
    .read = pba_read, .write = nothing_write, .min_size = 4, .max_size = 4
};
static const struct mem_io_ops nothing_ops = {
    .read = nothing_read, .write = nothing_write, .min_size = 1, .max_size = 8
};

bool pci_msix_init_in(struct pci_dev *p, unsigned vectors, unsigned bar,
                      struct mem_region *container, uint32_t table_off, uint32_t pba_off,
                      struct error *err)
{
    uint64_t pba_size = ALIGN_UP(vectors, 64u) / 8;
    if (!vectors || vectors > PCI_MSIX_VECTORS)
        return fail(err, EINVAL, "%u MSI-X vectors: it is 1 to %d", vectors, PCI_MSIX_VECTORS);
    assert(p->bars[bar].region == container && (table_off | pba_off) % 8 == 0);
    unsigned c = pci_cap_add(p, PCI_CAP_MSIX, MSIX_SIZE);
    p->msi.msix_cap = c;
    p->msi.msix_vectors = vectors;
    pci_set_word(p, c + MSIX_CONTROL, vectors - 1);
    pci_set_dword(p, c + MSIX_TABLE, table_off | bar);
    pci_set_dword(p, c + MSIX_PBA, pba_off | bar);
    st_le16(p->writable + c + MSIX_CONTROL, MSIX_ENABLE | MSIX_FUNCTION_MASK);
    mem_region_init_io(&p->msi.table, "msix-table", &table_ops, p, vectors * (uint64_t)ENTRY_SIZE);
    mem_region_init_io(&p->msi.pba, "msix-pba", &pba_ops, p, pba_size);
    pci_bar_overlay(p, bar, &p->msi.table, table_off);
    pci_bar_overlay(p, bar, &p->msi.pba, pba_off);
    return true;
}

bool pci_msix_init(struct pci_dev *p, unsigned vectors, unsigned bar, struct error *err)
{
    uint64_t half = 2048;
    while (vectors <= PCI_MSIX_VECTORS && half < vectors * (uint64_t)ENTRY_SIZE)
        half *= 2;
    if (p->bars[bar].kind == PCI_BAR_NONE) {
        mem_region_init_io(&p->msi.own, "msix", &nothing_ops, p, 2 * half);
        pci_bar_add(p, bar, PCI_BAR_MEM32, &p->msi.own);
    }
    return pci_msix_init_in(p, vectors, bar, p->bars[bar].region, 0, half, err);
}

bool pci_msix_enabled(const struct pci_dev *p)
{
    return __atomic_load_n(&p->msi.msix_on, __ATOMIC_RELAXED);
}

void pci_msix_notify(struct pci_dev *p, unsigned n)
{
    struct msi_message m;
    if (n >= p->msi.msix_vectors) /* the guest chose it: VIRTIO_MSI_NO_VECTOR and the like */
        return;
    pthread_mutex_lock(&p->msi.lock);
    bool go = p->msi.msix_on && !is_masked(p, n);
    if (p->msi.msix_on && !go)
        p->msix_pending[n / 32] |= UINT32_C(1) << n % 32;
    m = msix_message(p, n);
    pthread_mutex_unlock(&p->msi.lock);
    if (go)
        send(p, &m);
}

void pci_msix_watch(struct pci_dev *p,
                    void (*changed)(void *opaque, unsigned n, const struct msi_message *msg),
                    void *opaque)
{
    p->msi.changed = changed;
    p->msi.changed_opaque = opaque;
    for (unsigned n = 0; changed && n < p->msi.msix_vectors; n++)
        msix_follow(p, n);
}

/* --- the function's life --- */

void pci_msi_config_written(struct pci_dev *p, unsigned off, unsigned size)
{
    unsigned msi = p->msi.msi_cap, msix = p->msi.msix_cap;
    if (msi && off < msi + MSI_SIZE && off + size > msi) {
        msi_flush(p);
        pci_dev_update(p);
    }
    if (msix && off < msix + MSIX_TABLE && off + size > msix) {
        msix_control(p);
        pci_dev_update(p);
    }
}

/* Registers were reset (table and all) or loaded (with the table). */
void pci_msi_follow(struct pci_dev *p)
{
    if (p->msi.msi_cap)
        p->msi.msi_on = p->config[p->msi.msi_cap + MSI_CONTROL] & MSI_ENABLE;
    if (!p->msi.msix_cap)
        return;
    for (unsigned n = 0; n < p->msi.msix_vectors; n++)
        p->msix_table[4 * n + ENTRY_CONTROL] &= ENTRY_MASKED;
    p->msi.msix_on = p->msi.msix_masked = false;
    msix_control(p);
}

void pci_msi_reset(struct pci_dev *p)
{
    unsigned count = p->msi.msix_vectors;
    memset(p->msix_pending, 0, sizeof p->msix_pending);
    memset(p->msix_table, 0, sizeof(uint32_t) * 4 * count);
    for (unsigned n = 0; n < count; n++) {
        p->msix_table[4 * n + ENTRY_CONTROL] = ENTRY_MASKED;
        if (p->msi.changed)
            p->msi.changed(p->msi.changed_opaque, n, NULL);
    }
    pci_msi_follow(p);
}

void pci_msi_finish(struct pci_dev *p)
{
    if (p->msi.own.size)
        mem_unmap(&p->msi.own);
    p->msi.changed = NULL;
}
