/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU in KVM: its life, the loop around KVM_RUN (4.10), interrupts that come from our own
 * controllers, and how other threads bring it out of the guest.
 *
 * Kicks are never lost: who kicks sets cpu->exit_request, then run->immediate_exit, then sends the
 * signal if the vCPU says that it is in the guest; the vCPU says so, looks at exit_request, enters,
 * and clears immediate_exit before it looks at exit_request the next time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "accel/kvm_priv.h"
#include "base/alloc.h"
#include "base/log.h"
#include "cpu/guest.h"
#include "mem/mem.h"

/* ---- life ---- */

static bool create(struct kvm_vcpu *v, struct error *err)
{
    uintptr_t id = x86_of(v->cpu)->topology.apic_id; /* a vCPU's number is its APIC ID */
    void *p;

    v->fd = kvm_vm_ioctl(v->kvm, KVM_CREATE_VCPU, (void *)id);
    if (v->fd < 0) {
        (void)fail(err, -v->fd, "KVM: creating CPU %u: %s", v->cpu->index, strerror(-v->fd));
        return v->fd != -EINVAL ||
               fail_hint(err, "this kernel allows %d CPUs", kvm_cap(v->kvm, KVM_CAP_MAX_VCPUS));
    }
    p = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (p == MAP_FAILED)
        return fail(err, errno, "KVM: mapping the run area of CPU %u: %s", v->cpu->index,
                    strerror(errno));
    v->run = p;
    return true;
}

/* As many machine-check banks as under translation. (4.105) */
static void set_up_mce(struct kvm_vcpu *v)
{
    uint64_t can = 0, banks = 10;

    if (x86_has(x86_of(v->cpu), X86_FEATURE(0, 14)) &&
        ioctl(v->kvm->fd, KVM_X86_GET_MCE_CAP_SUPPORTED, &can) == 0 && (can & 0xff) >= banks)
        (void)ioctl(v->fd, KVM_X86_SETUP_MCE, &banks);
}

bool kvm_cpu_init(struct cpu_accel *a, struct cpu *cpu, struct error *err)
{
    struct kvm *k = kvm_of(a);
    struct kvm_vcpu *v = xnew(struct kvm_vcpu);
    int khz;

    *v = (struct kvm_vcpu){ .kvm = k, .cpu = cpu, .fd = -1, .run_size = k->run_size, .out = true };
    cpu->accel_data = v;
    if (cpu->index >= KVM_CPUS_MAX || k->cpu_count == KVM_CPUS_MAX)
        return fail(err, E2BIG, "KVM: more than %d CPUs", KVM_CPUS_MAX);
    v->xsave = xcalloc(1, k->xsave_size);
    if (!create(v, err) || !kvm_cpuid_set(v, err))
        return false;
    set_up_mce(v);
    khz = ioctl(v->fd, KVM_GET_TSC_KHZ, 0);
    if (khz > 0)
        x86_of(cpu)->tsc_hz = (uint64_t)khz * 1000;
    k->cpus[k->cpu_count++] = v;
    kvm_cpu_reset(cpu);
    return true;
}

void kvm_cpu_finish(struct cpu *cpu)
{
    struct kvm_vcpu *v = vcpu_of(cpu);
    struct kvm *k;

    if (!v)
        return;
    k = v->kvm;
    for (unsigned i = 0; i < k->cpu_count; i++)
        if (k->cpus[i] == v) {
            k->cpus[i] = k->cpus[--k->cpu_count];
            break;
        }
    if (v->run)
        munmap(v->run, v->run_size);
    if (v->fd >= 0)
        close(v->fd);
    free(v->xsave);
    free(v);
    cpu->accel_data = NULL;
}

void kvm_cpu_reset(struct cpu *cpu)
{
    struct kvm_vcpu *v = vcpu_of(cpu);

    v->out = v->was_reset = true;
    v->pending = v->dead = false;
    memset(&v->events, 0, sizeof v->events);
    memset(v->xsave, 0, v->kvm->xsave_size);
    kvm_lapic_reset(v);
    v->mp.mp_state = cpu->index ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
    v->tpr = 0;
    v->apic_base = x86_of(cpu)->apic_base;
    v->run->request_interrupt_window = 0;
    v->run->ready_for_interrupt_injection = 0;
}

/* ---- kicks and the gate ---- */

static void interrupt_run(struct kvm_vcpu *v)
{
    __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (atomic_load(&v->in_guest))
        (void)syscall(SYS_tgkill, getpid(), atomic_load(&v->tid), KVM_KICK_SIGNAL);
}

void kvm_cpu_kick(struct cpu *cpu)
{
    struct kvm_vcpu *v = vcpu_of(cpu);

    if (v)
        interrupt_run(v);
}

void kvm_gate_close(struct kvm *k)
{
    pthread_mutex_lock(&k->gate_lock);
    atomic_store(&k->gate_closed, true);
    for (unsigned i = 0; i < k->cpu_count; i++)
        if (atomic_load(&k->cpus[i]->in_guest))
            interrupt_run(k->cpus[i]);
    for (unsigned i = 0; i < k->cpu_count; i++)
        while (atomic_load(&k->cpus[i]->in_guest))
            pthread_cond_wait(&k->gate_cond, &k->gate_lock);
    pthread_mutex_unlock(&k->gate_lock);
}

void kvm_gate_open(struct kvm *k)
{
    pthread_mutex_lock(&k->gate_lock);
    atomic_store(&k->gate_closed, false);
    pthread_cond_broadcast(&k->gate_cond);
    pthread_mutex_unlock(&k->gate_lock);
}

static void leave_guest(struct kvm_vcpu *v)
{
    struct kvm *k = v->kvm;

    atomic_store(&v->in_guest, false);
    if (!atomic_load(&k->gate_closed))
        return;
    pthread_mutex_lock(&k->gate_lock);
    pthread_cond_broadcast(&k->gate_cond);
    while (atomic_load(&k->gate_closed))
        pthread_cond_wait(&k->gate_cond, &k->gate_lock);
    pthread_mutex_unlock(&k->gate_lock);
}

/* One KVM_RUN. False: nothing to handle. */
static bool enter(struct kvm_vcpu *v)
{
    struct kvm *k = v->kvm;
    int r, code;

    atomic_store(&v->in_guest, true);
    if (atomic_load(&v->cpu->exit_request) || atomic_load(&k->gate_closed)) {
        leave_guest(v);
        return false;
    }
    r = ioctl(v->fd, KVM_RUN, 0);
    code = errno;
    __atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    leave_guest(v);
    v->pending = false;
    if (r >= 0)
        return true;
    if (code == EINTR || code == EAGAIN)
        return false;
    if (code == EFAULT)
        kvm_fatal(v, "the kernel could not reach the guest's memory");
    else
        kvm_fatal(v, "KVM_RUN: %s", strerror(code));
    return false;
}

/* ---- state ---- */

/* The instruction of the last exit is finished by the kernel at the next KVM_RUN: let it do that
 * and no more. (KVM_RUN, "pending operations") */
static void complete(struct kvm_vcpu *v)
{
    for (unsigned n = 0; v->pending && n < 64; n++) {
        __atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        v->pending = false;
        if (ioctl(v->fd, KVM_RUN, 0) >= 0)
            kvm_exit(v); /* the next part of it */
    }
    __atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
}

void kvm_cpu_sync_out(struct cpu *cpu)
{
    struct kvm_vcpu *v = vcpu_of(cpu);

    if (v->out)
        return;
    complete(v);
    (void)kvm_state_out(v);
    v->out = true;
}

/* ---- interrupts from our own controllers ---- */

static void take_init_sipi(struct kvm_vcpu *v, uint32_t events)
{
    struct cpu *cpu = v->cpu;

    kvm_cpu_sync_out(cpu);
    cpu_machine_lock(cpu);
    cpu->guest->take_events(cpu, events);
    cpu_machine_unlock(cpu);
    v->run->ready_for_interrupt_injection = 0;
}

static void take_nmi(struct kvm_vcpu *v)
{
    cpu_event_clear(v->cpu, CPU_EVENT_NMI);
    if (v->out && !kvm_state_in(v)) /* what is set now stays */
        return;
    v->out = false;
    if (v->kvm->has_nmi && ioctl(v->fd, KVM_NMI) < 0)
        log_text("KVM: KVM_NMI: %s\n", strerror(errno));
    v->cpu->halted = 0;
}

static void take_smi(struct kvm_vcpu *v)
{
    cpu_event_clear(v->cpu, CPU_EVENT_SMI);
    if (!v->kvm->has_smi || ioctl(v->fd, KVM_SMI) < 0)
        log_write(LOG_UNIMP, "system management interrupt: this kernel's KVM has no SMM\n");
}

/* Gives a waiting interrupt to the kernel when the guest takes one now, or asks to hear when it
 * does. (KVM_INTERRUPT, 4.16) */
static void take_intr(struct kvm_vcpu *v)
{
    struct cpu *cpu = v->cpu;
    bool waits = atomic_load(&cpu->events) & CPU_EVENT_INTR;

    if (waits && !v->out && v->run->ready_for_interrupt_injection && cpu->intc) {
        struct kvm_interrupt i;
        int vector;

        cpu_machine_lock(cpu);
        vector = cpu->intc->acknowledge(cpu->intc_ctrl);
        cpu_machine_unlock(cpu);
        if (vector >= 0) {
            i.irq = (uint32_t)vector;
            if (ioctl(v->fd, KVM_INTERRUPT, &i) < 0)
                log_text("KVM: KVM_INTERRUPT %d: %s\n", vector, strerror(errno));
            v->run->ready_for_interrupt_injection = 0;
            cpu->halted = 0;
        }
        waits = atomic_load(&cpu->events) & CPU_EVENT_INTR;
    }
    v->run->request_interrupt_window = waits;
}

/* IRQCHIP_USER: a halted vCPU waits here. True: it runs. */
static bool awake(struct kvm_vcpu *v)
{
    struct cpu *cpu = v->cpu;
    uint32_t ev = atomic_load(&cpu->events);

    if (!cpu->halted)
        return true;
    if (v->out ? cpu->guest->wakes(cpu, ev) : (ev & CPU_EVENT_INTR && v->run->if_flag)) {
        cpu->halted = 0;
        return true;
    }
    cpu_accel_wait(cpu);
    return false;
}

static void tpr_in(struct kvm_vcpu *v)
{
    struct cpu *cpu = v->cpu;

    if (!cpu->intc)
        return;
    cpu_machine_lock(cpu);
    v->tpr = cpu->intc->get_tpr(cpu->intc_ctrl);
    cpu_machine_unlock(cpu);
    v->run->cr8 = v->tpr;
}

static void apic_out(struct kvm_vcpu *v)
{
    struct cpu *cpu = v->cpu;

    if (!cpu->intc || (v->run->cr8 == v->tpr && v->run->apic_base == v->apic_base))
        return;
    cpu_machine_lock(cpu);
    if (v->run->cr8 != v->tpr)
        cpu->intc->set_tpr(cpu->intc_ctrl, v->run->cr8);
    if (v->run->apic_base != v->apic_base)
        (void)cpu->intc->msr_write(cpu->intc_ctrl, 0x1b, v->run->apic_base);
    cpu_machine_unlock(cpu);
    v->tpr = v->run->cr8;
    v->apic_base = v->run->apic_base;
}

/* False: do not enter the guest now. */
static bool take_events(struct kvm_vcpu *v)
{
    uint32_t ev = atomic_load(&v->cpu->events);
    bool user = v->kvm->accel.irqchip == IRQCHIP_USER;

    if (ev & (CPU_EVENT_INIT | CPU_EVENT_SIPI))
        take_init_sipi(v, ev & (CPU_EVENT_INIT | CPU_EVENT_SIPI));
    if (ev & CPU_EVENT_NMI)
        take_nmi(v);
    if (ev & CPU_EVENT_SMI)
        take_smi(v);
    if (user && !awake(v))
        return false;
    if (v->kvm->accel.irqchip != IRQCHIP_KERNEL)
        take_intr(v);
    if (user)
        tpr_in(v);
    return true;
}

/* ---- running ---- */

static void begin_thread(struct kvm_vcpu *v)
{
    sigset_t set;

    atomic_store(&v->tid, (pid_t)syscall(SYS_gettid));
    sigemptyset(&set);
    sigaddset(&set, KVM_KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void kvm_cpu_run(struct cpu *cpu)
{
    struct kvm_vcpu *v = vcpu_of(cpu);

    if (!atomic_load(&v->tid))
        begin_thread(v);
    while (!atomic_load(&cpu->exit_request)) {
        if (v->dead) {
            cpu_accel_wait(cpu);
            return;
        }
        if (!take_events(v))
            continue;
        if (v->out && !kvm_state_in(v)) {
            kvm_fatal(v, "the kernel refuses the CPU's state");
            continue;
        }
        v->out = false;
        if (!enter(v))
            continue;
        if (v->kvm->accel.irqchip == IRQCHIP_USER)
            apic_out(v);
        kvm_exit(v);
    }
}
