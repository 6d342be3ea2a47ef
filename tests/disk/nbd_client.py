#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 90
"""The NBD client against nbdkit with its filters and against qemu-nbd: contents, maps, block
sizes, TLS, errors, a server that dies and comes back."""
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

build = pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve()
IMG, IO = str(build / 'rhea-img'), str(build / 'rhea-io')
nbdkit, qemu_nbd, qemu_img = (shutil.which(n) for n in ('nbdkit', 'qemu-nbd', 'qemu-img'))
bad = 0
work = None
servers = []
random.seed(9)


def check(ok, what):
    global bad
    if not ok:
        print('wrong:', what)
        bad = 1


def run(argv, want=0, timeout=40):
    try:
        p = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=timeout, check=False, text=True)
    except subprocess.TimeoutExpired as e:
        check(False, f'{argv} hangs: {e.stdout}')
        return ''
    if want is not None:
        check(p.returncode == want, f'{" ".join(map(str, argv))}: exit {p.returncode}: {p.stdout}')
    return p.stdout


class Server:
    """A server on a Unix socket, until the end of the with block."""

    def __init__(self, *argv, name='s'):
        self.path = work / f'{name}.sock'
        self.argv = [str(self.path) if a == 'SOCK' else str(a) for a in argv]

    def start(self):
        self.path.unlink(missing_ok=True)
        self.log = open(work / 'server.log', 'w', encoding='utf-8')
        self.p = subprocess.Popen(self.argv, stdout=self.log, stderr=self.log,
                                  stdin=subprocess.DEVNULL)
        for _ in range(400):
            s = socket.socket(socket.AF_UNIX)
            try:
                s.connect(str(self.path))
                return
            except OSError:
                time.sleep(0.02)
            finally:
                s.close()
        print('no server:', self.argv, (work / 'server.log').read_text())
        sys.exit(1)

    def kill(self):
        self.p.send_signal(signal.SIGKILL)
        self.p.wait()
        self.log.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def url(self, export=''):
        return f'nbd+unix:///{export}?socket={self.path}'


def kit(*argv, **more):
    return Server(nbdkit, '-f', '-U', 'SOCK', *argv, **more)


def io(url, *commands, want=0, options=(), objects=(), ro=False):
    argv = [x for o in objects for x in ('--object', o)] + (['-r'] if ro else [])
    if options:
        argv += ['--image-opts', ','.join(['driver=raw', *options])]
        return run([IO, *argv, *[x for c in commands for x in ('-c', c)]], want)
    return run([IO, '-f', 'raw', *argv, *[x for c in commands for x in ('-c', c)], url], want)


def sparse_file():
    """Data, holes and zeroes."""
    path = work / 'data.raw'
    with open(path, 'wb') as f:
        for i in range(24):
            f.seek(i * 300000)
            f.write(random.randbytes(random.randrange(1, 200000)))
        f.truncate(8 << 20)
    return path


def contents(data):
    out = work / 'out.raw'
    want = data.read_bytes()
    kinds = {'file': ['file', data],
             'blocks': ['--filter=blocksize-policy', 'file', data, 'blocksize-minimum=4096',
                        'blocksize-preferred=65536', 'blocksize-maximum=1M',
                        'blocksize-error-policy=error'],
             'slow': ['--filter=delay', 'file', data, 'delay-read=2ms'],
             'old': ['-o', 'file', data],
             'plain': ['--no-sr', 'file', data],
             'no extents': ['--filter=noextents', 'file', data],
             'one at a time': ['--filter=noparallel', 'file', data, 'serialize=all-requests']}
    for kind, argv in kinds.items():
        with kit('-r', *argv) as s:
            run([IMG, 'convert', '-f', 'raw', '-O', 'raw', s.url(), out])
            check(out.read_bytes() == want, f'{kind}: contents')
            run([IMG, 'compare', '-f', 'raw', '-F', 'raw', s.url(), data])
    for program, options in ((qemu_nbd, []), (qemu_nbd, ['--cache=none', '--aio=native']),
                             (build / 'rhea-nbd', [])):
        with Server(program, '-t', '-r', '-f', 'raw', '-k', 'SOCK', '-x', 'disk', *options,
                    data) as s:
            run([IMG, 'convert', '-f', 'raw', '-O', 'raw', s.url('disk'), out])
            check(out.read_bytes() == want, f'{program}: contents')
            maps = [json.loads(run([p, 'map', '-f', 'raw', '--output=json', s.url('disk')]))
                    for p in (IMG, qemu_img)]
            check(maps[0] == maps[1], f'maps differ: {maps}')
            infos = [json.loads(run([p, 'info', '-f', 'raw', '--output=json', s.url('disk')]))
                     for p in (IMG, qemu_img)]
            check(infos[0] == infos[1], f'info differs: {infos}')
            said = run([IMG, 'info', s.url('dsik')], 1)
            check('Requested export not available' in said and "did you mean 'disk'" in said, said)
    # writing, all sizes and offsets
    for argv in (['memory', '8M'], ['--filter=blocksize-policy', 'memory', '8M',
                                    'blocksize-minimum=512', 'blocksize-maximum=64k',
                                    'blocksize-preferred=4096', 'blocksize-error-policy=error']):
        with kit(*argv) as s:
            run([IMG, 'convert', '-n', '-f', 'raw', '-O', 'raw', data, s.url()])
            run([IMG, 'compare', '-f', 'raw', '-F', 'raw', s.url(), data])
            io(s.url(), 'write -P 1 100 1000', 'write -z 1M 3M', 'discard 5M 1M', 'flush',
               'write -f -P 2 7M 1M', 'read -P 1 100 1000', 'read -P 0 1M 3M', 'read -P 2 7M 1M',
               'aio_write -P 3 6M 4k', 'aio_write -P 4 6200k 4k', 'aio_flush', 'read -P 3 6M 4k')


def limits():
    with kit('-r', 'memory', '1M') as s:
        said = io(s.url(), 'read 0 512', want=1)
        check('write permission' in said or 'read-only' in said, said)
        io(s.url(), 'read -P 0 0 512', ro=True)
    with kit('--filter=error', 'memory', '1M', 'error-pread=ENOSPC', 'error-pread-rate=100%') as s:
        said = io(s.url(), 'read 0 512', 'write 0 512', want=None)
        check('read failed: No space left on device' in said and 'wrote 512' in said, said)
    with kit('pattern', '7E') as s:
        run([IMG, 'info', '-f', 'raw', s.url()], None)
    with kit('--filter=blocksize-policy', 'null', '6E', 'blocksize-minimum=1',
             'blocksize-preferred=512', 'blocksize-maximum=32M',
             'blocksize-error-policy=error') as s: # zeroes longer than its maximum
        io(s.url(), 'write -z 0 256M', 'read -P 0 6000P 1M')
    with kit('memory', '1M', name='e') as s:
        for options in (['file.driver=nbd', f'file.path={s.path}', 'file.export='],
                        ['file.driver=nbd', 'file.server.type=unix',
                         f'file.server.path={s.path}', 'file.reconnect-delay=1']):
            io(None, 'write -P 5 0 4k', 'read -P 5 0 4k', options=options)
        said = io(None, 'read 0 1', options=['file.driver=nbd', 'file.server.type=unix',
                                             f'file.server.paht={s.path}'], want=1)
        check("did you mean 'path'" in said or "'path' is missing" in said, said)
    said = run([IMG, 'info', f'nbd+unix:///?socket={work}/nobody'], 1)
    check('Failed to connect to' in said and 'No such file' in said, said)
    said = run([IMG, 'info', '--image-opts', 'driver=nbd'], 1)
    check('NBD server address missing' in said, said)


def lost_servers():
    """A server is killed under a client; with reconnect-delay it comes back in time."""
    data = work / 'lost.raw'
    data.write_bytes(bytes(4 << 20))
    s = kit('file', data, name='lost')
    for delay in (0, 20):
        with s:
            p = subprocess.Popen([IO, '--image-opts',
                                  f'driver=nbd,path={s.path},reconnect-delay={delay}',
                                  '-c', 'write -P 1 0 64k', '-c', 'sleep 600',
                                  '-c', 'write -P 2 0 64k', '-c', 'read -P 2 0 64k'],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            time.sleep(0.3)
            s.kill()
            time.sleep(0.6 if delay else 1.0)
            if delay:
                s.start()
            try:
                out = p.communicate(timeout=20)[0]
            except subprocess.TimeoutExpired:
                p.kill()
                out = 'it hangs'
            if delay:
                check(p.returncode == 0 and out.count('wrote') == 2, f'reconnect: {out}')
            else:
                check('write failed: Input/output error' in out, f'no reconnect: {out}')
    start = time.monotonic()
    with kit('--filter=delay', 'memory', '1M', 'delay-read=30', name='slow') as s:
        said = io(None, 'read 0 512', options=['file.driver=nbd', f'file.path={s.path}',
                                               'file.request-timeout=1'], want=1)
        check('read failed' in said and time.monotonic() - start < 10, f'time-out: {said}')
    late = kit('memory', '1M', name='late')
    late.path.unlink(missing_ok=True)
    p = subprocess.Popen([IMG, 'info', '--image-opts',
                          f'driver=nbd,path={late.path},open-timeout=20'],
                         stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    with late:
        check('1 MiB' in p.communicate(timeout=20)[0], 'open-timeout')


def certificates():
    def cert(name, *lines):
        (work / f'{name}.cfg').write_text('\n'.join(lines) + '\n')
        run(['certtool', '--generate-privkey', '--bits', '2048', '--outfile', f'{work}/{name}.key'])
        if name == 'ca':
            run(['certtool', '--generate-self-signed', '--load-privkey', f'{work}/ca.key',
                 '--template', f'{work}/ca.cfg', '--outfile', f'{work}/ca.pem'])
        else:
            run(['certtool', '--generate-certificate', '--load-ca-certificate', f'{work}/ca.pem',
                 '--load-ca-privkey', f'{work}/ca.key', '--load-privkey', f'{work}/{name}.key',
                 '--template', f'{work}/{name}.cfg', '--outfile', f'{work}/{name}.pem'])

    cert('ca', 'cn = "our CA"', 'ca', 'cert_signing_key')
    cert('server', 'cn = "localhost"', 'dns_name = "localhost"', 'ip_address = "127.0.0.1"',
         'tls_www_server', 'signing_key', 'encryption_key')
    cert('client', 'cn = "a client"', 'tls_www_client', 'signing_key', 'encryption_key')
    for kind, files in (('server', ['server']), ('client', ['client']), ('nobody', [])):
        (work / f'tls-{kind}').mkdir()
        shutil.copy(work / 'ca.pem', work / f'tls-{kind}/ca-cert.pem')
        for f in files:
            shutil.copy(work / f'{f}.pem', work / f'tls-{kind}/{f}-cert.pem')
            shutil.copy(work / f'{f}.key', work / f'tls-{kind}/{f}-key.pem')


def tls():
    certificates()
    run(['psktool', '-u', 'alice', '-p', f'{work}/keys.psk'])
    x509 = f'tls-creds-x509,id=t,endpoint=client,dir={work}/tls-client'
    nobody = f'tls-creds-x509,id=t,endpoint=client,dir={work}/tls-nobody'
    psk = f'tls-creds-psk,id=t,endpoint=client,dir={work},username=alice'
    commands = ('write -P 9 0 3M', 'read -P 9 0 3M')
    judges = [
        ('nbdkit x509', ['--tls=require', f'--tls-certificates={work}/tls-server',
                         '--tls-verify-peer', 'memory', '8M'], x509, nobody),
        ('nbdkit psk', ['--tls=require', f'--tls-psk={work}/keys.psk', 'memory', '8M'], psk, None),
    ]
    for name, argv, good, wrong in judges:
        with kit(*argv, name=name.replace(' ', '')) as s:
            options = ['file.driver=nbd', f'file.path={s.path}', 'file.tls-creds=t',
                       'file.tls-hostname=localhost']
            io(None, *commands, options=options, objects=[good])
            if wrong:
                said = io(None, 'read 0 512', options=options, objects=[wrong], want=1)
                check('broke off TLS' in said, f'{name}: {said}')
            said = run([IMG, 'info', s.url()], 1)
            check('Server requires TLS' in said, f'{name}: {said}')
            if good is x509:
                options[-1] = 'file.tls-hostname=example.org'
                said = io(None, 'read 0 512', options=options, objects=[good], want=1)
                check('Certificate does not pass' in said, f'{name}: {said}')
    raw = work / 'tls.raw'
    raw.write_bytes(bytes(4 << 20))
    for kind, obj, client in (
            ('x509', f'tls-creds-x509,id=s,endpoint=server,dir={work}/tls-server', x509),
            ('psk', f'tls-creds-psk,id=s,endpoint=server,dir={work}', psk),
            ('anon', 'tls-creds-anon,id=s,endpoint=server', 'tls-creds-anon,id=t,endpoint=client')):
        for program in (qemu_nbd, build / 'rhea-nbd'):
            with Server(program, '-t', '-f', 'raw', '-k', 'SOCK', '--object', obj, '--tls-creds',
                        's', raw, name=f'q{kind}') as s:
                io(None, *commands, objects=[client],
                   options=['file.driver=nbd', f'file.path={s.path}', 'file.tls-creds=t',
                            'file.tls-hostname=localhost'])
    with kit('memory', '1M', name='notls') as s:
        said = io(None, 'read 0 512', objects=[x509], want=1,
                  options=['file.driver=nbd', f'file.path={s.path}', 'file.tls-creds=t'])
        check('TLS' in said, said)


def bitmaps():
    image = work / 'b.qcow2'
    run([qemu_img, 'create', '-q', '-f', 'qcow2', image, '8M'])
    run([qemu_img, 'bitmap', '--add', '-g', '65536', image, 'b0'])
    run(['qemu-io', '-c', 'write 1M 128k', image])
    with Server(qemu_nbd, '-t', '-r', '-f', 'qcow2', '-B', 'b0', '-k', 'SOCK', image) as s:
        options = f'driver=nbd,path={s.path},x-dirty-bitmap=qemu:dirty-bitmap:b0'
        maps = [json.loads(run([p, 'map', '--output=json', '--image-opts', options]))
                for p in (IMG, qemu_img)]
        for extent in maps[0] + maps[1]:  # qemu-img holds dirty clusters for absent ones, too
            extent.pop('present')
            extent.pop('offset', None)
        check(maps[0] == maps[1], f'bitmap maps differ: {maps}')
        said = run([IMG, 'info', '--image-opts', options + 'x'], 1)
        check('requested x-dirty-bitmap' in said, said)


def main():
    global work
    if not nbdkit or not qemu_nbd or not qemu_img:
        print('not run: nbdkit and qemu-nbd are its servers, and are not here')
        return
    with tempfile.TemporaryDirectory(prefix='rhea-nbd-') as name:
        work = pathlib.Path(name)
        data = sparse_file()
        for part in (lambda: contents(data), limits, lost_servers, tls, bitmaps):
            start = time.monotonic()
            part()
            print(f'{time.monotonic() - start:.1f} s')
    sys.exit(bad)


main()
