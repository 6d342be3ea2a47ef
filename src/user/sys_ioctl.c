/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ioctl. Numbers and structures of 64-bit little-endian guests are the host's (asm-generic on both
 * sides), i386's are known to the host's compat entry: what is left is whether the argument is an
 * address, how much is written there, and a name for -strace. Numbers made by _IOC() tell the first
 * two themselves; the table has those that do not, or that lie.
 */
#include "user/sys_ioctl.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bits.h"
#include "base/log.h"
#include "user/syscall.h"

#define NUM  0
#define P(n) n

static const struct ioctl_row table[] = {
#define IOCTL(nr, name, size) { nr, size, #name },
#include "user/ioctls.def"
#undef IOCTL
};

const struct ioctl_row *ioctl_row(uint32_t nr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].nr == nr)
            return &table[i];
    return NULL;
}

/* SIOCGIFCONF: a length and the address of an array. */
static int64_t get_if_list(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    struct ifconf c;
    gva_t array;
    int64_t r;

    if (user_read(t->proc, &c, a[2], sizeof(c)) < 0)
        return -EFAULT;
    array = (uintptr_t)c.ifc_buf;
    if (array && c.ifc_len > 0)
        mm_prepare_write(t->proc, array, c.ifc_len);
    c.ifc_buf = (char *)(uintptr_t)call_ptr(t, array);
    r = call_host(t, row, (uint64_t[6]){ a[0], a[1], (uintptr_t)&c });
    if (r >= 0 && user_write(t->proc, a[2], &c.ifc_len, sizeof(c.ifc_len)) < 0)
        return -EFAULT;
    return r;
}

int64_t sys_ioctl(struct user_thread *t, const struct call_row *row, const uint64_t a[6])
{
    enum { MARGIN = 256, SIOCGIFCONF_NR = 0x8912 };
    uint32_t nr = a[1];
    const struct ioctl_row *known;
    uint64_t size = _IOC_SIZE(nr);

    if (_IOC_DIR(nr) == _IOC_NONE || _IOC_TYPE(nr) == 'T') {
        known = ioctl_row(nr);
        size = known ? known->size : MARGIN;
        if (!known)
            log_write(LOG_UNIMP, "ioctl %#x: unknown, passed to the host as it is\n", nr);
        if (known && !size)
            return call_host(t, row, a);
    }
    if (nr == SIOCGIFCONF_NR && !call_is_32(t))
        return get_if_list(t, row, a);
    if (a[2] >= 4096)
        mm_prepare_write(t->proc, a[2], MAX(size, (uint64_t)MARGIN));
    else if (_IOC_DIR(nr) == _IOC_NONE && t->proc->cpu_user.base)
        return call_host(t, row, a); /* a small number */
    return call_host(t, row, (uint64_t[6]){ a[0], a[1], call_ptr(t, a[2]) });
}
