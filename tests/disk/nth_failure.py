#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 150
"""The N-th read, write, flush, change of size or allocation of a program fails, for all N: the
program neither crashes nor hangs, says that it failed (or did what it should all the same), and the
image afterwards can be repaired, with no corruption and with all that was flushed before.

nth_failure.py [MOST [NAME]]    of each operation and kind of call (default 1; all: every N)"""
import errno
import os
import random
import shutil
import sys
import tempfile

import crashlib as c

SIZE = 4 << 20
KINDS = 'read', 'write', 'flush', 'size', 'alloc'
ALLOC_DIED = 'out of memory'
runs = failures = tolerated = 0


def fail(what, text):
    global failures
    failures += 1
    print(f'FAIL {what}: {text[-600:]}')


def qcow2_io(path, *commands):
    args = []
    for command in commands:
        args += ['-c', command]
    c.must(c.IO, '-f', 'qcow2', *args, path)


def make_files():
    """What all operations start from; a.img is the one they work on."""
    c.create('base.img', 'qcow2', '', SIZE)
    qcow2_io('base.img', 'write -P 9 0 1M')
    c.create('a.img', 'qcow2', 'cluster_size=4k', SIZE)
    for n in 1, 2:
        qcow2_io('a.img', f'write -P {n} 0 1M', f'write -z {n}M 512k')
        c.must(c.IMG, 'snapshot', '-c', f's{n}', 'a.img')
    qcow2_io('a.img', 'write -P 5 512k 1M', 'write -c -P 6 2M 4k')
    c.must(c.IMG, 'bitmap', '--add', 'a.img', 'b0')
    c.must(c.IMG, 'convert', '-O', 'raw', 'a.img', 'a.raw')
    c.must(c.IMG, 'convert', '-O', 'raw', '-l', 's1', 'a.img', 's1.raw')
    c.must(c.IMG, 'create', '-q', '-f', 'qcow2', '-b', 'base.img', '-F', 'qcow2', 'top.img')
    qcow2_io('top.img', 'write -P 8 512k 1M')
    c.must(c.IMG, 'convert', '-O', 'raw', 'top.img', 'top.raw')
    shutil.copy('a.img', 'bad.img')
    with open('bad.img', 'r+b') as f:  # a leak and a lost refcount
        f.seek(48)
        f.seek(int.from_bytes(f.read(8), 'big'))
        block = int.from_bytes(f.read(8), 'big')
        f.seek(block + 2 * 40)
        f.write(bytes([0, 0, 0, 9]))
    os.mkdir('saved')
    for name in ('a', 'base', 'top', 'bad'):
        os.rename(f'{name}.img', f'saved/{name}.img')


def restore():
    for name in os.listdir('saved'):
        shutil.copy(f'saved/{name}', name)
    for name in 'new.img', 'state':
        if os.path.exists(name):
            os.unlink(name)


def content(path, reference, length=None):
    """Whether the image holds what the raw file does (up to length); '' or what is wrong."""
    if length:
        status, out = c.run(c.IO, '-f', 'qcow2', '-r', '-c', 'read 0 1M', path)
        return '' if status == 0 else out
    status, out = c.run(c.IMG, 'compare', '-F', 'raw', '-f', 'qcow2', path, reference)
    return '' if status == 0 else f'{status}: {out}'


def healed(path):
    """Opening it for writing heals what there is to heal; then nothing is wrong with the image."""
    r, out = c.run(c.IO, '-f', 'qcow2', '-c', 'length', path)
    if r != 0:
        return f'open: {r}: {out}'
    r, out = c.run(c.IMG, 'check', '-q', '-f', 'qcow2', path)
    return f'check of {path}: {r}: {out}' if r != 0 else ''


def image(path, reference):
    """A judge: the image is sound after it was opened, and holds what it held."""
    def judge(status):
        return healed(path) or content(path, reference)
    return judge


def repaired(path, reference):
    def judge(status):
        r, out = c.run(c.IMG, 'check', '-q', '-f', 'qcow2', '-r', 'all', path)
        return f'check -r all: {r}: {out}' if r != 0 else content(path, reference)
    return judge


def one_of(path, *references):
    def judge(status):
        why = healed(path)
        if why:
            return why
        whys = [content(path, reference) for reference in references]
        return '' if '' in whys else ' / '.join(whys)
    return judge


def commit_judge(status):
    """Whatever happened, the top shows what it showed; done, the base has it too."""
    why = healed('base.img') or healed('top.img')
    return why or content('top.img', 'top.raw') or (content('base.img', 'top.raw') if status == 0 else '')


def created(status):
    if status != 0 and not os.path.exists('new.img'):
        return ''
    # out of memory ends the program at once: then half an image may lie there
    repair = ['-r', 'all'] if status < 0 else []
    r, out = c.run(c.IMG, 'check', '-q', '-f', 'qcow2', *repair, 'new.img')
    if status < 0 and 'not in qcow2 format' in out:
        return ''
    return '' if r == 0 else f'new.img: {r}: {out}'


def converted(status):
    if status == 0:
        return content('new.img', 'a.raw')
    if not os.path.exists('new.img'):
        return ''
    r, out = c.run(c.IMG, 'check', '-q', '-f', 'qcow2', '-r', 'all', 'new.img')
    if status < 0 and 'not in qcow2 format' in out:
        return ''
    return '' if r == 0 else f'new.img: {r}: {out}'


def resized(status):
    return healed('a.img') or content('a.img', 'a.raw')


def written(plan):
    def judge(status):
        r, out = c.run(c.WRITER, 'verify', 'a.img', 'qcow2', plan, 'state')
        return '' if r == 0 else f'{r}: {out}'
    return judge


def writer(kind):
    fmt, options, plan = c.KINDS[kind]
    return f'seed=5,size={SIZE},{plan}', options


PLAN, _ = writer('qcow2')
# name: the file whose calls fail, the command, the judge
OPERATIONS = {
    'snapshot -c': ('a.img', [c.IMG, 'snapshot', '-c', 'new', 'a.img'], image('a.img', 'a.raw')),
    'snapshot -a': ('a.img', [c.IMG, 'snapshot', '-a', 's1', 'a.img'],
                    one_of('a.img', 'a.raw', 's1.raw')),
    'snapshot -d': ('a.img', [c.IMG, 'snapshot', '-d', 's1', 'a.img'], image('a.img', 'a.raw')),
    'resize': ('a.img', [c.IMG, 'resize', '-f', 'qcow2', 'a.img', '3G'], resized),
    'check -r': ('bad.img', [c.IMG, 'check', '-q', '-r', 'all', 'bad.img'],
                 repaired('bad.img', 'a.raw')),
    'amend width': ('a.img', [c.IMG, 'amend', '-o', 'refcount_bits=64', 'a.img'],
                    image('a.img', 'a.raw')),
    'bitmap': ('a.img', [c.IMG, 'bitmap', '--add', '--remove', 'a.img', 'b0'],
               image('a.img', 'a.raw')),
    'bitmap --clear': ('a.img', [c.IMG, 'bitmap', '--clear', 'a.img', 'b0'],
                       image('a.img', 'a.raw')),
    'commit': ('base.img', [c.IMG, 'commit', '-q', '-f', 'qcow2', 'top.img'], commit_judge),
    'commit, top': ('top.img', [c.IMG, 'commit', '-q', '-f', 'qcow2', 'top.img'], commit_judge),
    'rebase': ('top.img', [c.IMG, 'rebase', '-f', 'qcow2', '-b', '', 'top.img'],
               image('top.img', 'top.raw')),
    'create': ('new.img', [c.IMG, 'create', '-q', '-f', 'qcow2', '-o', 'preallocation=metadata',
                           'new.img', '4M'], created),
    'convert': ('new.img', [c.IMG, 'convert', '-O', 'qcow2', 'a.img', 'new.img'], converted),
    'convert -c': ('new.img', [c.IMG, 'convert', '-c', '-O', 'qcow2', 'a.img', 'new.img'],
                   converted),
    'convert, source': ('a.img', [c.IMG, 'convert', '-O', 'qcow2', 'a.img', 'new.img'], converted),
    'info': ('a.img', [c.IMG, 'info', 'a.img'], image('a.img', 'a.raw')),
    'write': ('a.img', [c.WRITER, 'write', 'a.img', 'qcow2', PLAN, 'state', '40'], written(PLAN)),
}


def trapped(file, command, **settings):
    env = {'LD_PRELOAD': c.TRAP, 'IOTRAP_FILE': os.path.abspath(file)}
    env.update({f'IOTRAP_{k.upper()}': str(v) for k, v in settings.items()})
    return c.run(*command, env=env, timeout=20)


def prepare(name):
    restore()
    if name == 'write':
        c.create('a.img', 'qcow2', 'cluster_size=4k', SIZE)


def sweep(name, kind, most, forever):
    global runs, tolerated
    file, command, judge = OPERATIONS[name]
    prepare(name)
    status, out = trapped(file, command, kind=kind, count=os.path.abspath('count'))
    if status != 0 and name != 'bitmap':
        fail(f'{name} without a failure', f'{status}: {out}')
        return
    count = int(open('count').read())
    ns = list(range(1, count + 1))
    if most != 'all':
        ns = sorted(random.sample(ns, min(int(most), count)))
    elif kind == 'alloc' and count > 150:
        ns = sorted(random.sample(ns, 150))
    for n in ns:
        prepare(name)
        number = random.choice((errno.EIO, errno.ENOSPC)) if kind in ('write', 'size') else errno.EIO
        settings = {'forever': 1} if forever else {}
        status, out = trapped(file, command, kind=kind, nth=n, errno=number, **settings)
        runs += 1
        what = f'{name}, {kind} {n} of {count}{", all after it too" if forever else ""}'
        tolerated += status == 0
        if status == 'hang' or (isinstance(status, int) and status < 0):
            if not (kind == 'alloc' and ALLOC_DIED in out):
                fail(what, f'ended by {status}: {out}')
        elif status != 0 and not out.strip():
            fail(what, f'status {status} without a word')
        why = judge(status)
        if why:
            fail(what, f'status {status} ({out.strip()[-200:]}); {why}')
            if os.environ.get('KEEP'):
                shutil.copy(file, '/tmp/nth-failure.img')
                sys.exit(1)


def main():
    most = sys.argv[1] if len(sys.argv) > 1 else '1'
    names = [n for n in OPERATIONS if len(sys.argv) < 3 or n in sys.argv[2:]]
    if not os.path.exists(c.TRAP):
        print('skipped: no libiotrap.so in this build (sanitizers)')
        return 0
    seed = random.randrange(1 << 30)
    random.seed(int(os.environ.get('SEED', seed)))
    print('SEED', os.environ.get('SEED', seed))
    with tempfile.TemporaryDirectory(prefix='rhea-nth-', dir=c.SCRATCH) as d:
        os.chdir(d)
        make_files()
        for name in names:
            for kind in KINDS:
                sweep(name, kind, most, False)
                if kind in ('write', 'flush'):
                    sweep(name, kind, most, True)
        os.chdir('/')
    print(f'{runs} failed calls, {tolerated} of them tolerated, {failures} with a bad end')
    return failures != 0


if __name__ == '__main__':
    sys.exit(main())
