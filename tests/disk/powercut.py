#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 150
"""Power cuts by replay: a log of what a program wrote and flushed is cut anywhere; what was not
flushed arrives in part, in any order, torn at sectors. Each image must open, hold what was flushed,
and be sound and without leaks after that.

powercut.py [CUTS [KIND]]    cuts of each kind, five images each (default 6; all: every one)"""
import os
import shutil
import sys
import tempfile

import crashlib as c

SIZE = 4 << 20
# name: commands on a.img, whose log is cut; $B is an image to read from
COMMANDS = {
    'snapshot -c': (['snapshot', '-c', 'new', 'a.img'],),
    'snapshot -a': (['snapshot', '-a', 's1', 'a.img'],),
    'snapshot -d': (['snapshot', '-d', 's1', 'a.img'],),
    'resize': (['resize', '-f', 'qcow2', 'a.img', '3G'],
               ['resize', '-f', 'qcow2', '--shrink', 'a.img', '2M']),
    'amend width': (['amend', '-o', 'refcount_bits=64', 'a.img'],),
    'amend version': (['snapshot', '-d', 's2', 'a.img'], ['amend', '-o', 'compat=0.10', 'a.img'],
                      ['amend', '-o', 'compat=1.1', 'a.img']),
    'check -r': (['check', '-q', '-r', 'all', 'a.img'],),
    'bitmap': (['bitmap', '--add', 'a.img', 'b1'], ['bitmap', '--remove', 'a.img', 'b0']),
    'convert into': (['convert', '-n', '-t', 'writeback', '-O', 'qcow2', 'other.img', 'a.img'],),
    'rebase': (['rebase', '-f', 'qcow2', '-F', 'qcow2', '-b', 'base.img', 'a.img'],),
}
failures = images = 0


def replay(what, fmt, plan, cuts, log='log', before='before.img'):
    global failures, images
    status, out = c.run(c.REPLAY, log, before, fmt, plan, 'work.img',
                        *([] if cuts == 'all' else [cuts]), timeout=3000)
    last = out.strip().splitlines()[-1] if out.strip() else ''
    if status != 0:
        failures += 1
        print(f'FAIL {what}: {status}:\n{out[-2000:]}')
    elif os.environ.get('VERBOSE'):
        print(f'{what}: {last}')
    images += int(last.split()[2]) if last.endswith('failed') else 0


def trapped(*argv):
    return c.run(*argv, env={'LD_PRELOAD': c.TRAP, 'IOTRAP_FILE': os.path.abspath('a.img'),
                             'IOTRAP_LOG': os.path.abspath('log')})


def writers(kinds, cuts, ops):
    for number, (name, (fmt, options, plan)) in enumerate(kinds.items()):
        c.create('before.img', fmt, options, SIZE)
        shutil.copy('before.img', 'a.img')
        plan = f'seed={number + 1},size={SIZE},{plan}'
        for f in 'log', 'state':
            if os.path.exists(f):
                os.unlink(f)
        status, out = trapped(c.WRITER, 'write', 'a.img', fmt, plan, 'state', ops)
        if status != 0:
            print(f'FAIL {name}: writer: {status}: {out}')
            return 1
        replay(name, fmt, plan, cuts)
    return 0


def prepared():
    """An image with snapshots, a bitmap, zero clusters, a dirty bit and leaks, and its base."""
    c.create('base.img', 'qcow2', '', SIZE)
    c.must(c.IO, '-f', 'qcow2', '-c', 'write -P 9 0 1M', 'base.img')
    c.create('other.img', 'qcow2', '', SIZE)
    c.must(c.IO, '-f', 'qcow2', '-c', 'write -P 7 1M 2M', 'other.img')
    c.create('before.img', 'qcow2', 'cluster_size=4k', SIZE)
    for n in '1', '2':
        c.must(c.IO, '-f', 'qcow2', '-c', f'write -P {n} 0 1M', '-c', f'write -z {n}M 512k',
               'before.img')
        c.must(c.IMG, 'snapshot', '-c', f's{n}', 'before.img')
    c.must(c.IO, '-f', 'qcow2', '-c', 'write -P 5 512k 1M', '-c', 'discard 2M 64k', 'before.img')


def commands(cuts):
    for name, steps in COMMANDS.items():
        prepared()
        if name == 'bitmap':
            c.must(c.IMG, 'bitmap', '--add', 'before.img', 'b0')
        if name == 'check -r':
            with open('before.img', 'r+b') as f:  # a leak and a lost refcount
                f.seek(48)
                table = int.from_bytes(f.read(8), 'big')
                f.seek(table)
                block = int.from_bytes(f.read(8), 'big')
                f.seek(block + 2 * 40)
                f.write(bytes([0, 0, 0, 9]))
        shutil.copy('before.img', 'a.img')
        if os.path.exists('log'):
            os.unlink('log')
        for step in steps:
            status, out = trapped(c.IMG, *step)
            if status != 0:
                print(f'FAIL {name}: {step}: {status}: {out}')
                return 1
        if name == 'check -r':
            continue  # a cut repair leaves an image to repair: nth_failure.py looks at that
        replay(name, 'qcow2', '-', cuts)
    return 0


def liar(cuts):
    """The harness itself: a disk that ignores flushes must be found out."""
    c.create('before.img', 'qcow2', '', SIZE)
    shutil.copy('before.img', 'a.img')
    for f in 'log', 'state':
        if os.path.exists(f):
            os.unlink(f)
    plan = f'seed=3,size={SIZE},threads=1'
    trapped(c.WRITER, 'write', 'a.img', 'qcow2', plan, 'state', '60')
    status, out = c.run(c.REPLAY, 'log', 'before.img', 'qcow2', plan, 'work.img', cuts,
                        env={'CRASHREPLAY_NO_FLUSH': '1'})
    if status == 0:
        print(f'FAIL lost flushes are not noticed: {out}')
    return status == 0


def main():
    cuts = sys.argv[1] if len(sys.argv) > 1 else '6'
    kinds = c.KINDS if len(sys.argv) < 3 else {sys.argv[2]: (c.KINDS | c.MORE)[sys.argv[2]]}
    if not os.path.exists(c.TRAP):
        print('skipped: no libiotrap.so in this build (sanitizers)')
        return 0
    with tempfile.TemporaryDirectory(prefix='rhea-power-', dir=c.SCRATCH) as d:
        os.chdir(d)
        bad = writers(kinds, cuts, '60') + liar('20')
        if len(kinds) == len(c.KINDS) or not kinds:
            bad += commands(cuts)
        os.chdir('/')
    print(f'{images} images after a power cut, {failures} logs with bad ones')
    return bad != 0 or failures != 0


if __name__ == '__main__':
    sys.exit(main())
