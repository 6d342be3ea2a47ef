/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm_diff: privileged instructions, KVM against our CPU. Each case is one instruction in a random
 * mode with random descriptor tables, gates, task states and page rights; registers, segments,
 * control registers and all of memory must agree afterwards.
 *
 *   kvm_diff [-n CASES] [-s SEED] [-g GROUP] [-a tcg|interp] [-d LOG] [-k] [-v] [-x]      -k: go on
 * after a difference; -g help lists groups -x: wild cases, for KVM on hardware: broken gates,
 * 16-bit stacks, virtual-8086 mode ...
 *
 * Where /dev/kvm does not open it says so and succeeds.
 */
#include "kvm_diff.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "guest/x86/x86.h"

static unsigned differences;
static uint64_t flag_mask = ~UINT64_C(0);
static char report[4096];
static size_t used;

static void differ(const char *what, uint64_t kvm, uint64_t ours)
{
    used += (size_t)snprintf(report + used, sizeof(report) - MIN(used, sizeof(report)),
                             "    %-10s kvm %#llx, ours %#llx\n", what, (unsigned long long)kvm,
                             (unsigned long long)ours);
    used = MIN(used, sizeof(report));
}

static void check(const char *what, uint64_t kvm, uint64_t ours)
{
    if (kvm != ours)
        differ(what, kvm, ours);
}

static void compare_seg(const char *name, const struct seg_state *k, const struct seg_state *o,
                        bool tr)
{
    char what[32];
    bool usable = !k->null && k->flags & 0x80;

    snprintf(what, sizeof(what), "%s.sel", name);
    check(what, k->sel, o->sel);
    if (!strcmp(name, "ss") && !(k->sel & 0xfffc) && !(o->sel & 0xfffc))
        return; /* a null SS of 64-bit code: processors differ in what they keep, and nothing shows
                   it */
    snprintf(what, sizeof(what), "%s.null", name);
    if (!tr)
        check(what, !usable, o->null || !(o->flags & 0x80));
    if (!usable)
        return;
    snprintf(what, sizeof(what), "%s.base", name);
    check(what, k->base, o->base);
    snprintf(what, sizeof(what), "%s.limit", name);
    check(what, k->limit, o->limit);
    snprintf(what, sizeof(what), "%s.flags", name);
    check(what, k->flags & 0x60ff,
          o->flags &
              0x60ff); /* G only says how the limit was written; AVL is not kept everywhere */
}

static void compare_memory(const uint8_t *k, const uint8_t *o)
{
    for (unsigned i = 0, shown = 0; i < RAM_SIZE && shown < 6; i++)
        if (k[i] != o[i]) {
            char what[32];

            snprintf(what, sizeof(what), "[%#x]", i);
            differ(what, k[i], o[i]);
            shown++;
        }
}

static void compare(const struct state *k, const struct state *o)
{
    static const char *const gpr[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
    static const char *const seg[SEG_COUNT] = { "es", "cs", "ss", "ds", "fs", "gs", "ldt", "tr" };

    check("outcome", k->outcome, o->outcome);
    if (k->outcome != HALTED || o->outcome != HALTED)
        return; /* the state at a shutdown is nobody's business */
    for (unsigned i = 0; i < 16; i++)
        check(gpr[i], k->gpr[i], o->gpr[i]);
    check("rip", k->rip, o->rip);
    check("rflags", k->rflags & flag_mask, o->rflags & flag_mask);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        compare_seg(seg[i], &k->seg[i], &o->seg[i], i == SEG_TR);
    check("gdt.base", k->gdt_base, o->gdt_base);
    check("gdt.limit", k->gdt_limit, o->gdt_limit);
    check("idt.base", k->idt_base, o->idt_base);
    check("idt.limit", k->idt_limit, o->idt_limit);
    check("cr0", k->cr0, o->cr0);
    check("cr2", k->cr2, o->cr2);
    check("cr3", k->cr3, o->cr3);
    check("cr4", k->cr4, o->cr4);
    check("efer", k->efer, o->efer);
    check("dr6", k->dr6, o->dr6);
    check("dr7", k->dr7, o->dr7);
    for (unsigned i = 0; i < MSRS; i++)
        check("msr", k->msr[i], o->msr[i]);
}

static bool run_one(struct rig *rig, const struct test_case *c, uint8_t *kram, uint8_t *oram,
                    uint64_t n, bool *ret_skipped)
{
    struct state k, o;

    memcpy(kram, c->ram, RAM_SIZE);
    memcpy(oram, c->ram, RAM_SIZE);
    kvm_run_case(&c->start, kram, &k);
    *ret_skipped = k.outcome == UNUSABLE;
    if (*ret_skipped)
        return true;
    rig_run_case(rig, &c->start, oram, &o);
    used = 0;
    report[0] = 0;
    compare(&k, &o);
    if (k.outcome == HALTED && o.outcome == HALTED && !kvm_is_software())
        compare_memory(kram, oram);
    if (!used)
        return true;
    printf("case %llu: %s\n    at %#llx rflags %#llx rip after: kvm %#llx, ours %#llx\n%s",
           (unsigned long long)n, c->text, (unsigned long long)c->insn_at,
           (unsigned long long)c->start.rflags, (unsigned long long)k.rip,
           (unsigned long long)o.rip, report);
    differences++;
    return false;
}

int main(int argc, char **argv)
{
    static struct test_case c;
    static uint8_t kram[RAM_SIZE], oram[RAM_SIZE];
    uint64_t cases = 3000, seed = 1, first = 0, skipped = 0;
    const char *group = NULL, *accel = "tcg";
    bool keep = false, verbose = false, skip;
    struct error err;
    char why[128];
    int opt;

    while ((opt = getopt(argc, argv, "n:s:g:a:f:d:kvx")) >= 0)
        switch (opt) {
        case 'n': cases = strtoull(optarg, NULL, 0); break;
        case 's': seed = strtoull(optarg, NULL, 0); break;
        case 'f': first = strtoull(optarg, NULL, 0); break;
        case 'g': group = optarg; break;
        case 'a': accel = optarg; break;
        case 'd':
            if (!log_set_items(optarg, &err)) {
                err_print(stderr, "kvm_diff", &err);
                return 2;
            }
            break;
        case 'k': keep = true; break;
        case 'v': verbose = true; break;
        case 'x': case_wild = true; break;
        default:
            fprintf(stderr, "usage: kvm_diff [-n CASES] [-s SEED] [-f FIRST] [-g GROUP] [-a "
                            "tcg|interp] [-d LOG] [-k] [-v] [-x]\n");
            return 2;
        }
    if (group && !strcmp(group, "help")) {
        case_list_groups();
        return 0;
    }
    if (!kvm_open(why, sizeof(why))) {
        printf("skipped: no KVM here (%s)\n", why);
        return 0;
    }
    if (kvm_is_software())
        flag_mask = ~(uint64_t)(X86_AC | X86_IOPL);
    struct rig *rig = rig_new(kvm_is_amd() ? "max" : "Skylake-Client", accel);

    for (uint64_t n = first; n < first + cases; n++) {
        case_seed(seed << 32 | n);
        case_make(&c, group);
        if (verbose)
            printf("%llu: %s\n", (unsigned long long)n, c.text);
        if (!run_one(rig, &c, kram, oram, n, &skip) && !keep)
            return 1;
        skipped += skip;
    }
    rig_free(rig);
    printf("%llu cases, %llu of them not decided by KVM, %u differences (seed %llu, %s)\n",
           (unsigned long long)cases, (unsigned long long)skipped, differences,
           (unsigned long long)seed, accel);
    return differences ? 1 : 0;
}
