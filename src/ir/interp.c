/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The interpreter: runs a region insn by insn. Slots live in the cpu structure all the time, so the
 * state is exact at every moment; INSN stores the pc. Slow by design: it is the fallback where no
 * backend fits, and the oracle of every backend that does.
 */
#include "ir/interp.h"

#include <alloca.h>
#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "ir/eval.h"

static uint64_t arg_int(const struct interp *r, const struct ir_insn *in, unsigned k)
{
    return r->v[in->arg[k]].u64[0];
}

static unsigned type_size(enum ir_type type)
{
    return ir_type_bits[type] / 8;
}

static void slot_store(struct interp *r, unsigned slot, const void *v)
{
    memcpy(r->cpu + r->ir->slots[slot].offset, v, type_size(r->ir->slots[slot].type));
}

/* ---- meta and control ---- */

static void run_nop(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
}

static void run_insn(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    slot_store(r, r->ir->slot_pc, &in->imm);
}

static void run_const(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    d->u64[0] = (uint64_t)in->imm & ir_mask(in->type);
}

static void run_get(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    *d = (union ir_v128){ 0 };
    memcpy(d, r->cpu + r->ir->slots[in->imm].offset, type_size(in->type));
}

static void run_put(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    slot_store(r, in->imm, interp_arg(r, in, 0));
}

static void run_copy(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    *d = *interp_arg(r, in, 0);
}

static void run_br(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    r->next = r->label[in->imm];
}

static void run_brcond(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    if (ir_eval_cond(in->sub, ir_type_of(r->ir, in->arg[0]), arg_int(r, in, 0), arg_int(r, in, 1)))
        r->next = r->label[in->imm];
}

typedef uint64_t call_fn(void *cpu, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);

/* Every argument is a word: an integer or a pointer; words that the helper does not take are
 * ignored by the C calling conventions of all hosts we know. */
static void run_call(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    const struct helper *h = (const struct helper *)(intptr_t)in->imm;
    call_fn *fn = (call_fn *)h->fn;
    union ir_v128 result = { 0 };
    uint64_t w[5] = { 0 }, v;
    unsigned n = 0;

    if (in->type == IR_V128)
        w[n++] = (uintptr_t)&result;
    for (unsigned k = 0; k < in->nargs; k++)
        w[n++] = ir_type_of(r->ir, in->arg[k]) == IR_V128 ? (uintptr_t)interp_arg(r, in, k)
                                                          : arg_int(r, in, k);
    v = fn(r->cpu, w[0], w[1], w[2], w[3], w[4]);
    if (in->type == IR_V128)
        *d = result;
    else if (in->type != IR_NONE)
        d->u64[0] = v & ir_mask(in->type);
}

static void run_fix(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    call_fn *fn = (call_fn *)((const struct helper *)(intptr_t)in->imm)->fn;
    uint64_t w[2] = { 0 }, v = arg_int(r, in, 0);

    if (ir_eval_cond(in->sub, in->type, v, arg_int(r, in, 1))) {
        for (unsigned k = 2; k < in->nargs; k++)
            w[k - 2] = (uintptr_t)interp_arg(r, in, k);
        v = fn(r->cpu, w[0], w[1], 0, 0, 0) & ir_mask(in->type);
    }
    d->u64[0] = v;
}

/* Has a lane of a what VFIX looks for? */
static bool wants_fix(unsigned sub, const union ir_v128 *a)
{
    unsigned lane = sub & ~IR_SCALAR & 0xff, n = ir_type_bits[lane], count = 128 / n;
    uint64_t top = BIT(n - 1), infinity = lane == IR_F64 ? BITS(62, 52) : BITS(30, 23);

    for (unsigned k = 0; k < (sub & IR_SCALAR ? 1 : count); k++) {
        uint64_t x = n == 64 ? a->u64[k] : a->u32[k];

        if (lane >= IR_F32 ? (x & ~top) > infinity : x == top)
            return true;
    }
    return false;
}

static void run_vfix(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    call_fn *fn = (call_fn *)((const struct helper *)(intptr_t)in->imm)->fn;
    union ir_v128 result = { 0 };
    uint64_t w[4] = { 0 };

    *d = *interp_arg(r, in, 0);
    if (!wants_fix(in->sub, d))
        return;
    for (unsigned k = 0; k < in->nargs; k++)
        w[k] = (uintptr_t)interp_arg(r, in, k);
    fn(r->cpu, (uintptr_t)&result, w[0], w[1], w[2], w[3]);
    memcpy(d, &result, in->sub & IR_SCALAR ? ir_type_bits[in->sub & ~IR_SCALAR & 0xff] / 8 : 16);
}

static void leave(struct interp *r, enum ir_exit_kind kind)
{
    r->left = kind;
    r->done = true;
}

static void run_exit_jmp(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    slot_store(r, r->ir->slot_pc, &in->imm);
    leave(r, in->sub & IR_EXIT_POLL && r->ops->poll(r->cpu) ? IR_LEFT_LOOP : IR_LEFT_JMP);
}

static void run_exit_ind(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    slot_store(r, r->ir->slot_pc, interp_arg(r, in, 0));
    leave(r, IR_LEFT_IND);
}

static void run_exit_loop(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    leave(r, in->sub == IR_REASON_SYSCALL ? IR_LEFT_SYSCALL : IR_LEFT_LOOP);
}

/* ---- integer ---- */

static void run_eval(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    uint64_t arg[4];

    for (unsigned k = 0; k < 4; k++)
        arg[k] = arg_int(r, in, k);
    d->u64[0] = ir_eval(in, ir_type_of(r->ir, in->arg[0]), arg);
}

static void run_crc32c(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    d->u64[0] = ir_sum_crc32c((uint32_t)arg_int(r, in, 0), arg_int(r, in, 1), 1u << in->sub);
}

/* ---- guest memory ---- */

/* What a load of this op makes of the bytes read into d, which was zero. */
static void extend(const struct ir_insn *in, union ir_v128 *d)
{
    if (in->sub & IR_MEM_SIGN && in->type <= IR_I64)
        d->u64[0] = (uint64_t)sext(d->u64[0], 8u << (in->sub & IR_MEM_SIZE)) & ir_mask(in->type);
}

static void run_ld(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    union ir_v128 v = { 0 };

    r->ops->load(r->cpu, arg_int(r, in, 0) + (uint64_t)in->imm, &v, 1u << (in->sub & IR_MEM_SIZE),
                 in->sub);
    extend(in, &v);
    *d = v;
}

static void run_st(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    r->ops->store(r->cpu, arg_int(r, in, 0) + (uint64_t)in->imm, interp_arg(r, in, 1),
                  1u << (in->sub & IR_MEM_SIZE), in->sub);
}

/* A misaligned XLATE or atomic op raises as a load does. */
static void check_align(struct interp *r, const struct ir_insn *in, unsigned size)
{
    uint64_t a = arg_int(r, in, 0) + (uint64_t)in->imm;
    union ir_v128 v;

    if (in->sub & IR_MEM_ALIGN && a & (size - 1))
        r->ops->load(r->cpu, a, &v, size, in->sub);
}

static void run_xlate(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    check_align(r, in, 1u << (in->sub & IR_MEM_SIZE));
    d->u64[0] = (uintptr_t)r->ops->xlate(r->cpu, arg_int(r, in, 0) + (uint64_t)in->imm,
                                         1u << (in->sub & IR_MEM_SIZE), in->sub & IR_MEM_WRITE);
}

static void run_ldh(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    union ir_v128 v = { 0 };

    memcpy(&v, (const char *)(uintptr_t)arg_int(r, in, 0) + in->imm, 1u << (in->sub & IR_MEM_SIZE));
    extend(in, &v);
    *d = v;
}

static void run_sth(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    memcpy((char *)(uintptr_t)arg_int(r, in, 0) + in->imm, interp_arg(r, in, 1),
           1u << (in->sub & IR_MEM_SIZE));
}

static void run_atomic(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    uint64_t old;

    check_align(r, in, type_size(in->type));
    old = r->ops->atomic(r->cpu, in->op, arg_int(r, in, 0) + (uint64_t)in->imm, type_size(in->type),
                         arg_int(r, in, 1), in->op == IR_AT_CAS ? arg_int(r, in, 2) : 0);

    d->u64[0] = old & ir_mask(in->type);
}

static void run_fence(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void run_fpflags(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    d->u64[0] = interp_fp_flags();
}

static void run_setfpflags(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    interp_set_fp_flags((uint32_t)arg_int(r, in, 0));
}

static interp_fn *const run_op[IR_OP_COUNT] = {
    [IR_NOP] = run_nop,
    [IR_INSN] = run_insn,
    [IR_CONST] = run_const,
    [IR_GET] = run_get,
    [IR_PUT] = run_put,
    [IR_COPY] = run_copy,
    [IR_LABEL] = run_nop,
    [IR_BR] = run_br,
    [IR_BRCOND] = run_brcond,
    [IR_CALL] = run_call,
    [IR_EXIT_JMP] = run_exit_jmp,
    [IR_EXIT_IND] = run_exit_ind,
    [IR_EXIT_LOOP] = run_exit_loop,
    [IR_RETADDR] = run_nop,
    [IR_ADD... IR_SELECT] = run_eval,
    [IR_LD] = run_ld,
    [IR_ST] = run_st,
    [IR_XLATE] = run_xlate,
    [IR_LDH] = run_ldh,
    [IR_STH] = run_sth,
    [IR_AT_XCHG... IR_AT_CAS] = run_atomic,
    [IR_FENCE] = run_fence,
    [IR_FPFLAGS] = run_fpflags,
    [IR_SETFPFLAGS] = run_setfpflags,
    [IR_CRC32C] = run_crc32c,
    [IR_FIX] = run_fix,
    [IR_KILL] = run_nop,
    [IR_VCONST... IR_VAESIMC] = ir_interp_vec,
    [IR_VFADD... IR_VFCANON] = ir_interp_fp,
    [IR_VFIX] = run_vfix,
    [IR_VFCVTUF... IR_OP_COUNT - 1] = ir_interp_fp,
};

enum ir_exit_kind ir_interp(const struct ir *ir, void *cpu, const struct ir_interp_ops *ops)
{
    struct interp r = { .ir = ir, .cpu = cpu, .ops = ops, .next = 1 };
    uint16_t *label = alloca((ir->labels + 1) * sizeof(*label));

    /* On the stack, as a guest exception leaves by longjmp; IR_MAX_INSNS makes it 384 KiB at most.
     */
    r.v = alloca(ir->count * sizeof(*r.v));
    r.v[0] = (union ir_v128){ 0 };
    r.label = label;
    if (ir->labels)
        for (unsigned i = 1; i < ir->count; i++)
            if (ir->insn[i].op == IR_LABEL)
                label[ir->insn[i].imm] = i;
    while (!r.done) {
        const struct ir_insn *in = &ir->insn[r.next];
        union ir_v128 *d = &r.v[r.next];

        assert(r.next < ir->count);
        r.next++;
        run_op[in->op](&r, in, d);
    }
    return r.left;
}
