/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Address spaces: regions, the flat view made from them, guest RAM. Accesses are in access.c. */
#include "mem/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "mem/mem_priv.h"

/* What a mapped region shows once its aliases are followed. */
struct shown {
    gpa_t first, last;
    struct mem_region *target;
    uint64_t target_off; /* of first */
    int priority;
    uint64_t serial;
};

/* false: nothing of r can be seen */
static bool resolve(struct mem *m, struct mem_region *r, struct shown *s)
{
    uint64_t off = 0, size = r->size;
    struct mem_region *t = r;

    for (unsigned depth = 0; t->alias; depth++) {
        assert(depth < 16); /* an alias of itself */
        if (t->alias_off >= t->alias->size)
            return false;
        size = MIN(size, t->alias->size - t->alias_off);
        off += t->alias_off;
        t = t->alias;
    }
    if (r->disabled || !size || r->base > m->last)
        return false;
    t->shown = m->root; /* whose change renews the overlay's view, too */
    s->first = r->base;
    s->last = size - 1 > m->last - r->base ? m->last : r->base + (size - 1);
    s->target = t;
    s->target_off = off;
    s->priority = r->priority;
    s->serial = r->serial;
    return true;
}

static int compare_addresses(const void *a, const void *b)
{
    gpa_t x = *(const gpa_t *)a, y = *(const gpa_t *)b;

    return x < y ? -1 : x > y;
}

static const struct shown *winner_at(const struct shown *v, uint32_t n, gpa_t a)
{
    const struct shown *best = NULL;

    for (uint32_t i = 0; i < n; i++) {
        const struct shown *s = &v[i];

        if (a < s->first || a > s->last)
            continue;
        if (!best || s->priority > best->priority ||
            (s->priority == best->priority && s->serial > best->serial))
            best = s;
    }
    return best;
}

/* The entry for first..last showing s (NULL: nothing), merged with its predecessor if it goes on
 * from there. Returns the new count. */
static uint32_t append(struct mem *m, struct mem_view_entry *e, uint32_t n, gpa_t first, gpa_t last,
                       const struct shown *s)
{
    struct mem_view_entry x = { .base = first, .size = last - first + 1, .gra = MEM_GRA_NONE };

    if (s) {
        x.region = s->target;
        x.region_off = s->target_off + (first - s->first);
        x.kind = s->target->kind;
        if (x.kind == MEM_RAM || x.kind == MEM_ROM) {
            x.gra = s->target->gra + x.region_off;
            x.host = m->ram_base + x.gra;
        }
    }
    if (n) {
        struct mem_view_entry *p = &e[n - 1];

        /* The last hole may reach 2^64 - 1, and one over everything would have size 2^64: it is
         * kept in two halves. */
        if (p->region == x.region && (!x.region || p->region_off + p->size == x.region_off) &&
            p->size + x.size) {
            p->size += x.size;
            return n;
        }
    }
    e[n] = x;
    return n + 1;
}

/* What the regions of m show; those of an overlay win over what is below it. */
static uint32_t resolve_all(struct mem *m, int lift, struct shown *v)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->region_count; i++)
        if (resolve(m, m->regions[i], &v[n]))
            v[n++].priority += lift;
    return n;
}

static struct mem_view *make_view(struct mem *m)
{
    enum { LIFT = 1 << 16 };
    struct mem *below = m->root != m ? m->root : NULL;
    uint32_t most = m->region_count + (below ? below->region_count : 0);
    AUTO_FREE struct shown *v = xnew_array(struct shown, most + 1);
    AUTO_FREE gpa_t *edges = xnew_array(gpa_t, 2 * most + 2);
    uint32_t n = 0, edge_count = 0, count = 0;
    struct mem_view *view;

    if (below)
        n = resolve_all(below, 0, v);
    n += resolve_all(m, below ? LIFT : 0, v + n);
    edges[edge_count++] = 0;
    edges[edge_count++] = BIT(63);
    for (uint32_t i = 0; i < n; i++) {
        edges[edge_count++] = v[i].first;
        if (v[i].last != UINT64_MAX)
            edges[edge_count++] = v[i].last + 1;
    }
    qsort(edges, edge_count, sizeof *edges, compare_addresses);
    view = xcalloc(1, sizeof *view + edge_count * sizeof view->e[0]);
    for (uint32_t i = 0; i < edge_count; i++) {
        gpa_t last = i + 1 < edge_count ? edges[i + 1] - 1 : UINT64_MAX;

        if (i + 1 < edge_count && edges[i + 1] == edges[i])
            continue;
        count = append(m, view->e, count, edges[i], last, winner_at(v, n, edges[i]));
    }
    view->count = count;
    mem_view_add_bells(view);
    return view;
}

static void view_free(struct mem_view *v)
{
    free(v->bells);
    free(v);
}

/* Free old views that no reader can hold any more, but for the newest few. */
static void free_old_views(struct mem *m)
{
    uint64_t safe = UINT64_MAX;

    for (const struct mem_reader *r = m->readers; r; r = r->next)
        safe = MIN(safe, atomic_load(&((struct mem_reader *)r)->seen));
    while (m->old_count > MEM_VIEWS_KEPT && m->old_first->replaced_at <= safe) {
        struct mem_view *v = m->old_first;

        m->old_first = v->next;
        m->old_count--;
        view_free(v);
    }
}

void mem_reader_add(struct mem *m, struct mem_reader *r)
{
    mem_quiet(m, r);
    r->next = m->readers;
    m->readers = r;
}

void mem_reader_remove(struct mem *m, struct mem_reader *r)
{
    for (struct mem_reader **p = &m->readers; *p; p = &(*p)->next) {
        if (*p == r) {
            *p = r->next;
            return;
        }
    }
}

void mem_quiet(const struct mem *m, struct mem_reader *r)
{
    atomic_store_explicit(&r->seen, mem_generation(m), memory_order_release);
}

static void replace_view(struct mem *m)
{
    struct mem_view *old = atomic_exchange(&m->view, make_view(m));

    m->changed = false;
    old->replaced_at = atomic_fetch_add(&m->generation, 1) + 1;
    *m->old_last = old;
    m->old_last = &old->next;
    m->old_count++;
    free_old_views(m);
}

static void publish(struct mem *m)
{
    replace_view(m);
    if (m->overlay)
        replace_view(m->overlay);
    for (struct mem_listener *l = m->root->listeners; l; l = l->next)
        if (l->map_changed)
            l->map_changed(l->opaque);
}

void mem_changed(struct mem *m)
{
    m->changed = true;
    if (!m->depth)
        publish(m);
}

void mem_begin(struct mem *m)
{
    m->depth++;
}

void mem_end(struct mem *m)
{
    assert(m->depth);
    if (--m->depth == 0 && m->changed)
        publish(m);
}

struct mem *mem_new(struct loop *loop, const char *name, uint64_t size, uint64_t ram_max,
                    struct error *err)
{
    struct mem *m = xnew(struct mem);

    m->loop = loop;
    m->name = name;
    m->root = m;
    m->old_last = &m->old_first;
    m->last = size - 1; /* 0: all 2^64 */
    m->ram_max = ALIGN_UP(ram_max, MEM_PAGE_SIZE);
    if (m->ram_max) {
        void *p =
            mmap(NULL, m->ram_max, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (p == MAP_FAILED) {
            fail(err, errno, "%s: cannot reserve %llu MiB of address space: %s", name,
                 (unsigned long long)(m->ram_max >> 20), strerror(errno));
            fail_hint(err, "give the guest less memory, or raise 'ulimit -v'");
            free(m);
            return NULL;
        }
        m->ram_base = p;
        m->code_bits = (void *)xnew_array(uint64_t, (m->ram_max >> MEM_PAGE_BITS) / 64 + 1);
    }
    atomic_store(&m->view, make_view(m));
    return m;
}

struct mem *mem_new_overlay(struct mem *below, const char *name)
{
    struct mem *m = xnew(struct mem);

    assert(!below->overlay && below->root == below);
    m->loop = below->loop;
    m->name = name;
    m->root = below;
    m->old_last = &m->old_first;
    m->last = below->last;
    m->ram_base = below->ram_base;
    m->ram_max = below->ram_max;
    m->code_bits = below->code_bits;
    atomic_store(&m->view, make_view(m));
    below->overlay = m;
    return m;
}

void mem_free(struct mem *m)
{
    if (!m)
        return;
    assert(!m->overlay);
    for (uint32_t i = 0; i < m->region_count; i++)
        m->regions[i]->mem = m->regions[i]->shown = NULL;
    for (struct mem_view *v = m->old_first, *next; v; v = next) {
        next = v->next;
        view_free(v);
    }
    view_free(atomic_load(&m->view));
    free(m->regions);
    if (m->root != m) {
        m->root->overlay = NULL;
        free(m);
        return;
    }
    mem_dirty_finish(m);
    free((void *)m->code_bits);
    if (m->ram_base)
        munmap(m->ram_base, m->ram_max);
    free(m);
}

const char *mem_name(const struct mem *m)
{
    return m->name;
}

uint8_t *mem_ram_base(const struct mem *m)
{
    return m->ram_base;
}

uint64_t mem_ram_size(const struct mem *m)
{
    return m->root->ram_used;
}

uint64_t mem_generation(const struct mem *m)
{
    return atomic_load(&((struct mem *)m)->generation);
}

const struct mem_view_entry *mem_entry(struct mem *m, uint32_t n)
{
    const struct mem_view *v = atomic_load(&m->view);

    return n < v->count ? &v->e[n] : NULL;
}

bool mem_ram_alloc(struct mem *m, uint64_t size, gra_t *ret_gra, struct error *err)
{
    uint64_t room = ALIGN_UP(size, MEM_PAGE_SIZE);
    uint64_t end;

    if (!size || room < size || !checked_add(m->ram_used, room, &end) || end > m->ram_max)
        return fail(err, ENOMEM, "%s: no room for %llu bytes of RAM in the reserved %llu MiB",
                    m->name, (unsigned long long)size, (unsigned long long)(m->ram_max >> 20));
    if (mprotect(m->ram_base + m->ram_used, room, PROT_READ | PROT_WRITE)) {
        fail(err, errno, "%s: cannot get %llu MiB of memory: %s", m->name,
             (unsigned long long)(room >> 20), strerror(errno));
        return fail_hint(err, "give the guest less memory (-m)");
    }
    /* A core dump of ours need not hold the guest. */
    (void)madvise(m->ram_base + m->ram_used, room, MADV_DONTDUMP);
    *ret_gra = m->ram_used;
    m->ram_used = end;
    return true;
}

bool mem_ram_from_file(struct mem *m, gra_t gra, uint64_t size, int fd, uint64_t offset,
                       bool shared, struct error *err)
{
    assert(gra + size <= m->ram_used && !(gra % MEM_PAGE_SIZE));
    void *p =
        mmap(m->ram_base + gra, size, PROT_READ | PROT_WRITE,
             (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED | MAP_NORESERVE, fd, (off_t)offset);
    if (p == MAP_FAILED)
        return fail(err, errno, "%s: cannot map %llu MiB of the file: %s", m->name,
                    (unsigned long long)(size >> 20), strerror(errno));
    (void)madvise(p, size, MADV_DONTDUMP);
    return true;
}

void mem_region_init_ram(struct mem_region *r, const char *name, gra_t gra, uint64_t size)
{
    *r = (struct mem_region){ .name = name, .size = size, .kind = MEM_RAM, .gra = gra };
}

void mem_region_init_rom(struct mem_region *r, const char *name, gra_t gra, uint64_t size)
{
    *r = (struct mem_region){ .name = name, .size = size, .kind = MEM_ROM, .gra = gra };
}

void mem_region_init_rom_device(struct mem_region *r, const char *name, gra_t gra, uint64_t size,
                                const struct mem_io_ops *ops, void *opaque)
{
    mem_region_init_rom(r, name, gra, size);
    r->ops = ops;
    r->opaque = opaque;
}

void mem_region_init_io(struct mem_region *r, const char *name, const struct mem_io_ops *ops,
                        void *opaque, uint64_t size)
{
    assert(ops->max_size <= 8 && ops->min_size <= (ops->max_size ? ops->max_size : 8));
    *r = (struct mem_region){ .name = name,
                              .size = size,
                              .kind = MEM_IO,
                              .ops = ops,
                              .opaque = opaque,
                              .gra = MEM_GRA_NONE };
}

void mem_region_init_alias(struct mem_region *r, const char *name, struct mem_region *of,
                           uint64_t off, uint64_t size)
{
    *r = (struct mem_region){ .name = name,
                              .size = size,
                              .kind = of->kind,
                              .alias = of,
                              .alias_off = off,
                              .gra = MEM_GRA_NONE };
}

static void forget(struct mem *m, struct mem_region *r)
{
    for (uint32_t i = 0; i < m->region_count; i++) {
        if (m->regions[i] == r) {
            m->regions[i] = m->regions[--m->region_count];
            break;
        }
    }
    r->mem = NULL;
}

void mem_map(struct mem *m, gpa_t base, struct mem_region *r, int priority)
{
    struct mem *before = r->mem;

    if (before)
        forget(before, r);
    if (m->region_count == m->region_room) {
        m->region_room = MAX(32, m->region_room * 2);
        m->regions = xrealloc_array(m->regions, m->region_room, sizeof(struct mem_region *));
    }
    m->regions[m->region_count++] = r;
    r->mem = m;
    r->base = base;
    r->priority = priority;
    r->serial = m->next_serial++;
    if (before && before != m)
        mem_changed(before);
    mem_changed(m);
}

void mem_unmap(struct mem_region *r)
{
    struct mem *m = r->mem;

    if (!m)
        return;
    forget(m, r);
    mem_changed(m);
}

void mem_region_enable(struct mem_region *r, bool enabled)
{
    if (r->disabled == !enabled)
        return;
    r->disabled = !enabled;
    if (r->mem)
        mem_changed(r->mem);
}

void mem_listener_add(struct mem *m, struct mem_listener *listener)
{
    listener->next = m->listeners;
    m->listeners = listener;
}

void mem_listener_remove(struct mem *m, struct mem_listener *listener)
{
    for (struct mem_listener **p = &m->listeners; *p; p = &(*p)->next) {
        if (*p == listener) {
            *p = listener->next;
            return;
        }
    }
}

static int compare_regions(const void *a, const void *b)
{
    const struct mem_region *x = *(struct mem_region *const *)a;
    const struct mem_region *y = *(struct mem_region *const *)b;

    if (x->base != y->base)
        return x->base < y->base ? -1 : 1;
    return x->priority != y->priority ? (x->priority > y->priority ? -1 : 1)
                                      : (x->serial > y->serial ? -1 : 1);
}

void mem_print(struct mem *m, FILE *out)
{
    static const char *const kinds[] = { "none", "ram", "rom", "i/o" };
    AUTO_FREE struct mem_region **v = xnew_array(struct mem_region *, m->region_count + 1);
    const struct mem_view *view = atomic_load(&m->view);

    for (uint32_t i = 0; i < m->region_count; i++)
        v[i] = m->regions[i];
    qsort(v, m->region_count, sizeof *v, compare_regions);
    fprintf(out, "address-space: %s\n", m->name);
    for (uint32_t i = 0; i < m->region_count; i++) {
        const struct mem_region *r = v[i];

        fprintf(out, "  %016llx-%016llx (prio %d, %s): %s", (unsigned long long)r->base,
                (unsigned long long)(r->base + (r->size - 1)), r->priority, kinds[r->kind],
                r->name);
        if (r->alias)
            fprintf(out, " alias %s @%016llx", r->alias->name, (unsigned long long)r->alias_off);
        fprintf(out, "%s\n", r->disabled ? " [disabled]" : "");
    }
    fprintf(out, "flat view %s:\n", m->name);
    for (uint32_t i = 0; i < view->count; i++) {
        const struct mem_view_entry *e = &view->e[i];

        if (e->kind != MEM_NONE)
            fprintf(out, "  %016llx-%016llx (%s): %s @%016llx\n", (unsigned long long)e->base,
                    (unsigned long long)(e->base + (e->size - 1)), kinds[e->kind], e->region->name,
                    (unsigned long long)e->region_off);
    }
}
