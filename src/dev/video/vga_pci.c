/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The standard VGA adapter as a PCI function (1234:1111): frame buffer in BAR 0, registers in BAR 2
 * (EDID, the VGA ports at 400h, Bochs's registers at 500h, byte order at 600h), and the old ports
 * and window that a PC's first display has. Its ROM is SeaBIOS's VGA BIOS.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "dev/pci/pci.h"
#include "dev/video/vga.h"
#include "dev/video/vga_pci.h"

#include <errno.h>
#include <string.h>

enum {
    MMIO_SIZE = 0x1000,
    MMIO_EDID = 0x000,
    MMIO_VGA = 0x400, /* ports 3c0h to 3dfh */
    MMIO_VBE = 0x500,
    MMIO_ORDER = 0x600,
    EDID_SIZE = 128,
    ORDER_LITTLE = 0x1e1e1e1e,
    VRAM_MB_DEFAULT = 16,
    PRIORITY_LEGACY = 1, /* above the RAM-less hole, as other chipset windows */
};

struct vga_pci {
    struct pci_dev pci;
    struct vga vga;
    struct display_head head;
    struct mem_region vram_region;
    gra_t vram;
    uint8_t edid_bytes[EDID_SIZE];
    /* properties */
    uint32_t vgamem_mb, xres, yres, xmax, ymax;
    bool edid;
};

static struct vga_pci *of(struct device *dev)
{
    return (struct vga_pci *)dev;
}

/* --- EDID 1.4 (VESA E-EDID): one detailed timing of the preferred mode --- */

static void edid_timing(uint8_t *t, unsigned x, unsigned y)
{
    unsigned h_blank = 160, v_blank = 45, clock = (x + h_blank) * (y + v_blank) * 60 / 10000;
    st_le16(t, MIN(clock, 65535u));
    t[2] = x;
    t[3] = h_blank;
    t[4] = x >> 8 << 4;
    t[5] = y;
    t[6] = v_blank;
    t[7] = y >> 8 << 4;
    t[8] = 48; /* front porch, sync width */
    t[9] = 32;
    t[10] = 3 << 4 | 5;
    t[12] = 300 & 0xff; /* millimetres */
    t[13] = 225 & 0xff;
    t[14] = 300 >> 8 << 4;
    t[17] = 0x1e;
}

static void make_edid(struct vga_pci *p)
{
    static const uint8_t magic[8] = { 0, 255, 255, 255, 255, 255, 255, 0 };
    static const uint8_t name[18] = { 0,   0,   0,   0xfc, 0,   'R', 'h', 'e', 'a',
                                      ' ', 'M', 'o', 'n',  'i', 't', 'o', 'r', '\n' };
    static const uint8_t range[18] = { 0,  0, 0,    0xfd, 0,  50, 125, 30, 160,
                                       30, 0, '\n', 32,   32, 32, 32,  32, 32 };
    uint8_t *e = p->edid_bytes, sum = 0;
    memset(e, 0, EDID_SIZE);
    memcpy(e, magic, sizeof magic);
    e[8] = ('R' - '@') << 2 | ('H' - '@') >> 3; /* manufacturer: three letters of five bits */
    e[9] = (uint8_t)(('H' - '@') << 5 | ('E' - '@'));
    e[10] = 1;
    e[17] = 2026 - 1990;
    e[18] = 1;
    e[19] = 4;
    e[20] = 0xa5; /* digital, 8 bits, DisplayPort */
    e[21] = 30;
    e[22] = 23;
    e[23] = 120; /* gamma 2.2 */
    e[24] = 0x06;
    static const uint8_t srgb[10] = { 0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54 };
    memcpy(e + 25, srgb, sizeof srgb);
    e[35] = 0x21; /* 640x480, 800x600 at 60 Hz */
    e[36] = 0x08; /* 1024x768 */
    for (unsigned i = 38; i < 54; i++)
        e[i] = 1;
    edid_timing(e + 54, p->xres, p->yres);
    memcpy(e + 72, range, sizeof range);
    memcpy(e + 90, name, sizeof name);
    e[108 + 3] = 0x10;
    for (unsigned i = 0; i < EDID_SIZE - 1; i++)
        sum += e[i];
    e[EDID_SIZE - 1] = -sum;
}

/* --- windows --- */

static uint64_t mmio_byte(struct vga_pci *p, uint64_t off)
{
    if (off < MMIO_EDID + EDID_SIZE)
        return p->edid ? p->edid_bytes[off - MMIO_EDID] : 0;
    if (off >= MMIO_VGA && off < MMIO_VGA + 0x20)
        return vga_port_read(&p->vga, 0x3c0 + (off - MMIO_VGA));
    if (off >= MMIO_ORDER && off < MMIO_ORDER + 8)
        return (off < MMIO_ORDER + 4 ? 8 : ORDER_LITTLE) >> (8 * (off & 3)) & 0xff;
    return 0;
}

static uint64_t mmio_read(struct device *dev, uint64_t off, unsigned size)
{
    struct vga_pci *p = of(dev);
    uint64_t val = 0;
    if (off >= MMIO_VBE && off < MMIO_VBE + 2 * VBE_REGS)
        return size == 1 ? vbe_read(&p->vga, (off - MMIO_VBE) / 2) >> (8 * (off & 1)) & 0xff
                         : vbe_read(&p->vga, (off - MMIO_VBE) / 2);
    for (unsigned i = 0; i < size; i++)
        val |= mmio_byte(p, off + i) << (8 * i);
    return val;
}

static void mmio_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct vga_pci *p = of(dev);
    if (off >= MMIO_VBE && off < MMIO_VBE + 2 * VBE_REGS) {
        vbe_write(&p->vga, (off - MMIO_VBE) / 2, val);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        if (off + i >= MMIO_VGA && off + i < MMIO_VGA + 0x20)
            vga_port_write(&p->vga, 0x3c0 + (off + i - MMIO_VGA), val >> (8 * i));
}

static uint64_t ports_read(struct device *dev, uint64_t off, unsigned size)
{
    return vga_port_read(&of(dev)->vga, VGA_PORT_BASE + off);
}

static void ports_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    vga_port_write(&of(dev)->vga, VGA_PORT_BASE + off, val);
}

static uint64_t vbe_ports_read(struct device *dev, uint64_t off, unsigned size)
{
    struct vga *v = &of(dev)->vga;
    return off ? vbe_read(v, v->vbe_index) : v->vbe_index;
}

/* Data is at 1cfh for those who know an AT bus, and at 1d0h for the aligned. */
static void vbe_ports_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    struct vga *v = &of(dev)->vga;
    if (off)
        vbe_write(v, v->vbe_index, val);
    else
        v->vbe_index = val;
}

static uint64_t window_read(struct device *dev, uint64_t off, unsigned size)
{
    return vga_window_read(&of(dev)->vga, off);
}

static void window_write(struct device *dev, uint64_t off, uint64_t val, unsigned size)
{
    vga_window_write(&of(dev)->vga, off, val);
}

enum { WIN_MMIO, WIN_PORTS, WIN_VBE, WIN_WINDOW, WINDOWS };
static const struct device_window windows[WINDOWS] = {
    [WIN_MMIO] = { "vga.mmio", WINDOW_MMIO, MMIO_SIZE, mmio_read, mmio_write, 1, 4 },
    [WIN_PORTS] = { "vga", WINDOW_PIO, VGA_PORTS, ports_read, ports_write, 1, 1 },
    [WIN_VBE] = { "vbe", WINDOW_PIO, VBE_PORTS, vbe_ports_read, vbe_ports_write, 2, 2 },
    [WIN_WINDOW] = { "vga-lowmem", WINDOW_MMIO, VGA_WINDOW_SIZE, window_read, window_write, 1, 1 },
};

/* The device drew into memory that might hold translated code. */
static void vram_written(void *opaque, uint32_t off, uint32_t len)
{
    struct vga_pci *p = opaque;
    mem_written(p->pci.dev.ctx.dma, p->vram + off, len);
}

/* --- life --- */

static void vga_pci_defaults(struct device *dev)
{
    struct vga_pci *p = of(dev);
    p->pci.default_rom = "vgabios-stdvga.bin";
    p->vgamem_mb = VRAM_MB_DEFAULT;
    p->edid = true;
    p->xres = 1280;
    p->yres = 800;
}

static bool check(struct vga_pci *p, struct error *err)
{
    if (p->vgamem_mb > 512 || !p->vgamem_mb || !is_pow2(p->vgamem_mb)) {
        (void)fail(err, EINVAL, "vgamem_mb=%u: not a power of two of 1 to 512", p->vgamem_mb);
        return fail_hint(err, "16 is the default");
    }
    if (!p->pci.dev.ctx.dma)
        return fail(err, EINVAL, "no memory to have its frame buffer in");
    return true;
}

static void map_legacy(struct vga_pci *p)
{
    struct pci_bus *bus = p->pci.bus;
    struct mem_region *w = p->pci.dev.windows;
    if (!bus || w[WIN_PORTS].mem || mem_find(bus->io, VGA_PORT_BASE)->kind != MEM_NONE)
        return; /* a second adapter has the new windows only */
    mem_map(bus->io, VGA_PORT_BASE, &w[WIN_PORTS], PRIORITY_LEGACY);
    mem_map(bus->io, VBE_PORT_INDEX, &w[WIN_VBE], PRIORITY_LEGACY);
    mem_map(bus->mem, VGA_WINDOW_BASE, &w[WIN_WINDOW], PRIORITY_LEGACY);
}

static bool vga_pci_init(struct device *dev, struct error *err)
{
    struct vga_pci *p = of(dev);
    struct mem *m = dev->ctx.dma;
    uint64_t size = (uint64_t)p->vgamem_mb << 20;
    if (!check(p, err) || !mem_ram_alloc(m, size, &p->vram, err))
        return false;
    pci_dev_init(&p->pci, &(const struct pci_id){ .vendor = 0x1234,
                                                  .device = 0x1111,
                                                  .class_code = 0x0300,
                                                  .subsystem_vendor = 0x1af4,
                                                  .subsystem = 0x1100,
                                                  .revision = 2 });
    mem_region_init_ram(&p->vram_region, "vga.vram", p->vram, size);
    pci_bar_add(&p->pci, 0, PCI_BAR_MEM32, &p->vram_region);
    pci_bar_add(&p->pci, 2, PCI_BAR_MEM32, &dev->windows[WIN_MMIO]);
    p->vga.max_x = p->xmax;
    p->vga.max_y = p->ymax;
    p->vga.written = vram_written;
    p->vga.opaque = p;
    vga_init(&p->vga, dev->ctx.loop, mem_ram_base(m) + p->vram, size);
    make_edid(p);
    map_legacy(p);
    p->head = (struct display_head){ .name = dev->id, .ops = &vga_head_ops, .opaque = &p->vga };
    display_add(dev->ctx.displays, &p->head);
    return true;
}

static void vga_pci_finish(struct device *dev)
{
    struct vga_pci *p = of(dev);
    display_remove(dev->ctx.displays, &p->head);
    pci_dev_finish(&p->pci);
    mem_unmap(&p->vram_region);
}

static void vga_pci_reset(struct device *dev)
{
    struct vga_pci *p = of(dev);
    pci_dev_reset(&p->pci);
    vga_reset(&p->vga);
}

static bool vga_pci_loaded(struct device *dev, struct error *err)
{
    return pci_dev_loaded(&of(dev)->pci, err);
}

const struct device_type vga_pci_type = {
    .name = "VGA",
    .doc = "standard VGA with Bochs VBE",
    .bus = "PCI",
    .category = DEVICE_DISPLAY,
    .size = sizeof(struct vga_pci),
    .props = FIELDS(
        FIELD(struct vga_pci, vgamem_mb, .wire = "vgamem_mb", .doc = "video memory, MiB [16]"),
        FIELD(struct vga_pci, edid, .doc = "offer an EDID block [on]"),
        FIELD(struct vga_pci, xres, .min = 320, .max = 4095,
              .doc = "preferred width, pixels [1280]"),
        FIELD(struct vga_pci, yres, .min = 200, .max = 4095,
              .doc = "preferred height, pixels [800]"),
        FIELD(struct vga_pci, xmax, .max = SURFACE_SIDE_MAX, .doc = "greatest width [2560]"),
        FIELD(struct vga_pci, ymax, .max = SURFACE_SIDE_MAX, .doc = "greatest height [1600]")),
    .state = FIELDS(PCI_DEV_STATE(struct vga_pci), VGA_STATE(struct vga_pci, vga)),
    .defaults = vga_pci_defaults,
    .init = vga_pci_init,
    .finish = vga_pci_finish,
    .reset = vga_pci_reset,
    .loaded = vga_pci_loaded,
    .windows = windows,
    .window_count = WINDOWS,
};
