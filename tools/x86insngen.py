#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn guest/x86/x86.insn into the decoder's tables.

  x86insngen.py ops      TABLE > x86_ops.h       enum x86_op, enum x86_insn_feature
  x86insngen.py tables   TABLE > x86_tables.c    forms, nested tables, names
  x86insngen.py dispatch TABLE > x86_dispatch.c  x86_tr_fns[]: tr_NAME for every operation
  x86insngen.py tr       TABLE > x86_tr.h        prototypes of the same

The table's format is described at its head. Lines that two different instructions could match are an error."""
import re
import sys

PP = {'NP': {0}, '66': {1}, 'F3': {2}, 'F2': {3}, 'NFx': {0, 1}, 'N3': {0, 1, 3}}
MAPS = {'': 0, '0F': 1, '0F38': 2, '0F3A': 3, 'V0F': 4, 'V0F38': 5, 'V0F3A': 6}
FLAGS = dict(c=1, p=2, a=4, z=8, s=16, o=32, d=64)
DIMS = ['MODE', 'PP', 'MOD', 'REG', 'RM', 'W', 'B', 'L']        # order in which the tree asks
WIDTH = dict(MODE=2, PP=4, MOD=2, REG=8, RM=8, W=2, B=2, L=2)
LOC = {'R': 'REG', 'M': 'RM', 'U': 'RM', 'N': 'RMREG', 'O': 'OPC', 'I': 'IMM', 'D': 'REL', 'P': 'FAR', 'T': 'MOFFS',
       'A': 'FIXED', 'C': 'FIXED', '2': 'FIXED', 'Z': 'FIXED', 'S': 'FIXED', '1': 'ONE', 'X': 'SRC', 'Y': 'DST', 'V': 'VVVV'}
FIXED = {'A': 0, 'C': 1, '2': 2, 'Z': 0}
SEGS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs']
SIZES = {'b': '1', 'w': '2', 'd': '4', 'q': '8', 't': '10', 'x': '16', 'n': '0', 'v': 'X86_S_V', 'z': 'X86_S_Z', 'y': 'X86_S_Y',
         'g': 'X86_S_G', 'p': 'X86_S_FARPTR', 'a': 'X86_S_BOUND', 's': 'X86_S_DESC'}
KINDS = {'r': 'GPR', 'm': 'MEM', 'x': 'XMM', 'p': 'MMX', 'i': 'IMM', 'j': 'REL', 'a': 'FAR'}
ATTRS = {'lock': 'LOCK', 'rep': 'REP', 'd64': 'D64', 'f64': 'F64', 'cpl0': 'CPL0', 'prot': 'PROT'}


def die(line, text):
    sys.exit(f'{path}:{line}: {text}')


def flag_bits(text, line):
    if text == '-':
        return 0
    if any(ch not in FLAGS for ch in text):
        die(line, f"unknown flag in '{text}'")
    return sum(FLAGS[ch] for ch in set(text))


def operand(loc, typ, line):
    """One operand as a C initialiser of struct x86_form_operand."""
    if typ == 'st':
        kind, rs, ms = 'ST', '10', '10'
    elif typ in ('sg', 'cr', 'dr'):
        kind, rs, ms = {'sg': ('SEG', '2', '2'), 'cr': ('CR', 'X86_S_G', '0'), 'dr': ('DR', 'X86_S_G', '0')}[typ]
    elif typ in SEGS:
        return f'{{ X86_L_FIXED, X86_K_SEG, 2, 2, {SEGS.index(typ)} }}'
    elif typ == 'is':
        kind, rs, ms = 'IMM', 'X86_S_IMM8S', '0'
    else:
        reg, mem = (typ + '/' + typ).split('/')[:2]
        if reg[0] not in KINDS or len(reg) != 2 or reg[1] not in SIZES or mem[1] not in SIZES:
            die(line, f"unknown operand type '{typ}'")
        kind, rs, ms = KINDS[reg[0]], SIZES[reg[1]], SIZES[mem[1]]
        if kind == 'XMM' and loc not in 'MU' and reg[1] not in 'xqdw':
            die(line, f"odd XMM size '{typ}'")
    if loc not in LOC:
        die(line, f"unknown operand encoding '{loc}'")
    return f'{{ X86_L_{LOC[loc]}, X86_K_{kind}, {rs}, {ms}, {FIXED.get(loc, 0)} }}'


def parse_opcode(text, line):
    m = re.fullmatch(r'(?:(NP|66|F3|F2|NFx|N3|PX)\.|VEX\.(128|256|LIG)\.(NP|66|F3|F2)\.)?'
                     r'((?:0F38|0F3A|0F)??)([0-9A-F]{2})(?:\.\.(?:0F)?([0-9A-F]{2}))?(?:/([0-7])|//([0-9A-F]{2}))?', text)
    if not m:
        die(line, f"bad opcode '{text}'")
    pfx, vlen, vpp, omap, first, last, ext, full = m.groups()
    c = {}
    if (vpp or pfx) and pfx != 'PX':
        c['PP'] = PP[vpp or pfx]
    if vlen and vlen != 'LIG':
        c['L'] = {int(vlen == '256')}
    if ext:
        c['REG'] = {int(ext)}
    if full:
        v = int(full, 16)
        c.update(MOD={1}, REG={v >> 3 & 7}, RM={v & 7})
    lo = int(first, 16)
    return pfx, MAPS[('V' if vlen else '') + omap], range(lo, int(last or first, 16) + 1), c, bool(vlen)


class Form:
    pass


def parse_row(words, line):
    """All forms of one line (two for PX)."""
    pfx, omap, codes, cons, vex = parse_opcode(words[0], line)
    enc = '' if words[1] == '-' else words[1]
    n = len(enc)
    if len(words) < 4 + n:
        die(line, 'too few columns')
    types, name, flags, attrs = words[2:2 + n], words[2 + n], words[3 + n], words[4 + n:]
    if not re.fullmatch(r'[a-z][a-z0-9_]*', name):
        die(line, f"'{name}' is no mnemonic (does the number of operands match '{enc}'?)")
    fl = [flag_bits(x, line) for x in (flags + '/-/-').split('/')[:3]] if flags != '-' else [0, 0, 0]
    if fl[1] & fl[2]:
        die(line, 'a flag is both written and undefined')
    out = []
    for k, pp in enumerate([{0}, {1}] if pfx == 'PX' else [None]):
        f = Form()
        f.line, f.name, f.flags, f.map, f.codes, f.types = line, name, fl, omap, codes, types
        f.cons = dict(cons)
        if pp:
            f.cons['PP'] = pp
        f.attr, f.feature, f.orelse, unal = set(), 'base', None, False
        for a in attrs:
            if a in ATTRS:
                f.attr.add(ATTRS[a])
            elif a in ('i64', 'o64'):
                f.cons['MODE'] = {int(a == 'o64')}
            elif a in ('w0', 'w1'):
                f.cons['W'] = {int(a[1])}
            elif a in ('b0', 'b1'):
                f.cons['B'] = {int(a[1])}
            elif a == 'unal':
                unal = True
            elif a.startswith('else='):
                f.orelse = a[5:]
            else:
                f.feature = a.split('|')[k] if '|' in a else a
                if f.feature not in features:
                    die(line, f"unknown attribute or feature '{a}'")
        f.opnd = []
        for loc, t in zip(enc, types):
            t = {'n': 'xx' if pp == {1} else 'pq'}.get(t, t)
            f.opnd.append(operand(loc, t, line))
            if loc in 'MU' and (loc == 'U' or t[0] == 'm'):
                f.cons['MOD'] = {int(loc == 'U')}
            if loc == 'M' and t in ('xx', 'mx') and not unal and not vex:
                f.attr.add('ALIGN')
        gpr = [t for e, t in zip(enc, types) if e != '2' and t[0] in 'rm' and len(t.split('/')[0]) == 2]
        if gpr and gpr[0].startswith(('rb', 'mb')):
            f.attr.add('BYTE')
        if gpr and gpr[0][1] == 'z':
            f.attr.add('CAP32')
        if set(enc) & set('RMUN') or {'REG', 'RM', 'MOD'} & set(f.cons):
            f.attr.add('MODRM')
        if vex:
            f.attr.add('VEX')
        out.append(f)
    return out


def load():
    forms = [None]
    for n, text in enumerate(open(path), 1):
        text = text.split('#')[0].split()
        if not text:
            continue
        if text[0] == '%feature':
            for word in text[1:]:
                name, at = word.split('=')
                features.append(name)
                cpuid.append('X86_INSN_CPUID(%s, %s)' % tuple(at.split('.')))
        else:
            forms += parse_row(text, n)
    for i, f in enumerate(forms[1:], 1):
        f.index = i
    for f in forms[1:]:
        f.fallback = 0
        if f.orelse:
            same = [g for g in forms[1:] if g.name == f.orelse and g.codes == f.codes and g.map == f.map]
            if len(same) != 1:
                die(f.line, f"else={f.orelse}: no such line for this opcode")
            f.fallback = same[0].index
    return forms


def node(rows, dims):
    """The node for these rows: (kind << 12 | index), building shared subtables as needed."""
    if not rows:
        return 0
    for k, d in enumerate(dims):
        if any(d in f.cons for f in rows):
            sub = tuple(node([f for f in rows if v in f.cons.get(d, {v})], dims[k + 1:]) for v in range(WIDTH[d]))
            if len(set(sub)) == 1:
                return sub[0]
            if sub not in shared:
                shared[sub] = len(nodes)
                nodes.extend(sub)
            at = shared[sub] // 2
            if at > 0xfff:
                sys.exit(f'{path}: the nested tables are full')
            return (DIMS.index(d) + 1) << 12 | at
    if len(rows) > 1:
        die(rows[1].line, f'{rows[1].name} overlaps {rows[0].name} (line {rows[0].line})')
    return rows[0].index


def c_array(values, per=12):
    return '\n'.join('    ' + ' '.join(f'{v},' for v in values[i:i + per]) for i in range(0, len(values), per))


def head():
    return '/* SPDX-License-Identifier: GPL-2.0-or-later */\n/* Generated from x86.insn by tools/x86insngen.py: do not edit. */'


def out_ops():
    print(head() + '\n#ifndef GUEST_X86_OPS_H\n#define GUEST_X86_OPS_H\n\nenum x86_op {')
    print('    X86_OP_INVALID,\n' + '\n'.join(f'    X86_OP_{n.upper()},' for n in names) + '\n    X86_OP_COUNT\n};\n')
    print('/* Bits of the feature mask of x86_decode. */\nenum x86_insn_feature {')
    print('\n'.join(f'    X86_IFEAT_{n.upper()},' for n in features) + '\n    X86_IFEAT_COUNT\n};\n\n#endif')


def out_tables():
    root = [0] * (len(MAPS) * 256)
    by = {}
    for f in forms[1:]:
        for code in f.codes:
            by.setdefault(f.map * 256 + code, []).append(f)
    for k, rows in by.items():
        root[k] = node(rows, DIMS)
    print(head() + '\n#include "guest/x86/decode.h"\n#include "guest/x86/decode_tables.h"\n')
    print(f'const uint16_t x86_root[X86_MAP_COUNT * 256] = {{\n{c_array(root)}\n}};\n')
    print(f'const uint16_t x86_nodes[{len(nodes)}] = {{\n{c_array(nodes)}\n}};\n')
    print(f'const struct x86_form x86_forms[{len(forms)}] = {{\n    {{ 0 }},')
    for f in forms[1:]:
        attr = ' | '.join('X86_A_' + a for a in sorted(f.attr)) or '0'
        print(f'    {{ X86_OP_{f.name.upper()}, {attr}, {f.fallback}, X86_IFEAT_{f.feature.upper()}, {len(f.opnd)}, '
              f'{f.flags[0]}, {f.flags[1]}, {f.flags[2]}, {{ {", ".join(f.opnd) or "{ 0 }"} }} }},')
    print('};\n')
    print('const char *const x86_op_names[X86_OP_COUNT + 1] = {\n    "invalid",')
    print('\n'.join(f'    "{n}",' for n in names) + '\n};\n')
    print('/* CPUID bit of each feature, as X86_FEATURE(word, bit) of x86.h. */\n#define X86_INSN_CPUID(word, bit) ((word) << 5 | (bit))')
    print(f'const uint16_t x86_insn_feature_cpuid[X86_IFEAT_COUNT] = {{\n{c_array(cpuid, 4)}\n}};\n')
    print('const char *const x86_insn_feature_names[X86_IFEAT_COUNT + 1] = {')
    print('\n'.join(f'    "{n}",' for n in features) + '\n};')


def out_tr():
    print(head() + '\n#ifndef GUEST_X86_TR_FNS_H\n#define GUEST_X86_TR_FNS_H\n\n#include <stdbool.h>\n\n#include "guest/x86/decode.h"\n')
    print('struct tr;\n\n/* One translator for each operation; false: the instruction is #UD. */')
    print('extern bool (*const x86_tr_fns[X86_OP_COUNT])(struct tr *t, const struct x86_insn *i);\n')
    print('\n'.join(f'bool tr_{n}(struct tr *t, const struct x86_insn *i);' for n in names) + '\n\n#endif')


def out_dispatch():
    print(head() + '\n#include "guest/x86/x86_tr.h"\n')
    print('bool (*const x86_tr_fns[X86_OP_COUNT])(struct tr *t, const struct x86_insn *i) = {')
    print('\n'.join(f'    [X86_OP_{n.upper()}] = tr_{n},' for n in names) + '\n};')


if len(sys.argv) != 3 or sys.argv[1] not in ('ops', 'tables', 'tr', 'dispatch'):
    sys.exit(__doc__)
path = sys.argv[2]
features, cpuid, nodes, shared = ['base'], ['0'], [], {}
forms = load()
names = list(dict.fromkeys(f.name for f in forms[1:]))
{'ops': out_ops, 'tables': out_tables, 'tr': out_tr, 'dispatch': out_dispatch}[sys.argv[1]]()
