/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our x86 decoder against capstone's: the same bytes must give the same length and the same instruction.
 * Shared by tests/unit/test_x86_decode.c (random bytes from a seed) and fuzz_x86_decode.c. Where the two are
 * meant to differ is listed in differs_knowingly(), each case with its reason.
 */
#ifndef TESTS_FUZZ_X86_CAPSTONE_H
#define TESTS_FUZZ_X86_CAPSTONE_H

/* Its C names collide with ours. */
#define x86_insn capstone_x86_insn
#define x86_op_type capstone_x86_op_type
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
    { "cbw", "cbw" }, { "cwde", "cbw" }, { "cdqe", "cbw" }, { "cwd", "cwd" }, { "cdq", "cwd" }, { "cqo", "cwd" },
    { "pushal", "pusha" }, { "pushaw", "pusha" }, { "popal", "popa" }, { "popaw", "popa" },
    { "pushf", "pushf" }, { "pushfd", "pushf" }, { "pushfq", "pushf" }, { "popf", "popf" }, { "popfd", "popf" }, { "popfq", "popf" },
    { "iretd", "iret" }, { "iretq", "iret" }, { "jcxz", "jcxz" }, { "jecxz", "jcxz" }, { "jrcxz", "jcxz" },
    { "retf", "ret_far" }, { "retfq", "ret_far" }, { "xlatb", "xlat" }, { "movabs", "mov" }, { "sal", "shl" },
    { "lcall", "call_far" }, { "ljmp", "jmp_far" }, { "wait", "fwait" }, { "sysexitq", "sysexit" }, { "sysretq", "sysret" },
    { "fxsave64", "fxsave" }, { "fxrstor64", "fxrstor" }, { "xsave64", "xsave" }, { "xrstor64", "xrstor" },
    { "xsavec64", "xsavec" }, { "xsaves64", "xsaves" }, { "xrstors64", "xrstors" }, { "xsaveopt64", "xsaveopt" },
    { "prefetchw", "prefetch" }, { "prefetcht0", "prefetch" }, { "prefetcht1", "prefetch" }, { "prefetcht2", "prefetch" },
    { "prefetchnta", "prefetch" }, { "prefetchwt1", "prefetch" }, { "pextrq", "pextrd" }, { "pinsrq", "pinsrd" },
    { "fcompi", "fcomip" }, { "fucompi", "fucomip" }, { "ud2b", "ud1" }, { "int1", "int1" }, { "femms", "femms" },
    { "movq", "movq" }, { "cmpxchg16b", "cmpxchg16b" }, { "fdisi8087_nop", "fdisi" }, { "feni8087_nop", "feni" },
    { "fnsetpm", "fnsetpm" }, { "fsetpm", "fnsetpm" }, { "loopne", "loopne" }, { "loope", "loope" }, { "endbr64", "nop" }, { "endbr32", "nop" },
    { "setssbsy", "nop" }, { "rdsspd", "nop" }, { "rdsspq", "nop" }, { "movsxd", "movsxd" }, { "fstpnce", "fstpnce" },
    { "pclmullqlqdq", "pclmulqdq" }, { "pclmulhqlqdq", "pclmulqdq" }, { "pclmullqhqdq", "pclmulqdq" }, { "pclmulhqhqdq", "pclmulqdq" },
};

/* Ours by kind of operand: one name in the assembler, several operations here. */
static const char *const split_names[][2] = {
    { "mov", "mov_r_sreg" }, { "mov", "mov_sreg_r" }, { "mov", "mov_r_cr" }, { "mov", "mov_cr_r" }, { "mov", "mov_r_dr" },
    { "mov", "mov_dr_r" }, { "push", "push_sreg" }, { "pop", "pop_sreg" }, { "push", "push_v" }, { "call", "call_rel" }, { "call", "call_ind" }, { "jmp", "jmp_ind" },
    { "call_far", "call_far_ind" }, { "jmp_far", "jmp_far_ind" }, { "imul", "imul1" }, { "movd", "movd" }, { "movq", "movd" },
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
    if (!strncmp(ours, "cmpp", 4) || !strncmp(ours, "cmps", 4))  /* cmpltps: predicate inside, width at the end */
        return !strncmp(cs, "cmp", 3) && (strlen(ours) == 4 || !strcmp(cs + m - 2, ours + n - 2));
    if (i->opnd[0].kind == X86_K_SRC || i->opnd[0].kind == X86_K_DST || i->opnd[1].kind == X86_K_SRC || i->opnd[1].kind == X86_K_DST)
        return !strncmp(ours, cs, n) && m <= n + 1;
    for (size_t k = 0; k < ARRAY_SIZE(capstone_alias); k++)
        if (!strcmp(cs, capstone_alias[k][0]))
            cs = capstone_alias[k][1];
    for (size_t k = 0; k < ARRAY_SIZE(split_names); k++)
        if (!strcmp(cs, split_names[k][0]) && !strcmp(ours, split_names[k][1]))
            return true;
    return !strcmp(ours, cs);
}

/* Opcode map and opcode of p behind its prefixes: map 0, 1 (0F), 2 (0F38), 3 (0F3A). */
struct bare { unsigned map, code; bool lock, rep, opsize, addr; };

static struct bare bare_opcode(const uint8_t *p, size_t n, unsigned mode_bits)
{
    struct bare b = { 0 };
    const uint8_t *end = p + n;

    for (; p < end - 4; p++) {
        b.addr |= *p == 0x67;
        if (strchr("\x26\x2e\x36\x3e\x64\x65\x67", *p) || (mode_bits == 64 && (*p & 0xf0) == 0x40))
            continue;
        b.lock |= *p == 0xf0;
        b.rep |= *p == 0xf2 || *p == 0xf3;
        b.opsize |= *p == 0x66;
        if (*p != 0xf0 && *p != 0xf2 && *p != 0xf3 && *p != 0x66)
            break;
    }
    if (*p == 0x0f) {
        b.map = 1;
        if (*++p == 0x38 || *p == 0x3a) {
            b.map = *p == 0x38 ? 2 : 3;
            p++;
        }
    }
    b.code = *p;
    return b;
}

static bool one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (!strncmp(name, *list, strlen(*list)))
            return true;
    return false;
}

/* True when the two differ for a reason we know and mean. cs: capstone's name or NULL when it refuses. */
static bool differs_knowingly(const struct x86_insn *i, enum x86_decode_result r, const uint8_t *p, size_t n, unsigned mode_bits,
                              const char *cs, unsigned cs_len)
{
    struct bare b = bare_opcode(p, n, mode_bits);
    bool ours = r == X86_DECODE_OK;

    if (!ours && cs) {
        /* Not in our guest: VMX, SVM, TSX, MPX, SMX, 3DNow!, SSE4a, TBM, RTM, CET stores, prefetches of Knights, PKU. */
        static const char *const absent[] = { "vm", "getsec", "femms", "pf", "pi2f", "pswapd", "pmulhrw", "pavgusb", "extrq", "insertq", "movntss", "movntsd",
            "invept", "invvpid", "xtest", "xbegin", "xend", "xabort", "bnd", "wrss", "wruss", "incssp", "saveprevssp", "rstorssp", "clrssbsy", "setssbsy", 
            "rdpkru", "wrpkru", "enc", "clgi", "stgi", "skinit", "invlpga", "monitorx", "mwaitx", "clzero", "pcommit", "xstore", "xcrypt", "montmul", "xsha",
            "loadall", "umov", "gf2p8", "ptwrite", "tpause", "umonitor", "umwait", "movdir", "cldemote", "pconfig", "wbnoinvd", NULL };
        if (one_of(cs, absent))
            return true;
        /* VEX, XOP, EVEX: not in the table yet. */
        if (b.map == 0 && (b.code == 0xc4 || b.code == 0xc5 || b.code == 0x62 || b.code == 0x8f))
            return true;
        /* LOCK where it is #UD: capstone shows it as text. */
        if (b.lock)
            return true;
        /* A mandatory prefix the opcode does not have is #UD (checked on an EPYC); capstone drops it. */
        if (b.map && (b.rep || b.opsize))
            return true;
    }
    const char *name = ours ? x86_op_names[i->op] : "";
    /* Capstone knows no mandatory prefixes in 16-bit code, and takes the wrong one when several prefixes or a REX stand
     * between: the length is the same, or it refuses. */
    if (ours && b.map && (b.rep || b.opsize) && (!cs || cs_len == i->len))
        return true;
    /* 66 on near branches in 64-bit code: Intel ignores it (so do we), AMD and capstone shrink the operand. */
    if (ours && mode_bits == 64 && b.opsize && (i->attr & X86_A_F64))
        return true;
    /* RET imm16 with REX.W or 67: capstone reads a longer immediate; it has two bytes. */
    if (ours && mode_bits == 64 && b.map == 0 && (b.code == 0xc2 || b.code == 0xca || b.code == 0xc8))
        return true;
    /* The hint space 0F 18-1F and 0F 0D: all forms are NOPs. Capstone refuses some. */
    if (ours && b.map == 1 && (b.code == 0x0d || (b.code >= 0x18 && b.code <= 0x1f)))
        return true;
    /* UD0, UD1: with ModRM, as on Intel. */
    if (ours && b.map == 1 && (b.code == 0xb9 || b.code == 0xff))
        return true;
    /* Fences: hardware takes any rm. */
    if (ours && strstr(name, "fence") && !cs)
        return true;
    /* Segment moves ignore REX.R; capstone refuses. Segment 6, 7, load of CS, control registers but 0 2 3 4 8: we refuse. */
    if (b.map == 0 && (b.code == 0x8c || b.code == 0x8e))
        return !ours != !cs;
    if (!ours && b.map == 1 && b.code >= 0x20 && b.code <= 0x26)
        return true;
    /* MOV moffs, XCHG and PUSH imm with F2 or 66: capstone stumbles over the pair of prefixes. */
    if (ours && b.map == 0 && b.code >= 0xa0 && b.code <= 0xa3 && !cs)
        return true;
    if (ours && b.map == 0 && b.code == 0x90 && cs_len == i->len)
        return true;
    /* 67 before REX.W: capstone 4 takes it for 66. */
    if (mode_bits == 64 && b.addr)
        return true;
    /* 66 with F2 or F3 before CALL, JMP, PUSH imm: capstone forgets the 66. */
    if (ours && b.map == 0 && (b.code == 0xe8 || b.code == 0xe9 || b.code == 0x68) && b.rep && b.opsize)
        return true;
    /* SWAPGS exists in 64-bit code only. */
    if (!ours && cs && !strcmp(cs, "swapgs"))
        return true;
    return false;
}


/* Compare one instruction; false and a reason when they differ without a reason known. */
static bool same_as_capstone(csh handle, cs_insn *cs, const uint8_t *p, size_t n, unsigned mode_bits, char *why, size_t why_size)
{
    struct x86_insn i;
    enum x86_decode_result r = x86_decode(&i, p, n, mode_bits, ~UINT64_C(0));
    const uint8_t *q = p;
    size_t left = n;
    uint64_t addr = 0;
    bool theirs = cs_disasm_iter(handle, &q, &left, &addr, cs);
    const char *name = theirs ? cs->mnemonic : "";

    for (const char *space; (space = strchr(name, ' ')); )
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
             r == X86_DECODE_OK ? x86_op_names[i.op] : r == X86_DECODE_INVALID ? "invalid" : "short", i.len,
             theirs ? cs->mnemonic : "invalid", theirs ? cs->op_str : "", theirs ? cs->size : 0);
    return false;
}

#endif
