#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 600
"""Debian's cloud and full kernels boot to the init's greeting; no warning QEMU's guest has not."""
import os
import pathlib
import re

from machine import Failure, Machine, PROMPT, boot_argv, check, guest_file, main

KNOWN = [re.compile(l) for l in
         (pathlib.Path(__file__).with_name('known_warnings').read_text().splitlines())
         if l and not l.startswith('#')]


# What the kernel says when the host took the processor away while it measured one clock by another. Any
# emulator's guest says so on a busy machine; a fault of ours would say so every time.
TIMING = re.compile(r'calibrat|TSC.*(unstable|skew)|clocksource: .*(unstable|skew)|rcu:.*stall|'
                    r'hrtimer: interrupt took|8254 timer not connected to IO-APIC')
TRIES = 4
BUSY = 1.5  # load average beyond which a fault of clocks is nobody's


def boot(show, flavour, last):
    with show(Machine(boot_argv(guest_file(flavour)))) as m:
        m.expect(r'Hello from Linux (\S+) on x86_64', 240)
        m.expect(PROMPT)
        # levels 0 (emergency) to 4 (warning), as the kernel itself classes them
        log = m.command("dmesg -r | grep '^<[0-4]>'", 60)
        warnings = [re.sub(r'^<\d+>(\[ *[\d.]+\] )?', '', l) for l in log.splitlines()
                    if l.startswith('<')]
        new = [w for w in warnings if not any(k.search(w) for k in KNOWN)]
        if new and all(TIMING.search(w) for w in new):
            if not last:
                return False
            if os.getloadavg()[0] > BUSY:
                print(f'{flavour}: not judged, the host is busy:', *new, sep='\n  ')
                new = []
        if new:
            raise Failure(f'{flavour}: warnings that QEMU\'s guest does not have:\n  ' + '\n  '.join(new))
        m.send('poweroff -f\n')
        check(f'{flavour}: exit status', m.wait(60), 0)
    return True


def test(show):
    for flavour in ('cloud', 'amd64'):
        for n in range(TRIES):
            if boot(show, flavour, n == TRIES - 1):
                break


main(test)
