#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 120
"""What rhea-img says and returns when something is wrong, and what it leaves behind.

Rows: arguments, exit status, words that standard error has. Names a, b.. are images made first. Where
qemu-img is installed its exit status must be the same, unless the row says why not.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

IMG = str(pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve() / 'rhea-img')
QEMU = shutil.which('qemu-img')
bad = 0

ROWS = [
    # arguments, status, words, why qemu-img's status differs (None: it must be equal)
    ('', 1, 'Not enough arguments'),
    ('nosuch', 1, 'Command not found: nosuch'),
    ('inof a', 1, "did you mean 'info'"),
    ('info', 1, 'Expecting one image file name'),
    ('info a b', 1, 'Expecting one image file name'),
    ('info nope', 1, "Could not open 'nope': No such file or directory"),
    ('info --bad a', 1, "unrecognized option '--bad'"),
    ('info --backing-chian a', 1, "did you mean '--backing-chain'"),
    ('info -z a', 1, "unrecognized option '-z'"),
    ('info -f', 1, "missing argument for option '-f'"),
    ('info -f bad a', 1, "Unknown driver 'bad'"),
    ('info -f qcow3 a', 1, "did you mean 'qcow2'"),
    ('info -f qcow2 r', 1, 'Image is not in qcow2 format'),
    ('info --output=xml a', 1, '--output must be used with human or json as argument.'),
    ('info --image-opts -f raw driver=raw,file.filename=r', 1, 'mutually exclusive'),
    ('create', 1, 'Expecting image file name'),
    ('create x', 1, 'Image creation needs a size parameter'),
    ('create -f bad x 1M', 1, "Unknown file format 'bad'"),
    ('create x 10X', 1, 'Invalid image size specified'),
    ('create -f qcow2 -o bad=1 x 1M', 1, "Invalid parameter 'bad'"),
    ('create -f qcow2 -o clustersize=1M x 1M', 1, "did you mean 'cluster_size'"),
    ('create -f qcow2 -o cluster_size=1000 x 1M', 1, 'Cluster size must be a power of two'),
    ('create -f qcow2 -b nope -F qcow2 x', 1, 'Could not open backing image'),
    ('create -f qcow2 -b a x', 1, 'without backing format'),
    ('create -f qcow2 -b a -F bad x', 1, "Unknown backing file format 'bad'"),
    ('create -f raw -b a -F qcow2 x', 1, 'Backing'),
    ('create -f qcow2 -u -b nope -F raw x', 1, 'Image creation needs a size parameter'),
    ('create -f qcow2 nodir/x 1M', 1, 'No such file or directory'),
    ('create -f qcow2 x 1M extra', 1, 'Unexpected argument'),
    ('check r -f raw', 63, 'This image format does not support checks'),
    ('check -r bad a', 1, "Unknown option value for -r (expecting 'leaks' or 'all'): bad"),
    ('check nope', 1, 'No such file'),
    ('check corrupt', 2, 'ERROR'),
    ('check leaky', 3, 'Leaked cluster'),
    ('compare a', 1, 'Expecting two image file names'),
    ('compare nope a', 2, 'Could not open'),
    ('compare a full', 1, ''),
    ('compare a b', 0, ''),
    ('compare -s -F raw b big', 1, ''),
    ('map', 1, 'Expecting one image file name'),
    ('map --start-offset=x a', 1, 'Invalid start offset specified'),
    ('map packed', 1, 'File contains external, encrypted or compressed clusters.'),
    ('measure', 1, 'Either --size N or one filename must be specified.'),
    ('measure --size 1G a', 1, '--size N cannot be used together with a filename.'),
    ('measure --size x', 1, 'Invalid image size'),
    ('measure -O bad --size 1G', 1, "Unknown file format 'bad'"),
    ('measure -O vmdk --size 1G', 1, "Block driver 'vmdk' does not support size measurement"),
    ('resize a', 1, 'Not enough arguments'),
    ('resize a 5M', 1, 'Use the --shrink option to perform a shrink operation.'),
    ('resize --shrink a -20M', 1, 'New image size must be positive'),
    ('resize --preallocation=bad a +1M', 1, 'Invalid preallocation mode'),
    ('resize a abc', 1, "Parameter 'size' expects"),
    ('snapshot -l -c s a', 1, "Cannot mix '-l', '-a', '-c', '-d'"),
    ('snapshot -a nope a', 1, "Could not apply snapshot 'nope'"),
    ('snapshot -d nope a', 1, "Could not delete snapshot 'nope'"),
    ('snapshot -c s r', 1, "Could not create snapshot 's'"),
    ('snapshot -U -c s a', 1, 'force-share=on can only be used with read-only images'),
    ('commit a', 1, 'Image does not have a backing file'),
    ('commit -b nope b', 1, "Did not find 'nope' in the backing chain of 'b'"),
    ('rebase b', 1, 'Must specify backing file (-b) or use unsafe mode (-u)'),
    ('rebase -b nope -F raw b', 1, "Could not open new backing file 'nope'"),
    ('rebase -u -b x b', 1, 'backing format must be specified'),
    ('rebase -b a -F bad b', 1, "Invalid format name: 'bad'"),
    ('amend a', 1, 'Must specify options (-o)'),
    ('amend -o bad=1 a', 1, "Invalid parameter 'bad'"),
    ('amend -o cluster_size=1M a', 1, 'only supported for image creation'),
    ('amend -f raw -o size=1M r', 1, "Format driver 'raw' does not support option amendment"),
    ('bitmap a', 1, 'Need at least one of --add'),
    ('bitmap --add a', 1, 'Expecting filename and bitmap name'),
    ('bitmap --remove a nope', 1, "Operation remove on bitmap nope failed: Dirty bitmap 'nope' not found"),
    ('bitmap --add -g 1000 a x', 1, 'Granularity must be power of 2'),
    ('bitmap --add -f raw r x', 1, "Can't store persistent bitmaps"),
    ('bitmap --clear -g 1M a x', 1, 'granularity only supported with --add'),
    ('dd if=r', 1, 'Must specify both input and output files'),
    ('dd if=r of=x zz=1', 1, 'unrecognized operand zz'),
    ('dd if=r of=x bs=0', 1, 'Invalid bs specified'),
    ('dd if=r of=r', 1, 'write" lock', 'qemu-img 7.2 copies an image onto itself'),
    ('bench -c x a', 1, 'Invalid request count specified'),
    ('bench --flush-interval=10 a', 1, '--flush-interval is only available in write tests'),
    ('bench -i bad a', 1, 'Invalid aio option: bad'),
    ('bench -d 0 a', 1, 'Invalid queue depth', 'qemu-img 7.2 never ends'),
    ('convert a', 1, 'Must specify image file name'),
    ('convert nope x', 1, 'No such file or directory'),
    ('convert -O bad a x', 1, "Unknown file format 'bad'"),
    ('convert -t bad a x', 1, 'Invalid cache option: bad'),
    ('convert -T bad a x', 1, 'Invalid source cache option: bad'),
    ('convert -m 17 a x', 1, 'Invalid number of coroutines'),
    ('convert -S 100 a x', 1, 'Invalid buffer size for sparse output'),
    ('convert -r x a x', 1, 'Invalid rate limit'),
    ('convert -c a x', 1, 'Compression not supported for this file format'),
    ('convert -n a nope', 1, "Could not open 'nope'"),
    ('convert -n a small', 1, 'output file is smaller than input file'),
    ('convert -n -o x=1 a big', 1, '-o has no effect when skipping image creation'),
    ('convert -B a -O qcow2 b x', 1, 'explicit backing format'),
    ('convert -l nope a x', 1, 'Failed to load snapshot'),
    ('convert -C -c -O qcow2 a x', 1, 'Cannot enable copy offloading when -c is used'),
    ('convert -c -O qcow2 -o preallocation=full a x', 1, 'Compression and preallocation not supported at the same time'),
    ('convert --target-is-zero a x', 1, '--target-is-zero requires use of -n flag'),
    ('convert --target-image-opts a driver=raw,file.filename=x', 1, '--target-image-opts requires use of -n flag'),
    ('convert --skip-broken-bitmaps a x', 1, 'requires --bitmaps'),
    ('convert --bitmaps -O qcow2 r x', 1, 'Source lacks bitmap support'),
    ('convert a a', 1, 'write" lock'),
    ('convert a nodir/x', 1, 'No such file or directory'),
]


def wrong(text):
    global bad
    print('wrong:', text)
    bad = 1


def run(tool, args, cwd):
    try:
        return subprocess.run([tool, *args], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        wrong(f'{args}: more than 30 s')
        return subprocess.CompletedProcess(args, -1, b'', b'')


def prepare(folder):
    for args in ('create -q -f qcow2 a 10M', 'create -q -f qcow2 -b a -F qcow2 b', 'create -q r 10M', 'create -q small 1M',
                 'create -q big 20M', 'create -q full 10M', 'create -q -f qcow2 corrupt 1M', 'create -q -f qcow2 leaky 1M'):
        if run(IMG, args.split(), folder).returncode:
            wrong(f'{args} failed')
    (folder / 'full').write_bytes(b'x' * (10 << 20))
    run(IMG, 'convert -c -O qcow2 full packed'.split(), folder)
    with open(folder / 'leaky', 'r+b') as f:  # one more cluster in use than anybody refers to
        f.seek(0x20000 + 2 * 9)
        f.write(b'\0\1')
        f.truncate(10 * 65536)
    with open(folder / 'corrupt', 'r+b') as f:  # the L1 table is not counted
        f.seek(0x20000 + 2 * 3)
        f.write(b'\0\0')


def rows(folder):
    for args, status, words, *why in ROWS:
        before = sorted(os.listdir(folder))
        p = run(IMG, args.split(), folder)
        text = p.stderr.decode(errors='replace')
        if p.returncode != status:
            wrong(f'{args}: exit status {p.returncode}, not {status}: {text.strip()}')
        if words not in text:
            wrong(f'{args}: "{words}" is not in: {text.strip()}')
        if status and sorted(os.listdir(folder)) != before:
            wrong(f'{args}: it failed and left {set(os.listdir(folder)) - set(before)}')
        if QEMU and not why:
            q = run(QEMU, args.split(), folder)
            if q.returncode != status:
                wrong(f'{args}: qemu-img ends with {q.returncode}, not {status}: {q.stderr.decode().strip()}')
            for name in set(os.listdir(folder)) - set(before):
                os.unlink(folder / name)


def interrupted(folder):
    """Ctrl-C during a slow convert: the target is gone, and so is the process, by that signal."""
    for sig in (signal.SIGINT, signal.SIGTERM):
        p = subprocess.Popen([IMG, 'convert', '-r', '1M', '-O', 'qcow2', 'full', 'target'], cwd=folder,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        end = time.time() + 10
        while not (folder / 'target').exists() and time.time() < end:
            time.sleep(0.02)
        if not (folder / 'target').exists():
            wrong('convert made no target in 10 s')
        time.sleep(0.1)
        p.send_signal(sig)
        try:
            p.wait(10)
        except subprocess.TimeoutExpired:
            wrong(f'{sig}: convert goes on')
            p.kill()
            p.wait()
        p.stderr.close()
        if p.returncode != -sig:
            wrong(f'{sig}: convert ended with {p.returncode}')
        if (folder / 'target').exists():
            wrong(f'{sig}: an unfinished target is left')


def disk_full(folder):
    """A target that does not fit: an error that says so, and no target; the source is as it was."""
    p = subprocess.run(['sh', '-c', 'ulimit -f 2048; trap "" XFSZ; exec "$0" convert -O qcow2 full target', IMG], cwd=folder,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=30, check=False)
    text = p.stderr.decode(errors='replace')
    if p.returncode != 1 or 'error while writing' not in text or 'File too large' not in text:
        wrong(f'a target that does not fit: {p.returncode} {text}')
    if (folder / 'target').exists():
        wrong('a target that did not fit is left')


def progress(folder):
    p = run(IMG, 'convert -p -O qcow2 full done'.split(), folder)
    shown = p.stdout.decode().split('\r')
    if shown[0] != '    (0.00/100%)' or '    (100.00/100%)' not in shown or shown[-1] != '\n':
        wrong(f'progress: {shown}')
    if run(IMG, 'convert -p -q -O qcow2 full done'.split(), folder).stdout:
        wrong('-p -q prints')
    p = subprocess.Popen([IMG, 'convert', '-r', '2M', 'full', 'target'], cwd=folder, stdout=subprocess.PIPE)
    time.sleep(1)
    p.send_signal(signal.SIGUSR1)
    time.sleep(0.3)
    p.send_signal(signal.SIGINT)
    out = p.communicate(timeout=20)[0]
    if b'/100%)' not in out:
        wrong(f'SIGUSR1 prints no progress: {out}')


def versions(folder):
    link = folder / 'qemu-img'
    link.symlink_to(IMG)
    p = run(str(link), ['--version'], folder)
    if not p.stdout.startswith(b'qemu-img version 10.0.0 (Rhea '):
        wrong(f'--version as qemu-img: {p.stdout}')
    p = run(IMG, ['--version'], folder)
    if not p.stdout.startswith(b'rhea-img version '):
        wrong(f'--version: {p.stdout}')
    text = run(IMG, ['--help'], folder).stdout.decode()
    manual = (pathlib.Path(__file__).resolve().parents[2] / 'docs/manual/rhea-img.1').read_text()
    commands = 'amend bench bitmap check commit compare convert create dd info map measure rebase resize snapshot'
    for name in commands.split():
        p = run(IMG, [name, '--help'], folder)
        options = re.findall(r'^  (-\S.*?)(?:  |$)', p.stdout.decode(), re.M)
        for word in re.findall(r'--?[\w-]+', ' '.join(options)):
            if word not in ('-h', '--help') and word.replace('-', '\\-') not in manual:
                wrong(f'the manual page does not name {word} of {name}')
        if len(options) < 3 or p.returncode or f'\n  {name} ' not in text or f'usage: rhea-img {name}' not in p.stdout.decode():
            wrong(f'{name} --help, or --help without {name}')
    if 'Supported formats:' not in text or ' qcow2 ' not in text:
        wrong('--help names no formats')


def main():
    if not QEMU:
        print('no qemu-img: its exit statuses are not compared')
    folder = pathlib.Path(tempfile.mkdtemp(prefix='img-errors-'))
    try:
        prepare(folder)
        rows(folder)
        interrupted(folder)
        disk_full(folder)
        progress(folder)
        versions(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return bad


sys.exit(main())
