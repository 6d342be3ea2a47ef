/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See hostrun.h. One test process, one thread: the running machine is a file variable.
 */
#include "hostrun.h"

#include <asm/prctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "host/native.h"

static struct hostrun *running;

enum { BUF_SIZE = 4 << 20, FIXED_END = HOST_FN_COUNT };

static uint64_t slow_load(void *cpu, gva_t a, uint64_t flags)
{
    uint64_t v = 0;
    unsigned size = 1u << (flags & IR_MEM_SIZE);

    running->slow_paths++;
    irgen_ops.load(cpu, a, &v, size, (unsigned)flags);
    return flags & IR_MEM_SIGN ? (uint64_t)((int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size)) : v;
}

static void slow_store(void *cpu, gva_t a, uint64_t v, uint64_t flags)
{
    running->slow_paths++;
    irgen_ops.store(cpu, a, &v, 1u << (flags & IR_MEM_SIZE), (unsigned)flags);
}

static void slow_loadv(void *cpu, gva_t a, void *out, uint64_t flags)
{
    running->slow_paths++;
    irgen_ops.load(cpu, a, out, 16, (unsigned)flags);
}

static void slow_storev(void *cpu, gva_t a, const void *in, uint64_t flags)
{
    running->slow_paths++;
    irgen_ops.store(cpu, a, in, 16, (unsigned)flags);
}

static void *slow_xlate(void *cpu, gva_t a, uint64_t size, uint64_t write)
{
    running->slow_paths++;
    return irgen_ops.xlate(cpu, a, (unsigned)size, write);
}

/* Destroys what C may destroy, so that nothing survives by luck. */
static void clobber(void)
{
#if defined(__x86_64__)
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n movaps %%xmm0, %%xmm1\n movaps %%xmm0, %%xmm2\n"
                     "movaps %%xmm0, %%xmm3\n movaps %%xmm0, %%xmm4\n movaps %%xmm0, %%xmm5\n"
                     "movaps %%xmm0, %%xmm6\n movaps %%xmm0, %%xmm7\n mov $0x5a5a5a5a, %%r8d\n"
                     "mov %%r8, %%r9\n mov %%r8, %%r10\n mov %%r8, %%r11\n mov %%r8, %%rcx\n"
                     "mov %%r8, %%rsi\n mov %%r8, %%rdi\n mov %%r8, %%rdx\n"
                     :
                     :
                     : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "r8", "r9",
                       "r10", "r11", "rcx", "rsi", "rdi", "rdx");
#endif
}

static uint64_t slow_load_c(void *cpu, gva_t a, uint64_t flags)
{
    uint64_t v = slow_load(cpu, a, flags);

    clobber();
    return v;
}

static void slow_store_c(void *cpu, gva_t a, uint64_t v, uint64_t flags)
{
    slow_store(cpu, a, v, flags);
    clobber();
}

static unsigned helper_index(void *opaque, const struct helper *h)
{
    struct hostrun *r = opaque;

    for (unsigned k = FIXED_END; k < r->helper_count; k++)
        if (r->helper[k] == h)
            return k;
    r->helper[r->helper_count] = h;
    r->cpu.helpers[r->helper_count] = h->fn;
    return r->helper_count++;
}

static void raise_from_host(struct irgen *g)
{
    struct hostrun *h = running;
    gva_t pc;

    if (!host_x86_64.restore(h->state, &h->region, (uint32_t)(h->cpu.host_ra - (uint64_t)h->buf.rx),
                             &h->cpu, &pc)) {
        fprintf(stderr, "a return address is not in the fault table\n");
        abort();
    }
    h->cpu.s.pc = pc;
    longjmp(g->env, 1);
}

/* A memory instruction of emitted code in direct mode. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
    static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                   REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15 };
    const ucontext_t *uc = context;
    struct hostrun *h = running;
    uint64_t at = (uint64_t)uc->uc_mcontext.gregs[REG_RIP] - (uint64_t)h->buf.rx;
    struct host_regs regs;
    gva_t pc;

    for (unsigned k = 0; k < 16; k++)
        regs.gpr[k] = (uint64_t)uc->uc_mcontext.gregs[order[k]];
    memcpy(regs.vec, uc->uc_mcontext.fpregs->_xmm, sizeof(regs.vec));
    regs.fpcsr = uc->uc_mcontext.fpregs->mxcsr;
    if (at >= h->buf.used ||
        !host_x86_64.restore_insn(h->state, &h->region, (uint32_t)at, &h->cpu, &regs, &pc)) {
        static const char text[] = "a fault outside of memory instructions\n";

        (void)!write(2, text, sizeof(text) - 1);
        abort();
    }
    h->cpu.s.pc = pc;
    h->from_insn = true;
    longjmp(h->g->env, 1);
}

static void catch_faults(struct hostrun *h)
{
    struct sigaction act = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

    sigaction(SIGSEGV, &act, NULL);
    if (h->mode == HR_DIRECT_BASE && syscall(SYS_arch_prctl, ARCH_SET_GS, h->g->mem))
        abort();
}

static bool map_code(struct hostrun *h)
{
    int fd = memfd_create("code", 0);

    if (fd < 0 || ftruncate(fd, BUF_SIZE))
        return false;
    h->buf.rw = mmap(NULL, BUF_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    h->buf.rx = mmap(NULL, BUF_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    h->buf.size = BUF_SIZE;
    close(fd);
    return h->buf.rw != MAP_FAILED && h->buf.rx != MAP_FAILED;
}

static struct host_env make_env(struct hostrun *h)
{
    return (struct host_env){
        .off_exit_request = offsetof(struct hr_cpu, exit_request),
        .off_tlb = offsetof(struct hr_cpu, tlb),
        .off_jump_cache = offsetof(struct hr_cpu, jump_cache),
        .off_jump_tag = offsetof(struct hr_cpu, jump_tag),
        .off_host_ra = offsetof(struct hr_cpu, host_ra),
        .off_fpcsr = offsetof(struct hr_cpu, fpcsr),
        .off_vec_live = offsetof(struct hr_cpu, vec_live),
        .off_saved = offsetof(struct hr_cpu, saved),
        .off_helpers = offsetof(struct hr_cpu, helpers),
        .off_scratch = offsetof(struct hr_cpu, scratch),
        .off_rstack = offsetof(struct hr_cpu, rstack),
        .off_rstack_top = offsetof(struct hr_cpu, rstack_top),
        .tlb_bits = HR_TLB_BITS,
        .jump_cache_bits = HR_JUMP_BITS,
        .jump_shift = HR_JUMP_SHIFT,
        .page_bits = 12,
        .direct = h->mode != HR_SOFT,
        .with_base = h->mode == HR_DIRECT_BASE,
        .slots = h->g->slots,
        .slot_count = h->g->slot_count,
        .helper_index = helper_index,
        .opaque = h,
    };
}

static bool start(struct hostrun *h)
{
    struct host_env env = make_env(h);
    struct error err;

    h->buf.used = 0;
    h->state = host_x86_64.init(&h->buf, &env, &err);
    if (!h->state)
        fprintf(stderr, "init: %s\n", err.msg);
    return h->state;
}

bool hr_init(struct hostrun *h, struct irgen *g, unsigned mode)
{
    memset(h, 0, sizeof(*h));
    h->g = g;
    h->mode = mode;
    h->helper_count = FIXED_END;
    if (!host_x86_64.usable()) {
        fprintf(stderr, "this processor lacks SSE4.2\n");
        return false;
    }
    h->cpu.tlb = h->tlb;
    h->cpu.jump_cache = h->jumps;
    memset(h->jumps, 0xff, sizeof(h->jumps));
    h->cpu.helpers[HOST_FN_LOAD] = (helper_fn *)slow_load_c;
    h->cpu.helpers[HOST_FN_STORE] = (helper_fn *)slow_store_c;
    h->cpu.helpers[HOST_FN_LOADV] = (helper_fn *)slow_loadv;
    h->cpu.helpers[HOST_FN_STOREV] = (helper_fn *)slow_storev;
    h->cpu.helpers[HOST_FN_XLATE] = (helper_fn *)slow_xlate;
    if (mode != HR_SOFT)
        catch_faults(h);
    return map_code(h) && start(h);
}

void hr_finish(struct hostrun *h)
{
    if (h->state)
        host_x86_64.finish(h->state);
    if (h->buf.rw)
        munmap(h->buf.rw, BUF_SIZE);
    if (h->buf.rx)
        munmap(h->buf.rx, BUF_SIZE);
    arena_finish(&h->arena);
}

void hr_tlb(struct hostrun *h, unsigned pages)
{
    memset(h->tlb, 0xff, sizeof(h->tlb));
    for (unsigned p = 0; p < 16; p++) {
        if (!(pages >> p & 1))
            continue;
        h->tlb[p] = (struct host_tlb_entry){ p << 12, p << 12, p << 12, (uint64_t)h->g->mem };
    }
}

bool hr_compile(struct hostrun *h, const struct ir *ir, uint32_t exit_base)
{
    if (host_x86_64.compile(h->state, ir, exit_base, &h->arena, &h->region))
        return true;
    if (h->region.too_big)
        return false;
    host_x86_64.finish(h->state);
    arena_reset(&h->arena);
    return start(h) && host_x86_64.compile(h->state, ir, exit_base, &h->arena, &h->region);
}

int hr_run(struct hostrun *h, unsigned *flags)
{
    static const int kinds[] = { IR_LEFT_JMP, IR_LEFT_IND, IR_LEFT_LOOP, IR_LEFT_JMP };
    volatile int kind = IRGEN_RAISED;
    void (*before)(struct irgen *) = h->g->raise;
    uint32_t csr = host_fpcsr_read();

    running = h;
    irgen_use(h->g);
    h->g->raise = raise_from_host;
    h->from_insn = false;
    h->cpu.fpcsr = 0x1f80;
    h->cpu.vec_live = 0;
    if (!setjmp(h->g->env)) {
        kind = kinds[host_x86_64.enter(h->state, &h->cpu, h->region.code).left];
        if (host_fpcsr_read() != csr) {
            fprintf(stderr, "MXCSR is not the caller's after enter()\n");
            abort();
        }
        *flags = h->cpu.fpcsr;
    } else {
        *flags = h->from_insn ? h->cpu.fpcsr : host_fpcsr_read();
        h->cpu.vec_live = 0;
    }
    host_fpcsr_write(csr);
    h->g->raise = before;
    return kind;
}

void hr_disassemble(const struct hostrun *h)
{
    host_x86_64.disassemble(stdout, &h->buf, h->region.code, h->region.code_size);
}
