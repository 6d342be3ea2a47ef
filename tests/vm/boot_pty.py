#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 600
"""./run on a terminal: a shell that answers, job control, and a clean end by poweroff -f."""
from machine import Machine, ROOT, PROMPT, check, main


def test(show):
    with show(Machine([str(ROOT / 'run')])) as m:
        m.expect(r'Hello from Linux \S+ on x86_64', 300)
        m.expect(PROMPT)
        check('arithmetic', m.command('echo $((6*7))'), '42')
        check('machine', m.command('uname -m'), 'x86_64')
        check('processors', m.command('grep -c ^processor /proc/cpuinfo'), '1')
        check('pipe', m.command('seq 1 1000 | md5sum'), '53d025127ae99ab79e8502aae2d9bea6  -')
        check('no job control warning', "can't access tty" in m.text(), False)
        # Ctrl-Z and Ctrl-C reach the guest's program, not the emulator
        m.send('sleep 100\n')
        m.expect(r'sleep 100\n')
        m.read(1)
        m.send('\x1a')
        m.expect(r'Stopped +sleep 100')
        m.expect(PROMPT)
        m.send('fg\n')
        m.expect(r'fg\nsleep 100\n')
        m.read(1)
        m.send('\x03')
        m.expect(PROMPT)
        check('Ctrl-C', m.command('echo alive'), 'alive')
        m.send('poweroff -f\n')
        check('exit status', m.wait(60), 0)


main(test)
