/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Vector ops that x86 has no single instruction for: permutations, narrow lanes, shifts by lanes;
 * and cryptography. Sequences write their result last, or in a register that no operand is in.
 */
#include "host/x86_64/ops.h"

#define P66 (OP_0F | OP_66)
#define P38 (OP_38 | OP_66)
#define P3A (OP_3A | OP_66)

enum {
    PUNPCKLBW = P66 | 0x60,
    PCMPGTQ = P38 | 0x37,
    PUNPCKLQDQ = P66 | 0x6c,
    PUNPCKHQDQ = P66 | 0x6d,
    PSHUFD = P66 | 0x70,
    PSHUFLW = OP_0F | OP_F2 | 0x70,
    PSHUFHW = OP_0F | OP_F3 | 0x70,
    PSHUFB = P38 | 0x00,
    PAND = P66 | 0xdb,
    PANDN = P66 | 0xdf,
    POR = P66 | 0xeb,
    PXOR = P66 | 0xef,
    PADDB = P66 | 0xfc,
    PSUBB = P66 | 0xf8,
    PADDQ = P66 | 0xd4,
    PADDUSB = P66 | 0xdc,
    PMULLW = P66 | 0xd5,
    PMULUDQ = P66 | 0xf4,
    SHUFPS = OP_0F | 0xc6,
    BLENDPS = P3A | 0x0c,
    PBLENDW = P3A | 0x0e,
    MOVSLDUP = OP_0F | OP_F3 | 0x12,
    MOVSHDUP = OP_0F | OP_F3 | 0x16,
    SHIFT_W = P66 | 0x71, /* by an immediate: */
    SHIFT_D = P66 | 0x72,
    SHIFT_Q = P66 | 0x73,
    RIGHT = 2, /* their digits */
    ARITH = 4,
    LEFT = 6,
};

static unsigned lane_of(const struct ir_insn *n)
{
    return n->sub & ~IR_SCALAR & 0xff;
}

static void movaps(struct cg *c, unsigned d, unsigned s)
{
    if (d != s)
        as_op(&c->as, OP_0F | 0x28, d, rm_reg(s));
}

/* d = a op x; x is not d unless a is, too. */
static void op3(struct cg *c, uint32_t code, unsigned d, unsigned a, struct rm x)
{
    if (c->has & HAS_AVX && d != a) {
        as_vex(&c->as, code, d, a, x);
        return;
    }
    movaps(c, d, a);
    as_op(&c->as, code, d, x);
}

/* d = a shifted by an immediate */
static void shift(struct cg *c, uint32_t code, unsigned digit, unsigned d, unsigned a, unsigned by)
{
    if (c->has & HAS_AVX && d != a) {
        as_vex(&c->as, code, digit, d, rm_reg(a));
    } else {
        movaps(c, d, a);
        as_op(&c->as, code, digit, rm_reg(d));
    }
    as_u8(&c->as, by);
}

static struct rm bytes(struct cg *c, unsigned value)
{
    uint64_t v = value * UINT64_C(0x0101010101010101);

    return const_vec(c, v, v);
}

/* The result in a register that holds neither a nor b, nor other (NOREG: none). */
static unsigned fresh(struct cg *c, unsigned a, unsigned b)
{
    return def_reg(c, 1u << a | (b == NOREG ? 0 : 1u << b), 64);
}

/* pshufb by a constant: lane k of the result is byte from[k], or 0 */
static void permute(struct cg *c, const struct ir_insn *n, const uint8_t from[16])
{
    uint64_t m[2];

    memcpy(m, from, 16);
    vec_op(c, PSHUFB, n->arg[0], const_vec(c, m[0], m[1]));
}

static void one_imm(struct cg *c, const struct ir_insn *n, uint32_t code, unsigned imm)
{
    struct rm x = use_rm(c, n->arg[0]);

    args_done(c);
    as_op(&c->as, code, def_reg(c, 0, 64), x);
    as_imm8(&c->as, imm);
}

/* ---- one lane to all ---- */

static void emit_dup(struct cg *c, const struct ir_insn *n)
{
    unsigned lane = lane_of(n), k = (unsigned)n->imm, d;
    uint8_t from[16];
    struct rm x;

    if (lane == IR_I64 || lane == IR_F64) {
        one_imm(c, n, PSHUFD, k ? 0xee : 0x44);
    } else if (lane == IR_I32 || lane == IR_F32) {
        one_imm(c, n, PSHUFD, k * 0x55);
    } else if (!k && c->has & HAS_AVX2) {
        x = use_rm(c, n->arg[0]);
        args_done(c);
        d = def_reg(c, 0, 64);
        as_vex(&c->as, P38 | (lane == IR_I8 ? 0x78 : 0x79), d, 0, x); /* vpbroadcast */
    } else if (lane == IR_I16) {
        one_imm(c, n, k < 4 ? PSHUFLW : PSHUFHW, (k & 3) * 0x55);
        d = c->val[c->i].reg;
        as_op(&c->as, PSHUFD, d, rm_reg(d));
        as_u8(&c->as, k < 4 ? 0 : 0xaa);
    } else {
        memset(from, (int)k, sizeof(from));
        permute(c, n, from);
    }
}

static void emit_dupi(struct cg *c, const struct ir_insn *n)
{
    unsigned lane = lane_of(n), r = use_reg(c, n->arg[0]), d = def_reg(c, 0, 64);

    as_op(&c->as, P66 | 0x6e | (lane == IR_I64 ? OP_W : 0), d, rm_reg(r));
    if (lane <= IR_I16 && c->has & HAS_AVX2) {
        as_vex(&c->as, P38 | (lane == IR_I8 ? 0x78 : 0x79), d, 0, rm_reg(d));
        return;
    }
    if (lane == IR_I8)
        as_op(&c->as, PUNPCKLBW, d, rm_reg(d));
    if (lane <= IR_I16) {
        as_op(&c->as, PSHUFLW, d, rm_reg(d));
        as_u8(&c->as, 0);
    }
    as_op(&c->as, PSHUFD, d, rm_reg(d));
    as_u8(&c->as, lane == IR_I64 ? 0x44 : 0);
}

/* ---- permutations ---- */

static void emit_narrow(struct cg *c, const struct ir_insn *n)
{
    unsigned size = 1u << lane_of(n); /* bytes */
    uint8_t from[16];

    for (unsigned k = 0; k < 16; k++)
        from[k] = k < 8 ? (uint8_t)(k / (size / 2) * size + k % (size / 2)) : 0x80;
    permute(c, n, from);
}

static void emit_rev(struct cg *c, const struct ir_insn *n)
{
    unsigned size = 1u << lane_of(n), group = 1u << n->imm, count = group / size;
    uint8_t from[16];

    if (size >= 4 && count > 1) {
        one_imm(c, n, PSHUFD, size == 8 ? 0x4e : count == 2 ? 0xb1 : 0x1b);
        return;
    }
    for (unsigned k = 0; k < 16; k++)
        from[k] = (uint8_t)(k / group * group + (count - 1 - k % group / size) * size + k % size);
    permute(c, n, from);
}

static void emit_unzip(struct cg *c, const struct ir_insn *n)
{
    unsigned size = 1u << lane_of(n), odd = n->op == IR_VUZP2, a, b, t, d;
    uint64_t m[2];
    uint8_t from[16];

    if (size == 8) {
        vec_op(c, odd ? PUNPCKHQDQ : PUNPCKLQDQ, n->arg[0], use_rm(c, n->arg[1]));
        return;
    }
    if (size == 4) {
        vec_op(c, SHUFPS, n->arg[0], use_rm(c, n->arg[1]));
        as_imm8(&c->as, odd ? 0xdd : 0x88);
        return;
    }
    for (unsigned k = 0; k < 16; k++)
        from[k] = k < 8 ? (uint8_t)((2 * (k / size) + odd) * size + k % size) : 0x80;
    memcpy(m, from, 16);
    a = use_reg(c, n->arg[0]);
    b = use_reg(c, n->arg[1]);
    t = scratch(c, true);
    d = fresh(c, a, b);
    op3(c, PSHUFB, t, b, const_vec(c, m[0], m[1]));
    op3(c, PSHUFB, d, a, const_vec(c, m[0], m[1]));
    as_op(&c->as, PUNPCKLQDQ, d, rm_reg(t));
}

static void emit_trn(struct cg *c, const struct ir_insn *n)
{
    unsigned lane = lane_of(n), odd = n->op == IR_VTRN2, a, b, t, d;
    struct rm mask;

    if (lane == IR_I64 || lane == IR_F64) {
        vec_op(c, odd ? PUNPCKHQDQ : PUNPCKLQDQ, n->arg[0], use_rm(c, n->arg[1]));
        return;
    }
    a = use_reg(c, n->arg[0]);
    b = use_reg(c, n->arg[1]);
    t = scratch(c, true);
    d = fresh(c, a, b);
    if (lane == IR_I32 || lane == IR_F32) {
        as_op(&c->as, odd ? MOVSHDUP : MOVSLDUP, odd ? d : t, rm_reg(odd ? a : b));
        op3(c, BLENDPS, d, odd ? d : a, rm_reg(odd ? b : t));
        as_u8(&c->as, 0xa);
    } else if (lane == IR_I16) {
        shift(c, SHIFT_D, odd ? RIGHT : LEFT, t, odd ? a : b, 16);
        op3(c, PBLENDW, d, odd ? t : a, rm_reg(odd ? b : t));
        as_u8(&c->as, 0xaa);
    } else {
        mask = const_vec(c, UINT64_C(0x00ff00ff00ff00ff) << 8 * odd,
                         UINT64_C(0x00ff00ff00ff00ff) << 8 * odd);
        shift(c, SHIFT_W, odd ? RIGHT : LEFT, t, odd ? a : b, 8);
        op3(c, PAND, d, odd ? b : a, mask);
        as_op(&c->as, POR, d, rm_reg(t));
    }
}

/* Adding 0x70 with saturation sets bit 7 of what is 16 and more, and pshufb then gives 0. */
static void emit_table(struct cg *c, const struct ir_insn *n)
{
    unsigned b = use_reg(c, n->arg[1]), t = scratch(c, true);

    op3(c, PADDUSB, t, b, bytes(c, 0x70));
    vec_op(c, PSHUFB, n->arg[0], rm_reg(t));
}

/* ---- arithmetic ---- */

static void emit_greater(struct cg *c, const struct ir_insn *n)
{
    static const uint32_t code[4] = { P66 | 0x64, P66 | 0x65, P66 | 0x66, PCMPGTQ };
    static const uint64_t top[4] = { UINT64_C(0x8080808080808080), UINT64_C(0x8000800080008000),
                                     UINT64_C(0x8000000080000000), UINT64_C(0x8000000000000000) };
    unsigned lane = lane_of(n), a = use_reg(c, n->arg[0]), b = use_reg(c, n->arg[1]);
    unsigned t = scratch(c, true), d = fresh(c, a, b);

    op3(c, PXOR, d, a, const_vec(c, top[lane], top[lane]));
    op3(c, PXOR, t, b, const_vec(c, top[lane], top[lane]));
    as_op(&c->as, code[lane], d, rm_reg(t));
}

static void mul_bytes(struct cg *c, unsigned d, unsigned t, unsigned a, unsigned b)
{
    uint64_t odd = UINT64_C(0xff00ff00ff00ff00);

    shift(c, SHIFT_W, RIGHT, t, a, 8);
    op3(c, PAND, d, b, const_vec(c, odd, odd));
    as_op(&c->as, PMULLW, t, rm_reg(d));
    op3(c, PMULLW, d, a, rm_reg(b));
    as_op(&c->as, PAND, d, const_vec(c, ~odd, ~odd));
    as_op(&c->as, POR, d, rm_reg(t));
}

static void mul_quads(struct cg *c, unsigned d, unsigned t, unsigned a, unsigned b)
{
    shift(c, SHIFT_Q, RIGHT, t, a, 32);
    as_op(&c->as, PMULUDQ, t, rm_reg(b));
    shift(c, SHIFT_Q, RIGHT, d, b, 32);
    as_op(&c->as, PMULUDQ, d, rm_reg(a));
    as_op(&c->as, PADDQ, t, rm_reg(d));
    shift(c, SHIFT_Q, LEFT, t, t, 32);
    op3(c, PMULUDQ, d, a, rm_reg(b));
    as_op(&c->as, PADDQ, d, rm_reg(t));
}

void simd_mul(struct cg *c, const struct ir_insn *n)
{
    unsigned lane = lane_of(n), a, b, t, d;

    if (lane == IR_I16 || lane == IR_I32) {
        vec_emit_2(c, n);
        return;
    }
    a = use_reg(c, n->arg[0]);
    b = use_reg(c, n->arg[1]);
    t = scratch(c, true);
    d = fresh(c, a, b);
    (lane == IR_I8 ? mul_bytes : mul_quads)(c, d, t, a, b);
}

static void emit_count(struct cg *c, const struct ir_insn *n)
{
    unsigned a = use_reg(c, n->arg[0]), t = scratch(c, true), k = scratch(c, true), d;

    d = fresh(c, a, NOREG);
    op3(c, PAND, d, a, bytes(c, 15));
    shift(c, SHIFT_W, RIGHT, t, a, 4);
    as_op(&c->as, PAND, t, bytes(c, 15));
    as_op(&c->as, OP_0F | 0x28, k,
          const_vec(c, UINT64_C(0x0302020102010100), UINT64_C(0x0403030203020201)));
    if (c->has & HAS_AVX) {
        as_vex(&c->as, PSHUFB, d, k, rm_reg(d));
        as_op(&c->as, PSHUFB, k, rm_reg(t));
        as_op(&c->as, PADDB, d, rm_reg(k));
        return;
    }
    as_op(&c->as, PSHUFB, k, rm_reg(d));
    movaps(c, d, k);
    as_op(&c->as, OP_0F | 0x28, k,
          const_vec(c, UINT64_C(0x0302020102010100), UINT64_C(0x0403030203020201)));
    as_op(&c->as, PSHUFB, k, rm_reg(t));
    as_op(&c->as, PADDB, d, rm_reg(k));
}

/* ---- shifts ---- */

/* d = all ones in the 64-bit lanes of a that are negative */
static void signs(struct cg *c, unsigned d, unsigned a)
{
    as_op(&c->as, PXOR, d, rm_reg(d));
    as_op(&c->as, PCMPGTQ, d, rm_reg(a));
}

static void shift_bytes(struct cg *c, const struct ir_insn *n, unsigned d, unsigned a, unsigned by)
{
    bool left = n->op == IR_VSHLI;

    shift(c, SHIFT_W, left ? LEFT : RIGHT, d, a, by);
    as_op(&c->as, PAND, d, bytes(c, left ? 0xffu << by & 0xff : 0xffu >> by));
    if (n->op == IR_VSARI) {
        as_op(&c->as, PXOR, d, bytes(c, 0x80u >> by));
        as_op(&c->as, PSUBB, d, bytes(c, 0x80u >> by));
    }
}

/* i8 lanes, and i64 arithmetic */
void simd_shift_imm(struct cg *c, const struct ir_insn *n)
{
    unsigned a = use_reg(c, n->arg[0]), lane = lane_of(n), bits = ir_type_bits[lane], t, d;
    uint64_t count = (uint64_t)n->imm;

    if (n->op == IR_VSARI)
        count = MIN(count, bits - 1);
    if (count >= bits) {
        args_done(c);
        d = def_reg(c, 0, 64);
        as_op(&c->as, PXOR, d, rm_reg(d));
        return;
    }
    if (lane == IR_I8) {
        shift_bytes(c, n, fresh(c, a, NOREG), a, (unsigned)count);
        return;
    }
    if (count == 63) {
        signs(c, fresh(c, a, NOREG), a);
        return;
    }
    t = scratch(c, true);
    d = fresh(c, a, NOREG);
    signs(c, t, a);
    shift(c, SHIFT_Q, RIGHT, d, a, (unsigned)count);
    if (!count)
        return;
    shift(c, SHIFT_Q, LEFT, t, t, 64 - (unsigned)count);
    as_op(&c->as, POR, d, rm_reg(t));
}

/* By counts in lanes: AVX2 has those of 32 bits and logical ones of 64. */
static void emit_shift_lanes(struct cg *c, const struct ir_insn *n)
{
    unsigned lane = lane_of(n), a, s, d, op = host_op_of(n->op)->code[0];
    struct rm x;

    if (!(c->has & HAS_AVX2) || lane < IR_I32) {
        emit_by_helper(c, n);
        return;
    }
    if (lane == IR_I64 && n->op == IR_VSARVV) { /* of a negative one, the complement */
        a = use_reg(c, n->arg[0]);
        x = rm_reg(use_reg(c, n->arg[1]));
        s = scratch(c, true);
        d = fresh(c, a, x.reg);
        signs(c, s, a);
        op3(c, PXOR, d, a, rm_reg(s));
        as_vex(&c->as, P38 | OP_W | 0x45, d, d, x); /* vpsrlvq */
        as_op(&c->as, PXOR, d, rm_reg(s));
        return;
    }
    a = use_reg(c, n->arg[0]);
    x = use_rm(c, n->arg[1]);
    args_done(c);
    d = def_reg(c, 0, 64);
    as_vex(&c->as, P38 | op | (lane == IR_I64 ? OP_W : 0), d, a, x);
}

/* ---- cryptography ---- */

static void emit_crc32c(struct cg *c, const struct ir_insn *n)
{
    static const unsigned form[4] = { 0xf0 | OP_MB, 0xf1 | OP_66, 0xf1, 0xf1 | OP_W };
    unsigned r = use_reg(c, n->arg[1]), d = def_tied(c, n->arg[0], 1u << r, 32);

    if (n->sub == 1)
        as_u8(&c->as, 0x66);
    as_op_flags(&c->as, OP_38 | OP_F2 | (form[n->sub] & ~(unsigned)OP_PP), d, rm_reg(r));
}

static void emit_needs(struct cg *c, const struct ir_insn *n)
{
    unsigned needs = host_op_of(n->op)->needs;

    if ((c->has & needs) != needs)
        emit_by_helper(c, n);
    else if (n->op == IR_VCLMUL)
        vec_emit_2i(c, n);
    else if (n->nargs == 1)
        vec_emit_1(c, n);
    else
        vec_emit_2(c, n);
}

const struct host_op ops_simd[IR_OP_COUNT] = {
    [IR_VDUP] = { emit_dup, "x,mx" },
    [IR_VDUPI] = { emit_dupi, "x,r" },
    [IR_VNARROW] = { emit_narrow, "x,0" },
    [IR_VUZP1] = { emit_unzip, "x,x,mx" },
    [IR_VUZP2] = { emit_unzip, "x,x,mx" },
    [IR_VTRN1] = { emit_trn, "x,x,mx" },
    [IR_VTRN2] = { emit_trn, "x,x,mx" },
    [IR_VREV] = { emit_rev, "x,mx" },
    [IR_VTBL] = { emit_table, "x,0,x" },
    [IR_VCMPGTU] = { emit_greater, "x,x,x" },
    [IR_VSHLVV] = { emit_shift_lanes, "x,x,mx", HAS_AVX2, { 0x47 } },
    [IR_VSHRVV] = { emit_shift_lanes, "x,x,mx", HAS_AVX2, { 0x45 } },
    [IR_VSARVV] = { emit_shift_lanes, "x,x,mx", HAS_AVX2, { 0x46 } },
    [IR_VPOPCNT] = { emit_count, "x,x" },
    [IR_VCLMUL] = { emit_needs, "x,0,mx", HAS_CLMUL, { P3A | 0x44 } },
    [IR_VAESENC] = { emit_needs, "x,0,mx", HAS_AES, { P38 | 0xdc } },
    [IR_VAESENCL] = { emit_needs, "x,0,mx", HAS_AES, { P38 | 0xdd } },
    [IR_VAESDEC] = { emit_needs, "x,0,mx", HAS_AES, { P38 | 0xde } },
    [IR_VAESDECL] = { emit_needs, "x,0,mx", HAS_AES, { P38 | 0xdf } },
    [IR_VAESIMC] = { emit_needs, "x,mx", HAS_AES, { P38 | 0xdb } },
    [IR_CRC32C] = { emit_crc32c, "r,0,r" },
};
