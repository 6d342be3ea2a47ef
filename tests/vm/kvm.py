#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
"""Our own guests (tests/kvm/guests) say the same under translation and under KVM with its interrupt
controllers in the kernel, split and here; what -accel says when KVM is not there. With "debian" as
argument: Debian's kernel under KVM, too, even where the host's KVM is known to be too slow for it."""
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

from machine import EMULATOR, PATIENCE, ROOT, Failure, Machine, check, guest_file, main

sys.path.append(str(ROOT / 'tests/kvm'))
from kvm_guests import SOFTWARE, build  # noqa: E402

RUNS = [('pc', 'on'), ('pc', 'off'), ('pc', 'split'), ('q35', 'on'), ('q35', 'split')]
EXIT = ['-device', 'isa-debug-exit,iobase=0xf4', '-nographic', '-nic', 'none']


def run(image, accel, *more, seconds=60):
    """What the guest says; it must end by itself."""
    argv = [EMULATOR, '-accel', accel, '-cpu', 'qemu64,-sse3', '-m', '64', '-bios', str(image),
            *EXIT, *more]
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=seconds * PATIENCE, check=False)
    text = p.stdout.decode(errors='replace').replace('\r', '')
    if p.returncode != 33 or 'BAD' in text or p.stderr:
        raise Failure(f'{" ".join(argv)}: status {p.returncode}\n{text}\n{p.stderr.decode()}')
    return text


def same(image, *more):
    """Runs it everywhere; the words must be the same."""
    want = run(image, 'tcg', *more)
    for board, mode in RUNS:
        got = run(image, f'kvm,kernel-irqchip={mode}', '-M', board, *more)
        check(f'{image.name} {board} kernel-irqchip={mode} {" ".join(more)}', got, want)
    return want


def guests(folder):
    narrow = ['-DNO_IRET'] if SOFTWARE else []
    check('16 bit ends', same(build(folder, 'guest16', 16)).splitlines()[-1], '16 bit done')
    check('32 bit ends', same(build(folder, 'guest32', 32, narrow)).splitlines()[-1],
          '32 bit done')
    image = build(folder, 'guest64', 64)
    text = same(image, '-smp', '2')
    check('-cpu host', run(image, 'kvm', '-smp', '2', '-cpu', 'host'), text)
    gaps = build(folder, 'guest64', 64, ['-DOTHER=5'])
    six = ['-smp', '6,sockets=2,cores=3']  # APIC IDs 0 1 2 4 5 6
    check('APIC IDs with gaps', run(gaps, 'kvm', *six), run(gaps, 'tcg', *six))
    check('64 bit ran before and after a reset', text.count('messages there and back: ok'), 2)


def disk(folder):
    image, path = build(folder, 'guestvirtio', 64), folder / 'disk.img'
    path.write_bytes(b''.join(bytes((n + i) & 255 for i in range(512)) for n in range(64)))
    drive = ['-drive', f'if=none,id=d,file={path},format=raw']
    text = same(image, *drive, '-device', 'virtio-blk-pci,drive=d')
    check('virtio ends', text.splitlines()[-1], 'virtio done')
    same(image, *drive, '-object', 'iothread,id=io', '-device', 'virtio-blk-pci,drive=d,iothread=io')
    check('the sector that the guest wrote', path.read_bytes()[20 * 512:20 * 512 + 4],
          bytes([0x80, 0x81, 0x82, 0x83]))


def message(*argv):
    """Standard error of the emulator, which must refuse."""
    p = subprocess.run([EMULATOR, *argv, '-nographic'], stdin=subprocess.DEVNULL, timeout=20,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if p.returncode != 1:
        raise Failure(f'{argv}: status {p.returncode}: {p.stdout.decode()}')
    return p.stdout.decode()


def words(what, text, *wanted):
    for word in wanted:
        if word not in text:
            raise Failure(f'{what}: "{word}" is not in: {text}')


def errors(folder):
    words('no device', message('-accel', 'kvm,device=/dev/no-such-kvm'), 'No such file', 'device=')
    words('not KVM', message('-accel', 'kvm,device=/dev/null'), 'no KVM device', '/dev/kvm')
    words('-cpu host', message('-accel', 'tcg', '-cpu', 'host'), 'needs KVM', '-cpu max')
    image = build(folder, 'guest16', 16)
    p = subprocess.run([EMULATOR, '-accel', 'kvm,device=/dev/no-such-kvm', '-accel', 'tcg', '-bios',
                        str(image), *EXIT], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=60 * PATIENCE, check=False)
    words('falls back', p.stderr.decode(), 'No such file', 'falling back to tcg')
    check('one line says why', len(p.stderr.splitlines()), 1)
    words('and runs', p.stdout.decode(), '16 bit done')
    # without the right to open it
    kvm = pathlib.Path('/dev/kvm')
    if os.geteuid() == 0 and kvm.exists() and kvm.stat().st_mode & 0o006 == 0:
        with tempfile.TemporaryDirectory() as d:
            os.chmod(d, 0o755)
            program = shutil.copy(EMULATOR, pathlib.Path(d) / 'rhea-system-x86_64')
            p = subprocess.run([program, '-accel', 'kvm', '-nographic'], timeout=20, check=False,
                               user=pwd.getpwnam('nobody').pw_uid, group=65534, extra_groups=[],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            words('no right', p.stdout.decode(), 'Permission denied', 'usermod -aG')


def debian(show, force):
    if SOFTWARE and not force:
        print('skipped: Debian\'s kernel: this host\'s KVM (kvm_pvm) emulates privileged code')
        return
    kernel, initrd = guest_file('cloud'), guest_file('initrd')
    argv = [EMULATOR, '-accel', 'kvm', '-smp', '2', '-m', '512', '-nographic', '-no-reboot',
            '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0']
    with show(Machine(argv)) as m:
        m.expect(r'Hypervisor detected: KVM', 600 if force else 60)
        m.expect(r'rhea# ', 600 if force else 60)
        m.send('cat /sys/devices/system/clocksource/clocksource0/current_clocksource\n')
        m.expect(r'kvm-clock|tsc', 30)
        m.send('poweroff -f\n')
        check('exit status', m.wait(60), 0)


def test(show):
    with tempfile.TemporaryDirectory(prefix='rhea-kvm-') as d:
        folder = pathlib.Path(d)
        errors(folder)
        try:
            os.close(os.open('/dev/kvm', os.O_RDWR))
        except OSError as e:
            print(f'skipped: guests under KVM: /dev/kvm: {e.strerror}')
            return
        guests(folder)
        disk(folder)
        debian(show, 'debian' in sys.argv[1:])


main(test)
