/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A level-carrying line from one source to one sink. The source owns the struct irq and sets its
 * level from its state; the sink's handler runs only when the level changes. The board connects
 * lines; neither end knows a number. Machine lock held for everything here.
 */
#ifndef DEV_IRQ_H
#define DEV_IRQ_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

/* n is the sink's input number, as given to irq_connect(). */
typedef void irq_fn(void *opaque, unsigned n, bool level);

struct irq {
    irq_fn *fn; /* NULL: not connected */
    void *opaque;
    unsigned n;
    bool level;
};

/* Connect a line; the sink learns a level that is already high. */
static inline void irq_connect(struct irq *q, irq_fn *fn, void *opaque, unsigned n)
{
    q->fn = fn;
    q->opaque = opaque;
    q->n = n;
    if (q->level && fn)
        fn(opaque, n, true);
}

static inline void irq_set(struct irq *q, bool level)
{
    if (q->level == level)
        return;
    q->level = level;
    if (q->fn)
        q->fn(q->opaque, q->n, level);
}

static inline void irq_raise(struct irq *q)
{
    irq_set(q, true);
}

static inline void irq_lower(struct irq *q)
{
    irq_set(q, false);
}

/* A short pulse; from either level it ends low. */
static inline void irq_pulse(struct irq *q)
{
    irq_set(q, true);
    irq_set(q, false);
}

/* A sink that drives a second line: irq_connect(&src, irq_forward, &line, 0). */
void irq_forward(void *opaque, unsigned n, bool level);

/* The same, inverted. */
void irq_forward_not(void *opaque, unsigned n, bool level);

/* Wired OR of up to 64 sources: irq_connect(&src, irq_or_input, &or, 0..63). */
struct irq_or {
    struct irq out;
    uint64_t levels;
};
void irq_or_input(void *opaque, unsigned n, bool level);

/* One source to several sinks: irq_connect(&src, irq_split_input, &split, 0). */
#define IRQ_SPLIT_MAX 4
struct irq_split {
    struct irq out[IRQ_SPLIT_MAX];
};
void irq_split_input(void *opaque, unsigned n, bool level);

/* A line that a second one can block: input 0 is the signal, input 1 high blocks it. (The HPET's
 * legacy mode takes IRQ 0 and 8 away from PIT and RTC with it.) */
enum { IRQ_GATE_SIGNAL = 0, IRQ_GATE_BLOCK = 1 };
struct irq_gate {
    struct irq out;
    bool signal, blocked;
};
void irq_gate_input(void *opaque, unsigned n, bool level);

#endif
