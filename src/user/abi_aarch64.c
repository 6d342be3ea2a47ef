/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linux on AArch64: registers of calls, the signal frame
 * (arch/arm64/include/uapi/asm/sigcontext.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>

#include "guest/arm/a64.h"
#include "user/signal_priv.h"

/* ---- registers ---- */

static struct a64_cpu *of(struct cpu *cpu)
{
    return (struct a64_cpu *)cpu;
}

static const struct a64_cpu *cof(const struct cpu *cpu)
{
    return (const struct a64_cpu *)cpu;
}

static void get_call(const struct cpu *cpu, struct user_call *ret)
{
    ret->nr = cof(cpu)->x[8];
    memcpy(ret->arg, cof(cpu)->x, sizeof(ret->arg));
}

static void set_result(struct cpu *cpu, int64_t value)
{
    of(cpu)->x[0] = (uint64_t)value;
}

static void restart_call(struct cpu *cpu, const struct user_call *call)
{
    of(cpu)->pc -= 4;
    of(cpu)->x[0] = call->arg[0];
}

static void start(struct cpu *cpu, gva_t entry, gva_t sp)
{
    of(cpu)->pc = entry;
    of(cpu)->x[31] = sp;
}

static gva_t sp_of(const struct cpu *cpu)
{
    return cof(cpu)->x[31];
}

static gva_t pc_of(const struct cpu *cpu)
{
    return cof(cpu)->pc;
}

static void set_tls(struct cpu *cpu, uint64_t tls)
{
    of(cpu)->tpidr_el0 = tls;
}

static void clone_regs(struct cpu *child, gva_t sp)
{
    of(child)->x[0] = 0;
    of(child)->excl_addr = ~UINT64_C(0);
    if (sp)
        of(child)->x[31] = sp;
}

/* ---- exceptions ---- */

static void exception(const struct cpu *cpu, siginfo_t *ret)
{
    const struct a64_cpu *a = cof(cpu);
    uint64_t addr = a->pc;

    switch (a->exception) {
    case A64_EXC_BRK:
        ret->si_signo = SIGTRAP;
        ret->si_code = TRAP_BRKPT;
        break;
    case A64_EXC_FETCH:
    case A64_EXC_DATA:
        ret->si_signo = SIGSEGV;
        ret->si_code = SEGV_MAPERR;
        addr = a->far;
        break;
    case A64_EXC_PC_ALIGN:
    case A64_EXC_ALIGN:
    case A64_EXC_SP_ALIGN:
        ret->si_signo = SIGBUS;
        ret->si_code = BUS_ADRALN;
        addr = a->exception == A64_EXC_SP_ALIGN ? a->x[31]
               : a->exception == A64_EXC_ALIGN  ? a->far
                                                : a->pc;
        break;
    default: /* A64_EXC_UNDEF, A64_EXC_BTI */
        ret->si_signo = SIGILL;
        ret->si_code = ILL_ILLOPC;
        break;
    }
    ret->si_addr = (void *)(uintptr_t)addr;
}

/* ESR_EL1 of the latest fault, as the kernel shows it in the frame; 0: none. */
static uint64_t esr_of(const struct user_thread *t, const siginfo_t *info)
{
    enum {
        EC_FETCH = 0x20,
        EC_DATA = 0x24,
        IL = 1 << 25,
        WNR = 1 << 6,
        TRANSLATION_3 = 7,
        PERMISSION_3 = 0xf,
        ALIGNMENT = 0x21
    };
    const struct signal_fault *f = &t->signals->fault;
    const struct a64_cpu *a = cof(t->cpu);
    bool write = f->exception ? a->iss & WNR : f->write;
    uint32_t ec = EC_DATA;

    if (info->si_signo != SIGSEGV && info->si_signo != SIGBUS)
        return 0;
    if (info->si_code <= 0 || info->si_code == SI_KERNEL)
        return 0;
    if (f->exception && a->exception == A64_EXC_FETCH) {
        ec = EC_FETCH;
        write = false;
    }
    return (uint64_t)ec << 26 | IL | (write ? WNR : 0) |
           (info->si_signo == SIGBUS       ? ALIGNMENT
            : info->si_code == SEGV_ACCERR ? PERMISSION_3
                                           : TRANSLATION_3);
}

/* ---- the signal frame ---- */

struct a64_stack {
    uint64_t sp;
    int32_t flags, pad;
    uint64_t size;
};
struct a64_sigcontext {
    uint64_t fault_address, regs[31], sp, pc, pstate;
    uint8_t reserved[4096] __attribute__((aligned(16)));
};
struct a64_ucontext {
    uint64_t flags, link;
    struct a64_stack stack;
    uint64_t sigmask;
    uint8_t unused[120];
    struct a64_sigcontext mc;
};
struct a64_frame {
    uint8_t info[128];
    struct a64_ucontext uc;
};
struct a64_record { /* heads of what is in reserved[] */
    uint32_t magic, size;
};
struct a64_fpsimd {
    struct a64_record head;
    uint32_t fpsr, fpcr;
    union ir_v128 v[32];
};
struct a64_esr {
    struct a64_record head;
    uint64_t esr;
};
enum { FPSIMD_MAGIC = 0x46508001, ESR_MAGIC = 0x45535201, EXTRA_MAGIC = 0x45585401 };
_Static_assert(offsetof(struct a64_frame, uc.mc) == 304 && sizeof(struct a64_frame) == 4688, "ABI");
_Static_assert(sizeof(struct a64_fpsimd) == 528 && sizeof(struct a64_esr) == 16, "ABI");

static void put_records(struct user_thread *t, uint8_t *p, uint64_t esr)
{
    struct a64_cpu *a = of(t->cpu);
    struct a64_fpsimd fp = { .head = { FPSIMD_MAGIC, sizeof(fp) },
                             .fpsr = a64_fpsr_read(t->cpu),
                             .fpcr = a->fpcr };
    struct a64_esr e = { .head = { ESR_MAGIC, sizeof(e) }, .esr = esr };

    memcpy(fp.v, a->v, sizeof(fp.v));
    memcpy(p, &fp, sizeof(fp));
    if (esr)
        memcpy(p + sizeof(fp), &e, sizeof(e));
    /* a record of zeros ends the list */
}

enum { PSTATE_BTYPE = 10 };

static bool build_frame(struct user_thread *t, const struct user_sigframe_info *f, gva_t top)
{
    struct a64_cpu *a = of(t->cpu);
    struct a64_frame fr = { 0 };
    uint64_t record[2] = { a->x[29], a->x[30] };
    gva_t rec_at = (top - sizeof(record)) & ~UINT64_C(15);
    gva_t at = rec_at - sizeof(fr);
    uint64_t esr = esr_of(t, &f->info);

    siginfo_to_guest(t->proc->abi, &f->info, fr.info);
    signal_stack_save(t, &fr.uc.stack);
    fr.uc.sigmask = f->old_mask;
    fr.uc.mc.fault_address = esr ? t->signals->fault.address : 0;
    memcpy(fr.uc.mc.regs, a->x, sizeof(fr.uc.mc.regs));
    fr.uc.mc.sp = a->x[31];
    fr.uc.mc.pc = a->pc;
    fr.uc.mc.pstate = a64_nzcv(t->cpu) | a->btype << PSTATE_BTYPE;
    put_records(t, fr.uc.mc.reserved, esr);
    if (!signal_stack_fits(t, top, at) || user_write(t->proc, at, &fr, sizeof(fr)) ||
        user_write(t->proc, rec_at, record, sizeof(record)))
        return false;
    a->x[0] = (uint64_t)f->sig;
    if (f->flags & GUEST_SA_SIGINFO) {
        a->x[1] = at + offsetof(struct a64_frame, info);
        a->x[2] = at + offsetof(struct a64_frame, uc);
    }
    a->x[29] = rec_at;
    a->x[30] = f->flags & GUEST_SA_RESTORER ? f->restorer : t->signals->trampoline;
    a->x[31] = at;
    a->pc = f->handler;
    a->btype = 0;
    a->excl_addr = ~UINT64_C(0);
    return true;
}

/* Finds the one record of FP and SIMD registers that must be there. */
static const struct a64_fpsimd *find_fpsimd(const struct a64_sigcontext *mc)
{
    const struct a64_fpsimd *found = NULL;
    size_t at = 0;

    while (at + sizeof(struct a64_record) <= sizeof(mc->reserved)) {
        const struct a64_record *r = (const void *)(mc->reserved + at);

        if (!r->magic && !r->size)
            return found;
        if (r->size < sizeof(*r) || r->size & 15 || r->size > sizeof(mc->reserved) - at)
            return NULL;
        if (r->magic == FPSIMD_MAGIC) {
            if (found || r->size != sizeof(*found))
                return NULL;
            found = (const void *)r;
        } else if (r->magic != ESR_MAGIC && r->magic != EXTRA_MAGIC) {
            return NULL;
        }
        at += r->size;
    }
    return NULL;
}

static bool return_from(struct user_thread *t, bool rt, uint64_t *ret_mask)
{
    struct a64_cpu *a = of(t->cpu);
    const struct a64_fpsimd *fp;
    struct a64_frame fr;

    if (a->x[31] & 15 || user_read(t->proc, &fr, a->x[31], sizeof(fr)))
        return false;
    fp = find_fpsimd(&fr.uc.mc);
    if (!fp)
        return false;
    memcpy(a->x, fr.uc.mc.regs, sizeof(fr.uc.mc.regs));
    a->x[31] = fr.uc.mc.sp;
    a->pc = fr.uc.mc.pc;
    a64_set_nzcv(t->cpu, (uint32_t)fr.uc.mc.pstate & 0xf0000000);
    a->btype = fr.uc.mc.pstate >> PSTATE_BTYPE & 3;
    a->excl_addr = ~UINT64_C(0);
    memcpy(a->v, fp->v, sizeof(a->v));
    a64_fpcr_write(t->cpu, fp->fpcr);
    a64_fpsr_write(t->cpu, fp->fpsr);
    *ret_mask = fr.uc.sigmask;
    signal_stack_restore(t, &fr.uc.stack);
    return true;
}

/* mov x8, #139; svc #0, behind a nop that an unwinder may look at: libgcc and gdb compare the words
 */
static const uint32_t trampoline[] = { 0xd503201f, 0xd2801168, 0xd4000001, 0 };

static const struct user_flag_map open_flags[] = {
    { 0x4000, O_DIRECTORY },
    { 0x8000, O_NOFOLLOW },
    { 0x10000, O_DIRECT },
    { 0x20000, 0x8000 /* O_LARGEFILE, which is 0 in our headers */ },
    { 0 },
};
static const char *const packages[] = { "libc6:arm64", "libc6-arm64-cross", NULL };

const struct user_abi user_abi_aarch64 = {
    .name = "aarch64",
    .uname_machine = "aarch64",
    .guest = &guest_aarch64,
    .elf_machine = 183,
    .elf_class = 2,
    .call_column = USER_CALLS_GENERIC,
    .long_size = 8,
    .va_limit = UINT64_C(0x7ffffffff000),
    .interp_packages = packages,
    .open_flags = open_flags,
    .minsigstksz = 4720,
    .sigaltstack_min = 5120,
    .sa_restorer = true,
    .trampoline = trampoline,
    .get_call = get_call,
    .set_result = set_result,
    .restart_call = restart_call,
    .start = start,
    .sp = sp_of,
    .pc = pc_of,
    .set_tls = set_tls,
    .clone_regs = clone_regs,
    .hwcap = a64_hwcap,
    .hwcap2 = a64_hwcap2,
    .exception = exception,
    .build_frame = build_frame,
    .sigreturn = return_from,
};
