/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How programs are told to open images: words of -t, --aio, --discard as open flags, the temporary
 * overlay of -s, the warning about a guessed raw image. */
#ifndef DISK_MODES_H
#define DISK_MODES_H

#include <stdio.h>

#include "disk/disk.h"

/* Set what mode means in *flags; false: no such mode. */
bool disk_mode_cache(const char *mode, unsigned *flags);   /* none, writeback, ... */
bool disk_mode_aio(const char *mode, unsigned *flags);     /* threads, native, io_uring */
bool disk_mode_discard(const char *mode, unsigned *flags); /* ignore, off, unmap, on */

/* A qcow2 image without a name over base, that takes all writes and is gone when it is closed. The
 * file lies in $TMPDIR or /var/tmp. Takes over the reference, also on failure. */
struct disk *disk_open_temporary(struct disk_graph *g, struct disk *own_base, unsigned open_flags,
                                 struct error *err);

/* A copy-on-read filter over base: what is read from backing files stays in base. Takes over the
 * reference, also on failure. */
struct disk *disk_open_copy_on_read(struct disk_graph *g, struct disk *own_base,
                                    unsigned open_flags, struct error *err);

/* Says that writes to block 0 are restricted, when a writable image was probed as raw. */
void disk_warn_probed(FILE *f, const struct disk *d);

#endif
