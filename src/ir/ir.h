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
                 IR_REASON_NEXT,    /* look up pc again: mode or mapping may have changed */
                 IR_REASON_IRQ,     /* and test for interrupts first */
                 IR_REASON_SYSCALL, /* user mode: a system call; pc slot is behind it */
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

/* ---- passes: one file each, run in this order by ir_optimize ---- */
/* False, with one line of text in why, when the region breaks a rule of this file or ops.def. */
bool ir_verify(const struct ir *ir, char *why, size_t why_size);
/* Constants, identities, copies, slot get/put forwarding, common subexpressions, branches. */
void ir_pass_fold(struct ir *ir);
/* Backward: dead slots, dead values; fills aux. */
void ir_pass_dead(struct ir *ir);
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
enum ir_exit_kind { IR_LEFT_JMP, IR_LEFT_IND, IR_LEFT_LOOP, IR_LEFT_SYSCALL };
/* Runs the region on the state at cpu; stores the next pc in the pc slot. PUTs go straight to
 * memory and INSN stores its pc in the pc slot, so the state is exact wherever ops or a helper
 * leave by longjmp. Floating point runs in the caller's fp environment (on x86-64: MXCSR, whose
 * sticky flags collect). */
enum ir_exit_kind ir_interp(const struct ir *ir, void *cpu, const struct ir_interp_ops *ops);

#include "ir/build.h"
