/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the parts of the x86-64 backend share: the state of one code buffer and of the region that
 * is being compiled, the register allocator's interface, cold code, and the op table.
 *
 * Registers in emitted code: rbp = cpu + 128, rsp = stack (16-aligned; in direct mode the stack of
 * predicted returns: see exits.c),
 * rbx r12-r15 r8-r11 and xmm4-15 pinned slots, rax rcx rdx rsi rdi and xmm0-3 temporaries.
 * Pinned xmm are valid only while the byte at env.off_vec_live is 1.
 */
#pragma once

#include "base/bits.h"
#include "host/host.h"
#include "host/x86_64/asm.h"

enum {
    CPU_BIAS = 128,
    FIX_CONSTS =
        256, /* of the scratch area: all xmm, or a vector result and arguments; then these */
    ARG_BYTES = 320,
    SPILL_COUNT = 256, /* places of 16 bytes behind them */
    SPILL_BYTES = SPILL_COUNT * 16,
    CONST_COUNT = 256,
    FRAME_BYTES = 40, /* the last entry of the return stack, two words for MXCSR */
    RSTACK_BYTES = 32768,
    PEND_MAX = 24,
    HOME_MAX = 64,
    SHARE_MAX = 16,   /* pseudo values behind those of the IR: addends of pages */
    SHARE_SPAN = 256, /* bytes that share a check at most */
    INSN_ROOM = 2048, /* bytes one IR insn may take with its fixed parts */
    NOSLOT = 0xffff,
    TEMPS_INT = 1 << RAX | 1 << RCX | 1 << RDX | 1 << RSI | 1 << RDI,
    TEMPS_VEC = 15 << XMM0,
    TEMPS = TEMPS_INT | TEMPS_VEC,
};

enum cc {
    CC_O,
    CC_NO,
    CC_B,
    CC_AE,
    CC_E,
    CC_NE,
    CC_BE,
    CC_A,
    CC_S,
    CC_NS,
    CC_P,
    CC_NP,
    CC_L,
    CC_GE,
    CC_LE,
    CC_G
};

enum {
    HAS_BMI1 = 1,
    HAS_BMI2 = 2,
    HAS_LZCNT = 4,
    HAS_AVX = 8,
    HAS_BASE = 16,
    HAS_AVX2 = 32,
    HAS_FMA = 64,
    HAS_F16C = 128,
    HAS_AES = 256,
    HAS_CLMUL = 512,
};

/* Where a value is. */
enum loc {
    LOC_NONE,  /* not made yet, or dead */
    LOC_CONST, /* nowhere: imm of its insn */
    LOC_REG,
    LOC_SLOT, /* only in the memory of slot home */
    LOC_SPILL,
};

struct val {
    uint32_t last; /* index of its last use, a pending PUT's end included; 0: none */
    uint16_t next; /* next value in the same register */
    uint16_t home; /* slot whose memory holds it too, or NOSLOT */
    int16_t spill; /* spill place that holds it too, or -1 */
    uint8_t loc, reg;
    uint8_t zbits;    /* bits of its register from here up are zero; 64: unknown */
    uint8_t hint;     /* pinned register it may be made in, or NOREG */
    uint8_t deferred; /* PUT: overwritten before anything can see it but a fault */
    /* accesses of guest memory off one base value (see mem.c) */
    uint8_t span_write; /* access: it or one after it in its chain is a store */
    uint8_t folded;     /* an address that its only user, a memory instruction, computes itself */
    uint16_t access;    /* scan: next access off this value; access: the next in its chain */
    uint16_t share;     /* value: the pseudo value that holds its page's addend, or 0 */
    int32_t span_lo, span_hi; /* access: bytes that it and those after it touch */
};

enum cold_kind {
    COLD_LOAD,
    COLD_STORE,
    COLD_STORE_IMM,
    COLD_STORE_VEC,
    COLD_LOADV,
    COLD_STOREV,
    COLD_XLATE,
    COLD_LOAD_VEC,
    COLD_FIX,
    COLD_VFIX,
    COLD_CANON,
    COLD_UNSIGNED,
    COLD_ALIGN, /* raises, as a load would */
    COLD_EXIT,
    COLD_POLL,
    COLD_IND,
    COLD_VEC_LIVE,
    COLD_SELF,   /* an exit to the region's entry that is not linked to it */
    COLD_RETURN, /* not the predicted one */
    COLD_STACK,  /* the return stack is full */
};

/* Out-of-line code, emitted behind the region. */
struct cold {
    uint8_t kind, addr, reg, flags; /* registers of address and value or result */
    bool narrow;                    /* COLD_LOAD: cut the result to 32 bits */
    bool leaves;                    /* COLD_POLL: loop_leave() first */
    bool probe, probe_write;        /* shared: then look for the addend of span_lo .. span_hi */
    uint8_t addend;                 /* its register */
    int32_t span_lo, span_hi;
    int32_t disp;
    uint8_t *from[2]; /* rel32s that jump here */
    uint8_t *back;
    int64_t imm;              /* constant value, exit's index, or pc */
    gva_t pc;                 /* guest instruction, for the fault table */
    uint32_t snap, snap_size; /* its pending slots, in cg.snap */
    struct rm place[4];       /* COLD_FIX, COLD_VFIX: the helper's vectors */
    uint8_t places;
};

struct label {
    uint32_t at;   /* code offset from start, or UINT32_MAX */
    uint16_t refs; /* branches to it that are not emitted as something else */
    uint16_t exit; /* the EXIT_JMP that is all there is behind it, or 0 */
    bool closed;   /* nothing falls into it */
};

/* Of this region: slot `in` is in the register of slot `out`, which is in memory. */
struct swap {
    uint8_t reg;
    uint16_t in, out;
};

struct fixup {
    uint8_t *at;
    uint16_t label;
};

struct stubs {
    uint32_t enter, leave, leave_exit, leave_poll, leave_ind, call, pure, load, store, loadv,
        storev, xlate, vec_live, probe_read, probe_write, fix_int[3], fix_vec[5], probe_jump;
    uint32_t consts; /* CONST_COUNT vectors of 16 bytes */
};

/* State of one code buffer, and of the region in work. vCPU thread only. */
struct cg {
    struct as as;
    struct host_code_buf *buf;
    struct host_env env;
    unsigned has; /* HAS_* */
    struct stubs stub;
    struct ir_slot *slots; /* own copy */
    bool parallel;         /* atomics and fences are real ones */
    struct {
        uint64_t lo, hi;
        bool used;
    } consts[CONST_COUNT];        /* those at stub.consts; hashed */
    uint8_t *pin;                 /* of each slot: its register or NOREG */
    uint16_t pin_slot[REG_COUNT]; /* slot in a register, or NOSLOT */
    uint32_t pinned;              /* mask of registers in use for slots */

    /* the region */
    const struct ir *ir;
    struct arena *arena;
    struct host_region *ret;
    uint32_t exit_base;
    unsigned i; /* insn in work */
    gva_t pc;   /* latest INSN */
    bool loops; /* the region has exits to itself, which go to loop_body */
    uint32_t loop_body;
    struct swap swap[8];
    unsigned swap_count;
    bool calls; /* the next exit is a call, which will return to ret_pc */
    gva_t ret_pc;
    bool spill_full;
    bool uses_vec;
    uint8_t *start;
    uint8_t *limit; /* end of room for hot code */

    struct val *val;
    unsigned val_cap;
    uint16_t head[REG_COUNT]; /* values in a register, 0 ends */
    uint32_t locked;          /* registers the insn in work uses */
    uint32_t released; /* no longer, but it has not read them yet: may only take the result */
    uint64_t spill_used[SPILL_COUNT / 64], spill_freed[SPILL_COUNT / 64];
    bool any_freed;
    struct {
        uint16_t slot, val;
    } pend[PEND_MAX];
    unsigned pend_count;
    uint16_t homed[HOME_MAX]; /* values that have a home; may name dead ones */
    unsigned homed_count;

    struct label *label;
    unsigned label_cap;
    unsigned skip;               /* insns before this one are emitted already */
    unsigned fcom_user, fcom_cc; /* the insn that tests the flags of the last (u)comis, and how */
    struct fixup *fixups;
    unsigned fixup_count, fixup_cap;
    struct cold *cold;
    unsigned cold_count, cold_cap;
    uint8_t *snap;
    uint32_t snap_size, snap_cap;
    uint8_t *faults; /* the fault table being written */
    uint32_t fault_size, fault_cap;
    uint32_t fault_ra;
    gva_t fault_pc;
    uint32_t *slot_next; /* backward scan: next access of each slot */
    uint32_t *slot_put;  /* backward scan: next PUT, 0 when something may see the slot before */
};

static inline const struct ir_insn *insn_of(const struct cg *c, unsigned v)
{
    return &c->ir->insn[v];
}

static inline bool is_const(const struct cg *c, unsigned v)
{
    return c->ir->insn[v].op == IR_CONST;
}

/* A constant that an instruction can hold as sign-extended imm32 for its type. */
static inline bool is_imm(const struct cg *c, unsigned v)
{
    return is_const(c, v) && fits32(c->ir->insn[v].imm);
}

/* A constant that is made anew where it is needed. */
static inline bool is_remade(const struct cg *c, unsigned v)
{
    return c->ir->insn[v].op == IR_CONST || c->ir->insn[v].op == IR_VCONST;
}

static inline struct rm cpu_mem(uint32_t off)
{
    return rm_mem(RBP, (int32_t)off - CPU_BIAS);
}

static inline struct rm slot_mem(const struct cg *c, unsigned slot)
{
    return cpu_mem(c->slots[slot].offset);
}

static inline bool is_vec_type(unsigned type)
{
    return type == IR_V128;
}

/* log2 of the bytes host instructions work on for an integer type: i8 and i16 in 32 bits */
static inline bool wide(unsigned type)
{
    return type == IR_I64;
}

static inline unsigned type_size(unsigned type)
{
    return type == IR_V128 ? 4 : type; /* log2 bytes; IR_I8..IR_I64 are 0..3 */
}

/* ---- alloc.c ---- */
void alloc_begin(struct cg *c);
void alloc_label(struct cg *c); /* forgets all values: an IR block begins */
void alloc_insn(struct cg *c);  /* the next insn begins */
void scan(struct cg *c); /* backward: last uses, hints, deferred PUTs, what the region needs */
bool live_after(const struct cg *c, unsigned v);
/* The value in some register (loaded, locked for this insn). */
unsigned use_reg(struct cg *c, unsigned v);
/* In a register or its memory. Of integers narrower than 32 bits always a register. */
struct rm use_rm(struct cg *c, unsigned v);
/* Copies the value into register d, without recording that. Flags stay. */
void load_to(struct cg *c, unsigned d, unsigned v);
/* A free register for this insn only; vec: an xmm. */
unsigned scratch(struct cg *c, bool vec);
/* The fixed temporary r, emptied and locked for this insn. */
void take(struct cg *c, unsigned r);
void take_with(struct cg *c, unsigned r, unsigned v); /* the same, with a copy of v in it */
/* Gives back operands that die here, so that the result may take their register. */
void args_done(struct cg *c);
void arg_done(struct cg *c, unsigned v);
/* A pseudo value of base in register r until insn `last`; it is dropped when r is needed. 0: none
 * to be had. */
unsigned share_new(struct cg *c, unsigned r, unsigned base, unsigned last);
static inline bool is_share(const struct cg *c, unsigned v)
{
    return v >= c->ir->count;
}
void val_drop(struct cg *c, unsigned v); /* a result that nobody uses */
/* The register for the result of the insn in work: its hint or a free one, none of avoid. */
unsigned def_reg(struct cg *c, uint32_t avoid, unsigned zbits);
/* As def_reg, holding a's value already; a's own register when a dies. */
unsigned def_tied(struct cg *c, unsigned a, uint32_t avoid, unsigned zbits);
/* Makes r, which holds the result, its place; moves it to the hinted register when there is one. */
void def_in(struct cg *c, unsigned r, unsigned zbits);
/* The result is v's value (its low part, or v zero-extended already). */
void def_alias(struct cg *c, unsigned v);
void def_const(struct cg *c);
void get_slot(struct cg *c, const struct ir_insn *n);
void put_slot(struct cg *c, unsigned slot, unsigned v);
/* Before a call: all that lives on goes to memory; pure: pinned registers and slots stay. */
void save_for_call(struct cg *c, bool pure);
void forget_temps(struct cg *c);

/* A vector constant in memory that all regions share. */
struct rm const_vec(struct cg *c, uint64_t lo, uint64_t hi);

/* ---- fault.c ---- */
void fault_begin(struct cg *c);                /* the region's table begins */
void fault_snap(struct cg *c, struct cold *k); /* remembers the pending slots of now */
void fault_entry(struct cg *c, gva_t pc, const uint8_t *snap,
                 uint32_t size); /* call ends at as.p */
void fault_insn(struct cg *c);   /* the memory instruction at as.p may fault (direct mode) */
bool x64_restore(void *state, const struct host_region *r, uint32_t ra_off, void *cpu,
                 gva_t *ret_pc);
bool x64_restore_insn(void *state, const struct host_region *r, uint32_t pc_off, void *cpu,
                      const struct host_regs *regs, gva_t *ret_pc);

/* ---- ops_int.c ---- */
unsigned emit_compare(struct cg *c, unsigned cond, unsigned a,
                      unsigned b); /* host condition code */

/* ---- loop.c ---- */
void loop_begin(struct cg *c);  /* before the scan: which slots change places */
void loop_enter(struct cg *c);  /* emits the change; here the body begins */
void loop_leave(struct cg *c);  /* emits the change back; flags stay */
void loop_finish(struct cg *c); /* the region is done */
bool loop_has(const struct cg *c, unsigned reg);

/* ---- compile.c ---- */
/* Words of the saved area that no register needs: rsp at enter, and how low it may go. */
static inline struct rm stack_top(const struct cg *c)
{
    return cpu_mem(c->env.off_saved + 8 * RSP);
}

static inline struct rm stack_limit(const struct cg *c)
{
    return cpu_mem(c->env.off_saved + 8 * RBP);
}

static inline struct rm spill_mem(const struct cg *c, int place)
{
    return cpu_mem(c->env.off_scratch + ARG_BYTES + 16 * (uint32_t)place);
}

struct cold *cold_new(struct cg *c, enum cold_kind kind);
void label_ref(struct cg *c, uint8_t *rel32, unsigned label);

/* ---- stubs.c, exits.c, mem.c, call.c ---- */
void stubs_emit(struct cg *c);
void cold_mem(struct cg *c, struct cold *k);
void cold_exit(struct cg *c, struct cold *k);
void cold_fix(struct cg *c, struct cold *k);
static inline uint8_t *stub_at(const struct cg *c, uint32_t off)
{
    return c->buf->rw + off;
}

/* ---- the op table: rows in ops_int.c, ops_vec.c, mem.c, call.c, exits.c ---- */
typedef void emit_fn(struct cg *c, const struct ir_insn *n);
struct host_op {
    emit_fn *emit;
    const char *regs; /* result, then operands: r register, x xmm, m memory too, e imm32 too, 0 in
                         the result's register, - none, * as the types say, a letter abcd fixed */
    unsigned needs;   /* HAS_* without which another sequence is emitted */
    uint32_t code[8]; /* opcode words: of each lane type, or one */
};
const struct host_op *host_op_of(unsigned op);
extern const struct host_op ops_int[IR_OP_COUNT], ops_vec[IR_OP_COUNT], ops_simd[IR_OP_COUNT],
    ops_fix[IR_OP_COUNT], ops_mem[IR_OP_COUNT], ops_flow[IR_OP_COUNT];
