/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clocks of one VM. Each loop owns one of each kind (loop_clock()). Reading is lock-free and
 * costs one vdso call; stopping, starting and stepping need the machine lock.
 */
#ifndef LOOP_CLOCK_H
#define LOOP_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum clock_kind {
    CLOCK_HOST,    /* wall clock: nanoseconds since 1970; may jump */
    CLOCK_VIRTUAL, /* guest time: starts at 0, stands still while the VM is stopped */
    CLOCK_RT,      /* monotonic host time, always runs */
    CLOCK_COUNT,
};

struct clock {
    enum clock_kind kind; /* constant after init */
    /* written under the machine lock, read anywhere through the sequence count */
    atomic_uint seq;
    _Atomic(int64_t) offset_ns; /* running: now = host monotonic + offset */
    _Atomic(int64_t) frozen_ns; /* stopped or manual: now */
    atomic_bool running;
    bool manual; /* machine lock: only clock_step_ns() moves it */
};

void clock_init(struct clock *c, enum clock_kind kind);

/* Nanoseconds on this clock. Any thread, lock-free. */
int64_t clock_now_ns(const struct clock *c);

/* Stop and restart CLOCK_VIRTUAL (idempotent). Machine lock held. After clock_start() call
 * loop_clock_changed() so that sleeping timers are looked at again. It is born stopped. */
void clock_start(struct clock *c);
void clock_stop(struct clock *c);

/* Set the reading, e.g. when a snapshot is loaded. Machine lock held. */
void clock_set_ns(struct clock *c, int64_t now_ns);

/* Manual mode, for tests: time moves by clock_step_ns() only. Machine lock held. */
void clock_set_manual(struct clock *c, int64_t now_ns);
void clock_step_ns(struct clock *c, int64_t delta_ns);

#endif
