/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bits.h"

#define NAME_MAX_LEN 64

/* Edit distance (insert, delete, replace, swap of neighbours), without regard to case. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned rows[3][NAME_MAX_LEN + 1];
    unsigned la = strlen(a), lb = strlen(b);
    unsigned *before = rows[0], *prev = rows[1], *row = rows[2];

    if (la > NAME_MAX_LEN || lb > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    memset(rows, 0, sizeof(rows));
    for (unsigned j = 0; j <= lb; j++)
        prev[j] = j;
    for (unsigned i = 1; i <= la; i++) {
        unsigned *old;

        row[0] = i;
        for (unsigned j = 1; j <= lb; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);

            row[j] = MIN(MIN(prev[j], row[j - 1]) + 1, prev[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                cb == tolower((unsigned char)a[i - 2]))
                row[j] = MIN(row[j], before[j - 2] + 1);
        }
        old = before;
        before = prev;
        prev = row;
        row = old;
    }
    return prev[lb];
}

const char *nearest_name(const char *want, const char *const *names)
{
    size_t len = strlen(want);
    unsigned best = len < 4 ? 2 : 1 + (unsigned)(len + 2) / 3; /* first distance too far */
    const char *found = NULL;

    for (; len && *names; names++) {
        unsigned d = edit_distance(want, *names);

        if (d < best) {
            best = d;
            found = *names;
        }
    }
    return found;
}

static bool suffix_shift(char c, unsigned *ret)
{
    static const char letters[] = "bkmgtpe";
    const char *p = c ? strchr(letters, tolower((unsigned char)c)) : NULL;

    if (!p)
        return false;
    *ret = 10 * (unsigned)(p - letters);
    return true;
}

static bool bad_size(const char *text, struct error *err)
{
    fail(err, EINVAL, "'%s' is not a size", text);
    return fail_hint(err, "write a number and perhaps k, M, G or T, as in 512M");
}

/* "1.5G": the whole part was exact, the fraction needs a unit to be a fraction of. */
static bool add_fraction(const char *text, const char *dot, char **end, double *ret)
{
    if (!isdigit((unsigned char)dot[1]) || !strncasecmp(text, "0x", 2))
        return false;
    *ret = strtod(dot, end);
    return true;
}

bool parse_size(const char *text, uint64_t unit, uint64_t *ret, struct error *err)
{
    uint64_t whole, scale = unit, value;
    double fraction = 0;
    unsigned shift;
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return bad_size(text, err);
    errno = 0;
    whole = strtoull(text, &end, strncasecmp(text, "0x", 2) ? 10 : 16);
    if (errno == ERANGE)
        return fail(err, ERANGE, "size '%s' does not fit 64 bits", text);
    if (*end == '.' && !add_fraction(text, end, &end, &fraction))
        return bad_size(text, err);
    if (*end) {
        if (!suffix_shift(*end, &shift) || end[1])
            return bad_size(text, err);
        scale = BIT(shift);
    }
    if (fraction > 0 && scale == 1)
        return bad_size(text, err);
    if (!checked_mul(whole, scale, &value) ||
        !checked_add(value, (uint64_t)(fraction * (double)scale), &value))
        return fail(err, ERANGE, "size '%s' does not fit 64 bits", text);
    *ret = value;
    return true;
}

bool parse_u64(const char *text, uint64_t *ret, struct error *err)
{
    uint64_t v;
    char *end;

    if (!isdigit((unsigned char)text[0]))
        return fail(err, EINVAL, "'%s' is not a number", text);
    errno = 0;
    v = strtoull(text, &end, 0);
    if (*end)
        return fail(err, EINVAL, "'%s' is not a number", text);
    if (errno == ERANGE)
        return fail(err, ERANGE, "'%s' does not fit 64 bits", text);
    *ret = v;
    return true;
}

bool parse_i64(const char *text, int64_t *ret, struct error *err)
{
    bool minus = text[0] == '-';
    uint64_t v;

    if (!parse_u64(text + minus, &v, err))
        return false;
    if (v > (uint64_t)INT64_MAX + minus)
        return fail(err, ERANGE, "'%s' does not fit 64 bits", text);
    *ret = minus ? (int64_t)-v : (int64_t)v;
    return true;
}

bool parse_bool(const char *text, bool *ret, struct error *err)
{
    static const char *const yes[] = { "on", "yes", "true", "y" };
    static const char *const no[] = { "off", "no", "false", "n" };

    for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
        if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
            *ret = !strcmp(text, yes[i]);
            return true;
        }
    }
    fail(err, EINVAL, "'%s' is neither on nor off", text);
    return fail_hint(err, "write on or off");
}

const char *str_after(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(text, prefix, n) ? NULL : text + n;
}
