/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a kernel on an x86 board without firmware: a bzImage or a PVH ELF kernel and its initrd,
 * with the tables that firmware would have placed.
 */
#ifndef BOARD_X86_BOOT_H
#define BOARD_X86_BOOT_H

#include "board/board.h"

struct acpi_set;
struct smbios;

struct x86_boot_machine {
    struct board *b;
    uint64_t ram_low, ram_high;            /* RAM from 0 and from 4 GiB */
    const char *cmdline;                   /* NULL: none */
    uint64_t reserved_base, reserved_size; /* told to the kernel; size 0: none */
    void (*program)(struct board *b);      /* registers as firmware leaves them; or NULL */
    void (*build_acpi)(struct board *b, struct acpi_set *set); /* or NULL: no tables */
    void (*build_smbios)(struct board *b, struct smbios *s);   /* or NULL */
};

/* After reset: loads the files of the board's configuration, sets the first vCPU to the entry. */
bool x86_boot_kernel(const struct x86_boot_machine *m, struct error *err) MUST_CHECK;

/* The whole file, on the heap; what names it in messages. */
bool x86_read_file(const char *what, const char *path, char **ret, size_t *ret_len,
                   struct error *err) MUST_CHECK;

#endif
