/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Regions that exit to their own entry: the jump back skips what is done at the entry. In direct
 * mode slots that go round the loop in memory change places with pinned slots that the loop does
 * not touch: memory is in a loop's chain of dependences at some five cycles a round. Outside of the
 * region, and in its exits, the slots are where they always are.
 */
#include <string.h>

#include "host/x86_64/cg.h"

enum { BEFORE_PUT = 1, PUT = 2 };

static bool is_self_exit(const struct cg *c, unsigned i)
{
    return i && insn_of(c, i)->op == IR_EXIT_JMP && (gva_t)insn_of(c, i)->imm == c->ir->pc;
}

/* Index of the last jump back, 0: none. */
static unsigned loop_end(const struct cg *c)
{
    unsigned end = 0, label = UINT32_MAX;

    for (unsigned i = c->ir->count - 1; i; i--) {
        const struct ir_insn *n = insn_of(c, i);

        if (is_self_exit(c, i)) {
            unsigned k = i - 1;

            while (k && insn_of(c, k)->op == IR_NOP)
                k--;
            if (insn_of(c, k)->op == IR_RETADDR)
                continue; /* recursion */
            end = MAX(end, i);
            if (insn_of(c, k)->op == IR_LABEL)
                label = (unsigned)insn_of(c, k)->imm;
        } else if (n->op == IR_BRCOND && (unsigned)n->imm == label) {
            return i; /* the exit itself is behind all else */
        }
    }
    return end;
}

/* Registers that no code the region may call takes for those of their slots. */
static uint32_t free_to_change(const struct cg *c, unsigned end)
{
    uint32_t set = c->pinned, c_saves = 0xfu << R8;

    for (unsigned i = 1; i < c->ir->count; i++) {
        const struct ir_insn *n = insn_of(c, i);

        if (n->op == IR_CALL || (n->op >= IR_LD && n->op <= IR_AT_CAS && n->sub & IR_MEM_ALIGN))
            return 0;
        if (n->op == IR_FIX || n->op == IR_VFIX)
            set &= ~c_saves;
        if ((n->op >= IR_VSHLVV && n->op <= IR_VAESIMC) || n->op == IR_VFMADD ||
            n->op == IR_VFCVTHF || n->op == IR_VFCVTFH) /* maybe by helper */
            set &= 0xffffu & ~c_saves;
        if (i <= end && (n->op == IR_GET || n->op == IR_PUT) && c->pin[n->imm] != NOREG)
            set &= ~(1u << c->pin[n->imm]);
    }
    return set;
}

static void change(struct cg *c, unsigned slot, unsigned reg)
{
    struct swap *s = &c->swap[c->swap_count++];

    *s = (struct swap){ .reg = (uint8_t)reg, .in = (uint16_t)slot, .out = c->pin_slot[reg] };
    c->pin[s->out] = NOREG;
    c->pin[s->in] = s->reg;
    c->pin_slot[reg] = s->in;
}

/* Slots that the loop reads and then writes, in memory: the first ones get registers. */
static void choose(struct cg *c, unsigned end)
{
    uint32_t set = free_to_change(c, end);
    uint32_t *seen = c->slot_put; /* free until the scan */

    if (!set)
        return;
    memset(seen, 0, c->env.slot_count * sizeof(*seen));
    for (unsigned i = 1; i <= end; i++) {
        const struct ir_insn *n = insn_of(c, i);

        if (n->op == IR_GET && !(seen[n->imm] & PUT))
            seen[n->imm] |= BEFORE_PUT;
        else if (n->op == IR_PUT)
            seen[n->imm] |= PUT;
    }
    for (unsigned i = 1; i <= end && c->swap_count < ARRAY_SIZE(c->swap); i++) {
        const struct ir_insn *n = insn_of(c, i);
        unsigned slot = (unsigned)n->imm, type;
        uint32_t fit;

        if (n->op != IR_PUT || seen[slot] != (BEFORE_PUT | PUT) || c->pin[slot] != NOREG ||
            slot == c->ir->slot_pc)
            continue;
        type = c->slots[slot].type;
        fit = type == IR_I64 ? set & 0xffff : type == IR_V128 ? set & ~0xffffu : 0;
        if (!fit)
            continue;
        change(c, slot, (unsigned)__builtin_ctz(fit));
        set &= ~(fit & -fit);
    }
}

void loop_begin(struct cg *c)
{
    unsigned end;

    c->swap_count = 0;
    c->loop_body = 0;
    c->loops = false;
    if (!c->env.direct)
        return;
    end = loop_end(c);
    if (!end)
        return;
    c->loops = true;
    choose(c, end);
}

static void exchange(struct cg *c, bool enter)
{
    for (unsigned k = 0; k < c->swap_count; k++) {
        const struct swap *s = &c->swap[k];
        struct rm to = slot_mem(c, enter ? s->out : s->in);
        struct rm from = slot_mem(c, enter ? s->in : s->out);

        if (s->reg >= XMM0) {
            as_op(&c->as, OP_0F | 0x29, s->reg, to); /* movaps */
            as_op(&c->as, OP_0F | 0x28, s->reg, from);
        } else {
            as_store(&c->as, 3, to, s->reg);
            as_load(&c->as, true, s->reg, from);
        }
    }
}

void loop_enter(struct cg *c)
{
    exchange(c, true);
    c->loop_body = (uint32_t)(c->as.p - c->buf->rw);
}

void loop_leave(struct cg *c)
{
    exchange(c, false);
}

void loop_finish(struct cg *c)
{
    while (c->swap_count) {
        const struct swap *s = &c->swap[--c->swap_count];

        c->pin[s->in] = NOREG;
        c->pin[s->out] = s->reg;
        c->pin_slot[s->reg] = s->out;
    }
}

bool loop_has(const struct cg *c, unsigned reg)
{
    for (unsigned k = 0; k < c->swap_count; k++)
        if (c->swap[k].reg == reg)
            return true;
    return false;
}
