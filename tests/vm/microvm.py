#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 240
"""microvm: a Linux kernel reaches its shell, finds its disks on virtio transports in memory, writes to them, reboots and
powers off; without ACPI, without the parts that can be left out; firmware of its own."""
import pathlib
import re
import subprocess
import tempfile

import media
from machine import EMULATOR, Failure, Machine, PROMPT, ROOT, check, guest_file, main

MODULES = ('virtio_ring', 'virtio', 'virtio_mmio', 'virtio_blk')
INIT = '''#!/bin/sh
export PATH=/sbin:/bin:/usr/sbin:/usr/bin HOME=/root TERM=vt100 PS1='rhea# '
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /root
mount -t devpts pts /dev/pts
dmesg -n 3
for m in %s; do insmod /mod/$m.ko; done
echo "Hello, microvm."
setsid cttyhack sh
''' % ' '.join(MODULES)


def make_initrd(folder):
    kernel = pathlib.Path(guest_file('cloud'))
    version = re.search(r'vmlinuz-cloud-(.*)', kernel.name)[1]
    package = media.fetch_package(f'linux-image-{version}', folder / 'package')
    adds = []
    for name in MODULES:
        for found in list(package.rglob(f'{name}.ko'))[:1]:
            adds += ['--add', f'{found}:/mod/{name}.ko']
    init, out = folder / 'init', folder / 'microvm.cpio'
    init.write_text(INIT)
    busybox = pathlib.Path(guest_file('initrd')).with_name('busybox')
    subprocess.run([ROOT / 'tools/mkinitrd.py', '--busybox', busybox, '--init', init, *adds, out], check=True)
    return out


def argv(*more, machine='microvm', append='console=ttyS0 panic=-1'):
    initrd = media.cached('microvm.cpio', (INIT, guest_file('cloud')), make_initrd)
    return [EMULATOR, '-M', machine, '-m', '256', '-nographic', '-kernel', guest_file('cloud'), '-initrd', initrd,
            '-append', append, *more]


def test_disks(show, tmp):
    for name, size in (('a', 8), ('b', 16)):
        with open(tmp / name, 'wb') as f:
            f.truncate(size << 20)
    disks = ['-drive', f'if=none,id=a,format=raw,file={tmp}/a', '-device', 'virtio-blk-device,drive=a,serial=first',
             '-drive', f'if=virtio,format=raw,file={tmp}/b']
    with show(Machine(argv(*disks))) as m:
        m.expect(r'Hello, microvm', 120)
        m.expect(PROMPT)
        sizes = m.command('cat /sys/block/vd*/size').split()
        check('disks', sorted(sizes), ['16384', '32768'])
        first = m.command('grep -l first /sys/block/vd*/serial').split('/')[3]
        m.command("head -c 4096 /dev/zero | tr '\\0' Z > /z")
        m.command(f'dd if=/z of=/dev/{first} bs=4k seek=5 conv=fsync')
        check('interrupts', 'virtio' in m.command('cat /proc/interrupts'), True)
        m.send('reboot -f\n')
        m.expect(r'Hello, microvm', 120)
        m.expect(PROMPT)
        m.send('poweroff -f\n')
        check('exit status after power-off', m.wait(60), 0)
    data = (tmp / 'a').read_bytes()[5 * 4096:6 * 4096]
    check('what the guest wrote', data == b'Z' * 4096, True)


def test_least(show):
    """All that can go is left out; a reset ends it."""
    with show(Machine(argv('-no-reboot', machine='microvm,acpi=off,rtc=off',
                           append='console=ttyS0 panic=-1 reboot=t'))) as m:
        m.expect(r'Hello, microvm', 120)
        m.expect(PROMPT)
        m.send('reboot -f\n')
        check('exit status after a reset', m.wait(60), 0)


def test_firmware(show):
    with show(Machine([EMULATOR, '-M', 'microvm', '-nographic', '-drive', 'if=virtio,driver=null-co,size=1M'])) as m:
        m.expect(r'SeaBIOS \(version', 60)
        m.expect(r'Booting from Hard Disk', 60)


def test_refusals():
    for args, words in ((['-M', 'microvm,pcie=on'], 'pcie=on'), (['-M', 'microvm,pitt=on'], "'pit'"),
                        (['-M', 'microvm', '-device', 'virtio-blk-pci'], "no 'PCI' bus"),
                        (['-M', 'microvm', '-vga', 'std'], 'no PCI bus'),
                        (['-M', 'microvm', '-serial', 'null', '-serial', 'null'], 'one serial port')):
        p = subprocess.run([EMULATOR, '-nographic', *args], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                           timeout=60, check=False)
        if p.returncode != 1 or words not in p.stderr.decode():
            raise Failure(f'{args}: exit status {p.returncode}, {p.stderr.decode()!r}')


def test(show):
    with tempfile.TemporaryDirectory() as tmp:
        test_disks(show, pathlib.Path(tmp))
    test_least(show)
    test_firmware(show)
    test_refusals()


main(test)
