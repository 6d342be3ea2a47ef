/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of vm/ share: the machine, its lists of things that properties name. */
#ifndef VM_VM_PRIV_H
#define VM_VM_PRIV_H

#include "base/object.h"
#include "dev/bus.h"
#include "dev/storage/drive.h"
#include "display/display.h"
#include "loop/loop.h"
#include "vm/vm.h"

#include <glib.h>

/* A drive and what -drive said beside. */
struct vm_drive {
    struct drive d; /* first */
    struct vm_drive *next;
    char *iface; /* "ide", "virtio", ...; NULL: a node of -blockdev that a device named */
    unsigned bus, unit;
    bool claimed;   /* a default device or the board has it */
    char *throttle; /* id of the group made for it; NULL: none */
};

struct chardevs;

struct vm {
    /* constant after vm_new() */
    struct vm_config config;
    struct loop *loop;
    struct board *board;
    struct chardev *serial[BOARD_SERIALS], *debugcon;
    struct chardevs *chardevs;
    struct object_set *objects;
    struct net_set *networks;
    struct device_links links;
    struct device_bus system_bus;
    struct vm_global *globals;
    struct display_set displays; /* guarded by the machine lock */
    /* guarded by the machine lock */
    struct disk_graph *graph;
    GPtrArray *nodes;               /* struct disk *, of -blockdev, in order */
    struct vm_drive *drives;        /* in order */
    GPtrArray *devices;             /* struct device *, of -device and defaults, in order */
    GHashTable *bus_numbers;        /* kind of bus: how many have a number for a name */
    bool has_entry[BOARD_CPUS_MAX]; /* where a device lets a vCPU start */
    uint64_t entry[BOARD_CPUS_MAX];
    bool want_reset, want_pause;
    enum vm_reason want_shutdown;
    int exit_status;
    struct error error; /* for VM_ERROR: what came from a vCPU */
    /* main thread */
    bool started; /* vCPU threads exist */
    bool running;
};

/* drives.c */
bool vm_make_drives(struct vm *vm, struct error *err) MUST_CHECK; /* -blockdev, then -drive */
void vm_free_drives(struct vm *vm);
/* By id of -drive or node name; NULL with err. */
struct vm_drive *vm_drive_find(struct vm *vm, const char *name, struct error *err);
bool vm_drive_take(struct vm *vm, struct device *user, const char *name, void **ret,
                   struct error *err) MUST_CHECK;
void vm_drive_give_back(struct vm *vm, struct drive *d);
/* After the properties of dev are set: its image is locked against other writers or, share-rw, not.
 */
bool vm_drive_share(struct device *dev, struct error *err) MUST_CHECK;
/* Devices for the drives that belong to an interface: if=ide, virtio, scsi. */
bool vm_add_drive_devices(struct vm *vm, struct error *err) MUST_CHECK;
bool vm_check_drives(struct vm *vm, struct error *err) MUST_CHECK; /* each has found its device */

/* devices.c */
void vm_links_init(struct vm *vm);
/* text as in -device, plain or JSON. */
bool vm_add_device(struct vm *vm, const char *text, struct error *err) MUST_CHECK;
bool vm_add_devices(struct vm *vm, struct error *err) MUST_CHECK;
void vm_free_devices(struct vm *vm);
struct device *vm_device_find(struct vm *vm, const char *id); /* of the user's; or NULL */
/* Whether -device asks for a device of one of these types (NULL-terminated). */
bool vm_asks_for(const struct vm *vm, const char *const *types);

/* networks.c: -netdev, -nic, -net, filter-dump */
bool vm_make_networks(struct vm *vm, struct error *err) MUST_CHECK;
bool vm_add_nics(struct vm *vm, struct error *err) MUST_CHECK;        /* before -device's devices */
bool vm_settle_networks(struct vm *vm, struct error *err) MUST_CHECK; /* after them */

/* globals.c */
bool vm_make_globals(struct vm *vm, struct error *err) MUST_CHECK;
void vm_apply_globals(struct vm *vm, struct device *dev);
void vm_free_globals(struct vm *vm);

/* defaults.c: what a machine has that nobody asked for. */
bool vm_add_defaults(struct vm *vm, struct error *err) MUST_CHECK;

#endif
