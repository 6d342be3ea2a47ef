#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""clang-format has nothing to change ("make format" applies it)."""
import pathlib
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parents[2]
files = sorted(str(p.relative_to(root)) for d in ('src', 'tests') for p in (root / d).rglob('*.[ch]'))
if not files:
    sys.exit(0)
p = subprocess.run(['clang-format', '--dry-run', '-Werror', *files], cwd=root,
                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
places = {}
for line in p.stdout.decode(errors='replace').splitlines():
    if 'clang-format-violations' in line:
        name, number = line.split(':')[:2]
        places.setdefault(name, []).append(number)
for name, numbers in places.items():
    print(f'{name}: {len(numbers)} places differ from clang-format, first line {numbers[0]}')
sys.exit(p.returncode != 0)
