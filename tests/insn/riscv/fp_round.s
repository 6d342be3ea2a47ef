# SPDX-License-Identifier: GPL-2.0-or-later
# Rounding modes from frm and from the instruction, RMM too; conversions with their saturation and flags.
        .macro  d reg, bits
        li      t0, \bits
        fmv.d.x \reg, t0
        .endm
        fscsr   zero
        d       fa0, 0x3ff0000000000000         # 1
        d       fa1, 0x4008000000000000         # 3
        fdiv.d  ft0, fa0, fa1           #= ft0=0x3fd5555555555555 fcsr=1
        fdiv.d  ft0, fa0, fa1, rtz      #= ft0=0x3fd5555555555555
        fdiv.d  ft0, fa0, fa1, rdn      #= ft0=0x3fd5555555555555
        fdiv.d  ft0, fa0, fa1, rup      #= ft0=0x3fd5555555555556
        fdiv.d  ft0, fa0, fa1, rmm      #= ft0=0x3fd5555555555555 fcsr=1
        fsrmi   3                       #= fcsr=0x61
        fdiv.d  ft0, fa0, fa1           #= ft0=0x3fd5555555555556
        fdiv.d  ft0, fa0, fa1, rne      #= ft0=0x3fd5555555555555
        fsrmi   2
        fneg.d  fa2, fa0
        fdiv.d  ft0, fa2, fa1           #= ft0=0xbfd5555555555556
        fsub.d  ft0, fa0, fa0           #= ft0=0x8000000000000000
        fsub.d  ft0, fa0, fa0, rne      #= ft0=0
        fsrmi   4                       #= fcsr=0x81
        d       fa3, 0x3ca0000000000000         # 2^-53: a tie
        fadd.d  ft0, fa0, fa3           #= ft0=0x3ff0000000000001
        fadd.d  ft0, fa0, fa3, rne      #= ft0=0x3ff0000000000000
        fdiv.d  ft0, fa0, fa1           #= ft0=0x3fd5555555555555
        fsqrt.d ft0, fa1                #= ft0=0x3ffbb67ae8584caa
        fmul.d  ft0, fa1, fa1           #= ft0=0x4022000000000000
        fmadd.d ft0, fa1, fa1, fa3      #= ft0=0x4022000000000000
        csrrwi  a0, frm, 0              #= a0=4 fcsr=1
        fscsr   zero
# ---- to integers
        d       fa0, 0x4004000000000000         # 2.5
        fcvt.w.d a0, fa0                #= a0=2 fcsr=1
        fcvt.w.d a0, fa0, rtz           #= a0=2
        fcvt.w.d a0, fa0, rdn           #= a0=2
        fcvt.w.d a0, fa0, rup           #= a0=3
        fcvt.w.d a0, fa0, rmm           #= a0=3
        fneg.d  fa0, fa0
        fcvt.l.d a0, fa0, rmm           #= a0=-3
        fcvt.l.d a0, fa0, rne           #= a0=-2 fcsr=1
        fscsr   zero
        fcvt.wu.d a0, fa0               #= a0=0 fcsr=16
        fscsr   zero
        d       fa1, 0xbfe0000000000000         # -0.5
        fcvt.lu.d a0, fa1, rtz          #= a0=0 fcsr=1
        fscsr   zero
        fcvt.lu.d a0, fa1, rdn          #= a0=0 fcsr=16
        fscsr   zero
        d       fa1, 0x7ff8000000000000
        fcvt.w.d a0, fa1, rtz           #= a0=0x7fffffff
        fcvt.wu.d a0, fa1, rtz          #= a0=-1
        fcvt.l.d a0, fa1, rtz           #= a0=0x7fffffffffffffff
        fcvt.lu.d a0, fa1, rtz          #= a0=-1 fcsr=16
        fscsr   zero
        d       fa1, 0xfff0000000000000
        fcvt.w.d a0, fa1, rtz           #= a0=0xffffffff80000000
        fcvt.l.d a0, fa1, rtz           #= a0=0x8000000000000000
        fcvt.wu.d a0, fa1, rtz          #= a0=0 fcsr=16
        fscsr   zero
        d       fa1, 0xc1e0000000000000         # -2^31 fits
        fcvt.w.d a0, fa1, rtz           #= a0=0xffffffff80000000 fcsr=0
        d       fa1, 0xc3e0000000000000         # -2^63 fits
        fcvt.l.d a0, fa1, rtz           #= a0=0x8000000000000000 fcsr=0
        d       fa1, 0x41e0000000000000         # 2^31
        fcvt.w.d a0, fa1, rtz           #= a0=0x7fffffff fcsr=16
        fscsr   zero
        fcvt.wu.d a0, fa1, rtz          #= a0=0xffffffff80000000 fcsr=0
        li      t0, 0x4f000000
        fmv.w.x fa2, t0                         # 2^31
        fcvt.w.s a0, fa2, rtz           #= a0=0x7fffffff fcsr=16
        fscsr   zero
        fcvt.l.s a0, fa2, rtz           #= a0=0x80000000
        fcvt.wu.s a0, fa2, rtz          #= a0=0xffffffff80000000
        fcvt.lu.s a0, fa2, rtz          #= a0=0x80000000 fcsr=0
        fmv.d.x fa3, t0                         # no boxed single: NaN
        fcvt.w.s a0, fa3, rtz           #= a0=0x7fffffff fcsr=16
        fscsr   zero
# ---- from integers
        li      a0, -1
        fcvt.d.w ft0, a0                #= ft0=0xbff0000000000000
        fcvt.d.wu ft0, a0               #= ft0=0x41efffffffe00000
        fcvt.d.l ft0, a0                #= ft0=0xbff0000000000000 fcsr=0
        fcvt.d.lu ft0, a0               #= ft0=0x43f0000000000000 fcsr=1
        fcvt.d.lu ft0, a0, rtz          #= ft0=0x43efffffffffffff
        fcvt.s.w ft0, a0                #= ft0=0xffffffffbf800000
        fcvt.s.wu ft0, a0               #= ft0=0xffffffff4f800000
        fcvt.s.wu ft0, a0, rdn          #= ft0=0xffffffff4f7fffff
        fcvt.s.l ft0, a0                #= ft0=0xffffffffbf800000
        fcvt.s.lu ft0, a0               #= ft0=0xffffffff5f800000
        fscsr   zero
# ---- between floats
        d       fa0, 0x3ff0000010000000         # a tie between singles
        fcvt.s.d ft0, fa0               #= ft0=0xffffffff3f800000 fcsr=1
        fcvt.s.d ft0, fa0, rup          #= ft0=0xffffffff3f800001
        fcvt.s.d ft0, fa0, rmm          #= ft0=0xffffffff3f800001
        fcvt.d.s ft1, ft0               #= ft1=0x3ff0000020000000
        fscsr   zero
        d       fa1, 0x7ff4000000000000
        fcvt.s.d ft0, fa1               #= ft0=0xffffffff7fc00000 fcsr=16
        fscsr   zero
        d       fa1, 0x47efffffffffffff         # overflows a single
        fcvt.s.d ft0, fa1               #= ft0=0xffffffff7f800000 fcsr=5
        fcvt.s.d ft0, fa1, rtz          #= ft0=0xffffffff7f7fffff fcsr=5
        fscsr   zero
        d       fa2, 0x3f0ffffffffffff0         # rounds to the smallest normal half
        fcvt.h.d ft2, fa2               #= ft2=0xffffffffffff0400 fcsr=1
        fscsr   zero
        fcvt.s.h ft3, ft2               #= ft3=0xffffffff38800000
        fcvt.d.h ft3, ft2               #= ft3=0x3f10000000000000
        fcvt.h.s ft4, ft3               #= ft4=0xffffffffffff7e00 fcsr=0
        li      a0, -2
        fmv.h.x ft5, a0                 #= ft5=0xfffffffffffffffe
        fmv.x.h a1, ft5                 #= a1=-2
        csrrsi  a0, fflags, 5           #= a0=0 fcsr=5
        csrrci  a0, fflags, 1           #= a0=5 fcsr=4
        li      a1, 0xff
        csrrw   a0, fcsr, a1            #= a0=4 fcsr=0xff
        csrrs   a0, frm, zero           #= a0=7
        fscsr   zero
