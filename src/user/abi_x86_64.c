/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linux on x86_64: registers of calls, the signal frame (arch/x86/include/uapi/asm/sigcontext.h,
 * asm/sigframe.h).
 */
#include <stddef.h>
#include <string.h>

#include "user/abi_x86.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };
enum { RED_ZONE = 128 };

/* ---- registers ---- */

static const struct x86_cpu *cof(const struct cpu *cpu)
{
    return (const struct x86_cpu *)cpu;
}

static void get_call(const struct cpu *cpu, struct user_call *ret)
{
    const uint64_t *g = cof(cpu)->gpr;

    *ret = (struct user_call){ .nr = g[RAX], .arg = { g[RDI], g[RSI], g[RDX], g[10], g[8], g[9] } };
}

static void set_result(struct cpu *cpu, int64_t value)
{
    x86_of(cpu)->gpr[RAX] = (uint64_t)value;
}

static void restart_call(struct cpu *cpu, const struct user_call *call)
{
    x86_of(cpu)->rip -= 2;
    x86_of(cpu)->gpr[RAX] = call->nr;
}

static void start(struct cpu *cpu, gva_t entry, gva_t sp)
{
    x86_of(cpu)->rip = entry;
    x86_of(cpu)->gpr[RSP] = sp;
}

static gva_t sp_of(const struct cpu *cpu)
{
    return cof(cpu)->gpr[RSP];
}

static gva_t pc_of(const struct cpu *cpu)
{
    return cof(cpu)->rip;
}

static void set_tls(struct cpu *cpu, uint64_t tls)
{
    (void)x86_user_set_base(cpu, X86_FS, tls); /* as Linux: a bad one is not taken */
}

static void clone_regs(struct cpu *child, gva_t sp)
{
    x86_of(child)->gpr[RAX] = 0;
    if (sp)
        x86_of(child)->gpr[RSP] = sp;
}

/* ---- the signal frame ---- */

struct x64_stack {
    uint64_t sp;
    int32_t flags, pad;
    uint64_t size;
};
struct x64_sigcontext {
    uint64_t r8_15[8], di, si, bp, bx, dx, ax, cx, sp, ip, flags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
};
struct x64_frame {
    uint64_t pretcode;
    struct {
        uint64_t flags, link;
        struct x64_stack stack;
        struct x64_sigcontext mc;
        uint64_t sigmask;
    } uc;
    uint8_t info[128];
};
enum { UC_FP_XSTATE = 1, UC_SIGCONTEXT_SS = 2, UC_STRICT_RESTORE_SS = 4 };
_Static_assert(sizeof(struct x64_sigcontext) == 256 && sizeof(struct x64_frame) == 440, "ABI");

static void put_context(struct user_thread *t, struct x64_sigcontext *mc)
{
    const struct x86_cpu *x = cof(t->cpu);
    const uint64_t *g = x->gpr;

    memcpy(mc->r8_15, &g[8], sizeof(mc->r8_15));
    mc->di = g[RDI];
    mc->si = g[RSI];
    mc->bp = g[RBP];
    mc->bx = g[RBX];
    mc->dx = g[RDX];
    mc->ax = g[RAX];
    mc->cx = g[RCX];
    mc->sp = g[RSP];
    mc->ip = x->rip;
    mc->flags = x86_eflags(x);
    mc->cs = x->seg[X86_CS].selector;
    mc->ss = x->seg[X86_SS].selector;
    abi_x86_trap(t, &mc->trapno, &mc->err, &mc->cr2);
}

static bool build_frame(struct user_thread *t, const struct user_sigframe_info *f, gva_t top)
{
    struct x86_cpu *x = x86_of(t->cpu);
    struct x64_frame fr = { .pretcode = f->restorer };
    uint8_t fp[ABI_X86_FP_MAX];
    unsigned fp_size = abi_x86_fp_size(t->cpu);
    gva_t below = top == x->gpr[RSP] ? top - RED_ZONE : top;
    gva_t fp_at = (below - fp_size) & ~UINT64_C(63);
    gva_t at = ((fp_at - sizeof(fr)) & ~UINT64_C(15)) - 8;

    if (!(f->flags & GUEST_SA_RESTORER))
        return false; /* Linux has no other way back here */
    siginfo_to_guest(t->proc->abi, &f->info, fr.info);
    signal_stack_save(t, &fr.uc.stack);
    fr.uc.flags =
        UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (fp_size > ABI_X86_FXSAVE ? UC_FP_XSTATE : 0);
    fr.uc.sigmask = fr.uc.mc.oldmask = f->old_mask;
    put_context(t, &fr.uc.mc);
    fr.uc.mc.fpstate = fp_at;
    abi_x86_fp_save(t->cpu, fp, false);
    if (!signal_stack_fits(t, top, at) || user_write(t->proc, fp_at, fp, fp_size) ||
        user_write(t->proc, at, &fr, sizeof(fr)))
        return false;
    x->gpr[RDI] = (uint64_t)f->sig;
    x->gpr[RAX] = 0;
    x->gpr[RSI] = at + offsetof(struct x64_frame, info);
    x->gpr[RDX] = at + offsetof(struct x64_frame, uc);
    x->gpr[RSP] = at;
    x->rip = f->handler;
    x86_set_eflags(x, 0, X86_DF | X86_RF | X86_TF);
    if (x->seg[X86_CS].selector != X86_USER_CS)
        (void)x86_user_load_seg(t->cpu, X86_CS, X86_USER_CS);
    cpu_mode_changed(t->cpu);
    return true;
}

static bool get_fp(struct user_thread *t, gva_t at)
{
    uint8_t fp[ABI_X86_FP_MAX];
    unsigned size = abi_x86_fp_size(t->cpu);

    if (!at) {
        abi_x86_fp_reset(t->cpu);
        return true;
    }
    if (user_read(t->proc, fp, at, size)) {
        size = ABI_X86_FXSAVE;
        if (user_read(t->proc, fp, at, size))
            return false;
    }
    return abi_x86_fp_restore(t->cpu, fp, size);
}

static bool return_from(struct user_thread *t, bool rt, uint64_t *ret_mask)
{
    enum { FIX = X86_AC | X86_ARITH | X86_DF | X86_TF | X86_RF };
    struct x86_cpu *x = x86_of(t->cpu);
    uint64_t *g = x->gpr;
    const struct x64_sigcontext *mc;
    struct x64_frame fr;

    if (user_read(t->proc, &fr, g[RSP] - 8, sizeof(fr)))
        return false;
    mc = &fr.uc.mc;
    if (!get_fp(t, mc->fpstate))
        return false;
    memcpy(&g[8], mc->r8_15, sizeof(mc->r8_15));
    g[RDI] = mc->di;
    g[RSI] = mc->si;
    g[RBP] = mc->bp;
    g[RBX] = mc->bx;
    g[RDX] = mc->dx;
    g[RAX] = mc->ax;
    g[RCX] = mc->cx;
    g[RSP] = mc->sp;
    x->rip = mc->ip;
    x86_set_eflags(x, (uint32_t)mc->flags, FIX);
    if ((mc->cs | 3) != x->seg[X86_CS].selector && !x86_user_load_seg(t->cpu, X86_CS, mc->cs | 3))
        return false;
    if (fr.uc.flags & UC_SIGCONTEXT_SS && (mc->ss | 3) != x->seg[X86_SS].selector &&
        !x86_user_load_seg(t->cpu, X86_SS, mc->ss | 3))
        return false;
    cpu_mode_changed(t->cpu);
    *ret_mask = fr.uc.sigmask;
    signal_stack_restore(t, &fr.uc.stack);
    return true;
}

static const char *const packages[] = { "libc6:amd64", "libc6-amd64-cross", NULL };

const struct user_abi user_abi_x86_64 = {
    .name = "x86_64",
    .uname_machine = "x86_64",
    .guest = &x86_guest,
    .elf_machine = 62,
    .elf_class = 2,
    .call_column = USER_CALLS_X86_64,
    .long_size = 8,
    .va_limit = UINT64_C(0x7ffffffff000),
    .interp_packages = packages,
    .open_flags = abi_x86_open_flags,
    .minsigstksz = 440 + 64 + 580 + RED_ZONE,
    .sigaltstack_min = 2048,
    .kernel_code = true,
    .sa_restorer = true,
    .get_call = get_call,
    .set_result = set_result,
    .restart_call = restart_call,
    .start = start,
    .sp = sp_of,
    .pc = pc_of,
    .set_tls = set_tls,
    .clone_regs = clone_regs,
    .hwcap = abi_x86_hwcap,
    .hwcap2 = abi_x86_hwcap2,
    .exception = abi_x86_exception,
    .build_frame = build_frame,
    .sigreturn = return_from,
};
