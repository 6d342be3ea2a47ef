/* SPDX-License-Identifier: GPL-2.0-or-later */
/* create: a new image. img_create() also serves convert and dd. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/node.h"
#include "img/img.h"

/* "Formatting ..." names options in this order, those with a default even when nobody set them:
 * as qemu-img 7.2 prints them. Options that are not named here follow in the order given. */
static const struct {
    const char *format, *order;
} formatting[] = {
    { "qcow2", "encrypt.format encrypt.key-secret encrypt.cipher-alg encrypt.cipher-mode "
               "encrypt.ivgen-alg encrypt.ivgen-hash-alg encrypt.hash-alg encrypt.iter-time "
               "encryption cluster_size=65536 extended_l2=off preallocation compression_type=zlib "
               "size compat backing_file backing_fmt data_file data_file_raw lazy_refcounts=off "
               "refcount_bits=16 nocow extent_size_hint" },
    { "raw", "size nocow preallocation extent_size_hint" },
    { "luks",
      "size key-secret cipher-alg cipher-mode ivgen-alg ivgen-hash-alg hash-alg iter-time" },
    { "vmdk", "size adapter_type backing_file backing_fmt compat6=off hwversion=undefined "
              "toolsversion subformat zeroed_grain" },
    { "vdi", "size static=off" },
    { "vhdx", "size log_size=1048576 block_size=0 subformat block_state_zero" },
    { "vpc", "size subformat force_size" },
    { "qed", "size backing_file backing_fmt cluster_size=65536 table_size" },
    { "parallels", "size cluster_size=1048576" },
};

struct create_args {
    struct img_args base;
    const char *format, *backing, *backing_format;
    bool unsafe;
    struct img_list options;
};

/* As QEMU writes it: sizes in bytes, on and off, commas doubled. */
static void print_value(const struct disk_driver *drv, const char *key, const char *value)
{
    const struct field *f = field_find(drv->create_options, key);
    const struct disk_driver *file = disk_driver_find("file");
    struct error err = { 0 };
    uint64_t size;
    bool on;

    if (!f && file)
        f = field_find(file->create_options, key);
    printf(" %s=", key);
    if ((f ? f->is_size : !strcmp(key, "size")) && parse_size(value, 1, &size, &err)) {
        printf("%" PRIu64, size);
        return;
    }
    if (f && f->kind == FIELD_BOOL && parse_bool(value, &on, &err)) {
        printf("%s", on ? "on" : "off");
        return;
    }
    for (; *value; value++)
        printf(*value == ',' ? ",," : "%c", *value);
}

static const char *last_value(const struct optlist *l, const char *key)
{
    for (size_t i = l->count; i-- > 0;)
        if (!strcmp(l->items[i].key, key))
            return l->items[i].value;
    return NULL;
}

static void print_formatting(const struct img_create *c, const struct disk_driver *drv)
{
    const char *order = "size";
    for (unsigned i = 0; i < ARRAY_SIZE(formatting); i++)
        if (!strcmp(formatting[i].format, c->format))
            order = formatting[i].order;

    AUTO_FREE char *text = xstrdup(order);
    AUTO_FREE char *named = xasprintf(" %s ", order);
    printf("Formatting '%s', fmt=%s", c->filename, c->format);
    char *save = NULL;
    for (char *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(w, '=');
        if (eq)
            *eq++ = '\0';
        const char *value = last_value(c->options, w);
        if (value || eq)
            print_value(drv, w, value ? value : eq);
    }
    for (size_t i = 0; i < c->options->count; i++) {
        const char *key = c->options->items[i].key;
        AUTO_FREE char *plain = xasprintf(" %s ", key);
        AUTO_FREE char *with_default = xasprintf(" %s=", key);
        if (!strstr(named, plain) && !strstr(named, with_default) &&
            last_value(c->options, key) == c->options->items[i].value)
            print_value(drv, key, c->options->items[i].value);
    }
    putchar('\n');
}

bool img_check_create_options(const char *format, const struct optlist *options, struct error *err)
{
    const struct disk_driver *drv = disk_driver_find(format);
    const struct disk_driver *file = disk_driver_find("file");
    const char *names[100];
    unsigned n = 0;

    names[n++] = "size";
    names[n++] = "preallocation";
    if (drv->backing) {
        names[n++] = "backing_file";
        names[n++] = "backing_fmt";
    }
    for (const struct field *f = drv->create_options; f && f->name && n < 60; f++)
        names[n++] = f->wire ? f->wire : f->name;
    for (const struct field *f = file ? file->create_options : NULL; f && f->name && n < 99; f++)
        names[n++] = f->wire ? f->wire : f->name;
    names[n] = NULL;
    for (size_t i = 0; i < options->count; i++) {
        const char *key = options->items[i].key;
        bool found = field_find(drv->create_options, key) != NULL ||
                     (file && field_find(file->create_options, key));
        for (unsigned k = 0; names[k] && !found; k++)
            found = !strcmp(names[k], key);
        if (found)
            continue;
        if (!strncmp(key, "backing", 7))
            return fail(err, EINVAL, "Backing file not supported for file format '%s'", format);
        const char *near = nearest_name(key, names);
        fail(err, EINVAL, "Invalid parameter '%s'", key);
        return near ? fail_hint(err, "did you mean '%s'?", near) : false;
    }
    return true;
}

/* Opens the backing file: that it is there, and how large it is. */
static bool look_at_backing(struct img *img, struct img_create *c, const char *backing,
                            const char *format, struct error *err)
{
    AUTO_FREE char *path = img_backing_path(c->filename, backing);
    if (!strcmp(path, c->filename))
        return fail(err, EINVAL,
                    "Error: Trying to create an image with the same filename as the backing file");
    if (c->unsafe) {
        if (!format)
            return fail(err, EINVAL, "Backing file specified without backing format");
        return c->has_size || last_value(c->options, "size") ||
               fail(err, EINVAL, "Image creation needs a size parameter");
    }
    struct img_source s = { .name = path, .format = format };
    struct disk *d = img_open(img, &s, DISK_NO_IO, err);
    if (!d) {
        size_t used = strlen(err->msg);
        snprintf(err->msg + used, sizeof(err->msg) - used, "\nCould not open backing image.");
        return false;
    }
    c->size = c->has_size ? c->size : disk_size(d);
    c->has_size = true;
    bool ok = true;
    if (!format)
        ok = fail(err, EINVAL,
                  "Backing file specified without backing format\n"
                  "Detected format of %s.",
                  disk_driver_name(d));
    disk_unref(d);
    return ok;
}

static bool add_size(struct img_create *c, struct error *err)
{
    const char *text = last_value(c->options, "size");
    char number[32];

    if (text && !c->has_size) {
        if (!img_size(text, &c->size))
            return fail(err, EINVAL, "Parameter 'size' expects a non-negative number below 2^64");
        c->has_size = true;
    }
    if (!c->has_size)
        return fail(err, EINVAL, "Image creation needs a size parameter");
    uint64_t rounded = ALIGN_UP(c->size, 512);
    snprintf(number, sizeof(number), "%" PRIu64, strcmp(c->format, "raw") ? rounded : c->size);
    if (c->size > DISK_MAX_SIZE)
        return fail(err, EFBIG, "Image size must be less than 8 EiB!");
    optlist_add(c->options, "size", number);
    return true;
}

static bool add_backing(struct img *img, struct img_create *c, struct error *err)
{
    if (c->backing_file)
        optlist_add(c->options, "backing_file", c->backing_file);
    if (c->backing_format)
        optlist_add(c->options, "backing_fmt", c->backing_format);
    const char *backing = last_value(c->options, "backing_file");
    const char *format = last_value(c->options, "backing_fmt");
    const char *size = last_value(c->options, "size");

    if (format && !disk_driver_find(format))
        return fail(err, EINVAL, "Unknown backing file format '%s'", format);
    if (!backing || !backing[0])
        return true;
    if (!c->has_size && size && img_size(size, &c->size))
        c->has_size = true;
    return look_at_backing(img, c, backing, format, err);
}

static bool is_absent(const char *name)
{
    struct stat st;
    return stat(name, &st) && errno == ENOENT;
}

/* What is not there yet goes again unless img_finished() follows. What was there may be somebody
 * else's, who has it locked. */
static void remember_new_files(struct img *img, const struct img_create *c)
{
    const char *data = last_value(c->options, "data_file");
    AUTO_FREE char *path = data ? img_backing_path(c->filename, data) : NULL;
    bool data_is_new = path && is_absent(path);

    if (is_absent(c->filename))
        img_unfinished(img, c->filename, data_is_new ? path : NULL);
}

bool img_create(struct img *img, struct img_create *c, struct error *err)
{
    const struct disk_driver *drv = disk_driver_find(c->format);
    if (!drv)
        return fail(err, ENOENT, "Unknown file format '%s'", c->format);
    if (!drv->create)
        return fail(err, ENOTSUP, "Format driver '%s' does not support image creation", c->format);
    if (!drv->backing && (c->backing_file || c->backing_format))
        return fail(err, EINVAL, "Backing %s not supported for file format '%s'",
                    c->backing_file ? "file" : "format", c->format);
    if (!img_check_create_options(c->format, c->options, err) || !add_backing(img, c, err) ||
        !add_size(c, err))
        return false;
    if (!c->quiet) {
        print_formatting(c, drv);
        fflush(stdout);
    }
    remember_new_files(img, c);
    return disk_create(img->graph, c->format, c->filename, c->options, err);
}

static int bad_size(const struct img *img)
{
    img_error(img, "Invalid image size specified. You may use k, M, G, T, P or E suffixes for");
    img_error(img, "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
    return EXIT_FAILURE;
}

static int run(struct img *img, void *opaque)
{
    struct create_args *a = opaque;
    struct optlist options = { 0 };
    struct error err = { 0 };
    bool help = false;
    struct img_create c = { .format = a->format ? a->format : "raw",
                            .filename = a->base.count ? a->base.operands[0] : NULL,
                            .backing_file = a->backing,
                            .backing_format = a->backing_format,
                            .unsafe = a->unsafe,
                            .quiet = img->quiet,
                            .options = &options };
    int status = EXIT_FAILURE;

    if (!img_options_merge(&a->options, &options, &help, &err)) {
        img_fail(img, &err);
    } else if (help) {
        status = img_print_format_options(img, c.format, c.filename, &err) ? EXIT_SUCCESS
                                                                           : img_fail(img, &err);
    } else if (!c.filename) {
        img_usage_error(img, "Expecting image file name");
    } else if (a->base.count > 2) {
        img_usage_error(img, "Unexpected argument: %s", a->base.operands[2]);
    } else if (a->base.count == 2 && !(c.has_size = img_size(a->base.operands[1], &c.size))) {
        bad_size(img);
    } else if (!img_create(img, &c, &err)) {
        err_prefix(&err, "%s: ", c.filename);
        img_fail(img, &err);
    } else {
        img_finished(img);
        status = EXIT_SUCCESS;
    }
    optlist_finish(&options);
    return status;
}

const struct img_command img_create_command = {
    .name = "create",
    .doc = "Makes a new image",
    .operands = "FILENAME [SIZE]",
    .size = sizeof(struct create_args),
    .run = run,
    .options =
        (const struct img_option[]){
            { .name = "object",
              .arg = "OBJECTDEF",
              .kind = IMG_OBJECT,
              .doc = "an object, such as secret,id=...: see --object help" },
            { 'q', "quiet", NULL, "print nothing but errors",
              IMG_TO(struct create_args, base.quiet) },
            { 'f', "format", "FMT", "format of the image; raw when not given",
              IMG_TO(struct create_args, format) },
            { 'b', "backing", "BACKING_FILE", "the image records what differs from this one",
              IMG_TO(struct create_args, backing) },
            { 'F', "backing-format", "BACKING_FMT", "its format",
              IMG_TO(struct create_args, backing_format) },
            { 'u', "backing-unsafe", NULL, "do not look whether the backing file is there",
              IMG_TO(struct create_args, unsafe) },
            { 'o', "options", "OPTIONS", "options of the format, see -o help",
              IMG_TO(struct create_args, options) },
            { 0 },
        },
};
