/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs on chains of qcow2 images, while threads write: what they leave must be what was written. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/scope.h"
#include "disk/bitmap.h"
#include "disk/filter/blkfail.h"
#include "disk/job.h"
#include "disk/node.h"
#include "test.h"

#define DIR  "/tmp/rhea-test-job"
#define SIZE ((size_t)12 << 20)
enum { WRITERS = 3 };

static struct disk_graph *graph(void)
{
    (void)!system("rm -rf " DIR "; mkdir -p " DIR);
    return disk_graph_new(NULL);
}

static void create(struct disk_graph *g, const char *format, const char *path, const char *opts)
{
    struct error err = { 0 };
    struct optlist o;

    if (!optlist_parse(&o, opts, NULL, &err) || !disk_create(g, format, path, &o, &err))
        TEST_FAIL("%s: %s", path, err.msg);
    optlist_finish(&o);
}

static struct disk *open_disk(struct disk_graph *g, const char *name, const char *opts)
{
    struct error err = { 0 };
    struct optlist o = { 0 };
    struct disk *d = NULL;

    if (!opts || optlist_parse(&o, opts, NULL, &err))
        d = disk_open(g, name, &o, DISK_RDWR | DISK_UNMAP, &err);
    if (!d)
        TEST_FAIL("open: %s; %s", err.msg, err.hint);
    optlist_finish(&o);
    return d;
}

/* A disk that threads write to, and what it must hold. Each thread owns each WRITERS-th 4 KiB. */
struct world {
    struct disk_graph *g;
    struct disk *d;
    uint8_t *model;
    pthread_rwlock_t hold; /* writers hold it for reading while they write */
    _Atomic(bool) stop;
    _Atomic(unsigned) writes, errors;
    pthread_t thread[WRITERS];
    unsigned next;
};

static void *write_on(void *arg)
{
    struct world *w = arg;
    unsigned me = __atomic_fetch_add(&w->next, 1, __ATOMIC_SEQ_CST);
    uint64_t state = me + 1;
    uint8_t buf[4096];

    while (!atomic_load(&w->stop)) {
        uint64_t block, offset;
        int r;

        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        block = (state >> 33) % (SIZE / 4096 / WRITERS) * WRITERS + me;
        offset = block * 4096;
        memset(buf, (int)(state >> 56), sizeof(buf));
        pthread_rwlock_rdlock(&w->hold);
        if (state >> 40 & 7) {
            r = disk_write(w->d, offset, buf, sizeof(buf), 0);
        } else {
            memset(buf, 0, sizeof(buf));
            r = disk_zero(w->d, offset, sizeof(buf), DISK_MAY_UNMAP);
        }
        if (!r)
            memcpy(w->model + offset, buf, sizeof(buf));
        atomic_fetch_add(r ? &w->errors : &w->writes, 1);
        pthread_rwlock_unlock(&w->hold);
        if (!r && !(state >> 44 & 7) &&
            (disk_read(w->d, offset, buf, sizeof(buf)) ||
             memcmp(buf, w->model + offset, sizeof(buf)) != 0))
            atomic_fetch_add(&w->errors, 1);
        usleep(200);
    }
    return NULL;
}

static void start_writers(struct world *w)
{
    pthread_rwlockattr_t attr;

    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&w->hold, &attr);
    atomic_store(&w->stop, false);
    w->next = 0;
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_create(&w->thread[i], NULL, write_on, w);
}

static void stop_writers(struct world *w)
{
    atomic_store(&w->stop, true);
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(w->thread[i], NULL);
    CHECK_EQ(w->errors, 0);
    CHECK(w->writes > 0);
}

static void let_them_write(struct world *w, unsigned more)
{
    unsigned until = atomic_load(&w->writes) + more;

    while (atomic_load(&w->writes) < until && !atomic_load(&w->errors))
        usleep(500);
}

static bool holds(struct disk *d, const uint8_t *model)
{
    uint8_t *buf = xcalloc(1, SIZE);
    int r = disk_read(d, 0, buf, SIZE);
    bool ok = !r;

    for (size_t i = 0; ok && i < SIZE; i += 512)
        if (memcmp(buf + i, model + i, 512) != 0) {
            TEST_FAIL("%s differs at %#zx: %#x, not %#x", disk_node_name(d), i, buf[i], model[i]);
            ok = false;
        }
    free(buf);
    if (r)
        TEST_FAIL("read: %s", strerror(-r));
    return ok;
}

static void fill(struct world *w, struct disk *d, size_t offset, int byte, size_t len)
{
    memset(w->model + offset, byte, len);
    CHECK_EQ(disk_write(d, offset, w->model + offset, len, 0), 0);
}

/* base (smaller) <- mid <- top, each with something of its own. */
static void make_chain(struct world *w)
{
    static const char *const names[] = { "base", "mid", "top" };

    *w = (struct world){ .g = graph(), .model = xcalloc(1, SIZE) };
    create(w->g, "qcow2", DIR "/base", "size=8M");
    create(w->g, "qcow2", DIR "/mid", "size=12M,backing_file=" DIR "/base,backing_fmt=qcow2");
    create(w->g, "qcow2", DIR "/top", "size=12M,backing_file=" DIR "/mid,backing_fmt=qcow2");
    for (unsigned i = 0; i < 3; i++) {
        AUTO_FREE char *path = xasprintf(DIR "/%s", names[i]);
        struct disk *d = open_disk(w->g, path, "driver=qcow2");

        fill(w, d, (size_t)i << 20, 0x10 + (int)i, 4 << 20);
        disk_unref(d);
    }
    w->d = open_disk(w->g, DIR "/top",
                     "driver=qcow2,node-name=top,backing.node-name=mid,backing.driver=qcow2,"
                     "backing.file.filename=" DIR "/mid,backing.backing.node-name=base,"
                     "backing.backing.driver=qcow2,backing.backing.file.filename=" DIR "/base");
}

static void free_world(struct world *w)
{
    disk_unref(w->d);
    disk_graph_free(w->g);
    free(w->model);
}

/* Reopened by name, and read by the tool of the other house too where there is one. */
static void check_file(const struct world *w, const char *path, const char *format)
{
    struct disk_graph *g = disk_graph_new(NULL);
    AUTO_FREE char *opts = xasprintf("driver=%s", format);
    AUTO_FREE char *cmd = xasprintf(
        "command -v qemu-img >/dev/null || exit 0; qemu-img check -q -f %s %s >&2", format, path);
    struct disk *d = open_disk(g, path, opts);

    holds(d, w->model);
    disk_unref(d);
    disk_graph_free(g);
    if (!strcmp(format, "qcow2"))
        CHECK_EQ(system(cmd), 0);
}

static void wait_for(struct job *j, enum job_status s)
{
    for (unsigned i = 0; job_status(j) != s && job_status(j) < JOB_CONCLUDED && i < 20000; i++)
        usleep(1000);
    if (job_status(j) != s)
        TEST_FAIL("the job is %s, not %s", job_status_names[job_status(j)], job_status_names[s]);
}

static void expect_success(struct job *j)
{
    struct error err = { 0 };

    if (!job_wait(j, &err))
        TEST_FAIL("job: %s; %s", err.msg, err.hint);
    job_free(j);
}

TEST(commit_active)
{
    struct job_options o = { .id = "c" };
    struct error err = { 0 };
    struct world w;
    struct job *j;

    make_chain(&w);
    start_writers(&w);
    let_them_write(&w, 50);
    j = job_commit(&o, w.d, w.d, disk_graph_find(w.g, "base"), NULL, &err);
    CHECK(j);
    job_start(j);
    wait_for(j, JOB_READY);
    CHECK(!job_finalize(j, &err));
    CHECK_STR(err.msg, "Job 'c' in state 'ready' cannot accept command verb 'finalize'");
    let_them_write(&w, 100);
    CHECK(job_complete(j, &err));
    expect_success(j);
    let_them_write(&w, 100); /* which reaches base now */
    stop_writers(&w);
    holds(w.d, w.model);
    free_world(&w);
}

TEST(commit_active_leaves_a_good_base)
{
    struct job_options o = { 0 };
    struct error err = { 0 };
    struct world w;
    struct job *j;

    make_chain(&w);
    start_writers(&w);
    j = job_commit(&o, w.d, w.d, disk_graph_find(w.g, "base"), NULL, &err);
    CHECK(j);
    job_start(j);
    expect_success(j);
    let_them_write(&w, 100);
    stop_writers(&w);
    disk_unref(w.d);
    disk_graph_free(w.g);
    check_file(&w, DIR "/base", "qcow2");
    free(w.model);
}

TEST(commit_middle)
{
    struct job_options o = { 0 };
    struct error err = { 0 };
    struct world w;
    struct job *j;

    make_chain(&w);
    start_writers(&w);
    j = job_commit(&o, w.d, disk_graph_find(w.g, "mid"), disk_graph_find(w.g, "base"), NULL, &err);
    CHECK(j);
    job_start(j);
    expect_success(j);
    let_them_write(&w, 50);
    stop_writers(&w);
    CHECK_STR(disk_node_name(disk_backing(w.d)), "base");
    CHECK(!disk_graph_find(w.g, "mid"));
    CHECK(disk_read_only(disk_backing(w.d)));
    holds(w.d, w.model);
    disk_unref(w.d);
    disk_graph_free(w.g);
    check_file(&w, DIR "/top", "qcow2");
    free(w.model);
}

static void stream_case(const char *base)
{
    struct job_options o = { 0 };
    struct error err = { 0 };
    struct world w;
    struct job *j;

    make_chain(&w);
    start_writers(&w);
    j = job_stream(&o, w.d, base ? disk_graph_find(w.g, base) : NULL, NULL, &err);
    CHECK(j);
    job_start(j);
    expect_success(j);
    let_them_write(&w, 50);
    stop_writers(&w);
    CHECK_STR(disk_backing(w.d) ? disk_node_name(disk_backing(w.d)) : "", base ? base : "");
    holds(w.d, w.model);
    disk_unref(w.d);
    disk_graph_free(w.g);
    check_file(&w, DIR "/top", "qcow2");
    free(w.model);
}

TEST(stream_all)
{
    stream_case(NULL);
}

TEST(stream_to_base)
{
    stream_case("base");
}

/* A name in a header is relative to the image: it must not become relative to where we are. */
TEST(names_stay_relative_to_the_image)
{
    struct job_options o = { 0 };
    struct error err = { 0 };
    struct disk_graph *g = graph();
    struct disk *d;
    struct job *j;

    create(g, "qcow2", DIR "/base", "size=1M");
    CHECK(!chdir(DIR "/.."));
    create(g, "qcow2", "rhea-test-job/mid", "backing_file=base,backing_fmt=qcow2");
    create(g, "qcow2", "rhea-test-job/top", "backing_file=mid,backing_fmt=qcow2");
    d = open_disk(g, "rhea-test-job/top", "driver=qcow2");
    j = job_stream(&o, d, disk_backing(disk_backing(d)), NULL, &err);
    CHECK(j);
    job_start(j);
    expect_success(j);
    CHECK_STR(d->backing_name, "base");
    disk_unref(d);
    d = open_disk(g, DIR "/top", "driver=qcow2");
    CHECK(d && disk_backing(d));
    disk_unref(d);
    disk_graph_free(g);
}

TEST(mirror)
{
    struct job_options o = { 0 };
    struct error err = { 0 };
    struct disk *target;
    struct world w;
    struct job *j;

    make_chain(&w);
    create(w.g, "raw", DIR "/t", "size=12M");
    target = open_disk(w.g, DIR "/t", "driver=raw,node-name=target");
    start_writers(&w);
    j = job_mirror(&o, w.d, target, DISK_SYNC_FULL, 0, &err);
    CHECK(j);
    job_start(j);
    wait_for(j, JOB_READY);
    let_them_write(&w, 200);
    CHECK(job_complete(j, &err));
    expect_success(j);
    let_them_write(&w, 50);
    stop_writers(&w);
    holds(w.d, w.model);
    holds(target, w.model);
    disk_unref(target);
    disk_unref(w.d);
    disk_graph_free(w.g);
    check_file(&w, DIR "/t", "raw");
    free(w.model);
}

/* Cancelled when ready: the target is a copy of some moment, and nobody uses it. */
TEST(mirror_cancelled)
{
    struct job_options o = { 0 };
    struct error err = { 0 };
    struct disk *target;
    struct world w;
    struct job *j;

    make_chain(&w);
    create(w.g, "qcow2", DIR "/t", "size=12M");
    target = open_disk(w.g, DIR "/t", "driver=qcow2,node-name=target");
    j = job_mirror(&o, w.d, target, DISK_SYNC_FULL, 65536, &err);
    CHECK(j);
    job_start(j);
    wait_for(j, JOB_READY);
    fill(&w, w.d, 100, 0x77, 1000);
    job_cancel(j, false);
    expect_success(j);
    holds(target, w.model);
    CHECK_EQ(disk_write(w.d, 0, "new", 3, 0), 0);
    holds(target, w.model);
    /* by force: it failed */
    j = job_mirror(&o, w.d, target, DISK_SYNC_FULL, 65536, &err);
    job_start(j);
    wait_for(j, JOB_READY);
    job_cancel(j, true);
    CHECK(!job_wait(j, &err));
    CHECK_EQ(err.code, ECANCELED);
    job_free(j);
    CHECK(!disk_bitmap_next(w.d, NULL));
    disk_unref(target);
    free_world(&w);
}

/* The copy is of the moment the job was made, whatever is written meanwhile. */
static void backup_case(const char *format, bool compress)
{
    struct job_options o = { .speed = 40 << 20 };
    AUTO_FREE char *opts = xasprintf("driver=%s,node-name=target", format);
    struct error err = { 0 };
    struct disk *target;
    uint8_t *then;
    struct world w;
    struct job *j;

    make_chain(&w);
    create(w.g, format, DIR "/t", "size=12M");
    target = open_disk(w.g, DIR "/t", opts);
    start_writers(&w);
    let_them_write(&w, 50);
    pthread_rwlock_wrlock(&w.hold);
    then = xmemdup(w.model, SIZE);
    j = job_backup(&o, w.d, target, DISK_SYNC_FULL, NULL, compress, &err);
    pthread_rwlock_unlock(&w.hold);
    CHECK(j);
    let_them_write(&w, 50);
    job_start(j);
    expect_success(j);
    let_them_write(&w, 50);
    stop_writers(&w);
    holds(target, then);
    holds(w.d, w.model);
    disk_unref(target);
    free(then);
    free_world(&w);
}

TEST(backup_to_raw)
{
    backup_case("raw", false);
}

TEST(backup_compressed)
{
    backup_case("qcow2", true);
}

TEST(backup_incremental)
{
    struct job_options o = { 0 };
    struct disk_bitmap *b;
    struct error err = { 0 };
    struct disk *target;
    struct world w;
    struct job *j;

    make_chain(&w);
    create(w.g, "raw", DIR "/t", "size=12M");
    target = open_disk(w.g, DIR "/t", "driver=raw,node-name=target");
    b = disk_bitmap_add(w.d, "b", 65536, &err);
    j = job_backup(&o, w.d, target, DISK_SYNC_FULL, NULL, false, &err);
    job_start(j);
    expect_success(j);
    holds(target, w.model);
    fill(&w, w.d, 3 << 20, 0x55, 70000);
    CHECK_EQ(disk_bitmap_dirty_bytes(b), 2 * 65536);
    CHECK_EQ(disk_write(target, 0, "kept", 4, 0), 0); /* not marked: not copied */
    memcpy(w.model, "kept", 4);
    j = job_backup(&o, w.d, target, DISK_SYNC_INCREMENTAL, "b", false, &err);
    CHECK(!job_backup(&o, w.d, target, DISK_SYNC_INCREMENTAL, "b", false, &err));
    CHECK(strstr(err.msg, "currently in use"));
    CHECK(disk_bitmap_flags(b) & BITMAP_BUSY);
    CHECK_EQ(disk_write(w.d, 9 << 20, "later", 5, 0), 0);
    job_start(j);
    expect_success(j);
    holds(target, w.model);
    CHECK_EQ(disk_bitmap_dirty_bytes(b), 65536);
    /* one that is cancelled gives the marks back */
    o.speed = 1;
    j = job_backup(&o, w.d, target, DISK_SYNC_INCREMENTAL, "b", false, &err);
    CHECK_EQ(disk_bitmap_dirty_bytes(b), 0);
    job_free(j);
    CHECK_EQ(disk_bitmap_dirty_bytes(b), 65536);
    CHECK(!(disk_bitmap_flags(b) & BITMAP_BUSY));
    disk_unref(target);
    free_world(&w);
}

TEST(pause_speed_cancel)
{
    struct job_options o = { .speed = 1 << 20 };
    struct error err = { 0 };
    uint64_t done, before, total;
    struct disk *target;
    struct world w;
    struct job *j;

    make_chain(&w);
    create(w.g, "raw", DIR "/t", "size=12M");
    target = open_disk(w.g, DIR "/t", "driver=raw,node-name=target");
    j = job_mirror(&o, w.d, target, DISK_SYNC_FULL, 0, &err);
    CHECK_EQ(job_status(j), JOB_CREATED);
    job_start(j);
    CHECK(!job_resume(j, &err));
    CHECK(job_pause(j, &err));
    CHECK(!job_pause(j, &err));
    CHECK_STR(err.msg, "Job is already paused");
    wait_for(j, JOB_PAUSED);
    job_progress(j, &before, &total);
    usleep(50000);
    job_progress(j, &done, &total);
    CHECK_EQ(done, before);
    CHECK(done < 6 << 20);
    CHECK(!job_complete(j, &err));
    CHECK(job_resume(j, &err));
    job_set_speed(j, 0);
    wait_for(j, JOB_READY);
    CHECK(job_pause(j, &err));
    wait_for(j, JOB_STANDBY);
    job_cancel(j, true);
    CHECK(!job_wait(j, &err));
    CHECK_EQ(job_status(j), JOB_NULL);
    job_free(j);
    disk_unref(target);
    free_world(&w);
}

struct history {
    unsigned seen; /* bits of statuses */
    unsigned errors;
};

static void note_status(struct job *j, enum job_status s, void *opaque)
{
    struct history *h = opaque;

    (void)j;
    __atomic_fetch_or(&h->seen, 1u << s, __ATOMIC_SEQ_CST);
}

static void note_error(struct job *j, bool write, int error, void *opaque)
{
    struct history *h = opaque;

    (void)j, (void)write, (void)error;
    __atomic_fetch_add(&h->errors, 1, __ATOMIC_SEQ_CST);
}

TEST(manual_end)
{
    struct history h = { 0, 0 };
    struct job_options o = {
        .manual_finalize = true, .manual_dismiss = true, .changed = note_status, .opaque = &h
    };
    struct error err = { 0 };
    struct world w;
    struct job *j;

    make_chain(&w);
    j = job_stream(&o, w.d, NULL, NULL, &err);
    job_start(j);
    wait_for(j, JOB_PENDING);
    CHECK(disk_backing(w.d));
    CHECK(!job_dismiss(j, &err));
    CHECK(job_finalize(j, &err));
    wait_for(j, JOB_CONCLUDED);
    CHECK(!disk_backing(w.d));
    CHECK(job_dismiss(j, &err));
    job_free(j);
    CHECK_EQ(h.seen, 1 << JOB_RUNNING | 1 << JOB_WAITING | 1 << JOB_PENDING | 1 << JOB_CONCLUDED |
                         1 << JOB_NULL);
    holds(w.d, w.model);
    free_world(&w);
}

/* The target's third write fails once: what the policies make of it. */
static void error_case(enum job_on_error on)
{
    struct history h = { 0, 0 };
    struct job_options o = {
        .on_target_error = on, .changed = note_status, .io_error = note_error, .opaque = &h
    };
    struct error err = { 0 };
    struct disk *target;
    struct world w;
    struct job *j;
    bool ok;

    make_chain(&w);
    create(w.g, "raw", DIR "/t", "size=12M");
    target = open_disk(w.g, NULL,
                       "driver=blkfail,node-name=target,file.driver=file,file.filename=" DIR "/t");
    CHECK_EQ(disk_fail_arm(target, BLKFAIL_WRITE, 3, ENOSPC, false), 0);
    j = job_backup(&o, w.d, target, DISK_SYNC_FULL, NULL, false, &err);
    job_start(j);
    if (on == JOB_ON_ERROR_STOP || on == JOB_ON_ERROR_ENOSPC) {
        wait_for(j, JOB_PAUSED);
        CHECK(job_resume(j, &err));
    }
    ok = job_wait(j, &err);
    job_free(j);
    CHECK_EQ(h.errors, 1);
    CHECK_EQ(ok, on != JOB_ON_ERROR_REPORT);
    if (ok)
        holds(target, w.model);
    else
        CHECK(err.code == ENOSPC && strstr(err.msg, "No space left") && h.seen & 1 << JOB_ABORTING);
    disk_unref(target);
    free_world(&w);
}

TEST(error_policies)
{
    error_case(JOB_ON_ERROR_REPORT);
    error_case(JOB_ON_ERROR_IGNORE);
    error_case(JOB_ON_ERROR_STOP);
    error_case(JOB_ON_ERROR_ENOSPC);
}

TEST(refusals)
{
    struct job_options o = { 0 };
    struct error err = { 0 };
    struct disk *target;
    struct world w;

    make_chain(&w);
    create(w.g, "raw", DIR "/t", "size=11M");
    target = open_disk(w.g, DIR "/t", "driver=raw,node-name=target");
    CHECK(!job_mirror(&o, w.d, target, DISK_SYNC_FULL, 0, &err));
    CHECK(strstr(err.msg, "another size"));
    CHECK(!job_mirror(&o, w.d, w.d, DISK_SYNC_FULL, 0, &err));
    CHECK(!job_backup(&o, w.d, w.d, DISK_SYNC_FULL, NULL, false, &err));
    CHECK(!job_commit(&o, w.d, w.d, target, NULL, &err));
    CHECK(strstr(err.msg, "not in the backing chain"));
    CHECK(!job_stream(&o, w.d, target, NULL, &err));
    disk_unref(target);
    free_world(&w);
}
