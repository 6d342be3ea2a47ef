// SPDX-License-Identifier: GPL-2.0-or-later
// Exclusives and FEAT_LSE. Arm ARM C6.2, B2.9.
        ldr     x0, =scratch
        ldr     x1, =0x8123456789abcdef
        str     x1, [x0]
        ldxr    x2, [x0]
        add     x3, x2, #1
        stxr    w4, x3, [x0]            //= x2=0x8123456789abcdef x4=0 mem+0=0x8123456789abcdf0
        stxr    w4, x3, [x0]            //= x4=1
        ldxrb   w5, [x0]
        stlxrb  w6, wzr, [x0]           //= x5=0xf0 x6=0 mem+0=0x8123456789abcd00
        ldaxrh  w5, [x0]
        clrex
        stxrh   w6, w1, [x0]            //= x6=1
        ldaxr   w5, [x0]                //= x5=0x89abcd00
        stlxr   w6, w1, [x0]            //= x6=0
        ldxr    x5, [x0]
        str     xzr, [x0]               // changed between: fails
        stxr    w6, x1, [x0]            //= x6=1 mem+0=0
        mov     x7, #7
        mov     x8, #8
        stp     x7, x8, [x0]
        ldxp    x9, x10, [x0]
        stxp    w11, x10, x9, [x0]      //= x9=7 x10=8 x11=0 mem+0=8 mem+8=7
        ldaxp   w9, w10, [x0]
        stlxp   w11, w1, w7, [x0]       //= x9=8 x10=0 x11=0 mem+0=0x789abcdef mem+8=7
        str     x1, [x0]
        mov     x12, #0x10
        ldadd   x12, x13, [x0]          //= x13=0x8123456789abcdef mem+0=0x8123456789abcdff
        ldclrb  w1, w13, [x0]           //= x13=0xff mem+0=0x8123456789abcd10
        ldeorh  w1, w13, [x0]           //= x13=0xcd10 mem+0=0x8123456789ab00ff
        ldset   w12, w13, [x0]          //= x13=0x89ab00ff mem+0=0x8123456789ab00ff
        ldsmax  x12, x13, [x0]          //= x13=0x8123456789ab00ff mem+0=0x10
        ldsmin  x1, x13, [x0]           //= x13=0x10 mem+0=0x8123456789abcdef
        ldumax  w12, w13, [x0]          //= x13=0x89abcdef mem+0=0x8123456789abcdef
        ldumin  x12, x13, [x0]          //= x13=0x8123456789abcdef mem+0=0x10
        ldsminb w1, w13, [x0]           //= x13=0x10 mem+0=0xef
        ldumaxh w1, w13, [x0]           //= x13=0xef mem+0=0xcdef
        ldsmaxb w12, w13, [x0]          //= x13=0xef mem+0=0xcd10
        swpal   x1, x13, [x0]           //= x13=0xcd10 mem+0=0x8123456789abcdef
        swph    w12, w12, [x0]          //= x12=0xcdef mem+0=0x8123456789ab0010
        stadd   x7, [x0]                //= mem+0=0x8123456789ab0017
        stsetb  w1, [x0]                //= mem+0=0x8123456789ab00ff
        ldadd   x0, x0, [x0]            // address, operand and result in one
        ldr     x1, =scratch
        ldr     x2, [x1]
        sub     x2, x2, x0
        sub     x2, x2, x1              //= x2=0
        mov     x0, x1
        mov     x3, #5
        mov     x4, #6
        stp     x3, x4, [x0]
        mov     x5, #5
        cas     x5, x4, [x0]            //= x5=5 mem+0=6
        cas     x3, x4, [x0]            //= x3=6 mem+0=6
        mov     w5, #0x106
        casb    w5, w7, [x0]            //= x5=6 mem+0=7
        casah   w5, w8, [x0]            //= x5=7 mem+0=7
        mov     x6, #7
        mov     x7, #6
        mov     x8, #1
        mov     x9, #2
        caspal  x6, x7, x8, x9, [x0]    //= x6=7 x7=6 mem+0=1 mem+8=2
        caspal  x6, x7, x8, x9, [x0]    //= x6=1 x7=2 mem+0=1 mem+8=2
        mov     x6, #1
        mov     x7, #0
        casp    w6, w7, w8, w9, [x0]    //= x6=1 x7=0 mem+0=0x200000001
        casp    w6, w7, w8, w9, [x0]    //= x6=1 x7=2 mem+0=0x200000001
