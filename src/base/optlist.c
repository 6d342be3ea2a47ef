/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/optlist.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/field.h"
#include "base/str.h"

/* Copies one item, turning ",," into ","; *text moves behind its final comma. */
static char *cut_item(const char **text)
{
    const char *s = *text;
    char *item = xcalloc(strlen(s) + 1, 1);
    char *d = item;

    for (; *s; s++) {
        if (*s == ',') {
            if (s[1] != ',')
                break;
            s++;
        }
        *d++ = *s;
    }
    *text = *s ? s + 1 : s;
    return item;
}

static void add_item(struct optlist *l, char *own_item, const char *first_key)
{
    struct optlist_item it = { 0 };
    char *eq = strchr(own_item, '=');

    if (eq) {
        it.key = xstrndup(own_item, eq - own_item);
        it.value = xstrdup(eq + 1);
        free(own_item);
    } else if (first_key && !l->count) {
        it.key = xstrdup(first_key);
        it.value = own_item;
    } else {
        it.key = own_item;
        it.value = xstrdup("on");
        it.is_flag = true;
    }
    l->items = xrealloc_array(l->items, l->count + 1, sizeof(it));
    l->items[l->count++] = it;
}

bool optlist_parse(struct optlist *l, const char *text, const char *first_key, struct error *err)
{
    *l = (struct optlist){ 0 };
    while (*text) {
        char *item = cut_item(&text);

        if (!item[0] || item[0] == '=') {
            fail(err, EINVAL, "'%s': a value without a key", item);
            free(item);
            return fail_hint(err, "write key=value, and ',,' for a comma in a value");
        }
        add_item(l, item, first_key);
    }
    return true;
}

void optlist_finish(struct optlist *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i].key);
        free(l->items[i].value);
    }
    free(l->items);
    for (size_t i = 0; i < l->asked_count; i++)
        free((char *)l->asked[i]);
    free(l->asked);
    *l = (struct optlist){ 0 };
}

static void note_asked(struct optlist *l, const char *key)
{
    for (size_t i = 0; i < l->asked_count; i++) {
        if (!strcmp(l->asked[i], key))
            return;
    }
    l->asked = xrealloc_array(l->asked, l->asked_count + 2, sizeof(*l->asked));
    l->asked[l->asked_count++] = xstrdup(key);
    l->asked[l->asked_count] = NULL;
}

const char *optlist_take(struct optlist *l, const char *key)
{
    const char *value = NULL;

    note_asked(l, key);
    for (size_t i = 0; i < l->count; i++) {
        if (!strcmp(l->items[i].key, key)) {
            l->items[i].taken = true;
            value = l->items[i].value;
        }
    }
    return value;
}

const char *optlist_take_next(struct optlist *l, const char *key)
{
    note_asked(l, key);
    for (size_t i = 0; i < l->count; i++) {
        if (!l->items[i].taken && !strcmp(l->items[i].key, key)) {
            l->items[i].taken = true;
            return l->items[i].value;
        }
    }
    return NULL;
}

bool optlist_has(const struct optlist *l, const char *key)
{
    for (size_t i = 0; i < l->count; i++) {
        if (!l->items[i].taken && !strcmp(l->items[i].key, key))
            return true;
    }
    return false;
}

void optlist_add(struct optlist *l, const char *key, const char *value)
{
    l->items = xrealloc_array(l->items, l->count + 1, sizeof(*l->items));
    l->items[l->count++] =
        (struct optlist_item){ .key = xstrdup(key), .value = xstrdup(value ? value : "") };
}

void optlist_move_prefix(struct optlist *l, const char *prefix, struct optlist *sub)
{
    size_t n = strlen(prefix);

    for (size_t i = 0; i < l->count; i++) {
        struct optlist_item *it = &l->items[i];

        if (it->taken || strncmp(it->key, prefix, n) || it->key[n] != '.' || !it->key[n + 1])
            continue;
        optlist_add(sub, it->key + n + 1, it->value);
        sub->items[sub->count - 1].is_flag = it->is_flag;
        sub->items[sub->count - 1].is_literal = it->is_literal;
        it->taken = true;
        note_asked(l, it->key);
    }
}

static bool same_option(const char *key, const char *name)
{
    for (; *key && *name; key++, name++) {
        if ((*key == '-' ? '_' : *key) != (*name == '-' ? '_' : *name))
            return false;
    }
    return !*key && !*name;
}

bool optlist_apply(struct optlist *l, const struct field *table, void *obj, struct error *err)
{
    for (const struct field *f = table; f && f->name; f++) {
        note_asked(l, f->wire ? f->wire : f->name);
        for (size_t i = 0; i < l->count; i++) {
            struct optlist_item *it = &l->items[i];

            if (it->taken ||
                !(same_option(it->key, f->name) || (f->wire && same_option(it->key, f->wire))))
                continue;
            if (!field_set_str(obj, table, f->name, it->value, err))
                return false;
            it->taken = true;
        }
    }
    return true;
}

static bool checked(bool ok, const char *key, struct error *err)
{
    if (!ok)
        err_prefix(err, "%s: ", key);
    return ok;
}

bool optlist_take_bool(struct optlist *l, const char *key, bool *ret, struct error *err)
{
    const char *v = optlist_take(l, key);

    return !v || checked(parse_bool(v, ret, err), key, err);
}

bool optlist_take_u64(struct optlist *l, const char *key, uint64_t *ret, struct error *err)
{
    const char *v = optlist_take(l, key);

    return !v || checked(parse_u64(v, ret, err), key, err);
}

bool optlist_take_size(struct optlist *l, const char *key, uint64_t unit, uint64_t *ret,
                       struct error *err)
{
    const char *v = optlist_take(l, key);

    return !v || checked(parse_size(v, unit, ret, err), key, err);
}

bool optlist_done(struct optlist *l, const char *what, struct error *err)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct optlist_item *it = &l->items[i];
        const char *near;

        if (it->taken)
            continue;
        near = l->asked ? nearest_name(it->key, l->asked) : NULL;
        fail(err, EINVAL, "%s: no option is called '%s'", what, it->key);
        if (near)
            return fail_hint(err, "did you mean '%s'?", near);
        return l->asked ? fail_hint(err, "it has '%s'%s", l->asked[0],
                                    l->asked_count > 1 ? " and others, see the manual" : "")
                        : false;
    }
    return true;
}
