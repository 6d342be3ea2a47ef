/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hostdiff: random sequences of user-level instructions, this processor against our CPU; registers,
 * flags, x87, SSE and memory must agree at the end, or at the exception that ended it. Sequences
 * show what single instructions (tests/insn) do not: lazy flags, register allocation, state at a
 * fault in the middle of a block.
 *
 *   hostdiff [--count N] [--seed S] [--first N] [--group int|sse|x87|all] [--bits 32|64] [--accel
 * tcg|interp] [--keep-going]
 */
#include "hostdiff.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "guest/x86/decode.h"
#include "guest/x86/x86.h"

static char report[4096];
static size_t used;

static void differ(const char *what, uint64_t native, uint64_t ours)
{
    if (used < 900)
        used += (size_t)snprintf(report + used, sizeof(report) - used,
                                 "    %-8s native %#llx, ours %#llx\n", what,
                                 (unsigned long long)native, (unsigned long long)ours);
}

static bool fx_compared(unsigned i)
{
    if (i >= 32 && i < 160)
        return (i & 15) < 10;
    return i < 5 || (i >= 24 && i < 28) || (i >= 160 && i < 416);
}

/* CMPS: which of its two operands is looked at first differs between processors. */
static bool compares_strings(const struct sequence *s, uint64_t rip)
{
    struct x86_insn i;

    return rip - AREA < CODE_SIZE &&
           x86_decode(&i, s->code + (rip - AREA), 15, s->bits, ~UINT64_C(0)) == X86_DECODE_OK &&
           i.op == X86_OP_CMPS;
}

static void compare(const struct sequence *s, const struct machine *n, const struct machine *o)
{
    static const char *const gpr[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    bool regular = n->vector == X86_UD && n->rip == s->end_at;
    uint32_t flags = (X86_ARITH | X86_DF) & ~(regular ? s->undefined : s->undefined_ever);
    char what[32];

    if (s->bits == 32 && (n->vector == X86_SS_VEC || n->vector == X86_GP) &&
        o->vector == X86_PF_VEC && o->cr2 > UINT32_MAX - 256)
        return; /* an access across 4 GiB: processors differ */
    if (n->vector != o->vector)
        differ("vector", n->vector, o->vector);
    if (n->vector == X86_PF_VEC && n->cr2 != o->cr2 && !compares_strings(s, n->rip))
        differ("cr2", n->cr2, o->cr2);
    if (n->rip != o->rip)
        differ("rip", n->rip, o->rip);
    for (unsigned i = 0; i < (s->bits == 64 ? 16u : 8u); i++)
        if (n->gpr[i] != o->gpr[i])
            differ(gpr[i], n->gpr[i], o->gpr[i]);
    if ((n->rflags ^ o->rflags) & flags)
        differ("rflags", n->rflags & flags, o->rflags & flags);
    for (unsigned i = 0; i < 416; i++)
        if (fx_compared(i) && n->fx[i] != o->fx[i] && (i < 160 || s->bits == 64 || i < 288)) {
            snprintf(what, sizeof(what), "fx[%u]", i);
            differ(what, n->fx[i], o->fx[i]);
        }
}

static void compare_memory(const uint8_t *n, const uint8_t *o)
{
    char what[32];

    for (unsigned i = 0; i < SCRATCH_SIZE; i++)
        if (n[i] != o[i]) {
            snprintf(what, sizeof(what), "[%#x]", SCRATCH + i);
            differ(what, n[i], o[i]);
        }
}

struct options {
    uint64_t count, seed, first;
    const char *group, *accel;
    unsigned bits;
    bool keep;
};

static struct options parse(int argc, char **argv)
{
    static const struct option names[] = {
        { "count", 1, NULL, 'n' },      { "seed", 1, NULL, 's' },
        { "first", 1, NULL, 'f' },      { "group", 1, NULL, 'g' },
        { "bits", 1, NULL, 'b' },       { "accel", 1, NULL, 'a' },
        { "keep-going", 0, NULL, 'k' }, { 0 }
    };
    struct options o = { .count = 4000, .seed = 1, .accel = "tcg" };
    int c;

    while ((c = getopt_long(argc, argv, "n:s:f:g:b:a:k", names, NULL)) >= 0)
        switch (c) {
        case 'n': o.count = strtoull(optarg, NULL, 0); break;
        case 's': o.seed = strtoull(optarg, NULL, 0); break;
        case 'f': o.first = strtoull(optarg, NULL, 0); break;
        case 'g': o.group = optarg; break;
        case 'b': o.bits = (unsigned)atoi(optarg); break;
        case 'a': o.accel = optarg; break;
        case 'k': o.keep = true; break;
        default:
            fprintf(stderr,
                    "hostdiff: see the head of tests/hostdiff/hostdiff.c for its options\n");
            exit(2);
        }
    if (o.group && !strcmp(o.group, "help")) {
        sequence_list_groups();
        exit(0);
    }
    return o;
}

int main(int argc, char **argv)
{
    static struct sequence s;
    static uint8_t native_scratch[SCRATCH_SIZE], our_scratch[SCRATCH_SIZE];
    struct options o = parse(argc, argv);
    uint64_t insns = 0, skipped = 0, faults = 0, bad = 0;
    struct rig *rig = rig_new(o.accel);

    native_init();
    for (uint64_t n = o.first; n < o.first + o.count; n++) {
        struct machine a, b;

        sequence_seed(o.seed << 40 | n);
        sequence_make(&s, o.bits ? o.bits : n & 1 ? 32 : 64, o.group);
        memset(&a, 0, sizeof(a));
        if (s.fp_approximate || !native_run(&s, &a, native_scratch)) {
            skipped++;
            continue;
        }
        insns += s.insns;
        faults += a.rip != s.end_at;
        used = 0;
        if (!rig_run(rig, &s, &b, our_scratch))
            differ("endless", 0, 1);
        compare(&s, &a, &b);
        compare_memory(native_scratch, our_scratch);
        if (!used)
            continue;
        printf("sequence %llu, %u-bit, ended at %#llx by vector %u:\n%s%s", (unsigned long long)n,
               s.bits, (unsigned long long)a.rip, a.vector, s.text, report);
        bad++;
        if (!o.keep)
            break;
    }
    printf("%llu instructions in %llu sequences (%llu ended by a fault, %llu skipped): %llu "
           "differences (seed %llu, %s)\n",
           (unsigned long long)insns, (unsigned long long)o.count, (unsigned long long)faults,
           (unsigned long long)skipped, (unsigned long long)bad, (unsigned long long)o.seed,
           o.accel);
    return bad ? 1 : 0;
}
