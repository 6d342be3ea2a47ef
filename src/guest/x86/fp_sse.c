/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SSE helpers: MASKMOVDQU and the few integer operations without an IR op.
 */
#include <string.h>

#include "guest/x86/fp.h"

/* ---- MASKMOVQ, MASKMOVDQU ---- */

/* Writes the bytes of v whose mask byte has bit 7 set. Nothing is accessed between the first and
 * the last of them but themselves; faults come before the first write. */
static void maskmov(struct x86_cpu *x, uint64_t linear, const union ir_v128 *v,
                    const union ir_v128 *mask)
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

const struct helper h_mpsadbw = { "x86_mpsadbw", (helper_fn *)mpsadbw, "v128 v128 v128 i64",
                                  HELPER_PURE };
const struct helper h_phminposuw = { "x86_phminposuw", (helper_fn *)phminposuw, "v128 v128",
                                     HELPER_PURE };
