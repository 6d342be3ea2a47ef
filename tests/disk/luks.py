#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 240
"""LUKS images both ways: ours judged by cryptsetup, qemu-img and qemu-io, and theirs read by us.

luks.py [all]: every cipher, mode and hash; without it, one of each kind."""
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

build = pathlib.Path(os.environ.get('RHEA_BUILD', 'build')).resolve()
OURS = {n: str(build / f'rhea-{n}') for n in ('img', 'io')}
THEIRS = {n: shutil.which(f'qemu-{n}') for n in ('img', 'io')}
cryptsetup = shutil.which('cryptsetup', path=os.environ['PATH'] + ':/sbin:/usr/sbin')
bad = 0
work = None
judged = {'yes': 0, 'not': 0}


def check(ok, what):
    global bad
    if not ok:
        print('wrong:', what)
        bad = 1


def run(argv, want=0):
    for _ in range(5):
        p = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=200, check=False, text=True)
        if 'accurate CPU usage' not in p.stdout:  # qemu-img on a busy machine
            break
    if want is not None:
        check(p.returncode == want, f'{" ".join(map(str, argv))}: exit {p.returncode}: {p.stdout}')
    return p.stdout


def objects(*names):
    return [x for n in names for x in ('--object', f'secret,id={n},file={work}/{n}')]


def named(image, secret):
    return ['--image-opts', f'driver=luks,key-secret={secret},file.filename={image}']


def create(who, image, **options):
    text = ','.join(['key-secret=a', 'iter-time=10'] +
                    [f'{k.replace("_", "-")}={v}' for k, v in options.items()])
    run([who['img'], 'create', '-q', '-f', 'luks', *objects('a'), '-o', text, image, '3M'])


def io(who, image, *commands, secret='a', want=0):
    return run([who['io'], *objects(secret), *named(image, secret),
                *[x for c in commands for x in ('-c', c)]], want)


def info(who, image):
    return json.loads(run([who['img'], 'info', '--output=json', image]))


def same_info(image):
    ours, theirs = info(OURS, image), info(THEIRS, image)
    for answer in (ours, theirs):
        answer.pop('actual-size')
    check(ours == theirs, f'info differs: {ours} {theirs}')
    human = [run([w['img'], 'info', image]) for w in (OURS, THEIRS)]
    check(human[0] == human[1], f'info for people differs: {human[0]}{human[1]}')


def opens(image, key, want=True):
    p = subprocess.run([cryptsetup, 'luksOpen', '--test-passphrase', '--key-file', work / key,
                        image], capture_output=True, check=False)
    if b'device-mapper' in p.stderr or b'kernel supports' in p.stderr:
        judged['not'] += 1  # it takes ciphers from the kernel, which has not got this one
        return
    judged['yes'] += 1
    check((p.returncode == 0) == want, f'cryptsetup with {key}: {p.returncode} {p.stderr}')


def both_ways(theirs_too, **options):
    """One makes an image, writes into it, and the other reads and writes. Theirs takes seconds to
    make one, whatever iter-time says."""
    image = work / 'x.luks'
    # qemu-utils 7.2 die of key material that is not whole sectors, in an assertion
    odd = '192' in options.get('cipher_alg', '') and options.get('cipher_mode', 'xts') != 'xts'
    judge = OURS if odd else THEIRS
    for maker, other in ((OURS, judge), (THEIRS, OURS))[:1 + theirs_too]:
        image.unlink(missing_ok=True)
        create(maker, image, **options)
        io(maker, image, 'write -P 0x11 0 64k', 'write -P 0x22 100000 3000', 'write -P 0 2M 4k')
        io(other, image, 'read -P 0x11 0 64k', 'read -P 0x22 100000 3000', 'read -P 0 2M 4k',
           'write -P 0x33 1M 300k', 'write -P 0x44 3145000 700')
        io(maker, image, 'read -P 0x33 1M 300k', 'read -P 0x44 3145000 700',
           'read -P 0x11 0 64k')
        opens(image, 'a')
        opens(image, 'b', False)
    same_info(image)


def matrix(every):
    ciphers = ['aes-128', 'aes-192', 'aes-256', 'serpent-128', 'serpent-192', 'serpent-256',
               'twofish-128', 'twofish-192', 'twofish-256', 'cast5-128']
    ivgens = [{'ivgen_alg': 'plain'}, {'ivgen_alg': 'plain64'},
              {'ivgen_alg': 'essiv', 'ivgen_hash_alg': 'sha256'}]
    some = [{}, {'cipher_alg': 'aes-192'}, {'cipher_alg': 'serpent-256', 'hash_alg': 'sha512'},
            {'cipher_alg': 'twofish-128', 'cipher_mode': 'cbc', **ivgens[0]},
            {'cipher_alg': 'aes-256', 'cipher_mode': 'cbc', **ivgens[2]},
            {'cipher_alg': 'cast5-128', 'cipher_mode': 'ctr', 'hash_alg': 'ripemd160'}]
    if every:
        for cipher, mode, ivgen in itertools.product(ciphers, ['ecb', 'cbc', 'ctr', 'xts'], ivgens):
            if cipher == 'cast5-128' and (mode == 'xts' or ivgen['ivgen_alg'] == 'essiv'):
                continue
            some.append({'cipher_alg': cipher, 'cipher_mode': mode, **ivgen})
        some += [{'hash_alg': h} for h in ('sha1', 'sha224', 'sha384', 'ripemd160')]
    for i, options in enumerate(some):
        both_ways(i < 2, **options)
    print(f'{len(some)} kinds of encryption both ways')


def cryptsetups():
    """Images of cryptsetup, with its other payload offset and several keys."""
    for extra in ([], ['--cipher', 'aes-cbc-essiv:sha256', '--key-size', '128'],
                  ['--cipher', 'aes-xts-plain64', '--key-size', '256', '--hash', 'sha512']):
        image = work / 'c.luks'
        image.write_bytes(b'')
        os.truncate(image, 8 << 20)
        run([cryptsetup, '-q', 'luksFormat', '--type', 'luks1', '--pbkdf-force-iterations', '1000',
             '--key-file', work / 'a', *extra, image])
        run([cryptsetup, '-q', 'luksAddKey', '--pbkdf-force-iterations', '1000', '--key-file',
             work / 'a', '--key-slot', '5', image, work / 'b'])
        io(OURS, image, 'write -P 7 0 1M', secret='b')
        io(THEIRS, image, 'read -P 7 0 1M')
        same_info(image)
    image.write_bytes(b'')
    os.truncate(image, 20 << 20)
    run([cryptsetup, '-q', 'luksFormat', '--type', 'luks2', '--pbkdf', 'pbkdf2',
         '--pbkdf-force-iterations', '1000', '--key-file', work / 'a', image])
    said = run([OURS['img'], 'info', '-f', 'luks', image], 1)
    check('LUKS version 2 is not supported' in said, said)


def keys():
    image = work / 'k.luks'
    create(OURS, image)
    amend = [OURS['img'], 'amend', *objects('a', 'b', 'c'), *named(image, 'a'), '-o']
    run([*amend, 'state=active,new-secret=b,iter-time=10'])
    run([*amend, 'state=active,new-secret=c,iter-time=10,keyslot=7'])
    for key in 'abc':
        opens(image, key)
    same_info(image)
    run([*amend, 'state=inactive,old-secret=b'])
    opens(image, 'b', False)
    opens(image, 'c')
    run([*amend, 'state=inactive,keyslot=7'])
    opens(image, 'c', False)
    for options, why in (('state=inactive,keyslot=0', 'Refusing to erase the last active keyslot'),
                         ('state=inactive,old-secret=b', 'No keyslots match'),
                         ('state=active', "'new-secret' is required"),
                         ('keyslot=1', "Parameter 'state' is missing"),
                         ('state=active,new-secret=b,keyslot=8', 'Invalid keyslot'),
                         ('state=active,new-secret=b,keyslot=0', 'overwrite active keyslot')):
        said = run([*amend, options], 1)
        check(why in said, f'{options}: {said}')
    opens(image, 'a')
    run([*amend[:2], '--force', *amend[2:], 'state=inactive,keyslot=0'])
    opens(image, 'a', False)


def the_rest():
    image = work / 'r.luks'
    create(OURS, image, cipher_mode='cbc')
    said = io(OURS, image, 'read 0 512', secret='b', want=1)
    check('Invalid password, cannot unlock any keyslot' in said, said)
    said = run([OURS['io'], '-c', 'read 0 512', image], 1)
    check("Parameter 'key-secret' is required for cipher" in said, said)
    io(OURS, image, 'write -P 5 0 3M')
    run([OURS['img'], 'resize', '-q', *objects('a'), *named(image, 'a'), '5M'])
    io(THEIRS, image, 'read -P 5 0 3M', 'write -P 6 4M 1M')
    check(info(OURS, image)['virtual-size'] == 5 << 20, 'size after resize')
    for options in ('key-secret=a,iter-time=10,cipher-mode=cbc,cipher-alg=aes-128',):
        answers = [run([w['img'], 'measure', '-O', 'luks', '--size', '10M', '-o', options,
                        *objects('a')]) for w in (OURS, THEIRS)]
        check(answers[0] == answers[1], f'measure: {answers}')
    # preallocation takes the space at once
    for mode in ('falloc', 'full'):
        run([OURS['img'], 'create', '-q', '-f', 'luks', *objects('a'), '-o',
             f'key-secret=a,iter-time=10,preallocation={mode}', image, '3M'])
        check(os.stat(image).st_blocks * 512 >= 3 << 20, f'{mode} takes no space')
        io(THEIRS, image, 'write 0 1M')
    # a raw disk into luks and back
    raw = work / 'raw'
    raw.write_bytes(os.urandom(1 << 20) + bytes(1 << 20) + os.urandom(4096))
    image.unlink()
    run([OURS['img'], 'convert', '-f', 'raw', '-O', 'luks', *objects('a'), '-o',
         'key-secret=a,iter-time=10', raw, image])
    run([THEIRS['img'], 'convert', *objects('a'), *named(image, 'a'), '-O', 'raw', work / 'back'])
    check((work / 'back').read_bytes() == raw.read_bytes(), 'convert there and back')


def no_key():
    """Without the key a LUKS qcow2 image is neither read nor changed; help names what QEMU's does."""
    image = work / 'locked.qcow2'
    run([OURS['img'], 'create', '-q', '-f', 'qcow2', *objects('a'), '-o',
         'encrypt.format=luks,encrypt.key-secret=a,encrypt.iter-time=10', image, '1M'])
    before = image.read_bytes()
    for who in (OURS, THEIRS):
        for command in ('read 0 512', 'write -z 0 64k', 'discard 0 64k'):
            said = run([who['io'], '-c', command, image], 1)
            check("'encrypt.key-secret' is required" in said, f'{command}: {said}')
        run([who['img'], 'convert', '-O', 'raw', image, work / 'out'], 1)
        run([who['img'], 'info', image])
    run([OURS['img'], 'check', image])
    check(image.read_bytes() == before, 'an image was changed without its key')
    answers = [run([w['img'], 'create', '-f', 'luks', '-o', 'help']) for w in (OURS, THEIRS)]
    check(answers[0] == answers[1], f'help: {answers}')


def main():
    global work
    if not all(THEIRS.values()) or not cryptsetup:
        print('not run: qemu-utils and cryptsetup are its judges, and are not here')
        return
    with tempfile.TemporaryDirectory(prefix='rhea-luks-') as name:
        work = pathlib.Path(name)
        for key in 'abc':
            (work / key).write_text(f'password {key}')
        matrix('all' in sys.argv[1:])
        cryptsetups()
        keys()
        the_rest()
        no_key()
    print(f'cryptsetup judged {judged["yes"]} times; the kernel lacks the cipher of {judged["not"]}')
    sys.exit(bad)


main()
