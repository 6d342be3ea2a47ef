// SPDX-License-Identifier: GPL-2.0-or-later
// System registers of EL0, ID registers as Linux shows them, hints, pointer authentication.
        mov     x0, #0xf0000000
        msr     nzcv, x0                //= nzcv=1111
        mrs     x1, nzcv                //= x1=0xf0000000
        msr     tpidr_el0, x0
        mrs     x2, tpidr_el0           //= x2=0xf0000000
        mov     x2, #0
        msr     tpidr_el0, x2
        mrs     x3, cntvct_el0
        mrs     x4, cntvct_el0
        cmp     x4, x3
        cset    x5, hs                  //= x5=1
        mrs     x6, cntfrq_el0          //= x6=62500000
        mrs     x7, id_aa64pfr0_el1
        and     x7, x7, #0xff           //= x7=0x11
        mrs     x8, id_aa64isar0_el1
        ubfx    x8, x8, #20, #4         //= x8=2
        mrs     x9, id_aa64mmfr0_el1    //= x9=0xff000000
        mrs     x10, id_aa64dfr1_el1    //= x10=0
        mrs     x11, id_isar0_el1       //= x11=0
        mrs     x12, mpidr_el1          //= x12=0x80000000
        mrs     x13, ctr_el0
        and     x13, x13, #0xf          //= x13=4
        nop
        yield
        wfe
        sev
        hint    #100
        bti     c
        dmb     ish
        dsb     sy
        sb
        // a signed address comes back, with any modifier, in its own key
        adr     x30, 1f
        mov     x14, x30
        paciasp
        autiasp
        sub     x15, x30, x14           //= x15=0
        paciasp
        xpaclri
        sub     x15, x30, x14           //= x15=0
        mov     x16, #1234
        mov     x17, x14
        pacib1716
        autib1716
        sub     x15, x17, x14           //= x15=0
        mov     x18, x14
        pacda   x18, x16
        autda   x18, x16
        sub     x15, x18, x14           //= x15=0
        paciza  x18
        xpaci   x18
        sub     x15, x18, x14           //= x15=0
        pacga   x19, x14, x16
        and     x19, x19, #0xffffffff   //= x19=0
        adr     x30, 1f
        paciasp
        retaa
        mov     x20, #99
1:      mov     x20, #1                 //= x20=1
        adr     x21, 2f
        paciza  x21
        blraaz  x21
        mov     x22, #5
        b       3f
2:      mov     x23, #6
        ret
3:                                      //= x22=5 x23=6
        ldr     x24, =scratch
        str     x16, [x24, #16]
        pacdza  x24
        ldraa   x25, [x24, #16]!        //= x25=1234
        ldr     x26, =scratch
        sub     x26, x24, x26           //= x26=16
