/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bit tests and scans, counts, byte order, CRC32, ADX. */
#include "guest/x86/tr_core.h"
#include "guest/x86/x86_tr.h"

/* ---- BT BTS BTR BTC ---- */

/* Register bit offset with a memory operand: the bit string reaches beyond the operand, in both
 * directions. The offset in bytes from the operand's address, i64. */
static ir_val bit_string_offset(struct tr *t, const struct x86_insn *i, ir_val index)
{
    unsigned log2_bits = tr_log2(i->opsize) + 3;
    ir_val units = ir_sari(t->b, ir_sext(t->b, IR_I64, index), log2_bits);

    return ir_shli(t->b, units, tr_log2(i->opsize));
}

static ir_val bit_address(struct tr *t, const struct x86_insn *i, ir_val index,
                          enum cpu_access access)
{
    ir_val ea = tr_ea(t, i);

    if (i->opnd[1].kind != X86_K_IMM) {
        ea = ir_add(t->b, ea, bit_string_offset(t, i, index));
        if (i->addrsize != 8)
            ea = ir_andi(t->b, ea, i->addrsize == 4 ? UINT32_MAX : UINT16_MAX);
    }
    return tr_seg_addr(t, i->mem.seg, ea, i->opsize, access);
}

static ir_val bit_changed(struct tr *t, unsigned op, ir_val v, ir_val mask)
{
    switch (op) {
    case X86_OP_BTS: return ir_or(t->b, v, mask);
    case X86_OP_BTR: return ir_andc(t->b, v, mask);
    default: return ir_xor(t->b, v, mask);
    }
}

static ir_val bit_atomic(struct tr *t, unsigned op, ir_val addr, ir_val mask)
{
    switch (op) {
    case X86_OP_BTS: return tr_atomic(t, IR_AT_OR, addr, mask, IR_NO_VAL);
    case X86_OP_BTR: return tr_atomic(t, IR_AT_AND, addr, ir_not(t->b, mask), IR_NO_VAL);
    default: return tr_atomic(t, IR_AT_XOR, addr, mask, IR_NO_VAL);
    }
}

/* The old value of operand 0; stores the changed one unless it is BT. */
static ir_val bit_operand(struct tr *t, const struct x86_insn *i, ir_val index, ir_val mask)
{
    enum ir_type type = tr_type(i->opsize);
    unsigned log2_size = tr_log2(i->opsize);
    bool write = i->op != X86_OP_BT;

    if (i->opnd[0].kind != X86_K_MEM) {
        ir_val v = tr_get(t, i, 0);
        if (write)
            tr_set(t, i, 0, bit_changed(t, i->op, v, mask));
        return v;
    }
    ir_val addr = bit_address(t, i, index, write ? CPU_WRITE : CPU_READ);
    if (!write)
        return tr_load(t, type, addr, log2_size);
    if (i->lock)
        return bit_atomic(t, i->op, addr, mask);
    if (t->req->slow) {
        ir_val v = tr_load(t, type, addr, log2_size);
        tr_store(t, addr, bit_changed(t, i->op, v, mask), log2_size);
        return v;
    }
    ir_val host = ir_xlate(t->b, addr, 0, log2_size | IR_MEM_WRITE);
    ir_val v = ir_ldh(t->b, type, host, 0, log2_size);
    ir_sth(t->b, host, 0, bit_changed(t, i->op, v, mask), log2_size);
    return v;
}

/* 16-bit values in 32 bits: shifts want i32 or i64. */
static ir_val at_least_32(struct tr *t, ir_val v)
{
    return ir_type_of(t->b, v) < IR_I32 ? ir_zext(t->b, IR_I32, v) : v;
}

static bool bit_test(struct tr *t, const struct x86_insn *i)
{
    enum ir_type type = tr_type(i->opsize);
    bool is_const = i->opnd[1].kind == X86_K_IMM;
    unsigned width = i->opsize * 8, n = (unsigned)i->imm & (width - 1);
    ir_val index = is_const ? IR_NO_VAL : tr_get(t, i, 1);
    ir_val pos = is_const ? ir_const(t->b, IR_I8, n)
                          : ir_andi(t->b, ir_trunc(t->b, IR_I8, index), width - 1);
    ir_val one = ir_const(t->b, type < IR_I32 ? IR_I32 : type, 1);
    ir_val mask = is_const ? ir_const(t->b, type, (int64_t)BIT(n))
                           : ir_trunc(t->b, type, ir_shl(t->b, one, pos));
    ir_val v = at_least_32(t, bit_operand(t, i, index, mask));
    ir_val bit = is_const ? ir_extract(t->b, v, n, 1) : ir_andi(t->b, ir_shr(t->b, v, pos), 1);

    tr_cc_carry(t, ir_trunc(t->b, IR_I32, bit));
    return true;
}

bool tr_bt(struct tr *t, const struct x86_insn *i)
{
    return bit_test(t, i);
}
bool tr_bts(struct tr *t, const struct x86_insn *i)
{
    return bit_test(t, i);
}
bool tr_btr(struct tr *t, const struct x86_insn *i)
{
    return bit_test(t, i);
}
bool tr_btc(struct tr *t, const struct x86_insn *i)
{
    return bit_test(t, i);
}

/* ---- BSF BSR TZCNT LZCNT POPCNT ---- */

/* Destination unchanged, all 64 bits, when the source is 0. ZF says so; the other flags (undefined)
 * are those of TEST src, src. */
static void set_scan_result(struct tr *t, const struct x86_insn *i, ir_val src, ir_val r)
{
    unsigned slot = X86_SLOT_GPR + i->opnd[0].reg;
    ir_val whole = ir_get(t->b, slot), wide = ir_zext(t->b, IR_I64, r);

    if (i->opsize == 2)
        wide = ir_deposit(t->b, whole, wide, 0, 16);
    ir_put(t->b, slot,
           ir_select(t->b, IR_EQ, src, ir_const(t->b, ir_type_of(t->b, src), 0), whole, wide));
    tr_cc(t, X86_CC_LOGIC, i->opsize, src, IR_NO_VAL, IR_NO_VAL);
}

bool tr_bsf(struct tr *t, const struct x86_insn *i)
{
    ir_val src = tr_get(t, i, 1);

    set_scan_result(t, i, src, ir_op1(t->b, IR_CTZ, at_least_32(t, src)));
    return true;
}

bool tr_bsr(struct tr *t, const struct x86_insn *i)
{
    ir_val src = tr_get(t, i, 1);
    ir_val wide = at_least_32(t, src);
    int64_t top = ir_type_of(t->b, wide) == IR_I64 ? 63 : 31;

    set_scan_result(t, i, src, ir_xori(t->b, ir_op1(t->b, IR_CLZ, wide), top));
    return true;
}

/* CF: the source is 0. ZF: the result is 0. The others (undefined): 0. */
static void set_count_result(struct tr *t, const struct x86_insn *i, ir_val src, ir_val r)
{
    ir_val cf = ir_setcondi(t->b, IR_I32, IR_EQ, src, 0);
    ir_val zf = ir_setcondi(t->b, IR_I32, IR_EQ, r, 0);

    tr_set(t, i, 0, ir_trunc(t->b, tr_type(i->opsize), r));
    tr_cc_flags(t, ir_or(t->b, cf, ir_shli(t->b, zf, 6)));
}

bool tr_tzcnt(struct tr *t, const struct x86_insn *i)
{
    ir_val src = tr_get(t, i, 1);
    ir_val wide = i->opsize == 2 ? ir_ori(t->b, at_least_32(t, src), 0x10000) : src;

    set_count_result(t, i, src, ir_op1(t->b, IR_CTZ, wide));
    return true;
}

bool tr_lzcnt(struct tr *t, const struct x86_insn *i)
{
    ir_val src = tr_get(t, i, 1);
    ir_val r = ir_op1(t->b, IR_CLZ, at_least_32(t, src));

    set_count_result(t, i, src, i->opsize == 2 ? ir_addi(t->b, r, -16) : r);
    return true;
}

bool tr_popcnt(struct tr *t, const struct x86_insn *i)
{
    ir_val src = tr_get(t, i, 1);
    ir_val r = ir_op1(t->b, IR_POPCNT, at_least_32(t, src));

    tr_set(t, i, 0, ir_trunc(t->b, tr_type(i->opsize), r));
    tr_cc_flags(t, ir_shli(t->b, ir_setcondi(t->b, IR_I32, IR_EQ, src, 0), 6));
    return true;
}

/* ---- byte order ---- */

bool tr_bswap(struct tr *t, const struct x86_insn *i)
{
    if (i->opsize == 2) /* undefined; processors clear it */
        tr_set(t, i, 0, ir_const(t->b, IR_I16, 0));
    else
        tr_set(t, i, 0, ir_op1(t->b, IR_BSWAP, tr_get(t, i, 0)));
    return true;
}

bool tr_movbe(struct tr *t, const struct x86_insn *i)
{
    tr_set(t, i, 0, ir_op1(t->b, IR_BSWAP, tr_get(t, i, 1)));
    return true;
}

/* ---- CRC32 ---- */

bool tr_crc32(struct tr *t, const struct x86_insn *i)
{
    ir_val data = ir_zext(t->b, IR_I64, tr_get(t, i, 1));
    ir_val crc = tr_reg(t, 4, i->opnd[0].reg);

    tr_set_reg(t, 4, i->opnd[0].reg, ir_crc32c(t->b, crc, data, tr_log2(i->opnd[1].size)));
    return true;
}

/* ---- ADCX ADOX: each with its own carry, the other flags stay ---- */

static bool add_with_flag(struct tr *t, const struct x86_insn *i, uint32_t flag)
{
    enum ir_type type = tr_type(i->opnd[0].size);
    unsigned pos = (unsigned)__builtin_ctz(flag);
    ir_val b = tr_get(t, i, 1), a = tr_get(t, i, 0);
    ir_val flags = tr_cc_compute(t);
    ir_val cin = ir_extract(t->b, flags, pos, 1);
    ir_val cin_wide = type == IR_I64 ? ir_zext(t->b, IR_I64, cin) : cin;
    ir_val r = ir_add(t->b, ir_add(t->b, a, b), cin_wide);
    ir_val less = ir_setcond(t->b, IR_I32, IR_LTU, r, a);
    ir_val carry = ir_or(t->b, less, ir_and(t->b, ir_setcond(t->b, IR_I32, IR_EQ, r, a), cin));

    tr_set(t, i, 0, r);
    tr_cc_flags(t, ir_deposit(t->b, flags, carry, pos, 1));
    return true;
}

bool tr_adcx(struct tr *t, const struct x86_insn *i)
{
    return add_with_flag(t, i, X86_CF);
}

bool tr_adox(struct tr *t, const struct x86_insn *i)
{
    return add_with_flag(t, i, X86_OF);
}
