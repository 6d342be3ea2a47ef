/* SPDX-License-Identifier: GPL-2.0-or-later */
/* map: where each piece of an image lies, through its chain of backing files. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "disk/node.h"
#include "img/img.h"

struct map_args {
    struct img_args base;
    struct img_source source;
    const char *output, *start, *length;
};

struct entry {
    uint64_t start, len;
    unsigned flags, depth;
    uint64_t offset;
    const char *file;
};

enum {
    SHOWN =
        DISK_MAP_DATA | DISK_MAP_ZERO | DISK_MAP_ALLOCATED | DISK_MAP_OFFSET | DISK_MAP_COMPRESSED
};

struct map {
    struct img *img;
    bool json, first;
};

static bool print_human(const struct map *m, const struct entry *e)
{
    if (!(e->flags & DISK_MAP_DATA) || (e->flags & DISK_MAP_ZERO))
        return true;
    if (!(e->flags & DISK_MAP_OFFSET)) {
        img_error(m->img, "File contains external, encrypted or compressed clusters.");
        return false;
    }
    printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", e->start, e->len, e->offset,
           e->file ? e->file : "");
    return true;
}

static void print_json(const struct entry *e)
{
    static const char *const text[] = { "false", "true" };
    printf("{ \"start\": %" PRIu64 ", \"length\": %" PRIu64 ", \"depth\": %u, \"present\": %s, "
           "\"zero\": %s, \"data\": %s",
           e->start, e->len, e->depth, text[!!(e->flags & DISK_MAP_ALLOCATED)],
           text[!!(e->flags & DISK_MAP_ZERO)], text[!!(e->flags & DISK_MAP_DATA)]);
    if (e->flags & DISK_MAP_OFFSET)
        printf(", \"offset\": %" PRIu64, e->offset);
    putchar('}');
}

static bool print_entry(struct map *m, const struct entry *e)
{
    if (!m->json)
        return print_human(m, e);
    if (!m->first)
        printf(",\n");
    m->first = false;
    print_json(e);
    return true;
}

static bool continues(const struct entry *a, const struct entry *b)
{
    return a->flags == b->flags && a->depth == b->depth && a->file == b->file &&
           (!(a->flags & DISK_MAP_OFFSET) || a->offset + a->len == b->offset);
}

/* What lies behind the end of a short backing file is zero because nobody has it: it is told of the
 * layer above. */
static void behind_the_end(struct disk *d, struct entry *e)
{
    for (unsigned i = 0; d && i < e->depth; i++)
        d = disk_backing(d);
    if (d && e->depth && e->start >= disk_size(d)) {
        e->depth--;
        e->flags &= ~DISK_MAP_ALLOCATED;
    }
}

static bool next_entry(struct map *m, struct disk *d, uint64_t at, uint64_t end, struct entry *e)
{
    struct disk_extent x;
    int r = disk_map_above(d, NULL, at, end - at, &x);
    if (r < 0) {
        img_error(m->img, "Failed to read image metadata: %s", strerror(-r));
        return false;
    }
    unsigned flags = x.flags & SHOWN;
    *e = (struct entry){ at,
                         x.len,
                         flags,
                         x.depth,
                         flags & DISK_MAP_OFFSET ? x.host_offset : 0,
                         flags & DISK_MAP_OFFSET && x.file ? disk_filename(x.file) : NULL };
    behind_the_end(d, e);
    return true;
}

static int map(struct map *m, struct disk *d, uint64_t at, uint64_t end)
{
    struct entry now = { .start = at }, next;

    if (m->json)
        putchar('[');
    else
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    while (at < end) {
        if (img_cancelled(m->img) || !next_entry(m, d, at, end, &next))
            return EXIT_FAILURE;
        at += next.len;
        if (now.len && continues(&now, &next)) {
            now.len += next.len;
            continue;
        }
        if (now.len && !print_entry(m, &now))
            return EXIT_FAILURE;
        now = next;
    }
    if (!print_entry(m, &now))
        return EXIT_FAILURE;
    if (m->json)
        printf("]\n");
    return EXIT_SUCCESS;
}

static int bad_number(const struct img *img, const char *what)
{
    img_error(img, "Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what);
    img_error(img, "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    return EXIT_FAILURE;
}

static int run(struct img *img, void *opaque)
{
    struct map_args *a = opaque;
    struct map m = { .img = img, .first = true };
    uint64_t start = 0, length = INT64_MAX;

    if (!img_output_json(img, a->output, &m.json))
        return EXIT_FAILURE;
    if (a->start && !img_size(a->start, &start))
        return bad_number(img, "start offset");
    if (a->length && !img_size(a->length, &length))
        return bad_number(img, "max length");
    if (a->base.count != 1)
        return img_usage_error(img, "Expecting one image file name");
    a->source.name = a->base.operands[0];
    struct disk *d = img_open_or_say(img, &a->source, 0);
    if (!d)
        return EXIT_FAILURE;
    uint64_t end = disk_size(d);
    if (start < end && length < end - start)
        end = start + length;
    img_work_begin(img);
    int status = map(&m, d, start, end);
    img_work_end(img);
    disk_unref(d);
    return status;
}

const struct img_command img_map_command = {
    .name = "map",
    .doc = "Shows where in which file the pieces of an image lie",
    .operands = "FILENAME",
    .size = sizeof(struct map_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 0, "image-opts", NULL,
              "FILENAME is a string of options, driver=...,file.filename=...",
              IMG_TO(struct map_args, source.image_opts) },
            { 'f', "format", "FMT", "format of the image; probed when not given",
              IMG_TO(struct map_args, source.format) },
            { 's', "start-offset", "OFFSET", "begin there", IMG_TO(struct map_args, start) },
            { 'l', "max-length", "LEN", "and show no more than that",
              IMG_TO(struct map_args, length) },
            { 0, "output", "OFMT", "human or json", IMG_TO(struct map_args, output) },
            { 'U', "force-share", NULL, "even while another process writes to it",
              IMG_TO(struct map_args, source.force_share) },
            { 0 },
        },
};
