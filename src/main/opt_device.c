/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options that add things: devices, drives, objects, properties. They are kept as written; the VM
 * makes them in order. */
#include "main/options.h"

#include "base/alloc.h"
#include "base/object.h"
#include "base/str.h"
#include "chardev/chardevs.h"
#include "dev/device.h"

#include <errno.h>
#include <string.h>

void options_add(GPtrArray **list, const char *arg)
{
    if (!*list)
        *list = g_ptr_array_new();
    g_ptr_array_add(*list, (void *)arg);
}

/* --- -device, -object: help is known before anything else is made --- */

static void print_device_help(const struct options *o, FILE *f)
{
    struct error ignored;
    (void)device_help(f, o->help_text, &ignored);
}

static bool asks_for_help(const char *arg)
{
    const char *comma = strrchr(arg, ',');
    const char *last = comma ? comma + 1 : arg;
    return *arg != '{' && (!strcmp(last, "help") || !strcmp(last, "?"));
}

bool opt_device(struct options *o, const char *arg, struct error *err)
{
    if (!asks_for_help(arg)) {
        options_add(&o->devices, arg);
        return true;
    }
    size_t n = strcspn(arg, ",");
    const char *name = options_keep(o, xstrndup(arg, n));
    if (arg[n] && !device_type_need(name, err))
        return false;
    o->help_text = arg[n] ? options_keep(o, xasprintf("%s,help", name)) : arg;
    o->print = print_device_help;
    return true;
}

bool options_has_device(const struct options *o, const char *name)
{
    bool found = false;
    for (guint i = 0; o->devices && i < o->devices->len && !found; i++) {
        const char *text = o->devices->pdata[i];
        struct optlist l = { 0 };
        struct error ignored;
        bool ok = text && (*text == '{' ? optlist_parse_json(&l, text, &ignored)
                                        : optlist_parse(&l, text, "driver", &ignored));
        const char *driver = ok ? optlist_take(&l, "driver") : NULL;
        found = driver && !strcmp(driver, name);
        optlist_finish(&l);
    }
    return found;
}

static void print_object_help(const struct options *o, FILE *f)
{
    (void)object_help(f, o->help_text);
}

bool opt_object(struct options *o, const char *arg, struct error *err)
{
    if (asks_for_help(arg)) {
        o->help_text = arg;
        o->print = print_object_help;
        return true;
    }
    options_add(&o->objects, arg);
    return true;
}

static void print_chardev_help(const struct options *o, FILE *f)
{
    chardevs_print_help(f);
}

bool opt_chardev(struct options *o, const char *arg, struct error *err)
{
    if (asks_for_help(arg))
        o->print = print_chardev_help;
    options_add(&o->chardevs, arg);
    return true;
}

bool opt_global(struct options *o, const char *arg, struct error *err)
{
    options_add(&o->globals, arg);
    return true;
}

bool opt_mem_path(struct options *o, const char *arg, struct error *err)
{
    o->vm.mem_path = arg;
    return true;
}

bool opt_mem_prealloc(struct options *o, const char *arg, struct error *err)
{
    o->vm.mem_prealloc = true;
    return true;
}

/* --- disks --- */

bool opt_drive(struct options *o, const char *arg, struct error *err)
{
    options_add(&o->drives, arg);
    return true;
}

bool opt_blockdev(struct options *o, const char *arg, struct error *err)
{
    options_add(&o->blockdevs, arg);
    return true;
}

/* A file name as a value of an option list: commas twice. */
static char *quoted(const char *path)
{
    GString *s = g_string_new(NULL);
    for (; *path; path++) {
        g_string_append_c(s, *path);
        if (*path == ',')
            g_string_append_c(s, ',');
    }
    char *text = xstrdup(s->str);
    g_string_free(s, TRUE);
    return text;
}

static bool add_file(struct options *o, const char *path, const char *rest)
{
    char *name = quoted(path);
    options_add(&o->drives, options_keep(o, xasprintf("file=%s,%s", name, rest)));
    free(name);
    return true;
}

bool opt_hda(struct options *o, const char *arg, struct error *err)
{
    return add_file(o, arg, "media=disk,index=0");
}

bool opt_hdb(struct options *o, const char *arg, struct error *err)
{
    return add_file(o, arg, "media=disk,index=1");
}

bool opt_hdc(struct options *o, const char *arg, struct error *err)
{
    return add_file(o, arg, "media=disk,index=2");
}

bool opt_hdd(struct options *o, const char *arg, struct error *err)
{
    return add_file(o, arg, "media=disk,index=3");
}

bool opt_cdrom(struct options *o, const char *arg, struct error *err)
{
    return add_file(o, arg, "media=cdrom,index=2");
}

bool opt_image(struct options *o, const char *path, struct error *err)
{
    if (o->image) {
        (void)fail(err, EINVAL, "disk image '%s': there is '%s' already", path, o->image);
        return fail_hint(err, "give more disks with -hdb, -drive or -blockdev");
    }
    o->image = path;
    return add_file(o, path, "media=disk,index=0");
}

bool opt_pflash(struct options *o, const char *arg, struct error *err)
{
    return add_file(o, arg, "if=pflash");
}

bool opt_snapshot(struct options *o, const char *arg, struct error *err)
{
    o->vm.snapshot = true;
    return true;
}

/* --- all together --- */

const char *const *options_list(GPtrArray *a)
{
    if (!a)
        return NULL;
    g_ptr_array_add(a, NULL);
    return (const char *const *)a->pdata;
}

bool device_settle(struct options *o, struct error *err)
{
    o->vm.chardevs = options_list(o->chardevs);
    o->vm.objects = options_list(o->objects);
    o->vm.blockdevs = options_list(o->blockdevs);
    o->vm.drives = options_list(o->drives);
    o->vm.devices = options_list(o->devices);
    o->vm.globals = options_list(o->globals);
    o->vm.no_default_cdrom = o->nodefaults;
    o->vm.vga = o->vga ? o->vga : o->nodefaults ? "none" : NULL;
    return true;
}

void device_options_finish(struct options *o)
{
    GPtrArray *lists[] = {
        o->chardevs, o->objects, o->blockdevs, o->drives, o->devices, o->globals
    };
    for (unsigned i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (lists[i])
            g_ptr_array_unref(lists[i]);
}
