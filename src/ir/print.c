/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The IR as text, one insn a line: "v12.i64 = add v3, v5". For -d op,op_opt, tests and people.
 */
#include "ir/ir.h"

#include <ctype.h>
#include <inttypes.h>

static void print_name(FILE *f, const char *name)
{
    for (; *name; name++)
        fputc(tolower((unsigned char)*name), f);
}

static const char *slot_name(const struct ir *ir, int64_t slot)
{
    return slot >= 0 && slot < ir->slot_count ? ir->slots[slot].name : "?";
}

static void print_value(FILE *f, const struct ir *ir, ir_val v)
{
    if (v < ir->count && ir->insn[v].op == IR_CONST)
        fprintf(f, "%s%#" PRIx64, ir->insn[v].imm < 0 ? "-" : "",
                ir->insn[v].imm < 0 ? 0 - (uint64_t)ir->insn[v].imm : (uint64_t)ir->insn[v].imm);
    else
        fprintf(f, "v%u", v);
}

static void print_args(FILE *f, const struct ir *ir, const struct ir_insn *in, const char *sep)
{
    for (unsigned k = 0; k < in->nargs && k < 4; k++) {
        fputs(k ? ", " : sep, f);
        print_value(f, ir, in->arg[k]);
    }
}

static const char *cond_name(unsigned cond)
{
    return cond < IR_COND_COUNT ? ir_cond_names[cond] : "?";
}

/* ".16s" and the like: size of the access in bits, s: sign-extended, w: for writing, a: aligned. */
static void print_mem(FILE *f, unsigned mem)
{
    fprintf(f, ".%u%s%s%s", 8u << (mem & IR_MEM_SIZE), mem & IR_MEM_SIGN ? "s" : "",
            mem & IR_MEM_WRITE ? "w" : "", mem & IR_MEM_ALIGN ? "a" : "");
}

static void print_memory(FILE *f, const struct ir *ir, const struct ir_insn *in)
{
    print_mem(f, in->sub);
    fputs(" [", f);
    print_value(f, ir, in->arg[0]);
    if (in->imm)
        fprintf(f, " %c %#" PRIx64, in->imm < 0 ? '-' : '+',
                in->imm < 0 ? 0 - (uint64_t)in->imm : (uint64_t)in->imm);
    fputs("]", f);
    for (unsigned k = 1; k < in->nargs && k < 4; k++) {
        fputs(", ", f);
        print_value(f, ir, in->arg[k]);
    }
}

static void print_exit(FILE *f, const struct ir *ir, const struct ir_insn *in)
{
    static const char *const kinds[] = { " jump", " call", " ret" };
    static const char *const reasons[] = { " next", " irq" };

    if (in->op == IR_EXIT_JMP)
        fprintf(f, " %#" PRIx64 "%s%s", (uint64_t)in->imm, in->sub & IR_EXIT_POLL ? " poll" : "",
                in->sub & IR_EXIT_SAMEPAGE ? " samepage" : "");
    else if (in->op == IR_EXIT_IND)
        fputs(in->sub < 3 ? kinds[in->sub] : " ?", f);
    else
        fputs(in->sub < 2 ? reasons[in->sub] : " ?", f);
    print_args(f, ir, in, " ");
}

static void print_vector(FILE *f, const struct ir *ir, const struct ir_insn *in)
{
    unsigned lane = in->sub & ~IR_SCALAR & 0xff;

    if (lane < IR_TYPE_COUNT && in->op != IR_VCONST)
        fprintf(f, ".%s%s", ir_type_names[lane], in->sub & IR_SCALAR ? ".s" : "");
    print_args(f, ir, in, " ");
    if (in->imm || in->op == IR_VCONST)
        fprintf(f, "%s#%#" PRIx64, in->nargs ? ", " : " ", (uint64_t)in->imm);
}

static const char *helper_name(const struct ir_insn *in)
{
    return ((const struct helper *)(intptr_t)in->imm)->name;
}

/* helper(operands), with the condition on which a repair calls it */
static void print_call(FILE *f, const struct ir *ir, const struct ir_insn *in)
{
    if (in->op == IR_FIX)
        fprintf(f, ".%s", cond_name(in->sub));
    else if (in->op == IR_VFIX)
        fprintf(f, ".%s%s", ir_type_names[in->sub & ~IR_SCALAR & 0xff],
                in->sub & IR_SCALAR ? ".s" : "");
    fprintf(f, " %s(", helper_name(in));
    print_args(f, ir, in, "");
    fputs(")", f);
}

/* The operands of one insn, behind its name. */
static void print_operands(FILE *f, const struct ir *ir, const struct ir_insn *in)
{
    switch (in->op) {
    case IR_RETADDR: fprintf(f, " %#" PRIx64, (uint64_t)in->imm); break;
    case IR_CONST: fprintf(f, " %#" PRIx64 " (%" PRId64 ")", (uint64_t)in->imm, in->imm); break;
    case IR_GET:
    case IR_PUT:
    case IR_KILL:
        fprintf(f, " %s", slot_name(ir, in->imm));
        print_args(f, ir, in, ", ");
        break;
    case IR_LABEL:
    case IR_BR: fprintf(f, " L%" PRId64, in->imm); break;
    case IR_BRCOND:
    case IR_SETCOND:
    case IR_SELECT:
        fprintf(f, ".%s.%s", cond_name(in->sub), ir_type_names[ir->insn[in->arg[0]].type]);
        print_args(f, ir, in, " ");
        if (in->op == IR_BRCOND)
            fprintf(f, " -> L%" PRId64, in->imm);
        break;
    case IR_FIX:
    case IR_VFIX:
    case IR_CALL: print_call(f, ir, in); break;
    case IR_EXIT_JMP:
    case IR_EXIT_IND:
    case IR_EXIT_LOOP: print_exit(f, ir, in); break;
    case IR_LEA:
        print_args(f, ir, in, " ");
        fprintf(f, " << %u, %+" PRId64, in->sub, in->imm);
        break;
    case IR_EXTRACT:
    case IR_DEPOSIT:
        print_args(f, ir, in, " ");
        fprintf(f, " @%d:%d", IR_FIELD_POS(in->imm), IR_FIELD_LEN(in->imm));
        break;
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
    case IR_AT_CAS: print_memory(f, ir, in); break;
    default:
        if (in->op >= IR_VCONST)
            print_vector(f, ir, in);
        else
            print_args(f, ir, in, " ");
    }
}

void ir_print_insn(FILE *f, const struct ir *ir, unsigned i)
{
    const struct ir_insn *in = &ir->insn[i];

    if (in->op == IR_INSN) {
        fprintf(f, " ---- insn %#" PRIx64 "\n", (uint64_t)in->imm);
        return;
    }
    if (in->type != IR_NONE && in->type < IR_TYPE_COUNT)
        fprintf(f, "  v%u.%s = ", i, ir_type_names[in->type]);
    else
        fputs(in->op == IR_LABEL ? " " : "  ", f);
    if (in->op >= IR_OP_COUNT) {
        fprintf(f, "bad op %u\n", in->op);
        return;
    }
    print_name(f, ir_op_info[in->op].name);
    print_operands(f, ir, in);
    fputc('\n', f);
}

/* Constants appear where they are used, NOPs not at all. */
void ir_print(FILE *f, const struct ir *ir)
{
    fprintf(f, "region pc=%#" PRIx64 " insns=%u bytes=%u ops=%u\n", ir->pc, ir->insn_count,
            ir->guest_size, ir->count);
    for (unsigned i = 0; i < ir->count; i++)
        if (ir->insn[i].op != IR_NOP && ir->insn[i].op != IR_CONST)
            ir_print_insn(f, ir, i);
}
