/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the file transport share: regular files here, block devices in host_device.c.
 */
#ifndef DISK_TRANSPORT_FILE_H
#define DISK_TRANSPORT_FILE_H

#include "disk/node_priv.h"

struct file {
    /* options */
    char *filename, *aio, *locking, *pr_manager;
    bool drop_cache, x_check_cache_dropped;
    uint64_t aio_max_batch;

    /* constant after open, but for set_perm and reopen under a drain */
    int fd; /* + 1: a zeroed struct has none */
    bool is_device, locks;
    uint32_t block_size; /* a device's logical one */

    _Atomic(bool) no_punch, no_zero_range, no_discard, no_extend_zero; /* were refused once */
    _Atomic(int) flush_error; /* sticky: the kernel reports a lost write only once */

    /* the last answer about holes; guarded by map_lock */
    pthread_mutex_t map_lock;
    uint64_t map_start, map_end;
    bool map_is_data;
    _Atomic(uint32_t) map_gen; /* rises when it may no longer be true */
    uint64_t map_seen_gen;     /* with the node's write_gen */
};

static inline int file_fd(const struct disk *d)
{
    return ((const struct file *)d->priv)->fd - 1;
}

struct file_create {
    bool nocow;
    uint64_t extent_size_hint;
};

/* file.c, for host_device.c */
extern const struct field file_options[];
extern const char *const file_required[];
void file_find_alignment(struct disk *d, int fd);
bool file_reopen(struct disk *d, const void *new_priv, unsigned flags,
                 struct error *err) MUST_CHECK;
bool file_open_fd(struct disk *d, struct error *err) MUST_CHECK;
void file_close(struct disk *d);
int file_read(struct disk *d, uint64_t offset, struct disk_vec v);
int file_write(struct disk *d, uint64_t offset, struct disk_vec v, unsigned flags);
int file_flush(struct disk *d);
int file_uring_fd(struct disk *d, enum disk_op op);
int64_t file_allocated(struct disk *d);

/* file_zero.c */
int file_zero(struct disk *d, uint64_t offset, uint64_t len, unsigned flags);
int file_discard(struct disk *d, uint64_t offset, uint64_t len);

/* file_map.c */
int file_map(struct disk *d, uint64_t offset, uint64_t len, struct disk_extent *ret);
void file_map_changed(struct disk *d);

/* file_create.c */
bool file_create(const struct disk_create *c, struct error *err) MUST_CHECK;
bool file_remove(const char *filename, struct error *err) MUST_CHECK;
bool file_resize(struct disk *d, uint64_t size, enum disk_preallocation p, bool exact,
                 struct error *err) MUST_CHECK;

/* file_lock.c: the locks that say what is done through this descriptor and what others may do. */
bool file_lock(struct disk *d, int fd, unsigned perm, unsigned shared,
               struct error *err) MUST_CHECK;
bool file_set_perm(struct disk *d, unsigned perm, unsigned shared, struct error *err) MUST_CHECK;
/* The same locks by another descriptor of the same file, without a moment between. */
void file_move_locks(struct disk *d, int from_fd, int to_fd);

#endif
