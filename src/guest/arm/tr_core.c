/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The A64 translator's core: the loop that fetches and decodes, registers, leaving a region,
 * exceptions raised by translated code. Memory is in tr_mem.c, flags in tr_flags.c.
 */
#include <assert.h>
#include <string.h>

#include "base/endian.h"
#include "guest/arm/insn.h"
#include "guest/arm/tr.h"

enum {
    ROOM_PER_INSN = 1500, /* IR insns: the region ends when less is left */
};

/* ---- registers ---- */

ir_val tr_reg(struct tr *t, bool sf, unsigned n)
{
    return n == 31 ? ir_const(t->b, tr_type(sf), 0) : tr_reg_sp(t, sf, n);
}

ir_val tr_reg_sp(struct tr *t, bool sf, unsigned n)
{
    return ir_get_low(t->b, A64_SLOT_X + n, tr_type(sf));
}

void tr_set_reg(struct tr *t, bool sf, unsigned n, ir_val v)
{
    if (n != 31)
        tr_set_reg_sp(t, sf, n, v);
}

void tr_set_reg_sp(struct tr *t, bool sf, unsigned n, ir_val v)
{
    assert(ir_type_of(t->b, v) == tr_type(sf));
    ir_put(t->b, A64_SLOT_X + n, ir_zext(t->b, IR_I64, v));
}

/* ---- exceptions ---- */

_Noreturn void a64_raise(struct a64_cpu *x, enum a64_exception exception, uint32_t iss)
{
    x->exception = exception;
    x->iss = iss;
    cpu_raise(&x->c);
}

static void do_raise(struct a64_cpu *x, uint64_t exception, uint64_t iss)
{
    a64_raise(x, (enum a64_exception)exception, (uint32_t)iss);
}

static const struct helper h_raise = { "a64_raise", (helper_fn *)do_raise, "- i32 i32", 0 };

ir_val tr_call(struct tr *t, const struct helper *h, ir_val a, ir_val b, ir_val c, ir_val d)
{
    return ir_call(t->b, h, a, b, c, d);
}

void tr_raise(struct tr *t, enum a64_exception exception, uint32_t iss)
{
    tr_call(t, &h_raise, tr_c32(t, exception), tr_c32(t, (int32_t)iss), IR_NO_VAL, IR_NO_VAL);
    ir_exit_loop(t->b, IR_REASON_NEXT); /* not reached */
    t->done = true;
}

bool tr_fp_check(struct tr *t)
{
    if (!(t->mode & A64_MODE_FP_TRAP))
        return true;
    tr_raise(t, A64_EXC_UNDEF, 0); /* ESR's class comes with EL1 */
    return false;
}

/* ---- leaving the region ---- */

void tr_end_next(struct tr *t)
{
    ir_put(t->b, A64_SLOT_PC, tr_c64(t, (int64_t)(t->pc + 4)));
    ir_exit_loop(t->b, IR_REASON_NEXT);
    t->done = true;
}

static void leave_to(struct tr *t, gva_t target, unsigned flags)
{
    if ((target ^ t->req->pc) >> 12 == 0)
        flags |= IR_EXIT_SAMEPAGE;
    if (t->cc_dirty && tr_flags_dead(t, target))
        tr_kill_flags(t);
    ir_exit_jmp(t->b, target, flags);
    t->done = true;
}

void tr_jump(struct tr *t, gva_t target)
{
    leave_to(t, target, target <= t->pc ? IR_EXIT_POLL : 0);
}

void tr_jump_ind(struct tr *t, ir_val target, unsigned kind)
{
    ir_exit_ind(t->b, target, kind);
    t->done = true;
}

/* Room for another side exit. */
static bool more_sides(const struct tr *t)
{
    return t->sides < A64_SIDES && t->req->max_insns > 1;
}

static unsigned add_side(struct tr *t, gva_t target, enum a64_exception raise)
{
    struct tr_side *s = &t->side[t->sides++];

    assert(t->sides <= A64_SIDES + A64_SIDES_RESERVE);
    *s = (struct tr_side){ .label = ir_new_label(t->b),
                           .pc = t->pc,
                           .target = target,
                           .cc = t->cc,
                           .cc_dirty = t->cc_dirty,
                           .raise = raise };
    return s->label;
}

void tr_branch(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, gva_t target)
{
    bool on = target > t->pc && more_sides(t);

    if (t->cc_dirty && tr_flags_dead(t, t->pc + 4) && tr_flags_dead(t, target)) {
        tr_kill_flags(t);
        t->cc_dirty = false;
    }
    ir_brcond(t->b, cond, a, b, add_side(t, target, A64_EXC_NONE));
    t->block_start = (ir_val)t->b->count;
    if (!on)
        leave_to(t, t->pc + 4, 0);
}

void tr_raise_if(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, enum a64_exception exception)
{
    ir_brcond(t->b, cond, a, b, add_side(t, 0, exception));
    t->block_start = (ir_val)t->b->count;
}

static void do_raise_align(struct a64_cpu *x, uint64_t far)
{
    x->far = far;
    a64_raise(x, A64_EXC_ALIGN, 0);
}

static const struct helper h_raise_align = { "a64_raise_align", (helper_fn *)do_raise_align,
                                             "- i64", 0 };

void tr_raise_align(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, unsigned rn)
{
    tr_raise_if(t, cond, a, b, A64_EXC_ALIGN);
    t->side[t->sides - 1].reg = (uint8_t)rn;
}

/* Branches to here join the region again. */
static void join_sides(struct tr *t)
{
    unsigned kept = 0;

    for (unsigned n = 0; n < t->sides; n++) {
        struct tr_side s = t->side[n];

        if (s.raise || s.target != t->pc) {
            t->side[kept++] = s;
            continue;
        }
        ir_label(t->b, s.label);
        t->block_start = (ir_val)t->b->count;
        t->cc_dirty |= s.cc_dirty;
        if (t->cc != s.cc)
            t->cc = A64_CC_DYNAMIC;
    }
    t->sides = kept;
}

static void write_sides(struct tr *t)
{
    for (unsigned n = 0; n < t->sides; n++) {
        const struct tr_side *s = &t->side[n];

        ir_label(t->b, s->label);
        t->pc = s->pc;
        t->cc = s->cc;
        t->cc_dirty = s->cc_dirty;
        if (!s->raise) {
            tr_jump(t, s->target);
            continue;
        }
        ir_insn_start(t->b, s->pc);
        t->b->insn_count--;
        if (s->raise == A64_EXC_ALIGN)
            tr_call(t, &h_raise_align, tr_base(t, s->reg), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
        tr_raise(t, (enum a64_exception)s->raise, 0);
    }
}

/* ---- the loop ---- */

bool tr_fetch(struct tr *t, struct tr_code *c, gva_t pc, uint32_t *ret)
{
    if (pc - c->start >= c->have) {
        unsigned to_page_end = 4096 - (unsigned)(pc & 4095);

        c->start = pc;
        c->have = cpu_fetch((struct cpu *)&t->a->c, pc, c->buf, MIN(to_page_end, sizeof(c->buf)));
        if (c->have < 4)
            return false;
    }
    *ret = ld_le32(c->buf + (pc - c->start));
    return true;
}

static void translate_one(struct tr *t, uint32_t word)
{
    t->insn = word;
    ir_insn_start(t->b, t->pc);
    if (t->pc == t->req->pc)
        tr_bti_check(t, word);
    if (!a64_decode(t, word))
        tr_raise(t, A64_EXC_UNDEF, 0);
}

static bool region_full(const struct tr *t, unsigned count)
{
    return count >= t->req->max_insns || ir_room(t->b) < ROOM_PER_INSN ||
           ((t->pc ^ t->req->pc) & ~UINT64_C(4095)) || t->sides > A64_SIDES;
}

/* Field by field: the chunks of code are large. */
static void init_tr(struct tr *t, struct cpu *cpu, struct ir *ir, struct translation *req)
{
    memset(t, 0, offsetof(struct tr, side));
    t->b = ir;
    t->a = a64_of(cpu);
    t->req = req;
    t->mode = req->mode;
    t->pc = req->pc;
    t->cc = A64_CC_DYNAMIC;
    t->sides = 0;
    t->code.have = t->ahead.have = 0;
}

void a64_translate(struct cpu *cpu, struct ir *ir, struct translation *req)
{
    struct tr t;
    unsigned count = 0;
    uint32_t word;

    init_tr(&t, cpu, ir, req);
    if (req->pc & 3) {
        ir_insn_start(ir, t.pc);
        tr_raise(&t, A64_EXC_PC_ALIGN, 0);
        req->size = ir->guest_size = 4 - (req->pc & 3);
        return;
    }
    if (!tr_bti_begin(&t)) {
        req->size = ir->guest_size = 4;
        return;
    }
    while (!t.done) {
        if (t.sides)
            join_sides(&t);
        if (!tr_fetch(&t, &t.code, t.pc, &word)) {
            if (!count) { /* the pending exception is recorded */
                req->fault = true;
                return;
            }
            break;
        }
        translate_one(&t, word);
        count++;
        t.pc += 4;
        req->size = (uint32_t)(t.pc - req->pc);
        if (!t.done && region_full(&t, count))
            break;
    }
    if (!t.done) { /* on to the next instruction: forward, no poll */
        t.pc -= 4;
        leave_to(&t, t.pc + 4, 0);
    }
    write_sides(&t);
    ir->guest_size = req->size;
}
