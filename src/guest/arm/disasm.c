/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Operands of the disassembler: {argument:KIND} in the .insn tables is printed by a64_dis_KIND().
 * What a kind needs besides its argument it takes from the instruction word.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "guest/arm/insn.h"
#include "guest/arm/tr_int.h"

#define DIS(kind) int a64_dis_##kind(char *out, size_t size, uint64_t pc, uint32_t w, int64_t v)

static int put_reg(char *out, size_t size, bool wide, bool sp, int64_t n)
{
    if (n == 31)
        return snprintf(out, size, "%s", sp ? (wide ? "sp" : "wsp") : (wide ? "xzr" : "wzr"));
    return snprintf(out, size, "%c%d", wide ? 'x' : 'w', (int)n);
}

static int put_text(char *out, size_t size, const char *text)
{
    return snprintf(out, size, "%s", text);
}

static const char *const extends[8] = { "uxtb", "uxth", "uxtw", "uxtx",
                                        "sxtb", "sxth", "sxtw", "sxtx" };

/* ---- registers ---- */

DIS(r)
{
    return put_reg(out, size, w >> 31, false, v);
}

DIS(rs)
{
    return put_reg(out, size, w >> 31, true, v);
}

DIS(x)
{
    return put_reg(out, size, true, false, v);
}

DIS(xs)
{
    return put_reg(out, size, true, true, v);
}

DIS(w)
{
    return put_reg(out, size, false, false, v);
}

DIS(ws)
{
    return put_reg(out, size, false, true, v);
}

DIS(rz) /* by the access's size; CASP has it in bit 30 alone */
{
    bool pair = (w & 0xbfa07c00) == 0x08207c00;

    return put_reg(out, size, pair ? w >> 30 & 1 : w >> 30 == 3, false, v);
}

DIS(ropc) /* signed loads */
{
    return put_reg(out, size, (w >> 22 & 3) == 2, false, v);
}

DIS(rlit)
{
    return put_reg(out, size, w >> 30 & 1, false, v);
}

DIS(ext)
{
    unsigned opt = w >> 13 & 7;
    int n = put_reg(out, size, (opt & 3) == 3, false, v);

    return n + snprintf((size_t)n < size ? out + n : NULL, (size_t)n < size ? size - (size_t)n : 0,
                        ", %s #%u", extends[opt], w >> 10 & 7);
}

/* ---- letters of mnemonics ---- */

DIS(bh)
{
    return put_text(out, size, v == 0 ? "b" : v == 1 ? "h" : "");
}

DIS(bhw)
{
    return put_text(out, size, v == 0 ? "b" : v == 1 ? "h" : "w");
}

DIS(bhwx)
{
    return snprintf(out, size, "%c", "bhwx"[v & 3]);
}

DIS(a)
{
    return put_text(out, size, v ? "a" : "");
}

DIS(l)
{
    return put_text(out, size, v ? "l" : "");
}

DIS(z)
{
    return put_text(out, size, v ? "z" : "");
}

DIS(lor)
{
    return put_text(out, size, v ? "l" : "ll");
}

DIS(loa)
{
    return put_text(out, size, v ? "a" : "la");
}

DIS(ab)
{
    return put_text(out, size, v ? "b" : "a");
}

DIS(id)
{
    return put_text(out, size, v ? "d" : "i");
}

DIS(np)
{
    return put_text(out, size, v ? "" : "n");
}

DIS(ut)
{
    return put_text(out, size, v == 0 ? "u" : v == 2 ? "t" : "");
}

DIS(wb)
{
    return put_text(out, size, v ? "!" : "");
}

DIS(8or16)
{
    return put_text(out, size, v ? "16" : "8");
}

DIS(pacname)
{
    return snprintf(out, size, "%s%c%s", v & 4 ? "aut" : "pac", v & 2 ? 'd' : 'i',
                    v & 1 ? "b" : "a");
}

DIS(cond)
{
    static const char *const names[16] = { "eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc",
                                           "hi", "ls", "ge", "lt", "gt", "le", "al", "nv" };

    return put_text(out, size, names[v & 15]);
}

/* ---- numbers ---- */

DIS(page)
{
    return snprintf(out, size, "%#" PRIx64, (pc & ~UINT64_C(4095)) + (uint64_t)v * 4096);
}

DIS(addimm)
{
    return snprintf(out, size, "#%d%s", (int)v, w >> 22 & 1 ? ", lsl #12" : "");
}

DIS(bitmask)
{
    uint64_t mask;

    if (!a64_bitmask(w >> 31, w >> 22 & 1, w >> 10 & 63, w >> 16 & 63, &mask))
        return put_text(out, size, "#reserved");
    return snprintf(out, size, "#%#" PRIx64, mask);
}

DIS(lsl16)
{
    return v ? snprintf(out, size, ", lsl #%d", (int)v * 16) : 0;
}

DIS(shift)
{
    static const char *const names[4] = { "lsl", "lsr", "asr", "ror" };

    return v ? snprintf(out, size, ", %s #%d", names[w >> 22 & 3], (int)v) : 0;
}

static int put_system(char *out, size_t size, int64_t key)
{
    return snprintf(out, size, "s%d_%d_c%d_c%d_%d", (int)(key >> 14 & 3), (int)(key >> 11 & 7),
                    (int)(key >> 7 & 15), (int)(key >> 3 & 15), (int)(key & 7));
}

DIS(sysreg)
{
    return put_system(out, size, v);
}

DIS(sysop)
{
    return put_system(out, size, v);
}

DIS(barrier)
{
    static const char *const names[16] = { "#0",    "oshld", "oshst", "osh",   "#4",    "nshld",
                                           "nshst", "nsh",   "#8",    "ishld", "ishst", "ish",
                                           "#12",   "ld",    "st",    "sy" };

    return put_text(out, size, names[v & 15]);
}

/* ---- addresses: mode 1 post-index, 3 pre-index ---- */

static int put_address(char *out, size_t size, uint32_t w, unsigned mode, int64_t imm)
{
    char base[8];

    put_reg(base, sizeof(base), true, true, w >> 5 & 31);
    if (mode == 1)
        return snprintf(out, size, "[%s], #%" PRId64, base, imm);
    return snprintf(out, size, "[%s, #%" PRId64 "]%s", base, imm, mode == 3 ? "!" : "");
}

DIS(pair)
{
    return put_address(out, size, w, w >> 23 & 3, v * (w >> 31 ? 8 : 4));
}

DIS(idx)
{
    return put_address(out, size, w, w >> 10 & 3, v);
}

DIS(index)
{
    unsigned opt = w >> 13 & 7, shift = w >> 12 & 1 ? w >> 30 : 0;
    char base[8], reg[8];

    put_reg(base, sizeof(base), true, true, w >> 5 & 31);
    put_reg(reg, sizeof(reg), opt & 1, false, v);
    if (opt == 3 && !(w >> 12 & 1))
        return snprintf(out, size, "[%s, %s]", base, reg);
    return snprintf(out, size, "[%s, %s, %s #%u]", base, reg, opt == 3 ? "lsl" : extends[opt],
                    shift);
}

DIS(scaled)
{
    return snprintf(out, size, "#%" PRId64, v << (w >> 30));
}

/* ---- FP and SIMD ---- */

DIS(fp)
{
    return snprintf(out, size, "%c", "sd?h"[v & 3]);
}

DIS(fbits)
{
    return snprintf(out, size, "#%d", 64 - (int)v);
}

DIS(fpimm) /* VFPExpandImm */
{
    double d = (16 + (v & 15)) / 16.0;
    int e = (int)(v >> 4 & 7);

    for (e = e & 4 ? e - 7 : e + 1; e > 0; e--)
        d *= 2;
    for (; e < 0; e++)
        d /= 2;
    return snprintf(out, size, "#%g", v & 0x80 ? -d : d);
}

DIS(v)
{
    return put_text(out, size, v ? ".q" : "");
}

DIS(2v)
{
    return put_text(out, size, v ? "2" : "");
}

DIS(e)
{
    return put_text(out, size, v ? "e" : "");
}

DIS(ldst)
{
    return put_text(out, size, v ? "ld" : "st");
}

DIS(rot)
{
    return snprintf(out, size, "#%d", (int)v * 90);
}

DIS(vld) /* ldr, str by opc */
{
    return put_text(out, size, v & 1 ? "ld" : "st");
}

DIS(vls)
{
    return snprintf(out, size, "%c", "sdq?"[v & 3]);
}

DIS(vsz)
{
    return snprintf(out, size, "%c", w >> 23 & 1 ? 'q' : "bhsd"[v & 3]);
}
