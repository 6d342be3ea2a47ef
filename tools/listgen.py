#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Make the C list of all records of one kind from the source files that define them.

listgen.py --struct device_type --list device_types --include dev/device.h -o OUT.c SRC...
finds every `const struct device_type NAME = {` at the start of a line and writes

    const struct device_type *const device_types[] = { &NAME, ..., NULL };

The order is that of the sources on the command line, and within one that of its lines.
In a meson.build:

    rhea_sources += custom_target('device_list', input: dev_sources, output: 'device_list.c',
      command: [python, listgen, '--struct', 'device_type', '--list', 'device_types',
                '--include', 'dev/device.h', '-o', '@OUTPUT@', '@INPUT@'])

Records that a macro makes are found with --macro MACRO=%_type: a line MACRO(NAME, ...) defines NAME_type.
Several names of one line are separated by commas.
"""
import argparse
import re
import sys


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--struct', required=True)
    ap.add_argument('--list', required=True)
    ap.add_argument('--include', required=True)
    ap.add_argument('--macro', action='append', default=[])
    ap.add_argument('-o', required=True)
    ap.add_argument('sources', nargs='*')
    a = ap.parse_args()
    alternatives = [r'const struct ' + re.escape(a.struct) + r' (\w+) = \{']
    makes = ['%']
    for m in a.macro:
        macro, names = m.split('=')
        alternatives.append(re.escape(macro) + r'\((\w+)\b')
        makes.append(names)
    pattern = re.compile('^(?:' + '|'.join(alternatives) + ')', re.M)
    names = []
    for path in a.sources:
        if not path.endswith('.c'):
            continue
        with open(path, encoding='utf-8') as f:
            for found in pattern.finditer(f.read()):
                for name in makes[found.lastindex - 1].split(','):
                    names.append(name.replace('%', found[found.lastindex]))
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        sys.exit(f'listgen: defined twice: {", ".join(sorted(twice))}')
    out = ['/* SPDX-License-Identifier: GPL-2.0-or-later */',
           '/* Made by tools/listgen.py. */', f'#include "{a.include}"', '']
    out += [f'extern const struct {a.struct} {n};' for n in names]
    out += ['', f'extern const struct {a.struct} *const {a.list}[];',
            f'const struct {a.struct} *const {a.list}[] = {{']
    out += [f'    &{n},' for n in names] + ['    0,', '};', '']
    with open(a.o, 'w', encoding='utf-8') as f:
        f.write('\n'.join(out))


main()
