/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Life of a virtual machine. A request (reset, shutdown) is noted under the machine lock, stops the
 * vCPUs at their next block boundary and makes loop_run() return; vm_run() then acts on it without
 * the lock, because waiting for a vCPU with the lock held would be a deadlock.
 */
#include "vm/vm_priv.h"

#include "base/alloc.h"
#include "base/bits.h"
#include "base/memory_backend.h"
#include "base/scope.h"
#include "base/trace.h"
#include "chardev/chardevs.h"
#include "cpu/cpu.h"
#include "guest/x86/x86.h"
#include "mem/mem.h"
#include "net/net.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

enum { LOOP_REQUEST = 1 };

struct loop *vm_loop(struct vm *vm)
{
    return vm->loop;
}

struct board *vm_board(struct vm *vm)
{
    return vm->board;
}

struct display_set *vm_displays(struct vm *vm)
{
    return &vm->displays;
}

/* The guest does not get to run on in a machine that is about to be reset. */
static void hold_cpus(struct vm *vm)
{
    for (unsigned i = 0; vm->board && i < vm->board->cpu_count; i++)
        cpu_hold(vm->board->cpus[i]);
    loop_quit(vm->loop, LOOP_REQUEST);
}

void vm_request_reset(struct vm *vm, const char *why)
{
    TRACE(vm, "reset requested: %s", why);
    if (vm->config.no_reboot) {
        vm_request_shutdown(vm, VM_GUEST_RESET);
        return;
    }
    vm->want_reset = true;
    hold_cpus(vm);
}

void vm_request_shutdown(struct vm *vm, enum vm_reason reason)
{
    TRACE(vm, "shutdown requested: reason %d", reason);
    vm->want_shutdown = MAX(vm->want_shutdown, reason);
    hold_cpus(vm);
}

void vm_request_exit(struct vm *vm, int status)
{
    vm->exit_status = status;
    vm_request_shutdown(vm, VM_GUEST_EXIT);
}

struct pause_request {
    struct vm *vm;
    char *drive;
    int error;
};

static void pause_now(void *opaque)
{
    struct pause_request *p = opaque;
    fprintf(stderr, "drive '%s': %s: the guest is paused\n", p->drive, strerror(p->error));
    p->vm->want_pause = true;
    hold_cpus(p->vm);
    free(p->drive);
    free(p);
}

void vm_request_pause(struct vm *vm, const char *drive, int error)
{
    struct pause_request *p = xnew(struct pause_request);
    *p = (struct pause_request){ vm, xstrdup(drive), error < 0 ? -error : error };
    loop_defer(vm->loop, pause_now, p);
}

int vm_exit_status(struct vm *vm)
{
    return vm->exit_status;
}

void vm_power_button(struct vm *vm)
{
    vm->board->type->power_button(vm->board);
}

/* --- making --- */

static void board_reset(void *opaque, const char *why)
{
    vm_request_reset(opaque, why);
}

static void board_power_off(void *opaque)
{
    vm_request_shutdown(opaque, VM_GUEST_POWER_OFF);
}

static void board_error(void *opaque, const char *why)
{
    struct vm *vm = opaque;
    if (vm->want_shutdown != VM_ERROR)
        (void)fail(&vm->error, EIO, "the guest cannot go on: %s", why);
    vm_request_shutdown(vm, VM_ERROR);
}

static void escape_quit(void *opaque)
{
    vm_request_shutdown(opaque, VM_HOST_QUIT);
}

static bool take_chardev(struct vm *vm, const char *id, const char *spec, struct chardev **ret,
                         struct error *err)
{
    if (!spec || !strcmp(spec, "none"))
        return true;
    *ret = chardevs_take_spec(vm->chardevs, id, spec, err);
    return *ret != NULL;
}

static bool make_chardevs(struct vm *vm, struct error *err)
{
    static const char *const ids[] = { "serial0", "serial1", "serial2", "serial3" };
    const struct chardev_escapes escapes = { .quit = escape_quit, .opaque = vm };
    vm->chardevs = chardevs_new(vm->loop, &escapes);
    for (const char *const *p = vm->config.chardevs; p && *p; p++) {
        if (!chardevs_add(vm->chardevs, *p, err)) {
            err_prefix(err, "-chardev %.*s: ", (int)MIN(strlen(*p), 40), *p);
            return false;
        }
    }
    for (unsigned i = 0; i < BOARD_SERIALS; i++)
        if (!take_chardev(vm, ids[i], vm->config.serial[i], &vm->serial[i], err))
            return false;
    memcpy(vm->config.board.serial, vm->serial, sizeof vm->serial);
    if (!take_chardev(vm, "debugcon", vm->config.debugcon, &vm->debugcon, err))
        return false;
    vm->config.board.debugcon = vm->debugcon;
    return true;
}

/* The board's RAM is what it allocated first. */
static bool back_ram(struct vm *vm, struct error *err)
{
    const struct vm_config *c = &vm->config;
    struct mem *m = vm->board->mem;
    uint64_t size = c->board.ram_size;
    const char *id = c->memory_backend;
    if (c->mem_path) {
        AUTO_FREE char *text = xasprintf(
            "memory-backend-file,id=mem-path,size=%" PRIu64 ",mem-path=%s", size, c->mem_path);
        id = "mem-path";
        if (!object_add(vm->objects, text, err))
            return false;
    }
    const struct memory_backend *b = id ? memory_backend_find(vm->objects, id, err) : NULL;
    if (id && !b)
        return false;
    if (b && b->size != size) {
        (void)fail(err, EINVAL, "memory-backend=%s has %" PRIu64 " MiB, -m says %" PRIu64, id,
                   b->size >> 20, size >> 20);
        return fail_hint(err, "give both the same size");
    }
    if (b && b->readonly && b->share)
        return fail(err, EINVAL, "memory-backend=%s: a guest writes to its memory", id);
    if (b && b->fd >= 0 && !mem_ram_from_file(m, 0, size, b->fd, b->offset, b->share, err))
        return false;
    if (b && b->merge)
        (void)madvise(mem_ram_base(m), size, MADV_MERGEABLE);
    if ((c->mem_prealloc || (b && b->prealloc)) &&
        madvise(mem_ram_base(m), size, MADV_POPULATE_WRITE) < 0) {
        (void)fail(err, errno, "cannot take %" PRIu64 " MiB from the host: %s", size >> 20,
                   strerror(errno));
        return fail_hint(err, "give the guest less memory, or leave preallocation out");
    }
    return true;
}

static bool advise_ram(struct vm *vm, struct error *err)
{
    struct mem *m = vm->board->mem;
    if (!vm->config.dump_guest_core &&
        madvise(mem_ram_base(m), mem_ram_size(m), MADV_DONTDUMP) != 0)
        return fail(err, errno, "dump-guest-core=off: %s", strerror(errno));
    if (vm->config.mem_merge && madvise(mem_ram_base(m), mem_ram_size(m), MADV_MERGEABLE) != 0) {
        (void)fail(err, errno, "mem-merge=on: %s", strerror(errno));
        return fail_hint(err, "the host's kernel needs CONFIG_KSM");
    }
    return true;
}

static const struct bus_type system_bus_type = { .name = "System" };

/* -drive if=pflash beside -machine pflash0=, pflash1=. */
static bool find_flash(struct vm *vm, struct error *err)
{
    const char **flash = vm->config.board.pflash;
    for (struct vm_drive *d = vm->drives; d; d = d->next) {
        if (!d->iface || strcmp(d->iface, "pflash") != 0)
            continue;
        if (d->unit > 1)
            return fail(err, EINVAL, "-drive if=pflash,unit=%u: there are units 0 and 1", d->unit);
        if (flash[d->unit]) {
            (void)fail(err, EEXIST, "-drive if=pflash,unit=%u: -machine pflash%u=%s has that unit",
                       d->unit, d->unit, flash[d->unit]);
            return fail_hint(err, "leave one of them out");
        }
        flash[d->unit] = d->d.id;
    }
    return true;
}

static bool make_board(struct vm *vm, struct error *err)
{
    if (!find_flash(vm, err))
        return false;
    const struct board_events events = {
        .reset = board_reset, .power_off = board_power_off, .error = board_error, .opaque = vm
    };
    vm->config.board.links = &vm->links;
    vm->board = board_new(vm->config.board_type, &vm->config.board, vm->loop, &events, err);
    if (!vm->board)
        return false;
    bus_init(&vm->system_bus, &system_bus_type, NULL, "main-system-bus", NULL);
    board_add_bus(vm->board, &vm->system_bus);
    return true;
}

static bool make_objects(struct vm *vm, struct error *err)
{
    vm->objects = object_set_new();
    for (const char *const *p = vm->config.objects; p && *p; p++)
        if (!object_add(vm->objects, *p, err))
            return false;
    return true;
}

/* Devices of the command line first: a kernel that the board loads must find them reset. */
static bool reset_all(struct vm *vm, struct error *err)
{
    for (unsigned i = 0; i < vm->devices->len; i++)
        device_reset(vm->devices->pdata[i]);
    if (!vm->board->type->reset(vm->board, err))
        return false;
    for (unsigned i = 0; i < vm->board->cpu_count; i++)
        if (vm->has_entry[i])
            x86_of(vm->board->cpus[i])->rip = vm->entry[i];
    return true;
}

static bool make_accel(struct vm *vm, struct error *err)
{
    struct accel_config c = vm->config.accel;
    if (!c.names)
        c.names = vm->config.board.accel;
    return accel_new(&c, &vm->config.board.cpu_accel, &vm->config.board.accel, err);
}

static bool make_all(struct vm *vm, struct error *err)
{
    return make_accel(vm, err) && make_objects(vm, err) && make_chardevs(vm, err) &&
           vm_make_globals(vm, err) && vm_make_drives(vm, err) && vm_make_networks(vm, err) &&
           make_board(vm, err) && back_ram(vm, err) && vm_add_nics(vm, err) &&
           vm_add_defaults(vm, err) && vm_add_devices(vm, err) && vm_settle_networks(vm, err) &&
           vm_check_drives(vm, err) && advise_ram(vm, err) && board_complete(vm->board, err) &&
           reset_all(vm, err);
}

struct vm *vm_new(const struct vm_config *config, struct error *err)
{
    struct vm *vm = xnew(struct vm);
    vm->config = *config;
    vm->devices = g_ptr_array_new();
    vm->nodes = g_ptr_array_new();
    vm->bus_numbers = g_hash_table_new(g_str_hash, g_str_equal);
    vm_links_init(vm);
    vm->loop = loop_new(err);
    if (!vm->loop)
        goto fail;
    loop_lock(vm->loop);
    bool ok = make_all(vm, err);
    loop_unlock(vm->loop);
    if (ok)
        return vm;
fail:
    vm_free(vm);
    return NULL;
}

/* --- running --- */

static void set_clock(struct vm *vm, bool on)
{
    loop_lock(vm->loop);
    if (on)
        clock_start(loop_clock(vm->loop, CLOCK_VIRTUAL));
    else
        clock_stop(loop_clock(vm->loop, CLOCK_VIRTUAL));
    loop_clock_changed(vm->loop);
    if (vm->config.board.cpu_accel)
        vm->config.board.cpu_accel->ops->set_running(vm->config.board.cpu_accel, on);
    loop_unlock(vm->loop);
}

static void stop(struct vm *vm)
{
    for (unsigned i = 0; vm->started && i < vm->board->cpu_count; i++)
        cpu_stop(vm->board->cpus[i]);
    if (vm->running)
        set_clock(vm, false);
    vm->running = false;
}

static bool resume(struct vm *vm, struct error *err)
{
    bool ok = true;
    set_clock(vm, true);
    for (unsigned i = 0; ok && i < vm->board->cpu_count; i++) {
        if (vm->started)
            cpu_resume(vm->board->cpus[i]);
        else if (!cpu_start(vm->board->cpus[i], err))
            ok = false;
    }
    vm->started = vm->running = true;
    if (!ok)
        stop(vm);
    return ok;
}

static bool reset(struct vm *vm, struct error *err)
{
    stop(vm);
    loop_lock(vm->loop);
    bool ok = reset_all(vm, err);
    for (unsigned i = 0; i < vm->board->cpu_count; i++)
        cpu_flush_all(vm->board->cpus[i]);
    loop_unlock(vm->loop);
    if (!ok)
        err_prefix(err, "reset: ");
    return ok && resume(vm, err);
}

/* Whether the machine is done; otherwise has carried out what was asked. */
static bool act(struct vm *vm, enum vm_reason *ret_reason, struct error *err)
{
    loop_lock(vm->loop);
    enum vm_reason reason = vm->want_shutdown;
    bool want_reset = vm->want_reset, want_pause = vm->want_pause;
    vm->want_shutdown = VM_RUNNING;
    vm->want_reset = vm->want_pause = false;
    loop_unlock(vm->loop);
    if (reason == VM_RUNNING && want_pause && !want_reset) {
        stop(vm);
        return false;
    }
    if (reason == VM_GUEST_POWER_OFF && vm->config.no_shutdown) {
        stop(vm);
        return false;
    }
    if (reason == VM_ERROR)
        *err = vm->error;
    if (reason == VM_RUNNING && want_reset && !reset(vm, err))
        reason = VM_ERROR;
    *ret_reason = reason;
    return reason != VM_RUNNING;
}

bool vm_run(struct vm *vm, enum vm_reason *ret_reason, struct error *err)
{
    *ret_reason = VM_ERROR;
    if (!resume(vm, err))
        return false;
    do {
        (void)loop_run(vm->loop);
    } while (!act(vm, ret_reason, err));
    stop(vm);
    return *ret_reason != VM_ERROR;
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    if (vm->loop) {
        loop_lock(vm->loop);
        vm_free_devices(vm);
        board_free(vm->board);
        bus_finish(&vm->system_bus);
        accel_free(vm->config.board.cpu_accel);
        net_set_free(vm->networks);
        vm_free_drives(vm);
        vm_free_globals(vm);
        object_set_free(vm->objects);
        for (unsigned i = 0; vm->chardevs && i < BOARD_SERIALS; i++)
            chardevs_give_back(vm->chardevs, vm->serial[i]);
        if (vm->chardevs)
            chardevs_give_back(vm->chardevs, vm->debugcon);
        chardevs_free(vm->chardevs);
        loop_unlock(vm->loop);
        loop_free(vm->loop);
    }
    g_ptr_array_unref(vm->devices);
    g_ptr_array_unref(vm->nodes);
    g_hash_table_unref(vm->bus_numbers);
    free(vm);
}
