/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest processor as one record: the seam between the engine and guest/x86, guest/arm,
 * guest/riscv.
 */
#pragma once

#include "base/field.h"
#include "cpu/cpu.h"

struct cpu_walk { /* what a page walk found */
    gpa_t gpa;    /* of the address asked for */
    uint64_t
        page_size; /* of the mapping: 4096 for one page; bigger ones are remembered for flushes */
    bool read, write, exec; /* permitted at this MMU index. write false with a clean dirty bit, too:
                               the write must walk again */
    bool global;
    bool slow; /* never inline: watchpoints, … */
};

struct translation { /* request and answer of guest->translate */
    gva_t pc;        /* architectural pc (slot pc) */
    uint32_t mode;
    uint64_t aux;
    bool user; /* user mode: system calls leave by IR_REASON_SYSCALL, traps by a recorded exception
                */
    unsigned max_insns; /* 1: a single instruction (slow mode or interrupt shadow) */
    bool slow;          /* use no XLATE: only LD and ST */
    bool alone; /* the code is compared with its own bytes before it runs: rely on no others */
    /* answer */
    bool exclusive; /* slow: it is atomic only if no other vCPU runs meanwhile */
    uint32_t size;  /* bytes of guest code, starting at pc; may reach into the next page */
    bool fault; /* the first instruction could not be fetched: guest's pending exception is set; no
                   IR */
};

struct guest {
    const char *name; /* "x86_64" */
    const char *doc;
    size_t cpu_size;
    unsigned page_bits;
    unsigned pc_shift; /* log2 of what instructions are aligned to: 0 to 2 */
    unsigned
        mmu_user; /* the MMU index of unprivileged code: its jumps are learnt per address space */
    const struct ir_slot *slots;
    unsigned slot_count;
    unsigned slot_pc;
    const struct field *regs;               /* for -d cpu, gdb, snapshots */
    const char *default_model, *user_model; /* user_model: in user mode; NULL: default_model */
    void (*models_help)(FILE *f);           /* -cpu help */
    bool (*init)(struct cpu *cpu, const char *model,
                 struct error *err); /* after the engine's part is ready */
    void (*finish)(struct cpu *cpu);
    /* user mode, after reset: the state in which Linux starts a program (unprivileged, FP on) */
    void (*user_init)(struct cpu *cpu);
    /* user mode: code at va may not be fetched: record the exception */
    void (*fetch_fault)(struct cpu *cpu, gva_t va);
    /* user mode: an access to an address that the host cannot form faulted; state exact. True: the
     * guest ignores some bits of addresses, and the instruction is to run again. May be NULL. */
    bool (*tagged_fault)(struct cpu *cpu);
    void (*reset)(struct cpu *cpu);
    void (*translate)(struct cpu *cpu, struct ir *ir, struct translation *t);
    /* false: the fault is recorded as pending exception in the guest's structure (unless probe) */
    bool (*walk)(struct cpu *cpu, gva_t va, enum cpu_access access, unsigned mmu, bool probe,
                 struct cpu_walk *ret);
    /* records the exception of a misaligned access (IR_MEM_ALIGN) */
    void (*misaligned)(struct cpu *cpu, gva_t va, enum cpu_access access);
    /* delivers the pending exception; pc and slots are exact */
    void (*deliver)(struct cpu *cpu);
    /* events & mask: takes what may be taken now (interrupt, NMI, INIT, SIPI), returns true if
     * state changed. Machine lock held. */
    bool (*take_events)(struct cpu *cpu, uint32_t events);
    /* could any of these events end a halt now? */
    bool (*wakes)(const struct cpu *cpu, uint32_t events);
    /* mode word, aux and MMU index from the state */
    uint32_t (*compute_mode)(struct cpu *cpu, uint64_t *ret_aux, unsigned *ret_mmu);
    gva_t (*linear_pc)(const struct cpu *cpu, gva_t pc, uint64_t aux); /* x86: CS base + EIP */
    bool (*one_insn)(const struct cpu *cpu); /* interrupt shadow: run exactly one instruction before
                                                events are taken */
    void (*shadow_done)(struct cpu *cpu);    /* that instruction has run */
    /* an access to a page walked as slow; true when the guest must act on it behind this
     * instruction. record: the instruction runs alone, insn_done follows. Both may be NULL. */
    bool (*watch)(struct cpu *cpu, gva_t va, unsigned size, enum cpu_access access, bool record);
    void (*insn_done)(struct cpu *cpu); /* an instruction that ran alone is done; may raise */
    void (*print_state)(FILE *f, const struct cpu *cpu); /* -d cpu, fatal errors */
    void (*print_insns)(FILE *f, const uint8_t *code, unsigned size, gva_t pc,
                        uint32_t mode); /* -d in_asm; may be NULL */
};
