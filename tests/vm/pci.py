#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 600
"""Linux sees the PCI devices of pc and q35, behind bridges and ports too, and hears their interrupts by
MSI-X, through the I/O APIC and through the 8259s; what it reads from their disks is right. Three of the six
combinations; "pci.py all" runs them all."""
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import media
from machine import EMULATOR, Failure, Machine, PROMPT, ROOT, check, guest_file, main

MODULES = ('virtio_pci', 'virtio_blk', 'ata_piix', 'ahci', 'sd_mod')
INIT = '''#!/bin/sh
export PATH=/sbin:/bin:/usr/sbin:/usr/bin HOME=/root TERM=vt100 PS1='rhea# '
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
dmesg -n 3
for m in %s; do insmod /mod/$m.ko; done
echo "Hello, PCI."
setsid cttyhack sh
poweroff -f
'''
BOARDS = {
    'pc': ['-device', 'pci-bridge,id=br,chassis_nr=1,addr=5',
           '-device', 'pci-bridge,id=br2,bus=br,chassis_nr=2,addr=3',
           '-device', 'virtio-blk-pci,drive=b,bus=br2,addr=9'],
    'q35': ['-device', 'pcie-root-port,id=rp1,chassis=1,addr=5.0,multifunction=on',
            '-device', 'pcie-root-port,id=rp2,chassis=2,addr=5.1',
            '-device', 'x3130-upstream,id=up,bus=rp2',
            '-device', 'xio3130-downstream,id=down,bus=up,chassis=3,slot=4',
            '-device', 'virtio-blk-pci,drive=b,bus=down'],
}
MODES = {
    'msi': ('', 'PCI-MSI'),
    'ioapic': ('pci=nomsi', 'IO-APIC'),
    'pic': ('pci=nomsi noapic', 'XT-PIC'),
}
SOME = (('pc', 'pic'), ('q35', 'msi'), ('q35', 'ioapic'))


def depends(path):
    """Names of the modules that a module file says it needs."""
    found = re.search(rb'\0depends=([^\0]*)\0', path.read_bytes())
    return [n for n in found[1].decode().split(',') if n] if found else []


def make_initrd(folder):
    kernel = pathlib.Path(guest_file('amd64'))
    version = re.search(r'vmlinuz-amd64-(.*)', kernel.name)[1]
    package = media.fetch_package(f'linux-image-{version}', folder / 'package')
    files = {p.name[:-3].replace('-', '_'): p for p in package.rglob('*.ko')}
    order = []

    def add(name):
        name = name.replace('-', '_')
        if name in order or name not in files:
            return
        for other in depends(files[name]):
            add(other)
        order.append(name)
    for name in ('crct10dif_generic', 'crc64_rocksoft_generic') + MODULES:
        add(name)
    init = folder / 'init'
    init.write_text(INIT % ' '.join(order))
    adds = [a for n in order for a in ('--add', f'{files[n]}:/mod/{n}.ko')]
    out = folder / 'pci.cpio'
    busybox = pathlib.Path(guest_file('initrd')).with_name('busybox')
    subprocess.run([ROOT / 'tools/mkinitrd.py', '--busybox', busybox, '--init', init, *adds, out], check=True)
    return out


def boot(show, folder, initrd, board, mode, digests):
    words, virtio = MODES[mode]
    argv = [EMULATOR, '-M', board, '-m', '512', '-nographic', '-no-reboot', '-nic', 'none', '-vga', 'none',
            '-kernel', guest_file('amd64'), '-initrd', initrd, '-append', f'console=ttyS0 panic=-1 {words}']
    for n in 'ab':
        argv += ['-drive', f'if=none,id={n},file={folder}/{n}.img,format=raw']
    argv += ['-drive', f'file={folder}/c.img,format=raw,if=ide,index=0',
             '-device', 'virtio-blk-pci,drive=a,addr=8', *BOARDS[board]]
    with show(Machine(argv)) as m:
        m.expect(r'Hello, PCI', 120)
        m.expect(PROMPT)
        for name, disk in (('a', 'vda'), ('b', 'vdb'), ('c', 'sda')):
            m.command(f'while [ ! -e /dev/{disk} ]; do sleep 0.2; done', 30)
            got = m.command(f'sha256sum /dev/{disk}', 60).split()[0]
            if got not in digests:
                raise Failure(f'{board}, {mode}: /dev/{disk} does not have what is in {name}.img')
        lines = [l for l in m.command('cat /proc/interrupts').splitlines() if 'virtio' in l]
        if not lines or not all(virtio in l for l in lines):
            raise Failure(f'{board}, {mode}: not by {virtio}: {lines}')
        if mode == 'msi':
            functions = m.command('cd /sys/bus/pci/devices; grep . */vendor')
            check(f'{board}: functions', functions.count('0x1af4'), 2)
            deepest = '0000:02:09.0' if board == 'pc' else '0000:04:00.0'
            if deepest not in functions:
                raise Failure(f'{board}: no {deepest} in {functions}')
        m.send('poweroff -f\n')
        check(f'{board}, {mode}: exit status', m.wait(60), 0)


def test(show):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        initrd = make_initrd(folder)
        digests = set()
        for disk in 'abc':
            data = os.urandom(4 << 20)
            (folder / f'{disk}.img').write_bytes(data)
            digests.add(hashlib.sha256(data).hexdigest())
        every = [(b, m) for b in BOARDS for m in MODES]
        for board, mode in every if 'all' in sys.argv[1:] else SOME:
            boot(show, folder, initrd, board, mode, digests)


main(test)
