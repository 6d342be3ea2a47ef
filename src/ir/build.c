/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The builder: what translators call to write IR. It checks types by assertion, sign-extends
 * constants from their type and leaves out operations that do nothing; everything cleverer is
 * ir/fold.c's.
 */
#include "ir/ir.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"

static bool is_int(enum ir_type t)
{
    return t <= IR_I64;
}

static bool is_shift(enum ir_op op)
{
    return op >= IR_SHL && op <= IR_ROR;
}

static int64_t sext_type(enum ir_type type, int64_t v)
{
    return sext((uint64_t)v, ir_type_bits[type]);
}

ir_val ir_emit(struct ir *ir, enum ir_op op, enum ir_type type, unsigned sub, int64_t imm,
               unsigned nargs, ir_val a, ir_val b, ir_val c, ir_val d)
{
    unsigned i = ir->count;

    assert(i < IR_MAX_INSNS);
    if (unlikely(i == ir->cap)) {
        ir->cap *= 2;
        ir->insn = xrealloc_array(ir->insn, ir->cap, sizeof(*ir->insn));
    }
    ir->insn[i] = (struct ir_insn){
        .op = op,
        .type = type,
        .sub = sub,
        .nargs = nargs,
        .arg = { a, b, c, d },
        .imm = imm,
    };
    ir->count = i + 1;
    return i;
}

static ir_val emit0(struct ir *ir, enum ir_op op, enum ir_type type, unsigned sub, int64_t imm)
{
    return ir_emit(ir, op, type, sub, imm, 0, 0, 0, 0, 0);
}

static ir_val emit1(struct ir *ir, enum ir_op op, enum ir_type type, unsigned sub, int64_t imm,
                    ir_val a)
{
    assert(a);
    return ir_emit(ir, op, type, sub, imm, 1, a, 0, 0, 0);
}

static ir_val emit2(struct ir *ir, enum ir_op op, enum ir_type type, unsigned sub, int64_t imm,
                    ir_val a, ir_val b)
{
    assert(a && b);
    return ir_emit(ir, op, type, sub, imm, 2, a, b, 0, 0);
}

void ir_insn_start(struct ir *ir, gva_t pc)
{
    ir->cur_pc = pc;
    ir->insn_count++;
    emit0(ir, IR_INSN, IR_NONE, 0, (int64_t)pc);
}

ir_val ir_const(struct ir *ir, enum ir_type type, int64_t v)
{
    assert(is_int(type));
    return emit0(ir, IR_CONST, type, 0, sext_type(type, v));
}

ir_val ir_get(struct ir *ir, unsigned slot)
{
    assert(slot < ir->slot_count);
    return emit0(ir, IR_GET, ir->slots[slot].type, 0, slot);
}

ir_val ir_get_low(struct ir *ir, unsigned slot, enum ir_type type)
{
    assert(slot < ir->slot_count && ir_type_bits[type] <= ir_type_bits[ir->slots[slot].type]);
    return emit0(ir, IR_GET, type, 0, slot);
}

void ir_put(struct ir *ir, unsigned slot, ir_val v)
{
    assert(slot < ir->slot_count && ir_type_of(ir, v) == ir->slots[slot].type);
    emit1(ir, IR_PUT, IR_NONE, 0, slot, v);
}

ir_val ir_op1(struct ir *ir, enum ir_op op, ir_val a)
{
    return emit1(ir, op, ir_type_of(ir, a), 0, 0, a);
}

ir_val ir_op2(struct ir *ir, enum ir_op op, ir_val a, ir_val b)
{
    enum ir_type type = ir_type_of(ir, a);

    assert(is_int(type) && (is_shift(op) ? is_int(ir_type_of(ir, b)) : type == ir_type_of(ir, b)));
    return emit2(ir, op, type, 0, 0, a, b);
}

/* True when "a op b" is a. */
static bool does_nothing(enum ir_op op, int64_t b)
{
    switch (op) {
    case IR_ADD:
    case IR_SUB:
    case IR_OR:
    case IR_XOR:
    case IR_ANDC:
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROL:
    case IR_ROR: return b == 0;
    case IR_AND: return b == -1;
    case IR_MUL: return b == 1;
    default: return false;
    }
}

ir_val ir_op2i(struct ir *ir, enum ir_op op, ir_val a, int64_t b)
{
    enum ir_type type = ir_type_of(ir, a);

    b = sext_type(type, b);
    if (does_nothing(op, b))
        return a;
    assert(!is_shift(op) || (b > 0 && b < ir_type_bits[type]));
    return ir_op2(ir, op, a, ir_const(ir, is_shift(op) ? IR_I8 : type, b));
}

ir_val ir_zext(struct ir *ir, enum ir_type to, ir_val a)
{
    enum ir_type type = ir_type_of(ir, a);

    assert(is_int(type) && is_int(to) && type <= to);
    return type == to ? a : emit1(ir, IR_ZEXT, to, 0, 0, a);
}

ir_val ir_sext(struct ir *ir, enum ir_type to, ir_val a)
{
    enum ir_type type = ir_type_of(ir, a);

    assert(is_int(type) && is_int(to) && type <= to);
    return type == to ? a : emit1(ir, IR_SEXT, to, 0, 0, a);
}

ir_val ir_trunc(struct ir *ir, enum ir_type to, ir_val a)
{
    enum ir_type type = ir_type_of(ir, a);

    assert(is_int(type) && is_int(to) && type >= to);
    return type == to ? a : emit1(ir, IR_TRUNC, to, 0, 0, a);
}

static bool is_field(enum ir_type type, unsigned pos, unsigned len)
{
    return is_int(type) && len >= 1 && len <= ir_type_bits[type] && pos <= ir_type_bits[type] - len;
}

ir_val ir_extract(struct ir *ir, ir_val a, unsigned pos, unsigned len)
{
    enum ir_type type = ir_type_of(ir, a);

    assert(is_field(type, pos, len));
    return len == ir_type_bits[type] ? a : emit1(ir, IR_EXTRACT, type, 0, IR_FIELD(pos, len), a);
}

ir_val ir_deposit(struct ir *ir, ir_val a, ir_val b, unsigned pos, unsigned len)
{
    enum ir_type type = ir_type_of(ir, a);

    assert(is_field(type, pos, len) && ir_type_of(ir, b) == type);
    return len == ir_type_bits[type] ? b : emit2(ir, IR_DEPOSIT, type, 0, IR_FIELD(pos, len), a, b);
}

/* Either of a and b may be IR_NO_VAL. */
ir_val ir_lea(struct ir *ir, ir_val a, ir_val b, unsigned shift, int32_t disp)
{
    enum ir_type type = ir_type_of(ir, a ? a : b);

    assert((type == IR_I32 || type == IR_I64) && shift <= 3);
    if (!b)
        return ir_addi(ir, a, disp);
    if (!a)
        return ir_addi(ir, ir_shli(ir, b, shift), disp);
    assert(ir_type_of(ir, a) == ir_type_of(ir, b));
    return emit2(ir, IR_LEA, type, shift, disp, a, b);
}

ir_val ir_setcond(struct ir *ir, enum ir_type type, enum ir_cond cond, ir_val a, ir_val b)
{
    assert(is_int(type) && is_int(ir_type_of(ir, a)) && ir_type_of(ir, a) == ir_type_of(ir, b));
    return emit2(ir, IR_SETCOND, type, cond, 0, a, b);
}

ir_val ir_setcondi(struct ir *ir, enum ir_type type, enum ir_cond cond, ir_val a, int64_t b)
{
    return ir_setcond(ir, type, cond, a, ir_const(ir, ir_type_of(ir, a), b));
}

ir_val ir_select(struct ir *ir, enum ir_cond cond, ir_val a, ir_val b, ir_val yes, ir_val no)
{
    enum ir_type type = ir_type_of(ir, yes);

    assert(ir_type_of(ir, a) == ir_type_of(ir, b) && type == ir_type_of(ir, no) && is_int(type));
    return ir_emit(ir, IR_SELECT, type, cond, 0, 4, a, b, yes, no);
}

unsigned ir_new_label(struct ir *ir)
{
    return ir->labels++;
}

void ir_label(struct ir *ir, unsigned label)
{
    assert(label < ir->labels);
    emit0(ir, IR_LABEL, IR_NONE, 0, label);
}

void ir_br(struct ir *ir, unsigned label)
{
    assert(label < ir->labels);
    emit0(ir, IR_BR, IR_NONE, 0, label);
}

void ir_brcond(struct ir *ir, enum ir_cond cond, ir_val a, ir_val b, unsigned label)
{
    assert(label < ir->labels && ir_type_of(ir, a) == ir_type_of(ir, b));
    emit2(ir, IR_BRCOND, IR_NONE, cond, label, a, b);
}

void ir_brcondi(struct ir *ir, enum ir_cond cond, ir_val a, int64_t b, unsigned label)
{
    ir_brcond(ir, cond, a, ir_const(ir, ir_type_of(ir, a), b), label);
}

/* The type that a word of a helper's sig names, IR_NONE for "-"; *sig moves behind it. */
static enum ir_type sig_type(const char **sig)
{
    const char *s = *sig;
    size_t n = strcspn(s, " ");

    *sig = s + n + (s[n] == ' ');
    for (unsigned t = 0; t < IR_TYPE_COUNT; t++)
        if (!strncmp(ir_type_names[t], s, n) && !ir_type_names[t][n])
            return (enum ir_type)t;
    assert(!"a helper's sig names a type");
    return IR_NONE;
}

ir_val ir_call(struct ir *ir, const struct helper *h, ir_val a, ir_val b, ir_val c, ir_val d)
{
    const char *sig = h->sig;
    const ir_val arg[4] = { a, b, c, d };
    enum ir_type type = sig_type(&sig);
    unsigned n = 0;
    ir_val v;

    while (*sig) {
        enum ir_type want = sig_type(&sig);

        assert(n < 4 && arg[n] && ir_type_of(ir, arg[n]) == want);
        n++;
    }
    for (unsigned i = n; i < 4; i++)
        assert(!arg[i]);
    v = ir_emit(ir, IR_CALL, type, 0, (int64_t)(intptr_t)h, n, a, b, c, d);
    return type == IR_NONE ? IR_NO_VAL : v;
}

/* Every exit back to the run loop: for regions of one instruction. */
static void exit_to_loop(struct ir *ir, ir_val pc)
{
    ir_put(ir, ir->slot_pc, pc);
    ir_exit_loop(ir, IR_REASON_NEXT);
}

void ir_exit_jmp(struct ir *ir, gva_t pc, unsigned flags)
{
    if (ir->loop_exits) {
        exit_to_loop(ir, ir_const(ir, IR_I64, (int64_t)pc));
        return;
    }
    emit0(ir, IR_EXIT_JMP, IR_NONE, flags, (int64_t)pc);
}

void ir_exit_ind(struct ir *ir, ir_val pc, unsigned kind)
{
    assert(ir_type_of(ir, pc) == IR_I64);
    if (ir->loop_exits) {
        exit_to_loop(ir, pc);
        return;
    }
    emit1(ir, IR_EXIT_IND, IR_NONE, kind, 0, pc);
}

void ir_exit_loop(struct ir *ir, enum ir_reason reason)
{
    emit0(ir, IR_EXIT_LOOP, IR_NONE, reason, 0);
}

void ir_retaddr(struct ir *ir, gva_t pc)
{
    emit0(ir, IR_RETADDR, IR_NONE, 0, (int64_t)pc);
}

/* Whether a value of this type can hold, or supply, an access of the size in mem. */
static bool fits_mem(enum ir_type type, unsigned mem)
{
    return (is_int(type) || type == IR_V128) && ir_type_bits[type] >= 8u << (mem & IR_MEM_SIZE);
}

ir_val ir_ld(struct ir *ir, enum ir_type type, ir_val addr, int32_t disp, unsigned mem)
{
    assert(ir_type_of(ir, addr) == IR_I64 && fits_mem(type, mem));
    return emit1(ir, IR_LD, type, mem, disp, addr);
}

void ir_st(struct ir *ir, ir_val addr, int32_t disp, ir_val v, unsigned mem)
{
    assert(ir_type_of(ir, addr) == IR_I64 && fits_mem(ir_type_of(ir, v), mem));
    emit2(ir, IR_ST, IR_NONE, mem, disp, addr, v);
}

ir_val ir_xlate(struct ir *ir, ir_val addr, int32_t disp, unsigned mem)
{
    assert(ir_type_of(ir, addr) == IR_I64);
    return emit1(ir, IR_XLATE, IR_I64, mem, disp, addr);
}

ir_val ir_ldh(struct ir *ir, enum ir_type type, ir_val host, int32_t disp, unsigned mem)
{
    assert(ir_type_of(ir, host) == IR_I64 && fits_mem(type, mem));
    return emit1(ir, IR_LDH, type, mem, disp, host);
}

void ir_sth(struct ir *ir, ir_val host, int32_t disp, ir_val v, unsigned mem)
{
    assert(ir_type_of(ir, host) == IR_I64 && fits_mem(ir_type_of(ir, v), mem));
    emit2(ir, IR_STH, IR_NONE, mem, disp, host, v);
}

/* c is for AT_CAS alone; IR_NO_VAL otherwise. */
ir_val ir_atomic(struct ir *ir, enum ir_op op, ir_val addr, ir_val b, ir_val c)
{
    enum ir_type type = ir_type_of(ir, b);

    assert(op >= IR_AT_XCHG && op <= IR_AT_CAS && (op == IR_AT_CAS) == (c != IR_NO_VAL));
    assert(ir_type_of(ir, addr) == IR_I64 && is_int(type) && (!c || ir_type_of(ir, c) == type));
    return ir_emit(ir, op, type, type, 0, c ? 3 : 2, addr, b, c, 0);
}

/* The result type of a vector op called without one. */
static enum ir_type vec_result(enum ir_op op, unsigned lane)
{
    bool wide = (op == IR_VTOI || op == IR_VEXTRACT) && (lane & ~IR_SCALAR) == IR_I64;

    if (ir_op_info[op].result == 'v')
        return IR_V128;
    return wide ? IR_I64 : IR_I32;
}

ir_val ir_vop1(struct ir *ir, enum ir_op op, unsigned lane, ir_val a, int64_t imm)
{
    assert(strlen(ir_op_info[op].operands) == 1);
    return emit1(ir, op, vec_result(op, lane), lane, imm, a);
}

ir_val ir_vop2(struct ir *ir, enum ir_op op, unsigned lane, ir_val a, ir_val b, int64_t imm)
{
    assert(strlen(ir_op_info[op].operands) == 2);
    return emit2(ir, op, vec_result(op, lane), lane, imm, a, b);
}

ir_val ir_vop3(struct ir *ir, enum ir_op op, unsigned lane, ir_val a, ir_val b, ir_val c)
{
    assert(strlen(ir_op_info[op].operands) == 3 && a && b && c);
    return ir_emit(ir, op, IR_V128, lane, 0, 3, a, b, c, 0);
}

ir_val ir_vconst(struct ir *ir, uint64_t half)
{
    return emit0(ir, IR_VCONST, IR_V128, 0, (int64_t)half);
}

ir_val ir_vtoi(struct ir *ir, enum ir_type type, ir_val a)
{
    assert(type == IR_I32 || type == IR_I64);
    return emit1(ir, IR_VTOI, type, type, 0, a);
}

ir_val ir_vfcvtfi(struct ir *ir, enum ir_type type, unsigned lane, ir_val a, bool truncate)
{
    assert(type == IR_I32 || type == IR_I64);
    return emit1(ir, IR_VFCVTFI, type, lane | IR_SCALAR, truncate, a);
}

ir_val ir_vfmadd(struct ir *ir, unsigned lane, ir_val a, ir_val b, ir_val c, unsigned negate)
{
    assert(a && b && c && negate <= 3);
    return ir_emit(ir, IR_VFMADD, IR_V128, lane, negate, 3, a, b, c, 0);
}

ir_val ir_fix(struct ir *ir, enum ir_cond cond, ir_val a, int64_t b, const struct helper *h,
              ir_val c, ir_val d)
{
    enum ir_type type = ir_type_of(ir, a);

    assert(c || !d);
    return ir_emit(ir, IR_FIX, type, cond, (intptr_t)h, 2 + !!c + !!d, a, ir_const(ir, type, b), c,
                   d);
}

ir_val ir_vfix(struct ir *ir, unsigned lane, const struct helper *h, ir_val a, ir_val b, ir_val c,
               ir_val d)
{
    assert(a && (b || !c) && (c || !d));
    return ir_emit(ir, IR_VFIX, IR_V128, lane, (intptr_t)h, 1 + !!b + !!c + !!d, a, b, c, d);
}

ir_val ir_crc32c(struct ir *ir, ir_val sum, ir_val data, unsigned size_log2)
{
    assert(ir_type_of(ir, sum) == IR_I32 && size_log2 <= ir_type_of(ir, data));
    return emit2(ir, IR_CRC32C, IR_I32, size_log2, 0, sum, data);
}

void ir_kill(struct ir *ir, unsigned slot)
{
    assert(slot < ir->slot_count);
    emit0(ir, IR_KILL, IR_NONE, 0, slot);
}
