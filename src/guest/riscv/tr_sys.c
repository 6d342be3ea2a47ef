/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Environment calls and control and status registers. Those of the unprivileged manual are here;
 * machine and supervisor registers come with the boards.
 */
#include "guest/riscv/rv_insn.h"
#include "guest/riscv/tr.h"

bool tr_ecall(struct tr *t)
{
    if (!t->req->user) {
        rv_tr_raise(t, RV_ECALL_U, 0);
        return true;
    }
    ir_put(t->b, RV_SLOT_PC, rv_c64(t, (int64_t)(t->pc + t->len)));
    ir_exit_loop(t->b, IR_REASON_SYSCALL);
    t->done = true;
    return true;
}

bool tr_ebreak(struct tr *t)
{
    rv_tr_raise(t, RV_BREAKPOINT, t->pc);
    return true;
}

/* ---- CSRs ---- */

enum {
    CSR_FFLAGS = 1,
    CSR_FRM,
    CSR_FCSR,
    CSR_CYCLE = 0xc00,
    CSR_TIME,
    CSR_INSTRET,
    CSR_HPM3,
    CSR_HPM31 = 0xc1f,
};
enum { TIMEBASE_NS = 100 }; /* 10 MHz, what QEMU's virt board has */

static void do_set_fcsr(struct cpu *cpu, uint64_t csr, uint64_t v)
{
    uint32_t old = rv_fcsr_read(cpu);

    if ((uint32_t)csr == CSR_FRM)
        v = (old & 31) | (v & 7) << 5;
    rv_fcsr_write(cpu, (uint32_t)v);
}

static uint64_t do_now(struct cpu *cpu, uint64_t csr)
{
    uint64_t ns = (uint64_t)cpu_now_ns(cpu);

    return (uint32_t)csr == CSR_TIME ? ns / TIMEBASE_NS : ns;
}

static const struct helper h_set_fcsr = { "rv_set_fcsr", (helper_fn *)do_set_fcsr, "- i32 i64",
                                          HELPER_NO_RAISE };
static const struct helper h_now = { "rv_now", (helper_fn *)do_now, "i64 i32", HELPER_NO_RAISE };

/* Is it there, for this access? */
static bool csr_there(const struct tr *t, unsigned csr, bool write)
{
    if (csr >= CSR_FFLAGS && csr <= CSR_FCSR)
        return tr_has(t, RV_EXT_F);
    if (write)
        return false;
    if (csr >= CSR_CYCLE && csr <= CSR_INSTRET)
        return tr_has(t, RV_EXT_Zicntr);
    return csr >= CSR_HPM3 && csr <= CSR_HPM31 && tr_has(t, RV_EXT_Zihpm);
}

/* The flags here and in MXCSR are the same five in opposite order, apart from x86's denormal flag,
 * bit 1 there: each by its distance. */
static ir_val move_flags(struct tr *t, ir_val v, bool to_host)
{
    static const struct {
        uint8_t rv, host;
    } bit[] = { { 0, 5 }, { 1, 4 }, { 2, 3 }, { 3, 2 }, { 4, 0 } };
    ir_val r = IR_NO_VAL;

    for (size_t n = 0; n < ARRAY_SIZE(bit); n++) {
        int from = to_host ? bit[n].rv : bit[n].host, to = to_host ? bit[n].host : bit[n].rv;
        ir_val one = to > from ? ir_shli(t->b, v, to - from) : ir_shri(t->b, v, from - to);

        one = ir_andi(t->b, one, 1 << to);
        r = r ? ir_or(t->b, r, one) : one;
    }
    return r;
}

static ir_val host_flags(struct tr *t)
{
    return ir_emit(t->b, IR_FPFLAGS, IR_I32, 0, 0, 0, 0, 0, 0, 0);
}

/* The host's flags that x[reg] was made from by a csrr in this IR block, or IR_NO_VAL. What stands
 * around a quiet comparison: frflags a4; flt.d a5, fa0, fa1; fsflags a4. */
static ir_val known_flags(const struct tr *t, unsigned reg)
{
    if (!t->flags_host || reg != t->flags_reg || !reg)
        return IR_NO_VAL;
    for (unsigned n = t->flags_put + 1; n < t->b->count; n++) {
        const struct ir_insn *i = &t->b->insn[n];

        if (ir_op_info[i->op].flags & IR_FLAG_BB ||
            (i->op == IR_PUT && i->imm == (int64_t)(RV_SLOT_X + reg)))
            return IR_NO_VAL;
    }
    return t->flags_host;
}

static void write_fflags(struct tr *t, ir_val v, unsigned reg)
{
    ir_val host = reg ? known_flags(t, reg) : IR_NO_VAL;

    if (!host)
        host = move_flags(t, ir_trunc(t->b, IR_I32, v), true);
    ir_emit(t->b, IR_SETFPFLAGS, IR_NONE, 0, 0, 1, host, 0, 0, 0);
}

static ir_val read_csr(struct tr *t, unsigned csr)
{
    const ir_val none = IR_NO_VAL;

    if (csr == CSR_FRM)
        return rv_c64(t, t->frm);
    if (csr <= CSR_FCSR) {
        t->flags_host = host_flags(t);
        return ir_ori(t->b, ir_zext(t->b, IR_I64, move_flags(t, t->flags_host, false)),
                      csr == CSR_FCSR ? t->frm << 5 : 0);
    }
    if (csr >= CSR_HPM3)
        return rv_c64(t, 0);
    return ir_call(t->b, &h_now, ir_const(t->b, IR_I32, csr), none, none, none);
}

enum csr_op { CSR_WRITE, CSR_SET, CSR_CLEAR };

static bool access_csr(struct tr *t, const struct arg_csr *a, enum csr_op op)
{
    unsigned csr = (unsigned)a->csr;
    bool write = op == CSR_WRITE || a->rs1;
    ir_val v = a->imm ? rv_c64(t, a->rs1) : rv_x(t, a->rs1), old = IR_NO_VAL;

    if (!csr_there(t, csr, write))
        return false;
    if (t->quiet_pc == t->pc)
        return true;
    if (op != CSR_WRITE || a->rd)
        old = read_csr(t, csr);
    if (write) {
        if (op != CSR_WRITE)
            v = ir_op2(t->b, op == CSR_SET ? IR_OR : IR_ANDC, old, v);
        if (csr == CSR_FFLAGS)
            write_fflags(t, v,
                         op == CSR_WRITE && !a->imm && a->rd != a->rs1 ? (unsigned)a->rs1 : 0);
        else
            ir_call(t->b, &h_set_fcsr, ir_const(t->b, IR_I32, csr), v, IR_NO_VAL, IR_NO_VAL);
    }
    if (a->rd)
        rv_set_x(t, a->rd, old);
    if (csr == CSR_FFLAGS && !write && a->rd) {
        t->flags_reg = (uint8_t)a->rd;
        t->flags_pc = t->pc;
        t->flags_put = (uint16_t)(t->b->count - 1);
    } else if (old) {
        t->flags_host = IR_NO_VAL;
    }
    if (write && csr != CSR_FFLAGS) /* the rounding mode is part of the mode word */
        rv_end_next(t);
    return true;
}

bool tr_csrrw(struct tr *t, const struct arg_csr *a)
{
    return access_csr(t, a, CSR_WRITE);
}
bool tr_csrrs(struct tr *t, const struct arg_csr *a)
{
    return access_csr(t, a, CSR_SET);
}
bool tr_csrrc(struct tr *t, const struct arg_csr *a)
{
    return access_csr(t, a, CSR_CLEAR);
}
