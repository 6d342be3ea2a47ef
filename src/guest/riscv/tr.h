/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The RISC-V translator's core: what every tr_<mnemonic>() uses. The .insn tables name one
 *     bool tr_x(struct tr *t, const struct arg_FORMAT *a)     returns false: illegal instruction
 * per instruction or family. A load or store may fault, and then the state must be as before the
 * instruction: PUTs come after the last access.
 */
#pragma once

#include "guest/riscv/riscv.h"

enum { RV_SIDES = 24 };

struct tr {
    struct ir *b;
    const struct rv_cpu *r; /* for constants only: extensions, never for state */
    struct translation *req;
    gva_t pc;      /* this instruction's */
    unsigned len;  /* its bytes, 2 or 4 */
    uint32_t word; /* and itself */
    uint8_t frm;   /* the mode word's */
    bool done;     /* the region has its exit */
    /* f registers known to hold a boxed single here */
    uint32_t boxed;
    /* x[flags_reg], put by IR insn flags_put, is fflags, made from the host's flags_host */
    ir_val flags_host;
    uint16_t flags_put;
    uint8_t flags_reg;
    gva_t flags_pc;  /* of that csrr */
    gva_t quiet_pc;  /* here fflags is written with what it is: nothing to do */
    uint32_t behind; /* the word behind this instruction, 0 when it is not at hand */
    /* exits of branches that the region went on behind: written at its end, unless the region
     * comes to their target first */
    struct rv_side {
        unsigned label;
        gva_t pc, target;
        uint32_t boxed;
        uint8_t cause, reg; /* not 0: the exception instead; x[reg] is its tval */
        bool unboxed;       /* on in RV_MODE_UNBOXED, from this instruction */
    } side[RV_SIDES];
    unsigned sides;
};

static inline bool tr_has(const struct tr *t, enum rv_ext e)
{
    return rv_has(t->r, e);
}
static inline ir_val rv_c64(struct tr *t, int64_t v)
{
    return ir_const(t->b, IR_I64, v);
}
/* ---- integer registers: 64 bits, or the low 32 ---- */
static inline ir_val rv_x(struct tr *t, unsigned n)
{
    return n ? ir_get(t->b, RV_SLOT_X + n) : rv_c64(t, 0);
}
static inline ir_val rv_w(struct tr *t, unsigned n)
{
    return n ? ir_get_low(t->b, RV_SLOT_X + n, IR_I32) : ir_const(t->b, IR_I32, 0);
}
static inline void rv_set_x(struct tr *t, unsigned n, ir_val v)
{
    if (n)
        ir_put(t->b, RV_SLOT_X + n, v);
}
static inline void rv_set_w(struct tr *t, unsigned n, ir_val v) /* i32, sign-extended */
{
    if (n)
        ir_put(t->b, RV_SLOT_X + n, ir_sext(t->b, IR_I64, v));
}

/* ---- leaving ---- */
void rv_tr_raise(struct tr *t, enum rv_cause cause, uint64_t tval); /* always; ends the region */
void rv_jump(struct tr *t, gva_t target); /* direct; polls when backward; ends the region */
/* To target where a <cond> b; the region goes on behind, or ends. IR values do not live on. */
void rv_branch(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, gva_t target);
/* Raises, with x[reg] as tval, where a <cond> b. IR values do not live on. */
void rv_raise_if(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, enum rv_cause cause,
                 unsigned reg);
/* f[reg] must be a boxed single, or else the code from here on is that of RV_MODE_UNBOXED. IR
 * values do not live on. False: there is no room, nothing was done. */
bool rv_check_boxed(struct tr *t, unsigned reg);
void rv_jump_ind(struct tr *t, ir_val target, unsigned kind); /* IR_IND_* */
/* The run loop looks up the next instruction: the mode word or code may have changed. */
void rv_end_next(struct tr *t);
