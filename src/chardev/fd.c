/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backends on descriptors that open(2) gives: terminal, file, pipe, device, pty. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/scope.h"
#include "chardev/chardev_priv.h"

#define PTY_LOOK_NS INT64_C(250000000) /* how often a pty without a reader is looked at */

static bool open_failed(struct error *err, const char *what, const char *path)
{
    int code = errno;

    fail(err, code, "%s '%s': %s", what, path, strerror(code));
    if (code == ENOENT)
        return fail_hint(err, "check the path and that its folder exists");
    if (code == EACCES)
        return fail_hint(err, "check the permissions of the file and its folder");
    return false;
}

/* --- the terminal --- */

/* The process has one terminal, and a signal handler must be able to put it back: so this is one of
 * the few mutable things at file scope. */
static struct termios saved_termios;
static atomic_bool terminal_raw, stdio_taken;

void chardev_restore_terminal(void)
{
    if (atomic_exchange(&terminal_raw, false))
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_termios);
}

static void make_raw(bool signals)
{
    static atomic_bool at_exit;
    struct termios t;

    if (tcgetattr(STDIN_FILENO, &saved_termios))
        return;
    t = saved_termios;
    t.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t.c_oflag |= OPOST;
    t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    if (!signals)
        t.c_lflag &= ~(tcflag_t)ISIG;
    t.c_cflag = (t.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    if (!atomic_exchange(&at_exit, true))
        atexit(chardev_restore_terminal);
    if (tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0)
        atomic_store(&terminal_raw, true);
}

/* Our own open file of a terminal or pipe, so that O_NONBLOCK does not leak to whoever shares it
 * with us. -1: it is neither, or cannot be opened anew (a pipe's other side, another user's). */
static int reopen_nonblocking(int fd)
{
    char path[32];
    struct stat st;

    if (fstat(fd, &st) || !(isatty(fd) || S_ISFIFO(st.st_mode)))
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static void close_stdio(struct chardev *c)
{
    if (c->is_terminal)
        chardev_restore_terminal();
    atomic_store(&stdio_taken, false);
}

static const struct chardev_backend stdio_backend = { .name = "stdio", .close = close_stdio };

bool chardev_open_stdio(struct chardev *c, struct optlist *opts, struct error *err)
{
    bool signals = true;
    int in_fd, out_fd;
    struct stat st;

    if (!optlist_take_bool(opts, "signal", &signals, err))
        return false;
    if (atomic_exchange(&stdio_taken, true)) {
        fail(err, EBUSY, "stdio is in use by another serial port or monitor");
        return fail_hint(err, "only one can have the terminal; give the others none or pty");
    }
    c->backend = &stdio_backend;
    if (isatty(STDIN_FILENO)) {
        c->is_terminal = true;
        make_raw(signals);
    }
    in_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    out_fd = reopen_nonblocking(STDOUT_FILENO);
    if (out_fd < 0) {
        out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        c->out_may_block = out_fd >= 0 && fstat(out_fd, &st) == 0 && !S_ISREG(st.st_mode);
    }
    if (in_fd < 0 && out_fd < 0)
        return fail(err, errno, "stdio: neither standard input nor output is open");
    chardev_connect_fds(c, in_fd, out_fd);
    return true;
}

/* --- files and devices --- */

static const struct chardev_backend file_backend = { .name = "file" };

static const char *take_path(struct chardev *c, struct optlist *opts, struct error *err)
{
    const char *path = optlist_take(opts, "path");

    if (!path || !*path) {
        fail(err, EINVAL, "%s needs path=PATH", c->backend->name);
        return NULL;
    }
    return path;
}

bool chardev_open_file(struct chardev *c, struct optlist *opts, struct error *err)
{
    const char *path, *input;
    bool append = false;
    int in_fd = -1, fd;

    c->backend = &file_backend;
    input = optlist_take(opts, "input-path");
    path = take_path(c, opts, err);
    if (!path || !optlist_take_bool(opts, "append", &append, err))
        return false;
    if (input) {
        in_fd = open(input, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (in_fd < 0)
            return open_failed(err, "file", input);
    }
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666);
    if (fd < 0) {
        open_failed(err, "file", path);
        if (in_fd >= 0)
            close(in_fd);
        return false;
    }
    chardev_connect_fds(c, in_fd, fd);
    return true;
}

bool chardev_open_log(struct chardev *c, const char *path, bool append, struct error *err)
{
    c->log_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0666);
    return c->log_fd >= 0 || open_failed(err, "logfile", path);
}

void chardev_log(struct chardev *c, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t done = write(c->log_fd, p, n);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            if (!c->log_lost_told)
                log_text("chardev '%s': logfile: %s; a part of it is lost\n", c->id,
                         strerror(errno));
            c->log_lost_told = true;
            return;
        }
        p += done;
        n -= (size_t)done;
    }
}

static const struct chardev_backend pipe_backend = { .name = "pipe" };

/* PATH.in and PATH.out, or PATH for both. Opened for reading and writing, so that neither open
 * waits for the other side and its leaving is not an end of file. */
bool chardev_open_pipe(struct chardev *c, struct optlist *opts, struct error *err)
{
    int flags = O_RDWR | O_NONBLOCK | O_CLOEXEC, in_fd, out_fd;
    AUTO_FREE char *in_path = NULL;
    AUTO_FREE char *out_path = NULL;
    const char *path;

    c->backend = &pipe_backend;
    path = take_path(c, opts, err);
    if (!path)
        return false;
    in_path = xasprintf("%s.in", path);
    out_path = xasprintf("%s.out", path);
    in_fd = open(in_path, flags);
    out_fd = open(out_path, flags);
    if (in_fd < 0 || out_fd < 0) {
        if (in_fd >= 0)
            close(in_fd);
        if (out_fd >= 0)
            close(out_fd);
        in_fd = out_fd = open(path, flags);
        if (in_fd < 0) {
            open_failed(err, "pipe", path);
            return fail_hint(err, "make it first: mkfifo PATH.in PATH.out");
        }
    }
    chardev_connect_fds(c, in_fd, out_fd);
    return true;
}

static void send_tty_break(struct chardev *c)
{
    (void)tcsendbreak(c->out_fd, 0);
}

static const struct chardev_backend device_backend = { .name = "serial",
                                                       .send_break = send_tty_break };

bool chardev_open_device(struct chardev *c, struct optlist *opts, struct error *err)
{
    const char *path;
    struct termios t;
    int fd;

    c->backend = &device_backend;
    path = take_path(c, opts, err);
    if (!path)
        return false;
    fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return open_failed(err, "device", path);
    if (tcgetattr(fd, &t) == 0) {
        cfmakeraw(&t);
        (void)tcsetattr(fd, TCSANOW, &t);
    }
    chardev_connect_fds(c, fd, fd);
    return true;
}

/* --- pty --- */

/* The master stays open in pty_fd; while someone has the slave open it is connected. */
static void pty_hangup(struct chardev *c)
{
    int fd = c->in_fd;

    chardev_disconnect_fds(c);
    if (fd >= 0)
        close(fd);
    timer_set_ns(&c->pty_timer, clock_now_ns(loop_clock(c->loop, CLOCK_RT)) + PTY_LOOK_NS);
}

static const struct chardev_backend pty_backend = { .name = "pty", .hangup = pty_hangup };

static void look_at_pty(void *opaque)
{
    struct chardev *c = opaque;
    struct pollfd pfd = { .fd = c->pty_fd, .events = POLLIN };
    int fd;

    if (poll(&pfd, 1, 0) >= 0 && !(pfd.revents & POLLHUP) &&
        (fd = fcntl(c->pty_fd, F_DUPFD_CLOEXEC, 3)) >= 0) {
        chardev_connect_fds(c, fd, fd);
        return;
    }
    timer_set_ns(&c->pty_timer, clock_now_ns(loop_clock(c->loop, CLOCK_RT)) + PTY_LOOK_NS);
}

bool chardev_open_pty(struct chardev *c, struct optlist *opts, struct error *err)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave;
    char name[64];
    struct termios t;

    c->backend = &pty_backend;
    c->pty_fd = fd;
    if (fd < 0 || grantpt(fd) || unlockpt(fd) || ptsname_r(fd, name, sizeof name))
        return fail(err, errno, "cannot make a pty: %s", strerror(errno));
    if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK))
        return fail(err, errno, "pty %s: %s", name, strerror(errno));
    /* Raw from the start; opening and closing it also makes POLLHUP say that nobody is there. */
    slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || tcgetattr(slave, &t))
        return open_failed(err, "pty", name);
    cfmakeraw(&t);
    (void)tcsetattr(slave, TCSANOW, &t);
    close(slave);
    c->where = xstrdup(name);
    printf("char device redirected to %s (label %s)\n", name, c->id); /* as scripts expect it */
    (void)fflush(stdout);
    timer_init(&c->pty_timer, c->loop, CLOCK_RT, look_at_pty, c);
    look_at_pty(c);
    return true;
}
