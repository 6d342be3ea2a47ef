/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The NBD client against a small server in this file that also knows how to lie. */
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/endian.h"
#include "disk/disk.h"
#include "disk/nbd_proto.h"
#include "disk/queue.h"
#include "disk/transport/nbd.h"

enum { SIZE = 1 << 20, BATCH = 8 };

enum lie {
    HONEST,
    OLD_STYLE,        /* the rest of the handshakes are honest, too */
    EXPORT_NAME_ONLY, /* does not know GO */
    NO_STRUCTURED,
    REVERSED,  /* answers in reverse order */
    IN_CHUNKS, /* several chunks, holes for zeroes, last part first */
    SEVERAL_EXTENTS,
    ALWAYS_ERROR,
    LIES, /* from here on the client must give up */
    BAD_MAGIC = LIES,
    ENDLESS_INFO,
    LONG_REPLY,
    WRONG_OPTION,
    HUGE_DISK,
    ODD_BLOCK_SIZE,
    HANGS_UP,
    LAST_OF_HANDSHAKE = HANGS_UP, /* opening fails up to here, reading from here on */
    BAD_REPLY_MAGIC,
    WRONG_COOKIE,
    BEYOND_REQUEST,
    BEFORE_REQUEST,
    TOO_LONG_CHUNK,
    SHORT_READ,
    WRONG_CHUNK,
    EMPTY_EXTENT,
    SIMPLE_FOR_STRUCTURED,
    CUT_PAYLOAD,
    CUT_HEADER,
    CLOSES,
    LIE_COUNT,
};

struct server {
    int fd;
    enum lie lie;
    pthread_t thread;
    uint8_t *data;
    bool structured, said_goodbye;
    unsigned statuses; /* block status requests answered */
};

static bool get(struct server *s, void *buf, size_t n)
{
    return recv(s->fd, buf, n, MSG_WAITALL) == (ssize_t)n;
}

static bool put(struct server *s, const void *buf, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = send(s->fd, (const char *)buf + done, n - done, MSG_NOSIGNAL);

        if (r <= 0)
            return false;
        done += (size_t)r;
    }
    return true;
}

static bool option_reply(struct server *s, uint32_t option, uint32_t type, const void *data,
                         uint32_t len)
{
    uint8_t h[20];

    st_be64(h, NBD_REP_MAGIC);
    st_be32(h + 8, s->lie == WRONG_OPTION ? option + 1 : option);
    st_be32(h + 12, type);
    st_be32(h + 16, s->lie == LONG_REPLY ? 0x7fffffff : len);
    return put(s, h, sizeof(h)) && put(s, data, len);
}

static unsigned export_flags(void)
{
    return NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM |
           NBD_FLAG_SEND_WRITE_ZEROES;
}

static bool reply_go(struct server *s, uint32_t option)
{
    uint8_t info[14];

    if (s->lie == EXPORT_NAME_ONLY)
        return option_reply(s, option, (uint32_t)NBD_REP_ERR_UNSUP, "no", 2);
    st_be16(info, NBD_INFO_BLOCK_SIZE);
    st_be32(info + 2, s->lie == ODD_BLOCK_SIZE ? 513 : 1);
    st_be32(info + 6, 4096);
    st_be32(info + 10, 1 << 25);
    do {
        if (!option_reply(s, option, NBD_REP_INFO, info, 14))
            return false;
    } while (s->lie == ENDLESS_INFO);
    st_be16(info, NBD_INFO_EXPORT);
    st_be64(info + 2, s->lie == HUGE_DISK ? UINT64_MAX : SIZE);
    st_be16(info + 10, (uint16_t)export_flags());
    return option_reply(s, option, NBD_REP_INFO, info, 12) &&
           option_reply(s, option, NBD_REP_ACK, NULL, 0);
}

/* 1: go on with options, 0: transmission, -1: gone */
static int answer_option(struct server *s, uint32_t option)
{
    static const char context[] = "\0\0\0\7base:allocation";
    uint8_t end[134] = { 0 };

    switch (option) {
    case NBD_OPT_STRUCTURED_REPLY:
        s->structured = s->lie != NO_STRUCTURED;
        return option_reply(s, option, s->structured ? NBD_REP_ACK : (uint32_t)NBD_REP_ERR_UNSUP,
                            NULL, 0)
                   ? 1
                   : -1;
    case NBD_OPT_SET_META_CONTEXT:
        return option_reply(s, option, NBD_REP_META_CONTEXT, context, sizeof(context) - 1) &&
                       option_reply(s, option, NBD_REP_ACK, NULL, 0)
                   ? 1
                   : -1;
    case NBD_OPT_GO:
        if (s->lie == HANGS_UP)
            return -1;
        return !reply_go(s, option) ? -1 : s->lie == EXPORT_NAME_ONLY ? 1 : 0;
    case NBD_OPT_EXPORT_NAME:
        st_be64(end, SIZE);
        st_be16(end + 8, (uint16_t)export_flags());
        return put(s, end, sizeof(end)) ? 0 : -1;
    default: return option_reply(s, option, (uint32_t)NBD_REP_ERR_UNSUP, NULL, 0) ? 1 : -1;
    }
}

static bool shake(struct server *s)
{
    uint8_t buf[152] = { 0 }, junk[8192];
    int r = 1;

    st_be64(buf, s->lie == BAD_MAGIC ? 0 : NBD_MAGIC);
    if (s->lie == OLD_STYLE) {
        st_be64(buf + 8, NBD_OLDSTYLE_MAGIC);
        st_be64(buf + 16, SIZE);
        st_be32(buf + 24, export_flags());
        return put(s, buf, 152);
    }
    st_be64(buf + 8, NBD_OPT_MAGIC);
    st_be16(buf + 16, NBD_FLAG_FIXED_NEWSTYLE);
    if (!put(s, buf, 18) || !get(s, buf, 4))
        return false;
    while (r > 0) {
        uint32_t len;

        if (!get(s, buf, 16) || (len = ld_be32(buf + 12)) > sizeof(junk) ||
            (len && !get(s, junk, len)))
            return false;
        r = answer_option(s, ld_be32(buf + 8));
    }
    return r == 0;
}

struct request {
    uint16_t flags, command;
    uint64_t cookie, offset;
    uint32_t len;
};

static bool chunk(struct server *s, const struct request *q, unsigned flags, unsigned type,
                  uint32_t len)
{
    uint8_t h[20];

    st_be32(h, s->lie == BAD_REPLY_MAGIC ? 7 : NBD_STRUCTURED_MAGIC);
    st_be16(h + 4, (uint16_t)flags);
    st_be16(h + 6, (uint16_t)type);
    st_be64(h + 8, s->lie == WRONG_COOKIE ? q->cookie ^ (UINT64_C(1) << 33) : q->cookie);
    st_be32(h + 16, len);
    return put(s, h, s->lie == CUT_HEADER ? 13 : sizeof(h)) && s->lie != CUT_HEADER;
}

static bool data_chunk(struct server *s, const struct request *q, unsigned flags, uint64_t offset,
                       uint32_t len)
{
    uint8_t where[8];

    st_be64(where, offset + (s->lie == BEYOND_REQUEST) - (s->lie == BEFORE_REQUEST));
    if (!chunk(s, q, flags, NBD_REPLY_OFFSET_DATA,
               s->lie == TOO_LONG_CHUNK ? 0xfffffff0 : len + 8) ||
        !put(s, where, 8))
        return false;
    if (s->lie == CUT_PAYLOAD)
        return put(s, s->data + offset, len / 2) && false;
    return put(s, s->data + offset, len);
}

/* The second half, a hole if the middle is zeroes, the first part. */
static bool reply_in_chunks(struct server *s, const struct request *q)
{
    uint32_t third = q->len / 3;
    uint8_t hole[12];

    if (third < 1)
        return data_chunk(s, q, NBD_REPLY_FLAG_DONE, q->offset, q->len);
    if (!data_chunk(s, q, 0, q->offset + 2 * third, q->len - 2 * third))
        return false;
    st_be64(hole, q->offset + third);
    st_be32(hole + 8, third);
    for (uint32_t i = 0; i < third; i++) {
        if (s->data[q->offset + third + i])
            return data_chunk(s, q, 0, q->offset + third, third) &&
                   data_chunk(s, q, NBD_REPLY_FLAG_DONE, q->offset, third);
    }
    return chunk(s, q, 0, NBD_REPLY_OFFSET_HOLE, 12) && put(s, hole, 12) &&
           data_chunk(s, q, NBD_REPLY_FLAG_DONE, q->offset, third);
}

static bool reply_status(struct server *s, const struct request *q)
{
    uint8_t data[4 + 16] = { 0, 0, 0, 7 };
    uint32_t n = s->lie == SEVERAL_EXTENTS ? 20 : 12;

    s->statuses++;
    st_be32(data + 4, s->lie == EMPTY_EXTENT ? 0 : MIN(q->len, 65536u));
    st_be32(data + 8, q->offset < SIZE / 2 ? 0 : NBD_STATE_HOLE | NBD_STATE_ZERO);
    st_be32(data + 12, 512);
    return chunk(s, q, NBD_REPLY_FLAG_DONE, NBD_REPLY_BLOCK_STATUS, n) && put(s, data, n);
}

static bool simple(struct server *s, const struct request *q, uint32_t error)
{
    uint8_t h[16];

    st_be32(h, s->lie == BAD_REPLY_MAGIC ? 7 : NBD_SIMPLE_MAGIC);
    st_be32(h + 4, error);
    st_be64(h + 8, s->lie == WRONG_COOKIE ? ~q->cookie : q->cookie);
    return put(s, h, sizeof(h)) &&
           (error || q->command != NBD_CMD_READ || put(s, s->data + q->offset, q->len));
}

static bool reply_error(struct server *s, const struct request *q)
{
    uint8_t data[10] = { 0, 0, 0, NBD_ENOSPC, 0, 4, 'f', 'u', 'l', 'l' };

    return chunk(s, q, NBD_REPLY_FLAG_DONE, NBD_REPLY_ERROR, 10) && put(s, data, 10);
}

static bool reply(struct server *s, const struct request *q)
{
    if (s->lie == ALWAYS_ERROR)
        return s->structured ? reply_error(s, q) : simple(s, q, NBD_ENOSPC);
    if (q->command == NBD_CMD_BLOCK_STATUS)
        return reply_status(s, q);
    if (q->command != NBD_CMD_READ || !s->structured || s->lie == SIMPLE_FOR_STRUCTURED)
        return simple(s, q, 0);
    if (s->lie == SHORT_READ)
        return data_chunk(s, q, NBD_REPLY_FLAG_DONE, q->offset, q->len - 1);
    if (s->lie == WRONG_CHUNK)
        return chunk(s, q, NBD_REPLY_FLAG_DONE, 77, 0);
    if (s->lie == IN_CHUNKS)
        return reply_in_chunks(s, q);
    return data_chunk(s, q, NBD_REPLY_FLAG_DONE, q->offset, q->len);
}

static bool take_request(struct server *s, struct request *q)
{
    uint8_t h[28];

    if (!get(s, h, sizeof(h)) || ld_be32(h) != NBD_REQUEST_MAGIC)
        return false;
    *q = (struct request){ ld_be16(h + 4), ld_be16(h + 6), ld_be64(h + 8), ld_be64(h + 16),
                           ld_be32(h + 24) };
    if (q->command == NBD_CMD_DISC) {
        s->said_goodbye = true;
        return false;
    }
    if (q->offset > SIZE || q->len > SIZE - q->offset)
        return false;
    if (q->command == NBD_CMD_WRITE)
        return get(s, s->data + q->offset, q->len);
    if (q->command == NBD_CMD_WRITE_ZEROES || q->command == NBD_CMD_TRIM)
        memset(s->data + q->offset, 0, q->len);
    return true;
}

static bool input_waits(int fd)
{
    uint8_t b;

    usleep(300);
    return recv(fd, &b, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void transmit(struct server *s)
{
    struct request q[BATCH];

    for (;;) {
        unsigned n = 0;

        do {
            if (!take_request(s, &q[n]))
                return;
            n++;
        } while (s->lie == REVERSED && n < BATCH && input_waits(s->fd));
        while (n--) {
            if (s->lie == CLOSES || !reply(s, &q[n]))
                return;
        }
    }
}

static void *serve(void *arg)
{
    struct server *s = arg;

    if (shake(s))
        transmit(s);
    shutdown(s->fd, SHUT_RDWR);
    return NULL;
}

static struct disk *start_with(struct server *s, struct disk_graph *g, enum lie lie, unsigned flags,
                               struct error *err)
{
    struct optlist opts = { 0 };
    struct disk *d;
    int fds[2];
    char number[12];

    *s = (struct server){ .lie = lie, .data = calloc(1, SIZE) };
    for (unsigned i = 0; i < SIZE / 2; i++)
        s->data[i] = (uint8_t)(i * 7 + (i >> 8));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
        abort();
    s->fd = fds[1];
    pthread_create(&s->thread, NULL, serve, s);
    snprintf(number, sizeof(number), "%d", fds[0]);
    optlist_add(&opts, "driver", "nbd");
    optlist_add(&opts, "server.type", "fd");
    optlist_add(&opts, "server.str", number);
    *err = (struct error){ 0 };
    d = disk_open(g, NULL, &opts, flags, err);
    optlist_finish(&opts);
    return d;
}

static struct disk *start(struct server *s, struct disk_graph *g, enum lie lie, struct error *err)
{
    return start_with(s, g, lie, DISK_RDWR, err);
}

static void stop(struct server *s)
{
    pthread_join(s->thread, NULL);
    close(s->fd);
    free(s->data);
}

static void exercise(struct server *s, struct disk *d)
{
    static uint8_t buf[SIZE];
    uint8_t other[3000];

    CHECK_EQ(disk_size(d), SIZE);
    CHECK_EQ(disk_read(d, 0, buf, SIZE), 0);
    CHECK_MEM(buf, s->data, SIZE);
    memset(other, 0x5a, sizeof(other));
    CHECK_EQ(disk_write(d, SIZE / 2 - 1000, other, sizeof(other), DISK_FUA), 0);
    CHECK_MEM(s->data + SIZE / 2 - 1000, other, sizeof(other));
    CHECK_EQ(disk_read(d, SIZE / 2 - 1200, buf, 4000), 0);
    CHECK_MEM(buf, s->data + SIZE / 2 - 1200, 4000);
    CHECK_EQ(disk_zero(d, 4096, 8192, DISK_MAY_UNMAP), 0);
    CHECK_EQ(disk_read(d, 4000, buf, 9000), 0);
    CHECK_MEM(buf, s->data + 4000, 9000);
    CHECK_EQ(disk_discard(d, 0, 4096), 0);
    CHECK_EQ(disk_flush(d), 0);
    CHECK_EQ(disk_read(d, SIZE - 4, buf, 8), -EIO);
}

static void check_map(struct disk *d)
{
    struct disk_extent e;

    CHECK_EQ(disk_map(d, 1024, SIZE - 1024, &e), 0);
    CHECK_EQ(e.flags & (DISK_MAP_DATA | DISK_MAP_ZERO), DISK_MAP_DATA);
    CHECK_EQ(e.len, 65536);
    CHECK_EQ(disk_map(d, SIZE / 2 + 512, 700, &e), 0);
    CHECK_EQ(e.flags & (DISK_MAP_DATA | DISK_MAP_ZERO), DISK_MAP_ZERO);
    CHECK_EQ(e.len, 700);
}

TEST(honest_servers)
{
    static const enum lie kinds[] = { HONEST,   OLD_STYLE, EXPORT_NAME_ONLY, NO_STRUCTURED,
                                      REVERSED, IN_CHUNKS, SEVERAL_EXTENTS };
    struct disk_graph *g = disk_graph_new(NULL);

    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct server s;
        struct error err;
        struct disk *d = start(&s, g, kinds[i], &err);

        if (d) {
            exercise(&s, d);
            if (s.structured)
                check_map(d);
        } else {
            TEST_FAIL("server %u: %s", kinds[i], err.msg);
        }
        disk_unref(d);
        pthread_join(s.thread, NULL);
        CHECK(s.said_goodbye);
        s.thread = 0;
        close(s.fd);
        free(s.data);
    }
    disk_graph_free(g);
}

/* Who does not write asks once for many extents. */
TEST(map_of_a_reader)
{
    struct disk_graph *g = disk_graph_new(NULL);
    struct server s;
    struct error err;
    struct disk *d = start_with(&s, g, SEVERAL_EXTENTS, 0, &err);
    struct disk_extent e;

    CHECK_EQ(disk_map(d, 2048, SIZE - 2048, &e), 0);
    CHECK_EQ(e.len, 65536);
    CHECK_EQ(disk_map(d, 2048 + 65536, 4096, &e), 0);
    CHECK_EQ(e.len, 512);
    CHECK_EQ(disk_map(d, 4096, 512, &e), 0);
    CHECK_EQ(e.len, 512);
    CHECK_EQ(s.statuses, 1);
    CHECK_EQ(disk_map(d, 2048 + 65536 + 512, 4096, &e), 0); /* behind what was told */
    CHECK_EQ(e.len, 4096);
    CHECK_EQ(s.statuses, 2);
    disk_unref(d);
    stop(&s);
    disk_graph_free(g);
}

struct worker {
    pthread_t thread;
    struct disk *d;
    struct server *s;
    unsigned n, bad;
};

/* Each thread has a part of the disk of its own. */
static void *work(void *arg)
{
    struct worker *w = arg;
    uint64_t base = w->n * (SIZE / 16), x = w->n * 77 + 1;
    uint8_t mine[SIZE / 16], buf[SIZE / 16];

    memset(mine, (int)w->n, sizeof(mine));
    w->bad += disk_write(w->d, base, mine, sizeof(mine), 0) != 0;
    for (unsigned i = 0; i < 150; i++) {
        uint32_t at, len;

        x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
        at = (uint32_t)(x >> 33) % sizeof(mine);
        len = (uint32_t)(x >> 20) % (uint32_t)(sizeof(mine) - at) + 1;
        if (i % 3 == 0) {
            memset(mine + at, (int)i, len);
            w->bad += disk_write(w->d, base + at, mine + at, len, 0) != 0;
        } else {
            w->bad += disk_read(w->d, base + at, buf, len) != 0 || memcmp(buf, mine + at, len);
        }
    }
    w->bad += memcmp(w->s->data + base, mine, sizeof(mine)) != 0;
    return NULL;
}

TEST(many_threads)
{
    static const enum lie kinds[] = { HONEST, REVERSED, IN_CHUNKS, NO_STRUCTURED };
    struct disk_graph *g = disk_graph_new(NULL);

    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        struct worker w[16];
        struct server s;
        struct error err;
        struct disk *d = start(&s, g, kinds[k], &err);

        for (unsigned i = 0; i < 16; i++) {
            w[i] = (struct worker){ .d = d, .s = &s, .n = i };
            pthread_create(&w[i].thread, NULL, work, &w[i]);
        }
        for (unsigned i = 0; i < 16; i++) {
            pthread_join(w[i].thread, NULL);
            CHECK_EQ(w[i].bad, 0);
        }
        disk_unref(d);
        stop(&s);
    }
    disk_graph_free(g);
}

enum { QUEUED = 400, PIECE = 3000 };

struct queued {
    struct disk_request r;
    uint8_t buf[PIECE];
    unsigned *done;
    int result;
};

static void queued_done(struct disk_request *r, int result)
{
    struct queued *k = container_of(r, struct queued, r);

    k->result = result;
    ++*k->done;
}

/* Reads and writes by a queue, 64 at a time; a thread does other things on the same connection. */
static void run_queue(struct disk_graph *g, struct server *s, struct disk *d, int want)
{
    struct queued *all = calloc(QUEUED, sizeof(*all));
    struct error err;
    struct disk_queue *q = disk_queue_new(g, 64, &err);
    unsigned done = 0, submitted = 0;

    disk_queue_may_block(q);
    while (done < QUEUED) {
        while (submitted < QUEUED && submitted - done < 64) {
            struct queued *k = &all[submitted];
            bool is_write = submitted % 4 == 1;

            k->done = &done;
            k->r.disk = d;
            k->r.op = is_write ? DISK_OP_WRITE : DISK_OP_READ;
            k->r.offset = SIZE / 2 + (uint64_t)(submitted++ % 160) * PIECE;
            k->r.vec = vec_of(k->buf, PIECE);
            k->r.done = queued_done;
            memset(k->buf, is_write ? 0 : 0x55, PIECE);
            disk_submit(q, &k->r);
        }
        disk_queue_kick(q);
        (void)disk_queue_reap(q, true);
    }
    CHECK_EQ(done, QUEUED);
    for (unsigned i = 0; i < QUEUED; i++) {
        if (all[i].result != want)
            TEST_FAIL("request %u gives %d, not %d", i, all[i].result, want);
        else if (!want && !buf_is_zero(all[i].buf, PIECE)) /* that half is zeroes, and stays so */
            TEST_FAIL("request %u has read something else", i);
    }
    disk_queue_free(q);
    free(all);
    (void)s;
}

TEST(queues)
{
    static const enum lie kinds[] = { HONEST, REVERSED, IN_CHUNKS, NO_STRUCTURED };
    struct disk_graph *g = disk_graph_new(NULL);

    for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
        struct worker w[2];
        struct server s;
        struct error err;
        struct disk *d = start(&s, g, kinds[k], &err);

        for (unsigned i = 0; i < 2; i++) {
            w[i] = (struct worker){ .d = d, .s = &s, .n = i };
            pthread_create(&w[i].thread, NULL, work, &w[i]);
        }
        run_queue(g, &s, d, 0);
        for (unsigned i = 0; i < 2; i++) {
            pthread_join(w[i].thread, NULL);
            CHECK_EQ(w[i].bad, 0);
        }
        disk_unref(d);
        stop(&s);
    }
    disk_graph_free(g);
}

TEST(queues_of_liars)
{
    static const struct {
        enum lie lie;
        int want;
    } cases[] = { { ALWAYS_ERROR, -ENOSPC },
                  { CLOSES, -EIO },
                  { WRONG_COOKIE, -EIO },
                  { CUT_PAYLOAD, -EIO },
                  { BEYOND_REQUEST, -EIO } };
    struct disk_graph *g = disk_graph_new(NULL);

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct server s;
        struct error err;
        struct disk *d = start(&s, g, cases[i].lie, &err);
        struct queued k = { .r = { .disk = d, .op = DISK_OP_READ, .done = queued_done } };
        struct disk_queue *q = disk_queue_new(g, 8, &err);
        unsigned done = 0;

        if (i % 2)
            disk_queue_may_block(q);
        k.done = &done;
        k.r.vec = vec_of(k.buf, PIECE);
        k.r.offset = 5000;
        disk_submit(q, &k.r);
        while (!done)
            (void)disk_queue_reap(q, true);
        CHECK_EQ(k.result, cases[i].want);
        disk_queue_free(q);
        disk_unref(d);
        stop(&s);
    }
    disk_graph_free(g);
}

/* A request that is alone is kept for its owner, unless he looks at the descriptor. */
TEST(alone)
{
    struct disk_graph *g = disk_graph_new(NULL);
    struct server s;
    struct error err;
    struct disk *d = start(&s, g, HONEST, &err);
    struct queued k = { .r = { .disk = d, .op = DISK_OP_READ, .done = queued_done } };

    for (unsigned i = 0; i < 4; i++) {
        struct disk_queue *q = disk_queue_new(g, 8, &err);
        struct pollfd p = { .events = POLLIN };
        unsigned done = 0;

        disk_queue_may_block(q);
        k.done = &done;
        k.r.vec = vec_of(k.buf, PIECE);
        disk_submit(q, &k.r);
        disk_queue_kick(q);
        if (i == 1) {
            p.fd = disk_queue_fd(q);
            CHECK_EQ(poll(&p, 1, 10000), 1);
        }
        for (unsigned n = 0; i == 2 && !done && n < 100000; n++)
            (void)disk_queue_reap(q, false);
        if (i != 3) /* freed with it inside, it ends all the same */
            (void)disk_queue_reap(q, true);
        disk_queue_free(q);
        CHECK_EQ(done, 1);
        CHECK_EQ(k.result, 0);
        CHECK_MEM(k.buf, s.data, PIECE);
        memset(k.buf, 0, PIECE);
    }
    disk_unref(d);
    stop(&s);
    disk_graph_free(g);
}

TEST(errors_of_the_server)
{
    struct disk_graph *g = disk_graph_new(NULL);
    struct server s;
    struct error err;
    struct disk *d = start(&s, g, ALWAYS_ERROR, &err);
    struct disk_extent e;
    uint8_t buf[512] = { 0 };

    CHECK_EQ(disk_read(d, 0, buf, sizeof(buf)), -ENOSPC);
    CHECK_EQ(disk_write(d, 0, buf, sizeof(buf), 0), -ENOSPC);
    CHECK_EQ(disk_zero(d, 0, sizeof(buf), DISK_NO_FALLBACK | DISK_MAY_UNMAP), -ENOTSUP);
    CHECK_EQ(disk_map(d, 0, 512, &e), -ENOSPC);
    disk_unref(d);
    stop(&s);
    disk_graph_free(g);
}

TEST(liars)
{
    struct disk_graph *g = disk_graph_new(NULL);

    for (enum lie lie = LIES; lie < LIE_COUNT; lie++) {
        struct server s;
        struct error err;
        struct disk *d = start(&s, g, lie, &err);
        struct disk_extent e;
        uint8_t buf[5000];

        if (lie <= LAST_OF_HANDSHAKE && d)
            TEST_FAIL("lie %u was believed", lie);
        if (lie > LAST_OF_HANDSHAKE && !d)
            TEST_FAIL("lie %u: %s", lie, err.msg);
        if (d) {
            int r = lie == EMPTY_EXTENT ? disk_map(d, 0, 512, &e)
                                        : disk_read(d, 1000, buf, sizeof(buf));

            if (r != -EIO)
                TEST_FAIL("lie %u gives %d", lie, r);
            CHECK_EQ(disk_read(d, 0, buf, sizeof(buf)), -EIO); /* and it stays lost */
        }
        disk_unref(d);
        stop(&s);
    }
    disk_graph_free(g);
}

static void *dribble(void *arg)
{
    int fd = *(int *)arg;

    while (send(fd, "N", 1, MSG_NOSIGNAL) == 1)
        usleep(60000);
    return NULL;
}

/* The deadline is for all of the handshake, however lively the server seems. */
TEST(dribbling_server)
{
    struct nbd_target t = { .export_name = "", .context = "base:allocation" };
    struct nbd_params params;
    struct channel *c;
    struct error err;
    pthread_t thread;
    uint64_t start_ns;
    int fds[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    pthread_create(&thread, NULL, dribble, &fds[1]);
    c = channel_new(fds[0]);
    start_ns = nbd_now_ns();
    CHECK(!nbd_handshake(&t, c, start_ns + 300000000, &params, &err));
    CHECK_EQ(err.code, ETIMEDOUT);
    CHECK(nbd_now_ns() - start_ns < UINT64_C(3000000000));
    channel_shutdown(c);
    channel_free(c);
    pthread_join(thread, NULL);
    close(fds[1]);
}

TEST(names)
{
    static const struct {
        const char *name, *options; /* NULL: refused */
    } cases[] = {
        { "nbd://host", "host=host" },
        { "nbd://host:10/", "host=host port=10" },
        { "nbd://[::1]:10/a/b", "host=::1 port=10 export=a/b" },
        { "nbd:///x", "host=localhost export=x" },
        { "nbd+unix:///x%20y?socket=/tmp/%41", "export=x y path=/tmp/A" },
        { "nbd+unix://?socket=s", "path=s" },
        { "nbds://h?tls-hostname=other", "host=h tls=on tls-hostname=other" },
        { "nbd:h:1", "host=h port=1" },
        { "nbd:h:1:exportname=a:b", "export=a:b host=h port=1" },
        { "nbd:[::1]:1", "host=::1 port=1" },
        { "nbd:unix:/p", "path=/p" },
        { "nbd:unix:/p:exportname=e", "export=e path=/p" },
        { "nbd:h", NULL },
        { "nbd:unix:", NULL },
        { "nbd+unix:///x", NULL },
        { "nbd+unix://host/x?socket=s", NULL },
        { "nbd://[::1", NULL },
        { "nbd://h/%4", NULL },
        { "nbd://h/%00", NULL },
        { "nbd://u@h/", NULL },
        { "nbd://h/?sokcet=1", NULL },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct optlist l = { 0 };
        struct error err;
        char text[200] = "";
        bool ok = nbd_parse_name(cases[i].name, &l, &err);

        for (size_t k = 0; k < l.count; k++)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s=%s", k ? " " : "",
                     l.items[k].key, l.items[k].value);
        if (ok != (cases[i].options != NULL) || (ok && strcmp(text, cases[i].options) != 0))
            TEST_FAIL("%s: %s", cases[i].name, ok ? text : err.msg);
        optlist_finish(&l);
    }
}
