/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decimal arithmetic, BOUND, ARPL, hints, fences, cache lines, random numbers, undefined opcodes.
 */
#include <sys/random.h>

#include "guest/x86/tr_core.h"
#include "guest/x86/x86_tr.h"

/* ---- decimal arithmetic: AX and flags in, AX | flags << 32 out ---- */

static uint64_t with_flags(uint32_t ax, uint32_t flags)
{
    uint8_t al = (uint8_t)ax;

    if (!al)
        flags |= X86_ZF;
    if (al & 0x80)
        flags |= X86_SF;
    if (!(__builtin_popcount(al) & 1))
        flags |= X86_PF;
    return (uint16_t)ax | (uint64_t)flags << 32;
}

static uint64_t decimal_adjust(uint32_t ax, uint32_t flags, bool subtract)
{
    uint8_t old_al = (uint8_t)ax, al = old_al;
    bool af = flags & X86_AF || (old_al & 15) > 9, cf = flags & X86_CF || old_al > 0x99;

    if (af)
        al += subtract ? -6 : 6;
    bool wrapped = subtract && af && old_al < 6;
    if (cf)
        al += subtract ? -0x60 : 0x60;
    return with_flags((ax & 0xff00) | al, (af ? X86_AF : 0) | (cf || wrapped ? X86_CF : 0));
}

static uint64_t do_daa(struct x86_cpu *x, uint64_t ax, uint64_t flags)
{
    return decimal_adjust((uint32_t)ax, (uint32_t)flags, false);
}

static uint64_t do_das(struct x86_cpu *x, uint64_t ax, uint64_t flags)
{
    return decimal_adjust((uint32_t)ax, (uint32_t)flags, true);
}

static uint64_t ascii_adjust(uint32_t ax, uint32_t flags, bool subtract)
{
    bool adjust = flags & X86_AF || (ax & 15) > 9;

    if (adjust)
        ax = subtract ? ax - 0x106 : ax + 0x106;
    ax &= 0xff0f;
    return with_flags(ax, adjust ? X86_AF | X86_CF : 0);
}

static uint64_t do_aaa(struct x86_cpu *x, uint64_t ax, uint64_t flags)
{
    return ascii_adjust((uint32_t)ax, (uint32_t)flags, false);
}

static uint64_t do_aas(struct x86_cpu *x, uint64_t ax, uint64_t flags)
{
    return ascii_adjust((uint32_t)ax, (uint32_t)flags, true);
}

static uint64_t do_aam(struct x86_cpu *x, uint64_t ax, uint64_t base)
{
    uint8_t al = (uint8_t)ax, by = (uint8_t)base;

    return with_flags((uint32_t)(al / by) << 8 | al % by, 0);
}

static uint64_t do_aad(struct x86_cpu *x, uint64_t ax, uint64_t base)
{
    return with_flags((uint8_t)(ax + (ax >> 8 & 0xff) * base), 0);
}

static const struct helper h_daa = { "x86_daa", (helper_fn *)do_daa, "i64 i32 i32", HELPER_PURE };
static const struct helper h_das = { "x86_das", (helper_fn *)do_das, "i64 i32 i32", HELPER_PURE };
static const struct helper h_aaa = { "x86_aaa", (helper_fn *)do_aaa, "i64 i32 i32", HELPER_PURE };
static const struct helper h_aas = { "x86_aas", (helper_fn *)do_aas, "i64 i32 i32", HELPER_PURE };
static const struct helper h_aam = { "x86_aam", (helper_fn *)do_aam, "i64 i32 i32", HELPER_PURE };
static const struct helper h_aad = { "x86_aad", (helper_fn *)do_aad, "i64 i32 i32", HELPER_PURE };

static bool decimal(struct tr *t, const struct helper *h, ir_val arg)
{
    ir_val r = tr_call(t, h, tr_reg(t, 4, X86_RAX), arg, IR_NO_VAL, IR_NO_VAL);

    tr_set_reg(t, 2, X86_RAX, ir_trunc(t->b, IR_I16, r));
    tr_cc_flags(t, ir_trunc(t->b, IR_I32, ir_shri(t->b, r, 32)));
    return true;
}

bool tr_daa(struct tr *t, const struct x86_insn *i)
{
    return decimal(t, &h_daa, tr_cc_compute(t));
}
bool tr_das(struct tr *t, const struct x86_insn *i)
{
    return decimal(t, &h_das, tr_cc_compute(t));
}
bool tr_aaa(struct tr *t, const struct x86_insn *i)
{
    return decimal(t, &h_aaa, tr_cc_compute(t));
}
bool tr_aas(struct tr *t, const struct x86_insn *i)
{
    return decimal(t, &h_aas, tr_cc_compute(t));
}
bool tr_aad(struct tr *t, const struct x86_insn *i)
{
    return decimal(t, &h_aad, tr_c32(t, i->imm));
}

bool tr_aam(struct tr *t, const struct x86_insn *i)
{
    if (i->imm)
        return decimal(t, &h_aam, tr_c32(t, i->imm));
    tr_raise(t, X86_DE);
    return true;
}

/* ---- BOUND, ARPL ---- */

bool tr_bound(struct tr *t, const struct x86_insn *i)
{
    enum ir_type type = tr_type(i->opsize);
    ir_val addr = tr_addr(t, i, 2 * i->opsize, CPU_READ), index = tr_get(t, i, 0);
    ir_val lower = tr_load(t, type, addr, tr_log2(i->opsize));
    ir_val upper = tr_load(t, type, ir_addi(t->b, addr, i->opsize), tr_log2(i->opsize));
    ir_val outside = ir_or(t->b, ir_setcond(t->b, IR_I32, IR_LTS, index, lower),
                           ir_setcond(t->b, IR_I32, IR_GTS, index, upper));

    tr_raise_if(t, IR_NE, outside, tr_c32(t, 0), X86_BR);
    return true;
}

/* The destination's RPL is raised to the source's; ZF: it was lower. */
bool tr_arpl(struct tr *t, const struct x86_insn *i)
{
    ir_val src = tr_get(t, i, 1);
    struct tr_rmw m;
    ir_val dst = tr_rmw_begin(t, i, 0, &m);
    ir_val src_rpl = ir_andi(t->b, src, 3), dst_rpl = ir_andi(t->b, dst, 3);
    ir_val raised = ir_deposit(t->b, dst, src, 0, 2);
    ir_val zf = ir_setcond(t->b, IR_I32, IR_LTU, dst_rpl, src_rpl);

    tr_rmw_end(t, i, &m, ir_select(t->b, IR_LTU, dst_rpl, src_rpl, raised, dst));
    tr_cc_flags(t, ir_deposit(t->b, tr_cc_compute(t), zf, 6, 1));
    return true;
}

/* ---- hints, fences, cache lines ---- */

bool tr_nop(struct tr *t, const struct x86_insn *i)
{
    return true;
}
bool tr_prefetch(struct tr *t, const struct x86_insn *i)
{
    return true;
}

/* A guest that spins lets go of the processor at the next loop edge anyway; one that waits for
 * another vCPU may keep it from running. */
static void do_pause(struct cpu *cpu)
{
    cpu_spin_hint(cpu);
}
static const struct helper h_pause = { "x86_pause", (helper_fn *)do_pause, "-", HELPER_NO_RAISE };

bool tr_pause(struct tr *t, const struct x86_insn *i)
{
    if (!t->req->user && cpu_is_parallel(&t->x->c))
        tr_call(t, &h_pause, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return true;
}

/* Loads are not reordered with loads, nor stores with stores, on the hosts we have. */
bool tr_lfence(struct tr *t, const struct x86_insn *i)
{
    return true;
}
bool tr_sfence(struct tr *t, const struct x86_insn *i)
{
    return true;
}

bool tr_mfence(struct tr *t, const struct x86_insn *i)
{
    ir_emit(t->b, IR_FENCE, IR_NONE, 0, 0, 0, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return true;
}

/* There is no cache to flush, but the address is checked as for a read of a byte. */
static bool touch_line(struct tr *t, const struct x86_insn *i)
{
    tr_load(t, IR_I8, tr_addr(t, i, 1, CPU_READ), 0);
    return true;
}

bool tr_clflush(struct tr *t, const struct x86_insn *i)
{
    return touch_line(t, i);
}
bool tr_clflushopt(struct tr *t, const struct x86_insn *i)
{
    return touch_line(t, i);
}
bool tr_clwb(struct tr *t, const struct x86_insn *i)
{
    return touch_line(t, i);
}

/* ---- undefined on purpose ---- */

bool tr_ud0(struct tr *t, const struct x86_insn *i)
{
    return false;
}
bool tr_ud1(struct tr *t, const struct x86_insn *i)
{
    return false;
}
bool tr_ud2(struct tr *t, const struct x86_insn *i)
{
    return false;
}

/* ---- random numbers ---- */

static uint64_t do_random(struct x86_cpu *x)
{
    uint64_t v = 0;

    while (getrandom(&v, sizeof(v), 0) != sizeof(v))
        ;
    return v;
}

static const struct helper h_random = { "x86_random", (helper_fn *)do_random, "i64",
                                        HELPER_NO_RAISE };

/* CF: a number was there; the other flags are 0. */
static bool random_number(struct tr *t, const struct x86_insn *i)
{
    ir_val v = tr_call(t, &h_random, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);

    tr_set(t, i, 0, ir_trunc(t->b, tr_type(i->opnd[0].size), v));
    tr_cc_flags(t, tr_c32(t, X86_CF));
    return true;
}

bool tr_rdrand(struct tr *t, const struct x86_insn *i)
{
    return random_number(t, i);
}
bool tr_rdseed(struct tr *t, const struct x86_insn *i)
{
    return random_number(t, i);
}
