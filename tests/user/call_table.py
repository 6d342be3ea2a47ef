#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every system call that Linux 6.12 offers to our guests has a row in src/user/syscalls.def, under its name
and with its number: nothing is silently absent. The numbers come from the kernel headers installed here
and, for calls newer than those, from the list below."""
import re
import shutil
import subprocess

from support import ROOT, check, finish

# up to 6.12, where the headers may be older; the same number in every column
NEWER = {'cachestat': 451, 'fchmodat2': 452, 'map_shadow_stack': 453, 'futex_wake': 454, 'futex_wait': 455,
         'futex_requeue': 456, 'statmount': 457, 'listmount': 458, 'lsm_get_self_attr': 459,
         'lsm_set_self_attr': 460, 'lsm_list_modules': 461, 'mseal': 462}
COLUMNS = {  # number in the row: the compiler and header that know
    0: [('aarch64-linux-gnu-gcc', 'asm/unistd.h'), ('riscv64-linux-gnu-gcc', 'asm/unistd.h')],
    1: [('gcc', 'asm/unistd_64.h')],
    2: [('gcc', 'asm/unistd_32.h')],
}
# rows that share a name in the headers but not in what they take
RENAMED = {(2, 'select'): 'oldselect', (2, 'mmap'): 'old_mmap'}


def rows():
    text = (ROOT / 'src/user/syscalls.def').read_text()
    for m in re.finditer(r'^(CALL|DENY)\((\w+), *(-?\d+), *(-?\d+), *(-?\d+), *(.*)\)$', text, re.M):
        yield m[2], tuple(int(m[i]) for i in (3, 4, 5)), m[1] == 'DENY', m[6]


def header(compiler, name):
    """The __NR_ macros of a header, evaluated."""
    source = f'#include <{name}>\n'
    macros = subprocess.run([compiler, '-E', '-dM', '-'], input=source, text=True, capture_output=True, check=True)
    names = set(re.findall(r'^#define __NR_(\w+) ', macros.stdout, re.M)) - {'syscalls', 'arch_specific_syscall'}
    lines = ''.join(f'@{n} = __NR_{n}\n' for n in sorted(names))
    values = subprocess.run([compiler, '-E', '-P', '-'], input=source + lines, text=True, capture_output=True,
                            check=True)
    for m in re.finditer(r'^@(\w+) = ([\d ()+]+)$', values.stdout, re.M):
        yield m[1], eval(m[2])  # a number, or a sum of two


table = list(rows())
by_name = {name: numbers for name, numbers, _, _ in table}
check(len(table) == len(by_name), 'a name has two rows')
check(len(table) > 450, f'only {len(table)} rows read')
for column in COLUMNS:
    seen = {}
    for name, numbers, _, _ in table:
        if numbers[column] >= 0:
            check(numbers[column] not in seen, f'column {column}: {numbers[column]} is {seen.get(numbers[column])} and {name}')
            seen[numbers[column]] = name
    for name, number in NEWER.items():
        check(seen.get(number) == name, f'column {column}: {number} is not {name}')
known = 0
for column, sources in COLUMNS.items():
    for compiler, name in sources:
        if not shutil.which(compiler):
            print(f'{compiler} is not installed: its header is not compared')
            continue
        for call, number in header(compiler, name):
            known += 1
            row = RENAMED.get((column, call), call)
            have = by_name.get(row, (None,) * 3)[column]
            check(have == number, f'{compiler} {name}: {call} is {number}, the row has {have}')
check(known > 800, f'headers name only {known} calls')
for name, _, deny, rest in table:
    check(not deny or re.fullmatch(r'"[^"]{10,}"', rest), f'{name}: ENOSYS without a reason')
finish()
