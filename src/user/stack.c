/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first stack of a program, as Linux builds it (System V ABI, "Process Initialization"): from
 * the top: a null word, the file's name, environment and argument strings, platform, random bytes;
 * then the auxiliary vector, envp, argv and argc, which the stack pointer points to, 16-byte
 * aligned.
 */
#include "user/process.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/endian.h"
#include "base/str.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

enum {
    AUX_MAX = 28,
    STACK_GUARD = 1 << 20, /* kept free below the stack */
    RANDOM_BYTES = 16,
    CLOCK_TICKS = 100,
};
#define STACK_MIN (8 * MIB)
#define STACK_MAX (64 * MIB) /* of what we choose; -s may say more */

struct build {
    struct user_proc *proc;
    gva_t at;     /* everything above is in use */
    gva_t bottom; /* lowest address that arguments may take */
    struct {
        uint64_t type, value;
    } aux[AUX_MAX];
    unsigned aux_count;
};

static uint64_t stack_size(const struct user_options *o)
{
    struct rlimit lim;
    if (o->stack_size)
        return o->stack_size;
    if (getrlimit(RLIMIT_STACK, &lim) != 0)
        return STACK_MIN;
    return ALIGN_DOWN(MAX(STACK_MIN, MIN((uint64_t)lim.rlim_cur, STACK_MAX)), USER_PAGE);
}

bool user_stack_map(struct user_proc *p, bool exec, struct error *err)
{
    uint64_t size = stack_size(p->opt);
    gva_t top = mm_top(p->mm), at = top - size;
    int prot = PROT_READ | PROT_WRITE | (exec ? PROT_EXEC : 0);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    if (top < size + STACK_GUARD)
        return fail(err, ENOMEM, "a stack of %" PRIu64 " KiB does not fit", size / 1024);
    int64_t r = mm_mmap(p, at, size, prot, flags, -1, 0);
    if (r < 0)
        return fail(err, (int)-r, "cannot map a stack of %" PRIu64 " KiB: %s", size / 1024,
                    strerror((int)-r));
    at = (gva_t)r;
    if (at + size == top)
        mm_set_top(p->mm, at - STACK_GUARD);
    mm_set_stack(p->mm, at, at + size);
    return true;
}

static bool push(struct build *b, const void *data, size_t len, gva_t *ret)
{
    if (len > b->at - b->bottom)
        return false;
    b->at -= len;
    memcpy(user_host(b->proc, b->at), data, len);
    *ret = b->at;
    return true;
}

static size_t count(char **list)
{
    size_t n = 0;
    while (list[n])
        n++;
    return n;
}

/* Strings so that the first lies lowest. Pointers are found again by walking. */
static bool push_strings(struct build *b, char **list, gva_t *ret_start)
{
    gva_t at = b->at;
    for (size_t i = count(list); i-- > 0;)
        if (!push(b, list[i], strlen(list[i]) + 1, &at))
            return false;
    *ret_start = at;
    return true;
}

static void aux(struct build *b, uint64_t type, uint64_t value)
{
    assert(b->aux_count < AUX_MAX);
    b->aux[b->aux_count].type = type;
    b->aux[b->aux_count++].value = value;
}

static void fill_random(const struct user_options *o, uint8_t *bytes)
{
    uint64_t x = o->random_seed;
    if (!o->has_seed && getrandom(bytes, RANDOM_BYTES, GRND_NONBLOCK) == RANDOM_BYTES)
        return;
    for (unsigned i = 0; i < RANDOM_BYTES; i++) { /* splitmix64: the same for the same seed */
        x += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        bytes[i] = (uint8_t)((z ^ (z >> 27)) >> 24);
    }
}

static const char *platform(const struct user_abi *abi)
{
    return abi->elf_machine == EM_RISCV ? NULL : abi->elf_machine == EM_386 ? "i686" : abi->name;
}

/* In the order of Linux's create_elf_tables(). There is no vDSO, hence no AT_SYSINFO_EHDR. */
static bool fill_aux(struct user_thread *t, const struct user_stack *in, struct build *b,
                     gva_t execfn)
{
    struct user_proc *p = t->proc;
    const struct user_abi *abi = p->abi;
    const char *name = platform(abi);
    uint8_t random[RANDOM_BYTES];
    gva_t at_random, at_platform = 0;
    fill_random(p->opt, random);
    if (name && !push(b, name, strlen(name) + 1, &at_platform))
        return false;
    if (!push(b, random, sizeof random, &at_random))
        return false;
    if (abi->minsigstksz)
        aux(b, AT_MINSIGSTKSZ, abi->minsigstksz);
    aux(b, AT_HWCAP, abi->hwcap ? abi->hwcap(t->cpu) : 0);
    aux(b, AT_PAGESZ, USER_PAGE);
    aux(b, AT_CLKTCK, CLOCK_TICKS);
    aux(b, AT_PHDR, p->phdr);
    aux(b, AT_PHENT, in->image->elf.phentsize);
    aux(b, AT_PHNUM, in->image->elf.phnum);
    aux(b, AT_BASE, in->interp_base);
    aux(b, AT_FLAGS, 0);
    aux(b, AT_ENTRY, p->entry);
    aux(b, AT_UID, getauxval(AT_UID));
    aux(b, AT_EUID, getauxval(AT_EUID));
    aux(b, AT_GID, getauxval(AT_GID));
    aux(b, AT_EGID, getauxval(AT_EGID));
    aux(b, AT_SECURE, getauxval(AT_SECURE));
    aux(b, AT_RANDOM, at_random);
    aux(b, AT_HWCAP2, abi->hwcap2 ? abi->hwcap2(t->cpu) : 0);
    aux(b, AT_EXECFN, execfn);
    if (name)
        aux(b, AT_PLATFORM, at_platform);
    aux(b, AT_NULL, 0);
    return true;
}

static void put_word(struct user_proc *p, gva_t *at, uint64_t value)
{
    if (p->abi->long_size == 8)
        st_le64(user_host(p, *at), value);
    else
        st_le32(user_host(p, *at), (uint32_t)value);
    *at += p->abi->long_size;
}

/* Addresses of strings that lie one behind the other, and a null word. */
static void put_strings(struct user_proc *p, gva_t *at, char **list, gva_t string)
{
    for (size_t i = 0; list[i]; i++) {
        put_word(p, at, string);
        string += strlen(list[i]) + 1;
    }
    put_word(p, at, 0);
}

static bool put_vectors(struct user_proc *p, const struct user_stack *in, struct build *b,
                        gva_t *ret_sp)
{
    size_t argc = count(in->argv), envc = count(in->envp);
    uint64_t words = 1 + argc + 1 + envc + 1 + 2 * b->aux_count;
    uint64_t bytes = words * p->abi->long_size;
    if (bytes + 32 > b->at - b->bottom)
        return false;
    gva_t sp = ALIGN_DOWN(b->at - bytes, 16), at = sp;
    put_word(p, &at, argc);
    put_strings(p, &at, in->argv, p->arg_start);
    put_strings(p, &at, in->envp, p->env_start);
    p->auxv_start = at;
    for (unsigned i = 0; i < b->aux_count; i++) {
        put_word(p, &at, b->aux[i].type);
        put_word(p, &at, b->aux[i].value);
    }
    p->auxv_end = at;
    *ret_sp = sp;
    return true;
}

bool user_stack_build(struct user_thread *t, const struct user_stack *in, gva_t *ret_sp,
                      struct error *err)
{
    struct user_proc *p = t->proc;
    struct build b = { .proc = p };
    gva_t execfn, zero;
    gva_t start = mm_stack(p->mm, &b.at);
    b.bottom = b.at - (b.at - start) / 4; /* Linux: arguments take a quarter at most */
    bool ok = push(&b, &(uint64_t){ 0 }, 8, &zero) &&
              push(&b, in->execfn, strlen(in->execfn) + 1, &execfn);
    p->env_end = b.at;
    ok = ok && push_strings(&b, in->envp, &p->env_start);
    p->arg_end = b.at;
    ok = ok && push_strings(&b, in->argv, &p->arg_start);
    b.at = ALIGN_DOWN(b.at, 16);
    ok = ok && fill_aux(t, in, &b, execfn) && put_vectors(p, in, &b, ret_sp);
    if (!ok) {
        (void)fail(err, E2BIG, "arguments and environment do not fit into the stack");
        return fail_hint(err, "a bigger stack: -s 64M");
    }
    p->start_stack = *ret_sp;
    return true;
}
