#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# timeout: 400
"""CD-ROM images of Debian's packages boot on both PCs, and their text comes to the screen."""
import subprocess
import sys

import media
from machine import BUILD, PATIENCE, Failure

CASES = [  # medium, words on the screen in this order, seconds, arguments
    ('memtest', 'Memtest86+|#3', 60, ['-m', '24', '-smp', '2', '-cdrom']),
    ('memtest', 'Memtest86+|Testing', 60, ['-M', 'q35', '-m', '64', '-cdrom']),
    ('rescue', 'GNU GRUB|Memtest86+', 60, ['-m', '64', '-cdrom']),
    ('rescue', 'GNU GRUB|Memtest86+', 60, ['-m', '64', '-device', 'virtio-scsi-pci', '-device', 'scsi-cd,drive=c',
                                     '-drive', 'if=none,id=c,media=cdrom,format=raw,file={}']),
    ('ipxe', 'iPXE', 60, ['-m', '64', '-cdrom']),
]


def main():
    bad = 0
    for medium, words, seconds, args in CASES:
        try:
            path = str(getattr(media, medium)())
        except Failure as e:
            print(f'{medium}: {e}')
            return 1
        more = [a.format(path) for a in args] + ([path] if args[-1] == '-cdrom' else [])
        p = subprocess.run([BUILD / 'vm-screen', str(int(seconds * PATIENCE)), words, '-display', 'none', '-serial', 'null',
                            *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           check=False)
        if p.returncode:
            bad += 1
            print(f'{medium} {" ".join(args)}: {p.stdout.decode("cp437", errors="replace")}')
    return bad != 0


if __name__ == '__main__':
    sys.exit(main())
