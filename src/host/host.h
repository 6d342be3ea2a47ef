/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A host backend: turns an optimised struct ir into machine code of this computer, in one forward
 * pass that allocates registers and emits. It knows the IR and the layout below; it knows no guest
 * and calls nothing of cpu/.
 *
 * Emitted code names nothing by absolute host address: state by the cpu pointer, C functions by the
 * table at env->off_helpers, other blocks by relative jumps that host_link patches.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "ir/ir.h"

/* Where things are in the cpu structure, relative to the pointer passed to enter(). Constant for
 * one code cache. */
struct host_env {
    uint32_t off_exit_request; /* u32: non-zero asks the vCPU to leave at the next poll */
    uint32_t off_tlb;          /* pointer to the current table of host_tlb_entry */
    uint32_t off_jump_cache;   /* pointer to an array of host_jump_entry */
    uint32_t off_jump_tag;     /* u32: current tag of jump cache entries */
    uint32_t off_host_ra;      /* u64: return address of the latest call from emitted code */
    uint32_t off_fpcsr;        /* u32: guest's MXCSR image: loaded at enter, stored at leave */
    uint32_t off_vec_live;     /* u8: 1 while pinned vector slots are in host registers */
    uint32_t off_saved; /* u64[16]: where slow paths save host integer registers for fault lookup */
    uint32_t off_helpers; /* helper_fn pointers; [0..HOST_FN_COUNT) are the fixed ones below */
    uint32_t
        off_scratch;     /* 16-byte aligned, HOST_SCRATCH_SIZE bytes: spills and vector arguments */
    uint32_t off_rstack; /* struct host_ret_entry [HOST_RSTACK_SIZE], u32 index at off_rstack_top */
    uint32_t off_rstack_top;
    unsigned tlb_bits; /* log2 of entries per table */
    unsigned jump_cache_bits;
    unsigned jump_shift; /* low bits of a pc that are always 0 (0 to 2) */
    unsigned page_bits;  /* guest page: 12 */
    /* user mode: guest addresses are host addresses (plus guest_base, which emitted code adds by
     * the GS segment base when with_base); no soft TLB. Each memory instruction is in the fault
     * table. */
    bool direct, with_base;
    const struct ir_slot *slots;
    unsigned slot_count;
    /* Gives the table index for a helper (fixed ones first); called while compiling. */
    unsigned (*helper_index)(void *opaque, const struct helper *h);
    void *opaque;
};

/* Fixed entries of the helper table: the memory slow paths. They may raise (longjmp) after looking
 * up host_ra. */
enum host_fn {
    HOST_FN_LOAD,   /* uint64_t load(cpu, gva, mem_flags|size_log2): zero-extended (caller
                       sign-extends as IR_MEM_SIGN says: the callee does it to 64 bits) */
    HOST_FN_STORE,  /* void store(cpu, gva, value, flags) */
    HOST_FN_LOADV,  /* void loadv(cpu, gva, void *out16, flags) 16-byte access */
    HOST_FN_STOREV, /* void storev(cpu, gva, const void *in16, flags) */
    HOST_FN_XLATE,  /* void *xlate(cpu, gva, size, write): host pointer; never returns NULL (raises
                       or restarts) */
    HOST_FN_COUNT
};

/* Soft TLB entry, 32 bytes. A tag equals the page's address when the access may go inline; low bits
 * set: slow path. */
struct host_tlb_entry {
    uint64_t read_tag, write_tag, exec_tag;
    uint64_t addend; /* host = gva + addend */
};
/* Indirect jump cache, 16 bytes, indexed by host_jump_hash(pc). */
struct host_jump_entry {
    uint64_t pc;
    uint32_t tag;
    uint32_t code; /* offset in the code buffer */
};
struct host_ret_entry {
    uint64_t pc;
    uint32_t tag;
    uint32_t code;
};
enum { HOST_RSTACK_SIZE = 16, HOST_SCRATCH_SIZE = 4096 + 320 };
static inline uint32_t host_jump_hash(uint64_t pc, unsigned bits, unsigned shift)
{
    return (uint32_t)((pc ^ pc >> bits) >> shift) & ((1u << bits) - 1);
}

/* Code memory: one mapping to write, one to execute of the same pages; never W and X in one. */
struct host_code_buf {
    uint8_t *rw, *rx;
    size_t size, used;
};

/* One direct exit of a region that can be linked. */
struct host_exit {
    uint32_t patch;    /* offset of the rel32 within the code buffer */
    uint32_t unlinked; /* offset of its own stub */
    gva_t pc;
    uint8_t flags; /* IR_EXIT_* */
    /* an exit to its own region: the backend's places for that, or self_patch 0 */
    uint32_t self_patch, self_stub, self_code, self_entry;
};

struct host_region {          /* what compile returns; arrays live in the arena given */
    uint32_t code, code_size; /* offset and size in the code buffer */
    struct host_exit *exits;
    unsigned exit_count;
    uint8_t *fault_table;
    uint32_t fault_size; /* compact: read by host->restore */
    bool too_big;        /* compile failed for good: translate fewer instructions */
};

/* Why enter() came back. */
enum host_left {
    HOST_LEFT_EXIT,
    /* an unlinked direct exit: value = its number base + index */ HOST_LEFT_IND, /* pc slot set;
                                                                                     not in the jump
                                                                                     cache */
    HOST_LEFT_LOOP,
    /* EXIT_LOOP; value = reason */ HOST_LEFT_POLL /* exit request seen; pc slot set */
};
struct host_result {
    uint64_t left;
    uint64_t value;
}; /* returned in two registers */

/* Registers at a host fault, as the signal handler finds them. */
struct host_regs {
    uint64_t gpr[16]; /* in encoding order: rax rcx rdx rbx rsp rbp rsi rdi r8.. */
    uint8_t vec[16][16];
    uint32_t fpcsr;
};

struct host {
    const char *name;
    bool (*usable)(void); /* can this machine run what it emits */
    /* Emits the common stubs at the start of buf; to be called once per buffer, before compile. */
    void *(*init)(struct host_code_buf *buf, const struct host_env *env, struct error *err);
    void (*finish)(void *state);
    /* Appends one region at buf->used. exit_base: number of its exit 0 in HOST_LEFT_EXIT values.
     * False when the buffer is full (nothing changed). */
    bool (*compile)(void *state, const struct ir *ir, uint32_t exit_base, struct arena *arena,
                    struct host_region *ret);
    /* Runs from code offset until something leaves. cpu is the pointer that offsets count from. */
    struct host_result (*enter)(void *state, void *cpu, uint32_t code);
    void (*link)(void *state, const struct host_exit *e,
                 uint32_t code); /* make it a direct jump to code */
    void (*unlink)(void *state, const struct host_exit *e);
    /* ra_off: return address (offset in buf) of the call that raised. Writes the slots that were
     * still in registers or constants (pinned ones are in memory already) and stores the guest pc
     * in *ret_pc. */
    bool (*restore)(void *state, const struct host_region *r, uint32_t ra_off, void *cpu,
                    gva_t *ret_pc);
    /* The same for a memory instruction that faulted at offset pc_off of emitted code (direct
     * mode): pinned slots come from regs too, and the FP image. False: no memory instruction is
     * there. */
    bool (*restore_insn)(void *state, const struct host_region *r, uint32_t pc_off, void *cpu,
                         const struct host_regs *regs, gva_t *ret_pc);
    /* More than one thread will run emitted code: atomics and fences in code compiled from now on
     * are real ones. The caller empties the cache. */
    void (*set_parallel)(void *state, bool on);
    void (*disassemble)(FILE *f, const struct host_code_buf *buf, uint32_t code,
                        uint32_t size);    /* by capstone; may be NULL */
    bool (*check)(char *why, size_t size); /* self-check of the op table for tests */
};
extern const struct host host_x86_64;
