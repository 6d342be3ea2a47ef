/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID under KVM: what the kernel supports becomes struct x86_host, which limits the models
 * (guest/x86/cpuid.c); the table of a vCPU is made from the guest's own leaves, but for XSAVE's
 * sizes and the hypervisor's. (4.46 KVM_GET_SUPPORTED_CPUID, 4.20 KVM_SET_CPUID2)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "accel/kvm_priv.h"
#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/scope.h"
#include "guest/x86/sys.h"

enum {
    KVM_LEAF = 0x40000000,
    XSTATE_AVX = 4,
    XSTATE_MPX = 0x18,
    XSTATE_AVX512 = 0xe0,
    XSTATE_PKU = 0x200
};
enum {
    F_XSAVE = X86_FEATURE(1, 26),
    F_AVX = X86_FEATURE(1, 28),
    F_MPX = X86_FEATURE(4, 14),
    F_AVX512 = X86_FEATURE(4, 16),
    F_PKU = X86_FEATURE(5, 3),
    F_HYPERVISOR = X86_FEATURE(1, 31),
    F_TSC_DEADLINE = X86_FEATURE(1, 24),
    F_X2APIC = X86_FEATURE(1, 21),
    F_ARAT = X86_FEATURE(9, 2),
    F_MONITOR = X86_FEATURE(1, 3),
    WORD_KVM = 11
};

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *c, uint32_t leaf, uint32_t sub)
{
    for (uint32_t i = 0; i < c->nent; i++)
        if (c->entries[i].function == leaf &&
            (c->entries[i].index == sub ||
             !(c->entries[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
            return &c->entries[i];
    return NULL;
}

/* ---- the host ---- */

static bool get_supported(struct kvm *k, struct error *err)
{
    for (uint32_t room = 128; room <= 4096; room *= 2) {
        free(k->cpuid);
        k->cpuid = xcalloc(1, sizeof *k->cpuid + room * sizeof k->cpuid->entries[0]);
        k->cpuid->nent = room;
        if (ioctl(k->fd, KVM_GET_SUPPORTED_CPUID, k->cpuid) == 0)
            return true;
        if (errno != E2BIG)
            break;
    }
    return fail(err, errno, "KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
}

static void set_bit(struct x86_host *h, unsigned feature, bool on)
{
    uint32_t bit = UINT32_C(1) << (feature & 31);

    h->features[feature >> 5] =
        on ? h->features[feature >> 5] | bit : h->features[feature >> 5] & ~bit;
}

static void get_features(struct kvm *k)
{
    static const struct {
        uint32_t leaf, sub;
        uint8_t reg; /* 0 EAX .. 3 EDX */
    } words[] = {
        { 1, 0, 3 },          { 1, 0, 2 }, { 0x80000001, 0, 3 }, { 0x80000001, 0, 2 },
        { 7, 0, 1 },          { 7, 0, 2 }, { 7, 0, 3 },          { 13, 1, 0 },
        { 0x80000008, 0, 1 }, { 6, 0, 0 }, { 0x80000007, 0, 3 }, { KVM_LEAF + 1, 0, 0 },
    };
    struct x86_host *h = &k->host;
    bool user = k->accel.irqchip == IRQCHIP_USER;

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        const struct kvm_cpuid_entry2 *e = find(k->cpuid, words[i].leaf, words[i].sub);

        if (e)
            h->features[i] = words[i].reg == 0   ? e->eax
                             : words[i].reg == 1 ? e->ebx
                             : words[i].reg == 2 ? e->ecx
                                                 : e->edx;
    }
    set_bit(h, F_HYPERVISOR, true);
    set_bit(h, F_MONITOR, false); /* MWAIT would not leave the guest */
    /* Our own local APIC cannot see the guest's TSC; paravirtual interrupts need the kernel's. */
    set_bit(h, F_TSC_DEADLINE, !user && k->has_tsc_deadline);
    set_bit(h, F_X2APIC, !user);
    set_bit(h, F_ARAT, !user);
    if (user)
        h->features[WORD_KVM] &= ~(uint32_t)(BIT(4) | BIT(6) | BIT(7) | BIT(11) | BIT(14));
}

static void native_cpuid(uint32_t leaf, uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
    *a = leaf;
    *b = *c = *d = 0;
    __asm__ volatile("cpuid" : "+a"(*a), "=b"(*b), "+c"(*c), "=d"(*d));
}

static void get_identity(struct kvm *k)
{
    struct x86_host *h = &k->host;
    const struct kvm_cpuid_entry2 *e0 = find(k->cpuid, 0, 0), *e1 = find(k->cpuid, 1, 0);
    const struct kvm_cpuid_entry2 *x0 = find(k->cpuid, 0x80000000, 0);
    const struct kvm_cpuid_entry2 *x8 = find(k->cpuid, 0x80000008, 0);
    uint32_t r[4], sig = e1 ? e1->eax : 0;

    if (e0) {
        memcpy(h->vendor, &e0->ebx, 4);
        memcpy(h->vendor + 4, &e0->edx, 4);
        memcpy(h->vendor + 8, &e0->ecx, 4);
    }
    native_cpuid(0x80000000, &r[0], &r[1], &r[2], &r[3]);
    for (unsigned i = 0; r[0] >= 0x80000004 && i < 3; i++) {
        uint32_t t[4];

        native_cpuid(0x80000002 + i, &t[0], &t[1], &t[2], &t[3]);
        memcpy(h->model_id + 16 * i, t, 16);
    }
    h->phys_bits = x8 && (x8->eax & 0xff) ? x8->eax & 0xff : 36;
    h->model = (struct x86_model){
        .name = "host",
        .doc = "the host's processor",
        .vendor = h->vendor,
        .family = (uint16_t)(bits(sig, 8, 4) + (bits(sig, 8, 4) == 15 ? bits(sig, 20, 8) : 0)),
        .model = (uint16_t)(bits(sig, 4, 4) | bits(sig, 16, 4) << 4),
        .stepping = sig & 15,
        .level = e0 ? e0->eax : 1,
        .xlevel = x0 ? x0->eax : 0,
        .model_id = h->model_id,
        .features = NULL,
    };
}

bool kvm_host_init(struct kvm *k, struct error *err)
{
    if (!get_supported(k, err))
        return false;
    get_features(k);
    get_identity(k);
    k->accel.host_cpu = &k->host;
    return true;
}

/* ---- the table of a vCPU ---- */

struct table {
    struct kvm_vcpu *v;
    struct x86_cpu *x;
    struct kvm_cpuid2 *c;
};

static struct kvm_cpuid_entry2 *add(struct table *t, uint32_t leaf, uint32_t sub, bool indexed,
                                    struct x86_cpuid r)
{
    struct kvm_cpuid_entry2 *e;

    assert(t->c->nent < KVM_CPUID_MAX);
    e = &t->c->entries[t->c->nent++];
    *e = (struct kvm_cpuid_entry2){ .function = leaf,
                                    .index = sub,
                                    .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
                                    .eax = r.eax,
                                    .ebx = r.ebx,
                                    .ecx = r.ecx,
                                    .edx = r.edx };
    return e;
}

/* Components of XCR0 that go with the vCPU's features. */
static uint64_t xcr0_allowed(const struct x86_cpu *x)
{
    uint64_t m = 3;

    if (x86_has(x, F_AVX))
        m |= XSTATE_AVX;
    if (x86_has(x, F_MPX))
        m |= XSTATE_MPX;
    if (x86_has(x, F_AVX512))
        m |= XSTATE_AVX512;
    if (x86_has(x, F_PKU))
        m |= XSTATE_PKU;
    return m;
}

/* SDM volume 1, 13.2: sizes follow from the components; the kernel says where each lies. */
static void add_xsave(struct table *t)
{
    const struct kvm_cpuid2 *host = t->v->kvm->cpuid;
    const struct kvm_cpuid_entry2 *d0 = find(host, 13, 0);
    uint64_t allowed = xcr0_allowed(t->x);
    uint32_t size = 576, compact = 576;
    struct x86_cpuid r = { 0 };

    if (!x86_has(t->x, F_XSAVE) || !d0) {
        (void)add(t, 13, 0, true, r);
        return;
    }
    allowed &= d0->eax | (uint64_t)d0->edx << 32;
    for (unsigned n = 2; n < 63; n++) {
        const struct kvm_cpuid_entry2 *e = allowed >> n & 1 ? find(host, 13, n) : NULL;

        if (!e)
            continue;
        size = MAX(size, e->ebx + e->eax);
        if (e->ecx & 2)
            compact = ALIGN_UP(compact, 64u);
        compact += e->eax;
        r = (struct x86_cpuid){ e->eax, e->ebx, e->ecx, 0 };
        (void)add(t, 13, n, true, r);
    }
    r = (struct x86_cpuid){ (uint32_t)allowed, size, size, (uint32_t)(allowed >> 32) };
    (void)add(t, 13, 0, true, r);
    r = (struct x86_cpuid){ t->x->features[7], t->x->features[7] & 10 ? compact : 0, 0, 0 };
    (void)add(t, 13, 1, true, r);
}

static void add_indexed(struct table *t, uint32_t leaf, unsigned max)
{
    for (uint32_t sub = 0; sub < max; sub++) {
        struct x86_cpuid r = x86_cpuid(t->x, leaf, sub);

        (void)add(t, leaf, sub, true, r);
        if (!(r.eax & 31) && (leaf == 4 || leaf == 0x8000001d))
            break; /* no more caches */
        if (leaf != 4 && leaf != 0x8000001d && !(r.ecx & 0xff00))
            break; /* no more levels of topology */
    }
}

static void add_range(struct table *t, uint32_t first)
{
    uint32_t last = x86_cpuid(t->x, first, 0).eax;

    last = MIN(last, first + 0x3f);
    for (uint32_t leaf = first; leaf <= last; leaf++) {
        switch (leaf) {
        case 4:
        case 0xb:
        case 0x1f:
        case 0x8000001d: add_indexed(t, leaf, 8); break;
        case 7: (void)add(t, leaf, 0, true, x86_cpuid(t->x, leaf, 0)); break;
        case 13: add_xsave(t); break;
        default: (void)add(t, leaf, 0, false, x86_cpuid(t->x, leaf, 0)); break;
        }
    }
}

static void add_hypervisor(struct table *t)
{
    const char *name = "KVMKVMKVM\0\0";
    struct x86_cpuid r = { KVM_LEAF + 1, ld_le32(name), ld_le32(name + 4), ld_le32(name + 8) };

    if (!x86_has(t->x, F_HYPERVISOR) || !t->x->features[WORD_KVM])
        return;
    (void)add(t, KVM_LEAF, 0, false, r);
    r = (struct x86_cpuid){ t->x->features[WORD_KVM], 0, 0, 0 };
    (void)add(t, KVM_LEAF + 1, 0, false, r);
}

bool kvm_cpuid_set(struct kvm_vcpu *v, struct error *err)
{
    AUTO_FREE struct kvm_cpuid2 *c =
        xcalloc(1, sizeof *c + KVM_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
    struct table t = { v, x86_of(v->cpu), c };

    add_range(&t, 0);
    add_hypervisor(&t);
    add_range(&t, 0x80000000);
    if (ioctl(v->fd, KVM_SET_CPUID2, c) < 0)
        return fail(err, errno, "KVM_SET_CPUID2: %s", strerror(errno));
    return true;
}
