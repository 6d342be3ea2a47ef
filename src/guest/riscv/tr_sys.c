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

static uint64_t do_fcsr(struct cpu *cpu, uint64_t csr)
{
    uint32_t v = rv_fcsr_read(cpu);

    return (uint32_t)csr == CSR_FFLAGS ? v & 31 : (uint32_t)csr == CSR_FRM ? v >> 5 : v;
}

static void do_set_fcsr(struct cpu *cpu, uint64_t csr, uint64_t v)
{
    uint32_t old = rv_fcsr_read(cpu);

    switch ((uint32_t)csr) {
    case CSR_FFLAGS: v = (old & ~31u) | (v & 31); break;
    case CSR_FRM: v = (old & 31) | (v & 7) << 5; break;
    default: break;
    }
    rv_fcsr_write(cpu, (uint32_t)v);
}

static uint64_t do_now(struct cpu *cpu, uint64_t csr)
{
    uint64_t ns = (uint64_t)cpu_now_ns(cpu);

    return (uint32_t)csr == CSR_TIME ? ns / TIMEBASE_NS : ns;
}

static const struct helper h_fcsr = { "rv_fcsr", (helper_fn *)do_fcsr, "i64 i32", HELPER_NO_RAISE };
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

static ir_val read_csr(struct tr *t, unsigned csr)
{
    const ir_val none = IR_NO_VAL;

    if (csr == CSR_FRM)
        return rv_c64(t, t->frm);
    if (csr <= CSR_FCSR)
        return ir_call(t->b, &h_fcsr, ir_const(t->b, IR_I32, csr), none, none, none);
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
    if (op != CSR_WRITE || a->rd)
        old = read_csr(t, csr);
    if (write) {
        if (op != CSR_WRITE)
            v = ir_op2(t->b, op == CSR_SET ? IR_OR : IR_ANDC, old, v);
        ir_call(t->b, &h_set_fcsr, ir_const(t->b, IR_I32, csr), v, IR_NO_VAL, IR_NO_VAL);
    }
    if (a->rd)
        rv_set_x(t, a->rd, old);
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
