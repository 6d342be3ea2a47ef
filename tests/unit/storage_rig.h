/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest RAM and drives on disks in memory, for tests of disk controllers. */
#ifndef TESTS_UNIT_STORAGE_RIG_H
#define TESTS_UNIT_STORAGE_RIG_H

#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "dev/bus.h"
#include "dev/pci/pci.h"
#include "dev/storage/blk.h"
#include "dev_fixture.h"

enum { SR_DRIVES = 4, SR_RAM = 1 << 20 };

struct storage_rig {
    struct rig r;
    struct disk_graph *graph;
    struct drive drive[SR_DRIVES];
    int fd[SR_DRIVES];
    struct device *unit[SR_DRIVES]; /* what is plugged in, to be freed */
    unsigned units;
    struct mem_region ram_region;
    uint8_t *ram;
};

static inline void sr_open(struct storage_rig *s)
{
    struct error err;
    gra_t gra;

    memset(s, 0, sizeof *s);
    rig_open(&s->r);
    CHECK(mem_ram_alloc(s->r.mem, SR_RAM, &gra, &err));
    mem_region_init_ram(&s->ram_region, "ram", gra, SR_RAM);
    mem_map(s->r.mem, 0, &s->ram_region, 0);
    s->ram = mem_ram_base(s->r.mem) + gra;
    s->graph = disk_graph_new(NULL);
}

/* Drive n on a file in memory of this size; 0: no medium. */
static inline struct drive *sr_drive(struct storage_rig *s, unsigned n, size_t size)
{
    struct drive *d = &s->drive[n];
    struct error err;
    char name[120];

    d->graph = s->graph;
    d->id = xasprintf("d%u", n);
    d->bootindex = -1;
    if (!size)
        return d;
    s->fd[n] = memfd_create("disk", 0);
    CHECK(!ftruncate(s->fd[n], (off_t)size));
    (void)snprintf(name, sizeof name,
                   "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":"
                   "\"/proc/self/fd/%d\"}}",
                   s->fd[n]);
    d->disk = disk_open(s->graph, name, NULL, DISK_RDWR, &err);
    if (!d->disk) {
        printf("disk_open: %s\n", err.msg);
        exit(1);
    }
    return d;
}

/* Makes a device of the type with drive d (or NULL) on the bus, text "name=value" props. */
static inline struct device *sr_plug(struct storage_rig *s, const struct device_type *t,
                                     struct device_bus *bus, struct drive *d, const char *prop,
                                     const char *value)
{
    char id[16];
    struct error err;

    (void)snprintf(id, sizeof id, "unit%u", s->units);
    struct device *dev = device_new(t, id, &s->r.ctx);
    const struct field *f = field_find(t->props, "drive");
    *(struct drive **)((char *)dev + f->offset) = d;
    if (prop)
        CHECK(device_set(dev, prop, value, &err));
    if ((bus && !bus_plug(bus, dev, &err)) || !device_init(dev, &err)) {
        printf("%s: %s\n", t->name, err.msg);
        exit(1);
    }
    s->unit[s->units++] = dev;
    return dev;
}

static inline struct device_bus *sr_bus(struct device *owner, unsigned n)
{
    struct device_bus *b = owner->buses;
    while (n--)
        b = b->next;
    return b;
}

/* Lets requests complete until done(opaque), at most a few seconds. */
static inline bool sr_wait(struct storage_rig *s, bool (*done)(void *opaque), void *opaque)
{
    for (unsigned i = 0; i < 500; i++) {
        if (done(opaque))
            return true;
        loop_unlock(s->r.loop);
        loop_poll_once(s->r.loop, 10);
        loop_lock(s->r.loop);
    }
    return false;
}

static inline void sr_settle(struct storage_rig *s)
{
    loop_unlock(s->r.loop);
    loop_poll_once(s->r.loop, 5);
    loop_lock(s->r.loop);
}

static inline void sr_close(struct storage_rig *s)
{
    while (s->units)
        device_free(s->unit[--s->units]);
    device_free(s->r.dev);
    s->r.dev = NULL;
    for (unsigned i = 0; i < SR_DRIVES; i++) {
        disk_unref(s->drive[i].disk);
        free(s->drive[i].id);
        if (s->fd[i])
            close(s->fd[i]);
    }
    disk_graph_free(s->graph);
    rig_close(&s->r);
}

/* Byte i of block b of the pattern that tests write. */
static inline uint8_t sr_pattern(uint32_t b, unsigned i)
{
    return (uint8_t)(b * 37 + i * 11 + (i >> 8) * 3);
}

static inline void sr_fill_disk(struct storage_rig *s, unsigned n, uint32_t blocks, unsigned size)
{
    uint8_t buf[4096];
    for (uint32_t b = 0; b < blocks; b++) {
        for (unsigned i = 0; i < size; i++)
            buf[i] = sr_pattern(b, i);
        CHECK(pwrite(s->fd[n], buf, size, (off_t)b * size) == (ssize_t)size);
    }
}

static inline bool sr_disk_is(struct storage_rig *s, unsigned n, uint32_t b, unsigned size)
{
    uint8_t buf[4096];
    CHECK(pread(s->fd[n], buf, size, (off_t)b * size) == (ssize_t)size);
    for (unsigned i = 0; i < size; i++)
        if (buf[i] != sr_pattern(b, i))
            return false;
    return true;
}

#endif
