/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of /proc that must tell the guest's truth instead of ours: its program, its memory, its
 * arguments, its processor. The content is made when the file is opened, into a memory file.
 */
#include "user/process.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"
#include "guest/arm/models.h"
#include "guest/riscv/riscv.h"

/* The part of "/proc/self/...", "/proc/thread-self/...", "/proc/PID/..." (also with task/TID/)
 * behind the process, if it is this one; NULL otherwise. */
static const char *own_file(const struct user_thread *t, const char *path)
{
    const char *rest = str_after(path, "/proc/"), *at;
    if (!rest)
        return NULL;
    if ((at = str_after(rest, "self/")) || (at = str_after(rest, "thread-self/"))) {
        rest = at;
    } else {
        char *end;
        unsigned long pid = isdigit((unsigned char)*rest) ? strtoul(rest, &end, 10) : 0;
        if (!pid || *end != '/' || (pid != (unsigned long)getpid() && pid != (unsigned long)t->tid))
            return NULL;
        rest = end + 1;
    }
    at = str_after(rest, "task/");
    if (at && isdigit((unsigned char)*at)) {
        at += strspn(at, "0123456789");
        if (*at == '/')
            rest = at + 1;
    }
    while (*rest == '/')
        rest++;
    return rest;
}

/* Strings and vector are in the guest's memory, which it may have unmapped: guarded. */
static void print_memory(struct user_proc *p, FILE *f, gva_t start, gva_t end)
{
    char buf[USER_PAGE];
    while (start < end) {
        size_t n = MIN((uint64_t)sizeof buf, end - start);
        if (user_read(p, buf, start, n))
            return;
        fwrite(buf, 1, n, f);
        start += n;
    }
}

static void print_maps(struct user_thread *t, FILE *f)
{
    mm_print_maps(t->proc, f, false);
}

static void print_smaps(struct user_thread *t, FILE *f)
{
    mm_print_maps(t->proc, f, true);
}

static void print_auxv(struct user_thread *t, FILE *f)
{
    print_memory(t->proc, f, t->proc->auxv_start, t->proc->auxv_end);
}

static void print_cmdline(struct user_thread *t, FILE *f)
{
    print_memory(t->proc, f, t->proc->arg_start, t->proc->arg_end);
}

static void print_environ(struct user_thread *t, FILE *f)
{
    print_memory(t->proc, f, t->proc->env_start, t->proc->env_end);
}

/* proc(5): the fields that are addresses are the guest's, the rest is the host's. */
static void print_stat(struct user_thread *t, FILE *f)
{
    struct user_proc *p = t->proc;
    char buf[2048];
    AUTO_CLOSE int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
    if (n <= 0)
        return;
    buf[n] = 0;
    char *rest = strrchr(buf, ')'), *save = NULL;
    if (!rest)
        return;
    fprintf(f, "%.*s", (int)(rest + 1 - buf), buf);
    unsigned field = 3;
    for (char *w = strtok_r(rest + 1, " \n", &save); w; w = strtok_r(NULL, " \n", &save), field++) {
        switch (field) {
        case 26: fprintf(f, " %" PRIu64, p->start_code); break;
        case 27: fprintf(f, " %" PRIu64, p->end_code); break;
        case 28: fprintf(f, " %" PRIu64, p->start_stack); break;
        case 29:
        case 30: fprintf(f, " 0"); break; /* kstkesp, kstkeip */
        case 45: fprintf(f, " %" PRIu64, p->start_data); break;
        case 46: fprintf(f, " %" PRIu64, p->end_data); break;
        case 47: fprintf(f, " %" PRIu64, (uint64_t)mm_brk(p, 0)); break;
        case 48: fprintf(f, " %" PRIu64, p->arg_start); break;
        case 49: fprintf(f, " %" PRIu64, p->arg_end); break;
        case 50: fprintf(f, " %" PRIu64, p->env_start); break;
        case 51: fprintf(f, " %" PRIu64, p->env_end); break;
        default: fprintf(f, " %s", w);
        }
    }
    fputc('\n', f);
}

static unsigned cpu_count(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

/* Names of arm64's hardware capabilities in the order of their bits (arch/arm64/kernel/cpuinfo.c).
 */
static const char *const arm_features[] = {
    "fp",      "asimd",   "evtstrm",  "aes",      "pmull",      "sha1",    "sha2",   "crc32",
    "atomics", "fphp",    "asimdhp",  "cpuid",    "asimdrdm",   "jscvt",   "fcma",   "lrcpc",
    "dcpop",   "sha3",    "sm3",      "sm4",      "asimddp",    "sha512",  "sve",    "asimdfhm",
    "dit",     "uscat",   "ilrcpc",   "flagm",    "ssbs",       "sb",      "paca",   "pacg",
    "dcpodp",  "sve2",    "sveaes",   "svepmull", "svebitperm", "svesha3", "svesm4", "flagm2",
    "frint",   "svei8mm", "svef32mm", "svef64mm", "svebf16",    "i8mm",    "bf16",   "dgh",
    "rng",     "bti",     "mte",      "ecv",      "afp",        "rpres",   "mte3",
};

static void print_cpuinfo_arm(struct user_thread *t, FILE *f)
{
    uint64_t cap = t->proc->abi->hwcap(t->cpu), cap2 = t->proc->abi->hwcap2(t->cpu);
    uint32_t midr = ((const struct a64_cpu *)t->cpu)->model->midr;
    for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
        fprintf(f, "processor\t: %u\nBogoMIPS\t: 100.00\nFeatures\t:", cpu);
        for (unsigned i = 0; i < ARRAY_SIZE(arm_features); i++)
            if (i < 32 ? cap & BIT(i) : cap2 & BIT(i - 32))
                fprintf(f, " %s", arm_features[i]);
        fprintf(f,
                "\nCPU implementer\t: 0x%02x\nCPU architecture: 8\nCPU variant\t: 0x%x\n"
                "CPU part\t: 0x%03x\nCPU revision\t: %u\n\n",
                midr >> 24, midr >> 20 & 15, midr >> 4 & 0xfff, midr & 15);
    }
}

/* The order of the ISA manual, "ISA Extension Naming Conventions". */
static void print_isa(const struct rv_cpu *r, FILE *f)
{
    static const struct {
        uint8_t ext;
        char name[16];
    } names[] = {
        { RV_EXT_M, "m" },
        { RV_EXT_A, "a" },
        { RV_EXT_F, "f" },
        { RV_EXT_D, "d" },
        { RV_EXT_C, "c" },
        { RV_EXT_Zicbom, "_zicbom" },
        { RV_EXT_Zicbop, "_zicbop" },
        { RV_EXT_Zicboz, "_zicboz" },
        { RV_EXT_Zicntr, "_zicntr" },
        { RV_EXT_Zicond, "_zicond" },
        { RV_EXT_Zicsr, "_zicsr" },
        { RV_EXT_Zifencei, "_zifencei" },
        { RV_EXT_Zihintpause, "_zihintpause" },
        { RV_EXT_Zihpm, "_zihpm" },
        { RV_EXT_Zfhmin, "_zfhmin" },
        { RV_EXT_Zba, "_zba" },
        { RV_EXT_Zbb, "_zbb" },
        { RV_EXT_Zbc, "_zbc" },
        { RV_EXT_Zbs, "_zbs" },
    };
    fputs("rv64i", f);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (rv_has(r, names[i].ext))
            fputs(names[i].name, f);
}

static void print_cpuinfo_riscv(struct user_thread *t, FILE *f)
{
    for (unsigned cpu = 0; cpu < cpu_count(); cpu++) {
        fprintf(f, "processor\t: %u\nhart\t\t: %u\nisa\t\t: ", cpu, cpu);
        print_isa(rv_of(t->cpu), f);
        fprintf(f, "\nmmu\t\t: sv48\nmvendorid\t: 0x0\nmarchid\t\t: 0x0\nmimpid\t\t: 0x0\n\n");
    }
}

static void print_cpuinfo(struct user_thread *t, FILE *f)
{
    if (t->proc->abi->elf_machine == EM_AARCH64)
        print_cpuinfo_arm(t, f);
    else
        print_cpuinfo_riscv(t, f);
}

static const struct special {
    const char *name;
    void (*print)(struct user_thread *t, FILE *f);
} own_files[] = {
    { "maps", print_maps },       { "smaps", print_smaps },     { "auxv", print_auxv },
    { "cmdline", print_cmdline }, { "environ", print_environ }, { "stat", print_stat },
};

static const struct special *find_special(const struct user_thread *t, const char *path)
{
    static const struct special cpuinfo = { "cpuinfo", print_cpuinfo };
    const char *rest = own_file(t, path);
    for (unsigned i = 0; rest && i < ARRAY_SIZE(own_files); i++)
        if (!strcmp(rest, own_files[i].name))
            return &own_files[i];
    if (!strcmp(path, "/proc/cpuinfo") && t->proc->abi->elf_machine != EM_386 &&
        t->proc->abi->elf_machine != EM_X86_64)
        return &cpuinfo;
    return NULL;
}

int procfs_open(struct user_thread *t, const char *path, int flags)
{
    if (strncmp(path, "/proc/", 6) != 0)
        return -1;
    const char *rest = own_file(t, path);
    if (rest && !strcmp(rest, "exe")) {
        int fd = open(t->proc->exe_path, flags);
        return fd < 0 ? -errno : fd;
    }
    const struct special *s = find_special(t, path);
    if (!s)
        return -1;
    if ((flags & O_ACCMODE) != O_RDONLY)
        return -EACCES;
    int fd = memfd_create(s->name, flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
    if (fd < 0)
        return -errno;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) {
        close(fd);
        return -ENOMEM;
    }
    s->print(t, f);
    fclose(f);
    bool ok = write(fd, text, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0;
    free(text);
    if (ok)
        return fd;
    close(fd);
    return -EIO;
}

bool procfs_readlink(struct user_thread *t, const char *path, char *buf, size_t size)
{
    const char *rest = own_file(t, path);
    if (!rest || strcmp(rest, "exe") || strlen(t->proc->exe_path) >= size)
        return false;
    strcpy(buf, t->proc->exe_path);
    return true;
}
