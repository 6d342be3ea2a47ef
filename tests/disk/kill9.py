#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 150
"""Writers are killed with SIGKILL at any moment. What was flushed is there, the image is sound, and
after it was opened once no cluster is leaked, as qemu-img sees it too.

kill9.py [ROUNDS [KIND]]    rounds of each kind (default 4)"""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import crashlib as c

SIZE = 16 << 20


def one(fmt, options, plan, seed):
    """Returns (lost, corruptions, leaks left, what happened): the first three as text of the judge."""
    c.create('k.img', fmt, options, SIZE)
    if os.path.exists('state'):
        os.unlink('state')
    full = f'seed={seed},size={SIZE},{plan}'
    p = subprocess.Popen([c.WRITER, 'write', 'k.img', fmt, full, 'state'],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    p.stdout.readline()  # "writing"
    time.sleep(random.random() ** 2 * 0.25)
    early = p.poll()
    p.send_signal(signal.SIGKILL)
    p.communicate()
    if early is not None:
        return f'the writer ended by itself with {early}'
    shutil.copy('k.img', 'killed.img')
    status, out = c.run(c.WRITER, 'verify', 'k.img', fmt, full, 'state')
    if status != 0:
        return f'judge: {status}: {out}'
    if fmt == 'qcow2' and shutil.which('qemu-img'):
        status, out = c.run('qemu-img', 'check', '-f', fmt, 'k.img')
        if status != 0:
            return f'qemu-img check: {status}: {out}'
        # and the image as it was found must be one that qemu-img opens and mends without loss
        status, out = c.run('qemu-img', 'check', '-r', 'all', '-f', fmt, 'killed.img')
        if status != 0:
            return f'qemu-img check -r all of the killed image: {status}: {out}'
    return ''


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    kinds = c.KINDS if len(sys.argv) < 3 else {sys.argv[2]: (c.KINDS | c.MORE)[sys.argv[2]]}
    bad = total = 0
    seed = random.randrange(1 << 30)
    print(f'first seed {seed}')
    with tempfile.TemporaryDirectory(prefix='rhea-kill9-', dir=c.SCRATCH) as d:
        os.chdir(d)
        for name, (fmt, options, plan) in kinds.items():
            for _ in range(rounds):
                seed += 1
                total += 1
                why = one(fmt, options, plan, seed)
                if why:
                    bad += 1
                    print(f'FAIL {name}, seed {seed}: {why}')
                    if os.environ.get('KEEP'):
                        shutil.copy('killed.img', f'/tmp/kill9-{seed}.img')
                        shutil.copy('state', f'/tmp/kill9-{seed}.state')
        os.chdir('/')
    print(f'{total} killed, {bad} with something lost, corrupt or leaked')
    return bad != 0


if __name__ == '__main__':
    sys.exit(main())
