# SPDX-License-Identifier: GPL-2.0-or-later
# A: load-reserved and store-conditional, AMOs of both sizes; rd equal to a source.
        la      s0, scratch
        li      a0, 0x1122334480000005
        sd      a0, 0(s0)
        sc.d    a1, a0, (s0)            #= a1=1 mem+0=0x1122334480000005
        lr.d    a2, (s0)                #= a2=0x1122334480000005
        li      a3, 9
        sc.d    a1, a3, (s0)            #= a1=0 mem+0=9
        sc.d    a1, a0, (s0)            #= a1=1 mem+0=9
        sd      a0, 0(s0)
        lr.w    a2, (s0)                #= a2=0xffffffff80000005
        sc.w    a1, a3, (s0)            #= a1=0 mem+0=0x1122334400000009
        lr.w    a2, (s0)
        addi    s1, s0, 8
        sc.w    a1, a3, (s1)            #= a1=1 mem+8=0
        lr.d    a2, (s0)
        sd      a0, 0(s0)               # another value is there now
        sc.d    a1, a3, (s0)            #= a1=1 mem+0=0x1122334480000005
        li      a3, -1
        amoswap.w a1, a3, (s0)          #= a1=0xffffffff80000005 mem+0=0x11223344ffffffff
        amoadd.w  a1, a0, (s0)          #= a1=-1 mem+0=0x1122334480000004
        amoxor.w  a1, a3, (s0)          #= a1=0xffffffff80000004 mem+0=0x112233447ffffffb
        li      a3, 0xff
        amoand.w  a1, a3, (s0)          #= a1=0x7ffffffb mem+0=0x11223344000000fb
        amoor.w   a1, a0, (s0)          #= a1=0xfb mem+0=0x11223344800000ff
        amomin.w  a1, a3, (s0)          #= a1=0xffffffff800000ff mem+0=0x11223344800000ff
        amominu.w a1, a3, (s0)          #= a1=0xffffffff800000ff mem+0=0x11223344000000ff
        amomax.w  a1, a0, (s0)          #= a1=0xff mem+0=0x11223344000000ff
        amomaxu.w a1, a0, (s0)          #= a1=0xff mem+0=0x1122334480000005
        amoswap.d a1, a3, (s0)          #= a1=0x1122334480000005 mem+0=0xff
        amoadd.d  a1, a0, (s0)          #= a1=0xff mem+0=0x1122334480000104
        amoxor.d  a1, a0, (s0)          #= a1=0x1122334480000104 mem+0=0x101
        amoor.d   a1, a0, (s0)          #= a1=0x101 mem+0=0x1122334480000105
        amoand.d  a1, a3, (s0)          #= a1=0x1122334480000105 mem+0=5
        li      a3, -1
        amomin.d  a1, a3, (s0)          #= a1=5 mem+0=-1
        amominu.d a1, a0, (s0)          #= a1=-1 mem+0=0x1122334480000005
        amomax.d  a1, a3, (s0)          #= a1=0x1122334480000005 mem+0=0x1122334480000005
        amomaxu.d a1, a3, (s0)          #= a1=0x1122334480000005 mem+0=-1
        mv      t0, s0
        amomin.d  t0, t0, (t0)          #= t0=-1 mem+0=-1
        li      t1, 3
        amoadd.d  t1, t1, (s0)          #= t1=-1 mem+0=2
        mv      t0, s0
        lr.d    t0, (t0)                #= t0=2
        sc.d    t1, t1, (s0)            #= t1=0 mem+0=-1
        amoadd.w zero, s0, (s0)
        fence   rw, rw
        fence.i                         #= x0=0
