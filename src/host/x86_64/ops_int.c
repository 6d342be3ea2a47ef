/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Integer ops. i8 and i16 values have unspecified bits above their width in registers and are
 * mostly worked on in 32 bits; ops that look at those bits extend first or use the 8- and 16-bit
 * forms.
 */
#include "host/x86_64/cg.h"
#include "host/x86_64/ops.h"

static const uint8_t cc_of[IR_COND_COUNT] = {
    [IR_EQ] = CC_E,   [IR_NE] = CC_NE,  [IR_LTU] = CC_B,  [IR_GEU] = CC_AE,
    [IR_LTS] = CC_L,  [IR_GES] = CC_GE, [IR_LEU] = CC_BE, [IR_GTU] = CC_A,
    [IR_LES] = CC_LE, [IR_GTS] = CC_G,  [IR_TST] = CC_NE, [IR_TSTN] = CC_E,
};
static const uint8_t cond_swapped[IR_COND_COUNT] = {
    [IR_EQ] = IR_EQ,   [IR_NE] = IR_NE,   [IR_LTU] = IR_GTU, [IR_GEU] = IR_LEU,
    [IR_LTS] = IR_GTS, [IR_GES] = IR_LES, [IR_LEU] = IR_GEU, [IR_GTU] = IR_LTU,
    [IR_LES] = IR_GES, [IR_GTS] = IR_LTS, [IR_TST] = IR_TST, [IR_TSTN] = IR_TSTN,
};

static unsigned op_size(unsigned type)
{
    return wide(type) ? 3 : 2;
}

static unsigned op_bits(unsigned type)
{
    return wide(type) ? 64 : 32;
}

static bool in_reg(const struct cg *c, unsigned v)
{
    return c->val[v].loc == LOC_REG;
}

static unsigned zbits(const struct cg *c, unsigned v)
{
    return c->val[v].loc == LOC_REG ? c->val[v].zbits : 64;
}

bool op_ties(const struct cg *c, unsigned v)
{
    const struct val *x = &c->val[v];
    unsigned h = c->val[c->i].hint;

    if (x->loc != LOC_REG)
        return false;
    if (h != NOREG)
        return x->reg == h;
    return TEMPS >> x->reg & 1 && x->last <= c->i && c->head[x->reg] == v && !x->next;
}

/* What def_tied must not take because b is read after it is written. */
uint32_t op_avoid(const struct cg *c, unsigned a, struct rm b)
{
    if (!rm_is_reg(b) || (in_reg(c, a) && c->val[a].reg == b.reg))
        return 0;
    return 1u << b.reg;
}

/* A memory operand of any width that dies here, else a register. */
static struct rm use_rm_any(struct cg *c, unsigned v)
{
    const struct val *x = &c->val[v];

    if (x->loc == LOC_SLOT && x->last <= c->i)
        return slot_mem(c, x->home);
    return use_rm(c, v);
}

static void cache(struct cg *c, unsigned v)
{
    if (!in_reg(c, v) && !is_const(c, v) && live_after(c, v))
        use_reg(c, v);
}

static void set_flags(struct cg *c, enum flags_kind kind, unsigned type, unsigned a, unsigned b)
{
    if (type < IR_I32)
        return;
    c->as.flags.kind = (uint8_t)kind;
    c->as.flags.type = (uint8_t)type;
    c->as.flags.a = (uint16_t)a;
    c->as.flags.b = (uint16_t)b;
    c->as.flags.r = (uint16_t)c->i;
}

/* ---- compare ---- */

static bool same(const struct cg *c, unsigned a, unsigned b)
{
    return a == b || (is_const(c, a) && is_const(c, b) && insn_of(c, a)->imm == insn_of(c, b)->imm);
}

/* The condition code if the flags of now tell it, else NOREG. */
static unsigned from_flags(const struct cg *c, unsigned cond, unsigned a, unsigned b)
{
    unsigned kind = c->as.flags.kind;
    bool zero = is_const(c, b) && !insn_of(c, b)->imm;

    if (kind == FLAGS_NONE || c->as.flags.type != insn_of(c, a)->type)
        return NOREG;
    if (kind == FLAGS_CMP && cond < IR_TST) {
        if (same(c, c->as.flags.a, a) && same(c, c->as.flags.b, b))
            return cc_of[cond];
        if (same(c, c->as.flags.a, b) && same(c, c->as.flags.b, a))
            return cc_of[cond_swapped[cond]];
    }
    if (kind > FLAGS_LOGIC || !c->as.flags.r || c->as.flags.r != a)
        return NOREG;
    if (a == b && cond >= IR_TST)
        return cc_of[cond];
    if (!zero || cond >= IR_TST)
        return NOREG;
    switch (cond) {
    case IR_EQ:
    case IR_NE: return cc_of[cond];
    case IR_LTS: return CC_S;
    case IR_GES: return CC_NS;
    default: return kind == FLAGS_LOGIC ? cc_of[cond] : (unsigned)NOREG;
    }
}

static void emit_test(struct cg *c, unsigned size, unsigned a, unsigned b)
{
    if (is_imm(c, b)) {
        int64_t imm = insn_of(c, b)->imm;
        struct rm x = use_rm_any(c, a);

        if (size && imm >= 0 && imm <= (rm_is_reg(x) ? 127 : 255))
            size = 0; /* the low byte tells */
        else if (size == 3 && imm >= 0)
            size = 2;
        else if (size == 1 && rm_is_reg(x) && imm >= 0)
            size = 2; /* no 16-bit immediate: it stalls decoders */
        as_test_imm(&c->as, size, x, imm);
        return;
    }
    a = use_reg(c, a);
    as_test(&c->as, size, a, rm_reg(use_reg(c, b)));
}

unsigned emit_compare(struct cg *c, unsigned cond, unsigned a, unsigned b)
{
    unsigned cc, type = insn_of(c, a)->type, size = type_size(type), t;
    struct rm x;

    if (c->fcom_user == c->i)
        return c->fcom_cc;
    if (is_const(c, a) && !is_const(c, b)) {
        t = a, a = b, b = t;
        cond = cond_swapped[cond];
    }
    cc = from_flags(c, cond, a, b);
    if (cc != NOREG)
        return cc;
    if (cond >= IR_TST) {
        emit_test(c, size, a, b);
        c->as.flags.kind = FLAGS_LIVE;
        return cc_of[cond];
    }
    if (is_imm(c, b)) {
        x = is_const(c, a) ? rm_reg(use_reg(c, a)) : use_rm_any(c, a);
        if (!insn_of(c, b)->imm && rm_is_reg(x))
            as_test(&c->as, size, x.reg, x);
        else
            as_alu_imm(&c->as, ALU_CMP, size, x, insn_of(c, b)->imm);
    } else {
        t = use_reg(c, a);
        x = use_rm_any(c, b);
        as_alu(&c->as, ALU_CMP, size, t, x);
    }
    c->as.flags.kind = FLAGS_CMP;
    c->as.flags.type = (uint8_t)type;
    c->as.flags.a = (uint16_t)a;
    c->as.flags.b = (uint16_t)b;
    c->as.flags.r = 0;
    return cc_of[cond];
}

static void emit_setcond(struct cg *c, const struct ir_insn *n)
{
    unsigned cc = emit_compare(c, n->sub, n->arg[0], n->arg[1]), d;

    args_done(c);
    d = def_reg(c, 0, 1);
    as_setcc(&c->as, cc, d);
    as_movzx(&c->as, 0, d, rm_reg(d));
}

static void emit_select(struct cg *c, const struct ir_insn *n)
{
    unsigned yes = n->arg[2], no = n->arg[3], cc, d, swapped = 0;
    struct rm y;

    if (op_ties(c, yes) && !op_ties(c, no)) {
        yes = n->arg[3], no = n->arg[2];
        swapped = 1;
    }
    y = is_const(c, yes) ? rm_reg(use_reg(c, yes)) : use_rm(c, yes);
    cache(c, no);
    cc = emit_compare(c, n->sub, n->arg[0], n->arg[1]) ^ swapped;
    d = def_tied(c, no, op_avoid(c, no, y), op_bits(n->type));
    as_cmov(&c->as, cc, wide(n->type), d, y);
}

/* ---- add and friends ---- */

/* AND with constants that are a zero extension or fit a 32-bit and. */
static bool and_const(struct cg *c, const struct ir_insn *n, unsigned a, int64_t imm)
{
    unsigned size = imm == 0xff ? 0 : imm == 0xffff ? 1 : imm == UINT32_MAX ? 2 : 3, d, r;

    if (n->type < IR_I32)
        return false;
    if (size < 3) {
        struct rm x = use_rm(c, a);

        args_done(c);
        d = def_reg(c, 0, 8u << size);
        as_movzx(&c->as, size, d, x);
        return true;
    }
    if (imm < 0 || imm > UINT32_MAX)
        return false;
    cache(c, a);
    d = def_tied(c, a, 0, 64 - (unsigned)__builtin_clzll((uint64_t)imm | 1));
    as_alu_imm(&c->as, ALU_AND, 2, rm_reg(d), (int32_t)imm);
    r = c->i;
    if (n->type == IR_I32 || !(imm >> 31)) /* SF is then that of 64 bits */
        set_flags(c, FLAGS_LOGIC, n->type, r, r);
    return true;
}

static void alu_const(struct cg *c, const struct ir_insn *n, unsigned op, unsigned a, unsigned b)
{
    int64_t imm = insn_of(c, b)->imm;
    unsigned d, r;

    cache(c, a);
    if (op == ALU_ADD && !op_ties(c, a)) {
        r = use_reg(c, a);
        args_done(c);
        d = def_reg(c, 0, op_bits(n->type));
        as_lea(&c->as, wide(n->type), d, rm_mem(r, (int32_t)imm));
        return;
    }
    d = def_tied(c, a, 0, op_bits(n->type));
    if ((op == ALU_ADD || op == ALU_SUB) && imm == 128) /* -128 is a byte */
        as_alu_imm(&c->as, op == ALU_ADD ? ALU_SUB : ALU_ADD, op_size(n->type), rm_reg(d), -128);
    else
        as_alu_imm(&c->as, op, op_size(n->type), rm_reg(d), imm);
    if (op == ALU_SUB && imm != 128)
        set_flags(c, FLAGS_CMP, n->type, a, b);
    else
        set_flags(c, op == ALU_ADD || op == ALU_SUB ? FLAGS_RES : FLAGS_LOGIC, n->type, a, b);
}

/* d = a - d, where d is the register of b that the result is to have */
static void sub_reversed(struct cg *c, const struct ir_insn *n, unsigned a, unsigned b)
{
    struct rm x = is_const(c, a) ? rm_reg(use_reg(c, a)) : use_rm(c, a);
    unsigned d = def_tied(c, b, op_avoid(c, b, x), op_bits(n->type));

    as_unary(&c->as, UN_NEG, wide(n->type), rm_reg(d));
    as_alu(&c->as, ALU_ADD, op_size(n->type), d, x);
}

static void emit_alu(struct cg *c, const struct ir_insn *n)
{
    unsigned op = host_op_of(n->op)->code[0], a = n->arg[0], b = n->arg[1], d, zb;
    bool comm = op != ALU_SUB;
    struct rm x;

    if (comm && (is_const(c, a) || (op_ties(c, b) && !op_ties(c, a) && !is_const(c, b)))) {
        a = n->arg[1];
        b = n->arg[0];
    }
    if (is_const(c, b) && !is_const(c, a) && op == ALU_AND &&
        and_const(c, n, a, insn_of(c, b)->imm))
        return;
    if (is_imm(c, b) && !is_const(c, a)) {
        alu_const(c, n, op, a, b);
        return;
    }
    if (op == ALU_SUB && a != b && op_ties(c, b) && !op_ties(c, a)) {
        sub_reversed(c, n, a, b);
        return;
    }
    cache(c, a);
    x = is_const(c, b) ? rm_reg(use_reg(c, b)) : use_rm(c, b);
    if (op == ALU_ADD && rm_is_reg(x) && in_reg(c, a) && !op_ties(c, a)) {
        unsigned r = use_reg(c, a);

        args_done(c);
        d = def_reg(c, 0, op_bits(n->type));
        as_lea(&c->as, wide(n->type), d, rm_sib(r, x.reg, 0, 0));
        return;
    }
    zb = op == ALU_AND ? MIN(MIN(zbits(c, a), zbits(c, b)), op_bits(n->type)) : op_bits(n->type);
    d = def_tied(c, a, op_avoid(c, a, x), zb);
    as_alu(&c->as, op, op_size(n->type), d, x);
    set_flags(c,
              op == ALU_SUB   ? FLAGS_CMP
              : op == ALU_ADD ? FLAGS_RES
                              : FLAGS_LOGIC,
              n->type, a, b);
}

static void emit_andc(struct cg *c, const struct ir_insn *n)
{
    unsigned a = n->arg[0], b = n->arg[1], t, d;
    struct rm x;

    if (c->has & HAS_BMI1) {
        t = use_reg(c, b);
        x = is_const(c, a) ? rm_reg(use_reg(c, a)) : use_rm(c, a);
        args_done(c);
        d = def_reg(c, 0, op_bits(n->type));
        as_flags_lost(&c->as);
        as_vex(&c->as, OP_38 | 0xf2 | (wide(n->type) ? OP_W : 0), d, t, x);
        return;
    }
    t = scratch(c, false);
    load_to(c, t, b);
    as_unary(&c->as, UN_NOT, true, rm_reg(t));
    d = def_tied(c, a, 1u << t, op_bits(n->type));
    as_alu(&c->as, ALU_AND, op_size(n->type), d, rm_reg(t));
}

static void emit_unary(struct cg *c, const struct ir_insn *n)
{
    unsigned d;

    cache(c, n->arg[0]);
    d = def_tied(c, n->arg[0], 0, op_bits(n->type));
    as_unary(&c->as, host_op_of(n->op)->code[0], wide(n->type), rm_reg(d));
}

static void emit_bswap(struct cg *c, const struct ir_insn *n)
{
    unsigned d;

    cache(c, n->arg[0]);
    d = def_tied(c, n->arg[0], 0, n->type == IR_I32 ? 32 : 64);
    if (n->type == IR_I16)
        as_shift_imm(&c->as, SH_ROR, 1, d, 8);
    else
        as_bswap(&c->as, wide(n->type), d);
}

static void emit_lea(struct cg *c, const struct ir_insn *n)
{
    unsigned a = use_reg(c, n->arg[0]), b = use_reg(c, n->arg[1]), d;

    args_done(c);
    d = def_reg(c, 0, op_bits(n->type));
    as_lea(&c->as, wide(n->type), d, rm_sib(a, b, n->sub, (int32_t)n->imm));
}

/* ---- multiply, divide, count ---- */

static void emit_mul(struct cg *c, const struct ir_insn *n)
{
    unsigned a = n->arg[0], b = n->arg[1], d;
    struct rm x;

    if (is_const(c, a) || (op_ties(c, b) && !is_const(c, b))) {
        a = n->arg[1];
        b = n->arg[0];
    }
    if (is_imm(c, b) && !is_const(c, a)) {
        x = use_rm(c, a);
        args_done(c);
        d = def_reg(c, 0, op_bits(n->type));
        as_imul_imm(&c->as, wide(n->type), d, x, (int32_t)insn_of(c, b)->imm);
        return;
    }
    cache(c, a);
    x = is_const(c, b) ? rm_reg(use_reg(c, b)) : use_rm(c, b);
    d = def_tied(c, a, op_avoid(c, a, x), op_bits(n->type));
    as_imul(&c->as, wide(n->type), d, x);
}

/* rdx:rax by a one-operand instruction. code: operation, register of the result */
static void emit_muldiv(struct cg *c, const struct ir_insn *n)
{
    const uint32_t *code = host_op_of(n->op)->code;
    unsigned b = n->arg[1];
    struct rm x;

    take_with(c, RAX, n->arg[0]);
    take(c, RDX);
    x = is_const(c, b) ? rm_reg(use_reg(c, b)) : use_rm(c, b);
    if (code[0] == UN_DIV) {
        as_alu(&c->as, ALU_XOR, 2, RDX, rm_reg(RDX));
    } else if (code[0] == UN_IDIV) {
        if (wide(n->type))
            as_u8(&c->as, 0x48);
        as_u8(&c->as, 0x99); /* cdq, cqo */
    }
    as_unary(&c->as, code[0], wide(n->type), x);
    args_done(c);
    def_in(c, code[1], op_bits(n->type));
}

static void emit_count(struct cg *c, const struct ir_insn *n)
{
    const struct host_op *op = host_op_of(n->op);
    unsigned w = wide(n->type) ? OP_W : 0, bits = op_bits(n->type), d, t;
    struct rm x = is_const(c, n->arg[0]) ? rm_reg(use_reg(c, n->arg[0])) : use_rm(c, n->arg[0]);

    if ((c->has & op->needs) == op->needs) {
        args_done(c);
        d = def_reg(c, 0, 7);
        as_op_flags(&c->as, op->code[0] | w, d, x);
        return;
    }
    /* bsr, bsf: undefined for 0, but they set ZF */
    t = scratch(c, false);
    as_mov_imm(&c->as, t, n->op == IR_CLZ ? 2 * bits - 1 : bits);
    d = def_reg(c, rm_is_reg(x) ? 1u << x.reg : 0, 7);
    as_op_flags(&c->as, op->code[1] | w, d, x);
    as_cmov(&c->as, CC_E, wide(n->type), d, rm_reg(t));
    if (n->op == IR_CLZ)
        as_alu_imm(&c->as, ALU_XOR, 2, rm_reg(d), bits - 1);
}

const struct host_op ops_int[IR_OP_COUNT] = {
    [IR_ADD] = { emit_alu, "r,0,mre", .code = { ALU_ADD } },
    [IR_SUB] = { emit_alu, "r,0,mre", .code = { ALU_SUB } },
    [IR_AND] = { emit_alu, "r,0,mre", .code = { ALU_AND } },
    [IR_OR] = { emit_alu, "r,0,mre", .code = { ALU_OR } },
    [IR_XOR] = { emit_alu, "r,0,mre", .code = { ALU_XOR } },
    [IR_ANDC] = { emit_andc, "r,mr,r", HAS_BMI1 },
    [IR_NOT] = { emit_unary, "r,0", .code = { UN_NOT } },
    [IR_NEG] = { emit_unary, "r,0", .code = { UN_NEG } },
    [IR_BSWAP] = { emit_bswap, "r,0" },
    [IR_LEA] = { emit_lea, "r,r,r" },
    [IR_MUL] = { emit_mul, "r,0,mre" },
    [IR_MULUH] = { emit_muldiv, "d,a,mr", .code = { UN_MUL, RDX } },
    [IR_MULSH] = { emit_muldiv, "d,a,mr", .code = { UN_IMUL, RDX } },
    [IR_UDIV] = { emit_muldiv, "a,a,mr", .code = { UN_DIV, RAX } },
    [IR_SDIV] = { emit_muldiv, "a,a,mr", .code = { UN_IDIV, RAX } },
    [IR_UREM] = { emit_muldiv, "d,a,mr", .code = { UN_DIV, RDX } },
    [IR_SREM] = { emit_muldiv, "d,a,mr", .code = { UN_IDIV, RDX } },
    [IR_CLZ] = { emit_count, "r,mr", HAS_LZCNT, { OP_F3 | OP_0F | 0xbd, OP_0F | 0xbd } },
    [IR_CTZ] = { emit_count, "r,mr", HAS_BMI1, { OP_F3 | OP_0F | 0xbc, OP_0F | 0xbc } },
    [IR_POPCNT] = { emit_count, "r,mr", HAS_BASE, { OP_F3 | OP_0F | 0xb8 } },
    [IR_SETCOND] = { emit_setcond, "r,mr,re" },
    [IR_SELECT] = { emit_select, "r,mr,re,mr,0" },
    [IR_SHL] = { emit_shift, "r,0,re", .code = { SH_SHL, OP_66 } },
    [IR_SHR] = { emit_shift, "r,0,re", .code = { SH_SHR, OP_F2 } },
    [IR_SAR] = { emit_shift, "r,0,re", .code = { SH_SAR, OP_F3 } },
    [IR_ROL] = { emit_rotate, "r,0,re", .code = { SH_ROL } },
    [IR_ROR] = { emit_rotate, "r,0,re", .code = { SH_ROR } },
    [IR_ZEXT] = { emit_extend, "r,mr" },
    [IR_SEXT] = { emit_extend, "r,mr" },
    [IR_TRUNC] = { emit_trunc, "r,mr" },
    [IR_COPY] = { emit_trunc, "*,*" },
    [IR_EXTRACT] = { emit_extract, "r,mr" },
    [IR_DEPOSIT] = { emit_deposit, "r,0,re" },
};
