# SPDX-License-Identifier: GPL-2.0-or-later
# F and D arithmetic: NaN results are canonical, NaN-boxing, signs, minimum and maximum, comparison,
# classes; fcsr is 0x20 * frm + flags (NV 16, DZ 8, OF 4, UF 2, NX 1).
        .macro  d reg, bits
        li      t0, \bits
        fmv.d.x \reg, t0
        .endm
        .macro  s reg, bits
        li      t0, \bits
        fmv.w.x \reg, t0
        .endm
        fscsr   zero
        d       fa0, 0x3ff0000000000000         # 1
        d       fa1, 0x7ff4000000000000         # a signalling NaN
        d       fa2, 0xfff8000000000123         # a quiet one
        d       fa3, 0x7ff0000000000000         # infinity
        d       fa4, 0x8000000000000000         # -0
        fadd.d  ft0, fa0, fa2           #= ft0=0x7ff8000000000000 fcsr=0
        fadd.d  ft0, fa0, fa1           #= ft0=0x7ff8000000000000 fcsr=16
        fscsr   zero
        fsub.d  ft0, fa3, fa3           #= ft0=0x7ff8000000000000 fcsr=16
        fscsr   zero
        fdiv.d  ft0, fa0, fa4           #= ft0=0xfff0000000000000 fcsr=8
        fscsr   zero
        fdiv.d  ft0, fa4, fa4           #= ft0=0x7ff8000000000000 fcsr=16
        fscsr   zero
        fmul.d  ft0, fa3, fa4           #= ft0=0x7ff8000000000000 fcsr=16
        fscsr   zero
        fsqrt.d ft0, fa4                #= ft0=0x8000000000000000 fcsr=0
        fneg.d  ft1, fa0
        fsqrt.d ft0, ft1                #= ft0=0x7ff8000000000000 fcsr=16
        fscsr   zero
        fmadd.d ft0, fa3, fa4, fa2      #= ft0=0x7ff8000000000000 fcsr=16
        fscsr   zero
        fmadd.d ft0, fa0, fa0, fa2      #= ft0=0x7ff8000000000000 fcsr=0
        fmadd.d ft0, fa0, fa0, fa0      #= ft0=0x4000000000000000
        fmsub.d ft0, fa0, fa0, fa0      #= ft0=0
        fnmsub.d ft0, fa0, fa0, fa0     #= ft0=0
        fnmadd.d ft0, fa0, fa0, fa0     #= ft0=0xc000000000000000 fcsr=0
        d       ft2, 1                          # the smallest subnormal
        d       ft3, 0x3fe0000000000000         # 1/2
        fmul.d  ft0, ft2, ft3           #= ft0=0 fcsr=3
        fscsr   zero
        d       ft2, 0x7fefffffffffffff
        fadd.d  ft0, ft2, ft2           #= ft0=0x7ff0000000000000 fcsr=5
        fscsr   zero
# Tiny before rounding but not after it: no underflow.
        d       ft2, 0x0010000000000001
        d       ft4, 0x3feffffffffffffe
        fmul.d  ft0, ft2, ft4           #= ft0=0x0010000000000000 fcsr=1
        fscsr   zero
        fmin.d  ft0, fa4, fa2           #= ft0=0x8000000000000000 fcsr=0
        fmax.d  ft0, fa2, fa0           #= ft0=0x3ff0000000000000 fcsr=0
        fmin.d  ft0, fa2, fa2           #= ft0=0x7ff8000000000000 fcsr=0
        fmin.d  ft0, fa1, fa0           #= ft0=0x3ff0000000000000 fcsr=16
        fscsr   zero
        fmv.d.x ft5, zero
        fmin.d  ft0, ft5, fa4           #= ft0=0x8000000000000000
        fmax.d  ft0, fa4, ft5           #= ft0=0 fcsr=0
        feq.d   a0, fa2, fa0            #= a0=0 fcsr=0
        feq.d   a0, fa4, ft5            #= a0=1
        flt.d   a0, fa4, ft5            #= a0=0
        fle.d   a0, fa4, ft5            #= a0=1
        flt.d   a0, fa2, fa0            #= a0=0 fcsr=16
        fscsr   zero
        fle.d   a0, fa0, fa2            #= a0=0 fcsr=16
        fscsr   zero
        feq.d   a0, fa1, fa0            #= a0=0 fcsr=16
        fscsr   zero
        frflags a4                              # a quiet comparison, as sqrt() of C has it
        flt.d   a0, fa2, fa0
        fsflags a4                      #= a0=0 fcsr=0
        fclass.d a0, fa3                #= a0=128
        fclass.d a0, fa1                #= a0=256
        fclass.d a0, fa2                #= a0=512
        fclass.d a0, fa4                #= a0=8
        fclass.d a0, ft5                #= a0=16
        fclass.d a0, fa0                #= a0=64
        fclass.d a0, ft1                #= a0=2
        d       ft2, 1
        fclass.d a0, ft2                #= a0=32
        fneg.d  ft2, ft2
        fclass.d a0, ft2                #= a0=4
        fneg.d  ft2, fa3
        fclass.d a0, ft2                #= a0=1
        fsgnj.d ft0, fa0, fa4           #= ft0=0xbff0000000000000
        fsgnjn.d ft0, fa2, fa4          #= ft0=0x7ff8000000000123
        fsgnjx.d ft0, fa4, fa4          #= ft0=0
        fabs.d  ft0, fa2                #= ft0=0x7ff8000000000123 fcsr=0
# ---- single precision
        s       fs0, 0x3f800000
        s       fs1, 0x40400000                 # 3
        fadd.s  ft0, fs0, fs1           #= ft0=0xffffffff40800000
        fdiv.s  ft0, fs0, fs1           #= ft0=0xffffffff3eaaaaab fcsr=1
        fscsr   zero
        fadd.s  ft0, fa0, fs0           #= ft0=0xffffffff7fc00000 fcsr=0
        fsgnj.s ft0, fa0, fs0           #= ft0=0xffffffff7fc00000
        fsgnjn.s ft0, fs0, fa0          #= ft0=0xffffffffbf800000
        fmin.s  ft0, fa0, fs0           #= ft0=0xffffffff3f800000
        feq.s   a0, fa0, fa0            #= a0=0
        fclass.s a0, fa0                #= a0=512
        fmv.x.w a0, fa0                 #= a0=0
        fclass.s a0, fs0                #= a0=64
        fsqrt.s ft0, fs1                #= ft0=0xffffffff3fddb3d7 fcsr=1
        fscsr   zero
        fmadd.s ft0, fs0, fs1, fs1      #= ft0=0xffffffff40c00000
        fnmadd.s ft0, fs0, fs1, fs1     #= ft0=0xffffffffc0c00000 fcsr=0
        s       fs2, 0x7f800001
        fmul.s  ft0, fs2, fs0           #= ft0=0xffffffff7fc00000 fcsr=16
        fscsr   zero
        la      s0, scratch
        fsw     fs1, 0(s0)
        fsd     fs1, 8(s0)
        fsh     fs1, 16(s0)
        flw     ft6, 0(s0)
        flh     ft7, 0(s0)              #= mem+0=0x40400000 mem+8=0xffffffff40400000 ft6=0xffffffff40400000 ft7=0xffffffffffff0000
