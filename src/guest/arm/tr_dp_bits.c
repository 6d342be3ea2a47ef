/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A64 instructions on bits and bytes of a register, CRCs, and those that change flags directly. */
#include "guest/arm/cc.h"
#include "guest/arm/insn.h"
#include "guest/arm/tr_int.h"

/* ---- reversals ---- */

/* Groups of n bits swapped pairwise; mask has the lower group of each pair. */
static ir_val swap_groups(struct tr *t, ir_val v, unsigned n, uint64_t mask)
{
    ir_val low = ir_andi(t->b, v, (int64_t)mask);
    ir_val high = ir_andi(t->b, ir_shri(t->b, v, n), (int64_t)mask);

    return ir_or(t->b, ir_shli(t->b, low, n), high);
}

bool tr_rbit(struct tr *t, const struct arg_rr *a)
{
    ir_val v = tr_reg(t, a->sf, a->rn), r;

    r = ir_op1(t->b, IR_BSWAP, v);
    r = swap_groups(t, r, 4, UINT64_C(0x0f0f0f0f0f0f0f0f));
    r = swap_groups(t, r, 2, UINT64_C(0x3333333333333333));
    r = swap_groups(t, r, 1, UINT64_C(0x5555555555555555));
    tr_set_reg(t, a->sf, a->rd, r);
    t->rbit_pc = t->pc;
    t->rbit_reg = (uint8_t)(a->rd | (a->sf ? 32 : 0));
    t->rbit_of = v;
    return true;
}

bool tr_rev16(struct tr *t, const struct arg_rr *a)
{
    tr_set_reg(t, a->sf, a->rd,
               swap_groups(t, tr_reg(t, a->sf, a->rn), 8, UINT64_C(0x00ff00ff00ff00ff)));
    return true;
}

bool tr_rev_w(struct tr *t, const struct arg_rr *a)
{
    tr_set_reg(t, false, a->rd, ir_op1(t->b, IR_BSWAP, tr_reg(t, false, a->rn)));
    return true;
}

bool tr_rev_x(struct tr *t, const struct arg_rr *a)
{
    tr_set_reg(t, true, a->rd, ir_op1(t->b, IR_BSWAP, tr_reg(t, true, a->rn)));
    return true;
}

bool tr_rev32(struct tr *t, const struct arg_rr *a)
{
    tr_set_reg(t, true, a->rd, ir_rori(t->b, ir_op1(t->b, IR_BSWAP, tr_reg(t, true, a->rn)), 32));
    return true;
}

/* ---- counts ---- */

bool tr_clz(struct tr *t, const struct arg_rr *a)
{
    ir_val v;

    /* RBIT, CLZ: trailing zeros, in one instruction */
    if (t->rbit_of && t->rbit_pc + 4 == t->pc && t->rbit_reg == (a->rn | (a->sf ? 32 : 0)) &&
        a->rn != 31 && t->rbit_of > t->block_start)
        v = ir_op1(t->b, IR_CTZ, t->rbit_of);
    else
        v = ir_op1(t->b, IR_CLZ, tr_reg(t, a->sf, a->rn));
    tr_set_reg(t, a->sf, a->rd, v);
    return true;
}

bool tr_cls(struct tr *t, const struct arg_rr *a)
{
    ir_val v = tr_reg(t, a->sf, a->rn);

    v = ir_ori(t->b, ir_xor(t->b, v, ir_shli(t->b, v, 1)), 1);
    tr_set_reg(t, a->sf, a->rd, ir_op1(t->b, IR_CLZ, v));
    return true;
}

/* ---- CRC ---- */

/* The reflected CRC-32 of IEEE 802.3, without inversions. */
static uint64_t crc32(struct a64_cpu *x, uint64_t acc, uint64_t v, uint64_t size)
{
    uint32_t crc = (uint32_t)acc;

    for (unsigned n = 0; n < size; n++) {
        crc ^= (uint8_t)(v >> (n * 8));
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return crc;
}

static const struct helper h_crc32 = { "a64_crc32", (helper_fn *)crc32, "i32 i32 i64 i32",
                                       HELPER_PURE };

static bool bad_crc(const struct arg_crc *a)
{
    return a->sf != (a->sz == 3);
}

bool tr_crc32(struct tr *t, const struct arg_crc *a)
{
    if (bad_crc(a))
        return false;
    tr_set_reg(t, false, a->rd,
               tr_call(t, &h_crc32, tr_reg(t, false, a->rn), tr_reg(t, true, a->rm),
                       tr_c32(t, 1 << a->sz), IR_NO_VAL));
    return true;
}

bool tr_crc32c(struct tr *t, const struct arg_crc *a)
{
    static const uint8_t types[4] = { IR_I8, IR_I16, IR_I32, IR_I64 };
    ir_val v;

    if (bad_crc(a))
        return false;
    v = a->rm == 31 ? ir_const(t->b, types[a->sz], 0)
                    : ir_get_low(t->b, A64_SLOT_X + (unsigned)a->rm, types[a->sz]);
    v = ir_emit(t->b, IR_CRC32C, IR_I32, (unsigned)a->sz, 0, 2, tr_reg(t, false, a->rn), v, 0, 0);
    tr_set_reg(t, false, a->rd, v);
    return true;
}

/* ---- flags ---- */

bool tr_cfinv(struct tr *t, const struct arg_crm *a)
{
    tr_set_nzcv(t, ir_xori(t->b, tr_nzcv(t), A64_C));
    return true;
}

static ir_val flag(struct tr *t, ir_val nzcv, unsigned bit)
{
    return ir_extract(t->b, nzcv, bit, 1);
}

/* From the form of an IEEE compare of x86 kind to Arm's: DDI 0487, XAFLAG. */
bool tr_xaflag(struct tr *t, const struct arg_crm *a)
{
    ir_val f = tr_nzcv(t), z = flag(t, f, 30), c = flag(t, f, 29), n, v, r;

    n = ir_andc(t->b, ir_xori(t->b, c, 1), z); /* !C && !Z */
    v = ir_andc(t->b, z, c);                   /* !C && Z */
    r = ir_shli(t->b, n, 31);
    r = ir_or(t->b, r, ir_shli(t->b, ir_and(t->b, z, c), 30));
    r = ir_or(t->b, r, ir_shli(t->b, ir_or(t->b, c, z), 29));
    tr_set_nzcv(t, ir_or(t->b, r, ir_shli(t->b, v, 28)));
    return true;
}

bool tr_axflag(struct tr *t, const struct arg_crm *a)
{
    ir_val f = tr_nzcv(t), z = flag(t, f, 30), c = flag(t, f, 29), v = flag(t, f, 28), r;

    r = ir_shli(t->b, ir_or(t->b, z, v), 30);
    tr_set_nzcv(t, ir_or(t->b, r, ir_shli(t->b, ir_andc(t->b, c, v), 29)));
    return true;
}

bool tr_rmif(struct tr *t, const struct arg_rmif *a)
{
    ir_val f = tr_nzcv(t), v = ir_rori(t->b, tr_reg(t, true, a->rn), a->shift);
    int64_t mask = (int64_t)a->mask << 28;

    v = ir_andi(t->b, ir_shli(t->b, ir_trunc(t->b, IR_I32, v), 28), mask);
    tr_set_nzcv(t, ir_or(t->b, ir_andi(t->b, f, ~mask), v));
    return true;
}

bool tr_setf(struct tr *t, const struct arg_setf *a)
{
    unsigned top = a->f16 ? 15 : 7;
    ir_val f = tr_nzcv(t), v = tr_reg(t, false, a->rn), low, r;

    low = ir_extract(t->b, v, 0, top + 1);
    r = ir_andi(t->b, f, A64_C);
    r = ir_or(t->b, r, ir_shli(t->b, ir_extract(t->b, v, top, 1), 31));
    r = ir_or(t->b, r, ir_shli(t->b, ir_setcondi(t->b, IR_I32, IR_EQ, low, 0), 30));
    v = ir_xor(t->b, ir_extract(t->b, v, top + 1, 1), ir_extract(t->b, v, top, 1));
    tr_set_nzcv(t, ir_or(t->b, r, ir_shli(t->b, v, 28)));
    return true;
}
