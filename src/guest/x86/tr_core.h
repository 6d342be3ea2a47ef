/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Entry of the x86 translator (guest->translate), and what only the files of the core share. */
#pragma once

#include "guest/x86/tr.h"

/* Translates the region at req->pc into ir. vCPU thread. Sets req->fault when its first byte cannot
 * be fetched. */
void x86_translate(struct cpu *cpu, struct ir *ir, struct translation *req);

/* A branch to `target` was written as a jump to `label`. True: its exit is written at the region's
 * end and translation goes on, so that a second reader of the same flags (jcc after jcc) knows what
 * they follow from. False: the caller writes both exits now. */
bool tr_branch_later(struct tr *t, unsigned label, gva_t target);

/* Linear address of SS:sp + disp for an access of `size` bytes, where sp is the current stack
 * pointer cut to the stack's size. */
ir_val tr_stack_addr(struct tr *t, int32_t disp, unsigned size, enum cpu_access access);
/* As tr_addr, for seg:ea with ea already cut to the address size. */
ir_val tr_seg_addr(struct tr *t, unsigned seg, ir_val ea, unsigned size, enum cpu_access access);
/* Only CF changes, to cf (i32, 0 or 1). */
void tr_cc_carry(struct tr *t, ir_val cf);
/* For helpers: #GP(0) or #SS(0) unless [ea, ea + size) of the segment may be accessed so. Not for
 * 64-bit code. */
void x86_check_seg(struct x86_cpu *x, unsigned seg, uint64_t ea, unsigned size, bool write);
/* log2 of an operand size 1, 2, 4, 8, 16. */
static inline unsigned tr_log2(unsigned size)
{
    return (unsigned)__builtin_ctz(size);
}
/* ir_atomic; in slow mode (device memory, two pages) a load and a store, which run while no other
 * vCPU does. */
ir_val tr_atomic(struct tr *t, enum ir_op op, ir_val addr, ir_val b, ir_val c);
