/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing how an open tree is open: read-only, cache mode, options of its drivers. All nodes are
 * worked out first; then each driver changes, children before parents, and when one refuses, those
 * that had changed change back.
 */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/node_priv.h"

#define NODES_MAX 64
/* What a reopen may change. */
#define CHANGEABLE                                                                                 \
    (DISK_RDWR | DISK_DIRECT | DISK_NO_FLUSH | DISK_WRITETHROUGH | DISK_UNMAP | DISK_AUTO_RDONLY | \
     DISK_FORCE_SHARE)

struct change {
    struct disk *d;
    void *priv;     /* options as they shall be; owned */
    void *old_priv; /* as they are; owned, but for the strings */
    unsigned flags, old_flags;
    bool detect_zeroes, detect_zeroes_unmap;
    bool options; /* some option of the driver was given */
};

struct plan {
    struct change nodes[NODES_MAX];
    unsigned count;
};

static void copy_options(const struct disk *d, void *to)
{
    memset(to, 0, MAX(d->driver->size, 1));
    for (const struct field *f = d->driver->options; f && f->name; f++) {
        const char *from = (const char *)d->priv + f->offset;

        if (f->kind == FIELD_STRING)
            *(char **)((char *)to + f->offset) = xstrdup(*(char *const *)from);
        else
            memcpy((char *)to + f->offset, from, field_size(f) * f->count);
    }
}

/* An option that is named must be there, and "driver" and "file" cannot change. */
static bool check_same(struct disk *d, struct optlist *opts, struct error *err)
{
    const char *driver = optlist_take(opts, "driver"), *name = optlist_take(opts, "node-name");

    if (driver && strcmp(driver, d->driver->name))
        return fail(err, EINVAL, "Cannot change the option 'driver'");
    if (name && strcmp(name, disk_node_name(d)))
        return fail(err, EINVAL, "Cannot change the option 'node-name'");
    return true;
}

static bool plan_node(struct plan *p, struct disk *d, struct optlist *opts, unsigned flags,
                      struct error *err);

static bool plan_children(struct plan *p, struct disk *d, unsigned flags, struct optlist *opts,
                          struct error *err)
{
    bool ok = true;

    for (struct disk_edge *e = d->children; e && ok; e = e->next_child) {
        struct optlist sub = { 0 };
        unsigned f = flags & ~(DISK_WRITETHROUGH | DISK_AUTO_RDONLY);

        optlist_move_prefix(opts, e->name, &sub);
        if (e->role == ROLE_BACKING)
            f = (f & ~(DISK_RDWR | DISK_UNMAP));
        else if (e->role == ROLE_STORAGE || e->role == ROLE_DATA)
            f |= DISK_UNMAP; /* as open.c says */
        if (e->role != ROLE_BACKING || sub.count)
            ok = plan_node(p, e->node, &sub, f, err);
        optlist_finish(&sub);
    }
    return ok;
}

static size_t count_taken(const struct optlist *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->count; i++)
        n += l->items[i].taken;
    return n;
}

static bool plan_node(struct plan *p, struct disk *d, struct optlist *opts, unsigned flags,
                      struct error *err)
{
    struct change *c;
    struct common_options common;
    bool given = optlist_has(opts, "detect-zeroes");
    size_t before;

    if (p->count == NODES_MAX)
        return fail(err, E2BIG, "too many nodes to reopen at once");
    c = &p->nodes[p->count++];
    *c = (struct change){ .d = d, .old_flags = d->open_flags };
    c->priv = xcalloc(1, MAX(d->driver->size, 1));
    copy_options(d, c->priv);
    c->flags = (d->open_flags & ~CHANGEABLE) | (flags & CHANGEABLE);
    if (!check_same(d, opts, err) || !options_take_common(opts, &c->flags, &common, err))
        return false;
    c->detect_zeroes = given ? common.detect_zeroes : d->detect_zeroes;
    c->detect_zeroes_unmap = given ? common.detect_zeroes_unmap : d->detect_zeroes_unmap;
    before = count_taken(opts);
    if (!optlist_apply(opts, d->driver->options, c->priv, err))
        return false;
    c->options = count_taken(opts) != before;
    if (c->options && !d->driver->reopen)
        return fail(err, ENOTSUP, "driver '%s' cannot change its options while it is open",
                    d->driver->name);
    return plan_children(p, d, c->flags, opts, err) && optlist_done(opts, d->driver->name, err);
}
static int settle(struct disk *d)
{
    int r = disk_flush(d);

    if (!r && d->driver->inactivate)
        r = d->driver->inactivate(d);
    return r;
}

static bool apply(struct change *c, unsigned flags, const void *priv, struct error *err)
{
    struct disk *d = c->d;
    bool was_ro = d->read_only, ro = !(flags & DISK_RDWR);
    int r;

    if (ro && !was_ro && (r = settle(d)))
        return fail(err, -r, "could not write back '%s': %s", disk_filename(d), strerror(-r));
    if (d->driver->reopen && !d->driver->reopen(d, priv, flags, err))
        return false;
    d->open_flags = flags;
    d->read_only = ro;
    if (!d->parents) {
        d->core->user_perm =
            PERM_READ | (ro ? 0 : PERM_WRITE) | (!ro && (flags & DISK_RESIZE) ? PERM_RESIZE : 0);
    }
    return true;
}

/* Parents are before their children in the plan. To write, a child must let its parent first; to
 * stop writing, the parent writes back while the child still lets it. */
static bool apply_all(struct plan *p, struct error *err)
{
    bool to_ro = !(p->nodes[0].flags & DISK_RDWR);
    unsigned n = p->count, done;
    bool ok = true;

    for (done = 0; done < n && ok; done++) {
        struct change *c = &p->nodes[to_ro ? done : n - 1 - done];

        ok = apply(c, c->flags, c->priv, err);
    }
    if (ok)
        ok = edge_update_perms(p->nodes[0].d, err);
    if (ok)
        return true;
    while (done-- > 0) {
        struct change *c = &p->nodes[to_ro ? done : n - 1 - done];
        struct error ignored = { 0 };

        if (c->d->open_flags != c->old_flags || c->options)
            (void)apply(c, c->old_flags, c->old_priv, &ignored);
    }
    return false;
}

/* The strings of the options move into the node. */
static void adopt_options(struct change *c)
{
    for (const struct field *f = c->d->driver->options; f && f->name; f++) {
        char *mine = (char *)c->d->priv + f->offset, *other = (char *)c->priv + f->offset;

        if (f->kind == FIELD_STRING) {
            free(*(char **)mine);
            *(char **)mine = TAKE(*(char **)other);
        } else {
            memcpy(mine, other, field_size(f) * f->count);
        }
    }
}

bool disk_reopen(struct disk *d, struct optlist *opts, unsigned open_flags, struct error *err)
{
    struct optlist none = { 0 };
    struct plan *p = xnew(struct plan);
    bool ok;

    disk_drain_begin(d);
    ok = plan_node(p, d, opts ? opts : &none, open_flags, err);
    for (unsigned i = 0; i < p->count; i++) {
        p->nodes[i].old_priv = xcalloc(1, MAX(p->nodes[i].d->driver->size, 1));
        copy_options(p->nodes[i].d, p->nodes[i].old_priv);
    }
    request_nested_begin(); /* what is written back now is not held up by the drain */
    ok = ok && apply_all(p, err);
    request_nested_end();
    for (unsigned i = 0; i < p->count; i++) {
        struct change *c = &p->nodes[i];

        if (ok && c->options)
            adopt_options(c);
        if (ok) {
            c->d->detect_zeroes = c->detect_zeroes;
            c->d->detect_zeroes_unmap = c->detect_zeroes_unmap;
        }
        field_free_strings(c->priv, c->d->driver->options);
        field_free_strings(c->old_priv, c->d->driver->options);
        free(c->priv);
        free(c->old_priv);
    }
    free(p);
    disk_drain_end(d);
    optlist_finish(&none);
    return ok;
}

bool disk_set_exclusive(struct disk *d, bool on, struct error *err)
{
    unsigned old = d->core->user_shared;
    bool ok;

    disk_drain_begin(d);
    d->core->user_shared = on ? old & ~(PERM_WRITE | PERM_RESIZE) : old | PERM_WRITE | PERM_RESIZE;
    ok = edge_update_perms(d, err);
    if (!ok)
        d->core->user_shared = old;
    disk_drain_end(d);
    return ok;
}
