#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure rhea-img and rhea-nbd against Debian's qemu-utils on the same files.

On a machine that does other work too, run it by "chrt -r 1" as root, so that nothing waits for others.
Each row is one command line (convert, compare, check, commit, bench) or one client against a server
(nbdcopy, fio), run by both programs in turn; medians. Wall time, CPU time of the process (of the
server, in the NBD rows) and its peak memory. "times" is QEMU's wall time over Rhea's; the last column is the same of CPU time.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import benchlib
from benchlib import ROOT, Trouble, geomean, median, number, ratio

MIB = 1 << 20
QUIET = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.PIPE, 'stdin': subprocess.DEVNULL}


def peak(p):
    """MiB. (ru_maxrss would be that of this script, whose memory the process had before exec.)"""
    try:
        with open(f'/proc/{p.pid}/status', encoding='ascii') as f:
            return next((int(l.split()[1]) / 1024 for l in f if l.startswith('VmHWM:')), 0)
    except OSError:
        return 0


def wait(p, limit):
    """CPU seconds and peak memory of the process when it has ended; it writes no more than a pipe
    holds."""
    end = time.monotonic() + limit
    mib, looked = 0, 0
    while True:
        if time.monotonic() > looked + 0.005:
            mib, looked = max(mib, peak(p)), time.monotonic()
        pid, status, usage = os.wait4(p.pid, os.WNOHANG)
        if pid:
            p.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime, mib
        if time.monotonic() > end:
            p.kill()
            os.wait4(p.pid, 0)
            raise Trouble(f'not done in {limit:.0f} s')
        time.sleep(0.001)


def measured(argv, limit, good=(0,)):
    """(wall s, CPU s, peak MiB) of one run."""
    start = time.monotonic()
    with subprocess.Popen([str(a) for a in argv], **QUIET) as p:
        cpu, mib = wait(p, limit)
        wall = time.monotonic() - start
        out = p.stderr.read().decode(errors='replace')
    if p.returncode not in good:
        last = ([l for l in out.splitlines() if l.strip()] or [''])[-1]
        raise Trouble(f'status {p.returncode}: {last[:70]}')
    return wall, cpu, mib


def run(*argv):
    p = subprocess.run([str(a) for a in argv], **QUIET, check=False)
    if p.returncode:
        sys.exit(f'bench: {argv[0]}: {p.stderr.decode(errors="replace").strip()[-200:]}')


class Files:
    """The images, made once by qemu-img: half random, a quarter text, a quarter holes."""

    def __init__(self, folder, size):
        self.dir, self.size = folder, size
        folder.mkdir(parents=True, exist_ok=True)
        self.raw, self.qcow2 = folder / 'src.raw', folder / 'src.qcow2'
        self.full, self.frag = folder / 'full.qcow2', folder / 'frag.qcow2'
        self.overlay, self.base = folder / 'overlay.qcow2', folder / 'base.qcow2'
        stamp = folder / f'made-{size}'
        if not stamp.exists():
            for old in folder.glob('*'):
                old.unlink()
            self.make()
            stamp.touch()

    def make(self):
        rng = random.Random(1)
        words = [bytes(rng.choices(range(97, 123), k=rng.randrange(2, 10))) for _ in range(2000)]
        text = b' '.join(rng.choices(words, k=200000))
        with open(self.raw, 'wb') as f:
            f.truncate(self.size)
            for n in range(self.size // MIB):
                if n % 4 == 3:
                    continue
                f.seek(n * MIB)
                at = rng.randrange(max(1, len(text) - MIB))
                f.write(os.urandom(MIB) if n % 4 < 2 else text[at:at + MIB])
        run('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', self.raw, self.qcow2)
        run('qemu-img', 'create', '-f', 'qcow2', '-o', 'preallocation=full', self.full, self.size)
        self.scatter(self.frag, None, self.size // 65536)
        run('cp', '--sparse=always', self.qcow2, self.base)
        self.scatter(self.overlay, self.base, self.size // 65536 // 2)

    def scatter(self, path, backing, clusters):
        """Writes in random order, so that neighbours lie far apart."""
        opts = ['-b', backing, '-F', 'qcow2'] if backing else []
        run('qemu-img', 'create', '-f', 'qcow2', *opts, path, self.size)
        order = list(range(self.size // 65536))
        random.Random(2).shuffle(order)
        text = ''.join(f'write -P {1 + n % 200} {n * 65536 + 4096} 8k\n' for n in order[:clusters])
        p = subprocess.run(['qemu-io', '-f', 'qcow2', '-t', 'unsafe', str(path)], check=False,
                           input=text.encode(), stdout=subprocess.DEVNULL)
        if p.returncode:
            sys.exit('bench: qemu-io could not fill ' + path.name)


def image_rows(f, count):
    """name, kind, arguments of PROGRAM-img, what to do before each run."""
    out = f.dir / 'out'

    def fresh():
        out.unlink(missing_ok=True)

    def copy(path):
        def do():
            fresh()
            run('cp', '--sparse=never', path, out)
        return do

    def copy_both():
        run('cp', '--sparse=always', f.qcow2, f.base)  # a commit writes to it
        copy(f.overlay)()

    rows = [
        ('raw to qcow2', 'convert', ['convert', '-f', 'raw', '-O', 'qcow2', f.raw, out], fresh),
        ('qcow2 to raw', 'convert', ['convert', '-f', 'qcow2', '-O', 'raw', f.qcow2, out], fresh),
        ('raw to raw', 'convert', ['convert', '-f', 'raw', '-O', 'raw', f.raw, out], fresh),
        ('qcow2 to qcow2', 'convert', ['convert', '-f', 'qcow2', '-O', 'qcow2', f.qcow2, out],
         fresh),
        ('qcow2 to qcow2 -c', 'convert',
         ['convert', '-c', '-f', 'qcow2', '-O', 'qcow2', f.qcow2, out], fresh),
        ('scattered to raw', 'convert', ['convert', '-f', 'qcow2', '-O', 'raw', f.frag, out], fresh),
        ('raw and qcow2', 'compare', ['compare', '-f', 'raw', '-F', 'qcow2', f.raw, f.qcow2], None),
        ('qcow2 and itself', 'compare', ['compare', '-f', 'qcow2', '-F', 'qcow2', f.qcow2, f.qcow2],
         None),
        ('scattered', 'check', ['check', '-f', 'qcow2', f.frag], None),
        ('scattered', 'map', ['map', '--output=json', '-f', 'qcow2', f.frag], None),
        ('overlay', 'commit', ['commit', '-f', 'qcow2', '-d', out], copy_both),
    ]
    for fmt, path in (('raw', f.raw), ('qcow2', f.full)):
        for cache, scale in (('writeback', 1), ('none', 0.2)):
            for depth in (1, 64):
                for write in (False, True):
                    n = max(1000, int(count * scale * (1 if depth > 1 else 0.5)))
                    args = ['bench', '-f', fmt, '-t', cache, '-i', 'io_uring', '-d', depth,
                            '-c', n, '-s', 4096, '-S', 4096 * 257] + (['-w'] if write else [])
                    label = f'{fmt} {cache} depth {depth} {"write" if write else "read"}'
                    rows.append((label, 'bench', [*args, out], copy(path)))
    return rows


class Server:
    """PROGRAM-nbd on a socket; its CPU time and memory are those of the row."""

    def __init__(self, program, image, fmt, folder):
        self.socket = folder / f'nbd-{os.getpid()}'
        self.uri = f'nbd+unix:///?socket={self.socket}'
        self.p = subprocess.Popen([str(program), '-f', fmt, '-t', '-e', '8', '-k', str(self.socket),
                                   str(image)], **QUIET)
        for _ in range(200):
            if self.socket.exists() or self.p.poll() is not None:
                break
            time.sleep(0.02)
        else:
            self.p.kill()
            raise Trouble('the server does not listen')
        if self.p.returncode is not None:
            raise Trouble('server: ' + self.p.stderr.read().decode()[-70:])
        time.sleep(0.05)

    def end(self, limit):
        mib = peak(self.p)
        self.p.send_signal(signal.SIGTERM)
        cpu = wait(self.p, limit)[0]
        self.p.stderr.close()
        self.socket.unlink(missing_ok=True)
        return cpu, mib


def nbd_rows(f, seconds):
    """name, image, format, client's arguments for a URI."""
    def fio(rw, depth):
        def argv(uri):
            return ['fio', '--name=x', '--ioengine=nbd', f'--uri={uri}', f'--rw={rw}', '--bs=4k',
                    f'--iodepth={depth}', '--randrepeat=1', f'--io_size={int(seconds * 40)}m',
                    f'--size={f.size}', '--minimal']
        return argv

    def copy_from(uri):
        return ['nbdcopy', uri, 'null:']

    def copy_to(uri):
        return ['nbdcopy', f.raw, uri]

    rows = []
    for fmt, path in (('raw', f.raw), ('qcow2', f.full)):
        source = f.qcow2 if fmt == 'qcow2' else path
        rows += [(f'{fmt} nbdcopy from', source, fmt, copy_from),
                 (f'{fmt} nbdcopy to', path, fmt, copy_to)]
        for depth in (1, 32):
            for rw in ('randread', 'randwrite'):
                rows.append((f'{fmt} {rw} depth {depth}', path, fmt, fio(rw, depth)))
    return rows


def measure_image(programs, row, a):
    figures, troubles = {}, {}
    for _ in range(a.runs):
        for name, (img, _) in programs.items():
            if name in troubles:
                continue
            try:
                if row[3]:
                    row[3]()
                figures.setdefault(name, []).append(measured([img, *row[2]], a.limit))
            except Trouble as t:
                troubles[name] = str(t)
    return figures, troubles


def measure_nbd(programs, row, a, folder):
    figures, troubles = {}, {}
    image = folder / 'served'
    for _ in range(a.runs):
        for name, (_, nbd) in programs.items():
            if name in troubles:
                continue
            run('cp', '--sparse=never', row[1], image)
            try:
                server = Server(nbd, image, row[2], folder)
                try:
                    wall = measured(row[3](server.uri), a.limit)[0]
                finally:
                    cpu, rss = server.end(a.limit)
                figures.setdefault(name, []).append((wall, cpu, rss))
            except Trouble as t:
                troubles[name] = str(t)
    image.unlink(missing_ok=True)
    return figures, troubles


def report(kind, label, names, figures, troubles):
    mid = {n: [median(list(v)) for v in zip(*figures[n])] if figures.get(n) else [None] * 3
           for n in names}
    line = f'{kind:<9}{label:<34}'
    for n in names:
        line += f'{number(mid[n][0]):>9}{number(mid[n][1]):>8}{number(mid[n][2], "{:.0f}"):>6}'
    speed = ratio(mid[names[0]][0], mid[names[-1]][0]) if len(names) > 1 else None
    thrift = ratio(mid[names[0]][1], mid[names[-1]][1]) if len(names) > 1 else None
    line += f'{number(speed, "{:.2f}"):>8}{number(thrift, "{:.2f}"):>7}'
    print(line + ''.join(f'   {k}: {v}' for k, v in troubles.items()), flush=True)
    return {'kind': kind, 'name': label, 'times': speed, 'cpu': thrift, 'figures': mid, 'troubles': troubles}


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument('--runs', type=int, default=5, help='runs of each, in turn [5]')
    ap.add_argument('--only', action='append', metavar='WORD', help='rows with this word')
    ap.add_argument('--size', type=int, default=512, metavar='MIB', help='of the images [512]')
    ap.add_argument('--count', type=int, default=100000, help='requests of a bench row [100000]')
    ap.add_argument('--seconds', type=float, default=3, help='about, of a row of fio [3]')
    ap.add_argument('--dir', type=pathlib.Path, default=benchlib.WORK / 'disk',
                    help='where the images are [build/bench/disk]')
    ap.add_argument('--build', type=pathlib.Path, default=ROOT / 'build', help='of Rhea')
    ap.add_argument('--limit', type=float, default=300, metavar='SECONDS', help='for each run')
    ap.add_argument('--json', metavar='FILE', help='also write the figures there')
    return ap.parse_args()


def main():
    a = options()
    os.environ['LC_ALL'] = 'C'
    programs = {'rhea': (a.build / 'rhea-img', a.build / 'rhea-nbd')}
    if shutil.which('qemu-img'):
        programs = {'qemu': ('qemu-img', 'qemu-nbd'), **programs}
    names = list(programs)
    f = Files(a.dir, a.size * MIB)
    print(f'host {benchlib.host_name()}, {os.cpu_count()} CPUs; {a.dir}; median of {a.runs}; '
          'wall s, CPU s, peak MiB\n')
    print(f'{"":<43}' + ''.join(f'{n:>9}{"CPU":>8}{"MiB":>6}' for n in names) + f'{"times":>8}{"CPU":>7}')
    results = []

    def wanted(kind, label):
        return not a.only or any(w in f'{kind} {label}' for w in a.only)

    for row in image_rows(f, a.count):
        if wanted(row[1], row[0]):
            results.append(report(row[1], row[0], names, *measure_image(programs, row, a)))
    (a.dir / 'out').unlink(missing_ok=True)
    for row in nbd_rows(f, a.seconds):
        if wanted('nbd', row[0]):
            results.append(report('nbd', row[0], names, *measure_nbd(programs, row, a, a.dir)))
    speeds = [r['times'] for r in results if r['times']]
    if speeds:
        print(f'\nrhea is {number(geomean(speeds), "{:.2f}")} times as fast as qemu '
              f'(least {min(speeds):.2f}); {sum(s < 1 for s in speeds)} of {len(speeds)} rows slower')
        thrifts = [r['cpu'] for r in results if r['cpu']]
        print(f'CPU time: qemu needs {number(geomean(thrifts), "{:.2f}")} times as much '
              f'(least {min(thrifts, default=0):.2f})')
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(results, indent=1))
    return any('rhea' in r['troubles'] for r in results)


sys.exit(main())
