#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tools/insngen.py: what it must refuse, with which words, and what it must accept; and that the C it writes decodes."""
import pathlib
import subprocess
import sys
import tempfile

GEN = pathlib.Path(__file__).resolve().parents[2] / 'tools' / 'insngen.py'
HEAD = ('field rd 11:7\nfield rs1 19:15\nfield rs2 24:20\nfield imm_b s 31 7 30:25 11:8 <<1\nfield c_rd 9:7 +8\n'
        'format r rd rs1 rs2\nformat b rs1 rs2 imm=imm_b\nformat op rd op=?\nformat cr:r rd=c_rd rs1=c_rd rs2=0\n')
ADD = 'add r I 0000000 ..... ..... 000 ..... 0110011 "add {rd}, {rs1}, {rs2}"\n'
CASES = [   # name, table, text expected in the error or None
    ('ok_plain', ADD, None),
    ('ok_comment', '# a "comment" that ends "so"\n' + ADD.rstrip() + ' # and another\n', None),
    ('ok_narrower', ADD + 'nop - I 00000000000000000000000000110011 "nop"\n', None),
    ('ok_half', 'c.not cr Zcb 100111...1110101 "c.not {rd}"\n' + ADD, None),
    ('ok_shared', 'x.a>op op I 0 .............................10 op=1 "x"\nx.b>op op I 1 .............................10 op=2 "x"\n',
     None),
    ('ok_field_again', 'field rd 11:7\n' + ADD, None),
    ('err_overlap', 'a - I 0............................... "a"\nb - I ...............................1 "b"\n', 'b overlaps a'),
    ('err_twice', ADD + ADD.replace('add r', 'sub r'), 'sub overlaps add'),
    ('err_bits', 'add r I 0000 "add"\n', 'add has 4 bits'),
    ('err_format', ADD.replace('add r', 'add q'), "no format 'q'"),
    ('err_field', 'format x rd=nothing\n', "no field 'nothing'"),
    ('err_field_differs', 'field rd 4:0\n', 'field rd is there already and differs'),
    ('err_slice', 'field x 3:7\n', "bad slice '3:7'"),
    ('err_not_given', ADD.replace('add r', 'add op').replace('{rs1}', '').replace('{rs2}', ''), 'op is not given'),
    ('err_text', ADD.replace('{rs2}', '{imm}'), 'format r has no imm'),
    ('err_struct', 'format cx:r rd=c_rd\n', 'cx must set what r has'),
    ('err_function', ADD + ADD.replace('add r', 'and>add b').replace('0000000', '0000001').replace('{rd}', ''),
     'tr_add takes arg_r'),
    ('err_line', 'what is this\n', 'neither field, format nor'),
]
DRIVER = r'''
#include <stdio.h>
#include <string.h>
#include "t_insn.h"
static char got[99];
bool tr_add(struct tr *t, const struct arg_r *a) { sprintf(got, "add %d %d %d", a->rd, a->rs1, a->rs2); return true; }
bool tr_beq(struct tr *t, const struct arg_b *a) { sprintf(got, "beq %d %d %d", a->rs1, a->rs2, a->imm); return true; }
bool tr_nop(struct tr *t) { strcpy(got, "nop"); return true; }
static int bad;
static void check(uint32_t w, bool half, const char *want, const char *text)
{
    char s[64];
    got[0] = 0;
    if (!(half ? t_decode16(NULL, w) : t_decode(NULL, w)))
        strcpy(got, "illegal");
    (half ? t_disas16 : t_disas)(s, sizeof(s), 0x1000, w);
    if (strcmp(got, want) || strcmp(s, text))
        bad++, printf("%#x: '%s' '%s', expected '%s' '%s'\n", w, got, s, want, text);
}
int main(void)
{
    check(0x003100b3, false, "add 1 2 3", "add x1, 2, 3");
    check(0x33, false, "nop", "nop");
    check(0xfe208ee3, false, "beq 1 2 -4", "beq 1, 2, 0xffc");
    check(0x40208033, false, "illegal", ".word 0x40208033");
    check(0x9ff5, true, "add 15 15 0", "c.not 15");
    check(0x003100bf, false, "illegal", "mul 1");
    return bad;
}
int t_dis_x(char *o, size_t n, uint64_t pc, uint32_t w, int64_t v) { return snprintf(o, n, "x%d", (int)v); }
'''


def gen(what, *args):
    return subprocess.run([sys.executable, GEN, what, 't', *args], capture_output=True, text=True, check=False)


def decodes(d):
    table = d / 't.insn'
    table.write_text(HEAD + ADD.replace('{rd}', '{rd:x}') + 'nop - I 00000000000000000000000000110011 "nop"\n'
                     'beq b I ....... ..... ..... 000 ..... 1100011 "beq {rs1}, {rs2}, {imm:pc}"\n'
                     'mul>add r M|X ....... ..... ..... ... ..... 0111111 "mul {rd}"\n'
                     'c.not>add cr I 100111...1110101 "c.not {rd}"\n')
    (d / 'tr.h').write_text('#define tr_has(t, f) 0\nenum { F_M, F_X };\n')
    for what, name in (('header', 't_insn.h'), ('decode', 'decode.c'), ('disas', 'disas.c')):
        p = gen(what, '-f', 'F_', '-i', 'tr.h', str(table))
        if p.returncode:
            return p.stderr
        (d / name).write_text(p.stdout)
    (d / 'main.c').write_text(DRIVER)
    p = subprocess.run(['cc', '-Wall', '-Werror', '-I', d, '-o', d / 't', d / 'main.c', d / 'decode.c', d / 'disas.c'],
                       capture_output=True, text=True, check=False)
    if p.returncode:
        return p.stderr
    p = subprocess.run([d / 't'], capture_output=True, text=True, check=False)
    return p.stdout if p.returncode else ''


failed = 0
with tempfile.TemporaryDirectory() as folder:
    for name, table, want in CASES:
        path = pathlib.Path(folder) / 'case.insn'
        path.write_text(HEAD + table)
        p = gen('decode', str(path))
        good = p.returncode == 0 if want is None else p.returncode == 1 and want in p.stderr
        if not good:
            failed += 1
            print(f'FAIL {name}: status {p.returncode}, expected {want!r}, got: {p.stderr.strip()[-300:]}')
    why = decodes(pathlib.Path(folder))
    if why:
        failed += 1
        print(f'FAIL decodes: {why}')
print(f'{len(CASES) + 1 - failed} passed, {failed} failed')
sys.exit(failed != 0)
