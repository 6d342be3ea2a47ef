/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the fold pass makes of typical translator output, by example. Each case writes its result to
 * slot "out" (i64), and the text is the insns that are left behind it and in front of the exit.
 */
#include "../unit/test.h"

#include <stdlib.h>

#include "ir/ir.h"

enum { PC, A, B, OUT, X, XOUT };
static const struct ir_slot slots[] = {
    { "pc", 0, IR_I64, 0 },   { "a", 8, IR_I64, 1 },   { "b", 16, IR_I64, 2 },
    { "out", 24, IR_I64, 0 }, { "x", 32, IR_V128, 0 }, { "xout", 48, IR_V128, 0 },
};
static struct ir ir;
static ir_val a, b, x; /* slots A, B, X */

static ir_val k(int64_t v)
{
    return ir_const(&ir, IR_I64, v);
}
static ir_val low(enum ir_type t, ir_val v)
{
    return ir_trunc(&ir, t, v);
}
static ir_val wide(ir_val v)
{
    return ir_zext(&ir, IR_I64, v);
}

static ir_val f_consts(void)
{
    return ir_mul(&ir, ir_add(&ir, k(3), k(4)), k(-6));
}
static ir_val f_narrow(void)
{
    return wide(ir_add(&ir, ir_const(&ir, IR_I8, 0xff), ir_const(&ir, IR_I8, 2)));
}
static ir_val f_sext(void)
{
    return ir_sext(&ir, IR_I64, ir_const(&ir, IR_I16, 0x8001));
}
static ir_val f_chain(void)
{
    return ir_subi(&ir, ir_addi(&ir, a, 10), 4);
}
static ir_val f_zero(void)
{
    return ir_add(&ir, k(0), a);
}
static ir_val f_xor_self(void)
{
    return ir_xor(&ir, a, a);
}
static ir_val f_lea(void)
{
    return ir_addi(&ir, ir_add(&ir, a, ir_shli(&ir, b, 2)), 5);
}
static ir_val f_lea_merge(void)
{
    return ir_lea(&ir, ir_addi(&ir, a, 8), ir_addi(&ir, b, 1), 3, 4);
}
static ir_val f_mul(void)
{
    return ir_muli(&ir, a, 8);
}
static ir_val f_mul9(void)
{
    return ir_muli(&ir, a, 9);
}
static ir_val f_div(void)
{
    return ir_op2i(&ir, IR_UDIV, a, 16);
}
static ir_val f_mask(void)
{
    return ir_andi(&ir, wide(low(IR_I8, a)), 0xff);
}
static ir_val f_zext_chain(void)
{
    return wide(ir_zext(&ir, IR_I32, low(IR_I8, low(IR_I16, a))));
}
static ir_val f_partial(void) /* write al, read al */
{
    ir_val merged = ir_deposit(&ir, a, wide(low(IR_I8, b)), 0, 8);

    return wide(low(IR_I8, merged));
}
static ir_val f_partial_ah(void) /* write ah, read al and ah */
{
    ir_val merged = ir_deposit(&ir, a, b, 8, 8);

    ir_val ah = ir_extract(&ir, merged, 8, 8);

    return ir_add(&ir, ah, ir_extract(&ir, merged, 0, 8));
}
static ir_val f_cond(void)
{
    return ir_setcondi(&ir, IR_I64, IR_NE, wide(ir_setcond(&ir, IR_I8, IR_LTU, a, b)), 0);
}
static ir_val f_cond_not(void)
{
    return wide(ir_xori(&ir, ir_setcond(&ir, IR_I8, IR_LTS, a, b), 1));
}
static ir_val f_cond_sub(void)
{
    return ir_setcondi(&ir, IR_I64, IR_EQ, ir_sub(&ir, a, b), 0);
}
static ir_val f_cond_and(void)
{
    return ir_setcondi(&ir, IR_I64, IR_EQ, ir_andi(&ir, a, 64), 0);
}
static ir_val f_cond_zext(void)
{
    return ir_setcondi(&ir, IR_I64, IR_LTU, wide(low(IR_I8, a)), 200);
}
static ir_val f_cond_far(void)
{
    return ir_setcondi(&ir, IR_I64, IR_LTU, wide(low(IR_I8, a)), 300);
}
static ir_val f_select(void)
{
    return ir_select(&ir, IR_EQ, a, b, k(0), k(1));
}
static ir_val f_select_known(void)
{
    return ir_select(&ir, IR_LTS, k(-1), k(0), b, a);
}
static ir_val f_cse_same(void)
{
    return ir_mul(&ir, ir_sub(&ir, a, b), ir_sub(&ir, a, b));
}
static ir_val f_forward(void)
{
    ir_put(&ir, A, b);
    return ir_get(&ir, A);
}
static ir_val f_forward_low(void)
{
    ir_put(&ir, A, b);
    return wide(ir_get_low(&ir, A, IR_I16));
}
static ir_val f_pc(void)
{
    return ir_get(&ir, PC);
}
static ir_val f_address(void)
{
    return ir_ld(&ir, IR_I64, ir_addi(&ir, ir_addi(&ir, a, 16), 8), 4, 2);
}
static ir_val f_store(void)
{
    ir_st(&ir, a, 0, wide(low(IR_I32, b)), 1);
    return a;
}
static ir_val f_load_zext(void)
{
    return wide(ir_zext(&ir, IR_I32, ir_ld(&ir, IR_I8, a, 0, 0)));
}
static ir_val f_load_sext(void)
{
    return ir_sext(&ir, IR_I64, ir_ld(&ir, IR_I16, a, 0, 1));
}
static ir_val f_vector(void)
{
    return ir_vtoi(&ir, IR_I64, ir_vop1(&ir, IR_VFROMI, IR_I64, a, 0));
}

static const struct {
    ir_val (*fn)(void);
    const char *want;
} cases[] = {
    { f_consts, "  put out, -0x2a\n" },
    { f_narrow, "  put out, 0x1\n" },
    { f_sext, "  put out, -0x7fff\n" },
    { f_chain, "  v10.i64 = add v2, 0x6\n  put out, v10\n" },
    { f_zero, "  put out, v2\n" },
    { f_xor_self, "  put out, 0\n" },
    { f_lea, "  v9.i64 = lea v2, v3 << 2, +5\n  put out, v9\n" },
    { f_lea_merge, "  v9.i64 = lea v2, v3 << 3, +20\n  put out, v9\n" },
    { f_mul, "  v7.i64 = shl v2, 0x3\n  put out, v7\n" },
    { f_mul9, "  v6.i64 = lea v2, v2 << 3, +0\n  put out, v6\n" },
    { f_div, "  v7.i64 = shr v2, 0x4\n  put out, v7\n" },
    { f_mask, "  v5.i8 = trunc v2\n  v6.i64 = zext v5\n  put out, v6\n" },
    { f_zext_chain, "  v6.i8 = trunc v2\n  v8.i64 = zext v6\n  put out, v8\n" },
    { f_partial, "  v5.i8 = trunc v3\n  v6.i64 = zext v5\n  put out, v6\n" },
    { f_partial_ah, "  v6.i64 = extract v3 @0:8\n  v7.i64 = extract v2 @0:8\n  v8.i64 = add v6, "
                    "v7\n  put out, v8\n" },
    { f_cond, "  v6.i64 = setcond.ltu.i64 v2, v3\n  put out, v6\n" },
    { f_cond_not, "  v8.i64 = setcond.ges.i64 v2, v3\n  put out, v8\n" },
    { f_cond_sub, "  v7.i64 = setcond.eq.i64 v2, v3\n  put out, v7\n" },
    { f_cond_and, "  v8.i64 = setcond.tstn.i64 v2, 0x40\n  put out, v8\n" },
    { f_cond_zext, "  v5.i8 = trunc v2\n  v9.i64 = setcond.ltu.i8 v5, -0x38\n  put out, v9\n" },
    { f_cond_far, "  put out, 0x1\n" },
    { f_select, "  v7.i64 = setcond.ne.i64 v2, v3\n  put out, v7\n" },
    { f_select_known, "  put out, v3\n" },
    { f_cse_same, "  v5.i64 = sub v2, v3\n  v6.i64 = mul v5, v5\n  put out, v6\n" },
    { f_forward, "  put a, v3\n  put out, v3\n" },
    { f_forward_low, "  put a, v3\n  v6.i16 = trunc v3\n  v7.i64 = zext v6\n  put out, v7\n" },
    { f_pc, "  put out, 0x1000\n" },
    { f_address, "  v10.i64 = ld.32 [v2 + 0x1c]\n  put out, v10\n" },
    { f_store, "  st.16 [v2], v3\n  put out, v2\n" },
    { f_load_zext, "  v5.i64 = ld.8 [v2]\n  put out, v5\n" },
    { f_load_sext, "  v5.i64 = ld.16s [v2]\n  put out, v5\n" },
    { f_vector, "  put out, v2\n" },
};

static char *text(void)
{
    char *buf = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&buf, &size);

    for (unsigned i = 2; i + 1 < ir.count; i++)
        if (ir.insn[i].op != IR_NOP && ir.insn[i].op != IR_CONST && ir.insn[i].op != IR_GET)
            ir_print_insn(f, &ir, i);
    fclose(f);
    return buf;
}

static void begin(void)
{
    ir_init(&ir, slots, 6, PC);
    ir_begin(&ir, 0x1000);
    ir_insn_start(&ir, 0x1000);
    a = ir_get(&ir, A);
    b = ir_get(&ir, B);
    x = ir_get(&ir, X);
}

TEST(examples)
{
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[128], *s;

        begin();
        ir_put(&ir, OUT, cases[i].fn());
        ir_exit_jmp(&ir, 0, 0);
        ir_optimize(&ir);
        if (!ir_verify(&ir, why, sizeof(why)))
            TEST_FAIL("case %u: %s", i, why);
        s = text();
        if (strcmp(s, cases[i].want))
            TEST_FAIL("case %u gives\n%snot\n%s", i, s, cases[i].want);
        free(s);
        ir_finish(&ir);
    }
}

TEST(vector_zero)
{
    begin();
    ir_put(&ir, XOUT, ir_vop2(&ir, IR_VXOR, 0, x, x, 0));
    ir_exit_jmp(&ir, 0, 0);
    ir_optimize(&ir);
    CHECK_EQ(ir.insn[ir.count - 3].op, IR_VCONST);
    ir_finish(&ir);
}

TEST(decided_branches)
{
    unsigned l1, l2;
    char *s;

    begin();
    l1 = ir_new_label(&ir);
    l2 = ir_new_label(&ir);
    ir_brcondi(&ir, IR_EQ, k(1), 2, l1); /* never */
    ir_brcondi(&ir, IR_EQ, k(2), 2, l2); /* always */
    ir_put(&ir, OUT, k(5));
    ir_label(&ir, l1);
    ir_put(&ir, OUT, k(6));
    ir_exit_jmp(&ir, 1, 0);
    ir_label(&ir, l2);
    ir_put(&ir, OUT, k(7));
    ir_exit_jmp(&ir, 0, 0);
    ir_optimize(&ir);
    s = text();
    CHECK_STR(s, " label L1\n  put out, 0x7\n");
    free(s);
    ir_finish(&ir);
}

static uint64_t any(void *cpu, uint64_t v)
{
    return v;
}
static const struct helper h_any = { "any", (helper_fn *)any, "- i64", HELPER_NO_RAISE };
static const struct helper h_pure = { "pure", (helper_fn *)any, "i64 i64", HELPER_PURE };

TEST(calls)
{
    ir_val v;

    begin();
    ir_put(&ir, A, b);
    ir_call(&ir, &h_any, a, 0, 0, 0); /* may write A */
    v = ir_get(&ir, A);
    ir_put(&ir, OUT,
           ir_add(&ir, ir_call(&ir, &h_pure, v, 0, 0, 0), ir_call(&ir, &h_pure, v, 0, 0, 0)));
    ir_exit_jmp(&ir, 0, 0);
    ir_optimize(&ir);
    unsigned gets = 0, calls = 0;
    for (unsigned i = 1; i < ir.count; i++) {
        gets += ir.insn[i].op == IR_GET;
        calls += ir.insn[i].op == IR_CALL;
    }
    CHECK_EQ(gets, 3);
    CHECK_EQ(calls, 2); /* any, and pure once */
    ir_finish(&ir);
}

TEST(put_of_what_is_there)
{
    char *s;

    begin();
    ir_put(&ir, A, a);
    ir_put(&ir, OUT, b);
    ir_put(&ir, OUT, b);
    ir_exit_jmp(&ir, 0, 0);
    ir_optimize(&ir);
    s = text();
    CHECK_STR(s, "  put out, v3\n");
    free(s);
    ir_finish(&ir);
}
