/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/self/maps and smaps as the guest should see them: the host kernel's lines, which know files
 * and offsets, cut to what the map says is the guest's and with the guest's protection.
 */
#include "user/mm_priv.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>

#include "base/bits.h"
#include "base/scope.h"

struct line { /* of the host's file */
    uint64_t start, end, offset;
    char perms[5], dev[32], inode[24];
    char name[4200];
};

static bool parse(const char *text, struct line *l)
{
    int at = 0;
    if (sscanf(text, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %31s %23s %n", &l->start, &l->end,
               l->perms, &l->offset, l->dev, l->inode, &at) < 6)
        return false;
    snprintf(l->name, sizeof l->name, "%s", text + at);
    l->name[strcspn(l->name, "\n")] = 0;
    return true;
}

/* "[heap]" and "[stack]" are the guest's; the host's names for such memory are not. */
static const char *name_of(const struct mm *mm, const struct line *l, gva_t start, gva_t end)
{
    if (start < mm->brk && end > mm->brk_start && l->inode[0] == '0')
        return "[heap]";
    if (start < mm->stack_end && end > mm->stack_start)
        return "[stack]";
    return l->name[0] == '[' && l->name[1] != 'a' ? "" : l->name;
}

static void print_line(const struct mm *mm, FILE *f, const struct line *l, gva_t start, gva_t end,
                       uint8_t prot)
{
    const char *name = name_of(mm, l, start, end);
    uint64_t off = l->inode[0] == '0' && !l->inode[1] ? 0 : l->offset;
    if (off || strcmp(l->inode, "0"))
        off = l->offset + (start + mm->proc->cpu_user.base - l->start);
    int n = fprintf(f, "%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64 " %s %s", start, end,
                    prot & PROT_READ ? 'r' : '-', prot & PROT_WRITE ? 'w' : '-',
                    prot & PROT_EXEC ? 'x' : '-', l->perms[3], off, l->dev, l->inode);
    if (name[0])
        fprintf(f, "%*s%s", MAX(73 - n, 1), "", name);
    fputc('\n', f);
}

struct pending { /* a line that the next one may continue */
    struct line line;
    gva_t start, end;
    uint8_t prot;
    bool used;
};

static bool continues(const struct mm *mm, const struct pending *p, const struct line *l,
                      gva_t start, uint8_t prot)
{
    bool file = strcmp(l->inode, "0") != 0;
    return p->used && p->end == start && p->prot == prot && !strcmp(p->line.name, l->name) &&
           !strcmp(p->line.inode, l->inode) && !strcmp(p->line.dev, l->dev) &&
           p->line.perms[3] == l->perms[3] &&
           (!file ||
            p->line.offset + (start + mm->proc->cpu_user.base - p->line.start) == l->offset);
}

static void flush(const struct mm *mm, FILE *f, struct pending *p)
{
    if (p->used)
        print_line(mm, f, &p->line, p->start, p->end, p->prot);
    p->used = false;
}

/* The guest's parts of a host mapping. Returns how many there are. */
static unsigned print_parts(struct mm *mm, FILE *f, const struct line *l, struct pending *p,
                            bool join)
{
    uint64_t base = mm->proc->cpu_user.base;
    unsigned n = 0;
    if (l->end <= base)
        return 0;
    gva_t from = MAX(l->start, base) - base, to = l->end - base;
    for (size_t i = mm_map_find(&mm->map, from); i < mm->map.count && mm->map.r[i].start < to;
         i++) {
        const struct mm_region *r = &mm->map.r[i];
        gva_t start = MAX(r->start, from), end = MIN(r->end, to);
        if (join && continues(mm, p, l, start, r->prot)) {
            p->end = end;
        } else {
            flush(mm, f, p);
            *p = (struct pending){ *l, start, end, r->prot, true };
        }
        n++;
    }
    return n;
}

/* Without /proc of the host: what we know ourselves. */
static void print_plain(struct mm *mm, FILE *f)
{
    struct line l = { .perms = "---p", .dev = "00:00", .inode = "0" };
    WITH_LOCK (&mm->change)
        for (size_t i = 0; i < mm->map.count; i++) {
            const struct mm_region *r = &mm->map.r[i];
            print_line(mm, f, &l, r->start, r->end, r->prot);
        }
}

void mm_print_maps(struct user_proc *p, FILE *f, bool smaps)
{
    struct mm *mm = p->mm;
    FILE *host = fopen(smaps ? "/proc/self/smaps" : "/proc/self/maps", "re");
    static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char text[4608];
    bool ours = false;
    if (!host) {
        print_plain(mm, f);
        return;
    }
    WITH_LOCK (&mm->change) {
        struct pending pending = { 0 };
        mm_sync_grown(mm);
        struct line l;
        while (fgets(text, sizeof text, host)) {
            /* smaps: lines of details follow, "Size: ..." */
            if (smaps && strchr(upper, text[0])) {
                if (ours)
                    fputs(text, f);
                continue;
            }
            if (!parse(text, &l))
                continue;
            ours = print_parts(mm, f, &l, &pending, !smaps) > 0;
            if (smaps)
                flush(mm, f, &pending);
        }
        flush(mm, f, &pending);
    }
    fclose(host);
}
