/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Options about the emulator's process, and those that stand for other options: -set, -readconfig.
 */
#include "main/options.h"

#include "base/alloc.h"
#include "base/optlist.h"
#include "base/scope.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool opt_daemonize(struct options *o, const char *arg, struct error *err)
{
    o->process.daemonize = true;
    return true;
}

bool opt_pidfile(struct options *o, const char *arg, struct error *err)
{
    o->process.pidfile = arg;
    return true;
}

bool opt_runas(struct options *o, const char *arg, struct error *err)
{
    o->process.runas = arg;
    return true;
}

bool opt_chroot(struct options *o, const char *arg, struct error *err)
{
    o->process.chroot = arg;
    return true;
}

static const char *kept_text(struct options *o, struct optlist *l, const char *key, const char *old)
{
    const char *v = optlist_take(l, key);
    return v ? options_keep(o, xstrdup(v)) : old;
}

bool opt_run_with(struct options *o, const char *arg, struct error *err)
{
    struct optlist l = { 0 };
    bool teardown = false;
    bool ok = optlist_parse(&l, arg, NULL, err);
    if (ok) {
        o->process.chroot = kept_text(o, &l, "chroot", o->process.chroot);
        o->process.runas = kept_text(o, &l, "user", o->process.runas);
        ok = optlist_take_bool(&l, "async-teardown", &teardown, err) &&
             optlist_done(&l, "-run-with", err);
    }
    if (ok && teardown) {
        ok = fail(err, ENOTSUP, "-run-with async-teardown=on comes with a later release");
        (void)fail_hint(err, "leave it out");
    }
    optlist_finish(&l);
    return ok;
}

bool opt_overcommit(struct options *o, const char *arg, struct error *err)
{
    struct optlist l = { 0 };
    bool cpu_pm = false;
    bool ok = optlist_parse(&l, arg, NULL, err) &&
              optlist_take_bool(&l, "mem-lock", &o->process.mem_lock, err) &&
              optlist_take_bool(&l, "cpu-pm", &cpu_pm, err) && optlist_done(&l, "-overcommit", err);
    if (ok && cpu_pm) {
        ok = fail(err, ENOTSUP, "-overcommit cpu-pm=on comes with a later release");
        (void)fail_hint(err, "leave it out");
    }
    optlist_finish(&l);
    return ok;
}

bool opt_msg(struct options *o, const char *arg, struct error *err)
{
    struct optlist l = { 0 };
    bool ok = optlist_parse(&l, arg, "timestamp", err) &&
              optlist_take_bool(&l, "timestamp", &o->msg_timestamp, err) &&
              optlist_take_bool(&l, "guest-name", &o->msg_guest_name, err) &&
              optlist_done(&l, "-msg", err);
    optlist_finish(&l);
    return ok;
}

/* --- -sandbox --- */

static bool take_rule(struct optlist *l, const char *key, const char *const words[3], int *ret,
                      struct error *err)
{
    const char *v = optlist_take(l, key);
    for (int i = 0; v && i < 3 && words[i]; i++) {
        if (!strcmp(v, words[i])) {
            *ret = i;
            return true;
        }
    }
    if (!v)
        return true;
    (void)fail(err, EINVAL, "-sandbox %s=%s: no such choice", key, v);
    return fail_hint(err, "%s is %s or %s", key, words[0], words[1]);
}

bool opt_sandbox(struct options *o, const char *arg, struct error *err)
{
    static const char *const words[3] = { "allow", "deny", NULL };
    static const char *const elevate_words[3] = { "allow", "deny", "children" };
    struct process_config *p = &o->process;
    struct optlist l = { 0 };
    int obsolete = 1, elevate = 0, spawn = 0, resource = 0;
    bool ok = optlist_parse(&l, arg, "enable", err) &&
              optlist_take_bool(&l, "enable", &p->sandbox, err) &&
              take_rule(&l, "obsolete", words, &obsolete, err) &&
              take_rule(&l, "elevateprivileges", elevate_words, &elevate, err) &&
              take_rule(&l, "spawn", words, &spawn, err) &&
              take_rule(&l, "resourcecontrol", words, &resource, err) &&
              optlist_done(&l, "-sandbox", err);
    p->allow_obsolete = obsolete == 0;
    p->no_elevate = elevate == 1; /* children: PR_SET_NO_NEW_PRIVS is set in any case */
    p->no_spawn = spawn == 1;
    p->no_resource_control = resource == 1;
    optlist_finish(&l);
    return ok;
}

/* --- -set --- */

static GPtrArray *group(struct options *o, const char *name, const char **ret_first)
{
    const struct {
        const char *name, *first;
        GPtrArray *list;
    } groups[] = {
        { "device", "driver", o->devices },     { "drive", NULL, o->drives },
        { "chardev", "backend", o->chardevs },  { "object", "qom-type", o->objects },
        { "blockdev", "driver", o->blockdevs },
    };
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        if (!strcmp(groups[i].name, name)) {
            *ret_first = groups[i].first;
            return groups[i].list;
        }
    }
    return NULL;
}

static bool has_id(const char *text, const char *first, const char *id)
{
    struct optlist l = { 0 };
    struct error ignored;
    bool ok = *text == '{' ? optlist_parse_json(&l, text, &ignored)
                           : optlist_parse(&l, text, first, &ignored);
    const char *v = ok ? optlist_take(&l, "id") : NULL;
    ok = v && !strcmp(v, id);
    optlist_finish(&l);
    return ok;
}

static bool set_in(struct options *o, GPtrArray *list, const char *first, const char *id,
                   const char *rest, struct error *err)
{
    for (guint i = 0; list && i < list->len; i++) {
        const char *text = list->pdata[i];
        if (!has_id(text, first, id))
            continue;
        if (*text == '{') {
            (void)fail(err, EINVAL, "'%s' was written as JSON", id);
            return fail_hint(err, "put the property into the JSON");
        }
        list->pdata[i] = (void *)options_keep(o, xasprintf("%s,%s", text, rest));
        return true;
    }
    (void)fail(err, ENOENT, "there is no '%s' before it", id);
    return fail_hint(err, "-set comes behind the option that it changes");
}

bool opt_set(struct options *o, const char *arg, struct error *err)
{
    const char *dot = strchr(arg, '.'), *eq = strchr(arg, '='), *first = NULL;
    const char *key = eq;
    while (key && key > arg && *key != '.')
        key--;
    if (!dot || !eq || key <= dot) {
        (void)fail(err, EINVAL, "-set %s: not of the form group.id.arg=value", arg);
        return fail_hint(err, "-set device.disk0.serial=X");
    }
    AUTO_FREE char *name = xstrndup(arg, (size_t)(dot - arg));
    AUTO_FREE char *id = xstrndup(dot + 1, (size_t)(key - dot - 1));
    GPtrArray *list = group(o, name, &first);
    if (set_in(o, list, first, id, key + 1, err))
        return true;
    err_prefix(err, "-set %s: ", arg);
    return false;
}

/* --- -readconfig: sections [group "id"] of key = "value" --- */

struct config {
    struct options *o;
    const char *path;
    unsigned line;
    char *group;    /* of the section; NULL: none yet */
    GString *words; /* its option text */
};

static bool end_section(struct config *c, struct error *err)
{
    static const struct {
        const char *group, *option;
    } names[] = { { "memory", "m" }, { "smp-opts", "smp" }, { "boot-opts", "boot" } };
    const char *option = c->group;
    if (!c->group)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(names[i].group, option))
            option = names[i].option;
    bool ok = options_run(c->o, option, options_keep(c->o, xstrdup(c->words->str)), err);
    g_clear_pointer(&c->group, free);
    g_string_truncate(c->words, 0);
    return ok;
}

static void add_word(struct config *c, const char *key, const char *value)
{
    g_string_append_printf(c->words, "%s%s=", c->words->len ? "," : "", key);
    for (; *value; value++) {
        g_string_append_c(c->words, *value);
        if (*value == ',')
            g_string_append_c(c->words, ',');
    }
}

static bool read_line(struct config *c, char *line, struct error *err)
{
    char group[64], id[64], key[64], value[1024];
    g_strstrip(line);
    if (!*line || *line == '#')
        return true;
    if (sscanf(line, "[%63s \"%63[^\"]\"]", group, id) == 2) {
        if (!end_section(c, err))
            return false;
        c->group = xstrdup(group);
        add_word(c, !strcmp(group, "blockdev") ? "node-name" : "id", id);
        return true;
    }
    if (sscanf(line, "[%63[^]]]", group) == 1) {
        bool ok = end_section(c, err);
        c->group = xstrdup(group);
        return ok;
    }
    value[0] = 0;
    if (sscanf(line, "%63s = \"%1023[^\"]\"", key, value) < 1 || !strchr(line, '=') ||
        !strchr(line, '"'))
        return fail(err, EINVAL, "neither [group \"id\"] nor key = \"value\"");
    if (!c->group)
        return fail(err, EINVAL, "no group defined");
    add_word(c, key, value);
    return true;
}

bool opt_readconfig(struct options *o, const char *arg, struct error *err)
{
    struct config c = { .o = o, .path = arg, .words = g_string_new(NULL) };
    FILE *f = fopen(arg, "re");
    char line[1200];
    bool ok = f || fail(err, errno, "-readconfig %s: %s", arg, strerror(errno));
    while (ok && fgets(line, sizeof line, f)) {
        c.line++;
        ok = read_line(&c, line, err);
    }
    ok = ok && end_section(&c, err);
    if (!ok && f)
        err_prefix(err, "%s:%u: ", arg, c.line);
    if (f)
        fclose(f);
    free(c.group);
    g_string_free(c.words, TRUE);
    return ok;
}
