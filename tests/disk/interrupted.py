#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 150
"""Ctrl-C in the middle of long commands, a full disk, a limit of the file's size: what is left is a
valid image with its data, or none, and the message says why.

interrupted.py [ROUNDS]    of each command (default 2)"""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import crashlib as c

failures = runs = interrupted = 0
SIZE = 48 << 20


def fail(what, text):
    global failures
    failures += 1
    print(f'FAIL {what}: {text[-500:]}')


def sound(what, path, fmt='qcow2'):
    if fmt != 'qcow2':
        return
    # a command that ended had the time to tidy up: not even leaks are left
    status, out = c.run(c.IMG, 'check', '-q', '-f', fmt, path)
    if status != 0:
        fail(what, f'{path}: check says {status}: {out}')


def same(what, path, reference):
    status, out = c.run(c.IMG, 'compare', '-F', 'raw', path, reference, timeout=120)
    if status != 0:
        fail(what, f'{path} differs: {out}')


def start(argv, **options):
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, **options)


def interrupt(what, argv, seconds):
    """Runs, sends SIGINT after a while; (status, output)."""
    global runs, interrupted
    p = start(argv)
    time.sleep(seconds)
    p.send_signal(signal.SIGINT)
    try:
        out = p.communicate(timeout=30)[0].decode(errors='replace')
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
        fail(what, 'goes on 30 s after SIGINT')
        return 0, ''
    runs += 1
    interrupted += p.returncode != 0
    return p.returncode, out


def make_files():
    c.create('base.img', 'qcow2', '', SIZE)
    with open('source.raw', 'wb') as f:
        block = os.urandom(1 << 20)
        for i in range(SIZE >> 20):
            f.write(block[i:] + block[:i])
    c.must(c.IMG, 'convert', '-O', 'qcow2', 'source.raw', 'full.img')
    c.must(c.IO, '-f', 'qcow2', '-c', 'write -P 9 0 8M', 'base.img')
    c.must(c.IMG, 'create', '-q', '-f', 'qcow2', '-b', 'base.img', '-F', 'qcow2', 'top.img')
    c.must(c.IMG, 'convert', '-n', '-O', 'qcow2', 'source.raw', 'top.img')
    os.mkdir('saved')
    for name in 'base.img', 'top.img', 'full.img':
        os.rename(name, f'saved/{name}')


def restore():
    for name in os.listdir('saved'):
        shutil.copy(f'saved/{name}', name)
    for name in 'new.img', 'new.raw':
        if os.path.exists(name):
            os.unlink(name)


# name: command, images that must hold what source.raw does afterwards
COMMANDS = {
    'convert': ([c.IMG, 'convert', '-O', 'qcow2', 'full.img', 'new.img'], ['full.img']),
    'convert -c': ([c.IMG, 'convert', '-c', '-O', 'qcow2', 'full.img', 'new.img'], ['full.img']),
    'convert raw': ([c.IMG, 'convert', '-O', 'raw', 'full.img', 'new.raw'], ['full.img']),
    'create': ([c.IMG, 'create', '-q', '-f', 'qcow2', '-o', 'preallocation=full', 'new.img', '64M'],
               []),
    'resize': ([c.IMG, 'resize', '-f', 'qcow2', '--preallocation=full', 'full.img', '+64M'], []),
    'commit': ([c.IMG, 'commit', '-q', 'top.img'], ['top.img']),
    'rebase': ([c.IMG, 'rebase', '-f', 'qcow2', '-b', '', 'top.img'], ['top.img']),
    'amend': ([c.IMG, 'amend', '-o', 'compat=0.10', 'full.img'], ['full.img']),
    'check': ([c.IMG, 'check', '-r', 'all', 'full.img'], ['full.img']),
    'snapshot': ([c.IMG, 'snapshot', '-c', 'one', 'full.img'], ['full.img']),
}


def control_c(rounds):
    for name, (argv, keep) in COMMANDS.items():
        restore()
        begin = time.monotonic()
        status, out = c.run(*argv)
        if status != 0:
            fail(name, f'not interrupted: {status}: {out}')
        took = time.monotonic() - begin
        for _ in range(rounds):
            restore()
            status, out = interrupt(name, argv, random.random() * took)
            if status not in (0, 1, 130, -signal.SIGINT):
                fail(name, f'status {status}: {out}')
            for path in ('full.img', 'top.img', 'base.img'):
                sound(name, path)
            if os.path.exists('new.img'):
                sound(name, 'new.img')
            for path in keep:
                same(name, path, 'source.raw')


def limited(megabytes):
    def limit():
        import resource
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (megabytes << 20, megabytes << 20))
    return limit


def full(what, argv, cwd_new, **options):
    global runs
    p = start(argv, **options)
    try:
        out = p.communicate(timeout=60)[0].decode(errors='replace')
    except subprocess.TimeoutExpired:
        p.kill()
        p.communicate()
        fail(what, 'hangs')
        return
    runs += 1
    if p.returncode != 1 or ('No space left' not in out and 'File too large' not in out):
        fail(what, f'status {p.returncode}, it said: {out}')
    if os.path.exists(cwd_new) and cwd_new.endswith('.img'):
        sound(what, cwd_new)


def disk_full():
    """On a small file system where one can be mounted, and by a limit of the file size."""
    for name in 'convert', 'convert -c', 'convert raw', 'create':
        restore()
        full(f'{name}, file size limited', COMMANDS[name][0],
             'new.raw' if 'raw' in name else 'new.img', preexec_fn=limited(24))
    for name in 'resize', 'commit', 'rebase':
        restore()
        megabytes = 56 if name == 'resize' else 24 if name == 'commit' else 97
        if name == 'rebase':
            continue  # its files are full already
        full(f'{name}, file size limited', COMMANDS[name][0], '', preexec_fn=limited(megabytes))
        for path in 'full.img', 'top.img', 'base.img':
            sound(name, path)
        same(name, 'top.img', 'source.raw')
    os.mkdir('small')
    status, out = c.run('mount', '-t', 'tmpfs', '-o', 'size=24m', 'none', 'small')
    if status != 0:
        print(f'no small file system: {out.strip()}')
        return
    try:
        restore()
        for fmt in 'qcow2', 'raw', 'vmdk', 'vdi', 'vhdx', 'vpc':
            full(f'convert to {fmt}, disk full',
                 [c.IMG, 'convert', '-O', fmt, 'full.img', 'small/new.img'], 'small/none')
            if os.path.exists('small/new.img'):
                if fmt == 'qcow2':
                    sound('disk full', 'small/new.img')
                os.unlink('small/new.img')
        c.create('small/w.img', 'qcow2', '', SIZE)
        status, out = c.run(c.IO, '-f', 'qcow2', '-c', 'write -P 1 0 4M', '-c', 'flush', '-c',
                            'write -P 2 8M 40M', 'small/w.img')
        if 'No space left' not in out:
            fail('write, disk full', f'{status}: {out}')
        sound('write, disk full', 'small/w.img')
        c.must(c.IO, '-f', 'qcow2', '-r', '-c', 'read -P 1 0 4M', 'small/w.img')
    finally:
        c.run('umount', 'small')


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory(prefix='rhea-interrupted-', dir=c.SCRATCH) as d:
        os.chdir(d)
        make_files()
        disk_full()
        control_c(rounds)
        os.chdir('/')
    print(f'{runs} runs, {interrupted} interrupted before their end, {failures} bad')
    return failures != 0


if __name__ == '__main__':
    sys.exit(main())
