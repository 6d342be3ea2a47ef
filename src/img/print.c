/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What people and programs read: sizes, JSON, trees, the table of snapshots. */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "disk/node.h"
#include "img/img.h"

void img_print_size(FILE *f, uint64_t bytes)
{
    static const char *const unit[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
    double v = bytes;
    unsigned i = 0;
    /* from 1000 on the next unit, so that three digits are enough */
    for (; v >= 1000 && i < ARRAY_SIZE(unit) - 1; i++)
        v /= 1024;
    fprintf(f, "%0.3g %sB", v, unit[i]);
}

void img_print_json(json_t *own_j)
{
    json_dumpf(own_j, stdout, JSON_INDENT(4) | JSON_ENSURE_ASCII);
    putchar('\n');
    json_decref(own_j);
}

/* Where a key stands in what qemu-img 7.2 prints for people, as observed; scripts compare it. */
static unsigned rank_of(const char *key)
{
    static const char *const order[] = {
        "ivgen-alg",
        "hash-alg",
        "cipher-alg",
        "uuid",
        "ivgen-hash-alg",
        "virtual-size",
        "filename",
        "cluster-size",
        "format",
        "cipher-mode",
        "cid",
        "parent-cid",
        "create-type",
        "extents",
        "slots",
        "payload-offset",
        "master-key-iters",
        "compat",
        "compression-type",
        "lazy-refcounts",
        "flags",
        "name",
        "granularity",
        "bitmaps",
        "refcount-bits",
        "encrypt",
        "data-file",
        "data-file-raw",
        "corrupt",
        "extended-l2",
        "active",
        "iters",
        "key-offset",
        "stripes",
    };
    unsigned i = 0;
    while (i < ARRAY_SIZE(order) && strcmp(order[i], key))
        i++;
    return i;
}

static void indent(unsigned depth)
{
    printf("%*s", (int)depth * 4, "");
}

static void print_scalar(const json_t *j)
{
    if (json_is_string(j))
        printf("%s\n", json_string_value(j));
    else if (json_is_integer(j))
        printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(j));
    else
        printf("%s\n", json_is_true(j) ? "true" : json_is_false(j) ? "false" : "");
}

static void print_value(json_t *j, unsigned depth)
{
    if (json_is_object(j) || json_is_array(j)) {
        putchar('\n');
        img_print_tree(j, depth + 1);
        return;
    }
    putchar(' ');
    print_scalar(j);
}

/* The keys of an object in that order; returns how many. */
static unsigned sorted_keys(json_t *j, const char **keys, unsigned max)
{
    unsigned n = 0;
    const char *key;
    json_t *value;

    json_object_foreach(j, key, value)
    {
        unsigned i = n;
        if (n == max)
            break;
        for (; i > 0 && rank_of(keys[i - 1]) > rank_of(key); i--)
            keys[i] = keys[i - 1];
        keys[i] = key;
        n++;
    }
    return n;
}

json_t *img_json_sorted(json_t *own_j)
{
    const char *keys[64];
    json_t *sorted;

    if (json_is_array(own_j)) {
        for (size_t i = 0; i < json_array_size(own_j); i++)
            json_array_set_new(own_j, i, img_json_sorted(json_incref(json_array_get(own_j, i))));
        return own_j;
    }
    if (!json_is_object(own_j))
        return own_j;
    sorted = json_object();
    unsigned n = sorted_keys(own_j, keys, ARRAY_SIZE(keys));
    for (unsigned i = 0; i < n; i++)
        json_object_set_new(sorted, keys[i],
                            img_json_sorted(json_incref(json_object_get(own_j, keys[i]))));
    json_decref(own_j);
    return sorted;
}

static void print_object(json_t *j, unsigned depth)
{
    const char *keys[64];
    unsigned n = sorted_keys(j, keys, ARRAY_SIZE(keys));

    for (unsigned i = 0; i < n; i++) {
        indent(depth);
        for (const char *s = keys[i]; *s; s++)
            putchar(*s == '-' ? ' ' : *s);
        putchar(':');
        print_value(json_object_get(j, keys[i]), depth);
    }
}

void img_print_tree(json_t *j, unsigned depth)
{
    if (json_is_object(j)) {
        print_object(j, depth);
        return;
    }
    for (size_t i = 0; i < json_array_size(j); i++) {
        indent(depth);
        printf("[%zu]:", i);
        print_value(json_array_get(j, i), depth);
    }
}

void img_print_snapshots(const struct disk_snapshot *list, unsigned count)
{
    printf("Snapshot list:\n%-10s%-17s%8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE",
           "VM CLOCK", "ICOUNT");
    for (unsigned i = 0; i < count; i++) {
        const struct disk_snapshot *s = &list[i];
        char date[64] = "", size[32] = "", clock[64], icount[32] = "";
        time_t t = s->date_s;
        struct tm tm;
        FILE *f = fmemopen(size, sizeof(size), "w");

        if (f) {
            img_print_size(f, s->vm_state_size);
            fclose(f);
        }
        if (localtime_r(&t, &tm))
            strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
        uint64_t seconds = s->vm_clock_ns / 1000000000;
        snprintf(clock, sizeof(clock), "%02u:%02u:%02u.%03u", (unsigned)(seconds / 3600),
                 (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60),
                 (unsigned)(s->vm_clock_ns / 1000000 % 1000));
        if (s->icount >= 0)
            snprintf(icount, sizeof(icount), "%" PRId64, s->icount);
        printf("%-9s %-16s %8s%20s%13s%11s\n", s->id, s->name, size, date, clock, icount);
    }
}
