/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The ABIs whose programs can be run.
 */
#include "user/user.h"

extern const struct user_abi user_abi_aarch64, user_abi_x86_64, user_abi_i386;
extern const struct user_abi user_abi_riscv64;

const struct user_abi *const user_abis[] = {
    &user_abi_aarch64, &user_abi_x86_64, &user_abi_i386, &user_abi_riscv64, NULL,
};
