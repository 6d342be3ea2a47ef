#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 600
"""On every disk controller: the emulator is killed (SIGKILL) in the middle of writing, and no block
that the guest had flushed is lost.

  powerfail.py [--rounds N] [CONTROLLER]...
"""
import argparse
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

import disks_guest
import media
from machine import BUILD, PATIENCE, PROMPT, Failure, Machine

BLOCKS, BLOCK, MIB = 2048, 4096, 1 << 20
HERE = pathlib.Path(__file__).resolve().parent
CONTROLLERS = {  # name: machine and arguments, the disk in the guest
    'virtio-blk': (['-device', 'virtio-blk-pci,drive=d'], 'vda'),
    'virtio-blk-iothread': (['-object', 'iothread,id=t', '-device', 'virtio-blk-pci,drive=d,iothread=t'], 'vda'),
    'virtio-blk-packed': (['-device', 'virtio-blk-pci,drive=d,packed=on'], 'vda'),
    'ide': (['-device', 'ide-hd,drive=d,bus=ide.0'], 'sda'),
    'sata': (['-M', 'q35', '-device', 'ide-hd,drive=d,bus=ide.0'], 'sda'),
    'nvme': (['-device', 'nvme,drive=d,serial=x'], 'nvme0n1'),
    'virtio-scsi': (['-device', 'virtio-scsi-pci', '-device', 'scsi-hd,drive=d'], 'sda'),
}


def writer():
    """The program that writes in the guest, linked statically."""
    path = BUILD / 'flushwriter'
    source = HERE / 'flushwriter.c'
    if not path.exists() or path.stat().st_mtime < source.stat().st_mtime:
        media.run('cc', '-O2', '-static', '-D_GNU_SOURCE', '-o', path, source)
    return path


def start(show, args, disk):
    m = show(Machine(disks_guest.argv('-smp', '2', '-drive', f'if=none,id=d,format=qcow2,file={disk}', *args,
                                      extra=[writer()])))
    m.expect(PROMPT, 120)
    m.command('load', 60)
    return m


def kill_while_writing(m, device, seconds):
    """Numbers that the guest said were flushed: all up to the first, and single ones."""
    m.send(f'flushwriter /dev/{device} {BLOCKS}\n')
    m.expect(r'^F \d+$', 60)
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        m.read(0.05)
    os.kill(m.pid, signal.SIGKILL)
    while m.read(0.5):
        pass
    os.waitpid(m.pid, 0)
    m.status = -9
    text = m.text().rpartition('\n')[0]
    flushed = [int(x) for x in re.findall(r'^F (\d+)$', text, re.M)]
    single = [int(x) for x in re.findall(r'^W (\d+)$', text, re.M)]
    return max(flushed), single


def check_image(disk, folder, flushed, single):
    media.run(BUILD / 'rhea-img', 'check', '-r', 'leaks', disk)
    raw = folder / 'flat.raw'
    media.run(BUILD / 'rhea-img', 'convert', '-O', 'raw', disk, raw)
    need = {}
    for seq in [*range(1, flushed + 1), *(s for s in single if s > flushed)]:
        at = (seq * 0x9e3779b97f4a7c15 % (1 << 64) >> 33) % BLOCKS
        need[at] = max(need.get(at, 0), seq)
    with open(raw, 'rb') as f:
        data = f.read(BLOCKS * BLOCK)
    for at, seq in need.items():
        words = set(struct.unpack(f'<{BLOCK // 8}Q', data[at * BLOCK:(at + 1) * BLOCK]))
        if len(words) != 1:
            raise Failure(f'block {at} is torn: {sorted(words)[:4]}')
        got = words.pop()
        if got < seq:
            raise Failure(f'block {at} holds write {got}, but write {seq} was flushed (all up to {flushed})')
    raw.unlink()
    return len(need)


def one(name, show, rng):
    args, device = CONTROLLERS[name]
    with tempfile.TemporaryDirectory(prefix='rhea-power.') as t:
        disk = pathlib.Path(t) / 'd.qcow2'
        media.run(BUILD / 'rhea-img', 'create', '-q', '-f', 'qcow2', disk, '64M')
        with start(show, args, disk) as m:
            flushed, single = kill_while_writing(m, device, rng.uniform(0.5, 2.5))
        blocks = check_image(disk, pathlib.Path(t), flushed, single)
    print(f'{name}: killed after {flushed} flushed writes to {blocks} blocks: none lost', flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument('--rounds', type=int, default=1)
    ap.add_argument('controllers', nargs='*', metavar='CONTROLLER')
    a = ap.parse_args()
    bad, rng = 0, random.Random(a.rounds)
    for name in list(a.controllers or CONTROLLERS) * a.rounds:
        machines = []

        def show(m, machines=machines):
            machines.append(m)
            return m
        try:
            one(name, show, rng)
        except (Failure, OSError, subprocess.SubprocessError) as e:
            bad += 1
            for m in machines[-1:]:
                print('\n'.join(m.text().splitlines()[-15:]))
            print(f'{name}: {e}', flush=True)
    return bad != 0


if __name__ == '__main__':
    sys.exit(main())
