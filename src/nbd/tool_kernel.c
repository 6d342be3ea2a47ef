/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's NBD client, by the ioctls of <linux/nbd.h>: a thread of ours sits in NBD_DO_IT while
 * the device lives.
 */
#include "nbd/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/nbd.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/scope.h"
#include "base/tls.h"

#define SECTOR 512

struct nbd_kernel {
    int device;
    struct channel *channel; /* its socket is the kernel's as well */
    pthread_t thread;
    bool running;
    void (*stopped)(void *opaque);
    void *opaque;
};

static int open_device(const char *device, struct error *err)
{
    struct stat st;
    int fd = open(device, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        fail(err, errno, "Failed to open %s: %s", device, strerror(errno));
        if (errno == ENOENT || errno == ENXIO)
            fail_hint(err, "is the kernel's nbd module loaded (modprobe nbd)?");
        else if (errno == EACCES)
            fail_hint(err, "that is for root");
        return -1;
    }
    if (!fstat(fd, &st) && S_ISBLK(st.st_mode))
        return fd;
    close(fd);
    fail(err, ENOTBLK, "%s is not a block device", device);
    fail_hint(err, "name a device of the kernel's nbd module, as /dev/nbd0");
    return -1;
}

bool nbd_kernel_check(const char *device, struct error *err)
{
    AUTO_CLOSE int fd = open_device(device, err);
    return fd >= 0;
}

static bool control(int fd, unsigned long request, unsigned long arg, const char *what,
                    struct error *err)
{
    return ioctl(fd, request, arg) >= 0 ||
           fail(err, errno, "Failed to %s: %s", what, strerror(errno));
}

static bool set_up(struct nbd_kernel *k, uint64_t size, uint16_t flags, struct error *err)
{
    if (size / SECTOR > (unsigned long)-1)
        return fail(err, EFBIG, "Export size too large for the kernel's client");
    int read_only = flags & NBD_FLAG_READ_ONLY ? 1 : 0;
    return control(k->device, NBD_SET_SOCK, (unsigned long)channel_fd(k->channel), "set NBD socket",
                   err) &&
           control(k->device, NBD_SET_BLKSIZE, SECTOR, "set NBD block size", err) &&
           control(k->device, NBD_SET_SIZE_BLOCKS, (unsigned long)(size / SECTOR),
                   "set size (in blocks)", err) &&
           control(k->device, NBD_SET_FLAGS, flags, "set flags", err) &&
           (ioctl(k->device, BLKROSET, &read_only) >= 0 ||
            fail(err, errno, "Failed to set read-only: %s", strerror(errno)));
}

static void *device_thread(void *arg)
{
    struct nbd_kernel *k = arg;
    (void)ioctl(k->device, NBD_DO_IT);
    (void)ioctl(k->device, NBD_CLEAR_QUE);
    (void)ioctl(k->device, NBD_CLEAR_SOCK);
    k->stopped(k->opaque);
    return NULL;
}

/* The first read of the partition table makes /dev/nbd0p1 and its like appear. */
static void show_partitions(const char *device)
{
    AUTO_CLOSE int fd = open(device, O_RDONLY | O_CLOEXEC);
    (void)fd;
}

struct nbd_kernel *nbd_kernel_connect(const char *device, int own_fd, const char *export_name,
                                      void (*stopped)(void *opaque), void *opaque,
                                      struct error *err)
{
    struct nbd_kernel *k = xnew(struct nbd_kernel);
    struct channel *c = channel_new(own_fd);
    uint64_t size = 0;
    uint16_t flags = 0;
    k->channel = c;
    k->stopped = stopped;
    k->opaque = opaque;
    k->device = open_device(device, err);
    bool ok = k->device >= 0 && nbd_client_go(c, export_name, &size, &flags, err);
    if (ok && set_up(k, size, flags, err)) {
        int r = pthread_create(&k->thread, NULL, device_thread, k);
        k->running = !r;
        if (r)
            fail(err, r, "no thread for the device: %s", strerror(r));
    }
    if (!k->running) {
        nbd_kernel_free(k);
        return NULL;
    }
    show_partitions(device);
    return k;
}

void nbd_kernel_free(struct nbd_kernel *k)
{
    if (!k)
        return;
    if (k->running) {
        (void)ioctl(k->device, NBD_DISCONNECT);
        pthread_join(k->thread, NULL);
    }
    if (k->device >= 0)
        close(k->device);
    channel_free(k->channel);
    free(k);
}

bool nbd_kernel_disconnect(const char *device, struct error *err)
{
    AUTO_CLOSE int fd = open_device(device, err);
    if (fd < 0)
        return false;
    if (!control(fd, NBD_CLEAR_QUE, 0, "clear the queue", err) ||
        !control(fd, NBD_DISCONNECT, 0, "disconnect", err) ||
        !control(fd, NBD_CLEAR_SOCK, 0, "clear the socket", err))
        return false;
    printf("%s disconnected\n", device);
    return true;
}
