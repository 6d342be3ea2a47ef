/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The map of guest memory against a plain array of pages. */
#include "tests/unit/test.h"
#include "base/bits.h"
#include "user/mm_map.h"

#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 256, STEPS = 4000 };

struct model {
    uint8_t prot[PAGES]; /* 0xff: not mapped */
    bool code[PAGES];
};

static uint64_t seed = 1;

static unsigned rnd(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static bool same(const struct mm_map *m, const struct model *o)
{
    for (unsigned i = 0; i < PAGES; i++) {
        const struct mm_region *r = mm_map_at(m, (gva_t)i * PAGE + rnd(PAGE));
        if ((r != NULL) != (o->prot[i] != 0xff))
            return false;
        if (r && (r->prot != o->prot[i] || r->code != o->code[i]))
            return false;
    }
    for (size_t i = 0; i < m->count; i++) {
        const struct mm_region *r = &m->r[i];
        if (r->start >= r->end || (i && r->start < r[-1].end))
            return false;
        if (i && r->start == r[-1].end && r->prot == r[-1].prot && r->code == r[-1].code)
            return false; /* should be one */
    }
    return true;
}

static void change(struct mm_map *m, struct model *o)
{
    unsigned from = 1 + rnd(PAGES - 1), len = 1 + rnd(24), to = MIN(from + len, (unsigned)PAGES);
    gva_t start = (gva_t)from * PAGE, end = (gva_t)to * PAGE;
    uint8_t prot = rnd(8);
    switch (rnd(4)) {
    case 0:
        mm_map_remove(m, start, end);
        memset(o->prot + from, 0xff, to - from);
        break;
    case 1:
        mm_map_add(m, start, end, prot);
        memset(o->prot + from, prot, to - from);
        memset(o->code + from, 0, to - from);
        break;
    case 2:
        mm_map_protect(m, start, end, prot);
        for (unsigned i = from; i < to; i++)
            o->prot[i] = o->prot[i] == 0xff ? 0xff : prot;
        break;
    default:
        mm_map_set_code(m, start, end, prot & 1);
        for (unsigned i = from; i < to; i++)
            o->code[i] = o->prot[i] != 0xff && prot & 1;
    }
    for (unsigned i = 0; i < PAGES; i++)
        if (o->prot[i] == 0xff)
            o->code[i] = false;
}

/* The highest start of n free pages in [low, high). */
static unsigned model_gap(const struct model *o, unsigned n, unsigned low, unsigned high)
{
    for (unsigned at = high - n; at >= low; at--) {
        unsigned k = 0;
        while (k < n && o->prot[at + k] == 0xff)
            k++;
        if (k == n)
            return at;
    }
    return 0;
}

TEST(map_follows_model)
{
    struct mm_map m = { .gap_high = PAGES * PAGE };
    struct model o;
    memset(o.prot, 0xff, sizeof o.prot);
    memset(o.code, 0, sizeof o.code);
    for (unsigned i = 0; i < STEPS; i++) {
        change(&m, &o);
        CHECK(same(&m, &o));
    }
    mm_map_finish(&m);
}

TEST(questions_follow_model)
{
    struct mm_map m = { 0 };
    struct model o;
    memset(o.prot, 0xff, sizeof o.prot);
    memset(o.code, 0, sizeof o.code);
    for (unsigned i = 0; i < STEPS; i++) {
        change(&m, &o);
        unsigned from = rnd(PAGES - 1), to = from + 1 + rnd(PAGES - from - 1);
        bool all = true, none = true, code = false;
        for (unsigned k = from; k < to; k++) {
            all = all && o.prot[k] != 0xff;
            none = none && o.prot[k] == 0xff;
            code = code || o.code[k];
        }
        CHECK_EQ(mm_map_covered(&m, from * PAGE, to * PAGE), all);
        CHECK_EQ(mm_map_free(&m, from * PAGE, to * PAGE), none);
        CHECK_EQ(mm_map_has_code(&m, from * PAGE, to * PAGE), code);
    }
    mm_map_finish(&m);
}

TEST(gap_is_the_highest)
{
    struct mm_map m = { .gap_high = PAGES * PAGE };
    struct model o;
    memset(o.prot, 0xff, sizeof o.prot);
    memset(o.code, 0, sizeof o.code);
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned n = 1 + rnd(20), high = rnd(4) ? (unsigned)PAGES : 40 + rnd(PAGES - 40);
        if (rnd(3))
            change(&m, &o);
        gva_t got = mm_map_gap(&m, n * PAGE, PAGE, PAGE, (gva_t)high * PAGE);
        CHECK_EQ(got / PAGE, model_gap(&o, n, 1, high));
        if (got && rnd(2)) { /* as mmap does */
            mm_map_add(&m, got, got + n * PAGE, PROT_READ);
            memset(o.prot + got / PAGE, PROT_READ, n);
            memset(o.code + got / PAGE, 0, n);
        }
    }
    mm_map_finish(&m);
}

TEST(gap_is_aligned)
{
    struct mm_map m = { 0 };
    gva_t high = UINT64_C(1) << 40;
    mm_map_add(&m, high - PAGE, high, PROT_READ);
    CHECK_EQ(mm_map_gap(&m, 0x200000, 0x200000, PAGE, high), high - 0x400000);
    CHECK_EQ(mm_map_gap(&m, PAGE, PAGE, PAGE, high), high - 2 * PAGE);
    CHECK_EQ(mm_map_gap(&m, high, PAGE, PAGE, high), 0);
    CHECK_EQ(mm_map_gap(&m, 0, PAGE, PAGE, high), 0);
    mm_map_finish(&m);
}
