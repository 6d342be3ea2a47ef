/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AML builder (ACPI 6.4 §20.2 for the encoding, §6.4 for resource descriptors). A body is written
 * in place; aml_end() then inserts the shortest package length in front of it.
 */
#include "dev/firmware/aml.h"

#include "base/bits.h"

#include <assert.h>
#include <string.h>

enum { BODY_PLAIN, BODY_RESOURCES };

enum {
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_DUAL_NAME = 0x2e,
    OP_MULTI_NAME = 0x2f,
    OP_EXT = 0x5b,
    OP_LOCAL0 = 0x60,
    OP_ARG0 = 0x68,
    OP_STORE = 0x70,
    OP_AND = 0x7b,
    OP_OR = 0x7d,
    OP_CREATE_DWORD_FIELD = 0x8a,
    OP_LNOT = 0x92,
    OP_IF = 0xa0,
    OP_ELSE = 0xa1,
    OP_LEQUAL = 0x93,
    OP_RETURN = 0xa4,
    EXT_REGION = 0x80,
    EXT_FIELD = 0x81,
    EXT_DEVICE = 0x82,
};

static void put(struct aml *a, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        uint8_t b = value >> (8 * i);
        g_byte_array_append(a->code, &b, 1);
    }
}

static void put_ext(struct aml *a, uint8_t op)
{
    put(a, OP_EXT, 1);
    put(a, op, 1);
}

/* One 4-character segment, padded with '_' (NameSeg). Returns where the text goes on. */
static const char *put_seg(struct aml *a, const char *s)
{
    unsigned n = 0;
    for (; n < 4 && *s && *s != '.'; n++)
        put(a, (uint8_t)*s++, 1);
    assert(n > 0 && (*s == '.' || *s == 0));
    for (; n < 4; n++)
        put(a, '_', 1);
    return s;
}

static void put_path(struct aml *a, const char *s)
{
    while (*s == '\\' || *s == '^')
        put(a, (uint8_t)*s++, 1);
    unsigned segs = *s ? 1 : 0;
    for (const char *p = s; *p; p++)
        segs += *p == '.';
    if (segs == 0) {
        put(a, 0, 1);
    } else if (segs == 2) {
        put(a, OP_DUAL_NAME, 1);
    } else if (segs > 2) {
        put(a, OP_MULTI_NAME, 1);
        put(a, segs, 1);
    }
    for (unsigned i = 0; i < segs; i++) {
        s = put_seg(a, s);
        if (*s == '.')
            s++;
    }
}

static void open_body(struct aml *a, uint8_t kind)
{
    assert(a->depth < AML_MAX_DEPTH);
    a->open[a->depth].start = a->code->len;
    a->open[a->depth++].kind = kind;
}

static void insert(struct aml *a, uint32_t at, const uint8_t *bytes, unsigned n)
{
    uint32_t tail = a->code->len - at;
    g_byte_array_set_size(a->code, a->code->len + n);
    memmove(a->code->data + at + n, a->code->data + at, tail);
    memcpy(a->code->data + at, bytes, n);
}

/* §20.2.4: the length counts its own bytes. Up to 63 in one byte, else 4 + 8n bits. */
static void insert_pkg_length(struct aml *a, uint32_t at)
{
    uint32_t len = a->code->len - at;
    unsigned n = len + 1 <= 0x3f ? 1 : len + 2 <= 0xfff ? 2 : len + 3 <= 0xfffff ? 3 : 4;
    uint8_t bytes[4];
    len += n;
    assert(len < BIT(28));
    if (n == 1) {
        bytes[0] = len;
    } else {
        bytes[0] = (n - 1) << 6 | (len & 0xf);
        for (unsigned i = 1; i < n; i++)
            bytes[i] = len >> (4 + 8 * (i - 1));
    }
    insert(a, at, bytes, n);
}

/* A resource template is a Buffer: its size goes before the bytes and an end tag behind them. */
static void close_resources(struct aml *a, uint32_t start)
{
    put(a, 0x79, 1);
    put(a, 0, 1); /* checksum 0: not checked (§6.4.2.9) */
    uint32_t len = a->code->len - start;
    assert(len <= 0xffff);
    insert(a, start, (const uint8_t[]){ OP_WORD, len, len >> 8 }, 3);
}

void aml_begin(struct aml *a, GByteArray *code)
{
    *a = (struct aml){ .code = code };
}

void aml_end(struct aml *a)
{
    assert(a->depth > 0);
    a->depth--;
    uint32_t start = a->open[a->depth].start;
    if (a->open[a->depth].kind == BODY_RESOURCES)
        close_resources(a, start);
    insert_pkg_length(a, start);
}

void aml_finish(struct aml *a)
{
    assert(a->depth == 0);
}

void aml_scope(struct aml *a, const char *path)
{
    put(a, OP_SCOPE, 1);
    open_body(a, BODY_PLAIN);
    put_path(a, path);
}

void aml_device(struct aml *a, const char *name)
{
    put_ext(a, EXT_DEVICE);
    open_body(a, BODY_PLAIN);
    put_path(a, name);
}

void aml_method(struct aml *a, const char *name, unsigned args, bool serialized)
{
    put(a, OP_METHOD, 1);
    open_body(a, BODY_PLAIN);
    put_path(a, name);
    put(a, (args & 7) | (serialized ? 8 : 0), 1);
}

void aml_package(struct aml *a, unsigned elements)
{
    assert(elements <= 255);
    put(a, OP_PACKAGE, 1);
    open_body(a, BODY_PLAIN);
    put(a, elements, 1);
}

void aml_resources(struct aml *a)
{
    put(a, OP_BUFFER, 1);
    open_body(a, BODY_RESOURCES);
}

void aml_if(struct aml *a)
{
    put(a, OP_IF, 1);
    open_body(a, BODY_PLAIN);
}

void aml_else(struct aml *a)
{
    put(a, OP_ELSE, 1);
    open_body(a, BODY_PLAIN);
}

void aml_buffer(struct aml *a, const void *bytes, uint8_t len)
{
    put(a, OP_BUFFER, 1);
    open_body(a, BODY_PLAIN);
    aml_int(a, len);
    g_byte_array_append(a->code, bytes, len);
    aml_end(a);
}

void aml_field(struct aml *a, const char *region)
{
    put_ext(a, EXT_FIELD);
    open_body(a, BODY_PLAIN);
    put_path(a, region);
    put(a, 1, 1); /* ByteAcc, NoLock, Preserve */
}

void aml_field_unit(struct aml *a, const char *name, unsigned bits)
{
    assert(bits <= 0x3f);
    if (name)
        (void)put_seg(a, name);
    else
        put(a, 0, 1); /* reserved bits */
    put(a, bits, 1);
}

void aml_name(struct aml *a, const char *name)
{
    put(a, OP_NAME, 1);
    put_path(a, name);
}

void aml_region(struct aml *a, const char *name, enum aml_space space, uint32_t off, uint32_t len)
{
    put_ext(a, EXT_REGION);
    put_path(a, name);
    put(a, space, 1);
    aml_int(a, off);
    aml_int(a, len);
}

void aml_int(struct aml *a, uint64_t value)
{
    if (value <= 1) {
        put(a, value ? OP_ONE : OP_ZERO, 1);
    } else if (value <= UINT8_MAX) {
        put(a, OP_BYTE, 1);
        put(a, value, 1);
    } else if (value <= UINT16_MAX) {
        put(a, OP_WORD, 1);
        put(a, value, 2);
    } else if (value <= UINT32_MAX) {
        put(a, OP_DWORD, 1);
        put(a, value, 4);
    } else {
        put(a, OP_QWORD, 1);
        put(a, value, 8);
    }
}

void aml_string(struct aml *a, const char *text)
{
    put(a, OP_STRING, 1);
    g_byte_array_append(a->code, (const uint8_t *)text, strlen(text) + 1);
}

/* Three letters of 5 bits and four hexadecimal digits, stored big-endian (§19.3.4). */
void aml_eisaid(struct aml *a, const char *id)
{
    assert(strlen(id) == 7);
    uint32_t v = (id[0] & 0x1fu) << 26 | (id[1] & 0x1fu) << 21 | (id[2] & 0x1fu) << 16;
    for (unsigned i = 0; i < 4; i++)
        v |= (uint32_t)g_ascii_xdigit_value(id[3 + i]) << (12 - 4 * i);
    put(a, OP_DWORD, 1);
    put(a, GUINT32_SWAP_LE_BE(v), 4);
}

void aml_path(struct aml *a, const char *path)
{
    put_path(a, path);
}

void aml_arg(struct aml *a, unsigned n)
{
    put(a, OP_ARG0 + n, 1);
}

void aml_local(struct aml *a, unsigned n)
{
    put(a, OP_LOCAL0 + n, 1);
}

void aml_none(struct aml *a)
{
    put(a, 0, 1);
}

void aml_and(struct aml *a)
{
    put(a, OP_AND, 1);
}

void aml_or(struct aml *a)
{
    put(a, OP_OR, 1);
}

void aml_lnot(struct aml *a)
{
    put(a, OP_LNOT, 1);
}

void aml_equal(struct aml *a)
{
    put(a, OP_LEQUAL, 1);
}

void aml_store(struct aml *a)
{
    put(a, OP_STORE, 1);
}

void aml_return(struct aml *a)
{
    put(a, OP_RETURN, 1);
}

void aml_create_dword_field(struct aml *a)
{
    put(a, OP_CREATE_DWORD_FIELD, 1);
}

void aml_io(struct aml *a, uint16_t base, uint8_t len)
{
    put(a, 0x47, 1);
    put(a, 1, 1); /* decodes 16 bits */
    put(a, base, 2);
    put(a, base, 2);
    put(a, 1, 1);
    put(a, len, 1);
}

void aml_irq_no_flags(struct aml *a, unsigned irq)
{
    assert(irq < 16);
    put(a, 0x22, 1);
    put(a, BIT(irq), 2);
}

void aml_interrupt(struct aml *a, const uint32_t *irqs, unsigned count)
{
    put(a, 0x89, 1);
    put(a, 2 + 4 * count, 2);
    put(a, 0x09, 1); /* consumer, level, active high, shared */
    put(a, count, 1);
    for (unsigned i = 0; i < count; i++)
        put(a, irqs[i], 4);
}

void aml_memory32_fixed(struct aml *a, uint32_t base, uint32_t len, bool writable)
{
    put(a, 0x86, 1);
    put(a, 9, 2);
    put(a, writable, 1);
    put(a, base, 4);
    put(a, len, 4);
}

/* Address space descriptors (§6.4.3.5): resource producers with both ends fixed. */
static void put_address_space(struct aml *a, unsigned width, uint8_t type, uint8_t type_flags,
                              uint64_t first, uint64_t last)
{
    put(a, width == 2 ? 0x88 : width == 4 ? 0x87 : 0x8a, 1);
    put(a, 3 + 5 * width, 2);
    put(a, type, 1);
    put(a, 0x0c, 1); /* producer, minimum and maximum fixed */
    put(a, type_flags, 1);
    put(a, 0, width); /* granularity */
    put(a, first, width);
    put(a, last, width);
    put(a, 0, width); /* translation */
    put(a, last - first + 1, width);
}

void aml_word_bus(struct aml *a, uint16_t first, uint16_t last)
{
    put_address_space(a, 2, 2, 0, first, last);
}

void aml_word_io(struct aml *a, uint16_t first, uint16_t last)
{
    put_address_space(a, 2, 1, 3 /* entire range */, first, last);
}

void aml_dword_memory(struct aml *a, uint32_t first, uint32_t last, bool cacheable)
{
    put_address_space(a, 4, 0, 1 | (cacheable ? 2 : 0), first, last);
}

void aml_qword_memory(struct aml *a, uint64_t first, uint64_t last)
{
    put_address_space(a, 8, 0, 3, first, last);
}
