/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line of rhea-system, QEMU's spelling. One table row per option (options_table.c)
 * gives its name, argument, help text and handler; the parser, -help and the check for unknown
 * options all read it. Parsing starts nothing: it fills struct options or says what is wrong.
 */
#ifndef MAIN_OPTIONS_H
#define MAIN_OPTIONS_H

#include "base/error.h"
#include "main/process.h"
#include "vm/vm.h"

#include <glib.h>
#include <stdio.h>

enum { OPTIONS_DIRS_MAX = 16 };

struct options {
    struct vm_config vm;
    struct process_config process;
    bool msg_timestamp, msg_guest_name;
    char *program;     /* base name of argv[0] */
    bool qemu_name;    /* called by a qemu-* name */
    const char *image; /* positional */
    const char *bios;
    const char *dirs[OPTIONS_DIRS_MAX + 1]; /* -L */
    unsigned dir_count;
    const char *serials[BOARD_SERIALS + 1];
    unsigned serial_count;
    const char *accel_list; /* "kvm:tcg", from -machine or the -accel options */
    const char *process_name;
    const char *log_file;
    const char *vga;     /* NULL: not given */
    const char *display; /* NULL: not given */
    bool nographic, nodefaults, graphics_off, no_isa_serial;
    /* An option asked for a list or a text instead of a machine: print it and leave. */
    void (*print)(const struct options *o, FILE *f);
    const char *help_text;            /* for print: what help is asked about */
    GPtrArray *netdevs, *nics, *nets; /* likewise */
    bool net_given;                   /* something was said about networks: no default NIC */
    GPtrArray *chardevs;              /* arguments, in order; or NULL */
    GPtrArray *objects, *blockdevs, *drives, *devices, *globals; /* arguments, in order; or NULL */
    struct firmware_options *firmware; /* opt_firmware.c's; NULL: nothing said */
    GPtrArray *owned;                  /* strings that live as long as this */
};

struct option {
    const char *name;
    const char *arg; /* its syntax; NULL: takes none */
    const char *doc; /* for -help; NULL: not listed (aliases) */
    bool (*run)(struct options *o, const char *arg, struct error *err);
    const char *later; /* run is NULL: what comes with a later release */
};

/* One heading of -help and its options; ends with a row without title. */
struct option_group {
    const char *title;
    const struct option *rows; /* ends with a row without name */
};
extern const struct option_group option_groups[];

/* Fills *o; false with err when the command line is wrong. o->print is set when only text is asked
 * for. options_finish() is needed either way. */
bool options_parse(struct options *o, int argc, char **argv, struct error *err) MUST_CHECK;
void options_finish(struct options *o);
/* "QEMU emulator version …" or "Rhea emulator version …" */
void options_print_version(const struct options *o, FILE *f);
void options_print_help(const struct options *o, FILE *f);

/* A copy that lives as long as the options. */
const char *options_keep(struct options *o, char *own_text);

/* Handlers: opt_accel.c */
struct optlist;
bool opt_accel(struct options *o, const char *arg, struct error *err);
bool opt_accel_kvm(struct options *o, struct optlist *l, struct error *err); /* -machine has, too */
bool accel_settle(struct options *o, struct error *err);
/* opt_machine.c */
bool opt_machine(struct options *o, const char *arg, struct error *err);
bool opt_cpu(struct options *o, const char *arg, struct error *err);
bool opt_memory(struct options *o, const char *arg, struct error *err);
bool opt_enable_kvm(struct options *o, const char *arg, struct error *err);
bool opt_kernel(struct options *o, const char *arg, struct error *err);
bool opt_initrd(struct options *o, const char *arg, struct error *err);
bool opt_append(struct options *o, const char *arg, struct error *err);
bool opt_bios(struct options *o, const char *arg, struct error *err);
bool opt_dir(struct options *o, const char *arg, struct error *err);
bool opt_rtc(struct options *o, const char *arg, struct error *err);
bool opt_name(struct options *o, const char *arg, struct error *err);
bool opt_uuid(struct options *o, const char *arg, struct error *err);
bool opt_no_reboot(struct options *o, const char *arg, struct error *err);
bool opt_no_shutdown(struct options *o, const char *arg, struct error *err);
bool opt_no_hpet(struct options *o, const char *arg, struct error *err);
bool opt_no_acpi(struct options *o, const char *arg, struct error *err);
/* After all options: what follows from them together. */
bool machine_settle(struct options *o, struct error *err);

/* Handlers: opt_smp.c */
bool opt_smp(struct options *o, const char *arg, struct error *err);

/* Runs the option of this name, as -readconfig does; arg lives as long as the options. */
bool options_run(struct options *o, const char *name, const char *arg,
                 struct error *err) MUST_CHECK;

/* Handlers: opt_process.c */
bool opt_daemonize(struct options *o, const char *arg, struct error *err);
bool opt_pidfile(struct options *o, const char *arg, struct error *err);
bool opt_runas(struct options *o, const char *arg, struct error *err);
bool opt_chroot(struct options *o, const char *arg, struct error *err);
bool opt_run_with(struct options *o, const char *arg, struct error *err);
bool opt_overcommit(struct options *o, const char *arg, struct error *err);
bool opt_msg(struct options *o, const char *arg, struct error *err);
bool opt_sandbox(struct options *o, const char *arg, struct error *err);
bool opt_set(struct options *o, const char *arg, struct error *err);
bool opt_readconfig(struct options *o, const char *arg, struct error *err);

/* Lists of arguments, kept as written: opt_device.c. options_list() ends one; NULL stays NULL. */
void options_add(GPtrArray **list, const char *arg);
const char *const *options_list(GPtrArray *list);

/* Handlers: opt_net.c */
bool opt_netdev(struct options *o, const char *arg, struct error *err);
bool opt_nic(struct options *o, const char *arg, struct error *err);
bool opt_net(struct options *o, const char *arg, struct error *err);
bool net_settle(struct options *o, struct error *err);
void net_options_finish(struct options *o);

/* Handlers: opt_device.c */
bool opt_device(struct options *o, const char *arg, struct error *err);
bool opt_chardev(struct options *o, const char *arg, struct error *err);
bool opt_object(struct options *o, const char *arg, struct error *err);
bool opt_mem_path(struct options *o, const char *arg, struct error *err);
bool opt_mem_prealloc(struct options *o, const char *arg, struct error *err);
bool opt_global(struct options *o, const char *arg, struct error *err);
bool opt_drive(struct options *o, const char *arg, struct error *err);
bool opt_blockdev(struct options *o, const char *arg, struct error *err);
bool opt_hda(struct options *o, const char *arg, struct error *err);
bool opt_hdb(struct options *o, const char *arg, struct error *err);
bool opt_hdc(struct options *o, const char *arg, struct error *err);
bool opt_hdd(struct options *o, const char *arg, struct error *err);
bool opt_cdrom(struct options *o, const char *arg, struct error *err);
bool opt_image(struct options *o, const char *path, struct error *err); /* positional */
bool opt_pflash(struct options *o, const char *arg, struct error *err);
bool opt_snapshot(struct options *o, const char *arg, struct error *err);
/* Does a -device ask for this type? */
bool options_has_device(const struct options *o, const char *name);
bool device_settle(struct options *o, struct error *err);
void device_options_finish(struct options *o);

/* Handlers: opt_host.c */
bool opt_help(struct options *o, const char *arg, struct error *err);
bool opt_version(struct options *o, const char *arg, struct error *err);
bool opt_serial(struct options *o, const char *arg, struct error *err);
bool opt_debugcon(struct options *o, const char *arg, struct error *err);
bool opt_monitor(struct options *o, const char *arg, struct error *err);
bool opt_parallel(struct options *o, const char *arg, struct error *err);
bool opt_display(struct options *o, const char *arg, struct error *err);
bool opt_vga(struct options *o, const char *arg, struct error *err);
bool opt_nographic(struct options *o, const char *arg, struct error *err);
bool opt_nodefaults(struct options *o, const char *arg, struct error *err);
bool opt_nothing(struct options *o, const char *arg, struct error *err);
bool opt_log(struct options *o, const char *arg, struct error *err);
bool opt_log_file(struct options *o, const char *arg, struct error *err);
bool opt_trace(struct options *o, const char *arg, struct error *err);
bool opt_stopped(struct options *o, const char *arg, struct error *err);
bool host_settle(struct options *o, struct error *err);

/* Handlers: opt_firmware.c */
bool opt_boot(struct options *o, const char *arg, struct error *err);
bool opt_fw_cfg(struct options *o, const char *arg, struct error *err);
bool opt_option_rom(struct options *o, const char *arg, struct error *err);
bool opt_acpitable(struct options *o, const char *arg, struct error *err);
bool opt_smbios(struct options *o, const char *arg, struct error *err);
void firmware_options_finish(struct options *o);

#endif
