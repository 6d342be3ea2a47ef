/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resize: a new size, or one that differs by +SIZE or -SIZE. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "disk/node.h"
#include "img/img.h"

struct resize_args {
    struct img_args base;
    struct img_source source;
    const char *preallocation;
    bool shrink;
};

static bool wanted_size(struct img *img, const char *text, uint64_t now, uint64_t *ret)
{
    uint64_t n;
    char sign = *text == '+' || *text == '-' ? *text : 0;

    if (!img_size(text + !!sign, &n)) {
        img_error(img, "Parameter 'size' expects a non-negative number below 2^64");
        fprintf(stderr, "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, "
                        "peta-\nand exabytes, respectively.\n");
        return false;
    }
    if (sign == '-')
        n = n < now ? now - n : 0;
    else if (sign == '+' && !checked_add(now, n, &n))
        n = UINT64_MAX;
    if (!n) {
        img_error(img, "New image size must be positive");
        return false;
    }
    if (n > DISK_MAX_SIZE) {
        img_error(img, "Value '%s' is out of range for parameter 'size'", text);
        return false;
    }
    *ret = n;
    return true;
}

static bool preallocation(struct img *img, const char *text, enum disk_preallocation *ret)
{
    *ret = DISK_PREALLOC_OFF;
    if (!text)
        return true;
    for (unsigned i = 0; i < DISK_PREALLOC_COUNT; i++) {
        if (!strcmp(disk_preallocation_names[i], text)) {
            *ret = i;
            return true;
        }
    }
    img_error(img, "Invalid preallocation mode '%s'", text);
    return false;
}

static bool resize(struct img *img, struct disk *d, const struct resize_args *a,
                   enum disk_preallocation p)
{
    uint64_t now = disk_size(d), size;
    struct error err = { 0 };

    if (!wanted_size(img, a->base.operands[1], now, &size))
        return false;
    if (size <= now && p != DISK_PREALLOC_OFF) {
        img_error(img, "Preallocation can only be used for growing images");
        return false;
    }
    if (size < now && !a->shrink) {
        img_error(img, "Use the --shrink option to perform a shrink operation.");
        img_error(img, "warning: Shrinking an image will delete all data beyond the shrunken "
                       "image's end. Before performing such an operation, make sure there is no "
                       "important data there.");
        return false;
    }
    if (!disk_resize(d, size, p, false, &err)) {
        img_fail(img, &err);
        return false;
    }
    return true;
}

static int run(struct img *img, void *opaque)
{
    struct resize_args *a = opaque;
    enum disk_preallocation p;

    if (a->base.count < 2)
        return img_usage_error(img, "Not enough arguments");
    if (a->base.count > 2)
        return img_usage_error(img, "Expecting image file name and size");
    if (!preallocation(img, a->preallocation, &p))
        return EXIT_FAILURE;
    a->source.name = a->base.operands[0];
    struct disk *d = img_open_or_say(img, &a->source, DISK_RDWR | DISK_RESIZE);
    if (!d)
        return EXIT_FAILURE;
    bool ok = resize(img, d, a, p);
    ok &= img_close(img, d);
    if (ok)
        img_say(img, "Image resized.\n");
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct img_command img_resize_command = {
    .name = "resize",
    .doc = "Makes an image larger or smaller",
    .operands = "FILENAME [+ | -]SIZE",
    .signed_operand = true,
    .size = sizeof(struct resize_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL,
              "FILENAME is a string of options, driver=...,file.filename=...",
              IMG_TO(struct resize_args, source.image_opts) },
            { 'f', "format", "FMT", "format of the image; probed when not given",
              IMG_TO(struct resize_args, source.format) },
            { 0, "preallocation", "PREALLOC", "of the new space: off, metadata, falloc, full",
              IMG_TO(struct resize_args, preallocation) },
            { 'q', "quiet", NULL, "print nothing but errors",
              IMG_TO(struct resize_args, base.quiet) },
            { 0, "shrink", NULL, "smaller is meant, and what lies behind may go",
              IMG_TO(struct resize_args, shrink) },
            { 0 },
        },
};
