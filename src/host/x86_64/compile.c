/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The x86-64 backend's driver: the record, one buffer's state, and compiling a region: scan
 * backward, emit forward through the op table, then the cold code.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "host/x86_64/cg.h"
#include "host/x86_64/features.h"

enum { COLD_ROOM = 256 }; /* bytes of one piece of cold code at most */

/* Pin preference 1 goes to the first register. */
static const uint8_t pin_int[] = { RBX, R12, R13, R14, R15, R8, R9, R10, R11 };
enum { PIN_VEC_COUNT = 12 };

/* ---- one code buffer ---- */

static void pin_slots(struct cg *c)
{
    unsigned ints = 0, vecs = 0;

    memset(c->pin, NOREG, c->env.slot_count);
    memset(c->pin_slot, 0xff, sizeof(c->pin_slot));
    for (unsigned pref = 1; pref < 256; pref++)
        for (unsigned s = 0; s < c->env.slot_count; s++) {
            bool vec = is_vec_type(c->slots[s].type);
            unsigned r = NOREG;

            if (c->slots[s].pin != pref)
                continue;
            if (vec && vecs < PIN_VEC_COUNT)
                r = XMM4 + vecs++;
            else if (c->slots[s].type == IR_I64 && ints < sizeof(pin_int))
                r = pin_int[ints++];
            if (r == NOREG)
                continue;
            c->pin[s] = (uint8_t)r;
            c->pin_slot[r] = (uint16_t)s;
            c->pinned |= 1u << r;
        }
}

static bool check_env(const struct host_env *env, struct error *err)
{
    if (env->off_scratch & 15)
        return fail(err, EINVAL, "x86-64 backend: the scratch area is not 16-byte aligned");
    for (unsigned s = 0; s < env->slot_count; s++)
        if (is_vec_type(env->slots[s].type) && env->slots[s].offset & 15)
            return fail(err, EINVAL, "x86-64 backend: slot %s is not 16-byte aligned",
                        env->slots[s].name);
    if (!env->direct && (env->page_bits < 6 || env->page_bits + env->tlb_bits > 31))
        return fail(err, EINVAL, "x86-64 backend: %u page bits with %u TLB bits do not fit",
                    env->page_bits, env->tlb_bits);
    return true;
}

static void x64_finish(void *state)
{
    struct cg *c = state;

    if (!c)
        return;
    free(c->slots);
    free(c->pin);
    free(c->slot_next);
    free(c->slot_put);
    free(c->val);
    free(c->label);
    free(c->fixups);
    free(c->cold);
    free(c->snap);
    free(c->faults);
    free(c);
}

static void *x64_init(struct host_code_buf *buf, const struct host_env *env, struct error *err)
{
    struct cg *c;

    if (!check_env(env, err))
        return NULL;
    if (buf->size - buf->used < 16384) {
        fail(err, ENOMEM, "x86-64 backend: a code buffer of %zu bytes is too small", buf->size);
        return NULL;
    }
    c = xnew(struct cg);
    c->buf = buf;
    c->env = *env;
    c->has = host_x64_features();
    c->parallel = !env->direct;
    c->slots = xmemdup(env->slots, env->slot_count * sizeof(*env->slots));
    c->env.slots = c->slots;
    c->pin = xnew_array(uint8_t, env->slot_count);
    c->slot_next = xnew_array(uint32_t, env->slot_count);
    c->slot_put = xnew_array(uint32_t, env->slot_count);
    pin_slots(c);
    c->as.p = buf->rw + buf->used;
    c->as.base = buf->rw;
    stubs_emit(c);
    buf->used = (size_t)(c->as.p - buf->rw);
    return c;
}

/* ---- one region ---- */

struct cold *cold_new(struct cg *c, enum cold_kind kind)
{
    struct cold *k;

    if (c->cold_count == c->cold_cap) {
        c->cold_cap = c->cold_cap ? c->cold_cap * 2 : 64;
        c->cold = xrealloc_array(c->cold, c->cold_cap, sizeof(*c->cold));
    }
    k = &c->cold[c->cold_count++];
    *k = (struct cold){ .kind = (uint8_t)kind };
    return k;
}

void label_ref(struct cg *c, uint8_t *rel32, unsigned label)
{
    if (c->fixup_count == c->fixup_cap) {
        c->fixup_cap = c->fixup_cap ? c->fixup_cap * 2 : 64;
        c->fixups = xrealloc_array(c->fixups, c->fixup_cap, sizeof(*c->fixups));
    }
    c->fixups[c->fixup_count].at = rel32;
    c->fixups[c->fixup_count++].label = (uint16_t)label;
}

struct rm const_vec(struct cg *c, uint64_t lo, uint64_t hi)
{
    uint32_t k = (uint32_t)((lo ^ hi * 3) * UINT64_C(0x9e3779b97f4a7c15) >> 56), at;

    for (unsigned tries = 0; tries < 16; tries++, k = (k + 1) % CONST_COUNT) {
        at = c->stub.consts + 16 * k;
        if (c->consts[k].used && (c->consts[k].lo != lo || c->consts[k].hi != hi))
            continue;
        c->consts[k].used = true;
        c->consts[k].lo = lo;
        c->consts[k].hi = hi;
        memcpy(c->buf->rw + at, &lo, 8);
        memcpy(c->buf->rw + at + 8, &hi, 8);
        return rm_rip(at);
    }
    as_u8(&c->as, 0xeb); /* no room: here, jumped over */
    at = (uint32_t) - (uintptr_t)(c->as.p + 1) & 15;
    as_u8(&c->as, at + 16);
    as_nops(&c->as, at);
    at = (uint32_t)(c->as.p - c->buf->rw);
    as_u64(&c->as, lo);
    as_u64(&c->as, hi);
    return rm_rip(at);
}

const struct host_op *host_op_of(unsigned op)
{
    if (ops_int[op].emit)
        return &ops_int[op];
    if (ops_vec[op].emit)
        return &ops_vec[op];
    if (ops_simd[op].emit)
        return &ops_simd[op];
    if (ops_fix[op].emit)
        return &ops_fix[op];
    if (ops_mem[op].emit)
        return &ops_mem[op];
    return &ops_flow[op];
}

static void region_begin(struct cg *c)
{
    const struct ir *ir = c->ir;

    if (ir->count + SHARE_MAX > c->val_cap) {
        c->val_cap = (ir->count + SHARE_MAX) * 2;
        c->val = xrealloc_array(c->val, c->val_cap, sizeof(*c->val));
    }
    if (ir->labels >= c->label_cap) {
        c->label_cap = (ir->labels + 1) * 2;
        c->label = xrealloc_array(c->label, c->label_cap, sizeof(*c->label));
    }
    for (unsigned k = 0; k < ir->labels; k++)
        c->label[k] = (struct label){ .at = UINT32_MAX };
    c->skip = c->fcom_user = 0;
    c->fixup_count = c->cold_count = 0;
    c->snap_size = c->fault_size = c->fault_ra = 0;
    c->fault_pc = 0;
    c->pc = ir->pc;
    c->as.p = c->buf->rw + ALIGN_UP(c->buf->used, 16);
    c->start = c->as.p;
    loop_begin(c);
    alloc_begin(c);
    fault_begin(c);
    scan(c);
}

static void check_vec_live(struct cg *c)
{
    struct cold *k;

    if (!c->uses_vec)
        return;
    k = cold_new(c, COLD_VEC_LIVE);
    as_alu_imm(&c->as, ALU_CMP, 0, cpu_mem(c->env.off_vec_live), 0);
    k->from[0] = as_jcc(&c->as, CC_E);
    k->back = c->as.p;
}

static bool room(const struct cg *c)
{
    const uint8_t *end = c->buf->rw + c->buf->size;

    return c->as.p < end && (size_t)(end - c->as.p) > INSN_ROOM + (size_t)c->cold_count * COLD_ROOM;
}

static bool emit_insns(struct cg *c)
{
    check_vec_live(c);
    loop_enter(c);
    for (c->i = 1; c->i < c->ir->count; c->i++) {
        const struct ir_insn *n = insn_of(c, c->i);
        const struct val *x = &c->val[c->i];

        if (c->i < c->skip || (!x->last && !(ir_op_info[n->op].flags & IR_FLAG_SIDE)))
            continue;
        if (!room(c))
            return false;
        alloc_insn(c);
        host_op_of(n->op)->emit(c, n);
        args_done(c);
        if (x->last <= c->i && x->loc != LOC_NONE)
            val_drop(c, c->i);
        if (c->spill_full) {
            c->ret->too_big = true;
            return false;
        }
    }
    return true;
}

static void emit_cold(struct cg *c)
{
    for (unsigned k = 0; k < c->cold_count; k++) {
        if (c->cold[k].kind >= COLD_EXIT)
            cold_exit(c, &c->cold[k]);
        else if (c->cold[k].kind >= COLD_FIX && c->cold[k].kind <= COLD_UNSIGNED)
            cold_fix(c, &c->cold[k]);
        else
            cold_mem(c, &c->cold[k]);
    }
    for (unsigned k = 0; k < c->fixup_count; k++)
        as_patch(c->fixups[k].at, c->start + c->label[c->fixups[k].label].at);
}

static bool x64_compile(void *state, const struct ir *ir, uint32_t exit_base, struct arena *arena,
                        struct host_region *ret)
{
    struct cg *c = state;
    bool ok;

    assert(c->pin[ir->slot_pc] == NOREG);
    *ret = (struct host_region){ 0 };
    c->ir = ir;
    c->arena = arena;
    c->ret = ret;
    c->exit_base = exit_base;
    region_begin(c);
    ok = room(c) && emit_insns(c);
    if (ok)
        emit_cold(c);
    loop_finish(c);
    if (!ok)
        return false;
    ret->code = (uint32_t)(c->start - c->buf->rw);
    ret->code_size = (uint32_t)(c->as.p - c->start);
    ret->fault_size = c->fault_size;
    ret->fault_table = arena_alloc(arena, c->fault_size + 1, 1);
    if (c->fault_size)
        memcpy(ret->fault_table, c->faults, c->fault_size);
    c->buf->used = (size_t)(c->as.p - c->buf->rw);
    return true;
}

/* ---- running and linking ---- */

static struct host_result x64_enter(void *state, void *cpu, uint32_t code)
{
    const struct cg *c = state;
    struct host_result (*run)(void *, const uint8_t *);
    const uint8_t *at = c->buf->rx + c->stub.enter;

    memcpy(&run, &at, sizeof(run));
    return run(cpu, c->buf->rx + code);
}

/* The jump may run in other threads meanwhile: one aligned store. */
static void patch(struct cg *c, uint32_t at, uint32_t to)
{
    __atomic_store_n((uint32_t *)(void *)(c->buf->rw + at), to - (at + 4), __ATOMIC_RELEASE);
}

static void x64_link(void *state, const struct host_exit *e, uint32_t code)
{
    if (e->self_patch && code == e->self_code)
        patch(state, e->self_patch, e->self_entry);
    else
        patch(state, e->patch, code);
}

static void x64_unlink(void *state, const struct host_exit *e)
{
    if (e->self_patch)
        patch(state, e->self_patch, e->self_stub);
    patch(state, e->patch, e->unlinked);
}

static void x64_set_parallel(void *state, bool on)
{
    ((struct cg *)state)->parallel = on;
}

static bool x64_usable(void)
{
    return host_x64_features() & HAS_BASE;
}

/* ---- self-check of the op tables ---- */

/* Constraints: result, then one for each operand in ops.def. */
static bool check_row(unsigned op, char *why, size_t size)
{
    const struct ir_op_info *info = &ir_op_info[op];
    const struct host_op *row = host_op_of(op);
    size_t want = strlen(info->operands), have = 0;

    if (!row->emit || !row->regs) {
        snprintf(why, size, "%s: no row in the op tables", info->name);
        return false;
    }
    for (const char *p = row->regs; *p; p++) {
        have += *p == ',';
        if (!strchr("rxme0-*abcd,", *p)) {
            snprintf(why, size, "%s: constraint letter '%c'", info->name, *p);
            return false;
        }
    }
    if (have != want || (row->regs[0] == '-') != (info->result == '-')) {
        snprintf(why, size, "%s: constraints \"%s\" for operands \"%s\"", info->name, row->regs,
                 info->operands);
        return false;
    }
    return true;
}

static bool x64_check(char *why, size_t size)
{
    for (unsigned op = 0; op < IR_OP_COUNT; op++) {
        unsigned rows = !!ops_int[op].emit + !!ops_vec[op].emit + !!ops_simd[op].emit +
                        !!ops_fix[op].emit + !!ops_mem[op].emit + !!ops_flow[op].emit;

        if (rows > 1) {
            snprintf(why, size, "%s: in two op tables", ir_op_info[op].name);
            return false;
        }
        if (!check_row(op, why, size))
            return false;
    }
    return true;
}

const struct host host_x86_64 = {
    .name = "x86_64",
    .usable = x64_usable,
    .init = x64_init,
    .finish = x64_finish,
    .compile = x64_compile,
    .enter = x64_enter,
    .link = x64_link,
    .unlink = x64_unlink,
    .restore = x64_restore,
    .restore_insn = x64_restore_insn,
    .set_parallel = x64_set_parallel,
    .disassemble = x64_disassemble,
    .check = x64_check,
};
