/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SSE helpers: unmasked exceptions, MASKMOVDQU, and the few integer operations without an IR op.
 */
#include <string.h>

#include "guest/x86/fp.h"

/* ---- unmasked exceptions (X86_MODE_XM): begin, the operation, end ---- */

/* Clears the sticky flags, so that those of the next operation show. Returns MXCSR as it was. FTZ has no effect while
 * underflow is unmasked (SDM volume 1, 10.2.3.3). */
static uint64_t xm_begin(struct x86_cpu *x)
{
    uint32_t old = cpu_fpcsr_read(&x->c);

    cpu_fpcsr_write(&x->c, old & ~(MXCSR_FLAGS | (old & MXCSR_UM ? 0 : MXCSR_FTZ)));
    return old;
}

static bool is_tiny(const union ir_v128 *v, unsigned kind)
{
    bool f32 = kind == FP_TINY_F32 || kind == FP_TINY_F32X4;
    unsigned n = kind == FP_TINY_F32X4 ? 4 : kind == FP_TINY_F64X2 ? 2 : 1;

    for (unsigned i = 0; i < n; i++)
        if (f32 ? !(v->u32[i] >> 23 & 0xff) && v->u32[i] << 1 : !(v->u64[i] >> 52 & 0x7ff) && v->u64[i] << 1)
            return true;
    return false;
}

static void xm_check(struct x86_cpu *x, uint32_t old, uint32_t flags)
{
    uint32_t unmasked = ~old >> MXCSR_MASK_SHIFT & MXCSR_FLAGS;
    const uint32_t before = MXCSR_IE | MXCSR_DE | MXCSR_ZE; /* found before computing: the others then do not arise */

    if (flags & unmasked & before)
        flags &= before;
    cpu_fpcsr_write(&x->c, old | flags);
    if (flags & unmasked)
        x86_raise(x, x->cr4 & X86_CR4_OSXMMEXCPT ? X86_XM : X86_UD);
}

static void xm_end(struct x86_cpu *x, uint64_t old, const union ir_v128 *result, uint64_t tiny)
{
    uint32_t flags = cpu_fpcsr_read(&x->c) & MXCSR_FLAGS;

    if (!(old & MXCSR_UM) && tiny != FP_TINY_NONE && is_tiny(result, tiny))
        flags |= MXCSR_UE; /* unmasked underflow needs no inexact result */
    xm_check(x, old, flags);
}

static void xm_end_int(struct x86_cpu *x, uint64_t old)
{
    xm_check(x, old, cpu_fpcsr_read(&x->c) & MXCSR_FLAGS);
}

const struct helper h_xm_begin = { "x86_xm_begin", (helper_fn *)xm_begin, "i64", HELPER_NO_RAISE };
const struct helper h_xm_end = { "x86_xm_end", (helper_fn *)xm_end, "- i64 v128 i64", 0 };
const struct helper h_xm_end_int = { "x86_xm_end_int", (helper_fn *)xm_end_int, "- i64", 0 };

/* ---- MASKMOVQ, MASKMOVDQU ---- */

/* Writes the bytes of v whose mask byte has bit 7 set. Nothing is accessed between the first and the last of them but themselves; faults come
 * before the first write. */
static void maskmov(struct x86_cpu *x, uint64_t linear, const union ir_v128 *v, const union ir_v128 *mask)
{
    int first = -1, last = -1;

    for (int i = 0; i < 16; i++)
        if (mask->u8[i] & 0x80) {
            first = first < 0 ? i : first;
            last = i;
        }
    if (first < 0)
        return;
    cpu_probe(&x->c, linear + first, last - first + 1, CPU_WRITE, x->c.mmu_index);
    for (int i = first; i <= last; i++)
        if (mask->u8[i] & 0x80)
            cpu_store(&x->c, linear + i, v->u8[i], 1, x->c.mmu_index);
}

const struct helper h_maskmov = { "x86_maskmov", (helper_fn *)maskmov, "- i64 v128 v128", 0 };

/* ---- MPSADBW, PHMINPOSUW ---- */

void fp_soft_mpsadbw(v128 *r, const v128 *a, const v128 *b, uint8_t imm)
{
    const uint8_t *block = b->u8 + (imm & 3) * 4, *window = a->u8 + (imm >> 2 & 1) * 4;
    v128 out;

    for (unsigned i = 0; i < 8; i++) {
        unsigned sum = 0;
        for (unsigned k = 0; k < 4; k++) {
            int d = window[i + k] - block[k];
            sum += d < 0 ? -d : d;
        }
        out.u16[i] = sum;
    }
    *r = out;
}

void fp_soft_phminposuw(v128 *r, const v128 *a)
{
    unsigned at = 0;
    v128 out = { .u64 = { 0, 0 } };

    for (unsigned i = 1; i < 8; i++)
        if (a->u16[i] < a->u16[at])
            at = i;
    out.u16[0] = a->u16[at];
    out.u16[1] = at;
    *r = out;
}

static void mpsadbw(struct x86_cpu *x, v128 *r, const v128 *a, const v128 *b, uint64_t imm)
{
    fp_soft_mpsadbw(r, a, b, imm);
}

static void phminposuw(struct x86_cpu *x, v128 *r, const v128 *a)
{
    fp_soft_phminposuw(r, a);
}

const struct helper h_mpsadbw = { "x86_mpsadbw", (helper_fn *)mpsadbw, "v128 v128 v128 i64", HELPER_PURE };
const struct helper h_phminposuw = { "x86_phminposuw", (helper_fn *)phminposuw, "v128 v128", HELPER_PURE };
