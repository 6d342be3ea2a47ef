/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nbd/tool.h"

int main(int argc, char **argv)
{
    return nbd_tool_main(argc, argv);
}
