/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPU models: sets of extensions, named as QEMU and the RISC-V profiles name them, and the text
 * after -cpu: MODEL[,EXT=on|off|true|false][,+EXT][,-EXT]...
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/str.h"
#include "guest/riscv/riscv.h"

static const struct {
    const char *name, *doc;
} exts[RV_EXT_COUNT + 1] = {
    [RV_EXT_M] = { "m", "integer multiplication and division" },
    [RV_EXT_A] = { "a", "atomic instructions" },
    [RV_EXT_F] = { "f", "single-precision floating point" },
    [RV_EXT_D] = { "d", "double-precision floating point" },
    [RV_EXT_C] = { "c", "compressed instructions" },
    [RV_EXT_Zicsr] = { "zicsr", "control and status registers" },
    [RV_EXT_Zifencei] = { "zifencei", "instruction fetch fence" },
    [RV_EXT_Zicntr] = { "zicntr", "cycle, time, instret" },
    [RV_EXT_Zihpm] = { "zihpm", "hardware performance counters (read 0)" },
    [RV_EXT_Zihintpause] = { "zihintpause", "pause hint" },
    [RV_EXT_Zba] = { "zba", "address generation" },
    [RV_EXT_Zbb] = { "zbb", "basic bit manipulation" },
    [RV_EXT_Zbc] = { "zbc", "carry-less multiplication" },
    [RV_EXT_Zbs] = { "zbs", "single-bit instructions" },
    [RV_EXT_Zicond] = { "zicond", "conditional zero" },
    [RV_EXT_Zfhmin] = { "zfhmin", "half-precision conversions" },
    [RV_EXT_Zicbom] = { "zicbom", "cache-block management" },
    [RV_EXT_Zicbop] = { "zicbop", "cache-block prefetch" },
    [RV_EXT_Zicboz] = { "zicboz", "cache-block zero" },
};

#define RVA20 "m a f d c zicsr zifencei zicntr "
#define RVA22 RVA20 "zihpm zihintpause zba zbb zbs zicbom zicbop zicboz zfhmin "
#define ALL   RVA22 "zbc zicond "

static const struct {
    const char *name, *doc, *ext;
} models[] = {
    { "rv64", "RV64GC with everything this translator has", ALL },
    { "max", "the same", ALL },
    { "rva20u64", "profile RVA20U64", RVA20 },
    { "rva22u64", "profile RVA22U64", RVA22 },
    { "rv64i", "the base instructions alone: add extensions with +name", "zicsr zifencei zicntr " },
};

void rv_models_help(FILE *f)
{
    fprintf(f, "Models of the RISC-V CPU:\n");
    for (size_t n = 0; n < ARRAY_SIZE(models); n++)
        fprintf(f, "  %-12s %s\n", models[n].name, models[n].doc);
    fprintf(f, "Extensions, for -cpu MODEL,+NAME,-NAME or NAME=true|false:\n");
    for (size_t n = 0; n < RV_EXT_COUNT; n++)
        fprintf(f, "  %-12s %s\n", exts[n].name, exts[n].doc);
}

static bool unknown(const char *what, const char *name, const char *const *names, struct error *err)
{
    const char *near = nearest_name(name, names);

    fail(err, EINVAL, "-cpu: no %s '%s'", what, name);
    if (!near)
        return fail_hint(err, "'-cpu help' lists them");
    return fail_hint(err, "did you mean '%s'? '-cpu help' lists them", near);
}

static int find_ext(const char *name)
{
    for (int n = 0; n < RV_EXT_COUNT; n++)
        if (!strcasecmp(exts[n].name, name))
            return n;
    return -1;
}

/* What each one cannot be without; NULL name ends. */
static const uint8_t needs[][2] = {
    { RV_EXT_D, RV_EXT_F },          { RV_EXT_F, RV_EXT_Zicsr },     { RV_EXT_Zfhmin, RV_EXT_F },
    { RV_EXT_Zicntr, RV_EXT_Zicsr }, { RV_EXT_Zihpm, RV_EXT_Zicsr },
};

static bool set_one(struct rv_cpu *r, const char *item, struct error *err)
{
    AUTO_FREE char *name = xstrdup(item + (item[0] == '+' || item[0] == '-'));
    char *eq = strchr(name, '=');
    bool on = item[0] != '-';
    const char *names[RV_EXT_COUNT + 1] = { 0 };
    int e;

    if (eq) {
        *eq++ = 0;
        on = !strcmp(eq, "on") || !strcmp(eq, "true");
        if (!on && strcmp(eq, "off") && strcmp(eq, "false"))
            return fail(err, EINVAL, "-cpu: '%s' is neither true nor false", eq);
    }
    if (!strcmp(name, "g")) {
        uint64_t g = BIT(RV_EXT_M) | BIT(RV_EXT_A) | BIT(RV_EXT_F) | BIT(RV_EXT_D);
        r->ext = on ? r->ext | g | BIT(RV_EXT_Zicsr) | BIT(RV_EXT_Zifencei) : r->ext & ~g;
        return true;
    }
    e = find_ext(name);
    if (e < 0) {
        for (int n = 0; n < RV_EXT_COUNT; n++)
            names[n] = exts[n].name;
        return unknown("extension", name, names, err);
    }
    r->ext = on ? r->ext | BIT(e) : r->ext & ~BIT(e);
    return true;
}

static bool set_model(struct rv_cpu *r, const char *name, struct error *err)
{
    const char *names[ARRAY_SIZE(models) + 1] = { 0 };

    for (size_t n = 0; n < ARRAY_SIZE(models); n++) {
        names[n] = models[n].name;
        if (strcmp(models[n].name, name))
            continue;
        AUTO_FREE char *list = xstrdup(models[n].ext);
        r->ext = 0;
        for (char *save, *w = strtok_r(list, " ", &save); w; w = strtok_r(NULL, " ", &save))
            r->ext |= BIT(find_ext(w));
        return true;
    }
    return unknown("model", name, names, err);
}

bool rv_model_init(struct rv_cpu *r, const char *model, struct error *err)
{
    AUTO_FREE char *text = xstrdup(model ? model : "rv64");
    char *save, *w = strtok_r(text, ",", &save);

    if (!set_model(r, w ? w : "", err))
        return false;
    while ((w = strtok_r(NULL, ",", &save)))
        if (!set_one(r, w, err))
            return false;
    for (size_t n = 0; n < ARRAY_SIZE(needs); n++)
        if (rv_has(r, needs[n][0]) && !rv_has(r, needs[n][1]))
            return fail(err, EINVAL, "-cpu: extension '%s' needs '%s'", exts[needs[n][0]].name,
                        exts[needs[n][1]].name);
    return true;
}

uint64_t rv_hwcap(const struct cpu *cpu)
{
    static const struct {
        enum rv_ext ext;
        char letter;
    } letters[] = { { RV_EXT_M, 'm' },
                    { RV_EXT_A, 'a' },
                    { RV_EXT_F, 'f' },
                    { RV_EXT_D, 'd' },
                    { RV_EXT_C, 'c' } };
    uint64_t cap = BIT('i' - 'a');

    for (size_t n = 0; n < ARRAY_SIZE(letters); n++)
        if (rv_has((const struct rv_cpu *)cpu, letters[n].ext))
            cap |= BIT(letters[n].letter - 'a');
    return cap;
}
