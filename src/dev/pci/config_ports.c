/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/pci/config_ports.h"

enum { CONFIG_ENABLE_BIT = 31 };

/* Port 0xcf8 answers 32-bit accesses only; byte 1 alone is the reset control register. */
uint64_t config_address_read(struct config_ports *c, uint64_t off, unsigned size)
{
    if (size == 4)
        return c->address;
    if (off == 1 && size == 1 && c->reset.read)
        return c->reset.read(c->reset.opaque);
    return BITS(size * 8 - 1, 0);
}

void config_address_write(struct config_ports *c, uint64_t off, uint64_t val, unsigned size)
{
    if (size == 4)
        c->address = val & 0x80fffffc;
    else if (off == 1 && size == 1 && c->reset.write)
        c->reset.write(c->reset.opaque, val);
}

uint64_t config_data_read(struct config_ports *c, uint64_t off, unsigned size)
{
    if (!c->bus || !(c->address & BIT(CONFIG_ENABLE_BIT)))
        return BITS(size * 8 - 1, 0);
    return pci_config_read(c->bus, c->address >> 16, c->address >> 8, (c->address & 0xfc) + off,
                           size);
}

void config_data_write(struct config_ports *c, uint64_t off, uint64_t val, unsigned size)
{
    if (c->bus && c->address & BIT(CONFIG_ENABLE_BIT))
        pci_config_write(c->bus, c->address >> 16, c->address >> 8, (c->address & 0xfc) + off, val,
                         size);
}
