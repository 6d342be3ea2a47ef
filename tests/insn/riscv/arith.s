# SPDX-License-Identifier: GPL-2.0-or-later
# Integer arithmetic of RV64IM with its edges (unprivileged manual, chapters 2, 5, 13).
        li      a0, -1
        addi    a1, a0, 1               #= a1=0
        addiw   a2, a0, 0               #= a2=-1
        lui     a3, 0x80000             #= a3=0xffffffff80000000
        addw    a4, a3, a3              #= a4=0
        subw    a4, zero, a3            #= a4=0xffffffff80000000
        sraiw   a5, a3, 31              #= a5=-1
        srliw   a5, a3, 31              #= a5=1
        slliw   a5, a3, 1               #= a5=0
        sltiu   a6, zero, -1            #= a6=1
        slt     a6, a0, zero            #= a6=1
        div     a7, a0, zero            #= a7=-1
        rem     a7, a3, zero            #= a7=0xffffffff80000000
        li      t0, 0x8000000000000000
        div     t1, t0, a0              #= t1=0x8000000000000000
        rem     t1, t0, a0              #= t1=0
        divw    t1, a3, a0              #= t1=0xffffffff80000000
        remuw   t1, a0, a3              #= t1=0x7fffffff
        mulhu   t2, a0, a0              #= t2=0xfffffffffffffffe
        mulh    t2, a0, a0              #= t2=0
        mulhsu  t2, a0, a0              #= t2=-1
        mulw    t2, a3, a0              #= t2=0xffffffff80000000
        la      s0, scratch
        sd      t0, 8(s0)
        sb      a0, 9(s0)               #= mem+8=0x800000000000ff00
        lhu     s1, 8(s0)               #= s1=0xff00
        lh      s1, 8(s0)               #= s1=-256
