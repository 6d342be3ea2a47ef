/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a vCPU, both ways between the kernel and struct x86_cpu: registers, segments and
 * control registers, FPU, debug registers, MSRs, pending events, local APIC. What struct x86_cpu
 * has no member for (upper halves of vectors, queued events) stays in struct kvm_vcpu. The order of
 * setting: control registers before MSRs and local APIC (APIC mode), events last.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "accel/kvm_priv.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/alloc.h"
#include "guest/x86/fp.h"
#include "guest/x86/sys.h"

static bool call(struct kvm_vcpu *v, unsigned long request, void *arg, const char *what)
{
    if (ioctl(v->fd, request, arg) >= 0)
        return true;
    log_text("KVM: CPU %u: %s: %s\n", v->cpu->index, what, strerror(errno));
    return false;
}

/* ---- general registers: the kernel's order is rax rbx rcx rdx rsi rdi rsp rbp r8.. ---- */

static const uint8_t gpr_order[16] = { X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI,
                                       X86_RSP, X86_RBP, 8,       9,       10,      11,
                                       12,      13,      14,      15 };

static bool regs_out(struct kvm_vcpu *v)
{
    struct x86_cpu *x = x86_of(v->cpu);
    struct kvm_regs r;
    const __u64 *gpr = &r.rax;

    if (!call(v, KVM_GET_REGS, &r, "KVM_GET_REGS"))
        return false;
    for (unsigned i = 0; i < 16; i++)
        x->gpr[gpr_order[i]] = gpr[i];
    x->rip = r.rip;
    x86_set_eflags(x, (uint32_t)r.rflags, UINT32_MAX);
    return true;
}

static bool regs_in(struct kvm_vcpu *v)
{
    const struct x86_cpu *x = x86_of(v->cpu);
    struct kvm_regs r = { .rip = x->rip, .rflags = x86_eflags(x) };
    __u64 *gpr = &r.rax;

    for (unsigned i = 0; i < 16; i++)
        gpr[i] = x->gpr[gpr_order[i]];
    return call(v, KVM_SET_REGS, &r, "KVM_SET_REGS");
}

/* ---- segments and control registers ---- */

static struct kvm_segment seg_in(const struct x86_seg *s)
{
    return (struct kvm_segment){ .base = s->base,
                                 .limit = s->limit,
                                 .selector = s->selector,
                                 .type = s->flags & 15,
                                 .s = s->flags >> 4 & 1,
                                 .dpl = s->flags >> 5 & 3,
                                 .present = s->flags >> 7 & 1,
                                 .avl = s->flags >> 12 & 1,
                                 .l = s->flags >> 13 & 1,
                                 .db = s->flags >> 14 & 1,
                                 .g = s->flags >> 15 & 1,
                                 .unusable = s->null };
}

static struct x86_seg seg_out(const struct kvm_segment *k)
{
    return (struct x86_seg){ .base = k->base,
                             .limit = k->limit,
                             .selector = k->selector,
                             .null = k->unusable,
                             .flags = k->type | (unsigned)k->s << 4 | (unsigned)k->dpl << 5 |
                                      (unsigned)k->present << 7 | (unsigned)k->avl << 12 |
                                      (unsigned)k->l << 13 | (unsigned)k->db << 14 |
                                      (unsigned)k->g << 15 };
}

/* The first part of struct kvm_sregs2 is struct kvm_sregs up to apic_base. */
_Static_assert(offsetof(struct kvm_sregs, apic_base) == offsetof(struct kvm_sregs2, apic_base),
               "kvm_sregs and kvm_sregs2 begin alike");

union sregs {
    struct kvm_sregs a;
    struct kvm_sregs2 b;
};

static void segments_out(struct x86_cpu *x, const struct kvm_sregs *r)
{
    const struct kvm_segment *from[X86_SEG_COUNT] = {
        &r->es, &r->cs, &r->ss, &r->ds, &r->fs, &r->gs
    };

    for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
        struct x86_seg s = seg_out(from[i]);

        x86_set_seg(x, i, &s);
    }
    x->ldt = seg_out(&r->ldt);
    x->tr = seg_out(&r->tr);
    x->gdt.base = r->gdt.base;
    x->gdt.limit = r->gdt.limit;
    x->idt.base = r->idt.base;
    x->idt.limit = r->idt.limit;
}

static bool sregs_out(struct kvm_vcpu *v)
{
    struct x86_cpu *x = x86_of(v->cpu);
    union sregs r = { 0 };

    if (v->kvm->has_sregs2 ? !call(v, KVM_GET_SREGS2, &r.b, "KVM_GET_SREGS2")
                           : !call(v, KVM_GET_SREGS, &r.a, "KVM_GET_SREGS"))
        return false;
    segments_out(x, &r.a);
    x->cr0 = r.a.cr0;
    x->cr2 = r.a.cr2;
    x->cr3 = r.a.cr3;
    x->cr4 = r.a.cr4;
    x->efer = r.a.efer;
    x->apic_base = r.a.apic_base;
    if (v->kvm->has_sregs2 && r.b.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)
        memcpy(x->pdpte, r.b.pdptrs, sizeof(x->pdpte));
    x->cpl = x->eflags & X86_VM ? 3 : r.a.ss.dpl & 3;
    return true;
}

static bool sregs_in(struct kvm_vcpu *v)
{
    const struct x86_cpu *x = x86_of(v->cpu);
    union sregs r = { 0 };
    struct kvm_sregs *s = &r.a;

    s->es = seg_in(&x->seg[X86_ES]);
    s->cs = seg_in(&x->seg[X86_CS]);
    s->ss = seg_in(&x->seg[X86_SS]);
    s->ds = seg_in(&x->seg[X86_DS]);
    s->fs = seg_in(&x->seg[X86_FS]);
    s->gs = seg_in(&x->seg[X86_GS]);
    s->ldt = seg_in(&x->ldt);
    s->tr = seg_in(&x->tr);
    s->gdt.base = x->gdt.base;
    s->gdt.limit = (uint16_t)x->gdt.limit;
    s->idt.base = x->idt.base;
    s->idt.limit = (uint16_t)x->idt.limit;
    s->cr0 = x->cr0;
    s->cr2 = x->cr2;
    s->cr3 = x->cr3;
    s->cr4 = x->cr4;
    s->efer = x->efer;
    s->cr8 =
        v->kvm->accel.irqchip == IRQCHIP_USER ? v->tpr : bits((uint8_t)v->lapic.regs[0x80], 4, 4);
    s->apic_base = x->apic_base;
    if (!v->kvm->has_sregs2) {
        if (v->events.interrupt.injected)
            s->interrupt_bitmap[v->events.interrupt.nr / 64] = BIT(v->events.interrupt.nr % 64);
        return call(v, KVM_SET_SREGS, &r.a, "KVM_SET_SREGS");
    }
    r.b.flags = 0; /* the kernel's struct goes on differently behind apic_base */
    if (x->cr0 & X86_CR0_PG && x->cr4 & X86_CR4_PAE && !(x->efer & X86_EFER_LMA)) {
        r.b.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID;
        memcpy(r.b.pdptrs, x->pdpte, sizeof(x->pdpte));
    }
    return call(v, KVM_SET_SREGS2, &r.b, "KVM_SET_SREGS2");
}

/* ---- FPU: the XSAVE image; its legacy part is struct x86_cpu's (SDM volume 1, 13.4) ---- */

enum { AT_MXCSR = 24, AT_ST = 32, AT_XMM = 160, AT_HEADER = 512 };

static void legacy_out(struct x86_cpu *x, const uint8_t *p)
{
    uint64_t bv = ld_le64(p + AT_HEADER);

    /* A component that is not in the image is in its initial state. */
    if (bv & 1) {
        x87_set_cw(x, ld_le16(p));
        x->fsw = ld_le16(p + 2);
        x->ftw = p[4];
        x->fop = ld_le16(p + 6) & 0x7ff;
        x->fip = ld_le64(p + 8);
        x->fdp = ld_le64(p + 16);
        for (unsigned i = 0; i < 8; i++)
            memcpy(&x->st[x87_phys(x, i)], p + AT_ST + 16 * i, 10);
    } else {
        x87_init_state(x);
        memset(x->st, 0, sizeof(x->st));
    }
    if (bv & 2)
        memcpy(x->xmm, p + AT_XMM, sizeof(x->xmm));
    else
        memset(x->xmm, 0, sizeof(x->xmm));
    x->c.fpcsr = ld_le32(p + AT_MXCSR);
}

static void legacy_in(const struct x86_cpu *x, uint8_t *p)
{
    st_le16(p, x->fcw);
    st_le16(p + 2, x->fsw);
    p[4] = x->ftw;
    p[5] = 0;
    st_le16(p + 6, x->fop);
    st_le64(p + 8, x->fip);
    st_le64(p + 16, x->fdp);
    st_le32(p + AT_MXCSR, x->c.fpcsr);
    for (unsigned i = 0; i < 8; i++)
        memcpy(p + AT_ST + 16 * i, &x->st[x87_phys(x, i)], 10);
    memcpy(p + AT_XMM, x->xmm, sizeof(x->xmm));
    st_le64(p + AT_HEADER, ld_le64(p + AT_HEADER) | 3);
}

static bool fpu_out(struct kvm_vcpu *v)
{
    if (v->kvm->has_xsave2 ? !call(v, KVM_GET_XSAVE2, v->xsave, "KVM_GET_XSAVE2")
                           : !call(v, KVM_GET_XSAVE, v->xsave, "KVM_GET_XSAVE"))
        return false;
    legacy_out(x86_of(v->cpu), v->xsave);
    return true;
}

static bool fpu_in(struct kvm_vcpu *v)
{
    legacy_in(x86_of(v->cpu), v->xsave);
    return call(v, KVM_SET_XSAVE, v->xsave, "KVM_SET_XSAVE");
}

static bool xcrs_out(struct kvm_vcpu *v)
{
    struct kvm_xcrs c = { 0 };

    if (!v->kvm->has_xcrs)
        return true;
    if (!call(v, KVM_GET_XCRS, &c, "KVM_GET_XCRS"))
        return false;
    for (unsigned i = 0; i < c.nr_xcrs && i < ARRAY_SIZE(c.xcrs); i++)
        if (!c.xcrs[i].xcr)
            x86_of(v->cpu)->xcr0 = c.xcrs[i].value;
    return true;
}

static bool xcrs_in(struct kvm_vcpu *v)
{
    struct kvm_xcrs c = { .nr_xcrs = 1, .xcrs = { { .value = x86_of(v->cpu)->xcr0 } } };

    return !v->kvm->has_xcrs || call(v, KVM_SET_XCRS, &c, "KVM_SET_XCRS");
}

/* ---- debug registers ---- */

static bool debug_out(struct kvm_vcpu *v)
{
    struct x86_cpu *x = x86_of(v->cpu);
    struct kvm_debugregs d;

    if (!v->kvm->has_debugregs)
        return true;
    if (!call(v, KVM_GET_DEBUGREGS, &d, "KVM_GET_DEBUGREGS"))
        return false;
    for (unsigned i = 0; i < 4; i++)
        x->dr[i] = d.db[i];
    x->dr[6] = d.dr6;
    x->dr[7] = d.dr7;
    return true;
}

static bool debug_in(struct kvm_vcpu *v)
{
    const struct x86_cpu *x = x86_of(v->cpu);
    struct kvm_debugregs d = { .dr6 = x->dr[6], .dr7 = x->dr[7] };

    for (unsigned i = 0; i < 4; i++)
        d.db[i] = x->dr[i];
    return !v->kvm->has_debugregs || call(v, KVM_SET_DEBUGREGS, &d, "KVM_SET_DEBUGREGS");
}

/* ---- MSRs ---- */

/* Registers that are a member. at_reset: they hold time or addresses that the guest gives once;
 * they are set after a reset only, lest a pause changes them. */
static const struct msr {
    uint32_t index;
    uint16_t offset;
    bool at_reset;
} msr_table[] = {
#define MSR(index, member)                                                                         \
    {                                                                                              \
        index, offsetof(struct x86_cpu, member), false                                             \
    }
    MSR(0x174, sysenter_cs),
    MSR(0x175, sysenter_esp),
    MSR(0x176, sysenter_eip),
    MSR(0xc0000081, star),
    MSR(0xc0000082, lstar),
    MSR(0xc0000083, cstar),
    MSR(0xc0000084, sfmask),
    MSR(0xc0000102, kernel_gs_base),
    MSR(0xc0000103, tsc_aux),
    MSR(0x277, pat),
    MSR(0x1a0, misc_enable),
    MSR(0x1d9, debugctl),
    MSR(0x17a, mcg_status),
    MSR(0xda0, xss),
    MSR(0x48, spec_ctrl),
    MSR(0x2ff, mtrr_def_type),
    MSR(0x250, mtrr_fixed[0]),
    MSR(0x258, mtrr_fixed[1]),
    MSR(0x259, mtrr_fixed[2]),
    MSR(0x268, mtrr_fixed[3]),
    MSR(0x269, mtrr_fixed[4]),
    MSR(0x26a, mtrr_fixed[5]),
    MSR(0x26b, mtrr_fixed[6]),
    MSR(0x26c, mtrr_fixed[7]),
    MSR(0x26d, mtrr_fixed[8]),
    MSR(0x26e, mtrr_fixed[9]),
    MSR(0x26f, mtrr_fixed[10]),
    MSR(0x200, mtrr_var[0]),
    MSR(0x201, mtrr_var[1]),
    MSR(0x202, mtrr_var[2]),
    MSR(0x203, mtrr_var[3]),
    MSR(0x204, mtrr_var[4]),
    MSR(0x205, mtrr_var[5]),
    MSR(0x206, mtrr_var[6]),
    MSR(0x207, mtrr_var[7]),
    MSR(0x208, mtrr_var[8]),
    MSR(0x209, mtrr_var[9]),
    MSR(0x20a, mtrr_var[10]),
    MSR(0x20b, mtrr_var[11]),
    MSR(0x20c, mtrr_var[12]),
    MSR(0x20d, mtrr_var[13]),
    MSR(0x20e, mtrr_var[14]),
    MSR(0x20f, mtrr_var[15]),
    MSR(0x4b564d01, kvm_clock),
    MSR(0x4b564d00, kvm_wall_clock),
    MSR(0x4b564d06, kvm_async_pf_int),
    MSR(0x4b564d02, kvm_async_pf),
    MSR(0x4b564d03, kvm_steal_time),
    MSR(0x4b564d04, kvm_pv_eoi),
    MSR(0x4b564d05, kvm_poll_control),
    { 0x3b, offsetof(struct x86_cpu, tsc_adjust), true },
#undef MSR
};
enum { MSR_TSC = 0x10, MSR_TSC_DEADLINE = 0x6e0 };

struct msr_block {
    struct kvm_msrs h;
    struct kvm_msr_entry e[KVM_MSRS_MAX];
};

/* A vCPU's features decide about the MTRRs, which the kernel has but does not list. */
static bool listed(const struct kvm_msr_list *l, uint32_t msr)
{
    if (msr >= 0x200 && msr <= 0x2ff)
        return true;
    for (unsigned i = 0; i < l->nmsrs; i++)
        if (l->indices[i] == msr)
            return true;
    return false;
}

void kvm_msrs_init(struct kvm *k)
{
    enum { ROOM = 1024 };
    AUTO_FREE struct kvm_msr_list *l = xcalloc(1, sizeof *l + ROOM * sizeof l->indices[0]);

    _Static_assert(ARRAY_SIZE(msr_table) + 2 <= KVM_MSRS_MAX,
                   "room for all and what only a reset sets");
    l->nmsrs = ROOM;
    if (ioctl(k->fd, KVM_GET_MSR_INDEX_LIST, l) < 0)
        l->nmsrs = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(msr_table); i++)
        if (listed(l, msr_table[i].index))
            k->msrs[k->msr_count++] = i;
}

static bool has_msr(const struct x86_cpu *x, uint32_t msr)
{
    if (msr >= 0x200 && msr <= 0x2ff && msr != 0x277)
        return x86_has(x, X86_FEATURE(0, 12));
    switch (msr) {
    case 0xc0000103: return x86_has(x, X86_FEATURE(2, 27));
    case 0xda0: return x86_has(x, X86_FEATURE(7, 3));
    case 0x48: return x86_has(x, X86_FEATURE(6, 26));
    case 0x3b: return x86_has(x, X86_FEATURE(4, 1));
    case 0x17a: return x86_has(x, X86_FEATURE(0, 14));
    case 0x1d9:
    case 0x1a0: return true;
    default: break;
    }
    if (msr >> 16 == 0xc000 && (msr & 0xffff) != 0x81)
        return x86_has(x, X86_FEATURE(2, 29));
    return true;
}

static bool msrs_out(struct kvm_vcpu *v)
{
    struct x86_cpu *x = x86_of(v->cpu);
    struct msr_block b = { 0 };
    int got;

    for (unsigned i = 0; i < v->kvm->msr_count; i++) {
        uint32_t msr = msr_table[v->kvm->msrs[i]].index;

        if (has_msr(x, msr))
            b.e[b.h.nmsrs++].index = msr;
    }
    /* The kernel stops at the first that it refuses: go on behind it. */
    for (unsigned done = 0, n = b.h.nmsrs; done < n; done += (unsigned)got + 1) {
        struct msr_block rest = { .h.nmsrs = n - done };

        memcpy(rest.e, b.e + done, (n - done) * sizeof b.e[0]);
        got = ioctl(v->fd, KVM_GET_MSRS, &rest);
        if (got < 0)
            return call(v, KVM_GET_MSRS, &rest, "KVM_GET_MSRS");
        for (int i = 0; i < got; i++)
            for (unsigned t = 0; t < ARRAY_SIZE(msr_table); t++)
                if (msr_table[t].index == rest.e[i].index)
                    *(uint64_t *)((char *)x + msr_table[t].offset) = rest.e[i].data;
    }
    return true;
}

static bool msrs_in(struct kvm_vcpu *v)
{
    const struct x86_cpu *x = x86_of(v->cpu);
    struct msr_block b = { 0 };
    int got;

    if (v->was_reset)
        b.e[b.h.nmsrs++].index = MSR_TSC;
    if (v->was_reset && x86_has(x, X86_FEATURE(1, 24))) /* an armed timer would fire after it */
        b.e[b.h.nmsrs++].index = MSR_TSC_DEADLINE;
    for (unsigned i = 0; i < v->kvm->msr_count; i++) {
        const struct msr *m = &msr_table[v->kvm->msrs[i]];

        if (!has_msr(x, m->index) || (m->at_reset && !v->was_reset))
            continue;
        b.e[b.h.nmsrs++] = (struct kvm_msr_entry){
            .index = m->index,
            .data = *(const uint64_t *)((const char *)x + m->offset),
        };
    }
    for (unsigned done = 0, n = b.h.nmsrs; done < n; done += (unsigned)got + 1) {
        struct msr_block rest = { .h.nmsrs = n - done };

        memcpy(rest.e, b.e + done, (n - done) * sizeof b.e[0]);
        got = ioctl(v->fd, KVM_SET_MSRS, &rest);
        if (got < 0)
            return call(v, KVM_SET_MSRS, &rest, "KVM_SET_MSRS");
    }
    return true;
}

/* ---- events and local APIC ---- */

static bool events_out(struct kvm_vcpu *v)
{
    struct x86_cpu *x = x86_of(v->cpu);

    if (!v->kvm->has_vcpu_events)
        return true;
    memset(&v->events, 0, sizeof(v->events));
    if (!call(v, KVM_GET_VCPU_EVENTS, &v->events, "KVM_GET_VCPU_EVENTS"))
        return false;
    x->nmi_blocked = v->events.nmi.masked;
    x->inhibit = v->events.interrupt.shadow != 0;
    return true;
}

static bool events_in(struct kvm_vcpu *v)
{
    const struct x86_cpu *x = x86_of(v->cpu);
    struct kvm_vcpu_events *e = &v->events;

    if (!v->kvm->has_vcpu_events)
        return true;
    e->flags &=
        KVM_VCPUEVENT_VALID_SMM | KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
    e->flags |= KVM_VCPUEVENT_VALID_SHADOW;
    if (v->was_reset)
        e->flags |= KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR;
    e->nmi.masked = x->nmi_blocked;
    e->interrupt.shadow = x->inhibit ? KVM_X86_SHADOW_INT_STI : 0;
    return call(v, KVM_SET_VCPU_EVENTS, e, "KVM_SET_VCPU_EVENTS");
}

static bool apic_out(struct kvm_vcpu *v)
{
    if (v->kvm->accel.irqchip == IRQCHIP_USER)
        return true;
    if (!call(v, KVM_GET_LAPIC, &v->lapic, "KVM_GET_LAPIC") ||
        !call(v, KVM_GET_MP_STATE, &v->mp, "KVM_GET_MP_STATE"))
        return false;
    v->cpu->halted = v->mp.mp_state != KVM_MP_STATE_RUNNABLE;
    return true;
}

/* After a pause the kernel's is the newer one: messages may have come meanwhile. */
static bool apic_in(struct kvm_vcpu *v)
{
    struct kvm_mp_state runs = { KVM_MP_STATE_RUNNABLE };

    if (v->kvm->accel.irqchip != IRQCHIP_USER && !v->was_reset)
        return true;
    if (v->kvm->accel.irqchip == IRQCHIP_USER)
        return call(v, KVM_SET_MP_STATE, &runs, "KVM_SET_MP_STATE");
    return call(v, KVM_SET_LAPIC, &v->lapic, "KVM_SET_LAPIC") &&
           call(v, KVM_SET_MP_STATE, &v->mp, "KVM_SET_MP_STATE");
}

/* ---- all ---- */

bool kvm_state_out(struct kvm_vcpu *v)
{
    return regs_out(v) && sregs_out(v) && fpu_out(v) && xcrs_out(v) && debug_out(v) &&
           msrs_out(v) && events_out(v) && apic_out(v);
}

bool kvm_state_in(struct kvm_vcpu *v)
{
    bool ok = xcrs_in(v) && fpu_in(v) && regs_in(v) && sregs_in(v) && debug_in(v) && msrs_in(v) &&
              apic_in(v) && events_in(v);

    v->was_reset = false;
    return ok;
}
