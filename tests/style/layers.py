#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every include is "folder/file.h", and src/LAYERS lets the including folder see that folder.

A LAYERS entry is a folder or, as the one exception, a single header ("cpu/intc.h").
"""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parents[2] / 'src'
allow = {}
for line in (root / 'LAYERS').read_text().splitlines():
    if ':' in line:
        name, seen = line.split(':')
        allow[name] = set(seen.split())
bad = 0
for f in sorted([*root.rglob('*.[ch]'), *root.rglob('*.def')]):
    here = f.relative_to(root).parts[0]
    if here not in allow:
        print(f'{f}: src/LAYERS does not know the folder {here}/')
        bad = 1
    for n, line in enumerate(f.read_text(errors='replace').splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not m:
            continue
        folder, _, rest = m[1].partition('/')
        if not rest:
            print(f'{f}:{n}: write "folder/file.h", not "{m[1]}"')
            bad = 1
        elif folder != here and not {folder, m[1]} & allow.get(here, set()):
            print(f'{f}:{n}: {here}/ may not include {m[1]}')
            bad = 1
sys.exit(bad)
