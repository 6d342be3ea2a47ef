/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The x86 translator's core: what every tr_<mnemonic>() uses. One tr function per instruction or
 * family: static bool tr_x(struct tr *t, const struct x86_insn *i)      returns false: #UD PUTs
 * come after the last thing in the instruction that may fault, so that a fault shows the state
 * before it.
 */
#pragma once

#include "guest/x86/decode.h"
#include "guest/x86/x86.h"

struct tr {
    struct ir *b;
    struct x86_cpu *x; /* for constants only: features, never for state */
    struct translation *req;
    uint32_t mode;
    gva_t pc, next_pc;   /* this instruction's rip and the next one's (wrapped to the code size) */
    unsigned code;       /* 16, 32 or 64 */
    unsigned stack_bits; /* 16, 32 or 64 */
    uint8_t cc;          /* what cc_op is known to be here, or X86_CC_DYNAMIC */
    bool done;           /* the region has its exit */
    bool shadow; /* STI: the inhibit slot is set and is cleared where the next instruction begins */
    /* Conditional branches that the region went on behind: their exits are written at its end. */
    struct {
        unsigned label;
        gva_t pc, target;
    } side[4];
    unsigned sides;
    bool branch_open; /* the region goes on only when the next instruction reads the flags */
    ir_val cf_val;    /* CF as i32 0/1, known since tr_cc_carry; or IR_NO_VAL */
};

/* ---- registers. size 1, 2, 4, 8 bytes. ---- */
enum ir_type tr_type(unsigned size);
ir_val tr_reg(struct tr *t, unsigned size, unsigned reg); /* in the size's type */
void tr_set_reg(struct tr *t, unsigned size, unsigned reg,
                ir_val v); /* size 4 clears the upper half; 1 and 2 keep the rest */
ir_val tr_reg8(struct tr *t, const struct x86_operand *o); /* AH..BH by the operand's kind */
/* ---- operands as the decoder gives them (register, memory, immediate) ---- */
ir_val tr_get(struct tr *t, const struct x86_insn *i,
              unsigned n); /* value in the operand's type; a memory operand is loaded */
ir_val tr_get_sext(struct tr *t, const struct x86_insn *i, unsigned n, unsigned size);
void tr_set(struct tr *t, const struct x86_insn *i, unsigned n, ir_val v);
/* Read-modify-write of operand n: memory is checked for writing first (XLATE), or loaded when
 * t->req->slow. Then tr_rmw_end once. */
struct tr_rmw {
    bool mem, slow;
    ir_val host, addr;
    unsigned size;
    unsigned n;
};
ir_val tr_rmw_begin(struct tr *t, const struct x86_insn *i, unsigned n, struct tr_rmw *m);
void tr_rmw_end(struct tr *t, const struct x86_insn *i, const struct tr_rmw *m, ir_val v);
/* ---- memory ---- */
ir_val tr_ea(
    struct tr *t,
    const struct x86_insn *i); /* effective address, i64, address size applied, no segment base */
ir_val tr_seg(struct tr *t, unsigned seg, ir_val ea); /* linear address: + base where it may differ
                                                         from 0; truncated outside 64-bit code */
/* The linear address of a memory operand for an access of `size` bytes: tr_ea + segment limit
 * checks (X86_MODE_LIMITS) + tr_seg. */
ir_val tr_addr(struct tr *t, const struct x86_insn *i, unsigned size, enum cpu_access access);
ir_val tr_load(struct tr *t, enum ir_type type, ir_val linear, unsigned size_log2);
void tr_store(struct tr *t, ir_val linear, ir_val v, unsigned size_log2);
/* Vector operand n (x86fp): XMM register or memory of `size` bytes (4, 8, 16; zeros above).
 * aligned: 16-byte memory must be aligned (#GP). */
ir_val tr_xmm(struct tr *t, unsigned reg);
void tr_set_xmm(struct tr *t, unsigned reg, ir_val v);
ir_val tr_get_vec(struct tr *t, const struct x86_insn *i, unsigned n, unsigned size, bool aligned);
/* ---- stack ---- */
void tr_push(struct tr *t, ir_val v, unsigned size);
ir_val tr_pop_value(struct tr *t,
                    unsigned size); /* loads the top; does not move the stack pointer */
void tr_add_sp(struct tr *t, int32_t n);
/* ---- flags ---- */
void tr_cc(struct tr *t, enum x86_cc op, unsigned size, ir_val a, ir_val b,
           ir_val c); /* values of any width <= 64 or IR_NO_VAL; zero-extended by it */
void tr_cc_flags(struct tr *t, ir_val flags);  /* X86_CC_EFLAGS with an i32 or i64 value */
ir_val tr_cc_compute(struct tr *t);            /* all six flags in EFLAGS position, i32 */
ir_val tr_cf(struct tr *t, enum ir_type type); /* CF as 0 or 1 */
/* x86 condition 0..15 as an IR compare: *cond, *a, *b to branch, set or select on. */
void tr_condition(struct tr *t, unsigned cc, enum ir_cond *cond, ir_val *a, ir_val *b);
/* ---- control ---- */
void tr_raise(struct tr *t, int vector); /* always raises here; ends the region */
void tr_raise_error(struct tr *t, int vector, uint32_t error);
void tr_raise_if(struct tr *t, enum ir_cond cond, ir_val a, ir_val b,
                 int vector);              /* with error 0 where the vector has one */
void tr_sync_rip(struct tr *t, gva_t rip); /* PUT rip slot */
void tr_end_next(
    struct tr *t); /* region ends; run loop looks up the next instruction (mode may have changed) */
void tr_end_irq(struct tr *t);            /* same, interrupts tested first (STI, POPF, IRET…) */
void tr_jump(struct tr *t, gva_t target); /* direct; polls when backward */
void tr_jump_ind(struct tr *t, ir_val target, unsigned kind);
/* Helper with up to four arguments (integers). The pc slot is right in helpers that raise
 * (cpu_raise restores it). */
ir_val tr_call(struct tr *t, const struct helper *h, ir_val a, ir_val b, ir_val c, ir_val d);
static inline ir_val tr_c32(struct tr *t, int64_t v)
{
    return ir_const(t->b, IR_I32, v);
}
static inline ir_val tr_c64(struct tr *t, int64_t v)
{
    return ir_const(t->b, IR_I64, v);
}
/* FP and SIMD gates from the mode word: #NM, #UD. True when the instruction may go on. */
bool tr_sse_check(struct tr *t);
bool tr_mmx_check(struct tr *t);
bool tr_x87_check(struct tr *t);
