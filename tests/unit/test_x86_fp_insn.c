/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every MMX, SSE, AES, SHA and x87 encoding of the decode table, on random state: the host
 * processor runs the instruction natively, the translator and the IR interpreter run it on the
 * guest's structure, and all registers, flags and memory must agree. Instructions whose helpers
 * reach guest memory themselves are not here: they need the engine.
 */
#include "test.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cpu/engine.h"
#include "guest/x86/fp.h"
#include "guest/x86/tr.h"
#include "guest/x86/x86_tr.h"

struct state {
    uint8_t fx[512]; /* FXSAVE64 image */
    uint64_t gpr[16], flags, pad;
    uint8_t mem[64];
} __attribute__((aligned(64)));
enum { FX_CW = 0, FX_SW = 2, FX_TAG = 4, FX_MXCSR = 24, FX_ST = 32, FX_XMM = 160, FLAGS = 0x8d5 };

/* Runs code (an instruction and RET) on *s. rdi is s->mem. */
void native_run(struct state *s, const void *code);
__asm__(".text\n.globl native_run\n.type native_run, @function\nnative_run:\n"
        "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\nmov %rdi, %rbx\nmov %rsi, %r12\n"
        "fxrstor64 (%rbx)\n"
        "pushq 640(%rbx)\npopfq\n"
        "mov 512(%rbx), %rax\nmov 520(%rbx), %rcx\nmov 528(%rbx), %rdx\nmov 576(%rbx), %r8\nmov "
        "584(%rbx), %r9\n"
        "mov 592(%rbx), %r10\nlea 656(%rbx), %rdi\n"
        "call *%r12\n"
        "fxsave64 (%rbx)\n"
        "pushfq\npopq 640(%rbx)\n"
        "mov %rax, 512(%rbx)\nmov %rcx, 520(%rbx)\nmov %rdx, 528(%rbx)\nmov %r8, 576(%rbx)\nmov "
        "%r9, 584(%rbx)\n"
        "mov %r10, 592(%rbx)\n"
        "fninit\npushq $0x1f80\nldmxcsr (%rsp)\npop %rax\ncld\n"
        "pop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n");
_Static_assert(offsetof(struct state, gpr) == 512 && offsetof(struct state, flags) == 640,
               "native_run knows");
_Static_assert(offsetof(struct state, mem) == 656, "native_run knows");

/* ---- random state ---- */

static uint64_t seed = 1;   /* RHEA_SEED */
static unsigned rounds = 1; /* RHEA_ROUNDS: times the usual number of states */

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t rnd_f64(void)
{
    static const uint64_t v[] = { 0,
                                  0x3ff0000000000000,
                                  0x4008000000000000,
                                  0x7ff0000000000000,
                                  0x7ff8000000000001,
                                  0x7ff0000000000001,
                                  1,
                                  0x0010000000000000,
                                  0x000fffffffffffff,
                                  0x7fefffffffffffff,
                                  0x43e0000000000000,
                                  0x41dfffffffc00000,
                                  0x3fe0000000000000,
                                  0x41e0000000000000,
                                  0x36a0000000000000,
                                  0x380fffffffffffff,
                                  0x47efffffe0000000 };

    switch (rnd() % 4) {
    case 0: return v[rnd() % ARRAY_SIZE(v)] | (rnd() & BIT(63));
    case 1:
        return (UINT64_C(0x3f00000000000000) + (rnd() & UINT64_C(0x01ffffffffffffff))) |
               (rnd() & BIT(63));
    case 2: return (v[rnd() % ARRAY_SIZE(v)] + rnd() % 3 - 1) | (rnd() & BIT(63));
    default: return rnd();
    }
}

static uint32_t rnd_f32(void)
{
    static const uint32_t v[] = { 0,          0x3f800000, 0x40400000, 0x7f800000, 0x7fc00001,
                                  0x7f800001, 1,          0x00800000, 0x007fffff, 0x7f7fffff,
                                  0x4f000000, 0x5f000000, 0x3f000000, 0x4effffff };

    switch (rnd() % 4) {
    case 0: return v[rnd() % ARRAY_SIZE(v)] | (rnd() & 0x80000000);
    case 1: return (0x3e000000 + (rnd() & 0x03ffffff)) | (rnd() & 0x80000000);
    case 2: return (v[rnd() % ARRAY_SIZE(v)] + rnd() % 3 - 1) | (rnd() & 0x80000000);
    default: return rnd();
    }
}

static void rnd_vec(uint8_t *p)
{
    union ir_v128 v;

    switch (rnd() % 6) {
    case 0: v = (union ir_v128){ .u64 = { rnd_f64(), rnd_f64() } }; break;
    case 1:
    case 2: v = (union ir_v128){ .u32 = { rnd_f32(), rnd_f32(), rnd_f32(), rnd_f32() } }; break;
    case 3:
        for (unsigned i = 0; i < 16; i++)
            v.u8[i] = rnd() % 5 ? rnd() % 4 : rnd();
        break;
    case 4: v = (union ir_v128){ .u64 = { rnd() % 70, rnd() } }; break;
    default: v = (union ir_v128){ .u64 = { rnd(), rnd() } }; break;
    }
    memcpy(p, &v, 16);
}

static void rnd_st(uint8_t *p)
{
    static const uint16_t exps[] = { 0,      1,      0x3fff, 0x4000, 0x3ffe, 0x403e, 0x401e,
                                     0x400e, 0x7fff, 0x7ffe, 0x3c01, 0x3f81, 0x43fe, 0x407e };
    uint64_t mant = rnd() | BIT(63);
    uint16_t exp = exps[rnd() % ARRAY_SIZE(exps)];

    switch (rnd() % 6) {
    case 0: mant = BIT(63); break;
    case 1: mant = rnd() & rnd(); break;
    case 2:
        mant = rnd() % 3 ? 0 : BIT(62);
        exp = rnd() % 2 ? 0 : 0x7fff;
        break;
    case 3:
        exp = 0x3fff + rnd() % 64;
        mant &= ~UINT64_C(0) << rnd() % 64;
        break;
    default: break;
    }
    exp |= rnd() & 0x8000;
    memset(p, 0, 16);
    memcpy(p, &mant, 8);
    memcpy(p + 8, &exp, 2);
}

static void rnd_state(struct state *s, bool x87)
{
    uint16_t cw = 0x37f, sw = rnd() & 0x7f00;
    uint32_t mxcsr = 0x1f80 | (rnd() % 3 ? 0 : rnd() & 0xe07f);
    uint8_t tag = rnd() % 4 ? 0xff : rnd();

    memset(s, 0, sizeof(*s));
    if (x87 && rnd() % 2)
        cw = 0x40 | (rnd() & 0xf00) | (rnd() % 2 ? 0x3f : rnd() & 0x3f);
    if ((cw & 0x300) == 0x100)
        cw |= 0x200;
    sw |= rnd() & 0x7f & (cw | 0x40);
    memcpy(s->fx + FX_CW, &cw, 2);
    memcpy(s->fx + FX_SW, &sw, 2);
    s->fx[FX_TAG] = tag;
    memcpy(s->fx + FX_MXCSR, &mxcsr, 4);
    for (unsigned i = 0; i < 8; i++)
        rnd_st(s->fx + FX_ST + 16 * i);
    for (unsigned i = 0; i < 16; i++)
        rnd_vec(s->fx + FX_XMM + 16 * i);
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = rnd() % 2 ? rnd() : rnd() % 2 ? (uint64_t)(int64_t)(int8_t)rnd() : rnd_f64();
    s->flags = 0x202 | (rnd() & FLAGS);
    for (unsigned i = 0; i < 64; i += 16)
        if (x87)
            rnd_st(s->mem + i);
        else
            rnd_vec(s->mem + i);
    if (x87 && rnd() % 2) {
        uint64_t v = rnd() % 2 ? rnd_f64() : rnd_f32() | (uint64_t)rnd_f32() << 32;
        memcpy(s->mem, &v, 8);
    }
}

/* Unmasks some exceptions whose flags are clear. */
static void unmask(struct state *s)
{
    uint32_t mxcsr;

    memcpy(&mxcsr, s->fx + FX_MXCSR, 4);
    mxcsr &= ~(rnd() & rnd() & 0x3f);
    mxcsr &= ~(rnd() & ~mxcsr << MXCSR_MASK_SHIFT & MXCSR_MASKS);
    memcpy(s->fx + FX_MXCSR, &mxcsr, 4);
}

/* An x87 exception is unmasked and has come. */
static void set_pending(struct state *s)
{
    unsigned bit = rnd() % 6;

    s->fx[FX_CW] &= ~(1u << bit);
    s->fx[FX_SW] |= X87_ES | 1u << bit;
    s->fx[FX_SW + 1] |= X87_B >> 8;
}

/* ---- guest's structure ---- */

static void to_guest(struct x86_cpu *x, const struct state *s)
{
    memcpy(x->gpr, s->gpr, sizeof(x->gpr));
    x->gpr[X86_RDI] = (uintptr_t)s->mem;
    memcpy(x->xmm, s->fx + FX_XMM, 256);
    memcpy(&x->c.fpcsr, s->fx + FX_MXCSR, 4);
    memcpy(&x->fcw, s->fx + FX_CW, 2);
    memcpy(&x->fsw, s->fx + FX_SW, 2);
    x->ftw = s->fx[FX_TAG];
    for (unsigned i = 0; i < 8; i++)
        memcpy(&x->st[x87_phys(x, i)], s->fx + FX_ST + 16 * i, 16);
    x->cc_op = X86_CC_EFLAGS;
    x->cc_a = s->flags & FLAGS;
    x->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_NE;
    x->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    x->exc_vector = -1;
}

static void from_guest(struct state *s, const struct x86_cpu *x)
{
    memcpy(s->gpr, x->gpr, sizeof(x->gpr));
    memcpy(s->fx + FX_XMM, x->xmm, 256);
    memcpy(s->fx + FX_MXCSR, &x->c.fpcsr, 4);
    memcpy(s->fx + FX_CW, &x->fcw, 2);
    memcpy(s->fx + FX_SW, &x->fsw, 2);
    s->fx[FX_TAG] = x->ftw;
    for (unsigned i = 0; i < 8; i++)
        memcpy(s->fx + FX_ST + 16 * i, &x->st[x87_phys(x, i)], 10);
    s->flags = 0x202 | x86_cc_flags(x->cc_op, x->cc_a, x->cc_b, x->cc_c);
}

static void load(void *cpu, gva_t a, void *buf, unsigned size, unsigned mem_flags)
{
    memcpy(buf, (void *)(uintptr_t)a, size);
}

static void store(void *cpu, gva_t a, const void *buf, unsigned size, unsigned mem_flags)
{
    memcpy((void *)(uintptr_t)a, buf, size);
}

static void *xlate(void *cpu, gva_t a, unsigned size, bool write)
{
    return (void *)(uintptr_t)a;
}

static const struct ir_interp_ops ops = { .load = load, .store = store, .xlate = xlate };
static struct x86_cpu *guest_cpu;
static struct engine *engine;
static struct ir ir;

static void make_guest(void)
{
    guest_cpu = aligned_alloc(64, ALIGN_UP(sizeof(struct x86_cpu), 64));
    memset(guest_cpu, 0, sizeof(*guest_cpu));
    engine = calloc(1, sizeof(*engine));
    guest_cpu->c.engine = engine;
    engine->cpu = &guest_cpu->c;
    ir_init(&ir, x86_slots, X86_SLOT_COUNT, X86_SLOT_RIP);
}

static bool translate(const struct x86_insn *insn, bool optimize, unsigned mode_extra)
{
    struct translation req = { .pc = 0x1000, .max_insns = 1 };
    struct tr t = { .b = &ir,
                    .x = guest_cpu,
                    .req = &req,
                    .pc = 0x1000,
                    .next_pc = 0x1000 + insn->len,
                    .code = 64,
                    .stack_bits = 64,
                    .cc = X86_CC_DYNAMIC };
    char why[200];

    t.mode = req.mode = X86_MODE_CODE64 | X86_MODE_PE | X86_MODE_LMA | X86_MODE_SS32 | mode_extra;
    ir_begin(&ir, 0x1000);
    ir_insn_start(&ir, 0x1000);
    if (!x86_tr_fns[insn->op](&t, insn))
        return false;
    if (!t.done)
        ir_exit_jmp(&ir, t.next_pc, 0);
    if (!ir_verify(&ir, why, sizeof(why))) {
        TEST_FAIL("%s: %s", x86_op_names[insn->op], why);
        return false;
    }
    if (optimize)
        ir_optimize(&ir);
    return true;
}

/* Returns the exception's vector or -1. */
static int run_guest(struct state *s)
{
    volatile int vector = -1;

    to_guest(guest_cpu, s);
    if (setjmp(engine->leave) == 0) {
        engine_fp_enter(engine);
        ir_interp(&ir, guest_cpu, &ops);
    } else {
        vector = guest_cpu->exc_vector;
    }
    engine_fp_leave(engine);
    from_guest(s, guest_cpu);
    return vector;
}

/* ---- encodings ---- */

static uint8_t *code_page;
static bool tested[X86_OP_COUNT];
static unsigned reported;

static bool host_runs(const struct x86_insn *i)
{
    switch (i->feature) {
    case X86_IFEAT_SSSE3: return __builtin_cpu_supports("ssse3");
    case X86_IFEAT_SSE41: return __builtin_cpu_supports("sse4.1");
    case X86_IFEAT_SSE42: return __builtin_cpu_supports("sse4.2");
    case X86_IFEAT_AES: return __builtin_cpu_supports("aes");
    case X86_IFEAT_PCLMUL: return __builtin_cpu_supports("pclmul");
    case X86_IFEAT_SHA: return __builtin_cpu_supports("sha");
    case X86_IFEAT_MMX:
    case X86_IFEAT_SSE:
    case X86_IFEAT_SSE2:
    case X86_IFEAT_SSE3:
    case X86_IFEAT_FPU:
    case X86_IFEAT_CMOV: return true;
    default: return false;
    }
}

/* ---- unmasked exceptions: natively a SIGFPE ---- */

static sigjmp_buf fpe_jump;
static volatile int fpe_vector;
static struct state *fpe_state;

static void on_fpe(int sig, siginfo_t *info, void *context)
{
    const mcontext_t *m = &((const ucontext_t *)context)->uc_mcontext;
    static const int regs[] = { REG_RAX, REG_RCX, REG_RDX };

    memcpy(fpe_state->fx, m->fpregs, FX_XMM + 256);
    for (unsigned r = 0; r < 3; r++)
        fpe_state->gpr[r] = m->gregs[regs[r]];
    fpe_state->gpr[8] = m->gregs[REG_R8];
    fpe_state->gpr[9] = m->gregs[REG_R9];
    fpe_state->gpr[10] = m->gregs[REG_R10];
    fpe_state->flags = m->gregs[REG_EFL];
    fpe_vector = m->gregs[REG_TRAPNO];
    siglongjmp(fpe_jump, 1);
}

/* The exception's vector or -1. */
static int native_may_raise(struct state *s, const void *code)
{
    struct sigaction act = { .sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO | SA_NODEFER }, old;
    int vector = -1;

    fpe_state = s;
    sigaction(SIGFPE, &act, &old);
    if (sigsetjmp(fpe_jump, 1) == 0) {
        native_run(s, code);
    } else {
        vector = fpe_vector;
        __asm__ volatile("fninit\n\tpushq $0x1f80\n\tldmxcsr (%%rsp)\n\tpopq %%rax\n\tcld"
                         :
                         :
                         : "rax", "memory");
    }
    sigaction(SIGFPE, &old, NULL);
    return vector;
}

static bool is_fp(const struct x86_insn *i)
{
    bool fp = i->op == X86_OP_EMMS;

    if (i->op == X86_OP_MASKMOVQ || i->op == X86_OP_MASKMOVDQU || !host_runs(i))
        return false;
    for (unsigned n = 0; n < i->nops; n++) {
        const struct x86_operand *o = &i->opnd[n];
        fp |= o->kind == X86_K_XMM || o->kind == X86_K_MMX;
        if (o->kind == X86_K_GPR && (o->reg & 7) > 2)
            return false;
    }
    return fp;
}

static void report(const struct x86_insn *i, const uint8_t *code, const struct state *in,
                   const struct state *native, const struct state *guest, const char *what)
{
    char bytes[48] = "";

    for (unsigned n = 0; n < i->len; n++)
        snprintf(bytes + 3 * n, 4, "%02x ", code[n]);
    test_bad++;
    if (reported++ > 40)
        return;
    printf("%s (%s): %s differ; cw %04x sw %04x tag %02x mxcsr %08x\n", x86_op_names[i->op], bytes,
           what, *(const uint16_t *)in->fx, *(const uint16_t *)(in->fx + 2), in->fx[4],
           *(const uint32_t *)(in->fx + FX_MXCSR));
    for (unsigned o = 0; o < sizeof(struct state); o += 8) {
        uint64_t a, b, c;
        memcpy(&a, (const uint8_t *)native + o, 8);
        memcpy(&b, (const uint8_t *)guest + o, 8);
        memcpy(&c, (const uint8_t *)in + o, 8);
        if (a != b)
            printf("  at %u: native %016" PRIx64 " guest %016" PRIx64 " before %016" PRIx64 "\n", o,
                   a, b, c);
    }
}

static const char *differs(const struct x86_insn *i, struct state *n, struct state *g)
{
    uint64_t undefined = 0;
    static const uint64_t bit[] = { X86_CF, X86_PF, X86_AF, X86_ZF, X86_SF, X86_OF };

    for (unsigned k = 0; k < ARRAY_SIZE(bit); k++)
        undefined |= i->flags_undefined >> k & 1 ? bit[k] : 0;
    memset(n->fx + 5, 0, 19); /* FOP, FIP, FDP */
    memset(g->fx + 5, 0, 19);
    memset(n->fx + 28, 0, 4);
    memset(g->fx + 28, 0, 4);
    n->gpr[X86_RDI] = g->gpr[X86_RDI];
    n->flags &= FLAGS & ~undefined;
    g->flags &= FLAGS & ~undefined;
    if (memcmp(n->gpr, g->gpr, sizeof(n->gpr)))
        return "general registers";
    if (n->flags != g->flags)
        return "flags";
    if (memcmp(n->mem, g->mem, sizeof(n->mem)))
        return "memory";
    return memcmp(n->fx, g->fx, FX_XMM + 256) ? "FP registers" : NULL;
}

/* UNMASKED: SSE exceptions. PENDING: an x87 exception waits. */
enum how { MASKED, UNMASKED, PENDING };

static void try_insn(const uint8_t *code, bool x87, enum how how, unsigned count)
{
    struct x86_insn insn;
    struct state in, native, guest;

    if (x86_decode(&insn, code, 16, 64, ~UINT64_C(0)) != X86_DECODE_OK)
        return;
    if (x87 ? !host_runs(&insn) && insn.op != X86_OP_FISTTP : !is_fp(&insn))
        return;
    if (!translate(&insn, rnd() & 1, how == UNMASKED ? X86_MODE_XM : 0))
        return;
    tested[insn.op] = true;
    memcpy(code_page, code, insn.len);
    code_page[insn.len] = 0xc3;
    for (unsigned k = 0; k < count * rounds; k++) {
        rnd_state(&in, x87);
        if (how == UNMASKED)
            unmask(&in);
        if (how == PENDING)
            set_pending(&in);
        native = guest = in;
        int expected = native_may_raise(&native, code_page), vector = run_guest(&guest);
        const char *what = expected != vector ? "exceptions" : differs(&insn, &native, &guest);
        if (what) {
            report(&insn, code, &in, &native, &guest, what);
            break;
        }
    }
}

static void begin(void)
{
    if (!code_page) {
        code_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        make_guest();
        seed = getenv("RHEA_SEED") ? strtoull(getenv("RHEA_SEED"), NULL, 0) * 2 + 1 : seed;
        rounds = getenv("RHEA_ROUNDS") ? strtoul(getenv("RHEA_ROUNDS"), NULL, 0) : rounds;
    }
    reported = 0;
}

static void try_simd(uint8_t prefix, unsigned map, uint8_t opcode, bool mem, enum how how)
{
    for (unsigned reg = 0; reg < 8; reg++) {
        for (unsigned again = 0; again < 2; again++) {
            uint8_t code[24] = { 0 }, n = 0, rex = again ? 0x40 | (rnd() & (mem ? 12 : 13)) : 0;
            if (prefix)
                code[n++] = prefix;
            if (rex)
                code[n++] = rex;
            code[n++] = 0x0f;
            if (map)
                code[n++] = map;
            code[n++] = opcode;
            code[n++] = mem ? reg << 3 | 7 : 0xc0 | reg << 3 | (rnd() & 7 & (rnd() % 2 ? 1 : 7));
            code[n++] = rnd();
            try_insn(code, false, how, 12);
        }
    }
}

static void all_simd(bool mem, enum how how)
{
    static const uint8_t prefixes[] = { 0, 0x66, 0xf3, 0xf2 }, maps[] = { 0, 0x38, 0x3a };

    begin();
    for (unsigned m = 0; m < 3; m++)
        for (unsigned op = 0; op < 256;
             op += maps[m] || (op != 0x37 && op != 0x39) ? 1 : 2) /* 0F38 and 0F3A are maps */
            for (unsigned p = 0; p < 4; p++)
                for (unsigned again = 0; again < (maps[m] == 0x3a ? 6 : 1); again++)
                    try_simd(prefixes[p], maps[m], op, mem, how);
}

TEST(simd_registers)
{
    all_simd(false, MASKED);
}

TEST(simd_memory)
{
    all_simd(true, MASKED);
}

TEST(simd_unmasked)
{
    all_simd(false, UNMASKED);
    all_simd(true, UNMASKED);
}

static void all_x87_registers(enum how how)
{
    begin();
    for (unsigned op = 0xd8; op < 0xe0; op++)
        for (unsigned rm = 0xc0; rm < 0x100; rm++) {
            uint8_t code[24] = { op, rm };
            try_insn(code, true, how, how == PENDING ? 2 : 60);
        }
}

static void all_x87_memory(enum how how)
{
    begin();
    for (unsigned op = 0xd8; op < 0xe0; op++)
        for (unsigned reg = 0; reg < 8; reg++) {
            uint8_t code[24] = { op, reg << 3 | 7 };
            bool env = (op == 0xd9 || op == 0xdd) && (reg == 4 || reg == 6);
            bool slow = env || (op == 0xdb && reg == 7) || (op == 0xdf && reg == 6);
            if (!slow)
                try_insn(code, true, how, how == PENDING ? 2 : 100);
        }
}

TEST(x87_registers)
{
    all_x87_registers(MASKED);
}

TEST(x87_memory)
{
    all_x87_memory(MASKED);
}

TEST(x87_pending)
{
    uint8_t fwait[24] = { 0x9b };

    all_x87_registers(PENDING);
    all_x87_memory(PENDING);
    try_insn(fwait, true, MASKED, 10);
    try_insn(fwait, true, PENDING, 10);
    all_simd(false, PENDING);
}

/* Nothing was left out by accident. */
TEST(coverage)
{
    unsigned n = 0;

    for (unsigned op = 0; op < X86_OP_COUNT; op++)
        n += tested[op];
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("aes") && tested[X86_OP_FADD])
        if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("sha"))
            CHECK(n >= 300);
}
