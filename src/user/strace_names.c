/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The names of constants that -strace prints; values are the host's, which 64-bit guests and i386
 * share.
 */
#include <inttypes.h>
#include <stddef.h>

#include "base/bits.h"
#include "user/syscall.h"

struct name {
    uint32_t value;
    const char *text;
};

static const struct name names_open[] = {
    { 0x1, "O_WRONLY" },        { 0x2, "O_RDWR" },
    { 0x40, "O_CREAT" },        { 0x80, "O_EXCL" },
    { 0x100, "O_NOCTTY" },      { 0x200, "O_TRUNC" },
    { 0x400, "O_APPEND" },      { 0x800, "O_NONBLOCK" },
    { 0x101000, "O_SYNC" },     { 0x1000, "O_DSYNC" },
    { 0x2000, "O_ASYNC" },      { 0x4000, "O_DIRECT" },
    { 0x8000, "O_LARGEFILE" },  { 0x410000, "O_TMPFILE" },
    { 0x10000, "O_DIRECTORY" }, { 0x20000, "O_NOFOLLOW" },
    { 0x40000, "O_NOATIME" },   { 0x80000, "O_CLOEXEC" },
    { 0x200000, "O_PATH" },     { 0 },
};

static const struct name names_at[] = {
    { 0x100, "AT_SYMLINK_NOFOLLOW" },
    { 0x200, "AT_REMOVEDIR" },
    { 0x400, "AT_SYMLINK_FOLLOW" },
    { 0x800, "AT_NO_AUTOMOUNT" },
    { 0x1000, "AT_EMPTY_PATH" },
    { 0x2000, "AT_STATX_FORCE_SYNC" },
    { 0x4000, "AT_STATX_DONT_SYNC" },
    { 0x8000, "AT_RECURSIVE" },
    { 0 },
};

static const struct name names_access[] = {
    { 0x4, "R_OK" },
    { 0x2, "W_OK" },
    { 0x1, "X_OK" },
    { 0 },
};

static const struct name names_whence[] = {
    { 0, "SEEK_SET" },  { 1, "SEEK_CUR" },  { 2, "SEEK_END" },
    { 3, "SEEK_DATA" }, { 4, "SEEK_HOLE" }, { 0 },
};

static const struct name names_fcntl[] = {
    { 0, "F_DUPFD" },
    { 1, "F_GETFD" },
    { 2, "F_SETFD" },
    { 3, "F_GETFL" },
    { 4, "F_SETFL" },
    { 5, "F_GETLK" },
    { 6, "F_SETLK" },
    { 7, "F_SETLKW" },
    { 8, "F_SETOWN" },
    { 9, "F_GETOWN" },
    { 10, "F_SETSIG" },
    { 11, "F_GETSIG" },
    { 15, "F_SETOWN_EX" },
    { 16, "F_GETOWN_EX" },
    { 36, "F_OFD_GETLK" },
    { 37, "F_OFD_SETLK" },
    { 38, "F_OFD_SETLKW" },
    { 1024, "F_SETLEASE" },
    { 1025, "F_GETLEASE" },
    { 1026, "F_NOTIFY" },
    { 1030, "F_DUPFD_CLOEXEC" },
    { 1031, "F_SETPIPE_SZ" },
    { 1032, "F_GETPIPE_SZ" },
    { 1033, "F_ADD_SEALS" },
    { 1034, "F_GET_SEALS" },
    { 1035, "F_GET_RW_HINT" },
    { 1036, "F_SET_RW_HINT" },
    { 1037, "F_GET_FILE_RW_HINT" },
    { 1038, "F_SET_FILE_RW_HINT" },
    { 0 },
};

static const struct name names_prot[] = {
    { 0x1, "PROT_READ" },          { 0x2, "PROT_WRITE" },
    { 0x4, "PROT_EXEC" },          { 0x10, "PROT_BTI" },
    { 0x20, "PROT_MTE" },          { 0x1000000, "PROT_GROWSDOWN" },
    { 0x2000000, "PROT_GROWSUP" }, { 0 },
};

static const struct name names_map[] = {
    { 0x3, "MAP_SHARED_VALIDATE" },
    { 0x1, "MAP_SHARED" },
    { 0x2, "MAP_PRIVATE" },
    { 0x10, "MAP_FIXED" },
    { 0x20, "MAP_ANONYMOUS" },
    { 0x40, "MAP_32BIT" },
    { 0x100, "MAP_GROWSDOWN" },
    { 0x800, "MAP_DENYWRITE" },
    { 0x1000, "MAP_EXECUTABLE" },
    { 0x2000, "MAP_LOCKED" },
    { 0x4000, "MAP_NORESERVE" },
    { 0x8000, "MAP_POPULATE" },
    { 0x10000, "MAP_NONBLOCK" },
    { 0x20000, "MAP_STACK" },
    { 0x40000, "MAP_HUGETLB" },
    { 0x80000, "MAP_SYNC" },
    { 0x100000, "MAP_FIXED_NOREPLACE" },
    { 0 },
};

static const struct name names_madv[] = {
    { 0, "MADV_NORMAL" },          { 1, "MADV_RANDOM" },
    { 2, "MADV_SEQUENTIAL" },      { 3, "MADV_WILLNEED" },
    { 4, "MADV_DONTNEED" },        { 8, "MADV_FREE" },
    { 9, "MADV_REMOVE" },          { 10, "MADV_DONTFORK" },
    { 11, "MADV_DOFORK" },         { 12, "MADV_MERGEABLE" },
    { 13, "MADV_UNMERGEABLE" },    { 14, "MADV_HUGEPAGE" },
    { 15, "MADV_NOHUGEPAGE" },     { 16, "MADV_DONTDUMP" },
    { 17, "MADV_DODUMP" },         { 18, "MADV_WIPEONFORK" },
    { 19, "MADV_KEEPONFORK" },     { 20, "MADV_COLD" },
    { 21, "MADV_PAGEOUT" },        { 22, "MADV_POPULATE_READ" },
    { 23, "MADV_POPULATE_WRITE" }, { 0 },
};

static const struct name names_clone[] = {
    { 0x100, "CLONE_VM" },
    { 0x200, "CLONE_FS" },
    { 0x400, "CLONE_FILES" },
    { 0x800, "CLONE_SIGHAND" },
    { 0x1000, "CLONE_PIDFD" },
    { 0x2000, "CLONE_PTRACE" },
    { 0x4000, "CLONE_VFORK" },
    { 0x8000, "CLONE_PARENT" },
    { 0x10000, "CLONE_THREAD" },
    { 0x20000, "CLONE_NEWNS" },
    { 0x40000, "CLONE_SYSVSEM" },
    { 0x80000, "CLONE_SETTLS" },
    { 0x100000, "CLONE_PARENT_SETTID" },
    { 0x200000, "CLONE_CHILD_CLEARTID" },
    { 0x400000, "CLONE_DETACHED" },
    { 0x800000, "CLONE_UNTRACED" },
    { 0x1000000, "CLONE_CHILD_SETTID" },
    { 0x2000000, "CLONE_NEWCGROUP" },
    { 0x4000000, "CLONE_NEWUTS" },
    { 0x8000000, "CLONE_NEWIPC" },
    { 0x10000000, "CLONE_NEWUSER" },
    { 0x20000000, "CLONE_NEWPID" },
    { 0x40000000, "CLONE_NEWNET" },
    { 0x80000000, "CLONE_IO" },
    { 0 },
};

static const struct name names_wait[] = {
    { 0x1, "WNOHANG" },         { 0x2, "WUNTRACED" },
    { 0x4, "WEXITED" },         { 0x8, "WCONTINUED" },
    { 0x1000000, "WNOWAIT" },   { 0x40000000, "__WALL" },
    { 0x80000000, "__WCLONE" }, { 0 },
};

static const struct name names_rlimit[] = {
    { 0, "RLIMIT_CPU" },
    { 1, "RLIMIT_FSIZE" },
    { 2, "RLIMIT_DATA" },
    { 3, "RLIMIT_STACK" },
    { 4, "RLIMIT_CORE" },
    { 5, "RLIMIT_RSS" },
    { 6, "RLIMIT_NPROC" },
    { 7, "RLIMIT_NOFILE" },
    { 8, "RLIMIT_MEMLOCK" },
    { 9, "RLIMIT_AS" },
    { 10, "RLIMIT_LOCKS" },
    { 11, "RLIMIT_SIGPENDING" },
    { 12, "RLIMIT_MSGQUEUE" },
    { 13, "RLIMIT_NICE" },
    { 14, "RLIMIT_RTPRIO" },
    { 15, "RLIMIT_RTTIME" },
    { 0 },
};

static const struct name names_sighow[] = {
    { 0, "SIG_BLOCK" },
    { 1, "SIG_UNBLOCK" },
    { 2, "SIG_SETMASK" },
    { 0 },
};

static const struct name names_clock[] = {
    { 0, "CLOCK_REALTIME" },
    { 1, "CLOCK_MONOTONIC" },
    { 2, "CLOCK_PROCESS_CPUTIME_ID" },
    { 3, "CLOCK_THREAD_CPUTIME_ID" },
    { 4, "CLOCK_MONOTONIC_RAW" },
    { 5, "CLOCK_REALTIME_COARSE" },
    { 6, "CLOCK_MONOTONIC_COARSE" },
    { 7, "CLOCK_BOOTTIME" },
    { 8, "CLOCK_REALTIME_ALARM" },
    { 9, "CLOCK_BOOTTIME_ALARM" },
    { 11, "CLOCK_TAI" },
    { 0 },
};

static const struct name names_epoll_ctl[] = {
    { 1, "EPOLL_CTL_ADD" },
    { 2, "EPOLL_CTL_DEL" },
    { 3, "EPOLL_CTL_MOD" },
    { 0 },
};

static const struct name names_af[] = {
    { 0, "AF_UNSPEC" },
    { 1, "AF_UNIX" },
    { 2, "AF_INET" },
    { 10, "AF_INET6" },
    { 16, "AF_NETLINK" },
    { 17, "AF_PACKET" },
    { 31, "AF_BLUETOOTH" },
    { 29, "AF_CAN" },
    { 40, "AF_VSOCK" },
    { 38, "AF_ALG" },
    { 15, "AF_KEY" },
    { 44, "AF_XDP" },
    { 0 },
};

static const struct name names_sock[] = {
    { 0x1, "SOCK_STREAM" },      { 0x2, "SOCK_DGRAM" },      { 0x3, "SOCK_RAW" },
    { 0x4, "SOCK_RDM" },         { 0x5, "SOCK_SEQPACKET" },  { 0xa, "SOCK_PACKET" },
    { 0x80000, "SOCK_CLOEXEC" }, { 0x800, "SOCK_NONBLOCK" }, { 0 },
};

static const struct name names_msg[] = {
    { 0x1, "MSG_OOB" },
    { 0x2, "MSG_PEEK" },
    { 0x4, "MSG_DONTROUTE" },
    { 0x8, "MSG_CTRUNC" },
    { 0x20, "MSG_TRUNC" },
    { 0x40, "MSG_DONTWAIT" },
    { 0x80, "MSG_EOR" },
    { 0x100, "MSG_WAITALL" },
    { 0x800, "MSG_CONFIRM" },
    { 0x2000, "MSG_ERRQUEUE" },
    { 0x4000, "MSG_NOSIGNAL" },
    { 0x8000, "MSG_MORE" },
    { 0x10000, "MSG_WAITFORONE" },
    { 0x4000000, "MSG_ZEROCOPY" },
    { 0x20000000, "MSG_FASTOPEN" },
    { 0x40000000, "MSG_CMSG_CLOEXEC" },
    { 0 },
};

static const struct name names_sol[] = {
    { 0, "SOL_IP" },       { 1, "SOL_SOCKET" },
    { 6, "SOL_TCP" },      { 17, "SOL_UDP" },
    { 41, "SOL_IPV6" },    { 255, "SOL_RAW" },
    { 263, "SOL_PACKET" }, { 270, "SOL_NETLINK" },
    { 279, "SOL_ALG" },    { 0 },
};

static const struct name names_prctl[] = {
    { 1, "PR_SET_PDEATHSIG" },
    { 2, "PR_GET_PDEATHSIG" },
    { 3, "PR_GET_DUMPABLE" },
    { 4, "PR_SET_DUMPABLE" },
    { 5, "PR_GET_UNALIGN" },
    { 6, "PR_SET_UNALIGN" },
    { 7, "PR_GET_KEEPCAPS" },
    { 8, "PR_SET_KEEPCAPS" },
    { 9, "PR_GET_FPEMU" },
    { 10, "PR_SET_FPEMU" },
    { 11, "PR_GET_FPEXC" },
    { 12, "PR_SET_FPEXC" },
    { 13, "PR_GET_TIMING" },
    { 14, "PR_SET_TIMING" },
    { 15, "PR_SET_NAME" },
    { 16, "PR_GET_NAME" },
    { 19, "PR_GET_ENDIAN" },
    { 20, "PR_SET_ENDIAN" },
    { 21, "PR_GET_SECCOMP" },
    { 22, "PR_SET_SECCOMP" },
    { 23, "PR_CAPBSET_READ" },
    { 24, "PR_CAPBSET_DROP" },
    { 25, "PR_GET_TSC" },
    { 26, "PR_SET_TSC" },
    { 27, "PR_GET_SECUREBITS" },
    { 28, "PR_SET_SECUREBITS" },
    { 29, "PR_SET_TIMERSLACK" },
    { 30, "PR_GET_TIMERSLACK" },
    { 35, "PR_SET_MM" },
    { 0x59616d61, "PR_SET_PTRACER" },
    { 36, "PR_SET_CHILD_SUBREAPER" },
    { 37, "PR_GET_CHILD_SUBREAPER" },
    { 38, "PR_SET_NO_NEW_PRIVS" },
    { 39, "PR_GET_NO_NEW_PRIVS" },
    { 40, "PR_GET_TID_ADDRESS" },
    { 41, "PR_SET_THP_DISABLE" },
    { 42, "PR_GET_THP_DISABLE" },
    { 45, "PR_SET_FP_MODE" },
    { 46, "PR_GET_FP_MODE" },
    { 47, "PR_CAP_AMBIENT" },
    { 52, "PR_GET_SPECULATION_CTRL" },
    { 53, "PR_SET_SPECULATION_CTRL" },
    { 54, "PR_PAC_RESET_KEYS" },
    { 55, "PR_SET_TAGGED_ADDR_CTRL" },
    { 56, "PR_GET_TAGGED_ADDR_CTRL" },
    { 57, "PR_SET_IO_FLUSHER" },
    { 58, "PR_GET_IO_FLUSHER" },
    { 59, "PR_SET_SYSCALL_USER_DISPATCH" },
    { 0x53564d41, "PR_SET_VMA" },
    { 0 },
};

static const struct name names_rwf[] = {
    { 0x1, "RWF_HIPRI" },  { 0x2, "RWF_DSYNC" },   { 0x4, "RWF_SYNC" },
    { 0x8, "RWF_NOWAIT" }, { 0x10, "RWF_APPEND" }, { 0 },
};

static const struct name names_signal[] = {
    { 1, "SIGHUP" },   { 2, "SIGINT" },     { 3, "SIGQUIT" },  { 4, "SIGILL" },
    { 5, "SIGTRAP" },  { 6, "SIGABRT" },    { 7, "SIGBUS" },   { 8, "SIGFPE" },
    { 9, "SIGKILL" },  { 10, "SIGUSR1" },   { 11, "SIGSEGV" }, { 12, "SIGUSR2" },
    { 13, "SIGPIPE" }, { 14, "SIGALRM" },   { 15, "SIGTERM" }, { 16, "SIGSTKFLT" },
    { 17, "SIGCHLD" }, { 18, "SIGCONT" },   { 19, "SIGSTOP" }, { 20, "SIGTSTP" },
    { 21, "SIGTTIN" }, { 22, "SIGTTOU" },   { 23, "SIGURG" },  { 24, "SIGXCPU" },
    { 25, "SIGXFSZ" }, { 26, "SIGVTALRM" }, { 27, "SIGPROF" }, { 28, "SIGWINCH" },
    { 29, "SIGIO" },   { 30, "SIGPWR" },    { 31, "SIGSYS" },  { 0 },
};

static const struct name names_futex[] = {
    { 0, "FUTEX_WAIT" },
    { 1, "FUTEX_WAKE" },
    { 2, "FUTEX_FD" },
    { 3, "FUTEX_REQUEUE" },
    { 4, "FUTEX_CMP_REQUEUE" },
    { 5, "FUTEX_WAKE_OP" },
    { 6, "FUTEX_LOCK_PI" },
    { 7, "FUTEX_UNLOCK_PI" },
    { 8, "FUTEX_TRYLOCK_PI" },
    { 9, "FUTEX_WAIT_BITSET" },
    { 10, "FUTEX_WAKE_BITSET" },
    { 11, "FUTEX_WAIT_REQUEUE_PI" },
    { 12, "FUTEX_CMP_REQUEUE_PI" },
    { 13, "FUTEX_LOCK_PI2" },
    { 0 },
};

static const struct name names_poll[] = {
    { 0x1, "POLLIN" },       { 0x2, "POLLPRI" },      { 0x4, "POLLOUT" },
    { 0x8, "POLLERR" },      { 0x10, "POLLHUP" },     { 0x20, "POLLNVAL" },
    { 0x40, "POLLRDNORM" },  { 0x80, "POLLRDBAND" },  { 0x100, "POLLWRNORM" },
    { 0x200, "POLLWRBAND" }, { 0x2000, "POLLRDHUP" }, { 0 },
};

static const struct name names_errno[] = {
    { 1, "EPERM" },
    { 2, "ENOENT" },
    { 3, "ESRCH" },
    { 4, "EINTR" },
    { 5, "EIO" },
    { 6, "ENXIO" },
    { 7, "E2BIG" },
    { 8, "ENOEXEC" },
    { 9, "EBADF" },
    { 10, "ECHILD" },
    { 11, "EAGAIN" },
    { 12, "ENOMEM" },
    { 13, "EACCES" },
    { 14, "EFAULT" },
    { 15, "ENOTBLK" },
    { 16, "EBUSY" },
    { 17, "EEXIST" },
    { 18, "EXDEV" },
    { 19, "ENODEV" },
    { 20, "ENOTDIR" },
    { 21, "EISDIR" },
    { 22, "EINVAL" },
    { 23, "ENFILE" },
    { 24, "EMFILE" },
    { 25, "ENOTTY" },
    { 26, "ETXTBSY" },
    { 27, "EFBIG" },
    { 28, "ENOSPC" },
    { 29, "ESPIPE" },
    { 30, "EROFS" },
    { 31, "EMLINK" },
    { 32, "EPIPE" },
    { 33, "EDOM" },
    { 34, "ERANGE" },
    { 35, "EDEADLK" },
    { 36, "ENAMETOOLONG" },
    { 37, "ENOLCK" },
    { 38, "ENOSYS" },
    { 39, "ENOTEMPTY" },
    { 40, "ELOOP" },
    { 42, "ENOMSG" },
    { 43, "EIDRM" },
    { 44, "ECHRNG" },
    { 45, "EL2NSYNC" },
    { 46, "EL3HLT" },
    { 47, "EL3RST" },
    { 48, "ELNRNG" },
    { 49, "EUNATCH" },
    { 50, "ENOCSI" },
    { 51, "EL2HLT" },
    { 52, "EBADE" },
    { 53, "EBADR" },
    { 54, "EXFULL" },
    { 55, "ENOANO" },
    { 56, "EBADRQC" },
    { 57, "EBADSLT" },
    { 59, "EBFONT" },
    { 60, "ENOSTR" },
    { 61, "ENODATA" },
    { 62, "ETIME" },
    { 63, "ENOSR" },
    { 64, "ENONET" },
    { 65, "ENOPKG" },
    { 66, "EREMOTE" },
    { 67, "ENOLINK" },
    { 68, "EADV" },
    { 69, "ESRMNT" },
    { 70, "ECOMM" },
    { 71, "EPROTO" },
    { 72, "EMULTIHOP" },
    { 73, "EDOTDOT" },
    { 74, "EBADMSG" },
    { 75, "EOVERFLOW" },
    { 76, "ENOTUNIQ" },
    { 77, "EBADFD" },
    { 78, "EREMCHG" },
    { 79, "ELIBACC" },
    { 80, "ELIBBAD" },
    { 81, "ELIBSCN" },
    { 82, "ELIBMAX" },
    { 83, "ELIBEXEC" },
    { 84, "EILSEQ" },
    { 85, "ERESTART" },
    { 86, "ESTRPIPE" },
    { 87, "EUSERS" },
    { 88, "ENOTSOCK" },
    { 89, "EDESTADDRREQ" },
    { 90, "EMSGSIZE" },
    { 91, "EPROTOTYPE" },
    { 92, "ENOPROTOOPT" },
    { 93, "EPROTONOSUPPORT" },
    { 94, "ESOCKTNOSUPPORT" },
    { 95, "EOPNOTSUPP" },
    { 96, "EPFNOSUPPORT" },
    { 97, "EAFNOSUPPORT" },
    { 98, "EADDRINUSE" },
    { 99, "EADDRNOTAVAIL" },
    { 100, "ENETDOWN" },
    { 101, "ENETUNREACH" },
    { 102, "ENETRESET" },
    { 103, "ECONNABORTED" },
    { 104, "ECONNRESET" },
    { 105, "ENOBUFS" },
    { 106, "EISCONN" },
    { 107, "ENOTCONN" },
    { 108, "ESHUTDOWN" },
    { 109, "ETOOMANYREFS" },
    { 110, "ETIMEDOUT" },
    { 111, "ECONNREFUSED" },
    { 112, "EHOSTDOWN" },
    { 113, "EHOSTUNREACH" },
    { 114, "EALREADY" },
    { 115, "EINPROGRESS" },
    { 116, "ESTALE" },
    { 117, "EUCLEAN" },
    { 118, "ENOTNAM" },
    { 119, "ENAVAIL" },
    { 120, "EISNAM" },
    { 121, "EREMOTEIO" },
    { 122, "EDQUOT" },
    { 123, "ENOMEDIUM" },
    { 124, "EMEDIUMTYPE" },
    { 125, "ECANCELED" },
    { 126, "ENOKEY" },
    { 127, "EKEYEXPIRED" },
    { 128, "EKEYREVOKED" },
    { 129, "EKEYREJECTED" },
    { 130, "EOWNERDEAD" },
    { 131, "ENOTRECOVERABLE" },
    { 132, "ERFKILL" },
    { 133, "EHWPOISON" },
    { 0 },
};

static const struct name *const sets[SET_COUNT] = {
    [SET_OPEN] = names_open,     [SET_FDFL] = names_open,     [SET_AT] = names_at,
    [SET_ACCESS] = names_access, [SET_WHENCE] = names_whence, [SET_FCNTL] = names_fcntl,
    [SET_PROT] = names_prot,     [SET_MAP] = names_map,       [SET_MADV] = names_madv,
    [SET_CLONE] = names_clone,   [SET_WAIT] = names_wait,     [SET_RLIMIT] = names_rlimit,
    [SET_SIGHOW] = names_sighow, [SET_CLOCK] = names_clock,   [SET_EPOLL_CTL] = names_epoll_ctl,
    [SET_AF] = names_af,         [SET_SOCK] = names_sock,     [SET_MSG] = names_msg,
    [SET_SOL] = names_sol,       [SET_PRCTL] = names_prctl,   [SET_RWF] = names_rwf,
    [SET_SIGNAL] = names_signal, [SET_FUTEX] = names_futex,   [SET_POLL] = names_poll,
    [SET_ERRNO] = names_errno,
};

const char *strace_enum(enum call_set set, uint64_t value)
{
    for (const struct name *n = sets[set]; n->text; n++)
        if (n->value == (uint32_t)value)
            return n->text;
    return NULL;
}

/* Sets whose low bits are a number: those bits, and what stands for 0 in them. */
static uint32_t number_bits(enum call_set set, const char **ret_zero)
{
    *ret_zero = "0";
    switch (set) {
    case SET_OPEN: *ret_zero = "O_RDONLY"; return 3;
    case SET_SOCK: return 15;
    case SET_CLONE: return 0xff; /* the signal */
    case SET_PROT: *ret_zero = "PROT_NONE"; return 0;
    case SET_ACCESS: *ret_zero = "F_OK"; return 0;
    default: return 0;
    }
}

void strace_flags(FILE *f, enum call_set set, uint64_t value)
{
    const char *zero, *sep = "";
    uint32_t low = number_bits(set, &zero), rest = value, number = rest & low;
    const char *name = number ? strace_enum(set == SET_CLONE ? SET_SIGNAL : set, number) : NULL;

    rest &= ~low;
    if (name || number) {
        if (set != SET_CLONE) {
            fputs(name ?: "?", f);
            sep = "|";
        }
    } else if (set == SET_OPEN || !rest) {
        fputs(zero, f);
        sep = "|";
    }
    for (const struct name *n = sets[set]; n->text && rest; n++) {
        if (!n->value || (n->value & low) || (rest & n->value) != n->value)
            continue;
        fprintf(f, "%s%s", sep, n->text);
        sep = "|";
        rest &= ~n->value;
    }
    if (rest)
        fprintf(f, "%s%#" PRIx32, sep, rest), sep = "|";
    if (set == SET_CLONE && number)
        fprintf(f, "%s%s", sep, name ?: "?");
}
