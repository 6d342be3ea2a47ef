#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
"""rhea-img convert, dd, rebase, commit and their options, against a model of the content (no qemu-img)."""
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

IMG = str(pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve() / 'rhea-img')
MIB = 1 << 20
bad = 0
random.seed(11)


def wrong(text):
    global bad
    print('wrong:', text)
    bad = 1


def img(*args, status=0, cwd=None):
    p = subprocess.run([IMG, *map(str, args)], cwd=cwd or folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=60, check=False)
    if p.returncode != status:
        wrong(f'{args}: exit status {p.returncode}: {p.stderr.decode(errors="replace").strip()}')
    return p


def content(size, seed):
    """Holes, zeroes that are written, random bytes and text, at odd places."""
    rng = random.Random(seed)
    data = bytearray(size)
    for _ in range(24):
        n = rng.choice((100, 512, 4096, 5000, 65536, 200000))
        at = rng.randrange(0, max(1, size - n))
        data[at:at + n] = rng.choice((rng.randbytes(n), b'text ' * (n // 5) + b' ' * (n % 5), bytes(n)))[:size - at]
    return data[:size]


def write(name, data, sparse=True):
    with open(folder / name, 'wb') as f:
        f.truncate(len(data))
        for at in range(0, len(data), 65536):
            piece = data[at:at + 65536]
            if not sparse or any(piece):
                f.seek(at)
                f.write(piece)


def same(name, data, what, *more):
    img('convert', *more, '-O', 'raw', name, 'same.raw')
    got = (folder / 'same.raw').read_bytes()
    if got != bytes(data):
        at = next((i for i, (x, y) in enumerate(zip(got, data)) if x != y), min(len(got), len(data)))
        wrong(f'{what}: content of {name} differs at {at} (sizes {len(got)} and {len(data)})')


def blocks(name):
    return os.stat(folder / name).st_blocks * 512


def conversions():
    size = 5 * MIB + 1536
    data = content(size, 1)
    write('s.raw', data)
    formats = ('qcow2', 'raw', 'vdi', 'vmdk', 'vhdx', 'vpc', 'qed', 'parallels')
    for fmt in formats:
        img('convert', '-f', 'raw', '-O', fmt, 's.raw', f't.{fmt}')
        want = data
        real = json.loads(img('info', '--output=json', '-f', fmt, f't.{fmt}').stdout)['virtual-size']
        if real > size:  # vpc rounds to cylinders
            want = data + bytes(real - size)
        same(f't.{fmt}', want, f'convert to {fmt}', '-f', fmt)
    for options in (['-W'], ['-m', 1], ['-m', 16], ['-S', 0], ['-S', 512], ['-S', '64k'], ['-S', '1M'], ['-c'],
                    ['-c', '-o', 'compression_type=zstd'], ['-c', '-W', '-m', 16], ['-C'], ['-t', 'none', '-T', 'none'],
                    ['-t', 'writethrough'], ['-t', 'directsync', '-T', 'directsync'], ['-r', '100M'], ['-o', 'cluster_size=2M'],
                    ['-o', 'cluster_size=512'], ['-o', 'extended_l2=on'], ['-o', 'preallocation=full'],
                    ['-o', 'data_file=t.data,data_file_raw=on']):
        img('convert', *options, '-f', 'raw', '-O', 'qcow2', 's.raw', 'o.qcow2')
        same('o.qcow2', data, f'convert {options}', '-f', 'qcow2')
        if img('check', '-q', 'o.qcow2').stdout:
            wrong(f'check after {options}')
    img('convert', '-C', '-f', 'raw', '-O', 'raw', 's.raw', 'o.raw')
    same('o.raw', data, 'convert -C', '-f', 'raw')
    for name in ('1.qcow2', '2.qcow2'):
        img('convert', '-f', 'raw', '-O', 'qcow2', 's.raw', name)
    if (folder / '1.qcow2').read_bytes() != (folder / '2.qcow2').read_bytes():
        wrong('two conversions of one image differ')


def sparseness():
    write('zeroes.raw', bytes(8 * MIB), sparse=False)
    img('convert', '-f', 'raw', '-O', 'raw', 'zeroes.raw', 'z.raw')
    if blocks('z.raw') > 65536:
        wrong(f'zeroes take {blocks("z.raw")} bytes in the target')
    img('convert', '-S', 0, '-f', 'raw', '-O', 'raw', 'zeroes.raw', 'z.raw')
    if blocks('z.raw') < 8 * MIB:
        wrong(f'-S 0: only {blocks("z.raw")} bytes in the target')
    img('convert', '-f', 'raw', '-O', 'qcow2', 'zeroes.raw', 'z.qcow2')
    if (folder / 'z.qcow2').stat().st_size > 300000:
        wrong('zeroes are allocated in qcow2')
    # an existing target: zeroes are written where it does not hold them
    write('old.raw', b'\xff' * (8 * MIB), sparse=False)
    data = content(8 * MIB, 2)
    write('s.raw', data)
    img('convert', '-n', '-f', 'raw', '-O', 'raw', 's.raw', 'old.raw')
    same('old.raw', data, 'convert -n', '-f', 'raw')
    img('create', '-q', '-f', 'qcow2', 'zero.qcow2', 8 * MIB)
    img('convert', '-n', '--target-is-zero', '-f', 'raw', '-O', 'qcow2', 's.raw', 'zero.qcow2')
    same('zero.qcow2', data, '--target-is-zero')
    img('create', '-q', '-f', 'qcow2', 'n.qcow2', 9 * MIB)
    img('convert', '-n', '--target-image-opts', '-f', 'raw', 's.raw', 'driver=qcow2,file.filename=n.qcow2')
    same('n.qcow2', data + bytes(MIB), '--target-image-opts')


def sources():
    parts = [content(n, n) for n in (MIB + 512, 3 * MIB, 70000 // 512 * 512)]
    for i, p in enumerate(parts):
        write(f'p{i}.raw', p)
    for more in ([], ['-c'], ['-W'], ['-S', 0]):
        img('convert', *more, '-f', 'raw', '-O', 'qcow2', 'p0.raw', 'p1.raw', 'p2.raw', 'all.qcow2')
        same('all.qcow2', b''.join(parts), f'three sources {more}')


def chains():
    base, top = content(4 * MIB, 5), content(6 * MIB, 6)
    write('base.raw', base)
    img('create', '-q', '-f', 'qcow2', '-b', 'base.raw', '-F', 'raw', 'top.qcow2', 6 * MIB)
    model = bytearray(base + bytes(2 * MIB))
    write('top.raw', top)
    img('convert', '-n', '-f', 'raw', '-O', 'qcow2', 'top.raw', 'top.qcow2')
    model = top
    same('top.qcow2', model, 'an overlay as target of -n')
    img('convert', '-O', 'qcow2', '-B', 'base.raw', '-F', 'raw', 'top.qcow2', 'copy.qcow2')
    same('copy.qcow2', model, '-B')
    other = content(5 * MIB, 7)
    write('other.raw', other)
    for args in (['-b', 'other.raw', '-F', 'raw'], ['-b', ''], ['-c', '-b', 'base.raw', '-F', 'raw']):
        img('rebase', *args, 'copy.qcow2')
        same('copy.qcow2', model, f'rebase {args}')
    img('check', '-q', 'copy.qcow2')
    img('create', '-q', '-f', 'qcow2', '-b', 'top.qcow2', '-F', 'qcow2', 'third.qcow2', 7 * MIB)
    img('convert', '-n', '-f', 'raw', '-O', 'qcow2', 'other.raw', 'third.qcow2')
    model = bytearray(other + bytes(2 * MIB))
    model[5 * MIB:] = top[5 * MIB:] + bytes(MIB)
    same('third.qcow2', model, 'a shorter source')
    img('commit', '-q', '-b', 'base.raw', 'third.qcow2')
    same('base.raw', model, 'commit -b', '-f', 'raw')
    img('commit', '-p', 'top.qcow2')
    (folder / 'sub').mkdir(exist_ok=True)
    img('create', '-q', '-f', 'qcow2', '-b', '../base.raw', '-F', 'raw', 'sub/o.qcow2')
    if b'actual path: sub/../base.raw' not in img('info', 'sub/o.qcow2').stdout:
        wrong('the path of a backing file is not shown')
    chain = json.loads(img('info', '--backing-chain', '--output=json', 'third.qcow2').stdout)
    if [c['filename'] for c in chain] != ['third.qcow2', 'top.qcow2', 'base.raw']:
        wrong(f'the chain is {[c["filename"] for c in chain]}')


def loops():
    img('create', '-q', '-f', 'qcow2', 'l1.qcow2', MIB)
    img('create', '-q', '-f', 'qcow2', '-b', 'l1.qcow2', '-F', 'qcow2', 'l2.qcow2')
    img('rebase', '-u', '-b', 'l2.qcow2', '-F', 'qcow2', 'l1.qcow2')
    for args in (('info', '--backing-chain', 'l1.qcow2'), ('convert', 'l1.qcow2', 'x.raw'), ('map', 'l2.qcow2')):
        if b'loop' not in img(*args, status=1).stderr:
            wrong(f'{args}: a loop of backing files is not named')


def snapshots():
    data = content(3 * MIB, 8)
    write('s.raw', data)
    img('convert', '-f', 'raw', '-O', 'qcow2', 's.raw', 'snap.qcow2')
    img('snapshot', '-c', 'one', 'snap.qcow2')
    later = content(3 * MIB, 9)
    write('later.raw', later)
    img('convert', '-n', '-f', 'raw', '-O', 'qcow2', 'later.raw', 'snap.qcow2')
    same('snap.qcow2', later, 'after a snapshot')
    for param in ('one', '1', 'snapshot.name=one', 'snapshot.id=1'):
        same('snap.qcow2', data, f'-l {param}', '-l', param)


def salvage():
    data = content(2 * MIB, 10)
    data[MIB:MIB + 4096] = b'x' * 4096
    write('s.raw', data, sparse=False)
    name = json.dumps({'driver': 'raw', 'file': {'driver': 'blkdebug', 'image': {'driver': 'file', 'filename': 's.raw'},
                       'inject-error': [{'event': 'none', 'iotype': 'read', 'sector': MIB // 512 + 2, 'errno': 5}]}})
    p = img('convert', f'json:{name}', 'x.raw', status=1)
    if b'error while reading' not in p.stderr or (folder / 'x.raw').exists():
        wrong(f'a source that cannot be read: {p.stderr}')
    p = img('convert', '--salvage', f'json:{name}', 'x.raw')
    want = bytearray(data)
    want[MIB + 1024:MIB + 1536] = bytes(512)
    if (folder / 'x.raw').read_bytes() != bytes(want) or b'warning: error while reading offset 1049600' not in p.stderr:
        wrong(f'--salvage: {p.stderr}')


def pieces():
    data = content(3 * MIB, 12)
    write('s.raw', data)
    for bs, count, skip, isize in ((512, None, 0, None), (4096, 10, 3, None), ('64k', 100, 1, None), (1000, 5, 0, None),
                                   (4096, None, 2, 100 * 4096)):
        args = [f'bs={bs}', f'skip={skip}', 'if=s.raw', 'of=d.raw']
        n = int(str(bs).replace('64k', '65536'))
        end = min(len(data), isize or len(data), count * n if count else len(data))
        if count:
            args.append(f'count={count}')
        if isize:
            args.append(f'isize={isize}')
        img('dd', '-f', 'raw', *args)
        want = bytes(data[skip * n:end])
        got = (folder / 'd.raw').read_bytes()
        if got[:len(want)] != want or len(got) != (len(want) + 511) // 512 * 512:
            wrong(f'dd {args}: {len(got)} bytes, wanted {len(want)}')


folder = pathlib.Path(tempfile.mkdtemp(prefix='img-convert-'))
try:
    for step in (conversions, sparseness, sources, chains, loops, snapshots, salvage, pieces):
        step()
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
finally:
    shutil.rmtree(folder, ignore_errors=True)
sys.exit(bad)
