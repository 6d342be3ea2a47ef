/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices that no -device names: those of drives with an interface, and what every PC has. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "vm/vm_priv.h"

static bool is_interface(const struct vm_drive *d, const char *iface)
{
    return d->iface && !strcmp(d->iface, iface);
}

static bool add_for_drive(struct vm *vm, struct vm_drive *d, char *own_text, struct error *err)
{
    bool ok = vm_add_device(vm, own_text, err);
    if (!ok)
        err_prefix(err, "drive '%s': ", d->d.id);
    free(own_text);
    return ok;
}

static bool add_ide(struct vm *vm, struct vm_drive *d, struct error *err)
{
    const char *type = d->d.media == DRIVE_CDROM ? "ide-cd" : "ide-hd";
    AUTO_FREE char *bus = xasprintf("ide.%u", d->bus);
    struct device_bus *b = bus_find(vm->board->buses, bus);
    if (!b) {
        (void)fail(err, ENODEV, "drive '%s': machine type does not support if=ide,bus=%u,unit=%u",
                   d->d.id, d->bus, d->unit);
        return fail_hint(err, "use if=virtio, or if=none with a -device");
    }
    if (!device_type_find(type))
        return fail(err, ENOTSUP, "drive '%s': this build has no device %s", d->d.id, type);
    return add_for_drive(vm, d,
                         xasprintf("%s,drive=%s,bus=%s,unit=%u", type, d->d.id, bus, d->unit), err);
}

static bool add_virtio(struct vm *vm, struct vm_drive *d, struct error *err)
{
    bool pci = bus_find_kind(vm->board->buses, "PCI", false) != NULL;
    const char *type = pci ? "virtio-blk-pci" : "virtio-blk-device";
    return add_for_drive(vm, d, xasprintf("%s,drive=%s", type, d->d.id), err);
}

/* The adapter is virtio-scsi, as no other is made here; drivers of today know no lsi53c895a. */
static bool add_scsi(struct vm *vm, struct vm_drive *d, struct error *err)
{
    const char *type = d->d.media == DRIVE_CDROM ? "scsi-cd" : "scsi-hd";
    AUTO_FREE char *adapter = xasprintf("scsi%u", d->bus);
    if (!vm_device_find(vm, adapter)) {
        AUTO_FREE char *text = xasprintf("virtio-scsi-pci,id=%s", adapter);
        fprintf(stderr, "warning: if=scsi is a virtio-scsi-pci here, not an lsi53c895a\n");
        if (!vm_add_device(vm, text, err)) {
            err_prefix(err, "drive '%s': ", d->d.id);
            return false;
        }
    }
    return add_for_drive(
        vm, d, xasprintf("%s,drive=%s,bus=%s.0,scsi-id=%u", type, d->d.id, adapter, d->unit), err);
}

bool vm_add_drive_devices(struct vm *vm, struct error *err)
{
    for (struct vm_drive *d = vm->drives; d; d = d->next) {
        bool ok = true;
        if (d->d.device || d->claimed)
            continue;
        if (is_interface(d, "ide"))
            ok = add_ide(vm, d, err);
        else if (is_interface(d, "virtio"))
            ok = add_virtio(vm, d, err);
        else if (is_interface(d, "scsi"))
            ok = add_scsi(vm, d, err);
        if (!ok)
            return false;
    }
    return true;
}

bool vm_check_drives(struct vm *vm, struct error *err)
{
    for (struct vm_drive *d = vm->drives; d; d = d->next) {
        if (d->d.device || d->claimed || !d->iface || is_interface(d, "none"))
            continue;
        (void)fail(err, ENODEV, "drive '%s': machine type does not support if=%s,bus=%u,unit=%u",
                   d->d.id, d->iface, d->bus, d->unit);
        return fail_hint(err, "use if=none with a -device");
    }
    return true;
}

/* An empty CD-ROM drive where QEMU has it: the first of the second channel. */
static bool add_cdrom(struct vm *vm, struct error *err)
{
    static const char *const others[] = { "ide-cd", "ide-hd", "scsi-cd", "scsi-hd", NULL };
    unsigned units = vm->config.board_type->ide_units;
    const char *bus = units == 1 ? "ide.2" : "ide.1";
    if (vm->config.no_default_cdrom || vm_asks_for(vm, others) || !device_type_find("ide-cd"))
        return true;
    struct device_bus *b = bus_find(vm->board->buses, bus);
    for (struct vm_drive *d = vm->drives; d; d = d->next)
        if (is_interface(d, "ide") && d->bus == (units == 1 ? 2 : 1) && d->unit == 0)
            return true;
    if (!b)
        return true;
    AUTO_FREE char *text = xasprintf("ide-cd,bus=%s,unit=0", bus);
    return vm_add_device(vm, text, err);
}

/* The standard VGA in the first free slot, as in QEMU's machines. */
static bool add_vga(struct vm *vm, struct error *err)
{
    static const char *const others[] = { "VGA",           "secondary-vga",
                                          "virtio-vga",    "cirrus-vga",
                                          "bochs-display", "ramfb",
                                          "qxl-vga",       NULL };
    const char *vga = vm->config.vga;
    bool has_pci = bus_find_kind(vm->board->buses, "PCI", false) != NULL;
    if (vga && !strcmp(vga, "std") && !has_pci) {
        (void)fail(err, ENODEV, "-vga std: this machine has no PCI bus");
        return fail_hint(err, "leave it out");
    }
    if (!has_pci || (vga && !strcmp(vga, "none")) || (!vga && vm_asks_for(vm, others)) ||
        !device_type_find("VGA"))
        return true;
    return vm_add_device(vm, "VGA", err);
}

bool vm_add_defaults(struct vm *vm, struct error *err)
{
    return add_vga(vm, err) && vm_add_drive_devices(vm, err) && add_cdrom(vm, err);
}
