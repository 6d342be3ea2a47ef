/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "main/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/scope.h"
#include "base/str.h"

/* --- background --- */

/* The parent: the daemon writes one byte when it is ready, or dies. */
static void __attribute__((noreturn)) wait_for_daemon(int fd)
{
    char byte = 1;
    ssize_t n;
    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    _exit(n == 1 && byte == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static bool go_to_background(struct process *p, struct error *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return fail(err, errno, "-daemonize: pipe: %s", strerror(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return fail(err, errno, "-daemonize: fork: %s", strerror(errno));
    if (pid > 0) {
        close(fds[1]);
        wait_for_daemon(fds[0]);
    }
    close(fds[0]);
    p->ready_fd = fds[1];
    setsid();
    pid = fork(); /* not the leader of the session: it gets no terminal */
    if (pid != 0)
        _exit(pid < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
    umask(027);
    return true;
}

/* Standard streams go away when the machine is made: its errors still reach the terminal. */
static bool leave_terminal(struct process *p, struct error *err)
{
    AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    char byte = 0;
    if (chdir("/") < 0 || null < 0)
        return fail(err, errno, "-daemonize: /dev/null: %s", strerror(errno));
    fflush(NULL);
    for (int fd = 0; fd < 3; fd++)
        if (dup2(null, fd) < 0)
            return fail(err, errno, "-daemonize: %s", strerror(errno));
    if (write(p->ready_fd, &byte, 1) != 1)
        return fail(err, errno, "-daemonize: %s", strerror(errno));
    close(p->ready_fd);
    p->ready_fd = -1;
    return true;
}

/* --- pid file --- */

static bool write_pid(struct process *p, struct error *err)
{
    const char *path = p->config->pidfile;
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    p->pid_fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (p->pid_fd < 0)
        return fail(err, errno, "-pidfile %s: %s", path, strerror(errno));
    if (fcntl(p->pid_fd, F_SETLK, &lock) < 0) {
        (void)fail(err, errno, "-pidfile %s: another process holds it", path);
        close(p->pid_fd);
        p->pid_fd = -1;
        return fail_hint(err, "give each machine a file of its own");
    }
    if (ftruncate(p->pid_fd, 0) < 0 || write(p->pid_fd, text, (size_t)n) != n)
        return fail(err, errno, "-pidfile %s: %s", path, strerror(errno));
    return true;
}

/* --- rights --- */

/* "user", or "uid:gid". */
static bool find_user(const char *text, uid_t *ret_uid, gid_t *ret_gid, struct error *err)
{
    const char *colon = strchr(text, ':');
    struct error ignored;
    uint64_t uid, gid;
    if (colon) {
        AUTO_FREE char *first = strndup(text, (size_t)(colon - text));
        if (first && parse_u64(first, &uid, &ignored) && parse_u64(colon + 1, &gid, &ignored) &&
            uid < UINT32_MAX && gid < UINT32_MAX) {
            *ret_uid = (uid_t)uid;
            *ret_gid = (gid_t)gid;
            return true;
        }
    }
    const struct passwd *pw = getpwnam(text);
    if (!pw) {
        (void)fail(err, ENOENT, "user '%s' doesn't exist (and is not <uid>:<gid>)", text);
        return fail_hint(err, "name a user of this host, or write 1000:1000");
    }
    *ret_uid = pw->pw_uid;
    *ret_gid = pw->pw_gid;
    return true;
}

static bool drop_rights(const struct process_config *c, struct error *err)
{
    uid_t uid = 0;
    gid_t gid = 0;
    if (c->runas && !find_user(c->runas, &uid, &gid, err))
        return false;
    if (c->chroot && (chroot(c->chroot) < 0 || chdir("/") < 0))
        return fail(err, errno, "chroot to '%s': %s", c->chroot, strerror(errno));
    if (!c->runas)
        return true;
    if (setgid(gid) < 0 || setgroups(1, &gid) < 0 || setuid(uid) < 0) {
        (void)fail(err, errno, "to user '%s': %s", c->runas, strerror(errno));
        return fail_hint(err, "only root can change the user");
    }
    if (uid != 0 && setuid(0) == 0)
        return fail(err, EPERM, "to user '%s': its rights were not dropped", c->runas);
    return true;
}

bool process_start(struct process *p, const struct process_config *c, struct error *err)
{
    *p = (struct process){ .config = c, .ready_fd = -1, .pid_fd = -1 };
    if (c->daemonize && !go_to_background(p, err))
        return false;
    return !c->pidfile || write_pid(p, err);
}

bool process_ready(struct process *p, struct error *err)
{
    const struct process_config *c = p->config;
    if (c->mem_lock && mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
        (void)fail(err, errno, "-overcommit mem-lock=on: %s", strerror(errno));
        return fail_hint(err, "raise 'ulimit -l', or be root");
    }
    if (!drop_rights(c, err) || (c->sandbox && !sandbox_enter(c, err)))
        return false;
    return p->ready_fd < 0 || leave_terminal(p, err);
}

void process_finish(struct process *p)
{
    if (p->pid_fd >= 0) {
        unlink(p->config->pidfile);
        close(p->pid_fd);
    }
    if (p->ready_fd >= 0)
        close(p->ready_fd);
}
