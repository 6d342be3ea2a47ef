/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Exceptions and interrupts: how they are raised, combined to double and triple faults, taken
 * between instructions, and what ends a halt. The way through the IDT is in sys_gate.c. SDM volume
 * 3A chapter 6.
 */
#include "base/log.h"
#include "guest/x86/decode.h"
#include "guest/x86/sys.h"

enum { DELIVERING_NONE = -1, DELIVERING_BENIGN = 256 };
enum { DR6_BD = 1 << 13, DR6_BS = 1 << 14, DR6_BT = 1 << 15, DR7_GD = 1 << 13 };

static bool has_error_code(int vector)
{
    return vector == X86_DF_VEC || (vector >= X86_TS && vector <= X86_PF_VEC) ||
           vector == X86_AC_VEC;
}

void x86_record(struct x86_cpu *x, int vector, uint32_t error, bool has_error)
{
    x->exc_vector = vector;
    x->exc_error = error;
    x->exc_has_error = has_error;
    x->exc_software = false;
    x->exc_icebp = false;
    x->exc_noncanonical = false;
}

_Noreturn void x86_raise_error(struct x86_cpu *x, int vector, uint32_t error)
{
    x86_record(x, vector, error, true);
    cpu_raise(&x->c);
}

_Noreturn void x86_raise(struct x86_cpu *x, int vector)
{
    x86_record(x, vector, 0, has_error_code(vector));
    cpu_raise(&x->c);
}

/* INT n, INT3, INTO, INT1. In virtual-8086 mode INT n needs IOPL 3 (the caller's next is for the
 * return address). */
static void h_int(struct x86_cpu *x, uint64_t vector, uint64_t next, uint64_t kind)
{
    enum { INT_N, INT_SHORT, INT_ICE };

    if ((uint32_t)kind == INT_N && x->eflags & X86_VM && x86_iopl(x) < 3)
        x86_raise_error(x, X86_GP, 0);
    x86_record(x, (int)(uint32_t)vector, 0, false);
    x->exc_software = (uint32_t)kind != INT_ICE;
    x->exc_icebp = (uint32_t)kind == INT_ICE;
    x->exc_dr6 = 0;
    x->exc_next_rip = next;
    cpu_raise(&x->c);
}
const struct helper x86_h_int = { "x86_int", (helper_fn *)h_int, "- i32 i64 i32", 0 };

/* ---- delivery ---- */

void x86_deliver_event(struct x86_cpu *x, const struct x86_event *ev)
{
    if (!(x->cr0 & X86_CR0_PE))
        x86_deliver_real(x, ev);
    else if (x86_lma(x))
        x86_deliver_long(x, ev);
    else
        x86_deliver_protected(x, ev);
    x->delivering = DELIVERING_NONE;
    cpu_mode_changed(&x->c);
}

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE };

static enum fault_class class_of(int vector)
{
    switch (vector) {
    case X86_DE:
    case X86_TS:
    case X86_NP:
    case X86_SS_VEC:
    case X86_GP: return CONTRIBUTORY;
    case X86_PF_VEC: return PAGE_FAULT;
    case X86_DF_VEC: return DOUBLE;
    default: return BENIGN;
    }
}

void x86_shut_down(struct x86_cpu *x, const char *why)
{
    log_write(LOG_CPU_RESET, "CPU %u shuts down: %s\n", x->c.index, why);
    if (log_enabled(LOG_CPU_RESET)) {
        FILE *f = log_lock();

        x->c.guest->print_state(f, &x->c);
        log_unlock(f);
    }
    x->delivering = DELIVERING_NONE;
    x->exc_vector = -1;
    x->shutdown = true;
    cpu_halt(&x->c);
    cpu_machine_reset(&x->c, why);
}

/* The second of two exceptions: double fault, shutdown (false), or itself. SDM table 6-5. */
static bool combine(struct x86_cpu *x)
{
    enum fault_class first = x->delivering == DELIVERING_NONE ? BENIGN : class_of(x->delivering);
    enum fault_class second = x->exc_software ? BENIGN : class_of(x->exc_vector);

    if (first == DOUBLE && second != BENIGN)
        return false;
    if ((first == CONTRIBUTORY && second == CONTRIBUTORY) ||
        (first == PAGE_FAULT && (second == CONTRIBUTORY || second == PAGE_FAULT)))
        x86_record(x, X86_DF_VEC, 0, true);
    return true;
}

static void log_event(struct x86_cpu *x, const char *what)
{
    static unsigned count;
    FILE *f;

    if (!log_enabled(LOG_INT))
        return;
    f = log_lock();
    fprintf(f, "%6u: %s v=%02x e=%04x cpl=%u IP=%04x:%016llx SP=%04x:%016llx CR2=%016llx\n",
            __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED), what, x->exc_vector, x->exc_error,
            x->cpl, x->seg[X86_CS].selector, (unsigned long long)x->rip, x->seg[X86_SS].selector,
            (unsigned long long)x->gpr[X86_RSP], (unsigned long long)x->cr2);
    log_unlock(f);
}

/* #DB: DR6 first; the trap pushes the next rip, the breakpoint fault its own with RF. */
static void prepare_debug(struct x86_cpu *x, struct x86_event *ev)
{
    bool fault =
        !(x->exc_dr6 & (DR6_BS | DR6_BT)) && (x->exc_dr6 & DR6_BD || x->exc_next_rip == x->rip);

    if (x->exc_icebp) {
        ev->rip = x->exc_next_rip;
        return;
    }
    x->dr[6] = (x->dr[6] & ~UINT64_C(15)) | x->exc_dr6;
    x->dr[7] &= ~(uint64_t)DR7_GD;
    if (fault)
        ev->eflags |= X86_RF;
    else if (!(x->exc_dr6 & DR6_BT))
        ev->rip = x->exc_next_rip;
}

/* A non-canonical address is #SS(0) when the access went through SS: the walk cannot tell, so the
 * instruction at rip is looked at again. Stack operations without a memory operand, and operands
 * based on rSP or rBP. */
static bool through_ss(struct x86_cpu *x)
{
    struct x86_insn i;
    uint8_t buf[X86_INSN_MAX];
    unsigned n = cpu_fetch(&x->c, x->rip, buf, sizeof(buf));
    int64_t from_rsp = (int64_t)(x->exc_cr2 - x->gpr[X86_RSP]);

    if (n && n < sizeof(buf)) /* to the end of a page */
        n += cpu_fetch(&x->c, x->rip + n, buf + n, (unsigned)sizeof(buf) - n);
    if (x86_decode(&i, buf, n, 64, ~UINT64_C(0)) != X86_DECODE_OK)
        return false;
    for (unsigned k = 0; k < i.nops; k++)
        if (i.opnd[k].kind == X86_K_SRC || i.opnd[k].kind == X86_K_DST)
            return false;
        else if (i.opnd[k].kind == X86_K_MEM && i.mem.seg != X86_SS)
            return from_rsp >= -16 && from_rsp <= 0 && i.mem.base == X86_NO_REG;
    return true; /* no memory operand at all: PUSH, POP, RET, LEAVE and the like */
}

void x86_fix_non_canonical(struct x86_cpu *x)
{
    if (!x->exc_noncanonical)
        return;
    x->exc_noncanonical = false;
    if (x86_code64(x) && through_ss(x))
        x86_record(x, X86_SS_VEC, 0, true);
    else
        x86_record(x, X86_GP, 0, true); /* the fetch may have recorded something */
}

void x86_deliver(struct cpu *cpu)
{
    struct x86_cpu *x = x86_of(cpu);
    struct x86_event ev;

    x86_fix_non_canonical(x);
    if (x->exc_vector == X86_PF_VEC && !x->exc_software)
        x->cr2 = x->exc_cr2;
    if (!combine(x)) {
        x86_shut_down(x, "triple fault");
        return;
    }
    ev = (struct x86_event){ .vector = x->exc_vector,
                             .error = x->exc_error,
                             .has_error = x->exc_has_error,
                             .software = x->exc_software,
                             .rip = x->rip,
                             .eflags = x86_eflags(x),
                             .ext = !x->exc_software };
    log_event(x, x->exc_software ? "int" : "exception");
    if (x->exc_software) {
        ev.rip = x->exc_next_rip;
        x->delivering = DELIVERING_BENIGN;
    } else {
        x->delivering = ev.vector;
        if (ev.vector == X86_DB)
            prepare_debug(x, &ev);
        else
            ev.eflags |= X86_RF;
    }
    x->exc_vector = -1;
    x->inhibit = false;
    x86_deliver_event(x, &ev);
}

/* ---- events between instructions ---- */

static bool intr_possible(const struct x86_cpu *x)
{
    return x->eflags & X86_IF && !x->inhibit && !x->shutdown;
}

bool x86_wakes(const struct cpu *cpu, uint32_t events)
{
    const struct x86_cpu *x = (const struct x86_cpu *)cpu;

    if (x->wait_sipi)
        return events & (CPU_EVENT_INIT | CPU_EVENT_SIPI);
    if (events & CPU_EVENT_INTR && intr_possible(x))
        return true;
    if (events & CPU_EVENT_NMI && !x->nmi_blocked && !x->inhibit)
        return true;
    if (x->smm) /* SMI and INIT wait for RSM */
        return events & CPU_EVENT_SIPI;
    return events & (CPU_EVENT_INIT | CPU_EVENT_SIPI) || (events & CPU_EVENT_SMI && !x->inhibit);
}

static void take_vector(struct x86_cpu *x, int vector)
{
    struct x86_event ev = { .vector = vector, .rip = x->rip, .eflags = x86_eflags(x), .ext = 1 };

    x->exc_vector = vector;
    x->exc_error = 0;
    log_event(x, vector == X86_NMI ? "nmi" : "interrupt");
    x->exc_vector = -1;
    x->delivering = DELIVERING_BENIGN;
    x86_deliver_event(x, &ev);
}

static void take_init(struct x86_cpu *x)
{
    x86_reset_state(x, true);
    if (x->c.intc && x->c.intc->reset)
        x->c.intc->reset(x->c.intc_ctrl);
    cpu_tlb_flush_all_spaces(&x->c);
    x86_set_space(x, false);
    cpu_mode_changed(&x->c);
    if (x->c.index) /* application processors wait for SIPI */
        cpu_halt(&x->c);
}

static void take_sipi(struct x86_cpu *x)
{
    uint32_t vector = cpu_sipi_vector(&x->c) & 0xff;
    struct x86_seg cs = x->seg[X86_CS];

    if (!x->wait_sipi) /* the second of a pair, or a boot processor */
        return;
    x->wait_sipi = false;

    x86_seg_real(&cs, vector << 8);
    x86_set_seg(x, X86_CS, &cs);
    x->rip = 0;
    x->c.halted = 0;
    cpu_mode_changed(&x->c);
}

bool x86_take_events(struct cpu *cpu, uint32_t events)
{
    struct x86_cpu *x = x86_of(cpu);
    int vector;

    if (events & CPU_EVENT_INIT && !x->smm) {
        cpu_event_clear(cpu, CPU_EVENT_INIT);
        take_init(x);
        return true;
    }
    if (events & CPU_EVENT_SIPI) {
        cpu_event_clear(cpu, CPU_EVENT_SIPI);
        take_sipi(x);
        return true;
    }
    if (events & CPU_EVENT_SMI && !x->smm && !x->inhibit) {
        cpu_event_clear(cpu, CPU_EVENT_SMI);
        if (x86_has_smm(x)) {
            x->shutdown = false;
            x86_enter_smm(x, cpu->was_halted);
            return true;
        }
        log_write(LOG_UNIMP, "SMI: this machine has no system management mode\n");
    }
    if (events & CPU_EVENT_NMI && !x->nmi_blocked && !x->inhibit) {
        cpu_event_clear(cpu, CPU_EVENT_NMI);
        x->nmi_blocked = true;
        x->shutdown = false;
        take_vector(x, X86_NMI);
        return true;
    }
    if (!(events & CPU_EVENT_INTR) || !intr_possible(x) || !cpu->intc)
        return false;
    vector = cpu->intc->acknowledge(cpu->intc_ctrl);
    if (vector < 0)
        return false;
    take_vector(x, vector);
    return true;
}
