/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What C code must ask of the computer it runs on. Each host folder's native.c implements it for
 * its own machine.
 */
#pragma once

#include <stdint.h>

/* The FP control and status register as guests keep an image of it (x86: MXCSR). This thread's. */
uint32_t host_fpcsr_read(void);
void host_fpcsr_write(uint32_t value);
/* The register value to run a guest with this image: its rounding and flush modes and sticky flags,
 * all traps masked. */
uint32_t host_fpcsr_for_guest(uint32_t image);
/* The image after running: its own control bits with the register's sticky flags. */
uint32_t host_fpcsr_merge(uint32_t image, uint32_t value);
