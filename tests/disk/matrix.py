#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 240
"""Cross-check with Debian's qemu-utils: formats and options, each image made by one and used by the other.

matrix.py [--all] [--seed N] [--case PATTERN] [-j N] [-v]

A case is a format with creation options and who makes the image (rhea or qemu). It is created, filled with
patterns, holes and zeroes by both in turn, snapshotted and resized where the format can, then both sides
must agree with a model of the content and with each other: check, compare, convert to raw and to another
image, JSON of info, map, check and measure key by key. Overlays are made, rebased and committed.
Without --all a seeded choice runs that has every format; RHEA_TMP chooses the folder of the images.
"""
import argparse
import concurrent.futures
import fnmatch
import itertools
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve()
IMG = {'rhea': str(BUILD / 'rhea-img'), 'qemu': 'qemu-img'}
IO = {'rhea': str(BUILD / 'rhea-io'), 'qemu': 'qemu-io'}
OTHER = {'rhea': 'qemu', 'qemu': 'rhea'}
MIB = 1 << 20
SECRET = ['--object', 'secret,id=s,data=correct-horse']
# What may differ though both are right: (command, key), why.
EXCEPTIONS = {
    ('vhdx', 'map'): 'qemu-img tells all of it as data at no offset; rhea-img may tell more, but no zeroes where data is',
}


class Wrong(Exception):
    pass


def run(argv, ok=(0,), cwd=None):
    try:
        p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=60, check=False, cwd=cwd)
    except subprocess.TimeoutExpired:
        raise Wrong(f'{" ".join(argv)}: more than 60 s') from None
    if p.returncode not in ok:
        text = (p.stdout + p.stderr).decode(errors='replace')
        raise Wrong(f'{" ".join(argv)}: exit status {p.returncode}: {text.strip()[-600:]}')
    return p


def options_text(o):
    return ','.join(f'{k}={v}' for k, v in o.items())


def differences(a, b, path=''):
    """Paths at which two JSON values differ."""
    if type(a) is not type(b):
        return [f'{path}: {a!r} and {b!r}']
    if isinstance(a, dict):
        out = []
        for k in sorted(set(a) | set(b)):
            if k not in a or k not in b:
                out.append(f'{path}/{k}: only {"qemu" if k in a else "rhea"} has it')
            else:
                out += differences(a[k], b[k], f'{path}/{k}')
        return out
    if isinstance(a, list):
        if len(a) != len(b):
            return [f'{path}: {len(a)} and {len(b)} elements: {json.dumps(a)[:300]} and {json.dumps(b)[:300]}']
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in differences(x, y, f'{path}[{i}]')]
    return [] if a == b else [f'{path}: {a!r} and {b!r}']


def flat(options, prefix=''):
    """{"a": {"b": 1}} as {"a.b": 1}: options may be written either way."""
    out = {}
    for k, v in options.items():
        if isinstance(v, dict):
            out.update(flat(v, f'{prefix}{k}.'))
        else:
            out[prefix + k] = v
    return out


class Case:
    """One format with options, made by one side."""

    def __init__(self, fmt, options, maker, size, seed):
        self.fmt, self.options, self.maker, self.size = fmt, options, maker, size
        self.rng = random.Random(f'{fmt} {options} {maker} {seed}')
        self.secret = fmt == 'luks' or 'encrypt.format' in options
        self.commands = 0
        self.log = []

    def name(self):
        return f'{self.fmt} {options_text(self.options) or "default"} {self.size} by {self.maker}'

    # -- how images are named and tools are run
    def source(self, path, fmt=None):
        """Arguments that open an image."""
        fmt = fmt or self.fmt
        if not self.secret or fmt != self.fmt:
            return ['-f', fmt, path]
        key = 'key-secret' if fmt == 'luks' else 'encrypt.key-secret'
        return [*SECRET, '--image-opts', f'driver={fmt},{key}=s,file.filename={path}']

    def img(self, who, *args, ok=(0,)):
        self.commands += 1
        self.log.append(' '.join([IMG[who], *args]))
        return run([IMG[who], *args], ok, self.dir)

    def io(self, who, path, commands, ok=(0,)):
        argv = [IO[who]]
        if self.secret:
            key = 'key-secret' if self.fmt == 'luks' else 'encrypt.key-secret'
            argv += [*SECRET, '--image-opts', f'driver={self.fmt},{key}=s,file.filename={path}']
        else:
            argv += ['-f', self.fmt, path]
        for c in commands:
            argv[1:1] = []
            argv += ['-c', c]
        self.commands += 1
        self.log.append(' '.join(argv))
        p = run(argv, ok, self.dir)
        if re.search(rb'(fail|error|[Pp]attern verification)', p.stdout + p.stderr):
            raise Wrong(f'{" ".join(argv)}: {(p.stdout + p.stderr).decode(errors="replace")[-300:]}')

    def create(self, who, path, size, *more):
        for attempt in range(6):
            try:
                return self.create_once(who, path, size, *more)
            except Wrong as e:  # a hasty key derivation on a busy machine
                if 'accurate CPU usage' not in str(e) or attempt == 5:
                    raise
        return None

    def create_once(self, who, path, size, *more):
        args = ['create', '-q', '-f', self.fmt]
        if self.secret:
            args[1:1] = SECRET
        if self.options:
            args += ['-o', options_text(self.options)]
        self.img(who, *args, *more, path, str(size))

    def json(self, command, path, *more, ok=(0,)):
        """The JSON of a command of both sides, which must be equal; rhea's."""
        out = {}
        for who in ('qemu', 'rhea'):
            p = self.img(who, command, '--output=json', *more, *self.source(path), ok=ok)
            out[who] = json.loads(p.stdout)
        if (self.fmt, command) in EXCEPTIONS:
            return out['rhea']  # expect() sees that what is told as zeroes is zeroes
        for o in out.values():
            if isinstance(o, dict) and str(o.get('filename')).startswith('json:'):
                o['filename'] = flat(json.loads(o['filename'][5:]))  # members come in any order
        diff = differences(out['qemu'], out['rhea'])
        if diff:
            raise Wrong(f'{command} --output=json: qemu and rhea differ: ' + '; '.join(diff[:6]))
        return out['rhea']

    # -- content
    def fill(self, who, path, model, count):
        """Random writes, zeroes and discards by one side, and the same to the model."""
        commands = []
        size = len(model)
        for _ in range(count):
            # a write into a part of a zero cluster of qed lets qemu-io 7.2 fill the rest from the backing file
            kind = self.rng.choice('wwwwwz' if self.fmt != 'qed' else 'w')
            unit = self.rng.choice((512, 512, 4096, 65536))
            n = self.rng.randint(1, max(1, min(size, 400 * 1024) // unit)) * unit
            n = min(n, size // 512 * 512)
            at = self.rng.randrange(0, (size - n) // 512 + 1) * 512
            if kind == 'w':
                byte = self.rng.randint(1, 255)
                commands.append(f'write -P {byte} {at} {n}')
                model[at:at + n] = bytes([byte]) * n
            else:
                commands.append(f'write -z {self.rng.choice(("", "-u "))}{at} {n}')
                model[at:at + n] = bytes(n)
        if not self.can_write():
            raw = os.path.join(self.dir, 'fill.raw')
            pathlib.Path(raw).write_bytes(model)
            self.convert_into(who, raw, path)
            return
        self.io(who, path, commands)

    def can_compress(self):
        return (self.fmt == 'qcow2' and 'data_file' not in self.options and not self.secret and
                'preallocation' not in self.options)

    def can_write(self):
        return self.options.get('subformat') != 'streamOptimized'

    def convert_into(self, who, raw, path):
        args = ['convert', '-f', 'raw', '-O', self.fmt]
        if self.options:
            args += ['-o', options_text(self.options)]
        self.img(who, *args, raw, path)

    def expect(self, who, path, model, *more):
        """The image holds what the model says, as this side reads it."""
        raw = os.path.join(self.dir, f'{who}.raw')
        self.img(who, 'convert', *more, '-O', 'raw', *self.source(path), raw)
        data = pathlib.Path(raw).read_bytes()
        os.unlink(raw)
        if data != bytes(model):
            n = min(len(data), len(model))
            at = next((i for i in range(0, n, 512) if data[i:i + 512] != model[i:i + 512]), n)
            raise Wrong(f'{who} reads {len(data)} bytes, the model has {len(model)}; they differ at {at}')

    # -- steps
    def has(self, what):
        return what in {'qcow2': ('snapshot', 'resize', 'backing', 'check', 'bitmap', 'measure', 'commit'),
                        'raw': ('resize', 'measure'), 'qed': ('resize', 'backing', 'check', 'commit'),
                        'luks': ('measure',), 'vmdk': ('check',), 'vdi': ('check',), 'vhdx': ('check',),
                        'parallels': ('check',)}.get(self.fmt, ())

    def agree(self, path, model):
        """Both sides and the model agree about the image."""
        self.json('info', path)
        if self.has('check'):
            self.json('check', path)
            for who in IMG:
                self.img(who, 'check', '-q', *self.source(path))
        self.json('map', path)
        for who in IMG:
            self.expect(who, path, model)

    def measures(self, path):
        for fmt in ('raw', 'qcow2'):
            self.json('measure', path, '-O', fmt)
        if self.secret:
            return
        if self.has('measure'):
            more = ['-O', self.fmt]
            options = {k: v for k, v in self.options.items() if not k.startswith('data_file')}
            if options:
                more += ['-o', options_text(options)]
            self.json('measure', path, *more)

    def converts(self, path, model):
        """By each side to a new image of the same kind, which the other reads."""
        for who in IMG:
            copy = f'copy-{who}.{self.fmt}'
            options = dict(self.options)
            if 'data_file' in options:
                options['data_file'] = f'copy-{who}.data'
            args = ['convert', '-O', self.fmt]
            if self.can_compress() and self.rng.random() < 0.5:
                args.append('-c')
            if options:
                args += ['-o', options_text(options)]
            self.img(who, *args, *self.source(path), copy)
            self.expect(OTHER[who], copy, model)
            self.json('info', copy)
            self.json('map', copy)
            if self.has('check'):
                self.json('check', copy)
            if not self.secret:
                for judge in IMG:
                    self.img(judge, 'compare', '-q', '-f', self.fmt, '-F', self.fmt, path, copy)

    def snapshots(self, path, model):
        held = {}
        most = {1: 0, 2: 1}.get(self.options.get('refcount_bits'), 2)  # more owners cannot be counted
        for i, who in list(enumerate((self.maker, OTHER[self.maker])))[:most]:
            self.img(who, 'snapshot', '-c', f's{i}', *self.snapshot_source(path))
            held[f's{i}'] = bytes(model)
            self.fill(OTHER[who], path, model, 6)
        self.agree(path, model)
        for name, content in held.items():
            for who in IMG:
                self.expect(who, path, content, '-l', name)
        if not held:
            return
        last = self.rng.choice(sorted(held))
        self.img(OTHER[self.maker], 'snapshot', '-a', last, *self.snapshot_source(path))
        model[:] = held[last]
        self.agree(path, model)
        for name, who in zip(sorted(held), IMG):
            self.img(who, 'snapshot', '-d', name, *self.snapshot_source(path))
        self.agree(path, model)

    def snapshot_source(self, path):
        if not self.secret:
            return [path]
        return self.source(path)

    def resizes(self, path, model):
        who = self.rng.choice(('rhea', 'qemu'))
        grow = self.rng.randint(1, 2000) * 512
        self.img(who, 'resize', '-q', *self.source(path), f'+{grow}')
        model += bytes(grow)
        self.agree(path, model)
        if self.fmt == 'qed':
            return
        self.fill(OTHER[who], path, model, 4)
        cut = self.rng.randint(1, 1500) * 512
        self.img(OTHER[who], 'resize', '-q', '--shrink', *self.source(path), f'-{cut}')
        del model[len(model) - cut:]
        self.agree(path, model)

    def overlays(self, path, model):
        """An overlay by each side, filled by the other, rebased and committed by turns."""
        options = {k: v for k, v in self.options.items() if not k.startswith(('preallocation', 'data_file'))}
        base2 = f'base2.{self.fmt}'
        shutil.copy(os.path.join(self.dir, path), os.path.join(self.dir, base2))
        for who in IMG:
            top = f'top-{who}.{self.fmt}'
            args = ['create', '-q', '-f', self.fmt, '-b', path, '-F', self.fmt]
            if options:
                args += ['-o', options_text(options)]
            self.img(who, *args, top)
            content = bytearray(model)
            self.fill(OTHER[who], top, content, 8)
            self.agree(top, content)
            flat = bytearray(model)
            other = f'other-{who}.{self.fmt}'
            self.img(OTHER[who], 'convert', '-f', self.fmt, '-O', self.fmt, path, other)
            self.fill(who, other, flat, 5)
            self.img(OTHER[who], 'rebase', '-f', self.fmt, '-b', other, '-F', self.fmt, top)
            self.agree(top, content)
            self.img(who, 'rebase', '-f', self.fmt, '-b', base2, '-F', self.fmt, top)
            self.agree(top, content)
            self.img(who, 'commit', '-q', '-f', self.fmt, top)
            self.expect(OTHER[who], base2, content)
            self.agree(top, content)
            self.img(OTHER[who], 'rebase', '-f', self.fmt, '-b', '', top)
            self.agree(top, content)
            for f in (top, other):
                os.unlink(os.path.join(self.dir, f))
            shutil.copy(os.path.join(self.dir, path), os.path.join(self.dir, base2))

    def bitmaps(self, path, model):
        for i, who in enumerate((self.maker, OTHER[self.maker])):
            self.img(who, 'bitmap', '--add', '-g', str(self.rng.choice((512, 4096, 65536, MIB))), '-f', 'qcow2',
                     path, f'b{i}')
            self.fill(OTHER[who], path, model, 3)
            self.agree(path, model)
        self.img(OTHER[self.maker], 'bitmap', '--merge', 'b1', '--disable', '-f', 'qcow2', path, 'b0')
        self.agree(path, model)
        if 'data_file' not in self.options:
            dirty = {}
            for who in IMG:
                copy = f'bm-{who}.qcow2'
                options = ['-o', options_text(self.options)] if self.options else []
                self.img(who, 'convert', '--bitmaps', '-f', 'qcow2', '-O', 'qcow2', *options, path, copy)
                self.json('info', copy)
                dirty[who] = [dirty_map(self, copy, b) for b in ('b0', 'b1')]
                os.unlink(os.path.join(self.dir, copy))
            if dirty['qemu'] != dirty['rhea']:
                raise Wrong(f'bitmaps after convert differ: {dirty}')
        for who, b in zip(IMG, ('b0', 'b1')):
            self.img(who, 'bitmap', '--remove', '-f', 'qcow2', path, b)
        self.agree(path, model)

    def run(self, folder):
        self.dir = folder
        path = f'x.{self.fmt}'
        size = self.size
        if self.can_write():
            self.create(self.maker, path, size)
        else:
            raw = os.path.join(self.dir, 'empty.raw')
            pathlib.Path(raw).write_bytes(bytes(size))
            self.convert_into(self.maker, raw, path)
        info = self.json('info', path)
        size = info['virtual-size']
        if self.fmt != 'vpc' and size != (self.size + 511) // 512 * 512:
            raise Wrong(f'the image has {size} bytes, not {self.size}')
        # the same by the other side: what it says about the image is the same too
        if self.can_write():
            options, self.options = self.options, dict(self.options)
            if 'data_file' in options:
                self.options['data_file'] = 'other.data'
            self.create(OTHER[self.maker], f'other.{self.fmt}', self.size)
            self.options = options
            self.same_kind(info, f'other.{self.fmt}')
            os.unlink(os.path.join(self.dir, f'other.{self.fmt}'))
        model = bytearray(size)
        if self.options.get('preallocation') in ('falloc', 'full', 'metadata') or self.fmt != 'luks':
            self.agree(path, model)
        for who in (self.maker, OTHER[self.maker]) if self.can_write() else (OTHER[self.maker],):
            self.fill(who, path, model, 12)
            if self.fmt == 'luks':
                self.write_all('rhea', path, model)
            self.agree(path, model)
        self.measures(path)
        self.converts(path, model)
        raw_data = self.options.get('data_file_raw') == 'on'
        if self.has('bitmap') and self.options.get('compat') != '0.10' and not self.secret:
            self.bitmaps(path, model)
        if self.has('snapshot') and 'data_file' not in self.options:
            self.snapshots(path, model)
        if self.has('resize') and not raw_data:
            self.resizes(path, model)
        if self.has('backing') and not self.secret and 'data_file' not in self.options:
            self.overlays(path, model)

    def write_all(self, who, path, model):
        """What was never written in a luks image is noise: write the model over it once."""
        raw = os.path.join(self.dir, 'all.raw')
        pathlib.Path(raw).write_bytes(model)
        self.img(who, 'convert', '-n', *SECRET, '-f', 'raw', '-S', '0', '--target-image-opts', raw,
                 f'driver=luks,key-secret=s,file.filename={path}')

    def same_kind(self, info, path):
        """A fresh image of the other maker is described with the same keys and settings."""
        p = self.img('rhea', 'info', '--output=json', *self.source(path))
        other = json.loads(p.stdout)
        volatile = re.compile(r'/(filename|actual-size)|/cid|uuid|iters|/data-file:|extents\[\d+\]/filename')
        diff = [d for d in differences(info, other) if not volatile.search(d.split(': ')[0] + ':')]
        if diff:
            raise Wrong(f'new images of {self.maker} and of the other differ: ' + '; '.join(diff[:6]))


def dirty_map(case, path, bitmap):
    """Granules that the bitmap marks, read through qemu-img's own x-dirty-bitmap over NBD: not here; merged size."""
    p = case.img('qemu', 'info', '--output=json', '-f', 'qcow2', path)
    data = json.loads(p.stdout)['format-specific']['data']
    return [(b['name'], b['granularity'], sorted(b['flags'])) for b in data.get('bitmaps', []) if b['name'] == bitmap]


def qcow2_options(rng, everything):
    """All values one by one, and pairs: all of them, or some."""
    values = {
        'compat': ['0.10', '1.1'],
        'cluster_size': [512, 4096, 32768, 65536, 262144, 2 * MIB],
        'lazy_refcounts': ['on'],
        'refcount_bits': [1, 2, 4, 8, 32, 64],
        'extended_l2': ['on'],
        'compression_type': ['zstd'],
        'preallocation': ['metadata', 'falloc', 'full'],
        'data_file': ['x.data'],
        'data_file_raw': ['on'],
        'encrypt.format': ['luks'],
    }
    single = [{k: v} for k, vs in values.items() for v in vs]
    pairs = [{a: x, b: y} for a, b in itertools.combinations(values, 2) for x in values[a] for y in values[b]]
    chosen = [{}] + single + (pairs if everything else rng.sample(pairs, 6))
    out = []
    for o in chosen:
        if 'data_file_raw' in o and 'data_file' not in o:
            o = {**o, 'data_file': 'x.data'}
        if 'encrypt.format' in o:
            o = {**o, 'encrypt.key-secret': 's', 'encrypt.iter-time': 10}
        v2 = o.get('compat') == '0.10'
        if v2 and (set(o) & {'lazy_refcounts', 'refcount_bits', 'extended_l2', 'compression_type', 'data_file'}):
            continue  # version 2 has none of these
        if o.get('extended_l2') and o.get('cluster_size', 65536) < 16384:
            continue  # subclusters are at least 512 bytes
        if o.get('data_file') and 'encrypt.format' in o:
            continue
        if o not in out:
            out.append(o)
    return out


def all_cases(rng, everything):
    """(format, options, size)."""
    size = 3 * MIB + 17 * 512
    out = [('raw', o, size) for o in ({}, {'preallocation': 'falloc'}, {'preallocation': 'full'})]
    out += [('qcow2', o, size) for o in qcow2_options(rng, everything)]
    out += [('vmdk', o, size) for o in (
        {}, {'subformat': 'monolithicFlat'}, {'subformat': 'twoGbMaxExtentSparse'},
        {'subformat': 'twoGbMaxExtentFlat'}, {'subformat': 'streamOptimized'}, {'adapter_type': 'lsilogic'},
        {'compat6': 'on'}, {'hwversion': '7'}, {'zeroed_grain': 'on'}, {'adapter_type': 'buslogic', 'zeroed_grain': 'on'})]
    out += [('vdi', o, size) for o in ({}, {'static': 'on'})]
    out += [('vhdx', o, 5 * MIB) for o in (
        {}, {'subformat': 'fixed'}, {'block_size': MIB}, {'block_size': 32 * MIB}, {'log_size': 2 * MIB},
        {'block_state_zero': 'off'}, {'subformat': 'fixed', 'block_size': 2 * MIB})]
    out += [('vpc', o, size) for o in (
        {}, {'subformat': 'fixed'}, {'force_size': 'on'}, {'subformat': 'fixed', 'force_size': 'on'})]
    out += [('qed', o, size) for o in ({}, {'cluster_size': 4096}, {'table_size': 2}, {'cluster_size': MIB, 'table_size': 16})]
    out += [('parallels', o, size) for o in ({}, {'cluster_size': 65536})]
    luks = {'key-secret': 's', 'iter-time': 10}
    out += [('luks', {**luks, **o}, size) for o in (
        {}, {'cipher-alg': 'aes-128', 'cipher-mode': 'cbc', 'ivgen-alg': 'essiv', 'ivgen-hash-alg': 'sha256'},
        {'hash-alg': 'sha512'}, {'cipher-alg': 'aes-256', 'cipher-mode': 'xts', 'ivgen-alg': 'plain'})]
    return out


def is_pair(options):
    return len(set(options) - {'encrypt.key-secret', 'encrypt.iter-time'}) > 1


def has_format(fmt):
    p = subprocess.run([IMG['rhea'], 'create', '-f', fmt, '-o', 'help'], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, check=False)
    return p.returncode == 0


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--all', action='store_true')
    ap.add_argument('--seed', type=int, default=4)
    ap.add_argument('--case', default='*', help='glob of names')
    ap.add_argument('-j', type=int, default=2)
    ap.add_argument('-v', action='store_true')
    ap.add_argument('--keep', action='store_true', help='leave the images of a wrong case, and a log of commands')
    a = ap.parse_args()
    for tool in ('qemu-img', 'qemu-io'):
        if not shutil.which(tool):
            print(f'skipped: no {tool} to compare with')
            return 0
    if not os.path.exists(IO['rhea']):
        print('rhea-io is not built: qemu-io fills all images')
        IO['rhea'] = IO['qemu']
    rng = random.Random(a.seed)
    table = all_cases(rng, a.all)
    missing = sorted({f for f, _, _ in table if not has_format(f)})
    if missing:
        print('not built, not compared:', *missing)
    # pairs of options of qcow2 are many: each is made by one side alone, by turns
    cases = [Case(f, o, who, size, a.seed) for n, (f, o, size) in enumerate(table) if f not in missing
             for i, who in enumerate(IMG) if f != 'qcow2' or not is_pair(o) or n % 2 == i]
    if not a.all and a.case == '*':
        by_format = {}
        for c in cases:
            by_format.setdefault(c.fmt, []).append(c)
        cases = [c for f, cs in by_format.items() for c in rng.sample(cs, 4 if f == 'qcow2' else 1)]
    cases = [c for c in cases if fnmatch.fnmatch(c.name(), a.case)]
    began, wrong, kept = time.time(), 0, set()

    def one(c):
        folder = tempfile.mkdtemp(prefix='matrix-', dir=os.environ.get('RHEA_TMP'))
        began = time.time()
        try:
            c.run(folder)
            return c, None, time.time() - began
        except Wrong as e:
            if a.keep:
                kept.add(folder)
                pathlib.Path(folder, 'log').write_text('\n'.join(c.log) + '\n')
                return c, f'{e} (kept in {folder})', time.time() - began
            return c, str(e), time.time() - began
        finally:
            if not a.keep or folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    with concurrent.futures.ThreadPoolExecutor(a.j) as pool:
        for c, error, seconds in pool.map(one, cases):
            if error:
                wrong += 1
                print(f'WRONG {c.name()}: {error}', flush=True)
            elif a.v:
                print(f'ok    {c.name()} ({c.commands} commands, {seconds:.1f} s)', flush=True)
    commands = sum(c.commands for c in cases)
    print(f'{len(cases) - wrong} of {len(cases)} cases agree, {commands} commands, {time.time() - began:.0f} s')
    return 1 if wrong or not cases else 0


sys.exit(main())
