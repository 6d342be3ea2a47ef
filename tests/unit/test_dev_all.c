/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk over device_types[]: each one is made, reset, saved, loaded and freed, and its registers
 * are poked at random. Nothing may crash, and the state must survive the round trip.
 */
#include "base/alloc.h"
#include "dev/intc/apic_bus.h"
#include "dev/intc/ioapic.h"
#include "dev/intc/lapic.h"
#include "dev_fixture.h"

static struct apic_bus bus;

/* NULL: a device that needs more than this test can give (a PCI bus); its own test has it. */
static struct device *make(struct rig *r, const struct device_type *t)
{
    struct device *dev = device_new(t, NULL, &r->ctx);
    struct error err;

    memset(&bus, 0, sizeof bus);
    if (t == &ioapic_type)
        ioapic_attach(dev, &bus);
    if (t == &lapic_type)
        lapic_wire(dev, &(struct lapic_wiring){ .bus = &bus });
    if (device_init(dev, &err))
        return dev;
    CHECK(err.msg[0]);
    device_free(dev);
    return NULL;
}

static bool same(const struct device_state *a, const struct device_state *b)
{
    for (const struct field *f = a->type->state; f && f->name; f++) {
        const char *x = (char *)a->bytes + f->offset, *y = (char *)b->bytes + f->offset;

        if (memcmp(x, y, field_size(f) * f->count)) {
            printf("%s: field %s differs\n", a->type->name, f->name);
            return false;
        }
    }
    return true;
}

static uint64_t seed;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void poke(struct rig *r, struct device *dev, unsigned times)
{
    for (unsigned i = 0; i < times && dev->type->window_count; i++) {
        const struct device_window *w = &dev->type->windows[rnd() % dev->type->window_count];
        unsigned size = 1u << rnd() % 4, window = (unsigned)(w - dev->type->windows);
        gpa_t a = dev->windows[window].base + rnd() % w->size;

        if (rnd() & 1)
            mem_io_write(r->ports, mem_find(r->ports, a), a, rnd() >> rnd() % 64, size);
        else
            (void)mem_io_read(r->ports, mem_find(r->ports, a), a, size);
        if (dev->type->inputs && rnd() % 8 == 0)
            device_input(dev, (unsigned)(rnd() % dev->type->inputs), rnd() & 1);
        if (rnd() % 16 == 0)
            loop_step_virtual_ns(r->loop, (int64_t)(rnd() % 200000));
    }
}

static void walk(const struct device_type *t, unsigned pokes)
{
    struct device_state before, after;
    struct error err = { 0 };
    struct rig r;

    rig_open(&r);
    struct device *dev = make(&r, t);
    if (dev) {
        gpa_t base = 0;

        CHECK(t->doc && *t->doc);
        CHECK(device_type_find(t->name) == t);
        for (unsigned i = 0; i < t->window_count; i++) {
            mem_map(r.ports, base, &dev->windows[i], 0);
            base += 0x1000;
        }
        poke(&r, dev, pokes);
        device_state_save(dev, &before);
        device_reset(dev);
        if (!device_state_load(dev, &before, &err))
            TEST_FAIL("%s: %s", t->name, err.msg);
        device_state_save(dev, &after);
        CHECK(same(&before, &after));
        device_state_finish(&before);
        device_state_finish(&after);
        device_free(dev);
    }
    mem_free(r.mem);
    mem_free(r.ports);
    loop_unlock(r.loop);
    loop_free(r.loop);
}

TEST(life)
{
    for (const struct device_type *const *t = device_types; *t; t++)
        walk(*t, 0);
}

TEST(random_registers)
{
    for (unsigned round = 1; round <= 20; round++) {
        seed = round * UINT64_C(0x9e3779b97f4a7c15);
        for (const struct device_type *const *t = device_types; *t; t++)
            walk(*t, 1000);
    }
}

/* Loading garbage either fails with a message or leaves a device that works. */
TEST(random_state)
{
    for (unsigned round = 1; round <= 50; round++) {
        seed = round * UINT64_C(0xd1342543de82ef95);
        for (const struct device_type *const *t = device_types; *t; t++) {
            struct device_state s;
            struct error err = { 0 };
            struct rig r;

            rig_open(&r);
            struct device *dev = make(&r, *t);
            if (dev) {
                for (unsigned i = 0; i < (*t)->window_count; i++)
                    mem_map(r.ports, i * 0x1000, &dev->windows[i], 0);
                device_state_save(dev, &s);
                for (const struct field *f = (*t)->state; f && f->name; f++) {
                    if (f->kind == FIELD_STRING || f->kind == FIELD_POINTER)
                        continue;
                    for (unsigned i = 0; i < f->count; i++) {
                        uint64_t v = rnd() >> rnd() % 64;

                        if (f->kind == FIELD_BOOL)
                            v &= 1;
                        if (f->max)
                            v %= f->max + 1;
                        if (v >= (uint64_t)f->min || f->min < 0)
                            field_put(s.bytes, f, i, v);
                    }
                }
                if (device_state_load(dev, &s, &err))
                    poke(&r, dev, 200);
                else
                    CHECK(err.msg[0]);
                device_state_finish(&s);
                device_free(dev);
            }
            mem_free(r.mem);
            mem_free(r.ports);
            loop_unlock(r.loop);
            loop_free(r.loop);
        }
    }
}
