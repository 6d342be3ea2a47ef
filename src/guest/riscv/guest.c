/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The RISC-V guest as the engine sees it: slots, the guest record, reset, the mode word, the state
 * as text. There are no privileged modes yet: outside of user mode it is a bare machine, where
 * addresses are physical and an exception has nowhere to go.
 */
#include <inttypes.h>
#include <string.h>

#include "guest/riscv/rv_insn.h"
#include "guest/riscv/tr.h"

/* ---- slots ---- */

#define SLOT(text, member, kind, order)                                                            \
    {                                                                                              \
        text, offsetof(struct rv_cpu, member), kind, order                                         \
    }
#define X(n, text, order) [RV_SLOT_X + n] = SLOT(text, x[n], IR_I64, order)
#define F(n, text, order) [RV_SLOT_F + n] = SLOT(text, f[n], IR_V128, order)

/* Pins by how often compiled programs name each (counted in glibc, libm and libstdc++, loops
 * for more). */
const struct ir_slot rv_slots[RV_SLOT_COUNT] = {
    X(0, "zero", 0),
    X(1, "ra", 0),
    X(2, "sp", 4),
    X(3, "gp", 0),
    X(4, "tp", 0),
    X(5, "t0", 0),
    X(6, "t1", 11),
    X(7, "t2", 0),
    X(8, "s0", 8),
    X(9, "s1", 9),
    X(10, "a0", 1),
    X(11, "a1", 5),
    X(12, "a2", 7),
    X(13, "a3", 6),
    X(14, "a4", 3),
    X(15, "a5", 2),
    X(16, "a6", 10),
    X(17, "a7", 0),
    X(18, "s2", 12),
    X(19, "s3", 0),
    X(20, "s4", 0),
    X(21, "s5", 0),
    X(22, "s6", 0),
    X(23, "s7", 0),
    X(24, "s8", 0),
    X(25, "s9", 0),
    X(26, "s10", 0),
    X(27, "s11", 0),
    X(28, "t3", 0),
    X(29, "t4", 0),
    X(30, "t5", 0),
    X(31, "t6", 0),
    F(0, "ft0", 10),
    F(1, "ft1", 12),
    F(2, "ft2", 0),
    F(3, "ft3", 0),
    F(4, "ft4", 0),
    F(5, "ft5", 0),
    F(6, "ft6", 0),
    F(7, "ft7", 0),
    F(8, "fs0", 4),
    F(9, "fs1", 8),
    F(10, "fa0", 2),
    F(11, "fa1", 6),
    F(12, "fa2", 7),
    F(13, "fa3", 5),
    F(14, "fa4", 3),
    F(15, "fa5", 1),
    F(16, "fa6", 0),
    F(17, "fa7", 0),
    F(18, "fs2", 9),
    F(19, "fs3", 11),
    F(20, "fs4", 0),
    F(21, "fs5", 0),
    F(22, "fs6", 0),
    F(23, "fs7", 0),
    F(24, "fs8", 0),
    F(25, "fs9", 0),
    F(26, "fs10", 0),
    F(27, "fs11", 0),
    F(28, "ft8", 0),
    F(29, "ft9", 0),
    F(30, "ft10", 0),
    F(31, "ft11", 0),
    [RV_SLOT_PC] = SLOT("pc", pc, IR_I64, 0),
    [RV_SLOT_LR_ADDR] = SLOT("lr_addr", lr_addr, IR_I64, 0),
    [RV_SLOT_LR_VALUE] = SLOT("lr_value", lr_value, IR_I64, 0),
    [RV_SLOT_TMP] = SLOT("tmp", tmp, IR_I64, 0),
};

/* ---- registers by name: gdb's numbers ---- */

static const struct field rv_regs[] = {
    FIELD_ARRAY(struct rv_cpu, x, .reg = 0),
    FIELD(struct rv_cpu, pc, .reg = 32),
    FIELD(struct rv_cpu, frm),
    { 0 },
};

/* ---- life ---- */

static bool init(struct cpu *cpu, const char *model, struct error *err)
{
    return rv_model_init(rv_of(cpu), model, err);
}

static void reset(struct cpu *cpu)
{
    struct rv_cpu *r = rv_of(cpu);

    r->pc = 0;
    memset(r->x, 0, sizeof(r->x));
    memset(r->f, 0, sizeof(r->f));
    r->lr_addr = ~UINT64_C(0);
    r->lr_value = 0;
    r->unboxed = 0;
    r->cause = 0;
    r->tval = 0;
    rv_fcsr_write(cpu, 0);
}

static void user_init(struct cpu *cpu)
{
    (void)cpu; /* reset is what Linux leaves: FP on, all registers 0 */
}

/* ---- exceptions ---- */

static void fetch_fault(struct cpu *cpu, gva_t va)
{
    rv_of(cpu)->cause = RV_FETCH_PAGE;
    rv_of(cpu)->tval = va;
}

static void misaligned(struct cpu *cpu, gva_t va, enum cpu_access access)
{
    rv_of(cpu)->cause = access == CPU_WRITE ? RV_STORE_MISALIGNED : RV_LOAD_MISALIGNED;
    rv_of(cpu)->tval = va;
}

/* No trap vector yet. */
static void deliver(struct cpu *cpu)
{
    cpu_machine_reset(cpu, "an exception, and this CPU has no privileged modes yet");
    cpu_halt(cpu);
}

static bool take_events(struct cpu *cpu, uint32_t events)
{
    return false;
}

static bool wakes(const struct cpu *cpu, uint32_t events)
{
    return true;
}

/* No paging: addresses are physical. */
static bool walk(struct cpu *cpu, gva_t va, enum cpu_access access, unsigned mmu, bool probe,
                 struct cpu_walk *ret)
{
    *ret = (struct cpu_walk){
        .gpa = va, .page_size = 4096, .read = true, .write = true, .exec = true, .global = true
    };
    return true;
}

/* ---- mode ---- */

static uint32_t compute_mode(struct cpu *cpu, uint64_t *ret_aux, unsigned *ret_mmu)
{
    *ret_aux = 0;
    *ret_mmu = 0;
    return (rv_of(cpu)->frm & RV_MODE_FRM) | (rv_of(cpu)->unboxed ? RV_MODE_UNBOXED : 0);
}

static gva_t linear_pc(const struct cpu *cpu, gva_t pc, uint64_t aux)
{
    return pc;
}

static bool one_insn(const struct cpu *cpu)
{
    return false;
}

static void shadow_done(struct cpu *cpu)
{
}

/* ---- text ---- */

static void print_state(FILE *f, const struct cpu *cpu)
{
    const struct rv_cpu *r = (const struct rv_cpu *)cpu;

    fprintf(f, " pc       %016" PRIx64 "\n", r->pc);
    for (unsigned n = 0; n < 32; n++)
        fprintf(f, " x%u/%-*s %016" PRIx64 "%s", n, n < 10 ? 6 : 5, rv_slots[RV_SLOT_X + n].name,
                r->x[n], n % 4 == 3 ? "\n" : "");
    for (unsigned n = 0; n < 32; n++)
        fprintf(f, " f%u/%-*s %016" PRIx64 "%s", n, n < 10 ? 6 : 5, rv_slots[RV_SLOT_F + n].name,
                r->f[n].u64[0], n % 4 == 3 ? "\n" : "");
    fprintf(f, " frm %u cause %u tval %016" PRIx64 "\n", r->frm, r->cause, r->tval);
}

int rv_dis_x(char *out, size_t size, uint64_t pc, uint32_t word, int64_t n)
{
    return snprintf(out, size, "%s", rv_slots[RV_SLOT_X + n].name);
}

int rv_dis_f(char *out, size_t size, uint64_t pc, uint32_t word, int64_t n)
{
    return snprintf(out, size, "%s", rv_slots[RV_SLOT_F + n].name);
}

int rv_dis_rm(char *out, size_t size, uint64_t pc, uint32_t word, int64_t rm)
{
    static const char *const names[8] = { ", rne", ", rtz", ", rdn", ", rup",
                                          ", rmm", ", rm5", ", rm6", "" };

    return snprintf(out, size, "%s", names[rm & 7]);
}

int rv_dis_csr(char *out, size_t size, uint64_t pc, uint32_t word, int64_t csr)
{
    static const char *const fp[] = { "", "fflags", "frm", "fcsr" };
    static const char *const counters[] = { "cycle", "time", "instret" };

    if (csr >= 1 && csr <= 3)
        return snprintf(out, size, "%s", fp[csr]);
    if (csr >= 0xc00 && csr <= 0xc02)
        return snprintf(out, size, "%s", counters[csr - 0xc00]);
    return snprintf(out, size, "%#x", (unsigned)csr);
}

int rv_dis_fence(char *out, size_t size, uint64_t pc, uint32_t word, int64_t set)
{
    return snprintf(out, size, "%s%s%s%s", set & 8 ? "i" : "", set & 4 ? "o" : "",
                    set & 2 ? "r" : "", set & 1 ? "w" : "");
}

const struct guest guest_riscv64 = {
    .name = "riscv64",
    .doc = "RISC-V, 64 bits",
    .cpu_size = sizeof(struct rv_cpu),
    .page_bits = 12,
    .pc_shift = 1,
    .mmu_user = 0,
    .slots = rv_slots,
    .slot_count = RV_SLOT_COUNT,
    .slot_pc = RV_SLOT_PC,
    .regs = rv_regs,
    .default_model = "rv64",
    .models_help = rv_models_help,
    .init = init,
    .user_init = user_init,
    .fetch_fault = fetch_fault,
    .reset = reset,
    .translate = rv_translate,
    .walk = walk,
    .misaligned = misaligned,
    .deliver = deliver,
    .take_events = take_events,
    .wakes = wakes,
    .compute_mode = compute_mode,
    .linear_pc = linear_pc,
    .one_insn = one_insn,
    .shadow_done = shadow_done,
    .print_state = print_state,
    .print_insns = rv_print_insns,
};
