/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads the guest's program and its ELF interpreter as Linux does (fs/binfmt_elf.c's rules): maps
 * their segments, clears what lies behind the file's part, and starts at the interpreter when there
 * is one.
 */
#include "user/process.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"

const struct user_abi *user_abi_for(const struct elf_user *e)
{
    for (const struct user_abi *const *a = user_abis; *a; a++)
        if ((*a)->elf_machine == e->machine && (*a)->elf_class == e->elf_class)
            return *a;
    return NULL;
}

/* What to do about a program that no guest runs. */
static bool foreign(const struct elf_user *e, struct error *err)
{
    const char *name = elf_user_machine_name(e->machine);
    char number[24];
    snprintf(number, sizeof number, "ELF machine %u", e->machine);
    (void)fail(err, ENOEXEC, "a %d-bit program for %s", e->elf_class == ELFCLASS64 ? 64 : 32,
               name ? name : number);
    return fail_hint(err, "guests of this version: aarch64, riscv64, x86_64, i386");
}

static bool read_at(int fd, void *to, size_t len, uint64_t off, const char *what, struct error *err)
{
    ssize_t n = pread(fd, to, len, (off_t)off);
    if (n < 0)
        return fail(err, errno, "%s: %s", what, strerror(errno));
    if ((size_t)n != len)
        return fail(err, EINVAL, "file is truncated in its %s", what);
    return true;
}

static bool parse(struct user_image *i, struct error *err)
{
    struct stat st;
    char head[1024]; /* the program headers mostly follow the file header at once */
    if (fstat(i->fd, &st) != 0)
        return fail(err, errno, "%s", strerror(errno));
    if (S_ISDIR(st.st_mode) || !S_ISREG(st.st_mode))
        return fail(err, EACCES, S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file");
    ssize_t n = pread(i->fd, head, sizeof head, 0);
    if (n < 0)
        return fail(err, errno, "%s", strerror(errno));
    if (!elf_user_header(head, n, st.st_size, &i->elf, err))
        return false;
    if (!user_abi_for(&i->elf))
        return foreign(&i->elf, err);
    size_t len = (size_t)i->elf.phnum * i->elf.phentsize;
    if (i->elf.phoff <= (size_t)n && len <= (size_t)n - i->elf.phoff)
        return elf_user_segments(head + i->elf.phoff, len, st.st_size, &i->elf, err);
    AUTO_FREE char *phdrs = xnew_array(char, len);
    return read_at(i->fd, phdrs, len, i->elf.phoff, "program headers", err) &&
           elf_user_segments(phdrs, len, st.st_size, &i->elf, err);
}

bool user_image_open(struct user_image *ret, const char *path, int fd, struct error *err)
{
    *ret = (struct user_image){ .fd = fd, .path = xstrdup(path) };
    if (fd < 0)
        ret->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (ret->fd < 0)
        (void)fail(err, errno, "%s", strerror(errno));
    else if (parse(ret, err)) {
        char note[USER_PAGE];
        if (ret->elf.machine == EM_AARCH64 && ret->elf.note_size)
            ret->bti = pread(ret->fd, note, ret->elf.note_size, (off_t)ret->elf.note_off) ==
                           (ssize_t)ret->elf.note_size &&
                       elf_user_wants_bti(note, ret->elf.note_size);
        return true;
    }
    user_image_finish(ret);
    return false;
}

void user_image_finish(struct user_image *i)
{
    if (i->fd >= 0)
        close(i->fd);
    free(i->path);
    i->path = NULL;
    i->fd = -1;
}

char *user_image_interp(const struct user_image *i, struct error *err)
{
    if (!i->elf.interp_size)
        return NULL;
    char *name = xnew_array(char, i->elf.interp_size + 1);
    if (!read_at(i->fd, name, i->elf.interp_size, i->elf.interp_off, "interpreter's name", err)) {
        free(name);
        return NULL;
    }
    if (name[i->elf.interp_size - 1] || !name[0]) {
        (void)fail(err, EINVAL, "the name of the ELF interpreter does not end");
        free(name);
        return NULL;
    }
    return name;
}

static bool cannot_map(const struct user_image *i, const char *what, gva_t at, uint64_t len,
                       int64_t code, struct error *err)
{
    (void)fail(err, (int)-code, "%s: cannot map its %s at %#" PRIx64 " (%" PRIu64 " KiB): %s",
               i->path, what, at, len / 1024, strerror((int)-code));
    return code == -EPERM
               ? fail_hint(err, "see /proc/sys/vm/mmap_min_addr, or use -B 0x10000000000")
           : code == -ENOMEM || code == -EEXIST
               ? fail_hint(err,
                           "that place is taken or too big; -B 0x10000000000 moves the program")
               : false;
}

/* The part of the last page behind the file's bytes is zero. */
static void clear_tail(struct user_proc *p, gva_t from)
{
    uint64_t len = ALIGN_UP(from, USER_PAGE) - from;
    if (len)
        memset(user_host(p, from), 0, len);
}

static bool map_segment(struct user_proc *p, const struct user_image *i,
                        const struct elf_user_load *s, struct error *err)
{
    gva_t at = i->bias + s->at, start = ALIGN_DOWN(at, USER_PAGE);
    gva_t file_end = at + s->file_size, end = ALIGN_UP(at + s->mem_size, USER_PAGE);
    gva_t zero = s->file_size ? ALIGN_UP(file_end, USER_PAGE) : start;
    int prot = s->prot;
    int guard = i->bti && prot & PROT_EXEC ? USER_BTI : 0;
    int64_t r;
    if (s->file_size) {
        r = mm_mmap(p, start, zero - start, prot | guard, MAP_PRIVATE | MAP_FIXED, i->fd,
                    s->file_off - (at - start));
        if (r < 0)
            return cannot_map(i, "file", start, zero - start, r, err);
        if (s->mem_size > s->file_size && prot & PROT_WRITE)
            clear_tail(p, file_end);
    }
    if (zero >= end)
        return true;
    r = mm_mmap(p, zero, end - zero, prot | guard, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
    return r >= 0 || cannot_map(i, "zeroed memory", zero, end - zero, r, err);
}

/* Address space for all segments; what no segment takes is given back later. */
static bool reserve(struct user_proc *p, struct user_image *i, gva_t hint, struct error *err)
{
    const struct elf_user *e = &i->elf;
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint64_t len = e->end - e->first, extra = e->align > USER_PAGE ? e->align : 0;
    int64_t r;
    if (e->type == ET_EXEC) {
        r = mm_mmap(p, e->first, len, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0);
        return r >= 0 || cannot_map(i, "segments", e->first, len, r, err);
    }
    r = mm_mmap(p, hint, len + extra, PROT_NONE, flags, -1, 0);
    if (r < 0)
        return cannot_map(i, "segments", hint, len + extra, r, err);
    gva_t at = ALIGN_UP((gva_t)r, e->align) + e->first % e->align;
    if (at + len > (gva_t)r + len + extra)
        at -= e->align;
    if (at > (gva_t)r)
        (void)mm_munmap(p, (gva_t)r, at - (gva_t)r);
    if (at + len < (gva_t)r + len + extra)
        (void)mm_munmap(p, at + len, (gva_t)r + extra - at);
    i->bias = at - e->first;
    return true;
}

static void give_back_holes(struct user_proc *p, const struct user_image *i)
{
    const struct elf_user *e = &i->elf;
    gva_t at = e->first;
    while (at < e->end) {
        gva_t next = e->end, covered = at;
        for (unsigned k = 0; k < e->load_count; k++) {
            gva_t s = ALIGN_DOWN(e->load[k].at, USER_PAGE);
            gva_t end = ALIGN_UP(e->load[k].at + e->load[k].mem_size, USER_PAGE);
            if (s <= at && end > covered)
                covered = end;
            else if (s > at && s < next)
                next = s;
        }
        if (covered > at) {
            at = covered;
            continue;
        }
        (void)mm_munmap(p, i->bias + at, next - at);
        at = next;
    }
}

static void note_limits(struct user_image *i)
{
    const struct elf_user *e = &i->elf;
    i->start_code = i->start_data = ~UINT64_C(0);
    for (unsigned k = 0; k < e->load_count; k++) {
        const struct elf_user_load *s = &e->load[k];
        gva_t at = i->bias + s->at, end = at + s->file_size;
        if (s->prot & PROT_EXEC) {
            i->start_code = MIN(i->start_code, at);
            i->end_code = MAX(i->end_code, end);
        } else {
            i->start_data = MIN(i->start_data, at);
            i->end_data = MAX(i->end_data, end);
        }
    }
    i->brk = i->bias + e->end;
    i->entry = i->bias + e->entry;
}

static bool map_image(struct user_proc *p, struct user_image *i, gva_t hint, struct error *err)
{
    if (i->elf.end > p->abi->va_limit)
        return fail(err, EINVAL, "%s: ends at %#" PRIx64 ", beyond the address space of %s",
                    i->path, i->elf.end, p->abi->name);
    if (!reserve(p, i, hint, err))
        return false;
    for (unsigned k = 0; k < i->elf.load_count; k++)
        if (!map_segment(p, i, &i->elf.load[k], err))
            return false;
    give_back_holes(p, i);
    note_limits(i);
    return true;
}

static bool interp_missing(const struct user_proc *p, const char *program, const char *name,
                           struct error *err)
{
    const char *tuple = p->abi->elf_class == ELFCLASS32 ? "i686" : p->abi->name;
    const char *const *pkg = p->abi->interp_packages;
    AUTO_FREE char *dir = xasprintf("/usr/%s-linux-gnu", tuple);
    AUTO_FREE char *there = xasprintf("%s%s", dir, name);
    (void)fail(err, ENOENT, "%s: its ELF interpreter '%s' is missing", program, name);
    if (access(there, F_OK) == 0)
        return fail_hint(err, "-L %s has it", dir);
    if (strstr(name, "musl"))
        return fail_hint(err, "-L DIR names a root directory that has musl for %s", p->abi->name);
    return fail_hint(err, "install %s and use -L %s, or -L DIR of a root that has it",
                     pkg && pkg[0] ? pkg[0] : "its libc", dir);
}

static bool open_interp(struct user_proc *p, struct user_image *ret, const char *program,
                        const char *name, struct error *err)
{
    AUTO_FREE char *own = NULL;
    const char *path = user_path(p, name, &own);
    if (!user_image_open(ret, path, -1, err)) {
        if (err->code == ENOENT)
            return interp_missing(p, program, name, err);
        err_prefix(err, "%s: its ELF interpreter '%s': ", program, path);
        return false;
    }
    if (user_abi_for(&ret->elf) != p->abi) {
        (void)fail(err, ENOEXEC, "%s: its ELF interpreter '%s' is for %s, not for %s", program,
                   path, user_abi_for(&ret->elf)->name, p->abi->name);
        user_image_finish(ret);
        return fail_hint(err, "-L DIR names the root directory of a %s system", p->abi->name);
    }
    return true;
}

static bool load_interp(struct user_proc *p, const struct user_image *program,
                        struct user_image *ret, struct error *err)
{
    *ret = (struct user_image){ .fd = -1 };
    err->code = 0;
    AUTO_FREE char *name = user_image_interp(program, err);
    if (!name)
        return err->code == 0;
    return open_interp(p, ret, program->path, name, err) && map_image(p, ret, 0, err);
}

static void keep_limits(struct user_proc *p, const struct user_image *i)
{
    p->entry = i->entry;
    p->load_bias = i->bias;
    p->phdr = i->elf.phdr ? i->bias + i->elf.phdr : 0;
    p->start_code = i->start_code;
    p->end_code = i->end_code;
    p->start_data = i->start_data;
    p->end_data = i->end_data;
}

/* Linux: a program for i386 that says nothing about its stack may execute all it can read. */
static void stack_rules(struct user_proc *p, const struct user_image *i)
{
    if (i->elf.machine == EM_386 && (!i->elf.has_stack || i->elf.exec_stack))
        mm_set_read_implies_exec(p->mm);
}

bool load_program(struct user_thread *t, struct error *err)
{
    struct user_proc *p = t->proc;
    struct user_image *program = &p->start->image, interp = { .fd = -1 };
    gva_t sp;
    stack_rules(p, program);
    if (!map_image(p, program, mm_dyn_base(p->mm), err))
        return false;
    keep_limits(p, program);
    mm_set_brk(p->mm, program->brk);
    struct user_stack stack = {
        .image = program,
        .argv = p->start->argv ? p->start->argv : p->opt->argv,
        .envp = p->opt->envp,
        .execfn = program->path,
    };
    bool ok =
        user_stack_map(p, program->elf.exec_stack, err) && load_interp(p, program, &interp, err);
    if (ok) {
        stack.interp_base = interp.path ? interp.bias : 0;
        ok = user_stack_build(t, &stack, &sp, err);
    }
    if (ok)
        p->abi->start(t->cpu, interp.path ? interp.entry : program->entry, sp);
    user_image_finish(&interp);
    return ok;
}
