/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The standard VGA: text and graphic modes drawn to a surface, planes, VBE, hostile register
 * values. */
#include "dev/pci/pci.h"
#include "dev/video/vga.h"
#include "dev/video/vga_pci.h"
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

enum { VRAM = 16 << 20 };

struct rig {
    struct vga v;
    struct loop *loop;
    struct surface s;
};

static void open_rig(struct rig *r)
{
    struct error err;
    memset(r, 0, sizeof *r);
    r->loop = loop_new(&err);
    loop_lock(r->loop);
    clock_set_manual(loop_clock(r->loop, CLOCK_VIRTUAL), 0);
    vga_init(&r->v, r->loop, calloc(1, VRAM), VRAM);
    vga_reset(&r->v);
}

static void close_rig(struct rig *r)
{
    surface_finish(&r->s);
    free(r->v.vram);
    loop_unlock(r->loop);
    loop_free(r->loop);
}

static void set(struct rig *r, uint16_t port, unsigned index, uint8_t val)
{
    vga_port_write(&r->v, port, index);
    vga_port_write(&r->v, port + 1, val);
}

static void set_att(struct rig *r, unsigned index, uint8_t val)
{
    (void)vga_port_read(&r->v, 0x3da);
    vga_port_write(&r->v, 0x3c0, index);
    vga_port_write(&r->v, 0x3c0, val);
    vga_port_write(&r->v, 0x3c0, 0x20); /* screen on */
}

static void set_colour(struct rig *r, unsigned index, unsigned red, unsigned green, unsigned blue)
{
    vga_port_write(&r->v, 0x3c8, index);
    vga_port_write(&r->v, 0x3c9, red);
    vga_port_write(&r->v, 0x3c9, green);
    vga_port_write(&r->v, 0x3c9, blue);
}

/* Registers that the modes share; 640 or 720 by `lines`, rows of `cell` scan lines. */
static void set_mode(struct rig *r, unsigned columns, unsigned lines, unsigned cell, unsigned pitch)
{
    vga_port_write(&r->v, 0x3c2, 0x63);
    set(r, 0x3d4, 0x11, 0);
    set(r, 0x3d4, 1, columns - 1);
    set(r, 0x3d4, 7, ((lines - 1) >> 8 & 1) << 1 | ((lines - 1) >> 9 & 1) << 6 | 0x10);
    set(r, 0x3d4, 0x12, lines - 1);
    set(r, 0x3d4, 9, (cell - 1) | 0x40);
    set(r, 0x3d4, 0x13, pitch);
    set(r, 0x3d4, 0x17, 0xe3);
    set(r, 0x3d4, 0x18, 0xff);
    set(r, 0x3c4, 2, 0x0f);
    set(r, 0x3c4, 4, 0x06);
    set(r, 0x3ce, 8, 0xff);
    for (unsigned i = 0; i < 16; i++)
        set_att(r, i, i);
    set_att(r, 0x12, 0x0f);
    for (unsigned i = 0; i < 256; i++)
        set_colour(r, i, i & 63, 63 - (i & 63), i >> 2);
}

static uint32_t colour(unsigned i)
{
    unsigned c[3] = { i & 63, 63 - (i & 63), i >> 2 };
    for (unsigned k = 0; k < 3; k++)
        c[k] = c[k] << 2 | c[k] >> 4;
    return c[0] << 16 | c[1] << 8 | c[2];
}

static uint32_t pixel(struct rig *r, unsigned x, unsigned y)
{
    return r->s.pixels[y * r->s.width + x];
}

TEST(text)
{
    struct rig r;
    char buf[80 * 26];
    open_rig(&r);
    set_mode(&r, 80, 400, 16, 40);
    set(&r, 0x3c4, 4, 0x02); /* odd/even */
    set(&r, 0x3ce, 5, 0x10);
    set(&r, 0x3ce, 6, 0x0e);   /* B8000h */
    set(&r, 0x3d4, 0xa, 0x20); /* no cursor */
    set_att(&r, 0x13, 8);      /* what characters of nine dots have for no shift */
    for (unsigned i = 0; i < 2 * 80 * 25; i += 2) {
        vga_window_write(&r.v, 0x18000 + i, ' ');
        vga_window_write(&r.v, 0x18000 + i + 1, 0x07);
    }
    const char *hello = "Rhea";
    for (unsigned i = 0; i < 4; i++) {
        vga_window_write(&r.v, 0x18000 + 160 + 2 * i, hello[i]);
        vga_window_write(&r.v, 0x18000 + 161 + 2 * i, 0x1e);
    }
    CHECK_EQ(vga_window_read(&r.v, 0x18000 + 162), 'h');
    CHECK_EQ(vga_window_read(&r.v, 0x18000 + 163), 0x1e);
    /* the font goes to plane 2, sequentially */
    set(&r, 0x3c4, 2, 4);
    set(&r, 0x3c4, 4, 6);
    set(&r, 0x3ce, 5, 0);
    set(&r, 0x3ce, 6, 4);
    vga_window_write(&r.v, 'R' * 32 + 3, 0xa5);
    vga_head_ops.draw(&r.v, &r.s);
    CHECK_EQ(r.s.width, 720);
    CHECK_EQ(r.s.height, 400);
    for (unsigned x = 0; x < 9; x++)
        CHECK_EQ(pixel(&r, x, 16 + 3), x < 8 && 0xa5 & 0x80 >> x ? colour(14) : colour(1));
    CHECK_EQ(pixel(&r, 0, 0), colour(0));
    size_t n = vga_head_ops.text(&r.v, buf, sizeof buf);
    CHECK_EQ(n, 81 * 25);
    CHECK(!memcmp(buf + 81, "Rhea ", 5));
    /* the cursor: shown at virtual time 0, gone half a period later */
    set(&r, 0x3d4, 0xa, 14);
    set(&r, 0x3d4, 0xb, 15);
    vga_head_ops.draw(&r.v, &r.s);
    CHECK_EQ(pixel(&r, 0, 15), colour(7));
    loop_step_virtual_ns(r.loop, 16 * INT64_C(16666667));
    vga_head_ops.draw(&r.v, &r.s);
    CHECK_EQ(pixel(&r, 0, 15), colour(0));
    close_rig(&r);
}

TEST(sixteen_colours)
{
    struct rig r;
    open_rig(&r);
    set_mode(&r, 80, 480, 1, 40);
    set(&r, 0x3c4, 1, 1);
    set(&r, 0x3ce, 6, 5);
    /* write mode 2: pixel 3 of byte 81 has colour 9, by the bit mask */
    set(&r, 0x3ce, 5, 2);
    set(&r, 0x3ce, 8, 0x10);
    (void)vga_window_read(&r.v, 81);
    vga_window_write(&r.v, 81, 9);
    vga_head_ops.draw(&r.v, &r.s);
    CHECK_EQ(r.s.width, 640);
    CHECK_EQ(r.s.height, 480);
    CHECK_EQ(pixel(&r, 8 + 3, 1), colour(9));
    CHECK_EQ(pixel(&r, 8 + 2, 1), colour(0));
    /* read mode 1 finds it; write mode 1 copies the latch; mode 0 with set/reset and XOR */
    set(&r, 0x3ce, 5, 0x08);
    set(&r, 0x3ce, 2, 9);
    set(&r, 0x3ce, 7, 15);
    CHECK_EQ(vga_window_read(&r.v, 81), 0x10);
    set(&r, 0x3ce, 5, 1);
    vga_window_write(&r.v, 100, 0);
    CHECK_EQ(r.v.vram[400], 0x10);
    CHECK_EQ(r.v.vram[401], 0);
    CHECK_EQ(r.v.vram[403], 0x10);
    set(&r, 0x3ce, 5, 0);
    set(&r, 0x3ce, 8, 0xff);
    set(&r, 0x3ce, 0, 0x8);
    set(&r, 0x3ce, 1, 0x8);
    set(&r, 0x3ce, 3, 0x18 | 4); /* XOR, rotate by 4 */
    (void)vga_window_read(&r.v, 100);
    vga_window_write(&r.v, 100, 0x1f);
    CHECK_EQ(r.v.vram[400], 0x10 ^ 0xf1);
    CHECK_EQ(r.v.vram[402], 0xf1);
    CHECK_EQ(r.v.vram[403], 0x10 ^ 0xff);
    close_rig(&r);
}

TEST(mode_13h_and_split)
{
    struct rig r;
    open_rig(&r);
    set_mode(&r, 80, 400, 2, 40);
    set(&r, 0x3c4, 1, 1);
    set(&r, 0x3c4, 4, 0x0e);
    set(&r, 0x3ce, 5, 0x40);
    set(&r, 0x3ce, 6, 5);
    vga_window_write(&r.v, 320 * 2 + 5, 200);
    CHECK_EQ(vga_window_read(&r.v, 320 * 2 + 5), 200);
    vga_head_ops.draw(&r.v, &r.s);
    CHECK_EQ(pixel(&r, 10, 4), colour(200));
    CHECK_EQ(pixel(&r, 11, 5), colour(200));
    CHECK_EQ(pixel(&r, 12, 4), colour(0));
    /* line compare at 99: line 100 shows the start of the memory again */
    set(&r, 0x3d4, 7, 0x02);
    set(&r, 0x3d4, 9, 1);
    set(&r, 0x3d4, 0x18, 99);
    vga_head_ops.draw(&r.v, &r.s);
    CHECK_EQ(pixel(&r, 10, 104), colour(200));
    close_rig(&r);
}

TEST(vbe)
{
    struct rig r;
    open_rig(&r);
    CHECK_EQ(vbe_read(&r.v, VBE_ID), 0xb0c5);
    CHECK_EQ(vbe_read(&r.v, VBE_MEMORY_64K), 256);
    vbe_write(&r.v, VBE_XRES, 1024);
    vbe_write(&r.v, VBE_YRES, 768);
    vbe_write(&r.v, VBE_BPP, 32);
    vbe_write(&r.v, VBE_ENABLE, VBE_ENABLED | VBE_LFB);
    CHECK_EQ(vbe_read(&r.v, VBE_VIRT_HEIGHT), VRAM / 4096);
    memcpy(r.v.vram + (5 * 1024 + 7) * 4, "\x11\x22\x33", 3);
    vga_head_ops.draw(&r.v, &r.s);
    CHECK_EQ(r.s.width, 1024);
    CHECK_EQ(r.s.height, 768);
    CHECK_EQ(pixel(&r, 7, 5), 0x332211);
    vbe_write(&r.v, VBE_Y_OFFSET, 5);
    vga_head_ops.draw(&r.v, &r.s);
    CHECK_EQ(pixel(&r, 7, 0), 0x332211);
    vbe_write(&r.v, VBE_Y_OFFSET, 65535); /* held back: the last whole screen */
    CHECK_EQ(vbe_read(&r.v, VBE_Y_OFFSET), VRAM / 4096 - 768);
    vbe_write(&r.v, VBE_ENABLE, 0);
    vbe_write(&r.v, VBE_BPP, 16);
    vbe_write(&r.v, VBE_ENABLE, VBE_ENABLED | VBE_LFB);
    memcpy(r.v.vram + 2, "\x1f\xf8", 2);
    vga_head_ops.draw(&r.v, &r.s);
    CHECK_EQ(pixel(&r, 1, 0), 0xff00ff);
    /* the banked window */
    vbe_write(&r.v, VBE_BANK, 3);
    set(&r, 0x3c4, 4, 0x0e);
    set(&r, 0x3ce, 6, 5);
    set(&r, 0x3c4, 2, 15);
    vga_window_write(&r.v, 9, 0x77);
    CHECK_EQ(r.v.vram[3 * 65536 + 9], 0x77);
    close_rig(&r);
}

/* Whatever the registers hold, drawing and the window stay inside the memory. */
TEST(random_registers)
{
    struct rig r;
    uint32_t x = 1;
    open_rig(&r);
    for (unsigned round = 0; round < 300; round++) {
        for (unsigned i = 0; i < 200; i++) {
            x = x * 1664525 + 1013904223;
            if (x >> 30 == 0)
                vbe_write(&r.v, x >> 8 & 15, x >> 12);
            else
                vga_port_write(&r.v, 0x3c0 + (x >> 8 & 31), x >> 16);
            x = x * 1664525 + 1013904223;
            vga_window_write(&r.v, x >> 15, x >> 3);
            (void)vga_window_read(&r.v, x >> 14 & 0x1ffff);
        }
        vga_head_ops.draw(&r.v, &r.s);
    }
    close_rig(&r);
}

/* As a PCI function: frame buffer and registers behind BARs, old ports only for the first one. */
TEST(pci)
{
    struct error err = { 0 };
    struct loop *loop = loop_new(&err);
    loop_lock(loop);
    struct mem *mem = mem_new(loop, "memory", 0, 64 << 20, &err);
    struct mem *io = mem_new(loop, "io", 0x10000, 0, &err);
    struct display_set set = { 0 };
    const struct device_ctx ctx = { .loop = loop, .dma = mem, .displays = &set };
    struct device *dev = device_create(&vga_pci_type, "vga", &ctx, &err);
    CHECK(dev);
    CHECK(set.first && set.first->next == NULL);
    struct mem_region *mmio = device_window(dev, "vga.mmio");
    mem_map(mem, 0x10000000, mmio, 0);
    gpa_t a = 0x10000000;
    CHECK_EQ(mem_io_read(mem, mem_find(mem, a), a, 4), 0xffffff00);
    a = 0x10000500;
    CHECK_EQ(mem_io_read(mem, mem_find(mem, a), a, 2), 0xb0c5);
    device_free(dev);
    CHECK(!set.first);
    dev = device_new(&vga_pci_type, "vga", &ctx);
    CHECK(device_set(dev, "vgamem_mb", "3", &err));
    CHECK(!device_init(dev, &err));
    device_free(dev);
    mem_free(mem);
    mem_free(io);
    loop_unlock(loop);
    loop_free(loop);
}
