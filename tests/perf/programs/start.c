/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ends at once: what is left is the start of a program. */
int main(void)
{
    return 0;
}
