#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The shell scripts parse, and Python scripts compile."""
import pathlib
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parents[2]
bad = 0
shell = [root / n for n in ('run', 'check', 'configure', 'tools/need', 'tools/guest', 'tools/guest.init',
                          'tools/rhea-binfmt')]
for path in shell + sorted((root / 'tests').rglob('*.sh')):
    p = subprocess.run(['sh', '-n', path], stderr=subprocess.PIPE, check=False)
    if p.returncode:
        print(f'{path}: {p.stderr.decode().strip()}')
        bad = 1
for path in sorted([*(root / 'tests').rglob('*.py'), *(root / 'tools').rglob('*.py')]):
    try:
        compile(path.read_text(), str(path), 'exec')
    except SyntaxError as e:
        print(f'{path}:{e.lineno}: {e.msg}')
        bad = 1
sys.exit(bad)
