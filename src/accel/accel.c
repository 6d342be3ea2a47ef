/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Choosing an accelerator by name. */
#include "accel/accel.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"

static const struct {
    const char *name, *engine, *doc, *props;
} accels[] = {
    { "kvm", NULL, "the host's processor runs the guest, through /dev/kvm",
      "  device=<str>            - path of the KVM device (default: /dev/kvm)\n"
      "  dirty-ring-size=<num>   - 0: dirty pages come from bitmaps (the only way here)\n"
      "  kernel-irqchip=on|off|split - interrupt controllers in the kernel, here, or local APICs\n"
      "                            in the kernel and the rest here (default: on)\n"
      "  kvm-shadow-mem=<size>   - memory for the kernel's shadow page tables\n" },
    { "tcg", "tcg", "translation into code of the host",
      "  one-insn-per-tb=<bool>  - on comes with a later release\n"
      "  split-wx=<bool>         - as in QEMU; code is always mapped twice here\n"
      "  tb-size=<num>           - MiB of translated code to keep\n"
      "  thread=single|multi     - as in QEMU\n" },
    { "interp", "interp", "interpretation, slow: for finding errors of the translator", "" },
    { "jit", "tcg", NULL, NULL }, /* our own name for tcg */
};

static int find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(accels); i++)
        if (!strcmp(accels[i].name, name))
            return (int)i;
    return -1;
}

static bool unknown(const char *name, struct error *err)
{
    const char *names[ARRAY_SIZE(accels) + 1] = { 0 };
    const char *near;

    for (unsigned i = 0; i < ARRAY_SIZE(accels); i++)
        names[i] = accels[i].name;
    near = nearest_name(name, names);
    (void)fail(err, EINVAL, "no accelerator is called '%s'", name);
    return near ? fail_hint(err, "did you mean '%s'? -accel help lists them", near)
                : fail_hint(err, "-accel help lists them");
}

bool accel_check_names(const char *names, struct error *err)
{
    AUTO_FREE char *copy = xstrdup(names);
    char *save = NULL;
    unsigned n = 0;

    for (char *name = strtok_r(copy, ":", &save); name; name = strtok_r(NULL, ":", &save), n++)
        if (find(name) < 0)
            return unknown(name, err);
    return n > 0 || unknown(names, err);
}

bool accel_new(const struct accel_config *c, struct cpu_accel **ret, const char **ret_name,
               struct error *err)
{
    const char *names = c->names ? c->names : "tcg";
    AUTO_FREE char *copy = xstrdup(names);
    char *save = NULL;

    *ret = NULL;
    if (!accel_check_names(names, err))
        return false;
    for (char *name = strtok_r(copy, ":", &save); name; name = strtok_r(NULL, ":", &save)) {
        int i = find(name);

        if (accels[i].engine) {
            *ret_name = accels[i].engine;
            return true;
        }
        *ret_name = accels[i].name;
        *ret = kvm_new(c, err);
        if (*ret)
            return true;
        if (save && *save)
            log_text("%s is not usable (%s): falling back to %s\n", name, err->msg, save);
    }
    return false; /* with the reason of the last one */
}

void accel_free(struct cpu_accel *a)
{
    if (a)
        a->ops->free(a);
}

void accel_help(FILE *f)
{
    fprintf(f, "Accelerators supported in this binary:\n");
    for (unsigned i = 0; i < ARRAY_SIZE(accels); i++)
        if (accels[i].doc)
            fprintf(f, "%s\n", accels[i].name);
}

bool accel_props_help(const char *name, FILE *f)
{
    int i = find(name);

    if (i < 0)
        return false;
    if (!accels[i].props)
        i = find(accels[i].engine);
    fprintf(f, "%s: %s\n", accels[i].name, accels[i].doc);
    fprintf(f, accels[i].props[0] ? "%s-accel options:\n%s" : "There are no options for %s.\n",
            accels[i].name, accels[i].props);
    return true;
}
