/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The builder, the printer, the verifier and the dead pass, by example.
 */
#include "../unit/test.h"

#include <stdlib.h>

#include "ir/ir.h"

enum { PC, RAX, RBX, EAX, AL, X0 };
static const struct ir_slot slots[] = {
    { "pc", 0, IR_I64, 0 },   { "rax", 8, IR_I64, 1 }, { "rbx", 16, IR_I64, 2 },
    { "eax", 24, IR_I32, 0 }, { "al", 28, IR_I8, 0 },  { "x0", 32, IR_V128, 1 },
};

static uint64_t nothing(void *cpu, uint64_t a)
{
    return a;
}
static const struct helper h_pure = { "pure", (helper_fn *)nothing, "i64 i64", HELPER_PURE };
static const struct helper h_quiet = { "quiet", (helper_fn *)nothing, "i64 i64", HELPER_NO_RAISE };

static void begin(struct ir *ir)
{
    ir_init(ir, slots, 6, PC);
    ir_begin(ir, 0x1000);
    ir_insn_start(ir, 0x1000);
}

static char *text(const struct ir *ir)
{
    char *buf = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&buf, &size);

    ir_print(f, ir);
    fclose(f);
    return buf;
}

TEST(builder_types)
{
    struct ir ir;
    ir_val a, b;

    begin(&ir);
    a = ir_get_low(&ir, RAX, IR_I32);
    CHECK_EQ(ir_type_of(&ir, a), IR_I32);
    CHECK_EQ(ir_addi(&ir, a, 0), a);
    CHECK_EQ(ir_andi(&ir, a, 0xffffffff), a);
    CHECK_EQ(ir_zext(&ir, IR_I32, a), a);
    b = ir_const(&ir, IR_I8, 0x80);
    CHECK(ir_is_const(&ir, b));
    CHECK_EQ(ir_const_value(&ir, b), (uint64_t)-128);
    CHECK_EQ(ir_type_of(&ir, ir_setcond(&ir, IR_I64, IR_EQ, b, b)), IR_I64);
    CHECK_EQ(ir_type_of(&ir, ir_vop1(&ir, IR_VEXTRACT, IR_I64, ir_get(&ir, X0), 1)), IR_I64);
    CHECK_EQ(ir_type_of(&ir, ir_vop1(&ir, IR_VMOVMSK, IR_I8, ir_get(&ir, X0), 0)), IR_I32);
    CHECK_EQ(ir_room(&ir), IR_MAX_INSNS - ir.count);
    CHECK_EQ(ir.insn_count, 1);
    ir_finish(&ir);
}

TEST(builder_grows)
{
    struct ir ir;
    char why[128] = "";

    begin(&ir);
    while (ir_room(&ir) > 1)
        ir_const(&ir, IR_I64, ir.count);
    ir_exit_jmp(&ir, 0, 0);
    CHECK_EQ(ir.count, IR_MAX_INSNS);
    CHECK(ir_verify(&ir, why, sizeof(why)));
    CHECK_STR(why, "");
    ir_optimize(&ir);
    CHECK(ir_verify(&ir, why, sizeof(why)));
    ir_finish(&ir);
}

TEST(printer)
{
    struct ir ir;
    unsigned l;
    ir_val a, b, v;
    char *s;

    begin(&ir);
    a = ir_get(&ir, RAX);
    b = ir_lea(&ir, a, ir_get(&ir, RBX), 3, -8);
    ir_put(&ir, RAX, ir_ld(&ir, IR_I64, b, 16, 2 | IR_MEM_SIGN));
    ir_st(&ir, b, -4, ir_const(&ir, IR_I32, 7), 2);
    v = ir_get(&ir, X0);
    v = ir_vop2(&ir, IR_VFADD, IR_F32 | IR_SCALAR, v, ir_vconst(&ir, 0), 0);
    ir_put(&ir, X0, ir_vop1(&ir, IR_VSHLI, IR_I16, v, 3));
    l = ir_new_label(&ir);
    ir_brcondi(&ir, IR_LTS, ir_call(&ir, &h_pure, a, 0, 0, 0), -1, l);
    ir_exit_jmp(&ir, 0x2000, IR_EXIT_POLL | IR_EXIT_SAMEPAGE);
    ir_label(&ir, l);
    ir_exit_ind(&ir, ir_get(&ir, RAX), IR_IND_RET);
    s = text(&ir);
    CHECK_STR(s, "region pc=0x1000 insns=1 bytes=0 ops=21\n"
                 " ---- insn 0x1000\n"
                 "  v2.i64 = get rax\n"
                 "  v3.i64 = get rbx\n"
                 "  v4.i64 = lea v2, v3 << 3, -8\n"
                 "  v5.i64 = ld.32s [v4 + 0x10]\n"
                 "  put rax, v5\n"
                 "  st.32 [v4 - 0x4], 0x7\n"
                 "  v9.v128 = get x0\n"
                 "  v10.v128 = vconst #0\n"
                 "  v11.v128 = vfadd.f32.s v9, v10\n"
                 "  v12.v128 = vshli.i16 v11, #0x3\n"
                 "  put x0, v12\n"
                 "  v14.i64 = call pure(v2)\n"
                 "  brcond.lts.i64 v14, -0x1 -> L0\n"
                 "  exit_jmp 0x2000 poll samepage\n"
                 " label L0\n"
                 "  v19.i64 = get rax\n"
                 "  exit_ind ret v19\n");
    free(s);
    ir_finish(&ir);
}

/* ---- the verifier: each breaks one rule ---- */

static void break_type(struct ir *ir)
{
    ir_emit(ir, IR_ADD, IR_I32, 0, 0, 2, 2, 2, 0, 0);
}
static void break_order(struct ir *ir)
{
    ir_emit(ir, IR_NOT, IR_I64, 0, 0, 1, 50, 0, 0, 0);
}
static void break_novalue(struct ir *ir)
{
    ir_emit(ir, IR_NOT, IR_I64, 0, 0, 1, 1, 0, 0, 0);
}
static void break_count(struct ir *ir)
{
    ir_emit(ir, IR_ADD, IR_I64, 0, 0, 1, 2, 0, 0, 0);
}
static void break_slot(struct ir *ir)
{
    ir_emit(ir, IR_PUT, IR_NONE, 0, 99, 1, 2, 0, 0, 0);
}
static void break_slot_type(struct ir *ir)
{
    ir_emit(ir, IR_PUT, IR_NONE, 0, AL, 1, 2, 0, 0, 0);
}
static void break_const(struct ir *ir)
{
    ir_emit(ir, IR_CONST, IR_I8, 0, 0x80, 0, 0, 0, 0, 0);
}
static void break_op(struct ir *ir)
{
    ir_emit(ir, (enum ir_op)250, IR_I8, 0, 0, 0, 0, 0, 0, 0);
}
static void break_lane(struct ir *ir)
{
    ir_emit(ir, IR_VEXTRACT, IR_I32, IR_I32, 4, 1, 3, 0, 0, 0);
}
static void break_memory(struct ir *ir)
{
    ir_emit(ir, IR_LD, IR_I8, 3, 0, 1, 2, 0, 0, 0);
}
static void break_field(struct ir *ir)
{
    ir_emit(ir, IR_EXTRACT, IR_I64, 0, IR_FIELD(60, 5), 1, 2, 0, 0, 0);
}
static void break_helper(struct ir *ir)
{
    ir_emit(ir, IR_CALL, IR_I32, 0, (int64_t)(intptr_t)&h_pure, 1, 2, 0, 0, 0);
}
static void break_label(struct ir *ir)
{
    ir_br(ir, ir_new_label(ir));
}
static void break_label_twice(struct ir *ir)
{
    unsigned l = ir_new_label(ir);

    ir_label(ir, l);
    ir_label(ir, l);
}
static void break_block(struct ir *ir)
{
    ir_label(ir, ir_new_label(ir));
    ir_emit(ir, IR_NOT, IR_I64, 0, 0, 1, 2, 0, 0, 0);
}

TEST(verifier)
{
    static const struct {
        void (*fn)(struct ir *ir);
        const char *why;
    } cases[] = {
        { break_type, "v4 ADD: operand 0 is i64, not i32" },
        { break_order, "v4 NOT: operand 0, v50, is not defined before it" },
        { break_novalue, "v4 NOT: operand 0, v1 (INSN), has no value" },
        { break_count, "v4 ADD: has 1 operands, not 2" },
        { break_slot, "v4 PUT: there is no slot 99" },
        { break_slot_type, "v4 PUT: slot al is i8, the value i64" },
        { break_const, "v4 CONST: 0x80 is not sign-extended from i8" },
        { break_op, "v4 ?: op 250, type 0" },
        { break_lane, "v4 VEXTRACT: lane 4 of i32" },
        { break_memory, "v4 LD: access of 8 bytes of a i8" },
        { break_field, "v4 EXTRACT: field 60:5" },
        { break_helper, "v4 CALL: result is i32, helper pure is \"i64 i64\"" },
        { break_label, "v4 BR: L0 is never placed" },
        { break_label_twice, "v5 LABEL: L0 is placed twice" },
        { break_block, "v5 NOT: operand 0, v2, belongs to an earlier IR block" },
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ir ir;
        char why[128] = "";

        begin(&ir);
        ir_get(&ir, RAX);
        ir_get(&ir, X0);
        cases[i].fn(&ir);
        ir_exit_jmp(&ir, 0, 0);
        CHECK(!ir_verify(&ir, why, sizeof(why)));
        CHECK_STR(why, cases[i].why);
        ir_finish(&ir);
    }
}

TEST(verifier_wants_an_end)
{
    struct ir ir;
    char why[128] = "";

    begin(&ir);
    CHECK(!ir_verify(&ir, why, sizeof(why)));
    CHECK_STR(why, "v1 INSN: the region does not end in an exit");
    ir_finish(&ir);
}

/* ---- the dead pass ---- */

static unsigned count_op(const struct ir *ir, enum ir_op op)
{
    unsigned n = 0;

    for (unsigned i = 1; i < ir->count; i++)
        n += ir->insn[i].op == op;
    return n;
}

TEST(dead_put)
{
    struct ir ir;
    ir_val v;

    begin(&ir);
    v = ir_get(&ir, RBX);
    ir_put(&ir, RAX, v); /* overwritten below */
    ir_put(&ir, RAX, ir_not(&ir, v));
    ir_exit_jmp(&ir, 0, 0);
    ir_pass_dead(&ir);
    CHECK_EQ(count_op(&ir, IR_PUT), 1);
    CHECK_EQ(IR_USES(ir.insn[v].aux), 1);
    CHECK_EQ(IR_LAST_USE(ir.insn[v].aux), v + 2);
    ir_finish(&ir);
}

/* KILL at an exit makes PUTs before it dead, as far as no fault may show them. */
TEST(dead_by_kill)
{
    struct ir ir;
    ir_val v;

    begin(&ir);
    v = ir_get(&ir, RBX);
    ir_put(&ir, RBX, ir_not(&ir, v));
    ir_ld(&ir, IR_I64, v, 0, 3);
    ir_put(&ir, RAX, v);
    ir_kill(&ir, RAX);
    ir_kill(&ir, RBX);
    ir_exit_jmp(&ir, 0, 0);
    ir_pass_dead(&ir);
    CHECK_EQ(count_op(&ir, IR_PUT), 1);
    CHECK_EQ(count_op(&ir, IR_KILL), 0);
    ir_finish(&ir);
}

/* What stands between two PUTs of a slot, and whether it sees the first. */
TEST(dead_put_seen)
{
    for (unsigned what = 0; what < 8; what++) {
        struct ir ir;
        unsigned l;
        ir_val v;

        begin(&ir);
        v = ir_get(&ir, RBX);
        ir_put(&ir, RAX, v);
        switch (what) {
        case 0: ir_ld(&ir, IR_I64, v, 0, 3); break;
        case 1: ir_st(&ir, v, 0, v, 3); break;
        case 2: ir_call(&ir, &h_quiet, v, 0, 0, 0); break;
        case 3: ir_put(&ir, EAX, ir_get_low(&ir, RAX, IR_I32)); break;
        case 4:
            l = ir_new_label(&ir);
            ir_brcondi(&ir, IR_EQ, v, 0, l);
            ir_exit_loop(&ir, IR_REASON_NEXT);
            ir_label(&ir, l);
            break;
        case 5: ir_call(&ir, &h_pure, v, 0, 0, 0); break; /* does not see it */
        case 6: ir_insn_start(&ir, 0x1001); break;        /* nor this */
        case 7: ir_get_low(&ir, RAX, IR_I32); break;      /* nor a GET that nobody uses */
        }
        ir_put(&ir, RAX, ir_const(&ir, IR_I64, 1));
        ir_exit_jmp(&ir, 0, 0);
        ir_pass_dead(&ir);
        CHECK_EQ(count_op(&ir, IR_PUT), what >= 5 ? 1 : what == 3 ? 3 : 2);
        CHECK_EQ(count_op(&ir, IR_CALL), what == 2);
        ir_finish(&ir);
    }
}

TEST(dead_keeps_flags_and_faults)
{
    struct ir ir;
    ir_val v;

    begin(&ir);
    v = ir_get(&ir, X0);
    ir_vop2(&ir, IR_VFADD, IR_F32, v, v, 0);    /* its sticky flags count */
    ir_vop2(&ir, IR_VADD, IR_I8, v, v, 0);      /* unused */
    ir_ld(&ir, IR_I64, ir_get(&ir, RAX), 0, 3); /* may fault */
    ir_exit_jmp(&ir, 0, 0);
    ir_optimize(&ir);
    CHECK_EQ(count_op(&ir, IR_VFADD), 1);
    CHECK_EQ(count_op(&ir, IR_VADD), 0);
    CHECK_EQ(count_op(&ir, IR_LD), 1);
    ir_finish(&ir);
}
