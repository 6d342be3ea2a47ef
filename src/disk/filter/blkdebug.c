/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkdebug: passes on, but fails requests as its rules say, stops them at breakpoints, and can
 * pretend to be a disk of other alignments and limits. "blkdebug:CONFIG:IMAGE" or options.
 */
#include "disk/filter/blkdebug.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/filter/blkdebug_rules.h"
#include "disk/filter/filter.h"
#include "disk/node_priv.h"

struct blkdebug {
    char *config;
    uint64_t align, max_transfer, opt_write_zero, max_write_zero, opt_discard, max_discard;
    bool ready; /* rules exist */
    struct blkdebug_rules rules;
};

static const struct field options[] = {
    FIELD(struct blkdebug, config, .doc = "file with [inject-error] and [set-state] sections"),
    FIELD(struct blkdebug, align, .is_size = true, .doc = "alignment of requests (power of two)"),
    FIELD(struct blkdebug, max_transfer, .is_size = true, .doc = "bytes of a read or write"),
    FIELD(struct blkdebug, opt_write_zero, .is_size = true, .doc = "alignment of zeroing"),
    FIELD(struct blkdebug, max_write_zero, .is_size = true, .doc = "bytes of one zeroing"),
    FIELD(struct blkdebug, opt_discard, .is_size = true, .doc = "alignment of discards"),
    FIELD(struct blkdebug, max_discard, .is_size = true, .doc = "bytes of one discard"),
    { 0 },
};

static const char *const schemes[] = { "blkdebug", NULL };

/* "blkdebug:CONFIG:IMAGE" */
static bool parse_name(const char *name, struct optlist *opts, struct error *err)
{
    const char *rest = str_after(name, "blkdebug:");
    const char *colon = rest ? strchr(rest, ':') : NULL;
    AUTO_FREE char *config = NULL;

    if (!colon) {
        fail(err, EINVAL, "blkdebug requires both config file and image path");
        return fail_hint(err, "write blkdebug:CONFIG:IMAGE; CONFIG may be empty");
    }
    config = xstrndup(rest, (size_t)(colon - rest));
    if (*config)
        optlist_add(opts, "config", config);
    optlist_add(opts, "image.filename", colon + 1);
    return true;
}

static bool add_inject(struct disk *d, void *item, struct error *err)
{
    struct blkdebug *b = d->priv;

    return blkdebug_rules_add(&b->rules, true, item, err);
}

static bool add_set_state(struct disk *d, void *item, struct error *err)
{
    struct blkdebug *b = d->priv;

    return blkdebug_rules_add(&b->rules, false, item, err);
}

static bool check_limit(const char *name, uint64_t value, uint64_t align, struct error *err)
{
    if (value <= INT32_MAX && value % align == 0)
        return true;
    fail(err, EINVAL, "Cannot meet constraints with %s %" PRIu64, name, value);
    return fail_hint(err, "a multiple of the alignment %" PRIu64 " below 2 GiB", align);
}

static bool set_limits(struct disk *d, struct error *err)
{
    struct blkdebug *b = d->priv;
    uint64_t align = b->align ? b->align : MAX(d->file->align, 1u);

    if (b->align && (!is_pow2(b->align) || b->align > INT32_MAX)) {
        fail(err, EINVAL, "Cannot meet constraints with align %" PRIu64, b->align);
        return fail_hint(err, "give a power of two below 2 GiB");
    }
    if (!check_limit("max-transfer", b->max_transfer, align, err) ||
        !check_limit("opt-write-zero", b->opt_write_zero, align, err) ||
        !check_limit("max-write-zero", b->max_write_zero, MAX(b->opt_write_zero, align), err) ||
        !check_limit("opt-discard", b->opt_discard, align, err) ||
        !check_limit("max-discard", b->max_discard, MAX(b->opt_discard, align), err))
        return false;
    d->align = (uint32_t)MAX(align, MAX(d->file->align, 1u));
    if (b->max_transfer)
        d->max_transfer = b->max_transfer;
    if (b->opt_write_zero)
        d->zero_align = (uint32_t)b->opt_write_zero;
    if (b->opt_discard)
        d->discard_align = (uint32_t)b->opt_discard;
    return true;
}

/* "PREFIX.0=write" and so on into the bits of enum disk_perm. */
static bool take_perms(struct disk *d, const char *prefix, unsigned *ret, struct error *err)
{
    static const struct {
        const char *name;
        unsigned perm;
    } perms[] = {
        { "consistent-read", PERM_READ },
        { "write", PERM_WRITE },
        { "write-unchanged", PERM_WRITE_UNCHANGED },
        { "resize", PERM_RESIZE },
    };

    for (unsigned n = 0;; n++) {
        AUTO_FREE char *key = xasprintf("%s.%u", prefix, n);
        const char *value = optlist_take(disk_open_options(d), key);
        unsigned i = 0;

        if (!value)
            return true;
        while (i < ARRAY_SIZE(perms) && strcmp(perms[i].name, value))
            i++;
        if (i == ARRAY_SIZE(perms)) {
            fail(err, EINVAL, "blkdebug: %s: there is no permission '%s'", prefix, value);
            return fail_hint(err, "consistent-read, write, write-unchanged, resize");
        }
        *ret |= perms[i].perm;
    }
}

static bool set_perms(struct disk *d, struct error *err)
{
    struct disk_edge *e = d->children; /* "image" is its only one */

    if (!take_perms(d, "take-child-perms", &e->take, err) ||
        !take_perms(d, "unshare-child-perms", &e->unshare, err))
        return false;
    return !(e->take | e->unshare) || edge_update_perms(d->file, err);
}

static bool blkdebug_open(struct disk *d, struct error *err)
{
    const struct blkdebug_section fresh = blkdebug_section_default();
    struct blkdebug *b = d->priv;

    blkdebug_rules_init(&b->rules);
    b->ready = true;
    filter_inherit(d);
    return (!b->config || !*b->config || blkdebug_rules_load(&b->rules, b->config, err)) &&
           filter_option_list(d, "inject-error", blkdebug_inject_fields, &fresh, sizeof(fresh),
                              add_inject, err) &&
           filter_option_list(d, "set-state", blkdebug_set_state_fields, &fresh, sizeof(fresh),
                              add_set_state, err) &&
           set_limits(d, err) && set_perms(d, err);
}

static void blkdebug_close(struct disk *d)
{
    struct blkdebug *b = d->priv;

    if (b->ready)
        blkdebug_rules_finish(&b->rules);
}

static void blkdebug_event(struct disk *d, unsigned event)
{
    struct blkdebug *b = d->priv;

    blkdebug_rules_event(&b->rules, (enum disk_event)event);
}

static int check(struct disk *d, enum blkdebug_io io, uint64_t offset, uint64_t len)
{
    struct blkdebug *b = d->priv;

    return blkdebug_rules_check(&b->rules, io, offset, len);
}

static int blkdebug_read(struct disk *d, uint64_t offset, struct disk_vec v)
{
    int r = check(d, BLKDEBUG_READ, offset, v.len);

    return r ? r : disk_readv(d->file, offset, v);
}

static int blkdebug_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags)
{
    int r;

    blkdebug_event(d, EVENT_PWRITEV);
    r = check(d, BLKDEBUG_WRITE, offset, v.len);
    if (!r)
        r = disk_writev(d->file, offset, v, flags);
    blkdebug_event(d, EVENT_PWRITEV_DONE);
    return r;
}

static int blkdebug_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags)
{
    const struct blkdebug *b = d->priv;
    uint64_t max = b->max_write_zero ? b->max_write_zero : UINT64_MAX;
    int r = 0;

    blkdebug_event(d, EVENT_PWRITEV_ZERO);
    for (uint64_t done = 0, n; !r && done < len; done += n) {
        n = MIN(len - done, max);
        r = check(d, BLKDEBUG_WRITE_ZEROES, offset + done, n);
        if (!r)
            r = disk_zero(d->file, offset + done, n, flags);
    }
    blkdebug_event(d, EVENT_PWRITEV_DONE);
    return r;
}

static int blkdebug_discard(struct disk *d, uint64_t offset, uint64_t len)
{
    const struct blkdebug *b = d->priv;
    uint64_t max = b->max_discard ? b->max_discard : UINT64_MAX;
    int r = 0;

    for (uint64_t done = 0, n; !r && done < len; done += n) {
        n = MIN(len - done, max);
        r = check(d, BLKDEBUG_DISCARD, offset + done, n);
        if (!r)
            r = disk_discard(d->file, offset + done, n);
    }
    return r;
}

static int blkdebug_flush(struct disk *d)
{
    int r;

    blkdebug_event(d, EVENT_FLUSH_TO_DISK);
    r = check(d, BLKDEBUG_FLUSH, 0, 0);
    return r ? r : disk_flush(d->file);
}

static int blkdebug_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret)
{
    int r = check(d, BLKDEBUG_BLOCK_STATUS, offset, len);

    return r ? r : filter_map(d, offset, len, ret);
}

const struct disk_driver blkdebug_driver = {
    .name = "blkdebug",
    .doc = "Fails or stops requests as rules say, for tests.",
    .is_filter = true,
    .file_name = "image",
    .schemes = schemes,
    .size = sizeof(struct blkdebug),
    .options = options,
    .parse_name = parse_name,
    .open = blkdebug_open,
    .close = blkdebug_close,
    .read = blkdebug_read,
    .write = blkdebug_write,
    .zero = blkdebug_zero,
    .discard = blkdebug_discard,
    .flush = blkdebug_flush,
    .map = blkdebug_map,
    .event = blkdebug_event,
};

static struct blkdebug_rules *rules_below(struct disk *d)
{
    struct disk *node = filter_below(d, &blkdebug_driver);

    return node ? &((struct blkdebug *)node->priv)->rules : NULL;
}

int disk_debug_break(struct disk *d, const char *event, const char *tag)
{
    struct blkdebug_rules *r = rules_below(d);

    return r ? blkdebug_rules_break(r, event, tag) : -ENOTSUP;
}

int disk_debug_resume(struct disk *d, const char *tag)
{
    struct blkdebug_rules *r = rules_below(d);

    return r ? blkdebug_rules_resume(r, tag, false) : -ENOTSUP;
}

int disk_debug_remove_break(struct disk *d, const char *tag)
{
    struct blkdebug_rules *r = rules_below(d);

    return r ? blkdebug_rules_resume(r, tag, true) : -ENOTSUP;
}

bool disk_debug_is_suspended(struct disk *d, const char *tag)
{
    struct blkdebug_rules *r = rules_below(d);

    return r && blkdebug_rules_stopped(r, tag, false);
}

int disk_debug_wait_break(struct disk *d, const char *tag)
{
    struct blkdebug_rules *r = rules_below(d);

    if (!r)
        return -ENOTSUP;
    (void)blkdebug_rules_stopped(r, tag, true);
    return 0;
}
