/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Model-specific registers, the time-stamp counter, and the helpers of RDMSR, WRMSR, RDTSC, RDTSCP,
 * RDPMC. Registers this CPU does not have are #GP(0), and logged under -d unimp. SDM volume 4; AMD
 * APM volume 2 appendix A.
 */
#include "base/log.h"
#include "guest/x86/sys.h"

enum {
    MSR_TSC = 0x10,
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_ADJUST = 0x3b,
    MSR_SPEC_CTRL = 0x48,
    MSR_MTRRCAP = 0xfe,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP,
    MSR_SYSENTER_EIP,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS,
    MSR_MCG_CTL,
    MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9,
    MSR_MTRR_PHYS = 0x200,
    MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K = 0x258,
    MSR_MTRR_FIX4K = 0x268,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MSR_MC0_CTL = 0x400,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800,
    MSR_XSS = 0xda0,
    MTRR_VARIABLE = 8,
    MCE_BANKS = 10,
};
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u

/* Read as zero (or the value given), writes ignored: identification and tuning registers that
 * systems touch unasked. */
static const struct {
    uint32_t first, last;
    uint64_t value;
    uint8_t vendor;
} quiet[] = {
    { 0x00, 0x01 }, /* P5 machine check */
    { 0x17, 0x17 }, /* platform id */
    { 0x2a, 0x2a },
    { 0x33, 0x33 },
    { 0x79, 0x79 },                    /* microcode update trigger */
    { 0x8b, 0x8b, UINT64_C(1) << 32 }, /* microcode revision */
    { 0xce, 0xce },
    { 0xe2, 0xe2 },
    { 0x140, 0x140 },
    { 0x19a, 0x19d },
    { 0x1b0, 0x1b0 },
    { 0x1ad, 0x1ad },
    { 0x606, 0x606 },
    { 0x610, 0x619 },
    { 0x639, 0x641 },                                 /* power */
    { 0xc0010000, 0xc0010007, 0, 1 },                 /* AMD performance counters */
    { 0xc0010010, 0xc0010010, 0, 1 },                 /* SYSCFG */
    { 0xc0010015, 0xc0010015, UINT64_C(1) << 24, 1 }, /* HWCR: TSC counts at P0 speed */
    { 0xc0010016, 0xc001001f, 0, 1 },
    { 0xc0010055, 0xc0010055, 0, 1 },
    { 0xc0010058, 0xc0010058, 0, 1 },
    { 0xc0010061, 0xc0010071, 0, 1 },
    { 0xc0010112, 0xc0010113, 0, 1 },
    { 0xc0010114, 0xc0010117, 0, 1 },
    { 0xc0010140, 0xc0010141, 0, 1 },
    { 0xc0010200, 0xc001020b, 0, 1 },
    { 0xc0011000, 0xc0011005, 0, 1 },
    { 0xc0011020, 0xc001102d, 0, 1 },
};

static bool find_quiet(const struct x86_cpu *x, uint32_t msr, uint64_t *ret)
{
    for (unsigned i = 0; i < ARRAY_SIZE(quiet); i++)
        if (msr >= quiet[i].first && msr <= quiet[i].last && (!quiet[i].vendor || x->vendor)) {
            *ret = quiet[i].value;
            return true;
        }
    return false;
}

/* ---- time ---- */

static uint64_t scaled(const struct x86_cpu *x)
{
    uint64_t ns = (uint64_t)cpu_now_ns(&x->c), s = ns / 1000000000u;

    return s * x->tsc_hz + (ns - s * 1000000000u) * x->tsc_hz /
                               1000000000u; /* exact: the product stays below 2^63 */
}

uint64_t x86_tsc(struct x86_cpu *x)
{
    return scaled(x) + (uint64_t)x->tsc_offset;
}

uint64_t x86_tsc_hz(const struct cpu *cpu)
{
    return ((const struct x86_cpu *)cpu)->tsc_hz;
}

/* Moves the counter, and the deadlines that hang on it. */
static void shift_tsc(struct x86_cpu *x, int64_t delta)
{
    const struct cpu_intc_ops *intc = x->c.intc;

    x->tsc_offset += delta;
    x->tsc_adjust += delta;
    if (!intc || !intc->tsc_changed)
        return;
    cpu_machine_lock(&x->c);
    intc->tsc_changed(x->c.intc_ctrl);
    cpu_machine_unlock(&x->c);
}

/* ---- registers that are a plain member ---- */

struct plain {
    uint32_t msr;
    uint16_t offset;
    bool canonical;
    uint16_t feature;
    uint64_t mask;
};
#define PLAIN(msr, member, ...)                                                                    \
    {                                                                                              \
        msr, offsetof(struct x86_cpu, member), __VA_ARGS__                                         \
    }

static const struct plain plains[] = {
    PLAIN(MSR_SYSENTER_CS, sysenter_cs, .mask = UINT32_MAX, .feature = X86_FEATURE(0, 11)),
    PLAIN(MSR_SYSENTER_ESP, sysenter_esp, .canonical = true, .feature = X86_FEATURE(0, 11)),
    PLAIN(MSR_SYSENTER_EIP, sysenter_eip, .canonical = true, .feature = X86_FEATURE(0, 11)),
    PLAIN(MSR_STAR, star, .feature = X86_FEATURE(2, 11)),
    PLAIN(MSR_LSTAR, lstar, .canonical = true, .feature = X86_FEATURE(2, 29)),
    PLAIN(MSR_CSTAR, cstar, .canonical = true, .feature = X86_FEATURE(2, 29)),
    PLAIN(MSR_SFMASK, sfmask, .mask = UINT32_MAX, .feature = X86_FEATURE(2, 29)),
    PLAIN(MSR_KERNEL_GS_BASE, kernel_gs_base, .canonical = true, .feature = X86_FEATURE(2, 29)),
    PLAIN(MSR_TSC_AUX, tsc_aux, .mask = UINT32_MAX, .feature = X86_FEATURE(2, 27)),
    PLAIN(MSR_MISC_ENABLE, misc_enable),
    PLAIN(MSR_DEBUGCTL, debugctl, .mask = 3),
    PLAIN(MSR_MCG_STATUS, mcg_status, .feature = X86_FEATURE(0, 14)),
};

static const struct plain *find_plain(const struct x86_cpu *x, uint32_t msr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(plains); i++)
        if (plains[i].msr == msr && (!plains[i].feature || x86_has(x, plains[i].feature)))
            return &plains[i];
    return NULL;
}

/* ---- MTRRs and machine-check banks ---- */

static uint64_t *mtrr(struct x86_cpu *x, uint32_t msr)
{
    if (!x86_has(x, X86_FEATURE(0, 12)))
        return NULL;
    if (msr >= MSR_MTRR_PHYS && msr < MSR_MTRR_PHYS + 2 * MTRR_VARIABLE)
        return &x->mtrr_var[msr - MSR_MTRR_PHYS];
    if (msr == MSR_MTRR_FIX64K)
        return &x->mtrr_fixed[0];
    if (msr == MSR_MTRR_FIX16K || msr == MSR_MTRR_FIX16K + 1)
        return &x->mtrr_fixed[1 + msr - MSR_MTRR_FIX16K];
    if (msr >= MSR_MTRR_FIX4K && msr < MSR_MTRR_FIX4K + 8)
        return &x->mtrr_fixed[3 + msr - MSR_MTRR_FIX4K];
    return msr == MSR_MTRR_DEF_TYPE ? &x->mtrr_def_type : NULL;
}

static bool memory_type(uint64_t t)
{
    return t == 0 || t == 1 || t == 4 || t == 5 || t == 6;
}

static bool mtrr_valid(const struct x86_cpu *x, uint32_t msr, uint64_t v)
{
    if (msr == MSR_MTRR_DEF_TYPE)
        return !(v & ~UINT64_C(0xcff)) && memory_type(v & 0xff);
    if (msr < MSR_MTRR_FIX64K) {
        uint64_t reserved = BITS(63, x->phys_bits);

        return msr & 1 ? !(v & (reserved | 0x7ff))
                       : !(v & (reserved | 0xf00)) && memory_type(v & 0xff);
    }
    for (unsigned i = 0; i < 64; i += 8)
        if (!memory_type(v >> i & 0xff))
            return false;
    return true;
}

static uint64_t *mce_bank(struct x86_cpu *x, uint32_t msr)
{
    if (!x86_has(x, X86_FEATURE(0, 14)) || msr < MSR_MC0_CTL || msr >= MSR_MC0_CTL + 4 * MCE_BANKS)
        return NULL;
    return &x->mce_banks[msr - MSR_MC0_CTL];
}

static bool intc_msr(uint32_t msr)
{
    return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE ||
           (msr >= MSR_X2APIC && msr < MSR_X2APIC + 0x100);
}

static bool intc_read(struct x86_cpu *x, uint32_t msr, uint64_t *ret)
{
    bool ok;

    if (!x->c.intc) {
        *ret = x->apic_base;
        return msr == MSR_APIC_BASE;
    }
    cpu_machine_lock(&x->c);
    ok = x->c.intc->msr_read(x->c.intc_ctrl, msr, ret);
    cpu_machine_unlock(&x->c);
    return ok;
}

static bool intc_write(struct x86_cpu *x, uint32_t msr, uint64_t v)
{
    bool ok;

    if (!x->c.intc) {
        x->apic_base = v;
        return msr == MSR_APIC_BASE;
    }
    cpu_machine_lock(&x->c);
    ok = x->c.intc->msr_write(x->c.intc_ctrl, msr, v);
    cpu_machine_unlock(&x->c);
    return ok;
}

/* ---- reading ---- */

bool x86_read_msr(struct x86_cpu *x, uint32_t msr, uint64_t *ret)
{
    const struct plain *p = find_plain(x, msr);
    uint64_t *m = mtrr(x, msr);

    if (!m)
        m = mce_bank(x, msr);
    if (p || m) {
        *ret = p ? *(uint64_t *)((char *)x + p->offset) : *m;
        return true;
    }
    if (intc_msr(msr))
        return intc_read(x, msr, ret);
    switch (msr) {
    case MSR_TSC: *ret = x86_tsc(x); return true;
    case MSR_TSC_ADJUST: *ret = (uint64_t)x->tsc_adjust; return x86_has(x, X86_FEATURE(4, 1));
    case MSR_MTRRCAP: *ret = MTRR_VARIABLE | 0x500; return x86_has(x, X86_FEATURE(0, 12));
    case MSR_PAT: *ret = x->pat; return x86_has(x, X86_FEATURE(0, 16));
    case MSR_MCG_CAP: *ret = MCE_BANKS; return x86_has(x, X86_FEATURE(0, 14));
    case MSR_XSS: *ret = x->xss; return x86_has(x, X86_FEATURE(7, 3));
    case MSR_EFER: *ret = x->efer; return true;
    case MSR_FS_BASE: *ret = x->seg_base[X86_FS]; return x86_has(x, X86_FEATURE(2, 29));
    case MSR_GS_BASE: *ret = x->seg_base[X86_GS]; return x86_has(x, X86_FEATURE(2, 29));
    default: return find_quiet(x, msr, ret);
    }
}

/* ---- writing ---- */

static bool write_efer(struct x86_cpu *x, uint64_t v)
{
    uint64_t allowed = X86_EFER_LMA;

    if (x86_has(x, X86_FEATURE(2, 11)))
        allowed |= X86_EFER_SCE;
    if (x86_has(x, X86_FEATURE(2, 29)))
        allowed |= X86_EFER_LME;
    if (x86_has(x, X86_FEATURE(2, 20)))
        allowed |= X86_EFER_NXE;
    if (x86_has(x, X86_FEATURE(2, 25)))
        allowed |= X86_EFER_FFXSR;
    if (v & ~allowed || (x->cr0 & X86_CR0_PG && (x->efer ^ v) & X86_EFER_LME))
        return false;
    v = (v & ~(uint64_t)X86_EFER_LMA) | (x->efer & X86_EFER_LMA);
    if ((x->efer ^ v) & X86_EFER_NXE)
        cpu_tlb_flush_all_spaces(&x->c);
    x->efer = v;
    cpu_mode_changed(&x->c);
    return true;
}

static bool write_pat(struct x86_cpu *x, uint64_t v)
{
    for (unsigned i = 0; i < 64; i += 8) {
        unsigned t = v >> i & 0xff;

        if (t > 7 || t == 2 || t == 3)
            return false;
    }
    x->pat = v;
    return true;
}

static bool write_base(struct x86_cpu *x, unsigned seg, uint64_t v)
{
    if (!x86_canonical(v))
        return false;
    x->seg[seg].base = x->seg_base[seg] = v;
    return true;
}

static bool write_special(struct x86_cpu *x, uint32_t msr, uint64_t v)
{
    uint64_t ignored;

    switch (msr) {
    case MSR_TSC: shift_tsc(x, (int64_t)(v - x86_tsc(x))); return true;
    case MSR_TSC_ADJUST:
        if (!x86_has(x, X86_FEATURE(4, 1)))
            return false;
        shift_tsc(x, (int64_t)v - x->tsc_adjust);
        return true;
    case MSR_PAT: return x86_has(x, X86_FEATURE(0, 16)) && write_pat(x, v);
    case MSR_MCG_CTL: return false;
    case MSR_XSS: return x86_has(x, X86_FEATURE(7, 3)) && v == 0;
    case MSR_EFER: return write_efer(x, v);
    case MSR_FS_BASE: return x86_has(x, X86_FEATURE(2, 29)) && write_base(x, X86_FS, v);
    case MSR_GS_BASE: return x86_has(x, X86_FEATURE(2, 29)) && write_base(x, X86_GS, v);
    default: return find_quiet(x, msr, &ignored);
    }
}

bool x86_write_msr(struct x86_cpu *x, uint32_t msr, uint64_t v)
{
    const struct plain *p = find_plain(x, msr);
    uint64_t *m = mtrr(x, msr);

    if (p) {
        if (p->canonical && !x86_canonical(v))
            return false;
        *(uint64_t *)((char *)x + p->offset) = p->mask ? v & p->mask : v;
        return true;
    }
    if (m) {
        if (!mtrr_valid(x, msr, v))
            return false;
        *m = v;
        return true;
    }
    m = mce_bank(x, msr);
    if (m) {
        if ((msr & 3) && v) /* status, address, misc: zeros only */
            return false;
        *m = v;
        return true;
    }
    if (intc_msr(msr))
        return intc_write(x, msr, v);
    return write_special(x, msr, v);
}

/* ---- helpers ---- */

static void h_rdmsr(struct x86_cpu *x)
{
    uint32_t msr = (uint32_t)x->gpr[X86_RCX];
    uint64_t v = 0;

    if (!x86_read_msr(x, msr, &v)) {
        log_write(LOG_UNIMP, "RDMSR %#x at %#llx: no such register\n", msr,
                  (unsigned long long)x->rip);
        x86_raise_error(x, X86_GP, 0);
    }
    x->gpr[X86_RAX] = (uint32_t)v;
    x->gpr[X86_RDX] = v >> 32;
}
const struct helper x86_h_rdmsr = { "x86_rdmsr", (helper_fn *)h_rdmsr, "-", 0 };

static void h_wrmsr(struct x86_cpu *x)
{
    uint32_t msr = (uint32_t)x->gpr[X86_RCX];
    uint64_t v = (uint32_t)x->gpr[X86_RAX] | x->gpr[X86_RDX] << 32;

    if (!x86_write_msr(x, msr, v)) {
        log_write(LOG_UNIMP, "WRMSR %#x = %#llx: refused\n", msr, (unsigned long long)v);
        x86_raise_error(x, X86_GP, 0);
    }
}
const struct helper x86_h_wrmsr = { "x86_wrmsr", (helper_fn *)h_wrmsr, "-", 0 };

static uint64_t h_rdtsc(struct x86_cpu *x)
{
    return x86_tsc(x);
}
const struct helper x86_h_rdtsc = { "x86_rdtsc", (helper_fn *)h_rdtsc, "i64", HELPER_NO_RAISE };

static uint64_t h_rdpmc(struct x86_cpu *x, uint64_t counter)
{
    if (x->cpl && !(x->cr4 & X86_CR4_PCE))
        x86_raise_error(x, X86_GP, 0);
    if (!x->vendor ||
        (uint32_t)counter > 3) /* the counters of AMD's CPUs always exist; they stand at 0 */
        x86_raise_error(x, X86_GP, 0);
    return 0;
}
const struct helper x86_h_rdpmc = { "x86_rdpmc", (helper_fn *)h_rdpmc, "i64 i32", 0 };

static void h_cpuid(struct x86_cpu *x)
{
    struct x86_cpuid r = x86_cpuid(x, (uint32_t)x->gpr[X86_RAX], (uint32_t)x->gpr[X86_RCX]);

    x->gpr[X86_RAX] = r.eax;
    x->gpr[X86_RBX] = r.ebx;
    x->gpr[X86_RCX] = r.ecx;
    x->gpr[X86_RDX] = r.edx;
}
const struct helper x86_h_cpuid = { "x86_cpuid", (helper_fn *)h_cpuid, "-", HELPER_NO_RAISE };
