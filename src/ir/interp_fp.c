/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The interpreter's floating point ops: on x86-64 by the very instructions that they are defined
 * by, elsewhere in portable C. Rounding mode and sticky flags are the fp environment's.
 */
#include "ir/interp.h"

#include <fenv.h>
#include <string.h>

#include "ir/eval.h"

void ir_interp_fp(struct interp *r, const struct ir_insn *in, union ir_v128 *d)
{
    struct fp_op f = { .op = in->op, .type = in->type, .sub = in->sub, .imm = (uint8_t)in->imm };
    union ir_v128 a = *interp_arg(r, in, 0);
    const union ir_v128 *b = interp_arg(r, in, in->nargs - 1);

    f.int_type = ir_type_of(r->ir, in->arg[1]);
    f.pattern = (uint64_t)in->imm;
    if (in->op == IR_VFMADD) {
        b = interp_arg(r, in, 1);
        f.c = interp_arg(r, in, 2);
    }
#if defined(__x86_64__)
    ir_fp_sse(&f, &a, b);
#else
    ir_fp_portable(&f, &a, b);
#endif
    if (in->type <= IR_I64)
        a.u64[0] &= ir_mask(in->type);
    *d = a;
}

#if defined(__x86_64__)
enum { MXCSR_FLAGS = 0x3f };

uint32_t interp_fp_flags(void)
{
    return __builtin_ia32_stmxcsr() & MXCSR_FLAGS;
}

void interp_set_fp_flags(uint32_t flags)
{
    __builtin_ia32_ldmxcsr((__builtin_ia32_stmxcsr() & ~(uint32_t)MXCSR_FLAGS) | flags);
}
#else
static const struct {
    uint32_t mxcsr;
    int fe;
} fp_flags[] = { { 1, FE_INVALID },
                 { 4, FE_DIVBYZERO },
                 { 8, FE_OVERFLOW },
                 { 16, FE_UNDERFLOW },
                 { 32, FE_INEXACT } };

uint32_t interp_fp_flags(void)
{
    uint32_t v = 0;

    for (unsigned n = 0; n < sizeof(fp_flags) / sizeof(fp_flags[0]); n++)
        v |= fetestexcept(fp_flags[n].fe) ? fp_flags[n].mxcsr : 0;
    return v;
}

void interp_set_fp_flags(uint32_t flags)
{
    feclearexcept(FE_ALL_EXCEPT);
    for (unsigned n = 0; n < sizeof(fp_flags) / sizeof(fp_flags[0]); n++)
        if (flags & fp_flags[n].mxcsr)
            feraiseexcept(fp_flags[n].fe);
}
#endif
