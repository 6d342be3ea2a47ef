/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rhea-nbd from its start to its end, --fork included. */
#include "nbd/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

/* The parent of --fork: what the server has to say is passed on, until it is running or has gone.
 */
static int watch_child(int own_fd)
{
    char buf[4096];
    char last = 0; /* a server that runs says a zero byte */
    ssize_t n;
    while ((n = read(own_fd, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR)) {
        if (n <= 0)
            continue;
        last = buf[n - 1];
        bool runs = !last;
        size_t text = (size_t)n - runs;
        if (text && write(STDERR_FILENO, buf, text) < 0)
            break;
        if (runs)
            break;
        last = 1;
    }
    close(own_fd);
    return last ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The child goes on with stderr into a pipe to the parent, which returns its status in *ret. */
static bool fork_server(int *ret_status, bool *ret_is_parent, struct error *err)
{
    int fds[2];
    *ret_is_parent = false;
    if (pipe2(fds, O_CLOEXEC))
        return fail(err, errno, "pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid < 0)
        return fail(err, errno, "Failed to fork: %s", strerror(errno));
    if (pid) {
        close(fds[1]);
        *ret_is_parent = true;
        *ret_status = watch_child(fds[0]);
        return true;
    }
    close(fds[0]);
    setsid();
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    return true;
}

static bool make_objects(struct nbd_tool *t, struct error *err)
{
    t->objects = object_set_new();
    for (unsigned i = 0; i < t->object_count; i++) {
        if (!object_add(t->objects, t->object_texts[i], err))
            return false;
    }
    return true;
}

static bool run(struct nbd_tool *t, struct error *err)
{
    switch (t->mode) {
    case NBD_TOOL_PRINT: return true;
    case NBD_TOOL_DISCONNECT: return nbd_kernel_disconnect(t->device, err);
    case NBD_TOOL_LIST: return make_objects(t, err) && nbd_tool_list(t, err);
    default: return make_objects(t, err) && nbd_tool_serve(t, err);
    }
}

int nbd_tool_main(int argc, char **argv)
{
    struct nbd_tool t = { .program = basename(argv[0]) };
    struct error err = { 0 };
    int status = EXIT_FAILURE;
    bool is_parent = false;
    signal(SIGPIPE, SIG_IGN);
    if (nbd_tool_parse(&t, argc, argv, &err) &&
        (!t.fork || t.mode != NBD_TOOL_SERVE || fork_server(&status, &is_parent, &err)) &&
        !is_parent && run(&t, &err))
        status = EXIT_SUCCESS;
    if (err.code)
        err_print(stderr, t.program, &err);
    object_set_free(t.objects);
    free(t.object_texts);
    free(t.bitmaps);
    return fflush(stdout) ? EXIT_FAILURE : status;
}
