# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest with network drivers, busybox, ip and iperf3 in its RAM disk. Not a test itself."""
import pathlib
import re
import shutil
import subprocess

import media
from machine import EMULATOR, Failure, Machine, PROMPT, ROOT, guest_file

MODULES = ('virtio_ring', 'virtio', 'virtio_pci_modern_dev', 'virtio_pci_legacy_dev', 'virtio_pci',
           'virtio_mmio', 'failover', 'net_failover', 'virtio_net', 'e1000', 'llc', 'stp', 'garp', 'mrp',
           '8021q')
PROGRAMS = ('iperf3', 'ip')
INIT = '''#!/bin/sh
export PATH=/sbin:/bin:/usr/sbin:/usr/bin HOME=/root TERM=vt100 PS1='rhea# '
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /root /tmp /etc /run
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
dmesg -n 3
for m in %s; do [ -f /mod/$m.ko ] && insmod /mod/$m.ko; done
ip link set lo up
cat > /bin/dhcp <<END
#!/bin/sh
case \\$1 in bound|renew)
ip addr add \\$ip/\\$mask dev \\$interface
[ -n "\\$router" ] && ip route add default via \\$router
: > /etc/resolv.conf
for d in \\$dns; do echo nameserver \\$d >> /etc/resolv.conf; done
set > /tmp/dhcp;; esac
END
cat > /bin/rate <<END
#!/bin/sh
iperf3 -J "\\$@" > /tmp/o || cat /tmp/o
grep -A6 sum_received /tmp/o | tr -d '\\n\\t '
END
chmod 755 /bin/dhcp /bin/rate
stty cols 200
cd /root
echo "Hello, network."
setsid cttyhack sh
poweroff -f
''' % ' '.join(MODULES)


def libraries(path):
    out = subprocess.run(['ldd', path], stdout=subprocess.PIPE, check=True).stdout.decode()
    return re.findall(r'(/\S+) \(0x', out)


def make_initrd(folder, modules=MODULES, programs=PROGRAMS, init_text=INIT):
    kernel = pathlib.Path(guest_file('amd64'))
    version = re.search(r'vmlinuz-amd64-(.*)', kernel.name)[1]
    package = media.fetch_package(f'linux-image-{version}', folder / 'package')
    adds = []
    for name in modules:
        for found in package.rglob(f'{name}.ko'):
            adds += ['--add', f'{found}:/mod/{name}.ko']
    for name in programs:
        path = shutil.which(name)
        if not path:
            raise Failure(f'{name} is not installed here (tools/need run check)')
        adds += ['--add', f'{pathlib.Path(path).resolve()}:/usr/bin/{name}']
        for lib in libraries(path):
            adds += ['--add', f'{pathlib.Path(lib).resolve()}:{lib}']
    init = folder / 'init'
    init.write_text(init_text)
    out = folder / 'net.cpio'
    busybox = pathlib.Path(guest_file('initrd')).with_name('busybox')
    subprocess.run([ROOT / 'tools/mkinitrd.py', '--busybox', busybox, '--init', init, *dict_pairs(adds), out],
                   check=True)
    return out


def dict_pairs(adds):
    """Each file once."""
    seen, out = set(), []
    for item in adds[1::2]:
        to = item.rpartition(':')[2]
        if to not in seen:
            seen.add(to)
            out += ['--add', item]
    return out


def initrd():
    return media.cached('net.cpio', (INIT, MODULES, PROGRAMS, guest_file('amd64')), make_initrd)


def argv(*more, emulator=EMULATOR, memory='256'):
    return [emulator, '-m', memory, '-nographic', '-no-reboot', '-nodefaults', '-serial', 'stdio',
            '-kernel', guest_file('amd64'), '-initrd', initrd(),
            '-append', 'console=ttyS0 panic=-1 quiet', *more]


class Guest(Machine):
    def up(self, seconds=120):
        self.expect('Hello, network', seconds)
        self.expect(PROMPT, seconds)
        return self

    def off(self):
        self.send('poweroff -f\n')
        status = self.wait(60)
        if status:
            raise Failure(f'exit status {status}')

    def dhcp(self, dev='eth0'):
        """The address that the network gave."""
        self.command(f'ip link set {dev} up')
        out = self.command(f'udhcpc -i {dev} -s /bin/dhcp -q -n -t 10 -T 1', 60)
        m = re.search(r'lease of ([\d.]+) obtained', out)
        if not m:
            raise Failure(f'no address by DHCP:\n{out}')
        return m[1]
