/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/intc/apic_bus.h"

#include "base/bits.h"
#include "dev/intc/ioapic.h"
#include "dev/intc/lapic.h"

/* SDM 3A 11.6.2.4: the candidate with the lowest priority; among equals they take turns. */
static struct device *lowest(struct apic_bus *bus, const struct apic_msg *msg)
{
    struct device *best = NULL;
    unsigned best_index = 0;

    for (unsigned n = 0; n < bus->local_count; n++) {
        unsigned i = (bus->lowest_next + n) % bus->local_count;
        struct device *apic = bus->local[i];

        if (!lapic_matches(apic, msg))
            continue;
        if (!best || lapic_priority(apic) < lapic_priority(best)) {
            best = apic;
            best_index = i;
        }
    }
    if (best)
        bus->lowest_next = best_index + 1;
    return best;
}

uint64_t apic_msg_address(const struct apic_msg *msg)
{
    return 0xfee00000 | (msg->dest & 0xff) << 12 | (msg->mode == APIC_LOWEST) << 3 |
           msg->logical << 2;
}

uint32_t apic_msg_data(const struct apic_msg *msg)
{
    return msg->vector | msg->mode << 8 | msg->assert_ << 14 | msg->level << 15;
}

void apic_bus_deliver(struct apic_bus *bus, const struct apic_msg *msg)
{
    if (bus->send) {
        bus->send(bus->opaque, apic_msg_address(msg), apic_msg_data(msg));
        return;
    }
    if (msg->mode == APIC_LOWEST) {
        struct device *apic = lowest(bus, msg);

        if (apic)
            lapic_receive(apic, msg);
        return;
    }
    for (unsigned i = 0; i < bus->local_count; i++) {
        if (lapic_matches(bus->local[i], msg))
            lapic_receive(bus->local[i], msg);
    }
}

void apic_bus_eoi(struct apic_bus *bus, uint8_t vector)
{
    for (unsigned i = 0; i < bus->io_count; i++)
        ioapic_eoi(bus->io[i], vector);
}

void apic_bus_msi(struct apic_bus *bus, uint64_t addr, uint32_t data)
{
    struct apic_msg msg = {
        .dest = bits(addr, 12, 8),
        .logical = bits(addr, 2, 1),
        .mode = bits(data, 8, 3),
        .vector = data & 0xff,
        .level = bits(data, 15, 1),
        .assert_ = true,
    };

    if (bus->send)
        bus->send(bus->opaque, addr, data);
    else
        apic_bus_deliver(bus, &msg);
}
