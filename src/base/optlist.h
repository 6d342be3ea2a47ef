/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "key=value,flag,path=a,,b": the option strings of -machine, -serial, -rtc and the rest. The user
 * takes the keys it knows; optlist_done() then refuses what nobody took, naming the nearest key
 * among those that were asked for.
 */
#ifndef BASE_OPTLIST_H
#define BASE_OPTLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct optlist_item {
    char *key, *value; /* a flag has the value "on" */
    bool taken;
    bool is_flag;    /* written without '=' */
    bool is_literal; /* a number, boolean or null of JSON, where others are strings */
};

/* A zeroed one is empty. */
struct optlist {
    struct optlist_item *items; /* owned, in the order written */
    size_t count;
    const char **asked; /* keys asked for, owned copies, NULL-terminated */
    size_t asked_count;
};

/* Splits text; ",," is a comma inside a value. A first item without '=' belongs to first_key unless
 * that is NULL. Names in *l stay valid until optlist_finish(), which a failed parse needs too. */
bool optlist_parse(struct optlist *l, const char *text, const char *first_key,
                   struct error *err) MUST_CHECK;
void optlist_finish(struct optlist *l);

/* The last value given for the key, or NULL. All items of that key count as taken. */
const char *optlist_take(struct optlist *l, const char *key);

/* Whether an item of that key is there that was not taken. */
bool optlist_has(const struct optlist *l, const char *key);

/* The first value of the key that was not taken yet, for keys that may repeat. */
const char *optlist_take_next(struct optlist *l, const char *key);

/* Leave *ret alone and succeed when the key is not there. */
bool optlist_take_bool(struct optlist *l, const char *key, bool *ret, struct error *err) MUST_CHECK;
bool optlist_take_u64(struct optlist *l, const char *key, uint64_t *ret,
                      struct error *err) MUST_CHECK;
bool optlist_take_size(struct optlist *l, const char *key, uint64_t unit, uint64_t *ret,
                       struct error *err) MUST_CHECK;

/* Appends key=value (copied). */
void optlist_add(struct optlist *l, const char *key, const char *value);

/* The items of a JSON object, nested members as "file.driver", elements as "children.0"; numbers
 * and booleans as text. Text that starts with '{'. */
bool optlist_parse_json(struct optlist *l, const char *text, struct error *err) MUST_CHECK;

/* Moves the items "PREFIX.rest" that were not taken into sub, as "rest". Their names count as
 * asked. */
void optlist_move_prefix(struct optlist *l, const char *prefix, struct optlist *sub);

/* Takes the items that the field table names ('-' equals '_') and sets the members of obj. */
struct field;
bool optlist_apply(struct optlist *l, const struct field *table, void *obj,
                   struct error *err) MUST_CHECK;

/* Fails when an item was not taken: "-rtc: no option is called 'bsae'; did you mean 'base'?". */
bool optlist_done(struct optlist *l, const char *what, struct error *err) MUST_CHECK;

#endif
