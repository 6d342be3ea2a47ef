/* SPDX-License-Identifier: GPL-2.0-or-later */
/* net/: offloads in software, backpressure, hubs, backends joined to each other, user networking's
 * options and DHCP, dumps. A fake NIC stands on each netdev. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/endian.h"
#include "base/scope.h"
#include "loop/loop.h"
#include "net/net.h"
#include "net/net_priv.h"
#include "test.h"

enum { KEPT = 256 };

struct nic {
    struct net_port port;
    unsigned count, resumed, flushed;
    unsigned room; /* packets it still takes */
    struct net_hdr hdr[KEPT];
    size_t size[KEPT];
    uint8_t *data[KEPT];
};

static bool nic_receive(struct net_port *port, const struct net_packet *p)
{
    struct nic *n = port->opaque;

    if (!n->room || n->count == KEPT)
        return false;
    n->room--;
    n->hdr[n->count] = p->hdr;
    n->size[n->count] = p->size;
    n->data[n->count] = xnew_array(uint8_t, p->size);
    CHECK_EQ(net_packet_copy(p, 0, n->data[n->count], p->size), p->size);
    n->count++;
    return true;
}

static void nic_resume(struct net_port *port)
{
    ((struct nic *)port->opaque)->resumed++;
}

static void nic_flush(struct net_port *port)
{
    ((struct nic *)port->opaque)->flushed++;
}

static const struct net_ops nic_ops = {
    .receive = nic_receive,
    .resume = nic_resume,
    .flush = nic_flush,
};

static void nic_open(struct nic *n, struct net_port *to, unsigned offloads)
{
    memset(n, 0, sizeof *n);
    net_port_init(&n->port, &nic_ops, n);
    n->port.offloads = offloads;
    n->room = UINT32_MAX;
    if (to)
        net_connect(&n->port, to);
}

static void nic_clear(struct nic *n)
{
    for (unsigned i = 0; i < n->count; i++)
        free(n->data[i]);
    n->count = 0;
}

static void nic_close(struct nic *n)
{
    nic_clear(n);
    net_port_finish(&n->port);
}

/* A TCP frame of that much payload: bytes i * 7; sums right unless it is large (then as for
 * offload). */
static size_t tcp_frame(uint8_t *f, size_t payload, uint32_t seq, bool ip6, struct net_hdr *h,
                        unsigned mss)
{
    struct net_layout l;
    size_t l4 = ip6 ? 54 : 34, size = l4 + 20 + payload;

    memset(f, 0, l4 + 20);
    memcpy(f, "\x52\x54\0\x12\x34\x56\x52\x54\0\x12\x34\x57", 12);
    st_be16(f + 12, ip6 ? 0x86dd : 0x0800);
    if (ip6) {
        f[14] = 0x60;
        st_be16(f + 18, (uint16_t)(20 + payload));
        f[20] = 6;
        f[21] = 64;
        f[22] = f[38] = 0xfe;
        f[53] = 2;
    } else {
        f[14] = 0x45;
        st_be16(f + 16, (uint16_t)(40 + payload));
        st_be16(f + 18, 100);
        f[20] = 0x40;
        f[22] = 64;
        f[23] = 6;
        memcpy(f + 26, "\x0a\0\2\x0f\x0a\0\2\2", 8);
        uint16_t sum = (uint16_t)~net_sum_fold(net_sum(f + 14, 20));
        memcpy(f + 24, &sum, 2);
    }
    st_be16(f + l4, 1000);
    st_be16(f + l4 + 2, 2000);
    st_be32(f + l4 + 4, seq);
    f[l4 + 12] = 0x50;
    f[l4 + 13] = 0x10 | 8;
    st_be16(f + l4 + 14, 512);
    for (size_t i = 0; i < payload; i++)
        f[l4 + 20 + i] = (uint8_t)(i * 7 + seq);
    CHECK(net_layout(&l, f, MIN(size, NET_HEADER_MAX), size, true));
    uint16_t sum = net_sum_fold(net_sum_pseudo(f, &l, (uint32_t)(20 + payload)));
    memset(h, 0, sizeof *h);
    if (!mss) {
        f[l4 + 13] &= ~8;
        sum = (uint16_t)~net_sum_fold(sum + net_sum(f + l4, 20 + payload));
    } else {
        *h = (struct net_hdr){ NET_NEEDS_CSUM,      ip6 ? NET_GSO_TCP6 : NET_GSO_TCP4,
                               (uint16_t)(l4 + 20), (uint16_t)mss,
                               (uint16_t)l4,        16 };
    }
    memcpy(f + l4 + 16, &sum, 2);
    return size;
}

static bool sums_right(const uint8_t *f, size_t size)
{
    struct net_layout l;

    if (!net_layout(&l, f, MIN(size, NET_HEADER_MAX), size, false) || !l.payload)
        return false;
    return (l.ip_version == 6 || net_sum_fold(net_sum(f + l.l3, l.l4 - l.l3)) == 0xffff) &&
           net_sum_fold(net_sum_pseudo(f, &l, l.end - l.l4) + net_sum(f + l.l4, l.end - l.l4)) ==
               0xffff;
}

/* Pieces of a frame with odd boundaries. */
static unsigned split(uint8_t *f, size_t size, struct iovec *iov)
{
    unsigned n = 0;

    for (size_t off = 0; off < size;) {
        size_t part = MIN(size - off, 13 + n * 1231);
        iov[n++] = (struct iovec){ f + off, part };
        off += part;
    }
    return n;
}

TEST(checksums)
{
    uint8_t data[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 }; /* RFC 1071 */
    uint8_t big[200];
    struct iovec iov[80];
    unsigned n = 0;

    CHECK_EQ(__builtin_bswap16(net_sum_fold(net_sum(data, 8))), 0xddf2);
    for (unsigned i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i * 37 + 11);
    for (unsigned off = 0; off < sizeof big; off += n % 9 + 1, n++)
        iov[n] = (struct iovec){ big + off, MIN(n % 9 + 1, sizeof big - off) };
    struct net_packet p = { .iov = iov, .count = n, .size = sizeof big };
    for (unsigned off = 0; off < 20; off++)
        for (unsigned len = 0; len < 150; len++)
            CHECK_EQ(net_sum_fold(net_sum_packet(&p, off, len)) % 0xffff,
                     net_sum_fold(net_sum(big + off, len)) % 0xffff);
}

/* Large frames are cut for who cannot take them, and joined again to what they were. */
static void cut_and_join(bool ip6, size_t payload, unsigned mss)
{
    AUTO_FREE uint8_t *f = xnew_array(uint8_t, NET_FRAME_MAX);
    struct iovec iov[128];
    struct nic a, plain, large, b;
    struct net_packet p = { .iov = iov };
    struct net_gro gro = { 0 };

    p.size = tcp_frame(f, payload, 5000, ip6, &p.hdr, mss);
    p.count = split(f, p.size, iov);
    nic_open(&plain, NULL, 0);
    nic_open(&a, &plain.port, 0);
    nic_open(&large, NULL, NET_CAN_ALL);
    nic_open(&b, &large.port, 0);
    CHECK(net_send(&a.port, &p));
    CHECK_EQ(plain.count, (payload + mss - 1) / mss);
    for (unsigned i = 0; i < plain.count; i++) {
        CHECK(sums_right(plain.data[i], plain.size[i]));
        CHECK(!plain.hdr[i].flags && !plain.hdr[i].gso_type);
        CHECK(net_gro_send(&gro, &b.port, plain.data[i], plain.size[i]));
    }
    CHECK(net_gro_flush(&gro, &b.port));
    CHECK_EQ(large.count, 1);
    CHECK_EQ(large.size[0], p.size);
    if (plain.count > 1) {
        CHECK_EQ(large.hdr[0].gso_size, mss);
        CHECK_EQ(large.hdr[0].gso_type, p.hdr.gso_type);
        /* but for its IP sum, which the first may have left to others */
        CHECK_MEM(large.data[0] + 26, f + 26, p.size - 26);
    } else {
        CHECK(large.hdr[0].flags == NET_DATA_VALID);
    }
    net_gro_finish(&gro);
    nic_close(&a);
    nic_close(&b);
    nic_close(&plain);
    nic_close(&large);
}

TEST(segmentation_and_back)
{
    for (int ip6 = 0; ip6 < 2; ip6++) {
        cut_and_join(ip6, 1, 1448);
        cut_and_join(ip6, 1448, 1448);
        cut_and_join(ip6, 1449, 1448);
        cut_and_join(ip6, 14480, 1448);
        cut_and_join(ip6, 60001, 1460);
        cut_and_join(ip6, 65000, 536);
        cut_and_join(ip6, 3001, 100);
    }
}

TEST(checksum_completed)
{
    AUTO_FREE uint8_t *f = xnew_array(uint8_t, NET_FRAME_MAX);
    struct iovec iov[128];
    struct nic a, b;

    nic_open(&b, NULL, 0);
    nic_open(&a, &b.port, 0);
    for (size_t payload = 0; payload < 3000; payload += 61) {
        struct net_packet p = { .iov = iov };
        p.size = tcp_frame(f, payload, 1, false, &p.hdr, 9000);
        p.hdr.gso_type = p.hdr.gso_size = 0;
        p.count = split(f, p.size, iov);
        CHECK(net_send(&a.port, &p));
        CHECK(sums_right(b.data[0], b.size[0]));
        nic_clear(&b);
        CHECK(net_finish_csum(f, p.size, &p.hdr));
        CHECK(sums_right(f, p.size));
    }
    nic_close(&a);
    nic_close(&b);
}

/* Whatever a guest says of offloads: nothing happens, or plain frames come out. */
TEST(hostile_headers)
{
    AUTO_FREE uint8_t *f = xnew_array(uint8_t, NET_FRAME_MAX);
    struct iovec iov[128];
    struct nic a, b;
    uint32_t seed = 1;

    nic_open(&b, NULL, 0);
    nic_open(&a, &b.port, 0);
    for (unsigned round = 0; round < 30000; round++) {
        struct net_packet p = { .iov = iov };
        p.size = tcp_frame(f, round % 5000, 1, round & 1, &p.hdr, 1000);
        for (unsigned i = 0; i < round % 7; i++) {
            seed = seed * 1103515245 + 12345;
            if (seed >> 30)
                f[12 + (seed >> 8) % 60] = (uint8_t)(seed >> 16);
            else
                ((uint8_t *)&p.hdr)[(seed >> 8) % sizeof p.hdr] = (uint8_t)(seed >> 16);
        }
        if (round % 3 == 0)
            p.size = MAX(p.size % (round % 97 + 1), 1);
        uint8_t *copy = xmemdup(f, p.size); /* for the sanitizer */
        struct net_hdr h = p.hdr;
        p.count = split(copy, p.size, iov);
        b.room = round % 4 ? 1000 : round % 3;
        (void)net_send(&a.port, &p);
        for (unsigned i = 0; i < b.count; i++)
            CHECK(b.size[i] <= NET_FRAME_MAX && !b.hdr[i].gso_type);
        nic_clear(&b);
        b.room = 1000;
        net_ready(&b.port);
        nic_clear(&b);
        if (p.size >= NET_ETH_SIZE)
            (void)net_finish_csum(copy, p.size, &h);
        free(copy);
    }
    nic_close(&a);
    nic_close(&b);
}

TEST(backpressure)
{
    AUTO_FREE uint8_t *f = xnew_array(uint8_t, NET_FRAME_MAX);
    struct iovec iov[128];
    struct nic a, b;
    struct net_packet p = { .iov = iov };

    p.size = tcp_frame(f, 14480, 1, false, &p.hdr, 1448);
    p.count = split(f, p.size, iov);
    nic_open(&b, NULL, 0);
    nic_open(&a, &b.port, 0);
    b.room = 0;
    CHECK(!net_send(&a.port, &p)); /* the first piece was refused: nothing was taken */
    b.room = 4;
    net_ready(&b.port);
    CHECK_EQ(a.resumed, 1);
    CHECK(net_send(&a.port, &p)); /* four pieces in, six are kept */
    CHECK_EQ(b.count, 4);
    CHECK(!net_send(&a.port, &p));
    b.room = 2;
    net_ready(&b.port);
    CHECK_EQ(a.resumed, 1); /* not yet */
    CHECK_EQ(b.count, 6);
    b.room = 100;
    net_ready(&b.port);
    CHECK_EQ(b.count, 10);
    CHECK_EQ(a.resumed, 2);
    for (unsigned i = 0; i < 10; i++)
        CHECK_EQ(ld_be32(b.data[i] + 38), 1 + 1448 * i);
    /* a line that is down swallows */
    net_set_link(&b.port, false);
    CHECK(net_send(&a.port, &p));
    CHECK_EQ(b.count, 10);
    nic_close(&a);
    nic_close(&b);
}

/* --- sets --- */

struct rig {
    struct loop *loop;
    struct net_set *a, *b;
};

static void rig_open(struct rig *r)
{
    struct error err;
    struct net_env env = { NULL, NULL };

    r->loop = env.loop = loop_new(&err);
    loop_lock(r->loop);
    r->a = net_set_new(&env);
    r->b = net_set_new(&env);
}

static void rig_close(struct rig *r)
{
    net_set_free(r->a);
    net_set_free(r->b);
    loop_unlock(r->loop);
    loop_free(r->loop);
}

static void turn(struct rig *r, int ms)
{
    loop_unlock(r->loop);
    loop_poll_once(r->loop, ms);
    loop_lock(r->loop);
}

static bool add(struct net_set *s, const char *text)
{
    struct error err;

    if (net_set_add(s, text, &err))
        return true;
    printf("%s\n", err.msg);
    return false;
}

static struct netdev *take(struct net_set *s, const char *id)
{
    struct error err;
    struct netdev *nd = net_set_take(s, id, &err);

    CHECK(nd != NULL);
    return nd;
}

TEST(errors_name_the_cause)
{
    static const struct {
        const char *text, *msg, *hint;
    } rows[] = {
        { "usr,id=a", "no netdev type 'usr'", "'user'" },
        { "user", "id is missing", "id=net0" },
        { "user,id=1a", "not a name", "letters" },
        { "user,id=a,hostfwd=tcp::99999-:22", "bad address or port on the host", "HOSTPORT" },
        { "user,id=a,hostfwd=foo", "a part is missing", "HOSTPORT" },
        { "user,id=a,hostfwd=icmp::1-:2", "neither tcp nor udp", "tcp" },
        { "user,id=a,guestfwd=tcp:10.0.2.9:x-cmd:cat", "bad address or port", "SERVER" },
        { "user,id=a,net=10.9.0.0/33", "4 to 32 bits", "" },
        { "user,id=a,net=10.9.0.0/255.0.255.0", "holes", "" },
        { "user,id=a,host=1.2.3.4", "does not belong", "net=" },
        { "user,id=a,dns=10.0.2.2", "different", "" },
        { "user,id=a,ipv4=off,ipv6=off", "leave no protocol", "" },
        { "user,id=a,smb=/tmp", "samba", "tftp" },
        { "user,id=a,tftp=/nonexistent", "no such directory", "" },
        { "user,id=a,hostfwdd=tcp::1-:2", "hostfwdd", "hostfwd" },
        { "vhost-user,id=a", "later release", "-netdev help" },
        { "l2tpv3,id=a", "later release", "-netdev help" },
        { "af-xdp,id=a", "later release", "-netdev help" },
        { "socket,id=a", "exactly one of", "listen" },
        { "socket,id=a,connect=127.0.0.1:1", "Connection refused", "listening side" },
        { "socket,id=a,listen=foo", "the port is missing", "HOST:PORT" },
        { "stream,id=a,addr.type=unix,addr.path=/nonexistent/s", "No such file", "reconnect" },
        { "stream,id=a,addr.type=inet,addr.host=127.0.0.1", "port", "" },
        { "dgram,id=a", "local is missing", "local.type" },
        { "hubport,id=a", "hubid is missing", "hubid=0" },
        { "tap,id=a,fd=999", "fd=999", "open" },
        { "tap,id=a,fd=0,ifname=x", "invalid with fd=", "" },
        { "tap,id=a,queues=0", "1 to 256", "" },
        { "tap,id=a,vhost=on", "vhost", "vhost=off" },
        { "{\"type\":\"user\"}", "id is missing", "" },
    };
    struct rig r;

    rig_open(&r);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct error err = { 0 };
        CHECK(!net_set_add(r.a, rows[i].text, &err));
        if (!strstr(err.msg, rows[i].msg) || !strstr(err.hint, rows[i].hint))
            TEST_FAIL("%s: '%s' (%s)", rows[i].text, err.msg, err.hint);
    }
    CHECK(add(r.a, "hubport,id=a,hubid=0"));
    struct error err;
    CHECK(!net_set_add(r.a, "hubport,id=a,hubid=1", &err));
    CHECK(strstr(err.msg, "already") != NULL);
    CHECK(net_set_take(r.a, "a", &err) != NULL);
    CHECK(net_set_take(r.a, "a", &err) == NULL);
    CHECK(strstr(err.msg, "in use") != NULL);
    rig_close(&r);
}

TEST(hub_reaches_all_others)
{
    struct rig r;
    struct nic n[3];
    uint8_t frame[100] = { 255, 255, 255, 255, 255, 255 };

    rig_open(&r);
    CHECK(add(r.a, "hubport,id=p0,hubid=3"));
    CHECK(add(r.a, "hubport,id=p1,hubid=3"));
    CHECK(add(r.a, "hubport,id=p2,hubid=3"));
    CHECK(add(r.a, "hubport,id=other,hubid=4"));
    for (unsigned i = 0; i < 3; i++) {
        char id[] = { 'p', (char)('0' + i), 0 };
        nic_open(&n[i], &take(r.a, id)->ports[0], 0);
    }
    n[2].room = 0;
    for (unsigned i = 0; i < 5; i++)
        CHECK(net_send_frame(&n[0].port, frame, 60 + i));
    net_flush(&n[0].port);
    CHECK_EQ(n[0].count, 0);
    CHECK_EQ(n[1].count, 5);
    CHECK(n[1].flushed > 0);
    n[2].room = 100; /* what it had no room for waits */
    net_ready(&n[2].port);
    CHECK_EQ(n[2].count, 5);
    CHECK_EQ(n[2].size[4], 64);
    for (unsigned i = 0; i < 3; i++)
        nic_close(&n[i]);
    rig_close(&r);
}

/* Two sets joined by a pair of netdevs: frames of all sizes, in order, both ways. */
static void join(const char *first, const char *second)
{
    struct rig r;
    struct nic x, y;
    AUTO_FREE uint8_t *f = xnew_array(uint8_t, NET_FRAME_MAX);
    static const size_t sizes[] = { 14, 60, 61, 1514, 1518, 9014, 65000 };

    rig_open(&r);
    if (!add(r.a, first) || !add(r.b, second)) {
        TEST_FAIL("%s", second);
        rig_close(&r);
        return;
    }
    nic_open(&x, &take(r.a, "n")->ports[0], 0);
    nic_open(&y, &take(r.b, "n")->ports[0], 0);
    for (int i = 0; i < 3; i++)
        turn(&r, 1);
    for (unsigned round = 0; round < 20; round++) {
        nic_clear(&x);
        nic_clear(&y);
        for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
            memset(f, (int)(i + round), sizes[i]);
            if (!net_send_frame(&x.port, f, sizes[i]) || !net_send_frame(&y.port, f, sizes[i]))
                break;
        }
        net_flush(&x.port);
        net_flush(&y.port);
        for (int i = 0; i < 50 && (x.count < 7 || y.count < 7); i++)
            turn(&r, 10);
        CHECK_EQ(x.count, 7);
        CHECK_EQ(y.count, 7);
        for (unsigned i = 0; i < 7 && x.count == 7 && y.count == 7; i++) {
            memset(f, (int)(i + round), sizes[i]);
            CHECK_EQ(x.size[i], sizes[i]);
            CHECK_EQ(y.size[i], sizes[i]);
            CHECK_MEM(x.data[i], f, sizes[i]);
            CHECK_MEM(y.data[i], f, sizes[i]);
        }
    }
    nic_close(&x);
    nic_close(&y);
    rig_close(&r);
}

TEST(sockets_carry_frames)
{
    char a[300], b[300], dir[] = "/tmp/rhea-net-XXXXXX";
    int pair[2];
    unsigned port = 20000 + (unsigned)getpid() % 20000;

    CHECK(mkdtemp(dir) != NULL);
    snprintf(a, sizeof a, "stream,id=n,server=on,addr.type=unix,addr.path=%s/s", dir);
    snprintf(b, sizeof b, "stream,id=n,addr.type=unix,addr.path=%s/s", dir);
    join(a, b);
    snprintf(b, sizeof b,
             "{\"type\":\"stream\",\"id\":\"n\",\"server\":false,"
             "\"addr\":{\"type\":\"unix\",\"path\":\"%s/s\"}}",
             dir);
    join(a, b);
    snprintf(a, sizeof a, "socket,id=n,listen=127.0.0.1:%u", port);
    snprintf(b, sizeof b, "socket,id=n,connect=127.0.0.1:%u", port);
    join(a, b);
    snprintf(b, sizeof b, "stream,id=n,addr.type=inet,addr.host=127.0.0.1,addr.port=%u", port);
    join(a, b);
    CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    snprintf(a, sizeof a, "socket,id=n,fd=%d", pair[0]);
    snprintf(b, sizeof b, "stream,id=n,addr.type=fd,addr.str=%d", pair[1]);
    join(a, b);
    CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    snprintf(a, sizeof a, "socket,id=n,fd=%d", pair[0]);
    snprintf(b, sizeof b, "dgram,id=n,local.type=fd,local.str=%d", pair[1]);
    join(a, b);
    snprintf(a, sizeof a,
             "dgram,id=n,local.type=unix,local.path=%s/1,remote.type=unix,remote.path=%s/2", dir,
             dir);
    snprintf(b, sizeof b,
             "dgram,id=n,local.type=unix,local.path=%s/2,remote.type=unix,remote.path=%s/1", dir,
             dir);
    join(a, b);
    snprintf(a, sizeof a, "socket,id=n,udp=127.0.0.1:%u,localaddr=127.0.0.1:%u", port, port + 1);
    snprintf(b, sizeof b,
             "dgram,id=n,local.type=inet,local.host=127.0.0.1,local.port=%u,"
             "remote.type=inet,remote.host=127.0.0.1,remote.port=%u",
             port, port + 1);
    join(a, b);
    CHECK(rmdir(dir) == 0); /* sockets that were made are gone */
}

TEST(stream_peer_comes_back)
{
    char a[300], b[300], dir[] = "/tmp/rhea-net-XXXXXX";
    struct rig r;
    struct nic x, y;
    uint8_t f[100] = { 0 };

    CHECK(mkdtemp(dir) != NULL);
    snprintf(a, sizeof a, "stream,id=n,server=on,addr.type=unix,addr.path=%s/s", dir);
    snprintf(b, sizeof b, "stream,id=n,reconnect-ms=20,addr.type=unix,addr.path=%s/s", dir);
    rig_open(&r);
    CHECK(add(r.b, b)); /* nobody listens yet */
    nic_open(&y, &take(r.b, "n")->ports[0], 0);
    CHECK(!net_link_up(&y.port));
    for (int life = 0; life < 2; life++) {
        CHECK(add(r.a, a));
        nic_open(&x, &take(r.a, "n")->ports[0], 0);
        for (int i = 0; i < 100 && !(net_link_up(&y.port) && net_link_up(&x.port)); i++)
            turn(&r, 10);
        CHECK(net_link_up(&y.port) && net_link_up(&x.port));
        CHECK(net_send_frame(&y.port, f, sizeof f));
        net_flush(&y.port);
        for (int i = 0; i < 100 && !x.count; i++)
            turn(&r, 10);
        CHECK_EQ(x.count, 1);
        nic_close(&x);
        struct error err;
        CHECK(net_set_remove(r.a, "n", &err));
        for (int i = 0; i < 100 && net_link_up(&y.port); i++)
            turn(&r, 10);
        CHECK(!net_link_up(&y.port));
    }
    nic_close(&y);
    rig_close(&r);
    CHECK(rmdir(dir) == 0);
}

/* A peer that sends nonsense is dropped and does no harm. */
TEST(stream_nonsense)
{
    int pair[2];
    char a[100];
    struct rig r;
    struct nic x;
    uint8_t bytes[4000];

    for (unsigned seed = 0; seed < 40; seed++) {
        CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
        rig_open(&r);
        snprintf(a, sizeof a, "socket,id=n,fd=%d", pair[0]);
        CHECK(add(r.a, a));
        nic_open(&x, &take(r.a, "n")->ports[0], seed & 1 ? NET_CAN_ALL : 0);
        for (unsigned i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(i * (seed + 3) >> 2);
        st_be32(bytes, seed < 20 ? seed * 7 : UINT32_MAX - seed);
        CHECK_EQ(write(pair[1], bytes, sizeof bytes), sizeof bytes);
        close(pair[1]);
        for (int i = 0; i < 5; i++)
            turn(&r, 1);
        nic_close(&x);
        rig_close(&r);
    }
}

/* --- user networking --- */

static size_t dhcp_discover(uint8_t *f)
{
    static const uint8_t options[] = { 99, 130, 83, 99, 53, 1, 1, 255 };
    size_t size = 14 + 20 + 8 + 300;

    memset(f, 0, size);
    memset(f, 255, 6);
    memcpy(f + 6, "\x52\x54\0\x12\x34\x56", 6);
    st_be16(f + 12, 0x0800);
    f[14] = 0x45;
    st_be16(f + 16, (uint16_t)(size - 14));
    f[22] = 64;
    f[23] = 17;
    memset(f + 30, 255, 4);
    uint16_t sum = (uint16_t)~net_sum_fold(net_sum(f + 14, 20));
    memcpy(f + 24, &sum, 2);
    st_be16(f + 34, 68);
    st_be16(f + 36, 67);
    st_be16(f + 38, 308);
    f[42] = 1;
    f[43] = 1;
    f[44] = 6;
    memcpy(f + 70, "\x52\x54\0\x12\x34\x56", 6);
    memcpy(f + 42 + 236, options, sizeof options);
    return size;
}

TEST(user_answers_dhcp)
{
    struct rig r;
    struct nic x;
    uint8_t f[600];

    rig_open(&r);
    CHECK(add(r.a, "user,id=n,net=10.7.0.0/16,dhcpstart=10.7.1.5,hostname=gast,bootfile=x.0"));
    CHECK(add(r.b, "{\"type\":\"user\",\"id\":\"n\",\"restrict\":true,\"dnssearch\":[{\"str\":"
                   "\"a.example\"},{\"str\":\"b.example\"}]}"));
    nic_open(&x, &take(r.a, "n")->ports[0], NET_CAN_ALL);
    size_t size = dhcp_discover(f);
    CHECK(net_send_frame(&x.port, f, size));
    net_flush(&x.port);
    turn(&r, 0);
    CHECK_EQ(x.count, 1);
    if (x.count) {
        CHECK_EQ(ld_be32(x.data[0] + 58), 0x0a070105);  /* yiaddr */
        CHECK(!memcmp(x.data[0] + 42 + 108, "x.0", 4)); /* file */
        CHECK(sums_right(x.data[0], x.size[0]) || !ld_be16(x.data[0] + 40));
    }
    nic_close(&x);
    rig_close(&r);
}

/* --- dumps --- */

TEST(dump_is_pcap)
{
    struct rig r;
    struct nic x;
    uint8_t f[100] = { 1, 2, 3 }, file[400];
    char path[] = "/tmp/rhea-dump-XXXXXX";
    struct error err;
    int fd = mkstemp(path);

    rig_open(&r);
    CHECK(add(r.a, "hubport,id=n,hubid=0"));
    CHECK(!net_set_dump(r.a, "d", "m", path, 0, &err));
    CHECK(strstr(err.msg, "no netdev 'm'") != NULL);
    CHECK(net_set_dump(r.a, "d", "n", path, 64, &err));
    nic_open(&x, &take(r.a, "n")->ports[0], 0);
    CHECK(net_send_frame(&x.port, f, 60));
    CHECK(net_send_frame(&x.port, f, 100));
    nic_close(&x);
    rig_close(&r);
    CHECK_EQ(read(fd, file, sizeof file), 24 + 16 + 60 + 16 + 64);
    CHECK_EQ(ld_le32(file), 0xa1b2c3d4);
    CHECK_EQ(ld_le32(file + 16), 64);
    CHECK_EQ(ld_le32(file + 20), 1);
    CHECK_EQ(ld_le32(file + 24 + 8), 60);
    CHECK_EQ(ld_le32(file + 24 + 12), 60);
    CHECK_MEM(file + 40, f, 60);
    CHECK_EQ(ld_le32(file + 100 + 8), 64);
    CHECK_EQ(ld_le32(file + 100 + 12), 100);
    close(fd);
    unlink(path);
}

TEST(addresses)
{
    struct rig r;
    uint8_t mac[6];
    struct error err;

    rig_open(&r);
    CHECK(net_parse_mac("52:54:00:12:34:57", mac, &err));
    net_set_mac_used(r.a, mac);
    net_set_mac(r.a, mac);
    CHECK_EQ(mac[5], 0x56);
    net_set_mac(r.a, mac);
    CHECK_EQ(mac[5], 0x58);
    net_set_mac(NULL, mac);
    CHECK_EQ(mac[5], 0x56);
    CHECK(!net_parse_mac("01:00:00:00:00:00", mac, &err));
    CHECK(!net_parse_mac("52:54:00:12:34", mac, &err));
    CHECK(!net_parse_mac("52:54:00:12:34:56:78", mac, &err));
    CHECK(!net_parse_mac("52:54:00:12:34:567", mac, &err));
    rig_close(&r);
}
