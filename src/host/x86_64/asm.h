/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * x86-64 encoder primitives: bytes of one host instruction each, written at as->p. The caller sees
 * to it that there is room. Registers 0..15 are integer, 16..31 xmm0..xmm15. Operations that change
 * the host's arithmetic flags forget what as->flags said; all others leave flags alone.
 * Intel SDM vol. 2, chapter 2 (prefixes, ModRM, VEX).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum reg {
    RAX,
    RCX,
    RDX,
    RBX,
    RSP,
    RBP,
    RSI,
    RDI,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    XMM0,
    XMM1,
    XMM2,
    XMM3,
    XMM4,
    XMM15 = 31,
    REG_COUNT = 32,
    RIP = 0xfe, /* as a base: disp counts from as->base */
    NOREG = 0xff,
};

enum flags_kind {
    FLAGS_NONE,
    FLAGS_CMP,   /* of "cmp a, b" in type; r, if not 0, is the value a - b */
    FLAGS_RES,   /* ZF and SF of the value r, of type */
    FLAGS_LOGIC, /* the same, CF and OF are 0 */
    FLAGS_COM,   /* of (u)comis, whose IR value is r */
    FLAGS_LIVE,  /* of something else that is still to be used */
};

struct as {
    uint8_t *p;
    uint8_t *base; /* of the buffer */
    uint8_t *rip;  /* disp32 of the latest instruction when it is relative to rip, else NULL */
    struct {
        uint8_t kind, type;
        uint16_t a, b, r; /* IR values */
    } flags;
};

enum { /* opcode words: low byte opcode, then */
       OP_0F = 1 << 8,
       OP_38 = 2 << 8,
       OP_3A = 3 << 8,
       OP_MAP = 3 << 8,
       OP_66 = 1 << 10,
       OP_F3 = 2 << 10,
       OP_F2 = 3 << 10,
       OP_PP = 3 << 10,
       OP_W = 1 << 12,
       OP_RB = 1 << 13, /* the reg field is a byte register */
       OP_MB = 1 << 14, /* the rm field is a byte register */
       OP_B = OP_RB | OP_MB,
};

/* An rm operand: a register, or [base + index << scale + disp] when reg is NOREG; base NOREG: disp
 * alone, sign-extended. gs: plus the GS segment's base. */
struct rm {
    uint8_t reg, base, index, scale;
    bool gs;
    int32_t disp;
};

static inline struct rm rm_reg(unsigned r)
{
    return (struct rm){ .reg = (uint8_t)r };
}

static inline struct rm rm_mem(unsigned base, int32_t disp)
{
    return (struct rm){ .reg = NOREG, .base = (uint8_t)base, .index = NOREG, .disp = disp };
}

static inline struct rm rm_abs(int32_t disp)
{
    return (struct rm){ .reg = NOREG, .base = NOREG, .index = NOREG, .disp = disp };
}

static inline struct rm rm_rip(uint32_t offset)
{
    return (struct rm){ .reg = NOREG, .base = RIP, .index = NOREG, .disp = (int32_t)offset };
}

static inline struct rm rm_sib(unsigned base, unsigned index, unsigned scale, int32_t disp)
{
    return (struct rm){ .reg = NOREG,
                        .base = (uint8_t)base,
                        .index = (uint8_t)index,
                        .scale = (uint8_t)scale,
                        .disp = disp };
}

static inline bool rm_is_reg(struct rm x)
{
    return x.reg != NOREG;
}

static inline void as_u8(struct as *as, unsigned v)
{
    *as->p++ = (uint8_t)v;
}

static inline void as_u32(struct as *as, uint32_t v)
{
    memcpy(as->p, &v, 4);
    as->p += 4;
}

static inline void as_u64(struct as *as, uint64_t v)
{
    memcpy(as->p, &v, 8);
    as->p += 8;
}

static inline bool fits8(int64_t v)
{
    return v == (int8_t)v;
}

static inline bool fits32(int64_t v)
{
    return v == (int32_t)v;
}

static inline void as_flags_lost(struct as *as)
{
    as->flags.kind = FLAGS_NONE;
}

static inline void as_modrm(struct as *as, unsigned reg, struct rm x)
{
    unsigned mod, r = (reg & 7) << 3, base = x.base & 7;

    as->rip = NULL;
    if (rm_is_reg(x)) {
        as_u8(as, 0xc0 | r | (x.reg & 7));
        return;
    }
    if (x.base == RIP) {
        as_u8(as, r | 5);
        as->rip = as->p;
        as_u32(as, (uint32_t)(as->base + x.disp - (as->p + 4)));
        return;
    }
    if (x.base == NOREG) {
        as_u8(as, r | 4);
        as_u8(as, 0x25);
        as_u32(as, (uint32_t)x.disp);
        return;
    }
    mod = !x.disp && base != RBP ? 0 : fits8(x.disp) ? 0x40 : 0x80;
    if (x.index != NOREG) {
        as_u8(as, mod | r | 4);
        as_u8(as, (unsigned)x.scale << 6 | (unsigned)(x.index & 7) << 3 | base);
    } else if (base == RSP) {
        as_u8(as, mod | r | 4);
        as_u8(as, 0x24);
    } else {
        as_u8(as, mod | r | base);
    }
    if (mod == 0x40)
        as_u8(as, (uint8_t)x.disp);
    else if (mod == 0x80)
        as_u32(as, (uint32_t)x.disp);
}

/* The immediate byte of an instruction whose operand may be relative to rip. */
static inline void as_imm8(struct as *as, unsigned v)
{
    int32_t disp;

    if (as->rip) {
        memcpy(&disp, as->rip, 4);
        disp--;
        memcpy(as->rip, &disp, 4);
    }
    as_u8(as, v);
}

/* REX.RXB bits for the operands, W excluded. */
static inline unsigned as_rxb(unsigned reg, struct rm x)
{
    unsigned rex = reg & 8 ? 4 : 0;

    if (rm_is_reg(x))
        return rex | (x.reg & 8 ? 1 : 0);
    return rex | (x.index != NOREG && x.index & 8 ? 2 : 0) | (x.base < 16 && x.base & 8 ? 1 : 0);
}

/* One instruction in legacy encoding: opcode word, reg field, rm operand. */
static inline void as_op(struct as *as, unsigned op, unsigned reg, struct rm x)
{
    static const uint8_t prefix[4] = { 0, 0x66, 0xf3, 0xf2 };
    unsigned rex = as_rxb(reg, x) | (op & OP_W ? 8 : 0), pp = op >> 10 & 3, map = op >> 8 & 3;

    if (x.gs)
        as_u8(as, 0x65);
    if (pp)
        as_u8(as, prefix[pp]);
    if (rex || (op & OP_RB && reg >= 4) || (op & OP_MB && rm_is_reg(x) && x.reg >= 4))
        as_u8(as, 0x40 | rex);
    if (map) {
        as_u8(as, 0x0f);
        if (map > 1)
            as_u8(as, map == 2 ? 0x38 : 0x3a);
    }
    as_u8(as, op & 0xff);
    as_modrm(as, reg, x);
}

/* The same in VEX.128 (or VEX.LZ) encoding with the extra operand v. */
static inline void as_vex(struct as *as, unsigned op, unsigned reg, unsigned v, struct rm x)
{
    unsigned rxb = as_rxb(reg, x), pp = op >> 10 & 3, map = op >> 8 & 3, w = op & OP_W ? 0x80 : 0;
    unsigned vvvv = (~v & 15) << 3;

    if (x.gs)
        as_u8(as, 0x65);
    if (map == 1 && !w && !(rxb & 3)) {
        as_u8(as, 0xc5);
        as_u8(as, (rxb & 4 ? 0 : 0x80) | vvvv | pp);
    } else {
        as_u8(as, 0xc4);
        as_u8(as, (~rxb & 7) << 5 | map);
        as_u8(as, w | vvvv | pp);
    }
    as_u8(as, op & 0xff);
    as_modrm(as, reg, x);
}

/* ---- moves: flags stay ---- */

static inline void as_mov(struct as *as, bool w, unsigned d, unsigned s)
{
    as_op(as, 0x8b | (w ? OP_W : 0), d, rm_reg(s));
}

static inline void as_load(struct as *as, bool w, unsigned d, struct rm x)
{
    as_op(as, 0x8b | (w ? OP_W : 0), d, x);
}

/* Stores the low 1 << size bytes of s. */
static inline void as_store(struct as *as, unsigned size, struct rm x, unsigned s)
{
    static const unsigned op[4] = { 0x88 | OP_RB, 0x89 | OP_66, 0x89, 0x89 | OP_W };

    as_op(as, op[size], s, x);
}

/* Stores a constant; of 8 bytes only what fits32(). */
static inline void as_store_imm(struct as *as, unsigned size, struct rm x, int64_t v)
{
    static const unsigned op[4] = { 0xc6, 0xc7 | OP_66, 0xc7, 0xc7 | OP_W };

    as_op(as, op[size], 0, x);
    if (size == 0) {
        as_u8(as, (uint8_t)v);
    } else if (size == 1) {
        as_u8(as, (uint8_t)v);
        as_u8(as, (uint8_t)(v >> 8));
    } else {
        as_u32(as, (uint32_t)v);
    }
}

/* Zero-extending load or move of 1 << size bytes. */
static inline void as_movzx(struct as *as, unsigned size, unsigned d, struct rm x)
{
    static const unsigned op[4] = { 0xb6 | OP_0F | OP_MB, 0xb7 | OP_0F, 0x8b, 0x8b | OP_W };

    as_op(as, op[size], d, x);
}

/* Sign-extending, to 64 bits with w, else to 32. */
static inline void as_movsx(struct as *as, unsigned size, bool w, unsigned d, struct rm x)
{
    static const unsigned op[4] = { 0xbe | OP_0F | OP_MB, 0xbf | OP_0F, 0x63, 0x8b };

    if (size == 2 && !w)
        as_op(as, 0x8b, d, x);
    else
        as_op(as, op[size] | (w ? OP_W : 0), d, x);
}

/* Any constant; keeps the flags. */
static inline void as_mov_imm(struct as *as, unsigned d, int64_t v)
{
    if ((uint64_t)v <= UINT32_MAX) {
        if (d & 8)
            as_u8(as, 0x41);
        as_u8(as, 0xb8 | (d & 7));
        as_u32(as, (uint32_t)v);
    } else if (fits32(v)) {
        as_op(as, 0xc7 | OP_W, 0, rm_reg(d));
        as_u32(as, (uint32_t)v);
    } else {
        as_u8(as, 0x48 | (d & 8 ? 1 : 0));
        as_u8(as, 0xb8 | (d & 7));
        as_u64(as, (uint64_t)v);
    }
}

static inline void as_lea(struct as *as, bool w, unsigned d, struct rm x)
{
    as_op(as, 0x8d | (w ? OP_W : 0), d, x);
}

static inline void as_setcc(struct as *as, unsigned cc, unsigned d)
{
    as_op(as, 0x90 | cc | OP_0F | OP_MB, 0, rm_reg(d));
}

static inline void as_cmov(struct as *as, unsigned cc, bool w, unsigned d, struct rm x)
{
    as_op(as, 0x40 | cc | OP_0F | (w ? OP_W : 0), d, x);
}

static inline void as_bswap(struct as *as, bool w, unsigned d)
{
    if (w || d & 8)
        as_u8(as, 0x40 | (w ? 8 : 0) | (d & 8 ? 1 : 0));
    as_u8(as, 0x0f);
    as_u8(as, 0xc8 | (d & 7));
}

static inline void as_push(struct as *as, unsigned r)
{
    if (r & 8)
        as_u8(as, 0x41);
    as_u8(as, 0x50 | (r & 7));
}

static inline void as_pop(struct as *as, unsigned r)
{
    if (r & 8)
        as_u8(as, 0x41);
    as_u8(as, 0x58 | (r & 7));
}

static inline void as_push_imm(struct as *as, int32_t v)
{
    as_u8(as, fits8(v) ? 0x6a : 0x68);
    if (fits8(v))
        as_u8(as, (uint8_t)v);
    else
        as_u32(as, (uint32_t)v);
}

/* ---- arithmetic: flags are lost ---- */

enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

/* size: log2 of bytes. d op= x */
static inline void as_alu(struct as *as, enum alu op, unsigned size, unsigned d, struct rm x)
{
    static const unsigned form[4] = { 0x02 | OP_B, 0x03 | OP_66, 0x03, 0x03 | OP_W };

    as_flags_lost(as);
    as_op(as, form[size] | op << 3, d, x);
}

/* x op= constant that fits32() */
static inline void as_alu_imm(struct as *as, enum alu op, unsigned size, struct rm x, int64_t v)
{
    static const unsigned form[4] = { 0x80 | OP_MB, 0x81 | OP_66, 0x81, 0x81 | OP_W };

    as_flags_lost(as);
    if (size && fits8(v)) {
        as_op(as, form[size] | 2, op, x); /* 0x83 */
        as_u8(as, (uint8_t)v);
        return;
    }
    if (size > 1 && rm_is_reg(x) && x.reg == RAX) { /* one byte shorter */
        if (size == 3)
            as_u8(as, 0x48);
        as_u8(as, 5 | op << 3);
    } else {
        as_op(as, form[size], op, x);
    }
    as_u8(as, (uint8_t)v);
    if (size)
        as_u8(as, (uint8_t)(v >> 8));
    if (size > 1) {
        as_u8(as, (uint8_t)(v >> 16));
        as_u8(as, (uint8_t)(v >> 24));
    }
}

static inline void as_test(struct as *as, unsigned size, unsigned a, struct rm x)
{
    static const unsigned form[4] = { 0x84 | OP_B, 0x85 | OP_66, 0x85, 0x85 | OP_W };

    as_flags_lost(as);
    as_op(as, form[size], a, x);
}

static inline void as_test_imm(struct as *as, unsigned size, struct rm x, int64_t v)
{
    static const unsigned form[4] = { 0xf6 | OP_MB, 0xf7 | OP_66, 0xf7, 0xf7 | OP_W };

    as_flags_lost(as);
    as_op(as, form[size], 0, x);
    as_u8(as, (uint8_t)v);
    if (size)
        as_u8(as, (uint8_t)(v >> 8));
    if (size > 1) {
        as_u8(as, (uint8_t)(v >> 16));
        as_u8(as, (uint8_t)(v >> 24));
    }
}

enum shift { SH_ROL, SH_ROR, SH_SHL = 4, SH_SHR, SH_SAR = 7 };

static inline void as_shift_imm(struct as *as, enum shift op, unsigned size, unsigned d, unsigned n)
{
    static const unsigned form[4] = { 0xc0 | OP_MB, 0xc1 | OP_66, 0xc1, 0xc1 | OP_W };

    if (!n)
        return;
    as_flags_lost(as);
    as_op(as, form[size], op, rm_reg(d));
    as_u8(as, n);
}

static inline void as_shift_cl(struct as *as, enum shift op, unsigned size, unsigned d)
{
    static const unsigned form[4] = { 0xd2 | OP_MB, 0xd3 | OP_66, 0xd3, 0xd3 | OP_W };

    as_flags_lost(as);
    as_op(as, form[size], op, rm_reg(d));
}

enum unary { UN_NOT = 2, UN_NEG, UN_MUL, UN_IMUL, UN_DIV, UN_IDIV };

static inline void as_unary(struct as *as, enum unary op, bool w, struct rm x)
{
    if (op != UN_NOT)
        as_flags_lost(as);
    as_op(as, 0xf7 | (w ? OP_W : 0), op, x);
}

static inline void as_imul(struct as *as, bool w, unsigned d, struct rm x)
{
    as_flags_lost(as);
    as_op(as, 0xaf | OP_0F | (w ? OP_W : 0), d, x);
}

static inline void as_imul_imm(struct as *as, bool w, unsigned d, struct rm x, int32_t v)
{
    as_flags_lost(as);
    as_op(as, (fits8(v) ? 0x6b : 0x69) | (w ? OP_W : 0), d, x);
    if (fits8(v))
        as_u8(as, (uint8_t)v);
    else
        as_u32(as, (uint32_t)v);
}

/* An operation of the 0F maps that changes flags: bit scans, popcnt and the like. */
static inline void as_op_flags(struct as *as, unsigned op, unsigned reg, struct rm x)
{
    as_flags_lost(as);
    as_op(as, op, reg, x);
}

/* ---- jumps: return the place of the rel32 to be filled ---- */

static inline uint8_t *as_jmp(struct as *as)
{
    as_u8(as, 0xe9);
    as_u32(as, 0);
    return as->p - 4;
}

static inline uint8_t *as_jcc(struct as *as, unsigned cc)
{
    as_u8(as, 0x0f);
    as_u8(as, 0x80 | cc);
    as_u32(as, 0);
    return as->p - 4;
}

static inline void as_patch(uint8_t *rel32, const uint8_t *to)
{
    int32_t rel = (int32_t)(to - (rel32 + 4));

    memcpy(rel32, &rel, 4);
}

static inline void as_jmp_to(struct as *as, const uint8_t *to)
{
    int64_t rel = to - (as->p + 2);

    if (fits8(rel)) {
        as_u8(as, 0xeb);
        as_u8(as, (uint8_t)rel);
    } else {
        as_patch(as_jmp(as), to);
    }
}

static inline void as_jcc_to(struct as *as, unsigned cc, const uint8_t *to)
{
    int64_t rel = to - (as->p + 2);

    if (fits8(rel)) {
        as_u8(as, 0x70 | cc);
        as_u8(as, (uint8_t)rel);
    } else {
        as_patch(as_jcc(as, cc), to);
    }
}

static inline void as_call_to(struct as *as, const uint8_t *to)
{
    as_u8(as, 0xe8);
    as_u32(as, (uint32_t)(to - (as->p + 4)));
}

/* lea d, [rip + to] */
static inline void as_lea_rip(struct as *as, unsigned d, const uint8_t *to)
{
    as_u8(as, 0x48 | (d & 8 ? 4 : 0));
    as_u8(as, 0x8d);
    as_u8(as, (d & 7) << 3 | 5);
    as_u32(as, (uint32_t)(to - (as->p + 4)));
}

/* n bytes of long no-ops (SDM, NOP). */
static inline void as_nops(struct as *as, unsigned n)
{
    static const uint8_t nop[9][9] = {
        { 0x90 },
        { 0x66, 0x90 },
        { 0x0f, 0x1f, 0x00 },
        { 0x0f, 0x1f, 0x40, 0 },
        { 0x0f, 0x1f, 0x44, 0, 0 },
        { 0x66, 0x0f, 0x1f, 0x44, 0, 0 },
        { 0x0f, 0x1f, 0x80 },
        { 0x0f, 0x1f, 0x84 },
        { 0x66, 0x0f, 0x1f, 0x84 },
    };

    while (n) {
        unsigned k = n > 9 ? 9 : n;

        memcpy(as->p, nop[k - 1], k);
        as->p += k;
        n -= k;
    }
}
