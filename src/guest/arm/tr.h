/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The A64 translator's core: what every tr_<mnemonic>() uses. The .insn tables name one
 *     bool tr_x(struct tr *t, const struct arg_FORMAT *a)     returns false: UNDEFINED
 * per instruction or family. A load or store may fault, and then the state must be as before the
 * instruction: PUTs come after the last access.
 */
#pragma once

#include "guest/arm/a64.h"

/* Each guest has functions of these names: at link time they are a64_tr_*. */
#pragma redefine_extname tr_reg a64_tr_reg
#pragma redefine_extname tr_reg_sp a64_tr_reg_sp
#pragma redefine_extname tr_set_reg a64_tr_set_reg
#pragma redefine_extname tr_set_reg_sp a64_tr_set_reg_sp
#pragma redefine_extname tr_base a64_tr_base
#pragma redefine_extname tr_base_index a64_tr_base_index
#pragma redefine_extname tr_addr a64_tr_addr
#pragma redefine_extname tr_load a64_tr_load
#pragma redefine_extname tr_store a64_tr_store
#pragma redefine_extname tr_writeback a64_tr_writeback
#pragma redefine_extname tr_cc a64_tr_cc
#pragma redefine_extname tr_set_nzcv a64_tr_set_nzcv
#pragma redefine_extname tr_nzcv a64_tr_nzcv
#pragma redefine_extname tr_carry a64_tr_carry
#pragma redefine_extname tr_condition a64_tr_condition
#pragma redefine_extname tr_cond_select a64_tr_cond_select
#pragma redefine_extname tr_fp_check a64_tr_fp_check
#pragma redefine_extname tr_raise a64_tr_raise
#pragma redefine_extname tr_raise_if a64_tr_raise_if
#pragma redefine_extname tr_raise_align a64_tr_raise_align
#pragma redefine_extname tr_end_next a64_tr_end_next
#pragma redefine_extname tr_jump a64_tr_jump
#pragma redefine_extname tr_branch a64_tr_branch
#pragma redefine_extname tr_jump_ind a64_tr_jump_ind
#pragma redefine_extname tr_call a64_tr_call
#pragma redefine_extname tr_fetch a64_tr_fetch
#pragma redefine_extname tr_flags_dead a64_tr_flags_dead
#pragma redefine_extname tr_bti_begin a64_tr_bti_begin
#pragma redefine_extname tr_bti_check a64_tr_bti_check
#pragma redefine_extname tr_bti_branch a64_tr_bti_branch
#pragma redefine_extname tr_kill_flags a64_tr_kill_flags

#define A64_CC_DYNAMIC UINT32_MAX
enum { A64_SIDES = 16, A64_SIDES_RESERVE = 4 };

/* Guest code at hand, from `start`; never across a page. */
struct tr_code {
    gva_t start;
    unsigned have;
    uint8_t buf[256];
};

struct tr {
    struct ir *b;
    const struct a64_cpu *a; /* for constants only: features, never for state */
    struct translation *req;
    uint32_t mode;
    uint32_t insn;      /* the instruction word */
    gva_t pc;           /* this instruction's */
    uint32_t cc;        /* what cc_op is known to be here, or A64_CC_DYNAMIC */
    bool guarded;       /* the region's page is (PROT_BTI) */
    bool cc_dirty;      /* written since the region's entry, and not named dead */
    bool done;          /* the region has its exit */
    ir_val block_start; /* the IR block begins behind this insn */
    /* the latest RBIT: where, its Rd (| 32: X), and what it reversed */
    gva_t rbit_pc;
    uint8_t rbit_reg;
    ir_val rbit_of;
    /* exits of branches that the region went on behind, and raises: written at its end */
    struct tr_side {
        unsigned label;
        gva_t pc, target;
        uint32_t cc;
        bool cc_dirty;
        uint8_t raise; /* an exception instead of a jump */
        uint8_t reg;   /* A64_EXC_ALIGN: the base register, its address is far */
    } side[A64_SIDES + A64_SIDES_RESERVE];
    unsigned sides;
    struct tr_code code, ahead; /* of the region, and looked at ahead of it */
};

/* ---- registers. sf: 64 bits, else 32. n = 31 is zero, or SP in the _sp forms ---- */
static inline enum ir_type tr_type(bool sf)
{
    return sf ? IR_I64 : IR_I32;
}
ir_val tr_reg(struct tr *t, bool sf, unsigned n);
ir_val tr_reg_sp(struct tr *t, bool sf, unsigned n);
void tr_set_reg(struct tr *t, bool sf, unsigned n, ir_val v); /* v of sf's type; zero-extended */
void tr_set_reg_sp(struct tr *t, bool sf, unsigned n, ir_val v);
static inline ir_val tr_v(struct tr *t, unsigned n)
{
    return ir_get(t->b, A64_SLOT_V + n);
}
static inline void tr_set_v(struct tr *t, unsigned n, ir_val v) /* all 128 bits */
{
    ir_put(t->b, A64_SLOT_V + n, v);
}
static inline ir_val tr_c32(struct tr *t, int64_t v)
{
    return ir_const(t->b, IR_I32, v);
}
static inline ir_val tr_c64(struct tr *t, int64_t v)
{
    return ir_const(t->b, IR_I64, v);
}
static inline bool tr_has(const struct tr *t, enum a64_feat f)
{
    return a64_has(t->a, f);
}

/* ---- memory. mem: size log2 | IR_MEM_SIGN | IR_MEM_ALIGN ---- */
/* Xn or SP as base address. */
ir_val tr_base(struct tr *t, unsigned rn);
/* base + (Xm extended by option << shift), shift 0..4: the register offset of loads and stores. */
ir_val tr_base_index(struct tr *t, unsigned rn, unsigned rm, unsigned option, unsigned shift);
/* The address as it goes to memory: the top byte ignored where the mode asks for it. For XLATE and
 * atomics; tr_load and tr_store do it themselves. */
ir_val tr_addr(struct tr *t, ir_val addr, int64_t disp);
ir_val tr_load(struct tr *t, enum ir_type type, ir_val addr, int64_t disp, unsigned mem);
void tr_store(struct tr *t, ir_val addr, int64_t disp, ir_val v, unsigned mem);
/* Xn|SP = base + disp after the accesses (pre- and post-index). */
void tr_writeback(struct tr *t, unsigned rn, ir_val base, int64_t disp);

/* ---- flags ---- */
/* The flags follow from these from now on (enum a64_cc); a, b, c of any integer type or IR_NO_VAL.
 */
void tr_cc(struct tr *t, unsigned op, ir_val a, ir_val b, ir_val c);
void tr_set_nzcv(struct tr *t, ir_val nzcv);      /* i32, NZCV in bits 31..28, the rest 0 */
ir_val tr_nzcv(struct tr *t);                     /* the same form */
ir_val tr_carry(struct tr *t, enum ir_type type); /* C as 0 or 1 */
/* Condition 0..13 as an IR compare to branch, set or select on (14 and 15 are "always": test them
 * before). */
void tr_condition(struct tr *t, unsigned cond, enum ir_cond *ret_cond, ir_val *ret_a,
                  ir_val *ret_b);
/* cond (0..15) ? yes : no, values of one integer type. */
ir_val tr_cond_select(struct tr *t, unsigned cond, ir_val yes, ir_val no);

/* ---- control ---- */
/* False: FP and SIMD trap here, and the exception is emitted; the tr_ function returns true at
 * once. */
bool tr_fp_check(struct tr *t);
void tr_raise(struct tr *t, enum a64_exception exception,
              uint32_t iss); /* always; ends the region */
/* Raises when a <cond> b: a cold exit. An IR block ends here: values do not live on. */
void tr_raise_if(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, enum a64_exception exception);
/* Raises A64_EXC_ALIGN for the address in rn. */
void tr_raise_align(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, unsigned rn);
/* The region ends; the run loop looks up the next instruction: the mode word may have changed. */
void tr_end_next(struct tr *t);
void tr_jump(struct tr *t, gva_t target); /* direct; polls when backward */
/* To target where a <cond> b; the region goes on behind, or ends. */
void tr_branch(struct tr *t, enum ir_cond cond, ir_val a, ir_val b, gva_t target);
void tr_jump_ind(struct tr *t, ir_val target, unsigned kind); /* IR_IND_* */
ir_val tr_call(struct tr *t, const struct helper *h, ir_val a, ir_val b, ir_val c, ir_val d);

/* ---- core, for guest.c and the generated decoder ---- */
/* tr_bti.c. False: the region was written: it turns the checks on, and the code is translated anew.
 */
bool tr_bti_begin(struct tr *t);
void tr_bti_check(struct tr *t, uint32_t word); /* where the region begins, before its first PUT */
void tr_bti_branch(struct tr *t, bool call, unsigned rn); /* before leaving to the address in Xn */
/* The word at pc, through a chunk of code. False: it cannot be fetched. */
bool tr_fetch(struct tr *t, struct tr_code *c, gva_t pc, uint32_t *ret);
/* tr_peek.c: does the code at pc overwrite the flags before it reads them? */
bool tr_flags_dead(struct tr *t, gva_t pc);
/* Names them dead from here on. */
void tr_kill_flags(struct tr *t);
void a64_translate(struct cpu *cpu, struct ir *ir, struct translation *req);
