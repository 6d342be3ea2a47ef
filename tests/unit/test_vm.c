/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two machines in one process: both run their firmware to its end and are shut down. */
#include "tests/unit/test.h"

#include "loop/loop.h"
#include "mem/mem.h"
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

static uint8_t sum_at(struct mem *m, uint64_t at, uint32_t len)
{
    uint8_t v = 0;
    while (len--)
        v += mem_load8(m, at++);
    return v;
}

/* Where these bytes stand in the firmware's segment, on 16 bytes; 0: nowhere. */
static uint32_t find_in_fseg(struct mem *m, const char *bytes)
{
    for (uint32_t a = 0xf0000; a < 0x100000; a += 16) {
        unsigned n = 0;
        while (bytes[n] && mem_load8(m, a + n) == (uint8_t)bytes[n])
            n++;
        if (!bytes[n])
            return a;
    }
    return 0;
}

/* The firmware placed the tables that fw_cfg handed it, and all pointers and sums are right. */
static void check_tables(struct vm *vm)
{
    struct mem *m = vm_board(vm)->mem;
    uint32_t rsdp = find_in_fseg(m, "RSD PTR "), smbios = find_in_fseg(m, "_SM_");
    CHECK(rsdp && smbios);
    CHECK_EQ(sum_at(m, rsdp, 36), 0);
    CHECK_EQ(sum_at(m, smbios, mem_load8(m, smbios + 5)), 0);
    uint64_t xsdt = mem_load64(m, rsdp + 24);
    uint32_t len = mem_load32(m, xsdt + 4);
    CHECK_EQ(mem_load32(m, xsdt), 0x54445358);
    CHECK_EQ(sum_at(m, xsdt, len), 0);
    for (uint32_t i = 36; i < len && i < 200; i += 8) {
        uint64_t t = mem_load64(m, xsdt + i);
        CHECK_EQ(sum_at(m, t, mem_load32(m, t + 4)), 0);
        if (mem_load32(m, t) != 0x50434146) /* FACP */
            continue;
        uint32_t pm = mem_load32(m, t + 56);
        struct mem *io = vm_board(vm)->ports;
        CHECK(pm != 0xffc0 && mem_find(io, pm)->region != NULL); /* where the firmware put it */
        CHECK_EQ(mem_load32(m, mem_load32(m, t + 40)), 0x54445344);
    }
}

TEST(firmware_places_the_tables)
{
    struct machine m;
    char *firmware = board_find_firmware(board_firmware_dirs, "bios-256k.bin");
    if (!firmware || !make(&m, 0, firmware, "interp"))
        return;
    CHECK_EQ(pthread_create(&m.thread, NULL, run, &m), 0);
    CHECK(wait_for(&m, 1, "No bootable device"));
    loop_lock(vm_loop(m.vm));
    check_tables(m.vm);
    loop_unlock(vm_loop(m.vm));
    shut_down(&m);
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
