/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CPUID: the one table of feature names (it drives -cpu parsing, -cpu help and the leaves), models
 * turned into a CPU, and the leaves themselves. SDM volume 2A, CPUID; AMD APM volume 3 appendix E.
 * A feature whose `have` is false is never advertised.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "cpu/accel.h"
#include "guest/x86/models.h"
#include "guest/x86/sys.h"

enum {
    WORD_1D,
    WORD_1C,
    WORD_81D,
    WORD_81C,
    WORD_7B,
    WORD_7C,
    WORD_7D,
    WORD_DA,
    WORD_88B,
    WORD_6A,
    WORD_87D,
    WORD_KVM, /* 40000001.EAX */
    WORD_COUNT
};
enum { HAVE = 1 };
enum { HT_BIT = 28 }; /* of WORD_1D: a package has several logical processors */

static const struct feature {
    const char *name;
    uint8_t word, bit;
    bool have;
} features[] = {
    { "fpu", WORD_1D, 0, HAVE },
    { "vme", WORD_1D, 1 },
    { "de", WORD_1D, 2, HAVE },
    { "pse", WORD_1D, 3, HAVE },
    { "tsc", WORD_1D, 4, HAVE },
    { "msr", WORD_1D, 5, HAVE },
    { "pae", WORD_1D, 6, HAVE },
    { "mce", WORD_1D, 7, HAVE },
    { "cx8", WORD_1D, 8, HAVE },
    { "apic", WORD_1D, 9, HAVE },
    { "sep", WORD_1D, 11, HAVE },
    { "mtrr", WORD_1D, 12, HAVE },
    { "pge", WORD_1D, 13, HAVE },
    { "mca", WORD_1D, 14, HAVE },
    { "cmov", WORD_1D, 15, HAVE },
    { "pat", WORD_1D, 16, HAVE },
    { "pse36", WORD_1D, 17, HAVE },
    { "clflush", WORD_1D, 19, HAVE },
    { "mmx", WORD_1D, 23, HAVE },
    { "fxsr", WORD_1D, 24, HAVE },
    { "sse", WORD_1D, 25, HAVE },
    { "sse2", WORD_1D, 26, HAVE },
    { "ss", WORD_1D, 27, HAVE },
    { "ht", WORD_1D, 28, HAVE },
    { "sse3", WORD_1C, 0, HAVE },
    { "pni", WORD_1C, 0, HAVE },
    { "pclmulqdq", WORD_1C, 1, HAVE },
    { "monitor", WORD_1C, 3, HAVE },
    { "ssse3", WORD_1C, 9, HAVE },
    { "fma", WORD_1C, 12 },
    { "cx16", WORD_1C, 13, HAVE },
    { "pcid", WORD_1C, 17, HAVE },
    { "sse4.1", WORD_1C, 19, HAVE },
    { "sse4.2", WORD_1C, 20, HAVE },
    { "x2apic", WORD_1C, 21, HAVE },
    { "movbe", WORD_1C, 22, HAVE },
    { "popcnt", WORD_1C, 23, HAVE },
    { "tsc-deadline", WORD_1C, 24, HAVE },
    { "aes", WORD_1C, 25, HAVE },
    { "xsave", WORD_1C, 26, HAVE },
    { "avx", WORD_1C, 28 },
    { "f16c", WORD_1C, 29 },
    { "rdrand", WORD_1C, 30, HAVE },
    { "hypervisor", WORD_1C, 31, HAVE },
    { "vmx", WORD_1C, 5 },
    { "syscall", WORD_81D, 11, HAVE },
    { "nx", WORD_81D, 20, HAVE },
    { "mmxext", WORD_81D, 22, HAVE },
    { "fxsr-opt", WORD_81D, 25 },
    { "pdpe1gb", WORD_81D, 26, HAVE },
    { "rdtscp", WORD_81D, 27, HAVE },
    { "lm", WORD_81D, 29, HAVE },
    { "3dnowext", WORD_81D, 30 },
    { "3dnow", WORD_81D, 31 },
    { "lahf-lm", WORD_81C, 0, HAVE },
    { "svm", WORD_81C, 2 },
    { "cr8legacy", WORD_81C, 4 },
    { "abm", WORD_81C, 5, HAVE },
    { "sse4a", WORD_81C, 6 },
    { "misalignsse", WORD_81C, 7 },
    { "3dnowprefetch", WORD_81C, 8, HAVE },
    { "osvw", WORD_81C, 9 },
    { "xop", WORD_81C, 11 },
    { "fma4", WORD_81C, 16 },
    { "tbm", WORD_81C, 21 },
    { "topoext", WORD_81C, 22, HAVE },
    { "fsgsbase", WORD_7B, 0, HAVE },
    { "tsc-adjust", WORD_7B, 1, HAVE },
    { "bmi1", WORD_7B, 3 },
    { "hle", WORD_7B, 4 },
    { "avx2", WORD_7B, 5 },
    { "smep", WORD_7B, 7, HAVE },
    { "bmi2", WORD_7B, 8 },
    { "erms", WORD_7B, 9, HAVE },
    { "invpcid", WORD_7B, 10, HAVE },
    { "rtm", WORD_7B, 11 },
    { "mpx", WORD_7B, 14 },
    { "avx512f", WORD_7B, 16 },
    { "avx512dq", WORD_7B, 17 },
    { "rdseed", WORD_7B, 18, HAVE },
    { "adx", WORD_7B, 19, HAVE },
    { "smap", WORD_7B, 20, HAVE },
    { "clflushopt", WORD_7B, 23, HAVE },
    { "clwb", WORD_7B, 24, HAVE },
    { "avx512cd", WORD_7B, 28 },
    { "sha-ni", WORD_7B, 29, HAVE },
    { "avx512bw", WORD_7B, 30 },
    { "avx512vl", WORD_7B, 31 },
    { "avx512vbmi", WORD_7C, 1 },
    { "umip", WORD_7C, 2, HAVE },
    { "pku", WORD_7C, 3 },
    { "avx512vbmi2", WORD_7C, 6 },
    { "gfni", WORD_7C, 8 },
    { "vaes", WORD_7C, 9 },
    { "vpclmulqdq", WORD_7C, 10 },
    { "avx512vnni", WORD_7C, 11 },
    { "avx512bitalg", WORD_7C, 12 },
    { "avx512-vpopcntdq", WORD_7C, 14 },
    { "la57", WORD_7C, 16 },
    { "rdpid", WORD_7C, 22, HAVE },
    { "fsrm", WORD_7D, 4, HAVE },
    { "spec-ctrl", WORD_7D, 26 },
    { "ssbd", WORD_7D, 31 },
    { "xsaveopt", WORD_DA, 0, HAVE },
    { "xsavec", WORD_DA, 1, HAVE },
    { "xgetbv1", WORD_DA, 2, HAVE },
    { "xsaves", WORD_DA, 3, HAVE },
    { "clzero", WORD_88B, 0 },
    { "xsaveerptr", WORD_88B, 2 },
    { "wbnoinvd", WORD_88B, 9 },
    { "ibpb", WORD_88B, 12 },
    { "arat", WORD_6A, 2, HAVE },
    { "invtsc", WORD_87D, 8, HAVE },
    { "kvmclock", WORD_KVM, 3 }, /* and bit 0, its older registers */
    { "kvm-nopiodelay", WORD_KVM, 1 },
    { "kvm-asyncpf", WORD_KVM, 4 },
    { "kvm-steal-time", WORD_KVM, 5 },
    { "kvm-pv-eoi", WORD_KVM, 6 },
    { "kvm-pv-unhalt", WORD_KVM, 7 },
    { "kvm-pv-tlb-flush", WORD_KVM, 9 },
    { "kvm-pv-ipi", WORD_KVM, 11 },
    { "kvm-poll-control", WORD_KVM, 12 },
    { "kvm-pv-sched-yield", WORD_KVM, 13 },
    { "kvm-asyncpf-int", WORD_KVM, 14 },
    { "kvm-msi-ext-dest-id", WORD_KVM, 15 },
    { "kvmclock-stable-bit", WORD_KVM, 24 },
};

/* Where a word is, for messages as QEMU's users know them. */
static const char *const word_names[WORD_COUNT] = {
    [WORD_1D] = "CPUID.01H:EDX",        [WORD_1C] = "CPUID.01H:ECX",
    [WORD_81D] = "CPUID.80000001H:EDX", [WORD_81C] = "CPUID.80000001H:ECX",
    [WORD_7B] = "CPUID.07H:EBX",        [WORD_7C] = "CPUID.07H:ECX",
    [WORD_7D] = "CPUID.07H:EDX",        [WORD_DA] = "CPUID.0DH:EAX",
    [WORD_88B] = "CPUID.80000008H:EBX", [WORD_6A] = "CPUID.06H:EAX",
    [WORD_87D] = "CPUID.80000007H:EDX", [WORD_KVM] = "CPUID.40000001H:EAX",
};

/* Other spellings. */
static const char *const aliases[][2] = {
    { "sse4_1", "sse4.1" },
    { "sse4_2", "sse4.2" },
    { "lahf_lm", "lahf-lm" },
    { "sse4-1", "sse4.1" },
    { "sse4-2", "sse4.2" },
    { "lzcnt", "abm" },
    { "tsc_adjust", "tsc-adjust" },
    { "tsc_deadline", "tsc-deadline" },
    { "sha", "sha-ni" },
    { "sha_ni", "sha-ni" },
    { "fxsr_opt", "fxsr-opt" },
    { "ffxsr", "fxsr-opt" },
    { "i64", "lm" },
    { "xd", "nx" },
};

static const struct feature *find_feature(const char *name, size_t len)
{
    for (unsigned i = 0; i < ARRAY_SIZE(aliases); i++)
        if (strlen(aliases[i][0]) == len && !strncmp(aliases[i][0], name, len)) {
            name = aliases[i][1];
            len = strlen(name);
            break;
        }
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (strlen(features[i].name) == len && !strncasecmp(features[i].name, name, len))
            return &features[i];
    return NULL;
}

/* ---- from a specification to a CPU ---- */

/* Under an accelerator instructions behave as on the host's make of processor: it shows as such. */
static const char *vendor_of(const struct x86_cpu *x)
{
    return x->host ? x->host->vendor : x->model->vendor;
}

struct wish {
    const struct x86_host *host; /* NULL: the translator */
    uint32_t on[16];
    uint32_t lacking[16]; /* asked for, and the host has not */
    bool enforce, no_check, hide_kvm;
    char missing[256]; /* the same of the translator */
};

static bool is_offered(const struct wish *w, const struct feature *f)
{
    return w->host ? w->host->features[f->word] >> f->bit & 1 : f->have;
}

static void wish_for(struct wish *w, const struct feature *f, bool on)
{
    size_t used = strlen(w->missing);

    if (!on) {
        w->on[f->word] &= ~(UINT32_C(1) << f->bit);
        w->lacking[f->word] &= ~(UINT32_C(1) << f->bit);
    } else if (is_offered(w, f)) {
        w->on[f->word] |= UINT32_C(1) << f->bit;
    } else if (w->host) {
        w->lacking[f->word] |= UINT32_C(1) << f->bit;
    } else {
        snprintf(w->missing + used, sizeof(w->missing) - used, "%s%s", used ? ", " : "", f->name);
    }
}

static void wish_list(struct wish *w, const char *names)
{
    while (*names) {
        size_t len = strcspn(names, " ");
        const struct feature *f = find_feature(names, len);

        assert(f || !len);
        if (f)
            wish_for(w, f, true);
        names += len + (names[len] == ' ');
    }
}

static bool unknown_feature(const char *name, struct error *err)
{
    const char *names[ARRAY_SIZE(features) + 1] = { 0 };
    const char *near;

    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        names[i] = features[i].name;
    near = nearest_name(name, names);
    (void)fail(err, EINVAL, "CPU feature '%s' is unknown", name);
    return near ? fail_hint(err, "did you mean '%s'? -cpu help lists all", near)
                : fail_hint(err, "-cpu help lists the features");
}

/* One item behind the model's name: +x, -x, x=on, x=off, x. */
static bool apply_item(struct wish *w, const char *item, struct error *err)
{
    bool on = true;
    const char *name = item + (*item == '+' || *item == '-'), *value = strchr(item, '=');
    AUTO_FREE char *key = xstrdup(name);

    if (value) {
        key[value - name] = 0;
        if (*item == '+' || *item == '-')
            return fail(err, EINVAL, "CPU option '%s': +name and -name take no value", item);
    }
    if (!strcmp(key, "check") || !strcmp(key, "enforce") || !strcmp(key, "migratable") ||
        !strcmp(key, "kvm")) {
        if (value && !parse_bool(value + 1, &on, err))
            return false;
        w->enforce |= on && !strcmp(key, "enforce");
        w->no_check |= !on && !strcmp(key, "check");
        w->hide_kvm |= !on && !strcmp(key, "kvm");
        return true;
    }
    const struct feature *f = find_feature(key, strlen(key));

    if (!f)
        return unknown_feature(key, err);
    if (value && !parse_bool(value + 1, &on, err))
        return false;
    wish_for(w, f, *item == '-' ? false : on);
    return true;
}

static const struct x86_model *find_model(const char *name, const struct x86_host *host,
                                          struct error *err)
{
    const char *names[64] = { 0 };
    const char *near;
    unsigned n = 0;

    if (!strcasecmp(name, "host") && !host) {
        (void)fail(err, ENOTSUP, "CPU model 'host' is the host's processor: it needs KVM");
        (void)fail_hint(err, "use -accel kvm, or -cpu max");
        return NULL;
    }
    if (host && (!strcasecmp(name, "host") || !strcasecmp(name, "max")))
        return &host->model;

    for (const struct x86_model *m = x86_models; m->name; m++) {
        if (!strcasecmp(m->name, name))
            return m;
        names[n++] = m->name;
        assert(n < ARRAY_SIZE(names));
    }
    near = nearest_name(name, names);
    (void)fail(err, EINVAL, "CPU model '%s' is unknown", name);
    if (near)
        (void)fail_hint(err, "did you mean '%s'? -cpu help lists all", near);
    else
        (void)fail_hint(err, "-cpu help lists the models");
    return NULL;
}

/* Features that make no sense without another one go with it. */
static void drop_dependent(struct wish *w)
{
    static const struct {
        uint16_t needs, feature;
    } rules[] = {
        { X86_FEATURE(WORD_1D, 24), X86_FEATURE(WORD_1D, 25) }, /* fxsr: sse */
        { X86_FEATURE(WORD_1D, 25), X86_FEATURE(WORD_1D, 26) },
        { X86_FEATURE(WORD_1C, 26), X86_FEATURE(WORD_DA, 0) }, /* xsave: xsaveopt ... */
        { X86_FEATURE(WORD_1C, 26), X86_FEATURE(WORD_DA, 1) },
        { X86_FEATURE(WORD_1C, 26), X86_FEATURE(WORD_DA, 2) },
        { X86_FEATURE(WORD_1C, 26), X86_FEATURE(WORD_DA, 3) },
        { X86_FEATURE(WORD_81D, 29), X86_FEATURE(WORD_1C, 17) }, /* lm: pcid */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
        if (!(w->on[rules[i].needs >> 5] >> (rules[i].needs & 31) & 1))
            w->on[rules[i].feature >> 5] &= ~(UINT32_C(1) << (rules[i].feature & 31));
}

/* What QEMU's models have under KVM beyond their names' features, and what they have not. */
static void add_for_kvm(struct wish *w)
{
    static const char with[] = "kvmclock kvm-nopiodelay kvm-asyncpf kvm-asyncpf-int "
                               "kvm-steal-time kvm-pv-eoi kvmclock-stable-bit x2apic";
    uint32_t lacking[16];

    memcpy(lacking, w->lacking, sizeof(lacking));
    wish_list(w, with);
    memcpy(w->lacking, lacking, sizeof(lacking)); /* nobody asked for these */
}

/* false: enforce, and something is missing. */
static bool tell_lacking(const struct wish *w, unsigned index, struct error *err)
{
    const char *first = NULL;

    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];

        if (!(w->lacking[f->word] >> f->bit & 1) || !strcmp(f->name, "pni"))
            continue;
        if (!first)
            first = f->name;
        if (!index && !w->no_check)
            log_text("warning: host doesn't support requested feature: %s.%s [bit %u]\n",
                     word_names[f->word], f->name, f->bit);
    }
    if (!w->enforce || !first)
        return true;
    (void)fail(err, ENOTSUP, "-cpu enforce: the host doesn't support feature '%s'", first);
    return fail_hint(err, "take it out (-%s), or leave enforce out", first);
}

static uint8_t choose_phys_bits(const struct x86_cpu *x)
{
    uint8_t bits = x86_has(x, X86_FEATURE(WORD_81D, 29))  ? 40
                   : x86_has(x, X86_FEATURE(WORD_1D, 17)) ? 36
                                                          : 32;

    if (!x->host)
        return bits;
    return x->model == &x->host->model ? x->host->phys_bits : MIN(bits, x->host->phys_bits);
}

bool x86_model_init(struct x86_cpu *x, const char *spec, struct error *err)
{
    AUTO_FREE char *copy = xstrdup(spec);
    struct wish w = { .host = x->c.accel ? x->c.accel->host_cpu : NULL };
    char *save = NULL, *item = strtok_r(copy, ",", &save);

    if (!item)
        return fail(err, EINVAL, "-cpu needs a model's name");
    x->host = w.host;
    x->model = find_model(item, w.host, err);
    if (!x->model)
        return false;
    x->vendor = !strcmp(vendor_of(x), "AuthenticAMD");
    if (w.host && x->model == &w.host->model)
        memcpy(w.on, w.host->features, sizeof(w.on));
    else if (x->model->features)
        wish_list(&w, x->model->features);
    for (unsigned i = 0; !x->model->features && i < ARRAY_SIZE(features); i++)
        if (is_offered(&w, &features[i]) &&
            !(features[i].word == WORD_1D && features[i].bit == HT_BIT))
            wish_for(&w, &features[i], true);
    if (w.host && x->model->features)
        add_for_kvm(&w);
    if (strcmp(x->model->name, "base"))
        w.on[WORD_1C] |= UINT32_C(1) << 31; /* hypervisor */
    while ((item = strtok_r(NULL, ",", &save)))
        if (!apply_item(&w, item, err))
            return false;
    if (w.missing[0])
        log_text("warning: -cpu %s: this translator doesn't support requested feature%s: %s\n",
                 x->model->name, strchr(w.missing, ',') ? "s" : "", w.missing);
    if (!tell_lacking(&w, x->c.index, err))
        return false;
    drop_dependent(&w);
    if (w.hide_kvm)
        w.on[WORD_KVM] = 0;
    else if (w.on[WORD_KVM] & BIT(3))
        w.on[WORD_KVM] |= 1;
    memcpy(x->features, w.on, sizeof(w.on));
    x->phys_bits = choose_phys_bits(x);
    x->tsc_hz = UINT64_C(2500000000);
    return true;
}

void x86_models_help(FILE *f)
{
    unsigned column = 0;

    fprintf(f, "Available CPUs:\n");
    for (const struct x86_model *m = x86_models; m->name; m++)
        fprintf(f, "  %-20s %s\n", m->name, m->doc);
    fprintf(f, "  %-20s %s\n", "host", "the host's processor (only with -accel kvm)");
    fprintf(f, "\nRecognized CPU features (+name, -name, name=on|off):\n");
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        if (!features[i].have)
            continue;
        if (column + strlen(features[i].name) > 74) {
            fprintf(f, "\n");
            column = 0;
        }
        column += (unsigned)fprintf(f, "%s%s", column ? " " : "  ", features[i].name);
    }
    fprintf(f, "\n");
}

/* ---- leaves ---- */

uint32_t x86_model_signature(const struct x86_cpu *x)
{
    const struct x86_model *m = x->model;
    unsigned base = MIN(m->family, 15), ext = m->family - base;

    return m->stepping | (m->model & 15u) << 4 | base << 8 | (m->model >> 4 & 15u) << 16 |
           ext << 20;
}

static uint32_t text4(const char *s, unsigned at)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < 4; i++) {
        bool inside = strlen(s) > at + i;

        v |= (inside ? (uint32_t)(uint8_t)s[at + i] : 0) << i * 8;
    }
    return v;
}

/* ---- topology ---- */

static unsigned width_of(unsigned count)
{
    return count > 1 ? 32 - (unsigned)__builtin_clz(count - 1) : 0;
}

static unsigned core_shift(const struct x86_topology *t)
{
    return width_of(t->threads);
}

static unsigned die_shift(const struct x86_topology *t)
{
    return core_shift(t) + width_of(t->cores);
}

static unsigned package_shift(const struct x86_topology *t)
{
    return die_shift(t) + width_of(t->dies);
}

static unsigned package_threads(const struct x86_cpu *x)
{
    return x->topology.dies * x->topology.cores * x->topology.threads;
}

uint32_t x86_apic_id(const struct x86_topology *t, unsigned index)
{
    unsigned thread = index % t->threads, core = index / t->threads % t->cores;
    unsigned die = index / t->threads / t->cores % t->dies;
    unsigned package = index / t->threads / t->cores / t->dies;

    return package << package_shift(t) | die << die_shift(t) | core << core_shift(t) | thread;
}

void x86_set_topology(struct cpu *cpu, const struct x86_topology *t)
{
    struct x86_cpu *x = x86_of(cpu);

    x->topology = *t;
    if (t->threads > 1 && x->vendor && !x86_has(x, X86_FEATURE(WORD_81C, 22)) && !cpu->index)
        log_text("warning: this family of AMD CPU doesn't support hyperthreading(%u); choose "
                 "another -smp, or a model with topoext such as EPYC\n",
                 t->threads);
}

static struct x86_cpuid leaf_1(struct x86_cpu *x)
{
    uint32_t ecx = x->features[WORD_1C], edx = x->features[WORD_1D];
    const struct cpu_intc_ops *intc = x->c.intc;

    if (x->cr4 & X86_CR4_OSXSAVE)
        ecx |= UINT32_C(1) << 27;
    if (intc && intc->apic_enabled && !intc->apic_enabled(x->c.intc_ctrl))
        edx &= ~(UINT32_C(1) << 9);
    if (package_threads(x) > 1)
        edx |= UINT32_C(1) << HT_BIT;
    return (struct x86_cpuid){ x86_model_signature(x),
                               x->topology.apic_id << 24 | MIN(package_threads(x), 255u) << 16 |
                                   8 << 8,
                               ecx, edx };
}

/* Deterministic cache parameters (Intel): 32 KiB L1 data and instruction, 4 MiB L2, 16 MiB L3. */
static struct x86_cpuid leaf_4(const struct x86_cpu *x, uint32_t sub)
{
    enum { DATA = 1, INSTRUCTION, UNIFIED };
    static const struct {
        uint8_t type, level;
        uint16_t ways;
        uint32_t sets;
    } cache[] = {
        { DATA, 1, 8, 64 },
        { INSTRUCTION, 1, 8, 64 },
        { UNIFIED, 2, 16, 4096 },
        { UNIFIED, 3, 16, 16384 },
    };
    const struct x86_topology *t = &x->topology;

    if (sub >= ARRAY_SIZE(cache))
        return (struct x86_cpuid){ 0 };
    /* APIC IDs that share it, and cores of the package, as their fields' widths allow */
    unsigned sharing = cache[sub].level == 3 ? die_shift(t) : core_shift(t);
    unsigned cores = MIN(BIT(package_shift(t) - core_shift(t)), UINT64_C(64));
    return (struct x86_cpuid){ cache[sub].type | cache[sub].level << 5 | 1 << 8 |
                                   (uint32_t)(BIT(sharing) - 1) << 14 | (cores - 1) << 26,
                               (cache[sub].ways - 1u) << 22 | 63, cache[sub].sets - 1, 1 };
}

/* Extended topology: leaf Bh has threads and cores, 1Fh dies, too. */
static struct x86_cpuid leaf_topology(const struct x86_cpu *x, uint32_t sub, bool with_dies)
{
    enum { SMT = 1, CORE = 2, DIE = 5 };
    const struct x86_topology *t = &x->topology;

    if (sub == 0)
        return (struct x86_cpuid){ core_shift(t), t->threads, SMT << 8, t->apic_id };
    if (sub == 1 && with_dies)
        return (struct x86_cpuid){ die_shift(t), t->cores * t->threads, sub | CORE << 8,
                                   t->apic_id };
    if (sub == 1 || (sub == 2 && with_dies))
        return (struct x86_cpuid){ package_shift(t), package_threads(x),
                                   sub | (with_dies ? DIE : CORE) << 8, t->apic_id };
    return (struct x86_cpuid){ 0, 0, sub & 0xff, t->apic_id };
}

/* AMD's caches and topology (with topoext): L1 64+32 KiB, L2 512 KiB, L3 8 MiB of a die. */
static struct x86_cpuid leaf_amd_cache(const struct x86_cpu *x, uint32_t sub)
{
    enum { DATA = 1, INSTRUCTION, UNIFIED };
    static const struct {
        uint8_t type, level, flags;
        uint16_t ways;
        uint32_t sets;
    } cache[] = {
        { DATA, 1, 1, 8, 64 },
        { INSTRUCTION, 1, 1, 4, 256 },
        { UNIFIED, 2, 0, 8, 1024 },
        { UNIFIED, 3, 6, 16, 8192 },
    };
    const struct x86_topology *t = &x->topology;

    if (sub >= ARRAY_SIZE(cache))
        return (struct x86_cpuid){ 0 };
    unsigned sharing = cache[sub].level == 3 ? t->cores * t->threads : t->threads;
    return (struct x86_cpuid){ cache[sub].type | cache[sub].level << 5 | 1 << 8 |
                                   (sharing - 1) << 14,
                               (cache[sub].ways - 1u) << 22 | 63, cache[sub].sets - 1,
                               cache[sub].flags };
}

static struct x86_cpuid leaf_amd_topology(const struct x86_cpu *x)
{
    const struct x86_topology *t = &x->topology;
    unsigned core = t->apic_id >> core_shift(t) & (BIT(die_shift(t) - core_shift(t)) - 1);
    unsigned die = t->apic_id >> die_shift(t) & (BIT(package_shift(t) - die_shift(t)) - 1);

    return (struct x86_cpuid){ t->apic_id, (t->threads - 1u) << 8 | core, (t->dies - 1u) << 8 | die,
                               0 };
}

static struct x86_cpuid leaf_d(const struct x86_cpu *x, uint32_t sub)
{
    enum { SIZE = 512 + 64 };

    if (!x86_has(x, X86_FEATURE(WORD_1C, 26)))
        return (struct x86_cpuid){ 0 };
    if (sub == 0)
        return (struct x86_cpuid){ 3, SIZE, SIZE, 0 };
    if (sub == 1)
        return (struct x86_cpuid){ x->features[WORD_DA], x->features[WORD_DA] & 10 ? SIZE : 0, 0,
                                   0 };
    return (struct x86_cpuid){ 0 };
}

static uint32_t basic_level(const struct x86_cpu *x)
{
    uint32_t level = x->model->level;

    if (x->features[WORD_7B] | x->features[WORD_7C] | x->features[WORD_7D])
        level = MAX(level, 7u);
    if (x86_has(x, X86_FEATURE(WORD_1C, 26)))
        level = MAX(level, 13u);
    if (x->topology.dies > 1 && !x->vendor)
        level = MAX(level, 0x1fu);
    return level;
}

static uint32_t extended_level(const struct x86_cpu *x)
{
    uint32_t level = x->model->xlevel;

    if (x->features[WORD_81D] | x->features[WORD_81C])
        level = MAX(level, UINT32_C(0x80000008));
    if (x->features[WORD_87D])
        level = MAX(level, UINT32_C(0x80000008));
    if (x86_has(x, X86_FEATURE(WORD_81C, 22)))
        level = MAX(level, UINT32_C(0x8000001e));
    return level;
}

static struct x86_cpuid basic_leaf(struct x86_cpu *x, uint32_t leaf, uint32_t sub)
{
    const char *v = vendor_of(x);

    switch (leaf) {
    case 0: return (struct x86_cpuid){ basic_level(x), text4(v, 0), text4(v, 8), text4(v, 4) };
    case 1: return leaf_1(x);
    case 2: return x->vendor ? (struct x86_cpuid){ 0 } : (struct x86_cpuid){ 1, 0, 0x4d, 0x2c307d };
    case 4: return x->vendor ? (struct x86_cpuid){ 0 } : leaf_4(x, sub);
    case 5:
        return x86_has(x, X86_FEATURE(WORD_1C, 3)) ? (struct x86_cpuid){ 64, 64, 3, 0 }
                                                   : (struct x86_cpuid){ 0 };
    case 6: return (struct x86_cpuid){ x->features[WORD_6A], 0, 0, 0 };
    case 7:
        if (sub)
            break;
        return (struct x86_cpuid){ 0, x->features[WORD_7B], x->features[WORD_7C],
                                   x->features[WORD_7D] };
    case 0xb: return leaf_topology(x, sub, false);
    case 0x1f:
        return x->topology.dies > 1 && !x->vendor ? leaf_topology(x, sub, true)
                                                  : (struct x86_cpuid){ 0 };
    case 0xd: return leaf_d(x, sub);
    default: break;
    }
    return (struct x86_cpuid){ 0 };
}

/* On AMD many bits of leaf 1 are repeated. */
static uint32_t extended_edx(const struct x86_cpu *x)
{
    enum { REPEATED = 0x0183f3ff };

    return x->features[WORD_81D] | (x->vendor ? x->features[WORD_1D] & REPEATED : 0);
}

static struct x86_cpuid extended_leaf(struct x86_cpu *x, uint32_t leaf, uint32_t sub)
{
    enum { CMP_LEGACY = 2 };
    const char *v = vendor_of(x), *id = x->model->model_id;
    unsigned at = (leaf - 0x80000002u) * 16;

    switch (leaf) {
    case 0x80000000:
        if (!x->vendor)
            return (struct x86_cpuid){ extended_level(x), 0, 0, 0 };
        return (struct x86_cpuid){ extended_level(x), text4(v, 0), text4(v, 8), text4(v, 4) };
    case 0x80000001:
        return (struct x86_cpuid){ x->vendor ? x86_model_signature(x) : 0, 0,
                                   x->features[WORD_81C] |
                                       (x->vendor && package_threads(x) > 1 ? CMP_LEGACY : 0),
                                   extended_edx(x) };
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        return (struct x86_cpuid){ text4(id, at), text4(id, at + 4), text4(id, at + 8),
                                   text4(id, at + 12) };
    case 0x80000005:
        return x->vendor ? (struct x86_cpuid){ 0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140 }
                         : (struct x86_cpuid){ 0 };
    case 0x80000006:
        return x->vendor ? (struct x86_cpuid){ 0, 0x42004200, 0x02008140, 0x00808140 }
                         : (struct x86_cpuid){ 0, 0, 0x02008140, 0 };
    case 0x80000007: return (struct x86_cpuid){ 0, 0, 0, x->features[WORD_87D] };
    case 0x80000008:
        return (struct x86_cpuid){
            x->phys_bits | (x86_has(x, X86_FEATURE(WORD_81D, 29)) ? 48 : 32) << 8,
            x->features[WORD_88B],
            package_threads(x) > 1 ? package_shift(&x->topology) << 12 | (package_threads(x) - 1)
                                   : 0,
            0
        };
    case 0x8000001d:
        return x86_has(x, X86_FEATURE(WORD_81C, 22)) ? leaf_amd_cache(x, sub)
                                                     : (struct x86_cpuid){ 0 };
    case 0x8000001e:
        return x86_has(x, X86_FEATURE(WORD_81C, 22)) ? leaf_amd_topology(x)
                                                     : (struct x86_cpuid){ 0 };
    default: return (struct x86_cpuid){ 0 };
    }
}

struct x86_cpuid x86_cpuid(struct x86_cpu *x, uint32_t leaf, uint32_t sub)
{
    bool hypervisor = x86_has(x, X86_FEATURE(WORD_1C, 31));

    if (leaf >> 16 == 0x4000 && hypervisor) {
        static const char name[] = "RheaRheaRhea";

        if (leaf == 0x40000000)
            return (struct x86_cpuid){ 0x40000000, text4(name, 0), text4(name, 4), text4(name, 8) };
        return (struct x86_cpuid){ 0 };
    }
    if (leaf >> 31 && leaf <= extended_level(x))
        return extended_leaf(x, leaf, sub);
    if (leaf <= basic_level(x))
        return basic_leaf(x, leaf, sub);
    if (x->vendor) /* AMD: zeros beyond the last leaf; Intel: the last basic leaf */
        return (struct x86_cpuid){ 0 };
    return basic_leaf(x, basic_level(x), sub);
}
