/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Field tables: a member of a struct described once, for properties, options, snapshots, monitor
 * arguments, register lists and on-disk headers. _Generic finds the kind, so the table cannot
 * disagree with the struct.
 *
 *   static const struct field *const props = FIELDS(FIELD(struct wdt, load, .doc = "ticks"),
 *                                                   FIELD_ARRAY(struct wdt, regs, .since = 2));
 */
#ifndef BASE_FIELD_H
#define BASE_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum field_kind {
    FIELD_NONE,
    FIELD_BOOL,
    FIELD_U8,
    FIELD_U16,
    FIELD_U32,
    FIELD_U64,
    FIELD_I8,
    FIELD_I16,
    FIELD_I32,
    FIELD_I64,
    FIELD_STRING,  /* char * or const char *, on the heap or NULL, owned by the struct */
    FIELD_POINTER, /* made by FIELD_LINK: another object, by name; set by the code that knows it */
    FIELD_KIND_COUNT,
};

struct field {
    const char *name; /* C name; people write '-' or '_' */
    uint32_t offset, count;
    enum field_kind kind;
    uint8_t since; /* first version of the stream that has it; 0 is always */
    bool optional;
    bool big_endian; /* in files and streams */
    bool is_size;    /* text may be 64k, 1M; numbers are bytes */
    int reg;         /* number in gdb's list, in register tables */
    int64_t min;     /* range, checked when min or max is not 0; a signed kind has a signed range */
    uint64_t max;
    const char *doc;
    const char *wire; /* name in protocols where it differs */
    const char *link; /* FIELD_LINK: kind of object it points to */
};

#define FIELD_KIND(m)                                                                              \
    _Generic(&(m),                                                                                \
        bool *: FIELD_BOOL,                                                                       \
        uint8_t *: FIELD_U8,                                                                      \
        uint16_t *: FIELD_U16,                                                                    \
        uint32_t *: FIELD_U32,                                                                    \
        uint64_t *: FIELD_U64,                                                                    \
        unsigned long long *: FIELD_U64,                                                          \
        int8_t *: FIELD_I8,                                                                       \
        int16_t *: FIELD_I16,                                                                     \
        int32_t *: FIELD_I32,                                                                     \
        int64_t *: FIELD_I64,                                                                     \
        long long *: FIELD_I64,                                                                   \
        char **: FIELD_STRING,                                                                    \
        const char **: FIELD_STRING)

#define FIELD(T, m, ...)                                                                           \
    {                                                                                              \
        .name = #m, .offset = offsetof(T, m), .kind = FIELD_KIND(((T *)0)->m), .count = 1,         \
        ##__VA_ARGS__                                                                              \
    }

#define FIELD_ARRAY(T, m, ...)                                                                     \
    {                                                                                              \
        .name = #m, .offset = offsetof(T, m), .kind = FIELD_KIND(((T *)0)->m[0]),                  \
        .count = sizeof(((T *)0)->m) / sizeof(((T *)0)->m[0]), ##__VA_ARGS__                       \
    }

/* A pointer to another object: FIELD_LINK(struct uart, chr, "chardev", .optional = true). */
#define FIELD_LINK(T, m, to, ...)                                                                  \
    {                                                                                              \
        .name = #m, .offset = offsetof(T, m), .kind = FIELD_POINTER, .count = 1, .link = to,       \
        ##__VA_ARGS__                                                                              \
    }

#define FIELDS(...)                                                                                \
    (const struct field[])                                                                         \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* The entry with this C or wire name ('-' equals '_'), or NULL. table may be NULL. */
const struct field *field_find(const struct field *table, const char *name);

/* Bytes of one element. */
size_t field_size(const struct field *f);

/* Sets a member from text ("on", "0x10", "64k" where is_size, any string). Fails with the nearest
 * name, the range, or what the kind expects. A string replaces (frees) the old one. */
bool field_set_str(void *obj, const struct field *table, const char *name, const char *text,
                   struct error *err) MUST_CHECK;

/* Whether the value lies in the field's kind and range; signed kinds sign-extend to 64 bits. */
bool field_check(const struct field *f, uint64_t value, struct error *err) MUST_CHECK;

/* Element i of an integer or bool field; signed kinds sign-extended. */
uint64_t field_get(const void *obj, const struct field *f, unsigned i);
void field_put(void *obj, const struct field *f, unsigned i, uint64_t value);

/* Writes the value as text, elements separated by blanks; returns the length it needs, as
 * snprintf. Strings unquoted, NULL as "". */
int field_print(const void *obj, const struct field *f, char *buf, size_t size);

/* Frees and clears the strings that the table describes. */
void field_free_strings(void *obj, const struct field *table);

#endif
