/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random IR programs for differential tests: interpreter against passes, interpreter against host
 * backends. The same seed and flags give the same program everywhere. A test embeds
 * IRGEN_STATE_SIZE bytes, 16-byte aligned, in its cpu structure and says at which offset; guest
 * memory is the generator's own 64 KiB at guest addresses from mem_at. Accesses outside
 * (IRGEN_FAULT) raise: g->raise is called, and must not return.
 */
#pragma once

#include <setjmp.h>

#include "ir/ir.h"

enum {
    IRGEN_MEM = 1,      /* LD ST AT_* XLATE LDH STH */
    IRGEN_VECTOR = 2,   /* moves and vector integer ops */
    IRGEN_FP = 4,       /* VF* (needs IRGEN_VECTOR) */
    IRGEN_BRANCH = 8,   /* labels, forward branches, side exits, counted loops */
    IRGEN_CALL = 16,    /* helpers of every kind */
    IRGEN_FAULT = 32,   /* some accesses and helpers raise */
    IRGEN_LONG = 64,    /* some hundred guest instructions instead of up to 16 */
    IRGEN_DIRECT = 128, /* more misaligned accesses that raise (needs IRGEN_FAULT) */
    IRGEN_ALL = 63,
    IRGEN_SLOTS = 40,
    IRGEN_POOL = 16,
    IRGEN_MEM_SIZE = 65536,
};

struct irgen_state { /* what the slots name */
    union ir_v128 x[8];
    uint64_t pc, r[14];
    uint32_t w[4], loop;
    uint16_t h[2];
    uint8_t b[4];
};
enum { IRGEN_STATE_SIZE = 512 };
_Static_assert(sizeof(struct irgen_state) <= IRGEN_STATE_SIZE, "fits");

struct irgen {
    struct ir_slot slots[IRGEN_SLOTS];
    unsigned slot_count;
    uint16_t slot_pc;
    unsigned base;                 /* offset of the state in the cpu structure */
    void (*raise)(struct irgen *); /* irgen_init: longjmp to env */
    jmp_buf env;
    uint8_t *mem;    /* 64 KiB, page-aligned, owned, as many without access behind it */
    uint64_t mem_at; /* guest address of mem */

    /* of the program being written */
    struct ir *ir;
    uint64_t rng;
    unsigned flags;
    uint64_t insn_pc;
    unsigned first_r, first_w, first_h, first_b, first_x, loop_slot; /* slot numbers */
    ir_val pool[5][IRGEN_POOL]; /* values of this IR block: i8 i16 i32 i64 v128 */
    unsigned pool_count[5];
    bool fixes;          /* the program tests for NaNs: the denormal flag may differ */
    ir_val near;         /* address of an access of this IR block, or none */
    unsigned pending[4]; /* labels branched to and not placed yet */
    unsigned pending_count;
};

/* base: offset of the state in the cpu structure, a multiple of 16. The slots of g go into ir_init
 * (use slot_pc). */
void irgen_init(struct irgen *g, unsigned base);
/* The same with the memory at guest address at, which is its host address, too (0: anywhere, and at
 * guest address 0). */
void irgen_init_at(struct irgen *g, unsigned base, uint64_t at);
void irgen_finish(struct irgen *g);

/* Writes a program into ir, which was initialised with g's slots. */
void irgen_program(struct irgen *g, struct ir *ir, uint64_t seed, unsigned flags);

/* Random contents for the state at cpu + base and for the memory. */
void irgen_fill(struct irgen *g, void *cpu, uint64_t seed);

/* Interpreter access to g's memory. The ops and the generated helpers act on the generator used
 * last here. */
extern const struct ir_interp_ops irgen_ops;
void irgen_use(struct irgen *g);

enum { IRGEN_RAISED = 100 }; /* beside enum ir_exit_kind */

/* Interprets the program on cpu: how it ended. The fp environment is set to (round to nearest, no
 * flags) before, and the sticky flags are read into *flags (x86-64: MXCSR; 0 elsewhere) after;
 * flags may be NULL. */
int irgen_run(struct irgen *g, const struct ir *ir, void *cpu, unsigned *flags);
