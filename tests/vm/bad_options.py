#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
"""What people get wrong: exit status 1, one message with cause and hint on stderr, no guest."""
import os
import pathlib
import subprocess
import sys
import tempfile

from machine import EMULATOR, PATIENCE, guest_file

# arguments, words of the message, words of the hint
CASES = [
    (['-machin', 'pc'], 'machin', '-machine'),
    (['-M', 'pcc'], 'pcc', 'pc'),
    (['-M', 'pc,accle=tcg'], 'accle', 'accel'),
    (['-cpu', 'Haswel'], 'Haswel', 'Haswell'),
    (['-cpu', 'qemu64,+aess'], 'aess', 'aes'),
    (['-accel', 'tgc'], 'tgc', 'tcg'),
    (['-m', '12Q'], '12Q', '512M'),
    (['-m', '0'], '0', ''),
    (['-m', '64T'], '64T', ''),
    (['-m'], '-m', ''),
    (['-smp', '0'], 'zero', ''),
    (['-smp', '256'], '255', ''),
    (['-smp', '4,sockets=3'], 'product', ''),
    (['-smp', '250,sockets=10,cores=5,threads=5'], 'APIC', 'two'),
    (['-kernel', '/no/such/kernel'], '/no/such/kernel', ''),
    (['-kernel', '{text}'], '{text}', 'bzImage'),
    (['-kernel', '{empty}'], '{empty}', ''),
    (['-kernel', '/tmp'], '/tmp', ''),
    (['-kernel', '{cut}'], '{cut}', ''),
    (['-initrd', '{text}'], '-initrd', '-kernel'),
    (['-append', 'x'], '-append', '-kernel'),
    (['-kernel', '{kernel}', '-initrd', '/no/such/initrd'], '/no/such/initrd', ''),
    (['-kernel', '{kernel}', '-m', '1'], '', ''),
    (['-bios', 'no-such-bios.bin'], 'no-such-bios.bin', ''),
    (['-serial', 'stdoi'], 'stdoi', 'stdio'),
    (['-d', 'in_sam'], 'in_sam', 'in_asm'),
    (['-D', '/no/such/dir/log'], '/no/such/dir/log', ''),
    (['-trace', 'no-such-point'], 'no-such-point', '-trace help'),
    (['-rtc', 'bsae=utc'], 'bsae', 'base'),
    (['-uuid', 'xyz'], 'xyz', ''),
    (['-display', 'gtkk'], 'gtkk', ''),
    (['/no/such/disk.img'], '/no/such/disk.img', ''),
    (['-hda', '/no/such/disk.img'], '/no/such/disk.img', ''),
    (['-drive', 'file=/no/such/disk.img'], '/no/such/disk.img', ''),
    (['-drive', 'fil={text}'], 'fil', 'file'),
    (['-drive', 'file={text},if=idee,format=raw'], 'idee', 'ide'),
    (['-drive', 'file={text},format=qcow3'], 'qcow3', 'qcow'),
    (['-drive', 'file={text},format=raw,cache=non'], 'non', 'writeback'),
    (['-drive', 'file={text},format=raw,media=cd'], 'cd', 'cdrom'),
    (['-drive', 'file={text},format=raw,if=none,unit=1,index=3'], 'index', ''),
    (['-drive', 'file={text},format=raw,serial=x'], 'serial', '-device'),
    (['-drive', 'file={text},format=raw,if=ide,unit=2'], 'unit 2 too big', ''),
    (['-drive', 'file={text},format=raw,if=none,id=a', '-drive', 'file={text},format=raw,if=none,id=a,readonly=on'],
     'duplicate', 'id of its own'),
    (['-drive', 'if=ide'], 'needs an image', 'file='),
    (['-drive', 'if=floppy,file={text},format=raw'], 'floppy', 'if=ide'),
    (['-blockdev', 'driver=raw,file.driver=file,file.filename={text}'], 'node-name', 'drive='),
    (['-blockdev', 'node-name=a,file.driver=file,file.filename={text}'], 'driver', 'driver='),
    (['-device', 'isa-debug-exi'], 'isa-debug-exi', 'isa-debug-exit'),
    (['-device', 'isa-debug-exit,iobas=3'], 'iobas', 'iobase'),
    (['-device', 'isa-debug-exit,iobase=0x10000'], 'iobase', ''),
    (['-device', 'isa-debug-exit,iosize=8'], 'iosize', ''),
    (['-device', 'isa-debug-exit,bus=isa.1'], 'isa.1', 'isa.0'),
    (['-device', 'isa-debug-exit,bus=main-system-bus'], 'main-system-bus', 'isa.0'),
    (['-device', 'isa-debug-exit,id=a', '-device', 'isa-debug-exit,id=a,iobase=0x601'], 'duplicate', 'id'),
    (['-device', 'isa-debug-exit,id=1a'], "'1a'", 'letter'),
    (['-device', 'pit'], 'pit', ''),
    (['-device', 'i8254'], 'i8254', '-device help'),
    (['-device', '{{"driver":"isa-debug-exit","iobas":3}}'], 'iobas', 'iobase'),
    (['-device', '{{"driver":'], '-device', ''),
    (['-device', 'id=x'], 'which device', '-device help'),
    (['-global', 'isa-debug-exit.iobas=3'], 'iobas', 'iobase'),
    (['-global', 'isa-debug-exit.iobase=x'], 'iobase', ''),
    (['-global', 'driver=isa-debug-exit,value=x'], '-global', 'DRIVER.PROPERTY'),
    (['-object', 'secrett,id=a'], 'secrett', 'secret'),
    (['-object', 'secret'], 'id', ''),
]


def run(argv):
    try:
        p = subprocess.run([EMULATOR, '-nographic', '-nic', 'none', *argv], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=10 * PATIENCE,
                           check=False)
    except subprocess.TimeoutExpired:
        return 'a guest was started', ''
    except OSError as e:
        return str(e), ''
    return p.returncode, p.stderr.decode(errors='replace')


def main():
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        files = {'text': 'this is no kernel\n' * 4000, 'empty': '', 'cut': ''}
        names = {'kernel': guest_file('cloud')}
        for name, content in files.items():
            names[name] = os.path.join(tmp, name)
            pathlib.Path(names[name]).write_text(content)
        with open(names['kernel'], 'rb') as f:
            pathlib.Path(names['cut']).write_bytes(f.read(20000))
        for argv, word, hint in CASES:
            argv = [a.format(**names) for a in argv]
            word, hint = word.format(**names), hint.format(**names)
            status, err = run(argv)
            lines = err.strip().splitlines()
            why = None
            if status != 1:
                why = f'exit status {status}'
            elif len(lines) != 1:
                why = f'{len(lines)} lines on stderr'
            elif word not in lines[0] or not lines[0].startswith('rhea-system'):
                why = f'the message does not name {word!r}'
            elif hint and hint not in lines[0].split(word, 1)[-1]:
                why = f'no hint at {hint!r}'
            if why:
                print(f'{" ".join(argv)}: {why}: {err.strip()!r}')
                bad += 1
    sys.exit(bad != 0)


main()
