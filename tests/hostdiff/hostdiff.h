/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostdiff: sequences of user-level instructions, natively and under our CPU, from the same state
 * to the same end: a UD2 behind the sequence, or the exception of an instruction within it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    AREA = 0x20000000,
    CODE_SIZE = 0x2000,
    SCRATCH_SIZE = 0x3000,
    SCRATCH = AREA + CODE_SIZE + 0x1000, /* a page between them is not mapped */
    AREA_SIZE = CODE_SIZE + 0x1000 + SCRATCH_SIZE,
};

struct machine { /* all that is compared */
    uint64_t gpr[16], rip, rflags;
    uint8_t fx[512]; /* FXSAVE image */
    unsigned vector; /* how it ended: 6 at end_at is the regular end */
    uint64_t cr2;    /* of a page fault */
};

struct sequence {
    struct machine start;
    uint8_t code[CODE_SIZE], scratch[SCRATCH_SIZE];
    uint64_t entry, end_at;
    unsigned bits, insns, length;
    uint32_t undefined;      /* flags that are not compared at the regular end */
    uint32_t undefined_ever; /* the same when it ended early */
    bool fp_approximate, loops;
    char text[2048];
};

/* ---- sequence.c ---- */
void sequence_seed(uint64_t seed);
void sequence_make(struct sequence *s, unsigned bits, const char *group);
void sequence_list_groups(void);

/* ---- native.c ---- */
void native_init(void);
/* Runs s; false when it did not end where we look. scratch is the memory afterwards. */
bool native_run(const struct sequence *s, struct machine *ret, uint8_t *scratch);

/* ---- ours.c ---- */
struct rig;
struct rig *rig_new(const char *accel);
bool rig_run(struct rig *r, const struct sequence *s, struct machine *ret, uint8_t *scratch);
