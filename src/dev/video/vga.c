/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VGA registers and Bochs's VBE registers. Registers keep what was written in the bits that exist;
 * what they mean is worked out when memory is touched (vga_mem.c) or the screen is drawn
 * (vga_draw.c).
 */
#include "dev/video/vga.h"

#include <string.h>

#include "base/bits.h"

enum {
    MISC_COLOUR = 0x01, /* CRT controller at 3dxh */
    MISC_CLOCK_28 = 0x04,
    STATUS1_BLANK = 0x01,
    STATUS1_RETRACE = 0x08,
    CRT_LOCK = 0x80,  /* in register 11h: 0 to 7 are read only */
    ATT_MODES = 0x10, /* attribute registers from here are modes, below palette */
    ATT_SCREEN_ON = 0x20,
};

/* Bits that exist, by register. */
static const uint8_t seq_mask[VGA_SEQ_REGS] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e };
static const uint8_t gfx_mask[VGA_GFX_REGS] = {
    0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff
};
static const uint8_t att_mask[VGA_ATT_REGS] = {
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f,
};
enum { CRT_LAST = 0x18 };

void vga_init(struct vga *v, struct loop *loop, uint8_t *vram, uint32_t vram_size)
{
    v->loop = loop;
    v->vram = vram;
    v->vram_size = vram_size;
    if (!v->max_x)
        v->max_x = 2560;
    if (!v->max_y)
        v->max_y = 1600;
}

void vga_reset(struct vga *v)
{
    size_t from = offsetof(struct vga, seq_index), to = offsetof(struct vga, max_x);

    memset((char *)v + from, 0, to - from);
    v->dac_mask = 0xff;
    v->vbe[VBE_ID] = 0xb0c5;
    v->vbe[VBE_MEMORY_64K] = v->vram_size >> 16;
    v->misc = MISC_COLOUR;
    if (v->vram)
        memset(v->vram, 0, MIN(v->vram_size, UINT32_C(256) << 10));
}

/* --- input status 1: where the beam is --- */

static uint8_t beam_status(const struct vga *v)
{
    int64_t hz = v->misc & MISC_CLOCK_28 ? 28322000 : 25175000;
    int64_t dots = v->seq[1] & 1 ? 8 : 9;
    int64_t h_total = (v->crt[0] + 5) * dots, h_shown = (v->crt[1] + 1) * dots;
    int64_t v_total = (v->crt[6] | (v->crt[7] & 1) << 8 | (v->crt[7] & 0x20) << 4) + 2;
    int64_t v_shown = (v->crt[0x12] | (v->crt[7] & 2) << 7 | (v->crt[7] & 0x40) << 3) + 1;
    int64_t v_sync = v->crt[0x10] | (v->crt[7] & 4) << 6 | (v->crt[7] & 0x80) << 2;
    if (h_total < 100 || v_total < 100) { /* not set up: 80x25's */
        h_total = 900, h_shown = 720;
        v_total = 449, v_shown = 400, v_sync = 412;
    }
    int64_t line_ns = h_total * 1000000000 / hz, now = loop_virtual_ns(v->loop);
    int64_t line = now / line_ns % v_total, dot = now % line_ns * h_total / line_ns;
    uint8_t s = 0;
    if (line >= v_shown || dot >= h_shown)
        s |= STATUS1_BLANK;
    if (line >= v_sync && line < v_sync + 2)
        s |= STATUS1_RETRACE;
    return s;
}

/* --- the palette --- */

static void dac_put(struct vga *v, uint8_t val)
{
    v->dac_cache[v->dac_part++] = val;
    if (v->dac_part < 3)
        return;
    v->dac_part = 0;
    memcpy(&v->palette[v->dac_write++ * 3], v->dac_cache, 3);
}

static uint8_t dac_get(struct vga *v)
{
    uint8_t val = v->palette[v->dac_read * 3 + v->dac_part];
    if (++v->dac_part == 3) {
        v->dac_part = 0;
        v->dac_read++;
    }
    return val;
}

/* --- ports --- */

/* 3b4h and the like when the CRT controller is at 3d4h, or the other way round. */
static bool is_elsewhere(const struct vga *v, uint16_t port)
{
    if (port >= 0x3c0 && port < 0x3d0)
        return false;
    return (port < 0x3c0) == (v->misc & MISC_COLOUR);
}

uint8_t vga_port_read(struct vga *v, uint16_t port)
{
    if (is_elsewhere(v, port))
        return 0xff;
    if (port < 0x3c0)
        port += 0x20;
    switch (port) {
    case 0x3c0: return v->att_data ? v->att[v->att_index & 0x1f] : v->att_index;
    case 0x3c1: return v->att[v->att_index & 0x1f];
    case 0x3c2: return 0x10; /* switch sense: a monitor is there */
    case 0x3c4: return v->seq_index;
    case 0x3c5: return v->seq[v->seq_index];
    case 0x3c6: return v->dac_mask;
    case 0x3c7: return v->dac_state;
    case 0x3c8: return v->dac_write;
    case 0x3c9: return dac_get(v);
    case 0x3ca: return v->feature;
    case 0x3cc: return v->misc;
    case 0x3ce: return v->gfx_index;
    case 0x3cf: return v->gfx[v->gfx_index];
    case 0x3d4: return v->crt_index;
    case 0x3d5: return v->crt[v->crt_index];
    case 0x3da: v->att_data = false; return beam_status(v);
    default: return 0xff;
    }
}

static void att_write(struct vga *v, uint8_t val)
{
    if (!v->att_data)
        v->att_index = val & 0x3f;
    else if ((v->att_index & 0x1f) >= ATT_MODES || !(v->att_index & ATT_SCREEN_ON))
        v->att[v->att_index & 0x1f] = val & att_mask[v->att_index & 0x1f];
    v->att_data = !v->att_data;
}

static void crt_write(struct vga *v, uint8_t val)
{
    unsigned n = v->crt_index;
    if (n > CRT_LAST)
        return;
    if (n < 8 && v->crt[0x11] & CRT_LOCK) {
        if (n == 7) /* line compare's bit is not locked */
            v->crt[7] = (v->crt[7] & ~0x10) | (val & 0x10);
        return;
    }
    v->crt[n] = val;
}

void vga_port_write(struct vga *v, uint16_t port, uint8_t val)
{
    if (is_elsewhere(v, port))
        return;
    if (port < 0x3c0)
        port += 0x20;
    switch (port) {
    case 0x3c0: att_write(v, val); break;
    case 0x3c2: v->misc = val & ~0x10; break;
    case 0x3c4: v->seq_index = val & 7; break;
    case 0x3c5: v->seq[v->seq_index] = val & seq_mask[v->seq_index]; break;
    case 0x3c6: v->dac_mask = val; break;
    case 0x3c7:
        v->dac_read = val;
        v->dac_part = 0;
        v->dac_state = 3;
        break;
    case 0x3c8:
        v->dac_write = val;
        v->dac_part = 0;
        v->dac_state = 0;
        break;
    case 0x3c9: dac_put(v, val); break;
    case 0x3ce: v->gfx_index = val & 15; break;
    case 0x3cf: v->gfx[v->gfx_index] = val & gfx_mask[v->gfx_index]; break;
    case 0x3d4: v->crt_index = val & 0x1f; break;
    case 0x3d5: crt_write(v, val); break;
    case 0x3da: v->feature = val & 0x10; break;
    }
}

/* --- Bochs's VBE registers --- */

uint32_t vbe_row_bytes(const struct vga *v)
{
    unsigned bpp = v->vbe[VBE_BPP];
    /* 4 bits are planar: a byte of each of four planes for 8 pixels */
    return (uint32_t)v->vbe[VBE_VIRT_WIDTH] * (bpp == 15 ? 16 : bpp) / 8;
}

/* Width, height and depth fit each other and the memory; the virtual size holds the visible one. */
static void settle(struct vga *v)
{
    uint16_t *r = v->vbe;
    uint32_t bpp = r[VBE_BPP] == 15 ? 16 : r[VBE_BPP];

    r[VBE_VIRT_WIDTH] = MAX(r[VBE_VIRT_WIDTH], r[VBE_XRES]);
    uint32_t row = vbe_row_bytes(v);
    if (!row || !bpp)
        return;
    if ((uint64_t)row * r[VBE_YRES] > v->vram_size)
        r[VBE_YRES] = v->vram_size / row;
    r[VBE_VIRT_HEIGHT] = MIN(v->vram_size / row, UINT16_MAX);
    r[VBE_X_OFFSET] = MIN(r[VBE_X_OFFSET], r[VBE_VIRT_WIDTH] - r[VBE_XRES]);
    r[VBE_Y_OFFSET] = MIN(r[VBE_Y_OFFSET], r[VBE_VIRT_HEIGHT] - r[VBE_YRES]);
}

static void enable(struct vga *v, uint16_t val)
{
    uint16_t old = v->vbe[VBE_ENABLE];

    v->vbe[VBE_ENABLE] = val & (VBE_ENABLED | VBE_GETCAPS | VBE_8BIT_DAC | VBE_LFB | VBE_NO_CLEAR);
    if (!(val & VBE_ENABLED) || old & VBE_ENABLED) {
        if (!(val & VBE_ENABLED))
            v->vbe[VBE_BANK] = 0;
        return;
    }
    v->vbe[VBE_VIRT_WIDTH] = v->vbe[VBE_XRES];
    v->vbe[VBE_X_OFFSET] = v->vbe[VBE_Y_OFFSET] = 0;
    settle(v);
    if (val & VBE_NO_CLEAR)
        return;
    uint64_t size = (uint64_t)v->vbe[VBE_YRES] * vbe_row_bytes(v);
    size = MIN(size, (uint64_t)v->vram_size);
    memset(v->vram, 0, size);
    if (v->written)
        v->written(v->opaque, 0, size);
}

uint16_t vbe_read(struct vga *v, unsigned reg)
{
    if (reg >= VBE_REGS)
        return 0;
    if (v->vbe[VBE_ENABLE] & VBE_GETCAPS) {
        switch (reg) {
        case VBE_XRES: return v->max_x;
        case VBE_YRES: return v->max_y;
        case VBE_BPP: return 32;
        }
    }
    return v->vbe[reg];
}

void vbe_write(struct vga *v, unsigned reg, uint16_t val)
{
    bool on = v->vbe[VBE_ENABLE] & VBE_ENABLED;

    switch (reg) {
    case VBE_ID:
        if (val >= 0xb0c0 && val <= 0xb0c5)
            v->vbe[reg] = val;
        break;
    case VBE_XRES:
        if (!on && val && val <= v->max_x)
            v->vbe[reg] = val & ~7;
        break;
    case VBE_YRES:
        if (!on && val && val <= v->max_y)
            v->vbe[reg] = val;
        break;
    case VBE_BPP:
        val = val ? val : 8;
        if (!on && (val == 4 || val == 8 || val == 15 || val == 16 || val == 24 || val == 32))
            v->vbe[reg] = val;
        break;
    case VBE_ENABLE: enable(v, val); break;
    case VBE_BANK: v->vbe[reg] = val & ((v->vram_size >> 16) - 1); break;
    case VBE_VIRT_WIDTH:
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET:
        v->vbe[reg] = reg == VBE_VIRT_WIDTH ? val & ~7 : val;
        settle(v);
        break;
    }
}
