/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside accel/ only: one VM and its vCPUs in the kernel. Specification: Linux,
 * Documentation/virt/kvm/api.rst; numbers in brackets are its sections.
 */
#ifndef ACCEL_KVM_PRIV_H
#define ACCEL_KVM_PRIV_H

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#include "accel/accel.h"
#include "cpu/accel.h"
#include "cpu/cpu.h"
#include "guest/x86/models.h"
#include "guest/x86/x86.h"
#include "mem/doorbell.h"
#include "mem/mem.h"

enum {
    KVM_KICK_SIGNAL = SIGUSR1, /* brings a vCPU's thread out of KVM_RUN */
    KVM_PINS = 24,             /* of the I/O APIC; the first GSIs are theirs */
    KVM_CPUS_MAX = 256,
    KVM_CPUID_MAX = 128,
    KVM_MSRS_MAX = 96,
    KVM_XSAVE_MAX = 16384,
};

struct kvm_slot {
    gpa_t gpa;
    uint64_t size; /* 0: the slot is free */
    uint8_t *host;
    gra_t gra;
    uint32_t flags;
};

/* A doorbell that the kernel has. */
struct kvm_bell {
    struct mem_doorbell_at at;
    bool port, refused; /* refused: the kernel would not have it; writes come to mem/ */
};

struct kvm_space { /* follows one struct mem */
    struct kvm *kvm;
    struct mem *mem;
    bool port;
    struct mem_listener listener;
    struct kvm_bell *bells;
    uint32_t bell_count;
};

struct irqfd_route {
    int fd; /* -1: free */
    uint64_t addr;
    uint32_t data;
};

struct kvm {
    struct cpu_accel accel;
    /* constant after kvm_new() */
    int fd, vm;
    size_t run_size;
    uint32_t xsave_size, slot_max, gsi_max;
    bool has_sregs2, has_xsave2, has_xcrs, has_debugregs, has_vcpu_events, has_readonly;
    bool has_triple_fault, has_any_length, has_clear_log, has_nmi, has_smi, has_tsc_deadline;
    bool has_clock_ctrl, has_exit_msr;
    struct kvm_cpuid2 *cpuid; /* what the kernel supports */
    struct x86_host host;
    uint32_t msrs[KVM_MSRS_MAX]; /* those of struct x86_cpu that the kernel has */
    unsigned msr_count;

    /* guarded by the machine lock */
    struct kvm_space memory, ports;
    struct kvm_slot *slots; /* slot_max of them, made as they are used */
    uint32_t slot_room;
    uint64_t clock; /* kvm-clock while the machine stands still */
    bool clock_valid;
    struct kvm_vcpu *cpus[KVM_CPUS_MAX];
    unsigned cpu_count;

    /* guarded by route_lock */
    pthread_mutex_t route_lock;
    struct irqfd_route *irqfds; /* GSI KVM_PINS + n */
    uint32_t irqfd_count;
    struct {
        bool masked;
        uint64_t addr;
        uint32_t data;
    } pin[KVM_PINS]; /* IRQCHIP_SPLIT */

    /* Memory slots change while vCPUs are kept out of the guest. */
    pthread_mutex_t gate_lock;
    pthread_cond_t gate_cond;
    atomic_bool gate_closed;
};

struct kvm_vcpu {
    struct kvm *kvm;
    struct cpu *cpu;
    int fd;
    struct kvm_run *run; /* mapped; immediate_exit is written by any thread */
    size_t run_size;
    _Atomic(pid_t) tid; /* 0: no thread yet */
    atomic_bool in_guest;
    /* vCPU thread, or while it stands still */
    bool out;       /* the state is in the guest's structure */
    bool was_reset; /* the clocks and the local APIC, too */
    bool pending;   /* the kernel waits to complete an instruction: run it before looking */
    bool dead;      /* the kernel cannot go on */
    uint64_t apic_base, tpr; /* IRQCHIP_USER: as told to the controller last */
    struct kvm_vcpu_events events;
    struct kvm_lapic_state lapic;
    struct kvm_mp_state mp;
    uint8_t *xsave; /* xsave_size bytes */
};

static inline struct kvm *kvm_of(struct cpu_accel *a)
{
    return (struct kvm *)a;
}

static inline struct kvm_vcpu *vcpu_of(const struct cpu *cpu)
{
    return cpu->accel_data;
}

/* kvm.c */
int kvm_vm_ioctl(struct kvm *k, unsigned long request, void *arg); /* 0.. or -errno */
int kvm_cap(const struct kvm *k, unsigned long cap);
bool kvm_enable_cap(int fd, uint32_t cap, uint64_t arg0, uint64_t arg1);

/* kvm_mem.c */
bool kvm_attach(struct cpu_accel *a, struct mem *mem, struct mem *ports, struct error *err);
void kvm_detach(struct cpu_accel *a);

/* kvm_cpuid.c */
bool kvm_host_init(struct kvm *k, struct error *err) MUST_CHECK;
bool kvm_cpuid_set(struct kvm_vcpu *v, struct error *err) MUST_CHECK;

/* kvm_irq.c */
bool kvm_irqchip_new(struct kvm *k, struct error *err) MUST_CHECK;
void kvm_irq_finish(struct kvm *k);
void kvm_irq_reset(struct cpu_accel *a);
void kvm_gsi(struct cpu_accel *a, unsigned gsi, bool level);
void kvm_hpet_legacy(struct cpu_accel *a, bool on);
void kvm_route(struct cpu_accel *a, unsigned pin, bool masked, uint64_t addr, uint32_t data);
void kvm_msi(struct cpu_accel *a, uint64_t addr, uint32_t data);
int kvm_irqfd_add(struct cpu_accel *a, int fd, uint64_t addr, uint32_t data);
void kvm_irqfd_remove(struct cpu_accel *a, int fd);
void kvm_lapic_set(struct cpu *cpu, unsigned reg, uint32_t value);
void kvm_lapic_reset(struct kvm_vcpu *v);

/* kvm_state.c */
void kvm_msrs_init(struct kvm *k);
bool kvm_state_out(struct kvm_vcpu *v); /* false: the kernel refused something; logged */
bool kvm_state_in(struct kvm_vcpu *v);

/* kvm_cpu.c */
bool kvm_cpu_init(struct cpu_accel *a, struct cpu *cpu, struct error *err);
void kvm_cpu_finish(struct cpu *cpu);
void kvm_cpu_reset(struct cpu *cpu);
void kvm_cpu_run(struct cpu *cpu);
void kvm_cpu_kick(struct cpu *cpu);
void kvm_cpu_sync_out(struct cpu *cpu);
/* No vCPU is in the guest from now on, until the gate opens. Machine lock held. */
void kvm_gate_close(struct kvm *k);
void kvm_gate_open(struct kvm *k);

/* kvm_exit.c: what KVM_RUN came back with. */
void kvm_exit(struct kvm_vcpu *v);
/* The machine cannot go on: report and end it. */
void kvm_fatal(struct kvm_vcpu *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
