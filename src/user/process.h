/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the process parts of user/ (proc, mm, loader, stack, exec, procfs) share with each other.
 * What others call is in user/user.h.
 */
#ifndef USER_PROCESS_H
#define USER_PROCESS_H

#include "user/elf_user.h"
#include "user/user.h"

enum {
    USER_PAGE = 4096,
    USER_BTI = 0x10, /* PROT_BTI of arm64: kept in the map of guest memory, unknown to the host */
};

/* ---- a program's file, opened and parsed (loader.c) ---- */
struct user_image {
    int fd; /* -1: none */
    struct elf_user elf;
    char *path; /* as the guest named it */
    bool bti;   /* its code pages are guarded */
    /* after mapping */
    gva_t bias, entry;
    gva_t brk, start_code, end_code, start_data, end_data;
};
/* Opens and parses; the path is a host path. fd >= 0: this descriptor instead (then owned by ret).
 * On failure err->code says how: ENOENT, EACCES, ENOEXEC (no ELF file, or not a guest's), EINVAL.
 */
bool user_image_open(struct user_image *ret, const char *path, int fd,
                     struct error *err) MUST_CHECK;
void user_image_finish(struct user_image *i);
/* The interpreter's name (free it); NULL when there is none or, with err->code set, it is broken.
 */
char *user_image_interp(const struct user_image *i, struct error *err);
const struct user_abi *user_abi_for(const struct elf_user *e);

/* The open program, between user_main() and load_program(). */
struct user_start {
    struct user_image image;
    /* a script: what its first line put in front of the arguments */
    char **argv;
};
bool user_start_open(struct user_start *s, const struct user_options *opt,
                     struct error *err) MUST_CHECK;
void user_start_finish(struct user_start *s);
int user_exit_status(const struct error *err);

/* ---- the stack (stack.c) ---- */
struct user_stack {
    const struct user_image *image;
    gva_t interp_base;
    char **argv, **envp;
    const char *execfn;
};
/* Maps the stack: at the top of what mmap hands out, which ends below it from then on. */
bool user_stack_map(struct user_proc *p, bool exec, struct error *err) MUST_CHECK;
/* Fills the mapped stack; *ret_sp points to argc. */
bool user_stack_build(struct user_thread *t, const struct user_stack *in, gva_t *ret_sp,
                      struct error *err) MUST_CHECK;

/* ---- memory (mm.c) ---- */
void mm_free(struct mm *mm);
/* Where programs that may lie anywhere go, and the top of what mmap hands out. */
gva_t mm_dyn_base(const struct mm *mm);
gva_t mm_top(const struct mm *mm);
void mm_set_top(struct mm *mm, gva_t top);
void mm_set_brk(struct mm *mm, gva_t start);
void mm_set_stack(struct mm *mm, gva_t start, gva_t end);
gva_t mm_stack(const struct mm *mm, gva_t *ret_end); /* its start */
void mm_set_read_implies_exec(struct mm *mm);
/* Can [first, end) be had at host address base + first? Nothing stays mapped. */
bool mm_range_is_free(uint64_t base, gva_t first, gva_t end);

/* ---- starting programs (exec.c) ---- */
enum { USER_SHEBANG_MAX = 256 };
/* "#! interpreter [argument]" in the first bytes of a file; both are cut out of head. False: none.
 */
bool user_shebang(char *head, size_t len, char **ret_interp, char **ret_arg);

#endif
