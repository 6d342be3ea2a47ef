// SPDX-License-Identifier: GPL-2.0-or-later
// Scalar floating point where Arm's rules are its own: NaNs, default NaN, zeros, tininess before
// rounding, flush to zero, conversions out of range. Arm ARM J1.3.
        msr     fpsr, xzr
        mov     x0, #0x7ff0000000000000 // infinity
        fmov    d0, x0
        mov     x1, #1
        orr     x1, x1, #0x7ff0000000000000
        fmov    d1, x1                  // signaling
        mov     x2, #0xfff8000000000000
        movk    x2, #0x1234
        fmov    d2, x2                  // quiet, negative
        movi    d3, #0
        fmov    d4, #1.0
        fneg    d5, d3
        fadd    d6, d2, d4              //= v6=0:0xfff8000000001234 fpsr=0
        fadd    d6, d2, d1              //= v6=0:0x7ff8000000000001 fpsr=1
        fadd    d6, d1, d2              //= v6=0:0x7ff8000000000001
        msr     fpsr, xzr
        fsub    d6, d0, d0              //= v6=0:0x7ff8000000000000 fpsr=1
        msr     fpsr, xzr
        fmul    d6, d3, d0              //= v6=0:0x7ff8000000000000 fpsr=1
        fmulx   d6, d5, d0              //= v6=0:0xc000000000000000
        msr     fpsr, xzr
        fnmul   d6, d2, d4              //= v6=0:0x7ff8000000001234 fpsr=0
        fdiv    d6, d4, d5              //= v6=0:0xfff0000000000000 fpsr=2
        msr     fpsr, xzr
        fmadd   d6, d0, d3, d2          //= v6=0:0x7ff8000000000000 fpsr=1
        msr     fpsr, xzr
        fnmadd  d6, d4, d4, d2          //= v6=0:0x7ff8000000001234 fpsr=0
        fmsub   d6, d2, d4, d4          //= v6=0:0x7ff8000000001234 fpsr=0
        fmin    d6, d3, d5              //= v6=0:0x8000000000000000
        fmin    d6, d5, d3              //= v6=0:0x8000000000000000
        fmax    d6, d3, d5              //= v6=0:0
        fmax    d6, d5, d3              //= v6=0:0
        fmax    d6, d4, d2              //= v6=0:0xfff8000000001234 fpsr=0
        fmaxnm  d6, d4, d2              //= v6=0:0x3ff0000000000000 fpsr=0
        fminnm  d6, d1, d4              //= v6=0:0x7ff8000000000001 fpsr=1
        fneg    d7, d4
        msr     fpsr, xzr
        fsqrt   d6, d7                  //= v6=0:0x7ff8000000000000 fpsr=1
        msr     fpsr, xzr
        // the smallest normal number by rounding: tiny before rounding
        mov     x3, #0x0010000000000000
        fmov    d8, x3
        mov     x4, #0x3fefffffffffffff
        fmov    d9, x4
        fmul    d10, d8, d9             //= v10=0:0x0010000000000000 fpsr=0x18
        mov     x5, #1 << 24
        msr     fpsr, xzr
        msr     fpcr, x5
        fmul    d10, d8, d9             //= v10=0:0 fpsr=8
        mov     x6, #1
        fmov    d11, x6
        fadd    d10, d11, d4            //= v10=0:0x3ff0000000000000 fpsr=0x88
        msr     fpsr, xzr
        mov     x5, #1 << 25            // default NaN
        msr     fpcr, x5
        fadd    d6, d2, d4              //= v6=0:0x7ff8000000000000 fpsr=0
        fcvt    s6, d2                  //= v6=0:0x7fc00000 fpsr=0
        msr     fpcr, xzr
        fcvt    s6, d2                  //= v6=0:0xffc00000 fpsr=0
        fcvt    h6, d4                  //= v6=0:0x3c00
        // integers
        fcvtzs  x7, d0                  //= x7=0x7fffffffffffffff fpsr=1
        fcvtzs  w7, d2                  //= x7=0 fpsr=1
        fcvtzu  x7, d7                  //= x7=0 fpsr=1
        msr     fpsr, xzr
        mov     x8, #0x43e0000000000000 // 2^63
        fmov    d12, x8
        fcvtzu  x9, d12                 //= x9=0x8000000000000000 fpsr=0
        fcvtzs  x9, d12                 //= x9=0x7fffffffffffffff fpsr=1
        msr     fpsr, xzr
        ucvtf   d13, x9                 //= v13=0:0x43e0000000000000 fpsr=0x10
        mov     x10, #-1
        ucvtf   s13, x10                //= v13=0:0x5f800000
        ucvtf   d13, w10                //= v13=0:0x41efffffffe00000
        msr     fpsr, xzr
        fmov    d14, #2.5
        fcvtns  x11, d14                //= x11=2 fpsr=0x10
        fcvtas  x11, d14                //= x11=3
        fcvtps  w11, d14                //= x11=3
        fcvtms  w11, d14                //= x11=2
        fcvtzs  x11, d14, #4            //= x11=40
        scvtf   d15, x11, #3            //= v15=0:0x4014000000000000
        frinta  d15, d14                //= v15=0:0x4008000000000000
        frintn  d15, d14                //= v15=0:0x4000000000000000
        fneg    d16, d14
        frinta  d15, d16                //= v15=0:0xc008000000000000
        mov     x12, #0x3fdfffffffffffff
        fmov    d17, x12
        frinta  d15, d17                //= v15=0:0
        fjcvtzs w13, d14                //= x13=2 nzcv=0000
        fmov    s18, #1.5               //= v18=0:0x3fc00000
        fmov    v18.d[1], x12           //= v18=0x3fdfffffffffffff:0x3fc00000
        fmov    x14, v18.d[1]           //= x14=0x3fdfffffffffffff
        fadd    s18, s18, s18           //= v18=0:0x40400000
