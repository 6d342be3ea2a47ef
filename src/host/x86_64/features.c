/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CPUID, and capstone when it was there at build time.
 */
#include "host/x86_64/features.h"

#include <stdlib.h>
#include <string.h>

#include "host/x86_64/cg.h"

#if defined(__x86_64__)
#include <cpuid.h>

static bool os_saves_ymm(void)
{
    uint32_t lo, hi;

    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & 6) == 6;
}

unsigned host_x64_features(void)
{
    const char *limit = getenv("RHEA_HOST_CPU");
    unsigned a, b, c, d, has = 0;

    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    /* x86-64-v2: SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT */
    if ((c & (1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23)) ==
        (1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23))
        has |= HAS_BASE;
    if (limit && !strcmp(limit, "base"))
        return has;
    if (c >> 28 & 1 && c >> 27 & 1 && os_saves_ymm())
        has |= HAS_AVX | (c >> 12 & 1 ? HAS_FMA : 0) | (c >> 29 & 1 ? HAS_F16C : 0);
    has |= (c >> 25 & 1 ? HAS_AES : 0) | (c >> 1 & 1 ? HAS_CLMUL : 0);
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        has |= (b >> 3 & 1 ? HAS_BMI1 : 0) | (b >> 8 & 1 ? HAS_BMI2 : 0) |
               (has & HAS_AVX && b >> 5 & 1 ? HAS_AVX2 : 0);
    if (__get_cpuid(0x80000001, &a, &b, &c, &d) && c >> 5 & 1)
        has |= HAS_LZCNT;
    return has;
}
#else
unsigned host_x64_features(void)
{
    return 0;
}
#endif

#ifdef RHEA_CAPSTONE
#include <capstone/capstone.h>

void x64_disassemble(FILE *f, const struct host_code_buf *buf, uint32_t code, uint32_t size)
{
    const uint8_t *p = buf->rw + code;
    size_t left = size;
    uint64_t at = code;
    cs_insn *insn;
    csh handle;

    if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle))
        return;
    insn = cs_malloc(handle);
    while (left) {
        if (cs_disasm_iter(handle, &p, &left, &at, insn)) {
            fprintf(f, "%08llx  %s %s\n", (unsigned long long)insn->address, insn->mnemonic,
                    insn->op_str);
            continue;
        }
        fprintf(f, "%08llx  .byte %#x\n", (unsigned long long)at, *p);
        p++;
        at++;
        left--;
    }
    cs_free(insn, 1);
    cs_close(&handle);
}
#else
void x64_disassemble(FILE *f, const struct host_code_buf *buf, uint32_t code, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        fprintf(f, "%02x%s", buf->rw[code + i], i % 16 == 15 || i + 1 == size ? "\n" : " ");
}
#endif
