/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "calls.h"

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {
        { "files", files },   { "descriptors", descriptors },
        { "events", events }, { "sockets", sockets },
        { "ipc", ipc },       { "process", process },
        { "clocks", clocks }, { "faults", faults },
        { "arch", arch },
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (argc < 2 || strcmp(argv[1], parts[i].name) == 0)
            parts[i].run();
    return 0;
}
