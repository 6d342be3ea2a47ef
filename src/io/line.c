/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines typed by a person, with editing and history where libedit is there, or sent by a program.
 */
#include "io/io.h"

#include <string.h>
#include <unistd.h>

#ifdef RHEA_LIBEDIT
#include <editline/readline.h>
#endif

static char *plain_line(const char *prompt)
{
    char *line = NULL;
    size_t size = 0;
    fputs(prompt, stdout);
    fflush(stdout);
    ssize_t n = getline(&line, &size, stdin);
    if (n < 0) {
        free(line);
        return NULL;
    }
    if (n && line[n - 1] == '\n')
        line[n - 1] = 0;
    return line;
}

char *io_line(const char *prompt)
{
    bool person = isatty(STDIN_FILENO);
    char *line;
#ifdef RHEA_LIBEDIT
    if (person) {
        line = readline(prompt);
        if (line && *line)
            add_history(line);
    } else
#endif
        line = plain_line(prompt);
    if (!line && person)
        putchar('\n');
    return line;
}
