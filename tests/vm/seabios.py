#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
"""Without disk or kernel the firmware runs on the serial console and finds nothing to boot."""
from machine import EMULATOR, Machine, check, main


def test(show):
    with show(Machine([EMULATOR, '-nographic', '-nic', 'none'])) as m:
        m.expect(r'SeaBIOS \(version', 60)
        m.expect(r'No bootable device', 60)
        m.send('\x01x')
        check('exit status after Ctrl-A x', m.wait(10), 0)


main(test)
