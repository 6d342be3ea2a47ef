/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI table sets (ACPI 6.4 §5.2) and the table-loader protocol by which firmware places them: a
 * list of 128-byte commands: allocate a file, add a file's address to a pointer, fill in a
 * checksum.
 */
#include "dev/firmware/acpi.h"

#include "base/bits.h"
#include "base/endian.h"

#include <assert.h>
#include <string.h>

struct acpi_fixup {
    bool checksum; /* else a pointer */
    uint8_t blob;
    uint8_t size;        /* of the pointer */
    uint32_t offset;     /* of the pointer or the checksum byte */
    uint32_t start, len; /* what the checksum covers */
};

enum {
    LOADER_ALLOCATE = 1,
    LOADER_ADD_POINTER = 2,
    LOADER_ADD_CHECKSUM = 3,
    LOADER_ENTRY_SIZE = 128,
    LOADER_FILE_LEN = 56,
    ZONE_HIGH = 1,
    ZONE_FSEG = 2,
    TABLE_LENGTH = 4,
    TABLE_CHECKSUM = 9,
};

static const char *const blob_file[] = { ACPI_TABLES_FILE, ACPI_RSDP_FILE };

void acpi_set_init(struct acpi_set *set)
{
    for (unsigned i = 0; i < ACPI_BLOB_COUNT; i++)
        set->blob[i] = g_byte_array_new();
    set->fixups = g_array_new(FALSE, TRUE, sizeof(struct acpi_fixup));
}

void acpi_set_finish(struct acpi_set *set)
{
    for (unsigned i = 0; i < ACPI_BLOB_COUNT; i++)
        if (set->blob[i])
            g_byte_array_unref(set->blob[i]);
    if (set->fixups)
        g_array_unref(set->fixups);
    memset(set, 0, sizeof *set);
}

static void add_checksum(struct acpi_set *set, enum acpi_blob blob, uint32_t offset, uint32_t start,
                         uint32_t len)
{
    struct acpi_fixup f = {
        .checksum = true, .blob = blob, .offset = offset, .start = start, .len = len
    };
    g_array_append_val(set->fixups, f);
}

static void put_in(GByteArray *out, uint64_t value, unsigned bytes)
{
    uint8_t le[8];
    st_le64(le, value);
    g_byte_array_append(out, le, bytes);
}

void acpi_put(struct acpi_set *set, uint64_t value, unsigned bytes)
{
    put_in(set->blob[ACPI_TABLES], value, bytes);
}

void acpi_put_gas(struct acpi_set *set, enum acpi_gas_space space, uint8_t width_bits,
                  uint64_t address)
{
    acpi_put(set, space, 1);
    acpi_put(set, width_bits, 1);
    acpi_put(set, 0, 1); /* bit offset */
    acpi_put(set, width_bits == 8 ? 1 : width_bits == 16 ? 2 : width_bits == 32 ? 3 : 0, 1);
    acpi_put(set, address, 8);
}

void acpi_align(struct acpi_set *set, uint32_t align)
{
    while (set->blob[ACPI_TABLES]->len % align)
        acpi_put(set, 0, 1);
}

uint32_t acpi_table_begin(struct acpi_set *set, const char *signature, uint8_t revision)
{
    GByteArray *b = set->blob[ACPI_TABLES];
    acpi_align(set, 4);
    uint32_t start = b->len;
    g_byte_array_append(b, (const uint8_t *)signature, 4);
    acpi_put(set, 0, 4); /* length */
    acpi_put(set, revision, 1);
    acpi_put(set, 0, 1);                                           /* checksum */
    g_byte_array_append(b, (const uint8_t *)"RHEA  RHEAPC  ", 14); /* OEM, OEM table id */
    acpi_put(set, 1, 4);                                           /* OEM revision */
    g_byte_array_append(b, (const uint8_t *)"RHEA", 4);            /* creator */
    acpi_put(set, 1, 4);
    return start;
}

void acpi_table_end(struct acpi_set *set, uint32_t start)
{
    GByteArray *b = set->blob[ACPI_TABLES];
    st_le32(b->data + start + TABLE_LENGTH, b->len - start);
    add_checksum(set, ACPI_TABLES, start + TABLE_CHECKSUM, start, b->len - start);
}

uint32_t acpi_table_add(struct acpi_set *set, const void *table, uint32_t len)
{
    assert(len >= ACPI_HEADER_SIZE);
    acpi_align(set, 4);
    uint32_t start = set->blob[ACPI_TABLES]->len;
    g_byte_array_append(set->blob[ACPI_TABLES], table, len);
    acpi_table_end(set, start);
    return start;
}

void acpi_set_pointer(struct acpi_set *set, enum acpi_blob blob, uint32_t offset, unsigned size,
                      uint32_t target)
{
    uint8_t le[8];
    assert((size == 4 || size == 8) && offset + size <= set->blob[blob]->len);
    st_le64(le, target);
    memcpy(set->blob[blob]->data + offset, le, size);
    struct acpi_fixup f = { .blob = blob, .size = size, .offset = offset };
    g_array_append_val(set->fixups, f);
}

static uint32_t put_root(struct acpi_set *set, const char *signature, unsigned entry_size,
                         const uint32_t *tables, unsigned count)
{
    uint32_t start = acpi_table_begin(set, signature, 1);
    for (unsigned i = 0; i < count; i++) {
        uint32_t at = set->blob[ACPI_TABLES]->len;
        acpi_put(set, 0, entry_size);
        acpi_set_pointer(set, ACPI_TABLES, at, entry_size, tables[i]);
    }
    acpi_table_end(set, start);
    return start;
}

void acpi_finish_roots(struct acpi_set *set, const uint32_t *tables, unsigned count)
{
    uint32_t rsdt = put_root(set, "RSDT", 4, tables, count);
    uint32_t xsdt = put_root(set, "XSDT", 8, tables, count);
    GByteArray *b = set->blob[ACPI_RSDP];
    assert(b->len == 0);
    g_byte_array_append(b, (const uint8_t *)"RSD PTR ", 8);
    put_in(b, 0, 1); /* checksum of the first 20 bytes */
    g_byte_array_append(b, (const uint8_t *)"RHEA  ", 6);
    put_in(b, 2, 1);
    put_in(b, 0, 4);  /* RSDT */
    put_in(b, 36, 4); /* length */
    put_in(b, 0, 8);  /* XSDT */
    put_in(b, 0, 4);  /* extended checksum, reserved */
    acpi_set_pointer(set, ACPI_RSDP, 16, 4, rsdt);
    acpi_set_pointer(set, ACPI_RSDP, 24, 8, xsdt);
    add_checksum(set, ACPI_RSDP, 8, 0, 20);
    add_checksum(set, ACPI_RSDP, 32, 0, 36);
}

static uint8_t *add_entry(GByteArray *out, uint32_t command, const char *file)
{
    g_byte_array_set_size(out, out->len + LOADER_ENTRY_SIZE);
    uint8_t *e = out->data + out->len - LOADER_ENTRY_SIZE;
    memset(e, 0, LOADER_ENTRY_SIZE);
    st_le32(e, command);
    strncpy((char *)e + 4, file, LOADER_FILE_LEN - 1);
    return e + 4 + LOADER_FILE_LEN;
}

static void add_allocate(GByteArray *out, const char *file, uint32_t align, uint8_t zone)
{
    uint8_t *e = add_entry(out, LOADER_ALLOCATE, file);
    st_le32(e, align);
    e[4] = zone;
}

/* Pointers come before checksums: a checksum covers the final pointers. */
GByteArray *acpi_loader_script(const struct acpi_set *set)
{
    GByteArray *out = g_byte_array_new();
    add_allocate(out, ACPI_RSDP_FILE, ACPI_RSDP_ALIGN, ZONE_FSEG);
    add_allocate(out, ACPI_TABLES_FILE, ACPI_TABLES_ALIGN, ZONE_HIGH);
    for (unsigned i = 0; i < set->fixups->len; i++) {
        const struct acpi_fixup *f = &g_array_index(set->fixups, struct acpi_fixup, i);
        if (f->checksum)
            continue;
        uint8_t *e = add_entry(out, LOADER_ADD_POINTER, blob_file[f->blob]);
        strncpy((char *)e, ACPI_TABLES_FILE, LOADER_FILE_LEN - 1);
        st_le32(e + LOADER_FILE_LEN, f->offset);
        e[LOADER_FILE_LEN + 4] = f->size;
    }
    for (unsigned i = 0; i < set->fixups->len; i++) {
        const struct acpi_fixup *f = &g_array_index(set->fixups, struct acpi_fixup, i);
        if (!f->checksum)
            continue;
        uint8_t *e = add_entry(out, LOADER_ADD_CHECKSUM, blob_file[f->blob]);
        st_le32(e, f->offset);
        st_le32(e + 4, f->start);
        st_le32(e + 8, f->len);
    }
    return out;
}

void acpi_link(struct acpi_set *set, gpa_t tables, gpa_t rsdp)
{
    (void)rsdp; /* nothing points at the RSDP; it is found by its signature or by the zero page */
    for (unsigned i = 0; i < set->fixups->len; i++) {
        const struct acpi_fixup *f = &g_array_index(set->fixups, struct acpi_fixup, i);
        uint8_t *p = set->blob[f->blob]->data + f->offset;
        if (f->checksum)
            continue;
        if (f->size == 4)
            st_le32(p, ld_le32(p) + (uint32_t)tables);
        else
            st_le64(p, ld_le64(p) + tables);
    }
    for (unsigned i = 0; i < set->fixups->len; i++) {
        const struct acpi_fixup *f = &g_array_index(set->fixups, struct acpi_fixup, i);
        if (!f->checksum)
            continue;
        uint8_t *data = set->blob[f->blob]->data, sum = 0;
        data[f->offset] = 0;
        for (uint32_t j = 0; j < f->len; j++)
            sum += data[f->start + j];
        data[f->offset] = -sum;
    }
}
