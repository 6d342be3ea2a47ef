/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rhea-user: a Linux program of another processor. Reads the command line and runs the program;
 * the program's end is ours. Comes back only when it could not be started: status 127 when there is
 * no such program, 126 when it cannot be executed, 255 when it is broken, 1 for a wrong option.
 */
#include "main/user_options.h"

#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct user_cli c;
    struct error err = { 0 };
    int status = EXIT_FAILURE;
    if (user_cli_parse(&c, argc, argv, environ, &err)) {
        if (!c.print)
            status = user_main(&c.o, &err);
        else if (c.print(&c, stdout, &err))
            status = EXIT_SUCCESS;
    }
    if (status)
        err_print(stderr, c.program ? c.program : "rhea-user", &err);
    user_cli_finish(&c);
    return status;
}
