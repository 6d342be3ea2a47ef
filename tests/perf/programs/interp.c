/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An interpreter with indirect jumps: lengths of all Collatz runs below a bound, in byte code. */
#include "bench.h"

enum { PUSH, LOAD, STORE, ADD, SHR, MUL3, ODD, LESS, JZ, JMP, INC, END };

/* clang-format off */
static const uint8_t code[] = {
    PUSH, 1, STORE, 0,                      /*  0: i = 1 */
    LOAD, 0, LOAD, 1, LESS, JZ, 56,         /*  4: while i < limit */
    LOAD, 0, STORE, 2, PUSH, 0, STORE, 3,   /* 11:     x = i, steps = 0 */
    PUSH, 1, LOAD, 2, LESS, JZ, 45,         /* 19:     while 1 < x */
    LOAD, 2, ODD, JZ, 36,                   /* 26: */
    LOAD, 2, MUL3, JMP, 39,                 /* 31:         x = 3x + 1, if odd */
    LOAD, 2, SHR,                           /* 36:         x = x / 2, if even */
    STORE, 2, INC, 3, JMP, 19,              /* 39:         steps++ */
    LOAD, 3, LOAD, 4, ADD, STORE, 4,        /* 45:     sum += steps */
    INC, 0, JMP, 4,                         /* 52:     i++ */
    END,                                    /* 56: */
};
/* clang-format on */

static uint64_t run(const uint8_t *c, uint64_t limit)
{
    static const void *const labels[] = { &&push, &&load, &&store, &&add, &&shr, &&mul3,
                                          &&odd,  &&less, &&jz,    &&jmp, &&inc, &&end };
    uint64_t var[8] = { 0, limit }, stack[16], *sp = stack;
    const uint8_t *pc = c;

#define NEXT goto *labels[*pc++]
    NEXT;
push:
    *sp++ = *pc++;
    NEXT;
load:
    *sp++ = var[*pc++];
    NEXT;
store:
    var[*pc++] = *--sp;
    NEXT;
add:
    sp--;
    sp[-1] += sp[0];
    NEXT;
shr:
    sp[-1] >>= 1;
    NEXT;
mul3:
    sp[-1] = sp[-1] * 3 + 1;
    NEXT;
odd:
    sp[-1] &= 1;
    NEXT;
less:
    sp--;
    sp[-1] = sp[-1] < sp[0];
    NEXT;
jz:
    if (!*--sp)
        pc = c + *pc;
    else
        pc++;
    NEXT;
jmp:
    pc = c + *pc;
    NEXT;
inc:
    var[*pc++]++;
    NEXT;
end:
    return var[4];
}

static uint64_t work(unsigned n)
{
    return run(code, n);
}
