#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
"""execve from guest programs, scripts, /proc/self, and start by the kernel (binfmt_misc)."""
import os
import shutil
import sys

from support import BUILD, GUESTS, ROOT, build, check, finish, has, program, run, work


def chains(guest):
    rhea, probe = program(guest), build(guest, 'probe.c', 'probe', '-static')

    def start(*args, env=None, opts=(), **more):
        return run(rhea, *opts, probe, *args, env=env, **more)

    has(start('exec', probe, 'show', 'x y', ''), 0, f'argv0 {probe}', 'arg x y', 'arg ', f'execfn {probe}',
        'env LANG=C', what='exec of a guest program')
    has(start('exec', probe, 'exec', probe, 'exit', '7'), 7, what='three in a row')
    has(start('exec', probe, 'show', opts=['-r', '5.6.7', '-0', 'first']), 0, f'argv0 {probe}',
        what='options go on')
    check('uname 5.6.7 ' in start('exec', probe, 'show', opts=['-r', '5.6.7'])[1], '-r is lost by exec')
    has(start('exec', '/bin/echo', 'native', 'one'), 0, 'native one', what='a native program')
    has(start('spawn', '/bin/sh', '-c', 'exit 3'), 0, 'status 3', what='a native child')
    has(start('spawn', probe, 'abort'), 0, 'status -6', what='a guest child that aborts')
    has(start('exec', '/nowhere'), 1, 'exec: No such file or directory', what='ENOENT')
    has(start('exec', '/tmp'), 1, 'exec: Permission denied', what='EACCES, directory')
    text = work / 'text.txt'
    text.write_text('text\n')
    os.chmod(text, 0o644)
    has(start('exec', text), 1, 'exec: Permission denied', what='EACCES, no x')
    os.chmod(text, 0o755)
    has(start('exec', text), 1, 'exec: Exec format error', what='ENOEXEC')
    has(start('exec-fd', probe), 0, 'argv0 by-descriptor', what='fexecve')
    has(start('exec-memfd', probe), 0, 'argv0 from-memory', what='fexecve of a memory file')
    has(start('exec', 'probe-' + guest, 'show', cwd=work), 0, 'argv0 probe-' + guest, what='relative')
    dashed = work / '-dash'
    if not dashed.exists():
        dashed.symlink_to(probe)
    has(start('exec', '-dash', 'show', cwd=work), 0, 'argv0 -dash', what='a name that begins with -')
    dashed.unlink()


def scripts(guest):
    rhea, probe = program(guest), build(guest, 'probe.c', 'probe', '-static')
    script = work / 'script'
    script.write_text(f'#! {probe} show\n')
    os.chmod(script, 0o755)
    has(run(rhea, script, 'a'), 0, f'argv0 {probe}', f'arg {script}', 'arg a', what='a script at the start')
    has(run(rhea, probe, 'exec', script, 'b'), 0, f'argv0 {probe}', f'arg {script}', 'arg b',
        what='exec of a script')
    second = work / 'second'
    second.write_text(f'#!{script}\n')
    os.chmod(second, 0o755)
    has(run(rhea, probe, 'exec', second), 0, f'arg {script}', f'arg {second}', what='script of a script')
    loop = work / 'loop'
    loop.write_text(f'#!{loop}\n')
    os.chmod(loop, 0o755)
    has(run(rhea, probe, 'exec', loop), 1, 'exec: Too many levels of symbolic links', what='ELOOP')
    loop.write_text('#!/no/such/interpreter\n')
    has(run(rhea, probe, 'exec', loop), 1, 'exec: No such file or directory', what='no interpreter')
    loop.write_text('#!/bin/sh\necho "from sh $1"\n')
    has(run(rhea, probe, 'exec', loop, 'z'), 0, 'from sh z', what='a native script')


def proc(guest):
    rhea, probe = program(guest), build(guest, 'probe.c', 'probe', '-static')
    has(run(rhea, probe, 'readlink', '/proc/self/exe'), 0, str(probe), what='/proc/self/exe')
    has(run(rhea, probe, 'exec', probe, 'readlink', '/proc/self/exe'), 0, str(probe), what='exe after exec')
    has(run(rhea, probe, 'exec', '/proc/self/exe', 'exit', '4'), 4, what='exec of /proc/self/exe')
    maps = run(rhea, probe, 'cat', '/proc/self/maps')[1]
    for part in (str(probe), '[stack]', '[heap]', ' r-xp '):
        check(part in maps, f'maps: no {part}', maps)
    check('rhea' not in maps.replace(str(work), ''), 'maps: our own memory is there', maps)
    check(run(rhea, probe, 'cat', '/proc/self/cmdline')[1] == f'{probe}\0cat\0/proc/self/cmdline\0', 'cmdline')
    check(run(rhea, probe, 'cat', '/proc/self/comm')[1] == probe.name[:15] + '\n', 'comm')
    check(f'({probe.name[:15]})' in run(rhea, probe, 'cat', '/proc/self/stat')[1], 'stat')
    info = run(rhea, probe, 'cat', '/proc/cpuinfo')[1]
    check(('Features' if guest == 'aarch64' else 'isa') in info, 'cpuinfo', info)


def binfmt(guest):
    probe = build(guest, 'probe.c', 'probe', '-static')
    tool = [ROOT / 'tools/rhea-binfmt', 'run', '--path', BUILD, guest, '--']
    status, out, err = run(*tool, probe, 'show', 'arg')
    if status == 1 and ('no binfmt_misc' in err or 'unshare' in err):
        print(f'not tested here: {err.strip()}')
        return
    has((status, out, err), 0, f'argv0 {probe}', 'arg arg', f'execfn {probe}', what='binfmt')
    script = f'exec -a odd {probe} show'
    has(run(*tool, '/bin/bash', '-c', script), 0, 'argv0 odd', f'execfn {probe}', what='binfmt, argv[0]')
    has(run(*tool, probe, 'spawn', probe, 'exit', '8'), 0, 'status 8', what='binfmt, child')


def chroot(guest):
    """The static program in a directory that has nothing else, not even /proc."""
    rhea, probe = program(guest + '-static'), build(guest, 'probe.c', 'probe', '-static')
    root = work / f'root-{guest}'
    if not rhea.exists():
        print(f'not tested here: there is no {rhea.name}')
        return
    (root / 'bin').mkdir(parents=True)
    shutil.copy(rhea.resolve(), root / rhea.name)
    shutil.copy(probe, root / 'bin/probe')
    (root / 'bin/script').write_text('#!/bin/probe show\n')
    os.chmod(root / 'bin/script', 0o755)
    tool = ['unshare', '--user', '--map-root-user', 'chroot', root, '/' + rhea.name, '/bin/probe']
    result = run(*tool, 'show')
    if result[0] and 'unshare: unshare failed' in result[2]:
        print(f'not tested here: {result[2].strip()}')
        return
    has(result, 0, 'argv0 /bin/probe', what='chroot')
    has(run(*tool, 'spawn', '/bin/probe', 'exit', '6'), 0, 'status 6', what='chroot, child')
    has(run(*tool, *['exec', '/bin/probe'] * 4, 'exit', '6'), 6, what='chroot, a long chain')
    has(run(*tool, 'exec', '/bin/script', 'x'), 0, 'arg /bin/script', 'arg x', what='chroot, script')
    has(run(*tool, 'readlink', '/proc/self/exe'), 0, '/bin/probe', what='chroot, /proc/self/exe')
    maps = run(*tool, 'cat', '/proc/self/maps')[1]
    check('[stack]' in maps and 'r-x' in maps, 'chroot, maps', maps)


for g in sys.argv[1:] or GUESTS:
    chains(g)
    scripts(g)
    proc(g)
    chroot(g)
    if g != os.uname().machine:
        binfmt(g)
finish()
