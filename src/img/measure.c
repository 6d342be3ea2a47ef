/* SPDX-License-Identifier: GPL-2.0-or-later */
/* measure: how large the file of a new image would be. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "disk/image.h"
#include "img/img.h"

struct measure_args {
    struct img_args base;
    struct img_source source;
    struct img_list options;
    const char *output, *target_format, *snapshot, *size;
};

static void print_json(const struct disk_measure *m)
{
    json_t *j = json_object();
    if (m->has_bitmaps)
        json_object_set_new(j, "bitmaps", json_integer(m->bitmaps));
    json_object_set_new(j, "required", json_integer(m->required));
    json_object_set_new(j, "fully-allocated", json_integer(m->fully_allocated));
    img_print_json(j);
}

static void print_human(const struct disk_measure *m)
{
    printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", m->required,
           m->fully_allocated);
    if (m->has_bitmaps)
        printf("bitmaps size: %" PRIu64 "\n", m->bitmaps);
}

static bool check_args(struct img *img, const struct measure_args *a, bool help)
{
    const struct img_source *s = &a->source;

    if (help)
        return true;
    if (a->base.count > 1)
        return !img_usage_error(img, "At most one filename argument is allowed.");
    if (!a->base.count && (s->image_opts || s->format || a->snapshot)) {
        img_error(img, "--image-opts, -f, and -l require a filename argument.");
        return false;
    }
    if (!a->base.count && !a->size) {
        img_error(img, "Either --size N or one filename must be specified.");
        return false;
    }
    if (a->base.count && a->size) {
        img_error(img, "--size N cannot be used together with a filename.");
        return false;
    }
    return true;
}

static struct disk *open_source(struct img *img, struct measure_args *a)
{
    struct error err = { 0 };
    a->source.name = a->base.operands[0];
    struct disk *d = img_open_or_say(img, &a->source, 0);
    if (!d || !a->snapshot)
        return d;
    const char *id = str_after(a->snapshot, "snapshot.id=");
    const char *name = str_after(a->snapshot, "snapshot.name=");
    if (disk_snapshot_load(d, id ? id : name ? name : a->snapshot, &err))
        return d;
    img_error(img, "Failed to load snapshot: %s", err.msg);
    disk_unref(d);
    return NULL;
}

static int measure(struct img *img, struct measure_args *a, struct optlist *options, bool json)
{
    const char *format = a->target_format ? a->target_format : "raw";
    struct disk_measure m = { 0 };
    struct error err = { 0 };
    struct disk *source = NULL;
    uint64_t size = 0;

    if (a->size && !img_size(a->size, &size)) {
        img_error(img, "Invalid image size specified. You may use k, M, G, T, P or E suffixes for");
        img_error(img, "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
        return EXIT_FAILURE;
    }
    if (disk_driver_find(format) && !img_check_create_options(format, options, &err)) {
        img_fail(img, &err);
        img_error(img, "Invalid options for file format '%s'", format);
        return EXIT_FAILURE;
    }
    if (!a->size && !(source = open_source(img, a)))
        return EXIT_FAILURE;
    bool ok = disk_measure(format, options, source, source ? disk_size(source) : size, &m, &err);
    disk_unref(source);
    if (!ok)
        return img_fail(img, &err);
    if (json)
        print_json(&m);
    else
        print_human(&m);
    return EXIT_SUCCESS;
}

static int run(struct img *img, void *opaque)
{
    struct measure_args *a = opaque;
    struct optlist options = { 0 };
    struct error err = { 0 };
    bool json, help = false;
    int status = EXIT_FAILURE;

    if (!img_output_json(img, a->output, &json))
        return EXIT_FAILURE;
    if (!img_options_merge(&a->options, &options, &help, &err))
        img_fail(img, &err);
    else if (!check_args(img, a, help))
        ;
    else if (!help)
        status = measure(img, a, &options, json);
    else if (img_print_format_options(img, a->target_format ? a->target_format : "raw", NULL, &err))
        status = EXIT_SUCCESS;
    else
        img_fail(img, &err);
    optlist_finish(&options);
    return status;
}

const struct img_command img_measure_command = {
    .name = "measure",
    .doc = "Tells how large the file of a new image would be",
    .operands = "[FILENAME]",
    .size = sizeof(struct measure_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL,
              "FILENAME is a string of options, driver=...,file.filename=...",
              IMG_TO(struct measure_args, source.image_opts) },
            { 0, "output", "OFMT", "human or json", IMG_TO(struct measure_args, output) },
            { 'O', "target-format", "OUTPUT_FMT", "format of the new image; raw when not given",
              IMG_TO(struct measure_args, target_format) },
            { 'o', "target-option", "OPTIONS", "its options, see -o help",
              IMG_TO(struct measure_args, options) },
            { 0, "size", "SIZE", "of an empty image", IMG_TO(struct measure_args, size) },
            { 'f', "format", "FMT", "format of FILENAME, which is to be converted",
              IMG_TO(struct measure_args, source.format) },
            { 'l', "snapshot", "SNAPSHOT_PARAM", "what this internal snapshot of it holds",
              IMG_TO(struct measure_args, snapshot) },
            { 'U', "force-share", NULL, "even while another process writes to it",
              IMG_TO(struct measure_args, source.force_share) },
            { 0 },
        },
};
