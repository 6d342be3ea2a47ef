/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The FP state in memory: FXSAVE, FXRSTOR and the XSAVE family, XCR0 and MXCSR. (SDM volume 1,
 * chapters 10.5 and 13.) The legacy region (512 bytes) holds component 0 (x87) and 1 (SSE); later
 * components go behind the 64-byte header.
 */
#include <string.h>

#include "base/endian.h"
#include "guest/x86/fp.h"

enum {
    LEGACY_SIZE = 512,
    HEADER_SIZE = 64,
    XSTATE_X87 = 1,
    XSTATE_SSE = 2,
    XSTATE_ALL = XSTATE_X87 | XSTATE_SSE
};
enum { AT_MXCSR = 24, AT_ST = 32, AT_XMM = 160 }; /* in the legacy region */
#define XCOMP_COMPACT BIT(63)

/* ---- MXCSR ---- */

void fp_set_mxcsr(struct x86_cpu *x, uint32_t value)
{
    uint32_t masks = x->c.fpcsr & MXCSR_MASKS;

    cpu_fpcsr_write(&x->c, value);
    if ((masks == MXCSR_MASKS) != ((value & MXCSR_MASKS) == MXCSR_MASKS))
        cpu_mode_changed(&x->c);
}

static void gp(struct x86_cpu *x)
{
    x86_raise_error(x, X86_GP, 0);
}

/* These return whether the mode word changed, which ends the region. */
static uint64_t ldmxcsr(struct x86_cpu *x, uint64_t value)
{
    uint32_t mode = x->c.mode;

    if (value & ~(uint64_t)MXCSR_VALID)
        gp(x);
    fp_set_mxcsr(x, value);
    return mode != x->c.mode;
}

static uint64_t stmxcsr(struct x86_cpu *x)
{
    return cpu_fpcsr_read(&x->c);
}

/* ---- components in a buffer ---- */

static unsigned xmm_count(unsigned form)
{
    return form & XSAVE_LONG ? 16 : 8;
}

static void put_x87(const struct x86_cpu *x, uint8_t *p, unsigned form)
{
    st_le16(p, x->fcw);
    st_le16(p + 2, x->fsw);
    p[4] = x->ftw;
    p[5] = 0;
    st_le16(p + 6, x->fop);
    st_le64(p + 8, x->fip);
    st_le64(p + 16, x->fdp);
    if (!(form & XSAVE_64)) {
        st_le32(p + 12, x->fcs);
        st_le32(p + 20, x->fds);
    }
    memset(p + AT_ST, 0, 128);
    for (unsigned i = 0; i < 8; i++)
        memcpy(p + AT_ST + 16 * i, &x->st[x87_phys(x, i)], 10);
}

static void get_x87(struct x86_cpu *x, const uint8_t *p, unsigned form)
{
    x87_set_cw(x, ld_le16(p));
    x->fsw = ld_le16(p + 2);
    x->ftw = p[4];
    x->fop = ld_le16(p + 6) & 0x7ff;
    if (form & XSAVE_64) {
        x->fip = ld_le64(p + 8);
        x->fdp = ld_le64(p + 16);
        x->fcs = x->fds = 0;
    } else {
        x->fip = ld_le32(p + 8);
        x->fcs = ld_le16(p + 12);
        x->fdp = ld_le32(p + 16);
        x->fds = ld_le16(p + 20);
    }
    for (unsigned i = 0; i < 8; i++)
        memcpy(&x->st[x87_phys(x, i)], p + AT_ST + 16 * i, 10);
    x87_update_es(x);
}

static void init_x87(struct x86_cpu *x)
{
    x87_init_state(x);
    memset(x->st, 0, sizeof(x->st));
}

static void put_mxcsr(struct x86_cpu *x, uint8_t *p)
{
    st_le32(p + AT_MXCSR, cpu_fpcsr_read(&x->c));
    st_le32(p + AT_MXCSR + 4, MXCSR_VALID);
}

static void check_mxcsr(struct x86_cpu *x, const uint8_t *p)
{
    if (ld_le32(p + AT_MXCSR) & ~(uint32_t)MXCSR_VALID)
        gp(x);
}

/* Components that are not in their initial configuration. */
static uint64_t in_use(const struct x86_cpu *x)
{
    static const struct x87_reg zero[8];
    static const union ir_v128 zero_xmm[16];
    bool x87 = x->fcw != X87_CW_RESET || x->fsw || x->ftw || x->fop || x->fip || x->fdp || x->fcs ||
               x->fds || memcmp(x->st, zero, sizeof(zero));

    return (x87 ? XSTATE_X87 : 0) | (memcmp(x->xmm, zero_xmm, sizeof(zero_xmm)) ? XSTATE_SSE : 0);
}

/* ---- FXSAVE, FXRSTOR ---- */

/* EFER.FFXSR: the kernel leaves the XMM registers out. */
static bool has_xmm(const struct x86_cpu *x, unsigned form)
{
    return x->cr4 & X86_CR4_OSFXSR &&
           !(x->efer & X86_EFER_FFXSR && form & XSAVE_LONG && x->cpl == 0);
}

static void fxsave(struct x86_cpu *x, uint64_t linear, uint64_t form)
{
    uint8_t buf[LEGACY_SIZE];
    unsigned len = AT_XMM;

    if (linear & 15)
        gp(x);
    put_x87(x, buf, form);
    put_mxcsr(x, buf);
    if (has_xmm(x, form)) {
        memcpy(buf + AT_XMM, x->xmm, 16 * xmm_count(form));
        len += 16 * xmm_count(form);
    }
    cpu_probe(&x->c, linear, LEGACY_SIZE, CPU_WRITE, x->c.mmu_index);
    cpu_store_bytes(&x->c, linear, buf, len, x->c.mmu_index);
}

static uint64_t fxrstor(struct x86_cpu *x, uint64_t linear, uint64_t form)
{
    uint8_t buf[LEGACY_SIZE];
    uint32_t mode = x->c.mode;

    if (linear & 15)
        gp(x);
    cpu_load_bytes(&x->c, linear, buf, LEGACY_SIZE, x->c.mmu_index);
    if (x->cr4 & X86_CR4_OSFXSR) {
        check_mxcsr(x, buf);
        fp_set_mxcsr(x, ld_le32(buf + AT_MXCSR));
    }
    get_x87(x, buf, form);
    if (has_xmm(x, form))
        memcpy(x->xmm, buf + AT_XMM, 16 * xmm_count(form));
    return mode != x->c.mode;
}

/* ---- XSAVE, XSAVEOPT, XSAVEC, XSAVES ---- */

static void store(struct x86_cpu *x, gva_t to, const uint8_t *buf, unsigned from, unsigned len)
{
    cpu_store_bytes(&x->c, to + from, buf + from, len, x->c.mmu_index);
}

static void xsave(struct x86_cpu *x, uint64_t linear, uint64_t rfbm, uint64_t form)
{
    uint8_t buf[LEGACY_SIZE + HEADER_SIZE];
    uint64_t used = in_use(x), saved, bv;

    if (linear & 63)
        gp(x);
    rfbm &= x->xcr0 | (form & XSAVE_SUPER ? x->xss : 0);
    cpu_probe(&x->c, linear, sizeof(buf), CPU_WRITE, x->c.mmu_index);
    if (form & XSAVE_COMPACT) {
        if (cpu_fpcsr_read(&x->c) != MXCSR_RESET)
            used |= XSTATE_SSE;
        bv = saved = rfbm & used;
    } else {
        bv = (cpu_load(&x->c, linear + LEGACY_SIZE, 8, x->c.mmu_index) & ~rfbm) | (rfbm & used);
        saved = form & XSAVE_INIT_OPT ? rfbm & used : rfbm;
    }
    put_x87(x, buf, form);
    put_mxcsr(x, buf);
    memcpy(buf + AT_XMM, x->xmm, sizeof(x->xmm));
    st_le64(buf + LEGACY_SIZE, bv);
    st_le64(buf + LEGACY_SIZE + 8, rfbm | XCOMP_COMPACT);
    if (saved & XSTATE_X87) {
        store(x, linear, buf, 0, AT_MXCSR);
        store(x, linear, buf, AT_ST, AT_XMM - AT_ST);
    }
    if ((form & XSAVE_COMPACT ? saved : rfbm) & XSTATE_SSE)
        store(x, linear, buf, AT_MXCSR, 8);
    if (saved & XSTATE_SSE)
        store(x, linear, buf, AT_XMM, 16 * xmm_count(form));
    store(x, linear, buf, LEGACY_SIZE, form & XSAVE_COMPACT ? 16 : 8);
}

/* ---- XRSTOR, XRSTORS ---- */

static bool is_zero(const uint8_t *p, unsigned n)
{
    while (n--)
        if (*p++)
            return false;
    return true;
}

/* The header's rules (13.8.2); #GP when broken. Returns XSTATE_BV. */
static uint64_t check_header(struct x86_cpu *x, const uint8_t *h, unsigned form)
{
    uint64_t bv = ld_le64(h), comp = ld_le64(h + 8);
    uint64_t allowed = x->xcr0 | (form & XSAVE_SUPER ? x->xss : 0);

    if (comp & XCOMP_COMPACT) {
        bool known = x86_has(x, X86_FEATURE(7, 1)) || x86_has(x, X86_FEATURE(7, 3));
        if (!known || comp & ~XCOMP_COMPACT & ~allowed || bv & ~comp ||
            !is_zero(h + 16, HEADER_SIZE - 16))
            gp(x);
    } else if (form & XSAVE_SUPER || bv & ~x->xcr0 || !is_zero(h + 8, 16)) {
        gp(x);
    }
    return bv;
}

static uint64_t xrstor(struct x86_cpu *x, uint64_t linear, uint64_t rfbm, uint64_t form)
{
    uint8_t buf[LEGACY_SIZE + HEADER_SIZE];
    uint32_t mode = x->c.mode;
    uint64_t bv, from_memory;
    bool compact;

    if (linear & 63)
        gp(x);
    rfbm &= x->xcr0 | (form & XSAVE_SUPER ? x->xss : 0);
    cpu_load_bytes(&x->c, linear, buf, sizeof(buf), x->c.mmu_index);
    bv = check_header(x, buf + LEGACY_SIZE, form);
    compact = ld_le64(buf + LEGACY_SIZE + 8) & XCOMP_COMPACT;
    from_memory = rfbm & bv;
    if (rfbm & XSTATE_SSE) {
        /* the standard form always loads MXCSR from memory */
        bool load = !compact || from_memory & XSTATE_SSE;
        if (load)
            check_mxcsr(x, buf);
        fp_set_mxcsr(x, load ? ld_le32(buf + AT_MXCSR) : MXCSR_RESET);
        if (from_memory & XSTATE_SSE)
            memcpy(x->xmm, buf + AT_XMM, 16 * xmm_count(form));
        else
            memset(x->xmm, 0, 16 * xmm_count(form));
    }
    if (from_memory & XSTATE_X87)
        get_x87(x, buf, form);
    else if (rfbm & XSTATE_X87)
        init_x87(x);
    return mode != x->c.mode;
}

/* ---- XCR0 ---- */

static void xsetbv(struct x86_cpu *x, uint64_t index, uint64_t value)
{
    if ((uint32_t)index || !(value & XSTATE_X87) || value & ~(uint64_t)XSTATE_ALL)
        gp(x);
    x->xcr0 = value;
}

static uint64_t xgetbv(struct x86_cpu *x, uint64_t index)
{
    uint64_t used;

    if (!(uint32_t)index)
        return x->xcr0;
    if ((uint32_t)index != 1 || !x86_has(x, X86_FEATURE(7, 2)))
        gp(x);
    used = in_use(x);
    if (cpu_fpcsr_read(&x->c) != MXCSR_RESET)
        used |= XSTATE_SSE;
    return x->xcr0 & used;
}

const struct helper h_ldmxcsr = { "x86_ldmxcsr", (helper_fn *)ldmxcsr, "i64 i64", 0 };
const struct helper h_stmxcsr = { "x86_stmxcsr", (helper_fn *)stmxcsr, "i64", HELPER_NO_RAISE };
const struct helper h_fxsave = { "x86_fxsave", (helper_fn *)fxsave, "- i64 i64", 0 };
const struct helper h_fxrstor = { "x86_fxrstor", (helper_fn *)fxrstor, "i64 i64 i64", 0 };
const struct helper h_xsave = { "x86_xsave", (helper_fn *)xsave, "- i64 i64 i64", 0 };
const struct helper h_xrstor = { "x86_xrstor", (helper_fn *)xrstor, "i64 i64 i64 i64", 0 };
const struct helper h_xsetbv = { "x86_xsetbv", (helper_fn *)xsetbv, "- i64 i64", 0 };
const struct helper h_xgetbv = { "x86_xgetbv", (helper_fn *)xgetbv, "i64 i64", 0 };
