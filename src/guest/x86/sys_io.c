/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Port I/O: IN, OUT, INS, OUTS with REP, and the permission bitmap of the TSS. SDM volume 1
 * chapter 19.
 */
#include "guest/x86/sys.h"

enum { DR6_BS = 1 << 14 };

/* May `size` ports from `port` be used where IOPL does not allow it? The translator calls this only
 * then. */
static void h_io_check(struct x86_cpu *x, uint64_t port, uint64_t size)
{
    unsigned first = port & 0xffff, at;
    uint32_t map, mask = ((1u << (uint32_t)size) - 1) << (first & 7);

    if (x->tr.null || (x->tr.flags & X86_SEG_TYPE) < X86_T_TSS32 || x->tr.limit < 103)
        x86_raise_error(x, X86_GP, 0);
    at =
        (unsigned)cpu_load(&x->c, x86_sys_addr(x, x->tr.base + 102), 2, X86_MMU_KERNEL) + first / 8;
    if (at + 1 > x->tr.limit)
        x86_raise_error(x, X86_GP, 0);
    map = (uint32_t)cpu_load(&x->c, x86_sys_addr(x, x->tr.base + at), 2, X86_MMU_KERNEL);
    if (map & mask)
        x86_raise_error(x, X86_GP, 0);
}
const struct helper x86_h_io_check = { "x86_io_check", (helper_fn *)h_io_check, "- i32 i32", 0 };

static uint64_t h_in(struct x86_cpu *x, uint64_t port, uint64_t size)
{
    return cpu_port_read(&x->c, (uint16_t)port, (unsigned)(uint32_t)size);
}
const struct helper x86_h_in = { "x86_in", (helper_fn *)h_in, "i32 i32 i32", 0 };

static void h_out(struct x86_cpu *x, uint64_t port, uint64_t value, uint64_t size)
{
    cpu_port_write(&x->c, (uint16_t)port, value, (unsigned)(uint32_t)size);
}
const struct helper x86_h_out = { "x86_out", (helper_fn *)h_out, "- i32 i32 i32", 0 };

/* ---- INS, OUTS ---- */

/* kind: size in bits 0-7, address size in 8-15, segment in 16-23, REP in bit 24. */
struct string_io {
    unsigned size, addr_size, seg;
    bool rep;
    uint64_t mask;
};

static struct string_io unpack(uint64_t kind)
{
    struct string_io s = { .size = kind & 0xff,
                           .addr_size = kind >> 8 & 0xff,
                           .seg = kind >> 16 & 0xff,
                           .rep = kind >> 24 & 1 };

    s.mask = s.addr_size == 8 ? UINT64_MAX : BIT(s.addr_size * 8) - 1;
    return s;
}

static void advance(struct x86_cpu *x, unsigned reg, uint64_t mask, int64_t by)
{
    uint64_t v = (x->gpr[reg] + (uint64_t)by) & mask;

    x->gpr[reg] = mask == 0xffff ? (x->gpr[reg] & ~mask) | v : v;
}

static gva_t linear(struct x86_cpu *x, const struct string_io *s, unsigned reg, bool write)
{
    uint64_t off = x->gpr[reg] & s->mask;

    if (x86_code64(x))
        return s->seg >= X86_FS ? x->seg_base[s->seg] + off : off;
    if (!x86_seg_allows(&x->seg[s->seg], (uint32_t)off, s->size, write))
        x86_raise_error(x, s->seg == X86_SS ? X86_SS_VEC : X86_GP, 0);
    return (uint32_t)(x->seg_base[s->seg] + off);
}

/* One element. The destination of INS is probed first, so that a fault leaves the port alone. */
static void transfer(struct x86_cpu *x, const struct string_io *s, bool in)
{
    gva_t at = linear(x, s, in ? X86_RDI : X86_RSI, in);
    uint16_t port = (uint16_t)x->gpr[X86_RDX];
    int64_t step = x->df ? -(int64_t)s->size : (int64_t)s->size;

    if (in) {
        cpu_probe(&x->c, at, s->size, CPU_WRITE, x->c.mmu_index);
        cpu_store(&x->c, at, cpu_port_read(&x->c, port, s->size), s->size, x->c.mmu_index);
    } else {
        cpu_port_write(&x->c, port, cpu_load(&x->c, at, s->size, x->c.mmu_index), s->size);
    }
    advance(x, in ? X86_RDI : X86_RSI, s->mask, step);
}

static void string_io(struct x86_cpu *x, uint64_t kind, uint64_t pc, uint64_t next, bool in)
{
    struct string_io s = unpack(kind);
    bool done = false;

    while (!(done = s.rep && !(x->gpr[X86_RCX] & s.mask))) {
        transfer(x, &s, in);
        if (s.rep)
            advance(x, X86_RCX, s.mask, -1);
        done = !s.rep || !(x->gpr[X86_RCX] & s.mask);
        if (done || cpu_exit_pending(&x->c) || x->eflags & X86_TF)
            break;
    }
    x->rip = done ? next : pc;
    if (x->eflags & X86_TF) {
        x->exc_dr6 = DR6_BS;
        x->exc_next_rip = x->rip;
        x86_raise(x, X86_DB);
    }
}

static void h_ins(struct x86_cpu *x, uint64_t kind, uint64_t pc, uint64_t next)
{
    string_io(x, (uint32_t)kind, pc, next, true);
}

static void h_outs(struct x86_cpu *x, uint64_t kind, uint64_t pc, uint64_t next)
{
    string_io(x, (uint32_t)kind, pc, next, false);
}
const struct helper x86_h_ins = { "x86_ins", (helper_fn *)h_ins, "- i32 i64 i64", 0 };
const struct helper x86_h_outs = { "x86_outs", (helper_fn *)h_outs, "- i32 i64 i64", 0 };
