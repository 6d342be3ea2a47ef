/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The x86 decoder: chosen encodings with every field checked, and random bytes against capstone. */
#include "guest/x86/decode.h"

#include <stdlib.h>

#include "test.h"

#define ALL (~UINT64_C(0))

static struct x86_insn insn;

/* Decode bytes given as text; the result, and the instruction in `insn`. */
static enum x86_decode_result decode(unsigned mode_bits, const char *hex, uint64_t features)
{
    uint8_t buf[32];
    size_t n = 0;
    char *end;

    for (const char *s = hex; *s; s = end, n++)
        buf[n] = strtoul(s, &end, 16);
    return x86_decode(&insn, buf, n, mode_bits, features);
}

TEST(lengths_and_limits)
{
    CHECK_EQ(decode(64, "90", ALL), X86_DECODE_OK);
    CHECK_EQ(decode(64, "0f", ALL), X86_DECODE_MORE);
    CHECK_EQ(decode(64, "48 8b 84 c8 01 02 03", ALL), X86_DECODE_MORE);
    CHECK_EQ(decode(64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.len, 15);
    CHECK_EQ(decode(64, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", ALL),
             X86_DECODE_TOO_LONG);
    CHECK_EQ(decode(64, "66 66 66 66 66 66 66 66 66 81 00 01 02 03 04", ALL), X86_DECODE_OK);
    CHECK_EQ(decode(64, "2e 66 66 66 66 66 66 48 81 84 c8 01 02 03 04 05 06 07 08", ALL),
             X86_DECODE_TOO_LONG);
    CHECK_EQ(decode(64, "0f 0b", ALL), X86_DECODE_OK);
    CHECK_EQ(decode(64, "06", ALL), X86_DECODE_INVALID);
    CHECK_EQ(decode(32, "06", ALL), X86_DECODE_OK);
}

TEST(memory_operands)
{
    CHECK_EQ(decode(64, "4a 8b 84 c8 44 33 22 f1", ALL),
             X86_DECODE_OK); /* mov rax, [rax+r9*8-0xeddccbc] */
    CHECK_EQ(insn.op, X86_OP_MOV);
    CHECK_EQ(insn.opsize, 8);
    CHECK_EQ(insn.mem.base, 0);
    CHECK_EQ(insn.mem.index, 9);
    CHECK_EQ(insn.mem.scale, 3);
    CHECK_EQ((int32_t)insn.mem.disp, (int32_t)0xf1223344);
    CHECK(insn.mem.disp < 0);
    CHECK_EQ(decode(64, "64 89 0d 04 00 00 00", ALL), X86_DECODE_OK); /* mov fs:[rip+4], ecx */
    CHECK(insn.mem.rip_relative);
    CHECK_EQ(insn.mem.seg, 4);
    CHECK_EQ(insn.opnd[1].reg, 1);
    CHECK_EQ(decode(64, "2e 8b 45 f8", ALL), X86_DECODE_OK); /* CS override counts for nothing */
    CHECK_EQ(insn.seg, X86_NO_REG);
    CHECK_EQ(insn.mem.seg, 2);
    CHECK_EQ(decode(16, "8b 82 34 12", ALL), X86_DECODE_OK); /* mov ax, [bp+si+0x1234] */
    CHECK_EQ(insn.addrsize, 2);
    CHECK_EQ(insn.mem.base, 5);
    CHECK_EQ(insn.mem.index, 6);
    CHECK_EQ(insn.mem.seg, 2);
    CHECK_EQ(insn.mem.disp, 0x1234);
    CHECK_EQ(decode(16, "67 66 8b 04 24", ALL), X86_DECODE_OK); /* mov eax, [esp] */
    CHECK_EQ(insn.addrsize, 4);
    CHECK_EQ(insn.opsize, 4);
    CHECK_EQ(insn.mem.index, X86_NO_REG);
    CHECK_EQ(decode(64, "48 a1 88 77 66 55 44 33 22 11", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.mem.disp, 0x1122334455667788);
    CHECK_EQ(insn.opnd[0].kind, X86_K_GPR);
    CHECK_EQ(decode(32, "a2 f0 ff ff ff", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.mem.disp, 0xfffffff0);
    CHECK_EQ(insn.opsize, 1);
}

TEST(operand_kinds)
{
    CHECK_EQ(decode(64, "88 e0", ALL), X86_DECODE_OK); /* mov al, ah */
    CHECK_EQ(insn.opnd[1].kind, X86_K_GPRH);
    CHECK_EQ(insn.opnd[1].reg, 0);
    CHECK_EQ(decode(64, "40 88 e0", ALL), X86_DECODE_OK); /* mov al, spl */
    CHECK_EQ(insn.opnd[1].kind, X86_K_GPR);
    CHECK_EQ(insn.opnd[1].reg, 4);
    CHECK_EQ(decode(64, "48 66 01 c3", ALL),
             X86_DECODE_OK); /* REX before a prefix does not count */
    CHECK_EQ(insn.opsize, 2);
    CHECK_EQ(decode(64, "48 b8 88 77 66 55 44 33 22 f1", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.imm, (int64_t)0xf122334455667788);
    CHECK_EQ(decode(64, "48 83 c0 ff", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.imm, -1);
    CHECK_EQ(insn.opnd[1].size, 8);
    CHECK_EQ(decode(64, "c8 34 12 07", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.imm, 0x1234);
    CHECK_EQ(insn.imm2, 7);
    CHECK_EQ(insn.opnd[1].kind, X86_K_IMM2);
    CHECK_EQ(decode(16, "ea 34 12 78 56", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.imm, 0x1234);
    CHECK_EQ(insn.imm2, 0x5678);
    CHECK_EQ(decode(64, "66 44 0f 7f 0c 24", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.op, X86_OP_MOVDQA);
    CHECK_EQ(insn.opnd[1].reg, 9);
    CHECK(insn.attr & X86_A_ALIGN);
    CHECK_EQ(decode(64, "0f 20 1b", ALL), X86_DECODE_OK); /* mod is ignored: mov rbx, cr3 */
    CHECK_EQ(insn.opnd[0].kind, X86_K_GPR);
    CHECK_EQ(insn.opnd[0].size, 8);
    CHECK_EQ(insn.len, 3);
    CHECK_EQ(decode(64, "0f 22 c8", ALL), X86_DECODE_INVALID); /* CR1 */
    CHECK_EQ(decode(32, "8e c8", ALL), X86_DECODE_INVALID);    /* mov cs, ax */
    CHECK_EQ(decode(64, "48 6d", ALL), X86_DECODE_OK);         /* insd */
    CHECK_EQ(insn.opsize, 4);
    CHECK_EQ(decode(64, "f3 66 a5", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.opsize, 2);
    CHECK_EQ(insn.rep, 0xf3);
    CHECK_EQ(decode(64, "ff 30", ALL), X86_DECODE_OK); /* push qword [rax] */
    CHECK_EQ(insn.opsize, 8);
    CHECK_EQ(decode(64, "d9 c3", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.opnd[0].kind, X86_K_ST);
    CHECK_EQ(insn.opnd[0].reg, 3);
    CHECK_EQ(decode(64, "f3 0f 1e fa", ALL), X86_DECODE_OK); /* endbr64 */
    CHECK_EQ(insn.op, X86_OP_NOP);
}

TEST(lock)
{
    CHECK_EQ(decode(64, "f0 48 01 08", ALL), X86_DECODE_OK);
    CHECK(insn.lock);
    CHECK_EQ(decode(64, "f0 48 01 c8", ALL), X86_DECODE_INVALID); /* register destination */
    CHECK_EQ(decode(64, "f0 48 03 08", ALL), X86_DECODE_INVALID);
    CHECK_EQ(decode(64, "f0 48 39 08", ALL), X86_DECODE_INVALID); /* cmp */
    CHECK_EQ(decode(64, "f0 0f b1 08", ALL), X86_DECODE_OK);
    CHECK_EQ(decode(64, "f0 48 0f c7 08", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.op, X86_OP_CMPXCHG16B);
    CHECK_EQ(decode(64, "f0 90", ALL), X86_DECODE_INVALID);
}

TEST(features)
{
    CHECK_EQ(decode(64, "f3 0f bc c1", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.op, X86_OP_TZCNT);
    CHECK_EQ(decode(64, "f3 0f bc c1", 0), X86_DECODE_OK);
    CHECK_EQ(insn.op, X86_OP_BSF);
    CHECK_EQ(decode(64, "f3 0f b8 c1", 0), X86_DECODE_INVALID);
    CHECK_EQ(decode(64, "66 0f 38 dc c1", ALL & ~(UINT64_C(1) << X86_IFEAT_AES)),
             X86_DECODE_INVALID);
    CHECK_EQ(decode(64, "c5 f8 58 c1", ALL), X86_DECODE_INVALID); /* AVX: not yet */
    CHECK_EQ(decode(32, "c5 08", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.op, X86_OP_LDS);
}

TEST(flags)
{
    CHECK_EQ(decode(64, "11 c8", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.flags_read, X86_IF_C);
    CHECK_EQ(insn.flags_written, X86_IF_OSZAPC);
    CHECK_EQ(decode(64, "7e 00", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.flags_read, X86_IF_O | X86_IF_S | X86_IF_Z);
    CHECK_EQ(insn.opcode & 15, 14);
    CHECK_EQ(decode(64, "48 ff c0", ALL), X86_DECODE_OK);
    CHECK_EQ(insn.flags_written, X86_IF_OSZAPC & ~X86_IF_C);
}

#ifdef RHEA_CAPSTONE
#include "../fuzz/x86_capstone.h"

static uint64_t rnd_state = 88172645463325252;

static uint64_t rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    return rnd_state ^= rnd_state << 17;
}

/* Random bytes, biased towards prefixes and the 0F maps. */
static void random_code(uint8_t *b)
{
    static const uint8_t prefixes[] = { 0x66, 0xf2, 0xf3, 0x48, 0x41, 0x67, 0xf0, 0x2e, 0x4f };
    uint64_t r = rnd(), bytes[2] = { rnd(), rnd() };
    unsigned n = 0;

    memcpy(b, bytes, 16);
    if (r & 1)
        b[n++] = prefixes[(r >> 8) % sizeof(prefixes)];
    if ((r & 6) == 6)
        b[n++] = prefixes[(r >> 16) % sizeof(prefixes)];
    if (r & 8) {
        b[n++] = 0x0f;
        if ((r & 0x60) == 0)
            b[n] = r & 0x10 ? 0x38 : 0x3a;
    }
}

TEST(against_capstone)
{
    const char *count = getenv("X86_DECODE_COUNT");
    unsigned long want = count ? strtoul(count, NULL, 0) : 200000;
    unsigned reported = 0;

    for (unsigned mode_bits = 16; mode_bits <= 64; mode_bits *= 2) {
        csh handle;
        if (cs_open(CS_ARCH_X86,
                    mode_bits == 16   ? CS_MODE_16
                    : mode_bits == 32 ? CS_MODE_32
                                      : CS_MODE_64,
                    &handle) != CS_ERR_OK) {
            TEST_FAIL("cs_open");
            return;
        }
        cs_insn *cs = cs_malloc(handle);
        for (unsigned long k = 0; k < want && reported < 20; k++) {
            uint8_t code[16];
            char why[400];
            random_code(code);
            if (!same_as_capstone(handle, cs, code, 15, mode_bits, why, sizeof(why))) {
                TEST_FAIL("%s", why);
                reported++;
            }
        }
        cs_free(cs, 1);
        cs_close(&handle);
    }
}
#endif
