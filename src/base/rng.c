/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/bits.h"

/* --- the kernel's generator --- */

static ssize_t builtin_read(struct rng_backend *b, void *buf, size_t len)
{
    ssize_t n = getrandom(buf, MIN(len, 256), GRND_NONBLOCK);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return n;
}

static void builtin_init(void *obj)
{
    struct rng_backend *b = obj;

    b->read = builtin_read;
    b->fd = -1;
}

const struct object_type rng_builtin_object = {
    .name = "rng-builtin",
    .doc = "random numbers of the host's kernel",
    .size = sizeof(struct rng_backend),
    .init = builtin_init,
};

/* --- a device file --- */

struct rng_random {
    struct rng_backend b;
    char *filename;
};

static ssize_t random_read(struct rng_backend *b, void *buf, size_t len)
{
    ssize_t n = read(b->fd, buf, len);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return n ? n : -EIO; /* a file that ends gives no more */
}

static void random_init(void *obj)
{
    struct rng_random *r = obj;

    r->b.read = random_read;
    r->b.fd = -1;
    r->filename = xstrdup("/dev/urandom");
}

static bool random_complete(void *obj, struct object_set *set, struct error *err)
{
    struct rng_random *r = obj;

    r->b.fd = open(r->filename, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (r->b.fd >= 0)
        return true;
    fail(err, errno, "rng-random: '%s': %s", r->filename, strerror(errno));
    return fail_hint(err, "take filename=/dev/urandom, or -object rng-builtin");
}

static void random_finish(void *obj)
{
    struct rng_random *r = obj;

    if (r->b.fd >= 0)
        close(r->b.fd);
    r->b.fd = -1;
}

const struct object_type rng_random_object = {
    .name = "rng-random",
    .doc = "random numbers read from a file, as /dev/urandom or /dev/hwrng",
    .size = sizeof(struct rng_random),
    .props = FIELDS(FIELD(struct rng_random, filename, .doc = "to read from [/dev/urandom]")),
    .init = random_init,
    .complete = random_complete,
    .finish = random_finish,
};
