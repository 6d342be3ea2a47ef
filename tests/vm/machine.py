# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine on a pseudo-terminal, for the tests in this folder. Not a test itself."""
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('RHEA_BUILD', ROOT / 'build'))
EMULATOR = os.environ.get('RHEA_EMULATOR', str(BUILD / 'rhea-system-x86_64'))
# A slow or busy host: RHEA_PATIENCE=3 triples every waiting time.
PATIENCE = float(os.environ.get('RHEA_PATIENCE', '1'))
PROMPT = r'rhea# '


class Failure(Exception):
    pass


def guest_file(what):
    """The path that tools/guest prints for "cloud", "amd64" or "initrd"."""
    p = subprocess.run([ROOT / 'tools/guest', what], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, check=False)
    if p.returncode:
        raise Failure(p.stderr.decode(errors='replace'))
    return p.stdout.decode().strip()


def clean(text):
    """Without carriage returns and terminal control sequences."""
    return re.sub(r'\x1b\[[0-9;?=]*[A-Za-z]|\x1b[=>c78]|\r', '', text)


class Machine:
    """with Machine(argv) as m: m.expect('login:'); m.send('root\\n'); status = m.wait()"""

    def __init__(self, argv):
        self.raw, self.seen, self.status = '', 0, None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(ROOT)
                os.environ['TERM'] = 'vt100'
                os.execv(argv[0], [str(a) for a in argv])
            except OSError as e:
                os.write(2, f'{argv[0]}: {e.strerror}\n'.encode())
                os._exit(127)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def read(self, seconds):
        """Takes in what the machine writes within that time; False at its end."""
        if select.select([self.fd], [], [], max(0, seconds))[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return False
            self.raw += data.decode(errors='replace')
            return bool(data)
        return True

    def text(self):
        return clean(self.raw)

    def expect(self, pattern, seconds=60):
        """Waits for the pattern behind what earlier calls matched; returns the match."""
        end = time.monotonic() + seconds * PATIENCE
        alive = True
        while True:
            m = re.compile(pattern, re.M).search(self.text(), self.seen)
            if m:
                self.seen = m.end()
                return m
            if not alive:
                raise Failure(f'the program ended before it wrote /{pattern}/')
            if time.monotonic() > end:
                raise Failure(f'no /{pattern}/ within {seconds * PATIENCE:.0f} s')
            alive = self.read(0.5)

    def send(self, text):
        os.write(self.fd, text.encode())

    def command(self, line, seconds=30):
        """Types a line at the shell's prompt and returns what it prints."""
        self.send(line + '\n')
        self.expect(re.escape(line) + r'\n', seconds)
        start = self.seen
        m = self.expect(PROMPT, seconds)
        return self.text()[start:m.start()].strip('\n')

    def wait(self, seconds=30):
        """The exit status, or minus the signal."""
        end = time.monotonic() + seconds * PATIENCE
        while self.read(0.2):
            if time.monotonic() > end:
                raise Failure(f'the program still runs after {seconds * PATIENCE:.0f} s')
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                return self.status
            if time.monotonic() > end:
                raise Failure(f'the program still runs after {seconds * PATIENCE:.0f} s')
            time.sleep(0.05)


def boot_argv(kernel, *more):
    return [EMULATOR, '-m', '512', '-nographic', '-no-reboot', '-nic', 'none', '-kernel', kernel,
            '-initrd', guest_file('initrd'), '-append', 'console=ttyS0 panic=-1', *more]


def check(what, got, want):
    if got != want:
        raise Failure(f'{what}: got {got!r}, not {want!r}')


def main(test):
    """Runs test(show), where show(machine) names the machine whose output a failure prints."""
    machines = []

    def show(m):
        machines.append(m)
        return m
    try:
        test(show)
    except (Failure, OSError) as e:
        for m in machines[-1:]:
            print('\n'.join(m.text().splitlines()[-25:]))
        print(f'{pathlib.Path(sys.argv[0]).name}: {e}')
        sys.exit(1)
