/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Between the files of the fold pass. A simplifier gets a proposed insn whose operands are new
 * values, and answers with an existing value, a proposal it made simpler, or nothing. Private to
 * ir/.
 */
#pragma once

#include "ir/eval.h"
#include "ir/scratch.h"

struct fold {
    struct ir *ir;
    const struct ir_insn *next; /* old insn behind the one being folded; has no new operands */
    ir_val at;                  /* old index of the one being folded */
    struct ir_insn *out;        /* the new region */
    unsigned count;             /* insns in it */
    unsigned cap;
    unsigned block; /* first insn of the IR block being written */
    ir_val *map;    /* old value -> new value */
    ir_val *cse;
    uint32_t *slot; /* epoch << 16 | value that the slot holds */
    uint32_t epoch; /* what slots hold is forgotten by counting on */
    uint32_t *label_refs;
    bool unreachable;
    bool pc_known; /* the pc slot holds pc: since an INSN, and no PUT */
    gva_t pc;
};

static inline const struct ir_insn *fold_def(const struct fold *f, ir_val v)
{
    return &f->out[v];
}

static inline bool fold_is_const(const struct fold *f, ir_val v)
{
    return f->out[v].op == IR_CONST;
}

static inline int64_t fold_imm(const struct fold *f, ir_val v)
{
    return f->out[v].imm;
}

static inline enum ir_type fold_type(const struct fold *f, ir_val v)
{
    return (enum ir_type)f->out[v].type;
}

/* The second operand of v if v is this op and that operand a constant: true, and its value. */
static inline bool fold_is_op_const(const struct fold *f, ir_val v, enum ir_op op, int64_t *imm)
{
    const struct ir_insn *d = &f->out[v];

    if (d->op != op || f->out[d->arg[1]].op != IR_CONST)
        return false;
    *imm = f->out[d->arg[1]].imm;
    return true;
}

/* ---- fold.c ---- */
ir_val fold_append(struct fold *f, const struct ir_insn *in);
/* A pure insn: simplified, shared with an equal one, or appended. *in may be changed on the way. */
ir_val fold_value(struct fold *f, struct ir_insn *in);
ir_val fold_const(struct fold *f, enum ir_type type, int64_t v);
ir_val fold_op1(struct fold *f, enum ir_op op, enum ir_type type, int64_t imm, ir_val a);
ir_val fold_op2(struct fold *f, enum ir_op op, enum ir_type type, int64_t imm, ir_val a, ir_val b);
/* The second operand a constant of a's type; i8 for shifts. */
ir_val fold_op2c(struct fold *f, enum ir_op op, ir_val a, int64_t b);

/* ---- simplifiers: the value, or IR_NO_VAL after leaving *in as it should be appended ---- */
ir_val fold_int(struct fold *f, struct ir_insn *in);    /* ADD..LEA, NOT, NEG, shifts */
ir_val fold_bits(struct fold *f, struct ir_insn *in);   /* ZEXT..BSWAP */
ir_val fold_select(struct fold *f, struct ir_insn *in); /* SETCOND SELECT */
ir_val fold_vec(struct fold *f, struct ir_insn *in);

/* Makes a comparison simpler in place. 0 or 1 when its outcome is known, else -1. */
int fold_compare(struct fold *f, uint8_t *cond, ir_val *a, ir_val *b);

/* How many low bits of v can be other than 0. */
unsigned fold_width(const struct fold *f, ir_val v);
