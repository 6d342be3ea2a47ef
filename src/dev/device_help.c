/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -device help and -device NAME,help, from the tables that the devices themselves use. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "dev/bus.h"

static const char *const headings[DEVICE_CATEGORIES] = {
    [DEVICE_CATEGORY_NONE] = "Uncategorized devices:",
    [DEVICE_BRIDGE] = "Controller/Bridge/Hub devices:",
    [DEVICE_STORAGE] = "Storage devices:",
    [DEVICE_NETWORK] = "Network devices:",
    [DEVICE_INPUT] = "Input devices:",
    [DEVICE_DISPLAY] = "Display devices:",
    [DEVICE_MISC] = "Misc devices:",
};

/* In the order that QEMU prints them. */
static const enum device_category order[] = { DEVICE_BRIDGE,       DEVICE_STORAGE, DEVICE_NETWORK,
                                              DEVICE_INPUT,        DEVICE_DISPLAY, DEVICE_MISC,
                                              DEVICE_CATEGORY_NONE };

static int by_name(const void *a, const void *b)
{
    const struct device_type *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Those that -device can make, by name. The caller frees the array. */
static const struct device_type **sorted_types(size_t *ret_count)
{
    size_t n = 0;
    while (device_types[n])
        n++;
    const struct device_type **list = xnew_array(const struct device_type *, n + 1);
    *ret_count = 0;
    for (size_t i = 0; i < n; i++)
        if (device_types[i]->bus)
            list[(*ret_count)++] = device_types[i];
    qsort(list, *ret_count, sizeof *list, by_name);
    return list;
}

static void print_types(FILE *f)
{
    size_t n;
    const struct device_type **list = sorted_types(&n);
    bool any = false;
    for (unsigned c = 0; c < ARRAY_SIZE(order); c++) {
        bool headed = false;
        for (size_t i = 0; i < n; i++) {
            const struct device_type *t = list[i];
            if (t->category != order[c])
                continue;
            if (!headed)
                fprintf(f, "%s%s\n", any ? "\n" : "", headings[order[c]]);
            headed = any = true;
            fprintf(f, "name \"%s\", bus %s", t->name, t->bus);
            if (t->alias)
                fprintf(f, ", alias \"%s\"", t->alias);
            fprintf(f, ", desc \"%s\"\n", t->doc);
        }
    }
    free(list);
}

const struct device_type *device_type_need(const char *name, struct error *err)
{
    const struct device_type *t = device_type_find(name);
    if (t && t->bus)
        return t;
    if (t) {
        (void)fail(err, EINVAL, "device '%s' is part of the board and cannot be added", name);
        (void)fail_hint(err, "-device help lists those that can");
        return NULL;
    }
    const char *names[400];
    size_t n = 0;
    for (const struct device_type *const *p = device_types; *p && n < ARRAY_SIZE(names) - 2; p++) {
        if ((*p)->bus)
            names[n++] = (*p)->name;
        if ((*p)->bus && (*p)->alias)
            names[n++] = (*p)->alias;
    }
    names[n] = NULL;
    const char *near = nearest_name(name, names);
    (void)fail(err, ENODEV, "'%s' is not a valid device model name", name);
    if (near)
        (void)fail_hint(err, "did you mean '%s'? -device help lists all", near);
    else
        (void)fail_hint(err, "-device help lists all");
    return NULL;
}

static const char *type_name(const struct field *f)
{
    static const char *const names[FIELD_KIND_COUNT] = {
        [FIELD_BOOL] = "bool",  [FIELD_U8] = "uint8",     [FIELD_U16] = "uint16",
        [FIELD_U32] = "uint32", [FIELD_U64] = "uint64",   [FIELD_I8] = "int8",
        [FIELD_I16] = "int16",  [FIELD_I32] = "int32",    [FIELD_I64] = "int64",
        [FIELD_STRING] = "str", [FIELD_POINTER] = "link",
    };
    return f->is_size ? "size" : names[f->kind];
}

static char *default_text(const struct device *owner, const struct field *f)
{
    char buf[160];
    if (f->count != 1 || f->kind == FIELD_POINTER)
        return NULL;
    if (f->kind == FIELD_STRING) {
        const char *s = *(char *const *)((const char *)owner + f->offset);
        return s ? xasprintf("\"%s\"", s) : NULL;
    }
    if (f->kind == FIELD_BOOL)
        return xstrdup(field_get(owner, f, 0) ? "on" : "off");
    snprintf(buf, sizeof buf, "%" PRId64, (int64_t)field_get(owner, f, 0));
    return xstrdup(buf);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct lines {
    char *line[256];
    size_t count;
};

static void add_line(struct device *owner, const struct field *f, void *opaque)
{
    struct lines *l = opaque;
    if (l->count == ARRAY_SIZE(l->line))
        return;
    const char *name = f->wire ? f->wire : f->name;
    AUTO_FREE char *head = f->kind == FIELD_POINTER ? xasprintf("%s=<str>", name)
                                                    : xasprintf("%s=<%s>", name, type_name(f));
    AUTO_FREE char *value = default_text(owner, f);
    AUTO_FREE char *tail = value ? xasprintf(" (default: %s)", value) : xstrdup("");
    AUTO_FREE char *doc = f->kind == FIELD_POINTER && !f->doc ? xasprintf("id of a %s", f->link)
                                                              : xstrdup(f->doc ? f->doc : "");
    l->line[l->count++] = xasprintf("  %-22s - %s%s", head, doc, tail);
}

static void print_props(FILE *f, const struct device_type *t, struct loop *loop)
{
    const struct device_ctx ctx = { .loop = loop };
    struct device *dev = device_new(t, NULL, &ctx);
    struct lines l = { .count = 0 };
    device_props_each(dev, add_line, &l);
    qsort(l.line, l.count, sizeof *l.line, by_text);
    fprintf(f, "%s options:\n", t->name);
    for (size_t i = 0; i < l.count; i++) {
        fprintf(f, "%s\n", l.line[i]);
        free(l.line[i]);
    }
    device_free(dev);
}

bool device_help(FILE *f, const char *text, struct error *err)
{
    size_t n = strcspn(text, ",");
    if (!strcmp(text, "help") || !strcmp(text, "?")) {
        print_types(f);
        return true;
    }
    if (strcmp(text + n, ",help") && strcmp(text + n, ",?"))
        return false;
    AUTO_FREE char *name = xstrndup(text, n);
    const struct device_type *t = device_type_need(name, err);
    struct loop *loop = t ? loop_new(err) : NULL;
    if (!loop)
        return false;
    loop_lock(loop);
    print_props(f, t, loop);
    loop_unlock(loop);
    loop_free(loop);
    return true;
}
