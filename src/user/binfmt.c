/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first line of scripts (Linux fs/binfmt_script.c's rules). */
#include "user/process.h"

#include <string.h>

bool user_shebang(char *head, size_t len, char **ret_interp, char **ret_arg)
{
    char *end, *at = head + 2;
    if (len < 3 || len > USER_SHEBANG_MAX || head[0] != '#' || head[1] != '!')
        return false;
    head[len] = 0;
    end = memchr(head, '\n', len);
    if (!end && len == USER_SHEBANG_MAX) { /* the interpreter's name may be cut */
        at += strspn(at, " \t");
        if (!at[strcspn(at, " \t")])
            return false;
    }
    if (!end)
        end = head + len;
    *end = 0;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = 0;
    at += strspn(at, " \t");
    if (!*at)
        return false;
    *ret_interp = at;
    at += strcspn(at, " \t");
    *ret_arg = NULL;
    if (*at) {
        *at++ = 0;
        at += strspn(at, " \t");
        *ret_arg = *at ? at : NULL;
    }
    return true;
}
