/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two machines in one process: both run their firmware to its end and are shut down. */
#include "tests/unit/test.h"

#include "loop/loop.h"
#include "vm/vm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 100 };

struct machine {
    struct vm *vm;
    pthread_t thread;
    char path[64], spec[80];
    enum vm_reason reason;
    bool ok;
    struct error err;
};

static bool make(struct machine *m, unsigned n, const char *firmware, const char *accel)
{
    struct vm_config c = { .board_type = board_types[0], .dump_guest_core = true };
    memset(m, 0, sizeof *m);
    snprintf(m->path, sizeof m->path, "/tmp/rhea-vm-%d-%u", (int)getpid(), n);
    snprintf(m->spec, sizeof m->spec, "file:%s", m->path);
    c.board.board_name = "pc";
    c.board.ram_size = (64 + 64 * n) << 20;
    c.board.cpus = 1;
    c.board.accel = accel;
    c.board.firmware = firmware;
    c.board.serial_console = c.board.hpet = c.board.acpi = true;
    c.board.boot_fail_wait_ms = -1;
    c.serial[0] = m->spec;
    m->vm = vm_new(&c, &m->err);
    if (!m->vm && m->err.code == ENOTSUP)
        printf("not tested: %s\n", m->err.msg);
    else if (!m->vm)
        TEST_FAIL("%s", m->err.msg);
    return m->vm != NULL;
}

static void *run(void *arg)
{
    struct machine *m = arg;
    m->ok = vm_run(m->vm, &m->reason, &m->err);
    return NULL;
}

static bool says(const char *path, const char *words)
{
    static char text[65536];
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    if (f)
        fclose(f);
    return strstr(text, words) != NULL;
}

static bool wait_for(const struct machine *m, unsigned count, const char *words)
{
    for (unsigned i = 0; i < PATIENCE_S * 10; i++) {
        unsigned have = 0;
        for (unsigned n = 0; n < count; n++)
            have += says(m[n].path, words);
        if (have == count)
            return true;
        nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    }
    return false;
}

static void shut_down(struct machine *m)
{
    loop_lock(vm_loop(m->vm));
    vm_request_shutdown(m->vm, VM_HOST_QUIT);
    loop_unlock(vm_loop(m->vm));
    pthread_join(m->thread, NULL);
    CHECK(m->ok);
    CHECK_EQ(m->reason, VM_HOST_QUIT);
    vm_free(m->vm);
    unlink(m->path);
}

static void two_machines(const char *accel)
{
    struct machine m[2];
    char *firmware = board_find_firmware(board_firmware_dirs, "bios-256k.bin");
    if (!firmware) {
        printf("no SeaBIOS here: not tested\n");
        return;
    }
    bool ok = make(&m[0], 0, firmware, accel) && make(&m[1], 1, firmware, accel);
    for (unsigned i = 0; ok && i < 2; i++)
        CHECK_EQ(pthread_create(&m[i].thread, NULL, run, &m[i]), 0);
    if (ok)
        CHECK(wait_for(m, 2, "No bootable device"));
    for (unsigned i = 0; ok && i < 2; i++)
        shut_down(&m[i]);
    free(firmware);
}

TEST(two_machines_interpreted)
{
    two_machines("interp");
}

TEST(two_machines_translated)
{
    two_machines("tcg");
}

TEST(made_and_thrown_away)
{
    struct machine m;
    for (unsigned i = 0; i < 3; i++) {
        if (make(&m, 0, NULL, "interp"))
            vm_free(m.vm);
        unlink(m.path);
    }
}
