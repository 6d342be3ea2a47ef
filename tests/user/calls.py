#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
"""System calls: the same program natively and under Rhea prints the same; -strace; speed is not tested."""
import difflib
import pathlib
import re
import sys

from support import ROOT, check, compiler, finish, program, run, work
import subprocess

GUESTS = sys.argv[1:] or ['x86_64', 'aarch64', 'riscv64']


def compile_calls(guest, name):
    out = work / name
    subprocess.run([compiler(guest), '-D_GNU_SOURCE', '-O1', '-w', '-static', '-o', out,
                    *sorted((ROOT / 'tests/user/calls').glob('*.c'))], check=True)
    return out


def compare_i386():
    """i386 programs need a 32-bit libc to build, and the host kernel's 32-bit entry."""
    if not pathlib.Path('/usr/lib32/libc.a').exists():
        print('no 32-bit libc (libc6-dev-i386, lib32gcc-12-dev): i386 is left out')
        return
    exe = work / 'calls-i386'
    subprocess.run(['gcc', '-m32', '-isystem', '/usr/include/x86_64-linux-gnu', '-D_GNU_SOURCE', '-O1', '-w', '-static',
                    '-o', exe, *sorted((ROOT / 'tests/user/calls').glob('*.c'))], check=True)
    native, got = lines_of([exe])[0], lines_of([program('i386'), exe])
    diff = list(difflib.unified_diff(native, got[0], 'native', 'i386', lineterm='', n=0))
    check(not diff, 'i386: system calls differ from native', '\n'.join(diff[:40]), got[1])


def lines_of(command):
    here = work / 'here'
    here.mkdir(exist_ok=True)
    status, out, err = run(*command, cwd=here, timeout=60)
    return out.splitlines() + [f'status {status}'], err


def compare(guest, native):
    exe = compile_calls(guest, 'calls-' + guest)
    got, err = lines_of([program(guest), exe])
    diff = list(difflib.unified_diff(native, got, 'native', guest, lineterm='', n=0))
    check(not diff, f'{guest}: system calls differ from native', '\n'.join(diff[:40]), err)
    return exe


def with_base(guest, exe, native):
    """Guest addresses that are not the host's: every pointer is converted."""
    got, err = lines_of([program(guest), '-B', '0x10000000000', exe])
    # of two things wrong with that message, ours is found first
    diff = [l for l in difflib.unified_diff(native, got, 'native', guest, lineterm='', n=0)
            if l[0] in '+-' and l[1] not in '+-' and 'sendmsg(sv[0], P, 0) 5' not in l]
    check(not diff, f'{guest} -B: system calls differ from native', '\n'.join(diff[:40]), err)


def strace(guest, exe):
    """What -strace prints of some calls; each line matches."""
    def printed(part, *lines):
        err = lines_of([program(guest), '-strace', exe, part])[1]
        for line in lines:
            check(re.search(r'^\d+ ' + line + '$', err, re.M), f'{guest} -strace {part}: no {line}', err[:3000])

    printed('files',
            r'mkdir(at)?\((AT_FDCWD, )?"d", 0751\) = 0',
            r'mkdir(at)?\((AT_FDCWD, )?"d", 0751\) = -1 EEXIST \(File exists\)',
            r'openat\(AT_FDCWD, "d/f", O_RDWR\|O_CREAT\|O_EXCL, 0640\) = 3',
            r'write\(3, "hello, world\\n", 13\) = 13',
            r'openat\(AT_FDCWD, "d/l", O_RDONLY\|O_NOFOLLOW(, 0)?\) = -1 ELOOP \(Too many levels of symbolic links\)',
            r'readlink(at)?\((AT_FDCWD, )?"d/l", "f", 4096\) = 1',
            r'unlinkat\(AT_FDCWD, "d", AT_REMOVEDIR\) = -1 ENOTEMPTY \(Directory not empty\)',
            r'readv\(4, \[\{iov_base="0123", iov_len=4\}, \{iov_base="456789ab", iov_len=8\}\], 2\) = 12'
            .replace('readv\\(4', r'readv\(\d'),
            r'lseek\(\d, -1, SEEK_SET\) = -1 EINVAL \(Invalid argument\)',
            r'pipe2\(\[\d, \d\], O_NONBLOCK\|O_CLOEXEC\) = 0',
            r'exit_group\(0\) = \?')
    printed('sockets',
            r'socket\(AF_INET, SOCK_STREAM\|SOCK_CLOEXEC, 0\) = 3',
            r'bind\(3, \{sa_family=AF_INET, sin_port=htons\(0\), sin_addr=inet_addr\("127.0.0.1"\)\}, 16\) = 0',
            r'bind\(\d, \{sa_family=AF_UNIX, sun_path="sock"\}, 110\) = 0')
    printed('clocks', r'clock_getres\(CLOCK_MONOTONIC, \{tv_sec=0, tv_nsec=\d+\}\) = 0',
            r'timer_create\(CLOCK_MONOTONIC, 0x[0-9a-f]+, \[0\]\) = 0')
    printed('descriptors', r'fcntl\(101, F_GETFD, .*\) = 1', r'ioctl\(\d, TIOCGWINSZ, .*\) = 0',
            r'mmap\(NULL, 8192, PROT_READ\|PROT_WRITE, MAP_SHARED, \d+, 0\) = 0x[0-9a-f]+')


if __name__ == '__main__':
    expected = lines_of([compile_calls('x86_64', 'calls-native')])[0]
    check(not [l for l in expected if l.endswith(': NO')], 'the test itself is wrong natively', '\n'.join(expected))
    for g in GUESTS:
        program_file = compare(g, expected)
        strace(g, program_file)
    with_base(GUESTS[-1], program_file, expected)
    if len(sys.argv) == 1:
        compare_i386()
    finish()
