#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
"""Options and variables of user mode, the program's first stack, and what is wrong with files."""
import os
import sys

from support import BUILD, ENV, GUESTS, TUPLES, build, check, finish, has, program, run, work


def options(guest):
    rhea, probe = program(guest), build(guest, 'probe.c', 'probe', '-static')

    def show(*opts, env=None):
        return run(rhea, *opts, probe, 'show', env=env)

    has(show(), 0, f'argv0 {probe}', f'execfn {probe}', 'pagesz 4096', 'secure 0', 'aligned 1', 'uid 1',
        'phdr 1', 'env LANG=C', what='plain')
    has(run(rhea, probe, 'show', 'a', '', '-x', 'b c'), 0, 'arg a', 'arg ', 'arg -x', 'arg b c',
        what='arguments')
    has(show('-0', 'other name'), 0, 'argv0 other name', f'execfn {probe}', what='-0')
    has(show(env={'QEMU_ARGV0': 'by variable'}), 0, 'argv0 by variable', what='QEMU_ARGV0')
    has(show('-0', 'x', env={'QEMU_ARGV0': 'y'}), 0, 'argv0 x', what='option before variable')
    has(show('-E', 'A=1,B=2', '-E', 'LANG=xx'), 0, 'env A=1', 'env B=2', 'env LANG=xx', what='-E')
    check('env LANG' not in show('-U', 'LANG,X')[1], '-U: LANG is still there')
    has(show(env={'QEMU_SET_ENV': 'A=3'}), 0, 'env A=3', what='QEMU_SET_ENV')
    check(show('-seed', '7')[1] == show('-seed', '7')[1], '-seed 7 gives different output')
    check(show('-seed', '7')[1] != show('-seed', '8')[1], '-seed 7 and 8 give the same output')
    check(any(l.startswith('uname 9.8.7-x ') for l in show('-r', '9.8.7-x')[1].splitlines()),
          '-r: not told by uname')
    for more in (['-B', '0x100000000000'], ['-R', '8G'], ['-R', '8G', '-B', '0x100000000000'],
                 ['-accel', 'interp'], ['-one-insn-per-tb'], ['--singlestep'], ['-p', '4096'],
                 ['-s', '1M'], ['-tb-size', '4'], ['--']):
        has(show(*more), 0, 'phdr 1', 'aligned 1', what=' '.join(more))
    has(run(rhea, '-s', '64M', probe, 'deep', '12000'), 0, what='-s 64M')
    check(run(rhea, '-s', '1M', probe, 'deep', '12000')[0] < 0, '-s 1M: a deep recursion did not crash')
    has(run(rhea, probe, 'exit', '42'), 42, what='exit status')
    has(run(rhea, probe, 'abort'), -6, what='killed by a signal')
    has(run(rhea, probe, 'memory'), 0, 'brk 1', 'hole 1', 'fixed 1', 'noreplace 1', what='memory')


def logs(guest):
    rhea, probe = program(guest), build(guest, 'probe.c', 'probe', '-static')
    has(run(rhea, '-strace', probe, 'exit', '3'), 3, 'err:exit_group(3)', what='-strace')
    has(run(rhea, probe, 'exit', '3', env={'QEMU_STRACE': '1'}), 3, 'err:exit_group(3)',
        what='QEMU_STRACE')
    has(run(rhea, '-d', 'strace', probe, 'exit', '3'), 3, 'err:exit_group(3)', what='-d strace')
    log = work / 'log'
    has(run(rhea, '-d', 'in_asm', '-D', log, probe, 'exit', '0'), 0, what='-d')
    check(log.stat().st_size > 1000, '-D: the log is empty')


def texts(guest):
    rhea = program(guest)
    has(run(rhea, '-version'), 0, what='-version')
    out = run(rhea, '-h')[1]
    for name in ('-L path', 'QEMU_LD_PREFIX', '-strace', 'QEMU_STRACE', 'QEMU_CPU'):
        check(name in out, f'-h does not tell {name}')
    check(run(rhea, '-cpu', 'help')[1] != '', '-cpu help is empty')
    check('in_asm' in run(rhea, '-d', 'help')[1], '-d help')
    for command, part in (
            ([], 'no program to run'), (['-strce', 'x'], "did you mean '-strace'"),
            (['-L'], '-L needs an argument'), (['-g', '1234', 'x'], 'later release'),
            (['-plugin', 'p', 'x'], 'later release'), (['-s', '1', 'x'], '64k'),
            (['-p', '65536', 'x'], '4096'), (['-B', '0x123', 'x'], 'page size'),
            (['-E', 'A', 'x'], 'NAME=VALUE'), (['-U', 'A=1', 'x'], 'only the name'),
            (['-accel', 'kvm', 'x'], 'tcg'), (['-d', 'in_as', 'x'], 'in_asm'),
            (['-cpu', 'no-such-cpu', '/proc/self/exe'], ''), (['-seed', 'z', 'x'], '-seed')):
        status, out, err = run(rhea, *command)
        check(status not in (0, 255 - 255) and part in err and err.count('\n') == 1,
              f'{command}: not one line with "{part}"', err)


def files(guest):
    rhea, probe = program(guest), build(guest, 'probe.c', 'probe', '-static')
    dynamic = build(guest, 'probe.c', 'dynamic')
    other = build('riscv64' if guest == 'aarch64' else 'aarch64', 'probe.c', 'probe', '-static')
    if guest != 'riscv64':  # Debian's cross libc has no rcrt1.o for it
        pie = build(guest, 'probe.c', 'pie', '-static-pie')
        has(run(rhea, pie, 'exit', '5'), 5, what='static PIE')
    has(run(rhea, '-L', f'/usr/{TUPLES[guest]}', dynamic, 'exit', '6'), 6, what='dynamic, -L')
    has(run(rhea, dynamic, 'exit', '6', env={'QEMU_LD_PREFIX': f'/usr/{TUPLES[guest]}'}), 6,
        what='dynamic, QEMU_LD_PREFIX')
    if guest != os.uname().machine:
        has(run(rhea, dynamic), 127, f'err:-L /usr/{TUPLES[guest]}', 'err:/lib/ld-linux-',
            what='no interpreter')
    has(run(BUILD / 'rhea-user', probe, 'exit', '9'), 9, what='rhea-user takes any guest')
    has(run(rhea, other), 126, 'err:program for', what='another guest')
    has(run(rhea, '/nowhere/x'), 127, 'err:No such file', what='no such program')
    has(run(rhea, '/tmp'), 126, 'err:directory', what='a directory')
    script = work / 'script'
    script.write_text('#!/no/such/interpreter\n')
    has(run(rhea, script), 127, "err:'/no/such/interpreter'", what='a script without interpreter')
    text = work / 'text'
    text.write_text('just text\n')
    has(run(rhea, text), 126, 'err:not an ELF', what='text')
    whole = probe.read_bytes()
    cut = work / 'cut'
    for n in (0, 3, 10, 63, 64, 100, 300, 5000, len(whole) // 2):
        cut.write_bytes(whole[:n])
        os.chmod(cut, 0o755)
        status, _, err = run(rhea, cut)
        check(status in (126, 255) and err.count('\n') == 1, f'cut to {n} bytes: {status}', err)


check(ENV['LANG'] == 'C', 'environment')
for g in sys.argv[1:] or GUESTS:
    options(g)
    logs(g)
    texts(g)
    files(g)
finish()
