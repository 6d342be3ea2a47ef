/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From reset to main() in 32-bit protected mode or (LONG) 64-bit mode, paging on in the latter; and
 * the way there of a second processor, which is copied to 0x8000.
 */
        .code16
        .section .text16, "ax"
start:  cli
        xor %ax, %ax
        mov %ax, %es
        mov %ax, %ss
        /* the other processor's way in: to RAM at 0x8000 */
        mov %cs, %ax
        mov %ax, %ds
        cld
        mov $ap16, %si
        mov $0x8000, %di
        mov $ap16_end - ap16, %cx
        rep movsb
        lgdtl %cs:gdtr_copy
        mov %cr0, %eax
        or $1, %al
        and $0x9fffffff, %eax
        mov %eax, %cr0
        ljmpl $8, $prot

ap16:   cli
        lgdtl %cs:(gdtr_copy - ap16)
        mov %cr0, %eax
        or $1, %al
        and $0x9fffffff, %eax
        mov %eax, %cr0
        ljmpl $8, $ap_prot
        .balign 4
gdtr_copy:
        .word gdt_end - gdt - 1
        .long gdt
ap16_end:

        .text
        .code32
        .macro flat
        mov $16, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov %eax, %fs
        mov %eax, %gs
        .endm
prot:   flat
        mov $0x80000, %esp
        /* variables */
        mov $0x20000, %edi
        xor %eax, %eax
        mov $0x8000, %ecx
        rep stosl
#ifdef LONG
        /* identity, 2 MiB pages, 4 GiB: tables at 0x10000 */
        mov $0x10000, %edi
        mov $0x1800, %ecx
        rep stosl
        movl $0x11007, 0x10000
        mov $0x12007, %eax
        mov $0x11000, %edi
        mov $4, %ecx
1:      mov %eax, (%edi)
        add $0x1000, %eax
        add $8, %edi
        loop 1b
        mov $0x87, %eax
        mov $0x12000, %edi
        mov $2048, %ecx
1:      mov %eax, (%edi)
        add $0x200000, %eax
        add $8, %edi
        loop 1b
        call go_long
        ljmpl $24, $in_long
#else
        call main
1:      hlt
        jmp 1b
#endif

ap_prot: flat
        mov $0x90000, %esp
#ifdef LONG
        call go_long
        ljmpl $24, $ap_long
go_long:
        mov %cr4, %eax
        or $0x620, %eax
        mov %eax, %cr4
        mov $0x10000, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx
        rdmsr
        or $0x100, %eax
        wrmsr
        mov %cr0, %eax
        or $0x80000000, %eax
        mov %eax, %cr0
        ret
        .code64
in_long: mov $0x80000, %rsp
        call main
1:      hlt
        jmp 1b
ap_long: mov $0x90000, %rsp
        call ap_main
1:      hlt
        jmp 1b
#else
        call ap_main
1:      hlt
        jmp 1b
#endif

        .section .rodata
        .balign 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdt_end:

        .section .reset, "ax"
        .code16
        ljmp $0xf000, $start
        .section .note.GNU-stack, "", @progbits
