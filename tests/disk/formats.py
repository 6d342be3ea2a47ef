#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 150
"""vdi, vhdx, vpc, qed, parallels, vmdk beside Debian's qemu-img and qemu-io, both ways.

Each row is made by one side, written and checked by both in turn, converted, and compared; reports
are equal. With names of formats as arguments, only those.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve()
OURS = {'img': str(BUILD / 'rhea-img'), 'io': str(BUILD / 'rhea-io')}
THEIRS = {'img': 'qemu-img', 'io': 'qemu-io'}

ROWS = [
    ('vdi', ''), ('vdi', 'static=on'),
    ('vpc', ''), ('vpc', 'force_size=on'), ('vpc', 'subformat=fixed'),
    ('vpc', 'subformat=fixed,force_size=on'),
    ('vhdx', ''), ('vhdx', 'block_size=1M'), ('vhdx', 'subformat=fixed'),
    ('vhdx', 'block_state_zero=off,block_size=2M,log_size=3M'),
    ('qed', ''), ('qed', 'cluster_size=4k,table_size=2'), ('qed', 'cluster_size=1M,table_size=16'),
    ('parallels', ''), ('parallels', 'cluster_size=192k'),
    ('vmdk', ''), ('vmdk', 'zeroed_grain=on'), ('vmdk', 'compat6=on,adapter_type=buslogic'),
    ('vmdk', 'adapter_type=lsilogic,hwversion=13,toolsversion=5'),
    ('vmdk', 'subformat=monolithicFlat,adapter_type=legacyESX'),
    ('vmdk', 'subformat=twoGbMaxExtentSparse'), ('vmdk', 'subformat=twoGbMaxExtentFlat'),
    ('vmdk', 'subformat=streamOptimized'),
]
BACKED = [('qed', ''), ('qed', 'cluster_size=4k,table_size=2'), ('vmdk', ''),
          ('vmdk', 'zeroed_grain=on'), ('vmdk', 'subformat=twoGbMaxExtentSparse')]
WRITES = [['write -P 0x11 0 64k', 'write -P 0x22 1000000 300000', 'write -P 0x33 5M 3M'],
          ['write -z 5500000 100', 'write -P 0x44 19000000 1000000', 'write -z 6M 64k'],
          ['write -P 0x55 64k 64k', 'write -z -u 1M 128k', 'write -P 0x66 12345 1']]
SIZE = '20M'


class Wrong(Exception):
    pass


def run(*args, ok=(0,), cwd=None):
    p = subprocess.run([str(a) for a in args], capture_output=True, text=True, cwd=cwd, timeout=60)
    if p.returncode not in ok:
        raise Wrong(f"{' '.join(map(str, args))}: exit {p.returncode}: {p.stdout}{p.stderr}")
    return p.stdout


def io(side, fmt, path, commands):
    args = [side['io'], '-f', fmt]
    for c in commands:
        args += ['-c', c]
    out = run(*args, path)
    if 'failed' in out:
        raise Wrong(f'{side["io"]} {path}: {out}')


def checked(fmt, path):
    for side in (OURS, THEIRS):
        run(side['img'], 'check', '-q', '-f', fmt, path, ok=(0, 63))


def same(fmt, path, raw):
    """path holds what raw holds, as each side sees it."""
    for side in (OURS, THEIRS):
        run(side['img'], 'compare', '-q', '-f', fmt, '-F', 'raw', path, raw)


def reports_equal(fmt, path):
    for command in ('info', 'check'):
        args = ['--output=json', '-f', fmt, path]
        ours = run(OURS['img'], command, *args, ok=(0, 63))
        theirs = run(THEIRS['img'], command, *args, ok=(0, 63))
        if (ours and json.loads(ours)) != (theirs and json.loads(theirs)):
            raise Wrong(f'{command} of {path}: {ours} is not {theirs}')
    if fmt == 'vhdx':
        return  # QEMU calls all of it data, ours knows better
    maps = [run(side['img'], 'map', '--output=json', '-f', fmt, path) for side in (OURS, THEIRS)]
    if maps[0] != maps[1]:
        raise Wrong(f'map of {path}: {maps[0]} is not {maps[1]}')


def raw_of(side, fmt, path, raw):
    run(side['img'], 'convert', '-f', fmt, '-O', 'raw', path, raw)


def made_by(side, other, fmt, options, d):
    """side makes the image; the two write to it in turn."""
    path, raw = d / f'disk.{fmt}', d / 'disk.raw'
    o = ['-o', options] if options else []
    stream = 'streamOptimized' in options
    run(side['img'], 'create', '-q', '-f', fmt, *o, path, SIZE)
    reports_equal(fmt, path)
    # QEMU writes whole grains once there
    writes = WRITES if not stream else [['write -P 0x11 0 64k', 'write -P 0x22 1M 3M']]
    for who, commands in zip((other, side, other), writes):
        io(who, fmt, path, commands)
        checked(fmt, path)
        raw_of(OURS, fmt, path, raw)
        same(fmt, path, raw)
    reports_equal(fmt, path)
    return raw


def text_of_descriptor(path):
    data = path.read_bytes()
    if data.startswith(b'KDMV'):
        data = data[512:512 + 20 * 512].rstrip(b'\0')
    text = data.decode()
    return re.sub(r'^(CID|parentCID)=.*$', r'\1', text, flags=re.M)


def created_alike(fmt, options, d):
    """The same command makes the same file but for random numbers and times."""
    o = ['-o', options] if options else []
    out = {}
    for name, side in (('ours', OURS), ('theirs', THEIRS)):
        (d / name).mkdir()
        out[name] = run(side['img'], 'create', '-f', fmt, *o, 'x.' + fmt, SIZE, cwd=d / name)
        sizes = {f.name: f.stat().st_size for f in (d / name).iterdir()
                 if fmt != 'vmdk' or f.name != 'x.vmdk'}  # a CID may be of seven digits
        if fmt == 'vmdk':
            out[name] += text_of_descriptor(d / name / ('x.' + fmt))
        if fmt != 'vhdx':  # ours begins its blocks right behind the tables
            out[name] += str(sorted(sizes.items()))
    if out['ours'] != out['theirs']:
        raise Wrong(f"create {fmt} {options}: {out['ours']} is not {out['theirs']}")


def one_row(fmt, options, base):
    d = pathlib.Path(tempfile.mkdtemp(dir=base))
    created_alike(fmt, options, d)
    for side, other in ((OURS, THEIRS), (THEIRS, OURS)):
        raw = made_by(side, other, fmt, options, d)
        o = ['-o', options] if options else []
        converted = d / f'converted.{fmt}'
        run(side['img'], 'convert', '-f', 'raw', '-O', fmt, *o, raw, converted)
        checked(fmt, converted)
        for who in (OURS, THEIRS):
            run(who['img'], 'compare', '-q', '-f', fmt, '-F', 'raw', converted, raw)
    shutil.rmtree(d)


def one_overlay(fmt, options, base):
    d = pathlib.Path(tempfile.mkdtemp(dir=base))
    for side, other in ((OURS, THEIRS), (THEIRS, OURS)):
        bottom, top, raw = d / 'bottom', d / 'top', d / 'raw'
        run(side['img'], 'create', '-q', '-f', fmt, bottom, SIZE)
        io(side, fmt, bottom, ['write -P 0x77 0 20M'])
        o = ['-o', options] if options else []
        run(side['img'], 'create', '-q', '-f', fmt, '-b', 'bottom', '-F', fmt, *o, top)
        reports_equal(fmt, top)
        for who, commands in zip((other, side, other), WRITES):
            io(who, fmt, top, commands)
            checked(fmt, top)
            raw_of(OURS, fmt, top, raw)
            same(fmt, top, raw)
        reports_equal(fmt, top)
        for f in d.iterdir():
            f.unlink()
    shutil.rmtree(d)


def refused(base):
    """What both refuse, in the same words."""
    d = pathlib.Path(tempfile.mkdtemp(dir=base))
    run('qemu-img', 'create', '-q', '-f', 'vmdk', d / 'parent.vmdk', '1M')
    cases = [
        ('vmdk', 'adapter_type=foo', []), ('vmdk', 'compat6=on,hwversion=9', []),
        ('vmdk', 'subformat=monolithicFlat,zeroed_grain=on', []),
        ('vmdk', 'subformat=monolithicFlat', ['-b', 'parent.vmdk', '-F', 'vmdk']),
        ('vpc', 'subformat=foo', []), ('vhdx', 'subformat=foo', []), ('vhdx', 'block_size=3M', []),
        ('qed', 'cluster_size=1k', []), ('qed', 'table_size=3', []),
        ('vdi', '', ['-b', 'parent.vmdk', '-F', 'vmdk']),
    ]
    for fmt, options, more in cases:
        args = ['create', '-q', '-f', fmt] + (['-o', options] if options else []) + more
        args += ['x.' + fmt] + ([] if more else ['1M'])
        said = []
        for side in (OURS, THEIRS):
            p = subprocess.run([side['img'], *args], cwd=d, capture_output=True, text=True,
                               timeout=60)
            if p.returncode != 1:
                raise Wrong(f'{side["img"]} {args}: exit {p.returncode}')
            said.append(p.stderr)
        left = [f.name for f in d.iterdir() if f.name != 'parent.vmdk']
        if left and left != ['x.' + fmt]:
            raise Wrong(f'{args} left {left}')
        for f in left:
            (d / f).unlink()
    shutil.rmtree(d)


def killed_stream(base):
    """Grains written twice, which QEMU refuses: ours replaces them, and QEMU reads the result."""
    d = pathlib.Path(tempfile.mkdtemp(dir=base))
    path = d / 's.vmdk'
    run(OURS['img'], 'create', '-q', '-f', 'vmdk', '-o', 'subformat=streamOptimized', path, '1M')
    io(OURS, 'vmdk', path, ['write -P 1 0 128k', 'write -P 2 60k 10k', 'write -z 100k 4k'])
    io(THEIRS, 'vmdk', path, ['read -P 1 0 60k', 'read -P 2 60k 10k', 'read -P 0 100k 4k',
                              'read -P 1 104k 24k', 'read -P 0 128k 896k'])
    shutil.rmtree(d)


def main():
    if not shutil.which('qemu-img'):
        print('skipped: no qemu-img to compare with (qemu-utils)')
        return 0
    for tool in OURS.values():
        if not os.path.exists(tool):
            print('skipped: no', tool)
            return 0
    bad = 0
    wanted = sys.argv[1:]
    base = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=base) as folder, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = {pool.submit(one_row, f, o, folder): (f, o)
                for f, o in ROWS if not wanted or f in wanted}
        jobs |= {pool.submit(one_overlay, f, o, folder): (f, o, 'overlay')
                 for f, o in BACKED if not wanted or f in wanted}
        if not wanted:
            jobs |= {pool.submit(refused, folder): 'refused',
                     pool.submit(killed_stream, folder): 'stream'}
        for job, name in jobs.items():
            try:
                job.result()
            except (Wrong, ValueError, subprocess.TimeoutExpired) as e:
                print('wrong:', name, str(e)[:1500])
                bad += 1
    print(len(jobs), 'rows,', bad, 'wrong')
    return bad != 0


if __name__ == '__main__':
    sys.exit(main())
