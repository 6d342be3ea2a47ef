# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of user mode share: building guest programs, running them, counting failures."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('RHEA_BUILD', ROOT / 'build'))
TUPLES = {'aarch64': 'aarch64-linux-gnu', 'riscv64': 'riscv64-linux-gnu', 'x86_64': 'x86_64-linux-gnu'}
GUESTS = ('aarch64', 'riscv64', 'x86_64')
failures = 0
work = pathlib.Path(tempfile.mkdtemp(prefix='rhea-user-'))
# what a test expects must not depend on who runs it
ENV = {'PATH': '/usr/bin:/bin:/usr/sbin', 'LANG': 'C'}


def program(guest):
    return BUILD / f'rhea-{guest}'


def compiler(guest):
    name = TUPLES[guest] + '-gcc'
    if not shutil.which(name):
        sys.exit(f"{name} is missing: 'tools/need check' installs it")
    return name


def build(guest, source, name, *options):
    """Compiles tests/user/SOURCE for a guest; the program's path."""
    out = work / f'{name}-{guest}'
    if not out.exists():
        subprocess.run([compiler(guest), '-O1', '-w', *options, '-o', out,
                        ROOT / 'tests/user' / source], check=True)
    return out


def run(*command, env=None, timeout=30, **more):
    """(status, stdout, stderr) as text; a signal is a negative status."""
    p = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       stdin=subprocess.DEVNULL, env={**ENV, **(env or {})}, timeout=timeout,
                       check=False, errors='replace', **more)
    return p.returncode, p.stdout, p.stderr


def check(good, what, *details):
    global failures
    if good:
        return
    failures += 1
    print(f'FAIL {what}')
    for d in details:
        print('    ' + str(d).rstrip().replace('\n', '\n    '))


def has(result, status, *parts, what=''):
    """The run ended so, and each part is a line of its output or, with 'err:', within its errors."""
    got, out, err = result
    lines = out.splitlines()
    for part in parts:
        if part.startswith('err:'):
            check(part[4:] in err, f'{what}: no "{part[4:]}"', err, out)
        else:
            check(part in lines, f'{what}: no line "{part}"', out, err)
    check(got == status, f'{what}: status {got}, not {status}', out, err)


def finish():
    shutil.rmtree(work, ignore_errors=True)
    print('failed' if failures else 'passed')
    sys.exit(failures != 0)
