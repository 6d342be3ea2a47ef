/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects that people name with --object TYPE,id=NAME,...: secrets, TLS credentials, throttle
 * groups. A type is one const record; a set holds the objects of one program or VM.
 */
#ifndef BASE_OBJECT_H
#define BASE_OBJECT_H

#include "base/field.h"
#include "base/optlist.h"

struct object_set;

struct object_type {
    const char *name, *doc;
    size_t size;
    const struct field *props; /* members of the object's struct */
    void (*init)(void *obj);   /* sets defaults that are not 0; may be NULL */
    bool (*complete)(void *obj, struct object_set *set, struct error *err); /* props are set */
    void (*finish)(void *obj); /* copes with a half-made one; strings of props are freed after it */
};
extern const struct object_type *const object_types[]; /* NULL-terminated, made by listgen.py */

struct object_set *object_set_new(void);
void object_set_free(struct object_set *s); /* NULL is fine */

/* "secret,id=sec0,file=pw.txt", or the same as JSON with "qom-type". */
bool object_add(struct object_set *s, const char *text, struct error *err) MUST_CHECK;
bool object_remove(struct object_set *s, const char *id, struct error *err) MUST_CHECK;

/* The struct of the object, or NULL with an error that names what there is. set may be NULL. */
void *object_find(struct object_set *s, const char *id, const struct object_type *type,
                  struct error *err);
/* The same for any of n types; *ret_type is the one it has. */
void *object_find_any(struct object_set *s, const char *id, const struct object_type *const *types,
                      unsigned n, const struct object_type **ret_type, struct error *err);

/* Calls fn for each object of the type, in the order made, until it returns false. */
bool object_each(struct object_set *s, const struct object_type *type,
                 bool (*fn)(void *opaque, const char *id, void *obj, struct error *err),
                 void *opaque, struct error *err) MUST_CHECK;

/* Whether the argument of --object asks for help ("help", "TYPE,help"); prints it then. */
bool object_help(FILE *f, const char *text);

/* Prints the types, or one type's properties, for --object help. */
void object_print_help(FILE *f, const char *type);

#endif
