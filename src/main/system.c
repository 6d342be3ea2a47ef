/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rhea-system: a whole machine. Reads the command line, makes the VM, runs it, and turns its end
 * into an exit status: 0 when guest or user ended it, 1 when something was wrong.
 */
#include "main/options.h"

#include "base/alloc.h"
#include "base/bits.h"
#include "chardev/chardev.h"
#include "loop/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP };

struct ending {
    struct vm *vm;
    const char *program;
    int fd; /* signalfd */
};

/* The terminal must not stay in raw mode when we die of a bug. */
static void fatal_signal(int sig)
{
    chardev_restore_terminal();
    signal(sig, SIG_DFL);
    raise(sig);
}

static sigset_t ending_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++)
        sigaddset(&set, ending_signals[i]);
    return set;
}

/* The first signal asks for a clean end; a second one is not asked twice. */
static void signal_came(void *opaque, unsigned revents)
{
    struct ending *e = opaque;
    struct signalfd_siginfo si;
    sigset_t set = ending_set();
    if (read(e->fd, &si, sizeof si) != (ssize_t)sizeof si)
        return;
    fprintf(stderr, "%s: terminating on signal %u from pid %u\n", e->program, si.ssi_signo,
            si.ssi_pid);
    for (size_t i = 0; i < ARRAY_SIZE(ending_signals); i++)
        signal(ending_signals[i], fatal_signal);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    vm_request_shutdown(e->vm, VM_HOST_SIGNAL);
}

static bool catch_signals(struct ending *e, struct error *err)
{
    static const int fatal[] = { SIGABRT, SIGBUS, SIGILL, SIGFPE };
    sigset_t set = ending_set();
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
        struct sigaction old;
        if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            signal(fatal[i], fatal_signal);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    e->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (e->fd < 0)
        return fail(err, errno, "signalfd: %s", strerror(errno));
    loop_lock(vm_loop(e->vm));
    (void)loop_fd_add(vm_loop(e->vm), e->fd, POLLIN, signal_came, e);
    loop_unlock(vm_loop(e->vm));
    return true;
}

static void tell_without_screen(const struct options *o)
{
    if (o->nographic || o->display || o->nodefaults || strcmp(o->serials[0], "null"))
        return;
    fprintf(stderr,
            "%s: this release has no window: nothing of the guest is shown; "
            "use -nographic, or -serial stdio\n",
            o->program);
}

static bool run_machine(const struct options *o, struct process *p, int *ret_status,
                        struct error *err)
{
    struct ending e = { .program = o->program, .fd = -1 };
    enum vm_reason reason;
    e.vm = vm_new(&o->vm, err);
    if (!e.vm)
        return false;
    tell_without_screen(o);
    if (o->process_name)
        prctl(PR_SET_NAME, o->process_name);
    bool ok = catch_signals(&e, err) && process_ready(p, err) && vm_run(e.vm, &reason, err);
    if (ok && reason == VM_GUEST_EXIT)
        *ret_status = vm_exit_status(e.vm);
    vm_free(e.vm);
    if (e.fd >= 0)
        close(e.fd);
    return ok;
}

static bool run(const struct options *o, int *ret_status, struct error *err)
{
    struct process p;
    bool ok = process_start(&p, &o->process, err) && run_machine(o, &p, ret_status, err);
    process_finish(&p);
    return ok;
}

/* -msg */
static void print_error(const struct options *o, const struct error *err)
{
    if (o->msg_timestamp) {
        struct timespec ts;
        struct tm tm;
        char text[32] = "";
        clock_gettime(CLOCK_REALTIME, &ts);
        if (gmtime_r(&ts.tv_sec, &tm))
            strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
        fprintf(stderr, "%s.%06ldZ ", text, ts.tv_nsec / 1000);
    }
    if (o->msg_guest_name && o->vm.name)
        fprintf(stderr, "%s ", o->vm.name);
    err_print(stderr, o->program, err);
}

int main(int argc, char **argv)
{
    struct options o;
    struct error err = { 0 };
    int status = EXIT_SUCCESS;
    bool ok = options_parse(&o, argc, argv, &err);
    if (ok && o.print)
        o.print(&o, stdout);
    else if (ok)
        ok = run(&o, &status, &err);
    if (!ok)
        print_error(&o, &err);
    options_finish(&o);
    return ok ? status : EXIT_FAILURE;
}
