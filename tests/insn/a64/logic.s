// SPDX-License-Identifier: GPL-2.0-or-later
// AND, BIC, ORR, ORN, EOR, EON, ANDS, BICS; bitmask immediates; wide moves. Arm ARM C6.2.
        movz    x0, #0x1234, lsl #48
        movk    x0, #0xfedc, lsl #16    //= x0=0x12340000fedc0000
        movn    x1, #0x00ff, lsl #32    //= x1=0xffffff00ffffffff
        movn    w2, #0xffff, lsl #16    //= x2=0xffff
        movk    w1, #0x5678             //= x1=0xffff5678
        and     x3, x0, #0xff00ff00ff00ff00//= x3=0x12000000fe000000
        orr     w4, w0, #0x80000001     //= x4=0xfedc0001
        eor     x5, x0, #0x5555555555555555//= x5=0x47615555ab895555
        ands    x6, x0, #0x8000000000000000//= x6=0 nzcv=0100
        ands    w6, w1, #0xfffffffe     //= x6=0xffff5678 nzcv=1000
        tst     x1, #0x7ffffffffffffffe //= nzcv=0000
        bic     x7, x1, x0, lsr #4      //= x7=0xf0121678
        orn     w8, w0, w1, ror #9      //= x8=0xffdc0054
        mvn     x9, x0, asr #60         //= x9=0xfffffffffffffffe
        eon     x10, x0, x1, lsl #63    //= x10=0xedcbffff0123ffff
        bics    x11, x0, x0             //= x11=0 nzcv=0100
        bics    w12, w1, w0, lsl #31    //= x12=0xffff5678 nzcv=1000
        ands    w13, w1, w1, asr #31    //= x13=0xffff5678 nzcv=1000
        eor     x14, x1, x1, ror #1     //= x14=0x8000fd44
        and     w15, w1, w0, lsr #31    //= x15=0
        mov     sp, x0                  // SP as a logical immediate's destination keeps all bits
        and     sp, x0, #0xfffffffffffffff0
        mov     x16, sp
        ldr     x17, =stack_top
        mov     sp, x17                 //= x16=0x12340000fedc0000
        adr     x18, 1f
1:      adrp    x19, 1b
        sub     x19, x18, x19
        and     x19, x19, #~0xfff       //= x19=0
        .section .bss
        .balign 16
        .skip   4096
stack_top:
        .text
