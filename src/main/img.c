/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rhea-img: makes, converts, checks and compares disk images. All of it is in img/. */
#include "img/img.h"

int main(int argc, char **argv)
{
    return img_main(argc, argv);
}
