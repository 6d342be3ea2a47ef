// SPDX-License-Identifier: GPL-2.0-or-later
// Multiply and divide. Division by zero gives 0, the minimum by -1 itself. Arm ARM C6.2.
        ldr     x0, =0x8123456789abcdef
        mov     x1, #-3
        mul     x2, x0, x1              //= x2=0x7c962fc962fc9633
        madd    w3, w0, w1, w0          //= x3=0xeca86422
        msub    x4, x0, x1, x0          //= x4=0x48d159e26af37bc
        mneg    w5, w0, w0              //= x5=0x6f0d5adf
        smull   x6, w0, w1              //= x6=0x162fc9633
        umull   x7, w0, w1              //= x7=0x89abcded62fc9633
        smaddl  x8, w0, w0, x0          //= x8=0xb7d4ff401a9e7310
        umsubl  x9, w0, w1, x0          //= x9=0xf777777a26af37bc
        smsubl  x10, w1, w1, xzr        //= x10=0xfffffffffffffff7
        umaddl  x11, w1, w1, x1         //= x11=0xfffffffa00000006
        smulh   x12, x0, x1             //= x12=1
        umulh   x13, x0, x1             //= x13=0x8123456789abcded
        smulh   x14, x0, x0             //= x14=0x3ede05ff528828bd
        udiv    x15, x0, x1             //= x15=0
        mov     x2, #10
        udiv    x15, x0, x2             //= x15=0xce9ed57275dfafe
        udiv    w16, w0, w2             //= x16=0xdc46164
        sdiv    x17, x0, x1             //= x17=0x2a49938827716605
        sdiv    w18, w0, w2             //= x18=0xf42ac7cc
        udiv    x19, x0, xzr            //= x19=0
        sdiv    x20, x0, xzr            //= x20=0
        udiv    w21, w0, wzr            //= x21=0
        sdiv    w22, w0, wzr            //= x22=0
        mov     x3, #0x8000000000000000
        mov     x4, #-1
        sdiv    x23, x3, x4             //= x23=0x8000000000000000
        mov     w3, #0x80000000
        sdiv    w24, w3, w4             //= x24=0x80000000
        sdiv    x25, x3, x4             //= x25=0xffffffff80000000
        udiv    x26, x3, x4             //= x26=0
        mov     x5, #7
        sdiv    x27, x4, x5             //= x27=0
        sdiv    w28, w5, w4             //= x28=0xfffffff9
