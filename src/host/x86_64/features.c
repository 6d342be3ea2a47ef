/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the processor has, and capstone when it was there at build time.
 */
#include "host/x86_64/features.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "host/x86_64/cg.h"

#if defined(__x86_64__)
#ifdef __clang__
/* Its version 14 lacks some names: asked for by bit of ECX. */
#include <cpuid.h>

static bool cpuid_ecx(unsigned leaf, unsigned bit)
{
    unsigned a, b, c, d;

    return __get_cpuid(leaf, &a, &b, &c, &d) && (c >> bit & 1);
}
#define SUPPORTS(name, leaf, bit) cpuid_ecx(leaf, bit)
#else
#define SUPPORTS(name, leaf, bit) __builtin_cpu_supports(name)
#endif

/* By what the C runtime asked at the program's start: CPUID is slow in virtual machines. */
unsigned host_x64_features(void)
{
    const char *limit = getenv("RHEA_HOST_CPU");
    unsigned has = 0;

    /* x86-64-v2 */
    if (__builtin_cpu_supports("sse3") && __builtin_cpu_supports("ssse3") &&
        SUPPORTS("cmpxchg16b", 1, 13) && __builtin_cpu_supports("sse4.1") &&
        __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt"))
        has |= HAS_BASE;
    if (limit && !strcmp(limit, "base"))
        return has;
    has |= __builtin_cpu_supports("aes") ? HAS_AES : 0;
    has |= __builtin_cpu_supports("pclmul") ? HAS_CLMUL : 0;
    has |= __builtin_cpu_supports("bmi") ? HAS_BMI1 : 0;
    has |= __builtin_cpu_supports("bmi2") ? HAS_BMI2 : 0;
    has |= SUPPORTS("lzcnt", 0x80000001, 5) ? HAS_LZCNT : 0;
    if (!__builtin_cpu_supports("avx")) /* the system saves its registers, too */
        return has;
    has |= HAS_AVX;
    has |= __builtin_cpu_supports("avx2") ? HAS_AVX2 : 0;
    has |= __builtin_cpu_supports("fma") ? HAS_FMA : 0;
    has |= SUPPORTS("f16c", 1, 29) ? HAS_F16C : 0;
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
