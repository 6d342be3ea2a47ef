#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Build Rhea twice (plain, and with sanitizers) and run every test.

./check [-l] [-j N] [--no-build] [PATTERN]...   patterns choose tests by glob or part of the name

Kinds of tests, found by where they lie:
  style/NAME      tests/style/*.py          run on the source tree
  unit/NAME       tests/unit/test_*.c       built by meson, plain
  asan/NAME       the same under AddressSanitizer and UBSan
  meson/NAME      other tests that meson knows (insn, ir, host, dev, fuzz corpora)
  vm/NAME         tests/vm/*.py             boot the emulator
  script/DIR/NAME tests/{insn,disk,qmp,user,migrate}/*.sh and *.py
A test passes when it exits with 0 within its time (a line "# timeout: SECONDS" in a script).
"""
import argparse
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD, ASAN = ROOT / 'build', ROOT / 'build-asan'
OUTPUT_LINES = 40


def stacks_of(pid):
    """Where the threads of a process that hangs are: by gdb when it is here, else what /proc tells."""
    if shutil.which('gdb'):
        argv = ['gdb', '-p', str(pid), '-batch', '-ex', 'thread apply all backtrace 12']
        try:
            p = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, timeout=60, check=False)
            return b'\n'.join(l for l in p.stdout.splitlines() if l.startswith((b'#', b'Thread')))
        except subprocess.TimeoutExpired:
            return b''
    lines = []
    for task in sorted(pathlib.Path(f'/proc/{pid}/task').glob('*')):
        try:
            lines.append(f'{task.name} {(task / "comm").read_text().strip()}: '
                         f'{(task / "wchan").read_text()} {(task / "syscall").read_text().strip()}')
        except OSError:
            pass
    return '\n'.join(lines).encode()


class Test:
    def __init__(self, name, argv, timeout, env=None, alone=False):
        self.name, self.argv, self.timeout = name, [str(a) for a in argv], timeout
        self.env, self.alone = env or {}, alone

    def run(self):
        """Returns (passed, seconds, output)."""
        start = time.monotonic()
        env = {**os.environ, **self.env, 'RHEA_BUILD': str(BUILD)}
        p = subprocess.Popen(self.argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True)
        try:
            out = p.communicate(timeout=self.timeout)[0]
            why = '' if p.returncode == 0 else f'exit status {p.returncode}'
        except subprocess.TimeoutExpired:
            stacks = stacks_of(p.pid)
            os.killpg(p.pid, signal.SIGKILL)
            out = p.communicate()[0] + stacks
            why = f'still running after {self.timeout} s'
        text = out.decode(errors='replace')
        return not why, time.monotonic() - start, text + (f'[{why}]\n' if why else '')


def call(argv, log):
    """Runs a build step quietly; returns its output when it fails."""
    p = subprocess.run([str(a) for a in argv], cwd=ROOT, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    log.append(p.stdout.decode(errors='replace'))
    return p.returncode == 0


def build_plain(log):
    return ((BUILD / 'build.ninja').exists() or call(['./configure'], log)) and \
        call(['ninja', '-C', BUILD], log)


def build_asan(log):
    if not (ASAN / 'build.ninja').exists():
        if not call(['meson', 'setup', '-Db_sanitize=address,undefined', '-Doptimization=1',
                     '-Drhea_debug=true', ASAN, ROOT], log):
            return False
    return call(['ninja', '-C', ASAN], log)


def script_timeout(path, default):
    head = path.read_text(errors='replace')[:2000]
    m = re.search(r'^# timeout: (\d+)', head, re.M)
    return int(m[1]) if m else default


def meson_tests(build, label, env):
    """What meson knows: unit tests under LABEL/, the rest under LABEL-SUITE/."""
    p = subprocess.run(['meson', 'introspect', '--tests', build], stdout=subprocess.PIPE,
                       stderr=subprocess.DEVNULL, check=False)
    for t in json.loads(p.stdout) if p.returncode == 0 else []:  # not built yet: --list goes on
        suite = t['suite'][0].split(':')[-1] if t['suite'] else 'unit'
        name = label if suite == 'unit' else f'{label}-{suite}'
        scale = 4 if label == 'asan' else 1
        yield Test(f'{name}/{t["name"]}', t['cmd'], t['timeout'] * scale, {**env, **t['env']})


def scripts():
    for path in sorted((ROOT / 'tests/style').glob('*.py')):
        yield Test(f'style/{path.stem}', [path], 120)
    for folder in ('insn', 'disk', 'qmp', 'user', 'migrate'):
        for path in sorted((ROOT / 'tests' / folder).glob('*')):
            if path.suffix in ('.sh', '.py') and os.access(path, os.X_OK):
                yield Test(f'script/{folder}/{path.stem}', [path], script_timeout(path, 120))
    for path in sorted((ROOT / 'tests/vm').glob('*.py')):
        if os.access(path, os.X_OK):
            yield Test(f'vm/{path.stem}', [path], script_timeout(path, 300))


ASAN_ENV = {
    'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=0:allocator_may_return_null=1',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1',
}


def chosen(name, patterns):
    return not patterns or any(p in name or fnmatch.fnmatch(name, p) for p in patterns)


def collect(a):
    """Builds what is asked for; returns tests and the build steps that failed."""
    broken, tests = [], list(scripts())
    wanted = a.patterns
    for label, make, build, env in (('unit', build_plain, BUILD, {}),
                                    ('asan', build_asan, ASAN, ASAN_ENV)):
        if label == 'asan' and wanted and not any(p.startswith('asan') for p in wanted):
            continue
        log = []
        if not a.no_build:
            print(f'building ({label if label == "asan" else "plain"}) ...', flush=True)
            if not make(log):
                broken.append((f'build/{label}', '\n'.join(log)))
                continue
        tests += meson_tests(build, label, env)
    return [t for t in tests if chosen(t.name, wanted)], broken


def report(name, output):
    lines = output.rstrip().splitlines()
    print(f'FAIL {name}')
    if len(lines) > OUTPUT_LINES:
        print(f'    ... {len(lines) - OUTPUT_LINES} lines cut')
    for line in lines[-OUTPUT_LINES:]:
        print('    ' + line)
    sys.stdout.flush()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument('patterns', nargs='*', metavar='PATTERN')
    ap.add_argument('-j', type=int, default=min(4, os.cpu_count() or 2), help='tests at a time')
    ap.add_argument('-l', '--list', action='store_true', help='only list the tests')
    ap.add_argument('-v', action='store_true', help='name tests that pass, with their time')
    ap.add_argument('--no-build', action='store_true')
    a = ap.parse_args()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # started by a script's &: tests send it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    a.no_build = a.no_build or a.list
    tests, broken = collect(a)
    if a.list:
        print('\n'.join(t.name for t in tests))
        return 0
    passed, failed = 0, len(broken)
    for name, output in broken:
        report(name, output)
    if not any(b[0] == 'build/unit' for b in broken):
        needs_guest = any(t.name.startswith('vm/') for t in tests)
        for what in ('cloud', 'amd64', 'initrd') if needs_guest else ():
            call(['tools/guest', what], [])  # fetched once, before several tests want it
    with concurrent.futures.ThreadPoolExecutor(max(1, a.j)) as pool:
        jobs = {pool.submit(t.run): t for t in tests}
        for job in concurrent.futures.as_completed(jobs):
            name = jobs[job].name
            ok, seconds, output = job.result()
            if ok:
                passed += 1
                if a.v:
                    print(f'ok   {name} ({seconds:.1f} s)', flush=True)
            else:
                failed += 1
                report(name, output)
    print(f'{passed} passed, {failed} failed')
    return failed != 0 or passed == 0


sys.exit(main())
