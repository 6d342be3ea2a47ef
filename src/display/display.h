/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The screens of a machine. A graphics adapter registers a head; whoever shows or saves it asks for
 * the picture as pixels, or for the characters of a text screen. Machine lock held for everything.
 */
#ifndef DISPLAY_DISPLAY_H
#define DISPLAY_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SURFACE_SIDE_MAX = 16384 }; /* pixels */

/* A picture: 0x00RRGGBB, rows of width pixels without gaps. A zeroed one is empty. */
struct surface {
    uint32_t width, height;
    uint32_t *pixels; /* owned */
    size_t room;      /* pixels allocated */
};
/* False (and empty) when a side is 0 or beyond SURFACE_SIDE_MAX. Contents are undefined after. */
bool surface_resize(struct surface *s, uint32_t width, uint32_t height);
void surface_finish(struct surface *s);

struct display_head_ops {
    /* Draws what the screen shows now; sets the size. A blank screen is black. */
    void (*draw)(void *opaque, struct surface *s);
    /* The characters of a text screen, rows ended by '\n', as code page 437 bytes; at most size
     * bytes with the final 0. Returns their number, 0 in a graphic mode. */
    size_t (*text)(void *opaque, char *buf, size_t size);
};

struct display_head {
    const char *name; /* of the device; borrowed */
    const struct display_head_ops *ops;
    void *opaque;
    struct display_head *next;
};

/* All heads of a machine, in order of their making. A zeroed one is empty. */
struct display_set {
    struct display_head *first;
};
void display_add(struct display_set *set, struct display_head *head);    /* set may be NULL */
void display_remove(struct display_set *set, struct display_head *head); /* no-op when not there */

#endif
