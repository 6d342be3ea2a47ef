/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The intermediate representation: what a guest's translator writes and a host's backend reads.
 *
 * A region is one entry, a linear array of insns and one or more exits. Values are named by the
 * index of the insn that makes them, are assigned once and live within an IR block (between LABELs
 * and branches); what crosses an IR block, or an instruction boundary that may fault, crosses in a
 * slot: a typed place in the cpu structure. State at a fault is "the slots, as if every PUT so far
 * had been done". It knows neither guest nor host. A struct ir belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/types.h"

enum ir_type {
    IR_I8,
    IR_I16,
    IR_I32,
    IR_I64,
    IR_F32,
    IR_F64,
    IR_V128,
    IR_V256,
    IR_NONE,
    IR_TYPE_COUNT
};

enum ir_op {
#define OP(name, result, operands, flags, meaning) IR_##name,
#include "ir/ops.def"
#undef OP
    IR_OP_COUNT
};

enum ir_cond {
    IR_EQ,
    IR_NE,
    IR_LTU,
    IR_GEU,
    IR_LTS,
    IR_GES,
    IR_LEU,
    IR_GTU,
    IR_LES,
    IR_GTS,
    IR_TST,  /* (a & b) != 0 */
    IR_TSTN, /* (a & b) == 0 */
    IR_COND_COUNT
};

enum { /* ir_op_info.flags */
       IR_FLAG_SIDE = 1,
       IR_FLAG_FAULT = 2,
       IR_FLAG_END = 4,
       IR_FLAG_BB = 8,
       IR_FLAG_COMM = 16,
};

enum { IR_SCALAR = 0x80 }; /* vector ops' sub: lane 0 only */
enum {
    IR_MEM_SIZE = 7,
    IR_MEM_SIGN = 8,
    IR_MEM_WRITE = 16,
    IR_MEM_ALIGN = 32
};                                               /* memory ops' sub */
enum { IR_EXIT_POLL = 1, IR_EXIT_SAMEPAGE = 2 }; /* EXIT_JMP's sub */
enum { IR_IND_JUMP, IR_IND_CALL, IR_IND_RET };   /* EXIT_IND's sub */
enum ir_reason {                                 /* EXIT_LOOP's sub */
                 IR_REASON_NEXT, /* look up pc again: mode or mapping may have changed */
                 IR_REASON_IRQ,  /* and test for interrupts first */
};

#define IR_FIELD(pos, len) ((pos) | (len) << 8)
#define IR_FIELD_POS(imm)  ((int)((imm)&0xff))
#define IR_FIELD_LEN(imm)  ((int)((imm) >> 8 & 0xff))

typedef uint16_t ir_val; /* index of the insn that makes it */
#define IR_NO_VAL 0      /* insn 0 is always a NOP */

struct ir_insn {
    uint8_t op, type, sub;
    uint8_t nargs; /* operands in use: a, b, c, d in this order */
    ir_val arg[4];
    uint32_t aux; /* after ir_pass_dead: IR_LAST_USE and IR_USES; 0 before */
    int64_t imm;
};

/* Written by ir_pass_dead for every insn with a result: index of the last insn that uses it (0:
 * none) and the number of uses, 65535 at most. An operand named twice by one insn counts twice. */
#define IR_LAST_USE(aux) ((ir_val)((aux)&0xffff))
#define IR_USES(aux)     ((aux) >> 16)

/* A region never has more insns than this; the builder asserts it. Translators end a region while
 * ir_room() is above what their longest instruction needs. */
enum { IR_MAX_INSNS = 16384 };

struct ir_slot {
    const char *name;
    uint16_t offset; /* in the cpu structure */
    uint8_t type;
    uint8_t pin; /* pin preference, 1 = first to get a host register, 0 = never pinned */
};

/* A C function callable from translated code: f(cpu, a, b, c, d). Integers are passed and returned
 * as uint64_t (zero-extended; narrower results: the low bits count). Vectors are passed by const
 * pointer to 16-byte aligned memory; a v128 result is written through a pointer that comes as the
 * first argument behind cpu. */
typedef void helper_fn(void);
enum helper_flags {
    HELPER_PURE = 1, /* result from arguments only, cannot raise; unused calls are removed, equal
                        ones shared. cpu may be read for constants only */
    HELPER_NO_RAISE = 2, /* touches cpu slots, but never raises and never leaves */
};
struct helper {
    const char *name;
    helper_fn *fn;
    const char *sig; /* result then arguments: "i64 i64 i64", "- i32", "v128 v128 v128" */
    unsigned flags;
};

struct ir {
    struct ir_insn *insn; /* [0] is a NOP */
    unsigned count, cap;
    unsigned labels; /* labels made so far */
    const struct ir_slot *slots;
    unsigned slot_count;
    uint16_t slot_pc;    /* the slot that holds the guest's pc */
    gva_t pc;            /* entry */
    uint32_t insn_count; /* guest instructions */
    uint32_t guest_size; /* guest bytes translated */
    gva_t cur_pc;        /* of the INSN being written */
    bool loop_exits; /* ir_exit_jmp and _ind write PUT pc, EXIT_LOOP instead: each exit returns to
                        the run loop */
    struct ir_scratch *scratch; /* the passes' own arrays (ir/fold.c) */
};

struct ir_op_info {
    const char *name;
    char result;
    const char *operands;
    uint8_t flags;
    const char *meaning;
};
extern const struct ir_op_info ir_op_info[IR_OP_COUNT];
extern const char *const ir_type_names[IR_TYPE_COUNT];
extern const char *const ir_cond_names[IR_COND_COUNT];
extern const uint8_t ir_type_bits[IR_TYPE_COUNT]; /* 8, 16, 32, 64, 32, 64, 128, 255 (v256), 0 */

/* ---- life (ir/ir.c) ---- */
void ir_init(struct ir *ir, const struct ir_slot *slots, unsigned slot_count, uint16_t slot_pc);
void ir_finish(struct ir *ir);
void ir_begin(struct ir *ir, gva_t pc); /* empties it for a new region */

/* How many more insns fit. */
static inline unsigned ir_room(const struct ir *ir)
{
    return IR_MAX_INSNS - ir->count;
}

/* ---- builder (ir/build.c; hot ones inline below). Types follow the operands. ---- */
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
static inline int64_t ir_const_value(const struct ir *ir, ir_val v)
{
    return ir->insn[v].imm;
} /* sign-extended from its type */

void ir_insn_start(struct ir *ir, gva_t pc);
ir_val ir_const(struct ir *ir, enum ir_type type, int64_t v);
ir_val ir_get(struct ir *ir, unsigned slot);                        /* in the slot's type */
ir_val ir_get_low(struct ir *ir, unsigned slot, enum ir_type type); /* the low part */
void ir_put(struct ir *ir, unsigned slot, ir_val v); /* v must have the slot's type */
ir_val ir_op1(struct ir *ir, enum ir_op op, ir_val a);
ir_val ir_op2(struct ir *ir, enum ir_op op, ir_val a, ir_val b);
ir_val ir_op2i(struct ir *ir, enum ir_op op, ir_val a,
               int64_t b); /* b a constant of a's type (shift: i8) */

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
IR_BIN(sub, IR_SUB) IR_BIN(mul, IR_MUL) IR_BIN(and, IR_AND) IR_BIN(or, IR_OR) IR_BIN(xor, IR_XOR)
    IR_BIN(andc, IR_ANDC) IR_BIN(shl, IR_SHL) IR_BIN(shr, IR_SHR) IR_BIN(sar, IR_SAR)
        IR_BIN(rol, IR_ROL) IR_BIN(ror, IR_ROR) IR_BIN(muluh, IR_MULUH) IR_BIN(mulsh, IR_MULSH)
#undef IR_BIN
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
/* Ops whose result is an integer may come through ir_vop1/2 too; the result is i32, but i64 for
 * VEXTRACT of an i64 lane and for VTOI with lane i64. These two let the caller choose. */
ir_val ir_vconst(struct ir *ir, uint64_t half); /* both 64-bit halves */
ir_val ir_vtoi(struct ir *ir, enum ir_type type, ir_val a);
ir_val ir_vfcvtfi(struct ir *ir, enum ir_type type, unsigned lane, ir_val a, bool truncate);

/* ---- passes: one file each, run in this order by ir_optimize ---- */
/* False, with one line of text in why, when the region breaks a rule of this file or ops.def. */
bool ir_verify(const struct ir *ir, char *why, size_t why_size);
void ir_pass_fold(
    struct ir *ir); /* constants, copies, slot get/put forwarding, common subexpressions */
void ir_pass_dead(struct ir *ir); /* backward: dead slots, dead values */
struct ir_pass {
    const char *name;
    void (*run)(struct ir *ir);
};
extern const struct ir_pass ir_passes[]; /* ends with a NULL name */
void ir_optimize(struct ir *ir);

void ir_print(FILE *f, const struct ir *ir);
void ir_print_insn(FILE *f, const struct ir *ir, unsigned i);

/* ---- interpreter (ir/interp.c): the portable fallback and the oracle of every backend ---- */
union ir_v128 {
    uint8_t u8[16];
    uint16_t u16[8];
    uint32_t u32[4];
    uint64_t u64[2];
    int8_t s8[16];
    int16_t s16[8];
    int32_t s32[4];
    int64_t s64[2];
    float f32[4];
    double f64[2];
} __attribute__((aligned(16)));
/* How the interpreter reaches guest memory and leaves. mem_flags is the op's sub: size log2 |
 * IR_MEM_SIGN | IR_MEM_ALIGN. All may longjmp out (a guest exception). */
struct ir_interp_ops {
    void (*load)(void *cpu, gva_t a, void *buf, unsigned size, unsigned mem_flags);
    void (*store)(void *cpu, gva_t a, const void *buf, unsigned size, unsigned mem_flags);
    uint64_t (*atomic)(void *cpu, enum ir_op op, gva_t a, unsigned size, uint64_t b, uint64_t c);
    void *(*xlate)(void *cpu, gva_t a, unsigned size, bool write);
    bool (*poll)(void *cpu); /* an exit is requested */
};
enum ir_exit_kind { IR_LEFT_JMP, IR_LEFT_IND, IR_LEFT_LOOP };
/* Runs the region on the state at cpu; stores the next pc in the pc slot. PUTs go straight to
 * memory and INSN stores its pc in the pc slot, so the state is exact wherever ops or a helper
 * leave by longjmp. Floating point runs in the caller's fp environment (on x86-64: MXCSR, whose
 * sticky flags collect). */
enum ir_exit_kind ir_interp(const struct ir *ir, void *cpu, const struct ir_interp_ops *ops);
