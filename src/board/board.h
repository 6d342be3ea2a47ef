/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A board: the wiring of memory, devices and vCPUs into one machine, as one const struct
 * board_type. vm/ makes one from a struct board_config, starts and stops its vCPUs, and hears of
 * reset and power-off through struct board_events.
 */
#ifndef BOARD_BOARD_H
#define BOARD_BOARD_H

#include "base/error.h"
#include "base/types.h"

#include <stdio.h>

struct board;
struct chardev;
struct cpu;
struct device_bus;
struct device_links;
struct cpu_accel;
struct guest;
struct loop;
struct mem;
struct smbios_user;

enum { BOARD_CPUS_MAX = 255, BOARD_SERIALS = 4, BOARD_ACPI_TABLES = 32 };

/* -smp. Each 1 or more, and sockets * dies * cores * threads == max_cpus >= cpus; or all zero:
 * board_smp() says what that means. */
struct board_smp {
    unsigned max_cpus;
    unsigned sockets, dies, cores, threads; /* of the machine; of one of what stands before it */
};

/* A file for firmware, by name (fw_cfg). */
struct board_file {
    const char *name;
    const void *data;
    size_t size;
};

/* What the person who starts the machine chose. Strings and chardevs are borrowed and outlive it.
 */
enum board_switch { BOARD_AUTO, BOARD_ON, BOARD_OFF };

struct board_config {
    const char *board_name; /* as typed: chooses the version shown to the guest */
    const char *cpu_model, *accel;
    struct cpu_accel *cpu_accel; /* runs the vCPUs (cpu/accel.h); NULL: translation */
    uint64_t tb_size;
    uint64_t ram_size;
    unsigned cpus; /* that are there at the start */
    struct board_smp smp;
    const char *kernel, *initrd, *append;            /* direct kernel boot; NULL: firmware */
    const char *firmware;                            /* a path */
    bool kernel_by_firmware;                         /* which finds it in fw_cfg */
    const struct board_file *fw_files, *acpi_tables; /* names of tables: NULL */
    unsigned fw_file_count, acpi_table_count;
    const struct smbios_user *smbios; /* NULL: nothing said */
    const char *pflash[2];            /* drives or nodes of flash memory: firmware, its variables */
    struct chardev *serial[BOARD_SERIALS]; /* NULL: the port is not there */
    struct chardev *debugcon;
    const char *rtc_base, *rtc_clock; /* NULL: the device's default */
    uint8_t uuid[16];
    bool serial_console;    /* firmware shows its screen on the first serial port */
    const char *boot_order; /* letters, NULL: the default */
    const char *boot_once;  /* the same for the first boot; NULL: no difference */
    bool boot_menu, boot_strict;
    uint32_t boot_menu_wait_ms;
    int32_t boot_fail_wait_ms; /* -1: wait for ever */
    bool hpet, acpi;
    enum board_switch smm;                                    /* system management mode */
    bool no_pic, no_pit, no_rtc, no_ioapic2, no_auto_cmdline; /* microvm */
    const struct device_links *links;                         /* for the parts' struct device_ctx */
};

/* Asked by the guest, under the machine lock, on whatever thread. */
struct board_events {
    void (*reset)(void *opaque, const char *why);
    void (*power_off)(void *opaque);
    void (*error)(void *opaque, const char *why); /* the machine cannot go on; may be NULL */
    void *opaque;
};

/* As given, or one socket with a core for each CPU. */
struct board_smp board_smp(const struct board_config *c);

struct board_type {
    const char *name;
    const char *doc;
    const char *const *names; /* accepted names; the first is what plain `name` means */
    const struct guest *guest;
    uint64_t ram_default;
    unsigned cpus_max;
    size_t size; /* of the instance, which begins with struct board */
    bool (*init)(struct board *b, struct error *err);
    /* After all devices of the command line were made: what describes them to firmware. Or NULL */
    bool (*complete)(struct board *b, struct error *err);
    void (*finish)(struct board *b); /* copes with a half-built board */
    /* Devices to their power-on state, kernel loaded anew. vCPUs stand still, machine lock held. */
    bool (*reset)(struct board *b, struct error *err);
    void (*power_button)(struct board *b);
    /* Disks of -drive without if=: "ide" (NULL), "virtio"; units per IDE bus (0: 2, AHCI 1). */
    const char *default_if;
    const char *firmware; /* a file's name; NULL: "bios-256k.bin" */
    unsigned ide_units;
};

struct board {
    const struct board_type *type;
    const struct board_config *config;
    struct board_events events;
    struct loop *loop;
    struct mem *mem, *ports;
    struct mem *smm_mem; /* overlay of mem, seen in system management mode; NULL: there is none */
    struct cpu *cpus[BOARD_CPUS_MAX];
    unsigned cpu_count;
    struct device_bus *buses; /* its root buses, a list through .next: for -device */
};

/* All boards, NULL-terminated; the first is the default. */
extern const struct board_type *const board_types[];

/* By name or alias; NULL with err (nearest name) when there is none. */
const struct board_type *board_find(const char *name, struct error *err);
void board_help(FILE *f);

/* Builds the machine; nothing runs yet. NULL with err set. Devices are added, then
 * board_complete(), then type->reset(). */
struct board *board_new(const struct board_type *type, const struct board_config *config,
                        struct loop *loop, const struct board_events *events, struct error *err);
bool board_complete(struct board *b, struct error *err) MUST_CHECK;
void board_free(struct board *b);
/* From init: a root bus (bus_init() was called), last in the list. */
void board_add_bus(struct board *b, struct device_bus *bus);

/* The file called name in the given directory, else in the firmware directories; NULL if nowhere.
 */
char *board_find_firmware(const char *const *dirs, const char *name);
/* NULL-terminated: where firmware is looked for. */
extern const char *const board_firmware_dirs[];

#endif
