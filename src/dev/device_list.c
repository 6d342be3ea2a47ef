/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All device types of this program. A new device adds two lines here and one in meson.build. */
#include "dev/device.h"

#include "dev/char/debugcon.h"
#include "dev/char/uart.h"
#include "dev/firmware/fwcfg.h"
#include "dev/input/i8042.h"
#include "dev/intc/ioapic.h"
#include "dev/intc/lapic.h"
#include "dev/intc/pic.h"
#include "dev/pci/i440fx.h"
#include "dev/pci/piix3.h"
#include "dev/pci/piix4_pm.h"
#include "dev/timer/hpet.h"
#include "dev/timer/pit.h"
#include "dev/timer/rtc.h"
#include "dev/video/vga_pci.h"

const struct device_type *const device_types[] = {
    &i8259_type, &ioapic_type,    &lapic_type,    &i8254_type,   &mc146818_type,
    &hpet_type,  &uart16550_type, &debugcon_type, &i8042_type,   &i440fx_type,
    &piix3_type, &piix4_pm_type,  &fwcfg_type,    &vga_pci_type, NULL,
};
