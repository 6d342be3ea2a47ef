/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's memory calls on real memory, and guarded copies. The engine is not needed: what it
 * would be told is written down here. */
#include "tests/unit/test.h"

#include "base/bits.h"
#include "user/process.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

enum { PAGE = 4096, ANON = MAP_PRIVATE | MAP_ANONYMOUS, RW = PROT_READ | PROT_WRITE };

_Thread_local struct user_thread *user_self;
static unsigned drops;
static gva_t drop_start;
static uint64_t drop_len;

bool cpu_code_written(struct cpu *cpu, gva_t start, uint64_t len)
{
    drops++;
    drop_start = start;
    drop_len = len;
    return true;
}

void cpu_set_parallel(struct cpu *cpu)
{
}

static const struct user_abi arm = {
    .name = "aarch64",
    .elf_machine = EM_AARCH64,
    .elf_class = 2,
    .long_size = 8,
    .va_limit = UINT64_C(1) << 47,
};
static const struct user_abi x86 = {
    .name = "x86_64",
    .elf_machine = EM_X86_64,
    .elf_class = 2,
    .long_size = 8,
    .va_limit = UINT64_C(1) << 47,
};

static struct user_options options;
static struct user_proc proc;
static struct user_thread thread = { .proc = &proc };

static void copy_fault(int sig, siginfo_t *info, void *context)
{
    if (!user_copy_fault(context))
        signal(sig, SIG_DFL);
}

static struct user_proc *start_with(const struct user_abi *abi, uint64_t reserved, uint64_t base)
{
    struct sigaction sa = { .sa_sigaction = copy_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
    struct error err = { 0 };
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    options = (struct user_options){ .reserved_va = reserved };
    proc = (struct user_proc){ .opt = &options, .abi = abi, .cpu_user.base = base };
    proc.mm = mm_new(&proc, &err);
    if (!proc.mm)
        TEST_FAIL("%s", err.msg);
    user_self = &thread;
    drops = 0;
    return &proc;
}

static struct user_proc *start(void)
{
    return start_with(&arm, 0, 0);
}

static gva_t map(struct user_proc *p, uint64_t pages, int prot)
{
    int64_t r = mm_mmap(p, 0, pages * PAGE, prot, ANON, -1, 0);
    CHECK(r > 0);
    return (gva_t)r;
}

static int prot_at(struct user_proc *p, gva_t at)
{
    int prot = -1;
    return mm_mapped(p, at, &prot) ? prot : -1;
}

TEST(mmap_and_munmap)
{
    struct user_proc *p = start();
    gva_t a = map(p, 4, RW);
    memset(user_host(p, a), 1, 4 * PAGE);
    CHECK_EQ(prot_at(p, a + 4 * PAGE - 1), RW);
    CHECK_EQ(mm_munmap(p, a + PAGE, PAGE), 0);
    CHECK_EQ(prot_at(p, a + PAGE), -1);
    CHECK_EQ(prot_at(p, a + 2 * PAGE), RW);
    CHECK_EQ(mm_munmap(p, a, 4 * PAGE), 0);
    CHECK_EQ(mm_munmap(p, a, 4 * PAGE), 0);
    CHECK_EQ(mm_munmap(p, a + 1, PAGE), -EINVAL);
    CHECK_EQ(mm_munmap(p, a, 0), -EINVAL);
    CHECK_EQ(mm_mmap(p, 0, 0, RW, ANON, -1, 0), -EINVAL);
    CHECK_EQ(mm_mmap(p, 0, PAGE, RW, MAP_PRIVATE, -1, 0), -EBADF);
    CHECK_EQ(mm_mmap(p, 0, PAGE, RW, ANON, -1, 1), -EINVAL);
    CHECK_EQ(mm_mmap(p, 0, UINT64_C(1) << 62, RW, ANON, -1, 0), -ENOMEM);
    CHECK_EQ(mm_mmap(p, a + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), -EINVAL);
    mm_free(p->mm);
}

TEST(nothing_of_ours_is_replaced)
{
    struct user_proc *p = start();
    static char ours[4 * PAGE];
    gva_t at = ALIGN_DOWN((uintptr_t)ours + PAGE, PAGE);
    CHECK_EQ(mm_mmap(p, at, PAGE, RW, ANON | MAP_FIXED, -1, 0), -ENOMEM);
    CHECK_EQ(mm_mmap(p, at, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), -EEXIST);
    int64_t r = mm_mmap(p, at, PAGE, RW, ANON, -1, 0);
    CHECK(r > 0 && (gva_t)r != at);
    CHECK_EQ(mm_munmap(p, at, PAGE), 0); /* nothing of the guest's is there */
    ours[PAGE] = 1;
    /* a range that begins with the guest's and ends with ours: nothing changes */
    char *host = mmap(NULL, 2 * PAGE, RW, ANON, -1, 0);
    munmap(host, PAGE);
    gva_t g = (uintptr_t)host;
    host[PAGE] = 7;
    CHECK_EQ(mm_mmap(p, g, PAGE, RW, ANON | MAP_FIXED, -1, 0), g);
    host[0] = 5;
    CHECK_EQ(mm_mmap(p, g, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0), -ENOMEM);
    CHECK_EQ(host[0], 5);
    CHECK_EQ(host[PAGE], 7);
    CHECK_EQ(mm_mprotect(p, g, 2 * PAGE, PROT_READ), -ENOMEM);
    host[PAGE] = 8;
    CHECK_EQ(mm_munmap(p, g, 2 * PAGE), 0);
    host[PAGE] = 9;
    munmap(host + PAGE, PAGE);
    mm_free(p->mm);
}

TEST(hints_and_fixed)
{
    struct user_proc *p = start();
    gva_t a = map(p, 8, RW), mid = a + 2 * PAGE;
    CHECK_EQ(mm_munmap(p, mid, 2 * PAGE), 0);
    CHECK_EQ(mm_mmap(p, mid, PAGE, RW, ANON, -1, 0), mid);
    CHECK(mm_mmap(p, mid, PAGE, RW, ANON, -1, 0) != (int64_t)mid);
    CHECK_EQ(mm_mmap(p, mid, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), -EEXIST);
    memset(user_host(p, a), 1, PAGE);
    CHECK_EQ(mm_mmap(p, a, 8 * PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0), a);
    CHECK_EQ(*(char *)user_host(p, a), 0);
    CHECK_EQ(prot_at(p, mid + PAGE), PROT_READ);
    CHECK_EQ(mm_mmap(p, UINT64_C(1) << 47, PAGE, RW, ANON | MAP_FIXED, -1, 0), -ENOMEM);
    mm_free(p->mm);
}

TEST(low_addresses_of_x86)
{
    struct user_proc *p = start_with(&x86, 0, 0);
    int64_t r = mm_mmap(p, 0, PAGE, RW, ANON | 0x40, -1, 0);
    CHECK(r > 0 && r < INT64_C(0x80000000));
    mm_munmap(p, (gva_t)r, PAGE);
    mm_free(p->mm);
    p = start();
    CHECK(mm_mmap(p, 0, PAGE, RW, ANON | 0x40, -1, 0) > INT64_C(0x80000000));
    mm_free(p->mm);
}

TEST(mprotect)
{
    struct user_proc *p = start();
    gva_t a = map(p, 4, RW);
    CHECK_EQ(mm_mprotect(p, a + PAGE, PAGE, PROT_READ | PROT_EXEC), 0);
    CHECK_EQ(prot_at(p, a + PAGE), PROT_READ | PROT_EXEC);
    CHECK(mm_may_exec(p, a + PAGE) && !mm_may_exec(p, a) && !mm_may_exec(p, a + 2 * PAGE));
    CHECK_EQ(mm_mprotect(p, a + PAGE, PAGE, PROT_EXEC), 0); /* readable on the host */
    CHECK_EQ(*(volatile char *)user_host(p, a + PAGE), 0);
    mm_munmap(p, a + 2 * PAGE, PAGE);
    CHECK_EQ(mm_mprotect(p, a, 4 * PAGE, PROT_READ), -ENOMEM);
    CHECK_EQ(prot_at(p, a), PROT_READ);
    CHECK_EQ(prot_at(p, a + 3 * PAGE), RW);
    CHECK_EQ(mm_mprotect(p, a + 1, PAGE, PROT_READ), -EINVAL);
    CHECK_EQ(mm_mprotect(p, a, 0, PROT_READ), 0);
    CHECK_EQ(mm_mprotect(p, a, PAGE, 0x40), -EINVAL);
    CHECK_EQ(mm_mprotect(p, a, PAGE, PROT_READ | PROT_EXEC | USER_BTI), 0);
    mm_free(p->mm);
}

TEST(mremap)
{
    struct user_proc *p = start();
    gva_t a = map(p, 8, RW), b;
    memset(user_host(p, a), 3, 8 * PAGE);
    CHECK_EQ(mm_mremap(p, a, 8 * PAGE, 2 * PAGE, 0, 0), a);
    CHECK_EQ(prot_at(p, a + 2 * PAGE), -1);
    CHECK_EQ(mm_mremap(p, a, 2 * PAGE, 4 * PAGE, 0, 0), a);
    CHECK_EQ(*(char *)user_host(p, a + PAGE), 3);
    CHECK_EQ(*(char *)user_host(p, a + 3 * PAGE), 0);
    CHECK_EQ(mm_mmap(p, a + 4 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0), a + 4 * PAGE);
    CHECK_EQ(mm_mprotect(p, a + 4 * PAGE, PAGE, PROT_NONE), 0);
    CHECK_EQ(mm_mremap(p, a, 4 * PAGE, 6 * PAGE, 0, 0), -ENOMEM);
    b = (gva_t)mm_mremap(p, a, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE, 0);
    CHECK((int64_t)b > 0 && b != a);
    CHECK_EQ(prot_at(p, a), -1);
    CHECK_EQ(*(char *)user_host(p, b), 3);
    CHECK_EQ(mm_mremap(p, b, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a), a);
    CHECK_EQ(prot_at(p, b), -1);
    CHECK_EQ(*(char *)user_host(p, a), 3);
    CHECK_EQ(mm_mremap(p, a, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a), -EINVAL);
    CHECK_EQ(mm_mremap(p, a, PAGE, PAGE, MREMAP_FIXED, b), -EINVAL);
    CHECK_EQ(mm_mremap(p, b, PAGE, PAGE, 0, 0), -EFAULT);
    int64_t c = mm_mremap(p, a, PAGE, PAGE, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, 0);
    CHECK(c > 0 && c != (int64_t)a);
    CHECK_EQ(*(char *)user_host(p, (gva_t)c), 3);
    CHECK_EQ(*(char *)user_host(p, a), 0);
    CHECK_EQ(prot_at(p, a), RW);
    mm_free(p->mm);
}

TEST(mremap_of_size_0_doubles_shared)
{
    struct user_proc *p = start();
    int64_t a = mm_mmap(p, 0, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int64_t b = mm_mremap(p, (gva_t)a, 0, PAGE, MREMAP_MAYMOVE, 0);
    CHECK(a > 0 && b > 0 && a != b);
    *(char *)user_host(p, (gva_t)a) = 9;
    CHECK_EQ(*(char *)user_host(p, (gva_t)b), 9);
    mm_free(p->mm);
}

TEST(brk)
{
    struct user_proc *p = start();
    gva_t low = map(p, 16, RW);
    mm_munmap(p, low, 15 * PAGE);
    mm_set_brk(p->mm, low + 100);
    CHECK_EQ(mm_brk(p, 0), low + 100);
    CHECK_EQ(mm_brk(p, low + 50), low + 100);
    mm_set_brk(p->mm, low);
    CHECK_EQ(mm_brk(p, low + 10000), low + 10000);
    memset(user_host(p, low), 1, 10000);
    CHECK_EQ(mm_brk(p, low + 5000), low + 5000);
    CHECK_EQ(prot_at(p, low + 2 * PAGE), -1);
    CHECK_EQ(mm_brk(p, low + 10000), low + 10000);
    CHECK_EQ(*(char *)user_host(p, low + 2 * PAGE), 0);
    CHECK_EQ(mm_brk(p, low + 20 * PAGE), low + 10000); /* a mapping is in the way */
    mm_free(p->mm);
}

TEST(grows_down)
{
    struct user_proc *p = start();
    gva_t room = map(p, 1024, PROT_NONE), top = room + 1024 * PAGE;
    CHECK_EQ(mm_munmap(p, room, 1024 * PAGE), 0);
    CHECK_EQ(mm_mmap(p, top - PAGE, PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0), top - PAGE);
    *(char *)user_host(p, top - PAGE) = 1;
    for (unsigned i = 2; i < 20; i++)
        *(volatile char *)user_host(p, top - i * PAGE) = (char)i;
    CHECK_EQ(prot_at(p, top - 19 * PAGE), RW);
    CHECK_EQ(prot_at(p, top - 21 * PAGE), -1);
    CHECK_EQ(mm_mprotect(p, top - 10 * PAGE, PAGE, PROT_READ), 0);
    CHECK_EQ(mm_mprotect(p, top - PAGE, PAGE, PROT_READ | PROT_GROWSDOWN), 0);
    CHECK_EQ(mm_mmap(p, top - 18 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0), top - 18 * PAGE);
    CHECK_EQ(mm_munmap(p, room, 1024 * PAGE), 0);
    CHECK(mm_range_is_free(0, room, top));
    mm_free(p->mm);
}

TEST(limits)
{
    struct user_proc *p = start();
    p->limits[0] = (struct user_limit){ 10 * PAGE, 10 * PAGE, true };
    gva_t a = map(p, 8, RW);
    CHECK_EQ(mm_mmap(p, 0, 3 * PAGE, RW, ANON, -1, 0), -ENOMEM);
    CHECK_EQ(mm_mremap(p, a, 8 * PAGE, 11 * PAGE, MREMAP_MAYMOVE, 0), -ENOMEM);
    mm_munmap(p, a, 4 * PAGE);
    map(p, 3, RW);
    mm_free(p->mm);
}

TEST(madvise)
{
    struct user_proc *p = start();
    gva_t a = map(p, 3, RW);
    memset(user_host(p, a), 1, 3 * PAGE);
    mm_munmap(p, a + PAGE, PAGE);
    CHECK_EQ(mm_madvise(p, a, 3 * PAGE, MADV_DONTNEED), -ENOMEM);
    CHECK_EQ(*(char *)user_host(p, a + 2 * PAGE), 0);
    CHECK_EQ(mm_madvise(p, a, PAGE, 999), -EINVAL);
    CHECK_EQ(mm_madvise(p, a + 1, PAGE, MADV_DONTNEED), -EINVAL);
    mm_free(p->mm);
}

TEST(shared_memory)
{
    struct user_proc *p = start();
    int id = shmget(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600);
    if (id < 0)
        return; /* not on this host */
    int64_t a = mm_shmat(p, id, 0, 0), b = mm_shmat(p, id, 0, SHM_RDONLY);
    shmctl(id, IPC_RMID, NULL);
    CHECK(a > 0 && b > 0);
    *(char *)user_host(p, (gva_t)a + PAGE) = 4;
    CHECK_EQ(*(char *)user_host(p, (gva_t)b + PAGE), 4);
    CHECK_EQ(prot_at(p, (gva_t)b), PROT_READ);
    CHECK_EQ(mm_shmdt(p, (gva_t)a + PAGE), -EINVAL);
    CHECK_EQ(mm_shmdt(p, (gva_t)a), 0);
    CHECK_EQ(prot_at(p, (gva_t)a + 2 * PAGE), -1);
    CHECK_EQ(mm_shmdt(p, (gva_t)b), 0);
    mm_free(p->mm);
}

/* The kernel's view: can it write there for us? */
static bool host_writable(struct user_proc *p, gva_t at)
{
    int fd[2];
    char c = 1;
    if (pipe(fd) || write(fd[1], &c, 1) != 1)
        return false;
    bool ok = read(fd[0], user_host(p, at), 1) == 1;
    close(fd[0]);
    close(fd[1]);
    return ok;
}

TEST(code_pages_are_watched)
{
    struct user_proc *p = start();
    bool current = false;
    gva_t a = map(p, 4, RW | PROT_EXEC);
    mm_watch_code(p, a + PAGE);
    CHECK(host_writable(p, a) && !host_writable(p, a + PAGE));
    CHECK_EQ(prot_at(p, a + PAGE), RW | PROT_EXEC);
    CHECK(mm_write_fault(&thread, a + PAGE + 5, &current) && current);
    CHECK_EQ(drops, 1);
    CHECK_EQ(drop_start, a + PAGE);
    CHECK_EQ(drop_len, PAGE);
    CHECK(host_writable(p, a + PAGE));
    mm_watch_code(p, a + PAGE);
    mm_watch_code(p, a + 2 * PAGE);
    mm_prepare_write(p, a + PAGE - 1, 2);
    CHECK(host_writable(p, a + PAGE) && !host_writable(p, a + 2 * PAGE));
    CHECK_EQ(drops, 2);
    mm_prepare_write(p, a, 4 * PAGE);
    CHECK(host_writable(p, a + 2 * PAGE));
    CHECK(!mm_write_fault(&thread, 0x1000, &current));
    mm_free(p->mm);
}

TEST(code_goes_with_its_mapping)
{
    struct user_proc *p = start();
    bool current;
    gva_t a = map(p, 4, PROT_READ | PROT_EXEC);
    mm_watch_code(p, a);
    CHECK(!mm_write_fault(&thread, a, &current)); /* a real fault */
    CHECK_EQ(drops, 0);
    CHECK_EQ(mm_mprotect(p, a, 2 * PAGE, RW | PROT_EXEC), 0);
    CHECK_EQ(drops, 0); /* kept until the page is written */
    CHECK(!host_writable(p, a) && host_writable(p, a + PAGE));
    CHECK_EQ(mm_mprotect(p, a, 2 * PAGE, PROT_READ | PROT_EXEC), 0);
    CHECK(!mm_write_fault(&thread, a, &current));
    CHECK_EQ(mm_mprotect(p, a, 2 * PAGE, RW | PROT_EXEC), 0);
    CHECK(mm_write_fault(&thread, a, &current) && host_writable(p, a));
    CHECK_EQ(drops, 1);
    mm_watch_code(p, a);
    CHECK_EQ(mm_mprotect(p, a, PAGE, RW), 0);
    CHECK_EQ(drops, 2);
    CHECK(host_writable(p, a));
    CHECK_EQ(mm_mprotect(p, a, PAGE, RW | PROT_EXEC), 0);
    mm_watch_code(p, a);
    drops = 0;
    CHECK_EQ(mm_mmap(p, a, PAGE, RW, ANON | MAP_FIXED, -1, 0), a);
    CHECK_EQ(drops, 1);
    CHECK(host_writable(p, a));
    mm_watch_code(p, a + 2 * PAGE);
    CHECK_EQ(mm_munmap(p, a + 2 * PAGE, PAGE), 0);
    CHECK_EQ(drops, 2);
    mm_free(p->mm);
}

TEST(many_watched_pages)
{
    struct user_proc *p = start();
    enum { N = 1000 };
    gva_t a = map(p, N, RW | PROT_EXEC);
    for (unsigned i = 0; i < N; i += 2)
        mm_watch_code(p, a + i * PAGE);
    for (unsigned i = 0; i < N; i += 3)
        mm_prepare_write(p, a + i * PAGE, 1);
    for (unsigned i = 0; i < N; i++)
        CHECK_EQ(host_writable(p, a + i * PAGE), i % 2 || i % 3 == 0);
    CHECK_EQ(mm_mremap(p, a, N * PAGE, N * PAGE / 2, 0, 0), a);
    for (unsigned i = 0; i < N / 2; i++)
        CHECK(host_writable(p, a + i * PAGE));
    mm_free(p->mm);
}

TEST(guarded_copies)
{
    struct user_proc *p = start();
    gva_t a = map(p, 2, RW | PROT_EXEC);
    char buf[64] = "text", *s;
    int err = 0;
    mm_munmap(p, a + PAGE, PAGE);
    CHECK_EQ(user_write(p, a + PAGE - 5, buf, 5), 0);
    CHECK_EQ(user_write(p, a + PAGE - 4, buf, 5), -EFAULT);
    CHECK_EQ(user_write(p, a + PAGE - 5, buf, 5), 0);
    CHECK_EQ(user_read(p, buf, a + PAGE, 1), -EFAULT);
    CHECK_EQ(user_read(p, buf, ~UINT64_C(0), 8), -EFAULT);
    CHECK_EQ(user_read(p, buf, UINT64_C(1) << 60, 8), -EFAULT);
    s = user_string(p, a + PAGE - 5, 100, &err);
    CHECK_STR(s ? s : "", "text");
    free(s);
    CHECK(!user_string(p, a + PAGE - 5, 3, &err) && err == -ENAMETOOLONG);
    CHECK_EQ(user_write(p, a + PAGE - 1, "x", 1), 0);
    CHECK(!user_string(p, a + PAGE - 5, 100, &err) && err == -EFAULT);
    mm_watch_code(p, a); /* only we made it read-only */
    CHECK_EQ(user_write(p, a + 10, buf, 60), 0);
    CHECK_EQ(drops, 1);
    mm_free(p->mm);
}

TEST(behind_the_end_of_a_file)
{
    struct user_proc *p = start();
    char name[] = "/tmp/rhea-test-XXXXXX", c;
    int fd = mkstemp(name);
    unlink(name);
    CHECK_EQ(ftruncate(fd, 100), 0);
    int64_t a = mm_mmap(p, 0, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(a > 0);
    CHECK_EQ(user_read(p, &c, (gva_t)a + 4000, 1), 0);
    CHECK_EQ(user_read(p, &c, (gva_t)a + PAGE, 1), -EFAULT); /* SIGBUS */
    close(fd);
    mm_free(p->mm);
}

TEST(reserved_space)
{
    uint64_t base = UINT64_C(0x180000000000), size = UINT64_C(64) << 20;
    struct user_proc *p = start_with(&arm, size, base);
    if (!p->mm)
        return;
    gva_t a = map(p, 4, RW);
    CHECK(a < size);
    *(char *)(uintptr_t)(base + a) = 1;
    CHECK_EQ(mm_munmap(p, a, 4 * PAGE), 0);
    /* still ours: the host cannot put anything there */
    CHECK(mmap((void *)(uintptr_t)(base + a), PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) ==
          MAP_FAILED);
    CHECK_EQ(mm_mmap(p, 0, size, RW, ANON, -1, 0), -ENOMEM);
    CHECK_EQ(mm_mmap(p, size, PAGE, RW, ANON | MAP_FIXED, -1, 0), -ENOMEM);
    CHECK_EQ(mm_mmap(p, 0x100000, PAGE, RW, ANON | MAP_FIXED, -1, 0), 0x100000);
    CHECK_EQ(mm_mremap(p, 0x100000, PAGE, 3 * PAGE, 0, 0), 0x100000);
    *(char *)(uintptr_t)(base + 0x100000 + 2 * PAGE) = 1;
    int64_t b = mm_mremap(p, 0x100000, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, 0x200000);
    CHECK_EQ(b, 0x200000);
    CHECK_EQ(*(char *)(uintptr_t)(base + 0x200000 + 2 * PAGE), 1);
    CHECK(mmap((void *)(uintptr_t)(base + 0x100000), PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) ==
          MAP_FAILED);
    mm_free(p->mm);
    munmap((void *)(uintptr_t)base, size);
}

TEST(maps_file)
{
    struct user_proc *p = start();
    gva_t a = map(p, 6, RW | PROT_EXEC);
    char *text = NULL, line[64];
    size_t len = 0;
    mm_watch_code(p, a + PAGE); /* the guest does not see what this does to the host's mappings */
    mm_watch_code(p, a + 3 * PAGE);
    FILE *f = open_memstream(&text, &len);
    mm_print_maps(p, f, false);
    fclose(f);
    snprintf(line, sizeof line, "%" PRIx64 "-%" PRIx64 " rwxp 00000000 ", a, a + 6 * PAGE);
    CHECK(strstr(text, line) != NULL);
    if (!strstr(text, line))
        printf("%s is not in\n%s", line, text);
    CHECK(!strstr(text, "libc"));
    free(text);
    f = open_memstream(&text, &len);
    mm_print_maps(p, f, true);
    fclose(f);
    CHECK(strstr(text, "Size:") != NULL);
    free(text);
    mm_free(p->mm);
}
