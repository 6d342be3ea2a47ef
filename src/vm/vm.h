/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One virtual machine: everything hangs off struct vm, so that several can live in one process.
 * Main thread makes one, calls vm_run(), which returns when the machine is shut down, and frees it.
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "accel/accel.h"
#include "base/error.h"
#include "board/board.h"

struct display_set;
struct loop;
struct vm;

enum vm_reason {
    VM_RUNNING,
    VM_GUEST_POWER_OFF, /* the guest switched the machine off */
    VM_GUEST_RESET,     /* the guest asked for a reset and -no-reboot is set */
    VM_HOST_QUIT,       /* Ctrl-A x, a monitor's quit */
    VM_HOST_SIGNAL,
    VM_GUEST_EXIT, /* a device ended the emulator: vm_exit_status() */
    VM_ERROR,      /* the machine could not go on: vm_run()'s err says why */
};

/* Strings are borrowed and outlive the VM. */
struct vm_config {
    const char *name;          /* NULL: none given */
    struct board_config board; /* chardevs in it are made by vm_new() from the specs here */
    const struct board_type *board_type;
    struct accel_config accel;         /* names NULL: board.accel */
    const char *serial[BOARD_SERIALS]; /* chardev specs; NULL or "none": no such port */
    const char *debugcon;
    bool no_reboot;   /* a reset ends the VM */
    bool no_shutdown; /* power-off stops the VM but keeps the process */
    bool dump_guest_core, mem_merge;
    /* Arguments as written, in order, NULL-terminated; NULL: none. */
    const char *const *chardevs;
    const char *const *objects, *const *blockdevs, *const *drives, *const *devices, *const *globals;
    const char *const *netdevs, *const *nics, *const *nets;
    const char *memory_backend; /* id of an object that holds the RAM; NULL: ordinary memory */
    const char *mem_path;       /* -mem-path; NULL */
    bool mem_prealloc;
    bool snapshot;   /* writes to drives go to temporary files */
    const char *vga; /* "std", "none"; NULL: std, unless a -device is a graphics adapter */
    bool no_default_cdrom, no_default_net;
};

/* Builds the machine; nothing runs. NULL with err set. */
struct vm *vm_new(const struct vm_config *config, struct error *err);
/* Runs the machine and the event loop until shutdown. False with err for VM_ERROR. Main thread. */
bool vm_run(struct vm *vm, enum vm_reason *ret_reason, struct error *err) MUST_CHECK;
void vm_free(struct vm *vm); /* NULL is fine */

/* Requests: machine lock held, any thread. vm_run() carries them out. */
void vm_request_reset(struct vm *vm, const char *why);
void vm_request_shutdown(struct vm *vm, enum vm_reason reason);
void vm_request_exit(struct vm *vm, int status);
/* A drive's request failed and its policy says stop. Any thread, machine lock held or not. */
void vm_request_pause(struct vm *vm, const char *drive, int error);
int vm_exit_status(struct vm *vm);
void vm_power_button(struct vm *vm); /* tells the guest */

struct loop *vm_loop(struct vm *vm);
struct board *vm_board(struct vm *vm);
struct display_set *vm_displays(struct vm *vm); /* machine lock held while it is used */

#endif
