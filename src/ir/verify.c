/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rules of ir.h and ops.def as a check: operand kinds and types, values used only behind their
 * definition and within its IR block, labels placed once, ranges of sub and imm, an END op at the
 * end. For tests and debug runs; it must not trust anything in the array.
 */
#include "ir/ir.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"

struct check {
    const struct ir *ir;
    const struct ir_insn *in; /* the one looked at */
    unsigned i;               /* its index */
    unsigned block;           /* first index of its IR block */
    char *why;
    size_t why_size;
};

static bool bad(struct check *c, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(c->why, c->why_size, "v%u %s: ", c->i,
                     c->in->op < IR_OP_COUNT ? ir_op_info[c->in->op].name : "?");

    va_start(ap, fmt);
    if (n >= 0 && (size_t)n < c->why_size)
        vsnprintf(c->why + n, c->why_size - n, fmt, ap);
    va_end(ap);
    return false;
}

static bool is_int(unsigned t)
{
    return t <= IR_I64;
}

static unsigned arg_type(const struct check *c, unsigned k)
{
    return c->ir->insn[c->in->arg[k]].type;
}

static bool check_value(struct check *c, unsigned k)
{
    unsigned v = c->in->arg[k];

    if (!v || v >= c->i)
        return bad(c, "operand %u, v%u, is not defined before it", k, v);
    if (c->ir->insn[v].type == IR_NONE)
        return bad(c, "operand %u, v%u (%s), has no value", k, v,
                   ir_op_info[c->ir->insn[v].op].name);
    if (v < c->block)
        return bad(c, "operand %u, v%u, belongs to an earlier IR block", k, v);
    return true;
}

static bool check_operand(struct check *c, unsigned k, char kind)
{
    unsigned type = arg_type(c, k);
    bool any = c->in->op == IR_PUT || c->in->op == IR_COPY || c->in->op == IR_CALL ||
               c->in->op == IR_ST || c->in->op == IR_STH;

    switch (kind) {
    case 'i':
        if (c->in->type != IR_NONE && type != c->in->type)
            return bad(c, "operand %u is %s, not %s", k, ir_type_names[type],
                       ir_type_names[c->in->type]);
        if (!any && !is_int(type))
            return bad(c, "operand %u is %s, not an integer", k, ir_type_names[type]);
        return true;
    case 'n':
        if (!any && !is_int(type))
            return bad(c, "operand %u is %s, not an integer", k, ir_type_names[type]);
        return true;
    case 'v':
        return type == IR_V128 || bad(c, "operand %u is %s, not v128", k, ir_type_names[type]);
    default: /* p h */
        return type == IR_I64 || bad(c, "operand %u is %s, not i64", k, ir_type_names[type]);
    }
}

static bool check_operands(struct check *c)
{
    const char *kinds = ir_op_info[c->in->op].operands;
    size_t want = strlen(kinds), least = c->in->op == IR_FIX ? 2 : c->in->op == IR_VFIX;

    if (c->in->op == IR_CALL || c->in->op == IR_FIX || c->in->op == IR_VFIX
            ? c->in->nargs > want || c->in->nargs < least
            : c->in->nargs != want)
        return bad(c, "has %u operands, not %zu", c->in->nargs, want);
    for (unsigned k = 0; k < c->in->nargs; k++)
        if (!check_value(c, k) || !check_operand(c, k, kinds[k]))
            return false;
    return true;
}

static bool check_result(struct check *c)
{
    unsigned type = c->in->type;

    switch (ir_op_info[c->in->op].result) {
    case '-': return type == IR_NONE || bad(c, "has type %s but no result", ir_type_names[type]);
    case 'v': return type == IR_V128 || bad(c, "has type %s, not v128", ir_type_names[type]);
    default: break;
    }
    switch (c->in->op) {
    case IR_CALL: return type != IR_V256 || bad(c, "v256 is not supported yet");
    case IR_GET:
    case IR_COPY: return type < IR_V256 || bad(c, "has no usable type");
    case IR_LD:
    case IR_LDH:
        return is_int(type) || type == IR_V128 || bad(c, "cannot load a %s", ir_type_names[type]);
    case IR_VTOI:
    case IR_VEXTRACT:
    case IR_VMOVMSK:
    case IR_VTESTZ:
    case IR_VTESTC:
    case IR_VFCVTFI:
    case IR_VFCOM:
    case IR_MULUH:
    case IR_MULSH:
    case IR_UDIV:
    case IR_SDIV:
    case IR_UREM:
    case IR_SREM:
    case IR_LEA:
    case IR_CLZ:
    case IR_CTZ:
    case IR_POPCNT:
        return type == IR_I32 || type == IR_I64 ||
               bad(c, "has type %s, not i32 or i64", ir_type_names[type]);
    case IR_BSWAP:
        return (is_int(type) && type != IR_I8) || bad(c, "has type %s", ir_type_names[type]);
    case IR_XLATE: return type == IR_I64 || bad(c, "has type %s, not i64", ir_type_names[type]);
    default: return is_int(type) || bad(c, "has type %s, not an integer", ir_type_names[type]);
    }
}

static bool check_slot(struct check *c)
{
    const struct ir *ir = c->ir;
    unsigned type, slot_type;

    if (c->in->imm < 0 || c->in->imm >= ir->slot_count)
        return bad(c, "there is no slot %" PRId64, c->in->imm);
    if (c->in->op == IR_KILL)
        return true;
    slot_type = ir->slots[c->in->imm].type;
    if (c->in->op == IR_PUT) {
        type = arg_type(c, 0);
        return type == slot_type ||
               bad(c, "slot %s is %s, the value %s", ir->slots[c->in->imm].name,
                   ir_type_names[slot_type], ir_type_names[type]);
    }
    type = c->in->type;
    return type == slot_type || (ir_type_bits[type] <= ir_type_bits[slot_type] && is_int(type)) ||
           bad(c, "slot %s is %s, narrower than %s", ir->slots[c->in->imm].name,
               ir_type_names[slot_type], ir_type_names[type]);
}

static bool check_shift(struct check *c)
{
    const struct ir_insn *count = &c->ir->insn[c->in->arg[1]];

    return count->op != IR_CONST || (uint64_t)count->imm < ir_type_bits[c->in->type] ||
           bad(c, "shifts %s by %" PRId64, ir_type_names[c->in->type], count->imm);
}

static bool check_memory(struct check *c)
{
    unsigned type = c->in->op == IR_ST || c->in->op == IR_STH ? arg_type(c, 1) : c->in->type;
    unsigned size = c->in->sub & IR_MEM_SIZE;

    if (c->in->imm != (int32_t)c->in->imm)
        return bad(c, "displacement %#" PRIx64 " does not fit 32 bits", c->in->imm);
    if (c->in->op >= IR_AT_XCHG && c->in->op <= IR_AT_CAS)
        return size == type || bad(c, "access size does not match the type");
    if (size > 4 && c->in->op != IR_XLATE)
        return bad(c, "access of %u bytes", 1u << size);
    if (c->in->op != IR_XLATE &&
        (ir_type_bits[type] < 8u << size || (!is_int(type) && type != IR_V128)))
        return bad(c, "access of %u bytes of a %s", 1u << size, ir_type_names[type]);
    return true;
}

static bool check_compare(struct check *c)
{
    if (c->in->sub >= IR_COND_COUNT)
        return bad(c, "condition %u", c->in->sub);
    if (arg_type(c, 0) != arg_type(c, 1))
        return bad(c, "compares %s with %s", ir_type_names[arg_type(c, 0)],
                   ir_type_names[arg_type(c, 1)]);
    return true;
}

static bool check_field(struct check *c)
{
    int pos = IR_FIELD_POS(c->in->imm), len = IR_FIELD_LEN(c->in->imm);

    return (len > 0 && pos + len <= ir_type_bits[c->in->type]) || bad(c, "field %d:%d", pos, len);
}

/* The word of a helper's sig at *sig must be type; moves behind it. */
static bool sig_has(const char **sig, unsigned type)
{
    size_t n = strcspn(*sig, " ");
    bool same = strlen(ir_type_names[type]) == n && !memcmp(ir_type_names[type], *sig, n);

    *sig += n + ((*sig)[n] == ' ');
    return same;
}

static bool check_call(struct check *c)
{
    const struct helper *h = (const struct helper *)(intptr_t)c->in->imm;
    unsigned first = c->in->op == IR_FIX ? 2 : 0; /* its a and b are not passed */
    const char *sig;

    if (!h || !h->fn)
        return bad(c, "no helper");
    sig = h->sig;
    if (!sig_has(&sig, c->in->type))
        return bad(c, "result is %s, helper %s is \"%s\"", ir_type_names[c->in->type], h->name,
                   h->sig);
    for (unsigned k = first; k < c->in->nargs; k++)
        if (!sig_has(&sig, arg_type(c, k)))
            return bad(c, "operand %u is %s, helper %s is \"%s\"", k, ir_type_names[arg_type(c, k)],
                       h->name, h->sig);
    return !*sig || bad(c, "too few operands for helper %s, \"%s\"", h->name, h->sig);
}

static bool check_label(struct check *c)
{
    return (c->in->imm >= 0 && c->in->imm < c->ir->labels) ||
           bad(c, "there is no label L%" PRId64, c->in->imm);
}

static bool check_fix(struct check *c)
{
    const struct helper *h = (const struct helper *)(intptr_t)c->in->imm;

    if (!h || !(h->flags & HELPER_PURE))
        return bad(c, "its helper is not pure");
    if (c->in->op == IR_FIX && c->ir->insn[c->in->arg[1]].op != IR_CONST)
        return bad(c, "compares with no constant");
    return check_call(c);
}

/* Lanes that each vector op takes are in its meaning's words; this is the coarse check. */
static bool check_lane(struct check *c)
{
    unsigned lane = c->in->sub & ~IR_SCALAR & 0xff;
    bool fp = c->in->op >= IR_VFADD;

    if (c->in->op == IR_VCONST || c->in->op == IR_VFCVTHF || c->in->op == IR_VFCVTFH)
        return true;
    if (c->in->op == IR_VFIX)
        return (lane >= IR_I32 && lane <= IR_F64) || bad(c, "lane type %u", lane);
    if (c->in->op == IR_VFCVTPIF || c->in->op == IR_VFCVTPFI || fp)
        return lane == IR_F32 || lane == IR_F64 || bad(c, "lane type %u is not f32 or f64", lane);
    if (lane > IR_V128)
        return bad(c, "lane type %u", lane);
    if ((c->in->op == IR_VINSERT || c->in->op == IR_VEXTRACT || c->in->op == IR_VDUP) &&
        (lane > IR_F64 || c->in->imm < 0 || c->in->imm >= 128 / ir_type_bits[lane]))
        return bad(c, "lane %" PRId64 " of %s", c->in->imm, ir_type_names[lane]);
    if (c->in->op == IR_VREV && (c->in->imm < 1 || c->in->imm > 4 || lane > IR_I64 ||
                                 ir_type_bits[lane] > 8u << c->in->imm))
        return bad(c, "reverses %s in groups of 1 << %" PRId64, ir_type_names[lane], c->in->imm);
    return true;
}

static bool check_special(struct check *c)
{
    const struct ir_insn *in = c->in;

    switch (in->op) {
    case IR_CONST:
        return in->imm == sext((uint64_t)in->imm, ir_type_bits[in->type]) ||
               bad(c, "%#" PRIx64 " is not sign-extended from %s", in->imm,
                   ir_type_names[in->type]);
    case IR_GET:
    case IR_PUT:
    case IR_KILL: return check_slot(c);
    case IR_LABEL:
    case IR_BR: return check_label(c);
    case IR_BRCOND: return check_label(c) && check_compare(c);
    case IR_SETCOND:
    case IR_SELECT: return check_compare(c);
    case IR_CALL: return check_call(c);
    case IR_FIX: return check_compare(c) && check_fix(c);
    case IR_VFIX: return check_lane(c) && check_fix(c);
    case IR_CRC32C:
        return (in->type == IR_I32 && in->sub <= arg_type(c, 1) && in->sub <= 3) ||
               bad(c, "size %u of %s", in->sub, ir_type_names[arg_type(c, 1)]);
    case IR_EXIT_IND:
        return arg_type(c, 0) == IR_I64 ||
               bad(c, "the pc is %s, not i64", ir_type_names[arg_type(c, 0)]);
    case IR_SHL:
    case IR_SHR:
    case IR_SAR:
    case IR_ROL:
    case IR_ROR: return check_shift(c);
    case IR_LEA:
        return (in->sub <= 3 && in->imm == (int32_t)in->imm) || bad(c, "shift or displacement");
    case IR_ZEXT:
    case IR_SEXT: return arg_type(c, 0) < in->type || bad(c, "operand is not narrower");
    case IR_TRUNC: return arg_type(c, 0) > in->type || bad(c, "operand is not wider");
    case IR_EXTRACT:
    case IR_DEPOSIT: return check_field(c);
    case IR_LD:
    case IR_ST:
    case IR_XLATE:
    case IR_LDH:
    case IR_STH:
    case IR_AT_XCHG:
    case IR_AT_ADD:
    case IR_AT_AND:
    case IR_AT_OR:
    case IR_AT_XOR:
    case IR_AT_CAS: return check_memory(c);
    case IR_VFROMI:
    case IR_VFCVTIF:
    case IR_VFCVTUF:
        if (arg_type(c, in->nargs - 1) != IR_I32 && arg_type(c, in->nargs - 1) != IR_I64)
            return bad(c, "the integer is %s", ir_type_names[arg_type(c, in->nargs - 1)]);
        return check_lane(c);
    default: return in->op < IR_VCONST || check_lane(c);
    }
}

/* Marks placed labels; every label that is used must be placed exactly once. */
static bool check_labels(struct check *c)
{
    uint8_t *placed = xnew_array(uint8_t, c->ir->labels + 1);
    bool ok = true;

    for (c->i = 1; ok && c->i < c->ir->count; c->i++) {
        c->in = &c->ir->insn[c->i];
        if (c->in->op == IR_LABEL && check_label(c) && placed[c->in->imm]++)
            ok = bad(c, "L%" PRId64 " is placed twice", c->in->imm);
    }
    for (c->i = 1; ok && c->i < c->ir->count; c->i++) {
        c->in = &c->ir->insn[c->i];
        if ((c->in->op == IR_BR || c->in->op == IR_BRCOND) && check_label(c) && !placed[c->in->imm])
            ok = bad(c, "L%" PRId64 " is never placed", c->in->imm);
    }
    free(placed);
    return ok;
}

bool ir_verify(const struct ir *ir, char *why, size_t why_size)
{
    struct check c = { .ir = ir, .why = why, .why_size = why_size, .block = 1 };
    unsigned last = 0;

    for (c.i = 1; c.i < ir->count; c.i++) {
        c.in = &ir->insn[c.i];
        if (c.in->op >= IR_OP_COUNT || c.in->type >= IR_TYPE_COUNT)
            return bad(&c, "op %u, type %u", c.in->op, c.in->type);
        if (c.in->op == IR_NOP)
            continue;
        if (!check_operands(&c) || !check_result(&c) || !check_special(&c))
            return false;
        if (ir_op_info[c.in->op].flags & (IR_FLAG_BB | IR_FLAG_END))
            c.block = c.i + 1;
        last = c.i;
    }
    c.i = last;
    c.in = &ir->insn[last];
    if (!(ir_op_info[c.in->op].flags & IR_FLAG_END) && c.in->op != IR_BR)
        return bad(&c, "the region does not end in an exit");
    return check_labels(&c);
}
