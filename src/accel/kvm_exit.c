/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a vCPU's KVM_RUN came back with (section 5 of api.rst), and the end when it cannot go on. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "accel/kvm_priv.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/log.h"
#include "cpu/guest.h"
#include "guest/x86/sys.h"
#include "mem/mem.h"

/* ---- the end ---- */

/* sync_out() would let the kernel finish an instruction first: not from here. */
static void report(struct kvm_vcpu *v, const char *text)
{
    FILE *f;

    if (!v->out)
        (void)kvm_state_out(v);
    f = log_lock();
    fprintf(f, "KVM: CPU %u: %s\n", v->cpu->index, text);
    v->cpu->guest->print_state(f, v->cpu);
    log_unlock(f);
    v->out = true;
}

void kvm_fatal(struct kvm_vcpu *v, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    v->dead = true;
    v->pending = false;
    report(v, text);
    cpu_machine_fail(v->cpu, text);
}

/* 5., KVM_EXIT_INTERNAL_ERROR: only an emulation failure brings the instruction. */
static void internal_error(struct kvm_vcpu *v)
{
    static const char *const names[] = {
        [KVM_INTERNAL_ERROR_EMULATION] = "KVM cannot emulate the instruction",
        [KVM_INTERNAL_ERROR_SIMUL_EX] = "exceptions met while one was delivered",
        [KVM_INTERNAL_ERROR_DELIVERY_EV] = "unexpected exit while an event was delivered",
        [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "unexpected exit of the processor",
    };
    const struct kvm_run *r = v->run;
    unsigned n = r->internal.suberror;
    const char *name = n < ARRAY_SIZE(names) && names[n] ? names[n] : "unknown cause";
    char bytes[64] = "";
    unsigned len = 0;

    if (n == KVM_INTERNAL_ERROR_EMULATION && r->emulation_failure.ndata >= 1 &&
        r->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
        unsigned count = MIN(r->emulation_failure.insn_size, 15u);

        for (unsigned i = 0; i < count; i++)
            len += (unsigned)snprintf(bytes + len, sizeof bytes - len, " %02x",
                                      r->emulation_failure.insn_bytes[i]);
    }
    kvm_fatal(v, "internal error %u of KVM: %s%s%s", n, name, len ? ", bytes" : "", bytes);
}

/* ---- ports and memory ---- */

static uint64_t get(const uint8_t *p, unsigned size)
{
    return size == 1 ? *p : size == 2 ? ld_le16(p) : size == 4 ? ld_le32(p) : ld_le64(p);
}

static void put(uint8_t *p, uint64_t val, unsigned size)
{
    switch (size) {
    case 1: *p = (uint8_t)val; break;
    case 2: st_le16(p, (uint16_t)val); break;
    case 4: st_le32(p, (uint32_t)val); break;
    default: st_le64(p, val); break;
    }
}

static void port_io(struct kvm_vcpu *v)
{
    struct kvm_run *r = v->run;
    uint8_t *p = (uint8_t *)r + r->io.data_offset;
    struct mem *ports = v->cpu->ports;

    for (uint32_t n = 0; n < r->io.count; n++, p += r->io.size) {
        const struct mem_view_entry *e = mem_find(ports, r->io.port);

        if (r->io.direction == KVM_EXIT_IO_OUT)
            mem_io_write(ports, e, r->io.port, get(p, r->io.size), r->io.size);
        else
            put(p, mem_io_read(ports, e, r->io.port, r->io.size), r->io.size);
    }
    v->pending = true;
}

static void memory_io(struct kvm_vcpu *v)
{
    struct kvm_run *r = v->run;
    struct mem *mem = v->cpu->mem;
    unsigned len = MIN(r->mmio.len, 8u);

    /* an access that crosses pages comes in odd pieces */
    for (unsigned done = 0, size; done < len; done += size) {
        gpa_t a = r->mmio.phys_addr + done;
        const struct mem_view_entry *e = mem_find(mem, a);

        for (size = 8; size > len - done; size /= 2)
            ;
        if (r->mmio.is_write)
            mem_io_write(mem, e, a, get(r->mmio.data + done, size), size);
        else
            put(r->mmio.data + done, mem_io_read(mem, e, a, size), size);
    }
    v->pending = true;
}

/* ---- the rest ---- */

static void msr(struct kvm_vcpu *v, bool write)
{
    struct kvm_run *r = v->run;
    struct x86_cpu *x = x86_of(v->cpu);
    uint64_t val = r->msr.data;
    bool ok = write ? x86_write_msr(x, r->msr.index, val) : x86_read_msr(x, r->msr.index, &val);

    r->msr.error = !ok;
    r->msr.data = val;
    v->pending = true;
    if (!ok)
        log_write(LOG_UNIMP, "%s %#x: no such register\n", write ? "WRMSR" : "RDMSR", r->msr.index);
}

static void triple_fault(struct kvm_vcpu *v)
{
    cpu_machine_reset(v->cpu, "triple fault");
    v->dead = true; /* until the reset */
}

static void system_event(struct kvm_vcpu *v)
{
    if (v->run->system_event.type == KVM_SYSTEM_EVENT_RESET) {
        cpu_machine_reset(v->cpu, "guest");
        v->dead = true;
        return;
    }
    kvm_fatal(v, "the guest reports its end to KVM (event %u)", v->run->system_event.type);
}

static void end_of_interrupt(struct kvm_vcpu *v)
{
    struct cpu_accel *a = &v->kvm->accel;

    if (!a->eoi)
        return;
    cpu_machine_lock(v->cpu);
    a->eoi(a->eoi_opaque, v->run->eoi.vector);
    cpu_machine_unlock(v->cpu);
}

void kvm_exit(struct kvm_vcpu *v)
{
    struct kvm_run *r = v->run;

    switch (r->exit_reason) {
    case KVM_EXIT_IO:
    case KVM_EXIT_MMIO:
        cpu_accel_lookup_begin(v->cpu);
        if (r->exit_reason == KVM_EXIT_IO)
            port_io(v);
        else
            memory_io(v);
        cpu_accel_lookup_end(v->cpu);
        break;
    case KVM_EXIT_HLT: v->cpu->halted = 1; break;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_INTR:
    case KVM_EXIT_SET_TPR: /* taken over behind each run */
    case KVM_EXIT_TPR_ACCESS:
    case KVM_EXIT_NMI:
    case KVM_EXIT_X86_BUS_LOCK:
    case KVM_EXIT_NOTIFY: break;
    case KVM_EXIT_IOAPIC_EOI: end_of_interrupt(v); break;
    case KVM_EXIT_X86_RDMSR: msr(v, false); break;
    case KVM_EXIT_X86_WRMSR: msr(v, true); break;
    case KVM_EXIT_HYPERCALL:
        r->hypercall.ret = (uint64_t)-1000; /* KVM_ENOSYS */
        v->pending = true;
        break;
    case KVM_EXIT_SHUTDOWN: triple_fault(v); break;
    case KVM_EXIT_SYSTEM_EVENT: system_event(v); break;
    case KVM_EXIT_INTERNAL_ERROR: internal_error(v); break;
    case KVM_EXIT_FAIL_ENTRY:
        kvm_fatal(v, "the processor refuses to enter the guest: reason %#" PRIx64,
                  (uint64_t)r->fail_entry.hardware_entry_failure_reason);
        break;
    case KVM_EXIT_UNKNOWN:
        kvm_fatal(v, "unknown exit of the processor: reason %#" PRIx64,
                  (uint64_t)r->hw.hardware_exit_reason);
        break;
    case KVM_EXIT_DEBUG: kvm_fatal(v, "a debug exit that nobody asked for"); break;
    default: kvm_fatal(v, "exit %u is not known here", r->exit_reason); break;
    }
}
