#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 150
"""rhea-nbd and the clients that people have: libnbd's tools, qemu-img, qemu-io, nbdkit; beside qemu-nbd.

nbd_server.py [-v] [PART]    PART chooses tests by part of their name
Among the clients are some that lie, stop half-way, or ask for too much; the server must stay.
"""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time

build = pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve()
RHEA, IO = str(build / 'rhea-nbd'), str(build / 'rhea-io')
verbose = '-v' in sys.argv
wanted = next((a for a in sys.argv[1:] if a != '-v'), '')
MIB = 1 << 20
tests, complaints = [], []
lock = threading.Lock()


def test(f):
    tests.append(f)
    return f


def check(ok, what):
    if not ok:
        with lock:
            complaints.append(what)
            print('wrong:', what, flush=True)
    return ok


def run(*args, ok=True, stdin=None, env=None, timeout=30):
    p = subprocess.run([str(a) for a in args], input=stdin, capture_output=True, text=True, timeout=timeout,
                       env={**os.environ, **(env or {})}, stdin=None if stdin else subprocess.DEVNULL)
    if ok and p.returncode:
        check(False, f'{" ".join(map(str, args))}: status {p.returncode}: {p.stdout[-500:]}{p.stderr[-500:]}')
    return p


class Server:
    """A server on a Unix socket, stopped at the end of the with block."""

    def __init__(self, folder, *args, program=RHEA, persistent=True, tcp=None):
        self.path = str(folder / f'{random.getrandbits(40):x}.sock')
        where = ['-b', '127.0.0.1', '-p', str(tcp)] if tcp else ['-k', self.path]
        self.address = ('127.0.0.1', tcp) if tcp else self.path
        self.args = [program, *where, *(['-t'] if persistent else []), *map(str, args)]

    def __enter__(self):
        self.errors = tempfile.TemporaryFile('w+')
        self.p = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stderr=self.errors)
        for _ in range(500):
            if self.p.poll() is not None or self.accepts():
                break
            time.sleep(0.01)
        return self

    def accepts(self):
        if not isinstance(self.address, str):
            with contextlib.suppress(OSError), socket.create_connection(self.address, 1):
                return True
            return False
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as c:
            c.connect(self.path)
            return True
        return False

    def uri(self, name='', scheme='nbd'):
        if isinstance(self.address, str):
            return f'{scheme}+unix:///{name}?socket={self.path}'
        return f'{scheme}://127.0.0.1:{self.address[1]}/{name}'

    def alive(self):
        return self.p.poll() is None and run('nbdinfo', '--size', self.uri(), ok=False).returncode == 0

    def peak_mib(self):
        text = pathlib.Path(f'/proc/{self.p.pid}/status').read_text()
        return int(re.search(r'VmHWM:\s+(\d+)', text)[1]) / 1024

    def __exit__(self, *_):
        if self.p.poll() is None:
            self.p.send_signal(signal.SIGTERM)
        try:
            status = self.p.wait(10)
        except subprocess.TimeoutExpired:
            self.p.kill()
            status = 'does not end'
        self.errors.seek(0)
        text = self.errors.read()
        check(status == 0, f'{" ".join(self.args)}: ended with {status}: {text[-1000:]}')
        check(not os.path.exists(self.path), f'{self.path} is left')


def nbdsh(uri, script, ok=True):
    """Runs a script with a connected handle h of libnbd's Python binding; returns what it prints."""
    code = 'import nbd, os\nh = nbd.NBD()\nh.set_uri_allow_local_file(True)\n' + textwrap.dedent(script).replace('CONNECT', f'h.connect_uri({uri!r})')
    p = run('/usr/bin/python3', '-c', code, ok=ok, env={'PYENV_VERSION': 'system'})
    return p.stdout


def info(uri):
    text = run('nbdinfo', '--json', uri).stdout
    return json.loads(text) if text else {}


def nbd_map(uri, context='base:allocation'):
    return run('nbdinfo', f'--map={context}', uri).stdout


def make_images(d):
    random.seed(7)
    data = bytearray(8 * MIB)
    for at in (0, 1 * MIB, 3 * MIB + 65536, 7 * MIB):
        data[at:at + 300000] = random.randbytes(300000)
    (d / 'disk.raw').write_bytes(data)
    quiet = dict(check=True, capture_output=True, cwd=d)
    with open(d / 'sparse.raw', 'wb') as f:
        f.truncate(8 * MIB)
        for at in (0, 1 * MIB, 3 * MIB + 65536, 7 * MIB):
            f.seek(at)
            f.write(data[at:at + 262144])
    for args in (['convert', '-f', 'raw', '-O', 'qcow2', 'disk.raw', 'disk.qcow2'],
                 ['create', '-f', 'qcow2', '-b', 'disk.qcow2', '-F', 'qcow2', 'top.qcow2'],
                 ['bitmap', '--add', 'top.qcow2', 'b0'], ['bitmap', '--add', '-g', '4096', 'top.qcow2', 'b1']):
        subprocess.run(['qemu-img', *args], **quiet)
    subprocess.run(['qemu-io', '-c', 'write 64k 100k', '-c', 'write -z 2m 64k', '-c', 'write 5m 3', 'top.qcow2'], **quiet)
    return bytes(data)


@test
def shape(d, data):
    """What nbdinfo tells of an export equals qemu-nbd's."""
    for args in (['-f', 'raw', 'disk.raw'], ['-r', '-e', 3, '-f', 'qcow2', 'disk.qcow2'],
                 ['-x', 'exp', '-D', 'a desc', '-A', '-B', 'b0', '-B', 'b1', '-f', 'qcow2', 'top.qcow2'],
                 ['-o', 512, '-f', 'raw', 'disk.raw'], ['-f', 'qcow2', '-s', 'disk.qcow2']):
        name = args[args.index('-x') + 1] if '-x' in args else ''
        full = [d / a if str(a).startswith(('disk', 'top')) else a for a in args]
        seen = []
        for program in (RHEA, 'qemu-nbd'):
            with Server(d, *full, program=program) as s:
                x = info(s.uri(name))
                for e in x.get('exports', []):
                    e.pop('uri')
                    e['contexts'].sort()
                listed = run(RHEA, '-L', '-k', s.path).stdout
                theirs = run('qemu-nbd', '-L', '-k', s.path).stdout
                check(listed == theirs, f'-L of {program}: {listed}\nis not\n{theirs}')
                wrong = run('nbdinfo', s.uri('other'), ok=False)
                check(wrong.returncode, 'an export that is not there was found')
                seen.append(x)
        check(seen[0] == seen[1], f'{args}: {seen[0]}\nis not\n{seen[1]}')


@test
def copies(d, data):
    """All the data, out and in, by each client, on raw and qcow2, Unix and TCP."""
    port = random.randrange(20000, 30000)
    for fmt, tcp in (('raw', None), ('qcow2', None), ('qcow2', port), ('raw', port + 1)):
        image = d / f'copies.{fmt}'
        shutil.copy(d / f'disk.{fmt}', image)
        out = d / 'copies.out'
        with Server(d, '-e', 0, '-f', fmt, '--discard=unmap', image, tcp=tcp) as s:
            run('nbdcopy', s.uri(), out)
            check(out.read_bytes() == data, f'{fmt}: nbdcopy read something else')
            run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', s.uri(), d / 'disk.raw')
            fresh = random.Random(1).randbytes(5 * MIB) + bytes(3 * MIB)
            (d / 'copies.in').write_bytes(fresh)
            run('nbdcopy', '--flush', d / 'copies.in', s.uri())
            run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', s.uri(), d / 'copies.in')
            run('qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw', d / 'disk.raw', s.uri())
            run('qemu-io', '-f', 'raw', '-c', 'write -P 9 1000 70000', '-c', 'read -P 9 1000 70000',
                '-c', 'write -z 64k 128k', '-c', 'read -P 0 64k 128k', '-c', 'discard 1m 1m', '-c', 'flush', s.uri())
            busy = run('qemu-img', 'resize', '-f', fmt, image, '9M', ok=False)
            check(busy.returncode and 'lock' in busy.stderr, f'a served image was resized: {busy.stderr}')
        if fmt == 'qcow2':
            run('qemu-img', 'check', image)


@test
def requests(d, data):
    """Each command, by libnbd, with its flags; errors have the right numbers."""
    shutil.copy(d / 'sparse.raw', d / 'requests.raw')
    with Server(d, '-e', 0, '-f', 'raw', '--discard=unmap', d / 'requests.raw') as s:
        print_ = nbdsh(s.uri(), '''
            h.add_meta_context('base:allocation')
            CONNECT
            h.set_strict_mode(0)
            size = h.get_size()
            def fails(f, *a, **k):
                try:
                    f(*a, **k)
                except nbd.Error as e:
                    return e.errno
                return 'worked'
            h.pwrite(b'x' * 1000, 777); assert h.pread(1000, 777) == b'x' * 1000
            h.pwrite(b'y' * 5, 5, nbd.CMD_FLAG_FUA); assert h.pread(7, 4)[1:6] == b'y' * 5
            h.pwrite(b'e', size - 1); assert h.pread(1, size - 1) == b'e'
            h.zero(5000, 500); assert h.pread(5000, 500) == bytes(5000)
            h.zero(65536, 1 << 20, nbd.CMD_FLAG_NO_HOLE); h.zero(65536, 1 << 20, nbd.CMD_FLAG_FUA)
            print(fails(h.zero, 65536, 2 << 20, nbd.CMD_FLAG_FAST_ZERO))
            h.trim(65536, 0); h.trim(65536, 65536, nbd.CMD_FLAG_FUA); h.flush(); h.cache(1 << 20, 0)
            print(fails(h.pread, 10, size - 5), fails(h.pwrite, b'123456', size - 5), fails(h.zero, 6, size - 5),
                  fails(h.trim, 6, size - 5), fails(h.cache, 6, size - 5), fails(h.pread, 1, 1 << 62),
                  fails(h.pread, 512, 0, 0x40))
            chunks = []
            def chunk(buf, offset, status, err):
                chunks.append((offset, len(buf), 'data' if status == nbd.READ_DATA else 'hole'))
            h.pread_structured(4 << 20, 0, chunk)
            assert sum(n for _, n, _ in chunks) == 4 << 20, chunks
            print(chunks[0][2], sum(1 for c in chunks if c[2] == 'hole') > 0)
            chunks.clear(); h.pread_structured(4 << 20, 0, chunk, nbd.CMD_FLAG_DF); print(chunks)
            got = []
            def extent(context, offset, entries, err):
                got.append((context, offset, len(entries) // 2, sum(entries[::2])))
            h.block_status(size, 0, extent); h.block_status(size, 0, extent, nbd.CMD_FLAG_REQ_ONE); h.block_status(777, 100, extent)
            print([g[0] for g in got], got[0][2] > 1, got[0][3] == size, got[1][2], got[2][3])
            print(fails(h.block_status, 1, size, extent))
            h.shutdown()
            ''')
        lines = print_.splitlines()
        check(lines[0:1] == ['worked'], f'fast zero on a file: {lines[0:1]}')
        check(lines[1:2] == ['EINVAL ENOSPC ENOSPC EINVAL EINVAL EINVAL EINVAL'], f'errors: {lines[1:2]}')
        check(lines[2:3] == ['hole True'], f'holes in a read: {lines[2:3]}')
        check(lines[3:4] == ["[(0, 4194304, 'data')]"], f'a read with DF: {lines[3:4]}')
        check(lines[4:5] == ["['base:allocation', 'base:allocation', 'base:allocation'] True True 1 777"],
              f'block status: {lines[4:5]}')
        check(lines[5:6] == ['EINVAL'], f'block status beyond the end: {lines[5:6]}')
        # many at once, unordered, on the same handle
        nbdsh(s.uri(), '''
            import random
            CONNECT
            random.seed(3); todo = []
            for i in range(400):
                off = i * 8192
                todo.append((off, bytes([i & 255]) * random.choice((1, 512, 4096, 8192))))
            for off, b in todo:
                h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b)), off, lambda e: 1)
            while h.aio_in_flight(): h.poll(-1)
            bufs = []
            for off, b in todo:
                buf = nbd.Buffer(len(b)); h.aio_pread(buf, off, lambda e: 1); bufs.append((buf, b))
            while h.aio_in_flight(): h.poll(-1)
            for buf, b in bufs: assert buf.to_bytearray() == b
            big = os.urandom(32 << 20 >> 2)
            h.pwrite(big[:5 << 20], 1); assert h.pread(5 << 20, 1) == big[:5 << 20]
            ''')
    with Server(d, '-r', '-f', 'raw', d / 'requests.raw') as s:
        out = nbdsh(s.uri(), '''
            CONNECT
            h.set_strict_mode(0)
            for f, a in ((h.pwrite, (b'x', 0)), (h.zero, (1, 0)), (h.trim, (1, 0))):
                try:
                    f(*a); print('worked')
                except nbd.Error as e:
                    print(e.errno)
            h.pread(512, 0)
            ''')
        check(out.split() == ['EPERM'] * 3, f'writes to a read-only export: {out}')
    with Server(d, '-o', 4096, '-f', 'raw', d / 'requests.raw') as s:
        part = (d / 'requests.raw').read_bytes()[4096:]
        run('nbdcopy', s.uri(), d / 'requests.out')
        check((d / 'requests.out').read_bytes() == part, 'an offset shows other data')


@test
def holes_filled(d, data):
    """What was a hole and is written is data at once, for this client and for others, by any way to write."""
    for fmt in ('raw', 'qcow2'):
        image = d / f'filled.{fmt}'
        run('qemu-img', 'create', '-q', '-f', fmt, image, '64M')
        with Server(d, '-e', 0, '-f', fmt, image) as s:
            nbdsh(s.uri(), f'''
                other = nbd.NBD(); other.add_meta_context('base:allocation'); other.connect_uri({s.uri()!r})
                CONNECT
                def data_at(c, off):
                    got = []
                    c.block_status(4096, off, lambda x, o, e, err: got.extend(e))
                    return got[1] == 0
                for i, n in enumerate((512, 4096, 12288, 65536, 1 << 20, 5 << 20)):
                    off = (i + 1) * (8 << 20)
                    b = os.urandom(n)
                    assert h.pread(16384, off) == bytes(16384) == other.pread(16384, off)
                    assert not data_at(other, off)
                    h.pwrite(b, off)
                    assert h.pread(n, off) == b, n
                    assert other.pread(n, off) == b, n
                    assert data_at(other, off), n
                    other.pwrite(b[::-1], off); assert h.pread(n, off) == b[::-1], n
                ''')


@test
def maps(d, data):
    """Where data lies, in each context, equals what qemu-nbd says."""
    cases = ((['-f', 'raw', d / 'sparse.raw'], ['base:allocation']),
             (['-f', 'qcow2', d / 'disk.qcow2'], ['base:allocation']),
             (['-A', '-B', 'b0', '-B', 'b1', '-f', 'qcow2', d / 'top.qcow2'],
              ['base:allocation', 'qemu:allocation-depth', 'qemu:dirty-bitmap:b0', 'qemu:dirty-bitmap:b1']))
    for args, contexts in cases:
        seen = []
        for program in (RHEA, 'qemu-nbd'):
            with Server(d, '-r', *args, program=program) as s:
                seen.append([nbd_map(s.uri(), c) for c in contexts])
                if program == RHEA and len(contexts) > 1:
                    both = nbdsh(s.uri(), '''
                        h.add_meta_context('qemu:dirty-bitmap:'); h.add_meta_context('qemu:dirty-bitmap:b1')
                        h.add_meta_context('base:allocation'); h.add_meta_context('qemu:nonsense'); h.add_meta_context('x')
                        CONNECT
                        print(h.can_meta_context('base:allocation'), h.can_meta_context('qemu:dirty-bitmap:b0'),
                              h.can_meta_context('qemu:dirty-bitmap:b1'))
                        got = []
                        h.block_status(h.get_size(), 0, lambda c, o, e, err: got.append(c))
                        print(sorted(got))
                        ''')
                    check(both.split('\n')[:2] == ['True False True', "['base:allocation', 'qemu:dirty-bitmap:b1']"],
                          f'chosen contexts: {both}')
        for context, ours, theirs in zip(contexts, *seen):
            check(ours == theirs, f'{args[-1].name} {context}:\n{ours}is not\n{theirs}')


@test
def snapshots(d, data):
    image = d / 'snap.qcow2'
    shutil.copy(d / 'disk.qcow2', image)
    run('qemu-img', 'snapshot', '-c', 'before', image)
    run('qemu-io', '-c', 'write -P 1 0 1m', image)
    for param in ('before', '1', 'snapshot.name=before', 'snapshot.id=1', 'snapshot.id=1,snapshot.name=before'):
        with Server(d, '-l', param, '-f', 'qcow2', image) as s:
            run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', s.uri(), d / 'disk.raw')
            check('"is_read_only": true' in run('nbdinfo', '--json', s.uri()).stdout, 'a snapshot is writable')
    before = image.read_bytes()
    with Server(d, '-s', '-f', 'qcow2', image) as s:
        run('qemu-io', '-f', 'raw', '-c', 'write -P 5 0 2m', '-c', 'read -P 5 0 2m', '-c', 'flush', s.uri())
    check(image.read_bytes() == before, '-s wrote to the image')
    left = [f for f in os.listdir('/var/tmp') if f.startswith('rhea.')]
    check(not left, f'temporary files are left: {left}')


@test
def tls(d, data):
    """Certificates and shared keys; without them nothing is told; who is not in the list stays out."""
    pki = d / 'pki'
    make_pki(pki)
    x509 = f'tls-creds-x509,id=t,endpoint=server,dir={pki},verify-peer=on'
    with Server(d, '-e', 0, '--object', x509, '--tls-creds', 't', '-f', 'raw', d / 'disk.raw') as s:
        uri = s.uri(scheme='nbds') + f'&tls-certificates={pki}&tls-verify-peer=false'
        check(info(uri).get('TLS'), 'no TLS')
        run('nbdcopy', uri, d / 'tls.out')
        check((d / 'tls.out').read_bytes() == data, 'TLS: other data')
        nbdsh(uri, '''
            CONNECT
            b = os.urandom(3 << 20); h.pwrite(b, 1 << 20); assert h.pread(3 << 20, 1 << 20) == b
            for i in range(64): h.aio_pread(nbd.Buffer(100000), i * 4096, lambda e: 1)
            while h.aio_in_flight(): h.poll(-1)
            ''')
        refused = run('nbdinfo', s.uri(), ok=False)
        check(refused.returncode and 'export-size' not in refused.stdout, 'a client without TLS was served')
        check(run('nbdinfo', '--list', s.uri(), ok=False).returncode, 'a client without TLS got the list')
        client = f'tls-creds-x509,id=t,endpoint=client,dir={pki},verify-peer=on'
        for program in (RHEA, 'qemu-nbd'):
            out = run(program, '-L', '--object', client, '--tls-creds', 't', '--tls-hostname', 'localhost', '-k', s.path)
            check('exports available: 1' in out.stdout, f'{program} -L with TLS: {out.stderr}')
        plain = run(RHEA, '-L', '-k', s.path, ok=False)
        check(plain.returncode == 1 and 'TLS' in plain.stderr, f'-L without TLS: {plain.stderr}')
        run('qemu-img', 'info', '--object', client, '--image-opts',
            f'driver=raw,file.driver=nbd,file.path={s.path},file.tls-creds=t,file.tls-hostname=localhost')
        no_cert = run('nbdinfo', s.uri(scheme='nbds') + '&tls-verify-peer=false', ok=False)
        check(no_cert.returncode, 'a client without a certificate was served')
        check(s.alive() is False and info(uri), 'the server has gone')
    keys = d / 'psk'
    keys.mkdir()
    (keys / 'keys.psk').write_text('alice:0123456789abcdef0123456789abcdef\n')
    with Server(d, '--object', f'tls-creds-psk,id=p,endpoint=server,dir={keys}', '--tls-creds', 'p', '-f', 'raw',
                d / 'disk.raw') as s:
        run('nbdcopy', f'nbds+unix://alice@/?socket={s.path}&tls-psk-file={keys}/keys.psk', d / 'psk.out')
        check((d / 'psk.out').exists(), 'PSK: no copy')
        (d / 'bad.psk').write_text('alice:ffffffffffffffffffffffffffffffff\n')
        wrong = run('nbdinfo', f'nbds+unix://alice@/?socket={s.path}&tls-psk-file={d}/bad.psk', ok=False)
        check(wrong.returncode, 'a wrong key was taken')
    rules = d / 'rules.json'
    for policy, status in (('allow', 0), ('deny', 1)):
        rules.write_text(json.dumps({'policy': 'deny', 'rules': [
            {'match': '*CN=client*', 'policy': policy, 'format': 'glob'}]}))
        with Server(d, '--object', x509, '--object', f'authz-list-file,id=a,filename={rules}', '--tls-creds', 't',
                    '--tls-authz', 'a', '-f', 'raw', d / 'disk.raw') as s:
            uri = s.uri(scheme='nbds') + f'&tls-certificates={pki}&tls-verify-peer=false'
            p = run('nbdinfo', uri, ok=False)
            check(bool(p.returncode) == bool(status), f'--tls-authz {policy}: {p.returncode} {p.stderr}')


def make_pki(pki):
    pki.mkdir()

    def certtool(*args):
        run('certtool', '--ecdsa', '--curve=secp256r1', *args)

    def template(name, text):
        (pki / name).write_text(text)
        return pki / name
    ca = template('ca.info', 'cn = test\nca\ncert_signing_key\n')
    certtool('--generate-privkey', '--outfile', pki / 'ca-key.pem')
    certtool('--generate-self-signed', '--load-privkey', pki / 'ca-key.pem', '--template', ca, '--outfile', pki / 'ca-cert.pem')
    for who, text in (('server', 'cn = localhost\ndns_name = localhost\nip_address = 127.0.0.1\ntls_www_server\nsigning_key\n'),
                      ('client', 'cn = client\ntls_www_client\nsigning_key\n')):
        certtool('--generate-privkey', '--outfile', pki / f'{who}-key.pem')
        certtool('--generate-certificate', '--load-ca-certificate', pki / 'ca-cert.pem', '--load-ca-privkey',
                 pki / 'ca-key.pem', '--load-privkey', pki / f'{who}-key.pem', '--template',
                 template(f'{who}.info', text), '--outfile', pki / f'{who}-cert.pem')


# --- clients that misbehave ---

HELLO = struct.pack('>I', 3)
OPT = b'IHAVEOPT'


def connect(s):
    c = socket.socket(socket.AF_UNIX)
    c.connect(s.path)
    c.settimeout(10)
    return c


def option(number, data=b'', length=None):
    return OPT + struct.pack('>II', number, len(data) if length is None else length) + data


def go(name=b'', infos=()):
    return option(7, struct.pack('>I', len(name)) + name + struct.pack('>H', len(infos)) + b''.join(struct.pack('>H', i) for i in infos))


def request(command, offset=0, length=0, flags=0, payload=b'', handle=1, magic=0x25609513):
    return struct.pack('>IHHQQI', magic, flags, command, handle, offset, length) + payload


def drain(c, limit=1 << 26):
    """Reads until the server closes or is silent; returns the number of bytes."""
    n = 0
    c.settimeout(1)
    with contextlib.suppress(OSError):
        while n < limit:
            got = c.recv(1 << 16)
            if not got:
                break
            n += len(got)
    return n


def into_requests(c):
    c.recv(18)
    c.sendall(HELLO + go())
    time.sleep(0.05)
    return c.recv(4096)


NAME4G = struct.pack('>I', 0xffffffff)
RAW = {  # sent after the connection is there, before reading anything
    'nothing': b'',
    'half of the flags': b'\0\0',
    'unknown flags': b'\xff\xff\xff\xff',
    'no option magic': HELLO + b'x' * 64,
    'half an option': HELLO + OPT + b'\0\0',
    'giant option': HELLO + option(7, b'', 0xffffffff) + b'z' * 100000,
    'long option': HELLO + option(6, b'x' * 200000) + option(3),
    'unknown option': HELLO + option(77, b'abc') + option(3),
    'go without data': HELLO + option(7),
    'go, name beyond': HELLO + option(7, NAME4G + b'ab') + option(3),
    'go, infos beyond': HELLO + option(7, struct.pack('>IH', 0, 60000)) + option(3),
    'export name, unknown': HELLO + option(1, b'nope'),
    'export name, zero byte': HELLO + option(1, b'a\0b'),
    'export name, long': HELLO + option(1, b'n' * 70000),
    'meta without structured': HELLO + option(10, struct.pack('>II', 0, 0)) + option(3),
    'meta, many queries': HELLO + option(8) + option(10, struct.pack('>II', 0, 0xffffffff)) + option(3),
    'meta, query beyond': HELLO + option(8) + option(9, struct.pack('>II', 0, 1) + NAME4G) + option(3),
    'starttls': HELLO + option(5) + option(5, b'x') + option(3),
    'structured twice': HELLO + option(8) * 2 + option(3),
    'list with data': HELLO + option(3, b'x') + option(3),
    'endless options': HELLO + option(3) * 3000,
    'abort': HELLO + option(2),
    'http': b'GET / HTTP/1.0\r\n\r\n',
}
REQUESTS = {  # sent after GO
    'bad magic': request(0, magic=0x11111111),
    'half a request': request(0)[:11],
    'unknown command': request(99, 0, 512),
    'unknown flags': request(0, 0, 512, 0xffff),
    'giant read': request(0, 0, 0xffffffff),
    'read beyond': request(0, (1 << 64) - 1, 512),
    'giant write': request(1, 0, 0xffffffff, payload=b'w' * 4 * MIB),
    'write larger than allowed': request(1, 0, 33 * MIB, payload=b'w' * 33 * MIB) + request(0, 0, 512),
    'half a write': request(1, 0, MIB, payload=b'w' * 1000),
    'write beyond, then read': request(1, 1 << 40, 4096, payload=b'w' * 4096) + request(0, 0, 512),
    'block status without contexts': request(7, 0, 512),
    'resize': request(8, 1 << 30, 0),
    'nothing at all': request(0, 0, 0) + request(1, 0, 0) + request(6, 0, 0) + request(4, 0, 0),
    'df without structured': request(0, 0, 512, 4),
    'large zero and trim': request(6, 0, 0xffffffff) + request(4, 0, 0xffffffff),
    'disc and more': request(2) + request(0, 0, 512),
    'noise': random.Random(5).randbytes(100000),
}


@test
def hostile(d, data):
    shutil.copy(d / 'disk.raw', d / 'hostile.raw')
    with Server(d, '-e', 0, '--handshake-limit=2', '-f', 'raw', d / 'hostile.raw') as s:
        waiting = []
        for name, sent in RAW.items():
            c = connect(s)
            with contextlib.suppress(OSError):
                c.sendall(sent)
            waiting.append(c)
        for name, sent in REQUESTS.items():
            c = connect(s)
            into_requests(c)
            with contextlib.suppress(OSError):
                c.sendall(sent)
            waiting.append(c)
            check(s.alive(), f'after "{name}": the server has gone')
        # write larger than allowed, answered and in step: EINVAL, then the read
        c = connect(s)
        into_requests(c)
        c.sendall(REQUESTS['write larger than allowed'])
        answer = c.recv(16, socket.MSG_WAITALL) + c.recv(16 + 512, socket.MSG_WAITALL)
        check(answer[4:8] == struct.pack('>I', 22) and answer[20:24] == bytes(4), f'a write too large: {answer[:32]}')
        c.close()
        # asks for a lot and reads none of it
        greedy = connect(s)
        into_requests(greedy)
        greedy.settimeout(1)
        with contextlib.suppress(OSError):
            for i in range(2000):
                greedy.sendall(request(0, 0, 4 * MIB, handle=i))
        started = time.monotonic()
        run('nbdcopy', s.uri(), d / 'hostile.out')
        check(time.monotonic() - started < 10, 'one slow client makes others slow')
        check(s.peak_mib() < 400, f'clients made the server use {s.peak_mib():.0f} MiB')
        time.sleep(2.2)
        quiet = connect(s)  # its handshake is over its time soon
        started = time.monotonic()
        quiet.settimeout(5)
        check(len(quiet.recv(100)) == 18 and quiet.recv(100) == b'' and time.monotonic() - started < 5, 'a silent client is kept')
        for c in waiting + [greedy, quiet]:
            c.close()
        check(s.alive(), 'the server has gone')
        for _ in range(200):  # comes and goes at once
            c = connect(s)
            c.close()
        check(s.alive(), 'the server has gone')
        threads = len(os.listdir(f'/proc/{s.p.pid}/task'))
        for _ in range(50):
            if threads < 12:
                break
            time.sleep(0.1)
            threads = len(os.listdir(f'/proc/{s.p.pid}/task'))
        check(threads < 12, f'{threads} threads are left')


@test
def many(d, data):
    """Twenty clients at once, each with its own piece; and a limit that makes others wait."""
    shutil.copy(d / 'disk.qcow2', d / 'many.qcow2')
    with Server(d, '-e', 0, '-f', 'qcow2', d / 'many.qcow2') as s:
        script = '''
            import random
            CONNECT
            me = %d; base = me * 400000; random.seed(me)
            for i in range(20):
                off = base + random.randrange(300000); b = bytes([me + 1]) * random.randrange(1, 100000)
                h.pwrite(b, off); h.flush(); assert h.pread(len(b), off) == b
            '''
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda i: nbdsh(s.uri(), script % i), range(20)))
    run('qemu-img', 'check', d / 'many.qcow2')
    with Server(d, '-e', 2, '-f', 'raw', d / 'disk.raw') as s:
        a, b, c = connect(s), connect(s), connect(s)
        check(a.recv(18)[:8] == b'NBDMAGIC' and b.recv(18)[:8] == b'NBDMAGIC', 'no greeting')
        c.settimeout(0.3)
        try:
            c.recv(18)
            check(False, 'a third client came in with -e 2')
        except TimeoutError:
            a.close()
            c.settimeout(5)
            check(c.recv(18)[:8] == b'NBDMAGIC', 'the third client does not come in after the first left')
        b.close()
        c.close()
    with Server(d, '-f', 'raw', d / 'disk.raw', persistent=False) as s:
        connect(s).close()  # has not even shaken hands: no reason to end
        run('nbdinfo', '--size', s.uri())
        check(s.p.wait(5) == 0, 'does not end after the last client')


@test
def bitmaps_recorded(d, data):
    """What a client writes is marked in the image's bitmaps, and stays marked after the server."""
    image = d / 'marked.qcow2'
    run('qemu-img', 'create', '-q', '-f', 'qcow2', image, '8M')
    run('qemu-img', 'bitmap', '--add', image, 'm')
    with Server(d, '-f', 'qcow2', image) as s:
        run('qemu-io', '-f', 'raw', '-c', 'write 1m 64k', '-c', 'write -z 3m 100', s.uri())
    with Server(d, '-r', '-B', 'm', '-f', 'qcow2', image, program='qemu-nbd') as s:
        theirs = nbd_map(s.uri(), 'qemu:dirty-bitmap:m')
    with Server(d, '-r', '-B', 'm', '-f', 'qcow2', image) as s:
        ours = nbd_map(s.uri(), 'qemu:dirty-bitmap:m')
    dirty = [l.split()[:2] for l in theirs.splitlines() if 'dirty' in l]
    check(ours == theirs, f'{ours}is not\n{theirs}')
    check(dirty == [['1048576', '65536'], ['3145728', '65536']], f'marked: {dirty}')
    run('qemu-img', 'check', image)


@test
def other_clients(d, data):
    """nbdkit's nbd plugin in between, qemu-nbd as a server of our export, -L of other servers."""
    with Server(d, '-e', 0, '-f', 'raw', d / 'disk.raw') as s:
        inner = str(d / 'kit.sock')
        run('nbdkit', '-U', inner, 'nbd', f'socket={s.path}', '--run',
            f'qemu-img compare -f raw -F raw "$uri" {d}/disk.raw')
        with Server(d, '-r', '-f', 'raw', s.uri(), program='qemu-nbd') as outer:
            run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', outer.uri(), d / 'disk.raw')
        with Server(d, '-r', '-f', 'raw', s.uri()) as outer:  # ours over ours
            run('qemu-img', 'compare', '-f', 'raw', '-F', 'raw', outer.uri(), d / 'disk.raw')
    for options in (['-o'], ['-r', '--mask-handshake=1'], ['--no-sr'], []):
        seen = [run('nbdkit', '-U', '-', *options, 'memory', '1M', '--run', f'{p} -L -k $unixsocket', ok=False)
                for p in (RHEA, 'qemu-nbd')]
        check(seen[0].stdout == seen[1].stdout, f'-L of nbdkit {options}: {seen[0].stdout}{seen[0].stderr}\nis not\n{seen[1].stdout}')
        check(seen[0].returncode == seen[1].returncode, f'-L of nbdkit {options}: status {seen[0].returncode}')


@test
def command_line(d, data):
    """Refusals have QEMU's status, and say what is wrong; --fork, --pid-file, socket activation."""
    raw, sock = str(d / 'disk.raw'), str(d / 'cl.sock')
    for args, word in ((['nofile'], 'nofile'), ([], 'arguments'), (['-x'], 'requires an argument'),
                       (['-p', 'bad', raw], 'bad'), (['-e', '-1', raw], "shared device number '-1'"),
                       (['-o', 'x', raw], "offset 'x'"), (['-o', '20m', '-f', 'raw', '-k', sock, raw], 'ffset'),
                       (['-f', 'bad', raw], 'bad'), (['--cache=bad', raw], 'cache mode'), (['--aio=bad', raw], 'aio mode'),
                       (['--discard=bad', raw], 'discard mode'), (['--detect-zeroes=bad', '-k', sock, raw], 'detect-zeroes'),
                       (['--detect-zeroes=unmap', raw], 'detect-zeroes'), (['-k', 'rel.sock', raw], 'absolute'),
                       (['-k', '/nonexist/a', '-f', 'raw', raw], '/nonexist/a'), (['-L', raw], 'file name'),
                       (['-L', '-k', '/nonexist/b'], '/nonexist/b'), (['-d'], 'requires an argument'),
                       (['-d', '/dev/nbd77'], '/dev/nbd77'), (['-c', '/dev/nbd77', '-f', 'raw', raw], '/dev/nbd77'),
                       (['-B', 'nope', '-k', sock, str(d / 'top.qcow2')], "Bitmap 'nope' is not found"),
                       (['-l', 'nosnap', '-k', sock, str(d / 'disk.qcow2')], "find snapshot"),
                       (['--tls-creds=x', '-k', sock, raw], "'x'"), (['-n', '--cache=none', raw], 'once'),
                       (['--aio=native', '-f', 'raw', '-k', sock, raw], 'cache.direct=on'), (['--image-opts', '-f', 'raw', raw], 'mutually'),
                       (['-k', sock, raw, raw], 'arguments'), (['-D', 'd', '-L'], 'List mode'), (['-x', 'a' * 5000, raw], 'too long'),
                       (['--tls-authz=x', '-k', sock, raw], '--tls-authz'), (['-P', '1', raw], 'invalid option'),
                       (['-b', 'no.such.host.invalid', '-f', 'raw', raw], 'no.such.host'), (['--object', 'bad,id=a', '-k', sock, raw], 'bad'),
                       (['--selinux-label=foo', '-k', sock, '-f', 'raw', raw], 'SELinux'),
                       (['--pid-file=/nonexist/pid', '--fork', '-f', 'raw', '-k', sock, raw], '/nonexist/pid')):
        p = run(RHEA, *args, ok=False, timeout=10)
        check(p.returncode == 1 and word in p.stderr, f'{args}: status {p.returncode}: {p.stderr}')
    check('rhea-nbd' in run(RHEA, '--version').stdout and '--persistent' in run(RHEA, '--help').stdout, 'help')
    pid_file = d / 'pid'
    run(RHEA, '--fork', '--pid-file', pid_file, '-t', '-k', sock, '-f', 'raw', raw)
    pid = int(pid_file.read_text())
    check(run('nbdinfo', '--size', f'nbd+unix:///?socket={sock}').stdout.strip() == str(8 * MIB), 'forked: no size')
    second = run(RHEA, '-t', '-k', sock, '-f', 'raw', raw, ok=False)
    check(second.returncode == 1, 'a second server took the socket')
    with Server(d, '-f', 'qcow2', d / 'disk.qcow2'):
        for program in (RHEA, 'qemu-nbd'):
            held = run(program, '-t', '-k', sock + '2', '-f', 'qcow2', d / 'disk.qcow2', ok=False, timeout=10)
            check(held.returncode == 1 and 'lock' in held.stderr, f'an image in use was served: {held.stderr}')
    os.kill(pid, signal.SIGTERM)
    for _ in range(100):
        if not os.path.exists(f'/proc/{pid}') and not os.path.exists(sock):
            break
        time.sleep(0.05)
    check(not os.path.exists(sock) and not pid_file.exists(), 'the forked server left its files')
    activation(d)


def activation(d):
    path = str(d / 'act.sock')
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen(5)

        def launch(*args):
            fd = s.fileno()
            code = ('import os, sys; os.dup2(%d, 3); os.set_inheritable(3, True); '
                    'os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid())); os.execv(sys.argv[1], sys.argv[1:])' % fd)
            return subprocess.Popen([sys.executable, '-c', code, RHEA, '-f', 'raw', *args, str(d / 'disk.raw')],
                                    pass_fds=[fd], stderr=subprocess.PIPE, text=True)
        p = launch('-p', '10999')
        check(p.wait(10) == 1 and 'socket activation' in p.stderr.read(), 'a port together with socket activation')
        p = launch()
        check(run('nbdinfo', '--size', f'nbd+unix:///?socket={path}').stdout.strip() == str(8 * MIB), 'activation: no size')
        check(p.wait(10) == 0, 'activation: does not end')
        check(os.path.exists(path), 'a socket that is not ours was removed')


def main():
    missing = [p for p in ('nbdinfo', 'nbdcopy', 'qemu-nbd', 'qemu-img', 'nbdkit', 'certtool') if not shutil.which(p)]
    if missing:
        print('skipped:', ', '.join(missing), 'not installed')
        return 0
    with tempfile.TemporaryDirectory(prefix='rhea-nbd-') as top:
        d = pathlib.Path(top)
        data = make_images(d)

        def one(f):
            started = time.monotonic()
            mine = d / f.__name__  # images of its own: servers lock theirs
            mine.mkdir()
            for image in d.glob('*.*'):
                shutil.copy(image, mine)
            try:
                f(mine, data)
            except Exception as e:  # a test that breaks off is a complaint like others
                check(False, f'{f.__name__}: {type(e).__name__}: {e} at line {e.__traceback__.tb_next.tb_lineno}')
            if verbose:
                print(f'{f.__name__}: {time.monotonic() - started:.1f} s', flush=True)
        chosen = [f for f in tests if wanted in f.__name__]
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(one, chosen))
    print(f'{len(chosen)} tests, {len(complaints)} complaints')
    return bool(complaints)


sys.exit(main())
