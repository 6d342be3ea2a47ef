# SPDX-License-Identifier: GPL-2.0-or-later
"""What the two benchmarks share: programs, native runs, medians, tables."""
import math
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / 'build' / 'bench'
MARK = re.compile(r'@stop \w+ (\w+) ([\d.]+) ([\d.]+)')


class Trouble(Exception):
    pass


def tool(*argv):
    p = subprocess.run([str(a) for a in argv], cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if p.returncode:
        sys.exit(f'bench: {argv[0]} failed')
    return p.stdout.decode().strip()


def build_programs(names, compiler='gcc', flags=('-O2',), folder='programs'):
    """Static programs of the sources in programs/; returns their folder."""
    out = WORK / folder
    out.mkdir(parents=True, exist_ok=True)
    header = (HERE / 'programs/bench.h').stat().st_mtime
    for name in names:
        source, binary = HERE / f'programs/{name}.c', out / name
        newest = max(source.stat().st_mtime, header)
        if not binary.exists() or binary.stat().st_mtime < newest:
            tool(compiler, *flags, '-static', '-s', '-o', binary, source, '-lm')
    return out


def median(values):
    return statistics.median(values) if values else None


def number(v, form='{:.3f}'):
    return '-' if v is None else form.format(v)


def ratio(a, b):
    return a / b if a and b else None


def geomean(values):
    values = [v for v in values if v]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def host_name():
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        cpu = re.search(r'model name\s*: (.*)', f.read())
    return cpu[1] if cpu else '?'


def print_head(names):
    """names: the emulators', Rhea's last."""
    head = f'{"program":<10}{"kind":<16}{"native":>8}'
    for n in names:
        head += f'{n:>9}{"/native":>9}'
    if len(names) > 1:
        head += f'{names[0] + "/" + names[1]:>12}'
    print(head)


def print_row(names, row, times, troubles):
    line = f'{row[0]:<10}{row[2]:<16}{times["native"]:8.3f}'
    for n in names:
        line += f'{number(times.get(n)):>9}'
        line += f'{number(ratio(times.get(n), times["native"]), "{:.1f}"):>9}'
    if len(names) > 1:
        line += f'{number(ratio(times.get(names[0]), times.get(names[1])), "{:.2f} x"):>12}'
    print(line + ''.join(f'   {k}: {v}' for k, v in troubles.items()), flush=True)


def print_summary(names, results, groups):
    print()
    for label, kinds in groups:
        rows = [r for r in results if r['kind'] in kinds]
        if not rows:
            continue
        line = f'{label:<26}'
        for n in names:
            g = geomean([ratio(r['times'].get(n), r['times']['native']) for r in rows])
            line += f'  {n} {number(g, "{:.1f}")} x native'
        if len(names) > 1:
            a, b = names
            speeds = [ratio(r['times'].get(a), r['times'].get(b)) for r in rows]
            low = min((s for s in speeds if s), default=None)
            line += f'  {b} is {number(geomean(speeds), "{:.2f}")} times as fast as {a}'
            line += f' (least {number(low, "{:.2f}")})'
        print(line)
