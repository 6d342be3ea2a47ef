/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Integer arithmetic and logic: ADD to XADD, multiplication and division. Flags are noted lazily
 * (tr_cc). Undefined flags: those that fall out of the lazy form; see
 * docs/devel/howto/instruction.md.
 */
#include "guest/x86/tr_core.h"
#include "guest/x86/x86_tr.h"

/* ---- ADD OR ADC SBB AND SUB XOR CMP TEST ---- */

/* Both operands are one register: the result of SUB, XOR, SBB does not depend on it. */
static bool same_register(const struct x86_insn *i)
{
    const struct x86_operand *a = &i->opnd[0], *b = &i->opnd[1];

    return (a->kind == X86_K_GPR || a->kind == X86_K_GPRH) && a->kind == b->kind &&
           a->reg == b->reg;
}

/* a op b for a two-operand instruction; cin: carry in, in the operands' type. */
static ir_val alu_result(struct tr *t, unsigned op, ir_val a, ir_val b, ir_val cin)
{
    switch (op) {
    case X86_OP_ADD: return ir_add(t->b, a, b);
    case X86_OP_ADC: return ir_add(t->b, ir_add(t->b, a, b), cin);
    case X86_OP_SUB: return ir_sub(t->b, a, b);
    case X86_OP_SBB: return ir_sub(t->b, ir_sub(t->b, a, b), cin);
    case X86_OP_AND: return ir_and(t->b, a, b);
    case X86_OP_OR: return ir_or(t->b, a, b);
    default: return ir_xor(t->b, a, b);
    }
}

static void alu_flags(struct tr *t, unsigned op, unsigned size, ir_val a, ir_val b, ir_val cin,
                      ir_val r)
{
    switch (op) {
    case X86_OP_ADD: tr_cc(t, X86_CC_ADD, size, r, b, IR_NO_VAL); break;
    case X86_OP_ADC: tr_cc(t, X86_CC_ADC, size, a, b, cin); break;
    case X86_OP_SUB: tr_cc(t, X86_CC_SUB, size, a, b, IR_NO_VAL); break;
    case X86_OP_SBB: tr_cc(t, X86_CC_SBB, size, a, b, cin); break;
    default: tr_cc(t, X86_CC_LOGIC, size, r, IR_NO_VAL, IR_NO_VAL); break;
    }
}

/* LOCK: the old value; memory holds the new one afterwards. */
static ir_val alu_atomic(struct tr *t, const struct x86_insn *i, ir_val b, ir_val cin)
{
    ir_val addr = tr_addr(t, i, i->opsize, CPU_WRITE);

    switch (i->op) {
    case X86_OP_ADD: return tr_atomic(t, IR_AT_ADD, addr, b, IR_NO_VAL);
    case X86_OP_ADC: return tr_atomic(t, IR_AT_ADD, addr, ir_add(t->b, b, cin), IR_NO_VAL);
    case X86_OP_SUB: return tr_atomic(t, IR_AT_ADD, addr, ir_neg(t->b, b), IR_NO_VAL);
    case X86_OP_SBB:
        return tr_atomic(t, IR_AT_ADD, addr, ir_neg(t->b, ir_add(t->b, b, cin)), IR_NO_VAL);
    case X86_OP_AND: return tr_atomic(t, IR_AT_AND, addr, b, IR_NO_VAL);
    case X86_OP_OR: return tr_atomic(t, IR_AT_OR, addr, b, IR_NO_VAL);
    default: return tr_atomic(t, IR_AT_XOR, addr, b, IR_NO_VAL);
    }
}

static bool alu(struct tr *t, const struct x86_insn *i)
{
    unsigned size = i->opsize;
    bool with_carry = i->op == X86_OP_ADC || i->op == X86_OP_SBB;
    ir_val b = tr_get_sext(t, i, 1, size);
    ir_val cin = with_carry ? tr_cf(t, tr_type(size)) : IR_NO_VAL;
    struct tr_rmw m;

    if (i->lock) {
        ir_val old = alu_atomic(t, i, b, cin);
        alu_flags(t, i->op, size, old, b, cin, alu_result(t, i->op, old, b, cin));
        return true;
    }
    ir_val a = tr_rmw_begin(t, i, 0, &m);
    ir_val r = alu_result(t, i->op, a, b, cin);
    tr_rmw_end(t, i, &m, r);
    alu_flags(t, i->op, size, a, b, cin, r);
    return true;
}

/* SUB r, r and XOR r, r: zero, and the flags of it. */
static bool alu_or_zero(struct tr *t, const struct x86_insn *i)
{
    if (!same_register(i))
        return alu(t, i);
    ir_val zero = ir_const(t->b, tr_type(i->opsize), 0);
    tr_set(t, i, 0, zero);
    tr_cc(t, X86_CC_LOGIC, i->opsize, zero, IR_NO_VAL, IR_NO_VAL);
    return true;
}

bool tr_add(struct tr *t, const struct x86_insn *i)
{
    return alu(t, i);
}
bool tr_adc(struct tr *t, const struct x86_insn *i)
{
    return alu(t, i);
}
bool tr_sbb(struct tr *t, const struct x86_insn *i)
{
    return alu(t, i);
}
bool tr_and(struct tr *t, const struct x86_insn *i)
{
    return alu(t, i);
}
bool tr_or(struct tr *t, const struct x86_insn *i)
{
    return alu(t, i);
}
bool tr_sub(struct tr *t, const struct x86_insn *i)
{
    return alu_or_zero(t, i);
}
bool tr_xor(struct tr *t, const struct x86_insn *i)
{
    return alu_or_zero(t, i);
}

bool tr_cmp(struct tr *t, const struct x86_insn *i)
{
    ir_val b = tr_get_sext(t, i, 1, i->opsize);
    ir_val a = tr_get(t, i, 0);

    tr_cc(t, X86_CC_SUB, i->opsize, a, b, IR_NO_VAL);
    return true;
}

bool tr_test(struct tr *t, const struct x86_insn *i)
{
    ir_val a = tr_get(t, i, 0);
    ir_val r = same_register(i) ? a : ir_and(t->b, a, tr_get_sext(t, i, 1, i->opsize));

    tr_cc(t, X86_CC_LOGIC, i->opsize, r, IR_NO_VAL, IR_NO_VAL);
    return true;
}

/* ---- INC DEC NEG NOT ---- */

static bool inc_dec(struct tr *t, const struct x86_insn *i, enum x86_cc cc, int step)
{
    enum ir_type type = tr_type(i->opsize);
    ir_val cf = tr_cf(t, IR_I32);
    struct tr_rmw m;
    ir_val r;

    if (i->lock) {
        ir_val old = tr_atomic(t, IR_AT_ADD, tr_addr(t, i, i->opsize, CPU_WRITE),
                               ir_const(t->b, type, step), IR_NO_VAL);
        r = ir_addi(t->b, old, step);
    } else {
        r = ir_addi(t->b, tr_rmw_begin(t, i, 0, &m), step);
        tr_rmw_end(t, i, &m, r);
    }
    tr_cc(t, cc, i->opsize, r, cf, IR_NO_VAL);
    return true;
}

bool tr_inc(struct tr *t, const struct x86_insn *i)
{
    return inc_dec(t, i, X86_CC_INC, 1);
}

bool tr_dec(struct tr *t, const struct x86_insn *i)
{
    return inc_dec(t, i, X86_CC_DEC, -1);
}

/* LOCK NEG: compare and swap until nobody came between. The flags are noted each time round: values
 * do not outlive the branch. */
static void neg_atomic(struct tr *t, const struct x86_insn *i)
{
    unsigned again = ir_new_label(t->b);

    ir_label(t->b, again);
    ir_val addr = tr_addr(t, i, i->opsize, CPU_WRITE);
    ir_val expected = tr_load(t, tr_type(i->opsize), addr, tr_log2(i->opsize));
    ir_val old = tr_atomic(t, IR_AT_CAS, addr, expected, ir_neg(t->b, expected));
    tr_cc(t, X86_CC_SUB, i->opsize, ir_const(t->b, tr_type(i->opsize), 0), old, IR_NO_VAL);
    ir_brcond(t->b, IR_NE, old, expected, again);
}

bool tr_neg(struct tr *t, const struct x86_insn *i)
{
    struct tr_rmw m;

    if (i->lock) {
        neg_atomic(t, i);
        return true;
    }
    ir_val v = tr_rmw_begin(t, i, 0, &m);
    tr_rmw_end(t, i, &m, ir_neg(t->b, v));
    tr_cc(t, X86_CC_SUB, i->opsize, ir_const(t->b, tr_type(i->opsize), 0), v, IR_NO_VAL);
    return true;
}

bool tr_not(struct tr *t, const struct x86_insn *i)
{
    struct tr_rmw m;

    if (i->lock) {
        tr_atomic(t, IR_AT_XOR, tr_addr(t, i, i->opsize, CPU_WRITE),
                  ir_const(t->b, tr_type(i->opsize), -1), IR_NO_VAL);
        return true;
    }
    ir_val v = tr_rmw_begin(t, i, 0, &m);
    tr_rmw_end(t, i, &m, ir_not(t->b, v));
    return true;
}

/* ---- XCHG XADD CMPXCHG ---- */

bool tr_xchg(struct tr *t, const struct x86_insn *i)
{
    ir_val b = tr_get(t, i, 1);

    if (i->opnd[0].kind == X86_K_MEM) { /* atomic with and without LOCK */
        tr_set(t, i, 1,
               tr_atomic(t, IR_AT_XCHG, tr_addr(t, i, i->opsize, CPU_WRITE), b, IR_NO_VAL));
        return true;
    }
    ir_val a = tr_get(t, i, 0);
    tr_set(t, i, 0, b);
    tr_set(t, i, 1, a);
    return true;
}

bool tr_xadd(struct tr *t, const struct x86_insn *i)
{
    ir_val b = tr_get(t, i, 1), a, sum;
    struct tr_rmw m;

    if (i->opnd[0].kind != X86_K_MEM) {
        a = tr_get(t, i, 0);
        sum = ir_add(t->b, a, b);
        tr_set(t, i, 1, a);
        tr_set(t, i, 0, sum); /* last: it wins when both are one register */
    } else if (i->lock) {
        a = tr_atomic(t, IR_AT_ADD, tr_addr(t, i, i->opsize, CPU_WRITE), b, IR_NO_VAL);
        sum = ir_add(t->b, a, b);
        tr_set(t, i, 1, a);
    } else {
        a = tr_rmw_begin(t, i, 0, &m);
        sum = ir_add(t->b, a, b);
        tr_rmw_end(t, i, &m, sum);
        tr_set(t, i, 1, a);
    }
    tr_cc(t, X86_CC_ADD, i->opsize, sum, b, IR_NO_VAL);
    return true;
}

/* Register `reg` = equal ? as it is, all 64 bits : v. */
static void set_reg_unless(struct tr *t, ir_val a, ir_val b, unsigned size, unsigned reg, ir_val v)
{
    ir_val whole = ir_get(t->b, X86_SLOT_GPR + reg);
    ir_val wide = ir_zext(t->b, IR_I64, v);

    if (size < 4)
        wide = ir_deposit(t->b, whole, wide, 0, size * 8);
    ir_put(t->b, X86_SLOT_GPR + reg, ir_select(t->b, IR_EQ, a, b, whole, wide));
}

bool tr_cmpxchg(struct tr *t, const struct x86_insn *i)
{
    ir_val b = tr_get(t, i, 1), acc = tr_reg(t, i->opsize, X86_RAX), old;
    const struct x86_operand *o = &i->opnd[0];
    struct tr_rmw m;

    if (i->lock) {
        old = tr_atomic(t, IR_AT_CAS, tr_addr(t, i, i->opsize, CPU_WRITE), acc, b);
        set_reg_unless(t, acc, old, i->opsize, X86_RAX, old);
    } else if (o->kind == X86_K_MEM) {
        old = tr_rmw_begin(t, i, 0, &m);
        tr_rmw_end(t, i, &m, ir_select(t->b, IR_EQ, acc, old, b, old));
        set_reg_unless(t, acc, old, i->opsize, X86_RAX, old);
    } else {
        old = tr_get(t, i, 0);
        set_reg_unless(t, acc, old, i->opsize, X86_RAX, old);
        if (o->kind == X86_K_GPR && i->opsize == 4) /* unequal: not even the upper half changes */
            ir_put(t->b, X86_SLOT_GPR + o->reg,
                   ir_select(t->b, IR_EQ, acc, old, ir_zext(t->b, IR_I64, b),
                             ir_get(t->b, X86_SLOT_GPR + o->reg)));
        else
            tr_set(t, i, 0, ir_select(t->b, IR_EQ, acc, old, b, tr_get(t, i, 0)));
    }
    tr_cc(t, X86_CC_SUB, i->opsize, acc, old, IR_NO_VAL);
    return true;
}

/* lo:hi of two 32-bit registers. */
static ir_val pair32(struct tr *t, unsigned lo, unsigned hi)
{
    return ir_deposit(t->b, ir_zext(t->b, IR_I64, tr_reg(t, 4, lo)),
                      ir_get(t->b, X86_SLOT_GPR + hi), 32, 32);
}

/* ZF alone changes. */
static void set_zf(struct tr *t, ir_val zf)
{
    ir_val others = ir_andi(t->b, tr_cc_compute(t), ~(int64_t)X86_ZF);

    tr_cc_flags(t, ir_or(t->b, others, ir_shli(t->b, zf, 6)));
}

bool tr_cmpxchg8b(struct tr *t, const struct x86_insn *i)
{
    ir_val acc = pair32(t, X86_RAX, X86_RDX);
    ir_val old =
        tr_atomic(t, IR_AT_CAS, tr_addr(t, i, 8, CPU_WRITE), acc, pair32(t, X86_RBX, X86_RCX));

    set_zf(t, ir_setcond(t->b, IR_I32, IR_EQ, old, acc));
    set_reg_unless(t, acc, old, 8, X86_RAX, ir_extract(t->b, old, 0, 32));
    set_reg_unless(t, acc, old, 8, X86_RDX, ir_shri(t->b, old, 32));
    return true;
}

/* 16 bytes at va, aligned. Compares and exchanges with RDX:RAX and RCX:RBX; the result is ZF. */
static uint64_t do_cmpxchg16b(struct x86_cpu *x, uint64_t va)
{
    uint64_t *r = x->gpr, expect[2] = { r[X86_RAX], r[X86_RDX] };
    bool equal;

    if (va & 15)
        x86_raise_error(x, X86_GP, 0);
    equal = cpu_cas16(&x->c, va, expect, (uint64_t[]){ r[X86_RBX], r[X86_RCX] });
    r[X86_RAX] = expect[0];
    r[X86_RDX] = expect[1];
    return equal;
}

static const struct helper h_cmpxchg16b = { "x86_cmpxchg16b", (helper_fn *)do_cmpxchg16b, "i32 i64",
                                            0 };

bool tr_cmpxchg16b(struct tr *t, const struct x86_insn *i)
{
    set_zf(t, tr_call(t, &h_cmpxchg16b, tr_addr(t, i, 16, CPU_WRITE), IR_NO_VAL, IR_NO_VAL,
                      IR_NO_VAL));
    return true;
}

/* ---- multiplication ---- */

static ir_val extend(struct tr *t, enum ir_type to, ir_val v, bool is_signed)
{
    return is_signed ? ir_sext(t->b, to, v) : ir_zext(t->b, to, v);
}

/* rDX:rAX (AX for bytes) = rAX * operand. CF and OF: the upper half is more than the lower half's
 * extension. */
static bool mul_wide(struct tr *t, const struct x86_insn *i, bool is_signed)
{
    unsigned size = i->opsize, bits = size * 8;
    enum ir_type type = tr_type(size), wide = size == 4 ? IR_I64 : IR_I32;
    ir_val b = tr_get(t, i, 0), a = tr_reg(t, size, X86_RAX), lo, hi;

    if (size == 8) {
        lo = ir_mul(t->b, a, b);
        hi = is_signed ? ir_mulsh(t->b, a, b) : ir_muluh(t->b, a, b);
    } else {
        ir_val p = ir_mul(t->b, extend(t, wide, a, is_signed), extend(t, wide, b, is_signed));
        lo = ir_trunc(t->b, type, p);
        hi = ir_trunc(t->b, type, ir_shri(t->b, p, bits));
    }
    if (size == 1) {
        ir_val ax = ir_deposit(t->b, ir_zext(t->b, IR_I64, lo), ir_zext(t->b, IR_I64, hi), 8, 8);
        ir_put(t->b, X86_SLOT_GPR, ir_deposit(t->b, ir_get(t->b, X86_SLOT_GPR), ax, 0, 16));
    } else {
        tr_set_reg(t, size, X86_RAX, lo);
        tr_set_reg(t, size, X86_RDX, hi);
    }
    ir_val over = is_signed ? ir_xor(t->b, ir_sext(t->b, IR_I64, hi),
                                     ir_sari(t->b, ir_sext(t->b, IR_I64, lo), 63))
                            : hi;
    tr_cc(t, X86_CC_MUL, size, lo, over, IR_NO_VAL);
    return true;
}

bool tr_mul(struct tr *t, const struct x86_insn *i)
{
    return mul_wide(t, i, false);
}

bool tr_imul1(struct tr *t, const struct x86_insn *i)
{
    return mul_wide(t, i, true);
}

bool tr_imul(struct tr *t, const struct x86_insn *i)
{
    unsigned size = i->opsize, first = i->nops - 2;
    ir_val a = tr_get(t, i, first), b = tr_get_sext(t, i, first + 1, size), lo, over;

    if (size == 8) {
        lo = ir_mul(t->b, a, b);
        over = ir_xor(t->b, ir_mulsh(t->b, a, b), ir_sari(t->b, lo, 63));
    } else {
        enum ir_type wide = size == 4 ? IR_I64 : IR_I32;
        ir_val p = ir_mul(t->b, ir_sext(t->b, wide, a), ir_sext(t->b, wide, b));
        lo = ir_trunc(t->b, tr_type(size), p);
        over = ir_xor(t->b, p, ir_sext(t->b, wide, lo));
    }
    tr_set(t, i, 0, lo);
    tr_cc(t, X86_CC_MUL, size, lo, over, IR_NO_VAL);
    return true;
}

/* ---- division ---- */

/* Sets quotient and remainder in rAX, rDX (AL, AH). */
static void set_div_result(struct x86_cpu *x, unsigned size, uint64_t q, uint64_t r)
{
    uint64_t *a = &x->gpr[X86_RAX], *d = &x->gpr[X86_RDX];

    switch (size) {
    case 1: *a = (*a & ~UINT64_C(0xffff)) | (uint8_t)q | (r & 0xff) << 8; break;
    case 2:
        *a = (*a & ~UINT64_C(0xffff)) | (uint16_t)q;
        *d = (*d & ~UINT64_C(0xffff)) | (uint16_t)r;
        break;
    case 4:
        *a = (uint32_t)q;
        *d = (uint32_t)r;
        break;
    default: *a = q; *d = r;
    }
}

/* The dividend, 2 * size bytes. */
static unsigned __int128 dividend(const struct x86_cpu *x, unsigned size)
{
    uint64_t a = x->gpr[X86_RAX], d = x->gpr[X86_RDX];

    switch (size) {
    case 1: return (uint16_t)a;
    case 2: return (uint32_t)(uint16_t)d << 16 | (uint16_t)a;
    case 4: return (uint64_t)(uint32_t)d << 32 | (uint32_t)a;
    default: return (unsigned __int128)d << 64 | a;
    }
}

static void do_div(struct x86_cpu *x, uint64_t divisor, uint64_t size)
{
    unsigned bytes = (unsigned)size & 15;
    unsigned __int128 n = dividend(x, bytes);
    uint64_t d = divisor & BITS(bytes * 8 - 1, 0);

    if (d && !(uint64_t)(n >> 64)) { /* without the library's 128-bit division */
        uint64_t q = (uint64_t)n / d;
        if (q > BITS(bytes * 8 - 1, 0))
            x86_raise(x, X86_DE);
        set_div_result(x, bytes, q, (uint64_t)n % d);
        return;
    }
    if (!d || n / d > BITS(bytes * 8 - 1, 0))
        x86_raise(x, X86_DE);
    set_div_result(x, bytes, (uint64_t)(n / d), (uint64_t)(n % d));
}

static void do_idiv(struct x86_cpu *x, uint64_t divisor, uint64_t size)
{
    unsigned bytes = (unsigned)size & 15, bits = bytes * 8, unused = 128 - 2 * bits;
    __int128 n =
        unused ? (__int128)(dividend(x, bytes) << unused) >> unused : (__int128)dividend(x, bytes);
    __int128 d = (int64_t)sext(divisor, bits);

    if (!d || (d == -1 && (unsigned __int128)n == (unsigned __int128)1 << 127))
        x86_raise(x, X86_DE);
    __int128 q = n / d;
    if (q != (__int128)(int64_t)sext((uint64_t)q, bits))
        x86_raise(x, X86_DE);
    set_div_result(x, bytes, (uint64_t)q, (uint64_t)(n % d));
}

static const struct helper h_div = { "x86_div", (helper_fn *)do_div, "- i64 i32", 0 };
static const struct helper h_idiv = { "x86_idiv", (helper_fn *)do_idiv, "- i64 i32", 0 };

static void div_slow(struct tr *t, const struct x86_insn *i, bool is_signed)
{
    ir_val d = ir_zext(t->b, IR_I64, tr_get(t, i, 0));

    tr_call(t, is_signed ? &h_idiv : &h_div, d, tr_c32(t, i->opsize), IR_NO_VAL, IR_NO_VAL);
}

/*
 * 32- and 64-bit divisions by a register are done inline when the dividend is no wider than the
 * divisor: rDX is 0 (DIV) or the sign of rAX (IDIV), and the divisor is neither 0 nor (IDIV) -1.
 * Everything else, and #DE, is the helper's.
 */
static bool divide(struct tr *t, const struct x86_insn *i, bool is_signed)
{
    unsigned size = i->opsize;
    enum ir_type type = tr_type(MAX(size, 4u));

    if (size < 4 || i->opnd[0].kind != X86_K_GPR) {
        div_slow(t, i, is_signed);
        return true;
    }
    unsigned slow = ir_new_label(t->b), end = ir_new_label(t->b);
    ir_val sign =
        is_signed ? ir_sari(t->b, tr_reg(t, size, X86_RAX), size * 8 - 1) : ir_const(t->b, type, 0);
    ir_brcond(t->b, IR_NE, tr_reg(t, size, X86_RDX), sign, slow);
    if (is_signed) /* divisor + 1 <= 1: it is -1 or 0 */
        ir_brcondi(t->b, IR_LEU, ir_addi(t->b, tr_get(t, i, 0), 1), 1, slow);
    else
        ir_brcondi(t->b, IR_EQ, tr_get(t, i, 0), 0, slow);
    ir_val a = tr_reg(t, size, X86_RAX), d = tr_get(t, i, 0);
    ir_val q = ir_op2(t->b, is_signed ? IR_SDIV : IR_UDIV, a, d);
    ir_val r = ir_op2(t->b, is_signed ? IR_SREM : IR_UREM, a, d);
    tr_set_reg(t, size, X86_RAX, q);
    tr_set_reg(t, size, X86_RDX, r);
    ir_br(t->b, end);
    ir_label(t->b, slow);
    div_slow(t, i, is_signed);
    ir_label(t->b, end);
    return true;
}

bool tr_div(struct tr *t, const struct x86_insn *i)
{
    return divide(t, i, false);
}

bool tr_idiv(struct tr *t, const struct x86_insn *i)
{
    return divide(t, i, true);
}
