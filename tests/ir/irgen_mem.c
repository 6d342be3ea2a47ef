/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random memory accesses and helper calls, and the memory and helpers they reach. Accesses lie
 * within 64 KiB at the guest address mem_at, or raise.
 */
#include <string.h>

#include "base/bits.h"
#include "irgen_ops.h"

static struct irgen *current; /* helpers and ops get a cpu only; a test is one thread */

void irgen_use(struct irgen *g)
{
    current = g;
}

void irgen_raise(struct irgen *g)
{
    longjmp(g->env, 1);
}

/* ---- what the interpreter calls ---- */

static uint8_t *place(gva_t a, unsigned size)
{
    if (a - current->mem_at > IRGEN_MEM_SIZE - size)
        current->raise(current);
    return current->mem + (a - current->mem_at);
}

static void check_align(gva_t a, unsigned size, unsigned flags)
{
    if (flags & IR_MEM_ALIGN && a & (size - 1))
        current->raise(current);
}

static void mem_load(void *cpu, gva_t a, void *buf, unsigned size, unsigned flags)
{
    check_align(a, size, flags);
    memcpy(buf, place(a, size), size);
}

static void mem_store(void *cpu, gva_t a, const void *buf, unsigned size, unsigned flags)
{
    check_align(a, size, flags);
    memcpy(place(a, size), buf, size);
}

static uint64_t mem_atomic(void *cpu, enum ir_op op, gva_t a, unsigned size, uint64_t b, uint64_t c)
{
    uint8_t *p = place(a, size);
    uint64_t old = 0, now;

    memcpy(&old, p, size);
    switch (op) {
    case IR_AT_XCHG: now = b; break;
    case IR_AT_ADD: now = old + b; break;
    case IR_AT_AND: now = old & b; break;
    case IR_AT_OR: now = old | b; break;
    case IR_AT_XOR: now = old ^ b; break;
    default: now = old == b ? c : old; break;
    }
    memcpy(p, &now, size);
    return old;
}

static void *mem_xlate(void *cpu, gva_t a, unsigned size, bool write)
{
    return place(a, size);
}

static bool never(void *cpu)
{
    return false;
}

const struct ir_interp_ops irgen_ops = {
    .load = mem_load,
    .store = mem_store,
    .atomic = mem_atomic,
    .xlate = mem_xlate,
    .poll = never,
};

/* ---- accesses ---- */

/* An address in 0..0x7fff, a multiple of align; sometimes, if allowed, one that raises. */
static ir_val address(struct irgen *g, unsigned align)
{
    ir_val a;

    if (align == 1 && g->near && irgen_below(g, 2)) /* neighbours off one base */
        return g->near;
    a = irgen_operand(g, IR_I64);
    if (g->flags & IRGEN_DIRECT && align > 1 && !irgen_below(g, 16))
        align = 1;
    if (g->flags & IRGEN_FAULT && !irgen_below(g, 25))
        return ir_addi(g->ir, ir_ori(g->ir, ir_andi(g->ir, a, 0x1fff0), 0x10000),
                       (int64_t)g->mem_at);
    a = ir_andi(g->ir, a, 0x7fff & ~(int64_t)(align - 1));
    if (!irgen_below(g, 3)) { /* still below 0x8000 + the largest displacement */
        int64_t c = irgen_below(g, 16) * 16;

        a = ir_subi(g->ir, ir_addi(g->ir, a, c + 16), c);
    }
    if (g->mem_at)
        a = ir_addi(g->ir, a, (int64_t)g->mem_at);
    if (align == 1)
        g->near = a;
    return a;
}

static ir_val gen_atomic(struct irgen *g)
{
    enum ir_type type = irgen_int_type(g);
    enum ir_op op = IR_AT_XCHG + irgen_below(g, 6);
    ir_val a = address(g, 8), b = irgen_operand(g, type);

    a = ir_atomic(g->ir, op, a, b, op == IR_AT_CAS ? irgen_operand(g, type) : IR_NO_VAL);
    if (g->flags & IRGEN_DIRECT)
        g->ir->insn[a].sub |= IR_MEM_ALIGN;
    return a;
}

ir_val irgen_memory(struct irgen *g)
{
    bool vector = g->flags & IRGEN_VECTOR && !irgen_below(g, 3);
    enum ir_type type = vector ? IR_V128 : irgen_int_type(g);
    unsigned size = vector ? 2 + irgen_below(g, 3) : irgen_below(g, type + 1);
    unsigned sign = !vector && irgen_below(g, 2) ? IR_MEM_SIGN : 0;
    int32_t disp =
        irgen_below(g, 3) ? (int32_t)irgen_below(g, 80) : (int32_t)irgen_below(g, 0x7fc0);
    ir_val a, v;

    switch (irgen_below(g, 10)) {
    case 0: return gen_atomic(g);
    case 1: /* read, modify, write through one translation */
        if (vector)
            break;
        v = irgen_operand(g, type);
        a = ir_xlate(g->ir, address(g, 1), disp, size | IR_MEM_WRITE);
        v = ir_add(g->ir, v, ir_ldh(g->ir, type, a, 0, size | sign));
        ir_sth(g->ir, a, 0, v, size);
        return v;
    case 2:
    case 3:
    case 4:
    case 5:
        v = irgen_operand(g, type);
        ir_st(g->ir, address(g, 1), disp, v, size);
        return IR_NO_VAL;
    case 6:
        if (size == 4 || g->flags & IRGEN_DIRECT) {
            a = address(g, 16);
            return ir_ld(g->ir, type, a, disp & ~15, size | IR_MEM_ALIGN);
        }
        break;
    case 7:
        if (!(g->flags & IRGEN_DIRECT))
            break;
        v = irgen_operand(g, type);
        ir_st(g->ir, address(g, 16), disp & ~(vector ? 7 : 15), v, size | IR_MEM_ALIGN);
        return IR_NO_VAL;
    }
    v = ir_ld(g->ir, type, address(g, 1), disp, size | sign);
    if (type >= IR_I64 || irgen_below(g, 2))
        return v;
    type += 1 + irgen_below(g, IR_I64 - type);
    a = irgen_below(g, 2) ? ir_zext(g->ir, type, v) : ir_sext(g->ir, type, v);
    if (!irgen_below(g, 3)) /* the narrow value is used as well */
        ir_st(g->ir, address(g, 1), disp, v, 0);
    return a;
}

/* ---- helpers ---- */

static uint64_t help_mix(void *cpu, uint64_t a, uint64_t b)
{
    return (a ^ b >> 7) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Returns more bits than its sig says. */
static uint64_t help_narrow(void *cpu, uint64_t a, uint64_t b, uint64_t c)
{
    return a * 3 + (b << 8) + (c << 4) + UINT64_C(0x1234567800000000);
}

static void help_vector(void *cpu, union ir_v128 *d, const union ir_v128 *a, const union ir_v128 *b)
{
    union ir_v128 r = { .u64 = { a->u64[1] + b->u64[0], a->u64[0] ^ b->u64[1] } };

    *d = r;
}

static uint64_t help_from_vector(void *cpu, const union ir_v128 *a, uint64_t b)
{
    return a->u64[0] + a->u64[1] * b;
}

/* Reads and writes slots. */
static uint64_t help_state(void *cpu, uint64_t a)
{
    struct irgen_state *s = (struct irgen_state *)((char *)cpu + current->base);

    s->r[3] += a + s->r[9];
    s->b[0] ^= (uint8_t)s->r[1];
    s->x[2].u64[0] += s->x[1].u64[1];
    return s->r[0] ^ s->w[0];
}

static void help_may_raise(void *cpu, uint64_t a)
{
    struct irgen_state *s = (struct irgen_state *)((char *)cpu + current->base);

    s->r[5] ^= a;
    if (current->flags & IRGEN_FAULT && (a & 15) == 3)
        current->raise(current);
    s->r[6] += s->r[2];
}

static const struct helper h_mix = { "mix", (helper_fn *)help_mix, "i64 i64 i64", HELPER_PURE };
static const struct helper h_narrow = { "narrow", (helper_fn *)help_narrow, "i32 i32 i8 i16",
                                        HELPER_PURE };
static const struct helper h_vector = { "vector", (helper_fn *)help_vector, "v128 v128 v128",
                                        HELPER_PURE };
static const struct helper h_from = { "from_vector", (helper_fn *)help_from_vector, "i64 v128 i32",
                                      HELPER_PURE };
static const struct helper h_state = { "state", (helper_fn *)help_state, "i64 i64",
                                       HELPER_NO_RAISE };
static const struct helper h_may_raise = { "may_raise", (helper_fn *)help_may_raise, "- i64", 0 };

ir_val irgen_call(struct irgen *g)
{
    ir_val a, b, c;

    switch (irgen_below(g, 6)) {
    case 0:
        a = irgen_operand(g, IR_I64);
        return ir_call(g->ir, &h_mix, a, irgen_operand(g, IR_I64), 0, 0);
    case 1:
        a = irgen_operand(g, IR_I32);
        b = irgen_operand(g, IR_I8);
        c = irgen_operand(g, IR_I16);
        return ir_call(g->ir, &h_narrow, a, b, c, 0);
    case 2:
        if (!(g->flags & IRGEN_VECTOR))
            break;
        a = irgen_operand(g, IR_V128);
        return ir_call(g->ir, &h_vector, a, irgen_operand(g, IR_V128), 0, 0);
    case 3:
        if (!(g->flags & IRGEN_VECTOR))
            break;
        a = irgen_operand(g, IR_V128);
        return ir_call(g->ir, &h_from, a, irgen_operand(g, IR_I32), 0, 0);
    case 4: return ir_call(g->ir, &h_state, irgen_operand(g, IR_I64), 0, 0, 0);
    }
    ir_call(g->ir, &h_may_raise, irgen_operand(g, IR_I64), 0, 0, 0);
    return IR_NO_VAL;
}
