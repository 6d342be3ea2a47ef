/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The core of a VGA adapter with Bochs's VBE registers: registers, the window at A0000h, drawing.
 * An adapter (vga_pci.c) gives it video memory and maps its windows. IBM's VGA technical reference
 * and the Bochs VBE notes describe it. Machine lock held for all functions.
 *
 * Video memory is kept as 32-bit words, one byte per plane: byte a of plane p is vram[4 * a + p].
 * Chain-4 and odd/even addressing reach it linearly, so that the same bytes are the linear frame
 * buffer of the VBE modes.
 */
#ifndef DEV_VIDEO_VGA_H
#define DEV_VIDEO_VGA_H

#include "dev/device.h"
#include "display/display.h"

enum {
    VGA_PORT_BASE = 0x3b0, /* to 3dfh */
    VGA_PORTS = 0x30,
    VGA_WINDOW_BASE = 0xa0000,
    VGA_WINDOW_SIZE = 0x20000,
    VBE_PORT_INDEX = 0x1ce, /* 1cfh and 1d0h: data */
    VBE_PORTS = 3,
    VBE_REGS = 11,
    VGA_SEQ_REGS = 8,
    VGA_CRT_REGS = 32,
    VGA_GFX_REGS = 16,
    VGA_ATT_REGS = 32,
};

enum vbe_reg { /* index of the Bochs registers */
               VBE_ID,
               VBE_XRES,
               VBE_YRES,
               VBE_BPP,
               VBE_ENABLE,
               VBE_BANK,
               VBE_VIRT_WIDTH,
               VBE_VIRT_HEIGHT,
               VBE_X_OFFSET,
               VBE_Y_OFFSET,
               VBE_MEMORY_64K,
};
enum { VBE_ENABLED = 1, VBE_GETCAPS = 2, VBE_8BIT_DAC = 0x20, VBE_LFB = 0x40, VBE_NO_CLEAR = 0x80 };

struct vga {
    /* constant */
    struct loop *loop;
    uint8_t *vram;
    uint32_t vram_size; /* a power of two, 256 KiB at least */
    void (*written)(void *opaque, uint32_t off, uint32_t len); /* vram changed by the device */
    void *opaque;
    /* state */
    uint8_t seq_index, crt_index, gfx_index, att_index;
    uint8_t seq[VGA_SEQ_REGS], crt[VGA_CRT_REGS], gfx[VGA_GFX_REGS], att[VGA_ATT_REGS];
    bool att_data; /* the next write of 3c0h is data */
    uint8_t misc, feature;
    uint8_t dac_mask, dac_state, dac_read, dac_write, dac_part;
    uint8_t dac_cache[3], palette[768];
    uint32_t latch; /* one byte per plane */
    uint16_t vbe_index, vbe[VBE_REGS];
    uint32_t max_x, max_y; /* VBE's limits */
};

/* Rows of a state table: VGA_STATE(struct vga_pci, vga). */
#define VGA_STATE(T, m)                                                                            \
    FIELD(T, m.seq_index), FIELD(T, m.crt_index), FIELD(T, m.gfx_index), FIELD(T, m.att_index),    \
        FIELD_ARRAY(T, m.seq), FIELD_ARRAY(T, m.crt), FIELD_ARRAY(T, m.gfx),                       \
        FIELD_ARRAY(T, m.att), FIELD(T, m.att_data), FIELD(T, m.misc), FIELD(T, m.feature),        \
        FIELD(T, m.dac_mask), FIELD(T, m.dac_state), FIELD(T, m.dac_read), FIELD(T, m.dac_write),  \
        FIELD(T, m.dac_part, .max = 2), FIELD_ARRAY(T, m.dac_cache), FIELD_ARRAY(T, m.palette),    \
        FIELD(T, m.latch), FIELD(T, m.vbe_index), FIELD_ARRAY(T, m.vbe)

void vga_init(struct vga *v, struct loop *loop, uint8_t *vram, uint32_t vram_size);
void vga_reset(struct vga *v);

/* Ports 3b0h to 3dfh, one byte at a time. */
uint8_t vga_port_read(struct vga *v, uint16_t port);
void vga_port_write(struct vga *v, uint16_t port, uint8_t val);

/* The 128 KiB at A0000h, one byte at a time; off from there. */
uint8_t vga_window_read(struct vga *v, uint32_t off);
void vga_window_write(struct vga *v, uint32_t off, uint8_t val);

uint16_t vbe_read(struct vga *v, unsigned reg);
void vbe_write(struct vga *v, unsigned reg, uint16_t val);
/* Bytes of a row of the VBE mode, as the width in pixels and the depth make them. */
uint32_t vbe_row_bytes(const struct vga *v);

extern const struct display_head_ops vga_head_ops; /* opaque is the struct vga */

#endif
