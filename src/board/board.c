/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of boards, their names, and where firmware lies. */
#include "board/board.h"

#include "base/alloc.h"
#include "base/str.h"
#include "dev/bus.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

extern const struct board_type pc_board, q35_board, microvm_board;

const struct board_type *const board_types[] = { &pc_board, &q35_board, &microvm_board, NULL };

const char *const board_firmware_dirs[] = {
    RHEA_DATADIR,
    "/usr/share/seabios",
    "/usr/local/share/seabios",
    "/usr/share/qemu",
    "/usr/local/share/qemu",
    "/usr/lib/ipxe/qemu",
    NULL,
};

/* Machines of QEMU that are known by name and come with later issues. */
static const char *const later[] = { "isapc", "virt", "none", "x-remote" };

static bool is_later(const char *name)
{
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (!strncmp(name, later[i], strlen(later[i])))
            return true;
    return false;
}

const struct board_type *board_find(const char *name, struct error *err)
{
    const char *names[64];
    size_t n = 0;
    for (const struct board_type *const *t = board_types; *t; t++) {
        if (!strcmp(name, (*t)->name))
            return *t;
        names[n++] = (*t)->name;
        for (const char *const *s = (*t)->names; *s && n < 62; s++) {
            if (!strcmp(name, *s))
                return *t;
            names[n++] = *s;
        }
    }
    names[n] = NULL;
    if (is_later(name)) {
        (void)fail(err, ENOTSUP, "machine '%s' comes with a later release", name);
        (void)fail_hint(err, "the machine there is: -machine pc");
        return NULL;
    }
    const char *near = nearest_name(name, names);
    (void)fail(err, ENOENT, "no machine is called '%s'", name);
    if (near)
        (void)fail_hint(err, "did you mean '%s'? -machine help lists them", near);
    else
        (void)fail_hint(err, "-machine help lists them");
    return NULL;
}

void board_help(FILE *f)
{
    fprintf(f, "Supported machines are:\n");
    for (const struct board_type *const *t = board_types; *t; t++) {
        if ((*t)->names[0])
            fprintf(f, "%-20s %s (alias of %s)\n", (*t)->name, (*t)->doc, (*t)->names[0]);
        else
            fprintf(f, "%-20s %s\n", (*t)->name, (*t)->doc);
        for (const char *const *s = (*t)->names; *s; s++)
            fprintf(f, "%-20s %s%s\n", *s, (*t)->doc,
                    t == board_types && s == (*t)->names ? " (default)" : "");
    }
}

struct board_smp board_smp(const struct board_config *c)
{
    const struct board_smp one_socket = {
        .max_cpus = c->cpus, .sockets = 1, .dies = 1, .cores = c->cpus, .threads = 1
    };
    return c->smp.max_cpus ? c->smp : one_socket;
}

struct board *board_new(const struct board_type *type, const struct board_config *config,
                        struct loop *loop, const struct board_events *events, struct error *err)
{
    struct board *b = xcalloc(1, type->size);
    b->type = type;
    b->config = config;
    b->loop = loop;
    b->events = *events;
    if (!type->init(b, err)) {
        board_free(b);
        return NULL;
    }
    return b;
}

bool board_complete(struct board *b, struct error *err)
{
    return !b->type->complete || b->type->complete(b, err);
}

void board_add_bus(struct board *b, struct device_bus *bus)
{
    struct device_bus **p = &b->buses;
    while (*p)
        p = &(*p)->next;
    *p = bus;
}

void board_free(struct board *b)
{
    if (!b)
        return;
    b->type->finish(b);
    free(b);
}

char *board_find_firmware(const char *const *dirs, const char *name)
{
    for (; dirs && *dirs; dirs++) {
        char *path = xasprintf("%s/%s", *dirs, name);
        if (access(path, R_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}
