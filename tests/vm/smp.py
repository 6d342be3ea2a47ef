#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 600
"""Linux on several vCPUs: the topology that -smp gives, stress-ng's checks, a CPU taken off and back.

smp.py [SECONDS] [MODULE]...: stresses that long (4), then loads torture modules given as MODULE.ko
built for the cloud kernel (torture.ko first; locktorture.ko runs each kind of lock).
"""
import os
import pathlib
import re
import subprocess
import sys

from machine import PROMPT, ROOT, Failure, Machine, boot_argv, check, guest_file, main
from media import cached, run

STRESSORS = ['--cpu 2', '--matrix 2', '--atomic 2', '--futex 2', '--mutex 2', '--vm 2 --vm-bytes 64M',
             '--mmap 2 --mmap-bytes 16M', '--tlb-shootdown 2', '--lockbus 2', '--fork 2', '--pipe 2', '--sem 2',
             '--switch 2', '--membarrier 2', '--stack 1', '--sigq 2']
LIBS = 'lib/x86_64-linux-gnu'
# -smp, more options, then package and core of each CPU
TOPOLOGIES = [
    ('2', [], [(0, 0), (0, 1)]),
    ('4,sockets=2', [], [(0, 0), (0, 1), (1, 0), (1, 1)]),
    ('4,cores=2,threads=2', ['-cpu', 'EPYC'], [(0, 0), (0, 0), (0, 1), (0, 1)]),
    ('4,cores=2,threads=2', ['-cpu', 'Nehalem'], [(0, 0), (0, 0), (0, 1), (0, 1)]),
    ('3,maxcpus=6,sockets=1,cores=6', ['-machine', 'q35'], [(0, 0), (0, 1), (0, 2)]),
]


def needed(path):
    text = run('readelf', '-d', path)
    return re.findall(r'NEEDED.*\[(.*)\]', text)


def depends(package):
    text = run('apt-cache', 'depends', '--important', package)
    return re.findall(r'^ *Depends: ([^<:\s]+)', text, re.M)


def fetch_program(folder, package, program):
    """The program and the libraries that it is linked with, from the package and what it depends on."""
    root, seen, level, found = folder / 'root', set(), [package], {}
    root.mkdir()
    for _ in range(5):
        fetched = sorted({name for name in level if not name.startswith('libegl-mesa')} - seen)
        seen.update(fetched)
        debs = folder / f'debs{len(seen)}'
        debs.mkdir()
        run('apt-get', 'download', *fetched, cwd=debs)
        for deb in debs.glob('*.deb'):
            run('dpkg-deb', '-x', deb, root)
        libs = {f.name: f for f in root.rglob('*.so*')}
        todo, found, missing = [root / program], {}, set()
        while todo:
            for lib in needed(todo.pop()):
                if lib not in libs:
                    missing.add(lib)
                elif lib not in found:
                    found[lib] = libs[lib]
                    todo.append(libs[lib])
        if not missing:
            return root / program, found
        level = [d for name in fetched for d in depends(name)]
    raise Failure(f'{package}: no package has {", ".join(missing)}')


def make_initrd(folder):
    program, libs = fetch_program(folder, 'stress-ng', 'usr/bin/stress-ng')
    guest_file('initrd')  # leaves busybox beside it
    cache = pathlib.Path(os.environ.get('RHEA_CACHE', ROOT / 'build/guest'))
    adds = [f'{program}:/bin/stress-ng']
    for name, path in libs.items():
        adds.append(f'{path.resolve()}:/{"lib64" if name.startswith("ld-") else LIBS}/{name}')
    argv = [x for a in adds for x in ('--add', a)]
    out = folder / 'out.cpio'
    run(ROOT / 'tools/mkinitrd.py', '--busybox', cache / 'busybox', '--init', ROOT / 'tools/guest.init', *argv, out)
    return out


def topology(m, n):
    m.command(f'cd /sys/devices/system/cpu/cpu{n}/topology')
    return tuple(int(x) for x in m.command('cat physical_package_id core_id').split())


def boot(show, smp, *more, initrd=None):
    argv = boot_argv(guest_file('cloud'), '-smp', smp, *more)
    if initrd:
        argv[argv.index('-initrd') + 1] = str(initrd)
    m = show(Machine(argv))
    m.__enter__()
    m.expect(r'Hello from Linux', 240)
    m.expect(PROMPT)
    return m


def finish(m):
    bad = m.command("dmesg | grep -E 'BUG:|WARNING: CPU|Call Trace|lockup'")
    check('kernel complaints', bad, '')
    m.send('poweroff -f\n')
    check('exit status', m.wait(60), 0)
    m.__exit__()


def show_topologies(show):
    for smp, more, want in TOPOLOGIES:
        m = boot(show, smp, *more)
        check(f'-smp {smp}: CPUs', m.command('grep -c ^processor /proc/cpuinfo'), str(len(want)))
        got = [topology(m, n) for n in range(len(want))]
        check(f'-smp {smp}: packages and cores', got, want)
        if smp == TOPOLOGIES[0][0]:  # INIT and SIPI once more
            for n in range(3):
                m.command('cd /sys/devices/system/cpu/cpu1')
                m.command('echo 0 >online')
                m.command('echo 1 >online')
                check(f'CPU 1 online again ({n})', m.command('cat online'), '1')
        finish(m)


def stress(show, seconds):
    try:
        initrd = cached('stress.cpio', ('stress-ng', LIBS), make_initrd)
    except (Failure, subprocess.SubprocessError) as e:
        print(f'stress-ng is not checked, it cannot be fetched: {e}')
        return
    m = boot(show, '2', '-m', '1G', initrd=initrd)
    start = m.seen
    m.send(f'stress-ng --verify --timeout {seconds}s {" ".join(STRESSORS)}; echo "status $?"\n')
    got = m.expect(r'^status (\d+)$', seconds * 10 + 240)
    if got[1] != '0' or not re.search('successful run completed', m.text()[start:]):
        raise Failure('stress-ng found faults')
    m.expect(PROMPT)
    finish(m)


def torture(show, seconds, modules):
    """Modules are not among Debian's: they come on the command line, and go in with the initrd."""
    def make(folder):
        cache = pathlib.Path(os.environ.get('RHEA_CACHE', ROOT / 'build/guest'))
        guest_file('initrd')
        argv = [x for p in modules for x in ('--add', f'{p}:/root/{pathlib.Path(p).name}')]
        run(ROOT / 'tools/mkinitrd.py', '--busybox', cache / 'busybox', '--init', ROOT / 'tools/guest.init', *argv,
            folder / 'out.cpio')
        return folder / 'out.cpio'
    m = boot(show, '4', initrd=cached('torture.cpio', [(p, os.stat(p).st_mtime) for p in modules], make))
    kinds = ['spin_lock', 'spin_lock_irq', 'rw_lock', 'mutex_lock', 'rtmutex_lock', 'rwsem_lock']
    m.command('dmesg -n 1')
    for path in modules:
        name = pathlib.Path(path).stem
        if name == 'torture':
            m.command('insmod /root/torture.ko')
            continue
        for kind in kinds if name == 'locktorture' else ['rcu']:
            m.command(f'insmod /root/{name}.ko torture_type={kind}')
            m.command(f'sleep {seconds}; rmmod {name}', seconds * 4 + 60)
            end = m.command("dmesg | grep 'End of test' | tail -1")
            if 'SUCCESS' not in end:
                raise Failure(f'{name} {kind}: {end}')
            print(f'{name} {kind}: success')
    m.send('poweroff -f\n')
    m.wait(60)
    m.__exit__()


def test(show):
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    show_topologies(show)
    stress(show, seconds)
    if len(sys.argv) > 2:
        torture(show, seconds, sys.argv[2:])


main(test)
