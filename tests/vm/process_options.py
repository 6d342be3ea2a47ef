#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 90
"""Options about the process and the memory's origin: the guest still runs (it leaves by isa-debug-exit with status 11),
files hold what they should, and what cannot be is refused."""
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from machine import EMULATOR, PATIENCE

CODE = bytes([0xba, 0x01, 0x05, 0xb0, 5, 0xee, 0xf4])
EXIT = ['-device', 'isa-debug-exit,id=x']
MEMFD = 'memory-backend-memfd,id=r,size=16M'
SANDBOX = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'

# arguments, exit status, words on stderr
CASES = [
    (EXIT, 11, ''),
    ([*EXIT, '-object', 'memory-backend-ram,id=r,size=16M', '-machine', 'memory-backend=r'], 11, ''),
    ([*EXIT, '-object', 'memory-backend-ram,id=r,size=17M', '-machine', 'memory-backend=r'], 1, '17 MiB'),
    ([*EXIT, '-object', MEMFD, '-machine', 'memory-backend=r'], 11, ''),
    ([*EXIT, '-object', MEMFD + ',prealloc=on', '-machine', 'memory-backend=r'], 11, ''),
    ([*EXIT, '-machine', 'memory-backend=zz'], 1, "'zz'"),
    ([*EXIT, '-mem-path', '{tmp}', '-mem-prealloc'], 11, ''),
    ([*EXIT, '-mem-path', '/no/such/dir/file'], 1, '/no/such/dir/file'),
    ([*EXIT, '-sandbox', SANDBOX], 11, ''),
    ([*EXIT, '-sandbox', 'on,spwan=deny'], 1, "'spawn'"),
    ([*EXIT, '-sandbox', 'on,spawn=maybe'], 1, 'maybe'),
    ([*EXIT, '-chroot', '/no/such/dir'], 1, '/no/such/dir'),
    ([*EXIT, '-runas', 'no-such-user'], 1, 'no-such-user'),
    ([*EXIT, '-run-with', 'user=no-such-user'], 1, 'no-such-user'),
    ([*EXIT, '-run-with', 'async-teardown=on'], 1, 'later'),
    ([*EXIT, '-daemonize', '-bios', '/no/such/rom'], 1, '/no/such/rom'),
    ([*EXIT, '-daemonize', '-drive', 'file=/no/such/disk'], 1, '/no/such/disk'),
    ([*EXIT, '-pidfile', '/no/such/dir/pid'], 1, '/no/such/dir/pid'),
    (['-device', 'isa-debug-exit,id=x,iobase=0x600', '-set', 'device.x.iobase=0x501'], 11, ''),
    ([*EXIT, '-set', 'device.y.iobase=3'], 1, "'y'"),
    ([*EXIT, '-set', 'device.iobase=3'], 1, 'group.id.arg'),
    (['-device', '{{"driver":"isa-debug-exit","id":"x"}}', '-set', 'device.x.iobase=3'], 1, 'JSON'),
    (['-readconfig', '{tmp}/good'], 11, ''),
    (['-readconfig', '{tmp}/bad'], 1, 'bad:2'),
    (['-readconfig', '{tmp}/unknown'], 1, 'devic'),
    (['-readconfig', '/no/such/config'], 1, '/no/such/config'),
    ([*EXIT, '-msg', 'timestamp=on', '-device', 'foo'], 1, 'T'),
]


def main():
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        rom, ram, pid = (os.path.join(tmp, n) for n in ('rom', 'ram', 'pid'))
        pathlib.Path(rom).write_bytes(CODE.ljust(0xfff0, b'\0') + b'\xea\0\0\0\xf0'.ljust(16, b'\0'))
        pathlib.Path(tmp, 'good').write_text('# a machine\n[device "x"]\n  driver = "isa-debug-exit"\n  iobase = "0x501"\n')
        pathlib.Path(tmp, 'bad').write_text('[device "x"]\n  driver\n')
        pathlib.Path(tmp, 'unknown').write_text('[devic "x"]\n  driver = "isa-debug-exit"\n')

        def run(args):
            argv = [EMULATOR, '-nographic', '-nodefaults', '-m', '16', '-bios', rom, *args]
            p = subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=10 * PATIENCE, check=False)
            return p.returncode, p.stderr.decode(errors='replace')

        for args, want, words in CASES:
            args = [a.format(tmp=tmp) for a in args]
            got, err = run(args)
            if got != want or words not in err or (want == 11 and err):
                print(f'{args}: exit status {got}, not {want}; {err!r}')
                bad += 1

        # the guest's memory is the file
        run([*EXIT, '-object', f'memory-backend-file,id=r,size=16M,mem-path={ram},share=on', '-machine',
             'memory-backend=r', '-device', 'loader,addr=0x100000,data=0x41424344,data-len=4'])
        if pathlib.Path(ram).read_bytes()[1 << 20:][:4] != b'DCBA':
            print('memory-backend-file: the file does not hold what the guest has')
            bad += 1

        # a daemon that stays: its process id is in the file, which a second one may not take
        halted = os.path.join(tmp, 'halted')
        pathlib.Path(halted).write_bytes(b'\xf4'.ljust(0xfff0, b'\0') + b'\xea\0\0\0\xf0'.ljust(16, b'\0'))
        got, err = run(['-bios', halted, '-daemonize', '-pidfile', pid])
        number = int(pathlib.Path(pid).read_text()) if os.path.exists(pid) else 0
        if got != 0 or not number or not os.path.exists(f'/proc/{number}'):
            print(f'-daemonize: exit status {got}, pid {number}; {err!r}')
            bad += 1
        got, err = run(['-bios', halted, '-pidfile', pid])
        if got != 1 or 'another process' not in err:
            print(f'-pidfile of a running machine: exit status {got}; {err!r}')
            bad += 1
        if number:
            os.kill(number, 15)
            for _ in range(int(100 * PATIENCE)):
                if not os.path.exists(pid):
                    break
                time.sleep(0.1)
            else:
                print('the daemon did not remove its pid file')
                bad += 1
    sys.exit(bad != 0)


main()
