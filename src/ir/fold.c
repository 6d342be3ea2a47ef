/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One forward pass that writes the region anew into a second array: constants, identities
 * (fold_*.c), slot contents forwarded from PUT and GET to GET, equal values shared, branches
 * decided, unreachable code left out. Values, and what is known about slots, end with the IR block.
 * Nothing is allocated per insn.
 */
#include "ir/fold.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

/* An insn may add a few constants and helpers of its simpler form. */
enum { GROWTH = 16 };

ir_val fold_append(struct fold *f, const struct ir_insn *in)
{
    assert(f->count < f->cap);
    f->out[f->count] = *in;
    return f->count++;
}

/* ---- equal values ---- */

static unsigned hash(const struct ir_insn *in)
{
    uint64_t args;
    uint32_t head;

    memcpy(&head, in, sizeof(head));
    memcpy(&args, in->arg,
           sizeof(args)); /* as rename_operands() stored them: the processor forwards the store */
    return (unsigned)((((uint64_t)head << 32 ^ args) * UINT64_C(0x9e3779b97f4a7c15) ^
                       ((uint64_t)in->imm ^ head) * UINT64_C(0xc2b2ae3d27d4eb4f)) >>
                      (64 - IR_CSE_BITS));
}

static bool same(const struct ir_insn *x, const struct ir_insn *y)
{
    return !memcmp(x, y, offsetof(struct ir_insn, aux)) && x->imm == y->imm;
}

/* Stale entries of the table do no harm: an insn of this block that looks the same is the same
 * value. */
static ir_val share(struct fold *f, const struct ir_insn *in)
{
    ir_val *entry = &f->cse[hash(in)];

    if (*entry >= f->block && *entry < f->count && same(&f->out[*entry], in))
        return *entry;
    return *entry = fold_append(f, in);
}

ir_val fold_const(struct fold *f, enum ir_type type, int64_t v)
{
    return share(
        f, &(struct ir_insn){ .op = IR_CONST, .type = type, .imm = sext(v, ir_type_bits[type]) });
}

ir_val fold_op1(struct fold *f, enum ir_op op, enum ir_type type, int64_t imm, ir_val a)
{
    return fold_value(
        f, &(struct ir_insn){ .op = op, .type = type, .nargs = 1, .arg = { a }, .imm = imm });
}

ir_val fold_op2(struct fold *f, enum ir_op op, enum ir_type type, int64_t imm, ir_val a, ir_val b)
{
    return fold_value(
        f, &(struct ir_insn){ .op = op, .type = type, .nargs = 2, .arg = { a, b }, .imm = imm });
}

ir_val fold_op2c(struct fold *f, enum ir_op op, ir_val a, int64_t b)
{
    enum ir_type type = fold_type(f, a);
    bool shift = op >= IR_SHL && op <= IR_ROR;

    return fold_op2(f, op, type, 0, a, fold_const(f, shift ? IR_I8 : type, b));
}

/* The result if all operands are constants (and it has one). */
static bool evaluate(struct fold *f, const struct ir_insn *in, ir_val *ret)
{
    uint64_t arg[4] = { 0 };

    for (unsigned k = 0; k < in->nargs; k++) {
        if (!fold_is_const(f, in->arg[k]))
            return false;
        arg[k] = (uint64_t)fold_imm(f, in->arg[k]) & ir_mask(fold_type(f, in->arg[k]));
    }
    if (in->op >= IR_UDIV && in->op <= IR_SREM &&
        (!arg[1] || (fold_imm(f, in->arg[1]) == -1 && in->op != IR_UDIV && in->op != IR_UREM)))
        return false; /* undefined, or might overflow */
    *ret = fold_const(f, in->type, (int64_t)ir_eval(in, fold_type(f, in->arg[0]), arg));
    return true;
}

ir_val fold_value(struct fold *f, struct ir_insn *in)
{
    ir_val v = IR_NO_VAL;

    if (ir_evaluates(in->op)) {
        if (fold_is_const(f, in->arg[0])) {
            if (evaluate(f, in, &v))
                return v;
            if (ir_op_info[in->op].flags & IR_FLAG_COMM) {
                ir_val a = in->arg[0];

                in->arg[0] = in->arg[1];
                in->arg[1] = a;
            }
        }
        if (in->op <= IR_LEA)
            v = fold_int(f, in);
        else if (in->op <= IR_BSWAP)
            v = fold_bits(f, in);
        else if (in->op >= IR_SETCOND)
            v = fold_select(f, in);
    } else if (in->op == IR_FIX && fold_is_const(f, in->arg[0])) {
        if (!ir_eval_cond(in->sub, in->type, (uint64_t)fold_imm(f, in->arg[0]),
                          (uint64_t)fold_imm(f, in->arg[1])))
            v = in->arg[0];
    } else if (in->op >= IR_VCONST) {
        v = fold_vec(f, in);
    }
    return v ? v : share(f, in);
}

/* ---- slots ---- */

static ir_val slot_value(const struct fold *f, unsigned slot)
{
    return f->slot[slot] >> 16 == f->epoch ? (ir_val)f->slot[slot] : IR_NO_VAL;
}

static void slot_set(struct fold *f, unsigned slot, ir_val v)
{
    f->slot[slot] = f->epoch << 16 | v;
}

static void forget_slots(struct fold *f)
{
    f->epoch++;
    f->pc_known = false;
}

static void new_block(struct fold *f)
{
    forget_slots(f);
    f->block = f->count;
}

static ir_val fold_get(struct fold *f, const struct ir_insn *in)
{
    ir_val v = slot_value(f, in->imm);
    enum ir_type type = in->type;

    if (v) {
        enum ir_type has = fold_type(f, v);

        if (has == type)
            return v;
        if (has <= IR_I64 && type < has)
            return fold_op1(f, IR_TRUNC, type, 0, v);
        if (has == IR_V128 && (type == IR_I32 || type == IR_I64))
            return fold_value(
                f, &(struct ir_insn){
                       .op = IR_VTOI, .type = type, .sub = type, .nargs = 1, .arg = { v } });
        if (has == IR_V128)
            return fold_append(f, in);
    } else if (in->imm == f->ir->slot_pc && f->pc_known && type <= IR_I64) {
        return fold_const(f, type, (int64_t)f->pc);
    }
    v = fold_append(f, in);
    slot_set(f, in->imm, v);
    return v;
}

static void fold_put(struct fold *f, const struct ir_insn *in)
{
    if (slot_value(f, in->imm) == in->arg[0])
        return; /* it is there already */
    slot_set(f, in->imm, in->arg[0]);
    if (in->imm == f->ir->slot_pc)
        f->pc_known = false;
    fold_append(f, in);
}

static void fold_insn_start(struct fold *f, const struct ir_insn *in)
{
    f->pc_known = true;
    f->pc = (gva_t)in->imm;
    f->slot[f->ir->slot_pc] = 0;
    fold_append(f, in);
}

/* ---- control ---- */

static void fold_label(struct fold *f, const struct ir_insn *in)
{
    if (!f->label_refs[in->imm])
        return; /* nobody comes from elsewhere: the IR block goes on, or stays unreachable */
    if (f->count > 1 && f->out[f->count - 1].op == IR_BR && f->out[f->count - 1].imm == in->imm)
        f->count--;
    f->unreachable = false;
    fold_append(f, in);
    new_block(f);
}

static void fold_br(struct fold *f, const struct ir_insn *in)
{
    fold_append(f, in);
    f->unreachable = true;
}

static void fold_brcond(struct fold *f, struct ir_insn *in)
{
    switch (fold_compare(f, &in->sub, &in->arg[0], &in->arg[1])) {
    case 0: f->label_refs[in->imm]--; return;
    case 1: fold_br(f, &(struct ir_insn){ .op = IR_BR, .type = IR_NONE, .imm = in->imm }); return;
    default: fold_append(f, in); new_block(f);
    }
}

static ir_val fold_call(struct fold *f, const struct ir_insn *in)
{
    const struct helper *h = (const struct helper *)(intptr_t)in->imm;
    ir_val v;

    if (h->flags & HELPER_PURE)
        return share(f, in);
    v = fold_append(f, in);
    forget_slots(f);
    return v;
}

/* ---- memory ---- */

/* Constants added to an address move into the displacement; what is cut off anyway is not computed.
 */
static ir_val fold_memory(struct fold *f, struct ir_insn *in)
{
    int64_t c;

    while (fold_is_op_const(f, in->arg[0], IR_ADD, &c)) {
        int64_t sum = (int64_t)((uint64_t)in->imm + (uint64_t)c);

        if (sum != (int32_t)sum)
            break;
        in->imm = sum;
        in->arg[0] = fold_def(f, in->arg[0])->arg[0];
    }
    if (in->op == IR_ST || in->op == IR_STH) {
        const struct ir_insn *d = fold_def(f, in->arg[1]);
        unsigned bits = 8u << (in->sub & IR_MEM_SIZE);

        while (d->op >= IR_ZEXT && d->op <= IR_TRUNC &&
               ir_type_bits[fold_type(f, d->arg[0])] >= bits) {
            in->arg[1] = d->arg[0];
            d = fold_def(f, d->arg[0]);
        }
    }
    return fold_append(f, in);
}

/* A load whose very next insn extends it does so itself; what else uses it takes the low part. */
static ir_val fold_load(struct fold *f, struct ir_insn *in)
{
    enum ir_type type = in->type;
    bool whole = type <= IR_I64 && ir_type_bits[type] == 8u << (in->sub & IR_MEM_SIZE);

    if (f->next->arg[0] != f->at || type > IR_I32)
        return fold_memory(f, in);
    if (whole)
        in->sub &= ~IR_MEM_SIGN; /* says nothing */
    if (f->next->op == IR_ZEXT && !(in->sub & IR_MEM_SIGN)) {
        in->type = IR_I64;
    } else if (f->next->op == IR_SEXT) {
        in->type = f->next->type;
        if (whole)
            in->sub |= IR_MEM_SIGN;
    } else {
        return fold_memory(f, in);
    }
    return fold_op1(f, IR_TRUNC, type, 0, fold_memory(f, in));
}

/* ---- the pass ---- */

static void count_label_refs(struct fold *f)
{
    const struct ir *ir = f->ir;

    memset(f->label_refs, 0, ir->labels * sizeof(*f->label_refs));
    for (unsigned i = 1; i < ir->count; i++)
        if (ir->insn[i].op == IR_BR || ir->insn[i].op == IR_BRCOND)
            f->label_refs[ir->insn[i].imm]++;
}

/* Unused operands are 0, and so is map[0]. One store: hash() reads it back. */
static inline void rename_operands(const struct fold *f, struct ir_insn *in,
                                   const struct ir_insn *old)
{
    uint64_t args = f->map[old->arg[0]] | (uint64_t)f->map[old->arg[1]] << 16 |
                    (uint64_t)f->map[old->arg[2]] << 32 | (uint64_t)f->map[old->arg[3]] << 48;

    memcpy(in->arg, &args, sizeof(args));
}

/* in is a copy with new operands. */
static ir_val fold_one(struct fold *f, struct ir_insn *in)
{
    switch (in->op) {
    case IR_NOP: return IR_NO_VAL;
    case IR_INSN: fold_insn_start(f, in); return IR_NO_VAL;
    case IR_COPY: return in->arg[0];
    case IR_CONST: return share(f, in);
    case IR_GET: return fold_get(f, in);
    case IR_PUT: fold_put(f, in); return IR_NO_VAL;
    case IR_KILL:
        f->slot[in->imm] = 0;
        fold_append(f, in);
        return IR_NO_VAL;
    case IR_LABEL: fold_label(f, in); return IR_NO_VAL;
    case IR_BR: fold_br(f, in); return IR_NO_VAL;
    case IR_BRCOND: fold_brcond(f, in); return IR_NO_VAL;
    case IR_CALL: return fold_call(f, in);
    case IR_EXIT_JMP:
    case IR_EXIT_IND:
    case IR_EXIT_LOOP:
        fold_append(f, in);
        f->unreachable = true;
        return IR_NO_VAL;
    case IR_LD:
    case IR_LDH: return fold_load(f, in);
    case IR_ST:
    case IR_XLATE:
    case IR_STH:
    case IR_AT_XCHG:
    case IR_AT_ADD:
    case IR_AT_AND:
    case IR_AT_OR:
    case IR_AT_XOR:
    case IR_AT_CAS: return fold_memory(f, in);
    default:
        return ir_op_info[in->op].flags & IR_FLAG_SIDE ? fold_append(f, in) : fold_value(f, in);
    }
}

static void skip_unreachable(struct fold *f, const struct ir_insn *in)
{
    if (in->op == IR_BR || in->op == IR_BRCOND)
        f->label_refs[in->imm]--;
}

static void reserve_out(struct fold *f, struct ir_scratch *s)
{
    if (f->count + GROWTH <= s->out_cap)
        return;
    s->out_cap = MAX(2 * s->out_cap, f->ir->cap + GROWTH);
    f->out = s->out = xrealloc_array(s->out, s->out_cap, sizeof(*s->out));
    f->cap = s->out_cap;
}

void ir_pass_fold(struct ir *ir)
{
    struct ir_scratch *s = ir->scratch;
    struct fold f = {
        .ir = ir, .count = 1, .block = 1, .epoch = 1, .slot = s->slot, .cse = s->cse
    };
    struct ir_insn *old = ir->insn;
    unsigned old_cap = ir->cap;

    ir_scratch_reserve(s, ir->count, ir->labels);
    f.out = s->out;
    f.cap = s->out_cap;
    f.map = s->map;
    f.label_refs = s->label_refs;
    reserve_out(&f, s);
    f.out[0] = old[0];
    f.map[0] = IR_NO_VAL;
    memset(f.slot, 0, ir->slot_count * sizeof(*f.slot));
    if (ir->labels)
        count_label_refs(&f);
    for (unsigned i = 1; i < ir->count; i++) {
        struct ir_insn in = old[i];

        if (f.unreachable && in.op != IR_LABEL) {
            skip_unreachable(&f, &in);
            continue;
        }
        rename_operands(&f, &in, &old[i]);
        in.aux = 0;
        reserve_out(&f, s);
        f.at = i;
        f.next = &old[i + 1 < ir->count ? i + 1 : 0];
        f.map[i] = fold_one(&f, &in);
    }
    assert(f.count <= UINT16_MAX);
    ir->insn = f.out;
    ir->count = f.count;
    ir->cap = s->out_cap;
    s->out = old;
    s->out_cap = old_cap;
}
