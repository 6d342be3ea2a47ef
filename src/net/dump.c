/* SPDX-License-Identifier: GPL-2.0-or-later */
/* filter-dump: all packets of a netdev, both ways, into a pcap file (libpcap's, 2.4, µs). */
#include "net/net_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"

enum { DUMP_LEN_DEFAULT = 65536, LINKTYPE_ETHERNET = 1 };

struct net_dump {
    char *id;
    int fd;
    uint32_t maxlen;
    bool broken; /* the disk is full: what is there stays readable */
    struct net_dump *next;
};

static bool write_all(struct net_dump *d, struct iovec *iov, int n, size_t size)
{
    off_t before = lseek(d->fd, 0, SEEK_CUR);

    if (!d->broken && writev(d->fd, iov, n) != (ssize_t)size) {
        d->broken = true;
        if (before >= 0)
            (void)!ftruncate(d->fd, before);
        fprintf(stderr, "filter-dump '%s': cannot write: %s; the dump ends here\n", d->id,
                strerror(errno ? errno : ENOSPC));
    }
    return !d->broken;
}

static void dump_one(struct net_dump *d, const struct net_packet *p)
{
    struct iovec iov[1 + 64];
    uint32_t keep = (uint32_t)MIN(p->size, d->maxlen), left = keep;
    struct timespec now;
    unsigned n = 1;

    clock_gettime(CLOCK_REALTIME, &now);
    uint32_t head[4] = { (uint32_t)now.tv_sec, (uint32_t)(now.tv_nsec / 1000), keep,
                         (uint32_t)p->size };
    for (unsigned i = 0; i < p->count && left && n < ARRAY_SIZE(iov); i++) {
        size_t part = MIN(p->iov[i].iov_len, left);
        iov[n++] = (struct iovec){ p->iov[i].iov_base, part };
        left -= (uint32_t)part;
    }
    head[2] = keep -= left;
    iov[0] = (struct iovec){ head, sizeof head };
    (void)write_all(d, iov, (int)n, sizeof head + keep);
}

void net_dump_packet(struct netdev *nd, const struct net_packet *p)
{
    for (struct net_dump *d = nd->dumps; d; d = d->next)
        dump_one(d, p);
}

bool net_set_dump(struct net_set *s, const char *id, const char *netdev, const char *file,
                  uint32_t maxlen, struct error *err)
{
    if (!netdev || !file) {
        (void)fail(err, EINVAL, "filter-dump '%s': %s is missing", id, netdev ? "file" : "netdev");
        return fail_hint(err, "write filter-dump,id=ID,netdev=NETDEV,file=PATH");
    }
    struct netdev *nd = net_set_find(s, netdev, err);
    if (!nd) {
        err_prefix(err, "filter-dump '%s': ", id);
        return false;
    }
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return fail(err, errno, "filter-dump '%s': cannot make '%s': %s", id, file,
                    strerror(errno));
    struct net_dump *d = xnew(struct net_dump);
    *d = (struct net_dump){ xstrdup(id), fd, maxlen ? maxlen : DUMP_LEN_DEFAULT, false, nd->dumps };
    nd->dumps = d;
    struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, accuracy, maxlen, link;
    } head = { 0xa1b2c3d4, 2, 4, 0, 0, d->maxlen, LINKTYPE_ETHERNET };
    struct iovec iov = { &head, sizeof head };
    if (!write_all(d, &iov, 1, sizeof head))
        return fail(err, EIO, "filter-dump '%s': cannot write '%s'", id, file);
    return true;
}

void net_dumps_free(struct netdev *nd)
{
    for (struct net_dump *d = nd->dumps, *next; d; d = next) {
        next = d->next;
        close(d->fd);
        free(d->id);
        free(d);
    }
    nd->dumps = NULL;
}
