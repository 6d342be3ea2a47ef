/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Doorbells and dirty logging of mem/. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bits.h"
#include "loop/loop.h"
#include "mem/dirty.h"
#include "mem/doorbell.h"
#include "mem/mem.h"
#include "test.h"

static struct loop *loop;
static unsigned writes;
static uint64_t last_write;

static struct mem *space(uint64_t ram)
{
    struct error err;

    loop = loop_new(&err);
    writes = 0;
    return mem_new(loop, "test", 0, ram, &err);
}

static void done(struct mem *m)
{
    mem_free(m);
    loop_free(loop);
}

static uint64_t io_read(void *opaque, uint64_t off, unsigned size)
{
    return 0;
}

static void io_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    writes++;
    last_write = val;
}

static const struct mem_io_ops ops = { io_read, io_write, 1, 8, false };

static void wr(struct mem *m, gpa_t a, uint64_t val, unsigned size)
{
    mem_io_write(m, mem_find(m, a), a, val, size);
}

static uint64_t rung(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof n) == sizeof n ? n : 0;
}

static int new_fd(void)
{
    return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

TEST(doorbell)
{
    struct mem *m = space(0);
    struct mem_region r;
    struct mem_doorbell any = { .off = 0x10, .fd = new_fd() };
    struct mem_doorbell seven = {
        .off = 0x10, .size = 2, .match = true, .value = 7, .fd = new_fd()
    };

    mem_region_init_io(&r, "bar", &ops, NULL, 0x1000);
    mem_doorbell_add(&r, &any); /* before it is mapped anywhere */
    mem_map(m, 0x10000, &r, 0);
    wr(m, 0x10010, 1, 4);
    CHECK_EQ(rung(any.fd), 1);
    CHECK_EQ(writes, 0);
    wr(m, 0x10014, 1, 4);
    CHECK_EQ(writes, 1);
    mem_doorbell_add(&r, &seven);
    wr(m, 0x10010, 7, 2);
    wr(m, 0x10010, 8, 2);
    wr(m, 0x10010, 7, 4);
    CHECK_EQ(rung(seven.fd), 1);
    CHECK_EQ(rung(any.fd), 2);
    mem_map(m, 0x20000, &r, 0); /* it moves */
    wr(m, 0x20010, 9, 1);
    CHECK_EQ(rung(any.fd), 1);
    wr(m, 0x10010, 9, 1); /* nothing here now */
    CHECK_EQ(rung(any.fd), 0);
    mem_doorbell_remove(&any);
    mem_doorbell_remove(&any);
    wr(m, 0x20010, 9, 1);
    CHECK_EQ(writes, 2);
    wr(m, 0x20010, 7, 2);
    CHECK_EQ(rung(seven.fd), 1);
    mem_doorbell_remove(&seven);
    wr(m, 0x20010, 7, 2);
    CHECK_EQ(writes, 3);
    close(any.fd);
    close(seven.fd);
    done(m);
}

TEST(doorbell_list_and_alias)
{
    struct mem *m = space(0);
    struct mem_region r, shown;
    struct mem_doorbell a = { .off = 0x800, .size = 4, .fd = new_fd() };
    struct mem_doorbell b = { .off = 0x10, .size = 4, .fd = new_fd() };
    const struct mem_doorbell_at *at;
    uint32_t n;

    mem_region_init_io(&r, "bar", &ops, NULL, 0x1000);
    mem_region_init_alias(&shown, "half", &r, 0x800, 0x800);
    mem_map(m, 0x4000, &shown, 0);
    mem_doorbell_add(&r, &a);
    mem_doorbell_add(&r, &b); /* not in the half that is shown */
    at = mem_doorbells(m, &n);
    CHECK_EQ(n, 1);
    CHECK_EQ(at[0].addr, 0x4000);
    CHECK_EQ(at[0].fd, a.fd);
    wr(m, 0x4000, 5, 4);
    CHECK_EQ(rung(a.fd), 1);
    mem_doorbell_remove(&a);
    mem_doorbells(m, &n);
    CHECK_EQ(n, 0);
    mem_doorbell_remove(&b);
    close(a.fd);
    close(b.fd);
    done(m);
}

/* An overlay sees the doorbells below it, and its writes mark pages. */
TEST(overlay)
{
    struct mem *m = space(1 << 20), *over;
    struct mem_region ram, r, own;
    struct mem_doorbell d = { .off = 0, .fd = new_fd() };
    uint64_t map[4];
    struct error err;
    gra_t gra;

    CHECK(mem_ram_alloc(m, 1 << 20, &gra, &err));
    mem_region_init_ram(&ram, "ram", gra, 1 << 20);
    mem_map(m, 0, &ram, 0);
    mem_region_init_io(&r, "bar", &ops, NULL, 0x1000);
    mem_map(m, 0x200000, &r, 0);
    over = mem_new_overlay(m, "over");
    mem_region_init_ram(&own, "own", gra + 0x8000, 0x1000);
    mem_map(over, 0x300000, &own, 0);
    mem_map(m, 0x210000, &r, 0);
    mem_doorbell_add(&r, &d);
    wr(m, 0x210000, 1, 4);
    wr(over, 0x210000, 1, 4);
    CHECK_EQ(rung(d.fd), 2);
    CHECK_EQ(writes, 0);
    mem_dirty_start(m, MEM_DIRTY_MIGRATION, 0, 1 << 20);
    CHECK_EQ(mem_dirty_fetch(m, MEM_DIRTY_MIGRATION, 0, 256, map), 256);
    mem_store8(over, 0x300000, 1);
    CHECK_EQ(mem_dirty_fetch(m, MEM_DIRTY_MIGRATION, 0, 256, map), 1);
    CHECK_EQ(map[0], BIT(8));
    mem_doorbell_remove(&d);
    close(d.fd);
    wr(m, 0x210000, 1, 4);
    wr(over, 0x210000, 1, 4);
    CHECK_EQ(writes, 2);
    mem_free(over);
    done(m);
}

struct ringer {
    struct mem *m;
    struct mem_reader reader;
    atomic_bool quit;
};

static void *ring_thread(void *arg)
{
    struct ringer *t = arg;

    while (!atomic_load(&t->quit)) {
        wr(t->m, 0x1000, 1, 4);
        mem_quiet(t->m, &t->reader);
    }
    return NULL;
}

/* The descriptor is not written after its doorbell was removed, whatever other threads do. */
TEST(doorbell_race)
{
    struct ringer t = { .m = space(0) };
    struct mem_region r;
    pthread_t thread;

    mem_region_init_io(&r, "bar", &ops, NULL, 0x1000);
    mem_map(t.m, 0x1000, &r, 0);
    loop_lock(loop);
    mem_reader_add(t.m, &t.reader);
    loop_unlock(loop);
    pthread_create(&thread, NULL, ring_thread, &t);
    for (unsigned i = 0; i < 300; i++) {
        struct mem_doorbell d = { .fd = new_fd() };

        loop_lock(loop);
        mem_doorbell_add(&r, &d);
        mem_doorbell_remove(&d);
        loop_unlock(loop);
        (void)rung(d.fd);
        sched_yield();
        CHECK_EQ(rung(d.fd), 0);
        close(d.fd);
    }
    atomic_store(&t.quit, true);
    pthread_join(thread, NULL);
    loop_lock(loop);
    mem_reader_remove(t.m, &t.reader);
    loop_unlock(loop);
    done(t.m);
}

/* --- dirty logging --- */

enum { PAGES = 300 };

static unsigned armed_calls, watch_calls, sync_calls;
static struct mem *sync_mem;

static void on_armed(void *opaque)
{
    armed_calls++;
}

static void on_watch(void *opaque)
{
    watch_calls++;
}

static void on_sync(void *opaque, gra_t gra, uint64_t len)
{
    sync_calls++;
    mem_dirty_mark(sync_mem, 5 << MEM_PAGE_BITS, 1); /* an accelerator's own log */
}

TEST(dirty_log)
{
    struct mem *m = space(PAGES << MEM_PAGE_BITS);
    struct mem_listener l = { .dirty_armed = on_armed, .dirty_watch = on_watch };
    uint64_t map[PAGES / 64 + 1];
    struct error err;
    struct mem_region r;
    gra_t gra;

    CHECK(mem_ram_alloc(m, PAGES << MEM_PAGE_BITS, &gra, &err));
    mem_region_init_ram(&r, "ram", gra, PAGES << MEM_PAGE_BITS);
    mem_map(m, 0, &r, 0);
    mem_listener_add(m, &l);
    armed_calls = watch_calls = sync_calls = 0;
    CHECK(!mem_dirty_watched(m, 0, PAGES << MEM_PAGE_BITS));
    mem_dirty_start(m, MEM_DIRTY_DISPLAY, 60 << MEM_PAGE_BITS, 10 << MEM_PAGE_BITS);
    CHECK_EQ(watch_calls, 1);
    CHECK(mem_dirty_watched(m, 0, PAGES << MEM_PAGE_BITS));
    CHECK(!mem_dirty_watched(m, 0, 60 << MEM_PAGE_BITS));
    CHECK(mem_dirty_watched(m, (60 << MEM_PAGE_BITS) - 1, 2));
    /* all at first, from an odd start */
    CHECK_EQ(mem_dirty_fetch(m, MEM_DIRTY_DISPLAY, 58 << MEM_PAGE_BITS, 20, map), 10);
    CHECK_EQ(map[0], 0x3ff << 2);
    CHECK_EQ(armed_calls, 1);
    CHECK(mem_dirty_armed(m, 60 << MEM_PAGE_BITS));
    CHECK(!mem_dirty_armed(m, 59 << MEM_PAGE_BITS));
    CHECK_EQ(mem_dirty_fetch(m, MEM_DIRTY_DISPLAY, 60 << MEM_PAGE_BITS, 10, map), 0);
    /* writes of every kind mark */
    mem_store32(m, 63 << MEM_PAGE_BITS, 1);
    CHECK_EQ(dma_write(m, (66 << MEM_PAGE_BITS) - 1, "ab", 2), 0);
    CHECK(!mem_dirty_armed(m, 63 << MEM_PAGE_BITS));
    mem_store8(m, 100 << MEM_PAGE_BITS, 1); /* not watched */
    CHECK_EQ(mem_dirty_fetch(m, MEM_DIRTY_DISPLAY, 60 << MEM_PAGE_BITS, 10, map), 3);
    CHECK_EQ(map[0], BIT(3) | BIT(5) | BIT(6));
    /* a second client has marks of its own */
    mem_dirty_start(m, MEM_DIRTY_MIGRATION, 0, PAGES << MEM_PAGE_BITS);
    CHECK_EQ(mem_dirty_fetch(m, MEM_DIRTY_MIGRATION, 0, PAGES, map), PAGES);
    CHECK_EQ(map[0], UINT64_MAX);
    CHECK_EQ(map[4], BITS(PAGES - 257, 0));
    mem_store8(m, 61 << MEM_PAGE_BITS, 1);
    mem_store8(m, 200 << MEM_PAGE_BITS, 1);
    CHECK_EQ(mem_dirty_fetch(m, MEM_DIRTY_DISPLAY, 0, PAGES, map), 1);
    CHECK_EQ(map[0], BIT(61));
    CHECK_EQ(mem_dirty_fetch(m, MEM_DIRTY_MIGRATION, 61 << MEM_PAGE_BITS, 140, map), 2);
    CHECK_EQ(map[0], 1);
    CHECK_EQ(map[2], BIT(200 - 61 - 128));
    mem_dirty_stop(m, MEM_DIRTY_DISPLAY, 0, PAGES << MEM_PAGE_BITS);
    mem_store8(m, 61 << MEM_PAGE_BITS, 1);
    CHECK_EQ(mem_dirty_fetch(m, MEM_DIRTY_DISPLAY, 0, PAGES, map), 0);
    CHECK_EQ(mem_dirty_fetch(m, MEM_DIRTY_MIGRATION, 0, PAGES, map), 1);
    /* an accelerator's log */
    sync_mem = m;
    l.dirty_sync = on_sync;
    CHECK_EQ(mem_dirty_fetch(m, MEM_DIRTY_MIGRATION, 0, 64, map), 1);
    CHECK_EQ(map[0], BIT(5));
    CHECK_EQ(sync_calls, 1);
    mem_listener_remove(m, &l);
    done(m);
}

struct writer {
    struct mem *m;
    atomic_bool quit;
    uint32_t count;
};

static void *write_thread(void *arg)
{
    struct writer *w = arg;

    while (!atomic_load(&w->quit))
        mem_store32(w->m, 0x3000, ++w->count);
    return NULL;
}

/* Who fetches and then copies ends with the last value written. */
TEST(dirty_race)
{
    struct writer w = { .m = space(16 << MEM_PAGE_BITS) };
    struct mem_region r;
    struct error err;
    pthread_t thread;
    uint64_t map[1];
    uint32_t copy = 0;
    gra_t gra;

    CHECK(mem_ram_alloc(w.m, 16 << MEM_PAGE_BITS, &gra, &err));
    mem_region_init_ram(&r, "ram", gra, 16 << MEM_PAGE_BITS);
    mem_map(w.m, 0, &r, 0);
    mem_dirty_start(w.m, MEM_DIRTY_MIGRATION, 0, 16 << MEM_PAGE_BITS);
    pthread_create(&thread, NULL, write_thread, &w);
    for (unsigned i = 0; i < 20000; i++)
        if (mem_dirty_fetch(w.m, MEM_DIRTY_MIGRATION, 0, 16, map) && map[0] & BIT(3))
            copy = mem_load32(w.m, 0x3000);
    atomic_store(&w.quit, true);
    pthread_join(thread, NULL);
    if (mem_dirty_fetch(w.m, MEM_DIRTY_MIGRATION, 0, 16, map))
        copy = mem_load32(w.m, 0x3000);
    CHECK_EQ(copy, w.count);
    done(w.m);
}
