/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The x86 instruction decoder: bytes to struct x86_insn.
 * Pure and thread-safe: it reads the bytes it is given and constant tables, nothing else.
 * The tables come from x86.insn by tools/x86insngen.py. (Intel SDM volume 2, chapter 2 and appendix
 * A.)
 */
#ifndef GUEST_X86_DECODE_H
#define GUEST_X86_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/x86/x86_ops.h" /* generated: enum x86_op, enum x86_insn_feature */

enum { X86_INSN_MAX = 15 };

/* Arithmetic flags in flags_read, flags_written, flags_undefined. */
enum x86_insn_flags {
    X86_IF_C = 1,
    X86_IF_P = 2,
    X86_IF_A = 4,
    X86_IF_Z = 8,
    X86_IF_S = 16,
    X86_IF_O = 32,
    X86_IF_D = 64,
    X86_IF_OSZAPC = 63,
};

/* Where an operand lives. */
enum x86_kind {
    X86_K_NONE,
    X86_K_GPR,  /* general register `reg`, its low `size` bytes */
    X86_K_GPRH, /* AH CH DH BH: bits 15:8 of general register `reg` 0..3 */
    X86_K_XMM,
    X86_K_MMX,
    X86_K_ST,  /* ST(reg) */
    X86_K_SEG, /* ES CS SS DS FS GS = 0..5 */
    X86_K_CR,
    X86_K_DR,
    X86_K_MEM,  /* insn.mem, `size` bytes (0: unsized) */
    X86_K_SRC,  /* string source: insn.mem.seg:[rSI] */
    X86_K_DST,  /* string destination: ES:[rDI] */
    X86_K_IMM,  /* insn.imm, already extended to 64 bits */
    X86_K_IMM2, /* insn.imm2 (second immediate of ENTER) */
    X86_K_REL,  /* insn.imm: displacement from the next instruction */
    X86_K_FAR,  /* insn.imm2:insn.imm, selector:offset */
};

struct x86_operand {
    uint8_t kind; /* enum x86_kind */
    uint8_t reg;  /* hardware register number */
    uint8_t size; /* bytes; vector registers: the bytes that take part */
};

enum { X86_NO_REG = 0xff }; /* also x86_insn.seg: no override */

struct x86_mem {
    uint8_t base, index; /* general register or X86_NO_REG */
    uint8_t scale;       /* log2: 0..3 */
    uint8_t seg;         /* effective segment 0..5: override or default (SS for rBP/rSP bases) */
    bool rip_relative;   /* disp counts from the next instruction */
    int64_t disp;        /* sign-extended; moffs: the address itself, zero-extended */
};

struct x86_insn {
    uint16_t op; /* enum x86_op */
    uint8_t len;
    uint8_t opsize;    /* effective operand size 1, 2, 4, 8; 1 for byte operations */
    uint8_t addrsize;  /* 2, 4, 8 */
    uint8_t mode_bits; /* 16, 32, 64: as given to x86_decode */
    uint8_t rep;       /* 0, 0xf2, 0xf3: the last such prefix, whether or not it means anything */
    uint8_t seg;    /* override that counts, or X86_NO_REG; ES CS SS DS are none in 64-bit mode */
    uint8_t rex;    /* 0 or 0x40..0x4f */
    uint8_t opcode; /* last opcode byte: its low nibble is the condition of jcc, setcc, cmovcc */
    uint8_t modrm;  /* 0 when there is none */
    bool lock;
    bool opsize_prefix; /* 66 was there */
    uint8_t nops;
    uint8_t feature; /* enum x86_insn_feature */
    uint8_t flags_read, flags_written,
        flags_undefined; /* X86_IF_*; undefined ones are not in written */
    uint16_t attr;       /* X86_A_* */
    uint16_t imm2;
    struct x86_operand opnd[4];
    struct x86_mem mem;
    int64_t imm;
};

/* Attributes of a table line that its translator or the translator core wants. */
enum x86_attr {
    X86_A_LOCK = 1 << 0,
    X86_A_REP = 1 << 1,
    X86_A_D64 = 1 << 2,
    X86_A_F64 = 1 << 3,
    X86_A_CPL0 = 1 << 4,  /* #GP(0) unless CPL is 0 */
    X86_A_PROT = 1 << 5,  /* #UD in real and virtual-8086 mode */
    X86_A_ALIGN = 1 << 6, /* #GP(0) unless the 16-byte memory operand is aligned */
    X86_A_BYTE = 1 << 7,
    X86_A_CAP32 = 1 << 8,
    X86_A_MODRM = 1 << 9,
    X86_A_VEX = 1 << 10,
};

enum x86_decode_result {
    X86_DECODE_OK,
    X86_DECODE_MORE,     /* the instruction continues beyond the given bytes */
    X86_DECODE_INVALID,  /* #UD */
    X86_DECODE_TOO_LONG, /* more than 15 bytes: #GP(0) */
};

/*
 * Decode the instruction at `p`, of which `n` bytes may be read. `features`: BIT(X86_IFEAT_*) of
 * the CPU model; X86_IFEAT_BASE is always there. On any result but OK, *insn is indeterminate
 * except that after INVALID insn->len is how many bytes were looked at.
 */
enum x86_decode_result x86_decode(struct x86_insn *insn, const uint8_t *p, size_t n,
                                  unsigned mode_bits, uint64_t features);

extern const char *const x86_op_names[X86_OP_COUNT + 1]; /* NULL-terminated; lower-case mnemonics */
extern const uint16_t
    x86_insn_feature_cpuid[X86_IFEAT_COUNT]; /* X86_FEATURE(word, bit) of x86.h; [0] unused */
extern const char *const x86_insn_feature_names[X86_IFEAT_COUNT + 1];

#endif
