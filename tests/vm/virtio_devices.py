#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
"""Linux drives virtio-scsi with disks and a CD-ROM (in the main loop and on an I/O thread), a random number
generator, a console and ports on virtio-serial, and a balloon that gives free pages back.

  virtio_devices.py [disks|iothread|serial|rng]..."""
import hashlib
import os
import pathlib
import re
import socket
import sys
import tempfile
import time

import media
import netguest
from machine import Failure, Machine, PROMPT, check, guest_file, main

MODULES = ('virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci', 'scsi_common',
           'scsi_mod', 'virtio_scsi', 'crct10dif_common', 'crc64', 'crc-t10dif', 'crc64-rocksoft', 't10-pi', 'sd_mod',
           'cdrom', 'sr_mod', 'virtio-rng', 'virtio_console', 'virtio_balloon')
INIT = '''#!/bin/sh
export PATH=/sbin:/bin:/usr/sbin:/usr/bin HOME=/root TERM=vt100 PS1='rhea# '
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /root /tmp
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
dmesg -n 3
for m in %s; do [ -f /mod/$m.ko ] && insmod /mod/$m.ko; done
cd /root
setsid cttyhack sh
poweroff -f
''' % ' '.join(MODULES)
MIB = 1 << 20


def initrd():
    return media.cached('virtio.cpio', (INIT, MODULES, guest_file('amd64')),
                        lambda folder: netguest.make_initrd(folder, MODULES, (), INIT))


def boot(show, *more):
    m = show(Machine([netguest.EMULATOR, '-m', '512', '-nographic', '-no-reboot', '-nodefaults', '-serial', 'stdio',
                      '-kernel', guest_file('amd64'), '-initrd', initrd(),
                      '-append', 'console=ttyS0 panic=-1 quiet', *more]))
    m.expect(PROMPT, 120)
    return m


def off(m):
    m.send('poweroff -f\n')
    check('exit status', m.wait(60), 0)


def wait_for(m, line, want, seconds=20):
    """Types the line until it prints what is wanted."""
    end = time.monotonic() + seconds
    while (got := m.command(line)) != want:
        if time.monotonic() > end:
            raise Failure(f'{line}: {got!r}, not {want!r}')
        time.sleep(0.2)


def sysfs(m, *pairs):
    for path, want in pairs:
        check(path, m.command(f'cat {path}').strip(), want)


def disks(show, folder, more, adapter):
    a, b, cd = (folder / n for n in ('a.raw', 'b.raw', 'cd.iso'))
    a.write_bytes(os.urandom(8 * MIB))
    b.write_bytes(b'\xaa' * 16 * MIB)
    cd.write_bytes(b'CD' * MIB)
    with boot(show, *more, '-device', f'virtio-scsi-pci,id=s0,num_queues=2{adapter}',
              '-drive', f'if=none,id=a,format=raw,file={a}',
              '-device', 'scsi-hd,drive=a,bus=s0.0,serial=RHEA1,wwn=0x5000c50015ea71ac,bootindex=1',
              '-drive', f'if=none,id=b,format=raw,discard=unmap,file={b}',
              '-device', 'scsi-hd,drive=b,scsi-id=5,lun=3,rotation_rate=1,vendor=Me,product=Mine,ver=9',
              '-drive', f'if=none,id=c,media=cdrom,format=raw,readonly=on,file={cd}',
              '-device', 'scsi-cd,drive=c') as m:
        wait_for(m, 'ls /dev/sda /dev/sdb /dev/sr0 2>&1', '/dev/sda  /dev/sdb  /dev/sr0')
        # Linux names them in the order in which its threads are done
        m.command('A=$(ls /sys/class/scsi_disk/*:0:0:0/device/block)')
        m.command('B=$(ls /sys/class/scsi_disk/*:0:5:3/device/block)')
        sysfs(m, ('/sys/block/$A/device/vendor', 'QEMU'), ('/sys/block/$A/device/model', 'QEMU HARDDISK'),
              ('/sys/block/$A/device/wwid', 'naa.5000c50015ea71ac'), ('/sys/block/$A/size', '16384'),
              ('/sys/block/$A/queue/rotational', '1'), ('/sys/block/$B/queue/rotational', '0'),
              ('/sys/block/$B/device/rev', '9'), ('/sys/block/$B/device/model', 'Mine'),
              ('/sys/block/$B/queue/discard_granularity', '4096'), ('/sys/block/sr0/size', '4096'),
              ('/sys/block/$A/queue/write_cache', 'write back'))
        check('place', m.command('basename $(readlink /sys/block/$B/device)')[-6:], ':0:5:3')
        check('serial', m.command('tail -c 5 /sys/block/$A/device/vpd_pg80'), 'RHEA1')
        m.command('cd /sys/block/$A/device/scsi_disk/*')
        m.command('echo write through >cache_type')
        sysfs(m, ('cache_type', 'write through'), ('/sys/block/$A/queue/write_cache', 'write through'))
        m.command('cd; dd if=/dev/$A of=/tmp/d bs=1M 2>&1')
        m.command('dd if=/tmp/d of=/dev/$B bs=64k oflag=direct 2>&1; sync')
        sums = m.command('md5sum </tmp/d; head -c 8388608 /dev/$B|md5sum').split()
        check('the copy', sums[0], sums[2])
        check('rest', m.command('tail -c 3 /dev/$B | od -An -tx1').strip(), 'aa aa aa')
        check('discard', m.command('blkdiscard -o 8388608 /dev/$B && echo ok'), 'ok')
        m.command('echo 3 >/proc/sys/vm/drop_caches')
        check('rest', m.command('tail -c 3 /dev/$B | od -An -tx1').strip(), '00 00 00')
        check('CD', m.command('tail -c 4 /dev/sr0'), 'CDCD')
        check('CD', m.command('md5sum </dev/sr0').split()[0],
              hashlib.md5(cd.read_bytes()).hexdigest())
        m.command('echo 1 >/sys/block/$B/device/delete')
        check('deleted', m.command('ls /sys/block | grep -c $B'), '0')
        m.command('echo "- - -" >/sys/class/scsi_host/host0/scan')
        wait_for(m, 'cat /sys/class/scsi_disk/*:0:5:3/device/block/*/size', '32768')
        off(m)
    check('what the host sees', b.read_bytes(), a.read_bytes() + bytes(8 * MIB))


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(str(path))
    return s


def read_until(s, want):
    got = b''
    while want not in got:
        data = s.recv(4096)
        if not data:
            raise Failure(f'closed before {want!r}: {got!r}')
        got += data
    return got


def serial(show, folder):
    console, port = folder / 'console', folder / 'port'
    with boot(show, '-device', 'virtio-serial-pci,id=ser0',
              '-chardev', f'socket,id=c0,path={console},server=on,wait=off', '-device', 'virtconsole,chardev=c0',
              '-chardev', f'socket,id=c1,path={port},server=on,wait=off',
              '-device', 'virtserialport,bus=ser0.0,nr=4,chardev=c1,name=org.rhea.0') as m:
        sysfs(m, ('/sys/class/virtio-ports/vport0p4/name', 'org.rhea.0'))
        c = connect(console)
        m.command("PS1='hvc$ ' setsid sh </dev/hvc0 >/dev/hvc0 2>&1 &")
        read_until(c, b'hvc$ ')
        c.sendall(b'echo $((6*7))\n')
        read_until(c, b'\r\n42\r\n')
        p = connect(port)
        m.command('seq 20000 >/dev/vport0p4 &')
        time.sleep(0.5)  # the guest waits: the host has not read
        want = ''.join(f'{i}\n' for i in range(1, 20001)).encode()
        check('from the port', read_until(p, b'\n20000\n'), want)
        wait_for(m, 'ps | grep -c "[s]eq 20000"', '0')
        m.command('cat /dev/vport0p4 >/tmp/in &')
        p.sendall(want * 5)
        wait_for(m, 'wc -c </tmp/in', str(5 * len(want)))
        p.close()  # the reader in the guest finds an end of file
        wait_for(m, 'ps | grep -c "[c]at /dev/vport"', '0')
        off(m)


def resident(m):
    """MiB"""
    return int(re.search(r'VmRSS:\s+(\d+)', pathlib.Path(f'/proc/{m.pid}/status').read_text())[1]) >> 10


def rng_and_balloon(show):
    with boot(show, '-object', 'rng-random,id=r0,filename=/dev/urandom', '-device', 'virtio-rng-pci,rng=r0',
              '-device', 'virtio-balloon-pci,free-page-reporting=on') as m:
        sysfs(m, ('/sys/class/misc/hw_random/rng_current', 'virtio_rng.0'))
        check('different bytes', int(m.command('head -c 4096 /dev/hwrng | od -An -v -tx1 -w1 | sort -u | wc -l')) > 200,
              True)
        m.command('dd if=/dev/zero of=/tmp/big bs=1M count=150 2>&1')
        full = resident(m)
        m.command('rm /tmp/big')
        end = time.monotonic() + 30
        while resident(m) > full - 120:
            if time.monotonic() > end:
                raise Failure(f'{full} MiB resident with 150 in use, {resident(m)} later')
            time.sleep(0.5)
        off(m)


def test(show):
    with tempfile.TemporaryDirectory() as t:
        folder = pathlib.Path(t)
        cases = {
            'disks': lambda: disks(show, folder, [], ''),
            'iothread': lambda: disks(show, folder, ['-smp', '2', '-object', 'iothread,id=io0'], ',iothread=io0'),
            'serial': lambda: serial(show, folder),
            'rng': lambda: rng_and_balloon(show),
        }
        for name in sys.argv[1:] or cases:
            cases[name]()


main(test)
