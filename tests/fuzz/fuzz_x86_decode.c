/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libFuzzer target: any bytes through the x86 decoder in all three modes, against capstone, and at
 * every truncation: a prefix of an instruction is MORE, never another instruction.
 */
#include <stdio.h>
#include <stdlib.h>

#include "x86_capstone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static csh handles[3];
static cs_insn *scratch[3];

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const cs_mode modes[3] = { CS_MODE_16, CS_MODE_32, CS_MODE_64 };
    struct x86_insn full, part;
    uint8_t code[16] = { 0 };
    char why[400];

    memcpy(code, data, MIN(size, (size_t)15));
    for (unsigned m = 0; m < 3; m++) {
        if (!scratch[m]) {
            check(cs_open(CS_ARCH_X86, modes[m], &handles[m]) == CS_ERR_OK, "cs_open");
            scratch[m] = cs_malloc(handles[m]);
        }
        check(same_as_capstone(handles[m], scratch[m], code, 15, 16 << m, why, sizeof(why)), why);
        if (x86_decode(&full, code, 15, 16 << m, ~UINT64_C(0)) != X86_DECODE_OK)
            continue;
        check(full.len >= 1 && full.len <= 15, "length out of range");
        for (unsigned n = 0; n < full.len; n++) {
            uint8_t *exact = malloc(n + !n); /* so that ASan sees a byte too many */
            memcpy(exact, code, n);
            check(x86_decode(&part, exact, n, 16 << m, ~UINT64_C(0)) == X86_DECODE_MORE,
                  "truncated, yet not MORE");
            free(exact);
        }
    }
    return 0;
}
