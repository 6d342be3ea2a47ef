/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rhea-img: one record per command, in its own file. Options of commands are a table that drives
 * parsing, help and errors. Exit status: 0, 1 error; check and compare have their own.
 */
#ifndef IMG_IMG_H
#define IMG_IMG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/bits.h"
#include "base/object.h"
#include "disk/disk.h"

struct img {
    const char *program; /* for messages */
    struct object_set *objects;
    struct disk_graph *graph;
    bool quiet, progress;

    /* progress.c: the thread that takes signals, and what they ask for */
    pthread_t signal_thread;
    atomic_bool cancel;          /* Ctrl-C: stop at the next step; read by img_cancelled() */
    atomic_int signal;           /* which one it was */
    atomic_uint uninterruptible; /* more than 0: somebody looks at cancel */
    pthread_mutex_t lock;        /* guards what follows */
    char *unfinished[2];         /* owned: files to remove when we do not get to the end */
    double progress_now, progress_shown;
    bool progress_active;
};

/* Options. A row per option; where it goes is a member of the command's struct. */
enum img_option_kind {
    IMG_FLAG,   /* bool */
    IMG_STRING, /* const char *: the last one counts */
    IMG_LIST,   /* struct img_list: all of them, in order */
    IMG_OBJECT, /* --object: made at once */
};

struct img_list {
    const char **values; /* "" for options without an argument */
    const struct img_option **which;
    unsigned count;
};

struct img_option {
    char letter;      /* 0: has only a long name */
    const char *name; /* NULL: has only a letter */
    const char *arg;  /* what the help calls its argument; NULL: it has none */
    const char *doc;
    enum img_option_kind kind;
    uint32_t offset;
};

#define IMG_KIND_OF(m)                                                                             \
    _Generic(&(m), bool * : IMG_FLAG, const char ** : IMG_STRING, struct img_list * : IMG_LIST)
#define IMG_TO(T, m) .kind = IMG_KIND_OF(((T *)0)->m), .offset = offsetof(T, m)

/* Every command's struct begins with this one. */
struct img_args {
    char **operands;
    unsigned count;
    bool quiet, progress;
};

/* How one image is named and opened: a member of commands' structs. */
struct img_source {
    const char *name, *format, *cache;
    bool image_opts, force_share;
};

struct img_command {
    const char *name, *doc;
    const char *operands;                    /* what follows the options in the help */
    bool signed_operand;                     /* the last one may be -SIZE, which is no option */
    const struct img_option *options;        /* ends with a zeroed one */
    size_t size;                             /* of the struct that options fill */
    int (*run)(struct img *img, void *args); /* exit status */
};
extern const struct img_command *const img_commands[]; /* NULL-terminated, made by listgen.py */

/* img.c. The whole program; returns its exit status. */
int img_main(int argc, char **argv);
void img_error(const struct img *img, const char *fmt, ...) PRINTF_LIKE(2, 3);
int img_fail(const struct img *img, const struct error *err); /* prints it; returns 1 */
int img_usage_error(const struct img *img, const char *fmt, ...) PRINTF_LIKE(2, 3); /* returns 1 */
void img_say(const struct img *img, const char *fmt, ...) PRINTF_LIKE(2, 3);        /* unless -q */

/* options.c. false: *ret_status is what to end with. */
bool img_parse(struct img *img, const struct img_command *c, int argc, char **argv, void *args,
               int *ret_status) MUST_CHECK;
void img_parse_finish(const struct img_command *c, void *args);
void img_print_usage(FILE *f, const struct img_command *c);   /* one line */
void img_print_options(FILE *f, const struct img_command *c); /* a table */
/* "human" or "json"; anything else is an error that is printed. */
bool img_output_json(const struct img *img, const char *output, bool *ret) MUST_CHECK;
/* Size as people type it. *ret is changed only when it succeeds. */
bool img_size(const char *text, uint64_t *ret) MUST_CHECK;
/* All -o strings as one dictionary. *ret_help: one of them asks for help. */
bool img_options_merge(const struct img_list *l, struct optlist *ret, bool *ret_help,
                       struct error *err) MUST_CHECK;
/* The text that -o help prints; filename (may be NULL) adds the options of its transport. */
bool img_print_format_options(struct img *img, const char *format, const char *filename,
                              struct error *err) MUST_CHECK;
bool img_print_amend_options(const char *format, struct error *err) MUST_CHECK;

/* open.c. Flags are enum disk_open_flags; errors say "Could not open 'NAME': ...". */
struct disk *img_open(struct img *img, const struct img_source *s, unsigned flags,
                      struct error *err);
/* The same, and prints the error. */
struct disk *img_open_or_say(struct img *img, const struct img_source *s, unsigned flags);
/* Adds the flags of "none", "writeback", ... to *flags. NULL is fine. */
bool img_cache_flags(const char *cache, unsigned *flags) MUST_CHECK;
/* The file name that backing means in the image filename: relative to its directory; owned. */
char *img_backing_path(const char *filename, const char *backing);
/* Checks format, makes the image as -o says, prints "Formatting ..."; see create.c. */
struct img_create {
    const char *format, *filename;
    const char *backing_file, *backing_format; /* -b, -F */
    bool unsafe;                               /* the backing file is not looked at */
    bool quiet;                                /* no "Formatting" */
    uint64_t size;
    bool has_size;
    struct optlist *options; /* from -o */
};
/* Whether the format, which exists, and files know the options. */
bool img_check_create_options(const char *format, const struct optlist *options,
                              struct error *err) MUST_CHECK;
bool img_create(struct img *img, struct img_create *c, struct error *err) MUST_CHECK;
/* Closes, so that the error of the last flush is seen and printed. NULL is fine. */
bool img_close(struct img *img, struct disk *own_d);

/* print.c */
void img_print_size(FILE *f, uint64_t bytes); /* "1.5 GiB" */
void img_print_json(json_t *own_j);
json_t *img_json_sorted(json_t *own_j);         /* keys as qemu-img orders them */
void img_print_tree(json_t *j, unsigned depth); /* format-specific information for people */
struct disk_snapshot;
void img_print_snapshots(const struct disk_snapshot *list, unsigned count);

/* progress.c */
bool img_signals_start(struct img *img, struct error *err) MUST_CHECK; /* before other threads */
void img_signals_stop(struct img *img);
/* From here on Ctrl-C sets cancel, which the caller looks at; else it ends the process. */
void img_work_begin(struct img *img);
void img_work_end(struct img *img);
static inline bool img_cancelled(const struct img *img)
{
    return atomic_load_explicit(&img->cancel, memory_order_relaxed);
}
/* Files that are removed unless img_finished() follows. */
void img_unfinished(struct img *img, const char *filename, const char *second);
void img_finished(struct img *img);
void img_remove_unfinished(struct img *img);

void img_progress_start(struct img *img);
void img_progress(struct img *img, uint64_t done, uint64_t total); /* any thread */
void img_progress_end(struct img *img, bool ok);
/* For calls that report: .step goes to img_progress() and stops on Ctrl-C. */
struct img_disk_progress {
    struct disk_progress p;
    struct img *img;
};
struct img_disk_progress img_disk_progress(struct img *img);

/* convert_copy.c: the engine of convert. */
struct img_copy {
    struct img *img;
    struct disk **sources; /* laid end to end */
    unsigned source_count;
    struct disk *target;
    bool target_has_backing, target_is_zero, compressed, out_of_order, copy_range, salvage;
    bool copy_all;       /* -S 0: zeroes are written as data */
    uint64_t min_sparse; /* bytes */
    uint64_t rate;       /* bytes per second, 0: no limit */
    unsigned workers;    /* 0: chosen */
};
int img_copy(struct img_copy *c); /* exit status; says what went wrong */

/* A limit of bytes per second over all threads. */
struct img_rate {
    pthread_mutex_t lock;
    uint64_t per_second;
    double free_at; /* seconds, CLOCK_MONOTONIC */
};
void img_rate_wait(struct img_rate *r, uint64_t bytes);

#endif
