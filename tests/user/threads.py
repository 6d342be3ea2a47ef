#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 180
"""Signals, threads and processes: the same programs natively and as guests.

threads.py [-n RUNS] [-i] [GUEST]...   -i: with the interpreter, too; RUNS: how often each"""
import argparse
import os
import subprocess

from support import GUESTS, build, check, finish, program, run

PROGRAMS = ('signals', 'faultregs', 'threads', 'forks')
LIMIT = 100


def once(what, *command):
    """All tests within say "NAME: ok", the same ones as natively."""
    try:
        status, out, err = run(*command, timeout=LIMIT)
    except subprocess.TimeoutExpired as e:
        check(False, f'{what}: hangs', (e.stdout or b'').decode(errors='replace'))
        return ''
    bad = [line for line in out.splitlines() if not line.endswith(': ok')]
    check(status == 0 and not bad and out, f'{what}: status {status}', out, err)
    return out


parser = argparse.ArgumentParser()
parser.add_argument('-n', type=int, default=1)
parser.add_argument('-i', action='store_true')
parser.add_argument('guest', nargs='*', default=GUESTS)
args = parser.parse_args()
for name in PROGRAMS:
    for guest in args.guest or GUESTS:
        path = build(guest, name + '.c', name, '-static', '-pthread', '-fexceptions')
        if guest == os.uname().machine:
            once(f'{name}, natively', path)
        for _ in range(args.n):
            once(f'{name} on {guest}', program(guest), path)
        if args.i:
            once(f'{name} on {guest}, interpreter', program(guest), '-accel', 'interp', path)
finish()
