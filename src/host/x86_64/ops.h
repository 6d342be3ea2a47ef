/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Emitters that the op tables share.
 */
#pragma once

#include "host/x86_64/cg.h"

/* ops_int.c: would def_tied give v's own register; and what it must not take when b is read later
 */
bool op_ties(const struct cg *c, unsigned v);
uint32_t op_avoid(const struct cg *c, unsigned a, struct rm b);

/* ops_bits.c */
emit_fn emit_shift, emit_rotate, emit_extend, emit_trunc, emit_extract, emit_deposit;

/* mem.c, for mem_direct.c */
unsigned mem_zbits(const struct ir_insn *n, unsigned size); /* of a load's result */
void mem_load_int(struct cg *c, const struct ir_insn *n, unsigned size, unsigned d, struct rm x);
void mem_load_vec(struct cg *c, unsigned size, unsigned d, struct rm x);
unsigned mem_store_value(struct cg *c, unsigned v, unsigned size); /* its register */
void mem_store_vec(struct cg *c, unsigned size, struct rm x, unsigned v);
void mem_lock(struct cg *c); /* the prefix, when parallel */
void mem_lock_op(struct cg *c, const struct ir_insn *n, unsigned op, struct rm x, unsigned r);
void mem_cmpxchg(struct cg *c, unsigned type, struct rm x, unsigned r);
unsigned mem_int_zbits(const struct ir_insn *n);

/* mem_direct.c */
emit_fn direct_ld, direct_st, direct_xlate, direct_exchange, direct_cas, direct_atomic;

/* ops_vec.c: d = a op x, where op has the SSE form "d op= x"; the op's code for its lane */
unsigned vec_op(struct cg *c, uint32_t code, unsigned a, struct rm x);
uint32_t vec_code(const struct ir_insn *n);
emit_fn vec_emit_1, vec_emit_2, vec_emit_2i;

/* ops_simd.c */
emit_fn simd_shift_imm, simd_mul;

/* exits.c: for the stub that returns when the jump cache does not have pc; changes t and u */
void jump_probe(struct cg *c, unsigned pc, unsigned t, unsigned u);

/* call.c; by_helper: the interpreter's own function, for what this processor has no instruction for
 */
emit_fn emit_call, emit_by_helper;

/* mem.c: t = offset of the soft TLB's entry for the page of addr + disp in its table */
void tlb_index(struct cg *c, unsigned t, unsigned addr, int32_t disp);
