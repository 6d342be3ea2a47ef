# SPDX-License-Identifier: GPL-2.0-or-later
# Zba, Zbb, Zbc, Zbs: every instruction, with zero, sign and count edges (bit-manipulation chapter).
        li      a0, 0x8000000180000001
        li      a1, 0x10
        add.uw  a2, a0, a1              #= a2=0x80000011
        sh1add  a2, a0, a1              #= a2=0x300000012
        sh2add  a2, a0, a1              #= a2=0x600000014
        sh3add  a2, a0, a1              #= a2=0xc00000018
        sh1add.uw a2, a0, a1            #= a2=0x100000012
        sh2add.uw a2, a0, a1            #= a2=0x200000014
        sh3add.uw a2, a0, a1            #= a2=0x400000018
        slli.uw a2, a0, 33              #= a2=0x200000000
        slli.uw a2, a0, 32              #= a2=0x8000000100000000
        li      s0, 0xff00ff00ff00ff00
        li      s1, 0x0ff00ff00ff00ff0
        andn    a2, s0, s1              #= a2=0xf000f000f000f000
        orn     a2, s0, s1              #= a2=0xff0fff0fff0fff0f
        xnor    a2, s0, s1              #= a2=0x0f0f0f0f0f0f0f0f
        clz     a2, zero                #= a2=64
        clzw    a2, zero                #= a2=32
        ctz     a2, zero                #= a2=64
        li      a3, 0xffffffff00000000
        clzw    a2, a3                  #= a2=32
        clz     a2, a1                  #= a2=59
        clzw    a2, a1                  #= a2=27
        ctz     a2, a1                  #= a2=4
        ctz     a2, a3                  #= a2=32
        cpop    a2, a3                  #= a2=32
        cpopw   a2, a3                  #= a2=0
        cpop    a2, a0                  #= a2=4
        cpopw   a2, a0                  #= a2=2
        li      a4, 0x1234567880ff80
        sext.b  a2, a4                  #= a2=-128
        sext.h  a2, a4                  #= a2=-128
        zext.h  a2, a4                  #= a2=0xff80
        li      t0, -5
        li      t1, 3
        max     a2, t0, t1              #= a2=3
        maxu    a2, t0, t1              #= a2=-5
        min     a2, t0, t1              #= a2=-5
        minu    a2, t0, t1              #= a2=3
        min     a2, t0, t0              #= a2=-5
        li      t2, 68
        rol     a2, a0, t2              #= a2=0x1800000018
        ror     a2, a0, t2              #= a2=0x1800000018000000
        rol     a2, a0, zero            #= a2=0x8000000180000001
        li      t2, 33
        rolw    a2, a0, t2              #= a2=3
        rorw    a2, a0, t2              #= a2=0xffffffffc0000000
        rori    a2, a0, 1               #= a2=0xc0000000c0000000
        rori    a2, a0, 63              #= a2=0x300000003
        roriw   a2, a0, 31              #= a2=3
        li      a5, 0x0001008000ff0100
        orc.b   a2, a5                  #= a2=0x00ff00ff00ffff00
        orc.b   a2, zero                #= a2=0
        rev8    a2, a5                  #= a2=0x0001ff0080000100
        li      t3, 0xdeadbeef12345678
        li      t4, 0x8000000000000003
        clmul   a2, t3, t4              #= a2=0x63f6c331365cfa88
        clmulh  a2, t3, t4              #= a2=0x6f56df77891a2b3d
        clmulr  a2, t3, t4              #= a2=0xdeadbeef1234567a
        clmul   a2, zero, t4            #= a2=0
        li      t2, 127                 # counts modulo 64
        bset    a2, zero, t2            #= a2=0x8000000000000000
        bclr    a2, a0, t2              #= a2=0x180000001
        binv    a2, a0, t2              #= a2=0x180000001
        bext    a2, a0, t2              #= a2=1
        bseti   a2, zero, 31            #= a2=0x80000000
        bclri   a2, a0, 32              #= a2=0x8000000080000001
        binvi   a2, a0, 33              #= a2=0x8000000380000001
        bexti   a2, a0, 31              #= a2=1
        bexti   a2, a0, 30              #= a2=0
