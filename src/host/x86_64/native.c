/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one host file that depends on the machine it is compiled for: its FP environment.
 */
#include "host/native.h"

enum { MXCSR_FLAGS = 0x3f, MXCSR_MASKS = 0x1f80 };

#if defined(__x86_64__)
uint32_t host_fpcsr_read(void)
{
    uint32_t v;

    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}

void host_fpcsr_write(uint32_t value)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(value));
}
#else
uint32_t host_fpcsr_read(void)
{
    return MXCSR_MASKS;
}

void host_fpcsr_write(uint32_t value)
{
    (void)value;
}
#endif

uint32_t host_fpcsr_for_guest(uint32_t image)
{
    return (image & 0xffff) | MXCSR_MASKS;
}

uint32_t host_fpcsr_merge(uint32_t image, uint32_t value)
{
    return (image & ~(uint32_t)MXCSR_FLAGS) | (value & MXCSR_FLAGS);
}
