// SPDX-License-Identifier: GPL-2.0-or-later
// FEAT_BTI: branches into a guarded page (PROT_BTI) land on BTI or PACIxSP. Arm ARM D8.4.
// The handler of SIGILL counts in x19 and returns to the caller.
        mov     x19, #0
        mov     x0, #4                  // rt_sigaction(SIGILL)
        adr     x1, action
        mov     x2, #0
        mov     x3, #8
        mov     x8, #134
        svc     #0
        ldr     x0, =page               // mprotect(READ | EXEC | BTI)
        mov     x1, #4096
        mov     x2, #0x15
        mov     x8, #226
        svc     #0                      //= x0=0
        ldr     x20, =page
        mov     x21, #0
        blr     x20                     // BTI c
        adr     x30, 1f
        mov     x16, x20
        br      x16                     // BTI c takes BR X16
1:                                      //= x19=0 x21=2
        add     x22, x20, #16
        blr     x22                     // BTI j refuses a call
                                        //= x19=1 x21=2
        add     x22, x20, #32
        blr     x22                     // BTI jc
        adr     x30, 2f
        br      x22
2:                                      //= x19=1 x21=4
        add     x22, x20, #48
        blr     x22                     // PACIASP
                                        //= x19=1 x21=5
        add     x22, x20, #68
        blr     x22                     // no landing pad
                                        //= x19=2 x21=5
        add     x22, x20, #80
        blr     x22                     // inside: BR X0 to BTI c is refused, to BTI j taken
                                        //= x19=3 x21=5
        b       end
action: .quad   handler, 4, 0, 0        // SA_SIGINFO
handler:
        ldr     x0, [x2, #424]          // regs[30] to pc; x19 + 1
        str     x0, [x2, #440]
        ldr     x0, [x2, #336]
        add     x0, x0, #1
        str     x0, [x2, #336]
        ldr     x0, [x2, #448]          // BTYPE is done with
        and     x0, x0, #~0xc00
        str     x0, [x2, #448]
        mov     x8, #139
        svc     #0
        .balign 4096
page:
        bti     c
        add     x21, x21, #1
        ret
        nop
        bti     j
        add     x21, x21, #1
        ret
        nop
        bti     jc
        add     x21, x21, #1
        ret
        nop
        paciasp
        add     x21, x21, #1
        retaa
        nop
        bti     c
        add     x21, x21, #1
        ret
        nop
        bti     c
        adr     x0, page
        br      x0
        .balign 4096
end:
