#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
"""UEFI firmware from flash memory comes to its shell on pc and q35, keeps a variable over a new start, starts
a -kernel; its variables are in the image. The build for secure boot, whose variables only code in System
Management Mode may write, does the same with two processors."""
import pathlib
import shutil
import tempfile

from machine import EMULATOR, Failure, Machine, PROMPT, check, guest_file, main

CODE = pathlib.Path('/usr/share/OVMF/OVMF_CODE_4M.fd')
VARS = pathlib.Path('/usr/share/OVMF/OVMF_VARS_4M.fd')
SECURE = pathlib.Path('/usr/share/OVMF/OVMF_CODE_4M.secboot.fd')


def argv(board, store, *more, code=CODE):
    return [EMULATOR, '-M', board, '-m', '512', '-nographic', '-nic', 'none', '-vga', 'none', '-no-reboot',
            '-drive', f'if=pflash,format=raw,unit=0,readonly=on,file={code}',
            '-drive', f'if=pflash,format=raw,unit=1,file={store}', *more]


def shell(show, board, store, *commands, args=(), code=CODE):
    """Types at the UEFI shell; returns what it wrote."""
    with show(Machine(argv(board, store, *args, code=code))) as m:
        m.expect(r'Press ESC|ESC in', 120)
        m.send('\x1b')
        m.expect(r'Shell> ', 30)
        for line in commands:
            m.send(line + '\r')
            m.expect(r'Shell> ', 30)
        m.send('reset -s\r')
        check(f'{board}: exit status', m.wait(60), 0)
        return m.text()


def test(show):
    if not CODE.exists() or not VARS.exists():
        raise Failure('package ovmf is not installed (tools/need run check)')
    with tempfile.TemporaryDirectory() as name:
        store = pathlib.Path(name) / 'vars.fd'
        shutil.copyfile(VARS, store)
        shell(show, 'q35', store, 'setvar RheaTest -guid 12345678-1234-1234-1234-123456789abc -nv -bs =0xa55a')
        if 'RheaTest'.encode('utf-16-le') not in store.read_bytes():
            raise Failure('the variable is not in the image')
        seen = shell(show, 'pc', store, 'setvar RheaTest -guid 12345678-1234-1234-1234-123456789abc')
        if 'RheaTest - 0002 Bytes' not in seen:
            raise Failure('the variable did not survive')
        shutil.copyfile(VARS, store)
        shell(show, 'q35,smm=on', store, 'setvar RheaSafe -guid 12345678-1234-1234-1234-123456789abc -nv -bs =0xa55a',
              args=['-smp', '2', '-global', 'driver=cfi.pflash01,property=secure,value=on'], code=SECURE)
        if 'RheaSafe'.encode('utf-16-le') not in store.read_bytes():
            raise Failure('the variable written in System Management Mode is not in the image')
        shutil.copyfile(VARS, store)
        kernel = ['-kernel', guest_file('cloud'), '-initrd', guest_file('initrd'),
                  '-append', 'console=ttyS0 panic=-1']
        with show(Machine(argv('q35', store, *kernel))) as m:
            m.expect(r'Hello from Linux', 240)
            m.expect(PROMPT)
            check('EFI', m.command('cat /sys/firmware/efi/fw_platform_size'), '64')
            m.send('poweroff -f\n')
            check('exit status', m.wait(60), 0)


main(test)
