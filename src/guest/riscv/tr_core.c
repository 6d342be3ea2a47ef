/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The RISC-V translator's core: the loop that fetches, decodes and dispatches (rv_translate), and
 * the ways out of a region. A region goes on behind conditional branches, and takes in again what
 * branches forward over at most a few instructions.
 */
#include <assert.h>

#include "base/endian.h"
#include "guest/riscv/rv_insn.h"
#include "guest/riscv/tr.h"

enum {
    ROOM_PER_INSN =
        400, /* a region ends when less is left; sides and the longest instruction fit */
    FETCH_CHUNK = 256,
};

/* ---- exceptions ---- */

void rv_raise(struct rv_cpu *r, enum rv_cause cause, uint64_t tval)
{
    r->cause = cause;
    r->tval = tval;
    cpu_raise(&r->c);
}

static void do_raise(struct rv_cpu *r, uint64_t cause, uint64_t tval)
{
    rv_raise(r, (enum rv_cause)(uint32_t)cause, tval);
}

static const struct helper h_raise = { "rv_raise", (helper_fn *)do_raise, "- i32 i64", 0 };

static void write_raise(struct tr *t, enum rv_cause cause, ir_val tval)
{
    ir_call(t->b, &h_raise, ir_const(t->b, IR_I32, cause), tval, IR_NO_VAL, IR_NO_VAL);
    ir_exit_loop(t->b, IR_REASON_NEXT); /* not reached */
    t->done = true;
}

void rv_tr_raise(struct tr *t, enum rv_cause cause, uint64_t tval)
{
    write_raise(t, cause, rv_c64(t, (int64_t)tval));
}

/* ---- leaving the region ---- */

void rv_end_next(struct tr *t)
{
    ir_put(t->b, RV_SLOT_PC, rv_c64(t, (int64_t)(t->pc + t->len)));
    ir_exit_loop(t->b, IR_REASON_NEXT);
    t->done = true;
}

static void leave_to(struct tr *t, gva_t target, unsigned flags)
{
    if ((target ^ t->req->pc) >> 12 == 0)
        flags |= IR_EXIT_SAMEPAGE;
    ir_exit_jmp(t->b, target, flags);
    t->done = true;
}

void rv_jump(struct tr *t, gva_t target)
{
    leave_to(t, target, target <= t->pc ? IR_EXIT_POLL : 0);
}

void rv_jump_ind(struct tr *t, ir_val target, unsigned kind)
{
    ir_exit_ind(t->b, target, kind);
    t->done = true;
}

static struct rv_side *add_side(struct tr *t, gva_t target)
{
    struct rv_side *s = &t->side[t->sides++];

    assert(t->sides <= RV_SIDES);
    *s = (struct rv_side){
        .label = ir_new_label(t->b), .pc = t->pc, .target = target, .boxed = t->boxed
    };
    return s;
}

void rv_raise_if(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, enum rv_cause cause,
                 unsigned reg)
{
    struct rv_side *s = add_side(t, 0);

    s->cause = (uint8_t)cause;
    s->reg = (uint8_t)reg;
    ir_brcond(t->b, cond, a, b, s->label);
}

void rv_branch(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, gva_t target)
{
    struct rv_side *s = add_side(t, target);

    ir_brcond(t->b, cond, a, b, s->label);
    if (t->req->max_insns == 1)
        leave_to(t, t->pc + t->len, 0);
}

/* Branches to here join the region again. */
static void join_sides(struct tr *t)
{
    unsigned kept = 0;

    for (unsigned n = 0; n < t->sides; n++) {
        struct rv_side *s = &t->side[n];

        if (s->cause || s->unboxed || s->target != t->pc) {
            t->side[kept++] = *s;
            continue;
        }
        ir_label(t->b, s->label);
        t->boxed &= s->boxed;
    }
    t->sides = kept;
}

static void do_unboxed(struct rv_cpu *r)
{
    r->unboxed = 1;
    cpu_mode_changed(&r->c);
}

static const struct helper h_unboxed = { "rv_unboxed", (helper_fn *)do_unboxed, "-",
                                         HELPER_NO_RAISE };

bool rv_check_boxed(struct tr *t, unsigned reg)
{
    enum { RESERVE = 2 }; /* what the rest of an instruction needs */
    ir_val high;

    if (t->req->mode & RV_MODE_UNBOXED || t->sides + RESERVE >= RV_SIDES)
        return false;
    high = ir_vop1(t->b, IR_VEXTRACT, IR_I32, ir_get(t->b, RV_SLOT_F + reg), 1);
    struct rv_side *s = add_side(t, 0);
    s->unboxed = true;
    ir_brcondi(t->b, IR_NE, high, -1, s->label);
    t->boxed |= 1u << reg;
    return true;
}

static void write_unboxed(struct tr *t)
{
    ir_insn_start(t->b, t->pc);
    t->b->insn_count--;
    ir_call(t->b, &h_unboxed, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    ir_put(t->b, RV_SLOT_PC, rv_c64(t, (int64_t)t->pc));
    ir_exit_loop(t->b, IR_REASON_NEXT);
}

static void write_sides(struct tr *t)
{
    for (unsigned n = 0; n < t->sides; n++) {
        ir_label(t->b, t->side[n].label);
        t->pc = t->side[n].pc;
        if (t->side[n].unboxed) {
            write_unboxed(t);
            continue;
        }
        if (!t->side[n].cause) {
            rv_jump(t, t->side[n].target);
            continue;
        }
        ir_insn_start(t->b, t->pc);
        t->b->insn_count--;
        write_raise(t, (enum rv_cause)t->side[n].cause, rv_x(t, t->side[n].reg));
    }
}

/* ---- the loop ---- */

struct fetcher {
    struct cpu *cpu;
    gva_t start;
    unsigned have;
    uint8_t buf[FETCH_CHUNK];
};

static bool fetch_half(struct fetcher *f, gva_t pc, uint32_t *ret)
{
    if (pc - f->start >= f->have) {
        unsigned to_page_end = 4096 - (unsigned)(pc & 4095);

        f->start = pc;
        f->have = cpu_fetch(f->cpu, pc, f->buf, MIN(to_page_end, (unsigned)FETCH_CHUNK));
        if (f->have < 2)
            return false;
    }
    *ret = ld_le16(f->buf + (pc - f->start));
    return true;
}

enum fetched { FETCHED, FETCH_FAULT, FETCH_NEXT_PAGE };

/* An instruction that reaches into the next page is translated only as a region's first. */
static enum fetched fetch(struct fetcher *f, struct tr *t, bool first)
{
    uint32_t high;

    if (!fetch_half(f, t->pc, &t->word))
        return FETCH_FAULT;
    t->len = (t->word & 3) == 3 ? 4 : 2;
    if (t->len == 2)
        return FETCHED;
    if (((t->pc + 2) & 4095) == 0 && !first)
        return FETCH_NEXT_PAGE;
    if (!fetch_half(f, t->pc + 2, &high))
        return FETCH_FAULT;
    t->word |= high << 16;
    return FETCHED;
}

/* What follows, as far as it was fetched already. */
static void look_behind(struct tr *t, const struct fetcher *f)
{
    gva_t at = t->pc + t->len - f->start;

    t->behind = at + 4 <= f->have ? ld_le32(f->buf + at) : 0;
}

static void translate_one(struct tr *t)
{
    ir_insn_start(t->b, t->pc);
    if (!(t->len == 2 ? rv_decode16(t, t->word) : rv_decode(t, t->word)))
        rv_tr_raise(t, RV_ILLEGAL, t->word);
}

static bool region_full(const struct tr *t, unsigned count)
{
    return count >= t->req->max_insns || ir_room(t->b) < ROOM_PER_INSN ||
           (t->pc ^ t->req->pc) >> 12 || t->sides >= RV_SIDES - 1;
}

/* An even pc is the architecture's own rule: jumps clear or cannot set bit 0. Bit 1 needs C. */
static bool misaligned_pc(const struct tr *t)
{
    return t->req->pc & (tr_has(t, RV_EXT_C) ? 1 : 3);
}

void rv_translate(struct cpu *cpu, struct ir *ir, struct translation *req)
{
    struct tr t = { .b = ir,
                    .r = rv_of(cpu),
                    .req = req,
                    .pc = req->pc,
                    .frm = req->mode & RV_MODE_FRM,
                    .quiet_pc = ~UINT64_C(0),
                    .flags_pc = ~UINT64_C(0) };
    struct fetcher f = { .cpu = cpu };
    unsigned count = 0;

    if (misaligned_pc(&t)) {
        ir_insn_start(ir, t.pc);
        rv_tr_raise(&t, RV_FETCH_MISALIGNED, t.pc);
        req->size = ir->guest_size = 2;
        return;
    }
    while (!t.done) {
        join_sides(&t);
        enum fetched r = fetch(&f, &t, count == 0);
        if (r == FETCH_FAULT && !count) { /* the pending exception is recorded */
            req->fault = true;
            return;
        }
        if (r != FETCHED) {
            leave_to(&t, t.pc, 0);
            break;
        }
        look_behind(&t, &f);
        translate_one(&t);
        count++;
        req->size = (uint32_t)(t.pc - req->pc) + t.len;
        t.pc += t.len;
        if (!t.done && region_full(&t, count))
            leave_to(&t, t.pc, 0);
    }
    write_sides(&t);
    ir->guest_size = req->size;
}

/* ---- -d in_asm ---- */

void rv_print_insns(FILE *f, const uint8_t *code, unsigned size, gva_t pc, uint32_t mode)
{
    char text[96];
    uint32_t w;

    for (unsigned at = 0, len; at + 2 <= size; at += len) {
        w = ld_le16(code + at);
        len = (w & 3) == 3 ? 4 : 2;
        if (at + len > size)
            break;
        if (len == 4)
            rv_disas(text, sizeof(text), pc + at, w = ld_le32(code + at));
        else
            rv_disas16(text, sizeof(text), pc + at, w);
        fprintf(f, "%#14llx:  %0*x%*s  %s\n", (unsigned long long)(pc + at), (int)len * 2, w,
                8 - (int)len * 2, "", text);
    }
}
