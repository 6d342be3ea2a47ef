#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
"""Filters by rhea-io and by qemu-io: the same command lines on the same images give the same output
and leave the same contents; a log of writes of ours replays to the same disk."""
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve()
OURS = str(BUILD / 'rhea-io')
THEIRS = shutil.which('qemu-io')

CONFIGS = {
    'alloc': '[inject-error]\nevent = "cluster_alloc"\nerrno = "28"\nonce = "off"\n',
    'once': '[inject-error]\nevent = "none"\niotype = "read"\nsector = "16"\nerrno = "5"\n'
            'once = "on"\n',
    'state': '# two steps\n[set-state]\nevent = "pwritev"\nstate = "1"\nnew_state = "2"\n\n'
             '[inject-error]\nevent = "read_aio"\nstate = "2"\nerrno = "28"\n',
}
RAW3 = ','.join(f'children.{i}.driver=raw,children.{i}.file.filename={n}.raw'
                for i, n in enumerate('abc'))
BLKDEBUG = 'driver=blkdebug,image.driver=file,image.filename=a.raw'
RULE = 'inject-error.0.event=none,inject-error.0'  # and a member

# commands, then arguments
CASES = [
    (['write -P 1 0 4k', 'read -P 1 0 4k', 'read 8k 512', 'read 8k 512'], 'blkdebug:once:a.raw',
     '-f', 'raw'),
    (['write -P 1 0 4k', 'read -P 1 0 4k', 'read 4k 4k'], '--image-opts',
     'driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=q.qcow2,'
     'file.inject-error.0.event=read_aio,file.inject-error.0.errno=28,'
     'file.inject-error.0.once=on'),
    (['write -P 1 0 4k', 'write -z 4k 4k', 'read -P 5 4k 4k'], '--image-opts',
     f'{BLKDEBUG},{RULE}.iotype=write-zeroes'),
    (['write -P 1 0 4k', 'discard 0 64k', 'read -P 1 0 4k'], '-d', 'unmap', '--image-opts',
     f'{BLKDEBUG},{RULE}.iotype=discard'),
    (['write -P 1 100 4k', 'read -P 1 100 4k', 'read -P 5 0 100'], '--image-opts',
     f'{BLKDEBUG},align=4096'),
    (['write -P 1 100 70k', 'read -P 1 100 70k'], '--image-opts', f'{BLKDEBUG},max-transfer=8k'),
    (['write -P 1 0 4k', 'read -P 1 0 4k'], '--image-opts',
     f'driver=quorum,vote-threshold=2,{RAW3}'),
    (['read -P 0 0 4k', 'read -P 5 0 4k', 'read -P 9 1M 4k'], '--image-opts',
     f'driver=quorum,vote-threshold=2,{RAW3}'),
    (['read -P 5 0 4k'], '--image-opts', f'driver=quorum,vote-threshold=3,{RAW3}'),
    (['read -P 5 0 4k'], '--image-opts', f'driver=quorum,vote-threshold=3,read-pattern=fifo,{RAW3}'),
    (['read -P 0 0 4k', 'write 1M 64k'], '--image-opts',
     f'driver=quorum,vote-threshold=2,rewrite-corrupted=on,{RAW3}'),
    (['read -P 0 0 4k'], '--image-opts', f'driver=quorum,vote-threshold=4,{RAW3}'),
    (['write -P 1 0 4k', 'read -P 1 0 4k', 'map'], '--object',
     'throttle-group,id=g,x-iops-total=1000', '--image-opts',
     'driver=throttle,throttle-group=g,file.driver=qcow2,file.file.filename=q.qcow2'),
    (['read -P 5 0 128k', 'alloc 0 4M', 'map'], '--image-opts',
     'driver=copy-on-read,file.driver=qcow2,file.file.filename=o.qcow2'),
    (['read -P 5 64k 4k', 'read -P 5 200k 100k', 'map'], '-C', 'o.qcow2'),
    (['write -P 3 0 128k', 'read -P 3 0 128k', 'map'], '--image-opts',
     'driver=compress,file.driver=qcow2,file.file.filename=q.qcow2'),
    # (zeroing through blkverify aborts qemu-io 7.2)
    (['write -P 3 0 128k', 'read -P 3 0 128k', 'write -P 4 100k 100', 'read -P 4 100k 100'],
     'blkverify:z.raw:q.qcow2'),
    (['write -P 3 0 128k', 'read -P 3 0 128k', 'map'], '--image-opts',
     'driver=qcow2,file.driver=preallocate,file.file.driver=file,file.file.filename=q.qcow2'),
]


def prepare(folder):
    folder.mkdir()
    for name, byte in (('a', 5), ('b', 0), ('c', 0), ('z', 0)):
        (folder / f'{name}.raw').write_bytes(bytes([byte]) * (2 << 20) + bytes(2 << 20))
    for name, text in CONFIGS.items():
        (folder / name).write_text(text)
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', 'q.qcow2', '4M'], cwd=folder,
                   check=True)
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', 'a.raw', '-F', 'raw',
                    'o.qcow2'], cwd=folder, check=True)


def run(program, folder, case):
    prepare(folder)
    commands = [a for c in case[0] for a in ('-c', c)]
    p = subprocess.run([program, *commands, *case[1:]], cwd=folder, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=30, check=False)
    out = re.sub(r'[\d.]+ sec.*', '', p.stdout.decode())
    out = re.sub(r'^(qemu|rhea)-io: ', '', out, flags=re.M)
    left = {}
    for path in sorted(folder.glob('*.raw')):
        left[path.name] = path.read_bytes()
    for name in ('q.qcow2', 'o.qcow2'):
        if name not in ' '.join(case[1:]):
            continue
        subprocess.run(['qemu-img', 'convert', '-O', 'raw', name, 'out'], cwd=folder, check=True)
        left[name] = (folder / 'out').read_bytes()
        q = subprocess.run(['qemu-img', 'check', '-q', name], cwd=folder, check=False)
        left[name + ' check'] = q.returncode
    return out, p.returncode, left


def compare(folder):
    bad = 0
    for i, case in enumerate(CASES):
        ours = run(OURS, folder / f'{i}r', case)
        theirs = run(THEIRS, folder / f'{i}q', case)
        # a hint follows our errors
        first = re.sub(r'(can\'t open[^;\n]*);.*', r'\1', ours[0])
        if first != theirs[0] or ours[1] != theirs[1]:
            bad += 1
            print(f'{case}:\n--- ours ({ours[1]})\n{ours[0]}--- theirs ({theirs[1]})\n{theirs[0]}')
        for name in theirs[2]:
            if ours[2][name] != theirs[2][name]:
                bad += 1
                print(f'{case}: {name} was left differently')
        shutil.rmtree(folder / f'{i}r')
        shutil.rmtree(folder / f'{i}q')
    return bad


def replay(folder):
    """What the log of writes says, done again on an empty file."""
    (folder / 'd.raw').write_bytes(bytes(4 << 20))
    (folder / 'log').write_bytes(b'')
    commands = ['write -P 1 0 64k', 'write -P 2 100k 3000', 'write -z 32k 8k', 'flush',
                'aio_write -P 3 1M 1M', 'aio_write -P 4 2M 1M', 'aio_flush', 'write -f 3M 512']
    subprocess.run([OURS, *[a for c in commands for a in ('-c', c)], '--image-opts',
                    'driver=blklogwrites,file.driver=file,file.filename=d.raw,log.driver=file,'
                    'log.filename=log'], cwd=folder, stdout=subprocess.DEVNULL, check=True)
    log, disk = (folder / 'log').read_bytes(), bytearray(4 << 20)
    magic, version, entries, size = struct.unpack_from('<QQQI', log)
    if (magic, version) != (0x6a736677736872, 1):
        print(f'the log begins {magic:#x} {version}')
        return 1
    at = size
    for _ in range(entries):
        sector, count, flags = struct.unpack_from('<QQQ', log, at)
        at += size
        if not flags & 4:
            disk[sector * size:(sector + count) * size] = log[at:at + count * size]
            at += count * size
    if disk != (folder / 'd.raw').read_bytes():
        print('the log does not replay to the disk')
        return 1
    return 0


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        bad = replay(folder)
        if THEIRS and shutil.which('qemu-img'):
            bad += compare(folder)
        else:
            print('filters: qemu-io or qemu-img is missing, nothing is compared')
    print(f'filters: {len(CASES)} cases, {bad} wrong')
    return bad != 0


sys.exit(main())
