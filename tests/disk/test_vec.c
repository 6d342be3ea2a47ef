/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "disk/vec.h"

#include <stdlib.h>

#include "base/bits.h"
#include "test.h"

TEST(flat)
{
    char buf[64];
    struct disk_vec v = vec_of(buf, sizeof(buf)), s = vec_slice(v, 10, 20);
    struct iovec iov[2];
    size_t len;

    CHECK(vec_flat(&s) == buf + 10);
    CHECK_EQ(vec_fill(&s, iov, 2, &len), 1);
    CHECK_EQ(len, 20);
    CHECK(iov[0].iov_base == buf + 10);
    s = vec_slice(s, 20, 0);
    CHECK_EQ(vec_fill(&s, iov, 2, &len), 0);
}

/* Every slice of a scattered buffer holds the bytes that the flat one has there. */
TEST(slices)
{
    uint8_t flat[41], out[41];
    struct iovec iov[6];
    size_t at = 0;
    static const size_t lens[6] = { 3, 0, 11, 1, 20, 6 };

    for (size_t i = 0; i < sizeof(flat); i++)
        flat[i] = (uint8_t)i;
    for (int i = 0; i < 6; i++) {
        iov[i].iov_base = memcpy(malloc(lens[i] + 1), flat + at, lens[i]);
        iov[i].iov_len = lens[i];
        at += lens[i];
    }
    for (size_t skip = 0; skip <= sizeof(flat); skip++) {
        for (size_t len = 0; len <= sizeof(flat) - skip; len++) {
            struct disk_vec v = vec_slice(vec_of_iov(iov, 6), skip, len);
            struct disk_vec w = vec_slice(v, len / 2, len - len / 2);
            struct iovec part[2];
            size_t got, total = 0;

            vec_to_buf(&v, out);
            CHECK_MEM(out, flat + skip, len);
            vec_to_buf(&w, out);
            CHECK_MEM(out, flat + skip + len / 2, len - len / 2);
            while (total < len) {
                struct disk_vec rest = vec_slice(v, total, len - total);

                CHECK(vec_fill(&rest, part, 2, &got) >= 1);
                CHECK_MEM(part[0].iov_base, flat + skip + total, part[0].iov_len);
                total += got;
            }
            CHECK_EQ(total, len);
        }
    }
    for (int i = 0; i < 6; i++)
        free(iov[i].iov_base);
}

TEST(copy_and_clear)
{
    char a[8] = "abcdefg", b[8] = "ABCDEFG", in[] = "12345678";
    struct iovec iov[2] = { { a, 7 }, { b, 7 } };
    struct disk_vec v = vec_slice(vec_of_iov(iov, 2), 3, 8);

    vec_from_buf(&v, in);
    CHECK_STR(a, "abc1234");
    CHECK_STR(b, "5678EFG");
    CHECK(!vec_is_zero(&v));
    vec_clear(&v);
    CHECK(vec_is_zero(&v));
    CHECK_STR(a, "abc");
    CHECK_STR(b + 4, "EFG");
}

TEST(alignment)
{
    char *p = aligned_alloc(512, 2048);
    struct iovec iov[2] = { { p, 512 }, { p + 1024, 1024 } };
    struct disk_vec v = vec_of_iov(iov, 2), s;

    CHECK(vec_aligned(&v, 512));
    s = vec_slice(v, 512, 512);
    CHECK(vec_aligned(&s, 512));
    s = vec_slice(v, 8, 512);
    CHECK(!vec_aligned(&s, 512));
    CHECK(vec_aligned(&s, 8));
    free(p);
}

/* One byte that is not zero is found wherever it lies. */
TEST(zero)
{
    uint8_t buf[700] = { 0 };

    for (size_t len = 0; len < 600; len += 1 + len / 9) {
        for (size_t off = 0; off < 9; off++) {
            CHECK(buf_is_zero(buf + off, len));
            for (size_t i = 0; i < len; i++) {
                buf[off + i] = 1;
                CHECK(!buf_is_zero(buf + off, len));
                buf[off + i] = 0;
            }
        }
    }
    buf[0] = buf[100] = 1;
    CHECK(buf_is_zero(buf + 1, 99));
}
