/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linux on riscv64: registers of calls, the signal frame
 * (arch/riscv/include/uapi/asm/sigcontext.h).
 */
#include <stddef.h>
#include <string.h>

#include "guest/riscv/riscv.h"
#include "user/signal_priv.h"

enum { RA = 1, SP = 2, TP = 4, A0 = 10, A7 = 17 };

/* ---- registers ---- */

static struct rv_cpu *of(struct cpu *cpu)
{
    return (struct rv_cpu *)cpu;
}

static const struct rv_cpu *cof(const struct cpu *cpu)
{
    return (const struct rv_cpu *)cpu;
}

static void get_call(const struct cpu *cpu, struct user_call *ret)
{
    ret->nr = cof(cpu)->x[A7];
    memcpy(ret->arg, &cof(cpu)->x[A0], sizeof(ret->arg));
}

static void set_result(struct cpu *cpu, int64_t value)
{
    of(cpu)->x[A0] = (uint64_t)value;
}

static void restart_call(struct cpu *cpu, const struct user_call *call)
{
    of(cpu)->pc -= 4;
    of(cpu)->x[A0] = call->arg[0];
}

static void start(struct cpu *cpu, gva_t entry, gva_t sp)
{
    of(cpu)->pc = entry;
    of(cpu)->x[SP] = sp;
}

static gva_t sp_of(const struct cpu *cpu)
{
    return cof(cpu)->x[SP];
}

static gva_t pc_of(const struct cpu *cpu)
{
    return cof(cpu)->pc;
}

static void set_tls(struct cpu *cpu, uint64_t tls)
{
    of(cpu)->x[TP] = tls;
}

static void clone_regs(struct cpu *child, gva_t sp)
{
    of(child)->x[A0] = 0;
    of(child)->lr_addr = ~UINT64_C(0);
    if (sp)
        of(child)->x[SP] = sp;
}

static uint64_t hwcap2(const struct cpu *cpu)
{
    return 0;
}

/* ---- exceptions ---- */

static void exception(const struct cpu *cpu, siginfo_t *ret)
{
    const struct rv_cpu *r = cof(cpu);
    uint64_t addr = r->tval;

    switch (r->cause) {
    case RV_BREAKPOINT:
        ret->si_signo = SIGTRAP;
        ret->si_code = TRAP_BRKPT;
        addr = r->pc;
        break;
    case RV_FETCH_MISALIGNED:
    case RV_LOAD_MISALIGNED:
    case RV_STORE_MISALIGNED:
        ret->si_signo = SIGBUS;
        ret->si_code = BUS_ADRALN;
        break;
    case RV_FETCH_FAULT:
    case RV_LOAD_FAULT:
    case RV_STORE_FAULT:
    case RV_FETCH_PAGE:
    case RV_LOAD_PAGE:
    case RV_STORE_PAGE:
        ret->si_signo = SIGSEGV;
        ret->si_code = SEGV_MAPERR;
        break;
    default: /* RV_ILLEGAL */
        ret->si_signo = SIGILL;
        ret->si_code = ILL_ILLOPC;
        addr = r->pc;
        break;
    }
    ret->si_addr = (void *)(uintptr_t)addr;
}

/* ---- the signal frame ---- */

struct rv_stack {
    uint64_t sp;
    int32_t flags, pad;
    uint64_t size;
};
struct rv_sigcontext {
    uint64_t pc, x[31]; /* x1..x31 */
    uint64_t f[32];
    uint32_t fcsr;
    uint8_t rest[260]; /* of the union with quad registers; ends with a header of zeros */
} __attribute__((aligned(16)));
struct rv_ucontext {
    uint64_t flags, link;
    struct rv_stack stack;
    uint64_t sigmask;
    uint8_t unused[120];
    struct rv_sigcontext mc;
};
struct rv_frame {
    uint8_t info[128];
    struct rv_ucontext uc;
};
_Static_assert(offsetof(struct rv_frame, uc.mc) == 304 && sizeof(struct rv_sigcontext) == 784,
               "ABI");
_Static_assert(sizeof(struct rv_frame) == 1088, "ABI");

static bool build_frame(struct user_thread *t, const struct user_sigframe_info *f, gva_t top)
{
    struct rv_cpu *r = of(t->cpu);
    struct rv_frame fr = { 0 };
    gva_t at = (top - sizeof(fr)) & ~UINT64_C(15);

    siginfo_to_guest(t->proc->abi, &f->info, fr.info);
    signal_stack_save(t, &fr.uc.stack);
    fr.uc.sigmask = f->old_mask;
    fr.uc.mc.pc = r->pc;
    memcpy(fr.uc.mc.x, &r->x[1], sizeof(fr.uc.mc.x));
    for (unsigned i = 0; i < 32; i++)
        fr.uc.mc.f[i] = r->f[i].u64[0];
    fr.uc.mc.fcsr = rv_fcsr_read(t->cpu);
    if (!signal_stack_fits(t, top, at) || user_write(t->proc, at, &fr, sizeof(fr)))
        return false;
    r->x[A0] = (uint64_t)f->sig;
    r->x[A0 + 1] = at + offsetof(struct rv_frame, info);
    r->x[A0 + 2] = at + offsetof(struct rv_frame, uc);
    r->x[RA] = t->signals->trampoline;
    r->x[SP] = at;
    r->pc = f->handler;
    r->lr_addr = ~UINT64_C(0);
    return true;
}

static bool return_from(struct user_thread *t, bool rt, uint64_t *ret_mask)
{
    struct rv_cpu *r = of(t->cpu);
    struct rv_frame fr;
    uint32_t end[3];

    if (user_read(t->proc, &fr, r->x[SP], sizeof(fr)))
        return false;
    memcpy(end, fr.uc.mc.rest + sizeof(fr.uc.mc.rest) - sizeof(end), sizeof(end));
    if (end[0] | end[1] | end[2]) /* extensions (vector) that we have not saved */
        return false;
    r->pc = fr.uc.mc.pc;
    memcpy(&r->x[1], fr.uc.mc.x, sizeof(fr.uc.mc.x));
    for (unsigned i = 0; i < 32; i++)
        r->f[i].u64[0] = fr.uc.mc.f[i];
    rv_fcsr_write(t->cpu, fr.uc.mc.fcsr);
    r->lr_addr = ~UINT64_C(0);
    *ret_mask = fr.uc.sigmask;
    signal_stack_restore(t, &fr.uc.stack);
    return true;
}

/* li a7, 139; ecall, behind a nop that an unwinder may look at: libgcc and gdb compare the words */
static const uint32_t trampoline[] = { 0x00000013, 0x08b00893, 0x00000073, 0 };

static const struct user_flag_map open_flags[] = { { 0 } };
static const char *const packages[] = { "libc6:riscv64", "libc6-riscv64-cross", NULL };

const struct user_abi user_abi_riscv64 = {
    .name = "riscv64",
    .uname_machine = "riscv64",
    .guest = &guest_riscv64,
    .elf_machine = 243,
    .elf_class = 2,
    .call_column = USER_CALLS_GENERIC,
    .long_size = 8,
    .va_limit = UINT64_C(0x7ffffffff000),
    .interp_packages = packages,
    .open_flags = open_flags,
    .minsigstksz = 1088 + 16,
    .sigaltstack_min = 2048,
    .trampoline = trampoline,
    .get_call = get_call,
    .set_result = set_result,
    .restart_call = restart_call,
    .start = start,
    .sp = sp_of,
    .pc = pc_of,
    .set_tls = set_tls,
    .clone_regs = clone_regs,
    .hwcap = rv_hwcap,
    .hwcap2 = hwcap2,
    .exception = exception,
    .build_frame = build_frame,
    .sigreturn = return_from,
};
