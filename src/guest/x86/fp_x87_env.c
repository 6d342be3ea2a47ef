/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * x87 control: pending exceptions, FNINIT, FNCLEX, FLDCW, and the environment in memory (FNSTENV,
 * FLDENV, FNSAVE, FRSTOR) in its four layouts (SDM volume 1, 8.1.10).
 */
#include <string.h>

#include "base/endian.h"
#include "guest/x86/fp.h"

enum x87_class { CLASS_VALID, CLASS_ZERO, CLASS_SPECIAL, CLASS_EMPTY };

static enum x87_class classify(const struct x87_reg *r)
{
    unsigned exp = r->se & 0x7fff;

    if (exp == 0x7fff)
        return CLASS_SPECIAL;
    if (exp == 0)
        return r->mant ? CLASS_SPECIAL : CLASS_ZERO;
    return r->mant >> 63 ? CLASS_VALID : CLASS_SPECIAL;
}

uint16_t x87_full_tags(const struct x86_cpu *x)
{
    unsigned tags = 0;

    for (unsigned r = 0; r < 8; r++)
        tags |= (x->ftw >> r & 1 ? classify(&x->st[r]) : CLASS_EMPTY) << 2 * r;
    return tags;
}

void x87_init_state(struct x86_cpu *x)
{
    x->fcw = X87_CW_RESET;
    x->fsw = 0;
    x->ftw = 0;
    x->fop = 0;
    x->fip = x->fdp = 0;
    x->fcs = x->fds = 0;
}

/* A waiting instruction met a pending exception: #MF, or the PC's way by FERR# and IRQ 13, where
 * the processor freezes until an interrupt comes, unless the board asserts IGNNE# (port F0h). */
static void wait_pending(struct x86_cpu *x)
{
    if (!(x->fsw & X87_ES))
        return;
    if (x->cr0 & X86_CR0_NE)
        x86_raise(x, X86_MF);
    if (!x->ferr || x->ignne)
        return;
    x->ferr(x->ferr_opaque, true);
    cpu_sync_pc(&x->c);
    cpu_halt(&x->c);
    cpu_leave(&x->c);
}

/* After ES may have gone: FERR# and IGNNE# go with it. */
static void pending_gone(struct x86_cpu *x)
{
    if (x->fsw & X87_ES)
        return;
    x->ignne = false;
    if (x->ferr && !(x->cr0 & X86_CR0_NE))
        x->ferr(x->ferr_opaque, false);
}

static void fnclex(struct x86_cpu *x)
{
    x->fsw &= ~(X87_FLAGS | X87_SF | X87_ES | X87_B);
    pending_gone(x);
}

static void fninit(struct x86_cpu *x)
{
    x87_init_state(x);
    pending_gone(x);
}

static void fldcw(struct x86_cpu *x, uint64_t v)
{
    x87_set_cw(x, v);
    x87_update_es(x);
}

/* ---- environment ---- */

static unsigned env_size(unsigned layout)
{
    return layout & X87_ENV_32 ? 28 : 14;
}

static void put(uint8_t *p, unsigned n, unsigned layout, uint32_t v)
{
    if (layout & X87_ENV_32)
        st_le32(p + 4 * n, v);
    else
        st_le16(p + 2 * n, v);
}

static uint32_t get(const uint8_t *p, unsigned n, unsigned layout)
{
    return layout & X87_ENV_32 ? ld_le32(p + 4 * n) : ld_le16(p + 2 * n);
}

static void env_write(const struct x86_cpu *x, uint8_t *p, unsigned layout)
{
    put(p, 0, layout, 0xffff0000 | x->fcw);
    put(p, 1, layout, 0xffff0000 | x->fsw);
    put(p, 2, layout, 0xffff0000 | x87_full_tags(x));
    if (layout & X87_ENV_REAL) {
        uint32_t ip = (uint32_t)x->fip + ((uint32_t)x->fcs << 4),
                 dp = (uint32_t)x->fdp + ((uint32_t)x->fds << 4);
        unsigned mask = layout & X87_ENV_32 ? 0xffff : 15;
        put(p, 3, layout, ip & 0xffff);
        put(p, 4, layout, (ip >> 16 & mask) << 12 | x->fop);
        put(p, 5, layout, dp & 0xffff);
        put(p, 6, layout, (dp >> 16 & mask) << 12);
    } else {
        put(p, 3, layout, (uint32_t)x->fip);
        put(p, 4, layout, layout & X87_ENV_32 ? (uint32_t)x->fop << 16 | x->fcs : x->fcs);
        put(p, 5, layout, (uint32_t)x->fdp);
        put(p, 6, layout, 0xffff0000 | x->fds);
    }
}

static void env_read(struct x86_cpu *x, const uint8_t *p, unsigned layout)
{
    uint16_t tags = get(p, 2, layout);
    uint32_t ip = get(p, 3, layout), cs = get(p, 4, layout), dp = get(p, 5, layout),
             ds = get(p, 6, layout);

    x87_set_cw(x, get(p, 0, layout));
    x->fsw = get(p, 1, layout);
    x->ftw = 0;
    for (unsigned r = 0; r < 8; r++)
        x->ftw |= ((tags >> 2 * r & 3) != CLASS_EMPTY) << r;
    if (layout & X87_ENV_REAL) {
        unsigned mask = layout & X87_ENV_32 ? 0xffff : 15;
        x->fip = (ip & 0xffff) | (cs >> 12 & mask) << 16;
        x->fdp = (dp & 0xffff) | (ds >> 12 & mask) << 16;
        x->fop = cs & 0x7ff;
        x->fcs = x->fds = 0;
    } else {
        x->fip = ip;
        x->fdp = dp;
        x->fcs = cs;
        x->fds = ds;
        x->fop = layout & X87_ENV_32 ? cs >> 16 & 0x7ff : 0;
    }
    x87_update_es(x);
    pending_gone(x);
}

static void fnstenv(struct x86_cpu *x, uint64_t linear, uint64_t layout)
{
    uint8_t buf[28];

    env_write(x, buf, layout);
    cpu_store_bytes(&x->c, linear, buf, env_size(layout), x->c.mmu_index);
    x->fcw |= X87_FLAGS;
    x87_update_es(x);
    pending_gone(x);
}

static void fldenv(struct x86_cpu *x, uint64_t linear, uint64_t layout)
{
    uint8_t buf[28];

    cpu_load_bytes(&x->c, linear, buf, env_size(layout), x->c.mmu_index);
    env_read(x, buf, layout);
}

static void fnsave(struct x86_cpu *x, uint64_t linear, uint64_t layout)
{
    unsigned size = env_size(layout);
    uint8_t buf[108];

    env_write(x, buf, layout);
    for (unsigned i = 0; i < 8; i++)
        memcpy(buf + size + 10 * i, &x->st[x87_phys(x, i)], 10);
    cpu_store_bytes(&x->c, linear, buf, size + 80, x->c.mmu_index);
    fninit(x);
}

static void frstor(struct x86_cpu *x, uint64_t linear, uint64_t layout)
{
    unsigned size = env_size(layout);
    uint8_t buf[108];

    cpu_load_bytes(&x->c, linear, buf, size + 80, x->c.mmu_index);
    env_read(x, buf, layout);
    for (unsigned i = 0; i < 8; i++)
        memcpy(&x->st[x87_phys(x, i)], buf + size + 10 * i, 10);
}

const struct helper h_x87_wait = { "x86_fwait", (helper_fn *)wait_pending, "-", 0 };
const struct helper h_x87_fnclex = { "x86_fnclex", (helper_fn *)fnclex, "-", HELPER_NO_RAISE };
const struct helper h_x87_fninit = { "x86_fninit", (helper_fn *)fninit, "-", HELPER_NO_RAISE };
const struct helper h_x87_fldcw = { "x86_fldcw", (helper_fn *)fldcw, "- i64", HELPER_NO_RAISE };
const struct helper h_x87_fnstenv = { "x86_fnstenv", (helper_fn *)fnstenv, "- i64 i64", 0 };
const struct helper h_x87_fldenv = { "x86_fldenv", (helper_fn *)fldenv, "- i64 i64", 0 };
const struct helper h_x87_fnsave = { "x86_fnsave", (helper_fn *)fnsave, "- i64 i64", 0 };
const struct helper h_x87_frstor = { "x86_frstor", (helper_fn *)frstor, "- i64 i64", 0 };
