/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/object.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"

struct object {
    struct object *next;
    char *id;
    const struct object_type *type;
    void *obj; /* type->size bytes */
};

struct object_set {
    pthread_mutex_t lock;
    struct object *first; /* in the order made, GUARDED_BY(lock) */
};

struct object_set *object_set_new(void)
{
    struct object_set *s = xnew(struct object_set);

    pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void object_free(struct object *o)
{
    if (!o)
        return;
    if (o->type->finish)
        o->type->finish(o->obj);
    field_free_strings(o->obj, o->type->props);
    free(o->obj);
    free(o->id);
    free(o);
}

/* The newest first: an object may refer to older ones. */
static void free_from(struct object *o)
{
    struct object *reversed = NULL;

    while (o) {
        struct object *next = o->next;

        o->next = reversed;
        reversed = o;
        o = next;
    }
    while (reversed) {
        struct object *next = reversed->next;

        object_free(reversed);
        reversed = next;
    }
}

void object_set_free(struct object_set *s)
{
    if (!s)
        return;
    free_from(s->first);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static const struct object_type *type_find(const char *name, struct error *err)
{
    const char *names[64], *near;
    unsigned n = 0;

    for (unsigned i = 0; object_types[i]; i++) {
        if (!strcmp(object_types[i]->name, name))
            return object_types[i];
        if (n < 63)
            names[n++] = object_types[i]->name;
    }
    names[n] = NULL;
    near = nearest_name(name, names);
    fail(err, EINVAL, "no object type is called '%s'", name);
    if (near)
        fail_hint(err, "did you mean '%s'?", near);
    else
        fail_hint(err, "--object help lists the types");
    return NULL;
}

static bool check_id(const char *id, struct error *err)
{
    bool ok = isalpha((unsigned char)id[0]);

    for (const char *p = id; ok && *p; p++)
        ok = isalnum((unsigned char)*p) || strchr("-._", *p);
    if (ok)
        return true;
    fail(err, EINVAL, "Parameter 'id' expects an identifier, '%s' is none", id);
    return fail_hint(err, "letters, digits, '-', '.', '_', starting with a letter");
}

static struct object *find_locked(struct object_set *s, const char *id)
{
    for (struct object *o = s->first; o; o = o->next) {
        if (!strcmp(o->id, id))
            return o;
    }
    return NULL;
}

/* Sets the properties; their text is wiped, since it may be a password. */
static bool set_props(struct object *o, struct optlist *l, struct error *err)
{
    for (size_t i = 0; i < l->count; i++) {
        struct optlist_item *it = &l->items[i];

        if (it->taken)
            continue;
        if (!field_set_str(o->obj, o->type->props, it->key, it->value, err))
            return false;
    }
    return true;
}

static void wipe_values(struct optlist *l)
{
    for (size_t i = 0; i < l->count; i++)
        explicit_bzero(l->items[i].value, strlen(l->items[i].value));
}

static bool append(struct object_set *s, struct object *o, struct error *err)
{
    bool taken = false;

    WITH_LOCK (&s->lock) {
        struct object **p = &s->first;

        taken = find_locked(s, o->id) != NULL;
        while (*p)
            p = &(*p)->next;
        if (!taken)
            *p = o;
    }
    if (!taken)
        return true;
    fail(err, EEXIST, "attempt to add duplicate object '%s'", o->id);
    return fail_hint(err, "give each --object an id of its own");
}

static bool add_parsed(struct object_set *s, struct optlist *l, struct error *err)
{
    const char *name = optlist_take(l, "qom-type");
    const char *id = optlist_take(l, "id");
    const struct object_type *type;
    struct object *o;

    if (!name)
        return fail(err, EINVAL, "Parameter 'qom-type' is missing") ||
               fail_hint(err, "write TYPE,id=NAME,..., --object help lists the types");
    if (!(type = type_find(name, err)))
        return false;
    if (!id)
        return fail(err, EINVAL, "Parameter 'id' is missing") ||
               fail_hint(err, "write %s,id=NAME,...", type->name);
    if (!check_id(id, err))
        return false;
    o = xnew(struct object);
    o->type = type;
    o->id = xstrdup(id);
    o->obj = xcalloc(1, type->size);
    if (type->init)
        type->init(o->obj);
    if (!set_props(o, l, err) || (type->complete && !type->complete(o->obj, s, err))) {
        err_prefix(err, "object '%s' (%s): ", id, type->name);
        object_free(o);
        return false;
    }
    if (!append(s, o, err)) {
        object_free(o);
        return false;
    }
    return true;
}

bool object_add(struct object_set *s, const char *text, struct error *err)
{
    struct optlist l = { 0 };
    bool ok =
        *text == '{' ? optlist_parse_json(&l, text, err) : optlist_parse(&l, text, "qom-type", err);

    ok = ok && add_parsed(s, &l, err);
    wipe_values(&l);
    optlist_finish(&l);
    return ok;
}

bool object_remove(struct object_set *s, const char *id, struct error *err)
{
    struct object *o = NULL;

    WITH_LOCK (&s->lock) {
        for (struct object **p = &s->first; *p; p = &(*p)->next) {
            if (!strcmp((*p)->id, id)) {
                o = *p;
                *p = o->next;
                break;
            }
        }
    }
    if (!o)
        return fail(err, ENOENT, "object '%s' not found", id);
    object_free(o);
    return true;
}

/* "no secret with id 'x'" and, as a hint, what there is. */
static void not_found(struct object_set *s, const char *id, const struct object_type *type,
                      struct error *err)
{
    const char *names[32], *near;
    unsigned n = 0;

    fail(err, ENOENT, "No %s with id '%s'", type->name, id);
    if (s) {
        WITH_LOCK (&s->lock) {
            for (struct object *o = s->first; o && n < 31; o = o->next)
                names[n++] = o->id;
            names[n] = NULL;
            near = nearest_name(id, names);
            if (near)
                fail_hint(err, "did you mean '%s'?", near);
        }
    }
    if (!err->hint[0])
        fail_hint(err, "make it with --object %s,id=%s,...", type->name, id);
}

void *object_find_any(struct object_set *s, const char *id, const struct object_type *const *types,
                      unsigned n, const struct object_type **ret_type, struct error *err)
{
    struct object *o = NULL;

    if (s) {
        WITH_LOCK (&s->lock)
            o = find_locked(s, id);
    }
    for (unsigned i = 0; o && i < n; i++) {
        if (o->type == types[i]) {
            *ret_type = types[i];
            return o->obj;
        }
    }
    if (o)
        fail(err, EINVAL, "Object with id '%s' is not a %s but a %s", id, types[0]->name,
             o->type->name);
    else
        not_found(s, id, types[0], err);
    return NULL;
}

void *object_find(struct object_set *s, const char *id, const struct object_type *type,
                  struct error *err)
{
    const struct object_type *found;

    return object_find_any(s, id, &type, 1, &found, err);
}

static const char *kind_name(const struct field *f)
{
    switch (f->kind) {
    case FIELD_BOOL: return "bool";
    case FIELD_STRING: return "string";
    default: return f->is_size ? "size" : "int";
    }
}

void object_print_help(FILE *f, const char *type)
{
    for (unsigned i = 0; object_types[i]; i++) {
        const struct object_type *t = object_types[i];

        if (!i && !type)
            fprintf(f, "List of user creatable objects:\n");
        if (!type) {
            fprintf(f, "  %-20s %s\n", t->name, t->doc ? t->doc : "");
            continue;
        }
        if (strcmp(t->name, type))
            continue;
        fprintf(f, "%s options:\n", type);
        for (const struct field *p = t->props; p && p->name; p++) {
            AUTO_FREE char *head = xasprintf("%s=<%s>", p->wire ? p->wire : p->name, kind_name(p));

            for (char *c = head; *c != '='; c++)
                *c = *c == '_' ? '-' : *c;
            fprintf(f, "  %-22s %s\n", head, p->doc ? p->doc : "");
        }
        return;
    }
    if (type)
        fprintf(f, "There is no object type '%s'.\n", type);
}

bool object_help(FILE *f, const char *text)
{
    const char *comma = strchr(text, ',');

    if (!strcmp(text, "help") || !strcmp(text, "?")) {
        object_print_help(f, NULL);
        return true;
    }
    if (comma && (!strcmp(comma, ",help") || !strcmp(comma, ",?"))) {
        AUTO_FREE char *type = xstrndup(text, comma - text);

        object_print_help(f, type);
        return true;
    }
    return false;
}

bool object_each(struct object_set *s, const struct object_type *type,
                 bool (*fn)(void *opaque, const char *id, void *obj, struct error *err),
                 void *opaque, struct error *err)
{
    for (struct object *o = s->first; o; o = o->next)
        if (o->type == type && !fn(opaque, o->id, o->obj, err))
            return false;
    return true;
}
