/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Power cuts: what a disk may hold after one. Reads a log of iotrap and, for cuts between any two
 * events, makes the images that the rules allow: all that a finished flush covered, and of the rest
 * any part, in any order, torn at sectors. Each image must open for writing, hold what was flushed,
 * and be sound and free of leaks then.
 *
 *   crashreplay LOG BASE FORMAT PLAN WORK [CUTS [SEED]]
 * BASE: the image before; WORK: a file to make images in; PLAN "-": contents are not looked at.
 * With CRASHREPLAY_NO_FLUSH set the disk lies about flushes: the harness must find that out.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "crashlog.h"
#include "disk/node.h"

enum { SECTOR = 512 };

struct event {
    struct crash_event e;
    const uint8_t *data;
    uint64_t done; /* index of its DONE; UINT64_MAX: never */
    uint64_t result;
};

struct replay {
    struct event *events;
    uint64_t count;
    uint8_t *base; /* the image before */
    uint64_t base_len;
    struct crash_plan plan;
    bool contents;
    const char *format, *work;
    uint64_t random;
    bool lies; /* about flushes */
};

struct file {
    uint8_t *bytes;
    uint64_t len, room;
};

static uint64_t draw(struct replay *r)
{
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    return r->random ^= r->random << 17;
}

static uint8_t *load(const char *path, uint64_t *ret_len)
{
    int fd = open(path, O_RDONLY);
    struct stat st;
    uint8_t *buf;

    if (fd < 0 || fstat(fd, &st) < 0) {
        perror(path);
        exit(2);
    }
    buf = xnew_array(uint8_t, (size_t)st.st_size + 1);
    for (off_t at = 0; at < st.st_size;) {
        ssize_t n = pread(fd, buf + at, (size_t)(st.st_size - at), at);

        if (n <= 0)
            exit(2);
        at += n;
    }
    close(fd);
    *ret_len = (uint64_t)st.st_size;
    return buf;
}

static void parse_log(struct replay *r, const uint8_t *log, uint64_t len)
{
    uint64_t room = 0, ids = 0, *of_id;

    for (uint64_t at = 0; at + sizeof(struct crash_event) <= len;) {
        struct event ev = { .done = UINT64_MAX };

        memcpy(&ev.e, log + at, sizeof(ev.e));
        at += sizeof(ev.e);
        if (ev.e.kind == CRASH_WRITE) {
            if (ev.e.len > len - at)
                break;
            ev.data = log + at;
            at += ev.e.len;
        }
        if (r->count == room) {
            room = MAX(1024u, room * 2);
            r->events = xrealloc_array(r->events, room, sizeof(ev));
        }
        ids = MAX(ids, ev.e.id);
        r->events[r->count++] = ev;
    }
    of_id = xnew_array(uint64_t, ids + 1);
    for (uint64_t i = 0; i < r->count; i++) {
        const struct crash_event *e = &r->events[i].e;

        if (e->kind == CRASH_DONE) {
            r->events[of_id[e->id]].done = i;
            r->events[of_id[e->id]].result = e->len;
        } else {
            of_id[e->id] = i;
        }
    }
    free(of_id);
}

static void grow(struct file *f, uint64_t len)
{
    if (len > f->room) {
        f->room = len + len / 2;
        f->bytes = xrealloc_array(f->bytes, f->room, 1);
    }
    if (len > f->len) {
        memset(f->bytes + f->len, 0, len - f->len);
        f->len = len;
    }
}

/* keep: which of its sectors arrived; NULL: all. */
static void apply(struct replay *r, struct file *f, const struct event *ev, bool torn)
{
    const struct crash_event *e = &ev->e;

    switch (e->kind) {
    case CRASH_WRITE:
        grow(f, e->offset + e->len);
        for (uint64_t at = 0; at < e->len;) {
            uint64_t next = MIN(ALIGN_DOWN(e->offset + at, SECTOR) + SECTOR - e->offset, e->len);

            if (!torn || draw(r) & 1)
                memcpy(f->bytes + e->offset + at, ev->data + at, next - at);
            at = next;
        }
        break;
    case CRASH_ZERO:
        if (ev->result != UINT64_MAX && e->offset < f->len)
            memset(f->bytes + e->offset, 0, MIN(e->len, f->len - e->offset));
        break;
    case CRASH_GROW: grow(f, e->offset + e->len); break;
    case CRASH_SIZE:
        grow(f, e->offset);
        f->len = e->offset;
        break;
    default: break;
    }
}

enum style { ALL, NONE, SOME, TORN, SHUFFLED, STYLES };

/* The image after a cut before event number cut. Returns by how much the contents may lag. */
static void build(struct replay *r, uint64_t cut, enum style style, struct file *f)
{
    uint64_t covered = 0; /* events before this and done before it are durable */
    uint64_t *late = xnew_array(uint64_t, cut + 1), n = 0;

    for (uint64_t i = 0; i < cut; i++)
        if (r->events[i].e.kind == CRASH_FLUSH && r->events[i].done < cut && !r->lies)
            covered = i;
    f->len = 0;
    grow(f, r->base_len);
    memcpy(f->bytes, r->base, r->base_len);
    for (uint64_t i = 0; i < cut; i++) {
        const struct event *ev = &r->events[i];
        bool durable = i < covered && ev->done < covered;

        if (durable || style == ALL)
            apply(r, f, ev, false);
        else if (style != NONE && (style == TORN || (draw(r) % 3)) &&
                 (ev->e.kind == CRASH_WRITE || ev->e.kind == CRASH_ZERO))
            late[n++] = i;
        else if (ev->e.kind == CRASH_SIZE || ev->e.kind == CRASH_GROW)
            apply(r, f, ev, false); /* the file system orders sizes */
    }
    for (uint64_t i = 0; i < n; i++) {
        if (style == SHUFFLED) { /* in any order, unless they overlap: those keep theirs */
            uint64_t k = i + draw(r) % (n - i), t = late[k];
            const struct crash_event *a = &r->events[t].e;
            bool clash = false;

            for (uint64_t m = i; m < k; m++) {
                const struct crash_event *b = &r->events[late[m]].e;

                clash |= a->offset < b->offset + b->len && b->offset < a->offset + a->len;
            }
            if (!clash) {
                memmove(&late[i + 1], &late[i], (k - i) * sizeof(late[0]));
                late[i] = t;
            }
        }
        apply(r, f, &r->events[late[i]], style == TORN);
    }
    free(late);
}

static void put_file(const struct replay *r, const struct file *f)
{
    int fd = open(r->work, O_RDWR | O_CREAT | O_TRUNC, 0644);

    for (uint64_t at = 0; fd >= 0 && at < f->len;) {
        ssize_t n = pwrite(fd, f->bytes + at, f->len - at, (off_t)at);

        if (n <= 0)
            break;
        at += (uint64_t)n;
    }
    if (fd < 0 || ftruncate(fd, (off_t)f->len) < 0) {
        perror(r->work);
        exit(2);
    }
    close(fd);
}

static void say(struct disk_check *c, const char *line)
{
    unsigned *lines = c->opaque;

    if ((*lines)++ < 3)
        printf("  %s\n", line);
}

/* Returns whether the image is all right. */
static bool judge(struct replay *r, uint64_t cut)
{
    struct crash_state state[CRASH_THREADS_MAX] = { 0 };
    struct disk_graph *g = disk_graph_new(NULL);
    unsigned lines = 0;
    struct disk_check c = { .say = say, .opaque = &lines };
    struct optlist o = { 0 };
    struct error err = { 0 };
    struct disk *d;
    uint64_t lost = 0;
    int bad = 0;

    for (uint64_t i = 0; i < cut; i++) {
        const struct crash_event *e = &r->events[i].e;

        if (e->kind == CRASH_BEGUN)
            state[e->offset].begun = e->len;
        if (e->kind == CRASH_FLUSHED)
            state[e->offset].flushed = e->len;
    }
    optlist_add(&o, "driver", r->format);
    d = disk_open(g, r->work, &o, DISK_RDWR, &err);
    optlist_finish(&o);
    if (!d) {
        printf("  does not open: %s\n", err.msg);
        disk_graph_free(g);
        return false;
    }
    if (d->driver->check)
        bad = d->driver->check(d, &c, 0);
    if (r->contents)
        lost = crash_verify(&r->plan, state, d);
    bad |= disk_close(d);
    disk_graph_free(g);
    if (bad || c.corruptions || c.check_errors || c.leaks || lost)
        printf("  result %d corruptions %" PRId64 " errors %" PRId64 " leaks %" PRId64
               " lost %" PRIu64 "\n",
               bad, c.corruptions, c.check_errors, c.leaks, lost);
    return !bad && !c.corruptions && !c.check_errors && !c.leaks && !lost;
}

int main(int argc, char **argv)
{
    static const char *const names[STYLES] = { "all", "none", "some", "torn", "shuffled" };
    struct replay r = { .random = 88172645463325252 };
    struct file f = { 0 };
    uint64_t len, cuts, images = 0, failed = 0;
    uint8_t *log;

    if (argc < 6) {
        fprintf(stderr, "usage: crashreplay LOG BASE FORMAT PLAN WORK [CUTS [SEED]]\n");
        return 2;
    }
    log = load(argv[1], &len);
    r.base = load(argv[2], &r.base_len);
    r.format = argv[3];
    r.contents = strcmp(argv[4], "-") != 0;
    r.work = argv[5];
    if (r.contents && !crash_parse_plan(argv[4], &r.plan))
        return 2;
    r.lies = getenv("CRASHREPLAY_NO_FLUSH") != NULL;
    parse_log(&r, log, len);
    cuts = argc > 6 ? strtoull(argv[6], NULL, 10) : UINT64_MAX;
    if (argc > 7)
        r.random ^= strtoull(argv[7], NULL, 10) * 0x9e3779b97f4a7c15;
    cuts = MIN(cuts, r.count + 1);
    for (uint64_t i = 0; i < cuts && failed < 3; i++) {
        uint64_t cut = cuts == r.count + 1 ? i : draw(&r) % (r.count + 1);

        for (unsigned style = 0; style < STYLES; style++) {
            build(&r, cut, (enum style)style, &f);
            put_file(&r, &f);
            images++;
            if (judge(&r, cut))
                continue;
            failed++;
            printf("cut %" PRIu64 " of %" PRIu64 ", %s: failed\n", cut, r.count, names[style]);
            if (getenv("KEEP")) {
                printf("  the image before it was opened:\n");
                put_file(&r, &f);
                return 1;
            }
        }
    }
    printf("%" PRIu64 " cuts, %" PRIu64 " images, %" PRIu64 " failed\n", cuts, images, failed);
    free(r.events);
    free(r.base);
    free(f.bytes);
    free(log);
    return failed != 0 || images == 0;
}
