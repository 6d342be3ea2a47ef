/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The AArch64 guest as the engine sees it: slots, the guest record, reset, the mode word, the state
 * as text. Unprivileged code; EL1 and its MMU come with the boards.
 */
#include <string.h>
#include <sys/random.h>

#include "guest/arm/cc.h"
#include "guest/arm/models.h"
#include "guest/arm/insn.h"
#include "guest/arm/tr.h"
#ifdef RHEA_CAPSTONE
#include <capstone/capstone.h>
#endif

/* ---- slots ---- */

#define SLOT(text, member, kind, order)                                                            \
    {                                                                                              \
        text, offsetof(struct a64_cpu, member), kind, order                                        \
    }
#define X(n, order) [A64_SLOT_X + n] = SLOT("x" #n, x[n], IR_I64, order)
#define V(n, order) [A64_SLOT_V + n] = SLOT("v" #n, v[n], IR_V128, order)

const struct ir_slot a64_slots[A64_SLOT_COUNT] = {
    X(0, 1),
    X(1, 2),
    X(2, 3),
    X(3, 5),
    X(4, 8),
    X(5, 0),
    X(6, 0),
    X(7, 0),
    X(8, 0),
    X(9, 0),
    X(10, 0),
    X(11, 0),
    X(12, 0),
    X(13, 0),
    X(14, 0),
    X(15, 0),
    X(16, 0),
    X(17, 0),
    X(18, 0),
    X(19, 6),
    X(20, 7),
    X(21, 9),
    X(22, 0),
    X(23, 0),
    X(24, 0),
    X(25, 0),
    X(26, 0),
    X(27, 0),
    X(28, 0),
    X(29, 0),
    X(30, 0),
    [A64_SLOT_SP] = SLOT("sp", x[31], IR_I64, 4),
    V(0, 1),
    V(1, 2),
    V(2, 3),
    V(3, 4),
    V(4, 5),
    V(5, 6),
    V(6, 7),
    V(7, 8),
    V(8, 0),
    V(9, 0),
    V(10, 0),
    V(11, 0),
    V(12, 0),
    V(13, 0),
    V(14, 0),
    V(15, 0),
    V(16, 9),
    V(17, 10),
    V(18, 0),
    V(19, 0),
    V(20, 0),
    V(21, 0),
    V(22, 0),
    V(23, 0),
    V(24, 0),
    V(25, 0),
    V(26, 0),
    V(27, 0),
    V(28, 0),
    V(29, 0),
    V(30, 12),
    V(31, 11),
    [A64_SLOT_PC] = SLOT("pc", pc, IR_I64, 0),
    [A64_SLOT_CC_A] = SLOT("cc_a", cc_a, IR_I64, 0),
    [A64_SLOT_CC_B] = SLOT("cc_b", cc_b, IR_I64, 0),
    [A64_SLOT_CC_C] = SLOT("cc_c", cc_c, IR_I64, 0),
    [A64_SLOT_CC_OP] = SLOT("cc_op", cc_op, IR_I32, 0),
    [A64_SLOT_BTYPE] = SLOT("btype", btype, IR_I32, 0),
    [A64_SLOT_FPCR] = SLOT("fpcr", fpcr, IR_I32, 0),
    [A64_SLOT_FPSR_QC] = SLOT("fpsr_qc", fpsr_qc, IR_V128, 0),
    [A64_SLOT_FPCSR] = SLOT("fpcsr", c.fpcsr, IR_I32, 0),
    [A64_SLOT_TPIDR_EL0] = SLOT("tpidr_el0", tpidr_el0, IR_I64, 0),
    [A64_SLOT_TPIDRRO_EL0] = SLOT("tpidrro_el0", tpidrro_el0, IR_I64, 0),
    [A64_SLOT_EXCL_ADDR] = SLOT("excl_addr", excl_addr, IR_I64, 0),
    [A64_SLOT_EXCL_LO] = SLOT("excl_lo", excl_lo, IR_I64, 0),
    [A64_SLOT_EXCL_HI] = SLOT("excl_hi", excl_hi, IR_I64, 0),
    [A64_SLOT_DIT] = SLOT("dit", dit, IR_I32, 0),
    [A64_SLOT_SSBS] = SLOT("ssbs", ssbs, IR_I32, 0),
    [A64_SLOT_TMP] = SLOT("tmp", tmp, IR_I64, 0),
    [A64_SLOT_TMPV] = SLOT("tmpv", tmpv, IR_V128, 0),
};

/* ---- registers by name: gdb's numbers ---- */

static const struct field a64_regs[] = {
    FIELD_ARRAY(struct a64_cpu, x, .reg = 0), /* x[31] is SP */
    FIELD(struct a64_cpu, pc, .reg = 32),     FIELD(struct a64_cpu, fpcr, .reg = 67),
    FIELD(struct a64_cpu, tpidr_el0),         { 0 },
};

/* ---- life ---- */

static bool init(struct cpu *cpu, const char *model, struct error *err)
{
    return a64_model_init(a64_of(cpu), model, err);
}

static void reset(struct cpu *cpu)
{
    struct a64_cpu *x = a64_of(cpu);
    enum { MXCSR_RESET = 0x1f80 };

    x->pc = 0;
    memset(x->x, 0, sizeof(x->x));
    memset(x->v, 0, sizeof(x->v));
    a64_set_nzcv(cpu, 0);
    x->cc_b = x->cc_c = 0;
    x->btype = 0;
    x->dit = x->ssbs = 0;
    x->excl_addr = ~UINT64_C(0);
    x->excl_lo = x->excl_hi = 0;
    x->tpidr_el0 = x->tpidrro_el0 = 0;
    x->fpcr = x->fpsr_soft = 0;
    x->fpsr_qc = (union ir_v128){ .u64 = { 0, 0 } };
    x->fpsr_watched = false;
    cpu->fpcsr = MXCSR_RESET;
    x->exception = A64_EXC_NONE;
    x->el = 1;
    x->tags = x->guard = 0;
    x->user = false;
}

static void user_init(struct cpu *cpu)
{
    struct a64_cpu *x = a64_of(cpu);

    x->el = 0;
    x->user = true;
    /* Linux makes keys per process; a program cannot see them. */
    if (getrandom(x->pac_key, sizeof(x->pac_key), 0) != sizeof(x->pac_key))
        memset(x->pac_key, 0x5a, sizeof(x->pac_key));
}

/* ---- exceptions ---- */

enum { ISS_WNR = 1 << 6 };

static void fetch_fault(struct cpu *cpu, gva_t va)
{
    struct a64_cpu *x = a64_of(cpu);

    x->exception = A64_EXC_FETCH;
    x->iss = 0;
    x->far = va;
}

static void misaligned(struct cpu *cpu, gva_t va, enum cpu_access access)
{
    struct a64_cpu *x = a64_of(cpu);

    x->exception = A64_EXC_ALIGN;
    x->iss = access == CPU_WRITE ? ISS_WNR : 0;
    x->far = va;
}

/* The top byte of addresses is ignored (TCR_EL1.TBI0, as Linux has it). Few programs use that: the
 * first fault of an address with a tag makes all code after it mask addresses. */
static bool tagged_fault(struct cpu *cpu)
{
    struct a64_cpu *x = a64_of(cpu);
    bool tagged = false;

    for (unsigned n = 0; n < 32; n++)
        tagged |= x->x[n] >> 56 && !(x->x[n] >> 48 & 0xff);
    if (x->tags || !tagged)
        return false;
    x->tags = 1;
    cpu_mode_changed(cpu);
    return true;
}

/* EL1 and its vectors are not there yet: an exception outside of user mode stands still. */
static void deliver(struct cpu *cpu)
{
    cpu_machine_reset(cpu, "an exception, and this CPU has no EL1 yet");
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

/* The MMU is off: addresses are physical. */
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
    const struct a64_cpu *x = a64_of(cpu);
    uint32_t m = x->el;

    if (x->tags)
        m |= A64_MODE_TAGS;
    if (x->guard)
        m |= A64_MODE_BTI;
    if (x->fpcr & BIT(25))
        m |= A64_MODE_DN;
    if (x->fpcr & BIT(24))
        m |= A64_MODE_FZ;
    if (x->fpcr & BIT(19))
        m |= A64_MODE_FZ16;
    if (x->fpcr & BIT(26))
        m |= A64_MODE_AHP;
    m |= (x->fpcr >> 22 & 3) << A64_MODE_RMODE_SHIFT;
    if (x->fpsr_watched)
        m |= A64_MODE_FPSR;
    *ret_aux = 0;
    *ret_mmu = x->el ? 0 : 1;
    return m;
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
    const struct a64_cpu *x = (const struct a64_cpu *)cpu;
    uint32_t nzcv = a64_nzcv(cpu);

    fprintf(f, " PC=%016llx", (unsigned long long)x->pc);
    for (unsigned n = 0; n < 32; n++)
        fprintf(f, "%s%s%02u=%016llx", n % 4 == 3 ? "\n" : " ", n == 31 ? "SP" : "X", n,
                (unsigned long long)x->x[n]);
    fprintf(f, "\nPSTATE=%08x %c%c%c%c EL%u\n", nzcv | x->dit | x->ssbs, nzcv & A64_N ? 'N' : '-',
            nzcv & A64_Z ? 'Z' : '-', nzcv & A64_C ? 'C' : '-', nzcv & A64_V ? 'V' : '-', x->el);
}

static uint32_t word_at(const uint8_t *code)
{
    return code[0] | code[1] << 8 | code[2] << 16 | (uint32_t)code[3] << 24;
}

#ifdef RHEA_CAPSTONE
static bool print_by_capstone(FILE *f, const uint8_t *code, unsigned size, gva_t pc)
{
    cs_insn *insn;
    csh cs;
    size_t n;

    if (cs_open(CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN, &cs) != CS_ERR_OK)
        return false;
    cs_option(cs, CS_OPT_SKIPDATA, CS_OPT_ON);
    n = cs_disasm(cs, code, size, pc, 0, &insn);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%#14llx:  %08x  %s %s\n", (unsigned long long)insn[i].address,
                word_at(insn[i].bytes), insn[i].mnemonic, insn[i].op_str);
    cs_free(insn, n);
    cs_close(&cs);
    return n > 0;
}
#endif

static void print_insns(FILE *f, const uint8_t *code, unsigned size, gva_t pc, uint32_t mode)
{
    char text[128];

#ifdef RHEA_CAPSTONE
    if (print_by_capstone(f, code, size, pc))
        return;
#endif
    for (unsigned at = 0; at + 4 <= size; at += 4) {
        a64_disas(text, sizeof(text), pc + at, word_at(code + at));
        fprintf(f, "%#14llx:  %08x  %s\n", (unsigned long long)(pc + at), word_at(code + at), text);
    }
}

const struct guest guest_aarch64 = {
    .name = "aarch64",
    .doc = "Arm A64",
    .cpu_size = sizeof(struct a64_cpu),
    .page_bits = 12,
    .pc_shift = 2,
    .mmu_user = 1,
    .slots = a64_slots,
    .slot_count = A64_SLOT_COUNT,
    .slot_pc = A64_SLOT_PC,
    .regs = a64_regs,
    .default_model = "max",
    .models_help = a64_models_help,
    .init = init,
    .user_init = user_init,
    .fetch_fault = fetch_fault,
    .tagged_fault = tagged_fault,
    .reset = reset,
    .translate = a64_translate,
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
    .print_insns = print_insns,
};
