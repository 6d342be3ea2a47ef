/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In a guest: writes numbered blocks to places of a disk that follow from the number, flushes now
 * and then, and says up to which number all is on stable storage. powerfail.py kills the machine
 * meanwhile and looks for the blocks in the image.
 *   flushwriter DEVICE BLOCKS
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 4096, FLUSH_EVERY = 8 };

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    uint64_t blocks = strtoull(argv[2], NULL, 0), *buf = NULL;
    int fd = open(argv[1], O_RDWR | O_DIRECT), sync_fd = open(argv[1], O_RDWR | O_DIRECT | O_DSYNC);
    if (fd < 0 || sync_fd < 0 || posix_memalign((void **)&buf, BLOCK, BLOCK)) {
        perror(argv[1]);
        return 1;
    }
    for (uint64_t seq = 1;; seq++) {
        uint64_t at = seq * UINT64_C(0x9e3779b97f4a7c15) >> 33;
        for (unsigned i = 0; i < BLOCK / sizeof *buf; i++)
            buf[i] = seq;
        /* one of eight is written through, which is a flush of that one alone */
        if (pwrite(seq % 8 == 3 ? sync_fd : fd, buf, BLOCK, (off_t)(at % blocks * BLOCK)) !=
            BLOCK) {
            perror("pwrite");
            return 1;
        }
        if (seq % 8 == 3)
            printf("W %llu\n", (unsigned long long)seq);
        if (seq % FLUSH_EVERY == 0) {
            if (fdatasync(fd)) {
                perror("fdatasync");
                return 1;
            }
            printf("F %llu\n", (unsigned long long)seq);
        }
        fflush(stdout);
    }
}
