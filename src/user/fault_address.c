/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The address of a host access that the processor does not tell: for one that is not canonical it
 * raises #GP, and siginfo has none. The instruction's operand says it (SDM volume 2, chapter 2).
 */
#include "user/fault_address.h"

#include "base/bits.h"
#include "base/endian.h"

struct insn {
    const uint8_t *at;
    const greg_t *regs;
    bool gs;
    unsigned rex; /* W R X B */
};

static uint64_t reg(const struct insn *i, unsigned n)
{
    static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15 };

    return (uint64_t)i->regs[order[n & 15]];
}

static bool skip_prefixes(struct insn *i)
{
    for (unsigned n = 0; n < 14; n++, i->at++) {
        switch (*i->at) {
        case 0x65: i->gs = true; break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x66:
        case 0xf0:
        case 0xf2:
        case 0xf3: break;
        default:
            if ((*i->at & 0xf0) == 0x40)
                i->rex = *i->at++ & 15;
            return true;
        }
    }
    return false;
}

/* Behind the opcode. False: a string instruction, whose operand is in *ret. */
static bool skip_opcode(struct insn *i, uint64_t *ret)
{
    const uint8_t *p = i->at;

    switch (*p) {
    case 0xc4:
        i->rex = ~p[1] >> 5 & 7; /* R X B */
        i->at = p + 4;
        return true;
    case 0xc5: i->at = p + 3; return true;
    case 0x0f: i->at = p + (p[1] == 0x38 || p[1] == 0x3a ? 3 : 2); return true;
    case 0xa4:
    case 0xa5: /* MOVS: the source comes first */
        *ret = reg(i, 6);
        if ((uint64_t)sext(*ret, 48) == *ret)
            *ret = reg(i, 7);
        return false;
    case 0xaa:
    case 0xab: *ret = reg(i, 7); return false; /* STOS */
    case 0xac:
    case 0xad: *ret = reg(i, 6); return false; /* LODS */
    default: i->at = p + 1; return true;
    }
}

static uint64_t operand(const struct insn *i)
{
    enum { X = 2, B = 1, SIB = 4, BP = 5 };
    const uint8_t *p = i->at;
    unsigned mod = *p >> 6, rm = *p & 7;
    uint64_t a = 0;

    p++;
    if (mod == 3 || (mod == 0 && rm == BP)) /* a register; relative to the pc: ours */
        return 0;
    if (rm == SIB) {
        unsigned index = (*p >> 3 & 7) | (i->rex & X ? 8 : 0), base = *p & 7;

        if (index != 4)
            a = reg(i, index) << (*p >> 6);
        if (base != BP || mod)
            a += reg(i, base | (i->rex & B ? 8 : 0));
        else
            mod = 2;
        p++;
    } else {
        a = reg(i, rm | (i->rex & B ? 8 : 0));
    }
    if (mod == 1)
        a += sext(*p, 8);
    else if (mod == 2)
        a += sext(ld_le32(p), 32);
    return a;
}

uint64_t user_fault_address(const void *ucontext, bool *ret_with_base)
{
    const ucontext_t *uc = ucontext;
    struct insn i = { .regs = uc->uc_mcontext.gregs,
                      .at = (const uint8_t *)uc->uc_mcontext.gregs[REG_RIP] };
    uint64_t string;

    *ret_with_base = false;
    if (!skip_prefixes(&i))
        return 0;
    *ret_with_base = i.gs;
    return skip_opcode(&i, &string) ? operand(&i) : string;
}
