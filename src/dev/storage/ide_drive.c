/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus "IDE" and the drives on it, ide-hd and ide-cd: properties, medium, snapshot. On a bus of
 * an AHCI port they are SATA drives.
 */
#include "dev/storage/ide_drive.h"

#include "base/alloc.h"
#include "base/bits.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNIT_ANY = UINT32_MAX, GEOMETRY_CYLS_MAX = 65535, GEOMETRY_HEADS_MAX = 16 };

/* Hosts that take no part: a drive that is not plugged in (a test makes each device alone). */
static void no_pio(void *opaque, struct ata_drive *d, bool interrupt)
{
}
static void no_dma(void *opaque, struct ata_task *t)
{
}
static void no_moved(void *opaque, struct ata_task *t, size_t moved)
{
}
static void no_queued(void *opaque, struct ata_drive *d)
{
}
static void no_queued_ended(void *opaque, struct ata_drive *d, uint8_t tag, bool ok)
{
}
static const struct ata_host no_host = { no_pio,    no_dma,          no_moved, no_pio,
                                         no_queued, no_queued_ended, NULL };

static bool ide_plug(struct device_bus *bus, struct device *dev, struct error *err)
{
    struct ide_bus *b = bus->opaque;
    struct ata_drive *d = (struct ata_drive *)dev;
    if (d->unit == UNIT_ANY)
        for (d->unit = 0; d->unit < bus->room && b->drive[d->unit]; d->unit++)
            ;
    if (d->unit >= bus->room && bus->count >= bus->room)
        return fail(err, EBUSY, "bus '%s' is full: it takes %u drive%s", bus->name, bus->room,
                    bus->room == 1 ? "" : "s");
    if (d->unit >= bus->room)
        return fail(err, EINVAL, "bus '%s' has no unit %" PRIu32 ": it takes %u drive%s", bus->name,
                    d->unit, bus->room, bus->room == 1 ? "" : "s");
    if (b->drive[d->unit])
        return fail(err, EBUSY, "unit %" PRIu32 " of bus '%s' is taken by '%s'", d->unit, bus->name,
                    b->drive[d->unit]->dev.id);
    b->drive[d->unit] = d;
    d->bus = b;
    return true;
}

static void ide_unplug(struct device_bus *bus, struct device *dev)
{
    struct ide_bus *b = bus->opaque;
    struct ata_drive *d = (struct ata_drive *)dev;
    if (d->bus != b || b->drive[d->unit] != d)
        return;
    b->host->ended(b->host_opaque, d, false); /* the adapter forgets what it waited for */
    b->drive[d->unit] = NULL;
    d->nowhere.host = &no_host;
    d->bus = &d->nowhere;
}

static void ide_place(const struct device *dev, char *buf, size_t size)
{
    (void)snprintf(buf, size, "%" PRIu32, ((const struct ata_drive *)dev)->unit);
}

/* "drive@N/disk@U": N is the channel (or the AHCI port), as SeaBIOS and OVMF look for them. */
static void ide_fw_path(const struct device *dev, char *buf, size_t size)
{
    const struct ata_drive *d = (const struct ata_drive *)dev;
    (void)snprintf(buf, size, "drive@%x/disk@%" PRIx32, d->bus->channel, d->unit);
}

const struct bus_type ide_bus_type = {
    .name = "IDE",
    .plug = ide_plug,
    .unplug = ide_unplug,
    .props = FIELDS(FIELD(struct ata_drive, unit,
                          .doc = "0: master, 1: slave; a SATA port has 0 alone [first free]")),
    .place = ide_place,
    .fw_path = ide_fw_path,
};

void ide_bus_init(struct ide_bus *b, struct device *owner, const char *name, unsigned units,
                  const struct ata_host *host, void *opaque)
{
    bus_init(&b->bus, &ide_bus_type, owner, name, b);
    b->bus.room = units;
    b->host = host;
    b->host_opaque = opaque;
}

void ide_bus_finish(struct ide_bus *b)
{
    for (unsigned i = 0; i < ARRAY_SIZE(b->drive); i++)
        if (b->drive[i])
            b->drive[i]->bus = &b->drive[i]->nowhere;
    memset(b->drive, 0, sizeof b->drive);
    bus_finish(&b->bus);
}

/* --- what the drives share --- */

/* Without a name of its own a drive is numbered by its place, as users know it: two per channel, of
 * all adapters before this one, too. */
static unsigned place_number(const struct ata_drive *d)
{
    const struct device *owner = d->bus->bus.owner;
    unsigned n = 1 + d->unit % 2 + 2 * d->bus->channel;
    if (!owner || !owner->parent)
        return n;
    for (const struct device *s = owner->parent->first; s && s != owner; s = s->next_sibling)
        for (const struct device_bus *b = s->buses; b; b = b->next)
            n += b->type == &ide_bus_type ? 2 : 0;
    return n;
}

static bool drive_init(struct ata_drive *d, struct error *err)
{
    if (!d->bus) {
        d->nowhere.host = &no_host;
        d->bus = &d->nowhere;
    }
    if (d->unit == UNIT_ANY)
        d->unit = 0;
    d->data = xcalloc(1, ATA_BUFFER);
    if (!d->model)
        d->model = xstrdup(d->atapi ? "QEMU DVD-ROM" : "QEMU HARDDISK");
    if (!d->ver)
        d->ver = xstrdup("2.5+");
    if (strlen(d->model) > 40)
        return fail(err, EINVAL, "model '%s' is longer than 40 characters", d->model);
    if (strlen(d->ver) > 8)
        return fail(err, EINVAL, "ver '%s' is longer than 8 characters", d->ver);
    if (!blk_conf_settle(&d->conf, &d->dev, err))
        return false;
    if (d->conf.serial && strlen(d->conf.serial) > 20)
        return fail(err, EINVAL, "serial '%s' is longer than 20 characters", d->conf.serial);
    if (d->conf.serial && *d->conf.serial)
        (void)snprintf(d->serial, sizeof d->serial, "%s", d->conf.serial);
    else
        (void)snprintf(d->serial, sizeof d->serial, "QM%05u", place_number(d));
    if (!d->conf.drive)
        return true;
    d->blk = blk_new(d->dev.ctx.loop, NULL, &d->conf, err);
    return d->blk != NULL;
}

static void drive_finish(struct device *dev)
{
    struct ata_drive *d = (struct ata_drive *)dev;
    if (d->blk)
        ata_cancel(d);
    for (unsigned i = 0; i < ATA_TAGS; i++)
        sg_finish(&d->task[i].sg);
    if (d->conf.drive && d->conf.drive->user && d->conf.drive->user->opaque == d)
        d->conf.drive->user = NULL;
    blk_free(d->blk);
    free(d->data);
    free(d->cmd);
}

/* System reset: the adapter resets its drives when it is reset itself; this one does when there is
 * none. */
static void drive_reset(struct device *dev)
{
    struct ata_drive *d = (struct ata_drive *)dev;
    d->write_cache = d->blk && blk_conf_write_cache(&d->conf);
    if (d->blk && !d->atapi)
        blk_set_write_through(d->blk, !d->write_cache);
    ata_reset(d, true);
    if (d->atapi)
        mmc_reset(&d->mmc, true);
    if (d->bus->host->arrived)
        d->bus->host->arrived(d->bus->host_opaque, d);
}

static bool drive_loaded(struct device *dev, struct error *err)
{
    struct ata_drive *d = (struct ata_drive *)dev;
    if (!d->atapi && (d->max_sectors > d->sectors || !d->cur_heads || !d->cur_secs))
        return fail(err, EINVAL, "drive '%s': geometry of the state does not fit", dev->id);
    if (d->multiple & (d->multiple - 1))
        return fail(err, EINVAL, "drive '%s': bad count of READ MULTIPLE", dev->id);
    d->regs.status &= ~(ATA_BSY | ATA_DRQ); /* no command is carried out in a saved state */
    if (d->blk && !d->atapi)
        blk_set_write_through(d->blk, !d->write_cache);
    return true;
}

static void drive_save(struct device *dev)
{
    struct ata_drive *d = (struct ata_drive *)dev;
    if (d->blk)
        blk_drain(d->blk);
}

static void drive_defaults(struct device *dev)
{
    struct ata_drive *d = (struct ata_drive *)dev;
    blk_conf_defaults(&d->conf);
    d->unit = UNIT_ANY;
}

/* --- ide-hd --- */

static bool geometry(struct ata_drive *d, struct error *err)
{
    struct blk_conf *c = &d->conf;
    static const char *const translations[] = { "auto", "none", "lba", "large", "rechs", NULL };
    const char *t = d->bios_chs_trans;
    unsigned i = 0;
    while (t && translations[i] && strcmp(translations[i], t))
        i++;
    if (!translations[i])
        return fail(err, EINVAL, "bios-chs-trans '%s' is not auto, none, lba, large or rechs", t);
    d->cyls = c->cyls;
    d->heads = c->heads;
    d->secs = c->secs;
    if (!c->cyls && !c->heads && !c->secs)
        blk_geometry(d->blk, &d->cyls, &d->heads, &d->secs);
    if (!d->cyls || d->cyls > GEOMETRY_CYLS_MAX)
        return fail(err, EINVAL, "cyls %" PRIu32 " is not between 1 and 65535", d->cyls);
    if (!d->heads || d->heads > GEOMETRY_HEADS_MAX)
        return fail(err, EINVAL, "heads %" PRIu32 " is not between 1 and 16", d->heads);
    if (!d->secs || d->secs > 255)
        return fail(err, EINVAL, "secs %" PRIu32 " is not between 1 and 255", d->secs);
    return true;
}

static bool disk_init(struct device *dev, struct error *err)
{
    struct ata_drive *d = (struct ata_drive *)dev;
    if (!d->conf.drive) {
        (void)fail(err, EINVAL, "no drive is given");
        return fail_hint(err, "add drive=ID of a -drive if=none,id=ID or a -blockdev");
    }
    if (!d->conf.drive->disk)
        return fail(err, ENOMEDIUM, "drive '%s' has no medium, which a hard disk needs",
                    d->conf.drive->id);
    if (!drive_init(d, err))
        return false;
    if (d->conf.logical_block_size != ATA_SECTOR)
        return fail(err, EINVAL, "logical_block_size must be 512 for an IDE disk");
    if (blk_read_only(d->blk))
        return fail(err, EROFS, "drive '%s' is read-only, which an IDE disk cannot be",
                    d->conf.drive->id);
    d->sectors = MIN(blk_sectors(d->blk), BITS(47, 0));
    return geometry(d, err);
}

#define DRIVE_STATE                                                                                \
    FIELD(struct ata_drive, regs.feature), FIELD(struct ata_drive, regs.count),                    \
        FIELD_ARRAY(struct ata_drive, regs.lba), FIELD(struct ata_drive, regs.device),             \
        FIELD(struct ata_drive, regs.hob_feature), FIELD(struct ata_drive, regs.hob_count),        \
        FIELD_ARRAY(struct ata_drive, regs.hob_lba), FIELD(struct ata_drive, regs.command),        \
        FIELD(struct ata_drive, regs.status), FIELD(struct ata_drive, regs.error),                 \
        FIELD(struct ata_drive, udma), FIELD(struct ata_drive, mdma),                              \
        FIELD(struct ata_drive, standby)

#define DRIVE_PROPS                                                                                \
    BLK_PROPS(struct ata_drive, conf),                                                             \
        FIELD(struct ata_drive, model,                                                             \
              .doc = "model name, 40 characters [QEMU HARDDISK, DVD-ROM]"),                        \
        FIELD(struct ata_drive, ver, .doc = "firmware revision, 8 characters [2.5+]"),             \
        FIELD(struct ata_drive, wwn, .doc = "world wide name; 0: none [0]")

const struct device_type ide_hd_type = {
    .name = "ide-hd",
    .doc = "IDE or SATA hard disk",
    .bus = "IDE",
    .category = DEVICE_STORAGE,
    .size = sizeof(struct ata_drive),
    .props = FIELDS(
        DRIVE_PROPS,
        FIELD(struct ata_drive, conf.cyls, .wire = "cyls", .doc = "cylinders; 0: guessed [0]"),
        FIELD(struct ata_drive, conf.heads, .wire = "heads", .doc = "heads [0]"),
        FIELD(struct ata_drive, conf.secs, .wire = "secs", .doc = "sectors of a track [0]"),
        FIELD(struct ata_drive, bios_chs_trans, .wire = "bios-chs-trans",
              .doc = "geometry of the BIOS: auto, none, lba, large, rechs [auto]"),
        FIELD(struct ata_drive, rotation_rate,
              .doc = "turns in a minute; 1: solid state; 0: not told [0]")),
    .state = FIELDS(DRIVE_STATE, FIELD(struct ata_drive, max_sectors),
                    FIELD(struct ata_drive, cur_heads), FIELD(struct ata_drive, cur_secs),
                    FIELD(struct ata_drive, multiple, .max = ATA_MULTIPLE_MAX),
                    FIELD(struct ata_drive, write_cache), FIELD(struct ata_drive, look_ahead),
                    FIELD(struct ata_drive, smart), FIELD(struct ata_drive, smart_selftest),
                    FIELD(struct ata_drive, native_max_read), FIELD(struct ata_drive, ncq_error),
                    FIELD_ARRAY(struct ata_drive, ncq_log)),
    .defaults = drive_defaults,
    .init = disk_init,
    .finish = drive_finish,
    .reset = drive_reset,
    .loaded = drive_loaded,
    .save = drive_save,
};

/* --- ide-cd --- */

static void medium_changed(void *opaque, struct drive *drive)
{
    mmc_medium_changed(&((struct ata_drive *)opaque)->mmc);
}

static bool may_eject(void *opaque)
{
    return mmc_may_eject(&((struct ata_drive *)opaque)->mmc);
}

static void cd_defaults(struct device *dev)
{
    drive_defaults(dev);
    ((struct ata_drive *)dev)->atapi = true;
}

static bool cd_init(struct device *dev, struct error *err)
{
    struct ata_drive *d = (struct ata_drive *)dev;
    d->cmd = xnew(struct mmc_command);
    if (!drive_init(d, err))
        return false;
    d->heads = d->secs = 1;
    mmc_init(&d->mmc, d->blk, d->conf.drive, "QEMU", d->model, d->ver);
    d->mmc.atapi = true;
    d->user = (struct drive_user){ medium_changed, may_eject, d };
    if (d->conf.drive)
        d->conf.drive->user = &d->user;
    return true;
}

const struct device_type ide_cd_type = {
    .name = "ide-cd",
    .doc = "IDE or SATA CD-ROM drive",
    .bus = "IDE",
    .category = DEVICE_STORAGE,
    .size = sizeof(struct ata_drive),
    .props = FIELDS(DRIVE_PROPS),
    .state = FIELDS(DRIVE_STATE, MMC_STATE(struct ata_drive, mmc)),
    .defaults = cd_defaults,
    .init = cd_init,
    .finish = drive_finish,
    .reset = drive_reset,
    .loaded = drive_loaded,
    .save = drive_save,
};
