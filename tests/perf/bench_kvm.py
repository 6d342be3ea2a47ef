#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure exits from KVM against Debian's QEMU: a guest of our own that does nothing but exit. CPU
microseconds of the emulator for each exit, in the program (user) and in the kernel (system, KVM's
own work included), interleaved runs, medians."""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import benchlib
from benchlib import ROOT, Trouble, median

sys.path.append(str(ROOT / 'tests/kvm'))
from kvm_guests import build  # noqa: E402

KINDS = ['port written', 'port read', 'register in memory read']
EXITS = 100000  # as in tests/kvm/guests/guestexits.c


def cpu_of(argv, image, limit):
    """User and system seconds of one run."""
    before = os.times()
    p = subprocess.run([*argv, '-accel', 'kvm', '-m', '64', '-bios', str(image), '-nographic',
                        '-device', 'isa-debug-exit,iobase=0xf4'], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit, check=False)
    after = os.times()
    if p.returncode != 33 or b'exits done' not in p.stdout:
        raise Trouble(f'{argv[0]}: status {p.returncode}: {p.stdout.decode()} {p.stderr.decode()}')
    return (after.children_user - before.children_user,
            after.children_system - before.children_system)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument('--runs', type=int, default=3, help='runs of each, interleaved [3]')
    ap.add_argument('--emulator', default=str(ROOT / 'build/rhea-system-x86_64'), metavar='PATH')
    ap.add_argument('--qemu', default='qemu-system-x86_64', metavar='PATH')
    ap.add_argument('--limit', type=float, default=120, metavar='SECONDS', help='for each run')
    a = ap.parse_args()
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        print('skipped: /dev/kvm cannot be opened')
        return
    emulators = {'rhea': [a.emulator, '-nic', 'none'], 'qemu': [a.qemu, '-nic', 'none']}
    print(f'host: {benchlib.host_name()}; median of {a.runs}; CPU us for each exit\n')
    print(f'{"":26}{"rhea user":>10}{"system":>8}{"qemu user":>11}{"system":>8}')
    with tempfile.TemporaryDirectory() as d:
        for n, kind in enumerate(KINDS):
            image = build(pathlib.Path(d), 'guestexits', 64, [f'-DKIND={n}'])
            got = {name: [] for name in emulators}
            for _ in range(a.runs):
                for name, argv in emulators.items():
                    got[name].append(cpu_of(argv, image, a.limit))
            us = [median([g[i] for g in got[name]]) / EXITS * 1e6 for name in emulators
                  for i in (0, 1)]
            print(f'{kind:26}{us[0]:10.2f}{us[1]:8.2f}{us[2]:11.2f}{us[3]:8.2f}')


try:
    main()
except Trouble as e:
    sys.exit(f'bench_kvm: {e}')
