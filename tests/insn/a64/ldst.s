// SPDX-License-Identifier: GPL-2.0-or-later
// Loads and stores: all addressing modes and widths, pairs, writeback, ordered, zeroing. Arm ARM C3.2.
        ldr     x0, =scratch
        ldr     x1, =0x8123456789abcdef
        str     x1, [x0]
        str     w1, [x0, #8]
        strh    w1, [x0, #12]
        strb    w1, [x0, #14]           //= mem+0=0x8123456789abcdef mem+8=0xefcdef89abcdef
        ldr     x2, [x0, #1]            //= x2=0xef8123456789abcd
        ldr     w3, [x0, #3]            //= x3=0x23456789
        ldrh    w4, [x0, #6]            //= x4=0x8123
        ldrb    w5, [x0, #7]            //= x5=0x81
        ldrsb   x6, [x0, #7]            //= x6=0xffffffffffffff81
        ldrsb   w7, [x0, #7]            //= x7=0xffffff81
        ldrsh   x8, [x0, #6]            //= x8=0xffffffffffff8123
        ldrsh   w9, [x0, #6]            //= x9=0xffff8123
        ldrsw   x10, [x0]               //= x10=0xffffffff89abcdef
        add     x11, x0, #256
        ldur    x12, [x11, #-256]       //= x12=0x8123456789abcdef
        ldr     x12, [x11, #-256]!      //= x12=0x8123456789abcdef
        sub     x13, x11, x0            //= x13=0
        ldr     w14, [x11], #5          //= x14=0x89abcdef
        sub     x13, x11, x0            //= x13=5
        strh    w1, [x11, #17]!         //= mem+16=0xcdef000000000000
        sub     x13, x11, x0            //= x13=22
        strb    w1, [x11], #-22         //= mem+16=0xcdef000000000000
        sub     x13, x11, x0            //= x13=0
        mov     x15, #2
        mov     x16, #-2
        ldr     w17, [x0, x15]          //= x17=0x456789ab
        ldr     w17, [x0, x15, lsl #2]  //= x17=0x89abcdef
        add     x18, x0, #16
        ldr     x19, [x18, w16, sxtw #3]        //= x19=0x8123456789abcdef
        ldrh    w20, [x18, x16, sxtx]   //= x20=0xef
        mov     w16, #4
        ldrsb   x21, [x0, w16, uxtw]    //= x21=0x67
        ldr     x0, [x0, #0]            // the base is loaded over
        ldr     x2, =scratch            //= x0=0x8123456789abcdef
        mov     x0, x2
        mov     x3, #3
        mov     x4, #4
        stp     x3, x4, [x0, #32]
        stp     w1, w3, [x0, #48]!      //= mem+32=3 mem+40=4 mem+48=0x389abcdef
        sub     x13, x0, x2             //= x13=48
        ldp     x5, x6, [x0, #-16]      //= x5=3 x6=4
        ldp     w7, w8, [x0], #16       //= x7=0x89abcdef x8=3
        sub     x13, x0, x2             //= x13=64
        ldpsw   x9, x10, [x0, #-16]!    //= x9=0xffffffff89abcdef x10=3
        sub     x13, x0, x2             //= x13=48
        ldnp    x5, x6, [x0, #-48]      //= x5=0x8123456789abcdef x6=0xefcdef89abcdef
        stnp    x6, x5, [x0, #16]       //= mem+64=0xefcdef89abcdef mem+72=0x8123456789abcdef
        sub     x0, x0, #48
        ldp     x0, x11, [x0]           // a base in the pair
        mov     x12, x0
        mov     x0, x2                  //= x12=0x8123456789abcdef
        str     xzr, [x0, #80]
        str     x0, [x0, #80]           // the base stored
        ldr     x13, [x0, #80]
        sub     x13, x13, x2            //= x13=0
        stlr    x1, [x0]
        ldar    x14, [x0]               //= x14=0x8123456789abcdef
        stlrb   w3, [x0]
        ldarh   w14, [x0]               //= x14=0xcd03
        ldapr   w14, [x0]               //= x14=0x89abcd03
        stlur   w4, [x0, #4]
        ldapur  x14, [x0, #-0]          //= x14=0x489abcd03
        ldapursb x14, [x0, #7]          //= x14=0
        ldapursw x15, [x0, #4]          //= x15=4
        ldtr    x16, [x0, #8]           //= x16=0xefcdef89abcdef
        sttrb   w1, [x0, #9]            //= mem+8=0xefcdef89abefef
        ldr     x17, 1f
        ldr     w18, 1f
        ldrsw   x19, 1f
        b       2f
1:      .quad   0xfedcba9876543210
2:                                      //= x17=0xfedcba9876543210 x18=0x76543210 x19=0x76543210
        prfm    pldl1keep, [x0]
        prfm    pldl1keep, 1b
        prfum   pldl1keep, [x0, #-1]
        add     x5, x0, #77
        dc      zva, x5                 //= mem+56=0 mem+64=0 mem+72=0 mem+80=0 mem+120=0
        ldr     x6, [x0, #48]           //= x6=0x389abcdef
        dc      cvac, x0
        dc      cvau, x0
        dc      civac, x0
        ic      ivau, x0
        dsb     ish
        isb
        mrs     x7, dczid_el0           //= x7=4
