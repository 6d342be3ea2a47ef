/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of rhea-nbd. */
#include "nbd/tool.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "base/alloc.h"
#include "base/bits.h"
#include "base/str.h"
#include "base/trace.h"
#include "disk/modes.h"
#include "disk/nbd_proto.h"

enum {
    OPT_CACHE = 256,
    OPT_AIO,
    OPT_DISCARD,
    OPT_DETECT_ZEROES,
    OPT_OBJECT,
    OPT_TLS_CREDS,
    OPT_TLS_AUTHZ,
    OPT_TLS_HOSTNAME,
    OPT_IMAGE_OPTS,
    OPT_FORK,
    OPT_PID_FILE,
    OPT_SELINUX_LABEL,
    OPT_HANDSHAKE_LIMIT,
};

static const char short_options[] = "hVb:o:p:k:ntrvf:sd:c:l:e:x:D:B:AT:L";
static const struct option long_options[] = {
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { "bind", required_argument, NULL, 'b' },
    { "port", required_argument, NULL, 'p' },
    { "socket", required_argument, NULL, 'k' },
    { "offset", required_argument, NULL, 'o' },
    { "read-only", no_argument, NULL, 'r' },
    { "allocation-depth", no_argument, NULL, 'A' },
    { "bitmap", required_argument, NULL, 'B' },
    { "connect", required_argument, NULL, 'c' },
    { "disconnect", required_argument, NULL, 'd' },
    { "list", no_argument, NULL, 'L' },
    { "snapshot", no_argument, NULL, 's' },
    { "load-snapshot", required_argument, NULL, 'l' },
    { "nocache", no_argument, NULL, 'n' },
    { "shared", required_argument, NULL, 'e' },
    { "format", required_argument, NULL, 'f' },
    { "persistent", no_argument, NULL, 't' },
    { "verbose", no_argument, NULL, 'v' },
    { "export-name", required_argument, NULL, 'x' },
    { "description", required_argument, NULL, 'D' },
    { "trace", required_argument, NULL, 'T' },
    { "cache", required_argument, NULL, OPT_CACHE },
    { "aio", required_argument, NULL, OPT_AIO },
    { "discard", required_argument, NULL, OPT_DISCARD },
    { "detect-zeroes", required_argument, NULL, OPT_DETECT_ZEROES },
    { "object", required_argument, NULL, OPT_OBJECT },
    { "tls-creds", required_argument, NULL, OPT_TLS_CREDS },
    { "tls-authz", required_argument, NULL, OPT_TLS_AUTHZ },
    { "tls-hostname", required_argument, NULL, OPT_TLS_HOSTNAME },
    { "image-opts", no_argument, NULL, OPT_IMAGE_OPTS },
    { "fork", no_argument, NULL, OPT_FORK },
    { "pid-file", required_argument, NULL, OPT_PID_FILE },
    { "selinux-label", required_argument, NULL, OPT_SELINUX_LABEL },
    { "handshake-limit", required_argument, NULL, OPT_HANDSHAKE_LIMIT },
    { 0 },
};

static const char usage_text[] =
    "Usage: %s [OPTIONS] FILE\n"
    "  or:  %s -L [OPTIONS]\n"
    "Rhea's server of disks over the network (NBD)\n"
    "\n"
    "  -h, --help                display this help and exit\n"
    "  -V, --version             output version information and exit\n"
    "\n"
    "Connection properties:\n"
    "  -p, --port=PORT           port to listen on (default `10809')\n"
    "  -b, --bind=IFACE          interface to bind to (default `0.0.0.0')\n"
    "  -k, --socket=PATH         path to the unix socket, instead of a port\n"
    "  -e, --shared=NUM          device can be shared by NUM clients (default '1',\n"
    "                            0: any number)\n"
    "  -t, --persistent          don't exit on the last connection\n"
    "  -v, --verbose             say who comes, who goes, and what went wrong\n"
    "  -x, --export-name=NAME    expose export by name (default is empty string)\n"
    "  -D, --description=TEXT    export a human-readable description\n"
    "      --handshake-limit=N   seconds that a client has for its handshake\n"
    "                            (default '10')\n"
    "\n"
    "Exposing part of the image:\n"
    "  -o, --offset=OFFSET       offset into the image\n"
    "  -A, --allocation-depth    expose the allocation depth\n"
    "  -B, --bitmap=NAME         expose a persistent dirty bitmap\n"
    "\n"
    "General purpose options:\n"
    "  -L, --list                list exports available from another NBD server\n"
    "  --object type,id=ID,...   define an object such as 'secret' for providing\n"
    "                            passwords and/or encryption keys\n"
    "  --tls-creds=ID            use id of an earlier --object to provide TLS\n"
    "  --tls-authz=ID            use id of an earlier --object to provide\n"
    "                            authorization\n"
    "  --tls-hostname=NAME       with -L: what the server's certificate must say\n"
    "  -T, --trace [[enable=]<pattern>][,events=<file>][,file=<file>]\n"
    "                            specify tracing options\n"
    "  --fork                    fork off the server process and exit the parent\n"
    "                            once the server is running\n"
    "  --pid-file=PATH           store the server's process ID in the given file\n"
    "  --selinux-label=LABEL     set SELinux process label on listening socket\n"
    "\n"
    "Kernel NBD client support:\n"
    "  -c, --connect=DEV         connect FILE to the local NBD device DEV\n"
    "  -d, --disconnect=DEV      disconnect the specified device\n"
    "\n"
    "Block device options:\n"
    "  -f, --format=FORMAT       set image format (raw, qcow2, ...)\n"
    "  -r, --read-only           export read-only\n"
    "  -s, --snapshot            write to a temporary overlay, gone at the end\n"
    "  -l, --load-snapshot=SNAPSHOT_PARAM\n"
    "                            load an internal snapshot inside FILE and export it\n"
    "                            as an read-only device, SNAPSHOT_PARAM format is\n"
    "                            'snapshot.id=[ID],snapshot.name=[NAME]', or\n"
    "                            '[ID_OR_NAME]'\n"
    "  -n, --nocache             disable host cache\n"
    "      --cache=MODE          set cache mode used to access the disk image, the\n"
    "                            valid options are: 'none', 'writeback' (default),\n"
    "                            'writethrough', 'directsync' and 'unsafe'\n"
    "      --aio=MODE            set AIO mode (native, io_uring or threads)\n"
    "      --discard=MODE        set discard mode (ignore, unmap)\n"
    "      --detect-zeroes=MODE  set detect-zeroes mode (off, on, unmap)\n"
    "      --image-opts          treat FILE as a full set of image options\n";

static void print_version(const struct nbd_tool *t)
{
    printf("%s " RHEA_VERSION " (Rhea " RHEA_VERSION ")\n", t->program);
}

static bool take_cache(struct nbd_tool *t, const char *mode, struct error *err)
{
    if (t->has_cache)
        return fail(err, EINVAL, "-n and --cache can only be specified once");
    t->has_cache = true;
    return disk_mode_cache(mode, &t->flags) || fail(err, EINVAL, "Invalid cache mode `%s'", mode);
}

static bool take_trace(struct nbd_tool *t, const char *arg, struct error *err)
{
    if (strcmp(arg, "help") && strcmp(arg, "?"))
        return trace_option(arg, err);
    trace_help(stdout);
    t->mode = NBD_TOOL_PRINT;
    return true;
}

static bool take_object(struct nbd_tool *t, const char *arg)
{
    if (object_help(stdout, arg)) {
        t->mode = NBD_TOOL_PRINT;
        return true;
    }
    t->object_texts = xrealloc_array(t->object_texts, t->object_count + 1, sizeof(char *));
    t->object_texts[t->object_count++] = arg;
    return true;
}

static void add_bitmap(struct nbd_tool *t, const char *name)
{
    t->bitmaps = xrealloc_array(t->bitmaps, t->bitmap_count + 2, sizeof(char *));
    t->bitmaps[t->bitmap_count++] = name;
    t->bitmaps[t->bitmap_count] = NULL;
    t->has_per_device = true;
}

static bool take_number(const char *arg, const char *what, unsigned *ret, struct error *err)
{
    uint64_t v;
    struct error unused = { 0 };
    if (!parse_u64(arg, &v, &unused) || v > INT32_MAX)
        return fail(err, EINVAL, "Invalid %s '%s'", what, arg);
    *ret = (unsigned)v;
    return true;
}

static bool take_offset(struct nbd_tool *t, const char *arg, struct error *err)
{
    struct error unused = { 0 };
    if (!parse_size(arg, 1, &t->offset, &unused) || t->offset > INT64_MAX)
        return fail(err, EINVAL, "Invalid offset '%s'", arg);
    return true;
}

static bool take_name(const char *arg, const char *what, const char **ret, struct error *err)
{
    if (strlen(arg) > NBD_MAX_NAME)
        return fail(err, ENAMETOOLONG, "%s '%.40s...' too long", what, arg);
    *ret = arg;
    return true;
}

static bool take_socket(struct nbd_tool *t, const char *arg, struct error *err)
{
    t->socket = arg;
    return arg[0] == '/' || fail(err, EINVAL, "socket path must be absolute");
}

static bool take_long(struct nbd_tool *t, int opt, const char *arg, struct error *err)
{
    switch (opt) {
    case OPT_CACHE: return take_cache(t, arg, err);
    case OPT_AIO:
        return disk_mode_aio(arg, &t->flags) || fail(err, EINVAL, "Invalid aio mode '%s'", arg);
    case OPT_DISCARD:
        return disk_mode_discard(arg, &t->flags) ||
               fail(err, EINVAL, "Invalid discard mode `%s'", arg);
    case OPT_DETECT_ZEROES: t->detect_zeroes = arg; return true;
    case OPT_OBJECT: return take_object(t, arg);
    case OPT_TLS_CREDS: t->tls_creds = arg; return true;
    case OPT_TLS_AUTHZ: t->tls_authz = arg; return true;
    case OPT_TLS_HOSTNAME: t->tls_hostname = arg; return true;
    case OPT_IMAGE_OPTS: t->image_opts = true; return true;
    case OPT_FORK: t->fork = true; return true;
    case OPT_PID_FILE: t->pid_file = arg; return true;
    case OPT_SELINUX_LABEL: t->selinux_label = arg; return true;
    default: return take_number(arg, "handshake limit", &t->handshake_limit_s, err);
    }
}

static bool take_short(struct nbd_tool *t, int opt, const char *arg, struct error *err)
{
    switch (opt) {
    case 'h':
        printf(usage_text, t->program, t->program);
        t->mode = NBD_TOOL_PRINT;
        return true;
    case 'V':
        print_version(t);
        t->mode = NBD_TOOL_PRINT;
        return true;
    case 'b': t->bind = arg; return true;
    case 'p': t->port = arg; return true;
    case 'k': return take_socket(t, arg, err);
    case 'o': return take_offset(t, arg, err);
    case 'r': t->flags &= ~(unsigned)DISK_RDWR; return true;
    case 'A': t->allocation_depth = t->has_per_device = true; return true;
    case 'B': add_bitmap(t, arg); return true;
    case 'c': t->device = arg; return true;
    case 'd':
        t->device = arg;
        t->mode = NBD_TOOL_DISCONNECT;
        return true;
    case 'L': t->mode = NBD_TOOL_LIST; return true;
    case 's': t->temporary = true; return true;
    case 'l': t->snapshot = arg; return true;
    case 'n': return take_cache(t, "none", err);
    case 'e': return take_number(arg, "shared device number", &t->shared, err);
    case 'f': t->format = arg; return true;
    case 't': t->persistent = true; return true;
    case 'v': t->verbose = true; return true;
    case 'x': t->has_per_device = true; return take_name(arg, "export name", &t->name, err);
    case 'D':
        t->has_per_device = true;
        return take_name(arg, "export description", &t->description, err);
    default: return take_trace(t, arg, err);
    }
}

static bool check_list(const struct nbd_tool *t, struct error *err)
{
    if (t->file)
        return fail(err, EINVAL, "List mode is incompatible with a file name");
    if (t->has_per_device || t->offset || t->snapshot || t->device)
        return fail(err, EINVAL, "List mode is incompatible with per-device settings");
    if (t->fork)
        return fail(err, EINVAL, "List mode is incompatible with forking");
    return true;
}

static bool check_serve(struct nbd_tool *t, struct error *err)
{
    if (!t->file) {
        fail(err, EINVAL, "Invalid number of arguments");
        return fail_hint(err, "name one image; try '%s --help'", t->program);
    }
    if (t->image_opts && t->format)
        return fail(err, EINVAL, "--image-opts and -f are mutually exclusive");
    if (t->tls_authz && !t->tls_creds)
        return fail(err, EINVAL, "--tls-authz is not permitted without --tls-creds");
    if (t->tls_hostname)
        return fail(err, EINVAL, "TLS hostname is only supported in list mode");
    if (t->tls_creds && t->device)
        return fail(err, EINVAL, "TLS is not supported with a host device");
    if (t->detect_zeroes && !strcmp(t->detect_zeroes, "unmap") && !(t->flags & DISK_UNMAP))
        return fail(err, EINVAL,
                    "setting detect-zeroes to unmap is not allowed without setting "
                    "discard operation to unmap");
    if ((t->flags & DISK_AIO_NATIVE) && !(t->flags & DISK_DIRECT)) {
        fail(err, EINVAL,
             "aio=native was specified, but it requires cache.direct=on, which was "
             "not specified");
        return fail_hint(err, "add --cache=none, or use --aio=io_uring");
    }
    if (t->temporary && t->snapshot)
        return fail(err, EINVAL,
                    "-s and -l are mutually exclusive: a snapshot is never written to");
    if (t->snapshot)
        t->flags &= ~(unsigned)DISK_RDWR;
    return true;
}

bool nbd_tool_parse(struct nbd_tool *t, int argc, char **argv, struct error *err)
{
    int opt;
    t->flags = DISK_RDWR | DISK_KEEP_SIZE;
    t->shared = 1;
    t->name = "";
    while ((opt = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        if (opt == '?') { /* getopt has said what is wrong */
            fail(err, EINVAL, "Try `%s --help' for more information.", t->program);
            return false;
        }
        if (!(opt < OPT_CACHE ? take_short(t, opt, optarg, err) : take_long(t, opt, optarg, err)))
            return false;
        if (t->mode == NBD_TOOL_PRINT)
            return true;
    }
    if (argc - optind > 1) {
        fail(err, EINVAL, "Invalid number of arguments");
        return fail_hint(err, "name one image; try '%s --help'", t->program);
    }
    t->file = argv[optind];
    if (t->mode == NBD_TOOL_LIST)
        return check_list(t, err);
    return t->mode != NBD_TOOL_SERVE || check_serve(t, err);
}
