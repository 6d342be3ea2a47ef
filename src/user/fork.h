/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What fork.c and fork_vm.c share.
 */
#pragma once

#include "user/signal_priv.h"

struct clone_args; /* <linux/sched.h> */

/* The child's registers: stack, TLS, result 0. */
void user_clone_regs(struct user_thread *t, struct cpu *cpu, const struct user_clone_args *a);
/* For the kernel's clone3: flags (with extra, without those we do ourselves) and tid addresses. */
void user_clone3_args(struct user_thread *t, const struct user_clone_args *a, uint64_t extra,
                      struct clone_args *ret);
/* A process that shares its parent's memory. Like user_clone(). */
int64_t user_clone_vm(struct user_thread *t, const struct user_clone_args *a);
