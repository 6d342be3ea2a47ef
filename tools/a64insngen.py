#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn the A64 .insn tables into argument structures, a decoder and the disassembler's rows.

  field  imm19  s 23:5 <<2                       name, [s]igned, bit slices high to low, shift
  format cb     sf rt=rd imm=imm19               the argument structure arg_cb
  cbz    cb  I  . 0110100 ................... .....   "cbz {rt:r}, {imm:pc}"
         feature: I (always) or NAME of A64_FEAT_NAME

a64insngen.py h|c TABLE...   Two patterns that can match one word are an error unless one is strictly
narrower; the narrower one is tried first."""
import re
import sys

fields, formats, insns = {}, {}, []


def die(where, text):
    sys.exit(f'{where}: {text}')


def read(path):
    for n, line in enumerate(open(path, encoding='utf-8'), 1):
        where = f'{path}:{n}'
        line = line.split('#')[0].strip()
        if not line:
            continue
        w = line.split()
        if w[0] == 'field':
            slices = [tuple(map(int, (x + ':' + x).split(':')[:2])) for x in w[2:] if x[0].isdigit()]
            shift = next((int(x[2:]) for x in w if x.startswith('<<')), 0)
            if w[1] in fields:
                die(where, f'field {w[1]} is there already')
            fields[w[1]] = ('s' in w[2:3], slices, shift)
        elif w[0] == 'format':
            if w[1] in formats:
                die(where, f'format {w[1]} is there already')
            formats[w[1]] = [tuple((x + '=' + x).split('=')[:2]) for x in w[2:]]
            for _, f in formats[w[1]]:
                if f not in fields:
                    die(where, f'no field {f}')
        else:
            m = re.match(r'(\S+)\s+(\S+)\s+(\S+)\s+([01. ]+?)\s*"(.*)"$', line)
            if not m:
                die(where, 'neither field, format nor instruction')
            bits = m[4].replace(' ', '')
            if len(bits) != 32:
                die(where, f'{m[1]} has {len(bits)} bits')
            if m[2] not in formats:
                die(where, f'no format {m[2]}')
            insns.append({'name': m[1], 'fmt': m[2], 'feat': m[3], 'asm': m[5], 'where': where,
                          'mask': int(bits.replace('0', '1').replace('.', '0'), 2),
                          'val': int(bits.replace('.', '0'), 2)})


def check_overlaps():
    for i, a in enumerate(insns):
        for b in insns[i + 1:]:
            common = a['mask'] & b['mask']
            if (a['val'] ^ b['val']) & common:
                continue
            if common not in (a['mask'], b['mask']) or a['mask'] == b['mask']:
                die(b['where'], f"{b['name']} overlaps {a['name']} ({a['where']})")


def extract(name):
    signed, slices, shift = fields[name]
    total = pos = sum(h - l + 1 for h, l in slices)
    parts = []
    for h, l in slices:
        n = h - l + 1
        pos -= n
        x = f'(w >> {l} & {(1 << n) - 1:#x})'
        parts.append(f'{x} << {pos}' if pos else x)
    v = ' | '.join(parts)
    v = f'(int32_t)sext({v}, {total})' if signed else f'(int32_t)({v})'
    return f'{v} * {1 << shift}' if shift else v


def tree(group, used, ind, leaf):
    group = sorted(group, key=lambda i: -bin(i['mask']).count('1'))
    common = ~used & 0xffffffff
    for i in group:
        common &= i['mask']
    pad = '    ' * ind
    if len(group) > 1 and common:
        r = [f'{pad}switch (w & {common:#010x}) {{']
        for v in sorted({i['val'] & common for i in group}):
            r.append(f'{pad}case {v:#010x}:')
            r += tree([i for i in group if i['val'] & common == v], used | common, ind + 1, leaf)
            r.append(f'{pad}    break;')
        return r + [f'{pad}}}']
    r = []
    for i in group:
        rest = i['mask'] & ~used
        cond = f'if ((w & {rest:#010x}) == {i["val"] & rest:#010x}) ' if rest else ''
        r.append(pad + cond + leaf(i))
    return r


def leaf_tr(i):
    init = ', '.join(f'.{a} = {extract(f)}' for a, f in formats[i['fmt']])
    feat = '' if i['feat'] == 'I' else f"tr_has(t, A64_FEAT_{i['feat']}) && "
    return f"{{ return {feat}tr_{i['name']}(t, &(struct arg_{i['fmt']}){{ {init} }}); }}"


def leaf_dis(i):
    args = ''.join(f'{{ "{a}", {extract(f)} }}, ' for a, f in formats[i['fmt']])
    return f"{{ a64_print(out, n, pc, w, \"{i['asm']}\", (struct a64_print_arg[]){{ {args}{{ 0 }} }}); return; }}"


def header():
    out = ['/* Generated: do not edit. */', '#pragma once', '#include "guest/arm/tr.h"']
    for f, args in formats.items():
        body = ' '.join(f'int32_t {a};' for a, _ in args) or 'int32_t none;'
        out.append(f'struct arg_{f} {{ {body} }};')
    for name, fmt in sorted({(i['name'], i['fmt']) for i in insns}):
        out.append(f'#pragma redefine_extname tr_{name} a64_tr_{name}')
        out.append(f'bool tr_{name}(struct tr *t, const struct arg_{fmt} *a);')
    return out


def code():
    return (['/* Generated: do not edit. */', '#include "guest/arm/disasm.h"',
             '#include "guest/arm/insn.h"', '#include "base/bits.h"',
             'bool a64_decode(struct tr *t, uint32_t w)', '{']
            + tree(insns, 0, 1, leaf_tr) + ['    return false;', '}',
             'void a64_disas(char *out, size_t n, uint64_t pc, uint32_t w)', '{']
            + tree(insns, 0, 1, leaf_dis)
            + ['    a64_print(out, n, pc, w, ".inst {word:hex}", (struct a64_print_arg[]){ { "word", (int32_t)w }, { 0 } });', '}'])


for table in sys.argv[2:]:
    read(table)
check_overlaps()
print('\n'.join(header() if sys.argv[1] == 'h' else code()))
