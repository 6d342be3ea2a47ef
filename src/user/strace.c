/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * -strace: each system call as "PID name(arguments) = result", driven by the same argument kinds
 * that carry it out. What goes in is printed before the call, what came out after it; with several
 * threads a call that waits is split like strace does, so that each line is one piece.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "user/sys_ioctl.h"
#include "user/syscall.h"

enum { TEXT_MAX = 32, STRINGS_MAX = 8, IOV_SHOWN = 4 };

struct line { /* one call's text */
    struct user_thread *t;
    FILE *f;
    const uint64_t *a;
    int64_t result;
    bool after; /* the call has been made */
};

static void print_bytes(FILE *f, const uint8_t *s, size_t len, bool cut)
{
    fputc('"', f);
    for (size_t i = 0; i < len; i++) {
        static const char from[] = "\n\t\r\\\"\v\f", to[] = "ntr\\\"vf";
        const char *esc = s[i] ? strchr(from, s[i]) : NULL;

        if (esc)
            fprintf(f, "\\%c", to[esc - from]);
        else if (isprint(s[i]))
            fputc(s[i], f);
        else if (i + 1 < len && isdigit(s[i + 1]))
            fprintf(f, "\\%03o", s[i]);
        else
            fprintf(f, "\\%o", s[i]);
    }
    fputs(cut ? "\"..." : "\"", f);
}

static void print_address(FILE *f, gva_t a)
{
    if (a)
        fprintf(f, "%#" PRIx64, a);
    else
        fputs("NULL", f);
}

static void print_string(struct line *l, gva_t a, size_t max)
{
    int err;
    char *s = a ? user_string(l->t->proc, a, 4096, &err) : NULL;

    if (!s) {
        print_address(l->f, a);
        return;
    }
    print_bytes(l->f, (uint8_t *)s, MIN(strlen(s), max), strlen(s) > max);
    free(s);
}

static void print_buffer(struct line *l, gva_t a, uint64_t len)
{
    uint8_t buf[TEXT_MAX];
    size_t n = MIN(len, (uint64_t)TEXT_MAX);

    if (!a || user_read(l->t->proc, buf, a, n) < 0)
        print_address(l->f, a);
    else
        print_bytes(l->f, buf, n, len > n);
}

static void print_strings(struct line *l, gva_t a)
{
    unsigned n = l->t->proc->abi->long_size;
    uint64_t p = 0;

    fputc('[', l->f);
    for (unsigned i = 0; a; i++) {
        if (user_read(l->t->proc, &p, a + i * n, n) < 0 || !p)
            break;
        if (i)
            fputs(", ", l->f);
        if (i == STRINGS_MAX) {
            fputs("...", l->f);
            break;
        }
        print_string(l, p, TEXT_MAX);
    }
    fputc(']', l->f);
}

static void print_sockaddr(struct line *l, gva_t a, uint32_t len)
{
    union {
        struct sockaddr_storage s;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } u = { 0 };
    char text[INET6_ADDRSTRLEN];

    if (!a || len < 2 || len > sizeof(u) || user_read(l->t->proc, &u, a, len) < 0) {
        print_address(l->f, a);
        return;
    }
    fprintf(l->f, "{sa_family=%s", strace_enum(SET_AF, u.s.ss_family) ?: "?");
    switch (u.s.ss_family) {
    case AF_INET:
        fprintf(l->f, ", sin_port=htons(%u), sin_addr=inet_addr(\"%s\")", ntohs(u.in.sin_port),
                inet_ntop(AF_INET, &u.in.sin_addr, text, sizeof(text)));
        break;
    case AF_INET6:
        fprintf(l->f, ", sin6_port=htons(%u), sin6_addr=\"%s\"", ntohs(u.in6.sin6_port),
                inet_ntop(AF_INET6, &u.in6.sin6_addr, text, sizeof(text)));
        break;
    case AF_UNIX:
        fputs(", sun_path=", l->f);
        if (u.un.sun_path[0] || len == 2)
            print_bytes(l->f, (uint8_t *)u.un.sun_path, strnlen(u.un.sun_path, len - 2), false);
        else
            fputc('@', l->f), print_bytes(l->f, (uint8_t *)u.un.sun_path + 1, len - 3, false);
        break;
    default: break;
    }
    fputc('}', l->f);
}

static void print_time(struct line *l, gva_t a, bool micro)
{
    int64_t t[2];
    int32_t t32[2];
    bool old = call_is_32(l->t);

    if (!a || user_read(l->t->proc, old ? (void *)t32 : t, a, old ? sizeof(t32) : sizeof(t)) < 0) {
        print_address(l->f, a);
        return;
    }
    if (old)
        t[0] = t32[0], t[1] = t32[1];
    fprintf(l->f, "{tv_sec=%" PRId64 ", tv_%csec=%" PRId64 "}", t[0], micro ? 'u' : 'n', t[1]);
}

static void print_iovec(struct line *l, gva_t a, uint64_t count)
{
    unsigned n = l->t->proc->abi->long_size;
    uint64_t left = l->after && l->result >= 0 ? (uint64_t)l->result : UINT64_MAX;

    fputc('[', l->f);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t base = 0, len = 0;

        if (i)
            fputs(", ", l->f);
        if (i == IOV_SHOWN || user_read(l->t->proc, &base, a + 2 * n * i, n) < 0 ||
            user_read(l->t->proc, &len, a + 2 * n * i + n, n) < 0) {
            fputs("...", l->f);
            break;
        }
        fputs("{iov_base=", l->f);
        print_buffer(l, base, MIN(len, left));
        left -= MIN(len, left);
        fprintf(l->f, ", iov_len=%" PRIu64 "}", len);
    }
    fputc(']', l->f);
}

static void print_sigset(struct line *l, gva_t a)
{
    uint64_t set;
    const char *sep = "";

    if (!a || user_read(l->t->proc, &set, a, sizeof(set)) < 0) {
        print_address(l->f, a);
        return;
    }
    fputs(set == ~UINT64_C(0) ? "~[" : "[", l->f);
    for (unsigned i = 1; i <= 64 && ~set; i++) {
        const char *name = strace_enum(SET_SIGNAL, i);

        if (!(set & BIT(i - 1)))
            continue;
        if (name)
            fprintf(l->f, "%s%s", sep, name + 3);
        else
            fprintf(l->f, "%sRT_%u", sep, i - 32);
        sep = " ";
    }
    fputc(']', l->f);
}

static void print_poll(struct line *l, gva_t a, uint64_t count)
{
    struct pollfd p;

    fputc('[', l->f);
    for (uint64_t i = 0; i < count; i++) {
        if (i)
            fputs(", ", l->f);
        if (i == STRINGS_MAX || user_read(l->t->proc, &p, a + i * sizeof(p), sizeof(p)) < 0) {
            fputs("...", l->f);
            break;
        }
        fprintf(l->f, "{fd=%d, events=", p.fd);
        strace_flags(l->f, SET_POLL, (uint16_t)p.events);
        if (p.revents && l->after) {
            fputs(", revents=", l->f);
            strace_flags(l->f, SET_POLL, (uint16_t)p.revents);
        }
        fputc('}', l->f);
    }
    fputc(']', l->f);
}

static void print_enum(struct line *l, const struct call_arg *arg, uint64_t v)
{
    const char *name = strace_enum(arg->size, v);

    if (name)
        fputs(name, l->f);
    else
        fprintf(l->f, v > 4096 ? "%#x" : "%d", (int)v);
}

/* Numbers: true when it was one. */
static bool print_number(struct line *l, const struct call_arg *arg, uint64_t v)
{
    const struct ioctl_row *io;
    const char *name;

    switch (arg->kind) {
    case KIND_NONE: break;
    case KIND_INT: fprintf(l->f, "%d", (int)v); break;
    case KIND_UINT: fprintf(l->f, "%u", (unsigned)v); break;
    case KIND_HEX: fprintf(l->f, "%#" PRIx64, v); break;
    case KIND_OCT: fprintf(l->f, "%#o", (unsigned)v); break;
    case KIND_LONG:
        fprintf(l->f, "%" PRId64, call_is_32(l->t) ? (int64_t)(int32_t)v : (int64_t)v);
        break;
    case KIND_SIZE: fprintf(l->f, "%" PRIu64, v); break;
    case KIND_FD: fprintf(l->f, "%d", (int)v); break;
    case KIND_AT:
        if ((int)v == AT_FDCWD)
            fputs("AT_FDCWD", l->f);
        else
            fprintf(l->f, "%d", (int)v);
        break;
    case KIND_SIG:
        name = strace_enum(SET_SIGNAL, (int)v);
        if (name)
            fputs(name, l->f);
        else if ((int)v > 31 && (int)v <= 64)
            fprintf(l->f, "SIGRT_%d", (int)v - 32);
        else
            fprintf(l->f, "%d", (int)v);
        break;
    case KIND_FLAGS:
        if (arg->size == SET_OPEN || arg->size == SET_FDFL)
            v = call_open_flags_to_host(l->t->proc->abi, v);
        strace_flags(l->f, arg->size, v);
        break;
    case KIND_ENUM: print_enum(l, arg, v); break;
    case KIND_FUTEX:
        name = strace_enum(SET_FUTEX, v & 127);
        fprintf(l->f, "%s%s%s", name ?: "FUTEX_?", v & 128 ? "_PRIVATE" : "",
                v & 256 ? "|FUTEX_CLOCK_REALTIME" : "");
        break;
    case KIND_IOCTL:
        io = ioctl_row(v);
        if (io)
            fputs(io->name, l->f);
        else
            fprintf(l->f, "%#x", (unsigned)v);
        break;
    default: return false;
    }
    return true;
}

static uint32_t word_at(struct line *l, gva_t a)
{
    uint32_t v = 0;

    return a && user_read(l->t->proc, &v, a, sizeof(v)) == 0 ? v : 0;
}

/* A small structure the kernel filled: numbers of 4 bytes (descriptors, ids), else its address. */
static void print_struct(struct line *l, const struct call_arg *arg, gva_t a)
{
    if (a && l->result >= 0 && arg->size == 4)
        fprintf(l->f, "[%d]", (int)word_at(l, a));
    else if (a && l->result >= 0 && arg->kind == KIND_OUTS && arg->size == 8 && !call_is_32(l->t))
        fprintf(l->f, "[%d, %d]", (int)word_at(l, a), (int)word_at(l, a + 4));
    else
        print_address(l->f, a);
}

static void print_arg(struct line *l, const struct call_arg *arg, uint64_t v)
{
    uint64_t len = l->a[arg->len];

    if (print_number(l, arg, v))
        return;
    switch (arg->kind) {
    case KIND_STR:
    case KIND_NAME:
    case KIND_PATH: print_string(l, v, 4096); break;
    case KIND_STRV: print_strings(l, v); break;
    case KIND_IN: arg->size == 1 ? print_buffer(l, v, len) : print_address(l->f, v); break;
    case KIND_OUT:
        if (arg->size == 1 && l->result >= 0)
            print_buffer(l, v, MIN(len, (uint64_t)l->result));
        else
            print_address(l->f, v);
        break;
    case KIND_SADDR: print_sockaddr(l, v, len); break;
    case KIND_OADDR: print_sockaddr(l, l->result >= 0 ? v : 0, word_at(l, len)); break;
    case KIND_SIGSET: print_sigset(l, v); break;
    case KIND_TS:
    case KIND_TSIO: print_time(l, v, false); break;
    case KIND_TV:
    case KIND_TVIO: print_time(l, v, true); break;
    case KIND_TSO: print_time(l, l->result >= 0 ? v : 0, false); break;
    case KIND_TVO: print_time(l, l->result >= 0 ? v : 0, true); break;
    case KIND_IOV: print_iovec(l, v, len); break;
    case KIND_OIOV: print_iovec(l, v, l->result >= 0 ? len : 0); break;
    case KIND_POLLFD: print_poll(l, v, len); break;
    case KIND_OUTS:
    case KIND_IOS: print_struct(l, arg, v); break;
    default: print_address(l->f, v); break;
    }
}

/* Arguments first..last (behind it). */
static void print_args(struct line *l, const struct call_row *row, unsigned first, unsigned last)
{
    for (unsigned i = first; i < last; i++) {
        if (i)
            fputs(", ", l->f);
        print_arg(l, &row->arg[i], l->a[i]);
    }
}

static bool result_is_address(const struct call_row *row)
{
    static const char *const names[] = { "brk", "mmap", "mmap2", "old_mmap", "mremap", "shmat" };

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(row->name, names[i]) == 0)
            return true;
    return false;
}

static void print_result(struct line *l, const struct call_row *row)
{
    const char *name = l->result < 0 ? strace_enum(SET_ERRNO, -l->result) : NULL;

    if (l->result == USER_NO_RESULT)
        fputs(") = ?\n", l->f);
    else if (l->result <= USER_RESTART && l->result >= USER_RESTART_NOHAND)
        fputs(") = ? (interrupted, may be restarted)\n", l->f);
    else if (l->result < 0 && l->result > -4096)
        fprintf(l->f, ") = -1 %s (%s)\n", name ?: "E?", strerror(-l->result));
    else if (result_is_address(row))
        fprintf(l->f, ") = %#" PRIx64 "\n", l->result);
    else
        fprintf(l->f, ") = %" PRId64 "\n", l->result);
}

/* The text collected so far goes out in one piece. */
static void flush_line(struct line *l, char **text)
{
    fclose(l->f);
    log_text("%s", *text);
    free(*text);
    l->f = NULL;
}

int64_t strace_call(struct user_thread *t, const struct call_row *row, const struct user_call *call)
{
    struct line l = { .t = t, .a = call->arg };
    /* several threads: a line stays together unless the call may wait */
    bool split = t->proc->parallel && (row->flags & CALL_BLOCK);
    bool early = !t->proc->parallel || split || (row->flags & CALL_NORETURN);
    int saved = errno, tid = t->tid;
    unsigned known = 0;
    char *text = NULL;
    size_t size;

    while (known < row->nargs && row->arg[known].kind < KIND_OUTPUTS)
        known++;
    l.f = open_memstream(&text, &size);
    fprintf(l.f, "%d %s(", tid, row->name);
    print_args(&l, row, 0, known);
    if (row->fn == sys_exit || row->fn == sys_exit_group)
        fputs(") = ?\n", l.f);
    else if (split)
        fputs(" <unfinished ...>\n", l.f);
    if (early) {
        flush_line(&l, &text);
        l.f = open_memstream(&text, &size);
    }
    if (split)
        fprintf(l.f, "%d <... %s resumed>", tid, row->name);
    errno = saved;
    l.result = call_row_run(t, row, call->arg);
    saved = errno;
    l.after = true;
    print_args(&l, row, known, row->nargs);
    print_result(&l, row);
    flush_line(&l, &text);
    errno = saved;
    return l.result;
}
