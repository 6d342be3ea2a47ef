/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/firmware/smbios_user.h"

#include "base/alloc.h"
#include "base/bits.h"
#include "base/field.h"
#include "base/optlist.h"
#include "base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AS(m, n)   FIELD(struct smbios_user, m, .wire = n)
#define HEADER_MIN 4

static const struct field *const bios =
    FIELDS(AS(bios.vendor, "vendor"), AS(bios.version, "version"), AS(bios.date, "date"),
           AS(bios.release, "release"), AS(bios.uefi, "uefi"));
static const struct field *const sys =
    FIELDS(AS(system.manufacturer, "manufacturer"), AS(system.product, "product"),
           AS(system.version, "version"), AS(system.serial, "serial"), AS(system.uuid, "uuid"),
           AS(system.sku, "sku"), AS(system.family, "family"));
static const struct field *const board =
    FIELDS(AS(board.manufacturer, "manufacturer"), AS(board.product, "product"),
           AS(board.version, "version"), AS(board.serial, "serial"), AS(board.asset, "asset"),
           AS(board.location, "location"));
static const struct field *const chassis =
    FIELDS(AS(chassis.manufacturer, "manufacturer"), AS(chassis.version, "version"),
           AS(chassis.serial, "serial"), AS(chassis.asset, "asset"), AS(chassis.sku, "sku"));
static const struct field *const cpu =
    FIELDS(AS(cpu.sock_pfx, "sock_pfx"), AS(cpu.manufacturer, "manufacturer"),
           AS(cpu.version, "version"), AS(cpu.serial, "serial"), AS(cpu.asset, "asset"),
           AS(cpu.part, "part"), AS(cpu.processor_id, "processor-id"),
           AS(cpu.max_speed, "max-speed"), AS(cpu.current_speed, "current-speed"));
static const struct field *const dimm =
    FIELDS(AS(dimm.loc_pfx, "loc_pfx"), AS(dimm.bank, "bank"),
           AS(dimm.manufacturer, "manufacturer"), AS(dimm.serial, "serial"),
           AS(dimm.asset, "asset"), AS(dimm.part, "part"), AS(dimm.speed, "speed"));

static const struct {
    unsigned type;
    const struct field *const *fields;
} types[] = {
    { 0, &bios }, { 1, &sys }, { 2, &board }, { 3, &chassis }, { 4, &cpu }, { 17, &dimm }
};

bool smbios_parse_uuid(const char *text, uint8_t *ret)
{
    unsigned n = 0;
    for (; n < 16 && g_ascii_isxdigit(text[0]) && g_ascii_isxdigit(text[1]); n++) {
        ret[n] = g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]);
        text += 2;
        if ((n == 3 || n == 5 || n == 7 || n == 9) && *text++ != '-')
            return false;
    }
    return n == 16 && !*text;
}

static bool read_all(const char *path, gchar **ret, gsize *ret_len, struct error *err)
{
    GError *g = NULL;
    if (g_file_get_contents(path, ret, ret_len, &g))
        return true;
    (void)fail(err, ENOENT, "-smbios: %s", g->message);
    g_error_free(g);
    return false;
}

static bool add_file(struct smbios_user *u, const char *path, struct error *err)
{
    gchar *data = NULL;
    gsize len = 0;
    if (!read_all(path, &data, &len, err))
        return false;
    /* the formatted part, then strings that end with an empty one */
    bool whole = len >= HEADER_MIN + 2 && (uint8_t)data[1] >= HEADER_MIN &&
                 (uint8_t)data[1] + 2u <= len && !data[len - 1] && !data[len - 2];
    if (whole) {
        uint8_t type = data[0];
        GByteArray *b = g_byte_array_new();
        g_byte_array_append(b, (const guint8 *)data, len);
        if (!u->files)
            u->files = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
        g_ptr_array_add(u->files, b);
        if (type < 32)
            u->from_file |= UINT32_C(1) << type;
    }
    g_free(data);
    if (whole)
        return true;
    (void)fail(err, EINVAL, "-smbios file=%s: not an SMBIOS structure", path);
    return fail_hint(err, "it is one structure: header, fields, strings that end with two zeroes");
}

static bool add_oem(struct smbios_user *u, struct optlist *l, struct error *err)
{
    const char *v;
    if (!u->oem)
        u->oem = g_ptr_array_new_with_free_func(free);
    while ((v = optlist_take_next(l, "value")))
        g_ptr_array_add(u->oem, xstrdup(v));
    while ((v = optlist_take_next(l, "path"))) {
        gchar *data = NULL;
        gsize len = 0;
        if (!read_all(v, &data, &len, err))
            return false;
        g_ptr_array_add(u->oem, xstrdup(data));
        g_free(data);
    }
    return u->oem->len < 256 || fail(err, E2BIG, "-smbios type=11: more than 255 strings");
}

static bool add_fields(struct smbios_user *u, unsigned type, struct optlist *l, struct error *err)
{
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
        if (types[i].type == type)
            return optlist_apply(l, *types[i].fields, u, err);
    if (type == 11)
        return add_oem(u, l, err);
    (void)fail(err, EINVAL, "-smbios type=%u: no such structure is made here", type);
    return fail_hint(err, "types 0, 1, 2, 3, 4, 11 and 17 have fields; others come from file=");
}

static bool check(struct smbios_user *u, struct error *err)
{
    unsigned major, minor;
    if (u->bios.release) {
        if (sscanf(u->bios.release, "%u.%u", &major, &minor) != 2 || major > 254 || minor > 254) {
            (void)fail(err, EINVAL, "-smbios release=%s: not a release", u->bios.release);
            return fail_hint(err, "it is MAJOR.MINOR, each up to 254");
        }
        u->release_major = major;
        u->release_minor = minor;
    }
    if (u->system.uuid && !smbios_parse_uuid(u->system.uuid, u->uuid)) {
        (void)fail(err, EINVAL, "-smbios uuid=%s: not a UUID", u->system.uuid);
        return fail_hint(err, "it looks like d5e63c60-1f37-4eda-b990-2065e30d3d42");
    }
    if (u->said & u->from_file)
        return fail(err, EINVAL, "-smbios: a structure is given by fields and by a file");
    return true;
}

bool smbios_user_add(struct smbios_user *u, const char *text, struct error *err)
{
    struct optlist l = { 0 };
    uint64_t type = 256;
    bool ok = optlist_parse(&l, text, NULL, err);
    const char *file = ok ? optlist_take(&l, "file") : NULL;
    if (ok && file) {
        ok = add_file(u, file, err);
    } else if (ok) {
        ok = optlist_take_u64(&l, "type", &type, err);
        if (ok && type > 255) {
            ok = fail(err, EINVAL, "-smbios %s: no type= and no file=", text);
            (void)fail_hint(err, "-smbios type=1,product=NAME");
        }
        ok = ok && add_fields(u, type, &l, err);
        if (ok)
            u->said |= UINT32_C(1) << type;
    }
    ok = ok && optlist_done(&l, "-smbios", err) && check(u, err);
    optlist_finish(&l);
    return ok;
}

void smbios_user_finish(struct smbios_user *u)
{
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
        field_free_strings(u, *types[i].fields);
    if (u->oem)
        g_ptr_array_unref(u->oem);
    if (u->files)
        g_ptr_array_unref(u->files);
    memset(u, 0, sizeof *u);
}
