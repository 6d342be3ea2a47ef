#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
"""qcow2's metadata operations against qemu-img: each makes, the other reads and judges.

Snapshots, bitmaps, amend both ways; checks of damaged images give the same counts; what we repair,
qemu-img finds sound."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

BUILD = pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve()
IMG, IO = str(BUILD / 'rhea-img'), str(BUILD / 'rhea-io')
QIMG, QIO = shutil.which('qemu-img'), shutil.which('qemu-io')
OFFSET = 0x00fffffffffffe00
failures = 0


def run(*argv, ok=True):
    p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=60, check=False, text=True)
    if ok and p.returncode != 0:
        fail(f'{" ".join(argv)}: status {p.returncode}: {p.stdout.strip()}')
    return p.returncode, p.stdout


def fail(text):
    global failures
    failures += 1
    print('FAIL', text)


def same(what, ours, theirs):
    if ours != theirs:
        fail(f'{what}: ours {ours!r}, theirs {theirs!r}')


def check(tool, path, *options):
    status, out = run(tool, 'check', '--output=json', *options, path, ok=False)
    at = out.find('{\n')
    d = json.loads(out[at:out.rindex('}') + 1]) if at >= 0 else {}
    d.pop('filename', None)
    return status, d


def snapshots(tool, path):
    d = json.loads(run(tool, 'info', '--output=json', path)[1])
    return [{k: v for k, v in s.items()} for s in d.get('snapshots', [])]


def bitmaps(tool, path):
    d = json.loads(run(tool, 'info', '--output=json', path)[1])
    return d['format-specific']['data'].get('bitmaps')


def sound(path, what):
    for tool in IMG, QIMG:
        status, d = check(tool, path)
        if status != 0:
            fail(f'{what}: {tool} check says {status} {d}')


def compare(a, b, what):
    for tool in IMG, QIMG:
        if run(tool, 'compare', a, b, ok=False)[0] != 0:
            fail(f'{what}: {tool} compare finds a difference')


def test_snapshots():
    for options in 'compat=1.1', 'compat=0.10', 'cluster_size=4k', 'extended_l2=on', 'refcount_bits=8':
        for first, second in (IMG, QIMG), (QIMG, IMG):
            what = f'snapshots {options} {pathlib.Path(first).name}'
            run(first, 'create', '-q', '-f', 'qcow2', '-o', options, 's.qcow2', '8M')
            run(QIO, '-c', 'write -P 1 0 3M', 's.qcow2')
            run(first, 'snapshot', '-c', 'one', 's.qcow2')
            run(QIO, '-c', 'write -P 2 1M 4M', 's.qcow2')
            run(second, 'snapshot', '-c', 'two', 's.qcow2')
            run(QIO, '-c', 'write -P 3 0 8M', 's.qcow2')
            sound('s.qcow2', what)
            same(what, snapshots(IMG, 's.qcow2'), snapshots(QIMG, 's.qcow2'))
            for name in 'one', 'two':
                for tool in IMG, QIMG:
                    run(tool, 'convert', '-l', name, '-O', 'raw', 's.qcow2',
                        f'{pathlib.Path(tool).name}.raw')
                compare('rhea-img.raw', 'qemu-img.raw', f'{what} {name}')
            run(second, 'snapshot', '-a', 'one', 's.qcow2')
            sound('s.qcow2', what)
            run(QIO, '-c', 'read -P 1 0 3M', '-c', 'read -P 0 3M 5M', 's.qcow2')
            run(first, 'snapshot', '-a', 'two', 's.qcow2')
            run(QIO, '-c', 'read -P 1 0 1M', '-c', 'read -P 2 1M 4M', 's.qcow2')
            sound('s.qcow2', what)
            run(first, 'snapshot', '-d', 'one', 's.qcow2')
            run(second, 'snapshot', '-d', 'two', 's.qcow2')
            sound('s.qcow2', what)
            same(what, snapshots(IMG, 's.qcow2'), [])


def test_bitmaps():
    for first, second in (IMG, QIMG), (QIMG, IMG):
        what = f'bitmaps {pathlib.Path(first).name}'
        run(first, 'create', '-q', '-f', 'qcow2', 'b.qcow2', '64M')
        run(first, 'bitmap', '--add', '-g', '4k', 'b.qcow2', 'fine')
        run(first, 'bitmap', '--add', '--disable', 'b.qcow2', 'off')
        run(QIO, '-c', 'write 1M 1M', 'b.qcow2')
        run(IO, '-f', 'qcow2', '-c', 'write 3M 64k', 'b.qcow2')
        same(what, bitmaps(IMG, 'b.qcow2'), bitmaps(QIMG, 'b.qcow2'))
        sound('b.qcow2', what)
        run(second, 'bitmap', '--merge', 'fine', 'b.qcow2', 'off')
        run(second, 'bitmap', '--remove', 'b.qcow2', 'fine')
        run(first, 'bitmap', '--enable', 'b.qcow2', 'off')
        same(what, bitmaps(IMG, 'b.qcow2'), bitmaps(QIMG, 'b.qcow2'))
        sound('b.qcow2', what)
        if shutil.which('nbdinfo') and shutil.which('qemu-nbd'):
            maps = []
            for tool in 'qemu-nbd', str(BUILD / 'rhea-nbd'):
                if not shutil.which(tool):
                    continue
                status, out = run('nbdinfo', '--map=qemu:dirty-bitmap:off', '--', '[', tool, '-r',
                                  '-f', 'qcow2', '-B', 'off', 'b.qcow2', ']', ok=False)
                maps.append((status, out))
            if len(maps) == 2:
                same(f'{what}: contents', maps[1], maps[0])
            text = maps[0][1].split()
            if '1048576' not in text or '65536' not in text:
                fail(f'{what}: marks are not what was written: {maps[0]}')
        else:
            print('no nbdinfo or qemu-nbd: contents of bitmaps are not compared')
        run(second, 'bitmap', '--clear', 'b.qcow2', 'off')
        sound('b.qcow2', what)


def test_amend():
    for options in ('compat=0.10', 'compat=1.1', 'lazy_refcounts=on', 'refcount_bits=64',
                    'refcount_bits=1', 'refcount_bits=16', 'size=20M', 'compat=0.10',
                    'compat=1.1,refcount_bits=8,lazy_refcounts=on', 'size=4M'):
        path = pathlib.Path('am.qcow2')
        if not path.exists():
            run(QIMG, 'create', '-q', '-f', 'qcow2', path.name, '10M')
            run(QIO, '-c', 'write -P 1 0 3M', '-c', 'write -z 1M 1M', '-c', 'write -z 5M 64k',
                '-c', 'write -P 4 20k 3M', path.name)
        shutil.copy(path, 'am2.qcow2')
        run(IMG, 'amend', '-f', 'qcow2', '-o', options, 'am.qcow2')
        run(QIMG, 'amend', '-f', 'qcow2', '-o', options, 'am2.qcow2')
        sound('am.qcow2', f'amend {options}')
        compare('am.qcow2', 'am2.qcow2', f'amend {options}')
        infos = [json.loads(run(QIMG, 'info', '--output=json', p)[1])
                 for p in ('am.qcow2', 'am2.qcow2')]
        same(f'amend {options}', infos[0]['format-specific'], infos[1]['format-specific'])
        same(f'amend {options}', infos[0]['virtual-size'], infos[1]['virtual-size'])
    for options in ('compat=7', 'refcount_bits=3', 'backing_file=x', 'cluster_size=4k',
                    'data_file=x', 'data_file_raw=on', 'encrypt.state=active'):
        same(f'amend {options}', run(IMG, 'amend', '-o', options, 'am.qcow2', ok=False)[0], 1)


def test_names_and_ids():
    """snapshot -d goes by name, also where the name is the ID of another one."""
    for tool, name in ((IMG, 'ours'), (QIMG, 'theirs')):
        run(tool, 'create', '-q', '-f', 'qcow2', name, '1M')
        for tag in ('x', '1'):
            run(tool, 'snapshot', '-c', tag, name)
        codes = [run(tool, 'snapshot', '-d', tag, name, ok=False)[0] for tag in ('2', '1', '1')]
        same(f'{name}: deleting by ID, by name, again', codes, [1, 0, 1])
    same('what is left', *([s['name'] for s in json.loads(
        run(QIMG, 'info', '--output=json', n)[1])['snapshots']] for n in ('ours', 'theirs')))


def test_data_files():
    """A raw data file is mapped from the start, as QEMU's; info needs no data file at hand."""
    for tool, name in ((IMG, 'ours'), (QIMG, 'theirs')):
        run(tool, 'create', '-q', '-f', 'qcow2', '-o', f'data_file={name}.data,data_file_raw=on',
            name, '1M')
        run(tool, 'resize', '-q', name, '+1M')
    same('map of a raw data file', *(json.loads(run(QIMG, 'map', '--output=json', n)[1])
                                     for n in ('ours', 'theirs')))
    sound('ours', 'raw data file')
    pathlib.Path('ours.data').write_bytes(b'\5' * (2 << 20))
    run(IO, '-c', 'read -P 5 0 2M', 'ours')
    pathlib.Path('ours.data').unlink()
    same('info without its data file', *(
        json.loads(run(t, 'info', '--output=json', 'ours')[1])['format-specific']
        for t in (IMG, QIMG)))
    same('convert without its data file', run(IMG, 'convert', '-O', 'raw', 'ours', 'x', ok=False)[0],
         1)


class Image:
    """Numbers in the file, big-endian, and where tables lie."""

    def __init__(self, path):
        self.f = open(path, 'r+b', buffering=0)

    def get(self, at, n=8):
        self.f.seek(at)
        return int.from_bytes(self.f.read(n), 'big')

    def put(self, at, value, n=8):
        self.f.seek(at)
        self.f.write(value.to_bytes(n, 'big'))

    def l2(self):
        return self.get(self.get(40)) & OFFSET

    def refblock(self):
        return self.get(self.get(48))


DAMAGES = {
    'leak': lambda i: i.put(i.refblock() + 2 * 8, 1, 2),
    'refcount too high': lambda i: i.put(i.refblock() + 2 * 6, 5, 2),
    'refcount lost': lambda i: i.put(i.refblock() + 2 * 5, 0, 2),
    'not copied': lambda i: i.put(i.l2(), i.get(i.l2()) & ~(1 << 63)),
    'L1 not copied': lambda i: i.put(i.get(40), i.get(i.get(40)) & ~(1 << 63)),
    'cluster twice': lambda i: i.put(i.l2(), i.get(i.l2() + 8)),
    'unaligned data': lambda i: i.put(i.l2(), i.get(i.l2()) + 512),
    'unaligned zero': lambda i: i.put(i.l2(), i.get(i.l2()) + 513),
    'beyond the end': lambda i: i.put(i.l2(), i.get(i.l2()) + (1 << 30)),
    'reserved L2 bit': lambda i: i.put(i.l2(), i.get(i.l2()) | 1 << 57),
    'reserved L1 bit': lambda i: i.put(i.get(40), i.get(i.get(40)) | 1 << 57),
    'no refcount block': lambda i: i.put(i.get(48), 0),
    'refcount block outside': lambda i: i.put(i.get(48), i.refblock() + (1 << 30)),
    'refcount block twice': lambda i: i.put(i.get(48) + 8, i.refblock()),
    'data in refcount table': lambda i: i.put(i.l2(), i.get(48) | 1 << 63),
    'dirty': lambda i: i.put(72, 1),
    'corrupt': lambda i: i.put(72, 2),
    'nothing': lambda i: None,
}
# qemu-img cannot mend these either
UNREPAIRABLE = {'unaligned data', 'beyond the end', 'reserved L2 bit', 'reserved L1 bit'}


def test_damage():
    for name, damage in DAMAGES.items():
        run(QIMG, 'create', '-q', '-f', 'qcow2', 'd.qcow2', '1M')
        run(QIO, '-c', 'write -P 1 0 512k', '-c', 'discard 256k 256k', 'd.qcow2')
        damage(Image('d.qcow2'))
        shutil.copy('d.qcow2', 'd2.qcow2')
        same(f'check, {name}', check(IMG, 'd.qcow2'), check(QIMG, 'd.qcow2'))
        status, d = check(IMG, 'd.qcow2', '-r', 'all')
        theirs, t = check(QIMG, 'd2.qcow2', '-r', 'all')
        if name in UNREPAIRABLE:
            same(f'repair, {name}', status, theirs)
            continue
        same(f'repair, {name}', status, 0)
        for key in 'corruptions-fixed', 'leaks-fixed':
            if name not in ('cluster twice', 'data in refcount table', 'refcount lost',
                            'no refcount block', 'refcount block outside'):
                same(f'repair, {name}, {key}', d.get(key), t.get(key))
        sound('d.qcow2', f'repaired, {name}')
        run(QIO, '-c', 'write -P 9 0 1M', '-c', 'read -P 9 0 1M', 'd.qcow2')
        sound('d.qcow2', f'repaired and written, {name}')


def main():
    if not QIMG or not QIO:
        print('skipped: qemu-utils is not installed')
        return 0
    for test in test_snapshots, test_bitmaps, test_amend, test_data_files,\
            test_names_and_ids, test_damage:
        with tempfile.TemporaryDirectory(prefix='rhea-meta-') as d:
            os.chdir(d)
            test()
            os.chdir('/')
        print(test.__name__, 'done')
    return failures != 0


if __name__ == '__main__':
    sys.exit(main())
