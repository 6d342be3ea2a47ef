# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the guests of this folder: firmware images that run without an operating system."""
import os
import pathlib
import subprocess

SOURCES = pathlib.Path(__file__).resolve().parent / 'guests'
CFLAGS = ['-ffreestanding', '-fno-pic', '-fno-pie', '-fno-stack-protector', '-fcf-protection=none',
          '-mgeneral-regs-only', '-mno-red-zone', '-O1', '-fno-asynchronous-unwind-tables', '-Wall',
          '-Wextra', '-Werror', '-Wno-unused-parameter', '-Wno-main']
# A KVM without hardware below it emulates privileged code: no IRET in 32-bit mode, and little speed.
SOFTWARE = os.path.exists('/sys/module/kvm_pvm')


def tool(*argv):
    subprocess.run([str(a) for a in argv], check=True)


def build(folder, name, bits, flags=()):
    """The firmware image of guests/NAME."""
    out = folder / f'{name}.bin'
    parts = ['guest16.S'] if bits == 16 else ['start.S', f'{name}.c']
    objects = []
    for part in parts:
        objects.append(folder / f'{name}-{part}.o')
        tool('gcc', '-m64' if bits == 64 else '-m32', *(['-DLONG'] if bits == 64 else []), *flags,
             *(CFLAGS if part.endswith('.c') else []), '-c', SOURCES / part, '-o', objects[-1])
    elf = folder / f'{name}.elf'
    tool('ld', '-m', 'elf_x86_64' if bits == 64 else 'elf_i386', '-T', SOURCES / 'guest.ld',
         *objects, '-o', elf)
    tool('objcopy', '-O', 'binary', elf, out)
    return out
