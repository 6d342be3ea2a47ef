/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/optlist.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

#include "base/alloc.h"
#include "base/scope.h"

#define DEPTH_MAX 64

static bool add_value(struct optlist *l, const char *key, json_t *v, unsigned depth,
                      struct error *err);

static bool add_members(struct optlist *l, const char *prefix, json_t *v, unsigned depth,
                        struct error *err)
{
    const char *name;
    json_t *member;
    size_t i;

    if (depth > DEPTH_MAX)
        return fail(err, EINVAL, "JSON is nested too deeply");
    json_object_foreach(v, name, member)
    {
        AUTO_FREE char *key = *prefix ? xasprintf("%s.%s", prefix, name) : xstrdup(name);

        if (!add_value(l, key, member, depth, err))
            return false;
    }
    json_array_foreach(v, i, member)
    {
        AUTO_FREE char *key = xasprintf("%s.%zu", prefix, i);

        if (!add_value(l, key, member, depth, err))
            return false;
    }
    return true;
}

static bool add_value(struct optlist *l, const char *key, json_t *v, unsigned depth,
                      struct error *err)
{
    char text[40];

    switch (json_typeof(v)) {
    case JSON_OBJECT:
    case JSON_ARRAY: return add_members(l, key, v, depth + 1, err);
    case JSON_STRING: optlist_add(l, key, json_string_value(v)); return true;
    case JSON_INTEGER:
        snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        break;
    case JSON_REAL: snprintf(text, sizeof(text), "%.17g", json_real_value(v)); break;
    case JSON_TRUE: snprintf(text, sizeof(text), "on"); break;
    case JSON_FALSE: snprintf(text, sizeof(text), "off"); break;
    case JSON_NULL: text[0] = '\0'; break;
    }
    optlist_add(l, key, text);
    l->items[l->count - 1].is_literal = true;
    return true;
}

bool optlist_parse_json(struct optlist *l, const char *text, struct error *err)
{
    json_error_t je;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &je);
    bool ok;

    *l = (struct optlist){ 0 };
    if (!root)
        return fail(err, EINVAL, "Could not parse the JSON options: %s (column %d)", je.text,
                    je.column);
    if (json_is_object(root))
        ok = add_members(l, "", root, 0, err);
    else
        ok = fail(err, EINVAL, "JSON options must be an object, {...}");
    json_decref(root);
    return ok;
}
