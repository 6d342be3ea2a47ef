/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/filter/blkdebug_rules.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"

#define MAX_CONFIG (1 << 20)

enum rule_kind { RULE_INJECT, RULE_SET_STATE, RULE_STOP };

struct blkdebug_rule {
    struct blkdebug_rule *next;
    enum rule_kind kind;
    enum disk_event event;
    uint64_t state;     /* 0: any */
    uint64_t new_state; /* SET_STATE */
    char *tag;          /* STOP */
    /* INJECT */
    unsigned io; /* bits of enum blkdebug_io */
    int error;   /* negative errno */
    int64_t sector;
    bool once, active;
};

/* A request that waits in blkdebug_rules_event(); on its stack. */
struct blkdebug_stop {
    struct blkdebug_stop *next;
    char *tag;
    bool go;
};

static const char *const event_names[EVENT_COUNT + 1] = {
    [EVENT_NONE] = "none",
    [EVENT_L1_UPDATE] = "l1_update",
    [EVENT_L1_GROW_ALLOC_TABLE] = "l1_grow_alloc_table",
    [EVENT_L1_GROW_WRITE_TABLE] = "l1_grow_write_table",
    [EVENT_L1_GROW_ACTIVATE_TABLE] = "l1_grow_activate_table",
    [EVENT_L2_LOAD] = "l2_load",
    [EVENT_L2_UPDATE] = "l2_update",
    [EVENT_L2_UPDATE_COMPRESSED] = "l2_update_compressed",
    [EVENT_L2_ALLOC_COW_READ] = "l2_alloc_cow_read",
    [EVENT_L2_ALLOC_WRITE] = "l2_alloc_write",
    [EVENT_READ_AIO] = "read_aio",
    [EVENT_READ_BACKING_AIO] = "read_backing_aio",
    [EVENT_READ_COMPRESSED] = "read_compressed",
    [EVENT_WRITE_AIO] = "write_aio",
    [EVENT_WRITE_COMPRESSED] = "write_compressed",
    [EVENT_VMSTATE_LOAD] = "vmstate_load",
    [EVENT_VMSTATE_SAVE] = "vmstate_save",
    [EVENT_COW_READ] = "cow_read",
    [EVENT_COW_WRITE] = "cow_write",
    [EVENT_REFTABLE_LOAD] = "reftable_load",
    [EVENT_REFTABLE_GROW] = "reftable_grow",
    [EVENT_REFTABLE_UPDATE] = "reftable_update",
    [EVENT_REFBLOCK_LOAD] = "refblock_load",
    [EVENT_REFBLOCK_UPDATE] = "refblock_update",
    [EVENT_REFBLOCK_UPDATE_PART] = "refblock_update_part",
    [EVENT_REFBLOCK_ALLOC] = "refblock_alloc",
    [EVENT_REFBLOCK_ALLOC_HOOKUP] = "refblock_alloc_hookup",
    [EVENT_REFBLOCK_ALLOC_WRITE] = "refblock_alloc_write",
    [EVENT_REFBLOCK_ALLOC_WRITE_BLOCKS] = "refblock_alloc_write_blocks",
    [EVENT_REFBLOCK_ALLOC_WRITE_TABLE] = "refblock_alloc_write_table",
    [EVENT_REFBLOCK_ALLOC_SWITCH_TABLE] = "refblock_alloc_switch_table",
    [EVENT_CLUSTER_ALLOC] = "cluster_alloc",
    [EVENT_CLUSTER_ALLOC_BYTES] = "cluster_alloc_bytes",
    [EVENT_CLUSTER_FREE] = "cluster_free",
    [EVENT_FLUSH_TO_OS] = "flush_to_os",
    [EVENT_FLUSH_TO_DISK] = "flush_to_disk",
    [EVENT_PWRITEV_RMW_HEAD] = "pwritev_rmw_head",
    [EVENT_PWRITEV_RMW_AFTER_HEAD] = "pwritev_rmw_after_head",
    [EVENT_PWRITEV_RMW_TAIL] = "pwritev_rmw_tail",
    [EVENT_PWRITEV_RMW_AFTER_TAIL] = "pwritev_rmw_after_tail",
    [EVENT_PWRITEV] = "pwritev",
    [EVENT_PWRITEV_ZERO] = "pwritev_zero",
    [EVENT_PWRITEV_DONE] = "pwritev_done",
    [EVENT_EMPTY_IMAGE_PREPARE] = "empty_image_prepare",
    [EVENT_L1_SHRINK_WRITE_TABLE] = "l1_shrink_write_table",
    [EVENT_L1_SHRINK_FREE_L2_CLUSTERS] = "l1_shrink_free_l2_clusters",
    [EVENT_COR_WRITE] = "cor_write",
    [EVENT_CLUSTER_ALLOC_SPACE] = "cluster_alloc_space",
};

static const char *const io_names[BLKDEBUG_IO_COUNT + 1] = {
    [BLKDEBUG_READ] = "read",
    [BLKDEBUG_WRITE] = "write",
    [BLKDEBUG_WRITE_ZEROES] = "write-zeroes",
    [BLKDEBUG_DISCARD] = "discard",
    [BLKDEBUG_FLUSH] = "flush",
    [BLKDEBUG_BLOCK_STATUS] = "block-status",
};

const struct field blkdebug_inject_fields[] = {
    FIELD(struct blkdebug_section, event, .doc = "where the rule begins to count"),
    FIELD(struct blkdebug_section, state, .doc = "only in this state (default: any)"),
    FIELD(struct blkdebug_section, iotype,
          .doc = "read, write, write-zeroes, discard, flush or block-status (default: all but the "
                 "last)"),
    FIELD(struct blkdebug_section, error, .wire = "errno", .min = 1, .max = 4095,
          .doc = "error number of the host (default: 5, EIO)"),
    FIELD(struct blkdebug_section, sector, .min = -1, .max = INT64_MAX / 512,
          .doc = "only requests that touch this 512-byte sector"),
    FIELD(struct blkdebug_section, once, .doc = "one request only"),
    FIELD(struct blkdebug_section, immediately, .doc = "fail before rather than after waiting"),
    { 0 },
};

const struct field blkdebug_set_state_fields[] = {
    FIELD(struct blkdebug_section, event, .doc = "what changes the state"),
    FIELD(struct blkdebug_section, state, .doc = "only in this state (default: any)"),
    FIELD(struct blkdebug_section, new_state, .doc = "the state from then on"),
    { 0 },
};

/* -1: there is none. People also write "refblock_alloc.write". */
static int find_name(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++) {
        const char *a = names[i], *b = name;

        while (*a && (*a == *b || (*a == '_' && *b == '.')))
            a++, b++;
        if (!*a && !*b)
            return i;
    }
    return -1;
}

void blkdebug_rules_init(struct blkdebug_rules *r)
{
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    r->state = 1;
}

static void free_rule(struct blkdebug_rule *rule)
{
    free(rule->tag);
    free(rule);
}

void blkdebug_rules_finish(struct blkdebug_rules *r)
{
    for (struct blkdebug_rule *rule; (rule = r->first);) {
        r->first = rule->next;
        free_rule(rule);
    }
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
}

static void append_locked(struct blkdebug_rules *r, struct blkdebug_rule *rule)
{
    struct blkdebug_rule **end = &r->first;

    while (*end)
        end = &(*end)->next;
    *end = rule;
}

struct blkdebug_section blkdebug_section_default(void)
{
    return (struct blkdebug_section){ .error = EIO, .sector = -1 };
}

bool blkdebug_rules_add(struct blkdebug_rules *r, bool inject, struct blkdebug_section *s,
                        struct error *err)
{
    int event = s->event ? find_name(event_names, s->event) : -1;
    int io = s->iotype ? find_name(io_names, s->iotype) : 0;
    struct blkdebug_rule *rule;

    if (event < 0) {
        const char *near = s->event ? nearest_name(s->event, event_names) : NULL;

        fail(err, EINVAL, "blkdebug: Invalid event name \"%s\"", s->event ? s->event : "");
        return fail_hint(err, near ? "did you mean '%s'?" : "events are named as in %s",
                         near ? near : "rhea-disk(7)");
    }
    if (io < 0) {
        fail(err, EINVAL, "blkdebug: there is no iotype \"%s\"", s->iotype);
        return fail_hint(err, "read, write, write-zeroes, discard, flush, block-status");
    }
    rule = xnew(struct blkdebug_rule);
    rule->kind = inject ? RULE_INJECT : RULE_SET_STATE;
    rule->event = (enum disk_event)event;
    rule->state = s->state;
    rule->new_state = s->new_state;
    rule->io = s->iotype ? 1u << io : (1u << BLKDEBUG_BLOCK_STATUS) - 1;
    rule->error = -(int)s->error;
    rule->sector = s->sector;
    rule->once = s->once;
    rule->active = inject && event == EVENT_NONE;
    WITH_LOCK (&r->lock)
        append_locked(r, rule);
    free(s->event);
    free(s->iotype);
    return true;
}

/* The text between blanks, without its quotes; changes the line. */
static char *trim(char *s)
{
    size_t n;

    while (isspace((unsigned char)*s))
        s++;
    n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1]))
        s[--n] = '\0';
    if (n > 1 && s[0] == '"' && s[n - 1] == '"') {
        s[n - 1] = '\0';
        s++;
    }
    return s;
}

struct config {
    struct blkdebug_rules *rules;
    const struct field *table; /* of the section being read; NULL before the first */
    struct blkdebug_section section;
    unsigned line;
};

static bool end_section(struct config *c, struct error *err)
{
    bool ok = !c->table ||
              blkdebug_rules_add(c->rules, c->table == blkdebug_inject_fields, &c->section, err);

    if (!ok)
        field_free_strings(&c->section, c->table);
    c->section = blkdebug_section_default();
    c->table = NULL;
    return ok;
}

/* [inject-error] or [set-state "some name"] */
static bool begin_section(struct config *c, char *text, struct error *err)
{
    char *close = strchr(text, ']');

    if (!close)
        return fail(err, EINVAL, "a section begins '[' but has no ']'");
    *close = '\0';
    text[strcspn(text, " \t\"")] = '\0';
    if (!end_section(c, err))
        return false;
    if (!strcmp(text, "inject-error"))
        c->table = blkdebug_inject_fields;
    else if (!strcmp(text, "set-state"))
        c->table = blkdebug_set_state_fields;
    if (c->table)
        return true;
    fail(err, EINVAL, "there is no section [%s]", text);
    return fail_hint(err, "sections are [inject-error] and [set-state]");
}

static bool parse_line(struct config *c, char *line, struct error *err)
{
    char *text = trim(line), *equals;

    if (!*text || *text == '#')
        return true;
    if (*text == '[')
        return begin_section(c, text + 1, err);
    equals = strchr(text, '=');
    if (!equals || !c->table)
        return fail(err, EINVAL,
                    equals ? "a value outside of a section"
                           : "neither a section nor key = \"value\"");
    *equals = '\0';
    return field_set_str(&c->section, c->table, trim(text), trim(equals + 1), err);
}

bool blkdebug_rules_parse(struct blkdebug_rules *r, char *text, struct error *err)
{
    struct config c = { .rules = r, .section = blkdebug_section_default() };

    for (char *line; (line = strsep(&text, "\n"));) {
        c.line++;
        if (!parse_line(&c, line, err))
            goto failed;
    }
    if (end_section(&c, err))
        return true;
failed:
    err_prefix(err, "line %u: ", c.line);
    if (c.table)
        field_free_strings(&c.section, c.table);
    return false;
}

bool blkdebug_rules_load(struct blkdebug_rules *r, const char *path, struct error *err)
{
    FILE *f = fopen(path, "re");
    AUTO_FREE char *text = NULL;
    size_t n = 0;
    bool ok;

    if (!f) {
        int code = errno;

        return fail(err, code, "Could not read blkdebug config file '%s': %s", path,
                    strerror(code));
    }
    text = xcalloc(1, MAX_CONFIG + 1);
    n = fread(text, 1, MAX_CONFIG, f);
    ok = !ferror(f) && n < MAX_CONFIG && !memchr(text, 0, n);
    (void)fclose(f);
    if (!ok)
        return fail(err, EINVAL, "blkdebug config file '%s' is not a text of less than a megabyte",
                    path);
    if (blkdebug_rules_parse(r, text, err))
        return true;
    err_prefix(err, "'%s' ", path);
    return false;
}

static void stop_locked(struct blkdebug_rules *r, char *own_tag)
{
    struct blkdebug_stop stop = { .tag = own_tag }, **p = &r->stopped;

    while (*p)
        p = &(*p)->next;
    *p = &stop;
    pthread_cond_broadcast(&r->changed);
    while (!stop.go)
        pthread_cond_wait(&r->changed, &r->lock);
    free(own_tag);
}

void blkdebug_rules_event(struct blkdebug_rules *r, enum disk_event e)
{
    bool injected = false;

    WITH_LOCK (&r->lock) {
        uint64_t new_state = r->state;
        char *tag = NULL;

        for (struct blkdebug_rule *rule = r->first; rule; rule = rule->next)
            injected |= rule->kind == RULE_INJECT && rule->event == e &&
                        (!rule->state || rule->state == r->state);
        for (struct blkdebug_rule **p = &r->first, *rule; (rule = *p);) {
            bool hit = rule->event == e && (!rule->state || rule->state == r->state);

            if (rule->kind == RULE_INJECT && injected && rule->event != EVENT_NONE)
                rule->active = hit;
            else if (rule->kind == RULE_SET_STATE && hit)
                new_state = rule->new_state;
            if (rule->kind == RULE_STOP && hit && !tag) {
                tag = TAKE(rule->tag);
                *p = rule->next;
                free_rule(rule);
            } else {
                p = &rule->next;
            }
        }
        r->state = new_state;
        if (tag)
            stop_locked(r, tag);
    }
}

static bool matches(const struct blkdebug_rule *rule, enum blkdebug_io io, uint64_t offset,
                    uint64_t len, uint64_t state)
{
    uint64_t at = (uint64_t)rule->sector * 512;

    if (rule->kind != RULE_INJECT || !rule->active || !(rule->io >> io & 1))
        return false;
    if (rule->event == EVENT_NONE && rule->state && rule->state != state)
        return false;
    return rule->sector < 0 || (at < offset + len && offset < at + 512);
}

int blkdebug_rules_check(struct blkdebug_rules *r, enum blkdebug_io io, uint64_t offset,
                         uint64_t len)
{
    int error = 0;

    WITH_LOCK (&r->lock) {
        for (struct blkdebug_rule **p = &r->first, *rule; !error && (rule = *p); p = &rule->next) {
            if (!matches(rule, io, offset, len, r->state))
                continue;
            error = rule->error;
            if (rule->once) {
                *p = rule->next;
                free_rule(rule);
                break;
            }
        }
    }
    return error;
}

int blkdebug_rules_break(struct blkdebug_rules *r, const char *event, const char *tag)
{
    int e = find_name(event_names, event);
    struct blkdebug_rule *rule;

    if (e < 0)
        return -EINVAL;
    rule = xnew(struct blkdebug_rule);
    rule->kind = RULE_STOP;
    rule->event = (enum disk_event)e;
    rule->tag = xstrdup(tag);
    WITH_LOCK (&r->lock)
        append_locked(r, rule);
    return 0;
}

int blkdebug_rules_resume(struct blkdebug_rules *r, const char *tag, bool all)
{
    int result = -ENOENT;

    WITH_LOCK (&r->lock) {
        for (struct blkdebug_rule **p = &r->first, *rule; all && (rule = *p);) {
            if (rule->kind == RULE_STOP && (!tag || !strcmp(rule->tag, tag))) {
                *p = rule->next;
                free_rule(rule);
                result = 0;
            } else {
                p = &rule->next;
            }
        }
        for (struct blkdebug_stop **p = &r->stopped, *stop; (stop = *p);) {
            if (tag && strcmp(stop->tag, tag)) {
                p = &stop->next;
                continue;
            }
            *p = stop->next;
            stop->go = true;
            result = 0;
            if (!all)
                break;
        }
        pthread_cond_broadcast(&r->changed);
    }
    return result;
}

bool blkdebug_rules_stopped(struct blkdebug_rules *r, const char *tag, bool wait)
{
    bool found = false;

    WITH_LOCK (&r->lock) {
        for (;;) {
            for (struct blkdebug_stop *s = r->stopped; s && !found; s = s->next)
                found = !strcmp(s->tag, tag);
            if (found || !wait)
                break;
            pthread_cond_wait(&r->changed, &r->lock);
        }
    }
    return found;
}
