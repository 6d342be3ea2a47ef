/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The interpreter's floating point: known x86 results, and the portable form against the host's SSE
 * on random and special operands in all rounding modes, results and sticky flags.
 */
#include "../unit/test.h"

#include <fenv.h>

#include "ir/interp.h"

static void check_known(enum ir_op op, unsigned sub, unsigned imm, uint64_t a, uint64_t b,
                        uint64_t want)
{
    union ir_v128 d = { .u64 = { a, 0 } }, x = { .u64 = { b, 0 } };
    struct fp_op f = { .op = op, .type = IR_V128, .sub = sub, .imm = imm, .int_type = IR_I64 };

    if (op == IR_VFCOM || op == IR_VFCVTFI)
        f.type = IR_I32;
    ir_fp_portable(&f, &d, &x);
    CHECK_EQ(d.u64[0], want);
#if defined(__x86_64__)
    d = (union ir_v128){ .u64 = { a, 0 } };
    ir_fp_sse(&f, &d, &x);
    CHECK_EQ(f.type == IR_I32 ? d.u32[0] : d.u64[0], want);
#endif
}

enum { S = IR_F32 | IR_SCALAR, D = IR_F64 | IR_SCALAR };

TEST(known)
{
    check_known(IR_VFADD, S, 0, 0x3f800000, 0x40000000, 0x40400000); /* 1 + 2 */
    check_known(IR_VFADD, S, 0, 0x7f812345, 0x7fc00001, 0x7fc12345); /* SNaN a wins, quieted */
    check_known(IR_VFADD, S, 0, 0x3f800000, 0xff800001, 0xffc00001); /* NaN b */
    check_known(IR_VFSUB, S, 0, 0x7f800000, 0x7f800000, 0xffc00000); /* inf - inf: default NaN */
    check_known(IR_VFDIV, S, 0, 0, 0, 0xffc00000);
    check_known(IR_VFSQRT, D, 0, 0, 0xbff0000000000000, 0xfff8000000000000); /* sqrt(-1) */
    check_known(IR_VFMIN, S, 0, 0, 0x80000000, 0x80000000);                  /* zeros: b */
    check_known(IR_VFMIN, S, 0, 0x7fc00000, 0x3f800000, 0x3f800000);         /* NaN a: b */
    check_known(IR_VFMAX, S, 0, 0x3f800000, 0x7f800001, 0x7f800001);         /* NaN b: b as it is */
    check_known(IR_VFCMP, S, 3, 0x7fc00000, 0, 0xffffffff);                  /* unordered */
    check_known(IR_VFCOM, S, 0, 0x3f800000, 0x40000000, 1);                  /* less */
    check_known(IR_VFCOM, S, 0, 0x7fc00000, 0x40000000, 0x45);
    check_known(IR_VFCOM, D, 1, 0x3ff0000000000000, 0x3ff0000000000000, 0x40);
    check_known(IR_VFCVTFI, D, 1, 0x41e0000000000000, 0, 0x80000000);         /* 2^31: indefinite */
    check_known(IR_VFCVTFI, D, 1, 0xc1e0000000000000, 0, 0x80000000);         /* -2^31 fits */
    check_known(IR_VFCVTFI, S, 0, 0x40200000, 0, 2);                          /* 2.5 to even */
    check_known(IR_VFROUND, D, 1, 0, 0xbfe0000000000000, 0xbff0000000000000); /* floor(-0.5) */
    check_known(IR_VFROUND, D, 2, 0, 0xbfe0000000000000, 0x8000000000000000); /* ceil: -0 */
    check_known(IR_VFCVTFF, S, 0, 0, 0x7f812345, 0x7ff82468a0000000 | 0x7ff8000000000000);
    check_known(IR_VFDP, IR_F32, 0x31, 0x4040000040000000, 0x40a0000040800000,
                0x41b80000); /* 2 * 4 + 3 * 5 */
}

#if defined(__x86_64__)
static uint64_t rng = 1;

static uint64_t next(void)
{
    uint64_t z = (rng += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Normal numbers, infinities, NaNs, zeros; no denormals, whose flag the portable form does not
 * know. */
static uint32_t some_f32(void)
{
    static const uint32_t special[] = { 0,          0x80000000, 0x7f800000, 0xff800000, 0x7fc00001,
                                        0xffc12345, 0x7f812345, 0xff800001, 0x4f000000, 0xcf000000,
                                        0x3f000000, 0x3fc00000, 0x00800000 };
    uint64_t r = next();

    if (r % 3 == 0)
        return special[r / 3 % (sizeof(special) / sizeof(special[0]))];
    return (uint32_t)(r & 0x807fffff) | (uint32_t)(100 + r / 7 % 60) << 23;
}

static uint64_t some_f64(void)
{
    static const uint64_t special[] = { 0,
                                        0x8000000000000000,
                                        0x7ff0000000000000,
                                        0xfff0000000000000,
                                        0x7ff8000000000001,
                                        0xfff8123450000000,
                                        0x7ff0123450000000,
                                        0x41e0000000000000,
                                        0xc1e0000000000000,
                                        0x43e0000000000000,
                                        0x3fe0000000000000,
                                        0x3ff8000000000000 };
    uint64_t r = next();

    if (r % 3 == 0)
        return special[r / 3 % (sizeof(special) / sizeof(special[0]))];
    return (r & UINT64_C(0x800fffffffffffff)) | (uint64_t)(980 + r / 7 % 110) << 52;
}

static union ir_v128 some(bool f64)
{
    union ir_v128 v;

    for (unsigned k = 0; k < 4; k++)
        v.u32[k] = some_f32();
    if (f64)
        v.u64[0] = some_f64(), v.u64[1] = some_f64();
    return v;
}

static unsigned run_one(void (*fn)(const struct fp_op *, union ir_v128 *, const union ir_v128 *),
                        const struct fp_op *f, union ir_v128 *d, const union ir_v128 *b,
                        unsigned mode)
{
    unsigned flags;
    uint16_t x87; /* where glibc's feraiseexcept puts some */

    feclearexcept(FE_ALL_EXCEPT);
    __builtin_ia32_ldmxcsr(0x1f80 | mode << 13);
    fn(f, d, b);
    __asm__ volatile("fnstsw %0" : "=m"(x87));
    flags = (__builtin_ia32_stmxcsr() | x87) & 0x3d; /* not the denormal flag */
    __builtin_ia32_ldmxcsr(0x1f80);
    return flags;
}

/* fesetround and rint of the portable form look at the x87 mode as well on some hosts: set both. */
static void set_mode(unsigned mode)
{
    static const int modes[] = { FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO };

    fesetround(modes[mode]);
}

TEST(portable_like_sse)
{
    static const uint8_t ops[] = { IR_VFADD,   IR_VFSUB,    IR_VFMUL,    IR_VFDIV,    IR_VFMIN,
                                   IR_VFMAX,   IR_VFSQRT,   IR_VFCMP,    IR_VFADDSUB, IR_VFHADD,
                                   IR_VFHSUB,  IR_VFROUND,  IR_VFCOM,    IR_VFCVTFF,  IR_VFCVTIF,
                                   IR_VFCVTFI, IR_VFCVTPIF, IR_VFCVTPFI, IR_VFMADD,   IR_VFCVTHF,
                                   IR_VFCVTFH };

    for (unsigned n = 0; n < 60000; n++) {
        uint64_t r = next();
        bool f64 = r & 1, scalar = r >> 1 & 1, wide = r >> 2 & 1;
        unsigned mode = r >> 3 & 3, portable_flags, sse_flags;
        struct fp_op f = { .op = ops[(r >> 8) % sizeof(ops)],
                           .type = IR_V128,
                           .imm = r >> 40 & 15,
                           .int_type = wide ? IR_I64 : IR_I32 };
        union ir_v128 d = some(f64), e = d, b = some(f64), c = some(f64);

        if (f.op >= IR_VFADDSUB && f.op <= IR_VFHSUB)
            scalar = false;
        if (f.op == IR_VFCOM || f.op == IR_VFCVTIF || f.op == IR_VFCVTFI || f.op == IR_VFCVTPFI)
            f.imm &= 1, scalar = f.op != IR_VFCVTPFI;
        if (f.op >= IR_VFMADD)
            f.imm &= 3, f.c = &c;
        if (f.op == IR_VFCVTPIF)
            scalar = false;
        if (f.op == IR_VFCMP)
            f.imm &= 7;
        if (f.op == IR_VFCVTFI)
            f.type = wide ? IR_I64 : IR_I32;
        f.sub = (f64 ? IR_F64 : IR_F32) | (scalar ? IR_SCALAR : 0);
        set_mode(mode);
        portable_flags = run_one(ir_fp_portable, &f, &d, &b, mode);
        sse_flags = run_one(ir_fp_sse, &f, &e, &b, mode);
        set_mode(0);
        if (f.op == IR_VFCOM)
            d.u64[1] = e.u64[1] = 0;
        if (memcmp(&d, &e, 16) || portable_flags != sse_flags) {
            TEST_FAIL("%s sub %#x imm %u mode %u: portable %016" PRIx64 "%016" PRIx64
                      " flags %#x, sse %016" PRIx64 "%016" PRIx64 " flags %#x",
                      ir_op_info[f.op].name, f.sub, f.imm, mode, d.u64[1], d.u64[0], portable_flags,
                      e.u64[1], e.u64[0], sse_flags);
            return;
        }
    }
}
#endif
