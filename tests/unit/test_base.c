/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/bits.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/field.h"
#include "base/log.h"
#include "base/optlist.h"
#include "base/reader.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/trace.h"
#include "base/types.h"

TEST(bits)
{
    CHECK_EQ(BITS(7, 4), 0xf0);
    CHECK_EQ(BITS(63, 0), UINT64_MAX);
    CHECK_EQ(BITS(63, 63), BIT(63));
    CHECK_EQ(bits(0x1234, 4, 8), 0x23);
    CHECK_EQ(bits(UINT64_MAX, 0, 64), UINT64_MAX);
    CHECK_EQ(bits_set(0xffff, 4, 8, 0), 0xf00f);
    CHECK_EQ(sext(0x80, 8), -128);
    CHECK_EQ(sext(0x7f, 8), 127);
    CHECK_EQ(ALIGN_UP(UINT64_C(0x100000001), 0x1000), UINT64_C(0x100001000));
    CHECK_EQ(ALIGN_DOWN(UINT64_C(0xffffffff1), 0x1000), UINT64_C(0xffffff000));
    CHECK(is_pow2(1) && is_pow2(BIT(63)) && !is_pow2(0) && !is_pow2(6));
}

TEST(checked)
{
    uint32_t r;

    CHECK(checked_add(1u, 2u, &r) && r == 3);
    CHECK(!checked_add(UINT32_MAX, 1u, &r));
    CHECK(!checked_mul(0x10000u, 0x10000u, &r));
}

TEST(endian)
{
    uint8_t b[9] = { 0 };

    st_le32(b + 1, 0x11223344);
    CHECK_EQ(b[1], 0x44);
    CHECK_EQ(ld_be32(b + 1), 0x44332211);
    st_be64(b + 1, 0x0102030405060708);
    CHECK_EQ(b[1], 1);
    CHECK_EQ(ld_le64(b + 1), 0x0807060504030201);
    st_be16(b, 0xabcd);
    CHECK_EQ(ld_le16(b), 0xcdab);
}

TEST(error)
{
    struct error err;
    char big[400];

    CHECK(!fail(&err, ENOENT, "disk '%s'", "a"));
    CHECK_EQ(err.code, ENOENT);
    CHECK_STR(err.hint, "");
    CHECK(!fail_hint(&err, "make one"));
    err_prefix(&err, "vm: ");
    CHECK_STR(err.msg, "vm: disk 'a'");
    CHECK_STR(err.hint, "make one");
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    fail(&err, 1, "%s", big);
    CHECK_EQ(strlen(err.msg), sizeof(err.msg) - 1);
    CHECK_STR(err.msg + sizeof(err.msg) - 4, "...");
    err_prefix(&err, "front: ");
    CHECK(!strncmp(err.msg, "front: xxx", 10));
    CHECK_EQ(strlen(err.msg), sizeof(err.msg) - 1);
    fail(&err, 2, "again: %.20s", err.msg);
    CHECK(!strncmp(err.msg, "again: front: xxx", 17));
}

TEST(nearest)
{
    static const char *const names[] = { "machine", "memory", "smp", "serial", NULL };

    CHECK_STR(nearest_name("machin", names), "machine");
    CHECK_STR(nearest_name("mahcine", names), "machine");
    CHECK_STR(nearest_name("Serail", names), "serial");
    CHECK_STR(nearest_name("spm", names), "smp");
    CHECK(!nearest_name("frobnicate", names));
    CHECK(!nearest_name("", names));
}

TEST(parse_size)
{
    static const struct {
        const char *text;
        uint64_t unit, value;
        bool ok;
    } t[] = {
        { "512", MIB, 512 * MIB, true },
        { "262144k", MIB, 256 * MIB, true },
        { "1.5G", MIB, 1536 * MIB, true },
        { "0x1000", 1, 4096, true },
        { "4096B", MIB, 4096, true },
        { "2T", 1, 2048 * GIB, true },
        { "0", MIB, 0, true },
        { "", 1, 0, false },
        { "-1", 1, 0, false },
        { "1.5", 1, 0, false },
        { "1Q", 1, 0, false },
        { "1kk", 1, 0, false },
        { "17E", 1, 0, false },
        { "99999999999999999999", 1, 0, false },
        { "18446744073709551615M", 1, 0, false },
        { "1.", MIB, 0, false },
    };
    struct error err;

    for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
        uint64_t v = 0;
        bool ok = parse_size(t[i].text, t[i].unit, &v, &err);

        if (ok != t[i].ok || v != t[i].value)
            TEST_FAIL("parse_size(\"%s\"): %d %#" PRIx64, t[i].text, ok, v);
    }
}

TEST(parse_numbers)
{
    struct error err;
    uint64_t u = 7;
    int64_t s;
    bool b;

    CHECK(parse_u64("0x10", &u, &err) && u == 16);
    CHECK(!parse_u64("12x", &u, &err) && u == 16);
    CHECK(!parse_u64("-1", &u, &err));
    CHECK(!parse_u64("18446744073709551616", &u, &err));
    CHECK(parse_i64("-9223372036854775808", &s, &err) && s == INT64_MIN);
    CHECK(!parse_i64("9223372036854775808", &s, &err));
    CHECK(parse_bool("on", &b, &err) && b);
    CHECK(parse_bool("no", &b, &err) && !b);
    CHECK(!parse_bool("maybe", &b, &err));
    CHECK_STR(err.hint, "write on or off");
}

TEST(optlist)
{
    struct optlist l;
    struct error err;
    uint64_t n = 5;
    bool b = true;

    CHECK(optlist_parse(&l, "pc,accel=tcg,path=a,,b,flag,n=0x10,dump=off,n=7", "type", &err));
    CHECK_STR(optlist_take(&l, "type"), "pc");
    CHECK_STR(optlist_take(&l, "path"), "a,b");
    CHECK_STR(optlist_take(&l, "flag"), "on");
    CHECK(optlist_take_u64(&l, "n", &n, &err) && n == 7);
    CHECK(optlist_take_bool(&l, "dump", &b, &err) && !b);
    CHECK(optlist_take_u64(&l, "missing", &n, &err) && n == 7);
    CHECK(!optlist_done(&l, "-machine", &err));
    CHECK_STR(err.msg, "-machine: no option is called 'accel'");
    CHECK_STR(optlist_take(&l, "accel"), "tcg");
    CHECK(optlist_done(&l, "-machine", &err));
    optlist_finish(&l);

    CHECK(optlist_parse(&l, "bsae=utc", NULL, &err));
    CHECK(!optlist_take(&l, "base"));
    CHECK(!optlist_done(&l, "-rtc", &err));
    CHECK_STR(err.hint, "did you mean 'base'?");
    optlist_finish(&l);

    CHECK(!optlist_parse(&l, "a=1,=2", NULL, &err));
    optlist_finish(&l);
    CHECK(optlist_parse(&l, "", "type", &err));
    CHECK_EQ(l.count, 0);
    optlist_finish(&l);
}

struct thing {
    bool on;
    uint8_t small;
    int16_t delta;
    uint64_t ram_size;
    char *name;
    uint32_t regs[3];
    enum { RED, GREEN } colour;
    struct thing *other;
};

static const struct field *const thing_fields =
    FIELDS(FIELD(struct thing, on), FIELD(struct thing, small, .min = 1, .max = 9),
           FIELD(struct thing, delta), FIELD(struct thing, ram_size, .is_size = true),
           FIELD(struct thing, name, .wire = "full-name"), FIELD_ARRAY(struct thing, regs),
           FIELD(struct thing, colour), FIELD_LINK(struct thing, other, "thing"));

static bool set(struct thing *t, const char *name, const char *text, struct error *err)
{
    return field_set_str(t, thing_fields, name, text, err);
}

TEST(field_set)
{
    struct thing t = { 0 };
    struct error err;

    CHECK(set(&t, "on", "on", &err) && t.on);
    CHECK(set(&t, "small", "0x9", &err) && t.small == 9);
    CHECK(!set(&t, "small", "10", &err));
    CHECK_STR(err.msg, "small: 10 is outside 1..9");
    CHECK(!set(&t, "small", "0", &err));
    CHECK(!set(&t, "small", "300", &err));
    CHECK(set(&t, "delta", "-5", &err) && t.delta == -5);
    CHECK(!set(&t, "delta", "40000", &err));
    CHECK(set(&t, "ram-size", "64k", &err) && t.ram_size == 65536);
    CHECK(set(&t, "full-name", "x", &err) && set(&t, "name", "y", &err));
    CHECK_STR(t.name, "y");
    CHECK(!set(&t, "ram-sise", "1", &err));
    CHECK_STR(err.hint, "did you mean 'ram_size'?");
    CHECK(!set(&t, "delta", "xyz", &err));
    CHECK_STR(err.msg, "delta: 'xyz' is not a number");
    CHECK(!set(&t, "other", "x", &err));
    CHECK(!set(&t, "regs", "1", &err));
    field_free_strings(&t, thing_fields);
    CHECK(!t.name);
}

TEST(field_print)
{
    struct thing t = { .delta = -2, .regs = { 1, 2, 0x10 } };
    char buf[64];

    field_print(&t, field_find(thing_fields, "regs"), buf, sizeof(buf));
    CHECK_STR(buf, "0x1 0x2 0x10");
    field_print(&t, field_find(thing_fields, "delta"), buf, sizeof(buf));
    CHECK_STR(buf, "-2");
    CHECK_EQ(field_get(&t, field_find(thing_fields, "delta"), 0), -2);
    CHECK_EQ(field_print(&t, field_find(thing_fields, "regs"), buf, 4), 12);
    CHECK_STR(buf, "0x1");
}

TEST(arena)
{
    struct arena a = { 0 };
    struct arena_mark m;
    char *p, *q;

    p = arena_alloc(&a, 3, 1);
    q = arena_alloc(&a, 8, 64);
    CHECK(q >= p + 3 && !((uintptr_t)q & 63));
    m = arena_mark(&a);
    p = arena_alloc(&a, 100, 8);
    memset(arena_alloc(&a, 1 << 20, 16), 1, 1 << 20);
    arena_release(&a, m);
    CHECK(arena_alloc(&a, 100, 8) == p);
    arena_reset(&a);
    for (int i = 0; i < 10000; i++)
        memset(arena_alloc(&a, 1 + i % 200, 8), i, 1 + i % 200);
    arena_finish(&a);
    CHECK(arena_alloc(&a, 1, 1));
    arena_finish(&a);
}

TEST(reader)
{
    static const uint8_t buf[] = { 1, 2, 3, 4, 5, 6, 7 };
    struct reader r = reader(buf, sizeof(buf));
    uint8_t out[4] = { 9, 9, 9, 9 };

    CHECK_EQ(rd_u8(&r), 1);
    CHECK_EQ(rd_be16(&r), 0x0203);
    CHECK_EQ(rd_le32(&r), 0x07060504);
    CHECK(rd_ok(&r) && rd_left(&r) == 0);
    rd_bytes(&r, out, 4);
    CHECK(!rd_ok(&r) && out[0] == 0 && rd_left(&r) == 0);
    rd_seek(&r, 0);
    CHECK_EQ(rd_u8(&r), 0); /* errors stick */
    r = reader(buf, sizeof(buf));
    rd_seek(&r, 8);
    CHECK(!rd_ok(&r));
}

static int leave_early(pthread_mutex_t *l)
{
    WITH_LOCK (l) {
        return 1;
    }
    return 0;
}

TEST(scope)
{
    pthread_mutex_t l = PTHREAD_MUTEX_INITIALIZER;
    AUTO_FREE char *s = xstrdup("a");
    AUTO_FREE char *t = TAKE(s);
    int n = 0;

    CHECK(!s && t);
    CHECK_EQ(leave_early(&l), 1);
    CHECK_EQ(pthread_mutex_trylock(&l), 0);
    pthread_mutex_unlock(&l);
    WITH_LOCK (&l) {
        n++;
        CHECK_EQ(pthread_mutex_trylock(&l), EBUSY);
    }
    CHECK_EQ(n, 1);
}

static int trace_evaluated;

static int count_trace(void)
{
    return ++trace_evaluated;
}

static void traced(void)
{
    TRACE(unit, "n=%d", count_trace());
}

TEST(log_and_trace)
{
    char path[] = "/tmp/rhea-log-XXXXXX", text[256] = "";
    AUTO_CLOSE int fd = mkstemp(path);
    struct error err;

    CHECK(log_set_file(path, &err));
    CHECK(!log_set_items("in_asm,itn", &err));
    CHECK_STR(err.hint, "did you mean 'int'? '-d help' lists them");
    CHECK(!log_enabled(LOG_IN_ASM));
    CHECK(log_set_items("int,guest_errors", &err));
    CHECK(log_enabled(LOG_INT) && log_enabled(LOG_GUEST_ERRORS) && !log_enabled(LOG_CPU));
    log_write(LOG_CPU, "no\n");
    log_write(LOG_INT, "yes %d\n", 3);
    traced();
    CHECK_EQ(trace_evaluated, 0);
    CHECK(trace_option("unit.tr*", &err));
    traced();
    CHECK_EQ(trace_evaluated, 1);
    CHECK(trace_option("enable=-unit", &err));
    traced();
    CHECK_EQ(trace_evaluated, 1);
    CHECK(!trace_option("nothing.*", &err));
    CHECK(!trace_option("enable=unit,flie=x", &err));
    CHECK_STR(err.hint, "did you mean 'file'?");
    CHECK(log_set_items("none", &err) && !log_enabled(LOG_INT));
    CHECK(read(fd, text, sizeof(text) - 1) > 0);
    CHECK(!strncmp(text, "yes 3\n", 6) && strstr(text, "unit.traced n=1\n"));
    unlink(path);
}
