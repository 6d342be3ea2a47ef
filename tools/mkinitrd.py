#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Write an initial RAM disk (cpio, newc format) without root: device nodes are just headers.

mkinitrd.py --busybox FILE --init FILE [--add FILE:PATH]... OUT
Busybox's commands become symbolic links, so that the guest need not make them.
"""
import argparse
import os
import stat
import subprocess
import sys


class Cpio:
    def __init__(self, f):
        self.f, self.inode, self.seen = f, 0, set()

    def entry(self, path, mode, data=b'', rdev=(0, 0)):
        self.inode += 1
        name = path.encode() + b'\0'
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (self.inode, mode, 0, 0, links, 0, len(data), 0, 0, *rdev, len(name), 0)
        head = b'070701' + b''.join(b'%08x' % v for v in fields) + name
        self.f.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))

    def directory(self, path):
        if path and path not in self.seen:
            self.directory(os.path.dirname(path))
            self.seen.add(path)
            self.entry(path, stat.S_IFDIR | 0o755)

    def file(self, path, data, mode=0o755):
        self.directory(os.path.dirname(path))
        self.seen.add(path)
        self.entry(path, stat.S_IFREG | mode, data)

    def link(self, path, to):
        if path not in self.seen:
            self.directory(os.path.dirname(path))
            self.seen.add(path)
            self.entry(path, stat.S_IFLNK | 0o777, to.encode())

    def device(self, path, major, minor):
        self.directory(os.path.dirname(path))
        self.entry(path, stat.S_IFCHR | 0o600, rdev=(major, minor))

    def end(self):
        self.entry('TRAILER!!!', 0)


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument('--busybox', help='static busybox to put at /bin/busybox')
    ap.add_argument('--init', required=True, help='script or program that becomes /init')
    ap.add_argument('--add', action='append', default=[], metavar='FILE:PATH')
    ap.add_argument('out')
    a = ap.parse_args()
    with open(a.out, 'wb') as f:
        c = Cpio(f)
        for d in ('bin', 'sbin', 'dev', 'proc', 'sys', 'root', 'tmp', 'etc', 'usr/bin', 'usr/sbin'):
            c.directory(d)
        c.device('dev/console', 5, 1)
        c.device('dev/null', 1, 3)
        c.file('init', read(a.init))
        if a.busybox:
            c.file('bin/busybox', read(a.busybox))
            names = subprocess.run([a.busybox, '--list-full'], stdout=subprocess.PIPE, check=True)
            for name in names.stdout.decode().split():
                c.link(name, '/bin/busybox')
        for item in a.add:
            path, _, to = item.rpartition(':')
            if not path:
                sys.exit(f'--add {item}: write FILE:PATH')
            c.file(to.lstrip('/'), read(path))
        c.end()


main()
