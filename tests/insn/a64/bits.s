// SPDX-License-Identifier: GPL-2.0-or-later
// Bitfields, extracts, shifts, bit and byte reversal, counts, CRC. Arm ARM C6.2.
        ldr     x0, =0x8123456789abcdef
        ubfx    x1, x0, #4, #12         //= x1=0xcde
        sbfx    x2, x0, #60, #4         //= x2=0xfffffffffffffff8
        ubfiz   x3, x0, #56, #8         //= x3=0xef00000000000000
        sbfiz   w4, w0, #8, #16         //= x4=0xffcdef00
        bfi     x5, x0, #8, #4          //= x5=0xf00
        mov     x5, #-1
        bfxil   x5, x0, #60, #4         //= x5=0xfffffffffffffff8
        bfc     w5, #4, #8              //= x5=0xfffff008
        lsl     w6, w0, #31             //= x6=0x80000000
        lsr     w7, w0, #31             //= x7=1
        asr     x8, x0, #63             //= x8=0xffffffffffffffff
        asr     w8, w0, #4              //= x8=0xf89abcde
        sxtb    x9, w0                  //= x9=0xffffffffffffffef
        sxth    w10, w0                 //= x10=0xffffcdef
        sxtw    x11, w0                 //= x11=0xffffffff89abcdef
        uxtb    w12, w0                 //= x12=0xef
        extr    x13, x0, x9, #20        //= x13=0xbcdeffffffffffff
        extr    w14, w0, w9, #31        //= x14=0x13579bdf
        ror     x15, x0, #1             //= x15=0xc091a2b3c4d5e6f7
        ror     w15, w0, #0             //= x15=0x89abcdef
        mov     x16, #0x141             // counts are taken modulo the width
        lslv    x17, x0, x16            //= x17=0x2468acf13579bde
        lsrv    w17, w0, w16            //= x17=0x44d5e6f7
        asrv    x18, x0, x16            //= x18=0xc091a2b3c4d5e6f7
        rorv    w19, w0, w16            //= x19=0xc4d5e6f7
        rbit    x20, x0                 //= x20=0xf7b3d591e6a2c481
        rbit    w21, w0                 //= x21=0xf7b3d591
        rev     x22, x0                 //= x22=0xefcdab8967452381
        rev     w23, w0                 //= x23=0xefcdab89
        rev32   x24, x0                 //= x24=0x67452381efcdab89
        rev16   x25, x0                 //= x25=0x23816745ab89efcd
        rev16   w26, w0                 //= x26=0xab89efcd
        clz     x27, x20                //= x27=0
        clz     w27, wzr                //= x27=0x20
        cls     x28, x0                 //= x28=0
        mov     x1, #-1
        cls     x2, x1                  //= x2=0x3f
        cls     w2, wzr                 //= x2=0x1f
        lsr     x3, x1, #9
        cls     x3, x3                  //= x3=8
        lsl     x4, x0, #12             // RBIT and CLZ: trailing zeros
        rbit    x5, x4
        clz     x6, x5                  //= x5=0xf7b3d591e6a2c x6=0xc
        rbit    w5, w4
        clz     w5, w5                  //= x5=0xc
        rbit    x7, x4
        clz     w8, w7                  //= x8=1
        rbit    x7, xzr
        clz     x7, x7                  //= x7=0x40
        crc32b  w9, w0, w1              //= x9=0x1d3ebba9
        crc32h  w10, w0, w1             //= x10=0x8215ca7a
        crc32w  w11, w1, w0             //= x11=0x10472a38
        crc32x  w12, wzr, x0            //= x12=0xcca1be0e
        crc32cb w13, w0, w1             //= x13=0x10d76ca2
        crc32ch w14, w0, w1             //= x14=0xee1d416c
        crc32cw w15, w1, w0             //= x15=0xee8c8012
        crc32cx w16, w1, x0             //= x16=0x18b91ca4
