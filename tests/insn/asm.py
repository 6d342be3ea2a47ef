#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
"""Instruction tests in assembly: tests/insn/GUEST/*.s, run on the interpreter and on the host backend.

A test is assembler source of the guest. A line "//= x3=0x12 v0=0:1 nzcv=0110" (riscv: "#=") says what
registers must hold at that place; what is not named does not count. Values are decimal, 0x..., or for
vectors HIGH:LOW. Names: x0..x30 sp nzcv(four bits) fpsr fpcr v0..v31; riscv: x0..x31 or ABI names,
f0..f31 (or fa0...), fcsr; mem+N: eight bytes at symbol "scratch" + N (4096 bytes, zero at first).
Numeric values may be written -1. The same program can be judged by Debian's qemu: asm.py --peer.

  asm.py [--peer] [--keep] [FILE]...
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get('RHEA_BUILD', ROOT / 'build'))
M64 = (1 << 64) - 1
SCRATCH = 4096

def a64_snap(label):
    """Stores x0..x30, sp, nzcv, fpsr, fpcr, v0..v31, changes nothing."""
    lines = ['stp x0, x1, [sp, #-16]!', f'ldr x0, ={label}', 'stp x2, x3, [x0, #16]']
    lines += [f'stp x{n}, x{n + 1}, [x0, #{8 * n}]' for n in range(4, 30, 2)]
    lines += ['str x30, [x0, #240]', 'ldp x2, x3, [sp]', 'stp x2, x3, [x0]', 'add x2, sp, #16',
              'str x2, [x0, #248]', 'mrs x2, nzcv', 'str x2, [x0, #256]', 'mrs x2, fpsr',
              'str x2, [x0, #264]', 'mrs x2, fpcr', 'str x2, [x0, #272]', 'add x2, x0, #288']
    lines += [f'stp q{n}, q{n + 1}, [x2, #{16 * n}]' for n in range(0, 32, 2)]
    lines += ['add x2, x2, #512', 'ldr x3, =scratch', f'ldr x1, =scratch + {SCRATCH}',
              '9: ldr x30, [x3], #8', 'str x30, [x2], #8', 'eor x30, x3, x1', 'cbnz x30, 9b',
              'ldr x30, [x0, #240]', 'ldp x2, x3, [x0, #16]', 'ldp x0, x1, [sp], #16']
    return lines


def riscv_snap(label):
    """Stores x1..x31, fcsr, f0..f31. The stack pointer must be good."""
    lines = ['addi sp, sp, -16', 'sd t0, 0(sp)', f'la t0, {label}']
    lines += [f'sd x{n}, {8 * n}(t0)' for n in range(1, 32) if n not in (2, 5)]
    lines += ['ld t1, 0(sp)', 'sd t1, 40(t0)', 'addi t1, sp, 16', 'sd t1, 16(t0)', 'sd zero, 0(t0)',
              'csrr t1, fcsr', 'sd t1, 256(t0)']
    lines += [f'fsd f{n}, {264 + 8 * n}(t0)' for n in range(32)]
    lines += ['addi t0, t0, 520', 'la t1, scratch', 'addi sp, sp, -16', 'sd t2, 0(sp)', 'sd t3, 8(sp)',
              'lui t2, 1', 'add t2, t2, t1', '9: ld t3, 0(t1)', 'sd t3, 0(t0)', 'addi t1, t1, 8',
              'addi t0, t0, 8', 'bne t1, t2, 9b', 'ld t2, 0(sp)', 'ld t3, 8(sp)', 'addi sp, sp, 16',
              f'la t0, {label}', 'ld t1, 48(t0)', 'ld t0, 0(sp)', 'addi sp, sp, 16']
    return lines


RISCV_ABI = ('zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 '
             's11 t3 t4 t5 t6').split()
RISCV_FABI = ('ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 fs2 fs3 fs4 '
              'fs5 fs6 fs7 fs8 fs9 fs10 fs11 ft8 ft9 ft10 ft11').split()


def a64_places():
    p = {f'x{n}': (8 * n, 8) for n in range(31)}
    p.update({'sp': (248, 8), 'nzcv': (256, 8), 'fpsr': (264, 8), 'fpcr': (272, 8)})
    p.update({f'v{n}': (288 + 16 * n, 16) for n in range(32)})
    p['mem'] = (800, SCRATCH)
    return p, 800 + SCRATCH


def riscv_places():
    p = {f'x{n}': (8 * n, 8) for n in range(32)}
    p.update({name: (8 * n, 8) for n, name in enumerate(RISCV_ABI)})
    p['fcsr'] = (256, 8)
    p.update({f'f{n}': (264 + 8 * n, 8) for n in range(32)})
    p.update({name: (264 + 8 * n, 8) for n, name in enumerate(RISCV_FABI)})
    p['mem'] = (520, SCRATCH)
    return p, 520 + SCRATCH


GUESTS = {
    'a64': {'rhea': 'rhea-aarch64', 'qemu': 'qemu-aarch64', 'tools': 'aarch64-linux-gnu-',
            'as': ['-march=armv8.5-a+crypto+sha3+sm4+fp16+fp16fml+dotprod+bf16+i8mm+rng+memtag'],
            'comment': '//=', 'snap': a64_snap, 'places': a64_places, 'qemu_cpu': 'max',
            'write': ['mov x0, #1', 'ldr x1, ={0}', 'ldr x2, ={1}', 'mov x8, #64', 'svc #0',
                      'mov x0, #0', 'mov x8, #93', 'svc #0']},
    'riscv': {'rhea': 'rhea-riscv64', 'qemu': 'qemu-riscv64', 'tools': 'riscv64-linux-gnu-',
              'as': ['-march=rv64gc_zba_zbb_zbc_zbs_zicbom_zicboz_zfhmin', '-mno-relax'],
              'comment': '#=', 'snap': riscv_snap, 'places': riscv_places, 'qemu_cpu': 'rv64,Zfh=true',
              'write': ['li a0, 1', 'la a1, {0}', 'li a2, {1}', 'li a7, 64', 'ecall',
                        'li a0, 0', 'li a7, 93', 'ecall']},
}


def number(text, size):
    if ':' in text:
        hi, lo = text.split(':')
        return (number(hi, 8) << 64) | number(lo, 8)
    return int(text, 0) & ((1 << 8 * size) - 1)


def expectations(path, lineno, text, places):
    for item in text.split():
        name, _, value = item.partition('=')
        if name == 'nzcv':
            yield name, places[name], int(value, 2) << 28
        elif name.startswith('mem+'):
            off = int(name[4:], 0)
            yield name, (places['mem'][0] + off, 8), number(value, 8)
        elif name in places:
            yield name, places[name], number(value, places[name][1])
        else:
            sys.exit(f'{path}:{lineno}: no register {name}')


def transform(path, g):
    """The program's source with snapshots, and what each must show: [(line, [(name, place, value)])]."""
    places, size = g['places']()
    out, wanted = ['        .text', '        .globl _start', '_start:'], []
    for n, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        at = line.find(g['comment'])
        if at < 0:
            out.append(line)
            continue
        if line[:at].strip():
            out.append(line[:at])
        wanted.append((n, list(expectations(path, n, line[at + len(g['comment']):], places))))
        out += ['        ' + x for x in g['snap'](f'rhea_snaps + {(len(wanted) - 1) * size}')]
        if g['comment'] == '//=':
            out += ['        b 8f', '        .ltorg', '8:']
    out += ['        ' + x.format('rhea_snaps', len(wanted) * size) for x in g['write']]
    if g['comment'] == '//=':
        out.append('        .ltorg')
    out += ['        .section .bss', '        .balign 4096', '        .globl scratch',
            f'scratch: .skip {SCRATCH}', f'rhea_snaps: .skip {max(1, len(wanted)) * size}']
    return '\n'.join(out) + '\n', wanted, size


def assemble(path, source, g, folder):
    asm, obj, exe = (folder / (path.stem + e) for e in ('.s', '.o', ''))
    asm.write_text(source, encoding='utf-8')
    for argv in ([g['tools'] + 'as', *g['as'], '-I', path.parent, '-o', obj, asm],
                 [g['tools'] + 'ld', '-o', exe, obj]):
        p = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           check=False)
        if p.returncode:
            print(f'FAIL {path.relative_to(ROOT)}: {p.stdout.decode()}')
            return None
    return exe


def show(value, size):
    return f'{value >> 64:#018x}:{value & M64:#018x}' if size == 16 else f'{value:#x}'


def judge(path, label, argv, wanted, size):
    """Runs the program and compares. Returns the number of differences."""
    try:
        p = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        print(f'FAIL {path.name} on {label}: not done in 60 s')
        return 1
    if p.returncode or len(p.stdout) != len(wanted) * size:
        print(f'FAIL {path.name} on {label}: status {p.returncode}, {len(p.stdout)} bytes; '
              f'{p.stderr.decode(errors="replace")[-300:]}')
        return 1
    bad = 0
    for k, (line, items) in enumerate(wanted):
        snap = p.stdout[k * size:(k + 1) * size]
        for name, (off, n), value in items:
            got = int.from_bytes(snap[off:off + n], 'little')
            if got != value:
                print(f'{path.relative_to(ROOT)}:{line}: {label}: {name} is {show(got, n)}, '
                      f'not {show(value, n)}')
                bad += 1
    return bad


def run_file(path, a, folder):
    g = GUESTS[path.parent.name]
    source, wanted, size = transform(path, g)
    exe = assemble(path, source, g, folder)
    if not exe:
        return 1
    runs = [('host backend', [BUILD / g['rhea'], '-cpu', 'max', exe]),
            ('interpreter', [BUILD / g['rhea'], '-cpu', 'max', '-accel', 'interp', exe])]
    if a.peer:
        runs = [('qemu', [g['qemu'], '-cpu', g['qemu_cpu'], exe])]
    return sum(judge(path, label, argv, wanted, size) for label, argv in runs)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument('files', nargs='*', type=pathlib.Path)
    ap.add_argument('--peer', action='store_true', help="judge the tests by Debian's qemu instead")
    ap.add_argument('--keep', metavar='DIR', help='leave the programs there')
    a = ap.parse_args()
    files = [f.resolve() for f in a.files] or sorted(HERE.glob('*/*.s'))
    tools = {g: shutil.which(GUESTS[g]['tools'] + 'as') for g in GUESTS}
    passed = failed = 0
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(a.keep or tmp)
        for f in files:
            if not tools[f.parent.name]:
                sys.exit(f'asm.py: no {GUESTS[f.parent.name]["tools"]}as; tools/need check installs it')
            if run_file(f, a, folder):
                failed += 1
            else:
                passed += 1
    print(f'{passed} passed, {failed} failed')
    return failed != 0 or passed == 0


sys.exit(main())
