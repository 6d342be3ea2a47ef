/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All options of rhea-system, in the order of -help. A row with .later is known from QEMU and
 * refused with what it is waiting for.
 */
#include "main/options.h"

static const struct option standard[] = {
    { "h", NULL, "display this help and exit (also -help)", opt_help },
    { "help", NULL, NULL, opt_help },
    { "version", NULL, "display version information and exit", opt_version },
    { "machine", "[type=]name[,prop=value...]",
      "choose the machine (-machine help lists them)\n"
      "accel=A1[:A2...] accelerator, as -accel\n"
      "kernel-irqchip=on|split|off interrupt controllers with kvm\n"
      "graphics=on|off firmware's screen: off is the serial port\n"
      "acpi=on|off, hpet=on|off leave a part out\n"
      "dump-guest-core=on|off guest memory in core dumps\n"
      "mem-merge=on|off let the host merge equal pages",
      opt_machine },
    { "M", "[type=]name[,prop=value...]", "as -machine", opt_machine },
    { "cpu", "model[,+feature][,-feature]", "choose the CPU (-cpu help lists models)", opt_cpu },
    { "accel", "name[,prop=value...]",
      "choose the accelerator (kvm, tcg, interp; -accel help); the first that works of several\n"
      "kvm: kernel-irqchip=on|split|off, device=PATH, kvm-shadow-mem=SIZE\n"
      "tb-size=N MiB of translated code to keep\n"
      "thread=single|multi, split-wx=on|off as in QEMU",
      opt_accel },
    { "smp", "[cpus=]n[,maxcpus=n][,sockets=n][,dies=n][,cores=n][,threads=n]",
      "number of CPUs (default 1), and how they sit in sockets, dies, cores", opt_smp },
    { "m", "[size=]megs", "memory of the guest, MiB or with suffix K, M, G, T [default 128]",
      opt_memory },
    { "k", "language", NULL, .later = "keyboard layouts come" },
    { "audio", "[driver=]driver", NULL, .later = "sound comes" },
    { "audiodev", "[driver=]driver,id=id", NULL, .later = "sound comes" },
    { "device", "driver[,prop=value...]",
      "add a device (-device help lists them, -device NAME,help its\n"
      "properties); also as JSON",
      opt_device },
    { "global", "driver.property=value", "set a property of all devices of a type", opt_global },
    { "set", "group.id.arg=value", "add a property to an earlier option with that id", opt_set },
    { "numa", "node[,...]", NULL, .later = "several memory nodes come" },
    { "add-fd", "fd=fd,set=set", NULL, .later = "descriptor sets come" },
    { "mem-path", "path", "guest memory in this file, or in one in this folder", opt_mem_path },
    { "mem-prealloc", NULL, "take all guest memory from the host at once", opt_mem_prealloc },
    { "name", "string[,debug-threads=on|off][,process=string]",
      "name of the guest and of the process", opt_name },
    { "uuid", "uuid", "the machine's UUID", opt_uuid },
    { 0 },
};

static const struct option block[] = {
    { "fda", "file", NULL, .later = "floppy drives come" },
    { "fdb", "file", NULL, .later = "floppy drives come" },
    { "hda", "file", "image of the first IDE disk", opt_hda },
    { "hdb", "file", "image of the second IDE disk", opt_hdb },
    { "hdc", "file", "image of the third IDE disk", opt_hdc },
    { "hdd", "file", "image of the fourth IDE disk", opt_hdd },
    { "cdrom", "file", "image of the CD-ROM (index 2 of the IDE disks)", opt_cdrom },
    { "blockdev", "[driver=]driver[,node-name=N][,option...]",
      "open an image under a name, for -device ...,drive=N; also as JSON", opt_blockdev },
    { "drive", "[file=file][,if=type][,index=i][,media=disk|cdrom][,format=f]",
      "[,cache=mode][,aio=mode][,snapshot=on|off][,readonly=on|off][,id=name]\n"
      "[,discard=mode][,werror=a][,rerror=a][,copy-on-read=on|off][,throttling.x=n]\n"
      "open an image and give it to a device; if=none: to a -device ...,drive=ID",
      opt_drive },
    { "mtdblock", "file", NULL, .later = "MTD flash comes" },
    { "sd", "file", NULL, .later = "SD cards come" },
    { "snapshot", NULL, "writes to disks go to temporary files", opt_snapshot },
    { "fsdev", "fsdriver,id=id[,...]", NULL, .later = "shared folders come" },
    { "virtfs", "fsdriver[,...]", NULL, .later = "shared folders come" },
    { "iscsi", "[user=user][,...]", NULL, .later = "iSCSI comes" },
    { 0 },
};

static const struct option display[] = {
    { "display", "none", "no display (the only choice in this release; -display help)",
      opt_display },
    { "nographic", NULL, "no display; first serial port on the terminal (Ctrl-A h helps)",
      opt_nographic },
    { "vga", "std|none", "graphics adapter of the machine [std]", opt_vga },
    { "usb", NULL, NULL, .later = "USB comes" },
    { "usbdevice", "name", NULL, .later = "USB comes" },
    { "spice", "[port=port][,...]", NULL, .later = "displays come" },
    { "full-screen", NULL, NULL, .later = "displays come" },
    { "g", "WxH[xDEPTH]", NULL, .later = "displays come" },
    { "rotate", "deg", NULL, .later = "displays come" },
    { "vnc", "display", NULL, .later = "displays come" },
    { 0 },
};

static const struct option i386[] = {
    { "win2k-hack", NULL, NULL, .later = "disks come" },
    { "no-fd-bootchk", NULL, NULL, .later = "disks come" },
    { "no-acpi", NULL, "leave the ACPI tables out, as -machine acpi=off", opt_no_acpi },
    { "no-hpet", NULL, "leave the HPET out, as -machine hpet=off", opt_no_hpet },
    { "acpitable", "[sig=str][,rev=n][,oem_id=str][,oem_table_id=str][,oem_rev=n]",
      "[,asl_compiler_id=str][,asl_compiler_rev=n],file=f|data=f[:f...]\n"
      "another ACPI table: file has its header, data is what follows one",
      opt_acpitable },
    { "smbios", "file=f | type=0|1|2|3|4|11|17[,field=value...]",
      "SMBIOS structures from a file, or what stands in ours", opt_smbios },
    { 0 },
};

static const struct option network[] = {
    { "netdev", "type,id=id[,...]",
      "a host network to connect NICs to (-netdev help lists the types)\n"
      "user[,net=addr/bits][,hostfwd=tcp::port-:port][,restrict=on|off]...\n"
      "tap[,ifname=name][,script=file][,fd=n][,queues=n]..., bridge[,br=name]\n"
      "socket[,listen=:port][,connect=host:port][,mcast=addr:port]...\n"
      "stream, dgram with addr., local., remote. addresses; hubport,hubid=n",
      opt_netdev },
    { "nic", "type[,model=nic][,mac=addr][,...]",
      "a NIC and its netdev in one; none: no network (-nic model=help)", opt_nic },
    { "net", "nic[,model=nic][,macaddr=addr][,...]", "a NIC on hub 0, or on netdev=id", opt_net },
    { "net", "type[,...]", "a host network on hub 0; none: no network", opt_net },
    { 0 },
};

static const struct option character[] = {
    { "serial", "dev",
      "where a serial port leads; may be given 4 times\n"
      "stdio, mon:stdio, pty, null, none, file:PATH, pipe:PATH, /dev/PATH,\n"
      "tcp:HOST:PORT[,server][,wait=off], telnet:..., unix:PATH[,server]",
      opt_serial },
    { "parallel", "none", "no parallel port (the only choice in this release)", opt_parallel },
    { "debugcon", "dev", "where port 0xe9 leads, dev as for -serial", opt_debugcon },
    { "monitor", "none", "no monitor (the only choice in this release)", opt_monitor },
    { "chardev", "backend,id=id[,...]",
      "a character device for -device and -serial chardev:ID (-chardev help)", opt_chardev },
    { "qmp", "dev", NULL, .later = "the monitor comes" },
    { "qmp-pretty", "dev", NULL, .later = "the monitor comes" },
    { "mon", "[chardev=]name[,...]", NULL, .later = "the monitor comes" },
    { "tpmdev", "type,id=id[,...]", NULL, .later = "TPMs come" },
    { 0 },
};

static const struct option boot[] = {
    { "kernel", "file", "start this Linux kernel (bzImage or PVH ELF) without firmware",
      opt_kernel },
    { "initrd", "file", "initial RAM disk for -kernel", opt_initrd },
    { "append", "cmdline", "command line for -kernel", opt_append },
    { "bios", "file", "firmware image", opt_bios },
    { "L", "path", "look for firmware here first (-L help lists the directories)", opt_dir },
    { "boot", "[order=]drives[,once=drives][,menu=on|off][,splash=file][,splash-time=ms]",
      "[,reboot-timeout=ms][,strict=on|off]\n"
      "boot order, and that of the first boot: c disk, d CD, n network, a floppy",
      opt_boot },
    { "dtb", "file", NULL, .later = "boards with device trees come" },
    { "shim", "file", NULL, .later = "secure boot comes" },
    { "option-rom", "[romfile=]file", "an option ROM that the BIOS runs", opt_option_rom },
    { "pflash", "file", "image of the flash memory, as -drive if=pflash", opt_pflash },
    { "fw_cfg", "[name=]name,file=file|string=text", "a file for firmware and guest", opt_fw_cfg },
    { 0 },
};

static const struct option debug[] = {
    { "d", "item[,...]", "log these (-d help lists them)", opt_log },
    { "D", "file", "write the log to a file", opt_log_file },
    { "trace", "[enable=]pattern", "enable trace points (-trace help lists them)", opt_trace },
    { "rtc", "[base=utc|localtime|date][,clock=host|vm]", "the clock the guest starts with",
      opt_rtc },
    { "no-reboot", NULL, "leave instead of rebooting", opt_no_reboot },
    { "no-shutdown", NULL, "stop, but do not leave, when the guest powers off", opt_no_shutdown },
    { "S", NULL, NULL, opt_stopped },
    { "nodefaults", NULL, "no default devices", opt_nodefaults },
    { "no-user-config", NULL, "no configuration files (there are none to read)", opt_nothing },
    { "nouserconfig", NULL, NULL, opt_nothing },
    { "enable-kvm", NULL, "as -accel kvm", opt_enable_kvm },
    { "s", NULL, NULL, .later = "the gdb server comes" },
    { "gdb", "dev", NULL, .later = "the gdb server comes" },
    { "singlestep", NULL, NULL, .later = "one instruction per block comes" },
    { "one-insn-per-tb", NULL, NULL, .later = "one instruction per block comes" },
    { "dfilter", "range,..", NULL, .later = "log filters come" },
    { "seed", "number", NULL, .later = "reproducible random numbers come" },
    { "pidfile", "file", "write the process id there", opt_pidfile },
    { "daemonize", NULL, "go to the background when the machine is made", opt_daemonize },
    { "loadvm", "tag", NULL, .later = "snapshots come" },
    { "incoming", "uri", NULL, .later = "migration comes" },
    { "only-migratable", NULL, NULL, .later = "migration comes" },
    { "dump-vmstate", "file", NULL, .later = "migration comes" },
    { "icount", "shift=n[,...]", NULL, .later = "instruction counting comes" },
    { "watchdog-action", "action", NULL, .later = "watchdogs come" },
    { "action", "event=action", NULL, .later = "actions on events come" },
    { "echr", "chr", NULL, .later = "another escape character comes" },
    { "sandbox", "on[,obsolete=allow|deny][,elevateprivileges=allow|deny|children]",
      "[,spawn=allow|deny][,resourcecontrol=allow|deny]\n"
      "refuse the emulator system calls that it has no use for",
      opt_sandbox },
    { "readconfig", "file", "read options from a file of [group \"id\"] sections", opt_readconfig },
    { "runas", "user|uid:gid", "change to that user when the machine is made", opt_runas },
    { "chroot", "dir", "change the root when the machine is made", opt_chroot },
    { "run-with", "[chroot=dir][,user=user|uid:gid]", "as -chroot and -runas", opt_run_with },
    { "msg", "[timestamp=on|off][,guest-name=on|off]", "what messages begin with", opt_msg },
    { "overcommit", "[mem-lock=on|off]", "keep all memory of the process in RAM", opt_overcommit },
    { "object", "type[,prop=value...]", "make an object: -object help lists the types",
      opt_object },
    { "plugin", "[file=]file", NULL, .later = "plugins come" },
    { "semihosting", NULL, NULL, .later = "semihosting comes" },
    { "semihosting-config", "[enable=on|off]", NULL, .later = "semihosting comes" },
    { "compat", "[deprecated-input=...]", NULL, .later = "the monitor comes" },
    { "enable-sync-profile", NULL, NULL, .later = "profiles come" },
    { "perfmap", NULL, NULL, .later = "profiles come" },
    { "jitdump", NULL, NULL, .later = "profiles come" },
    { 0 },
};

const struct option_group option_groups[] = {
    { "Standard options:", standard },
    { "Block device options:", block },
    { "Display options:", display },
    { "i386 target only:", i386 },
    { "Network options:", network },
    { "Character device options:", character },
    { "Boot options:", boot },
    { "Debug and expert options:", debug },
    { 0 },
};
