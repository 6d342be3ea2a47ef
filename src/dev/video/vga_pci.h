/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The standard VGA adapter, -device VGA. Properties: vgamem_mb, edid, xres, yres, xmax, ymax. */
#ifndef DEV_VIDEO_VGA_PCI_H
#define DEV_VIDEO_VGA_PCI_H

extern const struct device_type vga_pci_type;

#endif
