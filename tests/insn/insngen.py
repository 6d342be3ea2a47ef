#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The instruction table's generator: what it must refuse, with which words, and what it must accept."""
import pathlib
import subprocess
import sys
import tempfile

GEN = pathlib.Path(__file__).resolve().parents[2] / 'tools' / 'x86insngen.py'
HEAD = '%feature sse=0.25 sse2=0.26\n'
CASES = [   # name, table, text expected in the error or None
    ('ok_plain', '00 MR rb rb add -/oszapc lock\n01 MR rv rv add -/oszapc lock\n', None),
    ('ok_prefixes', 'NP.0F58 RM xx xx addps - sse\n66.0F58 RM xx xx addpd - sse2\n', None),
    ('ok_mod', '0F12 RM xq mq movlps - sse\n0F12 RU xx xx movhlps - sse\n', None),
    ('ok_else', 'N3.0FBC RM rv rv bsf -/z\nF3.0FBC RM rv rv tzcnt -/zc sse else=bsf\n', None),
    ('ok_vex', 'VEX.128.66.0FFE RVM xx xx xx vpaddd - sse2\n66.0FFE RM xx xx paddd - sse2\n', None),
    ('err_overlap', '0FBC RM rv rv bsf -/z\nF3.0FBC RM rv rv tzcnt -/zc\n', 'tzcnt overlaps bsf (line 2)'),
    ('err_overlap_range', '50..57 O rv push_v -\n52 - other -\n', 'other overlaps push_v (line 2)'),
    ('err_overlap_ext', '80/0 MI rb ib add -\n80 MI rb ib or -\n', 'or overlaps add (line 2)'),
    ('err_opcode', '0x12 - nop -\n', "bad opcode '0x12'"),
    ('err_type', '00 MR rk rb add -\n', "unknown operand type 'rk'"),
    ('err_enc', '00 MQ rb rb add -\n', "unknown operand encoding 'Q'"),
    ('err_columns', '00 MR rb rb\n', 'too few columns'),
    ('err_operands', '00 M rb rb add -/c lock\n', "unknown attribute or feature '-/c'"),
    ('err_flag', '00 MR rb rb add -/xyz\n', "unknown flag in 'xyz'"),
    ('err_flag_twice', '00 MR rb rb add -/c/c\n', 'both written and undefined'),
    ('err_feature', '00 MR rb rb add - avx512\n', "unknown attribute or feature 'avx512'"),
    ('err_else', '00 MR rb rb add - else=sub\n', 'else=sub: no such line for this opcode'),
]

failed = 0
for name, table, want in CASES:
    with tempfile.NamedTemporaryFile('w', suffix='.insn') as f:
        f.write(HEAD + table)
        f.flush()
        p = subprocess.run([sys.executable, GEN, 'tables', f.name], capture_output=True, text=True, check=False)
    good = p.returncode == 0 if want is None else p.returncode == 1 and want in p.stderr
    if not good:
        failed += 1
        print(f'FAIL {name}: status {p.returncode}, expected {want!r}, got: {p.stderr.strip()[-300:]}')
print(f'{len(CASES) - failed} passed, {failed} failed')
sys.exit(failed != 0)
