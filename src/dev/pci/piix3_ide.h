/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Intel 82371SB (PIIX3) IDE function, 1.1 on the i440FX PC (datasheet 290550 §2.2, Bus Master IDE
 * 1.0). The board maps the windows: "cmd0" 8 ports at 0x1f0, "ctl0" 1 at 0x3f6, "cmd1" 8 at 0x170,
 * "ctl1" 1 at 0x376; output 0 is IRQ 14, output 1 IRQ 15. The bus master registers are BAR 4. It
 * offers the buses "ide.0" and "ide.1" (two units each) to ide-hd and ide-cd.
 */
#ifndef DEV_PCI_PIIX3_IDE_H
#define DEV_PCI_PIIX3_IDE_H

#include "dev/pci/pci.h"

extern const struct device_type piix3_ide_type;

enum { PIIX3_IDE_OUT_PRIMARY, PIIX3_IDE_OUT_SECONDARY, PIIX3_IDE_OUTS };

/* IDETIM registers, bit 15 of each: the ports of the channel are decoded. Firmware sets it; a
 * board that starts a kernel without firmware writes 0x8000 to both. */
enum { PIIX3_IDE_TIMING0 = 0x40, PIIX3_IDE_TIMING1 = 0x42 };

#endif
