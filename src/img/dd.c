/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dd: copies a range of one image into a new one, with the operands of dd(1). */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/scope.h"
#include "base/str.h"
#include "disk/node.h"
#include "img/img.h"

enum { PIECE = 1024 * 1024 };

struct dd_args {
    struct img_args base;
    struct img_source source;
    const char *target_format;
};

struct dd {
    struct img *img;
    const char *in, *out;
    uint64_t block, count, skip, isize;
    bool has_count, has_isize;
};

static bool number(struct dd *x, const char *key, const char *text, uint64_t *ret)
{
    if (img_size(text, ret))
        return true;
    img_error(x->img, "Invalid %s specified. You may use k, M, G, T, P or E suffixes for", key);
    img_error(x->img, "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    return false;
}

static bool operand(struct dd *x, const char *text)
{
    const char *v;

    if ((v = str_after(text, "if=")))
        x->in = v;
    else if ((v = str_after(text, "of=")))
        x->out = v;
    else if ((v = str_after(text, "count=")))
        return x->has_count = number(x, "count", v, &x->count);
    else if ((v = str_after(text, "skip=")))
        return number(x, "skip", v, &x->skip);
    else if ((v = str_after(text, "isize=")))
        return x->has_isize = number(x, "isize", v, &x->isize);
    else if ((v = str_after(text, "bs="))) {
        if (!number(x, "bs", v, &x->block))
            return false;
        if (x->block >= 1 && x->block <= INT32_MAX)
            return true;
        img_error(x->img, "Invalid bs specified. Must be between 1 and 2147483647.");
        return false;
    } else {
        img_error(x->img, "unrecognized operand %.*s", (int)strcspn(text, "="), text);
        return false;
    }
    return true;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t r;
    return checked_mul(a, b, &r) ? r : INT64_MAX;
}

static bool make_target(struct dd *x, const char *format, uint64_t size)
{
    struct optlist options = { 0 };
    struct error err = { 0 };
    struct img_create c = { .format = format,
                            .filename = x->out,
                            .quiet = true,
                            .size = size,
                            .has_size = true,
                            .options = &options };
    struct stat st;
    bool ok = img_create(x->img, &c, &err);

    if (!ok)
        img_error(x->img, "%s: error while creating output image of size %" PRIu64 ": %s", x->out,
                  size, err.msg);
    else if (!stat(x->out, &st) && S_ISREG(st.st_mode))
        img_unfinished(x->img, x->out, NULL);
    optlist_finish(&options);
    return ok;
}

static bool copy(struct dd *x, struct disk *from, struct disk *to, uint64_t begin, uint64_t len)
{
    AUTO_FREE uint8_t *buf = aligned_alloc(4096, PIECE);
    bool ok = buf != NULL;

    img_work_begin(x->img);
    for (uint64_t done = 0; ok && done < len && !img_cancelled(x->img);) {
        uint64_t n = MIN(len - done, (uint64_t)PIECE);
        int r = disk_read(from, begin + done, buf, n);
        if (r < 0)
            img_error(x->img, "error while reading from input image file: %s", strerror(-r));
        ok = r >= 0;
        if (ok && (r = disk_write(to, done, buf, n, 0)) < 0) {
            img_error(x->img, "error while writing to output image file: %s", strerror(-r));
            ok = false;
        }
        done += n;
    }
    img_work_end(x->img);
    return ok && !img_cancelled(x->img);
}

static bool dd(struct dd *x, struct disk *from, const char *format)
{
    uint64_t size = x->has_isize ? MIN(x->isize, disk_size(from)) : disk_size(from);
    uint64_t skip = times(x->skip, x->block);

    if (x->has_count)
        size = MIN(size, times(x->count, x->block));
    uint64_t out = skip < size ? size - skip : 0;
    if (skip > disk_size(from))
        img_error(x->img, "%s: cannot skip to specified offset", x->in);
    if (!make_target(x, format, out))
        return false;
    struct img_source s = { .name = x->out, .format = format };
    struct disk *to = img_open_or_say(x->img, &s, DISK_RDWR | DISK_NO_FLUSH);
    bool ok = to && copy(x, from, to, skip, out);
    ok &= img_close(x->img, to);
    if (ok)
        img_finished(x->img);
    return ok;
}

static int run(struct img *img, void *opaque)
{
    struct dd_args *a = opaque;
    struct dd x = { .img = img, .block = 512 };
    const char *format = a->target_format ? a->target_format : "raw";

    for (unsigned i = 0; i < a->base.count; i++)
        if (!operand(&x, a->base.operands[i]))
            return EXIT_FAILURE;
    if (!x.in || !x.out) {
        img_error(img, "Must specify both input and output files");
        return EXIT_FAILURE;
    }
    if (a->source.image_opts && a->source.format) {
        img_error(img, "--image-opts and --format are mutually exclusive");
        return EXIT_FAILURE;
    }
    a->source.name = x.in;
    struct disk *from = img_open_or_say(
        img, &a->source, a->source.force_share ? 0 : DISK_EXCLUSIVE | DISK_KEEP_SIZE);
    if (!from)
        return EXIT_FAILURE;
    bool ok = dd(&x, from, format);
    disk_unref(from);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct img_command img_dd_command = {
    .name = "dd",
    .doc = "Copies a range of an image to a new one",
    .operands = "[bs=BLOCK_SIZE] [count=BLOCKS] [skip=BLOCKS] [isize=SIZE] if=INPUT of=OUTPUT",
    .size = sizeof(struct dd_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL, "INPUT is a string of options, driver=...,file.filename=...",
              IMG_TO(struct dd_args, source.image_opts) },
            { 'U', "force-share", NULL, "read even while another process writes to it",
              IMG_TO(struct dd_args, source.force_share) },
            { 'f', "format", "FMT", "format of INPUT; probed when not given",
              IMG_TO(struct dd_args, source.format) },
            { 'O', "output-format", "OUTPUT_FMT", "format of OUTPUT; raw when not given",
              IMG_TO(struct dd_args, target_format) },
            { 0 },
        },
};
