/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Names, clocks, prctl, and the calls of one processor's kernel alone.
 */
#include "user/syscall.h"

#include <errno.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/bits.h"
#include "base/log.h"
#include "guest/arm/a64.h"
#include "guest/riscv/riscv.h"
#include "guest/x86/x86.h"

/* Guests have no vDSO: this is the most frequent call of many programs. */
int64_t sys_clock_gettime(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct timespec ts;
    int r;

    if ((int)a[0] < 0 || a[0] > 15)
        return call_pass(t, row, a);
    r = clock_gettime((int)a[0], &ts);
    if (r < 0)
        return -errno;
    return call_write_timespec(t, a[1], false, &ts);
}

/* The three sizes that uname() had. */
int64_t sys_uname(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct utsname u;
    const struct user_proc *p = t->proc;
    size_t old = row->arg[0].size == 45 ? 9 : 65, fields = row->nr[USER_CALLS_I386] == 122 ? 6 : 5;
    char out[6 * 65];
    const char *from[6];

    if (call_raw(SYS_uname, (uintptr_t)&u, 0, 0, 0, 0, 0) < 0)
        return -EFAULT;
    if (p->opt->uname) {
        memset(u.release, 0, sizeof(u.release));
        strncpy(u.release, p->opt->uname, sizeof(u.release) - 1);
    }
    memset(u.machine, 0, sizeof(u.machine));
    strncpy(u.machine, p->abi->uname_machine, sizeof(u.machine) - 1);
    memcpy(
        from,
        (const char *[6]){ u.sysname, u.nodename, u.release, u.version, u.machine, u.domainname },
        sizeof(from));
    if (row->nr[USER_CALLS_I386] == 109)
        old = 65;
    for (size_t i = 0; i < fields; i++) {
        memcpy(out + i * old, from[i], old);
        out[i * old + old - 1] = 0;
    }
    return user_write(t->proc, a[0], out, fields * old);
}

/* ---- prctl ---- */
enum prctl_how {
    PASS,    /* numbers */
    OUT_PTR, /* the kernel writes size bytes at argument 2 */
    IN_PTR,  /* it reads there */
    REFUSE,  /* EINVAL, as a kernel without it */
    OWN,
};
static const struct {
    uint32_t option;
    uint8_t how, size;
} prctls[] = {
    { PR_SET_PDEATHSIG, PASS },
    { PR_GET_PDEATHSIG, OUT_PTR, 4 },
    { PR_GET_DUMPABLE, PASS },
    { PR_SET_DUMPABLE, PASS },
    { PR_GET_KEEPCAPS, PASS },
    { PR_SET_KEEPCAPS, PASS },
    { PR_GET_TIMING, PASS },
    { PR_SET_TIMING, PASS },
    { PR_SET_NAME, IN_PTR },
    { PR_GET_NAME, OUT_PTR, 16 },
    { PR_GET_SECCOMP, PASS },
    { PR_SET_SECCOMP, REFUSE }, /* filters would see the host's calls */
    { PR_CAPBSET_READ, PASS },
    { PR_CAPBSET_DROP, PASS },
    { PR_GET_TSC, OUT_PTR, 4 },
    { PR_SET_TSC, REFUSE }, /* would hit the translator's own clock */
    { PR_GET_SECUREBITS, PASS },
    { PR_SET_SECUREBITS, PASS },
    { PR_SET_TIMERSLACK, PASS },
    { PR_GET_TIMERSLACK, PASS },
    { PR_TASK_PERF_EVENTS_DISABLE, PASS },
    { PR_TASK_PERF_EVENTS_ENABLE, PASS },
    { PR_MCE_KILL, PASS },
    { PR_MCE_KILL_GET, PASS },
    { PR_SET_MM, REFUSE }, /* the host's idea of our own memory */
    { PR_SET_CHILD_SUBREAPER, PASS },
    { PR_GET_CHILD_SUBREAPER, OUT_PTR, 4 },
    { PR_SET_NO_NEW_PRIVS, PASS },
    { PR_GET_NO_NEW_PRIVS, PASS },
    { PR_GET_TID_ADDRESS, OWN },
    { PR_SET_THP_DISABLE, PASS },
    { PR_GET_THP_DISABLE, PASS },
    { PR_CAP_AMBIENT, PASS },
    { PR_SET_SPECULATION_CTRL, PASS },
    { PR_GET_SPECULATION_CTRL, PASS },
    { PR_SET_IO_FLUSHER, PASS },
    { PR_GET_IO_FLUSHER, PASS },
    { PR_SET_SYSCALL_USER_DISPATCH, REFUSE }, /* addresses of host code */
    { PR_SET_PTRACER, PASS },
    { PR_SET_VMA, OWN },
    { PR_PAC_RESET_KEYS, OWN },
    { PR_GET_TAGGED_ADDR_CTRL, OWN },
    { PR_SET_TAGGED_ADDR_CTRL, OWN },
    { 65 /* PR_SET_MDWE */, REFUSE }, /* translated code is written and run */
    { 66 /* PR_GET_MDWE */, PASS },
    { 67 /* PR_SET_MEMORY_MERGE */, PASS },
    { 68 /* PR_GET_MEMORY_MERGE */, PASS },
    { 71 /* PR_RISCV_SET_ICACHE_FLUSH_CTX */, OWN },
};

static int64_t reset_pac_keys(struct user_thread *t, uint64_t which)
{
    struct a64_cpu *c = (struct a64_cpu *)t->cpu;

    if (t->proc->abi->guest != &guest_aarch64 || (which & ~(uint64_t)31))
        return -EINVAL;
    for (unsigned i = 0; i < 5; i++)
        if ((!which || (which & BIT(i))) && getrandom(c->pac_key[i], sizeof(c->pac_key[i]), 0) < 0)
            return -errno;
    return 0;
}

static int64_t prctl_own(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    const struct user_proc *p = t->proc;

    switch ((uint32_t)a[0]) {
    case PR_GET_TID_ADDRESS:
        return user_write(t->proc, a[1], &t->clear_child_tid, p->abi->long_size);
    case PR_SET_VMA: /* a name for a mapping */
        return call_host(t, row,
                         (uint64_t[6]){ a[0], a[1], call_ptr(t, a[2]), a[3], call_ptr(t, a[4]) });
    case PR_PAC_RESET_KEYS: return reset_pac_keys(t, a[1]);
    case PR_GET_TAGGED_ADDR_CTRL: return p->abi->guest == &guest_aarch64 ? 0 : -EINVAL;
    case PR_SET_TAGGED_ADDR_CTRL: /* system calls take no tagged addresses, which is the default */
        return p->abi->guest == &guest_aarch64 && !a[1] ? 0 : -EINVAL;
    default: return p->abi->guest == &guest_riscv64 ? 0 : -EINVAL; /* code is always coherent */
    }
}

int64_t sys_prctl(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    uint64_t v[6];

    memcpy(v, a, sizeof(v));
    for (unsigned i = 0; i < ARRAY_SIZE(prctls); i++) {
        if (prctls[i].option != (uint32_t)a[0])
            continue;
        switch (prctls[i].how) {
        case OUT_PTR: mm_prepare_write(t->proc, a[1], prctls[i].size); __attribute__((fallthrough));
        case IN_PTR: v[1] = call_ptr(t, a[1]); __attribute__((fallthrough));
        case PASS: return call_host(t, row, v);
        case OWN: return prctl_own(t, row, a);
        default: return -EINVAL;
        }
    }
    log_write(LOG_UNIMP, "prctl(%u): EINVAL: no such option for guests\n", (uint32_t)a[0]);
    return -EINVAL;
}

/* ---- x86 ---- */
int64_t sys_arch_prctl(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    enum { SET_GS = 0x1001, SET_FS, GET_FS, GET_GS, GET_CPUID = 0x1011, SET_CPUID };
    struct x86_cpu *x = (struct x86_cpu *)t->cpu;
    bool gs = a[0] == SET_GS || a[0] == GET_GS;
    enum x86_segreg seg = gs ? X86_GS : X86_FS;

    switch (a[0]) {
    case SET_FS:
    case SET_GS:
        if (call_is_32(t))
            return -EINVAL;
        return a[1] < t->proc->abi->va_limit && x86_user_set_base(t->cpu, seg, a[1]) ? 0 : -EPERM;
    case GET_FS:
    case GET_GS:
        if (call_is_32(t))
            return -EINVAL;
        return user_write(t->proc, a[1], &x->seg_base[seg], 8);
    case GET_CPUID: return 1;
    case SET_CPUID: return a[1] ? 0 : -ENODEV;
    default: return -EINVAL; /* shadow stacks, LAM: guests have none */
    }
}

/* struct user_desc: entry number, base, limit, flag bits: 32-bit 0, contents 1-2, read only 3,
 * limit in pages 4, not present 5, usable 6. */
struct user_desc32 {
    uint32_t entry, base, limit, flags;
};

static uint64_t desc_from_user(const struct user_desc32 *u)
{
    uint32_t contents = u->flags >> 1 & 3, lo, hi;
    bool empty = !u->base && !u->limit && (u->flags & 0x7f) == 0x28;

    if (empty || !(u->base | u->limit | u->flags))
        return 0;
    lo = (u->base & 0xffff) << 16 | (u->limit & 0xffff);
    hi = (u->base & 0xff000000) | (u->base >> 16 & 0xff) | (u->limit & 0xf0000) | contents << 10 |
         (u->flags & 8 ? 0 : 1 << 9) | 1 << 8 | 1 << 12 | 3 << 13 | (u->flags & 32 ? 0 : 1 << 15) |
         (u->flags & 64 ? 1 << 20 : 0) | (u->flags & 1 ? 1 << 22 : 0) |
         (u->flags & 16 ? 1 << 23 : 0);
    return (uint64_t)hi << 32 | lo;
}

int64_t sys_set_thread_area(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct user_desc32 u;

    if (t->proc->abi->call_column != USER_CALLS_I386)
        return -ENOSYS; /* 64-bit programs have arch_prctl */
    if (user_read(t->proc, &u, a[0], sizeof(u)) < 0)
        return -EFAULT;
    if (u.entry == UINT32_MAX) {
        for (unsigned i = 0; i < X86_GDT_TLS_COUNT && u.entry == UINT32_MAX; i++)
            if (!x86_user_tls(t->cpu, X86_GDT_TLS + i))
                u.entry = X86_GDT_TLS + i;
        if (u.entry == UINT32_MAX)
            return -ESRCH;
        if (user_write(t->proc, a[0], &u.entry, 4) < 0)
            return -EFAULT;
    }
    return x86_user_set_tls(t->cpu, u.entry, desc_from_user(&u)) ? 0 : -EINVAL;
}

int64_t sys_get_thread_area(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct user_desc32 u;
    uint32_t lo, hi;
    uint64_t d;

    if (t->proc->abi->call_column != USER_CALLS_I386)
        return -ENOSYS;
    if (user_read(t->proc, &u, a[0], sizeof(u)) < 0)
        return -EFAULT;
    if (u.entry < X86_GDT_TLS || u.entry >= X86_GDT_TLS + X86_GDT_TLS_COUNT)
        return -EINVAL;
    d = x86_user_tls(t->cpu, u.entry);
    lo = d;
    hi = d >> 32;
    u.base = lo >> 16 | (hi & 0xff) << 16 | (hi & 0xff000000);
    u.limit = (lo & 0xffff) | (hi & 0xf0000);
    u.flags = (hi >> 22 & 1) | (hi >> 10 & 3) << 1 | (!(hi >> 9 & 1)) << 3 | (hi >> 23 & 1) << 4 |
              (!(hi >> 15 & 1)) << 5 | (hi >> 20 & 1) << 6;
    return user_write(t->proc, a[0], &u, sizeof(u));
}

/* There is no local descriptor table: reading finds it empty. */
int64_t sys_modify_ldt(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    if (t->proc->abi->call_column == USER_CALLS_GENERIC)
        return -ENOSYS;
    if (a[0] == 0)
        return 0;
    log_write(LOG_UNIMP, "modify_ldt(%d): ENOSYS: no local descriptor table\n", (int)a[0]);
    return -ENOSYS;
}

/* ---- riscv64 ---- */
/* Our writes to code are seen at once. */
int64_t sys_riscv_flush_icache(struct user_thread *t, const struct call_row *row,
                               const uint64_t a[6])
{
    if (t->proc->abi->guest != &guest_riscv64)
        return -ENOSYS;
    if (a[2] & ~(uint64_t)1)
        return -EINVAL;
    /* what was written where it is executed is known already; a second mapping of it is not */
    if (a[1] > a[0])
        (void)cpu_code_written(t->cpu, a[0], a[1] - a[0]);
    return 0;
}

/* RISCV_HWPROBE_KEY_IMA_EXT_0 */
static uint64_t hwprobe_ext(const struct rv_cpu *c)
{
    static const struct {
        uint8_t ext, bit;
    } map[] = {
        { RV_EXT_C, 1 },       { RV_EXT_Zba, 3 },     { RV_EXT_Zbb, 4 },
        { RV_EXT_Zbs, 5 },     { RV_EXT_Zbc, 7 },     { RV_EXT_Zicboz, 6 },
        { RV_EXT_Zfhmin, 28 }, { RV_EXT_Zicond, 35 }, { RV_EXT_Zihintpause, 36 },
    };
    uint64_t ret = c->ext & BIT(RV_EXT_F) && c->ext & BIT(RV_EXT_D) ? 1 : 0;

    for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
        ret |= c->ext & BIT(map[i].ext) ? BIT(map[i].bit) : 0;
    return ret;
}

/* Linux Documentation/arch/riscv/hwprobe.rst */
static uint64_t hwprobe_value(const struct rv_cpu *c, int64_t *key)
{
    enum { VENDOR, ARCH, IMPL, BASE, IMA_EXT, PERF, ZICBOZ_SIZE, VA_TOP, TIME_FREQ, MISALIGNED };
    switch (*key) {
    case VENDOR:
    case ARCH:
    case IMPL: return 0;
    case BASE: return 1; /* IMA */
    case IMA_EXT: return hwprobe_ext(c);
    case PERF:
    case MISALIGNED: return 3; /* misaligned accesses are fast */
    case ZICBOZ_SIZE: return c->ext & BIT(RV_EXT_Zicboz) ? 64 : 0;
    case VA_TOP: return (uint64_t)1 << 47;
    case TIME_FREQ: return 10000000; /* guest/riscv: CSR time */
    default: *key = -1; return 0;
    }
}

/* RISCV_HWPROBE_WHICH_CPUS: the processors of the set (all, if it is empty) that have the values;
 * ours are all alike. */
static int64_t hwprobe_cpus(struct user_thread *t, const uint64_t a[6], bool match)
{
    enum { SET_BYTES = 128 };
    uint8_t set[SET_BYTES] = { 0 };
    size_t size = MIN(a[2], (uint64_t)SET_BYTES);
    bool empty = true;

    if (!size || !a[3])
        return -EINVAL;
    if (user_read(t->proc, set, a[3], size) < 0)
        return -EFAULT;
    for (size_t i = 0; i < size; i++)
        empty = empty && !set[i];
    if (!match)
        memset(set, 0, sizeof(set));
    else if (empty)
        (void)call_raw(SYS_sched_getaffinity, 0, sizeof(set), (uintptr_t)set, 0, 0, 0);
    return user_write(t->proc, a[3], set, size);
}

int64_t sys_riscv_hwprobe(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    enum { WHICH_CPUS = 1 };
    struct {
        int64_t key;
        uint64_t value;
    } pair;
    bool match = true;

    if (t->proc->abi->guest != &guest_riscv64)
        return -ENOSYS;
    if (a[4] & ~(uint64_t)WHICH_CPUS || a[1] > 4096)
        return -EINVAL;
    for (uint64_t i = 0; i < a[1]; i++) {
        gva_t at = a[0] + i * sizeof(pair);
        uint64_t have;

        if (user_read(t->proc, &pair, at, sizeof(pair)) < 0)
            return -EFAULT;
        have = hwprobe_value((const struct rv_cpu *)t->cpu, &pair.key);
        if (a[4])
            match =
                match && (pair.key == 4 ? (have & pair.value) == pair.value : have == pair.value);
        else
            pair.value = have;
        if (user_write(t->proc, at, &pair, sizeof(pair)) < 0)
            return -EFAULT;
    }
    return a[4] ? hwprobe_cpus(t, a, match) : 0;
}
