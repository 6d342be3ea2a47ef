/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the monitor would show: the CRT controller's walk over memory, a scan line at a time, with
 * the attribute controller and the palette; or the frame buffer of a VBE mode. Addresses count
 * words of four planes, which is what the CRT controller's counter counts in every mode here
 * (vga.h).
 */
#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "dev/video/vga.h"

enum {
    DOTS_MAX = 256 * 9, /* of a scan line of the old modes */
    FRAME_NS = 16666667,
    CURSOR_FRAMES = 16, /* on, and as many off; characters blink at half that rate */
};

struct screen {
    const struct vga *v;
    unsigned columns, dots; /* characters of a line, dots of each */
    unsigned lines;         /* scan lines */
    unsigned cell;          /* scan lines of a row */
    unsigned pitch;         /* words from row to row */
    uint32_t start;         /* word of the first */
    unsigned split;         /* the scan line behind which word 0 is shown */
    bool twice_wide, twice_high;
    bool text, blink_on, cursor_on;
    uint32_t colours[256]; /* of the palette */
};

static void look_up_palette(struct screen *s)
{
    const struct vga *v = s->v;
    bool eight = v->vbe[VBE_ENABLE] & VBE_8BIT_DAC;
    for (unsigned i = 0; i < 256; i++) {
        const uint8_t *p = &v->palette[(i & v->dac_mask) * 3];
        uint32_t c = 0;
        for (unsigned k = 0; k < 3; k++)
            c = c << 8 | (eight ? p[k] : (uint8_t)(p[k] << 2 | (p[k] >> 4 & 3)));
        s->colours[i] = c;
    }
}

static void look_up_mode(struct screen *s, const struct vga *v)
{
    int64_t frame = loop_virtual_ns(v->loop) / FRAME_NS;
    const uint8_t *crt = v->crt;
    s->v = v;
    s->columns = crt[1] + 1;
    s->dots = v->seq[1] & 1 ? 8 : 9;
    s->lines = (crt[0x12] | (crt[7] & 2) << 7 | (crt[7] & 0x40) << 3) + 1;
    s->cell = (crt[9] & 0x1f) + 1;
    s->twice_high = crt[9] & 0x80;
    s->twice_wide = v->seq[1] & 8;
    s->pitch = crt[0x13] * 2;
    s->start = crt[0xc] << 8 | crt[0xd];
    s->split = crt[0x18] | (crt[7] & 0x10) << 4 | (crt[9] & 0x40) << 3;
    s->text = !(v->gfx[6] & 1);
    s->cursor_on = frame / CURSOR_FRAMES % 2 == 0;
    s->blink_on = frame / (2 * CURSOR_FRAMES) % 2 == 0;
    look_up_palette(s);
}

/* Through the attribute controller's palette: the colour of a 4-bit pixel. */
static uint32_t colour16(const struct screen *s, unsigned pixel)
{
    const struct vga *v = s->v;
    uint8_t c = v->att[pixel & v->att[0x12] & 15];
    if (v->att[0x10] & 0x80)
        c = (c & 0x0f) | v->att[0x14] << 4;
    else
        c = (c & 0x3f) | (v->att[0x14] & 0x0c) << 4;
    return s->colours[c];
}

/* The four planes at a word; beyond the memory it begins anew. */
static uint32_t word(const struct vga *v, uint32_t a)
{
    return ld_le32(v->vram + (a * 4 & (v->vram_size - 1)));
}

/* --- text --- */

static uint32_t font_base(unsigned map)
{
    return (map & 3) * 0x4000 + (map & 4 ? 0x2000 : 0);
}

static void text_cell(const struct screen *s, uint32_t a, unsigned scan, uint32_t *out)
{
    const struct vga *v = s->v;
    uint32_t w = word(v, a);
    uint8_t ch = w, attr = w >> 8, sel = v->seq[3];
    bool blink = v->att[0x10] & 8;
    uint32_t font =
        font_base(attr & 8 ? (sel >> 2 & 3) | (sel >> 3 & 4) : (sel & 3) | (sel >> 2 & 4));
    uint16_t bits = (uint16_t)((word(v, font + ch * 32 + scan) >> 16 & 0xff) << 1);
    uint32_t fg = colour16(s, attr & 15), bg = colour16(s, attr >> 4 & (blink ? 7 : 15));
    uint32_t cursor = v->crt[0xe] << 8 | v->crt[0xf];

    if (v->att[0x10] & 4 && ch >= 0xc0 && ch <= 0xdf) /* lines go on into the ninth dot */
        bits |= bits >> 1 & 1;
    if (v->att[0x10] & 2 && (attr & 7) == 1 && scan == (v->crt[0x14] & 0x1fu))
        bits = 0x1ff;
    if (blink && attr & 0x80 && !s->blink_on)
        bits = 0;
    if (a == cursor && s->cursor_on && !(v->crt[0xa] & 0x20) && scan >= (v->crt[0xa] & 0x1fu) &&
        scan <= (v->crt[0xb] & 0x1fu))
        bits = 0x1ff;
    for (unsigned i = 0; i < s->dots; i++)
        out[i] = bits & (0x100 >> i) ? fg : bg;
}

/* --- old graphic modes: eight dots of a character clock --- */

static void graphic_cell(const struct screen *s, uint32_t a, unsigned scan, uint32_t *out)
{
    const struct vga *v = s->v;
    uint8_t mode = v->crt[0x17];
    unsigned bank_bit = mode & 0x40 ? 13 : 12; /* CGA's and Hercules's banks, in words here */
    if (!(mode & 1))
        a = (a & ~BIT(bank_bit)) | (scan & 1) << bank_bit;
    if (!(mode & 2))
        a = (a & ~BIT(bank_bit + 1)) | (scan >> 1 & 1) << (bank_bit + 1);
    uint32_t w = word(v, a);
    unsigned shift = v->gfx[5] >> 5 & 3;
    for (unsigned i = 0; i < 8; i++) {
        if (shift >= 2) {
            out[i] = s->colours[w >> (8 * (i / 2)) & 0xff];
        } else if (shift == 1) {
            unsigned at = 6 - 2 * (i & 3), low = i < 4 ? 0 : 8;
            out[i] = colour16(s, (w >> (low + at) & 3) | (w >> (low + 16 + at) & 3) << 2);
        } else {
            unsigned p = 0;
            for (unsigned k = 0; k < 4; k++)
                p |= (w >> (8 * k + 7 - i) & 1) << k;
            out[i] = colour16(s, p);
        }
    }
    if (s->dots == 9)
        out[8] = out[7];
}

/* --- a frame --- */

/* Dots that the line is shifted to the left. */
static unsigned panning(const struct screen *s, bool below_split)
{
    unsigned pan = s->v->att[0x13] & 15;
    if (below_split && s->v->att[0x10] & 0x20)
        return 0;
    if (s->dots == 9)
        return pan >= 8 ? 0 : pan + 1;
    return MIN(pan, 7u);
}

static void draw_line(const struct screen *s, uint32_t a, unsigned scan, unsigned pan,
                      uint32_t *out)
{
    uint32_t dots[DOTS_MAX + 9];
    unsigned width = s->columns * s->dots;
    for (unsigned c = 0; c < s->columns + (pan != 0); c++) {
        if (s->text)
            text_cell(s, a + c, scan, &dots[c * s->dots]);
        else
            graphic_cell(s, a + c, scan, &dots[c * s->dots]);
    }
    if (!s->twice_wide) {
        memcpy(out, dots + pan, width * sizeof *out);
        return;
    }
    for (unsigned i = 0; i < width; i++)
        out[2 * i] = out[2 * i + 1] = dots[pan + i];
}

static void draw_old(const struct vga *v, struct surface *out)
{
    struct screen s;
    look_up_mode(&s, v);
    if (!surface_resize(out, s.columns * s.dots << s.twice_wide, s.lines))
        return;
    if (v->seq[1] & 0x20 || !(v->att_index & 0x20)) { /* switched off */
        memset(out->pixels, 0, (size_t)out->width * out->height * sizeof *out->pixels);
        return;
    }
    uint32_t a = s.start + (v->crt[8] >> 5 & 3);
    unsigned scan = MIN(v->crt[8] & 0x1fu, s.cell - 1);
    bool below = false, second = false;
    for (unsigned y = 0; y < s.lines; y++) {
        draw_line(&s, a, scan, panning(&s, below), out->pixels + (size_t)y * out->width);
        if (y == s.split) {
            a = scan = 0;
            below = true;
            second = false;
            continue;
        }
        if (s.twice_high && (second = !second))
            continue;
        if (++scan == s.cell) {
            scan = 0;
            a += s.pitch;
        }
    }
}

static uint32_t vbe_pixel(const struct vga *v, const struct screen *s, uint32_t row, unsigned x)
{
    uint32_t m = v->vram_size - 1;
    const uint8_t *p;
    uint32_t c;
    switch (v->vbe[VBE_BPP]) {
    case 4:
        c = 0;
        for (unsigned k = 0; k < 4; k++)
            c |= (uint32_t)(v->vram[(row + x / 8 * 4 + k) & m] >> (7 - x % 8) & 1) << k;
        return colour16(s, c);
    case 8: return s->colours[v->vram[(row + x) & m]];
    case 15:
        c = ld_le16(v->vram + ((row + x * 2) & (m - 1)));
        return bits(c, 10, 5) * 33 / 4 << 16 | bits(c, 5, 5) * 33 / 4 << 8 | bits(c, 0, 5) * 33 / 4;
    case 16:
        c = ld_le16(v->vram + ((row + x * 2) & (m - 1)));
        return bits(c, 11, 5) * 33 / 4 << 16 | bits(c, 5, 6) * 65 / 16 << 8 |
               bits(c, 0, 5) * 33 / 4;
    case 24:
        p = v->vram + row + x * 3;
        return row + x * 3 + 3 > v->vram_size ? 0 : p[0] | p[1] << 8 | (uint32_t)p[2] << 16;
    default: return ld_le32(v->vram + ((row + x * 4) & (m - 3))) & 0xffffff;
    }
}

static void draw_vbe(const struct vga *v, struct surface *out)
{
    struct screen s = { .v = v };
    uint32_t row_bytes = vbe_row_bytes(v), bpp = v->vbe[VBE_BPP] == 15 ? 16 : v->vbe[VBE_BPP];
    look_up_palette(&s);
    if (!surface_resize(out, v->vbe[VBE_XRES], v->vbe[VBE_YRES]))
        return;
    for (uint32_t y = 0; y < out->height; y++) {
        uint32_t *to = out->pixels + (size_t)y * out->width;
        uint32_t row = (y + v->vbe[VBE_Y_OFFSET]) * row_bytes;
        if (bpp == 32 && (uint64_t)row + row_bytes <= v->vram_size) {
            const uint8_t *from = v->vram + row + 4 * v->vbe[VBE_X_OFFSET];
            for (uint32_t x = 0; x < out->width; x++)
                to[x] = ld_le32(from + 4 * x) & 0xffffff;
            continue;
        }
        for (uint32_t x = 0; x < out->width; x++)
            to[x] = vbe_pixel(v, &s, row, x + v->vbe[VBE_X_OFFSET]);
    }
}

static bool in_vbe(const struct vga *v)
{
    return v->vbe[VBE_ENABLE] & VBE_ENABLED && v->vbe[VBE_BPP] && v->vbe[VBE_XRES] &&
           v->vbe[VBE_YRES];
}

static void draw(void *opaque, struct surface *out)
{
    const struct vga *v = opaque;
    if (in_vbe(v))
        draw_vbe(v, out);
    else
        draw_old(v, out);
}

static size_t text(void *opaque, char *buf, size_t size)
{
    const struct vga *v = opaque;
    struct screen s;
    size_t n = 0;
    if (in_vbe(v) || v->gfx[6] & 1 || !size)
        return 0;
    look_up_mode(&s, v);
    for (unsigned row = 0; row < s.lines / s.cell; row++) {
        for (unsigned c = 0; c <= s.columns && n < size - 1; c++) {
            uint8_t ch = word(v, s.start + row * s.pitch + c);
            buf[n++] = (char)(c == s.columns ? '\n' : ch < ' ' ? ' ' : ch);
        }
    }
    buf[n] = 0;
    return n;
}

const struct display_head_ops vga_head_ops = { .draw = draw, .text = text };
