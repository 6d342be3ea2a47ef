// SPDX-License-Identifier: GPL-2.0-or-later
// FCMP, FCMPE, FCCMP, FCSEL under every condition, for less, equal, greater and unordered: one bit of
// the mask for each condition, by branch (x0), by CSET (x1) and by FCSEL (x2). Arm ARM C6.2, C1.2.4.
        .macro  one     compare, n, m, cond, bit
        \compare \n, \m
        b.\cond 1f
        b       2f
1:      orr     x0, x0, #1 << \bit
2:      \compare \n, \m
        cset    x9, \cond
        orr     x1, x1, x9, lsl #\bit
        \compare \n, \m
        fcsel   d30, d28, d29, \cond
        fmov    x9, d30
        orr     x2, x2, x9, lsl #\bit
        .endm
        .macro  all     compare, n, m
        mov     x0, #0
        mov     x1, #0
        mov     x2, #0
        one     \compare, \n, \m, eq, 0
        one     \compare, \n, \m, ne, 1
        one     \compare, \n, \m, hs, 2
        one     \compare, \n, \m, lo, 3
        one     \compare, \n, \m, mi, 4
        one     \compare, \n, \m, pl, 5
        one     \compare, \n, \m, vs, 6
        one     \compare, \n, \m, vc, 7
        one     \compare, \n, \m, hi, 8
        one     \compare, \n, \m, ls, 9
        one     \compare, \n, \m, ge, 10
        one     \compare, \n, \m, lt, 11
        one     \compare, \n, \m, gt, 12
        one     \compare, \n, \m, le, 13
        .endm
        mov     x3, #1
        fmov    d28, x3
        movi    d29, #0
        fmov    d1, #1.0
        fmov    d2, #2.0
        mov     x3, #0x7ff8000000000000
        fmov    d3, x3
        fmov    s4, #-1.0
        fmov    s5, #3.0
        mov     w3, #0x7fc00000
        fmov    s6, w3
        movi    v7.2d, #0
        fneg    d8, d7
        all     fcmp, d1, d2
        nop                             //= x0=0x2a9a x1=0x2a9a x2=0x2a9a nzcv=1000 fpsr=0
        all     fcmp, d2, d2
        nop                             //= x0=0x26a5 x1=0x26a5 x2=0x26a5 nzcv=0110
        all     fcmp, d2, d1
        nop                             //= x0=0x15a6 x1=0x15a6 x2=0x15a6 nzcv=0010
        all     fcmp, d1, d3
        nop                             //= x0=0x2966 x1=0x2966 x2=0x2966 nzcv=0011 fpsr=0
        all     fcmpe, d7, d8
        nop                             //= x0=0x26a5 x1=0x26a5 x2=0x26a5 nzcv=0110 fpsr=0
        all     fcmpe, s4, s5
        nop                             //= x0=0x2a9a x1=0x2a9a x2=0x2a9a nzcv=1000
        all     fcmpe, s5, s5
        nop                             //= x0=0x26a5 x1=0x26a5 x2=0x26a5 nzcv=0110
        all     fcmpe, s5, s4
        nop                             //= x0=0x15a6 x1=0x15a6 x2=0x15a6 nzcv=0010 fpsr=0
        all     fcmpe, s6, s4
        nop                             //= x0=0x2966 x1=0x2966 x2=0x2966 nzcv=0011 fpsr=1
        msr     fpsr, xzr
        // the condition fails: no compare, no flag
        fcmp    d1, d2
        fccmpe  d3, d1, #5, gt          //= nzcv=0101 fpsr=0
        fcmp    d1, d2
        fccmp   d2, d1, #5, mi          //= nzcv=0010 fpsr=0
        cset    x4, gt                  //= x4=1
        fcmp    d1, d2
        fccmpe  d3, d1, #5, mi          //= nzcv=0011 fpsr=1
        fcmp    d2, #0.0                //= nzcv=0010
        fcmpe   s4, #0.0                //= nzcv=1000
