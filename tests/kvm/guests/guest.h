/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the guests in C share: ports, the serial line, interrupts, the local APIC. No library. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef uintptr_t word_t;

struct frame {
    word_t ip, cs, flags;
};
#ifndef NO_IRET
#define HANDLER(name) __attribute__((interrupt)) static void name(struct frame *f)
#define HANDLER_ERROR(name)                                                                        \
    __attribute__((interrupt)) static void name(struct frame *f, word_t error)
#else /* a KVM without hardware below it does not emulate IRET in 32-bit protected mode */
#define STUB(name, frame, before, after)                                                           \
    __attribute__((naked)) static void name(void)                                                  \
    {                                                                                              \
        __asm__ volatile("pusha\n lea " frame "(%esp), %eax\n" before "push %eax\n call " #name    \
                         "_c\n pop %eax\n" after "pushl 8(%esp)\n popf\n lret $4");                \
    }
#define HANDLER(name)                                                                              \
    STUB(name, "32", "", "popa\n")                                                                 \
    __attribute__((used)) static void name##_c(struct frame *f)
#define HANDLER_ERROR(name)                                                                        \
    STUB(name, "36", "pushl 32(%esp)\n", "pop %eax\n popa\n add $4, %esp\n")                       \
    __attribute__((used)) static void name##_c(struct frame *f, word_t error)
#endif

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port) : "memory");
}
static inline void outl(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}
static inline uint8_t inb(uint16_t port)
{
    uint8_t v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}
static inline uint32_t inl(uint16_t port)
{
    uint32_t v;

    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static void put(const char *s)
{
    while (*s)
        outb(0x3f8, (uint8_t)*s++);
}

static inline void say(const char *s)
{
    put(s);
    put("\r\n");
}

static inline void put_number(unsigned v)
{
    char c[2] = { (char)('0' + v % 10), 0 };

    if (v >= 10)
        put_number(v / 10);
    put(c);
}

static inline void check(const char *what, bool good)
{
    put(what);
    say(good ? ": ok" : ": BAD");
}

static inline void leave(void)
{
    outb(0xf4, 0x10);
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* --- interrupts --- */

struct gate {
    uint16_t low, sel;
    uint8_t ist, type;
    uint16_t mid;
#ifdef __x86_64__
    uint32_t high, pad;
#endif
} __attribute__((packed));

static struct gate idt[256];
enum { CODE_SEL = sizeof(word_t) == 8 ? 24 : 8 };

static inline void set_gate(unsigned n, const void *handler)
{
    word_t a = (word_t)handler;

    idt[n] = (struct gate){
        .low = (uint16_t)a, .sel = CODE_SEL, .type = 0x8e, .mid = (uint16_t)(a >> 16)
    };
#ifdef __x86_64__
    idt[n].high = (uint32_t)(a >> 32);
#endif
}

static inline void load_idt(void)
{
    struct {
        uint16_t limit;
        word_t base;
    } __attribute__((packed)) r = { sizeof idt - 1, (word_t)idt };

    __asm__ volatile("lidt %0" : : "m"(r));
}

/* Halts with interrupts on until *count is at least n. */
static inline void wait_count(volatile unsigned *count, unsigned n)
{
    for (;;) {
        __asm__ volatile("cli" : : : "memory");
        if (*count >= n)
            return;
        __asm__ volatile("sti; hlt" : : : "memory");
    }
}

/* --- local APIC, I/O APIC --- */

#define LAPIC_REG(off) (*(volatile uint32_t *)(uintptr_t)(0xfee00000u + (off)))
enum {
    A_ID = 0x20,
    A_VERSION = 0x30,
    A_TPR = 0x80,
    A_EOI = 0xb0,
    A_SVR = 0xf0,
    A_ICR = 0x300,
    A_ICR_HIGH = 0x310,
    A_TIMER = 0x320,
    A_LINT0 = 0x350,
    A_COUNT = 0x380,
    A_NOW = 0x390,
    A_DIVIDE = 0x3e0
};

static inline void eoi(void)
{
    LAPIC_REG(A_EOI) = 0;
}

static inline void ioapic_write(unsigned reg, uint32_t v)
{
    *(volatile uint32_t *)0xfec00000u = reg;
    *(volatile uint32_t *)0xfec00010u = v;
}

static inline uint32_t ioapic_read(unsigned reg)
{
    *(volatile uint32_t *)0xfec00000u = reg;
    return *(volatile uint32_t *)0xfec00010u;
}

static inline void ioapic_route(unsigned pin, uint32_t low)
{
    ioapic_write(0x11 + 2 * pin, 0);
    ioapic_write(0x10 + 2 * pin, low);
}
