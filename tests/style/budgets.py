#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sizes and habits that STYLE sets: lines per file, header and function, columns, SPDX lines.

Exceptions are named in tests/style/exceptions: "KIND PATH [FUNCTION]  # why".
"""
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parents[2]
FILE, HEADER, FUNCTION, COLUMNS, FILE_COMMENT = 1000, 250, 60, 100, 15
bad = 0
exceptions = set()
for line in (root / 'tests/style/exceptions').read_text().splitlines():
    words = line.split('#')[0].split()
    if words:
        exceptions.add(tuple(words))
used = set()


def complain(kind, path, text, function=None):
    global bad
    key = (kind, str(path)) + ((function,) if function else ())
    if key in exceptions:
        used.add(key)
        return
    print(f'{path}: {text}')
    bad = 1


def functions(lines):
    """(name, first line, length) of each function body: the style puts its braces in column 0."""
    start = None
    for n, line in enumerate(lines):
        if line == '{':
            start = n
        elif line == '}' and start is not None:
            head = n0 = start
            while head > 0 and lines[head - 1].strip() and not lines[head - 1].startswith(('}', '/*', ' */', '#')):
                head -= 1
            m = re.search(r'(\w+)\s*\(', ' '.join(lines[head:n0]))
            yield (m[1] if m else '?'), start + 1, n - start - 1
            start = None


def check_c(path, rel, lines):
    limit, kind = (HEADER, 'header') if path.suffix == '.h' else (FILE, 'file')
    if len(lines) > limit:
        complain(kind, rel, f'{len(lines)} lines, more than {limit}')
    for name, first, length in functions(lines):
        if length > FUNCTION:
            complain('function', rel, f'{first}: {name}() has {length} lines, more than {FUNCTION}',
                     name)
    for n, line in enumerate(lines, 1):
        if len(line) > COLUMNS and path.suffix != '.def':  # .def files are tables
            complain('columns', rel, f'{n}: {len(line)} columns, more than {COLUMNS}')
        if '\t' in line:
            complain('tabs', rel, f'{n}: a tab')
        if re.search(r'\b(TODO|FIXME|XXX)\b(?!.*#\d)', line):
            complain('todo', rel, f'{n}: a TODO without an issue number')
    if len(lines) > 1 and lines[1] == '/*':
        end = next((i for i, l in enumerate(lines) if l.strip() == '*/'), 0)
        if end - 2 > FILE_COMMENT:
            complain('comment', rel, f'file comment of {end - 2} lines, more than {FILE_COMMENT}')


listed = subprocess.run(['git', 'ls-files', '-co', '--exclude-standard'], cwd=root,
                        stdout=subprocess.PIPE, check=False).stdout.decode().splitlines()
if not listed:  # a source tree without git
    listed = [str(p.relative_to(root)) for d in ('src', 'tests', 'tools') for p in (root / d).rglob('*')]
for rel in sorted(listed):
    path = root / rel
    if not path.is_file():
        continue
    is_c = path.suffix in ('.c', '.h', '.def')
    is_script = path.suffix in ('.py', '.sh', '.S') or path.name in ('meson.build', 'Makefile') or \
        rel in ('run', 'check', 'configure', '.ci/run')
    if not is_c and not is_script:
        continue
    lines = path.read_text(errors='replace').splitlines()
    if not any('SPDX-License-Identifier: GPL-2.0-or-later' in l for l in lines[:3]):
        complain('spdx', rel, 'no SPDX line at the top')
    if is_c:
        check_c(path, rel, lines)
for key in sorted(exceptions - used):
    print(f'tests/style/exceptions: {" ".join(key)} is no longer needed')
    bad = 1
sys.exit(bad)
