/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options about what firmware shows: files of fw_cfg, ACPI tables, SMBIOS, option ROMs, -boot. */
#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/optlist.h"
#include "base/str.h"
#include "dev/firmware/fwcfg.h"
#include "dev/firmware/smbios_user.h"
#include "main/options.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { FILES_MAX = 64, ACPI_HEADER = 36, ACPI_TABLE_MAX = 16 << 20 };

struct firmware_options {
    struct board_file file[FILES_MAX], acpi[BOARD_ACPI_TABLES];
    struct smbios_user smbios;
};

static struct firmware_options *firmware_of(struct options *o)
{
    if (!o->firmware) {
        o->firmware = xnew(struct firmware_options);
        o->vm.board.fw_files = o->firmware->file;
        o->vm.board.acpi_tables = o->firmware->acpi;
        o->vm.board.smbios = &o->firmware->smbios;
    }
    return o->firmware;
}

void firmware_options_finish(struct options *o)
{
    if (!o->firmware)
        return;
    for (unsigned i = 0; i < FILES_MAX; i++)
        g_free((void *)o->firmware->file[i].data);
    for (unsigned i = 0; i < BOARD_ACPI_TABLES; i++)
        g_free((void *)o->firmware->acpi[i].data);
    smbios_user_finish(&o->firmware->smbios);
    free(o->firmware);
    o->firmware = NULL;
}

static bool read_file(const char *what, const char *path, gchar **ret, gsize *ret_len,
                      struct error *err)
{
    GError *g = NULL;
    if (g_file_get_contents(path, ret, ret_len, &g))
        return true;
    (void)fail(err, ENOENT, "%s: %s", what, g->message);
    g_error_free(g);
    return false;
}

/* Takes over data. */
static bool add_firmware_file(struct options *o, const char *name, gchar *own_data, gsize len,
                              struct error *err)
{
    struct firmware_options *f = firmware_of(o);
    unsigned n = o->vm.board.fw_file_count;
    if (n == FILES_MAX) {
        g_free(own_data);
        return fail(err, E2BIG, "more than %d firmware files", FILES_MAX);
    }
    f->file[n] = (struct board_file){ options_keep(o, xstrdup(name)), own_data, len };
    o->vm.board.fw_file_count++;
    return true;
}

/* --- -fw_cfg --- */

static bool check_file_name(const char *name, struct error *err)
{
    if (!name || !*name) {
        (void)fail(err, EINVAL, "-fw_cfg: name= is missing");
        return fail_hint(err, "-fw_cfg name=opt/org.example/file,file=F");
    }
    if (strlen(name) > FWCFG_NAME_MAX)
        return fail(err, ENAMETOOLONG, "-fw_cfg name=%s: longer than %d characters", name,
                    FWCFG_NAME_MAX);
    if (strncmp(name, "opt/", 4) != 0)
        fprintf(stderr, "warning: externally provided fw_cfg item names should be prefixed with "
                        "\"opt/\"\n");
    return true;
}

bool opt_fw_cfg(struct options *o, const char *arg, struct error *err)
{
    struct optlist l = { 0 };
    gchar *data = NULL;
    gsize len = 0;
    bool ok = optlist_parse(&l, arg, "name", err);
    const char *name = ok ? optlist_take(&l, "name") : NULL;
    const char *file = ok ? optlist_take(&l, "file") : NULL;
    const char *string = ok ? optlist_take(&l, "string") : NULL;
    ok = ok && optlist_done(&l, "-fw_cfg", err) && check_file_name(name, err);
    if (ok && !file == !string) {
        ok =
            fail(err, EINVAL, "-fw_cfg name=%s: one of file= and string= says what is in it", name);
    } else if (ok && file) {
        ok = read_file("-fw_cfg", file, &data, &len, err);
    } else if (ok) {
        len = strlen(string);
        data = g_strdup(string);
    }
    ok = ok && add_firmware_file(o, name, data, len, err);
    optlist_finish(&l);
    return ok;
}

/* --- -option-rom --- */

bool opt_option_rom(struct options *o, const char *arg, struct error *err)
{
    struct optlist l = { 0 };
    gchar *data = NULL;
    gsize len = 0;
    bool ok = optlist_parse(&l, arg, "romfile", err);
    const char *path = ok ? optlist_take(&l, "romfile") : NULL;
    ok = ok && optlist_done(&l, "-option-rom", err);
    if (ok && !path)
        ok = fail(err, EINVAL, "-option-rom: no file");
    if (ok) {
        char *found = strchr(path, '/') ? NULL : board_find_firmware(board_firmware_dirs, path);
        const char *slash = strrchr(path, '/');
        char *name = xasprintf("genroms/%s", slash ? slash + 1 : path);
        ok = read_file("-option-rom", found ? found : path, &data, &len, err) &&
             add_firmware_file(o, name, data, len, err);
        free(name);
        free(found);
    }
    optlist_finish(&l);
    return ok;
}

/* --- -acpitable --- */

static void put_text(uint8_t *at, const char *text, size_t room)
{
    if (text) {
        memset(at, 0, room);
        memcpy(at, text, strnlen(text, room));
    }
}

static bool put_number(struct optlist *l, const char *key, uint8_t *at, unsigned size,
                       struct error *err)
{
    uint64_t v = size == 1 ? *at : ld_le32(at);
    if (!optlist_take_u64(l, key, &v, err))
        return false;
    if (size == 1)
        *at = v;
    else
        st_le32(at, v);
    return true;
}

/* file= has a whole table, data= what follows the header; more than one file by ':'. */
static bool read_table(const char *paths, bool with_header, GByteArray *out, struct error *err)
{
    static const uint8_t header[ACPI_HEADER] = { 'R', 'H', 'E', 'A', 0,   0,   0,   0,   1,
                                                 0,   'R', 'H', 'E', 'A', ' ', ' ', 'R', 'H',
                                                 'E', 'A', 'U', 'S', 'E', 'R', 1,   0,   0,
                                                 0,   'R', 'H', 'E', 'A', 1,   0,   0,   0 };
    if (!with_header)
        g_byte_array_append(out, header, sizeof header);
    gchar **list = g_strsplit(paths, ":", 0);
    bool ok = true;
    for (gchar **p = list; ok && *p; p++) {
        gchar *data = NULL;
        gsize len = 0;
        ok = read_file("-acpitable", *p, &data, &len, err);
        if (ok && len > ACPI_TABLE_MAX)
            ok = fail(err, E2BIG, "-acpitable: '%s' is larger than 16 MiB", *p);
        if (ok)
            g_byte_array_append(out, (const guint8 *)data, len);
        g_free(data);
    }
    g_strfreev(list);
    if (ok && out->len < ACPI_HEADER)
        ok = fail(err, EINVAL, "-acpitable file=%s: shorter than a table's header", paths);
    return ok;
}

static bool make_acpi_table(struct optlist *l, GByteArray *out, struct error *err)
{
    const char *file = optlist_take(l, "file"), *data = optlist_take(l, "data");
    if (!file == !data) {
        (void)fail(err, EINVAL, "-acpitable: one of file= and data= says where it is");
        return fail_hint(err, "file= has the table's header, too; data= only what follows it");
    }
    if (!read_table(file ? file : data, file != NULL, out, err))
        return false;
    const char *sig = optlist_take(l, "sig");
    if (sig && strlen(sig) != 4)
        return fail(err, EINVAL, "-acpitable sig=%s: a signature has four letters", sig);
    put_text(out->data, sig, 4);
    put_text(out->data + 10, optlist_take(l, "oem_id"), 6);
    put_text(out->data + 16, optlist_take(l, "oem_table_id"), 8);
    put_text(out->data + 28, optlist_take(l, "asl_compiler_id"), 4);
    return put_number(l, "rev", out->data + 8, 1, err) &&
           put_number(l, "oem_rev", out->data + 24, 4, err) &&
           put_number(l, "asl_compiler_rev", out->data + 32, 4, err) &&
           optlist_done(l, "-acpitable", err);
}

bool opt_acpitable(struct options *o, const char *arg, struct error *err)
{
    struct firmware_options *f = firmware_of(o);
    struct optlist l = { 0 };
    GByteArray *out = g_byte_array_new();
    bool ok = optlist_parse(&l, arg, NULL, err) && make_acpi_table(&l, out, err);
    unsigned n = o->vm.board.acpi_table_count;
    if (ok && n == BOARD_ACPI_TABLES)
        ok = fail(err, E2BIG, "-acpitable: more than %d tables", BOARD_ACPI_TABLES);
    if (ok) {
        f->acpi[n].size = out->len;
        f->acpi[n].data = g_byte_array_free(out, FALSE);
        o->vm.board.acpi_table_count++;
    } else {
        g_byte_array_unref(out);
    }
    optlist_finish(&l);
    return ok;
}

/* --- -smbios --- */

bool opt_smbios(struct options *o, const char *arg, struct error *err)
{
    return smbios_user_add(&firmware_of(o)->smbios, arg, err);
}

/* --- -boot --- */

static bool take_order(struct options *o, struct optlist *l, const char *key, const char **ret,
                       struct error *err)
{
    const char *v = optlist_take(l, key);
    if (!v)
        return true;
    *ret = options_keep(o, xstrdup(v));
    if (strspn(v, "acdn") == strlen(v))
        return true;
    (void)fail(err, EINVAL, "-boot %s=%s: unknown drive letter", key, v);
    return fail_hint(err, "a floppy, c disk, d CD, n network");
}

/* A picture that SeaBIOS shows beside its menu. */
static bool take_splash(struct options *o, struct optlist *l, struct error *err)
{
    const char *path = optlist_take(l, "splash");
    gchar *data = NULL;
    gsize len = 0;
    if (!path)
        return true;
    if (!read_file("-boot splash=", path, &data, &len, err))
        return false;
    bool jpeg = len > 2 && !memcmp(data, "\xff\xd8", 2), bmp = len > 2 && !memcmp(data, "BM", 2);
    if (jpeg || bmp)
        return add_firmware_file(o, jpeg ? "bootsplash.jpg" : "bootsplash.bmp", data, len, err);
    g_free(data);
    (void)fail(err, EINVAL, "-boot splash=%s: neither a JPEG nor a BMP picture", path);
    return fail_hint(err, "SeaBIOS shows a JPEG, or a BMP of 24 bits a pixel");
}

bool opt_boot(struct options *o, const char *arg, struct error *err)
{
    struct board_config *b = &o->vm.board;
    struct optlist l = { 0 };
    uint64_t splash_ms = b->boot_menu_wait_ms, fail_ms = 0;
    bool ok = optlist_parse(&l, arg, "order", err);
    const char *timeout = ok ? optlist_take(&l, "reboot-timeout") : NULL;
    ok = ok && take_order(o, &l, "order", &b->boot_order, err) &&
         take_order(o, &l, "once", &b->boot_once, err) &&
         optlist_take_bool(&l, "menu", &b->boot_menu, err) &&
         optlist_take_bool(&l, "strict", &b->boot_strict, err) &&
         optlist_take_u64(&l, "splash-time", &splash_ms, err) && take_splash(o, &l, err);
    if (ok && timeout && strcmp(timeout, "-1")) {
        ok = parse_u64(timeout, &fail_ms, err);
        b->boot_fail_wait_ms = MIN(fail_ms, 65535);
    }
    b->boot_menu_wait_ms = MIN(splash_ms, 65535);
    ok = ok && optlist_done(&l, "-boot", err);
    optlist_finish(&l);
    return ok;
}
