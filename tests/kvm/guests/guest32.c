/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Protected mode: registers in memory, each way to an interrupt, exceptions. */
#include "guest.h"

static volatile unsigned pic_ticks, apic_ticks, timer_ticks, ipis, nmis, line_events, traps;
static volatile word_t trap_error;

HANDLER(on_pic)
{
    pic_ticks++;
    outb(0x20, 0x20);
}
HANDLER(on_apic)
{
    apic_ticks++;
    eoi();
}
HANDLER(on_timer)
{
    timer_ticks++;
    eoi();
}
HANDLER(on_ipi)
{
    ipis++;
    eoi();
}
HANDLER(on_nmi)
{
    nmis++;
}
HANDLER(on_spurious)
{
}
/* The UART's line stays high until IIR is read. */
HANDLER(on_line)
{
    line_events++;
    if ((inb(0x3fa) & 0xf) == 2 && line_events >= 3)
        outb(0x3f9, 0);
    else
        outb(0x3f8, '.');
    eoi();
}
HANDLER(on_ud)
{
    traps++;
    f->ip += 2; /* ud2 */
}
HANDLER_ERROR(on_gp)
{
    traps++;
    trap_error = error;
    f->ip += 2; /* mov %ax, %ds */
}

static void memory_registers(void)
{
    volatile uint32_t *hole = (volatile uint32_t *)0xfe000000u;
    volatile uint32_t *hpet = (volatile uint32_t *)0xfed00000u;

    check("hole", *hole == 0xffffffff && *(volatile uint8_t *)hole == 0xff);
    *hole = 1;
    check("hole keeps nothing", *hole == 0xffffffff);
    check("across a page", *(volatile uint32_t *)0xfe000ffeu == 0xffffffff);
    check("hpet id", (hpet[0] & 0xffff00ff) == 0x80860001);
    check("hpet vendor as a word", ((volatile uint16_t *)hpet)[1] == 0x8086);
    check("I/O APIC pins", (ioapic_read(1) >> 16 & 0xff) == 23);
    check("local APIC", (LAPIC_REG(A_VERSION) & 0xf0) == 0x10 && LAPIC_REG(A_ID) == 0);
}

static void start_pit(void)
{
    outb(0x43, 0x34); /* counter 0, mode 2: 1 ms */
    outb(0x40, 0xa9);
    outb(0x40, 0x04);
}

static void through_8259(void)
{
    static const uint8_t init[][2] = { { 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, 0x20 },
                                       { 0xa1, 0x28 }, { 0x21, 4 },    { 0xa1, 2 },
                                       { 0x21, 1 },    { 0xa1, 1 },    { 0x21, 0xfe },
                                       { 0xa1, 0xff } };

    for (unsigned i = 0; i < sizeof init / 2; i++)
        outb(init[i][0], init[i][1]);
    LAPIC_REG(A_SVR) = 0x1ff;
    LAPIC_REG(A_LINT0) = 0x700;
    start_pit();
    wait_count(&pic_ticks, 5);
    say("timer through the 8259: ok");
    outb(0x21, 0xff);
}

static void through_ioapic(void)
{
    ioapic_route(2, 0x40);
    wait_count(&apic_ticks, 5);
    say("timer through the I/O APIC: ok");
    ioapic_route(2, 0x10040);
    outb(0x43, 0x30); /* the counter ends once and stays */
    outb(0x40, 1);
    outb(0x40, 0);
}

static void local_timer(void)
{
    LAPIC_REG(A_DIVIDE) = 0xb;
    LAPIC_REG(A_TIMER) = 0x41;
    LAPIC_REG(A_COUNT) = 100000;
    wait_count(&timer_ticks, 1);
    check("local timer, once", LAPIC_REG(A_NOW) == 0);
    LAPIC_REG(A_TIMER) = 0x20041;
    LAPIC_REG(A_COUNT) = 100000;
    wait_count(&timer_ticks, 4);
    LAPIC_REG(A_TIMER) = 0x10041;
    LAPIC_REG(A_COUNT) = 0;
    say("local timer, periodic: ok");
}

static void messages(void)
{
    LAPIC_REG(A_ICR_HIGH) = 0;
    LAPIC_REG(A_ICR) = 0x4042;
    wait_count(&ipis, 1);
    say("message to itself: ok");
    LAPIC_REG(A_ICR) = 0x4400; /* NMI */
    for (unsigned i = 0; i < 1000 && !nmis; i++)
        (void)inb(0x80);
    check("NMI", nmis == 1);
    LAPIC_REG(A_TPR) = 0x50;
    LAPIC_REG(A_ICR) = 0x4042;
    __asm__ volatile("sti");
    for (unsigned i = 0; i < 100; i++)
        (void)inb(0x80);
    check("task priority holds", ipis == 1);
    LAPIC_REG(A_TPR) = 0;
    for (unsigned i = 0; i < 1000 && ipis == 1; i++)
        (void)inb(0x80);
    __asm__ volatile("cli");
    check("task priority lets go", ipis == 2);
}

static void level_line(void)
{
    ioapic_route(4, 0x8043);
    outb(0x3fc, 8); /* OUT2 */
    outb(0x3f9, 2); /* transmitter empty */
    wait_count(&line_events, 3);
    outb(0x3f9, 0);
    ioapic_route(4, 0x10043);
    say("");
    say("level line: ok");
}

static void exceptions(void)
{
    __asm__ volatile("ud2");
    check("#UD", traps == 1);
    __asm__ volatile("mov %0, %%ds" : : "a"(0x44) : "memory");
    check("#GP", traps == 2 && trap_error == 0x44);
}

void ap_main(void)
{
}

void main(void)
{
    say("32 bit");
    load_idt();
    set_gate(2, on_nmi);
    set_gate(6, on_ud);
    set_gate(13, on_gp);
    set_gate(0x20, on_pic);
    set_gate(0x40, on_apic);
    set_gate(0x41, on_timer);
    set_gate(0x42, on_ipi);
    set_gate(0x43, on_line);
    set_gate(0xff, on_spurious);
    memory_registers();
    exceptions();
    through_8259();
    through_ioapic();
    local_timer();
    messages();
    level_line();
    say("32 bit done");
    leave();
}
