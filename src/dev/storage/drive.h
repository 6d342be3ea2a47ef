/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What -drive and -blockdev give to a device: the medium of a disk, which may be absent (CD-ROM)
 * and may be changed, and what the user said about it. vm/drives.c makes them; a device takes one
 * by its "drive" property (FIELD_LINK(struct T, drive, "drive")). Machine lock held.
 */
#ifndef DEV_STORAGE_DRIVE_H
#define DEV_STORAGE_DRIVE_H

#include "disk/disk.h"

enum drive_media { DRIVE_DISK, DRIVE_CDROM };

enum drive_on_error {               /* werror=, rerror= */
                      DRIVE_REPORT, /* tell the guest */
                      DRIVE_IGNORE, /* tell the guest that all went well */
                      DRIVE_STOP, /* stop the machine; the request is made again when it goes on */
                      DRIVE_ENOSPC, /* stop for a full host file system, report others: the default
                                     */
};

struct blk;
struct device;
struct drive;

/* A device hears that the medium went or came (eject, change by the monitor or by itself). */
struct drive_user {
    void (*medium_changed)(void *opaque, struct drive *d); /* d->disk is the new one, or NULL */
    bool (*may_eject)(void *opaque);                       /* false: the guest locked the tray */
    void *opaque;
};

struct drive {
    char *id;          /* "ide0-hd0", "virtio0", the user's id=, or the node name */
    struct disk *disk; /* the root node, one reference; NULL: no medium */
    struct disk_graph *graph;
    enum drive_media media;
    bool read_only;
    bool write_through; /* cache=writethrough, directsync: the guest finds its write cache off */
    enum drive_on_error on_write_error, on_read_error;
    char *serial;  /* NULL: the device makes one up */
    int bootindex; /* from -boot order and -drive; -1: none; a device's own property wins */
    const struct drive_user *user;
    struct device *device;                       /* that took it; NULL: free */
    struct blk *blk;                             /* through which it is used; blk.c's */
    void *vm;                                    /* for on_stop */
    void (*on_stop)(struct drive *d, int error); /* DRIVE_STOP: stop the machine. Any thread */
};

/* After on_stop, when the machine runs again: makes the requests that failed once more. */
void drive_go_on(struct drive *d);

/* The guest (or the monitor) opened the tray: drops the medium. */
void drive_eject(struct drive *d);

#endif
