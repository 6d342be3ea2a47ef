/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -accel, -enable-kvm, and what -machine says about the accelerator. */
#include "accel/accel.h"
#include "base/alloc.h"
#include "base/bits.h"
#include "base/optlist.h"
#include "base/str.h"
#include "main/options.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static void print_accels(const struct options *o, FILE *f)
{
    accel_help(f);
}

static void print_props(const struct options *o, FILE *f)
{
    (void)accel_props_help(o->help_text, f);
}

static void add_accel(struct options *o, const char *name)
{
    o->accel_list = o->accel_list ? options_keep(o, xasprintf("%s:%s", o->accel_list, name))
                                  : options_keep(o, xstrdup(name));
}

bool accel_settle(struct options *o, struct error *err)
{
    o->vm.accel.names = o->accel_list;
    return !o->accel_list || accel_check_names(o->accel_list, err);
}

static bool tcg_props(struct options *o, struct optlist *l, struct error *err)
{
    uint64_t tb_mib = 0;
    bool split = false, one = false;
    const char *thread = optlist_take(l, "thread");
    if (thread && strcmp(thread, "single") && strcmp(thread, "multi")) {
        (void)fail(err, EINVAL, "-accel thread=%s", thread);
        return fail_hint(err, "thread is single or multi");
    }
    if (!optlist_take_u64(l, "tb-size", &tb_mib, err) ||
        !optlist_take_bool(l, "split-wx", &split, err) ||
        !optlist_take_bool(l, "one-insn-per-tb", &one, err))
        return false;
    if (one)
        return fail(err, ENOTSUP, "-accel one-insn-per-tb=on comes with a later release");
    if (tb_mib > 2048) {
        (void)fail(err, EINVAL, "-accel tb-size=%" PRIu64 ": too much", tb_mib);
        return fail_hint(err, "it counts MiB, 2048 at most");
    }
    o->vm.board.tb_size = tb_mib * MIB; /* 0: the default */
    return true;
}

bool opt_accel_kvm(struct options *o, struct optlist *l, struct error *err)
{
    static const char *const modes[] = {
        [IRQCHIP_USER] = "off", [IRQCHIP_SPLIT] = "split", [IRQCHIP_KERNEL] = "on"
    };
    const char *chip = optlist_take(l, "kernel-irqchip");
    uint64_t shadow = 0;
    unsigned n = 0;
    while (chip && n < ARRAY_SIZE(modes) && strcmp(chip, modes[n]))
        n++;
    if (n == ARRAY_SIZE(modes)) {
        (void)fail(err, EINVAL, "kernel-irqchip=%s", chip);
        return fail_hint(err, "kernel-irqchip is on, off or split");
    }
    if (chip)
        o->vm.accel.irqchip = n;
    if (!optlist_take_size(l, "kvm-shadow-mem", 1, &shadow, err))
        return false;
    if (shadow)
        o->vm.accel.kvm_shadow_pages = MAX(shadow / 4096, UINT64_C(1));
    return true;
}

static bool kvm_props(struct options *o, struct optlist *l, struct error *err)
{
    const char *device = optlist_take(l, "device");
    uint64_t ring = 0;
    if (device)
        o->vm.accel.kvm_device = options_keep(o, xstrdup(device));
    if (!opt_accel_kvm(o, l, err) || !optlist_take_u64(l, "dirty-ring-size", &ring, err))
        return false;
    if (!ring)
        return true;
    (void)fail(err, ENOTSUP, "-accel dirty-ring-size=%" PRIu64 ": there is no dirty ring here",
               ring);
    return fail_hint(err, "leave it out: bitmaps do the same");
}

bool opt_accel(struct options *o, const char *arg, struct error *err)
{
    struct optlist l = { 0 };
    if (!strcmp(arg, "help") || !strcmp(arg, "?")) {
        o->print = print_accels;
        return true;
    }
    bool ok = optlist_parse(&l, arg, "accel", err);
    const char *name = ok ? optlist_take(&l, "accel") : NULL;
    if (ok && !name)
        ok = fail(err, EINVAL, "-accel %s: which accelerator?", arg);
    ok = ok && accel_check_names(name, err);
    if (ok && optlist_take(&l, "help")) {
        o->help_text = options_keep(o, xstrdup(name));
        o->print = print_props;
    } else if (ok) {
        add_accel(o, name);
        ok = (strstr(name, "kvm") ? kvm_props(o, &l, err) : tcg_props(o, &l, err)) &&
             optlist_done(&l, "-accel", err);
    }
    optlist_finish(&l);
    return ok;
}

bool opt_enable_kvm(struct options *o, const char *arg, struct error *err)
{
    add_accel(o, "kvm");
    return true;
}
