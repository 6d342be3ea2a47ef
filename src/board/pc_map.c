/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses and interrupts that all PCs have in common: with the chipsets' tables the only place
 * where they stand. The wiring, ACPI and `info mtree` come from these tables.
 */
#include "board/pc.h"

#include "dev/char/debugcon.h"
#include "dev/char/uart.h"
#include "dev/firmware/fwcfg.h"
#include "dev/input/i8042.h"
#include "dev/intc/ioapic.h"
#include "dev/intc/lapic.h"
#include "dev/intc/pic.h"
#include "dev/timer/hpet.h"
#include "dev/timer/pit.h"
#include "dev/timer/rtc.h"

/* Parts are created in this order and reset in it. */
const struct pc_part_info pc_common_parts[PC_PARTS] = {
    [PC_PIC] = { &i8259_type,
                 "pic",
                 { { "master", 0x20, 2 }, { "slave", 0xa0, 2 }, { "elcr", 0x4d0, 2 } },
                 PC_NO_IRQ,
                 PC_NO_DEVFN },
    [PC_IOAPIC] = { &ioapic_type,
                    "ioapic",
                    { { "regs", 0xfec00000, 0x1000 } },
                    PC_NO_IRQ,
                    PC_NO_DEVFN },
    [PC_PIT] = { &i8254_type,
                 "pit",
                 { { "pit", 0x40, 4 }, { "speaker", 0x61, 1 } },
                 0,
                 PC_NO_DEVFN },
    [PC_RTC] = { &mc146818_type,
                 "rtc",
                 { { "ports", 0x70, 2 } },
                 8,
                 PC_NO_DEVFN,
                 "PNP0B00",
                 "RTC" },
    [PC_HPET] = { &hpet_type, "hpet", { { "regs", 0xfed00000, 0x400 } }, PC_NO_IRQ, PC_NO_DEVFN },
    [PC_KBD] = { &i8042_type,
                 "i8042",
                 { { "data", 0x60, 1 }, { "command", 0x64, 1 }, { "port92", 0x92, 1 } },
                 1,
                 PC_NO_DEVFN,
                 "PNP0303",
                 "KBD" },
    [PC_COM1] = { &uart16550_type,
                  "serial0",
                  { { "regs", 0x3f8, 8 } },
                  4,
                  PC_NO_DEVFN,
                  "PNP0501",
                  "COM1" },
    [PC_COM2] = { &uart16550_type,
                  "serial1",
                  { { "regs", 0x2f8, 8 } },
                  3,
                  PC_NO_DEVFN,
                  "PNP0501",
                  "COM2" },
    [PC_COM3] = { &uart16550_type,
                  "serial2",
                  { { "regs", 0x3e8, 8 } },
                  4,
                  PC_NO_DEVFN,
                  "PNP0501",
                  "COM3" },
    [PC_COM4] = { &uart16550_type,
                  "serial3",
                  { { "regs", 0x2e8, 8 } },
                  3,
                  PC_NO_DEVFN,
                  "PNP0501",
                  "COM4" },
    [PC_FWCFG] = { &fwcfg_type,
                   "fw_cfg",
                   { { "ports", 0x510, 2 }, { "dma", 0x514, 8 } },
                   PC_NO_IRQ,
                   PC_NO_DEVFN },
    [PC_DEBUGCON] = { &debugcon_type, "debugcon", { { "port", 0xe9, 1 } }, PC_NO_IRQ, PC_NO_DEVFN },
};
