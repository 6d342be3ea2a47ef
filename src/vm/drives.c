/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -blockdev and -drive: the graph of image nodes of one machine and the drives that devices take
 * from it. A drive of if=none waits for a -device; one of an interface gets its device here.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/modes.h"
#include "vm/drive_options.h"
#include "vm/vm_priv.h"

/* --- -blockdev --- */

static bool add_node(struct vm *vm, const char *text, struct error *err)
{
    struct optlist l = { 0 };
    struct disk *d = NULL;
    bool ok =
        *text == '{' ? optlist_parse_json(&l, text, err) : optlist_parse(&l, text, "driver", err);
    if (ok && !optlist_has(&l, "driver")) {
        ok = fail(err, EINVAL, "Parameter 'driver' is missing");
        (void)fail_hint(err, "write driver=qcow2,node-name=NAME,file.driver=file,file.filename=F");
    }
    if (ok && !optlist_has(&l, "node-name")) {
        ok = fail(err, EINVAL, "'node-name' must be specified for the root node");
        (void)fail_hint(err, "devices take it by that name: drive=NAME");
    }
    if (ok)
        d = disk_open(vm->graph, NULL, &l, DISK_RDWR, err);
    if (d)
        g_ptr_array_add(vm->nodes, d);
    optlist_finish(&l);
    return d != NULL;
}

/* --- -drive: its name and place --- */

static bool has_units(const char *iface)
{
    return !strcmp(iface, "ide") || !strcmp(iface, "scsi") || !strcmp(iface, "floppy");
}

static unsigned units_of(const struct vm *vm, const char *iface)
{
    unsigned ide = vm->config.board_type->ide_units;
    if (!strcmp(iface, "ide"))
        return ide ? ide : 2;
    return !strcmp(iface, "scsi") ? 7 : !strcmp(iface, "floppy") ? 2 : 1;
}

static struct vm_drive *drive_at(struct vm *vm, const char *iface, unsigned bus, unsigned unit)
{
    for (struct vm_drive *d = vm->drives; d; d = d->next)
        if (d->iface && !strcmp(d->iface, iface) && d->bus == bus && d->unit == unit)
            return d;
    return NULL;
}

static bool set_place(struct vm *vm, struct vm_drive *d, const struct drive_options *o,
                      struct error *err)
{
    unsigned units = units_of(vm, d->iface);
    bool many = has_units(d->iface);
    d->bus = o->bus;
    d->unit = o->unit;
    if (o->has_index) {
        d->bus = many ? o->index / units : 0;
        d->unit = many ? o->index % units : o->index;
    } else if (!o->has_unit) {
        for (d->unit = 0; drive_at(vm, d->iface, d->bus, d->unit);) {
            d->unit++;
            if (many && d->unit == units) {
                d->unit = 0;
                d->bus++;
            }
        }
    }
    if (many && d->unit >= units) {
        (void)fail(err, EINVAL, "unit %u too big (max is %u)", d->unit, units - 1);
        return fail_hint(err, "an %s bus of this machine takes %u", d->iface, units);
    }
    if (drive_at(vm, d->iface, d->bus, d->unit)) {
        (void)fail(err, EEXIST, "drive with bus=%u, unit=%u (index=%u) exists", d->bus, d->unit,
                   many ? d->bus * units + d->unit : d->unit);
        return fail_hint(err, "give each drive an index of its own");
    }
    return true;
}

static char *default_id(const struct vm_drive *d)
{
    const char *media = d->d.media == DRIVE_CDROM ? "-cd" : "-hd";
    if (!strcmp(d->iface, "floppy"))
        media = "";
    if (has_units(d->iface))
        return xasprintf("%s%u%s%u", d->iface, d->bus, media, d->unit);
    return xasprintf("%s%u", d->iface, d->unit);
}

static struct vm_drive *drive_called(struct vm *vm, const char *id)
{
    for (struct vm_drive *d = vm->drives; d; d = d->next)
        if (!strcmp(d->d.id, id))
            return d;
    return NULL;
}

/* --- -drive: the medium --- */

/* The group of throttling.group=, else one of its own. Limits of a shared group: who comes last. */
static bool make_group(struct vm *vm, struct vm_drive *d, const struct drive_options *o,
                       struct error *err)
{
    const struct object_type *found;
    const struct object_type *const type = &throttle_group_type;
    struct error ignored;
    d->throttle = o->group ? xstrdup(o->group) : xasprintf("throttle-%s", d->d.id);
    struct throttle_group *g =
        object_find_any(vm->objects, d->throttle, &type, 1, &found, &ignored);
    if (!g) {
        AUTO_FREE char *text = xasprintf("throttle-group,id=%s", d->throttle);
        if (!object_add(vm->objects, text, err))
            return false;
        g = object_find(vm->objects, d->throttle, type, err);
    }
    if (g && o->has_limits)
        throttle_set(g, &o->limits);
    return g != NULL;
}

static struct disk *put_throttle(struct vm *vm, const struct vm_drive *d, struct disk *own_base,
                                 unsigned flags, struct error *err)
{
    AUTO_UNREF(disk) base = own_base;
    struct optlist opts = { 0 };
    optlist_add(&opts, "driver", "throttle");
    optlist_add(&opts, "throttle-group", d->throttle);
    optlist_add(&opts, "file", disk_node_name(base));
    struct disk *top = disk_open(vm->graph, NULL, &opts, flags, err);
    optlist_finish(&opts);
    return top;
}

static bool open_medium(struct vm *vm, struct vm_drive *d, struct drive_options *o,
                        struct error *err)
{
    bool snapshot = (o->snapshot || vm->config.snapshot) && !o->read_only;
    unsigned flags = o->flags | (o->read_only || snapshot ? 0 : DISK_RDWR);
    unsigned above = o->read_only ? 0 : DISK_RDWR;
    bool has_file = o->file && *o->file;
    if (!has_file && !optlist_has(&o->rest, "driver") && !optlist_has(&o->rest, "file.driver") &&
        !optlist_has(&o->rest, "file.filename"))
        return optlist_done(&o->rest, "a drive without a medium", err);
    struct disk *disk = disk_open(vm->graph, has_file ? o->file : NULL, &o->rest, flags, err);
    if (!disk)
        return false;
    if (!snapshot)
        disk_warn_probed(stderr, disk);
    if (snapshot)
        disk = disk_open_temporary(vm->graph, disk, flags, err);
    if (disk && o->copy_on_read)
        disk = disk_open_copy_on_read(vm->graph, disk, above, err);
    if (disk && (o->has_limits || o->group)) {
        if (make_group(vm, d, o, err))
            disk = put_throttle(vm, d, disk, above, err);
        else
            disk_unref(TAKE(disk));
    }
    d->d.disk = disk;
    d->d.read_only = disk && disk_read_only(disk);
    d->d.write_through = o->flags & DISK_WRITETHROUGH;
    return disk != NULL;
}

/* --- drives --- */

static void stop_machine(struct drive *d, int error)
{
    vm_request_pause(d->vm, d->id, error);
}

static struct vm_drive *new_drive(struct vm *vm)
{
    struct vm_drive *d = xnew(struct vm_drive);
    d->d.graph = vm->graph;
    d->d.bootindex = -1;
    d->d.on_write_error = DRIVE_ENOSPC;
    d->d.vm = vm;
    d->d.on_stop = stop_machine;
    return d;
}

static void free_drive(struct vm_drive *d)
{
    if (!d)
        return;
    disk_unref(d->d.disk);
    free(d->d.id);
    free(d->d.serial);
    free(d->iface);
    free(d->throttle);
    free(d);
}

static void append_drive(struct vm *vm, struct vm_drive *d)
{
    struct vm_drive **p = &vm->drives;
    while (*p)
        p = &(*p)->next;
    *p = d;
}

static bool check_drive_id(struct vm *vm, const char *id, struct error *err)
{
    if (drive_called(vm, id)) {
        (void)fail(err, EEXIST, "duplicate ID '%s' for drive", id);
        return fail_hint(err, "give each -drive an id of its own");
    }
    if (disk_graph_find(vm->graph, id)) {
        (void)fail(err, EEXIST, "id '%s': a node of -blockdev is called that", id);
        return fail_hint(err, "give the drive another id");
    }
    return true;
}

static bool build_drive(struct vm *vm, struct vm_drive *d, struct drive_options *o,
                        struct error *err)
{
    d->iface = xstrdup(o->iface);
    d->d.media = o->media;
    d->d.on_write_error = o->on_write_error;
    d->d.on_read_error = o->on_read_error;
    if (!set_place(vm, d, o, err))
        return false;
    d->d.id = o->id ? xstrdup(o->id) : default_id(d);
    return check_drive_id(vm, d->d.id, err) && open_medium(vm, d, o, err);
}

static const char *default_interface(const struct vm *vm)
{
    const char *name = vm->config.board_type->default_if;
    return name ? name : "ide";
}

static bool add_drive(struct vm *vm, const char *text, struct error *err)
{
    struct drive_options o;
    struct vm_drive *d = new_drive(vm);
    bool ok =
        drive_options_parse(&o, text, default_interface(vm), err) && build_drive(vm, d, &o, err);
    if (ok && !d->d.disk && d->d.media == DRIVE_DISK && strcmp(d->iface, "none") &&
        strcmp(d->iface, "floppy")) {
        ok = fail(err, EINVAL, "a disk needs an image");
        (void)fail_hint(err, "give file=IMAGE, or media=cdrom for an empty CD-ROM drive");
    }
    if (ok)
        append_drive(vm, d);
    else
        free_drive(d);
    drive_options_finish(&o);
    return ok;
}

static bool refuse_interfaces(const struct vm_drive *d, struct error *err)
{
    const char *what = !strcmp(d->iface, "floppy") ? "floppy drives come"
                       : !strcmp(d->iface, "sd")   ? "SD cards come"
                       : !strcmp(d->iface, "mtd")  ? "MTD flash comes"
                       : !strcmp(d->iface, "xen")  ? "Xen's disks come"
                                                   : NULL;
    if (!what)
        return true;
    (void)fail(err, ENOTSUP, "if=%s: %s with a later release", d->iface, what);
    return fail_hint(err, "use if=ide, if=virtio or if=none with a -device");
}

bool vm_make_drives(struct vm *vm, struct error *err)
{
    vm->graph = disk_graph_new(vm->objects);
    for (const char *const *p = vm->config.blockdevs; p && *p; p++) {
        if (!add_node(vm, *p, err)) {
            err_prefix(err, "-blockdev %.*s: ", (int)MIN(strlen(*p), 40), *p);
            return false;
        }
    }
    for (const char *const *p = vm->config.drives; p && *p; p++) {
        if (!add_drive(vm, *p, err)) {
            err_prefix(err, "-drive %.*s: ", (int)MIN(strlen(*p), 40), *p);
            return false;
        }
    }
    for (struct vm_drive *d = vm->drives; d; d = d->next)
        if (!refuse_interfaces(d, err))
            return false;
    return true;
}

void vm_free_drives(struct vm *vm)
{
    for (struct vm_drive *d = vm->drives, *next; d; d = next) {
        next = d->next;
        free_drive(d);
    }
    vm->drives = NULL;
    for (unsigned i = vm->nodes->len; i-- > 0;)
        disk_unref(vm->nodes->pdata[i]);
    g_ptr_array_set_size(vm->nodes, 0);
    if (vm->graph)
        disk_graph_free(vm->graph);
    vm->graph = NULL;
}

void drive_eject(struct drive *d)
{
    struct disk *old = d->disk;
    d->disk = NULL;
    if (old && d->user && d->user->medium_changed)
        d->user->medium_changed(d->user->opaque, d);
    disk_unref(old);
}

/* --- what devices take --- */

static bool no_such_drive(struct vm *vm, const char *name, struct error *err)
{
    const char *names[128], *near;
    size_t n = 0;
    for (struct vm_drive *d = vm->drives; d && n < 60; d = d->next)
        names[n++] = d->d.id;
    for (unsigned i = 0; i < vm->nodes->len && n < ARRAY_SIZE(names) - 1; i++)
        names[n++] = disk_node_name(vm->nodes->pdata[i]);
    names[n] = NULL;
    near = nearest_name(name, names);
    (void)fail(err, ENODEV, "can't find value '%s': no drive or node is called that", name);
    if (near)
        return fail_hint(err, "did you mean '%s'?", near);
    return n ? fail_hint(err, "there is '%s'%s", names[0], n > 1 ? " and others" : "")
             : fail_hint(err, "make one with -drive if=none,id=%s,file=...", name);
}

struct vm_drive *vm_drive_find(struct vm *vm, const char *name, struct error *err)
{
    struct vm_drive *d = drive_called(vm, name);
    struct disk *node = d ? NULL : disk_graph_find(vm->graph, name);
    if (d)
        return d;
    if (!node) {
        (void)no_such_drive(vm, name, err);
        return NULL;
    }
    d = new_drive(vm);
    d->d.id = xstrdup(name);
    d->d.disk = disk_ref(node);
    d->d.read_only = disk_read_only(node);
    append_drive(vm, d);
    return d;
}

bool vm_drive_take(struct vm *vm, struct device *user, const char *name, void **ret,
                   struct error *err)
{
    struct vm_drive *d = vm_drive_find(vm, name, err);
    if (!d)
        return false;
    if (d->d.device || d->claimed) {
        const char *who = d->d.device ? d->d.device->id : "the machine";
        (void)fail(err, EBUSY, "drive '%s' is already in use by '%s'", name, who);
        return d->iface && strcmp(d->iface, "none")
                   ? fail_hint(err, "write if=none in its -drive to place it yourself")
                   : fail_hint(err, "a drive belongs to one device");
    }
    if (d->iface && strcmp(d->iface, "none") && d->d.media == DRIVE_DISK)
        d->claimed = false;
    d->d.device = user;
    *ret = &d->d;
    return true;
}

void vm_drive_give_back(struct vm *vm, struct drive *d)
{
    d->device = NULL;
    d->user = NULL;
}

bool vm_drive_share(struct device *dev, struct error *err)
{
    struct device *owner, *share_owner;
    const struct field *f = device_prop(dev, "drive", &owner);
    if (!f || f->kind != FIELD_POINTER || strcmp(f->link, "drive"))
        return true;
    struct drive *d = *(struct drive **)((char *)owner + f->offset);
    const struct field *share = device_prop(dev, "share-rw", &share_owner);
    if (!d || !d->disk || (share && field_get(share_owner, share, 0)))
        return true;
    return disk_set_exclusive(d->disk, true, err);
}
