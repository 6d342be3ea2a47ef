/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs a machine as rhea-system does and waits for a word on its text screen:
 *   vm-screen SECONDS WORD[|WORD...] OPTION...
 * The words must show up one after the other. Ends with 0 when all came; else prints the screen and
 * ends with 1.
 */
#include "base/alloc.h"
#include "base/bits.h"
#include "display/display.h"
#include "loop/loop.h"
#include "main/options.h"
#include "vm/vm.h"

#include <stdlib.h>
#include <string.h>

enum { SCREEN_MAX = 1 << 16, LOOK_EVERY_NS = 200 * 1000 * 1000 };

struct watch {
    struct vm *vm;
    struct timer timer;
    char **words;
    unsigned seen, looks_left;
    char screen[SCREEN_MAX];
    struct surface picture;
};

static void look(void *opaque)
{
    struct watch *w = opaque;
    struct display_head *head = vm_displays(w->vm)->first;
    if (head) {
        (void)head->ops->text(head->opaque, w->screen, sizeof w->screen);
        head->ops->draw(head->opaque, &w->picture); /* whatever mode there is, it can be drawn */
    }
    while (w->words[w->seen] && strstr(w->screen, w->words[w->seen]))
        w->seen++;
    if (!w->words[w->seen] || w->looks_left-- == 0)
        vm_request_shutdown(w->vm, VM_HOST_QUIT);
    else
        timer_set_ns(&w->timer, clock_now_ns(loop_clock(vm_loop(w->vm), CLOCK_RT)) + LOOK_EVERY_NS);
}

static bool run(struct watch *w, const struct options *o, struct error *err)
{
    enum vm_reason reason;
    w->vm = vm_new(&o->vm, err);
    if (!w->vm)
        return false;
    loop_lock(vm_loop(w->vm));
    timer_init(&w->timer, vm_loop(w->vm), CLOCK_RT, look, w);
    timer_set_ns(&w->timer, clock_now_ns(loop_clock(vm_loop(w->vm), CLOCK_RT)) + LOOK_EVERY_NS);
    loop_unlock(vm_loop(w->vm));
    bool ok = vm_run(w->vm, &reason, err);
    loop_lock(vm_loop(w->vm));
    timer_cancel(&w->timer);
    loop_unlock(vm_loop(w->vm));
    vm_free(w->vm);
    return ok;
}

int main(int argc, char **argv)
{
    struct options o;
    struct error err = { 0 };
    struct watch *w = xnew(struct watch);
    if (argc < 3)
        return 2;
    w->looks_left = 5 * atoi(argv[1]);
    w->words = g_strsplit(argv[2], "|", -1);
    argv[2] = argv[0];
    bool ok = options_parse(&o, argc - 2, argv + 2, &err) && run(w, &o, &err);
    if (!ok)
        err_print(stdout, "vm-screen", &err);
    else if (w->words[w->seen])
        printf("'%s' did not come; the screen (%ux%u):\n%s", w->words[w->seen], w->picture.width,
               w->picture.height, w->screen);
    ok = ok && !w->words[w->seen];
    options_finish(&o);
    surface_finish(&w->picture);
    g_strfreev(w->words);
    free(w);
    return !ok;
}
