/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "display/display.h"

#include <stdlib.h>

#include "base/alloc.h"

bool surface_resize(struct surface *s, uint32_t width, uint32_t height)
{
    size_t need = (size_t)width * height;

    s->width = s->height = 0;
    if (!width || !height || width > SURFACE_SIDE_MAX || height > SURFACE_SIDE_MAX)
        return false;
    if (need > s->room) {
        free(s->pixels);
        s->pixels = xnew_array(uint32_t, need);
        s->room = need;
    }
    s->width = width;
    s->height = height;
    return true;
}

void surface_finish(struct surface *s)
{
    free(s->pixels);
    *s = (struct surface){ 0 };
}

void display_add(struct display_set *set, struct display_head *head)
{
    struct display_head **p;

    if (!set)
        return;
    for (p = &set->first; *p; p = &(*p)->next)
        ;
    head->next = NULL;
    *p = head;
}

void display_remove(struct display_set *set, struct display_head *head)
{
    if (!set)
        return;
    for (struct display_head **p = &set->first; *p; p = &(*p)->next) {
        if (*p == head) {
            *p = head->next;
            return;
        }
    }
}
