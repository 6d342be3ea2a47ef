#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""TCP throughput of guests' networks, Rhea beside QEMU's translator: iperf3 from and to the host
through user networking, and between two guests over a socket pair, on virtio-net and e1000.

bench_net.py [--runs N] [--seconds S] [--only PART] [--emulators rhea,qemu]
Runs are interleaved; a row shows medians in Mbit/s, the ratio, and the processor time of the
emulator (both, where there are two) for each gigabyte.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'vm'))
from machine import EMULATOR, Failure  # noqa: E402
from netguest import Guest, argv  # noqa: E402
from benchlib import host_name, median, number, ratio  # noqa: E402

EMULATORS = {'rhea': EMULATOR, 'qemu': '/usr/bin/qemu-system-x86_64'}
NICS = {'virtio': 'virtio-net-pci', 'e1000': 'e1000'}


def cpu_seconds(pid):
    """User and system time of the process so far."""
    with open(f'/proc/{pid}/stat', encoding='ascii') as f:
        fields = f.read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def iperf(m, target, port, seconds, reverse, machines):
    """(Mbit/s, CPU seconds per GB)"""
    before = sum(cpu_seconds(x.pid) for x in machines)
    out = m.command(f'rate -c {target} -p {port} -t {seconds}{" -R" if reverse else ""}',
                    seconds * 4 + 60)
    cost = sum(cpu_seconds(x.pid) for x in machines) - before
    bits = re.search(r'"bits_per_second":([\d.e+]+)', out)
    total = re.search(r'"bytes":(\d+)', out)
    if not bits or not total:
        raise Failure(f'iperf3: {out[:300]}')
    return float(bits[1]) / 1e6, cost / max(int(total[1]) / 1e9, 1e-9)


def user_rows(name, nic, seconds):
    port = free_port()
    server = subprocess.Popen(['iperf3', '-s', '-p', str(port)], stdout=subprocess.DEVNULL)
    try:
        with Guest(argv('-netdev', 'user,id=n', '-device', f'{NICS[nic]},netdev=n',
                        emulator=EMULATORS[name])) as m:
            m.up()
            m.dhcp()
            return {f'{nic} guest to host': iperf(m, '10.0.2.2', port, seconds, False, [m]),
                    f'{nic} host to guest': iperf(m, '10.0.2.2', port, seconds, True, [m])}
    finally:
        server.kill()
        server.wait()


def pair_rows(name, nic, seconds):
    folder = tempfile.mkdtemp(prefix='net')
    where = f'addr.type=unix,addr.path={folder}/s'
    device = f'{NICS[nic]},netdev=n'
    try:
        with Guest(argv('-netdev', f'stream,id=n,server=on,{where}', '-device', device + ',mac=52:54:00:00:00:01',
                        emulator=EMULATORS[name])) as a:
            a.up()
            with Guest(argv('-netdev', f'stream,id=n,server=off,{where}', '-device',
                            device + ',mac=52:54:00:00:00:02', emulator=EMULATORS[name])) as b:
                b.up()
                for m, last in ((a, 1), (b, 2)):
                    m.command(f'ip addr add 10.9.0.{last}/24 dev eth0; ip link set eth0 up')
                a.command('iperf3 -s -D; sleep 1')
                return {f'{nic} guest to guest': iperf(b, '10.9.0.1', 5201, seconds, False, [a, b])}
    finally:
        shutil.rmtree(folder)


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--runs', type=int, default=3)
    ap.add_argument('--seconds', type=int, default=5)
    ap.add_argument('--only', default='')
    ap.add_argument('--emulators', default='rhea,qemu')
    ap.add_argument('--json')
    a = ap.parse_args()
    names = [n for n in a.emulators.split(',') if os.access(EMULATORS[n], os.X_OK)]
    results = {}
    for _ in range(a.runs):
        for part, make in (('user', user_rows), ('pair', pair_rows)):
            for nic in NICS:
                if a.only and a.only not in f'{part} {nic}':
                    continue
                for name in names:
                    for row, got in make(name, nic, a.seconds).items():
                        results.setdefault(row, {}).setdefault(name, []).append(got)
    print(f'{host_name()}; medians of {a.runs} runs of {a.seconds} s')
    print(f'{"Mbit/s":<26}' + ''.join(f'{n:>10}{"CPU s/GB":>10}' for n in names) + f'{"ratio":>8}')
    for row, got in results.items():
        line, rates = f'{row:<26}', {}
        for n in names:
            rates[n] = median([r[0] for r in got[n]])
            line += f'{number(rates[n], "{:.0f}"):>10}{number(median([r[1] for r in got[n]]), "{:.2f}"):>10}'
        print(line + f'{number(ratio(rates.get("rhea"), rates.get("qemu")), "{:.2f}"):>8}')
    if a.json:
        pathlib.Path(a.json).write_text(json.dumps(results, indent=1), encoding='utf-8')


main()
