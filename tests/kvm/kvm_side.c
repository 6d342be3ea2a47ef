/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The KVM side: one VM with one vCPU and RAM_SIZE bytes, reused for all cases. */
#include "kvm_diff.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

static int kvm = -1, vm = -1, vcpu = -1;
static struct kvm_run *run;
static uint8_t *memory;
static bool amd;

const uint32_t case_msrs[MSRS] = { 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102,
                                   0x174,      0x175,      0x176,      0xc0000103, 0x277 };

static void die(const char *what)
{
    fprintf(stderr, "kvm_diff: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void on_alarm(int sig)
{
    run->immediate_exit = 1;
}

static void set_cpuid(void)
{
    struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 256 * sizeof(c->entries[0]));

    c->nent = 256;
    if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, c) < 0)
        die("KVM_GET_SUPPORTED_CPUID");
    for (unsigned i = 0; i < c->nent; i++)
        if (c->entries[i].function == 0)
            amd = c->entries[i].ebx == 0x68747541;
    if (ioctl(vcpu, KVM_SET_CPUID2, c) < 0)
        die("KVM_SET_CPUID2");
    free(c);
}

bool kvm_open(char *why, unsigned size)
{
    struct kvm_userspace_memory_region region = { .memory_size = RAM_SIZE };
    struct sigaction sa = { .sa_handler = on_alarm };
    int map;

    kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0) {
        snprintf(why, size, "/dev/kvm: %s", strerror(errno));
        return false;
    }
    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0) {
        snprintf(why, size, "KVM_CREATE_VM: %s", strerror(errno));
        return false;
    }
    memory = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    region.userspace_addr = (uintptr_t)memory;
    if (ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) < 0 ||
        ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        die("setting up the VM");
    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    map = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (vcpu < 0 || map < 0)
        die("KVM_CREATE_VCPU");
    run = mmap(NULL, (size_t)map, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    set_cpuid();
    sigaction(SIGALRM, &sa, NULL);
    return true;
}

bool kvm_is_amd(void)
{
    return amd;
}

bool kvm_is_software(void)
{
    return access("/sys/module/kvm_pvm", F_OK) == 0;
}

/* ---- state in ---- */

static struct kvm_segment to_kvm(const struct seg_state *s)
{
    uint32_t limit = s->limit;

    return (struct kvm_segment){ .base = s->base,
                                 .limit = limit,
                                 .selector = s->sel,
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

static void put_sregs(const struct state *s)
{
    struct kvm_sregs r;

    if (ioctl(vcpu, KVM_GET_SREGS, &r) < 0)
        die("KVM_GET_SREGS");
    r.es = to_kvm(&s->seg[0]);
    r.cs = to_kvm(&s->seg[1]);
    r.ss = to_kvm(&s->seg[2]);
    r.ds = to_kvm(&s->seg[3]);
    r.fs = to_kvm(&s->seg[4]);
    r.gs = to_kvm(&s->seg[5]);
    r.ldt = to_kvm(&s->seg[SEG_LDT]);
    r.tr = to_kvm(&s->seg[SEG_TR]);
    r.gdt.base = s->gdt_base;
    r.gdt.limit = (uint16_t)s->gdt_limit;
    r.idt.base = s->idt_base;
    r.idt.limit = (uint16_t)s->idt_limit;
    r.cr0 = s->cr0;
    r.cr2 = s->cr2;
    r.cr3 = s->cr3;
    r.cr4 = s->cr4;
    r.efer = s->efer;
    memset(r.interrupt_bitmap, 0, sizeof(r.interrupt_bitmap));
    if (ioctl(vcpu, KVM_SET_SREGS, &r) < 0)
        die("KVM_SET_SREGS");
}

static const uint8_t kvm_order[16] = {
    0, 3, 1, 2, 6, 7, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15
}; /* rax rbx rcx rdx rsi rdi rsp rbp */

static void put_state(const struct state *s)
{
    struct kvm_regs r = { .rip = s->rip, .rflags = s->rflags };
    struct kvm_vcpu_events ev = { 0 };
    struct kvm_debugregs dr = { .dr6 = s->dr6, .dr7 = s->dr7 };
    struct {
        struct kvm_msrs h;
        struct kvm_msr_entry e[MSRS];
    } m = { .h.nmsrs = MSRS };
    struct kvm_mp_state mp = { KVM_MP_STATE_RUNNABLE };
    __u64 *gpr = &r.rax;

    for (unsigned i = 0; i < 16; i++)
        gpr[i] = s->gpr[kvm_order[i]];
    ioctl(vcpu, KVM_SET_MP_STATE, &mp);
    put_sregs(s);
    for (unsigned i = 0; i < MSRS; i++)
        m.e[i] = (struct kvm_msr_entry){ .index = case_msrs[i], .data = s->msr[i] };
    ev.flags = KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_NMI_PENDING;
    if (ioctl(vcpu, KVM_SET_REGS, &r) < 0 || ioctl(vcpu, KVM_SET_VCPU_EVENTS, &ev) < 0 ||
        ioctl(vcpu, KVM_SET_DEBUGREGS, &dr) < 0 || ioctl(vcpu, KVM_SET_MSRS, &m) < MSRS)
        die("setting the vCPU's state");
}

/* ---- state out ---- */

static struct seg_state from_kvm(const struct kvm_segment *k)
{
    return (struct seg_state){ .base = k->base,
                               .limit = k->limit,
                               .sel = k->selector,
                               .null = k->unusable,
                               .flags = k->type | (unsigned)k->s << 4 | (unsigned)k->dpl << 5 |
                                        (unsigned)k->present << 7 | (unsigned)k->avl << 12 |
                                        (unsigned)k->l << 13 | (unsigned)k->db << 14 |
                                        (unsigned)k->g << 15 };
}

static void get_state(struct state *s)
{
    struct kvm_regs r;
    struct kvm_sregs sr;
    struct kvm_debugregs dr;
    struct {
        struct kvm_msrs h;
        struct kvm_msr_entry e[MSRS];
    } m = { .h.nmsrs = MSRS };
    const __u64 *gpr = &r.rax;

    for (unsigned i = 0; i < MSRS; i++)
        m.e[i].index = case_msrs[i];
    if (ioctl(vcpu, KVM_GET_REGS, &r) < 0 || ioctl(vcpu, KVM_GET_SREGS, &sr) < 0 ||
        ioctl(vcpu, KVM_GET_DEBUGREGS, &dr) < 0 || ioctl(vcpu, KVM_GET_MSRS, &m) < MSRS)
        die("reading the vCPU's state");
    for (unsigned i = 0; i < 16; i++)
        s->gpr[kvm_order[i]] = gpr[i];
    for (unsigned i = 0; i < MSRS; i++)
        s->msr[i] = m.e[i].data;
    s->rip = r.rip;
    s->rflags = r.rflags;
    s->seg[0] = from_kvm(&sr.es);
    s->seg[1] = from_kvm(&sr.cs);
    s->seg[2] = from_kvm(&sr.ss);
    s->seg[3] = from_kvm(&sr.ds);
    s->seg[4] = from_kvm(&sr.fs);
    s->seg[5] = from_kvm(&sr.gs);
    s->seg[SEG_LDT] = from_kvm(&sr.ldt);
    s->seg[SEG_TR] = from_kvm(&sr.tr);
    s->gdt_base = sr.gdt.base;
    s->gdt_limit = sr.gdt.limit;
    s->idt_base = sr.idt.base;
    s->idt_limit = sr.idt.limit;
    s->cr0 = sr.cr0;
    s->cr2 = sr.cr2;
    s->cr3 = sr.cr3;
    s->cr4 = sr.cr4;
    s->efer = sr.efer;
    s->dr6 = dr.dr6;
    s->dr7 = dr.dr7;
}

static void answer_io(void)
{
    if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN)
        memset((char *)run + run->io.data_offset, 0xff, (size_t)run->io.size * run->io.count);
    if (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write)
        memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
}

void kvm_run_case(const struct state *start, uint8_t *ram, struct state *ret)
{
    const struct itimerval limit = { .it_value = { 0, 200000 } }, none = { { 0, 0 }, { 0, 0 } };

    memcpy(memory, ram, RAM_SIZE);
    put_state(start);
    run->immediate_exit = 0;
    ret->outcome = UNUSABLE;
    setitimer(ITIMER_REAL, &limit, NULL);
    for (unsigned n = 0; n < 10000; n++) {
        int r = ioctl(vcpu, KVM_RUN, 0);

        if (r < 0)
            break; /* a loop, or nothing we want to know */
        if (run->exit_reason == KVM_EXIT_HLT)
            ret->outcome = HALTED;
        else if (run->exit_reason == KVM_EXIT_SHUTDOWN)
            ret->outcome = SHUT_DOWN;
        else if (run->exit_reason == KVM_EXIT_IO || run->exit_reason == KVM_EXIT_MMIO) {
            answer_io();
            continue;
        }
        break;
    }
    setitimer(ITIMER_REAL, &none, NULL);
    get_state(ret);
    memcpy(ram, memory, RAM_SIZE);
}
