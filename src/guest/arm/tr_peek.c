/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking ahead in guest code: are the flags overwritten before anything reads them? Then their
 * slots are named dead at a region's exits and branches, and need not be stored. Only code of the
 * region's own page is looked at: a write to it drops the region, too. As flags of a fault or
 * interrupt in between, older ones may be seen; the program goes on with those it makes itself.
 */
#include "guest/arm/tr.h"

enum { PEEK_MAX = 24, PEEK_DEPTH = 3 };
enum effect { READS, WRITES, NEITHER, JUMPS, SPLITS };

static bool is(uint32_t w, uint32_t mask, uint32_t value)
{
    return (w & mask) == value;
}

static enum effect of_data_immediate(uint32_t w)
{
    if (is(w, 0x3f800000, 0x31000000) || is(w, 0x7f800000, 0x72000000)) /* ADDS, SUBS, ANDS */
        return WRITES;
    return NEITHER;
}

static enum effect of_data_register(uint32_t w)
{
    if (is(w, 0x3f000000, 0x2b000000) || is(w, 0x7f000000, 0x6a000000)) /* ADDS, SUBS, ANDS, BICS */
        return WRITES;
    if (is(w, 0x1f000000, 0x1a000000) &&
        !is(w, 0x00e00000, 0x00c00000)) /* carry, CCMP, CSEL, flags */
        return READS;
    return NEITHER;
}

static enum effect of_fp(uint32_t w)
{
    if (is(w, 0xff20fc07, 0x1e202000)) /* FCMP, FCMPE */
        return WRITES;
    if (is(w, 0xff200400, 0x1e200400) && w & 0x400) /* FCCMP, FCSEL */
        return READS;
    return NEITHER;
}

static enum effect of_branch(uint32_t w)
{
    if (is(w, 0x7c000000, 0x14000000)) /* B, BL */
        return JUMPS;
    if (is(w, 0x7c000000, 0x34000000)) /* CBZ, CBNZ, TBZ, TBNZ */
        return SPLITS;
    if (is(w, 0xfffff000, 0xd5032000) || is(w, 0xfffff000, 0xd5033000)) /* hints and barriers */
        return NEITHER;
    return READS; /* conditions, registers, exceptions, system: not followed */
}

static enum effect effect_of(uint32_t w)
{
    switch (w >> 25 & 15) {
    case 8:
    case 9: return of_data_immediate(w);
    case 10:
    case 11: return of_branch(w);
    case 5:
    case 13: return of_data_register(w);
    case 7:
    case 15: return of_fp(w);
    case 4:
    case 6:
    case 12:
    case 14: return NEITHER; /* loads and stores */
    default: return READS;
    }
}

static gva_t jump_target(gva_t pc, uint32_t w)
{
    if (is(w, 0x7c000000, 0x14000000))
        return pc + (uint64_t)sext(w & 0x3ffffff, 26) * 4;
    if (is(w, 0x7e000000, 0x34000000))
        return pc + (uint64_t)sext(w >> 5 & 0x7ffff, 19) * 4;
    return pc + (uint64_t)sext(w >> 5 & 0x3fff, 14) * 4;
}

static bool fetch_word(struct tr *t, gva_t pc, uint32_t *ret)
{
    bool near = pc - t->code.start < t->code.have;

    if ((pc ^ t->req->pc) & ~UINT64_C(4095))
        return false;
    return tr_fetch(t, near ? &t->code : &t->ahead, pc, ret);
}

static bool dead_at(struct tr *t, gva_t pc, unsigned depth)
{
    uint32_t w;

    for (unsigned n = 0; n < PEEK_MAX; n++, pc += 4) {
        if (!fetch_word(t, pc, &w))
            return false;
        switch (effect_of(w)) {
        case READS: return false;
        case WRITES: return true;
        case NEITHER: break;
        case JUMPS: pc = jump_target(pc, w) - 4; break;
        case SPLITS:
            if (!depth || !dead_at(t, jump_target(pc, w), depth - 1))
                return false;
            break;
        }
    }
    return false;
}

bool tr_flags_dead(struct tr *t, gva_t pc)
{
    return t->req->user && !t->req->alone && t->req->max_insns > 1 && dead_at(t, pc, PEEK_DEPTH);
}

void tr_kill_flags(struct tr *t)
{
    ir_kill(t->b, A64_SLOT_CC_A);
    ir_kill(t->b, A64_SLOT_CC_B);
    ir_kill(t->b, A64_SLOT_CC_C);
    ir_kill(t->b, A64_SLOT_CC_OP);
}
