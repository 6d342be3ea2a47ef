#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 600
"""Linux on tap interfaces, in a network name space of its own: several queues, a passed descriptor, a
bridge helper. Needs CAP_NET_ADMIN and /dev/net/tun; says so where they are missing."""
import os
import pathlib
import subprocess
import sys
import tempfile

from machine import Failure, check, main
from netguest import Guest, argv

HELPER = '''#!/usr/bin/env python3
import array, fcntl, os, re, socket, struct, subprocess, sys
a = dict(x[2:].split('=', 1) for x in sys.argv[1:] if '=' in x)
tun = os.open('/dev/net/tun', os.O_RDWR)
flags = 0x1002 | (0x4000 if '--use-vnet' in sys.argv else 0)
r = fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', b'htap', flags))
subprocess.run(['ip', 'link', 'set', 'htap', 'master', a['br'], 'up'], check=True)
s = socket.socket(fileno=int(a['fd']))
s.sendmsg([b'\\0'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [tun]))])
'''


def ip(*words):
    subprocess.run(['ip', *' '.join(words).split()], check=True)


def open_tap(name):
    """A descriptor of the interface, inheritable."""
    import fcntl
    import struct
    fd = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH22x', name.encode(), 0x1002 | 0x4000))
    os.set_inheritable(fd, True)
    return fd


def test(show):
    with tempfile.TemporaryDirectory(prefix='tap') as folder:
        helper, script = pathlib.Path(folder, 'helper'), pathlib.Path(folder, 'up')
        helper.write_text(HELPER)
        script.write_text('#!/bin/sh\nexec ip link set "$1" up\n')
        helper.chmod(0o755)
        script.chmod(0o755)
        ip('link set lo up')
        ip('link add br7 type bridge')
        ip('addr add 10.83.0.1/24 dev br7')
        ip('link set br7 up')
        fd = open_tap('passed')
        ip('addr add 10.82.0.1/24 dev passed')
        ip('link set passed up')
        server = subprocess.Popen(['iperf3', '-s'], stdout=subprocess.DEVNULL)
        try:
            with show(Guest(argv(
                    '-smp', '2',
                    '-netdev', f'tap,id=a,ifname=many,queues=2,script={script},downscript=no',
                    '-netdev', f'tap,id=b,fd={fd}',
                    '-netdev', f'bridge,id=c,br=br7,helper={helper}',
                    '-device', 'virtio-net-pci,netdev=a,mq=on,mac=52:54:00:00:00:01',
                    '-device', 'e1000,netdev=b,mac=52:54:00:00:00:02',
                    '-device', 'virtio-net-pci,netdev=c,mac=52:54:00:00:00:03'))) as m:
                m.up()
                ip('addr add 10.81.0.1/24 dev many')
                for n in (1, 2, 3):
                    m.command(f'd=$(grep -l :0{n}$ /sys/class/net/*/address | cut -d/ -f5)')
                    m.command(f'ip addr add 10.8{n}.0.2/24 dev $d; ip link set $d up; sleep 1')
                    if n == 1:
                        out = m.command('ls -d /sys/class/net/$d/queues/rx-* | wc -l')
                        check('queues', out.split()[-1], '2')
                    out = m.command(f'ping -c 3 -W 5 10.8{n}.0.1', 60)
                    if ' 0% packet loss' not in out:
                        raise Failure(f'interface {n}:\n{out}')
                    for way in ('', ' -R'):
                        out = m.command(f'rate -c 10.8{n}.0.1 -P 2 -t 1{way}', 60)
                        if '"bits_per_second"' not in out:
                            raise Failure(f'interface {n}, iperf3{way}: {out}')
                m.off()
        finally:
            server.kill()
            server.wait()


if os.environ.get('TAP_INSIDE') == '1':
    main(test)
else:
    probe = subprocess.run(['unshare', '-n', sys.executable, '-c', 'import os; os.open("/dev/net/tun", os.O_RDWR)'],
                           stderr=subprocess.PIPE, check=False)
    if probe.returncode:
        print('net_tap.py: not run, no name space or no /dev/net/tun here:',
              probe.stderr.decode(errors='replace').strip().splitlines()[-1:])
        sys.exit(0)
    sys.exit(subprocess.run(['unshare', '-n', sys.executable, *sys.argv], env={**os.environ, 'TAP_INSIDE': '1'},
                            check=False).returncode)
