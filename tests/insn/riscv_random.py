#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
"""Random RISC-V instructions under qemu-riscv64 and under Rhea: registers, fcsr and memory must agree.

  riscv_random.py [-n CASES] [-s SEED] [-l LENGTH] [-k REGEX] [--run 'rhea-riscv64 ...']...

A case sets all registers, runs up to LENGTH random instructions of the guest's tables (branches go
forward over one instruction) and stores the registers. The words come from src/guest/riscv/*.insn.
Without qemu-riscv64 or the cross compiler it says that it is skipped. Not tried here: jumps, counters,
what qemu 7.2 has not (Zicond, Zicboz, Zicbom), and where it differs: ctzw of a register whose low half is 0
is 32 (manual, Zbb; qemu: 63), SC of another size than the LR before may succeed or fail (manual, Zalrsc),
so that a run has LR and SC of one size."""
import argparse
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('RHEA_BUILD', ROOT / 'build'))
sys.path.insert(0, str(ROOT / 'tools'))
import insngen  # noqa: E402

CROSS = 'riscv64-linux-gnu-'
ORACLE = 'qemu-riscv64 -cpu rv64,Zfh=true,zbc=true'
SKIP = re.compile(r'illegal|ecall|ebreak|jal|c\.j|fence\.i|cbo|czero|c\.addi16sp|ctzw')
TABLES = [str(ROOT / 'src/guest/riscv' / f) for f in ('rv.insn', 'rvc.insn')]
SP, GP, TP, S0 = 2, 3, 4, 8     # hold addresses; never written
KEEP = {SP, GP, TP, S0}
SCRATCH = 8192
WIDE = dict(name='nop', fn='nop', width=32, mask=0xffffffff, val=0x13, asm='', args={})    # when -k leaves none
EDGES = [0, 1, 2, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
         0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffffffe,
         0xffffffff80000000, 0xffffffff7fffffff, 0x5555555555555555]
S_EDGES = [0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xffc12345, 1,
           0x7fffff, 0x800000, 0x80800001, 0x7f7fffff, 0xff7fffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x5f000000, 0xdf000000,
           0x5f800000, 0x4f800000, 0x3f000000, 0xbf000000, 0x3fc00000, 0x4effffff, 0x33000000, 0x47800000, 0x477ff000]
D_EDGES = [0, 1 << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
           0x7ff0000000000001, 0xfff8123456789abc, 1, 0xfffffffffffff, 0x10000000000000, 0x7fefffffffffffff,
           0x41e0000000000000, 0xc1e0000000200000, 0xc1e0000000000000, 0x41efffffffe00000, 0x43e0000000000000,
           0xc3e0000000000000, 0x43f0000000000000, 0x3fe0000000000000, 0xbfe0000000000000, 0x3ff8000000000000,
           0x36a0000000000000, 0x380fffffffffffff, 0x47efffffe0000000, 0x47effffff0000000, 0x3e50000000000000]
H_EDGES = [0, 0x8000, 0x3c00, 0xbc00, 0x7c00, 0xfc00, 0x7e00, 0x7c01, 1, 0x3ff, 0x400, 0x7bff]


def put(word, hi, lo, v):
    mask = (1 << (hi - lo + 1)) - 1
    return word & ~(mask << lo) | (v & mask) << lo


def value(r):
    return r.choice([r.choice(EDGES), r.getrandbits(64), r.getrandbits(32), r.getrandbits(8), r.choice(EDGES) ^ r.getrandbits(3)])


def single(r):
    if r.random() < .5:
        return r.choice(S_EDGES)
    return struct.unpack('<I', struct.pack('<f', r.uniform(-9, 9) * 2.0 ** r.choice([0, 0, 0, 10, 31, 63, -60, -126, -140])))[0]


def double(r):
    if r.random() < .5:
        return r.choice(D_EDGES)
    return struct.unpack('<Q', struct.pack('<d', r.uniform(-9, 9) * 2.0 ** r.choice([0, 0, 0, 10, 31, 63, -500, -1022, 1000, -148])))[0]


def fvalue(r, kind, unboxed):
    if unboxed and r.random() < .08:
        return r.getrandbits(64)
    if kind == 's':
        return 0xffffffff00000000 | single(r)
    if kind == 'h':
        return 0xffffffffffff0000 | (r.choice(H_EDGES) if r.random() < .5 else r.getrandbits(16))
    return double(r)


def legal_reg(r):
    return r.choice([n for n in range(32) if n not in KEEP])


def writes_x(asm):
    """The text's first operand is an integer register that is written."""
    return re.match(r'\S+ \{rd:x\}', asm) or asm.startswith('li ') or asm.startswith('mv ')


def make(r, i):
    """One random word of a table's line."""
    w = r.getrandbits(i['width']) & ~i['mask'] | i['val']
    name, fn = i['name'], i['fn']
    fixed = lambda hi, lo: i['mask'] >> lo & ((1 << (hi - lo + 1)) - 1)
    memory = fn in ('load', 'store', 'fload', 'fstore', 'lr', 'sc', 'amo', 'amo_minmax')
    if i['width'] == 32:
        if memory:
            w = put(w, 19, 15, r.choice([SP, TP, S0]))
        if writes_x(i['asm']):
            w = put(w, 11, 7, legal_reg(r))
        if fn == 'branch':
            w = put(put(w, 31, 25, 0), 11, 7, 8)
        if '{rm:rm}' in i['asm']:
            w = put(w, 14, 12, r.choice([7, 7, 7, 7, 0, 1, 1, 2, 3, 4]))
        if name.startswith('csr'):
            w = put(w, 31, 20, 1)
            if name == 'csrrwi' and r.random() < .5:
                w = put(put(w, 31, 20, 2), 19, 15, r.randrange(5))
        return w
    if memory and 'sp' not in name:
        w = put(w, 9, 7, 0)     # x8
    if name in ('c.addi4spn', 'c.lw', 'c.ld') and not w >> 2 & 7:
        w = put(w, 4, 2, r.randrange(1, 8))
    if name == 'c.addi4spn' and not w >> 5 & 0xff:
        w = put(w, 5, 5, 1)
    if fn in ('srli', 'srai', 'andi', 'sub', 'xor', 'or', 'and', 'subw', 'addw') and not w >> 7 & 7:
        w = put(w, 9, 7, r.randrange(1, 8))
    if writes_x(i['asm']) and not fixed(11, 7) and i['args'].get('rd') == 'c_rd':
        rd = legal_reg(r)
        while rd == 0 and name in ('c.addiw', 'c.lwsp', 'c.ldsp', 'c.lui') or name == 'c.lui' and rd == 2:
            rd = legal_reg(r)
        w = put(w, 11, 7, rd)
    if name in ('c.mv', 'c.add') and not w >> 2 & 31:
        w = put(w, 6, 2, r.randrange(1, 32))
    if name == 'c.lui' and not w & 0x107c:
        w |= 4
    if fn == 'branch':      # +6
        w = put(put(put(w, 12, 12, 0), 6, 2, 0), 11, 10, 0)
        w = put(w, 4, 3, 3)
    return w


def case_words(r, pool, length, first):
    """[(word, width, name)]"""
    out, todo = [], [first] + [r.choice(pool) for _ in range(r.randrange(length))]
    for i in todo:
        out.append((make(r, i), i['width'], i['name']))
        if i['fn'] == 'branch':
            wide = r.choice([p for p in pool if p['width'] == 32 and p['fn'] != 'branch'] or [WIDE])
            out.append((make(r, wide), 32, wide['name']))
    return out


PROGRAM = '''
    .option nopic
    .option norelax
    .text
    .globl _start
_start:
%(cases)s
    la a1, out
    la a2, outp
    ld a2, (a2)
    sub a2, a2, a1
    jal put
    la a1, scratch
    li a2, %(scratch)d
    jal put
    li a0, 0
    li a7, 93
    ecall
put:
    li a0, 1
    li a7, 64
    ecall
    blez a0, 1f
    add a1, a1, a0
    sub a2, a2, a0
    bnez a2, put
1:  ret
load:
    ld x5, 0(gp)
    fscsr x5
%(loads)s
    jr tp
dump:
    la gp, outp
    ld gp, (gp)
%(dumps)s
    frcsr x5
    sd x5, 0(gp)
    addi gp, gp, %(size)d
    la x5, outp
    sd gp, (x5)
    jr tp
    .data
    .p2align 6
inputs: .incbin "%(inputs)s"
outp: .quad out
    .bss
    .p2align 12
scratch: .space %(scratch)d
out: .space %(outspace)d
'''
SIZE = 8 * 64       # fcsr in place of x0, x1..x31 (gp, tp unused), f0..f31


def program(cases, inputs):
    text = []
    for n, words in enumerate(cases):
        text.append(f'    la gp, inputs + {n * SIZE}\n    jal tp, load\n    la tp, scratch + {SCRATCH // 2}\n    mv sp, tp\n    mv s0, tp')
        text += [f'    .{"4" if width == 32 else "2"}byte {w:#x}' for w, width, _ in words]
        text.append('    .option norvc\n    nop\n    .option rvc\n    jal tp, dump')
    return PROGRAM % dict(
        cases='\n'.join(text), inputs=inputs, scratch=SCRATCH, size=SIZE, outspace=SIZE * (len(cases) + 1),
        loads='\n'.join([f'    fld f{n}, {256 + 8 * n}(gp)' for n in range(32)] +
                        [f'    ld x{n}, {8 * n}(gp)' for n in range(1, 32) if n not in (3, 4)]),
        dumps='\n'.join([f'    fsd f{n}, {256 + 8 * n}(gp)' for n in range(32)] +
                        [f'    sd x{n}, {8 * n}(gp)' for n in range(1, 32) if n not in (3, 4, SP, S0)]))


def build(a, r, tmp):
    table = insngen.Table(TABLES)
    other = f'[ls][rc]\\.{"wd"[a.seed & 1]}$'
    pool = [i for i in table.insns if not re.match(other, i['name']) and not SKIP.search(i['name']) and i['fn'] != 'illegal' and re.search(a.only, i['name'])]
    cases = [case_words(r, pool, a.length, pool[n % len(pool)]) for n in range(a.cases)]
    data = b''
    for words in cases:
        kind = next((k for k in 'sdh' if any(f'.{k}' in n or n in (f'fl{k}', f'fs{k}') for _, _, n in words)), r.choice('sdh'))
        regs = [r.randrange(5) << 5 | r.choice([0, 0, 0, 31, r.randrange(32)])] + [value(r) for _ in range(31)]
        data += struct.pack('<64Q', *regs, *[fvalue(r, kind if a.boxed or r.random() < .8 else r.choice('sdh'), not a.boxed) for _ in range(32)])
    (tmp / 'inputs.bin').write_bytes(data)
    (tmp / 'case.s').write_text(program(cases, tmp / 'inputs.bin'))
    subprocess.run([CROSS + 'gcc', '-march=rv64gc', '-nostdlib', '-static', '-no-pie', '-o', tmp / 'case', tmp / 'case.s'], check=True)
    return cases, data


def execute(command, exe):
    try:
        p = subprocess.run(command.split() + [str(exe)], stdin=subprocess.DEVNULL, capture_output=True, timeout=250, check=False)
    except subprocess.TimeoutExpired:
        return None, 'not done in 250 s'
    return p.stdout, f'status {p.returncode} {p.stderr.decode(errors="replace")[-500:]}' if p.returncode else ''


def text_of(words, tmp):
    raw = b''.join(struct.pack('<I' if width == 32 else '<H', w) for w, width, _ in words)
    (tmp / 'words.bin').write_bytes(raw)
    out = subprocess.run([CROSS + 'objdump', '-D', '-b', 'binary', '-m', 'riscv:rv64', tmp / 'words.bin'], capture_output=True,
                         text=True, check=False).stdout
    return [' '.join(l.split()[1:]) for l in out.splitlines() if re.match(r'\s+[0-9a-f]+:', l)]


def compare(a, cases, data, want, got, label, tmp):
    bad = 0
    for n, words in enumerate(cases):
        x, y = (struct.unpack('<64Q', s[n * SIZE:(n + 1) * SIZE]) for s in (want, got))
        diff = [k for k in range(64) if x[k] != y[k]]
        if not diff:
            continue
        bad += 1
        if bad <= a.show:
            given = struct.unpack('<64Q', data[n * SIZE:(n + 1) * SIZE])
            print(f'FAIL {label}: case {n} (seed {a.seed}): {" ; ".join(text_of(words, tmp))}')
            for k in diff[:3]:
                name = 'fcsr' if k == 0 else f'x{k}' if k < 32 else f'f{k - 32}'
                print(f'    {name}: {y[k]:#x}, qemu has {x[k]:#x} (before: {given[k]:#x})')
            print(f'    fcsr={given[0]:#x}')
    if want[len(cases) * SIZE:] != got[len(cases) * SIZE:]:
        bad += 1
        print(f'FAIL {label}: memory differs (seed {a.seed})')
    return bad


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument('-n', '--cases', type=int, default=1500)
    ap.add_argument('-s', '--seed', type=int, default=1)
    ap.add_argument('-l', '--length', type=int, default=6)
    ap.add_argument('-k', '--only', default='', help='names of instructions, a regular expression')
    ap.add_argument('--run', action='append', help='what to compare with qemu; default: both accelerators')
    ap.add_argument('--boxed', action='store_true', help='f registers hold what their instructions expect')
    ap.add_argument('--show', type=int, default=3)
    a = ap.parse_args()
    if not shutil.which('qemu-riscv64') or not shutil.which(CROSS + 'gcc'):
        print('skipped: no qemu-riscv64 or no riscv64-linux-gnu-gcc')
        return 0
    runs = a.run or [f'{BUILD}/rhea-riscv64', f'{BUILD}/rhea-riscv64 -accel interp']
    bad = session(a, runs)
    if not a.boxed and not a.only:      # the code for singles that are boxed, too
        a.boxed, a.only, a.cases = True, r'\.s|^f[ls]w', a.cases // 3
        bad += session(a, runs)
    return bad != 0


def session(a, runs):
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        tmp = pathlib.Path(folder)
        cases, data = build(a, random.Random(a.seed), tmp)
        want, why = execute(ORACLE, tmp / 'case')
        if why or len(want) != SIZE * len(cases) + SCRATCH:
            sys.exit(f'qemu: {why}, {len(want or b"")} bytes')
        for command in runs:
            got, why = execute(command, tmp / 'case')
            if why or len(got) != len(want):
                print(f'FAIL {command}: {why}, {len(got or b"")} bytes of {len(want)}')
                bad += 1
                continue
            bad += compare(a, cases, data, want, got, command.replace(str(BUILD) + '/', ''), tmp)
    print(f'{len(cases) * len(runs) - bad} passed, {bad} failed')
    return bad


if __name__ == '__main__':
    sys.exit(main())
