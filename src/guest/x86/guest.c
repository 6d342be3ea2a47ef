/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The x86 guest as the engine sees it: slots, the guest record, reset, the mode word, the state as
 * text.
 */
#include <string.h>

#include "guest/x86/disasm.h"
#include "guest/x86/sys.h"
#include "guest/x86/tr_core.h"

/* ---- slots ---- */

#define SLOT(text, member, kind, order)                                                            \
    {                                                                                              \
        text, offsetof(struct x86_cpu, member), kind, order                                        \
    }
#define GPR(n, text, order) [X86_SLOT_GPR + n] = SLOT(text, gpr[n], IR_I64, order)
#define XMM(n, order)       [X86_SLOT_XMM + n] = SLOT("xmm" #n, xmm[n], IR_V128, order)
#define BASE(n, text)       [X86_SLOT_SEG_BASE + n] = SLOT(text "_base", seg_base[n], IR_I64, 0)
#define LIMIT(n, text)      [X86_SLOT_SEG_LIMIT + n] = SLOT(text "_limit", seg[n].limit, IR_I32, 0)
#define ST(n)                                                                                      \
    [X86_SLOT_ST + n] = SLOT("r" #n, st[n].mant, IR_I64, 0),                                       \
                   [X86_SLOT_ST_SE + n] = SLOT("r" #n "_se", st[n].se, IR_I16, 0)

const struct ir_slot x86_slots[X86_SLOT_COUNT] = {
    GPR(0, "rax", 1),
    GPR(1, "rcx", 2),
    GPR(2, "rdx", 3),
    GPR(3, "rbx", 4),
    GPR(4, "rsp", 5),
    GPR(5, "rbp", 6),
    GPR(6, "rsi", 7),
    GPR(7, "rdi", 8),
    GPR(8, "r8", 9),
    GPR(9, "r9", 0),
    GPR(10, "r10", 0),
    GPR(11, "r11", 0),
    GPR(12, "r12", 0),
    GPR(13, "r13", 0),
    GPR(14, "r14", 0),
    GPR(15, "r15", 0),
    [X86_SLOT_RIP] = SLOT("rip", rip, IR_I64, 0),
    [X86_SLOT_CC_A] = SLOT("cc_a", cc_a, IR_I64, 0),
    [X86_SLOT_CC_B] = SLOT("cc_b", cc_b, IR_I64, 0),
    [X86_SLOT_CC_C] = SLOT("cc_c", cc_c, IR_I64, 0),
    [X86_SLOT_CC_OP] = SLOT("cc_op", cc_op, IR_I32, 0),
    [X86_SLOT_DF] = SLOT("df", df, IR_I32, 0),
    BASE(0, "es"),
    BASE(1, "cs"),
    BASE(2, "ss"),
    BASE(3, "ds"),
    BASE(4, "fs"),
    BASE(5, "gs"),
    XMM(0, 1),
    XMM(1, 2),
    XMM(2, 3),
    XMM(3, 4),
    XMM(4, 5),
    XMM(5, 6),
    XMM(6, 7),
    XMM(7, 8),
    XMM(8, 9),
    XMM(9, 10),
    XMM(10, 11),
    XMM(11, 12),
    XMM(12, 0),
    XMM(13, 0),
    XMM(14, 0),
    XMM(15, 0),
    [X86_SLOT_EFLAGS] = SLOT("eflags", eflags, IR_I32, 0),
    [X86_SLOT_CR2] = SLOT("cr2", cr2, IR_I64, 0),
    [X86_SLOT_FPCSR] = SLOT("mxcsr", c.fpcsr, IR_I32, 0),
    [X86_SLOT_FSW] = SLOT("fsw", fsw, IR_I16, 0),
    [X86_SLOT_FCW] = SLOT("fcw", fcw, IR_I16, 0),
    [X86_SLOT_FTW] = SLOT("ftw", ftw, IR_I8, 0),
    ST(0),
    ST(1),
    ST(2),
    ST(3),
    ST(4),
    ST(5),
    ST(6),
    ST(7),
    [X86_SLOT_INHIBIT] = SLOT("inhibit", inhibit, IR_I8, 0),
    [X86_SLOT_EVENTS] = SLOT("events", c.events, IR_I32, 0),
    LIMIT(0, "es"),
    LIMIT(1, "cs"),
    LIMIT(2, "ss"),
    LIMIT(3, "ds"),
    LIMIT(4, "fs"),
    LIMIT(5, "gs"),
};

/* ---- registers by name: gdb's numbers ---- */

static const struct field x86_regs[] = {
    FIELD_ARRAY(struct x86_cpu, gpr, .reg = 0),
    FIELD(struct x86_cpu, rip, .reg = 16),
    FIELD(struct x86_cpu, eflags, .reg = 17),
    FIELD_ARRAY(struct x86_cpu, seg_base),
    FIELD(struct x86_cpu, cr0),
    FIELD(struct x86_cpu, cr2),
    FIELD(struct x86_cpu, cr3),
    FIELD(struct x86_cpu, cr4),
    FIELD(struct x86_cpu, efer),
    FIELD_ARRAY(struct x86_cpu, dr),
    { 0 },
};

/* ---- reset (SDM table 9-1) ---- */

static void reset_seg(struct x86_cpu *x, unsigned n)
{
    struct x86_seg s = { .limit = 0xffff, .flags = X86_SEG_P | X86_SEG_S | X86_SEG_W | X86_SEG_A };

    if (n == X86_CS) {
        s.flags |= X86_SEG_CODE;
        s.selector = 0xf000;
        s.base = 0xffff0000;
    }
    x86_set_seg(x, n, &s);
}

static void reset_fpu(struct x86_cpu *x)
{
    memset(x->st, 0, sizeof(x->st));
    memset(x->xmm, 0, sizeof(x->xmm));
    x->fcw = 0x37f;
    x->fsw = x->ftw = x->fop = x->fcs = x->fds = 0;
    x->fip = x->fdp = 0;
    x->c.fpcsr = 0x1f80;
    x->xcr0 = 1;
}

static void reset_msrs(struct x86_cpu *x)
{
    x->star = x->lstar = x->cstar = x->sfmask = x->kernel_gs_base = 0;
    x->sysenter_cs = x->sysenter_esp = x->sysenter_eip = x->tsc_aux = 0;
    x->pat = UINT64_C(0x0007040600070406);
    x->misc_enable = 1;
    x->apic_base = 0xfee00800 | (x->c.index ? 0 : 0x100);
    x->mtrr_def_type = 0;
    memset(x->mtrr_fixed, 0, sizeof(x->mtrr_fixed));
    memset(x->mtrr_var, 0, sizeof(x->mtrr_var));
    memset(x->mce_banks, 0, sizeof(x->mce_banks));
    x->mcg_status = x->debugctl = x->xss = x->spec_ctrl = 0;
    x->tsc_adjust = 0;
    x->tsc_offset = 0;
    x->kvm_clock = x->kvm_wall_clock = x->kvm_async_pf = x->kvm_async_pf_int = 0;
    x->kvm_steal_time = x->kvm_pv_eoi = 0;
    x->kvm_poll_control = 1;
}

void x86_reset_state(struct x86_cpu *x, bool init)
{
    uint64_t keep = init ? x->cr0 & (X86_CR0_CD | X86_CR0_NW) : X86_CR0_CD | X86_CR0_NW;

    memset(x->gpr, 0, sizeof(x->gpr));
    x->gpr[X86_RDX] = x86_model_signature(x);
    x->rip = 0xfff0;
    x->eflags = 2;
    x->cc_op = X86_CC_EFLAGS;
    x->cc_a = x->cc_b = x->cc_c = 0;
    x->df = 0;
    for (unsigned n = 0; n < X86_SEG_COUNT; n++)
        reset_seg(x, n);
    x->ldt = (struct x86_seg){ .limit = 0xffff, .flags = X86_SEG_P | X86_T_LDT };
    x->tr = (struct x86_seg){ .limit = 0xffff, .flags = X86_SEG_P | X86_T_TSS32_BUSY };
    x->gdt.base = x->idt.base = 0;
    x->gdt.limit = x->idt.limit = 0xffff;
    x->cr0 = X86_CR0_ET | keep;
    x->cr2 = x->cr3 = x->cr4 = x->efer = 0;
    memset(x->dr, 0, sizeof(x->dr));
    x->dr[6] = 0xffff0ff0;
    x->dr[7] = 0x400;
    x->exc_vector = x->delivering = -1;
    x->exc_software = x->exc_icebp = false;
    x->cpl = 0;
    x->nmi_blocked = x->inhibit = x->shutdown = false;
    x->wait_sipi = x->c.index != 0;
    if (init)
        return;
    x->a20_mask = x->a20_line = ~UINT64_C(0);
    x->smbase = 0x30000;
    reset_fpu(x);
    reset_msrs(x);
}

void x86_reset(struct cpu *cpu)
{
    x86_leave_smm(x86_of(cpu));
    x86_reset_state(x86_of(cpu), false);
    x86_set_space(x86_of(cpu), false);
    if (cpu->index) /* application processors wait for SIPI */
        cpu->halted = 1;
}

void x86_set_a20(struct cpu *cpu, bool enabled)
{
    struct x86_cpu *x = x86_of(cpu);
    uint64_t mask = enabled ? ~UINT64_C(0) : ~BIT(20);

    if (x->a20_line == mask)
        return;
    x->a20_line = mask;
    if (x->smm) /* RSM takes it */
        return;
    x->a20_mask = mask;
    if (cpu == cpu_current())
        cpu_tlb_flush_all_spaces(cpu);
    else
        cpu_event_raise(cpu, CPU_EVENT_FLUSH);
}

/* ---- mode ---- */

static bool flat_data(const struct x86_seg *s)
{
    return !s->null && s->limit == UINT32_MAX &&
           (s->flags & (X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_E | X86_SEG_W)) ==
               (X86_SEG_P | X86_SEG_S | X86_SEG_W);
}

static bool flat_code(const struct x86_seg *s)
{
    return s->limit == UINT32_MAX &&
           s->flags & X86_SEG_W; /* readable: loads through CS are allowed */
}

/* What segments mean outside 64-bit code. */
static uint32_t segment_mode(const struct x86_cpu *x)
{
    uint32_t m = x->seg[X86_CS].flags & X86_SEG_DB ? X86_MODE_CODE32 : X86_MODE_CODE16;

    if (!flat_code(&x->seg[X86_CS]))
        m |= X86_MODE_LIMITS;
    for (unsigned n = 0; n < X86_SEG_COUNT; n++)
        if (n != X86_CS && !flat_data(&x->seg[n]))
            m |= n >= X86_FS ? X86_MODE_LIMITS_FG : X86_MODE_LIMITS;
    if (x->seg[X86_SS].flags & X86_SEG_DB)
        m |= X86_MODE_SS32;
    if (x->seg_base[X86_DS] || x->seg_base[X86_ES] || x->seg_base[X86_SS])
        m |= X86_MODE_ADDSEG;
    return m;
}

static uint32_t fp_mode(const struct x86_cpu *x)
{
    uint32_t m = 0;

    if (x->cr0 & (X86_CR0_EM | X86_CR0_TS))
        m |= X86_MODE_FPU_NM;
    if (x->cr0 & X86_CR0_EM || !(x->cr4 & X86_CR4_OSFXSR))
        m |= X86_MODE_SSE_UD;
    if (x->cr0 & X86_CR0_TS)
        m |= X86_MODE_TS;
    if (x->cr0 & X86_CR0_EM)
        m |= X86_MODE_EM;
    if (x->cr0 & X86_CR0_MP)
        m |= X86_MODE_MP;
    if (~x->c.fpcsr & 0x1f80)
        m |= X86_MODE_XM;
    if (x->cr4 & X86_CR4_OSXSAVE)
        m |= X86_MODE_OSXSAVE;
    return m;
}

static bool code_breakpoints(const struct x86_cpu *x)
{
    for (unsigned n = 0; n < 4; n++)
        if (x->dr[7] >> (n * 2) & 3 && (x->dr[7] >> (16 + n * 4) & 3) == 0)
            return true;
    return false;
}

static uint32_t compute_mode(struct cpu *cpu, uint64_t *ret_aux, unsigned *ret_mmu)
{
    struct x86_cpu *x = x86_of(cpu);
    uint32_t m = x->cpl | fp_mode(x) | (x->eflags & X86_IOPL) >> 12 << 8;
    bool code64 = x86_code64(x);

    m |= code64 ? X86_MODE_CODE64 : segment_mode(x);
    if (x->cr0 & X86_CR0_PE)
        m |= X86_MODE_PE;
    if (x->eflags & X86_VM)
        m |= X86_MODE_VM;
    if (x->eflags & X86_TF)
        m |= X86_MODE_TF;
    if (x86_lma(x))
        m |= X86_MODE_LMA;
    if (x->cpl == 3 && x->cr0 & X86_CR0_AM && x->eflags & X86_AC)
        m |= X86_MODE_AC;
    if (x->cr4 & X86_CR4_TSD)
        m |= X86_MODE_TSD;
    if (x->dr[7] & 0xff && code_breakpoints(x))
        m |= X86_MODE_BREAK;
    *ret_aux = code64 ? 0 : x->seg_base[X86_CS];
    *ret_mmu = x86_mmu_of(x, x->cpl);
    return m;
}

static gva_t linear_pc(const struct cpu *cpu, gva_t pc, uint64_t aux)
{
    (void)cpu;
    return aux ? (uint32_t)(aux + pc)
               : pc; /* a base only exists outside 64-bit code, where pc has 32 bits */
}

static bool one_insn(const struct cpu *cpu)
{
    return ((const struct x86_cpu *)cpu)->inhibit;
}

static void shadow_done(struct cpu *cpu)
{
    x86_of(cpu)->inhibit = false;
}

/* Alignment checking is for accesses of 2 to 8 bytes; a 16-byte one that must be aligned is #GP. */
static void misaligned(struct cpu *cpu, gva_t va, enum cpu_access access)
{
    (void)access;
    x86_record(x86_of(cpu), cpu->mode & X86_MODE_AC && va & 7 ? X86_AC_VEC : X86_GP, 0, true);
}

/* ---- life ---- */

static bool init(struct cpu *cpu, const char *model, struct error *err)
{
    struct x86_cpu *x = x86_of(cpu);

    x->a20_mask = x->a20_line = ~UINT64_C(0);
    x->topology = (struct x86_topology){ cpu->index, 1, 1, 1 };
    return x86_model_init(x, model, err);
}

/* ---- text ---- */

static void print_seg(FILE *f, const char *name, const struct x86_seg *s)
{
    fprintf(f, "%-3s=%04x %016llx %08x %08x%s\n", name, s->selector, (unsigned long long)s->base,
            s->limit, s->flags << 8, s->null ? " null" : "");
}

static void print_state(FILE *f, const struct cpu *cpu)
{
    static const char *const gpr[16] = { "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                         "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15" };
    static const char *const seg[6] = { "ES", "CS", "SS", "DS", "FS", "GS" };
    static const uint8_t order[16] = { 0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15 };
    const struct x86_cpu *x = (const struct x86_cpu *)cpu;
    uint32_t fl = x86_eflags(x);

    for (unsigned i = 0; i < 16; i++)
        fprintf(f, "%s=%016llx%c", gpr[order[i]], (unsigned long long)x->gpr[order[i]],
                i % 4 == 3 ? '\n' : ' ');
    fprintf(f, "RIP=%016llx RFL=%08x [%c%c%c%c%c%c%c] CPL=%u II=%d A20=%d HLT=%d\n",
            (unsigned long long)x->rip, fl, fl & X86_DF ? 'D' : '-', fl & X86_OF ? 'O' : '-',
            fl & X86_SF ? 'S' : '-', fl & X86_ZF ? 'Z' : '-', fl & X86_AF ? 'A' : '-',
            fl & X86_PF ? 'P' : '-', fl & X86_CF ? 'C' : '-', x->cpl, x->inhibit,
            x->a20_mask >> 20 & 1 ? 1 : 0, x->c.halted);
    for (unsigned i = 0; i < 6; i++)
        print_seg(f, seg[i], &x->seg[i]);
    print_seg(f, "LDT", &x->ldt);
    print_seg(f, "TR", &x->tr);
    fprintf(f, "GDT=    %016llx %08x\nIDT=    %016llx %08x\n", (unsigned long long)x->gdt.base,
            x->gdt.limit, (unsigned long long)x->idt.base, x->idt.limit);
    fprintf(f, "CR0=%08llx CR2=%016llx CR3=%016llx CR4=%08llx\n", (unsigned long long)x->cr0,
            (unsigned long long)x->cr2, (unsigned long long)x->cr3, (unsigned long long)x->cr4);
    for (unsigned i = 0; i < 4; i++)
        fprintf(f, "DR%u=%016llx ", i, (unsigned long long)x->dr[i]);
    fprintf(f, "\nDR6=%016llx DR7=%016llx\nEFER=%016llx\n", (unsigned long long)x->dr[6],
            (unsigned long long)x->dr[7], (unsigned long long)x->efer);
}

#ifdef RHEA_CAPSTONE
static void print_insns(FILE *f, const uint8_t *code, unsigned size, gva_t pc, uint32_t mode)
{
    unsigned kind = mode & X86_MODE_CODE;

    x86_disassemble(f, code, size, pc,
                    kind == X86_MODE_CODE64   ? 64
                    : kind == X86_MODE_CODE32 ? 32
                                              : 16);
}
#else
#define print_insns NULL
#endif

/* What the guest records have in common. */
#define X86_GUEST                                                                                  \
    .cpu_size = sizeof(struct x86_cpu), .page_bits = 12, .mmu_user = X86_MMU_USER,                 \
    .slots = x86_slots, .slot_count = X86_SLOT_COUNT, .slot_pc = X86_SLOT_RIP, .regs = x86_regs,   \
    .default_model = "qemu64", .models_help = x86_models_help, .init = init, .reset = x86_reset,   \
    .translate = x86_translate, .walk = x86_walk, .misaligned = misaligned,                        \
    .deliver = x86_deliver, .take_events = x86_take_events, .wakes = x86_wakes,                    \
    .compute_mode = compute_mode, .linear_pc = linear_pc, .one_insn = one_insn,                    \
    .shadow_done = shadow_done, .watch = x86_watch, .insn_done = x86_insn_done,                    \
    .print_state = print_state, .print_insns = print_insns, .user_model = "max",                   \
    .fetch_fault = x86_user_fetch_fault

const struct guest x86_guest = {
    .name = "x86_64",
    .doc = "x86: real mode to long mode",
    .user_init = x86_user_init64,
    X86_GUEST,
};

const struct guest x86_guest_i386 = {
    .name = "i386",
    .doc = "x86: 32-bit programs (user mode)",
    .user_init = x86_user_init32,
    X86_GUEST,
};
