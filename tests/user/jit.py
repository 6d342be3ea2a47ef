#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
"""Programs that make and change code, on translator and interpreter."""
import sys

from support import GUESTS, build, finish, has, program, run

for g in sys.argv[1:] or GUESTS:
    jit = build(g, 'jit.c', 'jit', '-static', '-pthread')
    for accel in ('tcg', 'interp'):
        has(run(program(g), '-accel', accel, jit, timeout=60), 0, 'passed', what=f'{g}, {accel}')
    has(run(program(g), '-B', '0x100000000000', jit, timeout=60), 0, 'passed', what=f'{g}, -B')
finish()
