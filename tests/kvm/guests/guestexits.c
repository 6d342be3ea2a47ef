/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Long mode: many exits of one KIND, for tests/perf/bench_kvm.py. */
#include "guest.h"

enum { COUNT = 100000 };

void ap_main(void)
{
}

void main(void)
{
    for (unsigned i = 0; i < COUNT; i++) {
#if KIND == 0
        outb(0x80, (uint8_t)i);
#elif KIND == 1
        (void)inb(0x71);
#else
        (void)*(volatile uint32_t *)0xfed00000u;
#endif
    }
    say("exits done");
    leave();
}
