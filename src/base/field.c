/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/field.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"

static const struct {
    uint8_t size;
    bool is_signed, is_number;
    const char *what;
} kinds[FIELD_KIND_COUNT] = {
    [FIELD_BOOL] = { sizeof(bool), false, false, "on or off" },
    [FIELD_U8] = { 1, false, true, "a number from 0 to 255" },
    [FIELD_U16] = { 2, false, true, "a number from 0 to 65535" },
    [FIELD_U32] = { 4, false, true, "a number of 32 bits" },
    [FIELD_U64] = { 8, false, true, "a number of 64 bits" },
    [FIELD_I8] = { 1, true, true, "a number from -128 to 127" },
    [FIELD_I16] = { 2, true, true, "a number from -32768 to 32767" },
    [FIELD_I32] = { 4, true, true, "a signed number of 32 bits" },
    [FIELD_I64] = { 8, true, true, "a signed number of 64 bits" },
    [FIELD_STRING] = { sizeof(char *), false, false, "a string" },
    [FIELD_POINTER] = { sizeof(void *), false, false, "an object" },
};

size_t field_size(const struct field *f)
{
    return kinds[f->kind].size;
}

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b))
            return false;
    }
    return *a == *b;
}

const struct field *field_find(const struct field *table, const char *name)
{
    for (const struct field *f = table; f && f->name; f++) {
        if (same_name(f->name, name) || (f->wire && same_name(f->wire, name)))
            return f;
    }
    return NULL;
}

static void *element(const void *obj, const struct field *f, unsigned i)
{
    assert(i < f->count);
    return (char *)obj + f->offset + i * field_size(f);
}

uint64_t field_get(const void *obj, const struct field *f, unsigned i)
{
    const void *p = element(obj, f, i);

    switch (f->kind) {
    case FIELD_BOOL: return *(const bool *)p;
    case FIELD_U8: return *(const uint8_t *)p;
    case FIELD_U16: return *(const uint16_t *)p;
    case FIELD_U32: return *(const uint32_t *)p;
    case FIELD_U64: return *(const uint64_t *)p;
    case FIELD_I8: return (uint64_t)(int64_t) * (const int8_t *)p;
    case FIELD_I16: return (uint64_t)(int64_t) * (const int16_t *)p;
    case FIELD_I32: return (uint64_t)(int64_t) * (const int32_t *)p;
    case FIELD_I64: return (uint64_t) * (const int64_t *)p;
    default: assert(!"a field that is no number"); return 0;
    }
}

void field_put(void *obj, const struct field *f, unsigned i, uint64_t value)
{
    void *p = element(obj, f, i);

    switch (field_size(f)) {
    case 1:
        if (f->kind == FIELD_BOOL)
            *(bool *)p = value != 0;
        else
            *(uint8_t *)p = (uint8_t)value;
        break;
    case 2: *(uint16_t *)p = (uint16_t)value; break;
    case 4: *(uint32_t *)p = (uint32_t)value; break;
    default: assert(kinds[f->kind].is_number); *(uint64_t *)p = value;
    }
}

static bool fits_kind(const struct field *f, uint64_t v)
{
    unsigned n = 8 * (unsigned)field_size(f);

    if (f->kind == FIELD_BOOL)
        return v <= 1;
    if (n == 64)
        return true;
    return kinds[f->kind].is_signed ? (uint64_t)sext(v, n) == v : v <= BITS(n - 1, 0);
}

bool field_check(const struct field *f, uint64_t v, struct error *err)
{
    const char *name = f->wire ? f->wire : f->name;

    if (!fits_kind(f, v))
        return fail(err, ERANGE, "%s: %" PRId64 " is not %s", name, (int64_t)v,
                    kinds[f->kind].what);
    if (!f->min && !f->max)
        return true;
    if (kinds[f->kind].is_signed) {
        if ((int64_t)v >= f->min && (int64_t)v <= (int64_t)f->max)
            return true;
        return fail(err, ERANGE, "%s: %" PRId64 " is outside %" PRId64 "..%" PRId64, name,
                    (int64_t)v, f->min, (int64_t)f->max);
    }
    if (v >= (uint64_t)f->min && v <= (f->max ? f->max : UINT64_MAX))
        return true;
    return fail(err, ERANGE, "%s: %" PRIu64 " is outside %" PRId64 "..%" PRIu64, name, v, f->min,
                f->max ? f->max : UINT64_MAX);
}

static bool set_number(void *obj, const struct field *f, const char *text, struct error *err)
{
    uint64_t v = 0;
    bool b, ok;

    if (f->kind == FIELD_BOOL) {
        ok = parse_bool(text, &b, err);
        v = ok && b;
    } else if (f->is_size) {
        ok = parse_size(text, 1, &v, err);
    } else if (kinds[f->kind].is_signed) {
        ok = parse_i64(text, (int64_t *)&v, err);
    } else {
        ok = parse_u64(text, &v, err);
    }
    if (!ok) {
        err_prefix(err, "%s: ", f->wire ? f->wire : f->name);
        return err->hint[0] ? false : fail_hint(err, "it takes %s", kinds[f->kind].what);
    }
    if (!field_check(f, v, err))
        return false;
    field_put(obj, f, 0, v);
    return true;
}

static bool unknown_name(const struct field *table, const char *name, struct error *err)
{
    const char *names[64];
    const char *near;
    size_t n = 0;

    for (const struct field *f = table; f && f->name && n < ARRAY_SIZE(names) - 1; f++)
        names[n++] = f->wire ? f->wire : f->name;
    names[n] = NULL;
    near = nearest_name(name, names);
    fail(err, ENOENT, "no option is called '%s'", name);
    if (near)
        return fail_hint(err, "did you mean '%s'?", near);
    return n ? fail_hint(err, "it has '%s'%s", names[0], n > 1 ? " and others" : "")
             : fail_hint(err, "it has no options");
}

bool field_set_str(void *obj, const struct field *table, const char *name, const char *text,
                   struct error *err)
{
    const struct field *f = field_find(table, name);
    char **s;

    if (!f)
        return unknown_name(table, name, err);
    if (f->count != 1)
        return fail(err, EINVAL, "%s: is a list and cannot be set from text", name);
    switch (f->kind) {
    case FIELD_STRING:
        s = element(obj, f, 0);
        free(*s);
        *s = xstrdup(text);
        return true;
    case FIELD_POINTER:
        return fail(err, EINVAL, "%s: refers to a %s and cannot be set from text", name, f->link);
    default: return set_number(obj, f, text, err);
    }
}

static int print_one(const void *obj, const struct field *f, unsigned i, char *buf, size_t size)
{
    const char *s;

    switch (f->kind) {
    case FIELD_STRING:
        s = *(char **)element(obj, f, i);
        return snprintf(buf, size, "%s", s ? s : "");
    case FIELD_POINTER:
        return snprintf(buf, size, "%s", *(void **)element(obj, f, i) ? f->link : "none");
    case FIELD_BOOL: return snprintf(buf, size, "%s", field_get(obj, f, i) ? "on" : "off");
    default:
        if (kinds[f->kind].is_signed)
            return snprintf(buf, size, "%" PRId64, (int64_t)field_get(obj, f, i));
        if (f->is_size)
            return snprintf(buf, size, "%" PRIu64, field_get(obj, f, i));
        return snprintf(buf, size, "%#" PRIx64, field_get(obj, f, i));
    }
}

int field_print(const void *obj, const struct field *f, char *buf, size_t size)
{
    size_t n = 0;

    for (unsigned i = 0; i < f->count; i++) {
        if (i)
            n += snprintf(n < size ? buf + n : NULL, n < size ? size - n : 0, " ");
        n += print_one(obj, f, i, n < size ? buf + n : NULL, n < size ? size - n : 0);
    }
    return (int)n;
}

void field_free_strings(void *obj, const struct field *table)
{
    for (const struct field *f = table; f && f->name; f++) {
        for (unsigned i = 0; f->kind == FIELD_STRING && i < f->count; i++) {
            char **s = element(obj, f, i);

            free(*s);
            *s = NULL;
        }
    }
}
