# SPDX-License-Identifier: GPL-2.0-or-later
# What qemu 7.2 has not, or has wrong: ctzw of a zero low half, Zicond, cbo.zero.
        li      a0, 0xffffffff00000000
        ctzw    a1, a0                  #= a1=32
        ctzw    a1, zero                #= a1=32
        li      a0, 0x8000000080000000
        ctzw    a1, a0                  #= a1=31
        li      a2, 7
        .insn r 0x33, 5, 7, a1, a2, zero        # czero.eqz a1, a2, zero
        nop                             #= a1=0
        .insn r 0x33, 5, 7, a1, a2, a0
        nop                             #= a1=7
        .insn r 0x33, 7, 7, a1, a2, zero        # czero.nez
        nop                             #= a1=7
        .insn r 0x33, 7, 7, a2, a2, a0          # the destination is a source
        nop                             #= a2=0
        la      s0, scratch + 64
        li      t0, -1
        sd      t0, -8(s0)
        sd      t0, 0(s0)
        sd      t0, 24(s0)
        sd      t0, 56(s0)
        sd      t0, 64(s0)
        addi    s1, s0, 37              # anywhere in the block
        .insn i 0x0f, 2, zero, s1, 4            # cbo.zero (s1)
        nop                             #= mem+56=-1 mem+64=0 mem+88=0 mem+120=0 mem+128=-1
        .insn i 0x0f, 2, zero, s1, 1            # cbo.clean
        .insn i 0x0f, 2, zero, s1, 2            # cbo.flush
        .insn i 0x0f, 2, zero, s1, 0            # cbo.inval
        nop                             #= mem+56=-1 mem+64=0
        .insn i 0x0f, 0, zero, zero, 16         # pause
        nop                             #= a1=7
