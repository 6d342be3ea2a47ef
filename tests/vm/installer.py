#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
"""The Debian 12 network installer comes to its first screen over the serial port."""
import os

import media
from machine import EMULATOR, Machine, main


def test(show):
    kernel, initrd = media.installer()
    with show(Machine([EMULATOR, '-m', '1536', '-nographic', '-no-reboot', '-kernel', str(kernel), '-initrd', str(initrd),
                       '-append', 'console=ttyS0 quiet'])) as m:
        m.expect(r'Debian installer main menu|Choose language|Select a language', 240)
        # it listens: the cursor moves on to the next screen
        os.write(m.fd, b'\r')
        m.expect(r'English', 60)


if __name__ == '__main__':
    main(test)
