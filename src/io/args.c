/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Arguments of commands, and the buffers they fill and check. */
#include "io/io.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "base/str.h"

#define BUFFER_ALIGN 4096 /* O_DIRECT's, on any disk of today */
#define MISALIGN     16   /* -m: off by this much */

static bool size_arg(const char *text, uint64_t *ret, int *ret_code)
{
    struct error err = { 0 };
    if (parse_size(text, 1, ret, &err) && *ret <= INT64_MAX)
        return true;
    *ret_code = err.code ? err.code : ERANGE;
    return false;
}

bool io_size_arg(const char *text, uint64_t *ret)
{
    int code;
    if (size_arg(text, ret, &code))
        return true;
    printf("Parsing error: %s -- %s\n",
           code == ERANGE ? "argument too large"
                          : "non-numeric argument, or extraneous/unrecognized suffix",
           text);
    return false;
}

bool io_sectors(const char *what, uint64_t value)
{
    if (value % 512)
        printf("%" PRIu64 " is not a sector-aligned value for '%s'\n", value, what);
    return value % 512 == 0;
}

bool io_pattern_arg(const char *text, int *ret)
{
    struct error err = { 0 };
    uint64_t v;
    if (!parse_u64(text, &v, &err) || v > UINT8_MAX) {
        printf("%s is not a valid pattern byte\n", text);
        return false;
    }
    *ret = (int)v;
    return true;
}

void *io_buffer(struct io *io, uint64_t len, int pattern)
{
    size_t shift = io->misaligned ? MISALIGN : 0;
    uint8_t *p;
    if (posix_memalign((void **)&p, BUFFER_ALIGN, MAX(len, 1) + shift)) {
        printf("%s: %" PRIu64 " bytes of memory are not to be had\n", io->program, len);
        return NULL;
    }
    memset(p, pattern, len + shift);
    return p + shift;
}

void io_buffer_free(struct io *io, void *buf)
{
    if (buf)
        free((uint8_t *)buf - (io->misaligned ? MISALIGN : 0));
}

static bool piece_arg(const char *text, uint64_t before, uint64_t *ret)
{
    if (!io_size_arg(text, ret))
        return false;
    if (*ret > IO_MAX_BYTES) {
        printf("Argument '%s' exceeds maximum size %d\n", text, IO_MAX_BYTES);
        return false;
    }
    if (before > IO_MAX_BYTES - *ret) {
        printf("The total number of bytes exceed the maximum size %d\n", IO_MAX_BYTES);
        return false;
    }
    return true;
}

bool io_buffers_make(struct io *io, struct io_buffers *b, char **argv, int count, int pattern)
{
    *b = (struct io_buffers){ .iov = xnew_array(struct iovec, count), .count = (unsigned)count };
    for (int i = 0; i < count; i++) {
        uint64_t len;
        if (!piece_arg(argv[i], b->len, &len)) {
            free(b->iov);
            return false;
        }
        b->iov[i].iov_len = len;
        b->len += len;
    }
    b->buf = io_buffer(io, b->len, pattern);
    uint8_t *at = b->buf;
    for (int i = 0; i < count; i++) {
        b->iov[i].iov_base = at;
        at += b->iov[i].iov_len;
    }
    if (!b->buf)
        free(b->iov);
    return b->buf;
}

void io_buffers_free(struct io *io, struct io_buffers *b)
{
    io_buffer_free(io, b->buf);
    free(b->iov);
}

bool io_buffer_from_file(const char *path, uint8_t *buf, size_t len)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    size_t n = fread(buf, 1, len, f);
    bool failed = ferror(f);
    fclose(f);
    if (failed || (!n && len)) {
        fprintf(stderr, "%s: %s\n", path, failed ? "reading failed" : "file is empty");
        return false;
    }
    for (size_t at = n; at < len; at += n)
        memcpy(buf + at, buf, MIN(n, len - at));
    return true;
}

bool io_verify(const uint8_t *buf, size_t len, int pattern, uint64_t offset)
{
    size_t i = 0;
    while (i < len && buf[i] == pattern)
        i++;
    if (i < len)
        printf("Pattern verification failed at offset %" PRIu64 ", %zu bytes\n", offset, len);
    return i == len;
}
