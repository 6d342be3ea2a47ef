#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 300
"""Random A64 instructions under qemu-aarch64 and under Rhea: registers, flags and memory must agree.

  a64_random.py [-n CASES] [-s SEED] [-l LENGTH] [-k REGEX] [--run CMD]...

--run is build/rhea-aarch64, on both accelerators, when it is not named. Two sets run:
single instructions and sequences.
A case sets all registers, runs LENGTH random instructions of the tables (branches go forward over one
instruction) and stores the registers. Encodings that objdump calls undefined are left out. a64_vec.py
does FP and SIMD. Without
qemu-aarch64 or the cross compiler nothing is tested."""
import argparse
import contextlib
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
ARM = ROOT / 'src/guest/arm'
CROSS = 'aarch64-linux-gnu-'
SKIP = re.compile(r'^(udf|svc|brk|b|bl|br|blr|ret|bra.*|blra.*|reta.*|sys|sysl|msr|mrs|hint|adr|adrp|.*_lit|isb|ldra|pac|'
                  r'xpac|pacga|wfe|wfi|yield|clrex|dsb|dmb|nop|sb|msr_.*)$')
MEMORY = re.compile(r'^(st|ld|cas|swp)')
BASE = 28           # holds the address of the scratch area; x27 a small index
EDGES = [0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
         0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffffffe, 0x5555555555555555]


def read_table(name, want):
    rows = []
    for line in open(ARM / name, encoding='utf-8'):
        left = line.split('#')[0].split('"')[0].split()
        if len(left) < 4 or left[0] in ('field', 'format') or '"' not in line:
            continue
        name = left[0].split('>')[0]
        bits = ''.join(x for x in left[3:] if not x.strip('01.'))
        if len(bits) == 32 and not SKIP.match(name) and re.search(want, name):
            rows.append((name, bits))
    return rows


def put(word, hi, lo, v):
    mask = (1 << (hi - lo + 1)) - 1
    return word & ~(mask << lo) | (v & mask) << lo


def reg(r):
    return r.choice(list(range(0, 27)) + [31])


def make(r, row):
    """One random word of a table's row; None where it is not for us."""
    name, bits = row
    w = int(''.join(r.choice('01') if b == '.' else b for b in bits), 2)
    if name in ('cbz', 'cbnz', 'b_cond'):
        w = put(w, 23, 5, 2)
        if name != 'b_cond':
            w = put(w, 4, 0, reg(r))
        return w
    if name in ('tbz', 'tbnz'):
        return put(put(w, 18, 5, 2), 4, 0, reg(r))
    memory = (w >> 27 & 1) and not w >> 25 & 1
    if memory:
        return make_memory(r, name, w)
    if bits[27:32] == '.....':
        w = put(w, 4, 0, reg(r))
    if bits[22:27] == '.....':
        w = put(w, 9, 5, reg(r))
    if bits[11:16] == '.....' and (w >> 26 & 7) != 4:
        w = put(w, 20, 16, reg(r))
    if bits[17:22] == '.....' and (w >> 24 & 31) == 0x1b:
        w = put(w, 14, 10, reg(r))
    return w


def make_memory(r, name, w):
    w = put(put(w, 9, 5, BASE), 4, 0, reg(r))
    if re.match(r'(st|ld)\w*p', name) and not name.startswith('ldap'):      # pairs, exclusive pairs
        rt2 = reg(r)
        w = put(w, 14, 10, rt2 if rt2 != w & 31 else (rt2 + 1) % 27)
    if re.match(r'casp', name):
        w = put(w, 20, 16, r.randrange(0, 12) * 2)
        return put(w, 4, 0, r.randrange(0, 12) * 2)
    if (w >> 24 & 0x3f) == 8 or ((w >> 24 & 0x3b) == 0x38 and w >> 21 & 1 and (w >> 10 & 3) == 0):
        rs = r.randrange(0, 27)       # status or operand register, apart from the others
        while rs in (w & 31, w >> 10 & 31):
            rs = r.randrange(0, 27)
        return put(w, 20, 16, rs)
    if (w >> 24 & 0x3b) == 0x38 and w >> 21 & 1:      # register offset: x27 is small
        return put(w, 20, 16, 27)
    return w


PROGRAM = r'''
    .macro case n
    .endm
    .text
    .globl _start
_start:
    adrp x29, inputs
    add x29, x29, :lo12:inputs
    adrp x0, out
    add x0, x0, :lo12:out
    adrp x1, outp
    str x0, [x1, :lo12:outp]
%(cases)s
    adrp x1, out
    add x1, x1, :lo12:out
    adrp x2, outp
    ldr x2, [x2, :lo12:outp]
    sub x2, x2, x1
    bl put
    adrp x1, scratch
    add x1, x1, :lo12:scratch
    ldr x2, =%(scratch)d
    bl put
    mov x0, 0
    mov x8, 93
    svc 0
put:
    mov x0, 1
    mov x8, 64
    svc 0
    cmp x0, 0
    b.le 1f
    add x1, x1, x0
    subs x2, x2, x0
    b.ne put
1:  ret
load:
    ldr x0, [x29, 248]
    msr nzcv, x0
    ldr x0, [x29, 240]
    mov sp, x0
    ldp x0, x1, [x29, 0]
    ldp x2, x3, [x29, 16]
    ldp x4, x5, [x29, 32]
    ldp x6, x7, [x29, 48]
    ldp x8, x9, [x29, 64]
    ldp x10, x11, [x29, 80]
    ldp x12, x13, [x29, 96]
    ldp x14, x15, [x29, 112]
    ldp x16, x17, [x29, 128]
    ldp x18, x19, [x29, 144]
    ldp x20, x21, [x29, 160]
    ldp x22, x23, [x29, 176]
    ldp x24, x25, [x29, 192]
    ldp x26, x27, [x29, 208]
    adrp x28, scratch
    add x28, x28, :lo12:scratch
    add x28, x28, #%(half)d, lsl 12
    add x29, x29, %(insize)d
    ret
dump:
    str x0, [x29, -%(insize)d]
    adrp x0, outp
    ldr x0, [x0, :lo12:outp]
    stp x2, x3, [x0, 16]
    stp x4, x5, [x0, 32]
    stp x6, x7, [x0, 48]
    stp x8, x9, [x0, 64]
    stp x10, x11, [x0, 80]
    stp x12, x13, [x0, 96]
    stp x14, x15, [x0, 112]
    stp x16, x17, [x0, 128]
    stp x18, x19, [x0, 144]
    stp x20, x21, [x0, 160]
    stp x22, x23, [x0, 176]
    stp x24, x25, [x0, 192]
    stp x26, x27, [x0, 208]
    adrp x3, scratch
    add x3, x3, :lo12:scratch
    sub x3, x28, x3
    str x3, [x0, 224]
    mov x3, sp
    str x3, [x0, 232]
    mrs x3, nzcv
    str x3, [x0, 240]
    ldr x3, [x29, -%(insize)d]
    stp x3, x1, [x0]
    mov x3, -1
    str x3, [x0, 248]
    add x0, x0, %(outsize)d
    adrp x1, outp
    str x0, [x1, :lo12:outp]
    ret
    .data
    .p2align 6
inputs:
    .incbin "%(inputs)s"
outp: .quad 0
    .bss
    .p2align 12
scratch: .space %(scratch)d
out: .space %(outspace)d
'''


def value(r):
    return r.choice([r.choice(EDGES), r.getrandbits(64), r.getrandbits(32), r.getrandbits(8), r.choice(EDGES) ^ r.getrandbits(3)])


def filter_defined(words, tmp):
    """The words that objdump knows."""
    path = tmp / 'words.bin'
    path.write_bytes(b''.join(struct.pack('<I', w) for w in words))
    out = subprocess.run([CROSS + 'objdump', '-D', '-b', 'binary', '-m', 'aarch64', path], capture_output=True, text=True,
                         check=True).stdout
    text = {}
    for line in out.splitlines():
        m = re.match(r'\s*[0-9a-f]+:\s+([0-9a-f]{8})\s+(.*)', line)
        if m and not re.search(r'undefined|\.inst|\.word|sve|, x3[0]\b|unpredictable', m[2]):
            text[int(m[1], 16)] = m[2]
    return text


PROBE = r'''
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>
unsigned *page;
static int bad;
char area[1 << 18] __attribute__((aligned(64)));
static char stack[1 << 16];
static void skip(int sig, siginfo_t *info, void *uc)
{
    bad = 1;
    ((ucontext_t *)uc)->uc_mcontext.pc = (unsigned long)(page + 1);
}
int main(int argc, char **argv)
{
    FILE *f = fopen(argv[1], "rb");
    struct sigaction sa = { .sa_sigaction = skip, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
    unsigned w;
    sigaltstack(&ss, 0);
    sigaction(SIGILL, &sa, 0);
    sigaction(SIGSEGV, &sa, 0);
    sigaction(SIGBUS, &sa, 0);
    page = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    while (fread(&w, 4, 1, f) == 1) {
        page[0] = w;
        page[1] = page[2] = page[3] = 0xd65f03c0;
        __builtin___clear_cache((char *)page, (char *)(page + 4));
        bad = 0;
        __asm__ volatile("stp x29, x28, [sp, -16]!\n mov x29, sp\n adrp x30, page\n ldr x30, [x30, :lo12:page]\n adrp x28, area + 131072\n add x28, x28, :lo12:area + 131072\n mov x27, 0\n blr x30\n mov sp, x29\n"
                         "msr fpcr, xzr\n ldp x29, x28, [sp], 16" : : : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
                         "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x30", "cc",
                         "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
                         "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
                         "v30", "v31");
        putchar('0' + bad);
    }
    return 0;
}
'''


def probe(args, words, tmp):
    """Those that the oracle runs without a signal."""
    (tmp / 'probe.c').write_text(PROBE)
    subprocess.run([CROSS + 'gcc', '-O1', '-w', '-static', '-o', tmp / 'probe', tmp / 'probe.c'], check=True)
    (tmp / 'probe.bin').write_bytes(b''.join(struct.pack('<I', w) for w in words))
    out = subprocess.run(args.oracle.split() + [tmp / 'probe', tmp / 'probe.bin'], capture_output=True, text=True, timeout=60,
                         check=True).stdout
    return {w for w, c in zip(words, out) if c == '0'}


def build(args, wanted, r, tmp):
    rows = read_table('a64.insn', args.only)
    pool = [(row[0], make(r, row)) for row in rows for _ in range(args.variants)]
    text = filter_defined([w for _, w in pool], tmp)
    pool = [(n, w) for n, w in pool if w in text]
    good = probe(args, [w for _, w in pool], tmp)
    if args.verbose:
        print('no result from the oracle: ' + ' '.join(sorted({n for n, w in pool if w not in good})))
    pool = [(n, w) for n, w in pool if w in good]
    alu = [(n, w) for n, w in pool if not MEMORY.match(n)]
    cases = []
    for n in range(args.cases):
        length = r.randrange(1, wanted + 1)
        first = pool[n % len(pool)]
        cases.append([first] + [r.choice(alu) for _ in range(length - 1)])
    lines = []
    for c in cases:
        lines.append('    bl load')
        lines += [f'    .inst {w:#x}' for _, w in c]
        lines.append('    nop\n    bl dump')
    inputs = bytearray()
    for _ in cases:
        regs = [value(r) for _ in range(30)] + [value(r) & ~15, r.getrandbits(4) << 28]
        regs[27] = r.randrange(0, 256)
        inputs += struct.pack('<32Q', *regs)
    (tmp / 'inputs.bin').write_bytes(inputs)
    insize = outsize = 256
    src = PROGRAM % {'cases': '\n'.join(lines), 'inputs': tmp / 'inputs.bin', 'scratch': 0x40000, 'half': 0x20,
                     'insize': insize, 'outsize': outsize, 'outspace': outsize * len(cases) + 64}
    (tmp / 'r.S').write_text(src)
    subprocess.run([CROSS + 'gcc', '-nostdlib', '-static', '-march=armv8.5-a', '-o', tmp / 'r', tmp / 'r.S'], check=True)
    return cases, text, outsize, bytes(inputs), insize


def run(cmd, tmp):
    p = subprocess.run(cmd.split() + [str(tmp / 'r')], capture_output=True, timeout=120, check=False)
    return p.returncode, p.stdout, p.stderr.decode(errors='replace')


NAMES = [f'x{i}' for i in range(28)] + ['x28-scratch', 'sp', 'nzcv', 'end']


def report(args, built, want, got, cmd):
    cases, text, outsize, inputs, insize = built
    bad = 0
    for n, c in enumerate(cases):
        a, b = want[n * outsize:(n + 1) * outsize], got[n * outsize:(n + 1) * outsize]
        if a == b:
            continue
        bad += 1
        if bad > args.show:
            continue
        print(f'{cmd}: case {n}: ' + ' ; '.join(f'{w:08x} {text[w]}' for _, w in c))
        fmt = f'<{outsize // 8}Q'
        if len(b) < outsize:
            print('   no result')
            break
        ins = struct.unpack(f'<{insize // 8}Q', inputs[n * insize:(n + 1) * insize])
        for name, x, y in zip(NAMES, struct.unpack(fmt, a), struct.unpack(fmt, b)):
            if x != y:
                print(f'   {name}: expected {x:#018x}, got {y:#018x}')
        if args.verbose:
            print('   in: ' + ' '.join(f'{k}={v:#x}' for k, v in zip(NAMES, ins)))
    if not bad and want != got:
        at = next((i for i, (x, y) in enumerate(zip(want, got)) if x != y), min(len(want), len(got)))
        print(f'{cmd}: memory differs at scratch + {at - outsize * len(cases):#x}')
        bad = 1
    return bad


def test(args, length, runs):
    """True: something differs."""
    r = random.Random(args.seed)
    if args.keep:
        pathlib.Path(args.keep).mkdir(exist_ok=True)
    with contextlib.nullcontext(args.keep) if args.keep else tempfile.TemporaryDirectory() as d:
        tmp = pathlib.Path(d)
        built = build(args, length, r, tmp)
        status, want, err = run(args.oracle, tmp)
        if status:
            print(f'{args.oracle}: status {status}: {err[-300:]}; seed {args.seed}')
            return True
        bad = 0
        for cmd in runs:
            status, got, err = run(cmd, tmp)
            if status:
                print(f'{cmd}: status {status}: {err[-2000:]}')
                bad += 1
            bad += report(args, built, want, got, cmd)
    print(f'{len(built[0])} cases of up to {length}, seed {args.seed}: {bad} differ')
    return bad > 0


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('-n', dest='cases', type=int, default=2000)
    ap.add_argument('-s', dest='seed', type=int, default=1)
    ap.add_argument('-l', dest='length', type=int, default=0)
    ap.add_argument('-k', dest='only', default='')
    ap.add_argument('-v', dest='verbose', action='store_true')
    ap.add_argument('--variants', type=int, default=12)
    ap.add_argument('--show', type=int, default=8)
    ap.add_argument('--oracle', default='qemu-aarch64')
    ap.add_argument('--run', action='append', default=[])
    ap.add_argument("--keep", help="work here, and leave the files")
    args = ap.parse_args()
    if not shutil.which(args.oracle.split()[0]) or not shutil.which(CROSS + 'gcc'):
        print('skipped: qemu-aarch64 or aarch64-linux-gnu-gcc is missing')
        sys.exit(0)
    rhea = BUILD / 'rhea-aarch64'
    runs = args.run or [f'{rhea}', f'{rhea} -accel interp']
    lengths = [args.length] if args.length else [1, 6]
    sys.exit(any([test(args, length, runs) for length in lengths]))


main()
