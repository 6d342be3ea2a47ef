/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writes random IR programs. Each guest instruction is an INSN, some ops on slots and on values
 * made before, and a PUT or two; the programs terminate and touch only the state and the 64 KiB of
 * memory.
 */
#include "irgen.h"

#include <assert.h>
#include <fenv.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "irgen_ops.h"

enum { V = 4 }; /* pool of v128 */

uint64_t irgen_random(struct irgen *g)
{
    uint64_t z = (g->rng += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

unsigned irgen_below(struct irgen *g, unsigned n)
{
    return (unsigned)((irgen_random(g) >> 32) * n >> 32);
}

static bool chance(struct irgen *g, unsigned percent)
{
    return irgen_below(g, 100) < percent;
}

static unsigned add_slot(struct irgen *g, const char *name, size_t offset, enum ir_type type,
                         unsigned pin)
{
    g->slots[g->slot_count] = (struct ir_slot){ name, (uint16_t)(g->base + offset), type, pin };
    return g->slot_count++;
}

#define OFF(m) offsetof(struct irgen_state, m)
static void irgen_slots(struct irgen *g, unsigned base)
{
    static const char *const r[] = { "r0", "r1", "r2", "r3",  "r4",  "r5",  "r6",
                                     "r7", "r8", "r9", "r10", "r11", "r12", "r13" };
    static const char *const x[] = { "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7" };
    static const char *const w[] = { "w0", "w1", "w2", "w3" }, *const b[] = { "b0", "b1", "b2",
                                                                              "b3" };

    *g = (struct irgen){ .base = base, .raise = irgen_raise };
    assert(base % 16 == 0);
    g->slot_pc = add_slot(g, "pc", OFF(pc), IR_I64, 0);
    g->first_r = g->slot_count;
    for (unsigned k = 0; k < 14; k++)
        add_slot(g, r[k], OFF(r) + 8 * k, IR_I64, k < 8 ? k + 1 : 0);
    g->first_w = g->slot_count;
    for (unsigned k = 0; k < 4; k++)
        add_slot(g, w[k], OFF(w) + 4 * k, IR_I32, k == 0 ? 9 : 0);
    g->first_h = g->slot_count;
    add_slot(g, "h0", OFF(h), IR_I16, 0);
    add_slot(g, "h1", OFF(h) + 2, IR_I16, 0);
    g->first_b = g->slot_count;
    for (unsigned k = 0; k < 4; k++)
        add_slot(g, b[k], OFF(b) + k, IR_I8, k == 0 ? 10 : 0);
    g->first_x = g->slot_count;
    for (unsigned k = 0; k < 8; k++)
        add_slot(g, x[k], OFF(x) + 16 * k, IR_V128, k < 4 ? k + 1 : 0);
    g->loop_slot = add_slot(g, "loop", OFF(loop), IR_I32, 0);
    irgen_use(g);
}
#undef OFF

enum { MAPPED = 4 * IRGEN_MEM_SIZE };

void irgen_init_at(struct irgen *g, unsigned base, uint64_t at)
{
    irgen_slots(g, base);
    g->mem_at = at;
    g->mem = mmap((void *)at, MAPPED, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);
    if (g->mem == MAP_FAILED || mprotect(g->mem, IRGEN_MEM_SIZE, PROT_READ | PROT_WRITE))
        abort();
}

void irgen_init(struct irgen *g, unsigned base)
{
    irgen_init_at(g, base, 0);
}

void irgen_finish(struct irgen *g)
{
    munmap(g->mem, MAPPED);
    g->mem = NULL;
}

/* ---- random values ---- */

static uint64_t interesting(struct irgen *g)
{
    static const uint64_t list[] = { 0,
                                     1,
                                     2,
                                     0x7f,
                                     0x80,
                                     0xff,
                                     0x7fff,
                                     0x8000,
                                     0xffff,
                                     0x7fffffff,
                                     0x80000000,
                                     0xffffffff,
                                     0x7fffffffffffffff,
                                     0x8000000000000000,
                                     0xffffffffffffffff };

    uint64_t r = irgen_random(g);

    switch (irgen_below(g, 4)) {
    case 0: return list[irgen_below(g, ARRAY_SIZE(list))];
    case 1: return r >> (r & 63);
    case 2: return 0 - (r >> (r & 63));
    default: return r;
    }
}

/* A 32-bit float (f64: a double) that is often ordinary and sometimes special. */
static uint64_t random_float(struct irgen *g, bool f64)
{
    static const uint32_t f32s[] = { 0,          0x80000000, 0x7f800000, 0xff800000, 0x7fc00001,
                                     0xffc12345, 0x7f812345, 1,          0x007fffff, 0x4f000000,
                                     0xcf000000, 0x3f000000, 0x3fc00000 };
    union {
        double d;
        uint64_t u;
    } d;
    union {
        float f;
        uint32_t u;
    } s = { .u = f32s[irgen_below(g, ARRAY_SIZE(f32s))] };
    uint64_t bits;

    if (chance(g, 25)) {
        d.u = (uint64_t)(s.u >> 31) << 63;
        if ((s.u >> 23 & 0xff) == 0xff)
            d.u |= UINT64_C(0x7ff0000000000000) | (uint64_t)(s.u & 0x7fffff) << 29;
        else
            d.u |= s.u & 0x7fffff;
        return f64 ? d.u : s.u;
    }
    bits = irgen_random(g);
    d.d = (double)((int64_t)bits >> (bits & 63)) / (double)(1u << irgen_below(g, 31));
    s.f = (float)d.d;
    return f64 ? d.u : s.u;
}

void irgen_fill(struct irgen *g, void *cpu, uint64_t seed)
{
    struct irgen_state *s = (struct irgen_state *)((char *)cpu + g->base);
    uint64_t *mem = (uint64_t *)g->mem;

    g->rng = seed ^ UINT64_C(0x5eed);
    memset(s, 0, sizeof(*s));
    for (unsigned k = 0; k < ARRAY_SIZE(s->r); k++)
        s->r[k] = interesting(g);
    for (unsigned k = 0; k < ARRAY_SIZE(s->w); k++)
        s->w[k] = (uint32_t)interesting(g);
    for (unsigned k = 0; k < ARRAY_SIZE(s->h); k++)
        s->h[k] = (uint16_t)interesting(g);
    for (unsigned k = 0; k < ARRAY_SIZE(s->b); k++)
        s->b[k] = (uint8_t)interesting(g);
    for (unsigned k = 0; k < ARRAY_SIZE(s->x); k++)
        for (unsigned j = 0; j < 2; j++)
            s->x[k].u64[j] = k % 3 == 0   ? irgen_random(g)
                             : k % 3 == 1 ? random_float(g, true)
                                          : random_float(g, false) * UINT64_C(0x100000001);
    for (unsigned k = 0; k < IRGEN_MEM_SIZE / 8; k++)
        mem[k] = (seed + k) * UINT64_C(0x9e3779b97f4a7c15);
}

/* ---- operands ---- */

static void remember(struct irgen *g, ir_val v)
{
    enum ir_type type = ir_type_of(g->ir, v);
    unsigned p = type == IR_V128 ? V : type;

    g->pool[p][g->pool_count[p]++ % IRGEN_POOL] = v;
}

static void forget_all(struct irgen *g)
{
    memset(g->pool_count, 0, sizeof(g->pool_count));
    g->near = IR_NO_VAL;
}

static ir_val from_slot(struct irgen *g, enum ir_type type)
{
    unsigned r = g->first_r + irgen_below(g, 14);

    if (chance(g, 30) && type < IR_I64)
        return ir_get_low(g->ir, r, type);
    if (chance(g, 10) && (type == IR_I32 || type == IR_I64) && g->flags & IRGEN_VECTOR)
        return ir_get_low(g->ir, g->first_x + irgen_below(g, 8), type);
    switch (type) {
    case IR_I8: return ir_get(g->ir, g->first_b + irgen_below(g, 4));
    case IR_I16: return ir_get(g->ir, g->first_h + irgen_below(g, 2));
    case IR_I32: return ir_get(g->ir, g->first_w + irgen_below(g, 4));
    case IR_I64: return ir_get(g->ir, r);
    default: return ir_get(g->ir, g->first_x + irgen_below(g, 8));
    }
}

ir_val irgen_operand(struct irgen *g, enum ir_type type)
{
    unsigned p = type == IR_V128 ? V : type, n = MIN(g->pool_count[p], IRGEN_POOL);

    if (n && chance(g, 55))
        return g->pool[p][irgen_below(g, n)];
    if (type != IR_V128 && chance(g, 30))
        return ir_const(g->ir, type, (int64_t)interesting(g));
    if (type == IR_V128 && chance(g, 10))
        return ir_vconst(g->ir, interesting(g));
    return from_slot(g, type);
}

enum ir_type irgen_int_type(struct irgen *g)
{
    static const uint8_t types[] = { IR_I8, IR_I16, IR_I32, IR_I32, IR_I64, IR_I64, IR_I64 };

    return types[irgen_below(g, ARRAY_SIZE(types))];
}

static enum ir_type wide_type(struct irgen *g)
{
    return chance(g, 50) ? IR_I32 : IR_I64;
}

/* Stores v in a random slot of its type. */
static void put(struct irgen *g, ir_val v)
{
    switch (ir_type_of(g->ir, v)) {
    case IR_I8: ir_put(g->ir, g->first_b + irgen_below(g, 4), v); break;
    case IR_I16: ir_put(g->ir, g->first_h + irgen_below(g, 2), v); break;
    case IR_I32: ir_put(g->ir, g->first_w + irgen_below(g, 4), v); break;
    case IR_I64: ir_put(g->ir, g->first_r + irgen_below(g, 14), v); break;
    default: ir_put(g->ir, g->first_x + irgen_below(g, 8), v); break;
    }
}

/* ---- integer ops ---- */

static ir_val gen_division(struct irgen *g)
{
    enum ir_type type = wide_type(g);
    ir_val a = irgen_operand(g, type);
    ir_val b = ir_ori(g->ir, ir_andi(g->ir, irgen_operand(g, type), 0x7fff), 1);

    return ir_op2(g->ir, IR_UDIV + irgen_below(g, 4), a, b);
}

static ir_val gen_crc32c(struct irgen *g)
{
    enum ir_type type = irgen_int_type(g);
    ir_val a = irgen_operand(g, IR_I32);

    return ir_crc32c(g->ir, a, irgen_operand(g, type), irgen_below(g, type + 1));
}

static ir_val gen_shift(struct irgen *g)
{
    enum ir_type type = irgen_int_type(g);
    enum ir_op op = IR_SHL + irgen_below(g, 5);
    ir_val a = irgen_operand(g, type);

    if (chance(g, 60))
        return ir_op2i(g->ir, op, a, irgen_below(g, ir_type_bits[type]));
    return ir_op2(
        g->ir, op, a,
        ir_andi(g->ir, irgen_operand(g, chance(g, 50) ? IR_I8 : type), ir_type_bits[type] - 1));
}

static ir_val gen_width(struct irgen *g)
{
    unsigned to = irgen_below(g, 3) + 1;
    enum ir_type from = irgen_below(g, to);

    switch (irgen_below(g, 3)) {
    case 0: return ir_zext(g->ir, to, irgen_operand(g, from));
    case 1: return ir_sext(g->ir, to, irgen_operand(g, from));
    default: return ir_trunc(g->ir, from, irgen_operand(g, to));
    }
}

static ir_val gen_field(struct irgen *g)
{
    enum ir_type type = irgen_int_type(g);
    unsigned pos = chance(g, 60) ? irgen_below(g, ir_type_bits[type] / 8) * 8
                                 : irgen_below(g, ir_type_bits[type]);
    unsigned len = 1 + irgen_below(g, ir_type_bits[type] - pos);
    ir_val a = irgen_operand(g, type), b;

    if (chance(g, 50))
        return ir_extract(g->ir, a, pos, len);
    b = irgen_operand(g, type);
    return ir_deposit(g->ir, a, b, pos, len);
}

static ir_val gen_lea(struct irgen *g)
{
    enum ir_type type = wide_type(g);
    ir_val a = irgen_operand(g, type), b = irgen_operand(g, type);

    int32_t disp = (int32_t)interesting(g);

    return ir_lea(g->ir, a, b, irgen_below(g, 4), disp);
}

static ir_val gen_compare(struct irgen *g)
{
    enum ir_type type = irgen_int_type(g), to = irgen_int_type(g);
    enum ir_cond cond = irgen_below(g, IR_COND_COUNT);
    ir_val a = irgen_operand(g, type), b = irgen_operand(g, type), yes, no;

    if (chance(g, 50))
        return ir_setcond(g->ir, to, cond, a, b);
    yes = irgen_operand(g, to);
    no = irgen_operand(g, to);
    return ir_select(g->ir, cond, a, b, yes, no);
}

static ir_val gen_unary(struct irgen *g)
{
    static const uint8_t ops[] = { IR_NOT, IR_NEG, IR_COPY, IR_BSWAP, IR_CLZ, IR_CTZ, IR_POPCNT };
    enum ir_op op = ops[irgen_below(g, ARRAY_SIZE(ops))];
    enum ir_type type = op >= IR_CLZ ? wide_type(g) : irgen_int_type(g);

    if (op == IR_BSWAP && type == IR_I8)
        type = IR_I16;
    return ir_op1(g->ir, op, irgen_operand(g, type));
}

static ir_val gen_binary(struct irgen *g)
{
    static const uint8_t ops[] = { IR_ADD, IR_ADD, IR_SUB,  IR_SUB, IR_AND,   IR_AND,
                                   IR_OR,  IR_XOR, IR_ANDC, IR_MUL, IR_MULUH, IR_MULSH };
    enum ir_op op = ops[irgen_below(g, ARRAY_SIZE(ops))];
    enum ir_type type = op == IR_MULUH || op == IR_MULSH ? wide_type(g) : irgen_int_type(g);
    ir_val a = irgen_operand(g, type);

    return ir_op2(g->ir, op, a, chance(g, 10) ? a : irgen_operand(g, type));
}

ir_val irgen_integer(struct irgen *g)
{
    switch (irgen_below(g, 16)) {
    case 0: return irgen_below(g, 3) ? gen_division(g) : gen_crc32c(g);
    case 1:
    case 2: return gen_shift(g);
    case 3:
    case 4: return gen_width(g);
    case 5:
    case 6: return gen_field(g);
    case 7: return gen_lea(g);
    case 8:
    case 9: return gen_compare(g);
    case 10: return gen_unary(g);
    default: return gen_binary(g);
    }
}

/* ---- control ---- */

static void gen_exit(struct irgen *g)
{
    unsigned what = irgen_below(g, 4), sub = irgen_below(g, 12);

    switch (what) {
    case 0: ir_exit_ind(g->ir, irgen_operand(g, IR_I64), sub % 3); break;
    case 1:
        ir_put(g->ir, g->slot_pc, ir_const(g->ir, IR_I64, (int64_t)(g->insn_pc + 100)));
        ir_exit_loop(g->ir, sub % 2);
        break;
    case 2:
        if (g->flags & IRGEN_DIRECT) { /* a loop of the whole region */
            ir_exit_jmp(g->ir, g->ir->pc, sub % 4);
            break;
        }
        /* fall through */
    default: ir_exit_jmp(g->ir, g->insn_pc + irgen_below(g, 1000), sub % 4);
    }
}

static void branch_to(struct irgen *g, unsigned label)
{
    enum ir_type type = irgen_int_type(g);
    ir_val a = irgen_operand(g, type), b = irgen_operand(g, type);

    ir_brcond(g->ir, irgen_below(g, IR_COND_COUNT), a, b, label);
    forget_all(g);
}

static void place_label(struct irgen *g, unsigned label)
{
    ir_label(g->ir, label);
    forget_all(g);
}

static void gen_branch(struct irgen *g)
{
    unsigned label;

    switch (irgen_below(g, 4)) {
    case 0:
    case 1: /* forward, placed some instructions later */
        if (g->pending_count == ARRAY_SIZE(g->pending))
            break;
        label = g->pending[g->pending_count++] = ir_new_label(g->ir);
        branch_to(g, label);
        break;
    case 2: /* side exit */
        label = ir_new_label(g->ir);
        branch_to(g, label);
        gen_exit(g);
        place_label(g, label);
        break;
    default: /* diamond */
        label = ir_new_label(g->ir);
        branch_to(g, label);
        put(g, irgen_integer(g));
        if (chance(g, 50)) {
            unsigned join = ir_new_label(g->ir);

            ir_br(g->ir, join);
            place_label(g, label);
            put(g, irgen_integer(g));
            label = join;
        }
        place_label(g, label);
    }
}

static void gen_insn(struct irgen *g)
{
    ir_insn_start(g->ir, g->insn_pc);
    g->insn_pc += 1 + irgen_below(g, 8);
    for (unsigned n = 1 + irgen_below(g, 3); n; n--) {
        unsigned what = irgen_below(g, 100);
        ir_val v = IR_NO_VAL;

        if (what < 20 && g->flags & IRGEN_MEM)
            v = irgen_memory(g);
        else if (what < 45 && g->flags & IRGEN_VECTOR)
            v = irgen_vector(g);
        else if (what < 52 && g->flags & IRGEN_CALL)
            v = irgen_call(g);
        else
            v = irgen_integer(g);
        if (v)
            remember(g, v);
        if (v && chance(g, 60))
            put(g, v);
    }
    if (chance(g, 2))
        ir_retaddr(g->ir, g->insn_pc);
    if (g->flags & IRGEN_BRANCH && chance(g, 15))
        gen_branch(g);
    if (g->pending_count && chance(g, 25))
        place_label(g, g->pending[--g->pending_count]);
}

/* A loop of 2 or 3 rounds around the body. The body may jump out of it, never into it. */
static void gen_loop(struct irgen *g)
{
    unsigned head = ir_new_label(g->ir), outer = g->pending_count;
    ir_val n;

    ir_put(g->ir, g->loop_slot, ir_const(g->ir, IR_I32, 2 + irgen_below(g, 2)));
    place_label(g, head);
    for (unsigned k = 1 + irgen_below(g, 4); k; k--)
        gen_insn(g);
    while (g->pending_count > outer)
        place_label(g, g->pending[--g->pending_count]);
    n = ir_subi(g->ir, ir_get(g->ir, g->loop_slot), 1);
    ir_put(g->ir, g->loop_slot, n);
    ir_brcondi(g->ir, IR_GTS, n, 0, head);
    forget_all(g);
}

void irgen_program(struct irgen *g, struct ir *ir, uint64_t seed, unsigned flags)
{
    unsigned insns;

    irgen_use(g);
    g->ir = ir;
    g->rng = seed;
    g->flags = flags;
    g->pending_count = 0;
    g->fixes = false;
    g->insn_pc = 0x400000 + (seed & 0xfff0);
    forget_all(g);
    ir_begin(ir, g->insn_pc);
    insns = flags & IRGEN_LONG ? 200 + irgen_below(g, 200) : 1 + irgen_below(g, 16);
    for (unsigned k = 0; k < insns && ir_room(ir) > 512; k++) {
        if (flags & IRGEN_BRANCH && chance(g, 5))
            gen_loop(g);
        gen_insn(g);
    }
    while (g->pending_count)
        place_label(g, g->pending[--g->pending_count]);
    gen_exit(g);
    ir->guest_size = (uint32_t)(g->insn_pc - ir->pc);
}

int irgen_run(struct irgen *g, const struct ir *ir, void *cpu, unsigned *flags)
{
    volatile int kind = IRGEN_RAISED;
    fenv_t env;

    irgen_use(g);
    feholdexcept(&env);
    fesetround(FE_TONEAREST);
    if (!setjmp(g->env))
        kind = ir_interp(ir, cpu, &irgen_ops);
    if (flags) {
#if defined(__x86_64__)
        *flags = __builtin_ia32_stmxcsr();
#else
        *flags = 0;
#endif
    }
    fesetenv(&env);
    return kind;
}
