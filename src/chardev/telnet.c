/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The telnet protocol (RFC 854) on a socket: what we offer at the start is all we do. */
#include <unistd.h>

#include "chardev/chardev_priv.h"

enum { IAC = 255, DONT = 254, DO = 253, WILL = 251, SB = 250, BRK = 243, SE = 240 };
enum { OPT_BINARY = 0, OPT_ECHO = 1, OPT_SGA = 3 };
enum { T_DATA, T_IAC, T_OPTION, T_SUB, T_SUB_IAC };

size_t chardev_telnet_in(struct chardev *c, struct chardev_telnet *t, uint8_t *buf, size_t len)
{
    size_t n = 0;

    if (!t->on)
        return len;
    for (size_t i = 0; i < len; i++) {
        uint8_t b = buf[i];

        switch (t->state) {
        case T_DATA:
            if (b == IAC)
                t->state = T_IAC;
            else
                buf[n++] = b;
            break;
        case T_IAC:
            t->state = b >= WILL && b != IAC ? T_OPTION : b == SB ? T_SUB : T_DATA;
            if (b == IAC)
                buf[n++] = b;
            else if (b == BRK)
                chardev_tell(c, CHARDEV_BREAK);
            break;
        case T_SUB:
            if (b == IAC)
                t->state = T_SUB_IAC;
            break;
        case T_SUB_IAC: t->state = b == SE ? T_DATA : T_SUB; break;
        default: t->state = T_DATA; break; /* the option's number */
        }
    }
    return n;
}

unsigned chardev_telnet_out(const struct chardev_telnet *t, uint8_t byte, uint8_t *ret)
{
    ret[0] = byte;
    ret[1] = IAC;
    return t->on && byte == IAC ? 2 : 1;
}

void chardev_telnet_greet(struct chardev_telnet *t, int fd)
{
    static const uint8_t hello[] = { IAC, WILL, OPT_ECHO,   IAC, WILL, OPT_SGA,
                                     IAC, WILL, OPT_BINARY, IAC, DO,   OPT_BINARY };

    t->state = T_DATA;
    if (t->on) {
        /* a fresh connection has room for 12 bytes; if not, the peer sees its own echo */
        ssize_t n = write(fd, hello, sizeof hello);
        (void)n;
    }
}
