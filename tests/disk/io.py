#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
"""rhea-io and qemu-io do the same commands on equal images: same output, status, and contents.

io.py [-v] [PART]    PART chooses cases by part of their name
Times and rates are taken out before comparing; of what goes to stderr, only the lines given in ERRORS.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

build = pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve()
RHEA, QEMU = str(build / 'rhea-io'), 'qemu-io'
verbose = '-v' in sys.argv
wanted = next((a for a in sys.argv[1:] if a != '-v'), '')

# name: (formats, options, commands). "qcow2" etc. are made 4 MiB big with a pattern in them.
CASES = {
    'read': ('raw qcow2', [], '''read 0 512|read -P 0x11 0 64k|read -P 1 0 512|read -v 65530 40|read -C 0 512
        read -q 0 512|read -q -v 0 16|read -P 0x11 -s 100 -l 50 0 512|read -P 1 -s 100 -l 50 0 512
        read -P 1 -s 500 -l 50 0 512|read -s 1 0 512|read -l 1 0 512|read -p 0 512|read 1 511|read 0 0
        read 1.5k 0x200|read 4m 512|read 3.9m 512k|read 0 3g|read -z 0 1|read|read 0|read 0 1 2|read x 1
        read 0 x|read 0 1e3|read 0 5kb|read 9e 1|read 99999999999999999999 1|read -P 256 0 1|read -P x 0 1
        read -P 010 0 1|r 0 1|read -P 1 -P 0x11 0 16|read  0   16 |read -a 0 1|read -- -1 1|read -P'''),
    'readv': ('raw qcow2', [], '''readv 0 512|readv 0 512 1k 3|readv -P 0x11 0 1k 512|readv -P 1 0 1k 1k
        readv -v 0 16 20|readv 0 100 0|readv 0 100 x|readv x 100|readv -x 0 1|readv 0 3g|readv -C 0 1k|readv
        readv 4m 1k|readv -q 0 1k 1k|readv 0'''),
    'write': ('raw qcow2', [], '''write 0 512|write -P 65 1000 3000|read -v 990 33|write -z 64k 64k
        write -z -u 128k 64k|write -u 0 4k|write -n 0 4k|write -z -P 3 0 4k|write -f 0 4k|write -f -b 0 4k
        write -b -z 0 4k|write -f -c 0 64k|write -s nofile 0 4k|write -s /dev/null 0 4k
        write -s PATTERN 70000 1000|read -v 70000 40|write -s PATTERN -P 4 0 4k|write -r 0 4k|write 4m 4k
        write 3.99m 64k|write 0 2049m|write -z 0 2049m|write -C 0 4k|write -P -1 0 4k|write -z 0 0
        write -z 100 70000|w 0 1|write -q 0 1|write 4194303 1|write|write x 1|write 0 1 2|write -p 5 5'''),
    'zero_fast': ('raw', [], 'write -z -n 0 1m|write -z -n 0 5m'),
    'writev': ('raw qcow2', [], '''writev 0 1k|writev -P 5 0 1k 1k 3|writev -P 500 0 1k|writev -f 0 512 512
        writev -C 0 1k|writev 4m 512|writev -q 0 512|writev|writev -z 0 1|writev 0 x|read -P 5 0 2051'''),
    'aio_read': ('raw qcow2', [], '''aio_read 0 1k|aio_flush|aio_read -v 0 16 16|aio_flush|aio_read -P 9 0 16
        aio_flush|aio_read -q 0 16|aio_flush|aio_read -C 0 16|aio_flush|aio_read -i 0 16|aio_read x 16
        aio_read 4m 16|aio_flush|aio_flush 1|aio_read|aio_read 0|aio_read -z 0 1|aio_read 0 x|aio_read 0 3g'''),
    'aio_write': ('raw qcow2', [], '''aio_write 0 1k|aio_flush|aio_write -z 0 16k 16k|aio_write -u 0 1k
        aio_write -P 9 0 16 16|aio_flush|read -P 9 0 32|aio_write -q 0 16|aio_flush|aio_write -C 0 16|aio_flush
        aio_write -i 0 16|aio_write x 16|aio_write 4m 16|aio_flush|aio_write -f 0 16|aio_flush
        aio_write -x 0 1|aio_write -P x 0 1|aio_write 0 3g|aio_write|aio_write 0'''),
    'aio_status': ('raw', [], 'aio_read -P 9 0 1|aio_flush|aio_read 4m 1'),
    'aio_at_end': ('raw', [], 'aio_write -P 3 0 64k'),
    'aio_close': ('raw', [], 'aio_write 0 64k|close|length'),
    'space': ('raw qcow2 overlay', [], '''alloc|alloc 0|alloc 0 4m|alloc 0 1000|alloc 1 512|alloc x|alloc 0 x
        alloc 3m 2m|alloc 20m|alloc 9e|write 1m 64k|alloc 0 2m|alloc 1m 64k|map|map 3|length|truncate
        truncate 5m|length|truncate -m bad 6m|truncate x|truncate -x 1|truncate 5m 5m|length 1|map
        discard|discard 0|discard 0 64k|discard 1 64k|discard x 1|discard 0 x|discard -C 0 1k|discard -q 0 1k
        discard 20m 1k|discard 0 2g|discard 0 3g|flush|truncate -m falloc 6m|length|a 0|d 0 1|f|t 6m|l'''),
    'shrink': ('qcow2', [], 'truncate 1m|length|map|read 1m 1|truncate 100|truncate 2m|read -P 0 1m 1m'),
    'read_only': ('raw qcow2', ['-r'], '''write 0 512|write 0|discard 0 4k|truncate 1m|writev 0 1|aio_write 0 1
        flush|read 0 512|length'''),
    'compressed': ('qcow2', [], '''''write -c -P 7 2m 64k|write -c 1m 64k|read -P 7 2m 64k|write -c 1M 1k
        write -c 512 64k|map'''),
    'compressed_raw': ('raw', [], 'write -c 0 64k'),
    'vm_state': ('qcow2', [], 'write -b -P 3 0 512|read -b -P 3 0 512|read -b -P 3 -v 0 512|read -b 1 512|read -b 0 3|write -b 1 1'),
    'vm_state_raw': ('raw', [], 'read -b 0 512|write -b 0 512'),
    'info': ('raw qcow2', [], 'info|info 1|i'),
    'open': ('none', [], '''length|open|open IMAGE|length|open IMAGE|close|close|open -r -o driver=qcow2 IMAGE
        write 0 1|close|open -o driver=qcow2,file.filename=IMAGE|length|close|open -x a|open a b
        open -n -o driver=raw IMAGE|read 0 16|q|length'''),
    'open_status': ('none', [], 'open nofile'),
    'reopen': ('qcow2', [], '''reopen -r|write 0 512|reopen -w|write 0 512|reopen -c none|reopen -c bad
        reopen -o lazy-refcounts=on|write 1m 1k|reopen -o lazy-refcounts=off|reopen x|reopen -r -w|reopen
        reopen -r -o read-only=off|reopen -x|reopen -c writeback -o cache.direct=on|read 0 1'''),
    'other': ('raw', [], '''sleep|sleep 10|sleep x|sleep 1 2|sleep -5|break|break a b|break a|resume|resume a
        remove_break a|sigraise x|sigraise|sigraise 99999|sigraise 0|bogus|#x||? q|help bogus|help a b|help length
        help break|help sleep|help map|help flush|help discard|help sigraise|help alloc|abort x'''),
    'quit': ('raw', [], 'quit|length'),
    'break': ('blkdebug', [], '''break pwritev A|aio_write -P 4 0 512|wait_break A|read 64k 512|resume A
        aio_flush|remove_break A|break bad A|resume B|read -P 4 0 512'''),
    'snapshot': ('raw qcow2', ['-s'], 'write -P 3 0 64k|read -P 3 0 64k|read -P 0x11 64k 64k'),
    'direct': ('raw qcow2', ['-n'], 'read 1 10|write -P 2 1 3|read -v 0 8|write 4k 4k|aio_write 512 1k|aio_flush'),
    'misalign': ('raw', ['-n', '-m'], 'read 0 1k|write 0 4k|readv 0 512 512'),
    'modes': ('raw', ['-t', 'writethrough', '-i', 'io_uring', '-d', 'unmap'], 'write 0 64k|discard 0 64k|read -P 0 0 64k'),
    'uncached': ('raw', ['-k', '-n'], 'aio_write 0 64k|aio_flush|read 0 512'),
    'copy_on_read': ('overlay', ['-C'], 'map|read 0 64k|map|read 256k 100|map'),
    'force_share': ('qcow2', ['-r', '-U'], 'length|read 0 1'),
}
# Complaints on stderr that must say the same.
ERRORS = re.compile(r'bad argument count|not found$|no file open|Block node is read-only|invalid option|No such file'
                    r'|file is empty|Invalid |mutually exclusive|Failed to get|Only one|Cannot set both')


def normalise(text, program):
    text = re.sub(rf'^{program}> ', 'PROMPT ', text, flags=re.M)
    text = text.replace(program, 'PROGRAM')
    text = re.sub(r'\d+ ops; \S+ sec \(.*', 'OPS', text)
    text = re.sub(r'^(\d+,\d+),[\d:.]+,[\d.]+,[\d.]+$', r'\1,TIME', text, flags=re.M)
    return text


def run(program, args, stdin=''):
    p = subprocess.run([program, *args], input=stdin, capture_output=True, text=True, timeout=30)
    name = os.path.basename(program)
    err = [l for l in normalise(p.stderr, name).splitlines() if ERRORS.search(l)]
    return normalise(p.stdout, name), err, p.returncode


def make_image(folder, fmt):
    """The image's name for the program and its options; equal in both folders."""
    if fmt in ('raw', 'none', 'blkdebug'):
        kind = 'qcow2' if fmt == 'none' else 'raw'
        image = 'disk.' + kind
        source = kind
    else:
        image, source = 'disk.qcow2', 'overlay' if fmt == 'overlay' else 'qcow2'
    for name in {'raw': ['base.raw'], 'qcow2': ['base.qcow2'], 'overlay': ['base.qcow2', 'overlay.qcow2']}[source]:
        shutil.copy(templates / name, folder / ('base.qcow2' if name == 'base.qcow2' and source == 'overlay' else image))
    if fmt == 'none':
        return [], image
    if fmt == 'blkdebug':
        return ['--image-opts', f'driver=raw,file.driver=blkdebug,file.image.filename={image}'], image
    return ['-f', 'qcow2' if fmt == 'overlay' else fmt, image], image


def same(what, ours, theirs):
    """Compares (stdout, stderr lines, status); returns complaints."""
    bad = []
    for part, a, b in zip(('stdout', 'stderr', 'status'), ours, theirs):
        if a != b:
            bad.append(f'{what}: {part} differs\n--- rhea-io\n{show(a)}\n--- qemu-io\n{show(b)}')
    return bad


def show(x):
    return '\n'.join(x) if isinstance(x, list) else str(x)


def case(name, fmt):
    formats, options, commands = CASES[name]
    words = [c.strip() for line in commands.splitlines() for c in line.strip().split('|')]
    results, images = [], []
    with tempfile.TemporaryDirectory(prefix='rhea-io-') as top:
        for program in (RHEA, QEMU):
            folder = pathlib.Path(top) / os.path.basename(program)
            folder.mkdir()
            shutil.copy(templates / 'pattern', folder / 'pattern')
            where, image = make_image(folder, fmt)
            args = list(options)
            for c in words:
                args += ['-c', c.replace('IMAGE', image).replace('PATTERN', 'pattern')]
            p = subprocess.run([program, *args, *where], cwd=folder, capture_output=True, text=True, timeout=60,
                               stdin=subprocess.DEVNULL)
            base = os.path.basename(program)
            err = [l for l in normalise(p.stderr, base).splitlines() if ERRORS.search(l)]
            results.append((normalise(p.stdout, base), err, p.returncode))
            images.append(folder / image)
        bad = same(f'{name} on {fmt}', *results)
        kind = 'raw' if images[0].suffix == '.raw' else 'qcow2'
        compare = subprocess.run(['qemu-img', 'compare', '-f', kind, '-F', kind, *map(str, images)],
                                 capture_output=True, text=True)
        if compare.returncode:
            bad.append(f'{name} on {fmt}: contents differ: {compare.stdout}{compare.stderr}')
        if kind == 'qcow2':
            check = subprocess.run(['qemu-img', 'check', str(images[0])], capture_output=True, text=True)
            if check.returncode:
                bad.append(f'{name} on {fmt}: check of ours: {check.stdout}{check.stderr}')
    return bad


def help_pages():
    """help lists the same commands; each has the same head line. Texts may differ where we differ."""
    ours, theirs = run(RHEA, ['-c', 'help']), run(QEMU, ['-c', 'help'])
    return same('help', ours, theirs)


def interactive():
    bad = []
    image = str(templates / 'base.raw')
    for text in ('length\nread 0 1k\n\n  bogus\nhelp length\n"read 0 1"\n#x\nquit\nlength\n',
                 'length\nread 0 1k', '', 'write 0 x\n'):
        bad += same(f'typed {text!r}', run(RHEA, ['-r', '-f', 'raw', image], text),
                    run(QEMU, ['-r', '-f', 'raw', image], text))
    return bad


def command_line():
    bad = []
    os.chdir(templates)
    for args in (['nofile'], ['-t', 'bad', 'base.raw'], ['-d', 'bad', 'base.raw'], ['-i', 'bad', 'base.raw'],
                 ['-i', 'native', 'base.raw'], ['--image-opts', '-f', 'raw', 'base.raw'], ['-f', 'bad', 'base.raw'],
                 ['-U', 'base.qcow2'], ['-c', 'length', '--image-opts', 'driver=qcow2,file.filename=base.qcow2'],
                 ['--cmd', 'length', '--format=qcow2', '--read-only', 'base.qcow2'], ['-c', 'read 0 1'],
                 ['-c', 'length', '--cache=none', 'base.qcow2'], ['-c', ''], ['-c', 'abort', 'base.qcow2'],
                 ['-c', 'sigraise 15', 'base.qcow2'], ['-c', 'length', 'base.raw'],
                 ['-c', 'length', 'json:{"driver":"qcow2","file":{"driver":"file","filename":"base.qcow2"}}'],
                 ['-c', 'length', '-r', '--object', 'secret,id=a,data=b', 'base.qcow2']):
        bad += same(' '.join(args), run(RHEA, args), run(QEMU, args))
    for args in (['-x'], ['--format'], ['a', 'b'], ['-h'], ['-V']):  # usage is ours: status alone
        ours, theirs = run(RHEA, args), run(QEMU, args)
        if ours[2] != theirs[2]:
            bad.append(f'{args}: status {ours[2]}, not {theirs[2]}')
    return bad


def main():
    global templates
    if not shutil.which('qemu-io'):
        print('skipped: qemu-io is not installed')
        return 0
    with tempfile.TemporaryDirectory(prefix='rhea-io-') as top:
        templates = pathlib.Path(top)
        (templates / 'pattern').write_bytes(bytes(range(32, 127)) + b'\0\xff')
        (templates / 'base.raw').write_bytes(b'\x11' * (512 << 10) + b'abc!-_~ \n' * 7 + bytes((3584 << 10) - 63))
        quiet = dict(check=True, capture_output=True, cwd=top)
        subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', 'base.raw', 'base.qcow2'], **quiet)
        subprocess.run(['qemu-img', 'create', '-f', 'qcow2', '-b', 'base.qcow2', '-F', 'qcow2', 'overlay.qcow2'], **quiet)
        jobs = [(case, name, f) for name in CASES for f in CASES[name][0].split()]
        jobs += [(help_pages,), (interactive,), (command_line,)]
        jobs = [j for j in jobs if wanted in '/'.join(str(getattr(x, '__name__', x)) for x in j)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            done = [(j, pool.submit(*j)) for j in jobs if j[0] is not command_line]
            bad = [b for _, f in done for b in f.result()]
        if any(j[0] is command_line for j in jobs):
            bad += command_line()
        os.chdir('/')
    for b in bad:
        print(b)
    print(f'{len(jobs)} groups, {len(bad)} differences')
    return bool(bad)


sys.exit(main())
