/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linux on i386: registers of calls, thread-local segments, the two signal frames
 * (arch/x86/include/uapi/asm/sigcontext.h, asm/sigframe.h).
 */
#include <stddef.h>
#include <string.h>

#include "user/abi_x86.h"

enum { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI };

/* ---- registers ---- */

static const struct x86_cpu *cof(const struct cpu *cpu)
{
    return (const struct x86_cpu *)cpu;
}

static void get_call(const struct cpu *cpu, struct user_call *ret)
{
    static const uint8_t order[] = { EBX, ECX, EDX, ESI, EDI, EBP };

    ret->nr = (uint32_t)cof(cpu)->gpr[EAX];
    for (unsigned i = 0; i < 6; i++)
        ret->arg[i] = (uint32_t)cof(cpu)->gpr[order[i]];
}

static void set_result(struct cpu *cpu, int64_t value)
{
    x86_of(cpu)->gpr[EAX] = (uint32_t)value;
}

static void restart_call(struct cpu *cpu, const struct user_call *call)
{
    x86_of(cpu)->rip -= 2;
    x86_of(cpu)->gpr[EAX] = call->nr;
}

static void start(struct cpu *cpu, gva_t entry, gva_t sp)
{
    x86_of(cpu)->rip = entry;
    x86_of(cpu)->gpr[ESP] = sp;
}

static gva_t sp_of(const struct cpu *cpu)
{
    return (uint32_t)cof(cpu)->gpr[ESP];
}

static gva_t pc_of(const struct cpu *cpu)
{
    return cof(cpu)->rip;
}

static void clone_regs(struct cpu *child, gva_t sp)
{
    x86_of(child)->gpr[EAX] = 0;
    if (sp)
        x86_of(child)->gpr[ESP] = sp;
}

/* ---- thread-local segments ---- */

enum {
    DESC_32BIT = 1,
    DESC_CONTENTS = 6,
    DESC_READ_EXEC = 8,
    DESC_PAGES = 16,
    DESC_ABSENT = 32,
    DESC_USEABLE = 64
};

/* struct user_desc: entry number, base, limit, flags (asm/ldt.h) */
static uint64_t descriptor(const uint32_t d[4])
{
    uint32_t base = d[1], limit = d[2], f = d[3];
    uint32_t lo, hi;

    if (!base && !limit && (f & 0x7f) == (DESC_READ_EXEC | DESC_ABSENT))
        return 0;
    lo = (limit & 0xffff) | base << 16;
    hi = (base >> 16 & 0xff) | (base & 0xff000000) | (limit & 0xf0000);
    hi |= (f & DESC_READ_EXEC ? 0 : 1u << 9) | (f & DESC_CONTENTS) << 9 | 1u << 8; /* type */
    hi |= 1u << 12 | 3u << 13 | (f & DESC_ABSENT ? 0 : 1u << 15);
    hi |= (f & DESC_USEABLE ? 1u << 20 : 0) | (f & DESC_32BIT ? 1u << 22 : 0) |
          (f & DESC_PAGES ? 1u << 23 : 0);
    return (uint64_t)hi << 32 | lo;
}

/* Segment registers take what their selector means now. */
static void reload(struct cpu *cpu, unsigned entry)
{
    static const uint8_t segs[] = { X86_DS, X86_ES, X86_FS, X86_GS };

    for (unsigned i = 0; i < 4; i++) {
        uint16_t sel = cof(cpu)->seg[segs[i]].selector;

        if (sel >> 3 == entry && !x86_user_load_seg(cpu, segs[i], sel))
            (void)x86_user_load_seg(cpu, segs[i], 0);
    }
}

/* CLONE_SETTLS: tls is the address of a struct user_desc. */
static void set_tls(struct cpu *cpu, uint64_t tls)
{
    uint32_t desc[4];

    if (user_self && user_read(user_self->proc, desc, tls, sizeof(desc)) == 0 &&
        x86_user_set_tls(cpu, desc[0], descriptor(desc)))
        reload(cpu, desc[0]);
}

/* ---- the signal frames ---- */

struct x32_sigcontext {
    uint32_t gs, fs, es, ds;
    uint32_t di, si, bp, sp, bx, dx, cx, ax, trapno, err, ip, cs, flags, sp_at_signal, ss, fpstate,
        oldmask, cr2;
};
struct x32_frame {
    uint32_t pretcode;
    int32_t sig;
    struct x32_sigcontext mc;
    uint8_t fpstate_unused[624];
    uint32_t extramask;
    uint8_t retcode[8];
};
struct x32_rt_frame {
    uint32_t pretcode;
    int32_t sig;
    uint32_t pinfo, puc;
    uint8_t info[128];
    struct {
        uint32_t flags, link, stack[3];
        struct x32_sigcontext mc;
        uint32_t sigmask[2];
    } uc;
    uint8_t retcode[8];
};
_Static_assert(sizeof(struct x32_sigcontext) == 88 && sizeof(struct x32_frame) == 732, "ABI");
_Static_assert(offsetof(struct x32_rt_frame, uc) == 144 && sizeof(struct x32_rt_frame) == 268,
               "ABI");

/* pop %eax; mov $119, %eax; int $0x80 and mov $173, %eax; int $0x80: known to unwinders and gdb */
static const uint8_t retcode[8] = { 0x58, 0xb8, 0x77, 0, 0, 0, 0xcd, 0x80 };
static const uint8_t rt_retcode[8] = { 0xb8, 0xad, 0, 0, 0, 0xcd, 0x80, 0 };
static const uint32_t trampoline[] = {
    0x90909090, 0x0077b858, 0x80cd0000, 0x0000adb8, 0x0080cd00, 0
};
enum { RT_TRAMPOLINE = 8 };

static void put_context(struct user_thread *t, const struct user_sigframe_info *f,
                        struct x32_sigcontext *mc, gva_t fp_at)
{
    const struct x86_cpu *x = cof(t->cpu);
    const uint64_t *g = x->gpr;
    uint64_t trap, error, cr2;

    abi_x86_trap(t, &trap, &error, &cr2);
    *mc = (struct x32_sigcontext){ .gs = x->seg[X86_GS].selector,
                                   .fs = x->seg[X86_FS].selector,
                                   .es = x->seg[X86_ES].selector,
                                   .ds = x->seg[X86_DS].selector,
                                   .di = (uint32_t)g[EDI],
                                   .si = (uint32_t)g[ESI],
                                   .bp = (uint32_t)g[EBP],
                                   .sp = (uint32_t)g[ESP],
                                   .bx = (uint32_t)g[EBX],
                                   .dx = (uint32_t)g[EDX],
                                   .cx = (uint32_t)g[ECX],
                                   .ax = (uint32_t)g[EAX],
                                   .trapno = (uint32_t)trap,
                                   .err = (uint32_t)error,
                                   .ip = (uint32_t)x->rip,
                                   .cs = x->seg[X86_CS].selector,
                                   .flags = x86_eflags(x),
                                   .sp_at_signal = (uint32_t)g[ESP],
                                   .ss = x->seg[X86_SS].selector,
                                   .fpstate = (uint32_t)fp_at,
                                   .oldmask = (uint32_t)f->old_mask,
                                   .cr2 = (uint32_t)cr2 };
}

/* The FSAVE image, then FXSAVE's and what follows it; returns where it begins, 0: cannot be
 * written. */
static gva_t put_fp(struct user_thread *t, gva_t top)
{
    uint8_t fp[ABI_X86_FSAVE + ABI_X86_FP_MAX];
    unsigned size = abi_x86_fp_size(t->cpu);
    gva_t at = ((top - size) & ~UINT64_C(63)) - ABI_X86_FSAVE;

    abi_x86_fsave(t->cpu, fp);
    abi_x86_fp_save(t->cpu, fp + ABI_X86_FSAVE, true);
    return user_write(t->proc, at, fp, ABI_X86_FSAVE + size) ? 0 : at;
}

static gva_t frame_at(gva_t below, size_t size)
{
    return ((below - size + 4) & ~UINT64_C(15)) - 4;
}

static void enter(struct user_thread *t, const struct user_sigframe_info *f, gva_t at, gva_t info,
                  gva_t uc)
{
    struct x86_cpu *x = x86_of(t->cpu);

    x->gpr[EAX] = (uint32_t)f->sig;
    x->gpr[EDX] = (uint32_t)info;
    x->gpr[ECX] = (uint32_t)uc;
    x->gpr[ESP] = (uint32_t)at;
    x->rip = f->handler;
    x86_set_eflags(x, 0, X86_DF | X86_RF | X86_TF);
    (void)x86_user_load_seg(t->cpu, X86_CS, X86_USER32_CS);
    (void)x86_user_load_seg(t->cpu, X86_SS, X86_USER_DS);
    (void)x86_user_load_seg(t->cpu, X86_DS, X86_USER_DS);
    (void)x86_user_load_seg(t->cpu, X86_ES, X86_USER_DS);
    cpu_mode_changed(t->cpu);
}

static bool build_old(struct user_thread *t, const struct user_sigframe_info *f, gva_t top,
                      gva_t fp_at)
{
    struct x32_frame fr = { .sig = f->sig, .extramask = (uint32_t)(f->old_mask >> 32) };
    gva_t at = frame_at(fp_at, sizeof(fr));

    fr.pretcode = (uint32_t)(f->flags & GUEST_SA_RESTORER ? f->restorer : t->signals->trampoline);
    put_context(t, f, &fr.mc, fp_at);
    memcpy(fr.retcode, retcode, sizeof(retcode));
    if (!signal_stack_fits(t, top, at) || user_write(t->proc, at, &fr, sizeof(fr)))
        return false;
    enter(t, f, at, 0, 0);
    return true;
}

static bool build_frame(struct user_thread *t, const struct user_sigframe_info *f, gva_t top)
{
    struct x32_rt_frame fr = { .sig = f->sig };
    gva_t fp_at = put_fp(t, top);
    gva_t at = frame_at(fp_at, sizeof(fr));

    if (!fp_at)
        return false;
    if (!(f->flags & GUEST_SA_SIGINFO))
        return build_old(t, f, top, fp_at);
    fr.pinfo = (uint32_t)(at + offsetof(struct x32_rt_frame, info));
    fr.puc = (uint32_t)(at + offsetof(struct x32_rt_frame, uc));
    fr.pretcode = (uint32_t)(f->flags & GUEST_SA_RESTORER ? f->restorer
                                                          : t->signals->trampoline + RT_TRAMPOLINE);
    siginfo_to_guest(t->proc->abi, &f->info, fr.info);
    signal_stack_save(t, fr.uc.stack);
    fr.uc.flags = abi_x86_fp_size(t->cpu) > ABI_X86_FXSAVE; /* UC_FP_XSTATE */
    put_context(t, f, &fr.uc.mc, fp_at);
    memcpy(fr.uc.sigmask, &f->old_mask, 8);
    memcpy(fr.retcode, rt_retcode, sizeof(rt_retcode));
    if (!signal_stack_fits(t, top, at) || user_write(t->proc, at, &fr, sizeof(fr)))
        return false;
    enter(t, f, at, fr.pinfo, fr.puc);
    return true;
}

static bool get_fp(struct user_thread *t, gva_t at)
{
    uint8_t fp[ABI_X86_FSAVE + ABI_X86_FP_MAX];
    unsigned size = abi_x86_fp_size(t->cpu);

    if (!at) {
        abi_x86_fp_reset(t->cpu);
        return true;
    }
    if (user_read(t->proc, fp, at, ABI_X86_FSAVE + size)) {
        if (user_read(t->proc, fp, at, ABI_X86_FSAVE + ABI_X86_FXSAVE))
            return false;
        size = ABI_X86_FXSAVE;
    }
    if (!abi_x86_fp_restore(t->cpu, fp + ABI_X86_FSAVE, size))
        return false;
    abi_x86_frstor(t->cpu, fp); /* programs change the old part */
    return true;
}

static bool load(struct cpu *cpu, enum x86_segreg seg, uint32_t sel)
{
    sel &= 0xffff;
    return sel == cof(cpu)->seg[seg].selector || x86_user_load_seg(cpu, seg, (uint16_t)sel);
}

static bool get_context(struct user_thread *t, const struct x32_sigcontext *mc)
{
    enum { FIX = X86_AC | X86_ARITH | X86_DF | X86_TF | X86_RF };
    struct x86_cpu *x = x86_of(t->cpu);
    uint64_t *g = x->gpr;

    if (!get_fp(t, mc->fpstate) || !load(t->cpu, X86_CS, mc->cs | 3) ||
        !load(t->cpu, X86_SS, mc->ss | 3) || !load(t->cpu, X86_DS, mc->ds) ||
        !load(t->cpu, X86_ES, mc->es) || !load(t->cpu, X86_FS, mc->fs) ||
        !load(t->cpu, X86_GS, mc->gs))
        return false;
    g[EDI] = mc->di;
    g[ESI] = mc->si;
    g[EBP] = mc->bp;
    g[ESP] = mc->sp;
    g[EBX] = mc->bx;
    g[EDX] = mc->dx;
    g[ECX] = mc->cx;
    g[EAX] = mc->ax;
    x->rip = mc->ip;
    x86_set_eflags(x, mc->flags, FIX);
    cpu_mode_changed(t->cpu);
    return true;
}

static bool return_from(struct user_thread *t, bool rt, uint64_t *ret_mask)
{
    gva_t sp = sp_of(t->cpu);
    struct x32_frame fr;
    struct x32_rt_frame rf;

    if (!rt) {
        if (user_read(t->proc, &fr, sp - 8, sizeof(fr)) || !get_context(t, &fr.mc))
            return false;
        *ret_mask = fr.mc.oldmask | (uint64_t)fr.extramask << 32;
        return true;
    }
    if (user_read(t->proc, &rf, sp - 4, sizeof(rf)) || !get_context(t, &rf.uc.mc))
        return false;
    memcpy(ret_mask, rf.uc.sigmask, 8);
    signal_stack_restore(t, rf.uc.stack);
    return true;
}

static const char *const packages[] = { "libc6:i386", "libc6-i386-cross", NULL };

const struct user_abi user_abi_i386 = {
    .name = "i386",
    .uname_machine = "i686",
    .guest = &x86_guest_i386,
    .elf_machine = 3,
    .elf_class = 1,
    .call_column = USER_CALLS_I386,
    .long_size = 4,
    .va_limit = UINT64_C(0xffffe000),
    .interp_packages = packages,
    .open_flags = abi_x86_open_flags,
    .minsigstksz = 268 + 112 + 64 + 580,
    .sigaltstack_min = 2048,
    .kernel_code = true,
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
    .hwcap = abi_x86_hwcap,
    .hwcap2 = abi_x86_hwcap2,
    .exception = abi_x86_exception,
    .build_frame = build_frame,
    .sigreturn = return_from,
};
