/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where our decoder and capstone 4 are meant to differ, and why. */
#ifndef TESTS_FUZZ_X86_CAPSTONE_KNOWN_H
#define TESTS_FUZZ_X86_CAPSTONE_KNOWN_H

/* Opcode map and opcode of p behind its prefixes: map 0, 1 (0F), 2 (0F38), 3 (0F3A). */
struct bare {
    unsigned map, code;
    bool lock, rep, opsize, addr;
};

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

/* We refuse what capstone calls cs. */
static bool refused_knowingly(const struct bare *bare, const char *cs)
{
    struct bare b = *bare;

    /* Not in our guest: VMX, SVM, TSX, MPX, SMX, 3DNow!, SSE4a, TBM, RTM, CET stores,
     * prefetches of Knights, PKU. */
    static const char *const absent[] = {
        "vm",       "getsec",      "femms",    "pf",       "pi2f",     "pswapd",   "pmulhrw",
        "pavgusb",  "extrq",       "insertq",  "movntss",  "movntsd",  "invept",   "invvpid",
        "xtest",    "xbegin",      "xend",     "xabort",   "bnd",      "wrss",     "wruss",
        "incssp",   "saveprevssp", "rstorssp", "clrssbsy", "setssbsy", "rdpkru",   "wrpkru",
        "enc",      "clgi",        "stgi",     "skinit",   "invlpga",  "monitorx", "mwaitx",
        "clzero",   "pcommit",     "xstore",   "xcrypt",   "montmul",  "xsha",     "loadall",
        "umov",     "gf2p8",       "ptwrite",  "tpause",   "umonitor", "umwait",   "movdir",
        "cldemote", "pconfig",     "wbnoinvd", NULL
    };
    if (one_of(cs, absent))
        return true;
    /* VEX, XOP, EVEX: not in the table yet. */
    if (b.map == 0 && (b.code == 0xc4 || b.code == 0xc5 || b.code == 0x62 || b.code == 0x8f))
        return true;
    /* LOCK where it is #UD: capstone shows it as text. */
    if (b.lock)
        return true;
    /* A mandatory prefix the opcode does not have is #UD (checked on an EPYC); capstone drops
     * it. */
    if (b.map && (b.rep || b.opsize))
        return true;
    return false;
}

/* Lengths or names differ, or capstone refuses (cs is NULL), with several prefixes about. */
static bool prefixes_differ(const struct bare *bare, const struct x86_insn *i, bool ours,
                            unsigned mode_bits, const char *cs, unsigned cs_len)
{
    struct bare b = *bare;

    /* Capstone knows no mandatory prefixes in 16-bit code, and takes the wrong one when several
     * prefixes or a REX stand between: the length is the same, or it refuses. */
    if (ours && b.map && (b.rep || b.opsize) && (!cs || cs_len == i->len))
        return true;
    /* 66 on near branches in 64-bit code: Intel ignores it (so do we), AMD and capstone shrink the
     * operand. */
    if (ours && mode_bits == 64 && b.opsize && (i->attr & X86_A_F64))
        return true;
    /* RET imm16 with REX.W or 67: capstone reads a longer immediate; it has two bytes. */
    if (ours && mode_bits == 64 && b.map == 0 &&
        (b.code == 0xc2 || b.code == 0xca || b.code == 0xc8))
        return true;
    /* 67 before REX.W: capstone 4 takes it for 66. */
    if (mode_bits == 64 && b.addr)
        return true;
    /* 66 with F2 or F3 before CALL, JMP, PUSH imm: capstone forgets the 66. */
    if (ours && b.map == 0 && (b.code == 0xe8 || b.code == 0xe9 || b.code == 0x68) && b.rep &&
        b.opsize)
        return true;
    return false;
}

/* True when the two differ for a reason we know and mean. cs: capstone's name or NULL when it
 * refuses. */
static bool differs_knowingly(const struct x86_insn *i, enum x86_decode_result r, const uint8_t *p,
                              size_t n, unsigned mode_bits, const char *cs, unsigned cs_len)
{
    struct bare b = bare_opcode(p, n, mode_bits);
    bool ours = r == X86_DECODE_OK;

    if (!ours && cs && refused_knowingly(&b, cs))
        return true;
    if (prefixes_differ(&b, i, ours, mode_bits, cs, cs_len))
        return true;
    /* The hint space 0F 18-1F and 0F 0D: all forms are NOPs. Capstone refuses some. */
    if (ours && b.map == 1 && (b.code == 0x0d || (b.code >= 0x18 && b.code <= 0x1f)))
        return true;
    /* UD0, UD1: with ModRM, as on Intel. */
    if (ours && b.map == 1 && (b.code == 0xb9 || b.code == 0xff))
        return true;
    /* Fences: hardware takes any rm. */
    if (ours && strstr(x86_op_names[i->op], "fence") && !cs)
        return true;
    /* Segment moves ignore REX.R; capstone refuses. Segment 6, 7, load of CS, control registers but
     * 0 2 3 4 8: we refuse. */
    if (b.map == 0 && (b.code == 0x8c || b.code == 0x8e))
        return !ours != !cs;
    if (!ours && b.map == 1 && b.code >= 0x20 && b.code <= 0x26)
        return true;
    /* MOV moffs, XCHG and PUSH imm with F2 or 66: capstone stumbles over the pair of prefixes. */
    if (ours && b.map == 0 && b.code >= 0xa0 && b.code <= 0xa3 && !cs)
        return true;
    if (ours && b.map == 0 && b.code == 0x90 && cs_len == i->len)
        return true;
    /* SWAPGS exists in 64-bit code only. */
    if (!ours && cs && !strcmp(cs, "swapgs"))
        return true;
    return false;
}

#endif
