/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Long mode: MSRs, vectors, page faults, CR8, and a second processor. */
#include "guest.h"

#ifndef OTHER
#define OTHER 1 /* APIC ID of the processor to start */
#endif

static volatile unsigned ipis, ap_ipis, ap_alive, ap_sum, faults;
static volatile uint64_t fault_address, fault_error;

HANDLER(on_ipi)
{
    ipis++;
    eoi();
}
HANDLER(on_ap_ipi)
{
    ap_ipis++;
    eoi();
}
/* Makes the page present. */
HANDLER_ERROR(on_pf)
{
    uint64_t a;

    __asm__ volatile("mov %%cr2, %0" : "=r"(a));
    fault_address = a;
    fault_error = error;
    faults++;
    ((volatile uint64_t *)0x12000)[a >> 21] |= 1;
}
HANDLER(on_spurious)
{
}

static uint64_t rdmsr(uint32_t n)
{
    uint32_t lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n));
    return lo | (uint64_t)hi << 32;
}

static void wrmsr(uint32_t n, uint64_t v)
{
    __asm__ volatile("wrmsr" : : "c"(n), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

static uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return lo | (uint64_t)hi << 32;
}

static void registers(void)
{
    uint64_t before;

    wrmsr(0xc0000102, 0x123456789a);
    check("kernel GS base", rdmsr(0xc0000102) == 0x123456789a);
    wrmsr(0xc0000100, 0x40000);
    *(volatile uint32_t *)0x40010 = 0xabcd;
    uint32_t v;
    __asm__ volatile("mov %%fs:0x10, %0" : "=r"(v));
    check("FS base", v == 0xabcd);
    wrmsr(0xc0000082, 0xf1234);
    check("LSTAR", rdmsr(0xc0000082) == 0xf1234);
    before = rdtsc();
    (void)inb(0x80);
    check("TSC", rdtsc() > before);
}

/* Vector registers live on across exits. */
static void vectors(void)
{
    static uint64_t in[2], out[2];

    in[0] = 0x1122334455667788;
    in[1] = ~in[0];
    __asm__ volatile("movups %1, %%xmm7\n"
                     "outb %%al, $0x80\n"
                     "movups %%xmm7, %0"
                     : "=m"(out)
                     : "m"(in), "a"(0)
                     : "memory");
    check("vector registers", out[0] == in[0] && out[1] == in[1]);
}

static void page_fault(void)
{
    volatile uint64_t *pd = (volatile uint64_t *)0x12000;

    pd[0x3000000 >> 21] &= ~UINT64_C(1);
    __asm__ volatile("invlpg (%0)" : : "r"(0x3000000ul) : "memory");
    *(volatile uint32_t *)0x3000008 = 77;
    check("page fault", faults == 1 && fault_address == 0x3000008 && (fault_error & ~4u) == 2 &&
                            *(volatile uint32_t *)0x3000008 == 77);
}

static void task_priority(void)
{
    uint64_t v;

    LAPIC_REG(A_SVR) = 0x1ff;
    __asm__ volatile("mov %0, %%cr8" : : "r"(5ul));
    check("CR8 is the APIC's", LAPIC_REG(A_TPR) == 0x50);
    LAPIC_REG(A_ICR) = 0x44042; /* to itself */
    __asm__ volatile("sti");
    for (unsigned i = 0; i < 100; i++)
        (void)inb(0x80);
    check("CR8 holds", ipis == 0);
    __asm__ volatile("mov %0, %%cr8" : : "r"(0ul));
    for (unsigned i = 0; i < 1000 && !ipis; i++)
        (void)inb(0x80);
    __asm__ volatile("cli");
    __asm__ volatile("mov %%cr8, %0" : "=r"(v));
    check("CR8 lets go", ipis == 1 && v == 0);
}

static void add_to_sum(unsigned n)
{
    while (n--)
        __asm__ volatile("lock addl $1, %0" : "+m"(ap_sum) : : "memory");
}

void ap_main(void)
{
    load_idt();
    LAPIC_REG(A_SVR) = 0x1ff;
    ap_alive = (LAPIC_REG(A_ID) >> 24) + 1;
    add_to_sum(20000);
    for (unsigned n = 1;; n++) {
        wait_count(&ap_ipis, n);
        LAPIC_REG(A_ICR_HIGH) = 0;
        LAPIC_REG(A_ICR) = 0x4042;
    }
}

static void send(unsigned to, uint32_t icr)
{
    LAPIC_REG(A_ICR_HIGH) = to << 24;
    LAPIC_REG(A_ICR) = icr;
    while (LAPIC_REG(A_ICR) & 0x1000)
        ;
}

static void pause_ms(unsigned ms)
{
    while (ms--) { /* counter 2, mode 0 */
        outb(0x61, (uint8_t)((inb(0x61) & ~2) | 1));
        outb(0x43, 0xb0);
        outb(0x42, 0xa9);
        outb(0x42, 0x04);
        while (!(inb(0x61) & 0x20))
            ;
    }
}

static void second_processor(unsigned other)
{
    send(other, 0x4500);
    pause_ms(10);
    send(other, 0x4608);
    for (unsigned i = 0; i < 2000 && !ap_alive; i++)
        pause_ms(1);
    check("second processor", ap_alive == other + 1);
    if (!ap_alive)
        return;
    add_to_sum(20000);
    for (unsigned i = 0; i < 10000 && *(volatile unsigned *)&ap_sum != 40000; i++)
        pause_ms(1);
    check("locked additions", ap_sum == 40000);
    for (unsigned n = 0; n < 50; n++) {
        send(other, 0x4043);
        wait_count(&ipis, n + 2);
    }
    check("messages there and back", ap_ipis == 50 && ipis == 51);
}

void main(void)
{
    say("64 bit");
    load_idt();
    set_gate(14, on_pf);
    set_gate(0x42, on_ipi);
    set_gate(0x43, on_ap_ipi);
    set_gate(0xff, on_spurious);
    registers();
    vectors();
    page_fault();
    task_priority();
    second_processor(OTHER);
    outb(0x70, 0x3e); /* CMOS lives on: once more after a reset */
    if (inb(0x71) == 0x77) {
        say("64 bit done");
        leave();
    }
    outb(0x71, 0x77);
    say("triple fault");
    for (unsigned i = 0; i < 256; i++)
        idt[i].type = 0;
    __asm__ volatile("ud2");
}
