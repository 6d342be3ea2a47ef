/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real mode: ports of all sizes and as strings, HLT ended by the timer through the 8259, read-only
 * memory, memory that is not there.
 */
        .code16
        .section .text16, "ax"

        .macro say text
        .pushsection .text16, 1
1001:   .asciz "\text\r\n"
        .popsection
        mov $1001b, %si
        call puts
        .endm

        .macro check text
        mov $1002f, %si
        call result
        .pushsection .text16, 1
1002:   .asciz "\text"
        .popsection
        .endm

start:  cli
        cld
        xor %ax, %ax
        mov %ax, %es
        mov %ax, %ss
        mov $0x7000, %sp
        mov %cs, %ax
        mov %ax, %ds
        say "16 bit"

        /* a port that nobody has, all sizes */
        mov $0x2f10, %dx
        in %dx, %al
        cmp $0xff, %al
        check "byte port"
        in %dx, %ax
        cmp $0xffff, %ax
        check "word port"
        in %dx, %eax
        cmp $0xffffffff, %eax
        check "dword port"

        /* PCI configuration: a dword written, a byte and a word read */
        mov $0xcf8, %dx
        mov $0x80000000, %eax
        out %eax, %dx
        in %dx, %eax
        cmp $0x80000000, %eax
        check "pci address"
        mov $0xcfc, %dx
        in %dx, %ax
        cmp $0x8086, %ax
        check "pci vendor"
        mov $0xcfd, %dx
        in %dx, %al
        cmp $0x80, %al
        check "pci byte"

        /* CMOS: a register that keeps what is written */
        mov $0x3f, %al
        out %al, $0x70
        mov $0x5a, %al
        out %al, $0x71
        mov $0x3f, %al
        out %al, $0x70
        in $0x71, %al
        cmp $0x5a, %al
        check "cmos"

        /* strings out and in */
        mov $text, %si
        mov $text_end - text, %cx
        mov $0x3f8, %dx
        rep outsb
        mov $0x2f10, %dx
        mov $0x600, %di
        mov $7, %cx
        rep insw
        cmp $0x60e, %di
        check "rep insw moves"
        mov $0x600, %di
        mov $7, %cx
        mov $0xffff, %ax
        repe scasw
        check "rep insw reads"

        /* the firmware's memory cannot be written */
        mov %cs:0, %eax
        mov %eax, %ebx
        not %ebx
        push %ds
        mov $0xf000, %cx
        mov %cx, %ds
        mov %ebx, 0
        pop %ds
        cmp %eax, %cs:0
        check "rom"

        /* timer: 8259 at 0x20, the PIT's counter 0 in mode 2, five ticks */
        movw $tick, %es:0x20*4
        movw $0xf000, %es:0x20*4+2
        movw $0, %es:0x500
        mov $pic_init, %si
        mov $(pic_end - pic_init) / 2, %cx
        xor %dx, %dx
2:      lodsw
        mov %al, %dl
        mov %ah, %al
        out %al, %dx
        loop 2b
3:      sti
        hlt
        cli
        cmpw $5, %es:0x500
        jb 3b
        cmp %ax, %ax
        check "timer ends halt"
        mov $0xff, %al
        out %al, $0x21

        /* with interrupts off and none waiting, then on: the shadow of STI */
        say "16 bit done"
        mov $0x10, %al
        out %al, $0xf4
4:      cli
        hlt
        jmp 4b

tick:   incw %es:0x500
        push %ax
        mov $0x20, %al
        out %al, $0x20
        pop %ax
        iret

puts:   push %dx
        mov $0x3f8, %dx
1:      lodsb
        test %al, %al
        jz 2f
        out %al, %dx
        jmp 1b
2:      pop %dx
        ret

/* ZF: good. Keeps EAX. */
result: push %eax
        pushf
        call puts
        popf
        mov $ok, %si
        jz 1f
        mov $bad, %si
1:      call puts
        pop %eax
        ret

        .section .text16, "ax"
text:   .ascii "rep outsb\r\n"
text_end:
ok:     .asciz ": ok\r\n"
bad:    .asciz ": BAD\r\n"
pic_init: /* port, value */
        .byte 0x20, 0x11, 0xa0, 0x11, 0x21, 0x20, 0xa1, 0x28, 0x21, 4, 0xa1, 2, 0x21, 1, 0xa1, 1
        .byte 0x21, 0xfe, 0xa1, 0xff, 0x43, 0x34, 0x40, 0xa9, 0x40, 0x04
pic_end:

        .section .reset, "ax"
        .code16
        ljmp $0xf000, $start
        .section .note.GNU-stack, "", @progbits
