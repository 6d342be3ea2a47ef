/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The backward scan before emission: where each value is used last, which values may be made in the
 * pinned register of the slot they are put to, which PUTs are overwritten before anything but a
 * fault can see them, and what the region needs (vectors, how many exits).
 */
#include <string.h>

#include "host/x86_64/cg.h"

struct scan {
    struct cg *c;
    unsigned next_fault; /* nearest op behind this one that may raise */
    unsigned boundary;   /* nearest op behind this one that sees all slots */
    unsigned first_call; /* nearest call behind this one that may change mappings */
};

static bool is_pure_call(const struct ir_insn *n)
{
    return n->op == IR_CALL && ((const struct helper *)(intptr_t)n->imm)->flags & HELPER_PURE;
}

/* Ops whose first operand is best made where their result goes. */
static bool hands_on(unsigned op)
{
    return op == IR_ZEXT || op == IR_SEXT || op == IR_FIX || op == IR_VFIX || op == IR_VFCANON ||
           op == IR_VZEXTLO;
}

/* The result may be made in its PUT's register when nobody looks at the slot or its old value's
 * register until then. (Old values still alive in the register are moved when it is written.) */
static void check_hint(struct scan *s, unsigned i, const struct ir_insn *n)
{
    struct cg *c = s->c;
    struct val *x = &c->val[i];
    unsigned put = x->next, slot;

    if (x->hint == NOREG)
        return;
    slot = (unsigned)insn_of(c, put)->imm;
    if (c->slot_next[slot] != put || s->next_fault < put)
        x->hint = NOREG;
    if (x->hint != NOREG && hands_on(n->op) && !c->val[n->arg[0]].last) {
        c->val[n->arg[0]].hint = x->hint;
        c->val[n->arg[0]].next = (uint16_t)put;
    }
    x->next = 0;
}

static void scan_put(struct scan *s, unsigned i, const struct ir_insn *n)
{
    struct cg *c = s->c;
    unsigned slot = (unsigned)n->imm, later = c->slot_put[slot];
    struct val *v = &c->val[n->arg[0]];

    if (c->pin[slot] != NOREG) {
        v->hint = c->pin[slot];
        v->next = (uint16_t)i;
    } else if (later && later < s->boundary) {
        c->val[i].deferred = 1;
        v->last = MAX(v->last, later);
    }
    c->slot_put[slot] = c->slot_next[slot] = i;
}

/* Joins the access to those behind it off the same base, when all touch few bytes. */
static void scan_access(struct scan *s, unsigned i, const struct ir_insn *n)
{
    struct cg *c = s->c;
    struct val *x = &c->val[i], *base = &c->val[n->arg[0]];
    const struct val *next = &c->val[base->access];
    int32_t lo = (int32_t)n->imm, hi = lo + (1 << (n->sub & IR_MEM_SIZE));

    x->span_lo = lo;
    x->span_hi = hi;
    x->span_write = n->op == IR_ST;
    x->access = 0;
    if (n->imm > INT32_MAX - SHARE_SPAN || is_const(c, n->arg[0]))
        return;
    if (base->access && base->access < s->first_call &&
        (int64_t)MAX(hi, next->span_hi) - MIN(lo, next->span_lo) <= SHARE_SPAN) {
        x->span_lo = MIN(lo, next->span_lo);
        x->span_hi = MAX(hi, next->span_hi);
        x->span_write |= next->span_write;
        x->access = base->access;
    }
    base->access = (uint16_t)i;
}

static void scan_label(struct cg *c, unsigned i)
{
    struct label *l = &c->label[insn_of(c, i)->imm];
    unsigned k = i;

    while (insn_of(c, ++k)->op == IR_NOP)
        ;
    if (insn_of(c, k)->op == IR_EXIT_JMP)
        l->exit = (uint16_t)k;
    for (k = i - 1; k && insn_of(c, k)->op == IR_NOP; k--)
        ;
    l->closed = insn_of(c, k)->op == IR_BR || ir_op_info[insn_of(c, k)->op].flags & IR_FLAG_END;
}

/* In direct mode a sum that only this access uses is computed by its address. */
static bool folds(const struct cg *c, const struct ir_insn *n, unsigned k)
{
    const struct ir_insn *a = insn_of(c, n->arg[k]);

    if (!c->env.direct || k || n->op < IR_LD || n->op > IR_AT_CAS || n->op == IR_XLATE ||
        n->sub & IR_MEM_ALIGN || IR_USES(a->aux) != 1 || a->type != IR_I64)
        return false;
    if (a->op != IR_LEA && a->op != IR_ADD)
        return false;
    return !is_const(c, a->arg[0]) && !is_const(c, a->arg[1]) && fits32(a->imm + n->imm);
}

void scan(struct cg *c)
{
    struct scan s = {
        .c = c, .next_fault = UINT32_MAX, .boundary = c->ir->count, .first_call = UINT32_MAX
    };
    unsigned exits = 0;

    memset(c->slot_next, 0, c->env.slot_count * sizeof(*c->slot_next));
    memset(c->slot_put, 0, c->env.slot_count * sizeof(*c->slot_put));
    for (unsigned i = 0; i < c->ir->count + SHARE_MAX; i++)
        c->val[i] = (struct val){ .home = NOSLOT, .spill = -1, .hint = NOREG, .zbits = 64 };
    c->uses_vec = false;
    for (unsigned i = c->ir->count - 1; i; i--) {
        const struct ir_insn *n = insn_of(c, i);
        unsigned flags = ir_op_info[n->op].flags;

        if (!(flags & IR_FLAG_SIDE) && !c->val[i].last)
            continue;
        check_hint(&s, i, n);
        c->uses_vec |= is_vec_type(n->type) || n->op == IR_FIX;
        if (n->op == IR_PUT)
            scan_put(&s, i, n);
        else if (n->op == IR_GET)
            c->slot_next[n->imm] = i,
            c->uses_vec |= c->pin[n->imm] >= XMM0 && c->pin[n->imm] != NOREG;
        for (unsigned k = 0; k < n->nargs; k++) {
            if (folds(c, n, k)) {
                const struct ir_insn *a = insn_of(c, n->arg[k]);

                c->val[n->arg[k]].folded = 1;
                c->val[a->arg[0]].last = MAX(c->val[a->arg[0]].last, i);
                c->val[a->arg[1]].last = MAX(c->val[a->arg[1]].last, i);
                continue;
            }
            c->val[n->arg[k]].last = MAX(c->val[n->arg[k]].last, i);
        }
        if (flags & IR_FLAG_FAULT || (c->env.direct && (n->op == IR_LDH || n->op == IR_STH)))
            s.next_fault = i;
        if (n->op == IR_LD || n->op == IR_ST)
            scan_access(&s, i, n);
        if (n->op == IR_CALL && !is_pure_call(n))
            s.first_call = i;
        if (flags & (IR_FLAG_BB | IR_FLAG_END) || (n->op == IR_CALL && !is_pure_call(n)))
            s.boundary = i;
        exits += n->op == IR_EXIT_JMP || n->op == IR_BRCOND || n->op == IR_RETADDR;
        if (n->op == IR_LABEL)
            scan_label(c, i);
        else if (n->op == IR_BR || n->op == IR_BRCOND)
            c->label[n->imm].refs++;
    }
    c->ret->exit_count = 0;
    c->ret->exits = arena_alloc(c->arena, (exits + 1) * sizeof(*c->ret->exits), 8);
}
