/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dev/irq.h"

void irq_forward(void *opaque, unsigned n, bool level)
{
    irq_set(opaque, level);
}

void irq_forward_not(void *opaque, unsigned n, bool level)
{
    irq_set(opaque, !level);
}

void irq_or_input(void *opaque, unsigned n, bool level)
{
    struct irq_or *o = opaque;

    assert(n < 64);
    if (level)
        o->levels |= UINT64_C(1) << n;
    else
        o->levels &= ~(UINT64_C(1) << n);
    irq_set(&o->out, o->levels != 0);
}

void irq_split_input(void *opaque, unsigned n, bool level)
{
    struct irq_split *s = opaque;

    for (unsigned i = 0; i < IRQ_SPLIT_MAX; i++)
        irq_set(&s->out[i], level);
}

void irq_gate_input(void *opaque, unsigned n, bool level)
{
    struct irq_gate *g = opaque;

    if (n == IRQ_GATE_BLOCK)
        g->blocked = level;
    else
        g->signal = level;
    irq_set(&g->out, g->signal && !g->blocked);
}
