/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * x87 helpers. Each names its instruction by "where" (see fp.h). The usual case, all exceptions
 * masked, operands present, no flag raised that the guest does not hold already, runs a few host
 * instructions; everything else goes through x87_run_*, which is exact by construction. None of
 * them waits: the translator has tested for a pending exception before.
 */
#include <string.h>

#include "guest/x86/fp.h"

/* An 80-bit value where it lies in struct x87_reg. */
struct f80 {
    long double v;
} __attribute__((packed, aligned(2)));

static inline long double reg_get(const struct x86_cpu *x, unsigned r)
{
    return ((const struct f80 *)&x->st[r])->v;
}
static inline void reg_set(struct x86_cpu *x, unsigned r, long double v)
{
    ((struct f80 *)&x->st[r])->v = v;
}
static inline unsigned fop_of(uint64_t where)
{
    return where >> X87_WHERE_FOP & 0x7ff;
}
static inline bool all_masked(const struct x86_cpu *x)
{
    return (x->fcw & X87_FLAGS) == X87_FLAGS;
}

static inline void note(struct x86_cpu *x, uint64_t where)
{
    x->fip = sext(where, 48);
    x->fop = fop_of(where);
    x->fcs = x->seg[X86_CS].selector;
}

static inline void note_data(struct x86_cpu *x, uint64_t where, uint64_t fdp)
{
    note(x, where);
    x->fdp = fdp;
    x->fds = x->seg[where >> X87_WHERE_SEG & 7].selector;
}

void x87_note(struct x86_cpu *x, uint64_t where)
{
    note(x, where);
}

void x87_note_data(struct x86_cpu *x, uint64_t where, uint64_t fdp)
{
    note_data(x, where, fdp);
}

/* Rounding and precision control of the guest around host instructions. */
static inline void cw_enter(const struct x86_cpu *x)
{
    if (unlikely((x->fcw & X87_CW_RC_PC) != (X87_CW_RESET & X87_CW_RC_PC))) {
        uint16_t cw = x->fcw;
        __asm__ volatile("fldcw %0" : : "m"(cw));
    }
}

static inline void cw_leave(const struct x86_cpu *x)
{
    if (unlikely((x->fcw & X87_CW_RC_PC) != (X87_CW_RESET & X87_CW_RC_PC))) {
        uint16_t cw = X87_CW_RESET;
        __asm__ volatile("fldcw %0" : : "m"(cw));
    }
}

/* True when the host's status after an instruction says nothing new: its flags may be left over
 * from others, so that only those that the guest holds already need no second, careful look. */
static inline bool no_news(const struct x86_cpu *x, uint16_t sw)
{
    return likely(!(sw & ~x->fsw & (X87_FLAGS | X87_SF)));
}

static inline void set_c1(struct x86_cpu *x, uint16_t sw)
{
    x->fsw = (x->fsw & ~X87_C1) | (sw & X87_C1);
}

static inline void pop(struct x86_cpu *x)
{
    x->ftw &= ~(1u << x87_top(x));
    x->fsw = (x->fsw & ~X87_TOP) | ((x->fsw + (1 << X87_TOP_SHIFT)) & X87_TOP);
}

/* Makes room for a value on top: the physical register; the caller has seen that it is empty. */
static inline unsigned push(struct x86_cpu *x)
{
    x->fsw = (x->fsw & ~(X87_TOP | X87_C1)) | ((x->fsw - (1 << X87_TOP_SHIFT)) & X87_TOP);
    x->ftw |= 1u << x87_top(x);
    return x87_top(x);
}

static void run_reg(struct x86_cpu *x, uint64_t where)
{
    x87_run_reg(x, where);
}

static void run_load(struct x86_cpu *x, uint64_t where, const void *buf)
{
    struct x87_image im;

    x87_run_mem(x, where, (void *)buf, &im);
    x87_commit(x, &im);
}

/* ---- arithmetic: ST(d) = ST(d) op ST(s), ST(0) = ST(0) op memory ---- */

/* D8: ST(0) op= ST(i); DC: ST(i) op= ST(0); DE: the same, then pop. asm_st computes st(0) op st(1).
 */
#define ARITH(name, asm_st, asm_m32, asm_m64)                                                      \
    static void arith_##name##_st(struct x86_cpu *x, uint64_t where)                               \
    {                                                                                              \
        unsigned fop = fop_of(where), top = x87_top(x), i = (top + (fop & 7)) & 7;                 \
        unsigned d = fop & 0x400 ? i : top, s = fop & 0x400 ? top : i;                             \
        note(x, where);                                                                            \
        if (likely(all_masked(x) && x->ftw >> d & x->ftw >> s & 1)) {                              \
            long double a = reg_get(x, d), b = reg_get(x, s);                                      \
            uint16_t sw;                                                                           \
            cw_enter(x);                                                                           \
            __asm__ volatile(asm_st "\n\tfnstsw %1" : "+t"(a), "=a"(sw) : "u"(b));                 \
            cw_leave(x);                                                                           \
            if (no_news(x, sw)) {                                                                  \
                reg_set(x, d, a);                                                                  \
                set_c1(x, sw);                                                                     \
                if (fop & 0x200)                                                                   \
                    pop(x);                                                                        \
                return;                                                                            \
            }                                                                                      \
        }                                                                                          \
        run_reg(x, where);                                                                         \
    }                                                                                              \
    ARITH_MEM(name, m32, asm_m32, uint32_t)                                                        \
    ARITH_MEM(name, m64, asm_m64, uint64_t)

#define ARITH_MEM(name, size, insn, T)                                                             \
    static void arith_##name##_##size(struct x86_cpu *x, uint64_t where, uint64_t value,           \
                                      uint64_t fdp)                                                \
    {                                                                                              \
        unsigned top = x87_top(x);                                                                 \
        T m = (T)value;                                                                            \
        note_data(x, where, fdp);                                                                  \
        if (likely(all_masked(x) && x->ftw >> top & 1)) {                                          \
            long double a = reg_get(x, top);                                                       \
            uint16_t sw;                                                                           \
            cw_enter(x);                                                                           \
            __asm__ volatile(insn " %2\n\tfnstsw %1" : "+t"(a), "=a"(sw) : "m"(m));                \
            cw_leave(x);                                                                           \
            if (no_news(x, sw)) {                                                                  \
                reg_set(x, top, a);                                                                \
                set_c1(x, sw);                                                                     \
                return;                                                                            \
            }                                                                                      \
        }                                                                                          \
        run_load(x, where, &m);                                                                    \
    }

ARITH(add, "fadd %%st(1), %%st", "fadds", "faddl")
ARITH(mul, "fmul %%st(1), %%st", "fmuls", "fmull")
ARITH(sub, "fsub %%st(1), %%st", "fsubs", "fsubl")
ARITH(subr, "fsubr %%st(1), %%st", "fsubrs", "fsubrl")
ARITH(div, "fdiv %%st(1), %%st", "fdivs", "fdivl")
ARITH(divr, "fdivr %%st(1), %%st", "fdivrs", "fdivrl")

/* ---- comparisons ---- */

static inline void set_cc(struct x86_cpu *x, uint16_t sw)
{
    const uint16_t all = X87_C0 | X87_C1 | X87_C2 | X87_C3;

    x->fsw = (x->fsw & ~all) | (sw & all);
}

static inline void pops(struct x86_cpu *x, unsigned n)
{
    while (n--)
        pop(x);
}

/* FCOM, FCOMP, FCOMPP, FUCOM… of two registers. All operands of the pops are present. */
static void com_st(struct x86_cpu *x, uint64_t where)
{
    unsigned fop = fop_of(where), top = x87_top(x), i = (top + (fop & 7)) & 7;
    bool twice = fop == 0x6d9 || fop == 0x2e9, unordered = fop >> 8 == 5 || fop == 0x2e9;

    note(x, where);
    if (likely(all_masked(x) && x->ftw >> top & x->ftw >> i & 1)) {
        long double a = reg_get(x, top), b = reg_get(x, i);
        uint16_t sw;
        if (unordered)
            __asm__ volatile("fucom %%st(1)\n\tfnstsw %0" : "=a"(sw) : "t"(a), "u"(b));
        else
            __asm__ volatile("fcom %%st(1)\n\tfnstsw %0" : "=a"(sw) : "t"(a), "u"(b));
        if (no_news(x, sw)) {
            set_cc(x, sw);
            pops(x, twice ? 2 : fop >> 3 & 1);
            return;
        }
    }
    run_reg(x, where);
}

#define COM_MEM(size, insn, T)                                                                     \
    static void com_##size(struct x86_cpu *x, uint64_t where, uint64_t value, uint64_t fdp)        \
    {                                                                                              \
        unsigned top = x87_top(x);                                                                 \
        T m = (T)value;                                                                            \
        note_data(x, where, fdp);                                                                  \
        if (likely(all_masked(x) && x->ftw >> top & 1)) {                                          \
            long double a = reg_get(x, top);                                                       \
            uint16_t sw;                                                                           \
            __asm__ volatile(insn " %1\n\tfnstsw %0" : "=a"(sw) : "m"(m), "t"(a));                 \
            if (no_news(x, sw)) {                                                                  \
                set_cc(x, sw);                                                                     \
                pops(x, fop_of(where) >> 3 & 1);                                                   \
                return;                                                                            \
            }                                                                                      \
        }                                                                                          \
        run_load(x, where, &m);                                                                    \
    }

COM_MEM(m32, "fcoms", uint32_t)
COM_MEM(m64, "fcoml", uint64_t)

/* FCOMI, FUCOMI, FCOMIP, FUCOMIP: returns the six flags. C1 stays, and an unmasked invalid
 * operation sets them, too: as processors do. */
static uint64_t comi(struct x86_cpu *x, uint64_t where)
{
    unsigned fop = fop_of(where), top = x87_top(x), i = (top + (fop & 7)) & 7;

    note(x, where);
    if (likely(all_masked(x) && x->ftw >> top & x->ftw >> i & 1)) {
        long double a = reg_get(x, top), b = reg_get(x, i);
        bool zf, pf, cf;
        uint16_t sw;
        if ((fop >> 3 & 7) == 5)
            __asm__ volatile("fucomi %%st(1), %%st\n\tfnstsw %%ax"
                             : "=@ccz"(zf), "=@ccp"(pf), "=@ccc"(cf), "=a"(sw)
                             : "t"(a), "u"(b));
        else
            __asm__ volatile("fcomi %%st(1), %%st\n\tfnstsw %%ax"
                             : "=@ccz"(zf), "=@ccp"(pf), "=@ccc"(cf), "=a"(sw)
                             : "t"(a), "u"(b));
        if (no_news(x, sw)) {
            if (fop & 0x400)
                pop(x);
            return zf * X86_ZF | pf * X86_PF | cf * X86_CF;
        }
    }
    return x87_run_reg(x, where) & (X86_ZF | X86_PF | X86_CF);
}

/* ---- one operand ---- */

#define UNARY(name, insn)                                                                          \
    static void name(struct x86_cpu *x, uint64_t where)                                            \
    {                                                                                              \
        unsigned top = x87_top(x);                                                                 \
        note(x, where);                                                                            \
        if (likely(all_masked(x) && x->ftw >> top & 1)) {                                          \
            long double a = reg_get(x, top);                                                       \
            uint16_t sw;                                                                           \
            cw_enter(x);                                                                           \
            __asm__ volatile(insn "\n\tfnstsw %1" : "+t"(a), "=a"(sw));                            \
            cw_leave(x);                                                                           \
            if (no_news(x, sw)) {                                                                  \
                reg_set(x, top, a);                                                                \
                x->fsw = (x->fsw & ~(X87_C1 | UNARY_C2)) | (sw & (X87_C1 | UNARY_C2));             \
                return;                                                                            \
            }                                                                                      \
        }                                                                                          \
        run_reg(x, where);                                                                         \
    }

#define UNARY_C2 0
UNARY(fsqrt, "fsqrt")
UNARY(frndint, "frndint")
#undef UNARY_C2
#define UNARY_C2 X87_C2 /* operand out of range */
UNARY(fsin, "fsin")
UNARY(fcos, "fcos")

static void fchs(struct x86_cpu *x, uint64_t where)
{
    note(x, where);
    if (!x87_used(x, 0)) {
        run_reg(x, where);
        return;
    }
    x->st[x87_top(x)].se ^= 0x8000;
    set_c1(x, 0);
}

static void fabs_(struct x86_cpu *x, uint64_t where)
{
    note(x, where);
    if (!x87_used(x, 0)) {
        run_reg(x, where);
        return;
    }
    x->st[x87_top(x)].se &= 0x7fff;
    set_c1(x, 0);
}

/* ---- loads ---- */

static inline void push_value(struct x86_cpu *x, uint16_t se, uint64_t mant)
{
    unsigned r = push(x);

    x->st[r].mant = mant;
    x->st[r].se = se;
}

static void fld_m32(struct x86_cpu *x, uint64_t where, uint64_t value, uint64_t fdp)
{
    uint32_t m = (uint32_t)value, exp = m >> 23 & 0xff;

    note_data(x, where, fdp);
    if (likely(!x87_used(x, 7) && exp != 0xff && (exp || !(m << 1))))
        push_value(x, (exp ? exp - 127 + 16383 : 0) | (m >> 16 & 0x8000),
                   exp ? BIT(63) | (uint64_t)m << 41 >> 1 : 0);
    else
        run_load(x, where, &m);
}

static void fld_m64(struct x86_cpu *x, uint64_t where, uint64_t m, uint64_t fdp)
{
    uint32_t exp = m >> 52 & 0x7ff;

    note_data(x, where, fdp);
    if (likely(!x87_used(x, 7) && exp != 0x7ff && (exp || !(m << 1))))
        push_value(x, (exp ? exp - 1023 + 16383 : 0) | (m >> 48 & 0x8000),
                   exp ? BIT(63) | m << 12 >> 1 : 0);
    else
        run_load(x, where, &m);
}

static void fld_m80(struct x86_cpu *x, uint64_t where, uint64_t lo, uint64_t hi, uint64_t fdp)
{
    struct x87_reg m = { .mant = lo, .se = (uint16_t)hi };

    note_data(x, where, fdp);
    if (likely(!x87_used(x, 7)))
        push_value(x, m.se, m.mant);
    else
        run_load(x, where, &m);
}

static void fild(struct x86_cpu *x, uint64_t where, int64_t v, uint64_t fdp)
{
    note_data(x, where, fdp);
    if (unlikely(x87_used(x, 7))) {
        run_load(x, where, &v); /* little-endian: good for each size */
    } else if (!v) {
        push_value(x, 0, 0);
    } else {
        uint64_t mag = v < 0 ? -(uint64_t)v : (uint64_t)v;
        unsigned lz = __builtin_clzll(mag);
        push_value(x, (16383 + 63 - lz) | (v < 0 ? 0x8000 : 0), mag << lz);
    }
}

static void fild_m16(struct x86_cpu *x, uint64_t where, uint64_t v, uint64_t fdp)
{
    fild(x, where, (int16_t)v, fdp);
}

static void fild_m32(struct x86_cpu *x, uint64_t where, uint64_t v, uint64_t fdp)
{
    fild(x, where, (int32_t)v, fdp);
}

static void fild_m64(struct x86_cpu *x, uint64_t where, uint64_t v, uint64_t fdp)
{
    fild(x, where, (int64_t)v, fdp);
}

static void fld1(struct x86_cpu *x, uint64_t where)
{
    note(x, where);
    if (likely(!x87_used(x, 7)))
        push_value(x, 16383, BIT(63));
    else
        run_reg(x, where);
}

static void fldz(struct x86_cpu *x, uint64_t where)
{
    note(x, where);
    if (likely(!x87_used(x, 7)))
        push_value(x, 0, 0);
    else
        run_reg(x, where);
}

/* ---- register moves ---- */

static void fld_st(struct x86_cpu *x, uint64_t where)
{
    unsigned i = fop_of(where) & 7;

    note(x, where);
    if (likely(x87_used(x, i) && !x87_used(x, 7))) {
        struct x87_reg v = x->st[x87_phys(x, i)];
        push_value(x, v.se, v.mant);
    } else {
        run_reg(x, where);
    }
}

/* FST ST(i), FSTP ST(i) */
static void fst_st(struct x86_cpu *x, uint64_t where)
{
    unsigned fop = fop_of(where), r = x87_phys(x, fop & 7);

    note(x, where);
    if (unlikely(!x87_used(x, 0))) {
        run_reg(x, where);
        return;
    }
    x->st[r].mant = x->st[x87_top(x)].mant;
    x->st[r].se = x->st[x87_top(x)].se;
    x->ftw |= 1u << r;
    set_c1(x, 0);
    if (fop & 8)
        pop(x);
}

static void fxch(struct x86_cpu *x, uint64_t where)
{
    unsigned i = fop_of(where) & 7, r = x87_phys(x, i), top = x87_top(x);

    note(x, where);
    if (unlikely(!x87_used(x, 0) || !x87_used(x, i))) {
        run_reg(x, where);
        return;
    }
    struct x87_reg v = x->st[top];
    x->st[top].mant = x->st[r].mant;
    x->st[top].se = x->st[r].se;
    x->st[r].mant = v.mant;
    x->st[r].se = v.se;
    set_c1(x, 0);
}

static void fcmov(struct x86_cpu *x, uint64_t where, uint64_t yes)
{
    unsigned i = fop_of(where) & 7, r = x87_phys(x, i), top = x87_top(x);

    note(x, where);
    if (unlikely(!x87_used(x, 0) || !x87_used(x, i))) {
        run_reg(x, where); /* the response to an empty register does not depend on the flags */
        return;
    }
    if (yes) {
        x->st[top].mant = x->st[r].mant;
        x->st[top].se = x->st[r].se;
    }
}

static void ffree(struct x86_cpu *x, uint64_t where)
{
    note(x, where);
    x->ftw &= ~(1u << x87_phys(x, fop_of(where) & 7));
    set_c1(x, 0);
}

static void fincstp(struct x86_cpu *x, uint64_t where)
{
    note(x, where);
    x->fsw = (x->fsw & ~(X87_TOP | X87_C1)) | ((x->fsw + (1 << X87_TOP_SHIFT)) & X87_TOP);
}

static void fdecstp(struct x86_cpu *x, uint64_t where)
{
    note(x, where);
    x->fsw = (x->fsw & ~(X87_TOP | X87_C1)) | ((x->fsw - (1 << X87_TOP_SHIFT)) & X87_TOP);
}

/* ---- stores: host memory that may be written (XLATE) or, slowly, a linear address ---- */

/* Bytes that a store instruction writes. */
static unsigned store_size(unsigned fop)
{
    unsigned reg = fop >> 3 & 7;

    switch (fop >> 8) {
    case 1: return 4;                 /* FST, FSTP m32 */
    case 3: return reg == 7 ? 10 : 4; /* FISTTP, FIST, FISTP m32; FSTP m80 */
    case 5: return 8;                 /* FISTTP m64; FST, FSTP m64 */
    default:
        return reg == 6 ? 10 : reg == 7 ? 8 : 2; /* DF: FISTTP, FIST, FISTP m16; FBSTP; FISTP m64 */
    }
}

#define ST_CASE(insn, clobber)                                                                     \
    __asm__ volatile(insn " %0\n\tfnstsw %%ax" : "=m"(*buf), "=a"(sw) : "t"(a)clobber)

/* The usual stores; false: take the careful way. buf has room for eight bytes. */
static bool store_fast(struct x86_cpu *x, unsigned fop, uint64_t *buf)
{
    uint16_t sw;

    if (unlikely(!all_masked(x) || !x87_used(x, 0)))
        return false;
    long double a = reg_get(x, x87_top(x));
    cw_enter(x);
    switch (fop >> 8 << 3 | (fop >> 3 & 7)) {
    case 1 << 3 | 2:
    case 1 << 3 | 3: ST_CASE("fsts", ); break;
    case 5 << 3 | 2:
    case 5 << 3 | 3: ST_CASE("fstl", ); break;
    case 3 << 3 | 2:
    case 3 << 3 | 3: ST_CASE("fistl", ); break;
    case 7 << 3 | 2:
    case 7 << 3 | 3: ST_CASE("fists", ); break;
    case 7 << 3 | 7: ST_CASE("fistpll", : "st"); break;
    default: cw_leave(x); return false;
    }
    cw_leave(x);
    if (!no_news(x, sw))
        return false;
    set_c1(x, sw);
    if (fop & 8)
        pop(x);
    return true;
}

static void store(struct cpu *cpu, uint64_t where, uint64_t fdp, void *host, gva_t linear)
{
    struct x86_cpu *x = x86_of(cpu);
    unsigned fop = fop_of(where), size = store_size(fop);
    uint8_t buf[16] __attribute__((aligned(16)));
    struct x87_image im;

    if (host && store_fast(x, fop, (uint64_t *)buf)) {
        if (size == 8)
            memcpy(host, buf, 8);
        else if (size == 4)
            memcpy(host, buf, 4);
        else
            memcpy(host, buf, 2);
        note_data(x, where, fdp);
        return;
    }
    bool written = x87_run_mem(x, where, buf, &im);
    if (host && written)
        memcpy(host, buf, size);
    else if (!host && written)
        cpu_store_bytes(cpu, linear, buf, size, cpu->mmu_index);
    else if (!host)
        cpu_probe(cpu, linear, size, CPU_WRITE, cpu->mmu_index);
    note_data(x, where, fdp);
    x87_commit(x, &im);
}

static void store_host(struct cpu *cpu, uint64_t where, uint64_t fdp, uint64_t host)
{
    store(cpu, where, fdp, (void *)(uintptr_t)host, 0);
}

static void store_slow(struct cpu *cpu, uint64_t where, uint64_t fdp, uint64_t linear)
{
    store(cpu, where, fdp, NULL, linear);
}

/* ---- everything else ---- */

static void any_reg(struct x86_cpu *x, uint64_t where)
{
    note(x, where);
    run_reg(x, where);
}

static void any_load(struct x86_cpu *x, uint64_t where, uint64_t value, uint64_t fdp)
{
    note_data(x, where, fdp);
    run_load(x, where, &value);
}

static void any_load80(struct x86_cpu *x, uint64_t where, uint64_t lo, uint64_t hi, uint64_t fdp)
{
    struct x87_reg m = { .mant = lo, .se = (uint16_t)hi };

    note_data(x, where, fdp);
    run_load(x, where, &m);
}

#define REG(f)                                                                                     \
    {                                                                                              \
        "x86_" #f, (helper_fn *)f, "- i64", HELPER_NO_RAISE                                        \
    }
#define LOAD(f)                                                                                    \
    {                                                                                              \
        "x86_" #f, (helper_fn *)f, "- i64 i64 i64", HELPER_NO_RAISE                                \
    }
#define ROWS(row, size)                                                                            \
    {                                                                                              \
        [X87_ADD] = row(arith_add_##size), [X87_MUL] = row(arith_mul_##size),                      \
        [X87_COM] = row(com_##size), [X87_COMP] = row(com_##size),                                 \
        [X87_SUB] = row(arith_sub_##size), [X87_SUBR] = row(arith_subr_##size),                    \
        [X87_DIV] = row(arith_div_##size), [X87_DIVR] = row(arith_divr_##size)                     \
    }

const struct helper h_x87_arith_st[8] = ROWS(REG, st);
const struct helper h_x87_arith_m32[8] = ROWS(LOAD, m32);
const struct helper h_x87_arith_m64[8] = ROWS(LOAD, m64);
const struct helper h_x87_comi = { "x86_fcomi", (helper_fn *)comi, "i64 i64", HELPER_NO_RAISE };
const struct helper h_x87_fcmov = { "x86_fcmov", (helper_fn *)fcmov, "- i64 i64", HELPER_NO_RAISE };
const struct helper h_x87_fsqrt = REG(fsqrt), h_x87_frndint = REG(frndint), h_x87_fsin = REG(fsin),
                    h_x87_fcos = REG(fcos);
const struct helper h_x87_fld_m32 = LOAD(fld_m32), h_x87_fld_m64 = LOAD(fld_m64);
const struct helper h_x87_fld_m80 = { "x86_fld_m80", (helper_fn *)fld_m80, "- i64 i64 i64 i64",
                                      HELPER_NO_RAISE };
const struct helper h_x87_fild_m16 = LOAD(fild_m16), h_x87_fild_m32 = LOAD(fild_m32),
                    h_x87_fild_m64 = LOAD(fild_m64);
const struct helper h_x87_fld_st = REG(fld_st), h_x87_fst_st = REG(fst_st), h_x87_fxch = REG(fxch);
const struct helper h_x87_fld1 = REG(fld1), h_x87_fldz = REG(fldz), h_x87_fchs = REG(fchs),
                    h_x87_fabs = REG(fabs_);
const struct helper h_x87_ffree = REG(ffree), h_x87_fincstp = REG(fincstp),
                    h_x87_fdecstp = REG(fdecstp);
const struct helper h_x87_reg = REG(any_reg), h_x87_load = LOAD(any_load);
const struct helper h_x87_load80 = { "x86_x87_load80", (helper_fn *)any_load80, "- i64 i64 i64 i64",
                                     HELPER_NO_RAISE };
const struct helper h_x87_store = LOAD(store_host);
const struct helper h_x87_store_slow = { "x86_x87_store_slow", (helper_fn *)store_slow,
                                         "- i64 i64 i64", 0 };
