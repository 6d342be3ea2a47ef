/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * x87 translators. Each instruction is one helper call (fp_x87.c): a fast one where it is usual,
 * else the record that runs any instruction on the host's x87. Memory operands are loaded before
 * the call and stored through XLATE by it, so that faults find the state before the instruction.
 */
#include "guest/x86/tr_vec.h"

#define TR(name, call)                                                                             \
    bool tr_##name(struct tr *t, const struct x86_insn *i)                                         \
    {                                                                                              \
        return call;                                                                               \
    }

static bool is_mem(const struct x86_insn *i)
{
    return i->modrm < 0xc0;
}

/* Gates of an instruction that waits for pending exceptions: all but the FN ones. */
static bool begin(struct tr *t)
{
    if (!tr_x87_check(t))
        return false;
    x87_wait_check(t);
    return true;
}

/* The "where" of fp.h. */
static ir_val where(struct tr *t, const struct x86_insn *i)
{
    uint64_t fop = (i->opcode & 7) << 8 | i->modrm, seg = is_mem(i) ? i->mem.seg : X87_SEG_NONE;

    return tr_c64(t,
                  (int64_t)((t->pc & BITS(47, 0)) | fop << X87_WHERE_FOP | seg << X87_WHERE_SEG));
}

/* The operand's offset, for FDP. */
static ir_val data_pointer(struct tr *t, const struct x86_insn *i)
{
    return tr_ea(t, i);
}

static bool reg_form(struct tr *t, const struct x86_insn *i, const struct helper *h)
{
    if (begin(t))
        tr_call(t, h, where(t, i), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return true;
}

/* A memory source of 2, 4 or 8 bytes. */
static bool load_form(struct tr *t, const struct x86_insn *i, const struct helper *h)
{
    unsigned size = i->opnd[0].size;

    if (!begin(t))
        return true;
    ir_val v = tr_load(t, tr_type(size), tr_addr(t, i, size, CPU_READ),
                       size == 8   ? 3
                       : size == 4 ? 2
                                   : 1);
    tr_call(t, h, where(t, i), ir_zext(t->b, IR_I64, v), data_pointer(t, i), IR_NO_VAL);
    return true;
}

static bool load80(struct tr *t, const struct x86_insn *i, const struct helper *h)
{
    if (!begin(t))
        return true;
    ir_val addr = tr_addr(t, i, 10, CPU_READ);
    ir_val lo = tr_load(t, IR_I64, addr, 3), hi = ir_ld(t->b, IR_I64, addr, 8, 1);
    tr_call(t, h, where(t, i), lo, hi, data_pointer(t, i));
    return true;
}

static bool store_form(struct tr *t, const struct x86_insn *i)
{
    unsigned size = i->opnd[0].size;

    if (!begin(t))
        return true;
    ir_val addr = tr_addr(t, i, size, CPU_WRITE);
    if (t->req->slow || t->req->user || size == 10) {
        tr_call(t, &h_x87_store_slow, where(t, i), data_pointer(t, i), addr, IR_NO_VAL);
    } else {
        unsigned align = t->mode & X86_MODE_AC ? IR_MEM_ALIGN : 0;
        ir_val host = ir_xlate(t->b, addr, 0,
                               (size == 8   ? 3
                                : size == 4 ? 2
                                            : 1) |
                                   IR_MEM_WRITE | align);
        tr_call(t, &h_x87_store, where(t, i), data_pointer(t, i), host, IR_NO_VAL);
    }
    return true;
}

/* ---- arithmetic and comparison ---- */

static bool arith(struct tr *t, const struct x86_insn *i, enum x87_arith op)
{
    bool alias =
        op == X87_COM || op == X87_COMP ? (i->opcode & 0xfd) == 0xdc && i->modrm != 0xd9 : false;

    if (!is_mem(i)) /* DC D0.., DE D0..: undocumented spellings of FCOM and FCOMP */
        return reg_form(t, i, alias ? &h_x87_reg : &h_x87_arith_st[op]);
    return load_form(t, i, i->opnd[0].size == 8 ? &h_x87_arith_m64[op] : &h_x87_arith_m32[op]);
}

TR(fadd, arith(t, i, X87_ADD))
TR(fmul, arith(t, i, X87_MUL))
TR(fsub, arith(t, i, X87_SUB))
TR(fsubr, arith(t, i, X87_SUBR))
TR(fdiv, arith(t, i, X87_DIV))
TR(fdivr, arith(t, i, X87_DIVR))
TR(faddp, arith(t, i, X87_ADD))
TR(fmulp, arith(t, i, X87_MUL))
TR(fsubp, arith(t, i, X87_SUB))
TR(fsubrp, arith(t, i, X87_SUBR))
TR(fdivp, arith(t, i, X87_DIV))
TR(fdivrp, arith(t, i, X87_DIVR))
TR(fcom, arith(t, i, X87_COM))
TR(fcomp, arith(t, i, X87_COMP))
TR(fcompp, arith(t, i, X87_COMP))
TR(fucom, arith(t, i, X87_COM))
TR(fucomp, arith(t, i, X87_COMP))
TR(fucompp, arith(t, i, X87_COMP))
TR(fiadd, load_form(t, i, &h_x87_load))
TR(fimul, load_form(t, i, &h_x87_load))
TR(fisub, load_form(t, i, &h_x87_load))
TR(fisubr, load_form(t, i, &h_x87_load))
TR(fidiv, load_form(t, i, &h_x87_load))
TR(fidivr, load_form(t, i, &h_x87_load))
TR(ficom, load_form(t, i, &h_x87_load))
TR(ficomp, load_form(t, i, &h_x87_load))

static bool comi(struct tr *t, const struct x86_insn *i)
{
    if (begin(t))
        tr_cc_flags(t, tr_call(t, &h_x87_comi, where(t, i), IR_NO_VAL, IR_NO_VAL, IR_NO_VAL));
    return true;
}

TR(fcomi, comi(t, i))
TR(fcomip, comi(t, i))
TR(fucomi, comi(t, i))
TR(fucomip, comi(t, i))

/* cc: the x86 condition on which ST(i) moves to ST(0) */
static bool cmov(struct tr *t, const struct x86_insn *i, unsigned cc)
{
    enum ir_cond cond;
    ir_val a, b;

    if (!begin(t))
        return true;
    tr_condition(t, cc, &cond, &a, &b);
    tr_call(t, &h_x87_fcmov, where(t, i), ir_setcond(t->b, IR_I64, cond, a, b), IR_NO_VAL,
            IR_NO_VAL);
    return true;
}

TR(fcmovb, cmov(t, i, 2))
TR(fcmovnb, cmov(t, i, 3))
TR(fcmove, cmov(t, i, 4))
TR(fcmovne, cmov(t, i, 5))
TR(fcmovbe, cmov(t, i, 6))
TR(fcmovnbe, cmov(t, i, 7))
TR(fcmovu, cmov(t, i, 10))
TR(fcmovnu, cmov(t, i, 11))

/* ---- loads, stores, moves ---- */

bool tr_fld(struct tr *t, const struct x86_insn *i)
{
    if (!is_mem(i))
        return reg_form(t, i, &h_x87_fld_st);
    if (i->opnd[0].size == 10)
        return load80(t, i, &h_x87_fld_m80);
    return load_form(t, i, i->opnd[0].size == 8 ? &h_x87_fld_m64 : &h_x87_fld_m32);
}

bool tr_fild(struct tr *t, const struct x86_insn *i)
{
    switch (i->opnd[0].size) {
    case 2: return load_form(t, i, &h_x87_fild_m16);
    case 4: return load_form(t, i, &h_x87_fild_m32);
    default: return load_form(t, i, &h_x87_fild_m64);
    }
}

static bool fst(struct tr *t, const struct x86_insn *i)
{
    return is_mem(i) ? store_form(t, i) : reg_form(t, i, &h_x87_fst_st);
}

/* DF D0+i and DF D8+i are undocumented spellings. */
bool tr_fstp(struct tr *t, const struct x86_insn *i)
{
    return !is_mem(i) && i->opcode != 0xdd ? reg_form(t, i, &h_x87_reg) : fst(t, i);
}

TR(fst, fst(t, i))
TR(fist, store_form(t, i))
TR(fistp, store_form(t, i))
TR(fisttp, store_form(t, i))
TR(fbstp, store_form(t, i))
TR(fbld, load80(t, i, &h_x87_load80))
TR(fstpnce, reg_form(t, i, &h_x87_reg))
TR(ffreep, reg_form(t, i, &h_x87_reg))
TR(fld1, reg_form(t, i, &h_x87_fld1))
TR(fldz, reg_form(t, i, &h_x87_fldz))
TR(fldl2t, reg_form(t, i, &h_x87_reg))
TR(fldl2e, reg_form(t, i, &h_x87_reg))
TR(fldpi, reg_form(t, i, &h_x87_reg))
TR(fldlg2, reg_form(t, i, &h_x87_reg))
TR(fldln2, reg_form(t, i, &h_x87_reg))
TR(ffree, reg_form(t, i, &h_x87_ffree))
TR(fincstp, reg_form(t, i, &h_x87_fincstp))
TR(fdecstp, reg_form(t, i, &h_x87_fdecstp))
TR(fxch, i->opcode == 0xd9 ? reg_form(t, i, &h_x87_fxch) : reg_form(t, i, &h_x87_reg))

/* ---- one operand ---- */
TR(fchs, reg_form(t, i, &h_x87_fchs))
TR(fabs, reg_form(t, i, &h_x87_fabs))
TR(fsqrt, reg_form(t, i, &h_x87_fsqrt))
TR(frndint, reg_form(t, i, &h_x87_frndint))
TR(fsin, reg_form(t, i, &h_x87_fsin))
TR(fcos, reg_form(t, i, &h_x87_fcos))
TR(ftst, reg_form(t, i, &h_x87_reg))
TR(fxam, reg_form(t, i, &h_x87_reg))
TR(f2xm1, reg_form(t, i, &h_x87_reg))
TR(fyl2x, reg_form(t, i, &h_x87_reg))
TR(fyl2xp1, reg_form(t, i, &h_x87_reg))
TR(fptan, reg_form(t, i, &h_x87_reg))
TR(fpatan, reg_form(t, i, &h_x87_reg))
TR(fsincos, reg_form(t, i, &h_x87_reg))
TR(fxtract, reg_form(t, i, &h_x87_reg))
TR(fprem, reg_form(t, i, &h_x87_reg))
TR(fprem1, reg_form(t, i, &h_x87_reg))
TR(fscale, reg_form(t, i, &h_x87_reg))
TR(fnop, reg_form(t, i, &h_x87_reg))

/* ---- control ---- */

static bool control(struct tr *t, const struct helper *h)
{
    if (tr_x87_check(t))
        tr_call(t, h, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return true;
}

TR(fnclex, control(t, &h_x87_fnclex))
TR(fninit, control(t, &h_x87_fninit))

/* 8087 and 80287 leftovers do nothing. */
static bool nothing(struct tr *t)
{
    tr_x87_check(t);
    return true;
}

TR(feni, nothing(t))
TR(fdisi, nothing(t))
TR(fnsetpm, nothing(t))

bool tr_fwait(struct tr *t, const struct x86_insn *i)
{
    if (t->mode & X86_MODE_TS && t->mode & X86_MODE_MP)
        tr_raise(t, X86_NM);
    else
        x87_wait_check(t);
    return true;
}

bool tr_fldcw(struct tr *t, const struct x86_insn *i)
{
    if (!begin(t))
        return true;
    ir_val v = ir_zext(t->b, IR_I64, tr_get(t, i, 0));
    tr_call(t, &h_x87_fldcw, v, IR_NO_VAL, IR_NO_VAL, IR_NO_VAL);
    return true;
}

bool tr_fnstcw(struct tr *t, const struct x86_insn *i)
{
    if (tr_x87_check(t))
        tr_set(t, i, 0, ir_get(t->b, X86_SLOT_FCW));
    return true;
}

bool tr_fnstsw(struct tr *t, const struct x86_insn *i)
{
    if (tr_x87_check(t))
        tr_set(t, i, 0, ir_get(t->b, X86_SLOT_FSW));
    return true;
}

/* Environment in memory: its layout follows from operand size and mode. */
static bool env(struct tr *t, const struct x86_insn *i, const struct helper *h, bool whole,
                enum cpu_access access)
{
    unsigned layout = (i->opsize == 2 ? 0 : X87_ENV_32) |
                      (t->mode & X86_MODE_PE && !(t->mode & X86_MODE_VM) ? 0 : X87_ENV_REAL);
    unsigned size = (layout & X87_ENV_32 ? 28 : 14) + (whole ? 80 : 0);

    if (access == CPU_WRITE ? tr_x87_check(t) : begin(t))
        tr_call(t, h, tr_addr(t, i, size, access), tr_c64(t, layout), IR_NO_VAL, IR_NO_VAL);
    return true;
}

TR(fnstenv, env(t, i, &h_x87_fnstenv, false, CPU_WRITE))
TR(fldenv, env(t, i, &h_x87_fldenv, false, CPU_READ))
TR(fnsave, env(t, i, &h_x87_fnsave, true, CPU_WRITE))
TR(frstor, env(t, i, &h_x87_frstor, true, CPU_READ))
