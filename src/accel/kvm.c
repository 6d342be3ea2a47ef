/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM: opening the device, the VM, what the kernel can do, kvm-clock. When something is missing the
 * error says what and how to get it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accel/kvm_priv.h"
#include "base/alloc.h"
#include "base/bits.h"
#include "base/log.h"
#include "base/scope.h"

int kvm_vm_ioctl(struct kvm *k, unsigned long request, void *arg)
{
    int r;

    do {
        r = ioctl(k->vm, request, arg);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : r;
}

int kvm_cap(const struct kvm *k, unsigned long cap)
{
    int r = ioctl(k->vm >= 0 ? k->vm : k->fd, KVM_CHECK_EXTENSION, cap);

    return MAX(r, 0);
}

bool kvm_enable_cap(int fd, uint32_t cap, uint64_t arg0, uint64_t arg1)
{
    struct kvm_enable_cap c = { .cap = cap, .args = { arg0, arg1 } };

    return ioctl(fd, KVM_ENABLE_CAP, &c) == 0;
}

/* ---- why it does not open ---- */

/* Whether the processor shows a flag ("vmx", "svm"). */
static bool cpu_flag(const char *flag)
{
    FILE *f = fopen("/proc/cpuinfo", "re");
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    bool found = false;

    while (f && !found && getline(&line, &room, f) > 0) {
        char *save = NULL;

        if (strncmp(line, "flags", 5))
            continue;
        for (char *w = strtok_r(line, " \t\n", &save); w; w = strtok_r(NULL, " \t\n", &save))
            found |= !strcmp(w, flag);
        break;
    }
    if (f)
        fclose(f);
    return found;
}

static bool in_container(void)
{
    return access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0 ||
           getenv("container");
}

static bool no_device(const char *path, int code, struct error *err)
{
    const char *module = cpu_flag("vmx") ? "kvm_intel" : cpu_flag("svm") ? "kvm_amd" : NULL;

    (void)fail(err, code, "KVM: %s: %s", path, strerror(code));
    if (strcmp(path, "/dev/kvm"))
        return fail_hint(err, "device= names the KVM device, normally /dev/kvm");
    if (in_container())
        return fail_hint(err, "this is a container: give it the device (--device /dev/kvm), "
                              "or use -accel tcg");
    if (module)
        return fail_hint(err,
                         "load its module: modprobe %s; if that fails, switch virtualisation "
                         "on in the BIOS setup; or use -accel tcg",
                         module);
    return fail_hint(err,
                     "this processor shows neither vmx nor svm: switch VT-x or AMD-V on in the "
                     "BIOS setup or, in a virtual machine, nested virtualisation on its host; "
                     "or use -accel tcg");
}

static bool no_permission(const char *path, int code, struct error *err)
{
    struct stat st;
    struct group *g = stat(path, &st) == 0 && st.st_mode & S_IRGRP ? getgrgid(st.st_gid) : NULL;

    (void)fail(err, code, "KVM: %s: %s", path, strerror(code));
    if (g && st.st_gid)
        return fail_hint(err, "it belongs to group %s: usermod -aG %s %s as root, then log in anew",
                         g->gr_name, g->gr_name, getenv("USER") ? getenv("USER") : "USER");
    return fail_hint(err, "let your user read and write it, or use -accel tcg");
}

static bool open_device(struct kvm *k, const char *path, struct error *err)
{
    k->fd = open(path, O_RDWR | O_CLOEXEC);
    if (k->fd >= 0)
        return true;
    if (errno == EACCES || errno == EPERM)
        return no_permission(path, errno, err);
    return no_device(path, errno, err);
}

static bool create_vm(struct kvm *k, const char *path, struct error *err)
{
    int version = ioctl(k->fd, KVM_GET_API_VERSION, 0);

    if (version < 0) {
        (void)fail(err, errno, "KVM: %s is no KVM device: %s", path, strerror(errno));
        return fail_hint(err, "device= names the KVM device, normally /dev/kvm");
    }
    if (version != KVM_API_VERSION) {
        (void)fail(err, ENOTSUP,
                   "KVM: the kernel's interface has version %d, this program needs %d", version,
                   KVM_API_VERSION);
        return fail_hint(err, "use another kernel, or -accel tcg");
    }
    do {
        k->vm = ioctl(k->fd, KVM_CREATE_VM, 0);
    } while (k->vm < 0 && errno == EINTR);
    if (k->vm >= 0)
        return true;
    (void)fail(err, errno, "KVM: creating a virtual machine: %s", strerror(errno));
    return fail_hint(err, errno == EBUSY
                              ? "another hypervisor (VirtualBox, VMware) uses the processor: end it"
                              : "see dmesg, or use -accel tcg");
}

static bool check_caps(struct kvm *k, struct error *err)
{
    static const struct {
        unsigned long cap;
        const char *what;
    } needed[] = {
        { KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
        { KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "KVM_CAP_DESTROY_MEMORY_REGION_WORKS" },
        { KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID" },
        { KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR" },
        { KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
        { KVM_CAP_XSAVE, "KVM_CAP_XSAVE" },
        { KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(needed); i++)
        if (!kvm_cap(k, needed[i].cap)) {
            (void)fail(err, ENOTSUP, "KVM: this kernel lacks %s", needed[i].what);
            return fail_hint(err, "Linux 4.13 or later has it; or use -accel tcg");
        }
    k->slot_max = (uint32_t)MAX(kvm_cap(k, KVM_CAP_NR_MEMSLOTS), 32);
    k->gsi_max = (uint32_t)kvm_cap(k, KVM_CAP_IRQ_ROUTING);
    k->has_sregs2 = kvm_cap(k, KVM_CAP_SREGS2);
    k->has_xcrs = kvm_cap(k, KVM_CAP_XCRS);
    k->has_debugregs = kvm_cap(k, KVM_CAP_DEBUGREGS);
    k->has_vcpu_events = kvm_cap(k, KVM_CAP_VCPU_EVENTS);
    k->has_readonly = kvm_cap(k, KVM_CAP_READONLY_MEM);
    k->has_any_length = kvm_cap(k, KVM_CAP_IOEVENTFD_NO_LENGTH);
    k->has_nmi = kvm_cap(k, KVM_CAP_USER_NMI);
    k->has_smi = kvm_cap(k, KVM_CAP_X86_SMM);
    k->has_tsc_deadline = kvm_cap(k, KVM_CAP_TSC_DEADLINE_TIMER);
    k->has_clock_ctrl = kvm_cap(k, KVM_CAP_KVMCLOCK_CTRL);
    k->xsave_size = (uint32_t)kvm_cap(k, KVM_CAP_XSAVE2);
    k->has_xsave2 = k->xsave_size > sizeof(struct kvm_xsave);
    k->xsave_size = ALIGN_UP(MAX(k->xsave_size, (uint32_t)sizeof(struct kvm_xsave)), 4096u);
    return true;
}

/* Behaviour that the kernel has only on request. */
static void enable_caps(struct kvm *k)
{
    if (kvm_cap(k, KVM_CAP_X86_USER_SPACE_MSR))
        k->has_exit_msr =
            kvm_enable_cap(k->vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN, 0);
    if (kvm_cap(k, KVM_CAP_EXCEPTION_PAYLOAD))
        (void)kvm_enable_cap(k->vm, KVM_CAP_EXCEPTION_PAYLOAD, 1, 0);
    if (kvm_cap(k, KVM_CAP_X86_TRIPLE_FAULT_EVENT))
        k->has_triple_fault = kvm_enable_cap(k->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1, 0);
    if (kvm_cap(k, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2))
        k->has_clear_log = kvm_enable_cap(k->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
                                          KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE, 0);
}

/* Intel's processors without "unrestricted guest" need a page table and a TSS of the guest's
 * address space: below the firmware, as QEMU places them. (4.10, 4.41) */
static bool place_tables(struct kvm *k, struct error *err)
{
    uint64_t identity = 0xfeffc000;

    (void)kvm_vm_ioctl(k, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    if (ioctl(k->vm, KVM_SET_TSS_ADDR, identity + 0x1000) < 0)
        return fail(err, errno, "KVM_SET_TSS_ADDR: %s", strerror(errno));
    return true;
}

/* A handler that does nothing: the signal is there to interrupt KVM_RUN. */
static void kicked(int sig)
{
}

static void kvm_set_running(struct cpu_accel *a, bool running)
{
    struct kvm *k = kvm_of(a);
    struct kvm_clock_data c = { .clock = k->clock };

    if (!kvm_cap(k, KVM_CAP_ADJUST_CLOCK))
        return;
    if (!running) {
        k->clock_valid = kvm_vm_ioctl(k, KVM_GET_CLOCK, &c) >= 0;
        k->clock = c.clock;
        return;
    }
    if (!k->clock_valid)
        return;
    (void)kvm_vm_ioctl(k, KVM_SET_CLOCK, &c);
    /* the guest's watchdogs should not take the pause for a lock-up */
    for (unsigned i = 0; k->has_clock_ctrl && i < k->cpu_count; i++)
        (void)ioctl(k->cpus[i]->fd, KVM_KVMCLOCK_CTRL, 0); /* EINVAL: no kvm-clock in use */
}

static void kvm_free(struct cpu_accel *a)
{
    struct kvm *k = kvm_of(a);

    kvm_detach(a);
    kvm_irq_finish(k);
    if (k->vm >= 0)
        close(k->vm);
    if (k->fd >= 0)
        close(k->fd);
    pthread_mutex_destroy(&k->route_lock);
    pthread_mutex_destroy(&k->gate_lock);
    pthread_cond_destroy(&k->gate_cond);
    free(k->slots);
    free(k->cpuid);
    free(k);
}

static const struct cpu_accel_ops ops = {
    .name = "kvm",
    .free = kvm_free,
    .attach = kvm_attach,
    .detach = kvm_detach,
    .set_running = kvm_set_running,
    .reset = kvm_irq_reset,
    .cpu_init = kvm_cpu_init,
    .cpu_finish = kvm_cpu_finish,
    .cpu_reset = kvm_cpu_reset,
    .run = kvm_cpu_run,
    .kick = kvm_cpu_kick,
    .sync_out = kvm_cpu_sync_out,
    .gsi = kvm_gsi,
    .hpet_legacy = kvm_hpet_legacy,
    .route = kvm_route,
    .msi = kvm_msi,
    .irqfd_add = kvm_irqfd_add,
    .irqfd_remove = kvm_irqfd_remove,
    .lapic_set = kvm_lapic_set,
};

struct cpu_accel *kvm_new(const struct accel_config *c, struct error *err)
{
    const char *path = c->kvm_device ? c->kvm_device : "/dev/kvm";
    struct sigaction sa = { .sa_handler = kicked, .sa_flags = SA_RESTART };
    struct kvm *k = xnew(struct kvm);
    int size;

    k->accel.ops = &ops;
    k->accel.irqchip = c->irqchip;
    k->fd = k->vm = -1;
    pthread_mutex_init(&k->route_lock, NULL);
    pthread_mutex_init(&k->gate_lock, NULL);
    pthread_cond_init(&k->gate_cond, NULL);
    if (!open_device(k, path, err) || !create_vm(k, path, err) || !check_caps(k, err) ||
        !place_tables(k, err) || !kvm_irqchip_new(k, err))
        goto fail;
    enable_caps(k);
    size = ioctl(k->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof(struct kvm_run)) {
        (void)fail(err, errno, "KVM_GET_VCPU_MMAP_SIZE: %s", strerror(errno));
        goto fail;
    }
    k->run_size = (size_t)size;
    if (c->kvm_shadow_pages &&
        ioctl(k->vm, KVM_SET_NR_MMU_PAGES, (unsigned long)c->kvm_shadow_pages) < 0) {
        (void)fail(err, errno, "kvm-shadow-mem: %s", strerror(errno));
        goto fail;
    }
    if (!kvm_host_init(k, err))
        goto fail;
    kvm_msrs_init(k);
    sigaction(KVM_KICK_SIGNAL, &sa, NULL);
    return &k->accel;
fail:
    kvm_free(&k->accel);
    return NULL;
}
