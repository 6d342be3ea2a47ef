// SPDX-License-Identifier: GPL-2.0-or-later
// ADD, ADDS, SUB, SUBS: immediate, shifted, extended; flags; SP. Arm ARM C6.2.
        mov     x0, #-1
        adds    x1, x0, #1              //= x1=0 nzcv=0110
        adds    w2, w0, w0              //= x2=0xfffffffe nzcv=1010
        subs    x3, xzr, x0             //= x3=1 nzcv=0000
        subs    x3, x3, x3              //= x3=0 nzcv=0110
        mov     x4, #0x7fffffff
        adds    w5, w4, #1              //= x5=0x80000000 nzcv=1001
        subs    w5, w5, #1              //= x5=0x7fffffff nzcv=0011
        mov     x6, #0x8000000000000000
        subs    x7, x6, #1              //= x7=0x7fffffffffffffff nzcv=0011
        mov     x8, #0x1280
        add     x9, xzr, x8, lsl #4     //= x9=0x12800
        add     x10, x9, w8, sxtb #2    //= x10=0x12600
        sub     x10, x9, w8, uxtb #3    //= x10=0x12400
        add     x11, x9, w8, uxth       //= x11=0x13a80
        mov     x12, sp
        sub     sp, sp, #0x1000
        sub     x13, x12, #1, lsl #12
        mov     x14, sp
        sub     x15, x13, x14           //= x15=0
        add     sp, sp, #1, lsl #12
        cmn     x0, #1                  //= nzcv=0110
        sub     w16, w0, w8, asr #4     //= x16=0xfffffed7
        adcs    x17, x0, x8             //= x17=0x1280 nzcv=0010
        sbcs    x18, x8, x8             //= x18=0 nzcv=0110
        sbc     w19, wzr, wzr           //= x19=0
        ngcs    x20, x0                 //= x20=1 nzcv=0000
        ngc     x21, xzr                //= x21=-1
