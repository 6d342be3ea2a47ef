#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 60
"""Images from a web server: one with ranges, and several that behave worse; also over TLS."""
import base64
import http.server
import os
import pathlib
import random
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time

build = pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve()
random.seed(4)
DATA = random.randbytes(3 * 1024 * 1024 + 1234)
bad = 0
requests = []


def check(ok, what):
    global bad
    if not ok:
        print('wrong:', what)
        bad = 1


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def refuse(self, code, *headers):
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def wanted(self):
        m = re.fullmatch(r'bytes=(\d+)-(\d+)', self.headers.get('Range', ''))
        return (int(m[1]), min(int(m[2]), len(DATA) - 1)) if m else None

    def allowed(self):
        kind = self.path.split('/')[1]
        if kind == 'missing':
            self.refuse(404)
        elif kind == 'moved':
            self.refuse(302, ('Location', '/good/disk.img'))
        elif kind == 'auth' and self.headers.get('Authorization') != \
                'Basic ' + base64.b64encode(b'me:pass word').decode():
            self.refuse(401, ('WWW-Authenticate', 'Basic realm="x"'))
        elif kind == 'cookie' and self.headers.get('Cookie') != 'key=value':
            self.refuse(403)
        else:
            return True
        return False

    def do_HEAD(self):
        kind = self.path.split('/')[1]
        if not self.allowed():
            return
        if kind == 'nohead':
            self.refuse(405)
            return
        self.send_response(200)
        self.send_header('Content-Length', str(len(DATA)))
        if kind not in ('noranges', 'shy'):
            self.send_header('Accept-Ranges', 'bytes')
        self.end_headers()

    def do_GET(self):
        kind = self.path.split('/')[1]
        requests.append((kind, self.wanted()))
        if not self.allowed():
            return
        first, last = self.wanted() or (0, len(DATA) - 1)
        if kind in ('noranges', 'liar'):
            first, last = 0, len(DATA) - 1
        self.send_response(200 if kind in ('noranges', 'liar') else 206)
        self.send_header('Content-Length', str(last - first + 1))
        if kind not in ('noranges', 'liar'):
            self.send_header('Content-Range', f'bytes {first}-{last}/{len(DATA)}')
        self.end_headers()
        try:
            if kind == 'cut':
                self.wfile.write(DATA[first:last])
                self.close_connection = True
            elif kind == 'stuck':
                self.wfile.write(DATA[first:first + 10])
                self.wfile.flush()
                time.sleep(4)
                self.close_connection = True
            else:
                self.wfile.write(DATA[first:last + 1])
        except OSError:
            pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Clients that leave in the middle are expected."""


def serve(tls=None):
    server = Server(('127.0.0.1', 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / 'cert.pem', tls / 'key.pem')
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def rhea(program, *argv):
    return subprocess.run([build / program, *argv], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=30, check=False, text=True)


def convert(url, out, *more):
    p = rhea('rhea-img', 'convert', '-O', 'raw', *more, url, out)
    return p.returncode == 0 and out.read_bytes()[:len(DATA)] == DATA, p.stdout


def options(url, **more):
    return ','.join([f'driver={url.split(":")[0]}', f'url={url}', 'read-only=on'] +
                    [f'{k.replace("_", "-")}={v}' for k, v in more.items()])


def reads(url, *args, objects=(), **more):
    argv = [x for o in objects for x in ('--object', o)]
    return rhea('rhea-io', *argv, '-r', '--image-opts', options(url, **more),
                *[x for a in args for x in ('-c', a)])


def plain(port, work):
    base = f'http://127.0.0.1:{port}'
    for kind in ('good', 'moved', 'shy', 'nohead'):
        ok, said = convert(f'{base}/{kind}/disk.img', work / 'out.img')
        check(ok, f'{kind}: {said}')
    size = (len(DATA) + 511) // 512 * 512
    p = rhea('rhea-img', 'info', f'{base}/good/disk.img')
    check(f'({size} bytes)' in p.stdout and f'image: {base}/good/disk.img' in p.stdout, p.stdout)
    (work / 'raw').write_bytes(DATA)
    p = rhea('rhea-img', 'compare', f'{base}/good/disk.img', work / 'raw')
    check(p.returncode == 0, p.stdout)
    # a backing file on a web server
    p = rhea('rhea-img', 'create', '-f', 'qcow2', '-b', f'{base}/good/disk.img', '-F', 'raw',
             work / 'over.qcow2')
    check(p.returncode == 0, p.stdout)
    p = rhea('rhea-img', 'compare', work / 'over.qcow2', work / 'raw')
    check(p.returncode == 0, p.stdout)

    before = len(requests)
    reads(f'{base}/good/x', *[f'read {i * 512} 512' for i in range(100)], readahead='64k')
    check(len(requests) - before == 1, f'{len(requests) - before} requests for 50 KiB in a row')

    for kind, why in (('noranges', "Server does not support 'range'"), ('missing', '404'),
                      ('auth', '401'), ('cookie', '403')):
        p = rhea('rhea-img', 'info', f'{base}/{kind}/disk.img')
        check(p.returncode == 1 and why in p.stdout, f'{kind}: {p.stdout}')
    for kind in ('liar', 'cut'):
        p = reads(f'{base}/{kind}/x', 'read 0 4k')
        check('read failed: Input/output error' in p.stdout, f'{kind}: {p.stdout}')
    start = time.monotonic()
    p = reads(f'{base}/stuck/x', 'read 0 4k', timeout=1)
    check('read failed' in p.stdout and time.monotonic() - start < 4, f'stuck: {p.stdout}')
    p = rhea('rhea-io', f'{base}/good/x', '-c', 'write 0 512')
    check(p.returncode == 1 and 'does not support writes' in p.stdout, p.stdout)
    p = rhea('rhea-img', 'info', 'http://127.0.0.1:1/x')
    check(p.returncode == 1 and 'CURL: Error opening file' in p.stdout, p.stdout)


def secrets(port, work):
    base = f'http://127.0.0.1:{port}'
    (work / 'pw').write_text('pass word')
    p = reads(f'{base}/auth/x', 'read 0 4k', objects=[f'secret,id=s,file={work}/pw'], username='me',
              password_secret='s')
    check(p.returncode == 0 and 'read 4096/4096' in p.stdout, p.stdout)
    p = reads(f'{base}/cookie/x', 'read 0 4k', cookie='key=value')
    check(p.returncode == 0 and 'read 4096/4096' in p.stdout, p.stdout)
    p = reads(f'{base}/cookie/x', 'read 0 4k', objects=['secret,id=c,data=key=value'],
              cookie_secret='c')
    check(p.returncode == 0 and 'read 4096/4096' in p.stdout, p.stdout)
    p = reads(f'{base}/cookie/x', 'read 0 4k', objects=['secret,id=c,data=key=value'],
              cookie='key=value', cookie_secret='c')
    check(p.returncode == 1 and 'both cookie and cookie secret' in p.stdout, p.stdout)
    p = reads(f'{base}/good/x', 'read 0 4k', readahead='1000')
    check(p.returncode == 1 and 'not a multiple of 512' in p.stdout, p.stdout)


def over_tls(work):
    p = subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
                        '-subj', '/CN=localhost', '-keyout', work / 'key.pem', '-out',
                        work / 'cert.pem'], capture_output=True, check=False)
    if p.returncode:
        print('https is not tested: openssl does not make a certificate')
        return
    url = f'https://localhost:{serve(work)}/good/x'
    p = reads(url, 'read 0 4k')
    check(p.returncode == 1 and 'certificate' in p.stdout, p.stdout)
    p = reads(url, 'read 0 4k', sslverify='off')
    check(p.returncode == 0 and 'read 4096/4096' in p.stdout, p.stdout)


def main():
    with tempfile.TemporaryDirectory(prefix='rhea-curl-') as name:
        work = pathlib.Path(name)
        port = serve()
        plain(port, work)
        secrets(port, work)
        over_tls(work)
    sys.exit(bad)


main()
