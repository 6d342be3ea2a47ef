#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Random FP, SIMD and cryptographic instructions of A64 (a64_vec.c) under Rhea, against qemu-aarch64.

a64_vec.py RHEA-AARCH64 SOURCE TABLE... [--seed N] [--count N]
Exits 77 (skipped) where the cross compiler or qemu-aarch64 is not installed. Differences are errors
but for the ones explained below."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

# (accelerator, sequence length, FPCR, flags set and read, share of the count)
RUNS = [('tcg', 1, 0, 1, 2), ('tcg', 1, 0, 0, 1), ('tcg', 6, 0, 1, 1), ('interp', 1, 0, 1, 1),
        ('interp', 6, 0, 0, 1), ('tcg', 1, 0x400000, 1, 1), ('tcg', 1, 0x800000, 0, 1),
        ('tcg', 1, 0xc00000, 1, 1), ('tcg', 1, 0x1000000, 1, 1), ('tcg', 1, 0x1000000, 0, 1),
        ('tcg', 1, 0x2000000, 0, 1), ('tcg', 2, 0x7880000, 1, 1), ('interp', 1, 0x3480000, 0, 1)]

# Explained: where qemu-aarch64 7.2 does not do what the manual says. Mask, value of a word, why.
EXPLAINED = [
    (0xfffffc00, 0x1e7e0000, 'FJCVTZS: a denormal that FZ flushes is not exact: FPToFixedJS sets Z to 0'),
    (0xbff8fc00, 0x2f00fc00, 'FMOV of halves with op = 1 is unallocated (C4.1.96)'),
]


def rows_of(tables):
    for path in tables:
        for line in open(path, encoding='utf-8'):
            m = re.match(r'(\S+)\s+(\S+)\s+(\S+)\s+([01. ]+?)\s*"', line)
            if m and m[1] not in ('field', 'format') and not m[1].endswith('_lit'):
                bits = m[4].replace(' ', '')
                mask = int(bits.replace('0', '1').replace('.', '0'), 2)
                yield f"{m[1]} {mask:x} {int(bits.replace('.', '0'), 2):x}\n"


def explained(line):
    words = [int(w, 16) for w in line.split(':')[0].split()[1:]]
    return any(w & mask == value for w in words for mask, value, _ in EXPLAINED)


def compare(args, program, rows, run):
    accel, length, fpcr, flags, share = run
    params = [rows, str(args.seed), str(args.count * share), str(length), hex(fpcr), str(flags)]
    out = []
    for command in ([args.qemu, '-cpu', 'max'], [args.rhea, '-cpu', 'max', '-accel', accel]):
        done = subprocess.run(command + [program] + params, capture_output=True, text=True, timeout=120)
        out.append(done.stdout.splitlines())
        if done.returncode or done.stderr:
            print(f"{' '.join(command)} {' '.join(params)}: status {done.returncode} {done.stderr}")
            return 1
    bad = [(a, b) for a, b in zip(*out) if a != b and not explained(a)]
    print(f"{accel} length {length} fpcr {fpcr:#x} flags {flags}: {len(out[0])} sequences, {len(bad)} differ")
    for a, b in bad[:5]:
        print(f"  qemu: {a}\n  rhea: {b}")
    return len(bad) + abs(len(out[0]) - len(out[1]))


def main():
    p = argparse.ArgumentParser()
    p.add_argument('rhea')
    p.add_argument('source')
    p.add_argument('tables', nargs='+')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--count', type=int, default=2)
    args = p.parse_args()
    args.qemu = shutil.which('qemu-aarch64') or shutil.which('qemu-aarch64-static')
    cc = shutil.which('aarch64-linux-gnu-gcc')
    if not args.qemu or not cc:
        print('needs aarch64-linux-gnu-gcc and qemu-aarch64')
        return 77
    with tempfile.TemporaryDirectory() as tmp:
        program, rows = os.path.join(tmp, 'vec'), os.path.join(tmp, 'rows')
        subprocess.run([cc, '-O2', '-static', '-o', program, args.source], check=True)
        with open(rows, 'w', encoding='utf-8') as f:
            f.writelines(rows_of(args.tables))
        return 1 if sum(compare(args, program, rows, r) for r in RUNS) else 0


sys.exit(main())
