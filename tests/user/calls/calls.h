/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guest programs that make system calls and print what came back, in a form that does not depend on
 * where and when they run: the output natively and under Rhea must be the same.
 */
#ifndef CALLS_H
#define CALLS_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* "text: value" or "text: errno name". */
#define SHOW(call) show(#call, (long)(call))
static inline long show(const char *what, long r)
{
    if (r == -1)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, r);
    return r;
}
/* Succeeds or not: for values that differ from run to run. */
#define OK(call) ok(#call, (long)(call))
static inline long ok(const char *what, long r)
{
    printf("%s: %s\n", what, r == -1 ? strerrorname_np(errno) : "ok");
    return r;
}
#define TRUTH(expr) printf("%s: %s\n", #expr, (expr) ? "yes" : "NO")

void files(void);
void descriptors(void);
void events(void);
void sockets(void);
void ipc(void);
void process(void);
void clocks(void);
void faults(void);
void arch(void);

#endif
