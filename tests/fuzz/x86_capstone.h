/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our x86 decoder against capstone's: the same bytes must give the same length and the same
 * instruction. Shared by tests/unit/test_x86_decode.c (random bytes from a seed) and
 * fuzz_x86_decode.c. Where the two are meant to differ is listed in differs_knowingly(), each case
 * with its reason.
 */
#ifndef TESTS_FUZZ_X86_CAPSTONE_H
#define TESTS_FUZZ_X86_CAPSTONE_H

/* Its C names collide with ours. */
#define x86_insn       capstone_x86_insn
#define x86_op_type    capstone_x86_op_type
#define X86_OP_INVALID CAPSTONE_X86_OP_INVALID
#include <capstone/capstone.h>
#undef x86_insn
#undef x86_op_type
#undef X86_OP_INVALID

#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "guest/x86/decode.h"

/* Capstone's name where stripping does not lead to ours. */
static const char *const capstone_alias[][2] = {
    { "cbw", "cbw" },
    { "cwde", "cbw" },
    { "cdqe", "cbw" },
    { "cwd", "cwd" },
    { "cdq", "cwd" },
    { "cqo", "cwd" },
    { "pushal", "pusha" },
    { "pushaw", "pusha" },
    { "popal", "popa" },
    { "popaw", "popa" },
    { "pushf", "pushf" },
    { "pushfd", "pushf" },
    { "pushfq", "pushf" },
    { "popf", "popf" },
    { "popfd", "popf" },
    { "popfq", "popf" },
    { "iretd", "iret" },
    { "iretq", "iret" },
    { "jcxz", "jcxz" },
    { "jecxz", "jcxz" },
    { "jrcxz", "jcxz" },
    { "retf", "ret_far" },
    { "retfq", "ret_far" },
    { "xlatb", "xlat" },
    { "movabs", "mov" },
    { "sal", "shl" },
    { "lcall", "call_far" },
    { "ljmp", "jmp_far" },
    { "wait", "fwait" },
    { "sysexitq", "sysexit" },
    { "sysretq", "sysret" },
    { "fxsave64", "fxsave" },
    { "fxrstor64", "fxrstor" },
    { "xsave64", "xsave" },
    { "xrstor64", "xrstor" },
    { "xsavec64", "xsavec" },
    { "xsaves64", "xsaves" },
    { "xrstors64", "xrstors" },
    { "xsaveopt64", "xsaveopt" },
    { "prefetchw", "prefetch" },
    { "prefetcht0", "prefetch" },
    { "prefetcht1", "prefetch" },
    { "prefetcht2", "prefetch" },
    { "prefetchnta", "prefetch" },
    { "prefetchwt1", "prefetch" },
    { "pextrq", "pextrd" },
    { "pinsrq", "pinsrd" },
    { "fcompi", "fcomip" },
    { "fucompi", "fucomip" },
    { "ud2b", "ud1" },
    { "int1", "int1" },
    { "femms", "femms" },
    { "movq", "movq" },
    { "cmpxchg16b", "cmpxchg16b" },
    { "fdisi8087_nop", "fdisi" },
    { "feni8087_nop", "feni" },
    { "fnsetpm", "fnsetpm" },
    { "fsetpm", "fnsetpm" },
    { "loopne", "loopne" },
    { "loope", "loope" },
    { "endbr64", "nop" },
    { "endbr32", "nop" },
    { "setssbsy", "nop" },
    { "rdsspd", "nop" },
    { "rdsspq", "nop" },
    { "movsxd", "movsxd" },
    { "fstpnce", "fstpnce" },
    { "pclmullqlqdq", "pclmulqdq" },
    { "pclmulhqlqdq", "pclmulqdq" },
    { "pclmullqhqdq", "pclmulqdq" },
    { "pclmulhqhqdq", "pclmulqdq" },
};

/* Ours by kind of operand: one name in the assembler, several operations here. */
static const char *const split_names[][2] = {
    { "mov", "mov_r_sreg" },
    { "mov", "mov_sreg_r" },
    { "mov", "mov_r_cr" },
    { "mov", "mov_cr_r" },
    { "mov", "mov_r_dr" },
    { "mov", "mov_dr_r" },
    { "push", "push_sreg" },
    { "pop", "pop_sreg" },
    { "push", "push_v" },
    { "call", "call_rel" },
    { "call", "call_ind" },
    { "jmp", "jmp_ind" },
    { "call_far", "call_far_ind" },
    { "jmp_far", "jmp_far_ind" },
    { "imul", "imul1" },
    { "movd", "movd" },
    { "movq", "movd" },
    { "xchg", "nop" },
};

static bool same_name(const struct x86_insn *i, const char *cs)
{
    const char *ours = x86_op_names[i->op];
    size_t n = strlen(ours), m = strlen(cs);

    if (!strcmp(ours, "jcc"))
        return cs[0] == 'j' && strcmp(cs, "jmp");
    if (!strcmp(ours, "setcc"))
        return !strncmp(cs, "set", 3);
    if (!strcmp(ours, "cmovcc"))
        return !strncmp(cs, "cmov", 4);
    if (!strncmp(ours, "cmpp", 4) ||
        !strncmp(ours, "cmps", 4)) /* cmpltps: predicate inside, width at the end */
        return !strncmp(cs, "cmp", 3) && (strlen(ours) == 4 || !strcmp(cs + m - 2, ours + n - 2));
    if (i->opnd[0].kind == X86_K_SRC || i->opnd[0].kind == X86_K_DST ||
        i->opnd[1].kind == X86_K_SRC || i->opnd[1].kind == X86_K_DST)
        return !strncmp(ours, cs, n) && m <= n + 1;
    for (size_t k = 0; k < ARRAY_SIZE(capstone_alias); k++)
        if (!strcmp(cs, capstone_alias[k][0]))
            cs = capstone_alias[k][1];
    for (size_t k = 0; k < ARRAY_SIZE(split_names); k++)
        if (!strcmp(cs, split_names[k][0]) && !strcmp(ours, split_names[k][1]))
            return true;
    return !strcmp(ours, cs);
}

#include "x86_capstone_known.h"

/* Compare one instruction; false and a reason when they differ without a reason known. */
static bool same_as_capstone(csh handle, cs_insn *cs, const uint8_t *p, size_t n,
                             unsigned mode_bits, char *why, size_t why_size)
{
    struct x86_insn i;
    enum x86_decode_result r = x86_decode(&i, p, n, mode_bits, ~UINT64_C(0));
    const uint8_t *q = p;
    size_t left = n;
    uint64_t addr = 0;
    bool theirs = cs_disasm_iter(handle, &q, &left, &addr, cs);
    const char *name = theirs ? cs->mnemonic : "";

    for (const char *space; (space = strchr(name, ' '));)
        name = space + 1;
    if (r == X86_DECODE_OK && theirs && i.len == cs->size && same_name(&i, name))
        return true;
    if (r != X86_DECODE_OK && !theirs)
        return true;
    if (differs_knowingly(&i, r, p, n, mode_bits, theirs ? name : NULL, theirs ? cs->size : 0))
        return true;
    int k = snprintf(why, why_size, "%u-bit", mode_bits);
    for (size_t b = 0; b < n && b < 15; b++)
        k += snprintf(why + k, why_size - k, " %02x", p[b]);
    snprintf(why + k, why_size - k, ": ours %s len %u, capstone %s %s len %u",
             r == X86_DECODE_OK        ? x86_op_names[i.op]
             : r == X86_DECODE_INVALID ? "invalid"
                                       : "short",
             i.len, theirs ? cs->mnemonic : "invalid", theirs ? cs->op_str : "",
             theirs ? cs->size : 0);
    return false;
}

#endif
