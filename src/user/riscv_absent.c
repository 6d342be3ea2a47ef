/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What system calls of riscv64 name, while the guest is not there. Goes with it.
 */
#include "guest/riscv/riscv.h"

const struct guest guest_riscv64 = { .name = "riscv64" };

uint64_t rv_hwcap(const struct cpu *cpu)
{
    return 0;
}
