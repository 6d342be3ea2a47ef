/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What commands print: sizes, times and rates, dumps, and what a format tells of itself. */
#include "io/io.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"

int64_t io_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void io_size_text(double value, char buf[64])
{
    static const char *const units[] = { "EiB", "PiB", "TiB", "GiB", "MiB", "KiB" };
    const char *unit = "bytes";
    double scale = (double)(UINT64_C(1) << 60);
    for (unsigned i = 0; i < ARRAY_SIZE(units); i++, scale /= 1024) {
        if (value >= scale) {
            unit = units[i];
            break;
        }
    }
    int n = scale > 1 ? snprintf(buf, 48, "%.3f", value / scale) : snprintf(buf, 48, "%f", value);
    char *zeroes = n > 0 ? strstr(buf, ".000") : NULL;
    if (zeroes)
        *zeroes = 0;
    size_t len = strlen(buf);
    snprintf(buf + len, 64 - len, " %s", unit);
}

static void time_text(int64_t ns, bool full, char *buf, size_t size)
{
    int64_t hundredths = ns / 10000000 % 100, s = ns / 1000000000;
    int hours = (int)(s / 3600), minutes = (int)(s / 60 % 60), seconds = (int)(s % 60);
    if (full || hours || minutes)
        snprintf(buf, size, "%u:%02u:%02u.%02u", hours, minutes, seconds, (unsigned)hundredths);
    else
        snprintf(buf, size, "%02u.%02u sec", seconds, (unsigned)hundredths);
}

void io_report(const struct io_report *r)
{
    int64_t ns = MAX(io_now_ns() - r->start_ns, 1);
    double seconds = (double)ns / 1e9, rate = (double)r->done / seconds;
    char time[64], size[64], speed[64];
    time_text(ns, r->machine, time, sizeof(time));
    if (r->machine) {
        printf("%" PRIu64 ",1,%s,%.3f,%.3f\n", r->done, time, rate, 1 / seconds);
        return;
    }
    io_size_text((double)r->done, size);
    io_size_text(rate, speed);
    printf("%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n", r->verb, r->done, r->asked,
           r->offset);
    printf("%s, 1 ops; %s (%s/sec and %.4f ops/sec)\n", size, time, speed, 1 / seconds);
}

void io_dump(const uint8_t *buf, uint64_t offset, size_t len)
{
    for (size_t at = 0; at < len; at += 16) {
        size_t n = MIN(len - at, 16);
        printf("%08" PRIx64 ":  ", offset + at);
        for (size_t i = 0; i < n; i++)
            printf("%02x ", buf[at + i]);
        putchar(' ');
        for (size_t i = 0; i < n; i++)
            putchar(isalnum(buf[at + i]) ? buf[at + i] : '.');
        putchar('\n');
    }
}

static void print_indent(unsigned depth)
{
    printf("%*s", (int)depth * 4, "");
}

static void print_scalar(const json_t *j)
{
    if (json_is_string(j))
        printf("%s\n", json_string_value(j));
    else if (json_is_integer(j))
        printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(j));
    else if (json_is_real(j))
        printf("%g\n", json_real_value(j));
    else
        printf("%s\n", json_is_true(j) ? "true" : json_is_false(j) ? "false" : "");
}

static void print_member(const json_t *value, unsigned depth)
{
    bool nested = json_is_object(value) || json_is_array(value);
    printf(nested ? ":\n" : ": ");
    if (nested)
        io_print_json(value, depth + 1);
    else
        print_scalar(value);
}

void io_print_json(const json_t *j, unsigned depth)
{
    for (size_t i = 0; json_is_array(j) && i < json_array_size(j); i++) {
        print_indent(depth);
        printf("[%zu]", i);
        print_member(json_array_get(j, i), depth);
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)j, key, value)
    {
        print_indent(depth);
        for (const char *p = key; *p; p++)
            putchar(*p == '-' ? ' ' : *p);
        print_member(value, depth);
    }
}
