# SPDX-License-Identifier: GPL-2.0-or-later
# C: each instruction by its halfword form, immediates at their ends; jumps over halfwords.
        la      s0, scratch
        mv      s1, sp
        c.li    a0, -32                 #= a0=-32
        c.lui   a1, 0xfffe0             #= a1=0xfffffffffffe0000
        c.lui   a1, 31                  #= a1=0x1f000
        c.addi  a0, 31                  #= a0=-1
        c.addiw a0, -1                  #= a0=-2
        c.addiw a1, 0                   #= a1=0x1f000
        c.addi16sp sp, -512
        sub     a2, s1, sp              #= a2=512
        c.addi16sp sp, 496
        sub     a2, s1, sp              #= a2=16
        c.addi4spn a3, sp, 1020
        sub     a2, a3, sp              #= a2=1020
        c.addi4spn a3, sp, 4
        sub     a2, a3, sp              #= a2=4
        mv      sp, s1
        c.mv    a4, a0                  #= a4=-2
        c.add   a4, a0                  #= a4=-4
        c.slli  a4, 63                  #= a4=0
        li      a4, -8
        c.srli  a4, 60                  #= a4=15
        li      a4, -8
        c.srai  a4, 2                   #= a4=-2
        c.andi  a4, -31                 #= a4=-32
        c.sub   a4, a0                  #= a4=-30
        c.xor   a4, a0                  #= a4=28
        c.or    a4, a0                  #= a4=-2
        c.and   a4, a1                  #= a4=0x1f000
        li      a5, 0x7fffffff
        c.addw  a5, a5                  #= a5=-2
        c.subw  a5, a1                  #= a5=0xfffffffffffe0ffe
        li      a0, 0x8765432187654321
        c.sd    a0, 248(s0)             #= mem+248=0x8765432187654321
        c.ld    a1, 248(s0)             #= a1=0x8765432187654321
        c.lw    a1, 124(s0)             #= a1=0
        c.sw    a0, 124(s0)             #= mem+120=0x8765432100000000
        c.lw    a1, 124(s0)             #= a1=0xffffffff87654321
        fld     fa0, 248(s0)
        c.fsd   fa0, 240(s0)            #= mem+240=0x8765432187654321
        c.fld   fa1, 240(s0)            #= fa1=0x8765432187654321
        mv      sp, s0
        c.sdsp  a0, 504(sp)
        c.swsp  a0, 252(sp)
        c.fsdsp fa0, 496(sp)
        c.ldsp  a2, 504(sp)
        c.lwsp  a3, 252(sp)
        c.fldsp fa2, 496(sp)
        mv      sp, s1                  #= a2=0x8765432187654321 a3=0xffffffff87654321 fa2=0x8765432187654321 mem+504=0x8765432187654321 mem+248=0x8765432187654321
        li      a0, 0
        c.j     1f
        c.addi  a0, 1
1:      c.beqz  a0, 2f
        c.addi  a0, 2
2:      c.bnez  a0, 3f
        c.addi  a0, 4
3:      la      a1, 4f
        c.jalr  a1
        c.addi  a0, 8                   # the return comes here
        c.j     5f
4:      c.jr    ra
5:      nop                             #= a0=12
        c.li    a1, 3
6:      c.addi  a0, 1                   # a loop
        c.addi  a1, -1
        c.bnez  a1, 6b                  #= a0=15 a1=0
        c.nop
        la      t0, 7f
        jalr    t0, 0(t0)               # the link register is the source
        c.addi  a0, 16
7:      nop                             #= a0=15
