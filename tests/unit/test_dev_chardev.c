/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "chardev/chardev.h"
#include "loop/loop.h"
#include "test.h"

static char got[256];
static size_t got_len;
static unsigned opened, closed, breaks;
static size_t room;

static size_t can_read(void *opaque)
{
    return room - got_len;
}

static void take(void *opaque, const uint8_t *buf, size_t len)
{
    memcpy(got + got_len, buf, len);
    got_len += len;
    got[got_len] = 0;
}

static void event(void *opaque, enum chardev_event ev)
{
    opened += ev == CHARDEV_OPENED;
    closed += ev == CHARDEV_CLOSED;
    breaks += ev == CHARDEV_BREAK;
}

static const struct chardev_client client = { can_read, take, event, NULL };

static struct loop *start(void)
{
    struct error err;

    got_len = opened = closed = breaks = 0;
    got[0] = 0;
    room = sizeof got - 1;
    return loop_new(&err);
}

static void turn(struct loop *l, int n)
{
    while (n--)
        loop_poll_once(l, 5);
}

static void check_refused(const char *spec, const char *part)
{
    struct error err = { 0 };
    struct loop *l = start();
    struct chardev *c = chardev_new_from_spec(l, "serial0", spec, &err);

    CHECK(c == NULL);
    if (c || (!strstr(err.msg, part) && !strstr(err.hint, part)))
        TEST_FAIL("'%s': '%s'; '%s' has no '%s'", spec, err.msg, err.hint, part);
    chardev_free(c);
    loop_free(l);
}

TEST(bad_specs)
{
    check_refused("stdoi", "stdio");
    check_refused("file", "file:PATH");
    check_refused("file:/nonexistent/x", "No such file");
    check_refused("tcp:localhost", "HOST:PORT");
    check_refused("unix:/tmp/x,sever", "server");
    check_refused("null:x", "takes nothing");
    check_refused("vc", "not offered");
    check_refused("", "no serial backend");
    check_refused("tcp:127.0.0.1:1", "cannot connect");
}

TEST(null_takes_all)
{
    struct error err;
    struct loop *l = start();
    struct chardev *c = chardev_new_from_spec(l, "s", "none", &err);

    CHECK_EQ(chardev_write(c, "abc", 3), 3);
    CHECK(chardev_can_write(c));
    CHECK(chardev_connected(c));
    chardev_free(c);
    loop_free(l);
}

TEST(file_output)
{
    char path[] = "/tmp/rhea-chr-XXXXXX", spec[64], buf[32] = "";
    struct error err;
    struct loop *l = start();
    int fd = mkstemp(path);

    snprintf(spec, sizeof spec, "file:%s", path);
    struct chardev *c = chardev_new_from_spec(l, "s", spec, &err);
    loop_lock(l);
    CHECK_EQ(chardev_write(c, "hello ", 6), 6);
    CHECK_EQ(chardev_write(c, "world", 5), 5);
    chardev_free(c); /* writes what is queued */
    loop_unlock(l);
    CHECK_EQ(read(fd, buf, sizeof buf), 11);
    CHECK_STR(buf, "hello world");
    close(fd);
    unlink(path);
    loop_free(l);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(sa.sun_path, path);
    CHECK_EQ(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

TEST(unix_server)
{
    char dir[] = "/tmp/rhea-chr-XXXXXX", path[64], spec[96], buf[32] = "";
    struct error err;
    struct loop *l = start();

    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(spec, sizeof spec, "unix:%s,server,nowait", path);
    struct chardev *c = chardev_new_from_spec(l, "s", spec, &err);
    CHECK(c != NULL);
    chardev_attach(c, &client, NULL);
    CHECK(!chardev_connected(c));
    CHECK_EQ(chardev_write(c, "lost", 4), 4);
    for (int i = 0; i < 2; i++) { /* comes, talks, goes, comes again */
        int fd = connect_unix(path);

        turn(l, 2);
        CHECK_EQ(opened, i + 1);
        room = got_len + 3; /* the device takes three bytes, then the rest */
        CHECK_EQ(write(fd, "abcdef", 6), 6);
        turn(l, 2);
        CHECK_EQ(got_len, (size_t)i * 6 + 3);
        room = sizeof got - 1;
        loop_lock(l);
        chardev_accept_input(c);
        CHECK_EQ(got_len, (size_t)i * 6 + 3); /* not from inside */
        chardev_write(c, "reply", 5);
        loop_unlock(l);
        turn(l, 3);
        CHECK_EQ(got_len, (size_t)i * 6 + 6);
        CHECK_EQ(read(fd, buf, sizeof buf), 5);
        CHECK_STR(buf, "reply");
        close(fd);
        turn(l, 2);
        CHECK_EQ(closed, i + 1);
    }
    CHECK_STR(got, "abcdefabcdef");
    chardev_free(c);
    CHECK(access(path, F_OK) != 0);
    rmdir(dir);
    loop_free(l);
}

TEST(telnet)
{
    char dir[] = "/tmp/rhea-chr-XXXXXX", path[64], spec[96];
    uint8_t buf[64];
    struct error err;
    struct loop *l = start();

    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(spec, sizeof spec, "unix:%s,server=on,wait=off,telnet=on", path);
    struct chardev *c = chardev_new_from_spec(l, "s", spec, &err);
    CHECK(c != NULL);
    chardev_attach(c, &client, NULL);
    int fd = connect_unix(path);
    turn(l, 2);
    CHECK_EQ(read(fd, buf, sizeof buf), 12); /* the offers */
    static const uint8_t in[] = { 'a', 255, 253, 1,   'b', 255, 255, 255, 250,
                                  24,  1,   255, 240, 'c', 255, 243, 'd' };
    CHECK_EQ(write(fd, in, sizeof in), sizeof in);
    turn(l, 2);
    CHECK_STR(got, "ab\xff"
                   "cd");
    CHECK_EQ(breaks, 1);
    loop_lock(l);
    chardev_write(c, "x\xffy", 3);
    loop_unlock(l);
    turn(l, 3);
    CHECK_EQ(read(fd, buf, sizeof buf), 4);
    CHECK_MEM(buf, "x\xff\xffy", 4);
    close(fd);
    chardev_free(c);
    rmdir(dir);
    loop_free(l);
}

static unsigned quits;

static void quit(void *opaque)
{
    quits++;
}

/* Ctrl-A keys over mon:pipe, also while the device takes nothing. */
TEST(escapes)
{
    char dir[] = "/tmp/rhea-chr-XXXXXX", path[64], spec[96], name[80], buf[512] = "";
    struct error err;
    struct loop *l = start();
    ssize_t n;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/p", dir);
    snprintf(name, sizeof name, "%s.in", path);
    CHECK_EQ(mkfifo(name, 0600), 0);
    int to = open(name, O_RDWR);
    unlink(name);
    CHECK_EQ(mkfifo(name, 0600), 0);
    close(to);
    snprintf(name, sizeof name, "%s.out", path);
    CHECK_EQ(mkfifo(name, 0600), 0);
    snprintf(spec, sizeof spec, "mon:pipe:%s", path);
    struct chardev *c = chardev_new_from_spec(l, "s", spec, &err);
    CHECK(c != NULL);
    int from = open(name, O_RDONLY | O_NONBLOCK);
    snprintf(name, sizeof name, "%s.in", path);
    to = open(name, O_WRONLY | O_NONBLOCK);
    chardev_attach(c, &client, NULL);
    chardev_set_escapes(c, &(struct chardev_escapes){ .quit = quit });
    room = 2;
    quits = 0;
    CHECK_EQ(write(to, "ab\001\001c\001b\001z\001cd\001h", 14), 14);
    turn(l, 3);
    CHECK_STR(got, "ab");
    CHECK_EQ(breaks, 1);
    n = read(from, buf, sizeof buf - 1);
    CHECK(n > 0 && strstr(buf, "no monitor") && strstr(buf, "exit emulator"));
    CHECK_EQ(write(to, "\001x", 2), 2);
    turn(l, 2);
    CHECK_EQ(quits, 1);
    room = 100;
    loop_lock(l);
    chardev_accept_input(c);
    loop_unlock(l);
    turn(l, 2);
    CHECK_STR(got, "ab\001cd");
    chardev_free(c);
    close(to);
    close(from);
    unlink(name);
    snprintf(name, sizeof name, "%s.out", path);
    unlink(name);
    rmdir(dir);
    loop_free(l);
}
