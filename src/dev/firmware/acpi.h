/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI table sets: tables are appended to one blob, pointers between them and checksums are kept as
 * fix-ups. A set is then either handed to firmware as a table-loader script (the fw_cfg files
 * etc/table-loader, etc/acpi/tables, etc/acpi/rsdp) or linked here for fixed guest addresses.
 */
#ifndef DEV_FIRMWARE_ACPI_H
#define DEV_FIRMWARE_ACPI_H

#include "base/types.h"

#include <glib.h>
#include <stdint.h>

#define ACPI_TABLES_FILE "etc/acpi/tables"
#define ACPI_RSDP_FILE   "etc/acpi/rsdp"

enum acpi_blob { ACPI_TABLES, ACPI_RSDP, ACPI_BLOB_COUNT };
enum { ACPI_TABLES_ALIGN = 64, ACPI_RSDP_ALIGN = 16, ACPI_HEADER_SIZE = 36 };

struct acpi_set {
    GByteArray *blob[ACPI_BLOB_COUNT];
    GArray *fixups; /* struct acpi_fixup, in acpi.c */
};

enum acpi_gas_space { ACPI_GAS_MEMORY, ACPI_GAS_IO };

void acpi_set_init(struct acpi_set *set);
void acpi_set_finish(struct acpi_set *set);

/* Starts a table with its 36-byte header; returns its offset in the tables blob. */
uint32_t acpi_table_begin(struct acpi_set *set, const char *signature, uint8_t revision);
/* Fills in the length and notes the checksum. */
void acpi_table_end(struct acpi_set *set, uint32_t start);
/* A whole table made elsewhere; its checksum is made anew. */
uint32_t acpi_table_add(struct acpi_set *set, const void *table, uint32_t len);
/* Pads the tables blob; ACPI wants the FACS on 64 bytes. */
void acpi_align(struct acpi_set *set, uint32_t align);
/* The blob is appended to directly for a table's body. */
void acpi_put(struct acpi_set *set, uint64_t value, unsigned bytes);
void acpi_put_gas(struct acpi_set *set, enum acpi_gas_space space, uint8_t width_bits,
                  uint64_t address);
/* At `offset` of `blob` stands (in `size` bytes) a pointer to `target` in the tables blob. */
void acpi_set_pointer(struct acpi_set *set, enum acpi_blob blob, uint32_t offset, unsigned size,
                      uint32_t target);
/* RSDT, XSDT over tables[0..count) and the RSDP (revision 2). */
void acpi_finish_roots(struct acpi_set *set, const uint32_t *tables, unsigned count);

/* The table-loader script for firmware; the caller frees it. */
GByteArray *acpi_loader_script(const struct acpi_set *set);
/* Resolves all pointers and checksums for blobs placed at these guest addresses, in place. */
void acpi_link(struct acpi_set *set, gpa_t tables, gpa_t rsdp);

#endif
