/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bus that devices plug into, named as in -device ...,bus=NAME: "pci.0", "ide.0", "scsi0.0", or
 * the id of the device that offers it. The board makes root buses, devices (bridges, adapters) make
 * their own in init with bus_init(). What plugging means (address, slot, unit) is the bus type's
 * business. Machine lock held for all functions.
 */
#ifndef DEV_BUS_H
#define DEV_BUS_H

#include "dev/device.h"

struct bus_type {
    const char *name; /* "PCI": what struct device_type.bus says */
    /* Takes the place that dev's properties ask for, or the first free one; called before dev's
     * init. False with err: the place is taken, out of range, the bus is full. May be NULL. */
    bool (*plug)(struct device_bus *bus, struct device *dev, struct error *err);
    void (*unplug)(struct device_bus *bus, struct device *dev); /* before dev is freed; or NULL */
    /* Properties that every device on such a bus has beside its own (PCI: addr, multifunction,
     * romfile, bootindex...); offsets count in the device's struct. */
    const struct field *props;
    /* "02.0", "0:1": where dev is, for messages, bootorder paths and info qtree; or NULL. */
    void (*place)(const struct device *dev, char *buf, size_t size);
    /* The firmware's path element of dev: "scsi@3", "drive@1", "disk@0,0" (bootorder). or NULL */
    void (*fw_path)(const struct device *dev, char *buf, size_t size);
};

struct device_bus {
    const struct bus_type *type;
    char *name;
    struct device *owner;    /* that offers it; NULL: the board */
    void *opaque;            /* the type's: struct pci_bus, struct scsi_bus ... */
    unsigned room;           /* devices it takes; 0: no limit */
    unsigned count;          /* devices on it */
    struct device *first;    /* in order of plugging, through device.next_sibling */
    struct device_bus *next; /* of the same owner; of the board */
    const char *fw_root;     /* a board's bus: what firmware paths begin with, "/pci@i0cf8" */
};

/* NULL-terminated; all bus types that are linked in, made by listgen.py. */
extern const struct bus_type *const bus_types[];
const struct bus_type *bus_type_find(const char *name); /* name may be NULL */

/* From init of the owner (or of the board, owner NULL). name NULL: "<owner id>.<n>", else copied.
 */
void bus_init(struct device_bus *bus, const struct bus_type *type, struct device *owner,
              const char *name, void *opaque);
/* From finish of the owner. Its devices are gone already. Copes with a zeroed one. */
void bus_finish(struct device_bus *bus);

/* Places dev, not yet initialised, on the bus. */
bool bus_plug(struct device_bus *bus, struct device *dev, struct error *err) MUST_CHECK;
/* From device_free(); no-op for a device without a bus. */
void bus_unplug(struct device *dev);

/* Calls fn for the device's bus, and every bus and device below it, parents first. */
void bus_walk(struct device_bus *bus, void (*fn)(struct device *dev, void *opaque), void *opaque);

/* In a list of buses (board.buses) and all below it, nearer ones first: by name or the owner's id;
 * of a kind, with a place left; all of a kind (NULL: any). */
struct device_bus *bus_find(struct device_bus *list, const char *name);
struct device_bus *bus_find_kind(struct device_bus *list, const char *kind, bool with_room);
void bus_list(struct device_bus *list, const char *kind, void (*fn)(struct device_bus *, void *),
              void *opaque);

/* Root to dev as firmware wants it in bootorder: "/pci@i0cf8/scsi@3/disk@0,0". Caller frees. */
char *device_fw_path(const struct device *dev);

#endif
