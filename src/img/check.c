/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * check: finds and repairs inconsistencies of an image's metadata. Exit status: 0 fine (now),
 * 1 could not check, 2 corrupt, 3 leaks, 63 the format has no check.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "disk/image.h"
#include "img/img.h"

enum { CANNOT = 1, CORRUPT = 2, LEAKS = 3, NO_CHECK = 63 };

struct check_args {
    struct img_args base;
    struct img_source source;
    const char *output, *repair;
};

static void say(struct disk_check *c, const char *line)
{
    size_t n = strlen(line);
    fflush(stdout);
    fprintf(stderr, "%s%s", line, n && line[n - 1] == '\n' ? "" : "\n");
}

static int64_t count(int64_t n)
{
    return n > 0 ? n : 0;
}

static void print_human(const struct disk_check *c)
{
    if (!count(c->corruptions) && !count(c->leaks) && !count(c->check_errors))
        printf("No errors were found on the image.\n");
    if (count(c->corruptions))
        printf("\n%" PRId64 " errors were found on the image.\n"
               "Data may be corrupted, or further writes to the image may corrupt it.\n",
               c->corruptions);
    if (count(c->leaks))
        printf("\n%" PRId64 " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               c->leaks);
    if (count(c->check_errors))
        printf("\n%" PRId64 " internal errors have occurred during the check.\n", c->check_errors);
    if (count(c->total_clusters) && count(c->allocated_clusters))
        printf("%" PRId64 "/%" PRId64 " = %0.2f%% allocated, %0.2f%% fragmented, "
               "%0.2f%% compressed clusters\n",
               c->allocated_clusters, c->total_clusters,
               c->allocated_clusters * 100.0 / c->total_clusters,
               count(c->fragmented_clusters) * 100.0 / c->allocated_clusters,
               count(c->compressed_clusters) * 100.0 / c->allocated_clusters);
    if (count(c->image_end_offset))
        printf("Image end offset: %" PRId64 "\n", c->image_end_offset);
}

static void put_count(json_t *j, const char *key, int64_t n)
{
    if (n > 0)
        json_object_set_new(j, key, json_integer(n));
}

static void print_json(const struct disk_check *c, const char *filename, const char *format)
{
    json_t *j = json_object();
    put_count(j, "image-end-offset", c->image_end_offset);
    put_count(j, "compressed-clusters", c->compressed_clusters);
    put_count(j, "total-clusters", c->total_clusters);
    put_count(j, "corruptions", c->corruptions);
    json_object_set_new(j, "check-errors", json_integer(count(c->check_errors)));
    put_count(j, "corruptions-fixed", c->corruptions_fixed);
    put_count(j, "leaks-fixed", c->leaks_fixed);
    put_count(j, "leaks", c->leaks);
    put_count(j, "allocated-clusters", c->allocated_clusters);
    json_object_set_new(j, "filename", json_string(filename));
    json_object_set_new(j, "format", json_string(format));
    put_count(j, "fragmented-clusters", c->fragmented_clusters);
    img_print_json(j);
}

static bool run_check(struct img *img, struct disk *d, struct disk_check *c, unsigned fix,
                      int *ret_status)
{
    struct img_disk_progress p = img_disk_progress(img);
    *c = (struct disk_check){ .say = say, .progress = &p.p };
    img_progress_start(img);
    img_work_begin(img);
    int r = disk_check(d, c, fix);
    img_work_end(img);
    img_progress_end(img, r >= 0);
    if (r == -ENOTSUP) {
        img_error(img, "This image format does not support checks");
        *ret_status = NO_CHECK;
    } else if (r < 0) {
        img_error(img, "Check failed: %s", strerror(-r));
        *ret_status = CANNOT;
    }
    c->progress = NULL;
    return r >= 0;
}

static int check(struct img *img, struct disk *d, const char *filename, unsigned fix, bool json)
{
    struct disk_check c, again;
    int status;

    if (!run_check(img, d, &c, fix, &status))
        return status;
    if (count(c.leaks_fixed) || count(c.corruptions_fixed)) {
        if (!json)
            img_say(img,
                    "The following inconsistencies were found and repaired:\n\n"
                    "    %" PRId64 " leaked clusters\n    %" PRId64 " corruptions\n\n"
                    "Double checking the fixed image now...\n",
                    count(c.leaks_fixed), count(c.corruptions_fixed));
        if (!run_check(img, d, &again, 0, &status))
            return status;
        again.leaks_fixed = c.leaks_fixed;
        again.corruptions_fixed = c.corruptions_fixed;
        c = again;
    }
    if (json)
        print_json(&c, filename, disk_driver_name(d));
    else if (!img->quiet)
        print_human(&c);
    if (count(c.check_errors))
        return CANNOT;
    return count(c.corruptions) ? CORRUPT : count(c.leaks) ? LEAKS : EXIT_SUCCESS;
}

static int run(struct img *img, void *opaque)
{
    struct check_args *a = opaque;
    unsigned fix = 0, flags = DISK_CHECK;
    bool json;

    if (a->repair && !strcmp(a->repair, "leaks"))
        fix = DISK_FIX_LEAKS;
    else if (a->repair && !strcmp(a->repair, "all"))
        fix = DISK_FIX_LEAKS | DISK_FIX_ERRORS;
    else if (a->repair)
        return img_usage_error(img, "Unknown option value for -r (expecting 'leaks' or 'all'): %s",
                               a->repair);
    if (!img_output_json(img, a->output, &json))
        return CANNOT;
    if (!img_cache_flags(a->source.cache, &flags)) {
        img_error(img, "Invalid source cache option: %s", a->source.cache);
        return CANNOT;
    }
    if (a->base.count != 1)
        return img_usage_error(img, "Expecting one image file name");
    a->source.name = a->base.operands[0];
    if (json)
        img->progress = false;
    struct disk *d = img_open_or_say(img, &a->source, flags | (fix ? DISK_RDWR : 0));
    if (!d)
        return CANNOT;
    int status = check(img, d, a->source.name, fix, json);
    return img_close(img, d) || status ? status : CANNOT;
}

const struct img_command img_check_command = {
    .name = "check",
    .doc = "Looks for damage of an image, and repairs it",
    .operands = "FILENAME",
    .size = sizeof(struct check_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL,
              "FILENAME is a string of options, driver=...,file.filename=...",
              IMG_TO(struct check_args, source.image_opts) },
            { 'p', "progress", NULL, "show progress", IMG_TO(struct check_args, base.progress) },
            { 'q', "quiet", NULL, "print nothing but errors",
              IMG_TO(struct check_args, base.quiet) },
            { 'f', "format", "FMT", "format of the image; probed when not given",
              IMG_TO(struct check_args, source.format) },
            { 0, "output", "OFMT", "human or json", IMG_TO(struct check_args, output) },
            { 'r', "repair", "WHAT", "repair leaks, or all (which may choose wrongly)",
              IMG_TO(struct check_args, repair) },
            { 'T', "source-cache", "SRC_CACHE", "cache mode",
              IMG_TO(struct check_args, source.cache) },
            { 'U', "force-share", NULL, "even while another process writes to it",
              IMG_TO(struct check_args, source.force_share) },
            { 0 },
        },
};
