// SPDX-License-Identifier: GPL-2.0-or-later
// Conditions: CSEL family, CCMP and CCMN, branches, flag instructions. Arm ARM C6.2, C1.2.4.
        .macro  all d           // bit n of \d: condition n holds
        mov     \d, #0
        .irp    c, eq, ne, hs, lo, mi, pl, vs, vc, hi, ls, ge, lt, gt, le
        cset    x29, \c
        lsr     \d, \d, #1
        orr     \d, \d, x29, lsl #13
        .endr
        .endm
        mov     x0, #5
        mov     x1, #-5
        cmp     x0, x1
        all     x2                      //= x2=0x16aa nzcv=0000
        cmp     x1, x0
        all     x2                      //= x2=0x2996 nzcv=1010
        cmp     w0, #5
        all     x2                      //= x2=0x26a5 nzcv=0110
        cmn     w1, #5
        all     x2                      //= x2=0x26a5 nzcv=0110
        mov     w3, #0x80000000
        cmp     w3, #1
        all     x2                      //= x2=0x2966 nzcv=0011
        cmn     w3, w3
        all     x2                      //= x2=0x2a65 nzcv=0111
        adds    x2, x1, x0, lsl #60
        all     x2                      //= x2=0x15a6 nzcv=0010
        tst     x1, #1
        all     x2                      //= x2=0x16aa nzcv=0000
        tst     x1, x1
        all     x2                      //= x2=0x2a9a nzcv=1000
        adcs    x4, x1, x1
        all     x2                      //= x2=0x2996 x4=0xfffffffffffffff6 nzcv=1010
        sbcs    w4, w3, w0
        all     x2                      //= x2=0x2966 x4=0x7ffffffb nzcv=0011
        cmp     x0, #5
        ccmp    x1, x0, #0b0100, ne     // not asked: Z alone
        all     x2                      //= x2=0x26a9 nzcv=0100
        ccmp    x1, x0, #0b1111, eq
        all     x2                      //= x2=0x2996 nzcv=1010
        ccmp    w1, #31, #0b1010, gt    // not asked
        all     x2                      //= x2=0x2996 nzcv=1010
        ccmn    w1, #5, #0b0001, al
        all     x2                      //= x2=0x26a5 nzcv=0110
        ccmn    w1, #0, #0b0001, hs
        all     x2                      //= x2=0x2a9a nzcv=1000
        ccmn    x0, x1, #0b0110, vs
        all     x2                      //= x2=0x26a5 nzcv=0110
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        mov     x5, #\n << 28
        msr     nzcv, x5
        all     x2                      //= x2=0x2655 nzcv=1111
        .endr
        cmp     x0, #6
        csel    x6, x0, x1, lt          //= x6=5
        csinc   w7, w1, w1, hs          //= x7=0xfffffffc
        csinv   x8, x0, x0, hi          //= x8=0xfffffffffffffffa
        csneg   w9, w1, w0, eq          //= x9=0xfffffffb
        csetm   x10, ne                 //= x10=0xffffffffffffffff
        cinc    x11, x1, lo             //= x11=0xfffffffffffffffc
        cneg    x12, x1, mi             //= x12=5
        csel    x13, x0, xzr, al        //= x13=5
        mov     x14, #0
        cmp     x0, x1
        b.gt    1f
        orr     x14, x14, #1
1:      b.hi    2f
        orr     x14, x14, #2
2:      cbz     w0, 3f
        orr     x14, x14, #4
3:      cbnz    x1, 4f
        orr     x14, x14, #8
4:      tbz     x1, #63, 5f
        orr     x14, x14, #16
5:      tbnz    w0, #1, 6f
        orr     x14, x14, #32
6:                                      //= x14=0x36
        mov     x15, #0
        mov     w16, #10
7:      add     x15, x15, x16
        subs    w16, w16, #1
        b.ne    7b                      //= x15=0x37 x16=0 nzcv=0110
        bl      8f
        b       9f
8:      adr     x17, 9f
        sub     x17, x17, x30
        ret
9:                                      //= x17=16
        adr     x18, 10f
        br      x18
        mov     x17, #99
10:     adr     x18, 11f
        blr     x18
        b       12f
11:     mov     x19, #77
        ret
12:                                     //= x17=16 x19=77
        mov     x5, #0x20000000
        msr     nzcv, x5
        cfinv                           //= nzcv=0000
        mov     x5, #0x60000000
        msr     nzcv, x5
        axflag                          //= nzcv=0110
        xaflag                          //= nzcv=0110
        mov     x5, #0x10000000
        msr     nzcv, x5
        axflag                          //= nzcv=0100
        xaflag                          //= nzcv=0011
        mov     x5, #0xa5
        rmif    x5, #60, #0b1100        //= nzcv=0011
        rmif    x5, #3, #0b0011         //= nzcv=0000
        mov     w5, #0x180
        setf8   w5                      //= nzcv=1000
        setf16  w5                      //= nzcv=0000
        mov     w5, #0x8000
        setf16  w5                      //= nzcv=1001
        mov     w5, #0x100
        setf8   w5                      //= nzcv=0101
