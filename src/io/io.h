/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rhea-io: commands typed or given with -c that read, write and disturb an image; one record each.
 * All of it runs in the main thread; asynchronous requests complete in io_reap(). */
#ifndef IO_IO_H
#define IO_IO_H

#include "base/object.h"
#include "disk/disk.h"
#include "disk/queue.h"

/* Most bytes of one command, and of one argument of it. */
#define IO_MAX_BYTES 2147483136

/* How images are opened unless told otherwise: discards do reach the host. */
#define IO_OPEN_FLAGS (DISK_RDWR | DISK_UNMAP)

struct io {
    const char *program; /* as called: prompt and messages begin with it */
    struct object_set *objects;
    struct disk_graph *graph;
    struct disk *disk;        /* NULL: nothing is open */
    struct disk_queue *queue; /* made when first needed */
    struct io_tag *stopped;   /* requests of which it was said that they stopped */
    bool misaligned, quit;
};

struct io_command {
    const char *name, *alias, *args, *doc, *help;
    int (*run)(struct io *io, int argc,
               char **argv); /* 0, or negative errno: the exit status is 1 */
    int min_args, max_args;  /* -1: any number */
    bool without_disk;       /* runs with nothing open */
    bool writes;             /* needs a disk that is not read-only */
};
extern const struct io_command *const io_commands[]; /* NULL-terminated, made by listgen.py */

int io_main(int argc, char **argv);

/* io.c */
const struct io_command *io_command_find(const char *name);
int io_usage(const char *typed); /* prints the command's one line; -EINVAL */
void io_print_doc(const struct io_command *c, const char *typed);
void io_complain(const struct io *io, const struct error *err); /* "rhea-io: what; hint" */

/* open.c: -t, -i, -d and their like, for the command line and for open. */
struct io_open {
    const char *format; /* NULL: probe, or what the options say */
    unsigned flags;     /* enum disk_open_flags */
    bool snapshot;
};
bool io_set_cache(unsigned *flags, const char *mode, struct error *err) MUST_CHECK;
bool io_set_aio(unsigned *flags, const char *mode, struct error *err) MUST_CHECK;
bool io_set_discard(unsigned *flags, const char *mode, struct error *err) MUST_CHECK;
/* opts is consumed; name may be NULL. Complaints are printed. 0 or negative errno. */
int io_open(struct io *io, const char *name, struct optlist *opts, const struct io_open *o);
void io_close(struct io *io); /* waits for what is in flight */

/* aio.c */
bool io_need_queue(struct io *io);
void io_reap(struct io *io); /* what has completed by now */
void io_reap_all(struct io *io);
void io_wait_ms(struct io *io, int ms); /* completions are reported meanwhile */

/* cmd_debug.c: requests stopped at breakpoints go on */
void io_let_all_go(struct io *io);

/* args.c: arguments and buffers; complaints are printed. */
bool io_size_arg(const char *text, uint64_t *ret); /* at most INT64_MAX */
bool io_sectors(const char *what, uint64_t value); /* the VM state is read in whole sectors */
bool io_pattern_arg(const char *text, int *ret);
void *io_buffer(struct io *io, uint64_t len, int pattern);
void io_buffer_free(struct io *io, void *buf);
/* One buffer cut into pieces of the lengths that argv[] names. */
struct io_buffers {
    uint8_t *buf;
    size_t len;
    struct iovec *iov;
    unsigned count;
};
bool io_buffers_make(struct io *io, struct io_buffers *b, char **argv, int count, int pattern);
void io_buffers_free(struct io *io, struct io_buffers *b);
bool io_buffer_from_file(const char *path, uint8_t *buf, size_t len);
/* Whether buf[0..len) has the pattern; says so if not. offset is only printed. */
bool io_verify(const uint8_t *buf, size_t len, int pattern, uint64_t offset);

/* report.c */
struct io_report {
    const char *verb; /* "read", "wrote", "discard" */
    uint64_t offset, asked, done;
    int64_t start_ns;
    bool machine; /* -C */
};
int64_t io_now_ns(void);
void io_report(const struct io_report *r);
void io_dump(const uint8_t *buf, uint64_t offset, size_t len);
void io_size_text(double value, char buf[64]);       /* "64 KiB", "1.500 MiB", "12 bytes" */
void io_print_json(const json_t *j, unsigned depth); /* as lines "key: value" */

/* line.c: the next line without its newline, or NULL at the end; free() it. */
char *io_line(const char *prompt);

#endif
