# SPDX-License-Identifier: GPL-2.0-or-later
"""What the scripts that kill writers, cut the power and let calls fail have in common."""
import os
import pathlib
import subprocess

BUILD = pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve()
IMG, IO = str(BUILD / 'rhea-img'), str(BUILD / 'rhea-io')
WRITER, REPLAY = (str(BUILD / 'tests/disk' / n) for n in ('crashwriter', 'crashreplay'))
TRAP = str(BUILD / 'tests/disk/libiotrap.so')
# memory is fast; the rules of disks are in the log, not in the file system
SCRATCH = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None

FULL = 'threads=3,compressed=on,zeroes=on,snapshots=on'
PLAIN = 'threads=3,zeroes=on'
# name: format, creation options, plan of the writer
KINDS = {
    'qcow2': ('qcow2', '', FULL),
    'qcow2 lazy': ('qcow2', 'lazy_refcounts=on', FULL),
    'qcow2 v2': ('qcow2', 'compat=0.10', FULL),
    'qcow2 extended L2': ('qcow2', 'extended_l2=on', FULL),
    'qcow2 512': ('qcow2', 'cluster_size=512', FULL + ',cluster=65536'),
    'qcow2 4k refcount 8': ('qcow2', 'cluster_size=4k,refcount_bits=8', FULL + ',cluster=4096'),
    'qcow2 zstd': ('qcow2', 'compression_type=zstd', FULL),
    'qcow2 2M': ('qcow2', 'cluster_size=2M', 'threads=2,zeroes=on,snapshots=on,cluster=2097152'),
    'qcow2 metadata': ('qcow2', 'preallocation=metadata', FULL),
    'raw': ('raw', '', PLAIN),
    'vhdx': ('vhdx', 'block_size=1M', PLAIN),
    'qed': ('qed', 'cluster_size=4k,table_size=2', PLAIN),
    'vmdk': ('vmdk', '', PLAIN),
}
# run when named
MORE = {
    'vdi': ('vdi', '', PLAIN),
    'vpc': ('vpc', 'force_size=on', PLAIN),
    'parallels': ('parallels', 'cluster_size=64k', PLAIN),
    'vmdk stream': ('vmdk', 'subformat=streamOptimized', PLAIN),
}


def run(*argv, env=None, timeout=60):
    """Status (negative: a signal; 'hang') and output."""
    try:
        p = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                           check=False, env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired:
        return 'hang', ''
    return p.returncode, p.stdout.decode(errors='replace')


def must(*argv, env=None):
    status, out = run(*argv, env=env)
    if status != 0:
        raise RuntimeError(f'{argv}: {status}: {out}')
    return out


def create(path, fmt, options, size):
    must(IMG, 'create', '-q', '-f', fmt, *(['-o', options] if options else []), path, str(size))
