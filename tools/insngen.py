#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn the .insn tables of a guest with fixed-width instructions into its decoder and disassembler.

  insngen.py header GUEST [-f PREFIX] TABLE...           > GUEST_insn.h      argument structs, prototypes
  insngen.py decode GUEST [-f PREFIX] -i HEADER TABLE... > GUEST_decode.c    GUEST_decode(), GUEST_decode16()
  insngen.py disas  GUEST TABLE...                       > GUEST_disas.c     GUEST_disas(), GUEST_disas16()
  insngen.py list   GUEST TABLE...                       name, extension, width, mask, value of each line

Several tables are read as one. A table has three kinds of lines; # begins a comment.

  field imm_b  s 31 7 30:25 11:8 <<1 +0   name, [s]igned, bit slices high to low, shift, constant to add
  format b     rs1 rs2 imm=imm_b op=? w=0 argument struct `arg_b`: NAME, NAME=FIELD, NAME=NUMBER,
                                          NAME=? (each line says it)
  format cb:b  rs1=c_rs1 rs2=0 imm=c_b    the same struct, filled from other fields
  beq>branch   b  I  ....... ..... ..... 000 ..... 1100011  op=0  "beq {rs1:x}, {rs2:x}, {imm:pc}"

An instruction's line: name, format (- for none), extension (I or -: always; A|B: any of them), 32 or 16
bits, assignments, assembler text. It becomes a call of tr_NAME(t, &args), or of tr_FUNCTION with
NAME>FUNCTION; `>illegal` says that the encoding is none. A dot in the name becomes _ in C. The extension
is tested when code is translated, by tr_has(t, PREFIX##EXT) of the header given with -i; without it a
wider line may still match.

In the text {a} is decimal, {a:hex} hexadecimal, {a:pc} pc + a, and {a:KIND} is what the guest's
int GUEST_dis_KIND(char *out, size_t size, uint64_t pc, uint32_t word, int64_t a) prints.

Two patterns that can match one word are an error unless one is strictly narrower; it is tried first."""
import re
import sys

ALWAYS = ('I', '-')


class Error(Exception):
    pass


def bad(where, text):
    raise Error(f'{where}: {text}')


class Field:
    """Bits of the instruction word that make one number."""

    def __init__(self, words, where):
        self.slices, self.shift, self.add, self.signed = [], 0, 0, False
        for w in words:
            if w == 's' and not self.slices:
                self.signed = True
            elif m := re.fullmatch(r'(\d+)(?::(\d+))?', w):
                hi, lo = int(m[1]), int(m[2] or m[1])
                if hi < lo or hi > 31:
                    bad(where, f"bad slice '{w}'")
                self.slices.append((hi, lo))
            elif m := re.fullmatch(r'<<(\d+)', w):
                self.shift = int(m[1])
            elif m := re.fullmatch(r'\+(\d+)', w):
                self.add = int(m[1])
            else:
                bad(where, f"'{w}' is no slice, shift or constant")
        if not self.slices:
            bad(where, 'a field without bits')
        self.bits = sum(h - l + 1 for h, l in self.slices)

    def __eq__(self, other):
        return vars(self) == vars(other)

    def wide(self):
        return self.bits + self.shift + (0 if self.signed else 1) > 32

    def value(self, w):
        """Of word w, as the C expression computes it."""
        v = 0
        for h, l in self.slices:
            v = v << (h - l + 1) | w >> l & (1 << (h - l + 1)) - 1
        if self.signed and v >> (self.bits - 1):
            v -= 1 << self.bits
        return (v << self.shift) + self.add

    def c(self):
        parts, pos = [], self.bits
        for h, l in self.slices:
            n = h - l + 1
            pos -= n
            x = f'(w >> {l} & {(1 << n) - 1:#x})' if h < 31 or self.slices != [(h, l)] else f'(w >> {l})'
            parts.append(f'(uint64_t){x} << {pos}' if pos else f'(uint64_t){x}')
        x = ' | '.join(parts)
        if self.signed:
            x = f'(int64_t)(({x}) << {64 - self.bits}) >> {64 - self.bits - self.shift}' if self.shift == 0 else \
                f'((int64_t)(({x}) << {64 - self.bits}) >> {64 - self.bits}) * {1 << self.shift}'
        else:
            x = f'(int64_t)(({x}) << {self.shift})' if self.shift else f'(int64_t)({x})'
        return x + (f' + {self.add}' if self.add else '')


class Table:
    """All tables, read and checked."""

    def __init__(self, paths):
        self.fields, self.formats, self.insns = {}, {}, []
        for path in paths:
            with open(path, encoding='utf-8') as f:
                for n, line in enumerate(f, 1):
                    self.line(line, f'{path}:{n}')
        self.check_overlaps()
        self.functions = {}
        for i in self.insns:
            if i['fn'] == 'illegal':
                continue
            old = self.functions.setdefault(i['fn'], i)
            if old['struct'] != i['struct']:
                bad(i['where'], f"tr_{i['fn']} takes arg_{old['struct']} ({old['where']})")

    def line(self, line, where):
        line = re.match(r'(?:[^"#]|"[^"]*")*', line)[0].strip()
        if not line:
            return
        words = line.split()
        if words[0] == 'field':
            new = Field(words[2:], where)
            if words[1] in self.fields and self.fields[words[1]] != new:
                bad(where, f"field {words[1]} is there already and differs")
            self.fields[words[1]] = new
        elif words[0] == 'format':
            self.format(words[1], words[2:], where)
        else:
            self.insn(line, where)

    def operand(self, text, where):
        """The value of NAME=text: a field's name, an integer or None for ?."""
        if text == '?':
            return None
        if re.fullmatch(r'-?(0x[0-9a-f]+|\d+)', text):
            return int(text, 0)
        if text not in self.fields:
            bad(where, f"no field '{text}'")
        return text

    def format(self, name, words, where):
        name, _, struct = name.partition(':')
        args = {}
        for w in words:
            arg, eq, val = w.partition('=')
            if arg in args:
                bad(where, f'{arg} twice')
            args[arg] = self.operand(val if eq else arg, where)
        struct = struct or name
        new = (struct, args)
        if name in self.formats and self.formats[name] != new:
            bad(where, f'format {name} is there already and differs')
        if struct != name:
            if struct not in self.formats:
                bad(where, f'no format {struct}')
            if set(self.formats[struct][1]) != set(args):
                bad(where, f'{name} must set what {struct} has: ' + ' '.join(self.formats[struct][1]))
        self.formats[name] = new

    def insn(self, line, where):
        m = re.match(r'(\S+)\s+(\S+)\s+(\S+)\s+([01. ]+?)((?:\s+\w+=\S+)*)\s*"(.*)"$', line)
        if not m:
            bad(where, 'neither field, format nor: name format extension bits "text"')
        bits = m[4].replace(' ', '')
        name, _, fn = m[1].partition('>')
        if len(bits) not in (16, 32):
            bad(where, f'{name} has {len(bits)} bits')
        if m[2] != '-' and m[2] not in self.formats:
            bad(where, f"no format '{m[2]}'")
        struct, args = self.formats.get(m[2], (None, {}))
        args = dict(args)
        for w in m[5].split():
            arg, _, val = w.partition('=')
            if arg not in args:
                bad(where, f'format {m[2]} has no {arg}')
            args[arg] = self.operand(val, where)
        for arg, val in args.items():
            if val is None:
                bad(where, f'{arg} is not given')
        for arg in re.findall(r'\{(\w+)', m[6]):
            if arg not in args:
                bad(where, f'format {m[2]} has no {arg}')
        self.insns.append(dict(
            name=name, fn=(fn or name).replace('.', '_'), struct=struct, args=args, ext=m[3], asm=m[6], where=where,
            width=len(bits), mask=int(bits.replace('0', '1').replace('.', '0'), 2), val=int(bits.replace('.', '0'), 2)))

    def check_overlaps(self):
        for k, a in enumerate(self.insns):
            for b in self.insns[k + 1:]:
                if a['width'] != b['width']:
                    continue
                common = a['mask'] & b['mask']
                if (a['val'] ^ b['val']) & common == 0 and (common not in (a['mask'], b['mask']) or a['mask'] == b['mask']):
                    bad(b['where'], f"{b['name']} overlaps {a['name']} ({a['where']})")

    def arg_type(self, struct, arg):
        """int32_t, or int64_t when a field of some format does not fit."""
        for s, args in self.formats.values():
            if s == struct and isinstance(args[arg], str) and self.fields[args[arg]].wide():
                return 'int64_t'
        return 'int32_t'

    def init(self, i):
        return ', '.join(f'.{a} = {v if isinstance(v, int) else self.fields[v].c()}' for a, v in i['args'].items())


def tree(group, used, ind, leaf, full):
    """C statements that find w in group; bits in `used` are known to match."""
    group = sorted(group, key=lambda i: -bin(i['mask']).count('1'))
    common = ~used & full
    for i in group:
        common &= i['mask']
    pad = '    ' * ind
    if len(group) > 1 and common:
        out = [f'{pad}switch (w & {common:#x}) {{']
        for v in sorted({i['val'] & common for i in group}):
            out.append(f'{pad}case {v:#x}:')
            out += tree([i for i in group if i['val'] & common == v], used | common, ind + 1, leaf, full)
            out.append(f'{pad}    break;')
        return out + [f'{pad}}}']
    out = []
    for i in group:
        rest = i['mask'] & ~used
        cond = f'if ((w & {rest:#x}) == {i["val"] & rest:#x}) ' if rest else ''
        out.append(pad + cond + leaf(i))
    return out


def head(what, paths):
    return (f'/* SPDX-License-Identifier: GPL-2.0-or-later */\n/* {what}. Generated from '
            f'{", ".join(p.split("/")[-1] for p in paths)} by tools/insngen.py: do not edit. */')


def widths(t):
    """(width, suffix of the functions' names)"""
    return [(n, '' if n == 32 else str(n)) for n in (32, 16) if any(i['width'] == n for i in t.insns)]


def kinds(t):
    found = {k for i in t.insns for k in re.findall(r'\{\w+:(\w+)\}', i['asm'])}
    return sorted(found - {'pc', 'hex'})


def out_header(t, o):
    g = o['guest']
    print(head('Arguments and translators of the instructions', o['tables']))
    print('#pragma once\n\n#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n\nstruct tr;\n')
    for name, (struct, args) in t.formats.items():
        if struct == name:
            members = ' '.join(f'{t.arg_type(name, a)} {a};' for a in args) or 'char none;'
            print(f'struct arg_{name} {{ {members} }};')
    print('\n/* One translator per instruction or family; false: illegal. The link name says whose it is, as other\n'
          ' * guests have an add of their own. */')
    for fn, i in t.functions.items():
        arg = f', const struct arg_{i["struct"]} *a' if i['struct'] else ''
        print(f'bool tr_{fn}(struct tr *t{arg}) __asm__("{g}_tr_{fn}");')
    print('\n/* Calls the translator of the instruction w; false: illegal, nothing was written. */')
    for _, s in widths(t):
        print(f'bool {g}_decode{s}(struct tr *t, uint32_t w);')
    print('/* Assembler text as by snprintf. */')
    for _, s in widths(t):
        print(f'int {g}_disas{s}(char *out, size_t size, uint64_t pc, uint32_t w);')
    print('/* Operands the guest prints itself. */')
    for k in kinds(t):
        print(f'int {g}_dis_{k}(char *out, size_t size, uint64_t pc, uint32_t word, int64_t value);')


def out_decode(t, o):
    g = o['guest']
    print(head('The decoder', o['tables']))
    for h in o['includes'] + [f'{o["dir"]}{g}_insn.h']:
        print(f'#include "{h}"')

    def leaf(i):
        test = ''
        if i['ext'] not in ALWAYS:
            test = 'if (' + ' || '.join(f'tr_has(t, {o["prefix"]}{e})' for e in i['ext'].split('|')) + ') '
        if i['fn'] == 'illegal':
            return f'{{ {test}return false; }}'
        arg = f', &(struct arg_{i["struct"]}){{ {t.init(i)} }}' if i['struct'] else ''
        return f'{{ {test}return tr_{i["fn"]}(t{arg}); }}'

    for width, s in widths(t):
        print(f'\nbool {g}_decode{s}(struct tr *t, uint32_t w)\n{{')
        print('\n'.join(tree([i for i in t.insns if i['width'] == width], 0, 1, leaf, (1 << width) - 1)))
        print('    return false;\n}')


def text_body(t, g, i):
    """Statements that print one instruction."""
    fmt, args = '', ''

    def flush():
        nonlocal fmt, args
        text = f'    put(out, size, &len, "{fmt}"{args});'.replace(' ""', '')
        fmt, args = '', ''
        return [text] if text != '    put(out, size, &len,);' else []

    for lit, arg, kind in re.findall(r'([^{]+)|\{(\w+)(?::(\w+))?\}', i['asm']):
        if lit:
            fmt += lit.replace('%', '%%')
            continue
        v = i['args'][arg]
        v = str(v) if isinstance(v, int) else t.fields[v].c()
        if kind in ('pc', 'hex'):
            fmt += '%#" PRIx64 "'
            args += f', {"pc + " if kind == "pc" else ""}(uint64_t)({v})'
        elif kind:
            yield from flush()
            yield (f'    len += {g}_dis_{kind}(out + ((size_t)len < size ? (size_t)len : size), '
                   f'(size_t)len < size ? size - (size_t)len : 0, pc, w, {v});')
        else:
            fmt += '%" PRId64 "'
            args += f', (int64_t)({v})'
    yield from flush()


def out_disas(t, o):
    g = o['guest']
    print(head('The disassembler', o['tables']))
    print('#include <inttypes.h>\n#include <stdarg.h>\n#include <stdio.h>\n')
    print(f'#include "{o["dir"]}{g}_insn.h"\n')
    print('/* Appends; *len counts what would have been written. */\n'
          '__attribute__((format(printf, 4, 5))) static void put(char *out, size_t size, int *len, const char *fmt, ...)\n'
          '{\n    va_list ap;\n    size_t at = (size_t)*len < size ? (size_t)*len : size;\n\n    va_start(ap, fmt);\n'
          '    *len += vsnprintf(out + at, size - at, fmt, ap);\n    va_end(ap);\n}\n')
    bodies, numbers = {}, {}
    for i in t.insns:
        body = '\n'.join(text_body(t, g, i))
        if body not in bodies:
            n = bodies[body] = len(bodies)
            print(f'static int text_{n}(char *out, size_t size, uint64_t pc, uint32_t w)\n{{\n    int len = 0;\n\n{body}\n'
                  '    (void)pc, (void)w;\n    return len;\n}')
        numbers[id(i)] = bodies[body]

    def leaf(i):
        return f'return text_{numbers[id(i)]}(out, size, pc, w);'

    for width, s in widths(t):
        print(f'\nint {g}_disas{s}(char *out, size_t size, uint64_t pc, uint32_t w)\n{{')
        print('\n'.join(tree([i for i in t.insns if i['width'] == width], 0, 1, leaf, (1 << width) - 1)))
        print(f'    return snprintf(out, size, ".{"word" if width == 32 else "half"} %#x", w);\n}}')


def out_list(t, o):
    for i in t.insns:
        print(i['name'], i['ext'], i['width'], f"{i['mask']:#x}", f"{i['val']:#x}")


OUTPUTS = {'header': out_header, 'decode': out_decode, 'disas': out_disas, 'list': out_list}


def main(argv):
    if len(argv) < 4 or argv[1] not in OUTPUTS:
        sys.exit(__doc__)
    o = dict(guest=argv[2], prefix='', includes=[], tables=[], dir='')
    rest = argv[3:]
    while rest:
        a = rest.pop(0)
        if a in ('-f', '-i') and rest:
            v = rest.pop(0)
            if a == '-f':
                o['prefix'] = v
            else:
                o['includes'].append(v)
        elif a == '-d' and rest:    # folder of the generated header as #include names it
            o['dir'] = rest.pop(0).rstrip('/') + '/'
        else:
            o['tables'].append(a)
    try:
        OUTPUTS[argv[1]](Table(o['tables']), o)
    except Error as e:
        sys.exit(str(e))


if __name__ == '__main__':
    main(sys.argv)
