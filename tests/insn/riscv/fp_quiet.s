# SPDX-License-Identifier: GPL-2.0-or-later
# frflags, flt or fle, fsflags: a comparison that leaves no flags, whatever its operands are.
        .macro  quiet rd, cmp, x, y
        li      t0, \x
        fmv.d.x fa0, t0
        li      t0, \y
        fmv.d.x fa1, t0
        frflags a4
        \cmp    \rd, fa0, fa1
        fsflags a4
        .endm
        fscsr   zero
        quiet   a0, flt.d, 0x3ff0000000000000, 0x4000000000000000
        nop                             #= a0=1 a4=0 fcsr=0
        quiet   a0, flt.d, 0x4000000000000000, 0x4000000000000000
        nop                             #= a0=0 fcsr=0
        quiet   a0, fle.d, 0x4000000000000000, 0x4000000000000000
        nop                             #= a0=1 fcsr=0
        quiet   a0, fle.d, 0x4000000000000001, 0x4000000000000000
        nop                             #= a0=0 fcsr=0
        quiet   a0, flt.d, 0x7ff8000000000000, 0x4000000000000000
        nop                             #= a0=0 fcsr=0
        quiet   a0, fle.d, 0x4000000000000000, 0x7ff0000000000001
        nop                             #= a0=0 fcsr=0
        fsflagsi 21
        quiet   a0, flt.d, 0x7ff0000000000001, 0x4000000000000000
        nop                             #= a0=0 a4=21 fcsr=21
        quiet   a4, fle.d, 1, 2                 # the flags' register is the destination
        nop                             #= a4=1 fcsr=1
        quiet   zero, fle.d, 1, 2
        nop                             #= a4=1 fcsr=1
