/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading what people type: numbers, sizes, on/off, and the name they probably meant.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define KIB UINT64_C(0x400)
#define MIB UINT64_C(0x100000)
#define GIB UINT64_C(0x40000000)

/* The entry of the NULL-terminated list nearest to want by edit distance, or NULL when none is
 * near enough to be a likely slip of the fingers. Case does not count. */
const char *nearest_name(const char *want, const char *const *names);

/* "512", "1.5G", "262144k", "0x1000": bytes. A bare number counts in units of `unit` bytes; the
 * suffixes are B K M G T P E in either case, powers of 1024. */
bool parse_size(const char *text, uint64_t unit, uint64_t *ret, struct error *err) MUST_CHECK;

/* Decimal, 0x hex or 0 octal; the whole text must be the number. */
bool parse_u64(const char *text, uint64_t *ret, struct error *err) MUST_CHECK;
bool parse_i64(const char *text, int64_t *ret, struct error *err) MUST_CHECK;

/* on/off, yes/no, true/false, y/n. */
bool parse_bool(const char *text, bool *ret, struct error *err) MUST_CHECK;

/* Rest of text when it starts with prefix, else NULL. */
const char *str_after(const char *text, const char *prefix);

#endif
