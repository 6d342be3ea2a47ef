/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "calls.h"

static void tcp(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, b;
    socklen_t len = sizeof(a), len2 = sizeof(b), four = 4;
    struct timeval tv = { 1, 500000 }, tv2;
    struct linger lg = { 1, 5 };
    struct tcp_info info;
    char buf[16];
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), c, d, one = 1, v;

    SHOW(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, 4));
    SHOW(bind(s, (void *)&a, sizeof(a)));
    SHOW(listen(s, 5));
    SHOW(getsockname(s, (void *)&a, &len));
    printf("len %d port %d\n", (int)len, a.sin_port != 0);
    c = socket(AF_INET, SOCK_STREAM, 0);
    SHOW(connect(c, (void *)&a, sizeof(a)));
    d = accept4(s, (void *)&b, &len2, SOCK_NONBLOCK);
    printf("from %s, len %d, nonblock %d\n", inet_ntoa(b.sin_addr), (int)len2,
           !!(fcntl(d, F_GETFL) & O_NONBLOCK));
    SHOW(recv(d, buf, 16, 0));
    SHOW(send(c, "data", 4, MSG_NOSIGNAL));
    usleep(1000);
    SHOW(recv(d, buf, 16, MSG_PEEK));
    SHOW(ioctl(d, FIONREAD, &v));
    SHOW(recv(d, buf, 16, 0));
    SHOW(setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
    len = sizeof(tv2);
    SHOW(getsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &tv2, &len));
    printf("%ld.%06ld\n", (long)tv2.tv_sec, (long)tv2.tv_usec);
    SHOW(setsockopt(c, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg)));
    SHOW(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, 4));
    SHOW(getsockopt(c, SOL_SOCKET, SO_TYPE, &v, &four));
    printf("type %d\n", v);
    len = sizeof(info);
    OK(getsockopt(c, IPPROTO_TCP, TCP_INFO, &info, &len));
    printf("state %d\n", info.tcpi_state);
    SHOW(shutdown(c, SHUT_WR));
    SHOW(recv(d, buf, 16, 0));
    len = sizeof(b);
    SHOW(getpeername(c, (void *)&b, &len));
    TRUTH(b.sin_port == a.sin_port);
    close(s), close(c), close(d);
}

static void messages(void)
{
    char text[2][8] = { "abcd", "efgh" }, in[16], control[256];
    struct iovec v[2] = { { text[0], 4 }, { text[1], 4 } }, vi = { in, sizeof(in) };
    struct msghdr m = { .msg_iov = v, .msg_iovlen = 2, .msg_control = control };
    struct mmsghdr mm[2] = { { { .msg_iov = v, .msg_iovlen = 1 } },
                             { { .msg_iov = v + 1, .msg_iovlen = 1 } } };
    struct cmsghdr *c;
    struct ucred cred;
    int sv[2], p[2], on = 1, fd;
    socklen_t len = sizeof(cred);

    SHOW(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
    SHOW(setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, 4));
    SHOW(getsockopt(sv[0], SOL_SOCKET, SO_PEERCRED, &cred, &len));
    TRUTH(cred.pid == getpid() && cred.uid == getuid());
    if (pipe(p) < 0)
        return;
    m.msg_controllen = CMSG_SPACE(sizeof(int));
    c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &p[1], sizeof(int));
    SHOW(sendmsg(sv[0], &m, 0));
    memset(control, 0, sizeof(control));
    m = (struct msghdr){
        .msg_iov = &vi, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    SHOW(recvmsg(sv[1], &m, MSG_CMSG_CLOEXEC));
    printf("%.8s flags %x controllen %d\n", in, m.msg_flags, (int)m.msg_controllen);
    for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        printf("level %d type %d len %d\n", c->cmsg_level, c->cmsg_type, (int)c->cmsg_len);
        if (c->cmsg_type != SCM_RIGHTS)
            continue;
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
        SHOW(write(fd, "q", 1));
        SHOW(fcntl(fd, F_GETFD));
    }
    SHOW(sendmmsg(sv[0], mm, 2, 0));
    printf("%d %d\n", mm[0].msg_len, mm[1].msg_len);
    v[0].iov_base = in, v[1].iov_base = in + 8;
    SHOW(recvmmsg(sv[1], mm, 2, MSG_DONTWAIT, NULL));
    printf("%.4s %.4s %d\n", in, in + 8, mm[1].msg_len);
    SHOW(recvmsg(sv[1], &m, MSG_DONTWAIT));
    close(sv[0]), close(sv[1]);
}

static void others(void)
{
    struct sockaddr_un u = { AF_UNIX, "sock" }, got;
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
    struct ifreq ifr = { .ifr_name = "lo" };
    char space[4096];
    struct ifconf ifc = { sizeof(space), { space } };
    socklen_t len = sizeof(got);
    char buf[8];
    int s = socket(AF_UNIX, SOCK_DGRAM, 0), t = socket(AF_UNIX, SOCK_DGRAM, 0);
    int i = socket(AF_INET, SOCK_DGRAM, 0);

    unlink("sock");
    SHOW(bind(s, (void *)&u, sizeof(u)));
    SHOW(sendto(t, "12345", 5, 0, (void *)&u, sizeof(u)));
    SHOW(recvfrom(s, buf, 3, MSG_TRUNC, (void *)&got, &len));
    printf("len %d\n", (int)len);
    SHOW(ioctl(i, SIOCGIFFLAGS, &ifr));
    TRUTH(ifr.ifr_flags & IFF_LOOPBACK);
    SHOW(ioctl(i, SIOCGIFCONF, &ifc));
    TRUTH(ifc.ifc_len >= (int)sizeof(struct ifreq));
    SHOW(bind(i, (void *)&six, 3));
    SHOW(socket(999, SOCK_STREAM, 0));
    SHOW(connect(i, NULL, 16));
    SHOW(accept(i, NULL, NULL));
    unlink("sock");
    close(s), close(t), close(i);
}

void sockets(void)
{
    tcp();
    messages();
    others();
}
