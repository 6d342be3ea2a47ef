/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "chardev/chardevs.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/str.h"
#include "chardev/chardev_priv.h"

struct chardevs {
    struct loop *loop;
    struct chardev_escapes escapes;
    struct chardev *first; /* through chardev.next, in the order made */
};

struct chardevs *chardevs_new(struct loop *loop, const struct chardev_escapes *escapes)
{
    struct chardevs *s = xnew(struct chardevs);

    s->loop = loop;
    if (escapes)
        s->escapes = *escapes;
    return s;
}

void chardevs_free(struct chardevs *s)
{
    while (s && s->first) {
        struct chardev *c = s->first;

        s->first = c->next;
        chardev_free(c);
    }
    free(s);
}

static struct chardev **find(struct chardevs *s, const char *id)
{
    struct chardev **p = &s->first;

    while (*p && strcmp((*p)->id, id))
        p = &(*p)->next;
    return p;
}

static bool no_such(struct chardevs *s, const char *id, struct error *err)
{
    const char *names[65], *near;
    unsigned n = 0;

    for (struct chardev *c = s->first; c && n < 64; c = c->next)
        names[n++] = c->id;
    names[n] = NULL;
    near = nearest_name(id, names);
    fail(err, ENOENT, "no character device is called '%s'", id);
    return fail_hint(err, near ? "did you mean '%s'?" : "make it with -chardev BACKEND,id=%s",
                     near ? near : id);
}

static bool check_id(const char *id, struct error *err)
{
    bool ok = id && isalpha((unsigned char)id[0]);

    for (const char *p = id; ok && *p; p++)
        ok = isalnum((unsigned char)*p) || strchr("-._", *p);
    if (ok)
        return true;
    fail(err, EINVAL, id ? "id '%s' is not a name" : "a character device needs id=NAME%s",
         id ? id : "");
    return fail_hint(err, "letters, digits, '-', '.', '_', starting with a letter");
}

static bool add(struct chardevs *s, struct chardev *c, struct error *err)
{
    struct chardev **p = find(s, c->id);

    if (*p)
        return fail(err, EEXIST, "there is a character device called '%s' already", c->id);
    *p = c;
    c->escapes = s->escapes;
    return true;
}

/* The monitor's form has the options below "backend.data". */
static const char *take_backend(struct optlist *l, struct optlist *opts)
{
    const char *kind = optlist_take(l, "backend.type");

    if (kind)
        optlist_move_prefix(l, "backend.data", opts);
    else
        kind = optlist_take(l, "backend");
    return kind;
}

static bool add_parsed(struct chardevs *s, struct optlist *l, struct error *err)
{
    struct optlist nested = { 0 };
    const char *id = optlist_take(l, "id"), *kind = take_backend(l, &nested);
    bool is_nested = nested.count != 0, ok = false;
    struct chardev *c = NULL;

    if (!kind) {
        fail(err, EINVAL, "a backend is missing, as in -chardev socket,id=s0,path=/run/s");
        fail_hint(err, "-chardev help lists them");
        goto out;
    }
    if (!check_id(id, err))
        goto out;
    if (*find(s, id)) {
        fail(err, EEXIST, "there is a character device called '%s' already", id);
        goto out;
    }
    c = chardev_alloc(s->loop, id);
    c->escapes = s->escapes;
    ok = chardev_open(c, kind, is_nested ? &nested : l, err) && optlist_done(l, "chardev", err) &&
         add(s, c, err);
    if (!ok)
        err_prefix(err, "'%s': ", id);
out:
    if (!ok)
        chardev_free(c);
    optlist_finish(&nested);
    return ok;
}

bool chardevs_add(struct chardevs *s, const char *text, struct error *err)
{
    struct optlist l = { 0 };
    bool ok;

    ok = text[0] == '{' ? optlist_parse_json(&l, text, err)
                        : optlist_parse(&l, text, "backend", err);
    ok = ok && add_parsed(s, &l, err);
    optlist_finish(&l);
    return ok;
}

bool chardevs_add_spec(struct chardevs *s, const char *id, const char *spec, struct error *err)
{
    struct chardev *c = chardev_new_from_spec(s->loop, id, spec, err);

    if (c && add(s, c, err))
        return true;
    chardev_free(c);
    return false;
}

bool chardevs_remove(struct chardevs *s, const char *id, struct error *err)
{
    struct chardev **p = find(s, id), *c = *p;

    if (!c)
        return no_such(s, id, err);
    if (c->taken || c->fronts)
        return fail(err, EBUSY, "character device '%s' is in use", id);
    *p = c->next;
    chardev_free(c);
    return true;
}

struct chardev *chardevs_take(struct chardevs *s, const char *id, struct error *err)
{
    struct chardev *c = *find(s, id);

    if (!c) {
        no_such(s, id, err);
        return NULL;
    }
    if (c->mux)
        return chardev_front_new(c);
    if (c->taken) {
        fail(err, EBUSY, "character device '%s' is in use by another device", id);
        fail_hint(err, "give each its own, or add mux=on to share it");
        return NULL;
    }
    c->taken = true;
    return c;
}

struct chardev *chardevs_take_spec(struct chardevs *s, const char *id, const char *spec,
                                   struct error *err)
{
    const char *named = str_after(spec, "chardev:");

    if (!named && !chardevs_add_spec(s, id, spec, err))
        return NULL;
    return chardevs_take(s, named ? named : id, err);
}

void chardevs_give_back(struct chardevs *s, struct chardev *c)
{
    if (!c)
        return;
    chardev_attach(c, NULL, NULL);
    if (c->base)
        chardev_free(c);
    else
        c->taken = false;
}

const struct chardev *chardevs_next(const struct chardevs *s, const struct chardev *prev)
{
    return prev ? prev->next : s->first;
}

void chardevs_print_help(FILE *f)
{
    chardev_print_kinds(f);
}
