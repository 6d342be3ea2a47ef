/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the two x86 ABIs share: exceptions as signals (arch/x86/kernel/traps.c does the same on real
 * processors) and the FP state of signal frames (SDM volume 1, 10.5 and 13.4;
 * arch/x86/include/uapi/asm/sigcontext.h).
 */
#include <string.h>

#include "base/endian.h"
#include "user/abi_x86.h"

/* ---- exceptions ---- */

static const struct x86_cpu *cof(const struct cpu *cpu)
{
    return (const struct x86_cpu *)cpu;
}

/* Flags of x87 and SSE exceptions in the order of their priority. */
static int fp_code(unsigned flags)
{
    enum { IE = 1, DE = 2, ZE = 4, OE = 8, UE = 16, PE = 32 };

    if (flags & IE)
        return FPE_FLTINV;
    if (flags & ZE)
        return FPE_FLTDIV;
    if (flags & OE)
        return FPE_FLTOVF;
    if (flags & (UE | DE))
        return FPE_FLTUND;
    if (flags & PE)
        return FPE_FLTRES;
    return 0;
}

static void set(siginfo_t *i, int sig, int code, uint64_t addr)
{
    i->si_signo = sig;
    i->si_code = code;
    i->si_addr = (void *)(uintptr_t)addr;
}

void abi_x86_exception(const struct cpu *cpu, siginfo_t *ret)
{
    const struct x86_cpu *x = cof(cpu);

    switch (x->exc_vector) {
    case X86_BP:
    case X86_DB:
    case X86_OF_VEC: x86_of((struct cpu *)cpu)->rip = x->exc_next_rip; break;
    default: break;
    }
    switch (x->exc_vector) {
    case X86_DE: set(ret, SIGFPE, FPE_INTDIV, x->rip); break;
    case X86_DB: set(ret, SIGTRAP, x->exc_icebp ? TRAP_BRKPT : TRAP_TRACE, x->rip); break;
    case X86_BP: set(ret, SIGTRAP, SI_KERNEL, 0); break;
    case X86_UD: set(ret, SIGILL, ILL_ILLOPN, x->rip); break;
    case X86_PF_VEC: set(ret, SIGSEGV, SEGV_MAPERR, x->exc_cr2); break;
    case X86_MF: set(ret, SIGFPE, fp_code(x->fsw & ~x->fcw & 0x3f), x->rip); break;
    case X86_XM: set(ret, SIGFPE, fp_code(x->c.fpcsr & ~(x->c.fpcsr >> 7) & 0x3f), x->rip); break;
    case X86_AC_VEC: set(ret, SIGBUS, BUS_ADRALN, 0); break;
    case X86_SS_VEC:
    case X86_NP: set(ret, SIGBUS, SI_KERNEL, 0); break;
    default: set(ret, SIGSEGV, SI_KERNEL, 0); break; /* #GP, #OF, #BR */
    }
}

void abi_x86_trap(const struct user_thread *t, uint64_t *trap, uint64_t *error, uint64_t *cr2)
{
    const struct signal_fault *f = &t->signals->fault;
    const struct x86_cpu *x = cof(t->cpu);

    if (f->exception) {
        *trap = x->exc_vector >= 0 ? (unsigned)x->exc_vector : 0;
        *error = x->exc_has_error ? x->exc_error : 0;
        *cr2 = x->exc_vector == X86_PF_VEC ? x->exc_cr2 : 0;
    } else {
        *trap = f->trap;
        *error = f->error;
        *cr2 = f->trap == X86_PF_VEC ? f->address : 0;
    }
}

/* ---- FP state ---- */

enum { AT_MXCSR = 24, AT_ST = 32, AT_XMM = 160, AT_SW = 464, XSTATE_HEADER = 64 };
enum { MAGIC1 = 0x46505853, MAGIC2 = 0x46505845 };
#define XFEATURES UINT64_C(3) /* x87 and SSE */
#define OSXSAVE   (1u << 18)  /* CR4 */

static bool has_xsave(const struct cpu *cpu)
{
    return cof(cpu)->cr4 & OSXSAVE;
}

unsigned abi_x86_fp_size(const struct cpu *cpu)
{
    return ABI_X86_FXSAVE + (has_xsave(cpu) ? XSTATE_HEADER + 4 : 0);
}

static const struct x87_reg *st(const struct x86_cpu *x, unsigned i)
{
    return &x->st[((x->fsw >> 11) + i) & 7];
}

void abi_x86_fp_save(const struct cpu *cpu, uint8_t *p, bool ia32)
{
    const struct x86_cpu *x = cof(cpu);
    unsigned size = abi_x86_fp_size(cpu);

    memset(p, 0, size);
    st_le16(p, x->fcw);
    st_le16(p + 2, x->fsw);
    p[4] = x->ftw;
    st_le16(p + 6, x->fop);
    st_le64(p + 8, x->fip);
    st_le64(p + 16, x->fdp);
    if (ia32) {
        st_le32(p + 12, x->fcs);
        st_le32(p + 20, x->fds);
    }
    st_le32(p + AT_MXCSR, x->c.fpcsr);
    st_le32(p + AT_MXCSR + 4, 0xffff);
    for (unsigned i = 0; i < 8; i++)
        memcpy(p + AT_ST + 16 * i, st(x, i), 10);
    memcpy(p + AT_XMM, x->xmm, ia32 ? 128 : 256);
    if (!has_xsave(cpu))
        return;
    st_le32(p + AT_SW, MAGIC1);
    st_le32(p + AT_SW + 4, size + (ia32 ? ABI_X86_FSAVE : 0));
    st_le64(p + AT_SW + 8, XFEATURES);
    st_le32(p + AT_SW + 16, ABI_X86_FXSAVE + XSTATE_HEADER);
    st_le64(p + ABI_X86_FXSAVE, XFEATURES);
    st_le32(p + size - 4, MAGIC2);
}

static void get_x87(struct x86_cpu *x, const uint8_t *p)
{
    x->fcw = ld_le16(p);
    x->fsw = ld_le16(p + 2);
    x->ftw = p[4];
    x->fop = ld_le16(p + 6) & 0x7ff;
    x->fip = ld_le64(p + 8);
    x->fdp = ld_le64(p + 16);
    for (unsigned i = 0; i < 8; i++)
        memcpy((void *)st(x, i), p + AT_ST + 16 * i, 10);
}

bool abi_x86_fp_restore(struct cpu *cpu, const uint8_t *p, unsigned size)
{
    struct x86_cpu *x = x86_of(cpu);
    uint64_t have = XFEATURES;

    if (has_xsave(cpu) && size > ABI_X86_FXSAVE + XSTATE_HEADER && ld_le32(p + AT_SW) == MAGIC1 &&
        ld_le32(p + size - 4) == MAGIC2)
        have = ld_le64(p + ABI_X86_FXSAVE) & ld_le64(p + AT_SW + 8);
    if (ld_le32(p + AT_MXCSR) & ~0xffffu)
        return false;
    if (have & 1) {
        get_x87(x, p);
    } else {
        memset(x->st, 0, sizeof(x->st));
        x->fcw = 0x37f;
        x->fsw = x->ftw = x->fop = 0;
        x->fip = x->fdp = 0;
    }
    if (have & 2)
        memcpy(x->xmm, p + AT_XMM, sizeof(x->xmm));
    else
        memset(x->xmm, 0, sizeof(x->xmm));
    x->c.fpcsr = ld_le32(p + AT_MXCSR);
    return true;
}

void abi_x86_fp_reset(struct cpu *cpu)
{
    struct x86_cpu *x = x86_of(cpu);

    memset(x->st, 0, sizeof(x->st));
    memset(x->xmm, 0, sizeof(x->xmm));
    x->fcw = 0x37f;
    x->fsw = x->ftw = x->fop = 0;
    x->fip = x->fdp = 0;
    x->c.fpcsr = 0x1f80;
}

/* The tag of FSAVE: 0 valid, 1 zero, 2 special, 3 empty. */
static unsigned full_tag(const struct x86_cpu *x, unsigned physical)
{
    const struct x87_reg *r = &x->st[physical];
    unsigned e = r->se & 0x7fff;

    if (!(x->ftw >> physical & 1))
        return 3;
    if (e == 0 && r->mant == 0)
        return 1;
    return e == 0 || e == 0x7fff || !(r->mant >> 63) ? 2 : 0;
}

void abi_x86_fsave(const struct cpu *cpu, uint8_t *p)
{
    const struct x86_cpu *x = cof(cpu);
    uint32_t tags = 0;

    for (unsigned i = 0; i < 8; i++)
        tags |= full_tag(x, i) << 2 * i;
    st_le32(p, x->fcw | 0xffff0000u);
    st_le32(p + 4, x->fsw | 0xffff0000u);
    st_le32(p + 8, tags | 0xffff0000u);
    st_le32(p + 12, (uint32_t)x->fip);
    st_le32(p + 16, x->fcs | (uint32_t)x->fop << 16);
    st_le32(p + 20, (uint32_t)x->fdp);
    st_le32(p + 24, x->fds | 0xffff0000u);
    for (unsigned i = 0; i < 8; i++)
        memcpy(p + 28 + 10 * i, st(x, i), 10);
    st_le32(p + 108, x->fsw); /* status; its upper half 0 says that FXSAVE's image follows */
}

void abi_x86_frstor(struct cpu *cpu, const uint8_t *p)
{
    struct x86_cpu *x = x86_of(cpu);
    uint32_t tags = ld_le32(p + 8);

    x->fcw = ld_le16(p);
    x->fsw = ld_le16(p + 4);
    x->ftw = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((tags >> 2 * i & 3) != 3)
            x->ftw |= 1u << i;
    for (unsigned i = 0; i < 8; i++)
        memcpy((void *)st(x, i), p + 28 + 10 * i, 10);
}

/* ---- the rest ---- */

/* equal to the host's */
const struct user_flag_map abi_x86_open_flags[] = { { 0 } };

uint64_t abi_x86_hwcap(const struct cpu *cpu)
{
    return cof(cpu)->features[0]; /* CPUID.1:EDX */
}

uint64_t abi_x86_hwcap2(const struct cpu *cpu)
{
    enum { HWCAP2_FSGSBASE = 2, CR4_FSGSBASE = 1 << 16 };

    return cof(cpu)->cr4 & CR4_FSGSBASE ? HWCAP2_FSGSBASE : 0;
}
