/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: what is understood, what is refused and with which words. */
#include "tests/unit/test.h"

/* main/ is not in the library: its files are part of this program. */
#include "src/main/opt_accel.c"
#include "src/main/opt_device.c"
#include "src/main/opt_firmware.c"
#include "src/main/opt_host.c"
#include "src/main/options_table.c"
#include "src/main/opt_machine.c"
#include "src/main/opt_net.c"
#include "src/main/opt_process.c"
#include "src/main/opt_smp.c"
#include "src/main/options.c"

static bool parse(struct options *o, struct error *err, const char *args)
{
    static char text[512];
    char *argv[32] = { (char *)"/usr/bin/rhea-system-x86_64" };
    int argc = 1;
    snprintf(text, sizeof text, "%s", args);
    for (char *p = strtok(text, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    *err = (struct error){ 0 };
    return options_parse(o, argc, argv, err);
}

#define KERNEL "-kernel /proc/self/exe "

TEST(firmware_files_refused)
{
    static const struct {
        const char *args, *msg, *hint;
    } cases[] = {
        { "-boot once=q", "once=q", "network" },
        { "-boot splash=/proc/self/exe", "JPEG", "SeaBIOS" },
        { "-fw_cfg name=opt/x", "string=", "" },
        { "-fw_cfg file=/dev/null", "name=", "opt/" },
        { "-acpitable sig=ABCD", "file=", "header" },
        { "-acpitable sig=ABC,data=/proc/self/comm", "four letters", "" },
        { "-smbios type=9,x=y", "type=9", "17" },
        { "-smbios type=1,serail=y", "serail", "serial" },
        { "-smbios type=1,uuid=12", "UUID", "" },
        { "-smbios type=0,release=x", "release", "MAJOR" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct options o;
        struct error err;
        if (parse(&o, &err, cases[i].args))
            TEST_FAIL("'%s' was accepted", cases[i].args);
        else if (!strstr(err.msg, cases[i].msg) || !strstr(err.hint, cases[i].hint))
            TEST_FAIL("'%s': '%s' ; '%s'", cases[i].args, err.msg, err.hint);
        options_finish(&o);
    }
}

TEST(firmware_files)
{
    struct options o;
    struct error err;
    CHECK(parse(&o, &err,
                KERNEL "-fw_cfg name=opt/a,string=hello -fw_cfg opt/b,file=/proc/self/comm "
                       "-acpitable sig=TEST,rev=3,data=/proc/self/comm "
                       "-smbios type=1,serial=S1 -smbios type=11,value=a,value=b "
                       "-boot order=c,once=d,menu=on"));
    CHECK_EQ(o.vm.board.fw_file_count, 2);
    CHECK_STR(o.vm.board.fw_files[0].name, "opt/a");
    CHECK_EQ(o.vm.board.fw_files[0].size, 5);
    CHECK_EQ(o.vm.board.acpi_table_count, 1);
    CHECK_MEM(o.vm.board.acpi_tables[0].data, "TEST", 4);
    CHECK_EQ(((const uint8_t *)o.vm.board.acpi_tables[0].data)[8], 3);
    CHECK_STR(o.vm.board.smbios->system.serial, "S1");
    CHECK_EQ(o.vm.board.smbios->oem->len, 2);
    CHECK_STR(o.vm.board.boot_once, "d");
    options_finish(&o);
}

TEST(defaults)
{
    struct options o;
    struct error err;
    CHECK(parse(&o, &err, KERNEL));
    CHECK_EQ(o.vm.board.ram_size, 128 * MIB);
    CHECK_EQ(o.vm.board.cpus, 1);
    CHECK_STR(o.vm.board.board_name, "pc");
    CHECK_STR(o.vm.board.accel, "tcg");
    CHECK_STR(o.vm.serial[0], "null");
    CHECK(!o.vm.serial[1]);
    options_finish(&o);
}

TEST(the_documented_call)
{
    struct options o;
    struct error err;
    CHECK(parse(&o, &err,
                "-m 512 -nographic -no-reboot -nic none " KERNEL
                "-initrd /proc/self/exe -append console=ttyS0"));
    CHECK_EQ(o.vm.board.ram_size, 512 * MIB);
    CHECK_STR(o.vm.serial[0], "mon:stdio");
    CHECK_STR(o.vm.board.append, "console=ttyS0");
    CHECK(o.vm.no_reboot && o.vm.board.serial_console);
    options_finish(&o);
}

TEST(topology)
{
    static const struct {
        const char *args;
        unsigned cpus;
        struct board_smp smp;
    } cases[] = {
        { "-smp 4", 4, { 4, 1, 1, 4, 1 } },
        { "-smp 4,threads=2", 4, { 4, 1, 1, 2, 2 } },
        { "-smp 4,sockets=2", 4, { 4, 2, 1, 2, 1 } },
        { "-smp 4,cores=2,threads=1", 4, { 4, 2, 1, 2, 1 } },
        { "-smp 8,sockets=2,cores=2", 8, { 8, 2, 1, 2, 2 } },
        { "-smp sockets=2,dies=2,cores=3,threads=2", 24, { 24, 2, 2, 3, 2 } },
        { "-smp cpus=1,maxcpus=4", 1, { 4, 1, 1, 4, 1 } },
        { "-smp maxcpus=3", 3, { 3, 1, 1, 3, 1 } },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct options o;
        struct error err;
        char args[128];
        snprintf(args, sizeof args, "%s %s", cases[i].args, KERNEL);
        CHECK(parse(&o, &err, args));
        CHECK_EQ(o.vm.board.cpus, cases[i].cpus);
        CHECK(!memcmp(&o.vm.board.smp, &cases[i].smp, sizeof cases[i].smp));
        options_finish(&o);
    }
}

TEST(spellings)
{
    struct options o;
    struct error err;
    CHECK(parse(&o, &err,
                "--m size=1G -M pc-i440fx-7.2,accel=kvm:interp,hpet=off,usb=off "
                "-cpu Nehalem,+aes -smp cpus=1,sockets=1 -serial null -serial null "
                "-rtc base=utc,clock=vm -uuid d5e63c60-1f37-4eda-b990-2065e30d3d42 "
                "-name guest=a,debug-threads=on -boot order=dc,menu=on,strict=on " KERNEL));
    CHECK_STR(err.msg, "");
    CHECK_EQ(o.vm.board.ram_size, GIB);
    CHECK_STR(o.vm.accel.names, "kvm:interp");
    CHECK_EQ(o.vm.accel.irqchip, IRQCHIP_KERNEL);
    CHECK_STR(o.vm.board.board_name, "pc-i440fx-7.2");
    CHECK(!o.vm.board.hpet);
    CHECK_STR(o.vm.board.cpu_model, "Nehalem,+aes");
    CHECK_EQ(o.vm.board.uuid[0], 0xd5);
    CHECK_EQ(o.vm.board.uuid[15], 0x42);
    CHECK_STR(o.vm.name, "a");
    CHECK_STR(o.vm.board.boot_order, "dc");
    CHECK_STR(o.vm.serial[1], "null");
    options_finish(&o);
}

TEST(refused_with_words)
{
    static const struct {
        const char *args, *msg, *hint;
    } cases[] = {
        { "-machin pc", "-machin", "-machine" },
        { "-xyzzy", "-xyzzy", "-help" },
        { "-M pcc", "pcc", "'pc'" },
        { "-M pc,accle=tcg", "accle", "accel" },
        { "-M pc,usb=on", "usb", "" },
        { "-accel tgc", "tgc", "tcg" },
        { "-accel kvm,kernel-irqchip=split:x", "split:x", "split" },
        { "-accel kvm,kernel-irqch=off", "kernel-irqch", "kernel-irqchip" },
        { "-accel kvm,dirty-ring-size=4096", "4096", "bitmaps" },
        { "-M pc,kernel-irqchip=maybe", "maybe", "off" },
        { "-m 12Q", "12Q", "512M" },
        { "-m 0", "-m 0", "2G" },
        { "-m 64T", "64T", "less" },
        { "-m 1G,slots=2,maxmem=2G", "later", "" },
        { "-m", "-m", "megs" },
        { "-smp 0", "greater than zero", "" },
        { "-smp 1,cores=4", "sockets (0) * dies (1) * cores (4) * threads (1) != maxcpus (1)", "" },
        { "-smp 2,maxcpus=1", "< smp_cpus (2)", "" },
        { "-smp 4,sockets=3", "!= maxcpus (4)", "" },
        { "-smp 2,clusters=2", "clusters", "sockets" },
        { "-smp 2,core=2", "core", "cores" },
        { "-smp 32768,sockets=32768,dies=32768,threads=32768", "!= maxcpus", "" },
        { "-initrd x", "-initrd", "-kernel" },
        { "-append x", "-append", "-kernel" },
        { "-kernel /no/such/file", "/no/such/file", "" },
        { "-bios nothing.bin", "nothing.bin", "-L help" },
        { "a.img b.img", "b.img", "-hdb" },
        { "-device isa-debug-exi,help", "isa-debug-exi", "'isa-debug-exit'" },
        { "-S", "-S", "" },
        { "-uuid xyz", "xyz", "looks like" },
        { "-display gtk", "gtk", "-nographic" },
        { "-vga stdd", "stdd", "std" },
        { "-vga qxl", "later", "std" },
        { "-monitor stdio", "monitor", "" },
        { "-rtc bsae=utc", "bsae", "base" },
        { "-boot order=xz", "xz", "" },
        { "-d in_sam", "in_sam", "in_asm" },
        { "-accel tcg,tb-siz=3", "tb-siz", "tb-size" },
        { "-serial null -serial null -serial null -serial null -serial null", "4", "" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct options o;
        struct error err;
        if (parse(&o, &err, cases[i].args))
            TEST_FAIL("'%s' was accepted", cases[i].args);
        else if (!strstr(err.msg, cases[i].msg) || !strstr(err.hint, cases[i].hint))
            TEST_FAIL("'%s': '%s' ; '%s'", cases[i].args, err.msg, err.hint);
        options_finish(&o);
    }
}

static char *printed(const char *args, const char *program)
{
    struct options o;
    struct error err;
    char *text = NULL, *argv[] = { (char *)program, (char *)args };
    size_t size;
    CHECK(options_parse(&o, 2, argv, &err) && o.print);
    FILE *f = open_memstream(&text, &size);
    if (o.print)
        o.print(&o, f);
    fclose(f);
    options_finish(&o);
    return text;
}

TEST(version_and_help)
{
    char *t = printed("--version", "/x/qemu-system-x86_64");
    CHECK(!strncmp(t, "QEMU emulator version 10.0.0 (Rhea ", 35));
    free(t);
    t = printed("-version", "rhea-system");
    CHECK(!strncmp(t, "Rhea emulator version ", 22));
    free(t);
    t = printed("-help", "rhea-system");
    CHECK(strstr(t, "\n-kernel file") != NULL && strstr(t, "\n-fda") == NULL);
    free(t);
}

TEST(other_guests_come_later)
{
    struct options o;
    struct error err;
    char *argv[] = { (char *)"rhea-system-aarch64" };
    CHECK(!options_parse(&o, 1, argv, &err));
    CHECK(strstr(err.msg, "aarch64") != NULL);
    options_finish(&o);
}
