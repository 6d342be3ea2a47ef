/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SMBIOS 2.8 tables of a PC: BIOS, system, chassis, processor, memory. The structures and their
 * 32-bit entry point ("anchor"); firmware places them, or smbios_link() fixes the address.
 */
#ifndef DEV_FIRMWARE_SMBIOS_H
#define DEV_FIRMWARE_SMBIOS_H

#include <glib.h>
#include <stdint.h>

#define SMBIOS_TABLES_FILE "etc/smbios/smbios-tables"
#define SMBIOS_ANCHOR_FILE "etc/smbios/smbios-anchor"

struct smbios_info {
    const char *manufacturer, *product, *version; /* of the machine */
    const char *cpu_name;
    const char *bios_version;
    uint8_t uuid[16]; /* in the order of its text; all zero: not set */
    unsigned sockets;
    unsigned cores, threads;        /* of one socket */
    uint64_t ram_low, ram_high;     /* below and above 4 GiB */
    const struct smbios_user *user; /* NULL: nothing said */
};

struct smbios_user; /* dev/firmware/smbios_user.h */

struct smbios {
    GByteArray *tables, *anchor;
};

void smbios_build(struct smbios *s, const struct smbios_info *info);
void smbios_finish(struct smbios *s);
/* The structures lie at this address, below 4 GiB: completes the anchor's pointer and checksums. */
void smbios_link(struct smbios *s, uint32_t tables);

#endif
