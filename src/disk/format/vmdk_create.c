/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making VMDK images: the extents beside the descriptor, or one sparse extent that carries it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "disk/format/vmdk.h"

enum { DESCRIPTOR_AT = 1, DESCRIPTOR_SECTORS = 20 }; /* of an embedded one */
#define SPLIT (UINT64_C(2) << 30)

struct plan {
    const struct disk_create *c;
    const struct vmdk_create *o;
    const char *subformat;
    bool flat, split, compressed;
    uint32_t parent_cid;
    char *lines; /* extents, for the descriptor; owned */
    char **made; /* files made beside the descriptor; owned */
    unsigned made_count;
};

static bool one_of(const char *what, const char *value, const char *const *list, struct error *err)
{
    for (; *list; list++) {
        if (strcmp(*list, value) == 0)
            return true;
    }
    return fail(err, EINVAL, "invalid parameter value for %s: %s", what, value);
}

static bool make_plan(struct plan *p, struct error *err)
{
    static const char *const subformats[] = { "monolithicSparse",     "monolithicFlat",
                                              "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
                                              "streamOptimized",      NULL };
    static const char *const adapters[] = { "ide", "buslogic", "lsilogic", "legacyESX", NULL };
    const struct vmdk_create *o = p->o;

    p->subformat = o->subformat ? o->subformat : subformats[0];
    if ((o->adapter_type && !one_of("adapter_type", o->adapter_type, adapters, err)) ||
        !one_of("subformat", p->subformat, subformats, err))
        return false;
    p->flat = strstr(p->subformat, "Flat");
    p->split = strstr(p->subformat, "twoGb");
    p->compressed = strcmp(p->subformat, "streamOptimized") == 0;
    p->parent_cid = VMDK_NO_PARENT;
    if (o->compat6 && o->hwversion && strcmp(o->hwversion, "undefined") != 0)
        return fail(err, EINVAL, "compat6 cannot be enabled with hwversion set");
    if (p->flat && p->c->backing_file)
        return fail(err, ENOTSUP, "Flat image can't have backing file");
    if (p->flat && o->zeroed_grain)
        return fail(err, ENOTSUP, "Flat image can't enable zeroed grain");
    if (!p->flat && !p->split && p->c->size / VMDK_SECTOR > UINT32_MAX * UINT64_C(128))
        return fail(err, EFBIG, "the image is too large for one VMDK extent") ||
               fail_hint(err, "use subformat=twoGbMaxExtentSparse");
    return true;
}

static char *beside(const char *base, const char *name)
{
    const char *slash = strrchr(base, '/');

    if (name[0] == '/')
        return xstrdup(name);
    return xasprintf("%.*s%s", slash ? (int)(slash + 1 - base) : 0, base, name);
}

/* The CID of the backing file as it is now. */
static bool read_parent(struct plan *p, struct error *err)
{
    struct optlist opts = { 0 };
    struct disk *parent;

    if (!p->c->backing_file)
        return true;
    AUTO_FREE char *path = beside(p->c->filename, p->c->backing_file);
    if (p->c->backing_fmt && strcmp(p->c->backing_fmt, "vmdk") != 0)
        return fail(err, EINVAL, "backing_file must be a vmdk image");
    parent = disk_open(p->c->graph, path, &opts, DISK_NO_BACKING, err);
    optlist_finish(&opts);
    if (!parent)
        return false;
    bool ok = strcmp(disk_driver_name(parent), "vmdk") == 0;
    if (ok)
        p->parent_cid = ((struct vmdk *)parent->priv)->desc.cid;
    disk_unref(parent);
    return ok || fail(err, EINVAL, "backing_file must be a vmdk image");
}

/* The directory, and behind it the tables it names, once at each place; grains follow. */
struct layout {
    uint64_t tables, directory_sectors, redundant, directory, overhead; /* sectors but tables */
};

static struct layout lay_out(uint64_t size)
{
    uint64_t grains = (size + VMDK_GRAIN - 1) / VMDK_GRAIN;
    uint64_t table_sectors = VMDK_TABLE * 4 / VMDK_SECTOR;
    struct layout l = { .tables = (grains + VMDK_TABLE - 1) / VMDK_TABLE };

    l.directory_sectors = (l.tables * 4 + VMDK_SECTOR - 1) / VMDK_SECTOR;
    l.redundant = DESCRIPTOR_AT + DESCRIPTOR_SECTORS;
    l.directory = l.redundant + l.directory_sectors + l.tables * table_sectors;
    l.overhead = ALIGN_UP(l.directory + l.directory_sectors + l.tables * table_sectors,
                          (uint64_t)VMDK_GRAIN / VMDK_SECTOR);
    return l;
}

static void fill_header(const struct plan *p, uint64_t size, const struct layout *l, uint8_t *h)
{
    uint32_t flags = VMDK_F_NEWLINES | VMDK_F_REDUNDANT;
    uint32_t version = p->compressed ? 3 : p->o->zeroed_grain ? 2 : 1;

    if (p->compressed)
        flags |= VMDK_F_COMPRESSED | VMDK_F_MARKERS;
    if (p->o->zeroed_grain)
        flags |= VMDK_F_ZEROED;
    memcpy(h, "KDMV", 4);
    st_le32(h + 4, version);
    st_le32(h + 8, flags);
    st_le64(h + 12, size / VMDK_SECTOR);
    st_le64(h + 20, VMDK_GRAIN / VMDK_SECTOR);
    st_le64(h + 28, DESCRIPTOR_AT);
    st_le64(h + 36, DESCRIPTOR_SECTORS);
    st_le32(h + 44, VMDK_TABLE);
    st_le64(h + 48, l->redundant);
    st_le64(h + 56, l->directory);
    st_le64(h + 64, l->overhead);
    memcpy(h + 73, "\n \r\n", 4);
    st_le16(h + 77, p->compressed);
}

static int write_directory(struct disk *file, uint64_t at, const struct layout *l)
{
    size_t len = l->directory_sectors * VMDK_SECTOR;
    AUTO_FREE uint8_t *buf = xcalloc(1, len);
    uint64_t table = at + l->directory_sectors;

    for (uint64_t i = 0; i < l->tables; i++, table += VMDK_TABLE * 4 / VMDK_SECTOR)
        st_le32(buf + i * 4, table);
    return disk_write(file, at * VMDK_SECTOR, buf, len, 0);
}

static bool fill_sparse(const struct plan *p, struct disk *file, uint64_t size, struct error *err)
{
    struct layout l = lay_out(size);
    uint8_t h[VMDK_HEADER] = { 0 };
    int r;

    if (!disk_resize(file, l.overhead * VMDK_SECTOR, DISK_PREALLOC_OFF, true, err))
        return false;
    fill_header(p, size, &l, h);
    r = write_directory(file, l.redundant, &l);
    if (r == 0)
        r = write_directory(file, l.directory, &l);
    if (r == 0)
        r = disk_write(file, 0, h, sizeof(h), 0);
    return r == 0 || fail(err, -r, "VMDK extent: %s", strerror(-r));
}

static bool make_extent_file(struct plan *p, const char *name, uint64_t size, struct error *err)
{
    AUTO_FREE char *path = beside(p->c->filename, name);
    struct optlist create = { 0 }, open = { 0 };
    struct disk *file;
    int r;

    if (p->flat) {
        AUTO_FREE char *text = xasprintf("%" PRIu64, size);
        optlist_add(&create, "size", text);
        optlist_add(&create, "preallocation", disk_preallocation_names[p->c->prealloc]);
    }
    bool ok = disk_create(p->c->graph, p->flat ? "raw" : "file", path, &create, err);
    optlist_finish(&create);
    if (!ok)
        return false;
    p->made = xrealloc_array(p->made, p->made_count + 1, sizeof(*p->made));
    p->made[p->made_count++] = xstrdup(path);
    if (p->flat)
        return true;
    optlist_add(&open, "driver", "file");
    file = disk_open(p->c->graph, path, &open, DISK_RDWR | DISK_NEW | DISK_RESIZE, err);
    optlist_finish(&open);
    if (!file)
        return false;
    ok = fill_sparse(p, file, size, err);
    r = disk_close(file);
    return ok && (r == 0 || fail(err, -r, "'%s': %s", path, strerror(-r)));
}

/* "disk.vmdk" has extents disk-flat.vmdk, disk-s001.vmdk, disk-f001.vmdk. */
static bool make_extents(struct plan *p, struct error *err)
{
    const char *slash = strrchr(p->c->filename, '/');
    const char *name = slash ? slash + 1 : p->c->filename, *dot = strrchr(name, '.');
    int stem = dot ? (int)(dot - name) : (int)strlen(name);
    uint64_t left = p->c->size;
    unsigned n = 1;

    p->lines = xstrdup("");
    do {
        uint64_t size = p->split ? MIN(left, SPLIT) : left;
        AUTO_FREE char *file = p->split ? xasprintf("%.*s-%c%03u%s", stem, name,
                                                    p->flat ? 'f' : 's', n, dot ? dot : "")
                                        : xasprintf("%.*s-flat%s", stem, name, dot ? dot : "");
        AUTO_FREE char *before = p->lines;

        if (n > VMDK_EXTENTS_MAX)
            return fail(err, EFBIG, "the image would have more than %u extents", VMDK_EXTENTS_MAX);
        p->lines = xasprintf("%sRW %" PRIu64 " %s \"%s\"%s\n", before, size / VMDK_SECTOR,
                             p->flat ? "FLAT" : "SPARSE", file, p->flat ? " 0" : "");
        if (!make_extent_file(p, file, size, err))
            return false;
        left -= size;
        n++;
    } while (left);
    return true;
}

static char *make_text(const struct plan *p, uint32_t cid)
{
    const struct vmdk_create *o = p->o;
    const char *adapter = o->adapter_type ? o->adapter_type : "ide";
    const char *version = o->compat6                                               ? "6"
                          : o->hwversion && strcmp(o->hwversion, "undefined") != 0 ? o->hwversion
                                                                                   : "4";
    unsigned heads = strcmp(adapter, "ide") == 0 ? 16 : 255;
    AUTO_FREE char *parent = p->c->backing_file
                                 ? xasprintf("parentFileNameHint=\"%s\"\n", p->c->backing_file)
                                 : xstrdup("");

    return xasprintf("# Disk DescriptorFile\n"
                     "version=1\n"
                     "CID=%08x\n"
                     "parentCID=%08x\n"
                     "createType=\"%s\"\n"
                     "%s\n"
                     "# Extent description\n"
                     "%s\n"
                     "# The Disk Data Base\n"
                     "#DDB\n\n"
                     "ddb.virtualHWVersion = \"%s\"\n"
                     "ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
                     "ddb.geometry.heads = \"%u\"\n"
                     "ddb.geometry.sectors = \"63\"\n"
                     "ddb.adapterType = \"%s\"\n"
                     "ddb.toolsVersion = \"%s\"\n",
                     cid, p->parent_cid, p->subformat, parent, p->lines, version,
                     p->c->size / ((uint64_t)63 * heads * VMDK_SECTOR), heads, adapter,
                     o->toolsversion ? o->toolsversion : "2147483647");
}

static bool write_descriptor(const struct plan *p, bool embedded, struct error *err)
{
    uint32_t cid;
    int r;

    if (getrandom(&cid, sizeof(cid), 0) != sizeof(cid))
        return fail(err, errno, "random numbers: %s", strerror(errno));
    AUTO_FREE char *text = make_text(p, cid & 0x7fffffff);
    size_t len = strlen(text);
    if (embedded && len > DESCRIPTOR_SECTORS * VMDK_SECTOR)
        return fail(err, ENAMETOOLONG, "the descriptor does not fit: a name is too long");
    r = disk_write(p->c->file, embedded ? DESCRIPTOR_AT * VMDK_SECTOR : 0, text, len, 0);
    return r == 0 || fail(err, -r, "VMDK descriptor: %s", strerror(-r));
}

static bool name_fits_descriptor(const char *name, struct error *err)
{
    if (!name || (!strpbrk(name, "\"\r\n") && strlen(name) < VMDK_NAME_MAX))
        return true;
    return fail(err, EINVAL, "a VMDK descriptor cannot hold the name '%.60s'", name);
}

static bool run(struct plan *p, struct error *err)
{
    const char *slash = strrchr(p->c->filename, '/');

    if (!name_fits_descriptor(p->c->filename, err) ||
        !name_fits_descriptor(p->c->backing_file, err) ||
        !name_fits_descriptor(p->o->hwversion, err) ||
        !name_fits_descriptor(p->o->toolsversion, err) || !make_plan(p, err) ||
        !read_parent(p, err))
        return false;
    if (p->flat || p->split)
        return make_extents(p, err) && write_descriptor(p, false, err);
    p->lines = xasprintf("RW %" PRIu64 " SPARSE \"%s\"\n", p->c->size / VMDK_SECTOR,
                         slash ? slash + 1 : p->c->filename);
    return fill_sparse(p, p->c->file, p->c->size, err) && write_descriptor(p, true, err);
}

bool vmdk_create(const struct disk_create *c, struct error *err)
{
    struct plan p = { .c = c, .o = c->opts };
    bool ok = run(&p, err);

    for (unsigned i = 0; i < p.made_count; i++) {
        if (!ok)
            (void)unlink(p.made[i]);
        free(p.made[i]);
    }
    free(p.made);
    free(p.lines);
    return ok;
}
