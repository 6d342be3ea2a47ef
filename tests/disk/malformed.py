#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 150
"""Malformed images: valid ones of each format with bytes changed, cut short, or with headers that
lie; info, check, map and convert read them. None crashes, none takes a second of processor time or
128 MiB of memory.

malformed.py [MUTANTS [FORMAT]]    of each image (default 4). With MALFORMED_ASAN set, RHEA_BUILD is
a build with sanitizers: memory is not judged then."""
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import crashlib as c

SIZE = 8 << 20
SECONDS, KIB = 1.0, 128 << 10
ASAN = 'MALFORMED_ASAN' in os.environ
failures = runs = 0
worst = {'seconds': (0.0, ''), 'KiB': (0, '')}

# name: format, creation options
IMAGES = {
    'qcow2': ('qcow2', ''),
    'qcow2 4k': ('qcow2', 'cluster_size=4k,refcount_bits=8'),
    'qcow2 v2': ('qcow2', 'compat=0.10'),
    'qcow2 ext': ('qcow2', 'extended_l2=on,cluster_size=16k'),
    'vmdk': ('vmdk', ''),
    'vmdk stream': ('vmdk', 'subformat=streamOptimized'),
    'vdi': ('vdi', ''),
    'vhdx': ('vhdx', ''),
    'vpc': ('vpc', ''),
    'qed': ('qed', ''),
    'parallels': ('parallels', ''),
}


def limits():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (8, 8))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 45, 1 << 45))


def measured(*argv):
    """(status or 'hang', seconds of processor time, KiB, output)."""
    with open('output', 'wb') as out:
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                             preexec_fn=limits)
    deadline = time.monotonic() + 60
    while True:
        pid, status, usage = os.wait4(p.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline:
            p.kill()
            os.wait4(p.pid, 0)
            return 'hang', 60, 0, ''
        time.sleep(0.0005)
    p.returncode = os.waitstatus_to_exitcode(status)
    with open('output', errors='replace') as f:
        text = f.read(20000)
    return p.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, text


def judge(what, path, fmt):
    global failures, runs
    for command in (['info', '-f', fmt, path], ['check', '-f', fmt, path],
                    ['map', '-f', fmt, '--output=json', path],
                    ['convert', '-f', fmt, '-O', 'raw', path, 'out.raw'], ['info', path]):
        status, seconds, kib, text = measured(c.IMG, *command)
        runs += 1
        why = ''
        if status == 'hang' or status < 0:
            why = f'ended by {status}'
        elif 'Sanitizer' in text or 'runtime error' in text:
            why = 'sanitizer'
        elif not ASAN and seconds > SECONDS:
            why = f'{seconds:.2f} s'
        elif not ASAN and kib > KIB:
            why = f'{kib} KiB'
        for key, value in ('seconds', seconds), ('KiB', kib):
            if value > worst[key][0]:
                worst[key] = value, f'{what}: {command[0]}'
        if os.path.exists('out.raw'):
            os.unlink('out.raw')
        if why:
            failures += 1
            print(f'FAIL {what}: {command[0]}: {why}: {text[-300:]}')
            if os.environ.get('KEEP'):
                shutil.copy(path, f'/tmp/malformed-{failures}.img')
            return


def make(path, fmt, options):
    status, out = c.run(c.IMG, 'create', '-q', '-f', fmt, *(['-o', options] if options else []),
                        'plain.img', str(SIZE))
    if status != 0:
        print(f'{fmt} {options}: not made here: {out.strip()}')
        return False
    c.must(c.IMG, 'create', '-q', '-f', 'raw', 'source.raw', str(SIZE))
    c.must(c.IO, '-f', 'raw', '-c', 'write -P 1 0 1M', '-c', 'write -P 2 3M 100k', 'source.raw')
    if fmt == 'vmdk' and 'stream' in options:
        c.must(c.IMG, 'convert', '-O', fmt, '-o', options, 'source.raw', path)
        return True
    shutil.copy('plain.img', path)
    c.must(c.IMG, 'convert', '-n', '-O', fmt, 'source.raw', path)
    if fmt == 'qcow2':
        c.must(c.IMG, 'snapshot', '-c', 'one', path)
        c.must(c.IO, '-f', fmt, '-c', 'write -c -P 3 6M 64k', '-c', 'write -z 1M 64k', path)
        if '0.10' not in options:
            c.must(c.IMG, 'bitmap', '--add', path, 'b0')
    return True


VALUES = (0, 1, 2, 3, 7, 9, 0x7f, 0x80, 0xff, 0x200, 0x1ff, 0x7fff, 0x8000, 0xffff, 0x10000,
          0xfffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7ffffffffffffe00,
          0x7fffffffffffffff, 0x8000000000000000, 0xfffffffffffffe00, 0xffffffffffffffff)


def metadata(data):
    """Offsets worth changing: sectors that are not of the data's pattern."""
    spots = []
    for at in range(0, len(data), 512):
        sector = data[at:at + 512]
        if len(set(sector)) > 2 or (any(sector) and len(set(sector)) == 2):
            spots.append(at)
    return spots or [0]


def mutate(data, spots, dice):
    """One mutant: some numbers or bytes changed, or the end cut off."""
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        at = (0 if dice.random() < 0.5 else dice.choice(spots)) + dice.randrange(512)
        kind = dice.randrange(5)
        if kind == 0:
            out[at % len(out)] ^= 1 << dice.randrange(8)
        elif kind == 1 and at < len(out):
            out[at] = dice.randrange(256)
        elif kind < 4:
            size = dice.choice((2, 4, 4, 8, 8))
            at -= at % size
            value = dice.choice(VALUES) & ((1 << 8 * size) - 1)
            raw = value.to_bytes(size, dice.choice(('big', 'little')))
            if at + size <= len(out):
                out[at:at + size] = raw
        elif dice.random() < 0.3:
            del out[dice.randrange(len(out)):]
            out = out or bytearray(1)
    return out


def mutants(count, only):
    for name, (fmt, options) in IMAGES.items():
        if only and only != fmt or not make('valid.img', fmt, options):
            continue
        with open('valid.img', 'rb') as f:
            data = f.read()
        spots = metadata(data)
        for seed in range(count):
            dice = random.Random(f'{name} {seed}')
            with open('m.img', 'wb') as f:
                f.write(mutate(data, spots, dice))
            judge(f'{name} mutant {seed}', 'm.img', fmt)


def poke(path, at, fmt, *values):
    with open(path, 'r+b') as f:
        f.seek(at)
        f.write(struct.pack('>' + fmt, *values))


def long_file(size):
    def make_long(path):
        os.truncate(path, size)
    return make_long


def sparse_l1(path):
    """4 million L2 tables in a sparse file of terabytes."""
    os.truncate(path, 1 << 43)
    poke(path, 24, 'Q', 1 << 51)
    poke(path, 36, 'IQ', (32 << 20) // 8, 1 << 30)
    with open(path, 'r+b') as f:
        f.seek(1 << 30)
        for i in range(0, (32 << 20) // 8, 65536):
            f.write(struct.pack('>65536Q', *((1 << 31) + (i + k) * 65536 for k in range(65536))))


def same_l2(path):
    """All L1 entries name one L2 table, all of whose entries name one cluster."""
    poke(path, 24, 'Q', 1 << 51)
    os.truncate(path, (40 << 20) + 65536)
    poke(path, 36, 'IQ', (32 << 20) // 8, 4 << 20)
    with open(path, 'r+b') as f:
        f.seek(4 << 20)
        f.write(struct.pack('>Q', 40 << 20) * ((32 << 20) // 8))
        f.seek(40 << 20)
        f.write(struct.pack('>Q', 1 << 20) * 8192)


def scattered(path):
    """Clusters all over a file of 4 PiB: one page of counters for each."""
    with open(path, 'r+b') as f:
        f.seek(40)
        f.seek(int.from_bytes(f.read(8), 'big'))
        l2 = int.from_bytes(f.read(8), 'big') & 0x00fffffffffffe00
        f.seek(l2)
        f.write(struct.pack('>8192Q', *((i + 1) << 31 for i in range(8192))))
    os.truncate(path, 1 << 43)


LIES = {
    'size 2^63': lambda p: poke(p, 24, 'Q', 1 << 63),
    'size 2^62': lambda p: poke(p, 24, 'Q', 1 << 62),
    'L1 of 32 MiB': lambda p: poke(p, 36, 'I', (32 << 20) // 8),
    'L1 of 2^32 entries': lambda p: poke(p, 36, 'I', 0xffffffff),
    'cluster bits 8': lambda p: poke(p, 20, 'I', 8),
    'cluster bits 22': lambda p: poke(p, 20, 'I', 22),
    'cluster bits 21': lambda p: poke(p, 20, 'I', 21),
    'cluster bits 9': lambda p: poke(p, 20, 'I', 9),
    'refcount table of 8 MiB': lambda p: poke(p, 56, 'I', 128),
    'refcount table of 2^48': lambda p: poke(p, 56, 'I', 0xffffffff),
    'refcount order 7': lambda p: poke(p, 96, 'I', 7),
    'refcount order 0': lambda p: poke(p, 96, 'I', 0),
    'snapshots 65536': lambda p: poke(p, 60, 'I', 65536),
    'snapshots 2^32': lambda p: poke(p, 60, 'I', 0xffffffff),
    'snapshots in a long file': lambda p: (poke(p, 60, 'IQ', 65536, 1 << 30),
                                           os.truncate(p, 1 << 40)),
    'header length 2^32': lambda p: poke(p, 100, 'I', 0xffffffff),
    'header length 4096': lambda p: poke(p, 100, 'I', 4096),
    'backing name of 2^32': lambda p: poke(p, 8, 'QI', 200, 0xffffffff),
    'extension of 2^32': lambda p: poke(p, 112, 'II', 0x12345678, 0xfffffff0),
    'features unknown': lambda p: poke(p, 72, 'Q', 1 << 40),
    'compression 77': lambda p: poke(p, 104, 'B', 77),
    'file of 8 TiB': long_file(1 << 43),
    'nothing': long_file(0),
    'four bytes': long_file(4),
    'header alone': long_file(512),
    'sparse L1': sparse_l1,
    'one L2 table': same_l2,
    'scattered clusters': scattered,
}


def lies(only=""):
    make('valid.img', 'qcow2', '')
    for name, lie in LIES.items():
        shutil.copy('valid.img', 'm.img')
        try:
            lie('m.img')
        except OSError as e:
            print(f'{name}: not made here: {e}')
            continue
        judge(f'lie: {name}', 'm.img', 'qcow2')


def loops():
    """Backing files in a circle, and an image that is its own."""
    c.create('l1.img', 'qcow2', '', SIZE)
    for images in (('l1.img',), ('l1.img', 'l2.img', 'l3.img')):
        for i, name in enumerate(images):
            below = images[(i + 1) % len(images)]
            c.create(name, 'qcow2', '', SIZE)
            c.must(c.IMG, 'rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', below, name)
        global failures
        for command in (['info', '--backing-chain', images[0]], ['check', images[0]],
                        ['convert', '-O', 'raw', images[0], 'out.raw'], ['map', images[0]]):
            status, seconds, kib, text = measured(c.IMG, *command)
            # check looks at one image alone
            if (status != 1 and command[0] != 'check') or seconds > SECONDS or \
                    (kib > KIB and not ASAN):
                failures += 1
                print(f'FAIL loop of {len(images)}: {command[0]}: {status}, {seconds:.2f} s, '
                      f'{kib} KiB: {text[-200:]}')


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    only = sys.argv[2] if len(sys.argv) > 2 else ''
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with tempfile.TemporaryDirectory(prefix='rhea-malformed-', dir=c.SCRATCH) as d:
        os.chdir(d)
        mutants(count, only)
        if only in ('', 'qcow2'):
            lies()
            loops()
        os.chdir('/')
    print(f'{runs} runs, {failures} bad; most: {worst["seconds"][0]:.2f} s ({worst["seconds"][1]}), '
          f'{worst["KiB"][0]} KiB ({worst["KiB"][1]})')
    return failures != 0


if __name__ == '__main__':
    sys.exit(main())
