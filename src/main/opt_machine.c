/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options about the machine: board, CPU, memory, accelerator, firmware, kernel, clock. */
#include "main/options.h"

#include "base/alloc.h"
#include "base/bits.h"
#include "base/optlist.h"
#include "base/str.h"
#include "cpu/guest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static bool wants_help(const char *arg)
{
    return !strcmp(arg, "help") || !strcmp(arg, "?");
}

/* A copy of the key's value that outlives the list, or old. */
static const char *take_text(struct options *o, struct optlist *l, const char *key, const char *old)
{
    const char *v = optlist_take(l, key);
    return v ? options_keep(o, xstrdup(v)) : old;
}

/* --- -machine --- */

static void print_machines(const struct options *o, FILE *f)
{
    board_help(f);
}

static bool refuse_on(struct optlist *l, const char *key, const char *what, struct error *err)
{
    const char *v = optlist_take(l, key);
    bool on = false;
    if (!v || !strcmp(v, "auto"))
        return true;
    if (!parse_bool(v, &on, err)) {
        err_prefix(err, "-machine %s: ", key);
        return false;
    }
    if (!on)
        return true;
    (void)fail(err, ENOTSUP, "-machine %s=on: %s with a later release", key, what);
    return fail_hint(err, "leave it out");
}

/* on, off or auto */
static bool take_switch(struct optlist *l, const char *key, enum board_switch *ret,
                        struct error *err)
{
    const char *v = optlist_take(l, key);
    bool on = false;
    if (!v)
        return true;
    if (!strcmp(v, "auto")) {
        *ret = BOARD_AUTO;
        return true;
    }
    if (!parse_bool(v, &on, err)) {
        err_prefix(err, "-machine %s: ", key);
        return fail_hint(err, "it is on, off or auto");
    }
    *ret = on ? BOARD_ON : BOARD_OFF;
    return true;
}

static bool take_part(struct optlist *l, const char *key, bool *ret_absent, struct error *err)
{
    enum board_switch on = BOARD_AUTO;
    bool ok = take_switch(l, key, &on, err);
    *ret_absent |= ok && on == BOARD_OFF;
    return ok;
}

static bool microvm_props(struct options *o, struct optlist *l, struct error *err)
{
    struct board_config *b = &o->vm.board;
    bool roms = true;
    return strcmp(o->vm.board_type->name, "microvm") ||
           (take_part(l, "pic", &b->no_pic, err) && take_part(l, "pit", &b->no_pit, err) &&
            take_part(l, "rtc", &b->no_rtc, err) && take_part(l, "ioapic2", &b->no_ioapic2, err) &&
            take_part(l, "isa-serial", &o->no_isa_serial, err) &&
            take_part(l, "auto-kernel-cmdline", &b->no_auto_cmdline, err) &&
            optlist_take_bool(l, "x-option-roms", &roms, err) &&
            refuse_on(l, "pcie", "PCI Express of microvm comes", err));
}

static bool machine_props(struct options *o, struct optlist *l, struct error *err)
{
    bool graphics = !o->graphics_off;
    struct board_config *b = &o->vm.board;
    o->accel_list = take_text(o, l, "accel", o->accel_list);
    o->vm.memory_backend = take_text(o, l, "memory-backend", o->vm.memory_backend);
    b->pflash[0] = take_text(o, l, "pflash0", b->pflash[0]);
    b->pflash[1] = take_text(o, l, "pflash1", b->pflash[1]);
    bool ok = opt_accel_kvm(o, l, err) && optlist_take_bool(l, "graphics", &graphics, err) &&
              optlist_take_bool(l, "hpet", &b->hpet, err) &&
              optlist_take_bool(l, "acpi", &b->acpi, err) &&
              optlist_take_bool(l, "dump-guest-core", &o->vm.dump_guest_core, err) &&
              optlist_take_bool(l, "mem-merge", &o->vm.mem_merge, err) &&
              refuse_on(l, "usb", "USB comes", err) &&
              refuse_on(l, "vmport", "the VMware port comes", err) &&
              take_switch(l, "smm", &b->smm, err) &&
              refuse_on(l, "nvdimm", "persistent memory comes", err);
    o->graphics_off = !graphics;
    return ok && microvm_props(o, l, err) && optlist_done(l, "-machine", err);
}

bool opt_machine(struct options *o, const char *arg, struct error *err)
{
    struct optlist l = { 0 };
    if (wants_help(arg)) {
        o->print = print_machines;
        return true;
    }
    bool ok = optlist_parse(&l, arg, "type", err);
    const char *type = ok ? optlist_take(&l, "type") : NULL;
    if (type) {
        const struct board_type *t = board_find(type, err);
        ok = t != NULL;
        if (ok) {
            o->vm.board_type = t;
            o->vm.board.board_name = options_keep(o, xstrdup(type));
        }
    }
    ok = ok && machine_props(o, &l, err);
    optlist_finish(&l);
    return ok;
}

bool opt_no_hpet(struct options *o, const char *arg, struct error *err)
{
    o->vm.board.hpet = false;
    return true;
}

bool opt_no_acpi(struct options *o, const char *arg, struct error *err)
{
    o->vm.board.acpi = false;
    return true;
}

/* --- -cpu, -m --- */

static void print_models(const struct options *o, FILE *f)
{
    o->vm.board_type->guest->models_help(f);
}

bool opt_cpu(struct options *o, const char *arg, struct error *err)
{
    if (wants_help(arg))
        o->print = print_models;
    o->vm.board.cpu_model = arg;
    return true;
}

static bool check_memory(uint64_t size, const char *arg, struct error *err)
{
    struct sysinfo si;
    if (sysinfo(&si) != 0)
        return fail(err, errno, "the host's memory: %s", strerror(errno));
    uint64_t host = ((uint64_t)si.totalram + si.totalswap) * si.mem_unit;
    if (size <= host)
        return true;
    (void)fail(err, ENOMEM, "-m %s: %" PRIu64 " MiB are more than this host has (%" PRIu64 " MiB)",
               arg, size / MIB, host / MIB);
    return fail_hint(err, "give the guest less");
}

bool opt_memory(struct options *o, const char *arg, struct error *err)
{
    struct optlist l = { 0 };
    uint64_t size = o->vm.board.ram_size, slots = 0, max = 0;
    bool ok = optlist_parse(&l, arg, "size", err) &&
              optlist_take_size(&l, "size", MIB, &size, err) &&
              optlist_take_u64(&l, "slots", &slots, err) &&
              optlist_take_size(&l, "maxmem", MIB, &max, err) && optlist_done(&l, "-m", err);
    optlist_finish(&l);
    if (!ok) {
        if (!strstr(err->msg, "-m"))
            err_prefix(err, "-m %s: ", arg);
        return false;
    }
    if (slots || max > size) {
        (void)fail(err, ENOTSUP, "-m %s: memory to plug in comes with a later release", arg);
        return fail_hint(err, "leave slots= and maxmem= out");
    }
    size = ALIGN_UP(size, UINT64_C(8192));
    if (size < 2 * MIB) {
        (void)fail(err, EINVAL, "-m %s: a PC has at least 2 MiB", arg);
        return fail_hint(err, "a bare number counts MiB: -m 512, or -m 2G");
    }
    o->vm.board.ram_size = size;
    return check_memory(size, arg, err);
}

/* --- kernel, firmware --- */

bool opt_kernel(struct options *o, const char *arg, struct error *err)
{
    o->vm.board.kernel = arg;
    return true;
}

bool opt_initrd(struct options *o, const char *arg, struct error *err)
{
    o->vm.board.initrd = arg;
    return true;
}

bool opt_append(struct options *o, const char *arg, struct error *err)
{
    o->vm.board.append = arg;
    return true;
}

bool opt_bios(struct options *o, const char *arg, struct error *err)
{
    o->bios = arg;
    return true;
}

static void print_dirs(const struct options *o, FILE *f)
{
    for (unsigned i = 0; i < o->dir_count; i++)
        fprintf(f, "%s\n", o->dirs[i]);
    for (unsigned i = 0; board_firmware_dirs[i]; i++)
        fprintf(f, "%s\n", board_firmware_dirs[i]);
}

bool opt_dir(struct options *o, const char *arg, struct error *err)
{
    if (wants_help(arg)) {
        o->print = print_dirs;
        return true;
    }
    if (o->dir_count == OPTIONS_DIRS_MAX)
        return fail(err, E2BIG, "-L %s: more than %d directories", arg, OPTIONS_DIRS_MAX);
    o->dirs[o->dir_count++] = arg;
    return true;
}

/* --- clock, name, uuid --- */

bool opt_rtc(struct options *o, const char *arg, struct error *err)
{
    struct board_config *b = &o->vm.board;
    struct optlist l = { 0 };
    bool ok = optlist_parse(&l, arg, NULL, err);
    if (ok) {
        b->rtc_base = take_text(o, &l, "base", b->rtc_base);
        b->rtc_clock = take_text(o, &l, "clock", b->rtc_clock);
        const char *drift = optlist_take(&l, "driftfix");
        if (drift && !strcmp(drift, "slew")) {
            fprintf(stderr, "warning: -rtc driftfix=slew: lost ticks of the RTC are not made up\n");
        } else if (drift && strcmp(drift, "none")) {
            ok = fail(err, EINVAL, "-rtc driftfix=%s: no such choice", drift);
            (void)fail_hint(err, "driftfix is none or slew");
        }
    }
    ok = ok && optlist_done(&l, "-rtc", err);
    optlist_finish(&l);
    return ok;
}

bool opt_name(struct options *o, const char *arg, struct error *err)
{
    struct optlist l = { 0 };
    bool threads = true; /* they have names in any case */
    bool ok = optlist_parse(&l, arg, "guest", err);
    if (ok) {
        o->vm.name = take_text(o, &l, "guest", o->vm.name);
        o->process_name = take_text(o, &l, "process", o->process_name);
        ok =
            optlist_take_bool(&l, "debug-threads", &threads, err) && optlist_done(&l, "-name", err);
    }
    optlist_finish(&l);
    return ok;
}

bool opt_uuid(struct options *o, const char *arg, struct error *err)
{
    unsigned n = 0;
    const char *p = arg;
    for (; n < 16 && g_ascii_isxdigit(p[0]) && g_ascii_isxdigit(p[1]); n++) {
        o->vm.board.uuid[n] = g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]);
        p += 2;
        if ((n == 3 || n == 5 || n == 7 || n == 9) && *p++ != '-')
            break;
    }
    if (n == 16 && *p == 0)
        return true;
    (void)fail(err, EINVAL, "-uuid %s: not a UUID", arg);
    return fail_hint(err, "it looks like d5e63c60-1f37-4eda-b990-2065e30d3d42");
}

bool opt_no_reboot(struct options *o, const char *arg, struct error *err)
{
    o->vm.no_reboot = true;
    return true;
}

bool opt_no_shutdown(struct options *o, const char *arg, struct error *err)
{
    o->vm.no_shutdown = true;
    return true;
}

/* --- all together --- */

static bool check_readable(const char *what, const char *path, struct error *err)
{
    return !path || access(path, R_OK) == 0 ||
           fail(err, errno, "%s '%s': %s", what, path, strerror(errno));
}

static bool has_flash(const struct options *o)
{
    bool found = o->vm.board.pflash[0];
    for (unsigned i = 0; o->drives && i < o->drives->len; i++)
        found |= strstr(o->drives->pdata[i], "if=pflash") != NULL;
    return found;
}

static bool find_bios(struct options *o, struct error *err)
{
    const struct board_type *t = o->vm.board_type;
    const char *name = o->bios ? o->bios : t->firmware ? t->firmware : "bios-256k.bin";
    char *path = NULL;
    if (o->bios && access(o->bios, R_OK) == 0)
        path = xstrdup(o->bios);
    if (!path && !strchr(name, '/')) {
        path = board_find_firmware(o->dirs, name);
        if (!path)
            path = board_find_firmware(board_firmware_dirs, name);
    }
    if (path) {
        o->vm.board.firmware = options_keep(o, path);
        return true;
    }
    if (!o->bios && has_flash(o))
        return true;
    (void)fail(err, ENOENT, "firmware '%s': not found", name);
    return o->bios ? fail_hint(err, "-L help lists the directories")
                   : fail_hint(err, "install SeaBIOS (apt install seabios), or give -bios FILE");
}

/* UEFI firmware volumes have this signature; other firmware does not start kernels from fw_cfg. */
static bool is_uefi(const char *path)
{
    gchar *data = NULL;
    gsize len = 0;
    if (!g_file_get_contents(path, &data, &len, NULL))
        return false;
    bool found = memmem(data, len, "_FVH", 4) != NULL;
    g_free(data);
    return found;
}

/* -kernel beside firmware: it finds the kernel in fw_cfg. */
static bool settle_uefi_kernel(struct options *o, struct error *err)
{
    struct board_config *b = &o->vm.board;
    b->kernel_by_firmware = true;
    if (!check_readable("kernel", b->kernel, err) || !check_readable("initrd", b->initrd, err) ||
        !find_bios(o, err))
        return false;
    if (has_flash(o) || is_uefi(b->firmware))
        return true;
    (void)fail(err, ENOTSUP, "the firmware '%s' is no UEFI: it starts no -kernel", b->firmware);
    return fail_hint(err, "leave -bios out: the kernel is started directly");
}

bool machine_settle(struct options *o, struct error *err)
{
    struct board_config *b = &o->vm.board;
    if (!accel_settle(o, err))
        return false;
    if (!b->kernel && (b->initrd || b->append)) {
        (void)fail(err, EINVAL, "%s without a kernel", b->initrd ? "-initrd" : "-append");
        return fail_hint(err, "it belongs to -kernel FILE");
    }
    if (b->kernel && (o->bios || has_flash(o)))
        return settle_uefi_kernel(o, err);
    if (b->kernel)
        return check_readable("kernel", b->kernel, err) && check_readable("initrd", b->initrd, err);
    return find_bios(o, err);
}
