/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory in KVM: each entry of RAM or ROM of the map is a memory slot, all else makes MMIO
 * exits; doorbells are ioeventfds; dirty pages come from the kernel's log. (4.35, 4.59, 4.8, 4.117)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "accel/kvm_priv.h"
#include "base/alloc.h"
#include "base/bits.h"
#include "base/log.h"
#include "base/scope.h"
#include "mem/dirty.h"

/* ---- slots ---- */

static int set_slot(struct kvm *k, uint32_t n, const struct kvm_slot *s)
{
    struct kvm_userspace_memory_region r = {
        .slot = n,
        .flags = s->size ? s->flags : 0,
        .guest_phys_addr = s->gpa,
        .memory_size = s->size,
        .userspace_addr = (uintptr_t)s->host,
    };

    return kvm_vm_ioctl(k, KVM_SET_USER_MEMORY_REGION, &r);
}

/* The whole pages of a map entry; false when there are none or it is no memory. */
static bool slot_of_entry(const struct kvm *k, const struct mem_view_entry *e, struct kvm_slot *ret)
{
    gpa_t first = ALIGN_UP(e->base, MEM_PAGE_SIZE);
    gpa_t end = ALIGN_DOWN(e->base + e->size, MEM_PAGE_SIZE);

    if ((e->kind != MEM_RAM && e->kind != MEM_ROM) || end <= first)
        return false;
    if (e->kind == MEM_ROM && !k->has_readonly)
        return false; /* reads come as MMIO; code in it does not run */
    *ret = (struct kvm_slot){ .gpa = first,
                              .size = end - first,
                              .host = e->host + (first - e->base),
                              .gra = e->gra + (first - e->base) };
    if (e->kind == MEM_ROM)
        ret->flags = KVM_MEM_READONLY;
    else if (mem_dirty_watched(k->memory.mem, ret->gra, ret->size))
        ret->flags = KVM_MEM_LOG_DIRTY_PAGES;
    return true;
}

static bool same_place(const struct kvm_slot *a, const struct kvm_slot *b)
{
    return a->gpa == b->gpa && a->size == b->size && a->host == b->host &&
           !((a->flags ^ b->flags) & KVM_MEM_READONLY);
}

static void refuse_slot(const struct kvm_slot *s, int r)
{
    log_text("KVM: memory at %#llx, %#llx bytes: %s\n", (unsigned long long)s->gpa,
             (unsigned long long)s->size, strerror(-r));
}

static void add_slot(struct kvm *k, const struct kvm_slot *s)
{
    uint32_t n = 0;
    int r;

    while (n < k->slot_room && k->slots[n].size)
        n++;
    if (n == k->slot_max) {
        refuse_slot(s, -ENOSPC);
        return;
    }
    if (n == k->slot_room) {
        k->slot_room = MIN(k->slot_max, MAX(32, k->slot_room * 2));
        k->slots = xrealloc_array(k->slots, k->slot_room, sizeof *k->slots);
        memset(&k->slots[n], 0, (k->slot_room - n) * sizeof *k->slots);
    }
    r = set_slot(k, n, s);
    if (r < 0)
        refuse_slot(s, r);
    else
        k->slots[n] = *s;
}

/* The log of a slot that goes: what is in it would be lost. */
static void fetch_log(struct kvm *k, uint32_t n);

static void drop_slot(struct kvm *k, uint32_t n)
{
    if (k->slots[n].flags & KVM_MEM_LOG_DIRTY_PAGES)
        fetch_log(k, n);
    k->slots[n].size = 0;
    (void)set_slot(k, n, &k->slots[n]);
}

/* Between the end of an old slot and the start of a new one in its place a vCPU must not run: it
 * could not fetch its code. */
static void update_slots(struct kvm *k)
{
    AUTO_FREE struct kvm_slot *want = NULL;
    AUTO_FREE bool *have = NULL;
    const struct mem_view_entry *e;
    uint32_t count = 0, missing = 0;
    bool closed = false;

    for (uint32_t n = 0; (e = mem_entry(k->memory.mem, n)); n++)
        count++;
    want = xnew_array(struct kvm_slot, count + 1);
    have = xnew_array(bool, count + 1);
    count = 0;
    for (uint32_t n = 0; (e = mem_entry(k->memory.mem, n)); n++)
        count += slot_of_entry(k, e, &want[count]);
    missing = count;
    for (uint32_t s = 0; s < k->slot_room; s++) {
        uint32_t i = 0;

        if (!k->slots[s].size)
            continue;
        while (i < count && !same_place(&want[i], &k->slots[s]))
            i++;
        if (i < count) {
            have[i] = true;
            missing--;
            if (want[i].flags != k->slots[s].flags && set_slot(k, s, &want[i]) >= 0)
                k->slots[s] = want[i];
            continue;
        }
        if (!closed)
            kvm_gate_close(k);
        closed = true;
        drop_slot(k, s);
    }
    for (uint32_t i = 0; missing && i < count; i++)
        if (!have[i])
            add_slot(k, &want[i]);
    if (closed)
        kvm_gate_open(k);
}

/* ---- doorbells ---- */

static bool same_bell(const struct mem_doorbell_at *a, const struct mem_doorbell_at *b)
{
    return a->addr == b->addr && a->size == b->size && a->match == b->match &&
           a->value == b->value && a->fd == b->fd;
}

static int set_bell(struct kvm_space *s, const struct mem_doorbell_at *b, bool on)
{
    struct kvm_ioeventfd e = {
        .datamatch = b->value,
        .addr = b->addr,
        .len = b->size,
        .fd = b->fd,
        .flags = (b->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u) |
                 (s->port ? KVM_IOEVENTFD_FLAG_PIO : 0u) | (on ? 0u : KVM_IOEVENTFD_FLAG_DEASSIGN),
    };

    if (!b->size && !s->kvm->has_any_length)
        return -ENOSYS;
    return kvm_vm_ioctl(s->kvm, KVM_IOEVENTFD, &e);
}

static void update_bells(struct kvm_space *s)
{
    struct kvm_bell *bells;
    const struct mem_doorbell_at *at;
    uint32_t count;

    at = mem_doorbells(s->mem, &count);
    if (!count && !s->bell_count)
        return;
    for (uint32_t i = 0; i < s->bell_count; i++) {
        uint32_t j = 0;

        while (j < count && !same_bell(&at[j], &s->bells[i].at))
            j++;
        if (j == count && !s->bells[i].refused)
            (void)set_bell(s, &s->bells[i].at, false);
    }
    bells = xnew_array(struct kvm_bell, count + 1);
    for (uint32_t j = 0; j < count; j++) {
        uint32_t i = 0;

        while (i < s->bell_count && !same_bell(&at[j], &s->bells[i].at))
            i++;
        bells[j].at = at[j];
        bells[j].refused = i < s->bell_count ? s->bells[i].refused : set_bell(s, &at[j], true) < 0;
    }
    free(s->bells);
    s->bells = bells;
    s->bell_count = count;
}

/* ---- dirty log ---- */

static void clear_log(struct kvm *k, uint32_t n, uint64_t *bits, uint64_t pages)
{
    struct kvm_clear_dirty_log c = {
        .slot = n,
        .num_pages = (uint32_t)pages,
        .dirty_bitmap = bits,
    };

    (void)kvm_vm_ioctl(k, KVM_CLEAR_DIRTY_LOG, &c);
}

static void fetch_log(struct kvm *k, uint32_t n)
{
    const struct kvm_slot *s = &k->slots[n];
    uint64_t pages = s->size >> MEM_PAGE_BITS, words = (pages + 63) / 64;
    AUTO_FREE uint64_t *bits = xnew_array(uint64_t, words);
    struct kvm_dirty_log log = { .slot = n, .dirty_bitmap = bits };
    bool any = false;

    if (kvm_vm_ioctl(k, KVM_GET_DIRTY_LOG, &log) < 0)
        return;
    for (uint64_t w = 0; w < words; w++) {
        uint64_t b = bits[w];

        any |= b != 0;
        while (b) {
            unsigned first = (unsigned)__builtin_ctzll(b);
            unsigned run = ~(b >> first) ? (unsigned)__builtin_ctzll(~(b >> first)) : 64;

            mem_dirty_mark(k->memory.mem, s->gra + ((w * 64 + first) << MEM_PAGE_BITS),
                           (uint64_t)run << MEM_PAGE_BITS);
            b = run + first >= 64 ? 0 : b & ~BITS(first + run - 1, first);
        }
    }
    /* Clearing write-protects the pages anew: what is written later is in the next log, what was
     * written until now is in memory for who copies the page. */
    if (any && k->has_clear_log)
        clear_log(k, n, bits, pages);
}

static void dirty_sync(void *opaque, gra_t gra, uint64_t len)
{
    struct kvm_space *s = opaque;
    struct kvm *k = s->kvm;

    for (uint32_t n = 0; n < k->slot_room; n++) {
        const struct kvm_slot *slot = &k->slots[n];

        if (slot->size && slot->flags & KVM_MEM_LOG_DIRTY_PAGES && slot->gra < gra + len &&
            gra < slot->gra + slot->size)
            fetch_log(k, n);
    }
}

/* ---- following the map ---- */

static void dirty_watch(void *opaque)
{
    update_slots(((struct kvm_space *)opaque)->kvm);
}

static void map_changed(void *opaque)
{
    struct kvm_space *s = opaque;

    if (!s->port)
        update_slots(s->kvm);
    update_bells(s);
}

static void follow(struct kvm_space *s, struct kvm *k, struct mem *mem, bool port)
{
    s->kvm = k;
    s->mem = mem;
    s->port = port;
    s->listener.opaque = s;
    s->listener.map_changed = map_changed;
    if (!port) {
        s->listener.dirty_watch = dirty_watch;
        s->listener.dirty_sync = dirty_sync;
    }
    mem_listener_add(mem, &s->listener);
    map_changed(s);
}

bool kvm_attach(struct cpu_accel *a, struct mem *mem, struct mem *ports, struct error *err)
{
    struct kvm *k = kvm_of(a);

    follow(&k->memory, k, mem, false);
    follow(&k->ports, k, ports, true);
    return true;
}

static void unfollow(struct kvm_space *s)
{
    if (!s->mem)
        return;
    mem_listener_remove(s->mem, &s->listener);
    for (uint32_t i = 0; i < s->bell_count; i++)
        if (!s->bells[i].refused)
            (void)set_bell(s, &s->bells[i].at, false);
    free(s->bells);
    s->bells = NULL;
    s->bell_count = 0;
    s->mem = NULL;
}

void kvm_detach(struct cpu_accel *a)
{
    struct kvm *k = kvm_of(a);

    unfollow(&k->memory);
    unfollow(&k->ports);
    for (uint32_t n = 0; n < k->slot_room; n++)
        if (k->slots[n].size) {
            k->slots[n].size = 0;
            (void)set_slot(k, n, &k->slots[n]);
        }
}
