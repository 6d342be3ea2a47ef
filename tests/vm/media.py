# SPDX-License-Identifier: GPL-2.0-or-later
"""What the machines of the tests boot from, made from Debian's packages and kept in build/guest by
the recipe's checksum. Not a test itself; as a program it makes a medium and prints its path:

  media.py debian|installer|memtest|rescue|ipxe
"""
import hashlib
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import uuid

from machine import BUILD, ROOT, Failure

CACHE = pathlib.Path(os.environ.get('RHEA_CACHE', ROOT / 'build/guest'))
MIRROR = os.environ.get('RHEA_MIRROR', 'http://deb.debian.org/debian')
SUITE = 'bookworm'
PACKAGES = '''linux-image-amd64 systemd-sysv udev dbus initramfs-tools zstd e2fsprogs iproute2 iputils-ping
grub-pc-bin grub-efi-amd64-bin fio stress-ng iperf3 ca-certificates pciutils kmod'''.split()
# what the initramfs can boot from
MODULES = '''virtio_pci virtio_mmio virtio_blk virtio_scsi virtio_net ahci ata_piix ata_generic nvme sd_mod sr_mod
ext4 e1000 e1000e'''.split()
ROOT_UUID = uuid.UUID('d5e63c60-1f37-4eda-b990-2065e30d3d42')
SECTOR, MIB = 512, 1 << 20
# MiB from the start of the disk: GRUB's second stage, the EFI system partition, the root
BIOS_AT, ESP_AT, ROOT_AT, DISK_SIZE = 1, 2, 34, 2600

GRUB_CFG = '''set timeout=0
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
linux /vmlinuz root=UUID={uuid} rw console=ttyS0 {append}
initrd /initrd.img
echo GRUB starts Linux
boot
'''
APPEND = 'quiet systemd.show_status=0 fsck.mode=force fsck.repair=no'

FILES = {
    'etc/hostname': 'rhea-guest\n',
    'etc/hosts': '127.0.0.1 localhost rhea-guest\n',
    'etc/fstab': 'UUID={uuid} / ext4 errors=remount-ro 0 1\n',
    'etc/kernel-img.conf': 'do_symlinks = yes\ndo_initrd = yes\n',
    'etc/initramfs-tools/conf.d/rhea': 'MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\n',
    'etc/initramfs-tools/modules': '\n'.join(MODULES) + '\n',
    'etc/systemd/network/10-all.network': '[Match]\nType=ether\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n',
    'etc/systemd/system/serial-getty@ttyS0.service.d/rhea.conf':
        '[Service]\nExecStart=\nExecStart=-/sbin/agetty -o "-p -- \\\\u" --noclear --keep-baud 115200 %I vt100\n',
    # for tests that type commands
    'root/.bash_profile': "PS1='guest# '; PS2=; unset PROMPT_COMMAND; stty -echo cols 200; bind 'set enable-bracketed-paste off' 2>/dev/null\n",
    'etc/apt/apt.conf.d/90rhea': 'APT::Sandbox::User "root";\nAcquire::Languages "none";\n',
}


def run(*argv, **more):
    argv = [str(a) for a in argv]
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       check=False, **more)
    if p.returncode:
        tail = '\n'.join(p.stdout.decode(errors='replace').splitlines()[-15:])
        raise Failure(f'{" ".join(argv)}: exit status {p.returncode}\n{tail}')
    return p.stdout.decode(errors='replace')


def cached(name, recipe, make):
    """The path of a medium; make(temporary folder) gives it when it is not there yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    stem, dot, suffix = name.partition('.')
    path = CACHE / f'{stem}-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]}{dot}{suffix}'
    if path.exists():
        return path
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=f'tmp-{stem}.') as t:
        made = pathlib.Path(make(pathlib.Path(t)))
        os.replace(made, path)
    return path


def fetch_package(name, folder):
    """Unpacks Debian's package of that name, without installing it."""
    folder.mkdir()
    for attempt in range(2):
        try:
            run('apt-get', 'download', name, cwd=folder)
            break
        except Failure:
            if attempt:
                raise
            run('apt-get', 'update')
    for deb in folder.glob('*.deb'):
        run('dpkg-deb', '-x', deb, folder)
    return folder


# --- a Debian system on a disk ---

def write_files(root):
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace('{uuid}', str(ROOT_UUID)))


def install_system(root):
    """A Debian in the folder root: kernel, systemd, tools. Needs root (chroot)."""
    if os.geteuid() != 0:
        raise Failure('making a Debian system needs root (debootstrap, chroot)')
    archives = CACHE / 'debs'
    archives.mkdir(parents=True, exist_ok=True)
    run('debootstrap', '--variant=minbase', f'--cache-dir={archives}', SUITE, root, MIRROR)
    write_files(root)
    inside = root / 'var/cache/apt/archives'
    for deb in archives.glob('*.deb'):
        shutil.copy(deb, inside)
    (root / 'usr/sbin/policy-rc.d').write_text('#!/bin/sh\nexit 101\n')
    (root / 'usr/sbin/policy-rc.d').chmod(0o755)
    run('mount', '-t', 'proc', 'proc', root / 'proc')
    try:
        env = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive', 'LC_ALL': 'C'}
        run('chroot', root, 'apt-get', 'install', '-y', '--no-install-recommends', *PACKAGES, env=env)
        for deb in inside.glob('*.deb'):
            shutil.copy(deb, archives)
        run('chroot', root, 'apt-get', 'clean', env=env)
        run('chroot', root, 'passwd', '-d', 'root', env=env)
        run('chroot', root, 'systemctl', 'enable', 'systemd-networkd', 'serial-getty@ttyS0', env=env)
        run('chroot', root, 'systemctl', 'mask', 'apt-daily.timer', 'apt-daily-upgrade.timer', 'e2scrub_all.timer',
            'fstrim.timer', 'systemd-timesyncd', 'getty@tty1', 'dpkg-db-backup.timer', env=env)
    finally:
        run('umount', root / 'proc')
    (root / 'usr/sbin/policy-rc.d').unlink()
    (root / 'etc/machine-id').write_text('')
    for waste in ('usr/share/doc', 'usr/share/locale', 'usr/share/man', 'var/lib/apt/lists', 'usr/share/info'):
        shutil.rmtree(root / waste, ignore_errors=True)
        (root / waste).mkdir(parents=True, exist_ok=True)
    (root / 'boot/grub').mkdir(parents=True, exist_ok=True)
    (root / 'boot/grub/grub.cfg').write_text(GRUB_CFG.format(uuid=ROOT_UUID, append=APPEND))


def grub_image(root, target, modules, output):
    """GRUB's core of one platform, which goes on with /boot/grub/grub.cfg of the root partition."""
    early = root / 'tmp/early.cfg'
    early.write_text(f'search --no-floppy --fs-uuid --set=root {ROOT_UUID}\nset prefix=($root)/boot/grub\n'
                     'configfile $prefix/grub.cfg\n')
    run('chroot', root, 'grub-mkimage', '-O', target, '-c', '/tmp/early.cfg', '-p', '/boot/grub', '-o',
        f'/tmp/{output}', 'part_gpt', 'part_msdos', 'ext2', 'fat', 'search', 'search_fs_uuid', 'configfile', 'linux',
        'normal', 'echo', 'serial', 'terminal', 'boot', 'test', 'sleep', *modules)
    early.unlink()
    return root / 'tmp' / output


def put(disk, offset, data):
    disk.seek(offset)
    disk.write(data)


def embed_grub(disk, boot, core):
    """boot.img into sector 0 (beside the partition table), core.img into the BIOS boot partition.
    boot.img has the sector of core.img at 0x5c; core.img's first sector ends with the list of its
    own further sectors: first sector, count, segment to load to (GRUB manual, "Images")."""
    start = BIOS_AT * MIB // SECTOR
    core = bytearray(core.ljust(-(-len(core) // SECTOR) * SECTOR, b'\0'))
    struct.pack_into('<QHH', core, SECTOR - 12, start + 1, len(core) // SECTOR - 1, 0x820)
    sector = bytearray(boot[:SECTOR])
    struct.pack_into('<Q', sector, 0x5c, start)
    sector[0x66:0x68] = b'\x90\x90'  # use the drive that the BIOS names, as grub-setup does on a hard disk
    disk.seek(0)
    table = disk.read(SECTOR)
    put(disk, 0, bytes(sector[:0x1b8]) + table[0x1b8:])
    put(disk, BIOS_AT * MIB, core)


def make_debian(folder):
    root, raw = folder / 'root', folder / 'disk.raw'
    install_system(root)
    bios = grub_image(root, 'i386-pc', ['biosdisk'], 'core.img').read_bytes()
    efi = grub_image(root, 'x86_64-efi', ['efi_gop'], 'bootx64.efi')
    boot = (root / 'usr/lib/grub/i386-pc/boot.img').read_bytes()
    with open(raw, 'wb') as f:
        f.truncate(DISK_SIZE * MIB)
    table = (f'label: gpt\nfirst-lba: 2048\n'
             f'start={BIOS_AT * 2048}, size={(ESP_AT - BIOS_AT) * 2048}, type=21686148-6449-6E6F-744E-656564454649\n'
             f'start={ESP_AT * 2048}, size={(ROOT_AT - ESP_AT) * 2048}, type=U\n'
             f'start={ROOT_AT * 2048}, size={(DISK_SIZE - ROOT_AT - 1) * 2048}, type=L, bootable\n')
    p = subprocess.run(['sfdisk', '-q', raw], input=table.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       check=False)
    if p.returncode:
        raise Failure(f'sfdisk: {p.stdout.decode()}')
    esp = folder / 'esp'
    with open(esp, 'wb') as f:
        f.truncate((ROOT_AT - ESP_AT) * MIB)
    run('mkfs.vfat', esp)
    run('mmd', '-i', esp, '::/EFI', '::/EFI/BOOT')
    run('mcopy', '-i', esp, efi, '::/EFI/BOOT/BOOTX64.EFI')
    (root / 'tmp/core.img').unlink()
    (root / 'tmp/bootx64.efi').unlink()
    run('mkfs.ext4', '-q', '-F', '-U', ROOT_UUID, '-d', root, '-E', f'offset={ROOT_AT * MIB}', raw,
        f'{DISK_SIZE - ROOT_AT - 1}M')
    with open(raw, 'r+b') as disk:
        embed_grub(disk, boot, bios)
        put(disk, ESP_AT * MIB, esp.read_bytes())
    out = folder / 'debian.qcow2'
    run(BUILD / 'rhea-img', 'convert', '-O', 'qcow2', raw, out)
    return out


def debian():
    """A qcow2 image of a Debian that boots by BIOS and UEFI, root without password on ttyS0."""
    recipe = pathlib.Path(__file__).read_text().split('# --- other media ---')[0]
    return cached('debian.qcow2', recipe, make_debian)


def overlay(folder, base, name='disk.qcow2'):
    """A fresh qcow2 image over base."""
    path = pathlib.Path(folder) / name
    run(BUILD / 'rhea-img', 'create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', path)
    return path


# --- other media ---

def first_file(folder, pattern):
    found = sorted(p for p in folder.rglob(pattern) if p.is_file())
    if not found:
        raise Failure(f'{folder.name}: the package has no {pattern}')
    return found[0]


def installer():
    """Kernel and initrd of the Debian 12 network installer."""
    def make(folder):
        pkg = fetch_package('debian-installer-12-netboot-amd64', folder / 'pkg')
        out = folder / 'out'
        out.mkdir()
        for name in ('linux', 'initrd.gz'):
            found = [p for p in pkg.rglob(name) if '/text/' in str(p)] or [first_file(pkg, name)]
            shutil.copy(found[0], out / name)
        return out
    folder = cached('installer', 'debian-installer-12-netboot-amd64', make)
    return folder / 'linux', folder / 'initrd.gz'


def from_package(package, pattern):
    def make(folder):
        return first_file(fetch_package(package, folder / 'pkg'), pattern)
    return cached(f'{package.strip("+")}.{pattern.rpartition(".")[2]}', package, make)


def memtest():
    return from_package('memtest86+', '*x64.iso')


def ipxe():
    return from_package('ipxe', 'ipxe.iso')


def rescue():
    return from_package('grub-rescue-pc', 'grub-rescue-cdrom.iso')


def main():
    makers = {'debian': debian, 'installer': installer, 'memtest': memtest, 'rescue': rescue, 'ipxe': ipxe}
    if len(sys.argv) != 2 or sys.argv[1] not in makers:
        print(__doc__)
        return 1
    try:
        got = makers[sys.argv[1]]()
    except (Failure, OSError) as e:
        print(f'media.py: {e}', file=sys.stderr)
        return 1
    print(*got if isinstance(got, tuple) else [got], sep='\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
