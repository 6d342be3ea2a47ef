#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 600
"""Linux reads and writes disks on IDE, AHCI and NVMe and mounts a CD; patterns are compared with
the image. "disks.py qemu" does the same with the qemu-system-x86_64 of the host."""
import hashlib
import os
import struct
import sys
import tempfile

import disks_guest
from machine import EMULATOR, Failure, Machine, PROMPT, check, main

SIZE = 32 << 20
QEMU = sys.argv[1:] == ['qemu']
emulator = '/usr/bin/qemu-system-x86_64' if QEMU else EMULATOR


def make_disk(folder, name):
    """An image that no two sectors of are alike, nor like any of another image."""
    path = os.path.join(folder, name)
    with open(path, 'wb') as f:
        for i in range(SIZE // 512):
            f.write(struct.pack('<Q8s', i, name.encode()) * 32)
    return path


def both(fmt, v):
    return struct.pack('<' + fmt, v) + struct.pack('>' + fmt, v)


def record(name, block, size, flags):
    """A directory record (ECMA-119 9.1)."""
    r = (b'\0' + both('I', block) + both('I', size) + bytes([126, 11, 21, 0, 0, 0, 0, flags, 0, 0]) +
         both('H', 1) + bytes([len(name)]) + name)
    r += b'\0' * (len(r) & 1 ^ 1)
    return bytes([len(r) + 1]) + r


def make_iso(folder, text):
    """ISO 9660 with one file, HELLO.TXT."""
    root = record(b'\0', 20, 2048, 2)
    entries = root + record(b'\1', 20, 2048, 2) + record(b'HELLO.TXT;1', 21, len(text), 0)
    pvd = (b'\1CD001\1\0' + b' ' * 32 + b'RHEA'.ljust(32) + bytes(8) + both('I', 400) + bytes(32) +
           both('H', 1) + both('H', 1) + both('H', 2048) + both('I', 10) +
           struct.pack('<I', 18) + bytes(4) + struct.pack('>I', 19) + bytes(4) + root)
    pvd = pvd.ljust(881, b' ') + b'\1'
    path_table = bytes([1, 0]) + struct.pack('<I', 20) + struct.pack('<H', 1) + b'\0\0'
    path = os.path.join(folder, 'cd.iso')
    blocks = [bytes(2048)] * 400
    blocks[16], blocks[17], blocks[18] = pvd, b'\xffCD001\1', path_table
    blocks[20], blocks[21] = entries, text
    with open(path, 'wb') as f:
        f.write(b''.join(b.ljust(2048, b'\0') for b in blocks))
    return path


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


def try_disk(m, dev, image):
    check(f'{dev}: content', m.command(f'sha256sum {dev}', 90).split()[0], digest(image))
    # one pattern by large direct writes at an odd sector, one through the page cache, then flush
    m.command('dd if=/dev/urandom of=/tmp/p bs=64k count=64 2>/dev/null', 60)
    m.command(f'dd if=/tmp/p of=/tmp/q bs=4096 count=1000 2>/dev/null; dd if=/tmp/q of={dev} bs=512 seek=4001 '
              'conv=notrunc,fsync 2>/dev/null', 90)
    m.command(f'dd if=/tmp/p of={dev} bs=1M seek=16 oflag=direct conv=fsync 2>/dev/null', 90)
    want = m.command('cat /tmp/q /tmp/p | sha256sum', 60).split()[0]
    with open(image, 'rb') as f:
        data = f.read()
    got = data[4001 * 512:4001 * 512 + 4096 * 1000] + data[16 << 20:20 << 20]
    check(f'{dev}: which', data[8:16], os.path.basename(image).encode().ljust(8, b'\0')[:8])
    check(f'{dev}: written', hashlib.sha256(got).hexdigest(), want)
    check(f'{dev}: the sector before', struct.unpack_from('<Q', data, 4000 * 512)[0], 4000)
    check(f'{dev}: the sector behind', struct.unpack_from('<Q', data, 20 << 20)[0], 20 << 11)
    m.command('echo 3 > /proc/sys/vm/drop_caches')
    check(f'{dev}: read back', m.command(f'sha256sum {dev}', 90).split()[0], digest(image))
    check(f'{dev}: discard', m.command(f'blkdiscard -o 1048576 -l 65536 {dev}; echo $?'), '0')


def try_cd(m, image):
    check('CD: content', m.command('sha256sum /dev/sr0', 60).split()[0], digest(image))
    check('CD: mount', m.command('mount -t iso9660 /dev/sr0 /mnt && cat /mnt/hello.txt'), 'hello from the CD')
    m.command('umount /mnt')
    check('CD: eject', m.command('eject /dev/sr0; echo $?'), '0')
    if 'status' not in m.command('dd if=/dev/sr0 of=/dev/null count=1 2>&1; echo status $?'):
        raise Failure('no answer after the eject')
    check('CD: load', m.command('eject -t /dev/sr0; echo $?'), '0')


def tool(m, line, *wanted):
    text = m.command(line, 60)
    for w in wanted:
        if w not in text:
            raise Failure(f'{line}: no {w!r} in\n{text}')


def scsi_disk(m, address):
    """Drives are found side by side, so that letters tell nothing."""
    return '/dev/' + m.command(f'ls /sys/bus/scsi/devices/{address}/block')


def boot(show, argv):
    m = Machine(disks_guest.argv(*argv, emulator=emulator))
    show(m)
    m.expect(PROMPT, 180)
    m.command('stty cols 250; mkdir -p /mnt; load', 90)
    return m


def no_complaints(m):
    """What the kernel says of a controller or drive that misbehaves."""
    text = m.command("dmesg | grep -Ei 'exception|failed command|I/O error|timeout|hard resetting' | "
                     "grep -v sr0 | head")
    if text:
        raise Failure(f'the kernel complains:\n{text}')


def try_pc(show, folder):
    image, iso = make_disk(folder, 'ide.img'), make_iso(folder, b'hello from the CD\n')
    slave = make_disk(folder, 'slave.img')
    with boot(show, ['-machine', 'pc', '-drive', f'file={image},format=raw',
                     '-drive', f'file={slave},format=raw,index=1', '-cdrom', iso]) as m:
        sda, sdb = scsi_disk(m, '0:0:0:0'), scsi_disk(m, '0:0:1:0')
        try_disk(m, sda, image)
        try_disk(m, sdb, slave)
        try_cd(m, iso)
        tool(m, f'hdparm -I {sda}', 'Model Number:       QEMU HARDDISK', 'Serial Number:      QM00001',
             '48-bit Address', 'FLUSH_CACHE_EXT', 'Checksum: correct')
        tool(m, f'smartctl -H -i {sdb}', 'PASSED', 'QM00002')
        tool(m, f'hdparm -W0 {sda}', '0 (off)')
        no_complaints(m)


def try_q35(show, folder):
    image, iso = make_disk(folder, 'ahci.img'), make_iso(folder, b'hello from the CD\n')
    nvme = make_disk(folder, 'nvme.img')
    with boot(show, ['-machine', 'q35', '-smp', '2', '-drive', f'file={image},format=raw', '-cdrom', iso,
                     '-drive', f'file={nvme},format=raw,if=none,id=n0',
                     '-device', 'nvme,drive=n0,serial=n-0']) as m:
        try_disk(m, '/dev/sda', image)
        try_cd(m, iso)
        try_disk(m, '/dev/nvme0n1', nvme)
        tool(m, 'hdparm -I /dev/sda', 'QM00001', 'NCQ', 'Checksum: correct')
        tool(m, 'smartctl -H -i /dev/sda', 'PASSED', 'SATA')
        tool(m, 'nvme id-ctrl /dev/nvme0', 'n-0', 'QEMU NVMe Ctrl')
        tool(m, 'nvme smart-log /dev/nvme0', 'critical_warning\t\t\t: 0')
        no_complaints(m)


def test(show):
    with tempfile.TemporaryDirectory(prefix='rhea-disks.') as folder:
        try_pc(show, folder)
        try_q35(show, folder)


main(test)
