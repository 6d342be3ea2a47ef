/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "-object memory-backend-ram|file|memfd,id=N,size=S": where a guest's memory comes from. The
 * object holds the descriptor; mem/ maps it in place of the anonymous memory it would have used.
 */
#ifndef BASE_MEMORY_BACKEND_H
#define BASE_MEMORY_BACKEND_H

#include "base/object.h"

struct memory_backend {
    uint64_t size, offset, align;
    char *mem_path; /* of -file: a file or a folder (hugetlbfs) */
    bool share, prealloc, merge, dump, discard_data, readonly, reserve, hugetlb, seal;
    uint64_t hugetlbsize;
    uint32_t prealloc_threads;
    char *policy;
    int fd; /* -1: anonymous memory */
};

extern const struct object_type memory_backend_ram_object, memory_backend_file_object,
    memory_backend_memfd_object;

/* By id, any of the three; NULL with err. */
struct memory_backend *memory_backend_find(struct object_set *s, const char *id, struct error *err);

#endif
