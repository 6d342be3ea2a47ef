/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The descriptor of VMDK images: a text of KEY=VALUE lines and one line for each extent. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"
#include "disk/format/vmdk.h"

/* The value of a line KEY=VALUE, quotes taken off; false when there is none or it does not fit. */
static bool get_value(const char *text, const char *key, char *ret, size_t size)
{
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        const char *value;

        line += *line == '\n';
        value = str_after(line, key);
        if (!value)
            continue;
        value += strspn(value, " \t");
        if (*value++ != '=')
            continue;
        value += strspn(value, " \t");
        bool quoted = *value == '"';
        size_t n = strcspn(value + quoted, quoted ? "\"\r\n" : " \t\r\n");
        if (n >= size)
            return false;
        memcpy(ret, value + quoted, n);
        ret[n] = 0;
        return true;
    }
    return false;
}

static bool get_hex(const char *text, const char *key, uint32_t *ret)
{
    char value[16], *end;

    if (!get_value(text, key, value, sizeof(value)))
        return false;
    unsigned long n = strtoul(value, &end, 16);
    *ret = n;
    return end != value && !*end && n <= UINT32_MAX;
}

bool vmdk_parse_descriptor(struct vmdk_descriptor *desc, struct error *err)
{
    static const char *const types[] = {
        "monolithicSparse",
        "monolithicFlat",
        "twoGbMaxExtentSparse",
        "twoGbMaxExtentFlat",
        "streamOptimized",
        "vmfs",
        "vmfsSparse",
        "seSparse",
        "vmfsThin",
        "custom",
        NULL,
    };
    const char *const *t = types;

    if (!get_value(desc->text, "createType", desc->create_type, sizeof(desc->create_type)))
        return fail(err, EINVAL, "invalid VMDK image descriptor: no createType");
    while (*t && strcmp(*t, desc->create_type) != 0)
        t++;
    if (!*t)
        return fail(err, ENOTSUP, "Unsupported image type '%s'", desc->create_type);
    if (!get_hex(desc->text, "CID", &desc->cid))
        desc->cid = VMDK_NO_PARENT;
    if (!get_hex(desc->text, "parentCID", &desc->parent_cid))
        desc->parent_cid = VMDK_NO_PARENT;
    if (!get_value(desc->text, "parentFileNameHint", desc->parent_hint, sizeof(desc->parent_hint)))
        desc->parent_hint[0] = 0;
    return true;
}

static bool bad_line(const char *line, struct error *err)
{
    return fail(err, EINVAL, "Invalid extent line: %.*s", (int)strcspn(line, "\r\n"), line);
}

/* A word, blanks before it passed by. */
static bool get_word(const char **at, char *ret, size_t size)
{
    *at += strspn(*at, " \t");
    size_t n = strcspn(*at, " \t\r\n");
    if (n == 0 || n >= size)
        return false;
    memcpy(ret, *at, n);
    ret[n] = 0;
    *at += n;
    return true;
}

static bool get_number(const char **at, uint64_t *ret)
{
    struct error ignored = { 0 };
    char word[24];

    return get_word(at, word, sizeof(word)) && isdigit((unsigned char)word[0]) &&
           parse_u64(word, ret, &ignored);
}

static bool get_quoted(const char **at, char *ret, size_t size)
{
    *at += strspn(*at, " \t");
    if (*(*at)++ != '"')
        return false;
    size_t n = strcspn(*at, "\"\r\n");
    if (n == 0 || n >= size || (*at)[n] != '"')
        return false;
    memcpy(ret, *at, n);
    ret[n] = 0;
    *at += n + 1;
    return true;
}

/* ACCESS SECTORS TYPE ["NAME" [OFFSET]] */
static bool parse_extent(const char *line, struct vmdk_extent_line *e, struct error *err)
{
    const char *at = line;
    char access[12];

    *e = (struct vmdk_extent_line){ 0 };
    if (!get_word(&at, access, sizeof(access)) || !get_number(&at, &e->sectors) ||
        !get_word(&at, e->type, sizeof(e->type)))
        return bad_line(line, err);
    e->writable = strcmp(access, "RW") == 0;
    e->no_access = strcmp(access, "NOACCESS") == 0;
    if (e->sectors > DISK_MAX_SIZE / VMDK_SECTOR)
        return bad_line(line, err);
    if (strcmp(e->type, "ZERO") == 0)
        return true;
    if (!get_quoted(&at, e->name, sizeof(e->name)))
        return bad_line(line, err);
    if (strcmp(e->type, "FLAT") == 0)
        return (get_number(&at, &e->offset) && e->offset <= DISK_MAX_SIZE / VMDK_SECTOR) ||
               bad_line(line, err);
    return true;
}

bool vmdk_next_extent(const char **at, struct vmdk_extent_line *ret, struct error *err)
{
    while (*at && **at) {
        const char *line = *at;

        *at = strchr(line, '\n');
        if (*at)
            (*at)++;
        line += strspn(line, " \t");
        if (str_after(line, "RW ") || str_after(line, "RDONLY ") || str_after(line, "NOACCESS "))
            return parse_extent(line, ret, err);
    }
    return false;
}

/* The text with another CID, or NULL when it does not fit in its place. */
static char *with_cid(const struct vmdk_descriptor *desc, uint32_t cid)
{
    const char *line = desc->text;

    while (line && !str_after(line, "CID=")) {
        line = strchr(line, '\n');
        line += line != NULL;
    }
    if (!line)
        return NULL;
    const char *rest = line + strcspn(line, "\r\n");
    char *text = xasprintf("%.*sCID=%08x%s", (int)(line - desc->text), desc->text, cid, rest);
    if (desc->room && strlen(text) > desc->room) {
        free(text);
        return NULL;
    }
    return text;
}

int vmdk_write_cid(struct disk *d, struct vmdk *v, uint32_t cid)
{
    char *text = with_cid(&v->desc, cid);
    size_t len = text ? strlen(text) : 0;
    int r;

    if (!text)
        return 0; /* a descriptor without one has nothing to say */
    if (v->desc.room) {
        AUTO_FREE char *padded = xcalloc(1, v->desc.room);
        memcpy(padded, text, len);
        r = disk_write(d->file, v->desc.offset, padded, v->desc.room, 0);
    } else {
        r = disk_write(d->file, 0, text, len, 0);
    }
    if (r < 0) {
        free(text);
        return r;
    }
    free(v->desc.text);
    v->desc.text = text;
    v->desc.cid = cid;
    return 0;
}
