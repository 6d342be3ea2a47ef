/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -smp: what is not given follows from what is, as in QEMU since 6.2: one socket, die and thread,
 * and as many cores as the count needs.
 */
#include "main/options.h"

#include "base/bits.h"
#include "base/optlist.h"

#include <errno.h>
#include <inttypes.h>

enum { COUNT_MAX = 1 << 15 }; /* beyond any machine; products of four fit 64 bits */

/* The levels of other machines: 1 says nothing. */
static bool refuse_levels(struct optlist *l, struct error *err)
{
    static const char *const levels[] = { "clusters", "modules", "drawers", "books" };

    for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
        uint64_t n = 1;

        if (!optlist_take_u64(l, levels[i], &n, err))
            return false;
        if (n != 1) {
            (void)fail(err, EINVAL, "-smp: %s not supported by this machine's CPU topology",
                       levels[i]);
            return fail_hint(err, "there are sockets, dies, cores and threads");
        }
    }
    return true;
}

/* *ret is 0 when it is not given. */
static bool take_count(struct optlist *l, const char *key, unsigned *ret, struct error *err)
{
    uint64_t n = 0;
    bool given = optlist_has(l, key);

    if (!optlist_take_u64(l, key, &n, err))
        return false;
    if (given && n == 0)
        return fail(err, EINVAL,
                    "-smp: invalid CPU topology: %s=0, but parameters must be greater than zero",
                    key);
    if (n > COUNT_MAX)
        return fail(err, EINVAL, "-smp: %s=%" PRIu64 " is beyond any machine", key, n);
    *ret = (unsigned)n;
    return true;
}

static bool check(unsigned cpus, const struct board_smp *s, struct error *err)
{
    uint64_t all = (uint64_t)s->sockets * s->dies * s->cores * s->threads;

    if (all != s->max_cpus) {
        (void)fail(err, EINVAL,
                   "-smp: invalid CPU topology: product of the hierarchy must match maxcpus: "
                   "sockets (%u) * dies (%u) * cores (%u) * threads (%u) != maxcpus (%u)",
                   s->sockets, s->dies, s->cores, s->threads, s->max_cpus);
        return fail_hint(err, "leave one of them out and it follows from the others");
    }
    if (s->max_cpus < cpus)
        return fail(err, EINVAL,
                    "-smp: invalid CPU topology: maxcpus must be equal to or greater than smp: "
                    "sockets (%u) * dies (%u) * cores (%u) * threads (%u) == maxcpus (%u) < "
                    "smp_cpus (%u)",
                    s->sockets, s->dies, s->cores, s->threads, s->max_cpus, cpus);
    return true;
}

/* Zeroes become numbers. */
static void complete(unsigned *cpus, struct board_smp *s)
{
    uint64_t total = s->max_cpus ? s->max_cpus : *cpus;

    s->dies = MAX(s->dies, 1u);
    if (total == 0) { /* no count at all: what is given makes it */
        s->sockets = MAX(s->sockets, 1u);
        s->cores = MAX(s->cores, 1u);
        s->threads = MAX(s->threads, 1u);
    } else if (!s->cores) {
        s->sockets = MAX(s->sockets, 1u);
        s->threads = MAX(s->threads, 1u);
        s->cores = (unsigned)(total / ((uint64_t)s->sockets * s->dies * s->threads));
    } else if (!s->sockets) {
        s->threads = MAX(s->threads, 1u);
        s->sockets = (unsigned)(total / ((uint64_t)s->dies * s->cores * s->threads));
    } else if (!s->threads) {
        s->threads = (unsigned)(total / ((uint64_t)s->sockets * s->dies * s->cores));
    }
    if (!s->max_cpus)
        s->max_cpus = *cpus ? *cpus
                            : (unsigned)MIN((uint64_t)s->sockets * s->dies * s->cores * s->threads,
                                            (uint64_t)COUNT_MAX);
    if (!*cpus)
        *cpus = s->max_cpus;
}

bool opt_smp(struct options *o, const char *arg, struct error *err)
{
    struct optlist l = { 0 };
    struct board_smp s = { 0 };
    unsigned cpus = 0;
    bool ok = optlist_parse(&l, arg, "cpus", err) && take_count(&l, "cpus", &cpus, err) &&
              take_count(&l, "maxcpus", &s.max_cpus, err) &&
              take_count(&l, "sockets", &s.sockets, err) && take_count(&l, "dies", &s.dies, err) &&
              take_count(&l, "cores", &s.cores, err) &&
              take_count(&l, "threads", &s.threads, err) && refuse_levels(&l, err) &&
              optlist_done(&l, "-smp", err);

    optlist_finish(&l);
    if (!ok)
        return false;
    complete(&cpus, &s);
    o->vm.board.cpus = cpus;
    o->vm.board.smp = s;
    return check(cpus, &s, err);
}
