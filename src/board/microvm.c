/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * microvm: the least machine that starts a kernel: RAM, vCPUs, interrupt controllers, a serial
 * port, virtio transports in memory. No PCI. What can be left out is left out by -machine.
 *
 * Interrupts: ISA lines go to the 8259 pair and to the first I/O APIC; the transports to the second
 * one (GSI 24 and up), without it to GSI 16 and up, and without ACPI to ISA lines 5 and up.
 */
#include "board/microvm.h"

#include "base/alloc.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/str.h"
#include "board/x86_boot.h"
#include "board/x86_irqchip.h"
#include "cpu/cpu.h"
#include "cpu/guest.h"
#include "dev/char/debugcon.h"
#include "dev/char/uart.h"
#include "dev/firmware/bzimage.h"
#include "dev/firmware/fwcfg.h"
#include "dev/intc/lapic.h"
#include "dev/intc/pic.h"
#include "dev/misc/pm_block.h"
#include "dev/timer/pit.h"
#include "dev/timer/rtc.h"
#include "dev/virtio/virtio_mmio.h"
#include "guest/x86/x86.h"

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PRIO_RAM = 0, PRIO_CHIP = 2, PRIO_LAPIC = 3, GSI_TIMER = 2 };
enum { FIRMWARE_MAX = 8 << 20, LOW_ALIAS = 0x20000 };
#define RAM_LOW_MAX (3 * GIB)

/* Addresses and interrupts of the parts. */
static const struct {
    const struct device_type *type;
    const char *id;
    struct {
        const char *name;
        uint32_t base;
    } win[3];
    int irq; /* ISA line of output 0; -1: wired by name */
} parts[MV_PARTS] = {
    [MV_PIC] = { &i8259_type,
                 "pic",
                 { { "master", 0x20 }, { "slave", 0xa0 }, { "elcr", 0x4d0 } },
                 -1 },
    [MV_IOAPIC] = { &ioapic_type, "ioapic", { { "regs", MICROVM_IOAPIC } }, -1 },
    [MV_IOAPIC2] = { &ioapic_type, "ioapic2", { { "regs", MICROVM_IOAPIC2 } }, -1 },
    [MV_PIT] = { &i8254_type, "pit", { { "pit", 0x40 }, { "speaker", 0x61 } }, 0 },
    [MV_RTC] = { &mc146818_type, "rtc", { { "ports", 0x70 } }, 8 },
    [MV_COM1] = { &uart16550_type, "serial0", { { "regs", 0x3f8 } }, 4 },
    [MV_FWCFG] = { &fwcfg_type, "fw_cfg", { { "ports", 0x510 }, { "dma", 0x514 } }, -1 },
    [MV_DEBUGCON] = { &debugcon_type, "debugcon", { { "port", 0xe9 } }, -1 },
    [MV_PM] = { &pm_block_type,
                "pm",
                { { "pm", MICROVM_PM }, { "reset", MICROVM_RESET } },
                MICROVM_IRQ_SCI },
};

/* --- memory, firmware --- */

static bool make_memory(struct microvm *m, struct error *err)
{
    uint64_t size = m->b.config->ram_size;
    m->ram_low = MIN(size, RAM_LOW_MAX);
    m->ram_high = size - m->ram_low;
    if (!(m->b.mem = mem_new(m->b.loop, "memory", 0, size + FIRMWARE_MAX, err)) ||
        !(m->b.ports = mem_new(m->b.loop, "io", 0x10000, 0, err)) ||
        !mem_ram_alloc(m->b.mem, size, &m->ram, err))
        return false;
    mem_region_init_ram(&m->ram_region, "ram-low", m->ram, m->ram_low);
    mem_map(m->b.mem, 0, &m->ram_region, PRIO_RAM);
    if (m->ram_high) {
        mem_region_init_ram(&m->ram_high_region, "ram-high", m->ram + m->ram_low, m->ram_high);
        mem_map(m->b.mem, 4 * GIB, &m->ram_high_region, PRIO_RAM);
    }
    return x86_irqchip_attach(&m->b, err);
}

static bool read_firmware(struct microvm *m, FILE *f, struct error *err)
{
    struct stat st;
    if (fstat(fileno(f), &st) != 0)
        return fail(err, errno, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode) || st.st_size < 0x10000 || st.st_size > FIRMWARE_MAX ||
        st.st_size % 0x10000) {
        (void)fail(err, ENOEXEC, "not a PC firmware");
        return fail_hint(err, "it is a multiple of 64 KiB, at most 8 MiB");
    }
    if (!mem_ram_alloc(m->b.mem, (uint64_t)st.st_size, &m->rom, err))
        return false;
    m->rom_size = (uint64_t)st.st_size;
    return fread(mem_ram_base(m->b.mem) + m->rom, 1, m->rom_size, f) == m->rom_size ||
           fail(err, EIO, "cannot be read to its end");
}

static bool load_firmware(struct microvm *m, struct error *err)
{
    const char *path = m->b.config->firmware;
    if (!path)
        return true; /* a kernel is started directly */
    FILE *f = fopen(path, "rbe");
    bool ok = f ? read_firmware(m, f, err) : fail(err, errno, "%s", strerror(errno));
    if (f)
        fclose(f);
    if (!ok) {
        err_prefix(err, "firmware '%s': ", path);
        return false;
    }
    mem_region_init_rom(&m->rom_region, "firmware", m->rom, m->rom_size);
    mem_map(m->b.mem, 4 * GIB - m->rom_size, &m->rom_region, PRIO_CHIP);
    return true;
}

/* The firmware's end is seen below 1 MiB, too, in RAM: there is no chipset that would unlock it. */
static void copy_firmware(struct microvm *m)
{
    uint64_t shown = MIN(m->rom_size, (uint64_t)LOW_ALIAS);
    uint8_t *ram = mem_ram_base(m->b.mem);
    memcpy(ram + m->ram + MIB - shown, ram + m->rom + m->rom_size - shown, shown);
}

/* --- parts --- */

static bool is_wanted(const struct microvm *m, enum microvm_part i)
{
    const struct board_config *c = m->b.config;
    bool ours = x86_irqchip(&m->b) != IRQCHIP_KERNEL;
    switch (i) {
    case MV_PIC: return ours; /* acknowledge() needs it, no_pic hides its ports */
    case MV_IOAPIC: return ours;
    case MV_IOAPIC2: return ours && c->acpi && !c->no_ioapic2;
    case MV_PIT: return ours && !c->no_pit;
    case MV_RTC: return !c->no_rtc;
    case MV_COM1: return c->serial[0] != NULL;
    case MV_DEBUGCON: return c->debugcon != NULL;
    case MV_PM: return c->acpi;
    default: return true;
    }
}

static bool prepare(struct microvm *m, enum microvm_part i, struct device *dev, struct error *err)
{
    const struct board_config *c = m->b.config;
    switch (i) {
    case MV_IOAPIC:
    case MV_IOAPIC2: ioapic_attach(dev, &m->apic_bus); return true;
    case MV_RTC:
        return (!c->rtc_base || device_set(dev, "base", c->rtc_base, err)) &&
               (!c->rtc_clock || device_set(dev, "clock", c->rtc_clock, err));
    case MV_COM1: uart_set_chardev(dev, c->serial[0]); return true;
    case MV_DEBUGCON: debugcon_set_chardev(dev, c->debugcon); return true;
    default: return true;
    }
}

static bool make_part(struct microvm *m, enum microvm_part i, struct error *err)
{
    const struct device_ctx ctx = { m->b.loop, m->b.mem, m->b.config->links };
    if (!is_wanted(m, i))
        return true;
    struct device *dev = m->part[i] = device_new(parts[i].type, parts[i].id, &ctx);
    if (!prepare(m, i, dev, err) || !device_init(dev, err))
        return false;
    bool hidden = i == MV_PIC && m->b.config->no_pic;
    for (unsigned w = 0; w < 3 && parts[i].win[w].name && !hidden; w++) {
        uint32_t base = parts[i].win[w].base;
        mem_map(base > 0xffff ? m->b.mem : m->b.ports, base,
                device_window(dev, parts[i].win[w].name), PRIO_CHIP);
    }
    if (parts[i].irq >= 0)
        irq_connect(&dev->irqs[0], irq_or_input, &m->isa[parts[i].irq], 0);
    return true;
}

/* Output of a transport to its GSI, whoever has the interrupt controllers. */
static void connect_transport(struct microvm *m, struct device *dev, unsigned gsi)
{
    if (x86_irqchip(&m->b) == IRQCHIP_KERNEL)
        irq_connect(&dev->irqs[0], x86_irqchip_gsi, &m->b, gsi);
    else if (gsi < ISA_IRQS)
        irq_connect(&dev->irqs[0], irq_or_input, &m->isa[gsi], 1);
    else if (gsi < MICROVM_GSI_SECOND)
        device_connect(dev, 0, m->part[MV_IOAPIC], gsi);
    else
        device_connect(dev, 0, m->part[MV_IOAPIC2], gsi - MICROVM_GSI_SECOND);
}

static bool make_transports(struct microvm *m, struct error *err)
{
    const struct device_ctx ctx = { m->b.loop, m->b.mem, m->b.config->links };
    bool second = m->part[MV_IOAPIC2] != NULL;
    m->mmio_count = second ? MICROVM_MMIO_MAX : MICROVM_MMIO_FEW;
    m->mmio_gsi = second              ? MICROVM_GSI_SECOND
                  : m->b.config->acpi ? MICROVM_GSI_FEW
                                      : MICROVM_IRQ_WITHOUT_ACPI;
    for (unsigned i = 0; i < m->mmio_count; i++) {
        char id[24];
        snprintf(id, sizeof id, "virtio-mmio.%u", i);
        struct device *dev = m->mmio[i] = device_new(&virtio_mmio_type, id, &ctx);
        if (!device_init(dev, err))
            return false;
        mem_map(m->b.mem, MICROVM_MMIO_BASE + i * MICROVM_MMIO_SIZE, device_window(dev, "regs"),
                PRIO_CHIP);
        connect_transport(m, dev, m->mmio_gsi + i);
    }
    return true;
}

/* --- lines --- */

static void reset_line(void *opaque, unsigned n, bool level)
{
    struct microvm *m = opaque;
    if (level)
        m->b.events.reset(m->b.events.opaque, "guest");
}

static void power_off_line(void *opaque, unsigned n, bool level)
{
    struct microvm *m = opaque;
    if (level)
        m->b.events.power_off(m->b.events.opaque);
}

static void connect_lines(struct microvm *m)
{
    for (unsigned i = 0; i < ISA_IRQS; i++) {
        if (x86_irqchip(&m->b) == IRQCHIP_KERNEL) {
            irq_connect(&m->isa[i].out, x86_irqchip_gsi, &m->b, i);
            continue;
        }
        unsigned pin = i == 0 ? GSI_TIMER : i;
        irq_connect(&m->isa[i].out, irq_split_input, &m->isa_split[i], 0);
        irq_connect(&m->isa_split[i].out[0], device_input, m->part[MV_PIC], i);
        if (i != GSI_TIMER) /* IRQ 2 is the cascade */
            irq_connect(&m->isa_split[i].out[1], device_input, m->part[MV_IOAPIC], pin);
    }
    if (x86_irqchip(&m->b) == IRQCHIP_USER)
        device_connect(m->part[MV_PIC], 0, x86_cpus_lapic(&m->cpus, 0), LAPIC_IN_LINT0);
    else if (x86_irqchip(&m->b) == IRQCHIP_SPLIT)
        x86_irqchip_split(&m->b, &m->apic_bus, m->part[MV_PIC], &m->intr);
    if (m->part[MV_PM]) {
        irq_connect(&m->part[MV_PM]->irqs[PM_BLOCK_OUT_OFF], power_off_line, m, 0);
        irq_connect(&m->part[MV_PM]->irqs[PM_BLOCK_OUT_RESET], reset_line, m, 0);
    }
}

/* --- the board --- */

static bool check_config(const struct board_config *c, struct error *err)
{
    if (c->ram_size < 2 * MIB || c->ram_size % 4096) {
        (void)fail(err, EINVAL, "%" PRIu64 " bytes of memory: it has at least 2 MiB, in pages",
                   c->ram_size);
        return fail_hint(err, "-m counts MiB: -m 512, -m 2G");
    }
    if (c->kernel_by_firmware) {
        (void)fail(err, ENOTSUP,
                   "microvm: -kernel through the firmware comes with a later release");
        return fail_hint(err, "leave -bios out: the kernel is started directly");
    }
    for (unsigned i = 1; i < BOARD_SERIALS; i++) {
        if (c->serial[i]) {
            (void)fail(err, EINVAL, "microvm has one serial port");
            return fail_hint(err, "use -device virtio-serial-device and virtconsole");
        }
    }
    return true;
}

static bool microvm_init(struct board *b, struct error *err)
{
    struct microvm *m = microvm_of(b);
    if (!check_config(b->config, err) || !x86_cpus_check(b, err) || !make_memory(m, err) ||
        !load_firmware(m, err) || !x86_cpus_make(b, err))
        return false;
    for (unsigned i = 0; i < MV_PARTS; i++)
        if (!make_part(m, i, err))
            return false;
    if (x86_irqchip(b) == IRQCHIP_USER &&
        !x86_cpus_make_lapics(&m->cpus, b, &m->apic_bus, PRIO_LAPIC, pic_acknowledge,
                              m->part[MV_PIC], err))
        return false;
    connect_lines(m);
    isa_bus_init(&m->isa_bus, NULL, "isa.0", b->mem, b->ports, m->isa);
    m->isa_bus.priority = PRIO_CHIP;
    m->isa_bus.serials = b->config->serial[0] ? 1 : 0;
    board_add_bus(b, &m->isa_bus.bus);
    if (!make_transports(m, err))
        return false;
    /* each transport offers one bus; the list of the board's goes on with them */
    for (unsigned i = 0; i < m->mmio_count; i++)
        board_add_bus(b, m->mmio[i]->buses);
    return true;
}

static bool add_acpi(struct microvm *m, struct error *err)
{
    struct device *fw = m->part[MV_FWCFG];
    acpi_set_init(&m->acpi);
    microvm_acpi_build(&m->b, &m->acpi);
    GByteArray *tables = m->acpi.blob[ACPI_TABLES], *rsdp = m->acpi.blob[ACPI_RSDP];
    GByteArray *script = acpi_loader_script(&m->acpi);
    bool ok = fwcfg_add_file(fw, ACPI_TABLES_FILE, tables->data, tables->len, err) &&
              fwcfg_add_file(fw, ACPI_RSDP_FILE, rsdp->data, rsdp->len, err) &&
              fwcfg_add_file(fw, "etc/table-loader", script->data, script->len, err);
    g_byte_array_unref(script);
    return ok;
}

static bool add_e820(struct microvm *m, struct error *err)
{
    uint8_t map[2 * 20];
    st_le64(map, 0);
    st_le64(map + 8, m->ram_low);
    st_le32(map + 16, E820_RAM);
    st_le64(map + 20, 4 * GIB);
    st_le64(map + 28, m->ram_high);
    st_le32(map + 36, E820_RAM);
    return fwcfg_add_file(m->part[MV_FWCFG], "etc/e820", map, m->ram_high ? 40 : 20, err);
}

static bool microvm_complete(struct board *b, struct error *err)
{
    struct microvm *m = microvm_of(b);
    struct device *fw = m->part[MV_FWCFG];
    const struct board_config *c = b->config;
    uint8_t sercon[2] = { 0xf8, 0x03 };
    fwcfg_add(fw, FWCFG_UUID, c->uuid, sizeof c->uuid);
    fwcfg_add_le(fw, FWCFG_RAM_SIZE, c->ram_size, 8);
    fwcfg_add_le(fw, FWCFG_NOGRAPHIC, c->serial_console, 2);
    fwcfg_add_le(fw, FWCFG_NB_CPUS, c->cpus, 2);
    fwcfg_add_le(fw, FWCFG_MAX_CPUS, x86_cpus_apic_id_limit(b), 2);
    return add_e820(m, err) && (!c->acpi || add_acpi(m, err)) &&
           fwcfg_add_file(fw, "bootorder", "", 1, err) &&
           (!c->serial_console || fwcfg_add_file(fw, "etc/sercon-port", sercon, 2, err));
}

/* Without ACPI the kernel learns of the transports by its command line. */
static char *make_cmdline(const struct microvm *m)
{
    const struct board_config *c = m->b.config;
    GString *s = g_string_new(c->append ? c->append : "");
    for (unsigned i = 0; i < m->mmio_count && !c->acpi && !c->no_auto_cmdline; i++)
        if (m->mmio[i]->buses->count)
            g_string_append_printf(s, " virtio_mmio.device=%u@%#x:%u", MICROVM_MMIO_SIZE,
                                   MICROVM_MMIO_BASE + i * MICROVM_MMIO_SIZE, m->mmio_gsi + i);
    char *text = xstrdup(s->str);
    g_string_free(s, TRUE);
    return text;
}

static bool boot(struct microvm *m, struct error *err)
{
    char *cmdline = make_cmdline(m);
    const struct x86_boot_machine machine = {
        .b = &m->b,
        .ram_low = m->ram_low,
        .ram_high = m->ram_high,
        .cmdline = cmdline,
        .build_acpi = m->b.config->acpi ? microvm_acpi_build : NULL,
    };
    bool ok = x86_boot_kernel(&machine, err);
    free(cmdline);
    return ok;
}

static bool microvm_reset(struct board *b, struct error *err)
{
    struct microvm *m = microvm_of(b);
    for (unsigned i = 0; i < MV_PARTS; i++)
        if (m->part[i])
            device_reset(m->part[i]);
    for (unsigned i = 0; i < m->mmio_count; i++)
        device_reset(m->mmio[i]);
    copy_firmware(m);
    x86_irqchip_reset(b);
    x86_cpus_reset(&m->cpus, b);
    return !b->config->kernel || boot(m, err);
}

static void microvm_finish(struct board *b)
{
    struct microvm *m = microvm_of(b);
    x86_cpus_free(&m->cpus, b);
    for (unsigned i = MICROVM_MMIO_MAX; i-- > 0;)
        device_free(m->mmio[i]);
    for (unsigned i = MV_PARTS; i-- > 0;)
        device_free(m->part[i]);
    bus_finish(&m->isa_bus.bus);
    acpi_set_finish(&m->acpi);
    x86_irqchip_detach(b);
    mem_free(b->ports);
    mem_free(b->mem);
}

static void microvm_power_button(struct board *b)
{
    struct device *pm = microvm_of(b)->part[MV_PM];
    if (pm)
        pm_block_power_button(pm);
}

static const char *const names[] = { NULL };

const struct board_type microvm_board = {
    .name = "microvm",
    .doc = "microvm (i386)",
    .names = names,
    .guest = &x86_guest,
    .ram_default = 128 * MIB,
    .cpus_max = BOARD_CPUS_MAX,
    .size = sizeof(struct microvm),
    .init = microvm_init,
    .complete = microvm_complete,
    .finish = microvm_finish,
    .reset = microvm_reset,
    .power_button = microvm_power_button,
    .default_if = "virtio",
    .firmware = "bios-microvm.bin",
};
