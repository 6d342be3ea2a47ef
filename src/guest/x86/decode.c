/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instruction decoder: prefixes, a walk through the generated tables to the instruction's form,
 * then ModRM, displacement and immediates as the form asks. See decode.h; Intel SDM volume 2
 * chapter 2.
 */
#include "guest/x86/decode.h"

#include <string.h>

#include "base/bits.h"
#include "base/endian.h"
#include "guest/x86/decode_tables.h"

enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_COUNT };

/* State of one decode. */
struct cursor {
    struct x86_insn *i;
    const uint8_t *start, *p, *end;
    unsigned map, code;
    bool long_mode, addr_prefix;
    uint8_t vvvv, vex_l;
    bool vex;
    uint8_t vex_pp;
    enum x86_decode_result shortage; /* what running out of bytes means */
};

static bool need(const struct cursor *c, size_t n)
{
    return (size_t)(c->end - c->p) >= n;
}

/* ---- prefixes and opcode ---- */

static void segment_prefix(struct cursor *c, uint8_t seg)
{
    if (!c->long_mode || seg >= SEG_FS)
        c->i->seg = seg;
}

/* Consume prefixes; leaves c->p on the opcode. False when the bytes run out. */
static bool read_prefixes(struct cursor *c)
{
    struct x86_insn *i = c->i;

    for (; c->p < c->end; c->p++) {
        uint8_t b = *c->p;
        switch (b) {
        case 0x26: segment_prefix(c, SEG_ES); break;
        case 0x2e: segment_prefix(c, SEG_CS); break;
        case 0x36: segment_prefix(c, SEG_SS); break;
        case 0x3e: segment_prefix(c, SEG_DS); break;
        case 0x64: segment_prefix(c, SEG_FS); break;
        case 0x65: segment_prefix(c, SEG_GS); break;
        case 0x66: i->opsize_prefix = true; break;
        case 0x67: c->addr_prefix = true; break;
        case 0xf0: i->lock = true; break;
        case 0xf2:
        case 0xf3: i->rep = b; break;
        default:
            if (!c->long_mode || (b & 0xf0) != 0x40)
                return true;
            i->rex = b;
            continue;
        }
        i->rex = 0; /* only a REX directly before the opcode counts */
    }
    return false;
}

/* C4, C5 as VEX: c->p is on the first byte. False: not enough bytes. Sets map to COUNT when
 * invalid. */
static bool read_vex(struct cursor *c)
{
    struct x86_insn *i = c->i;
    bool three = *c->p == 0xc4;
    size_t n = three ? 3 : 2;

    if (!need(c, n + 1))
        return false;
    uint8_t b1 = c->p[1], last = c->p[n - 1];
    unsigned map = three ? b1 & 31 : 1;
    bool bad = i->lock || i->rep || i->opsize_prefix || i->rex || map < 1 || map > 3;

    c->vex = true;
    c->map = bad ? X86_MAP_COUNT : X86_MAP_VEX1 + map - 1;
    i->rex = 0x40 | (b1 & 0x80 ? 0 : 4);
    if (three)
        i->rex |= (b1 & 0x40 ? 0 : 2) | (b1 & 0x20 ? 0 : 1) | (last & 0x80 ? 8 : 0);
    if (!c->long_mode)
        i->rex &= 0x48;
    c->vvvv = ~last >> 3 & (c->long_mode ? 15 : 7);
    c->vex_l = last >> 2 & 1;
    c->vex_pp = last & 3;
    c->p += n;
    c->code = *c->p++;
    return true;
}

/* Opcode and map. False: not enough bytes. */
static bool read_opcode(struct cursor *c)
{
    uint8_t b = *c->p;

    if (b == 0xc4 || b == 0xc5 || b == 0x62) {
        if (!c->long_mode && !need(c, 2))
            return false;
        if (c->long_mode || c->p[1] >= 0xc0) {
            if (b != 0x62)
                return read_vex(c);
            c->map = X86_MAP_COUNT; /* EVEX */
            return true;
        }
    }
    c->p++;
    c->map = X86_MAP_1;
    if (b == 0x0f) {
        if (!need(c, 1))
            return false;
        b = *c->p++;
        c->map = X86_MAP_0F;
        if (b == 0x38 || b == 0x3a) {
            if (!need(c, 1))
                return false;
            c->map = b == 0x38 ? X86_MAP_0F38 : X86_MAP_0F3A;
            b = *c->p++;
        }
    }
    c->code = b;
    return true;
}

static unsigned mandatory_prefix(const struct cursor *c)
{
    if (c->vex)
        return (const uint8_t[]){ 0, 1, 2, 3 }[c->vex_pp];
    if (c->i->rep)
        return c->i->rep == 0xf3 ? 2 : 3;
    return c->i->opsize_prefix;
}

/* Walk the tables. Sets *ret_form; OK, INVALID, or the shortage. */
static enum x86_decode_result find_form(struct cursor *c, const struct x86_form **ret_form)
{
    uint16_t node = x86_root[c->map * 256 + c->code];

    while (node >> X86_NODE_SHIFT) {
        const uint16_t *sub = &x86_nodes[(node & X86_NODE_INDEX) * 2];
        unsigned kind = node >> X86_NODE_SHIFT;
        unsigned k;
        if (kind >= X86_NODE_MOD && kind <= X86_NODE_RM && !need(c, 1))
            return c->shortage;
        switch (kind) {
        case X86_NODE_MODE: k = c->long_mode; break;
        case X86_NODE_PP: k = mandatory_prefix(c); break;
        case X86_NODE_MOD: k = *c->p >= 0xc0; break;
        case X86_NODE_REG: k = *c->p >> 3 & 7; break;
        case X86_NODE_RM: k = *c->p & 7; break;
        case X86_NODE_W: k = c->i->rex >> 3 & 1; break;
        case X86_NODE_B: k = c->i->rex & 1; break;
        default: k = c->vex_l; break;
        }
        node = sub[k];
    }
    *ret_form = &x86_forms[node];
    return node ? X86_DECODE_OK : X86_DECODE_INVALID;
}

/* ---- sizes ---- */

static void set_sizes(struct cursor *c, unsigned attr)
{
    struct x86_insn *i = c->i;

    if (c->long_mode) {
        i->addrsize = c->addr_prefix ? 4 : 8;
        if (i->rex & 8 || attr & X86_A_F64)
            i->opsize = 8;
        else if (i->opsize_prefix)
            i->opsize = 2;
        else
            i->opsize = attr & X86_A_D64 ? 8 : 4;
    } else {
        bool small = i->mode_bits == 16;
        i->addrsize = small != c->addr_prefix ? 2 : 4;
        i->opsize = small != i->opsize_prefix ? 2 : 4;
    }
    if (attr & X86_A_CAP32)
        i->opsize = MIN(i->opsize, 4);
}

static unsigned size_bytes(const struct x86_insn *i, uint8_t code)
{
    switch (code) {
    case X86_S_V:
    case X86_S_IMM8S: return i->opsize;
    case X86_S_Z: return MIN(i->opsize, 4);
    case X86_S_Y: return i->rex & 8 ? 8 : 4;
    case X86_S_G: return i->mode_bits == 64 ? 8 : 4;
    case X86_S_FARPTR: return 2 + i->opsize;
    case X86_S_BOUND: return 2 * i->opsize;
    case X86_S_DESC: return i->mode_bits == 64 ? 10 : 6;
    default: return code;
    }
}

/* ---- ModRM ---- */

static bool read_disp(struct cursor *c, unsigned n)
{
    if (!need(c, n))
        return false;
    switch (n) {
    case 1: c->i->mem.disp = (int8_t)*c->p; break;
    case 2: c->i->mem.disp = (int16_t)ld_le16(c->p); break;
    case 4: c->i->mem.disp = (int32_t)ld_le32(c->p); break;
    }
    c->p += n;
    return true;
}

static bool read_mem16(struct cursor *c, unsigned mod, unsigned rm)
{
    enum { BX = 3, BP = 5, SI = 6, DI = 7 };
    static const uint8_t base[8] = { BX, BX, BP, BP, SI, DI, BP, BX };
    static const uint8_t index[8] = {
        SI, DI, SI, DI, X86_NO_REG, X86_NO_REG, X86_NO_REG, X86_NO_REG
    };
    struct x86_mem *m = &c->i->mem;

    if (mod == 0 && rm == 6)
        return read_disp(c, 2);
    m->base = base[rm];
    m->index = index[rm];
    if (m->base == BP && c->i->seg == X86_NO_REG)
        m->seg = SEG_SS;
    return read_disp(c, mod);
}

static bool read_mem32(struct cursor *c, unsigned mod, unsigned rm)
{
    struct x86_insn *i = c->i;
    struct x86_mem *m = &i->mem;
    unsigned base = rm;

    if (rm == 4) {
        if (!need(c, 1))
            return false;
        uint8_t sib = *c->p++;
        unsigned index = (sib >> 3 & 7) | (i->rex & 2) << 2;
        base = sib & 7;
        m->index = index == 4 ? X86_NO_REG : index;
        m->scale = sib >> 6;
    }
    if (mod == 0 && base == 5) {
        m->rip_relative = c->long_mode && rm == 5;
        return read_disp(c, 4);
    }
    m->base = base | (i->rex & 1) << 3;
    if ((m->base == 4 || m->base == 5) && i->seg == X86_NO_REG)
        m->seg = SEG_SS;
    return read_disp(c, mod == 2 ? 4 : mod);
}

/* ModRM with SIB and displacement; rm_is_reg: mod is ignored (MOV to and from CR, DR). */
static bool read_modrm(struct cursor *c, bool rm_is_reg)
{
    if (!need(c, 1))
        return false;
    uint8_t b = c->i->modrm = *c->p++;
    if (b >= 0xc0 || rm_is_reg)
        return true;
    return (c->i->addrsize == 2 ? read_mem16 : read_mem32)(c, b >> 6, b & 7);
}

/* ---- operands ---- */

static void set_gpr(struct x86_insn *i, struct x86_operand *o, unsigned reg)
{
    bool high = o->size == 1 && !i->rex && reg >= 4;
    o->kind = high ? X86_K_GPRH : X86_K_GPR;
    o->reg = high ? reg & 3 : reg;
}

/* A register operand of the form's class. False: there is no such register. */
static bool set_reg(struct x86_insn *i, struct x86_operand *o, const struct x86_form_operand *f,
                    unsigned low, unsigned ext)
{
    unsigned reg = low | ext << 3;

    o->kind = f->kind;
    o->reg = reg;
    switch (f->kind) {
    case X86_K_GPR: set_gpr(i, o, reg); return true;
    case X86_K_XMM: return true;
    case X86_K_SEG:
        o->reg = low;
        return low < SEG_COUNT && !(low == SEG_CS && i->op == X86_OP_MOV_SREG_R);
    case X86_K_CR: return reg == 0 || reg == 2 || reg == 3 || reg == 4 || reg == 8;
    case X86_K_DR: return reg < 8;
    default: /* MMX, ST: the extension bit is ignored */ o->reg = low; return true;
    }
}

/* Little-endian immediate of n bytes, sign-extended when asked. */
static bool read_imm(struct cursor *c, unsigned n, bool sign, int64_t *ret_value)
{
    if (!need(c, n))
        return false;
    switch (n) {
    case 1: *ret_value = sign ? (int8_t)*c->p : *c->p; break;
    case 2: *ret_value = sign ? (int16_t)ld_le16(c->p) : ld_le16(c->p); break;
    case 4: *ret_value = sign ? (int64_t)(int32_t)ld_le32(c->p) : ld_le32(c->p); break;
    default: *ret_value = ld_le64(c->p); break;
    }
    c->p += n;
    return true;
}

static bool read_immediate_operand(struct cursor *c, struct x86_operand *o,
                                   const struct x86_form_operand *f, bool second)
{
    struct x86_insn *i = c->i;
    int64_t v;

    o->kind = X86_K_IMM;
    switch (f->rsize) {
    case X86_S_IMM8S: return read_imm(c, 1, true, &i->imm);
    case X86_S_Z: o->size = i->opsize; return read_imm(c, MIN(i->opsize, 4), true, &i->imm);
    case X86_S_V: return read_imm(c, i->opsize, false, &i->imm);
    }
    if (!read_imm(c, f->rsize, false, &v))
        return false;
    if (second) {
        o->kind = X86_K_IMM2;
        i->imm2 = v;
    } else {
        i->imm = v;
    }
    return true;
}

static bool read_far(struct cursor *c)
{
    int64_t sel = 0;

    if (!read_imm(c, c->i->opsize, false, &c->i->imm) || !read_imm(c, 2, false, &sel))
        return false;
    c->i->imm2 = sel;
    return true;
}

/* Fill one operand. OK, INVALID, or the shortage. */
static enum x86_decode_result set_operand(struct cursor *c, const struct x86_form_operand *f,
                                          unsigned n)
{
    struct x86_insn *i = c->i;
    struct x86_operand *o = &i->opnd[n];
    bool ok = true, bytes = true;

    o->kind = f->kind;
    o->size = size_bytes(i, f->rsize);
    switch (f->loc) {
    case X86_L_REG: ok = set_reg(i, o, f, i->modrm >> 3 & 7, i->rex >> 2 & 1); break;
    case X86_L_RM:
        if (i->modrm >= 0xc0) {
            ok = set_reg(i, o, f, i->modrm & 7, i->rex & 1);
        } else {
            o->kind = X86_K_MEM;
            o->size = size_bytes(i, f->msize);
        }
        break;
    case X86_L_RMREG: ok = set_reg(i, o, f, i->modrm & 7, i->rex & 1); break;
    case X86_L_OPC: ok = set_reg(i, o, f, i->opcode & 7, i->rex & 1); break;
    case X86_L_VVVV: ok = set_reg(i, o, f, c->vvvv & 7, c->vvvv >> 3); break;
    case X86_L_FIXED: o->reg = f->fixed; break;
    case X86_L_ONE:
        o->kind = X86_K_IMM;
        i->imm = 1;
        break;
    case X86_L_SRC: o->kind = X86_K_SRC; break;
    case X86_L_DST: o->kind = X86_K_DST; break;
    case X86_L_IMM:
        bytes = read_immediate_operand(c, o, f, n && i->opnd[n - 1].kind == X86_K_IMM);
        break;
    case X86_L_REL:
        bytes = read_imm(c, f->rsize == 1 ? 1 : MIN(i->opsize, 4), true, &i->imm);
        break;
    case X86_L_FAR: bytes = read_far(c); break;
    case X86_L_MOFFS:
        o->kind = X86_K_MEM;
        bytes = read_imm(c, i->addrsize, false, &i->mem.disp);
        break;
    }
    return !bytes ? c->shortage : ok ? X86_DECODE_OK : X86_DECODE_INVALID;
}

static enum x86_decode_result decode_form(struct cursor *c, const struct x86_form *f)
{
    struct x86_insn *i = c->i;

    i->op = f->op;
    i->opcode = c->code;
    i->attr = f->attr;
    i->nops = f->nops;
    i->feature = f->feature;
    i->flags_read = f->flags_read;
    i->flags_written = f->flags_written;
    i->flags_undefined = f->flags_undefined;
    set_sizes(c, f->attr);
    if (f->attr & X86_A_MODRM &&
        !read_modrm(c, f->nops && (f->opnd[0].loc == X86_L_RMREG || f->opnd[1].loc == X86_L_RMREG)))
        return c->shortage;
    if (f->attr & X86_A_BYTE)
        i->opsize = 1;
    bool uses_vvvv = false;
    for (unsigned n = 0; n < f->nops; n++) {
        enum x86_decode_result r = set_operand(c, &f->opnd[n], n);
        if (r != X86_DECODE_OK)
            return r;
        uses_vvvv |= f->opnd[n].loc == X86_L_VVVV;
    }
    if (c->vex && !uses_vvvv && c->vvvv)
        return X86_DECODE_INVALID;
    if (i->lock && !(f->attr & X86_A_LOCK && i->opnd[0].kind == X86_K_MEM))
        return X86_DECODE_INVALID;
    i->len = c->p - c->start;
    return X86_DECODE_OK;
}

enum x86_decode_result x86_decode(struct x86_insn *insn, const uint8_t *p, size_t n,
                                  unsigned mode_bits, uint64_t features)
{
    struct cursor c = {
        .i = insn,
        .start = p,
        .p = p,
        .end = p + MIN(n, (size_t)X86_INSN_MAX),
        .long_mode = mode_bits == 64,
        .shortage = n >= X86_INSN_MAX ? X86_DECODE_TOO_LONG : X86_DECODE_MORE,
    };
    const struct x86_form *form = NULL;

    memset(insn, 0, sizeof(*insn));
    insn->mode_bits = mode_bits;
    insn->seg = insn->mem.base = insn->mem.index = X86_NO_REG;
    if (!read_prefixes(&c) || !read_opcode(&c))
        return c.shortage;
    insn->mem.seg = insn->seg == X86_NO_REG ? SEG_DS : insn->seg;
    enum x86_decode_result r = c.map == X86_MAP_COUNT ? X86_DECODE_INVALID : find_form(&c, &form);
    if (r == X86_DECODE_OK && form->feature && !(features >> form->feature & 1)) {
        if (form->fallback)
            form = &x86_forms[form->fallback];
        else
            r = X86_DECODE_INVALID;
    }
    if (r == X86_DECODE_OK)
        r = decode_form(&c, form);
    if (r == X86_DECODE_INVALID)
        insn->len = c.p - c.start;
    return r;
}
