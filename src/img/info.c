/* SPDX-License-Identifier: GPL-2.0-or-later */
/* info: what an image is, for people and as JSON (QAPI's ImageInfo), alone or with its chain. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/image.h"
#include "disk/node.h"
#include "img/img.h"

struct info_args {
    struct img_args base;
    struct img_source source;
    const char *output;
    bool backing_chain, limits;
};

static json_t *snapshots_json(struct disk *d)
{
    struct disk_snapshot *list;
    unsigned n;
    if (disk_snapshot_list(d, &list, &n) < 0 || !n) {
        disk_snapshots_free(list, 0);
        return NULL;
    }
    json_t *a = json_array();
    for (unsigned i = 0; i < n; i++) {
        json_t *s = json_object();
        if (list[i].icount >= 0)
            json_object_set_new(s, "icount", json_integer(list[i].icount));
        json_object_set_new(s, "vm-clock-nsec", json_integer(list[i].vm_clock_ns % 1000000000));
        json_object_set_new(s, "name", json_string(list[i].name));
        json_object_set_new(s, "date-sec", json_integer(list[i].date_s));
        json_object_set_new(s, "date-nsec", json_integer(list[i].date_ns));
        json_object_set_new(s, "vm-clock-sec", json_integer(list[i].vm_clock_ns / 1000000000));
        json_object_set_new(s, "id", json_string(list[i].id));
        json_object_set_new(s, "vm-state-size", json_integer(list[i].vm_state_size));
        json_array_append_new(a, s);
    }
    disk_snapshots_free(list, n);
    return a;
}

/* The name of the backing file as this image's header gives it, seen from the caller's folder. */
static char *full_backing_name(struct disk *d)
{
    return img_backing_path(disk_filename(d), d->backing_name);
}

/* parallels images have no state of their own that QEMU would report; raw and luks have that of
 * their file, and servers have none. */
static bool has_dirty_flag(const struct disk *d)
{
    while (d->file && (d->driver->is_filter || !strcmp(disk_driver_name(d), "raw") ||
                       !strcmp(disk_driver_name(d), "luks")))
        d = d->file;
    if (d->driver->is_transport)
        return !strcmp(disk_driver_name(d), "file") || !strcmp(disk_driver_name(d), "host_device");
    return strcmp(disk_driver_name(d), "parallels") != 0;
}

/* What the image's own file takes: an external data file is not counted. */
static int64_t room_on_disk(struct disk *d)
{
    return disk_allocated_bytes(d->data && d->file ? d->file : d);
}

static json_t *info_json(struct disk *d, const char *filename)
{
    json_t *j = json_object(), *snapshots = snapshots_json(d), *data = disk_format_info(d);
    int64_t allocated = room_on_disk(d);

    if (snapshots)
        json_object_set_new(j, "snapshots", snapshots);
    if (d->backing_format)
        json_object_set_new(j, "backing-filename-format", json_string(d->backing_format));
    json_object_set_new(j, "virtual-size", json_integer(disk_size(d)));
    json_object_set_new(j, "filename", json_string(filename));
    if (disk_cluster_size(d))
        json_object_set_new(j, "cluster-size", json_integer(disk_cluster_size(d)));
    json_object_set_new(j, "format", json_string(disk_driver_name(d)));
    if (allocated >= 0)
        json_object_set_new(j, "actual-size", json_integer(allocated));
    if (data) {
        json_t *specific = json_object();
        json_object_set_new(specific, "type", json_string(disk_driver_name(d)));
        json_object_set_new(specific, "data", img_json_sorted(data));
        json_object_set_new(j, "format-specific", specific);
    }
    if (d->encrypted)
        json_object_set_new(j, "encrypted", json_true());
    if (d->backing_name) {
        AUTO_FREE char *full = full_backing_name(d);
        json_object_set_new(j, "full-backing-filename", json_string(full));
        json_object_set_new(j, "backing-filename", json_string(d->backing_name));
    }
    if (has_dirty_flag(d))
        json_object_set_new(j, "dirty-flag", json_boolean(d->not_clean));
    return j;
}

static void print_size_line(const char *what, uint64_t bytes, bool exact)
{
    printf("%s: ", what);
    img_print_size(stdout, bytes);
    if (exact)
        printf(" (%" PRIu64 " bytes)", bytes);
    putchar('\n');
}

static void info_human(struct disk *d, const char *filename)
{
    int64_t allocated = room_on_disk(d);
    struct disk_snapshot *list;
    unsigned n;

    printf("image: %s\nfile format: %s\n", filename, disk_driver_name(d));
    print_size_line("virtual size", disk_size(d), true);
    if (allocated < 0)
        printf("disk size: unavailable\n");
    else
        print_size_line("disk size", allocated, false);
    if (d->encrypted)
        printf("encrypted: yes\n");
    if (disk_cluster_size(d))
        printf("cluster_size: %" PRIu32 "\n", disk_cluster_size(d));
    if (d->not_clean)
        printf("cleanly shut down: no\n");
    if (d->backing_name) {
        AUTO_FREE char *full = full_backing_name(d);
        printf("backing file: %s", d->backing_name);
        if (strcmp(full, d->backing_name))
            printf(" (actual path: %s)", full);
        putchar('\n');
        if (d->backing_format)
            printf("backing file format: %s\n", d->backing_format);
    }
    if (disk_snapshot_list(d, &list, &n) >= 0 && n)
        img_print_snapshots(list, n);
    disk_snapshots_free(list, n);
    json_t *data = disk_format_info(d);
    if (data && json_object_size(data)) {
        printf("Format specific information:\n");
        img_print_tree(data, 1);
    }
    json_decref(data);
}

/* One image of a chain; *s becomes the next, its name owned by *next_name. */
static bool one(struct img *img, struct img_source *s, const struct info_args *a, bool json,
                json_t *all, char **next_name, char **next_format)
{
    struct disk *d = img_open_or_say(img, s, DISK_NO_BACKING | DISK_NO_IO);
    if (!d)
        return false;
    bool named = !s->image_opts && !str_after(s->name, "json:");
    const char *filename = named ? s->name : disk_filename(d);
    if (json)
        json_array_append_new(all, info_json(d, filename));
    else
        info_human(d, filename);
    *next_name = *next_format = NULL;
    if (a->backing_chain && d->backing_name) {
        *next_name = full_backing_name(d);
        *next_format = xstrdup(d->backing_format);
    }
    disk_unref(d);
    return true;
}

static bool seen_before(char ***seen, unsigned *n, const char *name)
{
    for (unsigned i = 0; i < *n; i++)
        if (!strcmp((*seen)[i], name))
            return true;
    *seen = xrealloc_array(*seen, *n + 1, sizeof(**seen));
    (*seen)[(*n)++] = xstrdup(name);
    return false;
}

static int run(struct img *img, void *opaque)
{
    struct info_args *a = opaque;
    struct img_source s = a->source;
    char **seen = NULL, *name = NULL, *format = NULL;
    unsigned n = 0;
    bool json, ok = true;

    if (!img_output_json(img, a->output, &json))
        return EXIT_FAILURE;
    if (a->base.count != 1)
        return img_usage_error(img, "Expecting one image file name");
    s.name = a->base.operands[0];
    json_t *all = json_array();
    do {
        char *next_name = NULL, *next_format = NULL;
        if (seen_before(&seen, &n, s.name)) {
            img_error(img, "Backing file '%s' creates an infinite loop.", s.name);
            ok = false;
            break;
        }
        if (n > 1 && !json)
            putchar('\n');
        ok = one(img, &s, a, json, all, &next_name, &next_format);
        free(name);
        free(format);
        name = next_name;
        format = next_format;
        s = (struct img_source){ .name = name, .format = format, .force_share = s.force_share };
    } while (ok && name);
    free(name);
    free(format);
    if (ok && json) {
        img_print_json(a->backing_chain ? json_incref(all) : json_incref(json_array_get(all, 0)));
    }
    json_decref(all);
    while (n)
        free(seen[--n]);
    free(seen);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct img_command img_info_command = {
    .name = "info",
    .doc = "Shows what an image is",
    .operands = "FILENAME",
    .size = sizeof(struct info_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL,
              "FILENAME is a string of options, driver=...,file.filename=...",
              IMG_TO(struct info_args, source.image_opts) },
            { 'f', "format", "FMT", "format of the image; probed when not given",
              IMG_TO(struct info_args, source.format) },
            { 0, "output", "OFMT", "human or json", IMG_TO(struct info_args, output) },
            { 0, "backing-chain", NULL, "its backing files too",
              IMG_TO(struct info_args, backing_chain) },
            { 'U', "force-share", NULL, "even while another process writes to it",
              IMG_TO(struct info_args, source.force_share) },
            { 0 },
        },
};
