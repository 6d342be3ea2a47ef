/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shape of the tables that tools/x86insngen.py generates (x86_tables.c), shared with decode.c.
 * x86_root[map * 256 + opcode] is a node; a node is a form or a subtable indexed by one property of
 * the instruction, until a form is reached. Zero is an invalid opcode.
 */
#ifndef GUEST_X86_DECODE_TABLES_H
#define GUEST_X86_DECODE_TABLES_H

#include <stdint.h>

/* Node: kind in bits 15:12; index of the form, or subtable start in units of two nodes, below. */
enum x86_node {
    X86_NODE_FORM,
    X86_NODE_MODE, /* [2] long mode */
    X86_NODE_PP,   /* [4] none, 66, F3, F2 */
    X86_NODE_MOD,  /* [2] memory, register */
    X86_NODE_REG,
    X86_NODE_RM, /* [8] */
    X86_NODE_W,
    X86_NODE_B,
    X86_NODE_L, /* [2] */
};
enum { X86_NODE_SHIFT = 12, X86_NODE_INDEX = 0xfff };

enum x86_map {
    X86_MAP_1,
    X86_MAP_0F,
    X86_MAP_0F38,
    X86_MAP_0F3A,
    X86_MAP_VEX1,
    X86_MAP_VEX2,
    X86_MAP_VEX3,
    X86_MAP_COUNT
};

/* Where an operand comes from: the letters of the enc column. */
enum x86_loc {
    X86_L_REG,
    X86_L_RM,
    X86_L_RMREG,
    X86_L_OPC,
    X86_L_IMM,
    X86_L_REL,
    X86_L_FAR,
    X86_L_MOFFS,
    X86_L_FIXED,
    X86_L_ONE,
    X86_L_SRC,
    X86_L_DST,
    X86_L_VVVV,
};

/* Sizes 0..16 are bytes; the others depend on the instruction. */
enum x86_size {
    X86_S_V = 32,
    X86_S_Z,
    X86_S_Y,
    X86_S_G,
    X86_S_FARPTR,
    X86_S_BOUND,
    X86_S_DESC,
    X86_S_IMM8S, /* one byte, sign-extended */
    X86_S_FIRST = X86_S_V,
};

struct x86_form_operand {
    uint8_t loc;          /* enum x86_loc */
    uint8_t kind;         /* register class as enum x86_kind, or X86_K_MEM for memory only */
    uint8_t rsize, msize; /* enum x86_size: as register, as memory */
    uint8_t fixed;        /* register number for X86_L_FIXED */
};

struct x86_form {
    uint16_t op;
    uint16_t attr;
    uint16_t fallback; /* form to use without the feature; 0: #UD */
    uint8_t feature;
    uint8_t nops;
    uint8_t flags_read, flags_written, flags_undefined;
    struct x86_form_operand opnd[4];
};

extern const uint16_t x86_root[X86_MAP_COUNT * 256];
extern const uint16_t x86_nodes[];
extern const struct x86_form x86_forms[];

#endif
