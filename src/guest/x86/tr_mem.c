/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory operands of the x86 translator: effective and linear addresses, segment checks, loads and
 * stores, the stack. While no segment is out of the ordinary (X86_MODE_LIMITS clear) no check is
 * emitted; with it every access goes through do_check_seg(). (Intel SDM volume 1 section 3.7,
 * volume 3 chapter 5.)
 */
#include "guest/x86/tr_core.h"

/* ---- effective address ---- */

/* Registers of a memory operand and their displacement, in type I32 or I64. */
static ir_val sum_address(struct tr *t, const struct x86_mem *m, unsigned size)
{
    ir_val base = m->base == X86_NO_REG ? IR_NO_VAL : tr_reg(t, size, m->base);
    ir_val index = m->index == X86_NO_REG ? IR_NO_VAL : tr_reg(t, size, m->index);

    if (!base && !index)
        return ir_const(t->b, tr_type(size), m->disp);
    if (!index)
        return ir_addi(t->b, base, m->disp);
    if (m->disp != (int32_t)m->disp) /* POP [rsp+x] moves the displacement */
        return ir_addi(t->b, ir_lea(t->b, base, index, m->scale, 0), m->disp);
    return ir_lea(t->b, base, index, m->scale, (int32_t)m->disp);
}

ir_val tr_ea(struct tr *t, const struct x86_insn *i)
{
    const struct x86_mem *m = &i->mem;

    if (m->rip_relative) {
        gva_t ea = t->next_pc + (uint64_t)m->disp;
        return tr_c64(t, (int64_t)(i->addrsize == 4 ? (uint32_t)ea : ea));
    }
    switch (i->addrsize) {
    case 8: return sum_address(t, m, 8);
    case 4: return ir_zext(t->b, IR_I64, sum_address(t, m, 4));
    default: return ir_zext(t->b, IR_I64, ir_andi(t->b, sum_address(t, m, 4), 0xffff));
    }
}

/* ---- segments ---- */

ir_val tr_seg(struct tr *t, unsigned seg, ir_val ea)
{
    if (t->code == 64) {
        if (seg < X86_FS || seg == X86_SEG_NONE || seg == X86_NO_REG)
            return ea;
        return ir_add(t->b, ea, ir_get(t->b, X86_SLOT_SEG_BASE + seg));
    }
    if (seg == X86_CS) {
        if (!t->req->aux)
            return ea;
        ea = ir_addi(t->b, ea, (int64_t)t->req->aux);
    } else {
        if (seg < X86_FS && !(t->mode & X86_MODE_ADDSEG))
            return ea;
        ea = ir_add(t->b, ea, ir_get(t->b, X86_SLOT_SEG_BASE + seg));
    }
    return ir_zext(t->b, IR_I64, ir_trunc(t->b, IR_I32, ea));
}

/* May [ea, ea+size) of segment s be accessed so? Real mode has no types: its segments are readable
 * and writable. */
static bool segment_allows(const struct x86_cpu *x, const struct x86_seg *s, uint64_t ea,
                           unsigned size, bool write)
{
    bool real = !(x->cr0 & X86_CR0_PE) || x->eflags & X86_VM;
    uint64_t last = ea + size - 1;

    if (s->null)
        return false;
    if (!real && s->flags & X86_SEG_CODE && (write || !(s->flags & X86_SEG_W)))
        return false; /* code: bit 1 means readable, and it is never writable */
    if (!real && write && !(s->flags & X86_SEG_W))
        return false;
    if (!(s->flags & X86_SEG_CODE) && s->flags & X86_SEG_E && !real) {
        uint64_t top = s->flags & X86_SEG_DB ? UINT32_MAX : UINT16_MAX;
        return ea > s->limit && last <= top;
    }
    return last <= s->limit;
}

void x86_check_seg(struct x86_cpu *x, unsigned seg, uint64_t ea, unsigned size, bool write)
{
    if (!segment_allows(x, &x->seg[seg], ea, size, write))
        x86_raise_error(x, seg == X86_SS ? X86_SS_VEC : X86_GP, 0);
}

enum {
    CHECK_SEG = 7,
    CHECK_WRITE = 8,
    CHECK_SIZE_SHIFT = 4
}; /* how do_check_seg's last argument is made */

static void do_check_seg(struct x86_cpu *x, uint64_t ea, uint64_t what)
{
    x86_check_seg(x, what & CHECK_SEG, ea, (uint32_t)what >> CHECK_SIZE_SHIFT, what & CHECK_WRITE);
}

static const struct helper h_check_seg = { "x86_check_seg", (helper_fn *)do_check_seg, "- i64 i32",
                                           0 };

ir_val tr_seg_addr(struct tr *t, unsigned seg, ir_val ea, unsigned size, enum cpu_access access)
{
    /* a code segment is never writable, however flat (real mode has no types) */
    bool write_cs =
        seg == X86_CS && access == CPU_WRITE && t->mode & X86_MODE_PE && !(t->mode & X86_MODE_VM);

    uint32_t limits =
        seg == X86_FS || seg == X86_GS ? X86_MODE_LIMITS | X86_MODE_LIMITS_FG : X86_MODE_LIMITS;

    if (t->code != 64 && (t->mode & limits || write_cs)) {
        unsigned what =
            seg | (access == CPU_WRITE ? CHECK_WRITE : 0) | MAX(size, 1u) << CHECK_SIZE_SHIFT;
        tr_call(t, &h_check_seg, ea, tr_c32(t, (int32_t)what), IR_NO_VAL, IR_NO_VAL);
    }
    return tr_seg(t, seg, ea);
}

ir_val tr_addr(struct tr *t, const struct x86_insn *i, unsigned size, enum cpu_access access)
{
    return tr_seg_addr(t, i->mem.seg, tr_ea(t, i), size, access);
}

/* ---- access ---- */

/* Under alignment checking (CR0.AM, EFLAGS.AC, CPL 3) every access of 2 to 8 bytes must be aligned.
 */
static unsigned mem_flags(const struct tr *t, unsigned size_log2)
{
    return size_log2 |
           (t->mode & X86_MODE_AC && size_log2 >= 1 && size_log2 <= 3 ? IR_MEM_ALIGN : 0);
}

ir_val tr_load(struct tr *t, enum ir_type type, ir_val linear, unsigned size_log2)
{
    return ir_ld(t->b, type, linear, 0, mem_flags(t, size_log2));
}

void tr_store(struct tr *t, ir_val linear, ir_val v, unsigned size_log2)
{
    ir_st(t->b, linear, 0, v, mem_flags(t, size_log2));
}

ir_val tr_atomic(struct tr *t, enum ir_op op, ir_val addr, ir_val b, ir_val c)
{
    enum ir_type type = ir_type_of(t->b, b);
    unsigned log2 = tr_log2(ir_type_bits[type] / 8);
    ir_val old, v;

    if (!t->req->slow || t->req->user) /* user mode has no memory but RAM */
        return ir_atomic(t->b, op, addr, b, c);
    old = tr_load(t, type, addr, log2);
    switch (op) {
    case IR_AT_XCHG: v = b; break;
    case IR_AT_ADD: v = ir_add(t->b, old, b); break;
    case IR_AT_AND: v = ir_and(t->b, old, b); break;
    case IR_AT_OR: v = ir_or(t->b, old, b); break;
    case IR_AT_XOR: v = ir_xor(t->b, old, b); break;
    default: v = ir_select(t->b, IR_EQ, old, b, c, old); break;
    }
    tr_store(t, addr, v, log2);
    return old;
}

/* ---- stack ---- */

/* rSP + disp cut to the stack's size, as i64. */
static ir_val stack_offset(struct tr *t, int32_t disp)
{
    ir_val sp = ir_addi(t->b, ir_get(t->b, X86_SLOT_GPR + X86_RSP), disp);

    if (t->stack_bits == 64)
        return sp;
    return ir_andi(t->b, sp, t->stack_bits == 32 ? UINT32_MAX : UINT16_MAX);
}

ir_val tr_stack_addr(struct tr *t, int32_t disp, unsigned size, enum cpu_access access)
{
    return tr_seg_addr(t, X86_SS, stack_offset(t, disp), size, access);
}

void tr_add_sp(struct tr *t, int32_t n)
{
    unsigned size = t->stack_bits / 8;

    tr_set_reg(t, size, X86_RSP, ir_addi(t->b, tr_reg(t, size, X86_RSP), n));
}

void tr_push(struct tr *t, ir_val v, unsigned size)
{
    tr_store(t, tr_stack_addr(t, -(int32_t)size, size, CPU_WRITE), v, tr_log2(size));
    tr_add_sp(t, -(int32_t)size);
}

ir_val tr_pop_value(struct tr *t, unsigned size)
{
    return tr_load(t, tr_type(size), tr_stack_addr(t, 0, size, CPU_READ), tr_log2(size));
}

/* ---- vectors ---- */

ir_val tr_xmm(struct tr *t, unsigned reg)
{
    return ir_get(t->b, X86_SLOT_XMM + reg);
}

void tr_set_xmm(struct tr *t, unsigned reg, ir_val v)
{
    ir_put(t->b, X86_SLOT_XMM + reg, v);
}

ir_val tr_get_vec(struct tr *t, const struct x86_insn *i, unsigned n, unsigned size, bool aligned)
{
    const struct x86_operand *o = &i->opnd[n];

    if (o->kind == X86_K_XMM)
        return tr_xmm(t, o->reg);
    assert(o->kind == X86_K_MEM);
    unsigned mem = mem_flags(t, tr_log2(size)) | (aligned && size == 16 ? IR_MEM_ALIGN : 0);
    return ir_ld(t->b, IR_V128, tr_addr(t, i, size, CPU_READ), 0, mem);
}
