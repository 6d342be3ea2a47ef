/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Loads and stores of SIMD and FP registers, structures included.
 */
#include "guest/arm/tr_simd.h"

#include <string.h>

/* ---- one register ---- */

/* log2 of the bytes; opc's high bit makes it 16. False: reserved. */
static bool scale_of(int size, int opc, unsigned *ret)
{
    *ret = (unsigned)(opc & 2) << 1 | (unsigned)size;
    return *ret <= 4;
}

static void access_one(struct tr *t, bool load, unsigned scale, unsigned rt, ir_val addr,
                       int64_t disp)
{
    if (load)
        tr_set_v(t, rt, tr_load(t, IR_V128, addr, disp, scale));
    else
        tr_store(t, addr, disp, tr_v(t, rt), scale);
}

bool tr_ldst_v_12(struct tr *t, const struct arg_vls12 *a)
{
    unsigned scale;

    if (!scale_of(a->size, a->opc, &scale))
        return false;
    if (!tr_fp_check(t))
        return true;
    access_one(t, a->opc & 1, scale, (unsigned)a->rt, tr_base(t, (unsigned)a->rn),
               (int64_t)a->imm << scale);
    return true;
}

bool tr_ldst_v_9(struct tr *t, const struct arg_vls9 *a)
{
    unsigned scale;
    ir_val base;

    if (!scale_of(a->size, a->opc, &scale) || a->idx == 2)
        return false;
    if (!tr_fp_check(t))
        return true;
    base = tr_base(t, (unsigned)a->rn);
    access_one(t, a->opc & 1, scale, (unsigned)a->rt, base, a->idx == 1 ? 0 : a->imm);
    if (a->idx)
        tr_writeback(t, (unsigned)a->rn, base, a->imm);
    return true;
}

bool tr_ldst_v_reg(struct tr *t, const struct arg_vlsr *a)
{
    unsigned scale;

    if (!scale_of(a->size, a->opc, &scale) || !(a->opt & 2))
        return false;
    if (!tr_fp_check(t))
        return true;
    access_one(
        t, a->opc & 1, scale, (unsigned)a->rt,
        tr_base_index(t, (unsigned)a->rn, (unsigned)a->rm, (unsigned)a->opt, a->s ? scale : 0), 0);
    return true;
}

bool tr_ldst_v_lit(struct tr *t, const struct arg_vlit *a)
{
    if (a->opc == 3)
        return false;
    if (!tr_fp_check(t))
        return true;
    tr_set_v(t, (unsigned)a->rt,
             tr_load(t, IR_V128, tr_c64(t, (int64_t)(t->pc + (uint64_t)(int64_t)a->imm)), 0,
                     (unsigned)a->opc + 2));
    return true;
}

bool tr_ldst_v_pair(struct tr *t, const struct arg_vpair *a)
{
    unsigned scale = (unsigned)a->opc + 2;
    int64_t imm = (int64_t)a->imm * (1 << scale), disp = a->mode == 1 ? 0 : imm;
    ir_val base, v, w;

    if (a->opc == 3)
        return false;
    if (!tr_fp_check(t))
        return true;
    base = tr_base(t, (unsigned)a->rn);
    if (a->l) {
        v = tr_load(t, IR_V128, base, disp, scale);
        w = tr_load(t, IR_V128, base, disp + (1 << scale), scale);
        tr_set_v(t, (unsigned)a->rt, v);
        tr_set_v(t, (unsigned)a->rt2, w);
    } else {
        tr_store(t, base, disp, tr_v(t, (unsigned)a->rt), scale);
        tr_store(t, base, disp + (1 << scale), tr_v(t, (unsigned)a->rt2), scale);
    }
    if (a->mode & 1) /* post- and pre-index; 0: non-temporal */
        tr_writeback(t, (unsigned)a->rn, base, imm);
    return true;
}

/* ---- whole structures ---- */

static void writeback_post(struct tr *t, int rn, int rm, ir_val base, unsigned bytes)
{
    if (rm == 31)
        tr_writeback(t, (unsigned)rn, base, bytes);
    else
        tr_set_reg_sp(t, true, (unsigned)rn, ir_add(t->b, base, tr_reg(t, true, (unsigned)rm)));
}

struct multi {
    unsigned regs, bytes; /* bytes: of each register */
    bool interleaved;
    enum ir_type lane;
    unsigned size;
};

/* Structures of three, 16 bytes of memory at a time: the lanes of a register with number 0, 3, 6 ..
 * are put first, then 1, 4, 7 .., then 2, 5, 8 ..; the classes of the three registers then join to
 * the three channels, or the other way round. */
struct third {
    unsigned lanes;            /* of 16 bytes */
    unsigned start[3], len[3]; /* of the classes, in bytes */
};

static struct third third_of(const struct multi *m)
{
    struct third d = { .lanes = 16u >> m->size };

    for (unsigned k = 0; k < 3; k++)
        d.len[k] = (d.lanes + 2 - k) / 3 << m->size;
    d.start[1] = d.len[0];
    d.start[2] = d.len[0] + d.len[1];
    return d;
}

/* The lanes sorted into classes; back: from them. */
static ir_val sort3(struct tr *t, const struct multi *m, const struct third *d, ir_val v, bool back)
{
    uint8_t index[16] = { 0 };
    uint64_t half[2];

    for (unsigned i = 0; i < 16; i++) {
        unsigned lane = i >> m->size, at = i & ((1u << m->size) - 1);
        unsigned to = d->start[lane % 3] + (lane / 3 << m->size) + at;

        index[back ? i : to] = (uint8_t)(back ? to : i);
    }
    memcpy(half, index, 16);
    return vec_2(t, IR_VTBL, IR_I8, v,
                 vec_low_pair(t, ir_vconst(t->b, half[0]), ir_vconst(t->b, half[1])));
}

/* Bytes [start, start + len) of three values in a row; the lens sum up to 16. */
static ir_val join3(struct tr *t, const ir_val v[3], const unsigned start[3], const unsigned len[3])
{
    ir_val r = vec_1(t, IR_VBSHR, IR_I8, v[2], start[2]), top;

    for (unsigned i = 2; i--;) {
        if (!len[i])
            continue;
        top = vec_1(t, IR_VBSHL, IR_I8, v[i], 16 - start[i] - len[i]);
        r = ir_vop2(t->b, IR_VALIGNR, IR_I8, r, top, 16 - len[i]);
    }
    return r;
}

static void deinterleave3(struct tr *t, const struct multi *m, const ir_val v[4], ir_val r[4])
{
    struct third d = third_of(m);
    ir_val sorted[3];

    for (unsigned i = 0; i < 3; i++)
        sorted[i] = sort3(t, m, &d, v[i], false);
    for (unsigned channel = 0; channel < 3; channel++) {
        unsigned start[3], len[3];

        for (unsigned i = 0; i < 3; i++) { /* the class that holds the channel */
            unsigned k = (channel + 2 * i * d.lanes) % 3;

            start[i] = d.start[k];
            len[i] = d.len[k];
        }
        r[channel] = join3(t, sorted, start, len);
    }
}

static void interleave3(struct tr *t, const struct multi *m, const ir_val r[4], ir_val v[4])
{
    struct third d = third_of(m);

    for (unsigned i = 0; i < 3; i++) {
        unsigned start[3];
        ir_val from[3];

        for (unsigned k = 0; k < 3; k++) {
            from[k] = r[(i * d.lanes + k) % 3];
            start[k] = (i * d.lanes + k) / 3 << m->size;
        }
        v[i] = sort3(t, m, &d, join3(t, from, start, d.len), true);
    }
}

/* Memory order in m[] (64-bit registers: packed in pairs) to registers. */
static void deinterleave(struct tr *t, const struct multi *m, const ir_val v[4], ir_val r[4])
{
    bool q = m->bytes == 16;
    ir_val even[2], odd[2];

    if (m->regs == 3) {
        deinterleave3(t, m, v, r);
        return;
    }
    if (m->regs == 2) {
        r[0] = vec_2(t, IR_VUZP1, m->lane, v[0], q ? v[1] : v[0]);
        r[1] = vec_2(t, IR_VUZP2, m->lane, v[0], q ? v[1] : v[0]);
        return;
    }
    even[0] = vec_2(t, IR_VUZP1, m->lane, v[0], v[1]);
    odd[0] = vec_2(t, IR_VUZP2, m->lane, v[0], v[1]);
    even[1] = q ? vec_2(t, IR_VUZP1, m->lane, v[2], v[3]) : even[0];
    odd[1] = q ? vec_2(t, IR_VUZP2, m->lane, v[2], v[3]) : odd[0];
    r[0] = vec_2(t, IR_VUZP1, m->lane, even[0], even[1]);
    r[1] = vec_2(t, IR_VUZP1, m->lane, odd[0], odd[1]);
    r[2] = vec_2(t, IR_VUZP2, m->lane, even[0], even[1]);
    r[3] = vec_2(t, IR_VUZP2, m->lane, odd[0], odd[1]);
}

static void interleave(struct tr *t, const struct multi *m, const ir_val r[4], ir_val v[4])
{
    bool q = m->bytes == 16;
    ir_val a[2], b[2];

    if (m->regs == 3) {
        interleave3(t, m, r, v);
        return;
    }
    if (m->regs == 2) {
        v[0] = vec_2(t, IR_VUNPCKL, m->lane, r[0], r[1]);
        v[1] = q ? vec_2(t, IR_VUNPCKH, m->lane, r[0], r[1]) : v[0];
        return;
    }
    a[0] = vec_2(t, IR_VUNPCKL, m->lane, r[0], r[2]);
    b[0] = vec_2(t, IR_VUNPCKL, m->lane, r[1], r[3]);
    v[0] = vec_2(t, IR_VUNPCKL, m->lane, a[0], b[0]);
    v[1] = vec_2(t, IR_VUNPCKH, m->lane, a[0], b[0]);
    if (!q)
        return;
    a[1] = vec_2(t, IR_VUNPCKH, m->lane, r[0], r[2]);
    b[1] = vec_2(t, IR_VUNPCKH, m->lane, r[1], r[3]);
    v[2] = vec_2(t, IR_VUNPCKL, m->lane, a[1], b[1]);
    v[3] = vec_2(t, IR_VUNPCKH, m->lane, a[1], b[1]);
}

/* Bytes off .. of the structures' memory as 16-byte pieces; the last may be 8. */
static void load_multi(struct tr *t, const struct multi *m, ir_val base, unsigned rt)
{
    unsigned total = m->regs * m->bytes, piece = m->interleaved ? 16 : m->bytes, n = 0;
    ir_val v[4] = { 0 }, r[4];

    for (unsigned off = 0; off < total; off += piece, n++)
        v[n] = tr_load(t, IR_V128, base, off, total - off >= 16 && piece == 16 ? 4 : 3);
    for (unsigned i = n; i < 4; i++)
        v[i] = v[0];
    if (m->interleaved)
        deinterleave(t, m, v, r);
    for (unsigned i = 0; i < m->regs; i++)
        vec_set(t, (int)((rt + i) % 32), m->interleaved ? r[i] : v[i], m->bytes * 8);
}

static void store_multi(struct tr *t, const struct multi *m, ir_val base, unsigned rt)
{
    unsigned total = m->regs * m->bytes, piece = m->interleaved ? 16 : m->bytes, n = 0;
    ir_val v[4], r[4] = { 0 };

    for (unsigned i = 0; i < m->regs; i++)
        v[i] = r[i] = tr_v(t, (rt + i) % 32);
    if (m->interleaved)
        interleave(t, m, r, v);
    for (unsigned off = 0; off < total; off += piece, n++)
        tr_store(t, base, off, v[n], total - off >= 16 && piece == 16 ? 4 : 3);
}

static bool multi(struct tr *t, const struct arg_vst *a)
{
    static const uint8_t regs[16] = {
        [0] = 4, [2] = 4, [4] = 3, [6] = 3, [7] = 1, [8] = 2, [10] = 2
    };
    struct multi m = { .regs = regs[a->op], .bytes = a->q ? 16 : 8, .size = (unsigned)a->size };
    ir_val base;

    m.interleaved = !(a->op & 3);
    m.lane = vec_int(m.size);
    if (!m.regs || (m.interleaved && a->size == 3 && !a->q))
        return false;
    if (!tr_fp_check(t))
        return true;
    base = tr_base(t, (unsigned)a->rn);
    if (a->l)
        load_multi(t, &m, base, (unsigned)a->rt);
    else
        store_multi(t, &m, base, (unsigned)a->rt);
    if (a->post)
        writeback_post(t, a->rn, a->rm, base, m.regs * m.bytes);
    return true;
}

bool tr_ldst_multi(struct tr *t, const struct arg_vst *a)
{
    return multi(t, a);
}

bool tr_ldst_multi_p(struct tr *t, const struct arg_vst *a)
{
    return multi(t, a);
}

/* ---- one structure: to one lane, or to all ---- */

static void replicate(struct tr *t, const struct arg_vs1 *a, ir_val base, unsigned size,
                      unsigned regs)
{
    enum ir_type type = size == 3 ? IR_I64 : IR_I32;
    ir_val v[4];

    for (unsigned i = 0; i < regs; i++)
        v[i] = tr_load(t, type, base, i << size, size);
    for (unsigned i = 0; i < regs; i++)
        vec_set(t, (a->rt + (int)i) % 32, vec_1(t, IR_VDUPI, vec_int(size), v[i], 0),
                a->q ? 128 : 64);
}

static void one_lane(struct tr *t, const struct arg_vs1 *a, ir_val base, unsigned size,
                     unsigned index, unsigned regs)
{
    enum ir_type type = size == 3 ? IR_I64 : IR_I32;
    ir_val v[4];

    for (unsigned i = 0; i < regs; i++) {
        ir_val d = tr_v(t, ((unsigned)a->rt + i) % 32);

        if (a->l)
            v[i] = ir_vop2(t->b, IR_VINSERT, vec_int(size), d,
                           tr_load(t, type, base, i << size, size), index);
        else
            tr_store(t, base, i << size, vec_1(t, IR_VEXTRACT, vec_int(size), d, index), size);
    }
    for (unsigned i = 0; a->l && i < regs; i++)
        tr_set_v(t, ((unsigned)a->rt + i) % 32, v[i]);
}

static bool one(struct tr *t, const struct arg_vs1 *a)
{
    unsigned kind = (unsigned)a->op >> 1, size = kind,
             regs = (((unsigned)a->op & 1) << 1 | (unsigned)a->r) + 1;
    unsigned index = (unsigned)a->q << 3 | (unsigned)a->s << 2 | (unsigned)a->size;
    ir_val base;

    if (kind == 1) {
        if (a->size & 1)
            return false;
        index >>= 1;
    } else if (kind == 2 && !(a->size & 1)) {
        if (a->size & 2)
            return false;
        index >>= 2;
    } else if (kind == 2) {
        if (a->size & 2 || a->s)
            return false;
        size = 3;
        index >>= 3;
    } else if (kind == 3) {
        if (!a->l || a->s)
            return false;
        size = (unsigned)a->size;
    }
    if (!tr_fp_check(t))
        return true;
    base = tr_base(t, (unsigned)a->rn);
    if (kind == 3)
        replicate(t, a, base, size, regs);
    else
        one_lane(t, a, base, size, index, regs);
    if (a->post)
        writeback_post(t, a->rn, a->rm, base, regs << size);
    return true;
}

bool tr_ldst_one(struct tr *t, const struct arg_vs1 *a)
{
    return one(t, a);
}

bool tr_ldst_one_p(struct tr *t, const struct arg_vs1 *a)
{
    return one(t, a);
}
