/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -netdev bridge, and tap's helper=: a set-uid program makes the tap interface, puts it on the
 * bridge (if /etc/qemu/bridge.conf allows it) and passes the descriptor over a socket by
 * SCM_RIGHTS.
 */
#include "net/net_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/scope.h"

static const char *const helpers[] = {
    "/usr/lib/qemu/qemu-bridge-helper",
    "/usr/libexec/qemu-bridge-helper",
    "/usr/local/libexec/qemu-bridge-helper",
};

static const char *find_helper(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(helpers); i++)
        if (access(helpers[i], X_OK) == 0)
            return helpers[i];
    return NULL;
}

/* In the child: as QEMU calls it; a helper with blanks is a command line for the shell. */
static void run_helper(const char *helper, const char *bridge, bool vnet_hdr, int fd)
{
    char fd_arg[32];
    AUTO_FREE char *br_arg = xasprintf("--br=%s", bridge);

    snprintf(fd_arg, sizeof fd_arg, "--fd=%d", fd);
    if (strpbrk(helper, " \t")) {
        AUTO_FREE char *line = xasprintf("%s%s %s %s", helper, vnet_hdr ? " --use-vnet" : "",
                                         fd_arg, strstr(helper, "--br=") ? "" : br_arg);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    } else if (vnet_hdr) {
        execl(helper, helper, "--use-vnet", fd_arg, br_arg, (char *)NULL);
    } else {
        execl(helper, helper, fd_arg, br_arg, (char *)NULL);
    }
    _exit(127);
}

static int receive_fd(int sock)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    ssize_t n;
    int fd = -1;

    do
        n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
            c->cmsg_len == CMSG_LEN(sizeof fd))
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

int net_bridge_helper(const char *helper, const char *bridge, bool vnet_hdr, struct error *err)
{
    int pair[2], status = 0;

    if (!helper && !(helper = find_helper())) {
        (void)fail(err, ENOENT, "the bridge helper is not installed (%s)", helpers[0]);
        (void)fail_hint(err, "install qemu-system-common, or name one with helper=PATH");
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
        (void)fail(err, errno, "socketpair: %s", strerror(errno));
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        run_helper(helper, bridge, vnet_hdr, pair[1]);
    }
    close(pair[1]);
    int fd = pid > 0 ? receive_fd(pair[0]) : -1;
    close(pair[0]);
    if (pid < 0)
        (void)fail(err, errno, "fork: %s", strerror(errno));
    else
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    if (pid > 0 && (fd < 0 || status)) {
        (void)fail(err, EPERM, "the bridge helper %s failed for bridge '%s'", helper, bridge);
        (void)fail_hint(err, "does the bridge exist, and does /etc/qemu/bridge.conf allow it?");
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    return fd;
}

static bool bridge_open(struct netdev *nd, struct optlist *o, struct error *err)
{
    const char *bridge = optlist_take(o, "br"), *helper = optlist_take(o, "helper");

    bridge = bridge ? bridge : "br0";
    int fd = net_bridge_helper(helper, bridge, true, err);
    if (fd < 0 || !net_tap_start(nd, fd, err))
        return false;
    netdev_info(nd, "bridge %s", bridge);
    return true;
}

const struct netdev_type netdev_bridge_type = {
    .name = "bridge",
    .size = NET_TAP_SIZE,
    .open = bridge_open,
    .close = net_tap_close,
};
