/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What -smbios says: fields of the structures that we make, and whole structures from files. */
#ifndef DEV_FIRMWARE_SMBIOS_USER_H
#define DEV_FIRMWARE_SMBIOS_USER_H

#include "base/error.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* NULL and 0: as they are without. */
struct smbios_user {
    struct {
        char *vendor, *version, *date, *release;
        bool uefi;
    } bios;
    struct {
        char *manufacturer, *product, *version, *serial, *uuid, *sku, *family;
    } system;
    struct {
        char *manufacturer, *product, *version, *serial, *asset, *location;
    } board;
    struct {
        char *manufacturer, *version, *serial, *asset, *sku;
    } chassis;
    struct {
        char *sock_pfx, *manufacturer, *version, *serial, *asset, *part;
        uint64_t processor_id;
        uint16_t max_speed, current_speed; /* MHz */
    } cpu;
    struct {
        char *loc_pfx, *bank, *manufacturer, *serial, *asset, *part;
        uint16_t speed; /* MT/s */
    } dimm;
    GPtrArray *oem;     /* strings of type 11, owned */
    GPtrArray *files;   /* GByteArray, owned: whole structures */
    uint32_t from_file; /* types below 32 that a file gave */
    uint32_t said;      /* types below 32 with fields */
    uint8_t release_major, release_minor, uuid[16];
};

/* One -smbios argument: "type=N,field=value,..." or "file=F". */
bool smbios_user_add(struct smbios_user *u, const char *text, struct error *err) MUST_CHECK;
void smbios_user_finish(struct smbios_user *u);

/* d5e63c60-1f37-4eda-b990-2065e30d3d42 to 16 bytes in that order. */
bool smbios_parse_uuid(const char *text, uint8_t *ret);

#endif
