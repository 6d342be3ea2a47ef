/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The side table of a region: for each call that may raise, by its return address, and in direct
 * mode for each memory instruction, by its own, in order of addresses: the guest pc and the slots
 * whose value is in a register or is a constant. Bytes of an entry: uleb distance of the address
 * from the one before (the first: from the region's start), doubled, plus 1 for a memory
 * instruction; sleb change of the pc (the first: the pc), uleb count of slots, and for each slot:
 * uleb number, then a register's number, or 16 and the sleb constant. Before the entries: uleb
 * count of slots in registers of others (struct swap), and for each: uleb slot, then the register.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "host/x86_64/cg.h"

static uint8_t *put_uleb(uint8_t *p, uint64_t v)
{
    for (; v >= 128; v >>= 7)
        *p++ = (uint8_t)(v | 128);
    *p++ = (uint8_t)v;
    return p;
}

static uint8_t *put_sleb(uint8_t *p, int64_t v)
{
    return put_uleb(p, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

static uint64_t get_uleb(const uint8_t **p)
{
    uint64_t v = 0;

    for (unsigned shift = 0;; shift += 7) {
        uint8_t b = *(*p)++;

        v |= (uint64_t)(b & 127) << shift;
        if (b < 128)
            return v;
    }
}

static int64_t get_sleb(const uint8_t **p)
{
    uint64_t v = get_uleb(p);

    return (int64_t)(v >> 1 ^ -(v & 1));
}

enum {
    SNAP_MAX = 1 + PEND_MAX * (3 + 1 + 10),
    ENTRY_MAX = 5 + 10 + SNAP_MAX,
    AS_CONST = 16,
    MXCSR_FLAGS = 0x3f
};

static uint8_t *grow(uint8_t *buf, uint32_t used, uint32_t *cap, uint32_t more)
{
    if (used + more <= *cap)
        return buf;
    *cap = (*cap + more) * 2;
    return xrealloc_array(buf, *cap, 1);
}

static uint8_t *write_snap(struct cg *c, uint8_t *p)
{
    p = put_uleb(p, c->pend_count);
    for (unsigned n = 0; n < c->pend_count; n++) {
        unsigned v = c->pend[n].val;

        p = put_uleb(p, c->pend[n].slot);
        if (c->val[v].loc == LOC_REG) {
            *p++ = c->val[v].reg;
        } else {
            assert(c->val[v].loc == LOC_CONST);
            *p++ = AS_CONST;
            p = put_sleb(p, insn_of(c, v)->imm);
        }
    }
    return p;
}

void fault_snap(struct cg *c, struct cold *k)
{
    uint8_t *p;

    c->snap = grow(c->snap, c->snap_size, &c->snap_cap, SNAP_MAX);
    p = write_snap(c, c->snap + c->snap_size);
    k->pc = c->pc;
    k->snap = c->snap_size;
    k->snap_size = (uint32_t)(p - c->snap) - c->snap_size;
    c->snap_size += k->snap_size;
}

/* The head of an entry for the address as.p; returns where its snap goes. */
static uint8_t *entry_begin(struct cg *c, gva_t pc, bool insn)
{
    uint32_t at = (uint32_t)(c->as.p - c->start);
    uint8_t *p;

    c->faults = grow(c->faults, c->fault_size, &c->fault_cap, ENTRY_MAX);
    p = c->faults + c->fault_size;
    p = put_uleb(p, (uint64_t)(at - c->fault_ra) << 1 | insn);
    p = put_sleb(p, (int64_t)(pc - c->fault_pc));
    c->fault_ra = at;
    c->fault_pc = pc;
    return p;
}

void fault_entry(struct cg *c, gva_t pc, const uint8_t *snap, uint32_t size)
{
    static const uint8_t nothing[1] = { 0 };
    uint8_t *p = entry_begin(c, pc, false);

    if (!snap) {
        snap = nothing;
        size = 1;
    }
    memcpy(p, snap, size);
    c->fault_size = (uint32_t)(p + size - c->faults);
}

void fault_insn(struct cg *c)
{
    c->fault_size = (uint32_t)(write_snap(c, entry_begin(c, c->pc, true)) - c->faults);
}

void fault_begin(struct cg *c)
{
    uint8_t *p;

    c->faults = grow(c->faults, c->fault_size, &c->fault_cap, ENTRY_MAX);
    p = put_uleb(c->faults, c->swap_count);
    for (unsigned k = 0; k < c->swap_count; k++) {
        p = put_uleb(p, c->swap[k].in);
        *p++ = c->swap[k].reg;
    }
    c->fault_size = (uint32_t)(p - c->faults);
}

static void write_slot(const struct cg *c, void *cpu, unsigned slot, uint64_t v)
{
    uint8_t *p = (uint8_t *)cpu + c->slots[slot].offset;

    switch (type_size(c->slots[slot].type)) {
    case 0: *p = (uint8_t)v; break;
    case 1: st_le16(p, (uint16_t)v); break;
    case 2: st_le32(p, (uint32_t)v); break;
    default: st_le64(p, v); break;
    }
}

/* The integer register as it was at the call: pinned ones are in their slots, others were saved. */
static uint64_t saved_reg(const struct cg *c, const void *cpu, unsigned r)
{
    const uint8_t *base = cpu;

    if (c->pinned >> r & 1)
        return ld_le64(base + c->slots[c->pin_slot[r]].offset);
    return ld_le64(base + c->env.off_saved + 8 * r);
}

/* Decodes the entry at *p. Of the one that is asked for, writes the pending slots; regs: NULL after
 * a call. */
static bool entry_is(const struct cg *c, const uint8_t **p, uint64_t want, uint64_t *at, void *cpu,
                     const struct host_regs *regs, gva_t *pc)
{
    uint64_t step = get_uleb(p), count;
    bool it;

    *at += step >> 1;
    it = (*at << 1 | (step & 1)) == want;
    *pc += (uint64_t)get_sleb(p);
    for (count = get_uleb(p); count; count--) {
        unsigned slot = (unsigned)get_uleb(p), reg = *(*p)++;
        uint64_t v = reg == AS_CONST ? (uint64_t)get_sleb(p) : 0;

        if (!it)
            continue;
        if (reg != AS_CONST)
            v = regs ? regs->gpr[reg] : saved_reg(c, cpu, reg);
        write_slot(c, cpu, slot, v);
    }
    return it;
}

static bool restore(const struct cg *c, const struct host_region *r, uint64_t want, void *cpu,
                    const struct host_regs *regs, gva_t *ret_pc)
{
    const uint8_t *p = r->fault_table, *end = p + r->fault_size;
    uint64_t at = r->code, swaps = get_uleb(&p);
    gva_t pc = 0;

    for (; swaps; swaps--) {
        get_uleb(&p);
        p++;
    }
    while (p < end)
        if (entry_is(c, &p, want, &at, cpu, regs, &pc)) {
            *ret_pc = pc;
            return true;
        }
    return false;
}

bool x64_restore(void *state, const struct host_region *r, uint32_t ra_off, void *cpu,
                 gva_t *ret_pc)
{
    return restore(state, r, (uint64_t)ra_off << 1, cpu, NULL, ret_pc);
}

bool x64_restore_insn(void *state, const struct host_region *r, uint32_t pc_off, void *cpu,
                      const struct host_regs *regs, gva_t *ret_pc)
{
    const struct cg *c = state;
    const uint8_t *p = r->fault_table;
    uint16_t slot_of[REG_COUNT];
    uint8_t *base = cpu;
    uint32_t csr;

    if (!restore(c, r, (uint64_t)pc_off << 1 | 1, cpu, regs, ret_pc))
        return false;
    memcpy(slot_of, c->pin_slot, sizeof(slot_of));
    for (uint64_t swaps = get_uleb(&p); swaps; swaps--) {
        uint16_t slot = (uint16_t)get_uleb(&p);

        slot_of[*p++] = slot;
    }
    for (uint32_t m = c->pinned; m; m &= m - 1) {
        unsigned reg = (unsigned)__builtin_ctz(m);
        uint8_t *slot = base + c->slots[slot_of[reg]].offset;

        if (reg < XMM0)
            st_le64(slot, regs->gpr[reg]);
        else if (base[c->env.off_vec_live])
            memcpy(slot, regs->vec[reg - XMM0], 16);
    }
    base[c->env.off_vec_live] = 0;
    csr = ld_le32(base + c->env.off_fpcsr);
    st_le32(base + c->env.off_fpcsr, csr | (regs->fpcsr & MXCSR_FLAGS));
    return true;
}
