#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Speed of a disk inside a guest, against Debian's QEMU: fio on virtio-blk under translation.

Each round boots each emulator once per image and runs all rows; rounds alternate between the
emulators, and the table shows medians. Images are preallocated and lie in the host's page cache.
The row's unit is requests per second, of the sequential ones MiB per second; "cpu" is the emulator's
CPU time per request, of the sequential ones per MiB.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from benchlib import HERE, ROOT, WORK, median, number, ratio, tool

ROWS = [('randread-1', 'randread', '4k', 1), ('randread-32', 'randread', '4k', 32),
        ('randwrite-1', 'randwrite', '4k', 1), ('randwrite-32', 'randwrite', '4k', 32),
        ('read', 'read', '1M', 4), ('write', 'write', '1M', 4)]
MODULES = ['virtio/virtio_ring', 'virtio/virtio', 'virtio/virtio_pci_legacy_dev', 'virtio/virtio_pci_modern_dev',
           'virtio/virtio_pci', 'block/virtio_blk']


def modules():
    """The folder of the modules of the cloud kernel, installed or unpacked from its package."""
    for base in (pathlib.Path('/'), pathlib.Path(os.environ.get('RHEA_CACHE', ROOT / 'build/guest'))):
        found = sorted(base.glob('lib/modules/*-cloud-amd64/kernel/drivers'))
        if found and (found[-1] / 'block/virtio_blk.ko').exists():
            return found[-1], found[-1].parts[-3]
    sys.exit('bench_dev: no modules of a cloud kernel here; install linux-image-cloud-amd64')


def build_initrd():
    out = WORK / 'fio.cpio'
    drivers, version = modules()
    fio = shutil.which('fio') or sys.exit('bench_dev: no fio here; install the package fio')
    text = subprocess.run(['ldd', fio], stdout=subprocess.PIPE, check=True, encoding='utf-8').stdout
    libs = re.findall(r'(/\S+) \(0x', text)
    adds = [f'{drivers}/{m}.ko:/m/{os.path.basename(m)}.ko' for m in MODULES]
    adds += [f'{fio}:/usr/bin/fio'] + [f'{os.path.realpath(x)}:{x}' for x in libs]
    WORK.mkdir(parents=True, exist_ok=True)
    tool(ROOT / 'tools/guest', 'initrd')  # leaves busybox beside it
    cache = pathlib.Path(os.environ.get('RHEA_CACHE', ROOT / 'build/guest'))
    tool(ROOT / 'tools/mkinitrd.py', '--busybox', cache / 'busybox', '--init', HERE / 'bench_dev.init',
         *[x for a in adds for x in ('--add', a)], out)
    kernel = pathlib.Path(f'/boot/vmlinuz-{version}')
    return out, kernel if kernel.exists() else cache / f'vmlinuz-cloud-{version}'


def build_images(folder, megabytes):
    raw, qcow2 = folder / 'disk.raw', folder / 'disk.qcow2'
    with open(raw, 'wb') as f:
        for _ in range(megabytes):
            f.write(os.urandom(1 << 20))
    tool(ROOT / 'build/rhea-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, qcow2)
    return {'raw': raw, 'qcow2': qcow2}


def cpu_of(pid):
    return time.clock_gettime((~pid << 3) | 2)


def boot(emulator, options, kernel, initrd, image, image_format, rows, a):
    """{row: (speed, CPU seconds per unit)} of one boot."""
    spec = ','.join(f'{n}:{rw}:{bs}:{depth}' for n, rw, bs, depth in rows)
    argv = [emulator, '-m', '768', '-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-no-reboot', '-nic',
            'none', '-kernel', kernel, '-initrd', initrd, '-append',
            f'console=ttyS0 panic=-1 quiet rows={spec} seconds={a.seconds}',
            '-drive', f'if=none,id=d0,file={image},format={image_format},cache={a.cache}',
            '-device', f'virtio-blk-pci,drive=d0{a.device}', *a.option, *options]
    out, began, used = {}, {}, {}
    with subprocess.Popen([str(x) for x in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          encoding='utf-8', errors='replace') as p:
        try:
            for line in p.stdout:
                word = line.split()
                if line.startswith('@begin'):
                    began[word[1]] = cpu_of(p.pid)
                elif line.startswith('@row'):
                    used[word[1]] = cpu_of(p.pid) - began[word[1]]
                    out[word[1]] = parse(word[1], line.split(' ', 2)[2], used[word[1]], rows)
                elif line.startswith('@end'):
                    break
        finally:
            p.kill()
    missing = [r[0] for r in rows if r[0] not in out]
    if missing:
        sys.exit(f'bench_dev: {emulator} gave no figures for {", ".join(missing)}')
    return out


def parse(name, line, cpu, rows):
    f = line.split(';')
    row = next(r for r in rows if r[0] == name)
    at = 46 if 'write' in row[1] else 5  # KiB moved, bandwidth in KiB/s, requests/s, ms
    kib, bandwidth, iops = float(f[at]), float(f[at + 1]), float(f[at + 2])
    # the ramp's second uses CPU, too
    if row[2] == '1M':
        return bandwidth / 1024, cpu / (kib / 1024)
    return iops, cpu / (kib / 4)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--rounds', type=int, default=3)
    ap.add_argument('--seconds', type=int, default=3, help='of each row')
    ap.add_argument('--size', type=int, default=512, help='MiB of the image')
    ap.add_argument('--formats', default='raw,qcow2')
    ap.add_argument('--rows', default='', help='some of: ' + ' '.join(r[0] for r in ROWS))
    ap.add_argument('--cache', default='writeback')
    ap.add_argument('--device', default='', help='more properties of the disk: ,num-queues=2')
    ap.add_argument('--option', action='append', default=[], help='more options for both emulators')
    ap.add_argument('--alone', action='store_true', help='Rhea alone')
    ap.add_argument('--rhea', default=str(ROOT / 'build/rhea-system-x86_64'))
    a = ap.parse_args()
    a.option = [w for o in a.option for w in o.split()]
    rows = [r for r in ROWS if not a.rows or r[0] in a.rows.split(',')]
    emulators = [('rhea', a.rhea, [])]
    if not a.alone:
        qemu = shutil.which('qemu-system-x86_64')
        if qemu:
            emulators.append(('qemu', qemu, ['-accel', 'tcg']))
        else:
            print('bench_dev: no qemu-system-x86_64 here: Rhea alone')
    initrd, kernel = build_initrd()
    with tempfile.TemporaryDirectory(dir='/var/tmp') as folder:
        images = build_images(pathlib.Path(folder), a.size)
        print(f'{"image":<7}{"row":<14}{"rhea":>10}{"cpu us":>9}' +
              (f'{"qemu":>10}{"cpu us":>9}{"rhea/qemu":>11}' if len(emulators) > 1 else ''))
        for image_format in a.formats.split(','):
            got = {}
            for _ in range(a.rounds):
                for name, emulator, options in emulators:
                    one = boot(emulator, options, kernel, initrd, images[image_format], image_format, rows, a)
                    for row, value in one.items():
                        got.setdefault((name, row), []).append(value)
            for row in rows:
                line = f'{image_format:<7}{row[0]:<14}'
                speeds = []
                for name, _, _ in emulators:
                    speed = median([v[0] for v in got[name, row[0]]])
                    cpu = median([v[1] for v in got[name, row[0]]])
                    speeds.append(speed)
                    line += f'{speed:10.0f}{cpu * 1e6:9.1f}'
                if len(speeds) > 1:
                    line += f'{number(ratio(speeds[0], speeds[1]), "{:.2f} x"):>11}'
                print(line, flush=True)


main()
