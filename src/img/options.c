/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options of commands, from their tables: parsing, usage, help; and the -o options of formats. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/node.h"
#include "img/img.h"

enum {
    MAX_OPTIONS = 40,
    LONG_BASE = 256, /* what getopt_long returns for row i is LONG_BASE + i */
};

static void list_add(struct img_list *l, const struct img_option *o, const char *value)
{
    l->values = xrealloc_array(l->values, l->count + 1, sizeof(*l->values));
    l->which = xrealloc_array(l->which, l->count + 1, sizeof(*l->which));
    l->values[l->count] = value ? value : "";
    l->which[l->count++] = o;
}

static const struct img_option *row_of_letter(const struct img_command *c, int letter)
{
    for (const struct img_option *o = c->options; o->letter || o->name; o++)
        if (o->letter == letter)
            return o;
    return NULL;
}

/* What getopt_long wants, made from the table. -h and --help come last. */
static void make_getopt(const struct img_command *c, char *letters, struct option *longs)
{
    unsigned n = 0;
    *letters++ = ':';
    *letters++ = 'h';
    for (const struct img_option *o = c->options; o->letter || o->name; o++) {
        if (o->letter) {
            *letters++ = o->letter;
            if (o->arg)
                *letters++ = ':';
        }
        if (o->name && n < MAX_OPTIONS)
            longs[n++] = (struct option){ o->name, o->arg ? required_argument : no_argument, NULL,
                                          LONG_BASE + (int)(o - c->options) };
    }
    *letters = '\0';
    longs[n++] = (struct option){ "help", no_argument, NULL, 'h' };
    longs[n] = (struct option){ 0 };
}

static bool take(struct img *img, const struct img_option *o, char *args, const char *value,
                 int *ret_status)
{
    struct error err = { 0 };
    switch (o->kind) {
    case IMG_FLAG: *(bool *)(args + o->offset) = true; return true;
    case IMG_STRING: *(const char **)(args + o->offset) = value; return true;
    case IMG_LIST: list_add((struct img_list *)(args + o->offset), o, value); return true;
    case IMG_OBJECT:
        if (!strcmp(value, "help") || !strcmp(value, "?")) {
            object_print_help(stdout, NULL);
            *ret_status = EXIT_SUCCESS;
            return false;
        }
        if (object_add(img->objects, value, &err))
            return true;
        *ret_status = img_fail(img, &err);
        return false;
    }
    return false;
}

static int unknown_option(struct img *img, const struct img_command *c, const char *text)
{
    const char *names[MAX_OPTIONS + 1];
    unsigned n = 0;
    for (const struct img_option *o = c->options; o->letter || o->name; o++)
        if (o->name && n < MAX_OPTIONS)
            names[n++] = o->name;
    names[n] = NULL;
    const char *name = str_after(text, "--");
    const char *near = name ? nearest_name(name, names) : NULL;
    if (near)
        return img_usage_error(img, "unrecognized option '%s'; did you mean '--%s'?", text, near);
    return img_usage_error(img, "unrecognized option '%s'", text);
}

bool img_parse(struct img *img, const struct img_command *c, int argc, char **argv, void *args,
               int *ret_status)
{
    char letters[2 * MAX_OPTIONS + 4];
    struct option longs[MAX_OPTIONS + 2];
    struct img_args *a = args;

    bool held = c->signed_operand && argc > 1 && argv[argc - 1][0] == '-' &&
                isdigit((unsigned char)argv[argc - 1][1]);

    make_getopt(c, letters, longs);
    argc -= held;
    *ret_status = EXIT_FAILURE;
    optind = 0; /* glibc: start anew */
    for (int r; (r = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        if (r == 'h') {
            printf("usage: %s ", img->program);
            img_print_usage(stdout, c);
            printf("\n%s.\n\n", c->doc);
            img_print_options(stdout, c);
            *ret_status = EXIT_SUCCESS;
            return false;
        }
        if (r == ':') {
            img_usage_error(img, "missing argument for option '%s'", argv[optind - 1]);
            return false;
        }
        if (r == '?') {
            /* inside a cluster of letters optind still points at it */
            char letter[3] = { '-', (char)optopt };
            unknown_option(img, c, optopt && optopt < LONG_BASE ? letter : argv[optind - 1]);
            return false;
        }
        const struct img_option *o =
            r >= LONG_BASE ? &c->options[r - LONG_BASE] : row_of_letter(c, r);
        if (!take(img, o, args, optarg, ret_status))
            return false;
    }
    a->operands = argv + optind;
    a->count = argc - optind + held;
    return true;
}

void img_parse_finish(const struct img_command *c, void *args)
{
    for (const struct img_option *o = c->options; o->letter || o->name; o++) {
        if (o->kind != IMG_LIST)
            continue;
        struct img_list *l = (void *)((char *)args + o->offset);
        free(l->values);
        free(l->which);
        *l = (struct img_list){ 0 };
    }
}

void img_print_usage(FILE *f, const struct img_command *c)
{
    fprintf(f, "%s", c->name);
    for (const struct img_option *o = c->options; o->letter || o->name; o++) {
        if (o->letter)
            fprintf(f, o->arg ? " [-%c %s]" : " [-%c]", o->letter, o->arg);
        else
            fprintf(f, o->arg ? " [--%s %s]" : " [--%s]", o->name, o->arg);
    }
    fprintf(f, " %s\n", c->operands);
}

void img_print_options(FILE *f, const struct img_command *c)
{
    for (const struct img_option *o = c->options; o->letter || o->name; o++) {
        char left[80];
        int n = snprintf(left, sizeof(left), "  ");
        if (o->letter)
            n += snprintf(left + n, sizeof(left) - n, "-%c%s", o->letter, o->name ? ", " : "");
        if (o->name)
            n += snprintf(left + n, sizeof(left) - n, "--%s", o->name);
        if (o->arg)
            snprintf(left + n, sizeof(left) - n, "%s%s", o->name ? "=" : " ", o->arg);
        fprintf(f, "%-30s %s%s", left, strlen(left) > 30 ? "\n                               " : "",
                o->doc);
        fputc('\n', f);
    }
    fprintf(f, "%-30s %s\n", "  -h, --help", "show this");
}

bool img_output_json(const struct img *img, const char *output, bool *ret)
{
    *ret = output && !strcmp(output, "json");
    if (!output || *ret || !strcmp(output, "human"))
        return true;
    img_error(img, "--output must be used with human or json as argument.");
    return false;
}

bool img_size(const char *text, uint64_t *ret)
{
    struct error err = { 0 };
    uint64_t v;
    if (!parse_size(text, 1, &v, &err) || v > INT64_MAX)
        return false;
    *ret = v;
    return true;
}

bool img_options_merge(const struct img_list *l, struct optlist *ret, bool *ret_help,
                       struct error *err)
{
    *ret_help = false;
    for (unsigned i = 0; i < l->count; i++) {
        struct optlist one;
        bool ok = optlist_parse(&one, l->values[i], NULL, err);
        for (size_t k = 0; ok && k < one.count; k++) {
            const struct optlist_item *it = &one.items[k];
            if (it->is_flag && (!strcmp(it->key, "help") || !strcmp(it->key, "?")))
                *ret_help = true;
            else
                optlist_add(ret, it->key, it->value);
        }
        optlist_finish(&one);
        if (!ok)
            return false;
    }
    return true;
}

static const char *kind_text(const struct field *f)
{
    if (f->is_size)
        return "<size>";
    switch (f->kind) {
    case FIELD_BOOL: return "<bool (on/off)>";
    case FIELD_STRING: return "<str>";
    default: return "<num>";
    }
}

static int by_name(const void *a, const void *b)
{
    const struct field *x = *(const struct field *const *)a, *y = *(const struct field *const *)b;
    return strcmp(x->wire ? x->wire : x->name, y->wire ? y->wire : y->name);
}

/* Adds the rows of table to list unless one of that name is there. */
static unsigned collect(const struct field **list, unsigned n, unsigned max,
                        const struct field *table)
{
    for (const struct field *f = table; f && f->name && n < max; f++) {
        bool there = false;
        for (unsigned i = 0; i < n; i++)
            there |= !by_name(&f, &list[i]);
        if (!there)
            list[n++] = f;
    }
    return n;
}

static void print_fields(const struct field **list, unsigned n)
{
    qsort(list, n, sizeof(*list), by_name);
    for (unsigned i = 0; i < n; i++) {
        char left[64];
        snprintf(left, sizeof(left), "%s=%s", list[i]->wire ? list[i]->wire : list[i]->name,
                 kind_text(list[i]));
        printf("  %-22s - %s\n", left, list[i]->doc ? list[i]->doc : "");
    }
}

/* What every format takes, read by create.c and the core. */
static const struct field common_options[] = {
    { .name = "size", .kind = FIELD_U64, .is_size = true, .doc = "Virtual disk size" },
    { 0 },
};
static const struct field backing_options[] = {
    { .name = "backing_file", .kind = FIELD_STRING, .doc = "File name of a base image" },
    { .name = "backing_fmt", .kind = FIELD_STRING, .doc = "Image format of the base image" },
    { 0 },
};

bool img_print_format_options(struct img *img, const char *format, const char *filename,
                              struct error *err)
{
    const struct field *list[96];
    const struct disk_driver *d = disk_driver_find(format);
    if (!d)
        return fail(err, ENOENT, "Unknown file format '%s'", format);
    if (!d->create)
        return fail(err, ENOTSUP, "Format driver '%s' does not support image creation", format);

    unsigned n = collect(list, 0, ARRAY_SIZE(list), d->create_options);
    n = collect(list, n, ARRAY_SIZE(list), common_options);
    if (d->backing)
        n = collect(list, n, ARRAY_SIZE(list), backing_options);
    if (!filename) {
        printf("Supported %s options:\n", format);
        print_fields(list, n);
        if (!d->is_transport)
            printf("\nThe protocol level may support further options.\n"
                   "Specify the target filename to include those options.\n");
        return true;
    }
    const struct disk_driver *file = disk_driver_find("file");
    n = collect(list, n, ARRAY_SIZE(list), file ? file->create_options : NULL);
    printf("Supported options:\n");
    print_fields(list, n);
    return true;
}

bool img_print_amend_options(const char *format, struct error *err)
{
    const struct field *list[96];
    const struct disk_driver *d = disk_driver_find(format);
    if (!d)
        return fail(err, ENOENT, "Unknown file format '%s'", format);
    if (!d->amend)
        return fail(err, ENOTSUP, "Format driver '%s' does not support option amendment", format);
    unsigned n = collect(list, 0, ARRAY_SIZE(list), d->amend_options);
    printf("Amend options for '%s':\n", format);
    print_fields(list, n);
    return true;
}
