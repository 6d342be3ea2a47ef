/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Progress, and signals: one thread waits for them, all others have them blocked. Ctrl-C during
 * work asks the work to stop, so that what is open is closed in order; a second one, or one at any
 * other time, ends the process. A target that was not finished is removed either way.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "img/img.h"

static void signal_set(sigset_t *set)
{
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };
    sigemptyset(set);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct sigaction old;
        /* what our parent ignores (nohup) stays ignored; SIGUSR2 is ours, to end the thread */
        if (!sigaction(signals[i], NULL, &old) && old.sa_handler == SIG_IGN &&
            signals[i] != SIGUSR2)
            continue;
        sigaddset(set, signals[i]);
    }
}

static void print_progress_locked(struct img *img)
{
    printf("    (%3.2f/100%%)\r", img->progress_now);
    fflush(stdout);
    img->progress_shown = img->progress_now;
}

static void remove_unfinished_locked(struct img *img)
{
    for (unsigned i = 0; i < 2; i++) {
        if (img->unfinished[i])
            unlink(img->unfinished[i]);
        free(img->unfinished[i]);
        img->unfinished[i] = NULL;
    }
}

static void die(struct img *img, int sig)
{
    sigset_t set;
    img_remove_unfinished(img);
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(sig);
    _exit(128 + sig);
}

static void *signal_main(void *opaque)
{
    struct img *img = opaque;
    sigset_t set;
    int sig;

    signal_set(&set);
    for (;;) {
        if (sigwait(&set, &sig))
            continue;
        if (sig == SIGUSR2)
            return NULL;
        if (sig == SIGUSR1) {
            WITH_LOCK (&img->lock) {
                if (img->progress_active) {
                    print_progress_locked(img);
                    putchar('\n');
                    fflush(stdout);
                }
            }
            continue;
        }
        if (!atomic_load(&img->uninterruptible) || img_cancelled(img))
            die(img, sig);
        atomic_store(&img->signal, sig);
        atomic_store(&img->cancel, true);
    }
}

bool img_signals_start(struct img *img, struct error *err)
{
    sigset_t set;
    signal_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int r = pthread_create(&img->signal_thread, NULL, signal_main, img);
    return !r || fail(err, r, "could not start a thread: %s", strerror(r));
}

void img_signals_stop(struct img *img)
{
    pthread_kill(img->signal_thread, SIGUSR2);
    pthread_join(img->signal_thread, NULL);
    if (img_cancelled(img)) {
        fflush(stdout);
        die(img, atomic_load(&img->signal));
    }
}

void img_work_begin(struct img *img)
{
    atomic_fetch_add(&img->uninterruptible, 1);
}

void img_work_end(struct img *img)
{
    atomic_fetch_sub(&img->uninterruptible, 1);
}

void img_unfinished(struct img *img, const char *filename, const char *second)
{
    WITH_LOCK (&img->lock) {
        free(img->unfinished[0]);
        free(img->unfinished[1]);
        img->unfinished[0] = xstrdup(filename);
        img->unfinished[1] = xstrdup(second);
    }
}

void img_finished(struct img *img)
{
    WITH_LOCK (&img->lock) {
        for (unsigned i = 0; i < 2; i++) {
            free(img->unfinished[i]);
            img->unfinished[i] = NULL;
        }
    }
}

void img_remove_unfinished(struct img *img)
{
    WITH_LOCK (&img->lock)
        remove_unfinished_locked(img);
}

void img_progress_start(struct img *img)
{
    WITH_LOCK (&img->lock) {
        img->progress_now = 0;
        img->progress_active = true;
        if (img->progress)
            print_progress_locked(img);
    }
}

void img_progress(struct img *img, uint64_t done, uint64_t total)
{
    double now = total ? 100.0 * done / total : 100;
    WITH_LOCK (&img->lock) {
        if (now > img->progress_now)
            img->progress_now = now > 100 ? 100 : now;
        if (img->progress && (img->progress_now - img->progress_shown >= 1 ||
                              (img->progress_now >= 100 && img->progress_shown < 100)))
            print_progress_locked(img);
    }
}

void img_progress_end(struct img *img, bool ok)
{
    WITH_LOCK (&img->lock) {
        if (ok)
            img->progress_now = 100;
        if (img->progress && img->progress_active) {
            print_progress_locked(img);
            putchar('\n');
            fflush(stdout);
        }
        img->progress_active = false;
    }
}

static bool step(struct disk_progress *p, uint64_t done, uint64_t total)
{
    struct img_disk_progress *ip = container_of(p, struct img_disk_progress, p);
    img_progress(ip->img, done, total);
    return !img_cancelled(ip->img);
}

struct img_disk_progress img_disk_progress(struct img *img)
{
    return (struct img_disk_progress){ { step }, img };
}

void img_rate_wait(struct img_rate *r, uint64_t bytes)
{
    struct timespec t;
    double now, until = 0;

    if (!r->per_second)
        return;
    clock_gettime(CLOCK_MONOTONIC, &t);
    now = t.tv_sec + t.tv_nsec / 1e9;
    WITH_LOCK (&r->lock) {
        if (r->free_at < now)
            r->free_at = now;
        until = r->free_at;
        r->free_at += (double)bytes / r->per_second;
    }
    if (until > now) {
        double wait = until - now;
        t = (struct timespec){ (time_t)wait, (long)((wait - (time_t)wait) * 1e9) };
        while (nanosleep(&t, &t) && errno == EINTR)
            continue;
    }
}
