/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * REP MOVS, STOS, LODS, CMPS, SCAS. They work in pieces: up to the end of a page through host
 * pointers where memory is plain RAM and the direction is up, element by element elsewhere. rCX,
 * rSI and rDI are brought up to date after each piece, before anything that may fault: a fault
 * shows the elements done so far. vCPU thread.
 */
#include "guest/x86/help_string.h"

#include <string.h>

#include "base/endian.h"
#include "guest/x86/tr_core.h"

struct string_op {
    struct x86_cpu *x;
    unsigned what, size;
    uint64_t mask; /* of offsets and the count */
    int64_t step;
};

static struct string_op string_begin(struct x86_cpu *x, uint64_t what)
{
    unsigned size = 1u << (what & STRING_SIZE), addr_bits = 8u << (what >> STRING_ADDR_SHIFT & 3);

    return (struct string_op){
        .x = x,
        .what = (unsigned)what,
        .size = size,
        .mask = BITS(addr_bits - 1, 0),
        .step = x->df ? -(int64_t)size : (int64_t)size,
    };
}

static uint64_t get_reg(const struct string_op *s, unsigned reg)
{
    return s->x->gpr[reg] & s->mask;
}

static void set_reg(const struct string_op *s, unsigned reg, uint64_t v)
{
    uint64_t *r = &s->x->gpr[reg];

    *r = s->mask == UINT16_MAX ? (*r & ~s->mask) | (v & s->mask) : v & s->mask;
}

/* n elements are done. */
static void advance(const struct string_op *s, uint64_t n, bool src, bool dst)
{
    if (src)
        set_reg(s, X86_RSI, get_reg(s, X86_RSI) + n * (uint64_t)s->step);
    if (dst)
        set_reg(s, X86_RDI, get_reg(s, X86_RDI) + n * (uint64_t)s->step);
    set_reg(s, X86_RCX, get_reg(s, X86_RCX) - n);
}

static unsigned source_seg(const struct string_op *s)
{
    return s->what >> STRING_SEG_SHIFT & 7;
}

/* Linear address of the element at seg:off, checked against the segment. */
static gva_t element(const struct string_op *s, unsigned seg, uint64_t off, enum cpu_access access)
{
    struct x86_cpu *x = s->x;

    if (s->what & STRING_CODE64)
        return seg >= X86_FS ? x->seg_base[seg] + off : off;
    if (x->c.mode & (seg >= X86_FS ? X86_MODE_LIMITS | X86_MODE_LIMITS_FG : X86_MODE_LIMITS))
        x86_check_seg(x, seg, off, s->size, access == CPU_WRITE);
    return (uint32_t)(x->seg_base[seg] + off);
}

/* Elements from off on that fit before the offset wraps; 0 where pieces are not possible at all. */
static uint64_t piece_limit(const struct string_op *s, uint64_t off)
{
    bool checked =
        !(s->what & STRING_CODE64) && s->x->c.mode & (X86_MODE_LIMITS | X86_MODE_LIMITS_FG);

    if (s->step < 0 || s->what & STRING_ONE || checked || s->x->c.mode & X86_MODE_AC)
        return 0;
    return (s->mask - off) / s->size; /* leaves the last element before the wrap to the slow way */
}

/* Host pointer for up to *n elements at seg:off; *n shrinks to what lies on the page. NULL: element
 * by element. */
static uint8_t *piece(const struct string_op *s, unsigned seg, uint64_t off, enum cpu_access access,
                      uint64_t *n)
{
    unsigned len = 0;
    uint64_t limit = piece_limit(s, off);

    *n = MIN(*n, limit);
    if (!*n)
        return NULL;
    uint8_t *p =
        cpu_host_ptr(&s->x->c, element(s, seg, off, access), access, s->x->c.mmu_index, &len);
    *n = MIN(*n, (uint64_t)(len / s->size));
    return *n ? p : NULL;
}

static uint64_t load(const struct string_op *s, unsigned seg, uint64_t off)
{
    return cpu_load(&s->x->c, element(s, seg, off, CPU_READ), s->size, s->x->c.mmu_index);
}

static void store(const struct string_op *s, uint64_t off, uint64_t v)
{
    cpu_store(&s->x->c, element(s, X86_ES, off, CPU_WRITE), v, s->size, s->x->c.mmu_index);
}

static uint64_t host_element(const uint8_t *p, unsigned size)
{
    switch (size) {
    case 1: return *p;
    case 2: return ld_le16(p);
    case 4: return ld_le32(p);
    default: return ld_le64(p);
    }
}

/* True when the helper must return: single step, or something waits. */
static bool must_stop(const struct string_op *s)
{
    return s->what & STRING_ONE || cpu_exit_pending(&s->x->c);
}

/* Upwards, element by element as far as it shows: an overlapping destination above the source
 * repeats it. */
static void copy_up(uint8_t *d, const uint8_t *s, size_t bytes, unsigned size)
{
    if (d <= s || d >= s + bytes) {
        memmove(d, s, bytes);
        return;
    }
    if ((size_t)(d - s) < size) { /* elements overlap themselves */
        for (size_t n = 0; n < bytes; n += size)
            memmove(d + n, s + n, size);
        return;
    }
    for (size_t done = 0, gap = (size_t)(d - s) / size * size; done < bytes; done += gap)
        memcpy(d + done, s + done, MIN(gap, bytes - done));
}

static uint64_t do_rep_movs(struct x86_cpu *x, uint64_t what)
{
    struct string_op s = string_begin(x, what);
    uint64_t n;

    while ((n = get_reg(&s, X86_RCX))) {
        uint64_t from = get_reg(&s, X86_RSI), to = get_reg(&s, X86_RDI);
        uint8_t *src = piece(&s, source_seg(&s), from, CPU_READ, &n);
        uint8_t *dst = src ? piece(&s, X86_ES, to, CPU_WRITE, &n) : NULL;
        if (dst) {
            copy_up(dst, src, n * s.size, s.size);
            cpu_host_wrote(&x->c, dst, n * s.size);
        } else {
            n = 1;
            store(&s, to, load(&s, source_seg(&s), from));
        }
        advance(&s, n, true, true);
        if (must_stop(&s))
            break;
    }
    return !get_reg(&s, X86_RCX);
}

static void fill(uint8_t *p, uint64_t v, uint64_t n, unsigned size)
{
    if (size == 1) {
        memset(p, (int)v, n);
        return;
    }
    for (uint64_t k = 0; k < n; k++, p += size) {
        switch (size) {
        case 2: st_le16(p, (uint16_t)v); break;
        case 4: st_le32(p, (uint32_t)v); break;
        default: st_le64(p, v); break;
        }
    }
}

static uint64_t do_rep_stos(struct x86_cpu *x, uint64_t what)
{
    struct string_op s = string_begin(x, what);
    uint64_t n;

    while ((n = get_reg(&s, X86_RCX))) {
        uint64_t to = get_reg(&s, X86_RDI);
        uint8_t *dst = piece(&s, X86_ES, to, CPU_WRITE, &n);
        if (dst) {
            fill(dst, x->gpr[X86_RAX], n, s.size);
            cpu_host_wrote(&x->c, dst, n * s.size);
        } else {
            n = 1;
            store(&s, to, x->gpr[X86_RAX]);
        }
        advance(&s, n, false, true);
        if (must_stop(&s))
            break;
    }
    return !get_reg(&s, X86_RCX);
}

static void set_acc(const struct string_op *s, uint64_t v)
{
    uint64_t *a = &s->x->gpr[X86_RAX];

    *a = s->size >= 4 ? v : (*a & ~BITS(s->size * 8 - 1, 0)) | v;
}

static uint64_t do_rep_lods(struct x86_cpu *x, uint64_t what)
{
    struct string_op s = string_begin(x, what);

    while (get_reg(&s, X86_RCX)) {
        set_acc(&s, load(&s, source_seg(&s), get_reg(&s, X86_RSI)));
        advance(&s, 1, true, false);
        if (must_stop(&s))
            break;
    }
    return !get_reg(&s, X86_RCX);
}

/* Flags of the last comparison; true when REPE or REPNE ends with it. */
static bool compared(const struct string_op *s, uint64_t a, uint64_t b)
{
    s->x->cc_a = a;
    s->x->cc_b = b;
    s->x->cc_op = X86_CC_SUB + (s->what & STRING_SIZE);
    return (a == b) == !!(s->what & STRING_REPNE);
}

/* Elements of a and b (stride 0: one value) up to and including the one that ends the repetition;
 * at most n. */
static uint64_t scan(const struct string_op *s, const uint8_t *a, unsigned stride, const uint8_t *b,
                     uint64_t n)
{
    bool until_equal = s->what & STRING_REPNE;

    for (uint64_t k = 0; k < n; k++, a += stride, b += s->size)
        if ((host_element(a, s->size) == host_element(b, s->size)) == until_equal)
            return k + 1;
    return n;
}

static uint64_t do_rep_cmps(struct x86_cpu *x, uint64_t what)
{
    struct string_op s = string_begin(x, what);
    uint64_t n, a, b;

    while ((n = get_reg(&s, X86_RCX))) {
        uint64_t from = get_reg(&s, X86_RSI), to = get_reg(&s, X86_RDI);
        uint8_t *p = piece(&s, source_seg(&s), from, CPU_READ, &n);
        uint8_t *q = p ? piece(&s, X86_ES, to, CPU_READ, &n) : NULL;
        if (q) {
            n = scan(&s, p, s.size, q, n);
            a = host_element(p + (n - 1) * s.size, s.size);
            b = host_element(q + (n - 1) * s.size, s.size);
        } else {
            n = 1;
            a = load(&s, source_seg(&s), from);
            b = load(&s, X86_ES, to);
        }
        advance(&s, n, true, true);
        if (compared(&s, a, b))
            return 1;
        if (must_stop(&s))
            break;
    }
    return !get_reg(&s, X86_RCX);
}

static uint64_t do_rep_scas(struct x86_cpu *x, uint64_t what)
{
    struct string_op s = string_begin(x, what);
    uint64_t n, b;

    while ((n = get_reg(&s, X86_RCX))) {
        uint64_t to = get_reg(&s, X86_RDI), acc = x->gpr[X86_RAX] & BITS(s.size * 8 - 1, 0);
        uint8_t *q = piece(&s, X86_ES, to, CPU_READ, &n), value[8];
        if (q) {
            st_le64(value, acc);
            n = scan(&s, value, 0, q, n);
            b = host_element(q + (n - 1) * s.size, s.size);
        } else {
            n = 1;
            b = load(&s, X86_ES, to);
        }
        advance(&s, n, false, true);
        if (compared(&s, acc, b))
            return 1;
        if (must_stop(&s))
            break;
    }
    return !get_reg(&s, X86_RCX);
}

const struct helper x86_h_rep_movs = { "x86_rep_movs", (helper_fn *)do_rep_movs, "i32 i32", 0 };
const struct helper x86_h_rep_stos = { "x86_rep_stos", (helper_fn *)do_rep_stos, "i32 i32", 0 };
const struct helper x86_h_rep_lods = { "x86_rep_lods", (helper_fn *)do_rep_lods, "i32 i32", 0 };
const struct helper x86_h_rep_cmps = { "x86_rep_cmps", (helper_fn *)do_rep_cmps, "i32 i32", 0 };
const struct helper x86_h_rep_scas = { "x86_rep_scas", (helper_fn *)do_rep_scas, "i32 i32", 0 };
