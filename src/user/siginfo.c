/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * siginfo_t between the host's layout and the guest's. Those of the 64-bit ABIs are equal; on i386
 * the union begins at 12 and its members have 4 bytes.
 */
#include <string.h>

#include "base/endian.h"
#include "user/signal_priv.h"

enum { SIGINFO_SIZE = 128 };
_Static_assert(sizeof(siginfo_t) == SIGINFO_SIZE, "the kernel's");

enum layout {
    LAYOUT_KILL,
    LAYOUT_TIMER,
    LAYOUT_RT,
    LAYOUT_CHILD,
    LAYOUT_FAULT,
    LAYOUT_POLL,
    LAYOUT_SYS
};

static enum layout layout_of(int sig, int code)
{
    if (code > 0 && code < SI_KERNEL) {
        switch (sig) {
        case SIGILL:
        case SIGFPE:
        case SIGSEGV:
        case SIGBUS:
        case SIGTRAP: return LAYOUT_FAULT;
        case SIGCHLD: return LAYOUT_CHILD;
        case SIGPOLL: return LAYOUT_POLL;
        case SIGSYS: return LAYOUT_SYS;
        default: return code <= 6 ? LAYOUT_POLL : LAYOUT_KILL;
        }
    }
    switch (code) {
    case SI_TIMER: return LAYOUT_TIMER;
    case SI_SIGIO: return LAYOUT_POLL;
    default: return code < 0 && code != SI_TKILL ? LAYOUT_RT : LAYOUT_KILL;
    }
}

void siginfo_to_guest(const struct user_abi *abi, const siginfo_t *i, void *ret_128)
{
    uint8_t *p = ret_128;

    if (abi->long_size == 8) {
        memcpy(p, i, SIGINFO_SIZE);
        return;
    }
    memset(p, 0, SIGINFO_SIZE);
    st_le32(p, (uint32_t)i->si_signo);
    st_le32(p + 4, (uint32_t)i->si_errno);
    st_le32(p + 8, (uint32_t)i->si_code);
    switch (layout_of(i->si_signo, i->si_code)) {
    case LAYOUT_FAULT: st_le32(p + 12, (uint32_t)(uintptr_t)i->si_addr); break;
    case LAYOUT_POLL:
        st_le32(p + 12, (uint32_t)i->si_band);
        st_le32(p + 16, (uint32_t)i->si_fd);
        break;
    case LAYOUT_SYS:
        st_le32(p + 12, (uint32_t)(uintptr_t)i->si_call_addr);
        st_le32(p + 16, (uint32_t)i->si_syscall);
        st_le32(p + 20, i->si_arch);
        break;
    case LAYOUT_TIMER:
        st_le32(p + 12, (uint32_t)i->si_timerid);
        st_le32(p + 16, (uint32_t)i->si_overrun);
        st_le32(p + 20, (uint32_t)i->si_value.sival_int);
        break;
    case LAYOUT_CHILD:
        st_le32(p + 20, (uint32_t)i->si_status);
        st_le32(p + 24, (uint32_t)i->si_utime);
        st_le32(p + 28, (uint32_t)i->si_stime);
        goto sender;
    case LAYOUT_RT: st_le32(p + 20, (uint32_t)i->si_value.sival_int); goto sender;
    case LAYOUT_KILL:
    sender:
        st_le32(p + 12, (uint32_t)i->si_pid);
        st_le32(p + 16, i->si_uid);
        break;
    }
}

void siginfo_from_guest(const struct user_abi *abi, const void *info_128, siginfo_t *ret)
{
    const uint8_t *p = info_128;

    if (abi->long_size == 8) {
        memcpy(ret, p, SIGINFO_SIZE);
        return;
    }
    memset(ret, 0, sizeof(*ret));
    ret->si_signo = (int)ld_le32(p);
    ret->si_errno = (int)ld_le32(p + 4);
    ret->si_code = (int)ld_le32(p + 8);
    switch (layout_of(ret->si_signo, ret->si_code)) {
    case LAYOUT_FAULT: ret->si_addr = (void *)(uintptr_t)ld_le32(p + 12); break;
    case LAYOUT_POLL:
        ret->si_band = (int)ld_le32(p + 12);
        ret->si_fd = (int)ld_le32(p + 16);
        break;
    case LAYOUT_TIMER:
        ret->si_timerid = (int)ld_le32(p + 12);
        ret->si_overrun = (int)ld_le32(p + 16);
        ret->si_value.sival_ptr = (void *)(uintptr_t)ld_le32(p + 20);
        break;
    case LAYOUT_CHILD:
        ret->si_pid = (int)ld_le32(p + 12);
        ret->si_uid = ld_le32(p + 16);
        ret->si_status = (int)ld_le32(p + 20);
        ret->si_utime = (int)ld_le32(p + 24);
        ret->si_stime = (int)ld_le32(p + 28);
        break;
    case LAYOUT_SYS:
    case LAYOUT_RT:
    case LAYOUT_KILL:
        ret->si_pid = (int)ld_le32(p + 12);
        ret->si_uid = ld_le32(p + 16);
        ret->si_value.sival_ptr = (void *)(uintptr_t)ld_le32(p + 20);
        break;
    }
}
