/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VMDK images: requests are cut at the borders of extents and go to a flat file or to the grains of
 * a sparse one. Extents are regular files beside the descriptor, nothing else, unless the user
 * names them (extents.N.filename=...). The content ID is changed by the first write.
 */
#include "disk/format/vmdk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "base/str.h"

static int vmdk_probe(const uint8_t *head, size_t len, const char *filename)
{
    static const char start[] = "# Disk DescriptorFile";

    (void)filename;
    if (len >= 4 && (memcmp(head, "KDMV", 4) == 0 || memcmp(head, "COWD", 4) == 0))
        return 100;
    while (len > sizeof(start) && (*head == '\n' || *head == '\r' || *head == ' ')) {
        head++;
        len--;
    }
    return len >= sizeof(start) - 1 &&
                   strncasecmp((const char *)head, start, sizeof(start) - 1) == 0
               ? 100
               : 0;
}

static struct vmdk_extent *add_extent(struct vmdk *v, struct disk *file, const char *format)
{
    struct vmdk_extent *e = xnew(struct vmdk_extent);

    pthread_mutex_init(&e->compress_lock, NULL);
    e->file = file;
    e->format = format;
    e->writable = true;
    if (v->count)
        e->start = v->extents[v->count - 1]->start + v->extents[v->count - 1]->size;
    v->extents = xrealloc_array(v->extents, v->count + 1, sizeof(*v->extents));
    v->extents[v->count++] = e;
    return e;
}

/* The last extent that begins at or before offset. */
static struct vmdk_extent *find_extent(const struct vmdk *v, uint64_t offset)
{
    unsigned low = 0, high = v->count;

    while (high - low > 1) {
        unsigned middle = (low + high) / 2;

        if (v->extents[middle]->start <= offset)
            low = middle;
        else
            high = middle;
    }
    return v->extents[low];
}

static bool is_sparse(const struct vmdk_extent *e)
{
    return e->kind == VMDK_HOSTED || e->kind == VMDK_COWD || e->kind == VMDK_SESPARSE;
}

/* A name that stays in the descriptor's folder. */
static bool name_is_safe(const char *name)
{
    if (name[0] == '/')
        return false;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strcmp(part, "..") == 0 || str_after(part, "../"))
            return false;
    }
    return true;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;

    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool user_names_it(struct disk *d, const char *edge)
{
    const struct optlist *l = disk_open_options(d);

    for (size_t i = 0; i < l->count; i++) {
        const char *rest = str_after(l->items[i].key, edge);
        if (rest && (*rest == 0 || *rest == '.'))
            return true;
    }
    return false;
}

/* Opens the file of an extent line, or finds it among those that are open. */
static struct disk *open_extent_file(struct disk *d, struct vmdk *v, const char *name,
                                     char **ret_path, struct error *err)
{
    const char *own = disk_filename(d->file), *slash = strrchr(own, '/');
    AUTO_FREE char *edge = xasprintf("extents.%u", v->count);
    AUTO_FREE char *path = xasprintf("%.*s%s", slash ? (int)(slash + 1 - own) : 0, own, name);

    for (unsigned i = 0; i < v->count; i++) {
        if (v->extents[i]->path && strcmp(v->extents[i]->path, path) == 0) {
            *ret_path = TAKE(path);
            return v->extents[i]->file;
        }
    }
    if (!user_names_it(d, edge)) {
        struct optlist *l = disk_open_options(d);
        AUTO_FREE char *driver = xasprintf("%s.driver", edge);
        AUTO_FREE char *filename = xasprintf("%s.filename", edge);

        if (!name_is_safe(name)) {
            fail(err, EPERM, "extent '%s' lies outside of the descriptor's folder", name);
            fail_hint(err, "if it is what you want: extents.%u.filename=%s", v->count, name);
            return NULL;
        }
        if (same_file(own, path)) {
            fail(err, EINVAL, "the VMDK descriptor names itself as extent '%s'", name);
            return NULL;
        }
        optlist_add(l, driver, "file");
        optlist_add(l, filename, path);
    }
    struct disk *file = disk_open_child(d, edge, NULL, ROLE_STORAGE, err);
    *ret_path = TAKE(path);
    return file;
}

static bool add_line(struct disk *d, struct vmdk *v, const struct vmdk_extent_line *line,
                     struct error *err)
{
    static const char *const types[] = {
        "FLAT", "SPARSE", "ZERO", "VMFS", "VMFSSPARSE", "SESPARSE"
    };
    size_t t = 0;
    struct disk *file = NULL;
    AUTO_FREE char *path = NULL;

    while (t < ARRAY_SIZE(types) && strcmp(types[t], line->type) != 0)
        t++;
    if (t == ARRAY_SIZE(types))
        return fail(err, ENOTSUP, "Unsupported extent type '%s'", line->type);
    if (line->no_access)
        return fail(err, EACCES, "extent '%s' is marked NOACCESS", line->name);
    if (v->count >= VMDK_EXTENTS_MAX)
        return fail(err, E2BIG, "the VMDK descriptor has more than %u extents", VMDK_EXTENTS_MAX);
    if (strcmp(line->type, "ZERO") != 0) {
        file = open_extent_file(d, v, line->name, &path, err);
        if (!file)
            return false;
    }
    struct vmdk_extent *e = add_extent(v, file, types[t]);
    e->path = TAKE(path);
    e->size = line->sectors * VMDK_SECTOR;
    e->writable = line->writable;
    e->kind = file ? VMDK_FLAT : VMDK_ZERO;
    e->flat_offset = line->offset * VMDK_SECTOR;
    return !strstr(line->type, "SPARSE") || vmdk_open_sparse(d, e, err);
}

static bool read_text(struct disk *file, uint64_t offset, uint64_t len, char **ret,
                      struct error *err)
{
    uint64_t size = disk_size(file);

    if (len > VMDK_DESCRIPTOR_MAX)
        return fail(err, EFBIG, "the VMDK descriptor is larger than %u bytes", VMDK_DESCRIPTOR_MAX);
    len = MIN(len, offset < size ? size - offset : 0);
    AUTO_FREE char *text = xcalloc(1, len + 1);
    int r = disk_read(file, offset, text, len);
    if (r < 0)
        return fail(err, -r, "VMDK descriptor: %s", strerror(-r));
    *ret = TAKE(text);
    return true;
}

static bool open_lines(struct disk *d, struct vmdk *v, struct error *err)
{
    const char *at = v->desc.text;
    struct vmdk_extent_line line;

    err->code = 0;
    while (vmdk_next_extent(&at, &line, err)) {
        if (!add_line(d, v, &line, err))
            return false;
    }
    if (err->code)
        return false;
    return v->count || fail(err, EINVAL, "the VMDK descriptor names no extents");
}

/* One sparse extent that carries its descriptor; its only extent line names the file itself. */
static bool open_single(struct disk *d, struct vmdk *v, bool hosted, struct error *err)
{
    uint64_t offset = 0, len = 0;

    if (hosted && !vmdk_embedded_descriptor(d->file, &offset, &len, err))
        return false;
    if (len) {
        if (!read_text(d->file, offset, len, &v->desc.text, err) ||
            !vmdk_parse_descriptor(&v->desc, err))
            return false;
        v->desc.offset = offset;
        v->desc.room = len;
    } else {
        v->desc.cid = v->desc.parent_cid = VMDK_NO_PARENT;
        snprintf(v->desc.create_type, sizeof(v->desc.create_type),
                 hosted ? "monolithicSparse" : "vmfsSparse");
    }
    return vmdk_open_sparse(d, add_extent(v, d->file, ""), err);
}

static bool open_extents(struct disk *d, struct vmdk *v, struct error *err)
{
    uint8_t head[VMDK_SECTOR] = { 0 };
    uint64_t size = disk_size(d->file);
    int r = disk_read(d->file, 0, head, MIN(size, sizeof(head)));

    if (r < 0)
        return fail(err, -r, "VMDK header: %s", strerror(-r));
    if (memcmp(head, "KDMV", 4) == 0 || memcmp(head, "COWD", 4) == 0)
        return open_single(d, v, head[0] == 'K', err);
    if (!vmdk_probe(head, sizeof(head), NULL))
        return fail(err, EINVAL, "Image not in VMDK format");
    if (!read_text(d->file, 0, size, &v->desc.text, err) || !vmdk_parse_descriptor(&v->desc, err))
        return false;
    return open_lines(d, v, err);
}

static bool vmdk_open(struct disk *d, struct error *err)
{
    struct vmdk *v = d->priv;

    pthread_mutex_init(&v->lock, NULL);
    v->alive = true;
    if (!open_extents(d, v, err))
        return false;
    const struct vmdk_extent *last = v->extents[v->count - 1];
    uint64_t size;
    if (!checked_add(last->start, last->size, &size) || size > DISK_MAX_SIZE)
        return fail(err, EFBIG, "the VMDK extents are larger than disks can be");
    d->size = size;
    d->zero_flags = DISK_MAY_UNMAP;
    for (unsigned i = 0; i < v->count; i++) {
        struct vmdk_extent *e = v->extents[i];

        if (!is_sparse(e))
            continue;
        e->b.pages.max = MAX(PAGES_MAX / v->count, 4u);
        if (!d->cluster_size)
            d->cluster_size = e->b.block_size;
    }
    if (v->desc.parent_hint[0] && v->desc.parent_cid != VMDK_NO_PARENT) {
        d->backing_name = xstrdup(v->desc.parent_hint);
        d->backing_format = xstrdup("vmdk");
    }
    return true;
}

static void vmdk_close(struct disk *d)
{
    struct vmdk *v = d->priv;

    for (unsigned i = 0; i < v->count; i++) {
        struct vmdk_extent *e = v->extents[i];

        blocks_finish(&e->b);
        pthread_mutex_destroy(&e->compress_lock);
        free(e->path);
        free(e);
    }
    free(v->extents);
    free(v->desc.text);
    if (v->alive)
        pthread_mutex_destroy(&v->lock);
}

/* The parent must be what it was when this image was made. */
static int check_parent(struct disk *d, struct vmdk *v)
{
    const struct disk *b = disk_backing(d);

    if (!v->parent_ok && b) {
        const struct vmdk *parent = b->priv;
        bool ok = strcmp(b->driver->name, "vmdk") != 0 || parent->desc.cid == v->desc.parent_cid;

        v->parent_ok = ok ? 1 : -1;
    }
    return v->parent_ok < 0 ? -EINVAL : 0;
}

/* Before the first write. */
static int touch_cid(struct disk *d, struct vmdk *v)
{
    uint32_t cid;
    int r = 0;

    if (v->cid_fresh)
        return 0;
    WITH_LOCK (&v->lock) {
        if (v->cid_fresh)
            break;
        if (getrandom(&cid, sizeof(cid), 0) != sizeof(cid))
            r = -errno;
        cid &= 0x7fffffff;
        if (r == 0 && v->desc.text)
            r = vmdk_write_cid(d, v, cid);
        v->cid_fresh = r == 0;
    }
    return r;
}

/* A request cut at extents. */
struct piece {
    struct vmdk_extent *e;
    uint64_t offset, len, flat; /* flat: in the file of a flat extent */
};

static struct piece piece_at(const struct vmdk *v, uint64_t offset, uint64_t len)
{
    struct vmdk_extent *e = find_extent(v, offset);
    uint64_t within = offset - e->start;

    return (struct piece){ e, offset, MIN(len, e->size - within), e->flat_offset + within };
}

static int vmdk_read(struct disk *d, uint64_t offset, struct disk_vec vec)
{
    struct vmdk *v = d->priv;
    int r = d->backing ? check_parent(d, v) : 0;

    for (size_t done = 0; done < vec.len && r == 0;) {
        struct piece p = piece_at(v, offset + done, vec.len - done);
        struct disk_vec part = vec_slice(vec, done, p.len);

        if (is_sparse(p.e))
            r = blocks_read(&p.e->b, p.offset, part);
        else if (p.e->kind == VMDK_FLAT)
            r = disk_readv(p.e->file, p.flat, part);
        else
            vec_clear(&part);
        done += p.len;
    }
    return r;
}

static int prepare_write(struct disk *d, struct vmdk *v)
{
    int r = d->backing ? check_parent(d, v) : 0;

    return r == 0 ? touch_cid(d, v) : r;
}

static int write_piece(const struct piece *p, struct disk_vec part)
{
    if (!p->e->writable || p->e->kind == VMDK_ZERO)
        return -EACCES;
    if (p->e->kind == VMDK_FLAT)
        return disk_writev(p->e->file, p->flat, part, 0);
    return p->e->compressed ? vmdk_write_compressed(p->e, p->offset, part)
                            : blocks_write(&p->e->b, p->offset, part);
}

static int vmdk_write(struct disk *d, uint64_t offset, struct disk_vec vec, unsigned flags)
{
    struct vmdk *v = d->priv;
    int r = prepare_write(d, v);

    (void)flags;
    for (size_t done = 0; done < vec.len && r == 0;) {
        struct piece p = piece_at(v, offset + done, vec.len - done);

        r = write_piece(&p, vec_slice(vec, done, p.len));
        done += p.len;
    }
    return r;
}

static int vmdk_write_slot_compressed(struct disk *d, uint64_t offset, struct disk_vec vec)
{
    struct vmdk *v = d->priv;

    for (unsigned i = 0; i < v->count; i++) {
        if (!v->extents[i]->compressed)
            return -ENOTSUP;
    }
    return vmdk_write(d, offset, vec, 0);
}

/* A compressed extent has zeroes where there is no grain; others are written over. */
static int zero_compressed(struct vmdk_extent *e, uint64_t offset, uint64_t len, unsigned flags)
{
    AUTO_FREE uint8_t *zeroes = calloc(1, e->b.block_size);
    struct disk_extent x;
    int r = zeroes ? 0 : -ENOMEM;

    for (uint64_t done = 0; done < len && r == 0;) {
        r = blocks_map(&e->b, offset + done, len - done, &x);
        bool zero = !(x.flags & DISK_MAP_DATA) && (x.flags & DISK_MAP_ZERO || !e->b.d->backing);
        uint64_t pos = offset + done - e->start;
        uint64_t n = zero ? x.len : MIN(x.len, e->b.block_size - pos % e->b.block_size);

        if (r == 0 && !zero && flags & DISK_NO_FALLBACK)
            r = -ENOTSUP;
        if (r == 0 && !zero)
            r = vmdk_write_compressed(e, offset + done, vec_of(zeroes, n));
        done += n;
    }
    return r;
}

static int zero_piece(const struct piece *p, unsigned flags)
{
    if (p->e->kind == VMDK_ZERO)
        return 0;
    if (!p->e->writable)
        return -EACCES;
    if (p->e->kind == VMDK_FLAT)
        return disk_zero(p->e->file, p->flat, p->len, flags);
    return p->e->compressed ? zero_compressed(p->e, p->offset, p->len, flags)
                            : blocks_zero(&p->e->b, p->offset, p->len, flags);
}

static int vmdk_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    struct vmdk *v = d->priv;
    int r = prepare_write(d, v);

    for (uint64_t done = 0; done < len && r == 0;) {
        struct piece p = piece_at(v, offset + done, len - done);

        r = zero_piece(&p, flags);
        done += p.len;
    }
    return r;
}

static int vmdk_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    struct vmdk *v = d->priv;
    int r = prepare_write(d, v);

    for (uint64_t done = 0; done < len && r == 0;) {
        struct piece p = piece_at(v, offset + done, len - done);

        if (p.e->kind == VMDK_FLAT && p.e->writable)
            r = disk_discard(p.e->file, p.flat, p.len);
        else if (is_sparse(p.e) && p.e->writable)
            r = blocks_discard(&p.e->b, p.offset, p.len);
        done += p.len;
    }
    return r;
}

static int vmdk_flush(struct disk *d)
{
    struct vmdk *v = d->priv;
    int r = 0;

    for (unsigned i = 0; i < v->count && r == 0; i++) {
        if (is_sparse(v->extents[i]) && v->extents[i]->writable)
            r = blocks_flush(&v->extents[i]->b);
    }
    return r;
}

static int vmdk_inactivate(struct disk *d)
{
    struct vmdk *v = d->priv;
    int r = 0;

    for (unsigned i = 0; i < v->count && r == 0; i++) {
        if (is_sparse(v->extents[i]) && v->extents[i]->writable)
            r = blocks_settle(&v->extents[i]->b);
    }
    return r;
}

static int vmdk_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    struct piece p = piece_at(d->priv, offset, len);

    if (is_sparse(p.e))
        return blocks_map(&p.e->b, p.offset, p.len, ret);
    *ret = (struct disk_extent){ .len = p.len, .flags = DISK_MAP_ZERO | DISK_MAP_ALLOCATED };
    if (p.e->kind == VMDK_FLAT) {
        ret->flags = DISK_MAP_DATA | DISK_MAP_ALLOCATED | DISK_MAP_OFFSET;
        ret->file = p.e->file;
        ret->host_offset = p.flat;
    }
    return 0;
}

static bool vmdk_locate(struct disk *d, enum disk_op op, uint64_t offset, size_t len,
                        struct disk_span *ret)
{
    struct vmdk *v = d->priv;
    struct piece p = piece_at(v, offset, len);

    if ((op != DISK_OP_READ && op != DISK_OP_WRITE) || (d->backing && v->parent_ok != 1))
        return false;
    if (op == DISK_OP_WRITE && (!v->cid_fresh || !p.e->writable))
        return false;
    if (is_sparse(p.e))
        return !p.e->compressed && blocks_locate(&p.e->b, op, p.offset, p.len, ret);
    *ret = (struct disk_span){ .node = p.e->file, .offset = p.flat, .len = p.len };
    if (p.e->kind == VMDK_FLAT)
        return p.flat + p.len <= disk_size(p.e->file);
    ret->zero = true;
    return op == DISK_OP_READ;
}

static json_t *extent_info(const struct vmdk_extent *e)
{
    json_t *o = json_object();

    if (e->compressed)
        json_object_set_new(o, "compressed", json_true());
    json_object_set_new(o, "virtual-size", json_integer(e->size));
    json_object_set_new(o, "filename", json_string(e->file ? disk_filename(e->file) : ""));
    if (is_sparse(e))
        json_object_set_new(o, "cluster-size", json_integer(e->b.block_size));
    json_object_set_new(o, "format", json_string(e->format));
    return o;
}

static json_t *vmdk_info(struct disk *d)
{
    struct vmdk *v = d->priv;
    json_t *o = json_object(), *extents = json_array();

    WITH_LOCK (&v->lock) {
        json_object_set_new(o, "cid", json_integer(v->desc.cid));
    }
    json_object_set_new(o, "parent-cid", json_integer(v->desc.parent_cid));
    json_object_set_new(o, "create-type", json_string(v->desc.create_type));
    for (unsigned i = 0; i < v->count; i++)
        json_array_append_new(extents, extent_info(v->extents[i]));
    json_object_set_new(o, "extents", extents);
    return o;
}

static int vmdk_check(struct disk *d, struct disk_check *c, unsigned fix)
{
    struct vmdk *v = d->priv;
    int r = fix ? -ENOTSUP : 0;

    for (unsigned i = 0; i < v->count && r == 0; i++) {
        if (is_sparse(v->extents[i]))
            r = vmdk_check_extent(v->extents[i], c);
    }
    return r;
}

const struct disk_driver vmdk_driver = {
    .name = "vmdk",
    .doc = "VMware disk image",
    .backing = true,
    .size = sizeof(struct vmdk),
    .create_size = sizeof(struct vmdk_create),
    .create_options = FIELDS(
        FIELD(struct vmdk_create, adapter_type,
              .doc = "Virtual adapter type, can be one of ide (default), lsilogic, buslogic or "
                     "legacyESX"),
        FIELD(struct vmdk_create, compat6, .doc = "VMDK version 6 image"),
        FIELD(struct vmdk_create, hwversion, .doc = "VMDK hardware version"),
        FIELD(struct vmdk_create, subformat,
              .doc = "VMDK flat extent format, can be one of {monolithicSparse (default) | "
                     "monolithicFlat | twoGbMaxExtentSparse | twoGbMaxExtentFlat | "
                     "streamOptimized} "),
        FIELD(struct vmdk_create, toolsversion, .doc = "VMware guest tools version"),
        FIELD(struct vmdk_create, zeroed_grain,
              .doc = "Enable efficient zero writes using the zeroed-grain GTE feature")),
    .probe = vmdk_probe,
    .open = vmdk_open,
    .close = vmdk_close,
    .inactivate = vmdk_inactivate,
    .create = vmdk_create,
    .read = vmdk_read,
    .write = vmdk_write,
    .write_compressed = vmdk_write_slot_compressed,
    .zero = vmdk_zero,
    .discard = vmdk_discard,
    .flush = vmdk_flush,
    .map = vmdk_map,
    .locate = vmdk_locate,
    .info = vmdk_info,
    .check = vmdk_check,
};
