/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The signal handler's side of user_syscall_safe().
 */
#pragma once

/* In the handler of a signal that the guest will handle: when it hit a thread about to make a call
 * (or one that the kernel restarts), the call returns USER_RESTART instead. Async-signal-safe. */
void user_syscall_interrupt(void *ucontext);
