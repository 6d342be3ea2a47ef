/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Life of the passes' working arrays.
 */
#include "ir/scratch.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/bits.h"

struct ir_scratch *ir_scratch_new(unsigned slot_count)
{
    struct ir_scratch *s = xnew(struct ir_scratch);

    s->slot = xnew_array(uint32_t, slot_count);
    return s;
}

void ir_scratch_free(struct ir_scratch *s)
{
    if (!s)
        return;
    free(s->out);
    free(s->map);
    free(s->label_refs);
    free(s->slot);
    free(s);
}

void ir_scratch_reserve(struct ir_scratch *s, unsigned count, unsigned labels)
{
    if (s->map_cap < count) {
        s->map_cap = MAX(count, 1024);
        s->map = xrealloc_array(s->map, s->map_cap, sizeof(*s->map));
    }
    if (s->label_cap < labels) {
        s->label_cap = MAX(labels, 64);
        s->label_refs = xrealloc_array(s->label_refs, s->label_cap, sizeof(*s->label_refs));
    }
}
