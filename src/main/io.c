/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "io/io.h"

int main(int argc, char **argv)
{
    return io_main(argc, argv);
}
