/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Vector ops. A row's code holds the opcode word for each lane type (VEC_ROW's order: i8 i16 i32
 * i64 f32 f64, then the scalar f32 and f64); most ops are one SSE instruction, in VEX form with a
 * free destination when the processor has AVX.
 */
#include "host/x86_64/ops.h"

#define P   OP_0F
#define P66 (OP_0F | OP_66)
#define PF3 (OP_0F | OP_F3)
#define PF2 (OP_0F | OP_F2)
#define P38 (OP_38 | OP_66)
#define P3A (OP_3A | OP_66)

enum { MOVAPS = OP_0F | 0x28 };

uint32_t vec_code(const struct ir_insn *n)
{
    unsigned lane = n->sub & ~IR_SCALAR & 0xff;
    const uint32_t *code = host_op_of(n->op)->code;

    if (n->sub & IR_SCALAR)
        return code[lane == IR_F64 ? 7 : 6];
    return lane <= IR_F64 ? code[lane] : code[0];
}

/* d = a op b, where op has SSE form "d op= x". Nothing but mov comes before it. */
unsigned vec_op(struct cg *c, uint32_t code, unsigned a, struct rm x)
{
    unsigned d, r;

    if (c->has & HAS_AVX && !op_ties(c, a)) {
        r = use_reg(c, a);
        args_done(c);
        d = def_reg(c, 0, 64);
        as_vex(&c->as, code, d, r, x);
        return d;
    }
    if (c->val[a].loc != LOC_REG && live_after(c, a))
        use_reg(c, a);
    d = def_tied(c, a, op_avoid(c, a, x), 64);
    as_op(&c->as, code, d, x);
    return d;
}

void vec_emit_2(struct cg *c, const struct ir_insn *n)
{
    unsigned a = n->arg[0], b = n->arg[1];

    if (ir_op_info[n->op].flags & IR_FLAG_COMM && op_ties(c, b) && !op_ties(c, a)) {
        a = n->arg[1];
        b = n->arg[0];
    }
    vec_op(c, vec_code(n), a, use_rm(c, b));
}

void vec_emit_2i(struct cg *c, const struct ir_insn *n)
{
    vec_op(c, vec_code(n), n->arg[0], use_rm(c, n->arg[1]));
    as_imm8(&c->as, (unsigned)n->imm);
}

/* b must be in a register: the memory form reads or means something else */
static void emit_2reg(struct cg *c, const struct ir_insn *n)
{
    vec_op(c, vec_code(n), n->arg[0], rm_reg(use_reg(c, n->arg[1])));
}

static void emit_insertps(struct cg *c, const struct ir_insn *n)
{
    emit_2reg(c, n);
    as_imm8(&c->as, (unsigned)n->imm);
}

/* Packed: one operand, which is b. Scalar: into a. */
static bool unary_packed(struct cg *c, const struct ir_insn *n, uint32_t code)
{
    struct rm x = use_rm(c, n->arg[1]);

    if (n->sub & IR_SCALAR) {
        vec_op(c, code, n->arg[0], x);
        return false;
    }
    args_done(c);
    as_op(&c->as, code, def_reg(c, 0, 64), x);
    return true;
}

static void emit_2u(struct cg *c, const struct ir_insn *n)
{
    unary_packed(c, n, vec_code(n));
}

static void emit_round(struct cg *c, const struct ir_insn *n)
{
    unary_packed(c, n, vec_code(n));
    as_imm8(&c->as, (unsigned)n->imm & 15);
}

void vec_emit_1(struct cg *c, const struct ir_insn *n)
{
    struct rm x = use_rm(c, n->arg[0]);

    args_done(c);
    as_op(&c->as, vec_code(n), def_reg(c, 0, 64), x);
}

static void emit_1i(struct cg *c, const struct ir_insn *n)
{
    vec_emit_1(c, n);
    as_imm8(&c->as, (unsigned)n->imm);
}

/* Shifts by a constant. The opcode word carries the /digit in bits 16-18. */
static void emit_shift_imm(struct cg *c, const struct ir_insn *n)
{
    uint32_t code = vec_code(n), digit = code >> 16;
    unsigned a = n->arg[0], d, r;

    if (!code) {
        simd_shift_imm(c, n);
        return;
    }
    code &= 0xffff;
    if (c->has & HAS_AVX && !op_ties(c, a)) {
        r = use_reg(c, a);
        args_done(c);
        d = def_reg(c, 0, 64);
        as_vex(&c->as, code, digit, d, rm_reg(r));
    } else {
        d = def_tied(c, a, 0, 64);
        as_op(&c->as, code, digit, rm_reg(d));
    }
    as_u8(&c->as, n->imm < 0 || n->imm > 255 ? 255 : (unsigned)n->imm);
}

/* blendv: the mask is xmm0 in the SSE form. code[lane] SSE, code[lane + 1] unused; VEX forms below
 */
static void emit_blendv(struct cg *c, const struct ir_insn *n)
{
    unsigned lane = n->sub & ~IR_SCALAR & 0xff, d, m, r;
    struct rm x;

    if (c->has & HAS_AVX) {
        r = use_reg(c, n->arg[0]);
        x = use_rm(c, n->arg[1]);
        m = use_reg(c, n->arg[2]);
        args_done(c);
        d = def_reg(c, 0, 64);
        as_vex(&c->as, P3A | (lane == IR_I8 ? 0x4c : lane == IR_F32 ? 0x4a : 0x4b), d, r, x);
        as_imm8(&c->as, (m & 15) << 4);
        return;
    }
    take_with(c, XMM0, n->arg[2]);
    x = use_rm(c, n->arg[1]);
    d = def_tied(c, n->arg[0], op_avoid(c, n->arg[0], x) | 1u << XMM0, 64);
    as_op(&c->as, vec_code(n), d, x);
}

/* pmovsx, pmovzx: base opcode plus a number for (source, destination) */
static void emit_widen(struct cg *c, const struct ir_insn *n)
{
    static const uint8_t step[3][4] = { { 0, 0, 1, 2 }, { 0, 0, 3, 4 }, { 0, 0, 0, 5 } };
    unsigned from = n->sub & 3;
    struct rm x = use_rm(c, n->arg[0]);
    uint32_t code = host_op_of(n->op)->code[0] + step[from][n->imm & 3];

    args_done(c);
    as_op(&c->as, code, def_reg(c, 0, 64), x);
}

/* ---- between integer and vector ---- */

static unsigned w_of(unsigned type)
{
    return wide(type) ? OP_W : 0;
}

static void emit_vconst(struct cg *c, const struct ir_insn *n)
{
    (void)n;
    def_const(c);
}

static void emit_vfromi(struct cg *c, const struct ir_insn *n)
{
    unsigned type = insn_of(c, n->arg[0])->type;
    struct rm x = is_const(c, n->arg[0]) ? rm_reg(use_reg(c, n->arg[0])) : use_rm(c, n->arg[0]);

    if (type < IR_I32) {
        unsigned t = scratch(c, false);

        as_movzx(&c->as, type, t, x);
        x = rm_reg(t);
    }
    as_op(&c->as, P66 | 0x6e | w_of(type), def_reg(c, 0, 64), x);
}

static void emit_vtoi(struct cg *c, const struct ir_insn *n)
{
    struct rm x = use_rm(c, n->arg[0]);
    unsigned d = def_reg(c, 0, wide(n->type) ? 64 : 32);

    if (rm_is_reg(x))
        as_op(&c->as, P66 | 0x7e | w_of(n->type), x.reg, rm_reg(d));
    else
        as_load(&c->as, wide(n->type), d, x);
}

static void emit_vinsert(struct cg *c, const struct ir_insn *n)
{
    static const uint32_t code[6] = { P3A | 0x20,        P66 | 0xc4, P3A | 0x22,
                                      P3A | 0x22 | OP_W, P3A | 0x22, P3A | 0x22 | OP_W };
    unsigned lane = n->sub & 7, b = n->arg[1];
    struct rm x =
        is_vec_type(insn_of(c, b)->type) ? rm_reg(scratch(c, false)) : rm_reg(use_reg(c, b));

    if (is_vec_type(insn_of(c, b)->type))
        as_op(&c->as, P66 | 0x7e | OP_W, use_reg(c, b), x);
    vec_op(c, code[lane], n->arg[0], x);
    as_imm8(&c->as, (unsigned)n->imm);
}

static void emit_vextract(struct cg *c, const struct ir_insn *n)
{
    unsigned lane = n->sub & 7, v = n->arg[0], d, bits = ir_type_bits[lane];
    struct rm x = use_rm(c, v);

    if (!rm_is_reg(x)) { /* from its memory */
        x.disp += (int32_t)(n->imm * bits / 8);
        d = def_reg(c, 0, bits);
        as_movzx(&c->as, bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3, d, x);
        return;
    }
    d = def_reg(c, 0, bits);
    if (lane == IR_I16) {
        as_op(&c->as, P66 | 0xc5, d, x);
    } else if (!n->imm && bits >= 32) {
        as_op(&c->as, P66 | 0x7e | (bits == 64 ? OP_W : 0), x.reg, rm_reg(d));
        return;
    } else {
        as_op(&c->as, P3A | (bits == 8 ? 0x14 : 0x16) | (bits == 64 ? OP_W : 0), x.reg, rm_reg(d));
    }
    as_imm8(&c->as, (unsigned)n->imm);
}

static void emit_vzextlo(struct cg *c, const struct ir_insn *n)
{
    struct rm x = use_rm(c, n->arg[0]);
    unsigned d;

    args_done(c);
    d = def_reg(c, 0, 64);
    if ((n->sub & 7) == IR_F64) {
        as_op(&c->as, PF3 | 0x7e, d, x); /* movq */
    } else if (rm_is_reg(x)) {
        as_op(&c->as, P3A | 0x21, d, x); /* insertps: lane 0 to 0, the rest zero */
        as_u8(&c->as, 0x0e);
    } else {
        as_op(&c->as, P66 | 0x6e, d, x);
    }
}

static void emit_movmsk(struct cg *c, const struct ir_insn *n)
{
    unsigned r = use_reg(c, n->arg[0]);

    as_op(&c->as, vec_code(n), def_reg(c, 0, 16), rm_reg(r));
}

static void emit_vtest(struct cg *c, const struct ir_insn *n)
{
    unsigned a = use_reg(c, n->arg[0]), d;
    struct rm x = use_rm(c, n->arg[1]);

    as_op_flags(&c->as, P38 | 0x17, a, x);
    c->as.flags.kind = FLAGS_LIVE;
    d = def_reg(c, 0, 1);
    as_setcc(&c->as, n->op == IR_VTESTZ ? CC_E : CC_B, d);
    as_movzx(&c->as, 0, d, rm_reg(d));
}

/* ---- floating point that is not lane by lane ---- */

/* What tests VFCOM's answer v, when nothing else does: an insn that compares v, v & k or (v & k) +
 * j with a constant. */
struct fcom_test {
    unsigned user;
    unsigned cc;
    bool swapped;
};

static bool fcom_cc(unsigned cond, int64_t mask, int64_t add, int64_t with, struct fcom_test *ret)
{
    static const struct {
        uint8_t cond, mask;
        int8_t add;
        uint8_t with, cc;
        bool swapped;
    } rows[] = {
        { IR_TST, 0, 0, 1, CC_B, false },        { IR_TST, 0, 0, 0x41, CC_BE, false },
        { IR_TST, 0, 0, 4, CC_P, false },        { IR_TST, 0, 0, 0x40, CC_E, false },
        { IR_EQ, 5, 0, 1, CC_A, true },          { IR_EQ, 1, 0, 0, CC_AE, false },
        { IR_EQ, 0x41, 0, 0, CC_A, false },      { IR_EQ, 0x40, 0, 0, CC_NE, false },
        { IR_LTU, 0x45, -1, 0x40, CC_AE, true },
    };
    bool inverse = cond == IR_TSTN || cond == IR_NE || cond == IR_GEU;

    cond = cond == IR_TSTN ? IR_TST : cond == IR_NE ? IR_EQ : cond == IR_GEU ? IR_LTU : cond;
    for (unsigned k = 0; k < ARRAY_SIZE(rows); k++)
        if (rows[k].cond == cond && rows[k].mask == mask && rows[k].add == add &&
            rows[k].with == with) {
            ret->cc = rows[k].cc ^ inverse;
            ret->swapped = rows[k].swapped;
            return true;
        }
    return false;
}

static bool fcom_test(struct cg *c, unsigned v, struct fcom_test *ret)
{
    int64_t mask = 0, add = 0;
    unsigned dead[2], count = 0;

    for (unsigned i = v + 1; i < c->ir->count && IR_USES(insn_of(c, v)->aux) == 1; i++) {
        const struct ir_insn *n = insn_of(c, i);
        bool with_const = n->nargs >= 2 && n->arg[0] == v && is_const(c, n->arg[1]);
        int64_t k = with_const ? insn_of(c, n->arg[1])->imm : 0;

        if (n->op == IR_NOP || n->op == IR_INSN || n->op == IR_CONST)
            continue;
        if (!with_const)
            return false;
        if (n->op == IR_BRCOND || n->op == IR_SETCOND || n->op == IR_SELECT) {
            ret->user = i;
            if (!fcom_cc(n->sub, mask, add, k, ret))
                return false;
            for (unsigned j = 0; j < count; j++)
                c->val[dead[j]].last = 0; /* not to be computed */
            return true;
        }
        if (n->op == IR_AND && !count)
            mask = k;
        else if (n->op == IR_ADD && count == 1)
            add = k;
        else
            return false;
        dead[count++] = v = i;
    }
    return false;
}

static void emit_fcom(struct cg *c, const struct ir_insn *n)
{
    uint32_t code = ((n->sub & 7) == IR_F64 ? P66 : P) | (n->imm ? 0x2f : 0x2e);
    struct fcom_test test = { 0 };
    bool fused = fcom_test(c, c->i, &test);
    unsigned a = use_reg(c, n->arg[test.swapped]);
    struct rm x = use_rm(c, n->arg[!test.swapped]);

    if (fused) {
        as_op_flags(&c->as, code, a, x);
        c->as.flags.kind = FLAGS_LIVE;
        c->fcom_user = test.user;
        c->fcom_cc = test.cc;
        return;
    }
    take(c, RAX);
    as_op_flags(&c->as, code, a, x);
    as_u8(&c->as, 0x9f);                         /* lahf: SF ZF 0 AF 0 PF 1 CF */
    as_op(&c->as, OP_0F | 0xb6, RAX, rm_reg(4)); /* movzx eax, ah */
    as_alu_imm(&c->as, ALU_AND, 2, rm_reg(RAX), 0x45);
    def_in(c, RAX, 7);
}

static void emit_cvtif(struct cg *c, const struct ir_insn *n)
{
    unsigned b = n->arg[1], type = insn_of(c, b)->type;
    struct rm x = is_const(c, b) ? rm_reg(use_reg(c, b)) : use_rm(c, b);

    vec_op(c, ((n->sub & 7) == IR_F64 ? PF2 : PF3) | 0x2a | w_of(type), n->arg[0], x);
}

static void emit_cvtfi(struct cg *c, const struct ir_insn *n)
{
    struct rm x = use_rm(c, n->arg[0]);
    uint32_t code = ((n->sub & 7) == IR_F64 ? PF2 : PF3) | (n->imm ? 0x2c : 0x2d);

    as_op(&c->as, code | w_of(n->type), def_reg(c, 0, wide(n->type) ? 64 : 32), x);
}

static void emit_cvtpfi(struct cg *c, const struct ir_insn *n)
{
    bool f64 = (n->sub & 7) == IR_F64;
    struct rm x = use_rm(c, n->arg[0]);
    uint32_t code = f64 ? (n->imm ? P66 | 0xe6 : PF2 | 0xe6) : (n->imm ? PF3 | 0x5b : P66 | 0x5b);

    args_done(c);
    as_op(&c->as, code, def_reg(c, 0, 64), x);
}

#define INT(b, w, d, q)                                                                            \
    {                                                                                              \
        vec_emit_2, "x,0,mx", HAS_BASE,                                                            \
        {                                                                                          \
            b, w, d, q                                                                             \
        }                                                                                          \
    }
#define IMM(d, w, q)                                                                               \
    {                                                                                              \
        0, (P66 | 0x71) | (d) << 16, (P66 | 0x72) | (w) << 16, (P66 | 0x73) | (q) << 16            \
    }
#define FP(op)                                                                                     \
    {                                                                                              \
        0, 0, 0, 0, P | op, P66 | op, PF3 | op, PF2 | op                                           \
    }
#define SAME(x)                                                                                    \
    {                                                                                              \
        x, x, x, x, x, x, x, x                                                                     \
    }

const struct host_op ops_vec[IR_OP_COUNT] = {
    [IR_VCONST] = { emit_vconst, "x" },
    [IR_VFROMI] = { emit_vfromi, "x,mr" },
    [IR_VTOI] = { emit_vtoi, "r,mx" },
    [IR_VINSERT] = { emit_vinsert, "x,0,r" },
    [IR_VEXTRACT] = { emit_vextract, "r,mx" },
    [IR_VMERGELO] = { emit_2reg,
                      "x,0,x",
                      HAS_BASE,
                      { 0, 0, 0, 0, PF3 | 0x10, PF2 | 0x10, PF3 | 0x10, PF2 | 0x10 } },
    [IR_VZEXTLO] = { emit_vzextlo, "x,mx" },
    [IR_VMOVMSK] = { emit_movmsk, "r,x", HAS_BASE, { P66 | 0xd7, 0, 0, 0, P | 0x50, P66 | 0x50 } },
    [IR_VTESTZ] = { emit_vtest, "r,x,mx" },
    [IR_VTESTC] = { emit_vtest, "r,x,mx" },
    [IR_VAND] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P66 | 0xdb) },
    [IR_VOR] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P66 | 0xeb) },
    [IR_VXOR] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P66 | 0xef) },
    [IR_VANDN] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P66 | 0xdf) },
    [IR_VADD] = INT(P66 | 0xfc, P66 | 0xfd, P66 | 0xfe, P66 | 0xd4),
    [IR_VSUB] = INT(P66 | 0xf8, P66 | 0xf9, P66 | 0xfa, P66 | 0xfb),
    [IR_VADDSS] = INT(P66 | 0xec, P66 | 0xed, 0, 0),
    [IR_VADDUS] = INT(P66 | 0xdc, P66 | 0xdd, 0, 0),
    [IR_VSUBSS] = INT(P66 | 0xe8, P66 | 0xe9, 0, 0),
    [IR_VSUBUS] = INT(P66 | 0xd8, P66 | 0xd9, 0, 0),
    [IR_VMUL] = { simd_mul, "x,0,mx", HAS_BASE, { 0, P66 | 0xd5, P38 | 0x40 } },
    [IR_VMULHS] = INT(0, P66 | 0xe5, 0, 0),
    [IR_VMULHU] = INT(0, P66 | 0xe4, 0, 0),
    [IR_VMULHRS] = INT(0, P38 | 0x0b, 0, 0),
    [IR_VMULWU] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P66 | 0xf4) },
    [IR_VMULWS] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P38 | 0x28) },
    [IR_VMADD] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P66 | 0xf5) },
    [IR_VMADDUBS] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P38 | 0x04) },
    [IR_VSAD] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P66 | 0xf6) },
    [IR_VAVGU] = INT(P66 | 0xe0, P66 | 0xe3, 0, 0),
    [IR_VMINS] = INT(P38 | 0x38, P66 | 0xea, P38 | 0x39, 0),
    [IR_VMAXS] = INT(P38 | 0x3c, P66 | 0xee, P38 | 0x3d, 0),
    [IR_VMINU] = INT(P66 | 0xda, P38 | 0x3a, P38 | 0x3b, 0),
    [IR_VMAXU] = INT(P66 | 0xde, P38 | 0x3e, P38 | 0x3f, 0),
    [IR_VCMPEQ] = INT(P66 | 0x74, P66 | 0x75, P66 | 0x76, P38 | 0x29),
    [IR_VCMPGT] = INT(P66 | 0x64, P66 | 0x65, P66 | 0x66, P38 | 0x37),
    [IR_VABS] = { vec_emit_1, "x,mx", HAS_BASE, { P38 | 0x1c, P38 | 0x1d, P38 | 0x1e } },
    [IR_VSIGN] = INT(P38 | 0x08, P38 | 0x09, P38 | 0x0a, 0),
    [IR_VSHLI] = { emit_shift_imm, "x,0", HAS_BASE, IMM(6, 6, 6) },
    [IR_VSHRI] = { emit_shift_imm, "x,0", HAS_BASE, IMM(2, 2, 2) },
    [IR_VSARI] = { emit_shift_imm,
                   "x,0",
                   HAS_BASE,
                   { 0, (P66 | 0x71) | 4 << 16, (P66 | 0x72) | 4 << 16 } },
    [IR_VBSHL] = { emit_shift_imm, "x,0", HAS_BASE, SAME((P66 | 0x73) | 7 << 16) },
    [IR_VBSHR] = { emit_shift_imm, "x,0", HAS_BASE, SAME((P66 | 0x73) | 3 << 16) },
    [IR_VSHLV] = INT(0, P66 | 0xf1, P66 | 0xf2, P66 | 0xf3),
    [IR_VSHRV] = INT(0, P66 | 0xd1, P66 | 0xd2, P66 | 0xd3),
    [IR_VSARV] = INT(0, P66 | 0xe1, P66 | 0xe2, 0),
    [IR_VALIGNR] = { vec_emit_2i, "x,0,mx", HAS_BASE, SAME(P3A | 0x0f) },
    [IR_VPACKSS] = INT(0, P66 | 0x63, P66 | 0x6b, 0),
    [IR_VPACKUS] = INT(0, P66 | 0x67, P38 | 0x2b, 0),
    [IR_VUNPCKL] = INT(P66 | 0x60, P66 | 0x61, P66 | 0x62, P66 | 0x6c),
    [IR_VUNPCKH] = INT(P66 | 0x68, P66 | 0x69, P66 | 0x6a, P66 | 0x6d),
    [IR_VHADD] = INT(0, P38 | 0x01, P38 | 0x02, 0),
    [IR_VHADDSS] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P38 | 0x03) },
    [IR_VHSUB] = INT(0, P38 | 0x05, P38 | 0x06, 0),
    [IR_VHSUBSS] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P38 | 0x07) },
    [IR_VSHUFB] = { vec_emit_2, "x,0,mx", HAS_BASE, SAME(P38 | 0x00) },
    [IR_VSHUF32] = { emit_1i, "x,mx", HAS_BASE, SAME(P66 | 0x70) },
    [IR_VSHUFLO] = { emit_1i, "x,mx", HAS_BASE, SAME(PF2 | 0x70) },
    [IR_VSHUFHI] = { emit_1i, "x,mx", HAS_BASE, SAME(PF3 | 0x70) },
    [IR_VSHUF2] = { vec_emit_2i, "x,0,mx", HAS_BASE, { 0, 0, 0, 0, P | 0xc6, P66 | 0xc6 } },
    [IR_VBLENDI] = { vec_emit_2i,
                     "x,0,mx",
                     HAS_BASE,
                     { 0, P3A | 0x0e, 0, 0, P3A | 0x0c, P3A | 0x0d } },
    [IR_VBLENDV] = { emit_blendv,
                     "x,0,mx,x",
                     HAS_BASE,
                     { P38 | 0x10, 0, 0, 0, P38 | 0x14, P38 | 0x15 } },
    [IR_VEXTENDS] = { emit_widen, "x,mx", HAS_BASE, { P38 | 0x20 } },
    [IR_VEXTENDU] = { emit_widen, "x,mx", HAS_BASE, { P38 | 0x30 } },
    [IR_VDUPLO] = { vec_emit_1, "x,mx", HAS_BASE, { 0, 0, 0, 0, PF3 | 0x12, PF2 | 0x12 } },
    [IR_VDUPHI] = { vec_emit_1, "x,mx", HAS_BASE, { 0, 0, 0, 0, PF3 | 0x16 } },
    [IR_VINSERTPS] = { emit_insertps, "x,0,x", HAS_BASE, SAME(P3A | 0x21) },
    [IR_VFADD] = { vec_emit_2, "x,0,mx", HAS_BASE, FP(0x58) },
    [IR_VFSUB] = { vec_emit_2, "x,0,mx", HAS_BASE, FP(0x5c) },
    [IR_VFMUL] = { vec_emit_2, "x,0,mx", HAS_BASE, FP(0x59) },
    [IR_VFDIV] = { vec_emit_2, "x,0,mx", HAS_BASE, FP(0x5e) },
    [IR_VFMIN] = { vec_emit_2, "x,0,mx", HAS_BASE, FP(0x5d) },
    [IR_VFMAX] = { vec_emit_2, "x,0,mx", HAS_BASE, FP(0x5f) },
    [IR_VFSQRT] = { emit_2u, "x,0,mx", HAS_BASE, FP(0x51) },
    [IR_VFRCP] = { emit_2u, "x,0,mx", HAS_BASE, FP(0x53) },
    [IR_VFRSQRT] = { emit_2u, "x,0,mx", HAS_BASE, FP(0x52) },
    [IR_VFCMP] = { vec_emit_2i, "x,0,mx", HAS_BASE, FP(0xc2) },
    [IR_VFADDSUB] = { vec_emit_2, "x,0,mx", HAS_BASE, { 0, 0, 0, 0, PF2 | 0xd0, P66 | 0xd0 } },
    [IR_VFHADD] = { vec_emit_2, "x,0,mx", HAS_BASE, { 0, 0, 0, 0, PF2 | 0x7c, P66 | 0x7c } },
    [IR_VFHSUB] = { vec_emit_2, "x,0,mx", HAS_BASE, { 0, 0, 0, 0, PF2 | 0x7d, P66 | 0x7d } },
    [IR_VFDP] = { vec_emit_2i, "x,0,mx", HAS_BASE, { 0, 0, 0, 0, P3A | 0x40, P3A | 0x41 } },
    [IR_VFROUND] = { emit_round,
                     "x,0,mx",
                     HAS_BASE,
                     { 0, 0, 0, 0, P3A | 0x08, P3A | 0x09, P3A | 0x0a, P3A | 0x0b } },
    [IR_VFCOM] = { emit_fcom, "a,mx,mx" },
    [IR_VFCVTFF] = { emit_2u, "x,0,mx", HAS_BASE, FP(0x5a) },
    [IR_VFCVTIF] = { emit_cvtif, "x,0,mr" },
    [IR_VFCVTFI] = { emit_cvtfi, "r,mx" },
    [IR_VFCVTPIF] = { vec_emit_1, "x,mx", HAS_BASE, { 0, 0, 0, 0, P | 0x5b, PF3 | 0xe6 } },
    [IR_VFCVTPFI] = { emit_cvtpfi, "x,mx" },
};
