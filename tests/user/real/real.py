#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Real programs from Debian's packages for other processors, in a chroot, under rhea-user.

The chroot is made by debootstrap; its second stage (dpkg configuring a whole Debian) and all that is
installed afterwards (apt, dpkg) run under Rhea, without binfmt_misc: Rhea starts the programs that
programs start. What the network brought is kept in build/guest. Needs root (chroot, mount); without
it the script says so and ends with status 0, as nothing could be tested.

  real.py [--guest ARCH]... [--runs N] [--minbase-only] [--keep] [TEST]...
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CACHE = pathlib.Path(os.environ.get('RHEA_CACHE', ROOT / 'build/guest'))
BUILD = pathlib.Path(os.environ.get('RHEA_BUILD', ROOT / 'build'))
MIRROR = os.environ.get('RHEA_MIRROR', 'http://deb.debian.org/debian')
GUESTS = {'aarch64': ('arm64', 'bookworm'), 'riscv64': ('riscv64', 'trixie')}
NAMES = {'arm64': {'java': 'openjdk-17-jdk-headless', 'python': '11'},
         'riscv64': {'java': 'openjdk-21-jdk-headless', 'python': '13'}}
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

# name, packages ({java}, {python} by architecture), shell script, what its output must match, seconds
TESTS = [
    ('bash', '', r'''bash -c 'a=(); for i in {1..2000}; do a+=($((i*i))); done; s=0;
        for v in "${a[@]}"; do ((s+=v)); done; echo sum $s; declare -A m; m[x]=1; echo ${m[x]} ${#a[@]};
        trap "echo term" TERM; kill -TERM $$; (exit 3); echo $?; f() { local x=$1; ((x<=1)) && echo 1 || echo $((x*$(f $((x-1))))); }; f 8' ''',
     r'sum 2668667000\n1 2000\nterm\n3\n40320\n', 120),
    ('coreutils', '', r'''rm -rf /tmp/cu; mkdir /tmp/cu; cd /tmp/cu; seq 1 20000 | sort -R | sort -n | md5sum; seq 5 | tac | paste -sd,; mkdir -p t/a/b; touch t/a/b/c;
        ln -sf a/b/c t/l; cp -a t u; find u | sort; du -s u >/dev/null; rm -r t u; date -u -d @86400 +%F; factor 1234567890123; stat -c %F /dev/null;
        timeout 1 sleep 5; echo $?; head -c 100000 /dev/zero | sha256sum; numfmt --to=iec 1048576; printf '%s\n' b a c | sort | uniq -c | awk '{print $2}' | tr -d '\n' ''',
     r'^e071f707df7bbeee2a6a1eb48011ddd0  -\n5,4,3,2,1\nu\nu/a\nu/a/b\nu/a/b/c\nu/l\n1970-01-02\n1234567890123: 3 3541 116216501\ncharacter special file\n124\n'
     r'9192c25b734fcbadbe32dadc28089c60db0e39f90cc20ce2e5733f57261acc0c  -\n1\.0M\nabc', 120),
    ('perl', '', r'''perl -e 'use strict; my %h; $h{$_ % 97} .= chr(65+$_%26) for 1..50000; my $s=0; $s += length $h{$_} for keys %h;
        print "$s\n"; my $t = "x" x 1000; (my $u = $t) =~ s/x{3}/ab/g; print length($u), "\n"; local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select(undef,undef,undef,3);
        my $pid = fork // die; if (!$pid) { exit 7 } waitpid $pid, 0; print $? >> 8, "\n"; printf "%.10f\n", atan2(1,1)*4; print join(",", sort { $a <=> $b } map { ($_*7919)%1000 } 1..10), "\n"' ''',
     r'50000\n667\nalarm\n7\n3\.1415926536\n', 120),
    ('python3', 'python3 netbase libpython3.{python}-testsuite', '''python3 -c 'import sys, json, re, hashlib, threading, subprocess, decimal
print(sys.implementation._multiarch); print(hashlib.sha256(b"x"*100000).hexdigest()[:16])
l = []; t = [threading.Thread(target=lambda i=i: l.append(sum(range(i*1000)))) for i in range(16)]
[x.start() for x in t]; [x.join() for x in t]; print(sum(l)); print(subprocess.check_output(["echo", "child"]).decode(), end="")
print(decimal.Decimal(2).sqrt()); print(json.loads(json.dumps({"a": [1.5, None]})))' &&
        python3 -m test -j1 test_json test_re test_struct test_math test_float test_complex test_threading test_signal test_subprocess test_socket test_array test_hashlib test_zlib test_bisect 2>&1 | tail -40''',
     r'linux-gnu\n21ec055f38c2ec24\n(.|\n)*child\n1\.41421356.*\n(.|\n)*(Result: SUCCESS|Tests result: SUCCESS)', 3000),
    ('gcc', 'gcc libc6-dev make', '''cd /tmp && rm -rf mk && mkdir mk && cd mk && printf '#include <stdio.h>\\n#include <math.h>\\nint f(int);\\nint main(void){printf("%%d %%.3f\\\\n", f(20), sqrt(2.0));return 0;}\\n' > a.c &&
        printf 'int f(int n){return n<2?n:f(n-1)+f(n-2);}\\n' > b.c && printf 'p: a.o b.o\\n\\tgcc -O2 -o $@ $^ -lm\\n' > Makefile && make -j2 && ./p''',
     r'6765 1\.414\n', 600),
    ('git', 'git', '''cd /tmp && rm -rf g && git init -q g && cd g && git config user.email a@b && git config user.name n && for i in 1 2 3 4 5; do echo $i >> f; git add f; git commit -qm "c$i"; done;
        git checkout -qb side HEAD~2; echo s > s; git add s; git commit -qm side; git checkout -q -; git merge -q -m m side; git log --oneline | wc -l; git gc -q; git fsck 2>&1 | tail -1; git clone -q . ../g2 && ls ../g2 | tr "\\n" " "; rm -rf /tmp/g /tmp/g2''',
     r'7\n(.|\n)*f s ', 600),
    ('openssl', 'openssl', '''echo abc | openssl sha256; echo abc | openssl sha512 | cut -c1-40; openssl speed -seconds 1 -evp aes-128-gcm 2>&1 | tail -1; openssl speed -seconds 1 sha256 2>&1 | tail -1;
        openssl genrsa -out /tmp/k 2048 2>/dev/null; echo hi > /tmp/m; openssl dgst -sha256 -sign /tmp/k -out /tmp/s /tmp/m; openssl rsa -in /tmp/k -pubout -out /tmp/p 2>/dev/null; openssl dgst -sha256 -verify /tmp/p -signature /tmp/s /tmp/m;
        openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -in /tmp/m | openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x''',
     r'edeaaff3f1774ad2888673770c6d64097e391bc362d7d6fb34982ddf0efd18cb(.|\n)*4f285d0c0cc77286(.|\n)*Verified OK\nhi', 600),
    ('sqlite3', 'sqlite3', '''rm -f /tmp/d; sqlite3 /tmp/d "create table t(a integer primary key, b text); with recursive c(x) as (select 1 union all select x+1 from c where x<50000) insert into t select x, 'v'||(x*7919%10007) from c;
        create index i on t(b); select count(distinct b), sum(a) from t where b > 'v5'; pragma integrity_check;"''', r'\d+\|\d+\nok', 300),
    ('lua', 'lua5.4', '''lua5.4 -e 'local t={} for i=1,200000 do t[i]=(i*7919)%100003 end table.sort(t) print(t[1],t[#t]) local c=coroutine.wrap(function() for i=1,3 do coroutine.yield(i) end end) print(c()+c()+c())
        print(("x"):rep(10):gsub("x","y")) print(math.pi, 2^53, 7//2, 1e15)' ''', r'0\t10000\d\n6\nyyyyyyyyyy\t10\n3\.1415926535898\t9\.007199254741e\+15\t3\t1e\+15', 300),
    ('node', 'nodejs', '''cat > /tmp/s.js <<'X'
const http = require("http"), crypto = require("crypto");
let n = 0;
const s = http.createServer((q, r) => { n++; r.end(crypto.createHash("sha256").update(q.url).digest("hex")); });
s.listen(0, "127.0.0.1", async () => {
  const get = p => new Promise((ok, no) => http.get({ host: "127.0.0.1", port: s.address().port, path: p }, r => { let d = ""; r.on("data", c => d += c); r.on("end", () => ok(d)); }).on("error", no));
  const all = await Promise.all([...Array(200).keys()].map(i => get("/" + i)));
  console.log("served", n, new Set(all).size); const a = new Float64Array(100000).map((_, i) => Math.sin(i)); console.log("sum", a.reduce((x, y) => x + y).toFixed(6));
  let f = k => k < 2 ? k : f(k - 1) + f(k - 2); console.log("fib", f(25)); s.close();
});
X
node /tmp/s.js''', r'served 200 200\nsum [\d.-]+\nfib 75025', 600),
    ('java', '{java}', '''cd /tmp && cat > T.java <<'X'
import java.util.*; import java.util.concurrent.*; import java.util.stream.*;
public class T { public static void main(String[] a) throws Exception {
  ExecutorService e = Executors.newFixedThreadPool(4); List<Future<Long>> l = new ArrayList<>();
  for (int i = 0; i < 16; i++) { final int k = i; l.add(e.submit(() -> LongStream.range(0, 200000).map(x -> x * k % 1009).sum())); }
  long s = 0; for (var f : l) s += f.get(); e.shutdown(); System.out.println("sum " + s);
  System.out.println(IntStream.range(0, 1000).mapToObj(Integer::toString).collect(Collectors.joining()).hashCode());
  try { Object o = null; o.toString(); } catch (NullPointerException x) { System.out.println("npe"); }
  var m = new ConcurrentHashMap<Integer, Integer>(); IntStream.range(0, 100000).parallel().forEach(i -> m.merge(i % 100, 1, Integer::sum)); System.out.println(m.get(7)); } }
X
javac T.java && java T''', r'sum \d+\n-?\d+\nnpe\n1000', 1800),
    ('go', 'golang-go', '''mkdir -p /tmp/go && cd /tmp/go && cat > m.go <<'X'
package main
import ("fmt"; "net"; "sync"; "io")
func main() { var w sync.WaitGroup; c := make(chan int, 10); for i := 0; i < 100; i++ { w.Add(1); go func(i int) { defer w.Done(); c <- i * i }(i) }
  go func() { w.Wait(); close(c) }(); s := 0; for v := range c { s += v }; fmt.Println("sum", s)
  l, e := net.Listen("tcp", "127.0.0.1:0"); if e != nil { panic(e) }
  go func() { for { k, e := l.Accept(); if e != nil { return }; go func() { io.Copy(k, k); k.Close() }() } }()
  for i := 0; i < 20; i++ { k, e := net.Dial("tcp", l.Addr().String()); if e != nil { panic(e) }; fmt.Fprintf(k, "hello %d", i); k.(*net.TCPConn).CloseWrite(); b, _ := io.ReadAll(k); if i == 19 { fmt.Println(string(b)) } }
  defer func() { fmt.Println("recovered", recover() != nil) }(); var p *int; *p = 1 }
X
HOME=/tmp GO111MODULE=off GOFLAGS=-p=2 go build -o m m.go && ./m''', r'sum 328350\nhello 19\nrecovered true', 3000),
    ('apt', '', '''apt-get update -qq 2>&1 | tail -3; apt-cache show bash | grep -c ^Package; cd /tmp && apt-get download -qq hello 2>/dev/null; dpkg -i hello_*.deb >/dev/null && hello && dpkg -r hello >/dev/null && ! test -e /usr/bin/hello && echo removed''',
     r'1\nHello, world!\nremoved', 600),
]


def run(argv, **more):
    return subprocess.run([str(a) for a in argv], check=False, **more)


def stage1(arch, suite):
    """A tar of debootstrap's first stage, made once."""
    tar = CACHE / f'debian-{suite}-{arch}-stage1.tar'
    if tar.exists():
        return tar
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / f'stage1-{arch}.tmp'
    log = CACHE / f'stage1-{arch}.log'
    for attempt in range(3):  # the network
        time.sleep(10 * attempt)
        shutil.rmtree(folder, ignore_errors=True)
        with open(log, 'wb') as f:
            p = run(['debootstrap', '--foreign', f'--arch={arch}', '--variant=minbase', suite,
                     folder, MIRROR], stdin=subprocess.DEVNULL, stdout=f, stderr=f)
        if p.returncode == 0:
            break
    else:
        print('\n'.join(log.read_text(errors='replace').splitlines()[-15:]))
        sys.exit(f'real: debootstrap of {arch} failed; {log} says why')
    part = tar.with_suffix('.part')
    if run(['tar', '-C', folder, '-cf', part, '.']).returncode:
        sys.exit('real: tar failed')
    part.rename(tar)
    shutil.rmtree(folder)
    return tar


def may_make_nodes():
    """Root of a container without CAP_MKNOD may not."""
    BUILD.mkdir(parents=True, exist_ok=True)
    node = BUILD / 'node.tmp'
    try:
        os.mknod(node, 0o020666, os.makedev(1, 3))
        with open(node, 'wb') as f:  # a file system mounted nodev
            f.write(b'x')
    except OSError:
        return False
    finally:
        node.unlink(missing_ok=True)
    return True


class Chroot:
    def __init__(self, guest, folder):
        self.guest, self.folder = guest, folder
        self.rhea = f'/rhea-{guest}-static'

    def mount(self):
        for kind, place in (('proc', 'proc'), ('sysfs', 'sys'), ('devpts', 'dev/pts')):
            if (self.folder / place).is_symlink():  # debootstrap within a container makes it one
                (self.folder / place).unlink()
            (self.folder / place).mkdir(exist_ok=True, parents=True)
            run(['mount', '-t', kind, kind, self.folder / place])

    def unmount(self):
        for place in ('dev/pts', 'sys', 'proc'):
            run(['umount', '-l', self.folder / place], stderr=subprocess.DEVNULL)

    def fill(self, tar):
        self.folder.mkdir(parents=True)
        if run(['tar', '-C', self.folder, '-xf', tar]).returncode:
            sys.exit('real: tar failed')
        shutil.copy(BUILD / f'rhea-{self.guest}-static', self.folder / self.rhea[1:])
        for name in ('null', 'zero', 'full', 'random', 'urandom', 'tty'):
            node = self.folder / 'dev' / name
            if not node.exists():
                s = os.stat(f'/dev/{name}')
                os.mknod(node, 0o020666, s.st_rdev)
                node.chmod(0o666)
        shutil.copy('/etc/resolv.conf', self.folder / 'etc/resolv.conf')
        (self.folder / 'etc/hosts').write_text('127.0.0.1 localhost\n::1 localhost\n')

    def sh(self, script, seconds, log=None):
        """Runs a shell script in the guest. Returns (status, output, CPU seconds); status None: hung."""
        env = {'PATH': PATH, 'HOME': '/root', 'LC_ALL': 'C', 'DEBIAN_FRONTEND': 'noninteractive',
               'TERM': 'dumb'}
        before = os.times()
        p = subprocess.Popen(['chroot', self.folder, self.rhea, '/bin/sh', '-c', script], env=env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, start_new_session=True)
        try:
            out = p.communicate(timeout=seconds)[0]
            status = p.returncode
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, 9)
            out, status = p.communicate()[0], None
        after = os.times()
        text = out.decode(errors='replace')
        if log:
            log.write_text(text)
        cpu = after.children_user - before.children_user + after.children_system - before.children_system
        return status, text, cpu


def install(c, packages, done):
    new = [p for p in packages.split() if p not in done]
    if not new:
        return ''
    status, out, cpu = c.sh(f'apt-get install -y -q --no-install-recommends {" ".join(new)} 2>&1', 3000)
    if status != 0:
        return f'installing {" ".join(new)}: ' + ('hangs' if status is None else f'status {status}') + '\n' + \
            '\n'.join(out.splitlines()[-15:])
    print(f'     apt installed {" ".join(new)} ({cpu:.1f} CPU s)', flush=True)
    done.update(new)
    return ''


def one_test(c, test, runs):
    name, _, script, pattern, seconds = test
    worst = 0.0
    for n in range(runs):
        start = time.monotonic()
        status, out, cpu = c.sh(script, seconds)
        worst = max(worst, time.monotonic() - start)
        if status != 0 or not re.search(pattern, out):
            how = 'hangs' if status is None else f'status {status}'
            print(f'FAIL {c.guest}/{name} (run {n + 1}): {how}\n     ' +
                  '\n     '.join(out.splitlines()[-25:]), flush=True)
            return False
    print(f'ok   {c.guest}/{name} ({runs} runs, {cpu:.1f} CPU s, at most {worst:.1f} s)', flush=True)
    return True


def second_stage(c):
    script = '/debootstrap/debootstrap --second-stage 2>&1'
    status, out, cpu = c.sh(script, 1200)
    if status != 0 or 'Base system installed successfully' not in out:
        how = 'hangs' if status is None else f'status {status}'
        print(f'FAIL {c.guest}/second-stage: {how}\n     ' + '\n     '.join(out.splitlines()[-25:]))
        return False
    print(f'ok   {c.guest}/second-stage ({cpu:.1f} CPU s)', flush=True)
    return True


def test_guest(guest, a):
    arch, suite = GUESTS[guest]
    folder = BUILD / f'chroot-{guest}'
    c = Chroot(guest, folder)
    good = bad = 0
    fresh = not (a.keep and (folder / 'etc/debian_version').exists())
    if fresh:
        if folder.exists():
            c.unmount()
            shutil.rmtree(folder)
        c.fill(stage1(arch, suite))
    else:
        shutil.copy(BUILD / f'rhea-{guest}-static', folder / c.rhea[1:])
    c.mount()
    try:
        if fresh and not second_stage(c):
            return 0, 1
        c.mount()  # debootstrap has unmounted what it found mounted
        good += fresh
        if fresh:
            (folder / 'etc/apt/sources.list').write_text(f'deb {MIRROR} {suite} main\n')
            (folder / 'etc/apt/apt.conf.d/99rhea').write_text('APT::Sandbox::User "root";\n')
        updated, done = False, set()
        for test in TESTS:
            if (a.tests and test[0] not in a.tests) or (a.minbase_only and (test[1] or test[0] == 'apt')):
                continue
            packages = test[1].format(**NAMES[arch])
            if packages and not updated:
                c.sh('apt-get update -q', 1200)
                updated = True
            trouble = install(c, packages, done)
            if trouble:
                print(f'FAIL {guest}/{test[0]}: {trouble}', flush=True)
                bad += 1
            elif one_test(c, test, a.runs):
                good += 1
            else:
                bad += 1
    finally:
        c.unmount()
        if not a.keep:
            shutil.rmtree(folder, ignore_errors=True)
    return good, bad


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ap.add_argument('tests', nargs='*', metavar='TEST', help=', '.join(t[0] for t in TESTS))
    ap.add_argument('--guest', action='append', choices=sorted(GUESTS))
    ap.add_argument('--runs', type=int, default=1, help='of each test [1]')
    ap.add_argument('--minbase-only', action='store_true', help='install nothing more')
    ap.add_argument('--keep', action='store_true', help='keep the chroot, and use one that was kept')
    a = ap.parse_args()
    for t in a.tests:
        if t not in [x[0] for x in TESTS]:
            ap.error(f'no test is called {t!r}')
    if os.geteuid() != 0 or not may_make_nodes():
        print('real: no right to make a chroot with device nodes: nothing was tested')
        return 0
    good = bad = 0
    for guest in a.guest or sorted(GUESTS):
        g, b = test_guest(guest, a)
        good, bad = good + g, bad + b
    print(f'{good} passed, {bad} failed')
    return bad != 0


sys.exit(main())
