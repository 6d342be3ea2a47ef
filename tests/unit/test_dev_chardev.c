/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "chardev/chardev.h"
#include "chardev/chardevs.h"
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
    check_refused("tcp:127.0.0.1:1", "Failed to connect");
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
    char dir[] = "/tmp/rhea-chr-XXXXXX", path[64], spec[128];
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

static void check_not_added(const char *text, const char *part)
{
    struct error err = { 0 };
    struct loop *l = start();
    struct chardevs *set = chardevs_new(l, NULL);
    bool ok = chardevs_add(set, text, &err);

    CHECK(!ok);
    if (ok || (!strstr(err.msg, part) && !strstr(err.hint, part)))
        TEST_FAIL("'%s': '%s'; '%s' has no '%s'", text, err.msg, err.hint, part);
    CHECK(chardevs_next(set, NULL) == NULL);
    chardevs_free(set);
    loop_free(l);
}

TEST(bad_named)
{
    check_not_added("sokcet,id=a", "did you mean 'socket'");
    check_not_added("null", "needs id");
    check_not_added("null,id=0a", "not a name");
    check_not_added("id=a", "backend is missing");
    check_not_added("socket,id=a", "path=PATH");
    check_not_added("socket,id=a,path=/tmp/x,sever=on", "server");
    check_not_added("socket,id=a,path=/nonexistent/x", "start the other side");
    check_not_added("socket,id=a,path=/tmp/x,wait=off", "wait= is for servers");
    check_not_added("socket,id=a,path=/tmp/x,server=on,reconnect=1", "for clients");
    check_not_added("socket,id=a,port=1,websocket=on,server=on", "do not have that yet");
    check_not_added("socket,id=a,host=x,port=1,tls-creds=t", "do not have that yet");
    check_not_added("socket,id=a,fd=0,server=on", "not a listening socket");
    check_not_added("file,id=a", "path=PATH");
    check_not_added("ringbuf,id=a,size=100", "power of two");
    check_not_added("ringbuf,id=a,size=1T", "power of two");
    check_not_added("udp,id=a,host=127.0.0.1", "port");
    check_not_added("vc,id=a", "stdio");
    check_not_added("spicevmc,id=a,name=vdagent", "SPICE");
    check_not_added("null,id=a,logfile=/nonexistent/x", "No such file");
    check_not_added("{\"id\": \"a\"}", "backend is missing");
    check_not_added("{\"id\": \"a\", \"backend\": {\"type\": \"null\", \"data\": {\"x\": 1}}}",
                    "'x'");
}

TEST(named)
{
    struct error err = { 0 };
    struct loop *l = start();
    struct chardevs *set = chardevs_new(l, NULL);
    char buf[16] = "";

    CHECK(chardevs_add(set, "ringbuf,id=ring,size=8", &err));
    CHECK(chardevs_add(set, "{\"backend\": \"null\", \"id\": \"n\"}", &err));
    CHECK(chardevs_add(set,
                       "{\"id\": \"f\", \"backend\": {\"type\": \"file\", \"data\": "
                       "{\"path\": \"/dev/null\", \"append\": true}}}",
                       &err));
    CHECK(!chardevs_add(set, "null,id=n", &err));
    CHECK(strstr(err.msg, "already") != NULL);
    CHECK(chardevs_take(set, "rign", &err) == NULL);
    CHECK_STR(err.hint, "did you mean 'ring'?");
    struct chardev *c = chardevs_take(set, "ring", &err);
    CHECK(c != NULL);
    CHECK_STR(chardev_id(c), "ring");
    CHECK_STR(chardev_kind_name(c), "ringbuf");
    CHECK(chardevs_take(set, "ring", &err) == NULL);
    CHECK_EQ(err.code, EBUSY);
    CHECK(!chardevs_remove(set, "ring", &err));
    loop_lock(l);
    CHECK_EQ(chardev_write(c, "0123456789", 10), 10);
    CHECK_EQ(chardev_ringbuf_read(c, buf, 3), 3);
    CHECK_STR(buf, "234");
    CHECK_EQ(chardev_ringbuf_read(c, buf, sizeof buf), 5);
    loop_unlock(l);
    chardevs_give_back(set, c);
    CHECK(chardevs_take_spec(set, "serial0", "chardev:ring", &err) == c);
    chardevs_give_back(set, c);
    CHECK(chardevs_remove(set, "ring", &err));
    CHECK(chardevs_take_spec(set, "serial0", "chardev:ring", &err) == NULL);
    CHECK_EQ(err.code, ENOENT);
    c = chardevs_take_spec(set, "serial1", "null", &err);
    CHECK_STR(chardev_id(c), "serial1");
    chardevs_free(set);
    loop_free(l);
}

/* A frontend of a shared backend: what it got. */
struct front {
    struct chardev *c;
    char got[64];
    size_t len;
    int focus, opened;
};

static void front_read(void *opaque, const uint8_t *buf, size_t len)
{
    struct front *f = opaque;

    memcpy(f->got + f->len, buf, len);
    f->len += len;
}

static void front_event(void *opaque, enum chardev_event ev)
{
    struct front *f = opaque;

    f->focus += (ev == CHARDEV_FOCUSED) - (ev == CHARDEV_UNFOCUSED);
    f->opened += (ev == CHARDEV_OPENED) - (ev == CHARDEV_CLOSED);
}

static const struct chardev_client front_client = { NULL, front_read, front_event, NULL };

TEST(mux)
{
    char dir[] = "/tmp/rhea-chr-XXXXXX", path[64], spec[160], buf[64] = "";
    struct front f[2] = { 0 };
    struct error err;
    struct loop *l = start();
    struct chardevs *set = chardevs_new(l, NULL);

    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(spec, sizeof spec, "socket,id=m,path=%s,server=on,wait=off,mux=on,logfile=%s/log",
             path, dir);
    CHECK(chardevs_add(set, spec, &err));
    loop_lock(l);
    for (int i = 0; i < 2; i++) {
        f[i].c = chardevs_take(set, "m", &err);
        CHECK(f[i].c != NULL);
        chardev_attach(f[i].c, &front_client, &f[i]);
    }
    CHECK(!chardev_connected(f[1].c));
    loop_unlock(l);
    int fd = connect_unix(path);
    turn(l, 2);
    CHECK_EQ(f[0].opened, 1);
    CHECK_EQ(f[1].opened, 1);
    CHECK_EQ(write(fd, "one\001ctwo\001cthree", 15), 15);
    turn(l, 3);
    CHECK_STR(f[0].got, "onethree");
    CHECK_STR(f[1].got, "two");
    CHECK_EQ(f[1].focus, 0);
    loop_lock(l);
    chardev_write(f[1].c, "from two ", 9);
    chardev_write(f[0].c, "and one", 7);
    chardevs_give_back(set, f[0].c); /* the other one has the focus now */
    CHECK_EQ(f[1].focus, 1);
    loop_unlock(l);
    CHECK_EQ(write(fd, "!", 1), 1);
    turn(l, 3);
    CHECK_STR(f[1].got, "two!");
    CHECK_EQ(read(fd, buf, sizeof buf), 16);
    CHECK_STR(buf, "from two and one");
    close(fd);
    turn(l, 2);
    CHECK_EQ(f[1].opened, 0);
    CHECK(!chardevs_remove(set, "m", &err));
    chardevs_give_back(set, f[1].c);
    CHECK(chardevs_remove(set, "m", &err));
    chardevs_free(set);
    snprintf(path, sizeof path, "%s/log", dir);
    memset(buf, 0, sizeof buf);
    fd = open(path, O_RDONLY);
    CHECK_EQ(read(fd, buf, sizeof buf), 16);
    CHECK_STR(buf, "from two and one");
    close(fd);
    unlink(path);
    rmdir(dir);
    loop_free(l);
}

/* Comes back when the server does; a listening descriptor that was handed over. */
TEST(reconnect_and_fd)
{
    char spec[80];
    struct error err;
    struct loop *l = start();
    struct chardevs *server = chardevs_new(l, NULL), *clients = chardevs_new(l, NULL);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_EQ(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    snprintf(spec, sizeof spec, "socket,id=c,host=127.0.0.1,port=%u,reconnect-ms=5",
             ntohs(sa.sin_port));
    CHECK(chardevs_add(clients, spec, &err)); /* nobody there yet: no error */
    struct chardev *c = chardevs_take(clients, "c", &err);
    chardev_attach(c, &client, NULL);
    turn(l, 3);
    CHECK(!chardev_connected(c));
    for (int i = 1; i <= 2; i++) {
        CHECK_EQ(listen(fd, 1), 0);
        snprintf(spec, sizeof spec, "socket,id=s,fd=%d,server=on,wait=off", dup(fd));
        CHECK(chardevs_add(server, spec, &err));
        for (int n = 0; n < 200 && !chardev_connected(c); n++)
            turn(l, 1);
        CHECK_EQ(opened, i);
        loop_lock(l);
        chardev_write(c, "x", 1);
        CHECK(chardevs_remove(server, "s", &err));
        loop_unlock(l);
        for (int n = 0; n < 200 && closed < (unsigned)i; n++)
            turn(l, 1);
        CHECK_EQ(closed, i);
    }
    close(fd);
    chardevs_free(server);
    chardevs_free(clients);
    loop_free(l);
}

TEST(udp)
{
    char spec[96];
    struct error err;
    struct loop *l = start();
    struct chardevs *set = chardevs_new(l, NULL);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in from;
    socklen_t len = sizeof sa;
    uint8_t buf[8] = "";
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    CHECK_EQ(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    snprintf(spec, sizeof spec, "udp,id=u,host=127.0.0.1,port=%u,localaddr=127.0.0.1",
             ntohs(sa.sin_port));
    CHECK(chardevs_add(set, spec, &err));
    struct chardev *c = chardevs_take(set, "u", &err);
    chardev_attach(c, &client, NULL);
    loop_lock(l);
    chardev_write(c, "abc", 3);
    loop_unlock(l);
    turn(l, 2);
    len = sizeof from;
    CHECK_EQ(recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &len), 3);
    CHECK_EQ(sendto(fd, "", 0, 0, (struct sockaddr *)&from, len), 0); /* empty: no end of file */
    CHECK_EQ(sendto(fd, "def", 3, 0, (struct sockaddr *)&from, len), 3);
    turn(l, 3);
    CHECK_STR(got, "def");
    close(fd);
    loop_lock(l);
    chardev_write(c, "gone", 4);
    loop_unlock(l);
    turn(l, 3);
    CHECK(chardev_connected(c));
    chardevs_free(set);
    loop_free(l);
}
