/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SMBIOS structures (DMTF DSP0134 2.8). Each is a formatted part followed by its strings.
 */
#include "dev/firmware/smbios.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/str.h"
#include "dev/firmware/smbios_user.h"

#include <string.h>

enum {
    HANDLE_BIOS = 0x0000,
    HANDLE_SYSTEM = 0x0100,
    HANDLE_BOARD = 0x0200,
    HANDLE_CHASSIS = 0x0300,
    HANDLE_OEM = 0x0e00,
    HANDLE_CPU = 0x0400,
    HANDLE_ARRAY = 0x1000,
    HANDLE_DIMM = 0x1100,
    HANDLE_MAP = 0x1300,
    HANDLE_BOOT = 0x2000,
    HANDLE_END = 0x7f00,
    NO_HANDLE = 0xfffe,
    ANCHOR_SIZE = 0x1f,
    DIMM_MAX_MIB = 16384,
};

struct writer {
    GByteArray *out;
    uint32_t start; /* of the structure being written */
    const char *text[8];
    unsigned texts;
    uint16_t count, largest;
};

static void put(struct writer *w, uint64_t value, unsigned bytes)
{
    uint8_t le[8];
    st_le64(le, value);
    g_byte_array_append(w->out, le, bytes);
}

static void begin(struct writer *w, uint8_t type, uint16_t handle)
{
    w->start = w->out->len;
    w->texts = 0;
    put(w, type, 1);
    put(w, 0, 1);
    put(w, handle, 2);
}

static const struct smbios_user nothing_said;

static const struct smbios_user *user(const struct smbios_info *in)
{
    return in->user ? in->user : &nothing_said;
}

static const char * or (const char *said, const char *ours)
{
    return said ? said : ours;
}

static void put_text(struct writer *w, const char *s)
{
    if (s && *s) {
        w->text[w->texts++] = s;
        put(w, w->texts, 1);
    } else {
        put(w, 0, 1);
    }
}

static void end(struct writer *w)
{
    w->out->data[w->start + 1] = w->out->len - w->start;
    for (unsigned i = 0; i < w->texts; i++)
        g_byte_array_append(w->out, (const uint8_t *)w->text[i], strlen(w->text[i]) + 1);
    put(w, 0, w->texts ? 1 : 2);
    w->count++;
    w->largest = MAX(w->largest, w->out->len - w->start);
}

static void put_bios(struct writer *w, const struct smbios_info *in)
{
    const struct smbios_user *u = user(in);
    begin(w, 0, HANDLE_BIOS);
    put_text(w, or (u->bios.vendor, "Rhea"));
    put_text(w, or (u->bios.version, in->bios_version));
    put(w, 0xe800, 2); /* segment */
    put_text(w, or (u->bios.date, "04/01/2014"));
    put(w, 0, 1);      /* ROM size in 64 KiB - 1 */
    put(w, BIT(3), 8); /* characteristics are not given */
    put(w, 0, 1);
    /* a virtual machine; targeted content distribution */
    put(w, BIT(4) | BIT(2) | (u->bios.uefi ? BIT(3) : 0), 1);
    put(w, u->release_major, 1);
    put(w, u->release_minor, 1);
    put(w, 0xffff, 2); /* embedded controller: none */
    end(w);
}

static void put_system(struct writer *w, const struct smbios_info *in)
{
    const struct smbios_user *said = user(in);
    const uint8_t *u = said->system.uuid ? said->uuid : in->uuid;
    begin(w, 1, HANDLE_SYSTEM);
    put_text(w, or (said->system.manufacturer, in->manufacturer));
    put_text(w, or (said->system.product, in->product));
    put_text(w, or (said->system.version, in->version));
    put_text(w, said->system.serial);
    /* The first three fields are little-endian in the structure (7.2.1), big-endian in text. */
    const uint8_t wire[16] = { u[3], u[2], u[1],  u[0],  u[5],  u[4],  u[7],  u[6],
                               u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15] };
    g_byte_array_append(w->out, wire, sizeof wire);
    put(w, 6, 1); /* woken by the power switch */
    put_text(w, said->system.sku);
    put_text(w, said->system.family);
    end(w);
}

/* Made only when something is said about it. */
static void put_board(struct writer *w, const struct smbios_info *in)
{
    const struct smbios_user *u = user(in);
    begin(w, 2, HANDLE_BOARD);
    put_text(w, or (u->board.manufacturer, in->manufacturer));
    put_text(w, u->board.product);
    put_text(w, or (u->board.version, in->version));
    put_text(w, u->board.serial);
    put_text(w, u->board.asset);
    put(w, 1, 1); /* hosts the machine */
    put_text(w, u->board.location);
    put(w, HANDLE_CHASSIS, 2);
    put(w, 10, 1); /* motherboard */
    put(w, 0, 1);
    end(w);
}

static void put_chassis(struct writer *w, const struct smbios_info *in)
{
    const struct smbios_user *u = user(in);
    begin(w, 3, HANDLE_CHASSIS);
    put_text(w, or (u->chassis.manufacturer, in->manufacturer));
    put(w, 1, 1); /* other */
    put_text(w, or (u->chassis.version, in->version));
    put_text(w, u->chassis.serial);
    put_text(w, u->chassis.asset);
    put(w, 3, 1); /* boot-up, power supply, thermal: safe */
    put(w, 3, 1);
    put(w, 3, 1);
    put(w, 2, 1); /* security unknown */
    put(w, 0, 4);
    put(w, 0, 1);
    put(w, 0, 1);
    put(w, 0, 1);
    put(w, 0, 1);
    put_text(w, u->chassis.sku);
    end(w);
}

static void put_cpu(struct writer *w, const struct smbios_info *in, unsigned n)
{
    const struct smbios_user *u = user(in);
    char socket[64];
    snprintf(socket, sizeof socket, "%s %u", or (u->cpu.sock_pfx, "CPU"), n);
    begin(w, 4, HANDLE_CPU + n);
    put_text(w, socket);
    put(w, 3, 1); /* central processor */
    put(w, 1, 1); /* family: other */
    put_text(w, or (u->cpu.manufacturer, in->manufacturer));
    put(w, u->cpu.processor_id, 8);
    put_text(w, or (u->cpu.version, in->cpu_name));
    put(w, 0, 1);
    put(w, 0, 2);
    put(w, u->cpu.max_speed ? u->cpu.max_speed : 2000, 2);
    put(w, u->cpu.current_speed ? u->cpu.current_speed : 2000, 2);
    put(w, 0x41, 1); /* populated, enabled */
    put(w, 1, 1);
    put(w, 0xffff, 2); /* no cache structures */
    put(w, 0xffff, 2);
    put(w, 0xffff, 2);
    put_text(w, u->cpu.serial);
    put_text(w, u->cpu.asset);
    put_text(w, u->cpu.part);
    put(w, MIN(in->cores, 255u), 1); /* cores, enabled cores, threads */
    put(w, MIN(in->cores, 255u), 1);
    put(w, MIN(in->threads, 255u), 1);
    put(w, BIT(2), 2); /* 64-bit capable */
    put(w, 1, 2);
    end(w);
}

static unsigned dimm_count(uint64_t total_mib)
{
    return MAX(1u, (total_mib + DIMM_MAX_MIB - 1) / DIMM_MAX_MIB);
}

static void put_array(struct writer *w, uint64_t total)
{
    bool fits = total / KIB < 0x80000000;
    begin(w, 16, HANDLE_ARRAY);
    put(w, 1, 1); /* other */
    put(w, 3, 1); /* system memory */
    put(w, 6, 1); /* multi-bit ECC */
    put(w, fits ? total / KIB : 0x80000000, 4);
    put(w, NO_HANDLE, 2);
    put(w, dimm_count(total / MIB), 2);
    put(w, fits ? 0 : total, 8);
    end(w);
}

static void put_dimm(struct writer *w, const struct smbios_info *in, unsigned n, uint64_t mib)
{
    const struct smbios_user *u = user(in);
    char name[64];
    snprintf(name, sizeof name, "%s %u", or (u->dimm.loc_pfx, "DIMM"), n);
    begin(w, 17, HANDLE_DIMM + n);
    put(w, HANDLE_ARRAY, 2);
    put(w, NO_HANDLE, 2);
    put(w, 0xffff, 2);
    put(w, 0xffff, 2);
    put(w, mib < 0x7fff ? mib : 0x7fff, 2);
    put(w, 9, 1); /* DIMM */
    put(w, 0, 1);
    put_text(w, name);
    put_text(w, u->dimm.bank);
    put(w, 7, 1); /* RAM */
    put(w, BIT(1), 2);
    put(w, u->dimm.speed, 2);
    put_text(w, or (u->dimm.manufacturer, in->manufacturer));
    put_text(w, u->dimm.serial);
    put_text(w, u->dimm.asset);
    put_text(w, u->dimm.part);
    put(w, 0, 1);
    put(w, mib < 0x7fff ? 0 : mib, 4);
    put(w, u->dimm.speed, 2);
    put(w, 0, 2);
    put(w, 0, 2);
    put(w, 0, 2);
    end(w);
}

static void put_map(struct writer *w, unsigned n, uint64_t start, uint64_t size, unsigned dimms)
{
    uint64_t first_kib = start / KIB, last_kib = (start + size - 1) / KIB;
    bool fits = last_kib < UINT32_MAX;
    begin(w, 19, HANDLE_MAP + n);
    put(w, fits ? first_kib : UINT32_MAX, 4);
    put(w, fits ? last_kib : UINT32_MAX, 4);
    put(w, HANDLE_ARRAY, 2);
    put(w, MIN(dimms, 255u), 1);
    put(w, fits ? 0 : start, 8);
    put(w, fits ? 0 : start + size - 1, 8);
    end(w);
}

static void put_memory(struct writer *w, const struct smbios_info *in)
{
    uint64_t total = in->ram_low + in->ram_high, left = total / MIB;
    unsigned dimms = dimm_count(left);
    put_array(w, total);
    for (unsigned i = 0; i < dimms; i++) {
        uint64_t mib = MIN(left, (uint64_t)DIMM_MAX_MIB);
        put_dimm(w, in, i, mib);
        left -= mib;
    }
    put_map(w, 0, 0, in->ram_low, dimms);
    if (in->ram_high)
        put_map(w, 1, 4 * GIB, in->ram_high, dimms);
}

static void put_anchor(struct smbios *s, const struct writer *w)
{
    uint8_t a[ANCHOR_SIZE] = { 0 };
    memcpy(a, "_SM_", 4);
    a[5] = ANCHOR_SIZE;
    a[6] = 2;
    a[7] = 8;
    st_le16(a + 8, w->largest);
    memcpy(a + 0x10, "_DMI_", 5);
    st_le16(a + 0x16, w->out->len);
    st_le16(a + 0x1c, w->count);
    a[0x1e] = 0x28;
    g_byte_array_append(s->anchor, a, sizeof a);
    smbios_link(s, 0);
}

/* Strings of the maker's, for the guest (7.12). */
static void put_oem(struct writer *w, const GPtrArray *strings)
{
    begin(w, 11, HANDLE_OEM);
    put(w, strings->len, 1);
    w->out->data[w->start + 1] = w->out->len - w->start;
    for (unsigned i = 0; i < strings->len; i++) {
        const char *text = strings->pdata[i];
        g_byte_array_append(w->out, (const uint8_t *)text, strlen(text) + 1);
    }
    put(w, 0, strings->len ? 1 : 2);
    w->count++;
    w->largest = MAX(w->largest, w->out->len - w->start);
}

static void put_files(struct writer *w, const GPtrArray *files)
{
    for (unsigned i = 0; files && i < files->len; i++) {
        const GByteArray *b = files->pdata[i];
        g_byte_array_append(w->out, b->data, b->len);
        w->count++;
        w->largest = MAX(w->largest, b->len);
    }
}

void smbios_build(struct smbios *s, const struct smbios_info *in)
{
    const struct smbios_user *u = user(in);
    s->tables = g_byte_array_new();
    s->anchor = g_byte_array_new();
    struct writer w = { .out = s->tables };
    if (!(u->from_file & BIT(0)))
        put_bios(&w, in);
    if (!(u->from_file & BIT(1)))
        put_system(&w, in);
    if (u->said & BIT(2))
        put_board(&w, in);
    if (!(u->from_file & BIT(3)))
        put_chassis(&w, in);
    for (unsigned i = 0; i < in->sockets && !(u->from_file & BIT(4)); i++)
        put_cpu(&w, in, i);
    if (u->oem && u->oem->len)
        put_oem(&w, u->oem);
    put_memory(&w, in);
    put_files(&w, u->files);
    begin(&w, 32, HANDLE_BOOT);
    put(&w, 0, 6);
    put(&w, 0, 1); /* no error */
    end(&w);
    begin(&w, 127, HANDLE_END);
    end(&w);
    put_anchor(s, &w);
}

void smbios_finish(struct smbios *s)
{
    if (s->tables)
        g_byte_array_unref(s->tables);
    if (s->anchor)
        g_byte_array_unref(s->anchor);
    *s = (struct smbios){ 0 };
}

static uint8_t sum(const uint8_t *p, unsigned n)
{
    uint8_t v = 0;
    while (n--)
        v += *p++;
    return v;
}

void smbios_link(struct smbios *s, uint32_t tables)
{
    uint8_t *a = s->anchor->data;
    st_le32(a + 0x18, tables);
    a[4] = a[0x15] = 0;
    a[0x15] = -sum(a + 0x10, ANCHOR_SIZE - 0x10);
    a[4] = -sum(a, ANCHOR_SIZE);
}
