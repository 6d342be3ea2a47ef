#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 60
"""Small ISA devices: isa-debug-exit makes what the guest writes the exit status, isa-serial and isa-debugcon carry
bytes to a -chardev, loader puts code into memory; where -device and -global put them."""
import os
import pathlib
import subprocess
import sys
import tempfile

from machine import EMULATOR, PATIENCE


def out(port, value):
    """mov dx, port; mov al, value; out dx, al"""
    return bytes([0xba, port & 255, port >> 8, 0xb0, value, 0xee])


def firmware(code):
    """64 KiB whose reset vector jumps to the code at its start, which then halts."""
    return (code + b'\xf4').ljust(0xfff0, b'\0') + b'\xea\0\0\0\xf0'.ljust(16, b'\0')


JUMP = b'\xea\x00\x7c\x00\x00'  # ljmp 0:7c00h
DATA = '0x' + (out(0x501, 5) + b'\xf4\x90')[::-1].hex()


# code, arguments, exit status, what comes out of the -chardev
CASES = [
    (out(0x501, 5), ['-device', 'isa-debug-exit'], 11, b''),
    (out(0xf4, 0x10), ['-device', 'isa-debug-exit,iobase=0xf4,iosize=0x04'], 33, b''),
    (out(0xf4, 0), ['-device', '{"driver":"isa-debug-exit","iobase":244,"id":"e"}'], 1, b''),
    (out(0xf4, 3), ['-device', 'isa-debug-exit', '-global', 'isa-debug-exit.iobase=0xf4'], 7, b''),
    (out(0xf4, 3), ['-device', 'isa-debug-exit,bus=isa.0', '-global', 'driver=isa-debug-exit,property=iobase,value=0xf4'], 7, b''),
    (out(0x3f8, 0x52) + out(0x501, 0), ['-device', 'isa-serial,chardev=c', '-device', 'isa-debug-exit'], 1, b'R'),
    (out(0x2f8, 0x52) + out(0x501, 0), ['-serial', 'null', '-device', 'isa-serial,chardev=c', '-device', 'isa-debug-exit'], 1, b'R'),
    (out(0x2e8, 0x53) + out(0x501, 0), ['-device', 'isa-serial,chardev=c,index=3', '-device', 'isa-debug-exit'], 1, b'S'),
    (out(0x700, 0x53) + out(0x501, 0), ['-device', 'isa-serial,chardev=c,iobase=0x700,irq=9', '-device', 'isa-debug-exit'], 1, b'S'),
    (out(0xe9, 0x54) + out(0x501, 0), ['-device', 'isa-debugcon,chardev=c', '-device', 'isa-debug-exit'], 1, b'T'),
    (out(0x402, 0x54) + out(0x501, 0), ['-device', 'isa-debugcon,chardev=c,iobase=0x402', '-device', 'isa-debug-exit'], 1, b'T'),
    (JUMP, ['-device', 'isa-debug-exit', '-device', f'loader,addr=0x7c00,data={DATA},data-len=8'], 11, b''),
    (JUMP, ['-device', 'isa-debug-exit', '-device', 'loader,addr=0x7c00,file={code}'], 5, b''),
]


def main():
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        rom, code_file, sink = (os.path.join(tmp, n) for n in ('rom', 'code', 'out'))
        pathlib.Path(code_file).write_bytes(out(0x501, 2) + b'\xf4')
        for code, args, want, want_text in CASES:
            pathlib.Path(rom).write_bytes(firmware(code))
            pathlib.Path(sink).write_bytes(b'')
            args = [a.replace('{code}', code_file) for a in args]
            argv = [EMULATOR, '-nographic', '-nodefaults', '-m', '16', '-bios', rom,
                    '-chardev', f'file,id=c,path={sink}', *args]
            try:
                got = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=10 * PATIENCE, check=False).returncode
            except subprocess.TimeoutExpired:
                got = 'a timeout'
            text = pathlib.Path(sink).read_bytes()
            if got != want or text != want_text:
                print(f'{args}: exit status {got}, not {want}; output {text}')
                bad += 1
    sys.exit(bad != 0)


main()
