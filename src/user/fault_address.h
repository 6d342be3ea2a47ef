/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Addresses of accesses that fault without telling their address.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

/* The memory operand of the host instruction at the context's pc, without a segment base; 0: it has
 * none. *ret_with_base: it is one of the guest's addresses, to which the GS base is added.
 * Async-signal-safe. */
uint64_t user_fault_address(const void *ucontext, bool *ret_with_base);
