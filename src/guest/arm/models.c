/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CPU models, features by name, and what the guest is told about them: ID registers as Linux shows
 * them to programs, and HWCAPs.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/scope.h"
#include "base/str.h"
#include "guest/arm/models.h"

/* What a feature shows: its HWCAP or HWCAP2 bit, and a field of an ID register. */
enum id_reg { NO_REG, PFR0, PFR1, ISAR0, ISAR1, MMFR2, ID_COUNT };
static const struct feature {
    const char *name;
    int8_t hwcap, hwcap2;      /* -1: none */
    uint8_t reg, shift, value; /* fields with several features: the highest value counts */
} features[A64_FEAT_COUNT] = {
    [A64_FEAT_AES] = { "aes", 3, -1, ISAR0, 4, 1 },
    [A64_FEAT_PMULL] = { "pmull", 4, -1, ISAR0, 4, 2 },
    [A64_FEAT_SHA1] = { "sha1", 5, -1, ISAR0, 8, 1 },
    [A64_FEAT_SHA256] = { "sha256", 6, -1, ISAR0, 12, 1 },
    [A64_FEAT_SHA512] = { "sha512", 21, -1, ISAR0, 12, 2 },
    [A64_FEAT_SHA3] = { "sha3", 17, -1, ISAR0, 32, 1 },
    [A64_FEAT_SM3] = { "sm3", 18, -1, ISAR0, 36, 1 },
    [A64_FEAT_SM4] = { "sm4", 19, -1, ISAR0, 40, 1 },
    [A64_FEAT_CRC32] = { "crc32", 7, -1, ISAR0, 16, 1 },
    [A64_FEAT_LSE] = { "lse", 8, -1, ISAR0, 20, 2 },
    [A64_FEAT_RDM] = { "rdm", 12, -1, ISAR0, 28, 1 },
    [A64_FEAT_FP16] = { "fp16", 9, -1, PFR0, 16, 1 }, /* also HWCAP 10 and AdvSIMD: below */
    [A64_FEAT_DOTPROD] = { "dotprod", 20, -1, ISAR0, 44, 1 },
    [A64_FEAT_FHM] = { "fhm", 23, -1, ISAR0, 48, 1 },
    [A64_FEAT_JSCVT] = { "jscvt", 13, -1, ISAR1, 12, 1 },
    [A64_FEAT_FCMA] = { "fcma", 14, -1, ISAR1, 16, 1 },
    [A64_FEAT_LRCPC] = { "lrcpc", 15, -1, ISAR1, 20, 1 },
    [A64_FEAT_LRCPC2] = { "lrcpc2", 26, -1, ISAR1, 20, 2 },
    [A64_FEAT_DPB] = { "dpb", 16, -1, ISAR1, 0, 1 },
    [A64_FEAT_DPB2] = { "dpb2", -1, 0, ISAR1, 0, 2 },
    [A64_FEAT_FLAGM] = { "flagm", 27, -1, ISAR0, 52, 1 },
    [A64_FEAT_FLAGM2] = { "flagm2", -1, 7, ISAR0, 52, 2 },
    [A64_FEAT_FRINTTS] = { "frintts", -1, 8, ISAR1, 32, 1 },
    [A64_FEAT_I8MM] = { "i8mm", -1, 13, ISAR1, 52, 1 },
    [A64_FEAT_BF16] = { "bf16", -1, 14, ISAR1, 44, 1 },
    [A64_FEAT_PAUTH] = { "pauth", 30, -1, ISAR1, 4, 1 }, /* also HWCAP 31 and others: below */
    [A64_FEAT_BTI] = { "bti", -1, 17, PFR1, 0, 1 },
    [A64_FEAT_SB] = { "sb", 29, -1, ISAR1, 36, 1 },
    [A64_FEAT_SSBS] = { "ssbs", 28, -1, PFR1, 4, 2 },
    [A64_FEAT_LSE2] = { "lse2", 25, -1, MMFR2, 32, 1 },
    [A64_FEAT_RNG] = { "rng", -1, 16, ISAR0, 60, 1 },
    [A64_FEAT_DIT] = { "dit", 24, -1, PFR0, 48, 1 },
    [A64_FEAT_PAUTH_IMPDEF] = { "pauth-impdef", -1, -1, NO_REG, 0, 0 },
};

/* ---- models ---- */

#define F(name) BIT(A64_FEAT_##name)
#define V8_0    (F(AES) | F(PMULL) | F(SHA1) | F(SHA256) | F(CRC32))
#define V8_2    (V8_0 | F(LSE) | F(RDM) | F(FP16) | F(DOTPROD) | F(LRCPC) | F(DPB) | F(SSBS))
#define ALL     (BIT(A64_FEAT_COUNT) - 1)
/* The translator does not have their instructions. */
#define MISSING (F(SM3) | F(SM4) | F(I8MM) | F(BF16))
#define NOT_MAX (F(PAUTH_IMPDEF) | MISSING)

static const struct a64_model models[] = {
    { "cortex-a53", "Arm Cortex-A53 (v8.0)", V8_0, 0x410fd034, 0x84448004 },
    { "cortex-a57", "Arm Cortex-A57 (v8.0)", V8_0, 0x411fd070, 0x8444c004 },
    { "cortex-a72", "Arm Cortex-A72 (v8.0)", V8_0, 0x410fd083, 0x8444c004 },
    { "cortex-a76", "Arm Cortex-A76 (v8.2)", V8_2, 0x414fd0b1, 0x8444c004 },
    { "neoverse-n1", "Arm Neoverse N1 (v8.2)", V8_2, 0x414fd0c1, 0x9444c004 },
    { "max", "everything this translator has", ALL & ~NOT_MAX, 0x000f0510, 0x9444c004 },
    { 0 },
};

static const struct a64_model *find_model(const char *name, struct error *err)
{
    const char *names[ARRAY_SIZE(models)] = { 0 };
    const char *near;

    for (unsigned n = 0; models[n].name; n++) {
        if (!strcasecmp(models[n].name, name))
            return &models[n];
        names[n] = models[n].name;
    }
    near = nearest_name(name, names);
    (void)fail(err, EINVAL, "CPU model '%s' is unknown", name);
    if (near)
        (void)fail_hint(err, "did you mean '%s'? -cpu help lists all", near);
    else
        (void)fail_hint(err, "-cpu help lists the models");
    return NULL;
}

/* "+name", "-name", "name", "name=on", "name=off" */
static bool apply_item(struct a64_cpu *x, char *item, struct error *err)
{
    const char *names[A64_FEAT_COUNT + 1] = { 0 };
    char *value = strchr(item, '=');
    bool on = *item != '-';
    const char *near;

    if (*item == '+' || *item == '-')
        item++;
    if (value) {
        *value++ = 0;
        on = !strcasecmp(value, "on") || !strcasecmp(value, "true") || !strcasecmp(value, "yes");
        if (!on && strcasecmp(value, "off") && strcasecmp(value, "false") &&
            strcasecmp(value, "no"))
            return fail(err, EINVAL, "-cpu: %s=%s: the value is on or off", item, value);
    }
    for (unsigned n = 0; n < A64_FEAT_COUNT; n++) {
        names[n] = features[n].name;
        if (!strcasecmp(features[n].name, item)) {
            if (on && MISSING >> n & 1) {
                log_text(
                    "warning: -cpu %s: this translator doesn't support requested feature: %s\n",
                    x->model->name, item);
                return true;
            }
            x->features = (x->features & ~BIT(n)) | (on ? BIT(n) : 0);
            return true;
        }
    }
    near = nearest_name(item, names);
    (void)fail(err, EINVAL, "-cpu: feature '%s' is unknown", item);
    if (near)
        (void)fail_hint(err, "did you mean '%s'? -cpu help lists all", near);
    else
        (void)fail_hint(err, "-cpu help lists the features");
    return false;
}

/* Features that the architecture wants together. */
static void drop_dependent(struct a64_cpu *x)
{
    static const struct {
        uint8_t needs, feature;
    } rules[] = {
        { A64_FEAT_AES, A64_FEAT_PMULL },          { A64_FEAT_SHA256, A64_FEAT_SHA512 },
        { A64_FEAT_LRCPC, A64_FEAT_LRCPC2 },       { A64_FEAT_DPB, A64_FEAT_DPB2 },
        { A64_FEAT_FLAGM, A64_FEAT_FLAGM2 },       { A64_FEAT_FP16, A64_FEAT_FHM },
        { A64_FEAT_PAUTH, A64_FEAT_PAUTH_IMPDEF },
    };

    for (unsigned n = 0; n < ARRAY_SIZE(rules); n++)
        if (!(x->features >> rules[n].needs & 1))
            x->features &= ~BIT(rules[n].feature);
}

bool a64_model_init(struct a64_cpu *x, const char *spec, struct error *err)
{
    AUTO_FREE char *copy = xstrdup(spec);
    char *save = NULL, *item = strtok_r(copy, ",", &save);

    if (!item)
        return fail(err, EINVAL, "-cpu needs a model's name");
    x->model = find_model(item, err);
    if (!x->model)
        return false;
    x->features = x->model->features;
    while ((item = strtok_r(NULL, ",", &save)))
        if (!apply_item(x, item, err))
            return false;
    drop_dependent(x);
    return true;
}

void a64_models_help(FILE *f)
{
    unsigned column = 0;

    fprintf(f, "Available CPUs:\n");
    for (const struct a64_model *m = models; m->name; m++)
        fprintf(f, "  %-20s %s\n", m->name, m->doc);
    fprintf(f, "\nRecognized CPU features (+name, -name, name=on|off):\n");
    for (unsigned n = 0; n < A64_FEAT_COUNT; n++) {
        if (MISSING >> n & 1)
            continue;
        if (column + strlen(features[n].name) > 74) {
            fprintf(f, "\n");
            column = 0;
        }
        column += (unsigned)fprintf(f, "%s%s", column ? " " : "  ", features[n].name);
    }
    fprintf(f, "\n");
}

/* ---- HWCAP ---- */

enum { HWCAP_FP = 1, HWCAP_ASIMD = 2, HWCAP_CPUID = 1 << 11 };

uint64_t a64_hwcap(const struct cpu *cpu)
{
    const struct a64_cpu *x = (const struct a64_cpu *)cpu;
    uint64_t caps = HWCAP_FP | HWCAP_ASIMD | HWCAP_CPUID;

    for (unsigned n = 0; n < A64_FEAT_COUNT; n++)
        if (a64_has(x, n) && features[n].hwcap >= 0)
            caps |= BIT(features[n].hwcap);
    if (a64_has(x, A64_FEAT_FP16))
        caps |= BIT(10); /* ASIMDHP */
    if (a64_has(x, A64_FEAT_PAUTH))
        caps |= BIT(31); /* PACG */
    return caps;
}

uint64_t a64_hwcap2(const struct cpu *cpu)
{
    const struct a64_cpu *x = (const struct a64_cpu *)cpu;
    uint64_t caps = 0;

    for (unsigned n = 0; n < A64_FEAT_COUNT; n++)
        if (a64_has(x, n) && features[n].hwcap2 >= 0)
            caps |= BIT(features[n].hwcap2);
    return caps;
}

/* ---- ID registers ---- */

static uint64_t id_fields(const struct a64_cpu *x, enum id_reg reg)
{
    uint64_t v = 0;

    for (unsigned n = 0; n < A64_FEAT_COUNT; n++) {
        const struct feature *f = &features[n];

        if (!a64_has(x, n) || f->reg != reg)
            continue;
        if ((v >> f->shift & 15) < f->value)
            v = (v & ~(UINT64_C(15) << f->shift)) | (uint64_t)f->value << f->shift;
    }
    return v;
}

static uint64_t id_isar1(const struct a64_cpu *x)
{
    uint64_t v = id_fields(x, ISAR1);

    if (!a64_has(x, A64_FEAT_PAUTH))
        return v;
    if (a64_has(x, A64_FEAT_PAUTH_IMPDEF)) /* API and GPI instead of APA and GPA */
        return (v & ~(UINT64_C(15) << 4)) | UINT64_C(1) << 8 | UINT64_C(1) << 28;
    return v | UINT64_C(1) << 24;
}

enum { /* op0:op1:CRn:CRm:op2 */
       ID_SPACE = 3 << 14,
       ID_MIDR = ID_SPACE,
       ID_MPIDR = ID_SPACE | 5,
       ID_REVIDR = ID_SPACE | 6,
       ID_PFR0 = ID_SPACE | 4 << 3,
       ID_PFR1 = ID_SPACE | 4 << 3 | 1,
       ID_DFR0 = ID_SPACE | 5 << 3,
       ID_ISAR0 = ID_SPACE | 6 << 3,
       ID_ISAR1 = ID_SPACE | 6 << 3 | 1,
       ID_MMFR0 = ID_SPACE | 7 << 3,
       ID_MMFR2 = ID_SPACE | 7 << 3 | 2,
       ID_CTR = ID_SPACE | 3 << 11 | 1,
       ID_DCZID = ID_SPACE | 3 << 11 | 7,
};

bool a64_id_register(const struct a64_cpu *x, uint32_t key, uint64_t *ret)
{
    switch (key) {
    case ID_MIDR: *ret = x->model->midr; return true;
    case ID_MPIDR: *ret = UINT64_C(1) << 31; return true;
    case ID_REVIDR: *ret = 0; return true;
    case ID_PFR0: /* AArch64 only at EL1 and EL0; AdvSIMD as FP */
        *ret = id_fields(x, PFR0);
        *ret |= 0x11 | (*ret >> 16 & 15) << 20;
        return true;
    case ID_PFR1: *ret = id_fields(x, PFR1); return true;
    case ID_DFR0: *ret = 6; return true;
    case ID_ISAR0: *ret = id_fields(x, ISAR0); return true;
    case ID_ISAR1: *ret = id_isar1(x); return true;
    case ID_MMFR0: *ret = 0xff000000; return true; /* hidden: no granule but 4 KiB */
    case ID_MMFR2: *ret = id_fields(x, MMFR2); return true;
    case ID_CTR: *ret = x->model->ctr; return true;
    case ID_DCZID: *ret = 4; return true;
    default: break;
    }
    *ret = 0; /* the rest of the ID space reads as zero */
    return (key & ~UINT32_C(0x7f)) == ID_SPACE && (key >> 3 & 15) >= 2 && (key >> 3 & 15) <= 7;
}
