#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 60
"""isa-debug-exit: what the guest writes is the emulator's exit status, and where -device and -global put the port."""
import os
import subprocess
import sys
import tempfile

from machine import EMULATOR, PATIENCE


def firmware(port, value):
    """64 KiB whose reset vector writes value to port and halts."""
    code = bytes([0xba, port & 255, port >> 8, 0xb0, value, 0xee, 0xf4])
    return bytes(0xfff0) + code + bytes(16 - len(code))


# port and value that the guest writes, arguments, exit status
CASES = [
    (0x501, 5, ['-device', 'isa-debug-exit'], 11),
    (0xf4, 0x10, ['-device', 'isa-debug-exit,iobase=0xf4,iosize=0x04'], 33),
    (0xf4, 0, ['-device', '{"driver":"isa-debug-exit","iobase":244,"id":"e"}'], 1),
    (0xf4, 3, ['-device', 'isa-debug-exit', '-global', 'isa-debug-exit.iobase=0xf4'], 7),
    (0xf4, 3, ['-device', 'isa-debug-exit,bus=isa.0', '-global', 'driver=isa-debug-exit,property=iobase,value=0xf4'], 7),
]


def main():
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        rom = os.path.join(tmp, 'rom')
        for port, value, args, want in CASES:
            with open(rom, 'wb') as f:
                f.write(firmware(port, value))
            argv = [EMULATOR, '-nographic', '-nodefaults', '-m', '16', '-bios', rom, *args]
            try:
                got = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=10 * PATIENCE, check=False).returncode
            except subprocess.TimeoutExpired:
                got = 'a timeout'
            if got != want:
                print(f'{args}: exit status {got}, not {want}')
                bad += 1
    sys.exit(bad != 0)


main()
