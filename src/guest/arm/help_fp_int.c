/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Helpers of floating-point conversions.
 */
#include "guest/arm/help_fp.h"

static uint64_t do_to_int(struct cpu *cpu, const union ir_v128 *n, uint64_t desc)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };
    enum fp_size s = (enum fp_size)(desc & 3);
    uint64_t v = s == FP_D ? n->u64[0] : n->u64[0] & (BIT(fp_bits(s)) - 1);
    uint64_t r = fp_to_fixed(&e, s, v, (unsigned)(desc >> 12), desc >> 8 & 1,
                             (enum fp_rmode)(desc >> 4 & 7), desc >> 9 & 1 ? 64 : 32);

    x->fpsr_soft |= e.flags;
    return r;
}
const struct helper fp_h_to_int = { "a64_fp_to_int", (helper_fn *)do_to_int, "i64 v128 i32",
                                    HELPER_NO_RAISE };

static void do_from_int(struct cpu *cpu, union ir_v128 *ret, uint64_t v, uint64_t desc)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };

    ret->u64[0] = fp_from_fixed(&e, (enum fp_size)(desc & 3), v, (unsigned)(desc >> 12),
                                desc >> 8 & 1, desc >> 9 & 1 ? 64 : 32);
    ret->u64[1] = 0;
    x->fpsr_soft |= e.flags;
}
const struct helper fp_h_from_int = { "a64_fp_from_int", (helper_fn *)do_from_int, "v128 i64 i32",
                                      HELPER_NO_RAISE };

#define TO_INT(s, u, bits)                                                                         \
    static uint64_t do_fix_##s##u##bits(struct cpu *cpu, const union ir_v128 *n)                   \
    {                                                                                              \
        return do_to_int(cpu, n, fp_int_desc(FP_##s, FP_RZ, u, bits == 64, 0));                    \
    }
TO_INT(S, 0, 32)
TO_INT(S, 0, 64)
TO_INT(S, 1, 32)
TO_INT(S, 1, 64)
TO_INT(D, 0, 32)
TO_INT(D, 0, 64)
TO_INT(D, 1, 32)
TO_INT(D, 1, 64)
#define ROW(s, u, bits, type)                                                                      \
    {                                                                                              \
        "a64_fix_" #s #u#bits, (helper_fn *)do_fix_##s##u##bits, type " v128", HELPER_PURE         \
    }
const struct helper fp_h_fix_int[2][2][2] = {
    { { ROW(S, 0, 32, "i32"), ROW(S, 0, 64, "i64") },
      { ROW(S, 1, 32, "i64"), ROW(S, 1, 64, "i64") } },
    { { ROW(D, 0, 32, "i32"), ROW(D, 0, 64, "i64") },
      { ROW(D, 1, 32, "i64"), ROW(D, 1, 64, "i64") } },
};
#undef ROW

static void fix_ints(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *v,
                     const union ir_v128 *n, bool d, bool is_unsigned)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };
    union ir_v128 r = *v;

    for (unsigned i = 0; i < (d ? 2 : 4); i++) {
        if (d && v->u64[i] == BIT(63))
            r.u64[i] = fp_to_fixed(&e, FP_D, n->u64[i], 0, is_unsigned, FP_RZ, 64);
        else if (!d && v->u32[i] == BIT(31))
            r.u32[i] = (uint32_t)fp_to_fixed(&e, FP_S, n->u32[i], 0, is_unsigned, FP_RZ, 32);
    }
    *ret = r;
    x->fpsr_soft |= e.flags;
}

#define FIX_INTS(d, u)                                                                             \
    static void do_fix_ints_##d##u(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *v,    \
                                   const union ir_v128 *n)                                         \
    {                                                                                              \
        fix_ints(cpu, ret, v, n, d, u);                                                            \
    }
FIX_INTS(0, 0)
FIX_INTS(0, 1)
FIX_INTS(1, 0)
FIX_INTS(1, 1)
#define ROW(d, u)                                                                                  \
    {                                                                                              \
        "a64_fix_ints_" #d #u, (helper_fn *)do_fix_ints_##d##u, "v128 v128 v128", HELPER_PURE      \
    }
const struct helper fp_h_fix_ints[2][2] = { { ROW(0, 0), ROW(0, 1) }, { ROW(1, 0), ROW(1, 1) } };
#undef ROW

/* ---- between formats ---- */

static uint64_t lane_get(const union ir_v128 *v, enum fp_size s, unsigned i)
{
    return s == FP_H ? v->u16[i] : s == FP_S ? v->u32[i] : v->u64[i];
}

static void lane_set(union ir_v128 *v, enum fp_size s, unsigned i, uint64_t x)
{
    if (s == FP_H)
        v->u16[i] = (uint16_t)x;
    else if (s == FP_S)
        v->u32[i] = (uint32_t)x;
    else
        v->u64[i] = x;
}

static void do_cvt(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *n, uint64_t desc)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };
    enum fp_size to = (enum fp_size)(desc & 3), from = (enum fp_size)(desc >> 4 & 3);
    union ir_v128 r = { .u64 = { 0, 0 } };

    for (unsigned i = 0; i < (desc >> 8 & 15); i++)
        lane_set(&r, to, i,
                 fp_convert(&e, to, from, lane_get(n, from, i), (enum fp_rmode)(desc >> 12 & 7)));
    *ret = r;
    x->fpsr_soft |= e.flags;
}
const struct helper fp_h_cvt = { "a64_fcvt", (helper_fn *)do_cvt, "v128 v128 i32",
                                 HELPER_NO_RAISE };

static void fix_cvt(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *v,
                    const union ir_v128 *n, enum fp_size to, enum fp_size from)
{
    struct a64_cpu *x = a64_of(cpu);
    struct fp_env e = { x->fpcr, 0 };
    union ir_v128 r = *v;

    for (unsigned i = 0; i < 2; i++)
        if (fp_is_nan(to, lane_get(v, to, i)))
            lane_set(&r, to, i, fp_convert(&e, to, from, lane_get(n, from, i), fp_rmode(&e)));
    *ret = r;
    x->fpsr_soft |= e.flags;
}

static void do_fix_sd(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *v,
                      const union ir_v128 *n)
{
    fix_cvt(cpu, ret, v, n, FP_D, FP_S);
}

static void do_fix_ds(struct cpu *cpu, union ir_v128 *ret, const union ir_v128 *v,
                      const union ir_v128 *n)
{
    fix_cvt(cpu, ret, v, n, FP_S, FP_D);
}
const struct helper fp_h_fix_sd = { "a64_fix_sd", (helper_fn *)do_fix_sd, "v128 v128 v128",
                                    HELPER_PURE };
const struct helper fp_h_fix_ds = { "a64_fix_ds", (helper_fn *)do_fix_ds, "v128 v128 v128",
                                    HELPER_PURE };
