/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Calls of C helpers through the common stubs, which take arguments in rsi, rdx, rcx, rax and rdi
 * (for C's second to sixth), the helper's offset in the table on the stack, and return in rax.
 * Vectors go by pointer; a vector result comes in the first 16 bytes of the scratch area.
 */
#include <stddef.h>

#include "host/x86_64/cg.h"
#include "host/x86_64/ops.h"
#include "ir/op_helper.h"

enum arg_kind { ARG_REG, ARG_VALUE, ARG_ADDRESS, ARG_DONE };
struct arg {
    uint8_t kind, dst, src;
    ir_val v;
    struct rm at; /* ARG_ADDRESS */
};

static const uint8_t arg_regs[5] = { RSI, RDX, RCX, RAX, RDI };

/* Memory that holds the vector: its slot, its spill place, or scratch place k. */
static struct rm vector_place(struct cg *c, unsigned v, unsigned k)
{
    const struct val *x = &c->val[v];
    struct rm at = cpu_mem(c->env.off_scratch + 16 * k);

    if (x->loc == LOC_SLOT)
        return slot_mem(c, x->home);
    if (x->loc == LOC_SPILL)
        return spill_mem(c, x->spill);
    if (x->loc == LOC_CONST)
        return const_vec(c, (uint64_t)insn_of(c, v)->imm, (uint64_t)insn_of(c, v)->imm);
    as_op(&c->as, OP_0F | 0x29, x->reg, at); /* movaps */
    return at;
}

static bool is_source(const struct arg *a, unsigned count, unsigned reg, unsigned except)
{
    for (unsigned k = 0; k < count; k++)
        if (k != except && a[k].kind == ARG_REG && a[k].src == reg)
            return true;
    return false;
}

/* Register moves in an order that destroys no source; cycles by exchange. */
static void move_args(struct cg *c, struct arg *a, unsigned count)
{
    for (;;) {
        bool left = false, moved = false;
        unsigned cycle = 0;

        for (unsigned k = 0; k < count; k++) {
            if (a[k].kind != ARG_REG)
                continue;
            if (a[k].src != a[k].dst && is_source(a, count, a[k].dst, k)) {
                left = true;
                cycle = k;
                continue;
            }
            if (a[k].src != a[k].dst)
                as_mov(&c->as, true, a[k].dst, a[k].src);
            a[k].kind = ARG_DONE;
            moved = true;
        }
        if (!left)
            return;
        if (moved)
            continue;
        as_op(&c->as, 0x87 | OP_W, a[cycle].src, rm_reg(a[cycle].dst)); /* xchg */
        for (unsigned k = 0; k < count; k++)
            if (k != cycle && a[k].kind == ARG_REG)
                a[k].src = a[k].src == a[cycle].dst   ? a[cycle].src
                           : a[k].src == a[cycle].src ? a[cycle].dst
                                                      : a[k].src;
        a[cycle].kind = ARG_DONE;
    }
}

/* Integer arguments are zero-extended to 64 bits. */
static void extend_arg(struct cg *c, const struct arg *a)
{
    unsigned type = insn_of(c, a->v)->type, have = c->val[a->v].zbits;

    if (type < IR_I64 && !is_const(c, a->v) && have > ir_type_bits[type])
        as_movzx(&c->as, type, a->dst, rm_reg(a->dst));
}

static void load_arg(struct cg *c, const struct arg *a)
{
    const struct ir_insn *n = insn_of(c, a->v);

    if (is_const(c, a->v))
        as_mov_imm(&c->as, a->dst,
                   n->type == IR_I64 ? n->imm
                                     : (int64_t)bits((uint64_t)n->imm, 0, ir_type_bits[n->type]));
    else
        load_to(c, a->dst, a->v);
}

static void pass_args(struct cg *c, const struct ir_insn *n, bool out)
{
    struct arg a[5];
    unsigned count = 0;

    if (out)
        a[count++] = (struct arg){ .kind = ARG_ADDRESS, .at = cpu_mem(c->env.off_scratch) };
    for (unsigned k = 0; k < n->nargs; k++) {
        ir_val v = n->arg[k];

        a[count].v = v;
        if (is_vec_type(insn_of(c, v)->type)) {
            a[count].kind = ARG_ADDRESS;
            a[count].at = vector_place(c, v, k + 1);
        } else if (c->val[v].loc == LOC_REG && !is_const(c, v)) {
            a[count].kind = ARG_REG;
            a[count].src = c->val[v].reg;
        } else {
            a[count].kind = ARG_VALUE;
        }
        count++;
    }
    for (unsigned k = 0; k < count; k++)
        a[k].dst = arg_regs[k];
    move_args(c, a, count);
    for (unsigned k = 0; k < count; k++) {
        if (a[k].kind == ARG_ADDRESS)
            as_lea(&c->as, true, a[k].dst, a[k].at);
        else if (a[k].kind == ARG_VALUE)
            load_arg(c, &a[k]);
        if (a[k].kind != ARG_ADDRESS)
            extend_arg(c, &a[k]);
    }
}

void emit_call(struct cg *c, const struct ir_insn *n)
{
    const struct helper *h = (const struct helper *)(intptr_t)n->imm;
    bool pure = h->flags & HELPER_PURE;
    unsigned index = c->env.helper_index(c->env.opaque, h);

    save_for_call(c, pure);
    pass_args(c, n, is_vec_type(n->type));
    as_push_imm(&c->as, (int32_t)(index * sizeof(helper_fn *)));
    as_call_to(&c->as, stub_at(c, pure ? c->stub.pure : c->stub.call));
    fault_entry(c, c->pc, NULL, 0);
    args_done(c);
    forget_temps(c);
    c->locked = 0;
    as_flags_lost(&c->as);
    if (is_vec_type(n->type))
        as_op(&c->as, OP_0F | 0x28, def_reg(c, 0, 64), cpu_mem(c->env.off_scratch));
    else if (n->type != IR_NONE)
        def_in(c, RAX, 64);
}

void emit_by_helper(struct cg *c, const struct ir_insn *n)
{
    unsigned index = c->env.helper_index(c->env.opaque, &ir_op_helpers[n->nargs]);

    save_for_call(c, true);
    pass_args(c, n, true);
    as_mov_imm(&c->as, arg_regs[1 + n->nargs], (int64_t)ir_op_word(n));
    as_push_imm(&c->as, (int32_t)(index * sizeof(helper_fn *)));
    as_call_to(&c->as, stub_at(c, c->stub.pure));
    args_done(c);
    forget_temps(c);
    c->locked = 0;
    as_flags_lost(&c->as);
    as_op(&c->as, OP_0F | 0x28, def_reg(c, 0, 64), cpu_mem(c->env.off_scratch));
}
