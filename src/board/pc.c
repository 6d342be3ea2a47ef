/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PC around a chipset: memory, vCPUs, parts, interrupt lines, firmware.
 *
 * Interrupts: each of the 16 ISA lines is a wired OR of its device, the PCI routes and (0, 8) the
 * HPET's legacy mode; it goes to the 8259 pair and to an I/O APIC pin (IRQ 0 to pin 2). The 8259's
 * INT goes to LINT0 of the first local APIC.
 */
#include "board/pc.h"

#include "base/alloc.h"
#include "base/trace.h"
#include "cpu/cpu.h"
#include "cpu/guest.h"
#include "dev/char/debugcon.h"
#include "dev/char/uart.h"
#include "dev/input/i8042.h"
#include "dev/intc/ioapic.h"
#include "dev/intc/lapic.h"
#include "dev/intc/pic.h"
#include "dev/pci/pam.h"
#include "dev/timer/hpet.h"
#include "dev/timer/pit.h"
#include "guest/x86/x86.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* --- memory --- */

static uint64_t post_read(void *opaque, uint64_t off, unsigned size)
{
    return ((struct pc *)opaque)->post_code;
}

static void post_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    ((struct pc *)opaque)->post_code = val;
    TRACE(pc, "POST code %02x", (unsigned)val);
}

static const struct mem_io_ops post_ops = {
    .read = post_read, .write = post_write, .min_size = 1, .max_size = 1
};

static bool make_memory(struct pc *pc, struct error *err)
{
    uint64_t size = pc->b.config->ram_size;
    pc->ram_low = pc->chip->ram_low(size);
    pc->ram_high = size - pc->ram_low;
    if (!(pc->b.mem =
              mem_new(pc->b.loop, "memory", 0, size + PC_FIRMWARE_MAX + PC_DEVICE_RAM, err)) ||
        !(pc->b.ports = mem_new(pc->b.loop, "io", 0x10000, 0, err)) ||
        !mem_ram_alloc(pc->b.mem, size, &pc->ram, err))
        return false;
    mem_region_init_ram(&pc->ram_base_region, "ram-base", pc->ram, PC_BASE_RAM);
    mem_region_init_ram(&pc->ram_ext_region, "ram-low", pc->ram + MIB, pc->ram_low - MIB);
    mem_map(pc->b.mem, 0, &pc->ram_base_region, PC_PRIO_RAM);
    mem_map(pc->b.mem, MIB, &pc->ram_ext_region, PC_PRIO_RAM);
    if (pc->ram_high) {
        mem_region_init_ram(&pc->ram_high_region, "ram-high", pc->ram + pc->ram_low, pc->ram_high);
        mem_map(pc->b.mem, 4 * GIB, &pc->ram_high_region, PC_PRIO_RAM);
    }
    mem_region_init_io(&pc->post_region, "post", &post_ops, pc, 1);
    mem_map(pc->b.ports, PC_PORT_POST, &pc->post_region, PC_PRIO_CHIP);
    return pc_smm_make(pc, err) && x86_irqchip_attach(&pc->b, err);
}

/* --- coprocessor errors --- */

/* The PC's way of x87 exceptions (CR0.NE clear): FERR# raises IRQ 13, a write to port F0h lowers it
 * and asserts IGNNE#. */
static void ferr_line(void *opaque, bool asserted)
{
    struct pc *pc = opaque;
    loop_lock(pc->b.loop); /* the vCPU's thread, outside of any device */
    irq_or_input(&pc->isa[PC_IRQ_FPU], PC_ISA_DEVICE, asserted);
    loop_unlock(pc->b.loop);
}

static uint64_t ferr_clear_read(void *opaque, uint64_t off, unsigned size)
{
    return 0xff;
}

static void ferr_clear_write(void *opaque, uint64_t off, uint64_t val, unsigned size)
{
    struct pc *pc = opaque;
    irq_or_input(&pc->isa[PC_IRQ_FPU], PC_ISA_DEVICE, false);
    x86_of(cpu_current() ? cpu_current() : pc->b.cpus[0])->ignne = true;
}

static const struct mem_io_ops ferr_clear_ops = {
    .read = ferr_clear_read, .write = ferr_clear_write, .min_size = 1, .max_size = 1
};

static void connect_ferr(struct pc *pc)
{
    for (unsigned i = 0; i < pc->b.cpu_count; i++) {
        struct x86_cpu *x = x86_of(pc->b.cpus[i]);
        x->ferr = ferr_line;
        x->ferr_opaque = pc;
    }
    mem_region_init_io(&pc->ferr_region, "ferr-clear", &ferr_clear_ops, pc, 1);
    mem_map(pc->b.ports, PC_PORT_FERR_CLEAR, &pc->ferr_region, PC_PRIO_CHIP);
}

/* --- parts --- */

static bool is_wanted(const struct pc *pc, enum pc_part i)
{
    const struct board_config *c = pc->b.config;
    if (i >= PC_COM1 && i <= PC_COM4)
        return c->serial[i - PC_COM1] != NULL;
    if (i == PC_DEBUGCON)
        return c->debugcon != NULL;
    if (i == PC_PIC || i == PC_IOAPIC || i == PC_PIT)
        return x86_irqchip(&pc->b) != IRQCHIP_KERNEL;
    return i != PC_HPET || c->hpet;
}

void pc_pam_wiring(const struct pc *pc, struct pam_wiring *ret)
{
    *ret = (struct pam_wiring){ pc->b.mem, pc->ram, PC_PRIO_SHADOW, NULL, 0 };
    if (pc->rom_size) {
        uint64_t shown = MIN(pc->rom_size, (uint64_t)PC_LOW_ALIAS);
        ret->rom = mem_ram_base(pc->b.mem) + pc->rom + pc->rom_size - shown;
        ret->rom_base = MIB - shown;
    }
}

/* What a part needs before device_init(). */
static bool prepare(struct pc *pc, enum pc_part i, struct device *dev, struct error *err)
{
    const struct board_config *c = pc->b.config;
    switch (i) {
    case PC_IOAPIC: ioapic_attach(dev, &pc->apic_bus); return true;
    case PC_RTC:
        return (!c->rtc_base || device_set(dev, "base", c->rtc_base, err)) &&
               (!c->rtc_clock || device_set(dev, "clock", c->rtc_clock, err));
    case PC_COM1 ... PC_COM4: uart_set_chardev(dev, c->serial[i - PC_COM1]); return true;
    case PC_DISKS:
        if (pc->chip->prepare_disks)
            pc->chip->prepare_disks(dev);
        return true;
    case PC_DEBUGCON: debugcon_set_chardev(dev, c->debugcon); return true;
    default: return true;
    }
}

/* -debugcon is an isa-debugcon to users: -global isa-debugcon.iobase=0x402 moves it. */
static gpa_t debugcon_port(const struct pc *pc, gpa_t port)
{
    const struct device_ctx ctx = { pc->b.loop, pc->b.mem, pc->b.config->links };
    const struct device_type *type = device_type_find("isa-debugcon");
    if (!type)
        return port;
    struct device *trial = device_new(type, NULL, &ctx), *owner = NULL;
    const struct field *f = device_prop(trial, "iobase", &owner);
    if (f)
        port = field_get(owner, f, 0) & 0xffff;
    device_free(trial);
    return port;
}

static void map_windows(struct pc *pc, enum pc_part i)
{
    const struct pc_part_info *p = pc_info(pc, i);
    struct device *dev = pc->part[i];
    for (unsigned w = 0; w < PC_WINDOWS_MAX && p->win[w].name; w++) {
        gpa_t base = p->win[w].base;
        bool mmio = base > 0xffff;
        if (i == PC_DEBUGCON)
            base = debugcon_port(pc, base);
        mem_map(mmio ? pc->b.mem : pc->b.ports, base, device_window(dev, p->win[w].name),
                PC_PRIO_CHIP);
    }
}

static bool make_part(struct pc *pc, enum pc_part i, struct error *err)
{
    const struct pc_part_info *p = pc_info(pc, i);
    const struct device_ctx ctx = { pc->b.loop, pc->b.mem, pc->b.config->links };
    if (!p->type || !is_wanted(pc, i))
        return true;
    struct device *dev = pc->part[i] = device_new(p->type, p->id, &ctx);
    if (p->devfn != PC_NO_DEVFN)
        pci_plug(&pc->pci, dev, p->devfn);
    if (i == PC_HOST) /* needs the ISA bridge, which comes after it: see make_parts() */
        return true;
    if (!prepare(pc, i, dev, err) || !device_init(dev, err))
        return false;
    map_windows(pc, i);
    if (p->irq != PC_NO_IRQ)
        irq_connect(&dev->irqs[0], irq_or_input, &pc->isa[p->irq], PC_ISA_DEVICE);
    return true;
}

static void send_late(void *opaque)
{
    struct pc *pc = opaque;
    pthread_mutex_lock(&pc->late_lock);
    GArray *late = pc->late;
    pc->late = NULL;
    pthread_mutex_unlock(&pc->late_lock);
    for (unsigned i = 0; late && i < late->len; i++) {
        const struct msi_message *m = &g_array_index(late, struct msi_message, i);
        apic_bus_msi(&pc->apic_bus, m->addr, m->data);
    }
    if (late)
        g_array_unref(late);
}

static void leave_to_loop(struct pc *pc, uint64_t addr, uint32_t data)
{
    const struct msi_message m = { addr, data };
    pthread_mutex_lock(&pc->late_lock);
    bool first = !pc->late;
    if (first)
        pc->late = g_array_new(FALSE, FALSE, sizeof m);
    g_array_append_val(pc->late, m);
    pthread_mutex_unlock(&pc->late_lock);
    if (first)
        loop_defer(pc->b.loop, send_late, pc);
}

/* From any thread: one that cannot have the machine lock at once leaves it to the main loop. */
static void msi_send(void *opaque, uint64_t addr, uint32_t data)
{
    struct pc *pc = opaque;
    if (loop_locked_by_me(pc->b.loop)) {
        apic_bus_msi(&pc->apic_bus, addr, data);
    } else if (loop_try_lock(pc->b.loop)) {
        apic_bus_msi(&pc->apic_bus, addr, data);
        loop_unlock(pc->b.loop);
    } else {
        leave_to_loop(pc, addr, data);
    }
}

static char *find_rom(const char *name)
{
    return board_find_firmware(board_firmware_dirs, name);
}

static void make_pci(struct pc *pc)
{
    pthread_mutex_init(&pc->late_lock, NULL);
    pci_bus_init(&pc->pci, NULL, pc->chip->bus, pc->chip->express);
    board_add_bus(&pc->b, &pc->pci.bus);
    pc->msi = (struct msi_sink){ .send = msi_send, .opaque = pc };
    x86_irqchip_msi(&pc->b, &pc->msi);
    pc->pci.mem = pc->b.mem;
    pc->pci.io = pc->b.ports;
    pc->pci.route = pc->chip->route;
    pc->pci.route_opaque = pc;
    pc->pci.bar_priority = PC_PRIO_BAR;
    pc->pci.msi = &pc->msi;
    pc->pci.find_rom = find_rom;
}

static bool make_parts(struct pc *pc, struct error *err)
{
    make_pci(pc);
    for (unsigned i = 0; i < PC_PARTS; i++)
        if (!make_part(pc, i, err))
            return false;
    pc->chip->wire_host(pc, pc->part[PC_HOST]);
    if (!device_init(pc->part[PC_HOST], err))
        return false;
    map_windows(pc, PC_HOST);
    return true;
}

/* --- lines --- */

static void set_a20(void *opaque, unsigned n, bool level)
{
    struct pc *pc = opaque;
    for (unsigned i = 0; i < pc->b.cpu_count; i++)
        x86_set_a20(pc->b.cpus[i], level);
}

void pc_reset_line(void *opaque, unsigned n, bool level)
{
    struct pc *pc = opaque;
    if (level)
        pc->b.events.reset(pc->b.events.opaque, "guest");
}

void pc_power_off_line(void *opaque, unsigned n, bool level)
{
    struct pc *pc = opaque;
    if (level)
        pc->b.events.power_off(pc->b.events.opaque);
}

/* ISA lines and the HPET's pins are GSIs of the accelerator, which has the controllers. */
static void connect_gsis(struct pc *pc)
{
    for (unsigned i = 0; i < PC_IRQS; i++) {
        irq_connect(&pc->isa[i].out, irq_or_input, &pc->pin[i], PC_PIN_ISA);
        irq_connect(&pc->part[PC_ISA]->irqs[i], irq_or_input, &pc->isa[i], PC_ISA_PCI);
    }
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        irq_connect(&pc->pin[i].out, x86_irqchip_gsi, &pc->b, i);
    for (unsigned i = 0; i < pc->chip->pirqs; i++)
        irq_connect(&pc->pci.out[i], device_input, pc->part[PC_ISA], i);
}

static void connect_isa(struct pc *pc)
{
    if (x86_irqchip(&pc->b) == IRQCHIP_KERNEL) {
        connect_gsis(pc);
        return;
    }
    for (unsigned i = 0; i < PC_IRQS; i++) {
        unsigned pin = i == 0 ? PC_GSI_TIMER : i;
        irq_connect(&pc->isa[i].out, irq_split_input, &pc->isa_split[i], 0);
        irq_connect(&pc->isa_split[i].out[0], device_input, pc->part[PC_PIC], i);
        if (i != PC_GSI_TIMER) /* IRQ 2 is the cascade */
            irq_connect(&pc->isa_split[i].out[1], irq_or_input, &pc->pin[pin], PC_PIN_ISA);
        irq_connect(&pc->part[PC_ISA]->irqs[i], irq_or_input, &pc->isa[i], PC_ISA_PCI);
    }
    for (unsigned i = 0; i < IOAPIC_PINS; i++)
        irq_connect(&pc->pin[i].out, device_input, pc->part[PC_IOAPIC], i);
    for (unsigned i = 0; i < pc->chip->pirqs; i++)
        irq_connect(&pc->pci.out[i], device_input, pc->part[PC_ISA], i);
}

/* In legacy mode the HPET takes IRQ 0 and 8 away from the PIT and the RTC. */
static void connect_hpet(struct pc *pc)
{
    struct device *hpet = pc->part[PC_HPET];
    if (pc->part[PC_PIT])
        irq_connect(&pc->part[PC_PIT]->irqs[0], irq_gate_input, &pc->gate0, IRQ_GATE_SIGNAL);
    irq_connect(&pc->part[PC_RTC]->irqs[0], irq_gate_input, &pc->gate8, IRQ_GATE_SIGNAL);
    irq_connect(&pc->gate0.out, irq_or_input, &pc->isa[0], PC_ISA_DEVICE);
    irq_connect(&pc->gate8.out, irq_or_input, &pc->isa[8], PC_ISA_DEVICE);
    if (!hpet)
        return;
    irq_connect(&hpet->irqs[HPET_OUT_LEGACY], irq_split_input, &pc->hpet_legacy, 0);
    if (pc->part[PC_PIT])
        irq_connect(&pc->hpet_legacy.out[0], irq_gate_input, &pc->gate0, IRQ_GATE_BLOCK);
    else
        irq_connect(&pc->hpet_legacy.out[0], x86_irqchip_hpet_legacy, &pc->b, 0);
    irq_connect(&pc->hpet_legacy.out[1], irq_gate_input, &pc->gate8, IRQ_GATE_BLOCK);
    irq_connect(&hpet->irqs[HPET_OUT_IRQ0], irq_or_input, &pc->isa[0], PC_ISA_HPET);
    irq_connect(&hpet->irqs[HPET_OUT_IRQ8], irq_or_input, &pc->isa[8], PC_ISA_HPET);
    for (unsigned i = 0; i < HPET_PINS; i++)
        irq_connect(&hpet->irqs[i], irq_or_input, &pc->pin[i], PC_PIN_HPET);
}

static void connect_rest(struct pc *pc)
{
    struct device *kbd = pc->part[PC_KBD];
    irq_connect(&kbd->irqs[I8042_OUT_MOUSE], irq_or_input, &pc->isa[12], PC_ISA_DEVICE);
    irq_connect(&kbd->irqs[I8042_OUT_A20], set_a20, pc, 0);
    irq_connect(&kbd->irqs[I8042_OUT_RESET], pc_reset_line, pc, 0);
    if (x86_irqchip(&pc->b) == IRQCHIP_USER)
        device_connect(pc->part[PC_PIC], 0, x86_cpus_lapic(&pc->cpus, 0), LAPIC_IN_LINT0);
    else if (x86_irqchip(&pc->b) == IRQCHIP_SPLIT)
        x86_irqchip_split(&pc->b, &pc->apic_bus, pc->part[PC_PIC], &pc->intr);
    connect_ferr(pc);
}

/* --- the board --- */

static bool check_config(const struct board_config *c, struct error *err)
{
    if (c->ram_size < 2 * MIB || c->ram_size % 4096) {
        (void)fail(err, EINVAL, "%" PRIu64 " bytes of memory: a PC has at least 2 MiB, in pages",
                   c->ram_size);
        return fail_hint(err, "-m counts MiB: -m 512, -m 2G");
    }
    return true;
}

bool pc_init(struct board *b, const struct pc_chipset *chip, struct error *err)
{
    struct pc *pc = pc_of(b);
    pc->chip = chip;
    if (!check_config(b->config, err) || !x86_cpus_check(b, err) || !make_memory(pc, err) ||
        !pc_firmware_load(pc, err) || !x86_cpus_make(b, err) || !make_parts(pc, err))
        return false;
    if (x86_irqchip(b) == IRQCHIP_USER &&
        !x86_cpus_make_lapics(&pc->cpus, b, &pc->apic_bus, PC_PRIO_LAPIC, pic_acknowledge,
                              pc->part[PC_PIC], err))
        return false;
    isa_bus_init(&pc->isa_bus, NULL, "isa.0", b->mem, b->ports, pc->isa);
    pc->isa_bus.priority = PC_PRIO_CHIP;
    for (unsigned i = 0; i < BOARD_SERIALS; i++)
        pc->isa_bus.serials |= b->config->serial[i] ? BIT(i) : 0;
    board_add_bus(b, &pc->isa_bus.bus);
    connect_isa(pc);
    connect_hpet(pc);
    connect_rest(pc);
    chip->connect(pc);
    return true;
}

bool pc_complete(struct board *b, struct error *err)
{
    return pc_firmware_config(pc_of(b), err);
}

bool pc_reset(struct board *b, struct error *err)
{
    struct pc *pc = pc_of(b);
    for (unsigned i = 0; i < PC_FLASHES; i++)
        if (pc->flash[i])
            device_reset(pc->flash[i]);
    for (unsigned i = 0; i < PC_PARTS; i++)
        if (pc->part[i])
            device_reset(pc->part[i]);
    x86_irqchip_reset(b);
    pc_smm_reset(pc);
    x86_cpus_reset(&pc->cpus, b);
    const char *order = b->config->boot_order ? b->config->boot_order : "cad";
    pc_set_boot_order(pc, b->config->boot_once && !pc->booted ? b->config->boot_once : order);
    pc->booted = true;
    return !b->config->kernel || b->config->kernel_by_firmware || pc_boot_kernel(pc, err);
}

void pc_finish(struct board *b)
{
    struct pc *pc = pc_of(b);
    x86_cpus_free(&pc->cpus, b);
    for (unsigned i = PC_PARTS; i-- > 0;)
        device_free(pc->part[i]);
    for (unsigned i = 0; i < PC_FLASHES; i++)
        device_free(pc->flash[i]);
    bus_finish(&pc->isa_bus.bus);
    pci_bus_finish(&pc->pci);
    loop_defer_cancel(b->loop, send_late, pc);
    if (pc->late)
        g_array_unref(pc->late);
    acpi_set_finish(&pc->acpi);
    x86_irqchip_detach(b);
    pc_smm_finish(pc);
    mem_free(b->ports);
    mem_free(b->mem);
}

void pc_power_button(struct board *b)
{
    pc_of(b)->chip->power_button(pc_of(b));
}
