/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main() for a fuzz target outside the fuzzer: the files of a corpus, cut and changed versions of
 * them, and random bytes, always the same.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST = 1 << 20, CHANGES = 50, RANDOM_INPUTS = 1000 };

static uint32_t rnd(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

/* A copy of exactly this size, so that the sanitizer sees a read behind it. */
static void feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void feed_changed(uint8_t *data, size_t size, uint32_t *seed)
{
    feed(data, size);
    for (int i = 0; i < CHANGES && size; i++) {
        size_t at = rnd(seed) % size;
        uint8_t old = data[at];

        data[at] = (uint8_t)rnd(seed);
        feed(data, size);
        data[at] = old;
        feed(data, at);
    }
}

static unsigned feed_corpus(const char *folder, uint8_t *buf, uint32_t *seed)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    unsigned count = 0;

    while (d && (e = readdir(d))) {
        char path[4096];
        FILE *f;

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
        f = fopen(path, "rb");
        if (!f)
            continue;
        feed_changed(buf, fread(buf, 1, LARGEST, f), seed);
        fclose(f);
        count++;
    }
    if (d)
        closedir(d);
    return count;
}

int main(int argc, char **argv)
{
    uint8_t *buf = malloc(LARGEST);
    uint32_t seed = 20260101;
    unsigned files = 0;

    if (!buf)
        return 1;
    for (int i = 1; i < argc; i++)
        files += feed_corpus(argv[i], buf, &seed);
    for (int i = 0; i < RANDOM_INPUTS; i++) {
        size_t size = rnd(&seed) % (i % 10 ? 64 : 4096);

        for (size_t k = 0; k < size; k++)
            buf[k] = (uint8_t)rnd(&seed);
        feed(buf, size);
    }
    free(buf);
    printf("%u files, %d random inputs\n", files, RANDOM_INPUTS);
    return 0;
}
