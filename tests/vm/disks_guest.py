# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel with drivers for every disk controller, and an initial RAM disk with its modules and
tools, for tests of disks. Not a test itself."""
import os
import pathlib
import re
import subprocess

import media
from machine import EMULATOR, ROOT, Failure

MODULES = ['ata_piix', 'ahci', 'sd_mod', 'sr_mod', 'nvme', 'isofs', 'virtio_pci', 'virtio_blk', 'virtio_scsi', 'sg']
TOOLS = {'hdparm': ['hdparm'], 'smartmontools': ['smartctl'], 'nvme-cli': ['nvme'],
         'util-linux': ['blkdiscard', 'lsblk'], 'eject': ['eject'],
         'sg3-utils': ['sg_inq', 'sg_raw']}


def module_order(folder, names):
    """Paths of the modules and of all that they need, needed ones first."""
    subprocess.run(['depmod', '-b', folder, version(folder)], check=True)
    base = folder / 'lib/modules' / version(folder)
    deps, by_name = {}, {}
    for line in (base / 'modules.dep').read_text().splitlines():
        path, _, rest = line.partition(':')
        deps[path] = rest.split()
        by_name[pathlib.Path(path).stem.replace('-', '_')] = path
    builtin = {pathlib.Path(p).stem.replace('-', '_')
               for p in (base / 'modules.builtin').read_text().split()}
    order = []
    for name in names:
        if name in builtin:
            continue
        if name not in by_name:
            raise Failure(f'the kernel has no module {name}')
        for path in reversed(deps[by_name[name]]):
            if path not in order:
                order.append(path)
        if by_name[name] not in order:
            order.append(by_name[name])
    return [base / p for p in order]


def version(folder):
    return os.listdir(folder / 'lib/modules')[0]


def libraries(program, folders):
    """What the dynamic linker loads for it, wherever one of the unpacked packages has it."""
    env = dict(os.environ, LD_LIBRARY_PATH=':'.join(str(f) for f in folders))
    p = subprocess.run(['ldd', program], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                       check=False)  # 1: linked statically
    return re.findall(r'(/\S+) \(0x', p.stdout.decode())


def find_program(folder, name):
    for d in ('usr/sbin', 'sbin', 'usr/bin', 'bin'):
        if (folder / d / name).is_file():
            return folder / d / name
    raise Failure(f'no program {name} in its package')


def add_tools(temporary, adds):
    """Tools and their libraries; packages are unpacked, not installed."""
    need = {}
    for package, programs in TOOLS.items():
        folder = media.fetch_package(package, temporary / package)
        for name in programs:
            need[find_program(folder, name)] = f'/usr/bin/{name}'
    extra = []
    for package in ('libnvme1', 'libjson-c5', 'libsgutils2-1.46-2', 'libsmartcols1'):
        folder = media.fetch_package(package, temporary / package)
        extra += {p.parent for p in folder.rglob('*.so*')}
    for program, to in need.items():
        adds[to] = program
        for lib in libraries(program, extra):
            adds['/lib64/' + os.path.basename(lib) if 'ld-linux' in lib
                 else '/lib/' + os.path.basename(lib)] = pathlib.Path(lib).resolve()


def make_initrd(temporary, extra=()):
    meta = media.run('apt-cache', 'depends', '--important', 'linux-image-amd64')
    package = re.search(r'Depends: (linux-image-[0-9]\S*)', meta)
    if not package:
        raise Failure('apt knows no package of linux-image-amd64')
    folder = media.fetch_package(package[1], temporary / 'kernel')
    adds = {}
    order = module_order(folder, MODULES)
    for path in order:
        adds['/modules/' + path.name] = path
    load = temporary / 'load'
    load.write_text('#!/bin/sh\n' + ''.join(f'insmod /modules/{p.name} || echo cannot load {p.name}\n'
                                            for p in order))
    adds['/bin/load'] = load
    add_tools(temporary, adds)
    for program in extra:
        adds[f'/usr/bin/{program.name}'] = program
        for lib in libraries(program, []):
            adds[lib] = pathlib.Path(lib).resolve()
    out = temporary / 'disks.cpio'
    argv = [ROOT / 'tools/mkinitrd.py', '--busybox', busybox(), '--init', ROOT / 'tools/guest.init']
    for to, path in adds.items():
        argv += ['--add', f'{path}:{to}']
    media.run(*argv, out)
    return out


def busybox():
    media.run(ROOT / 'tools/guest', 'initrd')
    return media.CACHE / 'busybox'


def kernel():
    return media.run(ROOT / 'tools/guest', 'amd64').splitlines()[-1]


def initrd(extra=()):
    """extra: more programs of the host (paths), with the libraries that they load."""
    recipe = (MODULES, TOOLS, os.path.basename(kernel()), pathlib.Path(__file__).read_text(),
              [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in extra])
    return media.cached('disks.cpio', recipe, lambda folder: make_initrd(folder, extra))


def argv(*more, emulator=EMULATOR, extra=()):
    """A machine that boots to a shell; the first command is "load"."""
    return [emulator, '-m', '512', '-nographic', '-no-reboot', '-nic', 'none', '-kernel', kernel(),
            '-initrd', initrd(extra), '-append', 'console=ttyS0 panic=-1 quiet', *more]


if __name__ == '__main__':
    print(initrd())
