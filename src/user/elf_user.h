/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an ELF file of a guest says about how it wants to be loaded. The file is untrusted: nothing
 * here touches the guest or the file, and what is accepted keeps the promises below. System V gABI
 * chapters 4 and 5; Linux fs/binfmt_elf.c's limits.
 */
#ifndef USER_ELF_USER_H
#define USER_ELF_USER_H

#include "base/error.h"
#include "base/types.h"

enum {
    ELF_USER_HEADER_MAX = 64,
    ELF_USER_LOADS_MAX = 64,
    ELF_USER_PHDRS_MAX = 65536, /* bytes of program headers */
    ELF_USER_INTERP_MAX = 4096,
};

struct elf_user_load {
    gva_t at;
    uint64_t mem_size, file_off, file_size; /* file_size <= mem_size; the part lies in the file;
                                               at and file_off are equal modulo the page size */
    uint8_t prot;                           /* PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4 */
};

struct elf_user {
    uint16_t machine, type; /* ET_EXEC or ET_DYN */
    uint8_t elf_class;      /* 1: 32 bits, 2: 64 bits */
    uint32_t flags;
    gva_t entry;
    uint64_t phoff;
    unsigned phnum, phentsize;
    /* from the program headers */
    struct elf_user_load load[ELF_USER_LOADS_MAX];
    unsigned load_count;          /* at least 1 */
    gva_t first, end;             /* of all loads, rounded to pages; end does not wrap */
    uint64_t align;               /* the greatest, a power of two, a page at least */
    gva_t phdr;                   /* of the program headers in memory; 0: not there */
    uint64_t interp_off;          /* of the interpreter's name with its NUL, in the file */
    uint64_t interp_size;         /* 0: no interpreter */
    uint64_t note_off, note_size; /* PT_GNU_PROPERTY, in the file; size 0: none */
    bool has_stack, exec_stack;   /* PT_GNU_STACK is there; asks for an executable stack */
};

/* "AArch64", or NULL when the number is not a well-known one. */
const char *elf_user_machine_name(uint16_t machine);
/* Do the first bytes look like an ELF file? */
bool elf_user_probe(const void *head, size_t len);
/* The file header from the first bytes; file_size bounds all that is accepted. code is ENOEXEC when
 * it is no ELF program, EINVAL when it is a broken one. */
bool elf_user_header(const void *head, size_t len, uint64_t file_size, struct elf_user *ret,
                     struct error *err) MUST_CHECK;
/* The program headers: phnum * phentsize bytes from phoff. */
bool elf_user_segments(const void *phdrs, size_t len, uint64_t file_size, struct elf_user *e,
                       struct error *err) MUST_CHECK;
/* NT_GNU_PROPERTY_TYPE_0 asks for branch target identification (AArch64)? */
bool elf_user_wants_bti(const void *note, size_t len);

#endif
