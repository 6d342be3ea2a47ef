/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Long mode: a virtio disk by its legacy interface (virtio 1.2, 4.1.4.10) and MSI-X: reads sectors
 * whose content the driver script knows, writes one and reads it back.
 */
#include "guest.h"

enum { QUEUE_MAX = 256, IO = 0xc000, TABLE = 0xfeb00000u, VECTOR = 0x44 };
enum { FEATURES = 4, PFN = 8, SIZE = 12, SELECT = 14, NOTIFY = 16, STATUS = 18, QUEUE_VECTOR = 22 };

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

static uint8_t ring[4 * 4096] __attribute__((aligned(4096)));
static struct {
    uint32_t type, zero;
    uint64_t sector;
} head;
static uint8_t data[512], status;
static unsigned size, posted;
static volatile unsigned interrupts;

HANDLER(on_disk)
{
    interrupts++;
    eoi();
}
HANDLER(on_spurious)
{
}

static uint32_t config(unsigned devfn, unsigned off)
{
    outl(0xcf8, 0x80000000u | devfn << 8 | off);
    return inl(0xcfc);
}

static void set_config(unsigned devfn, unsigned off, uint32_t v)
{
    outl(0xcf8, 0x80000000u | devfn << 8 | off);
    outl(0xcfc, v);
}

static void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static uint16_t inw(uint16_t port)
{
    uint16_t v;

    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

static bool find(unsigned *ret)
{
    for (unsigned n = 0; n < 256; n++)
        if (config(n, 0) == 0x10011af4) {
            *ret = n;
            return true;
        }
    return false;
}

/* BARs, bus mastering, and MSI-X with all messages to the first processor. */
static void set_up_function(unsigned devfn)
{
    set_config(devfn, 0x10, IO);
    for (unsigned bar = 0x14; bar <= 0x24; bar += 4)
        set_config(devfn, bar, bar == 0x14 ? TABLE : bar == 0x20 ? TABLE + 0x10000 : 0);
    set_config(devfn, 4, 7);
    for (unsigned cap = config(devfn, 0x34) & 0xfc; cap; cap = config(devfn, cap) >> 8 & 0xfc)
        if ((config(devfn, cap) & 0xff) == 0x11)
            set_config(devfn, cap, 0x80000000u | (config(devfn, cap) & 0xffff));
    for (unsigned i = 0; i < 2; i++) {
        volatile uint32_t *e = (volatile uint32_t *)(uintptr_t)TABLE + 4 * i;

        e[0] = 0xfee00000;
        e[1] = 0;
        e[2] = VECTOR;
        e[3] = 0;
    }
}

static bool set_up_queue(void)
{
    outb(IO + STATUS, 0);
    outb(IO + STATUS, 3);
    outl(IO + FEATURES, 0);
    outw(IO + SELECT, 0);
    size = inw(IO + SIZE);
    if (!size || size > QUEUE_MAX)
        return false;
    outl(IO + PFN, (uint32_t)((uintptr_t)ring >> 12));
    outw(IO + QUEUE_VECTOR, 1);
    outb(IO + STATUS, 7);
    return inw(IO + QUEUE_VECTOR) == 1;
}

/* One request, ended by its interrupt. */
static bool request(bool write, uint64_t sector)
{
    volatile struct desc *d = (volatile struct desc *)ring;
    volatile uint16_t *avail = (volatile uint16_t *)(ring + 16 * size);
    volatile uint16_t *used =
        (volatile uint16_t *)(ring + ((16 * size + 6 + 2 * size + 4095) & ~4095u));

    head.type = write;
    head.sector = sector;
    status = 0xff;
    d[0] = (struct desc){ (uintptr_t)&head, 16, 1, 1 };
    d[1] = (struct desc){ (uintptr_t)data, 512, write ? 1 : 3, 2 };
    d[2] = (struct desc){ (uintptr_t)&status, 1, 2, 0 };
    avail[2 + posted % size] = 0;
    __asm__ volatile("mfence" : : : "memory");
    avail[1] = (uint16_t)++posted;
    __asm__ volatile("mfence" : : : "memory");
    outw(IO + NOTIFY, 0);
    wait_count(&interrupts, posted);
    return used[1] == (uint16_t)posted && *(volatile uint8_t *)&status == 0;
}

static bool holds(uint8_t first)
{
    for (unsigned i = 0; i < 512; i++)
        if (((volatile uint8_t *)data)[i] != (uint8_t)(first + i))
            return false;
    return true;
}

void ap_main(void)
{
}

void main(void)
{
    unsigned devfn = 0, good = 0;

    say("virtio");
    load_idt();
    set_gate(VECTOR, on_disk);
    set_gate(0xff, on_spurious);
    LAPIC_REG(A_SVR) = 0x1ff;
    check("a disk", find(&devfn));
    set_up_function(devfn);
    check("its queue", set_up_queue());
    for (unsigned n = 0; n < 200; n++)
        good += request(false, n % 16) && holds((uint8_t)(n % 16));
    check("reads", good == 200);
    for (unsigned i = 0; i < 512; i++)
        data[i] = (uint8_t)(0x80 + i);
    check("write", request(true, 20));
    data[0] = 0;
    check("what was written", request(false, 20) && holds(0x80));
    check("interrupts", interrupts == 202);
    say("virtio done");
    leave();
}
