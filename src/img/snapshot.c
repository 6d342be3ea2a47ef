/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapshot: lists, makes, applies and deletes the snapshots inside an image. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "disk/image.h"
#include "img/img.h"

struct snapshot_args {
    struct img_args base;
    struct img_source source;
    bool list;
    struct img_list actions; /* -a, -c, -d */
};

static void list(struct disk *d)
{
    struct disk_snapshot *s;
    unsigned n;
    if (disk_snapshot_list(d, &s, &n) < 0)
        return;
    if (n)
        img_print_snapshots(s, n);
    disk_snapshots_free(s, n);
}

static bool create(struct disk *d, const char *name, struct error *err)
{
    struct disk_snapshot s = { .name = (char *)name };
    struct timeval now;
    gettimeofday(&now, NULL);
    s.date_s = now.tv_sec;
    s.date_ns = now.tv_usec * 1000;
    bool ok = disk_snapshot_create(d, &s, err);
    free(s.id);
    return ok;
}

/* By its name only, as in QEMU: a number must not take away the snapshot with that ID. */
static bool remove_named(struct disk *d, const char *name, struct error *err)
{
    struct disk_snapshot *s;
    bool found = false, by_id = false, ok = false;
    unsigned n;
    int ret = disk_snapshot_list(d, &s, &n);

    if (ret < 0)
        return disk_snapshot_remove(d, name, err); /* it says why there can be none */
    for (unsigned i = 0; i < n && !found; i++) {
        found = !strcmp(s[i].name, name);
        by_id |= !strcmp(s[i].id, name);
        if (found)
            ok = disk_snapshot_remove(d, s[i].id, err);
    }
    disk_snapshots_free(s, n);
    if (found)
        return ok;
    (void)fail(err, ENOENT, "snapshot not found");
    return by_id ? fail_hint(err, "that is an ID: give its name (TAG in snapshot -l)") : false;
}

static bool act(struct img *img, struct disk *d, char what, const char *name)
{
    struct error err = { 0 };
    const char *verb = what == 'c' ? "create" : what == 'a' ? "apply" : "delete";
    bool ok = what == 'c'   ? create(d, name, &err)
              : what == 'a' ? disk_snapshot_apply(d, name, &err)
                            : remove_named(d, name, &err);
    if (ok)
        return true;
    img_error(img, "Could not %s snapshot '%s': %s%s%s", verb, name, err.msg,
              err.hint[0] ? "; " : "", err.hint);
    return false;
}

static int run(struct img *img, void *opaque)
{
    struct snapshot_args *a = opaque;
    bool ok = true;

    if (a->actions.count + a->list > 1)
        return img_usage_error(img, "Cannot mix '-l', '-a', '-c', '-d'");
    if (a->base.count != 1)
        return img_usage_error(img, "Expecting one image file name");
    a->source.name = a->base.operands[0];
    struct disk *d = img_open_or_say(img, &a->source, a->actions.count ? DISK_RDWR : 0);
    if (!d)
        return EXIT_FAILURE;
    if (a->list)
        list(d);
    if (a->actions.count)
        ok = act(img, d, a->actions.which[0]->letter, a->actions.values[0]);
    ok &= img_close(img, d);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct img_command img_snapshot_command = {
    .name = "snapshot",
    .doc = "Lists, makes, applies and deletes internal snapshots",
    .operands = "FILENAME",
    .size = sizeof(struct snapshot_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL,
              "FILENAME is a string of options, driver=...,file.filename=...",
              IMG_TO(struct snapshot_args, source.image_opts) },
            { 'f', "format", "FMT", "format of the image; probed when not given",
              IMG_TO(struct snapshot_args, source.format) },
            { 'U', "force-share", NULL, "even while another process writes to it (-l)",
              IMG_TO(struct snapshot_args, source.force_share) },
            { 'q', "quiet", NULL, "print nothing but errors",
              IMG_TO(struct snapshot_args, base.quiet) },
            { 'l', "list", NULL, "list them", IMG_TO(struct snapshot_args, list) },
            { 'a', "apply", "SNAPSHOT", "go back to what it holds",
              IMG_TO(struct snapshot_args, actions) },
            { 'c', "create", "SNAPSHOT", "make one", IMG_TO(struct snapshot_args, actions) },
            { 'd', "delete", "SNAPSHOT", "delete the one of this name",
              IMG_TO(struct snapshot_args, actions) },
            { 0 },
        },
};
