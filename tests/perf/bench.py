#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure Rhea against Debian's QEMU and the bare host: CPU time, interleaved runs, medians.

Three tables. "boot": CPU seconds of the emulator until the guest's kernel starts its first process,
and its resident memory then. "programs": CPU seconds that the emulator's process uses while a guest
program works (read at marks that the program writes to the serial line), beside the program run as
a process of the host. A guest's checksum that differs from the host's is a failure. "scaling": two
programs at once on two processors against one of them alone, in time on the clock and in CPU time:
2.00 is twice the work. The clock only counts on a host that is idle.
"""
import argparse
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import time

import benchlib
from benchlib import HERE, MARK, ROOT, WORK, Trouble, build_programs, median, tool

# name, rounds, kind as in the goals; libm's checksum is of a sum that CPU features may change
PROGRAMS = [
    ('integer', 2500, 'integer'), ('hash', 200000, 'integer'), ('fib', 37, 'calls'),
    ('interp', 60000, 'indirect jumps'), ('sort', 12, 'callbacks'), ('lz', 16, 'compression'),
    ('memory', 16, 'memory'), ('nbody', 600000, 'floating point'),
    ('mandel', 1000, 'floating point'), ('libm', 600000, 'floating point'),
    ('x87', 4000000, 'floating point'), ('simd', 300, 'SSE'), ('simdint', 5000, 'SSE'),
    ('syscall', 400000, 'system'), ('fork', 800, 'system'), ('exec', 250, 'system'),
    ('pipe', 4000, 'system'),
]
# of the programs above, with two processors: name, rounds
SCALING = [('integer', 6000), ('fib', 39), ('lz', 32), ('memory', 32), ('syscall', 800000), ('fork', 1200),
           ('pipe', 8000)]
INTEGER_KINDS = ('integer', 'calls', 'indirect jumps', 'callbacks', 'compression', 'memory')
FLOAT_KINDS = ('floating point', 'SSE')
GROUPS = [('integer programs', INTEGER_KINDS), ('floating point and SSE', FLOAT_KINDS),
          ('system programs', ('system',))]


def build_initrd(programs, names):
    out = WORK / 'initrd.cpio'
    tool(ROOT / 'tools/guest', 'initrd')  # leaves busybox beside it
    cache = pathlib.Path(os.environ.get('RHEA_CACHE', ROOT / 'build/guest'))
    adds = [x for n in names for x in ('--add', f'{programs / n}:/bench/{n}')]
    tool(ROOT / 'tools/mkinitrd.py', '--busybox', cache / 'busybox', '--init', HERE / 'bench.init',
         *adds, out)
    return out


class Machine:
    """An emulator whose serial line is a pair of pipes."""

    def __init__(self, argv):
        self.p = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, cwd=ROOT,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.text = ''

    def cpu(self):
        """CPU seconds of all threads, ended ones too (the process's CPU clock, in ns)."""
        return time.clock_gettime((~self.p.pid << 3) | 2)

    def resident(self):
        with open(f'/proc/{self.p.pid}/status', encoding='ascii') as f:
            return int(re.search(r'VmRSS:\s+(\d+)', f.read())[1]) / 1024

    def expect(self, pattern, seconds):
        """Waits for the pattern, forgets what was before its end."""
        end = time.monotonic() + seconds
        while True:
            m = re.search(pattern, self.text, re.M)
            if m:
                self.text = self.text[m.end():]
                return m
            left = end - time.monotonic()
            if left <= 0:
                raise Trouble(f'no answer in {seconds:.0f} s')
            if select.select([self.p.stdout], [], [], left)[0]:
                data = os.read(self.p.stdout.fileno(), 65536)
                if not data:
                    raise Trouble(self.last_words())
                self.text += data.decode(errors='replace').replace('\r', '')

    def last_words(self):
        status = self.p.wait()
        last = [l for l in self.text.splitlines() if l.strip()][-1:] or ['']
        how = f'signal {-status}' if status < 0 else f'status {status}'
        return f'ended with {how}: {last[0][:60]}'

    def send(self, text):
        try:
            self.p.stdin.write(text.encode())
            self.p.stdin.flush()
        except OSError:
            raise Trouble('has ended') from None

    def close(self):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGKILL)
        self.p.wait()
        self.p.stdin.close()
        self.p.stdout.close()


class Emulator:
    def __init__(self, name, argv, limit):
        self.name, self.argv, self.limit = name, argv, limit
        self.machine = None

    def command(self, kernel, initrd):
        nic = [] if 'microvm,acpi=off' in self.argv else ['-nic', 'none']
        return [*self.argv, '-m', '512', '-nographic', '-no-reboot', *nic,
                '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 panic=-1']

    def boot(self, kernel, initrd):
        """CPU seconds and resident MiB when the kernel starts its first process."""
        m = Machine(self.command(kernel, initrd))
        try:
            m.expect(r'Run /init as init process', self.limit)
            return m.cpu(), m.resident()
        finally:
            m.close()

    def start(self, kernel, initrd):
        self.machine = Machine(self.command(kernel, initrd))
        self.machine.expect(r'^@ready$', self.limit)

    def stop(self):
        if self.machine:
            self.machine.close()
        self.machine = None

    def program(self, name, count, kernel, initrd):
        """CPU seconds of the emulator, the guest's own user+system time, and the checksum."""
        try:
            if not self.machine:
                self.start(kernel, initrd)
            m = self.machine
            m.send(f'{name} {count}\n')
            m.expect(rf'^@start {name}$', self.limit)
            before = m.cpu()
            got = m.expect(rf'^(?:@stop {name} (\w+) ([\d.]+) ([\d.]+)|@failed {name})$', self.limit)
            after = m.cpu()
            if not got[1]:
                raise Trouble('the program failed in the guest')
            return after - before, float(got[2]) + float(got[3]), got[1]
        except Trouble:
            self.stop()
            raise


    def copies(self, name, count, copies, kernel, initrd):
        """Seconds on the clock and CPU seconds of so many copies of a program at once."""
        if not self.machine:
            self.start(kernel, initrd)
        m = self.machine
        m.send(f'{name} {count} {copies}\n')
        m.expect(rf'^@begin {name}$', self.limit)
        cpu, clock = m.cpu(), time.monotonic()
        got = m.expect(rf'^@end {name} (\d+)$', self.limit)
        if got[1] != '1':
            raise Trouble(f'{copies} copies of {name} made {got[1]} results')
        return time.monotonic() - clock, m.cpu() - cpu


def native(programs, name, count):
    p = subprocess.run([programs / name, str(count)], stdout=subprocess.PIPE, check=False)
    m = MARK.search(p.stdout.decode())
    if p.returncode or not m:
        sys.exit(f'bench: the program {name} fails on the host')
    return float(m[2]) + float(m[3]), m[1]


def measure_boot(emulators, runs, kernel, initrd):
    cpu, memory, troubles = {}, {}, {}
    for _ in range(runs):
        for e in emulators:
            if e.name in troubles:
                continue
            try:
                c, r = e.boot(kernel, initrd)
            except Trouble as t:
                troubles[e.name] = str(t)
                continue
            cpu.setdefault(e.name, []).append(c)
            memory.setdefault(e.name, []).append(r)
    print('boot to the first process    CPU s     resident MiB')
    for e in emulators:
        if e.name in troubles:
            print(f'  {e.name:<24} {troubles[e.name]}')
        else:
            print(f'  {e.name:<24} {median(cpu[e.name]):8.2f} {median(memory[e.name]):10.0f}')
    print(flush=True)
    return {e.name: {'cpu_s': median(cpu.get(e.name)), 'resident_mib': median(memory.get(e.name)),
                     'trouble': troubles.get(e.name)} for e in emulators}


def measure_program(emulators, programs, row, runs, kernel, initrd):
    name, count, _ = row
    times, guests, troubles = {'native': []}, {}, {}
    for _ in range(runs):
        t, checksum = native(programs, name, count)
        times['native'].append(t)
        for e in emulators:
            if e.name in troubles:
                continue
            try:
                t, guest, got = e.program(name, count, kernel, initrd)
                if got != checksum:
                    raise Trouble(f'WRONG RESULT {got}, not {checksum}')
            except Trouble as trouble:
                troubles[e.name] = str(trouble)
                continue
            times.setdefault(e.name, []).append(t)
            guests.setdefault(e.name, []).append(guest)
    return ({k: median(v) for k, v in times.items()}, {k: median(v) for k, v in guests.items()},
            troubles)


def measure_scaling(emulators, rows, runs, kernel, initrd):
    print('two at once on -smp 2' + ''.join(f'{e.name + " clock":>14}{"CPU":>7}' for e in emulators))
    results = []
    for name, count in rows:
        line, result = f'  {name:<19}', {'name': name}
        for e in emulators:
            try:
                got = [[e.copies(name, count, n, kernel, initrd) for n in (1, 2)] for _ in range(runs)]
            except Trouble as t:
                e.stop()
                line += f'   {t}'
                continue
            clock, cpu = ([median([g[n][k] for g in got]) for n in (0, 1)] for k in (0, 1))
            result[e.name] = {'clock': 2 * clock[0] / clock[1], 'cpu': 4 * cpu[0] / cpu[1]}
            line += f'{result[e.name]["clock"]:14.2f}{result[e.name]["cpu"]:7.2f}'
        print(line, flush=True)
        results.append(result)
    print()
    return results


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument('--runs', type=int, default=3, help='runs of each, interleaved [3]')
    ap.add_argument('--only', action='append', metavar='NAME', help='this program (repeatable); "boot", "microvm", "scaling"')
    ap.add_argument('--emulator', default=str(ROOT / 'build/rhea-system-x86_64'), metavar='PATH')
    ap.add_argument('--qemu', default='qemu-system-x86_64', metavar='PATH', help='"none" leaves it out')
    ap.add_argument('--options', default='', help='more options for Rhea, separated by blanks')
    ap.add_argument('--flavour', default='cloud', choices=('cloud', 'amd64'), help="Debian's kernel")
    ap.add_argument('--limit', type=float, default=120, metavar='SECONDS', help='for each step')
    ap.add_argument('--scale', type=float, default=1, help='multiplies the rounds of the programs')
    ap.add_argument('--json', metavar='FILE', help='also write the figures there')
    a = ap.parse_args()
    known = [p[0] for p in PROGRAMS] + ['boot', 'microvm', 'scaling']
    for name in a.only or ():
        if name not in known:
            ap.error(f'no program is called {name!r}; there are {", ".join(known)}')
    return a


def main():
    a = options()
    rows = [p for p in PROGRAMS if not a.only or p[0] in a.only]
    names = [p[0] for p in rows]
    if not a.only or 'scaling' in a.only:
        names += [n for n, _ in SCALING if n not in names]
    programs = build_programs(names)
    kernel, initrd = tool(ROOT / 'tools/guest', a.flavour), tool(ROOT / 'tools/guest', 'initrd')
    emulators = [Emulator('rhea', [a.emulator, *a.options.split()], a.limit)]
    if a.qemu != 'none':
        emulators.insert(0, Emulator('qemu', [a.qemu, '-accel', 'tcg'], a.limit))
    print(f'host: {benchlib.host_name()}; kernel {pathlib.Path(kernel).name}; median of {a.runs}\n')
    boot = None
    if not a.only or 'boot' in a.only:
        boot = measure_boot(emulators, a.runs, kernel, initrd)
    if not a.only or 'microvm' in a.only:
        # without ACPI: with it, Linux finds no clock in QEMU's microvm under translation and stands still
        print('-machine microvm,acpi=off')
        least = [Emulator(e.name, [*e.argv, '-M', 'microvm,acpi=off'], a.limit) for e in emulators]
        measure_boot(least, a.runs, kernel, initrd)
    results, scaling = [], None
    bench_initrd = build_initrd(programs, names)
    if not a.only or 'scaling' in a.only:
        pairs = [Emulator(e.name, [*e.argv, '-smp', '2'], a.limit) for e in emulators]
        scaling = measure_scaling(pairs, [(n, max(1, int(c * a.scale)) if n != 'fib' else c) for n, c in SCALING],
                                  a.runs, kernel, bench_initrd)
        for e in pairs:
            e.stop()
    if rows:
        benchlib.print_head([e.name for e in emulators])
        for name, count, kind in rows:
            if name != 'fib':
                count = max(1, int(count * a.scale))
            row = (name, count, kind)
            times, guests, troubles = measure_program(emulators, programs, row, a.runs, kernel,
                                                      bench_initrd)
            benchlib.print_row([e.name for e in emulators], row, times, troubles)
            results.append({'name': name, 'kind': kind, 'times': times, 'guest': guests,
                            'troubles': troubles})
        benchlib.print_summary([e.name for e in emulators], results, GROUPS)
    for e in emulators:
        e.stop()
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps({'boot': boot, 'programs': results, 'scaling': scaling}, indent=1))
    bad = any(r['troubles'].get('rhea') for r in results) or bool(boot and boot['rhea']['trouble'])
    return bad


sys.exit(main())
