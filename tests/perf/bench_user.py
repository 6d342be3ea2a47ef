#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure Rhea's user mode against Debian's qemu-user and the bare host.

Each program of programs/ is compiled three times from the same source with the same options: for
the host, and for the guest by Debian's cross compiler. CPU time (user and system, children too) of
the process, runs interleaved, medians. A guest's checksum that differs from the host's is a failure.
"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys

import benchlib
from benchlib import MARK, ROOT, Trouble, geomean, median, number, ratio

# name, rounds, kind (rows of TRANSLATOR.md's table), compiler options
# without contraction, so that all compute the same; the vectors are exact either way
O2, O3 = ('-O2', '-ffp-contract=off'), ('-O3',)
PROGRAMS = [
    ('integer', 8000, 'integer', O2), ('hash', 600000, 'integer', O2), ('fib', 38, 'calls', O2),
    ('interp', 150000, 'indirect jumps', O2), ('sort', 40, 'callbacks', O2),
    ('lz', 50, 'compression', O2), ('memory', 50, 'memory', O2),
    ('nbody', 2000000, 'floating point', O2), ('mandel', 2000, 'floating point', O2),
    ('libm', 1500000, 'floating point', O2), ('matmul', 60, 'SIMD', O3),
    ('vector', 8000, 'SIMD', O3), ('simdauto', 2000, 'SIMD', O3),
    ('syscall', 1000000, 'system calls', O2), ('fork', 800, 'fork, exec', O2),
    ('exec', 250, 'fork, exec', O2), ('start', 0, 'start', O2),
]
COMPUTE = ('integer', 'calls', 'indirect jumps', 'callbacks', 'compression', 'memory',
           'floating point', 'SIMD')
GROUPS = [('compute rows', COMPUTE), ('floating point and SIMD', ('floating point', 'SIMD')),
          ('calls and interpreters', ('calls', 'indirect jumps', 'callbacks')),
          ('system calls', ('system calls',)), ('fork and exec', ('fork, exec',)),
          ('start', ('start',))]
COMPILERS = {'aarch64': 'aarch64-linux-gnu-gcc', 'riscv64': 'riscv64-linux-gnu-gcc',
             'x86_64': 'gcc'}
STARTS = 100


def cpu_of(argv, limit):
    """CPU seconds of the command and its children, and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        p = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise Trouble(f'not done in {limit:.0f} s') from None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = p.stdout.decode(errors='replace')
    if p.returncode:
        last = ([l for l in out.splitlines() if l.strip()] or [''])[-1]
        raise Trouble(f'status {p.returncode}: {last[:60]}')
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, out


def one(runner, binary, row, limit):
    """CPU seconds and checksum of one run (the start row: milliseconds of wall time are no matter,
    CPU seconds of many starts)."""
    if row[2] == 'start':
        return sum(cpu_of([*runner, binary], limit)[0] for _ in range(STARTS)), 'ended'
    t, out = cpu_of([*runner, binary, row[1]], limit)
    m = MARK.search(out)
    if not m:
        raise Trouble('no result line')
    return t, m[1]


def measure(runners, binaries, row, a):
    times, troubles, checksum = {}, {}, None
    for _ in range(a.runs):
        for name, runner in runners.items():
            if name in troubles:
                continue
            try:
                t, got = one(runner, binaries[name], row, a.limit)
                if name == 'native':
                    checksum = got
                elif got != checksum:
                    raise Trouble(f'WRONG RESULT {got}, not {checksum}')
            except Trouble as trouble:
                if name == 'native':
                    sys.exit(f'bench: {row[0]} fails on the host: {trouble}')
                troubles[name] = str(trouble)
                continue
            times.setdefault(name, []).append(t)
    return {k: median(v) for k, v in times.items()}, troubles


def build(guest, rows):
    native, there = {}, {}
    for name, _, _, flags in rows:
        tag = ''.join(flags)
        native[name] = benchlib.build_programs([name], 'gcc', flags, f'native{tag}') / name
        there[name] = benchlib.build_programs([name], COMPILERS[guest], flags,
                                              f'{guest}{tag}') / name
    return native, there


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument('--guest', action='append', choices=sorted(COMPILERS), help='[aarch64, riscv64]')
    ap.add_argument('--runs', type=int, default=3, help='runs of each, interleaved [3]')
    ap.add_argument('--only', action='append', metavar='NAME', help='this program (repeatable)')
    ap.add_argument('--rhea', metavar='PATH', help='[build/rhea-GUEST]')
    ap.add_argument('--qemu', metavar='PATH', help='[qemu-GUEST]; "none" leaves it out')
    ap.add_argument('--limit', type=float, default=300, metavar='SECONDS', help='for each run')
    ap.add_argument('--scale', type=float, default=1, help='multiplies the rounds of the programs')
    ap.add_argument('--json', metavar='FILE', help='also write the figures there')
    a = ap.parse_args()
    known = [p[0] for p in PROGRAMS]
    for name in a.only or ():
        if name not in known:
            ap.error(f'no program is called {name!r}; there are {", ".join(known)}')
    return a


def bench_guest(guest, a):
    rows = [p for p in PROGRAMS if not a.only or p[0] in a.only]
    native, there = build(guest, rows)
    rhea = pathlib.Path(a.rhea or ROOT / f'build/rhea-{guest}')
    static = pathlib.Path(f'{rhea}-static')
    qemu = shutil.which(a.qemu or f'qemu-{guest}') if a.qemu != 'none' else None
    runners = {'native': []}
    if qemu:
        runners['qemu'] = [qemu]
    runners['rhea'] = [rhea]
    names = [n for n in runners if n != 'native']
    print(f'\nguest {guest}; host {benchlib.host_name()}; median of {a.runs}\n')
    benchlib.print_head(names)
    results = []
    for name, count, kind, _ in rows:
        if name != 'fib':
            count = max(1, int(count * a.scale))
        row = (name, count, kind)
        if kind == 'start' and static.exists() and not a.rhea:
            runners = {**runners, 'rhea': [static]}
        binaries = {n: there[name] for n in names}
        binaries['native'] = native[name]
        times, troubles = measure(runners, binaries, row, a)
        benchlib.print_row(names, row, times, troubles)
        results.append({'name': name, 'kind': kind, 'times': times, 'troubles': troubles})
        if kind == 'start' and times.get('rhea'):
            print(f'{"":10}one start: ' + ', '.join(
                f'{n} {times[n] / STARTS * 1000:.2f} ms' for n in runners if times.get(n)))
    benchlib.print_summary(names, results, GROUPS)
    return results


def main():
    a = options()
    os.environ['LC_ALL'] = 'C'
    everything = {g: bench_guest(g, a) for g in a.guest or ('aarch64', 'riscv64')}
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(everything, indent=1))
    return any(r['troubles'].get('rhea') for rows in everything.values() for r in rows)


sys.exit(main())
