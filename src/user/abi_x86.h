/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the two x86 ABIs share: exceptions, the FP state of signal frames.
 */
#pragma once

#include "guest/x86/x86.h"
#include "user/signal_priv.h"

enum { ABI_X86_FP_MAX = 1088, ABI_X86_FXSAVE = 512, ABI_X86_FSAVE = 112 };

void abi_x86_exception(const struct cpu *cpu, siginfo_t *ret);
/* Trap number, error code and CR2 for a frame's sigcontext. */
void abi_x86_trap(const struct user_thread *t, uint64_t *trap, uint64_t *error, uint64_t *cr2);
/* Size of the state that frames hold: FXSAVE image, XSAVE header and components, end mark. */
unsigned abi_x86_fp_size(const struct cpu *cpu);
/* Writes it (XSAVE format with Linux's marks). */
void abi_x86_fp_save(const struct cpu *cpu, uint8_t *to, bool ia32);
/* Reads back what size bytes hold. False: a reserved bit of MXCSR. */
bool abi_x86_fp_restore(struct cpu *cpu, const uint8_t *from, unsigned size);
/* i386: the 112 bytes of FSAVE in front of it. */
void abi_x86_fsave(const struct cpu *cpu, uint8_t *to);
void abi_x86_frstor(struct cpu *cpu, const uint8_t *from);
void abi_x86_fp_reset(struct cpu *cpu); /* as after FNINIT: a frame without FP state */
extern const struct user_flag_map abi_x86_open_flags[];
uint64_t abi_x86_hwcap(const struct cpu *cpu);
uint64_t abi_x86_hwcap2(const struct cpu *cpu);
