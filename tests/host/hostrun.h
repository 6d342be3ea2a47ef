/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A machine to run compiled IR on, for tests of host backends: a cpu structure with everything that
 * struct host_env names, a code buffer, a soft TLB on a random program generator's 64 KiB.
 */
#pragma once

#include "base/arena.h"
#include "host/host.h"
#include "irgen.h"

enum { HR_TLB_BITS = 8, HR_JUMP_BITS = 8, HR_JUMP_SHIFT = 1, HR_HELPERS = 64 };

struct hr_cpu {
    uint32_t exit_request, jump_tag;
    struct host_tlb_entry *tlb;
    struct host_jump_entry *jump_cache;
    uint64_t host_ra;
    uint32_t fpcsr;
    uint8_t vec_live;
    struct irgen_state s __attribute__((aligned(16)));
    uint8_t rest[IRGEN_STATE_SIZE];
    uint8_t scratch[HOST_SCRATCH_SIZE] __attribute__((aligned(16)));
    uint64_t saved[16];
    struct host_ret_entry rstack[HOST_RSTACK_SIZE];
    uint32_t rstack_top;
    helper_fn *helpers[HR_HELPERS];
} __attribute__((aligned(64)));

enum { HR_SOFT, HR_DIRECT, HR_DIRECT_BASE }; /* how guest memory is reached */

struct hostrun {
    struct irgen *g; /* borrowed */
    struct hr_cpu cpu;
    struct host_tlb_entry tlb[1 << HR_TLB_BITS];
    struct host_jump_entry jumps[1 << HR_JUMP_BITS];
    struct host_code_buf buf;
    void *state;
    struct host_region region; /* latest */
    struct arena arena;
    const struct helper *helper[HR_HELPERS];
    unsigned helper_count;
    unsigned mode;       /* HR_* */
    bool from_insn;      /* the latest raise came from a memory instruction */
    uint64_t slow_paths; /* calls of them so far */
};

/* False with a message on stderr when this machine cannot run what the backend emits. */
bool hr_init(struct hostrun *h, struct irgen *g, unsigned mode);
void hr_finish(struct hostrun *h);
/* Which of the 16 pages the soft TLB knows: the others always take the slow path. */
void hr_tlb(struct hostrun *h, unsigned pages);
/* Compiles; the buffer is emptied when it is full. */
bool hr_compile(struct hostrun *h, const struct ir *ir, uint32_t exit_base);
/* Runs the latest region: enum ir_exit_kind of its exit, or IRGEN_RAISED; sticky FP flags as MXCSR.
 */
int hr_run(struct hostrun *h, unsigned *flags);
void hr_disassemble(const struct hostrun *h);
