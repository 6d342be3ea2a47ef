/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A64 system instructions as EL0 has them: hints, system registers, cache maintenance. What EL0 may
 * not do is UNDEFINED, as Linux leaves it.
 */
#include <sys/random.h>
#include <time.h>

#include "guest/arm/cc.h"
#include "guest/arm/insn.h"
#include "guest/arm/models.h"
#include "guest/arm/tr_int.h"
#include "guest/arm/tr_pac.h"

bool tr_nop(struct tr *t, const struct arg_none *a)
{
    return true;
}

bool tr_yield(struct tr *t, const struct arg_none *a)
{
    return true;
}

bool tr_wfe(struct tr *t, const struct arg_none *a)
{
    return true;
}

bool tr_wfi(struct tr *t, const struct arg_none *a)
{
    return true;
}

bool tr_isb(struct tr *t, const struct arg_crm *a)
{
    if (!t->req->user)
        tr_end_next(t);
    return true;
}

/* ---- hints ---- */

enum { /* CRm:op2 */
       HINT_XPACLRI = 7,
       HINT_PACIA1716 = 8,
       HINT_PACIB1716 = 10,
       HINT_AUTIA1716 = 12,
       HINT_AUTIB1716 = 14,
       HINT_PACIAZ = 24, /* to 31: Z or SP, A or B, PAC or AUT */
};

/* PACIAZ, PACIASP, PACIBZ, PACIBSP, AUTIAZ, AUTIASP, AUTIBZ, AUTIBSP: on X30 */
static void pac_link(struct tr *t, unsigned hint)
{
    ir_val v = tr_reg(t, true, 30), modifier = hint & 1 ? tr_reg_sp(t, true, 31) : tr_c64(t, 0);
    enum a64_pac_key key = hint & 2 ? A64_KEY_IB : A64_KEY_IA;

    v = hint & 4 ? tr_pac_auth(t, key, v, modifier) : tr_pac_add(t, key, v, modifier);
    tr_set_reg(t, true, 30, v);
}

/* PACIA1716 and so on: on X17 with X16. */
static void pac_1716(struct tr *t, unsigned hint)
{
    ir_val v = tr_reg(t, true, 17), modifier = tr_reg(t, true, 16);
    enum a64_pac_key key = hint & 2 ? A64_KEY_IB : A64_KEY_IA;

    v = hint & 4 ? tr_pac_auth(t, key, v, modifier) : tr_pac_add(t, key, v, modifier);
    tr_set_reg(t, true, 17, v);
}

bool tr_hint(struct tr *t, const struct arg_hint *a)
{
    unsigned hint = (unsigned)a->hint;

    if (!tr_has(t, A64_FEAT_PAUTH))
        return true;
    if (hint == HINT_XPACLRI)
        tr_set_reg(t, true, 30, tr_pac_strip(t, tr_reg(t, true, 30)));
    else if (hint >= HINT_PACIAZ && hint < HINT_PACIAZ + 8)
        pac_link(t, hint);
    else if (hint == HINT_PACIA1716 || hint == HINT_PACIB1716 || hint == HINT_AUTIA1716 ||
             hint == HINT_AUTIB1716)
        pac_1716(t, hint);
    return true;
}

/* ---- system registers ---- */

/* op0:op1:CRn:CRm:op2 as in bits 20..5 */
#define KEY(op0, op1, n, m, op2) ((op0) << 14 | (op1) << 11 | (n) << 7 | (m) << 3 | (op2))
enum {
    REG_RNDR = KEY(3, 3, 2, 4, 0),
    REG_RNDRRS = KEY(3, 3, 2, 4, 1),
    REG_NZCV = KEY(3, 3, 4, 2, 0),
    REG_DIT = KEY(3, 3, 4, 2, 5),
    REG_SSBS = KEY(3, 3, 4, 2, 6),
    REG_FPCR = KEY(3, 3, 4, 4, 0),
    REG_FPSR = KEY(3, 3, 4, 4, 1),
    REG_TPIDR_EL0 = KEY(3, 3, 13, 0, 2),
    REG_TPIDRRO_EL0 = KEY(3, 3, 13, 0, 3),
    REG_CNTFRQ = KEY(3, 3, 14, 0, 0),
    REG_CNTVCT = KEY(3, 3, 14, 0, 2),
    SYS_DC_ZVA = KEY(1, 3, 7, 4, 1),
    SYS_IC_IVAU = KEY(1, 3, 7, 5, 1),
    SYS_DC_CVAC = KEY(1, 3, 7, 10, 1),
    SYS_DC_CVAU = KEY(1, 3, 7, 11, 1),
    SYS_DC_CVAP = KEY(1, 3, 7, 12, 1),
    SYS_DC_CVADP = KEY(1, 3, 7, 13, 1),
    SYS_DC_CIVAC = KEY(1, 3, 7, 14, 1),
};

static uint64_t do_cntvct(struct a64_cpu *x)
{
    struct timespec ts;

    if (!x->user)
        return (uint64_t)cpu_now_ns(&x->c) / (1000000000 / A64_CNTFRQ);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ((uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec) / (1000000000 / A64_CNTFRQ);
}

static uint64_t do_fpsr_read(struct a64_cpu *x)
{
    a64_fpsr_watch(&x->c);
    return a64_fpsr_read(&x->c);
}

static void do_fpsr_write(struct a64_cpu *x, uint64_t v)
{
    a64_fpsr_watch(&x->c);
    a64_fpsr_write(&x->c, (uint32_t)v);
}

static void do_fpcr_write(struct a64_cpu *x, uint64_t v)
{
    a64_fpcr_write(&x->c, (uint32_t)v);
}

static uint64_t do_random(struct a64_cpu *x)
{
    uint64_t v = 0;

    if (getrandom(&v, sizeof(v), 0) != sizeof(v)) {
        x->cc_a = A64_Z; /* no number this time */
        return 0;
    }
    x->cc_a = 0;
    return v;
}

static const struct helper h_cntvct = { "a64_cntvct", (helper_fn *)do_cntvct, "i64",
                                        HELPER_NO_RAISE };
static const struct helper h_fpsr_read = { "a64_fpsr_read", (helper_fn *)do_fpsr_read, "i32",
                                           HELPER_NO_RAISE };
static const struct helper h_fpsr_write = { "a64_fpsr_write", (helper_fn *)do_fpsr_write, "- i32",
                                            HELPER_NO_RAISE };
static const struct helper h_fpcr_write = { "a64_fpcr_write", (helper_fn *)do_fpcr_write, "- i32",
                                            HELPER_NO_RAISE };
static const struct helper h_random = { "a64_random", (helper_fn *)do_random, "i64",
                                        HELPER_NO_RAISE };

static ir_val call0(struct tr *t, const struct helper *h)
{
    return tr_call(t, h, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
}

static ir_val random_number(struct tr *t)
{
    tr_cc(t, A64_CC_NZCV, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL); /* the helper puts cc_a */
    return call0(t, &h_random);
}

static ir_val u32(struct tr *t, ir_val v)
{
    return ir_zext(t->b, IR_I64, v);
}

/* Value of a register at EL0, i64; IR_NO_VAL: UNDEFINED. */
static ir_val read_register(struct tr *t, unsigned key)
{
    uint64_t id;

    switch (key) {
    case REG_NZCV: return u32(t, tr_nzcv(t));
    case REG_FPCR: return u32(t, ir_get(t->b, A64_SLOT_FPCR));
    case REG_FPSR: return u32(t, call0(t, &h_fpsr_read));
    case REG_TPIDR_EL0: return ir_get(t->b, A64_SLOT_TPIDR_EL0);
    case REG_TPIDRRO_EL0: return ir_get(t->b, A64_SLOT_TPIDRRO_EL0);
    case REG_CNTFRQ: return tr_c64(t, A64_CNTFRQ);
    case REG_CNTVCT: return call0(t, &h_cntvct);
    case REG_RNDR:
    case REG_RNDRRS: return tr_has(t, A64_FEAT_RNG) ? random_number(t) : IR_NO_VAL;
    case REG_DIT: return tr_has(t, A64_FEAT_DIT) ? u32(t, ir_get(t->b, A64_SLOT_DIT)) : IR_NO_VAL;
    case REG_SSBS:
        return tr_has(t, A64_FEAT_SSBS) ? u32(t, ir_get(t->b, A64_SLOT_SSBS)) : IR_NO_VAL;
    default: return a64_id_register(t->a, key, &id) ? tr_c64(t, (int64_t)id) : IR_NO_VAL;
    }
}

bool tr_mrs(struct tr *t, const struct arg_sys *a)
{
    ir_val v;

    if ((a->op == REG_FPCR || a->op == REG_FPSR) && !tr_fp_check(t))
        return true;
    v = read_register(t, (unsigned)a->op);
    if (!v)
        return false;
    tr_set_reg(t, true, (unsigned)a->rt, v);
    if (a->op == REG_FPSR) /* it may have begun to watch the flags */
        tr_end_next(t);
    return true;
}

static void put_bit(struct tr *t, unsigned slot, ir_val v, int64_t bit)
{
    ir_put(t->b, slot, ir_andi(t->b, v, bit));
}

bool tr_msr(struct tr *t, const struct arg_sys *a)
{
    ir_val v = tr_reg(t, true, (unsigned)a->rt), low = ir_trunc(t->b, IR_I32, v);

    switch (a->op) {
    case REG_NZCV: tr_set_nzcv(t, ir_andi(t->b, low, (int64_t)0xf0000000)); return true;
    case REG_TPIDR_EL0: ir_put(t->b, A64_SLOT_TPIDR_EL0, v); return true;
    case REG_FPCR:
    case REG_FPSR:
        if (!tr_fp_check(t))
            return true;
        tr_call(t, a->op == REG_FPCR ? &h_fpcr_write : &h_fpsr_write, low, IR_NO_VAL, IR_NO_VAL,
                IR_NO_VAL);
        tr_end_next(t); /* the mode may have changed */
        return true;
    case REG_DIT:
        if (tr_has(t, A64_FEAT_DIT))
            put_bit(t, A64_SLOT_DIT, low, 1 << 24);
        return tr_has(t, A64_FEAT_DIT);
    case REG_SSBS:
        if (tr_has(t, A64_FEAT_SSBS))
            put_bit(t, A64_SLOT_SSBS, low, 1 << 12);
        return tr_has(t, A64_FEAT_SSBS);
    default: return false;
    }
}

bool tr_msr_ssbs(struct tr *t, const struct arg_crm *a)
{
    ir_put(t->b, A64_SLOT_SSBS, tr_c32(t, (a->crm & 1) << 12));
    return true;
}

bool tr_msr_dit(struct tr *t, const struct arg_crm *a)
{
    ir_put(t->b, A64_SLOT_DIT, tr_c32(t, (a->crm & 1) << 24));
    return true;
}

/* ---- SYS ---- */

enum { LINE = 64 }; /* bytes: of DC ZVA and of cache lines (models.c says so to the guest) */

static bool zero_line(struct tr *t, unsigned rt)
{
    ir_val addr = ir_andi(t->b, tr_reg(t, true, rt), -LINE);

    for (unsigned n = 0; n < LINE; n += 16)
        tr_store(t, addr, n, ir_vconst(t->b, 0), 4);
    return true;
}

static void do_ic_ivau(struct a64_cpu *x, uint64_t addr)
{
    if (x->user)
        cpu_code_written(&x->c, addr & ~(uint64_t)(LINE - 1), LINE);
}

static const struct helper h_ic_ivau = { "a64_ic_ivau", (helper_fn *)do_ic_ivau, "- i64",
                                         HELPER_NO_RAISE };

/* Writes to code are seen by themselves, but not those through another mapping of the page. */
static bool invalidate_code(struct tr *t, unsigned rt)
{
    tr_call(t, &h_ic_ivau, tr_addr(t, tr_reg(t, true, rt), 0), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    tr_end_next(t);
    return true;
}

/* Nothing to clean, but the address must be readable. */
static bool clean_line(struct tr *t, unsigned rt)
{
    tr_load(t, IR_I32, tr_reg(t, true, rt), 0, 0);
    return true;
}

bool tr_sys(struct tr *t, const struct arg_sys *a)
{
    unsigned rt = (unsigned)a->rt;

    switch (a->op) {
    case SYS_DC_ZVA: return zero_line(t, rt);
    case SYS_IC_IVAU: return invalidate_code(t, rt);
    case SYS_DC_CVAP: return tr_has(t, A64_FEAT_DPB) && clean_line(t, rt);
    case SYS_DC_CVADP: return tr_has(t, A64_FEAT_DPB2) && clean_line(t, rt);
    case SYS_DC_CVAC:
    case SYS_DC_CVAU:
    case SYS_DC_CIVAC: return clean_line(t, rt);
    default: return false;
    }
}

bool tr_sysl(struct tr *t, const struct arg_sys *a)
{
    return false;
}
