#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 1500
"""A real Debian, made by debootstrap on a qcow2 image with GRUB, on every disk controller, by BIOS and
by UEFI, with two processors: login on the serial port, a package from a server on the host's
loopback, reboot, power-off; then the image and the file system on it are checked from outside.

  debian.py [--accel NAME] [--full] [CASE]...     cases: bios-virtio bios-ide ... uefi-nvme; default: all

The package and the reboot are part of FULL's cases, of the others with --full.
"""
import argparse
import functools
import http.server
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import media
from machine import BUILD, EMULATOR, Failure, Machine, check

OVMF = pathlib.Path('/usr/share/OVMF')
PROMPT = r'guest# '
NET = ['-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0']
CONTROLLERS = {  # name: machine, arguments, the disk in the guest
    'virtio': ('pc', ['-device', 'virtio-blk-pci,drive=d0,bootindex=1'], 'vda'),
    'sata': ('q35', ['-device', 'ide-hd,drive=d0,bus=ide.0,bootindex=1'], 'sda'),
    'ide': ('pc', ['-device', 'ide-hd,drive=d0,bus=ide.0,bootindex=1'], 'sda'),
    'nvme': ('q35', ['-device', 'nvme,drive=d0,serial=rhea,bootindex=1'], 'nvme0n1'),
    'scsi': ('pc', ['-device', 'virtio-scsi-pci,id=s0', '-device', 'scsi-hd,drive=d0,bus=s0.0,bootindex=1'],
             'sda'),
}


FULL = ('bios-virtio', 'uefi-nvme')


def firmware_args(firmware, folder):
    if firmware == 'bios':
        return []
    shutil.copy(OVMF / 'OVMF_VARS_4M.fd', folder / 'vars.fd')
    return ['-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={OVMF}/OVMF_CODE_4M.fd',
            '-drive', f'if=pflash,unit=1,format=raw,file={folder}/vars.fd']


def argv(firmware, controller, accel, disk, folder):
    board, more, _ = CONTROLLERS[controller]
    if firmware == 'uefi' and controller != 'ide':
        board = 'q35'
    return [EMULATOR, '-M', board, '-accel', accel, '-smp', '2', '-m', '768', '-nodefaults', '-nographic', '-serial',
            'mon:stdio' if 'qemu' not in EMULATOR else 'stdio', '-drive', f'if=none,id=d0,format=qcow2,file={disk}',
            *firmware_args(firmware, folder), *more, *NET]


class Guest(Machine):
    def command(self, line, seconds=60):
        """Runs a line in the guest's root shell; returns output. The status must be 0."""
        self.send(f'{line}; echo "status-$?-end"\n')
        start = self.seen
        m = self.expect(r'status-(\d+)-end\n', seconds)
        out = self.text()[start:m.start()]
        if m[1] != '0':
            raise Failure(f'{line!r} in the guest: status {m[1]}\n{out}')
        self.expect(PROMPT, seconds)
        return out.strip()

    def login(self, seconds=240):
        self.expect(r'rhea-guest login: ', seconds)
        self.send('root\n')
        self.expect(PROMPT, 60)


# --- a Debian archive on the host's loopback ---

class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *a):
        pass


def make_archive(folder):
    """One package, rhea-hello, and the index that apt reads."""
    tree = folder / 'pkg'
    (tree / 'DEBIAN').mkdir(parents=True)
    (tree / 'usr/bin').mkdir(parents=True)
    (tree / 'usr/bin/rhea-hello').write_text('#!/bin/sh\necho hello from a package\n')
    (tree / 'usr/bin/rhea-hello').chmod(0o755)
    (tree / 'usr/share/rhea-hello').mkdir(parents=True)
    (tree / 'usr/share/rhea-hello/data').write_bytes(os.urandom(8 << 20))
    control = ('Package: rhea-hello\nVersion: 1\nArchitecture: all\nMaintainer: Rhea <rhea@localhost>\n'
               'Description: made by a test\n')
    (tree / 'DEBIAN/control').write_text(control)
    web = folder / 'web'
    web.mkdir()
    media.run('dpkg-deb', '-Znone', '--root-owner-group', '-b', tree, web / 'rhea-hello.deb')
    data = (web / 'rhea-hello.deb').read_bytes()
    digest = media.hashlib.sha256(data).hexdigest()
    (web / 'Packages').write_text(f'{control}Filename: ./rhea-hello.deb\nSize: {len(data)}\nSHA256: {digest}\n')
    return web


def serve(folder):
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


# --- one case ---

def install_package(m, port):
    m.command(f'echo "deb [trusted=yes] http://10.0.2.2:{port}/ ./" > /etc/apt/sources.list')
    m.command('for i in $(seq 60); do ip route | grep -q default && break; sleep 0.5; done; ip route | grep default')
    m.command('apt-get update -q', 120)
    m.command('apt-get install -y -q rhea-hello', 180)
    check('the installed program', m.command('rhea-hello'), 'hello from a package')


def check_disk(disk, folder):
    out = subprocess.run([BUILD / 'rhea-img', 'check', disk], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         check=False)
    if out.returncode:
        raise Failure(f'rhea-img check: {out.stdout.decode()}')
    raw = folder / 'flat.raw'
    media.run(BUILD / 'rhea-img', 'convert', '-O', 'raw', disk, raw)
    media.run('e2fsck', '-fn', f'{raw}?offset={media.ROOT_AT << 20}')
    raw.unlink()


def one(name, accel, full, show):
    firmware, controller = name.split('-')
    with tempfile.TemporaryDirectory(prefix='rhea-debian.') as t:
        folder = pathlib.Path(t)
        disk = media.overlay(folder, media.debian())
        server = serve(make_archive(folder))
        start = time.monotonic()
        with show(Guest(argv(firmware, controller, accel, disk, folder))) as m:
            m.login()
            booted = time.monotonic() - start
            check('processors', m.command('nproc'), '2')
            where = m.command('findmnt -no SOURCE /')
            if CONTROLLERS[controller][2] not in where:
                raise Failure(f'the root is on {where}')
            if (firmware == 'uefi') != ('yes' in m.command('[ -d /sys/firmware/efi ] && echo yes || echo no')):
                raise Failure('the guest was not started by the firmware asked for')
            m.command('head -c 20000000 /dev/urandom > /root/x && sha256sum /root/x > /root/sum && sync')
            m.command('fio --name=v --filename=/root/fio --size=16m --direct=1 --ioengine=libaio --iodepth=16 --rw=randrw '
                      '--bsrange=4k-64k --verify=crc32c --verify_fatal=1 --minimal > /root/fio.log; '
                      's=$?; rm /root/fio; [ $s = 0 ] || { tail -5 /root/fio.log; (exit $s); }', 120)
            if full:
                install_package(m, server.server_address[1])
                m.send('systemctl reboot\n')
                m.login()
                m.command('rhea-hello')
            m.command('echo 3 > /proc/sys/vm/drop_caches; sha256sum -c /root/sum')
            # OVMF gives the PIIX4's SMBus no address.
            # MP-BIOS bug: the kernel counts ticks for some milliseconds, which a busy host may keep away
            faults = m.command("dmesg -l err,crit,alert,emerg | grep -Ev 'regulatory|firmware|MP-BIOS|piix4_smbus' || true")
            if faults:
                raise Failure(f'the kernel complains:\n{faults}')
            m.send('systemctl poweroff\n')
            check('exit status', m.wait(90), 0)
        server.shutdown()
        check_disk(disk, folder)
        print(f'{name}: login after {booted:.1f} s, all in {time.monotonic() - start:.1f} s', flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument('--accel', default='tcg')
    ap.add_argument('--full', action='store_true')
    ap.add_argument('cases', nargs='*')
    a = ap.parse_args()
    every = [f'{f}-{c}' for f in ('bios', 'uefi') for c in CONTROLLERS]
    wrong = [c for c in a.cases if c not in every]
    if wrong:
        ap.error(f'no case {wrong[0]}; there are: {" ".join(every)}')
    if os.geteuid() != 0:
        print('skipped: making a Debian image needs root')
        return 0
    bad = 0
    for name in a.cases or every:
        machines = []

        def show(m, machines=machines):
            machines.append(m)
            return m
        try:
            one(name, a.accel, a.full or name in FULL, show)
        except (Failure, OSError) as e:
            bad += 1
            for m in machines[-1:]:
                print('\n'.join(m.text().splitlines()[-25:]))
            print(f'{name}: {e}', flush=True)
    return bad != 0


if __name__ == '__main__':
    sys.exit(main())
