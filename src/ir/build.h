/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The builder: how a translator writes IR. Part of ir/ir.h, which includes it. Types follow the
 * operands and are checked by assertion; operations that do nothing return their operand.
 */
#pragma once

#include "ir/ir.h"

/* Appends an insn as it is; the functions below do it with checks. Asserts that there is room. */
ir_val ir_emit(struct ir *ir, enum ir_op op, enum ir_type type, unsigned sub, int64_t imm,
               unsigned nargs, ir_val a, ir_val b, ir_val c, ir_val d);
static inline enum ir_type ir_type_of(const struct ir *ir, ir_val v)
{
    return (enum ir_type)ir->insn[v].type;
}
static inline bool ir_is_const(const struct ir *ir, ir_val v)
{
    return ir->insn[v].op == IR_CONST;
}
/* Sign-extended from its type. */
static inline int64_t ir_const_value(const struct ir *ir, ir_val v)
{
    return ir->insn[v].imm;
}

void ir_insn_start(struct ir *ir, gva_t pc);
ir_val ir_const(struct ir *ir, enum ir_type type, int64_t v);
ir_val ir_get(struct ir *ir, unsigned slot);                        /* in the slot's type */
ir_val ir_get_low(struct ir *ir, unsigned slot, enum ir_type type); /* the low part */
void ir_put(struct ir *ir, unsigned slot, ir_val v); /* v must have the slot's type */
ir_val ir_op1(struct ir *ir, enum ir_op op, ir_val a);
ir_val ir_op2(struct ir *ir, enum ir_op op, ir_val a, ir_val b);
/* b becomes a constant of a's type (shifts: i8). */
ir_val ir_op2i(struct ir *ir, enum ir_op op, ir_val a, int64_t b);

/* ir_add(ir, a, b), ir_addi(ir, a, constant) and so on. */
/* clang-format off */
#define IR_BIN(name, OP)                                                                           \
    static inline ir_val ir_##name(struct ir *ir, ir_val a, ir_val b)                              \
    {                                                                                              \
        return ir_op2(ir, OP, a, b);                                                               \
    }                                                                                              \
    static inline ir_val ir_##name##i(struct ir *ir, ir_val a, int64_t b)                          \
    {                                                                                              \
        return ir_op2i(ir, OP, a, b);                                                              \
    }
IR_BIN(add, IR_ADD)
IR_BIN(sub, IR_SUB)
IR_BIN(mul, IR_MUL)
IR_BIN(and, IR_AND)
IR_BIN(or, IR_OR)
IR_BIN(xor, IR_XOR)
IR_BIN(andc, IR_ANDC)
IR_BIN(shl, IR_SHL)
IR_BIN(shr, IR_SHR)
IR_BIN(sar, IR_SAR)
IR_BIN(rol, IR_ROL)
IR_BIN(ror, IR_ROR)
IR_BIN(muluh, IR_MULUH)
IR_BIN(mulsh, IR_MULSH)
#undef IR_BIN
/* clang-format on */
static inline ir_val ir_not(struct ir *ir, ir_val a)
{
    return ir_op1(ir, IR_NOT, a);
}
static inline ir_val ir_neg(struct ir *ir, ir_val a)
{
    return ir_op1(ir, IR_NEG, a);
}
ir_val ir_zext(struct ir *ir, enum ir_type to, ir_val a); /* a itself when it has that type */
ir_val ir_sext(struct ir *ir, enum ir_type to, ir_val a);
ir_val ir_trunc(struct ir *ir, enum ir_type to, ir_val a);
ir_val ir_extract(struct ir *ir, ir_val a, unsigned pos, unsigned len);
ir_val ir_deposit(struct ir *ir, ir_val a, ir_val b, unsigned pos,
                  unsigned len); /* b of a's type */
ir_val ir_lea(struct ir *ir, ir_val a, ir_val b, unsigned shift, int32_t disp);
ir_val ir_setcond(struct ir *ir, enum ir_type type, enum ir_cond cond, ir_val a, ir_val b);
ir_val ir_setcondi(struct ir *ir, enum ir_type type, enum ir_cond cond, ir_val a, int64_t b);
ir_val ir_select(struct ir *ir, enum ir_cond cond, ir_val a, ir_val b, ir_val yes, ir_val no);

unsigned ir_new_label(struct ir *ir);
void ir_label(struct ir *ir, unsigned label);
void ir_br(struct ir *ir, unsigned label);
void ir_brcond(struct ir *ir, enum ir_cond cond, ir_val a, ir_val b, unsigned label);
void ir_brcondi(struct ir *ir, enum ir_cond cond, ir_val a, int64_t b, unsigned label);
/* nargs is taken from the helper's sig; pass IR_NO_VAL for the rest. Result IR_NO_VAL when the
 * helper has none. */
ir_val ir_call(struct ir *ir, const struct helper *h, ir_val a, ir_val b, ir_val c, ir_val d);
/* FIX: a, unless a <cond> b: then h(cpu, c[, d]); c and d are v128, IR_NO_VAL for none. */
ir_val ir_fix(struct ir *ir, enum ir_cond cond, ir_val a, int64_t b, const struct helper *h,
              ir_val c, ir_val d);
/* VFIX: a, unless a lane of it is NaN or the minimum: then h(cpu, &result, a, b[, c[, d]]). */
ir_val ir_vfix(struct ir *ir, unsigned lane, const struct helper *h, ir_val a, ir_val b, ir_val c,
               ir_val d);
ir_val ir_crc32c(struct ir *ir, ir_val sum, ir_val data, unsigned size_log2);
/* The slot is dead from here on (before exits only; see KILL in ops.def). */
void ir_kill(struct ir *ir, unsigned slot);
void ir_exit_jmp(struct ir *ir, gva_t pc, unsigned flags);
void ir_exit_ind(struct ir *ir, ir_val pc, unsigned kind);
void ir_exit_loop(struct ir *ir, enum ir_reason reason);
void ir_retaddr(struct ir *ir, gva_t pc);

/* guest memory; size_log2 0..4; result type wide enough */
ir_val ir_ld(struct ir *ir, enum ir_type type, ir_val addr, int32_t disp, unsigned mem);
void ir_st(struct ir *ir, ir_val addr, int32_t disp, ir_val v, unsigned mem);
ir_val ir_xlate(struct ir *ir, ir_val addr, int32_t disp, unsigned mem);
ir_val ir_ldh(struct ir *ir, enum ir_type type, ir_val host, int32_t disp, unsigned mem);
void ir_sth(struct ir *ir, ir_val host, int32_t disp, ir_val v, unsigned mem);
ir_val ir_atomic(struct ir *ir, enum ir_op op, ir_val addr, ir_val b, ir_val c);
/* vector ops: lane = enum ir_type | IR_SCALAR */
ir_val ir_vop1(struct ir *ir, enum ir_op op, unsigned lane, ir_val a, int64_t imm);
ir_val ir_vop2(struct ir *ir, enum ir_op op, unsigned lane, ir_val a, ir_val b, int64_t imm);
ir_val ir_vop3(struct ir *ir, enum ir_op op, unsigned lane, ir_val a, ir_val b, ir_val c);
/* With a constant in imm: what VFMADD negates. */
ir_val ir_vfmadd(struct ir *ir, unsigned lane, ir_val a, ir_val b, ir_val c, unsigned negate);
ir_val ir_vconst(struct ir *ir, uint64_t half); /* both 64-bit halves */
/* Ops whose result is an integer may come through ir_vop1/2 too; the result is i32, but i64 for
 * VEXTRACT of an i64 lane and for VTOI with lane i64. These two let the caller choose. */
ir_val ir_vtoi(struct ir *ir, enum ir_type type, ir_val a);
ir_val ir_vfcvtfi(struct ir *ir, enum ir_type type, unsigned lane, ir_val a, bool truncate);
