/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The KVM accelerator on a few bytes of real-mode code: state both ways, doorbells, dirty pages,
 * irqfds, maps that change under a running vCPU, stop and resume, two machines at once. Passes with
 * a message where /dev/kvm does not open.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "accel/accel.h"
#include "base/bits.h"
#include "cpu/cpu.h"
#include "guest/x86/x86.h"
#include "loop/loop.h"
#include "mem/dirty.h"
#include "mem/doorbell.h"
#include "mem/mem.h"
#include "test.h"

enum { RAM = 1 << 20, CODE = 0x1000 };

struct machine {
    struct cpu_accel *accel;
    struct loop *loop;
    struct mem *mem, *ports;
    struct mem_region ram, io;
    struct cpu *cpu;
    unsigned port_writes;
    uint64_t last;
    char error[200];
};

static uint64_t port_read(void *opaque, uint64_t off, unsigned size)
{
    return 0xa0 + off;
}

static void port_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct machine *m = opaque;

    __atomic_store_n(&m->last, val, __ATOMIC_RELAXED);
    __atomic_add_fetch(&m->port_writes, 1, __ATOMIC_SEQ_CST);
}

static const struct mem_io_ops port_ops = { port_read, port_write, 1, 4, false };

static void on_error(void *opaque, const char *why)
{
    struct machine *m = opaque;

    snprintf(m->error, sizeof m->error, "%s", why);
}

static bool make(struct machine *m, enum irqchip_mode chip)
{
    struct accel_config c = { .names = "kvm", .irqchip = chip };
    struct cpu_config config = { .model = "qemu64,check=off", .on_error = on_error, .opaque = m };
    const char *name;
    struct error err;
    gra_t gra;

    memset(m, 0, sizeof *m);
    if (!accel_new(&c, &m->accel, &name, &err)) {
        printf("not tested: %s\n", err.msg);
        return false;
    }
    m->loop = loop_new(&err);
    loop_lock(m->loop);
    m->mem = mem_new(m->loop, "memory", 0, RAM, &err);
    m->ports = mem_new(m->loop, "io", 0x10000, 0, &err);
    CHECK(mem_ram_alloc(m->mem, RAM, &gra, &err));
    mem_region_init_ram(&m->ram, "ram", gra, RAM);
    mem_map(m->mem, 0, &m->ram, 0);
    mem_region_init_io(&m->io, "io", &port_ops, m, 0x100);
    mem_map(m->ports, 0x5000, &m->io, 0);
    CHECK(m->accel->ops->attach(m->accel, m->mem, m->ports, &err));
    config.cpu_accel = m->accel;
    config.mem = m->mem;
    config.ports = m->ports;
    config.loop = m->loop;
    m->cpu = cpu_new(&x86_guest, &config, &err);
    CHECK(m->cpu && cpu_accel_init(m->cpu, &err));
    m->accel->ops->reset(m->accel);
    loop_unlock(m->loop);
    return true;
}

static void done(struct machine *m)
{
    cpu_stop(m->cpu);
    CHECK_STR(m->error, "");
    loop_lock(m->loop);
    cpu_free(m->cpu);
    m->accel->ops->detach(m->accel);
    mem_free(m->mem);
    mem_free(m->ports);
    accel_free(m->accel);
    loop_unlock(m->loop);
    loop_free(m->loop);
}

/* The code at CODE:0000 runs with flat real-mode segments, stack at 0x800. */
static void start(struct machine *m, const void *code, size_t len)
{
    struct x86_cpu *x = x86_of(m->cpu);
    struct error err;

    CHECK_EQ(dma_write(m->mem, CODE, code, len), 0);
    for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
        x->seg[i].selector = 0;
        x->seg[i].base = x->seg_base[i] = 0;
    }
    x->rip = CODE;
    x->gpr[X86_RSP] = 0x800;
    CHECK(cpu_start(m->cpu, &err));
}

static bool wait_for(const volatile void *p, uint8_t value)
{
    const volatile uint8_t *b = p;

    for (unsigned i = 0; i < 10000 && *b != value; i++)
        usleep(1000);
    return *b == value;
}

static uint8_t *ram(struct machine *m)
{
    return mem_ram_base(m->mem);
}

/* mov byte [0x900], 1; cli; hlt */
#define FINISH 0xc6, 0x06, 0x00, 0x09, 1, 0xfa, 0xf4

TEST(state)
{
    static const uint8_t code[] = { 0x66, 0x40, 0x66, 0x43, FINISH }; /* inc eax; inc ebx */
    struct machine m;
    struct x86_cpu *x;

    if (!make(&m, IRQCHIP_USER))
        return;
    x = x86_of(m.cpu);
    x->gpr[X86_RAX] = 0x11223344;
    x->gpr[X86_RBX] = 41;
    x->gpr[15] = 0x123456789abcdef0;
    x->gdt.base = 0x7000;
    x->gdt.limit = 0x37;
    x->star = 0x1234567800000000;
    x->kernel_gs_base = 0xffff800000001000;
    x->dr[0] = 0x4000;
    x->xmm[3].u64[0] = 0xfeedfacecafebeef;
    x->st[2].mant = 0xc000000000000000;
    x->st[2].se = 0x3fff;
    x->ftw = 4;
    start(&m, code, sizeof code);
    CHECK(wait_for(ram(&m) + 0x900, 1));
    cpu_stop(m.cpu);
    CHECK_EQ(x->gpr[X86_RAX], 0x11223345);
    CHECK_EQ(x->gpr[X86_RBX], 42);
    CHECK_EQ(x->gpr[15], 0x123456789abcdef0);
    CHECK_EQ(x->rip, CODE + sizeof code);
    CHECK_EQ(x->gdt.base, 0x7000);
    CHECK_EQ(x->gdt.limit, 0x37);
    CHECK_EQ(x->star, 0x1234567800000000);
    CHECK_EQ(x->kernel_gs_base, 0xffff800000001000);
    CHECK_EQ(x->dr[0], 0x4000);
    CHECK_EQ(x->xmm[3].u64[0], 0xfeedfacecafebeef);
    CHECK_EQ(x->st[2].mant, 0xc000000000000000);
    CHECK_EQ(x->ftw, 4);
    CHECK_EQ(x->cpl, 0);
    CHECK_EQ(m.cpu->halted, 1);
    /* changed while it stands still, then run on */
    x->rip = CODE;
    ram(&m)[0x900] = 0;
    m.cpu->halted = 0;
    cpu_resume(m.cpu);
    CHECK(wait_for(ram(&m) + 0x900, 1));
    cpu_stop(m.cpu);
    CHECK_EQ(x->gpr[X86_RBX], 43);
    done(&m);
}

TEST(ports_and_doorbell)
{
    static const uint8_t code[] = {
        0xba,   0x00, 0x50,                   /* mov dx, 0x5000 */
        0xb0,   0x11, 0xee,                   /* mov al, 0x11; out dx, al: the register */
        0xb2,   0x10, 0xee, 0xef, 0xee,       /* mov dl, 0x10; out dx, al; out dx, ax; out dx, al */
        0xb2,   0x04, 0xec, 0xa2, 0x01, 0x09, /* mov dl, 4; in al, dx; mov [0x901], al */
        FINISH,
    };
    struct machine m;
    struct mem_doorbell d = { .off = 0x10, .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) };
    uint64_t n = 0;

    if (!make(&m, IRQCHIP_USER)) {
        close(d.fd);
        return;
    }
    loop_lock(m.loop);
    mem_doorbell_add(&m.io, &d);
    loop_unlock(m.loop);
    start(&m, code, sizeof code);
    CHECK(wait_for(ram(&m) + 0x900, 1));
    CHECK_EQ(m.port_writes, 1);
    CHECK_EQ(m.last, 0x11);
    CHECK_EQ(ram(&m)[0x901], 0xa4);
    CHECK_EQ(read(d.fd, &n, sizeof n), 8);
    CHECK_EQ(n, 3);
    loop_lock(m.loop);
    mem_doorbell_remove(&d);
    loop_unlock(m.loop);
    done(&m);
    close(d.fd);
}

TEST(dirty_pages)
{
    static const uint8_t code[] = {
        0xc6,   0x06, 0x00, 0x50, 1, /* mov byte [0x5000], 1 */
        0xc6,   0x06, 0xff, 0x7f, 1, /* mov byte [0x7fff], 1 */
        FINISH,
    };
    struct machine m;
    uint64_t map[RAM / 4096 / 64];

    if (!make(&m, IRQCHIP_USER))
        return;
    CHECK_EQ(dma_write(m.mem, CODE, code, sizeof code), 0);
    loop_lock(m.loop);
    mem_dirty_start(m.mem, MEM_DIRTY_MIGRATION, 0, RAM);
    CHECK_EQ(mem_dirty_fetch(m.mem, MEM_DIRTY_MIGRATION, 0, RAM / 4096, map), RAM / 4096);
    loop_unlock(m.loop);
    start(&m, code, sizeof code);
    CHECK(wait_for(ram(&m) + 0x900, 1));
    loop_lock(m.loop);
    (void)mem_dirty_fetch(m.mem, MEM_DIRTY_MIGRATION, 0, RAM / 4096, map);
    CHECK_EQ(map[0], BIT(0) | BIT(CODE >> 12) | BIT(5) | BIT(7)); /* the code: by DMA */
    CHECK_EQ(map[1], 0);
    CHECK_EQ(mem_dirty_fetch(m.mem, MEM_DIRTY_MIGRATION, 0, RAM / 4096, map), 0);
    loop_unlock(m.loop);
    /* again, after the log was cleared */
    cpu_stop(m.cpu);
    x86_of(m.cpu)->rip = CODE;
    m.cpu->halted = 0;
    ram(&m)[0x900] = 0;
    cpu_resume(m.cpu);
    CHECK(wait_for(ram(&m) + 0x900, 1));
    loop_lock(m.loop);
    (void)mem_dirty_fetch(m.mem, MEM_DIRTY_MIGRATION, 0, RAM / 4096, map);
    CHECK_EQ(map[0], BIT(0) | BIT(5) | BIT(7));
    mem_dirty_stop(m.mem, MEM_DIRTY_MIGRATION, 0, RAM);
    loop_unlock(m.loop);
    done(&m);
}

static void irqfd(enum irqchip_mode chip)
{
    /* mov byte [0x901], 1; sti; hlt; jmp to hlt. Handler at CODE + 0x10: inc byte [0x900]; iret (no
     * EOI: the local APIC takes each once, as its vector is higher) */
    static const uint8_t code[0x20] = { 0xc6, 0x06, 0x01,          0x09, 1,    0xfb, 0xf4,
                                        0xeb, 0xfd, [0x10] = 0xfe, 0x06, 0x00, 0x09, 0xcf };
    const uint16_t vector[2] = { CODE + 0x10, 0 };
    struct machine m;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), fd2 = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    const uint64_t one = 1;

    if (make(&m, chip)) {
        CHECK_EQ(dma_write(m.mem, 0x44 * 4, vector, 4), 0);
        CHECK_EQ(dma_write(m.mem, 0x54 * 4, vector, 4), 0);
        CHECK_EQ(dma_write(m.mem, 0x64 * 4, vector, 4), 0);
        CHECK_EQ(dma_write(m.mem, 0x74 * 4, vector, 4), 0);
        m.accel->ops->lapic_set(m.cpu, 0xf, 0x1ff);
        start(&m, code, sizeof code);
        CHECK(wait_for(ram(&m) + 0x901, 1)); /* the local APIC is set up */
        loop_lock(m.loop);
        CHECK_EQ(m.accel->ops->irqfd_add(m.accel, fd, 0xfee00000, 0x44), 0);
        CHECK_EQ(m.accel->ops->irqfd_add(m.accel, fd2, 0xfee00000, 0x54), 0);
        loop_unlock(m.loop);
        CHECK_EQ(write(fd, &one, sizeof one), 8);
        CHECK(wait_for(ram(&m) + 0x900, 1));
        CHECK_EQ(write(fd2, &one, sizeof one), 8);
        CHECK(wait_for(ram(&m) + 0x900, 2));
        m.accel->ops->msi(m.accel, 0xfee00000, 0x64);
        CHECK(wait_for(ram(&m) + 0x900, 3));
        cpu_stop(m.cpu); /* a message during a pause is not lost */
        m.accel->ops->msi(m.accel, 0xfee00000, 0x74);
        cpu_resume(m.cpu);
        CHECK(wait_for(ram(&m) + 0x900, 4));
        loop_lock(m.loop);
        m.accel->ops->irqfd_remove(m.accel, fd);
        m.accel->ops->irqfd_remove(m.accel, fd2);
        loop_unlock(m.loop);
        done(&m);
    }
    close(fd);
    close(fd2);
}

TEST(irqfd_kernel)
{
    irqfd(IRQCHIP_KERNEL);
}

TEST(irqfd_split)
{
    irqfd(IRQCHIP_SPLIT);
}

/* mov al, [0x905]; inc byte [0x900]; jmp start: never leaves the guest by itself */
static const uint8_t busy[] = { 0xa0, 0x05, 0x09, 0xfe, 0x06, 0x00, 0x09, 0xeb, 0xf7 };

static bool counts(struct machine *m)
{
    uint8_t was = ram(m)[0x900];

    for (unsigned i = 0; i < 5000 && *(volatile uint8_t *)(ram(m) + 0x900) == was; i++)
        usleep(100);
    return *(volatile uint8_t *)(ram(m) + 0x900) != was;
}

/* The slot that the code runs in is taken apart and put together again. */
TEST(map_changes_while_it_runs)
{
    struct mem_region patch;
    struct machine m;

    if (!make(&m, IRQCHIP_KERNEL))
        return;
    start(&m, busy, sizeof busy);
    mem_region_init_alias(&patch, "patch", &m.ram, 0x40000, 0x1000);
    for (unsigned i = 0; i < 60; i++) {
        loop_lock(m.loop);
        mem_map(m.mem, 0x8000, &patch, 1);
        loop_unlock(m.loop);
        if (i % 10 == 0)
            CHECK(counts(&m));
        loop_lock(m.loop);
        mem_unmap(&patch);
        loop_unlock(m.loop);
    }
    CHECK(counts(&m));
    done(&m);
}

TEST(stop_and_resume)
{
    struct machine m;

    if (!make(&m, IRQCHIP_KERNEL))
        return;
    start(&m, busy, sizeof busy);
    for (unsigned i = 0; i < 100; i++) {
        cpu_stop(m.cpu);
        if (i % 20 == 0) {
            uint8_t n = *(volatile uint8_t *)(ram(&m) + 0x900);

            usleep(2000);
            CHECK_EQ(*(volatile uint8_t *)(ram(&m) + 0x900), n);
        }
        cpu_resume(m.cpu);
        if (i % 20 == 0)
            CHECK(counts(&m));
    }
    done(&m);
}

TEST(two_machines)
{
    struct machine a, b;

    if (!make(&a, IRQCHIP_KERNEL))
        return;
    if (make(&b, IRQCHIP_USER)) {
        start(&a, busy, sizeof busy);
        start(&b, busy, sizeof busy);
        CHECK(counts(&a) && counts(&b));
        cpu_stop(a.cpu);
        CHECK(counts(&b));
        cpu_resume(a.cpu);
        CHECK(counts(&a));
        done(&b);
    }
    done(&a);
}

TEST(passed_over)
{
    struct accel_config c = { .names = "kvm:interp", .kvm_device = "/dev/no-such-kvm" };
    struct cpu_accel *a;
    const char *name = "";
    struct error err;

    CHECK(accel_new(&c, &a, &name, &err));
    CHECK(!a);
    CHECK_STR(name, "interp");
    c.names = "kvm";
    CHECK(!accel_new(&c, &a, &name, &err));
    CHECK_EQ(err.code, ENOENT);
    c.names = "kvm:tgc";
    CHECK(!accel_new(&c, &a, &name, &err));
    CHECK(strstr(err.msg, "tgc"));
}
