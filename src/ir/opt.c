/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The list of passes, in the order they run.
 */
#include "ir/ir.h"

const struct ir_pass ir_passes[] = {
    { "fold", ir_pass_fold },
    { "dead", ir_pass_dead },
    { NULL, NULL },
};

void ir_optimize(struct ir *ir)
{
    for (const struct ir_pass *p = ir_passes; p->name; p++)
        p->run(ir);
}
