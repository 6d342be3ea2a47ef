/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The window at A0000h: map selection, chain-4, odd/even, the four write modes and two read modes
 * of the graphics controller.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "dev/video/vga.h"

enum {
    SEQ_MAP_MASK = 2,
    SEQ_MODE = 4,
    SEQ_MODE_SEQUENTIAL = 0x04,
    SEQ_MODE_CHAIN4 = 0x08,
    GFX_SET_RESET = 0,
    GFX_ENABLE_SET_RESET = 1,
    GFX_COMPARE = 2,
    GFX_ROTATE = 3,
    GFX_READ_MAP = 4,
    GFX_MODE = 5,
    GFX_MODE_READ = 0x08,
    GFX_MODE_ODD_EVEN = 0x10,
    GFX_MISC = 6,
    GFX_COMPARE_CARE = 7,
    GFX_BIT_MASK = 8,
};
#define NOWHERE UINT32_MAX

/* Offset behind the window's start as the memory map bits say, with VBE's bank; NOWHERE outside. */
static uint32_t window_address(const struct vga *v, uint32_t off)
{
    static const struct {
        uint32_t start, size;
    } maps[4] = { { 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 } };
    unsigned m = v->gfx[GFX_MISC] >> 2 & 3;
    if (off < maps[m].start || off - maps[m].start >= maps[m].size)
        return NOWHERE;
    off -= maps[m].start;
    if (m <= 1 && v->vbe[VBE_ENABLE] & VBE_ENABLED)
        off += (uint32_t)v->vbe[VBE_BANK] << 16;
    return off;
}

/* Four copies of a byte; the bits of a nibble as whole bytes. */
static uint32_t spread(uint8_t byte)
{
    return byte * UINT32_C(0x01010101);
}

static uint32_t planes(uint8_t nibble)
{
    uint32_t r = 0;
    for (unsigned p = 0; p < 4; p++)
        if (nibble & BIT(p))
            r |= UINT32_C(0xff) << (8 * p);
    return r;
}

/* The word (four planes) at address a of the planes, NOWHERE beyond the memory. */
static uint32_t word_at(const struct vga *v, uint32_t a)
{
    return a < v->vram_size / 4 ? a * 4 : NOWHERE;
}

uint8_t vga_window_read(struct vga *v, uint32_t off)
{
    uint32_t a = window_address(v, off);
    if (a == NOWHERE)
        return 0xff;
    if (v->seq[SEQ_MODE] & SEQ_MODE_CHAIN4) {
        uint32_t w = word_at(v, a >> 2);
        if (w == NOWHERE)
            return 0xff;
        v->latch = ld_le32(v->vram + w);
        return v->vram[a];
    }
    bool odd_even = v->gfx[GFX_MODE] & GFX_MODE_ODD_EVEN;
    unsigned plane = v->gfx[GFX_READ_MAP];
    if (odd_even) {
        plane = (plane & 2) | (a & 1);
        a >>= 1;
    }
    uint32_t w = word_at(v, a);
    if (w == NOWHERE)
        return 0xff;
    v->latch = ld_le32(v->vram + w);
    if (!(v->gfx[GFX_MODE] & GFX_MODE_READ))
        return v->latch >> (8 * plane);
    uint32_t differ = (v->latch ^ planes(v->gfx[GFX_COMPARE])) & planes(v->gfx[GFX_COMPARE_CARE]);
    differ |= differ >> 16;
    differ |= differ >> 8;
    return ~differ;
}

/* What the write mode makes of a byte: a value per plane, before the map mask. */
static uint32_t mix(const struct vga *v, uint8_t byte)
{
    unsigned mode = v->gfx[GFX_MODE] & 3;
    uint8_t bit_mask = v->gfx[GFX_BIT_MASK];
    unsigned turn = v->gfx[GFX_ROTATE] & 7;
    uint8_t turned = byte >> turn | byte << (8 - turn);
    uint32_t val;

    switch (mode) {
    case 1: return v->latch;
    case 0: {
        uint32_t set = planes(v->gfx[GFX_ENABLE_SET_RESET]);
        val = (spread(turned) & ~set) | (planes(v->gfx[GFX_SET_RESET]) & set);
        break;
    }
    case 2: val = planes(byte & 15); break;
    default:
        bit_mask &= turned;
        val = planes(v->gfx[GFX_SET_RESET]);
        break;
    }
    switch (v->gfx[GFX_ROTATE] >> 3) {
    case 1: val &= v->latch; break;
    case 2: val |= v->latch; break;
    case 3: val ^= v->latch; break;
    }
    uint32_t m = spread(bit_mask);
    return (val & m) | (v->latch & ~m);
}

void vga_window_write(struct vga *v, uint32_t off, uint8_t val)
{
    uint32_t a = window_address(v, off), w;
    uint8_t map = v->seq[SEQ_MAP_MASK];

    if (a == NOWHERE)
        return;
    if (v->seq[SEQ_MODE] & SEQ_MODE_CHAIN4) {
        if (a >= v->vram_size || !(map & BIT(a & 3)))
            return;
        v->vram[a] = val;
        w = a & ~UINT32_C(3);
    } else if (!(v->seq[SEQ_MODE] & SEQ_MODE_SEQUENTIAL)) { /* odd/even: text */
        unsigned plane = a & 1;
        w = word_at(v, a >> 1);
        if (w == NOWHERE)
            return;
        for (unsigned p = plane; p < 4; p += 2)
            if (map & BIT(p))
                v->vram[w + p] = val;
    } else {
        w = word_at(v, a);
        if (w == NOWHERE)
            return;
        uint32_t m = planes(map), old = ld_le32(v->vram + w);
        st_le32(v->vram + w, (mix(v, val) & m) | (old & ~m));
    }
    if (v->written)
        v->written(v->opaque, w, 4);
}
