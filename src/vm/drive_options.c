/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/drive_options.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/modes.h"
#include "disk/node.h"

const char *const drive_interfaces[] = { "none", "ide", "scsi",   "floppy", "pflash",
                                         "mtd",  "sd",  "virtio", "xen",    NULL };

static bool bad_word(const char *key, const char *value, const char *words, struct error *err)
{
    (void)fail(err, EINVAL, "%s=%s: no such choice", key, value);
    return fail_hint(err, "%s is one of %s", key, words);
}

static bool take_place(struct drive_options *o, struct error *err)
{
    o->has_bus = optlist_has(&o->rest, "bus");
    o->has_unit = optlist_has(&o->rest, "unit");
    o->has_index = optlist_has(&o->rest, "index");
    if (!optlist_take_u64(&o->rest, "bus", &o->bus, err) ||
        !optlist_take_u64(&o->rest, "unit", &o->unit, err) ||
        !optlist_take_u64(&o->rest, "index", &o->index, err))
        return false;
    if (o->has_index && (o->has_bus || o->has_unit)) {
        (void)fail(err, EINVAL, "index= cannot be used with bus= and unit=");
        return fail_hint(err, "index is bus and unit in one number");
    }
    if (o->bus < 256 && o->unit < 256 && o->index < 256)
        return true;
    return fail(err, ERANGE, "bus, unit and index are at most 255");
}

static bool take_interface(struct drive_options *o, const char *default_if, struct error *err)
{
    const char *v = optlist_take(&o->rest, "if");
    o->iface = v ? v : default_if;
    for (const char *const *p = drive_interfaces; *p; p++)
        if (!strcmp(o->iface, *p))
            return true;
    const char *near = nearest_name(o->iface, drive_interfaces);
    (void)fail(err, EINVAL, "if=%s: unsupported bus type", o->iface);
    return near ? fail_hint(err, "did you mean '%s'?", near)
                : fail_hint(err, "if is one of ide, scsi, virtio, pflash, floppy, sd, none");
}

static bool take_media(struct drive_options *o, struct error *err)
{
    const char *v = optlist_take(&o->rest, "media");
    if (!v || !strcmp(v, "disk"))
        o->media = DRIVE_DISK;
    else if (!strcmp(v, "cdrom"))
        o->media = DRIVE_CDROM;
    else
        return bad_word("media", v, "disk, cdrom", err);
    return true;
}

static bool take_mode(struct drive_options *o, const char *key,
                      bool (*set)(const char *, unsigned *), const char *words, struct error *err)
{
    const char *v = optlist_take(&o->rest, key);
    return !v || set(v, &o->flags) || bad_word(key, v, words, err);
}

static bool take_on_error(struct drive_options *o, const char *key, bool write,
                          enum drive_on_error *ret, struct error *err)
{
    static const char *const words[] = { "report", "ignore", "stop", "enospc", NULL };
    const char *v = optlist_take(&o->rest, key);
    *ret = write ? DRIVE_ENOSPC : DRIVE_REPORT;
    if (!v)
        return true;
    if (strcmp(o->iface, "ide") && strcmp(o->iface, "scsi") && strcmp(o->iface, "virtio") &&
        strcmp(o->iface, "none"))
        return fail(err, EINVAL, "%s is not supported by this bus type", key);
    for (unsigned i = 0; words[i]; i++) {
        if (!strcmp(v, words[i]) && (write || i != DRIVE_ENOSPC)) {
            *ret = i;
            return true;
        }
    }
    return bad_word(key, v, write ? "report, ignore, stop, enospc" : "report, ignore, stop", err);
}

/* QEMU's names of the limits: throttling.X and, for most, an older one. */
static const struct {
    const char *name, *old_name;
} limit_names[THROTTLE_BUCKET_COUNT] = {
    [THROTTLE_BPS_TOTAL] = { "bps-total", "bps" },
    [THROTTLE_BPS_READ] = { "bps-read", "bps_rd" },
    [THROTTLE_BPS_WRITE] = { "bps-write", "bps_wr" },
    [THROTTLE_IOPS_TOTAL] = { "iops-total", "iops" },
    [THROTTLE_IOPS_READ] = { "iops-read", "iops_rd" },
    [THROTTLE_IOPS_WRITE] = { "iops-write", "iops_wr" },
};

static bool take_number(struct drive_options *o, const char *key, uint64_t *ret, struct error *err)
{
    o->has_limits |= optlist_has(&o->rest, key);
    return optlist_take_u64(&o->rest, key, ret, err);
}

static bool take_limit(struct drive_options *o, enum throttle_bucket b, struct error *err)
{
    struct throttle_limit *l = &o->limits.bucket[b];
    AUTO_FREE char *avg = xasprintf("throttling.%s", limit_names[b].name);
    AUTO_FREE char *max = xasprintf("throttling.%s-max", limit_names[b].name);
    AUTO_FREE char *length = xasprintf("throttling.%s-max-length", limit_names[b].name);
    AUTO_FREE char *old_max = xasprintf("%s_max", limit_names[b].old_name);
    AUTO_FREE char *old_length = xasprintf("%s_max_length", limit_names[b].old_name);
    return take_number(o, avg, &l->avg, err) &&
           take_number(o, limit_names[b].old_name, &l->avg, err) &&
           take_number(o, max, &l->max, err) && take_number(o, old_max, &l->max, err) &&
           take_number(o, length, &l->max_length, err) &&
           take_number(o, old_length, &l->max_length, err);
}

static bool take_limits(struct drive_options *o, struct error *err)
{
    for (unsigned i = 0; i < THROTTLE_BUCKET_COUNT; i++)
        if (!take_limit(o, i, err))
            return false;
    o->group = optlist_take(&o->rest, "throttling.group");
    if (!o->group)
        o->group = optlist_take(&o->rest, "group");
    return take_number(o, "throttling.iops-size", &o->limits.iops_size, err) &&
           take_number(o, "iops_size", &o->limits.iops_size, err) &&
           throttle_check(&o->limits, err);
}

static bool take_read_only(struct drive_options *o, struct error *err)
{
    o->has_read_only = optlist_has(&o->rest, "readonly") || optlist_has(&o->rest, "read-only");
    o->read_only = o->media == DRIVE_CDROM;
    return optlist_take_bool(&o->rest, "readonly", &o->read_only, err) &&
           optlist_take_bool(&o->rest, "read-only", &o->read_only, err);
}

/* Keys that QEMU had and took away: said so, since many scripts still have them. */
static bool refuse_gone(struct drive_options *o, struct error *err)
{
    static const struct {
        const char *key, *instead;
    } gone[] = {
        { "serial", "-drive if=none,id=X and -device ...,drive=X,serial=..." },
        { "addr", "-drive if=none,id=X and -device ...,drive=X,addr=..." },
        { "cyls", "-device ide-hd,drive=X,cyls=..." },
        { "heads", "-device ide-hd,drive=X,heads=..." },
        { "secs", "-device ide-hd,drive=X,secs=..." },
        { "boot", "-boot or bootindex=" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(gone); i++) {
        if (optlist_has(&o->rest, gone[i].key)) {
            (void)fail(err, EINVAL, "%s= is a property of the device", gone[i].key);
            return fail_hint(err, "write %s", gone[i].instead);
        }
    }
    return true;
}

/* format=qcow2 is the image driver's name. */
static bool take_format(struct drive_options *o, struct error *err)
{
    const char *format = optlist_take(&o->rest, "format");
    if (!format)
        return true;
    if (optlist_has(&o->rest, "driver")) {
        (void)fail(err, EINVAL, "format= and driver= are both there");
        return fail_hint(err, "leave one out: they mean the same");
    }
    if (!disk_driver_find(format)) {
        const char *names[64];
        unsigned n = 0;
        for (; disk_drivers[n] && n < ARRAY_SIZE(names) - 1; n++)
            names[n] = disk_drivers[n]->name;
        names[n] = NULL;
        const char *near = nearest_name(format, names);
        (void)fail(err, EINVAL, "'%s' invalid format", format);
        return near ? fail_hint(err, "did you mean '%s'?", near)
                    : fail_hint(err, "raw, qcow2, vmdk, ... (rhea-img --help lists them)");
    }
    optlist_add(&o->rest, "driver", format);
    return true;
}

bool drive_options_parse(struct drive_options *o, const char *text, const char *default_if,
                         struct error *err)
{
    bool stats = false, copy = false;
    *o = (struct drive_options){ 0 };
    bool ok = *text == '{' ? optlist_parse_json(&o->rest, text, err)
                           : optlist_parse(&o->rest, text, NULL, err);
    if (!ok)
        return false;
    o->file = optlist_take(&o->rest, "file");
    o->id = optlist_take(&o->rest, "id");
    ok = take_interface(o, default_if, err) && take_media(o, err) && take_place(o, err) &&
         take_mode(o, "cache", disk_mode_cache, "none, writeback, writethrough, directsync, unsafe",
                   err) &&
         take_mode(o, "aio", disk_mode_aio, "threads, native, io_uring", err) &&
         take_on_error(o, "werror", true, &o->on_write_error, err) &&
         take_on_error(o, "rerror", false, &o->on_read_error, err) && take_limits(o, err) &&
         take_read_only(o, err) && optlist_take_bool(&o->rest, "snapshot", &o->snapshot, err) &&
         optlist_take_bool(&o->rest, "copy-on-read", &copy, err) &&
         optlist_take_bool(&o->rest, "stats-account-invalid", &stats, err) &&
         optlist_take_bool(&o->rest, "stats-account-failed", &stats, err) && refuse_gone(o, err) &&
         take_format(o, err);
    o->copy_on_read = copy;
    if (ok && o->media == DRIVE_CDROM && o->has_read_only && !o->read_only)
        o->read_only = true; /* a CD-ROM drive writes nothing */
    if (ok && o->copy_on_read && o->read_only) {
        ok = fail(err, EINVAL, "copy-on-read=on needs an image that may be written");
        (void)fail_hint(err, "leave read-only=on out");
    }
    return ok;
}

void drive_options_finish(struct drive_options *o)
{
    optlist_finish(&o->rest);
}
