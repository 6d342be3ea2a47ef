/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What C code must ask of the computer it runs on. Each host folder's native.c implements it for
 * its own machine.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct host_regs;

/* The FP control and status register as guests keep an image of it (x86: MXCSR). This thread's. */
uint32_t host_fpcsr_read(void);
void host_fpcsr_write(uint32_t value);
/* The register value to run a guest with this image: its rounding and flush modes and sticky flags,
 * all traps masked. */
uint32_t host_fpcsr_for_guest(uint32_t image);
/* The image after running: its own control bits with the register's sticky flags. */
uint32_t host_fpcsr_merge(uint32_t image, uint32_t value);

/* ---- in signal handlers: what the signal interrupted (context.c) ---- */
uint64_t host_context_pc(const void *ucontext);
void host_context_regs(const void *ucontext, struct host_regs *ret);
/* When the handler returns, fn(arg) runs on the interrupted stack, below what is in use. */
void host_context_jump(void *ucontext, void (*fn)(void *), void *arg);
/* Copies len bytes; false when a signal's handler said host_copy_guarded_fail(). */
bool host_copy_guarded(void *to, const void *from, unsigned len);
bool host_copy_guarded_at(uint64_t pc);      /* is pc in it? */
bool host_copy_guarded_fail(void *ucontext); /* false: not interrupted there */
