/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the emulator does about itself as a process: background, pid file, rights, the filter of
 * system calls. The machine exists when rights are dropped and does not run yet. */
#ifndef MAIN_PROCESS_H
#define MAIN_PROCESS_H

#include <stdbool.h>

#include "base/error.h"

struct process_config {
    bool daemonize;
    const char *pidfile, *runas, *chroot;
    bool mem_lock;
    bool sandbox;
    /* of the sandbox: refused besides what nobody needs; children: may not raise their rights */
    bool allow_obsolete, no_elevate, elevate_children, no_spawn, no_resource_control;
};

struct process {
    const struct process_config *config;
    int ready_fd; /* in the daemon: the waiting parent's pipe; else -1 */
    int pid_fd;
};

/* Before anything is made. In the parent of a daemon it does not return: it leaves with status 0
 * when the machine is ready, 1 when it failed. */
bool process_start(struct process *p, const struct process_config *c, struct error *err) MUST_CHECK;
/* The machine is made: drops rights, tells the parent. */
bool process_ready(struct process *p, struct error *err) MUST_CHECK;
void process_finish(struct process *p); /* removes the pid file */

/* sandbox.c: from now on, for all threads that the caller makes. */
bool sandbox_enter(const struct process_config *c, struct error *err) MUST_CHECK;

#endif
