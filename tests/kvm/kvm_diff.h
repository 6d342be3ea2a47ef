/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm_diff: one privileged instruction on a random machine state, in KVM and in our CPU. A case is
 * a memory image and a CPU state; both sides run it until HLT (every handler is one) and hand back
 * what they ended with.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { RAM_SIZE = 0x80000 };
enum { SEG_LDT = 6, SEG_TR = 7, SEG_COUNT = 8 };
enum outcome { HALTED, SHUT_DOWN, UNUSABLE /* this side cannot tell: skip the case */ };

struct seg_state {
    uint64_t base;
    uint32_t limit, flags;
    uint16_t sel;
    bool null;
}; /* as struct x86_seg */
enum { MSRS = 10 };
extern const uint32_t case_msrs[MSRS];

struct state {
    uint64_t gpr[16], rip, rflags; /* hardware's register order */
    struct seg_state seg[SEG_COUNT];
    uint64_t gdt_base, idt_base;
    uint32_t gdt_limit, idt_limit;
    uint64_t cr0, cr2, cr3, cr4, efer, dr6, dr7, msr[MSRS];
    enum outcome outcome;
};

struct test_case {
    struct state start;
    uint8_t ram[RAM_SIZE];
    char text[160]; /* what the instruction is, and the mode */
    uint64_t insn_at;
    unsigned insn_len;
};

/* ---- kvm_case.c ---- */
/* Broken and 16-bit gates, odd stacks, IST, SMEP and SMAP, too: only for a KVM with hardware below
 * it. */
extern bool case_wild;
void case_seed(uint64_t seed);
/* Chooses a random case; group: NULL or part of a group's name. */
void case_make(struct test_case *c, const char *group);
void case_list_groups(void);

/* ---- kvm_side.c ---- */
/* False with a message in why when there is no usable KVM. */
bool kvm_open(char *why, unsigned size);
bool kvm_is_amd(void);
/* A KVM without hardware below it (pvm): privileged code is emulated there, with gaps that the
 * comparison must know. */
bool kvm_is_software(void);
/* Runs; ram is replaced by the memory afterwards. */
void kvm_run_case(const struct state *start, uint8_t *ram, struct state *ret);

/* ---- rhea_side.c ---- */
struct rig;
struct rig *rig_new(const char *model, const char *accel);
void rig_free(struct rig *r);
void rig_run_case(struct rig *r, const struct state *start, uint8_t *ram, struct state *ret);
