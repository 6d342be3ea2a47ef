/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buses, properties, links and help of devices, with types of the tests' own beside a real one. */
#include "dev_fixture.h"

#include <errno.h>

#include "dev/bus.h"
#include "dev/isa/isa.h"

struct inner {
    struct device dev;
    uint32_t depth;
    void *target;
};

struct outer {
    struct device dev;
    struct device *in;
    uint32_t width;
    struct device_bus bus;
};

static const struct device_type inner_type = {
    .name = "inner",
    .doc = "inside",
    .size = sizeof(struct inner),
    .props = FIELDS(FIELD(struct inner, depth, .max = 9),
                    FIELD_LINK(struct inner, target, "thing", .wire = "target")),
};

static void outer_defaults(struct device *dev)
{
    ((struct outer *)dev)->in = device_new(&inner_type, dev->id, &dev->ctx);
}

static struct device *inner_of(struct device *dev)
{
    return ((struct outer *)dev)->in;
}

static bool outer_init(struct device *dev, struct error *err)
{
    bus_init(&((struct outer *)dev)->bus, &isa_bus_type, dev, NULL, NULL);
    return true;
}

static void outer_finish(struct device *dev)
{
    bus_finish(&((struct outer *)dev)->bus);
    device_free(((struct outer *)dev)->in);
}

static const struct device_type outer_type = {
    .name = "outer",
    .doc = "outside",
    .size = sizeof(struct outer),
    .bus = "ISA",
    .props = FIELDS(FIELD(struct outer, width)),
    .defaults = outer_defaults,
    .init = outer_init,
    .finish = outer_finish,
    .inner = &inner_type,
    .inner_of = inner_of,
};

static int thing, taken;

static bool take(void *opaque, struct device *user, const char *kind, const char *name, void **ret,
                 struct error *err)
{
    CHECK_STR(kind, "thing");
    if (strcmp(name, "t0"))
        return fail(err, ENOENT, "no thing is called '%s'", name);
    taken++;
    *ret = &thing;
    return true;
}

static void give_back(void *opaque, struct device *user, const char *kind, void *object)
{
    CHECK(object == &thing);
    taken--;
}

static const struct device_links links = { .take = take, .give_back = give_back };

TEST(properties_of_a_proxy)
{
    struct error err = { 0 };
    struct rig r;
    rig_open(&r);
    r.ctx.links = &links;
    struct device *dev = r.dev = device_new(&outer_type, "o", &r.ctx);
    struct inner *in = (struct inner *)((struct outer *)dev)->in;
    CHECK(device_set(dev, "width", "3", &err) && device_set(dev, "depth", "9", &err));
    CHECK_EQ(((struct outer *)dev)->width, 3);
    CHECK_EQ(in->depth, 9);
    CHECK(!device_set(dev, "depth", "10", &err));
    CHECK(!device_set(dev, "dpth", "1", &err) && strstr(err.hint, "'depth'"));
    CHECK(!device_set(dev, "target", "t1", &err) && strstr(err.msg, "'t1'"));
    CHECK(device_set(dev, "target", "t0", &err) && in->target == &thing);
    CHECK(device_set(dev, "target", "t0", &err)); /* the first one is given back */
    CHECK_EQ(taken, 1);
    rig_close(&r);
    CHECK_EQ(taken, 0);
}

TEST(buses)
{
    struct device_bus root = { 0 };
    struct error err = { 0 };
    struct rig r;
    rig_open(&r);
    bus_init(&root, &isa_bus_type, NULL, "isa.0", NULL);
    struct device *a = device_new(&outer_type, "a", &r.ctx),
                  *b = device_new(&outer_type, "b", &r.ctx);
    root.room = 1;
    CHECK(bus_plug(&root, a, &err) && device_init(a, &err));
    CHECK(!bus_plug(&root, b, &err) && strstr(err.msg, "full"));
    CHECK(bus_find(&root, "isa.0") == &root && bus_find(&root, "a.0") == a->buses);
    CHECK(bus_find(&root, "a") == a->buses && !bus_find(&root, "b"));
    CHECK(bus_find_kind(&root, "ISA", true) == a->buses &&
          bus_find_kind(&root, "ISA", false) == &root);
    CHECK(!bus_find_kind(&root, "PCI", false));
    CHECK(bus_plug(a->buses, b, &err) && device_init(b, &err));
    CHECK_EQ(a->buses->count, 1);
    device_free(b);
    CHECK_EQ(a->buses->count, 0);
    device_free(a);
    CHECK_EQ(root.count, 0);
    bus_finish(&root);
    rig_close(&r);
}

TEST(help_of_every_type)
{
    for (const struct device_type *const *t = device_types; *t; t++) {
        char *text = NULL, arg[80];
        size_t size;
        struct error err = { 0 };
        if (!(*t)->bus)
            continue;
        CHECK((*t)->doc && *(*t)->doc);
        snprintf(arg, sizeof arg, "%s,help", (*t)->name);
        FILE *f = open_memstream(&text, &size);
        CHECK(device_help(f, arg, &err));
        fclose(f);
        if (!strstr(text, " options:\n"))
            TEST_FAIL("%s: %s", arg, text);
        free(text);
    }
}

TEST(names)
{
    struct error err = { 0 };
    CHECK(device_type_need("isa-debug-exit", &err) != NULL);
    CHECK(!device_type_need("isa-debug-exi", &err) && strstr(err.hint, "'isa-debug-exit'"));
    CHECK(!device_type_need("i8254", &err) && strstr(err.msg, "part of the board"));
    for (const struct device_type *const *t = device_types; *t; t++)
        for (const struct device_type *const *u = t + 1; *u; u++)
            if (!strcmp((*t)->name, (*u)->name))
                TEST_FAIL("two types are called %s", (*t)->name);
}
