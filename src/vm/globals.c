/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -global: property values for every device of a type, the board's own ones too. They are tried on
 * a device of that type first, so that a wrong one is an error and setting them later cannot fail.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/optlist.h"
#include "base/scope.h"
#include "vm/vm_priv.h"

struct vm_global {
    struct vm_global *next;
    const struct device_type *type;
    char *prop, *value;
};

static bool append(struct vm *vm, const char *driver, const char *prop, const char *value,
                   struct error *err)
{
    const struct device_type *t = device_type_find(driver);
    if (!t) {
        fprintf(stderr, "warning: global %s.%s has invalid class name\n", driver, prop);
        return true;
    }
    const struct device_ctx ctx = { .loop = vm->loop };
    struct device *trial = device_new(t, NULL, &ctx);
    bool ok = device_set(trial, prop, value, err);
    device_free(trial);
    if (!ok)
        return false;
    struct vm_global **p = &vm->globals;
    while (*p)
        p = &(*p)->next;
    *p = xnew(struct vm_global);
    (*p)->type = t;
    (*p)->prop = xstrdup(prop);
    (*p)->value = xstrdup(value);
    return true;
}

/* "driver.prop=value", or "driver=D,property=P,value=V". */
static bool parse(struct vm *vm, const char *text, struct error *err)
{
    const char *dot = strchr(text, '.'), *eq = strchr(text, '=');
    if (dot && eq && dot < eq) {
        AUTO_FREE char *driver = xstrndup(text, dot - text);
        AUTO_FREE char *prop = xstrndup(dot + 1, eq - dot - 1);
        return append(vm, driver, prop, eq + 1, err);
    }
    struct optlist l = { 0 };
    bool ok = optlist_parse(&l, text, NULL, err);
    const char *driver = ok ? optlist_take(&l, "driver") : NULL;
    const char *prop = ok ? optlist_take(&l, "property") : NULL;
    const char *value = ok ? optlist_take(&l, "value") : NULL;
    ok = ok && optlist_done(&l, "-global", err);
    if (ok && (!driver || !prop || !value)) {
        ok = fail(err, EINVAL, "it lacks the driver, the property or the value");
        (void)fail_hint(err, "write -global DRIVER.PROPERTY=VALUE");
    }
    ok = ok && append(vm, driver, prop, value, err);
    optlist_finish(&l);
    return ok;
}

bool vm_make_globals(struct vm *vm, struct error *err)
{
    for (const char *const *p = vm->config.globals; p && *p; p++) {
        if (!parse(vm, *p, err)) {
            err_prefix(err, "-global %s: ", *p);
            return false;
        }
    }
    return true;
}

void vm_apply_globals(struct vm *vm, struct device *dev)
{
    struct error ignored;
    for (const struct vm_global *g = vm->globals; g; g = g->next) {
        bool ok = g->type != dev->type || device_set(dev, g->prop, g->value, &ignored);
        (void)ok; /* it was tried when it was made */
    }
}

void vm_free_globals(struct vm *vm)
{
    for (struct vm_global *g = vm->globals, *next; g; g = next) {
        next = g->next;
        free(g->prop);
        free(g->value);
        free(g);
    }
    vm->globals = NULL;
}
