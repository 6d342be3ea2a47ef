/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Operands as text: the kinds that the .insn tables name. */
#include "guest/arm/disasm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "guest/arm/tr_int.h"

struct print {
    char *out;
    size_t size, used;
    uint64_t pc;
    uint32_t word;
    const struct a64_print_arg *args;
};

static void put(struct print *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct print *p, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(p->out + p->used, p->size - p->used, fmt, ap);
    va_end(ap);
    p->used += (size_t)n;
    if (p->used >= p->size)
        p->used = p->size - 1;
}

static int32_t arg(const struct print *p, const char *name)
{
    for (const struct a64_print_arg *a = p->args; a->name; a++)
        if (!strcmp(a->name, name))
            return a->value;
    return 0;
}

static void put_reg(struct print *p, bool wide, bool sp, int32_t n)
{
    if (n == 31)
        put(p, "%s", sp ? (wide ? "sp" : "wsp") : (wide ? "xzr" : "wzr"));
    else
        put(p, "%c%d", wide ? 'x' : 'w', n);
}

static const char *const conds[16] = { "eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc",
                                       "hi", "ls", "ge", "lt", "gt", "le", "al", "nv" };
static const char *const shifts[4] = { "lsl", "lsr", "asr", "ror" };
static const char *const extends[8] = { "uxtb", "uxth", "uxtw", "uxtx",
                                        "sxtb", "sxth", "sxtw", "sxtx" };

static void put_sysreg(struct print *p, int32_t key)
{
    put(p, "s%d_%d_c%d_c%d_%d", key >> 14 & 3, key >> 11 & 7, key >> 7 & 15, key >> 3 & 15,
        key & 7);
}

static void put_bitmask(struct print *p)
{
    uint64_t v;

    if (a64_bitmask(arg(p, "sf"), (unsigned)arg(p, "n"), (unsigned)arg(p, "imms"),
                    (unsigned)arg(p, "immr"), &v))
        put(p, "#%#" PRIx64, v);
    else
        put(p, "#reserved");
}

/* The bracketed address of a pair or an imm9 form: mode 1 post-index, 3 pre-index. */
static void put_address(struct print *p, int32_t mode, int64_t imm)
{
    put(p, "[");
    put_reg(p, true, true, arg(p, "rn"));
    if (mode == 1)
        put(p, "], #%" PRId64, imm);
    else
        put(p, ", #%" PRId64 "]%s", imm, mode == 3 ? "!" : "");
}

static void put_index(struct print *p)
{
    int32_t opt = arg(p, "opt");

    put(p, "[");
    put_reg(p, true, true, arg(p, "rn"));
    put(p, ", ");
    put_reg(p, opt & 1, false, arg(p, "rm"));
    if (opt != 3 || arg(p, "s"))
        put(p, ", %s #%d", opt == 3 ? "lsl" : extends[opt & 7], arg(p, "s") ? arg(p, "size") : 0);
    put(p, "]");
}

static void put_pair(struct print *p)
{
    bool word = !strncmp(p->out, "ldpsw", 5);

    put_address(p, arg(p, "mode"), (int64_t)arg(p, "imm") * (word || !arg(p, "sf") ? 4 : 8));
}

static const char *suffix(const char *from, int32_t v, int32_t max)
{
    static const char *const letters[4] = { "b", "h", "w", "x" };

    return v <= max && strchr(from, letters[v & 3][0]) ? letters[v & 3] : "";
}

/* Kinds that are letters of a mnemonic. True: it was one. */
static bool put_letter(struct print *p, const char *kind, int32_t v)
{
    static const char *const pacs[8] = { "pacia", "pacib", "pacda", "pacdb",
                                         "autia", "autib", "autda", "autdb" };

    if (!strcmp(kind, "bh"))
        put(p, "%s", suffix("bh", v, 1));
    else if (!strcmp(kind, "bhw"))
        put(p, "%s", suffix("bhw", v, 2));
    else if (!strcmp(kind, "bhwx"))
        put(p, "%s", suffix("bhwx", v, 3));
    else if (!strcmp(kind, "a") || !strcmp(kind, "l") || !strcmp(kind, "z"))
        put(p, "%s", v ? kind : "");
    else if (!strcmp(kind, "lor"))
        put(p, "%s", v ? "l" : "ll");
    else if (!strcmp(kind, "loa"))
        put(p, "%s", v ? "a" : "la");
    else if (!strcmp(kind, "ab"))
        put(p, "%c", v ? 'b' : 'a');
    else if (!strcmp(kind, "id"))
        put(p, "%c", v ? 'd' : 'i');
    else if (!strcmp(kind, "np"))
        put(p, "%s", v ? "" : "n");
    else if (!strcmp(kind, "ut"))
        put(p, "%s", v == 0 ? "u" : v == 2 ? "t" : "");
    else if (!strcmp(kind, "wb"))
        put(p, "%s", v ? "!" : "");
    else if (!strcmp(kind, "8or16"))
        put(p, "%d", v ? 16 : 8);
    else if (!strcmp(kind, "pacname"))
        put(p, arg(p, "z") ? "%.3s%cz%s" : "%.3s%c%s", pacs[v & 7], pacs[v & 7][3],
            pacs[v & 7] + 4);
    else
        return false;
    return true;
}

static bool put_register(struct print *p, const char *kind, int32_t v)
{
    bool sf = arg(p, "sf");

    if (!strcmp(kind, "r") || !strcmp(kind, "rs"))
        put_reg(p, sf, kind[1], v);
    else if (!strcmp(kind, "x") || !strcmp(kind, "xs"))
        put_reg(p, true, kind[1], v);
    else if (!strcmp(kind, "w") || !strcmp(kind, "ws"))
        put_reg(p, false, kind[1], v);
    else if (!strcmp(kind, "rz"))
        put_reg(p, arg(p, "size") == 3, false, v);
    else if (!strcmp(kind, "ropc"))
        put_reg(p, arg(p, "opc") == 2, false, v);
    else if (!strcmp(kind, "rlit"))
        put_reg(p, p->word >> 30 & 1, false, v);
    else
        return false;
    return true;
}

static void put_extended(struct print *p)
{
    int32_t opt = arg(p, "opt");

    put_reg(p, (opt & 3) == 3, false, arg(p, "rm"));
    put(p, ", %s #%d", extends[opt & 7], arg(p, "shift"));
}

static void put_value(struct print *p, const char *kind, int32_t v)
{
    if (!strcmp(kind, "pc"))
        put(p, "%#" PRIx64, p->pc + (uint64_t)(int64_t)v);
    else if (!strcmp(kind, "page"))
        put(p, "%#" PRIx64, (p->pc & ~UINT64_C(4095)) + (uint64_t)((int64_t)v * 4096));
    else if (!strcmp(kind, "hex"))
        put(p, "%#x", (uint32_t)v);
    else if (!strcmp(kind, "cond"))
        put(p, "%s", conds[v & 15]);
    else if (!strcmp(kind, "addimm"))
        put(p, "#%d%s", v, arg(p, "sh") ? ", lsl #12" : "");
    else if (!strcmp(kind, "bitmask"))
        put_bitmask(p);
    else if (!strcmp(kind, "lsl16"))
        put(p, v ? ", lsl #%d" : "%.0d", v * 16);
    else if (!strcmp(kind, "shift"))
        put(p, v ? ", %s #%d" : "%.0s%.0d", shifts[arg(p, "shift") & 3], v);
    else if (!strcmp(kind, "ext"))
        put_extended(p);
    else if (!strcmp(kind, "sysreg") || !strcmp(kind, "sysop"))
        put_sysreg(p, v);
    else if (!strcmp(kind, "barrier"))
        put(p, "#%d", v);
    else if (!strcmp(kind, "pair"))
        put_pair(p);
    else if (!strcmp(kind, "idx"))
        put_address(p, arg(p, "idx"), v);
    else if (!strcmp(kind, "index"))
        put_index(p);
    else if (!strcmp(kind, "scaled"))
        put(p, "#%" PRId64, (int64_t)v << arg(p, "size"));
    else
        put(p, "%d", v);
}

static void put_kind(struct print *p, const char *name, const char *kind)
{
    int32_t v = arg(p, name);

    if (!*kind || (!put_letter(p, kind, v) && !put_register(p, kind, v)))
        put_value(p, kind, v);
}

void a64_print(char *out, size_t size, uint64_t pc, uint32_t word, const char *text,
               const struct a64_print_arg *args)
{
    struct print p = { .out = out, .size = size, .pc = pc, .word = word, .args = args };

    *out = 0;
    while (*text) {
        char name[16] = "", kind[16] = "";
        int len = 0;

        if (*text != '{' || sscanf(text, "{%15[^:}]%n", name, &len) != 1) {
            put(&p, "%c", *text++);
            continue;
        }
        text += len;
        if (*text == ':' && sscanf(text, ":%15[^}]%n", kind, &len) == 1)
            text += len;
        put_kind(&p, name, kind);
        if (*text == '}')
            text++;
    }
}
