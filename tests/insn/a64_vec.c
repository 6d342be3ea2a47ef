/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random A64 FP, SIMD and cryptographic instructions on interesting operands, for differential
 * tests: a64_vec.py builds this for aarch64, runs it on two emulators and compares what it prints.
 *
 * a64_vec ROWS SEED COUNT LENGTH FPCR FLAGS [show]    ROWS: lines of "name mask value"; each row
 * COUNT times, in sequences of LENGTH. FLAGS 0: FPSR is neither set nor read. One line per
 * sequence: the words, what changed, FPSR; show: the operands, too.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MAX_ROWS = 1000, MAX_LENGTH = 16, BUF = 1 << 18, SPAN = 4096 };

struct state {
    uint64_t v[32][2];
    uint64_t x[8];
    uint64_t nzcv, fpsr, fpcr;
};

struct row {
    char name[24];
    uint32_t mask, value;
};

static struct row rows[MAX_ROWS];
static unsigned row_count;
static uint8_t buffer[BUF] __attribute__((aligned(4096)));
static uint64_t rng;
static sigjmp_buf undefined;
static bool flags;

static uint64_t rnd(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng * 0x2545f4914f6cdd1d >> 8 ^ rng << 32;
}

/* ---- operands ---- */

static uint64_t half_of(void)
{
    static const uint16_t v[] = { 0,      0x8000, 1,      0x8001, 0x03ff, 0x0400, 0x8400, 0x3c00,
                                  0xbc00, 0x3800, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0xfe01,
                                  0x7c01, 0xfd55, 0x3555, 0x4248, 0x4200, 0x0200, 0x7800, 0x4d00 };

    return rnd() & 3 ? v[rnd() % (sizeof(v) / sizeof(*v))] : rnd() & 0xffff;
}

static uint64_t single_of(void)
{
    static const uint32_t v[] = { 0,          0x80000000, 1,          0x80000001, 0x007fffff,
                                  0x00800000, 0x80800000, 0x3f800000, 0xbf800000, 0x3f000000,
                                  0x3effffff, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000,
                                  0x7fc00000, 0xffc12345, 0x7f800001, 0xffa55555, 0x40490fdb,
                                  0x4b000001, 0x4effffff, 0x4f000000, 0x4f7fffff, 0x4f800000,
                                  0xcf000000, 0x5f000000, 0x5f7fffff, 0x33800000, 0x38800000,
                                  0x387fc000, 0x477fe000, 0x477ff000, 0x00400000, 0x3fc00000,
                                  0x40200000, 0x3f7fffff, 0x1f800000, 0x20000000, 0x00ffffff };

    return rnd() & 3 ? v[rnd() % (sizeof(v) / sizeof(*v))] : rnd() & 0xffffffff;
}

static uint64_t double_of(void)
{
    static const uint64_t v[] = {
        0,
        0x8000000000000000,
        1,
        0x8000000000000001,
        0x000fffffffffffff,
        0x0010000000000000,
        0x8010000000000000,
        0x3ff0000000000000,
        0xbff0000000000000,
        0x3fe0000000000000,
        0x3fdfffffffffffff,
        0x7fefffffffffffff,
        0xffefffffffffffff,
        0x7ff0000000000000,
        0xfff0000000000000,
        0x7ff8000000000000,
        0xfff8000012345678,
        0x7ff0000000000001,
        0xfff4000055555555,
        0x400921fb54442d18,
        0x4330000000000001,
        0x41dfffffffc00000,
        0x41e0000000000000,
        0x41efffffffe00000,
        0x41f0000000000000,
        0xc1e0000000000000,
        0x43e0000000000000,
        0x43efffffffffffff,
        0x43f0000000000000,
        0xc3e0000000000000,
        0x380fffffffffffff,
        0x3810000000000000,
        0x36a0000000000000,
        0x47efffffe0000000,
        0x47effffff0000000,
        0x3ff8000000000000,
        0x4004000000000000,
        0x3fefffffffffffff,
        0x1ff0000000000000,
        0x2000000000000000,
        0x001fffffffffffff,
        0x3f10000000000000,
    };

    return rnd() & 3 ? v[rnd() % (sizeof(v) / sizeof(*v))] : rnd();
}

static uint64_t bytes_of(void)
{
    static const uint8_t v[] = { 0, 1, 0x7f, 0x80, 0x81, 0xff, 0xfe, 15, 16, 17, 31, 32, 33, 0xf0 };
    uint64_t r = 0;

    for (unsigned i = 0; i < 8; i++)
        r = r << 8 | (rnd() & 3 ? v[rnd() % sizeof(v)] : rnd() & 0xff);
    return r;
}

static uint64_t operand(unsigned kind)
{
    switch (kind) {
    case 0: return half_of() | half_of() << 16 | half_of() << 32 | half_of() << 48;
    case 1:
    case 2: return single_of() | single_of() << 32;
    case 3:
    case 4: return double_of();
    case 5: return bytes_of();
    default: return rnd();
    }
}

static void fill(struct state *s, bool memory)
{
    for (unsigned i = 0; i < 32; i++) {
        unsigned kind = i < 8 ? rnd() % 7 : 6;

        if (i && i < 8 && !(rnd() & 3)) { /* neighbours with equal or related values */
            s->v[i][0] = s->v[i - 1][0] ^ (rnd() & 1 ? 0 : 0x8000000080008000);
            s->v[i][1] = s->v[i - 1][1];
            continue;
        }
        s->v[i][0] = operand(kind);
        s->v[i][1] = operand(kind);
    }
    for (unsigned i = 0; i < 8; i++)
        s->x[i] = memory ? rnd() % SPAN : operand(rnd() % 7);
    if (memory)
        s->x[0] = (uintptr_t)buffer + BUF / 2;
    s->nzcv = rnd() & 0xf0000000;
}

static uint32_t word_of(const struct row *r)
{
    uint32_t w = (uint32_t)rnd() & 0xffe0fc00;
    bool memory = !strncmp(r->name, "ldst", 4);
    unsigned rm = memory ? 1 + rnd() % 7 : rnd() & 7;

    if (memory && !(rnd() & 3))
        rm = 31;
    w |= (uint32_t)rm << 16 | (uint32_t)(memory ? 0 : rnd() & 7) << 5 | (uint32_t)(rnd() & 7);
    if (!memory && rnd() & 1) /* fields that lie in rm: all values */
        w = (w & ~0x001f0000u) | ((uint32_t)rnd() & 0x001f0000);
    if (rnd() & 1)
        w &= ~0x7000u; /* ra of eight */
    w = (w & ~r->mask) | r->value;
    if (!strcmp(r->name, "by_element") && (w & 0x2000f000) == 0xf000)
        w |= 0x20000000; /* not those of FEAT_BF16 and FEAT_I8MM, which Rhea has not */
    return w;
}

/* ---- running ---- */

void run_code(struct state *s, const void *code);
__asm__(".text\n.global run_code\nrun_code:\n"
        "    stp x29, x30, [sp, -192]!\n"
        "    stp x19, x20, [sp, 16]\n"
        "    stp d8, d9, [sp, 32]\n"
        "    stp d10, d11, [sp, 48]\n"
        "    stp d12, d13, [sp, 64]\n"
        "    stp d14, d15, [sp, 80]\n"
        "    mov x19, x0\n"
        "    add x20, x0, 512\n"
        "    mov x16, x1\n"
        "    mov x17, x0\n"
        "    ldr x9, [x20, 80]\n msr fpcr, x9\n"
        "    ldr x9, [x20, 72]\n tbnz x9, 63, 1f\n msr fpsr, x9\n1:\n"
        "    ldr x9, [x20, 64]\n msr nzcv, x9\n"
        ".irp n, 0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30\n"
        "    ldr q\\n, [x17], 16\n"
        "    .set n1, \\n + 1\n"
        "    .irp m, 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31\n"
        "    .if \\m == n1\n    ldr q\\m, [x17], 16\n    .endif\n"
        "    .endr\n"
        ".endr\n"
        "    ldp x0, x1, [x20, 0]\n"
        "    ldp x2, x3, [x20, 16]\n"
        "    ldp x4, x5, [x20, 32]\n"
        "    ldp x6, x7, [x20, 48]\n"
        "    blr x16\n"
        "    stp x0, x1, [x20, 0]\n"
        "    stp x2, x3, [x20, 16]\n"
        "    stp x4, x5, [x20, 32]\n"
        "    stp x6, x7, [x20, 48]\n"
        "    mrs x9, nzcv\n str x9, [x20, 64]\n"
        "    ldr x9, [x20, 72]\n tbnz x9, 63, 1f\n mrs x9, fpsr\n str x9, [x20, 72]\n1:\n"
        "    msr fpcr, xzr\n"
        ".irp n, "
        "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
        "    str q\\n, [x19], 16\n"
        ".endr\n"
        "    ldp d8, d9, [sp, 32]\n"
        "    ldp d10, d11, [sp, 48]\n"
        "    ldp d12, d13, [sp, 64]\n"
        "    ldp d14, d15, [sp, 80]\n"
        "    ldp x19, x20, [sp, 16]\n"
        "    ldp x29, x30, [sp], 192\n"
        "    ret\n");

static void on_sigill(int sig)
{
    siglongjmp(undefined, sig);
}

static uint64_t sum_of_buffer(void)
{
    const uint64_t *p = (const uint64_t *)buffer;
    uint64_t h = 0;

    for (unsigned i = 0; i < BUF / 8; i++)
        h = (h ^ p[i]) * 0x9e3779b97f4a7c15 + (h >> 29);
    return h;
}

static void print_changes(const struct state *a, const struct state *b, bool memory)
{
    for (unsigned i = 0; i < 32; i++)
        if (memcmp(a->v[i], b->v[i], 16))
            printf(" v%u=%016llx%016llx", i, (unsigned long long)b->v[i][1],
                   (unsigned long long)b->v[i][0]);
    for (unsigned i = 0; i < 8; i++)
        if (a->x[i] != b->x[i])
            printf(" x%u=%llx", i,
                   (unsigned long long)(b->x[i] - (memory && !i ? (uintptr_t)buffer : 0)));
    if (a->nzcv != b->nzcv)
        printf(" nzcv=%llx", (unsigned long long)b->nzcv);
    if (flags)
        printf(" fpsr=%llx", (unsigned long long)b->fpsr);
    if (memory)
        printf(" mem=%llx", (unsigned long long)sum_of_buffer());
    putchar('\n');
}

static void print_operands(const struct state *s)
{
    for (unsigned i = 0; i < 8; i++)
        printf("  v%u %016llx%016llx  x%u %llx\n", i, (unsigned long long)s->v[i][1],
               (unsigned long long)s->v[i][0], i, (unsigned long long)s->x[i]);
}

/* One sequence beginning with rows[k]. */
static void one(unsigned k, unsigned length, uint64_t fpcr, uint32_t *code, bool show)
{
    static struct state before, after;
    bool memory = !strncmp(rows[k].name, "ldst", 4);

    fill(&before, memory);
    before.fpcr = fpcr;
    before.fpsr = flags ? 0 : ~0ull;
    after = before;
    printf("%s", rows[k].name);
    for (unsigned i = 0; i < length; i++) {
        const struct row *r = &rows[i ? rnd() % row_count : k];

        if (memory)
            r = &rows[k];
        while (!memory && !strncmp(r->name, "ldst", 4)) /* those stay among themselves */
            r = &rows[rnd() % row_count];
        code[i] = word_of(r);
        printf(" %08x", code[i]);
    }
    putchar(':');
    code[length] = 0xd65f03c0; /* ret */
    __builtin___clear_cache((char *)code, (char *)(code + length + 1));
    if (sigsetjmp(undefined, 1)) {
        printf(" undefined\n");
        return;
    }
    run_code(&after, code);
    print_changes(&before, &after, memory);
    if (show)
        print_operands(&before);
}

int main(int argc, char **argv)
{
    char line[128];
    uint64_t seed, fpcr;
    unsigned count, length;
    uint32_t *code;
    FILE *f;

    if (argc < 7 || !(f = fopen(argv[1], "r")))
        return 2;
    while (row_count < MAX_ROWS && fgets(line, sizeof(line), f)) {
        struct row *r = &rows[row_count];

        if (sscanf(line, "%23s %x %x", r->name, &r->mask, &r->value) == 3)
            row_count++;
    }
    fclose(f);
    seed = strtoull(argv[2], NULL, 0);
    count = (unsigned)atoi(argv[3]);
    length = (unsigned)atoi(argv[4]);
    fpcr = strtoull(argv[5], NULL, 0);
    flags = atoi(argv[6]);
    if (!row_count || length < 1 || length > MAX_LENGTH)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGILL, on_sigill);
    code = mmap(NULL, (size_t)row_count * count * 128, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        return 2;
    for (unsigned k = 0; k < row_count; k++)
        for (unsigned i = 0; i < count; i++) {
            rng = seed * 0x9e3779b97f4a7c15 + ((uint64_t)k << 32 | i) * 0xd1342543de82ef95 + 1;
            rnd();
            one(k, length, fpcr, code + ((size_t)k * count + i) * 32, argc > 7);
        }
    return 0;
}
