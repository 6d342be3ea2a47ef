/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/pci/pam.h"

#include "base/bits.h"

enum { SEG_READ = 1, SEG_WRITE = 2, LAST_BASE = 0xf0000, LAST_SIZE = 0x10000, SEG_SIZE = 0x4000 };

static uint64_t write_only_read(void *opaque, uint64_t off, unsigned size)
{
    const struct pam_segment *s = opaque;
    const struct pam_wiring *w = &s->pam->w;
    gpa_t a = s->base + off;
    return w->rom && a >= w->rom_base ? w->rom[a - w->rom_base] : 0xff;
}

static void write_only_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    const struct pam_segment *s = opaque;
    const struct pam_wiring *w = &s->pam->w;
    gra_t at = w->low_ram + s->base + off;
    mem_ram_base(w->mem)[at] = val;
    mem_written(w->mem, at, 1);
}

static const struct mem_io_ops write_only_ops = {
    .read = write_only_read, .write = write_only_write, .min_size = 1, .max_size = 1
};

/* PAM0 bits 5:4 are 0xf0000 (64 KiB); PAM1..6 have two 16 KiB segments each from 0xc0000. */
static uint8_t segment_mode(const uint8_t *regs, unsigned i)
{
    if (i == PAM_SEGMENTS - 1)
        return regs[0] >> 4 & 3;
    return regs[1 + i / 2] >> (i % 2 * 4) & 3;
}

static struct mem_region *region_of(struct pam_segment *s)
{
    switch (s->mode) {
    case SEG_READ: return &s->rom;
    case SEG_WRITE: return &s->write_only;
    default: return &s->ram;
    }
}

static void show_segment(struct pam_segment *s, uint8_t mode)
{
    if (s->mode)
        mem_unmap(region_of(s));
    s->mode = mode;
    if (mode)
        mem_map(s->pam->w.mem, s->base, region_of(s), s->pam->w.priority);
}

void pam_init(struct pam *pam, const struct pam_wiring *w)
{
    pam->w = *w;
    for (unsigned i = 0; i < PAM_SEGMENTS && w->mem; i++) {
        struct pam_segment *s = &pam->seg[i];
        bool last = i == PAM_SEGMENTS - 1;
        uint64_t size = last ? LAST_SIZE : SEG_SIZE;
        s->pam = pam;
        s->base = last ? (gpa_t)LAST_BASE : 0xc0000 + i * (gpa_t)SEG_SIZE;
        mem_region_init_ram(&s->ram, "shadow-ram", w->low_ram + s->base, size);
        mem_region_init_rom(&s->rom, "shadow-rom", w->low_ram + s->base, size);
        mem_region_init_io(&s->write_only, "shadow-write", &write_only_ops, s, size);
    }
    mem_region_init_ram(&pam->smram, "smram", w->low_ram + SMRAM_BASE, SMRAM_SIZE);
}

void pam_update(struct pam *pam, const uint8_t *regs, bool smram_open)
{
    if (!pam->w.mem)
        return;
    mem_begin(pam->w.mem);
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        uint8_t mode = segment_mode(regs, i);
        if (pam->seg[i].mode != mode)
            show_segment(&pam->seg[i], mode);
    }
    if (smram_open && !pam->smram.mem)
        mem_map(pam->w.mem, SMRAM_BASE, &pam->smram, pam->w.priority);
    else if (!smram_open)
        mem_unmap(&pam->smram);
    mem_end(pam->w.mem);
}

void pam_finish(struct pam *pam)
{
    for (unsigned i = 0; i < PAM_SEGMENTS && pam->w.mem; i++)
        show_segment(&pam->seg[i], 0);
    mem_unmap(&pam->smram);
}
