/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Registers for values, decided while emitting, in one forward pass. A value is in a register, in
 * the memory of a slot it was read from or put to (home), in a spill place, or a constant. Values
 * that alias share a register. A PUT to an unpinned slot that a later PUT overwrites before
 * anything but a fault can see it is pending: it only keeps its value alive, for the fault table.
 */
#include <string.h>

#include "host/x86_64/cg.h"

void alloc_label(struct cg *c)
{
    for (unsigned r = 0; r < REG_COUNT; r++)
        for (unsigned v = c->head[r]; v; v = c->val[v].next)
            c->val[v].loc = LOC_NONE;
    memset(c->head, 0, sizeof(c->head));
    memset(c->spill_used, 0, sizeof(c->spill_used));
    memset(c->spill_freed, 0, sizeof(c->spill_freed));
    c->any_freed = false;
    c->pend_count = 0;
    c->homed_count = 0;
    c->locked = c->released = 0;
    c->calls = false;
    as_flags_lost(&c->as);
}

void alloc_begin(struct cg *c)
{
    alloc_label(c);
    c->spill_full = false;
}

bool live_after(const struct cg *c, unsigned v)
{
    return c->val[v].last > c->i;
}

/* ---- values and registers ---- */

static void bind(struct cg *c, unsigned v, unsigned r)
{
    struct val *x = &c->val[v];

    x->loc = LOC_REG;
    x->reg = (uint8_t)r;
    x->next = c->head[r];
    c->head[r] = (uint16_t)v;
}

static void unbind(struct cg *c, unsigned v)
{
    uint16_t *p = &c->head[c->val[v].reg];

    while (*p != v)
        p = &c->val[*p].next;
    *p = c->val[v].next;
}

static void spill_free(struct cg *c, struct val *x)
{
    if (x->spill >= 0) { /* reused from the next insn on: this one may still read it */
        c->spill_freed[x->spill / 64] |= BIT(x->spill % 64);
        c->any_freed = true;
    }
    x->spill = -1;
}

static void release(struct cg *c, unsigned v)
{
    struct val *x = &c->val[v];

    if (x->loc == LOC_REG)
        unbind(c, v);
    spill_free(c, x);
    x->loc = LOC_NONE;
}

void alloc_insn(struct cg *c)
{
    c->locked = c->released = 0;
    if (!c->any_freed)
        return;
    for (unsigned k = 0; k < SPILL_COUNT / 64; k++) {
        c->spill_used[k] &= ~c->spill_freed[k];
        c->spill_freed[k] = 0;
    }
    c->any_freed = false;
}

void val_drop(struct cg *c, unsigned v)
{
    release(c, v);
}

static int spill_new(struct cg *c)
{
    for (unsigned k = 0; k < SPILL_COUNT / 64; k++)
        if (~c->spill_used[k]) {
            unsigned b = (unsigned)__builtin_ctzll(~c->spill_used[k]);

            c->spill_used[k] |= BIT(b);
            return (int)(k * 64 + b);
        }
    c->spill_full = true; /* compile gives up at the end of this insn */
    return SPILL_COUNT - 1;
}

static struct rm val_mem(const struct cg *c, const struct val *x)
{
    return x->loc == LOC_SLOT ? slot_mem(c, x->home) : spill_mem(c, x->spill);
}

/* register-to-register of either file, whole register */
static void move(struct cg *c, unsigned d, unsigned s)
{
    if (d == s)
        return;
    if (d < 16)
        as_mov(&c->as, true, d, s);
    else if (c->has & HAS_AVX && !(s & 8))
        as_vex(&c->as, OP_0F | 0x28, d, 0, rm_reg(s));
    else
        as_op(&c->as, OP_0F | 0x28, d, rm_reg(s)); /* movaps */
}

static void store_vec(struct cg *c, struct rm x, unsigned r)
{
    as_op(&c->as, OP_0F | 0x29, r, x); /* movaps */
}

static void load_mem(struct cg *c, unsigned d, unsigned type, struct rm x)
{
    if (d >= 16)
        as_op(&c->as, OP_0F | 0x28, d, x);
    else
        as_movzx(&c->as, type_size(type), d, x);
}

/* ---- homes: values that the memory of a slot holds too ---- */

/* False when the list is full of living ones: then v has no home. */
static bool home_add(struct cg *c, unsigned v, unsigned slot)
{
    if (c->homed_count == HOME_MAX) {
        unsigned n = 0;

        for (unsigned k = 0; k < HOME_MAX; k++) {
            const struct val *x = &c->val[c->homed[k]];

            if (x->loc != LOC_NONE && x->home != NOSLOT && x->last >= c->i)
                c->homed[n++] = c->homed[k];
        }
        c->homed_count = n;
        if (n == HOME_MAX)
            return false;
    }
    c->val[v].home = (uint16_t)slot;
    c->homed[c->homed_count++] = (uint16_t)v;
    return true;
}

/* The slot's memory is about to change: what lives only there is loaded. */
static void home_lost(struct cg *c, unsigned slot, unsigned except)
{
    for (unsigned k = 0; k < c->homed_count; k++) {
        unsigned v = c->homed[k];
        struct val *x = &c->val[v];

        if (x->home != slot || v == except)
            continue;
        if (x->loc == LOC_SLOT && x->last > c->i) {
            use_reg(c, v);
            x->home = NOSLOT;
            k = UINT32_MAX; /* eviction may have changed the list: again */
            continue;
        }
        x->home = NOSLOT;
    }
}

/* ---- eviction ---- */

static bool pending(const struct cg *c, unsigned v)
{
    for (unsigned k = 0; k < c->pend_count; k++)
        if (c->pend[k].val == v)
            return true;
    return false;
}

/* Writes the pending slots that v is for; r holds it. */
static void pend_flush(struct cg *c, unsigned v, unsigned r)
{
    for (unsigned k = 0; k < c->pend_count;) {
        unsigned slot = c->pend[k].slot;

        if (c->pend[k].val != v) {
            k++;
            continue;
        }
        c->pend[k] = c->pend[--c->pend_count]; /* no value has that slot for home: see put_slot */
        as_store(&c->as, type_size(c->slots[slot].type), slot_mem(c, slot), r);
        if (c->val[v].home == NOSLOT)
            home_add(c, v, slot);
    }
}

/* v leaves its register for memory, or for nothing when memory has it. The register still holds it.
 */
static void to_memory(struct cg *c, unsigned v)
{
    struct val *x = &c->val[v];
    unsigned r = x->reg;

    if (is_share(c, v)) {
        release(c, v);
        return;
    }
    if (is_remade(c, v)) {
        unbind(c, v);
        x->loc = LOC_CONST;
        return;
    }
    if (c->pend_count)
        pend_flush(c, v, r);
    unbind(c, v);
    if (x->home != NOSLOT) {
        x->loc = LOC_SLOT;
        return;
    }
    x->loc = LOC_SPILL;
    if (x->spill >= 0)
        return;
    x->spill = (int16_t)spill_new(c);
    if (r >= 16)
        store_vec(c, spill_mem(c, x->spill), r);
    else
        as_store(&c->as, 3, spill_mem(c, x->spill), r);
}

static void evict(struct cg *c, unsigned r)
{
    while (c->head[r])
        to_memory(c, c->head[r]);
}

/* What it costs to empty r: nothing, a store that comes anyway, a spill; near reuse counts more. */
static unsigned evict_cost(const struct cg *c, unsigned r)
{
    unsigned cost = 0;

    for (unsigned v = c->head[r]; v; v = c->val[v].next) {
        const struct val *x = &c->val[v];
        unsigned near = x->last - c->i < 64 ? 64 - (x->last - c->i) : 0;

        if (is_share(c, v))
            cost += 40 + near;
        else if (is_remade(c, v))
            cost += 1 + near / 8;
        else if (x->home != NOSLOT || x->spill >= 0)
            cost += 20 + near;
        else
            cost += 200 + near;
    }
    return cost;
}

/* Values that died without being an operand: their pending PUT was flushed. */
static void drop_dead(struct cg *c, unsigned r)
{
    for (unsigned v = c->head[r], next; v; v = next) {
        next = c->val[v].next;
        if (c->val[v].last < c->i && v != c->i)
            release(c, v);
    }
}

static unsigned alloc_from(struct cg *c, uint32_t set)
{
    unsigned best = NOREG, best_cost = 0;

    set &= ~c->locked;
    for (uint32_t m = set; m; m &= m - 1) {
        unsigned r = (unsigned)__builtin_ctz(m);

        if (!c->head[r])
            return r;
    }
    for (uint32_t m = set; m; m &= m - 1) {
        unsigned r = (unsigned)__builtin_ctz(m), cost;

        drop_dead(c, r);
        cost = evict_cost(c, r);
        if (best == NOREG || cost < best_cost) {
            best = r;
            best_cost = cost;
        }
    }
    assert(best != NOREG);
    /* evicting may load others into registers (home_lost): hold this one */
    c->locked |= 1u << best;
    evict(c, best);
    return best;
}

static uint32_t temps_for(bool vec)
{
    return vec ? TEMPS_VEC : TEMPS_INT;
}

/* The slot register r is about to change: values that live on move out. */
static void vacate(struct cg *c, unsigned r, unsigned except)
{
    for (unsigned v = c->head[r], next; v; v = next) {
        struct val *x = &c->val[v];
        uint32_t set = temps_for(r >= 16);

        next = x->next;
        if (v == except || x->last <= c->i)
            continue;
        for (uint32_t m = set & ~(c->locked | c->released); m; m &= m - 1) {
            unsigned t = (unsigned)__builtin_ctz(m);

            if (!c->head[t]) {
                move(c, t, r);
                for (unsigned w = v, after; w; w = after) { /* all that live on share t */
                    after = c->val[w].next;
                    if (w == except || c->val[w].last <= c->i)
                        continue;
                    unbind(c, w);
                    bind(c, w, t);
                }
                return;
            }
        }
        to_memory(c, v);
        next = c->head[r]; /* the list may have changed */
        for (; next && (next == except || c->val[next].last <= c->i); next = c->val[next].next)
            ;
    }
}

/* ---- operands ---- */

unsigned use_reg(struct cg *c, unsigned v)
{
    struct val *x = &c->val[v];
    unsigned r;

    if (x->loc != LOC_REG) {
        r = alloc_from(c, temps_for(is_vec_type(insn_of(c, v)->type)));
        load_to(c, r, v);
        if (x->loc == LOC_SLOT && insn_of(c, v)->type < IR_I64) {
            x->zbits = ir_type_bits[insn_of(c, v)->type];
            spill_free(c, x); /* a copy there may have other bits above the type's */
        }
        bind(c, v, r);
    }
    c->locked |= 1u << x->reg;
    return x->reg;
}

struct rm use_rm(struct cg *c, unsigned v)
{
    const struct val *x = &c->val[v];
    unsigned type = insn_of(c, v)->type;

    if ((x->loc == LOC_SLOT || x->loc == LOC_SPILL) && type >= IR_I32 && x->last <= c->i)
        return val_mem(c, x);
    if (x->loc == LOC_CONST && type == IR_V128 && (uint64_t)insn_of(c, v)->imm + 1 > 1 &&
        x->last <= c->i)
        return const_vec(c, (uint64_t)insn_of(c, v)->imm, (uint64_t)insn_of(c, v)->imm);
    return rm_reg(use_reg(c, v));
}

static void load_vconst(struct cg *c, unsigned d, int64_t imm)
{
    if (imm == 0 || imm == -1)
        as_op(&c->as, OP_0F | OP_66 | (imm ? 0x76 : 0xef), d, rm_reg(d)); /* pcmpeqd, pxor */
    else
        load_mem(c, d, IR_V128, const_vec(c, (uint64_t)imm, (uint64_t)imm));
}

void load_to(struct cg *c, unsigned d, unsigned v)
{
    const struct val *x = &c->val[v];

    switch (x->loc) {
    case LOC_CONST:
        if (d >= XMM0) {
            load_vconst(c, d, insn_of(c, v)->imm);
            break;
        }
        if (!insn_of(c, v)->imm && !c->as.flags.kind)
            as_alu(&c->as, ALU_XOR, 2, d, rm_reg(d));
        else
            as_mov_imm(&c->as, d,
                       wide(insn_of(c, v)->type) ? insn_of(c, v)->imm
                                                 : (int64_t)(uint32_t)insn_of(c, v)->imm);
        break;
    case LOC_REG: move(c, d, x->reg); break;
    case LOC_SPILL: /* whole register: zbits stay true */
        load_mem(c, d, d >= 16 ? IR_V128 : IR_I64, spill_mem(c, x->spill));
        break;
    default:
        assert(x->loc == LOC_SLOT);
        load_mem(c, d, insn_of(c, v)->type, slot_mem(c, x->home));
        break;
    }
}

unsigned scratch(struct cg *c, bool vec)
{
    unsigned r = alloc_from(c, temps_for(vec));

    c->locked |= 1u << r;
    return r;
}

void take(struct cg *c, unsigned r)
{
    if (c->head[r]) {
        /* into another temporary if one is free, else to memory */
        uint32_t set = temps_for(r >= 16) & ~c->locked & ~(1u << r);

        c->locked |= 1u << r;
        for (; set && c->head[r]; set &= set - 1) {
            unsigned t = (unsigned)__builtin_ctz(set);

            if (c->head[t])
                continue;
            move(c, t, r);
            while (c->head[r]) {
                unsigned v = c->head[r];

                unbind(c, v);
                bind(c, v, t);
            }
        }
        evict(c, r);
    }
    c->locked |= 1u << r;
}

/* The fixed temporary r, locked, with v's value to work on. */
void take_with(struct cg *c, unsigned r, unsigned v)
{
    const struct val *x = &c->val[v];
    bool there = x->loc == LOC_REG && x->reg == r, dying = there;

    for (unsigned w = c->head[r]; w && dying; w = c->val[w].next)
        dying = c->val[w].last <= c->i;
    if (dying)
        c->locked |= 1u << r;
    else
        take(c, r); /* r keeps what it held */
    if (!there)
        load_to(c, r, v);
}

void arg_done(struct cg *c, unsigned v)
{
    const struct val *x = &c->val[v];

    if (x->last > c->i || x->loc == LOC_NONE)
        return;
    if (x->loc == LOC_REG) {
        c->locked &= ~(1u << x->reg);
        c->released |= 1u << x->reg;
    }
    release(c, v);
}

void args_done(struct cg *c)
{
    const struct ir_insn *n = insn_of(c, c->i);

    for (unsigned k = 0; k < n->nargs; k++) {
        unsigned v = n->arg[k];

        arg_done(c, v);
        for (unsigned a = 0; c->val[v].folded && a < 2; a++)
            arg_done(c, insn_of(c, v)->arg[a]);
    }
}

unsigned share_new(struct cg *c, unsigned r, unsigned base, unsigned last)
{
    for (unsigned v = c->ir->count; v < c->ir->count + SHARE_MAX; v++) {
        struct val *x = &c->val[v];

        if (x->loc != LOC_NONE && x->last < c->i)
            release(c, v);
        if (x->loc != LOC_NONE)
            continue;
        x->last = last;
        x->access = (uint16_t)base;
        bind(c, v, r);
        return v;
    }
    return 0;
}

/* ---- results ---- */

static void def_bind(struct cg *c, unsigned r, unsigned zbits)
{
    struct val *x = &c->val[c->i];

    bind(c, c->i, r);
    x->zbits = (uint8_t)zbits;
    x->home = NOSLOT;
    x->spill = -1;
    c->locked |= 1u << r;
}

unsigned def_reg(struct cg *c, uint32_t avoid, unsigned zbits)
{
    unsigned r = c->val[c->i].hint;

    if (r != NOREG && !(avoid >> r & 1)) {
        vacate(c, r, 0);
    } else {
        r = alloc_from(c, temps_for(is_vec_type(insn_of(c, c->i)->type)) & ~avoid);
    }
    def_bind(c, r, zbits);
    return r;
}

unsigned def_tied(struct cg *c, unsigned a, uint32_t avoid, unsigned zbits)
{
    const struct val *x = &c->val[a];
    unsigned r = c->val[c->i].hint;

    if (r != NOREG && !(avoid >> r & 1)) {
        bool there = x->loc == LOC_REG && x->reg == r;

        if (x->loc == LOC_REG)
            c->locked |= 1u << x->reg;
        vacate(c, r, 0); /* r itself keeps what it holds */
        if (!there)
            load_to(c, r, a);
        def_bind(c, r, zbits);
        return r;
    }
    r = x->loc == LOC_REG ? x->reg : (unsigned)NOREG;
    if (r != NOREG && TEMPS >> r & 1 && x->last <= c->i && !(avoid >> r & 1) && c->head[r] == a &&
        !x->next) {
        release(c, a);
    } else {
        if (r != NOREG)
            c->locked |= 1u << r;
        r = alloc_from(c, temps_for(is_vec_type(insn_of(c, c->i)->type)) & ~avoid);
        load_to(c, r, a);
    }
    def_bind(c, r, zbits);
    return r;
}

void def_in(struct cg *c, unsigned r, unsigned zbits)
{
    unsigned h = c->val[c->i].hint;

    c->locked |= 1u << r;
    if (h != NOREG && h != r) {
        vacate(c, h, 0);
        move(c, h, r);
        r = h;
    }
    def_bind(c, r, zbits);
}

void def_alias(struct cg *c, unsigned v)
{
    struct val *x = &c->val[c->i], *y = &c->val[v];

    x->spill = -1;
    x->home = NOSLOT;
    if (y->loc == LOC_SLOT && home_add(c, c->i, y->home)) {
        x->loc = LOC_SLOT;
        x->zbits = 64;
        return;
    }
    bind(c, c->i, use_reg(c, v));
    x->zbits = y->zbits;
}

void def_const(struct cg *c)
{
    struct val *x = &c->val[c->i];

    x->loc = LOC_CONST;
    x->zbits = wide(insn_of(c, c->i)->type) ? 64 : 32;
    x->home = NOSLOT;
    x->spill = -1;
}

/* ---- slots ---- */

static unsigned pend_find(const struct cg *c, unsigned slot)
{
    unsigned k = 0;

    while (k < c->pend_count && c->pend[k].slot != slot)
        k++;
    return k;
}

void get_slot(struct cg *c, const struct ir_insn *n)
{
    unsigned slot = (unsigned)n->imm, r = c->pin[slot], k;
    struct val *x = &c->val[c->i];

    x->home = NOSLOT;
    x->spill = -1;
    x->zbits = 64;
    if (r != NOREG && (r >= 16) == is_vec_type(n->type)) {
        bind(c, c->i, r);
        return;
    }
    if (r != NOREG) { /* the low part of a vector */
        unsigned d = def_reg(c, 0, wide(n->type) ? 64 : 32);

        as_op(&c->as, OP_0F | OP_66 | 0x7e | (wide(n->type) ? OP_W : 0), r, rm_reg(d));
        return;
    }
    k = pend_find(c, slot);
    if (k < c->pend_count && !is_vec_type(n->type)) {
        unsigned v = c->pend[k].val;

        use_reg(c, v);
        def_alias(c, v);
        return;
    }
    if (home_add(c, c->i, slot)) {
        x->loc = LOC_SLOT;
        return;
    }
    r = def_reg(c, 0, is_vec_type(n->type) || wide(n->type) ? 64 : ir_type_bits[n->type]);
    load_mem(c, r, n->type, slot_mem(c, slot));
}

static void put_pinned(struct cg *c, unsigned r, unsigned v)
{
    struct val *x = &c->val[v];

    if (x->loc == LOC_REG && x->reg == r)
        return;
    vacate(c, r, v);
    load_to(c, r, v);
    if (x->loc == LOC_REG && TEMPS >> x->reg & 1) { /* all in the temporary live here now */
        unsigned t = x->reg;

        while (c->head[t]) {
            unsigned w = c->head[t];

            unbind(c, w);
            bind(c, w, r);
        }
    } else if (x->loc == LOC_SLOT || x->loc == LOC_SPILL) {
        if (x->loc == LOC_SLOT)
            x->zbits = 64;
        bind(c, v, r);
    }
}

/* What the slot was pending for until now gives way. */
static void pend_drop(struct cg *c, unsigned slot)
{
    unsigned k = pend_find(c, slot), v;

    if (k == c->pend_count)
        return;
    v = c->pend[k].val;
    c->pend[k] = c->pend[--c->pend_count];
    if (c->val[v].last <= c->i && !pending(c, v) && c->val[v].loc != LOC_NONE &&
        insn_of(c, c->i)->arg[0] != v)
        release(c, v);
}

static void put_memory(struct cg *c, unsigned slot, unsigned v)
{
    struct val *x = &c->val[v];
    unsigned size = type_size(c->slots[slot].type);

    if (size == 4) {
        store_vec(c, slot_mem(c, slot), use_reg(c, v));
    } else if (x->loc == LOC_CONST && fits32(insn_of(c, v)->imm)) {
        as_store_imm(&c->as, size, slot_mem(c, slot), insn_of(c, v)->imm);
        return;
    } else {
        as_store(&c->as, size, slot_mem(c, slot), use_reg(c, v));
    }
    if (x->home == NOSLOT && live_after(c, v))
        home_add(c, v, slot);
}

void put_slot(struct cg *c, unsigned slot, unsigned v)
{
    unsigned r = c->pin[slot], k = pend_find(c, slot);
    struct val *x = &c->val[v];

    if (r != NOREG) {
        put_pinned(c, r, v);
        return;
    }
    if (k < c->pend_count ? c->pend[k].val == v && c->val[c->i].deferred
                          : x->home == slot && x->loc != LOC_NONE)
        return; /* holds it already, and no later PUT ends the wait */
    home_lost(c, slot, v);
    pend_drop(c, slot);
    if (c->val[c->i].deferred && c->pend_count < PEND_MAX && c->slots[slot].type <= IR_I64) {
        if (x->loc != LOC_CONST)
            use_reg(c, v);
        c->pend[c->pend_count].slot = (uint16_t)slot;
        c->pend[c->pend_count++].val = (uint16_t)v;
        return;
    }
    put_memory(c, slot, v);
}

/* ---- calls ---- */

static bool stays(const struct cg *c, unsigned r, bool pure)
{
    return pure && c->pinned >> r & 1;
}

void save_for_call(struct cg *c, bool pure)
{
    for (unsigned r = 0; r < REG_COUNT; r++) {
        if (stays(c, r, pure))
            continue;
        for (unsigned v = c->head[r], next; v; v = next) {
            struct val *x = &c->val[v];

            next = x->next;
            if (x->last <= c->i)
                continue;
            if (!pure)
                x->home = NOSLOT; /* the helper may change the slot */
            to_memory(c, v);
        }
    }
    if (pure)
        return;
    for (unsigned k = 0; k < c->homed_count; k++) {
        unsigned v = c->homed[k];
        struct val *x = &c->val[v];

        if (x->loc == LOC_SLOT && x->last > c->i) {
            unsigned r = use_reg(c, v);

            x->home = NOSLOT;
            to_memory(c, v);
            c->locked &= ~(1u << r);
        }
    }
}

void forget_temps(struct cg *c)
{
    for (unsigned r = 0; r < REG_COUNT; r++)
        if (TEMPS >> r & 1)
            while (c->head[r])
                release(c, c->head[r]);
}
