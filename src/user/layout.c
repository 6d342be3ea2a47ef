/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Structures whose layout differs between a 64-bit guest and an x86-64 host, as tables of members.
 * All others are equal. (i386 guests go through the host's compat entry, which knows their
 * layouts.)
 */
#include "user/syscall.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/sem.h>
#include <sys/stat.h>

#include "base/endian.h"

#define HOST(T, m) offsetof(T, m), sizeof(((T *)0)->m)

/* asm-generic/stat.h */
static const struct layout_field stat_generic[] = {
    { 0, 8, HOST(struct stat, st_dev) },
    { 8, 8, HOST(struct stat, st_ino) },
    { 16, 4, HOST(struct stat, st_mode) },
    { 20, 4, HOST(struct stat, st_nlink) },
    { 24, 4, HOST(struct stat, st_uid) },
    { 28, 4, HOST(struct stat, st_gid) },
    { 32, 8, HOST(struct stat, st_rdev) },
    { 48, 8, HOST(struct stat, st_size) },
    { 56, 4, HOST(struct stat, st_blksize) },
    { 64, 8, HOST(struct stat, st_blocks) },
    { 72, 8, HOST(struct stat, st_atim.tv_sec) },
    { 80, 8, HOST(struct stat, st_atim.tv_nsec) },
    { 88, 8, HOST(struct stat, st_mtim.tv_sec) },
    { 96, 8, HOST(struct stat, st_mtim.tv_nsec) },
    { 104, 8, HOST(struct stat, st_ctim.tv_sec) },
    { 112, 8, HOST(struct stat, st_ctim.tv_nsec) },
    { 0 },
};
/* packed on x86 alone */
static const struct layout_field epoll_event_generic[] = {
    { 0, 4, HOST(struct epoll_event, events) },
    { 8, 8, HOST(struct epoll_event, data) },
    { 0 },
};
/* asm-generic/sembuf.h: x86 has a spare word behind each time */
static const struct layout_field semid_generic[] = {
    { 0, 48, offsetof(struct semid_ds, sem_perm), 48 },
    { 48, 8, HOST(struct semid_ds, sem_otime) },
    { 56, 8, HOST(struct semid_ds, sem_ctime) },
    { 64, 8, HOST(struct semid_ds, sem_nsems) },
    { 0 },
};
_Static_assert(sizeof(((struct semid_ds *)0)->sem_perm) == 48, "struct ipc64_perm");

static const struct layout generic[LAYOUT_COUNT] = {
    [LAYOUT_STAT] = { 128, sizeof(struct stat), stat_generic },
    [LAYOUT_EPOLL_EVENT] = { 16, sizeof(struct epoll_event), epoll_event_generic },
    [LAYOUT_SEMID_DS] = { 88, sizeof(struct semid_ds), semid_generic },
};
_Static_assert(sizeof(struct stat) <= LAYOUT_MAX, "the largest");

const struct layout *layout_get(enum layout_id id, enum user_call_column column)
{
    return column == USER_CALLS_GENERIC ? &generic[id] : NULL;
}

static void copy_member(uint8_t *to, unsigned to_size, const uint8_t *from, unsigned from_size)
{
    unsigned n = to_size < from_size ? to_size : from_size;

    memcpy(to, from, n);
    memset(to + n, 0, to_size - n);
}

void layout_to_guest(const struct layout *l, void *guest, const void *host)
{
    memset(guest, 0, l->guest_size);
    for (const struct layout_field *f = l->fields; f->guest_size; f++)
        copy_member((uint8_t *)guest + f->guest_offset, f->guest_size,
                    (const uint8_t *)host + f->host_offset, f->host_size);
}

void layout_to_host(const struct layout *l, void *host, const void *guest)
{
    memset(host, 0, l->host_size);
    for (const struct layout_field *f = l->fields; f->guest_size; f++)
        copy_member((uint8_t *)host + f->host_offset, f->host_size,
                    (const uint8_t *)guest + f->guest_offset, f->guest_size);
}
