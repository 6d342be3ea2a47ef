/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "loop/loop.h"
#include "mem/mem.h"
#include "test.h"

static struct loop *loop;

static struct mem *space(uint64_t size, uint64_t ram)
{
    struct error err;

    loop = loop_new(&err);
    return mem_new(loop, "test", size, ram, &err);
}

static void done(struct mem *m)
{
    mem_free(m);
    loop_free(loop);
}

static char log_text_[256];

static uint64_t io_read(void *opaque, uint64_t off, unsigned size)
{
    snprintf(log_text_ + strlen(log_text_), sizeof log_text_ - strlen(log_text_), "r%u@%u ", size,
             (unsigned)off);
    return UINT64_C(0x8877665544332211) >> (8 * (off & 7));
}

static void io_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    snprintf(log_text_ + strlen(log_text_), sizeof log_text_ - strlen(log_text_), "w%u@%u=%llx ",
             size, (unsigned)off, (unsigned long long)val);
}

static uint64_t rd(struct mem *m, gpa_t a, unsigned size)
{
    return mem_io_read(m, mem_find(m, a), a, size);
}

static void wr(struct mem *m, gpa_t a, uint64_t val, unsigned size)
{
    mem_io_write(m, mem_find(m, a), a, val, size);
}

TEST(holes)
{
    struct mem *m = space(0, 0);

    CHECK_EQ(mem_find(m, 0)->kind, MEM_NONE);
    CHECK_EQ(mem_find(m, UINT64_MAX)->kind, MEM_NONE);
    CHECK_EQ(rd(m, 0x1234, 4), 0xffffffff);
    CHECK_EQ(rd(m, UINT64_MAX, 8), UINT64_MAX);
    done(m);
}

TEST(overlap_priority_alias)
{
    struct mem *m = space(0, 1 << 24);
    struct error err;
    gra_t ram, rom;
    struct mem_region r_ram, r_rom, r_high, r_vga;
    static const struct mem_io_ops ops = { io_read, io_write, 1, 4, false };

    CHECK(mem_ram_alloc(m, 8 << 20, &ram, &err));
    CHECK(mem_ram_alloc(m, 0x20000, &rom, &err));
    mem_region_init_ram(&r_ram, "ram", ram, 8 << 20);
    mem_region_init_rom(&r_rom, "rom", rom, 0x20000);
    mem_region_init_alias(&r_high, "ram-high", &r_ram, 4 << 20, 4 << 20);
    mem_region_init_io(&r_vga, "vga", &ops, NULL, 0x20000);
    uint64_t gen = mem_generation(m);
    mem_begin(m);
    mem_map(m, 0, &r_ram, 0);
    mem_map(m, 0xe0000, &r_rom, 1);
    mem_map(m, UINT64_C(0x100000000), &r_high, 0);
    mem_map(m, 0xa0000, &r_vga, 1);
    mem_end(m);
    CHECK_EQ(mem_generation(m), gen + 1);

    CHECK_EQ(mem_find(m, 0x9ffff)->kind, MEM_RAM);
    CHECK_EQ(mem_find(m, 0xa0000)->kind, MEM_IO);
    CHECK_EQ(mem_find(m, 0xbffff)->kind, MEM_IO);
    CHECK_EQ(mem_find(m, 0xc0000)->kind, MEM_RAM);
    CHECK_EQ(mem_find(m, 0xc0000)->gra, 0xc0000);
    CHECK_EQ(mem_find(m, 0xfffff)->kind, MEM_ROM);
    CHECK_EQ(mem_find(m, 0x100000)->kind, MEM_RAM);
    CHECK_EQ(mem_find(m, 0x7fffff)->kind, MEM_RAM);
    CHECK_EQ(mem_find(m, 0x800000)->kind, MEM_NONE);
    CHECK_EQ(mem_find(m, UINT64_C(0x100000000))->gra, 4 << 20);
    CHECK(mem_find(m, UINT64_C(0x100000000))->region == &r_ram);

    wr(m, 4 << 20, 0xdeadbeef, 4);
    CHECK_EQ(rd(m, UINT64_C(0x100000000), 4), 0xdeadbeef);
    wr(m, 0xf0000, 0x55, 1);
    CHECK_EQ(rd(m, 0xf0000, 1), 0); /* ROM */

    mem_region_enable(&r_rom, false);
    CHECK_EQ(mem_find(m, 0xfffff)->kind, MEM_RAM);
    mem_region_enable(&r_rom, true);
    mem_unmap(&r_vga);
    CHECK_EQ(mem_find(m, 0xa0000)->kind, MEM_RAM);
    mem_map(m, 0x20000, &r_rom, 1); /* moves */
    CHECK_EQ(mem_find(m, 0xf0000)->kind, MEM_RAM);
    CHECK_EQ(mem_find(m, 0x20000)->kind, MEM_ROM);
    FILE *f = fopen("/dev/null", "w");
    mem_print(m, f);
    fclose(f);
    CHECK(!mem_ram_alloc(m, 1 << 30, &ram, &err));
    CHECK_EQ(err.code, ENOMEM);
    done(m);
}

TEST(later_wins_among_equals)
{
    struct mem *m = space(0x10000, 0);
    static const struct mem_io_ops ops = { io_read, io_write, 1, 4, false };
    struct mem_region a, b;

    mem_region_init_io(&a, "a", &ops, NULL, 0x100);
    mem_region_init_io(&b, "b", &ops, NULL, 0x10);
    mem_map(m, 0, &b, 0);
    mem_map(m, 0, &a, 0);
    CHECK(mem_find(m, 0)->region == &a);
    mem_map(m, 0, &b, 0);
    CHECK(mem_find(m, 0)->region == &b);
    CHECK(mem_find(m, 0x10)->region == &a);
    CHECK_EQ(mem_find(m, 0x10)->region_off, 0x10);
    mem_map(m, 0xff80, &a, 0); /* sticks out of the space */
    CHECK(mem_find(m, 0xffff)->region == &a);
    CHECK_EQ(mem_find(m, 0x10000)->kind, MEM_NONE);
    done(m);
}

TEST(sizes_split_and_merge)
{
    struct mem *m = space(0x10000, 0);
    static const struct mem_io_ops bytes = { io_read, io_write, 1, 1, false };
    static const struct mem_io_ops words = { io_read, io_write, 4, 4, false };
    struct mem_region a, b;

    mem_region_init_io(&a, "bytes", &bytes, NULL, 8);
    mem_region_init_io(&b, "words", &words, NULL, 16);
    mem_map(m, 0x100, &a, 0);
    mem_map(m, 0x200, &b, 0);
    log_text_[0] = 0;
    CHECK_EQ(rd(m, 0x102, 2), 0x4433);
    wr(m, 0x104, 0xaabbccdd, 4);
    CHECK_STR(log_text_, "r1@2 r1@3 w1@4=dd w1@5=cc w1@6=bb w1@7=aa ");
    log_text_[0] = 0;
    CHECK_EQ(rd(m, 0x202, 1), 0x33);
    wr(m, 0x205, 0xee, 1);
    wr(m, 0x208, UINT64_C(0x1122334455667788), 8);
    CHECK_STR(log_text_, "r4@0 w4@4=ee00 w4@8=55667788 w4@12=11223344 ");
    log_text_[0] = 0;
    CHECK_EQ(rd(m, 0x107, 2), 0xff88); /* the second byte is nobody's */
    done(m);
}

static gra_t code_at;
static uint64_t code_len;
static unsigned code_calls, map_calls;

static void on_code(void *opaque, gra_t gra, uint64_t len)
{
    if (!code_calls++)
        code_at = gra;
    code_len += len;
}

static void on_map(void *opaque)
{
    map_calls++;
}

TEST(code_pages_and_dma)
{
    struct mem *m = space(0, 1 << 20);
    static struct mem_listener listener = { NULL, on_code, on_map };
    static const struct mem_io_ops ops = { io_read, io_write, 1, 4, false };
    struct mem_region ram, io;
    struct error err;
    uint8_t buf[0x3000];
    uint64_t len;
    gra_t gra;

    CHECK(mem_ram_alloc(m, 0x10000, &gra, &err));
    mem_region_init_ram(&ram, "ram", gra, 0x10000);
    mem_region_init_io(&io, "io", &ops, NULL, 0x1000);
    mem_listener_add(m, &listener);
    map_calls = code_calls = 0;
    code_len = 0;
    mem_map(m, 0x1000000, &ram, 0);
    mem_map(m, 0x1010000, &io, 0);
    CHECK_EQ(map_calls, 2);

    mem_code_set(m, 0x2000);
    CHECK(mem_code_test(m, 0x2fff));
    CHECK(!mem_code_test(m, 0x3000));
    memset(buf, 0x5a, sizeof buf);
    CHECK_EQ(dma_write(m, 0x1001800, buf, 0x1000), 0);
    CHECK_EQ(code_calls, 1);
    CHECK_EQ(code_at, 0x2000);
    CHECK_EQ(code_len, 0x800);
    mem_store32(m, 0x1001ffe, 0x01020304);
    CHECK_EQ(code_calls, 2);
    CHECK_EQ(mem_load32(m, 0x1001ffe), 0x01020304);
    mem_store8(m, 0x1004000, 1);
    CHECK_EQ(code_calls, 2);
    mem_code_clear(m, 0x2000);
    mem_store8(m, 0x1002000, 1);
    CHECK_EQ(code_calls, 2);

    CHECK_EQ(dma_read(m, 0x100fff0, buf, 0x10), 0);
    CHECK_EQ(dma_read(m, 0x100fff0, buf, 0x11), -EFAULT);
    CHECK_EQ(dma_write(m, 0x1010000, buf, 1), -EFAULT);
    CHECK_EQ(dma_write(m, UINT64_MAX - 3, buf, 16), -EFAULT);
    len = 0x20000;
    CHECK(dma_map(m, 0x1008000, &len, true) == mem_ram_base(m) + 0x8000);
    CHECK_EQ(len, 0x8000);
    len = 4;
    CHECK(dma_map(m, 0x1010000, &len, true) == NULL);

    uint64_t old;
    mem_store64(m, 0x1000008, 5);
    CHECK(!mem_cmpxchg64(m, 0x1000008, 4, 9, &old));
    CHECK_EQ(old, 5);
    CHECK(mem_cmpxchg64(m, 0x1000008, 5, 9, NULL));
    CHECK_EQ(mem_load64(m, 0x1000008), 9);
    CHECK(mem_cmpxchg32(m, 0x5000000, 0xffffffff, 9, NULL)); /* a hole: as if it were stored */
    done(m);
}

static struct mem *shared;
static bool stop;

static void *reader(void *opaque)
{
    struct mem_reader *me = opaque;
    uint64_t bad = 0;

    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        for (gpa_t a = 0; a < 0x8000; a += 0x777) {
            const struct mem_view_entry *e = mem_find(shared, a);

            bad += a < e->base || a - e->base >= e->size;
        }
        mem_quiet(shared, me);
    }
    return (void *)(uintptr_t)bad;
}

TEST(readers_while_changing)
{
    struct mem *m = space(0, 1 << 20);
    struct mem_region ram, low;
    struct error err;
    pthread_t th;
    void *bad;
    gra_t gra;

    CHECK(mem_ram_alloc(m, 0x10000, &gra, &err));
    mem_region_init_ram(&ram, "ram", gra, 0x8000);
    mem_region_init_ram(&low, "low", gra + 0x8000, 0x1000);
    mem_map(m, 0, &ram, 0);
    struct mem_reader me = { 0 };

    shared = m;
    stop = false;
    mem_reader_add(m, &me);
    pthread_create(&th, NULL, reader, &me);
    for (unsigned i = 0; i < 3000; i++) {
        mem_map(m, (i % 7) * 0x1000, &low, 1);
        if (i % 5 == 0)
            mem_unmap(&low);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(th, &bad);
    CHECK_EQ((uintptr_t)bad, 0);
    mem_reader_remove(m, &me);
    done(m);
}

/* The flat view against a map painted page by page. */
TEST(random_maps)
{
    enum { PAGES = 64, REGIONS = 12 };
    struct mem *m = space(PAGES * 0x1000, 1 << 20);
    struct mem_region r[REGIONS] = { 0 };
    struct error err;
    unsigned seed = 42;
    gra_t gra;

    CHECK(mem_ram_alloc(m, 0x40000, &gra, &err));
    for (unsigned i = 0; i < REGIONS; i++)
        mem_region_init_ram(&r[i], "r", gra + i * 0x1000, ((i * 7) % 13 + 1) * 0x1000);
    for (unsigned round = 0; round < 300; round++) {
        seed = seed * 1103515245 + 12345;
        struct mem_region *x = &r[(seed >> 16) % REGIONS];

        if (seed >> 10 & 1)
            mem_map(m, (seed >> 20) % PAGES * 0x1000, x, (int)(seed >> 8 & 3));
        else
            mem_unmap(x);
        for (unsigned p = 0; p < PAGES; p++) {
            const struct mem_region *best = NULL;
            const struct mem_view_entry *e = mem_find(m, p * 0x1000);

            for (unsigned i = 0; i < REGIONS; i++) {
                if (!r[i].mem || r[i].base > p * 0x1000 || p * 0x1000 >= r[i].base + r[i].size)
                    continue;
                if (!best || r[i].priority > best->priority ||
                    (r[i].priority == best->priority && r[i].serial > best->serial))
                    best = &r[i];
            }
            CHECK(e->region == best);
            if (best && e->region == best)
                CHECK_EQ(e->gra + (p * 0x1000 - e->base), best->gra + (p * 0x1000 - best->base));
        }
    }
    done(m);
}
